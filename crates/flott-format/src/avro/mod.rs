//! avro, with the schemas and options of Flink's avro format.
//!
//! A message holds a value alone, and its schema is the one that the table's columns give. A file (an object container
//! file) has its schema with it: columns are found by name, numbers are widened, and a column that the file lacks is NULL.
//!
//! What it is not: it does not go through a tree of values. A schema of data and the columns of a table are compared once,
//! and what comes of it (`plan`) reads bytes straight into columns.

mod binary;
mod codec;
mod confluent;
mod debezium;
mod derive;
mod file_reader;
mod file_writer;
mod infer;
mod json;
mod message;
mod options;
mod plan;
mod registry;
mod root;
mod schema;
mod write;

use std::sync::Arc;

use flott_connector::format::{Decoding, EncoderFactory, FormatContext, FormatFactory, MessageDecoderFactory};
use flott_connector::infer::Infer;
use flott_core::Result;
use flott_core::options::ConfigOption;

pub use codec::BLOCK_BYTES_MAX;
pub use confluent::AvroConfluentFormat;
pub use debezium::DebeziumAvroFormat;
pub use options::OPTIONS;

use self::file_reader::FileDecoding;
use self::file_writer::FileEncoding;
use self::infer::AvroInference;
use self::message::AvroDecoding;
use self::options::AvroOptions;

/// The longest message.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// The format `avro`.
#[derive(Debug, Clone, Copy, Default)]
pub struct AvroFormat;

impl FormatFactory for AvroFormat {
    fn identifier(&self) -> &'static str {
        "avro"
    }

    fn options(&self) -> &'static [ConfigOption] {
        OPTIONS
    }

    fn decoding(&self, context: &FormatContext) -> Result<Decoding> {
        let options = AvroOptions::parse(&context.options)?;
        Ok(Decoding::Bulk(Arc::new(FileDecoding::new(context, options)?)))
    }

    fn message_decoding(&self, context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>> {
        Ok(Arc::new(AvroDecoding::new(context, AvroOptions::parse(&context.options)?)?))
    }

    fn inference(&self) -> Option<Arc<dyn Infer>> {
        Some(Arc::new(AvroInference::default()))
    }

    fn encoding(&self, context: &FormatContext) -> Result<Arc<dyn EncoderFactory>> {
        let options = AvroOptions::parse(&context.options)?;
        let schema = derive::schema_of(context.schema.fields(), options.legacy_timestamps)?;
        Ok(Arc::new(FileEncoding::new(schema, options)?))
    }
}
