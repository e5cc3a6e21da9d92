//! Clients of a cluster: how they are made, what they log, and what their errors mean for the job.

use std::sync::Arc;
use std::time::Duration;

use flott_core::clock::SystemClock;
use flott_core::{Error, Result};
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, ClientContext};

use crate::marker::pause;
use crate::outage::{self, Outage};
use crate::passing;
use crate::properties::{Properties, Role};
use crate::refusal::{self, Heard};

/// How long a question to the cluster may take.
pub(crate) const REQUEST_PATIENCE: Duration = Duration::from_secs(20);
/// How often an idle client looks up from waiting.
pub(crate) const TURN: Duration = Duration::from_millis(20);

/// Records that a client fetches ahead of its reader, in KiB: the library's own 64 MiB are of each reader, and cold when they are read.
const QUEUED_KIB: u32 = 8 << 10;
/// How long it waits before it looks for room again.
const QUEUE_BACK_OFF_MS: &str = "10";

/// How long a question waits at first, before it is looked whether the client is let in at all. It is asked again with twice as
/// much, so that a cluster that is slow has its time.
const FIRST_PATIENCE: Duration = Duration::from_millis(300);

/// The longest between two tries of what somebody else has to take over.
const BACK_OFF_MAX: Duration = Duration::from_secs(2);

/// Events of a client that are looked at for a cause.
const EVENTS_MAX: usize = 1_000;
/// Lines of the log between two of them.
const LINES_MAX: usize = 50;

/// Logs of a client go where the job's go, and what brokers say against it is kept.
#[derive(Default)]
pub(crate) struct Context {
    pub(crate) heard: Heard,
    pub(crate) outage: Arc<Outage>,
}

impl Context {
    pub(crate) fn of(properties: &Properties) -> Context {
        Context { heard: Heard::default(), outage: outage::of(properties.servers()) }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.heard.hear_line(facility, message);
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error
                if !outage::is_line(message) || self.outage.misses(outage::is_total(message)) =>
            {
                tracing::warn!(facility, "kafka: {message}");
            }
            _ => tracing::debug!(facility, "kafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Where a partition ends for now is told to whoever reads it.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        self.heard.hear(&error, reason);
        let total = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        if !(passing::is_silence(&error) && outage::is_line(reason)) || self.outage.misses(total) {
            tracing::warn!(%error, "kafka: {reason}");
        } else {
            tracing::debug!(%error, "kafka: {reason}");
        }
    }
}

impl ConsumerContext for Context {}

/// A consumer that commits nothing by itself. Without a group it can only ask.
pub(crate) fn consumer(properties: &Properties, group: Option<&str>) -> Result<BaseConsumer<Context>> {
    let mut config = properties.config(Role::Consumer)?;
    // Java's default; librdkafka's is the other one.
    if properties.get("isolation.level").is_none() {
        config.set("isolation.level", "read_uncommitted");
    }
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    // A position that is gone is an error: rows would be missing.
    config.set("auto.offset.reset", "error").set("enable.partition.eof", "true");
    if let Some(group) = group {
        config.set("group.id", group);
        config.set("queued.max.messages.kbytes", QUEUED_KIB.to_string());
        // By itself the library leaves a partition alone for a second where that is reached, also when it is read a moment later.
        config.set("fetch.queue.backoff.ms", QUEUE_BACK_OFF_MS);
    }
    made(&config, properties)
}

/// A consumer by these settings.
pub(crate) fn made(config: &ClientConfig, properties: &Properties) -> Result<BaseConsumer<Context>> {
    BaseConsumer::from_config_and_context(config, Context::of(properties))
        .map_err(|e| error(e, properties, "make a consumer for"))
}

/// Asks the cluster, and is told soon where the client is not let in. Blocks. Of a consumer that reads nothing yet.
pub(crate) fn ask<T>(
    consumer: &BaseConsumer<Context>,
    properties: &Properties,
    what: &str,
    question: impl Fn(Duration) -> std::result::Result<T, KafkaError>,
) -> Result<T> {
    ask_by(&consumer.context().heard, || look_up(consumer), properties, what, question)
}

/// The same of any client. `look_up` takes in what the library has said meanwhile.
pub(crate) fn ask_by<T>(
    heard: &Heard,
    look_up: impl Fn(),
    properties: &Properties,
    what: &str,
    question: impl Fn(Duration) -> std::result::Result<T, KafkaError>,
) -> Result<T> {
    let clock = SystemClock::shared();
    let end = clock.monotonic() + REQUEST_PATIENCE;
    let mut patience = FIRST_PATIENCE;
    loop {
        let asked = clock.monotonic();
        let failed = match question(patience.min(end.saturating_sub(asked)).max(TURN)) {
            Ok(answer) => {
                heard.forget();
                properties.reached();
                outage::of(properties.servers()).answered();
                return Ok(answer);
            }
            Err(failed) => failed,
        };
        look_up();
        if let Some((refusal, words)) = heard.refusal(properties.was_reached())
            && refusal::is_borne_out(refusal, &words)
        {
            return Err(refusal::error(refusal, &words, properties));
        }
        if !passing::may_pass(&failed) || clock.monotonic() >= end {
            let is_outage = passing::may_pass(&failed);
            let failed = error(failed, properties, what);
            return Err(if is_outage && heard.are_closed() { failed.hint(passing::CLOSED_HINT) } else { failed });
        }
        // Where it is known at once that nobody is there, or that somebody is about to lead: less and less often.
        let least = if passing::is_silence(&failed) { FIRST_PATIENCE } else { BACK_OFF_MAX };
        pause((asked + patience.min(least)).saturating_sub(clock.monotonic()));
        patience *= 2;
    }
}

/// Takes in what the library has said. Of a consumer that reads nothing yet.
pub(crate) fn look_up(consumer: &BaseConsumer<Context>) {
    let mut nothing = 0;
    for _ in 0..EVENTS_MAX {
        // Lines of the log are among the events, and look like none.
        nothing = if consumer.poll(Duration::ZERO).is_none() { nothing + 1 } else { 0 };
        if nothing > LINES_MAX {
            return;
        }
    }
}

/// What an error means for the job.
pub(crate) fn error(error: KafkaError, properties: &Properties, what: &str) -> Error {
    use RDKafkaErrorCode as Code;
    let message = format!("Cannot {what} Kafka at '{}'", properties.servers());
    let code = error.rdkafka_error_code();
    let told = match code {
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => Error::user(message)
            .hint("Check 'properties.sasl.jaas.config', 'properties.sasl.mechanism' and the certificates"),
        Some(Code::TopicAuthorizationFailed) => {
            Error::user(message).hint("The login may not use the topic: ask for access")
        }
        Some(Code::GroupAuthorizationFailed) => Error::user(message).hint("The login may not use the consumer group"),
        Some(Code::ClusterAuthorizationFailed) => Error::user(message).hint("The login may not do that on the cluster"),
        Some(Code::TransactionalIdAuthorizationFailed) => {
            Error::user(message).hint("The login may not use the transactional id: set 'sink.transactional-id-prefix'")
        }
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
            Error::user(message).hint("Check that the topic exists: it may have been deleted")
        }
        Some(Code::InvalidTopic) => Error::user(message).hint("That is not a topic's name"),
        Some(Code::InvalidReplicationFactor | Code::PolicyViolation) => {
            Error::user(message).hint("Make the topic by hand, or ask whoever runs the cluster")
        }
        Some(Code::InvalidTransactionTimeout) => Error::user(message)
            .hint("'properties.transaction.timeout.ms' is longer than the broker's 'transaction.max.timeout.ms'"),
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge) => {
            Error::data(message).hint("A record is larger than the topic or 'properties.max.request.size' allows")
        }
        Some(Code::BadCompression | Code::BadMessage | Code::InvalidMessage) => Error::data(message).hint(
            "A batch of records is damaged, or larger than can be read at once. Begin behind it, by 'scan.startup.mode' and --fresh",
        ),
        Some(Code::InvalidTimestamp) => {
            Error::data(message).hint("A record's timestamp is out of the topic's range ('message.timestamp.*.max.ms')")
        }
        Some(Code::InvalidRecord) => {
            Error::data(message).hint("The broker refuses a record; a compacted topic takes none without a key")
        }
        _ if matches!(error, KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_)) => {
            Error::user(message).hint("A value in 'properties.*' is wrong")
        }
        _ => passing::error(code, message),
    };
    told.caused_by(Answer::of(&error)).from_outside()
}

/// The same of a client that writes: a batch that arrives damaged is not in the topic, and is written again.
pub(crate) fn error_of_writing(failed: KafkaError, properties: &Properties, what: &str) -> Error {
    use RDKafkaErrorCode as Code;
    match failed.rdkafka_error_code() {
        Some(Code::BadCompression | Code::BadMessage | Code::InvalidMessage) => Error::unavailable(format!(
            "Cannot {what} Kafka at '{}': a batch of records was damaged",
            properties.servers()
        ))
        .hint("It is written again. Where that does not help look at the network and at the brokers' logs")
        .caused_by(Answer::of(&failed))
        .from_outside(),
        _ => error(failed, properties, what),
    }
}

/// An answer without the value of a setting, which may be a secret.
#[derive(Debug)]
struct Answer(String);

impl Answer {
    fn of(error: &KafkaError) -> Answer {
        Answer(match error {
            KafkaError::ClientConfig(_, why, key, _) => format!("{key}: {why}"),
            other => match other.rdkafka_error_code() {
                Some(code) => code.to_string(),
                None => other.to_string(),
            },
        })
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Answer {}

/// Ends clients beside what goes on: each takes a tenth of a second for it, and a job that starts has several.
pub(crate) fn end_aside(clients: impl Send + 'static) {
    let end = move || drop(clients);
    // Without a thread they have been dropped.
    std::thread::Builder::new().name("kafka-end".to_string()).spawn(end).ok();
}

/// Runs what blocks beside the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::internal("a task of the Kafka connector ended early").caused_by(e))
}

#[cfg(test)]
mod tests {
    use flott_core::ErrorKind;

    use super::*;

    #[test]
    fn what_is_damaged_is_read_no_more_and_written_again() {
        let given = [("properties.bootstrap.servers".to_string(), "h:1".to_string())];
        let properties = Properties::of(&given.into_iter().collect()).expect("properties");
        for code in [RDKafkaErrorCode::BadCompression, RDKafkaErrorCode::BadMessage, RDKafkaErrorCode::InvalidMessage] {
            let read = error(KafkaError::MessageConsumption(code), &properties, "read from");
            assert_eq!(read.kind(), ErrorKind::Data);
            assert!(read.to_string().contains("scan.startup.mode"), "{read}");
            let written = error_of_writing(KafkaError::MessageProduction(code), &properties, "write to");
            assert_eq!(written.kind(), ErrorKind::Unavailable);
            assert!(!written.to_string().contains("scan.startup.mode"), "{written}");
        }
        // All else means the same.
        let large = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
        assert_eq!(error_of_writing(large, &properties, "write to").kind(), ErrorKind::Data);
    }
}
