//! Java's `DateTimeFormatter`: what TO_TIMESTAMP and TO_TIMESTAMP_LTZ read with, and DATE_FORMAT of timestamps writes with.
//!
//! It takes a field at its width, the whole text, and nothing that contradicts itself. What it leaves open is filled from
//! 1970-01-01 00:00:00, as Flink does.

mod read;

use std::fmt::Write;

use flott_core::time_text::{civil_from_days, days_from_civil};
use flott_core::{Error, Result};

use self::read::{Fields, Read};
use crate::text::DAY_NS;

/// What Flink uses where no pattern is written.
pub(super) const DEFAULT_PATTERN: &str = "yyyy-MM-dd HH:mm:ss";

/// How deep optional parts lie in each other: they are written, read and dropped one inside the other.
pub const OPTIONAL_DEPTH_MAX: usize = 100;
/// How often a letter may stand there: a number has at most 19 digits.
pub const LETTERS_MAX: usize = 19;
/// How wide a text is made by `p`.
pub const PAD_WIDTH_MAX: usize = 1_000;

pub(super) const MONTHS: [&str; 12] = [
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
/// From Sunday on.
pub(super) const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A field of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Era,
    YearOfEra,
    Year,
    Month,
    Day,
    DayOfYear,
    Quarter,
    /// From Monday on.
    DayOfWeek,
    /// From Sunday on.
    LocalDay,
    WeekYear,
    WeekOfYear,
    WeekOfMonth,
    DayInWeekOfMonth,
    ModifiedJulianDay,
    Afternoon,
    Hour,
    Hour1To24,
    HourOfHalf,
    Hour1To12,
    Minute,
    Second,
    Nano,
    NanoOfDay,
    MilliOfDay,
}

const FIELDS: usize = Field::MilliOfDay as usize + 1;

/// Which signs a number may have.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sign {
    /// None.
    Never,
    /// A minus.
    Minus,
    /// A minus, and a plus where there are more digits than the least.
    Both,
}

/// A number: its least and greatest width, and the digits that the numbers behind it need which it touches.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Number {
    field: Field,
    least: usize,
    most: usize,
    sign: Sign,
    behind: usize,
    /// Two digits of a year from 2000 on.
    reduced: bool,
    /// Digits behind the point of a second.
    fraction: bool,
}

impl Number {
    fn new(field: Field, least: usize, most: usize, sign: Sign) -> Number {
        Number { field, least, most, sign, behind: 0, reduced: false, fraction: false }
    }

    fn is_fixed(&self) -> bool {
        self.least == self.most && self.sign == Sign::Never
    }
}

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Literal(String),
    Number(Number),
    /// The letter count says which names: 3 short, 4 full, 5 narrow ones.
    Name(Field, usize),
    /// `morning1` and its kin.
    DayPeriod(usize),
    /// A letter of an offset or zone.
    Zone(char, usize),
    Optional(Vec<Piece>),
    Pad(usize, Box<Piece>),
}

/// A pattern that is understood.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Vec<Piece>);

/// Pieces as they are gathered, and which number takes the widths of those behind it.
#[derive(Default)]
struct Level {
    pieces: Vec<Piece>,
    open: Option<usize>,
    pad: Option<usize>,
}

impl Level {
    fn push(&mut self, piece: Piece) {
        let piece = match self.pad.take() {
            Some(width) => Piece::Pad(width, Box::new(piece)),
            None => piece,
        };
        self.pieces.push(piece);
        self.open = None;
    }

    fn number(&mut self, number: Number) {
        let before = self.open;
        self.push(Piece::Number(number));
        let here = self.pieces.len() - 1;
        self.open = Some(here);
        if let Some(at) = before
            && let Some(Piece::Number(first)) = self.pieces.get_mut(at)
        {
            if number.is_fixed() {
                first.behind += number.most;
                self.open = Some(at);
            } else {
                first.behind = 0;
            }
        }
    }
}

impl Pattern {
    /// Understands a pattern to read with. What it says about a zone has to be there, and means nothing.
    pub(super) fn new(pattern: &str) -> Result<Pattern> {
        let found = Pattern::of(pattern)?;
        match found.0.iter().any(|p| matches!(p, Piece::DayPeriod(_))) {
            true => Err(wrong(pattern, "the letter 'B' is only written".into())),
            false => Ok(found),
        }
    }

    /// Whether there are times that it does not write: a text may be wider than its pad.
    pub(super) fn may_fail(&self) -> bool {
        has_pad(&self.0)
    }

    /// Understands a pattern to write with. A local time has no zone.
    pub(super) fn to_write(pattern: &str) -> Result<Pattern> {
        let mut found = Pattern::of(pattern)?;
        let has_zone = |p: &Piece| match p {
            Piece::Zone(..) => true,
            Piece::Pad(_, p) => matches!(**p, Piece::Zone(..)),
            _ => false,
        };
        fn drop_zones(pieces: &mut Vec<Piece>, has_zone: &impl Fn(&Piece) -> bool) {
            for piece in pieces.iter_mut() {
                if let Piece::Optional(inner) = piece {
                    drop_zones(inner, has_zone);
                }
            }
            pieces.retain(|p| !matches!(p, Piece::Optional(inner) if inner.iter().any(has_zone)));
        }
        drop_zones(&mut found.0, &has_zone);
        match found.0.iter().any(has_zone) {
            true => Err(wrong(pattern, "a time without a zone has nothing to write there".into())),
            false => Ok(found),
        }
    }

    fn of(pattern: &str) -> Result<Pattern> {
        let mut levels = vec![Level::default()];
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            let level = levels.len() - 1;
            let here = &mut levels[level];
            match c {
                'a'..='z' | 'A'..='Z' => {
                    let count = |chars: &mut std::iter::Peekable<std::str::Chars>, c| {
                        let mut n = 1;
                        while chars.next_if_eq(&c).is_some() {
                            n += 1;
                        }
                        n
                    };
                    let (mut c, mut n) = (c, count(&mut chars, c));
                    if c == 'p' {
                        let Some(next) = chars.next_if(char::is_ascii_alphabetic) else {
                            return Err(wrong(
                                pattern,
                                "behind 'p' there is no letter whose text it makes wider".into(),
                            ));
                        };
                        if n > PAD_WIDTH_MAX {
                            return Err(wrong(pattern, format!("'p' stands there more than {PAD_WIDTH_MAX} times")));
                        }
                        here.pad = Some(n);
                        (c, n) = (next, count(&mut chars, next));
                    }
                    letter(here, c, n)
                        .ok_or_else(|| wrong(pattern, format!("'{}' is no field", c.to_string().repeat(n))))?;
                }
                '\'' => {
                    let mut literal = String::new();
                    loop {
                        match chars.next() {
                            Some('\'') if chars.next_if_eq(&'\'').is_some() => literal.push('\''),
                            Some('\'') => break,
                            Some(other) => literal.push(other),
                            None => return Err(wrong(pattern, "a quote is open".into())),
                        }
                    }
                    here.push(Piece::Literal(if literal.is_empty() { "'".into() } else { literal }));
                }
                '[' if level == OPTIONAL_DEPTH_MAX => {
                    return Err(wrong(pattern, format!("more than {OPTIONAL_DEPTH_MAX} '[' are open")));
                }
                '[' => {
                    here.open = None;
                    levels.push(Level::default());
                }
                ']' if level == 0 => return Err(wrong(pattern, "']' has no '[' before it".into())),
                ']' => close(&mut levels),
                '{' | '}' | '#' => return Err(wrong(pattern, format!("'{c}' is reserved"))),
                c => here.push(Piece::Literal(c.to_string())),
            }
        }
        while levels.len() > 1 {
            close(&mut levels);
        }
        Ok(Pattern(levels.pop().unwrap_or_default().pieces))
    }

    /// Writes a local time, given in nanoseconds.
    pub(super) fn format(&self, nanos: i128, out: &mut impl Write) -> Result<()> {
        write_all(&self.0, &Time::of(nanos), out)
    }

    /// Reads a local time as nanoseconds.
    pub(super) fn parse(&self, text: &str) -> Option<i128> {
        let mut read = Read { text, fields: Fields::default() };
        let end = read.all(&self.0, 0)?;
        if end != text.len() { None } else { read.fields.resolve() }
    }
}

fn close(levels: &mut Vec<Level>) {
    if let (Some(inner), Some(outer)) = (levels.pop(), levels.last_mut()) {
        outer.open = None;
        if !inner.pieces.is_empty() {
            outer.push(Piece::Optional(inner.pieces));
        }
    }
}

fn has_pad(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| match piece {
        Piece::Pad(..) => true,
        Piece::Optional(inner) => has_pad(inner),
        _ => false,
    })
}

fn wrong(pattern: &str, what: String) -> Error {
    Error::user(format!("the pattern '{pattern}' is not supported: {what}")).hint(
        "Patterns are those of Java's DateTimeFormatter, such as yyyy-MM-dd HH:mm:ss.SSS; other text with letters stands in \
         single quotes",
    )
}

/// What a letter that stands there `n` times means.
fn letter(level: &mut Level, c: char, n: usize) -> Option<()> {
    use Field as F;
    if n > LETTERS_MAX {
        return None;
    }
    let number = |field, least, most, sign| Number::new(field, least, most, sign);
    let year = |field| match n {
        2 => Number { reduced: true, ..number(field, 2, 2, Sign::Never) },
        ..4 => number(field, n, 19, Sign::Minus),
        _ => number(field, n, 19, Sign::Both),
    };
    let plain = |field| match n {
        1 => Some(number(field, 1, 19, Sign::Minus)),
        2 => Some(number(field, 2, 2, Sign::Never)),
        _ => None,
    };
    let named = |field, least: usize| (least..=5).contains(&n).then_some(Piece::Name(field, n.max(3)));
    let value = match c {
        'y' => year(F::YearOfEra),
        'u' => year(F::Year),
        'Y' => year(F::WeekYear),
        'M' | 'L' if n <= 2 => plain(F::Month)?,
        'Q' | 'q' if n <= 2 => plain(F::Quarter)?,
        'e' | 'c' if n <= 2 && (c == 'e' || n == 1) => number(F::LocalDay, n, n, Sign::Never),
        'w' if n <= 2 => number(F::WeekOfYear, n, 2, Sign::Never),
        'W' if n == 1 => number(F::WeekOfMonth, 1, 1, Sign::Never),
        'F' if n == 1 => plain(F::DayInWeekOfMonth)?,
        'g' => number(F::ModifiedJulianDay, n, 19, Sign::Minus),
        'd' => plain(F::Day)?,
        'D' if n == 1 => plain(F::DayOfYear)?,
        'D' if n <= 3 => number(F::DayOfYear, n, 3, Sign::Never),
        'H' => plain(F::Hour)?,
        'k' => plain(F::Hour1To24)?,
        'K' => plain(F::HourOfHalf)?,
        'h' => plain(F::Hour1To12)?,
        'm' => plain(F::Minute)?,
        's' => plain(F::Second)?,
        'S' if n <= 9 => Number { fraction: true, ..number(F::Nano, n, n, Sign::Never) },
        'n' => number(F::Nano, n, 19, Sign::Never),
        'N' => number(F::NanoOfDay, n, 19, Sign::Never),
        'A' => number(F::MilliOfDay, n, 19, Sign::Never),
        _ => {
            level.push(match c {
                'M' | 'L' => named(F::Month, 3)?,
                'Q' | 'q' => named(F::Quarter, 3)?,
                'E' => named(F::DayOfWeek, 1)?,
                'e' | 'c' => named(F::DayOfWeek, 3)?,
                'G' => named(F::Era, 1)?,
                'a' if n == 1 => Piece::Name(F::Afternoon, 3),
                'B' if matches!(n, 1 | 4 | 5) => Piece::DayPeriod(n),
                'z' if n <= 4 => Piece::Zone(c, n),
                'V' if n == 2 => Piece::Zone(c, n),
                'v' | 'O' if matches!(n, 1 | 4) => Piece::Zone(c, n),
                'X' | 'x' | 'Z' if n <= 5 => Piece::Zone(c, n),
                _ => return None,
            });
            return Some(());
        }
    };
    level.number(value);
    Some(())
}

/// A local time, taken apart.
struct Time {
    days: i64,
    of_day: i64,
    year: i64,
    month: i64,
    day: i64,
}

impl Time {
    fn of(nanos: i128) -> Time {
        let days = nanos.div_euclid(DAY_NS) as i64;
        let (year, month, day) = civil_from_days(days);
        Time { days, of_day: nanos.rem_euclid(DAY_NS) as i64, year, month: i64::from(month), day: i64::from(day) }
    }

    fn get(&self, field: Field) -> i64 {
        let seconds = self.of_day / 1_000_000_000;
        let hour = seconds / 3_600;
        match field {
            Field::Era => i64::from(self.year > 0),
            Field::YearOfEra => {
                if self.year > 0 {
                    self.year
                } else {
                    1 - self.year
                }
            }
            Field::Year => self.year,
            Field::Month => self.month,
            Field::Day => self.day,
            Field::DayOfYear => self.days - days_from_civil(self.year, 1, 1) + 1,
            Field::Quarter => (self.month - 1) / 3 + 1,
            Field::DayOfWeek => (self.days + 3).rem_euclid(7) + 1,
            Field::LocalDay => (self.days + 4).rem_euclid(7) + 1,
            Field::WeekYear => week_of_year(self.days).0,
            Field::WeekOfYear => week_of_year(self.days).1,
            Field::WeekOfMonth => (week_start(self.days) - week_start(self.days - self.day + 1)) / 7 + 1,
            Field::DayInWeekOfMonth => (self.day - 1) % 7 + 1,
            Field::ModifiedJulianDay => self.days + 40_587,
            Field::Afternoon => hour / 12,
            Field::Hour => hour,
            Field::Hour1To24 => (hour + 23) % 24 + 1,
            Field::HourOfHalf => hour % 12,
            Field::Hour1To12 => (hour + 11) % 12 + 1,
            Field::Minute => seconds / 60 % 60,
            Field::Second => seconds % 60,
            Field::Nano => self.of_day % 1_000_000_000,
            Field::NanoOfDay => self.of_day,
            Field::MilliOfDay => self.of_day / 1_000_000,
        }
    }
}

fn write_all(pieces: &[Piece], time: &Time, out: &mut impl Write) -> Result<()> {
    for piece in pieces {
        let written = match piece {
            Piece::Literal(text) => out.write_str(text),
            Piece::Number(n) => write_number(n, time.get(n.field), out),
            Piece::Name(field, style) => {
                let value = time.get(*field);
                match names(*field, *style).into_iter().find(|(v, _)| *v == value) {
                    Some((_, name)) => out.write_str(name),
                    None => write!(out, "{value}"),
                }
            }
            Piece::DayPeriod(style) => out.write_str(day_period(time.of_day, *style)),
            Piece::Zone(..) => Ok(()),
            Piece::Optional(inner) => {
                write_all(inner, time, out)?;
                Ok(())
            }
            Piece::Pad(width, inner) => {
                let mut text = String::new();
                write_all(std::slice::from_ref(inner), time, &mut text)?;
                if text.len() > *width {
                    return Err(Error::data(format!("'{text}' is wider than the {width} characters of its pad"))
                        .hint("Each letter 'p' is a character of the width: write as many as the field may need"));
                }
                write!(out, "{text:>width$}")
            }
        };
        written.map_err(|_| Error::internal("a date was not written"))?;
    }
    Ok(())
}

fn write_number(n: &Number, value: i64, out: &mut impl Write) -> std::fmt::Result {
    let least = n.least;
    if n.fraction {
        return write!(out, "{:0least$}", value / 10i64.pow(9 - least as u32));
    }
    if n.reduced {
        return write!(out, "{:02}", value.abs() % 100);
    }
    if value < 0 {
        out.write_char('-')?;
    } else if n.sign == Sign::Both && least < 19 && value >= 10i64.pow(least as u32) {
        out.write_char('+')?;
    }
    write!(out, "{:0least$}", value.abs())
}

/// When a day has which name: `B` is as in CLDR's English.
fn day_period(of_day: i64, style: usize) -> &'static str {
    const HOUR: i64 = 3_600_000_000_000;
    match of_day / HOUR {
        _ if of_day < HOUR / 60 => {
            if style == 5 {
                "mi"
            } else {
                "midnight"
            }
        }
        12 if of_day < 12 * HOUR + HOUR / 60 => {
            if style == 5 {
                "n"
            } else {
                "noon"
            }
        }
        6..12 => "in the morning",
        12..18 => "in the afternoon",
        18..21 => "in the evening",
        _ => "at night",
    }
}

/// The names of a field's values.
fn names(field: Field, style: usize) -> Vec<(i64, &'static str)> {
    let cut = |name: &'static str| match style {
        3 => &name[..3],
        5 => &name[..1],
        _ => name,
    };
    match field {
        Field::Month => (1..).zip(MONTHS.map(cut)).collect(),
        Field::DayOfWeek => DAYS.iter().zip(0..).map(|(name, n)| ((n + 6) % 7 + 1, cut(name))).collect(),
        Field::Quarter => {
            let names = match style {
                3 => ["Q1", "Q2", "Q3", "Q4"],
                4 => ["1st quarter", "2nd quarter", "3rd quarter", "4th quarter"],
                _ => ["1", "2", "3", "4"],
            };
            (1..).zip(names).collect()
        }
        Field::Era => match style {
            3 => vec![(0, "BC"), (1, "AD")],
            4 => vec![(0, "Before Christ"), (1, "Anno Domini")],
            _ => vec![(0, "B"), (1, "A")],
        },
        _ => vec![(0, "AM"), (1, "PM")],
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

/// What a pattern that the text does not have falls back to, whatever it is: `1999-9-10 05:20:10[.5]` and `1999-9-10`, by
/// `java.sql.Timestamp` and `java.sql.Date`, which let fields run over.
pub(super) fn parse_sql(text: &str) -> Option<i128> {
    let text = text.trim_matches(|c| c <= ' ');
    let (date, time) = match text.split_once(' ') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let of_width = |text: &str| matches!(text.len(), 1 | 2);
    if year.len() != 4 || !of_width(month) || !of_width(day) {
        return None;
    }
    // Java's integers may have a sign.
    let (year, month, day): (i64, i64, i64) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The year before 1 is 1 to these.
    let days = days_from_civil(if year > 0 { year } else { 1 - year }, month as u32, 1) + day - 1;
    let Some(time) = time else { return Some(i128::from(days) * DAY_NS) };
    let mut parts = time.splitn(3, ':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (second, fraction) = match second.split_once('.') {
        Some((second, fraction)) => (second, fraction),
        None => (second, "0"),
    };
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |text: &str| text.parse::<i32>().ok().map(i128::from);
    let seconds = (number(hour)? * 60 + number(minute)?) * 60 + number(second)?;
    let nanos = fraction.parse::<i128>().ok()? * 10i128.pow(9 - fraction.len() as u32);
    Some(i128::from(days) * DAY_NS + seconds * 1_000_000_000 + nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    #[test]
    fn patterns_write() {
        let write = |pattern: &str, time: &str| {
            let nanos = text::parse_timestamp(time).expect("a time");
            let mut out = String::new();
            Pattern::to_write(pattern).expect("a pattern").format(nanos, &mut out).expect("a text");
            out
        };
        for (pattern, time, expected) in [
            ("yyyy-MM-dd'T'HH:mm:ss.SSS", "2024-02-29 15:04:05.678", "2024-02-29T15:04:05.678"),
            ("h:mm a, EEE d MMM yy", "2024-02-29 15:04:05.678", "3:04 PM, Thu 29 Feb 24"),
            ("EEEE, MMMM d", "2024-02-29 15:04:05.678", "Thursday, February 29"),
            ("D Q kk KK S SSSSSS", "2024-02-29 15:04:05.678", "60 1 15 03 6 678000"),
            ("''yyyy''", "2024-02-29 15:04:05.678", "'2024'"),
            ("ww e ee E EEEE c", "2024-03-03 07:08:09", "10 1 01 Sun Sunday 1"),
            ("YYYY-w", "2024-12-31 07:08:09", "2025-1"),
            ("D w u e Q", "2024-03-05 07:08:09", "65 10 2024 3 1"),
            ("W F g", "2024-03-05 07:08:09", "2 5 60374"),
            ("G GGGG GGGGG q QQQ QQQQ", "2024-03-05 07:08:09", "AD Anno Domini A 1 Q1 1st quarter"),
            ("n N A", "2024-03-05 07:08:09.123456", "123456000 25689123456000 25689123"),
            ("yyyy[-MM][ XXX]", "2024-03-05 07:08:09", "2024-03"),
            ("yyyyy MMMMM EEEEE", "2024-03-05 07:08:09", "02024 M T"),
            ("pppH|B", "2024-03-05 07:08:09", "  7|in the morning"),
            ("ppppH|pppppyyyy[-pppM]", "2024-03-05 07:08:09", "   7| 2024-  3"),
            ("yyyyyyyyyyyyyyyyyyy", "2024-03-05 07:08:09", "0000000000000002024"),
        ] {
            assert_eq!(write(pattern, time), expected, "{pattern}");
        }
        for wrong in ["yyyy-rr", "yyyyX", "'open", "yyyy]", "HHH", "MMMMMM", "yyyy{", "cc", "pp", "aa"] {
            assert!(Pattern::to_write(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn optional_parts_have_a_greatest_depth() {
        let nested = |depth: usize| format!("{}yyyy", "[".repeat(depth));
        let mut out = String::new();
        Pattern::to_write(&nested(OPTIONAL_DEPTH_MAX)).expect("a pattern").format(0, &mut out).expect("a text");
        assert_eq!(out, "1970");
        assert_eq!(Pattern::new(&nested(OPTIONAL_DEPTH_MAX)).expect("a pattern").parse("1970"), Some(0));
        for depth in [OPTIONAL_DEPTH_MAX + 1, 100_000] {
            assert!(Pattern::to_write(&nested(depth)).is_err(), "{depth}");
            assert!(Pattern::new(&nested(depth)).is_err(), "{depth}");
        }
        // What is closed is not deep.
        assert!(Pattern::new(&"[yyyy]".repeat(1_000)).is_ok());
    }

    #[test]
    fn widths_have_a_greatest() {
        for letter in ["y", "u", "Y", "g", "n", "N", "A"] {
            for count in [LETTERS_MAX + 1, 70_000] {
                let pattern = letter.repeat(count);
                assert!(Pattern::to_write(&pattern).is_err() && Pattern::new(&pattern).is_err(), "{letter} {count}");
            }
            assert!(Pattern::to_write(&letter.repeat(LETTERS_MAX)).is_ok(), "{letter}");
        }
        let padded = |width: usize| Pattern::to_write(&format!("{}y", "p".repeat(width)));
        let mut out = String::new();
        padded(PAD_WIDTH_MAX).expect("a pattern").format(0, &mut out).expect("a text");
        assert_eq!(out.len(), PAD_WIDTH_MAX);
        assert!(padded(PAD_WIDTH_MAX + 1).is_err() && padded(70_000).is_err());
        for (pattern, may_fail, fails) in
            [("yyyy", false, false), ("ppppyyyy", true, false), ("ppyyyy", true, true), ("[H[ppEEEE]]", true, true)]
        {
            let found = Pattern::to_write(pattern).expect("a pattern");
            assert_eq!(found.may_fail(), may_fail, "{pattern}");
            assert_eq!(found.format(0, &mut String::new()).is_err(), fails, "{pattern}");
        }
    }

    #[test]
    fn the_formatter_is_strict() {
        for (pattern, given, expected) in [
            ("yyyy-MM-dd HH:mm:ss", "2024-02-29 15:04:05", Some("2024-02-29 15:04:05.000")),
            ("yyyyMMddHHmmss", "20240229150405", Some("2024-02-29 15:04:05.000")),
            ("yyyyMMddHHmmssSSS", "20240229150405678", Some("2024-02-29 15:04:05.678")),
            ("yyyy-MM-dd'T'HH:mm:ss.SSS", "2024-02-29T15:04:05.678", Some("2024-02-29 15:04:05.678")),
            ("yyyy-MM-dd", "2024-02-30", Some("2024-02-29 00:00:00.000")),
            ("yyyy-MM-dd", "2024-02-32", None),
            ("yyyy-MM-dd", "2024-2-3", None),
            ("yyyy-M-d", "2024-2-3", Some("2024-02-03 00:00:00.000")),
            ("yyyy-MM-dd", "2024-02-03 10", None),
            ("dd MMM yyyy hh:mm a", "03 Feb 2024 12:30 AM", Some("2024-02-03 00:30:00.000")),
            ("hh:mm", "05:20", Some("1970-01-01 00:20:00.000")),
            ("HH:mm", "25:20", None),
            ("yyyy-MM-dd HH:mm", "2024-02-29 24:00", Some("2024-03-01 00:00:00.000")),
            ("yy", "99", Some("2099-01-01 00:00:00.000")),
            ("EEE yyyy-MM-dd", "Thu 2024-02-29", Some("2024-02-29 00:00:00.000")),
            ("EEE yyyy-MM-dd", "Fri 2024-02-29", None),
            ("yyyy-DDD", "2023-366", None),
            ("YYYY-ww-e", "2024-10-1", Some("2024-03-03 00:00:00.000")),
            ("yyyy-MM W E", "2024-03 2 Tue", Some("2024-03-05 00:00:00.000")),
            ("yyyy[-MM[-dd]]", "2024-03", Some("2024-03-01 00:00:00.000")),
            ("yyyy", "12024", None),
            ("yyyy", "+12024", Some("12024-01-01 00:00:00.000")),
            ("MMM a", "Mar PM", Some("1970-03-01 18:00:00.000")),
            ("MMMMM d", "J 2", Some("1970-07-02 00:00:00.000")),
            ("u-M-d", "-1-1-1", Some("-001-01-01 00:00:00.000")),
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-01-01T10:00:00+02:00", Some("2024-01-01 10:00:00.000")),
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-01-01T10:00:00Z", Some("2024-01-01 10:00:00.000")),
            ("yyyy-MM-dd'T'HH:mm:ssX", "2024-01-01T10:00:00+02", Some("2024-01-01 10:00:00.000")),
            ("yyyy-MM-dd'T'HH:mm:ssXX", "2024-01-01T10:00:00+0200", Some("2024-01-01 10:00:00.000")),
            ("yyyy-MM-dd'T'HH:mm:ssZ", "2024-01-01T10:00:00+0200", Some("2024-01-01 10:00:00.000")),
            ("yyyy-MM-dd'T'HH:mm:ssZZZZZ", "2024-01-01T10:00:00+02:00", Some("2024-01-01 10:00:00.000")),
            ("yyyy-MM-dd'T'HH:mm:ss z", "2024-01-01T10:00:00 UTC", Some("2024-01-01 10:00:00.000")),
            ("yyyy-MM-dd'T'HH:mm:ss VV", "2024-01-01T10:00:00 Europe/Berlin", Some("2024-01-01 10:00:00.000")),
            ("yyyy-MM-dd'T'HH:mm:ss VV", "2024-01-01T10:00:00 Europe/Nowhere", None),
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-01-01T10:00:00x", None),
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-01-01T10:00:00+0200", None),
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-01-01T10:00:00+19:00", None),
        ] {
            let read = Pattern::new(pattern).expect("a pattern").parse(given);
            assert_eq!(read.map(|n| text::format_timestamp(n, 3)).as_deref(), expected, "{pattern} {given}");
        }
    }

    #[test]
    fn what_a_pattern_falls_back_to() {
        for (given, expected) in [
            ("1999-9-10 05:20:10", Some("1999-09-10 05:20:10.0")),
            ("1999-02-30", Some("1999-03-02 00:00:00.0")),
            (" 1999-9-1 25:61:61.5 ", Some("1999-09-02 02:02:01.5")),
            ("1999-9-1 1:2", None),
            ("99-9-1", None),
        ] {
            assert_eq!(parse_sql(given).map(|n| text::format_timestamp(n, 1)).as_deref(), expected, "{given}");
        }
    }
}
