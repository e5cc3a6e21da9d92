//! The marker of a sink: which checkpoint's output is in the stream. It is the last message of each batch, in the same
//! stream, so that it is there exactly where the rows are; and each batch says which marker it follows, so that of two
//! attempts only one can go on.

use async_nats::HeaderMap;
use flott_connector::staged::Marker;
use flott_core::{Error, Result};
use serde::Deserialize;

use crate::access::{Connection, REQUEST_PATIENCE};
use crate::api::{Refusal, StreamInfo, of_stream};
use crate::positions::BY_LIMITS;
use crate::record::header_value;
use crate::subject;

/// What tells a marker from a row.
pub(crate) const HEADER: &str = "Flott-Marker";
/// JetStream's number for a message that follows another one than it says.
const WRONG_LAST_SEQUENCE: [u64; 2] = [10_071, 10_164];

/// Whose output it is: a part of a subject.
pub(crate) fn owner(lineage: &str, operator_uid: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let id = format!("{lineage}-{operator_uid}");
    if id.len() <= 200 && id.chars().all(plain) {
        return id;
    }
    let kept: String = id.chars().filter(|c| plain(*c)).take(100).collect();
    // FNV-1a, of 64 bits.
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{kept}-{hash:016x}")
}

/// A marker and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) marker: Marker,
    pub(crate) sequence: u64,
}

/// What a stream says to a message or a batch.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    seq: u64,
    error: Option<Refusal>,
}

/// The headers of a marker that follows the one at this sequence; 0 is none.
pub(crate) fn headers(stream: &str, follows: u64, keeps: bool) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, "1");
    headers.insert("Nats-Expected-Stream", header_value(stream)?);
    headers.insert("Nats-Expected-Last-Subject-Sequence", header_value(&follows.to_string())?);
    if keeps {
        // However old it becomes.
        headers.insert("Nats-TTL", "never");
    }
    Ok(headers)
}

/// Sends a message that ends a batch, or stands alone, and gives its sequence.
pub(crate) async fn publish(
    connection: &Connection,
    stream: &str,
    subject: String,
    headers: HeaderMap,
    payload: Vec<u8>,
) -> Result<u64> {
    let asking = connection.client.request_with_headers(subject, headers, payload.into());
    let unknown = || {
        Error::unavailable("JetStream does not say whether messages are stored")
            .with("stream", stream)
            .hint("Check that the servers run and can be reached from here")
            .from_outside()
    };
    let answer = match tokio::time::timeout(REQUEST_PATIENCE, asking).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(unknown().caused_by(error)),
        Err(_) => return Err(unknown()),
    };
    let answer: Answer = serde_json::from_slice(&answer.payload).map_err(|e| unknown().caused_by(e))?;
    match answer.error {
        None if answer.seq > 0 => Ok(answer.seq),
        None => Err(unknown()),
        Some(refusal) if WRONG_LAST_SEQUENCE.contains(&refusal.err_code) => {
            Err(Error::unavailable("Another attempt of the job has written to the stream")
                .with("stream", stream)
                .with("answer", refusal.to_string())
                .from_outside())
        }
        Some(refusal) => Err(of_stream(refusal, stream)),
    }
}

/// The last marker of a subject.
pub(crate) async fn read(connection: &Connection, stream: &str, subject: &str) -> Result<Option<Marked>> {
    let Some((sequence, bytes)) = connection.last_message(stream, subject).await? else { return Ok(None) };
    Ok(Some(Marked { marker: Marker::decode(&bytes)?, sequence }))
}

/// A stream that cannot take batches, or that would drop a marker, and with it the knowledge of what is committed.
pub(crate) fn check_stream(stream: &str, marker_subject: &str, info: &StreamInfo) -> Result<()> {
    let config = &info.config;
    let wrong = |message: String, hint: &str| {
        Err(Error::user(message)
            .with("stream", stream)
            .hint(format!("{hint}; or set 'sink.delivery-guarantee' = 'at-least-once'"))
            .from_outside())
    };
    if !config.allow_atomic {
        return wrong(
            format!("The stream '{stream}' takes no atomic batches ('allow_atomic'), which exactly-once output needs"),
            "Set 'allow_atomic' in the stream's configuration (NATS 2.12 or later)",
        );
    }
    if !config.subjects.iter().any(|s| subject::overlap(s, marker_subject)) {
        return wrong(
            format!("The stream '{stream}' does not have the subject '{marker_subject}', where markers are"),
            "Add it (with '>' for the part that names the job) to the stream's subjects, or set 'sink.marker-subject' to one that the stream has",
        );
    }
    if config.retention != BY_LIMITS {
        return wrong(
            format!("The stream '{stream}' has the retention '{}', and would drop markers", config.retention),
            "Write to a stream with the retention 'limits'",
        );
    }
    if config.removes_by_size() {
        return wrong(
            format!("The stream '{stream}' removes its oldest messages when it is full, and markers with them"),
            "Limit it by 'max_age', or let it discard new messages",
        );
    }
    if config.refuses_by_subject() {
        return wrong(
            format!("The stream '{stream}' refuses new messages of a subject, and would refuse markers"),
            "Remove 'discard_new_per_subject'",
        );
    }
    if config.expires() && !config.allow_msg_ttl {
        return wrong(
            format!("The stream '{stream}' removes messages by age, and markers with them"),
            "Set 'allow_msg_ttl' in the stream's configuration, so that markers can stay",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_a_part_of_a_subject() {
        assert_eq!(owner("abc", "sink-1"), "abc-sink-1");
        let strange = owner("a.b", "x *>");
        assert!(!strange.contains(['.', ' ', '*', '>']), "{strange}");
        assert_ne!(owner("a.b", "x"), owner("ab", "x"));
    }

    #[test]
    fn streams_that_would_drop_markers_are_refused() {
        let info = |more: &str| -> StreamInfo {
            let text = format!(
                r#"{{"config":{{"subjects":["s.>"],"retention":"limits",{more}}},"state":{{"first_seq":1,"last_seq":1}},"created":"x"}}"#
            );
            serde_json::from_str(&text).expect("an answer")
        };
        let fits = r#""allow_atomic":true,"max_msgs":-1,"max_bytes":-1,"discard":"old""#;
        check_stream("s", "s.m.x", &info(fits)).expect("fits");
        check_stream("s", "s.m.x", &info(&format!(r#"{fits},"max_age":5,"allow_msg_ttl":true"#))).expect("fits");
        let full = r#""allow_atomic":true,"max_msgs":5,"discard":"new""#;
        check_stream("s", "s.m.x", &info(full)).expect("fits");
        for (more, part) in [
            (r#""max_age":0"#, "allow_atomic"),
            (r#""allow_atomic":true,"max_msgs":5,"discard":"old""#, "when it is full"),
            (r#""allow_atomic":true,"max_bytes":5,"discard":"old""#, "when it is full"),
            (r#""allow_atomic":true,"max_age":5"#, "by age"),
            (
                r#""allow_atomic":true,"max_msgs_per_subject":1,"discard":"new","discard_new_per_subject":true"#,
                "of a subject",
            ),
        ] {
            let error = check_stream("s", "s.m.x", &info(more)).expect_err(part).to_string();
            assert!(error.contains(part) && error.contains("at-least-once"), "{error}");
        }
        let error = check_stream("s", "other.m.x", &info(fits)).expect_err("no such subject").to_string();
        assert!(error.contains("'other.m.x'"), "{error}");
    }
}
