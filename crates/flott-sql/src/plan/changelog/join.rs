//! What joins do with changes.

use std::collections::BTreeSet;

use flott_graph::JoinKind;

use super::keys::{InputKeys, Key, containing};
use super::kinds::{DeleteKind, ModifyKinds, UpdateKind};
use super::rules::{ChangelogRule, RuleInput, Way};
use crate::plan::join::{JoinOp, JoinWay, UnnestOp};
use crate::plan::stream::StreamNode;

/// The changes that a join emits.
pub(crate) fn joined_kinds(join: &JoinOp, inputs: &[ModifyKinds]) -> ModifyKinds {
    let all = inputs.iter().copied().reduce(ModifyKinds::union).unwrap_or(ModifyKinds::INSERT_ONLY);
    match (&join.way, join.kind) {
        (JoinWay::Interval { .. } | JoinWay::Window { .. }, _) => ModifyKinds::INSERT_ONLY,
        // Kinds are those of the left rows.
        (JoinWay::Temporal { .. }, _) => inputs.first().copied().unwrap_or(ModifyKinds::INSERT_ONLY),
        (JoinWay::Regular, JoinKind::Inner | JoinKind::Semi) => all,
        (JoinWay::Regular, _) if join.final_only => all,
        (JoinWay::Regular, _) => ModifyKinds::ALL,
    }
}

/// Rows of one row are told apart by nothing.
impl ChangelogRule for UnnestOp {
    fn upsert_keys(&self, _node: &StreamNode, _inputs: &[InputKeys]) -> Vec<Key> {
        vec![]
    }
}

impl ChangelogRule for JoinOp {
    fn accepts(&self) -> Option<ModifyKinds> {
        Some(match self.way {
            JoinWay::Regular | JoinWay::Temporal { .. } => ModifyKinds::ALL,
            JoinWay::Interval { .. } | JoinWay::Window { .. } => ModifyKinds::INSERT_ONLY,
        })
    }

    fn produces(&self, inputs: &[ModifyKinds]) -> ModifyKinds {
        joined_kinds(self, inputs)
    }

    /// An update alone is enough where it cannot change which rows it meets: the join's key, or what else must be true
    /// (there Flink asks for no more either, and keeps joined rows that are none any more).
    fn updates(&self, required: UpdateKind, input: &RuleInput<'_>) -> Way<UpdateKind> {
        if let JoinWay::Temporal { .. } = self.way {
            // A version takes the place of the one before it.
            let right = input.kinds.updates(UpdateKind::OnlyAfter);
            return Way::Make(if input.index == 1 { right } else { required });
        }
        if required != UpdateKind::OnlyAfter {
            return Way::Make(UpdateKind::BeforeAndAfter);
        }
        let can_leave = self.rest.is_some() || !self.key_holds_join_keys(input.index, &(input.keys)());
        if input.kinds.update && can_leave {
            return Way::Impossible;
        }
        Way::Make(UpdateKind::OnlyAfter)
    }

    fn deletes(&self, required: DeleteKind, input: &RuleInput<'_>) -> Way<DeleteKind> {
        if let JoinWay::Temporal { .. } = self.way {
            return Way::Make(if input.index == 1 { DeleteKind::Full } else { required });
        }
        if required == DeleteKind::ByKey && self.key_holds_join_keys(input.index, &(input.keys)()) {
            return Way::Pass;
        }
        Way::Make(DeleteKind::Full)
    }

    /// The keys of both inputs together; those of one side alone where a row has one partner at most. Keys must hold the
    /// join's own: rows were sent by those.
    fn upsert_keys(&self, node: &StreamNode, inputs: &[InputKeys]) -> Vec<Key> {
        let [left, right] = inputs else { return vec![] };
        let of = |keys: &[Key], input: usize| containing(keys, self.keys(input));
        let (of_left, of_right) = (of(&left.keys, 0), of(&right.keys, 1));
        if self.kind.is_semi_or_anti() || matches!(self.way, JoinWay::Temporal { .. }) {
            return of_left;
        }
        let width = node.inputs.first().map_or(0, |i| i.node.schema.fields().len());
        let shifted: Vec<Key> = of_right.iter().map(|k| k.iter().map(|c| c + width).collect()).collect();
        let mut keys: Vec<Key> = vec![];
        for l in &of_left {
            keys.extend(shifted.iter().map(|r| l.union(r).copied().collect::<BTreeSet<usize>>()));
        }
        // A row has one partner at most where the join's keys hold a key of the other input.
        let unique = |of: &InputKeys, input| of.unsent.iter().any(|k| k.iter().all(|c| self.keys(input).contains(c)));
        if unique(right, 1) && !self.kind.pads_right_rows() {
            keys.extend(of_left.iter().cloned());
        }
        if unique(left, 0) && !self.kind.pads_left_rows() {
            keys.extend(shifted);
        }
        keys
    }
}
