//! What users ask of a running attempt: checkpoints, a stop, a drain.

use flott_core::{CheckpointId, Error, FailPoint};
use flott_runtime::api::TaskCommand;

use super::{Drain, JobMaster, Positions, REQUESTS_MAX};
use crate::control::Request;

impl JobMaster {
    pub(super) fn on_request(&mut self, request: Request) {
        if self.stopping || self.drain.is_some() || self.coordinator.sources_ended() {
            return request.answer(Err(Error::user("the job is ending already: no checkpoint follows")));
        }
        if !self.options.after_tasks_finish && self.coordinator.any_ended() {
            let why = Error::user("a source has ended, and the job was told to take no checkpoint after that");
            let option = "execution.checkpointing.checkpoints-after-tasks-finish.enabled";
            return request.answer(Err(why.hint(format!("SET '{option}' = 'true' before the job starts"))));
        }
        self.wait_for_next(request);
    }

    /// With the next checkpoint comes the answer.
    fn wait_for_next(&mut self, request: Request) {
        if self.requests.len() >= REQUESTS_MAX {
            let why = Error::unavailable(format!("{REQUESTS_MAX} others wait for a checkpoint of this job already"));
            return request.answer(Err(why.hint("Try again once they have it")));
        }
        self.requests.push(request);
    }

    /// The checkpoint with which the job was to end has come to nothing, or had not what it was for. As in Flink the job goes
    /// on, unless somebody still waits for its end.
    pub(super) fn stop_again_or_resume(&mut self) {
        let now = self.clock.monotonic();
        if self.requests.iter().any(|request| request.ends) {
            self.next_checkpoint = Some(now);
            return;
        }
        tracing::warn!("the job goes on: it was to stop with a savepoint, and there is none");
        (self.stopping, self.last, self.unstopped) = (false, None, true);
        self.next_checkpoint = self.options.interval.map(|interval| now + interval);
        self.attempt.send(TaskCommand::Resume);
    }

    /// A last checkpoint, then the end. One that is under way does not serve: rows behind its barrier may have come to
    /// sinks that show them at once, and would come there again after a restore.
    pub(super) fn on_stop(&mut self, request: Request) {
        let is_first = !std::mem::replace(&mut self.stopping, true);
        if !self.has_store {
            self.cancelled = true;
            return self.attempt.cancel();
        }
        // Behind the barrier of a stop sources read nothing, so that they would not come to the end that a drain makes of
        // their input; and once a drain has begun no other checkpoint follows where that of the stop comes to nothing.
        if let Some(drain) = self.drain.take_if(|drain| drain.begun.is_none())
            && let Some(request) = drain.request
        {
            let why = Error::user("somebody else has stopped the job before its sources could be made to end");
            request.answer(Err(why.hint("Start it with --restore latest and drain it then")));
        }
        self.wait_for_next(request);
        if is_first {
            self.next_checkpoint = Some(self.clock.monotonic());
        }
    }

    pub(super) fn on_drain(&mut self, request: Request) {
        if self.stopping || self.drain.is_some() {
            return request.answer(Err(Error::user("the job is ending already")));
        }
        self.drain = Some(Drain { request: Some(request), begun: None });
    }

    /// Sources end once all restored splits are with their readers: what a savepoint holds must be complete. What the
    /// enumerators assign from here on comes nowhere; their state from before is what counts.
    pub(super) fn begin_drain(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        if drain.begun.is_some() || !self.enumerators.is_settled() {
            return;
        }
        let id = self.coordinator.pending().unwrap_or(CheckpointId(u64::MAX));
        match self.enumerators.snapshot(id) {
            Ok(enumerators) => drain.begun = Some(Positions { enumerators, ..Positions::default() }),
            Err(e) => return self.fail(e),
        }
        self.attempt.send(TaskCommand::Drain);
        self.fail_points.hit(FailPoint::Drain);
    }
}
