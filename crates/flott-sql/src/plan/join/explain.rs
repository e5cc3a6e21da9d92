//! Joins as EXPLAIN prints them.

use std::fmt::Write;

use datafusion_common::{DFSchema, DFSchemaRef};
use datafusion_expr::Expr;
use flott_core::types::TimeAttribute;

use super::{InputSpec, JoinOp, JoinWay, UnnestOp};
use crate::bind::FlinkNode;
use crate::bind::node::{Join, JoinFlavour};
use crate::plan::explain::{lengths, names, row_type};
use crate::plan::stream::StreamNode;
use crate::plan::text::{Style, expression};

/// `LogicalJoin(condition=[=($0, $3)], joinType=[inner])`
pub(crate) fn logical(join: &Join, node: &FlinkNode) -> String {
    let condition = match (&join.shown, &node.second) {
        (Some(condition), Some(right)) => match node.input.schema().join(right.schema()) {
            Ok(pair) => expression(condition, &pair, Style::Indexed),
            Err(_) => condition.to_string(),
        },
        _ => "true".to_string(),
    };
    let kind = match join.kind {
        flott_graph::JoinKind::Inner => "inner",
        flott_graph::JoinKind::Left => "left",
        flott_graph::JoinKind::Right => "right",
        flott_graph::JoinKind::Full => "full",
        flott_graph::JoinKind::Semi => "semi",
        flott_graph::JoinKind::Anti => "anti",
    };
    let time = match &join.flavour {
        JoinFlavour::Temporal { left_time, .. } => format!(", asOf=[{left_time}]"),
        JoinFlavour::Lookup { search: Some(search), .. } => {
            format!(", search=[{}], query=[{}], topK=[{}]", search.of.column, search.query, search.of.top_k)
        }
        JoinFlavour::Lookup { .. } => ", asOf=[PROCTIME()]".to_string(),
        _ => String::new(),
    };
    format!("LogicalJoin(condition=[{condition}], joinType=[{kind}]{time})")
}

/// `Correlate(invocation=[$UNNEST_ROWS$1($cor0.arr)], .., joinType=[INNER])`
pub(crate) fn unnest(op: &UnnestOp, node: &StreamNode) -> String {
    let UnnestOp { spec, condition } = op;
    let column = node.schema.fields().get(spec.column).map_or("", |f| f.name());
    let function = if spec.with_ordinality { "$UNNEST_ROWS_WITH_ORDINALITY$1" } else { "$UNNEST_ROWS$1" };
    let call = format!("{function}($cor0.{column})");
    let kind = if spec.outer { "LEFT" } else { "INNER" };
    format!(
        "Correlate(invocation=[{call}], correlate=[table({call})], select=[{}], rowType=[RecordType({})], joinType=[{kind}]{})",
        names(&node.schema).replace(", ", ","),
        row_type(&node.schema),
        unnest_condition(condition.as_ref(), &node.schema)
    )
}

/// `, condition=[..]`
pub(in crate::plan) fn unnest_condition(condition: Option<&Expr>, schema: &DFSchema) -> String {
    condition.map_or(String::new(), |c| format!(", condition=[{}]", expression(c, schema, Style::Prefix)))
}

impl JoinOp {
    /// Flink's name of the operator.
    pub(crate) fn name(&self) -> &'static str {
        match self.way {
            JoinWay::Regular => "Join",
            JoinWay::Interval { .. } => "IntervalJoin",
            JoinWay::Window { .. } => "WindowJoin",
            JoinWay::Temporal { .. } => "TemporalJoin",
        }
    }

    /// What becomes of event time.
    pub(crate) fn about_time(&self) -> String {
        match &self.way {
            JoinWay::Regular => "event time ends here: rows of any age meet; watermarks pass through".to_string(),
            JoinWay::Interval { attribute: TimeAttribute::Rowtime, left_lower_ms, left_upper_ms, .. } => {
                let delay = left_lower_ms.saturating_neg().max(*left_upper_ms).max(0);
                format!("rows wait for partners until they are too far away; watermarks leave {delay} ms later")
            }
            JoinWay::Interval { .. } => {
                "rows wait for partners by processing time; watermarks pass through".to_string()
            }
            JoinWay::Window { .. } => "rows wait until the watermark has passed the end of their window".to_string(),
            JoinWay::Temporal { .. } => {
                "left rows wait until the watermark of both inputs has passed their time".to_string()
            }
        }
    }

    /// Whether it waits for event time.
    pub(crate) fn is_of_event_time(&self) -> bool {
        match &self.way {
            JoinWay::Regular => false,
            JoinWay::Interval { attribute, .. } => *attribute == TimeAttribute::Rowtime,
            JoinWay::Window { .. } | JoinWay::Temporal { .. } => true,
        }
    }

    /// The operator as a plan prints it.
    pub(in crate::plan) fn text(&self, node: &StreamNode, style: Style) -> String {
        let pair = self.pair_schema(&node.inputs).ok();
        let pair: &DFSchema = pair.as_ref().unwrap_or(&node.schema);
        let condition = match &self.shown {
            Some(shown) => expression(shown, pair, style),
            None => "true".to_string(),
        };
        let common = format!("joinType=[{}], where=[{condition}], select=[{}]", self.kind.name(), names(&node.schema));
        let mut text = format!("{}(", self.name());
        let column = |schema: &DFSchemaRef, i: usize| schema.field(i).name().clone();
        let written = match &self.way {
            JoinWay::Regular => {
                let spec = |input: usize| {
                    node.inputs.get(input).map_or("", |i| InputSpec::of(&i.node, self.keys(input)).name())
                };
                write!(text, "{common}, leftInputSpec=[{}], rightInputSpec=[{}]", spec(0), spec(1))
            }
            JoinWay::Interval { attribute, left_time, right_time, left_lower_ms, left_upper_ms } => write!(
                text,
                "joinType=[{}], windowBounds=[isRowTime={}, leftLowerBound={left_lower_ms}, \
                 leftUpperBound={left_upper_ms}, leftTimeIndex={left_time}, rightTimeIndex={right_time}], \
                 where=[{condition}], select=[{}]",
                self.kind.name(),
                *attribute == TimeAttribute::Rowtime,
                names(&node.schema)
            ),
            JoinWay::Window { left, right, kind, .. } => {
                let (name, lengths) = lengths(kind);
                let window = |input: usize, (start, end): (usize, usize)| {
                    node.inputs.get(input).map_or(String::new(), |i| {
                        let (start, end) = (column(&i.node.schema, start), column(&i.node.schema, end));
                        format!("{name}(win_start=[{start}], win_end=[{end}], {lengths})")
                    })
                };
                write!(text, "leftWindow=[{}], rightWindow=[{}], {common}", window(0, *left), window(1, *right))
            }
            JoinWay::Temporal { .. } => write!(text, "{common}"),
        };
        debug_assert!(written.is_ok());
        text + ")"
    }
}
