//! csv, with the rules of Flink's csv format (which are those of Jackson's csv parser).
//!
//! A record ends at a line break outside quotes (`\n`, `\r\n` or a lone `\r`). Fields may be enclosed in quotes; a quote
//! inside is doubled. There is no header, unless `ignore-first-line` says so. An empty field is an empty string, and no
//! number: `null-literal` or `empty-string-as-null` make it NULL. Two levels of nesting are possible: an ARRAY or ROW
//! column of simple types, its parts divided by `array-element-delimiter`.

mod column;
mod decoder;
mod encoder;
mod lanes;
pub(crate) mod options;
mod simd;
mod structure;

use std::sync::Arc;

use arrow_schema::SchemaRef;
use flott_connector::format::{Decoding, EncoderFactory, FormatContext, FormatFactory, MessageDecoderFactory};
use flott_connector::infer::Infer;
use flott_core::options::ConfigOption;
use flott_core::types::{LogicalType, TypeKind, from_arrow_field};
use flott_core::{Error, Result};

pub use options::OPTIONS;

use self::decoder::CsvDecoding;
use self::encoder::CsvEncoding;
use self::options::CsvOptions;
use crate::infer::CsvInference;

/// The longest record. A missing closing quote would otherwise read a whole file into memory.
pub const RECORD_BYTES_MAX: usize = 16 << 20;
/// The most columns.
pub const COLUMNS_MAX: usize = 4096;

/// The format `csv`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CsvFormat;

impl FormatFactory for CsvFormat {
    fn identifier(&self) -> &'static str {
        "csv"
    }

    fn options(&self) -> &'static [ConfigOption] {
        OPTIONS
    }

    fn decoding(&self, context: &FormatContext) -> Result<Decoding> {
        Ok(Decoding::Stream(Arc::new(CsvDecoding::new(context)?)))
    }

    fn message_decoding(&self, context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>> {
        Ok(Arc::new(CsvDecoding::new(context)?))
    }

    fn inference(&self) -> Option<Arc<dyn Infer>> {
        Some(Arc::new(CsvInference))
    }

    fn encoding(&self, context: &FormatContext) -> Result<Arc<dyn EncoderFactory>> {
        check_columns(&context.schema, false)?;
        Ok(Arc::new(CsvEncoding::new(context.schema.clone(), CsvOptions::parse(&context.options)?)))
    }
}

/// Refuses what csv cannot hold, as Flink does.
fn check_columns(schema: &SchemaRef, reading: bool) -> Result<()> {
    if schema.fields().is_empty() || schema.fields().len() > COLUMNS_MAX {
        return Err(Error::user(format!(
            "Format 'csv' can hold 1 to {COLUMNS_MAX} columns, but there are {}",
            schema.fields().len()
        )));
    }
    for field in schema.fields() {
        let logical = from_arrow_field(field);
        let ok = logical.as_ref().is_some_and(|t| match &t.kind {
            TypeKind::Array(element) => is_simple(element),
            TypeKind::Row(fields) => fields.iter().all(|f| is_simple(&f.data_type)),
            _ => is_simple(t),
        });
        let shown = logical.map_or_else(|| field.data_type().to_string(), |t| t.to_string());
        if !ok {
            return Err(Error::user(format!(
                "Unsupported type '{shown}' for field '{}' in format 'csv'",
                field.name()
            ))
            .with("column", field.name())
            .hint("csv holds simple types, and ARRAY and ROW of simple types; use 'json' or 'parquet' for others"));
        }
        if reading && has_fine_time(field.data_type()) {
            return Err(Error::user(format!(
                "Format 'csv' reads TIME with a precision of 0 to 3, but field '{}' is {shown}",
                field.name()
            ))
            .with("column", field.name())
            .hint("Declare the column as TIME(3)"));
        }
    }
    Ok(())
}

fn is_simple(t: &LogicalType) -> bool {
    t.kind.is_numeric()
        || t.kind.is_character()
        || t.kind.is_binary()
        || t.kind.is_datetime()
        || matches!(t.kind, TypeKind::Boolean | TypeKind::Null)
}

fn has_fine_time(data_type: &arrow_schema::DataType) -> bool {
    use arrow_schema::DataType;
    match data_type {
        DataType::Time64(_) => true,
        DataType::List(e) => has_fine_time(e.data_type()),
        DataType::Struct(fields) => fields.iter().any(|f| has_fine_time(f.data_type())),
        _ => false,
    }
}
