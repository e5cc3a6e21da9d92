//! Sources: an enumerator in the coordinator finds splits, readers in the workers read them (FLIP-27).
//!
//! A reader hands over each batch together with the state of its split *after* that batch. The runtime keeps the last
//! state of each split whose batch has entered the dataflow, so a checkpoint's positions are exactly the rows before
//! the barrier, and a reader is never asked to stop for one.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use flott_core::{ChangeBatch, CheckpointId, DecidedCheckpoint, Error, Result, Watermark};

use crate::Versioned;

/// Whether the input ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundedness {
    /// It ends by itself.
    Bounded,
    /// It goes on until the job is stopped.
    ContinuousUnbounded,
}

/// A part of a source: a file range, a partition. Its state (position) is inside `data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSplit {
    /// Unique within the source, and the same in every run (a path and a range, a topic and a partition).
    pub id: String,
    /// What to read and how far it has been read.
    pub data: Versioned,
}

/// Where a subtask stands among its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubtaskInfo {
    /// From 0.
    pub index: usize,
    /// How many there are.
    pub parallelism: usize,
}

/// A source: makes enumerators and readers. Shared by all threads.
pub trait Source: Send + Sync {
    /// Whether it ends.
    fn boundedness(&self) -> Boundedness;
    /// The enumerator, new or from its state in a checkpoint.
    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>>;
    /// The reader of one subtask; splits come later.
    fn create_reader(&self, subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>>;
    /// What becomes of a checkpoint's splits on a restore. False: they go to the new readers in turn. True: all of them
    /// go back to the enumerator, which assigns them anew ([`SplitEnumerator::add_splits_back`]): where it matters who
    /// reads what (Flink's `SupportsSplitReassignmentOnRecovery`).
    fn reassigns_splits_on_recovery(&self) -> bool {
        false
    }
    /// The partitions that it would read now, as EXPLAIN shows them (`{k=v, ..}`), where it reads some only.
    fn partitions(&self) -> Result<Option<Vec<String>>> {
        Ok(None)
    }
}

/// What an enumerator wants done. The coordinator does it after the call that pushed it has returned.
#[derive(Debug, Clone, PartialEq)]
pub enum EnumeratorAction {
    /// Give these splits to a reader.
    Assign {
        /// The reader's subtask.
        reader: usize,
        /// What it shall read.
        splits: Vec<SourceSplit>,
    },
    /// Tell a reader that no split will follow: it ends when it has read what it has.
    NoMoreSplits {
        /// The reader's subtask.
        reader: usize,
    },
    /// Send a connector's own event to its reader.
    SendEvent {
        /// The reader's subtask.
        reader: usize,
        /// The event.
        event: Versioned,
    },
}

/// What an [`AsyncCall`] gave: whatever the enumerator that began it wants to have back.
pub type CallOutput = Box<dyn Any + Send>;

/// Work for the outside that an enumerator has begun ([`EnumeratorContext::call_async`]).
pub struct AsyncCall(Pin<Box<dyn Future<Output = CallOutput> + Send>>);

impl AsyncCall {
    /// Does the work. What comes of it belongs to [`SplitEnumerator::handle_call`].
    pub async fn run(self) -> CallOutput {
        self.0.await
    }
}

impl fmt::Debug for AsyncCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsyncCall")
    }
}

/// What an enumerator sees of the readers, and where it leaves its wishes.
#[derive(Debug, Default)]
pub struct EnumeratorContext {
    /// Parallelism of the source.
    pub parallelism: usize,
    /// Subtasks whose readers are registered, in order.
    pub readers: Vec<usize>,
    /// Splits that each reader holds (index = subtask): for assignment by load.
    pub load: Vec<usize>,
    /// Wishes, in order.
    pub actions: Vec<EnumeratorAction>,
    /// Work to begin.
    pub calls: Vec<AsyncCall>,
    /// Of it, what tells the outside of a decided checkpoint.
    pub acknowledgements: Vec<AsyncCall>,
}

/// Calls of one enumerator that may be under way at a time; one more fails the job.
pub const ENUMERATOR_CALLS_MAX: usize = 64;

impl EnumeratorContext {
    /// Begins work that waits for the outside (Flink's `callAsync`). It runs beside the coordinator, sees nothing of the
    /// enumerator, and its output comes back by [`SplitEnumerator::handle_call`]. At most [`ENUMERATOR_CALLS_MAX`] may be
    /// under way. Work that is under way when the attempt ends is dropped: the next attempt's enumerator begins it anew.
    pub fn call_async<T: Any + Send>(&mut self, work: impl Future<Output = T> + Send + 'static) {
        self.calls.push(AsyncCall(Box::pin(async move { Box::new(work.await) as CallOutput })));
    }

    /// Begins work that tells the outside of a decided checkpoint. It runs beside the coordinator, nothing comes back, and what
    /// goes wrong in it is its own to tell. The end of a job waits for it, but only for some seconds; at most
    /// [`ENUMERATOR_CALLS_MAX`] for each source of a job may be under way.
    pub fn acknowledge(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        let done = async move {
            work.await;
            Box::new(()) as CallOutput
        };
        self.acknowledgements.push(AsyncCall(Box::pin(done)));
    }

    /// Gives splits to a reader.
    pub fn assign(&mut self, reader: usize, splits: Vec<SourceSplit>) {
        if let Some(load) = self.load.get_mut(reader) {
            *load += splits.len();
        }
        self.actions.push(EnumeratorAction::Assign { reader, splits });
    }

    /// Tells a reader that nothing follows.
    pub fn no_more_splits(&mut self, reader: usize) {
        self.actions.push(EnumeratorAction::NoMoreSplits { reader });
    }

    /// Sends a connector's own event.
    pub fn send_event(&mut self, reader: usize, event: Versioned) {
        self.actions.push(EnumeratorAction::SendEvent { reader, event });
    }
}

/// Finds splits and gives them to readers. One per source, in the coordinator; all calls come one after another.
///
/// No method waits: the coordinator decides checkpoints in the same loop. What waits for the outside is work for
/// [`EnumeratorContext::call_async`].
pub trait SplitEnumerator: Send {
    /// Called once, before any reader registers: the place to begin the first listing.
    fn start(&mut self, context: &mut EnumeratorContext) -> Result<()>;
    /// Work that [`EnumeratorContext::call_async`] began is done. An error here fails the attempt; one that may pass by
    /// itself is the enumerator's to try again.
    fn handle_call(&mut self, _output: CallOutput, _context: &mut EnumeratorContext) -> Result<()> {
        Err(Error::internal("an enumerator does not handle the call that it began"))
    }
    /// Where `Some`, [`discover`](Self::discover) is called at this interval.
    fn discovery_interval(&self) -> Option<Duration> {
        None
    }
    /// Time to look for new splits. The look before may still be under way.
    fn discover(&mut self, _context: &mut EnumeratorContext) -> Result<()> {
        Ok(())
    }
    /// A reader is there.
    fn add_reader(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()>;
    /// A reader has nothing to read.
    fn handle_split_request(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()>;
    /// Splits of a checkpoint that no reader holds ([`Source::reassigns_splits_on_recovery`]): to be assigned again, each
    /// from its position on.
    fn add_splits_back(&mut self, splits: Vec<SourceSplit>, context: &mut EnumeratorContext) -> Result<()>;
    /// A connector's own event from its reader.
    fn handle_source_event(
        &mut self,
        _reader: usize,
        _event: Versioned,
        _context: &mut EnumeratorContext,
    ) -> Result<()> {
        Ok(())
    }
    /// The state at this checkpoint: everything that has been found, and not yet assigned. Splits assigned before the
    /// call are in the readers' state; none is in both.
    fn snapshot_state(&mut self, checkpoint: CheckpointId) -> Result<Versioned>;
    /// The checkpoint is decided: what it covers may be acknowledged to the outside, by [`EnumeratorContext::acknowledge`].
    /// That of a job's end comes, too, when all readers are gone. `splits`: those that readers held, where they stood in it.
    fn notify_checkpoint_complete(
        &mut self,
        _checkpoint: &DecidedCheckpoint,
        _splits: &[SourceSplit],
        _context: &mut EnumeratorContext,
    ) -> Result<()> {
        Ok(())
    }
    /// The checkpoint came to nothing.
    fn notify_checkpoint_aborted(&mut self, _checkpoint: CheckpointId, _context: &mut EnumeratorContext) -> Result<()> {
        Ok(())
    }
}

/// What a reader has for the runtime.
#[derive(Debug)]
pub enum ReaderEvent {
    /// Rows of one split.
    Batch(SourceBatch),
    /// A split is read to its end; its state is dropped from the next checkpoint.
    SplitFinished {
        /// Its id.
        split: String,
    },
    /// Nothing to read, and splits are welcome ([`SplitEnumerator::handle_split_request`] follows).
    NeedSplits,
    /// A connector's own event for its enumerator.
    Event(Versioned),
    /// All splits are finished and none will follow.
    EndOfInput,
}

/// Rows of one split and the split's state after them.
#[derive(Debug, Clone)]
pub struct SourceBatch {
    /// The id of the split.
    pub split: String,
    /// The rows, in the source's produced schema (physical columns, then metadata columns). May be empty, where only
    /// the position moves.
    pub rows: ChangeBatch,
    /// The split, positioned after these rows.
    pub position: Versioned,
    /// A watermark that the source itself knows (`SOURCE_WATERMARK()`), valid after these rows.
    pub watermark: Option<Watermark>,
    /// Records that the format skipped as unreadable (`ignore-parse-errors`) since the last batch, dead letters included.
    pub skipped: u64,
    /// Those of them that go to a table of their own, with the schema of [`dead_letter`](crate::dead_letter::schema).
    pub dead_letters: Option<arrow_array::RecordBatch>,
}

/// Reads splits. One per subtask, in an async task of its own.
#[async_trait]
pub trait SourceReader: Send {
    /// Called once, before any split.
    async fn start(&mut self) -> Result<()> {
        Ok(())
    }
    /// New splits, or restored ones with their positions.
    fn add_splits(&mut self, splits: Vec<SourceSplit>) -> Result<()>;
    /// No split will follow.
    fn no_more_splits(&mut self);
    /// The next event. The runtime may drop the future while it waits and call again: nothing may be lost then.
    /// After [`ReaderEvent::NeedSplits`] it is called again only when there are new splits, or there will be none, or one
    /// that was paused is to be read again.
    async fn next(&mut self) -> Result<ReaderEvent>;
    /// Records of its splits that are there and not read yet, where the outside tells (`pendingRecords`). Must not wait.
    fn pending_records(&self) -> Option<u64> {
        None
    }
    /// Bytes of its splits that are there and not read yet, where the outside counts those (`pendingBytes`): what is left
    /// of files, as they are stored. Must not wait.
    fn pending_bytes(&self) -> Option<u64> {
        None
    }
    /// Stops or restarts the reading of splits (watermark alignment).
    fn pause_or_resume_splits(&mut self, _pause: &[String], _resume: &[String]) {}
    /// A connector's own event from its enumerator.
    fn handle_source_event(&mut self, _event: Versioned) -> Result<()> {
        Ok(())
    }
    /// What a checkpoint that is under way holds of this reader's splits: the positions to acknowledge once it is decided.
    /// Nothing is to be done yet, and it may come to nothing.
    fn snapshot_taken(&mut self, _checkpoint: CheckpointId, _splits: &[SourceSplit]) {}
    /// The checkpoint is decided: positions up to it may be acknowledged to the outside.
    async fn notify_checkpoint_complete(&mut self, _checkpoint: &DecidedCheckpoint) -> Result<()> {
        Ok(())
    }
    /// Releases what it holds.
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}
