//! Why a broker does not let a client in. The client library goes on trying for as long as it lives, and says what is wrong
//! beside that, in words: here they become an error that says what to do. That a broker has closed a connection is in its log only.
//!
//! Some are said by the broker and are certain. Others are what the library makes of a connection that was closed: they count
//! while no broker was ever reached, where nothing better happens within a moment, and where whoever is there bears it out
//! ([`probe`]): a proxy without a broker behind it closes connections as well, and is an outage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flott_core::clock::{Clock, SystemClock};
use flott_core::{Error, Result};
use parking_lot::Mutex;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::properties::Properties;
use crate::{client, probe};

/// How long a connection has to have been closed as by a broker of another protocol. A broker that starts, and whatever stands in
/// front of one that is away, closes connections as well: that is an outage, and passes.
const CLOSED_PATIENCE: Duration = Duration::from_secs(8);
/// What a broker may take to answer whether its certificate is right but for the name.
const NAMELESS_PATIENCE: Duration = Duration::from_millis(250);
/// How long a name has to have been unknown: it may be made just now, with the broker.
const NAME_PATIENCE: Duration = Duration::from_secs(3);
/// Brokers whose last words are kept.
const BROKERS_MAX: usize = 1_000;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Name and password, or their mechanism.
    Login,
    /// The broker's certificate: nobody who is trusted has signed it, it has expired, or it is another host's.
    Certificate,
    /// The same, where it is another host's.
    OtherHost,
    /// The client's certificate, or that there is none.
    Client,
    /// Something else about TLS.
    Tls,
    /// TLS is spoken to who does not speak it.
    SpeaksPlain,
    /// Who speaks TLS is spoken to without it.
    SpeaksTls,
    /// A login is expected.
    WantsLogin,
    /// None is.
    WantsNoLogin,
    /// There is no such host.
    NoHost,
}

impl Refusal {
    /// Of what is said in an error, about a broker whose name begins with the protocol.
    fn of(error: &KafkaError, broker: &str, text: &str) -> Option<Refusal> {
        use RDKafkaErrorCode as Code;
        let says = |words: &[&str]| words.iter().any(|w| text.contains(w));
        if is_tls_record(text) {
            return Some(Refusal::SpeaksTls);
        }
        // What the broker thinks of the client's certificate is told as an alert, by whichever read comes first.
        if says(&["alert certificate", "alert bad certificate", "alert unknown ca", "alert handshake failure"]) {
            return Some(Refusal::Client);
        }
        match error.rdkafka_error_code()? {
            Code::Authentication if says(&["not valid in current SASL state"]) => Some(Refusal::WantsNoLogin),
            Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
                Some(Refusal::Login)
            }
            Code::SSL if says(&["certificate verify failed", "verify broker certificate"]) => {
                Some(Refusal::Certificate)
            }
            Code::SSL if says(&["wrong version number"]) => Some(Refusal::SpeaksPlain),
            Code::SSL => Some(Refusal::Tls),
            Code::Resolve => Some(Refusal::NoHost),
            _ => Refusal::of_closed(broker, text),
        }
    }

    /// What a connection that was closed means: how far it had come is at the end of the text.
    fn of_closed(broker: &str, text: &str) -> Option<Refusal> {
        let protocol = broker.split_once("://").map_or("plaintext", |(protocol, _)| protocol);
        let says = |words: &str| text.contains(words);
        // A client that has more to say may notice it by that first.
        if !["Disconnected", "Broken pipe", "Connection reset"].iter().any(|w| says(w)) {
            None
        } else if says("in state SSL_HANDSHAKE") {
            Some(Refusal::SpeaksPlain)
        } else if says("in state APIVERSION_QUERY") && !protocol.ends_with("ssl") {
            Some(Refusal::SpeaksTls)
        } else if says("in state UP") && !protocol.starts_with("sasl") {
            Some(Refusal::WantsLogin)
        } else {
            None
        }
    }

    /// Whether somebody has said it.
    fn is_certain(self, error: &KafkaError, text: &str) -> bool {
        match self {
            Refusal::SpeaksPlain => error.rdkafka_error_code() == Some(RDKafkaErrorCode::SSL),
            // A broker that goes in the middle of a login, or of a handshake, is told as an error of those.
            Refusal::Login => !["Local: ", "hung up from peer"].iter().any(|w| text.contains(w)),
            Refusal::SpeaksTls => is_tls_record(text),
            Refusal::Tls | Refusal::WantsLogin | Refusal::NoHost => false,
            Refusal::Certificate | Refusal::OtherHost | Refusal::Client | Refusal::WantsNoLogin => true,
        }
    }

    /// Whether a closed connection is all that speaks for it.
    fn is_of_closed_connection(self) -> bool {
        matches!(self, Refusal::SpeaksPlain | Refusal::SpeaksTls)
    }

    /// The error. `words` are the library's.
    pub(crate) fn error(self, words: &Words, properties: &Properties) -> Error {
        let servers = properties.servers();
        let (message, option, hint) = match self {
            Refusal::Login => (
                format!("Kafka at '{servers}' refuses the login"),
                "properties.sasl.jaas.config",
                "Check user and password in 'properties.sasl.jaas.config', and 'properties.sasl.mechanism'",
            ),
            Refusal::Certificate => (
                format!("The certificate of Kafka at '{servers}' is not trusted"),
                "properties.ssl.truststore.location",
                "Set 'properties.ssl.truststore.location' to a store (JKS, PKCS#12 or PEM) with the certificate of who has signed the \
                 broker's; without it the system's certificates count. It may also have expired",
            ),
            Refusal::OtherHost => (
                format!("The certificate of Kafka at '{servers}' is for another host"),
                "properties.bootstrap.servers",
                "Name the brokers as their certificates do, here and in the brokers' 'advertised.listeners'; \
                 'properties.ssl.endpoint.identification.algorithm' = '' leaves names unchecked",
            ),
            Refusal::Client => (
                format!("Kafka at '{servers}' does not accept the client's certificate, or wants one and gets none"),
                "properties.ssl.keystore.location",
                "Set 'properties.ssl.keystore.location' to a store with a key and a certificate that the broker trusts",
            ),
            Refusal::Tls => (
                format!("There is no TLS connection to Kafka at '{servers}'"),
                "properties.security.protocol",
                "Check 'properties.ssl.*' and the port",
            ),
            Refusal::SpeaksPlain => (
                format!("Kafka at '{servers}' does not speak TLS at this port"),
                "properties.security.protocol",
                "Set 'properties.security.protocol' to PLAINTEXT or SASL_PLAINTEXT, or name the port for TLS",
            ),
            Refusal::SpeaksTls => (
                format!("Kafka at '{servers}' speaks TLS at this port, and is spoken to without"),
                "properties.security.protocol",
                "Set 'properties.security.protocol' to SSL or SASL_SSL, or name the port without TLS",
            ),
            Refusal::WantsLogin => (
                format!("Kafka at '{servers}' closes the connection at once: it seems to want a login"),
                "properties.security.protocol",
                "Set 'properties.security.protocol' to SASL_SSL or SASL_PLAINTEXT, with 'properties.sasl.mechanism' and \
                 'properties.sasl.jaas.config', or name another port",
            ),
            Refusal::WantsNoLogin => (
                format!("Kafka at '{servers}' takes no login at this port"),
                "properties.security.protocol",
                "Set 'properties.security.protocol' to PLAINTEXT or SSL, or name the port for logins",
            ),
            Refusal::NoHost => (
                format!("There is no host '{}'", host(&words.broker)),
                "properties.bootstrap.servers",
                "Check 'properties.bootstrap.servers'; a name that is not in it is one that the brokers give as theirs \
                 ('advertised.listeners')",
            ),
        };
        Error::user(message).with("option", option).hint(hint).caused_by(words.clone()).from_outside()
    }
}

/// The last of what the library has said of a broker.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    /// As the library calls it: `sasl_ssl://host:9093/bootstrap`.
    broker: String,
    text: String,
    refusal: Option<Refusal>,
    certain: bool,
    /// Since when it has been said.
    since: Duration,
}

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Words {}

/// What was said to a client.
pub(crate) struct Heard {
    clock: Arc<dyn Clock>,
    by_broker: Mutex<BTreeMap<String, Words>>,
    /// The login may not use the consumer group. Who asks for nothing of a group need not.
    group_is_refused: AtomicBool,
}

impl Default for Heard {
    fn default() -> Heard {
        Heard { clock: SystemClock::shared(), by_broker: Mutex::default(), group_is_refused: AtomicBool::default() }
    }
}

impl Heard {
    /// Takes what the library says: in front of it is the broker.
    pub(crate) fn hear(&self, error: &KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        // That none is there says nothing of why.
        if matches!(error.rdkafka_error_code(), None | Some(Code::AllBrokersDown | Code::PartitionEOF)) {
            return;
        }
        if error.rdkafka_error_code() == Some(Code::GroupAuthorizationFailed) {
            self.group_is_refused.store(true, Ordering::Relaxed);
            return;
        }
        let (broker, text) = reason.split_once(": ").unwrap_or(("", reason));
        let refusal = Refusal::of(error, broker, text);
        self.keep(broker, text, refusal, refusal.is_some_and(|r| r.is_certain(error, text)));
    }

    /// Takes a line of the library's log. That a connection was closed by the broker is no error to it, and is only said there:
    /// `[thrd:h:1/bootstrap]: h:1/bootstrap: Disconnected: ..`.
    pub(crate) fn hear_line(&self, facility: &str, line: &str) {
        if facility != "FAIL" || !line.contains(": Disconnected") {
            return;
        }
        let line = line.split_once("]: ").map_or(line, |(_, line)| line);
        let (broker, text) = line.split_once(": ").unwrap_or(("", line));
        self.keep(broker, text, Refusal::of_closed(broker, text), false);
    }

    fn keep(&self, broker: &str, text: &str, refusal: Option<Refusal>, certain: bool) {
        let mut heard = self.by_broker.lock();
        let before = heard.get(broker);
        // That the connection is closed as well says less.
        if before.is_some_and(|w| w.certain && !certain) || before.is_none() && heard.len() >= BROKERS_MAX {
            return;
        }
        // What is said again and again is true since it was said first.
        let since = before.filter(|w| w.refusal == refusal).map_or_else(|| self.clock.monotonic(), |w| w.since);
        let words = Words { broker: broker.to_string(), text: text.to_string(), refusal, certain, since };
        heard.insert(broker.to_string(), words);
    }

    /// Whether the login may not use the client's consumer group. The library looks for the group's broker in vain for ever, and says
    /// so once.
    pub(crate) fn group_is_refused(&self) -> bool {
        self.group_is_refused.load(Ordering::Relaxed)
    }

    /// Whether connections are taken and closed, which may mean much.
    pub(crate) fn are_closed(&self) -> bool {
        self.last().is_some_and(Refusal::is_of_closed_connection)
    }

    /// The last that was said, however certain.
    fn last(&self) -> Option<Refusal> {
        self.by_broker.lock().values().find_map(|w| w.refusal)
    }

    /// A broker has answered: what was said before is done with.
    pub(crate) fn forget(&self) {
        self.by_broker.lock().clear();
    }

    /// Why the client is not let in, as far as that is known. `reached`: it was let in before.
    pub(crate) fn refusal(&self, reached: bool) -> Option<(Refusal, Words)> {
        let heard = self.by_broker.lock();
        let of = |words: &Words| words.refusal.map(|refusal| (refusal, words.clone()));
        if let Some(certain) = heard.values().find(|w| w.certain).and_then(of) {
            return Some(certain);
        }
        // An outage of one broker among several is none of all.
        let now = self.clock.monotonic();
        let is_settled = |words: &Words| {
            let patience = match words.refusal {
                Some(Refusal::NoHost) => NAME_PATIENCE,
                Some(_) => CLOSED_PATIENCE,
                None => return false,
            };
            now.saturating_sub(words.since) >= patience
        };
        if reached || !heard.values().all(is_settled) {
            return None;
        }
        heard.values().next().and_then(of)
    }
}

/// Whether what is known of a refusal is enough to tell it. Blocks, for a moment.
pub(crate) fn is_borne_out(refusal: Refusal, words: &Words) -> bool {
    match refusal {
        _ if words.certain => true,
        Refusal::SpeaksTls => probe::speaks_tls(address(&words.broker)),
        Refusal::SpeaksPlain => probe::speaks_kafka(address(&words.broker)),
        _ => true,
    }
}

/// The error of a client that is not let in.
pub(crate) fn error(refusal: Refusal, words: &Words, properties: &Properties) -> Error {
    // To the library both are a certificate that is not right.
    if refusal == Refusal::Certificate && is_trusted_without_name(properties).unwrap_or(false) {
        return Refusal::OtherHost.error(words, properties);
    }
    refusal.error(words, properties)
}

/// Whether a certificate that is refused is accepted where nobody looks for the host in it. A client without a login and without
/// a certificate of its own tries: it tells a broker nothing that is not public. Blocks, for a moment.
fn is_trusted_without_name(properties: &Properties) -> Result<bool> {
    let Some(config) = properties.nameless()? else { return Ok(false) };
    let consumer = client::made(&config, properties)?;
    let heard = || {
        client::look_up(&consumer);
        consumer.context().heard.last()
    };
    for _ in 0..4 {
        if consumer.fetch_metadata(None, NAMELESS_PATIENCE).is_ok() {
            return Ok(true);
        }
        match heard() {
            Some(Refusal::Certificate | Refusal::Tls) => return Ok(false),
            // A broker that wants more than a handshake has gone through it.
            Some(_) => return Ok(true),
            None => {}
        }
    }
    Ok(false)
}

/// Whether the library has taken the first bytes of a record of TLS (of an alert, mostly) for an answer's length, and found it too long.
fn is_tls_record(text: &str) -> bool {
    let length = text.split_once("frame size ").or_else(|| text.split_once("response size ")).map(|(_, rest)| rest);
    let digits = length.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    let bytes = digits.and_then(|d| d.parse::<u32>().ok()).map(u32::to_be_bytes);
    matches!(bytes, Some([21 | 22, 3, 0..=4, _]))
}

/// `host:9093` of `ssl://host:9093/bootstrap`.
fn address(broker: &str) -> &str {
    let address = broker.split_once("://").map_or(broker, |(_, rest)| rest);
    address.split_once('/').map_or(address, |(address, _)| address)
}

fn host(broker: &str) -> &str {
    let address = address(broker);
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct At(Mutex<Duration>);

    impl Clock for At {
        fn now_ms(&self) -> i64 {
            0
        }

        fn monotonic(&self) -> Duration {
            *self.0.lock()
        }
    }

    fn heard(words: &[(RDKafkaErrorCode, &str)], later: Duration, reached: bool) -> Option<Refusal> {
        let clock = Arc::new(At::default());
        let heard = Heard { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Heard::default() };
        for (code, reason) in words {
            match code {
                // A line of the log.
                RDKafkaErrorCode::NoError => heard.hear_line("FAIL", reason),
                code => heard.hear(&KafkaError::Global(*code), reason),
            }
        }
        *clock.0.lock() = later;
        heard.refusal(reached).map(|(refusal, _)| refusal)
    }

    #[test]
    fn what_is_certain_counts_at_once_and_the_rest_where_nothing_better_comes() {
        use RDKafkaErrorCode as Code;
        let login = (Code::Authentication, "sasl_ssl://h:1/bootstrap: SASL authentication error: no");
        let closed = "[thrd:h:1/bootstrap]: h:1/bootstrap: Disconnected: .. (after 1ms in state APIVERSION_QUERY)";
        let plain = (Code::NoError, closed);
        let line = |protocol: &str, state: &str| {
            format!("[thrd:{protocol}h:1/1]: {protocol}h:1/1: Disconnected: .. (after 1ms in state {state})")
        };
        for (protocol, state, expected) in [
            ("", "UP", Some(Refusal::WantsLogin)),
            ("ssl://", "UP", Some(Refusal::WantsLogin)),
            ("sasl_ssl://", "UP", None),
            ("sasl_plaintext://", "APIVERSION_QUERY", Some(Refusal::SpeaksTls)),
            ("ssl://", "APIVERSION_QUERY", None),
            ("ssl://", "SSL_HANDSHAKE", Some(Refusal::SpeaksPlain)),
        ] {
            let said = line(protocol, state);
            assert_eq!(heard(&[(Code::NoError, &said)], Duration::from_secs(9), false), expected, "{said}");
        }
        let piped = (Code::BrokerTransportFailure, "h:1/bootstrap: Send failed: Broken pipe (after 2ms in state UP)");
        assert_eq!(heard(&[piped], Duration::from_secs(9), false), Some(Refusal::WantsLogin));
        assert_eq!(heard(&[piped], Duration::from_secs(9), true), None);
        // An answer in TLS is evidence: 352518912 is 0x15030300.
        let alert = "h:1/bootstrap: Receive failed: Invalid response size 352518912 (0..100000000): increase ..";
        assert_eq!(heard(&[(Code::BadMessage, alert)], Duration::ZERO, false), Some(Refusal::SpeaksTls));
        let long = "h:1/bootstrap: Receive failed: Invalid frame size 1347703880";
        assert_eq!(heard(&[(Code::BadMessage, long)], Duration::from_secs(9), false), None);
        let down =
            (Code::BrokerTransportFailure, "h:2/bootstrap: Connect to ipv4#1.2.3.4:2 failed: Connection refused");
        let name = (Code::Resolve, "h:1/bootstrap: Failed to resolve 'h:1': Name or service not known");
        let (now, soon, later) = (Duration::ZERO, Duration::from_secs(2), Duration::from_secs(9));
        assert_eq!(heard(&[down, login], now, true), Some(Refusal::Login));
        let gone =
            (Code::Authentication, "h:1/1: SASL PLAIN mechanism handshake failed: Local: Broker transport failure: ..");
        assert_eq!(heard(&[gone], later, true), None);
        let cut = (Code::SSL, "h:1/1: SSL handshake failed: error:0A000126:SSL routines::unexpected eof while reading");
        assert_eq!(heard(&[cut], later, true), None);
        assert_eq!(
            heard(&[(Code::Authentication, "h:1/bootstrap: SASL: no"), plain], now, false),
            Some(Refusal::Login)
        );
        assert_eq!(heard(&[plain], now, false), None);
        // An outage of a moment, with something in front of the broker that goes on to accept.
        assert_eq!(heard(&[plain], soon, false), None);
        assert_eq!(heard(&[plain], later, false), Some(Refusal::SpeaksTls));
        // A broker that goes while it is read from closes connections as well.
        assert_eq!(heard(&[plain], later, true), None);
        assert_eq!(heard(&[plain, down], later, false), None);
        assert_eq!(heard(&[name], soon, false), None);
        assert_eq!(heard(&[name], later, false), Some(Refusal::NoHost));
        assert_eq!(heard(&[name], later, true), None);
        assert_eq!(heard(&[name, down], later, false), None);
        assert_eq!(heard(&[(Code::AllBrokersDown, "1/1 brokers are down")], later, false), None);
    }

    #[test]
    fn hosts() {
        for (broker, expected) in
            [("sasl_ssl://kafka.x:9093/bootstrap", "kafka.x"), ("h:1/1", "h"), ("ssl://[::1]:9/2", "[::1]")]
        {
            assert_eq!(host(broker), expected);
        }
        assert_eq!(address("sasl_ssl://kafka.x:9093/bootstrap"), "kafka.x:9093");
    }
}
