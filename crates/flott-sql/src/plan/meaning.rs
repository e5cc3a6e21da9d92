//! What the state of an operator stands for, as text that is stored with it.
//!
//! Columns are told by what they are computed of, down to an operator that makes them: the names of those in between are
//! numbers that say nothing.

use arrow_schema::Schema;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_expr::Expr;
use datafusion_expr::expr::ScalarFunction;
use flott_core::types::from_arrow_field;
use flott_core::{Error, Result};
use flott_graph::meaning::COLUMNS;
use flott_graph::{
    AggregateCall, Keep, OverAggregateSpec, RankRange, RankStrategy, SortKey, StateMeaning, WindowAssignment,
    WindowKind,
};

use super::explain_over;
use super::join::{InputSpec, JoinOp, JoinWay};
use super::program::substitute;
use super::stream::{Rank, StreamNode, StreamOp, WindowRank};
use super::text::{Style, expression};
use crate::bind::over::integer;
use crate::bind::{column, columns_of};

/// The column of a node as an expression over those of the operator that made it.
pub(super) fn origin(node: &StreamNode, place: usize) -> String {
    let below = node.input();
    match (&node.op, below) {
        (StreamOp::Calc(calc), Some(input)) => {
            let Some(e) = calc.projection.get(place) else { return name(node, place) };
            let of = |column_name: &str| {
                let place = input.schema.index_of_column_by_name(None, column_name)?;
                Some(column(&origin(input, place)))
            };
            let shown = substitute(e, &of).map_or_else(|_| e.clone(), without_defaults);
            expression(&shown, &input.schema, Style::Stored)
        }
        (StreamOp::Exchange(_) | StreamOp::DropUpdateBefore, Some(input)) => origin(input, place),
        // Aggregates go by their numbers: what a query calls them is no part of the state.
        (StreamOp::GroupAggregate(spec) | StreamOp::GlobalGroupAggregate(spec), _) => {
            aggregate_or_key(node, place, spec.group_keys.len(), spec.aggregates.len())
        }
        (StreamOp::WindowAggregate(spec) | StreamOp::GlobalWindowAggregate(spec), _) => {
            aggregate_or_key(node, place, spec.group_keys.len(), spec.aggregates.len())
        }
        _ => name(node, place),
    }
}

/// The arguments of a call without those that say what is so without them, too: an edit that writes them out changes nothing.
pub(super) fn arguments_that_count(call: &ScalarFunction) -> &[Expr] {
    match call.args.as_slice() {
        [_, precision] if call.func.name() == "TO_TIMESTAMP_LTZ" && integer(precision) == Some(3) => &call.args[..1],
        all => all,
    }
}

fn without_defaults(e: Expr) -> Expr {
    let shortened = e.clone().transform_up(|e| {
        Ok(match &e {
            Expr::ScalarFunction(call) if arguments_that_count(call).len() < call.args.len() => {
                let arguments = arguments_that_count(call).to_vec();
                Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(call.func.clone(), arguments)))
            }
            _ => Transformed::no(e),
        })
    });
    shortened.map_or(e, |t| t.data)
}

fn aggregate_or_key(node: &StreamNode, place: usize, keys: usize, aggregates: usize) -> String {
    match place.checked_sub(keys).filter(|number| *number < aggregates) {
        Some(number) => format!("EXPR${number}"),
        None => name(node, place),
    }
}

fn name(node: &StreamNode, place: usize) -> String {
    node.schema.fields().get(place).map_or_else(String::new, |f| f.name().clone())
}

/// Of aggregates over the rows of a node.
pub(super) fn of_aggregates(node: &StreamNode, keys: &[usize], calls: &[AggregateCall]) -> StateMeaning {
    let of = |place: &usize| origin(node, *place);
    let list = |places: &[usize]| places.iter().map(of).collect::<Vec<_>>().join(", ");
    let one = |call: &AggregateCall| {
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        let filter = call.filter.iter().map(|f| format!(" FILTER {}", of(f))).collect::<String>();
        let arguments = if call.arguments.is_empty() { "*".to_string() } else { list(&call.arguments) };
        format!("{}({distinct}{arguments}){filter}", call.kind.name())
    };
    let functions = calls.iter().map(one).collect::<Vec<_>>().join(", ");
    StateMeaning::default().with("GROUP BY", list(keys)).with("functions", functions)
}

/// The time that a window is of.
pub(super) fn with_time(meaning: StateMeaning, node: &StreamNode, time: usize) -> StateMeaning {
    meaning.with("time", origin(node, time))
}

/// The columns of a node's input.
fn columns(node: &StreamNode) -> Result<Vec<String>> {
    node.input().map_or_else(|| Ok(vec![]), |input| columns_out(input))
}

/// The columns of a node, with their types.
fn columns_out(node: &StreamNode) -> Result<Vec<String>> {
    let types = columns_of(&node.schema)?;
    Ok(types.iter().enumerate().map(|(i, (_, t))| format!("{} {}", origin(node, i), t.with_nullable(true))).collect())
}

/// Columns by their places, without their types.
fn picked(node: &StreamNode, places: impl Iterator<Item = usize>) -> String {
    let of = |place| node.input().map_or_else(String::new, |input| origin(input, place));
    places.map(of).collect::<Vec<_>>().join(", ")
}

fn order(node: &StreamNode, keys: &[SortKey]) -> String {
    let one = |k: &SortKey| {
        let column = picked(node, std::iter::once(k.column));
        let nulls = if k.nulls_last { "LAST" } else { "FIRST" };
        format!("{column} {} NULLS {nulls}", if k.ascending { "ASC" } else { "DESC" })
    };
    keys.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn keyed(node: &StreamNode, partition: &[usize], keys: &[SortKey]) -> Result<StateMeaning> {
    let meaning = StateMeaning::default()
        .with("PARTITION BY", picked(node, partition.iter().copied()))
        .with("ORDER BY", order(node, keys))
        .with(COLUMNS, columns(node)?.join(", "));
    Ok(meaning)
}

/// Of functions over windows of rows.
pub(super) fn of_over(spec: &OverAggregateSpec, node: &StreamNode) -> Result<StateMeaning> {
    let columns = columns(node)?;
    let one = |c| explain_over::call_over(c, &|place| columns.get(place).cloned().unwrap_or_default());
    let frames: Vec<String> = spec.groups.iter().map(|g| explain_over::frame(&g.frame)).collect();
    let functions: Vec<String> = spec.groups.iter().flat_map(|g| g.calls.iter().map(one)).collect();
    let meaning = keyed(node, &spec.partition_keys, &spec.order)?;
    Ok(meaning.with("frame", frames.join(", ")).with("functions", functions.join(", ")))
}

/// Of a pattern of rows, given its own parts. Measures are computed of the rows of a match when it has been found.
pub(super) fn of_match(
    node: &StreamNode,
    partition: &[usize],
    keys: &[SortKey],
    parts: [(&str, String); 4],
) -> Result<StateMeaning> {
    let meaning = keyed(node, partition, keys)?;
    Ok(parts.into_iter().fold(meaning, |meaning, (name, text)| meaning.with(name, text)))
}

/// Of an operator that keeps rows, as far as it does not store that by itself; empty of one without state. What is
/// computed of kept rows when they are shown may change; what they are may not.
pub(super) fn of_state(node: &StreamNode) -> Result<StateMeaning> {
    let rows = |meaning: StateMeaning| Ok::<_, Error>(meaning.with(COLUMNS, columns(node)?.join(", ")));
    let nothing = StateMeaning::default();
    Ok(match &node.op {
        StreamOp::GroupAggregate(spec) | StreamOp::GlobalGroupAggregate(spec) => {
            of_types(&spec.input_schema, &spec.group_keys, &spec.aggregates)
        }
        StreamOp::IncrementalGroupAggregate(spec) => {
            of_types(&spec.partial.input_schema, &spec.partial.group_keys, &spec.partial.aggregates)
        }
        StreamOp::WindowAggregate(spec) | StreamOp::GlobalWindowAggregate(spec) => {
            of_types(&spec.input_schema, &spec.group_keys, &spec.aggregates)
        }
        StreamOp::Rank(Rank { spec, .. }) => keyed(node, &spec.partition_keys, &spec.order)?
            .with("ranks", ranks(node, spec.range))
            .with("strategy", strategy(node, &spec.strategy)),
        StreamOp::WindowRank(WindowRank { spec, .. }) => keyed(node, &spec.partition_keys, &spec.order)?
            .with("ranks", format!("{} to {}", spec.start, spec.end))
            .with("of equals", if spec.last_of_equals { "the last" } else { "the first" })
            .with("window", picked(node, spec.window_start.into_iter().chain(spec.window_end))),
        StreamOp::Deduplicate(spec) => {
            let keep = match spec.keep {
                Keep::First if spec.rowtime.is_some() && !spec.appends() => "the first row so far",
                Keep::First => "the first row",
                Keep::Last => "the last row",
            };
            let time = if spec.rowtime.is_some() { picked(node, spec.rowtime.into_iter()) } else { "PROCTIME".into() };
            keyed(node, &spec.keys, &[])?.with("time", time).with("keeps", keep)
        }
        StreamOp::Sort(spec) => rows(
            nothing
                .with("ORDER BY", order(node, &spec.order))
                .with("rows", format!("{} from {}", spec.fetch.map_or("all".into(), |n| n.to_string()), spec.offset)),
        )?,
        StreamOp::TemporalSort(spec) => rows(
            nothing
                .with("time", picked(node, std::iter::once(spec.time_column)))
                .with("ORDER BY", order(node, &spec.then)),
        )?,
        StreamOp::ChangelogNormalize(normalize) => {
            rows(nothing.with("key", picked(node, normalize.key.iter().copied())))?
        }
        StreamOp::WindowTableFunction(spec) => match &spec.assignment {
            WindowAssignment::TimeColumn { column, kind: WindowKind::Session { gap_ms, partition_keys }, .. } => rows(
                nothing
                    .with("PARTITION BY", picked(node, partition_keys.iter().copied()))
                    .with("time", picked(node, std::iter::once(*column)))
                    .with("gap", format!("{gap_ms} ms")),
            )?,
            _ => nothing,
        },
        StreamOp::LookupJoin(_) => rows(nothing)?,
        StreamOp::Join(join) => of_join(node, join)?,
        _ => nothing,
    })
}

/// Of rows that a sink's key has had.
pub(super) fn of_materialized(below: &StreamNode, key: &[usize], upsert: Option<&[usize]>) -> Result<StateMeaning> {
    let list = |places: &[usize]| places.iter().map(|p| name(below, *p)).collect::<Vec<_>>().join(", ");
    Ok(StateMeaning::default()
        .with("primary key", list(key))
        .with("upsert key", upsert.map_or_else(|| "all columns".to_string(), list))
        .with(COLUMNS, columns_out(below)?.join(", ")))
}

/// What the values of aggregates are made of.
fn of_types(input: &Schema, keys: &[usize], calls: &[AggregateCall]) -> StateMeaning {
    let of = |place: &usize| {
        let field = input.fields().get(*place)?;
        let logical = from_arrow_field(field);
        Some(logical.map_or_else(|| field.data_type().to_string(), |t| t.with_nullable(true).to_string()))
    };
    let list = |places: &[usize]| places.iter().filter_map(of).collect::<Vec<_>>().join(", ");
    let function =
        |c: &AggregateCall| format!("{}({}) {}", c.kind.name(), list(&c.arguments), c.result.with_nullable(true));
    StateMeaning::default()
        .with("types of keys", list(keys))
        .with("types of functions", calls.iter().map(function).collect::<Vec<_>>().join(", "))
}

fn ranks(node: &StreamNode, range: RankRange) -> String {
    match range {
        RankRange::Constant { start, end } => format!("{start} to {end}"),
        RankRange::Variable { column } => format!("1 to {}", picked(node, std::iter::once(column))),
    }
}

fn strategy(node: &StreamNode, strategy: &RankStrategy) -> String {
    match strategy {
        RankStrategy::AppendFast => "append".to_string(),
        RankStrategy::UpdateFast { primary_keys } => {
            format!("update by {}", picked(node, primary_keys.iter().copied()))
        }
        RankStrategy::Retract => "retract".to_string(),
    }
}

/// Rows of both sides, and which of them have met.
fn of_join(node: &StreamNode, join: &JoinOp) -> Result<StateMeaning> {
    let mut meaning = StateMeaning::default();
    for (i, input) in node.inputs.iter().enumerate() {
        meaning = meaning.with(&format!("columns of input {}", i + 1), columns_out(&input.node)?.join(", "));
    }
    if let Some(rest) = &join.rest {
        let pair = join.pair_schema(&node.inputs)?;
        meaning = meaning.with("condition", expression(rest, &pair, Style::Stored));
    } else {
        meaning = meaning.with("condition", "");
    }
    let of = |input: usize, place: usize| node.inputs.get(input).map_or_else(String::new, |i| origin(&i.node, place));
    Ok(match &join.way {
        JoinWay::Regular => {
            let key = |i: usize| match node.inputs.get(i).map(|input| InputSpec::of(&input.node, join.keys(i)).key()) {
                Some(Some(key)) => key.iter().map(|k| of(i, *k)).collect::<Vec<_>>().join(", "),
                _ => String::new(),
            };
            meaning.with("unique keys", format!("[{}], [{}]", key(0), key(1)))
        }
        JoinWay::Interval { left_time, right_time, left_lower_ms, left_upper_ms, .. } => meaning.with(
            "interval",
            format!("{} - {} in {left_lower_ms} ms to {left_upper_ms} ms", of(0, *left_time), of(1, *right_time)),
        ),
        JoinWay::Window { left, right, .. } => {
            meaning.with("windows", format!("{}, {}", of(0, left.1), of(1, right.1)))
        }
        JoinWay::Temporal { left_time, right_time } => {
            meaning.with("times", format!("{}, {}", of(0, *left_time), of(1, *right_time)))
        }
    })
}
