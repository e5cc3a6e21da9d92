//! Chance: RAND, RAND_INTEGER, UUID. With a constant seed the numbers are those of Java's `java.util.Random`.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::builder::StringBuilder;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{ArrayRef, Float64Array, Int32Array};
use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use super::shape::{entry, fit};
use super::{Arguments, Category, ScalarFunction};
use crate::argument::{Primitive, build};
use crate::context;
use crate::text::hex;
use crate::udf::Resolved;

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    entry(Category::Arithmetic, "RAND", "RAND([seed])", "A number from 0 to less than 1.", (0, 1), rand),
    entry(
        Category::Arithmetic,
        "RAND_INTEGER",
        "RAND_INTEGER([seed, ]bound)",
        "A whole number from 0 to less than the bound.",
        (1, 2),
        rand_integer,
    ),
    entry(Category::String, "UUID", "UUID()", "A random UUID (version 4).", (0, 0), |_| {
        let resolved = Resolved::new(K::Char(36).not_null(), |_, rows| {
            let mut out = StringBuilder::with_capacity(rows, rows * 36);
            for _ in 0..rows {
                out.append_value(uuid());
            }
            Ok(ColumnarValue::Array(Arc::new(out.finish())))
        });
        Ok(Some(resolved.infallible().volatile()))
    }),
];

fn uuid() -> String {
    let (a, b) = context::with_rng(|rng| (rng.next_u64(), rng.next_u64()));
    // The version and the variant of a random UUID.
    let a = a & !0xf000 | 0x4000;
    let b = b & !(0b11 << 62) | 0b10 << 62;
    let text = hex(&[a.to_be_bytes(), b.to_be_bytes()].concat());
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// `java.util.Random`: a linear congruential generator of 48 bits.
#[derive(Debug, Clone)]
struct JavaRandom(u64);

impl JavaRandom {
    const MULTIPLIER: u64 = 0x5_deec_e66d;
    const MASK: u64 = (1 << 48) - 1;

    fn new(seed: i64) -> JavaRandom {
        JavaRandom((seed as u64 ^ Self::MULTIPLIER) & Self::MASK)
    }

    fn next(&mut self, bits: u32) -> i32 {
        self.0 = self.0.wrapping_mul(Self::MULTIPLIER).wrapping_add(0xb) & Self::MASK;
        (self.0 >> (48 - bits)) as i32
    }

    fn next_double(&mut self) -> f64 {
        let high = i64::from(self.next(26)) << 27;
        (high + i64::from(self.next(27))) as f64 / (1u64 << 53) as f64
    }

    /// The bound is positive.
    fn next_int(&mut self, bound: i32) -> i32 {
        let m = bound - 1;
        let mut u = self.next(31);
        if bound & m == 0 {
            return ((i64::from(bound) * i64::from(u)) >> 31) as i32;
        }
        loop {
            let r = u % bound;
            if u.wrapping_sub(r).wrapping_add(m) >= 0 {
                return r;
            }
            u = self.next(31);
        }
    }
}

/// The generator that a call keeps, where its seed is a constant.
fn seeded(a: &Arguments) -> Option<Arc<Mutex<JavaRandom>>> {
    match a.values[0].constant() {
        Some(ScalarValue::Int32(Some(seed))) => Some(Arc::new(Mutex::new(JavaRandom::new(i64::from(*seed))))),
        _ => None,
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::FunctionEnv;
    use crate::scalar;
    use crate::testing::{constant, int, one_row, values};

    #[test]
    fn numbers_of_java() {
        // new Random(42): nextInt(10) gives 0, 3, 8, 4, 0; new Random(1).nextDouble() 0.7308781907032909.
        let mut r = JavaRandom::new(42);
        assert_eq!((0..5).map(|_| r.next_int(10)).collect::<Vec<_>>(), [0, 3, 8, 4, 0]);
        assert_eq!(JavaRandom::new(1).next_double(), 0.7308781907032909);
        let call = |name, args| scalar::call(name, args, &FunctionEnv::default()).expect("a function");
        let e = call("RAND", vec![int(1)]).expect("a call");
        assert!(e.expr.is_volatile());
        let first = values(&e, &one_row()).expect("a row");
        let second = values(&e, &one_row()).expect("a row");
        assert_ne!(format!("{first:?}"), format!("{second:?}"), "a seeded call goes on");
        let e = call("RAND_INTEGER", vec![constant("-1", "INT")]).expect("a call");
        assert!(values(&e, &one_row()).is_err());
        let e = call("RAND_INTEGER", vec![constant("NULL", "INT")]).expect("a call");
        assert_eq!(arrow_array::Array::null_count(&values(&e, &one_row()).expect("a row")), 1);
    }

    #[test]
    fn uuids_have_their_form() {
        context::seed(7);
        let a = uuid();
        context::seed(7);
        assert_eq!(a, uuid());
        assert_ne!(a, uuid());
        let bytes = a.as_bytes();
        assert_eq!((a.len(), bytes[8], bytes[14]), (36, b'-', b'4'));
        assert!(matches!(bytes[19], b'8' | b'9' | b'a' | b'b'), "{a}");
    }
}
