//! A producer with its own thread for answers: whether all records are acknowledged, and what went wrong first.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use flott_core::{Error, Result};
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaRespErr;

use crate::client::{self, Context, blocking};
use crate::limits::{self, REQUEST_BYTES_MAX};
use crate::native;
use crate::properties::{Properties, Role};
use crate::record::Outgoing;
use crate::spread::{Run, Spread};

/// Between two looks whether all is acknowledged.
pub(crate) const LOOK: Duration = Duration::from_micros(500);
/// Records that wait in the client at most.
const QUEUE_RECORDS: &str = "500000";

/// Bytes of a batch, where `batch.size` is not set.
const BATCH_BYTES: usize = 1_000_000;
/// Where `transaction.timeout.ms` is not set.
const TRANSACTION_TIMEOUT_MS: u64 = 120_000;

const IN_FLIGHT: &str = "max.in.flight.requests.per.connection";
/// Requests of a connection that are under way at most, where `max.in.flight.requests.per.connection` is not set. A broker looks at one
/// request of a connection at a time, so that a second one saves no more than its way. Where it may go, librdkafka's thread does not sleep
/// while a record that it would send waits behind another one of its partition: it looks again and again, which was a quarter of a
/// job's time. With a request that waits for its turn it sleeps.
const REQUESTS_UNDER_WAY: &str = "1";

/// The client.
pub(crate) type ThreadedProducer = rdkafka::producer::ThreadedProducer<Answers, Spread>;

/// What went wrong. Of what was acknowledged nothing is said.
pub(crate) struct Answers {
    failure: Mutex<Option<KafkaError>>,
    context: Context,
    spread: Spread,
}

impl Answers {
    fn of(properties: &Properties) -> Answers {
        // Any number that differs between producers.
        let start = RandomState::new().hash_one(0);
        Answers { failure: Mutex::default(), context: Context::of(properties), spread: Spread::from(start as u32) }
    }
}

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext<Spread> for Answers {
    type DeliveryOpaque = ();

    fn get_custom_partitioner(&self) -> Option<&Spread> {
        Some(&self.spread)
    }

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.failure.lock().get_or_insert_with(|| error.clone());
        }
    }
}

pub(crate) struct Producer {
    /// Before the client, which they are parts of.
    topics: HashMap<String, Known>,
    pub(crate) client: Arc<ThreadedProducer>,
    properties: Properties,
}

/// A topic that something was sent to.
struct Known {
    topic: native::Topic,
    run: Run,
}

impl Known {
    /// Hands plain records over; gives how many were taken, and why no more.
    fn send(&mut self, partition: Option<i32>, records: &[Outgoing<'_>]) -> (usize, Option<KafkaError>) {
        let mut taken = 0;
        for records in records.chunk_by(|a, b| a.key.is_some() == b.key.is_some()) {
            let (sent, failed) = match (partition, records[0].key) {
                (None, None) => self.spread(records),
                _ => self.topic.produce(partition, records),
            };
            taken += sent;
            if failed.is_some() {
                return (taken, failed);
            }
        }
        (taken, None)
    }

    /// The same, of records that may go anywhere.
    fn spread(&mut self, records: &[Outgoing<'_>]) -> (usize, Option<KafkaError>) {
        let mut taken = 0;
        while taken < records.len() {
            let rest = &records[taken..];
            let (count, partition) = self.run.next(rest.iter().map(Outgoing::bytes));
            let (sent, failed) = self.topic.produce(partition, &rest[..count]);
            taken += sent;
            match failed {
                None if partition.is_none() => self.run.begun(rest[0].bytes()),
                None => {}
                // The topic has fewer partitions than a moment ago.
                Some(error)
                    if partition.is_some()
                        && error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition) =>
                {
                    self.run.end();
                }
                Some(error) => return (taken, Some(error)),
            }
        }
        (taken, None)
    }
}

impl Producer {
    /// A producer that keeps the order and repeats nothing; with an id it writes in transactions.
    pub(crate) fn new(properties: &Properties, transactional_id: Option<&str>) -> Result<Producer> {
        Producer::with_batches(properties, transactional_id, None)
    }

    /// The same; a batch of several records has no more than so many bytes.
    pub(crate) fn with_batches(
        properties: &Properties,
        transactional_id: Option<&str>,
        batch_bytes_max: Option<usize>,
    ) -> Result<Producer> {
        let mut config = properties.config(Role::Producer)?;
        // Else records without a key would not be ours to spread.
        config.set("sticky.partitioning.linger.ms", "0").set("queue.buffering.max.messages", QUEUE_RECORDS);
        // Ours takes its place; without one of the library's there would be no such place.
        config.set("partitioner", "murmur2_random");
        // That all is acknowledged is known by how much is under way.
        config.set("delivery.report.only.error", "true");
        if properties.get("max.request.size").is_none() {
            config.set("message.max.bytes", REQUEST_BYTES_MAX.to_string());
        }
        if properties.get("buffer.memory").is_none() {
            config.set("queue.buffering.max.kbytes", (limits::buffer_bytes(properties) / 1024).to_string());
        }
        if let Some(max) = batch_bytes_max {
            config.set("batch.size", Producer::batch_bytes(properties).min(max).max(1).to_string());
        }
        if properties.get("enable.idempotence").is_none()
            && properties.get("acks").is_none_or(|a| ["all", "-1"].contains(&a.trim()))
            // As in Java: who says that nothing is to be tried again means that.
            && properties.get("retries").is_none_or(|r| r.trim() != "0")
        {
            config.set("enable.idempotence", "true");
        }
        if let Some(id) = transactional_id {
            config.set("transactional.id", id).set("enable.idempotence", "true").set("acks", "all");
            let timeout = properties.get("transaction.timeout.ms");
            config.set("transaction.timeout.ms", timeout.map_or(TRANSACTION_TIMEOUT_MS.to_string(), str::to_string));
            // Nobody waits for single records: what is written is there already.
            config.remove("linger.ms");
        }
        let is_idempotent = config.get("enable.idempotence").is_some_and(|i| i.trim().eq_ignore_ascii_case("true"));
        if is_idempotent && properties.get(IN_FLIGHT).is_none() {
            config.set(IN_FLIGHT, REQUESTS_UNDER_WAY);
        }
        let client = ThreadedProducer::from_config_and_context(&config, Answers::of(properties));
        let client = client.map_err(|e| client::error(e, properties, "make a producer for"))?;
        Ok(Producer { topics: HashMap::new(), client: Arc::new(client), properties: properties.clone() })
    }

    /// Bytes of a batch of several records at most, where the topic takes as many.
    pub(crate) fn batch_bytes(properties: &Properties) -> usize {
        properties.get("batch.size").and_then(|b| b.trim().parse().ok()).unwrap_or(BATCH_BYTES)
    }

    /// Hands records to the client and gives how many it took. Where that are not all the client holds as much as it may: wait a
    /// little.
    pub(crate) fn send(&mut self, topic: &str, partition: Option<i32>, records: &[Outgoing<'_>]) -> Result<usize> {
        let mut taken = 0;
        for records in records.chunk_by(|a, b| native::is_plain(a) && native::is_plain(b)) {
            let (sent, failed) = match records {
                [record] if !native::is_plain(record) => self.send_one(topic, partition, record),
                records => {
                    if !self.topics.contains_key(topic) {
                        let made = native::Topic::of(self.client.client(), topic);
                        let made = made.ok_or_else(|| {
                            Error::data(format!("'{topic}' cannot be the name of a topic")).with("topic", topic)
                        })?;
                        self.topics.insert(topic.to_string(), Known { topic: made, run: Run::default() });
                    }
                    let Some(known) = self.topics.get_mut(topic) else { break };
                    known.send(partition, records)
                }
            };
            taken += sent;
            match failed {
                None => {}
                Some(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    // Writers refuse what never fits; this may have been staged before the limit was set.
                    limits::fits(records.get(sent).map_or(0, Outgoing::bytes), limits::buffer_bytes(&self.properties))?;
                    break;
                }
                Some(error) => {
                    return Err(client::error_of_writing(error, &self.properties, "write to").with("topic", topic));
                }
            }
        }
        Ok(taken)
    }

    /// A record with more than key and value.
    fn send_one(&self, topic: &str, partition: Option<i32>, record: &Outgoing<'_>) -> (usize, Option<KafkaError>) {
        let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
        message.key = record.key;
        message.payload = record.value;
        message.partition = partition;
        // To the client 0 is "now", so the first millisecond of 1970 goes as the second.
        message.timestamp = record.timestamp_ms.map(|t| t.max(1));
        if !record.headers.is_empty() {
            let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
            for (key, value) in &record.headers {
                headers = headers.insert(Header { key, value: *value });
            }
            message.headers = Some(headers);
        }
        match self.client.send(message) {
            Ok(()) => (1, None),
            Err((error, _)) => (0, Some(error)),
        }
    }

    /// The first delivery that failed, once.
    pub(crate) fn check(&self) -> Result<()> {
        match self.client.context().failure.lock().take() {
            Some(error) => Err(client::error_of_writing(error, &self.properties, "write to")),
            None => Ok(()),
        }
    }

    /// Whether every record that was sent is answered, and every failure told.
    pub(crate) fn is_through(&self) -> bool {
        // A failure is under way until it has been told.
        self.client.in_flight_count() == 0
    }

    /// Waits until all is acknowledged. What the client cannot deliver within `delivery.timeout.ms` is an error.
    pub(crate) async fn flush(&self) -> Result<()> {
        let waits = !self.is_through();
        while !self.is_through() {
            self.check()?;
            tokio::time::sleep(LOOK).await;
        }
        self.check()?;
        if waits {
            self.answered();
        }
        Ok(())
    }

    /// A broker has answered: an outage, where there was one, is over.
    pub(crate) fn answered(&self) {
        self.client.context().context.outage.answered();
    }

    /// How long the broker lets a transaction be open.
    pub(crate) fn transaction_timeout(&self) -> Duration {
        let ms = self.properties.get("transaction.timeout.ms").and_then(|t| t.trim().parse().ok());
        Duration::from_millis(ms.unwrap_or(TRANSACTION_TIMEOUT_MS))
    }

    /// The partitions of a topic; an error where it is missing. Blocks.
    pub(crate) fn partitions(&self, topic: &str) -> Result<i32> {
        partitions(&self.client, &self.properties, topic)
    }

    /// The same, beside the runtime's threads.
    pub(crate) async fn look_up(&self, topic: &str) -> Result<i32> {
        let (client, properties, topic) = (Arc::clone(&self.client), self.properties.clone(), topic.to_string());
        blocking(move || partitions(&client, &properties, &topic)).await?
    }

    pub(crate) fn error(&self, error: KafkaError, what: &str) -> Error {
        client::error_of_writing(error, &self.properties, what)
    }
}

fn partitions(client: &ThreadedProducer, properties: &Properties, topic: &str) -> Result<i32> {
    // The producer's own thread takes in what is said.
    let heard = &client.context().context.heard;
    let question = |patience| {
        let metadata = client.client().fetch_metadata(Some(topic), patience)?;
        metadata.topics().iter().try_for_each(crate::topics::settled)?;
        Ok(metadata)
    };
    let metadata = client::ask_by(heard, || (), properties, "look up a topic in", question);
    let metadata = metadata.map_err(|e| e.with("topic", topic))?;
    let found = metadata.topics().iter().find(|t| t.name() == topic);
    if let Some(code @ RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) = found.and_then(|t| t.error()) {
        let error = KafkaError::MetadataFetch(code.into());
        return Err(client::error(error, properties, "look up a topic in").with("topic", topic));
    }
    let found = found.filter(|t| t.error().is_none());
    match i32::try_from(found.map_or(0, |t| t.partitions().len())) {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(crate::topics::missing(topic, properties)),
    }
}
