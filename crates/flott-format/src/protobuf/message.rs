//! Messages of a log: each is a row.

use std::sync::Arc;

use arrow_array::{ArrayRef, new_empty_array};
use flott_connector::format::{
    Encoder, EncoderFactory, FormatContext, MessageDecoder, MessageDecoderFactory, Messages, RecordPosition,
};
use flott_core::{ChangeBatch, Error, Result};
use prost_reflect::MessageDescriptor;

use super::decode::Reader;
use super::options::ProtobufOptions;
use super::plan::{self, MessagePlan, ReadDefaults};
use super::write::MessageWriter;
use super::{RECORD_BYTES_MAX, descriptor};
use crate::builder::Rows;
use crate::wrong::{Wrong, error};

const SKIP_HINT: &str = "Compare the message's definition with the one of its writer, or set 'protobuf.ignore-parse-errors' = 'true' to skip messages that cannot be read";

/// The columns do not fit the message.
#[cold]
#[expect(clippy::boxed_local, reason = "as it comes from where it went wrong")]
fn unfit(wrong: Box<Wrong>, message: &MessageDescriptor) -> Error {
    let error = Error::user(wrong.reason).with("message", message.full_name());
    let error = if wrong.path.is_empty() { error } else { error.with("column", wrong.path) };
    error.hint("Columns have the names of the message's fields, and the types that flott docs formats lists for them")
}

pub(super) struct ProtobufDecoding {
    context: FormatContext,
    message: MessageDescriptor,
    defaults: ReadDefaults,
    ignore_parse_errors: bool,
}

impl ProtobufDecoding {
    pub(super) fn new(context: &FormatContext, options: &ProtobufOptions) -> Result<ProtobufDecoding> {
        let message = descriptor::message(options)?;
        let defaults = ReadDefaults::new(&message, options.read_default_values);
        let decoding = ProtobufDecoding {
            context: context.clone(),
            message,
            defaults,
            ignore_parse_errors: options.ignore_parse_errors,
        };
        // Also columns that this query does not read have to fit.
        decoding.plan(&Rows::new(&context.declared)?)?;
        Ok(decoding)
    }

    fn plan(&self, rows: &Rows) -> Result<MessagePlan> {
        plan::of_message(&self.message, &rows.columns, self.defaults, 1).map_err(|e| unfit(e, &self.message))
    }
}

impl MessageDecoderFactory for ProtobufDecoding {
    fn create(&self) -> Result<Box<dyn MessageDecoder>> {
        let rows = Rows::new(&self.context.schema)?;
        Ok(Box::new(ProtobufDecoder {
            plan: self.plan(&rows)?,
            rows,
            reader: Reader::default(),
            ignore_parse_errors: self.ignore_parse_errors,
        }))
    }
}

struct ProtobufDecoder {
    plan: MessagePlan,
    rows: Rows,
    reader: Reader,
    ignore_parse_errors: bool,
}

impl ProtobufDecoder {
    fn row(&mut self, message: &[u8]) -> Result<()> {
        if message.len() > RECORD_BYTES_MAX {
            return Err(Error::data(format!(
                "A Protobuf message is longer than {RECORD_BYTES_MAX} bytes (RECORD_BYTES_MAX)"
            )));
        }
        let before = self.rows.rows;
        if let Err(e) = self.reader.row(&self.plan, message, &mut self.rows.columns) {
            self.rows.truncate(before);
            return Err(error(e));
        }
        self.rows.rows += 1;
        Ok(())
    }
}

impl MessageDecoder for ProtobufDecoder {
    fn decode(&mut self, message: Option<&[u8]>, position: &RecordPosition) -> Result<usize> {
        let Some(message) = message else { return Ok(0) };
        match self.row(message) {
            Ok(()) => Ok(1),
            Err(_) if self.ignore_parse_errors => Ok(0),
            Err(e) => {
                let e = e.with("file", &position.origin);
                let e = if position.row_is_exact {
                    e.with("row", position.row + 1)
                } else {
                    e.with("byte", position.offset)
                };
                // The mark and the number that the clients of a registry put before the value: no field begins with 0.
                let framed = message.first() == Some(&0) && message.len() > 5;
                Err(e.hint(if framed {
                    "The message begins as those that name their schema in a registry; 'protobuf' reads messages alone"
                } else {
                    SKIP_HINT
                }))
            }
        }
    }

    fn flush(&mut self) -> Result<ChangeBatch> {
        Ok(ChangeBatch::append(self.rows.take()?))
    }
}

pub(super) struct ProtobufEncoding {
    message: MessageDescriptor,
    null_literal: Arc<str>,
}

impl ProtobufEncoding {
    pub(super) fn new(context: &FormatContext, options: ProtobufOptions) -> Result<ProtobufEncoding> {
        let message = descriptor::message(&options)?;
        // What does not fit is refused before there are rows.
        let rows = Rows::new(&context.schema)?;
        plan::of_message(&message, &rows.columns, ReadDefaults::new(&message, true), 1)
            .map_err(|e| unfit(e, &message))?;
        let empty: Vec<ArrayRef> = context.schema.fields().iter().map(|f| new_empty_array(f.data_type())).collect();
        let names = context.schema.fields().iter().map(|f| f.name().as_str());
        MessageWriter::new(&message, names.zip(&empty), "").map_err(|e| unfit(e, &message))?;
        Ok(ProtobufEncoding { message, null_literal: options.null_literal.into() })
    }
}

impl EncoderFactory for ProtobufEncoding {
    fn create(&self) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(ProtobufEncoder { message: self.message.clone(), null_literal: Arc::clone(&self.null_literal) }))
    }

    fn file_extension(&self) -> &str {
        "pb"
    }
}

struct ProtobufEncoder {
    message: MessageDescriptor,
    null_literal: Arc<str>,
}

impl Encoder for ProtobufEncoder {
    fn encode(&mut self, _rows: &ChangeBatch, _out: &mut Vec<u8>) -> Result<()> {
        // Messages have no end of their own: a file of several could not be read.
        Err(Error::user("The 'protobuf' format is not supported for the 'filesystem' connector.")
            .hint("Use 'avro' or 'parquet' for files"))
    }

    fn encode_messages(&mut self, rows: &ChangeBatch, out: &mut Messages) -> Result<()> {
        if rows.kinds.is_some() {
            return Err(Error::user("Format 'protobuf' can only write inserts, but the rows hold updates or deletes"));
        }
        let schema = rows.rows.schema();
        let names = schema.fields().iter().map(|f| f.name().as_str());
        let writer = MessageWriter::new(&self.message, names.zip(rows.rows.columns()), &self.null_literal)
            .map_err(|e| unfit(e, &self.message))?;
        for row in 0..rows.num_rows() {
            writer.write(row, &mut out.bytes).map_err(error)?;
            out.end();
        }
        Ok(())
    }
}
