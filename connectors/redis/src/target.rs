//! What a sink writes to, shared by its writers.

use std::sync::Arc;

use flott_connector::Versioned;
use flott_connector::format::EncoderFactory;
use flott_connector::sink::{DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_core::Result;

use crate::access::Access;
use crate::writer::RedisWriter;

/// As what rows are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// By the columns of the key.
    String(Vec<usize>),
    Hash(Vec<usize>),
    /// In the list of this key.
    List(String),
}

/// A table's target.
pub(crate) struct Target {
    pub(crate) access: Access,
    pub(crate) keeping: Keeping,
    /// But for hashes.
    pub(crate) value: Option<Arc<dyn EncoderFactory>>,
    pub(crate) prefix: String,
    pub(crate) delimiter: String,
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) retries: u32,
}

/// A table's sink.
pub(crate) struct RedisSink(pub(crate) Arc<Target>);

impl Sink for RedisSink {
    fn guarantee(&self) -> DeliveryGuarantee {
        match self.0.keeping {
            // To set a row once more changes nothing.
            Keeping::String(_) | Keeping::Hash(_) => DeliveryGuarantee::EffectivelyOnce,
            Keeping::List(_) => DeliveryGuarantee::AtLeastOnce,
        }
    }

    fn create_writer(&self, _context: WriterContext, _restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(RedisWriter::new(Arc::clone(&self.0))?))
    }
}
