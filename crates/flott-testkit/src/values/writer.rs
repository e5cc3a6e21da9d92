//! The sink of `values`: records every row at once.

use async_trait::async_trait;
use flott_connector::Versioned;
use flott_connector::sink::{DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_core::{ChangeBatch, Result};

use super::store::ValuesStore;

pub(super) struct ValuesSink {
    pub(super) store: ValuesStore,
    pub(super) name: String,
}

impl Sink for ValuesSink {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::AtLeastOnce
    }

    fn create_writer(&self, _context: WriterContext, _restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(ValuesWriter { store: self.store.clone(), name: self.name.clone() }))
    }
}

struct ValuesWriter {
    store: ValuesStore,
    name: String,
}

#[async_trait]
impl SinkWriter for ValuesWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        self.store.record(&self.name, &batch)
    }

    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        Ok(())
    }
}
