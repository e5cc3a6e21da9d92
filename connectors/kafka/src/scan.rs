//! What a source reads, shared by its enumerator and readers.

use std::time::Duration;

use flott_connector::Versioned;
use flott_connector::source::{Boundedness, Source, SourceReader, SplitEnumerator, SubtaskInfo};
use flott_core::Result;

use std::sync::Arc;

use crate::enumerator::PartitionEnumerator;
use crate::group::GroupOffsets;
use crate::offsets::{Bounded, Startup};
use crate::properties::Properties;
use crate::reader::KafkaReader;
use crate::rows::RowPlan;
use crate::topics::Topics;

/// Topics, beginning and end, and what becomes of records.
pub(crate) struct Scan {
    /// For messages.
    pub(crate) table: String,
    pub(crate) topics: Topics,
    pub(crate) properties: Properties,
    pub(crate) startup: Startup,
    pub(crate) bounded: Bounded,
    pub(crate) discovery: Option<Duration>,
    pub(crate) plan: Arc<RowPlan>,
    /// What is told of positions.
    pub(crate) group: Option<Arc<GroupOffsets>>,
}

impl Scan {
    /// Which client reads a topic: an end of a partition is told without its topic, so a source that ends has one for each.
    pub(crate) fn client_of<'a>(&self, topic: &'a str) -> &'a str {
        if self.bounded == Bounded::Unbounded { "" } else { topic }
    }
}

/// A table's source.
pub(crate) struct KafkaSource(pub(crate) Arc<Scan>);

impl Source for KafkaSource {
    fn boundedness(&self) -> Boundedness {
        match self.0.bounded {
            Bounded::Unbounded => Boundedness::ContinuousUnbounded,
            _ => Boundedness::Bounded,
        }
    }

    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        Ok(Box::new(PartitionEnumerator::new(Arc::clone(&self.0), restored)?))
    }

    fn create_reader(&self, _subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Ok(Box::new(KafkaReader::new(Arc::clone(&self.0))))
    }
}
