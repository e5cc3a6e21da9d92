//! TRANSLATE: every character of `from` replaced by the one at its place in `to`; left out where there is none.

use flott_core::Result;
use flott_core::types::TypeKind as K;

use crate::argument::build_text;
use crate::example::Example;
use crate::scalar::shape::{all_texts, fit};
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const TRANSLATE: ScalarFunction = ScalarFunction {
    name: "TRANSLATE",
    syntax: "TRANSLATE(text, from, to)",
    description: "Every character of `from` replaced by the one at its place in `to`; left out where there is none.",
    documentation: "The first place of a character in `from` counts. A NULL for `from` or `to` is an empty text; a \
         NULL text gives NULL. TRANSLATE3 is another name.",
    examples: &[
        Example { sql: "TRANSLATE('hello', 'el', 'ip')", result: "hippo" },
        Example { sql: "TRANSLATE('hello', 'l', '')", result: "heo" },
    ],
    category: Category::String,
    arity: (3, 3),
    resolve: translated,
};

/// NULL only of a text that is: `from` and `to` are then empty.
fn translated(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[const { K::STRING }; 3])? {
        return Ok(None);
    }
    let t = K::STRING.nullable().with_nullable(a.values[0].data_type.nullable);
    let resolved = Resolved::new(t, |args, rows| {
        let [texts, from, to] = all_texts(args)?;
        build_text(args, rows, |i, out| {
            let by = |text| translate(text, from.get(i).unwrap_or_default(), to.get(i).unwrap_or_default());
            out.append_option(texts.get(i).map(by));
            Ok(())
        })
    });
    Ok(Some(resolved.infallible()))
}

fn translate(text: &str, from: &str, to: &str) -> String {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    text.chars()
        .filter_map(|c| match from.iter().position(|f| *f == c) {
            None => Some(c),
            Some(at) => to.get(at).copied(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("TRANSLATE", &[("abcabc", "STRING"), ("ac", "STRING"), ("x", "STRING")], "xbxb")]);
    }
}
