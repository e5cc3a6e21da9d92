//! Nodes and specs for tests.

use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use flott_connector::factory::ChangelogMode;
use flott_core::LogicalType;
use flott_core::types::{TimeAttribute, arrow_field, from_arrow_field};
use flott_function::AggregateKind;
use flott_graph::partial_schema;
use flott_graph::{
    AggregateCall, EmitStrategy, Input, Node, NodeId, OperatorSpec, Partitioning, StateMeaning, WindowAggregateSpec,
    WindowAssignment, WindowKind, WindowProperty,
};

pub(crate) fn logical(text: &str) -> LogicalType {
    text.parse().expect("a type")
}

pub(crate) fn node(name: &str, spec: OperatorSpec, schema: SchemaRef) -> Node {
    Node {
        uid: name.to_string(),
        name: name.to_string(),
        spec,
        inputs: vec![Input::new(NodeId(0), Partitioning::Forward)],
        schema,
        changelog_mode: ChangelogMode::INSERT_ONLY,
        parallelism: None,
    }
}

/// An aggregate of a column by its name: `("COUNT", None, ..)`.
pub(crate) fn call(schema: &SchemaRef, function: &str, argument: Option<&str>, result: &str) -> AggregateCall {
    let argument = argument.map(|a| schema.index_of(a).expect("a column"));
    AggregateCall {
        kind: AggregateKind::from_name(function).expect("a function"),
        arguments: argument.into_iter().collect(),
        filter: None,
        distinct: false,
        result: logical(result),
        argument_type: argument.and_then(|a| from_arrow_field(schema.field(a))),
        name: format!("{function}({argument:?})"),
    }
}

pub(crate) fn rowtime(schema: &SchemaRef, column: &str, kind: WindowKind) -> WindowAssignment {
    let column = schema.index_of(column).expect("a column");
    WindowAssignment::TimeColumn { column, attribute: TimeAttribute::Rowtime, time_zone: None, kind }
}

pub(crate) fn aggregate_spec(
    schema: &SchemaRef,
    keys: &[&str],
    aggregates: Vec<AggregateCall>,
    assignment: WindowAssignment,
) -> WindowAggregateSpec {
    WindowAggregateSpec {
        in_group_by: false,
        assignment,
        group_keys: keys.iter().map(|k| schema.index_of(k).expect("a column")).collect(),
        aggregates,
        properties: vec![WindowProperty::Start, WindowProperty::End],
        emit: EmitStrategy::default(),
        late_output: false,
        merge_changes: false,
        retracts: false,
        meaning: StateMeaning::default(),
        input_schema: Arc::clone(schema),
    }
}

pub(crate) fn output_schema(spec: &WindowAggregateSpec) -> SchemaRef {
    let mut fields: Vec<Field> = spec.group_keys.iter().map(|k| spec.input_schema.field(*k).clone()).collect();
    fields.extend(spec.aggregates.iter().map(|a| arrow_field(&a.name, &a.result)));
    for property in &spec.properties {
        fields.push(match property {
            WindowProperty::Start => arrow_field("window_start", &logical("TIMESTAMP(3) NOT NULL")),
            WindowProperty::End => arrow_field("window_end", &logical("TIMESTAMP(3) NOT NULL")),
            WindowProperty::Time => arrow_field("window_time", &logical("TIMESTAMP(3) *ROWTIME* NOT NULL")),
        });
    }
    Arc::new(Schema::new(fields))
}

/// An aggregation in one step, or local and global.
pub(crate) fn aggregation(spec: &WindowAggregateSpec, two_phase: bool) -> Vec<(Node, Partitioning)> {
    let out = output_schema(spec);
    if two_phase {
        let local = node("local", OperatorSpec::LocalWindowAggregate(spec.clone()), partial_schema(spec));
        let global = node("global", OperatorSpec::GlobalWindowAggregate(spec.clone()), out);
        let keys = (0..spec.group_keys.len()).collect();
        vec![(local, Partitioning::Forward), (global, Partitioning::Hash(keys))]
    } else {
        let one = node("window", OperatorSpec::WindowAggregate(spec.clone()), out);
        vec![(one, Partitioning::Hash(spec.group_keys.clone()))]
    }
}

/// Start and end of each window that a row of this time is in; of a session, of the one that it would be alone.
pub(crate) fn windows_at(kind: &WindowKind, time: i64) -> Vec<(i64, i64)> {
    let floor = |offset: i64, size: i64| time - (time - offset).rem_euclid(size);
    match *kind {
        WindowKind::Tumble { size_ms, offset_ms } => {
            vec![(floor(offset_ms, size_ms), floor(offset_ms, size_ms) + size_ms)]
        }
        WindowKind::Hop { size_ms, slide_ms, offset_ms } => (0..size_ms / slide_ms)
            .map(|i| floor(offset_ms, slide_ms) - i * slide_ms)
            .map(|start| (start, start + size_ms))
            .collect(),
        WindowKind::Cumulate { max_size_ms, step_ms, offset_ms } => {
            let start = floor(offset_ms, max_size_ms);
            (1..=max_size_ms / step_ms).map(|i| (start, start + i * step_ms)).filter(|w| time < w.1).collect()
        }
        WindowKind::Session { gap_ms, .. } => vec![(time, time + gap_ms)],
    }
}
