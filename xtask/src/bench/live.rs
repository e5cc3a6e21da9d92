//! Jobs that are watched while they run: a slow sink, checkpoints of a large state, checkpoints of a trickle.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::measure::{Flott, now, pause, percentile, taken, waited_s};
use super::{http, limit};
use crate::services::free_ports;
use crate::{Failure, say};

/// How often the counters of a job are read that must not stop.
const LOOK: Duration = Duration::from_millis(2);
/// What the threads are called that take rows.
const WORKER: &str = "timely:work-";
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A job that runs, ended with this value.
struct Live {
    child: Child,
    port: u16,
    checkpoints: PathBuf,
}

impl Live {
    fn start(flott: &Flott, mut command: Command, port: u16) -> Result<Live, Failure> {
        let child =
            command.arg("--metrics-port").arg(port.to_string()).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Live { child: child.map_err(|e| e.to_string())?, port, checkpoints: flott.folder.join(".flott") })
    }

    /// With its output thrown away, once its metrics answer.
    fn quiet(flott: &Flott, name: &str, script: &str, workers: usize) -> Result<Live, Failure> {
        let script = flott.script(name, script)?;
        let mut command = flott.command(&script, workers);
        command.stdout(Stdio::null());
        let mut live = Live::start(flott, command, free_ports(1)?[0])?;
        let begun = now();
        while begun.elapsed() < START_PATIENCE {
            if let Ok(Some(status)) = live.child.try_wait() {
                return Err(format!("the job ended: {status}"));
            }
            if live.metrics().is_ok_and(|m| m.job("uptime").is_some()) {
                return Ok(live);
            }
            pause(LOOK);
        }
        Err("the job's metrics do not answer".to_string())
    }

    fn metrics(&self) -> Result<Metrics, Failure> {
        Ok(Metrics(http::request("GET", self.port, "/metrics", "")?))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        // Checkpoints, which may be large.
        drop(std::fs::remove_dir_all(&self.checkpoints));
    }
}

/// Metrics as Prometheus reads them.
struct Metrics(String);

impl Metrics {
    /// A figure of the job.
    fn job(&self, name: &str) -> Option<f64> {
        let name = format!("flink_jobmanager_job_{name}{{");
        value(self.0.lines().find(|l| l.starts_with(&name))?)
    }

    /// A figure of each subtask of the operators whose name fits.
    fn subtasks(&self, name: &str, fits: impl Fn(&str) -> bool) -> Vec<f64> {
        let name = format!("flink_taskmanager_job_task_operator_{name}{{");
        let lines = self.0.lines().filter(|l| l.starts_with(&name));
        let lines = lines.filter(|l| l.split("operator_name=\"").nth(1).is_some_and(&fits));
        lines.filter_map(value).collect()
    }

    /// The largest figure of any subtask, of those that Flink tells of tasks alone.
    fn largest_of_tasks(&self, name: &str) -> f64 {
        let name = format!("flink_taskmanager_job_task_{name}{{");
        self.0.lines().filter(|l| l.starts_with(&name)).filter_map(value).fold(0.0, f64::max)
    }
}

fn value(line: &str) -> Option<f64> {
    line.rsplit_once(' ')?.1.parse().ok()
}

/// An endless source before a sink whose reader takes one row per second: what memory does it take?
pub(super) fn slow_sink(flott: &Flott, seconds: u64, workers: usize) -> Result<(), Failure> {
    let script = flott.script(
        "slow-sink",
        "CREATE TABLE events (id BIGINT, name STRING)\n\
         WITH ('connector' = 'datagen', 'rows-per-second' = '1000000000');\n\
         CREATE TABLE out (id BIGINT, name STRING) WITH ('connector' = 'print');\n\
         INSERT INTO out SELECT * FROM events;\n",
    )?;
    let mut command = flott.command(&script, workers);
    command.stdout(Stdio::piped());
    let mut live = Live::start(flott, command, free_ports(1)?[0])?;
    let mut lines = live.child.stdout.take().ok_or("the job has no output")?;
    let begun = now();
    for row in 0..seconds {
        // Byte by byte: a reader with a buffer would take a thousand rows at once.
        let mut byte = [0];
        while byte[0] != b'\n' {
            lines.read_exact(&mut byte).map_err(|e| format!("the job ended: {e}"))?;
        }
        pause(Duration::from_secs(row + 1).saturating_sub(begun.elapsed()));
    }
    let took = taken(live.child.id())?;
    let read = live.metrics()?.subtasks("numRecordsOut", |n| n.contains("Source")).iter().sum::<f64>();
    say(&format!(
        "slow-sink, {workers} workers: {seconds} rows taken in {:.1} s ({read:.0} read by the source), {:.2} s CPU, {:.1} MB peak",
        begun.elapsed().as_secs_f64(),
        took.cpu_s,
        took.rss_mb
    ));
    limit("the peak of memory, MB", took.rss_mb, SLOW_SINK_MB_MAX)
}

/// What a source that is faster than its sink may hold, whatever it reads.
const SLOW_SINK_MB_MAX: f64 = 200.0;
/// So long a checkpoint of a large state may stop a subtask.
const PAUSE_MS_MAX: f64 = 100.0;

/// Checkpoints every second at one row per second: how long does each take?
pub(super) fn trickle(flott: &Flott, seconds: u64, workers: usize) -> Result<(), Failure> {
    drop(std::fs::remove_dir_all(flott.folder.join("out-trickle")));
    let script = format!(
        "SET 'execution.checkpointing.interval' = '1 s';\n\
         CREATE TABLE events (k BIGINT, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)\n\
         WITH ('connector' = 'datagen', 'rows-per-second' = '1', 'fields.k.min' = '0', 'fields.k.max' = '9');\n\
         CREATE TABLE windows (w TIMESTAMP(3), k BIGINT, n BIGINT, s BIGINT)\n\
         WITH ('connector' = 'filesystem', 'path' = '{}/out-trickle', 'format' = 'csv');\n\
         INSERT INTO windows SELECT window_start, k, COUNT(*), SUM(v)\n\
         FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '2' SECOND)) GROUP BY window_start, window_end, k;\n",
        flott.folder.display()
    );
    let live = Live::quiet(flott, "trickle", &script, workers)?;
    let begun = now();
    let mut durations = vec![];
    let mut last = 0.0;
    while begun.elapsed() < Duration::from_secs(seconds) {
        let metrics = live.metrics()?;
        let done = metrics.job("numberOfCompletedCheckpoints").unwrap_or(0.0);
        if done > last {
            // Read often enough to see each of them.
            durations.push(metrics.job("lastCheckpointDuration").unwrap_or(f64::NAN));
            last = done;
        }
        pause(LOOK * 10);
    }
    let metrics = live.metrics()?;
    let rows = metrics.subtasks("numRecordsOut", |n| n.contains("Source")).iter().sum::<f64>();
    let failed = metrics.job("numberOfFailedCheckpoints").unwrap_or(f64::NAN);
    let took = taken(live.child.id())?;
    let at = |share| percentile(durations.clone(), share);
    say(&format!(
        "trickle, {workers} workers: {rows:.0} rows in {seconds} s, {last:.0} checkpoints ({failed:.0} failed), \
         from trigger to commit p50 {:.0} ms, p99 {:.0} ms, at most {:.0} ms, {:.2} s CPU, {:.1} MB peak",
        at(0.5),
        at(0.99),
        at(1.0),
        took.cpu_s,
        took.rss_mb
    ));
    if last + 2.0 < seconds as f64 || at(1.0) >= 1_000.0 {
        return Err("not every checkpoint completed within its second".to_string());
    }
    Ok(())
}

/// What checkpoints of a large state are made of.
pub(super) struct Large {
    pub(super) keys: u64,
    pub(super) checkpoints: usize,
    pub(super) workers: usize,
    pub(super) interval: Duration,
}

/// Checkpoints of a large window state, under full load: for how long does a subtask not take a row?
///
/// The pause of a checkpoint is the longest time in which the counter of some subtask of the window stood still, from
/// the end of the checkpoint before to its own end: everything else that holds the subtask up is in it. On a machine that
/// others use too, that is mostly the wait of a thread for a core, so that the pause without that is shown too. What the
/// barrier alone takes of a subtask's time (`checkpointSyncTime`, the longest of all subtasks) stands before it.
pub(super) fn large_state(flott: &Flott, large: &Large) -> Result<(), Failure> {
    let script = format!(
        "SET 'execution.checkpointing.interval' = '{} ms';\n\
         CREATE TABLE events (k BIGINT, v BIGINT, ts AS TIMESTAMP '2024-01-01 00:00:00', WATERMARK FOR ts AS ts)\n\
         WITH ('connector' = 'datagen', 'rows-per-second' = '1000000000',\n\
         'fields.k.min' = '0', 'fields.k.max' = '{}', 'fields.v.min' = '0', 'fields.v.max' = '1000000');\n\
         CREATE TABLE nowhere (w TIMESTAMP(3), k BIGINT, n BIGINT, s BIGINT) WITH ('connector' = 'blackhole');\n\
         INSERT INTO nowhere SELECT window_start, k, COUNT(*), SUM(v)\n\
         FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' DAY)) GROUP BY window_start, window_end, k;\n",
        large.interval.as_millis(),
        large.keys - 1,
    );
    let live = Live::quiet(flott, "large-state", &script, large.workers)?;
    let is_window = |n: &str| n.contains("WindowAggregate") && !n.starts_with("Local");
    let mut watch = Watch::default();
    let (mut pauses, mut ready, mut last, mut durations) = (vec![], vec![], 0.0, vec![]);
    let mut barriers = vec![];
    let mut first = true;
    let mut looks: Vec<f64> = vec![];
    while pauses.len() < large.checkpoints {
        let metrics = live.metrics()?;
        let at = now();
        let waited = waited_s(live.child.id(), WORKER);
        looks.extend(watch.look(at, &metrics.subtasks("numRecordsIn", is_window), &waited));
        let done = metrics.job("numberOfCompletedCheckpoints").unwrap_or(0.0);
        if done > last {
            last = done;
            let bytes: f64 = metrics.job("lastCheckpointFullSize").unwrap_or(0.0);
            let rows: f64 = metrics.subtasks("stateRows", is_window).iter().sum();
            let duration = metrics.job("lastCheckpointDuration").unwrap_or(f64::NAN);
            let (pause_ms, ready_ms) = watch.take_longest_ms();
            let barrier_ms = metrics.largest_of_tasks("checkpointSyncTime") / 1e6;
            say(&format!(
                "checkpoint {done:.0}: {:.0} MB ({:.0} MB new) stored in {duration:.0} ms, {rows:.0} entries, held by its barrier for {barrier_ms:.1} ms, \
                 longest pause {pause_ms:.1} ms ({ready_ms:.1} ms without waits for a core)",
                bytes / 1e6,
                metrics.job("lastCheckpointSize").unwrap_or(0.0) / 1e6,
            ));
            // The first interval has the start in it.
            if !std::mem::take(&mut first) {
                pauses.push(pause_ms);
                ready.push(ready_ms);
                barriers.push(barrier_ms);
                durations.push(duration);
            }
        }
        pause(LOOK);
    }
    let took = taken(live.child.id())?;
    let rows: f64 = live.metrics()?.subtasks("numRecordsIn", is_window).iter().sum();
    let at = |share| percentile(pauses.clone(), share);
    let without = |share| percentile(ready.clone(), share);
    say(&format!(
        "large-state, {} workers: {rows:.0} rows, {} checkpoints, stored in p50 {:.0} ms; held by a barrier p50 {:.1} ms, p99 {:.1} ms; \
         pause p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms, \
         without waits for a core p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms; the counters were read every {:.1} ms (p50), {:.1} ms (p99); {:.2} s CPU, {:.0} MB peak",
        large.workers,
        pauses.len(),
        percentile(durations, 0.5),
        percentile(barriers.clone(), 0.5),
        percentile(barriers, 0.99),
        at(0.5),
        at(0.99),
        at(1.0),
        without(0.5),
        without(0.99),
        without(1.0),
        percentile(looks.clone(), 0.5),
        percentile(looks, 0.99),
        took.cpu_s,
        took.rss_mb
    ));
    limit("the pause by a checkpoint, p99 without waits for a core, ms", without(0.99), PAUSE_MS_MAX)
}

/// When counters moved.
#[derive(Default)]
struct Watch {
    counters: Vec<Counter>,
    looked: Option<Instant>,
    longest: f64,
    longest_ready: f64,
}

/// Its value, when it was first seen, and how long each worker had waited for a core until then.
struct Counter {
    value: f64,
    seen: Instant,
    waited_s: Vec<f64>,
}

impl Watch {
    /// Counters of the subtasks, and how long the workers have waited. Gives the time since the look before, in ms.
    ///
    /// A pause counts when it has ended, since the kernel tells of a wait for a core when that is over. Workers wait for each
    /// other, too (one has rows for the other, or no room for its rows), so that the longest wait of any of them is what a
    /// subtask had no core for.
    fn look(&mut self, at: Instant, values: &[f64], waited_s: &[f64]) -> Option<f64> {
        for (i, value) in values.iter().enumerate() {
            let now = || Counter { value: *value, seen: at, waited_s: waited_s.to_vec() };
            let Some(counter) = self.counters.get_mut(i) else {
                self.counters.push(now());
                continue;
            };
            if *value != counter.value {
                let still = at.duration_since(counter.seen).as_secs_f64();
                let waits = waited_s.iter().zip(&counter.waited_s).map(|(after, before)| after - before);
                self.longest = self.longest.max(still);
                self.longest_ready = self.longest_ready.max(still - waits.fold(0.0, f64::max));
                *counter = now();
            }
        }
        self.looked.replace(at).map(|before| at.duration_since(before).as_secs_f64() * 1e3)
    }

    /// The longest pause, and the longest one without waits for a core, in ms.
    fn take_longest_ms(&mut self) -> (f64, f64) {
        (std::mem::take(&mut self.longest) * 1e3, std::mem::take(&mut self.longest_ready) * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_that_of_the_subtask_that_stood_still() {
        let (mut watch, begun) = (Watch::default(), now());
        let at = |ms| begun + Duration::from_millis(ms);
        let mut taken = vec![];
        watch.look(at(0), &[1.0, 1.0], &[0.0, 0.0]);
        for ms in 1..=100u32 {
            let value = f64::from(ms);
            // The second one stands still for 21 ms, of which it has no core for 8, of which the kernel tells afterwards; then
            // for 31 ms, of which the other one, whose rows it gets, has no core for 20.
            let second = match ms {
                10..=30 => 10.0,
                60..=90 => 60.0,
                _ => value,
            };
            let waited_s = [if ms > 80 { 0.020 } else { 0.0 }, if ms > 30 { 0.008 } else { 0.0 }];
            watch.look(at(u64::from(ms)), &[value, second], &waited_s);
            if ms % 50 == 0 {
                taken.push(watch.take_longest_ms());
            }
        }
        let [(first, first_ready), (then, then_ready)] = taken[..] else { panic!("{taken:?}") };
        assert!((20.0..=21.5).contains(&first) && (12.0..=13.5).contains(&first_ready), "{taken:?}");
        assert!((30.0..=31.5).contains(&then) && (10.0..=11.5).contains(&then_ready), "{taken:?}");
        assert_eq!(watch.take_longest_ms(), (0.0, 0.0));
    }

    #[test]
    fn metrics_are_found_by_name_and_operator() {
        let metrics = Metrics(
            "# TYPE flink_jobmanager_job_uptime gauge\nflink_jobmanager_job_uptime{job_id=\"1\"} 12\n\
             flink_taskmanager_job_task_operator_stateRows{operator_name=\"LocalWindowAggregate(a)\",subtask_index=\"0\"} 1\n\
             flink_taskmanager_job_task_operator_stateRows{operator_name=\"GlobalWindowAggregate(a)\",subtask_index=\"0\"} 2\n\
             flink_taskmanager_job_task_operator_stateRowsPerSecond{operator_name=\"GlobalWindowAggregate(a)\"} 3\n"
                .to_string(),
        );
        assert_eq!(metrics.job("uptime"), Some(12.0));
        assert_eq!(metrics.subtasks("stateRows", |n| n.starts_with("Global")), [2.0]);
    }
}
