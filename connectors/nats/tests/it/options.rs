//! Options that are wrong, or that do not fit each other.

use flott_core::Result;
use flott_testkit::TableBuilder;
use flott_testkit::nats::Nats;

use crate::support::{registry, table};

fn nowhere() -> Nats {
    Nats { url: "nats://127.0.0.1:1".to_string() }
}

fn of(options: &[(&str, &str)], sink: bool) -> Result<()> {
    let table = table("i INT", &nowhere(), "S", options);
    made(&table, sink)
}

fn made(table: &TableBuilder, sink: bool) -> Result<()> {
    let connector = registry().connector("nats")?;
    if sink { connector.sink(&table.sink()).map(drop) } else { connector.source(&table.source()).map(drop) }
}

/// A table is made without a server: EXPLAIN asks nobody.
#[test]
fn options_are_checked_before_anything_is_asked() {
    of(&[], false).expect("a source");
    of(&[("subject", "a.*;b.>")], false).expect("a source");
    of(&[("subject", "a.b")], true).expect("a sink");
    for (options, sink, part) in [
        (&[("stream", " ")][..], false, "'stream' is missing"),
        (&[("stream", "a.b")], false, "no name of a stream"),
        (&[("stream", "a;a")], false, "overlap"),
        (&[("subject", "a.>;a.b")], false, "overlap"),
        (&[("subject", "a..b")], false, "is no subject"),
        (&[("scan.startup.mode", "sequence")], false, "scan.startup.sequence"),
        (&[("scan.bounded.mode", "timestamp")], false, "scan.bounded.timestamp-millis"),
        (&[("scan.startup.mode", "first")], false, "earliest"),
        (&[("scan.startup.mod", "earliest")], false, "Did you mean 'scan.startup.mode'"),
        (&[("scan.parallelism", "0")], false, "more than 0"),
        (&[("stream", "a;b"), ("subject", "a")], true, "one stream"),
        (&[("subject", "a.*")], true, "not one that messages can be sent to"),
        (&[], true, "to which subject"),
        (&[("subject", "a"), ("url", "nats://u:CANARY@h")], true, "has a user"),
        (&[("subject", "a"), ("stream", " ")], true, "needs 'stream'"),
        (&[("subject", "a"), ("sink.marker-subject", "m.>")], true, "sink.marker-subject"),
        (&[("subject", "a"), ("sink.batch.max-rows", "0")], true, "more than 0"),
    ] {
        let error = of(options, sink).expect_err(part).to_string();
        assert!(error.contains(part) && !error.contains("CANARY"), "{error}");
    }
}

#[test]
fn a_key_is_refused_where_rows_are_appended() {
    let keyed = table("i INT NOT NULL", &nowhere(), "S", &[("subject", "a")]).primary_key(&["i"]);
    for sink in [false, true] {
        let error = made(&keyed, sink).expect_err("a key").to_string();
        assert!(error.contains("PRIMARY KEY"), "{error}");
    }
    let virtual_only = table("i INT", &nowhere(), "S", &[("subject", "a")]).metadata("n", "sequence", "BIGINT", false);
    assert!(made(&virtual_only, true).expect_err("read only").to_string().contains("cannot be written"));
}
