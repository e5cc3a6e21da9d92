//! From the description of an operator to the operator.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use flott_core::{Error, Result};
use flott_graph::{
    DeduplicateSpec, EmitStrategy, Keep, Node, OperatorSpec, OverArrival, RankStrategy, WindowAggregateSpec,
    WindowAssignment, WindowKind,
};

use crate::calc::Calc;
use crate::changelog::{ChangelogNormalize, DropUpdateBefore, SinkMaterialize};
use crate::changelog_function::ChangelogFunction;
use crate::expand::Expand;
use crate::group::{GroupAggregate, IncrementalGroupAggregate, LocalGroupAggregate, MiniBatchAssigner};
use crate::join::{IntervalJoin, LookupJoin, RegularJoin, TemporalJoin, WindowJoin};
use crate::match_recognize::MatchRecognize;
use crate::operator::Operator;
use crate::over::{NonTimeOver, OverAtEnd, TimeOver};
use crate::rank::{Bundled, FirstByRowtime, FirstN, Latest, Sort, TemporalSort, TopN, WindowRank};
use crate::sink_constraint::SinkConstraint;
use crate::union::Union;
use crate::unnest::Unnest;
use crate::watermark::WatermarkAssigner;
use crate::window::aggregate::Ownership;
use crate::window::assigner::is_event_time;
use crate::window::{
    EmitWindowAggregate, LocalWindowAggregate, SessionTableFunction, SessionWindowAggregate, WindowAggregate,
    WindowTableFunction,
};

/// The operator of one subtask of a node.
///
/// Sources are the runtime's own. Of a sink this is what stands before its writer: the enforcer of the table's
/// constraints, or a pass-through.
pub fn build(node: &Node, subtask: usize, parallelism: usize, max_parallelism: u16) -> Result<Box<dyn Operator>> {
    let (name, schema) = (node.name.as_str(), Arc::clone(&node.schema));
    let ownership = Ownership::of(subtask, parallelism, max_parallelism);
    Ok(match &node.spec {
        OperatorSpec::Source(_) => {
            return Err(Error::internal("a source is not built as an operator").with("operator", name));
        }
        OperatorSpec::Calc(spec) => Box::new(Calc::new(name, spec, schema)?),
        OperatorSpec::WatermarkAssigner(spec) => Box::new(WatermarkAssigner::new(name, spec)),
        OperatorSpec::Union => Box::new(Union),
        OperatorSpec::Unnest(spec) => Box::new(Unnest::new(name, spec, schema)),
        OperatorSpec::ChangelogFunction(spec) => Box::new(ChangelogFunction::new(name, spec, schema)),
        OperatorSpec::Join(spec) => Box::new(RegularJoin::new(name, spec, schema, &ownership)?),
        OperatorSpec::IntervalJoin(spec) => Box::new(IntervalJoin::new(name, spec, schema, &ownership)?),
        OperatorSpec::WindowJoin(spec) => Box::new(WindowJoin::new(name, spec, schema, &ownership)?),
        OperatorSpec::TemporalJoin(spec) => Box::new(TemporalJoin::new(name, spec, schema, &ownership)?),
        OperatorSpec::LookupJoin(spec) => Box::new(LookupJoin::new(name, spec, schema, ownership)?),
        OperatorSpec::Expand(spec) => Box::new(Expand::new(name, spec, schema)?),
        OperatorSpec::WindowTableFunction(spec) => match &spec.assignment {
            WindowAssignment::TimeColumn { kind: WindowKind::Session { .. }, .. } => {
                Box::new(SessionTableFunction::new(name, spec, schema, ownership)?)
            }
            _ => Box::new(WindowTableFunction::new(name, spec, schema)?),
        },
        OperatorSpec::LocalWindowAggregate(spec) => {
            two_phase(name, spec)?;
            Box::new(LocalWindowAggregate::new(name, spec, schema)?)
        }
        OperatorSpec::GlobalWindowAggregate(spec) => {
            two_phase(name, spec)?;
            Box::new(WindowAggregate::new(name, spec, schema, true, ownership)?)
        }
        OperatorSpec::WindowAggregate(spec) => {
            let emits = spec.emit != EmitStrategy::default();
            match (session(spec), emits || spec.is_whole()) {
                (true, _) if emits => {
                    return Err(Error::user("Session window doesn't support EMIT strategy currently")
                        .with("operator", name)
                        .hint("Unset the 'table.exec.emit.*' options, or use TUMBLE, HOP or CUMULATE"));
                }
                (true, _) => Box::new(SessionWindowAggregate::new(name, spec, schema, ownership)?),
                (false, true) => Box::new(EmitWindowAggregate::new(name, spec, schema, ownership)?),
                (false, false) => Box::new(WindowAggregate::new(name, spec, schema, false, ownership)?),
            }
        }
        OperatorSpec::Rank(spec) => match &spec.strategy {
            RankStrategy::AppendFast if spec.by_arrival => Box::new(FirstN::rank(name, spec, schema, ownership)?),
            RankStrategy::AppendFast | RankStrategy::UpdateFast { .. } if spec.range.is_top_1() => {
                Box::new(Latest::top_1(name, spec, schema, ownership)?)
            }
            _ => Box::new(TopN::new(name, spec, schema, ownership)?),
        },
        OperatorSpec::Deduplicate(spec) => deduplicate(name, spec, schema, ownership)?,
        OperatorSpec::WindowRank(spec) => Box::new(WindowRank::new(name, spec, schema, ownership)?),
        OperatorSpec::OverAggregate(spec) => match spec.arrival {
            OverArrival::Time(attribute) => Box::new(TimeOver::new(name, spec, attribute, schema, ownership)?),
            OverArrival::Anywhere => Box::new(NonTimeOver::new(name, spec, schema, ownership)?),
            OverArrival::AtEnd => Box::new(OverAtEnd::new(name, spec, schema, ownership)?),
        },
        OperatorSpec::Sort(spec) => Box::new(Sort::new(name, spec, schema, ownership)?),
        OperatorSpec::TemporalSort(spec) => Box::new(TemporalSort::new(name, spec, schema, ownership)?),
        OperatorSpec::Match(spec) => Box::new(MatchRecognize::new(name, spec, schema, ownership)?),
        OperatorSpec::Sink(spec) => match SinkConstraint::new(spec, schema)? {
            Some(constraint) => Box::new(constraint),
            None => Box::new(Union),
        },
        OperatorSpec::GroupAggregate(spec) => Box::new(GroupAggregate::new(name, spec, schema, subtask, ownership)?),
        OperatorSpec::MiniBatchAssigner(spec) => Box::new(MiniBatchAssigner::new(spec)),
        OperatorSpec::LocalGroupAggregate(spec) => Box::new(LocalGroupAggregate::new(name, spec, &schema)?),
        OperatorSpec::GlobalGroupAggregate(spec) => {
            Box::new(GroupAggregate::global(name, spec, schema, subtask, ownership)?)
        }
        OperatorSpec::IncrementalGroupAggregate(spec) => {
            Box::new(IncrementalGroupAggregate::new(name, spec, ownership)?)
        }
        OperatorSpec::ChangelogNormalize(spec) => Box::new(ChangelogNormalize::new(name, spec, schema, ownership)?),
        OperatorSpec::DropUpdateBefore => Box::new(DropUpdateBefore),
        OperatorSpec::SinkMaterialize(spec) => Box::new(SinkMaterialize::new(name, spec, schema, ownership)?),
    })
}

fn deduplicate(
    name: &str,
    spec: &DeduplicateSpec,
    schema: SchemaRef,
    ownership: Ownership,
) -> Result<Box<dyn Operator>> {
    let max_parallelism = ownership.max_parallelism;
    let operator: Box<dyn Operator> = match (spec.keep, spec.rowtime) {
        (Keep::First, None) => Box::new(FirstN::deduplicate(name, spec, schema, ownership)?),
        (Keep::First, Some(_)) if spec.appends() => Box::new(FirstByRowtime::new(name, spec, schema, ownership)?),
        _ => Box::new(Latest::deduplicate(name, spec, schema, ownership)?),
    };
    Ok(match spec.mini_batch {
        Some(batch) => Box::new(Bundled::new(name, spec, batch, operator, max_parallelism)?),
        None => operator,
    })
}

fn session(spec: &WindowAggregateSpec) -> bool {
    matches!(&spec.assignment, WindowAssignment::TimeColumn { kind: WindowKind::Session { .. }, .. })
}

/// What cannot be computed in two phases: the planner plans one.
fn two_phase(name: &str, spec: &WindowAggregateSpec) -> Result<()> {
    let (WindowAssignment::TimeColumn { attribute, .. } | WindowAssignment::Attached { attribute, .. }) =
        &spec.assignment;
    let problem = if session(spec) {
        "session windows"
    } else if !is_event_time(*attribute) {
        "windows of processing time"
    } else if spec.emit != EmitStrategy::default() {
        "early or late results"
    } else {
        return Ok(());
    };
    Err(Error::internal(format!("{problem} are aggregated in one phase")).with("operator", name))
}
