//! How the columns of a stream move while its rows are updated: whether a Top-N may trust that a row only gets better.
//!
//! The rules are those of Flink's planner (`FlinkRelMdModifiedMonotonicity`), since they decide which changes a rank emits, but
//! where they would let rows stay that are gone.

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, Operator};
use flott_function::AggregateKind;
use flott_graph::{AggregateCall, EmitStrategy, GroupAggregateSpec, JoinKind, Keep};

use super::join::{JoinOp, JoinWay};
use super::program::column_uses;
use super::stream::{Calc, StreamNode, StreamOp};
use crate::bind::join::{comparison, conjuncts};
use crate::bind::window::unaliased;
use crate::bind::{Functions, Shown};

/// How a column moves from version to version of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    Constant,
    Rises,
    Falls,
    Anywhere,
}

use Course::{Anywhere, Constant, Falls, Rises};

/// The columns of a node; `None` where rows may also be deleted, or nothing is known.
pub(crate) fn courses(node: &StreamNode) -> Option<Vec<Course>> {
    let width = node.schema.fields().len();
    let all = |course: Course| Some(vec![course; width]);
    match &node.op {
        StreamOp::Scan(_) => all(if node.changelog.is_insert_only() { Constant } else { Anywhere }),
        StreamOp::Exchange(_) | StreamOp::GlobalGroupAggregate(_) => courses(node.input()?),
        StreamOp::Calc(calc) => of_calc(calc, node.input()?),
        // Operators that change nothing by themselves: what they read is updated, somewhere, or it is not.
        StreamOp::DropUpdateBefore
        | StreamOp::MiniBatchAssigner(_)
        | StreamOp::LookupJoin(_)
        | StreamOp::Unnest(_)
        | StreamOp::Expand(_) => all(if appends(&courses(node.input()?)?) { Constant } else { Anywhere }),
        StreamOp::GroupAggregate(spec) | StreamOp::LocalGroupAggregate(spec) => of_aggregates(spec, node.input()?),
        StreamOp::WindowAggregate(spec) if spec.in_group_by => {
            (appends(&courses(node.input()?)?) && spec.emit == EmitStrategy::default()).then(|| vec![Constant; width])
        }
        StreamOp::OverAggregate(_) => all(Constant),
        StreamOp::Join(join) => of_join(join, node, width),
        StreamOp::Union => {
            let mut inputs = node.inputs.iter().map(|i| courses(&i.node));
            let first = inputs.next()??;
            let mut alike = true;
            for other in inputs {
                alike &= other? == first;
            }
            if alike { Some(first) } else { all(Anywhere) }
        }
        StreamOp::Deduplicate(spec) => {
            if !appends(&courses(node.input()?)?) {
                return None;
            }
            let is_first = spec.keep == Keep::First && spec.rowtime.is_none();
            let of = |column: usize| if is_first || spec.keys.contains(&column) { Constant } else { Anywhere };
            Some((0..width).map(of).collect())
        }
        // Flink takes the first two for streams whose rows are not deleted, which they are.
        StreamOp::ChangelogNormalize(_)
        | StreamOp::Rank(_)
        | StreamOp::Values { .. }
        | StreamOp::ChangelogFunction(_)
        | StreamOp::WindowTableFunction(_)
        | StreamOp::LocalWindowAggregate(_)
        | StreamOp::GlobalWindowAggregate(_)
        | StreamOp::WindowAggregate(_)
        | StreamOp::IncrementalGroupAggregate(_)
        | StreamOp::WindowRank(_)
        | StreamOp::Sort(_)
        | StreamOp::TemporalSort(_)
        | StreamOp::Match(_)
        | StreamOp::Sink(_) => None,
    }
}

fn appends(courses: &[Course]) -> bool {
    courses.iter().all(|c| *c == Constant)
}

fn of_calc(calc: &Calc, input: &StreamNode) -> Option<Vec<Course>> {
    let below = courses(input)?;
    if appends(&below) {
        return Some(vec![Constant; calc.projection.len()]);
    }
    let of_column = |name: &str| below.get(input.schema.index_of_column_by_name(None, name)?).copied();
    // A row that did not pass may pass in its next version, and the other way round.
    if calc.filter.as_ref().is_some_and(|condition| may_take_back(condition, &of_column)) {
        return Some(vec![Anywhere; calc.projection.len()]);
    }
    let of = |e: &Expr| match uncast(e) {
        Expr::Column(c) => of_column(&c.name).unwrap_or(Anywhere),
        _ => Anywhere,
    };
    Some(calc.projection.iter().map(of).collect())
}

/// An expression without names and casts to numbers, which keep the order.
fn uncast(e: &Expr) -> &Expr {
    let keeps_order = |t: &str| ["INT", "BIGINT", "DECIMAL", "FLOAT", "DOUBLE"].iter().any(|n| t.starts_with(n));
    match unaliased(e) {
        Expr::ScalarFunction(f) => match (Functions::shown(f), f.args.as_slice()) {
            (Some(Shown::Cast("CAST", t)), [inner]) if keeps_order(&t) && !t.starts_with("INTERVAL") => uncast(inner),
            _ => unaliased(e),
        },
        other => other,
    }
}

/// Whether a row that passes the condition may fail it in a later version. (Flink looks at fewer forms, and keeps rows that do
/// not pass any more.)
fn may_take_back(condition: &Expr, of_column: &dyn Fn(&str) -> Option<Course>) -> bool {
    let moving = |name: &str| of_column(name).filter(|course| *course != Constant);
    let mentions = |e: &Expr| column_uses(e).keys().any(|name| moving(name).is_some());
    let moves = |e: &Expr| match uncast(e) {
        Expr::Column(c) => moving(&c.name),
        _ => None,
    };
    if let Some((op, a, b)) = comparison(condition) {
        let (greater, less) = (matches!(op, ">" | ">="), matches!(op, "<" | "<="));
        return match (mentions(a), mentions(b)) {
            (false, false) => false,
            (true, false) => !(greater && moves(a) == Some(Rises) || less && moves(a) == Some(Falls)),
            (false, true) => !(less && moves(b) == Some(Rises) || greater && moves(b) == Some(Falls)),
            (true, true) => true,
        };
    }
    match unaliased(condition) {
        Expr::BinaryExpr(b) if matches!(b.op, Operator::And | Operator::Or) => {
            may_take_back(&b.left, of_column) || may_take_back(&b.right, of_column)
        }
        Expr::IsTrue(e) => may_take_back(e, of_column),
        other => mentions(other),
    }
}

fn of_aggregates(spec: &GroupAggregateSpec, input: &StreamNode) -> Option<Vec<Course>> {
    let below = courses(input)?;
    if spec.group_keys.iter().any(|k| below.get(*k) != Some(&Constant)) {
        return None;
    }
    let updated = !appends(&below);
    let of = |call: &AggregateCall| {
        let course = match call.kind {
            // Of values that change fewer may pass a condition.
            _ if updated && call.filter.is_some() => return Anywhere,
            AggregateKind::Count => return Rises,
            AggregateKind::Max => Rises,
            AggregateKind::Min => Falls,
            AggregateKind::Sum => match sign_of_sum(input, call) {
                Some(Sign::ZeroOrMore) => Rises,
                Some(Sign::ZeroOrLess) => Falls,
                None => Anywhere,
            },
            _ => Anywhere,
        };
        match call.arguments.as_slice() {
            _ if !updated => course,
            [argument] if below.get(*argument) == Some(&course) => course,
            _ => Anywhere,
        }
    };
    let keys = spec.group_keys.iter().map(|_| Constant);
    Some(keys.chain(spec.aggregates.iter().map(of)).collect())
}

/// On which side of zero the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    ZeroOrMore,
    ZeroOrLess,
}

fn sign_of_column(node: &StreamNode, column: usize) -> Option<Sign> {
    match &node.op {
        StreamOp::Exchange(_) | StreamOp::MiniBatchAssigner(_) => sign_of_column(node.input()?, column),
        StreamOp::Union => {
            let all = node.inputs.iter().all(|i| sign_of_column(&i.node, column) == Some(Sign::ZeroOrMore));
            all.then_some(Sign::ZeroOrMore)
        }
        StreamOp::Calc(calc) => match uncast(calc.projection.get(column)?) {
            Expr::Column(c) => {
                let conditions: Vec<Expr> = calc.filter.iter().flat_map(conjuncts).collect();
                let input = node.input()?;
                let below = || sign_of_column(input, input.schema.index_of_column_by_name(None, &c.name)?);
                sign_by(&conditions, &c.name).or_else(below)
            }
            other => zero_or_more(other).then_some(Sign::ZeroOrMore),
        },
        StreamOp::GroupAggregate(spec) => {
            let call = spec.aggregates.get(column.checked_sub(spec.group_keys.len())?)?;
            match call.kind {
                AggregateKind::Count => Some(Sign::ZeroOrMore),
                AggregateKind::Sum => sign_of_sum(node.input()?, call),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The sign of what is summed, for what it is or by its FILTER.
fn sign_of_sum(input: &StreamNode, call: &AggregateCall) -> Option<Sign> {
    let [argument] = call.arguments.as_slice() else { return None };
    let below = match &input.op {
        StreamOp::Exchange(_) | StreamOp::MiniBatchAssigner(_) => input.input()?,
        _ => input,
    };
    if let (StreamOp::Calc(calc), Some(filter)) = (&below.op, call.filter)
        && let Expr::Column(c) = unaliased(calc.projection.get(*argument)?)
        && let Some(sign) = sign_by(&conjuncts(without_is_true(calc.projection.get(filter)?)), &c.name)
    {
        return Some(sign);
    }
    sign_of_column(input, *argument)
}

/// The condition of a FILTER as it is written.
fn without_is_true(e: &Expr) -> &Expr {
    match unaliased(e) {
        Expr::IsTrue(x) => x,
        other => other,
    }
}

/// No value below zero; NULL is not summed.
fn zero_or_more(e: &Expr) -> bool {
    match uncast(e) {
        Expr::Literal(value, _) => {
            value.is_null() || ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| *value >= zero)
        }
        Expr::Case(case) => {
            let mut results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            results.all(|e| zero_or_more(e))
        }
        Expr::ScalarFunction(f) if f.func.name() == "CASE" => match f.args.as_slice() {
            [case @ Expr::Case(_)] => zero_or_more(case),
            _ => false,
        },
        _ => false,
    }
}

/// What conditions that all hold say of a column. As in Flink, a lower bound counts before an upper one.
fn sign_by(conditions: &[Expr], column: &str) -> Option<Sign> {
    let is_column = |e: &Expr| matches!(unaliased(e), Expr::Column(c) if c.name == column);
    let zero = |value: &Expr, more: bool| match unaliased(value) {
        Expr::Literal(value, _) if !value.is_null() => ScalarValue::new_zero(&value.data_type())
            .is_ok_and(|zero| if more { *value >= zero } else { *value <= zero }),
        _ => false,
    };
    let (mut lower, mut positive, mut negative) = (false, false, false);
    for condition in conditions {
        let condition = match unaliased(condition) {
            Expr::IsTrue(e) => e,
            other => other,
        };
        match comparison(condition) {
            Some((">" | ">=", a, b)) if is_column(a) => (lower, positive) = (true, positive || zero(b, true)),
            Some(("<" | "<=", a, b)) if is_column(b) => (lower, positive) = (true, positive || zero(a, true)),
            Some(("=", a, b)) if is_column(a) => (lower, positive) = (true, positive || zero(b, true)),
            Some(("=", a, b)) if is_column(b) => (lower, positive) = (true, positive || zero(a, true)),
            Some(("<" | "<=", a, b)) if is_column(a) => negative |= zero(b, false),
            Some((">" | ">=", a, b)) if is_column(b) => negative |= zero(a, false),
            _ => {}
        }
    }
    match (lower, positive, negative) {
        (_, true, _) => Some(Sign::ZeroOrMore),
        (false, false, true) => Some(Sign::ZeroOrLess),
        _ => None,
    }
}

fn of_join(join: &JoinOp, node: &StreamNode, width: usize) -> Option<Vec<Course>> {
    if matches!(join.way, JoinWay::Interval { .. }) {
        return Some(vec![Constant; width]);
    }
    // A row that had no partner is taken back where one comes. (Flink says so of ANTI alone.)
    if !matches!(join.kind, JoinKind::Inner | JoinKind::Semi) {
        return None;
    }
    let [left, right] = node.inputs.as_slice() else { return None };
    let (left, right) = (courses(&left.node)?, courses(&right.node)?);
    let constant = |side: &[Course], keys: &[usize]| keys.iter().all(|k| side.get(*k) == Some(&Constant));
    let updated = !appends(&left) || !appends(&right);
    if !constant(&left, &join.left_keys) || !constant(&right, &join.right_keys) || updated && join.rest.is_some() {
        return None;
    }
    Some(if join.kind == JoinKind::Semi { left } else { left.into_iter().chain(right).collect() })
}
