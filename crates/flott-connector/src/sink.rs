//! Sinks: writers in the workers, one committer in the coordinator (Sink V2).
//!
//! Order at a checkpoint: all rows of the epoch -> `flush(false)` -> `prepare_commit` -> `snapshot_state` -> the
//! committer's `pre_commit` -> the checkpoint is decided -> `commit`. On restore everything in the manifest is committed again, so `commit` has to be
//! idempotent. At the end of a bounded input: `flush(true)`, then the same for the final checkpoint.

use async_trait::async_trait;
use flott_core::{ChangeBatch, CheckpointId, DecidedCheckpoint, Generation, Result, Watermark};

use crate::Versioned;
use crate::source::SubtaskInfo;

/// How output becomes visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryGuarantee {
    /// Nothing is promised (print, blackhole).
    None,
    /// Rows may come again after a failure.
    AtLeastOnce,
    /// Rows become visible by commit of a decided checkpoint, once.
    ExactlyOnce,
    /// Written at once, but idempotent by key.
    EffectivelyOnce,
}

/// What a writer needs to know about the attempt it belongs to.
#[derive(Debug, Clone)]
pub struct WriterContext {
    /// Which writer.
    pub subtask: SubtaskInfo,
    /// Identity of the job lineage: part of every staged name.
    pub lineage: String,
    /// Number of the attempt: part of every staged name, so that a dead attempt's leftovers are told from ours.
    pub generation: Generation,
    /// The operator's stable id.
    pub operator_uid: String,
}

/// Something that a committer makes visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committable {
    /// Unique within the sink.
    pub id: String,
    /// What to commit, enough to do it without the process that wrote it.
    pub data: Versioned,
}

/// What came of one committable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Done now.
    Committed,
    /// It had been done before.
    AlreadyCommitted,
    /// Not now: try again later.
    RetryLater {
        /// Why.
        reason: String,
    },
    /// Never: another try would come to the same. The others of the call count as they say; the job fails and is not
    /// started again by itself, since rows would be missing. (Flink's `signalFailedWithKnownReason` logs it and goes on.)
    Failed {
        /// Why, and what to do about it.
        reason: String,
    },
}

/// A sink: makes writers and a committer. Shared by all threads.
pub trait Sink: Send + Sync {
    /// What it promises.
    fn guarantee(&self) -> DeliveryGuarantee;
    /// False where what is committed becomes visible only with the whole (an overwrite): a savepoint would part the job
    /// from it, and a drained job would show a half for the whole.
    fn supports_savepoints(&self) -> bool {
        true
    }
    /// True where event time decides what it does: where nothing else needs watermarks, mini-batches let none through.
    fn reads_watermarks(&self) -> bool {
        false
    }
    /// The writer of one subtask, with the writer states that a checkpoint holds for it.
    fn create_writer(&self, context: WriterContext, restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>>;
    /// The committer, where the sink has one.
    fn create_committer(&self, _context: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        Ok(None)
    }
}

/// What a committer needs to know.
#[derive(Debug, Clone)]
pub struct CommitterContext {
    /// Identity of the job lineage.
    pub lineage: String,
    /// Number of the attempt.
    pub generation: Generation,
    /// The operator's stable id.
    pub operator_uid: String,
    /// Lineages of the same job that a fresh start has replaced: nobody commits what they have staged.
    pub replaced_lineages: Vec<String>,
}

/// Writes rows. One per subtask, in an async task of its own.
#[async_trait]
pub trait SinkWriter: Send {
    /// Rows of the current epoch, in order.
    async fn write(&mut self, batch: ChangeBatch) -> Result<()>;
    /// Event time has moved.
    async fn write_watermark(&mut self, _watermark: Watermark) -> Result<()> {
        Ok(())
    }
    /// Makes all rows written so far durable (staged, not visible); true at the end of the input.
    async fn flush(&mut self, end_of_input: bool) -> Result<()>;
    /// Closes the epoch: what the committer shall make visible once the checkpoint is decided.
    async fn prepare_commit(&mut self, _checkpoint: CheckpointId) -> Result<Vec<Committable>> {
        Ok(vec![])
    }
    /// The writer's own state at this checkpoint.
    async fn snapshot_state(&mut self, _checkpoint: CheckpointId) -> Result<Vec<Versioned>> {
        Ok(vec![])
    }
    /// Bytes written to the outside so far.
    fn bytes_written(&self) -> u64 {
        0
    }
    /// Releases what it holds; staged rows stay for the committer.
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Makes prepared output visible. One per sink, in the coordinator; all calls come one after another. It sees all writers'
/// committables of a checkpoint in one call, so what Flink calls a global committer is this one, too.
#[async_trait]
pub trait Committer: Send {
    /// Before the decision: puts together what the writers have prepared, where that makes fewer or better committables
    /// (one manifest of all files, one file of many). What it gives takes their place in the checkpoint, and has to be as
    /// durable as they were. Nothing may become visible. Each committable comes here once, in a call that holds all of the
    /// checkpoint. Not called without any.
    async fn pre_commit(
        &mut self,
        _checkpoint: CheckpointId,
        committables: Vec<Committable>,
    ) -> Result<Vec<Committable>> {
        Ok(committables)
    }
    /// Commits, idempotently; one outcome for each committable, in order. All committables of one checkpoint come in
    /// one call (a repeated one after [`CommitOutcome::RetryLater`] holds only the rest).
    async fn commit(
        &mut self,
        checkpoint: &DecidedCheckpoint,
        committables: &[Committable],
    ) -> Result<Vec<CommitOutcome>>;
    /// The attempt ends before its input does, and its writers are closed. These committables, perhaps none, will never be
    /// in a checkpoint (writers prepared them behind the last decided one): what was staged for them can go. One that is
    /// killed gets no such call, and the next one cleans up. An error is noted and changes nothing.
    async fn abort(&mut self, _committables: &[Committable]) -> Result<()> {
        Ok(())
    }
    /// Called once an attempt starts, after all decided committables are committed: removes what dead attempts of this
    /// lineage staged and nobody will commit. `keep` are the ids of committables that are still pending.
    async fn clean_up(&mut self, _keep: &[String]) -> Result<()> {
        Ok(())
    }
    /// The attempt was replaced, and its successor has finished the job meanwhile: no attempt follows that would clean up.
    /// Nothing that this or an older attempt has staged is needed. An error is noted and changes nothing.
    async fn sweep(&mut self) -> Result<()> {
        Ok(())
    }
    /// The input has ended and everything is committed (a bounded job's last call).
    async fn finish(&mut self, _checkpoint: &DecidedCheckpoint) -> Result<()> {
        Ok(())
    }
}
