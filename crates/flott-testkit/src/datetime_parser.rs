//! Dates, times, timestamps and intervals as Java's `toString` writes them (and as SQL does, with a blank for the `T`).

use flott_core::time_text::days_from_civil;

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Days since the epoch of `2020-01-31`.
pub(crate) fn date(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let mut parts = digits.split('-');
    let year: i64 = number(parts.next()?)?;
    let month = number(parts.next()?)?;
    let day = number(parts.next()?)?;
    if parts.next().is_some() || !(1..=12).contains(&month) || year > 999_999 {
        return None;
    }
    let year = if negative { -year } else { year };
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=days).contains(&day).then(|| days_from_civil(year, month as u32, day as u32))
}

fn number(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Nanoseconds of day of `12:00`, `12:00:01` or `12:00:01.5`.
fn nanos_of_day(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':');
    let (h, m) = (number(parts.next()?)?, number(parts.next()?)?);
    let s = parts.next().map_or(Some(0), number)?;
    if parts.next().is_some() || h > 23 || m > 59 || s > 59 || fraction.len() > 9 || (text.ends_with('.')) {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { number(&format!("{fraction:0<9}"))? };
    Some((h * 3_600 + m * 60 + s) * NANOS_PER_SECOND + nanos)
}

/// Units per second of the Arrow type for this precision.
fn units_per_second(precision: u8) -> i64 {
    match precision {
        0..=3 => 1_000,
        4..=6 => 1_000_000,
        _ => NANOS_PER_SECOND,
    }
}

pub(crate) fn time(text: &str, precision: u8) -> Option<i64> {
    Some(nanos_of_day(text)? / (NANOS_PER_SECOND / units_per_second(precision)))
}

pub(crate) fn timestamp(text: &str, precision: u8) -> Option<i64> {
    let at = text.find(['T', ' '])?;
    let (days, nanos) = (date(&text[..at])?, nanos_of_day(&text[at + 1..])?);
    let units = units_per_second(precision);
    days.checked_mul(SECONDS_PER_DAY)?.checked_mul(units)?.checked_add(nanos / (NANOS_PER_SECOND / units))
}

/// An instant: with `Z`, or without as UTC.
pub(crate) fn instant(text: &str, precision: u8) -> Option<i64> {
    timestamp(text.strip_suffix('Z').unwrap_or(text), precision)
}

/// Months of `P1Y2M`, of `+1-02`, or a plain number of months.
pub(crate) fn period_months(text: &str) -> Option<i64> {
    if let Some(rest) = text.strip_prefix('P') {
        let mut months = 0;
        for (n, unit) in amounts(rest)? {
            let n: i64 = n.parse().ok()?;
            months += match unit {
                'Y' => n * 12,
                'M' => n,
                'D' if n == 0 => 0,
                _ => return None,
            };
        }
        return Some(months);
    }
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    match digits.split_once('-') {
        Some((y, m)) => Some(sign * (number(y)? * 12 + number(m)?)),
        None => Some(sign * number(digits)?),
    }
}

/// Milliseconds of `PT1H2M3.5S`, or a plain number of milliseconds.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    let Some(rest) = text.strip_prefix('P') else { return text.parse().ok() };
    let (days, clock) = rest.split_once('T').unwrap_or((rest, ""));
    let mut ms = 0;
    for (n, unit) in amounts(days)? {
        match unit {
            'D' => ms += n.parse::<i64>().ok()? * SECONDS_PER_DAY * 1_000,
            _ => return None,
        }
    }
    for (n, unit) in amounts(clock)? {
        ms += match unit {
            'H' => n.parse::<i64>().ok()? * 3_600_000,
            'M' => n.parse::<i64>().ok()? * 60_000,
            'S' => seconds_ms(n)?,
            _ => return None,
        };
    }
    Some(ms)
}

fn seconds_ms(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let fraction = number(&format!("{fraction:0<3}")[..3])?;
    let ms = whole.parse::<i64>().ok()? * 1_000;
    Some(if whole.starts_with('-') { ms - fraction } else { ms + fraction })
}

/// `1Y-2M` as [("1", 'Y'), ("-2", 'M')].
fn amounts(text: &str) -> Option<Vec<(&str, char)>> {
    let mut found = vec![];
    let mut rest = text;
    while !rest.is_empty() {
        let at = rest.find(|c: char| c.is_ascii_uppercase())?;
        found.push((&rest[..at], rest[at..].chars().next()?));
        rest = &rest[at + 1..];
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_texts() {
        assert_eq!(date("1970-01-02"), Some(1));
        assert_eq!(date("2021-02-29"), None);
        assert_eq!(date("2020-1"), None);
        assert_eq!(time("00:01", 0), Some(60_000));
        assert_eq!(time("00:00:00.123456", 6), Some(123_456));
        assert_eq!(time("24:00", 0), None);
        assert_eq!(timestamp("1970-01-01T00:00", 3), Some(0));
        assert_eq!(timestamp("1970-01-01 00:00:01.5", 3), Some(1_500));
        assert_eq!(timestamp("1969-12-31T23:59:59.999", 3), Some(-1));
        assert_eq!(timestamp("1970-01-01T00:00:00.000000001", 9), Some(1));
        assert_eq!(timestamp("9999-12-31T00:00", 9), None);
        assert_eq!(instant("1970-01-01T00:00:00.001Z", 3), Some(1));
        assert_eq!(period_months("P1Y2M"), Some(14));
        assert_eq!(period_months("P0D"), Some(0));
        assert_eq!(period_months("-1-02"), Some(-14));
        assert_eq!(duration_ms("PT1M2.5S"), Some(62_500));
        assert_eq!(duration_ms("PT-0.5S"), Some(-500));
        assert_eq!(duration_ms("P1D"), Some(86_400_000));
    }
}
