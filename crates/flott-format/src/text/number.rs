//! Numbers as Java reads and writes them.

/// Eight ASCII digits in one word (the first digit in the lowest byte) to their number; `None` where a byte is no digit.
#[inline(always)]
fn eight_digits(word: u64) -> Option<u64> {
    let t = word ^ 0x3030_3030_3030_3030;
    if ((t.wrapping_add(0x7676_7676_7676_7676)) | t) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let t = t.wrapping_mul(10).wrapping_add(t >> 8);
    let high = (t & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let low = ((t >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    Some(high.wrapping_add(low) >> 32)
}

#[inline(always)]
fn word8(text: &[u8]) -> Option<u64> {
    text.first_chunk::<8>().map(|b| u64::from_le_bytes(*b))
}

/// One to sixteen digits.
#[inline(always)]
pub(crate) fn parse_digits16(text: &[u8]) -> Option<u64> {
    let len = text.len();
    match len {
        1..=3 => {
            let mut value = 0;
            for b in text {
                let d = b.wrapping_sub(b'0');
                if d > 9 {
                    return None;
                }
                value = value * 10 + u64::from(d);
            }
            Some(value)
        }
        4..=7 => {
            // Two overlapping halves make the word; equal bytes meet where they overlap.
            let low = u64::from(u32::from_le_bytes(*text.first_chunk::<4>()?));
            let high = u64::from(u32::from_le_bytes(*text.last_chunk::<4>()?));
            let word = low | high << (8 * (len - 4));
            let missing = 8 * (8 - len);
            eight_digits(word << missing | 0x3030_3030_3030_3030 & ((1 << missing) - 1))
        }
        8 => eight_digits(word8(text)?),
        9..=16 => {
            let (head, tail) = text.split_at(len - 8);
            let low = eight_digits(word8(tail)?)?;
            Some(parse_digits16(head)? * 100_000_000 + low)
        }
        _ => None,
    }
}

/// `Long.parseLong`: an optional sign and digits, nothing else, in range.
#[inline(always)]
pub(crate) fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.len() <= 16 {
        let value = parse_digits16(digits)? as i64;
        return Some(if negative { -value } else { value });
    }
    parse_long_digits(digits, negative)
}

#[cold]
fn parse_long_digits(digits: &[u8], negative: bool) -> Option<i64> {
    let mut value: i64 = 0;
    for b in digits {
        let d = b.wrapping_sub(b'0');
        if d > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(d))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// `Double.parseDouble` of a trimmed text (without Java's hexadecimal form).
#[inline]
pub(crate) fn parse_f64(text: &[u8]) -> Option<f64> {
    short_f64(text).or_else(|| java_float(text)?.parse().ok())
}

/// `Float.parseFloat` of a trimmed text (without Java's hexadecimal form).
pub(crate) fn parse_f32(text: &[u8]) -> Option<f32> {
    java_float(text)?.parse().ok()
}

/// At most 15 digits and no exponent: both mantissa and power of ten are exact, so one division rounds correctly.
#[inline]
fn short_f64(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut mantissa = 0u64;
    let mut point = None;
    for (i, b) in digits.iter().enumerate() {
        let d = b.wrapping_sub(b'0');
        if d <= 9 {
            mantissa = mantissa * 10 + u64::from(d);
        } else if *b == b'.' && point.is_none() {
            point = Some(i);
        } else {
            return None;
        }
    }
    let fraction = match point {
        Some(p) => digits.len() - p - 1,
        None => 0,
    };
    let count = digits.len() - usize::from(point.is_some());
    if count == 0 || count > 15 {
        return None;
    }
    let value = mantissa as f64 / POWERS_OF_TEN[fraction];
    Some(if negative { -value } else { value })
}

/// The text as Rust's parser takes it, where Java's would take it.
fn java_float(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return Some(text);
    }
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')).then_some(number)
}

/// Why a text is no decimal of a type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotADecimal;

/// `new BigDecimal(text)` brought to a type by `DecimalData.fromBigDecimal`: rounded half up, and `None` (NULL) where
/// it has more digits than the precision allows.
pub(crate) fn parse_decimal(text: &[u8], precision: u8, scale: u8) -> Result<Option<i128>, NotADecimal> {
    let (negative, rest) = match text.first().ok_or(NotADecimal)? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.iter().position(|b| *b == b'e' || *b == b'E') {
        None => (rest, 0),
        Some(at) => {
            let exponent = parse_i64(&rest[at + 1..]).and_then(|e| i32::try_from(e).ok()).ok_or(NotADecimal)?;
            (&rest[..at], i64::from(exponent))
        }
    };
    let (whole, fraction) = match mantissa.iter().position(|b| *b == b'.') {
        None => (mantissa, &mantissa[mantissa.len()..]),
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
    };
    let mut digits = whole.iter().chain(fraction).map(|b| b.wrapping_sub(b'0'));
    if whole.len() + fraction.len() == 0 || digits.clone().any(|d| d > 9) {
        return Err(NotADecimal);
    }
    // The digits before this index stay; the one at it decides the rounding.
    let keep = whole.len() as i64 + exponent + i64::from(scale);
    let mut value: i128 = 0;
    let mut index = 0i64;
    let mut round_up = false;
    for d in digits.by_ref() {
        if index >= keep {
            round_up = index == keep && d >= 5;
            break;
        }
        let Some(next) = value.checked_mul(10).and_then(|v| v.checked_add(i128::from(d))) else { return Ok(None) };
        value = next;
        index += 1;
    }
    while index < keep && value != 0 {
        let Some(next) = value.checked_mul(10) else { return Ok(None) };
        value = next;
        index += 1;
    }
    value += i128::from(round_up);
    if value >= 10i128.pow(u32::from(precision)) {
        return Ok(None);
    }
    Ok(Some(if negative { -value } else { value }))
}

/// A decimal with all digits of its scale, as `BigDecimal.toPlainString` prints it: `1.50`, `0.00`.
pub(crate) fn write_decimal_in_full(value: i128, scale: u8, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value.unsigned_abs()).as_bytes();
    let scale = usize::from(scale);
    let whole = digits.len().saturating_sub(scale);
    out.extend_from_slice(if whole == 0 { b"0" } else { &digits[..whole] });
    if scale > 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', scale.saturating_sub(digits.len())));
        out.extend_from_slice(&digits[whole..]);
    }
}

/// A decimal as `BigDecimal.stripTrailingZeros` and `toString` (or `toPlainString`) print it: `1.5`, `1E+5`.
pub(crate) fn write_decimal(value: i128, scale: u8, plain: bool, out: &mut Vec<u8>) {
    if value == 0 {
        out.push(b'0');
        return;
    }
    let mut unscaled = value.unsigned_abs();
    let mut scale = i32::from(scale);
    while unscaled.is_multiple_of(10) {
        unscaled /= 10;
        scale -= 1;
    }
    if value < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(unscaled).as_bytes();
    let adjusted = -scale + digits.len() as i32 - 1;
    if scale == 0 {
        out.extend_from_slice(digits);
    } else if !plain && (scale < 0 || adjusted < -6) {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.push(b'E');
        if adjusted > 0 {
            out.push(b'+');
        }
        out.extend_from_slice(itoa::Buffer::new().format(adjusted).as_bytes());
    } else if scale < 0 {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', scale.unsigned_abs() as usize));
    } else {
        let scale = scale as usize;
        if digits.len() > scale {
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        } else {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', scale - digits.len()));
            out.extend_from_slice(digits);
        }
    }
}

/// `Double.toString` / `Float.toString`: `1.0`, `1.0E10`, `NaN`, `-Infinity`.
pub(crate) fn write_java_float<F: zmij::Float + Copy + Into<f64>>(value: F, out: &mut Vec<u8>) {
    let wide: f64 = value.into();
    if wide.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if wide.is_infinite() {
        return out.extend_from_slice(if wide > 0.0 { b"Infinity" } else { b"-Infinity" });
    }
    if wide == 0.0 {
        return out.extend_from_slice(if wide.is_sign_negative() { b"-0.0" } else { b"0.0" });
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    let magnitude = wide.abs();
    let plain = (1e-3..1e7).contains(&magnitude);
    if plain && text.contains(&b'.') && !text.contains(&b'e') {
        return out.extend_from_slice(text);
    }
    // Any other layout: the digits without leading zeros, and the power of ten of the first.
    let text = if wide < 0.0 {
        out.push(b'-');
        &text[1..]
    } else {
        text
    };
    let (mantissa, exponent) = match text.iter().position(|b| *b == b'e') {
        None => (text, 0),
        Some(at) => (&text[..at], parse_i64(&text[at + 1..]).unwrap_or(0)),
    };
    let point = mantissa.iter().position(|b| *b == b'.').unwrap_or(mantissa.len());
    let all: Vec<u8> = mantissa.iter().copied().filter(|b| *b != b'.').collect();
    let leading = all.iter().take_while(|b| **b == b'0').count();
    let significant = &all[leading..];
    let trailing = significant.iter().rev().take_while(|b| **b == b'0').count();
    let digits = &significant[..significant.len() - trailing];
    // Number of digits before the point.
    let before = point as i64 - leading as i64 + exponent;
    if plain {
        if before <= 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', before.unsigned_abs() as usize));
            out.extend_from_slice(digits);
        } else {
            let before = before as usize;
            let whole = digits.len().min(before);
            out.extend_from_slice(&digits[..whole]);
            out.extend(std::iter::repeat_n(b'0', before - whole));
            out.push(b'.');
            out.extend_from_slice(if whole < digits.len() { &digits[whole..] } else { b"0" });
        }
    } else {
        out.push(digits[0]);
        out.push(b'.');
        out.extend_from_slice(if digits.len() > 1 { &digits[1..] } else { b"0" });
        out.push(b'E');
        out.extend_from_slice(itoa::Buffer::new().format(before - 1).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_are_javas() {
        for (text, value) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("+7", Some(7)),
            ("007", Some(7)),
            ("1234567", Some(1_234_567)),
            ("12345678", Some(12_345_678)),
            ("123456789012345", Some(123_456_789_012_345)),
            ("1234567890123456", Some(1_234_567_890_123_456)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("00000000000000000000000000005", Some(5)),
            ("", None),
            ("-", None),
            ("+", None),
            ("1.0", None),
            ("1 ", None),
            ("--1", None),
            ("12a45", None),
            ("1234567/", None),
            ("1234567:", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn decimals_round_half_up_and_become_null_when_too_large() {
        for (text, p, s, value) in [
            ("1.5", 10, 2, Ok(Some(150))),
            ("-1.005", 10, 2, Ok(Some(-101))),
            ("1.004", 10, 2, Ok(Some(100))),
            (".5", 3, 1, Ok(Some(5))),
            ("5.", 3, 1, Ok(Some(50))),
            ("+12", 3, 0, Ok(Some(12))),
            ("1e3", 5, 1, Ok(Some(10_000))),
            ("1E-3", 5, 2, Ok(Some(0))),
            ("5E-3", 5, 2, Ok(Some(1))),
            ("99.995", 4, 2, Ok(None)),
            ("123", 2, 0, Ok(None)),
            ("1e400", 38, 0, Ok(None)),
            ("0e400", 38, 0, Ok(Some(0))),
            ("1e-2147483647", 38, 18, Ok(Some(0))),
            ("1e2147483647", 38, 18, Ok(None)),
            ("0.3333333333333333333333333333333333333333333333333", 38, 2, Ok(Some(33))),
            ("99999999999999999999999999999999999999", 38, 0, Ok(Some(10i128.pow(38) - 1))),
            ("", 5, 0, Err(NotADecimal)),
            (".", 5, 0, Err(NotADecimal)),
            ("-", 5, 0, Err(NotADecimal)),
            ("1e", 5, 0, Err(NotADecimal)),
            ("1.2.3", 5, 0, Err(NotADecimal)),
            ("abc", 5, 0, Err(NotADecimal)),
            ("1e99999999999", 5, 0, Err(NotADecimal)),
        ] {
            assert_eq!(parse_decimal(text.as_bytes(), p, s), value, "{text}");
        }
    }

    #[test]
    fn decimals_are_printed_as_javas_big_decimals() {
        for (value, scale, text, plain) in [
            (0, 2, "0", "0"),
            (150, 2, "1.5", "1.5"),
            (10_000_000, 2, "1E+5", "100000"),
            (-12_300, 0, "-1.23E+4", "-12300"),
            (1, 6, "0.000001", "0.000001"),
            (1, 7, "1E-7", "0.0000001"),
            (12, 8, "1.2E-7", "0.00000012"),
            (7, 0, "7", "7"),
            (10, 0, "1E+1", "10"),
        ] {
            let mut out = vec![];
            write_decimal(value, scale, false, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
            out.clear();
            write_decimal(value, scale, true, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), plain);
        }
        for (value, scale, text) in [(0, 2, "0.00"), (150, 2, "1.50"), (-5, 3, "-0.005"), (-12_300, 0, "-12300")] {
            let mut out = vec![];
            write_decimal_in_full(value, scale, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }

    #[test]
    fn floats_are_printed_as_java_prints_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (100.0, "100.0"),
            (1234567.0, "1234567.0"),
            (9999999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1e10, "1.0E10"),
            (1.25e-5, "1.25E-5"),
            (0.001, "0.001"),
            (0.00099, "9.9E-4"),
            (123456789.125, "1.23456789125E8"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            let mut out = vec![];
            write_java_float(value, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
        let mut out = vec![];
        write_java_float(3.4e10f32, &mut out);
        out.push(b' ');
        write_java_float(0.1f32, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), "3.4E10 0.1");
    }

    #[test]
    fn float_words_are_javas() {
        assert!(parse_f64(b"NaN").is_some_and(f64::is_nan));
        assert_eq!(parse_f64(b"-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_f64(b"1.5d"), Some(1.5));
        assert_eq!(parse_f64(b".5"), Some(0.5));
        assert_eq!(parse_f64(b"5."), Some(5.0));
        for text in ["inf", "nan", "infinity", "", ".", "-", "1,5", "0x1p3", "1e", "d"] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn integers_come_back(v in any::<i64>()) {
            prop_assert_eq!(parse_i64(v.to_string().as_bytes()), Some(v));
        }

        #[test]
        fn bytes_agree_with_the_standard_parser(text in "[-+0-9a:/.]{0,24}") {
            prop_assert_eq!(parse_i64(text.as_bytes()), text.parse::<i64>().ok());
        }

        #[test]
        fn floats_come_back(v in any::<f64>(), w in any::<f32>(), short in -1_000_000i64..1_000_000, digits in 0u32..4) {
            for v in [v, short as f64 / 10f64.powi(digits as i32)] {
                let mut out = vec![];
                write_java_float(v, &mut out);
                let back = parse_f64(&out).expect("a float");
                prop_assert!(back.to_bits() == v.to_bits() || v.is_nan());
            }
            let mut out = vec![];
            write_java_float(w, &mut out);
            let back = parse_f32(&out).expect("a float");
            prop_assert!(back.to_bits() == w.to_bits() || w.is_nan());
        }

        #[test]
        fn decimals_come_back(v in any::<i64>(), scale in 0u8..19, plain in any::<bool>()) {
            let mut out = vec![];
            write_decimal(i128::from(v), scale, plain, &mut out);
            prop_assert_eq!(parse_decimal(&out, 38, scale), Ok(Some(i128::from(v))));
        }
    }
}
