//! The schema of another's: its text stands in front of a zero byte, a message behind it.

use std::sync::Arc;

use flott_connector::format::FormatFactory;
use flott_format::avro::AvroConfluentFormat;

use super::registry::InMemory;
use crate::rows;

pub(crate) fn run(data: &[u8]) {
    let end = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let Ok(text) = std::str::from_utf8(&data[..end]) else { return };
    let value = data.get(end + 1..).unwrap_or_default();
    let format = AvroConfluentFormat::new(Arc::new(InMemory::of(&[text])));
    let context = rows::context(
        "ROW<a BIGINT, b STRING, c ARRAY<ROW<x INT>>, d DOUBLE>",
        "ROW<a BIGINT, b STRING, c ARRAY<ROW<x INT>>, d DOUBLE>",
        &[],
    );
    let Some(factory) = rows::given(format.message_decoding(&context)) else { return };
    let message = [&[0u8; 5][..], value].concat();
    rows::check_messages(&context.schema, factory.as_ref(), &[&message, &message]);
    // And as the schema that a table names.
    let mut context = rows::context("ROW<a BIGINT, b STRING>", "ROW<a BIGINT, b STRING>", &[("subject", "s")]);
    context.options = [("subject", "s"), ("schema", text)].into_iter().collect();
    rows::given(format.message_decoding(&context).map(drop));
    rows::given(format.encoding(&context).map(drop));
}
