//! HEX: in hexadecimal digits.

use std::borrow::Cow;

use flott_core::Result;

use super::number_text;
use crate::example::Example;
use crate::scalar::shape::texts;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::text::hex;
use crate::udf::Resolved;

pub(super) const HEX: ScalarFunction = ScalarFunction {
    name: "HEX",
    syntax: "HEX(number or text)",
    description: "In hexadecimal digits.",
    documentation: "Of a whole number its two's complement in 64 bits without zeroes at the start, of a text its \
         UTF-8. Letters are capital. NULL gives NULL.",
    examples: &[
        Example { sql: "HEX(20)", result: "14" },
        Example { sql: "HEX(-1)", result: "FFFFFFFFFFFFFFFF" },
        Example { sql: "HEX('hello,world')", result: "68656C6C6F2C776F726C64" },
    ],
    category: Category::String,
    arity: (1, 1),
    resolve: hex_of,
};

fn hex_of(a: &mut Arguments) -> Result<Option<Resolved>> {
    if a.values[0].data_type.kind.is_integer() {
        return number_text(a, |n| format!("{n:X}"));
    }
    texts(a, |[t]| Cow::Owned(hex(t.as_bytes()).to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("HEX", &[("100", "INT")], "64"),
            ("HEX", &[("-1", "BIGINT")], "FFFFFFFFFFFFFFFF"),
            ("HEX", &[("hello,world", "STRING")], "68656C6C6F2C776F726C64"),
        ]);
    }
}
