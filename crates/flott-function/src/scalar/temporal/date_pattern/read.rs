//! Reading by a pattern of `DateTimeFormatter`: fields out of a text, and the time that they come to.

use flott_core::SessionZone;
use flott_core::time_text::days_from_civil;

use super::{FIELDS, Field, Number, Piece, Sign, Time, names, week_start};
use crate::text::{self, DAY_NS};

/// A text and what has been read of it.
pub(super) struct Read<'a> {
    pub(super) text: &'a str,
    pub(super) fields: Fields,
}

impl Read<'_> {
    pub(super) fn all(&mut self, pieces: &[Piece], mut at: usize) -> Option<usize> {
        for piece in pieces {
            at = self.piece(piece, at, self.text.len())?;
        }
        Some(at)
    }

    fn piece(&mut self, piece: &Piece, at: usize, end: usize) -> Option<usize> {
        match piece {
            Piece::Literal(literal) => {
                self.text.get(at..end)?.starts_with(literal.as_str()).then_some(at + literal.len())
            }
            Piece::Number(n) => self.number(n, at, end),
            Piece::Name(field, style) => {
                let rest = self.text.get(at..end)?;
                // A letter that several begin with is the last of them.
                let named = names(*field, *style).into_iter().filter(|(_, name)| rest.starts_with(name));
                let (value, name) = named.max_by_key(|(value, _)| *value)?;
                self.fields.put(*field, value)?;
                Some(at + name.len())
            }
            Piece::DayPeriod(_) => None,
            Piece::Zone(c, n) => behind_zone(*c, *n, self.text.get(at..end)?).map(|rest| end - rest.len()),
            Piece::Optional(inner) => {
                let before = self.fields;
                Some(self.all(inner, at).unwrap_or_else(|| {
                    self.fields = before;
                    at
                }))
            }
            Piece::Pad(width, inner) => {
                let to = at + width;
                let blanks = self.text.get(at..to)?.bytes().take_while(|b| *b == b' ').count();
                (self.piece(inner, at + blanks, to)? == to).then_some(to)
            }
        }
    }

    fn number(&mut self, n: &Number, mut at: usize, end: usize) -> Option<usize> {
        let bytes = self.text.as_bytes().get(..end)?;
        let sign = match bytes.get(at)? {
            b'-' if n.sign != Sign::Never => -1,
            b'+' if n.sign == Sign::Both => 1,
            _ => 0,
        };
        at += usize::from(sign != 0);
        let digits = bytes.get(at..)?.iter().take(n.most + n.behind).take_while(|b| b.is_ascii_digit()).count();
        // What stands behind gets its digits first.
        let digits = if n.behind > 0 { n.least.max(digits.saturating_sub(n.behind)).min(digits) } else { digits };
        if digits < n.least || digits > 18 {
            return None;
        }
        let value = bytes[at..at + digits].iter().fold(0i64, |v, b| v * 10 + i64::from(b - b'0'));
        let fits = match sign {
            -1 => value != 0,
            1 => digits > n.least,
            _ => n.sign != Sign::Both || digits <= n.least,
        };
        if !fits {
            return None;
        }
        let value = match (n.fraction, n.reduced) {
            (true, _) => value * 10i64.pow(9 - digits as u32),
            (_, true) => 2_000 + value,
            _ if sign == -1 => -value,
            _ => value,
        };
        self.fields.put(n.field, value)?;
        Some(at + digits)
    }
}

/// What follows a zone (`UTC`, `Europe/Berlin`) or an offset (`Z`, `+02`, `+0200`, `+02:00`) of this letter.
fn behind_zone(c: char, n: usize, text: &str) -> Option<&str> {
    match (c, n) {
        ('z' | 'V' | 'v', _) => {
            let length = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"/_+-:".contains(b)).count();
            let (name, rest) = text.split_at(length);
            let offset = name.trim_start_matches("UTC").trim_start_matches("GMT").trim_start_matches("UT");
            let is_offset = offset.is_empty() || name == "Z" || behind_offset(offset, true, true, true) == Some("");
            let is_zone = length > 0 && (is_offset || SessionZone::parse(name).is_ok());
            if is_zone {
                return Some(rest);
            }
            let behind = |zone: &str| (c == 'z').then(|| text.strip_prefix(zone)).flatten();
            super::super::simple_date_format::zone_names().find_map(behind)
        }
        ('O', _) | ('Z', 4) => {
            let rest = text.strip_prefix("GMT")?;
            if !rest.starts_with(['+', '-']) {
                return Some(rest);
            }
            if n == 4 {
                return behind_offset(rest, true, false, true);
            }
            let digits = rest[1..].bytes().take(2).take_while(u8::is_ascii_digit).count();
            let hours = &rest[1 + digits..];
            let minutes = hours.strip_prefix(':').filter(|m| m.bytes().take(2).filter(u8::is_ascii_digit).count() == 2);
            (digits > 0).then(|| minutes.map_or(hours, |m| &m[2..]))
        }
        _ => {
            let zero = match (c, n) {
                ('X', _) | ('Z', 5) => "Z",
                ('Z', _) | ('x', 2 | 4) => "+0000",
                ('x', 1) => "+00",
                _ => "+00:00",
            };
            if let Some(rest) = text.strip_prefix(zero) {
                return Some(rest);
            }
            let colon = n == 5 || n == 3 && c != 'Z';
            behind_offset(text, colon, c != 'Z' && n == 1, n >= 4)
        }
    }
}

/// What follows hours, minutes and seconds of an offset, which is at most 18 hours.
fn behind_offset(text: &str, colon: bool, minutes_may_miss: bool, seconds: bool) -> Option<&str> {
    let two = |text: &str| {
        let digits = text.get(..2)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u32>().ok())?
    };
    let next = |text: &'_ str| -> Option<(u32, usize)> {
        let skipped = usize::from(colon);
        let digits = if colon { text.strip_prefix(':')? } else { text };
        Some((two(digits)?, 2 + skipped))
    };
    let text = text.strip_prefix(['+', '-'])?;
    let hours = two(text)?;
    let mut rest = &text[2..];
    let (mut minute, mut second) = (0, 0);
    match next(rest) {
        Some((value, length)) => {
            (minute, rest) = (value, &rest[length..]);
            if let Some((value, length)) = next(rest).filter(|_| seconds) {
                (second, rest) = (value, &rest[length..]);
            }
        }
        None if minutes_may_miss => {}
        None => return None,
    }
    (minute < 60 && second < 60 && hours * 3_600 + minute * 60 + second <= 18 * 3_600).then_some(rest)
}

/// What was read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fields([Option<i64>; FIELDS]);

impl Fields {
    fn get(&self, field: Field) -> Option<i64> {
        self.0[field as usize]
    }

    fn take(&mut self, field: Field) -> Option<i64> {
        self.0[field as usize].take()
    }

    /// Nothing where the field is there with another value.
    fn put(&mut self, field: Field, value: i64) -> Option<()> {
        let known = self.0[field as usize].replace(value);
        known.is_none_or(|known| known == value).then_some(())
    }

    /// Takes a field that has to be in a range.
    fn within(&mut self, field: Field, range: std::ops::RangeInclusive<i64>) -> Option<Option<i64>> {
        match self.take(field) {
            Some(value) if !range.contains(&value) => None,
            value => Some(value),
        }
    }

    /// The time in nanoseconds, as Java's `SMART` resolver finds it: a day behind the end of its month is the last one.
    pub(super) fn resolve(mut self) -> Option<i128> {
        const YEAR_MAX: i64 = 999_999_999;
        if let Some(year) = self.within(Field::YearOfEra, 1..=YEAR_MAX)? {
            let is_before = match self.take(Field::Era) {
                Some(era) => era == 0,
                None => self.get(Field::Year).is_some_and(|y| y <= 0),
            };
            self.put(Field::Year, if is_before { 1 - year } else { year })?;
        }
        if let Some(day) = self.within(Field::LocalDay, 1..=7)? {
            self.put(Field::DayOfWeek, (day + 5) % 7 + 1)?;
        }
        let bounds = [(Field::Year, YEAR_MAX), (Field::WeekYear, YEAR_MAX), (Field::ModifiedJulianDay, 365 * YEAR_MAX)];
        if bounds.iter().any(|(f, most)| self.get(*f).is_some_and(|v| v.abs() > *most)) {
            return None;
        }
        let days = self.day()?;
        let (of_day, has_next_day) = self.time_of_day()?;
        let days = match days {
            Some(days) => {
                let time = Time::of(i128::from(days) * DAY_NS);
                // What is left must not say something else.
                const OF_DAYS: [Field; 12] = [
                    Field::Era,
                    Field::Year,
                    Field::Month,
                    Field::Day,
                    Field::DayOfYear,
                    Field::Quarter,
                    Field::DayOfWeek,
                    Field::WeekYear,
                    Field::WeekOfYear,
                    Field::WeekOfMonth,
                    Field::DayInWeekOfMonth,
                    Field::ModifiedJulianDay,
                ];
                if OF_DAYS.iter().any(|f| self.get(*f).is_some_and(|v| v != time.get(*f))) {
                    return None;
                }
                days + i64::from(has_next_day)
            }
            None => {
                let year = self.get(Field::Year).unwrap_or(1_970);
                let month = u32::try_from(self.get(Field::Month).unwrap_or(1)).ok()?;
                let day = u32::try_from(self.get(Field::Day).unwrap_or(1)).ok()?;
                text::valid_date(year, month, day).then(|| days_from_civil(year, month, day))?
            }
        };
        Some(i128::from(days) * DAY_NS + i128::from(of_day))
    }

    /// The day, where there is enough to know it.
    fn day(&mut self) -> Option<Option<i64>> {
        let year = self.get(Field::Year);
        let has = |fields: &Self, all: &[Field]| all.iter().all(|f| fields.get(*f).is_some());
        if has(self, &[Field::Year, Field::Month, Field::Day]) {
            let month = self.within(Field::Month, 1..=12)??;
            let day = self.within(Field::Day, 1..=31)??;
            let (year, month) = (self.take(Field::Year)?, month as u32);
            let day = (day as u32).min(text::days_in_month(year, month));
            return Some(Some(days_from_civil(year, month, day)));
        }
        if has(self, &[Field::Year, Field::DayOfYear]) {
            let day = self.within(Field::DayOfYear, 1..=366)??;
            let year = self.take(Field::Year)?;
            let days = days_from_civil(year, 1, 1) + day - 1;
            return (days < days_from_civil(year + 1, 1, 1)).then_some(Some(days));
        }
        if let Some(days) = self.take(Field::ModifiedJulianDay) {
            return Some(Some(days - 40_587));
        }
        let Some(weekday) = self.get(Field::DayOfWeek) else { return Some(None) };
        // Sunday is the first.
        let from_sunday = weekday % 7;
        if let Some(year) = year {
            if !has(self, &[Field::Month, Field::WeekOfMonth]) {
                return Some(None);
            }
            let month = self.within(Field::Month, 1..=12)??;
            let week = self.within(Field::WeekOfMonth, 0..=6)??;
            self.take(Field::Year);
            self.take(Field::DayOfWeek);
            let first = week_start(days_from_civil(year, month as u32, 1));
            return Some(Some(first + 7 * (week - 1) + from_sunday));
        }
        if !has(self, &[Field::WeekYear, Field::WeekOfYear]) {
            return Some(None);
        }
        let year = self.take(Field::WeekYear)?;
        let week = self.within(Field::WeekOfYear, 1..=53)??;
        self.take(Field::DayOfWeek);
        let (first, next) = (week_start(days_from_civil(year, 1, 1)), week_start(days_from_civil(year + 1, 1, 1)));
        // A week that the year does not have is its last one.
        let week = week.min((next - first) / 7);
        Some(Some(first + 7 * (week - 1) + from_sunday))
    }

    /// Nanoseconds of the day, and whether it is the midnight at the day's end.
    fn time_of_day(&mut self) -> Option<(i64, bool)> {
        if let Some(hour) = self.within(Field::Hour1To24, 0..=24)? {
            self.put(Field::Hour, hour % 24)?;
        }
        if let Some(hour) = self.within(Field::Hour1To12, 0..=12)? {
            self.put(Field::HourOfHalf, hour % 12)?;
        }
        if let Some(half) = self.within(Field::HourOfHalf, 0..=11)? {
            match self.get(Field::Afternoon) {
                Some(afternoon) => {
                    self.take(Field::Afternoon);
                    self.put(Field::Hour, 12 * afternoon + half)?;
                }
                None => self.put(Field::HourOfHalf, half)?,
            }
        }
        if let Some(nano) = self.within(Field::NanoOfDay, 0..=DAY_NS as i64 - 1)? {
            self.put(Field::Nano, nano % 1_000_000_000)?;
            self.clock(nano / 1_000_000_000)?;
        }
        let mut milli = None;
        if let Some(of_day) = self.within(Field::MilliOfDay, 0..=86_399_999)? {
            milli = Some(of_day % 1_000);
            self.clock(of_day / 1_000)?;
        }
        let second = self.within(Field::Second, 0..=59)?;
        let minute = self.within(Field::Minute, 0..=59)?;
        let nano = self.within(Field::Nano, 0..=999_999_999)?;
        if milli.zip(nano).is_some_and(|(milli, nano)| nano / 1_000_000 != milli) {
            return None;
        }
        let nano = nano.or(milli.map(|m| m * 1_000_000));
        let hour = self.within(Field::Hour, 0..=24)?;
        // Half a day alone is its middle.
        let is_bare = hour.or(minute).or(second).or(nano).is_none();
        let hour = hour.or(self.get(Field::Afternoon).filter(|_| is_bare).map(|half| 12 * half + 6));
        let is_whole = !(minute.is_none() && (second.is_some() || nano.is_some()))
            && !(minute.is_some() && second.is_none() && nano.is_some());
        let rest = minute.unwrap_or(0) * 60 + second.unwrap_or(0);
        let ends_day = hour == Some(24);
        if ends_day && !(is_whole && rest == 0 && nano.unwrap_or(0) == 0) {
            return None;
        }
        let hour_of_day = hour.unwrap_or(0) % 24;
        let contradicts = self.get(Field::Afternoon).is_some_and(|a| a != hour_of_day / 12)
            || self.get(Field::HourOfHalf).is_some_and(|h| h != hour_of_day % 12);
        if hour.is_some() && is_whole && contradicts {
            return None;
        }
        Some(((hour_of_day * 3_600 + rest) * 1_000_000_000 + nano.unwrap_or(0), ends_day))
    }

    fn clock(&mut self, seconds: i64) -> Option<()> {
        self.put(Field::Hour, seconds / 3_600)?;
        self.put(Field::Minute, seconds / 60 % 60)?;
        self.put(Field::Second, seconds % 60)
    }
}
