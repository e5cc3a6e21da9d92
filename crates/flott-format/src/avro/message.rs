//! Messages: a value without its schema, which is the table's own.

use std::sync::Arc;

use flott_connector::format::{
    Encoder, EncoderFactory, FormatContext, MessageDecoder, MessageDecoderFactory, Messages, RecordPosition,
};
use flott_core::{ChangeBatch, Error, Result};

use super::binary::Input;
use super::options::AvroOptions;
use super::root::{Resolved, error};
use super::schema::AvroSchema;
use super::write;
use super::{RECORD_BYTES_MAX, derive};
use crate::builder::Rows;

pub(super) struct AvroDecoding {
    context: FormatContext,
    schema: Arc<AvroSchema>,
    options: AvroOptions,
}

impl AvroDecoding {
    pub(super) fn new(context: &FormatContext, options: AvroOptions) -> Result<AvroDecoding> {
        let schema = Arc::new(derive::schema_of(context.declared.fields(), options.legacy_timestamps)?);
        Ok(AvroDecoding { context: context.clone(), schema, options })
    }
}

impl MessageDecoderFactory for AvroDecoding {
    fn create(&self) -> Result<Box<dyn MessageDecoder>> {
        let rows = Rows::new(&self.context.schema)?;
        let resolved = Resolved::new(Arc::clone(&self.schema), &rows, &self.schema)?;
        Ok(Box::new(AvroDecoder { resolved, rows, json: self.options.json, scratch: vec![] }))
    }
}

struct AvroDecoder {
    resolved: Resolved,
    rows: Rows,
    json: bool,
    scratch: Vec<u8>,
}

/// Where a message stands.
pub(super) fn at(error: Error, position: &RecordPosition) -> Error {
    let error = error.with("file", &position.origin);
    if position.row_is_exact { error.with("row", position.row + 1) } else { error.with("byte", position.offset) }
}

pub(super) fn too_long() -> Error {
    Error::data(format!("An Avro record is longer than {RECORD_BYTES_MAX} bytes (RECORD_BYTES_MAX)"))
}

impl MessageDecoder for AvroDecoder {
    fn decode(&mut self, message: Option<&[u8]>, position: &RecordPosition) -> Result<usize> {
        let Some(message) = message else { return Ok(0) };
        if message.len() > RECORD_BYTES_MAX {
            return Err(at(too_long(), position));
        }
        let read = if self.json {
            self.resolved.read_json(message, &mut self.scratch, &mut self.rows)
        } else {
            self.resolved.read_one(message, &mut self.rows)
        };
        match read {
            Ok(there) => Ok(usize::from(there)),
            Err(e) => {
                // The mark and the id that a registry's clients put before the value.
                let framed = !self.json && message.first() == Some(&0) && message.len() > 5;
                let hint = if framed {
                    "Messages that name their schema in a registry are read with 'avro-confluent'; else the columns have to be those of the writer, in their order and with their types and NOT NULL"
                } else {
                    "The columns have to be those of the writer, in their order and with their types and NOT NULL"
                };
                Err(at(e, position).hint(hint))
            }
        }
    }

    fn flush(&mut self) -> Result<ChangeBatch> {
        Ok(ChangeBatch::append(self.rows.take()?))
    }
}

pub(super) struct AvroEncoding {
    schema: Arc<AvroSchema>,
    json: bool,
}

impl AvroEncoding {
    pub(super) fn new(schema: Arc<AvroSchema>, json: bool) -> AvroEncoding {
        AvroEncoding { schema, json }
    }
}

impl EncoderFactory for AvroEncoding {
    fn create(&self) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(AvroEncoder { schema: Arc::clone(&self.schema), json: self.json, scratch: vec![] }))
    }

    fn file_extension(&self) -> &str {
        "avro"
    }
}

struct AvroEncoder {
    schema: Arc<AvroSchema>,
    json: bool,
    scratch: Vec<u8>,
}

/// Appends each row as a record of the schema, and tells after each.
pub(super) fn each(
    schema: &AvroSchema,
    rows: &ChangeBatch,
    out: &mut Vec<u8>,
    mut begin: impl FnMut(&mut Vec<u8>),
    mut end: impl FnMut(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let (branch, node) = match write::branches(schema, schema.root) {
        Some((_, value, node)) => (Some(value), node),
        None => (None, schema.root),
    };
    let names = rows.rows.schema();
    let names: Vec<&str> = names.fields().iter().map(|f| f.name().as_str()).collect();
    let columns: Vec<_> = names.into_iter().zip(rows.rows.columns()).collect();
    let writers = write::record(schema, node, columns.into_iter())?;
    for row in 0..rows.num_rows() {
        begin(out);
        if let Some(branch) = branch {
            super::binary::put_long(branch as i64, out);
        }
        writers.iter().try_for_each(|w| w.write(row, out))?;
        end(out)?;
    }
    Ok(())
}

pub(super) fn only_inserts(rows: &ChangeBatch, format: &str) -> Result<()> {
    if rows.kinds.is_some() {
        return Err(Error::user(format!(
            "Format '{format}' can only write inserts, but the rows hold updates or deletes"
        )));
    }
    Ok(())
}

impl Encoder for AvroEncoder {
    fn encode(&mut self, rows: &ChangeBatch, out: &mut Vec<u8>) -> Result<()> {
        let mut messages = Messages { bytes: std::mem::take(out), ends: vec![] };
        let encoded = self.encode_messages(rows, &mut messages);
        *out = messages.bytes;
        encoded
    }

    fn encode_messages(&mut self, rows: &ChangeBatch, out: &mut Messages) -> Result<()> {
        only_inserts(rows, "avro")?;
        let Messages { bytes, ends } = out;
        if !self.json {
            return each(
                &self.schema,
                rows,
                bytes,
                |_| {},
                |bytes| {
                    ends.push((bytes.len(), true));
                    Ok(())
                },
            );
        }
        let schema = Arc::clone(&self.schema);
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        each(
            &schema,
            rows,
            &mut scratch,
            |_| {},
            |scratch| {
                super::json::from_binary(&mut Input::new(scratch), &schema, schema.root, bytes).map_err(error)?;
                ends.push((bytes.len(), true));
                scratch.clear();
                Ok(())
            },
        )?;
        self.scratch = scratch;
        Ok(())
    }
}
