//! What a sink writes to, shared by its writers.

use std::sync::Arc;

use flott_connector::Versioned;
use flott_connector::format::EncoderFactory;
use flott_connector::sink::{DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_core::Result;
use reqwest::Method;

use crate::request::Service;
use crate::template::Template;
use crate::writer::HttpWriter;

/// How several rows make a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The row itself.
    Single,
    JsonArray,
    Lines,
}

/// A table's target.
pub(crate) struct Target {
    pub(crate) service: Arc<Service>,
    pub(crate) url: Template,
    pub(crate) method: Method,
    pub(crate) value: Arc<dyn EncoderFactory>,
    /// The format writes changes as they are.
    pub(crate) changes: bool,
    /// Rows replace and delete each other, by the URL.
    pub(crate) upsert: bool,
    pub(crate) layout: Layout,
    pub(crate) batch_rows: usize,
    pub(crate) in_flight: usize,
}

/// A table's sink.
pub(crate) struct HttpSink(pub(crate) Arc<Target>);

impl Sink for HttpSink {
    fn guarantee(&self) -> DeliveryGuarantee {
        // To put a row once more changes nothing; to post it once more may.
        if self.0.upsert && self.0.method == Method::PUT {
            DeliveryGuarantee::EffectivelyOnce
        } else {
            DeliveryGuarantee::AtLeastOnce
        }
    }

    fn create_writer(&self, context: WriterContext, restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(HttpWriter::new(Arc::clone(&self.0), &context, &restored)?))
    }
}
