//! From the texts of a column to its values.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use arrow_schema::{DataType, Field, TimeUnit};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flott_core::Result;
use flott_core::types::{LogicalType, TypeKind, from_arrow_field};

use super::lanes::{Integers, Lanes, Timestamps};
use super::options::CsvOptions;
use super::structure::{Cells, ColumnSpans};
use crate::builder::{ColumnBuilder, Values, bytes_array, primitive};
use crate::text::number::{parse_decimal, parse_f32, parse_f64, parse_i64};
use crate::text::time::{TimeStyle, TimestampParser, parse_sql_date, parse_time};
use crate::text::trim;

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text gives no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It gives NULL (a decimal with too many digits).
    Null,
    /// It is wrong.
    Wrong,
}

/// A text that is no value of its column.
#[derive(Debug)]
pub(super) struct WrongCell {
    pub(super) row: usize,
    pub(super) text: Vec<u8>,
    /// False where the text is right but NULL, and the column is NOT NULL.
    pub(super) wrong: bool,
}

/// How a decoding column went wrong.
#[derive(Debug)]
pub(super) enum ColumnError {
    Cell(WrongCell),
    Other(flott_core::Error),
}

impl From<flott_core::Error> for ColumnError {
    fn from(e: flott_core::Error) -> ColumnError {
        ColumnError::Other(e)
    }
}

/// A wanted column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its place in a record.
    pub(super) index: usize,
    pub(super) field: Arc<Field>,
    pub(super) logical: LogicalType,
    /// The raw text may be parsed before its quotes, escapes and NULL are looked at.
    direct: bool,
}

impl Column {
    pub(super) fn new(index: usize, field: Arc<Field>, options: &CsvOptions) -> Result<Column> {
        let logical = from_arrow_field(&field)
            .ok_or_else(|| flott_core::Error::internal(format!("column '{}' has no Flink type", field.name())))?;
        let mut column = Column { index, field, logical, direct: false };
        let null_is_a_value = match (&options.null_literal, column.logical.kind.is_character()) {
            (None, _) => false,
            (Some(_), true) => true,
            (Some(literal), false) => {
                let mut probe = ColumnBuilder::new(&column.field)?;
                append_text(&mut probe, literal, options).is_ok()
            }
        };
        let empty_is_a_value = options.empty_string_as_null
            && (column.logical.kind.is_character() || matches!(column.logical.kind, TypeKind::Boolean));
        let quote_is_a_digit = options.quote.is_some_and(|q| q.is_ascii_digit() || matches!(q, b'-' | b'+' | b'.'));
        column.direct = options.escape.is_none()
            && !options.trim_spaces
            && !null_is_a_value
            && !empty_is_a_value
            && !quote_is_a_digit;
        Ok(column)
    }

    /// Decodes the first `limit` records.
    pub(super) fn decode<C: Cells>(
        &self,
        cells: &C,
        limit: usize,
        options: &CsvOptions,
    ) -> Result<ArrayRef, ColumnError> {
        let run = Run { column: self, cells, limit, options };
        let data_type = self.field.data_type();
        match (&self.logical.kind, data_type) {
            (TypeKind::BigInt, _) => run.integers::<i64>(data_type),
            (TypeKind::Int, _) => run.integers::<i32>(data_type),
            (TypeKind::SmallInt, _) => run.integers::<i16>(data_type),
            (TypeKind::TinyInt, _) => run.integers::<i8>(data_type),
            (TypeKind::Double, _) => run.fixed(data_type, |t| parse_f64(t).ok_or(Failure::Wrong)),
            (TypeKind::Float, _) => run.fixed(data_type, |t| parse_f32(t).ok_or(Failure::Wrong)),
            (TypeKind::Date, _) => run.fixed(data_type, |t| parse_sql_date(t).ok_or(Failure::Wrong)),
            (TypeKind::Decimal { precision, scale }, _) => run.fixed(data_type, |t| decimal(t, *precision, *scale)),
            (TypeKind::Timestamp(..), DataType::Timestamp(unit, _)) => run.timestamps(data_type, *unit),
            (TypeKind::TimestampLtz(..), DataType::Timestamp(unit, _)) => {
                let mut parser = TimestampParser::new(b' ', TimeStyle::Sql, *unit);
                run.fixed(data_type, |t| utc(&mut parser, t).ok_or(Failure::Wrong))
            }
            (kind, _) if kind.is_character() => run.text(data_type),
            (TypeKind::Boolean, _) => run.boolean(),
            _ => run.any(),
        }
    }
}

fn narrow<T: TryFrom<i64>>(text: &[u8]) -> Result<T, Failure> {
    parse_i64(text).and_then(|v| T::try_from(v).ok()).ok_or(Failure::Wrong)
}

fn decimal(text: &[u8], precision: u8, scale: u8) -> Result<i128, Failure> {
    parse_decimal(text, precision, scale).map_err(|_| Failure::Wrong)?.ok_or(Failure::Null)
}

/// An instant carries a `Z`, as Flink writes it.
fn utc(parser: &mut TimestampParser, text: &[u8]) -> Option<i64> {
    parser.parse(text.strip_suffix(b"Z")?)
}

struct Run<'a, C> {
    column: &'a Column,
    cells: &'a C,
    limit: usize,
    options: &'a CsvOptions,
}

impl<C: Cells> Run<'_, C> {
    /// Values of fixed width, parsed straight from the raw text where that is right.
    #[inline(always)]
    fn fixed<T: arrow_buffer::ArrowNativeType>(
        &self,
        data_type: &DataType,
        mut parse: impl FnMut(&[u8]) -> Result<T, Failure>,
    ) -> Result<ArrayRef, ColumnError> {
        let mut values: Vec<T> = Vec::with_capacity(self.limit);
        let mut nulls: Option<BooleanBufferBuilder> = None;
        let mut scratch = vec![];
        for row in 0..self.limit {
            let raw = self.cells.cell(row, self.column.index);
            if self.column.direct
                && let Some(raw) = raw
                && let Ok(value) = parse(raw)
            {
                values.push(value);
                continue;
            }
            match self.slow(row, raw, &mut scratch, &mut parse)? {
                Some(value) => values.push(value),
                None => {
                    values.push(T::default());
                    set_null(&mut nulls, row, self.limit);
                }
            }
        }
        let nulls = nulls.map(|mut bits| NullBuffer::new(bits.finish()));
        Ok(primitive(data_type, values, nulls)?)
    }

    /// What of this column can be read in lanes.
    fn lanes(&self) -> Option<(&[u8], ColumnSpans<'_>)> {
        let cells = self.cells.regular().filter(|_| self.column.direct)?;
        Some((cells.window(), cells.spans(self.column.index, self.limit)?))
    }

    /// Whole numbers.
    fn integers<T: arrow_buffer::ArrowNativeType + TryFrom<i64>>(
        &self,
        data_type: &DataType,
    ) -> Result<ArrayRef, ColumnError> {
        let Some((window, mut spans)) = self.lanes() else { return self.fixed(data_type, narrow::<T>) };
        let read = |integers: &mut Integers, lanes: &mut Lanes| integers.read(window, &mut spans, lanes);
        self.in_lanes(data_type, &mut Integers::new(), read, |_, text| narrow::<T>(text))
    }

    fn timestamps(&self, data_type: &DataType, unit: TimeUnit) -> Result<ArrayRef, ColumnError> {
        let mut parser = TimestampParser::new(b' ', TimeStyle::Sql, unit);
        let Some((window, mut spans)) = self.lanes() else {
            return self.fixed(data_type, |t| parser.parse(t).ok_or(Failure::Wrong));
        };
        let mut timestamps = Timestamps::new();
        let read = |parser: &mut TimestampParser, lanes: &mut Lanes| {
            timestamps.read(window, &mut spans, parser.day(), lanes);
        };
        self.in_lanes(data_type, &mut parser, read, |parser, text| parser.parse(text).ok_or(Failure::Wrong))
    }

    /// Values that are read many at a time, with a state in which odd ones are read in the exact way.
    #[inline(always)]
    fn in_lanes<T: arrow_buffer::ArrowNativeType + TryFrom<i64>, S>(
        &self,
        data_type: &DataType,
        state: &mut S,
        mut read: impl FnMut(&mut S, &mut Lanes),
        exact: impl Fn(&mut S, &[u8]) -> Result<T, Failure>,
    ) -> Result<ArrayRef, ColumnError> {
        let mut values: Vec<T> = Vec::with_capacity(self.limit);
        let mut nulls: Option<BooleanBufferBuilder> = None;
        let mut scratch = vec![];
        let mut lanes = Lanes::new();
        while values.len() < self.limit {
            read(state, &mut lanes);
            let first = values.len();
            let mut odd = lanes.odd_rows();
            values.extend(lanes.values().iter().enumerate().map(|(lane, value)| {
                T::try_from(*value).unwrap_or_else(|_| {
                    // It is told what does not fit.
                    odd |= 1 << lane;
                    T::default()
                })
            }));
            while odd != 0 {
                let row = first + odd.trailing_zeros() as usize;
                odd &= odd - 1;
                let raw = self.cells.cell(row, self.column.index);
                let value = match raw.map(|raw| exact(state, raw)) {
                    Some(Ok(value)) => Some(value),
                    _ => self.slow(row, raw, &mut scratch, &mut |text: &[u8]| exact(state, text))?,
                };
                values[row] = value.unwrap_or_default();
                if value.is_none() {
                    set_null(&mut nulls, row, self.limit);
                }
            }
        }
        let nulls = nulls.map(|mut bits| NullBuffer::new(bits.finish()));
        Ok(primitive(data_type, values, nulls)?)
    }

    /// Quotes, escapes, blanks, NULL and errors.
    #[cold]
    fn slow<T>(
        &self,
        row: usize,
        raw: Option<&[u8]>,
        scratch: &mut Vec<u8>,
        parse: &mut impl FnMut(&[u8]) -> Result<T, Failure>,
    ) -> Result<Option<T>, ColumnError> {
        let Some(raw) = raw else { return Ok(None) };
        let text = cell_text(raw, self.options, scratch);
        if is_null(text, self.options) {
            return Ok(None);
        }
        let trimmed = if self.column.logical.kind.is_numeric() { trim(text) } else { text };
        match parse(trimmed) {
            Ok(value) => Ok(Some(value)),
            Err(Failure::Null) => Ok(None),
            Err(Failure::Wrong) if self.options.ignore_parse_errors => Ok(None),
            Err(Failure::Wrong) => Err(ColumnError::Cell(WrongCell { row, text: text.to_vec(), wrong: true })),
        }
    }

    fn text(&self, data_type: &DataType) -> Result<ArrayRef, ColumnError> {
        let mut offsets: Vec<i32> = Vec::with_capacity(self.limit + 1);
        offsets.push(0);
        let mut data: Vec<u8> = Vec::with_capacity(self.limit * 8);
        let mut nulls: Option<BooleanBufferBuilder> = None;
        let mut scratch = vec![];
        let quote = self.options.quote;
        for row in 0..self.limit {
            match self.cells.cell(row, self.column.index) {
                Some(raw) if self.column.direct && (quote.is_none() || raw.first().copied() != quote) => {
                    data.extend_from_slice(raw);
                }
                Some(raw) => {
                    let text = cell_text(raw, self.options, &mut scratch);
                    if is_null(text, self.options) {
                        set_null(&mut nulls, row, self.limit);
                    } else {
                        data.extend_from_slice(text);
                    }
                }
                None => set_null(&mut nulls, row, self.limit),
            }
            // A window is far shorter than 2 GiB.
            offsets.push(data.len() as i32);
        }
        if simdutf8::basic::from_utf8(&data).is_err() || !at_characters(&data, &offsets) {
            return self.broken_text(data_type, &offsets, &data, nulls);
        }
        let nulls = nulls.map(|mut bits| NullBuffer::new(bits.finish()));
        Ok(bytes_array(data_type, offsets, data, nulls)?)
    }

    /// Finds the first text that is not UTF-8, or makes them all NULL.
    #[cold]
    fn broken_text(
        &self,
        data_type: &DataType,
        offsets: &[i32],
        data: &[u8],
        mut nulls: Option<BooleanBufferBuilder>,
    ) -> Result<ArrayRef, ColumnError> {
        let mut kept = Vec::with_capacity(data.len());
        let mut kept_offsets = vec![0];
        for (row, ends) in offsets.windows(2).enumerate() {
            let text = &data[ends[0] as usize..ends[1] as usize];
            if std::str::from_utf8(text).is_ok() {
                kept.extend_from_slice(text);
            } else if self.options.ignore_parse_errors {
                set_null(&mut nulls, row, self.limit);
            } else {
                return Err(ColumnError::Cell(WrongCell { row, text: text.to_vec(), wrong: true }));
            }
            kept_offsets.push(kept.len() as i32);
        }
        let nulls = nulls.map(|mut bits| NullBuffer::new(bits.finish()));
        Ok(bytes_array(data_type, kept_offsets, kept, nulls)?)
    }

    fn boolean(&self) -> Result<ArrayRef, ColumnError> {
        let mut values = BooleanBufferBuilder::new(self.limit);
        let mut nulls: Option<BooleanBufferBuilder> = None;
        let mut scratch = vec![];
        for row in 0..self.limit {
            let raw = self.cells.cell(row, self.column.index);
            match self.slow(row, raw, &mut scratch, &mut |t| Ok(boolean(t)))? {
                Some(value) => values.append(value),
                None => {
                    values.append(false);
                    set_null(&mut nulls, row, self.limit);
                }
            }
        }
        let nulls = nulls.map(|mut bits| NullBuffer::new(bits.finish()));
        Ok(Arc::new(BooleanArray::new(values.finish(), nulls)))
    }

    /// Types without a loop of their own.
    fn any(&self) -> Result<ArrayRef, ColumnError> {
        let mut builder = ColumnBuilder::new(&self.column.field)?;
        let mut scratch = vec![];
        for row in 0..self.limit {
            let raw = self.cells.cell(row, self.column.index);
            match append_cell(&mut builder, raw, self.options, &mut scratch) {
                Ok(()) => {}
                Err(wrong) => return Err(ColumnError::Cell(WrongCell { row, ..wrong })),
            }
        }
        Ok(builder.finish()?)
    }
}

fn set_null(nulls: &mut Option<BooleanBufferBuilder>, row: usize, rows: usize) {
    nulls
        .get_or_insert_with(|| {
            let mut bits = BooleanBufferBuilder::new(rows);
            bits.append_n(rows, true);
            bits
        })
        .set_bit(row, false);
}

/// True where no offset lies inside a character.
fn at_characters(data: &[u8], offsets: &[i32]) -> bool {
    offsets.iter().all(|o| data.get(*o as usize).is_none_or(|b| b & 0xc0 != 0x80))
}

/// `Boolean.parseBoolean`: everything but "true" is false.
fn boolean(text: &[u8]) -> bool {
    trim(text).eq_ignore_ascii_case(b"true")
}

fn is_null(text: &[u8], options: &CsvOptions) -> bool {
    options.null_literal.as_deref() == Some(text) || (options.empty_string_as_null && text.is_empty())
}

/// A field without quotes and escapes. The record has been scanned: quotes are closed.
pub(super) fn cell_text<'a>(raw: &'a [u8], options: &CsvOptions, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let mut raw = raw;
    if options.trim_spaces {
        let blanks = raw.iter().take_while(|b| **b <= b' ').count();
        raw = &raw[blanks..];
    }
    let quoted = options.quote.is_some() && raw.first().copied() == options.quote;
    if !quoted && options.escape.is_none_or(|e| !raw.contains(&e)) {
        return if options.trim_spaces { trim(raw) } else { raw };
    }
    scratch.clear();
    let mut bytes = raw.iter().copied().skip(usize::from(quoted)).peekable();
    while let Some(byte) = bytes.next() {
        if quoted && Some(byte) == options.quote {
            if bytes.peek().copied() != options.quote {
                break;
            }
            bytes.next();
            scratch.push(byte);
        } else if Some(byte) == options.escape {
            scratch.extend(bytes.next().map(|b| match b {
                b'0' => 0,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                other => other,
            }));
        } else {
            scratch.push(byte);
        }
    }
    if options.trim_spaces && !quoted {
        return trim(scratch);
    }
    scratch
}

/// Appends a whole cell; the error names its text and has no row yet.
pub(super) fn append_cell(
    builder: &mut ColumnBuilder,
    raw: Option<&[u8]>,
    options: &CsvOptions,
    scratch: &mut Vec<u8>,
) -> Result<(), WrongCell> {
    let Some(raw) = raw else {
        builder.push_null();
        return Ok(());
    };
    let text = cell_text(raw, options, scratch);
    // The NULL literal of an array stands for an element, as Jackson reads it.
    let nested = matches!(builder.values, Values::List { .. } | Values::Struct(_));
    if !nested && is_null(text, options) {
        builder.push_null();
        return Ok(());
    }
    let len = builder.len();
    match append_text(builder, text, options) {
        Ok(()) => Ok(()),
        Err(failure) => {
            builder.truncate(len);
            if failure == Failure::Null || options.ignore_parse_errors {
                builder.push_null();
                return Ok(());
            }
            Err(WrongCell { row: 0, text: text.to_vec(), wrong: true })
        }
    }
}

/// Appends the value that a text stands for. On failure the builder may hold a part of it.
fn append_text(builder: &mut ColumnBuilder, text: &[u8], options: &CsvOptions) -> Result<(), Failure> {
    let data_type = builder.field.data_type().clone();
    match (&mut builder.values, &builder.kind) {
        (Values::Null, _) => {
            builder.push_null();
            return Ok(());
        }
        (Values::Bool(v), _) => v.append(boolean(text)),
        (Values::I8(v), _) => v.push(narrow(trim(text))?),
        (Values::I16(v), _) => v.push(narrow(trim(text))?),
        (Values::I32(v), TypeKind::Date) => v.push(parse_sql_date(text).ok_or(Failure::Wrong)?),
        (Values::I32(v), TypeKind::Time(p)) => v.push(time_millis(text, *p).ok_or(Failure::Wrong)?),
        (Values::I32(v), _) => v.push(narrow(trim(text))?),
        (Values::I64(v), TypeKind::Timestamp(..)) => {
            let mut parser = TimestampParser::new(b' ', TimeStyle::Sql, unit(&data_type));
            v.push(parser.parse(text).ok_or(Failure::Wrong)?);
        }
        (Values::I64(v), TypeKind::TimestampLtz(..)) => {
            let mut parser = TimestampParser::new(b' ', TimeStyle::Sql, unit(&data_type));
            v.push(utc(&mut parser, text).ok_or(Failure::Wrong)?);
        }
        (Values::I64(v), _) => v.push(narrow(trim(text))?),
        (Values::F32(v), _) => v.push(parse_f32(trim(text)).ok_or(Failure::Wrong)?),
        (Values::F64(v), _) => v.push(parse_f64(trim(text)).ok_or(Failure::Wrong)?),
        (Values::I128(v), TypeKind::Decimal { precision, scale }) => {
            v.push(decimal(trim(text), *precision, *scale)?);
        }
        (Values::I128(_), _) => return Err(Failure::Wrong),
        (Values::Bytes { .. }, kind) => {
            if kind.is_binary() {
                let bytes = BASE64.decode(trim(text)).map_err(|_| Failure::Wrong)?;
                return builder.push_bytes(&bytes).map_err(|_| Failure::Wrong);
            }
            if std::str::from_utf8(text).is_err() {
                return Err(Failure::Wrong);
            }
            return builder.push_bytes(text).map_err(|_| Failure::Wrong);
        }
        (Values::List { offsets, element }, _) => {
            for part in elements(text, options) {
                append_element(element, part, options)?;
            }
            offsets.push(i32::try_from(element.len()).map_err(|_| Failure::Wrong)?);
        }
        (Values::Struct(fields), _) => {
            let parts: Vec<&[u8]> = elements(text, options).collect();
            if parts.is_empty() {
                builder.push_null();
                return Ok(());
            }
            if parts.len() != fields.len() && !options.ignore_parse_errors {
                return Err(Failure::Wrong);
            }
            for (i, field) in fields.iter_mut().enumerate() {
                match parts.get(i) {
                    Some(part) => append_element(field, part, options)?,
                    None if field.nullable() => field.push_null(),
                    None => return Err(Failure::Wrong),
                }
            }
        }
        (Values::Map { .. }, _) => return Err(Failure::Wrong),
    }
    builder.done(true);
    Ok(())
}

fn append_element(builder: &mut ColumnBuilder, part: &[u8], options: &CsvOptions) -> Result<(), Failure> {
    let part = if options.trim_spaces { trim(part) } else { part };
    let len = builder.len();
    let failure = if is_null(part, options) {
        Failure::Null
    } else {
        match append_text(builder, part, options) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        }
    };
    builder.truncate(len);
    if builder.nullable() && (failure == Failure::Null || options.ignore_parse_errors) {
        builder.push_null();
        return Ok(());
    }
    Err(Failure::Wrong)
}

/// The parts of an array's text; a blank text has none.
fn elements<'a>(text: &'a [u8], options: &'a CsvOptions) -> impl Iterator<Item = &'a [u8]> {
    let delimiter = options.element_delimiter.as_slice();
    let mut rest = (!trim(text).is_empty()).then_some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match text.windows(delimiter.len()).position(|w| w == delimiter) {
            Some(at) => {
                rest = Some(&text[at + delimiter.len()..]);
                Some(&text[..at])
            }
            None => rest.take(),
        }
    })
}

fn unit(data_type: &DataType) -> TimeUnit {
    match data_type {
        DataType::Timestamp(unit, _) => *unit,
        _ => TimeUnit::Millisecond,
    }
}

/// Milliseconds since midnight, digits beyond the precision cut.
fn time_millis(text: &[u8], precision: u8) -> Option<i32> {
    let millis = i32::try_from(parse_time(text, TimeStyle::Iso)? / 1_000_000).ok()?;
    let step = 10i32.pow(3 - u32::from(precision.min(3)));
    Some(millis / step * step)
}
