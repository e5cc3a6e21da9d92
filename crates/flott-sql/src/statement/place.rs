//! Where in the script an error of a part lies: expressions and views are bound as texts of their own.

use flott_core::Error;
use flott_core::error::Position;
use sqlparser::ast::Ident;

use crate::parser::ast::{ColumnDef, ColumnSpec, CreateTable, ExpressionText, WatermarkDef, position};

/// The context that names a computed column.
pub(super) const COMPUTED_COLUMN: &str = "computed column";
/// The context that names a watermark's column.
pub(super) const WATERMARK: &str = "watermark of column";

/// An error with its position, which counts from the beginning of a text, as one in the script that has the text at
/// `base`. Without a position the base is the place.
pub(super) fn moved(e: Error, base: Position) -> Error {
    let place = match e.position() {
        Some(Position { line: 1, column }) => Position { line: base.line, column: base.column + column.max(1) - 1 },
        Some(Position { line, column }) => Position { line: base.line + line.max(1) - 1, column },
        None => return e.at(base),
    };
    without_position(&e).at(place)
}

/// The same error without a position: it lies in a text that the script does not have.
fn without_position(e: &Error) -> Error {
    let mut message = e.message().to_string();
    if let Some(cause) = std::error::Error::source(e).map(ToString::to_string)
        && !message.contains(&cause)
    {
        message = format!("{message}: {cause}");
    }
    let mut new = Error::new(e.kind(), message);
    for (what, value) in e.contexts() {
        new = new.with(what, value);
    }
    match e.hint_text() {
        Some(hint) => new.hint(hint),
        None => new,
    }
}

/// An error of [`resolve`](super::schema::resolve) at its place in the statement with these parts; an error in a part
/// that came from elsewhere (LIKE, an earlier statement) has none.
pub(super) fn in_statement<'a>(
    e: Error,
    mut columns: impl Iterator<Item = &'a ColumnDef>,
    watermark: Option<&WatermarkDef>,
) -> Error {
    let expression: Option<&ExpressionText> = if let Some(name) = e.context(COMPUTED_COLUMN) {
        columns.find(|c| c.name.value == name).and_then(|c| match &c.spec {
            ColumnSpec::Computed(text) => Some(text),
            _ => None,
        })
    } else if e.context(WATERMARK).is_some() {
        watermark.map(|w| &w.expression)
    } else {
        return e;
    };
    match expression {
        Some(text) => moved(e, text.position),
        None => without_position(&e),
    }
}

/// Where the column stands that an error is about: in the watermark or key that is wrong, or where it is declared.
pub(super) fn of_column(e: &Error, create: &CreateTable) -> Option<Position> {
    let name = e.context("column")?;
    let of_idents = |idents: &[Ident]| idents.iter().find(|i| i.value == name).map(place_of);
    let message = e.message().to_lowercase();
    let watermark = create.watermark.as_ref().filter(|w| message.contains("watermark") && w.column.to_string() == name);
    let key = create.primary_key.iter().filter(|_| message.contains("primary key"));
    watermark
        .map(|w| w.column.position())
        .or_else(|| key.into_iter().find_map(|k| of_idents(&k.columns)))
        .or_else(|| of_idents(&create.partition_keys).filter(|_| message.contains("partition")))
        // Of two of a name the last one is too many.
        .or_else(|| create.columns.iter().rev().find(|c| c.name.value == name).map(|c| place_of(&c.name)))
}

fn place_of(name: &Ident) -> Position {
    position(name.span.start)
}
