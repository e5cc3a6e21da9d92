//! Decides joins: conditions go down as far as they may, and each join is recognised, innermost first.

use std::time::Duration;

use datafusion_expr::{Expr, LogicalPlan};
use flott_core::types::TimeAttribute;
use flott_core::{Error, LogicalType, Result};
use flott_graph::JoinKind;

use super::predicate::{Of, comparison, conjuncts, implied, of, rejects_nulls, together};
use super::{attribute, by_existence, identity, interval, join, join_with};
use crate::bind::node::{FlinkNode, FlinkNodeKind, Join, JoinFlavour};
use crate::bind::{Binder, Typed, columns_of, filter, project, window};

/// A plan under these conditions, with its joins decided.
pub(crate) fn settle(binder: &Binder<'_>, plan: LogicalPlan, conditions: Vec<Expr>) -> Result<LogicalPlan> {
    if let LogicalPlan::Extension(e) = &plan
        && let Some(node) = FlinkNode::of(e)
        && let (FlinkNodeKind::Join(join), Some(right)) = (&node.kind, &node.second)
    {
        return match join.flavour {
            JoinFlavour::Unsettled => decide(binder, join, &node.input, right, conditions),
            JoinFlavour::Temporal { settled: false, .. } => temporal(binder, join, &node.input, right, conditions),
            JoinFlavour::Lookup { settled: false, .. } => lookup(binder, join, &node.input, right, conditions),
            _ => filtered(plan, conditions),
        };
    }
    if let LogicalPlan::Projection(p) = &plan
        && holds_unsettled(&p.input)
    {
        // Columns that were renamed to stand beside others.
        let columns = columns_of(&p.schema)?;
        let input = settle(binder, p.input.as_ref().clone(), vec![])?;
        let exprs = p.expr.iter().zip(columns).map(|(e, (name, data_type))| {
            let expr = window::unaliased(e).clone();
            let of_input = match &expr {
                Expr::Column(c) => columns_of(input.schema())?.into_iter().find(|i| i.0 == c.name).map(|i| i.1),
                _ => None,
            };
            Ok((name, Typed { expr, data_type: of_input.unwrap_or(data_type) }))
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        return filtered(project(input, exprs)?, conditions);
    }
    filtered(plan, conditions)
}

/// Whether a join below is not decided yet.
fn holds_unsettled(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(p) => holds_unsettled(&p.input),
        LogicalPlan::Extension(e) => matches!(
            FlinkNode::of(e).map(|n| &n.kind),
            Some(FlinkNodeKind::Join(Join {
                flavour: JoinFlavour::Unsettled
                    | JoinFlavour::Temporal { settled: false, .. }
                    | JoinFlavour::Lookup { settled: false, .. },
                ..
            }))
        ),
        _ => false,
    }
}

fn filtered(plan: LogicalPlan, conditions: Vec<Expr>) -> Result<LogicalPlan> {
    match together(conditions) {
        Some(expr) => {
            let data_type = flott_core::types::TypeKind::Boolean.nullable();
            filter(plan, Typed { expr, data_type })
        }
        None => Ok(plan),
    }
}

/// Where conditions above a join are asked.
pub(crate) struct Above {
    /// What the join is with them: who filters out what an outer join adds needs no outer join.
    pub(crate) kind: JoinKind,
    pub(crate) to_left: Vec<Expr>,
    pub(crate) to_right: Vec<Expr>,
    /// Of an inner join, with what it joins by.
    pub(crate) own: Vec<Expr>,
    pub(crate) stay: Vec<Expr>,
}

impl Above {
    pub(crate) fn of(mut kind: JoinKind, left: &LogicalPlan, right: &LogicalPlan, above: Vec<Expr>) -> Above {
        if above.iter().any(|c| rejects_nulls(c, right)) {
            kind = match kind {
                JoinKind::Left => JoinKind::Inner,
                JoinKind::Full => JoinKind::Right,
                other => other,
            };
        }
        if above.iter().any(|c| rejects_nulls(c, left)) {
            kind = match kind {
                JoinKind::Right => JoinKind::Inner,
                JoinKind::Full => JoinKind::Left,
                other => other,
            };
        }
        let mut placed = Above { kind, to_left: vec![], to_right: vec![], own: vec![], stay: vec![] };
        for condition in above {
            let to = match (of(&condition, left, right), kind) {
                _ if condition.is_volatile() => &mut placed.stay,
                (Of::Left, JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti) => &mut placed.to_left,
                (Of::Right, JoinKind::Inner | JoinKind::Right) => &mut placed.to_right,
                (Of::Both, JoinKind::Inner) => &mut placed.own,
                _ => &mut placed.stay,
            };
            to.push(condition);
        }
        placed
    }
}

fn decide(
    binder: &Binder<'_>,
    node: &Join,
    left: &LogicalPlan,
    right: &LogicalPlan,
    above: Vec<Expr>,
) -> Result<LogicalPlan> {
    let Above { kind, mut to_left, mut to_right, mut own, stay } = Above::of(node.kind, left, right, above);
    for condition in node.condition.iter().flat_map(conjuncts) {
        let to = match (of(&condition, left, right), kind) {
            _ if condition.is_volatile() => &mut own,
            (Of::Left, JoinKind::Inner | JoinKind::Right | JoinKind::Semi) => &mut to_left,
            (Of::Right, JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti) => &mut to_right,
            _ => &mut own,
        };
        to.push(condition);
    }
    if kind == JoinKind::Inner {
        for condition in &own {
            let implied = |side: Of| implied(condition, &|part| of(part, left, right) == side);
            to_left.extend(implied(Of::Left).filter(|c| !to_left.contains(c)));
            to_right.extend(implied(Of::Right).filter(|c| !to_right.contains(c)));
        }
    }
    let (left, right) = (settle(binder, left.clone(), to_left)?, settle(binder, right.clone(), to_right)?);
    let mut decided = recognised(binder, kind, left, right, own, node.state_ttl)?;
    if node.exists {
        decided = by_existence(decided);
    }
    filtered(decided, stay)
}

/// A temporal join is one already; what WHERE says of the left rows goes below it.
fn temporal(
    binder: &Binder<'_>,
    node: &Join,
    left: &LogicalPlan,
    right: &LogicalPlan,
    above: Vec<Expr>,
) -> Result<LogicalPlan> {
    let (to_left, stay): (Vec<Expr>, Vec<Expr>) =
        above.into_iter().partition(|c| of(c, left, right) == Of::Left && !c.is_volatile());
    let left = settle(binder, left.clone(), to_left)?;
    let right = settle(binder, right.clone(), vec![])?;
    let mut flavour = node.flavour.clone();
    if let JoinFlavour::Temporal { settled, .. } = &mut flavour {
        *settled = true;
    }
    let plan = join(left, right, node.kind, node.condition.clone(), flavour)?;
    filtered(plan, stay)
}

/// A lookup join is one already. What WHERE says of left rows goes below it, and of an inner join all that it says of
/// pairs goes into it; so does what ON says of left rows alone, which a left join asks before it looks up.
fn lookup(
    binder: &Binder<'_>,
    node: &Join,
    left: &LogicalPlan,
    right: &LogicalPlan,
    above: Vec<Expr>,
) -> Result<LogicalPlan> {
    let mut kind = node.kind;
    if kind == JoinKind::Left && above.iter().any(|c| rejects_nulls(c, right)) {
        kind = JoinKind::Inner;
    }
    let (mut to_left, mut own, mut stay) = (vec![], vec![], vec![]);
    for condition in above {
        let to = match (of(&condition, left, right), kind) {
            _ if condition.is_volatile() => &mut stay,
            (Of::Left, _) => &mut to_left,
            (Of::Right | Of::Both, JoinKind::Inner) => &mut own,
            _ => &mut stay,
        };
        to.push(condition);
    }
    for condition in node.condition.iter().flat_map(conjuncts) {
        let goes_left = of(&condition, left, right) == Of::Left && kind == JoinKind::Inner && !condition.is_volatile();
        if goes_left { to_left.push(condition) } else { own.push(condition) }
    }
    let left = settle(binder, left.clone(), to_left)?;
    let mut flavour = node.flavour.clone();
    if let JoinFlavour::Lookup { settled, .. } = &mut flavour {
        *settled = true;
    }
    let plan = join(left, right.clone(), kind, together(own), flavour)?;
    filtered(plan, stay)
}

fn recognised(
    binder: &Binder<'_>,
    kind: JoinKind,
    left: LogicalPlan,
    right: LogicalPlan,
    conditions: Vec<Expr>,
    state_ttl: [Option<Duration>; 2],
) -> Result<LogicalPlan> {
    if let Some((flavour, rest)) = of_windows(&left, &right, &conditions)? {
        return shown(join(left, right, kind, together(rest), flavour)?, conditions);
    }
    if !kind.is_semi_or_anti()
        && let Some((bounds, rest)) = interval::bounds(&left, &right, &conditions)?
    {
        return shown(join(left, right, kind, together(rest), JoinFlavour::Interval(bounds))?, conditions);
    }
    let (left, right) = (without_time(binder, left)?, without_time(binder, right)?);
    join_with(left, right, kind, together(conditions), JoinFlavour::Regular, state_ttl)
}

/// The join, shown with all conditions, also those that its flavour says.
fn shown(plan: LogicalPlan, conditions: Vec<Expr>) -> Result<LogicalPlan> {
    let LogicalPlan::Extension(e) = &plan else { return Ok(plan) };
    let Some(node) = FlinkNode::of(e) else { return Ok(plan) };
    let (FlinkNodeKind::Join(join), Some(right)) = (&node.kind, &node.second) else { return Ok(plan) };
    let all = Join { shown: together(conditions), ..join.clone() };
    let (left, right, schema) = (node.input.clone(), right.clone(), node.schema.clone());
    Ok(FlinkNode::plan_of_two(FlinkNodeKind::Join(all), left, right, schema))
}

/// Both inputs carry windows of one kind, and the condition asks for the same one.
fn of_windows(
    left: &LogicalPlan,
    right: &LogicalPlan,
    conditions: &[Expr],
) -> Result<Option<(JoinFlavour, Vec<Expr>)>> {
    let (Some(l), Some(r)) = (window::properties(left), window::properties(right)) else { return Ok(None) };
    let (mut start, mut end, mut rest) = (false, None, vec![]);
    for condition in conditions {
        let pair = match comparison(condition) {
            Some(("=", Expr::Column(a), Expr::Column(b))) => Some((&a.name, &b.name)),
            _ => None,
        };
        let is = |of_left: &[String], of_right: &[String]| {
            let (a, b) = pair?;
            let straight = of_left.contains(a) && of_right.contains(b);
            let flipped = of_left.contains(b) && of_right.contains(a);
            if straight { Some((a, b)) } else { flipped.then_some((b, a)) }
        };
        if is(&l.start, &r.start).is_some() {
            start = true;
        } else if let Some((a, b)) = is(&l.end, &r.end) {
            end = Some((a.clone(), b.clone()));
        } else {
            rest.push(condition.clone());
        }
    }
    let (true, Some((left_end, right_end))) = (start, end) else { return Ok(None) };
    if l.function.kind != r.function.kind || l.function.time_zone != r.function.time_zone {
        return Ok(None);
    }
    if l.function.attribute() == TimeAttribute::Proctime {
        return Err(Error::user("Processing time Window Join is not supported yet.")
            .hint("Use windows over an event-time column"));
    }
    let names = |p: &[String]| p.first().cloned().unwrap_or_default();
    let flavour = JoinFlavour::Window {
        function: l.function,
        left_start: names(&l.start),
        left_end,
        right_start: names(&r.start),
        right_end,
    };
    Ok(Some((flavour, rest)))
}

/// The same columns, none of which is a time attribute.
fn without_time(binder: &Binder<'_>, plan: LogicalPlan) -> Result<LogicalPlan> {
    let plain = |t: &LogicalType| t.with_time_attribute(TimeAttribute::None);
    if columns_of(plan.schema())?.iter().all(|(_, t)| attribute(t) == TimeAttribute::None) {
        return Ok(plan);
    }
    let columns = identity(&plan)?.into_iter().map(|(name, value)| {
        let target = plain(&value.data_type);
        let cast = if attribute(&value.data_type) == TimeAttribute::None {
            value
        } else {
            binder.functions().cast(value, &target, false)?
        };
        Ok((name, Typed { data_type: target, ..cast }))
    });
    project(plan, columns.collect::<Result<Vec<_>>>()?)
}
