//! The `redis` connector: a sink that keeps the last row of each key, as a string or a hash, or appends rows to a list.
//!
//! What it is: rows by PRIMARY KEY, written at once and safe to write again; deletions; a time to live.
//!
//! What it is not: a source or a lookup; nor a client of Redis Cluster, whose nodes send it elsewhere.
//!
//! Read first: [`options`], `command` (what becomes of a row), `writer`.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod access;
mod command;
mod factory;
pub mod options;
mod target;
mod writer;

use std::sync::Arc;

use flott_connector::ConnectorFactory;

pub use factory::RedisFactory;

/// All connectors of this crate.
pub fn connectors() -> Vec<Arc<dyn ConnectorFactory>> {
    vec![Arc::new(RedisFactory)]
}
