//! Where reading begins and ends: from the options to an offset of each partition, asked of the cluster once.

use std::collections::BTreeMap;

use flott_core::options::{ConfigOption, Options};
use flott_core::{Error, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{self, Context};
use crate::options;
use crate::properties::Properties;

/// `scan.startup.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Startup {
    Earliest,
    Latest,
    /// The group's offsets; what happens where it has none.
    Group(Reset),
    Timestamp(i64),
    Specific(BTreeMap<i32, i64>),
}

/// `properties.auto.offset.reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    Earliest,
    Latest,
    None,
}

/// `scan.bounded.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bounded {
    Unbounded,
    Latest,
    Group,
    Timestamp(i64),
    Specific(BTreeMap<i32, i64>),
}

impl Startup {
    pub(crate) fn of(options: &Options, properties: &Properties) -> Result<Startup> {
        let mode = options.text(&options::STARTUP_MODE).unwrap_or_default().to_ascii_lowercase();
        Ok(match mode.as_str() {
            "earliest-offset" => Startup::Earliest,
            "latest-offset" => Startup::Latest,
            "timestamp" => {
                Startup::Timestamp(required(options.long(&options::STARTUP_TIMESTAMP)?, &options::STARTUP_TIMESTAMP)?)
            }
            "specific-offsets" => {
                let text = required(options.text(&options::STARTUP_OFFSETS), &options::STARTUP_OFFSETS)?;
                Startup::Specific(specific(text, &options::STARTUP_OFFSETS)?)
            }
            _ => {
                if properties.get("group.id").is_none() {
                    return Err(Error::user("The startup mode 'group-offsets' needs a group")
                        .with("option", options::STARTUP_MODE.key)
                        .hint("Set 'properties.group.id', or another 'scan.startup.mode' such as 'earliest-offset'"));
                }
                Startup::Group(Reset::of(properties)?)
            }
        })
    }
}

impl Reset {
    fn of(properties: &Properties) -> Result<Reset> {
        match properties.get("auto.offset.reset").map(|r| r.trim().to_ascii_lowercase()).as_deref() {
            None | Some("none") => Ok(Reset::None),
            Some("earliest") => Ok(Reset::Earliest),
            Some("latest") => Ok(Reset::Latest),
            Some(_) => Err(Error::user("'properties.auto.offset.reset' has a wrong value")
                .with("option", "properties.auto.offset.reset")
                .hint("Use 'earliest', 'latest' or 'none'")),
        }
    }
}

impl Bounded {
    pub(crate) fn of(options: &Options, properties: &Properties) -> Result<Bounded> {
        let mode = options.text(&options::BOUNDED_MODE).unwrap_or_default().to_ascii_lowercase();
        Ok(match mode.as_str() {
            "latest-offset" => Bounded::Latest,
            "group-offsets" => {
                if properties.get("group.id").is_none() {
                    return Err(Error::user("The bounded mode 'group-offsets' needs a group")
                        .with("option", options::BOUNDED_MODE.key)
                        .hint("Set 'properties.group.id', or 'scan.bounded.mode' = 'latest-offset'"));
                }
                Bounded::Group
            }
            "timestamp" => {
                Bounded::Timestamp(required(options.long(&options::BOUNDED_TIMESTAMP)?, &options::BOUNDED_TIMESTAMP)?)
            }
            "specific-offsets" => {
                let text = required(options.text(&options::BOUNDED_OFFSETS), &options::BOUNDED_OFFSETS)?;
                Bounded::Specific(specific(text, &options::BOUNDED_OFFSETS)?)
            }
            _ => Bounded::Unbounded,
        })
    }
}

impl Bounded {
    /// Whether a partition is read at all.
    pub(crate) fn names(&self, partition: i32) -> bool {
        !matches!(self, Bounded::Specific(offsets) if !offsets.contains_key(&partition))
    }
}

fn required<T>(value: Option<T>, option: &ConfigOption) -> Result<T> {
    value.ok_or_else(|| {
        Error::user(format!("'{}' is missing", option.key))
            .with("option", option.key)
            .hint("The mode that is set needs it")
    })
}

/// `partition:0,offset:42;partition:1,offset:300`.
fn specific(text: &str, option: &ConfigOption) -> Result<BTreeMap<i32, i64>> {
    let wrong = || {
        Error::user(format!("'{text}' does not say where to begin or end"))
            .with("option", option.key)
            .hint("Write it as in 'partition:0,offset:42;partition:1,offset:300'")
    };
    let mut offsets = BTreeMap::new();
    for pair in text.split(';').map(str::trim).filter(|p| !p.is_empty()) {
        let (partition, offset) = pair.split_once(',').ok_or_else(wrong)?;
        let partition = partition.trim().strip_prefix("partition:").and_then(|p| p.trim().parse().ok());
        let offset = offset.trim().strip_prefix("offset:").and_then(|o| o.trim().parse().ok());
        let (Some(partition), Some(offset)) = (partition, offset) else { return Err(wrong()) };
        if partition < 0 || offset < 0 || offsets.insert(partition, offset).is_some() {
            return Err(wrong());
        }
    }
    if offsets.is_empty() { Err(wrong()) } else { Ok(offsets) }
}

/// A partition with the offsets at which reading begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) start: i64,
    /// The first offset that is not read.
    pub(crate) end: Option<i64>,
}

/// Asks for the beginnings and ends of new partitions. Blocks.
pub(crate) fn resolve(
    consumer: &BaseConsumer<Context>,
    properties: &Properties,
    partitions: &[(String, i32)],
    startup: &Startup,
    bounded: &Bounded,
) -> Result<Vec<Range>> {
    let has_group = properties.get("group.id").is_some();
    let asks_group = matches!(startup, Startup::Group(_)) || *bounded == Bounded::Group;
    let group = if asks_group || has_group && matches!(startup, Startup::Specific(_)) {
        committed(consumer, properties, partitions)?
    } else {
        BTreeMap::new()
    };
    // Behind the group's offsets, which go on, and before the times: what is written between two questions lies behind the end, and where
    // nothing was of a time yet reading begins with it.
    let mut reaches = vec![];
    for (topic, partition) in partitions {
        let question = |patience| consumer.fetch_watermarks(topic, *partition, patience);
        let reach = client::ask(consumer, properties, "ask for offsets of", question);
        reaches.push(reach.map_err(|e| at(e, topic, *partition))?);
    }
    let by_time = |time| by_time(consumer, properties, partitions, time);
    let start_by_time = if let Startup::Timestamp(time) = startup { by_time(*time)? } else { BTreeMap::new() };
    let end_by_time = if let Bounded::Timestamp(time) = bounded { by_time(*time)? } else { BTreeMap::new() };
    let mut ranges = vec![];
    for (place @ (topic, partition), (low, high)) in partitions.iter().zip(reaches) {
        let start = match startup {
            Startup::Earliest => low,
            Startup::Latest => high,
            Startup::Timestamp(_) => start_by_time.get(place).copied().unwrap_or(high),
            // As in Flink: a partition that is not named begins where the group is, or else at its beginning.
            Startup::Specific(offsets) => offsets.get(partition).or_else(|| group.get(place)).copied().unwrap_or(low),
            Startup::Group(reset) => match (group.get(place), reset) {
                (Some(offset), _) => *offset,
                (None, Reset::Earliest) => low,
                (None, Reset::Latest) => high,
                (None, Reset::None) => {
                    let group = properties.get("group.id").unwrap_or_default();
                    return Err(at(Error::user(format!("The group '{group}' has no offset here")), topic, *partition)
                        .hint("Set 'properties.auto.offset.reset', or another 'scan.startup.mode'")
                        .from_outside());
                }
            },
        };
        let end = match bounded {
            Bounded::Unbounded => None,
            Bounded::Latest => Some(high),
            Bounded::Timestamp(_) => Some(end_by_time.get(place).copied().unwrap_or(high)),
            Bounded::Group => match group.get(place) {
                Some(offset) => Some(*offset),
                None => {
                    return Err(at(
                        Error::user("The group has no offset here, where reading shall end"),
                        topic,
                        *partition,
                    )
                    .hint("Set another 'scan.bounded.mode'")
                    .from_outside());
                }
            },
            // Without an offset it is not read.
            Bounded::Specific(offsets) => Some(offsets.get(partition).copied().unwrap_or(start)),
        };
        let is_by_time = matches!(startup, Startup::Timestamp(_));
        if end.is_none_or(|end| end > start) && (start < low || start > high && !is_by_time) {
            return Err(gone(topic, *partition, start, low, high));
        }
        // More than there is would wait for rows to come, and those would be read: so Flink does.
        ranges.push(Range { topic: topic.clone(), partition: *partition, start, end });
    }
    Ok(ranges)
}

/// The error for a position that a partition does not have.
pub(crate) fn gone(topic: &str, partition: i32, offset: i64, low: i64, high: i64) -> Error {
    let hint = if offset < low {
        "The records from there on were removed before they were read (retention, or the topic was made anew). Start over with --fresh, or from another offset"
    } else {
        "The topic has been made anew, or has lost records. Start over with --fresh, or from another offset"
    };
    at(Error::data(format!("There is no offset {offset}: the partition has {low} to {high}")), topic, partition)
        .hint(hint)
        .from_outside()
}

pub(crate) fn at(error: Error, topic: &str, partition: i32) -> Error {
    error.with("topic", topic).with("partition", partition)
}

fn list(partitions: &[(String, i32)], offset: Offset) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, *partition, offset)
            .map_err(|e| Error::internal("an offset cannot be asked for").caused_by(e))?;
    }
    Ok(list)
}

/// The first records that are not older; a partition without one is not in the answer.
fn by_time(
    consumer: &BaseConsumer<Context>,
    properties: &Properties,
    partitions: &[(String, i32)],
    time_ms: i64,
) -> Result<BTreeMap<(String, i32), i64>> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let asked = list(partitions, Offset::Offset(time_ms))?;
    let question = |patience| consumer.offsets_for_times(asked.clone(), patience);
    answered(&client::ask(consumer, properties, "ask for offsets of", question)?, properties)
}

/// The group's offsets; a partition without one is not in the answer.
fn committed(
    consumer: &BaseConsumer<Context>,
    properties: &Properties,
    partitions: &[(String, i32)],
) -> Result<BTreeMap<(String, i32), i64>> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let asked = list(partitions, Offset::Invalid)?;
    let question = |patience| {
        if consumer.context().heard.group_is_refused() {
            return Err(KafkaError::Global(RDKafkaErrorCode::GroupAuthorizationFailed));
        }
        consumer.committed_offsets(asked.clone(), patience)
    };
    answered(&client::ask(consumer, properties, "ask for the group's offsets in", question)?, properties)
}

fn answered(list: &TopicPartitionList, properties: &Properties) -> Result<BTreeMap<(String, i32), i64>> {
    let mut offsets = BTreeMap::new();
    for element in list.elements() {
        element.error().map_err(|e| {
            at(client::error(e, properties, "ask for offsets of"), element.topic(), element.partition())
        })?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert((element.topic().to_string(), element.partition()), offset);
        }
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specific_offsets() {
        let read = |text| specific(text, &options::STARTUP_OFFSETS);
        assert_eq!(read("partition:0,offset:42; partition:1,offset:300").expect("read"), [(0, 42), (1, 300)].into());
        for wrong in [
            "",
            "partition:0",
            "partition:0,offset:x",
            "offset:1,partition:1",
            "partition:0,offset:1;partition:0,offset:2",
            "partition:-1,offset:1",
        ] {
            assert!(read(wrong).expect_err(wrong).to_string().contains("specific-offsets"), "{wrong}");
        }
    }

    #[test]
    fn modes_ask_for_what_they_need() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs = [("properties.bootstrap.servers", "h:1")].iter().chain(pairs);
            let options: Options = pairs.map(|(k, v)| (k.to_string(), v.to_string())).collect();
            let properties = Properties::of(&options).expect("properties");
            (Startup::of(&options, &properties), Bounded::of(&options, &properties))
        };
        let (startup, bounded) = of(&[]);
        assert!(startup.expect_err("no group").to_string().contains("properties.group.id"));
        assert_eq!(bounded.expect("unbounded"), Bounded::Unbounded);
        assert_eq!(of(&[("properties.group.id", "g")]).0.expect("group"), Startup::Group(Reset::None));
        assert!(of(&[("scan.startup.mode", "timestamp")]).0.is_err());
        assert!(of(&[("scan.bounded.mode", "specific-offsets")]).1.is_err());
        let timestamp = [("scan.bounded.mode", "timestamp"), ("scan.bounded.timestamp-millis", "7")];
        assert_eq!(of(&timestamp).1.expect("a time"), Bounded::Timestamp(7));
    }
}
