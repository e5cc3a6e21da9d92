//! What each operator does with changes: one implementation of [`ChangelogRule`] per operator. Who adds an operator adds
//! its rule here; the match in [`rule`] asks for it.

use flott_graph::{EmitStrategy, ExpandSpec, GroupAggregateSpec, WindowAggregateSpec, WindowTableFunctionSpec};

use super::keys::{InputKeys, Key, columns_read, containing, places, smallest, through_projection};
use super::kinds::{DeleteKind, ModifyKinds, UpdateKind};
use crate::plan::stream::{Calc, ChangelogNormalize, Distribution, Scan, Sink, StreamNode, StreamOp};

/// How an operator gives its updates or deletes the form that its reader asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way<K> {
    /// It passes them on: its input must come in that form.
    Pass,
    /// It makes its own, in any form; its input must come in this one.
    Make(K),
    /// Like `Make`, but they always have the second form.
    MakeOnly(K, K),
    /// It cannot.
    Impossible,
}

/// An input of an operator, for its rule.
pub(crate) struct RuleInput<'a> {
    /// Which input it is.
    pub(crate) index: usize,
    pub(crate) kinds: ModifyKinds,
    pub(crate) keys: &'a dyn Fn() -> Vec<Key>,
    pub(crate) node: &'a StreamNode,
}

/// What an operator does with changes.
pub(crate) trait ChangelogRule {
    /// The changes that its inputs may have. `None`: those that its reader takes, since it passes them on.
    fn accepts(&self) -> Option<ModifyKinds> {
        None
    }

    /// The changes that it emits, given those of its inputs.
    fn produces(&self, inputs: &[ModifyKinds]) -> ModifyKinds {
        inputs.iter().copied().reduce(ModifyKinds::union).unwrap_or(ModifyKinds::INSERT_ONLY)
    }

    /// How updates of an input must come, so that updates leave as `required`.
    fn updates(&self, _required: UpdateKind, _input: &RuleInput<'_>) -> Way<UpdateKind> {
        Way::Pass
    }

    /// How deletes of an input must come, so that deletes leave as `required`.
    fn deletes(&self, _required: DeleteKind, _input: &RuleInput<'_>) -> Way<DeleteKind> {
        Way::Make(DeleteKind::Full)
    }

    /// The upsert keys of its output, given those of its inputs.
    fn upsert_keys(&self, node: &StreamNode, inputs: &[InputKeys]) -> Vec<Key>;
}

/// The rule of an operator.
pub(crate) fn rule(op: &StreamOp) -> &dyn ChangelogRule {
    match op {
        StreamOp::Scan(scan) => scan,
        StreamOp::Values { .. } => &Values,
        StreamOp::Calc(calc) => calc,
        StreamOp::Union => &Union,
        StreamOp::Join(join) => join,
        StreamOp::LookupJoin(join) => join,
        StreamOp::Unnest(spec) => spec,
        StreamOp::ChangelogFunction(op) => op,
        StreamOp::Expand(spec) => spec,
        StreamOp::WindowTableFunction(spec) => spec,
        StreamOp::LocalWindowAggregate(_)
        | StreamOp::LocalGroupAggregate(_)
        | StreamOp::IncrementalGroupAggregate(_) => &LocalAggregate,
        StreamOp::MiniBatchAssigner(_) => &MiniBatchAssigner,
        StreamOp::GlobalWindowAggregate(spec) | StreamOp::WindowAggregate(spec) => spec,
        StreamOp::GroupAggregate(spec) | StreamOp::GlobalGroupAggregate(spec) => spec,
        StreamOp::ChangelogNormalize(normalize) => normalize,
        StreamOp::DropUpdateBefore => &DropUpdateBefore,
        StreamOp::Rank(rank) => rank,
        StreamOp::Deduplicate(spec) => spec,
        StreamOp::WindowRank(rank) => rank,
        StreamOp::OverAggregate(spec) => spec,
        StreamOp::Sort(spec) => spec,
        StreamOp::TemporalSort(spec) => spec,
        StreamOp::Match(matching) => matching,
        StreamOp::Exchange(distribution) => distribution,
        StreamOp::Sink(sink) => sink,
    }
}

pub(super) fn first(inputs: &[InputKeys]) -> Vec<Key> {
    inputs.first().map(|i| i.keys.clone()).unwrap_or_default()
}

impl ChangelogRule for Scan {
    fn produces(&self, _inputs: &[ModifyKinds]) -> ModifyKinds {
        ModifyKinds::of(self.source.changelog_mode)
    }

    fn upsert_keys(&self, _node: &StreamNode, _inputs: &[InputKeys]) -> Vec<Key> {
        self.primary_key().into_iter().map(|key| key.into_iter().collect()).collect()
    }
}

struct Values;

impl ChangelogRule for Values {
    fn upsert_keys(&self, _node: &StreamNode, _inputs: &[InputKeys]) -> Vec<Key> {
        vec![]
    }
}

impl Calc {
    /// Whether all versions of a row pass the filter or none does.
    fn filters_by_key(&self, input: &RuleInput<'_>) -> bool {
        let Some(filter) = &self.filter else { return true };
        let keys = (input.keys)();
        let read = columns_read(filter, &input.node.schema);
        smallest(&keys).is_some_and(|key| read.is_subset(key))
    }
}

impl ChangelogRule for Calc {
    /// A `+U` that a filter takes away would leave the row before it in the table (FLINK-9528): who filters by more than
    /// the key needs the `-U`.
    fn updates(&self, required: UpdateKind, input: &RuleInput<'_>) -> Way<UpdateKind> {
        let changes = required == UpdateKind::OnlyAfter && input.kinds.update;
        if changes && !self.filters_by_key(input) { Way::Impossible } else { Way::Pass }
    }

    fn deletes(&self, required: DeleteKind, input: &RuleInput<'_>) -> Way<DeleteKind> {
        if required == DeleteKind::ByKey && !self.filters_by_key(input) { Way::Impossible } else { Way::Pass }
    }

    fn upsert_keys(&self, node: &StreamNode, inputs: &[InputKeys]) -> Vec<Key> {
        let Some(input) = node.inputs.first().filter(|i| i.port == 0) else { return vec![] };
        through_projection(&first(inputs), &places(self, &input.node.schema))
    }
}

struct Union;

impl ChangelogRule for Union {
    fn deletes(&self, _required: DeleteKind, _input: &RuleInput<'_>) -> Way<DeleteKind> {
        Way::Pass
    }

    fn upsert_keys(&self, _node: &StreamNode, _inputs: &[InputKeys]) -> Vec<Key> {
        vec![]
    }
}

impl ChangelogRule for ExpandSpec {
    fn deletes(&self, _required: DeleteKind, _input: &RuleInput<'_>) -> Way<DeleteKind> {
        Way::Pass
    }

    /// A key that no copy nulls, together with the number of the copy.
    fn upsert_keys(&self, node: &StreamNode, inputs: &[InputKeys]) -> Vec<Key> {
        let width = node.schema.fields().len().saturating_sub(1);
        let mut places: Vec<Vec<usize>> = vec![vec![]; width];
        for output in 0..width {
            let kept = self.projections.first().and_then(|p| p.get(output).copied().flatten());
            if let Some(input) = kept.filter(|k| self.projections.iter().all(|p| p.get(output) == Some(&Some(*k))))
                && let Some(places) = places.get_mut(input)
            {
                places.push(output);
            }
        }
        let mut keys = through_projection(&first(inputs), &places);
        keys.iter_mut().for_each(|key| {
            key.insert(width);
        });
        keys
    }
}

impl ChangelogRule for WindowTableFunctionSpec {
    fn upsert_keys(&self, _node: &StreamNode, _inputs: &[InputKeys]) -> Vec<Key> {
        vec![]
    }
}

struct MiniBatchAssigner;

impl ChangelogRule for MiniBatchAssigner {
    fn deletes(&self, _required: DeleteKind, _input: &RuleInput<'_>) -> Way<DeleteKind> {
        Way::Pass
    }

    fn upsert_keys(&self, _node: &StreamNode, inputs: &[InputKeys]) -> Vec<Key> {
        first(inputs)
    }
}

/// Partial rows are only added.
struct LocalAggregate;

impl ChangelogRule for LocalAggregate {
    fn accepts(&self) -> Option<ModifyKinds> {
        Some(ModifyKinds::INSERT_ONLY)
    }

    fn produces(&self, _inputs: &[ModifyKinds]) -> ModifyKinds {
        ModifyKinds::INSERT_ONLY
    }

    fn upsert_keys(&self, _node: &StreamNode, _inputs: &[InputKeys]) -> Vec<Key> {
        vec![]
    }
}

impl ChangelogRule for WindowAggregateSpec {
    fn accepts(&self) -> Option<ModifyKinds> {
        Some(ModifyKinds::ALL)
    }

    /// A window that was shown before its end and whose last row goes is taken back. (Flink's operator does so too, and its
    /// inference says that it does not.)
    fn produces(&self, inputs: &[ModifyKinds]) -> ModifyKinds {
        let update = self.emit != EmitStrategy::default();
        let delete = update && inputs.iter().any(|i| i.update || i.delete);
        ModifyKinds { update, delete, ..ModifyKinds::INSERT_ONLY }
    }

    fn updates(&self, _required: UpdateKind, _input: &RuleInput<'_>) -> Way<UpdateKind> {
        Way::MakeOnly(UpdateKind::BeforeAndAfter, UpdateKind::BeforeAndAfter)
    }

    /// The group keys and one property of the window.
    fn upsert_keys(&self, node: &StreamNode, _inputs: &[InputKeys]) -> Vec<Key> {
        let group = 0..self.group_keys.len();
        let width = node.schema.fields().len();
        let properties = width - self.properties.len().min(width)..width;
        properties.map(|property| group.clone().chain([property]).collect()).collect()
    }
}

impl ChangelogRule for GroupAggregateSpec {
    fn accepts(&self) -> Option<ModifyKinds> {
        Some(ModifyKinds::ALL)
    }

    fn produces(&self, inputs: &[ModifyKinds]) -> ModifyKinds {
        if self.changes == flott_graph::Changes::Final {
            return ModifyKinds::INSERT_ONLY;
        }
        let delete = inputs.iter().any(|i| i.update || i.delete);
        ModifyKinds { insert: true, update: true, delete }
    }

    fn updates(&self, _required: UpdateKind, _input: &RuleInput<'_>) -> Way<UpdateKind> {
        Way::Make(UpdateKind::BeforeAndAfter)
    }

    fn upsert_keys(&self, _node: &StreamNode, _inputs: &[InputKeys]) -> Vec<Key> {
        vec![(0..self.group_keys.len()).collect()]
    }
}

impl ChangelogRule for ChangelogNormalize {
    fn accepts(&self) -> Option<ModifyKinds> {
        Some(ModifyKinds::ALL)
    }

    fn produces(&self, _inputs: &[ModifyKinds]) -> ModifyKinds {
        ModifyKinds::ALL
    }

    fn updates(&self, _required: UpdateKind, _input: &RuleInput<'_>) -> Way<UpdateKind> {
        Way::Make(UpdateKind::OnlyAfter)
    }

    fn deletes(&self, _required: DeleteKind, _input: &RuleInput<'_>) -> Way<DeleteKind> {
        Way::Make(DeleteKind::ByKey)
    }

    fn upsert_keys(&self, _node: &StreamNode, _inputs: &[InputKeys]) -> Vec<Key> {
        vec![self.key.iter().copied().collect()]
    }
}

struct DropUpdateBefore;

impl ChangelogRule for DropUpdateBefore {
    fn deletes(&self, _required: DeleteKind, _input: &RuleInput<'_>) -> Way<DeleteKind> {
        Way::Pass
    }

    fn upsert_keys(&self, _node: &StreamNode, inputs: &[InputKeys]) -> Vec<Key> {
        first(inputs)
    }
}

impl ChangelogRule for Distribution {
    fn deletes(&self, _required: DeleteKind, _input: &RuleInput<'_>) -> Way<DeleteKind> {
        Way::Pass
    }

    fn upsert_keys(&self, _node: &StreamNode, inputs: &[InputKeys]) -> Vec<Key> {
        match self {
            Distribution::Single => first(inputs),
            Distribution::Hash(columns) => containing(&first(inputs), columns),
        }
    }
}

/// A sink is the root: what it asks of its input is in `sink.rs`.
impl ChangelogRule for Sink {
    fn upsert_keys(&self, _node: &StreamNode, inputs: &[InputKeys]) -> Vec<Key> {
        first(inputs)
    }
}
