//! CAST as it is written: what depends on the words of a query, and not on types alone.

use datafusion_common::ScalarValue;
use flott_core::types::{DayTimeResolution as D, TypeKind as K, YearMonthResolution as Y};
use flott_core::{Error, LogicalType, Result};
use sqlparser::ast::{CastKind, DataType, Expr as Ast, UnaryOperator};

use super::expression::ExpressionBinder;
use super::refuse::At;
use super::scope::Typed;
use super::types::data_type;

impl ExpressionBinder<'_> {
    /// `CAST(value AS target)` or `TRY_CAST`.
    pub(super) fn cast(&mut self, value: &Ast, target: &DataType, try_cast: bool) -> Result<Typed> {
        let target = data_type(target)?;
        let bound = match number_behind_text(value, &target.kind).filter(|_| !try_cast) {
            // Flink's planner leaves such a text out: a number that does not fit wraps instead of being no number. A constant's
            // is read.
            Some((number, text)) => {
                let (number, text) = (self.bind(number)?, data_type(text).at_expr(value)?);
                let is_left_out = holds_number(&text.kind, &number.data_type.kind) && number.constant().is_none();
                if is_left_out { number } else { self.bind(value)? }
            }
            None => self.bind(value)?,
        };
        if bound.data_type.kind.is_numeric() && target.kind.is_interval() {
            let Some(unit) = unit(&target.kind) else {
                let (from, to) = (bound.data_type.summary_without_nullability(), target.summary_without_nullability());
                return Err(Error::user(format!("Cast function cannot convert value of type {from} to type {to}"))
                    .hint("Write INTERVAL '1' DAY, or multiply it by the number"));
            };
            // Of a literal Flink counts units, of all others and for TRY_CAST milliseconds or months.
            if !try_cast
                && is_literal(value)
                && let Some(number) = bound.constant().and_then(literal_number)
            {
                return interval(number, unit, &target);
            }
        }
        let target = flott_function::interval_in_query(target.kind).nullable();
        self.functions.cast(bound, &target, try_cast)
    }
}

/// Whether a number is written, with a sign or without.
fn is_literal(e: &Ast) -> bool {
    match e {
        Ast::Nested(x) | Ast::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr: x } => is_literal(x),
        Ast::Value(_) => true,
        _ => false,
    }
}

/// The number and the type of the text of `CAST(CAST(number AS text) AS ..)`, where what comes out is a number.
fn number_behind_text<'a>(value: &'a Ast, target: &K) -> Option<(&'a Ast, &'a DataType)> {
    match value {
        Ast::Nested(inner) => number_behind_text(inner, target),
        Ast::Cast { kind: CastKind::Cast, expr, data_type, array: false, format: None } if target.is_numeric() => {
            Some((expr, data_type))
        }
        _ => None,
    }
}

/// Whether a text of this type has room for the digits, the sign and the point of every number of that one.
fn holds_number(text: &K, number: &K) -> bool {
    let digits = match number {
        // The planner counts so many.
        K::Float => 7,
        K::Double => 15,
        other => match flott_function::as_decimal(other) {
            Some((precision, 0)) => u32::from(precision),
            Some((precision, scale)) => u32::from(precision) + u32::from(scale) + 1,
            None => return false,
        },
    };
    matches!(text, K::Char(n) | K::VarChar(n) if *n > digits)
}

/// Milliseconds or months of the one field of an interval; `None` where it has several.
fn unit(interval: &K) -> Option<i64> {
    Some(match interval {
        K::IntervalYearMonth(Y::Year, _) => 12,
        K::IntervalYearMonth(Y::Month, _) => 1,
        K::IntervalDayTime(D::Day, ..) => 86_400_000,
        K::IntervalDayTime(D::Hour, ..) => 3_600_000,
        K::IntervalDayTime(D::Minute, ..) => 60_000,
        K::IntervalDayTime(D::Second, ..) => 1_000,
        _ => return None,
    })
}

/// A number and the digits of its fraction.
fn literal_number(value: &ScalarValue) -> Option<(i128, u32)> {
    Some(match value {
        ScalarValue::Int8(Some(v)) => (i128::from(*v), 0),
        ScalarValue::Int16(Some(v)) => (i128::from(*v), 0),
        ScalarValue::Int32(Some(v)) => (i128::from(*v), 0),
        ScalarValue::Int64(Some(v)) => (i128::from(*v), 0),
        ScalarValue::Decimal128(Some(v), _, scale) => (*v, u32::try_from(*scale).ok()?),
        _ => return None,
    })
}

/// So many units as an interval.
fn interval((number, scale): (i128, u32), unit: i64, target: &LogicalType) -> Result<Typed> {
    let too_large = || Error::user(format!("The number does not fit {}", target.summary_without_nullability()));
    let count = number.checked_mul(i128::from(unit)).ok_or_else(too_large)? / 10i128.pow(scale);
    let kind = flott_function::interval_in_query(target.kind.clone());
    let value = match kind {
        K::IntervalYearMonth(..) => {
            ScalarValue::IntervalYearMonth(Some(i32::try_from(count).map_err(|_| too_large())?))
        }
        _ => ScalarValue::DurationMillisecond(Some(i64::try_from(count).map_err(|_| too_large())?)),
    };
    Ok(Typed::literal(value, kind.not_null()))
}
