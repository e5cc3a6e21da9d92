//! What ranks, deduplications, functions over windows, sorts and patterns do with changes.

use flott_graph::{DeduplicateSpec, OverAggregateSpec, OverArrival, RankStrategy, SortSpec, TemporalSortSpec};

use super::keys::{InputKeys, Key, containing};
use super::kinds::{ModifyKinds, UpdateKind};
use super::rules::{ChangelogRule, RuleInput, Way, first};
use crate::plan::match_recognize::Matching;
use crate::plan::stream::{Rank, StreamNode, WindowRank};

impl ChangelogRule for Rank {
    fn accepts(&self) -> Option<ModifyKinds> {
        Some(match self.spec.strategy {
            RankStrategy::AppendFast => ModifyKinds::INSERT_ONLY,
            // An aggregation over rows that are updated deletes a group for a moment. Where columns are known to get only
            // better, none stays away.
            RankStrategy::UpdateFast { .. } | RankStrategy::Retract => ModifyKinds::ALL,
        })
    }

    fn produces(&self, _inputs: &[ModifyKinds]) -> ModifyKinds {
        if self.appends() { ModifyKinds::INSERT_ONLY } else { ModifyKinds::ALL }
    }

    fn updates(&self, _required: UpdateKind, _input: &RuleInput<'_>) -> Way<UpdateKind> {
        Way::Make(match self.spec.strategy {
            RankStrategy::UpdateFast { .. } => UpdateKind::OnlyAfter,
            RankStrategy::AppendFast | RankStrategy::Retract => UpdateKind::BeforeAndAfter,
        })
    }

    /// Those of the input, the partition and the number, and of the first row alone the partition. Where a number's new row alone is sent,
    /// a row that leaves the rank does so without a word: the input's keys tell nothing of its end.
    fn upsert_keys(&self, node: &StreamNode, inputs: &[InputKeys]) -> Vec<Key> {
        let partition: Key = self.spec.partition_keys.iter().copied().collect();
        if self.spec.range.is_top_1() && !self.spec.output_rank_number && !self.appends() {
            return vec![partition];
        }
        let silent = self.spec.output_rank_number && UpdateKind::of(node.changelog) == UpdateKind::OnlyAfter;
        let mut keys = if silent { vec![] } else { containing(&first(inputs), &self.spec.partition_keys) };
        if self.spec.output_rank_number {
            let number = node.schema.fields().len().saturating_sub(1);
            keys.push(partition.into_iter().chain([number]).collect());
        }
        keys
    }
}

impl ChangelogRule for DeduplicateSpec {
    fn accepts(&self) -> Option<ModifyKinds> {
        Some(ModifyKinds::INSERT_ONLY)
    }

    fn produces(&self, _inputs: &[ModifyKinds]) -> ModifyKinds {
        if self.appends() { ModifyKinds::INSERT_ONLY } else { ModifyKinds::ALL }
    }

    fn updates(&self, _required: UpdateKind, _input: &RuleInput<'_>) -> Way<UpdateKind> {
        Way::Make(UpdateKind::BeforeAndAfter)
    }

    fn upsert_keys(&self, _node: &StreamNode, _inputs: &[InputKeys]) -> Vec<Key> {
        vec![self.keys.iter().copied().collect()]
    }
}

impl ChangelogRule for WindowRank {
    fn accepts(&self) -> Option<ModifyKinds> {
        Some(ModifyKinds::INSERT_ONLY)
    }

    /// The window, the partition and the number; of one row the window and the partition.
    fn upsert_keys(&self, node: &StreamNode, _inputs: &[InputKeys]) -> Vec<Key> {
        let window = self.spec.window_start.into_iter().chain(self.spec.window_end);
        let mut key: Key = self.spec.partition_keys.iter().copied().chain(window).collect();
        if self.spec.output_rank_number {
            key.insert(node.schema.fields().len().saturating_sub(1));
        } else if self.spec.start != self.spec.end {
            return vec![];
        }
        vec![key]
    }
}

impl ChangelogRule for OverAggregateSpec {
    /// In the order of time a row that has left does not change.
    fn accepts(&self) -> Option<ModifyKinds> {
        Some(if self.arrival == OverArrival::Anywhere { ModifyKinds::ALL } else { ModifyKinds::INSERT_ONLY })
    }

    fn produces(&self, _inputs: &[ModifyKinds]) -> ModifyKinds {
        if self.arrival == OverArrival::Anywhere { ModifyKinds::ALL } else { ModifyKinds::INSERT_ONLY }
    }

    fn updates(&self, _required: UpdateKind, _input: &RuleInput<'_>) -> Way<UpdateKind> {
        Way::Make(UpdateKind::BeforeAndAfter)
    }

    fn upsert_keys(&self, _node: &StreamNode, inputs: &[InputKeys]) -> Vec<Key> {
        containing(&first(inputs), &self.partition_keys)
    }
}

impl ChangelogRule for SortSpec {
    fn accepts(&self) -> Option<ModifyKinds> {
        Some(ModifyKinds::ALL)
    }

    fn produces(&self, _inputs: &[ModifyKinds]) -> ModifyKinds {
        ModifyKinds::INSERT_ONLY
    }

    fn updates(&self, _required: UpdateKind, _input: &RuleInput<'_>) -> Way<UpdateKind> {
        Way::Make(UpdateKind::BeforeAndAfter)
    }

    fn upsert_keys(&self, _node: &StreamNode, inputs: &[InputKeys]) -> Vec<Key> {
        first(inputs)
    }
}

impl ChangelogRule for Matching {
    fn accepts(&self) -> Option<ModifyKinds> {
        Some(ModifyKinds::INSERT_ONLY)
    }

    fn upsert_keys(&self, _node: &StreamNode, _inputs: &[InputKeys]) -> Vec<Key> {
        vec![]
    }
}

impl ChangelogRule for TemporalSortSpec {
    fn accepts(&self) -> Option<ModifyKinds> {
        Some(ModifyKinds::INSERT_ONLY)
    }

    fn upsert_keys(&self, _node: &StreamNode, inputs: &[InputKeys]) -> Vec<Key> {
        first(inputs)
    }
}
