//! Every aggregate: rows come and go, partial results are merged and stored, and there is a result for each group.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use flott_core::types::{TypeKind, from_arrow_field};
use flott_core::{ChangeBatch, Error, ErrorKind, LogicalType, RowKind, RowKinds, SessionZone};
use flott_function::AggregateKind;
use flott_function::cast::format_column;
use flott_graph::{JobGraph, OperatorSpec};
use flott_operator::harness::{Harness, StageNode};
use flott_testkit::{Value, record_batch, rows_of};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::any_input::sampler::{Sampler, caught};
use crate::any_input::types::{TYPES, logical};
use crate::any_input::values::value;
use crate::common::{Session, void_sink};

/// Inputs of each aggregate over a type.
const INPUTS: usize = 2;
/// Results that each aggregate must have given in each mode.
const RESULTS_MIN: usize = 5;
/// The most inputs until there are so many.
const RUNS_MAX: usize = 100;
const ROWS_MAX: usize = 9;

/// Over the columns of [`columns`].
const AGGREGATES: [&str; 41] = [
    "COUNT(*)",
    "COUNT(a)",
    "COUNT(DISTINCT a)",
    "COUNT(a) FILTER (WHERE f)",
    "SUM(a)",
    "SUM(DISTINCT a)",
    "SUM(a) FILTER (WHERE f)",
    "AVG(a)",
    "AVG(DISTINCT a)",
    "MIN(a)",
    "MAX(a)",
    "FIRST_VALUE(a)",
    "LAST_VALUE(a)",
    "SINGLE_VALUE(a)",
    "LISTAGG(a)",
    "LISTAGG(a, '-')",
    "LISTAGG(DISTINCT a)",
    "ARRAY_AGG(a)",
    "ARRAY_AGG(DISTINCT a)",
    "ARRAY_AGG(a IGNORE NULLS)",
    "COLLECT(a)",
    "JSON_OBJECTAGG(KEY s VALUE a)",
    "JSON_OBJECTAGG(KEY s VALUE a ABSENT ON NULL)",
    "JSON_ARRAYAGG(a)",
    "JSON_ARRAYAGG(a NULL ON NULL)",
    "STDDEV_POP(a)",
    "STDDEV_SAMP(a)",
    "VAR_POP(a)",
    "VAR_SAMP(DISTINCT a)",
    "PERCENTILE(a, 0.5)",
    "PERCENTILE(a, ARRAY[0, 0.9, 1], n)",
    "PERCENTILE(a, 0.5, n * 4294967296)",
    "APPROX_COUNT_DISTINCT(a)",
    "BITMAP_BUILD_AGG(a)",
    "BITMAP_BUILD_CARDINALITY_AGG(a)",
    "BITMAP_AND_AGG(a)",
    "BITMAP_AND_CARDINALITY_AGG(a)",
    "BITMAP_OR_AGG(a)",
    "BITMAP_OR_CARDINALITY_AGG(a)",
    "BITMAP_XOR_AGG(a)",
    "BITMAP_XOR_CARDINALITY_AGG(a)",
];

/// How a job computes it.
struct Mode {
    name: &'static str,
    options: &'static [(&'static str, &'static str)],
    /// Rows are taken away again.
    takes_back: bool,
    /// Rows have their effect one by one, in order, however they come.
    is_exact: bool,
}

static MODES: [Mode; 6] = [
    Mode { name: "each row", options: &[], takes_back: true, is_exact: true },
    Mode { name: "only added", options: &[], takes_back: false, is_exact: true },
    Mode {
        name: "two phases",
        options: &[
            ("table.exec.mini-batch.enabled", "true"),
            ("table.exec.mini-batch.allow-latency", "1 s"),
            ("table.exec.mini-batch.size", "3"),
            ("table.optimizer.agg-phase-strategy", "TWO_PHASE"),
        ],
        takes_back: true,
        is_exact: false,
    },
    Mode {
        name: "split",
        options: &[
            ("table.exec.mini-batch.enabled", "true"),
            ("table.exec.mini-batch.allow-latency", "1 s"),
            ("table.exec.mini-batch.size", "100"),
            ("table.optimizer.agg-phase-strategy", "TWO_PHASE"),
            ("table.optimizer.distinct-agg.split.enabled", "true"),
        ],
        takes_back: false,
        is_exact: false,
    },
    Mode {
        name: "split without increments",
        options: &[
            ("table.exec.mini-batch.enabled", "true"),
            ("table.exec.mini-batch.allow-latency", "1 s"),
            ("table.exec.mini-batch.size", "100"),
            ("table.optimizer.agg-phase-strategy", "TWO_PHASE"),
            ("table.optimizer.distinct-agg.split.enabled", "true"),
            ("table.optimizer.incremental-agg-enabled", "false"),
        ],
        takes_back: false,
        is_exact: false,
    },
    Mode { name: BATCH, options: &[("execution.runtime-mode", "batch")], takes_back: false, is_exact: false },
];

/// All rows are there before the first result; there are no barriers.
const BATCH: &str = "batch";

/// A key, the argument, and what some aggregates take besides.
fn columns(argument: &LogicalType) -> Vec<LogicalType> {
    let others = ["INT", "STRING", "INT", "BOOLEAN"].map(logical);
    let [key, text, number, condition] = others;
    vec![key, argument.clone(), text, number, condition]
}

/// The job of an aggregate in a mode; `None` where it is refused.
fn planned(aggregate: &str, argument: &LogicalType, mode: &Mode) -> Result<Option<JobGraph>, String> {
    let mut session = Session::new();
    mode.options.iter().for_each(|(key, value)| session.config.set(*key, *value));
    let changes = if mode.takes_back { "ALL" } else { "I" };
    let table = format!(
        "CREATE TABLE t (k INT, a {}, s STRING, n INT, f BOOLEAN) WITH ('connector' = 'bounded', 'changelog' = '{changes}')",
        argument.serializable_string()
    );
    session.run(&table).map_err(|e| format!("{table}: {e}"))?;
    let query = format!("SELECT k, {aggregate} FROM t GROUP BY k");
    let query = flott_sql::parser::parse_query(&query).map_err(|e| format!("{query}: {e}"))?;
    let planned = caught(|| session.planner().plan_query(&query))?;
    match planned.and_then(|p| p.into_graph(void_sink(), None, None)) {
        Ok(graph) => Ok(Some(graph)),
        Err(e) if e.kind() == ErrorKind::User => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}

/// What is between source and sink.
pub(super) fn chain(graph: &JobGraph) -> Vec<StageNode> {
    let between = graph.nodes.iter().filter(|n| !matches!(n.spec, OperatorSpec::Source(_) | OperatorSpec::Sink(_)));
    between.map(|n| (n.clone(), n.inputs.iter().map(|i| i.partitioning.clone()).collect())).collect()
}

/// The functions that its operators compute.
fn kinds(graph: &JobGraph) -> impl Iterator<Item = AggregateKind> {
    let calls = graph.nodes.iter().flat_map(|n| match &n.spec {
        OperatorSpec::GroupAggregate(s)
        | OperatorSpec::LocalGroupAggregate(s)
        | OperatorSpec::GlobalGroupAggregate(s) => s.aggregates.as_slice(),
        OperatorSpec::IncrementalGroupAggregate(s) => s.merged.aggregates.as_slice(),
        _ => &[],
    });
    calls.map(|c| c.kind)
}

/// A row that comes, and whether it goes again.
type Rows = Vec<(Vec<Value>, bool)>;

fn rows(argument: &LogicalType) -> impl Strategy<Value = Rows> + use<> {
    let key = (0i64..2).prop_map(Value::Integer).boxed();
    let fields: Vec<_> = std::iter::once(key).chain(columns(argument)[1..].iter().map(value)).collect();
    // Some fail as soon as a group has two rows.
    prop_oneof![Just(2), Just(ROWS_MAX)].prop_flat_map(move |most| vec((fields.clone(), any::<bool>()), 0..=most))
}

/// A job that runs: its operators, what came out, and the table that this makes.
struct Run<'a> {
    chain: &'a [StageNode],
    harness: Harness,
    columns: Vec<LogicalType>,
    table: BTreeMap<String, i64>,
    results: usize,
}

impl Run<'_> {
    fn new<'a>(chain: &'a [StageNode], argument: &LogicalType) -> Result<Run<'a>, Error> {
        let harness = Harness::of_stages(chain, 1, 128)?;
        Ok(Run { chain, harness, columns: columns(argument), table: BTreeMap::new(), results: 0 })
    }

    fn changes<'r>(&mut self, kind: RowKind, rows: impl Iterator<Item = &'r Vec<Value>>) -> Result<(), Error> {
        let rows: Vec<Vec<Value>> = rows.cloned().collect();
        if rows.is_empty() {
            return Ok(());
        }
        let named: Vec<&str> = vec!["k", "a", "s", "n", "f"];
        let schema = flott_core::types::arrow_schema(named.into_iter().zip(&self.columns));
        let kinds = rows.iter().map(|_| kind).collect::<RowKinds>();
        self.harness.process(0, ChangeBatch::new(record_batch(&schema, &rows)?, kinds)?)?;
        self.follow()
    }

    /// A barrier, and the same job again at another parallelism.
    fn restart(&mut self, parallelism: usize) -> Result<(), Error> {
        let snapshot = self.harness.snapshot()?;
        self.follow()?;
        self.harness = Harness::restore_stages(self.chain, &snapshot, parallelism, 128)?;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        self.harness.end_input()?;
        self.follow()
    }

    /// Looks at what came out.
    fn follow(&mut self) -> Result<(), Error> {
        self.results += came_out(&mut self.harness, &mut self.table)?;
        self.table.retain(|_, times| *times != 0);
        Ok(())
    }
}

/// Looks at what came out and adds it to a table; how many rows were added.
pub(super) fn came_out(harness: &mut Harness, table: &mut BTreeMap<String, i64>) -> Result<usize, Error> {
    let mut results = 0;
    for batch in harness.take_output() {
        for (column, field) in batch.rows.columns().iter().zip(batch.rows.schema().fields()) {
            let t = from_arrow_field(field).ok_or_else(|| Error::internal(format!("no type of {field}")))?;
            if !t.nullable && column.logical_null_count() > 0 {
                return Err(Error::internal(format!("{field} has a NULL")));
            }
            format_column(column, &t, SessionZone::default())?;
        }
        for (row, text) in rows_of([&batch]).into_iter().enumerate() {
            let change = if batch.kind(row).is_addition() { 1 } else { -1 };
            results += usize::from(change > 0);
            *table.entry(text[2..].to_string()).or_default() += change;
        }
    }
    Ok(results)
}

/// All rows, in `parts` that come one behind another; those that go, go behind their part.
fn run(
    chain: &[StageNode],
    argument: &LogicalType,
    rows: &Rows,
    part: usize,
    mode: &Mode,
) -> Result<(BTreeMap<String, i64>, usize), Error> {
    let mut run = Run::new(chain, argument)?;
    for (i, half) in [&rows[..rows.len() / 2], &rows[rows.len() / 2..]].into_iter().enumerate() {
        for rows in half.chunks(part) {
            run.changes(RowKind::Insert, rows.iter().map(|r| &r.0))?;
        }
        if mode.takes_back {
            run.changes(RowKind::Delete, half.iter().filter(|r| r.1).map(|r| &r.0))?;
        }
        if part > 1 && mode.name != BATCH {
            run.restart(2 - i)?;
        }
    }
    run.end()?;
    Ok((run.table, run.results))
}

/// A table, or that its data are refused.
fn checked<T>(result: Result<T, Error>, what: &str) -> Result<Option<T>, TestCaseError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == ErrorKind::Data => Ok(None),
        Err(e) => Err(TestCaseError::fail(format!("{what}: {e}"))),
    }
}

/// What an aggregate over a type gives. Says how many results there were.
fn check(graph: &JobGraph, argument: &LogicalType, mode: &Mode, sampler: &mut Sampler) -> Result<usize, String> {
    let chain = chain(graph);
    let results = Cell::new(0);
    for _ in 0..INPUTS {
        sampler.check(&rows(argument), |rows| {
            let whole = checked(run(&chain, argument, &rows, ROWS_MAX, mode), "at once")?;
            let single = checked(run(&chain, argument, &rows, 1, mode), "row by row")?;
            if let Some((_, n)) = &whole {
                results.set(results.get() + n);
            }
            if mode.is_exact {
                let table = |t: &Option<(BTreeMap<String, i64>, usize)>| t.as_ref().map(|t| t.0.clone());
                prop_assert_eq!(table(&whole), table(&single), "at once, and row by row");
            }
            Ok(())
        })?;
    }
    Ok(results.get())
}

pub(super) fn arguments() -> Vec<LogicalType> {
    // A table declares its time attributes otherwise, and has no column of NULLs.
    let types = TYPES.iter().filter(|t| !t.contains('*') && **t != "NULL").map(|t| logical(t));
    types.chain([TypeKind::Int.not_null(), TypeKind::Double.not_null(), TypeKind::STRING.not_null()]).collect()
}

/// What all runs share.
struct Runs {
    sampler: Sampler,
    wrong: Vec<String>,
    /// The functions that operators computed.
    seen: BTreeSet<&'static str>,
}

impl Runs {
    /// How many results an aggregate over a type gives in a mode; `None` where it is refused.
    fn run(&mut self, aggregate: &str, argument: &LogicalType, mode: &Mode) -> Option<usize> {
        let given = caught(|| {
            let Some(graph) = planned(aggregate, argument, mode)? else { return Ok(None) };
            self.seen.extend(kinds(&graph).map(AggregateKind::name));
            check(&graph, argument, mode, &mut self.sampler).map(Some)
        });
        match given {
            Ok(Ok(given)) => given,
            Ok(Err(e)) | Err(e) => {
                self.wrong.push(format!("{aggregate} over {argument} ({}): {e}", mode.name));
                Some(RESULTS_MIN)
            }
        }
    }

    /// An aggregate over every type in some mode, and in every mode over some type.
    fn run_all(&mut self, aggregate: &str, arguments: &[LogicalType]) {
        let mut results: BTreeMap<&str, usize> = BTreeMap::new();
        let mut taken = vec![];
        for argument in arguments {
            let mode = self.sampler.pick(&MODES);
            // Flink has it in batch mode alone.
            let mode = if is_of_batch(aggregate) { &MODES[MODES.len() - 1] } else { mode };
            if let Some(given) = self.run(aggregate, argument, mode) {
                *results.entry(mode.name).or_default() += given;
                taken.push(argument);
            }
        }
        if taken.is_empty() {
            return self.wrong.push(format!("{aggregate} takes no type"));
        }
        for mode in MODES.iter().filter(|m| !is_of_batch(aggregate) || m.name == BATCH) {
            let mut given = results.get(mode.name).copied().unwrap_or(0);
            for _ in 0..RUNS_MAX {
                if given >= RESULTS_MIN {
                    break;
                }
                let argument = *self.sampler.pick(&taken);
                given += self.run(aggregate, argument, mode).unwrap_or(0);
            }
            if given < RESULTS_MIN {
                self.wrong.push(format!("{aggregate} gave {given} results ({})", mode.name));
            }
        }
    }
}

fn is_of_batch(aggregate: &str) -> bool {
    aggregate.starts_with("APPROX_COUNT_DISTINCT")
}

#[test]
fn every_aggregate_in_every_mode() {
    let mut runs = Runs { sampler: Sampler::new(), wrong: vec![], seen: BTreeSet::new() };
    let arguments = arguments();
    for aggregate in AGGREGATES {
        runs.run_all(aggregate, &arguments);
    }
    // These are made of others, and have no accumulator.
    let made_of_others = ["APPROX_COUNT_DISTINCT", "STDDEV_POP", "STDDEV_SAMP", "VAR_POP", "VAR_SAMP"];
    let missing: Vec<&str> = AggregateKind::ALL
        .iter()
        .map(|k| k.name())
        .filter(|name| !runs.seen.contains(name) && !made_of_others.contains(name))
        .collect();
    if !missing.is_empty() {
        runs.wrong.push(format!("never computed: {missing:?}"));
    }
    runs.sampler.finish(&runs.wrong);
}
