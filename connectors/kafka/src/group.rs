//! The offsets of the consumer group: the cluster is told of a position once a checkpoint that covers it is decided.
//!
//! A client beside the coordinator does that, and not those that read: at the end of a job they are gone when its last
//! checkpoint is decided. Nothing of the job depends on it, so what goes wrong is only told.

use std::collections::BTreeMap;
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
    /// Those of the newest checkpoint that nobody has begun to commit.
    newest: Mutex<Option<Positions>>,
    client: Mutex<Option<BaseConsumer<Context>>>,
}

impl GroupOffsets {
    /// `None` where there is no group, or it shall not hear of positions.
    pub(crate) fn of(table: &str, properties: &Properties) -> Option<GroupOffsets> {
        let group = properties.get("group.id")?.to_string();
        let newest = Mutex::new(None);
        properties.commits_offsets().then(|| GroupOffsets {
            table: table.to_string(),
            group,
            properties: properties.clone(),
            newest,
            client: Mutex::new(None),
        })
    }

    /// Takes the positions of a checkpoint, which replace those of the one before. True where somebody has to
    /// [commit](Self::commit) them, and false where one who is about to does.
    pub(crate) fn take(&self, positions: Positions) -> bool {
        self.newest.lock().replace(positions).is_none()
    }

    /// Commits what was taken last. Blocks.
    pub(crate) fn commit(&self) {
        // One at a time: an older position must not come behind a newer one.
        let mut client = self.client.lock();
        let Some(mut positions) = self.newest.lock().take() else { return };
        let mut wait = BACK_OFF;
        for attempt in 1..=TRIES {
            let Err(error) = self.try_commit(&mut client, &positions) else { return };
            if attempt == TRIES || !passing::may_pass(&error) {
                let (table, group) = (&self.table, &self.group);
                tracing::warn!(%error, table, group, "offsets cannot be committed to the group");
                return;
            }
            pause(wait);
            wait *= 2;
            if let Some(newer) = self.newest.lock().take() {
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
        BaseConsumer::from_config_and_context(&config, Context::default())
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
    fn a_newer_checkpoint_replaces_one_that_waits() {
        let offsets = offsets(&[("properties.group.id", "g")]).expect("a group");
        let at = |offset| Positions::from([(("t".to_string(), 0), offset)]);
        assert!(offsets.take(at(1)));
        assert!(!offsets.take(at(2)), "somebody commits already");
        assert_eq!(offsets.newest.lock().take(), Some(at(2)));
        assert!(offsets.take(at(3)));
    }
}
