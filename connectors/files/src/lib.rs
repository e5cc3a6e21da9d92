//! Flink's `filesystem` connector: files of any format as a source, and as a sink that shows files exactly once.
//!
//! What it is: a source that lists a folder, pattern or prefix, cuts large files and reads them ([`FilesFactory`]); a
//! sink whose files are complete and durable under a hidden name before a checkpoint can name them, and get their final
//! names when it is decided. Local disks and object stores.
//!
//! What it is not: formats. They come through `flott_connector::format`.
//!
//! Read first: [`options`]; `enumerator` and `cut` (which pieces), `reader` (positions); `writer`, `committer` and
//! `staging` and `upload` (exactly once), `overwrite` (INSERT OVERWRITE), `partition_commit` and `open_partitions` (`_SUCCESS`).
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod committer;
mod compression;
mod cut;
mod enumerator;
mod factory;
mod input;
mod listing;
mod one_version;
mod open_partitions;
pub mod options;
mod overwrite;
mod partition;
mod partition_commit;
mod partition_time;
mod reader;
mod rolling;
mod scan;
mod seen;
mod side_file;
mod split;
mod staging;
mod target;
mod upload;
mod writer;

use std::sync::Arc;

use flott_connector::ConnectorFactory;

/// The limits of the connector.
pub mod limits {
    pub use crate::listing::FOLDER_DEPTH_MAX;
    pub use crate::rolling::UPLOAD_BYTES_MAX;
    pub use crate::writer::{BUFFERED_BYTES_MAX, OPEN_FILES_MAX};
}

pub use factory::{FilesFactory, OpenStorage};
pub use staging::STAGING_FOLDER;

/// All connectors of this crate.
pub fn connectors() -> Vec<Arc<dyn ConnectorFactory>> {
    vec![Arc::new(FilesFactory::default())]
}
