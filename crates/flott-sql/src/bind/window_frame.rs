//! `ROWS BETWEEN 2 PRECEDING AND CURRENT ROW`: the frames of windows, and which of them there are.

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, Operator};
use flott_core::types::TypeKind;
use flott_core::{Error, Result};
use flott_function::AggregateKind;
use flott_graph::{OverBound, OverFrame, OverOffset};
use sqlparser::ast::{self, Spanned, WindowFrameBound, WindowFrameUnits};
use sqlparser::tokenizer::Span;

use super::expression::ExpressionBinder;
use super::functions::Functions;
use super::refuse::{at, unsupported};
use super::scope::{Scope, Typed};

/// A key of a window's order.
pub(super) struct Ordered {
    pub(super) value: Typed,
    pub(super) ascending: bool,
    pub(super) nulls_last: bool,
}

/// The frame of a function's window.
pub(super) fn frame_of(
    functions: &Functions,
    order: &[Ordered],
    frame: Option<&ast::WindowFrame>,
    kind: Option<AggregateKind>,
    name: &str,
    batch: bool,
    span: Span,
) -> Result<OverFrame> {
    let wrong = |text: &str, hint: &str| Err(at(Error::user(text).hint(hint), span));
    if kind.is_none() {
        if frame.is_some() {
            let hint = format!("{name} sees its whole partition: leave the frame out");
            return wrong("ROW/RANGE not allowed with RANK, DENSE_RANK or ROW_NUMBER functions", &hint);
        }
        if order.is_empty() && !matches!(name, "ROW_NUMBER" | "LAG" | "LEAD") {
            let text = "RANK or DENSE_RANK functions require ORDER BY clause in window specification";
            return wrong(text, "Say in which order rows are numbered");
        }
        let constant = order.iter().all(|k| matches!(k.value.expr, Expr::Literal(..)));
        if constant && !matches!(name, "LAG" | "LEAD") {
            let text = "Over Agg: The window rank function requires order by clause with non-constant fields. please \
                        re-check the over window statement.";
            return wrong(text, "Order by a column");
        }
        return Ok(OverFrame::so_far(name == "ROW_NUMBER"));
    }
    let Some(frame) = frame else {
        // Without an order all rows are equal.
        return Ok(if order.is_empty() { OverFrame::WHOLE } else { OverFrame::so_far(false) });
    };
    let ast::WindowFrame { units, start_bound, end_bound } = frame;
    let rows = match units {
        WindowFrameUnits::Rows => true,
        WindowFrameUnits::Range => false,
        WindowFrameUnits::Groups => return Err(unsupported("GROUPS as the unit of a frame", span)),
    };
    let end = end_bound.as_ref().unwrap_or(&WindowFrameBound::CurrentRow);
    check_bounds(start_bound, end, end_bound.is_some(), span)?;
    let bound = |b: &WindowFrameBound| -> Result<OverBound> {
        Ok(match b {
            WindowFrameBound::CurrentRow => OverBound::CurrentRow,
            WindowFrameBound::Preceding(None) => OverBound::UnboundedPreceding,
            WindowFrameBound::Following(None) => OverBound::UnboundedFollowing,
            WindowFrameBound::Preceding(Some(e)) => match offset(functions, order, rows, batch, e)? {
                back if back.unscaled < 0 => OverBound::Following(turned(back)),
                offset => OverBound::Preceding(offset),
            },
            WindowFrameBound::Following(Some(e)) => match offset(functions, order, rows, batch, e)? {
                back if back.unscaled < 0 => OverBound::Preceding(turned(back)),
                offset => OverBound::Following(offset),
            },
        })
    };
    let frame = OverFrame { rows, lower: bound(start_bound)?, upper: bound(end)? };
    // In no order there is no row before another one: Flink sees the whole partition then.
    Ok(if order.is_empty() { OverFrame::WHOLE } else { frame })
}

fn check_bounds(start: &WindowFrameBound, end: &WindowFrameBound, has_end: bool, span: Span) -> Result<()> {
    use WindowFrameBound::{CurrentRow, Following, Preceding};
    let text = match (start, end) {
        (Following(None), _) => "UNBOUNDED FOLLOWING cannot be specified for the lower frame boundary",
        (_, Preceding(None)) => "UNBOUNDED PRECEDING cannot be specified for the upper frame boundary",
        (CurrentRow, Preceding(Some(_))) => {
            "Upper frame boundary cannot be PRECEDING when lower boundary is CURRENT ROW"
        }
        (Following(Some(_)), CurrentRow) if has_end => {
            "Upper frame boundary cannot be CURRENT ROW when lower boundary is FOLLOWING"
        }
        (Following(Some(_)), Preceding(Some(_))) => {
            "Upper frame boundary cannot be PRECEDING when lower boundary is FOLLOWING"
        }
        _ => return Ok(()),
    };
    Err(at(Error::user(text).hint("Write BETWEEN .. PRECEDING AND CURRENT ROW, or AND .. FOLLOWING"), span))
}

/// A distance in the other direction.
fn turned(offset: OverOffset) -> OverOffset {
    OverOffset { unscaled: -offset.unscaled, ..offset }
}

/// The distance of a bound; that of a RANGE of numbers in a batch may be below zero.
fn offset(functions: &Functions, order: &[Ordered], rows: bool, batch: bool, e: &ast::Expr) -> Result<OverOffset> {
    let span = e.span();
    let wrong = |text: &str, hint: &str| Err(at(Error::user(text).hint(hint), span));
    let scope = Scope::default();
    let bound = ExpressionBinder::new(functions, &scope, "a frame").bind(e);
    let Ok(value) = bound else {
        return wrong(
            if rows { "ROWS value must be a non-negative integral constant" } else { "RANGE value must be a constant" },
            "Write a literal",
        );
    };
    let constant = constant(&value.expr);
    if rows {
        return match constant {
            Some(o) if o.scale == 0 && o.unscaled >= 0 => Ok(o),
            _ => wrong("ROWS value must be a non-negative integral constant", "Write a number, as in ROWS 2 PRECEDING"),
        };
    }
    let key = match order {
        [] => return wrong("Window specification must contain an ORDER BY clause", "Order by one column"),
        [key] => &key.value.data_type.kind,
        _ => {
            return wrong(
                "RANGE clause cannot be used with compound ORDER BY clause",
                "Order by one column, or use ROWS",
            );
        }
    };
    if matches!(value.data_type.kind, TypeKind::IntervalYearMonth(..)) && key.is_datetime() {
        return wrong(
            "INTERVAL_YEAR_MONTH type is not allowed for window boundary",
            "Write an interval of days or less",
        );
    }
    let fits = if key.is_datetime() {
        value.data_type.kind.is_interval()
    } else if key.is_numeric() {
        value.data_type.kind.is_numeric()
    } else {
        return wrong(
            "Data type of ORDER BY prohibits use of RANGE clause",
            "Order by a number or a time, or use ROWS",
        );
    };
    if !fits {
        let hint = if key.is_datetime() { "Write RANGE INTERVAL '1' MINUTE PRECEDING" } else { "Write a number" };
        return wrong("Data Type mismatch between ORDER BY and RANGE clause", hint);
    }
    match constant {
        Some(o) if o.unscaled >= 0 || batch && key.is_numeric() => Ok(o),
        _ => wrong("RANGE value must be a non-negative constant", "Write a literal that is not below zero"),
    }
}

/// A literal, or a sum of some.
fn constant(e: &Expr) -> Option<OverOffset> {
    let exact = |unscaled: i128, scale: u8| Some(OverOffset { unscaled, scale });
    match super::window::unaliased(e) {
        Expr::Literal(value, _) => match value {
            ScalarValue::DurationMillisecond(Some(ms)) => exact(i128::from(*ms), 0),
            ScalarValue::Decimal128(Some(v), _, scale) => exact(*v, u8::try_from(*scale).ok()?),
            ScalarValue::Float64(Some(v)) => {
                let text = format!("{v}");
                let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
                exact(format!("{whole}{part}").parse().ok()?, u8::try_from(part.len()).ok()?)
            }
            _ => exact(i128::from(super::over::integer(e)?), 0),
        },
        Expr::ScalarFunction(f) => {
            let super::Shown::Operator(op) = Functions::shown(f)? else { return None };
            let [left, right] = f.args.as_slice() else { return None };
            combined(op, constant(left)?, constant(right)?)
        }
        Expr::BinaryExpr(b) => {
            let op = match b.op {
                Operator::Plus => "+",
                Operator::Minus => "-",
                Operator::Multiply => "*",
                _ => return None,
            };
            combined(op, constant(&b.left)?, constant(&b.right)?)
        }
        _ => None,
    }
}

fn combined(op: &str, left: OverOffset, right: OverOffset) -> Option<OverOffset> {
    if op == "*" {
        let unscaled = left.unscaled.checked_mul(right.unscaled)?;
        return Some(OverOffset { unscaled, scale: left.scale.checked_add(right.scale)? });
    }
    let scale = left.scale.max(right.scale);
    let of = |o: OverOffset| o.unscaled.checked_mul(10i128.checked_pow(u32::from(scale - o.scale))?);
    let (left, right) = (of(left)?, of(right)?);
    let unscaled = match op {
        "+" => left.checked_add(right)?,
        "-" => left.checked_sub(right)?,
        _ => return None,
    };
    Some(OverOffset { unscaled, scale })
}
