//! Values of every type that crosses go into a module and come back.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DurationMillisecondArray, Float64Array,
    Int8Array, Int32Array, Int64Array, IntervalYearMonthArray, ListArray, MapArray, StringArray, StructArray,
    Time32MillisecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use flott_core::LogicalType;
use flott_core::types::{arrow_type, map_entries};

use crate::{ALLOCATOR, ECHO, load, module};

fn logical(t: &str) -> LogicalType {
    t.parse().expect("a type")
}

fn list(t: &str, lengths: &[usize], values: ArrayRef, nulls: Option<NullBuffer>) -> ArrayRef {
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    match arrow_type(&logical(t)) {
        DataType::List(field) => Arc::new(ListArray::new(field, offsets, values, nulls)),
        DataType::Map(field, sorted) => {
            let entries = values.as_any().downcast_ref::<StructArray>().expect("entries").clone();
            Arc::new(MapArray::new(field, offsets, entries, nulls, sorted))
        }
        other => panic!("{other}"),
    }
}

fn row(t: &str, columns: Vec<ArrayRef>, nulls: Option<NullBuffer>) -> ArrayRef {
    let fields = match arrow_type(&logical(t)) {
        DataType::Struct(fields) => fields,
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let [keys, values] = <[ArrayRef; 2]>::try_from(columns).expect("keys and values");
                return Arc::new(map_entries(fields, keys, values).expect("entries"));
            }
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    };
    Arc::new(StructArray::new(fields, columns, nulls))
}

/// Five values of each type, one of which is NULL.
fn samples() -> Vec<(&'static str, ArrayRef)> {
    let numbers = vec![Some(1), None, Some(-3), Some(i32::MAX), Some(0)];
    let big: Vec<Option<i64>> = numbers.iter().map(|n| n.map(i64::from)).collect();
    let texts = vec![Some("a"), None, Some(""), Some("ünï"), Some("a long text with more letters")];
    let third_null = Some(NullBuffer::from(vec![true, true, false, true, true]));
    let text_array = || Arc::new(StringArray::from(texts.clone())) as ArrayRef;
    let int_array = || Arc::new(Int32Array::from(numbers.clone())) as ArrayRef;
    let keys = || Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e"])) as ArrayRef;
    let counts = || Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5])) as ArrayRef;
    let decimals = Decimal128Array::from(vec![Some(1), None, Some(-12_345), Some(i128::pow(10, 37)), Some(0)]);
    let bits = BooleanArray::from(vec![Some(true), None, Some(false), Some(true), Some(true)]);
    let lists = list("ARRAY<INT>", &[2, 0, 0, 1, 2], int_array(), third_null.clone());
    vec![
        ("BOOLEAN", Arc::new(bits.clone())),
        ("TINYINT", Arc::new(Int8Array::from(vec![Some(1), None, Some(-128), Some(127), Some(0)]))),
        ("INT", int_array()),
        ("BIGINT", Arc::new(Int64Array::from(big.clone()))),
        ("DOUBLE", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN), Some(-0.0), Some(f64::MAX)]))),
        ("STRING", text_array()),
        ("BYTES", Arc::new(BinaryArray::from(vec![Some(&b"\xff\0"[..]), None, Some(b""), Some(b"abc"), Some(b"\n")]))),
        ("DECIMAL(38, 4)", Arc::new(decimals.with_precision_and_scale(38, 4).expect("a type"))),
        ("DATE", Arc::new(Date32Array::from(numbers.clone()))),
        ("TIME(3)", Arc::new(Time32MillisecondArray::from(numbers.clone()))),
        ("TIMESTAMP(3)", Arc::new(TimestampMillisecondArray::from(big.clone()))),
        ("TIMESTAMP_LTZ(9)", Arc::new(TimestampNanosecondArray::from(big.clone()).with_timezone("UTC"))),
        ("INTERVAL YEAR TO MONTH", Arc::new(IntervalYearMonthArray::from(numbers.clone()))),
        ("INTERVAL DAY TO SECOND", Arc::new(DurationMillisecondArray::from(big))),
        ("ARRAY<INT>", Arc::clone(&lists)),
        ("ARRAY<ARRAY<INT>>", list("ARRAY<ARRAY<INT>>", &[0, 3, 0, 1, 1], lists, third_null.clone())),
        ("ARRAY<BOOLEAN>", list("ARRAY<BOOLEAN>", &[1, 1, 0, 3, 0], Arc::new(bits), third_null.clone())),
        (
            "MAP<STRING, INT>",
            list(
                "MAP<STRING, INT>",
                &[2, 0, 0, 2, 1],
                row("MAP<STRING, INT>", vec![keys(), int_array()], None),
                third_null.clone(),
            ),
        ),
        (
            "MULTISET<STRING>",
            list("MULTISET<STRING>", &[0, 5, 0, 0, 0], row("MULTISET<STRING>", vec![keys(), counts()], None), None),
        ),
        ("ROW<a INT, b STRING>", row("ROW<a INT, b STRING>", vec![int_array(), text_array()], third_null)),
    ]
}

#[test]
fn values_go_in_and_come_back() {
    for (t, given) in samples() {
        let function = load(module(&[ALLOCATOR, ECHO]), "f", (t, t), &[]).expect("a function");
        // Also parts, whose offsets are no multiples of eight, and rows that are none.
        for (from, rows) in [(0, 5), (1, 3), (3, 2), (2, 0)] {
            let part = given.slice(from, rows);
            let got = function.evaluate(&[Arc::clone(&part)], rows).unwrap_or_else(|e| panic!("{t}: {e}"));
            assert_eq!(format!("{got:?}"), format!("{part:?}"), "{t} from {from}");
        }
    }
}

#[test]
fn results_may_start_behind_their_first_value() {
    // The argument from its second value on.
    let rest = r#"
      (func (export "f") (param $arguments i32) (param $count i32) (param $rows i32) (param $out i32) (result i32)
        (memory.copy (local.get $out) (local.get $arguments) (i32.const 64))
        (i64.store offset=16 (local.get $out) (i64.const 1))
        (i64.store (local.get $out) (i64.extend_i32_u (local.get $rows)))
        (i32.const 0))
    "#;
    for (t, given) in samples() {
        let function = load(module(&[ALLOCATOR, rest]), "f", (t, t), &[]).expect("a function");
        let got = function.evaluate(&[Arc::clone(&given)], 4).unwrap_or_else(|e| panic!("{t}: {e}"));
        assert_eq!(format!("{got:?}"), format!("{:?}", given.slice(1, 4)), "{t}");
    }
}
