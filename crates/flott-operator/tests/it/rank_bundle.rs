//! Deduplication in mini-batches: whatever the batches, barriers and parallelism, the changes are those of Flink's bundle
//! functions, and add up to one row for each key.

use std::collections::BTreeMap;
use std::time::Duration;

use flott_core::Watermark;
use flott_graph::{DeduplicateSpec, Keep, MiniBatch};
use flott_operator::harness::Harness;
use flott_testkit::{batch, rows_of};
use proptest::prelude::*;

use crate::rank::{EVENTS, deduplicate};

fn batches_of(size_rows: usize) -> Option<MiniBatch> {
    Some(MiniBatch { latency: Duration::from_millis(100), size_rows })
}

/// A row: its key, its number, its second.
type Row = (u8, i32, u8);

fn printed(kind: &str, (key, id, second): Row, in_out: char) -> String {
    let key = char::from(b'a' + key);
    match (in_out, second) {
        ('i', _) => format!("{kind}[{key}, {id}, 1970-01-01 00:00:{second:02}]"),
        (_, 0) => format!("{kind}[{key}, {id}, 1970-01-01T00:00]"),
        _ => format!("{kind}[{key}, {id}, 1970-01-01T00:00:{second:02}]"),
    }
}

fn fed(h: &mut Harness, rows: &[Row]) -> Vec<String> {
    let lines: Vec<String> = rows.iter().map(|r| printed("+I", *r, 'i')).collect();
    h.process(0, batch(EVENTS, &lines)).expect("rows");
    rows_of(&h.take_output())
}

fn out(changes: &[(&str, Row)]) -> Vec<String> {
    changes.iter().map(|(kind, row)| printed(kind, *row, 'o')).collect()
}

/// Of the keys `a` and `b` the second leaves first: `BundleOrder`.
#[test]
fn by_event_time_every_change_of_a_mini_batch_is_shown_key_by_key() {
    let rows = [(0, 1, 5), (1, 2, 5), (0, 3, 3), (0, 4, 5), (1, 5, 7)];
    let last = deduplicate(Keep::Last, Some(2), |s| s.mini_batch = batches_of(5));
    let mut h = Harness::new(&last, 1, 128).expect("operators");
    let of_a = [("+I", rows[0]), ("-U", rows[0]), ("+U", rows[3])];
    let of_b = [("+I", rows[1]), ("-U", rows[1]), ("+U", rows[4])];
    assert_eq!(fed(&mut h, &rows), out(&[of_b, of_a].concat()));
    // The first one of those that have come; one that comes before it takes its place.
    let first = deduplicate(Keep::First, Some(2), |s| s.mini_batch = batches_of(5));
    let mut h = Harness::new(&first, 1, 128).expect("operators");
    assert_eq!(fed(&mut h, &rows), out(&[("+I", rows[1]), ("+I", rows[0]), ("-U", rows[0]), ("+U", rows[2])]));
    // What comes behind the watermark, too.
    h.watermark_all(Watermark(60_000)).expect("a watermark");
    let more = [(0, 6, 3), (0, 7, 2), (1, 8, 9), (1, 9, 9), (1, 10, 9)];
    assert_eq!(fed(&mut h, &more), out(&[("-U", rows[2]), ("+U", more[1])]));
    assert_eq!(h.late_records_dropped(), 0);
}

#[test]
fn compact_changes_are_one_for_each_key() {
    let rows = [(0, 1, 5), (1, 2, 5), (0, 3, 3), (0, 4, 5), (1, 5, 7)];
    let compact = |keep: Keep| {
        let nodes = deduplicate(keep, Some(2), |s| (s.mini_batch, s.compact) = (batches_of(5), true));
        Harness::new(&nodes, 1, 128).expect("operators")
    };
    let mut h = compact(Keep::Last);
    assert_eq!(fed(&mut h, &rows), out(&[("+I", rows[4]), ("+I", rows[3])]));
    let again = [(0, 6, 5), (0, 7, 4), (1, 8, 1), (1, 9, 2), (1, 10, 2)];
    assert_eq!(fed(&mut h, &again), out(&[("-U", rows[3]), ("+U", again[0])]));
    let mut h = compact(Keep::First);
    assert_eq!(fed(&mut h, &rows), out(&[("+I", rows[1]), ("+I", rows[2])]));
}

#[test]
fn a_mini_batch_ends_when_it_is_full_in_time_with_a_watermark_and_at_a_barrier() {
    let nodes = deduplicate(Keep::Last, None, |s| s.mini_batch = batches_of(3));
    let mut h = Harness::new(&nodes, 1, 128).expect("operators");
    assert!(fed(&mut h, &[(0, 1, 1), (0, 2, 2)]).is_empty());
    assert!(h.state_bytes() > 0);
    // Seven rows are two mini-batches and the beginning of one.
    let rows = [(0, 3, 3), (0, 4, 4), (1, 5, 5), (0, 6, 6), (0, 7, 7)];
    let expected = [("+I", rows[0]), ("+I", rows[2]), ("-U", rows[0]), ("+U", rows[3])];
    assert_eq!(fed(&mut h, &rows), out(&expected));
    h.set_processing_time(99).expect("time");
    assert!(h.take_output().is_empty());
    h.set_processing_time(100).expect("time");
    assert_eq!(rows_of(&h.take_output()), out(&[("-U", rows[3]), ("+U", rows[4])]));
    assert!(fed(&mut h, &[(1, 8, 8)]).is_empty());
    h.watermark_all(Watermark(1)).expect("a watermark");
    assert_eq!(rows_of(&h.take_output()), out(&[("-U", rows[2]), ("+U", (1, 8, 8))]));
    assert!(fed(&mut h, &[(2, 9, 9)]).is_empty());
    h.snapshot().expect("a snapshot");
    assert_eq!(rows_of(&h.take_output()), out(&[("+I", (2, 9, 9))]));
    assert!(fed(&mut h, &[(2, 10, 9)]).is_empty());
    h.end_input().expect("the end");
    assert_eq!(rows_of(&h.take_output()), out(&[("-U", (2, 9, 9)), ("+U", (2, 10, 9))]));
}

#[test]
fn rows_that_cannot_win_are_let_go() {
    let nodes = deduplicate(Keep::Last, None, |s| s.mini_batch = batches_of(1_000_000));
    let mut h = Harness::new(&nodes, 1, 128).expect("operators");
    let mut greatest = 0;
    for n in 0..60 {
        let rows: Vec<Row> = (0..1_000).map(|i| ((i % 3) as u8, n * 1_000 + i, 1)).collect();
        assert!(fed(&mut h, &rows).is_empty());
        greatest = greatest.max(h.state_bytes());
    }
    // Sixty thousand rows take more than two megabytes.
    assert!(greatest < 1_000_000, "{greatest}");
    h.end_input().expect("the end");
    let mut left = rows_of(&h.take_output());
    left.sort();
    assert_eq!(left, out(&[("+I", (0, 59_999, 1)), ("+I", (1, 59_997, 1)), ("+I", (2, 59_998, 1))]));
}

#[test]
fn a_row_lives_from_the_mini_batch_that_shows_it() {
    let of = |s: &mut DeduplicateSpec| {
        (s.mini_batch, s.state_ttl) = (batches_of(1), Some(Duration::from_secs(10)));
    };
    let mut h = Harness::new(&deduplicate(Keep::First, None, of), 1, 128).expect("operators");
    assert_eq!(fed(&mut h, &[(0, 1, 1), (0, 2, 1)]), out(&[("+I", (0, 1, 1))]));
    h.set_processing_time(9_999).expect("time");
    assert!(fed(&mut h, &[(0, 3, 1)]).is_empty());
    h.set_processing_time(10_000).expect("time");
    assert_eq!(fed(&mut h, &[(0, 4, 1)]), out(&[("+I", (0, 4, 1))]));
    // What is stored as gone is forgotten with the next snapshot.
    h.set_processing_time(60_000).expect("time");
    h.snapshot().expect("a snapshot");
    h.set_processing_time(90_000).expect("time");
    assert_eq!(h.state_rows(), 0);
}

/// A mini-batch writes the state of each of its keys, better or not, as `RowTimeMiniBatchDeduplicateFunction` does; the function
/// that shows the last change alone does not, nor does one without mini-batches.
#[test]
fn by_event_time_a_row_that_changes_nothing_renews_the_life_of_its_key() {
    let ttl = Some(Duration::from_secs(10));
    let best = [(Keep::First, (0, 1, 1)), (Keep::Last, (0, 1, 9))];
    let worse = (0, 2, 5);
    for (keep, first) in best {
        let nodes = deduplicate(keep, Some(2), |s| (s.mini_batch, s.state_ttl) = (batches_of(1), ttl));
        let mut h = Harness::new(&nodes, 1, 128).expect("operators");
        assert_eq!(fed(&mut h, &[first]), out(&[("+I", first)]));
        for (now_ms, restores) in [(9_000, false), (18_000, true), (27_000, false)] {
            h.set_processing_time(now_ms).expect("time");
            assert!(fed(&mut h, &[worse]).is_empty(), "{keep:?} at {now_ms}");
            let snapshot = h.snapshot().expect("a snapshot");
            if restores {
                h = Harness::restore(&nodes, &snapshot, 1, 128).expect("the snapshot");
                h.set_processing_time(now_ms).expect("time");
            }
        }
        // Ten seconds after the last row of the key it has gone.
        h.set_processing_time(37_000).expect("time");
        assert_eq!(fed(&mut h, &[worse]), out(&[("+I", worse)]), "{keep:?}");
        // What shows the last change alone writes what it shows.
        let compact = |s: &mut DeduplicateSpec| (s.mini_batch, s.compact, s.state_ttl) = (batches_of(1), true, ttl);
        let mut h = Harness::new(&deduplicate(keep, Some(2), compact), 1, 128).expect("operators");
        assert_eq!(fed(&mut h, &[first]), out(&[("+I", first)]));
        h.set_processing_time(9_000).expect("time");
        assert!(fed(&mut h, &[worse]).is_empty());
        h.set_processing_time(10_000).expect("time");
        assert_eq!(fed(&mut h, &[worse]), out(&[("+I", worse)]), "{keep:?}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Rows(Vec<Row>),
    Watermark,
    Snapshot,
    Restore(usize),
}

#[derive(Debug, Clone)]
struct Case {
    last: bool,
    by_rowtime: bool,
    compact: bool,
    update_before: bool,
    size_rows: usize,
    parallelism: usize,
    steps: Vec<Step>,
}

fn cases() -> impl Strategy<Value = Case> {
    let rows = proptest::collection::vec((0u8..4, 0i32..4, 0u8..6), 1..12);
    let step = prop_oneof![
        6 => rows.prop_map(Step::Rows),
        1 => Just(Step::Watermark),
        1 => Just(Step::Snapshot),
        1 => (1usize..4).prop_map(Step::Restore),
    ];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (flags, 1usize..9, 1usize..4, proptest::collection::vec(step, 1..16)).prop_map(
        |(flags, size_rows, parallelism, steps)| {
            let (last, by_rowtime, compact, update_before) = flags;
            Case { last, by_rowtime, compact, update_before, size_rows, parallelism, steps }
        },
    )
}

/// What Flink's functions do of one mini-batch, as they are written.
#[derive(Default)]
struct Model {
    state: BTreeMap<u8, Row>,
    buffer: BTreeMap<u8, Vec<Row>>,
    count: usize,
    changes: BTreeMap<u8, Vec<String>>,
}

impl Model {
    fn is_better(case: &Case, before: Option<Row>, row: Row) -> bool {
        match (before, case.by_rowtime) {
            (None, _) => true,
            (Some(_), false) => case.last,
            (Some(before), true) => {
                if case.last {
                    before.2 <= row.2
                } else {
                    row.2 < before.2
                }
            }
        }
    }

    fn add(&mut self, case: &Case, row: Row) {
        let rows = self.buffer.entry(row.0).or_default();
        if case.by_rowtime && !case.compact {
            rows.push(row);
        } else if Model::is_better(case, rows.first().copied(), row) {
            *rows = vec![row];
        }
        self.count += 1;
        if self.count == case.size_rows {
            self.finish(case);
        }
    }

    fn finish(&mut self, case: &Case) {
        self.count = 0;
        for (key, rows) in std::mem::take(&mut self.buffer) {
            for row in rows {
                let before = self.state.get(&key).copied();
                if !Model::is_better(case, before, row) || !case.by_rowtime && before == Some(row) {
                    continue;
                }
                let changes = self.changes.entry(key).or_default();
                match before {
                    None => changes.push(printed("+I", row, 'o')),
                    Some(before) => {
                        changes.extend(case.update_before.then(|| printed("-U", before, 'o')));
                        changes.push(printed("+U", row, 'o'));
                    }
                }
                self.state.insert(key, row);
            }
        }
    }
}

fn by_key(rows: Vec<String>) -> BTreeMap<u8, Vec<String>> {
    let mut keys: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for row in rows {
        keys.entry(row.as_bytes()[3] - b'a').or_default().push(row);
    }
    keys
}

fn check(case: &Case) {
    let keep = if case.last { Keep::Last } else { Keep::First };
    let nodes = deduplicate(keep, case.by_rowtime.then_some(2), |s| {
        (s.mini_batch, s.compact, s.update_before) = (batches_of(case.size_rows), case.compact, case.update_before);
    });
    // Each subtask has mini-batches of its own: only one is as the model.
    let exact = case.parallelism == 1 && !case.steps.iter().any(|s| matches!(s, Step::Restore(2..)));
    let mut h = Harness::new(&nodes, case.parallelism, 128).expect("operators");
    let mut model = Model::default();
    let mut time = 0;
    let mut shown: Vec<String> = vec![];
    for step in &case.steps {
        match step {
            Step::Rows(rows) => {
                shown.extend(fed(&mut h, rows));
                rows.iter().for_each(|r| model.add(case, *r));
            }
            Step::Watermark => {
                time += 1;
                h.watermark_all(Watermark(time)).expect("a watermark");
                model.finish(case);
            }
            Step::Snapshot => {
                h.snapshot().expect("a snapshot");
                model.finish(case);
            }
            Step::Restore(parallelism) => {
                let snapshot = h.snapshot().expect("a snapshot");
                shown.extend(rows_of(&h.take_output()));
                h = Harness::restore(&nodes, &snapshot, *parallelism, 128).expect("restores");
                model.finish(case);
            }
        }
        shown.extend(rows_of(&h.take_output()));
    }
    h.end_input().expect("the end");
    model.finish(case);
    shown.extend(rows_of(&h.take_output()));
    let shown = by_key(shown);
    if exact {
        assert_eq!(shown, model.changes);
    }
    // What the changes add up to, whoever saw them in which batches.
    let last: BTreeMap<u8, String> =
        shown.iter().filter_map(|(key, rows)| Some((*key, rows.last()?[2..].to_string()))).collect();
    let expected: BTreeMap<u8, String> = model.state.iter().map(|(key, row)| (*key, printed("", *row, 'o'))).collect();
    assert_eq!(last, expected);
    assert_eq!(h.state_rows(), model.state.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn changes_are_those_of_mini_batches(case in cases()) {
        check(&case);
    }
}
