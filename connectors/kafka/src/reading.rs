//! A client that reads partitions, from where its reader says, and what it says besides records.

use std::time::Duration;

use flott_core::Result;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{self, Context};
use crate::native::Bulk;
use crate::properties::Properties;
use crate::split::PartitionSplit;

/// How long it may take until the client says an error again, besides the time between two tries to connect: for half a minute it
/// keeps the same error to itself.
const CAREFUL: Duration = Duration::from_secs(45);

pub(crate) struct Reading {
    /// Before the client, which it is a part of.
    pub(crate) bulk: Option<Bulk>,
    pub(crate) client: BaseConsumer<Context>,
    /// How long records come one by one where an error was among them.
    careful: Duration,
    /// Until when they do: the error is heard where it is said again.
    careful_until: Duration,
}

impl Reading {
    pub(crate) fn start(properties: &Properties, group: &str) -> Result<Reading> {
        let client = client::consumer(properties, Some(group))?;
        let bulk = Bulk::of(&client);
        // Lines of before are among the events.
        client::look_up(&client);
        let careful = CAREFUL + properties.reconnects_within();
        Ok(Reading { bulk, client, careful, careful_until: Duration::ZERO })
    }

    /// Hears what the log has; whether records have to come one by one.
    pub(crate) fn is_careful(&mut self, now: Duration) -> bool {
        if self.bulk.as_ref().is_some_and(|bulk| bulk.hear(self.client.context())) {
            self.careful_until = now + self.careful;
        }
        now < self.careful_until
    }

    /// Reads a partition from where its split is.
    pub(crate) fn assign(&self, split: &PartitionSplit) -> std::result::Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&split.topic, split.partition, Offset::Offset(split.offset))?;
        self.client.incremental_assign(&list)
    }

    /// Nothing comes of a partition any more.
    pub(crate) fn unassign(&mut self, topic: &str, partition: i32) -> std::result::Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        self.client.incremental_unassign(&list)?;
        if let Some(bulk) = &mut self.bulk {
            bulk.forget(topic, partition);
        }
        Ok(())
    }
}
