//! Operators, with constants and with columns.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int32Array};

use super::*;
use crate::testing::{column, constant, evaluate, logical, show, table, values};

fn env() -> FunctionEnv {
    FunctionEnv::default()
}

fn op(text: &str) -> Operator {
    match text {
        "+" => Operator::Plus,
        "-" => Operator::Minus,
        "*" => Operator::Multiply,
        "/" => Operator::Divide,
        "%" => Operator::Modulo,
        "=" => Operator::Eq,
        "<>" => Operator::NotEq,
        "<" => Operator::Lt,
        "<=" => Operator::LtEq,
        ">" => Operator::Gt,
        ">=" => Operator::GtEq,
        "||" => Operator::StringConcat,
        "IS DISTINCT FROM" => Operator::IsDistinctFrom,
        "IS NOT DISTINCT FROM" => Operator::IsNotDistinctFrom,
        "AND" => Operator::And,
        "OR" => Operator::Or,
        other => panic!("{other}"),
    }
}

/// Left value and type, operator, right value and type, result, type of the result.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

fn check(cases: &[Case]) {
    for (l, lt, sign, r, rt, expected, data_type) in cases {
        let shown = format!("{l} {lt} {sign} {r} {rt}");
        let e = match binary(op(sign), constant(l, lt), constant(r, rt), &env()) {
            Ok(e) => e,
            Err(e) => {
                assert_eq!(*expected, "REFUSED", "{shown}: {e}");
                continue;
            }
        };
        assert_eq!(e.data_type.with_nullable(true).to_string(), *data_type, "{shown}");
        match show(&e) {
            Ok(value) => assert_eq!(value, *expected, "{shown}"),
            Err(e) => assert_eq!(*expected, "ERROR", "{shown}: {e}"),
        }
    }
}

#[test]
fn integers_wrap_and_divide_to_integers() {
    check(&[
        ("2147483647", "INT", "+", "1", "INT", "-2147483648", "INT"),
        ("127", "TINYINT", "+", "1", "TINYINT", "-128", "TINYINT"),
        ("1", "TINYINT", "+", "1", "INT", "2", "INT"),
        ("7", "INT", "/", "2", "INT", "3", "INT"),
        ("-7", "INT", "/", "2", "INT", "-3", "INT"),
        ("-7", "INT", "%", "2", "INT", "-1", "INT"),
        ("-2147483648", "INT", "/", "-1", "INT", "-2147483648", "INT"),
        ("7", "BIGINT", "%", "4", "INT", "3", "INT"),
        ("7", "INT", "%", "4", "BIGINT", "3", "BIGINT"),
        ("1", "INT", "/", "0", "INT", "ERROR", "INT"),
        ("1", "INT", "%", "0", "INT", "ERROR", "INT"),
        ("NULL", "INT", "/", "0", "INT", "NULL", "INT"),
        ("9223372036854775807", "BIGINT", "*", "2", "INT", "-2", "BIGINT"),
        ("1", "INT", "+", "NULL", "INT", "NULL", "INT"),
        ("1", "INT", "+", "a", "CHAR(1)", "REFUSED", ""),
        ("true", "BOOLEAN", "+", "1", "INT", "REFUSED", ""),
    ]);
}

#[test]
fn floating_point_numbers() {
    check(&[
        ("1", "DOUBLE", "/", "0", "DOUBLE", "Infinity", "DOUBLE"),
        ("-1", "DOUBLE", "/", "0", "INT", "-Infinity", "DOUBLE"),
        ("0", "DOUBLE", "/", "0", "DOUBLE", "NaN", "DOUBLE"),
        ("1", "INT", "+", "0.5", "FLOAT", "1.5", "FLOAT"),
        ("1.5", "DECIMAL(2, 1)", "*", "2", "DOUBLE", "3.0", "DOUBLE"),
        ("5.5", "DOUBLE", "%", "2", "DOUBLE", "REFUSED", "DOUBLE"),
        ("5.5", "DOUBLE", "%", "2", "INT", "REFUSED", "DOUBLE"),
    ]);
}

#[test]
fn decimals() {
    check(&[
        ("1.10", "DECIMAL(5, 2)", "+", "2.345", "DECIMAL(6, 3)", "3.445", "DECIMAL(7, 3)"),
        ("1.10", "DECIMAL(5, 2)", "-", "2.345", "DECIMAL(6, 3)", "-1.245", "DECIMAL(7, 3)"),
        ("1.10", "DECIMAL(5, 2)", "*", "2.345", "DECIMAL(6, 3)", "2.57950", "DECIMAL(12, 5)"),
        ("10", "DECIMAL(5, 2)", "/", "3", "DECIMAL(6, 3)", "3.333333333", "DECIMAL(15, 9)"),
        ("10", "DECIMAL(5, 2)", "%", "3", "DECIMAL(6, 3)", "1.000", "DECIMAL(6, 3)"),
        ("1", "INT", "/", "3.0", "DECIMAL(2, 1)", "0.333333", "DECIMAL(17, 6)"),
        ("1", "DECIMAL(5, 2)", "/", "0", "INT", "ERROR", "DECIMAL(16, 13)"),
        // Nexmark's currency conversion: 0.908 times a BIGINT.
        ("0.908", "DECIMAL(4, 3)", "*", "1000", "BIGINT", "908.000", "DECIMAL(24, 3)"),
        ("99999999999999999999999999999999999999", "DECIMAL(38, 0)", "+", "1", "INT", "NULL", "DECIMAL(38, 0)"),
        (
            "99999999999999999999",
            "DECIMAL(38, 10)",
            "*",
            "99999999999999999999",
            "DECIMAL(38, 10)",
            "NULL",
            "DECIMAL(38, 6)",
        ),
        ("1.5", "DECIMAL(38, 10)", "*", "1.5", "DECIMAL(38, 10)", "2.250000", "DECIMAL(38, 6)"),
        ("1", "DECIMAL(38, 20)", "/", "3", "DECIMAL(38, 10)", "0.3333333333", "DECIMAL(38, 10)"),
    ]);
}

#[test]
fn comparisons() {
    check(&[
        ("1", "INT", "=", "1.0", "DECIMAL(2, 1)", "TRUE", "BOOLEAN"),
        ("1", "INT", "<", "2.5", "DOUBLE", "TRUE", "BOOLEAN"),
        ("1", "INT", "=", "1", "STRING", "TRUE", "BOOLEAN"),
        ("1", "INT", "=", "x", "STRING", "ERROR", "BOOLEAN"),
        ("1.5", "DECIMAL(3, 1)", "<", "1.55", "STRING", "TRUE", "BOOLEAN"),
        ("a", "CHAR(1)", "<", "b", "STRING", "TRUE", "BOOLEAN"),
        ("NULL", "INT", "=", "1", "INT", "NULL", "BOOLEAN"),
        ("NULL", "INT", "IS DISTINCT FROM", "1", "INT", "TRUE", "BOOLEAN"),
        ("NULL", "INT", "IS NOT DISTINCT FROM", "NULL", "INT", "TRUE", "BOOLEAN"),
        ("NaN", "DOUBLE", "=", "NaN", "DOUBLE", "FALSE", "BOOLEAN"),
        ("NaN", "DOUBLE", "<>", "NaN", "DOUBLE", "TRUE", "BOOLEAN"),
        ("NaN", "DOUBLE", "IS NOT DISTINCT FROM", "NaN", "DOUBLE", "FALSE", "BOOLEAN"),
        ("0", "DOUBLE", "=", "-0.0", "DOUBLE", "TRUE", "BOOLEAN"),
        ("NaN", "FLOAT", ">", "1", "FLOAT", "FALSE", "BOOLEAN"),
        ("2020-01-01", "DATE", "=", "2020-01-01", "STRING", "TRUE", "BOOLEAN"),
        ("2020-01-01", "DATE", "<", "2020-01-01 00:00:01", "TIMESTAMP(3)", "TRUE", "BOOLEAN"),
        ("2020-01-01 00:00:00", "TIMESTAMP(3)", "=", "2020-01-01 00:00:00", "TIMESTAMP(9)", "TRUE", "BOOLEAN"),
        ("2020-01-01 00:00:00", "TIMESTAMP(3)", ">=", "2020-01-01", "STRING", "TRUE", "BOOLEAN"),
        ("true", "BOOLEAN", ">", "false", "BOOLEAN", "TRUE", "BOOLEAN"),
        ("1", "INT", "=", "true", "BOOLEAN", "REFUSED", ""),
        ("1", "INT", "=", "2020-01-01", "DATE", "REFUSED", ""),
    ]);
    let untyped = || TypedExpr::literal(ScalarValue::Null, K::Null.nullable());
    let e = binary(Operator::Eq, untyped(), untyped(), &env()).expect("NULL = NULL");
    assert_eq!(show(&e).expect("a value"), "NULL");
}

#[test]
fn columns_and_constants_give_the_same() {
    let a: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
    let d: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(f64::NAN), None]));
    let rows = table(&[("a", "INT", a), ("d", "DOUBLE", d)]);
    let ints = |e: TypedExpr| values(&e, &rows).expect("rows").as_primitive::<Int32Type>().iter().collect::<Vec<_>>();
    let (a, two) = (|| column("a", "INT"), || constant("2", "INT"));
    let run = |sign: &str, l: TypedExpr, r: TypedExpr| binary(op(sign), l, r, &env()).expect("an expression");
    assert_eq!(ints(run("*", a(), two())), [Some(2), None, Some(6)]);
    assert_eq!(ints(run("-", two(), a())), [Some(1), None, Some(-1)]);
    assert_eq!(ints(run("+", a(), a())), [Some(2), None, Some(6)]);
    assert_eq!(ints(run("/", two(), a())), [Some(2), None, Some(0)]);
    assert_eq!(ints(run("+", a(), constant("NULL", "INT"))), [None, None, None]);
    let bools = |e: TypedExpr| evaluate(&e, &rows).expect("rows");
    assert_eq!(bools(run(">", column("d", "DOUBLE"), a())), [Some(false), None, None]);
    assert_eq!(bools(run("<>", column("d", "DOUBLE"), constant("1", "DOUBLE"))), [Some(false), Some(true), None]);
    assert_eq!(
        bools(run("IS DISTINCT FROM", column("d", "DOUBLE"), constant("NaN", "DOUBLE"))),
        [Some(true), Some(true), Some(true)]
    );
    // Flink's: what is compared with itself is the same, and NOT turns a comparison round.
    assert_eq!(bools(run("=", column("d", "DOUBLE"), column("d", "DOUBLE"))), [Some(true), Some(true), None]);
    let turned = |e: TypedExpr| bools(not(e));
    assert_eq!(turned(run(">=", column("d", "DOUBLE"), constant("2", "DOUBLE"))), [Some(true), Some(false), None]);
    let (above, below) = (run(">=", column("d", "DOUBLE"), constant("2", "DOUBLE")), run("<", a(), two()));
    assert_eq!(turned(run("AND", above, below)), [Some(true), None, Some(true)]);
    assert_eq!(bools(run("<", column("d", "DOUBLE"), constant("NULL", "DOUBLE"))), [None, None, None]);
    // A zero in a row that is NULL on the other side harms nobody.
    let x: ArrayRef = Arc::new(Int32Array::from(vec![None, Some(4)]));
    let y: ArrayRef = Arc::new(Int32Array::from(vec![0, 2]));
    let rows = table(&[("x", "INT", x), ("y", "INT", y)]);
    let e = run("/", column("x", "INT"), column("y", "INT"));
    assert_eq!(
        values(&e, &rows).expect("rows").as_primitive::<Int32Type>().iter().collect::<Vec<_>>(),
        [None, Some(2)]
    );
}

#[test]
fn times_and_intervals() {
    let interval = |ms: i64| {
        TypedExpr::literal(ScalarValue::DurationMillisecond(Some(ms)), logical("INTERVAL DAY TO SECOND NOT NULL"))
    };
    let months =
        |m: i32| TypedExpr::literal(ScalarValue::IntervalYearMonth(Some(m)), logical("INTERVAL MONTH NOT NULL"));
    for (l, sign, r, expected, t) in [
        (constant("2020-01-01 00:00:00", "TIMESTAMP(3)"), "-", interval(1), "2019-12-31 23:59:59.999", "TIMESTAMP(3)"),
        (
            interval(1_000),
            "+",
            constant("2020-01-01 00:00:00", "TIMESTAMP(6)"),
            "2020-01-01 00:00:01.000000",
            "TIMESTAMP(6)",
        ),
        (constant("2020-01-31", "DATE"), "+", months(1), "2020-02-29", "DATE"),
        (constant("2020-03-31 12:00:00", "TIMESTAMP(0)"), "-", months(13), "2019-02-28 12:00:00", "TIMESTAMP(0)"),
        (constant("2020-01-01", "DATE"), "+", interval(86_400_000), "2020-01-02", "DATE"),
        (constant("23:00:00", "TIME(0)"), "+", interval(7_200_000), "01:00:00", "TIME(0)"),
        (constant("23:00:00", "TIME(0)"), "+", months(1), "23:00:00", "TIME(0)"),
        (constant("23:00:00.5", "TIME(6)"), "-", months(1), "23:00:00.5", "TIME(6)"),
        (interval(1_000), "+", interval(500), "+0 00:00:01.500", "INTERVAL SECOND(3)"),
        (months(11), "+", months(3), "+1-02", "INTERVAL MONTH"),
        (months(5), "*", constant("3", "INT"), "+1-03", "INTERVAL MONTH"),
        (constant("-2", "INT"), "*", interval(1_500), "-0 00:00:03.000", "INTERVAL SECOND(3)"),
    ] {
        let e = binary(op(sign), l, r, &env()).expect("an expression");
        assert_eq!(
            (show(&e).expect("a value").as_str(), e.data_type.with_nullable(true).to_string().as_str()),
            (expected, t)
        );
    }
    assert!(binary(Operator::Multiply, constant("2020-01-01", "DATE"), interval(1), &env()).is_err());
    assert!(binary(Operator::Multiply, interval(1), constant("1.5", "DOUBLE"), &env()).is_err());
}

#[test]
fn negation() {
    for (value, t, expected) in [
        ("5", "INT", "-5"),
        ("-2147483648", "INT", "-2147483648"),
        ("1.50", "DECIMAL(3, 2)", "-1.50"),
        ("0", "DOUBLE", "-0.0"),
        ("NULL", "BIGINT", "NULL"),
    ] {
        let e = negate(constant(value, t), &env()).expect("an expression");
        assert_eq!(show(&e).expect("a value"), expected, "-{value}");
        assert_eq!(e.data_type.with_nullable(true).to_string(), t);
    }
    assert!(negate(constant("x", "STRING"), &env()).is_err());
}

#[test]
fn branches_of_a_case_are_lazy_and_have_one_type() {
    let a: ArrayRef = Arc::new(Int32Array::from(vec![Some(0), Some(5), None]));
    let rows = table(&[("a", "INT", a)]);
    let a = || column("a", "INT");
    let divide = || binary(Operator::Divide, constant("10", "INT"), a(), &env()).expect("a quotient");
    let zero = || binary(Operator::Eq, a(), constant("0", "INT"), &env()).expect("a condition");
    let not_zero = || binary(Operator::NotEq, a(), constant("0", "INT"), &env()).expect("a condition");
    let null = || TypedExpr::literal(ScalarValue::Null, K::Null.nullable());
    let show_all = |e: TypedExpr| {
        let shown = crate::cast::format_column(&values(&e, &rows).expect("rows"), &e.data_type, env().time_zone);
        shown.expect("texts").into_iter().map(|t| t.unwrap_or_else(|| "NULL".into())).collect::<Vec<_>>()
    };
    // Each shape that DataFusion has a way of its own for.
    for (branches, last, expected) in [
        (vec![(zero(), constant("-1", "INT"))], divide(), ["-1", "2", "NULL"]),
        (vec![(not_zero(), divide())], null(), ["NULL", "2", "NULL"]),
        (vec![(not_zero(), divide())], constant("7", "INT"), ["7", "2", "7"]),
        (vec![(not_zero(), divide())], a(), ["0", "2", "NULL"]),
        (vec![(not_zero(), a())], null(), ["NULL", "5", "NULL"]),
        (vec![(zero(), constant("1", "INT")), (not_zero(), divide())], constant("7", "INT"), ["1", "2", "7"]),
        (vec![(zero(), constant("1", "INT")), (not_zero(), constant("2", "INT"))], divide(), ["1", "2", "NULL"]),
    ] {
        let e = case(branches, last, &env()).expect("a CASE");
        assert_eq!(show_all(e), expected);
    }
    let e = case(vec![(zero(), constant("1", "INT"))], constant("2.5", "DECIMAL(2, 1)"), &env()).expect("a CASE");
    assert_eq!(e.data_type.to_string(), "DECIMAL(11, 1) NOT NULL");
    let e = case(vec![(zero(), constant("a", "CHAR(1)"))], constant("bb", "CHAR(2)"), &env()).expect("a CASE");
    assert_eq!(e.data_type.to_string(), "VARCHAR(2)");
    assert!(case(vec![(zero(), constant("1", "INT"))], constant("x", "STRING"), &env()).is_err());
    assert_eq!(logical("INT").to_string(), "INT");
}

#[test]
fn no_operator_and_no_cast_has_a_bug_at_the_extremes() {
    const SAMPLES: [(&str, &str); 18] = [
        ("NULL", "INT"),
        ("-128", "TINYINT"),
        ("-2147483648", "INT"),
        ("-1", "INT"),
        ("0", "BIGINT"),
        ("-9223372036854775808", "BIGINT"),
        ("NaN", "DOUBLE"),
        ("-Infinity", "FLOAT"),
        ("1e308", "DOUBLE"),
        ("99999999999999999999999999999999999999", "DECIMAL(38, 0)"),
        ("-0.00000000000000000000000000000000000001", "DECIMAL(38, 38)"),
        ("ä\u{1F600}", "STRING"),
        ("0000-01-01", "DATE"),
        ("9999-12-31 23:59:59.999", "TIMESTAMP(3)"),
        ("2262-01-01 00:00:00", "TIMESTAMP(9)"),
        ("0001-01-01 00:00:00", "TIMESTAMP_LTZ(6)"),
        ("23:59:59", "TIME(0)"),
        ("false", "BOOLEAN"),
    ];
    let fine = |e: &TypedExpr, shown: &str| {
        let result = show(e);
        let bug = result.as_ref().is_err_and(|e| e.kind() == flott_core::ErrorKind::Internal);
        assert!(!bug, "{shown}: {result:?}");
    };
    let sample = |s: &(&str, &str)| constant(s.0, s.1);
    for l in &SAMPLES {
        for r in &SAMPLES {
            for sign in ["+", "-", "*", "/", "%", "=", "<", "IS DISTINCT FROM", "||", "AND", "OR"] {
                if let Ok(e) = binary(op(sign), sample(l), sample(r), &env()) {
                    fine(&e, &format!("{l:?} {sign} {r:?}"));
                }
            }
        }
        if let Ok(e) = negate(sample(l), &env()) {
            fine(&e, &format!("-{l:?}"));
        }
        for to in [
            "BOOLEAN",
            "TINYINT",
            "SMALLINT",
            "INT",
            "BIGINT",
            "FLOAT",
            "DOUBLE",
            "DECIMAL(1, 0)",
            "DECIMAL(38, 38)",
            "CHAR(1)",
            "VARCHAR(2)",
            "STRING",
            "BINARY(1)",
            "BYTES",
            "DATE",
            "TIME(0)",
            "TIME(9)",
            "TIMESTAMP(0)",
            "TIMESTAMP(9)",
            "TIMESTAMP_LTZ(3)",
        ] {
            for try_cast in [false, true] {
                if let Ok(e) = crate::cast::cast(sample(l), &logical(to), try_cast, &env()) {
                    fine(&e, &format!("CAST({l:?} AS {to})"));
                    assert!(!try_cast || show(&e).is_ok(), "TRY_CAST({l:?} AS {to}) fails");
                }
            }
        }
    }
}
