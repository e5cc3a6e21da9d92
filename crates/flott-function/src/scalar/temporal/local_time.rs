//! CURRENT_TIME and LOCALTIME: the time of day in the session's zone.

use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::local_ms;
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const CURRENT_TIME: ScalarFunction = ScalarFunction {
    name: "CURRENT_TIME",
    syntax: "CURRENT_TIME",
    description: "The time of day in the session's zone.",
    documentation: "A TIME(0), written without parentheses. LOCALTIME is the same.",
    examples: &[Example { sql: "TYPEOF(CURRENT_TIME)", result: "TIME(0) NOT NULL" }],
    category: Category::Temporal,
    arity: (0, 0),
    resolve: local_time,
};

pub(super) const LOCALTIME: ScalarFunction = ScalarFunction {
    name: "LOCALTIME",
    syntax: "LOCALTIME",
    description: "The time of day in the session's zone.",
    documentation: "As CURRENT_TIME.",
    examples: &[Example { sql: "TYPEOF(LOCALTIME)", result: "TIME(0) NOT NULL" }],
    category: Category::Temporal,
    arity: (0, 0),
    resolve: local_time,
};

fn local_time(a: &mut Arguments) -> Result<Option<Resolved>> {
    let env = *a.env;
    Ok(Some(
        Resolved::new(K::Time(0).not_null(), move |_, _| {
            let s = local_ms(env.time_zone, env.now_ms()).rem_euclid(86_400_000) / 1_000 * 1_000;
            Ok(ColumnarValue::Scalar(ScalarValue::Time32Millisecond(i32::try_from(s).ok())))
        })
        .volatile(),
    ))
}
