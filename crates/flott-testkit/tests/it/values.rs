//! The `values` connector.

use std::sync::Arc;
use std::time::Duration;

use flott_connector::Boundedness;
use flott_connector::factory::{ChangelogMode, ConnectorFactory};
use flott_connector::source::Source;
use flott_core::{CheckpointId, DecidedCheckpoint, ErrorKind};
use flott_testkit::values::{Phase, Values, ValuesStore};
use flott_testkit::{SourceHarness, TableBuilder, assert_rows, batch, writer_context};

const NONE: [&str; 0] = [];

fn source(store: &ValuesStore, table: &TableBuilder) -> Arc<dyn Source> {
    Values::new(store.clone()).source(&table.source()).expect("a source").source
}

async fn written(store: &ValuesStore, table: &TableBuilder, rows: &[&str]) {
    let context = table.sink();
    let sink = Values::new(store.clone()).sink(&context).expect("a sink");
    let mut writer = sink.sink.create_writer(writer_context(0, 1), vec![]).expect("a writer");
    for row in rows {
        writer.write(flott_testkit::batch_of(&context.schema, &[row])).await.expect("written");
    }
    writer.flush(true).await.expect("flushed");
}

#[tokio::test]
async fn rows_come_one_at_a_time_in_order() {
    let store = ValuesStore::new();
    store.insert_rows("t", &["+I[1, a]", "-D[1, a]"], &["+I[2, b]"]);
    let source = source(&store, &TableBuilder::new("t", "a INT, b STRING").option("connector", "values"));
    assert_eq!(source.boundedness(), Boundedness::Bounded);
    let mut harness = SourceHarness::start(&source, 3, None).await.expect("started");
    let batches = harness.run_to_end().await.expect("read");
    assert_eq!(batches.len(), 3);
    assert_rows!(batches, ["+I[1, a]", "-D[1, a]", "+I[2, b]"]);
}

#[tokio::test]
async fn a_restore_continues_behind_the_savepoint_with_the_rows_after() {
    for stop_at in 0..=3 {
        let store = ValuesStore::new();
        store.insert_rows("data", &["+I[1]", "+I[2]", "+I[3]"], &["+I[4]"]);
        let table = TableBuilder::new("t", "a INT").option("data-id", "data");
        store.set_phase(Phase::Before);
        let before = source(&store, &table);
        let mut harness = SourceHarness::start(&before, 1, None).await.expect("started");
        let mut rows = vec![];
        while rows.len() < stop_at {
            rows.extend(harness.step(0).await.expect("read"));
        }
        if stop_at == 3 {
            let open = tokio::time::timeout(Duration::from_millis(20), harness.step(0)).await;
            assert!(open.is_err(), "the source stays open");
        }
        let savepoint = harness.snapshot().expect("a snapshot");
        store.set_phase(Phase::All);
        let after = source(&store, &table);
        let mut harness = SourceHarness::start(&after, 2, Some(savepoint)).await.expect("restored");
        rows.extend(harness.run_to_end().await.expect("read"));
        assert_rows!(rows, ["+I[1]", "+I[2]", "+I[3]", "+I[4]"]);
    }
}

#[tokio::test]
async fn restores_anywhere() {
    let store = ValuesStore::new();
    let rows: Vec<String> = (0..20).map(|i| format!("+I[{i}]")).collect();
    store.insert_rows("t", &rows, &["+I[20]"]);
    let source = source(&store, &TableBuilder::new("t", "a INT"));
    flott_testkit::suite::source_restores(&source, &[1, 2, 3], 10).await;
    store.set_rows_per_batch(7);
    flott_testkit::suite::source_restores(&source, &[1, 2], 10).await;
}

#[tokio::test]
async fn an_open_source_stays_open() {
    for option in ["bounded", "terminating"] {
        let store = ValuesStore::new();
        store.insert_rows("t", &["+I[1]"], &NONE);
        let source = source(&store, &TableBuilder::new("t", "a INT").option(option, "false"));
        assert_eq!(source.boundedness(), Boundedness::ContinuousUnbounded);
        let mut harness = SourceHarness::start(&source, 1, None).await.expect("started");
        assert_rows!(harness.step(0).await.expect("read").expect("a batch"), ["+I[1]"]);
        assert!(tokio::time::timeout(Duration::from_millis(20), harness.step(0)).await.is_err());
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "stands for the checkpoint store")]
async fn a_failing_source_fails_once_after_a_checkpoint() {
    let store = ValuesStore::new();
    store.insert_rows("t", &["+I[1]", "+I[2]", "+I[3]", "+I[4]"], &NONE);
    let source = source(&store, &TableBuilder::new("t", "a INT").option("failing-source", "true"));
    let mut harness = SourceHarness::start(&source, 1, None).await.expect("started");
    for _ in 0..2 {
        assert!(harness.step(0).await.expect("read").is_some());
    }
    assert!(tokio::time::timeout(Duration::from_millis(20), harness.step(0)).await.is_err());
    let checkpoint = harness.snapshot().expect("a snapshot");
    let decided = DecidedCheckpoint::proven_by_head("lineage", CheckpointId(1));
    harness.reader(0).notify_checkpoint_complete(&decided).await.expect("told");
    assert_eq!(harness.step(0).await.expect_err("fails").kind(), ErrorKind::Unavailable);
    let mut harness = SourceHarness::start(&source, 1, Some(checkpoint)).await.expect("restored");
    assert_rows!(harness.run_to_end().await.expect("read"), ["+I[3]", "+I[4]"]);
}

#[tokio::test]
async fn columns_metadata_and_surplus_values() {
    let store = ValuesStore::new();
    store.insert_rows("t", &["+I[1, 1, hi, 2020-04-15T08:00:01]", "+I[2, 2, hello, 2020-04-15T08:00:02]"], &NONE);
    let run = async |table: TableBuilder| {
        let source = source(&store, &table);
        SourceHarness::start(&source, 1, None).await.expect("started").run_to_end().await.expect("read")
    };
    let table = TableBuilder::new("t", "a INT, b BIGINT, c VARCHAR");
    assert_rows!(run(table.clone()).await, ["+I[1, 1, hi]", "+I[2, 2, hello]"]);
    assert_rows!(run(table.clone().projection(&["c", "a"])).await, ["+I[hi, 1]", "+I[hello, 2]"]);
    assert_rows!(run(table.clone().projection(&[])).await, ["+I[]", "+I[]"]);
    let table =
        table.option("readable-metadata", "ts:TIMESTAMP(3)").metadata("event_time", "ts", "TIMESTAMP(3)", false);
    assert_rows!(run(table.projection(&["b"])).await, ["+I[1, 2020-04-15T08:00:01]", "+I[2, 2020-04-15T08:00:02]"]);
}

#[tokio::test]
async fn typed_rows_and_rows_that_break_a_not_null() {
    let store = ValuesStore::new();
    store.insert_batches("typed", vec![batch("x INT, y STRING", &["+I[1, a, b]", "-U[2, null]"])], vec![]);
    store.insert_rows("broken", &["+I[+I[null]]", "+I[+I[1]]"], &NONE);
    let typed = source(&store, &TableBuilder::new("typed", "a INT, b STRING"));
    let mut harness = SourceHarness::start(&typed, 1, None).await.expect("started");
    assert_rows!(harness.run_to_end().await.expect("read"), ["+I[1, a, b]", "-U[2, null]"]);
    let broken = source(&store, &TableBuilder::new("broken", "a ROW<b INT NOT NULL> NOT NULL"));
    let mut harness = SourceHarness::start(&broken, 1, None).await.expect("started");
    assert_rows!(harness.run_to_end().await.expect("read"), ["+I[+I[null]]", "+I[+I[1]]"]);
    let wrong = TableBuilder::new("typed", "a BIGINT, b STRING");
    let e = Values::new(store.clone()).source(&wrong.source()).err().expect("refused");
    assert!(e.to_string().contains("other types than the table"), "{e}");
    let missing = TableBuilder::new("type", "a BIGINT, b STRING");
    let e = Values::new(store.clone()).source(&missing.source()).err().expect("refused");
    assert!(e.to_string().contains("Did you mean 'typed'?"), "{e}");
}

#[tokio::test]
async fn sinks_keep_the_changelog_and_the_table_it_makes() {
    let store = ValuesStore::new();
    let keyed = TableBuilder::new("keyed", "a INT, b STRING").primary_key(&["a"]);
    written(&store, &keyed, &["+I[1, x]", "+I[2, y]", "+U[1, z]", "-D[2, null]", "-U[1, z]", "+U[1, w]", "-U[1, old]"])
        .await;
    assert_eq!(store.materialized("keyed").expect("a table"), ["+I[1, w]"]);
    assert_eq!(store.received("keyed"), 7);
    assert_eq!(store.changelog("keyed")[3], "-D[2, null]");
    let plain = TableBuilder::new("plain", "a INT");
    written(&store, &plain, &["+I[2]", "+I[1]", "+I[1]", "-D[1]"]).await;
    assert_eq!(store.materialized("plain").expect("a table"), ["+I[1]", "+I[2]"]);
    written(&store, &plain, &["-D[3]"]).await;
    assert!(store.materialized("plain").is_err());
    store.clear_sinks();
    assert_eq!(store.received("keyed"), 0);
    let waiting = store.clone();
    let waiter = tokio::spawn(async move { waiting.until_received("plain", 2).await });
    written(&store, &plain, &["+I[1]", "+I[2]"]).await;
    tokio::time::timeout(Duration::from_secs(10), waiter).await.expect("in time").expect("joined");
}

#[test]
fn modes_follow_the_flags() {
    let values = Values::new(ValuesStore::new());
    let table = TableBuilder::new("t", "a INT NOT NULL, b INT");
    let mode = |t: &TableBuilder| values.sink(&t.sink()).expect("a sink").changelog_mode;
    assert_eq!(mode(&table), ChangelogMode::ALL);
    let keyed = table.clone().primary_key(&["a"]);
    assert_eq!(mode(&keyed), ChangelogMode::UPSERT);
    assert_eq!(mode(&keyed.clone().option("sink-changelog-mode-enforced", "I,UB,UA,D")), ChangelogMode::ALL);
    assert_eq!(mode(&keyed.clone().option("sink-insert-only", "true")), ChangelogMode::INSERT_ONLY);
    let e = values.sink(&keyed.clone().option("sink-changelog-mode-enforced", "I,X").sink()).err().expect("refused");
    assert!(e.to_string().contains("Invalid ChangelogMode string: I,X"), "{e}");
    let e = values.sink(&table.clone().option("sink-insertonly", "true").sink()).err().expect("refused");
    assert!(e.to_string().contains("Did you mean 'sink-insert-only'?"), "{e}");

    let options = |pairs: &[(&str, &str)]| pairs.iter().copied().collect();
    assert!(values.source_deletes_by_key(&options(&[("source.produces-delete-by-key", "true")])));
    assert!(!values.source_deletes_by_key(&options(&[])));
    assert!(values.sink_deletes_by_key(&options(&[("sink.supports-delete-by-key", "true")])));
    let metadata = values
        .table_metadata(
            &options(&[("readable-metadata", "p:DECIMAL(10, 2),q:INT"), ("writable-metadata", "q:INT")]),
            &flott_connector::Registry::default(),
        )
        .expect("keys");
    let keys: Vec<(&str, String, bool)> =
        metadata.iter().map(|m| (m.key.as_ref(), m.data_type.to_string(), m.writable)).collect();
    assert_eq!(keys, [("p", "DECIMAL(10, 2)".to_string(), false), ("q", "INT".to_string(), true)]);
}
