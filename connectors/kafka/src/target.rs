//! What a sink writes to, shared by its writers and its committer.

use std::sync::Arc;
use std::time::Duration;

use flott_connector::Versioned;
use flott_connector::sink::{Committer, CommitterContext, DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_connector::staged::Staging;
use flott_core::{FailPoints, Result};

use crate::committer::KafkaCommitter;
use crate::limits::Asked;
use crate::properties::Properties;
use crate::record::RecordPlan;
use crate::staged_writer::StagedWriter;
use crate::writer::KafkaWriter;

/// `sink.partitioner`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Partitioner {
    /// By the key, as Java's client; without a key anywhere.
    Default,
    /// All rows of a writer into one.
    Fixed,
}

/// A table's target.
pub(crate) struct Target {
    pub(crate) plan: Arc<RecordPlan>,
    pub(crate) properties: Properties,
    pub(crate) partitioner: Partitioner,
    pub(crate) guarantee: DeliveryGuarantee,
    /// Rows and time of `sink.buffer-flush`.
    pub(crate) buffer: Option<(usize, Duration)>,
    pub(crate) transaction_prefix: String,
    pub(crate) marker_topic: String,
    /// Rows of a transaction at most.
    pub(crate) transaction_rows: u64,
    pub(crate) staging: Staging,
    /// What was asked of its topics.
    pub(crate) asked: Arc<Asked>,
    pub(crate) fail_points: FailPoints,
}

impl Target {
    /// The id of all transactions of one sink of a job: the same in every attempt, so that a new one fences the old.
    pub(crate) fn transactional_id(&self, lineage: &str, operator_uid: &str) -> String {
        format!("{}-{lineage}-{operator_uid}", self.transaction_prefix)
    }
}

/// A table's sink.
pub(crate) struct KafkaSink(pub(crate) Arc<Target>);

impl Sink for KafkaSink {
    fn guarantee(&self) -> DeliveryGuarantee {
        self.0.guarantee
    }

    fn create_writer(&self, context: WriterContext, _restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        let target = Arc::clone(&self.0);
        Ok(match target.guarantee {
            DeliveryGuarantee::ExactlyOnce => Box::new(StagedWriter::new(target, context)?),
            guarantee => Box::new(KafkaWriter::new(target, &context, guarantee != DeliveryGuarantee::None)?),
        })
    }

    fn create_committer(&self, context: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        Ok(match self.0.guarantee {
            DeliveryGuarantee::ExactlyOnce => Some(Box::new(KafkaCommitter::new(Arc::clone(&self.0), context))),
            _ => None,
        })
    }
}
