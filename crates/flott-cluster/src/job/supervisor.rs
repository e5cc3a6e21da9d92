//! A job over all of its attempts: started, started again after failures, until one ends well or nobody wants another.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use flott_core::rng::Rng;
use flott_core::{Error, ErrorKind, Result};
use flott_graph::{JobGraph, OperatorSpec};
use flott_runtime::metrics::JobMetrics;
use flott_runtime::panicked;
use flott_state::store::Tenure;
use futures::FutureExt;
use tokio::sync::{Mutex, watch};

use super::{JobMaster, JobSpec};
use crate::control::{Desk, Ending, JobHandle, JobOutcome, JobState, Wishes, handle};
use crate::process::pool::{Pool, SharedPool};
use crate::restart::Restarts;
use crate::status::JobStatus;

/// Starts a job. What was decided before and not committed is committed first. A failure of the first attempt's opening
/// is the caller's; later ones are the restart strategy's.
pub async fn start(mut spec: JobSpec) -> Result<JobHandle> {
    if let Some(mistake) = spec.fail_points.planted() {
        spec.graph = Arc::new(crate::planted::plant(&spec.graph, mistake));
    }
    for warning in clamped(&spec.graph, spec.parallelism) {
        tracing::warn!("{warning}");
    }
    let metrics = Arc::new(JobMetrics::new(spec.graph.nodes.len(), spec.parallelism));
    let (graph, open_savepoint) = (Arc::clone(&spec.graph), Arc::clone(&spec.savepoints));
    let store = spec.store.take();
    let now_ms = spec.clock.now_ms();
    let room = (spec.processes.as_ref().map_or(1, |p| p.processes), spec.parallelism);
    let (job, desk) = handle(graph, Arc::clone(&metrics), open_savepoint, store.is_some(), now_ms, room);
    let Desk { wishes, report, done } = desk;
    let tenure = store.as_ref().map(|(store, _)| store.tenure());
    let pool = match spec.processes.take() {
        Some(options) => Some(Arc::new(Mutex::new(Pool::new(options).await?))),
        None => None,
    };
    let opening = JobMaster::open(&spec, store, pool.as_ref(), Arc::clone(&metrics), report.clone());
    let master = unless_panic("the start of the job", Box::pin(opening)).await?;
    let clock = Arc::clone(&spec.clock);
    let supervisor = Supervisor { spec, pool: pool.clone(), tenure, metrics, report, wishes };
    let last_word = supervisor.report.clone();
    tokio::spawn(async move {
        let mut outcome = Box::pin(supervisor.run(master)).await;
        if let Some(pool) = pool {
            pool.lock().await.quit().await;
        }
        let status = match &outcome {
            Ok(JobOutcome::Finished(_)) => JobStatus::Finished,
            Ok(JobOutcome::Suspended(_)) => JobStatus::Suspended,
            Ok(JobOutcome::Cancelled(_)) => JobStatus::Canceled,
            Err(_) => JobStatus::Failed,
        };
        last_word.send_modify(|s| {
            (s.status, s.ended_ms, s.checkpoints_in_progress) = (status, Some(clock.now_ms()), 0);
        });
        if let Ok(JobOutcome::Finished(s) | JobOutcome::Suspended(s) | JobOutcome::Cancelled(s)) = &mut outcome {
            *s = *last_word.borrow();
        }
        drop(last_word);
        // Nobody may be waiting any more.
        drop(done.send(outcome));
    });
    Ok(job)
}

/// What a table's options ask for and the job does not have.
fn clamped(graph: &JobGraph, parallelism: usize) -> Vec<String> {
    let mut warnings = vec![];
    for (_, node) in graph.iter() {
        let (option, table, wanted) = match &node.spec {
            OperatorSpec::Source(s) => ("scan.parallelism", &s.table, s.parallelism.or(node.parallelism)),
            OperatorSpec::Sink(s) => ("sink.parallelism", &s.table, node.parallelism),
            _ => continue,
        };
        if let Some(wanted) = wanted.filter(|wanted| *wanted > parallelism) {
            warnings.push(format!(
                "'{option}' = '{wanted}' of table '{}' is more than the job's parallelism of {parallelism}, which it gets: \
                 raise 'parallelism.default' (-p) to {wanted}",
                table.object
            ));
        }
    }
    warnings
}

/// Whether it is for want of space on a disk: by the system's words, which also come from other processes and through stores.
fn is_of_full_disk(error: &Error) -> bool {
    let text = error.message_and_cause();
    ["No space left on device", "Disk quota exceeded"].iter().any(|words| text.contains(words))
}

/// A panic is a failed job in a living process, and nothing of it runs on.
async fn unless_panic<T>(who: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(who, panic.as_ref())))
}

/// Runs attempt after attempt, until one ends well or the restart strategy gives up.
struct Supervisor {
    spec: JobSpec,
    /// The other processes.
    pool: Option<SharedPool>,
    /// `None` for a job without checkpoints, which begins anew.
    tenure: Option<Tenure>,
    metrics: Arc<JobMetrics>,
    report: watch::Sender<JobState>,
    wishes: Wishes,
}

impl Supervisor {
    async fn run(mut self, first: JobMaster) -> Result<JobOutcome> {
        // The attempt that is dropped with the panic is cancelled.
        let outcome = unless_panic("the job's coordinator", Box::pin(self.attempts(first))).await;
        if outcome.is_err()
            && let Some(tenure) = &self.tenure
        {
            give_back(tenure).await;
        }
        self.report.send_modify(|s| s.ending = self.wishes.end);
        outcome
    }

    async fn attempts(&mut self, first: JobMaster) -> Result<JobOutcome> {
        let mut restarts = Restarts::new(self.spec.restarts);
        let mut rng = Rng::from_entropy();
        let mut attempt = Ok(first);
        loop {
            let outcome = match attempt {
                Ok(master) => master.run(&mut self.wishes).await,
                Err(e) => Err(e),
            };
            let error = match outcome {
                Ok(outcome) => return Ok(outcome),
                Err(error) => self.unless_taken_over(error).await,
            };
            let was_to_end = self.wishes.end.is_some();
            if was_to_end && !self.wishes.allow_another_attempt() {
                let has_checkpoint = self.tenure.is_some() && self.report.borrow().last_checkpoint.is_some();
                return Err(error.hint(if has_checkpoint {
                    "It failed while it was to end; --restore latest goes on from the last checkpoint"
                } else {
                    "It failed while it was to end, before its first checkpoint"
                }));
            }
            let Some(pause) = restarts.after(&error, self.spec.clock.monotonic(), &mut rng) else { return Err(error) };
            if was_to_end {
                tracing::warn!("the job goes on: it was to stop with a savepoint or a drain, and has failed before");
            }
            // The next one: the first is 1.
            let number = self.report.borrow().restarts + 2;
            let (kind, pause_ms) = (error.kind().code(), pause.as_millis() as u64);
            let what = if is_of_full_disk(&error) {
                "a disk is full: the job is started again until there is room"
            } else {
                "the job failed and is started again"
            };
            tracing::warn!(kind, %error, attempt = number, pause_ms, "{what}");
            attempt = match self.next_attempt(pause).await {
                Some(attempt) => attempt,
                None if self.wishes.end == Some(Ending::Stop) && self.tenure.is_some() => {
                    return Ok(JobOutcome::Suspended(*self.report.borrow()));
                }
                None => return Ok(JobOutcome::Cancelled(*self.report.borrow())),
            };
        }
    }

    /// The error, or that another attempt has taken the job over, which has most often brought it about.
    async fn unless_taken_over(&self, error: Error) -> Error {
        let Some(tenure) = &self.tenure else { return error };
        match tenure.check().await {
            Err(fenced) if fenced.kind() == ErrorKind::Fenced => fenced,
            _ => error,
        }
    }

    /// Waits, then opens the next attempt; `None` where a user wants an end meanwhile. What is decided is then committed
    /// by whoever opens the job next.
    async fn next_attempt(&mut self, pause: Duration) -> Option<Result<JobMaster>> {
        let failed_ms = self.spec.clock.now_ms();
        self.report.send_modify(|s| (s.status, s.failed_ms) = (JobStatus::Restarting, Some(failed_ms)));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.wishes.end_between_attempts() => return None,
        }
        let Supervisor { spec, pool, tenure, metrics, report, wishes } = self;
        report.send_modify(|s| (s.restarts, s.checkpoints_in_progress) = (s.restarts + 1, 0));
        let attempt = tokio::select! {
            attempt = reopen(spec, pool.as_ref(), tenure, metrics, report) => attempt,
            () = wishes.end_between_attempts() => return None,
        };
        // Not before: until then what needs a running attempt is refused.
        if attempt.is_ok() {
            let now_ms = spec.clock.now_ms();
            report.send_modify(|s| {
                s.attempt_started_ms = now_ms;
                s.status = JobStatus::Running;
            });
        }
        Some(attempt)
    }
}

/// A job that a savepoint was to replace, and that has failed before its first checkpoint, has not replaced it: the
/// checkpoints from before are those of the job again.
pub async fn give_back(tenure: &Tenure) {
    match tenure.give_back().await {
        Ok(true) => tracing::warn!(
            "the savepoint has not replaced the checkpoints that were there before: --restore latest goes on from those"
        ),
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "the checkpoints that were there before cannot be given back"),
    }
}

async fn reopen(
    spec: &JobSpec,
    pool: Option<&SharedPool>,
    tenure: &mut Option<Tenure>,
    metrics: &Arc<JobMetrics>,
    report: &watch::Sender<JobState>,
) -> Result<JobMaster> {
    let store = match tenure {
        Some(tenure) => Some(tenure.reopen().await?),
        None => None,
    };
    *tenure = store.as_ref().map(|(store, _)| store.tenure());
    // Rows behind what it goes on from are counted again.
    metrics.rewind(store.as_ref().and_then(|(_, opened)| opened.manifest.as_ref()).map(|m| m.checkpoint.0));
    JobMaster::open(spec, store, pool, Arc::clone(metrics), report.clone()).await
}
