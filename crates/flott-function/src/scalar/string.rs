//! Text functions. Positions count characters from 1, as in SQL.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, new_empty_array, new_null_array};
use arrow_schema::DataType;
use arrow_select::interleave::interleave;
use datafusion_common::ScalarValue;
use flott_core::types::{MAX_LENGTH, TypeKind as K};
use flott_core::{Error, Result};

use super::shape::{all_texts, entry, fit, limit, string_of, texts, texts_and_numbers, texts_to_boolean, texts_to_int};
use super::{Arguments, Category, Resolve, ScalarFunction};
use crate::argument::{Primitive, Text, build, build_boolean, build_text};
use crate::udf::Resolved;

const fn function(
    name: &'static str,
    syntax: &'static str,
    description: &'static str,
    arity: (usize, usize),
    resolve: Resolve,
) -> ScalarFunction {
    entry(Category::String, name, syntax, description, arity, resolve)
}

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    function("UPPER", "UPPER(text)", "In upper case.", (1, 1), |a| same_type(a, |t| t.to_uppercase())),
    function("LOWER", "LOWER(text)", "In lower case.", (1, 1), |a| same_type(a, |t| t.to_lowercase())),
    function("INITCAP", "INITCAP(text)", "Each word with a capital letter.", (1, 1), |a| same_type(a, initcap)),
    function("REVERSE", "REVERSE(text)", "From the end to the start.", (1, 1), |a| {
        texts(a, |[t]| Cow::Owned(t.chars().rev().collect()))
    }),
    function("CHAR_LENGTH", "CHAR_LENGTH(text)", "Number of characters.", (1, 1), |a| {
        texts_to_int(a, |[t]| t.chars().count() as i32)
    }),
    function("ASCII", "ASCII(text)", "The first byte, with its sign; 0 for an empty text.", (1, 1), |a| {
        texts_to_int(a, |[t]| t.bytes().next().map_or(0, |b| i32::from(b.cast_signed())))
    }),
    function("CHR", "CHR(number)", "The character of a code (its lowest byte); empty for a negative one.", (1, 1), chr),
    function("POSITION", "POSITION(part IN text)", "Where the part starts, 0 for nowhere.", (2, 2), |a| {
        texts_to_int(a, |[part, t]| position(t, part, 1))
    }),
    function(
        "INSTR",
        "INSTR(text, part[, start[, occurrence]])",
        "Where the part starts, 0 for nowhere.",
        (2, 4),
        instr,
    ),
    function("LOCATE", "LOCATE(part, text[, start])", "Where the part starts, 0 for nowhere.", (2, 3), locate),
    function("CONCAT", "CONCAT(text, ..)", "All texts together; NULL where one is NULL.", (1, 255), |a| {
        let t = string_of(a);
        concat(a, t)
    }),
    function("||", "text || text", "Both texts together.", (2, 2), concat_operator),
    function(
        "CONCAT_WS",
        "CONCAT_WS(separator, text, ..)",
        "The texts that are not NULL, with a separator.",
        (1, 255),
        concat_ws,
    ),
    function("REPLACE", "REPLACE(text, part, by)", "Every part replaced.", (3, 3), |a| {
        texts(a, |[t, part, by]| if t.contains(part) { Cow::Owned(t.replace(part, by)) } else { Cow::Borrowed(t) })
    }),
    function(
        "TRANSLATE",
        "TRANSLATE(text, from, to)",
        "Every character of `from` replaced by the one at its place in `to`; left out where there is none.",
        (3, 3),
        translated,
    ),
    function("BTRIM", "BTRIM(text[, characters])", "Without these characters (a space) at both ends.", (1, 2), |a| {
        trimmed(a, true, true)
    }),
    function(
        "TRIM",
        "TRIM([BOTH | LEADING | TRAILING] [characters FROM] text)",
        "Without these characters (a space) at the ends.",
        (1, 2),
        |a| trimmed(a, true, true),
    ),
    function("LTRIM", "LTRIM(text[, characters])", "Without these characters (a space) at the start.", (1, 2), |a| {
        trimmed(a, true, false)
    }),
    function("RTRIM", "RTRIM(text[, characters])", "Without these characters (a space) at the end.", (1, 2), |a| {
        trimmed(a, false, true)
    }),
    function("STARTSWITH", "STARTSWITH(text, start)", "Whether it starts so.", (2, 2), |a| starts_or_ends(a, true)),
    function("ENDSWITH", "ENDSWITH(text, end)", "Whether it ends so.", (2, 2), |a| starts_or_ends(a, false)),
    function(
        "SUBSTRING",
        "SUBSTRING(text FROM start [FOR length])",
        "A part; a negative start counts from the end.",
        (2, 3),
        |a| {
            texts_and_numbers::<1, 2>(a, |[t], [start, length]| {
                Ok(substring(t, start.unwrap_or(1), length).map(Cow::Borrowed))
            })
        },
    ),
    function("LEFT", "LEFT(text, length)", "The first characters.", (2, 2), |a| {
        texts_and_numbers::<1, 1>(a, |[t], [n]| Ok(Some(Cow::Borrowed(first(t, n.unwrap_or(0))))))
    }),
    function("RIGHT", "RIGHT(text, length)", "The last characters.", (2, 2), |a| {
        texts_and_numbers::<1, 1>(a, |[t], [n]| {
            let skipped = i64::try_from(t.chars().count()).unwrap_or(i64::MAX) - n.unwrap_or(0).max(0);
            Ok(Some(Cow::Borrowed(&t[first(t, skipped).len()..])))
        })
    }),
    function("REPEAT", "REPEAT(text, times)", "The text so many times.", (2, 2), |a| {
        texts_and_numbers::<1, 1>(a, |[t], [n]| {
            let times = usize::try_from(n.unwrap_or(0).max(0)).unwrap_or(usize::MAX);
            if t.is_empty() {
                return Ok(Some(Cow::Borrowed("")));
            }
            limit(t.len().saturating_mul(times))?;
            Ok(Some(Cow::Owned(t.repeat(times))))
        })
    }),
    function(
        "OVERLAY",
        "OVERLAY(text PLACING part FROM start [FOR length])",
        "A part put over the characters from a place on.",
        (3, 4),
        |a| {
            texts_and_numbers::<2, 2>(a, |[t, part], [start, length]| {
                Ok(Some(overlay(t, part, start.unwrap_or(1), length)))
            })
        },
    ),
    function("LPAD", "LPAD(text, length, with)", "Filled up at the start, or cut.", (3, 3), |a| pad(a, true)),
    function("RPAD", "RPAD(text, length, with)", "Filled up at the end, or cut.", (3, 3), |a| pad(a, false)),
    function(
        "SPLIT_INDEX",
        "SPLIT_INDEX(text, separator, index)",
        "One piece, counted from 0; NULL behind the last.",
        (3, 3),
        split_index,
    ),
    function(
        "ELT",
        "ELT(index, text or bytes, ..)",
        "The text or byte string of this number, counted from 1; NULL where there is none.",
        (2, 255),
        elt,
    ),
    function("IS_ALPHA", "IS_ALPHA(text)", "Whether all characters are letters.", (1, 1), |a| {
        is_text_of(a, |t| !t.is_empty() && t.chars().all(char::is_alphabetic))
    }),
    function("IS_DIGIT", "IS_DIGIT(text)", "Whether all characters are digits.", (1, 1), |a| {
        if a.values[0].data_type.kind.is_integer() {
            return always_true(a);
        }
        is_text_of(a, |t| !t.is_empty() && t.chars().all(|c| c.is_numeric()))
    }),
    function("IS_DECIMAL", "IS_DECIMAL(text)", "Whether it is a number.", (1, 1), |a| {
        if a.values[0].data_type.kind.is_numeric() {
            return always_true(a);
        }
        is_text_of(a, |t| {
            !t.is_empty() && t.trim().parse::<f64>().is_ok_and(|_| !t.to_ascii_lowercase().contains("inf"))
        })
    }),
];

/// CHAR(n) stays CHAR(n).
fn same_type(a: &mut Arguments, f: fn(&str) -> String) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING])? {
        return Ok(None);
    }
    let resolved = Resolved::new(a.values[0].data_type.clone(), move |args, rows| {
        let text = Text::of(&args[0])?;
        build_text(args, rows, |i, out| {
            out.append_option(text.get(i).map(f));
            Ok(())
        })
    });
    Ok(Some(resolved.infallible()))
}

/// What is asked of a text; of NULL the answer is FALSE.
fn is_text_of(a: &mut Arguments, f: fn(&str) -> bool) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING])? {
        return Ok(None);
    }
    let resolved = Resolved::new(K::Boolean.not_null(), move |args, rows| {
        let text = Text::of(&args[0])?;
        build_boolean(args, rows, |i| Ok(Some(text.get(i).is_some_and(f))))
    });
    Ok(Some(resolved.infallible()))
}

fn always_true(a: &mut Arguments) -> Result<Option<Resolved>> {
    let t = K::Boolean.nullable().with_nullable(a.nullable());
    let resolved = Resolved::arrays(t, |args, _| {
        let all = arrow_buffer::BooleanBuffer::new_set(args[0].len());
        Ok(std::sync::Arc::new(arrow_array::BooleanArray::new(all, args[0].nulls().cloned())))
    });
    Ok(Some(resolved.infallible()))
}

/// The first characters, none of a negative number.
fn first(text: &str, count: i64) -> &str {
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    if text.len() <= count {
        return text;
    }
    match text.char_indices().nth(count) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}

/// Only the letters of ASCII: others stay, and what follows one of them begins a word.
fn initcap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut start = true;
    for c in text.chars() {
        out.push(if start { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
        start = !c.is_ascii_alphanumeric();
    }
    out
}

/// The character at which the part starts, from a place on; both count from 1.
fn position(text: &str, part: &str, from: i64) -> i32 {
    // Flink finds the empty text at the start, wherever it begins to look.
    if part.is_empty() {
        return 1;
    }
    let skipped = first(text, from.max(1) - 1).len();
    match text[skipped..].find(part) {
        Some(at) => text[..skipped + at].chars().count() as i32 + 1,
        None => 0,
    }
}

/// The place of an occurrence, looked for from a place on; from the end where that is negative.
fn nth_position(text: &str, part: &str, start: i64, occurrence: i64) -> i32 {
    if start == 0 {
        return 0;
    }
    if start < 0 {
        let (reversed, part_reversed): (String, String) = (text.chars().rev().collect(), part.chars().rev().collect());
        let at = nth_position(&reversed, &part_reversed, start.saturating_neg(), occurrence);
        let count = |t: &str| t.chars().count() as i32;
        return if at == 0 { 0 } else { count(text) + 2 - at - count(part) };
    }
    let (mut from, mut at) = (start, 0);
    for _ in 0..occurrence {
        at = position(text, part, from);
        if at == 0 {
            return 0;
        }
        from = i64::from(at) + 1;
    }
    at
}

fn instr(a: &mut Arguments) -> Result<Option<Resolved>> {
    positions(a, |t, part, start, occurrence| {
        if occurrence <= 0 {
            return Err(Error::data("the occurrence that INSTR looks for must be positive"));
        }
        Ok(nth_position(t, part, start, occurrence))
    })
}

fn locate(a: &mut Arguments) -> Result<Option<Resolved>> {
    positions(a, |part, t, start, _| Ok(position(t, part, start)))
}

fn positions(a: &mut Arguments, f: fn(&str, &str, i64, i64) -> Result<i32>) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING, K::STRING, K::BigInt, K::BigInt])? {
        return Ok(None);
    }
    let t = K::Int.nullable().with_nullable(a.nullable());
    Ok(Some(Resolved::new(t, move |args, rows| {
        let (x, y) = (Text::of(&args[0])?, Text::of(&args[1])?);
        let numbers =
            args[2..].iter().map(Primitive::<arrow_array::types::Int64Type>::of).collect::<Result<Vec<_>>>()?;
        build::<Int32Type>(args, rows, |i| {
            let number = |n: usize| numbers.get(n).map_or(Some(1), |n| n.get(i));
            match (x.get(i), y.get(i), number(0), number(1)) {
                (Some(x), Some(y), Some(start), Some(occurrence)) => f(x, y, start, occurrence).map(Some),
                _ => Ok(None),
            }
        })
    })))
}

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

/// `CHAR(3) || CHAR(2)` is CHAR(5); anything else varies in length.
fn concat_operator(a: &mut Arguments) -> Result<Option<Resolved>> {
    let length = |k: &K| match k {
        K::Char(n) | K::VarChar(n) => *n,
        _ => 0,
    };
    let (l, r) = (&a.values[0].data_type.kind, &a.values[1].data_type.kind);
    let sum = length(l).saturating_add(length(r)).min(MAX_LENGTH);
    let kind = if matches!((l, r), (K::Char(_), K::Char(_))) { K::Char(sum) } else { K::VarChar(sum) };
    let nullable = a.nullable();
    if *l == K::Null || *r == K::Null {
        return concat(a, K::STRING.nullable());
    }
    concat(a, kind.nullable().with_nullable(nullable))
}

fn concat(a: &mut Arguments, t: flott_core::LogicalType) -> Result<Option<Resolved>> {
    if !fit(a, &vec![K::STRING; a.values.len()])? {
        return Ok(None);
    }
    let resolved = Resolved::new(t, |args, rows| {
        let parts = args.iter().map(Text::of).collect::<Result<Vec<_>>>()?;
        let mut text = String::new();
        build_text(args, rows, |i, out| {
            text.clear();
            for part in &parts {
                let Some(part) = part.get(i) else {
                    out.append_null();
                    return Ok(());
                };
                text.push_str(part);
            }
            out.append_value(&text);
            Ok(())
        })
    });
    Ok(Some(resolved.infallible()))
}

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

fn trimmed(a: &mut Arguments, start: bool, end: bool) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING, K::STRING])? {
        return Ok(None);
    }
    let resolved = Resolved::new(string_of(a), move |args, rows| {
        let text = Text::of(&args[0])?;
        let set = args.get(1).map(Text::of).transpose()?;
        build_text(args, rows, |i, out| {
            let set = match &set {
                None => Some(" "),
                Some(set) => set.get(i),
            };
            out.append_option(text.get(i).zip(set).map(|(t, set)| trim(t, set, start, end)));
            Ok(())
        })
    });
    Ok(Some(resolved.infallible()))
}

fn trim<'a>(text: &'a str, set: &str, start: bool, end: bool) -> &'a str {
    let mut text = text;
    if start {
        text = text.trim_start_matches(|c| set.contains(c));
    }
    if end {
        text = text.trim_end_matches(|c| set.contains(c));
    }
    text
}

/// Also over byte strings.
fn starts_or_ends(a: &mut Arguments, start: bool) -> Result<Option<Resolved>> {
    if a.values.iter().all(|v| v.data_type.kind.is_binary()) {
        let t = K::Boolean.nullable().with_nullable(a.nullable());
        let resolved = Resolved::arrays(t, move |args, _| {
            let (bytes, parts) = (args[0].as_binary::<i32>(), args[1].as_binary::<i32>());
            let found = bytes
                .iter()
                .zip(parts)
                .map(|(b, p)| b.zip(p).map(|(b, p)| if start { b.starts_with(p) } else { b.ends_with(p) }));
            Ok(std::sync::Arc::new(found.collect::<arrow_array::BooleanArray>()))
        });
        return Ok(Some(resolved.infallible()));
    }
    if start { texts_to_boolean(a, |[t, s]| t.starts_with(s)) } else { texts_to_boolean(a, |[t, e]| t.ends_with(e)) }
}

fn substring(text: &str, start: i64, length: Option<i64>) -> Option<&str> {
    if length.is_some_and(|n| n < 0) {
        return None;
    }
    let skipped = if start > 0 {
        start - 1
    } else if start < 0 {
        let from = i64::try_from(text.chars().count()).unwrap_or(i64::MAX) + start;
        if from < 0 {
            return Some("");
        }
        from
    } else {
        0
    };
    let rest = &text[first(text, skipped).len()..];
    Some(length.map_or(rest, |n| first(rest, n)))
}

fn overlay<'a>(text: &'a str, part: &str, start: i64, length: Option<i64>) -> Cow<'a, str> {
    let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if start <= 0 || start > count {
        return Cow::Borrowed(text);
    }
    let length = length.unwrap_or(i64::try_from(part.chars().count()).unwrap_or(i64::MAX));
    let head = first(text, start - 1);
    // Without a rest behind the covered part nothing follows; a negative length covers everything, as in Flink.
    let covered = start - 1 + length;
    let tail = if length > 0 && covered < count { &text[first(text, covered).len()..] } else { "" };
    Cow::Owned([head, part, tail].concat())
}

fn pad(a: &mut Arguments, left: bool) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING, K::Int, K::STRING])? {
        return Ok(None);
    }
    Ok(Some(Resolved::new(K::STRING.nullable(), move |args, rows| {
        let (text, length, with) = (Text::of(&args[0])?, Primitive::<Int32Type>::of(&args[1])?, Text::of(&args[2])?);
        build_text(args, rows, |i, out| {
            let (Some(t), Some(n), Some(with)) = (text.get(i), length.get(i), with.get(i)) else {
                out.append_null();
                return Ok(());
            };
            let Ok(n) = usize::try_from(n) else {
                out.append_null();
                return Ok(());
            };
            if with.is_empty() {
                out.append_null();
                return Ok(());
            }
            limit(n)?;
            let missing = n.saturating_sub(t.chars().count());
            let fill: String = with.chars().cycle().take(missing).collect();
            let cut = first(t, n as i64);
            out.append_value(if left { fill + cut } else { cut.to_string() + &fill });
            Ok(())
        })
    })))
}

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

fn elt(a: &mut Arguments) -> Result<Option<Resolved>> {
    let negative = match a.values[0].constant() {
        Some(ScalarValue::Int32(Some(i))) if *i < 0 => Some(i64::from(*i)),
        Some(ScalarValue::Int64(Some(i))) if *i < 0 => Some(*i),
        _ => None,
    };
    if let Some(i) = negative {
        return Err(Error::user(format!("Index must be an integer starting from '0', but was '{i}'."))
            .hint("The first text has the index 1"));
    }
    let is_bytes = a.values[1..].iter().any(|v| v.data_type.kind.is_binary());
    let mut kinds = vec![if is_bytes { K::BYTES } else { K::STRING }; a.values.len()];
    kinds[0] = K::BigInt;
    if !fit(a, &kinds)? {
        return Ok(None);
    }
    if is_bytes {
        return Ok(Some(chosen_bytes()));
    }
    let resolved = Resolved::new(K::STRING.nullable(), |args, rows| {
        let index = Primitive::<arrow_array::types::Int64Type>::of(&args[0])?;
        let values = args[1..].iter().map(Text::of).collect::<Result<Vec<_>>>()?;
        build_text(args, rows, |i, out| {
            let at = index.get(i).and_then(|n| usize::try_from(n.checked_sub(1)?).ok());
            out.append_option(at.and_then(|at| values.get(at)?.get(i)));
            Ok(())
        })
    });
    Ok(Some(resolved.infallible()))
}

/// ELT of byte strings.
fn chosen_bytes() -> Resolved {
    Resolved::arrays(K::BYTES.nullable(), |args, rows| {
        let index = args[0].as_primitive::<arrow_array::types::Int64Type>();
        let nothing = new_null_array(&DataType::Binary, 1);
        let values: Vec<&dyn Array> = args[1..].iter().map(|v| v.as_ref()).chain([nothing.as_ref()]).collect();
        let places: Vec<(usize, usize)> = (0..rows)
            .map(|row| {
                let at = index.is_valid(row).then(|| usize::try_from(index.value(row).checked_sub(1)?).ok()).flatten();
                at.filter(|at| *at + 1 < values.len()).map_or((values.len() - 1, 0), |at| (at, row))
            })
            .collect();
        if rows == 0 {
            return Ok(new_empty_array(&DataType::Binary));
        }
        Ok(interleave(&values, &places)?)
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn cases_and_lengths() {
        check(&[
            ("UPPER", &[("Straße", "STRING")], "STRASSE"),
            ("LOWER", &[("ÀB", "CHAR(2)")], "àb"),
            ("INITCAP", &[("hello wORLD-x 1a", "STRING")], "Hello World-X 1a"),
            ("INITCAP", &[("äbc ÄBC", "STRING")], "äBc ÄBc"),
            ("REVERSE", &[("größe", "STRING")], "eßörg"),
            ("CHAR_LENGTH", &[("größe", "STRING")], "5"),
            ("CHAR_LENGTH", &[("NULL", "STRING")], "NULL"),
            ("ASCII", &[("abc", "STRING")], "97"),
            ("ASCII", &[("", "STRING")], "0"),
            ("ASCII", &[("é", "STRING")], "-61"),
            ("CHR", &[("97", "INT")], "a"),
            ("CHR", &[("353", "BIGINT")], "a"),
            ("CHR", &[("-9", "INT")], ""),
        ]);
    }

    #[test]
    fn parts_and_places() {
        check(&[
            ("POSITION", &[("ße", "STRING"), ("größe", "STRING")], "4"),
            ("POSITION", &[("x", "STRING"), ("größe", "STRING")], "0"),
            ("LOCATE", &[("a", "STRING"), ("banana", "STRING"), ("3", "INT")], "4"),
            ("LOCATE", &[("", "STRING"), ("banana", "STRING"), ("3", "INT")], "1"),
            ("INSTR", &[("banana", "STRING"), ("", "STRING"), ("9", "INT"), ("2", "INT")], "1"),
            ("LOCATE", &[("a", "STRING"), ("banana", "STRING"), ("0", "INT")], "2"),
            ("LOCATE", &[("a", "STRING"), ("banana", "STRING"), ("-1", "INT")], "2"),
            ("INSTR", &[("Corporate Floor", "STRING"), ("or", "STRING"), ("3", "INT"), ("2", "INT")], "14"),
            ("INSTR", &[("Corporate Floor", "STRING"), ("or", "STRING"), ("-3", "INT"), ("2", "INT")], "2"),
            ("INSTR", &[("Corporate Floor", "STRING"), ("or", "STRING"), ("0", "INT")], "0"),
            ("INSTR", &[("a", "STRING"), ("a", "STRING"), ("1", "INT"), ("0", "INT")], "ERROR must be positive"),
            ("SUBSTRING", &[("flott", "STRING"), ("1", "INT"), ("2", "INT")], "fl"),
            ("SUBSTRING", &[("flott", "STRING"), ("-3", "INT"), ("2", "INT")], "ot"),
            ("SUBSTRING", &[("flott", "STRING"), ("-9", "INT"), ("2", "INT")], ""),
            ("SUBSTRING", &[("flott", "STRING"), ("0", "INT"), ("2", "INT")], "fl"),
            ("SUBSTRING", &[("flott", "STRING"), ("3", "INT")], "ott"),
            ("SUBSTRING", &[("flott", "STRING"), ("9", "INT"), ("2", "INT")], ""),
            ("SUBSTRING", &[("flott", "STRING"), ("1", "INT"), ("-1", "INT")], "NULL"),
            ("SUBSTRING", &[("flott", "STRING"), ("2", "INT"), ("9223372036854775807", "BIGINT")], "lott"),
            ("SUBSTRING", &[("größe", "STRING"), ("3", "INT"), ("2", "INT")], "öß"),
            ("LEFT", &[("größe", "STRING"), ("3", "INT")], "grö"),
            ("LEFT", &[("größe", "STRING"), ("-3", "INT")], ""),
            ("RIGHT", &[("größe", "STRING"), ("3", "INT")], "öße"),
            ("RIGHT", &[("größe", "STRING"), ("30", "INT")], "größe"),
            ("OVERLAY", &[("abcdefghij", "STRING"), ("XX", "STRING"), ("3", "INT")], "abXXefghij"),
            ("OVERLAY", &[("xxxxxtest", "STRING"), ("xxxx", "STRING"), ("6", "INT")], "xxxxxxxxx"),
            (
                "OVERLAY",
                &[("It is very old,it is very old", "STRING"), ("King", "STRING"), ("9", "INT"), ("5", "INT")],
                "It is veKingd,it is very old",
            ),
            ("OVERLAY", &[("abc", "STRING"), ("X", "STRING"), ("0", "INT")], "abc"),
            ("OVERLAY", &[("abc", "STRING"), ("X", "STRING"), ("2", "INT"), ("0", "INT")], "aX"),
            ("SPLIT_INDEX", &[("AQIDBA==", "STRING"), ("I", "STRING"), ("0", "INT")], "AQ"),
            ("SPLIT_INDEX", &[("AQIDBA==", "STRING"), ("I", "STRING"), ("2", "INT")], "NULL"),
            ("SPLIT_INDEX", &[("AQIDBA==", "STRING"), ("I", "STRING"), ("-1", "INT")], "NULL"),
            ("SPLIT_INDEX", &[("AQIDBA==", "STRING"), ("73", "INT"), ("1", "INT")], "DBA=="),
            ("SPLIT_INDEX", &[("a,,b", "STRING"), (",", "STRING"), ("1", "INT")], ""),
            ("SPLIT_INDEX", &[("", "STRING"), (",", "STRING"), ("0", "INT")], "NULL"),
            ("ELT", &[("2", "INT"), ("scala", "STRING"), ("java", "STRING")], "java"),
            ("ELT", &[("0", "INT"), ("scala", "STRING")], "NULL"),
            ("ELT", &[("-1", "INT"), ("scala", "STRING")], "ERROR Index must be"),
        ]);
    }

    #[test]
    fn new_texts() {
        check(&[
            ("CONCAT", &[("xx", "STRING"), ("f33", "CHAR(3)")], "xxf33"),
            ("CONCAT", &[("xx", "STRING"), ("NULL", "STRING")], "NULL"),
            ("||", &[("ab", "CHAR(2)"), ("c", "CHAR(1)")], "abc"),
            (
                "CONCAT_WS",
                &[("~", "STRING"), ("AA", "STRING"), ("NULL", "STRING"), ("", "STRING"), ("BB", "STRING")],
                "AA~~BB",
            ),
            ("CONCAT_WS", &[("NULL", "STRING"), ("AA", "STRING")], "NULL"),
            ("REPLACE", &[("hello world", "STRING"), ("world", "STRING"), ("flink", "STRING")], "hello flink"),
            ("REPLACE", &[("ababab", "STRING"), ("abab", "STRING"), ("z", "STRING")], "zab"),
            ("TRANSLATE", &[("abcabc", "STRING"), ("ac", "STRING"), ("x", "STRING")], "xbxb"),
            ("BTRIM", &[("  trim  ", "STRING")], "trim"),
            ("LTRIM", &[("xxytrimxy", "STRING"), ("xy", "STRING")], "trimxy"),
            ("RTRIM", &[("trimxy", "STRING"), ("xy", "STRING")], "trim"),
            ("REPEAT", &[("hello", "STRING"), ("2", "INT")], "hellohello"),
            ("REPEAT", &[("hello", "STRING"), ("-1", "INT")], ""),
            ("REPEAT", &[("hello", "STRING"), ("2147483647", "INT")], "ERROR longer than"),
            ("LPAD", &[("hello", "STRING"), ("1", "INT"), ("??", "STRING")], "h"),
            ("LPAD", &[("äää", "STRING"), ("5", "INT"), ("12", "STRING")], "12äää"),
            ("RPAD", &[("äää", "STRING"), ("6", "INT"), ("12", "STRING")], "äää121"),
            ("LPAD", &[("a", "STRING"), ("-1", "INT"), ("x", "STRING")], "NULL"),
            ("RPAD", &[("a", "STRING"), ("3", "INT"), ("", "STRING")], "NULL"),
            ("STARTSWITH", &[("abc", "STRING"), ("ab", "STRING")], "TRUE"),
            ("STARTSWITH", &[("abc", "BYTES"), ("ab", "BYTES")], "TRUE"),
            ("ENDSWITH", &[("abc", "BYTES"), ("ab", "BYTES")], "FALSE"),
            ("ENDSWITH", &[("abc", "STRING"), ("ab", "STRING")], "FALSE"),
            ("IS_ALPHA", &[("äb", "STRING")], "TRUE"),
            ("IS_ALPHA", &[("a1", "STRING")], "FALSE"),
            ("IS_ALPHA", &[("NULL", "STRING")], "FALSE"),
            ("IS_DIGIT", &[("NULL", "STRING")], "FALSE"),
            ("IS_DECIMAL", &[("NULL", "STRING")], "FALSE"),
            ("IS_DIGIT", &[("123", "STRING")], "TRUE"),
            ("IS_DIGIT", &[("", "STRING")], "FALSE"),
            ("IS_DIGIT", &[("5", "INT")], "TRUE"),
            ("IS_DECIMAL", &[("1.5e3", "STRING")], "TRUE"),
            ("IS_DECIMAL", &[("f", "STRING")], "FALSE"),
            ("IS_DECIMAL", &[("1.5", "DECIMAL(2, 1)")], "TRUE"),
        ]);
    }
}
