//! avro: single messages in the table's own schema.

use std::sync::OnceLock;

use flott_format::avro::AvroFormat;

use crate::rows::{self, Table};

/// Row types, each with what only some have.
pub(crate) const ROWS: [&str; 5] = [
    "ROW<a INT, b STRING, c DOUBLE>",
    "ROW<a BIGINT NOT NULL, b BOOLEAN NOT NULL, c FLOAT NOT NULL, d BYTES NOT NULL, e STRING NOT NULL>",
    "ROW<a DATE, b TIME(3), c TIMESTAMP(3), e DECIMAL(20, 5), f SMALLINT>",
    "ROW<a ARRAY<ROW<x INT, y STRING>>, b MAP<STRING, INT>, c ROW<x ROW<y ARRAY<ARRAY<INT>>>>>",
    "ROW<a ARRAY<ROW<x INT NOT NULL>>, b ARRAY<BOOLEAN NOT NULL>>",
];

fn tables() -> &'static [Table] {
    static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let mut tables: Vec<Table> = ROWS.iter().map(|row| messages_of(row, &[])).collect();
        tables.push(messages_of(
            "ROW<c TIMESTAMP(3), d TIMESTAMP_LTZ(3), g TIMESTAMP(6)>",
            &[("timestamp_mapping.legacy", "false")],
        ));
        tables
    })
}

fn messages_of(row: &str, options: &[(&str, &str)]) -> Table {
    Table::of(&AvroFormat, row, options)
}

pub(crate) fn run(data: &[u8]) {
    let Some((table, rest)) = rows::choose(tables(), data) else { return };
    let Some(factory) = &table.messages else { return };
    let batch = rows::check_messages(&table.context.schema, factory.as_ref(), &rows::parts(rest));
    rows::check_message_round(table, &batch);
}
