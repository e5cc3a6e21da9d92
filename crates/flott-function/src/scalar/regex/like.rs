//! LIKE: whether it fits a pattern of % and _.

use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};
use regex::Regex;

use super::{build_regex, escape_of};
use crate::argument::{Text, build_boolean};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const LIKE: ScalarFunction = ScalarFunction {
    name: "LIKE",
    syntax: "text LIKE pattern [ESCAPE c]",
    description: "Whether it fits a pattern of % and _.",
    documentation: "`%` is any number of characters, `_` is one; the escape character, where one is given, makes the \
         next one plain. The whole text must fit, case counts. NULL gives NULL. `NOT LIKE` is the opposite.",
    examples: &[
        Example { sql: "'flink' LIKE 'fl%'", result: "TRUE" },
        Example { sql: "'flink' LIKE '_link'", result: "TRUE" },
        Example { sql: "'flink' LIKE 'in'", result: "FALSE" },
        Example { sql: "'50%' LIKE '50!%' ESCAPE '!'", result: "TRUE" },
    ],
    category: Category::String,
    arity: (2, 3),
    resolve: like,
};

/// A pattern of LIKE; most need no regular expression.
enum Like {
    Exactly(String),
    Starts(String),
    Ends(String),
    Contains(String),
    Regex(Regex),
}

impl Like {
    fn new(pattern: &str, escape: Option<char>) -> Result<Like> {
        let plain = !pattern.contains('_') && !escape.is_some_and(|e| pattern.contains(e));
        let inner = pattern.trim_start_matches('%').trim_end_matches('%');
        let some = !inner.is_empty() || pattern.is_empty();
        if plain && some && !inner.contains('%') {
            let text = inner.to_string();
            return Ok(match (pattern.starts_with('%'), pattern.ends_with('%')) {
                (false, false) => Like::Exactly(text),
                (false, true) => Like::Starts(text),
                (true, false) => Like::Ends(text),
                (true, true) => Like::Contains(text),
            });
        }
        like_regex(pattern, escape).map(Like::Regex)
    }

    #[inline]
    fn fits(&self, text: &str) -> bool {
        match self {
            Like::Exactly(t) => text == t,
            Like::Starts(t) => text.starts_with(t.as_str()),
            Like::Ends(t) => text.ends_with(t.as_str()),
            Like::Contains(t) => text.contains(t.as_str()),
            Like::Regex(regex) => regex.is_match(text),
        }
    }
}

/// `%`, `_` and an escape as a regular expression over the whole text.
fn like_regex(pattern: &str, escape: Option<char>) -> Result<Regex> {
    let mut out = String::from("(?s)^");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let literal = if Some(c) == escape {
            match chars.next() {
                Some(next) if next == '%' || next == '_' || Some(next) == escape => next,
                _ => {
                    return Err(Error::user(format!("Invalid escape sequence '{c}' in the LIKE pattern '{pattern}'"))
                        .hint("An escape stands before %, _ or itself"));
                }
            }
        } else if c == '%' {
            out.push_str(".*");
            continue;
        } else if c == '_' {
            out.push('.');
            continue;
        } else {
            c
        };
        out.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
    }
    out.push('$');
    build_regex(&out, pattern)
}

fn like(a: &mut Arguments) -> Result<Option<Resolved>> {
    let escape = escape_of(a, true)?;
    let constant = a.values[1].text().map(|p| Like::new(p, escape)).transpose()?;
    if !fit(a, &[K::STRING, K::STRING])? {
        return Ok(None);
    }
    let t = K::Boolean.nullable().with_nullable(a.nullable());
    let never_fails = constant.is_some();
    let resolved = Resolved::new(t, move |args, rows| {
        let text = Text::of(&args[0])?;
        if let Some(like) = &constant {
            return build_boolean(args, rows, |i| Ok(text.get(i).map(|t| like.fits(t))));
        }
        let patterns = Text::of(&args[1])?;
        let mut last: Option<(String, Like)> = None;
        build_boolean(args, rows, |i| {
            let (Some(t), Some(p)) = (text.get(i), patterns.get(i)) else { return Ok(None) };
            if last.as_ref().is_none_or(|(l, _)| l != p) {
                last = Some((p.to_string(), Like::new(p, escape)?));
            }
            Ok(last.as_ref().map(|(_, like)| like.fits(t)))
        })
    });
    Ok(Some(if never_fails { resolved.infallible() } else { resolved }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("LIKE", &[("NULL", "STRING"), ("a", "STRING")], "NULL"),
            ("LIKE", &[("a%c", "STRING"), ("a%c", "STRING"), ("", "STRING")], "TRUE"),
            ("LIKE", &[("abc", "STRING"), ("abc", "STRING"), ("\0", "STRING")], "ERROR Invalid escape character"),
        ]);
    }

    #[test]
    fn like_patterns() {
        for (text, pattern, escape, expected) in [
            ("flott", "fl%", None, true),
            ("flott", "f_ott", None, true),
            ("flott", "l%", None, false),
            ("flott", "%ot%", None, true),
            ("flott", "%tt", None, true),
            ("flott", "flott", None, true),
            ("flott", "%", None, true),
            ("", "%", None, true),
            ("", "", None, true),
            ("x", "", None, false),
            ("flott", "f%t", None, true),
            ("a.b", "a.b", None, true),
            ("axb", "a.b", None, false),
            ("50%", "50\\%", Some('\\'), true),
            ("501", "50\\%", Some('\\'), false),
            ("a\nb", "a%b", None, true),
            ("größe", "gr__e", None, true),
            ("a\\b", "a\\b", None, true),
        ] {
            assert_eq!(Like::new(pattern, escape).expect("a pattern").fits(text), expected, "{text} {pattern}");
        }
        assert!(Like::new("a\\x", Some('\\')).is_err());
        assert!(Like::new("a\\", Some('\\')).is_err());
    }
}
