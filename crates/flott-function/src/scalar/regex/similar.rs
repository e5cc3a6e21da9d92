//! SIMILAR: whether it fits SQL's regular expression.

use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};
use regex::Regex;

use super::{build_regex, escape_of};
use crate::argument::{Text, build_boolean};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const SIMILAR: ScalarFunction = ScalarFunction {
    name: "SIMILAR",
    syntax: "text SIMILAR TO pattern [ESCAPE c]",
    description: "Whether it fits SQL's regular expression.",
    documentation: "`%` is any number of characters, `_` is one, and `|`, `*`, `+`, `?`, `{n}`, brackets and classes \
         such as `[a-c]` are those of regular expressions. The whole text must fit. NULL gives NULL. `NOT SIMILAR \
         TO` is the opposite.",
    examples: &[
        Example { sql: "'abc' SIMILAR TO '(a|x)b_'", result: "TRUE" },
        Example { sql: "'abc' SIMILAR TO 'b'", result: "FALSE" },
    ],
    category: Category::String,
    arity: (2, 3),
    resolve: similar,
};

/// SQL's regular expressions: `% _ | * + ? {m,n} ( ) [ ]`, over the whole text. As in Flink a point is any character, too,
/// and `^` the start.
fn similar_regex(pattern: &str, escape: Option<char>) -> Result<Regex> {
    let mut out = String::from("(?s)^(?:");
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            match chars.next() {
                Some(next) => out.push_str(&regex::escape(next.encode_utf8(&mut [0; 4]))),
                None => return Err(Error::user(format!("Invalid escape sequence '{c}' in '{pattern}'"))),
            }
            continue;
        }
        if in_class {
            if c == '[' && chars.peek() == Some(&':') {
                // A class of characters by name, such as [:ALPHA:].
                let name: String = chars.by_ref().skip(1).take_while(|c| *c != ':').collect();
                if chars.next() != Some(']') {
                    return Err(Error::user(format!("Invalid regular expression '{pattern}'")));
                }
                let class = match name.to_ascii_uppercase().as_str() {
                    "WHITESPACE" => "space".to_string(),
                    other => other.to_ascii_lowercase(),
                };
                out.push_str(&format!("[:{class}:]"));
                continue;
            }
            in_class = c != ']';
            match c {
                ']' | '-' | '^' => out.push(c),
                c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
            continue;
        }
        match c {
            '%' => out.push_str(".*"),
            '_' | '.' => out.push('.'),
            '[' => {
                in_class = true;
                out.push('[');
            }
            '|' | '*' | '+' | '?' | '{' | '}' | '(' | ')' | '^' => out.push(c),
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push_str(")$");
    build_regex(&out, pattern)
}

fn similar(a: &mut Arguments) -> Result<Option<Resolved>> {
    let escape = escape_of(a, false)?;
    let constant = a.values[1].text().map(|p| similar_regex(p, escape)).transpose()?;
    if !fit(a, &[K::STRING, K::STRING])? {
        return Ok(None);
    }
    let t = K::Boolean.nullable().with_nullable(a.nullable());
    Ok(Some(Resolved::new(t, move |args, rows| {
        let (text, patterns) = (Text::of(&args[0])?, Text::of(&args[1])?);
        let mut last: Option<(String, Regex)> = None;
        build_boolean(args, rows, |i| match (text.get(i), patterns.get(i), &constant) {
            (Some(t), _, Some(regex)) => Ok(Some(regex.is_match(t))),
            (Some(t), Some(p), None) => {
                if last.as_ref().is_none_or(|(l, _)| l != p) {
                    last = Some((p.to_string(), similar_regex(p, escape)?));
                }
                Ok(last.as_ref().map(|(_, regex)| regex.is_match(t)))
            }
            _ => Ok(None),
        })
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_patterns() {
        for (text, pattern, expected) in [
            ("abc", "a%", true),
            ("abc", "(a|x)bc", true),
            ("abc", "a_+", true),
            ("abc", "[a-c]{3}", true),
            ("abd", "[a-c]{3}", false),
            ("a.c", "a.c", true),
            ("abc", "a.c", true),
            ("ac", "a.c", false),
            ("a$c", "a$c", true),
            ("abc", "^abc", true),
            ("abc", "b", false),
            ("ab1", "[[:ALPHA:]]+1", true),
        ] {
            assert_eq!(similar_regex(pattern, None).expect("a pattern").is_match(text), expected, "{text} {pattern}");
        }
    }
}
