//! A registry of schemas in memory, for formats that name their schema.

use std::sync::{Arc, Mutex, PoisonError};

use flott_connector::schema_registry::{RegisteredSchema, SchemaRegistry, SchemaRegistryFactory};
use flott_core::options::{ConfigOption, Options};
use flott_core::{Error, Result};

/// Schemas by their number.
#[derive(Debug, Clone, Default)]
pub(crate) struct InMemory(Arc<Mutex<Vec<RegisteredSchema>>>);

impl InMemory {
    pub(crate) fn of(schemas: &[&str]) -> InMemory {
        let avro =
            |text: &&str| RegisteredSchema { kind: "AVRO".into(), text: (*text).to_string(), references: vec![] };
        InMemory(Arc::new(Mutex::new(schemas.iter().map(avro).collect())))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<RegisteredSchema>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SchemaRegistry for InMemory {
    fn schema(&self, id: u32) -> Result<Arc<RegisteredSchema>> {
        let found = self.with(|schemas| schemas.get(id as usize).cloned());
        found.map(Arc::new).ok_or_else(|| Error::data(format!("no schema {id}")))
    }

    fn id(&self, _subject: &str, schema: &RegisteredSchema) -> Result<u32> {
        Ok(self.with(|schemas| {
            let known = schemas.iter().position(|s| s == schema);
            known.unwrap_or_else(|| {
                schemas.push(schema.clone());
                schemas.len() - 1
            }) as u32
        }))
    }

    fn latest(&self, _subject: &str) -> Result<Arc<RegisteredSchema>> {
        let found = self.with(|schemas| schemas.last().cloned());
        found.map(Arc::new).ok_or_else(|| Error::user("no schema"))
    }
}

impl SchemaRegistryFactory for InMemory {
    fn options(&self) -> &'static [ConfigOption] {
        &[]
    }

    fn open(&self, _options: &Options) -> Result<Arc<dyn SchemaRegistry>> {
        Ok(Arc::new(self.clone()))
    }
}
