//! MD5: the MD5 digest in 32 hexadecimal digits.

use md5::Digest;

use crate::example::Example;
use crate::scalar::octets::of_octets;
use crate::scalar::{Category, ScalarFunction};
use crate::text::hex;

pub(super) const MD5: ScalarFunction = ScalarFunction {
    name: "MD5",
    syntax: "MD5(text or bytes)",
    description: "The MD5 digest in 32 hexadecimal digits.",
    documentation: "A text is taken as UTF-8. NULL gives NULL.",
    examples: &[
        Example { sql: "MD5('abc')", result: "900150983cd24fb0d6963f7d28e17f72" },
        Example { sql: "MD5(x'616263')", result: "900150983cd24fb0d6963f7d28e17f72" },
    ],
    category: Category::Hash,
    arity: (1, 1),
    resolve: |a| of_octets(a, |o| Ok(hex(&md5::Md5::digest(o)))),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("MD5", &[("test", "STRING")], "098f6bcd4621d373cade4e832627b4f6"),
            ("MD5", &[("NULL", "STRING")], "NULL"),
        ]);
    }
}
