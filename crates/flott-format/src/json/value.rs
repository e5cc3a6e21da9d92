//! From JSON values to columns, with Flink's conversions.

use std::collections::HashMap;

use arrow_schema::{DataType, TimeUnit};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flott_core::types::TypeKind;

use super::DEPTH_MAX;
use super::options::JsonOptions;
use super::scanner::{Scalar, Scanner, SyntaxError, TOO_DEEP};
use crate::builder::{ColumnBuilder, Values};
use crate::text::number::{parse_decimal, parse_f32, parse_f64, parse_i64};
use crate::text::time::{TimeStyle, TimestampParser, parse_date, parse_time};
use crate::text::{shown, trim};

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a value was not appended.
#[derive(Debug)]
pub(super) enum Failure {
    /// The text is no JSON: the record cannot be read further.
    Syntax(SyntaxError),
    /// The value does not fit its column.
    Wrong(Box<WrongValue>),
}

/// A value that does not fit.
#[derive(Debug)]
pub(super) struct WrongValue {
    /// The column, and the way into it: `a.b[].c`.
    pub(super) path: String,
    /// The message.
    pub(super) reason: String,
}

impl From<SyntaxError> for Failure {
    fn from(e: SyntaxError) -> Failure {
        Failure::Syntax(e)
    }
}

/// Reads values; holds what is worth keeping between records.
pub(super) struct ValueReader {
    options: JsonOptions,
    scratch: Vec<u8>,
    /// One per unit: milliseconds, microseconds, nanoseconds.
    timestamps: [TimestampParser; 3],
    /// The names of the last record's fields in order, with their columns: most records look like the one before.
    learned: Vec<(Box<[u8]>, Option<usize>)>,
}

/// The most names that are remembered.
const LEARNED_MAX: usize = 512;

impl ValueReader {
    pub(super) fn new(options: JsonOptions) -> ValueReader {
        let (separator, style) = if options.iso_timestamps { (b'T', TimeStyle::Iso) } else { (b' ', TimeStyle::Sql) };
        let timestamps = [TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond]
            .map(|unit| TimestampParser::new(separator, style, unit).with_strict_dates());
        ValueReader { options, scratch: vec![], timestamps, learned: vec![] }
    }

    /// Reads an object into the columns, one value each. On failure some columns may have one value more than before.
    pub(super) fn record(
        &mut self,
        scanner: &mut Scanner<'_>,
        columns: &mut [ColumnBuilder],
        rows: usize,
        depth: usize,
    ) -> Result<(), Failure> {
        scanner.expect(b'{', "expected an object")?;
        let mut first = true;
        let mut position = 0;
        while scanner.next_part(&mut first, b'}')? {
            let name = scanner.string(&mut self.scratch)?;
            let target = match self.learned.get(position) {
                Some((learned, target)) if **learned == *name => *target,
                learned => {
                    let target = columns.iter().position(|c| c.field.name().as_bytes() == name);
                    if learned.is_some() {
                        self.learned[position] = (name.into(), target);
                    } else if position < LEARNED_MAX {
                        self.learned.push((name.into(), target));
                    }
                    target
                }
            };
            position += 1;
            scanner.expect(b':', "expected ':' behind the name of a field")?;
            match target {
                None => scanner.skip(depth + 1)?,
                Some(i) => {
                    let column = &mut columns[i];
                    // The last of several values of one name counts.
                    if column.len() > rows {
                        column.truncate(rows);
                    }
                    self.value(scanner, column, depth + 1)?;
                }
            }
        }
        columns.iter_mut().try_for_each(|c| self.fill(c, rows))
    }

    /// A field that was not in its object.
    fn fill(&self, column: &mut ColumnBuilder, rows: usize) -> Result<(), Failure> {
        if column.len() > rows {
            return Ok(());
        }
        if self.options.fail_on_missing_field {
            let reason = format!("Could not find field with name '{}'", column.field.name());
            return Err(Failure::Wrong(Box::new(WrongValue { path: column.field.name().clone(), reason })));
        }
        if !column.nullable() {
            let reason = format!("the field is missing, but the column is declared {} NOT NULL", type_name(column));
            return Err(Failure::Wrong(Box::new(WrongValue { path: column.field.name().clone(), reason })));
        }
        column.push_null();
        Ok(())
    }

    /// Reads a value of any kind into a column.
    pub(super) fn value(
        &mut self,
        scanner: &mut Scanner<'_>,
        column: &mut ColumnBuilder,
        depth: usize,
    ) -> Result<(), Failure> {
        let first = scanner.peek();
        let start = scanner.at;
        let len = column.len();
        let reason = if first == Some(b'n') {
            scanner.word(b"null")?;
            if column.nullable() {
                column.push_null();
                return Ok(());
            }
            format!("NULL, but the column is declared {} NOT NULL", type_name(column))
        } else {
            match self.not_null(scanner, column, depth) {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    // A decimal with too many digits is NULL.
                    if column.nullable() {
                        column.push_null();
                        return Ok(());
                    }
                    format!("too large for {} NOT NULL", type_name(column))
                }
                Err(Failure::Syntax(e)) => return Err(e.into()),
                Err(Failure::Wrong(wrong)) => {
                    column.truncate(len);
                    scanner.at = start;
                    scanner.skip(depth)?;
                    if self.options.ignore_parse_errors && column.nullable() {
                        column.push_null();
                        return Ok(());
                    }
                    let path = match wrong.path.as_str() {
                        "" => column.field.name().clone(),
                        below if below.starts_with('[') => format!("{}{below}", column.field.name()),
                        below => format!("{}.{below}", column.field.name()),
                    };
                    return Err(Failure::Wrong(Box::new(WrongValue { path, reason: wrong.reason })));
                }
            }
        };
        column.truncate(len);
        let reason = format!("'{}' is {reason}", shown(&scanner.text[start..scanner.at]));
        Err(Failure::Wrong(Box::new(WrongValue { path: column.field.name().clone(), reason })))
    }

    /// Reads a value that is not null. `false` where it stands for NULL; then nothing was appended.
    #[inline]
    fn not_null(
        &mut self,
        scanner: &mut Scanner<'_>,
        column: &mut ColumnBuilder,
        depth: usize,
    ) -> Result<bool, Failure> {
        if depth > DEPTH_MAX {
            return Err(scanner.error(TOO_DEEP).into());
        }
        let open = scanner.at;
        match &mut column.values {
            Values::List { offsets, element } => {
                if scanner.peek() != Some(b'[') {
                    return Err(wrong(scanner, open, depth, "an array"));
                }
                scanner.at += 1;
                let mut first = true;
                while scanner.next_part(&mut first, b']')? {
                    self.value(scanner, element, depth + 1).map_err(inside_brackets)?;
                }
                offsets.push(i32::try_from(element.len()).map_err(|_| scanner.error(TOO_LONG))?);
            }
            Values::Struct(fields) => {
                if scanner.peek() != Some(b'{') {
                    return Err(wrong(scanner, open, depth, "an object"));
                }
                scanner.at += 1;
                let rows = column_rows(fields);
                let mut first = true;
                while scanner.next_part(&mut first, b'}')? {
                    let name = scanner.string(&mut self.scratch)?;
                    let target = fields.iter().position(|c| c.field.name().as_bytes() == name);
                    scanner.expect(b':', "expected ':' behind the name of a field")?;
                    match target {
                        None => scanner.skip(depth + 1)?,
                        Some(i) => {
                            if fields[i].len() > rows {
                                fields[i].truncate(rows);
                            }
                            self.value(scanner, &mut fields[i], depth + 1)?;
                        }
                    }
                }
                for field in fields {
                    self.fill(field, rows)?;
                }
            }
            Values::Map { offsets, key, value } => {
                if scanner.peek() != Some(b'{') {
                    return Err(wrong(scanner, open, depth, "an object"));
                }
                scanner.at += 1;
                // Names first, so that the last value of each counts; then the values.
                let mut entries: Vec<(Vec<u8>, usize)> = vec![];
                let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
                let mut first = true;
                while scanner.next_part(&mut first, b'}')? {
                    let name = scanner.string(&mut self.scratch)?.to_vec();
                    scanner.expect(b':', "expected ':' behind the name of a field")?;
                    let at = scanner.at;
                    scanner.skip(depth + 1)?;
                    match places.get(&name) {
                        Some(place) => entries[*place].1 = at,
                        None => {
                            places.insert(name.clone(), entries.len());
                            entries.push((name, at));
                        }
                    }
                }
                let end = scanner.at;
                for (name, at) in entries {
                    scanner.at = at;
                    self.value(scanner, value, depth + 1)?;
                    key.push_bytes(&name).map_err(|_| scanner.error(TOO_LONG))?;
                }
                scanner.at = end;
                offsets.push(i32::try_from(key.len()).map_err(|_| scanner.error(TOO_LONG))?);
            }
            _ => return self.scalar(scanner, column, depth),
        }
        column.done(true);
        Ok(true)
    }

    #[inline]
    fn scalar(&mut self, scanner: &mut Scanner<'_>, column: &mut ColumnBuilder, depth: usize) -> Result<bool, Failure> {
        let start = scanner.at;
        let scalar = scanner.scalar(&mut self.scratch)?;
        // Java's getText(): what the text conversions see.
        let text: &[u8] = match &scalar {
            Scalar::String(text) | Scalar::Number { text, .. } => text,
            Scalar::True => b"true",
            Scalar::False => b"false",
            Scalar::Null => b"null",
            Scalar::Open => {
                if let (Values::Bytes { .. }, true) = (&column.values, column.kind.is_character()) {
                    let mut tree = vec![];
                    scanner.compact(depth, &mut tree)?;
                    column.push_bytes(&tree).map_err(|_| scanner.error(TOO_LONG))?;
                    return Ok(true);
                }
                return Err(wrong(scanner, start, depth, &type_name(column)));
            }
        };
        let ok = match (&mut column.values, &column.kind) {
            (Values::I64(v), TypeKind::BigInt | TypeKind::IntervalDayTime(..)) => push(v, integer(&scalar, text)),
            (Values::Bytes { .. }, kind) if kind.is_character() => {
                column.push_bytes(text).map_err(|_| scanner.error(TOO_LONG))?;
                return Ok(true);
            }
            (Values::F64(v), _) => push(v, parse_f64(trim(text))),
            (Values::I32(v), TypeKind::Int | TypeKind::IntervalYearMonth(..)) => {
                push(v, integer(&scalar, text).and_then(|v| v.try_into().ok()))
            }
            (Values::I64(v), TypeKind::Timestamp(..)) => {
                push(v, timestamp_parser(&mut self.timestamps, column.field.data_type()).parse(text))
            }
            (Values::I64(v), TypeKind::TimestampLtz(..)) => {
                let parser = timestamp_parser(&mut self.timestamps, column.field.data_type());
                push(v, text.strip_suffix(b"Z").and_then(|t| parser.parse(t)))
            }
            (Values::Bool(v), _) => {
                v.append(match scalar {
                    Scalar::True => true,
                    Scalar::False => false,
                    // Boolean.parseBoolean: everything else is false.
                    _ => trim(text).eq_ignore_ascii_case(b"true"),
                });
                true
            }
            (Values::I8(v), _) => push(v, parse_i64(trim(text)).and_then(|v| v.try_into().ok())),
            (Values::I16(v), _) => push(v, parse_i64(trim(text)).and_then(|v| v.try_into().ok())),
            (Values::F32(v), _) => push(v, parse_f32(trim(text))),
            (Values::I128(v), TypeKind::Decimal { precision, scale })
                if matches!(scalar, Scalar::String(_) | Scalar::Number { .. }) =>
            {
                match parse_decimal(trim(text), *precision, *scale) {
                    Ok(Some(value)) => push(v, Some(value)),
                    Ok(None) => return Ok(false),
                    Err(_) => false,
                }
            }
            (Values::I32(v), TypeKind::Date) => push(v, parse_date(text)),
            (Values::I32(v), TypeKind::Time(_)) => {
                push(v, parse_time(text, TimeStyle::Sql).and_then(|n| (n / 1_000_000).try_into().ok()))
            }
            (Values::I64(v), TypeKind::Time(_)) => {
                let nanos = !matches!(column.field.data_type(), DataType::Time64(TimeUnit::Microsecond));
                // Flink keeps milliseconds of a time, whatever its precision.
                let millis = parse_time(text, TimeStyle::Sql).map(|n| n / 1_000_000);
                push(v, millis.map(|m| m * if nanos { 1_000_000 } else { 1_000 }))
            }
            (Values::Bytes { .. }, _) => match scalar {
                Scalar::String(text) => match BASE64.decode(trim(text)) {
                    Ok(bytes) => {
                        column.push_bytes(&bytes).map_err(|_| scanner.error(TOO_LONG))?;
                        return Ok(true);
                    }
                    Err(_) => false,
                },
                _ => false,
            },
            (Values::Null, _) => return Ok(false),
            _ => false,
        };
        if !ok {
            return Err(wrong(scanner, start, depth, &type_name(column)));
        }
        column.done(true);
        Ok(true)
    }
}

const TOO_LONG: &str = "the texts of a batch are longer than 2 GiB";

fn column_rows(fields: &[ColumnBuilder]) -> usize {
    fields.first().map_or(0, ColumnBuilder::len)
}

#[inline]
fn push<T>(values: &mut Vec<T>, value: Option<T>) -> bool {
    match value {
        Some(value) => {
            values.push(value);
            true
        }
        None => false,
    }
}

/// INT and BIGINT: a JSON number may have a fraction, which is cut; a string must be an integer.
#[inline]
fn integer(scalar: &Scalar<'_>, text: &[u8]) -> Option<i64> {
    match scalar {
        Scalar::Number { float: true, .. } => {
            let value = parse_f64(text)?.trunc();
            // 2^63 is the first number that does not fit; both bounds are exact.
            (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value).then_some(value as i64)
        }
        _ => parse_i64(trim(text)),
    }
}

fn timestamp_parser<'a>(parsers: &'a mut [TimestampParser; 3], data_type: &DataType) -> &'a mut TimestampParser {
    match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, _) => &mut parsers[1],
        DataType::Timestamp(TimeUnit::Nanosecond, _) => &mut parsers[2],
        _ => &mut parsers[0],
    }
}

#[cold]
fn wrong(scanner: &Scanner<'_>, start: usize, depth: usize, expected: &str) -> Failure {
    let mut rest = scanner.clone();
    rest.at = start;
    // Text that is no JSON is the worse error.
    if let Err(e) = rest.skip(depth) {
        return e.into();
    }
    let text = shown(trim(&scanner.text[start..rest.at]));
    let reason = format!("'{text}' is not a valid {expected}");
    Failure::Wrong(Box::new(WrongValue { path: String::new(), reason }))
}

fn inside_brackets(failure: Failure) -> Failure {
    match failure {
        Failure::Wrong(mut wrong) => {
            // The element's own name says nothing.
            let below = wrong.path.strip_prefix("item").unwrap_or(&wrong.path).to_string();
            wrong.path = format!("[]{below}");
            Failure::Wrong(wrong)
        }
        other => other,
    }
}

fn type_name(column: &ColumnBuilder) -> String {
    column.kind.clone().nullable().to_string()
}
