//! From `properties.*`, which are the Java client's, to the settings of librdkafka: by a list of what is understood. Nothing
//! on it runs a command or loads code, and files are read only where a certificate or a key is asked for.

use flott_core::options::Options;
use flott_core::{Error, Result, suggest};
use rdkafka::ClientConfig;

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
    ("ssl.truststore.certificates", Use::As("ssl.ca.pem")),
    ("ssl.keystore.type", Use::Special),
    ("ssl.keystore.location", Use::Special),
    ("ssl.keystore.password", Use::Special),
    ("ssl.keystore.key", Use::As("ssl.key.pem")),
    ("ssl.keystore.certificate.chain", Use::As("ssl.certificate.pem")),
    ("ssl.key.password", Use::Same),
    ("ssl.cipher.suites", Use::Same),
    ("ssl.enabled.protocols", Use::Nothing),
    ("ssl.protocol", Use::Nothing),
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
    ("heartbeat.interval.ms", Use::Nothing),
    ("session.timeout.ms", Use::Nothing),
    ("max.poll.interval.ms", Use::Nothing),
    ("max.poll.records", Use::Nothing),
    ("partition.assignment.strategy", Use::Nothing),
    ("exclude.internal.topics", Use::Nothing),
    ("key.deserializer", Use::Nothing),
    ("value.deserializer", Use::Nothing),
    ("partition.discovery.interval.ms", Use::Nothing),
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

/// The client's properties of a table, without `properties.`.
#[derive(Debug, Clone)]
pub(crate) struct Properties(Options);

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
                    None => error.hint("docs/reference/kafka.md lists those that are"),
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
        let properties = Properties(given);
        // What is wrong is told before the job runs.
        properties.config(Role::Consumer)?;
        Ok(properties)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)
    }

    /// For messages.
    pub(crate) fn servers(&self) -> &str {
        self.get("bootstrap.servers").unwrap_or_default()
    }

    /// The settings of a client.
    pub(crate) fn config(&self, role: Role) -> Result<ClientConfig> {
        let mut config = ClientConfig::new();
        for (key, value) in self.0.iter() {
            let Some((of, usage)) = find(key) else { continue };
            if of.is_some_and(|of| of != role) {
                continue;
            }
            match usage {
                Use::Same => drop(config.set(key, value.trim())),
                Use::As(name) => drop(config.set(name, value)),
                Use::KibiBytes(name) => {
                    let bytes: u64 = value.trim().parse().map_err(|_| wrong(key, "a number of bytes is expected"))?;
                    config.set(name, (bytes / 1024).max(1).to_string());
                }
                Use::Nothing | Use::Special => {}
            }
        }
        self.set_protocol(&mut config)?;
        self.set_stores(&mut config)?;
        self.set_login(&mut config)?;
        Ok(config)
    }

    fn set_protocol(&self, config: &mut ClientConfig) -> Result<()> {
        let protocol = self.get("security.protocol").unwrap_or("PLAINTEXT").trim().to_ascii_uppercase();
        let mechanism = self.get("sasl.mechanism").unwrap_or("GSSAPI").trim().to_ascii_uppercase();
        let needs_ssl = match protocol.as_str() {
            "PLAINTEXT" => false,
            "SSL" | "SASL_SSL" => true,
            "SASL_PLAINTEXT" => mechanism != "PLAIN",
            _ => return Err(wrong("security.protocol", "expected PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")),
        };
        if protocol.starts_with("SASL") && !["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].contains(&mechanism.as_str()) {
            return Err(Error::user(format!("The mechanism '{mechanism}' is not supported"))
                .with("option", "properties.sasl.mechanism")
                .hint("There are PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512; Java's default is GSSAPI"));
        }
        if needs_ssl && !cfg!(feature = "ssl") {
            return Err(Error::user(format!("This build of Flott has no TLS for Kafka, and {protocol} needs it"))
                .with("option", "properties.security.protocol")
                .hint("Build with `--features kafka-ssl`, which needs OpenSSL's headers (libssl-dev)"));
        }
        config.set("security.protocol", protocol);
        Ok(())
    }

    fn set_stores(&self, config: &mut ClientConfig) -> Result<()> {
        match self.get("ssl.endpoint.identification.algorithm").map(str::trim) {
            None => {}
            // Java's way to say that names are not checked.
            Some("") => drop(config.set("ssl.endpoint.identification.algorithm", "none")),
            Some(https) if https.eq_ignore_ascii_case("https") => {
                config.set("ssl.endpoint.identification.algorithm", "https");
            }
            Some(_) => return Err(wrong("ssl.endpoint.identification.algorithm", "expected 'https' or nothing")),
        }
        if let Some(location) = self.get("ssl.truststore.location") {
            match store_type(self.get("ssl.truststore.type"), location).as_str() {
                "PEM" => drop(config.set("ssl.ca.location", location)),
                other => {
                    return Err(Error::user(format!("A {other} trust store cannot be read"))
                        .with("option", "properties.ssl.truststore.location")
                        .hint("Write its certificates to a PEM file (keytool -exportcert -rfc) and set 'properties.ssl.truststore.type' = 'PEM'"));
                }
            }
        }
        if let Some(location) = self.get("ssl.keystore.location") {
            match store_type(self.get("ssl.keystore.type"), location).as_str() {
                "PEM" => {
                    config.set("ssl.certificate.location", location).set("ssl.key.location", location);
                }
                "PKCS12" => {
                    config.set("ssl.keystore.location", location);
                    if let Some(password) = self.get("ssl.keystore.password") {
                        config.set("ssl.keystore.password", password);
                    }
                }
                other => {
                    return Err(Error::user(format!("A {other} key store cannot be read"))
                        .with("option", "properties.ssl.keystore.location")
                        .hint("Convert it: keytool -importkeystore -deststoretype PKCS12"));
                }
            }
        }
        Ok(())
    }

    fn set_login(&self, config: &mut ClientConfig) -> Result<()> {
        let Some(text) = self.get("sasl.jaas.config") else { return Ok(()) };
        let login = jaas::parse(text)?;
        if !["PlainLoginModule", "ScramLoginModule"].contains(&login.module.as_str()) {
            return Err(Error::user(format!("The login module '{}' is not supported", login.module))
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

/// As given, or by the file's name; Java's default is JKS.
fn store_type(given: Option<&str>, location: &str) -> String {
    match given {
        Some(given) => given.trim().to_ascii_uppercase(),
        None if location.ends_with(".pem") || location.ends_with(".crt") => "PEM".to_string(),
        None if location.ends_with(".p12") || location.ends_with(".pfx") => "PKCS12".to_string(),
        None => "JKS".to_string(),
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
        assert!(properties(&[("ssl.truststore.location", "/x.jks")]).is_err());
        let ssl = properties(&[("security.protocol", "SSL"), ("ssl.truststore.location", "/x.pem")]);
        if cfg!(feature = "ssl") {
            let config = ssl.expect("understood").config(Role::Consumer).expect("config");
            assert_eq!(config.get("ssl.ca.location"), Some("/x.pem"));
        } else {
            assert!(ssl.expect_err("no TLS").to_string().contains("kafka-ssl"));
        }
    }
}
