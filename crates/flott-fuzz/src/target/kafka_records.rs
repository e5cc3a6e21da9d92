//! Records of Kafka as rows, and stored positions.

use std::sync::{Arc, OnceLock};

use flott_connector::Versioned;
use flott_connector::format::FormatFactory;
use flott_connector_kafka::fuzzing::{Reading, Record, position};
use flott_core::LogicalType;
use flott_core::types::TypeKind;
use flott_format::json::JsonFormat;
use flott_format::raw::RawFormat;

use crate::rows;

fn readings() -> &'static [Reading; 3] {
    static READINGS: OnceLock<[Reading; 3]> = OnceLock::new();
    READINGS.get_or_init(|| {
        let decoding = |format: &dyn FormatFactory, row: &str, options: &[(&str, &str)]| {
            let context = rows::context(row, row, options);
            format.message_decoding(&context).unwrap_or_else(|e| panic!("no decoder: {e}"))
        };
        let text: LogicalType = TypeKind::STRING.nullable();
        let number: LogicalType = TypeKind::Int.nullable();
        let raw = || decoding(&RawFormat, "ROW<k STRING>", &[]);
        let json = || decoding(&JsonFormat, "ROW<v INT>", &[("ignore-parse-errors", "true")]);
        let strict = || decoding(&JsonFormat, "ROW<v INT>", &[]);
        [
            Reading::new((json(), &number), (raw(), &text), false),
            Reading::new((json(), &number), (raw(), &text), true),
            // Both may give several rows or none.
            Reading::new((strict(), &number), (Arc::clone(&json()), &number), true),
        ]
    })
}

pub(crate) fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    if *first == b'p' {
        return stored(rest);
    }
    let reading = &readings()[usize::from(*first) % 3];
    let parts = rows::parts(rest);
    // A part that is empty is no key or no value.
    let part = |i: usize| parts.get(i).copied().filter(|p| !p.is_empty());
    let records: Vec<Record<'_>> =
        (0..parts.len().div_ceil(2)).map(|i| Record { key: part(2 * i), value: part(2 * i + 1) }).collect();
    let Some((all, skipped)) = rows::given(reading.read(&records)) else { return };
    assert!(skipped <= records.len() as u64, "more are skipped than there are");
    let mut alone = vec![];
    let mut skipped_alone = 0;
    for record in &records {
        let (rows, skipped) = reading.read(&[*record]).unwrap_or_else(|e| panic!("a record alone is refused: {e}"));
        alone.push(rows);
        skipped_alone += skipped;
    }
    assert_eq!(skipped, skipped_alone, "skipped records");
    // But for the offsets.
    let rows: usize = alone.iter().map(flott_core::ChangeBatch::num_rows).sum();
    assert_eq!(all.num_rows(), rows, "rows of records");
    let mut at = 0;
    for batch in &alone {
        for row in 0..batch.num_rows() {
            assert_eq!(batch.kind(row), all.kind(at), "the kind of a row");
            for column in 0..2 {
                let (one, other) = (batch.rows.column(column).slice(row, 1), all.rows.column(column).slice(at, 1));
                assert_eq!(format!("{one:?}"), format!("{other:?}"), "key and value of a row");
            }
            at += 1;
        }
    }
}

fn stored(bytes: &[u8]) {
    let stored = |bytes: &[u8]| Versioned::new(1, bytes.to_vec());
    if let Some(again) = rows::given(position(&stored(bytes))) {
        let third = position(&again).unwrap_or_else(|e| panic!("a position cannot be read again: {e}"));
        assert_eq!(again, third, "a position that is stored again");
    }
}
