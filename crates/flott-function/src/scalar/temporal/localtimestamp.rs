//! LOCALTIMESTAMP: the time now in the session's zone; in batch mode when the query started.

use flott_core::types::TypeKind as K;

use super::{local_ms, started};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const LOCALTIMESTAMP: ScalarFunction = ScalarFunction {
    name: "LOCALTIMESTAMP",
    syntax: "LOCALTIMESTAMP",
    description: "The time now in the session's zone; in batch mode when the query started.",
    documentation: "A TIMESTAMP(3), written without parentheses.",
    examples: &[Example { sql: "TYPEOF(LOCALTIMESTAMP)", result: "TIMESTAMP(3) NOT NULL" }],
    category: Category::Temporal,
    arity: (0, 0),
    resolve: |a| {
        let zone = a.env.time_zone;
        Ok(Some(started(a.env, K::timestamp(3).not_null(), move |ms| local_ms(zone, ms))))
    },
};
