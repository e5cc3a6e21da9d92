//! orc, with the types of Flink's orc format.
//!
//! Columns are found by name; one that a file lacks is NULL. Files of all encodings are read, of all compressions but LZO.
//! What is written has no indexes and no statistics: nothing here asks for them, and readers can do without.
//!
//! What it is not: it does not go through another library's arrays. Streams are read straight into columns (`column`).

mod column;
mod infer;
mod meta;
mod options;
mod plan;
mod read;
mod rle;
mod stream;
mod write;
mod zone;

use std::sync::Arc;

use flott_connector::format::{Decoding, EncoderFactory, FormatContext, FormatFactory, MessageDecoderFactory};
use flott_connector::infer::Infer;
use flott_core::options::ConfigOption;
use flott_core::{Error, Result};

pub use meta::FOOTER_BYTES_MAX;
pub use options::OPTIONS;
pub use read::STRIPE_BYTES_MAX;

use self::infer::OrcInference;
use self::options::OrcOptions;
use self::read::OrcDecoding;
use self::write::OrcEncoding;

/// The format `orc`.
#[derive(Debug, Clone, Copy, Default)]
pub struct OrcFormat;

impl FormatFactory for OrcFormat {
    fn identifier(&self) -> &'static str {
        "orc"
    }

    fn options(&self) -> &'static [ConfigOption] {
        OPTIONS
    }

    fn decoding(&self, context: &FormatContext) -> Result<Decoding> {
        OrcOptions::parse(&context.options)?;
        Ok(Decoding::Bulk(Arc::new(OrcDecoding::new(context)?)))
    }

    fn message_decoding(&self, _context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>> {
        Err(Error::user("Format 'orc' reads files, not messages").hint("Use 'json', 'csv' or 'avro' for messages"))
    }

    fn inference(&self) -> Option<Arc<dyn Infer>> {
        Some(Arc::new(OrcInference))
    }

    fn encoding(&self, context: &FormatContext) -> Result<Arc<dyn EncoderFactory>> {
        Ok(Arc::new(OrcEncoding::new(&context.schema, OrcOptions::parse(&context.options)?)?))
    }
}
