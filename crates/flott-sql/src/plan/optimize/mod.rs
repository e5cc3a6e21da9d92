//! What is done to a logical plan before it is planned: conditions go down as far as they may, joins are put in an order.
//!
//! As Flink's `FILTER_PREPARE_RULES` (a filter passes projections, unions, groupings, windows and joins), Calcite's
//! `JoinPushTransitivePredicatesRule` (`a = b AND a = 1` says `b = 1`), `ReduceExpressionsRule`, `PruneEmptyRules`,
//! `AggregateValuesRule` and `AggregateProjectPullUpConstantsRule`. The plan has the columns that it had, with the same
//! names and types, and gives the same rows.
//!
//! Conditions go past an operator only where each row that it gives has the values that the condition reads from the rows
//! that it is made of: below a grouping those on its keys, below OVER those on its partition, below a join those on one
//! side, unless that is padded. A condition that differs from call to call stays where it is, and so does the watermark:
//! it is read from all rows of a table.

mod constants;
mod empty;
mod fold;
mod order;
mod orders;
mod region;

pub(super) use order::Order;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion_common::DFSchemaRef;
use datafusion_expr::logical_plan::{Filter, Projection, Union, Values};
use datafusion_expr::{Expr, LogicalPlan, Operator};
use flott_core::options::Options;
use flott_core::types::TypeKind;
use flott_core::{LogicalType, Result};
use flott_graph::{JoinKind, WindowKind};

use super::existence;
use super::options;
use super::program::{column_uses, size, substitute};
use crate::bind::join::{Above, Of, of, reads, together};
use crate::bind::node::{Aggregate, Join, JoinFlavour, Over, WindowTableFunction};
use crate::bind::window::{properties, unaliased};
use crate::bind::{FlinkNode, FlinkNodeKind, Typed, column, columns_of, filter, from_datafusion, project};

/// A condition that would be larger than this below a projection stays above it.
const CONDITION_SIZE_MAX: usize = 256;

/// See the module.
pub(super) struct Optimizer {
    order: Order,
    /// Rows that come too late for their window are shown: all of them.
    shows_late: bool,
}

impl Optimizer {
    pub(super) fn new(config: &Options) -> Result<Optimizer> {
        Ok(Optimizer { order: options::join_order(config)?, shows_late: options::late_records_table(config).is_some() })
    }

    /// The plan to be planned in the place of this one.
    pub(super) fn plan(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        self.under(&orders::left_out(plan.clone())?, vec![])
    }

    /// A plan's rows for which these conditions on its columns are true.
    fn under(&self, plan: &LogicalPlan, conditions: Vec<Expr>) -> Result<LogicalPlan> {
        // Rows of windows are planned as such, also where there are none.
        let is_empty = fold::are_never_met(&conditions, plan.schema());
        if is_empty && !has_time(plan) && properties(plan).is_none() {
            return nothing(plan.schema());
        }
        if region::is_region(plan) {
            return self.region(plan, conditions);
        }
        match plan {
            LogicalPlan::Filter(f) => {
                let mut all: Vec<Expr> = parts(&fold::folded(f.predicate.clone())?).collect();
                for condition in conditions {
                    if condition.is_volatile() || !all.contains(&condition) {
                        all.push(condition);
                    }
                }
                self.under(&f.input, all)
            }
            LogicalPlan::Projection(p) => self.projection(p, conditions),
            LogicalPlan::Union(u) => self.union(u, conditions),
            LogicalPlan::Extension(e) => match FlinkNode::of(e) {
                Some(node) => self.node(plan, node, conditions),
                None => filtered(plan.clone(), conditions),
            },
            other => filtered(other.clone(), conditions),
        }
    }

    fn projection(&self, p: &Projection, conditions: Vec<Expr>) -> Result<LogicalPlan> {
        let exprs = p.expr.iter().map(|e| fold::folded(e.clone())).collect::<Result<Vec<_>>>()?;
        let outputs: BTreeMap<&str, &Expr> =
            p.schema.fields().iter().map(|f| f.name().as_str()).zip(exprs.iter().map(unaliased)).collect();
        let (mut go, mut stay) = (vec![], vec![]);
        for condition in conditions {
            let uses = column_uses(&condition);
            let of = |name: &String| outputs.get(name.as_str());
            let pure = uses.keys().all(|name| of(name).is_some_and(|e| !e.is_volatile()));
            let grown = uses.iter().map(|(name, n)| of(name).map_or(0, |e| size(e)).saturating_mul(*n)).sum::<usize>();
            if condition.is_volatile() || !pure || grown + size(&condition) > CONDITION_SIZE_MAX {
                stay.push(condition);
                continue;
            }
            let below = substitute(&condition, &|name| outputs.get(name).map(|e| (*e).clone()))?;
            go.extend(parts(&fold::folded(below)?));
        }
        let input = self.under(&p.input, go)?;
        if empty::is_nothing(&input) && stay.is_empty() && exprs.iter().all(|e| !e.is_volatile()) {
            return nothing(&p.schema);
        }
        let projection = Projection::try_new_with_schema(exprs, Arc::new(input), p.schema.clone());
        filtered(LogicalPlan::Projection(projection.map_err(from_datafusion)?), stay)
    }

    /// Branches without rows go; one that remains alone has the names of the union.
    fn union(&self, u: &Union, conditions: Vec<Expr>) -> Result<LogicalPlan> {
        let (stay, go): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(Expr::is_volatile);
        let mut inputs = vec![];
        for input in &u.inputs {
            let of_branch = positions(&u.schema, input.schema());
            let below = go.iter().map(|c| renamed(c, &of_branch)).collect::<Result<Vec<_>>>()?;
            inputs.push(Arc::new(self.under(input, below)?));
        }
        let has_rows: Vec<Arc<LogicalPlan>> = inputs.iter().filter(|i| !empty::is_nothing(i)).cloned().collect();
        let plan = match has_rows.as_slice() {
            all if all.len() == inputs.len() => LogicalPlan::Union(Union { inputs, schema: u.schema.clone() }),
            [] => nothing(&u.schema)?,
            [only] => with_columns(only.as_ref().clone(), &u.schema)?,
            _ => LogicalPlan::Union(Union { inputs: has_rows, schema: u.schema.clone() }),
        };
        filtered(plan, stay)
    }

    fn node(&self, plan: &LogicalPlan, node: &FlinkNode, conditions: Vec<Expr>) -> Result<LogicalPlan> {
        constants::pulled_up(pruned(self.node_with_rows(plan, node, conditions)?)?)
    }

    fn node_with_rows(&self, plan: &LogicalPlan, node: &FlinkNode, conditions: Vec<Expr>) -> Result<LogicalPlan> {
        let passes: BTreeMap<String, String> = match &node.kind {
            FlinkNodeKind::Aggregate(aggregate) => self.keys_below(node, aggregate),
            FlinkNodeKind::Over(over) => return self.over(node, over, conditions),
            FlinkNodeKind::Unnest(_) => same_names(node),
            FlinkNodeKind::WindowTableFunction(function) => self.below_window(node, function),
            FlinkNodeKind::Sort(sort) if sort.offset == 0 && sort.fetch.is_none() => same_names(node),
            FlinkNodeKind::Sort(_) | FlinkNodeKind::Match(_) | FlinkNodeKind::Changelog(_) => BTreeMap::new(),
            // The watermark is that of all rows.
            FlinkNodeKind::WatermarkAssigner { .. } => return filtered(plan.clone(), conditions),
            FlinkNodeKind::Join(join) => return self.join(plan, node, join, conditions),
        };
        let (below, stay) = split(conditions, &passes)?;
        filtered(rebuilt(node, self.under(&node.input, below)?, node.second.clone()), stay)
    }

    /// The group keys of which each row has a value, as columns of the input. A grouping without keys has a row of no rows.
    fn keys_below(&self, node: &FlinkNode, aggregate: &Aggregate) -> BTreeMap<String, String> {
        let window = properties(&node.input);
        let Some(window) = window.filter(|w| w.is_kept_by(&aggregate.group, aggregate.sets.as_deref())) else {
            let kept = |key: &&String| aggregate.in_every_set(key);
            let names = node.schema.fields().iter().map(|f| f.name().clone());
            return names
                .zip(aggregate.group.iter())
                .filter(|(_, key)| kept(key))
                .map(|(n, k)| (n, k.clone()))
                .collect();
        };
        if self.shows_late {
            return BTreeMap::new();
        }
        // The windows of a session are those of its keys; of other windows each row has its own.
        let of_session = |key: &String| match &window.session_keys {
            Some(keys) => keys.iter().any(|names| names.contains(key)),
            None => true,
        };
        let of_window = |key: &String| [&window.start, &window.end, &window.time].iter().any(|c| c.contains(key));
        let names = node.schema.fields().iter().map(|f| f.name().clone());
        names
            .zip(aggregate.group.iter())
            .filter(|(_, key)| aggregate.in_every_set(key) && of_session(key) && !of_window(key))
            .map(|(name, key)| (name, key.clone()))
            .collect()
    }

    /// Conditions on what all windows of a SELECT are partitioned by go below all of them.
    fn over(&self, node: &FlinkNode, over: &Over, conditions: Vec<Expr>) -> Result<LogicalPlan> {
        let (mut chain, mut input) = (vec![node], &node.input);
        while let LogicalPlan::Extension(e) = input
            && let Some(below @ FlinkNode { kind: FlinkNodeKind::Over(_), input: next, .. }) = FlinkNode::of(e)
        {
            chain.push(below);
            input = next;
        }
        let in_all = |key: &&String| {
            chain.iter().all(|n| matches!(&n.kind, FlinkNodeKind::Over(over) if over.partition.contains(key)))
        };
        let passes = over.partition.iter().filter(in_all).map(|key| (key.clone(), key.clone())).collect();
        let (below, stay) = split(conditions, &passes)?;
        let input = self.under(input, below)?;
        filtered(chain.into_iter().rev().fold(input, |input, node| rebuilt(node, input, None)), stay)
    }

    /// What does not read the window goes below it; below a session, what reads only its keys.
    fn below_window(&self, node: &FlinkNode, function: &WindowTableFunction) -> BTreeMap<String, String> {
        let mut passes = BTreeMap::new();
        if !self.shows_late {
            passes = same_names(node);
        }
        if let WindowKind::Session { .. } = function.kind {
            passes.retain(|name, _| function.partition_keys.contains(name));
        }
        passes
    }

    /// A join that is not part of an order of inner joins.
    fn join(&self, plan: &LogicalPlan, node: &FlinkNode, join: &Join, above: Vec<Expr>) -> Result<LogicalPlan> {
        let Some(right) = &node.second else { return filtered(plan.clone(), above) };
        let left = &node.input;
        let own_kind =
            matches!(join.flavour, JoinFlavour::Regular | JoinFlavour::Interval(_) | JoinFlavour::Window { .. });
        if !own_kind {
            // What a table had at some time is asked of its whole rows.
            let (below, stay): (Vec<Expr>, Vec<Expr>) =
                above.into_iter().partition(|c| of(c, left, right) == Of::Left && !c.is_volatile());
            return filtered(rebuilt(node, self.under(left, below)?, Some(right.clone())), stay);
        }
        let Above { kind, mut to_left, mut to_right, own: added, stay } = Above::of(join.kind, left, right, above);
        let mut own: Vec<Expr> = join.condition.iter().flat_map(parts).collect();
        if kind == JoinKind::Inner && join.kind != JoinKind::Inner {
            // What had to stay with the join says of one side alone.
            let (of_left, rest): (Vec<Expr>, Vec<Expr>) =
                own.into_iter().partition(|c| of(c, left, right) == Of::Left && !c.is_volatile());
            let (of_right, rest): (Vec<Expr>, Vec<Expr>) =
                rest.into_iter().partition(|c| of(c, left, right) == Of::Right && !c.is_volatile());
            own = rest;
            to_left.extend(of_left);
            to_right.extend(of_right);
        }
        let equalities = region::equal_columns(own.iter().chain(&added), &[left, right])?;
        if matches!(kind, JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti) {
            region::pass_on(&equalities, (left, &to_left), (right, &mut to_right))?;
        }
        if matches!(kind, JoinKind::Inner | JoinKind::Right | JoinKind::Semi) {
            region::pass_on(&equalities, (right, &to_right), (left, &mut to_left))?;
        }
        let (left, mut right) = (self.under(left, to_left)?, self.under(right, to_right)?);
        if kind == JoinKind::Anti && empty::is_nothing(&right) {
            return filtered(left, stay);
        }
        let mut changed = join.clone();
        if join.exists && kind.is_semi_or_anti() && !empty::has_no_rows(&right) {
            let (one, condition) = existence::exists(kind, &left, right)?;
            right = one;
            own.extend(condition);
        }
        changed.kind = kind;
        changed.condition = together(own.into_iter().chain(added.iter().cloned()));
        if let Some(shown) = &mut changed.shown {
            *shown = together([shown.clone()].into_iter().chain(added)).unwrap_or_else(|| shown.clone());
        } else {
            changed.shown = changed.condition.clone();
        }
        let schema = node.schema.clone();
        let joined = FlinkNode::plan_of_two(FlinkNodeKind::Join(changed), left, right, schema);
        filtered(joined, stay)
    }
}

/// A node whose inputs have no rows as what it gives then; also under the conditions that stay above it.
fn pruned(plan: LogicalPlan) -> Result<LogicalPlan> {
    match &plan {
        LogicalPlan::Filter(f) if matches!(f.input.as_ref(), LogicalPlan::Extension(_)) => {
            let input = pruned(f.input.as_ref().clone())?;
            if empty::is_nothing(&input) {
                return Ok(input);
            }
            let filter = Filter::try_new(f.predicate.clone(), Arc::new(input)).map_err(from_datafusion)?;
            Ok(LogicalPlan::Filter(filter))
        }
        LogicalPlan::Extension(e) => match FlinkNode::of(e) {
            Some(node) if empty::gives_nothing(node) && !has_time(&plan) && properties(&plan).is_none() => {
                nothing(plan.schema())
            }
            Some(FlinkNode { kind: FlinkNodeKind::Aggregate(aggregate), input, .. }) if empty::has_no_rows(input) => {
                Ok(empty::row_of_nothing(aggregate, plan.schema())?.unwrap_or(plan))
            }
            _ => Ok(plan),
        },
        _ => Ok(plan),
    }
}

/// The parts of a condition that AND holds together, as they are written.
fn parts(e: &Expr) -> impl Iterator<Item = Expr> + use<> {
    fn walk(e: &Expr, out: &mut Vec<Expr>) {
        match unaliased(e) {
            Expr::BinaryExpr(b) if b.op == Operator::And => {
                walk(&b.left, out);
                walk(&b.right, out);
            }
            other if crate::bind::join::is_true(other) => {}
            other => out.push(other.clone()),
        }
    }
    let mut out = vec![];
    walk(e, &mut out);
    out.into_iter()
}

fn filtered(plan: LogicalPlan, conditions: Vec<Expr>) -> Result<LogicalPlan> {
    match together(conditions) {
        Some(expr) => filter(plan, Typed { expr, data_type: TypeKind::Boolean.nullable() }),
        None => Ok(plan),
    }
}

fn rebuilt(node: &FlinkNode, input: LogicalPlan, second: Option<LogicalPlan>) -> LogicalPlan {
    let node = FlinkNode { kind: node.kind.clone(), input, second, schema: node.schema.clone() };
    LogicalPlan::Extension(datafusion_expr::Extension { node: Arc::new(node) })
}

/// Conditions that read such columns alone, under the names that they have below, and the others. One that may fail on a row
/// does not pass by one that stays and is asked before it.
fn split(conditions: Vec<Expr>, passes: &BTreeMap<String, String>) -> Result<(Vec<Expr>, Vec<Expr>)> {
    let (mut below, mut stay) = (vec![], vec![]);
    for condition in conditions {
        let read = reads(&condition);
        let passes_by = stay.is_empty() || region::never_fails(&condition);
        if condition.is_volatile() || !passes_by || read.is_empty() || !read.iter().all(|c| passes.contains_key(c)) {
            stay.push(condition);
        } else {
            below.push(renamed(&condition, passes)?);
        }
    }
    Ok((below, stay))
}

fn renamed(condition: &Expr, names: &BTreeMap<String, String>) -> Result<Expr> {
    substitute(condition, &|name| names.get(name).map(|new| column(new)))
}

fn positions(from: &DFSchemaRef, to: &DFSchemaRef) -> BTreeMap<String, String> {
    from.fields().iter().zip(to.fields()).map(|(a, b)| (a.name().clone(), b.name().clone())).collect()
}

/// The columns of its input that a node passes on under their names.
fn same_names(node: &FlinkNode) -> BTreeMap<String, String> {
    let of_node: BTreeSet<&String> = node.schema.fields().iter().map(|f| f.name()).collect();
    let input = node.input.schema().fields().iter().map(|f| f.name());
    input.filter(|name| of_node.contains(name)).map(|name| (name.clone(), name.clone())).collect()
}

/// A plan under the names and types of a schema.
fn with_columns(plan: LogicalPlan, schema: &DFSchemaRef) -> Result<LogicalPlan> {
    let (have, want) = (columns_of(plan.schema())?, columns_of(schema)?);
    if have == want {
        return Ok(plan);
    }
    let columns =
        have.iter().zip(want).map(|((from, _), (name, data_type))| (name, Typed { expr: column(from), data_type }));
    let columns: Vec<(String, Typed)> = columns.collect();
    project(plan, columns)
}

/// Whether a plan's rows have a time attribute: then its watermark moves what is behind it, with rows and without.
fn has_time(plan: &LogicalPlan) -> bool {
    let types = columns_of(plan.schema());
    types.is_ok_and(|c| c.iter().any(|(_, t)| is_time(t)))
}

/// Whether two values of a type that are equal are the same: -0.0 equals 0.0.
fn equals_are_same(kind: &TypeKind) -> bool {
    matches!(
        kind,
        TypeKind::Boolean
            | TypeKind::TinyInt
            | TypeKind::SmallInt
            | TypeKind::Int
            | TypeKind::BigInt
            | TypeKind::VarChar(_)
            | TypeKind::Decimal { .. }
            | TypeKind::Date
            | TypeKind::Timestamp(..)
            | TypeKind::TimestampLtz(..)
    )
}

fn is_time(t: &LogicalType) -> bool {
    t.kind.time_attribute() != flott_core::types::TimeAttribute::None
}

/// No rows.
fn nothing(schema: &DFSchemaRef) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Values(Values { schema: schema.clone(), values: vec![] }))
}

/// What is known to be true of the rows of a plan: the filters at its top.
fn known(plan: &LogicalPlan) -> Result<Vec<Expr>> {
    match plan {
        LogicalPlan::Filter(f) => {
            let mut all: Vec<Expr> = parts(&f.predicate).collect();
            all.extend(known(&f.input)?);
            Ok(all)
        }
        LogicalPlan::Projection(p) => {
            let outputs = p.expr.iter().zip(p.schema.fields());
            let names: BTreeMap<String, String> = outputs
                .filter_map(|(e, f)| match unaliased(e) {
                    Expr::Column(c) => Some((c.name.clone(), f.name().clone())),
                    _ => None,
                })
                .collect();
            let below = known(&p.input)?.into_iter().filter(|c| reads(c).iter().all(|n| names.contains_key(n)));
            below.map(|c| renamed(&c, &names)).collect()
        }
        _ => Ok(vec![]),
    }
}
