//! From bytes to rows: files ([`StreamDecoder`]) and single messages ([`MessageDecoder`]).

use std::sync::Arc;

use arrow_array::{Array, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_buffer::BooleanBuffer;
use arrow_schema::SchemaRef;
use flott_connector::format::{
    Decoded, FormatContext, MessageDecoder, MessageDecoderFactory, RecordPosition, Splittable, StreamDecoder,
    StreamDecoderFactory,
};
use flott_core::types::TypeKind;
use flott_core::{ChangeBatch, Error, Result};

use super::column::{Column, ColumnError, WrongCell, append_cell};
use super::options::CsvOptions;
use super::structure::{Cells, Index, MISSING, Scanned, ScannedCells, Span, scan_record};
use super::{RECORD_BYTES_MAX, check_columns};
use crate::builder::ColumnBuilder;
use crate::text::shown;

/// Bytes that one call looks at: positions in it fit 32 bits, and the longest record fits.
const WINDOW_BYTES: usize = 4 * RECORD_BYTES_MAX;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const SKIP_HINT: &str =
    "Set 'csv.ignore-parse-errors' = 'true' to read wrong fields as NULL and to skip malformed records";
/// An empty field is most often meant as NULL, which Flink's csv says by an option.
const EMPTY_HINT: &str = "Set 'csv.null-literal' = '' to read empty fields as NULL, or 'csv.ignore-parse-errors' = \
                          'true' to read all wrong fields as NULL and to skip malformed records";

/// Everything that decoders of one table share.
#[derive(Debug)]
pub(super) struct CsvDecoding(Arc<Plan>);

#[derive(Debug)]
struct Plan {
    schema: SchemaRef,
    columns: Vec<Column>,
    /// Fields of a record.
    declared: usize,
    options: CsvOptions,
}

impl CsvDecoding {
    pub(super) fn new(context: &FormatContext) -> Result<CsvDecoding> {
        check_columns(&context.declared, true)?;
        let options = CsvOptions::parse(&context.options)?;
        let columns = context
            .schema
            .fields()
            .iter()
            .map(|field| {
                let index = context
                    .declared
                    .index_of(field.name())
                    .map_err(|_| Error::internal(format!("column '{}' is asked for but not declared", field.name())))?;
                Column::new(index, field.clone(), &options)
            })
            .collect::<Result<Vec<_>>>()?;
        let declared = context.declared.fields().len();
        Ok(CsvDecoding(Arc::new(Plan { schema: context.schema.clone(), columns, declared, options })))
    }
}

impl StreamDecoderFactory for CsvDecoding {
    fn create(&self, _first: bool) -> Result<Box<dyn StreamDecoder>> {
        // The first line is known by its offset, so that a decoder has no state to lose.
        Ok(Box::new(CsvStreamDecoder { plan: self.0.clone(), index: Index::default(), spans: vec![], kept: vec![] }))
    }

    fn splittable(&self) -> Splittable {
        match (self.0.options.quote, self.0.options.escape) {
            (None, None) => Splittable::AtLineBreak,
            (Some(quote), None) => Splittable::OutsideQuotes(quote),
            // An escaped quote or line break would look like a real one.
            (_, Some(_)) => Splittable::No,
        }
    }
}

impl MessageDecoderFactory for CsvDecoding {
    fn create(&self) -> Result<Box<dyn MessageDecoder>> {
        let builders = self.0.schema.fields().iter().map(ColumnBuilder::new).collect::<Result<Vec<_>>>()?;
        Ok(Box::new(CsvMessageDecoder { plan: self.0.clone(), builders, spans: vec![], scratch: vec![], rows: 0 }))
    }
}

#[derive(Debug)]
struct CsvStreamDecoder {
    plan: Arc<Plan>,
    index: Index,
    spans: Vec<Span>,
    /// The number in this call of each record in `spans`, and where it begins.
    kept: Vec<(u32, u32)>,
}

/// What scanning found.
#[derive(Debug)]
struct Found {
    consumed: usize,
    records: u64,
    skipped: u64,
}

impl StreamDecoder for CsvStreamDecoder {
    fn decode(
        &mut self,
        input: &[u8],
        end_of_input: bool,
        max_rows: usize,
        position: &RecordPosition,
    ) -> Result<Decoded> {
        let window = &input[..input.len().min(WINDOW_BYTES)];
        let at_end = end_of_input && window.len() == input.len();
        let nothing = Decoded { consumed: 0, rows: None, kinds: None, records: 0, skipped: 0 };
        let Some((start, header_records)) = self.start(window, at_end, position)? else { return Ok(nothing) };
        if start >= window.len() || max_rows == 0 {
            return Ok(Decoded { consumed: start, records: header_records, ..nothing });
        }
        let plan = self.plan.clone();
        let (options, declared) = (&plan.options, plan.declared);
        let simple =
            options.escape.is_none() && !options.allow_comments && !options.trim_spaces && options.delimiter.len() == 1;
        let regular = if simple {
            let quote = options.quote;
            self.index.build(window, start, declared, max_rows, at_end, options.delimiter[0], quote)
        } else {
            None
        };
        let (found, rows) = match regular {
            Some(rows) => {
                let rows = rows.min(max_rows);
                let cells = self.index.cells(window, rows, declared);
                let consumed = if rows == 0 { start } else { window.len().min(cells.record_end(rows - 1) + 1) };
                let place = |row: usize| (row as u64 + header_records, cells.record_start(row));
                let bytes = |row: usize| cells.record_end(row) - cells.record_start(row);
                let too_long = (0..rows).find(|row| consumed > RECORD_BYTES_MAX && bytes(*row) > RECORD_BYTES_MAX);
                // Whatever is wrong is told of the first record that has it.
                let (batch, dropped) = columns(&plan, &cells, too_long.unwrap_or(rows), position, place)?;
                if let Some(row) = too_long {
                    let (number, from) = place(row);
                    check_length(bytes(row), false, position, number, from)?;
                }
                if rows < max_rows {
                    // What is left is the beginning of one record.
                    check_length(window.len() - consumed, at_end, position, rows as u64 + header_records, consumed)?;
                }
                (Found { consumed, records: rows as u64, skipped: dropped }, batch)
            }
            None => {
                let (mut found, malformed) = self.scan(window, start, at_end, max_rows, position, header_records);
                let cells = ScannedCells { window, spans: &self.spans, columns: declared };
                let kept = &self.kept;
                let place = |row: usize| (u64::from(kept[row].0) + header_records, kept[row].1 as usize);
                // A wrong value in a record before the malformed one comes first.
                let (batch, dropped) = columns(&plan, &cells, cells.rows(), position, place)?;
                malformed.map_or(Ok(()), Err)?;
                found.skipped += dropped;
                (found, batch)
            }
        };
        let rows = Some(rows).filter(|b| b.num_rows() > 0);
        if found.consumed == start && found.records == 0 {
            // A byte order mark alone is kept until a record follows, so that "nothing" means "more bytes, please".
            let consumed = if header_records > 0 { start } else { 0 };
            return Ok(Decoded { consumed, records: header_records, ..nothing });
        }
        let records = found.records + header_records;
        Ok(Decoded { consumed: found.consumed, rows, kinds: None, records, skipped: found.skipped })
    }
}

impl CsvStreamDecoder {
    /// Where the first record begins, behind a byte order mark and a header, and how many records were skipped for it.
    fn start(&self, window: &[u8], at_end: bool, position: &RecordPosition) -> Result<Option<(usize, u64)>> {
        if position.offset != 0 {
            return Ok(Some((0, 0)));
        }
        let mark = BYTE_ORDER_MARK.len();
        if !at_end && window.len() < mark && BYTE_ORDER_MARK.starts_with(window) {
            return Ok(None);
        }
        let start = if window.starts_with(BYTE_ORDER_MARK) { mark } else { 0 };
        if !self.plan.options.ignore_first_line || start >= window.len() {
            return Ok(Some((start, 0)));
        }
        let mut spans = vec![];
        match scan_record(window, start, at_end, &self.plan.options, &mut spans) {
            Scanned::Record { next } | Scanned::Skip { next } | Scanned::Malformed { next, .. } => Ok(Some((next, 1))),
            Scanned::Incomplete => {
                check_length(window.len(), at_end, position, 0, 0)?;
                Ok(None)
            }
        }
    }

    /// The exact way: record by record, up to the first one that is no record.
    fn scan(
        &mut self,
        window: &[u8],
        start: usize,
        at_end: bool,
        max_rows: usize,
        position: &RecordPosition,
        header_records: u64,
    ) -> (Found, Option<Error>) {
        let (options, declared) = (&self.plan.options, self.plan.declared);
        self.spans.clear();
        self.kept.clear();
        let mut found = Found { consumed: start, records: 0, skipped: 0 };
        while self.kept.len() < max_rows && found.consumed < window.len() {
            let from = found.consumed;
            let first = self.spans.len();
            let row = found.records + header_records;
            let (next, reason) = match scan_record(window, from, at_end, options, &mut self.spans) {
                Scanned::Incomplete => {
                    let too_long = check_length(window.len() - from, at_end, position, row, from).err();
                    return (found, too_long);
                }
                Scanned::Skip { next } => {
                    found.consumed = next;
                    found.records += 1;
                    continue;
                }
                Scanned::Malformed { next, reason } => (next, Some(reason.to_string())),
                Scanned::Record { next } => (next, fit_record(window, &mut self.spans, first, declared, options)),
            };
            if let Err(too_long) = check_length(next - from, false, position, row, from) {
                self.spans.truncate(first);
                return (found, Some(too_long));
            }
            match reason {
                None => self.kept.push((found.records as u32, from as u32)),
                Some(_) if options.ignore_parse_errors => {
                    self.spans.truncate(first);
                    found.skipped += 1;
                }
                Some(reason) => {
                    let text = shown(&window[from..next]);
                    let text = text.trim_end_matches(['\r', '\n']);
                    let error = Error::data(format!("Malformed csv record '{text}': {reason}"));
                    self.spans.truncate(first);
                    return (found, Some(at(error, position, row, from)));
                }
            }
            found.records += 1;
            found.consumed = next;
        }
        (found, None)
    }
}

/// Brings a record to the declared number of fields, or says why it cannot be.
fn fit_record(
    window: &[u8],
    spans: &mut Vec<Span>,
    first: usize,
    declared: usize,
    options: &CsvOptions,
) -> Option<String> {
    let count = spans.len() - first;
    if count > declared {
        let extra = spans[first + declared];
        let blank = window[extra.0 as usize..extra.1 as usize].iter().all(|b| *b <= b' ');
        let allowed =
            options.ignore_trailing_unmappable || (options.allow_trailing_comma && count == declared + 1 && blank);
        spans.truncate(first + declared);
        return (!allowed).then(|| format!("too many fields: {declared} expected but there are {count}"));
    }
    if count < declared {
        if options.fail_on_missing_columns || !options.ignore_parse_errors {
            return Some(format!("Row length mismatch. {declared} fields expected but was {count}"));
        }
        spans.resize(first + declared, MISSING);
    }
    None
}

fn check_length(bytes: usize, at_end: bool, position: &RecordPosition, row: u64, offset: usize) -> Result<()> {
    if at_end || bytes <= RECORD_BYTES_MAX {
        return Ok(());
    }
    let error = Error::data(format!("A csv record is longer than 16 MiB ({RECORD_BYTES_MAX} bytes, RECORD_BYTES_MAX)"))
        .hint("Look for a missing closing quote, or set 'csv.disable-quote-character' = 'true'");
    Err(at(error, position, row, offset))
}

/// Adds where a record stands: `row` counts from the call's first record, `offset` from its first byte.
fn at(error: Error, position: &RecordPosition, row: u64, offset: usize) -> Error {
    let error = error.with("file", &position.origin);
    let error = if position.row_is_exact {
        error.with("row", position.row + row + 1)
    } else {
        error.with("byte", position.offset + offset as u64)
    };
    if error.hint_text().is_some() { error } else { error.hint(SKIP_HINT) }
}

/// Decodes all wanted columns of the first records. The second number counts rows dropped because a NOT NULL column has no value.
fn columns<C: Cells>(
    plan: &Plan,
    cells: &C,
    mut limit: usize,
    position: &RecordPosition,
    place: impl Fn(usize) -> (u64, usize),
) -> Result<(RecordBatch, u64)> {
    let mut arrays = Vec::with_capacity(plan.columns.len());
    let mut first_wrong: Option<(usize, WrongCell)> = None;
    for (i, column) in plan.columns.iter().enumerate() {
        match column.decode(cells, limit, &plan.options) {
            Ok(array) => {
                let null = (!column.field.is_nullable() && !plan.options.ignore_parse_errors)
                    .then(|| array.nulls().and_then(|n| (0..array.len()).find(|row| n.is_null(*row))))
                    .flatten();
                if let Some(row) = null {
                    let text = cells.cell(row, column.index).unwrap_or_default().to_vec();
                    first_wrong = Some((i, WrongCell { row, text, wrong: false }));
                    limit = row;
                }
                arrays.push(array);
            }
            // Only an error in an earlier record can come before this one.
            Err(ColumnError::Cell(wrong)) => {
                limit = wrong.row;
                first_wrong = Some((i, wrong));
            }
            Err(ColumnError::Other(e)) => return Err(e),
        }
    }
    if let Some((i, wrong)) = first_wrong {
        let (row, offset) = place(wrong.row);
        let error = cell_error(&plan.columns[i], &wrong);
        return Err(at(error, position, row, offset));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(limit));
    let missing: Vec<_> = plan
        .columns
        .iter()
        .zip(&arrays)
        .filter(|(c, a)| !c.field.is_nullable() && a.null_count() > 0)
        .filter_map(|(_, a)| a.nulls().map(|n| n.inner().clone()))
        .collect();
    if missing.is_empty() {
        return Ok((RecordBatch::try_new_with_options(plan.schema.clone(), arrays, &options)?, 0));
    }
    let keep = missing.into_iter().reduce(|a, b| &a & &b).unwrap_or_else(|| BooleanBuffer::new_set(limit));
    let keep = BooleanArray::new(keep, None);
    let dropped = limit - keep.true_count();
    let kept =
        arrays.iter().map(|a| arrow_select::filter::filter(a, &keep)).collect::<std::result::Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(limit - dropped));
    Ok((RecordBatch::try_new_with_options(plan.schema.clone(), kept, &options)?, dropped as u64))
}

fn cell_error(column: &Column, wrong: &WrongCell) -> Error {
    let text = shown(&wrong.text);
    let kind = &column.logical;
    let message = if !wrong.wrong {
        format!("'{text}' is NULL, but the column is declared {kind}")
    } else if std::str::from_utf8(&wrong.text).is_err() {
        format!("'{text}' is not valid UTF-8")
    } else {
        let expected = match &kind.kind {
            TypeKind::Date => ", expected yyyy-MM-dd",
            TypeKind::Time(_) => ", expected HH:mm:ss[.fraction]",
            TypeKind::Timestamp(..) => ", expected yyyy-MM-dd HH:mm:ss[.fraction]",
            TypeKind::TimestampLtz(..) => ", expected yyyy-MM-dd HH:mm:ss[.fraction]Z",
            k if k.is_binary() => ", expected base64",
            _ => "",
        };
        format!("'{text}' is not a valid {}{expected}", kind.summary_without_nullability())
    };
    let error = Error::data(message).with("column", column.field.name());
    if wrong.wrong && wrong.text.is_empty() && column.field.is_nullable() { error.hint(EMPTY_HINT) } else { error }
}

struct CsvMessageDecoder {
    plan: Arc<Plan>,
    builders: Vec<ColumnBuilder>,
    spans: Vec<Span>,
    scratch: Vec<u8>,
    rows: usize,
}

impl MessageDecoder for CsvMessageDecoder {
    fn decode(&mut self, message: Option<&[u8]>, position: &RecordPosition) -> Result<usize> {
        let Some(message) = message else { return Ok(0) };
        let options = &self.plan.options;
        check_length(message.len(), false, position, 0, 0)?;
        self.spans.clear();
        let mut start = if message.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        // One message is one record; what follows its line break is not looked at, as in Flink.
        let reason = loop {
            if start >= message.len() {
                return Ok(0);
            }
            match scan_record(message, start, true, options, &mut self.spans) {
                Scanned::Skip { next } => start = next,
                Scanned::Record { .. } => {
                    break fit_record(message, &mut self.spans, 0, self.plan.declared, options);
                }
                Scanned::Malformed { reason, .. } => break Some(reason.to_string()),
                Scanned::Incomplete => break Some("the record is not complete".to_string()),
            }
        };
        if let Some(reason) = reason {
            if options.ignore_parse_errors {
                return Ok(0);
            }
            let error = Error::data(format!("Malformed csv record '{}': {reason}", shown(message)));
            return Err(at(error, position, 0, 0));
        }
        let cells = ScannedCells { window: message, spans: &self.spans, columns: self.plan.declared };
        for i in 0..self.builders.len() {
            let column = &self.plan.columns[i];
            let builder = &mut self.builders[i];
            let raw = cells.cell(0, column.index);
            let result = append_cell(builder, raw, options, &mut self.scratch);
            let wrong = match result {
                Err(wrong) => wrong,
                Ok(()) if builder.nullable() || builder.is_last_valid() => continue,
                Ok(()) => WrongCell { row: 0, text: raw.unwrap_or_default().to_vec(), wrong: false },
            };
            let rows = self.rows;
            self.builders.iter_mut().for_each(|b| b.truncate(rows));
            if options.ignore_parse_errors {
                return Ok(0);
            }
            return Err(at(cell_error(column, &wrong), position, 0, 0));
        }
        self.rows += 1;
        Ok(1)
    }

    fn flush(&mut self) -> Result<ChangeBatch> {
        let arrays = self.builders.iter_mut().map(ColumnBuilder::finish).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        Ok(ChangeBatch::append(RecordBatch::try_new_with_options(self.plan.schema.clone(), arrays, &options)?))
    }
}
