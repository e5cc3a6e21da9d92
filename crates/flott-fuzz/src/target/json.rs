//! json: files of lines and messages, every type, beside another JSON parser.

use std::sync::OnceLock;

use flott_format::json::{DEPTH_MAX, JsonFormat};

use crate::rows::{self, Table};

fn tables() -> &'static [Table] {
    static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let of = |row, options: &[(&str, &str)]| Table::of(&JsonFormat, row, options);
        let times = "ROW<a DATE, b TIME(3), c TIMESTAMP(3), d TIMESTAMP(9), e TIMESTAMP_LTZ(3), f TIME(0)>";
        let four = "ROW<a INT, b STRING, c DOUBLE, d ROW<x INT, y ARRAY<STRING>>>";
        let part =
            Table { encoding: None, ..Table::new(&JsonFormat, rows::context(four, "ROW<c DOUBLE, b STRING>", &[])) };
        vec![
            of("ROW<a INT, b STRING, c DOUBLE, d BOOLEAN>", &[]),
            of(
                "ROW<a TINYINT, b SMALLINT, c BIGINT, d FLOAT, e DECIMAL(20, 5), f BYTES, g CHAR(3), h VARCHAR(5)>",
                &[],
            ),
            of(times, &[]),
            of(times, &[("timestamp-format.standard", "ISO-8601")]),
            of("ROW<a ARRAY<ROW<x INT, y STRING>>, b MAP<STRING, INT>, c ROW<x ROW<y ROW<z ARRAY<ARRAY<INT>>>>>>", &[]),
            of("ROW<a INT, b STRING, c ARRAY<INT>, d TIMESTAMP(3)>", &[("ignore-parse-errors", "true")]).inexact(),
            of("ROW<a INT, b STRING NOT NULL>", &[("fail-on-missing-field", "true")]),
            part,
            of("ROW<a MAP<STRING, ARRAY<STRING>>, b MULTISET<STRING>>", &[("encode.decimal-as-plain-number", "true")]),
        ]
    })
}

pub(crate) fn run(data: &[u8]) {
    let Some((table, rest)) = rows::choose(tables(), data) else { return };
    if let Some(batch) = rows::check_pieces(table, rest) {
        rows::check_file_round(table, &batch);
    }
    if let Some(factory) = &table.messages {
        let batch = rows::check_messages(&table.context.schema, factory.as_ref(), &rows::lines(rest));
        rows::check_message_round(table, &batch);
    }
    check_syntax(rest);
}

/// A table without any of the fields reads exactly what another parser takes for an object.
fn check_syntax(text: &[u8]) {
    static TABLE: OnceLock<Table> = OnceLock::new();
    let table = TABLE.get_or_init(|| Table::of(&JsonFormat, "ROW<`\u{1}` INT>", &[]));
    let Some(factory) = &table.messages else { return };
    let deepest = depth(text);
    if deepest >= DEPTH_MAX.min(100) || text.first() == Some(&b'[') || text.starts_with(b"\xef\xbb\xbf") {
        return;
    }
    let mut decoder = factory.create().unwrap_or_else(|e| panic!("no decoder: {e}"));
    let ours = decoder.decode(Some(text), &rows::position(0, 0)).is_ok_and(|rows| rows == 1);
    let theirs = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(text).is_ok();
    // The other one refuses numbers beyond a DOUBLE and halves of pairs, which here are read where somebody asks for them.
    if theirs {
        assert!(ours, "JSON is refused: {:?}", String::from_utf8_lossy(text));
    } else if ours {
        let excused = [&b"\\u"[..], b"e", b"E", b"00000000000000000000"];
        let is_excused = excused.iter().any(|e| text.windows(e.len()).any(|w| w == *e)) || text.len() > 300;
        assert!(is_excused, "what is no JSON is read: {:?}", String::from_utf8_lossy(text));
    }
}

fn depth(text: &[u8]) -> usize {
    text.iter().filter(|b| matches!(b, b'[' | b'{')).count()
}
