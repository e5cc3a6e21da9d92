//! A client that reads partitions, from where its reader says, and what it says besides records.

use std::time::Duration;

use flott_core::{Error, Result};
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
    pub(crate) bulk: Bulk,
    pub(crate) client: BaseConsumer<Context>,
    /// How long records come one by one where an error was among them.
    careful: Duration,
    /// Until when they do: the error is heard where it is said again.
    careful_until: Duration,
}

impl Reading {
    pub(crate) fn start(properties: &Properties, group: &str) -> Result<Reading> {
        let client = client::consumer(properties, Some(group))?;
        let bulk = Bulk::of(&client).ok_or_else(|| Error::internal("a Kafka client with a group reads nothing"))?;
        // Lines of before are among the events.
        client::look_up(&client);
        let careful = CAREFUL + properties.reconnects_within();
        Ok(Reading { bulk, client, careful, careful_until: Duration::ZERO })
    }

    /// Hears what the log has; whether records have to come one by one.
    pub(crate) fn is_careful(&mut self, now: Duration) -> bool {
        if self.bulk.hear(self.client.context()) {
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
        self.bulk.forget(topic, partition);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flott_core::clock::SystemClock;
    use rdkafka::ClientConfig;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

    use super::*;
    use crate::client::TURN;
    use crate::marker::pause;
    use crate::offsets::Range;

    const TOPIC: &str = "t";
    /// As long as a client may take for whatever is asked of it here.
    const PATIENCE: Duration = Duration::from_secs(30);
    /// In which a client notices that its brokers are away, or fetches what has come.
    const MOMENT: Duration = Duration::from_millis(1_500);

    /// Brokers in this process.
    struct Cluster(MockCluster<'static, DefaultProducerContext>);

    impl Cluster {
        fn start() -> Cluster {
            let cluster = MockCluster::new(1).expect("a cluster");
            cluster.create_topic(TOPIC, 1, 1).expect("a topic");
            Cluster(cluster)
        }

        fn write(&self, values: std::ops::Range<i32>) {
            let mut config = ClientConfig::new();
            let producer: BaseProducer =
                config.set("bootstrap.servers", self.0.bootstrap_servers()).create().expect("a producer");
            for value in values {
                let record = BaseRecord::<(), str>::to(TOPIC).partition(0);
                producer.send(record.payload(&value.to_string())).expect("taken");
            }
            producer.flush(PATIENCE).expect("written");
        }

        /// Records, an outage, and more records, while nobody asks the client: it has something to say between records then.
        fn write_around_an_outage(&self, values: std::ops::Range<i32>) {
            let middle = i32::midpoint(values.start, values.end);
            self.write(values.start..middle);
            pause(MOMENT);
            self.0.broker_down(-1).expect("down");
            pause(MOMENT);
            self.0.broker_up(-1).expect("up");
            self.write(middle..values.end);
            pause(MOMENT);
        }
    }

    /// Takes records as a poller does, until there are so many. What the client said besides them.
    fn take(reading: &mut Reading, count: usize) -> Vec<KafkaError> {
        let clock = SystemClock::shared();
        let (mut said, mut taken, started) = (vec![], 0, clock.monotonic());
        while taken < count {
            assert!(clock.monotonic() - started < PATIENCE, "{taken} of {count} records");
            let careful = reading.is_careful(clock.monotonic());
            while let Some(record) = reading.bulk.next(careful) {
                match record.error() {
                    None => taken += 1,
                    Some(error) => said.push(error),
                }
            }
            match reading.bulk.events.poll(reading.client.context(), TURN) {
                None => {}
                Some(Ok(_)) => taken += 1,
                Some(Err(more)) => said.push(more.error),
            }
        }
        said.retain(|error| !matches!(error, KafkaError::PartitionEOF(_)));
        said
    }

    fn client(cluster: &Cluster) -> (Reading, Properties) {
        let given = [("properties.bootstrap.servers".to_string(), cluster.0.bootstrap_servers())];
        let properties = Properties::of(&given.into_iter().collect()).expect("properties");
        (Reading::start(&properties, "g").expect("a client"), properties)
    }

    /// An error that comes between two records is in the log only. From then on records come one by one, so that the next one is
    /// heard.
    #[test]
    fn an_error_between_two_records_is_heard() {
        let cluster = Cluster::start();
        let (mut reading, properties) = client(&cluster);
        let range = Range { topic: TOPIC.to_string(), partition: 0, start: 0, end: None };
        reading.assign(&PartitionSplit::of(range)).expect("assigned");
        let clock = SystemClock::shared();

        cluster.write(0..3);
        assert_eq!(take(&mut reading, 3), vec![]);
        assert!(!reading.is_careful(clock.monotonic()), "nothing has gone wrong");

        cluster.write_around_an_outage(3..9);
        take(&mut reading, 6);
        assert!(reading.is_careful(clock.monotonic()), "something has");

        cluster.write_around_an_outage(9..15);
        let said = take(&mut reading, 6);
        assert!(!said.is_empty(), "it is said again, and heard");
        assert!(!reading.is_careful(clock.monotonic() + 2 * CAREFUL + properties.reconnects_within()), "for a while");
    }
}
