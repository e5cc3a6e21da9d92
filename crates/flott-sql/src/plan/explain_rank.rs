//! How EXPLAIN shows ranks, deduplications and sorts.

use arrow_schema::Schema;
use datafusion_common::DFSchema;
use flott_core::types::{TimeAttribute, from_arrow_field};
use flott_graph::{DeduplicateSpec, Keep, RankRange, RankStrategy, SortKey, SortSpec, TemporalSortSpec};

use super::stream::{Rank, RankNode, StreamNode, WindowRank};
use super::text::Style;
use crate::bind::node::Sort;

pub(super) fn name(schema: &Schema, column: usize) -> &str {
    schema.fields().get(column).map_or("?", |f| f.name())
}

pub(super) fn names(schema: &Schema, columns: &[usize]) -> String {
    columns.iter().map(|c| name(schema, *c)).collect::<Vec<_>>().join(", ")
}

/// NULL is the least value: what says otherwise is shown.
pub(super) fn order(schema: &Schema, keys: &[SortKey]) -> String {
    let key = |k: &SortKey| {
        let direction = if k.ascending { "ASC" } else { "DESC" };
        let nulls = match (k.ascending, k.nulls_last) {
            (true, true) => " NULLS LAST",
            (false, false) => " NULLS FIRST",
            _ => "",
        };
        format!("{} {direction}{nulls}", name(schema, k.column))
    };
    keys.iter().map(key).collect::<Vec<_>>().join(", ")
}

fn attribute(schema: &Schema, column: usize) -> TimeAttribute {
    let t = schema.fields().get(column).and_then(|f| from_arrow_field(f));
    t.map_or(TimeAttribute::None, |t| t.kind.time_attribute())
}

/// The order of a Rank, which says where it is one of event time.
fn rank_order(schema: &Schema, keys: &[SortKey]) -> String {
    let by_rowtime = keys.iter().any(|k| attribute(schema, k.column) == TimeAttribute::Rowtime);
    format!("{}{}", if by_rowtime { "ROWTIME " } else { "" }, order(schema, keys))
}

pub(super) fn output(node: &StreamNode) -> String {
    node.schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ")
}

fn keep_text(keep: Keep) -> &'static str {
    match keep {
        Keep::First => "FirstRow",
        Keep::Last => "LastRow",
    }
}

pub(super) fn rank(kind: &str, rank: &Rank, node: &StreamNode) -> String {
    let spec = &rank.spec;
    let schema = spec.input_schema.as_ref();
    let strategy = match &spec.strategy {
        RankStrategy::AppendFast => "AppendFastStrategy".to_string(),
        RankStrategy::UpdateFast { primary_keys } => {
            let keys: Vec<String> = primary_keys.iter().map(usize::to_string).collect();
            format!("UpdateFastStrategy[{}]", keys.join(","))
        }
        RankStrategy::Retract => "RetractStrategy".to_string(),
    };
    let range = match spec.range {
        RankRange::Constant { start, end } => format!("rankStart={start}, rankEnd={end}"),
        RankRange::Variable { column } => format!("rankEnd={}", name(schema, column)),
    };
    let order = order(schema, &spec.order);
    let limit = |range: RankRange| match range {
        RankRange::Constant { start, end } => format!("offset=[{}], fetch=[{}]", start - 1, end + 1 - start),
        RankRange::Variable { .. } => String::new(),
    };
    match rank.node {
        RankNode::Limit => format!("{kind}({})", limit(spec.range)),
        RankNode::SortLimit => format!("{kind}(orderBy=[{order}], {}, strategy=[{strategy}])", limit(spec.range)),
        RankNode::Rank => format!(
            "{kind}(strategy=[{strategy}], rankType=[ROW_NUMBER], rankRange=[{range}], partitionBy=[{}], \
             orderBy=[{}], select=[{}])",
            names(schema, &spec.partition_keys),
            rank_order(schema, &spec.order),
            output(node)
        ),
    }
}

/// Before the execution plan is made it is a Rank like others, as in Flink.
pub(super) fn deduplicate(kind: &str, spec: &DeduplicateSpec, node: &StreamNode, style: Style) -> String {
    let schema = spec.input_schema.as_ref();
    let keys = names(schema, &spec.keys);
    if style == Style::Prefix {
        // What the query orders by stands behind the columns that it names.
        let is_proctime = |c: &usize| attribute(schema, *c) == TimeAttribute::Proctime;
        let column = spec.rowtime.or_else(|| (0..schema.fields().len()).rev().find(is_proctime));
        let ascending = spec.keep == Keep::First;
        let key = column.map(|column| SortKey { column, ascending, nulls_last: !ascending });
        return format!(
            "Rank(strategy=[AppendFastStrategy], rankType=[ROW_NUMBER], rankRange=[rankStart=1, rankEnd=1], \
             partitionBy=[{keys}], orderBy=[{}], select=[{}])",
            rank_order(schema, key.as_slice()),
            output(node)
        );
    }
    let time = if spec.rowtime.is_some() { "ROWTIME" } else { "PROCTIME" };
    format!(
        "{kind}(keep=[{}], key=[{keys}], order=[{time}], outputInsertOnly=[{}])",
        keep_text(spec.keep),
        spec.appends()
    )
}

pub(super) fn window_rank(kind: &str, rank: &WindowRank, window: Option<String>, node: &StreamNode) -> String {
    let spec = &rank.spec;
    let schema = spec.input_schema.as_ref();
    let window = window.map(|w| format!("window=[{w}], ")).unwrap_or_default();
    let keys = names(schema, &spec.partition_keys);
    if let Some(keep) = rank.keep {
        let columns: Vec<usize> = spec.order.iter().map(|k| k.column).collect();
        return format!(
            "{kind}({window}keep=[{}], partitionKeys=[{keys}], orderKey=[{}], order=[ROWTIME])",
            keep_text(keep),
            names(schema, &columns)
        );
    }
    format!(
        "{kind}({window}rankType=[ROW_NUMBER], rankRange=[rankStart={}, rankEnd={}], partitionBy=[{keys}], \
         orderBy=[{}], select=[{}])",
        spec.start,
        spec.end,
        order(schema, &spec.order),
        output(node)
    )
}

pub(super) fn sort(kind: &str, spec: &SortSpec) -> String {
    let limit = match (spec.offset, spec.fetch) {
        (0, None) => String::new(),
        (offset, None) => format!(", offset=[{offset}]"),
        (offset, Some(fetch)) => format!(", offset=[{offset}], fetch=[{fetch}]"),
    };
    format!("{kind}(orderBy=[{}]{limit})", order(&spec.input_schema, &spec.order))
}

pub(super) fn temporal_sort(kind: &str, spec: &TemporalSortSpec) -> String {
    let time = SortKey { column: spec.time_column, ascending: true, nulls_last: false };
    let keys: Vec<SortKey> = [&[time][..], &spec.then].concat();
    format!("{kind}(orderBy=[{}])", order(&spec.input_schema, &keys))
}

pub(super) fn place(schema: &DFSchema, column: &str) -> usize {
    schema.index_of_column_by_name(None, column).unwrap_or_default()
}

pub(super) fn logical_sort(sort: &Sort, input: &DFSchema) -> String {
    let mut parts: Vec<String> =
        sort.order.iter().enumerate().map(|(i, k)| format!("sort{i}=[${}]", place(input, &k.column))).collect();
    parts.extend(sort.order.iter().enumerate().map(|(i, k)| {
        let direction = if k.ascending { "ASC" } else { "DESC" };
        let nulls = if k.nulls_last { "last" } else { "first" };
        format!("dir{i}=[{direction}-nulls-{nulls}]")
    }));
    parts.extend((sort.offset > 0).then(|| format!("offset=[{}]", sort.offset)));
    parts.extend(sort.fetch.map(|f| format!("fetch=[{f}]")));
    format!("LogicalSort({})", parts.join(", "))
}
