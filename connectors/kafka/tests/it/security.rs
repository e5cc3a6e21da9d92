//! Logins and TLS against a real broker's listeners that ask for them.

use std::time::Duration;

use flott_core::{ErrorKind, Result, Watermark};
use flott_testkit::kafka::{Kafka, Secured};
use flott_testkit::{SourceHarness, TableBuilder, batch};

use crate::support::{registry, sorted, table, writer_context};

const OPTIONS: [(&str, &str); 4] = [
    ("format", "json"),
    ("sink.delivery-guarantee", "at-least-once"),
    ("scan.startup.mode", "earliest-offset"),
    ("scan.bounded.mode", "latest-offset"),
];

/// A table behind a listener, with a login as Java clients write it.
fn secured(kafka: &Kafka, topic: &str, more: &[(&str, &str)], module: &str, password: &str) -> TableBuilder {
    let login = format!(
        "org.apache.kafka.common.security.{module} required username=\"{}\" password=\"{password}\";",
        Secured::running().user
    );
    let table = table("kafka", "i INT", kafka, topic, &OPTIONS).option("properties.sasl.jaas.config", &login);
    more.iter().fold(table, |table, (key, value)| table.option(&format!("properties.{key}"), value))
}

async fn write_and_read(table: &TableBuilder) -> Result<Vec<String>> {
    let connector = registry().connector("kafka").expect("it");
    let mut writer = connector.sink(&table.sink())?.sink.create_writer(writer_context("l", 1), vec![])?;
    writer.write(batch("i INT", &["+I[1]", "+I[2]"])).await?;
    writer.write_watermark(Watermark(1)).await?;
    writer.flush(true).await?;
    writer.close().await?;
    let source = connector.source(&table.source())?.source;
    let mut harness = SourceHarness::start(&source, 1, None).await?;
    Ok(sorted(&harness.run_to_end().await?))
}

/// Rows come through; who has the wrong password is told so, and not for as long as a restart strategy has patience.
async fn check(login: &[(&str, &str)], module: &str, server: &Kafka) {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(1).expect("a topic");
    let password = Secured::running().password;
    let right = secured(server, &topic, login, module, &password);
    let rows = tokio::time::timeout(Duration::from_secs(60), write_and_read(&right)).await.expect("in time");
    assert_eq!(rows.expect("written and read"), ["+I[1]", "+I[2]"]);

    let wrong = secured(server, &topic, login, module, "CANARY");
    let source = registry().connector("kafka").expect("it").source(&wrong.source()).expect("a source").source;
    let started = tokio::time::timeout(Duration::from_secs(60), SourceHarness::start(&source, 1, None)).await;
    let error = started.expect("in time").err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::User, "{error:?}");
    assert!(format!("{error:?}").contains("sasl.jaas.config"), "{error:?}");
    let error = tokio::time::timeout(Duration::from_secs(60), write_and_read(&wrong)).await.expect("in time");
    let error = error.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::User, "{error:?}");
    assert!(!format!("{error:?} {error}").contains("CANARY"), "a secret: {error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_plain() {
    if Kafka::running().is_none() {
        return;
    }
    let login = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN")];
    check(&login, "plain.PlainLoginModule", &Secured::running().by_plain).await;
}

#[cfg(feature = "ssl")]
#[tokio::test(flavor = "multi_thread")]
async fn tls_and_a_login_by_scram() {
    if Kafka::running().is_none() {
        return;
    }
    let secured_by = Secured::running();
    let login = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", secured_by.certificate.as_str()),
    ];
    check(&login, "scram.ScramLoginModule", &secured_by.by_tls).await;

    // A certificate that nobody has vouched for.
    let kafka = Kafka::running().expect("it runs");
    let topic = kafka.topic(1).expect("a topic");
    let stranger = secured(&secured_by.by_tls, &topic, &login[..2], "scram.ScramLoginModule", &secured_by.password);
    let source = registry().connector("kafka").expect("it").source(&stranger.source()).expect("a source").source;
    let started = tokio::time::timeout(Duration::from_secs(60), SourceHarness::start(&source, 1, None)).await;
    let error = started.expect("in time").err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::User, "{error:?}");
    assert!(format!("{error:?}").contains("ssl"), "{error:?}");
}
