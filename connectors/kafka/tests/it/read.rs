//! The source against a real broker.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use flott_connector::source::ReaderEvent;
use flott_core::{ErrorKind, Result};
use flott_testkit::kafka::{Kafka, KafkaRecord, OwnKafka};
use flott_testkit::{SourceHarness, TableBuilder};

use crate::commit::decided;
use crate::support::{registry, sorted, table, unique, values};

async fn rows(table: &TableBuilder, connector: &str, parallelism: usize) -> Result<Vec<String>> {
    let source = registry().connector(connector)?.source(&table.source())?.source;
    let batches = SourceHarness::start(&source, parallelism, None).await?.run_to_end().await?;
    Ok(sorted(&batches))
}

const BOUNDED: [(&str, &str); 3] =
    [("format", "json"), ("scan.startup.mode", "earliest-offset"), ("scan.bounded.mode", "latest-offset")];

#[tokio::test(flavor = "multi_thread")]
async fn keys_values_and_metadata() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(2).expect("a topic");
    let record = KafkaRecord {
        partition: Some(1),
        key: Some(br#"{"id":7}"#.to_vec()),
        value: Some(br#"{"v":"x"}"#.to_vec()),
        timestamp_ms: Some(1_700_000_000_123),
        headers: vec![("a".into(), Some(b"1".to_vec())), ("a".into(), Some(b"2".to_vec())), ("b".into(), None)],
        ..KafkaRecord::default()
    };
    kafka.write(&topic, &[record]).expect("written");
    let options = [
        ("scan.startup.mode", "earliest-offset"),
        ("scan.bounded.mode", "latest-offset"),
        ("key.format", "json"),
        ("key.fields", "k_id"),
        ("key.fields-prefix", "k_"),
        ("value.format", "json"),
        ("value.fields-include", "EXCEPT_KEY"),
    ];
    let table = table("kafka", "k_id BIGINT, v STRING", &kafka, &topic, &options)
        .metadata("topic", "topic", "STRING NOT NULL", true)
        .metadata("partition", "partition", "INT NOT NULL", true)
        .metadata("headers", "headers", "MAP<STRING, BYTES> NOT NULL", true)
        .metadata("leader", "leader-epoch", "INT", true)
        .metadata("offset", "offset", "BIGINT NOT NULL", true)
        .metadata("ts", "timestamp", "TIMESTAMP_LTZ(3) NOT NULL", true)
        .metadata("kind", "timestamp-type", "STRING NOT NULL", true);
    let rows = rows(&table, "kafka", 3).await.expect("read");
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert!(row.starts_with(&format!("+I[7, x, {topic}, 1, ")), "{row}");
    assert!(row.contains(", 0, 0, 2023-11-14T22:13:20.123Z, CreateTime]"), "{row}");
}

/// Rows of both partitions of a source that does not end, until it is quiet: those of the first one in order, and how many of the other.
async fn seen(harness: &mut SourceHarness, first: &mut Vec<i64>, second: &mut usize) {
    const QUIET: std::time::Duration = std::time::Duration::from_millis(1_500);
    while let Ok(batch) = tokio::time::timeout(QUIET, harness.step(0)).await {
        let Some(batch) = batch.expect("read") else { continue };
        let column = batch.rows.column(0).as_primitive::<Int64Type>();
        for id in column.values() {
            if *id >= 0 { first.push(*id) } else { *second += 1 }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_has_waited_for_others_goes_on_where_it_was() {
    // An end comes among the records of the other in some of them.
    const ROUNDS: i64 = 5;
    const OTHERS: usize = 30_000;
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(2).expect("a topic");
    let records = |ids: std::ops::Range<i64>| -> Vec<KafkaRecord> {
        ids.map(|i| KafkaRecord::of(0, format!("{{\"i\":{i}}}"))).collect()
    };
    let others: Vec<KafkaRecord> =
        (0..OTHERS).map(|_| KafkaRecord { partition: Some(1), ..KafkaRecord::of(1, "{\"i\":-1}") }).collect();
    let options = [("format", "json"), ("scan.startup.mode", "earliest-offset")];
    let table = table("kafka", "i BIGINT", &kafka, &topic, &options);
    let source = registry().connector("kafka").expect("kafka").source(&table.source()).expect("a source").source;
    kafka.write(&topic, &records(0..3)).expect("written");
    let mut harness = SourceHarness::start(&source, 1, None).await.expect("started");
    let (mut first, mut second) = (vec![], 0);
    let split = [format!("{topic}:0")];
    for round in 1..=ROUNDS {
        // The end of the one comes between records of the other.
        kafka.write(&topic, &others).expect("written");
        seen(&mut harness, &mut first, &mut second).await;
        harness.reader(0).pause_or_resume_splits(&split, &[]);
        kafka.write(&topic, &records(round * 3..round * 3 + 3)).expect("written");
        seen(&mut harness, &mut first, &mut second).await;
        assert_eq!(first, (0..round * 3).collect::<Vec<_>>(), "it waits");
        harness.reader(0).pause_or_resume_splits(&[], &split);
    }
    seen(&mut harness, &mut first, &mut second).await;
    assert_eq!(first, (0..ROUNDS * 3 + 3).collect::<Vec<_>>());
    assert_eq!(second, OTHERS * ROUNDS as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_are_where_they_are_said_to_be() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    let timed =
        |i: i64| KafkaRecord { timestamp_ms: Some(1_000 * (i + 1)), ..KafkaRecord::of(0, format!("{{\"i\":{i}}}")) };
    kafka.write(&topic, &(0..10).map(timed).collect::<Vec<_>>()).expect("written");
    for (options, expected) in [
        (vec![("scan.startup.mode", "earliest-offset"), ("scan.bounded.mode", "latest-offset")], 0..10),
        (vec![("scan.startup.mode", "latest-offset"), ("scan.bounded.mode", "latest-offset")], 0..0),
        (
            vec![
                ("scan.startup.mode", "specific-offsets"),
                ("scan.startup.specific-offsets", "partition:0,offset:3"),
                ("scan.bounded.mode", "specific-offsets"),
                ("scan.bounded.specific-offsets", "partition:0,offset:7"),
            ],
            3..7,
        ),
        (
            vec![
                ("scan.startup.mode", "timestamp"),
                ("scan.startup.timestamp-millis", "2500"),
                ("scan.bounded.mode", "timestamp"),
                ("scan.bounded.timestamp-millis", "5000"),
            ],
            2..4,
        ),
    ] {
        let options = [&[("format", "json")][..], &options].concat();
        let table = table("kafka", "i INT", &kafka, &topic, &options);
        let expected: Vec<String> = expected.map(|i| format!("+I[{i}]")).collect();
        assert_eq!(rows(&table, "kafka", 1).await.expect("read"), expected, "{options:?}");
    }
}

/// Offsets without records (control records, aborted transactions) do not keep a source from its end.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_behind_aborted_records_is_reached() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    kafka.write(&topic, &values(&["{\"i\":1}"])).expect("written");
    kafka.write_aborted(&topic, &values(&["{\"i\":2}"])).expect("written");
    let committed = [&BOUNDED[..], &[("properties.isolation.level", "read_committed")]].concat();
    let committed = table("kafka", "i INT", &kafka, &topic, &committed);
    assert_eq!(rows(&committed, "kafka", 1).await.expect("read"), ["+I[1]"]);
    // Java's default shows them.
    let all = table("kafka", "i INT", &kafka, &topic, &BOUNDED);
    assert_eq!(rows(&all, "kafka", 1).await.expect("read"), ["+I[1]", "+I[2]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_patterns_of_topics() {
    let Some(kafka) = Kafka::running() else { return };
    let prefix = unique("many");
    for i in 0..3 {
        let name = format!("{prefix}-{i}");
        kafka.create(&name, 2, &[]).expect("a topic");
        kafka.write(&name, &[KafkaRecord::of(1, format!("{{\"i\":{i}}}"))]).expect("written");
    }
    let list = format!("{prefix}-0;{prefix}-2");
    let some = table("kafka", "i INT", &kafka, &list, &BOUNDED);
    assert_eq!(rows(&some, "kafka", 2).await.expect("read"), ["+I[0]", "+I[2]"]);
    let mut all = TableBuilder::new("t", "i INT").registry(registry());
    let pattern = format!("{prefix}-.*");
    for (key, value) in
        [("connector", "kafka"), ("topic-pattern", &pattern), ("properties.bootstrap.servers", &kafka.servers)]
    {
        all = all.option(key, value);
    }
    for (key, value) in BOUNDED {
        all = all.option(key, value);
    }
    assert_eq!(rows(&all, "kafka", 2).await.expect("read"), ["+I[0]", "+I[1]", "+I[2]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_broken_is_named() {
    let Some(kafka) = Kafka::running() else { return };
    let missing = unique("missing");
    let error = rows(&table("kafka", "i INT", &kafka, &missing, &BOUNDED), "kafka", 1).await.expect_err("missing");
    assert!(error.kind() == ErrorKind::User && error.to_string().contains(&missing), "{error}");

    let topic = kafka.topic(1).expect("a topic");
    kafka.write(&topic, &values(&["{\"i\":1}", "{\"i\":", "{\"i\":3}"])).expect("written");
    let error = rows(&table("kafka", "i INT", &kafka, &topic, &BOUNDED), "kafka", 1).await.expect_err("broken");
    let at = (error.context("topic"), error.context("partition"), error.context("offset"));
    assert_eq!((error.kind(), at), (ErrorKind::Data, (Some(topic.as_str()), Some("0"), Some("1"))), "{error}");
    let skipping = [&BOUNDED[..], &[("json.ignore-parse-errors", "true")]].concat();
    let skipping = table("kafka", "i INT", &kafka, &topic, &skipping);
    assert_eq!(rows(&skipping, "kafka", 1).await.expect("read"), ["+I[1]", "+I[3]"]);
}

/// A position that retention has passed is an error, never a gap.
#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_is_gone_is_told() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    let texts: Vec<String> = (0..10).map(|i| format!("{{\"i\":{i}}}")).collect();
    kafka.write(&topic, &values(&texts.iter().map(String::as_str).collect::<Vec<_>>())).expect("written");
    let unbounded = [("format", "json"), ("scan.startup.mode", "earliest-offset")];
    let reading = table("kafka", "i INT", &kafka, &topic, &unbounded);
    let source = registry().connector("kafka").expect("it").source(&reading.source()).expect("a source").source;
    let mut harness = SourceHarness::start(&source, 1, None).await.expect("started");
    let checkpoint = harness.snapshot().expect("a checkpoint");
    kafka.delete_records(&topic, 0, 5).expect("removed");
    drop(harness);
    let mut harness = SourceHarness::start(&source, 1, Some(checkpoint)).await.expect("started");
    let error = loop {
        match harness.reader(0).next().await {
            Ok(ReaderEvent::Batch(batch)) => panic!("{:?}", sorted(&[batch.rows])),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.kind() == ErrorKind::Data && error.to_string().contains("5 to 10"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn upserts_and_tombstones() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    let record = |id: i32, value: Option<&str>| KafkaRecord {
        partition: Some(0),
        key: Some(format!("{{\"id\":{id}}}").into_bytes()),
        value: value.map(|v| v.as_bytes().to_vec()),
        ..KafkaRecord::default()
    };
    let written = [record(1, Some(r#"{"id":1,"v":"a"}"#)), record(2, Some(r#"{"id":2,"v":"b"}"#)), record(1, None)];
    kafka.write(&topic, &written).expect("written");
    let options = [("key.format", "json"), ("value.format", "json"), ("scan.bounded.mode", "latest-offset")];
    let table = table("upsert-kafka", "id INT, v STRING", &kafka, &topic, &options).primary_key(&["id"]);
    assert_eq!(rows(&table, "upsert-kafka", 1).await.expect("read"), ["+U[1, a]", "+U[2, b]", "-D[1, null]"]);
}

/// The group hears of a position when a checkpoint that holds it is decided, and not before.
#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_committed_with_their_checkpoint() {
    let Some(kafka) = Kafka::running() else { return };
    let (topic, group) = (kafka.topic(1).expect("a topic"), unique("group"));
    kafka.write(&topic, &values(&["{\"i\":1}", "{\"i\":2}"])).expect("written");
    let options = [("format", "json"), ("properties.group.id", &group), ("properties.auto.offset.reset", "earliest")];
    let table = table("kafka", "i INT", &kafka, &topic, &options);
    let source = registry().connector("kafka").expect("it").source(&table.source()).expect("a source").source;
    let mut harness = SourceHarness::start(&source, 1, None).await.expect("started");
    while harness.step(0).await.expect("read").is_none() {}
    let checkpoint = harness.snapshot().expect("a checkpoint");
    let position: serde_json::Value = serde_json::from_slice(&checkpoint.splits[0].data.bytes).expect("a position");
    kafka.write(&topic, &values(&["{\"i\":3}"])).expect("written");
    while harness.step(0).await.expect("read").is_none() {}
    assert_eq!(kafka.committed(&group, &topic, 0).expect("asked"), None);
    harness.complete(&decided("l", 1), &checkpoint).await.expect("told");
    assert_eq!(kafka.committed(&group, &topic, 0).expect("asked"), position["offset"].as_i64());
}

/// So does it of partitions that are read to their end, when no reader holds them any more: whoever goes on from the group's
/// offsets reads what is new.
#[tokio::test(flavor = "multi_thread")]
async fn where_a_source_has_ended_is_committed() {
    let Some(kafka) = Kafka::running() else { return };
    let (topic, group) = (kafka.topic(3).expect("a topic"), unique("group"));
    let options = [
        ("format", "json"),
        ("properties.group.id", &group),
        ("properties.auto.offset.reset", "earliest"),
        ("scan.bounded.mode", "latest-offset"),
    ];
    let table = table("kafka", "i INT", &kafka, &topic, &options);
    let source = registry().connector("kafka").expect("it").source(&table.source()).expect("a source").source;
    for round in 0..2 {
        let rows = [KafkaRecord::of(0, format!("{{\"i\":{round}}}")), KafkaRecord::of(1, format!("{{\"i\":{round}}}"))];
        kafka.write(&topic, &rows).expect("written");
        let mut harness = SourceHarness::start(&source, 1, None).await.expect("started");
        let behind = harness.snapshot().expect("a checkpoint");
        let read = sorted(&harness.run_to_end().await.expect("read"));
        assert_eq!(read, [format!("+I[{round}]"), format!("+I[{round}]")]);
        // One that was begun before the end holds the positions of then.
        harness.complete(&decided("l", 1), &behind).await.expect("told");
        assert_eq!(kafka.committed(&group, &topic, 0).expect("asked"), Some(round));
        let last = harness.snapshot().expect("a checkpoint");
        assert!(last.splits.is_empty());
        harness.complete(&decided("l", 2), &last).await.expect("told");
        for partition in 0..2 {
            assert_eq!(kafka.committed(&group, &topic, partition).expect("asked"), Some(round + 1));
        }
        assert_eq!(kafka.committed(&group, &topic, 2).expect("asked"), Some(0), "it is empty");
    }
}

/// Sizes that nobody expects. What is too large is not read, and its place is told. A broker of its own, whose memory that takes.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_no_and_of_too_many_bytes() {
    let folder = std::env::temp_dir().join(unique("flott-large"));
    let Some(broker) = OwnKafka::start(&folder) else { return };
    let kafka = broker.address();
    let topic = unique("large");
    kafka.create(&topic, 1, &[("max.message.bytes", "104857600")]).expect("a topic");
    kafka.write(&topic, &values(&["{\"i\":1}"])).expect("written");
    // A hundred million bytes, and by compression of few, with a record behind them that is not.
    kafka.write_large(&topic, &[vec![b' '; 100_000_000]], "none").expect("written");
    kafka.write_large(&topic, &[vec![b' '; 90_000_000], b"{\"i\":2}".to_vec()], "gzip").expect("written");
    kafka.write(&topic, &values(&["", "{\"i\":3}"])).expect("written");
    let of = |policy: &'static str| {
        let options = [&BOUNDED[..], &[("scan.invalid-records", policy)]].concat();
        table("kafka", "i INT", &kafka, &topic, &options)
    };
    let error = rows(&of("fail"), "kafka", 1).await.expect_err("too large");
    let text = error.to_string();
    assert!(error.kind() == ErrorKind::Data && text.contains("100000000 bytes"), "{text}");
    assert_eq!((error.context("topic"), error.context("offset")), (Some(topic.as_str()), Some("1")), "{text}");
    assert_eq!(error.context("partition"), Some("0"), "{text}");
    assert_eq!(rows(&of("skip"), "kafka", 1).await.expect("read"), ["+I[1]", "+I[2]", "+I[3]"]);
    let dead = of("dead-letter").option("scan.dead-letter.table", "bad");
    let source = registry().connector("kafka").expect("it").source(&dead.source()).expect("a source").source;
    let mut harness = SourceHarness::start(&source, 1, None).await.expect("started");
    let (mut letters, mut skipped) = (vec![], 0);
    loop {
        match harness.reader(0).next().await.expect("read") {
            ReaderEvent::Batch(batch) => {
                skipped += batch.skipped;
                letters.extend(batch.dead_letters);
            }
            ReaderEvent::SplitFinished { .. } => break,
            _ => {}
        }
    }
    let offsets: Vec<i64> =
        letters.iter().flat_map(|l| l.column(2).as_primitive::<Int64Type>().values().to_vec()).collect();
    let held: usize = letters.iter().map(|l| l.column(5).as_binary::<i32>().values().len()).sum();
    assert_eq!(
        (offsets, skipped, held),
        (vec![1, 2], 3, 0),
        "none holds what is too large, and no bytes are no message"
    );
    drop(broker);
    std::fs::remove_dir_all(&folder).ok();
}

/// Also where nobody asks for a column of the key: a record whose key cannot be read is invalid, and one without is none.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_read() {
    let Some(kafka) = Kafka::running() else { return };
    let record = |key: Option<&str>, value: Option<&str>| KafkaRecord {
        partition: Some(0),
        key: key.map(|k| k.as_bytes().to_vec()),
        value: value.map(|v| v.as_bytes().to_vec()),
        ..KafkaRecord::default()
    };
    let ends = [("scan.bounded.mode", "latest-offset"), ("key.format", "json"), ("value.format", "json")];
    for (key, value) in [
        (Some("{\"id\":"), Some("{\"id\":2,\"v\":\"b\"}")),
        (Some("{\"id\":\"x\"}"), Some("{\"id\":2,\"v\":\"b\"}")),
        (Some("{\"id\":"), None),
        (Some("{\"id\":null}"), Some("{\"id\":2,\"v\":\"b\"}")),
        (Some("{\"id\":null}"), None),
        (Some("{}"), None),
    ] {
        let topic = kafka.topic(1).expect("a topic");
        let good = record(Some("{\"id\":1}"), Some("{\"id\":1,\"v\":\"a\"}"));
        kafka.write(&topic, &[good.clone(), record(key, value), record(None, None), good]).expect("written");
        let upsert = |policy: &'static str| {
            let options = [&ends[..], &[("scan.invalid-records", policy)]].concat();
            table("upsert-kafka", "id INT, v STRING", &kafka, &topic, &options).primary_key(&["id"])
        };
        let error = rows(&upsert("fail"), "upsert-kafka", 1).await.expect_err("a key that cannot be read");
        assert!(error.kind() == ErrorKind::Data && error.context("part") == Some("key"), "{key:?}: {error}");
        assert_eq!(error.context("offset"), Some("1"), "{key:?}: {error}");
        let skipped = rows(&upsert("skip"), "upsert-kafka", 1).await.expect("read");
        assert_eq!(skipped, ["+U[1, a]", "+U[1, a]"], "{key:?}");
        if key.is_some_and(|k| k.contains("null") || k == "{}") || value.is_none() {
            // To `kafka` such a key is a key, and a record without a value is none.
            continue;
        }
        let appended = |policy: &'static str| {
            let options =
                [("scan.startup.mode", "earliest-offset"), ("key.fields", "id"), ("scan.invalid-records", policy)];
            table("kafka", "id INT, v STRING", &kafka, &topic, &[&ends[..], &options].concat())
        };
        let error = rows(&appended("fail"), "kafka", 1).await.expect_err("a key that cannot be read");
        assert!(error.kind() == ErrorKind::Data && error.context("part") == Some("key"), "{key:?}: {error}");
        assert_eq!(rows(&appended("skip"), "kafka", 1).await.expect("read"), ["+I[1, a]", "+I[1, a]"], "{key:?}");
    }
}
