//! Which topics a table is about: a list or a pattern.

use flott_core::options::Options;
use flott_core::{Error, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaRespErr;
use regex::Regex;

use crate::client::{self, Context};
use crate::options;
use crate::passing;
use crate::properties::Properties;

/// A list of names, or a pattern.
#[derive(Debug, Clone)]
pub(crate) enum Topics {
    List(Vec<String>),
    Pattern(Regex),
}

impl Topics {
    pub(crate) fn of(options: &Options) -> Result<Topics> {
        let hint = "Set 'topic', or 'topic-pattern' for all topics whose names fit";
        match (options.text(&options::TOPIC), options.text(&options::TOPIC_PATTERN)) {
            (Some(_), Some(_)) => Err(Error::user("Option 'topic' and 'topic-pattern' shouldn't be set together.")
                .with("option", "topic-pattern")
                .hint(hint)),
            (None, None) => {
                Err(Error::user("Either 'topic' or 'topic-pattern' must be set.").with("option", "topic").hint(hint))
            }
            (Some(list), None) => {
                let mut names: Vec<String> = vec![];
                for name in list.split(';').map(str::trim).filter(|n| !n.is_empty()) {
                    if !names.iter().any(|n| n == name) {
                        names.push(name.to_string());
                    }
                }
                if names.is_empty() {
                    return Err(Error::user("'topic' names no topic").with("option", "topic").hint(hint));
                }
                Ok(Topics::List(names))
            }
            (None, Some(pattern)) => Regex::new(&format!("^(?:{pattern})$")).map(Topics::Pattern).map_err(|e| {
                Error::user(format!("'{pattern}' is not a usable regular expression"))
                    .with("option", "topic-pattern")
                    .hint("Java's look-around and back references are not supported")
                    .caused_by(e)
            }),
        }
    }

    /// The only topic, where there is one.
    pub(crate) fn single(&self) -> Option<&str> {
        match self {
            Topics::List(names) if names.len() == 1 => names.first().map(String::as_str),
            _ => None,
        }
    }

    pub(crate) fn contains(&self, topic: &str) -> bool {
        match self {
            Topics::List(names) => names.iter().any(|n| n == topic),
            Topics::Pattern(pattern) => pattern.is_match(topic),
        }
    }

    /// Topics and the numbers of their partitions. Blocks. A listed topic that is missing is an error.
    pub(crate) fn partitions(
        &self,
        consumer: &BaseConsumer<Context>,
        properties: &Properties,
    ) -> Result<Vec<(String, i32)>> {
        let mut found = vec![];
        match self {
            Topics::List(names) => {
                for name in names {
                    let count =
                        partition_count(consumer, properties, name)?.ok_or_else(|| missing(name, properties))?;
                    found.push((name.clone(), count));
                }
            }
            Topics::Pattern(pattern) => {
                let question = |patience| {
                    let metadata = consumer.fetch_metadata(None, patience)?;
                    metadata.topics().iter().filter(|t| pattern.is_match(t.name())).try_for_each(settled)?;
                    Ok(metadata)
                };
                let metadata = client::ask(consumer, properties, "list the topics of", question)?;
                for topic in metadata.topics() {
                    if pattern.is_match(topic.name()) && topic.error().is_none() {
                        found.push((topic.name().to_string(), count(topic.partitions().len())));
                    }
                }
                found.sort();
            }
        }
        Ok(found)
    }
}

fn count(partitions: usize) -> i32 {
    i32::try_from(partitions).unwrap_or(i32::MAX)
}

/// An answer that will be another one soon is none: nobody leads the topic yet.
pub(crate) fn settled(topic: &MetadataTopic) -> std::result::Result<(), KafkaError> {
    let error = topic.error().map(|code| KafkaError::MetadataFetch(code.into()));
    error.filter(passing::may_pass).map_or(Ok(()), Err)
}

/// How many partitions a topic has; `None` where it is missing. Blocks.
pub(crate) fn partition_count(
    consumer: &BaseConsumer<Context>,
    properties: &Properties,
    topic: &str,
) -> Result<Option<i32>> {
    let question = |patience| {
        let metadata = consumer.fetch_metadata(Some(topic), patience)?;
        metadata.topics().iter().try_for_each(settled)?;
        Ok(metadata)
    };
    let metadata = client::ask(consumer, properties, "look up a topic in", question);
    let metadata = metadata.map_err(|e| e.with("topic", topic))?;
    let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else { return Ok(None) };
    match found.error() {
        None => Ok(Some(count(found.partitions().len())).filter(|n| *n > 0)),
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Ok(None),
        Some(code) => {
            let error = KafkaError::MetadataFetch(code.into());
            Err(client::error(error, properties, "look up a topic in").with("topic", topic))
        }
    }
}

pub(crate) fn missing(topic: &str, properties: &Properties) -> Error {
    Error::user(format!("The topic '{topic}' does not exist in Kafka at '{}'", properties.servers()))
        .with("topic", topic)
        .hint("Make it, or check the name")
        .from_outside()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Topics> {
        Topics::of(&pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn lists_and_patterns() {
        let list = of(&[("topic", "a; b;;a")]).expect("a list");
        assert!(matches!(&list, Topics::List(names) if names == &["a", "b"]) && list.single().is_none());
        assert_eq!(of(&[("topic", "a")]).expect("one").single(), Some("a"));
        let pattern = of(&[("topic-pattern", "t-[0-9]")]).expect("a pattern");
        assert!(pattern.contains("t-1") && !pattern.contains("t-12") && !pattern.contains("xt-1"));
        for wrong in [&[][..], &[("topic", ";")], &[("topic", "a"), ("topic-pattern", "b")], &[("topic-pattern", "(")]]
        {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }
}
