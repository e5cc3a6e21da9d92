//! PRINTF: texts by a format of Java's `Formatter`. What Java refuses gives NULL, as in Flink.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use crate::argument::{Text, build_text, rows_of};
use crate::cast::to_nanos;
use crate::example::Example;
use crate::scalar::shape::limit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::{Resolved, columns};
use crate::{decimal, text};

pub(super) const PRINTF: ScalarFunction = ScalarFunction {
    name: "PRINTF",
    syntax: "PRINTF(format, value, ..)",
    description: "A text by a format of Java such as `%5d`, `%-10s` or `%.2f`; NULL where the format or a value does not fit.",
    documentation: "`%s`, `%d`, `%f`, `%e`, `%x`, `%o`, `%c`, `%b` and others of Java's `Formatter`, with their \
         flags, width and precision. A NULL format gives NULL; a NULL value is written as null.",
    examples: &[
        Example { sql: "PRINTF('%s is %d', 'answer', 42)", result: "answer is 42" },
        Example { sql: "PRINTF('%05d', 42)", result: "00042" },
        Example { sql: "PRINTF('%q', 1)", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (1, 255),
    resolve: printf,
};

fn printf(a: &mut Arguments) -> Result<Option<Resolved>> {
    let fits = |k: &K| {
        k.is_numeric()
            || k.is_character()
            || k.is_timestamp()
            || k.is_interval()
            || matches!(k, K::Boolean | K::Date | K::Time(_) | K::Null)
    };
    if !matches!(&a.values[0].data_type.kind, k if k.is_character() || *k == K::Null)
        || !a.values[1..].iter().all(|v| fits(&v.data_type.kind))
    {
        return Ok(None);
    }
    if a.values[0].data_type.kind == K::Null {
        a.coerce(0, &K::STRING.nullable())?;
    }
    Ok(Some(Resolved::new(K::STRING.nullable(), |args, rows| {
        let formats = Text::of(&args[0])?;
        let values = columns(&args[1..], rows_of(args, rows))?;
        let mut parsed: Option<(String, Option<Vec<Piece>>)> = None;
        build_text(args, rows, |row, out| {
            let Some(format) = formats.get(row) else {
                out.append_null();
                return Ok(());
            };
            if parsed.as_ref().is_none_or(|(f, _)| f != format) {
                parsed = Some((format.to_string(), parse(format)?));
            }
            let pieces = parsed.as_ref().and_then(|p| p.1.as_ref());
            match pieces.map(|pieces| write(pieces, &values, row)).transpose()?.flatten() {
                Some(text) => out.append_value(text),
                None => out.append_null(),
            }
            Ok(())
        })
    })))
}

/// A part of a format.
enum Piece {
    Plain(String),
    Spec(Spec),
}

/// `%[index$][flags][width][.precision]conversion`
struct Spec {
    /// From 0; `None` where it is the next one.
    index: Option<usize>,
    /// `%<s`: the one before again.
    again: bool,
    minus: bool,
    plus: bool,
    space: bool,
    zero: bool,
    comma: bool,
    bracket: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
    conversion: char,
}

/// `None` for what Java refuses.
fn parse(format: &str) -> Result<Option<Vec<Piece>>> {
    let mut pieces = vec![];
    let mut plain = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            plain.push(c);
            continue;
        }
        pieces.push(Piece::Plain(std::mem::take(&mut plain)));
        let mut spec = Spec {
            index: None,
            again: false,
            minus: false,
            plus: false,
            space: false,
            zero: false,
            comma: false,
            bracket: false,
            sharp: false,
            width: None,
            precision: None,
            conversion: ' ',
        };
        let number = |chars: &mut std::iter::Peekable<std::str::Chars>| -> Option<usize> {
            let mut digits = String::new();
            while let Some(d) = chars.next_if(char::is_ascii_digit) {
                digits.push(d);
            }
            digits.parse().ok()
        };
        // A number in front of `$` is an index, any other one a width.
        let mut ahead = chars.clone();
        if let (Some(n), Some('$')) = (number(&mut ahead), ahead.next())
            && n > 0
        {
            spec.index = Some(n - 1);
            chars = ahead;
        }
        while let Some(flag) = chars.next_if(|c| "-#+ 0,(<".contains(*c)) {
            let slot = match flag {
                '-' => &mut spec.minus,
                '#' => &mut spec.sharp,
                '+' => &mut spec.plus,
                ' ' => &mut spec.space,
                '0' => &mut spec.zero,
                ',' => &mut spec.comma,
                '(' => &mut spec.bracket,
                _ => &mut spec.again,
            };
            if std::mem::replace(slot, true) {
                return Ok(None);
            }
        }
        spec.width = number(&mut chars);
        if chars.next_if_eq(&'.').is_some() {
            let Some(precision) = number(&mut chars) else { return Ok(None) };
            spec.precision = Some(precision);
        }
        let Some(conversion) = chars.next() else { return Ok(None) };
        spec.conversion = conversion;
        limit(spec.width.unwrap_or(0).saturating_add(spec.precision.unwrap_or(0)))?;
        if ((spec.minus || spec.zero) && spec.width.is_none()) || (spec.minus && spec.zero) || (spec.plus && spec.space)
        {
            return Ok(None);
        }
        if matches!(conversion, 'h' | 'H' | 'a' | 'A' | 't' | 'T') {
            return Err(Error::user(format!("not supported yet: the conversion %{conversion} of PRINTF"))
                .hint("Use s, d, x, o, c, b, e, f or g"));
        }
        pieces.push(Piece::Spec(spec));
    }
    pieces.push(Piece::Plain(plain));
    Ok(Some(pieces))
}

/// `None` where a value is missing or does not fit its conversion.
fn write(pieces: &[Piece], values: &[ArrayRef], row: usize) -> Result<Option<String>> {
    let mut out = String::new();
    let (mut next, mut last) = (0, None);
    for piece in pieces {
        let spec = match piece {
            Piece::Plain(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Spec(spec) => spec,
        };
        match spec.conversion {
            '%' => {
                pad(spec, "%", &mut out);
                continue;
            }
            'n' => {
                out.push('\n');
                continue;
            }
            _ => {}
        }
        let at = match spec.index {
            Some(index) => index,
            None if spec.again => match last {
                Some(last) => last,
                None => return Ok(None),
            },
            None => {
                next += 1;
                next - 1
            }
        };
        last = Some(at);
        let Some(value) = values.get(at) else { return Ok(None) };
        let Some(shown) = convert(spec, value, row)? else { return Ok(None) };
        let upper = spec.conversion.is_ascii_uppercase();
        pad(spec, &if upper { shown.to_uppercase() } else { shown }, &mut out);
        limit(out.len())?;
    }
    Ok(Some(out))
}

fn pad(spec: &Spec, text: &str, out: &mut String) {
    let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    let blanks = " ".repeat(missing);
    if spec.minus {
        out.push_str(text);
        out.push_str(&blanks);
    } else {
        out.push_str(&blanks);
        out.push_str(text);
    }
}

fn convert(spec: &Spec, value: &ArrayRef, row: usize) -> Result<Option<String>> {
    let null = value.is_null(row) || *value.data_type() == DataType::Null;
    let cut = |text: String| match spec.precision {
        Some(count) => text.chars().take(count).collect(),
        None => text,
    };
    Ok(match spec.conversion.to_ascii_lowercase() {
        's' if spec.sharp => None,
        's' if null => Some(cut("null".to_string())),
        's' => Some(cut(plain(value, row)?)),
        'b' if null => Some(cut("false".to_string())),
        'b' => Some(cut(match value.data_type() {
            DataType::Boolean => value.as_boolean().value(row).to_string(),
            _ => "true".to_string(),
        })),
        'c' | 'd' | 'o' | 'x' if spec.precision.is_some() => None,
        'c' | 'd' | 'o' | 'x' if null => Some("null".to_string()),
        'e' | 'f' | 'g' if null => Some(cut("null".to_string())),
        'c' => integer(value, row).and_then(|n| char::from_u32(u32::try_from(n.0).ok()?)).map(String::from),
        'd' => integer(value, row).map(|(n, _)| signed(spec, n < 0, &n.unsigned_abs().to_string())),
        radix @ ('o' | 'x') if !(spec.comma || spec.plus || spec.space || spec.bracket) => {
            integer(value, row).map(|(n, bits)| {
                let bits = if bits == 64 { n as u64 } else { n as u64 & ((1 << bits) - 1) };
                let (prefix, digits) = match radix {
                    'o' => ("0", format!("{bits:o}")),
                    _ => ("0x", format!("{bits:x}")),
                };
                let prefix = if spec.sharp { prefix } else { "" };
                let zeroes = zeroes(spec, prefix.len() + digits.len());
                format!("{prefix}{zeroes}{digits}")
            })
        }
        'e' | 'f' | 'g' => match value.data_type() {
            DataType::Float32 => floating(spec, f64::from(value.as_primitive::<Float32Type>().value(row))),
            DataType::Float64 => floating(spec, value.as_primitive::<Float64Type>().value(row)),
            _ => None,
        },
        _ => None,
    })
}

/// As `String.valueOf` shows a value inside of Flink: a DATE is its number of days, a TIME its milliseconds.
fn plain(value: &ArrayRef, row: usize) -> Result<String> {
    Ok(match value.data_type() {
        DataType::Utf8 => value.as_string::<i32>().value(row).to_string(),
        DataType::Boolean => value.as_boolean().value(row).to_string(),
        DataType::Float32 => text::format_float(value.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => text::format_double(value.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => value.as_primitive::<Date32Type>().value(row).to_string(),
        DataType::Decimal128(_, scale) => {
            decimal::format(value.as_primitive::<Decimal128Type>().value(row), scale.unsigned_abs())
        }
        DataType::Timestamp(..) => {
            let nanos = to_nanos(&value.slice(row, 1))?.into_iter().next().flatten().unwrap_or(0);
            local_date_time(nanos)
        }
        _ => match integer(value, row) {
            Some((n, _)) => n.to_string(),
            None => return Err(Error::internal(format!("PRINTF of {}", value.data_type()))),
        },
    })
}

/// As Java's `LocalDateTime`: seconds only where there are some, the fraction in groups of three digits.
fn local_date_time(nanos: i128) -> String {
    let whole = text::format_timestamp(nanos, 9).replace(' ', "T");
    let (clock, fraction) = whole.split_at(whole.len() - 10);
    let fraction = match fraction {
        ".000000000" => "",
        f if f.ends_with("000000") => &f[..4],
        f if f.ends_with("000") => &f[..7],
        f => f,
    };
    match clock.strip_suffix(":00") {
        Some(minutes) if fraction.is_empty() => minutes.to_string(),
        _ => format!("{clock}{fraction}"),
    }
}

/// A whole number and the bits of its type.
fn integer(value: &ArrayRef, row: usize) -> Option<(i64, u32)> {
    Some(match value.data_type() {
        DataType::Int8 => (i64::from(value.as_primitive::<Int8Type>().value(row)), 8),
        DataType::Int16 => (i64::from(value.as_primitive::<Int16Type>().value(row)), 16),
        DataType::Int32 => (i64::from(value.as_primitive::<Int32Type>().value(row)), 32),
        DataType::Int64 => (value.as_primitive::<Int64Type>().value(row), 64),
        // Flink holds them as numbers: days, milliseconds of the day, months, milliseconds.
        DataType::Date32 => (i64::from(value.as_primitive::<Date32Type>().value(row)), 32),
        DataType::Time32(_) => (i64::from(value.as_primitive::<Time32MillisecondType>().value(row)), 32),
        DataType::Time64(TimeUnit::Microsecond) => {
            (value.as_primitive::<Time64MicrosecondType>().value(row) / 1_000, 32)
        }
        DataType::Time64(_) => (value.as_primitive::<Time64NanosecondType>().value(row) / 1_000_000, 32),
        DataType::Interval(IntervalUnit::YearMonth) => {
            (i64::from(value.as_primitive::<IntervalYearMonthType>().value(row)), 32)
        }
        DataType::Duration(_) => (value.as_primitive::<DurationMillisecondType>().value(row), 64),
        _ => return None,
    })
}

fn zeroes(spec: &Spec, written: usize) -> String {
    if spec.zero { "0".repeat(spec.width.unwrap_or(0).saturating_sub(written)) } else { String::new() }
}

/// A number with sign, groups of thousands and zeroes in front.
fn signed(spec: &Spec, negative: bool, magnitude: &str) -> String {
    let (whole, rest) = magnitude.split_at(magnitude.find(['.', 'e']).unwrap_or(magnitude.len()));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if spec.comma && i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let (before, behind) = match (negative, spec.bracket) {
        (true, true) => ("(", ")"),
        (true, false) => ("-", ""),
        (false, _) if spec.plus => ("+", ""),
        (false, _) if spec.space => (" ", ""),
        _ => ("", ""),
    };
    let zeroes = zeroes(spec, before.len() + grouped.len() + rest.len() + behind.len());
    format!("{before}{zeroes}{grouped}{rest}{behind}")
}

fn floating(spec: &Spec, value: f64) -> Option<String> {
    let negative = value.is_sign_negative() && !value.is_nan();
    if !value.is_finite() {
        let name = if value.is_nan() { "NaN" } else { "Infinity" };
        return Some(match (negative, spec.bracket) {
            (true, true) => format!("({name})"),
            (true, false) => format!("-{name}"),
            (false, _) if spec.plus && !value.is_nan() => format!("+{name}"),
            _ => name.to_string(),
        });
    }
    let precision = spec.precision.unwrap_or(6);
    let shown = match spec.conversion.to_ascii_lowercase() {
        'e' if spec.comma => return None,
        'e' => scientific(value.abs(), precision),
        'f' => fixed(value.abs(), precision),
        _ if spec.sharp => return None,
        _ => {
            // So many digits in all: plain from 10^-4 to 10^precision.
            let digits = precision.max(1);
            if value == 0.0 {
                fixed(0.0, digits - 1)
            } else {
                let rounded = Digits::of(value.abs()).rounded(digits);
                let exponent = rounded.exponent;
                if (-4..digits as i64).contains(&exponent) {
                    fixed(value.abs(), (digits as i64 - 1 - exponent).max(0) as usize)
                } else {
                    scientific(value.abs(), digits - 1)
                }
            }
        }
    };
    Some(signed(spec, negative, &shown))
}

/// The shortest digits of a number: `d.ddd * 10^exponent`. Java rounds those, not the binary number.
struct Digits {
    digits: Vec<u8>,
    exponent: i64,
}

impl Digits {
    fn of(value: f64) -> Digits {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        Digits {
            digits: mantissa.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect(),
            exponent: exponent.parse().unwrap_or(0),
        }
    }

    /// Half up to so many digits; to none the value is 0 or one unit of the next digit.
    fn rounded(mut self, count: usize) -> Digits {
        let up = self.digits.get(count).is_some_and(|d| *d >= 5);
        self.digits.resize(count, 0);
        if up {
            let mut i = count;
            loop {
                if i == 0 {
                    self.digits.insert(0, 1);
                    self.exponent += 1;
                    if count > 0 {
                        self.digits.pop();
                    }
                    break;
                }
                i -= 1;
                if self.digits[i] < 9 {
                    self.digits[i] += 1;
                    break;
                }
                self.digits[i] = 0;
            }
        }
        self
    }
}

fn characters(digits: &[u8]) -> String {
    digits.iter().map(|d| char::from(b'0' + d)).collect()
}

fn scientific(value: f64, precision: usize) -> String {
    let Digits { digits, exponent } = if value == 0.0 {
        Digits { digits: vec![0; precision + 1], exponent: 0 }
    } else {
        Digits::of(value).rounded(precision + 1)
    };
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}{point}{}e{sign}{:02}", characters(first), characters(rest), exponent.abs())
}

fn fixed(value: f64, precision: usize) -> String {
    let all = if value == 0.0 { Digits { digits: vec![], exponent: -1 } } else { Digits::of(value) };
    let kept = all.exponent + 1 + precision as i64;
    let Digits { digits, exponent } = match usize::try_from(kept) {
        Ok(kept) => all.rounded(kept),
        Err(_) => Digits { digits: vec![], exponent: -1 },
    };
    let place = |power: i64| {
        let at = exponent - power;
        usize::try_from(at).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0)
    };
    let whole: Vec<u8> = (0..=exponent.max(0)).rev().map(place).collect();
    let fraction: Vec<u8> = (1..=precision as i64).map(|p| place(-p)).collect();
    let point = if precision == 0 { "" } else { "." };
    format!("{}{point}{}", characters(&whole), characters(&fraction))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn formats_of_java() {
        const INT: &str = "INT";
        for (format, value, expected) in [
            ("%d", ("5", INT), "5"),
            ("%5d", ("5", INT), "    5"),
            ("%-5d|", ("5", INT), "5    |"),
            ("%05d", ("-5", INT), "-0005"),
            ("%+d", ("5", INT), "+5"),
            ("%,d", ("1234567", INT), "1,234,567"),
            ("%(d", ("-5", INT), "(5)"),
            ("%x", ("255", INT), "ff"),
            ("%X", ("255", INT), "FF"),
            ("%x", ("-1", "TINYINT"), "ff"),
            ("%o", ("8", INT), "10"),
            ("%#x", ("255", INT), "0xff"),
            ("%c", ("65", INT), "A"),
            ("%d", ("NULL", INT), "null"),
            ("%f", ("1", INT), "NULL"),
            ("%d", ("a", "STRING"), "NULL"),
            ("%q", ("1", INT), "NULL"),
            ("%d %d", ("1", INT), "NULL"),
            ("%1$d %1$d %<d", ("7", INT), "7 7 7"),
            ("%%", ("1", INT), "%"),
            ("abc", ("1", INT), "abc"),
            ("%.2f", ("1.005", "DOUBLE"), "1.01"),
            ("%.2f", ("1.005", "DECIMAL(4, 3)"), "NULL"),
            ("%10.3e", ("12345.678", "DOUBLE"), " 1.235e+04"),
            ("%e", ("0", "DOUBLE"), "0.000000e+00"),
            ("%g", ("0.0001", "DOUBLE"), "0.000100000"),
            ("%g", ("1234567", "DOUBLE"), "1.23457e+06"),
            ("%.0f", ("0.5", "DOUBLE"), "1"),
            ("%.0f", ("0.4", "DOUBLE"), "0"),
            ("%.3f", ("999.9996", "DOUBLE"), "1000.000"),
            ("%f", ("NaN", "DOUBLE"), "NaN"),
            ("%f", ("-Infinity", "DOUBLE"), "-Infinity"),
            ("%s", ("1.50", "DECIMAL(3, 2)"), "1.50"),
            ("%s", ("1.5", "DOUBLE"), "1.5"),
            ("%S", ("abc", "STRING"), "ABC"),
            ("%.2s|%5s", ("abc", "STRING"), "NULL"),
            ("%1$.2s|%1$5s", ("abc", "STRING"), "ab|  abc"),
            ("%s", ("true", "BOOLEAN"), "true"),
            ("%b", ("NULL", "BOOLEAN"), "false"),
            ("%.2f", ("NULL", "DOUBLE"), "nu"),
            ("%6.3g|", ("NULL", "DOUBLE"), "   nul|"),
            ("%.2d", ("NULL", INT), "NULL"),
            ("%s", ("2024-01-01", "DATE"), "19723"),
            ("%s", ("2024-01-01 00:00:00", "TIMESTAMP(0)"), "2024-01-01T00:00"),
            ("%s", ("2024-01-01 00:00:01.5", "TIMESTAMP(3)"), "2024-01-01T00:00:01.500"),
            ("%-d", ("5", INT), "NULL"),
            ("%h", ("5", INT), "ERROR not supported yet"),
            ("%999999999s", ("5", INT), "ERROR longer than"),
        ] {
            check(&[("PRINTF", &[(format, "STRING"), value], expected)]);
        }
    }
}
