//! avro-confluent: messages that name one of several schemas, all other than the table's own.

use std::sync::{Arc, OnceLock};

use flott_format::avro::AvroConfluentFormat;

use super::registry::InMemory;
use crate::rows::{self, Table};

const SCHEMAS: [&str; 6] = [
    r#"{"type":"record","name":"O","fields":[{"name":"a","type":"int"},{"name":"gone","type":"string"}]}"#,
    r#"{"type":"record","name":"O","fields":[{"name":"b","type":["string","null"]},{"name":"a","type":"long"},{"name":"more","type":{"type":"array","items":{"type":"map","values":"double"}}}]}"#,
    r#"{"type":"record","name":"O","fields":[{"name":"skip","type":{"type":"fixed","name":"F","size":3}},{"name":"c","type":"float"},{"name":"state","type":{"type":"enum","name":"E","symbols":["X","Y"]}},{"name":"next","type":["null","O"]}]}"#,
    r#"{"type":"record","name":"O","fields":[{"name":"d","type":["null",{"type":"array","items":["null",{"type":"record","name":"I","fields":[{"name":"x","type":"int"}]}]}]}]}"#,
    r#"{"type":"record","name":"O","fields":[{"name":"d","type":{"type":"array","items":{"type":"record","name":"N","fields":[]}}},{"name":"e","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}}]}"#,
    "\"string\"",
];

fn tables() -> &'static [Table] {
    static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let format = AvroConfluentFormat::new(Arc::new(InMemory::of(&SCHEMAS)));
        let of = |row| Table::of(&format, row, &[("subject", "s")]);
        vec![
            of("ROW<a BIGINT, b STRING>"),
            of("ROW<c DOUBLE, b STRING, a BIGINT>"),
            of("ROW<d ARRAY<ROW<x BIGINT>>, e DECIMAL(10, 2)>"),
            of("ROW<b STRING>"),
        ]
    })
}

pub(crate) fn run(data: &[u8]) {
    let Some((table, rest)) = rows::choose(tables(), data) else { return };
    let Some(factory) = &table.messages else { return };
    let batch = rows::check_messages(&table.context.schema, factory.as_ref(), &rows::parts(rest));
    rows::check_message_round(table, &batch);
}
