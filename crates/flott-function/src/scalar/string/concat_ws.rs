//! CONCAT_WS: the texts that are not NULL, with a separator.

use flott_core::Result;
use flott_core::types::TypeKind as K;

use crate::argument::{Text, build_text};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const CONCAT_WS: ScalarFunction = ScalarFunction {
    name: "CONCAT_WS",
    syntax: "CONCAT_WS(separator, text, ..)",
    description: "The texts that are not NULL, with a separator.",
    documentation: "Empty texts stay, with their separators. It is NULL only where the separator is.",
    examples: &[Example { sql: "CONCAT_WS('~', 'AA', CAST(NULL AS STRING), 'BB', '', 'CC')", result: "AA~BB~~CC" }],
    category: Category::String,
    arity: (1, 255),
    resolve: concat_ws,
};

fn concat_ws(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &vec![K::STRING; a.values.len()])? {
        return Ok(None);
    }
    let t = K::STRING.nullable().with_nullable(a.values[0].data_type.nullable);
    let resolved = Resolved::new(t, |args, rows| {
        let (separator, parts) = (Text::of(&args[0])?, args[1..].iter().map(Text::of).collect::<Result<Vec<_>>>()?);
        let mut text = String::new();
        build_text(args, rows, |i, out| {
            let Some(separator) = separator.get(i) else {
                out.append_null();
                return Ok(());
            };
            text.clear();
            for (n, part) in parts.iter().filter_map(|p| p.get(i)).enumerate() {
                if n > 0 {
                    text.push_str(separator);
                }
                text.push_str(part);
            }
            out.append_value(&text);
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
        check(&[
            (
                "CONCAT_WS",
                &[("~", "STRING"), ("AA", "STRING"), ("NULL", "STRING"), ("", "STRING"), ("BB", "STRING")],
                "AA~~BB",
            ),
            ("CONCAT_WS", &[("NULL", "STRING"), ("AA", "STRING")], "NULL"),
        ]);
    }
}
