//! `EXPLAIN WATERMARK`: where event time comes from, how far it lags, where it is lost, and when windows fire.
//!
//! Under each operator of the plan stand the lines that matter to event time. Two facts of the runtime are behind them:
//! a watermark says that no row at or before it follows, so a window is over at its last millisecond, `window_end - 1 ms`;
//! and an operator has the smallest watermark of all subtasks that it reads.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::Expr;
use flott_connector::watermark_options::WatermarkOptions;
use flott_core::options::Options;
use flott_core::time_text::format_duration;
use flott_core::types::{TimeAttribute, from_arrow_field};
use flott_core::{LogicalType, Result};
use flott_graph::{EmitStrategy, WindowAggregateSpec, WindowAssignment, WindowKind};

use super::explain::{describe, window_kind_of};
use super::options;
use super::stream::{Calc, Scan, ScanWatermark, StreamNode, StreamOp};
use super::text::{Style, expression};
use super::window::LATE_PREFIX;
use crate::bind::is_batch;
use crate::bind::window::unaliased;

/// The text for the sinks (or the query's root) of a job.
pub(super) fn explained(roots: &[Arc<StreamNode>], config: &Options) -> Result<String> {
    let mut out = String::from("== Watermarks ==\n");
    if is_batch(config) {
        out.push_str(
            "Batch: there are no watermarks. Every row is read before the first window ends, so none is late.\n",
        );
        return Ok(out);
    }
    let mut printer = Printer {
        out,
        idle_timeout: options::idle_timeout(config)?,
        late: options::late_records_table(config),
        seen: HashSet::new(),
    };
    for (i, root) in roots.iter().enumerate() {
        if i > 0 {
            printer.out.push('\n');
        }
        printer.node(root, "", "", "");
    }
    Ok(printer.out)
}

struct Printer {
    out: String,
    idle_timeout: Option<Duration>,
    late: Option<String>,
    /// Sources that were shown.
    seen: HashSet<String>,
}

/// A source of event time below an operator.
#[derive(Debug, Clone, PartialEq)]
struct Origin {
    table: String,
    rowtime: String,
    /// By how much the watermark is behind the rowtime; `None` where the expression does not say.
    delay_ms: Option<i64>,
}

impl Printer {
    fn line(&mut self, text: &str) {
        let written = writeln!(self.out, "{}", text.trim_end());
        debug_assert!(written.is_ok());
    }

    /// `branch` stands before the operator, `prefix` before what belongs to it.
    fn node(&mut self, node: &Arc<StreamNode>, before: &str, branch: &str, prefix: &str) {
        self.line(&format!("{before}{branch}{}", title(node)));
        let again = matches!(&node.op, StreamOp::Scan(scan) if !self.seen.insert(scan.key.clone()));
        let details = if again { vec!["the same source as above".to_string()] } else { self.details(node) };
        let bar = if node.inputs.is_empty() { "   " } else { "|  " };
        for detail in details {
            self.line(&format!("{prefix}{bar}{detail}"));
        }
        for (i, input) in node.inputs.iter().enumerate() {
            let last = i + 1 == node.inputs.len();
            let (branch, next) = if last { ("+- ", "   ") } else { (":- ", ":  ") };
            if input.port == 1 {
                let name = super::explain::side_name(&input.node);
                let what = match name {
                    "LateRecords" => "rows that came too late for all their windows, as soon as they come",
                    _ => "records that cannot be read, as soon as they come",
                };
                self.line(&format!("{prefix}{branch}{name}(of=[{}])", title(&input.node)));
                self.line(&format!("{prefix}{next}   {what}"));
                continue;
            }
            self.node(&input.node, prefix, branch, &format!("{prefix}{next}"));
        }
    }

    fn details(&self, node: &Arc<StreamNode>) -> Vec<String> {
        match &node.op {
            StreamOp::Scan(scan) => self.of_scan(scan, node),
            StreamOp::Values { .. } => vec!["watermark: none before the end of its rows, then the end of time".into()],
            StreamOp::Calc(calc) => of_calc(calc, node),
            StreamOp::Union => of_union(node),
            StreamOp::Join(join) => vec![join.about_time()],
            StreamOp::LookupJoin(_) => vec!["watermarks wait for the lookups of the rows before them".into()],
            StreamOp::Unnest(_)
            | StreamOp::ChangelogFunction(_)
            | StreamOp::Expand(_)
            | StreamOp::ChangelogNormalize(_)
            | StreamOp::DropUpdateBefore => vec![],
            StreamOp::GroupAggregate(_) | StreamOp::GlobalGroupAggregate(_) => {
                vec!["event time ends here: its groups are no windows; watermarks pass through".into()]
            }
            StreamOp::LocalGroupAggregate(_) | StreamOp::IncrementalGroupAggregate(_) => {
                vec!["hands partial results on whenever the watermark moves".into()]
            }
            StreamOp::MiniBatchAssigner(spec) => vec![match spec.event_time {
                true => format!("watermark: one for each mini-batch of {}", format_duration(spec.interval)),
                false => "watermark: none before the end of time: nothing behind it asks for one".into(),
            }],
            StreamOp::Rank(_) | StreamOp::Deduplicate(_) | StreamOp::Sort(_) => vec![],
            StreamOp::OverAggregate(spec) => super::over::watermark(spec),
            StreamOp::WindowRank(_) => vec!["rows leave when the watermark passes the end of their window".into()],
            StreamOp::Match(_) => vec!["rows are matched when the watermark passes their time".into()],
            StreamOp::TemporalSort(_) => vec!["rows leave when the watermark passes their time".into()],
            StreamOp::WindowTableFunction(spec) => of_table_function(&spec.assignment, node),
            StreamOp::LocalWindowAggregate(spec) => match attribute(&spec.assignment) {
                TimeAttribute::Rowtime => {
                    vec!["hands partial results on whenever the watermark moves; fires nothing".into()]
                }
                _ => vec![],
            },
            StreamOp::GlobalWindowAggregate(spec) | StreamOp::WindowAggregate(spec) => self.of_aggregate(spec, node),
            StreamOp::Exchange(_) => match origins(node).is_empty() {
                true => vec![],
                false => vec!["watermark: the smallest of all subtasks that it reads".into()],
            },
            StreamOp::Sink(_) => of_sink(node),
        }
    }

    fn of_scan(&self, scan: &Scan, node: &StreamNode) -> Vec<String> {
        let Some(watermark) = &scan.watermark else {
            return vec![format!(
                "watermark: none: table '{}' declares none (WATERMARK FOR ts AS ts - INTERVAL '5' SECOND), so no \
                 event-time window can read it",
                scan.table.identifier.object
            )];
        };
        let origin = origin(scan, watermark);
        // As it was declared, which is how its owner knows it.
        let declared = scan.table.table.schema.watermark.as_ref().map(|w| w.expression.trim());
        let shown = match (&watermark.watermark, declared) {
            (None, _) => "given by the source itself (SOURCE_WATERMARK())".to_string(),
            (Some(_), Some(text)) => text.to_string(),
            (Some(e), None) => expression(e, &node.schema, Style::Infix),
        };
        let lag = match origin.delay_ms {
            Some(0) => format!(": the greatest {} of each split so far", origin.rowtime),
            Some(ms) if ms > 0 => format!(": {} behind the greatest {} of each split so far", text(ms), origin.rowtime),
            _ => String::new(),
        };
        let mut lines = vec![format!("rowtime: {}", origin.rowtime), format!("watermark: {shown}{lag}")];
        // The table's own option (scan.watermark.idle-timeout) comes first; planning has refused a wrong one.
        let own = WatermarkOptions::read(&scan.table.table.options).ok();
        lines.push(match own.as_ref().and_then(|o| o.idle_timeout).or(self.idle_timeout).filter(|d| !d.is_zero()) {
            Some(d) => format!(
                "idle-timeout: {}: a split without a row for so long holds nobody back until it has one again",
                format_duration(d)
            ),
            None => "idle-timeout: none: a split without rows holds back every window that reads this source \
                     (SET 'table.exec.source.idle-timeout' = '30 s')"
                .into(),
        });
        if let Some(alignment) = own.and_then(|o| o.alignment) {
            lines.push(format!(
                "alignment: group '{}': a split that is more than {} ahead of the slowest of the group is not read until that has come closer",
                alignment.group,
                format_duration(alignment.max_drift)
            ));
        }
        lines
    }

    fn of_aggregate(&self, spec: &WindowAggregateSpec, node: &StreamNode) -> Vec<String> {
        let mut lines = vec![];
        if attribute(&spec.assignment) == TimeAttribute::Proctime {
            lines.push("watermark: not used: the windows are over processing time".into());
            lines.push("fires: each window when the clock of the machine reaches window_end; no row is late".into());
            lines.extend(of_emit(&spec.emit));
            return lines;
        }
        let origins = origins(node);
        lines.push(format!("watermark: {}", names_of(&origins)));
        lines.extend(fires(&spec.assignment, &origins));
        lines.extend(of_emit(&spec.emit));
        let late = match (&self.late, spec.emit.allow_lateness.is_zero()) {
            (Some(table), _) if spec.late_output => format!("go to table '{table}'"),
            (_, false) => "are dropped after the allowed lateness".to_string(),
            _ => "are dropped and counted (SET 'table.exec.late-records.table' = '..' keeps them)".to_string(),
        };
        lines.push(format!("late: rows whose windows have all fired {late}"));
        lines.push(match rowtimes(&node.schema).as_slice() {
            [] => {
                "event time ends here: group by window_time too, and select it, to make windows over the result".into()
            }
            names => format!("event time goes on as {}; watermarks pass through", names.join(", ")),
        });
        lines
    }
}

fn attribute(assignment: &WindowAssignment) -> TimeAttribute {
    match assignment {
        WindowAssignment::TimeColumn { attribute, .. } | WindowAssignment::Attached { attribute, .. } => *attribute,
    }
}

/// When windows fire: what the watermark must reach, and which row of which source takes it there.
fn fires(assignment: &WindowAssignment, origins: &[Origin]) -> Vec<String> {
    let (kind, zone) = match assignment {
        WindowAssignment::TimeColumn { kind, time_zone, .. } | WindowAssignment::Attached { kind, time_zone, .. } => {
            (kind, time_zone)
        }
    };
    let (each, end, step_ms) = match kind {
        WindowKind::Tumble { size_ms, offset_ms } => {
            (format!("each window of {}", text(*size_ms)), "window_end", Some((*size_ms, *offset_ms)))
        }
        WindowKind::Hop { size_ms, slide_ms, offset_ms } => (
            format!("each window of {}, one every {}", text(*size_ms), text(*slide_ms)),
            "window_end",
            Some((*slide_ms, *offset_ms)),
        ),
        WindowKind::Cumulate { max_size_ms, step_ms, offset_ms } => (
            format!("each window, every {} up to {}", text(*step_ms), text(*max_size_ms)),
            "window_end",
            Some((*step_ms, *offset_ms)),
        ),
        WindowKind::Session { gap_ms, .. } => (
            format!("each session, {} after its last row", text(*gap_ms)),
            "window_end (its last row's time + the gap)",
            None,
        ),
    };
    let zoned = zone.as_ref().filter(|z| *z != "UTC").map(|z| format!(", a time of {z}")).unwrap_or_default();
    let mut lines = vec![format!("fires: {each}, when the watermark reaches {end} - 1 ms{zoned}")];
    let mut all_known = true;
    for origin in origins {
        let Origin { table, rowtime, delay_ms } = origin;
        match delay_ms {
            Some(0) => {
                lines.push(format!("  that is when `{table}` has given a row with {rowtime} >= window_end - 1 ms"))
            }
            Some(ms) if *ms > 0 => lines.push(format!(
                "  that is when `{table}` has given a row with {rowtime} >= window_end + {} - 1 ms",
                text(*ms)
            )),
            _ => {
                all_known = false;
                lines.push(format!("  that is when the watermark of `{table}` is there"));
            }
        }
    }
    if origins.len() > 1 {
        lines.push("  all of them: the slowest source holds the others back".into());
    } else {
        lines.push("  from every split that is not idle, or when all sources have ended".into());
    }
    /// Windows that divide half a day end at noon.
    const NOON_MS: i64 = 12 * 3_600_000;
    if let ([origin], Some((step, 0)), true) = (origins, step_ms, all_known)
        && NOON_MS % step == 0
        && let Some(delay) = origin.delay_ms
    {
        lines.push(format!(
            "  for instance the window that ends at 12:00:00 fires with the first row at or after {}",
            clock(NOON_MS + delay - 1)
        ));
    }
    lines
}

/// `12:00:04.999`
fn clock(ms: i64) -> String {
    let (s, ms) = (ms.div_euclid(1_000), ms.rem_euclid(1_000));
    format!(
        "{:02}:{:02}:{:02}.{ms:03}",
        s.div_euclid(3_600).rem_euclid(24),
        s.div_euclid(60).rem_euclid(60),
        s.rem_euclid(60)
    )
}

fn of_emit(emit: &EmitStrategy) -> Vec<String> {
    let every = |d: Duration| match d.is_zero() {
        true => "at every change".to_string(),
        false => format!("every {}", format_duration(d)),
    };
    let mut lines = vec![];
    if let Some(d) = emit.early_fire {
        lines.push(format!("fires early: {} of processing time before the window's end, as updates", every(d)));
    }
    if !emit.allow_lateness.is_zero() {
        lines.push(format!("allowed lateness: {} after window_end", format_duration(emit.allow_lateness)));
    }
    if let Some(d) = emit.late_fire {
        lines.push(format!("fires late: {}, as updates", every(d)));
    }
    lines
}

fn of_table_function(assignment: &WindowAssignment, node: &StreamNode) -> Vec<String> {
    let session = matches!(assignment, WindowAssignment::TimeColumn { kind: WindowKind::Session { .. }, .. });
    if attribute(assignment) == TimeAttribute::Proctime {
        return vec!["watermark: not used: the windows are over processing time".into()];
    }
    if session {
        let mut lines = vec!["rows wait for the end of their session".to_string()];
        lines.extend(fires(assignment, &origins(node)));
        return lines;
    }
    vec!["fires nothing: rows go on at once with their windows' columns; window_time is their event time".into()]
}

fn of_union(node: &StreamNode) -> Vec<String> {
    let all = origins(node);
    let without = node.inputs.iter().filter(|i| origins(&i.node).is_empty()).count();
    let mut lines = vec![format!("watermark: the smallest of its inputs: {}", names_of(&all))];
    if without > 0 && without < node.inputs.len() {
        lines.push(format!("{without} of its inputs have no watermark: they hold it back until they end"));
    }
    let delays: HashSet<Option<i64>> = all.iter().map(|o| o.delay_ms).collect();
    if delays.len() > 1 {
        lines.push("its inputs have different strategies: the one that lags most decides".into());
    }
    lines
}

/// Where event-time columns end, and under which names they go on.
fn of_calc(calc: &Calc, node: &StreamNode) -> Vec<String> {
    let Some(input) = node.input() else { return vec![] };
    let mut lines = vec![];
    for (name, t) in typed(&input.schema).into_iter().filter(|(_, t)| is_rowtime(t)) {
        let reads = |e: &Expr| super::program::column_uses(e).contains_key(&name);
        let kept: Vec<String> = calc
            .projection
            .iter()
            .zip(typed(&node.schema))
            .filter(|(e, (_, t))| is_rowtime(t) && matches!(unaliased(e), Expr::Column(c) if c.name == name))
            .map(|(_, (n, _))| n)
            .filter(|n| !n.starts_with(LATE_PREFIX))
            .collect();
        let changed: Vec<String> = calc
            .projection
            .iter()
            .zip(typed(&node.schema))
            .filter(|(e, (_, t))| !is_rowtime(t) && reads(e))
            .map(|(_, (n, t))| format!("{n} {}", t.with_nullable(true)))
            .collect();
        match (kept.as_slice(), changed.as_slice()) {
            ([one], _) if *one == name => {}
            ([], []) => lines.push(format!("event time ends here: {name} {} is not selected", plain(&t))),
            ([], changed) => lines.push(format!(
                "event time is lost here: {name} goes on only as {} (a CAST or an expression over a rowtime is none)",
                changed.join(", ")
            )),
            (kept, _) => lines.push(format!("event time: {name} goes on as {}", kept.join(", "))),
        }
    }
    lines
}

fn of_sink(node: &StreamNode) -> Vec<String> {
    let below = node.input().map(|i| rowtimes(&i.schema)).unwrap_or_default();
    match below.as_slice() {
        [] => vec![],
        names => vec![format!("event time ends here: {} is written as a plain timestamp", names.join(", "))],
    }
}

fn plain(t: &LogicalType) -> LogicalType {
    t.with_time_attribute(TimeAttribute::None).with_nullable(true)
}

fn typed(schema: &DFSchema) -> Vec<(String, LogicalType)> {
    schema.fields().iter().filter_map(|f| Some((f.name().clone(), from_arrow_field(f)?))).collect()
}

fn is_rowtime(t: &LogicalType) -> bool {
    t.kind.time_attribute() == TimeAttribute::Rowtime
}

fn rowtimes(schema: &DFSchema) -> Vec<String> {
    typed(schema).into_iter().filter(|(_, t)| is_rowtime(t)).map(|(n, _)| n).collect()
}

/// The sources of event time below a node, each once.
fn origins(node: &StreamNode) -> Vec<Origin> {
    let mut found = vec![];
    collect(node, &mut found);
    found
}

fn collect(node: &StreamNode, found: &mut Vec<Origin>) {
    if let StreamOp::Scan(scan) = &node.op
        && let Some(watermark) = &scan.watermark
    {
        let origin = origin(scan, watermark);
        if !found.contains(&origin) {
            found.push(origin);
        }
    }
    node.inputs.iter().filter(|i| i.port == 0).for_each(|i| collect(&i.node, found));
}

fn origin(scan: &Scan, watermark: &ScanWatermark) -> Origin {
    let rowtime = scan.table.table.schema.watermark.as_ref().map(|w| w.rowtime.clone()).unwrap_or_default();
    let delay_ms = watermark.watermark.as_ref().and_then(|e| delay(e, &watermark.rowtime));
    Origin { table: scan.table.identifier.object.clone(), rowtime, delay_ms }
}

/// `rowtime` is 0, `rowtime - INTERVAL '5' SECOND` is 5,000.
fn delay(watermark: &Expr, rowtime: &Expr) -> Option<i64> {
    let watermark = unaliased(watermark);
    if watermark == unaliased(rowtime) {
        return Some(0);
    }
    let Expr::ScalarFunction(f) = watermark else { return None };
    match (f.func.name(), f.args.as_slice()) {
        ("-", [left, Expr::Literal(ScalarValue::DurationMillisecond(Some(ms)), _)])
            if unaliased(left) == unaliased(rowtime) =>
        {
            Some(*ms)
        }
        _ => None,
    }
}

fn names_of(origins: &[Origin]) -> String {
    if origins.is_empty() {
        return "none".into();
    }
    let one = |o: &Origin| match o.delay_ms {
        Some(0) => format!("`{}`.{}", o.table, o.rowtime),
        Some(ms) if ms > 0 => format!("`{}`.{} - {}", o.table, o.rowtime, text(ms)),
        _ => format!("the watermark of `{}`", o.table),
    };
    origins.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn text(ms: i64) -> String {
    format_duration(Duration::from_millis(ms.unsigned_abs()))
}

/// An operator without what has nothing to do with time.
fn title(node: &StreamNode) -> String {
    let kind = node.kind();
    match &node.op {
        StreamOp::Scan(scan) => format!("{kind}(table=[{}])", super::sink::summary(&scan.table.identifier)),
        StreamOp::Sink(sink) => format!("{kind}(table=[{}])", sink.shown),
        StreamOp::WindowTableFunction(spec) => format!("{kind}(window=[{}])", window_kind_of(&spec.assignment)),
        StreamOp::LocalWindowAggregate(spec)
        | StreamOp::GlobalWindowAggregate(spec)
        | StreamOp::WindowAggregate(spec) => {
            let name = |k: &usize| spec.input_schema.field(*k).name().as_str();
            let keys: Vec<&str> = spec.group_keys.iter().map(name).collect();
            let group = if keys.is_empty() { String::new() } else { format!("groupBy=[{}], ", keys.join(", ")) };
            format!("{kind}({group}window=[{}])", window_kind_of(&spec.assignment))
        }
        StreamOp::Exchange(_) => describe(node),
        StreamOp::GroupAggregate(spec) | StreamOp::LocalGroupAggregate(spec) | StreamOp::GlobalGroupAggregate(spec) => {
            let name = |k: &usize| spec.input_schema.field(*k).name().as_str();
            format!("{kind}(groupBy=[{}])", spec.group_keys.iter().map(name).collect::<Vec<_>>().join(", "))
        }
        StreamOp::Calc(_)
        | StreamOp::Values { .. }
        | StreamOp::Union
        | StreamOp::Join(_)
        | StreamOp::LookupJoin(_)
        | StreamOp::Unnest(_)
        | StreamOp::ChangelogFunction(_)
        | StreamOp::Expand(_)
        | StreamOp::MiniBatchAssigner(_)
        | StreamOp::IncrementalGroupAggregate(_)
        | StreamOp::ChangelogNormalize(_)
        | StreamOp::DropUpdateBefore
        | StreamOp::Rank(_)
        | StreamOp::Deduplicate(_)
        | StreamOp::WindowRank(_)
        | StreamOp::OverAggregate(_)
        | StreamOp::Sort(_)
        | StreamOp::TemporalSort(_)
        | StreamOp::Match(_) => kind.to_string(),
    }
}
