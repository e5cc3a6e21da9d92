//! How aggregates in two phases are shown.
//!
//! As Flink's `RelExplainUtil`: the columns between the phases are numbered, with one name for each field of an accumulator;
//! the distinct values of an argument are one column, which all aggregates over them read.

use flott_function::AggregateKind;
use flott_graph::{AggregateCall, GroupAggregateSpec, IncrementalAggregateSpec, SplitLevel};

use super::explain::level;
use super::stream::StreamNode;

/// `LocalGroupAggregate(groupBy=[a], select=[a, COUNT(*) AS count1$0])`
pub(super) fn local(kind: &str, spec: &GroupAggregateSpec) -> String {
    let column = |i: &usize| spec.input_schema.field(*i).name().clone();
    let shown = Shown::new(spec);
    let mut select = keys(spec);
    for call in &shown.calls {
        let arguments = match call.call.arguments.as_slice() {
            [] => "*".to_string(),
            arguments => arguments.iter().map(column).collect::<Vec<_>>().join(", "),
        };
        let filter = call.call.filter.as_ref().map(|f| format!(" FILTER {}", column(f))).unwrap_or_default();
        let name = call.call.kind;
        select.push(format!("{name}{}({}{arguments}){filter} AS {}", call.suffix, call.distinct, call.state));
    }
    for (number, argument) in shown.values.iter().enumerate() {
        let arguments: Vec<String> = argument.iter().map(column).collect();
        select.push(format!("DISTINCT({}) AS distinct${number}", arguments.join(", ")));
    }
    format!("{kind}({}{}select=[{}])", group_by(spec), level(spec), select.join(", "))
}

/// `GlobalGroupAggregate(groupBy=[a], select=[a, COUNT(count1$0) AS EXPR$1])`
pub(super) fn global(kind: &str, spec: &GroupAggregateSpec, node: &StreamNode) -> String {
    let shown = Shown::new(spec);
    let mut select = keys(spec);
    for (i, call) in shown.calls.iter().enumerate().take(spec.aggregates.len()) {
        let output = node.schema.fields().get(spec.group_keys.len() + i).map_or(&call.call.name, |f| f.name());
        // It sums up what was counted of each bucket.
        let name = match (spec.level, call.call.kind) {
            (SplitLevel::Incremental, AggregateKind::Count) => AggregateKind::Sum0,
            (_, kind) => kind,
        };
        select.push(format!("{name}{}({}{}) AS {output}", call.suffix, call.distinct, call.state));
    }
    format!("{kind}({}{}select=[{}])", group_by(spec), level(spec), select.join(", "))
}

/// `IncrementalGroupAggregate(partialAggGrouping=[a, $f2], finalAggGrouping=[a], select=[a, COUNT(distinct$0 count$0) AS count$0])`
pub(super) fn incremental(kind: &str, spec: &IncrementalAggregateSpec) -> String {
    let shown = Shown::new(&spec.partial);
    let mut select = keys(&spec.merged);
    let calls = shown.calls.iter().map(|call| {
        format!("{}{}({}{state}) AS {state}", call.call.kind, call.suffix, call.distinct, state = call.state)
    });
    select.extend(calls);
    let (partial, last) = (keys(&spec.partial).join(", "), keys(&spec.merged).join(", "));
    format!("{kind}(partialAggGrouping=[{partial}], finalAggGrouping=[{last}], select=[{}])", select.join(", "))
}

fn keys(spec: &GroupAggregateSpec) -> Vec<String> {
    spec.group_keys.iter().map(|k| spec.input_schema.field(*k).name().clone()).collect()
}

fn group_by(spec: &GroupAggregateSpec) -> String {
    match keys(spec).join(", ") {
        keys if keys.is_empty() => String::new(),
        keys => format!("groupBy=[{keys}], "),
    }
}

/// An aggregate as it is shown.
struct ShownCall {
    call: AggregateCall,
    suffix: &'static str,
    /// Whose values it reads: `distinct$0 `.
    distinct: String,
    /// `count$0`, or `(sum$0, count$1)`
    state: String,
}

struct Shown {
    /// With the count of rows that Flink adds.
    calls: Vec<ShownCall>,
    /// The arguments whose distinct values are kept.
    values: Vec<Vec<usize>>,
}

impl Shown {
    fn new(spec: &GroupAggregateSpec) -> Shown {
        let mut values: Vec<Vec<usize>> = vec![];
        let mut number = 0;
        let mut shown = vec![];
        let mut show = |call: &AggregateCall| {
            let suffix = if spec.retracts && !spec.only_grows(call) { "_RETRACT" } else { "" };
            let mut distinct = String::new();
            if call.distinct && !matches!(call.kind, AggregateKind::Min | AggregateKind::Max) {
                let place = values.iter().position(|v| *v == call.arguments).unwrap_or_else(|| {
                    values.push(call.arguments.clone());
                    values.len() - 1
                });
                distinct = format!("distinct${place} ");
            }
            let names = state_names(call, !suffix.is_empty());
            let names: Vec<String> = names
                .into_iter()
                .map(|name| {
                    number += 1;
                    format!("{name}${}", number - 1)
                })
                .collect();
            let state = if names.len() == 1 { names.concat() } else { format!("({})", names.join(", ")) };
            shown.push(ShownCall { call: call.clone(), suffix, distinct, state });
        };
        spec.aggregates.iter().for_each(&mut show);
        let counts = |c: &AggregateCall| c.kind == AggregateKind::Count && c.arguments.is_empty() && c.filter.is_none();
        if spec.retracts && !spec.aggregates.iter().any(counts) {
            show(&AggregateCall {
                kind: AggregateKind::Count,
                arguments: vec![],
                filter: None,
                distinct: false,
                result: flott_core::types::TypeKind::BigInt.not_null(),
                argument_type: None,
                name: String::new(),
            });
        }
        Shown { calls: shown, values }
    }
}

/// The fields of Flink's accumulator; one that is an object of its own has the function's name.
fn state_names(call: &AggregateCall, retracts: bool) -> Vec<String> {
    use AggregateKind as A;
    let names: &[&str] = match call.kind {
        A::Count if call.arguments.is_empty() => &["count1"],
        A::Count => &["count"],
        A::Sum if retracts => &["sum", "count"],
        A::Sum | A::Sum0 => &["sum"],
        A::Avg => &["sum", "count"],
        A::Min => &["min"],
        A::Max => &["max"],
        A::SingleValue => &["value", "count"],
        A::ListAgg if !retracts => &["accDelimiter", "concatAcc"],
        other => return vec![other.to_string().to_lowercase()],
    };
    names.iter().map(ToString::to_string).collect()
}
