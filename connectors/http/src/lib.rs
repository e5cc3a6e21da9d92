//! The `http` connector: a sink that sends rows to an HTTP service.
//!
//! What it is: a request for each row or for several of them, tried again while the service may recover, with an id that
//! stays the same when it is sent again; with a PRIMARY KEY in the URL each row replaces the one before.
//!
//! What it is not: a source or a lookup, and no formats: they come through `flott_connector::format`.
//!
//! Read first: [`options`], `writer`, `numbering` (what an id promises), `request` (what is tried again).
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod factory;
mod numbering;
pub mod options;
mod request;
mod status;
mod target;
mod template;
mod writer;

use std::sync::Arc;

use flott_connector::ConnectorFactory;

pub use factory::HttpFactory;

/// All connectors of this crate.
pub fn connectors() -> Vec<Arc<dyn ConnectorFactory>> {
    vec![Arc::new(HttpFactory)]
}
