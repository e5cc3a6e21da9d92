//! The at-least-once sink against a real broker.

use std::collections::BTreeMap;

use flott_core::{ErrorKind, Watermark};
use flott_testkit::kafka::{Kafka, KafkaRecord};
use flott_testkit::{TableBuilder, batch};

use crate::support::{registry, table, unique, writer_context};

async fn write(table: &TableBuilder, connector: &str, batches: Vec<flott_core::ChangeBatch>) {
    let sink = registry().connector(connector).expect("it").sink(&table.sink()).expect("a sink").sink;
    let mut writer = sink.create_writer(writer_context("l", 1), vec![]).expect("a writer");
    for batch in batches {
        writer.write(batch).await.expect("taken");
    }
    writer.write_watermark(Watermark(1)).await.expect("taken");
    writer.flush(true).await.expect("acknowledged");
    writer.close().await.expect("closed");
}

fn shown(record: &KafkaRecord) -> (Option<String>, Option<String>) {
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|b| String::from_utf8_lossy(b).into_owned());
    (text(&record.key), text(&record.value))
}

const AT_LEAST_ONCE: (&str, &str) = ("sink.delivery-guarantee", "at-least-once");

/// Partitions as Java's client chooses them: by its murmur2.
#[tokio::test(flavor = "multi_thread")]
async fn keys_go_where_java_puts_them() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(50).expect("a topic");
    let options = [AT_LEAST_ONCE, ("key.format", "raw"), ("key.fields", "k"), ("value.format", "json")];
    let table = table("kafka", "k STRING", &kafka, &topic, &options);
    // From the tests of Java's `Utils.murmur2`: the hash of each key, made positive, of 50 partitions.
    let known: [(&str, i32); 5] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
    ];
    let rows: Vec<String> = known.iter().map(|(k, _)| format!("+I[{k}]")).collect();
    write(&table, "kafka", vec![batch("k STRING", &rows)]).await;
    let records = kafka.read(&topic).expect("read");
    for (key, hash) in known {
        let found = records.iter().find(|r| r.key.as_deref() == Some(key.as_bytes())).expect("written");
        assert_eq!(found.partition, Some((hash & i32::MAX) % 50), "{key}");
    }
}

/// In runs of 16 KB: to all partitions, evenly, in order in each.
#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_key_go_to_all_partitions() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(4).expect("a topic");
    let table = table("kafka", "id INT, note STRING", &kafka, &topic, &[AT_LEAST_ONCE, ("format", "json")]);
    let note = "x".repeat(1_000);
    let rows: Vec<String> = (0..1_280).map(|id| format!("+I[{id}, {note}]")).collect();
    write(&table, "kafka", vec![batch("id INT, note STRING", &rows)]).await;
    let mut found = BTreeMap::<i32, Vec<i64>>::new();
    for record in kafka.read(&topic).expect("read") {
        let row: serde_json::Value = serde_json::from_str(&record.text()).expect("a row");
        found.entry(record.partition.expect("a partition")).or_default().push(row["id"].as_i64().expect("an id"));
    }
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    // 80 runs, so that each partition has 20 of them but for one at most.
    for (partition, ids) in &found {
        assert!((300..=340).contains(&ids.len()), "partition {partition} has {} of 1,280 rows", ids.len());
        assert!(ids.is_sorted(), "partition {partition}");
    }
    assert_eq!(found.values().map(Vec::len).sum::<usize>(), 1_280);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_written() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    let options = [AT_LEAST_ONCE, ("format", "json")];
    let table = table("kafka", "i INT", &kafka, &topic, &options)
        .metadata("ts", "timestamp", "TIMESTAMP_LTZ(3)", false)
        .metadata("h", "headers", "MAP<STRING, BYTES>", false)
        .metadata("o", "offset", "BIGINT NOT NULL", true);
    let rows = batch(
        "i INT, ts TIMESTAMP_LTZ(3), h MAP<STRING, BYTES>",
        &["+I[1, 2023-11-14T22:13:20.123Z, {}]", "+I[2, null, null]"],
    );
    write(&table, "kafka", vec![rows]).await;
    let records = kafka.read(&topic).expect("read");
    assert_eq!(records.iter().map(|r| r.text()).collect::<Vec<_>>(), [r#"{"i":1}"#, r#"{"i":2}"#]);
    assert_eq!(records[0].timestamp_ms, Some(1_700_000_000_123));
}

#[tokio::test(flavor = "multi_thread")]
async fn upserts_deletes_and_what_is_held_back() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    let plain = [AT_LEAST_ONCE, ("key.format", "json"), ("value.format", "json")];
    let columns = "id INT NOT NULL, v STRING";
    let changes = || batch(columns, &["+I[1, a]", "+U[1, b]", "+I[2, c]", "-D[2, c]"]);
    let at_once = table("upsert-kafka", columns, &kafka, &topic, &plain).primary_key(&["id"]);
    write(&at_once, "upsert-kafka", vec![changes()]).await;
    let key = |id: i32| Some(format!("{{\"id\":{id}}}"));
    let value = |id: i32, v: &str| Some(format!("{{\"id\":{id},\"v\":\"{v}\"}}"));
    let records: Vec<_> = kafka.read(&topic).expect("read").iter().map(shown).collect();
    assert_eq!(records, [(key(1), value(1, "a")), (key(1), value(1, "b")), (key(2), value(2, "c")), (key(2), None)]);

    let topic = kafka.topic(1).expect("a topic");
    let held = [plain.as_slice(), &[("sink.buffer-flush.max-rows", "100"), ("sink.buffer-flush.interval", "1 h")]];
    let held = table("upsert-kafka", columns, &kafka, &topic, &held.concat()).primary_key(&["id"]);
    write(&held, "upsert-kafka", vec![changes()]).await;
    let records: Vec<_> = kafka.read(&topic).expect("read").iter().map(shown).collect();
    assert_eq!(records, [(key(1), value(1, "b")), (key(2), None)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_is_told_at_once() {
    let Some(kafka) = Kafka::running() else { return };
    let table = table("kafka", "i INT", &kafka, "not-there-at-all", &[AT_LEAST_ONCE, ("format", "json")]);
    let sink = registry().connector("kafka").expect("it").sink(&table.sink()).expect("a sink").sink;
    let mut writer = sink.create_writer(writer_context("l", 1), vec![]).expect("a writer");
    let error = writer.write(batch("i INT", &["+I[1]"])).await.expect_err("missing");
    assert!(error.to_string().contains("not-there-at-all"), "{error}");
}

/// What the client refuses to be made with is not an outage.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_cannot_be_made_is_the_users_matter() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    let options = [
        ("format", "json"),
        ("sink.delivery-guarantee", "at-least-once"),
        ("properties.max.in.flight.requests.per.connection", "10"),
    ];
    let table = table("kafka", "i INT", &kafka, &topic, &options);
    let sink = registry().connector("kafka").expect("it").sink(&table.sink()).expect("a sink").sink;
    let mut writer = sink.create_writer(writer_context(&unique("lineage"), 1), vec![]).expect("a writer");
    let error = writer.write(batch("i INT", &["+I[1]"])).await.expect_err("no client");
    assert!(error.kind() == ErrorKind::User && error.to_string().contains("max.in.flight"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_their_primary_key_are_refused() {
    let Some(kafka) = Kafka::running() else { return };
    for (format, guarantee) in [("json", "at-least-once"), ("raw", "at-least-once"), ("json", "exactly-once")] {
        let topic = kafka.topic(1).expect("a topic");
        let options = [("sink.delivery-guarantee", guarantee), ("key.format", format), ("value.format", "json")];
        let table = table("upsert-kafka", "id INT, v STRING", &kafka, &topic, &options).primary_key(&["id"]);
        let sink = registry().connector("upsert-kafka").expect("it").sink(&table.sink()).expect("a sink").sink;
        for row in ["+I[null, a]", "-D[null, a]"] {
            let mut writer = sink.create_writer(writer_context(&unique("lineage"), 1), vec![]).expect("a writer");
            let error = writer.write(batch("id INT, v STRING", &[row])).await.expect_err("no key");
            assert!(error.kind() == ErrorKind::Data && error.context("column") == Some("id"), "{error}");
            writer.close().await.expect("closed");
        }
        assert!(kafka.read(&topic).expect("read").is_empty());
    }
}

/// A deletion has no value, so that one which its format refuses does not matter.
#[tokio::test(flavor = "multi_thread")]
async fn values_of_deletions_are_not_made() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    let options = [AT_LEAST_ONCE, ("key.format", "json"), ("value.format", "json")];
    let columns = "id INT NOT NULL, v DOUBLE";
    let table = table("upsert-kafka", columns, &kafka, &topic, &options).primary_key(&["id"]);
    let rows = batch(columns, &["+I[1, 1.5]", "-D[2, NaN]", "+U[3, 2.5]"]);
    write(&table, "upsert-kafka", vec![rows]).await;
    let values: Vec<_> = kafka.read(&topic).expect("read").iter().map(|r| shown(r).1).collect();
    let value = |id: i32, v: &str| Some(format!("{{\"id\":{id},\"v\":{v}}}"));
    assert_eq!(values, [value(1, "1.5"), None, value(3, "2.5")]);
}
