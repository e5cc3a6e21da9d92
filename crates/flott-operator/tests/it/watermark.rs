//! Watermarks from rows.

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use datafusion_physical_expr::expressions::col;
use flott_core::{ChangeBatch, Watermark};
use flott_graph::WatermarkSpec;
use flott_operator::WatermarkGenerator;
use flott_testkit::{batch_of, schema};
use proptest::prelude::*;

fn spec(schema: &SchemaRef, interval_ms: u64) -> WatermarkSpec {
    WatermarkSpec {
        rowtime: col("ts", schema).expect("a column"),
        expression: col("w", schema).expect("a column"),
        from_source: false,
        pushed_down: false,
        is_shown: false,
        interval: Duration::from_millis(interval_ms),
        idle_timeout: None,
        alignment: None,
    }
}

fn table() -> SchemaRef {
    schema("ts TIMESTAMP(3), w TIMESTAMP(3)")
}

fn rows(values: &[(i64, Option<i64>)]) -> ChangeBatch {
    let ts: arrow_array::TimestampMillisecondArray = values.iter().map(|v| Some(v.0)).collect();
    let w: arrow_array::TimestampMillisecondArray = values.iter().map(|v| v.1).collect();
    let rows = arrow_array::RecordBatch::try_new(table(), vec![Arc::new(ts), Arc::new(w)]).expect("a batch");
    ChangeBatch::append(rows)
}

#[test]
fn a_batch_is_cut_only_before_a_row_that_may_be_late() {
    let mut generator = WatermarkGenerator::new(&spec(&table(), 200), i64::MIN);
    let in_order = rows(&[(1_000, Some(0)), (2_000, Some(1_000)), (3_000, Some(2_000))]);
    let pieces = generator.process(in_order, 0).expect("pieces");
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].1, Some(Watermark(2_000)));
    let late = rows(&[(9_000, Some(8_000)), (8_002, None), (8_001, Some(7_000)), (7_000, None)]);
    let pieces = generator.process(late, 0).expect("pieces");
    let shape: Vec<_> = pieces.iter().map(|(b, w)| (b.num_rows(), *w)).collect();
    assert_eq!(shape, [(2, Some(Watermark(8_000))), (2, None)]);
    assert_eq!(generator.current(), 8_000);
    // Nothing moves without a greater watermark.
    assert_eq!(generator.process(rows(&[(1, Some(8_000))]), 0).expect("pieces")[0].1, None);
    assert!(!generator.is_pending());
}

#[test]
fn what_has_moved_by_less_than_the_interval_waits() {
    let mut generator = WatermarkGenerator::new(&spec(&table(), 200), i64::MIN);
    let mut process = |values: &[(i64, Option<i64>)]| {
        let pieces = generator.process(rows(values), 0).expect("pieces");
        (pieces.iter().map(|p| p.1).collect::<Vec<_>>(), generator.is_pending(), generator.clone())
    };
    assert_eq!(process(&[(1_000, Some(1_000)), (1_100, Some(1_100))]).0, [Some(Watermark(1_000))]);
    let (marks, pending, mut waiting) = process(&[(1_050, Some(1_050)), (1_200, Some(1_200))]);
    assert_eq!((marks.as_slice(), pending), ([None].as_slice(), true), "a row at 1050 is not late");
    assert_eq!(process(&[(1_201, Some(1_201))]).0, [Some(Watermark(1_201))]);
    assert_eq!(waiting.flush(), Some(Watermark(1_200)));
    assert_eq!(waiting.flush(), None);
    // What is restored leaves again.
    let mut restored = WatermarkGenerator::new(&spec(&table(), 200), waiting.current());
    assert_eq!(restored.flush(), Some(Watermark(1_200)));
}

#[test]
fn rows_that_are_shown_with_the_watermark_are_cut_behind_each() {
    let spec = WatermarkSpec { is_shown: true, ..spec(&table(), 200) };
    let mut generator = WatermarkGenerator::new(&spec, i64::MIN);
    let values = rows(&[(1_000, Some(1_000)), (1_100, Some(1_100)), (2_000, Some(2_000)), (3_000, Some(3_000))]);
    let pieces = generator.process(values, 0).expect("pieces");
    let shape: Vec<_> = pieces.iter().map(|(b, w)| (b.num_rows(), w.map(|w| w.0))).collect();
    assert_eq!(shape, [(1, Some(1_000)), (2, Some(2_000)), (1, Some(3_000))]);
}

#[test]
fn before_1970_nothing_is_late() {
    let mut generator = WatermarkGenerator::new(&spec(&table(), 0), i64::MIN);
    for time in [-60_000, -3_600_000, 0] {
        let pieces = generator.process(rows(&[(time, Some(time))]), 0).expect("pieces");
        assert_eq!(pieces.iter().map(|p| p.1).collect::<Vec<_>>(), [None], "{time}");
    }
    assert_eq!(generator.process(rows(&[(1, Some(1))]), 0).expect("pieces")[0].1, Some(Watermark(1)));
}

#[test]
fn a_row_without_a_time_is_an_error() {
    let mut generator = WatermarkGenerator::new(&spec(&table(), 200), i64::MIN);
    let batch = batch_of(&table(), &["+I[null, 1970-01-01T00:00:00]"]);
    let error = generator.process(batch, 0).expect_err("an error");
    assert!(error.message().contains("RowTime field should not be null"), "{error}");
    assert!(error.hint_text().is_some());
}

#[test]
fn units_and_instants() {
    for t in ["TIMESTAMP(6)", "TIMESTAMP(9)", "TIMESTAMP_LTZ(3)"] {
        let schema = schema(&format!("ts {t}, w {t}"));
        let zone = if t.starts_with("TIMESTAMP_LTZ") { "Z" } else { "" };
        let mut generator = WatermarkGenerator::new(&spec(&schema, 0), i64::MIN);
        let batch = batch_of(&schema, &[format!("+I[1970-01-01T00:00:02{zone}, 1970-01-01T00:00:01{zone}]")]);
        let pieces = generator.process(batch, 0).expect("pieces");
        assert_eq!(pieces[0].1, Some(Watermark(1_000)), "{t}");
    }
}

/// Rows that row-by-row processing calls late (against the watermarks that it has emitted) are the same ones, however the
/// rows are cut into batches.
fn late_rows_are_the_same(
    values: &[(i64, Option<i64>)],
    cuts: &[usize],
    interval: u64,
    restored: i64,
) -> Result<(), TestCaseError> {
    let spec = spec(&table(), interval);
    let mut naive = vec![];
    let (mut current, mut last) = (restored.max(0), 0);
    for (time, mark) in values {
        naive.push(*time <= last && last > 0);
        current = current.max(mark.unwrap_or(i64::MIN));
        if current - last > interval as i64 {
            last = current;
        }
    }
    let mut generator = WatermarkGenerator::new(&spec, restored);
    let mut vectorised = vec![];
    let mut emitted = 0;
    let mut left = values;
    for cut in cuts.iter().cycle() {
        if left.is_empty() {
            break;
        }
        let (batch, rest) = left.split_at(left.len().min(*cut));
        left = rest;
        for (piece, watermark) in generator.process(rows(batch), 0).expect("pieces") {
            let times = arrow_array::cast::AsArray::as_primitive::<arrow_array::types::TimestampMillisecondType>(
                piece.rows.column(0),
            );
            prop_assert!(watermark.is_none_or(|w| w.0 > emitted), "{watermark:?} after {emitted}");
            vectorised.extend(times.values().iter().map(|t| *t <= emitted && emitted > 0));
            emitted = emitted.max(watermark.map_or(i64::MIN, |w| w.0));
        }
    }
    prop_assert_eq!(naive, vectorised);
    prop_assert_eq!(emitted, last);
    prop_assert_eq!(generator.current().max(0), current);
    Ok(())
}

proptest! {
    #[test]
    fn late_rows_are_those_of_row_by_row_processing(
        values in proptest::collection::vec((-1_000i64..2_000, proptest::option::weighted(0.9, 0i64..300)), 1..60),
        cuts in proptest::collection::vec(1usize..20, 1..60),
        interval in 0u64..200,
        restored in prop_oneof![Just(i64::MIN), -500i64..1_000],
    ) {
        let values: Vec<(i64, Option<i64>)> = values.into_iter().map(|(t, d)| (t, d.map(|d| t - d))).collect();
        late_rows_are_the_same(&values, &cuts, interval, restored)?;
    }

    /// The same of rows that are nearly in order, which are looked at many at a time.
    #[test]
    fn late_rows_are_the_same_where_rows_are_nearly_in_order(
        jitter in proptest::collection::vec(prop_oneof![20 => 0i64..3, 1 => -900i64..200], 1..1_500),
        step in 0i64..4,
        delay in prop_oneof![0i64..3, 100i64..1_000],
        cuts in proptest::collection::vec(1usize..1_000, 1..5),
        interval in 0u64..500,
    ) {
        let time = |(i, off): (usize, &i64)| i as i64 * step + off;
        let values: Vec<_> = jitter.iter().enumerate().map(time).map(|t| (t, Some(t - delay))).collect();
        late_rows_are_the_same(&values, &cuts, interval, i64::MIN)?;
    }
}
