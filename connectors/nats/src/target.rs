//! What a sink writes to, shared by its writers and its committer.

use std::sync::Arc;

use flott_connector::Versioned;
use flott_connector::sink::{Committer, CommitterContext, DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_connector::staged::Staging;
use flott_core::{Error, FailPoints, Result};

use crate::access::Access;
use crate::committer::NatsCommitter;
use crate::record::RecordPlan;
use crate::staged_writer::StagedWriter;
use crate::writer::NatsWriter;

/// A table's target.
pub(crate) struct Target {
    pub(crate) access: Arc<Access>,
    pub(crate) plan: Arc<RecordPlan>,
    /// The stream that has to store the messages.
    pub(crate) stream: Option<String>,
    pub(crate) guarantee: DeliveryGuarantee,
    /// Where exactly-once output is staged.
    pub(crate) staging: Option<Staging>,
    /// What subjects of markers begin with.
    pub(crate) marker_subject: String,
    /// Rows of a batch at most.
    pub(crate) batch_rows: u64,
    pub(crate) fail_points: FailPoints,
}

impl Target {
    pub(crate) fn staging(&self) -> Result<&Staging> {
        self.staging.as_ref().ok_or_else(|| Error::internal("nothing is staged here"))
    }

    /// Exactly-once output has a stream.
    pub(crate) fn stream_name(&self) -> Result<&str> {
        self.stream.as_deref().ok_or_else(|| Error::internal("a sink without a stream"))
    }

    /// Where the markers of an owner are.
    pub(crate) fn marker_subject(&self, owner: &str) -> String {
        format!("{}.{owner}", self.marker_subject)
    }
}

/// A table's sink.
pub(crate) struct NatsSink(pub(crate) Arc<Target>);

impl Sink for NatsSink {
    fn guarantee(&self) -> DeliveryGuarantee {
        self.0.guarantee
    }

    fn create_writer(&self, context: WriterContext, _restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        let target = Arc::clone(&self.0);
        Ok(match target.guarantee {
            DeliveryGuarantee::ExactlyOnce => Box::new(StagedWriter::new(target, context)?),
            _ => Box::new(NatsWriter::new(target)?),
        })
    }

    fn create_committer(&self, context: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        Ok(match self.0.guarantee {
            DeliveryGuarantee::ExactlyOnce => Some(Box::new(NatsCommitter::new(Arc::clone(&self.0), context))),
            _ => None,
        })
    }
}
