//! Registries that keep the schemas of messages: a message names its schema by a number.
//!
//! A format asks for one through [`SchemaRegistryFactory`], which the façade gives it. Both calls block their thread; a
//! source decodes on a thread of its own, and a sink asks once, when its writer is made. A registry has to
//! bound how long a call takes: rows that were read before wait as long, and so does a checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use flott_core::Result;
use flott_core::options::{ConfigOption, Options};
use serde::{Deserialize, Serialize};

/// A schema as the registry keeps it. What a number stands for never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredSchema {
    /// `AVRO`, `PROTOBUF`, `JSON`.
    pub kind: String,
    /// Its text.
    pub text: String,
    /// The texts of schemas that it refers to, each before those that refer to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
}

/// Schemas by the number that messages name.
pub type KnownSchemas = BTreeMap<u32, RegisteredSchema>;

/// A registry.
pub trait SchemaRegistry: Send + Sync {
    /// The schema with this number. One that does not exist is a data error, a registry that does not answer is
    /// unavailable.
    fn schema(&self, id: u32) -> Result<Arc<RegisteredSchema>>;
    /// The number of a schema under a subject; registers it where that is allowed and it is not there.
    fn id(&self, subject: &str, schema: &RegisteredSchema) -> Result<u32>;
    /// The newest schema of a subject. One that does not exist is the user's error.
    fn latest(&self, subject: &str) -> Result<Arc<RegisteredSchema>>;
}

/// Opens registries.
pub trait SchemaRegistryFactory: Send + Sync {
    /// Options of a format that say where the registry is and how it is spoken to.
    fn options(&self) -> &'static [ConfigOption];
    /// A registry; nothing is sent yet.
    fn open(&self, options: &Options) -> Result<Arc<dyn SchemaRegistry>>;
}
