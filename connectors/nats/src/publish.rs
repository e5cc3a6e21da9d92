//! Messages to a stream, and what it says to them.

use std::time::Duration;

use async_nats::{HeaderMap, Message, PublishErrorKind, Subscriber};
use flott_core::{Error, Result};
use futures::{FutureExt, StreamExt};
use serde::Deserialize;

use crate::access::{Connection, REQUEST_PATIENCE};
use crate::api::{MESSAGE_TOO_LARGE, Refusal, of_stream};
use crate::record::{Outgoing, header_value};
use crate::subject;

/// Messages that are sent and not answered at most.
const UNANSWERED_MAX: u64 = 4_096;
/// Bytes of them.
const UNANSWERED_BYTES_MAX: usize = 16 << 20;
/// How often a wait for answers looks whether the connection is still the same.
const LOOK: Duration = Duration::from_millis(250);
/// JetStream's number for a message that names another stream.
const OTHER_STREAM: u64 = 10_060;
/// The stream is full and removes nothing.
const STREAM_FULL: u64 = 10_077;
/// As `STREAM_FULL`, of storage.
const NO_RESOURCES: u64 = 10_047;

/// An answer to a message.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    stream: String,
    error: Option<Refusal>,
}

/// Sends messages and counts answers.
pub(crate) struct Publisher {
    connection: Connection,
    stream: Option<String>,
    inbox: String,
    answers: Subscriber,
    /// Bytes of each message that waits for an answer, by its number.
    unanswered: std::collections::BTreeMap<u64, (usize, std::sync::Arc<str>)>,
    bytes: usize,
    next: u64,
    lost: u64,
    /// Of the last message, for messages.
    subject: std::sync::Arc<str>,
    /// A stream has taken a message, so that there is one.
    has_answered: bool,
}

impl Publisher {
    pub(crate) async fn new(connection: Connection, stream: Option<String>) -> Result<Publisher> {
        let inbox = connection.client.new_inbox();
        let lost = connection.times_lost();
        let answers = connection
            .client
            .subscribe(format!("{inbox}.*"))
            .await
            .map_err(|e| Error::unavailable("NATS takes no subscription").caused_by(e).from_outside())?;
        let unanswered = std::collections::BTreeMap::new();
        Ok(Publisher {
            connection,
            stream,
            inbox,
            answers,
            unanswered,
            bytes: 0,
            next: 0,
            lost,
            subject: "".into(),
            has_answered: false,
        })
    }

    /// Sends a message. Waits while too many are unanswered.
    pub(crate) async fn send(&mut self, record: &Outgoing<'_>) -> Result<()> {
        self.check().await?;
        let bytes = record.bytes();
        let is_full = |p: &Publisher| {
            let bytes = p.bytes + bytes > UNANSWERED_BYTES_MAX && !p.unanswered.is_empty();
            bytes || p.unanswered.len() as u64 >= UNANSWERED_MAX
        };
        while is_full(self) {
            self.wait().await?;
        }
        let mut headers = record.header_map()?;
        if let Some(stream) = &self.stream {
            headers.insert("Nats-Expected-Stream", header_value(stream)?);
        }
        self.publish(record.subject, headers, record.payload, bytes).await
    }

    async fn publish(&mut self, subject: &str, headers: HeaderMap, payload: &[u8], bytes: usize) -> Result<()> {
        let (reply, payload) = (format!("{}.{}", self.inbox, self.next), bytes::Bytes::copy_from_slice(payload));
        let client = &self.connection.client;
        let sent = client.publish_with_reply_and_headers(subject.to_string(), reply, headers, payload).await;
        sent.map_err(|e| match e.kind() {
            PublishErrorKind::MaxPayloadExceeded => Error::data(format!(
                "A row is {bytes} bytes large, and the server takes {} ('max_payload')",
                client.max_payload()
            ))
            .with("subject", subject)
            .hint("Raise the server's 'max_payload', or leave such rows out"),
            PublishErrorKind::InvalidSubject => Error::data(format!("'{subject}' is no subject")),
            PublishErrorKind::Send => Error::unavailable("NATS takes no message").caused_by(e).from_outside(),
        })?;
        if *self.subject != *subject {
            self.subject = subject.into();
        }
        self.unanswered.insert(self.next, (bytes, std::sync::Arc::clone(&self.subject)));
        self.bytes += bytes;
        self.next += 1;
        Ok(())
    }

    /// Waits until all messages are answered.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        while !self.unanswered.is_empty() {
            self.wait().await?;
        }
        Ok(())
    }

    /// Takes answers that are there.
    pub(crate) async fn check(&mut self) -> Result<()> {
        while let Some(answer) = self.answers.next().now_or_never() {
            self.take(answer).await?;
        }
        Ok(())
    }

    /// Waits for one answer.
    async fn wait(&mut self) -> Result<()> {
        let mut waited = Duration::ZERO;
        loop {
            match tokio::time::timeout(LOOK, self.answers.next()).await {
                Ok(answer) => return self.take(answer).await,
                Err(_) => waited += LOOK,
            }
            if self.lost != self.connection.times_lost() {
                return Err(self.lost_contact("The connection to NATS was lost while messages were under way"));
            }
            if waited >= REQUEST_PATIENCE {
                return Err(self.lost_contact("JetStream does not say whether messages are stored"));
            }
        }
    }

    fn lost_contact(&self, message: &str) -> Error {
        if let Some(refusal) = self.connection.refusal() {
            return Error::user(message).with("answer", refusal).hint("The user may not publish there").from_outside();
        }
        Error::unavailable(message).hint("Check that the servers run and can be reached from here").from_outside()
    }

    async fn take(&mut self, answer: Option<Message>) -> Result<()> {
        let Some(answer) = answer else { return Err(self.lost_contact("The subscription to answers has ended")) };
        let number = answer.subject.rsplit('.').next().and_then(|n| n.parse().ok());
        let Some((bytes, subject)) = number.and_then(|n: u64| self.unanswered.remove(&n)) else { return Ok(()) };
        self.bytes -= bytes;
        if answer.status.is_some_and(|s| s.as_u16() == 503) {
            return Err(self.nobody_listens(&subject).await);
        }
        let told: Answer = serde_json::from_slice(&answer.payload).map_err(|e| {
            Error::user("A message was answered by something else than a stream")
                .caused_by(e)
                .hint("Some other subscriber answers messages of the subject; give 'stream' and a subject of it")
                .from_outside()
        })?;
        match told.error {
            None if told.stream.is_empty() => {
                Err(Error::user("A message was answered by something else than a stream")
                    .hint("Give 'stream' and a subject of it")
                    .from_outside())
            }
            None => {
                self.has_answered = true;
                Ok(())
            }
            Some(refusal) => Err(self.refused(refusal)),
        }
    }

    fn refused(&self, refusal: Refusal) -> Error {
        let stream = self.stream.as_deref().unwrap_or("of the subject");
        let (told, hint) = match refusal.err_code {
            MESSAGE_TOO_LARGE => (
                Error::data(format!("A row is larger than the stream '{stream}' takes ('max_msg_size')")),
                "Raise the stream's 'max_msg_size', or leave such rows out",
            ),
            OTHER_STREAM => (
                Error::user(format!("The subject is not one of the stream '{stream}'")),
                "Add the subject to the stream, or name the stream that has it",
            ),
            STREAM_FULL | NO_RESOURCES => (
                Error::unavailable(format!("The stream '{stream}' takes no more messages")),
                "It is full and set to discard new messages, or the server's storage is full",
            ),
            _ => return of_stream(refusal, stream),
        };
        told.with("answer", refusal.to_string()).hint(hint).from_outside()
    }

    /// A subject that no stream has, or a stream that has no leader just now?
    async fn nobody_listens(&self, of_message: &str) -> Error {
        let message = "No stream has taken a message";
        if let Some(stream) = &self.stream {
            let info = match self.connection.stream(stream).await {
                Ok(info) => info,
                Err(error) => return error,
            };
            if info.config.subjects.iter().any(|s| subject::overlap(s, of_message)) {
                return Error::unavailable(message)
                    .with("stream", stream)
                    .hint("The stream has no leader just now, or another account has the subject")
                    .from_outside();
            }
            return Error::user(format!("The stream '{stream}' does not have the subject '{of_message}'"))
                .with("stream", stream)
                .hint("Add the subject to the stream, or give another 'subject'")
                .from_outside();
        }
        if self.has_answered {
            return Error::unavailable(message)
                .with("subject", of_message)
                .hint("Its stream has no leader just now, or is gone; other messages were taken before")
                .from_outside();
        }
        Error::user(message)
            .with("subject", of_message)
            .hint("Make a stream with the subject, or give another 'subject'")
            .from_outside()
    }
}
