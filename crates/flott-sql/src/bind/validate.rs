//! Checks a logical plan: every column is there, no sub-query or outer reference is left, types are Flink's.
//!
//! A plan that fails here is a bug of ours, not of the query: the error is internal.

use datafusion_common::DFSchema;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan};
use flott_core::{Error, Result};

use super::node::{FlinkNode, FlinkNodeKind};
use super::{ChangelogFunction, columns_of, from_datafusion};

/// Checks a whole plan.
pub fn validate(plan: &LogicalPlan) -> Result<()> {
    columns_of(plan.schema())?;
    match plan {
        LogicalPlan::TableScan(_) => Ok(()),
        LogicalPlan::EmptyRelation(_) => Ok(()),
        LogicalPlan::Values(v) => {
            let nothing = DFSchema::empty();
            v.values.iter().flatten().try_for_each(|e| expression(e, &nothing))
        }
        LogicalPlan::Projection(p) => {
            validate(&p.input)?;
            for (e, field) in p.expr.iter().zip(p.schema.fields()) {
                expression(e, p.input.schema())?;
                let have = e.get_type(p.input.schema()).map_err(from_datafusion)?;
                if !have.equals_datatype(field.data_type()) {
                    return Err(Error::internal(format!(
                        "column '{}' was planned as {} and is computed as {have}",
                        field.name(),
                        field.data_type()
                    )));
                }
            }
            Ok(())
        }
        LogicalPlan::Filter(f) => {
            validate(&f.input)?;
            expression(&f.predicate, f.input.schema())
        }
        LogicalPlan::Union(u) => {
            for input in &u.inputs {
                validate(input)?;
                let same = input.schema().fields().len() == u.schema.fields().len()
                    && input
                        .schema()
                        .fields()
                        .iter()
                        .zip(u.schema.fields())
                        .all(|(a, b)| a.data_type().equals_datatype(b.data_type()));
                if !same {
                    return Err(Error::internal("a branch of UNION ALL has other types than the union"));
                }
            }
            Ok(())
        }
        LogicalPlan::Extension(e) => {
            let node = FlinkNode::of(e).ok_or_else(|| Error::internal("an unknown node in the logical plan"))?;
            validate(&node.input)?;
            let there = |name: &String| match node.input.schema().index_of_column_by_name(None, name) {
                Some(_) => Ok(()),
                None => Err(Error::internal(format!("column '{name}' is missing below an operator"))),
            };
            match &node.kind {
                FlinkNodeKind::WatermarkAssigner { rowtime, watermark } => {
                    there(rowtime)?;
                    watermark.iter().try_for_each(|w| expression(w, node.input.schema()))
                }
                FlinkNodeKind::WindowTableFunction(f) => {
                    there(&f.time_column)?;
                    f.partition_keys.iter().try_for_each(there)
                }
                FlinkNodeKind::Unnest(unnest) => {
                    there(&unnest.column)?;
                    unnest.condition.iter().try_for_each(|c| expression(c, &node.schema))
                }
                FlinkNodeKind::Join(join) => {
                    let right = node.second.as_ref().ok_or_else(|| Error::internal("a join of one input"))?;
                    validate(right)?;
                    let pair = node.input.schema().join(right.schema()).map_err(from_datafusion)?;
                    join.condition.iter().try_for_each(|c| expression(c, &pair))
                }
                FlinkNodeKind::Aggregate(a) => {
                    a.group.iter().try_for_each(there)?;
                    a.calls.iter().flat_map(|c| c.arguments.iter().chain(&c.filter)).try_for_each(there)
                }
                FlinkNodeKind::Over(o) => {
                    let keys = o.partition.iter().chain(o.order.iter().map(|k| &k.column));
                    keys.chain(o.calls.iter().flat_map(|c| &c.arguments)).try_for_each(there)
                }
                FlinkNodeKind::Changelog(call) => {
                    call.on_time.iter().try_for_each(there)?;
                    match &call.function {
                        ChangelogFunction::From { op, .. } => there(op),
                        ChangelogFunction::To(_) => Ok(()),
                    }
                }
                FlinkNodeKind::Match(m) => {
                    m.partition.iter().chain(m.order.iter().map(|k| &k.column)).try_for_each(there)
                }
                FlinkNodeKind::Sort(s) => s.order.iter().map(|k| &k.column).try_for_each(there),
            }
        }
        other => Err(Error::internal(format!("a node of the logical plan that nobody plans: {}", other.display()))),
    }
}

fn expression(e: &Expr, schema: &DFSchema) -> Result<()> {
    let mut problem = None;
    e.apply(|e| {
        problem = match e {
            Expr::Column(c) if schema.maybe_index_of_column(c).is_none() => Some(format!("column '{c}' is not there")),
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => Some("a sub-query is left".to_string()),
            Expr::OuterReferenceColumn(..) => Some("an outer reference is left".to_string()),
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) => Some("an aggregate is left".to_string()),
            _ => None,
        };
        Ok(if problem.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .map_err(from_datafusion)?;
    match problem {
        Some(p) => Err(Error::internal(format!("{p} in {e}"))),
        None => Ok(()),
    }
}
