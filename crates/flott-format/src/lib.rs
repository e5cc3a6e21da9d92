//! Formats: bytes to Arrow batches and back, with Flink's options and rules.
//!
//! What it is: one folder per format, each with an options table, a decoder and an encoder. What several formats share
//! is how Java reads and writes numbers and times (`text`) and how columns are built (`builder`).
//!
//! What it is not: it opens no files or sockets (files of formats with an inner structure are read through the object store that
//! is given; protobuf reads the definition of its messages where a table names a file) and knows no connector. A connector asks for a format by its name, through the registry that the façade fills from
//! [`formats`].
//!
//! Read first: [`csv::CsvFormat`].
#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod avro;
mod builder;
pub mod changelog_json;
pub mod csv;
mod infer;
pub mod json;
mod lines;
pub mod orc;
pub mod parquet;
pub mod protobuf;
pub mod raw;
mod text;
mod wrong;

use std::sync::Arc;

use flott_connector::format::FormatFactory;
use flott_connector::schema_registry::SchemaRegistryFactory;

/// The formats of messages that name their schema in a registry.
pub fn registry_formats(registries: Arc<dyn SchemaRegistryFactory>) -> Vec<Arc<dyn FormatFactory>> {
    vec![
        Arc::new(avro::AvroConfluentFormat::new(Arc::clone(&registries))),
        Arc::new(avro::DebeziumAvroFormat::new(registries)),
    ]
}

/// All formats of this crate that need nothing else.
pub fn formats() -> Vec<Arc<dyn FormatFactory>> {
    let mut formats: Vec<Arc<dyn FormatFactory>> = vec![
        Arc::new(avro::AvroFormat),
        Arc::new(csv::CsvFormat),
        Arc::new(json::JsonFormat),
        Arc::new(orc::OrcFormat),
        Arc::new(parquet::ParquetFormat),
        Arc::new(protobuf::ProtobufFormat),
        Arc::new(raw::RawFormat),
    ];
    formats.extend(changelog_json::ChangelogJson::ALL.map(|f| Arc::new(f) as Arc<dyn FormatFactory>));
    formats
}
