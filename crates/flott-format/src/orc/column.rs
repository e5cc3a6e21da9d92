//! Columns of a stripe, read into columns of a table.

use arrow_schema::{DataType, TimeUnit};
use flott_core::types::TypeKind;

use super::meta::{Encoding, StreamKind};
use super::plan::{How, Plan};
use super::rle::{Bits, Bytes, Ints};
use super::stream::Stream;
use super::zone::WriterZone;
use crate::builder::{ColumnBuilder, Values};
use crate::wrong::{Read, below, wrong};

/// Elements of arrays and maps in one batch: those that are NULL or repeated cost nothing to claim.
const ELEMENTS_MAX: usize = 64 << 20;
/// Bytes of a dictionary.
const DICTIONARY_BYTES_MAX: usize = 1 << 30;
const LONG: &str = "the values of a batch are longer than 2 GiB";

/// A column of a stripe.
#[derive(Debug)]
pub(super) struct ColumnReader {
    /// Which values are there; `None`: all.
    present: Option<Bits>,
    of: Of,
}

#[derive(Debug)]
enum Of {
    Boolean(Bits),
    Byte(Bytes),
    Int(Ints),
    Float(Stream),
    Double(Stream),
    Direct { lengths: Ints, data: Stream },
    Dictionary { numbers: Ints, ends: Vec<usize>, data: Vec<u8> },
    Decimal { data: Stream, scales: Ints },
    Timestamp { seconds: Ints, nanos: Ints, zone: WriterZone, instant: bool },
    List { lengths: Ints, element: Box<ColumnReader> },
    Map { lengths: Ints, key: Box<ColumnReader>, value: Box<ColumnReader> },
    Struct(Vec<Option<ColumnReader>>),
}

/// Where a stripe's streams are found.
pub(super) trait Streams {
    /// The stream of a column; an empty one where there is none.
    fn stream(&mut self, column: usize, kind: StreamKind) -> Option<Stream>;
    /// A stream without bytes.
    fn empty(&self) -> Stream;
    fn encoding(&self, column: usize) -> Encoding;
}

impl ColumnReader {
    pub(super) fn new(plan: &Plan, streams: &mut dyn Streams, zone: WriterZone) -> Read<ColumnReader> {
        let id = plan.id;
        let present = streams.stream(id, StreamKind::Present).map(Bits::new);
        let encoding = streams.encoding(id);
        let mut get = |kind: StreamKind| match streams.stream(id, kind) {
            Some(stream) => stream,
            None => streams.empty(),
        };
        let v2 = encoding.version2;
        let of = match &plan.how {
            How::Boolean => Of::Boolean(Bits::new(get(StreamKind::Data))),
            How::Byte => Of::Byte(Bytes::new(get(StreamKind::Data))),
            How::Int => Of::Int(Ints::new(get(StreamKind::Data), true, v2)),
            How::Float => Of::Float(get(StreamKind::Data)),
            How::Double => Of::Double(get(StreamKind::Data)),
            How::Bytes if encoding.dictionary => {
                let data = get(StreamKind::DictionaryData).all(DICTIONARY_BYTES_MAX)?;
                let mut lengths = Ints::new(get(StreamKind::Length), false, v2);
                let size = usize::try_from(encoding.dictionary_size).unwrap_or(usize::MAX);
                // Entries without bytes cost nothing to claim.
                if size > ELEMENTS_MAX {
                    return wrong(format!("a dictionary claims {size} entries"));
                }
                let (mut ends, mut end) = (Vec::with_capacity(size.min(1 << 16) + 1), 0usize);
                ends.push(0);
                for _ in 0..size {
                    end = end.saturating_add(length(lengths.next()?)?);
                    if end > data.len() {
                        return wrong("a dictionary ends early");
                    }
                    ends.push(end);
                }
                Of::Dictionary { numbers: Ints::new(get(StreamKind::Data), false, v2), ends, data }
            }
            How::Bytes => {
                Of::Direct { lengths: Ints::new(get(StreamKind::Length), false, v2), data: get(StreamKind::Data) }
            }
            How::Decimal => {
                Of::Decimal { data: get(StreamKind::Data), scales: Ints::new(get(StreamKind::Secondary), true, v2) }
            }
            How::Timestamp { instant } => Of::Timestamp {
                seconds: Ints::new(get(StreamKind::Data), true, v2),
                nanos: Ints::new(get(StreamKind::Secondary), false, v2),
                zone: if *instant { WriterZone::UTC } else { zone },
                instant: *instant,
            },
            How::List(element) => Of::List {
                lengths: Ints::new(get(StreamKind::Length), false, v2),
                element: Box::new(ColumnReader::new(element, streams, zone)?),
            },
            How::Map(key, value) => Of::Map {
                lengths: Ints::new(get(StreamKind::Length), false, v2),
                key: Box::new(ColumnReader::new(key, streams, zone)?),
                value: Box::new(ColumnReader::new(value, streams, zone)?),
            },
            How::Struct(children) => {
                let child = |plan: &Option<Plan>| {
                    plan.as_ref().map(|plan| ColumnReader::new(plan, &mut *streams, zone)).transpose()
                };
                Of::Struct(children.iter().map(child).collect::<Read<Vec<_>>>()?)
            }
        };
        Ok(ColumnReader { present, of })
    }

    /// Appends so many values. Where `rows` is given, its rows that are false are NULL further up, and have none here.
    pub(super) fn read(&mut self, count: usize, rows: Option<&[bool]>, column: &mut ColumnBuilder) -> Read<()> {
        let there = self.there(count, rows)?;
        let mut here = Here { rows, there: there.as_deref(), count };
        match &mut self.of {
            Of::Boolean(bits) => here.each(column, |column| {
                let bit = bits.next()?;
                if let Values::Bool(v) = &mut column.values {
                    v.append(bit);
                }
                column.done(true);
                Ok(())
            }),
            Of::Byte(bytes) => here.each(column, |column| int(i64::from(bytes.next()? as i8), column)),
            Of::Int(ints) => here.each(column, |column| int(ints.next()?, column)),
            Of::Float(data) => here.each(column, |column| {
                let value = f32::from_le_bytes(data.array()?);
                match &mut column.values {
                    Values::F32(v) => v.push(value),
                    Values::F64(v) => v.push(f64::from(value)),
                    _ => {}
                }
                column.done(true);
                Ok(())
            }),
            Of::Double(data) => here.each(column, |column| {
                let value = f64::from_le_bytes(data.array()?);
                if let Values::F64(v) = &mut column.values {
                    v.push(value);
                }
                column.done(true);
                Ok(())
            }),
            Of::Direct { lengths, data } => {
                let mut scratch = vec![];
                here.each(column, |column| {
                    let length = length(lengths.next()?)?;
                    if length > i32::MAX as usize {
                        return wrong(LONG);
                    }
                    scratch.clear();
                    data.take(length, &mut scratch)?;
                    bytes(&scratch, column)
                })
            }
            Of::Dictionary { numbers, ends, data } => here.each(column, |column| {
                let number = numbers.next()?;
                match usize::try_from(number).ok().and_then(|n| ends.get(n..n + 2)) {
                    Some([start, end]) => bytes(&data[*start..*end], column),
                    _ => wrong(format!("a dictionary has no entry {number}")),
                }
            }),
            Of::Decimal { data, scales } => here.each(column, |column| {
                let (value, scale) = (data.wide_varint()?, scales.next()?);
                decimal(value, scale, column)
            }),
            Of::Timestamp { seconds, nanos, zone, instant } => here.each(column, |column| {
                let (stored, nanos) = (seconds.next()?, nanos.next()?);
                timestamp(stored, nanos, *zone, *instant, column)
            }),
            Of::List { lengths, element } => {
                let mut total = 0;
                let start = column.len();
                here.each(column, |column| {
                    total = sum(total, lengths.next()?)?;
                    if let Values::List { offsets, element } = &mut column.values {
                        offsets.push(end_of(element.len(), total)?);
                    }
                    column.done(true);
                    Ok(())
                })?;
                debug_assert_eq!(column.len(), start + count);
                if let Values::List { element: column, .. } = &mut column.values {
                    element.read(total, None, column).map_err(|e| below(e, "[]"))?;
                }
                Ok(())
            }
            Of::Map { lengths, key, value } => {
                let mut total = 0;
                here.each(column, |column| {
                    total = sum(total, lengths.next()?)?;
                    if let Values::Map { offsets, key, .. } = &mut column.values {
                        offsets.push(end_of(key.len(), total)?);
                    }
                    column.done(true);
                    Ok(())
                })?;
                if let Values::Map { key: keys, value: values, .. } = &mut column.values {
                    key.read(total, None, keys).map_err(|e| below(e, "key"))?;
                    value.read(total, None, values).map_err(|e| below(e, "value"))?;
                }
                Ok(())
            }
            Of::Struct(readers) => {
                let start = column.len();
                let rows: Vec<bool> = (0..count).map(|i| here.is_there(i)).collect();
                let not_null = !column.nullable();
                for (i, there) in rows.iter().enumerate() {
                    if !there && not_null && here.rows.is_none_or(|above| above[i]) {
                        return null(column);
                    }
                    column.done(*there);
                }
                let below_null = rows.iter().any(|there| !there);
                if let Values::Struct(children) = &mut column.values {
                    for (reader, child) in readers.iter_mut().zip(children) {
                        match reader {
                            Some(reader) => {
                                let rows = below_null.then_some(rows.as_slice());
                                reader.read(count, rows, child).map_err(|e| below(e, child.field.name()))?;
                            }
                            None => (0..count).for_each(|_| child.push_null()),
                        }
                    }
                }
                debug_assert_eq!(column.len(), start + count);
                Ok(())
            }
        }
    }

    /// Which of the values are there; `None`: all that are there further up.
    fn there(&mut self, count: usize, rows: Option<&[bool]>) -> Read<Option<Vec<bool>>> {
        let Some(present) = &mut self.present else { return Ok(None) };
        let one = |i: usize| if rows.is_none_or(|r| r[i]) { present.next() } else { Ok(false) };
        (0..count).map(one).collect::<Read<Vec<bool>>>().map(Some)
    }
}

/// The values of a batch that are there.
struct Here<'a> {
    rows: Option<&'a [bool]>,
    there: Option<&'a [bool]>,
    count: usize,
}

impl Here<'_> {
    fn is_there(&self, i: usize) -> bool {
        match (self.there, self.rows) {
            (Some(there), _) => there[i],
            (None, Some(rows)) => rows[i],
            (None, None) => true,
        }
    }

    /// Appends each value that is there, and NULL for the others.
    fn each(&mut self, column: &mut ColumnBuilder, mut value: impl FnMut(&mut ColumnBuilder) -> Read<()>) -> Read<()> {
        if self.there.is_none() && self.rows.is_none() {
            return (0..self.count).try_for_each(|_| value(column));
        }
        for i in 0..self.count {
            if self.is_there(i) {
                value(column)?;
            } else if self.rows.is_some_and(|r| !r[i]) {
                column.push_default();
            } else {
                null(column)?;
            }
        }
        Ok(())
    }
}

fn null(column: &mut ColumnBuilder) -> Read<()> {
    if !column.nullable() {
        return wrong(format!(
            "NULL in the file, but the column is declared {} NOT NULL",
            column.kind.clone().nullable()
        ));
    }
    column.push_null();
    Ok(())
}

fn length(value: i64) -> Read<usize> {
    usize::try_from(value).or_else(|_| wrong(format!("{value} is no length")))
}

fn sum(total: usize, value: i64) -> Read<usize> {
    let total = total.saturating_add(length(value)?);
    if total > ELEMENTS_MAX {
        return wrong(format!("a batch has more than {ELEMENTS_MAX} elements of arrays or maps"));
    }
    Ok(total)
}

fn end_of(before: usize, total: usize) -> Read<i32> {
    i32::try_from(before + total).or_else(|_| wrong(LONG))
}

fn int(value: i64, column: &mut ColumnBuilder) -> Read<()> {
    match &mut column.values {
        Values::I8(v) => v.push(i8::try_from(value).or_else(|_| narrow(value, "TINYINT"))?),
        Values::I16(v) => v.push(i16::try_from(value).or_else(|_| narrow(value, "SMALLINT"))?),
        Values::I32(v) => v.push(i32::try_from(value).or_else(|_| narrow(value, "INT"))?),
        Values::I64(v) => v.push(value),
        _ => return wrong("a number in a column of another type"),
    }
    column.done(true);
    Ok(())
}

#[cold]
fn narrow<T>(value: i64, column: &str) -> Read<T> {
    wrong(format!("{value} does not fit in {column}"))
}

fn bytes(value: &[u8], column: &mut ColumnBuilder) -> Read<()> {
    if column.kind.is_character() && simdutf8::basic::from_utf8(value).is_err() {
        return wrong(format!("'{}' is not valid UTF-8", crate::text::shown(value)));
    }
    column.push_bytes(value).or_else(|_| wrong(LONG))
}

fn decimal(value: i128, scale: i64, column: &mut ColumnBuilder) -> Read<()> {
    let (Values::I128(values), TypeKind::Decimal { precision, scale: to }) = (&mut column.values, &column.kind) else {
        return wrong("a decimal in a column of another type");
    };
    let unfit =
        || wrong(format!("{value} with {scale} digits behind the point does not fit DECIMAL({precision}, {to})"));
    let more = i64::from(*to).saturating_sub(scale);
    let power = u32::try_from(more.unsigned_abs()).ok().and_then(|p| 10i128.checked_pow(p));
    let scaled = match (power, more >= 0) {
        (Some(power), true) => value.checked_mul(power),
        (Some(power), false) if value % power == 0 => Some(value / power),
        (None, _) if value == 0 => Some(0),
        _ => None,
    };
    let Some(scaled) = scaled.filter(|s| s.unsigned_abs() < 10u128.pow(u32::from(*precision))) else { return unfit() };
    values.push(scaled);
    column.done(true);
    Ok(())
}

fn timestamp(stored: i64, nanos: i64, zone: WriterZone, instant: bool, column: &mut ColumnBuilder) -> Read<()> {
    // The lowest three bits count zeros that are left out, less one.
    let zeros = nanos & 7;
    let nanos = if zeros == 0 { nanos >> 3 } else { (nanos >> 3).saturating_mul(10i64.pow(zeros as u32 + 1)) };
    // The C++ library writes what it is given: negative ones before 1970, too.
    if !(-999_999_999..=999_999_999).contains(&nanos) {
        return wrong("a timestamp has more than a second of nanoseconds");
    }
    let too_far = "a timestamp is too far away for the column's precision";
    let Some(mut seconds) = zone.instant(stored) else { return wrong(too_far) };
    // Writers cut times before 1970 towards it.
    if seconds < 0 && nanos > 999_999 {
        seconds = seconds.saturating_sub(1);
    }
    if !instant {
        seconds = zone.local(seconds);
    }
    let per_second = match column.field.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => 1,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000_000,
        _ => 1_000_000_000i64,
    };
    let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let value = nanos.div_euclid(i128::from(1_000_000_000 / per_second));
    let Ok(value) = i64::try_from(value) else {
        return wrong(too_far);
    };
    if let Values::I64(v) = &mut column.values {
        v.push(value);
    }
    column.done(true);
    Ok(())
}
