//! What a source reads, shared by its enumerator and readers.

use std::sync::Arc;

use flott_connector::Versioned;
use flott_connector::source::{Boundedness, Source, SourceReader, SplitEnumerator, SubtaskInfo};
use flott_core::Result;

use crate::access::Access;
use crate::enumerator::StreamEnumerator;
use crate::positions::{Bounded, Startup};
use crate::reader::NatsReader;
use crate::rows::RowPlan;

/// Streams, beginning and end, and what becomes of messages.
pub(crate) struct Scan {
    /// For messages.
    pub(crate) table: String,
    pub(crate) access: Arc<Access>,
    pub(crate) streams: Vec<String>,
    /// `None` is all of them.
    pub(crate) subjects: Vec<Option<String>>,
    pub(crate) startup: Startup,
    pub(crate) bounded: Bounded,
    pub(crate) plan: Arc<RowPlan>,
}

/// A table's source.
pub(crate) struct NatsSource(pub(crate) Arc<Scan>);

impl Source for NatsSource {
    fn boundedness(&self) -> Boundedness {
        match self.0.bounded {
            Bounded::Unbounded => Boundedness::ContinuousUnbounded,
            _ => Boundedness::Bounded,
        }
    }

    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        Ok(Box::new(StreamEnumerator::new(Arc::clone(&self.0), restored)?))
    }

    fn create_reader(&self, _subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Ok(Box::new(NatsReader::new(Arc::clone(&self.0))))
    }
}
