//! CURRENT_DATE: today in the session's zone.

use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use flott_core::types::TypeKind as K;

use super::local_ms;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const CURRENT_DATE: ScalarFunction = ScalarFunction {
    name: "CURRENT_DATE",
    syntax: "CURRENT_DATE",
    description: "Today in the session's zone.",
    documentation: "A DATE, written without parentheses.",
    examples: &[
        Example { sql: "TYPEOF(CURRENT_DATE)", result: "DATE NOT NULL" },
        Example { sql: "CURRENT_DATE > DATE '2023-12-31'", result: "TRUE" },
    ],
    category: Category::Temporal,
    arity: (0, 0),
    resolve: |a| {
        let env = *a.env;
        Ok(Some(
            Resolved::new(K::Date.not_null(), move |_, _| {
                let days = local_ms(env.time_zone, env.now_ms()).div_euclid(86_400_000);
                Ok(ColumnarValue::Scalar(ScalarValue::Date32(i32::try_from(days).ok())))
            })
            .volatile(),
        ))
    },
};
