//! What a sink writes, shared by its writers and its committer.

use std::path::PathBuf;
use std::sync::Arc;

use flott_connector::format::EncoderFactory;
use flott_connector::storage::{StorageLocation, storage_error};
use flott_core::clock::Clock;
use flott_core::{Error, FailPoints, Result};
use object_store::path::Path;

use crate::partition_commit::PartitionCommit;
use crate::rolling::RollingPolicy;

pub(crate) struct FileTarget {
    pub(crate) location: StorageLocation,
    pub(crate) encoders: Arc<dyn EncoderFactory>,
    /// Name and place in the rows.
    pub(crate) partition_columns: Vec<(String, usize)>,
    pub(crate) file_columns: Vec<usize>,
    pub(crate) default_partition: String,
    pub(crate) rolling: RollingPolicy,
    pub(crate) partition_commit: Option<PartitionCommit>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fail_points: FailPoints,
}

impl FileTarget {
    /// An object below the table's path. Nothing in `relative` is escaped: it has been, where it had to be.
    pub(crate) fn object(&self, relative: &str) -> Result<Path> {
        let root = self.location.path.as_ref();
        let full = if root.is_empty() { relative.to_string() } else { format!("{root}/{relative}") };
        Path::parse(&full).map_err(|e| Error::user(format!("'{full}' is not a usable object name")).caused_by(e))
    }

    /// A local file below the table's path.
    pub(crate) fn local(&self, relative: &str) -> Option<PathBuf> {
        self.location.local.as_ref().map(|root| root.join(relative))
    }

    pub(crate) fn object_error(&self, what: &str, e: object_store::Error) -> Error {
        storage_error(format!("Cannot {what} '{}'", self.location.display), e)
    }

    pub(crate) fn io_error(&self, e: std::io::Error) -> Error {
        Error::from(e).with("path", &self.location.display)
    }
}
