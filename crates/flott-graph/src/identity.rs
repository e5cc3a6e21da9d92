//! What tells an operator's state from that of another one of its kind, over edits of a script.
//!
//! An id says where state lies. Which operator of an edited script it belongs to is found by what the operators do: see
//! RFC 0003.

use std::collections::BTreeSet;

use crate::graph::JobGraph;
use crate::meaning::StateMeaning;
use crate::spec::OperatorSpec;

/// Of one operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateIdentity {
    /// A hash of what it does and of all that it reads, the options of its tables included.
    pub digest: u64,
    /// The same without the options of tables.
    pub shape: u64,
    /// What its state stands for: kept rows of other columns, in another order or of other sides are other state.
    pub meaning: StateMeaning,
}

/// An id without the ordinals that tell equals apart: operators of one class may have each other's state.
///
/// ```
/// assert_eq!(flott_graph::identity::class("rank:[k]:[v]:s#2+t#3"), "rank:[k]:[v]:s+t");
/// assert_eq!(flott_graph::identity::class("source:a#b"), "source:a#b");
/// ```
pub fn class(uid: &str) -> String {
    let mut parts = uid.split('#');
    let mut class = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let rest = &part[digits..];
        if digits > 0 && (rest.is_empty() || rest.starts_with(['+', ':'])) {
            class.push_str(rest);
        } else {
            class.push('#');
            class.push_str(part);
        }
    }
    class
}

impl JobGraph {
    /// Of each node: the sinks that its rows can come to, without ordinals.
    pub fn sinks_reached(&self) -> Vec<BTreeSet<String>> {
        let mut reached: Vec<BTreeSet<String>> = vec![BTreeSet::new(); self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate().rev() {
            if matches!(node.spec, OperatorSpec::Sink(_)) {
                reached[i].insert(class(&node.uid));
            }
            let own = reached[i].clone();
            for input in &node.inputs {
                reached[input.node.0].extend(own.iter().cloned());
            }
        }
        reached
    }

    /// Gives each node another id, in their order. What is known by id goes with it.
    pub fn rename(&mut self, uids: Vec<String>) {
        let (mut conditions, mut identities) =
            (std::mem::take(&mut self.conditions), std::mem::take(&mut self.identities));
        for (node, uid) in self.nodes.iter_mut().zip(uids) {
            if let Some(of_node) = conditions.remove(&node.uid) {
                self.conditions.insert(uid.clone(), of_node);
            }
            if let Some(of_node) = identities.remove(&node.uid) {
                self.identities.insert(uid.clone(), of_node);
            }
            node.uid = uid;
        }
    }
}
