//! What a job measures, under Flink's names and in Flink's scopes, and as text for Prometheus.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flott_cluster::{JobClient, JobStatus};
use flott_core::clock::Clock;
use flott_graph::{Node, OperatorSpec};
use flott_runtime::metrics::SubtaskMetrics;
use serde::{Deserialize, Serialize};

use crate::watermarks::WatermarkReport;

/// The time that a rate is an average of (as Flink's meters have it).
const RATE_WINDOW: Duration = Duration::from_secs(60);
/// Rates are taken anew so often, where somebody takes them.
pub(crate) const RATE_INTERVAL: Duration = Duration::from_secs(5);
/// Looks that are remembered for rates.
const SAMPLES_MAX: usize = 64;

/// What a metric is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OperatorScope {
    /// The operator's stable id (`operator_id`).
    pub operator_id: String,
    /// Its name in the plan (`operator_name`).
    pub operator_name: String,
    /// Which of its subtasks (`subtask_index`).
    pub subtask_index: usize,
    /// The process in which it runs (`tm_id`): the job's id and the process's number.
    #[serde(default)]
    pub tm_id: String,
}

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Flink's name: `numRecordsIn`, `lastCheckpointDuration`, ..
    pub name: String,
    /// Of a subtask; `None` for the job.
    pub operator: Option<OperatorScope>,
    /// It only grows while the job is not started again.
    pub is_counter: bool,
    /// Times are in ms, sizes in bytes, watermarks in ms since the epoch. Watermarks that are not there yet are i64::MIN,
    /// as in Flink.
    pub value: f64,
}

/// All metrics of a job at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsReport {
    /// The job's id.
    pub job_id: String,
    /// Its name.
    pub job_name: String,
    /// The machine's name (`host`).
    #[serde(default)]
    pub host: String,
    /// By scope, the job first.
    pub metrics: Vec<Metric>,
}

impl MetricsReport {
    /// A metric of the job.
    pub fn job(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|m| m.operator.is_none() && m.name == name).map(|m| m.value)
    }

    /// The sum of a metric over all subtasks of the operators that `of` chooses.
    pub fn sum(&self, name: &str, of: impl Fn(&OperatorScope) -> bool) -> f64 {
        let chosen = self.metrics.iter().filter(|m| m.name == name && m.operator.as_ref().is_some_and(&of));
        chosen.map(|m| m.value).sum()
    }
}

/// What rates are made of.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    records_in: u64,
    records_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    busy_us: u64,
    back_pressured_ms: u64,
}

impl Counts {
    fn of(m: &SubtaskMetrics) -> Counts {
        let read = |c: &std::sync::atomic::AtomicU64| c.load(Ordering::Relaxed);
        Counts {
            records_in: read(&m.records_in),
            records_out: read(&m.records_out),
            bytes_in: read(&m.bytes_in),
            bytes_out: read(&m.bytes_out),
            busy_us: read(&m.busy_us),
            back_pressured_ms: read(&m.back_pressured_ms),
        }
    }
}

/// The counts of all subtasks at one moment.
type Sample = (Duration, Vec<Counts>);

/// Measures one job. Clones share what they remember.
#[derive(Clone)]
pub struct JobMeter {
    name: Arc<str>,
    client: JobClient,
    clock: Arc<dyn Clock>,
    samples: Arc<Mutex<VecDeque<Sample>>>,
}

impl JobMeter {
    pub(crate) fn new(name: &str, client: JobClient, clock: Arc<dyn Clock>) -> JobMeter {
        let meter = JobMeter { name: name.into(), client, clock, samples: Arc::default() };
        meter.sample();
        meter
    }

    pub(crate) fn client(&self) -> &JobClient {
        &self.client
    }

    fn counts(&self) -> Vec<Counts> {
        let metrics = self.client.metrics();
        (0..self.client.graph().nodes.len()).flat_map(|node| metrics.node(node).iter().map(Counts::of)).collect()
    }

    /// Remembers where the counters stand; rates are averages since the oldest look of the last minute.
    pub(crate) fn sample(&self) {
        let now = self.clock.monotonic();
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.back().is_some_and(|(at, _)| now.saturating_sub(*at) < RATE_INTERVAL / 5) {
            return;
        }
        samples.push_back((now, self.counts()));
        // One look is kept that is older than the window: the rate is of the whole of it.
        while samples.len() > SAMPLES_MAX
            || samples.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= RATE_WINDOW)
        {
            samples.pop_front();
        }
    }

    /// How far event time has come now, and what holds it back.
    pub fn watermarks(&self) -> WatermarkReport {
        WatermarkReport::of(&self.name, &self.client, self.clock.as_ref())
    }

    /// All metrics now.
    pub fn report(&self) -> MetricsReport {
        let now = self.clock.monotonic();
        let counts = self.counts();
        let oldest = self.samples.lock().unwrap_or_else(PoisonError::into_inner).front().cloned();
        self.sample();
        let (since, before) = oldest.unwrap_or_default();
        let seconds = now.saturating_sub(since).as_secs_f64();
        let mut metrics = self.of_job();
        let mut index = 0;
        for (id, node) in self.client.graph().iter() {
            for (subtask, m) in self.client.metrics().node(id.0).iter().enumerate() {
                let rates =
                    Rates { seconds, now: counts[index], before: before.get(index).copied().unwrap_or_default() };
                self.of_subtask(node, subtask, m, &rates, &mut metrics);
                index += 1;
            }
        }
        let (job_id, host) = (self.client.id().to_string(), flott_state::owner::host());
        MetricsReport { job_id, job_name: self.name.to_string(), host, metrics }
    }

    fn of_job(&self) -> Vec<Metric> {
        let (state, now_ms) = (self.client.state(), self.clock.now_ms());
        let running = state.status == JobStatus::Running;
        let since = |ms: i64| (state.ended_ms.unwrap_or(now_ms) - ms).max(0) as f64;
        // Without an outage 0.
        let restarting = state.failed_ms.filter(|_| state.status == JobStatus::Restarting).map_or(0.0, since);
        // As in Flink: -1 where there was none, and an uptime only while it runs.
        let completed = |value: f64| if state.last_checkpoint.is_some() { value } else { -1.0 };
        let gauge = |name: &str, value: f64| metric(name, false, value);
        let count = |name: &str, value: u64| metric(name, true, value as f64);
        vec![
            gauge("uptime", if running { since(state.attempt_started_ms) } else { -1.0 }),
            gauge("downtime", if state.ended_ms.is_some() { -1.0 } else { restarting }),
            gauge("runningTime", since(state.started_ms)),
            gauge("restartingTime", restarting),
            count("numRestarts", state.restarts),
            count("numberOfCompletedCheckpoints", state.checkpoints),
            count("numberOfFailedCheckpoints", state.failed_checkpoints),
            gauge("numberOfInProgressCheckpoints", state.checkpoints_in_progress as f64),
            count(
                "totalNumberOfCheckpoints",
                state.checkpoints + state.failed_checkpoints + state.checkpoints_in_progress,
            ),
            gauge("lastCompletedCheckpointId", state.last_checkpoint.map_or(-1.0, |c| c.0 as f64)),
            gauge("lastCheckpointCompletedTimestamp", state.last_checkpoint_ms.map_or(-1.0, |ms| ms as f64)),
            gauge("lastCheckpointRestoreTimestamp", state.restored_ms.map_or(-1.0, |ms| ms as f64)),
            gauge("lastCheckpointDuration", completed(state.last_duration_ms as f64)),
            gauge("lastCheckpointSize", completed(state.last_new_bytes as f64)),
            gauge("lastCheckpointFullSize", completed(state.last_state_bytes as f64)),
        ]
    }

    fn of_subtask(&self, node: &Node, subtask: usize, m: &SubtaskMetrics, rates: &Rates, to: &mut Vec<Metric>) {
        let read = |c: &std::sync::atomic::AtomicU64| c.load(Ordering::Relaxed);
        let (is_source, is_sink) =
            (matches!(node.spec, OperatorSpec::Source(_)), matches!(node.spec, OperatorSpec::Sink(_)));
        let tm_id = format!("{}-{}", self.client.id(), self.client.process_of(subtask));
        let scope = OperatorScope {
            operator_id: node.uid.clone(),
            operator_name: node.name.clone(),
            subtask_index: subtask,
            tm_id,
        };
        let mut add = |name: &str, is_counter: bool, value: f64| {
            to.push(Metric { name: name.to_string(), operator: Some(scope.clone()), is_counter, value });
        };
        let counts = rates.now;
        add("numRecordsIn", true, counts.records_in as f64);
        add("numRecordsOut", true, counts.records_out as f64);
        add("numRecordsInPerSecond", false, rates.of(|c| c.records_in));
        add("numRecordsOutPerSecond", false, rates.of(|c| c.records_out));
        if is_source || is_sink {
            add("numBytesIn", true, counts.bytes_in as f64);
            add("numBytesInPerSecond", false, rates.of(|c| c.bytes_in));
        }
        if is_sink {
            add("numBytesOut", true, counts.bytes_out as f64);
            add("numBytesOutPerSecond", false, rates.of(|c| c.bytes_out));
            // A sink sends what it gives out.
            add("numRecordsSend", true, counts.records_out as f64);
            add("numBytesSend", true, counts.bytes_out as f64);
            add("numRecordsSendErrors", true, read(&m.send_errors) as f64);
            add("currentSendTime", false, read(&m.send_time_ms) as f64);
        }
        let output = m.watermark_ms.load(Ordering::Relaxed);
        if !is_source {
            add("currentInputWatermark", false, m.input_watermark_ms.load(Ordering::Relaxed) as f64);
        }
        if !is_sink {
            add("currentOutputWatermark", false, output as f64);
        }
        if is_source {
            if output != i64::MIN && output != i64::MAX {
                add("watermarkLag", false, (self.clock.now_ms() - output) as f64);
            }
            add("numRecordsInErrors", true, read(&m.records_skipped) as f64);
            for (name, pending) in [("pendingRecords", &m.pending_records), ("pendingBytes", &m.pending_bytes)] {
                let pending = pending.load(Ordering::Relaxed);
                if pending >= 0 {
                    add(name, false, pending as f64);
                }
            }
            add("isIdle", false, read(&m.idle) as f64);
        } else {
            add("checkpointAlignmentTime", false, read(&m.alignment_ns) as f64);
            add("checkpointSyncTime", false, read(&m.sync_ns) as f64);
            add("numLateRecordsDropped", true, read(&m.late_records_dropped) as f64);
            add("numRecordsDropped", true, read(&m.records_dropped) as f64);
            add("stateBytes", false, read(&m.state_bytes) as f64);
            add("stateRows", false, read(&m.state_rows) as f64);
        }
        let busy = (rates.of(|c| c.busy_us) / 1e3).min(1e3);
        let waiting = rates.of(|c| c.back_pressured_ms).min(1e3 - busy);
        add("busyTimeMsPerSecond", false, busy);
        add("backPressuredTimeMsPerSecond", false, waiting);
        add("idleTimeMsPerSecond", false, 1e3 - busy - waiting);
    }
}

fn metric(name: &str, is_counter: bool, value: f64) -> Metric {
    Metric { name: name.to_string(), operator: None, is_counter, value }
}

struct Rates {
    seconds: f64,
    now: Counts,
    before: Counts,
}

impl Rates {
    /// By second. Counters of a job that is started again go on, so that none goes back.
    fn of(&self, counter: impl Fn(&Counts) -> u64) -> f64 {
        let grown = counter(&self.now).saturating_sub(counter(&self.before)) as f64;
        if self.seconds > 0.0 { grown / self.seconds } else { 0.0 }
    }
}

/// What Flink tells of a task alone, and what it tells of a task and of its operators. Here each subtask of an operator is a task.
const OF_TASKS: [&str; 5] = [
    "busyTimeMsPerSecond",
    "backPressuredTimeMsPerSecond",
    "idleTimeMsPerSecond",
    "checkpointAlignmentTime",
    "checkpointSyncTime",
];
const OF_TASKS_TOO: [&str; 4] = ["numRecordsIn", "numRecordsOut", "numRecordsInPerSecond", "numRecordsOutPerSecond"];

/// The scopes that Flink's reporter puts before the name of a metric.
fn scopes(metric: &Metric) -> &'static [&'static str] {
    let name = metric.name.as_str();
    match &metric.operator {
        None => &["jobmanager_job"],
        Some(_) if OF_TASKS.contains(&name) => &["taskmanager_job_task"],
        Some(_) if OF_TASKS_TOO.contains(&name) => &["taskmanager_job_task", "taskmanager_job_task_operator"],
        Some(_) => &["taskmanager_job_task_operator"],
    }
}

/// Reports as Prometheus' text format 0.0.4, under the names that Flink's reporter gives them:
/// `flink_jobmanager_job_<name>`, `flink_taskmanager_job_task_<name>` and `flink_taskmanager_job_task_operator_<name>`.
pub fn prometheus(reports: &[MetricsReport]) -> String {
    // One block for each name, whatever the number of jobs.
    let mut blocks: Vec<(String, bool, String)> = vec![];
    for report in reports {
        for (metric, scope) in report.metrics.iter().flat_map(|m| scopes(m).iter().map(move |scope| (m, scope))) {
            let name = format!("flink_{scope}_{}", metric.name);
            let mut line = format!("{name}{{");
            label(&mut line, "host", &report.host);
            if let Some(operator) = &metric.operator {
                label(&mut line, "tm_id", &operator.tm_id);
            }
            label(&mut line, "job_id", &report.job_id);
            label(&mut line, "job_name", &report.job_name);
            if let Some(operator) = &metric.operator {
                label(&mut line, "task_id", &operator.operator_id);
                label(&mut line, "task_name", &operator.operator_name);
                if scope.ends_with("operator") {
                    label(&mut line, "operator_id", &operator.operator_id);
                    label(&mut line, "operator_name", &operator.operator_name);
                }
                label(&mut line, "subtask_index", &operator.subtask_index.to_string());
            }
            line.push_str("} ");
            // `inf` and `NaN` do not come up; whole numbers are written whole.
            let written = writeln!(line, "{}", metric.value);
            debug_assert!(written.is_ok(), "a string takes everything");
            match blocks.iter_mut().find(|(n, _, _)| *n == name) {
                Some((_, _, lines)) => lines.push_str(&line),
                None => blocks.push((name, metric.is_counter, line)),
            }
        }
    }
    let mut text = String::new();
    for (name, is_counter, lines) in blocks {
        let kind = if is_counter { "counter" } else { "gauge" };
        let (scope, short) = name.rsplit_once('_').unwrap_or_default();
        let scope = scope.trim_start_matches("flink_");
        text.push_str(&format!("# HELP {name} {short} (scope: {scope})\n# TYPE {name} {kind}\n{lines}"));
    }
    text
}

/// Backslash, quote and line feed are what the format escapes.
fn label(line: &mut String, name: &str, value: &str) {
    if !line.ends_with('{') {
        line.push(',');
    }
    line.push_str(name);
    line.push_str("=\"");
    for c in value.chars() {
        match c {
            '\\' => line.push_str("\\\\"),
            '"' => line.push_str("\\\""),
            '\n' => line.push_str("\\n"),
            c => line.push(c),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_names_come_once() {
        let operator = |n| OperatorScope {
            operator_id: "source:a".to_string(),
            operator_name: "Calc(where=[a = '\"\\\n'])".to_string(),
            subtask_index: n,
            tm_id: format!("ab-{n}"),
        };
        let report = |job: &str| MetricsReport {
            job_id: job.to_string(),
            job_name: "a \"job\"".to_string(),
            host: "machine".to_string(),
            metrics: vec![
                metric("uptime", false, 12.0),
                Metric { name: "numRecordsIn".to_string(), operator: Some(operator(0)), is_counter: true, value: 5.0 },
                Metric { name: "numRecordsIn".to_string(), operator: Some(operator(1)), is_counter: true, value: 1e15 },
                Metric {
                    name: "busyTimeMsPerSecond".to_string(),
                    operator: Some(operator(0)),
                    is_counter: false,
                    value: 1.5,
                },
            ],
        };
        let text = prometheus(&[report("1"), report("2")]);
        let expected = r#"flink_taskmanager_job_task_operator_numRecordsIn{host="machine",tm_id="ab-1",job_id="2",job_name="a \"job\"",task_id="source:a",task_name="Calc(where=[a = '\"\\\n'])",operator_id="source:a",operator_name="Calc(where=[a = '\"\\\n'])",subtask_index="1"} 1000000000000000"#;
        assert!(text.lines().any(|l| l == expected), "{text}");
        assert_eq!(text.matches("# TYPE").count(), 4, "{text}");
        assert!(text.contains("# TYPE flink_taskmanager_job_task_numRecordsIn counter\n"), "{text}");
        assert!(text.contains("# HELP flink_taskmanager_job_task_busyTimeMsPerSecond busyTimeMsPerSecond (scope: taskmanager_job_task)\n"), "{text}");
        assert!(!text.contains("operator_busyTime"), "{text}");
        assert!(text.contains("# TYPE flink_taskmanager_job_task_operator_numRecordsIn counter\n"), "{text}");
        assert!(text.starts_with("# HELP flink_jobmanager_job_uptime "), "{text}");
        assert!(text.contains("flink_jobmanager_job_uptime{host=\"machine\",job_id=\"1\",job_name="), "{text}");
    }
}
