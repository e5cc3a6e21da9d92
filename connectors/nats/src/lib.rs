//! The `nats` connector: streams of NATS JetStream.
//!
//! What it is: a source with a split for each stream and subject, whose position, the stream's sequence, is in the checkpoint;
//! and a sink that publishes rows and waits until the stream has stored them, or stages an epoch's output beside the checkpoint
//! and writes it in atomic batches when the checkpoint is decided.
//!
//! What it is not: formats. They come through `flott_connector::format`. Nor does it make or change streams.
//!
//! Read first: [`options`] (what is understood); `consume` (how a stream is read, and what a missing sequence means);
//! `positions` (where reading begins and ends); `publish` (at least once); `staged_writer`, `committer` and `marker` (exactly once,
//! docs/rfcs/0011-nats-exactly-once.md). `api` is JetStream's API over the client, which knows only NATS.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod access;
mod api;
mod committer;
mod consume;
mod enumerator;
mod factory;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod marker;
pub mod options;
mod positions;
mod publish;
mod reader;
mod record;
mod rows;
mod scan;
mod split;
mod staged_writer;
mod subject;
mod target;
mod writer;

use std::sync::Arc;

use flott_connector::ConnectorFactory;

pub use factory::NatsFactory;

/// All connectors of this crate.
pub fn connectors() -> Vec<Arc<dyn ConnectorFactory>> {
    vec![Arc::new(NatsFactory)]
}
