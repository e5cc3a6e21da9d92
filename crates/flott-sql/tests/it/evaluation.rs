//! What the planned expressions compute, over rows of VALUES read from their source.

use std::task::{Context, Poll, Waker};

use arrow_array::{ArrayRef, RecordBatch};
use flott_connector::Versioned;
use flott_connector::source::{EnumeratorAction, EnumeratorContext, ReaderEvent, Source, SourceSplit, SubtaskInfo};
use flott_core::{CheckpointId, Result};
use flott_graph::{JobGraph, OperatorSpec};

use crate::common::{Session, void_sink};

/// Nothing here ever waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a source in memory waits"),
    }
}

/// All rows of a source from a position, and the positions after each batch.
fn read(source: &dyn Source, from: Option<SourceSplit>) -> (Vec<RecordBatch>, Vec<Versioned>) {
    let subtask = SubtaskInfo { index: 0, parallelism: 1 };
    let mut reader = source.create_reader(subtask).unwrap();
    let mut enumerator = source.create_enumerator(None).unwrap();
    let mut context =
        EnumeratorContext { parallelism: 1, readers: vec![0], load: vec![0], ..EnumeratorContext::default() };
    let (mut rows, mut positions) = (vec![], vec![]);
    if let Some(split) = from {
        reader.add_splits(vec![split]).unwrap();
        reader.no_more_splits();
    }
    loop {
        match now(reader.next()).unwrap() {
            ReaderEvent::Batch(batch) => {
                rows.push(batch.rows.rows);
                positions.push(batch.position);
            }
            ReaderEvent::SplitFinished { .. } | ReaderEvent::Event(_) => {}
            ReaderEvent::NeedSplits => {
                enumerator.handle_split_request(0, &mut context).unwrap();
                for action in context.actions.drain(..) {
                    match action {
                        EnumeratorAction::Assign { splits, .. } => reader.add_splits(splits).unwrap(),
                        EnumeratorAction::NoMoreSplits { .. } => reader.no_more_splits(),
                        EnumeratorAction::SendEvent { .. } => panic!("an event of VALUES"),
                    }
                }
            }
            ReaderEvent::EndOfInput => return (rows, positions),
        }
    }
}

fn graph(query: &str) -> JobGraph {
    let session = Session::standard();
    let query = flott_sql::parser::parse_query(query).unwrap();
    session.planner().plan_query(&query).unwrap().into_graph(void_sink(), Some(1), None).unwrap()
}

/// The first column of a query over VALUES, as text.
fn column(query: &str) -> Result<Vec<String>> {
    let graph = graph(query);
    let mut sources = graph.sources();
    let (_, source) = sources.next().expect("a source");
    let OperatorSpec::Source(spec) = &source.spec else { panic!("a source") };
    let (batches, _) = read(spec.source.as_ref(), None);
    let calc = graph.nodes.iter().find_map(|n| match &n.spec {
        OperatorSpec::Calc(c) => Some(c),
        _ => None,
    });
    let mut out = vec![];
    for batch in batches {
        let values: ArrayRef = match calc {
            None => batch.column(0).clone(),
            Some(calc) => calc.projection[0].evaluate(&batch).unwrap().into_array(batch.num_rows()).unwrap(),
        };
        let keep: Vec<bool> = match calc.and_then(|c| c.filter.as_ref()) {
            None => vec![true; batch.num_rows()],
            Some(filter) => {
                let kept = filter.evaluate(&batch).unwrap().into_array(batch.num_rows()).unwrap();
                let kept = kept.as_any().downcast_ref::<arrow_array::BooleanArray>().unwrap().clone();
                (0..batch.num_rows()).map(|i| arrow_array::Array::is_valid(&kept, i) && kept.value(i)).collect()
            }
        };
        for (i, kept) in keep.iter().enumerate() {
            if *kept {
                let value = datafusion_common::ScalarValue::try_from_array(&values, i).unwrap();
                out.push(if value.is_null() { "NULL".to_string() } else { value.to_string() });
            }
        }
    }
    Ok(out)
}

#[test]
fn expressions_compute_what_sql_says() {
    let rows = "(VALUES (1, 'abc', 10), (2, CAST(NULL AS STRING), 20), (3, 'x', NULL)) AS t (a, b, c)";
    for (e, expected) in [
        ("a + 1", ["2", "3", "4"]),
        ("a * 2 - c", ["-8", "-16", "NULL"]),
        ("CASE WHEN c > 15 THEN 'big' WHEN c IS NULL THEN 'none' ELSE 'small' END", ["small", "big", "none"]),
        ("CASE a WHEN 1 THEN c END", ["10", "NULL", "NULL"]),
        ("a IN (1, 3)", ["true", "false", "true"]),
        ("c IN (10)", ["true", "false", "NULL"]),
        ("c NOT IN (10, NULL)", ["false", "NULL", "NULL"]),
        ("a BETWEEN 2 AND 3", ["false", "true", "true"]),
        ("a NOT BETWEEN 2 AND 3", ["true", "false", "false"]),
        ("b LIKE 'a%'", ["true", "NULL", "false"]),
        ("b IS NULL", ["false", "true", "false"]),
        ("(c > 15) IS NOT TRUE", ["true", "false", "true"]),
        ("(c > 15) IS UNKNOWN", ["false", "false", "true"]),
        ("c IS DISTINCT FROM 10", ["false", "true", "true"]),
        ("a > 1 OR c > 5", ["true", "true", "true"]),
        ("-a", ["-1", "-2", "-3"]),
    ] {
        assert_eq!(column(&format!("SELECT {e} FROM {rows}")).unwrap(), expected, "{e}");
    }
    assert_eq!(column(&format!("SELECT a FROM {rows} WHERE c > 5 AND b LIKE '%c'")).unwrap(), ["1"]);
    assert_eq!(column("SELECT 1 + 1").unwrap(), ["2"]);
    assert_eq!(
        column("SELECT r.`EXPR$1` FROM (SELECT ROW(x, y) AS r FROM (VALUES (1, 'p'), (2, 'q')) AS v (x, y)) AS w")
            .unwrap(),
        ["p", "q"]
    );
}

#[test]
fn values_go_on_from_their_position() {
    let rows: Vec<String> = (0..100).map(|i| format!("({i})")).collect();
    let graph = graph(&format!("VALUES {}", rows.join(", ")));
    let (_, source) = graph.sources().next().unwrap();
    let OperatorSpec::Source(spec) = &source.spec else { panic!("a source") };
    let (all, positions) = read(spec.source.as_ref(), None);
    assert_eq!(all.iter().map(RecordBatch::num_rows).sum::<usize>(), 100);
    let end = SourceSplit { id: "values".into(), data: positions[positions.len() - 1].clone() };
    assert!(read(spec.source.as_ref(), Some(end)).0.is_empty());
    let middle = SourceSplit { id: "values".into(), data: Versioned::new(1, 40u64.to_le_bytes().to_vec()) };
    let (rest, _) = read(spec.source.as_ref(), Some(middle));
    assert_eq!(rest.iter().map(RecordBatch::num_rows).sum::<usize>(), 60);

    // A restored enumerator does not hand out what a reader has.
    let mut enumerator = spec.source.create_enumerator(None).unwrap();
    let mut context = EnumeratorContext::default();
    assert_eq!(enumerator.snapshot_state(CheckpointId(1)).unwrap(), Versioned::new(1, 0u64.to_le_bytes().to_vec()));
    enumerator.handle_split_request(0, &mut context).unwrap();
    let state = enumerator.snapshot_state(CheckpointId(2)).unwrap();
    let mut restored = spec.source.create_enumerator(Some(state)).unwrap();
    let mut context = EnumeratorContext::default();
    restored.handle_split_request(0, &mut context).unwrap();
    assert_eq!(context.actions, [EnumeratorAction::NoMoreSplits { reader: 0 }]);
    let unknown = spec.source.create_enumerator(Some(Versioned::new(9, vec![0; 8])));
    assert!(unknown.is_err_and(|e| e.to_string().contains("version 9")));
}
