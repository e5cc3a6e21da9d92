//! The end of an attempt: what is under way is finished or taken back, and the job is finished, suspended or cancelled.

use std::time::Duration;

use flott_core::{CheckpointId, Error, Result};
use flott_state::manifest::JobStatus as StoredStatus;

use super::{JobMaster, join_first};
use crate::checkpoint::Collected;
use crate::control::{Ending, JobOutcome, Wishes};
use crate::finalize;

/// The longest that the end of an attempt waits for state files that are being written.
const WRITING_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that a cancelled job waits for a commit that is under way.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

/// The longest that the end of a job waits until the outside has heard how far its sources have come.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that the end of an attempt waits for sinks to remove what they staged in vain.
const ABORT_TIMEOUT: Duration = Duration::from_secs(2);

impl JobMaster {
    pub(super) async fn end(mut self, finished: bool, wishes: &mut Wishes) -> Result<JobOutcome> {
        self.attempt.join().await;
        if finished && self.failure.is_none() {
            self.complete_under_way(wishes).await;
        }
        // Their checkpoint comes to nothing, but a file that appears after the last clean-up would stay. A write that
        // blocks cannot be called back, so it is waited for; one that hangs is left to the next attempt's clean-up.
        let writing = futures::future::join_all(self.writing.drain(..));
        drop(tokio::time::timeout(WRITING_TIMEOUT, writing).await);
        self.finish_committing(wishes).await;
        if !finished || self.failure.is_some() {
            self.abort_undecided().await;
        }
        if let Some(error) = self.failure.take() {
            self.sweep_finished().await;
            return Err(error);
        }
        if self.cancelled {
            return Ok(JobOutcome::Cancelled(*self.report.borrow()));
        }
        if !finished {
            if let Some((store, _)) = &mut self.durable {
                store.set_status(StoredStatus::Suspended).await?;
            }
            self.acknowledge(wishes).await;
            return Ok(JobOutcome::Suspended(*self.report.borrow()));
        }
        if let Err(error) = self.finish(wishes).await {
            self.sweep_finished().await;
            return Err(error);
        }
        if self.durable.is_none() && self.has_store {
            return Ok(JobOutcome::Cancelled(*self.report.borrow()));
        }
        self.acknowledge(wishes).await;
        Ok(JobOutcome::Finished(*self.report.borrow()))
    }

    /// Nobody comes later to tell the outside of the last checkpoint. An outside that is away does not keep a job from its end:
    /// what counts is in the checkpoint.
    async fn acknowledge(&mut self, wishes: &mut Wishes) {
        tokio::select! {
            () = self.enumerators.acknowledged() => {}
            () = wishes.cancelled() => {}
            () = tokio::time::sleep(ACKNOWLEDGE_TIMEOUT) => {
                tracing::warn!("the outside of a source does not answer: it may not know how far the job has read");
            }
        }
    }

    /// All tasks have ended, and their reports are in. A checkpoint of which nothing is missing but state that is still being
    /// written is waited for: a savepoint of it is of what its barriers have cut, and not of the end. One that takes too long
    /// comes to nothing, as at any other time; its output is in the last one.
    async fn complete_under_way(&mut self, wishes: &mut Wishes) {
        let deadline = self.triggered_at + self.options.timeout;
        while self.coordinator.pending().is_some() && !self.writing.is_empty() && self.failure.is_none() {
            let left = deadline.saturating_sub(self.clock.monotonic());
            tokio::select! {
                done = join_first(&mut self.writing) => self.on_written(done),
                () = wishes.cancelled() => return,
                () = tokio::time::sleep(left) => return,
            }
        }
    }

    /// Output behind the last checkpoint goes: it is read again, or not wanted. Staged files need not wait for an attempt
    /// that may never come.
    pub(super) async fn abort_undecided(&mut self) {
        let undecided = self.coordinator.take_undecided();
        if let Some((_, committers)) = &mut self.durable {
            let abort = finalize::abort(&self.graph, committers, &undecided);
            drop(tokio::time::timeout(ABORT_TIMEOUT, abort).await);
        }
    }

    /// What this attempt has staged, where another one has finished the job: nobody comes later to remove it.
    pub(super) async fn sweep_finished(&mut self) {
        let Some((store, committers)) = &mut self.durable else { return };
        if matches!(store.is_finished_by_successor().await, Ok(true)) {
            drop(tokio::time::timeout(ABORT_TIMEOUT, finalize::sweep(&self.graph, committers)).await);
        }
    }

    /// What is decided is committed, whatever ends the attempt. Only a user who cancels does not wait for a target that
    /// is away: the next attempt commits then.
    pub(super) async fn finish_committing(&mut self, wishes: &mut Wishes) {
        let Some(mut task) = self.finalizing.take() else { return };
        let give_up = self.give_up.clone();
        let patience = async {
            wishes.cancelled().await;
            give_up.give_up();
            tokio::time::sleep(CANCEL_GRACE).await;
        };
        tokio::select! {
            done = &mut task => {
                let done = done.map_err(|e| Error::internal("committing ended early").caused_by(e));
                self.on_finalized(done);
            }
            () = patience => {
                task.abort();
                tracing::warn!("decided output is not committed yet: it is when the job is run with --restore latest");
            }
        }
    }

    /// Whoever waits for a checkpoint hears of the last one. A savepoint of it holds where the sources stood when they
    /// were made to end; of an input that ended by itself nothing is left to go on with.
    pub(super) fn attach_to_last(&mut self, last: &Collected) -> Option<Collected> {
        for request in std::mem::take(&mut self.requests) {
            if request.to.is_some() {
                request
                    .answer(Err(Error::user("the job has processed all of its input: there is nothing to go on with")));
            } else {
                self.attached.push(request);
            }
        }
        let drain = self.drain.take()?;
        let positions = drain.begun?;
        self.attached.extend(drain.request);
        Some(Collected {
            checkpoint: last.checkpoint,
            enumerators: positions.enumerators,
            splits: positions.splits,
            writers: last.writers.clone(),
            ..Collected::default()
        })
    }

    /// The final checkpoint of a bounded job: everything prepared becomes visible, then nothing is left to keep.
    pub(super) async fn finish(&mut self, wishes: &mut Wishes) -> Result<()> {
        if !self.has_store {
            return Ok(());
        }
        if !self.coordinator.sinks_ended() {
            return Err(Error::internal("the input has ended, but not every sink has said so"));
        }
        let under_way = self.coordinator.pending();
        if under_way.is_some() {
            // It comes to nothing here. Who waits for it waits for the end, where that is what they want.
            self.requests.append(&mut self.attached);
        }
        let enumerators = self.enumerators.snapshot(under_way.unwrap_or(CheckpointId(u64::MAX)))?;
        self.triggered_at = self.clock.monotonic();
        let mut collected = self.coordinator.take_final();
        collected.enumerators = enumerators;
        let drained = self.attach_to_last(&collected);
        if let Some(positions) = &drained {
            // Whoever restores it, because the job died before it was marked as finished, goes on where the sources were
            // made to end.
            collected.enumerators = positions.enumerators.clone();
            collected.splits = positions.splits.clone();
            collected.ended_operators.clear();
        }
        // Once its end is decided a drained job has no state that another attempt could go on with.
        let is_drained = drained.is_some();
        self.finalize(collected, drained, true);
        self.finish_committing(wishes).await;
        if is_drained && !self.undrained {
            wishes.end_in_any_case();
        }
        if self.undrained && wishes.end == Some(Ending::Cancel) {
            self.durable = None;
            return Ok(());
        }
        if let Some(error) = self.failure.take() {
            if self.undrained {
                // As in Flink: a job that cannot be stopped as it was asked to goes on.
                wishes.end = None;
            }
            return Err(error);
        }
        let proof = self.durable.as_ref().and_then(|(store, _)| store.last_decided());
        if let (Some((store, committers)), Some(proof)) = (&mut self.durable, proof) {
            let tenure = store.tenure();
            let all = async {
                for committer in committers.values_mut() {
                    // One that slept must not replace, or report as complete, what is another attempt's by now.
                    tenure.check().await?;
                    committer.finish(&proof).await?;
                }
                Ok::<(), Error>(())
            };
            let patience = async {
                wishes.cancelled().await;
                tokio::time::sleep(CANCEL_GRACE).await;
            };
            tokio::select! {
                done = all => {
                    done?;
                    store.set_status(StoredStatus::Finished).await?;
                    return store.retire().await;
                }
                () = patience => {
                    tracing::warn!("the end of the output is not written yet: it is when the job is run with --restore latest");
                }
            }
        }
        // Cancelled, see `end`.
        self.durable = None;
        Ok(())
    }
}
