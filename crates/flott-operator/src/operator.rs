//! The interface between operators and whatever drives them.

use arrow_array::{RecordBatch, UInt32Array};
use flott_core::{ChangeBatch, Error, Result, Watermark};
use flott_state::{OperatorSnapshot, RestoredState};

/// What an operator sends on.
#[derive(Debug, Clone)]
pub enum Emission {
    /// Rows on an output port (0 main, 1 late rows).
    Batch {
        /// The port.
        port: usize,
        /// The rows.
        batch: ChangeBatch,
    },
    /// Event time has moved, behind everything emitted before.
    Watermark(Watermark),
}

/// Lookups of one subtask that may be under way.
pub const LOOKUPS_MAX: usize = 16;

/// Keys that an operator wants rows of a table outside for.
#[derive(Debug, Clone)]
pub struct LookupRequest {
    /// Its number.
    pub id: u64,
    /// Distinct keys without NULLs.
    pub keys: RecordBatch,
}

/// Whether an operator waits for lookups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaiting {
    /// For none.
    Nothing,
    /// For some; it takes more rows meanwhile.
    Some,
    /// For so many that it takes nothing before one has come.
    Full,
}

/// Counters that people see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperatorMetrics {
    /// Rows dropped (or sent to the side output) because their window was over (`numLateRecordsDropped`).
    pub late_records_dropped: u64,
    /// Rows dropped by an enforcer.
    pub records_dropped: u64,
    /// Bytes of state, estimated.
    pub state_bytes: u64,
    /// Entries of state (keys, windows).
    pub state_rows: u64,
}

/// What an operator sees during a call, and where it leaves what it emits.
#[derive(Debug, Default)]
pub struct OperatorContext {
    /// Processing time in milliseconds since the epoch, stamped by the driver before each call.
    pub processing_time_ms: i64,
    /// Event time of the operator: the last watermark that it was given.
    pub watermark: Option<Watermark>,
    /// The last watermark that has arrived since the start: what `CURRENT_WATERMARK(..)` shows, as in Flink.
    pub arrived: Option<Watermark>,
    /// Emitted in this call, in order. The driver takes them away.
    pub emissions: Vec<Emission>,
    /// The operator wants [`Operator::on_processing_time`] at this time or soon after it.
    pub timer_ms: Option<i64>,
    /// Lookups that this call asks for; at most [`LOOKUPS_MAX`] are under way at a time.
    pub requests: Vec<LookupRequest>,
    /// Counters, absolute.
    pub metrics: OperatorMetrics,
}

impl OperatorContext {
    /// Sends rows on; empty batches are swallowed.
    pub fn emit(&mut self, batch: ChangeBatch) {
        self.emit_to(0, batch);
    }

    /// Sends rows to a port.
    pub fn emit_to(&mut self, port: usize, batch: ChangeBatch) {
        if batch.num_rows() > 0 {
            self.emissions.push(Emission::Batch { port, batch });
        }
    }

    /// Sends a watermark on.
    pub fn emit_watermark(&mut self, watermark: Watermark) {
        self.emissions.push(Emission::Watermark(watermark));
    }

    /// Asks for a call at this processing time; the earliest of several wins.
    pub fn register_timer(&mut self, at_ms: i64) {
        self.timer_ms = Some(self.timer_ms.map_or(at_ms, |t| t.min(at_ms)));
    }
}

/// Whether an operator has more to emit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Call [`Operator::resume`] again once there is room; nothing else is called before.
    More,
    /// Finished with the last call.
    Done,
}

/// A streaming operator. One instance per subtask; all calls come from one thread, one after another.
///
/// Order that a driver keeps: `restore_state` first (at most once); then batches, watermarks and timers; at a barrier
/// `snapshot_state` after all rows of the epoch; `end_input` once per input after its last row. A watermark
/// [`Watermark::MAX`] comes before the end of a bounded input.
///
/// A call that would emit much emits a first piece and returns [`Progress::More`].
pub trait Operator {
    /// Rows of one input.
    fn process_batch(&mut self, input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress>;

    /// Event time of the operator (the minimum over its inputs) has moved. The default passes it on.
    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        context.emit_watermark(watermark);
        Ok(Progress::Done)
    }

    /// A timer is due.
    fn on_processing_time(&mut self, _context: &mut OperatorContext) -> Result<Progress> {
        Ok(Progress::Done)
    }

    /// Emits the next piece after [`Progress::More`].
    fn resume(&mut self, _context: &mut OperatorContext) -> Result<Progress> {
        Ok(Progress::Done)
    }

    /// Called right before a barrier closes the epoch, where rows held back (a local aggregate) must leave.
    fn prepare_snapshot(&mut self, _context: &mut OperatorContext) -> Result<Progress> {
        Ok(Progress::Done)
    }

    /// The rows of a request have come, each with the index of its key, never falling.
    fn on_lookup(
        &mut self,
        _id: u64,
        _rows: RecordBatch,
        _keys: &UInt32Array,
        _context: &mut OperatorContext,
    ) -> Result<Progress> {
        Err(Error::internal("an operator got rows that it did not ask for"))
    }

    /// Whether it waits for lookups. While it does there is no end, and no barrier but where
    /// [`Operator::stores_what_waits`].
    fn awaiting(&self) -> Awaiting {
        Awaiting::Nothing
    }

    /// Whether rows that wait for lookups are part of its state: a barrier then does not wait for them. It is given all
    /// rows before the barrier, even where it is [`Awaiting::Full`].
    fn stores_what_waits(&self) -> bool {
        false
    }

    /// The state at a barrier. Cheap: seal, do not copy.
    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        Ok(OperatorSnapshot::default())
    }

    /// Starts from a checkpoint instead of from nothing.
    fn restore_state(&mut self, _state: RestoredState) -> Result<()> {
        Ok(())
    }

    /// An input has ended.
    fn end_input(&mut self, _input: usize, _context: &mut OperatorContext) -> Result<Progress> {
        Ok(Progress::Done)
    }

    /// Whether it holds rows that have to leave at the end of an epoch or soon (see `prepare_snapshot`): the driver
    /// then keeps the right to emit.
    fn holds_output(&self) -> bool {
        false
    }

    /// The event time that the watermark must reach before the operator emits what it holds next; `None` where it waits for
    /// none, or cannot say it cheaply. Asked after every call.
    fn next_event_time_timer(&mut self) -> Option<i64> {
        None
    }
}
