//! SPLIT_INDEX: one piece, counted from 0; NULL behind the last.

use arrow_array::types::Int32Type;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use crate::argument::{Primitive, Text, build_text};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const SPLIT_INDEX: ScalarFunction = ScalarFunction {
    name: "SPLIT_INDEX",
    syntax: "SPLIT_INDEX(text, separator, index)",
    description: "One piece, counted from 0; NULL behind the last.",
    documentation: "The separator is a text, or the code of a character. A negative index gives NULL, and so do an \
         empty text and NULL.",
    examples: &[
        Example { sql: "SPLIT_INDEX('a,b,c', ',', 1)", result: "b" },
        Example { sql: "SPLIT_INDEX('a,b,c', 44, 2)", result: "c" },
        Example { sql: "SPLIT_INDEX('a,b,c', ',', 5)", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (3, 3),
    resolve: split_index,
};

/// The separator is a text, or the number of a character. Without pieces in an empty text.
fn split_index(a: &mut Arguments) -> Result<Option<Resolved>> {
    let by_code = a.values[1].data_type.kind.is_integer();
    let separator_kind = if by_code { K::Int } else { K::STRING };
    if !fit(a, &[K::STRING, separator_kind, K::Int])? {
        return Ok(None);
    }
    Ok(Some(Resolved::new(K::STRING.nullable(), move |args, rows| {
        let (text, index) = (Text::of(&args[0])?, Primitive::<Int32Type>::of(&args[2])?);
        let (code, separator) = if by_code {
            (Some(Primitive::<Int32Type>::of(&args[1])?), None)
        } else {
            (None, Some(Text::of(&args[1])?))
        };
        build_text(args, rows, |i, out| {
            let mut buffer = [0; 4];
            let separator = match (&code, &separator) {
                (Some(code), _) => {
                    let c = code.get(i).filter(|c| (1..=255).contains(c)).and_then(|c| u8::try_from(c).ok());
                    c.map(|c| &*char::from(c).encode_utf8(&mut buffer))
                }
                (_, Some(separator)) => separator.get(i),
                _ => None,
            };
            let piece = (|| {
                let (t, separator) = (text.get(i)?, separator?);
                let index = usize::try_from(index.get(i)?).ok()?;
                if t.is_empty() {
                    return None;
                }
                // An empty separator stands for each blank, but for those that hold a line together.
                if separator.is_empty() {
                    let holds = |c| matches!(c, '\u{a0}' | '\u{2007}' | '\u{202f}');
                    return t.split(|c: char| c.is_whitespace() && !holds(c)).nth(index);
                }
                t.split(separator).nth(index)
            })();
            out.append_option(piece);
            Ok(())
        })
    })))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("SPLIT_INDEX", &[("AQIDBA==", "STRING"), ("I", "STRING"), ("0", "INT")], "AQ"),
            ("SPLIT_INDEX", &[("AQIDBA==", "STRING"), ("I", "STRING"), ("2", "INT")], "NULL"),
            ("SPLIT_INDEX", &[("AQIDBA==", "STRING"), ("I", "STRING"), ("-1", "INT")], "NULL"),
            ("SPLIT_INDEX", &[("AQIDBA==", "STRING"), ("73", "INT"), ("1", "INT")], "DBA=="),
            ("SPLIT_INDEX", &[("a,,b", "STRING"), (",", "STRING"), ("1", "INT")], ""),
            ("SPLIT_INDEX", &[("", "STRING"), (",", "STRING"), ("0", "INT")], "NULL"),
        ]);
    }
}
