//! What travels between operators: one batch or one control message.

use flott_core::ChangeBatch;
use timely::Accountable;
use timely::communication::Push;
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pushers::exchange::Distributor;

use crate::flow::Ticket;
use crate::wire::WireBatch;

/// What a channel says besides rows, behind the rows that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// Event time of the channel, in ms.
    Watermark(i64),
    /// Nothing is expected for a while: the channel does not hold others back.
    Idle,
    /// Rows again.
    Active,
    /// Nothing follows. A channel that closes without it is a failure.
    End,
}

/// The content of a message.
#[derive(Debug, Clone, Default)]
pub(crate) enum Payload {
    /// Taken.
    #[default]
    Empty,
    /// Rows of an output port.
    Data {
        /// 0 main, 1 late rows.
        port: usize,
        /// The rows.
        batch: ChangeBatch,
        /// Counts them; those that a source has sent count with the source.
        ticket: Option<Ticket>,
    },
    /// Rows between processes, encoded.
    Wire(WireBatch),
    /// A control from a worker (the input handle hides the sender).
    Control {
        /// The sending worker.
        from: usize,
        /// What it says.
        control: Control,
    },
}

/// A message and the worker that it goes to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Envelope {
    /// The receiving worker, where the edge crosses workers.
    pub(crate) target: usize,
    /// The content.
    pub(crate) payload: Payload,
}

impl Envelope {
    pub(crate) fn data(port: usize, batch: ChangeBatch) -> Envelope {
        Envelope { target: 0, payload: Payload::Data { port, batch, ticket: None } }
    }

    pub(crate) fn counted(mut self, by: Option<Ticket>) -> Envelope {
        if let Payload::Data { ticket, .. } = &mut self.payload {
            *ticket = by;
        }
        self
    }

    pub(crate) fn control(from: usize, control: Control) -> Envelope {
        Envelope { target: 0, payload: Payload::Control { from, control } }
    }

    pub(crate) fn to(mut self, target: usize) -> Envelope {
        self.target = target;
        self
    }
}

impl Accountable for Envelope {
    /// Progress counts messages that matter: an empty batch is still one.
    fn record_count(&self) -> i64 {
        match &self.payload {
            Payload::Empty => 0,
            Payload::Data { batch, .. } => i64::try_from(batch.num_rows()).unwrap_or(i64::MAX).max(1),
            Payload::Wire(wire) => i64::try_from(wire.rows()).unwrap_or(i64::MAX).max(1),
            Payload::Control { .. } => 1,
        }
    }
}

/// Delivers every message to the worker that it names.
pub(crate) struct Route;

impl Distributor<Envelope> for Route {
    fn partition<T: Clone, P: Push<Message<T, Envelope>>>(
        &mut self,
        container: &mut Envelope,
        time: &T,
        pushers: &mut [P],
    ) {
        let target = container.target;
        Message::push_at(container, time.clone(), &mut pushers[target]);
    }

    fn flush<T: Clone, P: Push<Message<T, Envelope>>>(&mut self, _time: &T, _pushers: &mut [P]) {}
}
