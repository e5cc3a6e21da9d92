//! Type names of the AST to Flink's types.

use flott_core::{Error, LogicalType, Result};
use sqlparser::ast::{DataType, ObjectName};

use crate::parser::dialect::TYPE_TEXT;

/// The type that a CAST names. A type in a CAST is nullable as its operand is; `NOT NULL` has no meaning there.
pub(crate) fn data_type(t: &DataType) -> Result<LogicalType> {
    let text = match t {
        DataType::Custom(ObjectName(parts), arguments)
            if parts.len() == 1 && parts[0].as_ident().is_some_and(|i| i.value == TYPE_TEXT) =>
        {
            arguments.join(" ")
        }
        other => other.to_string(),
    };
    text.parse().map_err(|e: Error| e.with("type", text))
}
