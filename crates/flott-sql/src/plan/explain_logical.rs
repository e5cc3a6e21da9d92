//! How EXPLAIN shows the plan as the query says it: with Calcite's names of nodes, columns by their numbers.

use datafusion_expr::logical_plan::Projection;
use datafusion_expr::{Expr, LogicalPlan};
use flott_graph::WindowKind;

use super::explain::{names, path, record_type, row_type, tree};
use super::program::substitute;
use super::text::{Style, expression};
use super::{explain_over, explain_rank};
use crate::bind::node::{Aggregate, Over, WindowTableFunction};
use crate::bind::window::unaliased;
use crate::bind::{FlinkNode, FlinkNodeKind, ScanTable, column};

/// A logical plan and the sink above it.
pub(super) struct Ast {
    pub(super) sink: Option<String>,
    pub(super) plan: LogicalPlan,
}

impl Ast {
    /// The tree.
    pub(super) fn print(&self, out: &mut String) {
        let mut lines = vec![];
        match &self.sink {
            Some(sink) => {
                let fields = names(self.plan.schema());
                lines.push((0, format!("LogicalSink(table=[{sink}], fields=[{fields}])")));
                logical(without_names(&self.plan), 1, &mut lines);
            }
            None => logical(&self.plan, 0, &mut lines),
        }
        tree(&lines, out);
    }
}

/// Whether a projection gives all columns as they are, under whatever names.
fn only_names(p: &Projection) -> bool {
    let fields = p.input.schema().fields();
    p.expr.len() == fields.len()
        && p.expr.iter().zip(fields).all(|(e, f)| matches!(unaliased(e), Expr::Column(c) if c.name == *f.name()))
}

/// What stands below a projection that gives names alone, or no column, where nobody wrote it: those of a sink, of an
/// aggregation's input, of a join's right side.
fn without_names(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Projection(p) if only_names(p) || p.expr.is_empty() => &p.input,
        other => other,
    }
}

/// Whether the rows are those of an aggregation, some of which HAVING leaves out.
fn is_aggregation(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Filter(f) => is_aggregation(&f.input),
        LogicalPlan::Extension(e) => {
            FlinkNode::of(e).is_some_and(|node| matches!(node.kind, FlinkNodeKind::Aggregate(_)))
        }
        _ => false,
    }
}

/// Functions over windows below a projection, which Calcite writes into it.
fn over_below(p: &Projection) -> Option<(&Over, &FlinkNode)> {
    let LogicalPlan::Extension(e) = p.input.as_ref() else { return None };
    let node = FlinkNode::of(e)?;
    match &node.kind {
        FlinkNodeKind::Over(over) => Some((over, node)),
        _ => None,
    }
}

/// The logical plan with column indices, as Calcite prints it.
fn logical(plan: &LogicalPlan, depth: usize, lines: &mut Vec<(usize, String)>) {
    match plan {
        LogicalPlan::Projection(p) => {
            if only_names(p) && is_aggregation(&p.input) {
                return logical(&p.input, depth, lines);
            }
            let over = over_below(p);
            let call = |name: &str| {
                let (over, node) = over?;
                let call = over.calls.iter().find(|c| c.name == name)?;
                Some(column(&explain_over::logical_call(over, call, node.input.schema())))
            };
            let shown = |e: &Expr| match substitute(e, &call) {
                Ok(e) => expression(&e, p.input.schema(), Style::Indexed),
                Err(_) => expression(e, p.input.schema(), Style::Indexed),
            };
            let fields = p.expr.iter().zip(p.schema.fields()).map(|(e, f)| format!("{}=[{}]", f.name(), shown(e)));
            lines.push((depth, format!("LogicalProject({})", fields.collect::<Vec<_>>().join(", "))));
            logical(over.map_or(p.input.as_ref(), |(_, node)| &node.input), depth + 1, lines);
        }
        LogicalPlan::Filter(f) => {
            let condition = expression(&f.predicate, f.input.schema(), Style::Indexed);
            lines.push((depth, format!("LogicalFilter(condition=[{condition}])")));
            logical(&f.input, depth + 1, lines);
        }
        LogicalPlan::Union(u) => {
            lines.push((depth, "LogicalUnion(all=[true])".into()));
            u.inputs.iter().for_each(|i| logical(i, depth + 1, lines));
        }
        LogicalPlan::Values(v) => {
            let rows: Vec<String> = v
                .values
                .iter()
                .map(|r| {
                    let cells: Vec<String> = r.iter().map(super::text::literal_text).collect();
                    format!("{{ {} }}", cells.join(", "))
                })
                .collect();
            lines.push((depth, format!("LogicalValues(tuples=[[{}]])", rows.join(", "))));
        }
        LogicalPlan::EmptyRelation(_) => lines.push((depth, "LogicalValues(tuples=[[{ 0 }]])".into())),
        LogicalPlan::TableScan(s) => {
            let table = s.source.downcast_ref::<ScanTable>().map(|t| path(&t.identifier)).unwrap_or_default();
            lines.push((depth, format!("LogicalTableScan(table=[[{table}]])")));
        }
        LogicalPlan::Extension(e) => {
            let Some(node) = FlinkNode::of(e) else { return };
            let text = match &node.kind {
                FlinkNodeKind::WatermarkAssigner { rowtime, watermark } => {
                    let watermark = match watermark {
                        Some(w) => expression(w, node.input.schema(), Style::Indexed),
                        None => "SOURCE_WATERMARK()".into(),
                    };
                    format!("LogicalWatermarkAssigner(rowtime=[{rowtime}], watermark=[{watermark}])")
                }
                FlinkNodeKind::WindowTableFunction(f) => format!(
                    "LogicalTableFunctionScan(invocation=[{}], rowType=[RecordType({})])",
                    invocation(f),
                    row_type(&node.schema)
                ),
                FlinkNodeKind::Aggregate(a) => logical_aggregate(a, &node.input),
                FlinkNodeKind::Join(join) => super::join::explain::logical(join, node),
                FlinkNodeKind::Unnest(unnest) => {
                    let kind = if unnest.outer { "left" } else { "inner" };
                    let condition = super::join::explain::unnest_condition(unnest.condition.as_ref(), &node.schema);
                    format!("LogicalCorrelate(unnest=[{}], joinType=[{kind}]{condition})", unnest.column)
                }
                FlinkNodeKind::Over(o) => explain_over::logical(o, node.input.schema()),
                FlinkNodeKind::Match(m) => super::match_recognize::logical(m, node),
                FlinkNodeKind::Sort(s) => explain_rank::logical_sort(s, node.input.schema()),
                FlinkNodeKind::Changelog(call) => format!(
                    "LogicalTableFunctionScan(invocation=[{}], rowType=[RecordType({})])",
                    call.invocation,
                    record_type(&node.schema)
                ),
            };
            lines.push((depth, text));
            let below = match &node.kind {
                FlinkNodeKind::Aggregate(_) => without_names(&node.input),
                _ => &node.input,
            };
            logical(below, depth + 1, lines);
            node.second.iter().for_each(|right| logical(without_names(right), depth + 1, lines));
        }
        other => lines.push((depth, other.display().to_string())),
    }
}

fn invocation(f: &WindowTableFunction) -> String {
    let time = format!("DESCRIPTOR(_UTF-16LE'{}')", f.time_column);
    let ms = |n: i64| format!("{n}:INTERVAL");
    let offset = |n: i64| if n == 0 { String::new() } else { format!(", {n}:INTERVAL") };
    match &f.kind {
        WindowKind::Tumble { size_ms, offset_ms } => {
            format!("TUMBLE(TABLE(#0), {time}, {}{})", ms(*size_ms), offset(*offset_ms))
        }
        WindowKind::Hop { size_ms, slide_ms, offset_ms } => {
            format!("HOP(TABLE(#0), {time}, {}, {}{})", ms(*slide_ms), ms(*size_ms), offset(*offset_ms))
        }
        WindowKind::Cumulate { max_size_ms, step_ms, offset_ms } => {
            format!("CUMULATE(TABLE(#0), {time}, {}, {}{})", ms(*step_ms), ms(*max_size_ms), offset(*offset_ms))
        }
        WindowKind::Session { gap_ms, .. } => {
            let keys = f.partition_keys.join(", ");
            let partition = if keys.is_empty() { String::new() } else { format!(" PARTITION BY({keys})") };
            format!("SESSION(TABLE(#0){partition}, {time}, {})", ms(*gap_ms))
        }
    }
}

fn logical_aggregate(a: &Aggregate, input: &LogicalPlan) -> String {
    let index = |name: &String| {
        input.schema().index_of_column_by_name(None, name).map_or_else(|| name.clone(), |i| i.to_string())
    };
    let group: Vec<String> = a.group.iter().map(index).collect();
    let mut parts = vec![format!("group=[{{{}}}]", group.join(", "))];
    if let Some(sets) = &a.sets {
        let sets: Vec<String> = sets
            .iter()
            .map(|s| format!("{{{}}}", s.iter().map(|i| group[*i].clone()).collect::<Vec<_>>().join(", ")))
            .collect();
        parts.push(format!("groups=[[{}]]", sets.join(", ")));
    }
    for c in &a.calls {
        let args: Vec<String> = c.arguments.iter().map(|x| format!("${}", index(x))).collect();
        let distinct = if c.distinct { "DISTINCT " } else { "" };
        let filter = c.filter.as_ref().map(|f| format!(" FILTER ${}", index(f))).unwrap_or_default();
        parts.push(format!("{}=[{}({distinct}{}){filter}]", c.name, c.kind, args.join(", ")));
    }
    format!("LogicalAggregate({})", parts.join(", "))
}
