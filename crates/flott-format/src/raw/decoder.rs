//! From bytes to one column.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, SchemaRef};
use flott_connector::format::{
    Decoded, FormatContext, MessageDecoder, MessageDecoderFactory, RecordPosition, Splittable, StreamDecoder,
    StreamDecoderFactory,
};
use flott_core::types::from_arrow_field;
use flott_core::{ChangeBatch, Error, Result};

use super::{RECORD_BYTES_MAX, RawOptions, check_column};
use crate::builder::{ColumnBuilder, Values};
use crate::text::shown;

#[derive(Debug)]
pub(super) struct RawDecoding {
    declared: SchemaRef,
    wanted: SchemaRef,
    pub(super) options: RawOptions,
}

impl RawDecoding {
    pub(super) fn new(context: &FormatContext) -> Result<RawDecoding> {
        check_column(&context.declared)?;
        let options = RawOptions::parse(&context.options)?;
        Ok(RawDecoding { declared: context.declared.clone(), wanted: context.schema.clone(), options })
    }

    fn decoder(&self) -> Result<RawDecoder> {
        let column = ColumnBuilder::new(&self.declared.fields()[0])?;
        Ok(RawDecoder { column, wanted: self.wanted.clone(), options: self.options })
    }
}

impl StreamDecoderFactory for RawDecoding {
    fn create(&self, _first: bool) -> Result<Box<dyn StreamDecoder>> {
        Ok(Box::new(self.decoder()?))
    }

    fn splittable(&self) -> Splittable {
        Splittable::AtLineBreak
    }
}

impl MessageDecoderFactory for RawDecoding {
    fn create(&self) -> Result<Box<dyn MessageDecoder>> {
        Ok(Box::new(self.decoder()?))
    }
}

struct RawDecoder {
    column: ColumnBuilder,
    wanted: SchemaRef,
    options: RawOptions,
}

impl RawDecoder {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(too_long());
        }
        let field = self.column.field.clone();
        let size = |expected: usize| {
            let message = format!("{} bytes cannot be a {}: {expected} are expected", bytes.len(), type_name(&field));
            Error::data(message).hint("Declare the column as BYTES to see what arrives")
        };
        macro_rules! number {
            ($values:expr, $t:ty) => {{
                const SIZE: usize = size_of::<$t>();
                let bytes: [u8; SIZE] = bytes.try_into().map_err(|_| size(SIZE))?;
                $values.push(if self.options.little_endian {
                    <$t>::from_le_bytes(bytes)
                } else {
                    <$t>::from_be_bytes(bytes)
                });
            }};
        }
        match &mut self.column.values {
            Values::Bytes { .. } => {
                if !self.column.kind.is_character() {
                    return self.column.push_bytes(bytes).map_err(|_| too_long());
                }
                let Some(text) = self.options.charset.decode(bytes) else {
                    let name = self.options.charset.name();
                    return Err(Error::data(format!("'{}' is not valid {name}", shown(bytes)))
                        .hint("Set 'raw.charset', or declare the column as BYTES"));
                };
                return self.column.push_bytes(text.as_bytes()).map_err(|_| too_long());
            }
            Values::Bool(v) => match bytes {
                [byte] => v.append(*byte != 0),
                _ => return Err(size(1)),
            },
            Values::I8(v) => number!(v, i8),
            Values::I16(v) => number!(v, i16),
            Values::I32(v) => number!(v, i32),
            Values::I64(v) => number!(v, i64),
            Values::F32(v) => number!(v, f32),
            Values::F64(v) => number!(v, f64),
            _ => return Err(Error::internal("raw has no column of this type")),
        }
        self.column.done(true);
        Ok(())
    }

    fn take_batch(&mut self) -> Result<RecordBatch> {
        let rows = self.column.len();
        let array = self.column.finish()?;
        let arrays = self.wanted.fields().iter().map(|_| array.clone()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.wanted.clone(), arrays, &options)?)
    }
}

fn type_name(field: &Field) -> String {
    from_arrow_field(field).map_or_else(String::new, |t| t.summary_without_nullability())
}

fn too_long() -> Error {
    Error::data(format!("A raw record is longer than {RECORD_BYTES_MAX} bytes (RECORD_BYTES_MAX)"))
        .hint("A record of a file ends with a line break")
}

fn at(error: Error, column: &str, position: &RecordPosition, row: u64, offset: usize) -> Error {
    let error = error.with("column", column).with("file", &position.origin);
    if position.row_is_exact {
        error.with("row", position.row + row + 1)
    } else {
        error.with("byte", position.offset + offset as u64)
    }
}

impl StreamDecoder for RawDecoder {
    fn decode(
        &mut self,
        input: &[u8],
        end_of_input: bool,
        max_rows: usize,
        position: &RecordPosition,
    ) -> Result<Decoded> {
        let mut decoded = Decoded { consumed: 0, rows: None, kinds: None, records: 0, skipped: 0 };
        while self.column.len() < max_rows && decoded.consumed < input.len() {
            let rest = &input[decoded.consumed..];
            let (line, next) = match memchr::memchr(b'\n', rest) {
                Some(end) => (&rest[..end], end + 1),
                None if end_of_input || rest.len() > RECORD_BYTES_MAX => (rest, rest.len()),
                None => break,
            };
            if let Err(e) = self.append(line) {
                self.column.truncate(0);
                let name = self.column.field.name().clone();
                return Err(at(e, &name, position, decoded.records, decoded.consumed));
            }
            decoded.records += 1;
            decoded.consumed += next;
        }
        if self.column.len() > 0 {
            decoded.rows = Some(self.take_batch()?);
        }
        Ok(decoded)
    }
}

impl MessageDecoder for RawDecoder {
    fn decode(&mut self, message: Option<&[u8]>, position: &RecordPosition) -> Result<usize> {
        let name = self.column.field.name().clone();
        match message {
            Some(bytes) => self.append(bytes).map_err(|e| at(e, &name, position, 0, 0))?,
            None if self.column.nullable() => self.column.push_null(),
            None => {
                let error = Error::data("The message is NULL, but the column is declared NOT NULL");
                return Err(at(error, &name, position, 0, 0));
            }
        }
        Ok(1)
    }

    fn flush(&mut self) -> Result<ChangeBatch> {
        Ok(ChangeBatch::append(self.take_batch()?))
    }
}
