//! Java's patterns of dates: `yyyy-MM-dd HH:mm:ss.SSS`.
//!
//! Flink reads with two of Java's classes, and they differ: `DateTimeFormatter` (TO_TIMESTAMP) takes a field at its width
//! and the whole text; `SimpleDateFormat` (TO_DATE, UNIX_TIMESTAMP, DATE_FORMAT of texts) takes what it finds, lets
//! fields run over, and ignores what follows.

use std::fmt::Write;

use flott_core::time_text::{civil_from_days, days_from_civil};
use flott_core::{Error, Result};

use crate::context;
use crate::text::{self, DAY_NS};

/// What Flink uses where no pattern is written.
pub(super) const DEFAULT_PATTERN: &str = "yyyy-MM-dd HH:mm:ss";

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Field(char, usize),
    Literal(String),
}

/// A pattern that is understood.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Vec<Piece>);

/// Which of Java's classes reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reader {
    /// `java.time.format.DateTimeFormatter`
    Formatter,
    /// `java.text.SimpleDateFormat`, lenient
    Simple,
}

/// Letters that every use of a pattern knows.
const LETTERS: &str = "yuMLdDHhkKmsSaEQ";
/// Letters of zones and offsets: read over, as TO_TIMESTAMP does.
const ZONES: &str = "XxZzV";
/// Letters that are only written: weeks, numbers of days, the era.
const WRITTEN: &str = "YwWecqnNAG";

/// Letters that `SimpleDateFormat` writes besides.
const SIMPLY_WRITTEN: &str = "YwWG";
/// What stands for `u` of `SimpleDateFormat`, which is no year.
const DAY_NUMBER: char = '#';

impl Pattern {
    /// Understands a pattern that `SimpleDateFormat` reads.
    pub(super) fn new(pattern: &str) -> Result<Pattern> {
        let found = Pattern::of(pattern, "")?;
        match found.0.iter().find(|p| matches!(p, Piece::Field('Q', _))) {
            Some(Piece::Field(letter, _)) => Err(Error::user(format!("Illegal pattern character '{letter}'"))
                .hint(format!("Java's SimpleDateFormat reads the pattern '{pattern}', which knows no such part"))),
            _ => Ok(found),
        }
    }

    /// Understands a pattern that `DateTimeFormatter` reads: what it says about a zone has to be there, and means nothing.
    pub(super) fn with_zone(pattern: &str) -> Result<Pattern> {
        Pattern::of(pattern, ZONES)
    }

    /// Understands a pattern to write with. Parts in square brackets are written as any other.
    pub(super) fn to_write(pattern: &str) -> Result<Pattern> {
        let mut found = Pattern::of(pattern, WRITTEN)?;
        found.0.retain(|p| !matches!(p, Piece::Literal(l) if l == "[" || l == "]"));
        Ok(found)
    }

    /// Understands a pattern to write with as `SimpleDateFormat` does: `u` is the number of the day of the week, from
    /// Monday on, and there are no quarters.
    pub(super) fn to_write_simple(pattern: &str) -> Result<Pattern> {
        let mut found = Pattern::of(pattern, SIMPLY_WRITTEN)?;
        for piece in &mut found.0 {
            match piece {
                Piece::Field('Q', _) => {
                    return Err(Error::user("Illegal pattern character 'Q'").hint(format!(
                        "Java's SimpleDateFormat writes by the pattern '{pattern}', which knows no such part: format a \
                         TIMESTAMP"
                    )));
                }
                Piece::Field(letter @ 'u', _) => *letter = DAY_NUMBER,
                _ => {}
            }
        }
        Ok(found)
    }

    fn of(pattern: &str, also: &str) -> Result<Pattern> {
        let mut out = vec![];
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\'' {
                let mut literal = String::new();
                loop {
                    match chars.next() {
                        Some('\'') if chars.peek() == Some(&'\'') => {
                            chars.next();
                            literal.push('\'');
                        }
                        Some('\'') => break,
                        Some(other) => literal.push(other),
                        None => return Err(Error::user(format!("a quote is open in the pattern '{pattern}'"))),
                    }
                }
                out.push(Piece::Literal(if literal.is_empty() { "'".into() } else { literal }));
            } else if c.is_ascii_alphabetic() {
                let mut n = 1;
                while chars.next_if_eq(&c).is_some() {
                    n += 1;
                }
                if !(LETTERS.contains(c) || also.contains(c)) || n > 9 {
                    return Err(Error::user(format!("the letter '{c}' in the pattern '{pattern}' is not supported"))
                        .hint(format!(
                            "Use {}, each up to nine times, and quotes around other text",
                            LETTERS.chars().chain(also.chars()).map(String::from).collect::<Vec<_>>().join(" ")
                        )));
                }
                out.push(Piece::Field(c, n));
            } else {
                out.push(Piece::Literal(c.to_string()));
            }
        }
        Ok(Pattern(out))
    }

    /// Writes a local time, given in nanoseconds.
    pub(super) fn format(&self, nanos: i128, out: &mut impl Write) -> std::fmt::Result {
        let (days, of_day) = (nanos.div_euclid(DAY_NS) as i64, nanos.rem_euclid(DAY_NS) as i64);
        let (y, m, d) = civil_from_days(days);
        let (s, fraction) = (of_day / 1_000_000_000, of_day % 1_000_000_000);
        for piece in &self.0 {
            let (c, n) = match piece {
                Piece::Literal(text) => {
                    out.write_str(text)?;
                    continue;
                }
                Piece::Field(c, n) => (*c, *n),
            };
            match c {
                'Y' => {
                    let year = week_of_year(days).0;
                    if n == 2 { write!(out, "{:02}", year.rem_euclid(100))? } else { write!(out, "{year:0n$}")? }
                }
                'w' => write!(out, "{:0n$}", week_of_year(days).1)?,
                'W' => write!(out, "{:0n$}", (week_start(days) - week_start(days - i64::from(d) + 1)) / 7 + 1)?,
                DAY_NUMBER => write!(out, "{:0n$}", (days + 3).rem_euclid(7) + 1)?,
                'Q' | 'q' if n == 5 => write!(out, "{}", (m - 1) / 3 + 1)?,
                'e' | 'c' if n <= 2 => write!(out, "{:0n$}", (days + 4).rem_euclid(7) + 1)?,
                'n' => write!(out, "{fraction:0n$}")?,
                'N' => write!(out, "{of_day:0n$}")?,
                'A' => write!(out, "{:0n$}", of_day / 1_000_000)?,
                'G' => out.write_str(if n == 4 { "Anno Domini" } else { "AD" })?,
                'Q' | 'q' if n == 3 => write!(out, "Q{}", (m - 1) / 3 + 1)?,
                'Q' | 'q' if n == 4 => {
                    const NAMES: [&str; 4] = ["1st", "2nd", "3rd", "4th"];
                    write!(out, "{} quarter", NAMES[(m as usize - 1) / 3])?;
                }
                'q' => write!(out, "{:0n$}", (m - 1) / 3 + 1)?,
                'M' | 'L' if n == 5 => out.write_str(&MONTHS[m as usize - 1][..1])?,
                'y' | 'u' if n == 2 => write!(out, "{:02}", y.rem_euclid(100))?,
                'y' | 'u' => write!(out, "{y:0n$}")?,
                'M' | 'L' if n >= 4 => out.write_str(MONTHS[m as usize - 1])?,
                'M' | 'L' if n == 3 => out.write_str(&MONTHS[m as usize - 1][..3])?,
                'M' | 'L' => write!(out, "{m:0n$}")?,
                'Q' => write!(out, "{:0n$}", (m - 1) / 3 + 1)?,
                'd' => write!(out, "{d:0n$}")?,
                'D' => write!(out, "{:0n$}", days - days_from_civil(y, 1, 1) + 1)?,
                'H' => write!(out, "{:0n$}", s / 3_600)?,
                'k' => write!(out, "{:0n$}", (s / 3_600 + 23) % 24 + 1)?,
                'K' => write!(out, "{:0n$}", s / 3_600 % 12)?,
                'h' => write!(out, "{:0n$}", (s / 3_600 + 11) % 12 + 1)?,
                'm' => write!(out, "{:0n$}", s / 60 % 60)?,
                's' => write!(out, "{:0n$}", s % 60)?,
                'S' => write!(out, "{:0n$}", fraction / 10i64.pow(9 - n as u32))?,
                'a' => out.write_str(if s < 43_200 { "AM" } else { "PM" })?,
                _ => {
                    let name = DAYS[(days + 4).rem_euclid(7) as usize];
                    out.write_str(if n >= 4 { name } else { &name[..3] })?;
                }
            }
        }
        Ok(())
    }

    /// Reads a local time as nanoseconds.
    pub(super) fn parse(&self, text: &str, reader: Reader) -> Option<i128> {
        let mut f = Fields::default();
        let mut rest = text;
        for (i, piece) in self.0.iter().enumerate() {
            let (c, n) = match piece {
                Piece::Literal(literal) => {
                    rest = rest.strip_prefix(literal.as_str())?;
                    continue;
                }
                Piece::Field(c, n) => (*c, *n),
            };
            if reader == Reader::Simple {
                rest = rest.trim_start_matches([' ', '\t']);
            }
            if ZONES.contains(c) {
                rest = behind_zone(c, n, rest)?;
                continue;
            }
            if c == 'a' {
                let two = rest.get(..2)?;
                f.afternoon = Some(if two.eq_ignore_ascii_case("PM") {
                    true
                } else if two.eq_ignore_ascii_case("AM") {
                    false
                } else {
                    return None;
                });
                rest = &rest[2..];
                continue;
            }
            if matches!(c, 'E') || (matches!(c, 'M' | 'L') && n >= 3) {
                let names: &[&str] = if c == 'E' { &DAYS } else { &MONTHS };
                let (at, length) = named(names, rest, n, reader)?;
                if c != 'E' {
                    f.month = at as i64 + 1;
                }
                rest = &rest[length..];
                continue;
            }
            // Digits that touch the next field's digits are divided by width.
            let adjacent = matches!(self.0.get(i + 1), Some(Piece::Field(next, m)) if !matches!(next, 'a' | 'E') && !ZONES.contains(*next) && (*next != 'M' || *m < 3));
            let (least, most) = match reader {
                _ if adjacent => (n, n),
                Reader::Simple => (1, 18),
                Reader::Formatter if c == 'S' || n == 2 => (n, n),
                Reader::Formatter if matches!(c, 'y' | 'u') => (n, 9),
                Reader::Formatter if n == 1 => (1, 18),
                Reader::Formatter => (n, n),
            };
            let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
            if digits < least {
                return None;
            }
            let (number, after) = rest.split_at(digits);
            rest = after;
            let v: i64 = number.parse().ok()?;
            match c {
                'y' | 'u' if n == 2 && reader == Reader::Formatter => f.year = 2_000 + v,
                'y' | 'u' if n <= 2 && digits == 2 => f.year = century(v),
                'y' | 'u' => f.year = v,
                'M' | 'L' => f.month = v,
                'd' => f.day = v,
                'D' => f.day_of_year = Some(v),
                'Q' => {}
                'H' => f.hour = Some(v),
                'k' => f.hour = Some(if v == 24 { 0 } else { v }),
                'h' => f.half_hour = Some(if v == 12 { 0 } else { v }),
                'K' => f.half_hour = Some(v),
                'm' => f.minute = v,
                's' => f.second = v,
                // A fraction to the one class, milliseconds to the other.
                'S' if reader == Reader::Simple => f.nanos = v.checked_mul(1_000_000)?,
                'S' => f.nanos = v * 10i64.pow(9 - digits as u32),
                _ => return None,
            }
        }
        match reader {
            Reader::Formatter => rest.is_empty().then(|| f.smart())?,
            // Java takes nothing for no time.
            Reader::Simple if rest.len() == text.len() => None,
            Reader::Simple => f.lenient(),
        }
    }
}

/// What follows a zone (`UTC`, `Europe/Berlin`) or an offset (`Z`, `+02`, `+0200`, `+02:00`) of this letter.
fn behind_zone(c: char, n: usize, text: &str) -> Option<&str> {
    if matches!(c, 'z' | 'V') {
        let name = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"/_+-:".contains(b)).count();
        return (name > 0).then(|| &text[name..]);
    }
    if (c == 'X' || (c == 'Z' && n == 5))
        && let Some(rest) = text.strip_prefix('Z')
    {
        return Some(rest);
    }
    let two = |text: &'_ str| text.len() >= 2 && text.bytes().take(2).all(|b| b.is_ascii_digit());
    let hours = text.strip_prefix(['+', '-'])?;
    let minutes = two(hours).then(|| &hours[2..])?;
    let (colon, optional) = (n == 3 && c != 'Z' || n == 5, n == 1 && c != 'Z');
    let digits = if colon { minutes.strip_prefix(':')? } else { minutes };
    match two(digits) {
        true => Some(&digits[2..]),
        false if optional => Some(minutes),
        false => None,
    }
}

/// The Sunday on or before a day.
fn week_start(days: i64) -> i64 {
    days - (days + 4).rem_euclid(7)
}

/// The year that a day's week belongs to, and its number: weeks start on Sunday, the first one has the 1st of January.
fn week_of_year(days: i64) -> (i64, i64) {
    let year = civil_from_days(days).0;
    let start = week_start(days);
    if start + 6 >= days_from_civil(year + 1, 1, 1) {
        return (year + 1, 1);
    }
    (year, (start - week_start(days_from_civil(year, 1, 1))) / 7 + 1)
}

/// Two digits of a year are within 80 years before and 20 after now.
fn century(two: i64) -> i64 {
    let now = civil_from_days(context::processing_time_ms().div_euclid(86_400_000)).0;
    let first = now - 80;
    let year = first - first.rem_euclid(100) + two;
    if year < first { year + 100 } else { year }
}

/// The name at the start of the text: its place and its length.
fn named(names: &[&str], text: &str, n: usize, reader: Reader) -> Option<(usize, usize)> {
    let find = |length: fn(&str) -> usize| {
        names.iter().enumerate().find_map(|(at, name)| {
            let wanted = &name[..length(name)];
            let given = text.get(..wanted.len())?;
            let same = if reader == Reader::Simple { given.eq_ignore_ascii_case(wanted) } else { given == wanted };
            same.then_some((at, wanted.len()))
        })
    };
    let (full, short): (fn(&str) -> usize, fn(&str) -> usize) = (str::len, |_| 3);
    match reader {
        Reader::Simple => find(full).or_else(|| find(short)),
        Reader::Formatter if n >= 4 => find(full),
        Reader::Formatter => find(short),
    }
}

/// What was read.
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    hour: Option<i64>,
    half_hour: Option<i64>,
    minute: i64,
    second: i64,
    nanos: i64,
    afternoon: Option<bool>,
}

impl Default for Fields {
    fn default() -> Fields {
        Fields {
            year: 1_970,
            month: 1,
            day: 1,
            day_of_year: None,
            hour: None,
            half_hour: None,
            minute: 0,
            second: 0,
            nanos: 0,
            afternoon: None,
        }
    }
}

impl Fields {
    /// Each field within its range; a day behind the month's end is its last one.
    fn smart(&self) -> Option<i128> {
        let hour = match (self.hour, self.half_hour, self.afternoon) {
            (Some(h), ..) => h,
            (None, Some(h), Some(pm)) if h < 12 => h + if pm { 12 } else { 0 },
            (None, Some(h), None) if h < 12 => 0,
            (None, Some(_), _) => return None,
            _ => 0,
        };
        let fits = (1..=12).contains(&self.month)
            && (1..=31).contains(&self.day)
            && hour < 24
            && self.minute < 60
            && self.second < 60;
        if !fits {
            return None;
        }
        let (year, month) = (self.year, self.month as u32);
        let days = match self.day_of_year {
            Some(d) if (1..=366).contains(&d) => days_from_civil(year, 1, 1) + d - 1,
            Some(_) => return None,
            None => days_from_civil(year, month, (self.day as u32).min(text::days_in_month(year, month))),
        };
        Some(self.at(days, hour))
    }

    /// Fields run over into the next greater one.
    fn lenient(&self) -> Option<i128> {
        // Far beyond any year that a timestamp holds.
        const FAR: i64 = 1 << 40;
        let all = [
            self.year,
            self.month,
            self.day,
            self.minute,
            self.second,
            self.hour.unwrap_or(0),
            self.half_hour.unwrap_or(0),
        ];
        if all.iter().any(|v| *v > FAR) || self.year > 300_000_000 {
            return None;
        }
        let hour =
            self.hour.or(self.half_hour.map(|h| h + if self.afternoon == Some(true) { 12 } else { 0 })).unwrap_or(0);
        let months = self.month - 1;
        let first = days_from_civil(self.year.checked_add(months.div_euclid(12))?, months.rem_euclid(12) as u32 + 1, 1);
        let days = match self.day_of_year {
            Some(d) => days_from_civil(self.year, 1, 1).checked_add(d.min(FAR))? - 1,
            None => first + self.day - 1,
        };
        Some(self.at(days, hour))
    }

    fn at(&self, days: i64, hour: i64) -> i128 {
        let seconds = i128::from(days) * 86_400
            + i128::from(hour) * 3_600
            + i128::from(self.minute) * 60
            + i128::from(self.second);
        seconds * 1_000_000_000 + i128::from(self.nanos)
    }
}

/// What TO_TIMESTAMP with a pattern falls back to: `1999-9-10 05:20:10[.5]` and `1999-9-10`, whatever the pattern is.
pub(super) fn parse_sql(text: &str) -> Option<i128> {
    let text = text.trim();
    let date = text.split(' ').next()?;
    let day = date.rsplit('-').next()?;
    // Here a day that does not exist is none.
    let parsed = text::parse_timestamp(text)?;
    let (_, _, d) = civil_from_days(parsed.div_euclid(DAY_NS) as i64);
    (day.parse() == Ok(d)).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(pattern: &str, nanos: i128) -> String {
        let mut out = String::new();
        Pattern::of(pattern, "").expect("a pattern").format(nanos, &mut out).expect("a text");
        out
    }

    fn read(pattern: &str, text: &str, reader: Reader) -> Option<String> {
        Pattern::new(pattern).expect("a pattern").parse(text, reader).map(|n| text::format_timestamp(n, 3))
    }

    #[test]
    fn patterns_write() {
        let n = text::parse_timestamp("2024-02-29 15:04:05.678").expect("a time");
        for (pattern, expected) in [
            ("yyyy-MM-dd'T'HH:mm:ss.SSS", "2024-02-29T15:04:05.678"),
            ("h:mm a, EEE d MMM yy", "3:04 PM, Thu 29 Feb 24"),
            ("EEEE, MMMM d", "Thursday, February 29"),
            ("D Q kk KK S SSSSSS", "60 1 15 03 6 678000"),
            ("''yyyy''", "'2024'"),
        ] {
            assert_eq!(write(pattern, n), expected, "{pattern}");
        }
        assert!(Pattern::new("yyyy-ww").is_err());
        assert!(Pattern::new("yyyy-QQQ").is_err());
        assert!(Pattern::new("yyyyX").is_err());
        let write = |pattern: &str, text: &str| {
            let nanos = text::parse_timestamp(text).expect("a time");
            let mut out = String::new();
            Pattern::to_write(pattern).expect("a pattern").format(nanos, &mut out).expect("a text");
            out
        };
        for (pattern, time, expected) in [
            ("ww e ee E EEEE c", "2024-03-03 07:08:09", "10 1 01 Sun Sunday 1"),
            ("YYYY-w", "2024-12-31 07:08:09", "2025-1"),
            ("D w u e Q", "2024-03-05 07:08:09", "65 10 2024 3 1"),
            ("W", "2024-03-05 07:08:09", "2"),
            ("G q QQQ", "2024-03-05 07:08:09", "AD 1 Q1"),
            ("n N A", "2024-03-05 07:08:09.123456", "123456000 25689123456000 25689123"),
            ("yyyy[-MM]", "2024-03-05 07:08:09", "2024-03"),
            ("yyyyy MMMMM", "2024-03-05 07:08:09", "02024 M"),
        ] {
            assert_eq!(write(pattern, time), expected, "{pattern}");
        }
        for (pattern, text, fits) in [
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-01-01T10:00:00+02:00", true),
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-01-01T10:00:00Z", true),
            ("yyyy-MM-dd'T'HH:mm:ssX", "2024-01-01T10:00:00+02", true),
            ("yyyy-MM-dd'T'HH:mm:ssXX", "2024-01-01T10:00:00+0200", true),
            ("yyyy-MM-dd'T'HH:mm:ssZ", "2024-01-01T10:00:00+0200", true),
            ("yyyy-MM-dd'T'HH:mm:ssZZZZZ", "2024-01-01T10:00:00+02:00", true),
            ("yyyy-MM-dd'T'HH:mm:ss z", "2024-01-01T10:00:00 UTC", true),
            ("yyyy-MM-dd'T'HH:mm:ss VV", "2024-01-01T10:00:00 Europe/Berlin", true),
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-01-01T10:00:00x", false),
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-01-01T10:00:00+0200", false),
        ] {
            let read = Pattern::with_zone(pattern).expect("a pattern").parse(text, Reader::Formatter);
            assert_eq!(
                read.map(|n| text::format_timestamp(n, 0)).as_deref(),
                fits.then_some("2024-01-01 10:00:00"),
                "{text}"
            );
        }
        assert!(Pattern::new("'open").is_err());
    }

    #[test]
    fn the_formatter_is_strict_about_widths() {
        let f = Reader::Formatter;
        for (pattern, given, expected) in [
            ("yyyy-MM-dd HH:mm:ss", "2024-02-29 15:04:05", Some("2024-02-29 15:04:05.000")),
            ("yyyyMMddHHmmss", "20240229150405", Some("2024-02-29 15:04:05.000")),
            ("yyyy-MM-dd'T'HH:mm:ss.SSS", "2024-02-29T15:04:05.678", Some("2024-02-29 15:04:05.678")),
            ("yyyy-MM-dd", "2024-02-30", Some("2024-02-29 00:00:00.000")),
            ("yyyy-MM-dd", "2024-02-32", None),
            ("yyyy-MM-dd", "2024-2-3", None),
            ("yyyy-M-d", "2024-2-3", Some("2024-02-03 00:00:00.000")),
            ("yyyy-MM-dd", "2024-02-03 10", None),
            ("dd MMM yyyy hh:mm a", "03 Feb 2024 12:30 AM", Some("2024-02-03 00:30:00.000")),
            ("hh:mm", "05:20", Some("1970-01-01 00:20:00.000")),
            ("HH:mm", "25:20", None),
            ("yy", "99", Some("2099-01-01 00:00:00.000")),
        ] {
            assert_eq!(read(pattern, given, f).as_deref(), expected, "{pattern} {given}");
        }
    }

    #[test]
    fn the_simple_format_is_lenient() {
        let s = Reader::Simple;
        for (pattern, given, expected) in [
            ("yyyy-MM-dd", "2024-02-30", Some("2024-03-01 00:00:00.000")),
            ("yyyy-MM-dd", "2024-13-01", Some("2025-01-01 00:00:00.000")),
            ("yyyy-MM-dd", "2024-2-3 and more", Some("2024-02-03 00:00:00.000")),
            ("yyyyMMdd", "20240203", Some("2024-02-03 00:00:00.000")),
            ("yyyy-MM-dd HH:mm:ss.SSS", "2024-02-03 01:02:03.5", Some("2024-02-03 01:02:03.005")),
            ("MMM d yyyy", "february 3 2024", Some("2024-02-03 00:00:00.000")),
            ("yyyy-MM-dd", "abc", None),
            ("yyyy-MM-dd", "", None),
        ] {
            assert_eq!(read(pattern, given, s).as_deref(), expected, "{pattern} {given}");
        }
        for given in ["9999999999999999999", "999999999999999999-1-1", "2024-999999999999999999-1"] {
            assert_eq!(read("yyyy-MM-dd", given, s), None, "{given}");
        }
        assert_eq!(
            parse_sql("1999-9-10 05:20:10").map(|n| text::format_timestamp(n, 0)).as_deref(),
            Some("1999-09-10 05:20:10")
        );
        assert_eq!(parse_sql("1999-02-30"), None);
    }
}
