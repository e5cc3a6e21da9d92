//! The numbers of Java's `java.util.Random`, which calls with a seed give.

use std::sync::{Arc, Mutex};

use datafusion_common::ScalarValue;

use crate::scalar::Arguments;

/// `java.util.Random`: a linear congruential generator of 48 bits.
#[derive(Debug, Clone)]
pub(super) struct JavaRandom(u64);

impl JavaRandom {
    const MULTIPLIER: u64 = 0x5_deec_e66d;
    const MASK: u64 = (1 << 48) - 1;

    pub(super) fn new(seed: i64) -> JavaRandom {
        JavaRandom((seed as u64 ^ Self::MULTIPLIER) & Self::MASK)
    }

    fn next(&mut self, bits: u32) -> i32 {
        self.0 = self.0.wrapping_mul(Self::MULTIPLIER).wrapping_add(0xb) & Self::MASK;
        (self.0 >> (48 - bits)) as i32
    }

    pub(super) fn next_double(&mut self) -> f64 {
        let high = i64::from(self.next(26)) << 27;
        (high + i64::from(self.next(27))) as f64 / (1u64 << 53) as f64
    }

    /// The bound is positive.
    pub(super) fn next_int(&mut self, bound: i32) -> i32 {
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
pub(super) fn seeded(a: &Arguments) -> Option<Arc<Mutex<JavaRandom>>> {
    match a.values[0].constant() {
        Some(ScalarValue::Int32(Some(seed))) => Some(Arc::new(Mutex::new(JavaRandom::new(i64::from(*seed))))),
        _ => None,
    }
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
}
