//! How EXPLAIN shows functions over windows.

use arrow_schema::Schema;
use datafusion_common::DFSchema;
use flott_graph::{
    OverAggregateSpec, OverArrival, OverBound, OverCall, OverFrame, OverFunction, OverGroup, OverOffset,
};

use super::explain_rank::{name, names, order, output, place};
use super::stream::StreamNode;
use crate::bind::node::{self, OrderKey, Over};

/// `OverAggregate(partitionBy=[k], orderBy=[ts ASC], window=[ RANGE BETWEEN .. ], select=[k, ts, COUNT(*) AS w0$o0])`
pub(super) fn over_aggregate(kind: &str, spec: &OverAggregateSpec, node: &StreamNode) -> String {
    let schema = spec.input_schema.as_ref();
    let mut parts = vec![];
    if !spec.partition_keys.is_empty() {
        parts.push(format!("partitionBy=[{}]", names(schema, &spec.partition_keys)));
    }
    if !spec.order.is_empty() {
        parts.push(format!("orderBy=[{}]", order(schema, &spec.order)));
    }
    let calls = |calls: &[OverCall]| -> Vec<String> {
        calls.iter().map(|c| format!("{} AS {}", call(c, schema), c.name)).collect()
    };
    if spec.arrival == OverArrival::AtEnd {
        // Flink has a window for each kind of function that has no frame of its own.
        let kinds = |g: &'_ OverGroup| -> Vec<Vec<String>> {
            g.calls.chunk_by(|a, b| kind_of(a.function) == kind_of(b.function)).map(calls).collect()
        };
        let windows = spec.groups.iter().flat_map(|g| kinds(g).into_iter().map(|c| (c, frame(&g.frame))));
        for (i, (calls, frame)) in windows.enumerate() {
            parts.push(format!("window#{i}=[{} {frame}]", calls.join(", ")));
        }
        parts.push(format!("select=[{}]", output(node)));
    } else {
        for group in &spec.groups {
            parts.push(format!("window=[ {}]", frame(&group.frame)));
            let mut select: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
            select.extend(calls(&group.calls));
            parts.push(format!("select=[{}]", select.join(", ")));
        }
    }
    format!("{kind}({})", parts.join(", "))
}

fn call(call: &OverCall, schema: &Schema) -> String {
    call_over(call, &|place| name(schema, place).to_string())
}

/// A call over columns that are called so.
pub(super) fn call_over(call: &OverCall, name: &dyn Fn(usize) -> String) -> String {
    let mut arguments: Vec<String> = call.arguments.iter().map(|a| name(*a)).collect();
    match call.function {
        OverFunction::Lag(offset) if offset != 1 && offset != -1 || arguments.len() > 1 => {
            arguments.insert(1, offset.abs().to_string());
        }
        OverFunction::Ntile(buckets) => arguments.push(buckets.to_string()),
        _ if arguments.is_empty() => arguments.push("*".to_string()),
        _ => {}
    }
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    format!("{}({distinct}{})", call.function.name(), arguments.join(", "))
}

fn kind_of(function: OverFunction) -> u8 {
    match function {
        OverFunction::Aggregate(_) => 0,
        OverFunction::Lag(_) | OverFunction::LagBy { .. } => 1,
        OverFunction::Ntile(_) => 2,
        _ => 3,
    }
}

fn number(offset: &OverOffset) -> String {
    let digits = format!("{:0>width$}", offset.unscaled, width = usize::from(offset.scale) + 1);
    match offset.scale {
        0 => digits,
        scale => {
            let (whole, part) = digits.split_at(digits.len() - usize::from(scale));
            format!("{whole}.{part}")
        }
    }
}

fn bound(bound: &OverBound) -> String {
    match bound {
        OverBound::UnboundedPreceding => "UNBOUNDED PRECEDING".to_string(),
        OverBound::Preceding(o) => format!("{} PRECEDING", number(o)),
        OverBound::CurrentRow => "CURRENT ROW".to_string(),
        OverBound::Following(o) => format!("{} FOLLOWING", number(o)),
        OverBound::UnboundedFollowing => "UNBOUNDED FOLLOWING".to_string(),
    }
}

pub(super) fn frame(frame: &OverFrame) -> String {
    let unit = if frame.rows { "ROWS" } else { "RANGE" };
    format!("{unit} BETWEEN {} AND {}", bound(&frame.lower), bound(&frame.upper))
}

/// Calcite does not say that a frame ends at its row.
fn logical_frame(shown: &OverFrame) -> String {
    let unit = if shown.rows { "ROWS" } else { "RANGE" };
    match shown.upper {
        OverBound::CurrentRow => format!("{unit} {}", bound(&shown.lower)),
        _ => frame(shown),
    }
}

/// The logical node.
pub(super) fn logical(over: &Over, input: &DFSchema) -> String {
    let calls = over.calls.iter().map(|c| format!("{}=[{}]", c.name, logical_call(over, c, input)));
    format!("LogicalOver({})", calls.collect::<Vec<_>>().join(", "))
}

/// A call of it: `ROW_NUMBER() OVER (PARTITION BY $0 ORDER BY $2 NULLS FIRST)`
pub(super) fn logical_call(over: &Over, call: &node::OverCall, input: &DFSchema) -> String {
    let key = |k: &OrderKey| {
        let direction = if k.ascending { "" } else { " DESC" };
        let nulls = if k.nulls_last { "LAST" } else { "FIRST" };
        format!("${}{direction} NULLS {nulls}", place(input, &k.column))
    };
    let mut window = vec![];
    if !over.partition.is_empty() {
        let keys: Vec<String> = over.partition.iter().map(|p| format!("${}", place(input, p))).collect();
        window.push(format!("PARTITION BY {}", keys.join(", ")));
    }
    if !over.order.is_empty() {
        let keys: Vec<String> = over.order.iter().map(key).collect();
        window.push(format!("ORDER BY {}", keys.join(", ")));
        // What every window has that says nothing is not shown.
        if call.frame != OverFrame::so_far(call.function == OverFunction::RowNumber) {
            window.push(logical_frame(&call.frame));
        }
    }
    let mut arguments: Vec<String> = call.arguments.iter().map(|a| format!("${}", place(input, a))).collect();
    match call.function {
        OverFunction::Lag(offset) => arguments.insert(1, offset.abs().to_string()),
        OverFunction::Ntile(buckets) => arguments.push(buckets.to_string()),
        _ => {}
    }
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    format!("{}({distinct}{}) OVER ({})", call.function.name(), arguments.join(", "), window.join(" "))
}
