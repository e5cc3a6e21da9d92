//! Flink's `filesystem` connector: files of any format as a source, and as a sink that shows files exactly once.
//!
//! Read first: [`options`], `reader` (positions are byte offsets), `committer` (rename, or copy on an object store).
#![forbid(unsafe_code)]

mod committer;
mod compression;
mod enumerator;
mod factory;
mod listing;
pub mod options;
mod partition;
mod reader;
mod split;
mod writer;

use std::sync::Arc;

use flott_connector::ConnectorFactory;

pub use factory::FilesFactory;

/// All connectors of this crate.
pub fn connectors() -> Vec<Arc<dyn ConnectorFactory>> {
    vec![Arc::new(FilesFactory)]
}
