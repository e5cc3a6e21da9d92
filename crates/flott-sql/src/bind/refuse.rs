//! Errors of the binder: where in the script, what is wrong, what to do next.

use std::fmt::Display;

use flott_connector::table::ObjectIdentifier;
use flott_core::error::Position;
use flott_core::options::Options;
use flott_core::{Error, Result, suggest};
use sqlparser::ast::{Expr, Ident, ObjectName, Spanned};
use sqlparser::tokenizer::Span;

/// The start of a span; `None` where a node was made without one.
pub(crate) fn position(span: Span) -> Option<Position> {
    (span.start.line > 0).then_some(Position { line: span.start.line, column: span.start.column })
}

/// Adds the position of an AST node to an error that has none.
pub(crate) trait At<T> {
    /// Adds where the span starts.
    fn at_span(self, span: Span) -> Result<T>;
    /// Adds where the expression starts.
    fn at_expr(self, expr: &Expr) -> Result<T>;
}

impl<T> At<T> for Result<T> {
    fn at_span(self, span: Span) -> Result<T> {
        self.map_err(|e| at(e, span))
    }

    fn at_expr(self, expr: &Expr) -> Result<T> {
        // Spans of deep expressions are costly: only errors ask for them.
        self.map_err(|e| at(e, expr.span()))
    }
}

/// An error with the position of a span.
pub(crate) fn at(error: Error, span: Span) -> Error {
    match position(span) {
        Some(p) => error.at(p),
        None => error,
    }
}

/// A construct that Flink knows, or that the parser takes, and that has no plan here.
pub(crate) fn unsupported(what: impl Display, span: Span) -> Error {
    at(Error::user(format!("not supported yet: {what}")).hint(UNSUPPORTED_HINT), span)
}

/// A construct with its own advice.
pub(crate) fn unsupported_with(what: impl Display, span: Span, hint: impl Into<String>) -> Error {
    at(Error::user(format!("not supported yet: {what}")).hint(hint), span)
}

const UNSUPPORTED_HINT: &str = "Rewrite the query without it; flott docs statements shows what there is";

/// Refuses a clause that is there.
pub(crate) fn refuse_if(present: bool, what: &str, span: Span) -> Result<()> {
    if present { Err(unsupported(what, span)) } else { Ok(()) }
}

const DYNAMIC_OPTIONS: &str = "table.dynamic-table-options.enabled";

/// Refuses an OPTIONS hint where the session has switched them off, for reading and for writing.
pub(crate) fn check_dynamic_options(config: &Options, table: &ObjectIdentifier) -> Result<()> {
    if !config.get(DYNAMIC_OPTIONS).is_some_and(|v| v.eq_ignore_ascii_case("false")) {
        return Ok(());
    }
    Err(Error::user(format!("OPTIONS hint is allowed only when '{DYNAMIC_OPTIONS}' is set to true"))
        .with("table", &table.object)
        .hint(format!("SET '{DYNAMIC_OPTIONS}' = 'true'")))
}

/// A name that is nowhere, with the nearest of those that are.
pub(crate) fn not_found<'a>(
    message: String,
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    all: &str,
    span: Span,
) -> Error {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let error = Error::user(message);
    let error = match suggest::nearest(name, candidates.iter().copied()) {
        Some(near) => error.hint(format!("Did you mean '{near}'?")),
        None if candidates.is_empty() => error,
        None => error.hint(format!("{all}: {}", shortened(&candidates))),
    };
    at(error, span)
}

/// Whether a name is nowhere: the words of [`not_found`]'s messages.
pub(crate) fn is_not_found(error: &Error) -> bool {
    error.message().contains("not found")
}

/// Whether a name may mean several columns.
pub(crate) fn is_ambiguous(error: &Error) -> bool {
    error.message().contains("is ambiguous")
}

/// How many names an error lists.
const NAMES_LISTED_MAX: usize = 30;

fn shortened(names: &[&str]) -> String {
    let more = if names.len() > NAMES_LISTED_MAX { ", …" } else { "" };
    let names: Vec<&str> = names.iter().take(NAMES_LISTED_MAX).copied().collect();
    format!("{}{more}", names.join(", "))
}

/// The parts of a name.
pub(crate) fn name_parts(name: &ObjectName) -> Result<Vec<&Ident>> {
    name.0
        .iter()
        .map(|part| part.as_ident().ok_or_else(|| unsupported("a function call as part of a name", name.span())))
        .collect()
}

/// A name as one word: `COUNT`, `a.b.c`.
pub(crate) fn name_text(name: &ObjectName) -> String {
    name.0.iter().map(|p| p.as_ident().map_or_else(|| p.to_string(), |i| i.value.clone())).collect::<Vec<_>>().join(".")
}

/// DataFusion's errors carry no position and speak of its own SQL: they become ours.
pub(crate) fn from_datafusion(e: datafusion_common::DataFusionError) -> Error {
    match e.find_root() {
        datafusion_common::DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => copy_of(ours),
            None => Error::user(inner.to_string()),
        },
        datafusion_common::DataFusionError::Plan(message) => Error::user(message.clone()),
        other => Error::internal(other.strip_backtrace()),
    }
}

fn copy_of(e: &Error) -> Error {
    let mut copy = Error::new(e.kind(), e.message());
    for (what, value) in e.contexts() {
        copy = copy.with(what, value);
    }
    if let Some(p) = e.position() {
        copy = copy.at(p);
    }
    match e.hint_text() {
        Some(hint) => copy.hint(hint),
        None => copy,
    }
}
