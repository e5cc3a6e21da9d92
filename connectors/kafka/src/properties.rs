//! From `properties.*`, which are the Java client's, to the settings of librdkafka: by a list of what is understood. Nothing
//! on it runs a command or loads code, and the only files that are read are the stores that it names.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flott_connector::stores::{self, Names, Store};
use flott_core::options::Options;
use flott_core::{Error, Result, Secret, suggest};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::jaas;

/// What becomes of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It has the same name and values.
    Same,
    /// It has another name.
    As(&'static str),
    /// Bytes there, KiB here.
    KibiBytes(&'static str),
    /// Accepted; there is nothing that it could set here.
    Nothing,
    /// Read elsewhere in this file or by the connector.
    Special,
}

/// Bytes of a broker's answer at most, unless 'fetch.max.bytes' is more: a batch that is larger comes nevertheless.
const ANSWER_BYTES_MAX: i64 = 256 << 20;
/// The most that librdkafka can be told to fetch.
const FETCH_BYTES_MAX: i64 = 2_147_483_135;

/// Of Flink's source: whether the group hears of positions.
const COMMITS_OFFSETS: &str = "commit.offsets.on.checkpoint";

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Consumer,
    Producer,
}

const BOTH: &[(&str, Use)] = &[
    ("bootstrap.servers", Use::Same),
    ("client.id", Use::Same),
    ("client.rack", Use::Same),
    ("client.dns.lookup", Use::Same),
    ("request.timeout.ms", Use::As("socket.timeout.ms")),
    ("socket.connection.setup.timeout.ms", Use::Same),
    ("socket.connection.setup.timeout.max.ms", Use::Nothing),
    ("metadata.max.age.ms", Use::As("topic.metadata.refresh.interval.ms")),
    ("reconnect.backoff.ms", Use::Same),
    ("reconnect.backoff.max.ms", Use::Same),
    ("retry.backoff.ms", Use::Same),
    ("retry.backoff.max.ms", Use::Same),
    ("connections.max.idle.ms", Use::Same),
    ("receive.buffer.bytes", Use::As("socket.receive.buffer.bytes")),
    ("send.buffer.bytes", Use::As("socket.send.buffer.bytes")),
    ("default.api.timeout.ms", Use::Nothing),
    ("enable.metrics.push", Use::Same),
    ("security.protocol", Use::Same),
    ("sasl.mechanism", Use::Same),
    ("sasl.jaas.config", Use::Special),
    ("ssl.endpoint.identification.algorithm", Use::Special),
    ("ssl.truststore.type", Use::Special),
    ("ssl.truststore.location", Use::Special),
    ("ssl.truststore.password", Use::Special),
    ("ssl.truststore.certificates", Use::Special),
    ("ssl.keystore.type", Use::Special),
    ("ssl.keystore.location", Use::Special),
    ("ssl.keystore.password", Use::Special),
    ("ssl.keystore.key", Use::Special),
    ("ssl.keystore.certificate.chain", Use::Special),
    ("ssl.key.password", Use::Special),
    ("ssl.cipher.suites", Use::Same),
    ("ssl.enabled.protocols", Use::Nothing),
    ("ssl.protocol", Use::Nothing),
    // How Java's client does what is done here in another way, and what it tells of itself to its virtual machine.
    ("ssl.keymanager.algorithm", Use::Nothing),
    ("ssl.trustmanager.algorithm", Use::Nothing),
    ("ssl.secure.random.implementation", Use::Nothing),
    ("ssl.provider", Use::Nothing),
    ("sasl.kerberos.service.name", Use::Nothing),
    ("sasl.kerberos.ticket.renew.window.factor", Use::Nothing),
    ("sasl.kerberos.ticket.renew.jitter", Use::Nothing),
    ("sasl.kerberos.min.time.before.relogin", Use::Nothing),
    ("sasl.login.refresh.window.factor", Use::Nothing),
    ("sasl.login.refresh.window.jitter", Use::Nothing),
    ("sasl.login.refresh.min.period.seconds", Use::Nothing),
    ("sasl.login.refresh.buffer.seconds", Use::Nothing),
    ("metric.reporters", Use::Nothing),
    ("metrics.num.samples", Use::Nothing),
    ("metrics.recording.level", Use::Nothing),
    ("metrics.sample.window.ms", Use::Nothing),
    ("auto.include.jmx.reporter", Use::Nothing),
    ("metadata.recovery.strategy", Use::Nothing),
    ("metadata.recovery.rebootstrap.trigger.ms", Use::Nothing),
];

const CONSUMER: &[(&str, Use)] = &[
    ("group.id", Use::Special),
    ("auto.offset.reset", Use::Special),
    ("isolation.level", Use::Same),
    ("fetch.min.bytes", Use::Same),
    ("fetch.max.bytes", Use::Same),
    ("fetch.max.wait.ms", Use::As("fetch.wait.max.ms")),
    ("max.partition.fetch.bytes", Use::Same),
    ("check.crcs", Use::Same),
    ("allow.auto.create.topics", Use::Same),
    // Partitions are assigned by the job, which commits offsets with its checkpoints.
    ("enable.auto.commit", Use::Nothing),
    ("auto.commit.interval.ms", Use::Nothing),
    ("group.instance.id", Use::Nothing),
    ("group.protocol", Use::Nothing),
    ("group.remote.assignor", Use::Nothing),
    ("heartbeat.interval.ms", Use::Nothing),
    ("session.timeout.ms", Use::Nothing),
    ("max.poll.interval.ms", Use::Nothing),
    ("max.poll.records", Use::Nothing),
    ("partition.assignment.strategy", Use::Nothing),
    ("exclude.internal.topics", Use::Nothing),
    ("key.deserializer", Use::Nothing),
    ("value.deserializer", Use::Nothing),
    ("partition.discovery.interval.ms", Use::Nothing),
    // Of Flink's source and not of the client.
    (COMMITS_OFFSETS, Use::Special),
    ("register.consumer.metrics", Use::Nothing),
    ("client.id.prefix", Use::Nothing),
];

const PRODUCER: &[(&str, Use)] = &[
    ("acks", Use::Same),
    ("batch.size", Use::Same),
    ("buffer.memory", Use::KibiBytes("queue.buffering.max.kbytes")),
    ("compression.type", Use::Same),
    ("delivery.timeout.ms", Use::Same),
    ("enable.idempotence", Use::Same),
    ("linger.ms", Use::Same),
    ("max.in.flight.requests.per.connection", Use::Same),
    ("max.request.size", Use::As("message.max.bytes")),
    ("retries", Use::Same),
    ("transaction.timeout.ms", Use::Special),
    ("transactional.id", Use::Special),
    ("compression.gzip.level", Use::Special),
    ("compression.lz4.level", Use::Special),
    ("compression.zstd.level", Use::Special),
    ("max.block.ms", Use::Nothing),
    ("metadata.max.idle.ms", Use::Nothing),
    ("partitioner.adaptive.partitioning.enable", Use::Nothing),
    ("partitioner.availability.timeout.ms", Use::Nothing),
    ("key.serializer", Use::Nothing),
    ("value.serializer", Use::Nothing),
];

fn find(key: &str) -> Option<(Option<Role>, Use)> {
    let of = |list: &[(&str, Use)]| list.iter().find(|(k, _)| *k == key).map(|(_, u)| *u);
    of(BOTH)
        .map(|u| (None, u))
        .or_else(|| of(CONSUMER).map(|u| (Some(Role::Consumer), u)))
        .or_else(|| of(PRODUCER).map(|u| (Some(Role::Producer), u)))
}

const TRUST: Names = Names {
    location: "properties.ssl.truststore.location",
    password: "properties.ssl.truststore.password",
    key_password: "properties.ssl.truststore.password",
};
const KEY: Names = Names {
    location: "properties.ssl.keystore.location",
    password: "properties.ssl.keystore.password",
    key_password: "properties.ssl.key.password",
};
const TRUST_TEXT: &str = "properties.ssl.truststore.certificates";
const KEY_TEXT: &str = "properties.ssl.keystore.key";
const CHAIN_TEXT: &str = "properties.ssl.keystore.certificate.chain";
/// What Java's clients and those of its security providers that every JDK has can read.
const STORE_TYPES: &[&str] = &["JKS", "PKCS12", "PEM"];

/// The client's properties of a table, without `properties.`.
#[derive(Debug, Clone)]
pub(crate) struct Properties {
    given: Options,
    trust: Option<Arc<Store>>,
    key: Option<Arc<Store>>,
    /// A question to these brokers was answered: what goes wrong from there on is an outage rather than a wrong address.
    reached: Arc<AtomicBool>,
}

impl Properties {
    /// Takes those of a table. One that nobody knows is refused, with the nearest.
    pub(crate) fn of(options: &Options) -> Result<Properties> {
        let given = options.with_prefix("properties.");
        for (key, _) in given.iter() {
            if find(key).is_none() {
                let known = BOTH.iter().chain(CONSUMER).chain(PRODUCER).map(|(k, _)| *k);
                let mut error = Error::user(format!("The property '{key}' of Kafka's clients is not supported"))
                    .with("option", format!("properties.{key}"));
                error = match suggest::nearest(key, known) {
                    Some(near) => error.hint(format!("Did you mean 'properties.{near}'?")),
                    None => error.hint("flott docs kafka lists those that are"),
                };
                return Err(error);
            }
        }
        if given.get("transactional.id").is_some() {
            return Err(Error::user("Transactional ids are the job's: 'properties.transactional.id' cannot be set")
                .with("option", "properties.transactional.id")
                .hint("Set 'sink.transactional-id-prefix'"));
        }
        if given.get("bootstrap.servers").is_none_or(|s| s.trim().is_empty()) {
            return Err(Error::user("'properties.bootstrap.servers' is empty")
                .with("option", "properties.bootstrap.servers")
                .hint("Name brokers: 'host:9092'"));
        }
        let secret = |key| given.get(key).map(Secret::new);
        let key_password = secret("ssl.key.password");
        let store = |location, password, key_password, names| {
            Some(Arc::new(Store::new(given.get(location)?, secret(password), key_password, names)))
        };
        let properties = Properties {
            trust: store("ssl.truststore.location", "ssl.truststore.password", None, TRUST),
            key: store("ssl.keystore.location", "ssl.keystore.password", key_password, KEY),
            given,
            reached: Arc::default(),
        };
        // What is wrong is told before the job runs; stores are read when it does.
        properties.check_stores()?;
        properties.flag(COMMITS_OFFSETS)?;
        properties.settings(Role::Consumer)?;
        Ok(properties)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.given.get(key)
    }

    /// The longest between two tries to connect.
    pub(crate) fn reconnects_within(&self) -> Duration {
        let ms = self.get("reconnect.backoff.max.ms").and_then(|ms| ms.trim().parse().ok());
        // Where none is given: ours (`config`), and the library's.
        Duration::from_millis(ms.unwrap_or(if self.get("reconnect.backoff.ms").is_none() { 1_000 } else { 10_000 }))
    }

    /// Whether the group hears of positions.
    pub(crate) fn commits_offsets(&self) -> bool {
        !matches!(self.flag(COMMITS_OFFSETS), Ok(Some(false)))
    }

    /// A property that is true or false, as Java writes them.
    fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key).map(|flag| flag.trim().to_ascii_lowercase()).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(wrong(key, "expected 'true' or 'false'")),
        }
    }

    /// For messages.
    pub(crate) fn servers(&self) -> &str {
        self.get("bootstrap.servers").unwrap_or_default()
    }

    /// Whether a question was answered before, by whichever client of the table.
    pub(crate) fn was_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    pub(crate) fn reached(&self) {
        self.reached.store(true, Ordering::Relaxed);
    }

    /// The settings of a client. Reads the stores; blocks.
    pub(crate) fn config(&self, role: Role) -> Result<ClientConfig> {
        let mut config = self.settings(role)?;
        if self.speaks_tls() {
            self.set_stores(&mut config)?;
        }
        Ok(config)
    }

    /// The settings of a client that says nothing of itself and does not look for the host in a certificate; `None` where nobody
    /// does. Reads the stores; blocks.
    pub(crate) fn nameless(&self) -> Result<Option<ClientConfig>> {
        let full = self.config(Role::Consumer)?;
        if !self.speaks_tls() || full.get("ssl.endpoint.identification.algorithm") == Some("none") {
            return Ok(None);
        }
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Info);
        config.set("security.protocol", "SSL").set("ssl.endpoint.identification.algorithm", "none");
        for key in ["bootstrap.servers", "ssl.ca.pem", "ssl.ca.location", "ssl.cipher.suites"] {
            if let Some(value) = full.get(key) {
                config.set(key, value);
            }
        }
        Ok(Some(config))
    }

    /// Whether connections are encrypted.
    fn speaks_tls(&self) -> bool {
        self.protocol().ends_with("SSL")
    }

    fn protocol(&self) -> String {
        self.get("security.protocol").unwrap_or("PLAINTEXT").trim().to_ascii_uppercase()
    }

    /// What can be said without a look into files.
    fn settings(&self, role: Role) -> Result<ClientConfig> {
        let mut config = ClientConfig::new();
        // That a broker closes connections is in lines of this level.
        config.set_log_level(RDKafkaLogLevel::Info);
        if self.get("reconnect.backoff.ms").is_none() {
            // Java's; librdkafka's ten seconds would be added to every outage.
            config.set("reconnect.backoff.max.ms", "1000");
        }
        for (key, value) in self.given.iter() {
            let Some((of, usage)) = find(key) else { continue };
            if of.is_some_and(|of| of != role) {
                continue;
            }
            match usage {
                Use::Same => drop(config.set(key, within(key, value.trim()))),
                Use::As(name) => drop(config.set(name, within(key, value.trim()))),
                Use::KibiBytes(name) => {
                    let bytes: u64 = value.trim().parse().map_err(|_| wrong(key, "a number of bytes is expected"))?;
                    config.set(name, (bytes / 1024).max(1).to_string());
                }
                Use::Nothing | Use::Special => {}
            }
        }
        match role {
            Role::Consumer => self.set_sizes(&mut config)?,
            Role::Producer => self.set_compression(&mut config),
        }
        self.set_protocol(&mut config)?;
        self.set_name_check(&mut config)?;
        self.set_login(&mut config)?;
        Ok(config)
    }

    /// Of what a consumer takes. The library would not fetch less than a producer may send, and would close the connection, again
    /// and again, where a batch is larger than its own idea of an answer.
    fn set_sizes(&self, config: &mut ClientConfig) -> Result<()> {
        let mut fetch = 0;
        if let Some(given) = self.get("fetch.max.bytes") {
            fetch = given.trim().parse().map_err(|_| wrong("fetch.max.bytes", "a number of bytes is expected"))?;
            config.set("message.max.bytes", fetch.clamp(1_000, 1_000_000).to_string());
            config.set("fetch.max.bytes", fetch.clamp(1_000, FETCH_BYTES_MAX).to_string());
        }
        let answer = fetch.min(FETCH_BYTES_MAX).saturating_add(512).max(ANSWER_BYTES_MAX);
        config.set("receive.message.max.bytes", answer.to_string());
        if self.get("check.crcs").is_none() {
            // Java's default.
            config.set("check.crcs", "true");
        }
        Ok(())
    }

    /// The level of the codec that is used; Java has one for each.
    fn set_compression(&self, config: &mut ClientConfig) {
        let codec = self.get("compression.type").unwrap_or("none").trim();
        let key = format!("compression.{codec}.level");
        if let Some(level) = self.get(&key) {
            config.set("compression.level", within(&key, level.trim()));
        }
    }

    fn set_protocol(&self, config: &mut ClientConfig) -> Result<()> {
        let protocol = self.protocol();
        let mechanism = self.get("sasl.mechanism").unwrap_or("GSSAPI").trim().to_ascii_uppercase();
        let needs_ssl = match protocol.as_str() {
            "PLAINTEXT" => false,
            "SSL" | "SASL_SSL" => true,
            "SASL_PLAINTEXT" => mechanism != "PLAIN",
            _ => return Err(wrong("security.protocol", "expected PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")),
        };
        if protocol.starts_with("SASL") {
            check_mechanism(&mechanism)?;
        }
        if needs_ssl && !cfg!(feature = "ssl") {
            return Err(Error::user(format!("This build of Flott has no TLS for Kafka, and {protocol} needs it"))
                .with("option", "properties.security.protocol")
                .hint("Build with the feature `kafka-ssl`, which is on by default"));
        }
        config.set("security.protocol", protocol);
        Ok(())
    }

    fn set_name_check(&self, config: &mut ClientConfig) -> Result<()> {
        match self.get("ssl.endpoint.identification.algorithm").map(str::trim) {
            None => {}
            // Java's way to say that names are not checked.
            Some("") => drop(config.set("ssl.endpoint.identification.algorithm", "none")),
            Some(https) if https.eq_ignore_ascii_case("https") => {
                config.set("ssl.endpoint.identification.algorithm", "https");
            }
            Some(_) => return Err(wrong("ssl.endpoint.identification.algorithm", "expected 'https' or nothing")),
        }
        Ok(())
    }

    /// Types that are not read, and what contradicts itself. Which of the known types a store has is seen in it.
    fn check_stores(&self) -> Result<()> {
        for key in ["ssl.truststore.type", "ssl.keystore.type"] {
            let Some(kind) = self.get(key).map(str::trim) else { continue };
            if !STORE_TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
                return Err(Error::user(format!("Stores of the type '{kind}' are not read"))
                    .with("option", format!("properties.{key}"))
                    .hint("There are JKS, PKCS12 and PEM; keytool -importkeystore converts others"));
            }
        }
        for (one, other) in [
            ("ssl.truststore.location", "ssl.truststore.certificates"),
            ("ssl.keystore.location", "ssl.keystore.key"),
            ("ssl.keystore.location", "ssl.keystore.certificate.chain"),
        ] {
            if self.get(one).is_some() && self.get(other).is_some() {
                return Err(wrong(other, &format!("'{one}' is set, too")));
            }
        }
        match (self.get("ssl.keystore.key"), self.get("ssl.keystore.certificate.chain")) {
            (Some(_), None) => Err(wrong("ssl.keystore.key", "'ssl.keystore.certificate.chain' is missing")),
            (None, Some(_)) => Err(wrong("ssl.keystore.certificate.chain", "'ssl.keystore.key' is missing")),
            _ => Ok(()),
        }
    }

    fn set_stores(&self, config: &mut ClientConfig) -> Result<()> {
        let trusted = match (&self.trust, self.get("ssl.truststore.certificates")) {
            (Some(store), _) => Some(store.trusted()?),
            (None, Some(text)) => Some(stores::trusted_pem(text, TRUST_TEXT)?),
            (None, None) => None,
        };
        match trusted {
            Some(pem) => config.set("ssl.ca.pem", pem),
            // The system's. Where they lie OpenSSL does not know: it was built elsewhere.
            None => config.set("ssl.ca.location", "probe"),
        };
        let key = self.get("ssl.keystore.key").zip(self.get("ssl.keystore.certificate.chain"));
        let identity = match (&self.key, key) {
            (Some(store), _) => store.identity()?,
            (None, Some((key, chain))) => {
                // Apart, so that a message names the right one.
                let chain = stores::trusted_pem(chain, CHAIN_TEXT)?;
                let password = self.get("ssl.key.password").map(Secret::new);
                stores::identity_pem(key, &chain, password.as_ref(), KEY_TEXT)?
            }
            (None, None) => return Ok(()),
        };
        config.set("ssl.certificate.pem", identity.certificates).set("ssl.key.pem", identity.key.reveal());
        if let Some(password) = identity.key_password {
            config.set("ssl.key.password", password.reveal());
        }
        Ok(())
    }

    fn set_login(&self, config: &mut ClientConfig) -> Result<()> {
        let Some(text) = self.get("sasl.jaas.config") else { return Ok(()) };
        let login = jaas::parse(text)?;
        if !["PlainLoginModule", "ScramLoginModule"].contains(&login.module.as_str()) {
            // What stands there may be a password in the wrong place.
            return Err(Error::user("The login module is not supported")
                .with("option", "properties.sasl.jaas.config")
                .hint("There are PlainLoginModule and ScramLoginModule"));
        }
        if let Some(name) = &login.username {
            config.set("sasl.username", name);
        }
        if let Some(password) = &login.password {
            config.set("sasl.password", password.reveal());
        }
        Ok(())
    }
}

/// Logins that nobody can make here are refused, with the reason.
fn check_mechanism(mechanism: &str) -> Result<()> {
    let why = match mechanism {
        "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" => return Ok(()),
        "GSSAPI" => "Kerberos needs a library of the system that no build of Flott has",
        "OAUTHBEARER" => {
            "tokens are fetched by code of the user's own, or from a server that only Java's client knows how to ask"
        }
        _ => "it is not known",
    };
    Err(Error::user(format!("The mechanism '{mechanism}' is not supported: {why}"))
        .with("option", "properties.sasl.mechanism")
        .hint("There are PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512; where 'properties.sasl.mechanism' is not set it is GSSAPI, as in Java"))
}

/// Numbers that Java's client takes and librdkafka does not: the least and the most that it takes. What lies outside is as good as
/// the nearest that lies inside.
const RANGES: &[(&str, i64, i64)] = &[
    ("request.timeout.ms", 10, 300_000),
    ("socket.connection.setup.timeout.ms", 1_000, 2_147_483_647),
    ("metadata.max.age.ms", 1, 3_600_000),
    ("reconnect.backoff.ms", 0, 3_600_000),
    ("reconnect.backoff.max.ms", 0, 3_600_000),
    ("retry.backoff.ms", 1, 300_000),
    ("retry.backoff.max.ms", 1, 300_000),
    // Java's -1 is "never", and "as the system has it"; both are 0 here.
    ("connections.max.idle.ms", 0, 2_147_483_647),
    ("receive.buffer.bytes", 0, 100_000_000),
    ("send.buffer.bytes", 0, 100_000_000),
    ("fetch.min.bytes", 1, 100_000_000),
    ("fetch.max.wait.ms", 0, 300_000),
    ("max.partition.fetch.bytes", 1, 1_000_000_000),
    ("batch.size", 1, 2_147_483_647),
    ("linger.ms", 0, 900_000),
    ("max.request.size", 1_000, 1_000_000_000),
    // -1 is the codec's own.
    ("compression.gzip.level", -1, 9),
    ("compression.lz4.level", -1, 12),
    ("compression.zstd.level", -1, 12),
];

/// A value as librdkafka takes it. One that is no number it refuses itself.
fn within<'a>(key: &str, value: &'a str) -> Cow<'a, str> {
    match (RANGES.iter().find(|(k, ..)| *k == key), value.parse::<i64>()) {
        (Some((_, least, most)), Ok(number)) if !(*least..=*most).contains(&number) => {
            Cow::Owned(number.clamp(*least, *most).to_string())
        }
        _ => Cow::Borrowed(value),
    }
}

fn wrong(key: &str, why: &str) -> Error {
    Error::user(format!("The property '{key}' has a wrong value: {why}")).with("option", format!("properties.{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(given: &[(&str, &str)]) -> Result<Properties> {
        let given = given.iter().map(|(k, v)| (format!("properties.{k}"), v.to_string()));
        Properties::of(&given.chain([("properties.bootstrap.servers".to_string(), "h:9092".to_string())]).collect())
    }

    #[test]
    fn names_of_java_become_names_of_librdkafka() {
        let p = properties(&[("fetch.max.wait.ms", "7"), ("buffer.memory", "33554432"), ("max.poll.records", "5")]);
        let p = p.expect("known");
        assert_eq!(p.config(Role::Consumer).expect("config").get("fetch.wait.max.ms"), Some("7"));
        let producer = p.config(Role::Producer).expect("config");
        assert_eq!(producer.get("queue.buffering.max.kbytes"), Some("32768"));
        assert_eq!(producer.get("fetch.wait.max.ms"), None);
    }

    #[test]
    fn checksums_are_looked_at() {
        let of = |given: &[(&str, &str)]| {
            let config = properties(given).expect("understood").config(Role::Consumer).expect("settings");
            config.get("check.crcs").map(str::to_string)
        };
        assert_eq!(of(&[]).as_deref(), Some("true"));
        assert_eq!(of(&[("check.crcs", "false")]).as_deref(), Some("false"));
    }

    /// Each client is made with values that Java's takes.
    #[test]
    fn values_of_java_are_taken() {
        let given = [
            ("request.timeout.ms", "600000", "socket.timeout.ms", "300000"),
            ("metadata.max.age.ms", "86400000", "topic.metadata.refresh.interval.ms", "3600000"),
            ("retry.backoff.ms", "0", "retry.backoff.ms", "1"),
            ("connections.max.idle.ms", "-1", "connections.max.idle.ms", "0"),
            ("receive.buffer.bytes", "-1", "socket.receive.buffer.bytes", "0"),
            ("send.buffer.bytes", "-1", "socket.send.buffer.bytes", "0"),
            ("fetch.min.bytes", "0", "fetch.min.bytes", "1"),
            ("fetch.max.wait.ms", "900000", "fetch.wait.max.ms", "300000"),
            ("fetch.max.bytes", "65536", "fetch.max.bytes", "65536"),
            ("max.partition.fetch.bytes", "2000000000", "max.partition.fetch.bytes", "1000000000"),
            ("batch.size", "0", "batch.size", "1"),
            ("linger.ms", "5", "linger.ms", "5"),
            ("max.request.size", "2000000000", "message.max.bytes", "1000000000"),
            ("metric.reporters", "org.apache.kafka.common.metrics.JmxReporter", "metric.reporters", ""),
            ("compression.type", "zstd", "compression.type", "zstd"),
            ("compression.zstd.level", "7", "compression.level", "7"),
            ("compression.gzip.level", "1", "compression.gzip.level", ""),
        ];
        let pairs: Vec<(&str, &str)> = given.iter().map(|(k, v, ..)| (*k, *v)).collect();
        let p = properties(&pairs).expect("understood");
        let (consumer, producer) = (p.config(Role::Consumer), p.config(Role::Producer));
        let (consumer, producer) = (consumer.expect("settings"), producer.expect("settings"));
        for (key, _, name, value) in given {
            let found = producer.get(name).filter(|_| name != "message.max.bytes" || key == "max.request.size");
            let found = found.or(consumer.get(name)).unwrap_or_default();
            assert_eq!(found, value, "{key}");
        }
        let made: std::result::Result<rdkafka::consumer::BaseConsumer, _> =
            consumer.clone().set("group.id", "g").create();
        made.map(drop).expect("a consumer");
        let made: std::result::Result<rdkafka::producer::BaseProducer, _> = producer.create();
        made.map(drop).expect("a producer");
    }

    #[test]
    fn levels_of_java_are_taken() {
        for (codec, level, expected) in [
            ("zstd", "19", "12"),
            ("zstd", "22", "12"),
            ("zstd", "3", "3"),
            ("zstd", "-7", "-1"),
            ("lz4", "17", "12"),
            ("gzip", "12", "9"),
            ("gzip", "-1", "-1"),
        ] {
            let key = format!("compression.{codec}.level");
            let p = properties(&[("compression.type", codec), (key.as_str(), level)]).expect("understood");
            let config = p.config(Role::Producer).expect("settings");
            assert_eq!(config.get("compression.level"), Some(expected), "{codec} {level}");
            let made: std::result::Result<rdkafka::producer::BaseProducer, _> = config.create();
            made.map(drop).expect(codec);
        }
    }

    #[test]
    fn a_flag_is_true_or_false() {
        let of = |flag| properties(&[("commit.offsets.on.checkpoint", flag)]);
        for (flag, expected) in [("true", true), (" TRUE ", true), ("False", false)] {
            assert_eq!(of(flag).expect("a flag").commits_offsets(), expected, "{flag}");
        }
        assert!(properties(&[]).expect("none").commits_offsets());
        for flag in ["no", "0", ""] {
            let error = of(flag).expect_err(flag);
            assert_eq!(error.context("option"), Some("properties.commit.offsets.on.checkpoint"), "{error}");
        }
    }

    #[test]
    fn what_runs_a_command_or_loads_code_is_refused() {
        for key in [
            "sasl.kerberos.kinit.cmd",
            "plugin.library.paths",
            "sasl.oauthbearer.token.endpoint.url",
            "ssl.engine.location",
            "sasl.login.callback.handler.class",
            "interceptor.classes",
            "debug",
        ] {
            assert!(properties(&[(key, "x")]).is_err(), "{key}");
        }
        let near = properties(&[("fetch.min.byte", "1")]).expect_err("unknown").to_string();
        assert!(near.contains("properties.fetch.min.bytes"), "{near}");
        assert!(properties(&[("transactional.id", "x")]).is_err());
    }

    #[test]
    fn logins_and_stores() {
        let plain = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.jaas.config", "a.PlainLoginModule required username=\"u\" password=\"p\";"),
        ];
        let config = properties(&plain).expect("understood").config(Role::Producer).expect("config");
        assert_eq!((config.get("sasl.username"), config.get("sasl.password")), (Some("u"), Some("p")));
        assert!(properties(&[("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "GSSAPI")]).is_err());
        for mechanism in ["GSSAPI", "OAUTHBEARER"] {
            let error = properties(&[("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", mechanism)]);
            assert!(error.expect_err(mechanism).to_string().contains(mechanism));
        }
        // Which store it is is seen when it is read, and so is that there is none.
        let ssl = properties(&[("security.protocol", "SSL"), ("ssl.truststore.location", "/nowhere/x.jks")]);
        if cfg!(feature = "ssl") {
            let error = ssl.expect("understood").config(Role::Consumer).map(drop).expect_err("no file");
            assert_eq!(error.context("option"), Some("properties.ssl.truststore.location"), "{error}");
        } else {
            assert!(ssl.expect_err("no TLS").to_string().contains("kafka-ssl"));
        }
        for (given, word) in [
            (&[("ssl.truststore.type", "BKS")][..], "BKS"),
            (&[("ssl.keystore.key", "x")], "certificate.chain"),
            (&[("ssl.truststore.location", "/x"), ("ssl.truststore.certificates", "x")], "is set, too"),
        ] {
            let error = properties(given).expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[cfg(feature = "ssl")]
    #[test]
    fn texts_of_certificates_and_keys() {
        let block = |label: &str, body: &str| format!("-----BEGIN {label}----- {body} -----END {label}-----");
        let certificate = block("CERTIFICATE", "AAAA AAAA");
        let key = block("ENCRYPTED PRIVATE KEY", "AAAA");
        let given = [
            ("security.protocol", "SSL"),
            ("ssl.truststore.certificates", certificate.as_str()),
            ("ssl.keystore.certificate.chain", &certificate),
            ("ssl.keystore.key", &key),
            ("ssl.key.password", "p"),
        ];
        let config = properties(&given).expect("understood").config(Role::Consumer).expect("config");
        assert_eq!(
            config.get("ssl.ca.pem"),
            Some("-----BEGIN CERTIFICATE-----\nAAAAAAAA\n-----END CERTIFICATE-----\n")
        );
        assert_eq!(config.get("ssl.ca.pem"), config.get("ssl.certificate.pem"));
        assert_eq!(config.get("ssl.key.password"), Some("p"));
        let error =
            properties(&given[..4]).expect("understood").config(Role::Consumer).map(drop).expect_err("encrypted");
        assert_eq!(error.context("option"), Some(KEY_TEXT), "{error}");
        // Without a store the system's certificates count.
        let config = properties(&given[..1]).expect("understood").config(Role::Consumer).expect("config");
        assert_eq!(config.get("ssl.ca.location"), Some("probe"));
    }
}
