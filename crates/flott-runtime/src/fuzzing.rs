//! What the fuzz target of messages between workers reaches: their bytes.

use std::sync::Arc;

use flott_core::{ChangeBatch, Result};
use timely::bytes::arc::BytesMut;
use timely::dataflow::channels::ContainerBytes;

use crate::container::{Control, Envelope, Payload};
use crate::flow::Shared;
use crate::memory::Memory;
use crate::wire::{Decoder, Encoder};

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// Nothing.
    Empty,
    /// Rows.
    Rows(ChangeBatch),
    /// A control: its name and time.
    Control(&'static str, i64),
}

/// Reads the messages of one edge.
pub struct Reading {
    decoder: Decoder,
    shared: Arc<Shared>,
}

impl Default for Reading {
    fn default() -> Reading {
        Reading { decoder: Decoder::default(), shared: Shared::new(3, 2, Memory::new(None)) }
    }
}

impl Reading {
    /// Reads one. Also says whether the same bytes are made of what was read, as far as it is not rows.
    pub fn read(&mut self, message: &[u8]) -> Result<Said> {
        let envelope = Envelope::from_bytes(BytesMut::from(message.to_vec()).freeze());
        let mut again = vec![];
        envelope.into_bytes(&mut again);
        assert_eq!(again.len(), envelope.length_in_bytes(), "the length that is told is another one");
        Ok(match self.decoder.decode(envelope.payload, &self.shared)? {
            Payload::Empty | Payload::Wire(_) => Said::Empty,
            Payload::Data { batch, .. } => Said::Rows(batch),
            Payload::Control { control: Control::Watermark(ms), .. } => Said::Control("watermark", ms),
            Payload::Control { control: Control::Idle, .. } => Said::Control("idle", 0),
            Payload::Control { control: Control::Active, .. } => Said::Control("active", 0),
            Payload::Control { control: Control::End, .. } => Said::Control("end", 0),
        })
    }
}

/// Batches of one edge as the messages that carry them.
pub fn write(batches: &[ChangeBatch]) -> Result<Vec<Vec<u8>>> {
    let mut encoder = Encoder::default();
    let mut messages = vec![];
    for batch in batches {
        for payload in encoder.encode(0, batch, None)? {
            let mut bytes = vec![];
            Envelope { target: 1, payload }.into_bytes(&mut bytes);
            messages.push(bytes);
        }
    }
    Ok(messages)
}

/// A control as the message that carries it.
pub fn watermark(ms: i64) -> Vec<u8> {
    let mut bytes = vec![];
    Envelope::control(0, Control::Watermark(ms)).to(1).into_bytes(&mut bytes);
    bytes
}
