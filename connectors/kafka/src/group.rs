//! The offsets of the consumer group: the cluster is told of a position once a checkpoint that covers it is decided.
//!
//! A client beside the coordinator does that, and not those that read: at the end of a job they are gone when its last
//! checkpoint is decided. Nothing of the job depends on it, so what goes wrong is only told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{self, Context};
use crate::marker::pause;
use crate::passing;
use crate::properties::{Properties, Role};

/// The next offset by topic and partition.
pub(crate) type Positions = BTreeMap<(String, i32), i64>;

/// How often one position is tried.
const TRIES: u32 = 5;
/// Between the first two tries; twice as long each time.
const BACK_OFF: Duration = Duration::from_millis(200);
/// How long the client waits for the coordinator of the group before it gives up by itself.
const COORDINATOR_PATIENCE_MS: &str = "6000";

/// What one source commits.
pub(crate) struct GroupOffsets {
    /// For messages.
    table: String,
    group: String,
    properties: Properties,
    waiting: Mutex<Waiting>,
    client: Mutex<Option<BaseConsumer<Context>>>,
}

#[derive(Default)]
struct Waiting {
    /// Those of the newest checkpoint that nobody has begun to commit.
    newest: Option<Positions>,
    /// Somebody commits, one at a time: an older position must not come behind a newer one.
    busy: bool,
}

/// Whoever commits. Where it is dropped before it has begun, as with the attempt that it is of, the next one may.
pub(crate) struct Committing {
    offsets: Arc<GroupOffsets>,
    is_over: bool,
}

impl Committing {
    /// Commits until nothing waits. Where the future is dropped no more is begun.
    pub(crate) async fn run(mut self) {
        let stop = Arc::new(AtomicBool::new(false));
        let _stops = StopOnDrop(Arc::clone(&stop));
        let work = move || {
            let offsets = Arc::clone(&self.offsets);
            let mut client = offsets.client.lock();
            while !stop.load(Ordering::Relaxed) {
                let Some(positions) = offsets.next() else {
                    self.is_over = true;
                    return;
                };
                offsets.commit(&mut client, positions, &stop);
            }
        };
        if let Err(error) = client::blocking(work).await {
            tracing::warn!(%error, "offsets cannot be committed to the group");
        }
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        if !self.is_over {
            self.offsets.waiting.lock().busy = false;
        }
    }
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl GroupOffsets {
    /// `None` where there is no group, or it shall not hear of positions.
    pub(crate) fn of(table: &str, properties: &Properties) -> Option<GroupOffsets> {
        let group = properties.get("group.id")?.to_string();
        properties.commits_offsets().then(|| GroupOffsets {
            table: table.to_string(),
            group,
            properties: properties.clone(),
            waiting: Mutex::default(),
            client: Mutex::new(None),
        })
    }

    /// Takes the positions of a checkpoint, which replace those of the one before. Somebody has to [run](Committing::run) what
    /// is given back; nothing is where another one does.
    pub(crate) fn take(self: &Arc<GroupOffsets>, positions: Positions) -> Option<Committing> {
        let mut waiting = self.waiting.lock();
        waiting.newest = Some(positions);
        let is_free = !std::mem::replace(&mut waiting.busy, true);
        is_free.then(|| Committing { offsets: Arc::clone(self), is_over: false })
    }

    /// The positions to commit next; with the last of them whoever commits is free.
    fn next(&self) -> Option<Positions> {
        let mut waiting = self.waiting.lock();
        waiting.busy = waiting.newest.is_some();
        waiting.newest.take()
    }

    /// Tries for a while; newer positions replace these.
    fn commit(&self, client: &mut Option<BaseConsumer<Context>>, mut positions: Positions, stop: &AtomicBool) {
        let mut wait = BACK_OFF;
        for attempt in 1..=TRIES {
            let Err(error) = self.try_commit(client, &positions) else { return };
            if attempt == TRIES || !passing::may_pass(&error) {
                let (table, group) = (&self.table, &self.group);
                tracing::warn!(%error, table, group, "offsets cannot be committed to the group");
                return;
            }
            if stop.load(Ordering::Relaxed) {
                return;
            }
            pause(wait);
            wait *= 2;
            if let Some(newer) = self.waiting.lock().newest.take() {
                positions = newer;
            }
        }
    }

    fn try_commit(&self, client: &mut Option<BaseConsumer<Context>>, positions: &Positions) -> Result<(), KafkaError> {
        let consumer = match client {
            Some(consumer) => consumer,
            None => client.insert(self.client()?),
        };
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for ((topic, partition), offset) in positions {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
        }
        let committed = if positions.is_empty() { Ok(()) } else { consumer.commit(&list, CommitMode::Sync) };
        // Nobody else takes in what the library says.
        client::look_up(consumer);
        committed
    }

    fn client(&self) -> Result<BaseConsumer<Context>, KafkaError> {
        use rdkafka::config::FromClientConfigAndContext as _;
        let config = self.properties.config(Role::Consumer);
        let mut config = config.map_err(|e| KafkaError::ClientCreation(e.to_string()))?;
        config.set("group.id", &self.group).set("enable.auto.commit", "false");
        config.set("session.timeout.ms", COORDINATOR_PATIENCE_MS);
        BaseConsumer::from_config_and_context(&config, Context::of(&self.properties))
    }
}

impl Drop for GroupOffsets {
    fn drop(&mut self) {
        let client = self.client.get_mut().take();
        // The end of a client may wait for its threads.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(client))),
            Err(_) => drop(client),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(more: &[(&str, &str)]) -> Option<GroupOffsets> {
        let given = [("properties.bootstrap.servers", "127.0.0.1:1")];
        let given = given.iter().chain(more).map(|(k, v)| (k.to_string(), v.to_string())).collect();
        GroupOffsets::of("t", &Properties::of(&given).expect("properties"))
    }

    #[test]
    fn only_a_group_that_shall_hear_is_told() {
        let group = ("properties.group.id", "g");
        assert!(offsets(&[group]).is_some() && offsets(&[]).is_none());
        assert!(offsets(&[group, ("properties.commit.offsets.on.checkpoint", "false")]).is_none());
    }

    #[test]
    fn one_commits_at_a_time_and_the_newest() {
        let offsets = Arc::new(offsets(&[("properties.group.id", "g")]).expect("a group"));
        let at = |offset| Positions::from([(("t".to_string(), 0), offset)]);
        let mut first = offsets.take(at(1)).expect("nobody commits");
        assert!(offsets.take(at(2)).is_none(), "somebody commits already");
        assert_eq!(offsets.next(), Some(at(2)));
        assert!(offsets.take(at(3)).is_none(), "somebody still does");
        assert_eq!(offsets.next(), Some(at(3)));
        assert_eq!(offsets.next(), None);
        first.is_over = true;
        let second = offsets.take(at(4)).expect("nobody commits any more");
        drop(first);
        assert!(offsets.take(at(5)).is_none(), "the second one does");
        // Its attempt has ended before it began.
        drop(second);
        assert!(offsets.take(at(6)).is_some());
    }
}
