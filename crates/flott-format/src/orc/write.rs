//! Writes stripes: rows are held in memory until they have the size of one.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use flott_connector::format::{Encoder, EncoderFactory};
use flott_core::types::{LogicalType, MAX_LENGTH, TypeKind, from_arrow_field, map_keys};
use flott_core::{ChangeBatch, Error, Result};

use super::meta::{self, Kind, StreamInfo, StreamKind, Stripe, Type};
use super::options::OrcOptions;
use super::rle;
use super::stream::{self, Compression};
use super::zone::stored;

const MAGIC: &[u8] = b"ORC";

#[derive(Debug)]
pub(super) struct OrcEncoding {
    schema: SchemaRef,
    types: Arc<[Type]>,
    options: OrcOptions,
}

impl OrcEncoding {
    pub(super) fn new(schema: &SchemaRef, options: OrcOptions) -> Result<OrcEncoding> {
        let mut types = vec![Type::new(Kind::Struct)];
        for field in schema.fields() {
            let of = from_arrow_field(field).ok_or_else(|| unsupported(&field.data_type().to_string()));
            let id = of.and_then(|of| add_type(&of, &mut types)).map_err(|e| e.with("column", field.name()))?;
            types[0].children.push(id);
            types[0].names.push(field.name().clone());
        }
        Ok(OrcEncoding { schema: Arc::clone(schema), types: types.into(), options })
    }
}

fn unsupported(name: &str) -> Error {
    Error::user(format!("Unsupported type: {name}"))
        .hint("ORC has no such type: CAST it in the query, to STRING or to a number")
}

/// Appends a type with those inside it, each behind what it is in.
fn add_type(of: &LogicalType, types: &mut Vec<Type>) -> Result<usize> {
    let id = types.len();
    let mut plain = |kind: Kind| {
        types.push(Type::new(kind));
        Ok(id)
    };
    match &of.kind {
        TypeKind::Boolean => plain(Kind::Boolean),
        TypeKind::TinyInt => plain(Kind::Byte),
        TypeKind::SmallInt => plain(Kind::Short),
        TypeKind::Int => plain(Kind::Int),
        TypeKind::BigInt => plain(Kind::Long),
        TypeKind::Float => plain(Kind::Float),
        TypeKind::Double => plain(Kind::Double),
        TypeKind::Binary(_) | TypeKind::VarBinary(_) => plain(Kind::Binary),
        TypeKind::Date => plain(Kind::Date),
        TypeKind::Timestamp(..) => plain(Kind::Timestamp),
        TypeKind::TimestampLtz(..) => plain(Kind::TimestampInstant),
        TypeKind::VarChar(MAX_LENGTH) => plain(Kind::String),
        TypeKind::VarChar(length) | TypeKind::Char(length) => {
            let kind = if matches!(of.kind, TypeKind::Char(_)) { Kind::Char } else { Kind::Varchar };
            types.push(Type { length_max: Some(u64::from(*length)), ..Type::new(kind) });
            Ok(id)
        }
        TypeKind::Decimal { precision, scale } => {
            let (precision, scale) = (Some(u64::from(*precision)), Some(u64::from(*scale)));
            types.push(Type { precision, scale, ..Type::new(Kind::Decimal) });
            Ok(id)
        }
        TypeKind::Array(element) => {
            types.push(Type::new(Kind::List));
            let element = add_type(element, types)?;
            types[id].children.push(element);
            Ok(id)
        }
        TypeKind::Map(key, value) => {
            types.push(Type::new(Kind::Map));
            for part in [key, value] {
                let part = add_type(part, types)?;
                types[id].children.push(part);
            }
            Ok(id)
        }
        TypeKind::Row(fields) => {
            types.push(Type::new(Kind::Struct));
            for field in fields {
                let child = add_type(&field.data_type, types)?;
                types[id].children.push(child);
                types[id].names.push(field.name.clone());
            }
            Ok(id)
        }
        _ => Err(unsupported(&of.to_string())),
    }
}

impl EncoderFactory for OrcEncoding {
    fn create(&self) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(OrcEncoder {
            schema: Arc::clone(&self.schema),
            types: Arc::clone(&self.types),
            options: self.options,
            pending: vec![],
            pending_bytes: 0,
            stripes: vec![],
            at: 0,
            finished: false,
        }))
    }

    fn file_extension(&self) -> &str {
        "orc"
    }
}

struct OrcEncoder {
    schema: SchemaRef,
    types: Arc<[Type]>,
    options: OrcOptions,
    /// Rows of the next stripe.
    pending: Vec<RecordBatch>,
    pending_bytes: usize,
    stripes: Vec<Stripe>,
    /// Bytes of the file so far.
    at: u64,
    finished: bool,
}

impl OrcEncoder {
    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.at == 0 {
            out.extend_from_slice(MAGIC);
            self.at = MAGIC.len() as u64;
        }
    }

    fn stripe(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let rows: usize = self.pending.iter().map(RecordBatch::num_rows).sum();
        if rows == 0 {
            return Ok(());
        }
        let batch = arrow_select::concat::concat_batches(&self.pending[0].schema(), &self.pending)?;
        self.pending.clear();
        self.pending_bytes = 0;
        let mut writer =
            StripeWriter { types: &self.types, compression: self.options.compression, streams: vec![], data: vec![] };
        let all: Vec<usize> = (0..rows).collect();
        for (i, (id, column)) in self.types[0].children.iter().zip(batch.columns()).enumerate() {
            writer.column(*id, column, &all).map_err(|e| e.with("column", self.schema.field(i).name()))?;
        }
        let StripeWriter { streams, data, .. } = writer;
        let mut footer = vec![];
        put(&meta::stripe_footer(&streams, &self.types), self.options.compression, &mut footer)?;
        self.stripes.push(Stripe {
            offset: self.at,
            index_bytes: 0,
            data_bytes: data.len() as u64,
            footer_bytes: footer.len() as u64,
            rows: rows as u64,
        });
        self.at += (data.len() + footer.len()) as u64;
        out.extend_from_slice(&data);
        out.extend_from_slice(&footer);
        Ok(())
    }
}

fn put(bytes: &[u8], compression: Compression, out: &mut Vec<u8>) -> Result<()> {
    stream::put(bytes, compression, out).map_err(|e| Error::internal("a stream could not be compressed").caused_by(e))
}

impl Encoder for OrcEncoder {
    fn encode(&mut self, rows: &ChangeBatch, out: &mut Vec<u8>) -> Result<()> {
        if rows.kinds.is_some() {
            return Err(Error::user("Format 'orc' can only write inserts, but the rows hold updates or deletes"));
        }
        if self.finished {
            return Err(Error::internal("a finished ORC file was written to"));
        }
        if rows.rows.num_columns() != self.schema.fields().len() {
            return Err(Error::internal("rows do not fit the ORC schema"));
        }
        self.begin(out);
        let bytes = rows.rows.columns().iter().map(|c| c.to_data().get_slice_memory_size());
        self.pending_bytes += bytes.sum::<Result<usize, _>>()?;
        self.pending.push(rows.rows.clone());
        if self.pending_bytes >= self.options.stripe_bytes {
            self.stripe(out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.begin(out);
        self.stripe(out)?;
        self.finished = true;
        let mut footer = vec![];
        put(&meta::footer(&self.types, &self.stripes, self.at), self.options.compression, &mut footer)?;
        out.extend_from_slice(&footer);
        out.extend_from_slice(&meta::tail(footer.len() as u64, self.options.compression));
        Ok(())
    }

    fn buffered_bytes(&self) -> usize {
        self.pending_bytes
    }
}

struct StripeWriter<'a> {
    types: &'a [Type],
    compression: Compression,
    streams: Vec<StreamInfo>,
    data: Vec<u8>,
}

impl StripeWriter<'_> {
    fn stream(&mut self, column: usize, kind: StreamKind, bytes: &[u8]) -> Result<()> {
        let before = self.data.len();
        put(bytes, self.compression, &mut self.data)?;
        self.streams.push(StreamInfo { kind, column, bytes: (self.data.len() - before) as u64 });
        Ok(())
    }

    fn ints(&mut self, column: usize, kind: StreamKind, values: &[i64], signed: bool) -> Result<()> {
        let mut out = vec![];
        rle::put_ints(values, signed, &mut out);
        self.stream(column, kind, &out)
    }

    /// Writes these rows of a column, and what is inside it: of NULL rows nothing.
    fn column(&mut self, id: usize, column: &ArrayRef, rows: &[usize]) -> Result<()> {
        let nulls = column.logical_nulls().filter(|n| rows.iter().any(|i| n.is_null(*i)));
        let live: Vec<usize> = match &nulls {
            None => rows.to_vec(),
            Some(nulls) => {
                let mut out = vec![];
                rle::put_bits(rows.iter().map(|i| nulls.is_valid(*i)), &mut out);
                self.stream(id, StreamKind::Present, &out)?;
                rows.iter().copied().filter(|i| nulls.is_valid(*i)).collect()
            }
        };
        let live = live.as_slice();
        let mut out = vec![];
        match column.data_type() {
            DataType::Boolean => {
                let values = column.as_boolean();
                rle::put_bits(live.iter().map(|i| values.value(*i)), &mut out);
                self.stream(id, StreamKind::Data, &out)
            }
            DataType::Int8 => {
                let values = column.as_primitive::<Int8Type>();
                let bytes: Vec<u8> = live.iter().map(|i| values.value(*i) as u8).collect();
                rle::put_bytes(&bytes, &mut out);
                self.stream(id, StreamKind::Data, &out)
            }
            DataType::Int16 => {
                let values = column.as_primitive::<Int16Type>();
                self.longs(id, live, |i| i64::from(values.value(i)))
            }
            DataType::Int32 => {
                let values = column.as_primitive::<Int32Type>();
                self.longs(id, live, |i| i64::from(values.value(i)))
            }
            DataType::Date32 => {
                let values = column.as_primitive::<Date32Type>();
                self.longs(id, live, |i| i64::from(values.value(i)))
            }
            DataType::Int64 => {
                let values = column.as_primitive::<Int64Type>();
                self.longs(id, live, |i| values.value(i))
            }
            DataType::Float32 => {
                let values = column.as_primitive::<Float32Type>();
                live.iter().for_each(|i| out.extend_from_slice(&values.value(*i).to_le_bytes()));
                self.stream(id, StreamKind::Data, &out)
            }
            DataType::Float64 => {
                let values = column.as_primitive::<Float64Type>();
                live.iter().for_each(|i| out.extend_from_slice(&values.value(*i).to_le_bytes()));
                self.stream(id, StreamKind::Data, &out)
            }
            DataType::Utf8 => {
                let values = column.as_string::<i32>();
                self.texts(id, live, |i| values.value(i).as_bytes())
            }
            DataType::Binary => {
                let values = column.as_binary::<i32>();
                self.texts(id, live, |i| values.value(i))
            }
            DataType::Decimal128(_, scale) => {
                let values = column.as_primitive::<Decimal128Type>();
                live.iter().for_each(|i| put_wide(values.value(*i), &mut out));
                self.stream(id, StreamKind::Data, &out)?;
                self.ints(id, StreamKind::Secondary, &vec![i64::from(*scale); live.len()], true)
            }
            DataType::Timestamp(unit, _) => {
                let (values, per_second): (&[i64], i64) = match unit {
                    TimeUnit::Second => (column.as_primitive::<TimestampSecondType>().values(), 1),
                    TimeUnit::Millisecond => (column.as_primitive::<TimestampMillisecondType>().values(), 1_000),
                    TimeUnit::Microsecond => (column.as_primitive::<TimestampMicrosecondType>().values(), 1_000_000),
                    TimeUnit::Nanosecond => (column.as_primitive::<TimestampNanosecondType>().values(), 1_000_000_000),
                };
                let (mut seconds, mut nanos) = (vec![], vec![]);
                for i in live {
                    let (second, nano) = parts(values[*i], per_second)?;
                    seconds.push(stored(second));
                    nanos.push(nano);
                }
                self.ints(id, StreamKind::Data, &seconds, true)?;
                self.ints(id, StreamKind::Secondary, &nanos, false)
            }
            DataType::List(_) => {
                let list = column.as_list::<i32>();
                let inner = self.lengths(id, live, list.value_offsets())?;
                self.column(self.types[id].children[0], list.values(), &inner)
            }
            DataType::Map(..) => {
                let map = column.as_map();
                let inner = self.lengths(id, live, map.value_offsets())?;
                self.column(self.types[id].children[0], map_keys(map), &inner)?;
                self.column(self.types[id].children[1], map.values(), &inner)
            }
            DataType::Struct(_) => {
                let children = self.types[id].children.iter().zip(column.as_struct().columns());
                for (child, values) in children {
                    self.column(*child, values, live)?;
                }
                Ok(())
            }
            other => Err(unsupported(&other.to_string())),
        }
    }

    fn longs(&mut self, id: usize, live: &[usize], value: impl Fn(usize) -> i64) -> Result<()> {
        let values: Vec<i64> = live.iter().map(|i| value(*i)).collect();
        self.ints(id, StreamKind::Data, &values, true)
    }

    fn texts<'b>(&mut self, id: usize, live: &[usize], value: impl Fn(usize) -> &'b [u8]) -> Result<()> {
        let mut data = vec![];
        live.iter().for_each(|i| data.extend_from_slice(value(*i)));
        self.stream(id, StreamKind::Data, &data)?;
        let lengths: Vec<i64> = live.iter().map(|i| value(*i).len() as i64).collect();
        self.ints(id, StreamKind::Length, &lengths, false)
    }

    /// Writes how many elements rows have, and gives where those are.
    fn lengths(&mut self, id: usize, live: &[usize], offsets: &[i32]) -> Result<Vec<usize>> {
        let range = |i: usize| offsets[i] as usize..offsets[i + 1] as usize;
        let lengths: Vec<i64> = live.iter().map(|i| range(*i).len() as i64).collect();
        self.ints(id, StreamKind::Length, &lengths, false)?;
        Ok(live.iter().flat_map(|i| range(*i)).collect())
    }
}

/// The seconds of a timestamp and its nanoseconds, as they are written: zeros at their end are counted.
fn parts(value: i64, per_second: i64) -> Result<(i64, i64)> {
    let mut second = value.div_euclid(per_second);
    let nanos = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
    // Readers take a second off where a time is before 1970 and has more than a millisecond, as Java cuts towards 0.
    if second < 0 && nanos > 999_999 {
        second += 1;
        if second == 0 {
            return Err(Error::data("ORC cannot hold a time in the second before 1970-01-01 00:00:00")
                .hint("Its readers would show it a second later. Filter such rows, or CAST them to STRING"));
        }
    }
    if nanos == 0 || nanos % 100 != 0 {
        return Ok((second, nanos << 3));
    }
    let (mut rest, mut zeros) = (nanos / 100, 1);
    while rest % 10 == 0 && zeros < 7 {
        rest /= 10;
        zeros += 1;
    }
    Ok((second, rest << 3 | zeros))
}

fn put_wide(value: i128, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 127)) as u128;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_parts_of_java() {
        for (value, expected) in [
            (0, (0, 0)),
            (1_000_000_000, (1, 0)),
            (1_000_001_000, (1, 1 << 3 | 2)),
            (1_500_000_000, (1, 5 << 3 | 7)),
            (1_000_000_001, (1, 1 << 3)),
            (-1_500_000_000, (-1, 5 << 3 | 7)),
            (-1_999_999_999, (-2, 1 << 3)),
            (-1_000_000_000, (-1, 0)),
        ] {
            assert_eq!(parts(value, 1_000_000_000).expect("parts"), expected, "{value}");
        }
        assert!(parts(-500, 1_000).expect_err("the second before").hint_text().is_some());
    }
}
