//! Table contexts for factories, without a catalog.

use std::path::PathBuf;
use std::sync::Arc;

use flott_connector::factory::{Registry, TableContext};
use flott_connector::sink::WriterContext;
use flott_connector::source::SubtaskInfo;
use flott_connector::table::{CatalogTable, Column, ColumnKind, ObjectIdentifier, PrimaryKey, ResolvedSchema};
use flott_core::options::Options;
use flott_core::types::{TypeKind, arrow_schema};
use flott_core::{FailPoints, Generation, LogicalType};

use crate::build::{schema, types_of};

/// Builds the context that a planner would hand to a factory.
#[derive(Debug, Clone, Default)]
pub struct TableBuilder {
    name: String,
    columns: Vec<Column>,
    primary_key: Vec<String>,
    options: Options,
    projection: Option<Vec<String>>,
    base_dir: PathBuf,
    registry: Arc<Registry>,
}

impl TableBuilder {
    /// A table of this name with physical columns as DDL writes them. Panics where the text is wrong.
    #[track_caller]
    pub fn new(name: &str, columns: &str) -> TableBuilder {
        let schema = schema(columns);
        let types = match types_of(&schema) {
            Ok(types) => types,
            Err(e) => panic!("{e}"),
        };
        let columns = schema.fields().iter().zip(types).map(|(f, t)| Column::physical(f.name(), t)).collect();
        TableBuilder { name: name.to_string(), columns, ..TableBuilder::default() }
    }

    /// Sets an option.
    #[must_use]
    pub fn option(mut self, key: &str, value: &str) -> TableBuilder {
        self.options.set(key, value);
        self
    }

    /// `PRIMARY KEY (..) NOT ENFORCED`.
    #[must_use]
    pub fn primary_key(mut self, columns: &[&str]) -> TableBuilder {
        self.primary_key = columns.iter().map(|c| c.to_string()).collect();
        self
    }

    /// Adds a metadata column of this name and key.
    #[must_use]
    pub fn metadata(mut self, name: &str, key: &str, data_type: &str, is_virtual: bool) -> TableBuilder {
        let data_type: LogicalType = data_type.parse().unwrap_or_else(|e| panic!("{e}"));
        let kind = ColumnKind::Metadata { key: Some(key.to_string()), is_virtual };
        self.columns.push(Column { name: name.to_string(), data_type, kind, comment: None });
        self
    }

    /// Asks a source for a part of the physical columns.
    #[must_use]
    pub fn projection(mut self, columns: &[&str]) -> TableBuilder {
        self.projection = Some(columns.iter().map(|c| c.to_string()).collect());
        self
    }

    /// Relative paths start here.
    #[must_use]
    pub fn base_dir(mut self, path: impl Into<PathBuf>) -> TableBuilder {
        self.base_dir = path.into();
        self
    }

    /// Formats and connectors that the table may name.
    #[must_use]
    pub fn registry(mut self, registry: Arc<Registry>) -> TableBuilder {
        self.registry = registry;
        self
    }

    /// For a source: physical columns (of the projection), then metadata columns.
    pub fn source(&self) -> TableContext {
        let mut columns: Vec<&Column> = match &self.projection {
            None => self.columns.iter().filter(|c| c.kind == ColumnKind::Physical).collect(),
            Some(names) => names.iter().filter_map(|n| self.columns.iter().find(|c| c.name == *n)).collect(),
        };
        let metadata: Vec<&Column> = self.columns.iter().filter(|c| c.metadata_key().is_some()).collect();
        columns.extend(&metadata);
        let fields = columns.iter().map(|c| (c.metadata_key().unwrap_or(&c.name), &c.data_type));
        let keys = metadata.iter().filter_map(|c| c.metadata_key()).map(String::from).collect();
        self.context(arrow_schema(fields), keys)
    }

    /// For a sink: persisted columns.
    pub fn sink(&self) -> TableContext {
        let columns: Vec<&Column> = self.columns.iter().filter(|c| c.is_persisted()).collect();
        let keys = columns.iter().filter_map(|c| c.metadata_key()).map(String::from).collect();
        self.context(arrow_schema(columns.iter().map(|c| (c.name.as_str(), &c.data_type))), keys)
    }

    fn context(&self, schema: arrow_schema::SchemaRef, metadata_keys: Vec<String>) -> TableContext {
        let key = (!self.primary_key.is_empty()).then(|| PrimaryKey {
            name: format!("PK_{}", self.primary_key.join("_")),
            columns: self.primary_key.clone(),
        });
        let mut columns = self.columns.clone();
        for column in &mut columns {
            if self.primary_key.contains(&column.name) && column.data_type.kind != TypeKind::Null {
                column.data_type.nullable = false;
            }
        }
        TableContext {
            identifier: ObjectIdentifier::new("default_catalog", "default_database", &self.name),
            table: CatalogTable {
                schema: ResolvedSchema { columns, watermark: None, primary_key: key },
                options: self.options.clone(),
                ..CatalogTable::default()
            },
            schema,
            metadata_keys,
            config: Options::new(),
            base_dir: self.base_dir.clone(),
            registry: Arc::clone(&self.registry),
            fail_points: FailPoints::none(),
        }
    }
}

/// The context of one of several writers.
pub fn writer_context(index: usize, parallelism: usize) -> WriterContext {
    WriterContext {
        subtask: SubtaskInfo { index, parallelism },
        lineage: "lineage".into(),
        generation: Generation(1),
        operator_uid: "sink".into(),
    }
}
