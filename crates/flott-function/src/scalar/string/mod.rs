//! Text functions. Positions count characters from 1, as in SQL.

mod ascii;
mod bin;
mod btrim;
mod char_length;
mod chr;
mod concat;
mod concat_operator;
mod concat_ws;
mod decode;
mod elt;
mod encode;
mod endswith;
mod final_sigma;
mod from_base64;
mod hex;
mod inet_aton;
mod inet_ntoa;
mod initcap;
mod instr;
mod is_alpha;
mod is_decimal;
mod is_digit;
mod left;
mod locate;
mod lower;
mod lpad;
mod ltrim;
mod overlay;
mod parse_url;
mod position;
mod printf;
mod repeat;
mod replace;
mod reverse;
mod right;
mod rpad;
mod rtrim;
mod split_index;
mod startswith;
mod substring;
mod to_base64;
mod translate;
mod trim;
mod unhex;
mod upper;
mod url_decode;
mod url_encode;
mod uuid;

use arrow_array::Array;
use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use crate::argument::{Primitive, Text, build, build_boolean, build_text};
use crate::scalar::shape::{fit, limit, string_of, texts_to_boolean};
use crate::scalar::{Arguments, ScalarFunction};
use crate::udf::Resolved;

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    upper::UPPER,
    lower::LOWER,
    initcap::INITCAP,
    reverse::REVERSE,
    char_length::CHAR_LENGTH,
    ascii::ASCII,
    chr::CHR,
    position::POSITION,
    instr::INSTR,
    locate::LOCATE,
    concat::CONCAT,
    concat_operator::CONCAT_OPERATOR,
    concat_ws::CONCAT_WS,
    replace::REPLACE,
    translate::TRANSLATE,
    btrim::BTRIM,
    trim::TRIM,
    ltrim::LTRIM,
    rtrim::RTRIM,
    startswith::STARTSWITH,
    endswith::ENDSWITH,
    substring::SUBSTRING,
    left::LEFT,
    right::RIGHT,
    repeat::REPEAT,
    overlay::OVERLAY,
    lpad::LPAD,
    rpad::RPAD,
    split_index::SPLIT_INDEX,
    elt::ELT,
    is_alpha::IS_ALPHA,
    is_digit::IS_DIGIT,
    is_decimal::IS_DECIMAL,
    to_base64::TO_BASE64,
    from_base64::FROM_BASE64,
    hex::HEX,
    unhex::UNHEX,
    bin::BIN,
    encode::ENCODE,
    decode::DECODE,
    url_encode::URL_ENCODE,
    url_decode::URL_DECODE,
    parse_url::PARSE_URL,
    inet_aton::INET_ATON,
    inet_ntoa::INET_NTOA,
    printf::PRINTF,
    uuid::UUID,
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

/// What is asked of a text; of NULL the answer is FALSE. Of a number it is always the same, also where it is NULL.
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

fn same_of_numbers(answer: bool) -> Resolved {
    let resolved = Resolved::arrays(K::Boolean.not_null(), move |args, _| {
        Ok(std::sync::Arc::new(arrow_array::BooleanArray::from(vec![answer; args[0].len()])))
    });
    resolved.infallible()
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

fn positions(a: &mut Arguments, f: fn(&str, &str, i64, i64) -> Result<i32>) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING, K::STRING, K::BigInt, K::BigInt])? {
        return Ok(None);
    }
    let t = K::Int.nullable().with_nullable(a.nullable());
    Ok(Some(Resolved::new(t, move |args, rows| {
        let (x, y) = (Text::of(&args[0])?, Text::of(&args[1])?);
        let numbers = args[2..].iter().map(Primitive::<Int64Type>::of).collect::<Result<Vec<_>>>()?;
        build::<Int32Type>(args, rows, |i| {
            let number = |n: usize| numbers.get(n).map_or(Some(1), |n| n.get(i));
            match (x.get(i), y.get(i), number(0), number(1)) {
                (Some(x), Some(y), Some(start), Some(occurrence)) => f(x, y, start, occurrence).map(Some),
                _ => Ok(None),
            }
        })
    })))
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

fn number_text(a: &mut Arguments, f: fn(i64) -> String) -> Result<Option<Resolved>> {
    if !fit(a, &[K::BigInt])? {
        return Ok(None);
    }
    let resolved = Resolved::new(string_of(a), move |args, rows| {
        let number = Primitive::<Int64Type>::of(&args[0])?;
        build_text(args, rows, |i, out| {
            out.append_option(number.get(i).map(f));
            Ok(())
        })
    });
    Ok(Some(resolved.infallible()))
}

/// Bytes of texts, or NULL.
fn bytes_of(a: &mut Arguments, f: fn(&str, &str) -> Result<Option<Vec<u8>>>) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING, K::STRING])? {
        return Ok(None);
    }
    Ok(Some(Resolved::arrays(K::BYTES.nullable(), move |args, rows| {
        let text = args[0].as_string::<i32>();
        let second = args.get(1).map(|a| a.as_string::<i32>());
        let mut out = BinaryBuilder::new();
        for i in 0..rows {
            let second = second.map_or(Some(""), |s| Array::is_valid(s, i).then(|| s.value(i)));
            match (Array::is_valid(text, i), second) {
                (true, Some(second)) => out.append_option(f(text.value(i), second)?),
                _ => out.append_null(),
            }
        }
        Ok(std::sync::Arc::new(out.finish()))
    })))
}

fn charset(name: &str) -> Result<&'static str> {
    const NAMES: [&str; 6] = ["US-ASCII", "ISO-8859-1", "UTF-8", "UTF-16BE", "UTF-16LE", "UTF-16"];
    NAMES.into_iter().find(|n| n.eq_ignore_ascii_case(name)).ok_or_else(|| {
        Error::user(format!("Unsupported encoding: {name}")).hint(format!("Use one of {}", NAMES.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn addresses_and_numbers() {
        for (address, expected) in [
            ("127.0.0.1", "2130706433"),
            ("255.255.255.255", "4294967295"),
            ("127.1", "2130706433"),
            ("127", "127"),
            ("1.2.3", "16908291"),
            ("01.02.03.004", "16909060"),
            ("0.0.0.0", "0"),
            ("256.0.0.1", "NULL"),
            ("16777216", "NULL"),
            ("1.65536", "NULL"),
            ("1.2.3.4.5", "NULL"),
            ("1.2.3.", "NULL"),
            (" 1.2.3.4", "NULL"),
            ("-1.2.3.4", "NULL"),
            ("a.b.c.d", "NULL"),
            ("", "NULL"),
        ] {
            check(&[("INET_ATON", &[(address, "STRING")], expected)]);
        }
        check(&[
            ("INET_NTOA", &[("2130706433", "BIGINT")], "127.0.0.1"),
            ("INET_NTOA", &[("5", "TINYINT")], "0.0.0.5"),
            ("INET_NTOA", &[("-1", "INT")], "NULL"),
            ("INET_NTOA", &[("4294967296", "BIGINT")], "NULL"),
            ("INET_NTOA", &[("NULL", "BIGINT")], "NULL"),
            ("INET_NTOA", &[("1.5", "DECIMAL(2, 1)")], "ERROR No match found"),
        ]);
    }
}
