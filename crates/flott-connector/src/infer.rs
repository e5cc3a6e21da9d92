//! Columns that nobody has declared: what a format says of data, or of a schema, that it is shown.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flott_core::Result;
use flott_core::options::Options;
use flott_core::types::RowField;
use object_store::ObjectStore;
use object_store::path::Path;

/// What columns are inferred from.
pub enum Sample {
    /// Whole records: the values of messages, or lines of a file from its first on.
    Records(Vec<Bytes>),
    /// A file with an inner structure, of so many bytes.
    File {
        /// Where it lies.
        store: Arc<dyn ObjectStore>,
        /// Its place there.
        path: Path,
        /// Its length in bytes.
        size: u64,
    },
    /// A subject of the schema registry that the options name.
    Subject(String),
}

/// Which of the samples a format can say something of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// [`Sample::Records`]
    Records,
    /// [`Sample::File`]
    File,
    /// [`Sample::Subject`]
    Subject,
}

/// A proposal for a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inferred {
    /// Its columns, in the order of the data.
    pub columns: Vec<RowField>,
    /// Options of the format, without its prefix, beyond those that were given.
    pub options: Vec<(String, String)>,
    /// What a person has to look at: columns left out, values that differ.
    pub notes: Vec<String>,
}

/// Says which columns data has.
#[async_trait]
pub trait Infer: Send + Sync {
    /// What it has to be shown.
    fn wants(&self) -> SampleKind;
    /// The columns. A sample that is none of the format's is the user's error.
    async fn infer(&self, sample: &Sample, options: &Options) -> Result<Inferred>;
}
