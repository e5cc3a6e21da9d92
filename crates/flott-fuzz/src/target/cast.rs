//! CAST from STRING to every type: the first byte says which, the rest is a text a line.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::Array;
use datafusion_physical_expr::PhysicalExpr;
use flott_core::LogicalType;
use flott_function::FunctionEnv;
use flott_function::cast::cast;
use flott_function::udf::TypedExpr;

use super::expression::{batch, column, evaluate, physical, shown};
use crate::rows;

/// A type, and whether a printed value is read as the same value.
const TYPES: [(&str, bool); 22] = [
    ("BOOLEAN", true),
    ("TINYINT", true),
    ("SMALLINT", true),
    ("INT", true),
    ("BIGINT", true),
    ("FLOAT", true),
    ("DOUBLE", true),
    ("DECIMAL(10, 2)", true),
    ("DECIMAL(38, 10)", true),
    ("DECIMAL(38, 38)", true),
    ("DATE", true),
    ("TIME(0)", true),
    ("TIMESTAMP(0)", true),
    ("TIMESTAMP(3)", true),
    ("TIMESTAMP(6)", true),
    ("TIMESTAMP(9)", true),
    ("TIMESTAMP_LTZ(3)", true),
    ("CHAR(3)", true),
    ("VARCHAR(3)", true),
    ("BYTES", false),
    ("BINARY(2)", false),
    ("TIMESTAMP_LTZ(9)", true),
];

struct Casts {
    to: LogicalType,
    cast: Arc<dyn PhysicalExpr>,
    try_cast: Arc<dyn PhysicalExpr>,
}

impl Casts {
    fn new(to: &str) -> Casts {
        let to: LogicalType = to.parse().unwrap_or_else(|e| panic!("{to}: {e}"));
        let env = FunctionEnv::default();
        let of = |try_cast: bool| {
            let made: TypedExpr = cast(column("a"), &to, try_cast, &env).unwrap_or_else(|e| panic!("{to}: {e}"));
            physical(&made, &["a"]).unwrap_or_else(|e| panic!("{to}: {e}"))
        };
        Casts { cast: of(false), try_cast: of(true), to }
    }
}

pub(crate) fn run(data: &[u8]) {
    thread_local! {
        static CASTS: RefCell<HashMap<usize, Casts>> = RefCell::default();
    }
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let at = usize::from(first.wrapping_sub(b'0')) % TYPES.len();
    CASTS.with_borrow_mut(|all| {
        let casts = all.entry(at).or_insert_with(|| Casts::new(TYPES[at].0));
        check(casts, &text.split('\n').collect::<Vec<_>>(), TYPES[at].1);
    });
}

fn check(casts: &Casts, texts: &[&str], exact: bool) {
    let all = batch(&[("a", texts.to_vec())]);
    let together = evaluate(&casts.try_cast, &all).unwrap_or_else(|e| panic!("TRY_CAST fails: {e}"));
    let printed = shown(&together, &casts.to);
    let mut fails = false;
    for (row, text) in texts.iter().enumerate() {
        let one = batch(&[("a", vec![text])]);
        let alone = evaluate(&casts.cast, &one);
        match &alone {
            Ok(alone) => {
                assert!(together.is_valid(row), "{text:?} AS {}: TRY_CAST gives NULL, CAST does not fail", casts.to);
                assert_eq!(shown(alone, &casts.to)[0], printed[row], "{text:?} AS {}: alone and together", casts.to);
            }
            Err(e) => {
                rows::refusal(e);
                fails = true;
                assert!(
                    together.is_null(row),
                    "{text:?} AS {}: CAST fails ({e}), TRY_CAST gives {:?}",
                    casts.to,
                    printed[row]
                );
            }
        }
    }
    assert_eq!(evaluate(&casts.cast, &all).is_err(), fails, "CAST of all rows to {}", casts.to);
    if exact {
        let values: Vec<&str> = printed.iter().flatten().map(String::as_str).collect();
        let again = evaluate(&casts.cast, &batch(&[("a", values.clone())]));
        let again = again.unwrap_or_else(|e| panic!("{values:?} was printed and is no {}: {e}", casts.to));
        let again: Vec<String> = shown(&again, &casts.to).into_iter().flatten().collect();
        assert_eq!(again, values, "what was printed, as {}", casts.to);
    }
}
