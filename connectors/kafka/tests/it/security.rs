//! Logins and TLS against a real broker's listeners that ask for them: with what stores and logins of existing tables it works, and
//! what is told, and how soon, where it does not.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use flott_core::{Error, ErrorKind, Result, Watermark};
use flott_testkit::kafka::{Kafka, Secured};
use flott_testkit::{SourceHarness, TableBuilder, batch};

use crate::support::{committer_context, registry, sorted, table, unique, writer_context};

const OPTIONS: [(&str, &str); 4] = [
    ("format", "json"),
    ("sink.delivery-guarantee", "at-least-once"),
    ("scan.startup.mode", "earliest-offset"),
    ("scan.bounded.mode", "latest-offset"),
];
/// Within which somebody who is not let in is told so: two seconds, and as much again for a machine that is busy.
const SOON: Duration = Duration::from_secs(4);
/// The same where a broker only closes connections.
const OF_CLOSED: Duration = Duration::from_secs(40);

fn secured(kafka: &Kafka, topic: &str, properties: &[(&str, &str)]) -> TableBuilder {
    let table = table("kafka", "i INT", kafka, topic, &OPTIONS);
    properties.iter().fold(table, |table, (key, value)| table.option(&format!("properties.{key}"), value))
}

/// A login as Java clients write it.
fn login(module: &str, user: &str, password: &str) -> String {
    format!("org.apache.kafka.common.security.{module} required username=\"{user}\" password=\"{password}\";")
}

async fn write(table: &TableBuilder) -> Result<()> {
    let connector = registry().connector("kafka").expect("it");
    let mut writer = connector.sink(&table.sink())?.sink.create_writer(writer_context("l", 1), vec![])?;
    writer.write(batch("i INT", &["+I[1]", "+I[2]"])).await?;
    writer.write_watermark(Watermark(1)).await?;
    writer.flush(true).await?;
    writer.close().await
}

async fn read(table: &TableBuilder) -> Result<Vec<String>> {
    let source = registry().connector("kafka").expect("it").source(&table.source())?.source;
    let mut harness = SourceHarness::start(&source, 1, None).await?;
    Ok(sorted(&harness.run_to_end().await?))
}

/// Rows come through.
async fn passes(what: &str, table: &TableBuilder) {
    let both = async {
        write(table).await?;
        read(table).await
    };
    let rows = tokio::time::timeout(Duration::from_secs(60), both).await.expect("in time");
    let mut rows = rows.unwrap_or_else(|e| panic!("{what}: {e:?}"));
    // Others have written to the topic before.
    rows.dedup();
    assert_eq!(rows, ["+I[1]", "+I[2]"], "{what}");
}

#[expect(clippy::disallowed_methods, reason = "the test measures")]
fn now() -> Instant {
    Instant::now()
}

/// Who reads and who writes is told why not, and soon.
async fn is_refused(table: &TableBuilder, message: &str, option: &str) {
    is_refused_within(SOON, table, message, option).await;
}

async fn is_refused_within(time: Duration, table: &TableBuilder, message: &str, option: &str) {
    let started = now();
    let error = read(table).await.expect_err(message);
    check(&error, message, option, started, time);
    let started = now();
    let error = write(table).await.expect_err(message);
    check(&error, message, option, started, time);
}

fn check(error: &Error, message: &str, option: &str, started: Instant, time: Duration) {
    let took = started.elapsed();
    assert_eq!(error.kind(), ErrorKind::User, "{error:?}");
    assert!(error.message().contains(message), "{message}: {error:?}");
    assert_eq!(error.context("option").unwrap_or_default(), option, "{error:?}");
    assert!(error.hint_text().is_some(), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("CANARY"), "a secret: {error:?}");
    assert!(took < time, "{message}: told after {took:?}");
}

/// A folder with stores.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let folder = std::env::temp_dir().join(unique("flott-stores"));
        std::fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn keytool(&self, arguments: &[&str]) {
        let done = Command::new("keytool").args(arguments).current_dir(&self.0).output().expect("keytool");
        assert!(
            done.status.success(),
            "{}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// A store that trusts a certificate.
    fn trust(&self, name: &str, kind: &str, certificate: &str, password: &str) -> String {
        let store = ["-keystore", name, "-storetype", kind, "-storepass", password];
        let import = ["-importcert", "-noprompt", "-alias", "broker", "-file", certificate];
        self.keytool(&[import.as_slice(), &store].concat());
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_plain() {
    let Some(kafka) = Kafka::running() else { return };
    let (topic, secured_by) = (kafka.topic(1).expect("a topic"), Secured::running());
    let by = |password: &str| {
        let login = login("plain.PlainLoginModule", &secured_by.user, password);
        let properties = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.jaas.config", login.as_str()),
        ];
        secured(&secured_by.by_plain, &topic, &properties)
    };
    passes("PLAIN", &by(&secured_by.password)).await;
    is_refused(&by("CANARY"), "refuses the login", "properties.sasl.jaas.config").await;
    // Nobody who logs in.
    let nobody = secured(&secured_by.by_plain, &topic, &[]);
    is_refused_within(OF_CLOSED, &nobody, "seems to want a login", "properties.security.protocol").await;
    // A login to who takes none.
    let login = login("plain.PlainLoginModule", &secured_by.user, "CANARY");
    let properties =
        [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", login.as_str())];
    let nothing = secured(&kafka, &topic, &properties);
    is_refused(&nothing, "takes no login", "properties.security.protocol").await;
}

#[cfg(feature = "ssl")]
#[tokio::test(flavor = "multi_thread")]
async fn tls_and_a_login_by_scram() {
    let Some(kafka) = Kafka::running() else { return };
    let (topic, secured_by, folder) = (kafka.topic(1).expect("a topic"), Secured::running(), Folder::new());
    let right = login("scram.ScramLoginModule", &secured_by.user, &secured_by.password);
    let by = |mechanism: &str, login: &str, more: &[(&str, &str)]| {
        let properties =
            [("security.protocol", "SASL_SSL"), ("sasl.mechanism", mechanism), ("sasl.jaas.config", login)];
        secured(&secured_by.by_tls, &topic, &[properties.as_slice(), more].concat())
    };
    let pem = std::fs::read_to_string(&secured_by.certificate).expect("a certificate");
    let jks = folder.trust("trust.jks", "JKS", &secured_by.certificate, "jks password");
    // Its name says nothing.
    let pkcs12 = folder.trust("trust", "PKCS12", &secured_by.certificate, "p12 password");
    let in_pem = [("ssl.truststore.type", "PEM"), ("ssl.truststore.location", secured_by.certificate.as_str())];
    let in_jks = [("ssl.truststore.location", jks.as_str()), ("ssl.truststore.password", "jks password")];
    let in_pkcs12 = [("ssl.truststore.location", pkcs12.as_str()), ("ssl.truststore.password", "p12 password")];
    let in_text = [("ssl.truststore.type", "PEM"), ("ssl.truststore.certificates", pem.as_str())];
    for (mechanism, what, trust) in [
        ("SCRAM-SHA-512", "PEM", in_pem.as_slice()),
        ("SCRAM-SHA-512", "JKS", &in_jks),
        ("SCRAM-SHA-256", "PKCS#12", &in_pkcs12),
        ("SCRAM-SHA-256", "text", &in_text),
    ] {
        passes(what, &by(mechanism, &right, trust)).await;
    }
    let wrong = login("scram.ScramLoginModule", &secured_by.user, "CANARY");
    is_refused(&by("SCRAM-SHA-512", &wrong, &in_jks), "refuses the login", "properties.sasl.jaas.config").await;
    let plain = login("plain.PlainLoginModule", &secured_by.user, "CANARY");
    is_refused(&by("PLAIN", &plain, &in_jks), "refuses the login", "properties.sasl.jaas.config").await;
    // Certificates that nobody has vouched for: the system does not, and another store does not.
    let trust = "properties.ssl.truststore.location";
    is_refused(&by("SCRAM-SHA-512", &right, &[]), "is not trusted", trust).await;
    let other = [("ssl.truststore.location", secured_by.elsewhere_certificate.as_str())];
    is_refused(&by("SCRAM-SHA-512", &right, &other), "is not trusted", trust).await;
    let locked = [("ssl.truststore.location", jks.as_str()), ("ssl.truststore.password", "CANARY")];
    is_refused(&by("SCRAM-SHA-512", &right, &locked), "is wrong", "properties.ssl.truststore.password").await;
    let absent = [("ssl.truststore.location", "/nowhere/trust.jks")];
    is_refused(&by("SCRAM-SHA-512", &right, &absent), "cannot be read", trust).await;
}

#[cfg(feature = "ssl")]
#[tokio::test(flavor = "multi_thread")]
async fn clients_with_certificates() {
    let Some(kafka) = Kafka::running() else { return };
    let (topic, secured_by, folder) = (kafka.topic(1).expect("a topic"), Secured::running(), Folder::new());
    let password = secured_by.password.as_str();
    let with = |more: &[(&str, &str)]| {
        let trust = [("security.protocol", "SSL"), ("ssl.truststore.location", secured_by.certificate.as_str())];
        secured(&secured_by.mutual, &topic, &[trust.as_slice(), more].concat())
    };
    let pkcs12 = [("ssl.keystore.location", secured_by.client.as_str()), ("ssl.keystore.password", password)];
    passes("PKCS#12", &with(&pkcs12)).await;
    let from =
        ["-importkeystore", "-srckeystore", &secured_by.client, "-srcstorepass", password, "-srcalias", "client"];
    let to = ["-destkeystore", "client.jks", "-deststoretype", "JKS", "-deststorepass", "jks password"];
    folder.keytool(&[from.as_slice(), &to, &["-destkeypass", "key password"]].concat());
    let jks = folder.path("client.jks");
    let jks = [
        ("ssl.keystore.location", jks.as_str()),
        ("ssl.keystore.password", "jks password"),
        ("ssl.key.password", "key password"),
    ];
    passes("JKS", &with(&jks)).await;
    let option = "properties.ssl.key.password";
    is_refused(&with(&jks[..2]), "encrypted with another password", option).await;
    if let Some((key, chain)) = pem_of(&secured_by.client, password, &folder.0) {
        let text = [
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.key", key.as_str()),
            ("ssl.keystore.certificate.chain", chain.as_str()),
            ("ssl.key.password", "pem password"),
        ];
        passes("text", &with(&text)).await;
        let file = folder.path("client.pem");
        std::fs::write(&file, format!("{key}{chain}")).expect("written");
        let pem = [("ssl.keystore.location", file.as_str()), ("ssl.key.password", "pem password")];
        passes("PEM", &with(&pem)).await;
        let locked = [("ssl.keystore.location", file.as_str()), ("ssl.key.password", "CANARY")];
        let error = read(&with(&locked)).await.expect_err("a wrong password");
        assert!(error.kind() == ErrorKind::User && !format!("{error:?}").contains("CANARY"), "{error:?}");
    }
    // Without a certificate, and with one that the broker does not know.
    let option = "properties.ssl.keystore.location";
    is_refused(&with(&[]), "wants one and gets none", option).await;
    folder.keytool(&[
        "-genkeypair",
        "-alias",
        "x",
        "-keyalg",
        "EC",
        "-dname",
        "CN=x",
        "-keystore",
        "x.jks",
        "-storetype",
        "JKS",
        "-storepass",
        password,
        "-keypass",
        password,
    ]);
    let stranger = folder.path("x.jks");
    let stranger = [("ssl.keystore.location", stranger.as_str()), ("ssl.keystore.password", password)];
    is_refused(&with(&stranger), "does not accept the client's certificate", option).await;
}

/// Key and certificates of a store as PEM, the key encrypted; `None` without openssl.
#[cfg(feature = "ssl")]
fn pem_of(store: &str, password: &str, folder: &Path) -> Option<(String, String)> {
    let pass = format!("pass:{password}");
    let run = |part: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["pkcs12", "-in", store, "-passin", &pass]).args(part).current_dir(folder);
        let Ok(done) = command.output() else {
            flott_testkit::skipped("keys as PEM: there is no openssl on this machine");
            return None;
        };
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Some(String::from_utf8_lossy(&done.stdout).into_owned())
    };
    Some((run(&["-nocerts", "-passout", "pass:pem password"])?, run(&["-nokeys"])?))
}

#[cfg(feature = "ssl")]
#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_somebody_else_or_speak_otherwise() {
    let Some(kafka) = Kafka::running() else { return };
    let (topic, secured_by) = (kafka.topic(1).expect("a topic"), Secured::running());
    let trust = [("security.protocol", "SSL"), ("ssl.truststore.location", secured_by.elsewhere_certificate.as_str())];
    let elsewhere = secured(&secured_by.elsewhere, &topic, &trust);
    is_refused(&elsewhere, "is for another host", "properties.bootstrap.servers").await;
    passes("nobody looks", &elsewhere.option("properties.ssl.endpoint.identification.algorithm", "")).await;
    // A login is not told to somebody else.
    let login = login("scram.ScramLoginModule", &secured_by.user, &secured_by.password);
    let with_login =
        [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.jaas.config", login.as_str())];
    let elsewhere = secured(&secured_by.elsewhere, &topic, &[with_login.as_slice(), &trust[1..]].concat());
    is_refused(&elsewhere, "is for another host", "properties.bootstrap.servers").await;

    let option = "properties.security.protocol";
    // Known by closed connections only, as an outage is at first.
    for (servers, properties, message) in [
        (kafka.clone(), trust.as_slice(), "does not speak TLS"),
        (secured_by.elsewhere.clone(), &[], "speaks TLS at this port"),
        (secured_by.by_tls.clone(), &[], "speaks TLS at this port"),
    ] {
        is_refused_within(OF_CLOSED, &secured(&servers, &topic, properties), message, option).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_login_may_not_do_is_named() {
    let Some(kafka) = Kafka::running() else { return };
    let (topic, secured_by) = (kafka.topic(1).expect("a topic"), Secured::running());
    let login = login("plain.PlainLoginModule", &secured_by.stranger, &secured_by.password);
    let login =
        [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", login.as_str())];
    let stranger = secured(&secured_by.by_plain, &topic, &login);
    for error in [read(&stranger).await.map(drop), write(&stranger).await] {
        let error = error.expect_err("may not");
        assert_eq!(error.kind(), ErrorKind::User, "{error:?}");
        assert_eq!(error.context("topic"), Some(topic.as_str()), "{error:?}");
        assert!(error.to_string().contains("may not use the topic"), "{error:?}");
    }
    let markers = unique("markers");
    kafka.create(&markers, 1, &[("cleanup.policy", "compact")]).expect("a topic");
    secured_by.allow(&kafka, &["--topic", &topic, "--topic", &markers]);
    passes("a topic that it may use", &stranger).await;

    let group = unique("group");
    let of_group = stranger.option("properties.group.id", &group).option("scan.startup.mode", "group-offsets");
    let started = now();
    let error = read(&of_group).await.expect_err("may not");
    assert!(error.kind() == ErrorKind::User && error.to_string().contains("consumer group"), "{error:?}");
    assert!(started.elapsed() < SOON, "told after {:?}", started.elapsed());

    let exactly_once = secured(&secured_by.by_plain, &topic, &login)
        .option("sink.delivery-guarantee", "exactly-once")
        .option("sink.marker-topic", &markers);
    let sink = registry().connector("kafka").expect("it").sink(&exactly_once.sink()).expect("a sink").sink;
    let mut committer = sink.create_committer(committer_context("l", 1)).expect("made").expect("a committer");
    let started = now();
    let error = committer.clean_up(&[]).await.expect_err("may not");
    assert!(error.kind() == ErrorKind::User && error.to_string().contains("transactional id"), "{error:?}");
    assert!(started.elapsed() < SOON, "told after {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_nobody_knows_is_named() {
    if Kafka::running().is_none() {
        return;
    }
    let nowhere = Kafka { servers: "nowhere.invalid:9092".to_string() };
    let nowhere = secured(&nowhere, "t", &[]);
    let time = Duration::from_secs(10);
    is_refused_within(time, &nowhere, "There is no host 'nowhere.invalid'", "properties.bootstrap.servers").await;
}
