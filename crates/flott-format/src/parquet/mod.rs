//! parquet, with the types and options of Flink's parquet format.
//!
//! Columns are found by name; one that a file lacks is NULL. Timestamps are written as INT96 at any depth unless
//! `write.int64.timestamp` says otherwise, and read from INT96 and INT64 of any unit.

mod infer;
mod levels;
mod options;
mod reader;
mod store;
mod types;
mod writer;
mod zone;

use std::sync::Arc;

use flott_connector::format::{Decoding, EncoderFactory, FormatContext, FormatFactory, MessageDecoderFactory};
use flott_connector::infer::Infer;
use flott_core::options::ConfigOption;
use flott_core::{Error, Result};

pub use options::OPTIONS;

use self::infer::ParquetInference;
use self::options::ParquetOptions;
use self::reader::ParquetDecoding;
use self::writer::ParquetEncoding;

/// The format `parquet`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ParquetFormat;

impl FormatFactory for ParquetFormat {
    fn identifier(&self) -> &'static str {
        "parquet"
    }

    fn options(&self) -> &'static [ConfigOption] {
        OPTIONS
    }

    fn decoding(&self, context: &FormatContext) -> Result<Decoding> {
        Ok(Decoding::Bulk(Arc::new(ParquetDecoding::new(context, ParquetOptions::parse(context)?)?)))
    }

    fn message_decoding(&self, _context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>> {
        Err(Error::user("Format 'parquet' reads files, not messages").hint("Use 'json', 'csv' or 'avro' for messages"))
    }

    fn inference(&self) -> Option<Arc<dyn Infer>> {
        Some(Arc::new(ParquetInference))
    }

    fn encoding(&self, context: &FormatContext) -> Result<Arc<dyn EncoderFactory>> {
        Ok(Arc::new(ParquetEncoding::new(context.schema.clone(), ParquetOptions::parse(context)?)?))
    }
}
