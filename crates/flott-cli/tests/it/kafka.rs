//! What a user sees of a Kafka that does not let the job in: the cause and what to do, at once, and no secret.

use std::time::{Duration, Instant};

use crate::support::{Place, Ran, ran, rest, signal};

/// A job over a topic with these properties. The time is its whole.
#[expect(clippy::disallowed_methods, reason = "the test measures another process")]
fn run(place: &Place, servers: &str, properties: &[(&str, &str)]) -> (Ran, Duration) {
    let properties: String = properties.iter().map(|(k, v)| format!(", 'properties.{k}' = '{v}'")).collect();
    let started = Instant::now();
    (place.run(&job(servers, &properties)), started.elapsed())
}

fn job(servers: &str, properties: &str) -> String {
    format!(
        "CREATE TABLE k (v INT) WITH ('connector' = 'kafka', 'topic' = 't', 'format' = 'json', \
         'scan.startup.mode' = 'earliest-offset', 'properties.bootstrap.servers' = '{servers}'{properties});\n\
         CREATE TABLE o (v INT) WITH ('connector' = 'blackhole');\nINSERT INTO o SELECT * FROM k;"
    )
}

fn says(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    for word in words {
        assert!(ran.err.contains(word), "no '{word}' in {}", ran.err);
    }
    assert!(!ran.err.contains("CANARY") && !ran.out.contains("CANARY"), "a secret: {ran:?}");
}

#[test]
fn stores_that_cannot_be_used_are_named() {
    let place = Place::new();
    let tls = |more: &[(&str, &str)]| {
        let all = [[("security.protocol", "SSL")].as_slice(), more].concat();
        run(&place, "127.0.0.1:1", &all).0
    };
    let location = "ssl.truststore.location";
    says(&tls(&[(location, "gone.jks")]), 1, &["'gone.jks' cannot be read", "properties.ssl.truststore.location"]);
    // A store of JKS that is a digest and nothing else: no password fits.
    place.write("trust.jks", "");
    std::fs::write(place.path().join("trust.jks"), [&[0xFE, 0xED, 0xFE, 0xED][..], &[0; 40]].concat())
        .expect("written");
    let locked = [(location, "trust.jks"), ("ssl.truststore.password", "CANARY")];
    says(&tls(&locked), 2, &["'trust.jks' is wrong", "properties.ssl.truststore.password"]);
    let bks = [(location, "trust.jks"), ("ssl.truststore.type", "BKS")];
    says(&tls(&bks), 2, &["'BKS'", "JKS, PKCS12 and PEM"]);
    let kerberos = run(&place, "127.0.0.1:1", &[("security.protocol", "SASL_PLAINTEXT")]).0;
    says(&kerberos, 2, &["GSSAPI", "SCRAM-SHA-512"]);
}

#[test]
fn a_host_without_an_address_is_named() {
    let (ran, took) = run(&Place::new(), "nowhere.invalid:9092", &[]);
    says(&ran, 1, &["There is no host 'nowhere.invalid'", "properties.bootstrap.servers"]);
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn an_outage_is_one_line_of_the_log() {
    let place = Place::new();
    place.write("job.sql", &job("127.0.0.1:1", ""));
    let child = place.start(&["run", "job.sql", "-p", "2"]);
    // The clients try again every second or so.
    rest(5_000);
    signal(&child, "KILL");
    let ran = ran(child.wait_with_output().expect("an end"));
    let lines: Vec<&str> = ran.err.lines().filter(|l| l.contains(" WARN ") && l.contains("kafka: ")).collect();
    assert_eq!(lines.len(), 1, "{}", ran.err);
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let get = |name: &str| std::env::var(format!("FLOTT_TEST_KAFKA{name}")).ok();
    let (Some(plain), Some(tls), Some(certificate)) = (get(""), get("_TLS"), get("_CERTIFICATE")) else {
        println!("SKIPPED: FLOTT_TEST_KAFKA is not set: cargo xtask services up kafka");
        return;
    };
    let place = Place::new();
    let login = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"x\" password=\"CANARY\";";
    let by_login =
        [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.jaas.config", login)];
    let trust = ("ssl.truststore.location", certificate.as_str());
    for (servers, properties, words) in [
        (&tls, [by_login.as_slice(), &[trust]].concat(), &["refuses the login", "properties.sasl.jaas.config"]),
        (&tls, by_login.to_vec(), &["is not trusted", "properties.ssl.truststore.location"]),
        (&tls, vec![], &["speaks TLS at this port", "properties.security.protocol"]),
        (&plain, vec![("security.protocol", "SSL")], &["does not speak TLS", "properties.security.protocol"]),
    ] {
        let (ran, took) = run(&place, servers, &properties);
        says(&ran, 1, words);
        // The start of a process is in it.
        let is_of_closed = words[0].contains("speak");
        assert!(took < Duration::from_secs(if is_of_closed { 40 } else { 6 }), "{words:?}: {took:?}");
    }
}
