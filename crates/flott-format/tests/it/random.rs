//! Random typed rows.

use std::sync::Arc;

use arrow_array::builder::*;
use arrow_array::*;
use arrow_schema::{DataType, TimeUnit};
use proptest::prelude::*;

use crate::support::schema;

/// Type names for tests that only need some type.
pub(crate) fn kinds() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "INT",
        "BIGINT",
        "DOUBLE",
        "BOOLEAN",
        "DECIMAL(10, 2)",
        "DATE",
        "TIME(3)",
        "TIMESTAMP(3)",
        "TIMESTAMP(9)",
        "TIMESTAMP_LTZ(3)",
        "BYTES",
        "STRING",
        "ARRAY<INT>",
        "ROW<x INT, y STRING>",
        "MAP<STRING, INT>",
        "ARRAY<ROW<x STRING NOT NULL>>",
        "FLOAT",
        "TINYINT NOT NULL",
    ])
}

/// One random value; each column takes from it what it needs.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    null: bool,
    number: i64,
    float: f64,
    small: f32,
    text: String,
    bytes: Vec<u8>,
}

fn cell() -> impl Strategy<Value = Cell> {
    let text = prop_oneof![
        "[a-c,\"'\\\\\n\r\t ;é😀¦#]{0,12}",
        any::<String>().prop_map(|s| s.chars().filter(|c| *c != '\u{feff}').take(40).collect::<String>()),
    ];
    let number = prop_oneof![any::<i64>(), -1000i64..1000];
    (prop::bool::weighted(0.2), number, any::<f64>(), any::<f32>(), text, prop::collection::vec(any::<u8>(), 0..6))
        .prop_map(|(null, number, float, small, text, bytes)| Cell { null, number, float, small, text, bytes })
}

/// A batch of this row type.
pub(crate) fn batch(row: &'static str, rows_max: usize) -> impl Strategy<Value = RecordBatch> {
    let schema = schema(row);
    let columns = schema.fields().len();
    prop::collection::vec(prop::collection::vec(cell(), columns..=columns), 1..=rows_max).prop_map(move |rows| {
        let arrays = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(i, f)| column(f.data_type(), &rows.iter().map(|r| r[i].clone()).collect::<Vec<_>>()))
            .collect();
        RecordBatch::try_new(schema.clone(), arrays).unwrap()
    })
}

fn column(data_type: &DataType, cells: &[Cell]) -> ArrayRef {
    macro_rules! primitive {
        ($builder:expr, $f:expr) => {{
            let mut b = $builder;
            for c in cells {
                b.append_option((!c.null).then(|| $f(c)));
            }
            Arc::new(b.finish()) as ArrayRef
        }};
    }
    // Years 1 to 9999, and 1700 to 2200 where nanoseconds have to fit.
    let seconds = |c: &Cell| c.number.rem_euclid(9998 * 31_556_952) - 62_135_596_800;
    let near = |c: &Cell| c.number.rem_euclid(500 * 31_556_952) - 8_000_000_000;
    match data_type {
        DataType::Boolean => primitive!(BooleanBuilder::new(), |c: &Cell| c.number % 2 == 0),
        DataType::Int8 => primitive!(Int8Builder::new(), |c: &Cell| c.number as i8),
        DataType::Int16 => primitive!(Int16Builder::new(), |c: &Cell| c.number as i16),
        DataType::Int32 => primitive!(Int32Builder::new(), |c: &Cell| c.number as i32),
        DataType::Int64 => primitive!(Int64Builder::new(), |c: &Cell| c.number),
        DataType::Float32 => primitive!(Float32Builder::new(), |c: &Cell| c.small),
        DataType::Float64 => primitive!(Float64Builder::new(), |c: &Cell| c.float),
        DataType::Utf8 => primitive!(StringBuilder::new(), |c: &Cell| c.text.clone()),
        DataType::Binary => primitive!(BinaryBuilder::new(), |c: &Cell| c.bytes.clone()),
        DataType::Decimal128(p, _) => {
            let most = 10i128.pow(u32::from(*p));
            primitive!(Decimal128Builder::new().with_data_type(data_type.clone()), |c: &Cell| i128::from(c.number)
                % most)
        }
        DataType::Date32 => primitive!(Date32Builder::new(), |c: &Cell| (seconds(c) / 86_400) as i32),
        DataType::Time32(TimeUnit::Millisecond) => {
            primitive!(Time32MillisecondBuilder::new(), |c: &Cell| c.number.rem_euclid(86_400_000) as i32)
        }
        DataType::Timestamp(TimeUnit::Millisecond, tz) => {
            primitive!(TimestampMillisecondBuilder::new().with_timezone_opt(tz.clone()), |c: &Cell| seconds(c) * 1000
                + c.number.rem_euclid(1000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, tz) => {
            primitive!(TimestampMicrosecondBuilder::new().with_timezone_opt(tz.clone()), |c: &Cell| seconds(c)
                * 1_000_000
                + c.number.rem_euclid(1_000_000))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, tz) => {
            primitive!(TimestampNanosecondBuilder::new().with_timezone_opt(tz.clone()), |c: &Cell| near(c)
                * 1_000_000_000
                + c.number.rem_euclid(1_000_000_000))
        }
        DataType::List(field) => {
            let values = column(
                field.data_type(),
                &cells.iter().flat_map(|c| vec![c.clone(); c.bytes.len()]).collect::<Vec<_>>(),
            );
            let offsets = arrow_buffer::OffsetBuffer::from_lengths(cells.iter().map(|c| c.bytes.len()));
            let nulls = arrow_buffer::NullBuffer::from_iter(cells.iter().map(|c| !c.null));
            Arc::new(ListArray::try_new(field.clone(), offsets, values, Some(nulls)).unwrap())
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().map(|f| column(f.data_type(), cells)).collect();
            let nulls = arrow_buffer::NullBuffer::from_iter(cells.iter().map(|c| c.number % 5 != 0));
            Arc::new(StructArray::try_new(fields.clone(), columns, Some(nulls)).unwrap())
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(kv) = entries.data_type() else { panic!("a map") };
            let mut keys = StringBuilder::new();
            let mut values = vec![];
            let mut lengths = vec![];
            for c in cells {
                for i in 0..c.bytes.len() {
                    keys.append_value(format!("{i}{}", c.text));
                    values.push(Cell { null: i == 1, ..c.clone() });
                }
                lengths.push(c.bytes.len());
            }
            let values = column(kv[1].data_type(), &values);
            let pairs = flott_core::types::map_entries(kv, Arc::new(keys.finish()), values).unwrap();
            let offsets = arrow_buffer::OffsetBuffer::from_lengths(lengths);
            Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, None, false).unwrap())
        }
        other => panic!("no random {other}"),
    }
}
