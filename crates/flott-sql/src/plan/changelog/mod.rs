//! Changelog modes: which kinds of change each operator of a plan emits.
//!
//! Three passes, as Flink's `FlinkChangelogModeInferenceProgram`: the changes that there are, from the sources up, checked
//! against what each reader takes; how updates come, from the sinks down (a sink that works by key spares everybody the
//! `-U` rows, unless something between needs them); what `-D` rows hold, from the sinks down (a sink that deletes by key
//! may spare the [`ChangelogNormalize`](super::stream::ChangelogNormalize) of an upsert source).
//!
//! What an operator does is in `rules.rs`, what a sink asks for in `sink.rs`, upsert keys in `keys.rs`.

mod join;
pub(crate) mod keys;
mod kinds;
mod rank_rules;
mod rules;
mod sink;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use flott_core::options::Options;
use flott_core::{Error, Result};
use flott_graph::{Changes, RankStrategy};

use super::dead_letter::scan_below;
use super::explain;
use super::stream::{StreamInput, StreamNode, StreamOp};
use rules::rule;

pub(crate) use join::joined_kinds;
pub(crate) use keys::{InputKeys, Key, containing, smallest, unsent_keys, upsert_keys};
pub(crate) use kinds::{DeleteKind, ModifyKinds, UpdateKind};
pub(crate) use rules::{ChangelogRule, RuleInput, Way};

type Address = *const StreamNode;

/// What the reader of a query without a sink asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Whatever is cheapest: EXPLAIN of a query.
    Any,
    /// Every change with the row before it: who looks at the rows.
    Changelog,
}

/// Decides the modes of whole plans, which may share nodes. Roots are sinks or queries.
pub(crate) fn infer(
    roots: &[Arc<StreamNode>],
    late: &[Arc<StreamNode>],
    reader: Reader,
    config: &Options,
) -> Result<(Vec<Arc<StreamNode>>, Vec<Arc<StreamNode>>)> {
    let mut inference = Inference {
        config,
        kinds: HashMap::new(),
        taken: HashSet::new(),
        built: HashMap::new(),
        deleted: HashMap::new(),
        last: HashMap::new(),
    };
    let main = roots.iter().map(|r| inference.root(r, reader)).collect::<Result<_>>()?;
    // They read what the others have decided.
    let late = late.iter().map(|r| inference.root(r, reader)).collect::<Result<_>>()?;
    Ok((main, late))
}

struct Inference<'a> {
    config: &'a Options,
    kinds: HashMap<Address, ModifyKinds>,
    /// Nodes by what their readers take, where they emit no more.
    taken: HashSet<(Address, ModifyKinds)>,
    /// Nodes by what was asked of them.
    built: HashMap<(Address, UpdateKind, bool), Option<Arc<StreamNode>>>,
    /// Nodes whose updates are decided by what was asked of their deletes. Their addresses stay theirs: `built` has them.
    deleted: HashMap<(Address, DeleteKind), Option<Arc<StreamNode>>>,
    /// What became of a node.
    last: HashMap<Address, Arc<StreamNode>>,
}

impl Inference<'_> {
    fn root(&mut self, root: &Arc<StreamNode>, reader: Reader) -> Result<Arc<StreamNode>> {
        if let StreamOp::Sink(_) = &root.op {
            return self.sink(root);
        }
        let kinds = self.modify_kinds(root, ModifyKinds::ALL, "ROOT")?;
        let ways: &[UpdateKind] = match (kinds.update, reader) {
            (false, _) => &[UpdateKind::None],
            (true, Reader::Any) => &[UpdateKind::OnlyAfter, UpdateKind::BeforeAndAfter],
            (true, Reader::Changelog) => &[UpdateKind::BeforeAndAfter],
        };
        self.satisfied(root, ways, &[DeleteKind::Full], false)?.ok_or_else(|| self.no_plan(root))
    }

    fn no_plan(&self, root: &StreamNode) -> Error {
        Error::user(format!("Can't generate a valid execution plan for the given query: {}", explain::describe(root)))
            .hint("Two branches give updates in different forms; filter behind their union, or not at all")
    }

    /// The node with updates in the first of these ways that goes, and deletes likewise.
    fn satisfied(
        &mut self,
        node: &Arc<StreamNode>,
        updates: &[UpdateKind],
        deletes: &[DeleteKind],
        hidden: bool,
    ) -> Result<Option<Arc<StreamNode>>> {
        for update in updates {
            let Some(node) = self.update(node, *update, hidden)? else { continue };
            for delete in deletes {
                if let Some(node) = self.delete(&node, *delete)? {
                    return Ok(Some(node));
                }
            }
        }
        Ok(None)
    }

    /// The changes that a node emits, checked against what its reader takes.
    fn modify_kinds(&mut self, node: &Arc<StreamNode>, takes: ModifyKinds, reader: &str) -> Result<ModifyKinds> {
        if self.taken.contains(&(Arc::as_ptr(node), takes)) {
            return Ok(self.kinds_of(node));
        }
        let rule = rule(&node.op);
        let own_name = if matches!(node.op, StreamOp::Match(_)) { "Match Recognize" } else { node.kind() };
        let mut inputs = vec![];
        for input in &node.inputs {
            inputs.push(match (input.port, rule.accepts()) {
                // Late rows are rows that were added.
                (1, _) => ModifyKinds::INSERT_ONLY,
                (_, Some(accepted)) => self.modify_kinds(&input.node, accepted, own_name)?,
                (_, None) => self.modify_kinds(&input.node, takes, reader)?,
            });
        }
        let kinds = rule.produces(&inputs);
        let more = kinds.minus(takes);
        if !more.is_empty() {
            return Err(Error::user(format!(
                "{reader} doesn't support consuming {} changes which is produced by node {}",
                more.words(),
                explain::describe(node)
            ))
            .hint(if reader.contains("Sink") || reader.contains("sink") {
                "Use a sink that takes changes (an upsert sink with a PRIMARY KEY, print, blackhole), or a query that \
                 only appends"
            } else {
                "It takes rows that are only added, whatever the sink: let it read a table that only appends, or \
                 TO_CHANGELOG(TABLE ..), which makes each change a row of its own"
            }));
        }
        self.kinds.insert(Arc::as_ptr(node), kinds);
        self.taken.insert((Arc::as_ptr(node), takes));
        Ok(kinds)
    }

    fn kinds_of(&self, node: &Arc<StreamNode>) -> ModifyKinds {
        self.kinds.get(&Arc::as_ptr(node)).copied().unwrap_or(ModifyKinds::INSERT_ONLY)
    }

    /// The node with its updates in this form; `None` where that does not go. `hidden`: nobody sees single changes.
    fn update(&mut self, node: &Arc<StreamNode>, asked: UpdateKind, hidden: bool) -> Result<Option<Arc<StreamNode>>> {
        let kinds = self.kinds_of(node);
        let asked = kinds.updates(asked);
        let key = (Arc::as_ptr(node), asked, hidden);
        if let Some(known) = self.built.get(&key) {
            return Ok(known.clone());
        }
        let mut built = self.build(node, kinds, asked, hidden)?;
        if built.is_none()
            && let StreamOp::Rank(rank) = &node.op
            && let RankStrategy::UpdateFast { .. } = rank.spec.strategy
        {
            // Its input cannot leave out what updates replace: then all rows are kept, as in Flink.
            let mut rank = rank.clone();
            rank.spec.strategy = RankStrategy::Retract;
            let keeps_all = node.remade(StreamOp::Rank(rank), node.inputs.clone(), node.changelog, node.deletes_by_key);
            built = self.build(&keeps_all, kinds, asked, hidden)?;
        }
        if let Some(built) = &built {
            self.last.insert(Arc::as_ptr(node), built.clone());
        }
        self.built.insert(key, built.clone());
        Ok(built)
    }

    fn build(
        &mut self,
        node: &Arc<StreamNode>,
        kinds: ModifyKinds,
        asked: UpdateKind,
        hidden: bool,
    ) -> Result<Option<Arc<StreamNode>>> {
        if let StreamOp::Scan(scan) = &node.op {
            let provided = kinds.updates(UpdateKind::of(scan.source.changelog_mode));
            let by_key = scan.deletes_by_key && kinds.delete;
            let source = node.remade(node.op.clone(), vec![], kinds.mode(provided), by_key);
            if provided == asked {
                return Ok(Some(source));
            }
            if provided == UpdateKind::BeforeAndAfter && asked == UpdateKind::OnlyAfter {
                let mode = kinds.mode(asked);
                return Ok(Some(source.remade(
                    StreamOp::DropUpdateBefore,
                    vec![StreamInput::from(&source)],
                    mode,
                    by_key,
                )));
            }
            return Ok(None);
        }
        let rule = rule(&node.op);
        let mut inputs = vec![];
        let mut passed = UpdateKind::None;
        let mut made = None;
        for (index, input) in node.inputs.iter().enumerate() {
            if input.port == 1 {
                let mut below = self.last.get(&Arc::as_ptr(&input.node)).cloned();
                if matches!(input.node.op, StreamOp::Scan(_)) {
                    below = Some(scan_below(below.as_ref().unwrap_or(&input.node)));
                }
                let below = below.ok_or_else(|| Error::internal("late rows of an aggregate that nobody plans"))?;
                inputs.push(StreamInput { node: below, port: 1 });
                continue;
            }
            let below_kinds = self.kinds_of(&input.node);
            let keys = || upsert_keys(&input.node);
            let seen = RuleInput { index, kinds: below_kinds, keys: &keys, node: &input.node };
            let way = rule.updates(asked, &seen);
            let wanted = match way {
                Way::Impossible => return Ok(None),
                Way::Pass => asked,
                Way::Make(wanted) => {
                    made = Some(asked);
                    wanted
                }
                Way::MakeOnly(wanted, only) => {
                    made = Some(only);
                    wanted
                }
            };
            // Changes that are merged on the way to a place where nobody sees them are seen by nobody.
            let Some(below) = self.update(&input.node, wanted, hidden)? else { return Ok(None) };
            let provided = below_kinds.updates(UpdateKind::of(below.changelog));
            if provided != below_kinds.updates(wanted) {
                return Ok(None);
            }
            // Who makes its own may read each input in another form.
            if way != Way::Pass {
                inputs.push(StreamInput { node: below, port: 0 });
                continue;
            }
            match (passed, provided) {
                (UpdateKind::None, provided) => passed = provided,
                (_, UpdateKind::None) => {}
                (a, b) if a == b => {}
                // A union of both forms.
                _ => return Ok(None),
            }
            inputs.push(StreamInput { node: below, port: 0 });
        }
        let provided = kinds.updates(made.unwrap_or(passed));
        if provided != asked {
            return Ok(None);
        }
        let op = adapted(&node.op, &inputs, provided, hidden);
        Ok(Some(node.remade(op, inputs, kinds.mode(provided), false)))
    }

    /// The node with its deletes in this form, over nodes whose updates are decided.
    fn delete(&mut self, node: &Arc<StreamNode>, asked: DeleteKind) -> Result<Option<Arc<StreamNode>>> {
        let key = (Arc::as_ptr(node), asked);
        if let Some(known) = self.deleted.get(&key) {
            return Ok(known.clone());
        }
        let decided = self.decide_deletes(node, asked)?;
        self.deleted.insert(key, decided.clone());
        Ok(decided)
    }

    fn decide_deletes(&mut self, node: &Arc<StreamNode>, asked: DeleteKind) -> Result<Option<Arc<StreamNode>>> {
        let provided = |n: &StreamNode| match (n.changelog.delete, n.deletes_by_key) {
            (false, _) => DeleteKind::None,
            (true, true) => DeleteKind::ByKey,
            (true, false) => DeleteKind::Full,
        };
        if node.inputs.is_empty() {
            return Ok(provided(node).satisfies(asked).then(|| node.clone()));
        }
        let normalize = match &node.op {
            StreamOp::ChangelogNormalize(n) => Some(n),
            _ => None,
        };
        if let (Some(normalize), Some(input)) = (normalize, node.inputs.first())
            && normalize.can_be_spared(node)
            && let Some(below) = self.delete(&input.node, asked)?
        {
            // Its exchange goes with it.
            let below = match &below.op {
                StreamOp::Exchange(_) => below.inputs.first().map(|i| i.node.clone()),
                _ => Some(below.clone()),
            };
            return Ok(below);
        }
        let rule = rule(&node.op);
        let mut inputs = vec![];
        let mut passed_by_key = false;
        let mut made = false;
        for (index, input) in node.inputs.iter().enumerate() {
            if input.port == 1 {
                inputs.push(input.clone());
                continue;
            }
            let kinds = ModifyKinds::of(input.node.changelog);
            let keys = || upsert_keys(&input.node);
            let seen = RuleInput { index, kinds, keys: &keys, node: &input.node };
            let wanted = match rule.deletes(asked, &seen) {
                Way::Impossible => return Ok(None),
                Way::Pass => asked,
                Way::Make(wanted) | Way::MakeOnly(wanted, _) => {
                    made = true;
                    wanted
                }
            };
            let Some(below) = self.delete(&input.node, kinds.deletes(wanted))? else { return Ok(None) };
            passed_by_key |= below.deletes_by_key;
            inputs.push(StreamInput { node: below, port: 0 });
        }
        let by_key = passed_by_key && !made && node.changelog.delete;
        let same = inputs.iter().zip(&node.inputs).all(|(a, b)| Arc::ptr_eq(&a.node, &b.node));
        if same && node.deletes_by_key == by_key {
            return Ok(provided(node).satisfies(asked).then(|| node.clone()));
        }
        // A source's form of updates may differ from that of the normalisation that is gone.
        let mut mode = node.changelog;
        if rule.accepts().is_none() {
            let kinds = inputs.iter().map(|i| ModifyKinds::of(i.node.changelog)).reduce(ModifyKinds::union);
            let updates = inputs.iter().map(|i| UpdateKind::of(i.node.changelog)).find(|u| *u != UpdateKind::None);
            mode = kinds.unwrap_or(ModifyKinds::INSERT_ONLY).mode(updates.unwrap_or(UpdateKind::None));
        }
        let rebuilt = node.remade(node.op.clone(), inputs, mode, by_key);
        self.replace(node, &rebuilt);
        Ok(provided(&rebuilt).satisfies(asked).then_some(rebuilt))
    }

    /// Late rows are read from what the node has become.
    fn replace(&mut self, old: &Arc<StreamNode>, new: &Arc<StreamNode>) {
        for last in self.last.values_mut().filter(|n| Arc::ptr_eq(n, old)) {
            *last = new.clone();
        }
    }
}

/// The operator as it must be for the changes that it reads and gives.
fn adapted(op: &StreamOp, inputs: &[StreamInput], updates: UpdateKind, hidden: bool) -> StreamOp {
    let mut op = op.clone();
    let reads = inputs.iter().map(|i| i.node.changelog);
    let merged = |changes: Changes| match changes {
        Changes::Each if hidden => Changes::Merged,
        other => other,
    };
    match &mut op {
        StreamOp::GroupAggregate(spec) => {
            spec.retracts = reads.into_iter().any(|m| m.update_before || m.delete);
            spec.update_before = updates == UpdateKind::BeforeAndAfter;
            spec.changes = merged(spec.changes);
        }
        StreamOp::Rank(rank) => rank.spec.update_before = updates == UpdateKind::BeforeAndAfter,
        StreamOp::Deduplicate(spec) => spec.update_before = updates == UpdateKind::BeforeAndAfter,
        StreamOp::OverAggregate(spec) => spec.update_before = updates == UpdateKind::BeforeAndAfter,
        StreamOp::ChangelogNormalize(normalize) => {
            normalize.update_before = updates == UpdateKind::BeforeAndAfter;
            normalize.changes = merged(normalize.changes);
        }
        _ => {}
    }
    op
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::RecordBatch;
    use arrow_schema::{DataType, Field, Schema};
    use datafusion_common::DFSchema;
    use flott_connector::factory::ChangelogMode;
    use flott_core::options::Options;

    use super::keys::upsert_keys;
    use super::{Reader, StreamInput, StreamNode, StreamOp, infer};

    /// Were every way down taken, this would not end.
    #[test]
    fn what_is_read_in_several_places_is_looked_at_once() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, true)]));
        let columns = Arc::new(DFSchema::try_from(schema.as_ref().clone()).unwrap());
        let values = StreamOp::Values { batch: RecordBatch::new_empty(schema), shown: String::new() };
        let mut node = StreamNode::new(values, vec![], columns.clone(), ChangelogMode::INSERT_ONLY);
        for _ in 0..60 {
            let twice = vec![StreamInput::from(&node), StreamInput::from(&node)];
            node = StreamNode::new(StreamOp::Union, twice, columns.clone(), ChangelogMode::INSERT_ONLY);
        }
        assert!(upsert_keys(&node).is_empty());
        for reader in [Reader::Any, Reader::Changelog] {
            let (roots, _) = infer(&[node.clone()], &[], reader, &Options::new()).unwrap();
            let mut below = &roots[0];
            for _ in 0..60 {
                assert!(Arc::ptr_eq(&below.inputs[0].node, &below.inputs[1].node));
                below = &below.inputs[0].node;
            }
        }
    }
}
