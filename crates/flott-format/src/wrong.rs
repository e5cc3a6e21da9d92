//! What is wrong in a record, and where in it.

use flott_core::Error;

/// Why a record cannot be read, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The column and what lies below it.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) reason: String,
}

/// What was read, or why it was not.
pub(crate) type Read<T> = Result<T, Box<Wrong>>;

/// A reason; callers put the path before it.
pub(crate) fn wrong<T>(reason: impl Into<String>) -> Read<T> {
    Err(Box::new(Wrong { path: String::new(), reason: reason.into() }))
}

/// Puts the name of a column or field before the path.
#[cold]
pub(crate) fn below(mut e: Box<Wrong>, name: &str) -> Box<Wrong> {
    e.path = match e.path.as_str() {
        "" => name.to_string(),
        path if path.starts_with('[') => format!("{name}{path}"),
        path => format!("{name}.{path}"),
    };
    e
}

#[expect(clippy::boxed_local, reason = "as it comes from where it went wrong")]
/// As an error about data, with the column.
pub(crate) fn error(wrong: Box<Wrong>) -> Error {
    let error = Error::data(wrong.reason);
    if wrong.path.is_empty() { error } else { error.with("column", wrong.path) }
}
