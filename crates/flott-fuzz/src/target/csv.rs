//! csv: files and messages, with options that change how a record ends.

use std::sync::OnceLock;

use flott_core::ChangeBatch;
use flott_format::csv::CsvFormat;

use crate::rows::{self, Table};

fn tables() -> &'static [Table] {
    static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let null = ("null-literal", "NULL");
        let of = |row, options: &[(&str, &str)]| Table::of(&CsvFormat, row, options);
        let odd = [
            ("field-delimiter", "\\t"),
            ("quote-character", "'"),
            ("escape-character", "\\"),
            ("allow-comments", "true"),
            ("ignore-parse-errors", "true"),
            ("trim-spaces", "true"),
        ];
        let plain = [("field-delimiter", "¦"), ("disable-quote-character", "true"), ("ignore-first-line", "true")];
        let strict = [
            ("empty-string-as-null", "true"),
            ("fail-on-missing-columns", "true"),
            ("ignore-trailing-unmappable", "true"),
            ("allow-trailing-comma", "false"),
        ];
        let four = "ROW<a INT, b STRING, c DOUBLE, d STRING>";
        let part = Table { encoding: None, ..Table::new(&CsvFormat, rows::context(four, "ROW<c DOUBLE, b STRING>", &[])) };
        vec![
            of("ROW<a INT, b STRING, c DOUBLE>", &[null]),
            of(
                "ROW<a TINYINT, b SMALLINT, c BIGINT, d FLOAT, e DECIMAL(20, 5), f BOOLEAN, g BYTES, h CHAR(3), i VARCHAR(5)>",
                &[null],
            ),
            of("ROW<a DATE, b TIME(3), c TIMESTAMP(3), d TIMESTAMP(9), e TIMESTAMP_LTZ(3), f TIME(0)>", &[null]),
            of("ROW<a ARRAY<STRING>, b ROW<x INT, y STRING>, c ARRAY<INT>>", &[null]).inexact(),
            of("ROW<a INT, b STRING, c BOOLEAN>", &odd).inexact(),
            of("ROW<a STRING, b INT>", &plain).inexact(),
            part,
            of("ROW<a INT, b STRING, c DECIMAL(5, 2)>", &strict).inexact(),
        ]
    })
}

pub(crate) fn run(data: &[u8]) {
    let Some((table, rest)) = rows::choose(tables(), data) else { return };
    if let Some(batch) = rows::check_pieces(table, rest) {
        rows::check_file_round(table, &batch);
    }
    if let Some(factory) = &table.messages {
        let messages = rows::lines(rest);
        let batch = rows::check_messages(&table.context.schema, factory.as_ref(), &messages);
        rows::check_message_round(table, &ChangeBatch::append(batch.rows));
    }
}
