//! Casts, with the values of Flink's own tests of casts.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Int32Array, StringArray, StructArray};
use flott_core::types::{TypeKind, arrow_type};

use super::*;
use crate::testing::{column, constant, logical, show_in, table, values};

fn shanghai() -> FunctionEnv {
    FunctionEnv::new("Asia/Shanghai").expect("a zone")
}

/// CAST and TRY_CAST of a constant, printed; `ERROR` where CAST fails (TRY_CAST must then be NULL), `REFUSED` in planning.
fn check(cases: &[(&str, &str, &str, &str)]) {
    let env = shanghai();
    for (value, from, to, expected) in cases {
        let value_of = || match *from {
            "BYTES" | "BINARY(2)" | "VARBINARY(3)" => {
                let bytes: Vec<u8> = (0..value.len())
                    .step_by(2)
                    .map(|i| u8::from_str_radix(&value[i..i + 2], 16).expect("hex"))
                    .collect();
                TypedExpr::literal(ScalarValue::Binary(Some(bytes)), logical(from).with_nullable(false))
            }
            from if value.is_empty() || !logical(from).kind.is_character() => {
                cast(constant(value, "STRING"), &logical(from), false, &env)
                    .unwrap_or_else(|e| panic!("{value} {from}: {e}"))
            }
            from => constant(value, from),
        };
        let run = |try_cast| cast(value_of(), &logical(to), try_cast, &env).map(|e| show_in(&e, &env));
        match (run(false), *expected) {
            (Err(e), "REFUSED") => {
                assert!(e.to_string().starts_with("Cast function cannot convert value of type"), "{e}")
            }
            (Ok(Err(e)), "ERROR") => {
                assert_eq!(e.kind(), ErrorKind::Data, "{e}");
                assert_eq!(run(true).expect("TRY_CAST").expect("a value"), "NULL", "TRY_CAST({value} AS {to})");
            }
            (Ok(Ok(shown)), expected) => {
                assert_eq!(shown, *expected, "CAST({value} {from} AS {to})");
                assert_eq!(run(true).expect("TRY_CAST").expect("a value"), *expected, "TRY_CAST({value} AS {to})");
            }
            (other, _) => panic!("CAST({value} {from} AS {to}): {other:?}, expected {expected}"),
        }
    }
}

#[test]
fn texts() {
    check(&[
        ("foo", "VARCHAR(5)", "CHAR(3)", "foo"),
        ("abcdef", "STRING", "CHAR(3)", "abc"),
        ("2021-09-24", "DATE", "CHAR(3)", "202"),
        ("foo", "CHAR(3)", "CHAR(5)", "foo  "),
        ("größe", "STRING", "VARCHAR(3)", "grö"),
        ("TRUE", "BOOLEAN", "STRING", "TRUE"),
        ("false", "BOOLEAN", "STRING", "FALSE"),
        ("9.87", "DECIMAL(4, 3)", "STRING", "9.870"),
        ("1", "DECIMAL(10, 5)", "STRING", "1.00000"),
        ("-5", "TINYINT", "STRING", "-5"),
        ("-12345678901", "BIGINT", "STRING", "-12345678901"),
        ("123.456", "FLOAT", "STRING", "123.456"),
        ("1e10", "DOUBLE", "STRING", "1.0E10"),
        ("100", "DOUBLE", "STRING", "100.0"),
        ("2021-09-24", "DATE", "STRING", "2021-09-24"),
        ("12:34:56.123", "TIME(0)", "STRING", "12:34:56"),
        ("2021-09-24 12:34:56.1234567", "TIMESTAMP(6)", "STRING", "2021-09-24 12:34:56.123456"),
        ("2021-09-24 12:34:56.1234567", "TIMESTAMP(9)", "STRING", "2021-09-24 12:34:56.123456700"),
        ("2021-09-24 12:34:56.1", "TIMESTAMP(3)", "STRING", "2021-09-24 12:34:56.100"),
        ("2021-09-24 12:34:56", "TIMESTAMP(0)", "STRING", "2021-09-24 12:34:56"),
        ("2021-09-25 07:54:56.12345", "TIMESTAMP_LTZ(5)", "STRING", "2021-09-25 07:54:56.12345"),
        ("666f", "BYTES", "STRING", "fo"),
        ("c3bc", "BYTES", "CHAR(3)", "ü  "),
        ("ff", "BYTES", "STRING", "ERROR"),
    ]);
}

#[test]
fn booleans() {
    check(&[
        ("true", "CHAR(4)", "BOOLEAN", "TRUE"),
        ("FalsE", "VARCHAR(5)", "BOOLEAN", "FALSE"),
        ("yes", "STRING", "BOOLEAN", "TRUE"),
        ("0", "STRING", "BOOLEAN", "FALSE"),
        ("foo", "CHAR(3)", "BOOLEAN", "ERROR"),
        ("", "STRING", "BOOLEAN", "ERROR"),
        ("-5", "TINYINT", "BOOLEAN", "TRUE"),
        ("0", "BIGINT", "BOOLEAN", "FALSE"),
        ("0001", "BINARY(2)", "BOOLEAN", "REFUSED"),
        ("4.3", "DECIMAL(4, 3)", "BOOLEAN", "TRUE"),
        ("0", "DOUBLE", "BOOLEAN", "FALSE"),
        ("2021-09-24", "DATE", "BOOLEAN", "REFUSED"),
        ("true", "BOOLEAN", "DECIMAL(5, 3)", "1.000"),
        ("true", "BOOLEAN", "DOUBLE", "1.0"),
    ]);
}

#[test]
fn numbers() {
    check(&[
        ("foo", "CHAR(3)", "INT", "ERROR"),
        ("1.234", "STRING", "TINYINT", "1"),
        (" 123 ", "STRING", "TINYINT", "123"),
        ("-130", "STRING", "TINYINT", "ERROR"),
        ("-32769", "STRING", "SMALLINT", "ERROR"),
        ("2147483648", "STRING", "INT", "ERROR"),
        ("9.87", "DECIMAL(4, 3)", "TINYINT", "9"),
        ("9123.87", "DECIMAL(10, 3)", "TINYINT", "-93"),
        ("12345", "SMALLINT", "TINYINT", "57"),
        ("1234567", "INT", "TINYINT", "-121"),
        ("12345678901", "BIGINT", "TINYINT", "53"),
        ("12345678901", "BIGINT", "SMALLINT", "7221"),
        ("123456.78", "FLOAT", "SMALLINT", "-7616"),
        ("-123.456789", "DOUBLE", "INT", "-123"),
        ("1e300", "DOUBLE", "BIGINT", "9223372036854775807"),
        ("NaN", "DOUBLE", "INT", "0"),
        ("3276913443134.87", "DECIMAL(20, 3)", "FLOAT", "3.2769135E12"),
        ("123456789.123456789123456789", "DECIMAL(30, 20)", "DOUBLE", "1.2345678912345679E8"),
        ("-1.7976931348623157E308", "DOUBLE", "FLOAT", "-Infinity"),
        // Printed as cast: both digits that Java has at least.
        ("1E-45", "STRING", "FLOAT", "1.4E-45"),
        ("1E-45", "FLOAT", "STRING", "1.4E-45"),
        ("5E-324", "STRING", "DOUBLE", "4.9E-324"),
        ("1E23", "DOUBLE", "STRING", "1.0E23"),
        // Hexadecimal, as a literal of Java; other numbers have none.
        ("0x1p3", "STRING", "DOUBLE", "8.0"),
        (" 0X1.P-2d ", "STRING", "DOUBLE", "0.25"),
        ("-0x.8p0f", "STRING", "DOUBLE", "-0.5"),
        ("0x1.8p1", "STRING", "FLOAT", "3.0"),
        ("0x1", "STRING", "DOUBLE", "ERROR"),
        ("0x1p3", "STRING", "DECIMAL(5, 2)", "ERROR"),
        ("0x1p3", "STRING", "INT", "ERROR"),
        ("1.2", "STRING", "DECIMAL(5, 3)", "1.200"),
        ("Apache", "STRING", "DECIMAL(5, 3)", "ERROR"),
        ("12345.6789", "STRING", "DECIMAL(8, 4)", "ERROR"),
        ("-12.345", "FLOAT", "DECIMAL(5, 3)", "-12.345"),
        ("3.123456", "DOUBLE", "DECIMAL(8, 4)", "3.1235"),
        ("12.34561234", "DECIMAL(10, 8)", "DECIMAL(8, 4)", "12.3456"),
        ("-128", "TINYINT", "DECIMAL(38, 0)", "-128"),
        ("12.345", "DECIMAL(5, 3)", "DATE", "REFUSED"),
        ("5", "INT", "TIMESTAMP(3)", "REFUSED"),
        ("5", "INT", "BYTES", "REFUSED"),
        ("0001", "BYTES", "INT", "REFUSED"),
    ]);
}

#[test]
fn what_does_not_fit_a_decimal_is_null() {
    let env = FunctionEnv::default();
    let array: ArrayRef = Arc::new(Int32Array::from(vec![Some(12345), Some(12), None]));
    let rows = table(&[("a", "INT", array.clone())]);
    let nullable = cast(column("a", "INT"), &logical("DECIMAL(8, 4)"), false, &env).expect("a cast");
    let shown = format_column(&values(&nullable, &rows).expect("rows"), &nullable.data_type, env.time_zone);
    assert_eq!(shown.expect("texts"), [None, Some("12.0000".to_string()), None]);
    // A column without NULL has no place for it.
    let array: ArrayRef = Arc::new(Int32Array::from(vec![12345]));
    let rows = table(&[("a", "INT NOT NULL", array)]);
    let refused = cast(column("a", "INT NOT NULL"), &logical("DECIMAL(8, 4)"), false, &env).expect("a cast");
    assert!(values(&refused, &rows).is_err());
    let tried = cast(column("a", "INT NOT NULL"), &logical("DECIMAL(8, 4)"), true, &env).expect("a cast");
    assert_eq!(values(&tried, &rows).expect("rows").null_count(), 1);
}

#[test]
fn byte_strings() {
    check(&[
        ("666F", "CHAR(4)", "BYTES", "x'36363646'"),
        ("fox", "STRING", "BINARY(2)", "x'666f'"),
        ("f", "STRING", "BINARY(2)", "x'6600'"),
        ("f", "STRING", "VARBINARY(2)", "x'66'"),
        ("000102", "BYTES", "BINARY(2)", "x'0001'"),
        ("0b", "BYTES", "BINARY(2)", "x'0b00'"),
        ("0001020304", "BYTES", "VARBINARY(4)", "x'00010203'"),
    ]);
}

#[test]
fn dates_and_times() {
    check(&[
        ("foo", "CHAR(3)", "DATE", "ERROR"),
        ("123", "STRING", "DATE", "0123-01-01"),
        ("2021-09-27", "STRING", "DATE", "2021-09-27"),
        ("2021-09-27 12:34:56.123456789", "STRING", "DATE", "2021-09-27"),
        ("2021/09/27", "STRING", "DATE", "ERROR"),
        ("2021-09-24 12:34:56.1", "TIMESTAMP(6)", "DATE", "2021-09-24"),
        ("1969-12-31 23:00:00", "TIMESTAMP(0)", "DATE", "1969-12-31"),
        ("12:34:56", "TIME(0)", "DATE", "REFUSED"),
        ("Flink", "STRING", "TIME(0)", "ERROR"),
        ("12:34:56.123456789", "STRING", "TIME(0)", "12:34:56"),
        ("2021-09-27 12:34:56", "STRING", "TIME(0)", "ERROR"),
        ("23:59:59.9994", "STRING", "TIME(3)", "23:59:59.999"),
        ("23:59:59.9996", "STRING", "TIME(3)", "ERROR"),
        ("23:59:59.9996", "STRING", "TIME(0)", "ERROR"),
        ("2021-09-24 12:34:56.1234", "TIMESTAMP(4)", "TIME(0)", "12:34:56"),
        ("2021-09-25 07:54:56.5", "TIMESTAMP_LTZ(4)", "TIME(0)", "07:54:56"),
        ("2021-09-24", "DATE", "TIME(0)", "REFUSED"),
        ("123", "STRING", "TIMESTAMP(9)", "ERROR"),
        ("2021-09-27", "STRING", "TIMESTAMP(3)", "2021-09-27 00:00:00.000"),
        ("2021-09-27 12:34:56.123456789", "STRING", "TIMESTAMP(9)", "2021-09-27 12:34:56.123456789"),
        ("2021-09-24", "DATE", "TIMESTAMP(3)", "2021-09-24 00:00:00.000"),
        ("12:34:56", "TIME(0)", "TIMESTAMP(0)", "1970-01-01 12:34:56"),
        ("2021-09-24 12:34:56.1239", "TIMESTAMP(9)", "TIMESTAMP(3)", "2021-09-24 12:34:56.123"),
        ("2021-09-24 12:34:56.1", "TIMESTAMP(3)", "TIMESTAMP_LTZ(3)", "2021-09-24 12:34:56.100"),
        ("2021-09-24 12:34:56.1", "TIMESTAMP_LTZ(3)", "TIMESTAMP(6)", "2021-09-24 12:34:56.100000"),
        ("2021-09-24", "DATE", "TIMESTAMP_LTZ(0)", "2021-09-24 00:00:00"),
        ("2021-09-27 12:34:56.123", "STRING", "TIMESTAMP_LTZ(3)", "2021-09-27 12:34:56.123"),
        ("2500-01-01", "STRING", "TIMESTAMP(9)", "ERROR"),
    ]);
    // The instant behind a local time.
    let env = shanghai();
    let instant =
        cast(constant("2021-09-24 20:00:00", "STRING"), &logical("TIMESTAMP_LTZ(0)"), false, &env).expect("a cast");
    let utc = format_column(
        &values(&instant, &crate::testing::one_row()).expect("a row"),
        &instant.data_type,
        SessionZone::UTC,
    );
    assert_eq!(utc.expect("texts")[0].as_deref(), Some("2021-09-24 12:00:00"));
}

#[test]
fn intervals() {
    let env = FunctionEnv::default();
    for (value, t, expected) in [
        (ScalarValue::IntervalYearMonth(Some(84)), "INTERVAL YEAR", "+7-00"),
        (ScalarValue::IntervalYearMonth(Some(5)), "INTERVAL MONTH", "+0-05"),
        (ScalarValue::IntervalYearMonth(Some(-12334)), "INTERVAL MONTH", "-1027-10"),
        (ScalarValue::DurationMillisecond(Some(10)), "INTERVAL DAY", "+0 00:00:00.010"),
        (ScalarValue::DurationMillisecond(Some(123_456_789)), "INTERVAL DAY", "+1 10:17:36.789"),
        (ScalarValue::DurationMillisecond(Some(-129_600_000)), "INTERVAL DAY", "-1 12:00:00.000"),
    ] {
        let literal = TypedExpr::literal(value, logical(t).with_nullable(false));
        let text = cast(literal.clone(), &logical("STRING"), false, &env).expect("a cast");
        assert_eq!(show_in(&text, &env).expect("a text"), expected);
        assert!(cast(literal, &logical("BOOLEAN"), false, &env).is_err());
    }
}

#[test]
fn nested_values() {
    let env = FunctionEnv::default();
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("1"), Some("no number"), None, Some("4")]));
    let bytes: ArrayRef =
        Arc::new(BinaryArray::from_opt_vec(vec![Some(b"a".as_slice()), None, Some(b"c"), Some(b"d")]));
    let from = logical("ROW<a STRING, b BYTES>");
    let DataType::Struct(fields) = arrow_type(&from) else { panic!("a ROW is a struct") };
    let nulls = NullBuffer::from(vec![true, false, true, true]);
    let rows: ArrayRef = Arc::new(StructArray::new(fields, vec![texts, bytes], Some(nulls)));
    let rule = |to: &str| Rule {
        from: from.clone(),
        to: logical(to),
        zone: env.time_zone,
        try_cast: false,
        lengths: Lengths::Kept,
    };
    // The text under the NULL row is no number, and nobody sees it.
    let cast_rows = rule("ROW<x INT, y STRING>").apply(&rows).expect("rows");
    let shown = format_column(&cast_rows, &logical("ROW<x INT, y STRING>"), env.time_zone).expect("texts");
    assert_eq!(shown, [Some("(1, a)"), None, Some("(NULL, c)"), Some("(4, d)")].map(|t| t.map(str::to_string)));
    let shown = rule("STRING").apply(&rows).expect("texts");
    assert_eq!(
        shown.as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("(1, a)"), None, Some("(NULL, c)"), Some("(4, d)")]
    );

    // A slice of an array casts its own values only.
    let list =
        ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)]), Some(vec![Some(2), None]), None]);
    let from = logical("ARRAY<INT>");
    let field = Arc::new(arrow_field("item", &logical("INT")));
    let list: ArrayRef =
        Arc::new(ListArray::new(field, list.offsets().clone(), list.values().clone(), list.nulls().cloned()));
    let rule =
        Rule { from, to: logical("ARRAY<STRING>"), zone: env.time_zone, try_cast: false, lengths: Lengths::Kept };
    let sliced = rule.apply(&list.slice(1, 2)).expect("a cast");
    let shown = format_column(&sliced, &logical("ARRAY<STRING>"), env.time_zone).expect("texts");
    assert_eq!(shown, [Some("[2, NULL]".to_string()), None]);

    assert!(supported(&logical("MAP<INT, INT>").kind, &logical("MAP<STRING, STRING>").kind));
    assert!(!supported(&logical("ROW<a INT>").kind, &logical("ROW<a INT, b INT>").kind));
    assert!(!supported(&logical("ARRAY<INT>").kind, &TypeKind::Int));
}

#[test]
fn nulls_of_every_type() {
    let env = FunctionEnv::default();
    for t in [
        "BOOLEAN",
        "TINYINT",
        "INT",
        "DOUBLE",
        "DECIMAL(10, 2)",
        "CHAR(3)",
        "STRING",
        "BYTES",
        "DATE",
        "TIME(0)",
        "TIMESTAMP(3)",
        "TIMESTAMP_LTZ(9)",
        "INTERVAL DAY",
        "ARRAY<INT>",
        "MAP<STRING NOT NULL, INT>",
        "ROW<a INT>",
    ] {
        let null = cast(constant("NULL", "STRING"), &logical("STRING"), false, &env).expect("a cast");
        assert!(null.data_type.nullable);
        let null = TypedExpr::literal(ScalarValue::Null, K::Null.nullable());
        let null = cast(null, &logical(t).with_nullable(false), false, &env).expect("a cast");
        assert!(null.data_type.nullable, "NULL is a value of CAST(NULL AS {t})");
        assert_eq!(show_in(&null, &env).expect("a value"), "NULL", "{t}");
    }
}

#[test]
fn try_cast_of_nested_values_is_all_or_nothing() {
    let env = FunctionEnv::default();
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("1"), Some("x"), None]));
    let field = Arc::new(arrow_field("item", &logical("STRING")));
    let offsets = OffsetBuffer::from_lengths([1, 1, 1]);
    let lists: ArrayRef = Arc::new(ListArray::new(field, offsets, texts, None));
    let array = column("a", "ARRAY<STRING>");
    let tried = cast(array, &logical("ARRAY<INT>"), true, &env).expect("a cast");
    let rows = table(&[("a", "ARRAY<STRING>", lists)]);
    let cast_rows = values(&tried, &rows).expect("rows");
    let shown = format_column(&cast_rows, &tried.data_type, env.time_zone).expect("texts");
    assert_eq!(shown, [Some("[1]"), None, Some("[NULL]")].map(|t| t.map(str::to_string)));
}
