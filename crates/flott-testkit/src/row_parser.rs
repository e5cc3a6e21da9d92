//! Reads rows as Flink prints them (`+I[1, a, null, {k=v}, [x, y], +I[2]]`), led by the columns' types.
//!
//! The text form quotes nothing, so a comma may belong to a string. A row is cut at `, ` outside brackets; where that
//! gives more pieces than columns, neighbouring pieces are joined in every way that fits the types, and a text that
//! fits in two ways is refused rather than guessed.

use flott_core::types::TypeKind;
use flott_core::{Error, LogicalType, Result, RowKind};
use flott_function::bitmap;
use flott_function::variant::parse_json;

use crate::datetime_parser as datetime;

/// Ways of joining pieces that are tried before a text counts as unreadable.
const ATTEMPTS_MAX: usize = 100_000;

/// A value of any type, as a parser reads it and a builder puts it into columns.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// Integers; dates, times, timestamps and intervals in the unit of their Arrow type.
    Integer(i64),
    /// DECIMAL, times 10 to the type's scale.
    Decimal(i128),
    /// FLOAT and DOUBLE.
    Float(f64),
    /// CHAR and VARCHAR.
    Text(String),
    /// BINARY and VARBINARY.
    Bytes(Vec<u8>),
    /// ARRAY.
    List(Vec<Value>),
    /// MAP and MULTISET (element to count).
    Map(Vec<(Value, Value)>),
    /// ROW.
    Row(Vec<Value>),
}

/// A row with its kind: `-U[1, a]`.
pub fn parse_row(types: &[&LogicalType], text: &str) -> Result<(RowKind, Vec<Value>)> {
    let wrong = |what: String| {
        Error::user(format!("'{text}' is not a row: {what}")).hint("Write rows as Flink prints them: +I[1, a, null]")
    };
    let kind = text.get(..2).and_then(RowKind::from_short_string);
    let kind = kind.ok_or_else(|| wrong("it must start with +I, -U, +U or -D".into()))?;
    let body = text[2..].strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let body = body.ok_or_else(|| wrong("the values must stand in [ ]".into()))?;
    Ok((kind, fields(types, body).map_err(wrong)?))
}

/// One value of a type. `null` is NULL for every type, strings too.
pub fn parse_value(t: &LogicalType, text: &str) -> Result<Value, String> {
    if text == "null" {
        return Ok(Value::Null);
    }
    let wrong = || format!("'{text}' is not a value of type {t}");
    let integer = |least: i64, most: i64| {
        text.parse::<i64>().ok().filter(|n| (least..=most).contains(n)).map(Value::Integer).ok_or_else(wrong)
    };
    match &t.kind {
        TypeKind::Null => Err(wrong()),
        TypeKind::Boolean => match text {
            "true" | "TRUE" => Ok(Value::Boolean(true)),
            "false" | "FALSE" => Ok(Value::Boolean(false)),
            _ => Err(wrong()),
        },
        TypeKind::TinyInt => integer(i64::from(i8::MIN), i64::from(i8::MAX)),
        TypeKind::SmallInt => integer(i64::from(i16::MIN), i64::from(i16::MAX)),
        TypeKind::Int => integer(i64::from(i32::MIN), i64::from(i32::MAX)),
        TypeKind::BigInt => integer(i64::MIN, i64::MAX),
        TypeKind::Float => text.parse::<f32>().map(|f| Value::Float(f64::from(f))).map_err(|_| wrong()),
        TypeKind::Double => text.parse::<f64>().map(Value::Float).map_err(|_| wrong()),
        TypeKind::Char(_) | TypeKind::VarChar(_) => Ok(Value::Text(text.to_string())),
        TypeKind::Binary(_) | TypeKind::VarBinary(_) => bytes(text).map(Value::Bytes).ok_or_else(wrong),
        TypeKind::Variant => parse_json(text, false).map(Value::Bytes).map_err(|_| wrong()),
        TypeKind::Bitmap => bitmap::from_text(text).map(|b| Value::Bytes(bitmap::write(&b))).ok_or_else(wrong),
        TypeKind::Decimal { precision, scale } => {
            decimal(text, *precision, *scale).map(Value::Decimal).ok_or_else(wrong)
        }
        TypeKind::Date => datetime::date(text).map(Value::Integer).ok_or_else(wrong),
        TypeKind::Time(p) => datetime::time(text, *p).map(Value::Integer).ok_or_else(wrong),
        TypeKind::Timestamp(p, _) => datetime::timestamp(text, *p).map(Value::Integer).ok_or_else(wrong),
        TypeKind::TimestampLtz(p, _) => datetime::instant(text, *p).map(Value::Integer).ok_or_else(wrong),
        TypeKind::IntervalYearMonth(..) => datetime::period_months(text).map(Value::Integer).ok_or_else(wrong),
        TypeKind::IntervalDayTime(..) => datetime::duration_ms(text).map(Value::Integer).ok_or_else(wrong),
        TypeKind::Array(element) => {
            let body = enclosed(text, "[", "]").ok_or_else(wrong)?;
            elements(body).into_iter().map(|e| parse_value(element, e)).collect::<Result<_, _>>().map(Value::List)
        }
        TypeKind::Map(key, value) => map(key, value, text).map_err(|e| if e.is_empty() { wrong() } else { e }),
        TypeKind::Multiset(element) => {
            map(element, &TypeKind::Int.not_null(), text).map_err(|e| if e.is_empty() { wrong() } else { e })
        }
        TypeKind::Row(row) | TypeKind::Structured(_, row) => {
            let types: Vec<&LogicalType> = row.iter().map(|f| &f.data_type).collect();
            let open = text.find('[').ok_or_else(wrong)?;
            let kind = &text[..open];
            let body = enclosed(&text[open..], "[", "]").ok_or_else(wrong)?;
            if !kind.is_empty() && RowKind::from_short_string(kind).is_none() {
                return Err(wrong());
            }
            fields(&types, body).map(Value::Row)
        }
    }
}

/// A row's kind and its pieces between `, ` outside brackets; `None` where it has no row's form.
pub(crate) fn cut_row(text: &str) -> Option<(&str, Vec<&str>)> {
    let kind = text.get(..2)?;
    RowKind::from_short_string(kind)?;
    Some((kind, cut(enclosed(&text[2..], "[", "]")?, true)))
}

fn enclosed<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

/// Pieces between `, ` outside brackets; no pieces in an empty text.
fn elements(body: &str) -> Vec<&str> {
    if body.is_empty() { vec![] } else { cut(body, true) }
}

/// Cuts at `, `, where `balanced` only outside brackets.
fn cut(body: &str, balanced: bool) -> Vec<&str> {
    let bytes = body.as_bytes();
    let (mut pieces, mut depth, mut start, mut i) = (vec![], 0i32, 0, 0);
    while i < bytes.len() {
        match bytes[i] {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b',' if (depth == 0 || !balanced) && bytes.get(i + 1) == Some(&b' ') => {
                pieces.push(&body[start..i]);
                start = i + 2;
                i += 1;
            }
            _ => {}
        }
        i += 1;
    }
    pieces.push(&body[start..]);
    pieces
}

fn fields(types: &[&LogicalType], body: &str) -> Result<Vec<Value>, String> {
    if types.is_empty() {
        return if body.is_empty() { Ok(vec![]) } else { Err("the table has no columns".into()) };
    }
    let pieces = cut(body, true);
    if pieces.len() == types.len() {
        return types.iter().zip(&pieces).map(|(t, p)| parse_value(t, p)).collect();
    }
    // A string with a comma or with a lone bracket: join pieces so that every type fits.
    for balanced in [true, false] {
        let pieces = cut(body, balanced);
        if pieces.len() < types.len() {
            continue;
        }
        let mut search = Search { body, pieces, attempts: 0, found: vec![] };
        search.join(types, 0, 0, &mut vec![])?;
        // A number or a time is a value of its own sooner than the end of a sentence.
        let least = search.found.iter().map(|way| way.0).min();
        let mut ways = search.found.into_iter().filter(|way| Some(way.0) == least);
        match (ways.next(), ways.next()) {
            (None, _) => {}
            (Some((_, row)), None) => return Ok(row),
            _ => return Err("its commas can be read in more than one way; register typed batches instead".into()),
        }
    }
    Err(format!("it has {} values for {} columns", pieces.len(), types.len()))
}

struct Search<'a> {
    body: &'a str,
    pieces: Vec<&'a str>,
    attempts: usize,
    /// Rows, each with how many numbers and times were taken into a longer text.
    found: Vec<(usize, Vec<Value>)>,
}

/// Whether a piece of a row is a number or a time.
fn is_typed(piece: &str) -> bool {
    let starts = piece.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit());
    let is_time = || TIMES.iter().any(|t| t.parse().is_ok_and(|t| parse_value(&t, piece).is_ok()));
    starts && (piece.parse::<f64>().is_ok() || is_time())
}

/// Types of times that rows print.
const TIMES: [&str; 3] = ["DATE", "TIME(3)", "TIMESTAMP(9)"];

impl Search<'_> {
    fn join(&mut self, types: &[&LogicalType], from: usize, hidden: usize, row: &mut Vec<Value>) -> Result<(), String> {
        let Some((t, rest)) = types.split_first() else {
            if from == self.pieces.len() {
                self.found.push((hidden, row.clone()));
            }
            return Ok(());
        };
        // Leave at least one piece for each of the other columns.
        let last = self.pieces.len().saturating_sub(rest.len());
        for to in from + 1..=last {
            self.attempts += 1;
            if self.attempts > ATTEMPTS_MAX {
                return Err("it has too many commas to read; register typed batches instead".into());
            }
            let start = self.offset(from);
            let end = self.offset(to - 1) + self.pieces[to - 1].len();
            if let Ok(value) = parse_value(t, &self.body[start..end]) {
                row.push(value);
                let more = if to - from > 1 { self.pieces[from..to].iter().filter(|p| is_typed(p)).count() } else { 0 };
                self.join(rest, to, hidden + more, row)?;
                row.pop();
            }
        }
        Ok(())
    }

    fn offset(&self, piece: usize) -> usize {
        self.pieces[..piece].iter().map(|p| p.len() + 2).sum()
    }
}

/// `{k=v, k2=v2}`; an empty error text means "say what was expected".
fn map(key: &LogicalType, value: &LogicalType, text: &str) -> Result<Value, String> {
    let body = enclosed(text, "{", "}").ok_or_else(String::new)?;
    let mut entries = vec![];
    for entry in elements(body) {
        let ways: Vec<(Value, Value)> = entry
            .match_indices('=')
            .filter_map(|(i, _)| Some((parse_value(key, &entry[..i]).ok()?, parse_value(value, &entry[i + 1..]).ok()?)))
            .collect();
        // Keys with '=' inside are rarer than values with one: the first way counts.
        entries.push(ways.into_iter().next().ok_or_else(|| format!("'{entry}' is not an entry {key}={value}"))?);
    }
    Ok(Value::Map(entries))
}

/// `[1, -2, 3]` as Java prints a byte array, or `x'01fe'`.
fn bytes(text: &str) -> Option<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("x'").and_then(|t| t.strip_suffix('\'')) {
        if hex.len() % 2 != 0 || !hex.is_ascii() {
            return None;
        }
        return (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()).collect();
    }
    let body = enclosed(text, "[", "]")?;
    elements(body).into_iter().map(|b| b.parse::<i8>().ok().map(|b| b as u8)).collect()
}

/// A decimal with this scale, rounded half up as Flink does; `None` where it does not fit the precision.
fn decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 || !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = i32::from(scale) - i32::try_from(fraction.len()).ok()? + exponent;
    if shift >= 0 {
        unscaled = unscaled.checked_mul(10i128.checked_pow(u32::try_from(shift).ok()?)?)?;
    } else {
        match 10i128.checked_pow(shift.unsigned_abs()) {
            Some(by) => unscaled = (unscaled + by / 2) / by,
            None => unscaled = 0,
        }
    }
    (unscaled < 10i128.pow(u32::from(precision))).then_some(if negative { -unscaled } else { unscaled })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(t: &str, text: &str) -> Result<Value, String> {
        parse_value(&t.parse().expect("a type"), text)
    }

    fn row(types: &[&str], text: &str) -> Result<Vec<Value>> {
        let types: Vec<LogicalType> = types.iter().map(|t| t.parse().expect("a type")).collect();
        parse_row(&types.iter().collect::<Vec<_>>(), text).map(|r| r.1)
    }

    fn text(t: &str) -> Value {
        Value::Text(t.into())
    }

    #[test]
    fn scalars() {
        assert_eq!(value("TINYINT", "-128"), Ok(Value::Integer(-128)));
        assert!(value("TINYINT", "128").is_err());
        assert_eq!(value("BIGINT", "9223372036854775807"), Ok(Value::Integer(i64::MAX)));
        assert_eq!(value("DECIMAL(5, 2)", "1.005"), Ok(Value::Decimal(101)));
        assert_eq!(value("DECIMAL(5, 2)", "-4"), Ok(Value::Decimal(-400)));
        assert_eq!(value("DECIMAL(5, 2)", "1.2E+2"), Ok(Value::Decimal(12_000)));
        assert!(value("DECIMAL(5, 2)", "1000").is_err());
        assert_eq!(value("FLOAT", "0.1"), Ok(Value::Float(f64::from(0.1f32))));
        assert_eq!(value("DOUBLE", "-1.5E-7"), Ok(Value::Float(-1.5e-7)));
        assert_eq!(value("DOUBLE", "Infinity"), Ok(Value::Float(f64::INFINITY)));
        assert_eq!(value("STRING", "null"), Ok(Value::Null));
        assert_eq!(value("STRING", ""), Ok(text("")));
        assert_eq!(value("BYTES", "[1, -1]"), Ok(Value::Bytes(vec![1, 255])));
        assert_eq!(value("BYTES", "x'01ff'"), Ok(Value::Bytes(vec![1, 255])));
        assert_eq!(value("BOOLEAN", "true"), Ok(Value::Boolean(true)));
        assert!(value("INT", "one").is_err_and(|e| e == "'one' is not a value of type INT"));
    }

    #[test]
    fn nested() {
        assert_eq!(
            value("ARRAY<ROW<`a` INT, `b` STRING>>", "[+I[1, x], null]"),
            Ok(Value::List(vec![Value::Row(vec![Value::Integer(1), text("x")]), Value::Null]))
        );
        assert_eq!(value("ARRAY<STRING>", "[]"), Ok(Value::List(vec![])));
        assert_eq!(
            value("MAP<STRING, ARRAY<INT>>", "{a=[1, 2], b=null}"),
            Ok(Value::Map(vec![
                (text("a"), Value::List(vec![Value::Integer(1), Value::Integer(2)])),
                (text("b"), Value::Null)
            ]))
        );
        assert_eq!(value("MULTISET<STRING>", "{a=2}"), Ok(Value::Map(vec![(text("a"), Value::Integer(2))])));
        assert_eq!(value("MAP<BIGINT, BIGINT>", "{null=1}"), Ok(Value::Map(vec![(Value::Null, Value::Integer(1))])));
    }

    #[test]
    fn a_comma_in_a_string_is_found_and_an_unclear_one_refused() {
        assert_eq!(
            row(&["INT", "STRING", "INT"], "+I[1, a, b, c, 2]").expect("one way"),
            vec![Value::Integer(1), text("a, b, c"), Value::Integer(2)]
        );
        assert_eq!(row(&["INT", "STRING"], "+I[1, a], b]").expect("one way"), vec![Value::Integer(1), text("a], b")]);
        assert_eq!(row(&["STRING", "INT"], "+I[:[, 2]").expect("one way"), vec![text(":["), Value::Integer(2)]);
        // A time stands for itself.
        assert_eq!(
            row(&["STRING", "STRING", "INT"], "+I[hi, you, 2020-04-15 08:00:03, 2]").expect("one way"),
            vec![text("hi, you"), text("2020-04-15 08:00:03"), Value::Integer(2)]
        );
        assert!(row(&["STRING", "STRING"], "+I[a, b, c]").is_err());
        assert!(row(&["INT", "INT"], "+I[1]").is_err());
        assert!(row(&["INT"], "[1]").is_err());
        assert!(row(&["INT"], "+X[1]").is_err());
    }
}
