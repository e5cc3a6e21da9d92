//! JetStream's API: questions and answers in JSON over the connection, as much of it as the connector needs
//! (<https://docs.nats.io/reference/reference-protocols/nats_api_reference>).

use std::time::Duration;

use async_nats::RequestErrorKind;
use base64::Engine;
use chrono::Datelike;
use flott_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::access::{Connection, REQUEST_PATIENCE};

/// Numbers of JetStream's errors, as the server has them in errors.json.
pub(crate) const CONSUMER_NOT_FOUND: u64 = 10_014;
pub(crate) const STREAM_NOT_FOUND: u64 = 10_059;
pub(crate) const MESSAGE_TOO_LARGE: u64 = 10_054;
const NO_MESSAGE: u64 = 10_037;
const NOT_ENABLED: u64 = 10_076;
const NOT_ENABLED_FOR_ACCOUNT: u64 = 10_039;

/// How long the server keeps a consumer that nobody asks.
const CONSUMER_INACTIVE: Duration = Duration::from_secs(60);

/// An answer that is a refusal.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Refusal {
    #[serde(default)]
    pub(crate) code: u64,
    #[serde(default)]
    pub(crate) err_code: u64,
    #[serde(default)]
    pub(crate) description: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, error {})", self.description, self.code, self.err_code)
    }
}

impl std::error::Error for Refusal {}

/// What a stream is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StreamInfo {
    pub(crate) config: StreamConfig,
    pub(crate) state: StreamState,
    /// When it was made: another stream of the same name has another time.
    #[serde(default)]
    pub(crate) created: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StreamConfig {
    #[serde(default)]
    pub(crate) subjects: Vec<String>,
    #[serde(default)]
    pub(crate) retention: String,
    /// Batches of messages that are stored as a whole or not at all.
    #[serde(default)]
    pub(crate) allow_atomic: bool,
    /// Messages may say how long they live.
    #[serde(default)]
    pub(crate) allow_msg_ttl: bool,
    #[serde(default)]
    pub(crate) max_msg_size: i64,
    #[serde(default)]
    discard: String,
    #[serde(default)]
    discard_new_per_subject: bool,
    #[serde(default)]
    max_msgs: i64,
    #[serde(default)]
    max_bytes: i64,
    #[serde(default)]
    max_age: i64,
    #[serde(default)]
    max_msgs_per_subject: i64,
}

impl StreamConfig {
    /// The only messages that the stream removes by itself are those that a later one of the same subject replaces.
    pub(crate) fn is_compacted(&self) -> bool {
        self.max_msgs_per_subject > 0 && self.max_msgs <= 0 && self.max_bytes <= 0 && self.max_age <= 0
    }

    /// Its oldest messages go when it is full, whoever they are from.
    pub(crate) fn removes_by_size(&self) -> bool {
        (self.max_msgs > 0 || self.max_bytes > 0) && self.discard != "new"
    }

    /// A subject that has as many messages as it may takes no more.
    pub(crate) fn refuses_by_subject(&self) -> bool {
        self.discard_new_per_subject && self.max_msgs_per_subject > 0
    }

    /// Messages go when they are old.
    pub(crate) fn expires(&self) -> bool {
        self.max_age > 0
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StreamState {
    /// Of the first message that is there; behind the last one where there is none.
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
}

impl StreamInfo {
    /// The first sequence that the stream has or will have.
    pub(crate) fn first(&self) -> u64 {
        self.state.first_seq.max(1)
    }

    /// The sequence of the next message.
    pub(crate) fn next(&self) -> u64 {
        self.state.last_seq.saturating_add(1)
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ConsumerInfo {
    delivered: Delivered,
    #[serde(default)]
    num_pending: u64,
}

#[derive(Debug, Clone, Deserialize)]
struct Delivered {
    consumer_seq: u64,
}

impl ConsumerInfo {
    /// All messages that the consumer knows of are delivered, and this many were. It hears of a message a moment after the stream has
    /// stored it; where replicas have it, it may lie at one that is behind.
    pub(crate) fn all_delivered(&self) -> Option<u64> {
        (self.num_pending == 0).then_some(self.delivered.consumer_seq)
    }
}

/// A message as the stream has it.
#[derive(Debug, Deserialize)]
struct Stored {
    seq: u64,
    #[serde(default)]
    data: String,
    #[serde(default)]
    time: String,
}

/// Where a consumer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deliver {
    All,
    FromSequence(u64),
    /// Milliseconds since the epoch.
    FromTime(i64),
}

impl Connection {
    /// Asks, and reads the answer: what was asked for, or why not.
    async fn ask<T: DeserializeOwned>(&self, what: &str, question: Option<Value>) -> Result<Result<T, Refusal>> {
        let body = question.map(|q| q.to_string()).unwrap_or_default();
        let subject = self.access.api(what);
        let asking = self.client.request(subject, body.into());
        let message = || format!("NATS at '{}' does not answer JetStream's API", self.access.servers());
        let answer = match tokio::time::timeout(REQUEST_PATIENCE, asking).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.unanswered(message(), Some(error.kind()))),
            Err(_) => return Err(self.unanswered(message(), None)),
        };
        let value: Value = serde_json::from_slice(&answer.payload)
            .map_err(|e| Error::unavailable("JetStream's answer is no JSON").caused_by(e).from_outside())?;
        if let Some(refusal) = value.get("error") {
            let refusal = serde_json::from_value(refusal.clone());
            return refusal
                .map(Err)
                .map_err(|e| Error::unavailable("JetStream's answer is not understood").caused_by(e).from_outside());
        }
        serde_json::from_value(value)
            .map(Ok)
            .map_err(|e| Error::unavailable("JetStream's answer is not understood").caused_by(e).from_outside())
    }

    fn unanswered(&self, message: String, kind: Option<RequestErrorKind>) -> Error {
        if let Some(refusal) = self.refusal() {
            return Error::user(message)
                .with("answer", refusal)
                .hint("The user may not do that: flott docs nats lists what it needs")
                .from_outside();
        }
        let hint = match kind {
            Some(RequestErrorKind::NoResponders) => {
                "Nobody listens: JetStream is not enabled (nats-server -js), its domain is another one, or it has no leader just now"
            }
            _ => "Check that the servers run and can be reached from here",
        };
        Error::unavailable(message).hint(hint).from_outside()
    }

    pub(crate) async fn stream(&self, name: &str) -> Result<StreamInfo> {
        let answer = self.ask(&format!("STREAM.INFO.{name}"), None).await?;
        answer.map_err(|refusal| of_stream(refusal, name))
    }

    /// Makes a consumer that the server forgets when nobody asks it. Nothing is acknowledged: positions are in checkpoints.
    pub(crate) async fn create_consumer(
        &self,
        stream: &str,
        name: &str,
        subject: Option<&str>,
        deliver: Deliver,
    ) -> Result<()> {
        let mut config = json!({
            "name": name,
            "description": "flott",
            "ack_policy": "none",
            "replay_policy": "instant",
            "inactive_threshold": u64::try_from(CONSUMER_INACTIVE.as_nanos()).unwrap_or(u64::MAX),
            "num_replicas": 1,
            "mem_storage": true,
        });
        match deliver {
            Deliver::All => config["deliver_policy"] = "all".into(),
            Deliver::FromSequence(sequence) => {
                config["deliver_policy"] = "by_start_sequence".into();
                config["opt_start_seq"] = sequence.into();
            }
            Deliver::FromTime(time_ms) => {
                config["deliver_policy"] = "by_start_time".into();
                config["opt_start_time"] = rfc3339(time_ms)?.into();
            }
        }
        let mut what = format!("CONSUMER.CREATE.{stream}.{name}");
        if let Some(subject) = subject {
            config["filter_subject"] = subject.into();
            what = format!("{what}.{subject}");
        }
        let question = json!({ "stream_name": stream, "config": config, "action": "create" });
        let answer: Result<Value, Refusal> = self.ask(&what, Some(question)).await?;
        answer.map(drop).map_err(|refusal| of_stream(refusal, stream))
    }

    /// `None` where there is no such consumer any more.
    pub(crate) async fn consumer(&self, stream: &str, name: &str) -> Result<Option<ConsumerInfo>> {
        match self.ask(&format!("CONSUMER.INFO.{stream}.{name}"), None).await? {
            Ok(info) => Ok(Some(info)),
            Err(refusal) if refusal.err_code == CONSUMER_NOT_FOUND => Ok(None),
            Err(refusal) => Err(of_stream(refusal, stream)),
        }
    }

    /// The last message of a subject, with its sequence: from the stream's leader, which knows all that is stored.
    pub(crate) async fn last_message(&self, stream: &str, subject: &str) -> Result<Option<(u64, Vec<u8>)>> {
        let Some(found) = self.message(stream, json!({ "last_by_subj": subject })).await? else { return Ok(None) };
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(&found.data)
            .map_err(|e| Error::unavailable("JetStream's answer is not understood").caused_by(e).from_outside())?;
        Ok(Some((found.seq, bytes)))
    }

    /// When the last message of a subject, or of all, was stored, in milliseconds since the epoch: from the stream's leader, too.
    pub(crate) async fn last_time(&self, stream: &str, subject: Option<&str>) -> Result<Option<i64>> {
        let Some(found) = self.message(stream, json!({ "last_by_subj": subject.unwrap_or(">") })).await? else {
            return Ok(None);
        };
        let time = chrono::DateTime::parse_from_rfc3339(&found.time)
            .map_err(|e| Error::unavailable("JetStream's answer is not understood").caused_by(e).from_outside())?;
        Ok(Some(time.timestamp_millis()))
    }

    /// The sequence of the first message from one on, of a subject or of all: from the stream's leader, too.
    pub(crate) async fn next_message(&self, stream: &str, from: u64, subject: Option<&str>) -> Result<Option<u64>> {
        let question = json!({ "seq": from, "next_by_subj": subject.unwrap_or(">") });
        Ok(self.message(stream, question).await?.map(|found| found.seq))
    }

    async fn message(&self, stream: &str, question: Value) -> Result<Option<Stored>> {
        #[derive(Deserialize)]
        struct Found {
            message: Stored,
        }
        match self.ask::<Found>(&format!("STREAM.MSG.GET.{stream}"), Some(question)).await? {
            Ok(found) => Ok(Some(found.message)),
            Err(refusal) if refusal.err_code == NO_MESSAGE => Ok(None),
            Err(refusal) => Err(of_stream(refusal, stream)),
        }
    }

    /// Removes it now. Where that does not work the server does it later by itself.
    pub(crate) async fn delete_consumer(&self, stream: &str, name: &str) {
        let subject = self.access.api(&format!("CONSUMER.DELETE.{stream}.{name}"));
        self.client.publish(subject, bytes::Bytes::new()).await.ok();
    }

    /// Asks a consumer for messages, which come to `inbox`.
    pub(crate) async fn pull(&self, stream: &str, name: &str, inbox: String, request: Value) -> Result<()> {
        let subject = self.access.api(&format!("CONSUMER.MSG.NEXT.{stream}.{name}"));
        let sent = self.client.publish_with_reply(subject, inbox, request.to_string().into()).await;
        sent.map_err(|e| Error::unavailable("NATS takes no question").caused_by(e).from_outside())
    }
}

/// What a refusal means for the job.
pub(crate) fn of_stream(refusal: Refusal, stream: &str) -> Error {
    let message = format!("JetStream refuses what was asked of the stream '{stream}'");
    let (kind, hint) = match (refusal.err_code, refusal.code) {
        (STREAM_NOT_FOUND, _) => (ErrorKind::User, "There is no such stream: it has to be made before, or was deleted"),
        (NOT_ENABLED | NOT_ENABLED_FOR_ACCOUNT, _) => {
            (ErrorKind::User, "JetStream is not enabled for this account (nats-server -js)")
        }
        (MESSAGE_TOO_LARGE, _) => (ErrorKind::Data, "A message is larger than the stream takes ('max_msg_size')"),
        (_, 408 | 429 | 500..=599) => (ErrorKind::Unavailable, "The servers may be busy, or without a leader"),
        _ => (ErrorKind::User, "See what the server says"),
    };
    let error = match kind {
        ErrorKind::User => Error::user(message),
        ErrorKind::Data => Error::data(message),
        _ => Error::unavailable(message),
    };
    error.with("stream", stream).with("answer", refusal.to_string()).hint(hint).from_outside()
}

/// A time as JetStream reads it.
fn rfc3339(time_ms: i64) -> Result<String> {
    let time = chrono::DateTime::from_timestamp_millis(time_ms).filter(|t| (0..=9_999).contains(&t.year()));
    let time = time.ok_or_else(|| Error::user(format!("There is no time {time_ms} ms since the epoch")))?;
    Ok(time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// What a delivered message says about itself, in the subject of its acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) stream_sequence: u64,
    pub(crate) consumer_sequence: u64,
    /// When the stream stored it.
    pub(crate) time_ns: i64,
    /// How many the consumer has yet to deliver.
    pub(crate) pending: u64,
}

impl Delivery {
    /// `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<consumer sequence>.<time>.<pending>`; newer servers put a domain
    /// and an account before the stream, and perhaps more behind (ADR-15).
    pub(crate) fn of(reply: &str) -> Option<Delivery> {
        let mut tokens = reply.split('.');
        if (tokens.next(), tokens.next()) != (Some("$JS"), Some("ACK")) {
            return None;
        }
        let rest: Vec<&str> = tokens.collect();
        let rest = match rest.len() {
            7 => &rest[..],
            9.. => &rest[2..],
            _ => return None,
        };
        Some(Delivery {
            stream_sequence: rest[3].parse().ok()?,
            consumer_sequence: rest[4].parse().ok()?,
            time_ns: rest[5].parse().ok()?,
            pending: rest[6].parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_server_reads_them() {
        for (time_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(time_ms).expect(text), text);
        }
        rfc3339(i64::MAX).expect_err("no time");
    }

    #[test]
    fn deliveries_are_read_in_both_forms() {
        let expected = Delivery { stream_sequence: 17, consumer_sequence: 3, time_ns: 1_700_000_000_123, pending: 5 };
        for reply in [
            "$JS.ACK.S.c.1.17.3.1700000000123.5",
            "$JS.ACK._.hash.S.c.1.17.3.1700000000123.5",
            "$JS.ACK.hub.hash.S.c.1.17.3.1700000000123.5.random",
        ] {
            assert_eq!(Delivery::of(reply), Some(expected), "{reply}");
        }
        for reply in ["", "$JS.ACK", "$JS.ACK.S.c.1.x.3.1.5", "$JS.ACK.S.c.1.17.3.1", "_INBOX.a.b.c.d.e.f.g.h"] {
            assert_eq!(Delivery::of(reply), None, "{reply}");
        }
    }
}
