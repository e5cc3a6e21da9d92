//! The `values` connector as a connector under test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use flott_connector::Boundedness;
use flott_connector::factory::ConnectorFactory;
use flott_core::Result;

use super::{Record, Semantics, SinkContext, SinkTable, SourceContext, SourceSettings, SourceTable, batch_of_records};
use crate::values::{Values, ValuesStore};

/// Tables of one store.
#[derive(Debug, Default)]
pub struct ValuesContext {
    store: ValuesStore,
    made: AtomicU64,
}

impl ValuesContext {
    /// The store of all tables.
    pub fn store(&self) -> &ValuesStore {
        &self.store
    }

    fn name(&self) -> String {
        format!("data-{}", self.made.fetch_add(1, Ordering::Relaxed))
    }

    fn connector(&self) -> Vec<Arc<dyn ConnectorFactory>> {
        vec![Arc::new(Values::new(self.store.clone()))]
    }
}

struct Table {
    store: ValuesStore,
    name: String,
    options: Vec<(String, String)>,
}

#[async_trait]
impl SourceContext for ValuesContext {
    fn connectors(&self) -> Vec<Arc<dyn ConnectorFactory>> {
        self.connector()
    }

    async fn create(&self, settings: SourceSettings) -> Result<Box<dyn SourceTable>> {
        let bounded = settings.boundedness == Boundedness::Bounded;
        let name = self.name();
        let options = [
            ("connector", "values"),
            ("data-id", &name),
            ("splits", &settings.splits.to_string()),
            ("bounded", if bounded { "true" } else { "false" }),
        ];
        let options = options.map(|(k, v)| (k.to_string(), v.to_string())).to_vec();
        Ok(Box::new(Table { store: self.store.clone(), name, options }))
    }
}

#[async_trait]
impl SourceTable for Table {
    fn options(&self) -> Vec<(String, String)> {
        self.options.clone()
    }

    async fn write(&mut self, split: u32, records: &[Record]) -> Result<()> {
        self.store.append(&self.name, split, &batch_of_records(records)?)
    }
}

#[async_trait]
impl SinkContext for ValuesContext {
    fn connectors(&self) -> Vec<Arc<dyn ConnectorFactory>> {
        self.connector()
    }

    async fn create(&self, semantics: Semantics) -> Result<Box<dyn SinkTable>> {
        let options = [("connector", "values"), ("sink.delivery-guarantee", semantics.name())];
        let options = options.map(|(k, v)| (k.to_string(), v.to_string())).to_vec();
        // What it received is kept under the table's name in the job.
        Ok(Box::new(Table { store: self.store.clone(), name: "sink_t".to_string(), options }))
    }
}

#[async_trait]
impl SinkTable for Table {
    fn options(&self) -> Vec<(String, String)> {
        self.options.clone()
    }

    async fn read(&self) -> Result<Vec<Record>> {
        self.store.received_cells(&self.name).iter().map(|c| Record::from_cells(c)).collect()
    }

    async fn leftovers(&self) -> Result<Vec<String>> {
        let staged = self.store.staged(&self.name);
        Ok((staged > 0).then(|| format!("{staged} staged pieces")).into_iter().collect())
    }
}
