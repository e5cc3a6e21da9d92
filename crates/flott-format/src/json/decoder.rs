//! From bytes to rows: files of lines ([`StreamDecoder`]) and single messages ([`MessageDecoder`]).

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use flott_connector::format::{
    Decoded, FormatContext, MessageDecoder, MessageDecoderFactory, RecordPosition, Splittable, StreamDecoder,
    StreamDecoderFactory,
};
use flott_core::{ChangeBatch, Error, Result};

use super::RECORD_BYTES_MAX;
use super::options::JsonOptions;
use super::scanner::Scanner;
use super::value::{Failure, ValueReader};
use crate::builder::ColumnBuilder;
use crate::text::{shown, trim};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const SKIP_HINT: &str =
    "Set 'json.ignore-parse-errors' = 'true' to read wrong fields as NULL and to skip records that are no JSON";

/// Makes decoders.
#[derive(Debug)]
pub(crate) struct JsonDecoding {
    schema: SchemaRef,
    options: JsonOptions,
}

impl JsonDecoding {
    pub(crate) fn new(context: &FormatContext) -> Result<JsonDecoding> {
        Ok(JsonDecoding { schema: context.schema.clone(), options: JsonOptions::parse(&context.options)? })
    }

    pub(crate) fn decoder(&self) -> Result<JsonDecoder> {
        let columns = self.schema.fields().iter().map(ColumnBuilder::new).collect::<Result<Vec<_>>>()?;
        let (schema, options) = (self.schema.clone(), self.options.clone());
        let reader = ValueReader::new(options.clone());
        Ok(JsonDecoder { schema, options, columns, rows: 0, reader })
    }
}

impl StreamDecoderFactory for JsonDecoding {
    fn create(&self, _first: bool) -> Result<Box<dyn StreamDecoder>> {
        Ok(Box::new(self.decoder()?))
    }

    fn splittable(&self) -> Splittable {
        Splittable::AtLineBreak
    }
}

impl MessageDecoderFactory for JsonDecoding {
    fn create(&self) -> Result<Box<dyn MessageDecoder>> {
        Ok(Box::new(self.decoder()?))
    }
}

pub(crate) struct JsonDecoder {
    schema: SchemaRef,
    options: JsonOptions,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    reader: ValueReader,
}

/// What one text gave.
enum Outcome {
    Rows(usize),
    Skipped,
}

impl JsonDecoder {
    /// The columns of the rows so far.
    pub(crate) fn columns(&self) -> &[ColumnBuilder] {
        &self.columns
    }

    /// Takes back all rows from this one on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.rows = rows;
        self.columns.iter_mut().for_each(|c| c.truncate(rows));
    }

    /// Decodes one text: an object, or an array of objects. On an error nothing of it stays.
    fn text(&mut self, text: &[u8]) -> Result<Outcome> {
        let before = self.rows;
        let failure = match simdutf8::basic::from_utf8(text) {
            Err(_) => Error::data(format!("'{}' is not valid UTF-8", shown(text))),
            Ok(_) => {
                let mut scanner = Scanner::new(text);
                match self.rows(&mut scanner) {
                    Ok(()) => return Ok(Outcome::Rows(self.rows - before)),
                    Err(Failure::Syntax(e)) => Error::data(format!(
                        "Failed to deserialize JSON '{}': {} at byte {}",
                        shown(text),
                        e.reason,
                        e.at + 1
                    )),
                    Err(Failure::Wrong(wrong)) => Error::data(wrong.reason).with("column", wrong.path),
                }
            }
        };
        self.rows = before;
        self.columns.iter_mut().for_each(|c| c.truncate(before));
        if self.options.ignore_parse_errors { Ok(Outcome::Skipped) } else { Err(failure) }
    }

    fn rows(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Failure> {
        match scanner.peek() {
            Some(b'[') => {
                scanner.at += 1;
                let mut first = true;
                while scanner.next_part(&mut first, b']')? {
                    if scanner.peek() == Some(b'n') {
                        scanner.word(b"null")?;
                        continue;
                    }
                    self.reader.record(scanner, &mut self.columns, self.rows, 1)?;
                    self.rows += 1;
                }
            }
            _ => {
                self.reader.record(scanner, &mut self.columns, self.rows, 0)?;
                self.rows += 1;
            }
        }
        match scanner.peek() {
            None => Ok(()),
            Some(_) => Err(scanner.error("more text follows the value").into()),
        }
    }

    fn take_batch(&mut self) -> Result<RecordBatch> {
        let arrays = self.columns.iter_mut().map(ColumnBuilder::finish).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?)
    }

    /// Forgets the rows of a call that fails.
    fn clear(&mut self) {
        self.rows = 0;
        self.columns.iter_mut().for_each(|c| c.truncate(0));
    }
}

fn at(error: Error, position: &RecordPosition, row: u64, offset: usize) -> Error {
    let error = error.with("file", &position.origin);
    let error = if position.row_is_exact {
        error.with("row", position.row + row + 1)
    } else {
        error.with("byte", position.offset + offset as u64)
    };
    if error.hint_text().is_some() { error } else { error.hint(SKIP_HINT) }
}

fn too_long() -> Error {
    Error::data(format!("A JSON record is longer than {RECORD_BYTES_MAX} bytes (RECORD_BYTES_MAX)"))
        .hint("A file holds one object a line; an indented or a single large document cannot be read")
}

impl StreamDecoder for JsonDecoder {
    fn decode(
        &mut self,
        input: &[u8],
        end_of_input: bool,
        max_rows: usize,
        position: &RecordPosition,
    ) -> Result<Decoded> {
        let mut decoded = Decoded { consumed: 0, rows: None, kinds: None, records: 0, skipped: 0 };
        while self.rows < max_rows && decoded.consumed < input.len() {
            let rest = &input[decoded.consumed..];
            let (line, next) = match memchr::memchr(b'\n', rest) {
                Some(end) => (&rest[..end], end + 1),
                None if end_of_input => (rest, rest.len()),
                None if rest.len() > RECORD_BYTES_MAX => {
                    self.clear();
                    return Err(at(too_long(), position, decoded.records, decoded.consumed));
                }
                None => break,
            };
            let start_of_file = position.offset == 0 && decoded.consumed == 0;
            let text = if start_of_file { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
            let text = trim(text);
            if text.len() > RECORD_BYTES_MAX {
                self.clear();
                return Err(at(too_long(), position, decoded.records, decoded.consumed));
            }
            // Empty lines hold no record.
            if !text.is_empty() {
                match self.text(text) {
                    Ok(Outcome::Rows(_)) => {}
                    Ok(Outcome::Skipped) => decoded.skipped += 1,
                    Err(e) => {
                        self.clear();
                        return Err(at(e, position, decoded.records, decoded.consumed));
                    }
                }
            }
            decoded.records += 1;
            decoded.consumed += next;
        }
        if self.rows > 0 {
            decoded.rows = Some(self.take_batch()?);
        }
        Ok(decoded)
    }
}

impl MessageDecoder for JsonDecoder {
    fn decode(&mut self, message: Option<&[u8]>, position: &RecordPosition) -> Result<usize> {
        let Some(message) = message else { return Ok(0) };
        if message.is_empty() {
            return Ok(0);
        }
        if message.len() > RECORD_BYTES_MAX {
            return Err(at(too_long(), position, 0, 0));
        }
        let text = message.strip_prefix(BYTE_ORDER_MARK).unwrap_or(message);
        match self.text(text) {
            Ok(Outcome::Rows(rows)) => Ok(rows),
            Ok(Outcome::Skipped) => Ok(0),
            Err(e) => Err(at(e, position, 0, 0)),
        }
    }

    fn flush(&mut self) -> Result<ChangeBatch> {
        Ok(ChangeBatch::append(self.take_batch()?))
    }
}
