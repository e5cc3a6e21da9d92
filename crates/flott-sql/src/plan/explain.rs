//! EXPLAIN: the three sections and the node names that Flink prints.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use datafusion_common::DFSchema;
use datafusion_expr::Expr;
use flott_core::time_text::format_duration;
use flott_core::types::TimeAttribute;
use flott_graph::{
    AggregateCall, GroupAggregateSpec, SplitLevel, WindowAggregateSpec, WindowAssignment, WindowKind, WindowProperty,
};

use super::advice::Advice;
use super::explain_logical::Ast;
use super::explain_rank;
use super::explain_two_phase;
use super::stream::{Calc, Distribution, StreamInput, StreamNode, StreamOp};
use super::text::{Style, expression};
use crate::bind::join::{conjuncts, together};
use crate::bind::window::unaliased;

/// The three sections.
pub(super) fn sections(asts: &[Ast], roots: &[Arc<StreamNode>], changelog: bool, advice: Option<&Advice>) -> String {
    let mut out = String::from("== Abstract Syntax Tree ==\n");
    for (i, ast) in asts.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        ast.print(&mut out);
    }
    out.push_str(match advice {
        Some(_) => "\n== Optimized Physical Plan With Advice ==\n",
        None => "\n== Optimized Physical Plan ==\n",
    });
    trees(roots, &mut Printing { style: Style::Prefix, changelog, advice, reuse: None }, &mut out);
    if let Some(advice) = advice {
        out.push('\n');
        out.push_str(&advice.text());
    }
    out.push_str("\n== Optimized Execution Plan ==\n");
    let reuse = Reuse::of(roots);
    trees(roots, &mut Printing { style: Style::Infix, changelog: false, advice: None, reuse: Some(reuse) }, &mut out);
    out
}

fn trees(roots: &[Arc<StreamNode>], how: &mut Printing<'_>, out: &mut String) {
    for (i, root) in roots.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        let mut lines = vec![];
        stream(root, 0, how, &mut lines);
        tree(&lines, out);
    }
}

/// How stream nodes are printed.
struct Printing<'a> {
    style: Style,
    changelog: bool,
    advice: Option<&'a Advice>,
    reuse: Option<Reuse>,
}

/// Nodes that are read more than once: printed where they come first, and named afterwards.
struct Reuse {
    /// How often each node is read, by what makes two nodes one in the job graph.
    reads: HashMap<String, usize>,
    /// The numbers of those that were printed.
    printed: HashMap<String, usize>,
}

impl Reuse {
    fn of(roots: &[Arc<StreamNode>]) -> Reuse {
        let mut reuse = Reuse { reads: HashMap::new(), printed: HashMap::new() };
        roots.iter().for_each(|r| reuse.count(r));
        reuse
    }

    fn count(&mut self, node: &Arc<StreamNode>) {
        let reads = self.reads.entry(identity(node)).or_default();
        *reads += 1;
        // What is below a reused node is not printed again.
        if *reads == 1 {
            node.inputs.iter().filter(|i| i.port == 0).for_each(|i| self.count(&i.node));
        }
    }
}

fn identity(node: &Arc<StreamNode>) -> String {
    match &node.op {
        StreamOp::Scan(scan) => scan.key.clone(),
        // One over each scan of a source.
        StreamOp::MiniBatchAssigner(_) => format!("mini-batch {}", node.input().map(identity).unwrap_or_default()),
        _ => format!("{:p}", Arc::as_ptr(node)),
    }
}

/// Lines with their depth as a tree of `+-` and `:-`.
pub(super) fn tree(lines: &[(usize, String)], out: &mut String) {
    for (i, (depth, line)) in lines.iter().enumerate() {
        let mut prefix = String::new();
        for level in 1..=*depth {
            // Whether a later sibling stands at this level.
            let more = lines[i + 1..].iter().take_while(|(d, _)| *d >= level).any(|(d, _)| *d == level);
            prefix.push_str(match (level == *depth, more) {
                (true, true) => ":- ",
                (true, false) => "+- ",
                (false, true) => ":  ",
                (false, false) => "   ",
            });
        }
        let written = writeln!(out, "{prefix}{line}");
        debug_assert!(written.is_ok());
    }
}

pub(super) fn names(schema: &DFSchema) -> String {
    schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ")
}

/// Columns with their types as Calcite prints them: `VARCHAR(2147483647) op, INTEGER id`.
pub(super) fn record_type(schema: &DFSchema) -> String {
    let fields = schema.fields().iter().map(|f| {
        let t = flott_core::types::from_arrow_field(f).map(|t| super::text::type_name(&t));
        format!("{} {}", t.unwrap_or_default(), f.name())
    });
    fields.collect::<Vec<String>>().join(", ")
}

pub(super) fn row_type(schema: &DFSchema) -> String {
    let fields: Vec<String> = schema
        .fields()
        .iter()
        .map(|f| {
            let t = flott_core::types::from_arrow_field(f).map(|t| t.with_nullable(true).to_string());
            format!("{} {}", t.unwrap_or_default(), f.name())
        })
        .collect();
    fields.join(", ")
}

pub(super) fn path(i: &flott_connector::table::ObjectIdentifier) -> String {
    format!("{}, {}, {}", i.catalog, i.database, i.object)
}

fn stream(node: &Arc<StreamNode>, depth: usize, how: &mut Printing<'_>, lines: &mut Vec<(usize, String)>) {
    if let Some(input) = renamed(node) {
        return stream(input, depth, how, lines);
    }
    if let Some(calc) = without_partition_conditions(node) {
        return stream(&calc, depth, how, lines);
    }
    let mut text = text(node, how.style);
    if let StreamOp::Scan(scan) = &node.op
        && !scan.partition_conditions.is_empty()
        && let Ok(Some(partitions)) = scan.source.source.partitions()
    {
        let table = path(&scan.table.identifier);
        text = text.replacen(&table, &format!("{table}, partitions=[{}]", partitions.join(", ")), 1);
    }
    let mut attributes = vec![];
    if how.changelog {
        let mode = match &node.op {
            StreamOp::Sink(_) => "NONE".to_string(),
            _ if node.deletes_by_key => node.changelog.to_string().replace('D', "PD"),
            _ => node.changelog.to_string(),
        };
        attributes.push(format!("changelogMode=[{mode}]"));
    }
    attributes.extend(how.advice.and_then(|a| a.mark(node)));
    for attribute in attributes {
        text.truncate(text.len() - 1);
        let comma = if text.ends_with('(') { "" } else { ", " };
        text = format!("{text}{comma}{attribute})");
    }
    if let Some(reuse) = &mut how.reuse {
        let identity = identity(node);
        if let Some(number) = reuse.printed.get(&identity) {
            lines.push((depth, format!("Reused(reference_id=[{number}])")));
            return;
        }
        if reuse.reads.get(&identity).is_some_and(|reads| *reads > 1) {
            let number = reuse.printed.len() + 1;
            reuse.printed.insert(identity, number);
            text += &format!("(reuse_id=[{number}])");
        }
    }
    lines.push((depth, text));
    for StreamInput { node: input, port } in &node.inputs {
        if *port == 1 {
            lines.push((depth + 1, format!("{}(of=[{}])", side_name(input), self::text(input, how.style))));
        } else {
            stream(input, depth + 1, how, lines);
        }
    }
}

/// What stands below a Calc that only gives other names: it does nothing that a reader of plans wants to see.
fn renamed(node: &StreamNode) -> Option<&Arc<StreamNode>> {
    let (StreamOp::Calc(calc), Some(input)) = (&node.op, node.input()) else { return None };
    (node.inputs[0].port == 0 && calc.is_renaming(&input.schema)).then_some(input)
}

/// The columns of a node under the names that are shown.
fn shown_schema(node: &StreamNode) -> &DFSchema {
    renamed(node).map_or(node.schema.as_ref(), |input| shown_schema(input))
}

/// What leaves a node by its second port.
pub(super) fn side_name(node: &StreamNode) -> &'static str {
    if matches!(node.op, StreamOp::Scan(_)) { "InvalidRecords" } else { "LateRecords" }
}

/// A node as the execution plan prints it.
pub(super) fn describe(node: &StreamNode) -> String {
    text(node, Style::Infix)
}

/// The name of a sink's table.
pub(super) fn sink_name(node: &StreamNode) -> String {
    match &node.op {
        StreamOp::Sink(s) => s.shown.clone(),
        _ => node.kind().to_string(),
    }
}

/// A Calc over a source that leaves partitions out, without the conditions on them: as in Flink, they are the source's.
fn without_partition_conditions(node: &Arc<StreamNode>) -> Option<Arc<StreamNode>> {
    let (StreamOp::Calc(Calc { projection, filter: Some(filter) }), Some(input)) = (&node.op, node.input()) else {
        return None;
    };
    let StreamOp::Scan(scan) = &input.op else { return None };
    if scan.partition_conditions.is_empty() || !matches!(scan.source.source.partitions(), Ok(Some(_))) {
        return None;
    }
    let conditions = conjuncts(filter);
    let rest: Vec<Expr> = conditions.iter().filter(|c| !scan.partition_conditions.contains(c)).cloned().collect();
    if rest.len() == conditions.len() {
        return None;
    }
    let calc = Calc { projection: projection.clone(), filter: together(rest) };
    Some(StreamNode::new(StreamOp::Calc(calc), node.inputs.clone(), node.schema.clone(), node.changelog))
}

fn text(node: &StreamNode, style: Style) -> String {
    let kind = node.kind();
    let input = node.inputs.first().map(|i| match i.port {
        0 => &i.node.schema,
        _ => i.node.inputs.first().map_or(&i.node.schema, |below| &below.node.schema),
    });
    match &node.op {
        StreamOp::Scan(scan) => {
            let mut table = path(&scan.table.identifier);
            if scan.pruned {
                let metadata = |i: &usize| {
                    let name = scan.table.schema.field(*i).name();
                    scan.table.table.schema.column(name).and_then(|c| c.metadata_key()).map(str::to_string)
                };
                let physical: Vec<&str> = scan
                    .columns
                    .iter()
                    .filter(|i| metadata(i).is_none())
                    .map(|i| scan.table.schema.field(*i).name().as_str())
                    .collect();
                let keys: Vec<String> = scan.columns.iter().filter_map(metadata).collect();
                let written = write!(table, ", project=[{}], metadata=[{}]", physical.join(", "), keys.join(", "));
                debug_assert!(written.is_ok());
            }
            if let Some(w) = &scan.watermark {
                let watermark = match &w.watermark {
                    Some(e) => expression(e, &node.schema, Style::Prefix),
                    None => "SOURCE_WATERMARK()".to_string(),
                };
                let written = write!(table, ", watermark=[{watermark}]");
                debug_assert!(written.is_ok());
            }
            format!("{kind}(table=[[{table}]], fields=[{}])", names(&node.schema))
        }
        StreamOp::Values { shown, .. } => format!("{kind}(tuples=[{shown}])"),
        StreamOp::Calc(calc) => {
            let Some(input) = input else { return kind.to_string() };
            let select: Vec<String> = calc
                .projection
                .iter()
                .zip(node.schema.fields())
                .map(|(e, f)| match unaliased(e) {
                    Expr::Column(c) if c.name == *f.name() => f.name().clone(),
                    e => format!("{} AS {}", expression(e, input, style), f.name()),
                })
                .collect();
            let mut text = format!("{kind}(select=[{}]", select.join(", "));
            if let Some(filter) = &calc.filter {
                let condition = expression(filter, input, style);
                // Flink puts the condition into brackets once.
                let written = write!(text, ", where=[{condition}]");
                debug_assert!(written.is_ok());
            }
            text + ")"
        }
        StreamOp::Union => format!("{kind}(all=[true], union=[{}])", names(&node.schema)),
        StreamOp::Join(join) => join.text(node, style),
        StreamOp::LookupJoin(join) => join.text(kind, node, style),
        StreamOp::Unnest(op) => super::join::explain::unnest(op, node),
        StreamOp::ChangelogFunction(op) => op.text(kind, node),
        StreamOp::Expand(spec) => {
            let Some(input) = input else { return kind.to_string() };
            let rows: Vec<String> = spec
                .projections
                .iter()
                .zip(&spec.expand_ids)
                .map(|(columns, id)| {
                    let mut cells: Vec<String> = columns
                        .iter()
                        .zip(node.schema.fields())
                        .map(|(c, f)| match c {
                            Some(i) => input.field(*i).name().clone(),
                            None => format!("null AS {}", f.name()),
                        })
                        .collect();
                    cells.push(format!("{id} AS $e"));
                    format!("{{{}}}", cells.join(", "))
                })
                .collect();
            format!("{kind}(projects=[{}])", rows.join(", "))
        }
        StreamOp::WindowTableFunction(spec) => {
            let Some(input) = input else { return kind.to_string() };
            format!("{kind}(window=[{}])", window(&spec.assignment, input.as_arrow()))
        }
        StreamOp::LocalWindowAggregate(spec) => aggregate(kind, spec, Phase::Local, node),
        StreamOp::GlobalWindowAggregate(spec) => aggregate(kind, spec, Phase::Global, node),
        StreamOp::WindowAggregate(spec) => aggregate(kind, spec, Phase::Single, node),
        StreamOp::GroupAggregate(spec) => group_aggregate(kind, spec, node),
        StreamOp::MiniBatchAssigner(spec) => {
            let mode = if spec.event_time { "RowTime" } else { "ProcTime" };
            format!("{kind}(interval=[{}ms], mode=[{mode}])", spec.interval.as_millis())
        }
        StreamOp::LocalGroupAggregate(spec) => explain_two_phase::local(kind, spec),
        StreamOp::GlobalGroupAggregate(spec) => explain_two_phase::global(kind, spec, node),
        StreamOp::IncrementalGroupAggregate(spec) => explain_two_phase::incremental(kind, spec),
        StreamOp::ChangelogNormalize(normalize) => {
            let Some(input) = input else { return kind.to_string() };
            let key: Vec<&str> = normalize.key.iter().map(|k| input.field(*k).name().as_str()).collect();
            let condition = normalize.filter.as_ref().map(|f| format!(", condition=[{}]", expression(f, input, style)));
            format!("{kind}(key=[{}]{})", key.join(", "), condition.unwrap_or_default())
        }
        StreamOp::DropUpdateBefore => format!("{kind}()"),
        StreamOp::Rank(rank) => explain_rank::rank(kind, rank, node),
        StreamOp::Deduplicate(spec) => explain_rank::deduplicate(kind, spec, node, style),
        StreamOp::WindowRank(rank) => {
            let of = rank.window.as_ref().map(|w| window(w, &rank.spec.input_schema));
            explain_rank::window_rank(kind, rank, of, node)
        }
        StreamOp::OverAggregate(spec) => super::explain_over::over_aggregate(kind, spec, node),
        StreamOp::Sort(spec) => explain_rank::sort(kind, spec),
        StreamOp::TemporalSort(spec) => explain_rank::temporal_sort(kind, spec),
        StreamOp::Match(matching) => matching.text(kind, node, style),
        StreamOp::Exchange(Distribution::Single) => format!("{kind}(distribution=[single])"),
        StreamOp::Exchange(Distribution::Hash(keys)) => {
            let below = node.input().map_or(node.schema.as_ref(), |input| shown_schema(input));
            let keys: Vec<&str> = keys.iter().map(|k| below.field(*k).name().as_str()).collect();
            format!("{kind}(distribution=[hash[{}]])", keys.join(", "))
        }
        StreamOp::Sink(sink) => {
            let fields: Vec<&str> = if sink.columns.is_empty() {
                node.schema.fields().iter().map(|f| f.name().as_str()).collect()
            } else {
                sink.columns.iter().map(|c| c.name.as_str()).collect()
            };
            let materialize = if sink.materialize.is_some() { ", upsertMaterialize=[true]" } else { "" };
            let conflict = sink.conflict.map(|c| format!(", conflictStrategy=[{}]", c.name())).unwrap_or_default();
            format!("{kind}(table=[{}], fields=[{}]{materialize}{conflict})", sink.shown, fields.join(", "))
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Local,
    Global,
    Single,
}

fn aggregate(kind: &str, spec: &WindowAggregateSpec, phase: Phase, node: &StreamNode) -> String {
    let column = |i: usize| spec.input_schema.field(i).name().clone();
    let keys: Vec<String> = spec.group_keys.iter().map(|k| column(*k)).collect();
    let mut select = keys.clone();
    for (i, call) in spec.aggregates.iter().enumerate() {
        let output = node.schema.fields().get(spec.group_keys.len() + i).map_or(&call.name, |f| f.name());
        select.push(match phase {
            Phase::Local => format!("{} AS {}", call_text(call, spec), partial_name(call, i)),
            Phase::Global => format!("{}({}) AS {output}", call.kind, partial_name(call, i)),
            Phase::Single => format!("{} AS {output}", call_text(call, spec)),
        });
    }
    if phase == Phase::Local {
        select.push("slice_end('w$) AS $slice_end".into());
    } else {
        let first = spec.group_keys.len() + spec.aggregates.len();
        for (i, property) in spec.properties.iter().enumerate() {
            let name = node.schema.fields().get(first + i).map_or("", |f| f.name());
            select.push(match property {
                WindowProperty::Start => format!("start('w$) AS {name}"),
                WindowProperty::End => format!("end('w$) AS {name}"),
                WindowProperty::Time => format!("rowtime('w$) AS {name}"),
            });
        }
    }
    let window = if phase == Phase::Global {
        let (name, lengths) = lengths(kind_of(&spec.assignment));
        format!("{name}(slice_end=[$slice_end], {lengths})")
    } else {
        window(&spec.assignment, &spec.input_schema)
    };
    let group = if keys.is_empty() { String::new() } else { format!("groupBy=[{}], ", keys.join(", ")) };
    let mut emit = vec![];
    let every = |d: std::time::Duration| {
        if d.is_zero() { "no delay".to_string() } else { format!("delay {}", format_duration(d)) }
    };
    if let Some(d) = spec.emit.early_fire {
        emit.push(format!("early {}", every(d)));
    }
    if let Some(d) = spec.emit.late_fire {
        emit.push(format!("late {}", every(d)));
    }
    if !spec.emit.allow_lateness.is_zero() {
        emit.push(format!("lateness {}", format_duration(spec.emit.allow_lateness)));
    }
    let emit = if emit.is_empty() { String::new() } else { format!(", emit=[{}]", emit.join(", ")) };
    if let (true, WindowAssignment::TimeColumn { column: time, attribute, kind, .. }) =
        (spec.in_group_by, &spec.assignment)
    {
        let time = column(*time);
        let window = match kind {
            WindowKind::Hop { size_ms, slide_ms, .. } => {
                format!("SlidingGroupWindow('w$, {time}, {size_ms}, {slide_ms})")
            }
            WindowKind::Session { gap_ms, .. } => format!("SessionGroupWindow('w$, {time}, {gap_ms})"),
            WindowKind::Tumble { size_ms: size, .. } | WindowKind::Cumulate { max_size_ms: size, .. } => {
                format!("TumblingGroupWindow('w$, {time}, {size})")
            }
        };
        // Flink names all that a window has, whatever is read of it.
        let rowtime = if *attribute == TimeAttribute::Proctime { "" } else { "w$rowtime, " };
        select.push("proctime('w$) AS w$proctime".into());
        let properties = format!("w$start, w$end, {rowtime}w$proctime");
        let select = select.join(", ");
        return format!(
            "GroupWindowAggregate({group}window=[{window}], properties=[{properties}], select=[{select}]{emit})"
        );
    }
    format!("{kind}({group}window=[{window}], select=[{}]{emit})", select.join(", "))
}

/// `GroupAggregate(groupBy=[a], select=[a, COUNT(*) AS EXPR$1])`
fn group_aggregate(kind: &str, spec: &GroupAggregateSpec, node: &StreamNode) -> String {
    let keys: Vec<String> = spec.group_keys.iter().map(|k| spec.input_schema.field(*k).name().clone()).collect();
    let mut select = keys.clone();
    for (i, call) in spec.aggregates.iter().enumerate() {
        let output = node.schema.fields().get(keys.len() + i).map_or(&call.name, |f| f.name());
        let suffix = if spec.retracts && !spec.only_grows(call) { "_RETRACT" } else { "" };
        select.push(format!("{} AS {output}", call_with(call, suffix, &spec.input_schema)));
    }
    let group = if keys.is_empty() { String::new() } else { format!("groupBy=[{}], ", keys.join(", ")) };
    let level = level(spec);
    format!("{kind}({group}{level}select=[{}])", select.join(", "))
}

/// Which of two levels it is.
pub(super) fn level(spec: &GroupAggregateSpec) -> &'static str {
    match spec.level {
        SplitLevel::None => "",
        SplitLevel::Partial => "partialFinalType=[PARTIAL], ",
        SplitLevel::Final { .. } | SplitLevel::Incremental => "partialFinalType=[FINAL], ",
    }
}

fn call_text(call: &AggregateCall, spec: &WindowAggregateSpec) -> String {
    call_with(call, "", &spec.input_schema)
}

fn call_with(call: &AggregateCall, suffix: &str, input: &arrow_schema::Schema) -> String {
    let column = |i: &usize| input.field(*i).name().clone();
    let arguments = match call.arguments.is_empty() {
        false => call.arguments.iter().map(column).collect::<Vec<_>>().join(", "),
        true => "*".to_string(),
    };
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let filter = call.filter.as_ref().map(|f| format!(" FILTER {}", column(f))).unwrap_or_default();
    format!("{}{suffix}({distinct}{arguments}){filter}", call.kind)
}

fn partial_name(call: &AggregateCall, i: usize) -> String {
    match call.arguments.is_empty() {
        true => format!("count1${i}"),
        false => format!("{}${i}", call.kind.name().trim_start_matches('$').to_lowercase()),
    }
}

fn kind_of(assignment: &WindowAssignment) -> &WindowKind {
    match assignment {
        WindowAssignment::TimeColumn { kind, .. } | WindowAssignment::Attached { kind, .. } => kind,
    }
}

/// A window in an id: `TUMBLE(size=[10 min])`.
pub(super) fn window_kind_of(assignment: &WindowAssignment) -> String {
    let (name, lengths) = lengths(kind_of(assignment));
    format!("{name}({lengths})")
}

pub(super) fn lengths(kind: &WindowKind) -> (&'static str, String) {
    let d = |ms: i64| format_duration(std::time::Duration::from_millis(ms.unsigned_abs()));
    let offset = |ms: i64| match ms {
        0 => String::new(),
        ms if ms < 0 => format!(", offset=[-{}]", d(ms)),
        ms => format!(", offset=[{}]", d(ms)),
    };
    match kind {
        WindowKind::Tumble { size_ms, offset_ms } => {
            ("TUMBLE", format!("size=[{}]{}", d(*size_ms), offset(*offset_ms)))
        }
        WindowKind::Hop { size_ms, slide_ms, offset_ms } => {
            ("HOP", format!("size=[{}], slide=[{}]{}", d(*size_ms), d(*slide_ms), offset(*offset_ms)))
        }
        WindowKind::Cumulate { max_size_ms, step_ms, offset_ms } => {
            ("CUMULATE", format!("max_size=[{}], step=[{}]{}", d(*max_size_ms), d(*step_ms), offset(*offset_ms)))
        }
        WindowKind::Session { gap_ms, .. } => ("SESSION", format!("gap=[{}]", d(*gap_ms))),
    }
}

/// `TUMBLE(time_col=[ts], size=[10 min])`
fn window(assignment: &WindowAssignment, input: &arrow_schema::Schema) -> String {
    let name = |i: usize| input.fields().get(i).map_or("?", |f| f.name());
    let (function, lengths) = lengths(kind_of(assignment));
    match assignment {
        WindowAssignment::TimeColumn { column, kind, .. } => {
            let partition = match kind {
                WindowKind::Session { partition_keys, .. } if !partition_keys.is_empty() => {
                    let keys: Vec<&str> = partition_keys.iter().map(|k| name(*k)).collect();
                    format!(", partition keys=[{}]", keys.join(", "))
                }
                _ => String::new(),
            };
            format!("{function}(time_col=[{}], {lengths}{partition})", name(*column))
        }
        WindowAssignment::Attached { start, end, .. } => match start {
            Some(start) => {
                format!("{function}(win_start=[{}], win_end=[{}], {lengths})", name(*start), name(*end))
            }
            None => format!("{function}(win_end=[{}], {lengths})", name(*end)),
        },
    }
}
