//! How the columns of a stream move while its rows are updated: whether a Top-N may trust that a row only gets better.
//!
//! The rules are those of Flink's planner (`FlinkRelMdModifiedMonotonicity`), since they decide which changes a rank emits.

use datafusion_common::ScalarValue;
use datafusion_expr::Expr;
use flott_function::AggregateKind;
use flott_graph::{AggregateCall, EmitStrategy, GroupAggregateSpec, JoinKind, Keep};

use super::join::{JoinOp, JoinWay};
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

/// An expression without names and casts.
fn uncast(e: &Expr) -> &Expr {
    match unaliased(e) {
        Expr::ScalarFunction(f) => match (Functions::shown(f), f.args.as_slice()) {
            (Some(Shown::Cast("CAST", _)), [inner]) => uncast(inner),
            _ => unaliased(e),
        },
        other => other,
    }
}

/// Whether a row that passes the condition may fail it in a later version.
fn may_take_back(condition: &Expr, of_column: &dyn Fn(&str) -> Option<Course>) -> bool {
    let moves = |e: &Expr| match uncast(e) {
        Expr::Column(c) => of_column(&c.name).filter(|course| *course != Constant),
        _ => None,
    };
    if let Some((op, a, b)) = comparison(condition) {
        let moving = moves(a).or_else(|| moves(b));
        return match op {
            ">" | ">=" => moving.is_some_and(|course| course != Rises),
            "<" | "<=" => moving.is_some_and(|course| course != Falls),
            _ => moving.is_some(),
        };
    }
    match unaliased(condition) {
        // AND and OR.
        Expr::BinaryExpr(b) => may_take_back(&b.left, of_column) || may_take_back(&b.right, of_column),
        Expr::Not(e) | Expr::IsTrue(e) | Expr::IsNotTrue(e) | Expr::IsNull(e) | Expr::IsNotNull(e) => {
            moves(e).is_some() || may_take_back(e, of_column)
        }
        Expr::InList(list) => moves(&list.expr).is_some(),
        other => moves(other).is_some(),
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
            AggregateKind::Count => return Rises,
            AggregateKind::Max => Rises,
            AggregateKind::Min => Falls,
            AggregateKind::Sum if sums_no_negatives(input, call) => Rises,
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

/// Whether no value of a column can be below zero.
fn is_never_negative(node: &StreamNode, column: usize) -> bool {
    match (&node.op, node.input()) {
        (StreamOp::Exchange(_) | StreamOp::MiniBatchAssigner(_), Some(input)) => is_never_negative(input, column),
        (StreamOp::Calc(calc), Some(input)) => match calc.projection.get(column).map(unaliased) {
            Some(Expr::Column(c)) => {
                let place = input.schema.index_of_column_by_name(None, &c.name);
                calc.filter.iter().flat_map(conjuncts).any(|e| keeps_negatives_out(&e, &c.name))
                    || place.is_some_and(|place| is_never_negative(input, place))
            }
            Some(other) => zero_or_more(other),
            None => false,
        },
        (StreamOp::GroupAggregate(spec), Some(input)) => {
            let call = column.checked_sub(spec.group_keys.len()).and_then(|i| spec.aggregates.get(i));
            call.is_some_and(|call| match call.kind {
                AggregateKind::Count => true,
                AggregateKind::Sum => sums_no_negatives(input, call),
                _ => false,
            })
        }
        _ => false,
    }
}

/// Whether a sum is of values that are not below zero, for what they are or by its FILTER.
fn sums_no_negatives(input: &StreamNode, call: &AggregateCall) -> bool {
    let [argument] = call.arguments.as_slice() else { return false };
    let below = match (&input.op, input.input()) {
        (StreamOp::Exchange(_) | StreamOp::MiniBatchAssigner(_), Some(below)) => below,
        _ => input,
    };
    let filtered = match (&below.op, call.filter) {
        (StreamOp::Calc(calc), Some(filter)) => match (calc.projection.get(*argument), calc.projection.get(filter)) {
            (Some(argument), Some(filter)) => match unaliased(argument) {
                Expr::Column(c) => conjuncts(filter).iter().any(|e| keeps_negatives_out(e, &c.name)),
                _ => false,
            },
            _ => false,
        },
        _ => false,
    };
    filtered || is_never_negative(input, *argument)
}

fn zero_or_more(e: &Expr) -> bool {
    match unaliased(e) {
        Expr::Literal(value, _) => {
            !value.is_null() && ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| *value >= zero)
        }
        _ => false,
    }
}

/// Whether a condition on a column is met by no value below zero.
fn keeps_negatives_out(condition: &Expr, column: &str) -> bool {
    let condition = match unaliased(condition) {
        Expr::IsTrue(e) => e,
        other => other,
    };
    let is_column = |e: &Expr| matches!(unaliased(e), Expr::Column(c) if c.name == column);
    match comparison(condition) {
        Some((">" | ">=" | "=", a, b)) if is_column(a) => zero_or_more(b),
        Some(("<" | "<=" | "=", a, b)) if is_column(b) => zero_or_more(a),
        _ => false,
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
