//! A client of schema registries with Confluent's API: Confluent's own, Apicurio, Karapace, Redpanda.
//!
//! What it is: schemas by their numbers, and numbers of schemas, over HTTP; each is asked for once and kept.
//!
//! What it is not: it knows nothing of Avro or Protobuf. A request blocks its caller, and runs on a thread of its own, so
//! that it may be made from anywhere.
//!
//! Read first: `client::Client`.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod client;
mod options;

use std::sync::Arc;

use flott_connector::schema_registry::{SchemaRegistry, SchemaRegistryFactory};
use flott_core::Result;
use flott_core::options::{ConfigOption, Options};

pub use client::{CALL_PATIENCE, RESPONSE_BYTES_MAX, TRIES};

/// Opens registries with Confluent's API.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConfluentRegistries;

impl SchemaRegistryFactory for ConfluentRegistries {
    fn options(&self) -> &'static [ConfigOption] {
        options::ALL
    }

    fn open(&self, given: &Options) -> Result<Arc<dyn SchemaRegistry>> {
        Ok(Arc::new(client::Client::new(options::Access::parse(given)?)))
    }
}
