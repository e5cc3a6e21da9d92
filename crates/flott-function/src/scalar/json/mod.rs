//! JSON: values out of texts by paths, and texts out of values. As Calcite and Jackson do it, which Flink uses.
//!
//! The clauses of SQL (`RETURNING`, `ON EMPTY`, `ON ERROR`, `ON NULL`, wrappers) come as arguments that are words.

mod document;
mod filter;
mod is_json;
mod json_array;
mod json_exists;
mod json_object;
mod json_query;
mod json_quote;
mod json_string;
mod json_text;
mod json_unquote;
mod json_value;
mod path;
pub(crate) mod value;
mod write;

pub(crate) use value::{Json, compare_keys};
pub use write::object_text;

use flott_core::Result;

use crate::scalar::{Arguments, ScalarFunction};

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    is_json::IS_JSON,
    json_exists::JSON_EXISTS,
    json_value::JSON_VALUE,
    json_query::JSON_QUERY,
    json_object::JSON_OBJECT,
    json_array::JSON_ARRAY,
    json_text::JSON,
    json_string::JSON_STRING,
    json_quote::JSON_QUOTE,
    json_unquote::JSON_UNQUOTE,
];

/// A clause that SQL writes as words; the default where it is not there.
fn word(a: &Arguments, index: usize, default: &str) -> Result<String> {
    match a.values.get(index) {
        None => Ok(default.to_string()),
        Some(value) => match value.text() {
            Some("") => Ok(default.to_string()),
            Some(word) => Ok(word.to_string()),
            None => Err(flott_core::Error::internal("a clause that is no word")),
        },
    }
}
