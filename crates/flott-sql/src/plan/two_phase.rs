//! Mini-batches and aggregation in two phases (`table.exec.mini-batch.enabled`, `table.optimizer.agg-phase-strategy`,
//! `table.optimizer.incremental-agg-enabled`): what is made of a plan whose changes are decided.
//!
//! As Flink's `MiniBatchIntervalInferRule`, `TwoStageOptimizedAggregateRule` and `IncrementalAggregateRule`. A local aggregate
//! hands on the states of its accumulators, which [`group_partial_schema`] describes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion_common::tree_node::TreeNode;
use datafusion_common::{DFSchema, DFSchemaRef};
use datafusion_expr::Expr;
use flott_connector::factory::ChangelogMode;
use flott_core::Result;
use flott_core::options::Options;
use flott_core::types::TimeAttribute;
use flott_graph::{
    AggregateCall, Changes, GroupAggregateSpec, IncrementalAggregateSpec, MiniBatchAssignerSpec, OverArrival,
    SplitLevel, WindowAssignment, group_partial_schema,
};

use super::dead_letter::scan_below;
use super::options;
use super::stream::{StreamInput, StreamNode, StreamOp};
use super::window::exchange;

type Address = *const StreamNode;

/// The roots of a job, with mini-batches where they are enabled.
pub(super) fn with_mini_batches(
    roots: Vec<Arc<StreamNode>>,
    late: Vec<Arc<StreamNode>>,
    config: &Options,
) -> Result<(Vec<Arc<StreamNode>>, Vec<Arc<StreamNode>>)> {
    let Changes::Gathered(batch) = options::changes(config)? else { return Ok((roots, late)) };
    let mut needs = Needs::default();
    let latency = roots.iter().any(|r| !is_stateless(r)).then_some(batch.latency);
    roots.iter().chain(&late).for_each(|r| needs.visit(r, Batch { latency, event_time: false, none: false }));
    let mut rewrite = Rewrite {
        needs: needs.scans,
        two_phase: options::two_phase(config)?,
        incremental: options::is_incremental(config)?,
        done: HashMap::new(),
    };
    let roots = roots.iter().map(|r| rewrite.node(r)).collect::<Result<_>>()?;
    let late = late.iter().map(|r| rewrite.node(r)).collect::<Result<_>>()?;
    Ok((roots, late))
}

/// Whether nothing of a query would gather anything. As Flink, which asks before it knows that a source is to be normalised.
fn is_stateless(node: &Arc<StreamNode>) -> bool {
    let own = match &node.op {
        StreamOp::Scan(scan) => scan.watermark.is_none(),
        StreamOp::Calc(_) | StreamOp::Values { .. } | StreamOp::Union | StreamOp::Exchange(_) => true,
        StreamOp::DropUpdateBefore | StreamOp::ChangelogNormalize(_) | StreamOp::Sink(_) => true,
        _ => false,
    };
    own && node.inputs.iter().all(|i| is_stateless(&i.node))
}

/// What readers ask of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batch {
    latency: Option<Duration>,
    event_time: bool,
    /// Somebody takes no mini-batches.
    none: bool,
}

impl Batch {
    fn and(self, other: Batch) -> Batch {
        Batch {
            latency: self.latency.or(other.latency),
            event_time: self.event_time || other.event_time,
            none: self.none || other.none,
        }
    }
}

/// What all readers of each source ask of it.
#[derive(Default)]
struct Needs {
    scans: HashMap<Address, Batch>,
    seen: HashMap<Address, Batch>,
}

impl Needs {
    fn visit(&mut self, node: &Arc<StreamNode>, asked: Batch) {
        let address = Arc::as_ptr(node);
        let asked = match self.seen.get(&address) {
            Some(before) if before.and(asked) == *before => return,
            Some(before) => before.and(asked),
            None => asked,
        };
        self.seen.insert(address, asked);
        if let StreamOp::Scan(_) = &node.op {
            self.scans.insert(address, asked);
        }
        let below = Batch {
            event_time: asked.event_time || needs_watermarks(&node.op),
            // As in Flink, whose windows of GROUP BY take none.
            none: asked.none || matches!(&node.op, StreamOp::WindowAggregate(spec) if spec.in_group_by),
            ..asked
        };
        node.inputs.iter().for_each(|i| self.visit(&i.node, below));
    }
}

/// Whether an operator waits for event time.
fn needs_watermarks(op: &StreamOp) -> bool {
    let by_event_time = |assignment: &WindowAssignment| match assignment {
        WindowAssignment::TimeColumn { attribute, .. } | WindowAssignment::Attached { attribute, .. } => {
            *attribute == TimeAttribute::Rowtime
        }
    };
    match op {
        StreamOp::LocalWindowAggregate(spec)
        | StreamOp::GlobalWindowAggregate(spec)
        | StreamOp::WindowAggregate(spec) => by_event_time(&spec.assignment),
        StreamOp::WindowTableFunction(spec) => by_event_time(&spec.assignment),
        StreamOp::WindowRank(rank) => rank.window.as_ref().is_some_and(by_event_time),
        StreamOp::Join(join) => join.is_of_event_time(),
        StreamOp::Deduplicate(spec) => spec.rowtime.is_some(),
        StreamOp::OverAggregate(spec) => spec.arrival == OverArrival::Time(TimeAttribute::Rowtime),
        StreamOp::TemporalSort(spec) => spec.attribute == TimeAttribute::Rowtime,
        StreamOp::Match(matching) => matching.is_event_time(),
        StreamOp::Sink(sink) => {
            sink.conflict.is_some() && sink.materialize.is_some() || sink.sink.sink.reads_watermarks()
        }
        op => shows_watermark(op),
    }
}

/// Whether rows are shown together with the watermark, or kept by it.
pub(super) fn shows_watermark(op: &StreamOp) -> bool {
    match op {
        StreamOp::Calc(calc) => calc.projection.iter().chain(&calc.filter).any(reads_watermark),
        StreamOp::ChangelogNormalize(normalize) => normalize.filter.iter().any(reads_watermark),
        _ => false,
    }
}

/// Whether an expression calls CURRENT_WATERMARK.
fn reads_watermark(e: &Expr) -> bool {
    let is_call = |e: &Expr| matches!(e, Expr::ScalarFunction(f) if f.func.name() == "CURRENT_WATERMARK");
    e.exists(|e| Ok(is_call(e))).unwrap_or(true)
}

struct Rewrite {
    needs: HashMap<Address, Batch>,
    two_phase: bool,
    incremental: bool,
    done: HashMap<Address, Arc<StreamNode>>,
}

impl Rewrite {
    fn node(&mut self, node: &Arc<StreamNode>) -> Result<Arc<StreamNode>> {
        let address = Arc::as_ptr(node);
        if let Some(done) = self.done.get(&address) {
            return Ok(done.clone());
        }
        let inputs = node
            .inputs
            .iter()
            .map(|i| {
                let node = self.node(&i.node)?;
                let is_dead_letter = i.port == 1 && matches!(i.node.op, StreamOp::Scan(_));
                Ok(StreamInput { node: if is_dead_letter { scan_below(&node) } else { node }, port: i.port })
            })
            .collect::<Result<Vec<_>>>()?;
        let same = inputs.iter().zip(&node.inputs).all(|(a, b)| Arc::ptr_eq(&a.node, &b.node));
        let mut made = match same {
            true => node.clone(),
            false => node.remade(node.op.clone(), inputs, node.changelog, node.deletes_by_key),
        };
        if let (StreamOp::Scan(_), Some(Batch { latency: Some(interval), event_time, none: false })) =
            (&node.op, self.needs.get(&address))
        {
            let spec = MiniBatchAssignerSpec { interval: *interval, event_time: *event_time };
            let inputs = vec![StreamInput::from(&made)];
            made = made.remade(StreamOp::MiniBatchAssigner(spec), inputs, made.changelog, made.deletes_by_key);
        }
        if let StreamOp::GroupAggregate(spec) = &made.op
            && matches!(spec.changes, Changes::Gathered(_))
            && self.two_phase
            && spec.can_merge()
            && let Some(split) = self.split(&made, spec)?
        {
            made = split;
        }
        self.done.insert(address, made.clone());
        Ok(made)
    }

    /// An aggregate over an exchange in two phases.
    fn split(&self, node: &StreamNode, spec: &GroupAggregateSpec) -> Result<Option<Arc<StreamNode>>> {
        let [StreamInput { node: exchanged, port: 0 }] = node.inputs.as_slice() else { return Ok(None) };
        let (StreamOp::Exchange(_), [input]) = (&exchanged.op, exchanged.inputs.as_slice()) else { return Ok(None) };
        if input.port != 0 {
            return Ok(None);
        }
        if self.incremental
            && let (SplitLevel::Final { .. }, StreamOp::GlobalGroupAggregate(partial)) = (spec.level, &input.node.op)
            && partial.level == SplitLevel::Partial
        {
            return incremental(node, spec, &input.node, partial).map(Some);
        }
        let local = StreamNode::new(
            StreamOp::LocalGroupAggregate(spec.clone()),
            vec![input.clone()],
            schema_of(&group_partial_schema(spec))?,
            ChangelogMode::INSERT_ONLY,
        );
        let exchanged = exchange(&local, (0..spec.group_keys.len()).collect());
        let op = StreamOp::GlobalGroupAggregate(spec.clone());
        let inputs = vec![StreamInput::from(&exchanged)];
        Ok(Some(node.remade(op, inputs, node.changelog, node.deletes_by_key)))
    }
}

/// The second level over what an incremental aggregate makes of the local one of the first.
fn incremental(
    last: &StreamNode,
    spec: &GroupAggregateSpec,
    global: &StreamNode,
    partial: &GroupAggregateSpec,
) -> Result<Arc<StreamNode>> {
    // The second level's aggregates, as they merge the states of the first one's.
    let aggregates = partial
        .aggregates
        .iter()
        .zip(&spec.aggregates)
        .map(|(first, second)| AggregateCall {
            distinct: false,
            result: second.result.clone(),
            name: second.name.clone(),
            ..first.clone()
        })
        .collect();
    let merged = GroupAggregateSpec {
        aggregates,
        group_keys: partial.group_keys[..spec.group_keys.len().min(partial.group_keys.len())].to_vec(),
        retracts: partial.retracts,
        level: SplitLevel::Incremental,
        input_schema: partial.input_schema.clone(),
        ..spec.clone()
    };
    let op = StreamOp::IncrementalGroupAggregate(IncrementalAggregateSpec {
        partial: partial.clone(),
        merged: merged.clone(),
    });
    let schema = schema_of(&group_partial_schema(&merged))?;
    let between = StreamNode::new(op, global.inputs.clone(), schema, ChangelogMode::INSERT_ONLY);
    let exchanged = exchange(&between, (0..merged.group_keys.len()).collect());
    let op = StreamOp::GlobalGroupAggregate(merged);
    Ok(last.remade(op, vec![StreamInput::from(&exchanged)], last.changelog, last.deletes_by_key))
}

fn schema_of(schema: &arrow_schema::SchemaRef) -> Result<DFSchemaRef> {
    let fields = schema.fields().clone();
    let schema = DFSchema::from_unqualified_fields(fields, Default::default());
    Ok(Arc::new(schema.map_err(crate::bind::from_datafusion)?))
}
