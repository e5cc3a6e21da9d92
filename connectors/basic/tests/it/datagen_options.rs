//! What `datagen` accepts, and how it refuses.

use flott_connector::Boundedness;
use flott_connector::factory::{ConnectorFactory, TableSource};
use flott_connector_basic::datagen::Datagen;
use flott_core::clock::ManualClock;
use flott_core::{ErrorKind, Result};
use flott_testkit::TableBuilder;

fn source(columns: &str, options: &[(&str, &str)]) -> Result<TableSource> {
    let table = TableBuilder::new("t", columns).option("connector", "datagen");
    let table = options.iter().fold(table, |t, (k, v)| t.option(k, v));
    Datagen::new(ManualClock::at_ms(0)).source(&table.source())
}

fn message(columns: &str, options: &[(&str, &str)]) -> String {
    let e = source(columns, options).err().unwrap_or_else(|| panic!("{options:?} must be refused"));
    assert_eq!(e.kind(), ErrorKind::User);
    e.to_string()
}

#[test]
fn every_option_is_accepted() {
    source(
        "a INT, b STRING, c TIMESTAMP(3), d BIGINT, e ARRAY<STRING>, f ROW<x INT, y MAP<STRING, BYTES>>, g MULTISET<INT>",
        &[
            ("rows-per-second", "5"),
            ("number-of-rows", "10"),
            ("scan.parallelism", "2"),
            ("fields.a.kind", "random"),
            ("fields.a.min", "-1"),
            ("fields.a.max", "1"),
            ("fields.a.null-rate", "0.5"),
            ("fields.b.length", "10"),
            ("fields.b.var-len", "true"),
            ("fields.c.max-past", "5 s"),
            ("fields.d.kind", "sequence"),
            ("fields.d.start", "1"),
            ("fields.d.end", "5"),
            ("fields.e.length", "2"),
            ("fields.e.element.length", "7"),
            ("fields.e.element.null-rate", "1"),
            ("fields.f.x.min", "3"),
            ("fields.f.y.key.length", "3"),
            ("fields.f.y.value.var-len", "true"),
            ("fields.f.null-rate", "0.1"),
            ("fields.g.element.max", "3"),
        ],
    )
    .expect("a source");
}

#[test]
fn boundedness_and_parallelism() {
    let sequence = [("fields.a.kind", "sequence"), ("fields.a.start", "1"), ("fields.a.end", "5")];
    assert_eq!(source("a INT", &[]).expect("a source").source.boundedness(), Boundedness::ContinuousUnbounded);
    assert_eq!(source("a INT", &sequence).expect("a source").source.boundedness(), Boundedness::Bounded);
    let rows = source("a INT", &[("number-of-rows", "0")]).expect("a source");
    assert_eq!(rows.source.boundedness(), Boundedness::Bounded);
    assert_eq!(rows.parallelism, None);
    assert_eq!(source("a INT", &[("scan.parallelism", "3")]).expect("a source").parallelism, Some(3));
}

#[test]
fn flinks_messages() {
    let sequence = ("fields.a.kind", "sequence");
    assert!(
        message("a BIGINT", &[sequence, ("fields.a.end", "1")])
            .starts_with("Could not find required property 'fields.a.start' for sequence generator.")
    );
    assert!(
        message("a BIGINT", &[sequence, ("fields.a.start", "1")])
            .starts_with("Could not find required property 'fields.a.end' for sequence generator.")
    );
    assert!(message("a INT", &[("fields.a.kind", "gaussian")]).starts_with("Unsupported generator kind: gaussian"));
    assert!(message("a INT", &[("fields.a.kind", "sequnce")]).contains("Did you mean 'sequence'?"));
    assert!(
        message("a CHAR(3)", &[("fields.a.length", "2")])
            .starts_with("Custom length for fixed-length type (CHAR/BINARY) field 'a' is not supported.")
    );
    assert!(message("a VARBINARY(20)", &[("fields.a.length", "21")]).starts_with(
        "Custom length '21' for variable-length type (VARCHAR/STRING/VARBINARY/BYTES) field 'a' should be shorter than \
         '20' defined in the schema."
    ));
    assert!(message("a BINARY(2)", &[("fields.a.var-len", "true")]).starts_with(
        "Only supports specifying 'fields.#.var-len' option for variable-length types \
         (VARCHAR/STRING/VARBINARY/BYTES). The type of field 'a' is not within this range."
    ));
    for t in ["BOOLEAN", "DATE", "TIME(0)", "TIMESTAMP(3)", "ARRAY<INT>", "ROW<x INT>"] {
        let e = message(&format!("a {t}"), &[sequence, ("fields.a.start", "1"), ("fields.a.end", "2")]);
        assert!(e.starts_with("Unsupported type: "), "{e}");
    }
}

#[test]
fn unknown_keys_name_their_neighbour() {
    assert!(message("a INT", &[("row-per-second", "1")]).contains("Did you mean 'rows-per-second'?"));
    assert!(message("a INT", &[("fields.a.mn", "1")]).contains("Did you mean 'fields.a.m"));
    assert!(message("amount INT", &[("fields.amuont.min", "1")]).contains("Did you mean 'fields.amount.min'?"));
    // Options of another kind or type are unknown too.
    assert!(message("a INT", &[("fields.a.start", "1")]).starts_with("Unsupported option 'fields.a.start'"));
    assert!(message("a INT", &[("fields.a.length", "1")]).starts_with("Unsupported option 'fields.a.length'"));
    assert!(message("a ROW<x INT>", &[("fields.a.min", "1")]).starts_with("Unsupported option 'fields.a.min'"));
    assert!(message("a ROW<x INT>", &[("fields.a.x.kind", "sequence")]).starts_with("Unsupported option"));
}

#[test]
fn wrong_values() {
    assert!(message("a TINYINT", &[("fields.a.max", "128")]).contains("expected an integer from -128 to 127"));
    assert!(message("a INT", &[("fields.a.min", "2"), ("fields.a.max", "1")]).contains("is above"));
    assert!(message("a DOUBLE", &[("fields.a.min", "x")]).contains("expected a number"));
    assert!(message("a DECIMAL(4, 2)", &[("fields.a.min", "2"), ("fields.a.max", "1")]).contains("is above"));
    assert!(message("a INT", &[("fields.a.null-rate", "1.5")]).contains("expected a number from 0 to 1"));
    assert!(message("a INT NOT NULL", &[("fields.a.null-rate", "0.5")]).contains("NOT NULL"));
    assert!(message("a MULTISET<INT>", &[("fields.a.element.null-rate", "0.5")]).contains("NULL is no element"));
    assert!(message("a MAP<INT NOT NULL, INT>", &[("fields.a.key.null-rate", "0.5")]).contains("NOT NULL"));
    assert!(message("a MAP<MAP<INT, INT>, INT>", &[]).starts_with("Unsupported type: MAP<INT, INT>"));
    assert!(message("a TIMESTAMP(3)", &[("fields.a.max-past", "soon")]).contains("expected a duration"));
    assert!(message("a STRING", &[("fields.a.length", "-1")]).contains("expected a length"));
    assert!(message("a STRING", &[("fields.a.var-len", "yes")]).contains("'true' or 'false'"));
    assert!(message("a INT", &[("rows-per-second", "0")]).contains("at least 1"));
    assert!(message("a INT", &[("rows-per-second", "fast")]).contains("expected an integer"));
    assert!(message("a INT", &[("number-of-rows", "-1")]).contains("at least 0"));
    assert!(message("a INT", &[("scan.parallelism", "0")]).contains("at least 1"));
    let sequence = |start, end| [("fields.a.kind", "sequence"), ("fields.a.start", start), ("fields.a.end", end)];
    assert!(message("a INT", &sequence("5", "1")).contains("is above"));
    assert!(message("a TINYINT", &sequence("0", "200")).contains("expected an integer from -128 to 127"));
    assert!(message("a DECIMAL(3, 1)", &sequence("0", "100")).contains("expected an integer from -99 to 99"));
    let huge = [("fields.a.length", "2147483647"), ("fields.a.element.length", "2147483647")];
    assert!(message("a ARRAY<STRING>", &huge).contains("would take"));
}
