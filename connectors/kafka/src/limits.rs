//! What a topic takes: rows that the broker would refuse are found when they are written, and not when their checkpoint is
//! decided and there is no way back.

use std::collections::HashMap;
use std::sync::Arc;

use flott_core::clock::{Clock, SystemClock};
use flott_core::{Error, ErrorKind, Generation, Result};
use futures::executor::block_on;
use parking_lot::Mutex;
use rdkafka::admin::{AdminClient, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};

use crate::client::{self, Context, REQUEST_PATIENCE, blocking};
use crate::marker::{admin, admin_options, pause};
use crate::properties::Properties;
use crate::record::Outgoing;
use crate::topics::{self, Topics};

/// Java's `max.request.size`, where it is not set.
pub(crate) const REQUEST_BYTES_MAX: usize = 1_048_576;
/// Java's `buffer.memory`, where it is not set: what waits in the client. The library's own gigabyte is memory that is cold when it is used.
const BUFFER_BYTES: usize = 32 << 20;
/// What a batch of records has besides them.
const BATCH_OVERHEAD: usize = 61;
/// Bytes of a row that a message shows.
const SHOWN: usize = 100;

/// What a topic's configuration says. `None` is unknown, or without a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Topic {
    batch_bytes_max: Option<usize>,
    needs_key: bool,
    /// How far a timestamp may lie before and behind the broker's time.
    before_ms: Option<i64>,
    after_ms: Option<i64>,
}

/// What was asked of topics, for all writers of an attempt and its committer.
#[derive(Default)]
pub(crate) struct Asked(Mutex<(u64, HashMap<String, Topic>)>);

impl Asked {
    fn get(&self, generation: Generation, topic: &str) -> Option<Topic> {
        let asked = self.0.lock();
        (asked.0 == generation.0).then(|| asked.1.get(topic).cloned()).flatten()
    }

    fn put(&self, generation: Generation, topic: &str, found: &Topic) {
        let mut asked = self.0.lock();
        // What was asked in an attempt before may have changed since.
        if asked.0 != generation.0 {
            *asked = (generation.0, HashMap::new());
        }
        asked.1.insert(topic.to_string(), *found);
    }
}

/// Bytes that wait in a client at most, in whole kilobytes: never less than a request, where nothing is said.
pub(crate) fn buffer_bytes(properties: &Properties) -> usize {
    let number = |key| properties.get(key).and_then(|v| v.trim().parse::<usize>().ok());
    let given = number("buffer.memory").unwrap_or_else(|| BUFFER_BYTES.max(number("max.request.size").unwrap_or(0)));
    (given / 1024).max(1) * 1024
}

/// A record that is larger than what a client holds would wait for ever.
pub(crate) fn fits(bytes: usize, holds: usize) -> Result<()> {
    if bytes <= holds {
        return Ok(());
    }
    Err(Error::data(format!("A row is {bytes} bytes large, and the client holds {holds} ('properties.buffer.memory')"))
        .hint("Raise 'properties.buffer.memory', or leave such rows out"))
}

/// The limits of the topics of one writer.
pub(crate) struct Limits {
    asked: Arc<Asked>,
    generation: Generation,
    properties: Properties,
    request_bytes_max: usize,
    /// What a client holds: a record that does not fit would wait for ever.
    memory_bytes_max: usize,
    /// Compressed records are smaller, by what only the client knows.
    compresses: bool,
    /// `None` could not be asked for just now.
    known: HashMap<String, Option<Topic>>,
    clock: Arc<dyn Clock>,
}

impl Limits {
    pub(crate) fn new(properties: &Properties, asked: &Arc<Asked>, generation: Generation) -> Limits {
        let number = |key| properties.get(key).and_then(|v| v.trim().parse().ok());
        Limits {
            asked: Arc::clone(asked),
            generation,
            request_bytes_max: number("max.request.size").unwrap_or(REQUEST_BYTES_MAX),
            memory_bytes_max: buffer_bytes(properties),
            compresses: properties.get("compression.type").is_some_and(|c| !c.trim().eq_ignore_ascii_case("none")),
            properties: properties.clone(),
            known: HashMap::new(),
            clock: SystemClock::shared(),
        }
    }

    /// Topics whose limits could not be asked for are asked again.
    pub(crate) fn ask_again(&mut self) {
        self.known.retain(|_, topic| topic.is_some());
    }

    /// Refuses records that their topic would not take. Asks for the topic's limits where they are not known: while brokers are
    /// away nothing is refused, since an outage costs no rows.
    pub(crate) async fn check(&mut self, records: &[Outgoing<'_>]) -> Result<()> {
        for records in records.chunk_by(|a, b| a.topic == b.topic) {
            let Some(name) = records[0].topic else { return Err(Error::internal("a record without a topic")) };
            let topic = self.of(name).await?.unwrap_or_default();
            for record in records {
                self.check_against(&topic, record).map_err(|e| e.with("topic", name).with("row", shown(record)))?;
            }
        }
        Ok(())
    }

    /// What is known of a topic.
    async fn of(&mut self, name: &str) -> Result<Option<Topic>> {
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        let (topic, properties) = (name.to_string(), self.properties.clone());
        let found = match self.asked.get(self.generation, name) {
            Some(asked) => Ok(asked),
            None => blocking(move || look_up(&topic, &properties)).await?,
        };
        let found = match found {
            Ok(found) => {
                self.asked.put(self.generation, name, &found);
                Some(found)
            }
            Err(e) if e.kind() == ErrorKind::Unavailable => {
                tracing::warn!(error = %e, topic = name, "what the topic takes is not known for now");
                None
            }
            Err(e) => return Err(e),
        };
        self.known.insert(name.to_string(), found);
        Ok(found)
    }

    fn check_against(&self, topic: &Topic, record: &Outgoing<'_>) -> Result<()> {
        let bytes = record_bytes(record);
        if bytes > self.request_bytes_max {
            return Err(Error::data(format!(
                "A row is {} bytes large, and a record may have {} ('properties.max.request.size')",
                bytes, self.request_bytes_max
            ))
            .hint("Raise 'properties.max.request.size' and the topic's 'max.message.bytes', or leave such rows out"));
        }
        fits(bytes, self.memory_bytes_max)?;
        if let Some(max) = topic.batch_bytes_max.filter(|max| !self.compresses && bytes + BATCH_OVERHEAD > *max) {
            return Err(Error::data(format!(
                "A row is {} bytes large, and the topic takes {max} ('max.message.bytes')",
                bytes + BATCH_OVERHEAD
            ))
            .hint("Raise the topic's 'max.message.bytes', set 'properties.compression.type', or leave such rows out"));
        }
        if topic.needs_key && record.key.is_none() {
            return Err(Error::data("A row has no key, and the topic is compacted, which needs one")
                .hint("Set 'key.format' and 'key.fields', or remove 'compact' from the topic's 'cleanup.policy'"));
        }
        let Some(time) = record.timestamp_ms else { return Ok(()) };
        if time < 0 {
            return Err(Error::data(format!("A row has the timestamp {time} ms, and Kafka takes none before 1970"))
                .hint("Write NULL, or leave such rows out"));
        }
        let ahead = time.saturating_sub(self.clock.now_ms());
        let (limit, distance, option) = if ahead > 0 {
            (topic.after_ms, ahead, "message.timestamp.after.max.ms")
        } else {
            (topic.before_ms, ahead.saturating_neg(), "message.timestamp.before.max.ms")
        };
        match limit {
            Some(limit) if distance > limit => Err(Error::data(format!(
                "A row has the timestamp {time} ms, {distance} ms from now, and the topic takes {limit} ms ('{option}')"
            ))
            .hint(format!(
                "Raise the topic's '{option}', set its 'message.timestamp.type' to 'LogAppendTime', or leave such rows out"
            ))),
            _ => Ok(()),
        }
    }
}

/// What one question says of topics.
pub(crate) struct Described {
    /// The smallest `max.message.bytes` of a sink's topics: a batch of several records must not have more, since nobody cuts it
    /// again.
    pub(crate) batch_bytes_max: Option<usize>,
    /// `cleanup.policy` of the topic of markers.
    pub(crate) policy: Option<String>,
}

/// Asks for a sink's topics and for that of its markers, where it has one, and keeps the former for its writers. Nothing is said of
/// what cannot be asked for. Blocks.
pub(crate) fn describe(
    admin: AdminClient<Context>,
    topics: &Topics,
    markers: Option<&str>,
    properties: &Properties,
    (asked, generation): (&Asked, Generation),
) -> Described {
    let mut names = listed(topics, properties).unwrap_or_default();
    let of_sink = names.len();
    if let Some(markers) = markers.filter(|markers| !names.iter().any(|n| n == markers)) {
        names.push(markers.to_string());
    }
    let mut said = Described { batch_bytes_max: None, policy: None };
    let Ok(resources) = resources(admin, &names, properties) else { return said };
    for resource in resources {
        let OwnedResourceSpecifier::Topic(name) = &resource.specifier else { continue };
        if markers == Some(name.as_str()) {
            said.policy = value(&resource, "cleanup.policy");
        }
        if names[..of_sink].contains(name) {
            let topic = Topic::of(&resource);
            asked.put(generation, name, &topic);
            said.batch_bytes_max = said.batch_bytes_max.into_iter().chain(topic.batch_bytes_max).min();
        }
    }
    said
}

/// The names of a sink's topics. Blocks where they have to be asked for.
fn listed(topics: &Topics, properties: &Properties) -> Option<Vec<String>> {
    if let Topics::List(names) = topics {
        return Some(names.clone());
    }
    let consumer = client::consumer(properties, None).ok()?;
    let found = topics.partitions(&consumer, properties);
    client::end_aside(consumer);
    Some(found.ok()?.into_iter().map(|(name, _)| name).collect())
}

/// Asks for a topic. Blocks.
fn look_up(name: &str, properties: &Properties) -> Result<Topic> {
    let consumer = client::consumer(properties, None)?;
    let found = topics::partition_count(&consumer, properties, name);
    client::end_aside(consumer);
    if found?.is_none() && !is_made(name, properties)? {
        return Err(topics::missing(name, properties));
    }
    let resources = resources(admin(properties)?, &[name.to_string()], properties);
    let resources = resources.map_err(|e| e.with("topic", name))?;
    // Who may not look has to trust.
    Ok(resources.first().map(Topic::of).unwrap_or_default())
}

/// A broker that makes topics by itself does so when a producer asks for one.
fn is_made(name: &str, properties: &Properties) -> Result<bool> {
    let producer = crate::producer::Producer::new(properties, None)?;
    let mut waited = std::time::Duration::ZERO;
    loop {
        match producer.partitions(name) {
            Ok(_) => return Ok(true),
            Err(e) if e.kind() == ErrorKind::Unavailable => return Err(e),
            Err(_) if waited * 20 >= REQUEST_PATIENCE => return Ok(false),
            Err(_) => {}
        }
        let look = std::time::Duration::from_millis(100);
        pause(look);
        waited += look;
    }
}

/// What the cluster says of topics: of those that are there, and that the login may look at. Blocks.
fn resources(admin: AdminClient<Context>, names: &[String], properties: &Properties) -> Result<Vec<ConfigResource>> {
    let specifiers: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let described = block_on(admin.describe_configs(&specifiers, &admin_options()));
    client::end_aside(admin);
    let described = described.map_err(|e| client::error(e, properties, "ask for a topic of"))?;
    Ok(described.into_iter().flatten().collect())
}

fn value(of: &ConfigResource, key: &str) -> Option<String> {
    of.get(key).and_then(|entry| entry.value.clone())
}

impl Topic {
    fn of(resource: &ConfigResource) -> Topic {
        let number = |key: &str| value(resource, key).and_then(|v| v.parse::<i64>().ok());
        // Brokers before 3.6 have one limit for both sides.
        let both = number("message.timestamp.difference.max.ms");
        let by_broker = value(resource, "message.timestamp.type").is_some_and(|t| t == "LogAppendTime");
        let time = |key: &str| number(key).or(both).filter(|limit| !by_broker && *limit < i64::MAX);
        let policy = value(resource, "cleanup.policy");
        Topic {
            batch_bytes_max: number("max.message.bytes").and_then(|n| usize::try_from(n).ok()),
            needs_key: policy.is_some_and(|p| p.split(',').any(|p| p.trim() == "compact")),
            before_ms: time("message.timestamp.before.max.ms"),
            after_ms: time("message.timestamp.after.max.ms"),
        }
    }
}

/// Bytes of a number in a record.
fn number_bytes(n: i64) -> usize {
    let zigzag = ((n << 1) ^ (n >> 63)) as u64;
    (64 - (zigzag | 1).leading_zeros() as usize).div_ceil(7)
}

/// Bytes of a record in a batch that holds nothing else, not compressed.
fn record_bytes(record: &Outgoing<'_>) -> usize {
    let text = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => number_bytes(bytes.len() as i64) + bytes.len(),
        None => number_bytes(-1),
    };
    let headers: usize = record.headers.iter().map(|(name, value)| text(Some(name.as_bytes())) + text(*value)).sum();
    // Attributes, and the differences of time and offset to the batch's.
    let body = 3 + text(record.key) + text(record.value) + number_bytes(record.headers.len() as i64) + headers;
    number_bytes(body as i64) + body
}

/// Key and value, for people.
fn shown(record: &Outgoing<'_>) -> String {
    let text = |bytes: Option<&[u8]>| match bytes {
        None => "NULL".to_string(),
        Some(bytes) if bytes.len() <= SHOWN => format!("'{}'", String::from_utf8_lossy(bytes)),
        Some(bytes) => format!("'{}…'", String::from_utf8_lossy(&bytes[..SHOWN])),
    };
    match record.key {
        Some(_) => format!("{} -> {}", text(record.key), text(record.value)),
        None => text(record.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_counts_for_its_attempt() {
        let asked = Asked::default();
        let topic = Topic { needs_key: true, ..Topic::default() };
        asked.put(Generation(3), "a", &topic);
        assert_eq!(asked.get(Generation(3), "a"), Some(topic));
        assert_eq!(asked.get(Generation(3), "b"), None);
        assert_eq!(asked.get(Generation(4), "a"), None);
        asked.put(Generation(4), "b", &Topic::default());
        assert_eq!(asked.get(Generation(4), "a"), None);
    }

    #[test]
    fn numbers_take_as_many_bytes_as_kafka_gives_them() {
        for (number, bytes) in
            [(0, 1), (-1, 1), (63, 1), (64, 2), (-64, 1), (-65, 2), (8191, 2), (8192, 3), (i64::MAX, 10)]
        {
            assert_eq!(number_bytes(number), bytes, "{number}");
        }
        // A record of a key and a value of one byte each: length, 3, 2 + 2, no headers.
        let record = Outgoing { key: Some(b"k"), value: Some(b"v"), ..Outgoing::default() };
        assert_eq!(record_bytes(&record), 9);
        let record = Outgoing { headers: vec![("a", None)], ..Outgoing::default() };
        assert_eq!(record_bytes(&record), 1 + 3 + 1 + 1 + 1 + 2 + 1);
    }

    #[test]
    fn what_a_topic_does_not_take_is_told_with_the_row() {
        let options = [("properties.bootstrap.servers", "h:1")].into_iter().collect();
        let asked = Arc::new(Asked::default());
        let limits = Limits::new(&Properties::of(&options).expect("properties"), &asked, Generation(1));
        let topic = Topic {
            batch_bytes_max: Some(BATCH_OVERHEAD + 9),
            needs_key: true,
            before_ms: Some(1_000),
            after_ms: Some(60_000),
        };
        let now = limits.clock.now_ms();
        let of = |key: Option<&'static [u8]>, value: &'static [u8], timestamp_ms| Outgoing {
            key,
            value: Some(value),
            timestamp_ms,
            ..Outgoing::default()
        };
        limits.check_against(&topic, &of(Some(b"k"), b"v", Some(now))).expect("all fits");
        for (record, part) in [
            (of(Some(b"k"), b"vv", None), "max.message.bytes"),
            (of(None, b"v", None), "key.fields"),
            (of(Some(b"k"), b"v", Some(now - 60_000)), "message.timestamp.before.max.ms"),
            (of(Some(b"k"), b"v", Some(now + 120_000)), "message.timestamp.after.max.ms"),
            (of(Some(b"k"), b"v", Some(-5)), "before 1970"),
        ] {
            let error = limits.check_against(&topic, &record).expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(shown(&of(Some(b"k"), b"v", None)), "'k' -> 'v'");
        // Nothing is known: only what the client itself refuses.
        limits.check_against(&Topic::default(), &of(None, b"v", Some(0))).expect("taken");
        let options = [("properties.bootstrap.servers", "h:1"), ("properties.buffer.memory", "4096")];
        let small = Properties::of(&options.into_iter().collect()).expect("properties");
        let small = Limits::new(&small, &asked, Generation(1));
        let record = Outgoing { value: Some(&[0; 4096]), ..Outgoing::default() };
        let error = small.check_against(&Topic::default(), &record).expect_err("never fits").to_string();
        assert!(error.contains("buffer.memory"), "{error}");
        let large = vec![0; REQUEST_BYTES_MAX + 1];
        let record = Outgoing { value: Some(&large), ..Outgoing::default() };
        limits.check_against(&Topic::default(), &record).expect_err("too large for a request");
    }
}
