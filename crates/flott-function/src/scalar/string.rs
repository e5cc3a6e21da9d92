//! Text functions. Positions count characters from 1, as in SQL.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array};
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};
use regex::Regex;

use super::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

/// A result longer than this is refused.
const MAX_TEXT_BYTES: usize = 64 << 20;
/// The largest compiled regular expression, in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;

const fn function(
    name: &'static str,
    syntax: &'static str,
    description: &'static str,
    arity: (usize, usize),
    resolve: super::Resolve,
) -> ScalarFunction {
    ScalarFunction { name, syntax, description, category: Category::String, arity, resolve }
}

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    function("UPPER", "UPPER(text)", "In upper case.", (1, 1), |a| map(a, |t| t.to_uppercase())),
    function("LOWER", "LOWER(text)", "In lower case.", (1, 1), |a| map(a, |t| t.to_lowercase())),
    function("REVERSE", "REVERSE(text)", "From the end to the start.", (1, 1), |a| {
        map(a, |t| t.chars().rev().collect())
    }),
    function("INITCAP", "INITCAP(text)", "Each word with a capital letter.", (1, 1), |a| map(a, initcap)),
    function("CHAR_LENGTH", "CHAR_LENGTH(text)", "Number of characters.", (1, 1), |a| {
        integers(a, 1, |t| Some(t[0].chars().count() as i32))
    }),
    function("ASCII", "ASCII(text)", "Code of the first character.", (1, 1), |a| {
        integers(a, 1, |t| Some(t[0].bytes().next().map_or(0, i32::from)))
    }),
    function("POSITION", "POSITION(part IN text)", "Where the part starts, 0 for nowhere.", (2, 2), |a| {
        integers(a, 2, |t| Some(position(t[1], t[0])))
    }),
    function("INSTR", "INSTR(text, part)", "Where the part starts, 0 for nowhere.", (2, 2), |a| {
        integers(a, 2, |t| Some(position(t[0], t[1])))
    }),
    function("LOCATE", "LOCATE(part, text)", "Where the part starts, 0 for nowhere.", (2, 2), |a| {
        integers(a, 2, |t| Some(position(t[1], t[0])))
    }),
    function("CONCAT", "CONCAT(text, ..)", "All texts together; NULL where one is NULL.", (1, 255), |a| {
        texts(a, 255, |t| Ok(Some(t.concat())))
    }),
    function(
        "CONCAT_WS",
        "CONCAT_WS(separator, text, ..)",
        "The texts that are not NULL, with a separator.",
        (1, 255),
        concat_ws,
    ),
    function("REPLACE", "REPLACE(text, part, by)", "Every part replaced.", (3, 3), |a| {
        texts(a, 3, |t| Ok(Some(t[0].replace(t[1], t[2]))))
    }),
    function("BTRIM", "TRIM([BOTH] characters FROM text)", "Without these characters at both ends.", (1, 2), |a| {
        texts(a, 2, |t| Ok(Some(trim(t, true, true))))
    }),
    function("TRIM", "TRIM(text)", "Without spaces at both ends.", (1, 2), |a| {
        texts(a, 2, |t| Ok(Some(trim(t, true, true))))
    }),
    function("LTRIM", "LTRIM(text[, characters])", "Without these characters at the start.", (1, 2), |a| {
        texts(a, 2, |t| Ok(Some(trim(t, true, false))))
    }),
    function("RTRIM", "RTRIM(text[, characters])", "Without these characters at the end.", (1, 2), |a| {
        texts(a, 2, |t| Ok(Some(trim(t, false, true))))
    }),
    function("STARTSWITH", "STARTSWITH(text, start)", "Whether it starts so.", (2, 2), |a| {
        booleans(a, |t| t[0].starts_with(t[1]))
    }),
    function("ENDSWITH", "ENDSWITH(text, end)", "Whether it ends so.", (2, 2), |a| {
        booleans(a, |t| t[0].ends_with(t[1]))
    }),
    function("LIKE", "text LIKE pattern [ESCAPE c]", "Whether it fits a pattern of % and _.", (2, 3), like),
    function("REGEXP", "REGEXP(text, pattern)", "Whether a part fits a regular expression.", (2, 2), |a| {
        regex_function(a, K::Boolean.nullable())
    }),
    function("REGEXP_REPLACE", "REGEXP_REPLACE(text, pattern, by)", "Every fitting part replaced.", (3, 3), |a| {
        texts(a, 3, |t| Ok(Some(compile(t[1])?.replace_all(t[0], t[2]).into_owned())))
    }),
    function(
        "SUBSTRING",
        "SUBSTRING(text FROM start [FOR length])",
        "A part; a negative start counts from the end.",
        (2, 3),
        |a| with_numbers(a, |t, n| Ok(substring(t, n[0], n.get(1).copied()))),
    ),
    function("LEFT", "LEFT(text, length)", "The first characters.", (2, 2), |a| {
        with_numbers(a, |t, n| Ok(Some(t.chars().take(n[0].max(0) as usize).collect())))
    }),
    function("RIGHT", "RIGHT(text, length)", "The last characters.", (2, 2), |a| {
        with_numbers(a, |t, n| {
            Ok(Some(t.chars().skip(t.chars().count().saturating_sub(n[0].max(0) as usize)).collect()))
        })
    }),
    function("REPEAT", "REPEAT(text, times)", "The text so many times.", (2, 2), |a| {
        with_numbers(a, |t, n| {
            let times = n[0].max(0) as usize;
            limit(t.len().saturating_mul(times))?;
            Ok(Some(t.repeat(times)))
        })
    }),
    function("LPAD", "LPAD(text, length, with)", "Filled up at the start, or cut.", (3, 3), |a| pad(a, true)),
    function("RPAD", "RPAD(text, length, with)", "Filled up at the end, or cut.", (3, 3), |a| pad(a, false)),
    function("SPLIT_INDEX", "SPLIT_INDEX(text, separator, index)", "One piece, counted from 0.", (3, 3), split_index),
    function(
        "REGEXP_EXTRACT",
        "REGEXP_EXTRACT(text, pattern[, group])",
        "The part that fits a group.",
        (2, 3),
        regexp_extract,
    ),
];

fn limit(bytes: usize) -> Result<()> {
    if bytes <= MAX_TEXT_BYTES {
        return Ok(());
    }
    Err(Error::data(format!("a text of {bytes} bytes is longer than {MAX_TEXT_BYTES}"))
        .hint("Bound the length in the query"))
}

fn all_texts(a: &Arguments) -> bool {
    a.values.iter().all(|v| v.data_type.kind.is_character() || v.data_type.kind == K::Null)
}

fn coerce_texts(a: &mut Arguments) -> Result<()> {
    (0..a.values.len()).try_for_each(|i| {
        let t = K::STRING.nullable();
        if a.values[i].data_type.kind == K::Null { a.coerce(i, &t) } else { Ok(()) }
    })
}

fn map(a: &mut Arguments, f: fn(&str) -> String) -> Result<Option<Resolved>> {
    if !all_texts(a) {
        return Ok(None);
    }
    let t = a.values[0].data_type.with_nullable(a.nullable());
    coerce_texts(a)?;
    Ok(Some(Resolved::arrays(t, move |args, _| {
        let mut out = StringBuilder::new();
        args[0].as_string::<i32>().iter().for_each(|t| out.append_option(t.map(f)));
        Ok(Arc::new(out.finish()))
    })))
}

/// Rows of texts; a NULL among them gives NULL.
fn rows<'a>(args: &'a [ArrayRef], count: usize) -> impl Iterator<Item = Option<Vec<&'a str>>> {
    let columns: Vec<_> = args.iter().map(|a| a.as_string::<i32>()).collect();
    (0..count).map(move |i| columns.iter().map(|c| c.is_valid(i).then(|| c.value(i))).collect())
}

fn texts(a: &mut Arguments, _most: usize, f: fn(&[&str]) -> Result<Option<String>>) -> Result<Option<Resolved>> {
    if !all_texts(a) {
        return Ok(None);
    }
    let t = K::STRING.nullable().with_nullable(a.nullable());
    coerce_texts(a)?;
    Ok(Some(Resolved::arrays(t, move |args, count| {
        let mut out = StringBuilder::new();
        for row in rows(args, count) {
            out.append_option(match row {
                Some(row) => f(&row)?,
                None => None,
            });
        }
        Ok(Arc::new(out.finish()))
    })))
}

fn integers(a: &mut Arguments, _arity: usize, f: fn(&[&str]) -> Option<i32>) -> Result<Option<Resolved>> {
    if !all_texts(a) {
        return Ok(None);
    }
    let t = K::Int.nullable().with_nullable(a.nullable());
    coerce_texts(a)?;
    Ok(Some(Resolved::arrays(t, move |args, count| {
        Ok(Arc::new(rows(args, count).map(|r| f(&r?)).collect::<Int32Array>()))
    })))
}

fn booleans(a: &mut Arguments, f: fn(&[&str]) -> bool) -> Result<Option<Resolved>> {
    if !all_texts(a) {
        return Ok(None);
    }
    let t = K::Boolean.nullable().with_nullable(a.nullable());
    coerce_texts(a)?;
    Ok(Some(Resolved::arrays(t, move |args, count| {
        Ok(Arc::new(rows(args, count).map(|r| Some(f(&r?))).collect::<BooleanArray>()))
    })))
}

/// A text and integers behind it.
fn with_numbers(a: &mut Arguments, f: fn(&str, &[i32]) -> Result<Option<String>>) -> Result<Option<Resolved>> {
    let fits = a.values[0].data_type.kind.is_character() && a.values[1..].iter().all(|v| v.data_type.kind.is_integer());
    if !fits {
        return Ok(None);
    }
    let t = K::STRING.nullable();
    for i in 1..a.values.len() {
        a.coerce(i, &K::Int.nullable())?;
    }
    Ok(Some(Resolved::arrays(t, move |args, count| {
        let text = args[0].as_string::<i32>();
        let numbers: Vec<_> = args[1..].iter().map(|n| n.as_primitive::<Int32Type>()).collect();
        let mut out = StringBuilder::new();
        for i in 0..count {
            let row: Option<Vec<i32>> = numbers.iter().map(|n| n.is_valid(i).then(|| n.value(i))).collect();
            out.append_option(match row {
                Some(row) if text.is_valid(i) => f(text.value(i), &row)?,
                _ => None,
            });
        }
        Ok(Arc::new(out.finish()))
    })))
}

fn initcap(text: &str) -> String {
    let mut start = true;
    text.chars()
        .flat_map(|c| {
            let cased: Vec<char> = if start { c.to_uppercase().collect() } else { c.to_lowercase().collect() };
            start = !c.is_alphanumeric();
            cased
        })
        .collect()
}

fn position(text: &str, part: &str) -> i32 {
    text.find(part).map_or(0, |at| text[..at].chars().count() as i32 + 1)
}

fn trim(row: &[&str], start: bool, end: bool) -> String {
    let set: Vec<char> = row.get(1).map_or(vec![' '], |s| s.chars().collect());
    let mut text = row[0];
    if start {
        text = text.trim_start_matches(|c| set.contains(&c));
    }
    if end {
        text = text.trim_end_matches(|c| set.contains(&c));
    }
    text.to_string()
}

fn substring(text: &str, start: i32, length: Option<i32>) -> Option<String> {
    let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let start = i64::from(start);
    let from = if start > 0 {
        start - 1
    } else if start < 0 {
        count + start
    } else {
        0
    };
    let to = match length {
        Some(n) if n < 0 => return None,
        Some(n) => from + i64::from(n),
        None => count,
    };
    let (from, to) = (from.clamp(0, count) as usize, to.clamp(0, count) as usize);
    Some(text.chars().skip(from).take(to.saturating_sub(from)).collect())
}

fn concat_ws(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !all_texts(a) {
        return Ok(None);
    }
    let t = K::STRING.nullable().with_nullable(a.values[0].data_type.nullable);
    coerce_texts(a)?;
    Ok(Some(Resolved::arrays(t, |args, count| {
        let columns: Vec<_> = args.iter().map(|c| c.as_string::<i32>()).collect();
        let mut out = StringBuilder::new();
        for i in 0..count {
            let parts: Vec<&str> = columns[1..].iter().filter(|c| c.is_valid(i)).map(|c| c.value(i)).collect();
            out.append_option(columns[0].is_valid(i).then(|| parts.join(columns[0].value(i))));
        }
        Ok(Arc::new(out.finish()))
    })))
}

fn pad(a: &mut Arguments, left: bool) -> Result<Option<Resolved>> {
    let fits = a.values[0].data_type.kind.is_character()
        && a.values[1].data_type.kind.is_integer()
        && a.values[2].data_type.kind.is_character();
    if !fits {
        return Ok(None);
    }
    a.coerce(1, &K::Int.nullable())?;
    Ok(Some(Resolved::arrays(K::STRING.nullable(), move |args, count| {
        let (text, with) = (args[0].as_string::<i32>(), args[2].as_string::<i32>());
        let length = args[1].as_primitive::<Int32Type>();
        let mut out = StringBuilder::new();
        for i in 0..count {
            if text.is_null(i)
                || with.is_null(i)
                || length.is_null(i)
                || length.value(i) < 0
                || with.value(i).is_empty()
            {
                out.append_null();
                continue;
            }
            let (n, t) = (length.value(i) as usize, text.value(i));
            limit(n)?;
            let missing = n.saturating_sub(t.chars().count());
            let fill: String = with.value(i).chars().cycle().take(missing).collect();
            let cut: String = t.chars().take(n).collect();
            out.append_value(if left { fill + &cut } else { cut + &fill });
        }
        Ok(Arc::new(out.finish()))
    })))
}

fn split_index(a: &mut Arguments) -> Result<Option<Resolved>> {
    let fits = a.values[0].data_type.kind.is_character()
        && a.values[1].data_type.kind.is_character()
        && a.values[2].data_type.kind.is_integer();
    if !fits {
        return Ok(None);
    }
    a.coerce(2, &K::Int.nullable())?;
    Ok(Some(Resolved::arrays(K::STRING.nullable(), |args, count| {
        let (text, separator) = (args[0].as_string::<i32>(), args[1].as_string::<i32>());
        let index = args[2].as_primitive::<Int32Type>();
        let mut out = StringBuilder::new();
        for i in 0..count {
            let valid = text.is_valid(i) && separator.is_valid(i) && index.is_valid(i) && index.value(i) >= 0;
            let piece = valid.then(|| text.value(i).split(separator.value(i)).nth(index.value(i) as usize)).flatten();
            out.append_option(piece);
        }
        Ok(Arc::new(out.finish()))
    })))
}

/// A regular expression in linear time; its size is bounded.
fn compile(pattern: &str) -> Result<Regex> {
    regex::RegexBuilder::new(pattern).size_limit(MAX_REGEX_BYTES).build().map_err(|e| {
        Error::user(format!("'{pattern}' is not a usable regular expression"))
            .hint("Look-around and back references are not supported: matching takes linear time")
            .caused_by(e)
    })
}

fn regex_function(a: &mut Arguments, t: flott_core::LogicalType) -> Result<Option<Resolved>> {
    if !all_texts(a) {
        return Ok(None);
    }
    let t = t.with_nullable(a.nullable());
    let constant = a.values[1].text().map(compile).transpose()?;
    coerce_texts(a)?;
    Ok(Some(Resolved::arrays(t, move |args, count| {
        let mut out = Vec::with_capacity(count);
        for row in rows(args, count) {
            out.push(match (row, &constant) {
                (None, _) => None,
                (Some(r), Some(regex)) => Some(regex.is_match(r[0])),
                (Some(r), None) => Some(compile(r[1])?.is_match(r[0])),
            });
        }
        Ok(Arc::new(BooleanArray::from(out)))
    })))
}

fn regexp_extract(a: &mut Arguments) -> Result<Option<Resolved>> {
    let group_fits = a.values.get(2).is_none_or(|g| g.data_type.kind.is_integer());
    if !a.values[..2].iter().all(|v| v.data_type.kind.is_character()) || !group_fits {
        return Ok(None);
    }
    if a.values.len() == 3 {
        a.coerce(2, &K::Int.nullable())?;
    }
    let constant = a.values[1].text().map(compile).transpose()?;
    Ok(Some(Resolved::arrays(K::STRING.nullable(), move |args, count| {
        let mut out = StringBuilder::new();
        for (i, row) in rows(&args[..2], count).enumerate() {
            let group = args.get(2).map_or(0, |g| g.as_primitive::<Int32Type>().value(i));
            let Some(row) = row else {
                out.append_null();
                continue;
            };
            let owned;
            let regex = match &constant {
                Some(regex) => regex,
                None => {
                    owned = compile(row[1])?;
                    &owned
                }
            };
            let found = regex
                .captures(row[0])
                .and_then(|c| c.get(usize::try_from(group).ok()?).map(|m| m.as_str().to_string()));
            out.append_option(found);
        }
        Ok(Arc::new(out.finish()))
    })))
}

/// `%`, `_` and an escape as a regular expression over the whole text.
fn like_regex(pattern: &str, escape: Option<char>) -> Result<Regex> {
    let mut regex = String::from("(?s)^");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let literal = if Some(c) == escape {
            match chars.next() {
                Some(next) if next == '%' || next == '_' || Some(next) == escape => next,
                _ => {
                    return Err(Error::user(format!(
                        "the escape in LIKE pattern '{pattern}' stands before no %, _ or escape"
                    )));
                }
            }
        } else if c == '%' {
            regex.push_str(".*");
            continue;
        } else if c == '_' {
            regex.push('.');
            continue;
        } else {
            c
        };
        regex.push_str(&regex::escape(&literal.to_string()));
    }
    regex.push('$');
    compile(&regex)
}

fn like(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !all_texts(a) {
        return Ok(None);
    }
    let escape = match a.values.get(2).map(|e| e.text().map(str::to_string)) {
        None => None,
        Some(Some(text)) if text.chars().count() == 1 => text.chars().next(),
        Some(_) => return Err(Error::user("ESCAPE takes a constant of one character")),
    };
    let t = K::Boolean.nullable().with_nullable(a.nullable());
    let constant = a.values[1].text().map(|p| like_regex(p, escape)).transpose()?;
    coerce_texts(a)?;
    Ok(Some(Resolved::arrays(t, move |args, count| {
        let mut out = Vec::with_capacity(count);
        for row in rows(&args[..2], count) {
            out.push(match (row, &constant) {
                (None, _) => None,
                (Some(r), Some(regex)) => Some(regex.is_match(r[0])),
                (Some(r), None) => Some(like_regex(r[1], escape)?.is_match(r[0])),
            });
        }
        Ok(Arc::new(BooleanArray::from(out)))
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substrings_count_from_one_and_from_the_end() {
        for (start, length, expected) in [
            (1, Some(2), Some("fl")),
            (-3, Some(2), Some("ot")),
            (0, Some(2), Some("fl")),
            (3, None, Some("ott")),
            (9, Some(2), Some("")),
            (1, Some(-1), None),
        ] {
            assert_eq!(substring("flott", start, length).as_deref(), expected, "{start} {length:?}");
        }
        assert_eq!(position("größe", "ße"), 4);
    }

    #[test]
    fn like_patterns() {
        for (text, pattern, escape, expected) in [
            ("flott", "fl%", None, true),
            ("flott", "f_ott", None, true),
            ("flott", "l%", None, false),
            ("a.b", "a.b", None, true),
            ("axb", "a.b", None, false),
            ("50%", "50\\%", Some('\\'), true),
            ("501", "50\\%", Some('\\'), false),
            ("a\nb", "a%b", None, true),
        ] {
            assert_eq!(like_regex(pattern, escape).expect("a pattern").is_match(text), expected, "{text} {pattern}");
        }
        assert!(like_regex("a\\x", Some('\\')).is_err());
    }
}
