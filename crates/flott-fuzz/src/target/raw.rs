//! raw: one value a line or message.

use std::sync::OnceLock;

use flott_format::raw::RawFormat;

use crate::rows::{self, Table};

fn tables() -> &'static [Table] {
    static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let of = |row, options: &[(&str, &str)]| Table::of(&RawFormat, row, options);
        vec![
            of("ROW<a STRING>", &[]),
            of("ROW<a STRING>", &[("charset", "ISO-8859-1")]),
            of("ROW<a STRING>", &[("charset", "US-ASCII")]).inexact(),
            of("ROW<a BYTES>", &[]),
            of("ROW<a BOOLEAN>", &[]),
            of("ROW<a TINYINT>", &[]),
            of("ROW<a SMALLINT>", &[("endianness", "little-endian")]),
            of("ROW<a INT>", &[]),
            of("ROW<a BIGINT>", &[("endianness", "little-endian")]),
            of("ROW<a FLOAT>", &[]),
            of("ROW<a DOUBLE>", &[]),
        ]
    })
}

pub(crate) fn run(data: &[u8]) {
    let Some((table, rest)) = rows::choose(tables(), data) else { return };
    rows::check_pieces(table, rest);
    if let Some(factory) = &table.messages {
        let batch = rows::check_messages(&table.context.schema, factory.as_ref(), &rows::parts(rest));
        rows::check_message_round(table, &batch);
    }
}
