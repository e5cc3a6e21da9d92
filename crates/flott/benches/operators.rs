//! Each stateful operator by itself, as the planner makes it of a query: nanoseconds per row with the state of 1 M (and, with
//! `FLOTT_BENCH_KEYS=10000000`, of any other number of) keys in it, and the bytes of memory that a row of its state takes.
//!
//! The state is filled with one row per key before anything is measured, then batches of random keys pass. What is printed
//! as "bytes per row" are the bytes that the filling has allocated and not freed again, room for growth included.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, SchemaRef, TimeUnit};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flott::{Error, Registry, Result, default_registry};
use flott_connector::Versioned;
use flott_connector::factory::ChangelogMode;
use flott_connector::sink::{DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_core::{ChangeBatch, FailPoints, RowKind, RowKinds, Watermark};
use flott_graph::Node;
use flott_operator::{Operator, OperatorContext, Progress, build};
use flott_sql::parser::{parse_query, parse_script};
use flott_sql::plan::{Planner, TypeResolver};
use flott_sql::statement::{self, SessionState};
use mimalloc::MiMalloc;

/// The allocator of the command, counting. Resident memory would not do: what one case has freed the next one uses.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all calls go to an allocator as they are; beside them is a count.
#[expect(unsafe_code, reason = "the interface of allocators is unsafe")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(size, Ordering::Relaxed);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

const BATCH: usize = 8_192;
/// Rows in a millisecond of event time.
const ROWS_PER_MS: i64 = 100;
/// Of the queries' windows.
const WINDOW_MS: i64 = 1_000;
/// Elements of a list.
const LIST: usize = 3;

const TABLES: &str = "
CREATE TABLE a (k BIGINT NOT NULL, v BIGINT, s STRING, l ARRAY<BIGINT>, ts TIMESTAMP(3), pt AS PROCTIME(),
  WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen');
CREATE TABLE b (k BIGINT NOT NULL, w BIGINT, t STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
  WITH ('connector' = 'datagen');
CREATE TABLE versions (k BIGINT NOT NULL, w BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts,
  PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'datagen');
";

/// A query, the operator of it that is measured, and options of the session.
struct Case {
    name: &'static str,
    operator: &'static str,
    query: &'static str,
    options: &'static [(&'static str, &'static str)],
}

const fn case(name: &'static str, operator: &'static str, query: &'static str) -> Case {
    Case { name, operator, query, options: &[] }
}

const CASES: &[Case] = &[
    case("group: count, sum", "GroupAggregate", "SELECT k, COUNT(*), SUM(v) FROM a GROUP BY k"),
    case(
        "group: max of changes",
        "GroupAggregate",
        "SELECT k, MAX(c) FROM (SELECT k, s, COUNT(*) AS c FROM a GROUP BY k, s) GROUP BY k",
    ),
    case("group: count distinct", "GroupAggregate", "SELECT k, COUNT(DISTINCT v) FROM a GROUP BY k"),
    case("group: listagg", "GroupAggregate", "SELECT k, LISTAGG(s) FROM a GROUP BY k"),
    case("grouping sets", "Expand", "SELECT k, s, COUNT(*) FROM a GROUP BY GROUPING SETS ((k), (s), ())"),
    case("join: inner", "Join", "SELECT a.k, v, w FROM a JOIN b ON a.k = b.k"),
    case("join: left", "Join", "SELECT a.k, v, w FROM a LEFT JOIN b ON a.k = b.k"),
    case("join: full", "Join", "SELECT a.k, v, w FROM a FULL JOIN b ON a.k = b.k"),
    case("join: semi", "Join", "SELECT k, v FROM a WHERE k IN (SELECT k FROM b)"),
    case("join: anti", "Join", "SELECT k, v FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k)"),
    case(
        "join: interval",
        "IntervalJoin",
        "SELECT a.k, v, w FROM a JOIN b ON a.k = b.k AND a.ts BETWEEN b.ts - INTERVAL '1' SECOND AND b.ts",
    ),
    case(
        "join: temporal",
        "TemporalJoin",
        "SELECT a.k, v, w FROM a JOIN versions FOR SYSTEM_TIME AS OF a.ts ON a.k = versions.k",
    ),
    case(
        "join: window",
        "WindowJoin",
        "SELECT x.k, v, w FROM TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '1' SECOND) x
           JOIN TUMBLE(TABLE b, DESCRIPTOR(ts), INTERVAL '1' SECOND) y
           ON x.k = y.k AND x.window_start = y.window_start AND x.window_end = y.window_end",
    ),
    case(
        "top-n: ten largest",
        "Rank",
        "SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS n FROM a) WHERE n <= 10",
    ),
    case(
        "top-n: with numbers",
        "Rank",
        "SELECT k, v, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS n FROM a) WHERE n <= 10",
    ),
    case(
        "deduplicate: first row",
        "Deduplicate",
        "SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts) AS n FROM a) WHERE n = 1",
    ),
    case(
        "deduplicate: last row",
        "Deduplicate",
        "SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS n FROM a) WHERE n = 1",
    ),
    case(
        "deduplicate: last, processing time",
        "Deduplicate",
        "SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY pt DESC) AS n FROM a) WHERE n = 1",
    ),
    case(
        "window: sessions",
        "WindowAggregate",
        "SELECT k, COUNT(*), SUM(v) FROM SESSION(TABLE a PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' SECOND)
           GROUP BY k, window_start, window_end",
    ),
    Case {
        name: "window: tumbling, one phase",
        operator: "WindowAggregate",
        query: "SELECT k, COUNT(*), SUM(v) FROM TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '10' SECOND)
           GROUP BY k, window_start, window_end",
        options: &[("table.optimizer.agg-phase-strategy", "ONE_PHASE")],
    },
    case(
        "window: top-n",
        "WindowRank",
        "SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY v DESC) AS n
           FROM TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '1' SECOND)) WHERE n <= 10",
    ),
    case("over: sum so far", "OverAggregate", "SELECT k, SUM(v) OVER (PARTITION BY k ORDER BY ts) FROM a"),
    case(
        "over: 10 rows",
        "OverAggregate",
        "SELECT k, SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 9 PRECEDING AND CURRENT ROW) FROM a",
    ),
    case(
        "pattern: rise and fall",
        "Match",
        "SELECT * FROM a MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES LAST(x.v) AS top
           AFTER MATCH SKIP PAST LAST ROW PATTERN (x+ y) WITHIN INTERVAL '10' SECOND
           DEFINE x AS x.v > 500000, y AS y.v < 500000)",
    ),
    case("sort by time", "TemporalSort", "SELECT k, v FROM a ORDER BY ts"),
    case("unnest", "Correlate", "SELECT k, e FROM a CROSS JOIN UNNEST(l) AS u (e)"),
];

struct Planned {
    state: SessionState,
    registry: Arc<Registry>,
}

impl Planned {
    fn new() -> Planned {
        let registry = Arc::new(default_registry());
        let mut planned = Planned { state: SessionState::default(), registry };
        planned.define(TABLES);
        planned
    }

    fn define(&mut self, script: &str) {
        let resolver = TypeResolver::new(Arc::clone(&self.registry));
        for parsed in parse_script(script).expect("the tables") {
            statement::execute(&parsed.statement, &mut self.state, &self.registry, &resolver).expect("a table");
        }
    }

    /// The operator of a query, and what its inputs give.
    fn operator(&self, case: &Case) -> (Node, Vec<Node>) {
        let mut config = self.state.config.clone();
        for (key, value) in case.options {
            config.set(*key, *value);
        }
        let planner = Planner::new(&self.state.catalog, Arc::clone(&self.registry), &config, ".", FailPoints::none());
        let query = parse_query(case.query).expect(case.name);
        let graph = planner.plan_query(&query).and_then(|planned| planned.into_graph(Arc::new(Nowhere), Some(1), None));
        let graph = graph.expect(case.name);
        let wanted = |node: &&Node| node.name.split('(').next() == Some(case.operator);
        let Some(node) = graph.nodes.iter().rfind(wanted) else {
            let names: Vec<&str> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
            panic!("{} has no {}: {}", case.name, case.operator, names.join(", "));
        };
        let inputs = node.inputs.iter().map(|input| graph.nodes[input.node.0].clone()).collect();
        (node.clone(), inputs)
    }
}

/// A sink that is planned and never written to.
struct Nowhere;

impl Sink for Nowhere {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::None
    }

    fn create_writer(&self, _context: WriterContext, _restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        Err(Error::internal("planned only"))
    }
}

/// Rows for one input.
struct Rows {
    schema: SchemaRef,
    /// Whether some of the changes take rows back.
    retracts: bool,
    random: u64,
    /// Rows made so far: event time follows.
    made: i64,
    last: Option<RecordBatch>,
}

impl Rows {
    fn of(node: &Node, seed: u64) -> Rows {
        let retracts = node.changelog_mode != ChangelogMode::INSERT_ONLY;
        Rows { schema: Arc::clone(&node.schema), retracts, random: 88_172_645_463_325_252 ^ seed, made: 0, last: None }
    }

    fn next(&mut self, below: u64) -> i64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % below) as i64
    }

    /// A batch whose keys are given; of a changelog every other batch takes the one before it back.
    fn batch(&mut self, mut key: impl FnMut(&mut Rows) -> i64) -> ChangeBatch {
        if self.retracts
            && let Some(last) = self.last.take()
        {
            let kinds = RowKinds::repeat(RowKind::Delete, last.num_rows());
            return ChangeBatch::new(last, kinds).expect("a batch");
        }
        let schema = Arc::clone(&self.schema);
        let columns = schema.fields().iter().map(|field| self.column(field, &mut key)).collect();
        self.made += BATCH as i64;
        let rows = RecordBatch::try_new(schema, columns).expect("rows");
        if self.retracts {
            self.last = Some(rows.clone());
        }
        ChangeBatch::append(rows)
    }

    fn column(&mut self, field: &Field, key: &mut impl FnMut(&mut Rows) -> i64) -> ArrayRef {
        match field.data_type() {
            // The planner numbers names that it needs twice.
            DataType::Int64 if field.name().starts_with('k') => {
                Arc::new(Int64Array::from_iter_values((0..BATCH).map(|_| key(self))))
            }
            DataType::Int64 => Arc::new(Int64Array::from_iter_values((0..BATCH).map(|_| self.next(1_000_000)))),
            DataType::Utf8 => {
                Arc::new(StringArray::from_iter_values((0..BATCH).map(|_| format!("text {}", self.next(1_000)))))
            }
            DataType::Timestamp(TimeUnit::Millisecond, zone) => {
                let window = |time: i64| time - time % WINDOW_MS;
                let times = (0..BATCH as i64).map(|row| (self.made + row) / ROWS_PER_MS);
                let times = times.map(|time| match field.name().as_str() {
                    "window_start" => window(time),
                    "window_end" => window(time) + WINDOW_MS,
                    "window_time" => window(time) + WINDOW_MS - 1,
                    _ => time,
                });
                Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone_opt(zone.clone()))
            }
            DataType::List(element) => {
                let values = Int64Array::from_iter_values((0..BATCH * LIST).map(|_| self.next(1_000_000)));
                let lengths = OffsetBuffer::from_lengths(std::iter::repeat_n(LIST, BATCH));
                Arc::new(ListArray::new(Arc::clone(element), lengths, Arc::new(values), None))
            }
            other => panic!("column {} of type {other} is for no case", field.name()),
        }
    }

    /// The event time of the rows made so far.
    fn watermark(&self) -> i64 {
        self.made / ROWS_PER_MS - 1
    }
}

/// An operator whose state holds a row of every key, and what it is given next.
struct Loaded {
    operator: Box<dyn Operator>,
    context: OperatorContext,
    inputs: Vec<Rows>,
    keys: u64,
}

impl Loaded {
    fn new(node: &Node, inputs: &[Node], keys: u64) -> Loaded {
        let operator = build(node, 0, 1, 128).expect("an operator");
        let inputs = inputs.iter().zip(1..).map(|(node, seed)| Rows::of(node, seed)).collect();
        let mut loaded = Loaded { operator, context: OperatorContext::default(), inputs, keys };
        for input in 0..loaded.inputs.len() {
            let mut next = 0u64;
            for _ in 0..keys.div_ceil(BATCH as u64) {
                let rows = &mut loaded.inputs[input];
                rows.last = None;
                let batch = rows.batch(|_| {
                    next += 1;
                    // Each once, and not in their order: the factor is a prime.
                    (next * 2_654_435_761 % keys) as i64
                });
                loaded.process(input, batch);
            }
            assert!(next >= keys, "an input without a column of keys: {:?}", loaded.inputs[input].schema);
        }
        loaded
    }

    fn process(&mut self, input: usize, batch: ChangeBatch) {
        let mut progress = self.operator.process_batch(input, batch, &mut self.context).expect("rows");
        while progress == Progress::More {
            self.context.emissions.clear();
            progress = self.operator.resume(&mut self.context).expect("more");
        }
        black_box(self.context.emissions.len());
        self.context.emissions.clear();
    }

    fn advance(&mut self) {
        let least = self.inputs.iter().map(Rows::watermark).min().unwrap_or(0);
        let watermark = Watermark(least);
        self.context.watermark = Some(watermark);
        let mut progress = self.operator.process_watermark(watermark, &mut self.context).expect("a watermark");
        while progress == Progress::More {
            self.context.emissions.clear();
            progress = self.operator.resume(&mut self.context).expect("more");
        }
        black_box(self.context.emissions.len());
        self.context.emissions.clear();
    }

    /// The time that a batch of every input and the watermark behind them take.
    #[expect(clippy::disallowed_methods, reason = "a benchmark takes the time")]
    fn round(&mut self) -> Duration {
        let keys = self.keys;
        let batches: Vec<ChangeBatch> = self.inputs.iter_mut().map(|rows| rows.batch(|rows| rows.next(keys))).collect();
        let start = Instant::now();
        for (input, batch) in batches.into_iter().enumerate() {
            self.process(input, batch);
        }
        self.advance();
        start.elapsed()
    }
}

#[expect(clippy::print_stdout, reason = "bytes of state are a result, too")]
fn operators(c: &mut Criterion) {
    let keys = std::env::var("FLOTT_BENCH_KEYS").ok().map_or(1_000_000, |keys| keys.parse().expect("a number of keys"));
    let planned = Planned::new();
    let mut group = c.benchmark_group(format!("{keys} keys"));
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for case in CASES {
        let (node, inputs) = planned.operator(case);
        let mut loaded: Option<Loaded> = None;
        group.throughput(Throughput::Elements((BATCH * inputs.len()) as u64));
        group.bench_function(case.name, |bencher| {
            // Only where the case is chosen.
            let loaded = loaded.get_or_insert_with(|| {
                let before = LIVE.load(Ordering::Relaxed);
                let mut loaded = Loaded::new(&node, &inputs, keys);
                let bytes = LIVE.load(Ordering::Relaxed).saturating_sub(before) as u64;
                let rows = keys * inputs.len() as u64;
                println!("{}: {} bytes per row of state", case.name, bytes / rows);
                loaded.advance();
                loaded
            });
            bencher.iter_custom(|rounds| (0..rounds).map(|_| loaded.round()).sum());
        });
    }
    group.finish();
}

criterion_group!(benches, operators);
criterion_main!(benches);
