//! The outside system of a connector under test.

use std::sync::Arc;

use async_trait::async_trait;
use flott_connector::Boundedness;
use flott_connector::factory::ConnectorFactory;
use flott_core::Result;

use super::Semantics;
use super::record::Record;

/// What a case asks of a source's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceSettings {
    /// Whether it ends.
    pub boundedness: Boundedness,
    /// So many splits at least, each written by its number.
    pub splits: u32,
}

/// Makes tables in an outside system that a source reads.
#[async_trait]
pub trait SourceContext: Send + Sync {
    /// Connectors that the environment does not have by itself.
    fn connectors(&self) -> Vec<Arc<dyn ConnectorFactory>> {
        vec![]
    }
    /// What the session has to be told (`s3.endpoint`).
    fn session_options(&self) -> Vec<(String, String)> {
        vec![]
    }
    /// A new, empty table of [`COLUMNS`](super::COLUMNS).
    async fn create(&self, settings: SourceSettings) -> Result<Box<dyn SourceTable>>;
}

/// A table in an outside system that a source reads.
#[async_trait]
pub trait SourceTable: Send + Sync {
    /// Its `WITH` options.
    fn options(&self) -> Vec<(String, String)>;
    /// Adds records to a split, behind those that are there. A running job of an unbounded source finds them.
    async fn write(&mut self, split: u32, records: &[Record]) -> Result<()>;
}

/// Makes tables in an outside system that a sink writes.
#[async_trait]
pub trait SinkContext: Send + Sync {
    /// Connectors that the environment does not have by itself.
    fn connectors(&self) -> Vec<Arc<dyn ConnectorFactory>> {
        vec![]
    }
    /// What the session has to be told (`s3.endpoint`).
    fn session_options(&self) -> Vec<(String, String)> {
        vec![]
    }
    /// A new, empty table of [`COLUMNS`](super::COLUMNS).
    async fn create(&self, semantics: Semantics) -> Result<Box<dyn SinkTable>>;
}

/// A table in an outside system that a sink writes.
#[async_trait]
pub trait SinkTable: Send + Sync {
    /// Its `WITH` options.
    fn options(&self) -> Vec<(String, String)>;
    /// The records that a reader of the system sees now.
    async fn read(&self) -> Result<Vec<Record>>;
    /// What is left in the system that no reader sees and a job that has ended should not leave: staged files, open
    /// transactions. Asked after jobs that have finished or were cancelled.
    async fn leftovers(&self) -> Result<Vec<String>> {
        Ok(vec![])
    }
}
