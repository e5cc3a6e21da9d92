//! The split of `datagen`: every `stride`-th row number, and the number of the next row.

use flott_connector::Versioned;
use flott_connector::source::SourceSplit;
use flott_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Version of the layout of [`DatagenSplit`]'s bytes (JSON).
pub(super) const SPLIT_VERSION: u32 = 1;

/// The rows `index`, `index + stride`, `index + 2 * stride`, … below the source's number of rows. Strided, so that
/// sequences grow together over all readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DatagenSplit {
    pub(super) index: u64,
    pub(super) stride: u64,
    /// Number of the next row.
    pub(super) next: u64,
    /// What the random values are made of, drawn once for the source.
    pub(super) seed: u64,
}

impl DatagenSplit {
    pub(super) fn id(&self) -> String {
        format!("rows-{}-of-{}", self.index, self.stride)
    }

    pub(super) fn to_versioned(self) -> Result<Versioned> {
        let bytes = serde_json::to_vec(&self)
            .map_err(|e| Error::internal("a split of datagen cannot be written").caused_by(e))?;
        Ok(Versioned::new(SPLIT_VERSION, bytes))
    }

    pub(super) fn to_source_split(self) -> Result<SourceSplit> {
        Ok(SourceSplit { id: self.id(), data: self.to_versioned()? })
    }

    pub(super) fn from_source_split(split: &SourceSplit) -> Result<DatagenSplit> {
        if split.data.version != SPLIT_VERSION {
            return Err(Error::user(format!(
                "the position of split '{}' has layout {}, which this version does not know",
                split.id, split.data.version
            ))
            .hint("Restore with the version of Flott that wrote it, or a newer one"));
        }
        serde_json::from_slice::<DatagenSplit>(&split.data.bytes)
            .ok()
            .filter(|s| s.stride > 0 && s.index < s.stride)
            .ok_or_else(|| Error::internal(format!("the position of split '{}' is damaged", split.id)))
    }
}
