//! POWER: the base to the power of the exponent.

use super::binary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const POWER: ScalarFunction = ScalarFunction {
    name: "POWER",
    syntax: "POWER(base, exponent)",
    description: "The base to the power of the exponent.",
    documentation: "Both become DOUBLE, and so is the result. NULL gives NULL. POW is another name.",
    examples: &[
        Example { sql: "POWER(2, 10)", result: "1024.0" },
        Example { sql: "POWER(2, -1)", result: "0.5" },
        Example { sql: "POWER(9, 0.5)", result: "3.0" },
    ],
    category: Category::Arithmetic,
    arity: (2, 2),
    resolve: |a| binary(a, power),
};

/// Java's power: of 1 by NaN, and of 1 and -1 by an infinity, there is none.
fn power(base: f64, exponent: f64) -> f64 {
    match exponent.is_nan() || (exponent.is_infinite() && base.abs() == 1.0) {
        true => f64::NAN,
        false => base.powf(exponent),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("POWER", &[("2", "INT"), ("10", "DECIMAL(2, 0)")], "1024.0")]);
    }
}
