//! Where reading begins and ends: from the options to a sequence of each part, asked of the servers once.

use std::time::Duration;

use flott_core::options::{ConfigOption, Options};
use flott_core::{Error, Result, id};
use futures::StreamExt;
use serde_json::json;

use crate::access::{Connection, REQUEST_PATIENCE};
use crate::api::{Deliver, Delivery, StreamInfo};
use crate::options;
use crate::split::StreamSplit;

/// Between two looks at what a replica has.
const LOOK: Duration = Duration::from_millis(100);

/// Retention under which messages stay until limits say otherwise, and not until somebody has acknowledged them.
pub(crate) const BY_LIMITS: &str = "limits";

/// `scan.startup.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Startup {
    Earliest,
    Latest,
    Sequence(u64),
    Timestamp(i64),
}

/// `scan.bounded.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bounded {
    Unbounded,
    Latest,
    Sequence(u64),
    Timestamp(i64),
}

fn required(value: Option<i64>, option: &ConfigOption) -> Result<i64> {
    value.ok_or_else(|| {
        Error::user(format!("'{}' is missing", option.key))
            .with("option", option.key)
            .hint("The mode that is set needs it")
    })
}

fn sequence(options: &Options, option: &ConfigOption) -> Result<u64> {
    let number = required(options.long(option)?, option)?;
    u64::try_from(number).ok().filter(|n| *n > 0).ok_or_else(|| {
        Error::user(format!("'{}' is {number}, and sequences begin with 1", option.key)).with("option", option.key)
    })
}

impl Startup {
    pub(crate) fn of(given: &Options) -> Result<Startup> {
        let mode = given.text(&options::STARTUP_MODE).unwrap_or_default().to_ascii_lowercase();
        Ok(match mode.as_str() {
            "latest" => Startup::Latest,
            "sequence" => Startup::Sequence(sequence(given, &options::STARTUP_SEQUENCE)?),
            "timestamp" => {
                Startup::Timestamp(required(given.long(&options::STARTUP_TIMESTAMP)?, &options::STARTUP_TIMESTAMP)?)
            }
            _ => Startup::Earliest,
        })
    }
}

impl Bounded {
    pub(crate) fn of(given: &Options) -> Result<Bounded> {
        let mode = given.text(&options::BOUNDED_MODE).unwrap_or_default().to_ascii_lowercase();
        Ok(match mode.as_str() {
            "latest" => Bounded::Latest,
            "sequence" => Bounded::Sequence(sequence(given, &options::BOUNDED_SEQUENCE)?),
            "timestamp" => {
                Bounded::Timestamp(required(given.long(&options::BOUNDED_TIMESTAMP)?, &options::BOUNDED_TIMESTAMP)?)
            }
            _ => Bounded::Unbounded,
        })
    }
}

/// Looks at a stream, and says where its parts begin and end.
pub(crate) async fn resolve(
    connection: &Connection,
    stream: &str,
    subjects: &[Option<String>],
    startup: Startup,
    bounded: Bounded,
) -> Result<Vec<StreamSplit>> {
    let info = connection.stream(stream).await?;
    check_retention(stream, &info)?;
    let mut splits = vec![];
    for subject in subjects {
        let by_time = async |time_ms| {
            let found = first_not_older(connection, stream, subject.as_deref(), time_ms).await?;
            Ok::<_, Error>(found.unwrap_or(info.next()))
        };
        let start = match startup {
            Startup::Earliest => 0,
            Startup::Latest => info.next(),
            Startup::Sequence(sequence) => {
                check_position(stream, sequence, &info)?;
                sequence
            }
            // What is at the edge of what the stream keeps may be gone in a moment: it begins there, wherever that is then.
            Startup::Timestamp(time_ms) => by_time(time_ms).await.map(|s| if s <= info.first() { 0 } else { s })?,
        };
        let end = match bounded {
            Bounded::Unbounded => None,
            Bounded::Latest => Some(info.next()),
            Bounded::Sequence(sequence) => Some(sequence),
            Bounded::Timestamp(time_ms) => Some(by_time(time_ms).await?),
        };
        splits.push(StreamSplit {
            stream: stream.to_string(),
            subject: subject.clone(),
            sequence: start,
            end,
            created: info.created.clone(),
            schemas: Default::default(),
        });
    }
    // Nothing is to be read where it ends before its first message.
    let is_empty = |s: &StreamSplit| s.end.is_some_and(|end| end <= s.sequence.max(info.first()));
    splits.iter_mut().filter(|s| is_empty(s)).for_each(|s| s.end = Some(s.sequence));
    Ok(splits)
}

/// Messages that go when somebody else has read them cannot be read again after a failure.
pub(crate) fn check_retention(stream: &str, info: &StreamInfo) -> Result<()> {
    let retention = &info.config.retention;
    if retention == BY_LIMITS {
        return Ok(());
    }
    Err(Error::user(format!(
        "The stream '{stream}' has the retention '{retention}': it removes messages that were acknowledged, and a failure could not be read over again"
    ))
    .with("stream", stream)
    .hint("Read a stream with the retention 'limits'; one that has this stream as its source or mirror will do")
    .from_outside())
}

/// Refuses a position that the stream does not have.
pub(crate) fn check_position(stream: &str, sequence: u64, info: &StreamInfo) -> Result<()> {
    if sequence > 0 && (sequence < info.first() && !info.config.is_compacted() || sequence > info.next()) {
        return Err(gone(stream, sequence, info));
    }
    Ok(())
}

/// The error for a position that is gone.
pub(crate) fn gone(stream: &str, sequence: u64, info: &StreamInfo) -> Error {
    let hint = if sequence < info.first() {
        "Messages from there on were removed before they were read (the stream's limits, or a purge). Start over with --fresh, or from another place; let the stream keep more"
    } else {
        "The stream has lost messages, or was restored from an older copy. Start over with --fresh, or from another place"
    };
    Error::data(format!(
        "There is no sequence {sequence}: the stream '{stream}' has {} to {}",
        info.first(),
        info.state.last_seq
    ))
    .with("stream", stream)
    .hint(hint)
    .from_outside()
}

/// The sequence of the first message that is not older, where there is one. That there is none is the stream's word: a consumer of a
/// stream with replicas may lie at one that is behind.
async fn first_not_older(
    connection: &Connection,
    stream: &str,
    subject: Option<&str>,
    time_ms: i64,
) -> Result<Option<u64>> {
    let mut waited = Duration::ZERO;
    loop {
        let found = ask_consumer(connection, stream, subject, time_ms).await?;
        if found.is_some() || connection.last_time(stream, subject).await?.is_none_or(|last| last < time_ms) {
            return Ok(found);
        }
        if waited >= REQUEST_PATIENCE {
            return Err(unanswered(stream));
        }
        tokio::time::sleep(LOOK).await;
        waited += LOOK;
    }
}

/// Of a consumer that is made for this, and knows what is stored where it lies.
async fn ask_consumer(
    connection: &Connection,
    stream: &str,
    subject: Option<&str>,
    time_ms: i64,
) -> Result<Option<u64>> {
    let name = format!("flott-{}", id::random_hex());
    connection.create_consumer(stream, &name, subject, Deliver::FromTime(time_ms)).await?;
    let inbox = connection.client.new_inbox();
    let failed =
        |e: async_nats::SubscribeError| Error::unavailable("NATS takes no subscription").caused_by(e).from_outside();
    let mut answers = connection.client.subscribe(inbox.clone()).await.map_err(failed)?;
    let patience: Duration = REQUEST_PATIENCE;
    let request = json!({ "batch": 1, "no_wait": true });
    connection.pull(stream, &name, inbox, request).await?;
    let answer = tokio::time::timeout(patience, answers.next()).await;
    connection.delete_consumer(stream, &name).await;
    let answer = answer.ok().flatten().ok_or_else(|| unanswered(stream))?;
    match (answer.status.map(|s| s.as_u16()), answer.reply.as_ref().and_then(|r| Delivery::of(r))) {
        (None, Some(delivery)) => Ok(Some(delivery.stream_sequence)),
        (Some(404), _) => Ok(None),
        _ => Err(unanswered(stream)),
    }
}

fn unanswered(stream: &str) -> Error {
    Error::unavailable(format!("The stream '{stream}' does not say what it has at a time"))
        .with("stream", stream)
        .from_outside()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_ask_for_what_they_need() {
        let of = |pairs: &[(&str, &str)]| {
            let options: Options = pairs.iter().copied().collect();
            (Startup::of(&options), Bounded::of(&options))
        };
        let (startup, bounded) = of(&[]);
        assert_eq!((startup.expect("it"), bounded.expect("it")), (Startup::Earliest, Bounded::Unbounded));
        assert!(of(&[("scan.startup.mode", "timestamp")]).0.is_err());
        assert!(of(&[("scan.startup.mode", "sequence"), ("scan.startup.sequence", "0")]).0.is_err());
        assert!(of(&[("scan.bounded.mode", "sequence")]).1.is_err());
        let (startup, bounded) = of(&[
            ("scan.startup.mode", "SEQUENCE"),
            ("scan.startup.sequence", "7"),
            ("scan.bounded.mode", "timestamp"),
            ("scan.bounded.timestamp-millis", "9"),
        ]);
        assert_eq!((startup.expect("it"), bounded.expect("it")), (Startup::Sequence(7), Bounded::Timestamp(9)));
    }

    #[test]
    fn positions_that_a_stream_does_not_have_are_refused() {
        let info = |first: u64, last: u64, limits: &str| -> StreamInfo {
            let text = format!(
                r#"{{"config":{{"retention":"limits",{limits}}},"state":{{"first_seq":{first},"last_seq":{last}}},"created":"x"}}"#
            );
            serde_json::from_str(&text).expect("an answer")
        };
        let plain = info(5, 9, r#""max_age":1"#);
        for (sequence, fits) in [(0, true), (4, false), (5, true), (10, true), (11, false)] {
            assert_eq!(check_position("s", sequence, &plain).is_ok(), fits, "{sequence}");
        }
        let error = check_position("s", 4, &plain).expect_err("gone").to_string();
        assert!(error.contains("sequence 4") && error.contains("5 to 9"), "{error}");
        // What a later message of the subject replaces is not missed, as in a compacted topic.
        let compacted = info(5, 9, r#""max_msgs_per_subject":1,"max_msgs":-1,"max_bytes":-1"#);
        check_position("s", 1, &compacted).expect("nothing is missing");
        check_position("s", 11, &compacted).expect_err("behind the end");
        check_retention("s", &plain).expect("limits");
        let empty = info(0, 0, r#""max_age":0"#);
        check_position("s", 1, &empty).expect("the first message is yet to come");
    }
}
