//! `EXPLAIN PLAN_ADVICE`: what would make the job run better, by what the plan shows.

use std::collections::HashMap;
use std::sync::Arc;

use flott_core::Result;
use flott_core::options::Options;
use flott_core::types::TimeAttribute;
use flott_graph::{Changes, WindowAggregateSpec, WindowAssignment};

use super::join::JoinWay;
use super::options;
use super::stream::{StreamNode, StreamOp};
use crate::bind::is_batch;

/// Advice by number, and the nodes that it is about.
#[derive(Default)]
pub(super) struct Advice {
    texts: Vec<String>,
    of_nodes: HashMap<*const StreamNode, Vec<usize>>,
}

impl Advice {
    /// The advice for these plans.
    pub(super) fn of(roots: &[Arc<StreamNode>], config: &Options) -> Result<Advice> {
        let mut advice = Advice::default();
        let idle = is_batch(config) || options::idle_timeout(config)?.is_some();
        let two_phase = options::two_phase(config)?;
        for root in roots {
            advice.visit(root, idle, two_phase);
        }
        Ok(advice)
    }

    /// `, advice=[1]` for a node.
    pub(super) fn mark(&self, node: &Arc<StreamNode>) -> Option<String> {
        let numbers = self.of_nodes.get(&Arc::as_ptr(node))?;
        Some(format!("advice=[{}]", numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")))
    }

    /// The texts behind the plan.
    pub(super) fn text(&self) -> String {
        if self.texts.is_empty() {
            return "No available advice...\n".into();
        }
        self.texts.iter().enumerate().map(|(i, t)| format!("advice[{}]: {t}\n", i + 1)).collect()
    }

    fn add(&mut self, node: &Arc<StreamNode>, text: String) {
        let i = match self.texts.iter().position(|t| *t == text) {
            Some(i) => i,
            None => {
                self.texts.push(text);
                self.texts.len() - 1
            }
        };
        let numbers = self.of_nodes.entry(Arc::as_ptr(node)).or_default();
        if !numbers.contains(&(i + 1)) {
            numbers.push(i + 1);
        }
    }

    fn visit(&mut self, node: &Arc<StreamNode>, idle: bool, two_phase: bool) {
        match &node.op {
            StreamOp::GlobalWindowAggregate(spec) | StreamOp::WindowAggregate(spec) => {
                self.window(node, spec, idle, two_phase);
            }
            StreamOp::GroupAggregate(spec) | StreamOp::GlobalGroupAggregate(spec)
                if spec.state_ttl.is_none() && spec.changes != Changes::Final =>
            {
                self.grows(node, "group");
            }
            StreamOp::Match(matching) if matching.within_ms().is_none() => self.add(
                node,
                "[ADVICE] A run of the pattern that neither matches nor fails is kept for ever. You might want to add \
                 WITHIN INTERVAL .. behind PATTERN (..), after which it is given up."
                    .to_string(),
            ),
            StreamOp::Join(join)
                if matches!(join.way, JoinWay::Regular) && !join.final_only && join.state_ttl.contains(&None) =>
            {
                self.add(
                    node,
                    "[ADVICE] The rows of a side are kept for ever. You might want to set 'table.exec.state.ttl', or the hint \
                     STATE_TTL, after which one that nobody touches is forgotten."
                        .to_string(),
                );
            }
            StreamOp::ChangelogNormalize(normalize) if normalize.state_ttl.is_none() => self.grows(node, "key"),
            StreamOp::OverAggregate(spec) if spec.state_ttl.is_none() && super::over::grows(spec) => {
                self.grows(node, "partition");
            }
            StreamOp::Scan(_)
            | StreamOp::Values { .. }
            | StreamOp::Calc(_)
            | StreamOp::Union
            | StreamOp::Join(_)
            | StreamOp::LookupJoin(_)
            | StreamOp::Unnest(_)
            | StreamOp::ChangelogFunction(_)
            | StreamOp::Expand(_)
            | StreamOp::WindowTableFunction(_)
            | StreamOp::LocalWindowAggregate(_)
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
            | StreamOp::Match(_)
            | StreamOp::Exchange(_)
            | StreamOp::Sink(_) => {}
        }
        for input in node.inputs.iter().filter(|i| i.port == 0) {
            self.visit(&input.node, idle, two_phase);
        }
    }

    fn window(&mut self, node: &Arc<StreamNode>, spec: &WindowAggregateSpec, idle: bool, two_phase: bool) {
        let attribute = match &spec.assignment {
            WindowAssignment::TimeColumn { attribute, .. } | WindowAssignment::Attached { attribute, .. } => *attribute,
        };
        if attribute == TimeAttribute::Rowtime && !idle {
            self.sources_may_idle(node);
        }
        if matches!(node.op, StreamOp::WindowAggregate(_)) && !two_phase {
            self.add(
                node,
                "[ADVICE] You might want to enable local-global two-phase optimization by configuring \
                 ('table.optimizer.agg-phase-strategy' to 'TWO_PHASE'): fewer rows travel between subtasks."
                    .to_string(),
            );
        }
        if spec.group_keys.is_empty() {
            self.add(
                node,
                "[ADVICE] The aggregation has no key besides the window: its last phase runs in one subtask, whatever \
                 the parallelism."
                    .to_string(),
            );
        }
    }

    fn grows(&mut self, node: &Arc<StreamNode>, of: &str) {
        self.add(
            node,
            format!(
                "[ADVICE] The state of each {of} is kept for ever. You might want to set 'table.exec.state.ttl', after which one \
                 that nobody touches is forgotten."
            ),
        );
    }

    fn sources_may_idle(&mut self, node: &Arc<StreamNode>) {
        if let StreamOp::Scan(scan) = &node.op
            && scan.watermark.is_some()
        {
            let table = &scan.table.identifier.object;
            self.add(
                node,
                format!(
                    "[ADVICE] You might want to set 'table.exec.source.idle-timeout': a split of '{table}' without \
                     rows holds back every window that reads it."
                ),
            );
        }
        for input in node.inputs.iter().filter(|i| i.port == 0) {
            self.sources_may_idle(&input.node);
        }
    }
}
