//! protobuf against a real broker: keys and values, changes by key, and what is no message.

use flott_core::ChangeBatch;
use flott_testkit::kafka::{Kafka, KafkaRecord};
use flott_testkit::{SourceHarness, TableBuilder, batch};

use crate::support::{registry, sorted, table, writer_context};

const PROTO: &str = r#"
syntax = "proto3";
package shop;
option java_package = "com.example";
option java_outer_classname = "Shop";
message Key { int32 id = 1; }
message Order { int32 id = 1; string v = 2; repeated int64 n = 3; }
"#;
const COLUMNS: &str = "id INT NOT NULL, v STRING, n ARRAY<BIGINT>";

async fn write(table: &TableBuilder, connector: &str, batches: Vec<ChangeBatch>) {
    let sink = registry().connector(connector).expect("it").sink(&table.sink()).expect("a sink").sink;
    let mut writer = sink.create_writer(writer_context("l", 1), vec![]).expect("a writer");
    for batch in batches {
        writer.write(batch).await.expect("taken");
    }
    writer.flush(true).await.expect("acknowledged");
    writer.close().await.expect("closed");
}

async fn read(table: &TableBuilder, connector: &str) -> flott_core::Result<Vec<String>> {
    let source = registry().connector(connector)?.source(&table.source())?.source;
    Ok(sorted(&SourceHarness::start(&source, 1, None).await?.run_to_end().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_topic() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    let options = [
        ("sink.delivery-guarantee", "at-least-once"),
        ("scan.startup.mode", "earliest-offset"),
        ("scan.bounded.mode", "latest-offset"),
        ("format", "protobuf"),
        ("protobuf.message-class-name", "com.example.Shop$Order"),
        ("protobuf.schema", PROTO),
    ];
    let orders = table("kafka", COLUMNS, &kafka, &topic, &options);
    write(&orders, "kafka", vec![batch(COLUMNS, &["+I[1, a, [7, -1]]", "+I[2, null, null]"])]).await;
    let values: Vec<_> = kafka.read(&topic).expect("read").into_iter().map(|r| r.value).collect();
    let first = [&[8, 1, 18, 1, b'a', 26, 11, 7][..], &[0xff; 9], &[1]].concat();
    assert_eq!(values, [Some(first), Some(vec![8, 2])]);
    assert_eq!(read(&orders, "kafka").await.expect("read"), ["+I[1, a, [7, -1]]", "+I[2, , null]"]);
    kafka.write(&topic, &[KafkaRecord::of(0, "{}")]).expect("written");
    let e = read(&orders, "kafka").await.expect_err("json");
    assert_eq!((e.context("topic"), e.context("offset")), (Some(&*topic), Some("2")), "{e}");
    let skipping = orders.option("protobuf.ignore-parse-errors", "true");
    assert_eq!(read(&skipping, "kafka").await.expect("read").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_key() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    let options = [
        ("sink.delivery-guarantee", "at-least-once"),
        ("scan.bounded.mode", "latest-offset"),
        ("key.format", "protobuf"),
        ("key.protobuf.message-class-name", "shop.Key"),
        ("key.protobuf.schema", PROTO),
        ("value.format", "protobuf"),
        ("value.protobuf.message-class-name", "shop.Order"),
        ("value.protobuf.schema", PROTO),
    ];
    let orders = table("upsert-kafka", COLUMNS, &kafka, &topic, &options).primary_key(&["id"]);
    let rows = ["+I[1, a, null]", "+U[1, b, null]", "+I[2, c, null]", "-D[2, c, null]"];
    write(&orders, "upsert-kafka", vec![batch(COLUMNS, &rows)]).await;
    let records = kafka.read(&topic).expect("read");
    let last = records.last().expect("a record");
    assert_eq!((last.key.as_deref(), &last.value), (Some(&[8, 2][..]), &None));
    let read = read(&orders, "upsert-kafka").await.expect("read");
    assert!(read.iter().any(|r| r.ends_with("[1, b, null]")), "{read:?}");
    assert!(read.iter().any(|r| r.starts_with("-D[2")), "{read:?}");
}
