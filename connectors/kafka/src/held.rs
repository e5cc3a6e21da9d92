//! A transactional id that an attempt holds: how it is taken from whoever has had it, and let go.
//!
//! Taking it is what a start into Kafka waits for, and nearly all of that is connecting. So its clients connect at the same time; what
//! has to come one after the other does: the attempt before is fenced when the topic of markers is known to be one, and the marker is
//! read then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
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
use crate::properties::Properties;
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
    let (found, producer) = std::thread::scope(|scope| -> Result<_> {
        let (looked, may) = mpsc::sync_channel(1);
        let gives_up = &gives_up;
        let fencing = move || fence(properties, id, None, gives_up, Some(may));
        let producer =
            std::thread::Builder::new().name("kafka-fence".to_string()).spawn_scoped(scope, fencing).map_err(|e| {
                Error::unavailable("a thread for the Kafka connector cannot be made")
                    .caused_by(e)
                    .hint("This process, user or container may have no more threads: see ulimit -u and pids.max")
            })?;
        let found = reading.topic().and_then(|topic| {
            let asked = (target.asked.as_ref(), generation);
            let said = limits::describe(admin, &target.plan.topics, Some(&topic.name), properties, asked);
            marker::check_policy(&topic.name, said.policy.as_deref())?;
            // A topic that keeps no markers ends the start, and must not end the job that has the id.
            looked.send(()).ok();
            reading.approach(topic.partition(id));
            Ok((topic, said))
        });
        drop(looked);
        gives_up.store(found.is_err(), Ordering::Relaxed);
        Ok((found, producer.join()))
    })?;
    let (topic, described) = found?;
    let ended_early = |_| Error::internal("a thread of the Kafka connector ended early");
    let mut producer = producer.map_err(ended_early)??;
    if let Some(batch) = described.batch_bytes_max.filter(|max| *max < Producer::batch_bytes(properties)) {
        client::end_aside(producer);
        producer = fence(properties, id, Some(batch), &gives_up, None)?;
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

/// A producer whose id nobody else has any more. Before it takes that away it waits for the word that nothing is in the way.
fn fence(
    properties: &Properties,
    id: &str,
    batch_bytes_max: Option<usize>,
    gives_up: &AtomicBool,
    may: Option<mpsc::Receiver<()>>,
) -> Result<Producer> {
    let producer = Producer::with_batches(properties, Some(id), batch_bytes_max)?;
    if may.is_some_and(|may| may.recv().is_err()) {
        client::end_aside(producer);
        return Err(Error::unavailable("the topic of markers cannot be used"));
    }
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

    /// A wrong topic of markers ends the start, and not the job that holds the id.
    #[test]
    fn who_may_not_go_on_fences_nobody() {
        let cluster = MockCluster::new(1).expect("a cluster");
        let given = [("properties.bootstrap.servers".to_string(), cluster.bootstrap_servers())];
        let properties = Properties::of(&given.into_iter().collect()).expect("properties");
        let free = AtomicBool::new(false);
        // Whoever asks for the id first gets this.
        let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        cluster.request_errors(RDKafkaApiKey::InitProducerId, &[refused]);
        let (looked, may) = mpsc::sync_channel(1);
        drop(looked);
        fence(&properties, "id", None, &free, Some(may)).map(drop).expect_err("it may not");
        let (looked, may) = mpsc::sync_channel(1);
        looked.send(()).expect("heard");
        let asked = fence(&properties, "id", None, &free, Some(may)).map(drop).expect_err("it has asked");
        assert!(asked.to_string().contains("TransactionalIdAuthorizationFailed"), "{asked}");
        fence(&properties, "id", None, &free, None).map(drop).expect("taken");
    }

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
