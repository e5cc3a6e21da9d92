//! What has no rows by its plan: Calcite's `PruneEmptyRules` and `AggregateValuesRule`.
//!
//! An aggregation without keys over such an input is a row that is known, in streaming mode, too, where it would give none
//! until the first row comes.

use datafusion_common::{DFSchemaRef, ScalarValue};
use datafusion_expr::LogicalPlan;
use datafusion_expr::logical_plan::Values;
use flott_core::Result;
use flott_core::types::arrow_type;
use flott_function::AggregateKind;
use flott_graph::JoinKind;

use super::{fold, parts};
use crate::bind::node::Aggregate;
use crate::bind::{FlinkNode, FlinkNodeKind, Typed, from_datafusion};

/// Whether a plan is VALUES without rows.
pub(super) fn is_nothing(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Values(v) if v.values.is_empty())
}

/// Whether a plan has no rows, also where a time attribute keeps its filter.
pub(super) fn has_no_rows(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Filter(f) => {
            let conditions: Vec<_> = parts(&f.predicate).collect();
            fold::are_never_met(&conditions, f.input.schema()) || has_no_rows(&f.input)
        }
        LogicalPlan::Projection(p) => has_no_rows(&p.input),
        other => is_nothing(other),
    }
}

/// Whether a node has no rows since an input has none. What is missing in one side of an outer join is padded.
pub(super) fn gives_nothing(node: &FlinkNode) -> bool {
    let (left, right) = (is_nothing(&node.input), node.second.as_ref().is_some_and(is_nothing));
    match &node.kind {
        // Without keys it is a row.
        FlinkNodeKind::Aggregate(aggregate) => left && !aggregate.group.is_empty(),
        FlinkNodeKind::Join(join) => match join.kind {
            JoinKind::Inner | JoinKind::Semi => left || right,
            JoinKind::Left | JoinKind::Anti => left,
            JoinKind::Right => right,
            JoinKind::Full => left && right,
        },
        FlinkNodeKind::Sort(sort) => left || sort.fetch == Some(0),
        FlinkNodeKind::Over(_) | FlinkNodeKind::Unnest(_) => left,
        FlinkNodeKind::WatermarkAssigner { .. }
        | FlinkNodeKind::WindowTableFunction(_)
        | FlinkNodeKind::Changelog(_)
        | FlinkNodeKind::Match(_) => false,
    }
}

/// The row of an aggregation without keys over no rows. `None` for others, and where a function is not one of those that
/// Flink knows here: COUNT, SUM, MIN, MAX, and AVG, which is made of them.
pub(super) fn row_of_nothing(aggregate: &Aggregate, schema: &DFSchemaRef) -> Result<Option<LogicalPlan>> {
    if !aggregate.group.is_empty() || aggregate.sets.is_some() || aggregate.calls.len() != schema.fields().len() {
        return Ok(None);
    }
    let mut row = vec![];
    for call in &aggregate.calls {
        let arrow = arrow_type(&call.result);
        let value = match call.kind {
            AggregateKind::Count | AggregateKind::Sum0 => ScalarValue::new_zero(&arrow),
            AggregateKind::Sum | AggregateKind::Min | AggregateKind::Max | AggregateKind::Avg => {
                ScalarValue::try_new_null(&arrow)
            }
            _ => return Ok(None),
        };
        row.push(Typed::literal(value.map_err(from_datafusion)?, call.result.clone()).expr);
    }
    Ok(Some(LogicalPlan::Values(Values { schema: schema.clone(), values: vec![row] })))
}
