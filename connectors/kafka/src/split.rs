//! A partition and how far it has been read.

use flott_connector::Versioned;
use flott_connector::schema_registry::KnownSchemas;
use flott_connector::source::SourceSplit;
use flott_connector::stored::{check_version, from_json, to_json};
use flott_core::Result;
use serde::{Deserialize, Serialize};

use crate::offsets::Range;

/// Version of the stored form.
const VERSION: u32 = 1;

/// The position of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartitionSplit {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The offset of the next record.
    pub(crate) offset: i64,
    /// The first offset that is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<i64>,
    /// Schemas of the value and of the key that were looked up in a registry: a restore need not ask for them.
    #[serde(default, skip_serializing_if = "KnownSchemas::is_empty")]
    pub(crate) schemas: KnownSchemas,
    #[serde(default, skip_serializing_if = "KnownSchemas::is_empty")]
    pub(crate) key_schemas: KnownSchemas,
}

impl PartitionSplit {
    pub(crate) fn of(range: Range) -> PartitionSplit {
        PartitionSplit {
            topic: range.topic,
            partition: range.partition,
            offset: range.start,
            end: range.end,
            schemas: KnownSchemas::new(),
            key_schemas: KnownSchemas::new(),
        }
    }

    /// A topic's name has no colon.
    pub(crate) fn id(&self) -> String {
        format!("{}:{}", self.topic, self.partition)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.end.is_some_and(|end| self.offset >= end)
    }

    pub(crate) fn encode(&self) -> Result<Versioned> {
        Ok(Versioned::new(VERSION, to_json(self)?))
    }

    pub(crate) fn decode(stored: &Versioned) -> Result<PartitionSplit> {
        check_version(stored, VERSION, "position in a topic")?;
        from_json(&stored.bytes, "position in a topic")
    }

    pub(crate) fn to_split(&self) -> Result<SourceSplit> {
        Ok(SourceSplit { id: self.id(), data: self.encode()? })
    }

    /// Which reader gets it: the partitions of a topic go to different readers, those of several topics begin at different
    /// ones (as in Flink).
    pub(crate) fn owner(&self, parallelism: usize) -> usize {
        let hash = self.topic.encode_utf16().fold(0i32, |h, c| h.wrapping_mul(31).wrapping_add(i32::from(c)));
        let start = (hash.wrapping_mul(31) & i32::MAX) as usize % parallelism.max(1);
        (start + usize::try_from(self.partition).unwrap_or(0)) % parallelism.max(1)
    }
}

#[cfg(test)]
mod tests {
    use flott_connector::schema_registry::RegisteredSchema;

    use super::*;

    #[test]
    fn what_is_stored_is_read_again_and_damaged_states_are_refused() {
        let split = PartitionSplit {
            topic: "t".into(),
            partition: 3,
            offset: 17,
            end: Some(20),
            schemas: KnownSchemas::new(),
            key_schemas: KnownSchemas::new(),
        };
        let stored = split.encode().expect("stored");
        // The layout of version 1, for ever.
        assert_eq!(&stored.bytes[..], br#"{"topic":"t","partition":3,"offset":17,"end":20}"#);
        assert_eq!(PartitionSplit::decode(&stored).expect("read"), split);
        for end in 0..stored.bytes.len() {
            let cut = Versioned::new(VERSION, stored.bytes.slice(..end));
            assert!(PartitionSplit::decode(&cut).is_err(), "{end}");
        }
        let schema = RegisteredSchema { kind: "AVRO".into(), text: "\"int\"".into(), references: vec![] };
        let split = PartitionSplit { schemas: [(7, schema)].into(), ..split };
        let with_schemas = split.encode().expect("stored");
        let expected =
            br#"{"topic":"t","partition":3,"offset":17,"end":20,"schemas":{"7":{"kind":"AVRO","text":"\"int\""}}}"#;
        assert_eq!(&with_schemas.bytes[..], expected);
        assert_eq!(PartitionSplit::decode(&with_schemas).expect("read"), split);
        let newer = Versioned::new(VERSION + 1, stored.bytes);
        assert!(PartitionSplit::decode(&newer).expect_err("newer").to_string().contains("version 2"));
    }

    #[test]
    fn partitions_of_a_topic_go_to_different_readers() {
        let owner = |partition| {
            PartitionSplit {
                topic: "orders".into(),
                partition,
                offset: 0,
                end: None,
                schemas: KnownSchemas::new(),
                key_schemas: KnownSchemas::new(),
            }
            .owner(4)
        };
        let mut owners: Vec<usize> = (0..4).map(owner).collect();
        owners.sort_unstable();
        assert_eq!(owners, [0, 1, 2, 3]);
    }
}
