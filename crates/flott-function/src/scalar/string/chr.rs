//! CHR: the character of a code (its lowest byte); empty for a negative one.

use flott_core::Result;
use flott_core::types::TypeKind as K;

use crate::argument::{Primitive, build_text};
use crate::example::Example;
use crate::scalar::shape::{fit, string_of};
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const CHR: ScalarFunction = ScalarFunction {
    name: "CHR",
    syntax: "CHR(number)",
    description: "The character of a code (its lowest byte); empty for a negative one.",
    documentation: "Of 256 and more only the lowest byte counts, which is a character of ISO-8859-1. NULL gives \
         NULL.",
    examples: &[
        Example { sql: "CHR(97)", result: "a" },
        Example { sql: "CHR(353)", result: "a" },
        Example { sql: "CHR(CAST(NULL AS INT))", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (1, 1),
    resolve: chr,
};

fn chr(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::BigInt])? {
        return Ok(None);
    }
    let resolved = Resolved::new(string_of(a), |args, rows| {
        let code = Primitive::<arrow_array::types::Int64Type>::of(&args[0])?;
        build_text(args, rows, |i, out| {
            out.append_option(code.get(i).map(|c| if c < 0 { String::new() } else { char::from(c as u8).to_string() }));
            Ok(())
        })
    });
    Ok(Some(resolved.infallible()))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("CHR", &[("97", "INT")], "a"), ("CHR", &[("353", "BIGINT")], "a"), ("CHR", &[("-9", "INT")], "")]);
    }
}
