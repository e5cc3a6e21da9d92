//! json, with the rules of Flink's json format.
//!
//! Files hold one value a line; a message is one value. The value is an object (one row) or an array of objects (several
//! rows). Fields are found by name, in any order; a name that stands twice gives its last value.

pub(crate) mod decoder;
mod encoder;
mod options;
pub(crate) mod scanner;
mod value;

use std::sync::Arc;

use arrow_schema::{DataType, Field, SchemaRef};
use flott_connector::format::{Decoding, EncoderFactory, FormatContext, FormatFactory, MessageDecoderFactory};
use flott_connector::infer::Infer;
use flott_core::options::ConfigOption;
use flott_core::types::{LogicalType, TypeKind, from_arrow_field};
use flott_core::{Error, Result};

pub use options::OPTIONS;

use self::decoder::JsonDecoding;
use self::encoder::JsonEncoding;
use self::options::JsonOptions;
use crate::infer::JsonInference;

/// The longest line or message.
pub const RECORD_BYTES_MAX: usize = 16 << 20;
/// Objects and arrays inside each other.
pub const DEPTH_MAX: usize = 128;

/// The format `json`.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonFormat;

impl FormatFactory for JsonFormat {
    fn identifier(&self) -> &'static str {
        "json"
    }

    fn options(&self) -> &'static [ConfigOption] {
        OPTIONS
    }

    fn decoding(&self, context: &FormatContext) -> Result<Decoding> {
        check_columns(&context.schema)?;
        Ok(Decoding::Stream(Arc::new(JsonDecoding::new(context)?)))
    }

    fn message_decoding(&self, context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>> {
        check_columns(&context.schema)?;
        Ok(Arc::new(JsonDecoding::new(context)?))
    }

    fn inference(&self) -> Option<Arc<dyn Infer>> {
        Some(Arc::new(JsonInference { changes: None }))
    }

    fn encoding(&self, context: &FormatContext) -> Result<Arc<dyn EncoderFactory>> {
        check_columns(&context.schema)?;
        Ok(Arc::new(JsonEncoding::new(context.schema.clone(), JsonOptions::parse(&context.options)?)))
    }
}

/// Refuses what json cannot hold, as Flink does.
pub(crate) fn check_columns(schema: &SchemaRef) -> Result<()> {
    schema.fields().iter().try_for_each(|f| check_field(f, f))
}

fn check_field(column: &Field, field: &Field) -> Result<()> {
    let Some(logical) = from_arrow_field(field) else {
        return Err(Error::user(format!("Unsupported type '{}' in format 'json'", field.data_type()))
            .with("column", column.name()));
    };
    if matches!(logical.kind, TypeKind::Variant | TypeKind::Bitmap) {
        return Err(Error::user(format!("Unsupported type '{logical}' in format 'json'"))
            .with("column", column.name())
            .hint("Write JSON_STRING(variant) or BITMAP_TO_STRING(bitmap), and read with PARSE_JSON"));
    }
    if let TypeKind::Map(key, _) | TypeKind::Multiset(key) = &logical.kind
        && !key.kind.is_character()
    {
        return Err(map_key(column, &logical));
    }
    match field.data_type() {
        DataType::List(e) => check_field(column, e),
        DataType::Struct(fields) => fields.iter().try_for_each(|f| check_field(column, f)),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(kv) if kv.len() == 2 => check_field(column, &kv[1]),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn map_key(column: &Field, logical: &LogicalType) -> Error {
    Error::user(format!("JSON format doesn't support non-string as key type of map. The type is: {logical}"))
        .with("column", column.name())
        .hint("Declare the key as STRING and cast it in the query")
}
