//! `EXPLAIN WATERMARK` of a running job: how far event time has come in each split and operator, since when, which of them
//! holds the others back, and what is emitted next.
//!
//! An operator has the least watermark of the subtasks that it reads; those that are idle do not count.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flott_cluster::{JobClient, JobStatus};
use flott_core::Watermark;
use flott_core::clock::Clock;
use flott_core::time_text::format_duration;
use flott_graph::{Node, OperatorSpec};
use flott_runtime::metrics::SubtaskMetrics;
use serde::{Deserialize, Serialize};

/// Splits of one subtask that are told, the slowest first.
const SPLITS_MAX: usize = 1_000;
/// Splits of one source that the text shows.
const SHOWN_MAX: usize = 20;
/// Before the first watermark.
const NONE_YET: i64 = i64::MIN;

/// A split that is being read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitReport {
    /// Its id in its connector.
    pub id: String,
    /// Its watermark in ms since the epoch; `i64::MIN` where it has none yet.
    pub watermark_ms: i64,
    /// When that last moved, in ms since the epoch.
    pub since_ms: i64,
    /// It has had no rows for the idle timeout and holds nobody back.
    pub idle: bool,
    /// It is ahead of its alignment group and is not read.
    pub paused: bool,
}

/// A subtask of an operator. Times are ms since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskReport {
    /// The watermark of its inputs; of a source its own. `i64::MIN` where there is none yet, `i64::MAX` at the end of input.
    pub watermark_ms: i64,
    /// What it has sent on, and when that last moved.
    pub output_watermark_ms: i64,
    /// `None` where it never has.
    pub since_ms: Option<i64>,
    /// The watermark at which it emits what it holds next; `None` where it waits for none.
    pub next_timer_ms: Option<i64>,
    /// A source that is idle as a whole.
    pub idle: bool,
    /// Of a source: those that are read, the slowest first, at most 1,000.
    pub splits: Vec<SplitReport>,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorReport {
    /// As in the plan.
    pub name: String,
    /// Indices of the operators that it reads.
    pub inputs: Vec<usize>,
    /// It reads from outside.
    pub is_source: bool,
    /// Its table gives watermarks.
    pub gives_watermarks: bool,
    /// By index.
    pub subtasks: Vec<SubtaskReport>,
}

/// Event time of a job at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatermarkReport {
    /// The job's id.
    pub job_id: String,
    /// Its name.
    pub job_name: String,
    /// `RUNNING`, ..
    pub status: String,
    /// Now, in ms since the epoch.
    pub at_ms: i64,
    /// In topological order.
    pub operators: Vec<OperatorReport>,
}

/// Who holds event time back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder<'a> {
    /// The source.
    pub operator: &'a OperatorReport,
    /// Which of its subtasks.
    pub subtask: usize,
    /// The split, where one is being read.
    pub split: Option<&'a SplitReport>,
}

impl WatermarkReport {
    pub(crate) fn of(job_name: &str, client: &JobClient, clock: &dyn Clock) -> WatermarkReport {
        let (graph, metrics) = (client.graph(), client.metrics());
        let operators = graph.iter().map(|(id, node)| operator(node, metrics.node(id.0))).collect();
        WatermarkReport {
            job_id: client.id().to_string(),
            job_name: job_name.to_string(),
            status: client.state().status.name().to_string(),
            at_ms: clock.now_ms(),
            operators,
        }
    }

    /// The source, subtask and split that hold an operator's watermark where it is; `None` where no event time comes to it
    /// or all input has ended.
    pub fn holder(&self, operator: usize) -> Option<Holder<'_>> {
        let o = self.operators.get(operator)?;
        if o.is_source {
            let (subtask, s) =
                o.subtasks.iter().enumerate().filter(|(_, s)| !s.idle).min_by_key(|(_, s)| s.output_watermark_ms)?;
            let split = s.splits.iter().find(|s| !s.idle);
            return (s.output_watermark_ms != i64::MAX).then_some(Holder { operator: o, subtask, split });
        }
        let slowest = o.inputs.iter().filter_map(|i| Some((self.output_ms(*i)?, *i))).min()?;
        self.holder(slowest.1)
    }

    /// The least watermark that an operator's subtasks have sent on; `None` where all of them are idle.
    fn output_ms(&self, operator: usize) -> Option<i64> {
        let o = self.operators.get(operator)?;
        o.subtasks.iter().filter(|s| !s.idle).map(|s| s.output_watermark_ms).min()
    }

    /// For people: from each sink to its sources.
    pub fn text(&self) -> String {
        let mut printer = Printer { report: self, out: String::new(), seen: HashSet::new() };
        printer.line(&format!("== Watermarks of job '{}' ({}) ==", self.job_name, self.status));
        if self.status != JobStatus::Running.name() {
            printer.line("The job does not run now: these are the last values");
        }
        let read: HashSet<usize> = self.operators.iter().flat_map(|o| o.inputs.iter().copied()).collect();
        for (i, root) in (0..self.operators.len()).filter(|i| !read.contains(i)).enumerate() {
            if i > 0 {
                printer.out.push('\n');
            }
            printer.operator(root, "", "");
        }
        printer.out
    }
}

fn operator(node: &Node, subtasks: &[SubtaskMetrics]) -> OperatorReport {
    let (is_source, gives_watermarks) = match &node.spec {
        OperatorSpec::Source(source) => (true, source.watermark.is_some()),
        _ => (false, false),
    };
    let subtask = |m: &SubtaskMetrics| {
        let read = |c: &std::sync::atomic::AtomicI64| c.load(Ordering::Relaxed);
        let output_watermark_ms = read(&m.watermark_ms);
        let mut splits: Vec<SplitReport> = m
            .splits()
            .into_iter()
            .map(|(id, s)| SplitReport {
                id,
                watermark_ms: s.watermark_ms,
                since_ms: s.since_ms,
                idle: s.idle,
                paused: s.paused,
            })
            .collect();
        splits.sort_by(|a, b| {
            (a.idle, a.watermark_ms, a.since_ms, &a.id).cmp(&(b.idle, b.watermark_ms, b.since_ms, &b.id))
        });
        splits.truncate(SPLITS_MAX);
        SubtaskReport {
            watermark_ms: if is_source { output_watermark_ms } else { read(&m.input_watermark_ms) },
            output_watermark_ms,
            since_ms: Some(read(&m.watermark_since_ms)).filter(|ms| *ms != i64::MIN),
            next_timer_ms: Some(read(&m.next_timer_ms)).filter(|ms| *ms != i64::MAX),
            idle: m.idle.load(Ordering::Relaxed) == 1,
            splits,
        }
    };
    OperatorReport {
        name: node.name.clone(),
        inputs: node.inputs.iter().map(|i| i.node.0).collect(),
        is_source,
        gives_watermarks,
        subtasks: subtasks.iter().map(subtask).collect(),
    }
}

struct Printer<'a> {
    report: &'a WatermarkReport,
    out: String,
    seen: HashSet<usize>,
}

impl Printer<'_> {
    fn line(&mut self, text: &str) {
        let written = writeln!(self.out, "{}", text.trim_end());
        debug_assert!(written.is_ok());
    }

    fn operator(&mut self, index: usize, branch: &str, prefix: &str) {
        let report = self.report;
        let Some(o) = report.operators.get(index) else { return };
        self.line(&format!("{branch}{}", o.name));
        let bar = if o.inputs.is_empty() { "   " } else { "|  " };
        if !self.seen.insert(index) {
            self.line(&format!("{prefix}{bar}as above"));
            return;
        }
        for detail in if o.is_source { self.of_source(o) } else { self.of_operator(index, o) } {
            self.line(&format!("{prefix}{bar}{detail}"));
        }
        for (i, input) in o.inputs.iter().enumerate() {
            let (branch, next) = if i + 1 == o.inputs.len() { ("+- ", "   ") } else { (":- ", ":  ") };
            self.operator(*input, &format!("{prefix}{branch}"), &format!("{prefix}{next}"));
        }
    }

    fn of_source(&self, o: &OperatorReport) -> Vec<String> {
        if !o.gives_watermarks {
            return vec!["watermark: none: its table declares none".into()];
        }
        let mut lines = vec![];
        for (subtask, s) in o.subtasks.iter().enumerate() {
            let name = if o.subtasks.len() > 1 { format!("subtask {subtask}: ") } else { String::new() };
            let idle = if s.idle { ", idle: it holds nobody back" } else { "" };
            lines.push(format!("{name}watermark: {}{}{idle}", time(s.output_watermark_ms), self.since(s.since_ms)));
        }
        let mut splits: Vec<&SplitReport> = o.subtasks.iter().flat_map(|s| &s.splits).collect();
        splits.sort_by_key(|s| (s.idle, s.watermark_ms));
        for (i, s) in splits.iter().take(SHOWN_MAX).enumerate() {
            let state = match (s.idle, s.paused) {
                (true, _) => ", idle: it holds nobody back",
                (_, true) => ", paused: it is too far ahead of its alignment group",
                _ if i == 0 && splits.len() > 1 => "  <- the slowest",
                _ => "",
            };
            lines.push(format!("  split {}: {}{}{state}", s.id, time(s.watermark_ms), self.since(Some(s.since_ms))));
        }
        if splits.len() > SHOWN_MAX {
            lines.push(format!("  and {} splits that are further", splits.len() - SHOWN_MAX));
        }
        lines
    }

    fn of_operator(&self, index: usize, o: &OperatorReport) -> Vec<String> {
        let least = o.subtasks.iter().map(|s| s.watermark_ms).min().unwrap_or(NONE_YET);
        let slowest = o.subtasks.iter().filter(|s| s.watermark_ms == least).filter_map(|s| s.since_ms).max();
        let most = o.subtasks.iter().map(|s| s.watermark_ms).max().unwrap_or(NONE_YET);
        let apart = if most == least { String::new() } else { format!(", its furthest subtask {}", time(most)) };
        let mut lines = vec![format!("watermark: {}{}{apart}", time(least), self.since(slowest))];
        let Some(next) = o.subtasks.iter().filter_map(|s| s.next_timer_ms).min() else { return lines };
        let to_go = match least {
            NONE_YET => "no watermark has come yet".to_string(),
            ms => format!("{} of event time to go", duration(next.saturating_sub(ms))),
        };
        lines.push(format!("next: emits when the watermark reaches {}: {to_go}", time(next)));
        if let Some(holder) = self.report.holder(index) {
            lines.push(format!("held back by: {}", named(&holder, self.since(slowest).as_str())));
        }
        lines
    }

    fn since(&self, since_ms: Option<i64>) -> String {
        match since_ms {
            None => String::new(),
            Some(ms) => format!(", for {}", duration(self.report.at_ms.saturating_sub(ms))),
        }
    }
}

fn named(holder: &Holder<'_>, since: &str) -> String {
    let name = &holder.operator.name;
    if !holder.operator.gives_watermarks {
        return format!("{name}, which gives no watermark (WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)");
    }
    match holder.split {
        Some(split) => format!("{name}, split {}{since}", split.id),
        None => format!("{name}, subtask {}, which has no split yet{since}", holder.subtask),
    }
}

fn time(ms: i64) -> String {
    Watermark(ms).to_string()
}

/// Whole seconds from ten on.
fn duration(ms: i64) -> String {
    let ms = u64::try_from(ms).unwrap_or(0);
    match ms {
        1_000..10_000 => format!("{}.{:03} s", ms / 1_000, ms % 1_000),
        10_000.. => format_duration(Duration::from_secs(ms / 1_000)),
        _ => format_duration(Duration::from_millis(ms)),
    }
}
