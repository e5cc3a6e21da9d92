//! Flink's `kafka` and `upsert-kafka` connectors over librdkafka.
//!
//! What it is: a source with a split for each partition, whose positions are in the checkpoint ([`KafkaFactory`]); a sink
//! that writes at least once, or stages an epoch's output beside the checkpoint and writes it in one short transaction when
//! the checkpoint is decided; both again by key ([`UpsertKafkaFactory`]).
//!
//! What it is not: formats. They come through `flott_connector::format`.
//!
//! Read first: [`options`] and `properties` (what is understood); `refusal` (why a broker lets nobody in) and `probe` (what is spoken at a port); `enumerator`, `offsets`, `poll` and `reading` (reading);
//! `group` (what the group is told);
//! `staged_writer`, `committer` and `marker` (exactly once, docs/rfcs/0009-kafka-exactly-once.md).
#![warn(missing_docs)]
#![deny(unsafe_code)]

mod buffer;
mod client;
mod columns;
mod committer;
mod enumerator;
mod factory;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod held;
mod jaas;
mod limits;
mod marker;
mod native;
mod offsets;
pub mod options;
mod outage;
mod passing;
mod poll;
mod probe;
mod producer;
mod properties;
mod reader;
mod reading;
mod record;
mod refusal;
mod rows;
mod scan;
mod split;
mod spread;
mod staged_writer;
mod target;
mod topics;
mod writer;

use std::sync::Arc;

use flott_connector::ConnectorFactory;

pub use factory::{KafkaFactory, UpsertKafkaFactory};
pub use flott_connector::staged::STAGING_FOLDER;

/// All connectors of this crate.
pub fn connectors() -> Vec<Arc<dyn ConnectorFactory>> {
    vec![Arc::new(KafkaFactory), Arc::new(UpsertKafkaFactory)]
}
