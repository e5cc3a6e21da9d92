//! What the tests of collections share: arrays, maps, and tables of calls.

use datafusion_common::ScalarValue;
use flott_core::types::TypeKind;

use crate::context::FunctionEnv;
use crate::scalar;
use crate::testing::{call, constant, one_row, text, values};
use crate::udf::{TypedExpr, scalar_of};

/// A call as a constant, as arguments are in tests.
pub(super) fn called(name: &str, args: Vec<TypedExpr>) -> TypedExpr {
    let e = scalar::call(name, args, &FunctionEnv::default()).expect("a function").expect("a call");
    let row = values(&e, &one_row()).expect("a row");
    TypedExpr::literal(scalar_of(&row).expect("a row"), e.data_type)
}

/// An array of numbers and NULLs.
pub(super) fn ints(values: &[Option<i32>]) -> TypedExpr {
    let text = |v: &Option<i32>| v.map_or("NULL".to_string(), |v| v.to_string());
    called("ARRAY", values.iter().map(|v| n(&text(v))).collect())
}

/// `[3, NULL, 1, 3]`
pub(super) fn a() -> TypedExpr {
    ints(&[Some(3), None, Some(1), Some(3)])
}

/// `{a=1, b=NULL}`
pub(super) fn m() -> TypedExpr {
    called("MAP", vec![text("a"), n("1"), text("b"), n("NULL")])
}

/// `[a, b]`
pub(super) fn keys() -> TypedExpr {
    called("ARRAY", vec![text("a"), text("b")])
}

/// An INT.
pub(super) fn n(value: &str) -> TypedExpr {
    constant(value, "INT")
}

/// A NULL without a type.
pub(super) fn null() -> TypedExpr {
    TypedExpr::literal(ScalarValue::Null, TypeKind::Null.nullable())
}

/// What a call gives, or its error.
pub(super) fn run(name: &str, args: Vec<TypedExpr>) -> String {
    call(name, args).unwrap_or_else(|e| format!("ERROR {e}"))
}

/// A table of calls: name, arguments, result.
pub(super) fn check(cases: Vec<(&str, Vec<TypedExpr>, &str)>) {
    for (name, args, expected) in cases {
        assert_eq!(run(name, args), expected, "{name}");
    }
}
