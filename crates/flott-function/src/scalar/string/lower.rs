//! LOWER: in lower case.

use super::{final_sigma, same_type};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const LOWER: ScalarFunction = ScalarFunction {
    name: "LOWER",
    syntax: "LOWER(text)",
    description: "In lower case.",
    documentation: "It keeps the type CHAR or VARCHAR of the text. NULL gives NULL. LCASE is another name.",
    examples: &[Example { sql: "LOWER('Flink SQL')", result: "flink sql" }],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| same_type(a, lower),
};

/// In lower case, with a sigma at the end of a word as Java has it.
fn lower(text: &str) -> String {
    if text.contains('Σ') { lower_sigmas(text) } else { text.to_lowercase() }
}

fn lower_sigmas(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut start = 0;
    for (at, sigma) in text.match_indices('Σ') {
        out.push_str(&text[start..at].to_lowercase());
        out.push(if final_sigma::is_final(text, at) { 'ς' } else { 'σ' });
        start = at + sigma.len();
    }
    out + &text[start..].to_lowercase()
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("LOWER", &[("ÀB", "CHAR(2)")], "àb"),
            ("LOWER", &[("ΑΣ ΣΑΣ Σ", "CHAR(8)")], "ας σας σ"),
            ("LOWER", &[("ΑΣ-Α Α-Σ", "CHAR(8)")], "ασ-α α-ς"),
        ]);
    }
}
