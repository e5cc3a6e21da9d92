//! Numbers in hexadecimal with a binary exponent, as literals of Java: `0x1.8p1` is 3.

/// Hex digits of the significand that are kept; of the others it counts whether one is not 0.
const DIGITS_MAX: u32 = 15;
/// An exponent beyond this is as far as any.
const EXPONENT_MAX: i64 = 1 << 40;

/// The number nearest to a text, of two that are as near the even one. `None` where it is no such text.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let (negative, text) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let (significand, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = significand.split_once('.').unwrap_or((significand, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut exponent = parse_exponent(exponent)?;
    let (mut bits, mut kept, mut is_more) = (0u64, 0, false);
    for (i, c) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(c.to_digit(16)?);
        let is_fraction = i >= whole.len();
        if kept < DIGITS_MAX {
            bits = bits << 4 | digit;
            kept += u32::from(bits != 0);
            exponent -= if is_fraction { 4 } else { 0 };
        } else {
            is_more |= digit != 0;
            exponent += if is_fraction { 0 } else { 4 };
        }
    }
    let magnitude = rounded(bits, is_more, exponent);
    Some(if negative { -magnitude } else { magnitude })
}

fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for c in digits.chars() {
        value = (value * 10 + i64::from(c.to_digit(10)?)).min(EXPONENT_MAX);
    }
    Some(if negative { -value } else { value })
}

/// `bits * 2^exponent`, and a little more than that where `is_more`.
fn rounded(bits: u64, is_more: bool, exponent: i64) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let length = i64::from(u64::BITS - bits.leading_zeros());
    let highest = length - 1 + exponent;
    if highest > 1023 {
        return f64::INFINITY;
    }
    // Below the least normal number there are fewer bits.
    let precision = 53 - (-1022 - highest).max(0);
    let dropped = (length - precision).clamp(0, 63);
    let (mut kept, rest) = (bits >> dropped, bits & ((1u64 << dropped) - 1));
    if dropped > 0 {
        let half = 1u64 << (dropped - 1);
        kept += u64::from(rest > half || rest == half && (is_more || kept & 1 == 1));
    }
    if kept == 0 {
        return 0.0;
    }
    // What is left is exact: in two steps, since 2^-1074 is no normal number.
    let exponent = i32::try_from(exponent + dropped).unwrap_or(i32::MIN);
    let first = exponent.max(-1000);
    kept as f64 * 2f64.powi(first) * 2f64.powi(exponent - first)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn literals_of_java() {
        for (text, expected) in [
            ("0x1p3", 8.0),
            ("0X1.8P1", 3.0),
            ("-0x.8p0", -0.5),
            ("+0x1.p-2", 0.25),
            ("0xFFp+0", 255.0),
            ("0x0p99999999999", 0.0),
            ("0x1p99999999999", f64::INFINITY),
            ("0x1p-99999999999", 0.0),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x1.fffffffffffff8p1023", f64::INFINITY),
            ("0x1p-1074", f64::from_bits(1)),
            // A half of the least goes to 0, more than that does not.
            ("0x1p-1075", 0.0),
            ("0x1.0000000000000000000001p-1075", f64::from_bits(1)),
            ("0x1.8p-1075", f64::from_bits(1)),
            ("0x1p-1022", f64::MIN_POSITIVE),
            ("0x0.fffffffffffffp-1022", f64::from_bits((1 << 52) - 1)),
            // To the even one of two.
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000000001p0", 1.0 + f64::EPSILON),
            ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
            ("0x100000000000000000000000000p-100", 16.0),
        ] {
            let parsed = parse(text).map(f64::to_bits);
            assert_eq!(parsed, Some(f64::to_bits(expected)), "{text}: {:?}", parse(text));
        }
        assert!(parse("-0x0p0").is_some_and(|zero| zero == 0.0 && zero.is_sign_negative()));
        for text in ["0x1", "0xp1", "0x.p1", "0x1p", "0x1p+", "1p3", "0x1.2.3p1", "0xgp1", "0x1p1.5", "", "0x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
