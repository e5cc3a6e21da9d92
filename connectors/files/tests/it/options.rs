//! What the connector refuses, and how it says so.

use flott_connector::factory::ConnectorFactory;
use flott_connector_files::{FilesFactory, connectors, options};

use crate::support::*;

fn sink_error(options: &[(&str, &str)]) -> String {
    let (_dir, path) = temp();
    let table = Table::new(&path, "a INT, p STRING").partitioned_by(&["p"]);
    let table = options.iter().fold(table, |t, (k, v)| t.option(k, v));
    table.try_sink().err().unwrap_or_else(|| panic!("{options:?} was taken")).to_string()
}

fn source_error(options: &[(&str, &str)]) -> String {
    let (_dir, path) = temp();
    let table = options.iter().fold(Table::new(&path, "a INT"), |t, (k, v)| t.option(k, v));
    table.try_source().err().unwrap_or_else(|| panic!("{options:?} was taken")).to_string()
}

#[test]
fn refused_by_the_sink() {
    for (given, expected) in [
        (("auto-compaction", "true"), "'auto-compaction' = 'true' is not supported"),
        (("sink.partition-commit.policy.kind", "metastore,success-file"), "'metastore' partition commit policy"),
        (("sink.partition-commit.policy.kind", "custom"), "Custom partition commit policies"),
        (("sink.partition-commit.policy.kind", "succes-file"), "Unknown partition commit policy: 'succes-file'"),
        (("sink.partition-commit.watermark-time-zone", "Mars"), "'Mars' is not a time zone"),
        (("sink.partition-commit.trigger", "partitiontime"), "did you mean 'partition-time'?"),
        (("sink.parallelism", "0"), "there must be at least one writer"),
        (("sink.rolling-policy.file-size", "big"), "sink.rolling-policy.file-size"),
        (("sink.rolling-policy.filesize", "1 mb"), "Did you mean 'sink.rolling-policy.file-size'?"),
        (("path", "/data/*.csv"), "a sink writes to a folder"),
        (("path", ""), "'path' is empty"),
        (("line.nothing", "1"), "Unsupported option"),
        (("format", "lines"), "Did you mean 'line'?"),
    ] {
        let e = sink_error(&[given]);
        assert!(e.contains(expected), "{e}");
    }
    let policy = ("sink.partition-commit.policy.kind", "success-file");
    let by_time = ("sink.partition-commit.trigger", "partition-time");
    let e = sink_error(&[policy, by_time, ("partition.time-extractor.kind", "custom")]);
    assert!(e.contains("The partition time extractor 'custom' is not supported"), "{e}");
    let e = sink_error(&[policy, by_time, ("partition.time-extractor.timestamp-formatter", "yyyy-MMM-dd")]);
    assert!(e.contains("is not a supported formatter: 3 times 'M'"), "{e}");
    let e = sink_error(&[policy, ("sink.partition-commit.success-file.name", "a/b")]);
    assert!(e.contains("'a/b' is not a file's name"), "{e}");
    for name in ["", ".", "..", "../x", "a\\b"] {
        let e = sink_error(&[policy, ("sink.partition-commit.success-file.name", name)]);
        assert!(e.contains("is not a file's name"), "{name}: {e}");
    }
    let e = sink_error(&[policy, ("sink.partition-commit.success-file.name", &"x".repeat(201))]);
    assert!(e.contains("is too long for a file's name"), "{e}");
    let e = sink_error(&[("path", "file://host/x")]);
    assert!(e.contains("a file of another machine, 'host'"), "{e}");
}

#[test]
fn refused_by_the_source() {
    for (given, expected) in [
        (("source.path.regex-pattern", "(?=x)"), "is not a usable regular expression"),
        (("source.monitor-interval", "0 s"), "must be longer than 0"),
        (("source.monitor-interval", "soon"), "source.monitor-interval"),
        (("source.report-statistics", "SOME"), "expected one of NONE, ALL"),
        (("path", "/data/[a"), "a ']' is missing"),
        (("path", "ftp://host/x"), "there is no file system for the scheme 'ftp'"),
    ] {
        let e = source_error(&[given]);
        assert!(e.contains(expected), "{e}");
    }
    let (_dir, path) = temp();
    let e = Table::new(&path, "a INT").partitioned_by(&["a"]).try_source().err().expect("refused").to_string();
    assert!(e.contains("all columns are partition keys"), "{e}");
}

#[test]
fn taken() {
    let (_dir, path) = temp();
    let table = Table::new(&path, "a INT, p STRING").partitioned_by(&["p"]);
    let given = [
        ("source.report-statistics", "none"),
        ("source.monitor-interval", "1 min"),
        ("sink.shuffle-by-partition.enable", "true"),
        ("auto-compaction", "false"),
        ("compaction.file-size", "1 mb"),
        ("sink.partition-commit.policy.class", "com.example.Policy"),
        ("sink.partition-commit.policy.class.parameters", "a;b"),
        ("partition.time-extractor.class", "com.example.Extractor"),
        ("sink.parallelism", "3"),
        ("line.quotes", "true"),
    ];
    let table = given.iter().fold(table, |t, (k, v)| t.option(k, v));
    table.try_sink().unwrap_or_else(|e| panic!("{e}"));
    table.try_source().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(connectors().len(), 1);
    let factory = FilesFactory::default();
    assert_eq!((factory.identifier(), factory.metadata().len()), ("filesystem", 4));
    let mut keys: Vec<&str> = options::ALL.iter().map(|o| o.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), options::ALL.len());
}
