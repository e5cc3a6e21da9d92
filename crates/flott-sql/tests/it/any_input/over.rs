//! Every function over windows: any type, any order, any frame that is taken, in batch mode and as a stream.

use std::collections::BTreeMap;

use flott_core::{ChangeBatch, Error, ErrorKind, LogicalType, RowKind, RowKinds};
use flott_graph::{JobGraph, OperatorSpec};
use flott_operator::harness::{Harness, StageNode};
use flott_testkit::{Value, record_batch};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::any_input::aggregate::{arguments, came_out, chain};
use crate::any_input::sampler::{Sampler, caught};
use crate::any_input::types::logical;
use crate::any_input::values::value;
use crate::common::{Session, void_sink};

/// Results that each function must have given in each mode in which it is taken.
const RESULTS_MIN: usize = 5;
/// Windows that each function must have been computed over in each of these modes.
const WINDOWS_MIN: usize = 8;
/// Windows that are tried until there are so many.
const WINDOWS_TRIED_MAX: usize = 300;
const ROWS_MAX: usize = 9;

/// Over the columns of [`COLUMNS`]; the second part says whether a stream has it, too.
const FUNCTIONS: [(&str, bool); 44] = [
    ("ROW_NUMBER()", true),
    ("RANK()", true),
    ("DENSE_RANK()", true),
    ("PERCENT_RANK()", false),
    ("CUME_DIST()", false),
    ("NTILE(3)", false),
    ("NTILE(2147483647)", false),
    ("LAG(a)", true),
    ("LAG(a, 0)", true),
    ("LAG(a, 2, b)", true),
    ("LAG(a, 9223372036854775807)", true),
    ("LAG(a, n)", false),
    ("LAG(a, n, b)", false),
    ("LEAD(a)", false),
    ("LEAD(a, 3, b)", false),
    ("LEAD(a, -9223372036854775808)", false),
    ("LEAD(a, n)", false),
    ("FIRST_VALUE(a)", true),
    ("LAST_VALUE(a)", true),
    ("COUNT(*)", true),
    ("COUNT(a)", true),
    ("COUNT(DISTINCT a)", true),
    ("SUM(a)", true),
    ("SUM(DISTINCT a)", true),
    ("AVG(a)", true),
    ("AVG(DISTINCT a)", true),
    ("MIN(a)", true),
    ("MAX(a)", true),
    ("STDDEV_POP(a)", true),
    ("STDDEV_SAMP(a)", true),
    ("VAR_POP(a)", true),
    ("VAR_SAMP(a)", true),
    ("LISTAGG(a)", true),
    ("LISTAGG(a, '-')", true),
    ("ARRAY_AGG(a)", true),
    ("COLLECT(a)", true),
    ("PERCENTILE(a, 0.5)", true),
    ("SINGLE_VALUE(a)", true),
    ("BITMAP_BUILD_AGG(a)", true),
    ("BITMAP_BUILD_CARDINALITY_AGG(a)", true),
    ("BITMAP_AND_AGG(a)", true),
    ("BITMAP_OR_AGG(a)", true),
    ("BITMAP_XOR_AGG(a)", true),
    ("BITMAP_OR_CARDINALITY_AGG(a)", true),
];

const ORDERS: [&str; 12] = [
    "",
    "ORDER BY n",
    "ORDER BY n DESC",
    "ORDER BY a",
    "ORDER BY a DESC NULLS LAST",
    "ORDER BY s NULLS LAST, n",
    "ORDER BY ts",
    "ORDER BY ts DESC",
    "ORDER BY x",
    "ORDER BY d",
    "ORDER BY n, ts, x",
    "ORDER BY f",
];

const FRAMES: [&str; 26] = [
    "",
    "ROWS UNBOUNDED PRECEDING",
    "ROWS 2 PRECEDING",
    "ROWS CURRENT ROW",
    "ROWS 9223372036854775807 PRECEDING",
    "ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING",
    "ROWS BETWEEN 1 PRECEDING AND 3 PRECEDING",
    "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    "ROWS BETWEEN 1 FOLLOWING AND 9223372036854775807 FOLLOWING",
    "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
    "RANGE UNBOUNDED PRECEDING",
    "RANGE CURRENT ROW",
    "RANGE 2 PRECEDING",
    "RANGE 1.5 PRECEDING",
    "RANGE 9223372036854775807 PRECEDING",
    "RANGE BETWEEN 5 PRECEDING AND 1 PRECEDING",
    "RANGE BETWEEN 1 FOLLOWING AND 9223372036854775807 FOLLOWING",
    "RANGE BETWEEN -1 PRECEDING AND 3 FOLLOWING",
    "RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    "RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
    "RANGE INTERVAL '1' DAY PRECEDING",
    "RANGE INTERVAL '99' YEAR PRECEDING",
    "RANGE BETWEEN INTERVAL '99' DAY PRECEDING AND INTERVAL '1' SECOND FOLLOWING",
    "RANGE BETWEEN INTERVAL '0' SECOND FOLLOWING AND UNBOUNDED FOLLOWING",
    "RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL '1' MINUTE PRECEDING",
];

/// How a job computes it.
struct Mode {
    name: &'static str,
    is_batch: bool,
    /// Rows are taken away again.
    takes_back: bool,
    /// `ts` is the time of events.
    has_rowtime: bool,
}

static MODES: [Mode; 4] = [
    Mode { name: "batch", is_batch: true, takes_back: false, has_rowtime: false },
    Mode { name: "a stream of additions", is_batch: false, takes_back: false, has_rowtime: false },
    Mode { name: "a stream of changes", is_batch: false, takes_back: true, has_rowtime: false },
    Mode { name: "a stream in the order of time", is_batch: false, takes_back: false, has_rowtime: true },
];

/// The table's columns: a key, the argument and one more of its type, and what windows are ordered by.
const COLUMNS: [&str; 9] = ["k", "a", "b", "s", "n", "x", "d", "f", "ts"];

fn columns(argument: &LogicalType) -> Vec<LogicalType> {
    let [key, text, number] = ["INT", "STRING", "BIGINT"].map(logical);
    let [double, decimal, condition] = ["DOUBLE", "DECIMAL(5, 2)", "BOOLEAN"].map(logical);
    let time = logical("TIMESTAMP(3)");
    vec![key, argument.clone(), argument.clone(), text, number, double, decimal, condition, time]
}

/// What is between source and sink; `None` where the query is refused.
fn planned(call: &str, window: &str, argument: &LogicalType, mode: &Mode) -> Result<Option<Vec<StageNode>>, String> {
    let mut session = Session::new();
    if mode.is_batch {
        session.config.set("execution.runtime-mode", "batch");
    }
    let types = columns(argument);
    let declared = COLUMNS.iter().zip(&types).map(|(name, t)| format!("{name} {}", t.serializable_string()));
    let mut declared: Vec<String> = declared.collect();
    if mode.has_rowtime {
        declared.push("WATERMARK FOR ts AS ts".into());
    }
    let changes = if mode.takes_back { "ALL" } else { "I" };
    let table =
        format!("CREATE TABLE t ({}) WITH ('connector' = 'bounded', 'changelog' = '{changes}')", declared.join(", "));
    session.run(&table).map_err(|e| format!("{table}: {e}"))?;
    let query = format!("SELECT n, {call} OVER ({window}) FROM t");
    let query = flott_sql::parser::parse_query(&query).map_err(|e| format!("{query}: {e}"))?;
    let planned = caught(|| session.planner().plan_query(&query))?;
    let graph: JobGraph = match planned.and_then(|p| p.into_graph(void_sink(), None, None)) {
        Ok(graph) => graph,
        Err(e) if e.kind() == ErrorKind::User => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    if !graph.nodes.iter().any(|n| matches!(n.spec, OperatorSpec::OverAggregate(_))) {
        return Err("no operator computes the window".into());
    }
    Ok(Some(chain(&graph)))
}

/// A row that comes, and whether it goes again.
type Rows = Vec<(Vec<Value>, bool)>;

fn rows(argument: &LogicalType, mode: &Mode) -> impl Strategy<Value = Rows> + use<> {
    let mut fields: Vec<_> = columns(argument).iter().map(value).collect();
    fields[0] = (0i64..2).prop_map(Value::Integer).boxed();
    if mode.has_rowtime {
        // A time of events is never NULL.
        fields[8] = (-3i64..100_000).prop_map(Value::Integer).boxed();
    }
    prop_oneof![Just(2), Just(ROWS_MAX)].prop_flat_map(move |most| vec((fields.clone(), any::<bool>()), 0..=most))
}

/// Runs a job over rows; how many results came out.
fn run(chain: &[StageNode], argument: &LogicalType, rows: &Rows, part: usize, mode: &Mode) -> Result<usize, Error> {
    let types = columns(argument);
    let schema = flott_core::types::arrow_schema(COLUMNS.into_iter().zip(&types));
    let mut harness = Harness::of_stages(chain, 1, 128)?;
    let (mut results, mut table) = (0, BTreeMap::<String, i64>::new());
    let mut follow = |harness: &mut Harness| -> Result<(), Error> {
        results += came_out(harness, &mut table)?;
        Ok(())
    };
    let mut send = |harness: &mut Harness, kind: RowKind, rows: Vec<Vec<Value>>| -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let kinds = rows.iter().map(|_| kind).collect::<RowKinds>();
        harness.process(0, ChangeBatch::new(record_batch(&schema, &rows)?, kinds)?)?;
        follow(harness)
    };
    let of = |rows: &[(Vec<Value>, bool)]| rows.iter().map(|r| r.0.clone()).collect::<Vec<_>>();
    for some in rows.chunks(part) {
        send(&mut harness, RowKind::Insert, of(some))?;
        if !mode.is_batch && part > 1 {
            let snapshot = harness.snapshot()?;
            harness = Harness::restore_stages(chain, &snapshot, 1, 128)?;
        }
        if mode.takes_back {
            let gone = some.iter().filter(|r| r.1).map(|r| r.0.clone()).collect();
            send(&mut harness, RowKind::Delete, gone)?;
        }
    }
    harness.end_input()?;
    follow(&mut harness)?;
    let left: i64 = table.values().sum();
    let gone = if mode.takes_back { rows.iter().filter(|r| r.1).count() } else { 0 };
    // Late rows are none of a window by time.
    if table.values().any(|times| *times < 0) || (!mode.has_rowtime && left != (rows.len() - gone) as i64) {
        return Err(Error::internal(format!("{left} rows are left of {}: {table:?}", rows.len())));
    }
    Ok(results)
}

/// What a function over a window gives. Says how many results there were.
fn check(chain: &[StageNode], argument: &LogicalType, mode: &Mode, sampler: &mut Sampler) -> Result<usize, String> {
    let results = std::cell::Cell::new(0);
    let part = 1 + sampler.below(ROWS_MAX);
    sampler.check(&rows(argument, mode), |rows| match run(chain, argument, &rows, part, mode) {
        Ok(given) => {
            results.set(results.get() + given);
            Ok(())
        }
        Err(e) if e.kind() == ErrorKind::Data => Ok(()),
        Err(e) => Err(TestCaseError::fail(e.to_string())),
    })?;
    Ok(results.get())
}

/// A function over any windows in a mode, until there are enough of them and of results.
fn run_function(call: &str, mode: &Mode, arguments: &[&LogicalType], sampler: &mut Sampler) -> Vec<String> {
    let (mut given, mut wrong, mut taken) = (0, vec![], 0);
    for _ in 0..WINDOWS_TRIED_MAX {
        if given >= RESULTS_MIN && taken >= WINDOWS_MIN {
            break;
        }
        let argument = *sampler.pick(arguments);
        let partition = *sampler.pick(&["", "PARTITION BY k", "PARTITION BY k, f", "PARTITION BY a"]);
        // A stream in the order of time has hardly another one.
        let order = if mode.has_rowtime && !sampler.one_in(4) { "ORDER BY ts" } else { *sampler.pick(&ORDERS) };
        // A function of a row's place has no frame.
        let frame = if sampler.one_in(2) { "" } else { *sampler.pick(&FRAMES) };
        let window = format!("{partition} {order} {frame}");
        let one = caught(|| {
            let Some(chain) = planned(call, &window, argument, mode)? else { return Ok(None) };
            check(&chain, argument, mode, sampler).map(Some)
        });
        match one {
            Ok(Ok(Some(results))) => (given, taken) = (given + results, taken + 1),
            Ok(Ok(None)) => {}
            Ok(Err(e)) | Err(e) => wrong.push(format!("{call} OVER ({window}), a {argument} ({}): {e}", mode.name)),
        }
    }
    if given < RESULTS_MIN {
        wrong.push(format!("{call} gave {given} results in {taken} windows ({})", mode.name));
    }
    wrong
}

#[test]
fn every_function_over_windows() {
    let mut sampler = Sampler::new();
    let arguments = arguments();
    let mut wrong = vec![];
    for (call, is_of_streams) in FUNCTIONS {
        let fits = |a: &&LogicalType| matches!(planned(call, "ORDER BY n", a, &MODES[0]), Ok(Some(_)));
        let fitting: Vec<&LogicalType> = arguments.iter().filter(fits).collect();
        if fitting.is_empty() {
            wrong.push(format!("{call} takes no type"));
            continue;
        }
        for mode in MODES.iter().filter(|m| m.is_batch || is_of_streams) {
            wrong.extend(run_function(call, mode, &fitting, &mut sampler));
        }
    }
    sampler.finish(&wrong);
}
