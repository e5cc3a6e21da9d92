//! Dates, times and timestamps as Java reads and writes them.

use arrow_schema::TimeUnit;
use flott_core::time_text::{civil_from_days, days_from_civil};

use super::number::parse_digits16;

/// Nanoseconds of a day.
#[cfg(test)]
pub(crate) const DAY_NANOS: i64 = 86_400_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// How a time is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeStyle {
    /// `HH:mm:ss[.fraction]`
    Sql,
    /// `HH:mm[:ss[.fraction]]`, Java's `ISO_LOCAL_TIME`.
    Iso,
}

/// Steps of a unit in one second.
pub(crate) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

fn checked_days(year: i64, month: u32, day: u32) -> Option<i32> {
    if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    i32::try_from(days_from_civil(year, month, day)).ok()
}

/// Days since 1970 of `yyyy-MM-dd` (years of more than four digits carry a sign, as in Java's `ISO_LOCAL_DATE`).
pub(crate) fn parse_date(text: &[u8]) -> Option<i32> {
    if let [y @ .., b'-', m1, m2, b'-', d1, d2] = text {
        let number = |d: &[u8]| parse_digits16(d).and_then(|v| i64::try_from(v).ok());
        let year = match y {
            [_, _, _, _] => number(y)?,
            [b'+', digits @ ..] if (5..=9).contains(&digits.len()) => number(digits)?,
            [b'-', digits @ ..] if (4..=9).contains(&digits.len()) => -number(digits)?,
            _ => return None,
        };
        return checked_days(year, number(&[*m1, *m2])? as u32, number(&[*d1, *d2])? as u32);
    }
    None
}

/// `java.sql.Date.valueOf`: month and day may have one digit. Days that do not exist are refused.
pub(crate) fn parse_sql_date(text: &[u8]) -> Option<i32> {
    if let Some(days) = parse_date(text) {
        return Some(days);
    }
    let mut parts = text.split(|b| *b == b'-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 || month.len() > 2 || day.len() > 2 {
        return None;
    }
    checked_days(parse_digits16(year)? as i64, parse_digits16(month)? as u32, parse_digits16(day)? as u32)
}

/// Nanoseconds since midnight.
pub(crate) fn parse_time(text: &[u8], style: TimeStyle) -> Option<i64> {
    let (clock, fraction) = match text.split_at_checked(8) {
        Some((clock, [])) => (clock, None),
        Some((clock, [b'.', fraction @ ..])) => (clock, Some(fraction)),
        Some(_) => return None,
        None => (text, None),
    };
    let two = |at: usize| parse_digits16(clock.get(at..at + 2)?).map(|v| v as i64);
    let colon = |at: usize| clock.get(at) == Some(&b':');
    let seconds = match clock.len() {
        8 if colon(2) && colon(5) => two(6)?,
        5 if style == TimeStyle::Iso && colon(2) => 0,
        _ => return None,
    };
    let (hours, minutes) = (two(0)?, two(3)?);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let nanos = match fraction {
        None => 0,
        Some(digits) => fraction_nanos(digits)?,
    };
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000_000 + nanos)
}

fn fraction_nanos(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    Some(parse_digits16(digits)? as i64 * 10i64.pow(9 - digits.len() as u32))
}

/// A day, as text and as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Day {
    /// `yyyy-MM-dd` and the separator of date and time, as two words: eight bytes and three.
    pub(crate) text: [u64; 2],
    /// Midnight, in the parser's unit.
    pub(crate) start: i64,
    /// The unit's steps in a millisecond.
    pub(crate) per_ms: u64,
}

/// Reads timestamps; remembers the last date, as neighbouring rows mostly share it.
pub(crate) struct TimestampParser {
    date: [u8; 10],
    date_seconds: i64,
    separator: u8,
    style: TimeStyle,
    strict_dates: bool,
    per_second: i64,
    per_step: i64,
}

impl TimestampParser {
    /// Month and day need two digits, as in Java's `ISO_LOCAL_DATE`; else one is enough, as in `Timestamp.valueOf`.
    pub(crate) fn with_strict_dates(mut self) -> TimestampParser {
        self.strict_dates = true;
        self
    }

    /// For timestamps with this byte between date and time, in this unit.
    pub(crate) fn new(separator: u8, style: TimeStyle, unit: TimeUnit) -> TimestampParser {
        let per_second = per_second(unit);
        TimestampParser {
            date: *b"1970-01-01",
            date_seconds: 0,
            separator,
            style,
            strict_dates: false,
            per_second,
            per_step: 1_000_000_000 / per_second,
        }
    }

    /// The day of the last timestamp that was read in the short way, where all of it fits the unit and the unit is a
    /// millisecond or less.
    pub(crate) fn day(&self) -> Option<Day> {
        let start = self.date_seconds.checked_mul(self.per_second)?;
        start.checked_add(DAY_SECONDS.checked_mul(self.per_second)?)?;
        let per_ms = u64::try_from(self.per_second / 1_000).ok().filter(|n| *n > 0)?;
        let [a, b, c, d, e, f, g, h, i, j] = self.date;
        let text =
            [u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes([i, j, self.separator, 0, 0, 0, 0, 0])];
        Some(Day { text, start, per_ms })
    }

    /// The timestamp in the parser's unit; digits beyond it are cut. `None` also for what the unit cannot hold.
    #[inline(always)]
    pub(crate) fn parse(&mut self, text: &[u8]) -> Option<i64> {
        let (seconds, nanos) = self.split(text)?;
        if self.per_second < 1_000_000_000 {
            // Days fit 32 bits: no overflow in micros either, or it is caught.
            // A division by what the compiler knows is a multiplication.
            let steps = match self.per_step {
                1_000_000 => nanos / 1_000_000,
                1_000 => nanos / 1_000,
                step => nanos / step,
            };
            return seconds.checked_mul(self.per_second)?.checked_add(steps);
        }
        i64::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(nanos)).ok()
    }

    #[inline(always)]
    fn split(&mut self, text: &[u8]) -> Option<(i64, i64)> {
        let Some((head, rest)) = text.split_first_chunk::<10>() else { return self.split_slow(text) };
        if *head != self.date {
            if head[4] != b'-' || head[7] != b'-' {
                return self.split_slow(text);
            }
            let Some(days) = parse_date(head) else { return self.split_slow(text) };
            self.date = *head;
            self.date_seconds = i64::from(days) * DAY_SECONDS;
        }
        let Some((clock, fraction)) = rest.split_first_chunk::<9>() else { return self.split_slow(text) };
        if clock[0] != self.separator {
            return self.split_slow(text);
        }
        // "hh:mm:ss" in one word: digits become 0-9, colons become 0.
        let word = u64::from_le_bytes([clock[1], clock[2], clock[3], clock[4], clock[5], clock[6], clock[7], clock[8]]);
        let t = word ^ 0x3030_3a30_303a_3030;
        if ((t.wrapping_add(0x7676_7676_7676_7676)) | t) & 0x8080_8080_8080_8080 != 0 || t & 0x0000_ff00_00ff_0000 != 0
        {
            return self.split_slow(text);
        }
        let digit = |i: u32| (t >> (8 * i) & 0xff) as i64;
        let (h, m, s) = (digit(0) * 10 + digit(1), digit(3) * 10 + digit(4), digit(6) * 10 + digit(7));
        if h > 23 || m > 59 || s > 59 {
            return None;
        }
        let nanos = match fraction {
            [] => 0,
            [b'.', a, b, c] => {
                let (a, b, c) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'), c.wrapping_sub(b'0'));
                if a > 9 || b > 9 || c > 9 {
                    return None;
                }
                (i64::from(a) * 100 + i64::from(b) * 10 + i64::from(c)) * 1_000_000
            }
            [b'.', digits @ ..] => fraction_nanos(digits)?,
            _ => return None,
        };
        Some((self.date_seconds + h * 3_600 + m * 60 + s, nanos))
    }

    #[cold]
    fn split_slow(&self, text: &[u8]) -> Option<(i64, i64)> {
        let at = text.iter().position(|b| *b == self.separator)?;
        let date = &text[..at];
        let days = if self.strict_dates { parse_date(date)? } else { parse_sql_date(date)? };
        let nanos = parse_time(&text[at + 1..], self.style)?;
        Some((i64::from(days) * DAY_SECONDS + nanos / 1_000_000_000, nanos % 1_000_000_000))
    }
}

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

#[inline(always)]
fn pair(value: i64) -> [u8; 2] {
    let at = (value as usize % 100) * 2;
    [PAIRS[at], PAIRS[at + 1]]
}

/// `yyyy-MM-dd` of days since 1970; years beyond 9999 get a sign, as in Java.
pub(crate) fn write_date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(days);
    if (0..=9999).contains(&year) {
        out.extend_from_slice(&pair(year / 100));
        out.extend_from_slice(&pair(year % 100));
    } else {
        let text = format!("{}{:04}", if year < 0 { '-' } else { '+' }, year.unsigned_abs());
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'-');
    out.extend_from_slice(&pair(i64::from(month)));
    out.push(b'-');
    out.extend_from_slice(&pair(i64::from(day)));
}

/// `HH:mm:ss` and the fraction without trailing zeros.
#[inline]
pub(crate) fn write_time(nanos: i64, out: &mut Vec<u8>) {
    let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let (h, m, s) = (pair(seconds / 3_600), pair(seconds / 60 % 60), pair(seconds % 60));
    out.extend_from_slice(&[h[0], h[1], b':', m[0], m[1], b':', s[0], s[1]]);
    if fraction != 0 {
        let mut text = [b'0'; 10];
        text[0] = b'.';
        let mut rest = fraction;
        for at in (1..10).rev() {
            text[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let mut len = 10;
        while text[len - 1] == b'0' {
            len -= 1;
        }
        out.extend_from_slice(&text[..len]);
    }
}

/// Writes timestamps; remembers the last date.
#[derive(Debug)]
pub(crate) struct TimestampPrinter {
    day: i64,
    date: Vec<u8>,
    separator: u8,
    per_day: i64,
    per_step: i64,
}

impl TimestampPrinter {
    /// For timestamps of this unit, with this byte between date and time.
    pub(crate) fn new(separator: u8, unit: TimeUnit) -> TimestampPrinter {
        let per_second = per_second(unit);
        let per_day = per_second * DAY_SECONDS;
        let per_step = 1_000_000_000 / per_second;
        TimestampPrinter { day: i64::MIN, date: Vec::with_capacity(16), separator, per_day, per_step }
    }

    /// Appends one.
    #[inline]
    pub(crate) fn write(&mut self, value: i64, out: &mut Vec<u8>) {
        let day = value.div_euclid(self.per_day);
        if day != self.day {
            self.date.clear();
            write_date(day, &mut self.date);
            self.date.push(self.separator);
            self.day = day;
        }
        out.extend_from_slice(&self.date);
        write_time((value - day * self.per_day) * self.per_step, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates() {
        for (text, days) in [
            ("1970-01-01", Some(0)),
            ("2020-02-29", Some(18_321)),
            ("2021-02-29", None),
            ("2021-13-01", None),
            ("2021-00-01", None),
            ("2021-01-32", None),
            ("0000-01-01", Some(-719_528)),
            ("-0001-01-01", Some(-719_893)),
            ("+10000-01-01", Some(2_932_897)),
            ("10000-01-01", None),
            ("2021-1-1", None),
            ("2021/01/01", None),
            ("", None),
            ("21-01-01", None),
        ] {
            assert_eq!(parse_date(text.as_bytes()), days, "{text}");
        }
        assert_eq!(parse_sql_date(b"2021-1-2"), parse_date(b"2021-01-02"));
        assert_eq!(parse_sql_date(b"2021-1-2-3"), None);
        assert_eq!(parse_sql_date(b"2021-2-30"), None);
    }

    #[test]
    fn times() {
        let ms = |text: &str, style| parse_time(text.as_bytes(), style).map(|n| n / 1_000_000);
        assert_eq!(ms("01:02:03", TimeStyle::Sql), Some(3_723_000));
        assert_eq!(ms("01:02:03.5", TimeStyle::Sql), Some(3_723_500));
        assert_eq!(parse_time(b"23:59:59.999999999", TimeStyle::Sql), Some(DAY_NANOS - 1));
        assert_eq!(ms("01:02", TimeStyle::Sql), None);
        assert_eq!(ms("01:02", TimeStyle::Iso), Some(3_720_000));
        for text in ["24:00:00", "00:60:00", "00:00:60", "1:02:03", "01:02:03.", "01:02:03.1234567890", "", "01-02-03"]
        {
            assert_eq!(parse_time(text.as_bytes(), TimeStyle::Iso), None, "{text}");
        }
    }

    #[test]
    fn timestamps() {
        let mut sql = TimestampParser::new(b' ', TimeStyle::Sql, TimeUnit::Millisecond);
        for (text, value) in [
            ("1970-01-01 00:00:00", Some(0)),
            ("1970-01-01 00:00:00.001", Some(1)),
            ("1970-01-01 00:00:00.0019", Some(1)),
            ("1969-12-31 23:59:59.9", Some(-100)),
            ("1970-1-2 00:00:00", Some(86_400_000)),
            ("1970-01-01T00:00:00", None),
            ("1970-01-01", None),
            ("1970-01-01 24:00:00", None),
            ("1970-01-01 00:00:00.", None),
            ("1970-01-01 00:00:00.1a2", None),
            ("1970-01-01 00:00:00Z", None),
            ("1970-02-30 00:00:00", None),
            ("", None),
        ] {
            assert_eq!(sql.parse(text.as_bytes()), value, "{text}");
        }
        let mut iso = TimestampParser::new(b'T', TimeStyle::Iso, TimeUnit::Nanosecond);
        assert_eq!(iso.parse(b"1970-01-01T00:01"), Some(60_000_000_000));
        assert_eq!(iso.parse(b"2262-04-11T23:47:16.854775807"), Some(i64::MAX));
        assert_eq!(iso.parse(b"2262-04-11T23:47:16.854775808"), None);
        assert_eq!(iso.parse(b"1600-01-01T00:00:00"), None);
    }

    proptest! {
        #[test]
        fn timestamps_come_back(secs in -62_167_219_200i64..253_402_300_800, nanos in 0i64..1_000_000_000, pick in 0usize..3) {
            let unit = [TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond][pick];
            let Some(value) = secs.checked_mul(per_second(unit)) else { return Ok(()) };
            let value = value.saturating_add(nanos / (1_000_000_000 / per_second(unit)));
            let mut out = vec![];
            TimestampPrinter::new(b' ', unit).write(value, &mut out);
            prop_assert_eq!(TimestampParser::new(b' ', TimeStyle::Sql, unit).parse(&out), Some(value));
        }

        #[test]
        fn any_text_is_refused_or_read(text in "[-0-9: T.]{0,32}") {
            let mut p = TimestampParser::new(b' ', TimeStyle::Sql, TimeUnit::Nanosecond);
            p.parse(text.as_bytes());
            parse_time(text.as_bytes(), TimeStyle::Iso);
            parse_sql_date(text.as_bytes());
        }
    }
}
