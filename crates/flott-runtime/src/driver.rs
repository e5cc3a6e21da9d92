//! Drives one operator: order of rows, watermarks, barriers, timers and ends, whatever the channels do.
//!
//! Messages of a later epoch are parked. Once the frontier has passed the epoch: rows held back leave, the state is
//! sealed and reported, then parked messages follow, then new ones. An operator that emits much does so in pieces: it
//! holds a capability, closes a tick after each piece, and waits until the sinks have taken enough.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flott_connector::lookup::LookupRows;
use flott_core::clock::Clock;
use flott_core::{CheckpointId, Error, Result, Watermark};
use flott_graph::NodeId;
use flott_operator::operator::Awaiting;
use flott_operator::{Emission, Operator, OperatorContext, Progress};
use timely::dataflow::operators::Capability;
use timely::scheduling::Activator;

use crate::api::{RestoredOperator, TaskEvent};
use crate::container::{Control, Envelope, Payload};
use crate::flow::{
    Alarm, InFlight, Listener, Probe, Shared, Ticket, checkpoint_before, epoch_of, epoch_start, tick_after,
};
use crate::lookup::LookupQueue;
use crate::metrics::{JobMetrics, SubtaskMetrics};
use crate::parked::Parked;
use crate::valve::{Valve, ValveOutput};

/// Where a driver's output goes.
pub(crate) trait Emit {
    /// Takes a message at the capability's time.
    fn emit(&mut self, capability: &Capability<u64>, envelope: Envelope);
    /// Whether nothing more is taken for now.
    fn is_blocked(&self) -> bool {
        false
    }
    /// All rows before this checkpoint's barrier were emitted.
    fn barrier(&mut self, _checkpoint: CheckpointId) {}
    /// All rows were emitted. Whoever cannot pass that on at once keeps the capability until it can, since timely drops
    /// an operator that has neither input nor capability left.
    fn end(&mut self, _capability: &Capability<u64>, _next: CheckpointId) {}
}

impl<F: FnMut(&Capability<u64>, Envelope)> Emit for F {
    fn emit(&mut self, capability: &Capability<u64>, envelope: Envelope) {
        self(capability, envelope);
    }
}

/// One subtask of one operator and what it needs around it.
pub(crate) struct Task {
    pub(crate) node: NodeId,
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<JobMetrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) probe: Rc<Probe>,
    pub(crate) activator: Rc<Activator>,
    /// Hears of new ticks while the operator waits for room.
    pub(crate) listener: Arc<Listener>,
    pub(crate) alarm: Alarm,
}

impl Task {
    pub(crate) fn fail(&self, error: Error) {
        self.shared.fail(Some(self.node), error);
    }

    pub(crate) fn metrics(&self) -> Option<&SubtaskMetrics> {
        self.metrics.subtask(self.node.0, self.index)
    }

    /// Counts what a call took.
    pub(crate) fn was_busy_since(&self, begin: Duration) {
        if let Some(m) = self.metrics() {
            let took = self.clock.monotonic().saturating_sub(begin);
            m.busy_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    pub(crate) fn again(&self) {
        self.activator.activate();
    }
}

/// An input that was idle and is not any more, before anybody was told: nobody need be. Else the word would wait for
/// lookups as long as rows come and are looked up, and time would stand still behind it.
fn idled_for_nothing(outputs: &mut VecDeque<ValveOutput>) -> bool {
    let both =
        matches!(outputs.front(), Some(ValveOutput::Idle)) && matches!(outputs.get(1), Some(ValveOutput::Active));
    if both {
        outputs.drain(..2);
    }
    both
}

/// What a panic that was caught is to whoever waits for the work.
pub fn panicked(who: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    Error::internal(format!("{who} panicked: {}", text.unwrap_or("no message")))
}

/// An input as the driver sees it.
pub(crate) struct InputState {
    /// The port of the upstream operator that is read; other ports' rows pass by.
    pub(crate) port: usize,
    /// Senders: one for a forward edge, all workers otherwise.
    pub(crate) channels: usize,
    valve: Valve,
    ended: usize,
}

impl InputState {
    pub(crate) fn new(port: usize, channels: usize, restored_ms: i64) -> InputState {
        InputState { port, channels, valve: Valve::new(channels, restored_ms), ended: 0 }
    }
}

struct Pending {
    capability: Capability<u64>,
    input: usize,
    payload: Payload,
}

/// What a driver does at a barrier and at the end.
pub(crate) enum Role {
    /// Reports its state.
    Operator,
    /// The sink behind it reports.
    Sink,
}

/// Drives one operator.
pub(crate) struct Driver {
    task: Task,
    operator: Box<dyn Operator>,
    context: OperatorContext,
    role: Role,
    inputs: Vec<InputState>,
    combined: Valve,
    /// What follows from one message: the next is taken once this is empty.
    outputs: VecDeque<ValveOutput>,
    /// Messages that have arrived. Those who send them wait: all rows, and the watermarks between them, are in flight with
    /// their source (`InFlight`), and rows that operators made have tickets, until they are taken from here.
    queue: VecDeque<Pending>,
    /// The same, of later epochs.
    parked: Parked<Pending>,
    epoch: u64,
    /// The operator has more to emit, at `capability`.
    more: bool,
    /// What the operator had dropped when it was last asked: late rows, and those of an enforcer.
    dropped: (u64, u64),
    capability: Option<Capability<u64>>,
    held: Option<Capability<u64>>,
    /// When the last channel's barrier came; from then on the operator sends what it holds.
    barrier_since: Option<Duration>,
    in_flight: InFlight,
    /// It started from a checkpoint and was not called yet.
    restored: bool,
    /// It started from a checkpoint before which it had ended: nothing is left for the operator to do.
    had_ended: bool,
    /// The last watermark has left the operator. It goes on right before the end: what the operator emits because its
    /// input has ended is not late for those behind it.
    last_watermark: bool,
    end_sent: bool,
    ended: bool,
    lookups: Option<LookupQueue>,
}

impl Driver {
    pub(crate) fn new(
        task: Task,
        mut operator: Box<dyn Operator>,
        role: Role,
        inputs: Vec<InputState>,
        restored: Option<RestoredOperator>,
        epoch: u64,
        in_flight_bytes: usize,
    ) -> Result<Driver> {
        if let Some(m) = task.metrics() {
            // What an attempt before this one had is gone.
            m.state_bytes.store(0, Ordering::Relaxed);
            m.next_timer_ms.store(i64::MAX, Ordering::Relaxed);
        }
        let mut context = OperatorContext { processing_time_ms: task.clock.now_ms(), ..OperatorContext::default() };
        let mut restored_ms = i64::MIN;
        let had_ended = restored.as_ref().is_some_and(|r| r.ended);
        let is_restored = restored.is_some() && !had_ended;
        if let Some(restored) = restored.filter(|_| is_restored) {
            operator.restore_state(restored.state)?;
            restored_ms = restored.watermark_ms.unwrap_or(i64::MIN);
            context.watermark = (restored_ms != i64::MIN).then_some(Watermark(restored_ms));
            if let Some(m) = task.metrics() {
                m.watermark_ms.store(restored_ms, Ordering::Relaxed);
                m.input_watermark_ms.store(restored_ms, Ordering::Relaxed);
            }
        }
        Ok(Driver {
            combined: Valve::new(inputs.len(), restored_ms),
            task,
            operator,
            context,
            role,
            inputs,
            outputs: VecDeque::new(),
            queue: VecDeque::new(),
            parked: Parked::new(),
            epoch,
            more: false,
            dropped: (0, 0),
            capability: None,
            held: None,
            barrier_since: None,
            in_flight: InFlight::new(in_flight_bytes),
            restored: is_restored,
            had_ended,
            last_watermark: restored_ms == i64::MAX,
            end_sent: false,
            ended: false,
            lookups: None,
        })
    }

    /// Where the operator's lookups go.
    pub(crate) fn with_lookups(mut self, lookups: LookupQueue) -> Driver {
        self.lookups = Some(lookups);
        self
    }

    /// The capability that the operator is born with: kept where timers may have to be set again.
    pub(crate) fn begin(&mut self, mut capability: Capability<u64>) {
        if self.had_ended
            && let Role::Operator = self.role
        {
            self.report_end();
        }
        if self.restored {
            capability.downgrade(&epoch_start(self.epoch));
            self.held = Some(capability);
            self.task.again();
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.task.shared
    }

    /// A message that cannot be read ends the attempt.
    pub(crate) fn fail(&self, error: Error) {
        self.task.fail(error);
    }

    /// A message has arrived.
    pub(crate) fn receive(&mut self, input: usize, capability: Capability<u64>, payload: Payload) {
        let epoch = epoch_of(*capability.time());
        let pending = Pending { capability, input, payload };
        if epoch > self.epoch {
            self.parked.push(epoch, self.task.clock.monotonic(), pending);
        } else {
            self.queue.push_back(pending);
        }
    }

    /// How many messages wait to be taken.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The messages behind the first `before` came from several inputs, one input after another: they are taken in turn,
    /// as Flink's task does it, so that neither input's time runs ahead of the other's.
    pub(crate) fn take_turns(&mut self, before: usize) {
        if self.inputs.len() < 2 || self.queue.len() < before + 2 {
            return;
        }
        let mut lanes: Vec<VecDeque<Pending>> = self.inputs.iter().map(|_| VecDeque::new()).collect();
        for pending in self.queue.drain(before..) {
            lanes[pending.input].push_back(pending);
        }
        while lanes.iter().any(|lane| !lane.is_empty()) {
            self.queue.extend(lanes.iter_mut().filter_map(VecDeque::pop_front));
        }
    }

    /// Works until nothing can be done. `frontier` is the least time that can still arrive; `None` once all inputs have
    /// closed.
    pub(crate) fn run(&mut self, frontier: Option<u64>, out: &mut dyn Emit) {
        let begin = self.task.clock.monotonic();
        let result = catch_unwind(AssertUnwindSafe(|| self.try_run(frontier, out)))
            .unwrap_or_else(|panic| Err(panicked("the operator", panic.as_ref())));
        self.task.was_busy_since(begin);
        if let Err(e) = result {
            self.task.fail(e);
            self.queue.clear();
            self.parked.clear();
            (self.held, self.capability, self.ended) = (None, None, true);
        }
    }

    fn try_run(&mut self, frontier: Option<u64>, out: &mut dyn Emit) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.follow(frontier);
        while !out.is_blocked() && self.step(frontier, out)? {}
        if !self.more && self.outputs.is_empty() && (self.end_sent || !self.has_all_ended()) {
            // A capability kept here would hold the frontier.
            self.capability = None;
        }
        self.follow(frontier);
        if let Some(at) = self.context.timer_ms
            && !self.ended
            && !self.task.shared.is_behind_stop(self.epoch)
        {
            let wait = u64::try_from(at.saturating_sub(self.task.clock.now_ms())).unwrap_or(0);
            let now = self.task.clock.monotonic();
            self.task.alarm.wake_at(now + Duration::from_millis(wait.max(1)), now, &self.task.activator);
        }
        Ok(())
    }

    /// The held capability follows the frontier inside the epoch, so that it holds nobody up.
    fn follow(&mut self, frontier: Option<u64>) {
        if let (Some(held), Some(frontier)) = (&mut self.held, frontier)
            && epoch_of(frontier) == self.epoch
            && frontier > *held.time()
        {
            held.downgrade(&frontier);
        }
    }

    /// One call into the operator; false where nothing is left to do now.
    fn step(&mut self, frontier: Option<u64>, out: &mut dyn Emit) -> Result<bool> {
        if self.more {
            if !self.has_room()? {
                return Ok(false);
            }
            self.stamp();
            let progress = self.operator.resume(&mut self.context)?;
            self.after_call(progress, out)?;
            return Ok(true);
        }
        if self.restored {
            // Timers are not stored: an operator that has some asks for them again when it is told the time.
            self.restored = false;
            self.capability = self.held.clone();
            self.stamp();
            let progress = self.operator.on_processing_time(&mut self.context)?;
            self.after_call(progress, out)?;
            return Ok(true);
        }
        let awaiting = self.operator.awaiting();
        // Rows that wait for a lookup must not come behind the word that none will.
        let must_wait = awaiting != Awaiting::Nothing
            && matches!(self.outputs.front(), Some(ValveOutput::Idle | ValveOutput::Active));
        if must_wait && idled_for_nothing(&mut self.outputs) {
            return Ok(true);
        }
        if !must_wait && let Some(output) = self.outputs.pop_front() {
            self.on_valve(output, out)?;
            return Ok(true);
        }
        if let Some(lookups) = self.lookups.as_mut().filter(|_| awaiting != Awaiting::Nothing)
            && let Some(answer) = lookups.answer()
        {
            self.capability = self.held.clone();
            self.stamp();
            let LookupRows { rows, keys } = answer.rows;
            let progress = self.operator.on_lookup(answer.id, rows, &keys, &mut self.context)?;
            self.after_call(progress, out)?;
            return Ok(true);
        }
        let passes = awaiting != Awaiting::Nothing && self.barrier_passes(frontier);
        if awaiting == Awaiting::Full && !passes {
            return Ok(false);
        }
        let has_rows = self.queue.front().is_some_and(|p| matches!(p.payload, Payload::Data { .. }));
        if has_rows && !self.may_take() {
            return Ok(false);
        }
        if let Some(pending) = self.queue.pop_front() {
            self.on_message(pending, out)?;
            return Ok(true);
        }
        if awaiting != Awaiting::Nothing && !passes {
            return Ok(false);
        }
        if !self.end_sent && self.has_all_ended() {
            self.end_sent = true;
            self.context.timer_ms = None;
            if self.last_watermark {
                self.send_control(Control::Watermark(i64::MAX), out);
            }
            self.send_control(Control::End, out);
            if let (Role::Sink, Some(capability)) = (&self.role, &self.capability) {
                out.end(capability, CheckpointId(self.epoch));
            }
            return Ok(true);
        }
        if self.timer_is_due() {
            self.context.timer_ms = None;
            self.capability = self.held.clone();
            self.stamp();
            let progress = self.operator.on_processing_time(&mut self.context)?;
            self.after_call(progress, out)?;
            return Ok(true);
        }
        let open = frontier.map_or(u64::MAX, epoch_of);
        if open > self.epoch {
            let next = self.parked.first().map_or(open, |e| e.min(open));
            if next == u64::MAX {
                return self.end();
            }
            // Where nothing was sent between two barriers both have passed at once; each is reported.
            let next = self.task.shared.first_triggered(self.epoch, next).map_or(next, |c| c + 1);
            if !self.has_heard_of(checkpoint_before(next)) {
                return Ok(false);
            }
            return self.barrier(next, out);
        }
        Ok(false)
    }

    fn has_all_ended(&self) -> bool {
        self.inputs.iter().all(|i| i.ended == i.channels)
    }

    /// Whether the next barrier passes rows that wait for lookups: they are stored, and leave in its next epoch. Where
    /// there is none to come (the end, a stop) they leave before.
    fn barrier_passes(&self, frontier: Option<u64>) -> bool {
        let open = frontier.map_or(u64::MAX, epoch_of);
        self.operator.stores_what_waits()
            && self.outputs.iter().all(|o| matches!(o, ValveOutput::Idle))
            && self.held.is_some()
            && open > self.epoch
            && open != u64::MAX
            && self.has_heard_of(checkpoint_before(open))
            && !self.task.shared.is_behind_stop(open)
            && self.inputs.iter().any(|i| i.ended < i.channels)
    }

    /// Whether the command of a checkpoint whose barrier is here has come to this process. Between processes barriers go
    /// with the rows and commands over the control connection, so that a barrier can be first; behind one that has not
    /// waited nobody would know that the job is to end with it. Where not, the command wakes this operator.
    fn has_heard_of(&self, checkpoint: CheckpointId) -> bool {
        let shared = &self.task.shared;
        if !shared.has_heard_of(checkpoint) {
            shared.listen(&self.task.listener);
        }
        // Looked at once more, as elsewhere.
        shared.has_heard_of(checkpoint)
    }

    fn timer_is_due(&self) -> bool {
        self.held.is_some()
            && !self.task.shared.is_behind_stop(self.epoch)
            && self.context.timer_ms.is_some_and(|at| at <= self.task.clock.now_ms())
    }

    fn stamp(&mut self) {
        self.context.processing_time_ms = self.task.clock.now_ms();
    }

    fn on_message(&mut self, pending: Pending, out: &mut dyn Emit) -> Result<()> {
        let Pending { capability, input, payload } = pending;
        self.capability = Some(capability);
        let state = &mut self.inputs[input];
        match payload {
            Payload::Data { port, batch, .. } if port == state.port && self.had_ended && batch.num_rows() > 0 => {
                return Err(Error::data("rows come to an operator whose input had ended before the checkpoint").hint(
                    "A source that had come to its end has more now, and what has to do with its end is in the output \
                     already: start over with --fresh",
                ));
            }
            Payload::Data { port, batch, ticket: _ticket } if port == state.port => {
                if let Some(m) = self.task.metrics() {
                    m.records_in.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                }
                self.stamp();
                let progress = self.operator.process_batch(input, batch, &mut self.context)?;
                self.after_call(progress, out)?;
            }
            Payload::Control { from, control } => {
                let channel = if state.channels == 1 { 0 } else { from };
                let mut seen = vec![];
                match control {
                    Control::Watermark(ms) => state.valve.watermark(channel, ms, &mut seen),
                    Control::Idle => state.valve.idle(channel, &mut seen),
                    Control::Active => state.valve.active(channel, &mut seen),
                    Control::End => {
                        state.ended += 1;
                        if state.ended == state.channels && !self.had_ended {
                            self.stamp();
                            let progress = self.operator.end_input(input, &mut self.context)?;
                            self.after_call(progress, out)?;
                        }
                    }
                }
                let mut combined = vec![];
                for output in seen {
                    match output {
                        ValveOutput::Watermark(ms) => self.combined.watermark(input, ms, &mut combined),
                        ValveOutput::Idle => self.combined.idle(input, &mut combined),
                        ValveOutput::Active => self.combined.active(input, &mut combined),
                    }
                }
                self.outputs.extend(combined);
            }
            Payload::Data { .. } | Payload::Wire(_) | Payload::Empty => {}
        }
        Ok(())
    }

    fn on_valve(&mut self, output: ValveOutput, out: &mut dyn Emit) -> Result<()> {
        match output {
            ValveOutput::Watermark(ms) => {
                self.context.watermark = Some(Watermark(ms));
                self.context.arrived = self.context.watermark;
                if let Some(m) = self.task.metrics() {
                    m.input_watermark_ms.store(ms, Ordering::Relaxed);
                }
                self.stamp();
                let progress = if self.had_ended {
                    self.context.emit_watermark(Watermark(ms));
                    Progress::Done
                } else {
                    self.operator.process_watermark(Watermark(ms), &mut self.context)?
                };
                self.after_call(progress, out)?;
            }
            ValveOutput::Idle => {
                // An idle channel holds nobody back: what waits here for a watermark (a local aggregate) would be late
                // behind it.
                if self.operator.holds_output() {
                    self.stamp();
                    let progress = self.operator.prepare_snapshot(&mut self.context)?;
                    self.after_call(progress, out)?;
                    if self.more {
                        self.outputs.push_front(ValveOutput::Idle);
                        return Ok(());
                    }
                }
                self.send_control(Control::Idle, out);
            }
            ValveOutput::Active => self.send_control(Control::Active, out),
        }
        Ok(())
    }

    fn send_control(&mut self, control: Control, out: &mut dyn Emit) {
        if let Some(capability) = &self.capability {
            out.emit(capability, Envelope::control(self.task.index, control));
        }
    }

    /// Sends what a call emitted, and keeps the right to emit where the operator needs it.
    fn after_call(&mut self, progress: Progress, out: &mut dyn Emit) -> Result<()> {
        let (mut rows, mut watermark) = (0, None);
        for emission in std::mem::take(&mut self.context.emissions) {
            // Without a capability nothing was received, so nothing can be emitted.
            let Some(capability) = &self.capability else { continue };
            match emission {
                Emission::Batch { port, batch } => {
                    rows += batch.num_rows() as u64;
                    let bytes = batch.size_bytes();
                    if progress == Progress::More || self.more {
                        self.in_flight.open += bytes;
                    }
                    let ticket = Ticket::new(&self.task.shared, self.task.node, epoch_of(*capability.time()), bytes);
                    out.emit(capability, Envelope::data(port, batch).counted(Some(ticket)));
                }
                Emission::Watermark(w) => {
                    watermark = Some(w);
                    if w == Watermark::MAX {
                        self.last_watermark = true;
                        continue;
                    }
                    out.emit(capability, Envelope::control(self.task.index, Control::Watermark(w.0)));
                }
            }
        }
        for request in std::mem::take(&mut self.context.requests) {
            let lookups = self.lookups.as_ref().ok_or_else(|| Error::internal("an operator without lookups asked"))?;
            lookups.ask(request)?;
        }
        if let Some(m) = self.task.metrics() {
            // What a sink sends is what its writer has taken, and counted there.
            if let Role::Operator = self.role {
                m.records_out.fetch_add(rows, Ordering::Relaxed);
            }
            if let Some(w) = watermark {
                m.set_watermark(w.0, self.context.processing_time_ms);
            }
            m.next_timer_ms.store(self.operator.next_event_time_timer().unwrap_or(i64::MAX), Ordering::Relaxed);
            let o = &self.context.metrics;
            // The operator counts from the beginning of its attempt.
            let (late, dropped) = std::mem::replace(&mut self.dropped, (o.late_records_dropped, o.records_dropped));
            m.late_records_dropped.fetch_add(o.late_records_dropped.saturating_sub(late), Ordering::Relaxed);
            m.records_dropped.fetch_add(o.records_dropped.saturating_sub(dropped), Ordering::Relaxed);
            let before = m.state_bytes.swap(o.state_bytes, Ordering::Relaxed);
            m.state_rows.store(o.state_rows, Ordering::Relaxed);
            if before != o.state_bytes {
                self.task.shared.holds(before, o.state_bytes, &self.task.metrics);
            }
        }
        self.more = progress == Progress::More;
        if self.in_flight.tick_is_full() {
            self.next_tick()?;
        } else if !self.more
            && let Some(capability) = &self.capability
        {
            self.in_flight.close(*capability.time());
        }
        if !self.operator.holds_output() && self.context.timer_ms.is_none() {
            self.held = None;
        } else if self.held.is_none() {
            self.held = self.capability.clone();
        }
        Ok(())
    }

    /// Whether the next piece of an emission may leave. Where not, somebody will wake this operator.
    fn has_room(&mut self) -> Result<bool> {
        loop {
            // Messages that came in meanwhile, and the ticks of others, must not hold what was sent from here.
            let announced = self.task.shared.announced(self.epoch);
            self.raise(announced);
            self.in_flight.drain(self.task.probe.frontier());
            if self.has_room_behind() && self.in_flight.has_room() {
                return Ok(true);
            }
            if self.in_flight.open > 0 {
                self.next_tick()?;
                continue;
            }
            self.task.probe.wake_when_moved(Rc::clone(&self.task.activator));
            self.task.shared.listen(&self.task.listener);
            // Looked at once more: what another thread did before this one listened wakes nobody.
            let room = self.has_room_behind() && self.in_flight.has_room();
            if self.task.shared.announced(self.epoch) == announced && !room {
                return Ok(false);
            }
        }
    }

    fn has_room_behind(&self) -> bool {
        self.task.shared.has_room_behind(self.task.node, self.epoch, self.in_flight.most())
    }

    /// Whether rows may be processed: what they turn into can be far larger than what their source has counted. Where
    /// not, somebody will wake this operator.
    fn may_take(&mut self) -> bool {
        // The queue to the writer holds a sink.
        if matches!(self.role, Role::Sink) || self.has_room_behind() {
            return true;
        }
        loop {
            // What waits here must not hold what others behind have sent.
            let announced = self.task.shared.announced(self.epoch);
            self.raise(announced);
            self.task.shared.listen(&self.task.listener);
            // Looked at once more, as above.
            if self.has_room_behind() {
                return true;
            }
            if self.task.shared.announced(self.epoch) == announced {
                return false;
            }
        }
    }

    /// Time inside an epoch carries no meaning, so an emitter may move on as it likes.
    fn next_tick(&mut self) -> Result<()> {
        let Some(capability) = &self.capability else { return Ok(()) };
        let next = tick_after(*capability.time())?;
        self.in_flight.close(*capability.time());
        self.raise(next);
        self.task.shared.announce(next);
        Ok(())
    }

    /// Moves everything that is kept here to a later time of the epoch, so that the frontier can pass what was sent.
    /// What waits in the queue then no longer counts as in flight with its sender, so it is counted here.
    fn raise(&mut self, to: u64) {
        let mut to = to;
        if let Some(capability) = &mut self.capability {
            to = to.max(*capability.time());
            if to > *capability.time() {
                self.in_flight.close(*capability.time());
                capability.downgrade(&to);
            }
        }
        if let Some(held) = &mut self.held
            && *held.time() < to
        {
            held.downgrade(&to);
        }
        for pending in self.queue.iter_mut().filter(|p| *p.capability.time() < to) {
            pending.capability.downgrade(&to);
            if let Payload::Data { batch, ticket: ticket @ None, .. } = &mut pending.payload {
                let before = NodeId(self.task.node.0.saturating_sub(1));
                *ticket = Some(Ticket::new(&self.task.shared, before, self.epoch, batch.size_bytes()));
            }
        }
    }

    fn barrier(&mut self, next: u64, out: &mut dyn Emit) -> Result<bool> {
        let checkpoint = checkpoint_before(next);
        if self.barrier_since.is_none() {
            self.barrier_since = Some(self.task.clock.monotonic());
            self.capability = self.held.clone();
            self.stamp();
            let progress = self.operator.prepare_snapshot(&mut self.context)?;
            self.after_call(progress, out)?;
            if self.more {
                return Ok(true);
            }
        }
        let (parked, aligned) = self.parked.take(next, self.task.clock.monotonic());
        self.task.metrics().inspect(|m| {
            m.mark(checkpoint.0);
            let ns = aligned.as_nanos();
            m.alignment_ns.store(u64::try_from(ns).unwrap_or(u64::MAX), Ordering::Relaxed);
        });
        match self.role {
            Role::Operator if self.had_ended => {}
            Role::Operator => {
                let snapshot = self.operator.snapshot_state()?;
                self.task.shared.events.push(TaskEvent::OperatorSnapshot {
                    checkpoint,
                    node: self.task.node,
                    subtask: self.task.index,
                    watermark_ms: self.context.watermark.map_or(i64::MIN, |w| w.0),
                    snapshot,
                });
            }
            Role::Sink => out.barrier(checkpoint),
        }
        let since = self.barrier_since.take();
        self.task.metrics().inspect(|m| {
            let held = since.map_or(0, |since| self.task.clock.monotonic().saturating_sub(since).as_nanos());
            m.sync_ns.store(u64::try_from(held).unwrap_or(u64::MAX), Ordering::Relaxed);
        });
        self.epoch = next;
        self.capability = None;
        if let Some(held) = &mut self.held
            && epoch_of(*held.time()) < next
        {
            held.downgrade(&epoch_start(next));
        }
        self.queue.extend(parked);
        Ok(true)
    }

    /// All channels have closed: each of them must have said so before.
    fn end(&mut self) -> Result<bool> {
        if self.inputs.iter().any(|i| i.ended < i.channels) {
            if self.task.shared.is_cancelled() {
                self.ended = true;
                return Ok(false);
            }
            return Err(Error::internal("an input closed without its end"));
        }
        self.ended = true;
        self.task.metrics().inspect(|m| m.mark(self.epoch));
        (self.held, self.capability) = (None, None);
        if let Role::Operator = self.role
            && !self.had_ended
        {
            self.report_end();
        }
        Ok(false)
    }

    fn report_end(&self) {
        let (node, subtask) = (self.task.node, self.task.index);
        self.task.shared.events.push(TaskEvent::OperatorEnded { node, subtask });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_idle_for_nothing_is_not_named() {
        let mut outputs = VecDeque::from([ValveOutput::Idle]);
        assert!(!idled_for_nothing(&mut outputs) && outputs.len() == 1, "it may be so for long");
        outputs.extend([ValveOutput::Active, ValveOutput::Watermark(5)]);
        assert!(idled_for_nothing(&mut outputs));
        assert!(matches!(outputs.make_contiguous(), [ValveOutput::Watermark(5)]));
        assert!(!idled_for_nothing(&mut outputs));
    }
}
