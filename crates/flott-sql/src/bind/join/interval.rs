//! Conditions that bound the time between the rows of two tables.

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, LogicalPlan};
use flott_core::types::TimeAttribute;
use flott_core::{Error, LogicalType, Result};

use super::attribute;
use super::predicate::comparison;
use crate::bind::node::IntervalBounds;
use crate::bind::window::unaliased;
use crate::bind::{Functions, Shown, columns_of};

/// A time attribute of one side, so many milliseconds later: the least and the most, as a month may have 28 to 31 days.
struct Time<'e> {
    is_left: bool,
    column: &'e str,
    data_type: &'e LogicalType,
    later_ms: (i64, i64),
}

const DAY_MS: i64 = 86_400_000;

/// The bounds of the time between two rows, and the other conditions; `None` where time is not bounded from both sides.
pub(super) fn bounds(
    left: &LogicalPlan,
    right: &LogicalPlan,
    conditions: &[Expr],
) -> Result<Option<(IntervalBounds, Vec<Expr>)>> {
    let (left, right) = (columns_of(left.schema())?, columns_of(right.schema())?);
    let (mut lower, mut upper, mut rest) = (None, None, vec![]);
    let mut columns: Option<(String, String, TimeAttribute)> = None;
    for condition in conditions {
        let times = comparison(condition).and_then(|(op, a, b)| {
            let (a, b) = (time(a, &left, &right)?, time(b, &left, &right)?);
            (a.is_left != b.is_left).then_some((op, a, b))
        });
        let Some((op, a, b)) = times.filter(|(op, ..)| !matches!(*op, "<>" | "IS NOT DISTINCT FROM")) else {
            rest.push(condition.clone());
            continue;
        };
        // left + a op right + b: the distance of the left time from the right one is bounded by b - a.
        let (op, l, r) = if a.is_left { (op, a, b) } else { (flipped(op), b, a) };
        let of = attribute(l.data_type);
        if of != attribute(r.data_type) {
            return Err(Error::user(
                "Interval join with different time attributes: one of event time, one of processing time",
            )
            .with("left", l.column)
            .with("right", r.column)
            .hint("Both sides of the condition must be event time, or both processing time"));
        }
        match &columns {
            None => columns = Some((l.column.to_string(), r.column.to_string(), of)),
            Some((left, right, _)) if left == l.column && right == r.column => {}
            Some(_) => {
                rest.push(condition.clone());
                continue;
            }
        }
        let least = r.later_ms.0.saturating_sub(l.later_ms.1);
        let most = r.later_ms.1.saturating_sub(l.later_ms.0);
        if least != most {
            // No pair is left out, and those that are too many are looked at.
            rest.push(condition.clone());
        }
        let at_least = |lower: Option<i64>, d: i64| Some(lower.map_or(d, |l: i64| l.max(d)));
        let at_most = |upper: Option<i64>, d: i64| Some(upper.map_or(d, |u: i64| u.min(d)));
        match op {
            ">=" => lower = at_least(lower, least),
            ">" => lower = at_least(lower, least.saturating_add(1)),
            "<=" => upper = at_most(upper, most),
            "<" => upper = at_most(upper, most.saturating_sub(1)),
            _ => (lower, upper) = (at_least(lower, least), at_most(upper, most)),
        }
    }
    let (Some(left_lower_ms), Some(left_upper_ms), Some((left_time, right_time, attribute))) = (lower, upper, columns)
    else {
        return Ok(None);
    };
    Ok(Some((IntervalBounds { attribute, left_time, right_time, left_lower_ms, left_upper_ms }, rest)))
}

fn flipped(op: &'static str) -> &'static str {
    match op {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

/// A time attribute, with intervals added or taken away.
fn time<'e>(e: &'e Expr, left: &'e [(String, LogicalType)], right: &'e [(String, LogicalType)]) -> Option<Time<'e>> {
    match unaliased(e) {
        Expr::Column(c) => {
            let of = |columns: &'e [(String, LogicalType)]| columns.iter().find(|n| n.0 == c.name);
            let (is_left, found) = match of(left) {
                Some(found) => (true, found),
                None => (false, of(right)?),
            };
            let timed = attribute(&found.1) != TimeAttribute::None;
            timed.then_some(Time { is_left, column: &found.0, data_type: &found.1, later_ms: (0, 0) })
        }
        Expr::ScalarFunction(f) => match (Functions::shown(f)?, f.args.as_slice()) {
            (Shown::Cast("CAST", target), [inner]) if target.starts_with("TIMESTAMP") => time(inner, left, right),
            (Shown::Operator("+"), [a, b]) => match (interval(a), interval(b)) {
                (None, Some(by)) => later(time(a, left, right)?, by),
                (Some(by), None) => later(time(b, left, right)?, by),
                _ => None,
            },
            (Shown::Operator("-"), [a, b]) => {
                let (least, most) = interval(b)?;
                later(time(a, left, right)?, (most.checked_neg()?, least.checked_neg()?))
            }
            _ => None,
        },
        _ => None,
    }
}

fn later(time: Time<'_>, by: (i64, i64)) -> Option<Time<'_>> {
    let (least, most) = time.later_ms;
    Some(Time { later_ms: (least.checked_add(by.0)?, most.checked_add(by.1)?), ..time })
}

/// The least and the most milliseconds that an interval takes.
fn interval(e: &Expr) -> Option<(i64, i64)> {
    match unaliased(e) {
        Expr::Literal(ScalarValue::DurationMillisecond(ms), _) => ms.map(|ms| (ms, ms)),
        Expr::Literal(ScalarValue::IntervalYearMonth(Some(months)), _) => {
            let days = |d: i64| i64::from(*months) * d * DAY_MS;
            Some((days(28).min(days(31)), days(28).max(days(31))))
        }
        _ => None,
    }
}
