//! The marker of a sink: which checkpoint's output is in its topics. It is the last record of each transaction, in a
//! compacted topic, so that it is there exactly where the rows are.

use std::time::Duration;

use flott_connector::staged::Marker;
use flott_core::{Error, Result};
use futures::executor::block_on;
use parking_lot::Mutex;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{self, Context, REQUEST_PATIENCE};
use crate::native::{Events, Said};
use crate::passing;
use crate::properties::{Properties, Role};
use crate::topics;

/// Partitions of a marker topic that is made here: a job whose transaction is open holds up only who shares one.
const PARTITIONS: i32 = 16;
/// How long transactions of others may hold up the reading of a marker.
const OPEN_PATIENCE: Duration = Duration::from_secs(15);
/// How long a broker waits for markers that nobody writes.
const FETCH_WAIT_MS: &str = "10";
/// How long it is waited for connections that need not be there yet.
const APPROACH_PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// The topic of markers.
#[derive(Debug, Clone)]
pub(crate) struct MarkerTopic {
    pub(crate) name: String,
    pub(crate) partitions: i32,
}

impl MarkerTopic {
    /// Where the markers of an id lie.
    pub(crate) fn partition(&self, transactional_id: &str) -> i32 {
        let hash = crc32fast::hash(transactional_id.as_bytes());
        (hash % self.partitions.unsigned_abs().max(1)) as i32
    }
}

/// Clients that find the topic and read markers. Both connect as soon as they are made.
pub(crate) struct Reading<'a> {
    name: &'a str,
    properties: &'a Properties,
    /// Sees the end of all records.
    all: BaseConsumer<Context>,
    /// What comes of the next, which it ends before.
    events: Mutex<Events>,
    /// Sees what is committed.
    committed: BaseConsumer<Context>,
}

impl<'a> Reading<'a> {
    pub(crate) fn start(name: &'a str, properties: &'a Properties) -> Result<Reading<'a>> {
        let ask = |isolation: &str| -> Result<BaseConsumer<Context>> {
            let mut config = properties.config(Role::Consumer)?;
            config.set("isolation.level", isolation).set("enable.auto.commit", "false");
            config.set("auto.offset.reset", "earliest").set("enable.partition.eof", "true");
            // That there is no more is said once the broker has waited for more.
            config.set("fetch.wait.max.ms", FETCH_WAIT_MS);
            // A client that reads has to have a group, also where it never speaks of it.
            config.set("group.id", "flott-markers");
            // Whoever is near may be behind; the leader is asked, also for what it has.
            config.remove("client.rack");
            client::made(&config, properties)
        };
        let (all, committed) = (ask("read_uncommitted")?, ask("read_committed")?);
        let events =
            Events::of(&committed).ok_or_else(|| Error::internal("a Kafka client with a group reads nothing"))?;
        Ok(Reading { name, properties, all, events: Mutex::new(events), committed })
    }

    /// Finds the topic, or makes it. Blocks.
    pub(crate) fn topic(&self) -> Result<MarkerTopic> {
        let (name, properties) = (self.name, self.properties);
        let find = || -> Result<Option<MarkerTopic>> {
            let found = topics::partition_count(&self.all, properties, name)?;
            Ok(found.map(|partitions| MarkerTopic { name: name.to_string(), partitions }))
        };
        if let Some(found) = find()? {
            return Ok(found);
        }
        make(name, properties)?;
        let mut waited = Duration::ZERO;
        loop {
            if let Some(found) = find()? {
                return Ok(found);
            }
            if waited >= REQUEST_PATIENCE {
                return Err(Error::unavailable(format!("the topic '{name}' was made, and is not to be seen")));
            }
            pause(LOOK);
            waited += LOOK;
        }
    }

    /// Connects both to whoever leads a partition, while somebody else is waited for: reading it has to wait for less then. What goes
    /// wrong is told by that. Blocks for a moment.
    pub(crate) fn approach(&self, partition: i32) {
        for client in [&self.committed, &self.all] {
            client.fetch_watermarks(self.name, partition, APPROACH_PATIENCE).ok();
        }
    }

    /// The last committed marker of an id. Blocks until transactions that are open on its partition are decided: its own
    /// may be one of them.
    pub(crate) fn marker(&self, topic: &MarkerTopic, transactional_id: &str) -> Result<Option<Marker>> {
        let own = topic.partition(transactional_id);
        if let Some(found) = self.last(transactional_id, own)? {
            return Ok(Some(found));
        }
        // Somebody may have added partitions.
        let mut last: Option<Marker> = None;
        for partition in (0..topic.partitions).filter(|p| *p != own) {
            let found = self.last(transactional_id, partition)?;
            last = match (last, found) {
                (Some(a), Some(b)) if (a.generation, a.epoch) >= (b.generation, b.epoch) => Some(a),
                (a, b) => b.or(a),
            };
        }
        Ok(last)
    }

    /// Nobody waits for their end.
    pub(crate) fn end(self) {
        client::end_aside((self.all, self.events, self.committed));
    }

    fn failed(&self, error: KafkaError) -> Error {
        use RDKafkaErrorCode as Code;
        // The topic was there a moment ago: a broker that has just begun does not know all of its partitions yet.
        let is_new = [Code::UnknownPartition, Code::UnknownTopic, Code::UnknownTopicOrPartition];
        if let Some(code) = error.rdkafka_error_code().filter(|code| is_new.contains(code)) {
            return Error::unavailable("the topic of markers is not to be seen")
                .with("topic", self.name)
                .hint("Check that the brokers run and can be reached from here")
                .caused_by(KafkaError::MetadataFetch(code))
                .from_outside();
        }
        client::error(error, self.properties, "read a marker from").with("topic", self.name)
    }

    fn last(&self, id: &str, partition: i32) -> Result<Option<Marker>> {
        let name = self.name;
        let end = |consumer: &BaseConsumer<Context>| {
            let question = |patience| consumer.fetch_watermarks(name, partition, patience);
            client::ask(consumer, self.properties, "read a marker from", question).map_err(|e| e.with("topic", name))
        };
        let (low, all) = end(&self.all)?;
        if low == all {
            return Ok(None);
        }
        let mut waited = Duration::ZERO;
        while end(&self.committed)?.1 < all {
            if waited >= OPEN_PATIENCE {
                return Err(Error::unavailable("a transaction of another job is open on the topic of markers")
                    .with("topic", name)
                    .with("partition", partition)
                    .hint("It ends by its time-out, or when that job runs again"));
            }
            pause(LOOK);
            waited += LOOK;
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(name, partition, Offset::Offset(low)).map_err(|e| self.failed(e))?;
        self.committed.assign(&assignment).map_err(|e| self.failed(e))?;
        let mut events = self.events.lock();
        // Read once it is known which one is the last: there may be thousands.
        let mut last: Option<Vec<u8>> = None;
        let mut idle = Duration::ZERO;
        loop {
            match events.poll(self.committed.context(), LOOK) {
                Some(Ok(message)) => {
                    idle = Duration::ZERO;
                    if message.partition() == partition && message.key() == Some(id.as_bytes()) {
                        last = message.value().map(<[u8]>::to_vec);
                    }
                }
                Some(Err(Said { error: KafkaError::PartitionEOF(at), place })) => {
                    // A broker that leads since a moment ago may not know yet what the one before has told.
                    if at == partition && place.is_some_and(|(_, _, offset)| offset >= all) {
                        return last.as_deref().map(Marker::decode).transpose();
                    }
                }
                Some(Err(Said { error, .. })) => match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {}
                    _ if passing::may_pass(&error) => {}
                    _ => return Err(self.failed(error)),
                },
                None => {
                    idle += LOOK;
                    if idle >= REQUEST_PATIENCE {
                        return Err(Error::unavailable("the topic of markers cannot be read")
                            .with("topic", name)
                            .hint("Check that the brokers run and can be reached from here")
                            .from_outside());
                    }
                }
            }
        }
    }
}

pub(crate) fn admin(properties: &Properties) -> Result<AdminClient<Context>> {
    let config = properties.config(Role::Producer)?;
    AdminClient::from_config_and_context(&config, Context::of(properties))
        .map_err(|e| client::error(e, properties, "make a client for"))
}

pub(crate) fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_PATIENCE)).operation_timeout(Some(REQUEST_PATIENCE))
}

/// Makes the topic. Somebody else may make it at the same time.
fn make(name: &str, properties: &Properties) -> Result<()> {
    let topic = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(-1))
        .set("cleanup.policy", "compact")
        .set("segment.bytes", "1048576")
        .set("min.cleanable.dirty.ratio", "0.1");
    let failed = |e| client::error(e, properties, "make the topic of markers in").with("topic", name);
    let made = block_on(admin(properties)?.create_topics([&topic], &admin_options())).map_err(failed)?;
    for result in made {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(failed(KafkaError::AdminOp(code))),
        }
    }
    Ok(())
}

/// Retention by time would remove a marker, and with it the knowledge of what is committed. Who may not look has to trust.
pub(crate) fn check_policy(name: &str, policy: Option<&str>) -> Result<()> {
    match policy {
        None | Some("compact") => Ok(()),
        Some(_) => {
            Err(Error::user(format!("The topic '{name}' does not keep markers: its cleanup.policy is not 'compact'"))
                .with("option", "sink.marker-topic")
                .hint("Set the topic's cleanup.policy to 'compact', or name another topic"))
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "runs beside the runtime's threads")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use flott_core::ErrorKind;

    use super::*;

    #[test]
    fn an_id_has_its_partition() {
        let topic = MarkerTopic { name: "m".into(), partitions: 16 };
        assert_eq!(topic.partition("flott-a-b"), topic.partition("flott-a-b"));
        assert!((0..100).all(|i| (0..16).contains(&topic.partition(&format!("id-{i}")))));
    }

    #[test]
    fn a_topic_that_is_not_known_yet_is_asked_for_again() {
        let options = [("properties.bootstrap.servers", "127.0.0.1:1")].into_iter().collect();
        let properties = Properties::of(&options).expect("properties");
        let reading = Reading::start("m", &properties).expect("clients");
        let kind = |code| reading.failed(KafkaError::MetadataFetch(code)).kind();
        assert_eq!(kind(RDKafkaErrorCode::UnknownPartition), ErrorKind::Unavailable);
        assert_eq!(kind(RDKafkaErrorCode::TopicAuthorizationFailed), ErrorKind::User);
    }
}
