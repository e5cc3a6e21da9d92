//! What the client library does by itself: rows into a topic, from one topic into another, and what a topic holds.
//!
//! `fill`, `copy` and `count` are what `cargo xtask bench kafka` sets beside a job. Each prints one JSON object; `copy` is
//! the loop that a program without SQL would be: one consumer and one producer, records untouched, with the settings of
//! the connector.
#![allow(clippy::print_stdout, reason = "a program that tells what it measured")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a row that `fill` writes.
const ROW_BYTES: usize = 200;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["fill", servers, topic, rows] => fill(servers, topic, rows.parse()?),
        ["copy", servers, from, to] => copy(servers, from, to),
        ["count", servers, topic] => count(servers, topic),
        _ => Err("bare fill SERVERS TOPIC ROWS | copy SERVERS FROM TO | count SERVERS TOPIC".into()),
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
fn now() -> Instant {
    Instant::now()
}

/// A flat row of [`ROW_BYTES`] bytes.
fn row(id: u64, text: &mut String) {
    use std::fmt::Write as _;
    text.clear();
    let (user, cents, ms) = (id.wrapping_mul(7_919) % 1_000_000, id.wrapping_mul(31) % 100_000, id % 1_000);
    let second = id / 1_000 % 60;
    write!(
        text,
        "{{\"id\":{id},\"user_id\":{user},\"amount\":{}.{:02},\"kind\":\"purchase\",\
         \"at\":\"2024-01-01 00:00:{second:02}.{ms:03}\",\"note\":\"",
        cents / 100,
        cents % 100
    )
    .ok();
    while text.len() < ROW_BYTES - 2 {
        text.push(char::from(b'a' + (text.len() % 26) as u8));
    }
    text.push_str("\"}");
}

fn producer(servers: &str) -> Outcome<ThreadedProducer<DefaultProducerContext>> {
    Ok(ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.messages", "500000")
        .set("max.in.flight.requests.per.connection", "1")
        .create()?)
}

fn send(producer: &ThreadedProducer<DefaultProducerContext>, topic: &str, payload: &[u8]) -> Outcome<()> {
    let mut record = BaseRecord::<(), [u8]>::to(topic).payload(payload);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                #[expect(clippy::disallowed_methods, reason = "the queue is full, and drained by another thread")]
                std::thread::sleep(Duration::from_micros(500));
                record = again;
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

fn fill(servers: &str, topic: &str, rows: u64) -> Outcome<()> {
    let (producer, mut text, begun) = (producer(servers)?, String::new(), now());
    for id in 0..rows {
        row(id, &mut text);
        send(&producer, topic, text.as_bytes())?;
    }
    producer.flush(PATIENCE)?;
    tell(rows, 0, begun)
}

/// Gives every record of a topic, as far as it reaches now, to `each`.
fn read(servers: &str, topic: &str, isolation: &str, mut each: impl FnMut(&[u8]) -> Outcome<()>) -> Outcome<u64> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "flott-bench-bare")
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|t| t.partitions()) {
        list.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
    }
    let mut open = list.count();
    consumer.assign(&list)?;
    let mut rows = 0;
    while open > 0 {
        match consumer.poll(PATIENCE) {
            Some(Ok(record)) => {
                rows += 1;
                each(record.payload().unwrap_or_default())?;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => return Err(error.into()),
            None => return Err("nothing comes".into()),
        }
    }
    Ok(rows)
}

fn copy(servers: &str, from: &str, to: &str) -> Outcome<()> {
    let (producer, begun) = (producer(servers)?, now());
    let rows = read(servers, from, "read_uncommitted", |payload| send(&producer, to, payload))?;
    producer.flush(PATIENCE)?;
    tell(rows, 0, begun)
}

/// Rows and the sum of their ids, which is that of 0 to n-1 where each is there once.
fn count(servers: &str, topic: &str) -> Outcome<()> {
    let begun = now();
    let mut sum = 0u64;
    let rows = read(servers, topic, "read_committed", |payload| {
        let digits = payload.strip_prefix(b"{\"id\":").ok_or("a row without an id")?;
        let id = digits.iter().take_while(|b| b.is_ascii_digit()).fold(0u64, |n, b| n * 10 + u64::from(b - b'0'));
        sum = sum.wrapping_add(id);
        Ok(())
    })?;
    tell(rows, sum, begun)
}

/// With what the kernel says of this process.
fn tell(rows: u64, sum: u64, begun: Instant) -> Outcome<()> {
    let wall_s = begun.elapsed().as_secs_f64();
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |f| f.1).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    let figures: BTreeMap<&str, f64> = [
        ("wall_s", wall_s),
        ("cpu_s", (ticks(11) + ticks(12)) / 100.0),
        ("rss_mb", peak.unwrap_or(0.0) * 1024.0 / 1e6),
    ]
    .into();
    let mut answer = serde_json::to_value(&figures)?;
    answer["rows"] = rows.into();
    answer["sum"] = sum.into();
    println!("{answer}");
    Ok(())
}
