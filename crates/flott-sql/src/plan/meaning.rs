//! What the state of an operator stands for, as text that is stored with it.
//!
//! Columns are told by what they are computed of, down to an operator that makes them: the names of those in between are
//! numbers that say nothing.

use flott_core::Result;
use flott_graph::meaning::COLUMNS;
use flott_graph::{AggregateCall, OverAggregateSpec, SortKey, StateMeaning};

use super::explain_over;
use super::program::substitute;
use super::stream::{StreamNode, StreamOp};
use super::text::{Style, expression};
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
            let shown = substitute(e, &of);
            expression(shown.as_ref().unwrap_or(e), &input.schema, Style::Prefix)
        }
        (StreamOp::Exchange(_) | StreamOp::DropUpdateBefore, Some(input)) => origin(input, place),
        _ => name(node, place),
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
    let Some(input) = node.input() else { return Ok(vec![]) };
    let types = columns_of(&input.schema)?;
    Ok(types.iter().enumerate().map(|(i, (_, t))| format!("{} {}", origin(input, i), t.with_nullable(true))).collect())
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
