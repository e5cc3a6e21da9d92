//! Decimals as Flink computes them: exact, rounded half up, NULL where the result does not fit.

use arrow_buffer::i256;

/// `10^n`, n <= 38.
pub fn pow10(n: u32) -> i128 {
    10i128.pow(n.min(38))
}

/// Whether a value has at most so many digits.
pub fn fits(value: i128, precision: u8) -> bool {
    value.unsigned_abs() < pow10(u32::from(precision)).unsigned_abs()
}

/// A value at another scale, rounded half up; `None` where it does not fit.
pub fn rescale(value: i128, from: u8, to: u8, precision: u8) -> Option<i128> {
    let scaled = if to >= from {
        value.checked_mul(pow10(u32::from(to - from)))?
    } else {
        divide_half_up(value, pow10(u32::from(from - to)))
    };
    fits(scaled, precision).then_some(scaled)
}

/// Division rounded half away from zero (`RoundingMode.HALF_UP`). The divisor is not zero.
pub fn divide_half_up(value: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (value / divisor, value % divisor);
    let up = remainder.unsigned_abs() >= divisor.unsigned_abs() - remainder.unsigned_abs();
    if remainder != 0 && up { quotient + if (value < 0) == (divisor < 0) { 1 } else { -1 } } else { quotient }
}

/// The product at the result's scale.
pub fn multiply(a: i128, b: i128, scale: u8, result_scale: u8, precision: u8) -> Option<i128> {
    match a.checked_mul(b) {
        Some(product) => rescale(product, scale, result_scale, precision),
        None => {
            // More than 38 digits on the way: once more with twice the width.
            let product = i256::from_i128(a).checked_mul(i256::from_i128(b))?;
            to_scale(product, scale, result_scale, precision)
        }
    }
}

/// The quotient at the result's scale; the divisor is not zero.
pub fn divide(a: i128, sa: u8, b: i128, sb: u8, result_scale: u8, precision: u8) -> Option<i128> {
    // a / 10^sa / (b / 10^sb) * 10^r = a * 10^(r + sb - sa) / b
    let shift = i32::from(result_scale) + i32::from(sb) - i32::from(sa);
    if (0..=38).contains(&shift)
        && let Some(n) = a.checked_mul(pow10(shift.unsigned_abs()))
    {
        let quotient = divide_half_up(n, b);
        return fits(quotient, precision).then_some(quotient);
    }
    let (mut n, mut d) = (i256::from_i128(a), i256::from_i128(b));
    if shift >= 0 {
        let (first, second) = (shift.min(38) as u32, (shift - shift.min(38)) as u32);
        n = n.checked_mul(i256::from_i128(pow10(first)))?.checked_mul(i256::from_i128(pow10(second)))?;
    } else {
        d = d.checked_mul(i256::from_i128(pow10(shift.unsigned_abs())))?;
    }
    narrow(divide_wide(n, d)?, precision)
}

/// The sum at the result's scale.
pub fn add(a: i128, sa: u8, b: i128, sb: u8, result_scale: u8, precision: u8) -> Option<i128> {
    let common = sa.max(sb);
    let widen = |v: i128, s: u8| i256::from_i128(v).checked_mul(i256::from_i128(pow10(u32::from(common - s))));
    let sum = widen(a, sa)?.checked_add(widen(b, sb)?)?;
    to_scale(sum, common, result_scale, precision)
}

/// The remainder at the result's scale, with the dividend's sign; the divisor is not zero.
pub fn remainder(a: i128, sa: u8, b: i128, sb: u8, result_scale: u8, precision: u8) -> Option<i128> {
    let common = sa.max(sb);
    let widen = |v: i128, s: u8| i256::from_i128(v).checked_mul(i256::from_i128(pow10(u32::from(common - s))));
    let rest = widen(a, sa)?.checked_rem(widen(b, sb)?)?;
    to_scale(rest, common, result_scale, precision)
}

fn to_scale(value: i256, from: u8, to: u8, precision: u8) -> Option<i128> {
    if to >= from {
        return narrow(value.checked_mul(i256::from_i128(pow10(u32::from(to - from))))?, precision);
    }
    narrow(divide_wide(value, i256::from_i128(pow10(u32::from(from - to))))?, precision)
}

fn divide_wide(value: i256, divisor: i256) -> Option<i256> {
    let quotient = value.checked_div(divisor)?;
    let remainder = value.checked_rem(divisor)?;
    let zero = i256::from_i128(0);
    if remainder == zero {
        return Some(quotient);
    }
    let abs = |x: i256| if x < zero { x.checked_neg() } else { Some(x) };
    let (r, d) = (abs(remainder)?, abs(divisor)?);
    let up = r >= d.checked_sub(r)?;
    let one = i256::from_i128(if (value < zero) == (divisor < zero) { 1 } else { -1 });
    if up { quotient.checked_add(one) } else { Some(quotient) }
}

fn narrow(value: i256, precision: u8) -> Option<i128> {
    value.to_i128().filter(|v| fits(*v, precision))
}

/// As Flink prints it: all digits of the scale.
pub fn format(value: i128, scale: u8) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    let scale = usize::from(scale);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// A text such as `-12.5` or `1e3` as a decimal of this type, rounded half up; `None` where it is none or does not fit.
pub fn parse(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let text = text.trim();
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(i) => (&text[..i], text[i + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Position of the last digit relative to the wanted scale.
    let shift = i64::from(scale) + i64::from(exponent) - i64::try_from(fraction.len()).ok()?;
    let all = format!("{whole}{fraction}");
    let all = all.trim_start_matches('0');
    let kept = i64::try_from(all.len()).ok()? + shift.min(0);
    if kept < 0 {
        return Some(0);
    }
    if kept + shift.max(0) > 39 {
        return None;
    }
    let (keep, rest) = all.split_at(usize::try_from(kept).ok()?);
    let mut value: i128 = if keep.is_empty() { 0 } else { keep.parse().ok()? };
    if shift > 0 {
        value = value.checked_mul(10i128.checked_pow(u32::try_from(shift).ok()?)?)?;
    }
    if rest.as_bytes().first().is_some_and(|d| *d >= b'5') {
        value += 1;
    }
    fits(value, precision).then_some(if negative { -value } else { value })
}

/// The whole part of a number's text, cut towards zero; `None` where it is none.
pub fn parse_truncated(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.')?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match whole {
        "" | "+" | "-" => (!fraction.is_empty()).then_some(0),
        _ => whole.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_half_up() {
        for (text, expected) in [
            ("12.345", Some(1235)),
            ("-12.345", Some(-1235)),
            (" 7 ", Some(700)),
            ("1e2", Some(10_000)),
            ("0.004", Some(0)),
            ("0.005", Some(1)),
            ("99999999.994", Some(9_999_999_999)),
            ("99999999.995", None),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("abc", None),
            ("1e999999", None),
        ] {
            assert_eq!(parse(text, 10, 2), expected, "{text}");
        }
        assert_eq!(format(-5, 2), "-0.05");
        assert_eq!(format(1235, 2), "12.35");
    }

    #[test]
    fn arithmetic_rounds_and_overflows_to_nothing() {
        assert_eq!(divide(100, 2, 300, 2, 6, 38), Some(333_333));
        assert_eq!(divide(200, 2, 300, 2, 6, 38), Some(666_667));
        assert_eq!(multiply(pow10(37), pow10(37), 0, 0, 38), None);
        assert_eq!(divide_half_up(-15, 10), -2);
        assert_eq!(rescale(150, 1, 0, 38), Some(15));
        assert_eq!(rescale(pow10(37), 0, 5, 38), None);
    }
}
