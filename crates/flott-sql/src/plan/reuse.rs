//! Equal parts of the plans of a job run once (`table.optimizer.reuse-sub-plan-enabled`): Flink's `SubplanReuser`.
//!
//! A view, or a common table expression, is bound where it is read, so that each of its readers has a copy of it. Copies
//! become one node where they are the same down to their sources: operator, columns, kinds of changes and inputs. As in
//! Flink, also where an expression gives another value at each call.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use flott_core::Result;
use flott_core::options::Options;

use super::options;
use super::stream::{StreamInput, StreamNode, StreamOp};

type Address = *const StreamNode;

/// The plans, with equal nodes as one.
pub(super) fn shared(
    roots: Vec<Arc<StreamNode>>,
    late: Vec<Arc<StreamNode>>,
    config: &Options,
) -> Result<(Vec<Arc<StreamNode>>, Vec<Arc<StreamNode>>)> {
    if !options::reuses_sub_plans(config)? {
        return Ok((roots, late));
    }
    let mut sharing = Sharing::default();
    let roots = roots.iter().map(|r| sharing.node(r)).collect();
    let late = late.iter().map(|r| sharing.node(r)).collect();
    Ok((roots, late))
}

#[derive(Default)]
struct Sharing {
    done: HashMap<Address, Arc<StreamNode>>,
    /// By everything that a node is: its inputs are told by where they are, which are shared already.
    known: HashMap<String, Arc<StreamNode>>,
    /// Constant rows are compared as they are.
    values: Vec<Arc<StreamNode>>,
}

impl Sharing {
    fn node(&mut self, node: &Arc<StreamNode>) -> Arc<StreamNode> {
        if let Some(done) = self.done.get(&Arc::as_ptr(node)) {
            return done.clone();
        }
        let inputs: Vec<StreamInput> =
            node.inputs.iter().map(|i| StreamInput { node: self.node(&i.node), port: i.port }).collect();
        let same = inputs.iter().zip(&node.inputs).all(|(a, b)| Arc::ptr_eq(&a.node, &b.node));
        let made = match same {
            true => node.clone(),
            false => node.remade(node.op.clone(), inputs, node.changelog, node.deletes_by_key),
        };
        let shared = match digest(&made) {
            Some(digest) => self.known.entry(digest).or_insert(made).clone(),
            None => self.same_rows(made),
        };
        self.done.insert(Arc::as_ptr(node), shared.clone());
        shared
    }

    fn same_rows(&mut self, node: Arc<StreamNode>) -> Arc<StreamNode> {
        let StreamOp::Values { batch, .. } = &node.op else { return node };
        let same = |n: &&Arc<StreamNode>| matches!(&n.op, StreamOp::Values { batch: rows, .. } if rows == batch);
        if let Some(known) = self.values.iter().find(same) {
            return known.clone();
        }
        self.values.push(node.clone());
        node
    }
}

/// `None`: a node that is like no other, or of which not everything can be told.
fn digest(node: &StreamNode) -> Option<String> {
    let own = match &node.op {
        StreamOp::Scan(scan) => format!("{} {:?}", scan.key, scan.columns),
        StreamOp::Calc(_)
        | StreamOp::Union
        | StreamOp::Join(_)
        | StreamOp::Expand(_)
        | StreamOp::WindowTableFunction(_)
        | StreamOp::LocalWindowAggregate(_)
        | StreamOp::GlobalWindowAggregate(_)
        | StreamOp::WindowAggregate(_)
        | StreamOp::GroupAggregate(_)
        | StreamOp::MiniBatchAssigner(_)
        | StreamOp::LocalGroupAggregate(_)
        | StreamOp::GlobalGroupAggregate(_)
        | StreamOp::IncrementalGroupAggregate(_)
        | StreamOp::ChangelogNormalize(_)
        | StreamOp::DropUpdateBefore
        | StreamOp::Rank(_)
        | StreamOp::Deduplicate(_)
        | StreamOp::WindowRank(_)
        | StreamOp::OverAggregate(_)
        | StreamOp::Sort(_)
        | StreamOp::TemporalSort(_)
        | StreamOp::Exchange(_) => format!("{:?}", node.op),
        StreamOp::Values { .. } => return None,
        // They hold what was made for them alone: clients of tables, compiled expressions, sinks.
        StreamOp::LookupJoin(_)
        | StreamOp::Unnest(_)
        | StreamOp::ChangelogFunction(_)
        | StreamOp::Match(_)
        | StreamOp::Sink(_) => return None,
    };
    let mut digest = format!("{}|{own}|{}|{}", node.kind(), node.changelog, node.deletes_by_key);
    for field in node.schema.fields() {
        write!(digest, "|{field:?}").ok()?;
    }
    for input in &node.inputs {
        write!(digest, "|{:p}.{}", Arc::as_ptr(&input.node), input.port).ok()?;
    }
    Some(digest)
}
