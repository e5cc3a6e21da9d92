//! A transactional id that an attempt holds: how it is taken from whoever has had it, and let go.
//!
//! Taking it is what a start into Kafka waits for, and nearly all of that is connecting. So its clients connect at the same time; what
//! has to come one after the other does: the marker is read when the attempt before is fenced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flott_connector::staged::Marker;
use flott_core::clock::SystemClock;
use flott_core::{Error, ErrorKind, Generation, Result};
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;

use crate::client;
use crate::limits::{self, Asked};
use crate::marker::{self, MarkerTopic, Reading};
use crate::producer::Producer;
use crate::target::Target;
use crate::topics::Topics;

/// How long a transaction may take to begin and to end.
pub(crate) const TRANSACTION_PATIENCE: Duration = Duration::from_secs(60);
/// How long one that has failed may take to be aborted.
const ABORT_PATIENCE: Duration = Duration::from_secs(5);

/// How often the coordinator is asked for the id while it ends what the attempt before has left open, at first and after a while. By
/// itself the library asks again after half a second.
const ASK_AGAIN: Duration = Duration::from_millis(20);
const ASK_AGAIN_LATER: Duration = Duration::from_millis(250);
const LATER: Duration = Duration::from_secs(1);

/// A producer that holds the id.
pub(crate) struct Held {
    pub(crate) producer: Producer,
    pub(crate) topic: MarkerTopic,
    pub(crate) marker: Option<Marker>,
}

impl Held {
    /// Ends a transaction that failed, so that readers need not wait for its time-out. Where that does not work either, the next who takes
    /// the id ends it. Where it is tried again nobody waits for that; after an error that stays the process may end, and it blocks.
    pub(crate) fn give_up(self, after: &Error) {
        let producer = self.producer;
        let abort = move || {
            producer.client.abort_transaction(ABORT_PATIENCE).ok();
        };
        let aside = || std::thread::Builder::new().name("kafka-abort".to_string());
        match after.kind() {
            ErrorKind::Unavailable => drop(aside().spawn(abort)),
            _ => abort(),
        }
    }
}

/// Fences whoever has had the id, ends its transaction, and reads the marker. Blocks.
pub(crate) fn take(target: &Target, id: &str, generation: Generation) -> Result<Held> {
    let properties = &target.properties;
    let gives_up = AtomicBool::new(false);
    let (reading, admin) = (Reading::start(&target.marker_topic, properties)?, marker::admin(properties)?);
    let (found, producer) = std::thread::scope(|scope| {
        let producer = scope.spawn(|| fence(target, id, None, &gives_up));
        let found = reading.topic().and_then(|topic| {
            let asked = (target.asked.as_ref(), generation);
            let said = limits::describe(admin, &target.plan.topics, Some(&topic.name), properties, asked);
            marker::check_policy(&topic.name, said.policy.as_deref())?;
            reading.approach(topic.partition(id));
            Ok((topic, said))
        });
        gives_up.store(found.is_err(), Ordering::Relaxed);
        (found, producer.join())
    });
    let (topic, described) = found?;
    let ended_early = |_| Error::internal("a thread of the Kafka connector ended early");
    let mut producer = producer.map_err(ended_early)??;
    if let Some(batch) = described.batch_bytes_max.filter(|max| *max < Producer::batch_bytes(properties)) {
        client::end_aside(producer);
        producer = fence(target, id, Some(batch), &gives_up)?;
    }
    let marker = reading.marker(&topic, id);
    reading.end();
    Ok(Held { producer, topic, marker: marker? })
}

/// What the marker of an id says that nobody is fenced for. Blocks.
pub(crate) fn look_at(target: &Target, id: &str) -> Result<Option<Marker>> {
    let properties = &target.properties;
    let (reading, admin) = (Reading::start(&target.marker_topic, properties)?, marker::admin(properties)?);
    let marker = reading.topic().and_then(|topic| {
        let (no_topics, asked) = (Topics::List(vec![]), Asked::default());
        let said = limits::describe(admin, &no_topics, Some(&topic.name), properties, (&asked, Generation(0)));
        marker::check_policy(&topic.name, said.policy.as_deref())?;
        reading.marker(&topic, id)
    });
    reading.end();
    marker
}

/// A producer whose id nobody else has any more.
fn fence(target: &Target, id: &str, batch_bytes_max: Option<usize>, gives_up: &AtomicBool) -> Result<Producer> {
    let producer = Producer::with_batches(&target.properties, Some(id), batch_bytes_max)?;
    begin(&producer, gives_up)?;
    Ok(producer)
}

/// Takes the id from whoever has it. The library goes on with what has begun, and asks the coordinator anew where that was refused.
fn begin(producer: &Producer, gives_up: &AtomicBool) -> Result<()> {
    let clock = SystemClock::shared();
    let started = clock.monotonic();
    loop {
        let waited = clock.monotonic().saturating_sub(started);
        let patience = if waited < LATER { ASK_AGAIN } else { ASK_AGAIN_LATER };
        match producer.client.init_transactions(patience) {
            Ok(()) => return Ok(()),
            Err(error) if is_open(&error) && waited < TRANSACTION_PATIENCE && !gives_up.load(Ordering::Relaxed) => {}
            Err(error) => return Err(producer.error(error, "begin transactions in")),
        }
    }
}

/// Whether the library has not come to an end with it.
fn is_open(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.is_retriable())
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;
    use crate::properties::Properties;

    /// While the coordinator ends a transaction of the attempt before it lets nobody take the id, which is a matter of milliseconds.
    #[test]
    fn an_id_is_asked_for_again_at_once() {
        const REFUSALS: u32 = 10;
        /// In which the library asks again by itself.
        const BY_ITSELF: Duration = Duration::from_millis(500);
        let cluster = MockCluster::new(1).expect("a cluster");
        let given = [("properties.bootstrap.servers".to_string(), cluster.bootstrap_servers())];
        let properties = Properties::of(&given.into_iter().collect()).expect("properties");
        let busy = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS;
        cluster.request_errors(RDKafkaApiKey::InitProducerId, &[busy; REFUSALS as usize]);
        let clock = SystemClock::shared();
        let asked = clock.monotonic();
        let producer = Producer::new(&properties, Some("id")).expect("a producer");
        begin(&producer, &AtomicBool::new(false)).expect("taken");
        let took = clock.monotonic() - asked;
        assert!(took < BY_ITSELF * REFUSALS / 2, "{took:?}");
        // Nobody waits for it where the start has failed already.
        cluster.request_errors(RDKafkaApiKey::InitProducerId, &[busy; 1_000]);
        let producer = Producer::new(&properties, Some("id")).expect("a producer");
        begin(&producer, &AtomicBool::new(true)).expect_err("given up");
    }
}
