//! An order that nobody sees is left out: that of a view, where its rows are joined, grouped or looked at otherwise than row by
//! row. An order that chooses rows (OFFSET, LIMIT) stays.

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_expr::LogicalPlan;
use flott_core::Result;

use crate::bind::node::Sort;
use crate::bind::{FlinkNode, FlinkNodeKind, from_datafusion};

/// A plan whose rows are shown in the order that they have, without the orders that do not matter to them.
pub(super) fn left_out(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(below(plan, true).map_err(from_datafusion)?.data)
}

/// `shown`: the order of these rows is that of the result.
fn below(plan: LogicalPlan, shown: bool) -> datafusion_common::Result<Transformed<LogicalPlan>> {
    let order = match &plan {
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) => return plan.map_children(|input| below(input, shown)),
        LogicalPlan::Extension(extension) => match FlinkNode::of(extension) {
            Some(FlinkNode { kind: FlinkNodeKind::Sort(sort), input, .. }) => Some((sort, input)),
            _ => None,
        },
        _ => None,
    };
    match order {
        Some((Sort { offset: 0, fetch: None, .. }, input)) if !shown => {
            Ok(Transformed::yes(below(input.clone(), false)?.data))
        }
        _ => plan.map_children(|input| below(input, false)),
    }
}
