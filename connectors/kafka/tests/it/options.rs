//! What a table may say, told before a job runs: no broker is asked.

use flott_testkit::TableBuilder;

use crate::support::registry;

fn builder(connector: &str, options: &[(&str, &str)]) -> TableBuilder {
    let mut table = TableBuilder::new("t", "id BIGINT, k_name STRING, v INT").registry(registry());
    for (key, value) in [("connector", connector), ("properties.bootstrap.servers", "127.0.0.1:1")] {
        table = table.option(key, value);
    }
    for (key, value) in options {
        table = table.option(key, value);
    }
    table
}

fn errors(connector: &str, options: &[(&str, &str)], sink: bool) -> String {
    let table = builder(connector, options);
    let factory = registry().connector(connector).expect("registered");
    let made = if sink { factory.sink(&table.sink()).map(drop) } else { factory.source(&table.source()).map(drop) };
    made.expect_err("must be refused").to_string()
}

const BASE: [(&str, &str); 3] = [("topic", "t"), ("format", "json"), ("scan.startup.mode", "earliest-offset")];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    BASE.iter().chain(more).copied().collect()
}

#[test]
fn what_cannot_be_is_refused_with_its_option() {
    for (more, word) in [
        (&[("topic-pattern", "x.*")][..], "topic-pattern"),
        (&[("value.format", "json")], "value.format"),
        (&[("key.format", "json")], "key.fields"),
        (&[("key.fields", "id")], "key.format"),
        (&[("key.format", "json"), ("key.fields", "nix")], "nix"),
        (&[("key.format", "json"), ("key.fields", "k_name"), ("key.fields-prefix", "k_")], "EXCEPT_KEY"),
        (
            &[
                ("key.format", "json"),
                ("key.fields", "id"),
                ("key.fields-prefix", "k_"),
                ("value.fields-include", "EXCEPT_KEY"),
            ],
            "must be prefixed",
        ),
        (&[("properties.ssl.engine.location", "/lib")], "properties.ssl.engine.location"),
        (&[("scan.bounded.mode", "group-offsets")], "properties.group.id"),
        (&[("scan.bounded.mode", "timestamp")], "scan.bounded.timestamp-millis"),
        (&[("jason.x", "1")], "jason.x"),
        (&[("scan.parallelism", "0")], "scan.parallelism"),
    ] {
        let error = errors("kafka", &with(more), false);
        assert!(error.contains(word), "{more:?}: {error}");
    }
    assert!(errors("kafka", &with(&[("sink.partitioner", "org.example.P")]), true).contains("sink.partitioner"));
    let keyed = [("sink.partitioner", "round-robin"), ("key.format", "json"), ("key.fields", "id")];
    assert!(errors("kafka", &with(&keyed), true).contains("round-robin"));
    assert!(errors("kafka", &[("topic", "a;b"), ("format", "json")], true).contains("metadata column 'topic'"));
}

#[test]
fn upsert_needs_a_primary_key_and_both_formats() {
    let formats = [("topic", "t"), ("key.format", "json"), ("value.format", "json")];
    assert!(errors("upsert-kafka", &formats, false).contains("PRIMARY KEY"));
    assert!(errors("upsert-kafka", &formats[..2], false).contains("value.format"));
    let half = [formats.as_slice(), &[("sink.buffer-flush.max-rows", "5")]].concat();
    let table = builder("upsert-kafka", &half).primary_key(&["id"]);
    let error = registry().connector("upsert-kafka").expect("it").sink(&table.sink()).map(drop).expect_err("half");
    assert!(error.to_string().contains("sink.buffer-flush.interval"), "{error}");
}

#[test]
fn secrets_are_not_in_errors() {
    let secret = "a.PlainLoginModule required username=\"u\" password=\"CANARY-1\"";
    let more = [
        ("properties.security.protocol", "SASL_PLAINTEXT"),
        ("properties.sasl.mechanism", "PLAIN"),
        ("properties.sasl.jaas.config", secret),
    ];
    let error = errors("kafka", &with(&more), false);
    assert!(error.contains("sasl.jaas.config") && !error.contains("CANARY"), "{error}");
}
