//! A piece of a file and how far it has been read.

use flott_connector::Versioned;
use flott_connector::source::SourceSplit;
use flott_core::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::listing::FileEntry;

/// Version of the stored form.
const VERSION: u32 = 1;

/// A range of a file and the position in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileSplit {
    pub(crate) path: String,
    /// First byte: of a text file the beginning of a record.
    pub(crate) start: u64,
    /// Byte behind the last; the file's size for the last piece.
    pub(crate) end: u64,
    /// Size, time and tag when the file was listed: one that has changed since is refused.
    pub(crate) file_size: u64,
    pub(crate) modified_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    /// Where the next record starts: of a text file the byte (after decompression), of a bulk file the row of this piece.
    pub(crate) offset: u64,
    /// Records of this piece before it.
    pub(crate) row: u64,
}

impl FileSplit {
    /// The bytes `start .. end` of a file, nothing read.
    pub(crate) fn new(file: &FileEntry, start: u64, end: u64, is_bulk: bool) -> FileSplit {
        FileSplit {
            path: file.path.clone(),
            start,
            end,
            file_size: file.size,
            modified_ms: file.modified_ms,
            etag: file.etag.clone(),
            offset: if is_bulk { 0 } else { start },
            row: 0,
        }
    }

    /// Pieces of a file never overlap, so path and start name one.
    pub(crate) fn id(&self) -> String {
        format!("{}:{}", self.path, self.start)
    }

    /// Bytes of the file that are not read yet. Where the position is no byte of the file (in a bulk file, and behind a
    /// decompression) all of the piece, until it is read.
    pub(crate) fn pending_bytes(&self, position_is_byte: bool) -> u64 {
        let from = if position_is_byte { self.offset.max(self.start) } else { self.start };
        self.end.saturating_sub(from)
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.start == 0 && self.end == self.file_size
    }

    /// The error for a file that is not what was listed.
    pub(crate) fn changed(&self, found: &str) -> Error {
        Error::data("the file has changed since it was listed").with("file", &self.path).with("found", found).hint(
            "Files of a source must not change: write new data to a new file, and move it into the folder when it is \
             complete",
        )
    }

    /// The error for a file whose pieces are of two versions.
    pub(crate) fn changed_while_read(&self) -> Error {
        Error::data("the file changed while it was read").with("file", &self.path).hint(
            "Some of its rows are of the version before: start over with --fresh, and let nobody write to files of a source. \
             New data belongs in a new file, which is moved into the folder when it is complete",
        )
    }

    pub(crate) fn encode(&self) -> Result<Versioned> {
        encode(self)
    }

    pub(crate) fn to_split(&self) -> Result<SourceSplit> {
        Ok(SourceSplit { id: self.id(), data: self.encode()? })
    }

    pub(crate) fn decode(data: &Versioned) -> Result<FileSplit> {
        check_version(data, VERSION, "split")?;
        from_json(&data.bytes, "split")
    }
}

fn encode(value: &impl Serialize) -> Result<Versioned> {
    Ok(Versioned::new(VERSION, to_json(value)?))
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::internal("a state cannot be written").caused_by(e))
}

pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| {
        Error::data(format!("a {what} of the filesystem connector is damaged"))
            .hint("Restore an older checkpoint")
            .caused_by(e)
    })
}

pub(crate) fn check_version(data: &Versioned, known: u32, what: &str) -> Result<()> {
    if data.version == known {
        return Ok(());
    }
    Err(Error::user(format!("a {what} of the filesystem connector has version {}", data.version))
        .hint(format!("This build reads version {known}: use the build that wrote it")))
}
