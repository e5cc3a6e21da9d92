//! State that grows for as long as its job runs: told when a plan is explained or run.

use std::collections::HashSet;
use std::sync::Arc;

use flott_connector::Boundedness;
use flott_core::options::Options;
use flott_graph::Changes;

use super::explain;
use super::join::JoinWay;
use super::stream::{StreamNode, StreamOp};
use crate::bind::is_batch;

/// How much of an operator's description a warning shows.
const SHOWN_CHARS_MAX: usize = 120;

/// Warns of the operators of a job whose state has no end: what it is, and what can be done.
pub(super) fn warn(roots: &[Arc<StreamNode>], config: &Options) {
    for text in told(roots, config) {
        tracing::warn!("{text}");
    }
}

fn told(roots: &[Arc<StreamNode>], config: &Options) -> Vec<String> {
    if is_batch(config) {
        return vec![];
    }
    let (mut seen, mut texts) = (HashSet::new(), vec![]);
    for root in roots {
        visit(root, &mut seen, &mut texts);
    }
    texts
}

/// Whether rows come without an end.
fn visit(node: &Arc<StreamNode>, seen: &mut HashSet<*const StreamNode>, texts: &mut Vec<String>) -> bool {
    let endless = match &node.op {
        StreamOp::Scan(scan) => scan.source.source.boundedness() != Boundedness::Bounded,
        // Every input is visited.
        _ => node.inputs.iter().fold(false, |endless, input| visit(&input.node, seen, texts) | endless),
    };
    if !endless || !seen.insert(Arc::as_ptr(node)) {
        return endless;
    }
    let Some((what, cure)) = kept(&node.op) else { return endless };
    let mut shown = explain::describe(node);
    if let Some((end, _)) = shown.char_indices().nth(SHOWN_CHARS_MAX) {
        shown.truncate(end);
        shown.push('…');
    }
    texts.push(format!("state grows without bound: {shown} keeps {what} for ever. {cure}"));
    endless
}

/// What an operator never forgets, and what makes it.
fn kept(op: &StreamOp) -> Option<(&'static str, &'static str)> {
    const TTL: &str = "'table.exec.state.ttl', or the hint /*+ STATE_TTL('table' = '1 d') */, forgets what nobody touches \
                       for so long";
    const OF_SESSION: &str = "'table.exec.state.ttl' forgets what nobody touches for so long";
    Some(match op {
        StreamOp::Join(join) if matches!(join.way, JoinWay::Regular) && !join.final_only => match join.state_ttl {
            [None, None] => ("the rows of both sides", TTL),
            [None, Some(_)] => ("the rows of its left side", TTL),
            [Some(_), None] => ("the rows of its right side", TTL),
            [Some(_), Some(_)] => return None,
        },
        StreamOp::GroupAggregate(spec) | StreamOp::GlobalGroupAggregate(spec)
            if spec.state_ttl.is_none() && spec.changes != Changes::Final && !spec.group_keys.is_empty() =>
        {
            ("each group", TTL)
        }
        StreamOp::ChangelogNormalize(spec) if spec.state_ttl.is_none() && spec.changes != Changes::Final => {
            ("the row of each key", OF_SESSION)
        }
        StreamOp::OverAggregate(spec) if spec.state_ttl.is_none() && super::over::grows(spec) => {
            ("each partition", OF_SESSION)
        }
        StreamOp::Match(matching) if matching.within_ms().is_none() => (
            "a run of the pattern that neither matches nor fails",
            "WITHIN INTERVAL .. behind PATTERN (..) gives it up",
        ),
        _ => return None,
    })
}
