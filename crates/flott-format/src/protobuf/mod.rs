//! protobuf: messages of Protocol Buffers, with the options and rules of Flink's protobuf format.
//!
//! Flink takes a message's fields from a Java class. Here they come from the text of a .proto file, a .proto file, or a
//! set of descriptors that `protoc` wrote (`descriptor`). The fields of a message and the columns of a table are compared
//! once, and what comes of it reads bytes straight into columns (`plan`, `decode`) and writes columns as bytes (`write`).
//!
//! What it is not: a file format. Messages have no end of their own, so `filesystem` refuses it, as in Flink.

mod decode;
mod descriptor;
mod java;
mod message;
mod options;
mod plan;
pub(crate) mod wire;
mod write;

use std::sync::Arc;

use flott_connector::format::{Decoding, EncoderFactory, FormatContext, FormatFactory, MessageDecoderFactory};
use flott_core::options::ConfigOption;
use flott_core::{Error, Result};

pub use descriptor::{DESCRIPTOR_BYTES_MAX, FILES_MAX};
pub use options::OPTIONS;
pub use wire::DEPTH_MAX;

use self::message::{ProtobufDecoding, ProtobufEncoding};
use self::options::ProtobufOptions;

/// The longest message.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// The format `protobuf`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProtobufFormat;

impl FormatFactory for ProtobufFormat {
    fn identifier(&self) -> &'static str {
        "protobuf"
    }

    fn options(&self) -> &'static [ConfigOption] {
        OPTIONS
    }

    fn decoding(&self, _context: &FormatContext) -> Result<Decoding> {
        Err(Error::user("The 'protobuf' format is not supported for the 'filesystem' connector.")
            .hint("There is no standard for files of many Protobuf messages. Use 'avro' or 'parquet' for files"))
    }

    fn message_decoding(&self, context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>> {
        let options = ProtobufOptions::parse(&context.options)?;
        Ok(Arc::new(ProtobufDecoding::new(context, &options)?))
    }

    fn encoding(&self, context: &FormatContext) -> Result<Arc<dyn EncoderFactory>> {
        let options = ProtobufOptions::parse(&context.options)?;
        Ok(Arc::new(ProtobufEncoding::new(context, options)?))
    }
}
