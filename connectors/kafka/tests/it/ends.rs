//! Where reading really ends, topics that are not what they were, and records of other people's producers.

use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use flott_connector::source::{ReaderEvent, Source};
use flott_core::{ErrorKind, Result};
use flott_testkit::kafka::{Kafka, KafkaRecord};
use flott_testkit::{SourceHarness, TableBuilder, batch};

use crate::support::{registry, sorted, table, unique, values, writer_context};

fn source(table: &TableBuilder) -> Arc<dyn Source> {
    registry().connector("kafka").expect("it").source(&table.source()).expect("a source").source
}

async fn rows(table: &TableBuilder) -> Result<Vec<String>> {
    let mut harness = SourceHarness::start(&source(table), 1, None).await?;
    let read = tokio::time::timeout(Duration::from_secs(60), harness.run_to_end()).await.expect("it ends");
    Ok(sorted(&read?))
}

/// An end that the partition does not reach yet is waited for; offsets that hold no records count.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_lies_further_than_the_partition_is_waited_for() {
    let Some(kafka) = Kafka::running() else { return };
    for aborted in [false, true] {
        let topic = kafka.topic(1).expect("a topic");
        kafka.write(&topic, &values(&["{\"i\":1}", "{\"i\":2}"])).expect("written");
        let options = [
            ("format", "json"),
            ("scan.startup.mode", "earliest-offset"),
            ("scan.bounded.mode", "specific-offsets"),
            ("scan.bounded.specific-offsets", "partition:0,offset:4"),
            ("properties.isolation.level", "read_committed"),
        ];
        let reading = table("kafka", "i INT", &kafka, &topic, &options);
        let read = tokio::spawn(async move { rows(&reading).await });
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!read.is_finished(), "it ended before the offset was reached");
        let more = values(&["{\"i\":3}"]);
        kafka.write(&topic, &more).expect("written");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!read.is_finished(), "it ended before the offset was reached");
        // Offset 3 is a row, or one that nobody sees, with its marker.
        let expected = if aborted {
            kafka.write_aborted(&topic, &values(&["{\"i\":9}"])).expect("written");
            vec!["+I[1]", "+I[2]", "+I[3]"]
        } else {
            kafka.write(&topic, &values(&["{\"i\":4}", "{\"i\":5}"])).expect("written");
            vec!["+I[1]", "+I[2]", "+I[3]", "+I[4]"]
        };
        assert_eq!(read.await.expect("no panic").expect("read"), expected);
    }
}

/// Also where the new topic has as many records: the position would be one of other rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_anew_is_refused() {
    let Some(kafka) = Kafka::running() else { return };
    for bounded in [false, true] {
        let topic = kafka.topic(1).expect("a topic");
        kafka.write(&topic, &values(&["{\"i\":1}", "{\"i\":2}"])).expect("written");
        let mut options = vec![("format", "json"), ("scan.startup.mode", "earliest-offset")];
        if bounded {
            options.extend([
                ("scan.bounded.mode", "specific-offsets"),
                ("scan.bounded.specific-offsets", "partition:0,offset:100"),
            ]);
        }
        let reading = source(&table("kafka", "i INT", &kafka, &topic, &options));
        let mut harness = SourceHarness::start(&reading, 1, None).await.expect("started");
        let checkpoint = harness.snapshot().expect("a checkpoint");
        drop(harness);
        // It is the same one.
        drop(SourceHarness::start(&reading, 1, Some(checkpoint.clone())).await.expect("restored"));
        kafka.delete(&topic).expect("removed");
        let mut tries = 0;
        while kafka.create(&topic, 1, &[]).is_err() {
            tries += 1;
            assert!(tries < 100, "the topic cannot be made again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        kafka.write(&topic, &values(&["{\"i\":7}", "{\"i\":8}", "{\"i\":9}"])).expect("written");
        let error = SourceHarness::start(&reading, 1, Some(checkpoint)).await.map(drop).expect_err("another topic");
        assert!(error.kind() == ErrorKind::Data && error.to_string().contains("made anew"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_the_table_does_not_name_any_more_is_refused() {
    let Some(kafka) = Kafka::running() else { return };
    let (one, two) = (kafka.topic(1).expect("a topic"), kafka.topic(1).expect("a topic"));
    kafka.write(&one, &values(&["{\"i\":1}"])).expect("written");
    kafka.write(&two, &values(&["{\"i\":2}"])).expect("written");
    let options = [("format", "json"), ("scan.startup.mode", "latest-offset")];
    let of = |topics: &str| source(&table("kafka", "i INT", &kafka, topics, &options));
    let mut harness = SourceHarness::start(&of(&one), 1, None).await.expect("started");
    let checkpoint = harness.snapshot().expect("a checkpoint");
    drop(harness);
    let error = SourceHarness::start(&of(&two), 1, Some(checkpoint.clone())).await.map(drop).expect_err("gone");
    assert!(error.kind() == ErrorKind::User && error.to_string().contains(&one), "{error}");
    // One more is read from its beginning.
    let mut harness = SourceHarness::start(&of(&format!("{one};{two}")), 1, Some(checkpoint)).await.expect("restored");
    let batch = loop {
        if let Some(batch) = harness.step(0).await.expect("read") {
            break batch;
        }
    };
    assert_eq!(sorted(&[batch]), ["+I[2]"]);
}

/// A record with a header whose name is no UTF-8, which no Rust client writes.
#[expect(unsafe_code, reason = "the safe interface takes only text")]
fn write_with_header(kafka: &Kafka, topic: &str, name: &[u8]) {
    use rdkafka::ClientConfig;
    use rdkafka::bindings as c;
    use rdkafka::producer::{BaseProducer, Producer};
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &kafka.servers);
    let producer: BaseProducer = config.create().expect("a producer");
    let topic = CString::new(topic).expect("a name");
    // SAFETY: all pointers live to the end of the call, which copies topic, header and value (RD_KAFKA_MSG_F_COPY).
    let code = unsafe {
        let headers = c::rd_kafka_headers_new(1);
        c::rd_kafka_header_add(headers, name.as_ptr().cast(), name.len() as isize, b"v".as_ptr().cast(), 1);
        let value = b"{\"i\":1}";
        c::rd_kafka_producev(
            producer.client().native_ptr(),
            c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TOPIC as i32,
            topic.as_ptr(),
            c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS as i32,
            2,
            c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE as i32,
            value.as_ptr(),
            value.len(),
            c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS as i32,
            headers,
            c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END as i32,
        )
    };
    assert_eq!(code as i32, 0);
    producer.flush(Duration::from_secs(20)).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_whose_name_is_no_text_is_read_as_in_java() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    write_with_header(&kafka, &topic, b"a\xff");
    let options =
        [("format", "json"), ("scan.startup.mode", "earliest-offset"), ("scan.bounded.mode", "latest-offset")];
    let table = table("kafka", "i INT", &kafka, &topic, &options).metadata(
        "headers",
        "headers",
        "MAP<STRING, BYTES> NOT NULL",
        true,
    );
    let rows = rows(&table).await.expect("read");
    assert!(rows.len() == 1 && rows[0].contains("a\u{fffd}"), "{rows:?}");
}

/// A key that cannot be read takes its row with it: it is counted.
#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_key_are_counted() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    kafka.write(&topic, &values(&["{\"v\":1}"])).expect("written");
    let options = [
        ("scan.startup.mode", "earliest-offset"),
        ("key.format", "json"),
        ("key.fields", "k"),
        ("value.format", "json"),
        ("value.fields-include", "EXCEPT_KEY"),
    ];
    let reading = source(&table("kafka", "k INT, v INT", &kafka, &topic, &options));
    let mut harness = SourceHarness::start(&reading, 1, None).await.expect("started");
    let batch = loop {
        if let ReaderEvent::Batch(batch) = harness.reader(0).next().await.expect("read") {
            break batch;
        }
    };
    assert_eq!((batch.rows.num_rows(), batch.skipped), (0, 1));
}

/// Changes through a topic, with what the format says beside its rows.
#[tokio::test(flavor = "multi_thread")]
async fn changes_are_written_and_read() {
    let Some(kafka) = Kafka::running() else { return };
    for format in ["debezium-json", "canal-json", "maxwell-json", "ogg-json"] {
        let topic = kafka.topic(1).expect("a topic");
        let options = [
            ("format", format),
            ("sink.delivery-guarantee", "at-least-once"),
            ("scan.startup.mode", "earliest-offset"),
            ("scan.bounded.mode", "latest-offset"),
        ];
        let table = table("kafka", "i INT, v STRING", &kafka, &topic, &options);
        let sink = registry().connector("kafka").expect("it").sink(&table.sink()).expect("a sink").sink;
        let mut writer = sink.create_writer(writer_context(&unique("lineage"), 1), vec![]).expect("a writer");
        let changes = batch("i INT, v STRING", &["+I[1, a]", "-U[1, a]", "+U[1, b]", "-D[1, b]"]);
        writer.write(changes).await.expect("taken");
        writer.flush(true).await.expect("written");
        writer.close().await.expect("closed");
        assert_eq!(rows(&table).await.expect("read"), ["+I[1, a]", "+I[1, b]", "-D[1, a]", "-D[1, b]"], "{format}");
    }
    let topic = kafka.topic(1).expect("a topic");
    let message = r#"{"before":null,"after":{"i":1,"v":"a"},"op":"c","ts_ms":5,"source":{"table":"orders"}}"#;
    kafka.write(&topic, &[KafkaRecord::of(0, message)]).expect("written");
    let options = [
        ("value.format", "debezium-json"),
        ("scan.startup.mode", "earliest-offset"),
        ("scan.bounded.mode", "latest-offset"),
    ];
    let table = table("kafka", "v STRING", &kafka, &topic, &options)
        .metadata("t", "value.source.table", "STRING", true)
        .metadata("o", "offset", "BIGINT NOT NULL", true)
        .metadata("at", "value.ingestion-timestamp", "TIMESTAMP_LTZ(3)", true);
    assert_eq!(rows(&table).await.expect("read"), ["+I[a, orders, 0, 1970-01-01T00:00:00.005Z]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_removed_while_it_is_read_is_told() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    kafka.write(&topic, &values(&["{\"i\":1}"])).expect("written");
    let options = [("format", "json"), ("scan.startup.mode", "earliest-offset")];
    let reading = source(&table("kafka", "i INT", &kafka, &topic, &options));
    let mut harness = SourceHarness::start(&reading, 1, None).await.expect("started");
    while harness.step(0).await.expect("read").is_none() {}
    kafka.delete(&topic).expect("removed");
    let told = async {
        loop {
            if let Err(error) = harness.reader(0).next().await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(60), told).await.expect("it is told");
    assert!(error.kind() == ErrorKind::User && error.context("topic") == Some(&topic), "{error}");
}
