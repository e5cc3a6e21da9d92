//! What a sink keeps beside its output until the job's end: each file says what it is, in which version, and has a checksum.
//!
//! The one file without is the marker of an overwrite, which is empty: that it is there is all that it says.

use flott_connector::record;
use flott_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::target::FileTarget;

/// A kind of such files.
pub(crate) struct SideFile {
    /// In the file's header.
    kind: &'static str,
    version: u32,
    /// For people.
    what: &'static str,
    /// What to do where one is damaged.
    way_out: &'static str,
}

impl SideFile {
    /// The files of one checkpoint of a job that overwrites.
    pub(crate) const OVERWRITE: SideFile = SideFile {
        kind: "overwrite",
        version: 1,
        what: "the list of files that overwrite",
        way_out: "Restore it from a backup, or start over with --fresh: nothing is overwritten before the job's end",
    };
    /// Partitions that are not reported yet.
    pub(crate) const PARTITIONS: SideFile = SideFile {
        kind: "partitions",
        version: 1,
        what: "the list of partitions that are not reported yet",
        way_out: "Restore it from a backup, or remove it: then these partitions are reported only once they get rows again",
    };
    /// An upload that somebody has begun.
    pub(crate) const UPLOAD: SideFile = SideFile {
        kind: "upload",
        version: 1,
        what: "the note of an upload",
        way_out: "Remove it; the upload that it was about stays in the bucket until it is aborted there",
    };

    pub(crate) async fn put(&self, target: &FileTarget, path: &str, value: &impl Serialize) -> Result<()> {
        target.put(path, record::encode(self.kind, self.version, value)?.to_vec()).await
    }

    /// `None` where there is none. One that is damaged, or of another version, is an error that names it.
    pub(crate) async fn get<T: DeserializeOwned>(&self, target: &FileTarget, path: &str) -> Result<Option<T>> {
        let Some(content) = target.get(path).await? else { return Ok(None) };
        record::decode(self.kind, self.version, self.what, &content).map(Some).map_err(|e: Error| {
            let e = e.with("path", &target.location.display).with("file", path);
            if e.kind() == ErrorKind::Data { e.hint(self.way_out) } else { e }
        })
    }
}
