//! OVER: which of its windows are planned, and as what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion_common::DFSchemaRef;
use datafusion_expr::{Expr, LogicalPlan};
use flott_connector::factory::ChangelogMode;
use flott_core::types::TimeAttribute;
use flott_core::{Error, Result};
use flott_graph::{
    OverAggregateSpec, OverArrival, OverBound, OverCall, OverFrame, OverFunction, OverGroup, SortKey, StateMeaning,
};

use super::convert::Converter;
use super::options;
use super::program::{Program, column_uses, substitute};
use super::rank::sort_keys;
use super::stream::{Columns, StreamInput, StreamNode, StreamOp};
use super::window::{exchange, index_of};
use crate::bind::node::{self, Over};
use crate::bind::over::COMPUTED_PREFIX;
use crate::bind::{FlinkNode, FlinkNodeKind, column, columns_of, is_batch, plan_schema};

/// Calls of one window.
struct Window<'p> {
    partition: &'p [String],
    order: &'p [node::OrderKey],
    calls: Vec<&'p node::OverCall>,
}

/// The windows of one SELECT, the first one first, and what they read.
fn windows_of<'p>(over: &'p Over, node: &'p FlinkNode) -> (Vec<&'p Over>, &'p LogicalPlan) {
    let (mut overs, mut input) = (vec![over], &node.input);
    while let LogicalPlan::Extension(e) = input
        && let Some(FlinkNode { kind: FlinkNodeKind::Over(below), input: next, .. }) = FlinkNode::of(e)
    {
        overs.push(below);
        input = next;
    }
    overs.reverse();
    (overs, input)
}

impl Converter<'_> {
    /// The rows of a program over functions of windows. Functions that nobody reads are not computed.
    pub(crate) fn over_aggregate(
        &self,
        over: &Over,
        node: &FlinkNode,
        projection: Vec<Expr>,
        filter: Option<Expr>,
        schema: DFSchemaRef,
    ) -> Result<Arc<StreamNode>> {
        let (overs, input) = windows_of(over, node);
        let read: BTreeSet<String> =
            projection.iter().chain(&filter).flat_map(|e| column_uses(e).into_keys()).collect();
        let windows: Vec<Window<'_>> = overs
            .iter()
            .map(|o| Window {
                partition: &o.partition,
                order: &o.order,
                calls: o.calls.iter().filter(|c| read.contains(&c.name)).collect(),
            })
            .filter(|w| !w.calls.is_empty())
            .collect();
        let all: BTreeSet<&String> = overs.iter().flat_map(|o| &o.calls).map(|c| &c.name).collect();
        let mut needed: BTreeSet<String> = read.iter().filter(|c| !all.contains(c)).cloned().collect();
        for window in &windows {
            let keys = window.partition.iter().chain(window.order.iter().map(|k| &k.column));
            needed.extend(keys.chain(window.calls.iter().flat_map(|c| &c.arguments)).cloned());
        }
        let (mut planned, mut names) = self.columns_over(input, &needed)?;
        let batch = is_batch(self.config);
        let frames: Vec<Vec<OverFrame>> = windows.iter().map(frames_of).collect();
        if !batch && frames.iter().map(Vec::len).sum::<usize>() > 1 {
            return Err(Error::user(
                "Over Agg: Unsupported use of OVER windows. All aggregates must be computed on the same window. please \
                 re-check the over window statement.",
            )
            .hint("Compute the others in a query around this one"));
        }
        let mut number = 0;
        for (window, frames) in windows.iter().zip(frames) {
            planned = self.window(window, &frames, number, planned, &mut names)?;
            number += frames.len();
        }
        let renamed = |e: &Expr| substitute(e, &|name| names.get(name).map(|n| column(n)));
        let projection = projection.iter().map(renamed).collect::<Result<_>>()?;
        let filter = filter.as_ref().map(renamed).transpose()?;
        self.calc(planned, projection, filter, schema)
    }

    /// What windows read, with these columns alone, and which names of columns have changed: Flink numbers those that
    /// are computed by their places.
    fn columns_over(
        &self,
        input: &LogicalPlan,
        needed: &BTreeSet<String>,
    ) -> Result<(Arc<StreamNode>, BTreeMap<String, String>)> {
        let below = self.program(input)?;
        let columns = columns_of(&below.schema)?;
        let mut kept: Vec<usize> = (0..columns.len()).filter(|i| needed.contains(&columns[*i].0)).collect();
        if kept.is_empty() {
            kept.extend((!columns.is_empty()).then_some(0));
        }
        let mut names = BTreeMap::new();
        for (place, i) in kept.iter().enumerate() {
            let name = &columns[*i].0;
            let new = format!("${place}");
            if name.starts_with(COMPUTED_PREFIX) && !columns.iter().any(|c| c.0 == new) {
                names.insert(name.clone(), new);
            }
        }
        let shown = |name: &String| names.get(name).unwrap_or(name).clone();
        let fields: Vec<(String, _)> = kept.iter().map(|i| (shown(&columns[*i].0), &columns[*i].1)).collect();
        let schema = plan_schema(fields.iter().map(|(n, t)| (n.as_str(), *t)))?;
        let projection = kept.iter().map(|i| below.projection[*i].clone()).collect();
        Ok((self.finish(Program { projection, schema, ..below })?, names))
    }

    /// One window over its input. `names`: how columns that have other names now are called.
    fn window(
        &self,
        window: &Window<'_>,
        frames: &[OverFrame],
        number: usize,
        input: Arc<StreamNode>,
        names: &mut BTreeMap<String, String>,
    ) -> Result<Arc<StreamNode>> {
        let fed: Columns = columns_of(&input.schema)?;
        let place = |name: &String| index_of(&fed, names.get(name).unwrap_or(name));
        let partition_keys: Vec<usize> = window.partition.iter().map(place).collect::<Result<_>>()?;
        let mut order_keys = window.order.to_vec();
        for key in &mut order_keys {
            if let Some(name) = names.get(&key.column) {
                key.column.clone_from(name);
            }
        }
        let order = sort_keys(&order_keys, &fed)?;
        let mut groups: Vec<OverGroup> = vec![];
        let mut shown = vec![];
        for (i, frame) in frames.iter().enumerate() {
            let mut calls = vec![];
            for (j, call) in window.calls.iter().filter(|c| c.frame == *frame).enumerate() {
                let name = format!("w{}$o{j}", number + i);
                calls.push(OverCall {
                    function: call.function,
                    arguments: call.arguments.iter().map(place).collect::<Result<_>>()?,
                    distinct: call.distinct,
                    result: call.result.clone(),
                    name: name.clone(),
                });
                shown.push((call.name.clone(), name));
            }
            groups.push(OverGroup { frame: *frame, calls });
        }
        let results = groups.iter().flat_map(|g| &g.calls).map(|c| (c.name.as_str(), &c.result));
        let schema = plan_schema(fed.iter().map(|(n, t)| (n.as_str(), t)).chain(results))?;
        let arrival = match is_batch(self.config) {
            true => OverArrival::AtEnd,
            false => streaming(&order, &fed, &groups)?,
        };
        let spec = OverAggregateSpec {
            partition_keys: partition_keys.clone(),
            order,
            arrival,
            groups,
            update_before: true,
            state_ttl: options::state_ttl(self.config)?.filter(|d| !d.is_zero()),
            input_schema: Arc::new(input.schema.as_arrow().clone()),
            meaning: StateMeaning::default(),
        };
        let mode = if arrival == OverArrival::Anywhere { ChangelogMode::ALL } else { ChangelogMode::INSERT_ONLY };
        names.extend(shown);
        let exchanged = exchange(&input, partition_keys);
        let op = StreamOp::OverAggregate(spec);
        Ok(StreamNode::new(op, vec![StreamInput::from(&exchanged)], schema, mode))
    }
}

/// The frames of a window's calls, in their order.
fn frames_of(window: &Window<'_>) -> Vec<OverFrame> {
    let mut frames: Vec<OverFrame> = vec![];
    for call in &window.calls {
        if !frames.contains(&call.frame) {
            frames.push(call.frame);
        }
    }
    frames
}

/// What a stream can do: one order, ascending, from some row before up to the row.
fn streaming(order: &[SortKey], columns: &Columns, groups: &[OverGroup]) -> Result<OverArrival> {
    let refused = |text: String, hint: &str| Err(Error::user(text).hint(hint));
    let [key] = order else {
        let text = "The window can only be ordered by a single time column.".to_string();
        return refused(text, "Write ORDER BY with one column, or SET 'execution.runtime-mode' = 'batch'");
    };
    if !key.ascending {
        let text = "The window can only be ordered in ASCENDING mode.".to_string();
        let hint = "Order by the column ascending, or SET 'execution.runtime-mode' = 'batch'. The first rows of each key are a Top-N: SELECT .. FROM \
                    (SELECT .., ROW_NUMBER() OVER (..) AS rn FROM ..) WHERE rn <= 3";
        return refused(text, hint);
    }
    let attribute = columns[key.column].1.kind.time_attribute();
    for group in groups {
        for call in &group.calls {
            let lead = matches!(call.function, OverFunction::Lag(offset) if offset < 0);
            if lead
                || matches!(call.function, OverFunction::PercentRank | OverFunction::CumeDist | OverFunction::Ntile(_))
            {
                let text = format!("{} Function is not supported in stream mode.", call.function.name());
                return refused(text, "SET 'execution.runtime-mode' = 'batch' where the input ends");
            }
        }
        let OverFrame { lower, upper, .. } = &group.frame;
        let preceding = matches!(lower, OverBound::UnboundedPreceding | OverBound::Preceding(_));
        if *upper != OverBound::CurrentRow || !preceding {
            let text = "OVER RANGE FOLLOWING windows are not supported yet.".to_string();
            return refused(text, "End the frame at CURRENT ROW, or SET 'execution.runtime-mode' = 'batch'");
        }
        if attribute == TimeAttribute::None && *lower != OverBound::UnboundedPreceding {
            let text = "Non-time attribute sort is not supported for bounded OVER window.".to_string();
            return refused(text, "Order by a time attribute, or let the frame begin at UNBOUNDED PRECEDING");
        }
    }
    Ok(match attribute {
        TimeAttribute::None => OverArrival::Anywhere,
        attribute => OverArrival::Time(attribute),
    })
}

/// Whether the state of a partition is kept for ever.
pub(super) fn grows(spec: &OverAggregateSpec) -> bool {
    let by_time = |g: &OverGroup| matches!((g.frame.lower, g.frame.rows), (OverBound::Preceding(_), false));
    spec.arrival != OverArrival::AtEnd && !spec.groups.iter().any(by_time)
}

/// What EXPLAIN WATERMARK says of it.
pub(super) fn watermark(spec: &OverAggregateSpec) -> Vec<String> {
    match spec.arrival {
        OverArrival::Time(TimeAttribute::Rowtime) => {
            let bounded = spec.groups.iter().any(|g| matches!(g.frame.lower, OverBound::Preceding(_)));
            let late = match bounded {
                true => {
                    "late: rows that are not behind the last one of their partition that has left are dropped and counted"
                }
                false => "late: rows that the watermark has passed are dropped and counted",
            };
            vec!["rows leave when the watermark passes their time".into(), late.into()]
        }
        OverArrival::Time(_) => vec!["watermark: not used: rows leave in processing time".into()],
        OverArrival::Anywhere | OverArrival::AtEnd => vec![],
    }
}
