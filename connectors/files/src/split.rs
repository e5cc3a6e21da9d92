//! A piece of a file and how far it has been read.

use flott_connector::Versioned;
use flott_connector::source::SourceSplit;
use flott_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Version of the stored form.
const VERSION: u32 = 1;

/// A range of a file. `offset` is the position: of a text file in (uncompressed) bytes, of a bulk file in rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileSplit {
    pub(crate) path: String,
    /// First byte.
    pub(crate) start: u64,
    /// Byte behind the last; the file's size for the last piece.
    pub(crate) end: u64,
    pub(crate) file_size: u64,
    pub(crate) modified_ms: i64,
    /// Where the next record starts.
    pub(crate) offset: u64,
    /// Records of this split before it.
    pub(crate) row: u64,
}

impl FileSplit {
    pub(crate) fn id(&self) -> String {
        format!("{}:{}", self.path, self.start)
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.start == 0 && self.end == self.file_size
    }

    pub(crate) fn encode(&self) -> Result<Versioned> {
        let bytes = serde_json::to_vec(self).map_err(|e| Error::internal("a split cannot be written").caused_by(e))?;
        Ok(Versioned::new(VERSION, bytes))
    }

    pub(crate) fn to_split(&self) -> Result<SourceSplit> {
        Ok(SourceSplit { id: self.id(), data: self.encode()? })
    }

    pub(crate) fn decode(data: &Versioned) -> Result<FileSplit> {
        decode(data, "split")
    }
}

/// What an enumerator knows: files that are assigned, and pieces that are not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EnumeratorState {
    /// Found, not yet given out.
    pub(crate) pending: Vec<FileSplit>,
    /// Found before (while new files are looked for).
    pub(crate) seen: Vec<String>,
    /// The first listing is done.
    pub(crate) listed: bool,
}

impl EnumeratorState {
    pub(crate) fn encode(&self) -> Result<Versioned> {
        let bytes = serde_json::to_vec(self).map_err(|e| Error::internal("a state cannot be written").caused_by(e))?;
        Ok(Versioned::new(VERSION, bytes))
    }

    pub(crate) fn decode(data: &Versioned) -> Result<EnumeratorState> {
        decode(data, "enumerator state")
    }
}

fn decode<T: serde::de::DeserializeOwned>(data: &Versioned, what: &str) -> Result<T> {
    if data.version != VERSION {
        return Err(Error::user(format!("a {what} of the filesystem connector has version {}", data.version))
            .hint(format!("This build reads version {VERSION}")));
    }
    serde_json::from_slice(&data.bytes).map_err(|e| Error::data(format!("a {what} is damaged")).caused_by(e))
}
