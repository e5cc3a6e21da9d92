//! debezium-avro-confluent: changes in an envelope that names its schema.

use std::sync::{Arc, OnceLock};

use flott_format::avro::DebeziumAvroFormat;

use super::registry::InMemory;
use crate::rows::{self, Table};

/// As Debezium writes them, with fields that nobody reads.
const ENVELOPE: &str = r#"{"type":"record","name":"Envelope","fields":[{"name":"before","type":["null",{"type":"record","name":"Value","fields":[{"name":"a","type":"int"},{"name":"b","type":["null","string"],"default":null}]}]},{"name":"after","type":["null","Value"]},{"name":"source","type":{"type":"record","name":"Source","fields":[{"name":"version","type":"string"},{"name":"ts_ms","type":"long"}]}},{"name":"op","type":"string"}]}"#;

fn tables() -> &'static [Table] {
    static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let registry = InMemory::of(&[ENVELOPE]);
        let format = DebeziumAvroFormat::new(Arc::new(registry));
        // An update comes back as a deletion and an insert.
        let of = |row| Table::of(&format, row, &[("subject", "s")]).inexact();
        let tables =
            vec![of("ROW<a INT, b STRING>"), of("ROW<b STRING, a BIGINT NOT NULL>"), of("ROW<a BIGINT, c DOUBLE>")];
        // Their own schemas are registered, in this order.
        for table in &tables {
            let made = table.encoding.as_ref().map(|e| e.create().map(drop));
            assert!(matches!(made, Some(Ok(()))), "no encoder");
        }
        tables
    })
}

pub(crate) fn run(data: &[u8]) {
    let Some((table, rest)) = rows::choose(tables(), data) else { return };
    let Some(factory) = &table.messages else { return };
    let batch = rows::check_messages(&table.context.schema, factory.as_ref(), &rows::parts(rest));
    rows::check_message_round(table, &batch);
}
