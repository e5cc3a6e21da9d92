//! JSON: values out of texts by paths, and texts out of values. As Calcite and Jackson do it, which Flink uses.
//!
//! The clauses of SQL (`RETURNING`, `ON EMPTY`, `ON ERROR`, `ON NULL`, wrappers) come as arguments that are words.

mod construct;
mod filter;
mod path;
mod query;
mod quote;
pub(crate) mod value;

pub use construct::object_text;
use flott_core::Result;
pub(crate) use value::{Json, compare_keys};

use super::shape::entry;
use super::{Arguments, Category, Resolve, ScalarFunction};

const fn function(
    name: &'static str,
    syntax: &'static str,
    description: &'static str,
    arity: (usize, usize),
    resolve: Resolve,
) -> ScalarFunction {
    entry(Category::Json, name, syntax, description, arity, resolve)
}

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    function(
        "IS_JSON",
        "text IS [NOT] JSON [VALUE | ARRAY | OBJECT | SCALAR]",
        "Whether a text is JSON; FALSE of NULL.",
        (1, 2),
        query::is_json,
    ),
    function(
        "JSON_EXISTS",
        "JSON_EXISTS(text, path [TRUE | FALSE | UNKNOWN | ERROR ON ERROR])",
        "Whether a path leads to a value.",
        (2, 3),
        query::exists,
    ),
    function(
        "JSON_VALUE",
        "JSON_VALUE(text, path [RETURNING type] [NULL | ERROR | DEFAULT value ON EMPTY] [.. ON ERROR])",
        "The scalar that a path leads to, as STRING, BOOLEAN, INT or DOUBLE.",
        (2, 7),
        query::value,
    ),
    function(
        "JSON_QUERY",
        "JSON_QUERY(text, path [RETURNING type] [wrapper] [NULL | EMPTY ARRAY | EMPTY OBJECT | ERROR ON EMPTY] [.. ON ERROR])",
        "The array or object that a path leads to, as STRING or ARRAY<STRING>.",
        (2, 6),
        query::query,
    ),
    function(
        "JSON_OBJECT",
        "JSON_OBJECT([KEY] key VALUE value, .. [NULL | ABSENT ON NULL])",
        "A JSON object; NULL is written as null.",
        (0, 65_535),
        construct::object,
    ),
    function(
        "JSON_ARRAY",
        "JSON_ARRAY(value, .. [NULL | ABSENT ON NULL])",
        "A JSON array; NULL is left out.",
        (0, 65_535),
        construct::array,
    ),
    function(
        "JSON",
        "JSON(text)",
        "A text that is JSON already, as a value of JSON_OBJECT and JSON_ARRAY.",
        (1, 1),
        construct::json,
    ),
    function("JSON_STRING", "JSON_STRING(value)", "Any value as JSON.", (1, 1), construct::string),
    function("JSON_QUOTE", "JSON_QUOTE(text)", "A text as a JSON string, in ASCII.", (1, 1), quote::quote),
    function("JSON_UNQUOTE", "JSON_UNQUOTE(text)", "A JSON string as the text that it means.", (1, 1), quote::unquote),
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
