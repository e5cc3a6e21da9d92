//! UNHEX: the bytes of hexadecimal digits; NULL where it has others.

use flott_core::Result;

use super::bytes_of;
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const UNHEX: ScalarFunction = ScalarFunction {
    name: "UNHEX",
    syntax: "UNHEX(text)",
    description: "The bytes of hexadecimal digits; NULL where it has others.",
    documentation: "Of an odd number of digits the first one counts as 0. NULL gives NULL.",
    examples: &[
        Example { sql: "UNHEX('466C696E6B')", result: "x'466c696e6b'" },
        Example { sql: "DECODE(UNHEX('466C696E6B'), 'UTF-8')", result: "Flink" },
        Example { sql: "UNHEX('xy')", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (1, 1),
    resolve: unhex,
};

fn unhex(a: &mut Arguments) -> Result<Option<Resolved>> {
    bytes_of(a, |t, _| {
        let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
        // An odd first digit counts for nothing: Flink writes a zero in its place.
        let (first, rest) = t.as_bytes().split_at(t.len() % 2);
        let mut out: Option<Vec<u8>> = first.iter().map(|b| digit(*b).map(|_| 0)).collect();
        for two in rest.chunks_exact(2) {
            let byte = digit(two[0]).zip(digit(two[1])).map(|(h, l)| h << 4 | l);
            out = out.zip(byte).map(|(mut out, byte)| {
                out.push(byte);
                out
            });
        }
        Ok(out)
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("UNHEX", &[("466C696E6B", "STRING")], "x'466c696e6b'"),
            ("UNHEX", &[("F", "STRING")], "x'00'"),
            ("UNHEX", &[("F46", "STRING")], "x'0046'"),
            ("UNHEX", &[("xy", "STRING")], "NULL"),
        ]);
    }
}
