//! `blackhole`: takes every row and does nothing with it.

use std::sync::Arc;

use async_trait::async_trait;
use flott_connector::factory::{ChangelogMode, ConnectorFactory, TableContext, TableSink};
use flott_connector::sink::{DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_core::options::ConfigOption;
use flott_core::{ChangeBatch, Result};

use flott_connector::Versioned;

/// The connector.
#[derive(Debug)]
pub struct Blackhole;

impl ConnectorFactory for Blackhole {
    fn identifier(&self) -> &'static str {
        "blackhole"
    }

    fn description(&self) -> &'static str {
        "Takes every row and drops it: for measuring, and for trying out functions."
    }

    fn options(&self) -> &'static [ConfigOption] {
        &[]
    }

    fn sink_follows_query(&self) -> bool {
        true
    }

    fn sink_hides_changes(&self) -> bool {
        true
    }

    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        context.validate_options(self.options(), &[])?;
        // As in Flink: everything but -U, so that nobody upstream makes rows that nobody wants.
        Ok(TableSink { sink: Arc::new(BlackholeSink), changelog_mode: ChangelogMode::UPSERT, parallelism: None })
    }
}

struct BlackholeSink;

impl Sink for BlackholeSink {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::None
    }

    fn create_writer(&self, _context: WriterContext, _restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(BlackholeWriter))
    }
}

struct BlackholeWriter;

#[async_trait]
impl SinkWriter for BlackholeWriter {
    async fn write(&mut self, _batch: ChangeBatch) -> Result<()> {
        Ok(())
    }

    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        Ok(())
    }
}
