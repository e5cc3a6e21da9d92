//! avro-confluent and debezium-avro-confluent against a real broker and a real registry.

use flott_core::ChangeBatch;
use flott_testkit::kafka::{Kafka, KafkaRecord};
use flott_testkit::{SourceHarness, TableBuilder, batch, services};

use crate::support::{registry, sorted, table, writer_context};

async fn write(table: &TableBuilder, batches: Vec<ChangeBatch>) {
    let sink = registry().connector("kafka").expect("it").sink(&table.sink()).expect("a sink").sink;
    let mut writer = sink.create_writer(writer_context("l", 1), vec![]).expect("a writer");
    for batch in batches {
        writer.write(batch).await.expect("taken");
    }
    writer.flush(true).await.expect("acknowledged");
    writer.close().await.expect("closed");
}

async fn read(table: &TableBuilder) -> flott_core::Result<Vec<String>> {
    let source = registry().connector("kafka")?.source(&table.source())?.source;
    Ok(sorted(&SourceHarness::start(&source, 1, None).await?.run_to_end().await?))
}

const COMMON: [(&str, &str); 3] = [
    ("sink.delivery-guarantee", "at-least-once"),
    ("scan.startup.mode", "earliest-offset"),
    ("scan.bounded.mode", "latest-offset"),
];

/// A topic's writer adds a column: rows of both are read by the table of either.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_evolves() {
    let (Some(kafka), Some(url)) = (Kafka::running(), services::schema_registry()) else { return };
    let topic = kafka.topic(1).expect("a topic");
    let of_value = [COMMON.as_slice(), &[("format", "avro-confluent"), ("avro-confluent.url", &url)]].concat();
    let old = table("kafka", "id INT NOT NULL, v STRING", &kafka, &topic, &of_value);
    write(&old, vec![batch("id INT NOT NULL, v STRING", &["+I[1, a]", "+I[2, null]"])]).await;
    let new = table("kafka", "v STRING, id BIGINT NOT NULL, n DECIMAL(9, 2)", &kafka, &topic, &of_value);
    write(&new, vec![batch("v STRING, id BIGINT NOT NULL, n DECIMAL(9, 2)", &["+I[b, 3, -1.28]"])]).await;
    assert_eq!(read(&new).await.expect("read"), ["+I[a, 1, null]", "+I[b, 3, -1.28]", "+I[null, 2, null]"]);
    // A long is no int.
    let e = read(&old).await.expect_err("a wider writer");
    assert!(e.to_string().contains("found long, expecting INT"), "{e}");
    assert_eq!((e.context("topic"), e.context("offset"), e.context("column")), (Some(&*topic), Some("2"), Some("id")));
    // What is no message of a registry has its offset, too.
    kafka.write(&topic, &[KafkaRecord::of(0, "{}")]).expect("written");
    let e = read(&new).await.expect_err("json");
    assert!(e.to_string().contains("cannot name its schema") && e.context("offset") == Some("3"), "{e}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_changes() {
    let (Some(kafka), Some(url)) = (Kafka::running(), services::schema_registry()) else { return };
    let topic = kafka.topic(1).expect("a topic");
    let options = [
        COMMON.as_slice(),
        &[
            ("key.format", "avro-confluent"),
            ("key.avro-confluent.url", &url),
            ("key.fields", "id"),
            ("value.format", "debezium-avro-confluent"),
            ("value.debezium-avro-confluent.url", &url),
        ],
    ]
    .concat();
    let changes = table("kafka", "id INT NOT NULL, v STRING", &kafka, &topic, &options);
    let rows = ["+I[1, a]", "-U[1, a]", "+U[1, b]", "-D[1, b]"];
    write(&changes, vec![batch("id INT NOT NULL, v STRING", &rows)]).await;
    assert_eq!(read(&changes).await.expect("read"), ["+I[1, a]", "+I[1, b]", "-D[1, a]", "-D[1, b]"]);
    let records = kafka.read(&topic).expect("read");
    assert_eq!(records.len(), 4);
    // A record of one field: mark, number, value.
    assert_eq!(records[0].key.as_ref().map(Vec::len), Some(6));
}

/// The registry's answers are in the state: a reader goes on while the registry is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_reader_does_not_ask_again() {
    let (Some(kafka), Some(url)) = (Kafka::running(), services::schema_registry()) else { return };
    let topic = kafka.topic(1).expect("a topic");
    let of = |url: &str| {
        let options = [COMMON[0], COMMON[1], ("format", "avro-confluent"), ("avro-confluent.url", url)];
        table("kafka", "id INT", &kafka, &topic, &options)
    };
    let source = |table: &TableBuilder| {
        registry().connector("kafka").expect("it").source(&table.source()).expect("a source").source
    };
    write(&of(&url), vec![batch("id INT", &["+I[1]"])]).await;
    let mut harness = SourceHarness::start(&source(&of(&url)), 1, None).await.expect("started");
    while harness.step(0).await.expect("read").is_none_or(|b| b.num_rows() == 0) {}
    let checkpoint = harness.snapshot().expect("a checkpoint");
    write(&of(&url), vec![batch("id INT", &["+I[2]"])]).await;
    // Nobody listens there.
    let away = source(&of("http://127.0.0.1:1"));
    let mut restored = SourceHarness::start(&away, 1, Some(checkpoint)).await.expect("restored");
    let rows = loop {
        if let Some(rows) = restored.step(0).await.expect("read").filter(|b| b.num_rows() > 0) {
            break rows;
        }
    };
    assert_eq!(sorted(&[rows]), ["+I[2]"]);
}
