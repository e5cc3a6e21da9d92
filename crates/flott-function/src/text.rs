//! Values as text and back, as Flink's casts write and read them.

use chrono::{LocalResult, NaiveDateTime, Offset, TimeZone};
use flott_core::SessionZone;
use flott_core::java_number::{write_double, write_float};
use flott_core::time_text::{civil_from_days, days_from_civil};

/// Nanoseconds of a day.
pub const DAY_NS: i128 = 86_400_000_000_000;
const DAY_MS: i64 = 86_400_000;

/// `2020-01-01` of days since the epoch.
pub fn format_date(days: i32) -> String {
    let (y, m, d) = civil_from_days(i64::from(days));
    format!("{y:04}-{m:02}-{d:02}")
}

/// `12:34:56[.fraction]` of nanoseconds of the day.
pub fn format_time(nanos: i64, precision: u8) -> String {
    let (s, f) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let text = format!("{:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60);
    with_fraction(text, f, precision)
}

/// A TIME as text. As in Flink, zeros at the end of a fraction are left out, but for the first digit.
pub fn format_time_of_day(nanos: i64, precision: u8) -> String {
    let mut text = format_time(nanos, precision);
    if precision > 0 {
        let digits = text.trim_end_matches('0').len();
        text.truncate(if text[..digits].ends_with('.') { digits + 1 } else { digits });
    }
    text
}

/// `2020-01-01 12:34:56[.fraction]` of nanoseconds since the epoch.
pub fn format_timestamp(nanos: i128, precision: u8) -> String {
    let (days, rest) = (nanos.div_euclid(DAY_NS), nanos.rem_euclid(DAY_NS));
    format!("{} {}", format_date(i32::try_from(days).unwrap_or(i32::MAX)), format_time(rest as i64, precision))
}

fn with_fraction(text: String, nanos: i64, precision: u8) -> String {
    if precision == 0 {
        return text;
    }
    let digits = format!("{nanos:09}");
    format!("{text}.{}", &digits[..usize::from(precision.min(9))])
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from).collect()
}

/// A number of plain digits.
fn digits(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Days since the epoch of `2020-01-01`, `2020-1-1`, `2020-1` or `2020`, with or without a space and a time behind it.
pub fn parse_date(text: &str) -> Option<i32> {
    let date = match text.split_once(' ') {
        Some((date, _)) if !date.is_empty() => date,
        _ => text,
    };
    let mut parts = date.splitn(3, '-').map(|p| digits(p.trim()));
    let year = parts.next()??;
    let (month, day) = (parts.next().unwrap_or(Some(1))?, parts.next().unwrap_or(Some(1))?);
    let fits = year <= 9_999 && valid_date(i64::from(year), month, day);
    fits.then(|| i32::try_from(days_from_civil(i64::from(year), month, day)).ok())?
}

/// Whether the day exists.
pub fn valid_date(year: i64, month: u32, day: u32) -> bool {
    (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month)
}

/// How long the month is.
pub fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Nanoseconds of the day of `12:34[:56[.789]]`, of milliseconds that are rounded. What follows a sign is an offset.
pub fn parse_time(text: &str) -> Option<i64> {
    let (clock, sign, offset) = match text.find('-').map(|at| (at, -1)).or_else(|| text.find('+').map(|at| (at, 1))) {
        Some((at, sign)) => (&text[..at], sign, Some(&text[at + 1..])),
        None => (text, 0, None),
    };
    let number = |t: &str| digits(java_trim(t)).map(i64::from);
    let (offset_hour, offset_minute) = match offset.map(|o| o.split_once(':')) {
        None => (0, 0),
        Some(None) => (number(offset?)?, 0),
        Some(Some((hour, minute))) => (number(hour)?, number(minute)?),
    };
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, second) = (parts.next()?, parts.next(), parts.next());
    // Colons are counted from the start of the text.
    if second.is_none() && offset.is_some_and(|o| o.contains(':')) {
        return None;
    }
    let (hour, minute) = (number(hour)?, minute.map_or(Some(0), number)?);
    let (second, millis) = match second.map(|s| s.split_once('.').unwrap_or((s, ""))) {
        None => (0, 0),
        Some((second, fraction)) => (number(second)?, rounded_millis(java_trim(fraction))),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let minutes = (hour + sign * offset_hour) * 60 + minute + sign * offset_minute;
    let of_day = minutes * 60_000 + second * 1_000 + millis;
    // What is rounded up to a day's end is no time of that day; what an offset carries there is one of the next.
    if millis == 1_000 && of_day > 0 && of_day % DAY_MS == 0 {
        return None;
    }
    Some(of_day.rem_euclid(DAY_MS) * 1_000_000)
}

/// What Java's `trim` leaves.
fn java_trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

/// Milliseconds of the digits of a fraction, by the fourth of them rounded; what is no digit counts as 0.
fn rounded_millis(fraction: &str) -> i64 {
    let mut chars = fraction.chars().map(|c| i64::from(c.to_digit(10).unwrap_or(0)));
    let mut next = || chars.next().unwrap_or(0);
    next() * 100 + next() * 10 + next() + i64::from(fraction.chars().nth(3).is_some_and(|c| c >= '5'))
}

/// Nanoseconds since the epoch of `2020-01-01[ 12:34:56[.789]]`; fields of one digit are fine, and but for the year none at
/// all, since Java's pattern has each in brackets: `[MM][M]`.
///
/// As Java's default resolver does, the 30th of February is its last day; the 32nd is none. 24:00:00 ends a day.
pub fn parse_timestamp(text: &str) -> Option<i128> {
    let (date, time) = match text.split_once(' ') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    // Of more than four digits it has a sign.
    let year = match year.strip_prefix('+') {
        Some(long) if long.len() > 4 => long,
        None if year.len() == 4 => year,
        _ => return None,
    };
    if parts.next().is_some() || year.len() > 9 {
        return None;
    }
    let year = i64::from(digits(year)?);
    let field = |text: &str, range: std::ops::RangeInclusive<u32>| match text.len() {
        0 => Some(None),
        1 | 2 => digits(text).filter(|n| range.contains(n)).map(Some),
        _ => None,
    };
    let (month, day) = (field(month, 1..=12)?, field(day, 1..=31)?);
    let last = days_in_month(year, month.unwrap_or(1));
    let days = days_from_civil(year, month.unwrap_or(1), day.unwrap_or(1).min(last));
    if year == 0 {
        return None;
    }
    let Some(time) = time else { return Some(i128::from(days) * DAY_NS) };
    let (clock, fraction) = match time.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (time, None),
    };
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = |f: &str| f.len() <= 9 && f.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || !fraction.is_none_or(fits) {
        return None;
    }
    let (hour, minute, second) = (field(hour, 0..=24)?, field(minute, 0..=59)?, field(second, 0..=59)?);
    let fraction = fraction.unwrap_or_default();
    let nanos = i128::from(digits(fraction).unwrap_or(0)) * 10i128.pow(9 - fraction.len() as u32);
    let rest = minute.unwrap_or(0) * 60 + second.unwrap_or(0);
    let is_whole = minute.is_some() || second.is_none();
    // The midnight after a day of which something is missing is that before.
    let hour = match hour {
        Some(24) if rest > 0 || nanos > 0 || !is_whole => return None,
        Some(24) if month.is_none() || day.is_none() => 0,
        hour => hour.unwrap_or(0),
    };
    let seconds = i128::from(hour * 3_600 + rest);
    Some(i128::from(days) * DAY_NS + seconds * 1_000_000_000 + nanos)
}

/// The instant of a local time, in seconds: in a gap the time after it, in an overlap the earlier one, as Java does.
pub fn local_to_utc(zone: SessionZone, local_seconds: i64) -> i64 {
    if zone.is_utc() {
        return local_seconds;
    }
    let Some(local) = naive(local_seconds) else { return local_seconds };
    match zone.from_local_datetime(&local) {
        LocalResult::Single(t) | LocalResult::Ambiguous(t, _) => t.timestamp(),
        LocalResult::None => {
            // The offset before the gap carries the time past it.
            let day_before = local.checked_sub_signed(chrono::Duration::hours(24)).unwrap_or(local);
            let before = zone.offset_from_utc_datetime(&day_before);
            local_seconds - i64::from(before.fix().local_minus_utc())
        }
    }
}

/// The local time of an instant, in seconds.
pub fn utc_to_local(zone: SessionZone, seconds: i64) -> i64 {
    if zone.is_utc() {
        return seconds;
    }
    naive(seconds).map_or(seconds, |t| seconds + i64::from(zone.offset_from_utc_datetime(&t).fix().local_minus_utc()))
}

fn naive(seconds: i64) -> Option<NaiveDateTime> {
    chrono::DateTime::from_timestamp(seconds, 0).map(|t| t.naive_utc())
}

/// `true`, `t`, `yes`, `y`, `1` and their opposites, in any case; with blanks it is none of them.
pub fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// As Java's `Double.toString`: `1.0`, `1.0E10`, `1.0E-5`, `NaN`, `Infinity`.
pub fn format_double(value: f64) -> String {
    let mut text = String::new();
    write_double(value, &mut text);
    text
}

/// As Java's `Float.toString`.
pub fn format_float(value: f32) -> String {
    let mut text = String::new();
    write_float(value, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_in_java() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (-0.0, "-0.0"),
            (1.25e-10, "1.25E-10"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::MAX, "1.7976931348623157E308"),
            (123.456, "123.456"),
            (5e-324, "4.9E-324"),
            (1e-323, "9.9E-324"),
            (1e23, "1.0E23"),
            (2e-3, "0.002"),
            (-0.5, "-0.5"),
            (2e22, "2.0E22"),
        ] {
            assert_eq!(format_double(value), text);
        }
        assert_eq!(format_float(1.1), "1.1");
        assert_eq!(format_float(1e-45), "1.4E-45");
    }

    #[test]
    fn dates_and_times_round_trip() {
        for (nanos, precision, text) in
            [(100_000_000, 3, "00:00:00.1"), (0, 3, "00:00:00.0"), (123_000_000, 5, "00:00:00.123"), (0, 0, "00:00:00")]
        {
            assert_eq!(format_time_of_day(nanos, precision), text);
        }
        assert_eq!(parse_date("2020-02-30"), None);
        assert_eq!(parse_date("2020-2-3").map(format_date).as_deref(), Some("2020-02-03"));
        assert_eq!(parse_timestamp("1969-12-31 23:59:59.5"), Some(-500_000_000));
        assert_eq!(format_timestamp(-500_000_000, 3), "1969-12-31 23:59:59.500");
        for (text, expected) in [
            ("24:00:00", None),
            ("12", Some("12:00:00.000")),
            (" 1 : 2 ", Some("01:02:00.000")),
            ("01:02:03.4567", Some("01:02:03.457")),
            ("01:02:03+01:00", Some("02:02:03.000")),
            ("01:02:03-2", Some("23:02:03.000")),
            ("23:59:59.9994", Some("23:59:59.999")),
            ("23:59:59.9996", None),
            ("22:59:59.9996+01:00", None),
            ("00:59:59.9996-01:00", Some("00:00:00.000")),
            ("12:59:59.9996", Some("13:00:00.000")),
            ("01:02+01:00", None),
            ("01:02:03:04", None),
        ] {
            assert_eq!(parse_time(text).map(|n| format_time(n, 3)).as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("2020-01-01 10:00:00", Some("2020-01-01 10:00:00")),
            ("2020-1-1 1:2:3", Some("2020-01-01 01:02:03")),
            ("2020-02-30", Some("2020-02-29 00:00:00")),
            ("2020-01-01 10:00:00.123456789", Some("2020-01-01 10:00:00")),
            ("2020-01-01 10:00:00.1234567890", None),
            ("2020-01-01T10:00:00", None),
            ("2020-01-01 10:00", None),
            ("2020-01-01 24:00:00", Some("2020-01-02 00:00:00")),
            ("2020-01-01 24:00:01", None),
            ("2020-01-01 :30:", Some("2020-01-01 00:30:00")),
            ("2020-02-", Some("2020-02-01 00:00:00")),
            ("2020-01-01 10:00:00.", Some("2020-01-01 10:00:00")),
            ("+12020-01-01", Some("12020-01-01 00:00:00")),
            ("12020-01-01", None),
            ("0000-01-01", None),
            ("2020/01/01", None),
            ("2020-02-32", None),
            ("123", None),
            ("", None),
        ] {
            assert_eq!(parse_timestamp(text).map(|n| format_timestamp(n, 0)).as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("123", Some("0123-01-01")),
            ("2021-09-27 12:34:56.123456789", Some("2021-09-27")),
            ("2021/09/27", None),
            ("foo", None),
            ("", None),
            ("-1", None),
            ("10000-01-01", None),
        ] {
            assert_eq!(parse_date(text).map(format_date).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn local_times_in_gaps_and_overlaps() {
        let berlin = SessionZone::parse("Europe/Berlin").expect("a zone");
        let seconds = |t: &str| (parse_timestamp(t).expect("a time") / 1_000_000_000) as i64;
        assert_eq!(local_to_utc(berlin, seconds("2024-07-01 12:00:00")), seconds("2024-07-01 10:00:00"));
        assert_eq!(local_to_utc(berlin, seconds("2024-03-31 02:30:00")), seconds("2024-03-31 01:30:00"));
        assert_eq!(local_to_utc(berlin, seconds("2024-10-27 02:30:00")), seconds("2024-10-27 00:30:00"));
        assert_eq!(utc_to_local(berlin, seconds("2024-10-27 00:30:00")), seconds("2024-10-27 02:30:00"));
    }
}
