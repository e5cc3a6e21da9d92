//! RAND_INTEGER: a whole number from 0 to less than the bound.

use std::sync::{Arc, PoisonError};

use arrow_array::Int32Array;
use arrow_array::types::Int32Type;
use datafusion_expr::ColumnarValue;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use super::java_random::{JavaRandom, seeded};
use crate::argument::Primitive;
use crate::context;
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const RAND_INTEGER: ScalarFunction = ScalarFunction {
    name: "RAND_INTEGER",
    syntax: "RAND_INTEGER([seed, ]bound)",
    description: "A whole number from 0 to less than the bound.",
    documentation: "An INT. Without a seed the numbers differ from row to row, with a constant one they are those of \
         Java's `java.util.Random`. A bound that is not positive is an error; NULL gives NULL.",
    examples: &[
        Example { sql: "RAND_INTEGER(10) BETWEEN 0 AND 9", result: "TRUE" },
        Example { sql: "RAND_INTEGER(1)", result: "0" },
        Example { sql: "RAND_INTEGER(CAST(NULL AS INT))", result: "<NULL>" },
    ],
    category: Category::Arithmetic,
    arity: (1, 2),
    resolve: rand_integer,
};

fn rand_integer(a: &mut Arguments) -> Result<Option<Resolved>> {
    let with_seed = a.values.len() == 2;
    let generator = if with_seed { seeded(a) } else { None };
    if !fit(a, &[K::Int, K::Int])? {
        return Ok(None);
    }
    let t = K::Int.nullable().with_nullable(a.nullable());
    let positive = |bound: i32| match bound {
        1.. => Ok(bound),
        _ => Err(Error::data("bound must be positive").hint("RAND_INTEGER gives numbers below its bound")),
    };
    let resolved = Resolved::new(t, move |args, rows| {
        let bound = Primitive::<Int32Type>::of(&args[args.len() - 1])?;
        let seed = if with_seed { Some(Primitive::<Int32Type>::of(&args[0])?) } else { None };
        let mut out = Vec::with_capacity(rows);
        for i in 0..rows {
            let Some(bound) = bound.get(i) else {
                out.push(None);
                continue;
            };
            let bound = positive(bound)?;
            out.push(match (&generator, &seed) {
                (Some(g), _) => Some(g.lock().unwrap_or_else(PoisonError::into_inner).next_int(bound)),
                (None, Some(seed)) => seed.get(i).map(|s| JavaRandom::new(i64::from(s)).next_int(bound)),
                (None, None) => Some(context::with_rng(|rng| rng.below(bound.unsigned_abs().into())) as i32),
            });
        }
        Ok(ColumnarValue::Array(Arc::new(Int32Array::from(out))))
    });
    Ok(Some(resolved.volatile()))
}
