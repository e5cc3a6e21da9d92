//! A checkpoint that is complete: its files, the decision, the commit, and what follows from them.

use std::sync::Arc;

use flott_core::Result;
use flott_runtime::api::TaskCommand;

use super::{Finalized, JobMaster};
use crate::checkpoint::Collected;
use crate::finalize;
use crate::savepoints::{self, OfTheEnd};

impl JobMaster {
    pub(super) fn finalize_if_complete(&mut self) {
        if self.failure.is_some() || self.durable.is_none() {
            return;
        }
        if let Some(collected) = self.coordinator.take_complete() {
            self.finalize(collected, None, false);
        }
    }

    /// Off the loop: deciding and committing may take long, and splits are handed out meanwhile.
    ///
    /// Savepoints are written here too, of `drained` where the job's input was made to end: its files must not be retired
    /// meanwhile.
    pub(super) fn finalize(&mut self, mut collected: Collected, drained: Option<Collected>, finished: bool) {
        let Some((mut store, mut committers)) = self.durable.take() else { return };
        let requests = std::mem::take(&mut self.attached);
        let (graph, fail_points, now_ms) = (Arc::clone(&self.graph), self.fail_points.clone(), self.clock.now_ms());
        let give_up = self.give_up.clone();
        self.finalizing = Some(tokio::spawn(async move {
            let (end, requests) = match drained {
                None => (None, requests),
                Some(drained) => {
                    let prepared = async {
                        let manifest = finalize::manifest(&graph, &store, &drained, now_ms, false)?;
                        OfTheEnd::prepare(&store, requests, &manifest, &give_up).await
                    };
                    match prepared.await {
                        Ok(end) => (Some(end), vec![]),
                        Err(e) => {
                            finalize::abort(&graph, &mut committers, &collected.committables).await;
                            return Finalized { store, committers, undrained: true, unstopped: false, result: Err(e) };
                        }
                    }
                }
            };
            let result = async {
                finalize::pre_commit(&mut committers, &mut collected).await?;
                let manifest = finalize::manifest(&graph, &store, &collected, now_ms, finished)?;
                let decided = finalize::finalize(&graph, &mut store, &mut committers, &fail_points, &manifest).await?;
                Ok((decided, manifest))
            }
            .await;
            let mut unstopped = false;
            let result = match (result, end) {
                (Ok((decided, manifest)), None) => {
                    unstopped = savepoints::answer(&store, requests, &manifest, &give_up).await;
                    Ok((decided, manifest))
                }
                // The end is decided and committed, but is not marked as one: a restore goes on where the sources stood.
                (Ok(done), Some(end)) => end.publish().await.map(|()| done),
                (Err(e), None) => Err(e),
                (Err(e), Some(end)) => {
                    end.discard(&e).await;
                    Err(e)
                }
            };
            Finalized { store, committers, undrained: false, unstopped, result }
        }));
    }

    pub(super) fn on_finalized(&mut self, done: Result<Finalized>) {
        let done = match done {
            Ok(done) => done,
            Err(e) => return self.fail(e),
        };
        self.durable = Some((done.store, done.committers));
        self.undrained |= done.undrained;
        self.coordinator.finalized();
        match done.result {
            Ok((decided, manifest)) => {
                let (now, now_ms) = (self.clock.monotonic(), self.clock.now_ms());
                let duration = now.saturating_sub(self.triggered_at);
                tracing::debug!(checkpoint = decided.id().0, ms = duration.as_millis() as u64, "checkpoint committed");
                self.report.send_modify(|s| {
                    (s.checkpoints, s.checkpoints_in_progress) = (s.checkpoints + 1, 0);
                    s.last_checkpoint = Some(decided.id());
                    s.last_checkpoint_ms = Some(now_ms);
                    s.last_duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                    s.last_state_bytes = manifest.state_bytes();
                    s.last_new_bytes = manifest.new_bytes();
                });
                self.failed_in_a_row = 0;
                self.metrics.settle(decided.id().0);
                if !self.stopping {
                    self.next_checkpoint = self.next_checkpoint.map(|at| at.max(now + self.options.min_pause));
                }
                let is_last = self.last.is_some_and(|last| decided.id() >= last);
                let commands = self.enumerators.checkpoint_complete(&decided, &manifest);
                self.send_all(commands);
                self.attempt.send(TaskCommand::CheckpointComplete(decided));
                if is_last && done.unstopped {
                    self.stop_again_or_resume();
                } else if is_last {
                    self.attempt.cancel();
                }
            }
            Err(e) => self.fail(e),
        }
    }
}
