//! RAND: a number from 0 to less than 1.

use std::sync::{Arc, PoisonError};

use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{ArrayRef, Float64Array};
use datafusion_expr::ColumnarValue;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::java_random::{JavaRandom, seeded};
use crate::argument::{Primitive, build};
use crate::context;
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const RAND: ScalarFunction = ScalarFunction {
    name: "RAND",
    syntax: "RAND([seed])",
    description: "A number from 0 to less than 1.",
    documentation: "Without a seed the numbers differ from row to row. With a constant seed they are those of Java's \
         `java.util.Random`: the same ones in every run. A seed of NULL gives NULL.",
    examples: &[
        Example { sql: "RAND() BETWEEN 0 AND 1", result: "TRUE" },
        Example { sql: "RAND(1)", result: "0.7308781907032909" },
    ],
    category: Category::Arithmetic,
    arity: (0, 1),
    resolve: rand,
};

fn rand(a: &mut Arguments) -> Result<Option<Resolved>> {
    if a.values.is_empty() {
        let resolved = Resolved::new(K::Double.not_null(), |_, rows| {
            let out: Float64Array = context::with_rng(|rng| (0..rows).map(|_| Some(rng.next_f64())).collect());
            Ok(ColumnarValue::Array(Arc::new(out) as ArrayRef))
        });
        return Ok(Some(resolved.infallible().volatile()));
    }
    let generator = seeded(a);
    if !fit(a, &[K::Int])? {
        return Ok(None);
    }
    let t = K::Double.nullable().with_nullable(a.nullable());
    let resolved = Resolved::new(t, move |args, rows| {
        if let Some(generator) = &generator {
            let mut generator = generator.lock().unwrap_or_else(PoisonError::into_inner);
            let out: Float64Array = (0..rows).map(|_| Some(generator.next_double())).collect();
            return Ok(ColumnarValue::Array(Arc::new(out)));
        }
        let seed = Primitive::<Int32Type>::of(&args[0])?;
        build::<Float64Type>(args, rows, |i| Ok(seed.get(i).map(|s| JavaRandom::new(i64::from(s)).next_double())))
    });
    Ok(Some(resolved.infallible().volatile()))
}
