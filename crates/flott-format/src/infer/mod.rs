//! Columns from data: the type that fits all values of a place, found by looking at one after the other.

mod csv;
mod json;
mod text;

pub(crate) use self::csv::CsvInference;
pub(crate) use self::json::JsonInference;

use flott_core::types::{RowField, TypeKind};
use flott_core::{Error, LogicalType, Result};

use self::text::TextKind;

/// Columns of a proposal.
pub(crate) const COLUMNS_MAX: usize = 10_000;
/// Keys of one object: with more it is a map, and not a row.
const FIELDS_MAX: usize = 1_000;
/// Places inside each other; what is deeper is text.
const DEPTH_MAX: usize = 64;

/// What the values of one place have been so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shape {
    /// `None`: nothing but NULL.
    kind: Option<Kind>,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Boolean,
    /// Whole numbers: whether all fit a BIGINT, and the most digits of one.
    Integer {
        fits: bool,
        digits: u32,
    },
    /// Numbers with a fraction written out: digits before and behind the point.
    Decimal {
        whole: u32,
        scale: u32,
    },
    Double,
    Text(TextKind),
    Array(Box<Shape>),
    Row(Vec<(String, Shape)>),
    /// An object with more keys than a row has.
    Map(Box<Shape>),
    /// Values that have no type in common.
    Mixed,
}

impl Shape {
    fn of(kind: Kind) -> Shape {
        Shape { kind: Some(kind) }
    }

    /// What both are.
    fn merge(&mut self, other: Shape) {
        let Some(other) = other.kind else { return };
        self.kind = Some(match self.kind.take() {
            None => other,
            Some(mine) => merge(mine, other),
        });
    }

    /// The type, and notes about the place called `path`.
    fn data_type(&self, path: &str, notes: &mut Vec<String>) -> LogicalType {
        let kind = match &self.kind {
            None => {
                notes.push(format!("{path}: the sample holds nothing but NULL; STRING is a guess"));
                TypeKind::STRING
            }
            Some(Kind::Boolean) => TypeKind::Boolean,
            Some(Kind::Integer { fits: true, .. }) => TypeKind::BigInt,
            Some(Kind::Integer { fits: false, .. }) => TypeKind::Decimal { precision: 38, scale: 0 },
            Some(Kind::Decimal { whole, scale }) => decimal(*whole, *scale),
            Some(Kind::Double) => TypeKind::Double,
            Some(Kind::Text(text)) => text.data_type(),
            Some(Kind::Array(element)) => TypeKind::Array(Box::new(element.data_type(&format!("{path}[]"), notes))),
            Some(Kind::Row(fields)) if fields.is_empty() => {
                notes.push(format!("{path}: the sample holds nothing but empty objects; a map is a guess"));
                TypeKind::Map(Box::new(TypeKind::STRING.nullable()), Box::new(TypeKind::STRING.nullable()))
            }
            Some(Kind::Row(fields)) => {
                let field = |(name, shape): &(String, Shape)| {
                    RowField::new(name, shape.data_type(&format!("{path}.{name}"), notes))
                };
                TypeKind::Row(fields.iter().map(field).collect())
            }
            Some(Kind::Map(value)) => {
                let value = value.data_type(&format!("{path}.*"), notes);
                TypeKind::Map(Box::new(TypeKind::STRING.nullable()), Box::new(value))
            }
            Some(Kind::Mixed) => {
                notes.push(format!("{path}: its values have no type in common; STRING holds their text"));
                TypeKind::STRING
            }
        };
        kind.into()
    }
}

/// Room for larger numbers than those of the sample, where that costs nothing.
fn decimal(whole: u32, scale: u32) -> TypeKind {
    match u8::try_from(scale) {
        Ok(scale) if whole + u32::from(scale) <= 12 => TypeKind::Decimal { precision: 18, scale },
        Ok(scale) if whole + u32::from(scale) <= 38 => TypeKind::Decimal { precision: 38, scale },
        _ => TypeKind::Double,
    }
}

fn merge(mine: Kind, other: Kind) -> Kind {
    use Kind::{Array, Boolean, Decimal, Double, Integer, Map, Mixed, Row, Text};
    match (mine, other) {
        (Boolean, Boolean) => Boolean,
        (Integer { fits: a, digits: x }, Integer { fits: b, digits: y }) => Integer { fits: a && b, digits: x.max(y) },
        (Decimal { whole: w, scale: s }, Decimal { whole, scale }) => {
            Decimal { whole: w.max(whole), scale: s.max(scale) }
        }
        // How long the whole ones are is not counted: those of a BIGINT have 19 digits.
        (Integer { digits, .. }, Decimal { whole, scale }) | (Decimal { whole, scale }, Integer { digits, .. }) => {
            Decimal { whole: whole.max(digits), scale }
        }
        (Double, Integer { .. } | Decimal { .. } | Double) | (Integer { .. } | Decimal { .. }, Double) => Double,
        (Text(a), Text(b)) => Text(a.merge(b)),
        (Array(mut a), Array(b)) => {
            a.merge(*b);
            Array(a)
        }
        (Row(a), Row(b)) => rows(a, b),
        (Map(mut a), Row(b)) | (Row(b), Map(mut a)) => {
            b.into_iter().for_each(|(_, shape)| a.merge(shape));
            Map(a)
        }
        (Map(mut a), Map(b)) => {
            a.merge(*b);
            Map(a)
        }
        _ => Mixed,
    }
}

/// Fields of either, those of the first before.
fn rows(mut mine: Vec<(String, Shape)>, other: Vec<(String, Shape)>) -> Kind {
    for (at, (name, shape)) in other.into_iter().enumerate() {
        // Most objects have their keys in one order.
        let found = match mine.get(at) {
            Some((there, _)) if *there == name => Some(at),
            _ => mine.iter().position(|(there, _)| *there == name),
        };
        match found {
            Some(at) => mine[at].1.merge(shape),
            None => mine.push((name, shape)),
        }
    }
    of_fields(mine)
}

fn of_fields(fields: Vec<(String, Shape)>) -> Kind {
    if fields.len() <= FIELDS_MAX {
        return Kind::Row(fields);
    }
    let mut value = Shape::default();
    fields.into_iter().for_each(|(_, shape)| value.merge(shape));
    Kind::Map(Box::new(value))
}

/// Nothing can be told from nothing.
fn check_sample(records: usize) -> Result<()> {
    if records > 0 {
        return Ok(());
    }
    Err(Error::user("there is no record to infer columns from")
        .hint("Show it data: a file that is not empty, a topic with messages; or write the CREATE TABLE by hand"))
}
