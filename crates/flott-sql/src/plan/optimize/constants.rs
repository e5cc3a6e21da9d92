//! Group keys that have one value: Calcite's `AggregateProjectPullUpConstantsRule`, which Flink plans with.
//!
//! A group is not kept by them; a projection above gives them back. One key stays in any case: a grouping by nothing has a row
//! of no rows, which a grouping by constants has not.

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, LogicalPlan};
use flott_core::types::{TypeKind, arrow_type};
use flott_core::{LogicalType, Result};

use super::{equals_are_same, filtered, parts, same_names};
use crate::bind::join::comparison;
use crate::bind::node::{Aggregate, Join, JoinFlavour};
use crate::bind::window::{is_windowed, keeps_bounds, unaliased};
use crate::bind::{FlinkNode, FlinkNodeKind, Typed, column, columns_of, plan_schema, project};

/// A grouping without the keys that are constants, also below the conditions that stay above it.
pub(super) fn pulled_up(plan: LogicalPlan) -> Result<LogicalPlan> {
    match &plan {
        LogicalPlan::Filter(f) if matches!(f.input.as_ref(), LogicalPlan::Extension(_)) => {
            let input = pulled_up(f.input.as_ref().clone())?;
            filtered(input, vec![f.predicate.clone()])
        }
        LogicalPlan::Extension(e) => match FlinkNode::of(e) {
            Some(node) => Ok(without_constants(node)?.unwrap_or(plan)),
            None => Ok(plan),
        },
        _ => Ok(plan),
    }
}

fn without_constants(node: &FlinkNode) -> Result<Option<LogicalPlan>> {
    let FlinkNodeKind::Aggregate(aggregate) = &node.kind else { return Ok(None) };
    if aggregate.sets.is_some() || aggregate.group.len() < 2 {
        return Ok(None);
    }
    let mut values = vec![];
    let types = columns_of(node.input.schema())?;
    for key in &aggregate.group {
        // As there, a column that may be NULL stays with its key, unless it is NULL: with it the group would lose what is unique
        // in it, and the rows before updates would have to be sent.
        let may_be_null = types.iter().any(|(name, t)| name == key && t.nullable);
        values.push(constant(&node.input, key)?.filter(|value| value.is_null() || !may_be_null));
    }
    // As there, the first key stays where all are constants.
    if values.iter().all(Option::is_some) {
        values[0] = None;
    }
    let kept = |key: usize| values[key].is_none();
    let group: Vec<String> = (0..values.len()).filter(|k| kept(*k)).map(|k| aggregate.group[k].clone()).collect();
    let over_windows = |group: &[String]| (is_windowed(&node.input, group, None), keeps_bounds(&node.input, group));
    if group.len() == values.len() || over_windows(&group) != over_windows(&aggregate.group) {
        return Ok(None);
    }
    let columns = columns_of(&node.schema)?;
    let is_kept = |place: usize| place >= values.len() || kept(place);
    let left = columns.iter().enumerate().filter(|(place, _)| is_kept(*place)).map(|(_, c)| (c.0.as_str(), &c.1));
    let schema = plan_schema(left)?;
    let smaller = FlinkNodeKind::Aggregate(Aggregate { group, ..aggregate.clone() });
    let grouped = FlinkNode::plan(smaller, node.input.clone(), schema);
    let of_place = |(place, (name, data_type)): (usize, (String, LogicalType))| {
        let value = match values.get(place).cloned().flatten() {
            Some(value) => Typed::literal(value, data_type),
            None => Typed { expr: column(&name), data_type },
        };
        (name, value)
    };
    project(grouped, columns.into_iter().enumerate().map(of_place).collect()).map(Some)
}

/// The value that a column has in all rows of a plan.
fn constant(plan: &LogicalPlan, name: &str) -> Result<Option<ScalarValue>> {
    let value = match plan {
        LogicalPlan::Projection(p) => {
            let place = p.schema.fields().iter().position(|f| f.name() == name);
            match place.and_then(|place| p.expr.get(place)).map(unaliased) {
                Some(Expr::Literal(value, _)) => Some(value.clone()),
                Some(Expr::Column(c)) => constant(&p.input, &c.name)?,
                _ => None,
            }
        }
        LogicalPlan::Filter(f) => {
            let types = columns_of(f.input.schema())?;
            let Some((_, t)) = types.iter().find(|c| c.0 == name) else { return Ok(None) };
            match parts(&f.predicate).find_map(|part| said(&part, name, t)) {
                Some(value) => Some(value),
                None => constant(&f.input, name)?,
            }
        }
        LogicalPlan::Union(u) => {
            let Some(place) = u.schema.fields().iter().position(|f| f.name() == name) else { return Ok(None) };
            let mut values = vec![];
            for input in &u.inputs {
                values.push(constant(input, input.schema().field(place).name())?);
            }
            values.iter().all(|v| *v == values[0]).then(|| values.swap_remove(0)).flatten()
        }
        LogicalPlan::Extension(e) => match FlinkNode::of(e) {
            Some(node) => constant_of_node(node, name)?,
            None => None,
        },
        _ => None,
    };
    Ok(value)
}

fn constant_of_node(node: &FlinkNode, name: &str) -> Result<Option<ScalarValue>> {
    let has = |plan: &LogicalPlan| plan.schema().index_of_column_by_name(None, name).is_some();
    match &node.kind {
        FlinkNodeKind::Aggregate(aggregate) => {
            let place = node.schema.fields().iter().position(|f| f.name() == name);
            match place.and_then(|place| aggregate.group.get(place)).filter(|key| aggregate.in_every_set(key)) {
                Some(key) => constant(&node.input, key),
                None => Ok(None),
            }
        }
        FlinkNodeKind::Join(Join { kind, flavour, .. }) => match &node.second {
            _ if has(&node.input) => {
                if kind.pads_right_rows() {
                    Ok(None)
                } else {
                    constant(&node.input, name)
                }
            }
            Some(right) if !kind.pads_left_rows() && !matches!(flavour, JoinFlavour::Lookup { .. }) => {
                constant(right, name)
            }
            _ => Ok(None),
        },
        FlinkNodeKind::Over(_) | FlinkNodeKind::WindowTableFunction(_) | FlinkNodeKind::Sort(_) => {
            if same_names(node).contains_key(name) { constant(&node.input, name) } else { Ok(None) }
        }
        FlinkNodeKind::Unnest(_)
        | FlinkNodeKind::WatermarkAssigner { .. }
        | FlinkNodeKind::Changelog(_)
        | FlinkNodeKind::Match(_) => Ok(None),
    }
}

/// The value of a column of the type `t` in the rows for which a condition is true.
fn said(condition: &Expr, name: &str, t: &LogicalType) -> Option<ScalarValue> {
    let is_it = |e: &Expr| matches!(unaliased(e), Expr::Column(c) if c.name == name);
    let truth = |value: bool| (t.kind == TypeKind::Boolean).then_some(ScalarValue::Boolean(Some(value)));
    match unaliased(condition) {
        Expr::Column(c) if c.name == name => truth(true),
        Expr::Not(x) if is_it(x) => truth(false),
        Expr::IsTrue(x) if is_it(x) => truth(true),
        Expr::IsFalse(x) if is_it(x) => truth(false),
        Expr::IsNull(x) if is_it(x) => ScalarValue::try_new_null(&arrow_type(t)).ok(),
        other => match comparison(other)? {
            ("=" | "IS NOT DISTINCT FROM", a, b) if is_it(a) => equal(unaliased(b), t),
            ("=" | "IS NOT DISTINCT FROM", a, b) if is_it(b) => equal(unaliased(a), t),
            _ => None,
        },
    }
}

/// The literal that a column is equal to, where no other value is: -0.0 equals 0.0.
fn equal(e: &Expr, t: &LogicalType) -> Option<ScalarValue> {
    let Expr::Literal(value, _) = e else { return None };
    (equals_are_same(&t.kind) && !value.is_null() && value.data_type() == arrow_type(t)).then(|| value.clone())
}
