//! Java's `SimpleDateFormat`: what UNIX_TIMESTAMP, FROM_UNIXTIME, TO_DATE and CONVERT_TZ read and write with, and DATE_FORMAT
//! of texts.
//!
//! It takes what it finds at the start of a text, lets fields run over, and ignores what follows.

use std::fmt::Write;

use flott_core::time_text::civil_from_days;
use flott_core::{Error, Result, SessionZone};

use super::calendar::{Builder, Fields, Set, abbreviation, standard_ms, summer_ms, to_calendar};
use super::date_pattern::{DAYS, MONTHS};
use crate::context;

const LETTERS: &str = "GyMdkHmsSEDFwWahKzZYuXL";

/// How many digits a number is filled up to, as in Java.
const FILLED_DIGITS_MAX: usize = 309;

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(char),
    Field(char, usize),
}

/// A pattern that is understood.
#[derive(Debug, Clone)]
pub(super) struct SimpleDateFormat(Vec<Piece>);

/// Zones by name: the standard time's long and short name, the summer's, a zone that has them. The first one that a text
/// begins with counts, in any case.
const ZONES: &[([&str; 4], &str)] = &[
    (["Coordinated Universal Time", "UTC", "Coordinated Universal Time", "UTC"], "UTC"),
    (["Pacific Standard Time", "PST", "Pacific Daylight Time", "PDT"], "America/Los_Angeles"),
    (["Mountain Standard Time", "MST", "Mountain Daylight Time", "MDT"], "America/Denver"),
    (["Central Standard Time", "CST", "Central Daylight Time", "CDT"], "America/Chicago"),
    (["Eastern Standard Time", "EST", "Eastern Daylight Time", "EDT"], "America/New_York"),
    (["Alaska Standard Time", "AKST", "Alaska Daylight Time", "AKDT"], "America/Anchorage"),
    (["Atlantic Standard Time", "AST", "Atlantic Daylight Time", "ADT"], "America/Halifax"),
    (["Newfoundland Standard Time", "NST", "Newfoundland Daylight Time", "NDT"], "America/St_Johns"),
    (["Central European Standard Time", "CET", "Central European Summer Time", "CEST"], "Europe/Berlin"),
    (["Greenwich Mean Time", "GMT", "Greenwich Mean Time", "GMT"], "Africa/Abidjan"),
    (["Israel Standard Time", "IST", "Israel Daylight Time", "IDT"], "Asia/Jerusalem"),
    (["Japan Standard Time", "JST", "Japan Daylight Time", "JDT"], "Asia/Tokyo"),
    (["Eastern European Standard Time", "EET", "Eastern European Summer Time", "EEST"], "Europe/Bucharest"),
    (["China Standard Time", "CST", "China Daylight Time", "CDT"], "Asia/Shanghai"),
    (["Australian Central Standard Time", "ACST", "Australian Central Daylight Time", "ACDT"], "Australia/Adelaide"),
    (["Australian Eastern Standard Time", "AEST", "Australian Eastern Daylight Time", "AEDT"], "Australia/Sydney"),
    (["New Zealand Standard Time", "NZST", "New Zealand Daylight Time", "NZDT"], "Pacific/Auckland"),
    (["Pakistan Standard Time", "PKT", "Pakistan Summer Time", "PKST"], "Asia/Karachi"),
    (["Korean Standard Time", "KST", "Korean Daylight Time", "KDT"], "Asia/Seoul"),
    (["India Standard Time", "IST", "India Daylight Time", "IDT"], "Asia/Kolkata"),
    (["Hong Kong Standard Time", "HKT", "Hong Kong Summer Time", "HKST"], "Asia/Hong_Kong"),
    (["Moscow Standard Time", "MSK", "Moscow Summer Time", "MSD"], "Europe/Moscow"),
    (["Greenwich Mean Time", "GMT", "British Summer Time", "BST"], "Europe/London"),
    (["Singapore Standard Time", "SGT", "Singapore Summer Time", "SGST"], "Asia/Singapore"),
    (["Central Africa Time", "CAT", "Central African Summer Time", "CAST"], "Africa/Maputo"),
    (["South Africa Standard Time", "SAST", "South Africa Summer Time", "SAST"], "Africa/Johannesburg"),
    (["Hawaii-Aleutian Standard Time", "HST", "Hawaii-Aleutian Daylight Time", "HDT"], "Pacific/Honolulu"),
    (["Brasilia Standard Time", "BRT", "Brasilia Summer Time", "BRST"], "America/Sao_Paulo"),
    (["Indochina Time", "ICT", "Indochina Summer Time", "ICST"], "Asia/Bangkok"),
    // Before Lisbon, whose WEST it begins with.
    (["Western Indonesia Time", "WIB", "West Indonesia Summer Time", "WIST"], "Asia/Jakarta"),
    (["Western European Standard Time", "WET", "Western European Summer Time", "WEST"], "Europe/Lisbon"),
    // Behind those that begin with "Eastern".
    (["East Africa Time", "EAT", "Eastern African Summer Time", "EAST"], "Africa/Nairobi"),
];

/// Names of zones, the long ones first.
pub(super) fn zone_names() -> impl Iterator<Item = &'static str> {
    ZONES.iter().flat_map(|(names, _)| [names[0], names[2], names[1], names[3]])
}

impl SimpleDateFormat {
    /// Understands a pattern.
    pub(super) fn new(pattern: &str) -> Result<SimpleDateFormat> {
        let wrong = |what: String| {
            Error::user(what).hint(format!(
                "Java's SimpleDateFormat takes the pattern '{pattern}': letters are {}, other text with letters stands in \
                 single quotes",
                LETTERS.chars().map(String::from).collect::<Vec<_>>().join(" ")
            ))
        };
        let mut out: Vec<Piece> = vec![];
        let mut chars = pattern.chars().peekable();
        let mut quoted = false;
        // What a quote stands behind is another field.
        let mut goes_on = false;
        while let Some(c) = chars.next() {
            if c == '\'' {
                goes_on = false;
                if chars.next_if_eq(&'\'').is_some() {
                    out.push(Piece::Text('\''));
                } else {
                    quoted = !quoted;
                }
            } else if quoted || !c.is_ascii_alphabetic() {
                goes_on = false;
                out.push(Piece::Text(c));
            } else if !LETTERS.contains(c) {
                return Err(wrong(format!("Illegal pattern character '{c}'")));
            } else {
                match out.last_mut() {
                    Some(Piece::Field(last, n)) if goes_on && *last == c => *n += 1,
                    _ => out.push(Piece::Field(c, 1)),
                }
                goes_on = true;
            }
        }
        if quoted {
            return Err(wrong("Unterminated quote".into()));
        }
        if let Some(Piece::Field(_, n)) = out.iter().find(|p| matches!(p, Piece::Field('X', 4..))) {
            return Err(wrong(format!("invalid ISO 8601 format: length={n}")));
        }
        Ok(SimpleDateFormat(out))
    }

    /// Writes an instant, in milliseconds since 1970.
    pub(super) fn format(&self, ms: i64, zone: SessionZone, out: &mut impl Write) -> std::fmt::Result {
        let f = Fields::of(ms, zone);
        let seconds = f.ms_of_day / 1_000;
        let hour = seconds / 3_600;
        for piece in &self.0 {
            let (c, n) = match piece {
                Piece::Text(c) => {
                    out.write_char(*c)?;
                    continue;
                }
                Piece::Field(c, n) => (*c, *n),
            };
            let number = match c {
                'G' => {
                    out.write_str(if f.before_christ { "BC" } else { "AD" })?;
                    continue;
                }
                'y' | 'Y' if n == 2 => (if c == 'y' { f.year } else { f.week_year }) % 100,
                'y' => f.year,
                'Y' => f.week_year,
                'M' | 'L' if n >= 3 => {
                    let name = MONTHS[f.month as usize - 1];
                    out.write_str(if n >= 4 { name } else { &name[..3] })?;
                    continue;
                }
                'M' | 'L' => f.month,
                'd' => f.day,
                'H' => hour,
                'k' => (hour + 23) % 24 + 1,
                'K' => hour % 12,
                'h' => (hour + 11) % 12 + 1,
                'm' => seconds / 60 % 60,
                's' => seconds % 60,
                'S' => f.ms_of_day % 1_000,
                'E' => {
                    let name = DAYS[f.day_of_week as usize - 1];
                    out.write_str(if n >= 4 { name } else { &name[..3] })?;
                    continue;
                }
                'u' => (f.day_of_week + 5) % 7 + 1,
                'D' => f.day_of_year,
                'F' => f.day_of_week_in_month,
                'w' => f.week_of_year,
                'W' => f.week_of_month,
                'a' => {
                    out.write_str(if hour < 12 { "AM" } else { "PM" })?;
                    continue;
                }
                'z' => {
                    zone_name(zone, ms, &f, n >= 4, out)?;
                    continue;
                }
                _ => {
                    offset(f.offset_ms + f.summer_ms, c, n, out)?;
                    continue;
                }
            };
            // A sign is no digit.
            if number < 0 {
                out.write_char('-')?;
            }
            let n = n.min(FILLED_DIGITS_MAX);
            write!(out, "{:0n$}", number.abs())?;
        }
        Ok(())
    }

    /// Reads an instant in milliseconds since 1970; what the text says about a zone goes before `zone`.
    pub(super) fn parse(&self, text: &str, zone: SessionZone) -> Option<i64> {
        let text: Vec<char> = text.chars().collect();
        let mut read = Read { text: &text, at: 0, zone, fields: Builder::default(), is_ambiguous: false };
        for (i, piece) in self.0.iter().enumerate() {
            match piece {
                Piece::Text(c) => {
                    if text.get(read.at) != Some(c) {
                        return None;
                    }
                    read.at += 1;
                }
                Piece::Field(c, n) => {
                    // Digits that touch the next field's are divided by width.
                    let touches = self.0.get(i + 1).is_some_and(|next| match next {
                        Piece::Field('M' | 'L', n) => *n <= 2,
                        Piece::Field(next, _) => !"GEazZX".contains(*next),
                        Piece::Text(_) => false,
                    });
                    read.field(*c, *n, touches)?;
                }
            }
        }
        // Java takes nothing for no time.
        if read.at == 0 {
            return None;
        }
        let instant = read.fields.instant(read.zone)?;
        if read.is_ambiguous && instant < century_start() {
            read.fields.add_years(100);
            return read.fields.instant(read.zone);
        }
        Some(instant)
    }
}

/// Two digits of a year are within 80 years before and 20 after now.
fn century_start() -> i64 {
    let now = context::processing_time_ms();
    let (year, month, day) = civil_from_days(now.div_euclid(86_400_000));
    let day = day.min(crate::text::days_in_month(year - 80, month));
    flott_core::time_text::days_from_civil(year - 80, month, day) * 86_400_000 + now.rem_euclid(86_400_000)
}

/// `+0200`, `Z` or `+02[[:]00]`.
fn offset(ms: i64, c: char, n: usize, out: &mut impl Write) -> std::fmt::Result {
    if c == 'X' && ms == 0 {
        return out.write_char('Z');
    }
    let minutes = ms / 60_000;
    out.write_char(if minutes < 0 { '-' } else { '+' })?;
    let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
    match (c, n) {
        ('X', 1) => write!(out, "{hours:02}"),
        ('X', 3) => write!(out, "{hours:02}:{minutes:02}"),
        _ => write!(out, "{hours:02}{minutes:02}"),
    }
}

/// `CET`, `Central European Summer Time`, or `GMT+03:00` where a zone has no name that is known.
fn zone_name(zone: SessionZone, ms: i64, f: &Fields, is_long: bool, out: &mut impl Write) -> std::fmt::Result {
    let long: usize = if f.summer_ms == 0 { 0 } else { 2 };
    let is_own = |id: &str| matches!(zone, SessionZone::Named(tz) if tz.name() == id);
    if let Some((names, _)) = ZONES.iter().find(|(_, id)| is_own(id)) {
        return out.write_str(names[if is_long { long } else { long + 1 }]);
    }
    let name = abbreviation(zone, ms);
    if let Some(name) = &name {
        if !is_long {
            return out.write_str(name);
        }
        let known = ZONES.iter().find(|(names, id)| {
            (names[1] == name || names[3] == name)
                && SessionZone::parse(id).is_ok_and(|known| standard_ms(known) == standard_ms(zone))
        });
        if let Some((names, _)) = known {
            return out.write_str(names[long]);
        }
    }
    match f.offset_ms + f.summer_ms {
        0 => out.write_str("GMT"),
        ms => {
            out.write_str("GMT")?;
            offset(ms, 'X', 3, out)
        }
    }
}

/// A text as far as it is read.
struct Read<'a> {
    text: &'a [char],
    at: usize,
    zone: SessionZone,
    fields: Builder,
    /// The year is the one that two digits stand for either before or behind a hundred years.
    is_ambiguous: bool,
}

impl Read<'_> {
    fn field(&mut self, c: char, n: usize, touches: bool) -> Option<()> {
        let start = self.at;
        while matches!(self.text.get(self.at)?, ' ' | '\t') {
            self.at += 1;
        }
        // Names do not stand behind blanks, numbers and zones do.
        let from = self.at;
        let end = if touches { start + n } else { self.text.len() };
        let number = |read: &mut Self| {
            let text = read.text.get(..end)?;
            number(text, &mut read.at)
        };
        match c {
            'G' => {
                self.at = start;
                let era = self.name(&["BC", "AD"])?;
                self.fields.set(Set::Era, era as i64);
            }
            'M' | 'L' if n >= 3 => {
                self.at = start;
                let month = self.name(&MONTHS).or_else(|| self.name(&MONTHS.map(|m| &m[..3])))?;
                self.fields.set(Set::Month, month as i64);
            }
            'E' => {
                self.at = start;
                let day = self.name(&DAYS).or_else(|| self.name(&DAYS.map(|d| &d[..3])))?;
                self.fields.set(Set::DayOfWeek, day as i64 + 1);
            }
            'a' => {
                self.at = start;
                let half = self.name(&["AM", "PM"])?;
                self.fields.set(Set::Afternoon, half as i64);
            }
            'z' | 'Z' => self.zone(start)?,
            'X' => self.iso_offset(n)?,
            'y' | 'Y' => {
                let mut year = i64::from(number(self)?);
                let digits = self.text.get(from..self.at).unwrap_or_default();
                if n <= 2 && digits.len() == 2 && digits.iter().all(char::is_ascii_digit) {
                    let first = civil_from_days(century_start().div_euclid(86_400_000)).0;
                    self.is_ambiguous = year == first % 100;
                    year += first / 100 * 100 + if year < first % 100 { 100 } else { 0 };
                }
                self.fields.set(if c == 'y' { Set::Year } else { Set::WeekYear }, year);
            }
            _ => {
                let value = i64::from(number(self)?);
                let (field, value) = match c {
                    'M' | 'L' => (Set::Month, value - 1),
                    'd' => (Set::Day, value),
                    'H' => (Set::HourOfDay, value),
                    'k' => (Set::HourOfDay, if value == 24 { 0 } else { value }),
                    'K' => (Set::Hour, value),
                    'h' => (Set::Hour, if value == 12 { 0 } else { value }),
                    'm' => (Set::Minute, value),
                    's' => (Set::Second, value),
                    'S' => (Set::Millisecond, value),
                    'D' => (Set::DayOfYear, value),
                    'F' => (Set::DayOfWeekInMonth, value),
                    'w' => (Set::WeekOfYear, value),
                    'W' => (Set::WeekOfMonth, value),
                    _ => (Set::DayOfWeek, to_calendar(value)),
                };
                self.fields.set(field, value);
            }
        }
        Some(())
    }

    fn begins_with(&self, at: usize, name: &str) -> bool {
        let length = name.chars().count();
        self.text
            .get(at..at + length)
            .is_some_and(|t| t.iter().zip(name.chars()).all(|(a, b)| a.eq_ignore_ascii_case(&b)))
    }

    /// The longest of the names that stands here.
    fn name(&mut self, names: &[&str]) -> Option<usize> {
        let here = names.iter().enumerate().filter(|(_, name)| self.begins_with(self.at, name));
        let (found, name) = here.max_by_key(|(_, name)| name.len())?;
        self.at += name.len();
        Some(found)
    }

    /// `+0200`, `GMT[+2:00]` or a name.
    fn zone(&mut self, start: usize) -> Option<()> {
        if let Some(sign) = self.sign() {
            self.at += 1;
            return self.offset(sign, 2, false);
        }
        if self.begins_with(start, "GMT") {
            self.at = start + 3;
            let Some(sign) = self.sign() else {
                self.set_offset(0);
                return Some(());
            };
            self.at += 1;
            return self.offset(sign, 0, true);
        }
        let of_zone = |id: &str| SessionZone::parse(id).ok();
        // The session's own names go first.
        let is_own = |id: &str| of_zone(id).is_some_and(|z| z == self.zone);
        let own = ZONES.iter().filter(|(_, id)| is_own(id)).chain(ZONES);
        let (names, id, which) = own
            .filter_map(|(names, id)| Some((names, id, names.iter().position(|n| self.begins_with(self.at, n))?)))
            .next()?;
        self.at += names[which].len();
        self.zone = of_zone(id)?;
        let is_summer = which >= 2;
        let same = !is_summer && names[which] == names[which + 2];
        let ahead = if is_summer { summer_ms(self.zone) } else { 0 };
        if !(same || (is_summer && ahead == 0)) {
            self.fields.clear(Set::Offset);
            self.fields.set(Set::Summer, ahead);
        }
        Some(())
    }

    fn iso_offset(&mut self, n: usize) -> Option<()> {
        if self.text.get(self.at) == Some(&'Z') {
            self.at += 1;
            self.set_offset(0);
            return Some(());
        }
        let sign = self.sign()?;
        self.at += 1;
        self.offset(sign, n, n == 3)
    }

    fn sign(&self) -> Option<i64> {
        match self.text.get(self.at)? {
            '+' => Some(1),
            '-' => Some(-1),
            _ => None,
        }
    }

    /// Hours, and minutes but where `n` is 1. Only behind GMT (`n` is 0) an hour may have one digit.
    fn offset(&mut self, sign: i64, n: usize, colon: bool) -> Option<()> {
        let digit = |at: usize| self.text.get(at).and_then(|c| c.to_digit(10)).map(i64::from);
        let mut at = self.at;
        let mut hours = digit(at)?;
        at += 1;
        match digit(at) {
            Some(second) => {
                hours = hours * 10 + second;
                at += 1;
            }
            None if n > 0 || !colon || at >= self.text.len() => return None,
            None => {}
        }
        let mut minutes = 0;
        if n != 1 {
            if colon {
                (self.text.get(at) == Some(&':')).then_some(())?;
                at += 1;
            }
            minutes = digit(at)? * 10 + digit(at + 1)?;
            at += 2;
        }
        if hours > 23 || minutes > 59 {
            return None;
        }
        self.at = at;
        self.set_offset(sign * (hours * 60 + minutes) * 60_000);
        Some(())
    }

    fn set_offset(&mut self, ms: i64) {
        self.fields.set(Set::Offset, ms);
        self.fields.set(Set::Summer, 0);
    }
}

/// A whole number as `DecimalFormat` reads it, an exponent too, as an `int`: what is behind a long is cut to the greatest.
fn number(text: &[char], at: &mut usize) -> Option<i32> {
    if text.get(*at..*at + 3).is_some_and(|t| t == ['N', 'a', 'N']) {
        *at += 3;
        return Some(0);
    }
    let mut i = *at;
    let is_negative = text.get(i) == Some(&'-');
    i += usize::from(is_negative);
    let (sign, greatest) = if is_negative { (-1, i32::MIN) } else { (1, i32::MAX) };
    if text.get(i) == Some(&'∞') {
        *at = i + 1;
        return Some(greatest);
    }
    let digits = |from: usize| text.get(from..).unwrap_or_default().iter().map_while(|c| c.to_digit(10));
    let length = digits(i).count();
    if length == 0 {
        return None;
    }
    let mantissa = digits(i).try_fold(0i128, |v, d| v.checked_mul(10)?.checked_add(i128::from(d)));
    i += length;
    let mut exponent = 0i64;
    if text.get(i) == Some(&'E') {
        let is_below = text.get(i + 1) == Some(&'-');
        let from = i + 1 + usize::from(is_below);
        let length = digits(from).count();
        if length > 0 {
            let value = digits(from).fold(0i64, |v, d| v.saturating_mul(10).saturating_add(i64::from(d)));
            exponent = if is_below { -value } else { value };
            i = from + length;
        }
    }
    *at = i;
    if mantissa == Some(0) {
        return Some(0);
    }
    let power = u32::try_from(exponent.unsigned_abs()).ok().and_then(|e| 10i128.checked_pow(e));
    let (value, is_whole) = match (mantissa, power) {
        (Some(m), Some(p)) if exponent >= 0 => (m.checked_mul(p), true),
        (Some(m), Some(p)) => (Some(m / p), m % p == 0),
        (_, None) if exponent < 0 => (Some(0), false),
        _ => (None, false),
    };
    let Some(value) = value.map(|v| v * sign).filter(|v| i64::try_from(*v).is_ok()) else { return Some(greatest) };
    Some(if is_whole { value as i32 } else { i32::try_from(value).unwrap_or(greatest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_java_reads_them() {
        for (pattern, text, zone, expected) in [
            ("yyyy-MM-dd", "2024-02-30", "UTC", Some(1_709_251_200_000)),
            ("yyyy-MM-dd", "2024-13-01", "UTC", Some(1_735_689_600_000)),
            ("yyyy-MM-dd", "2024-2-3 and more", "UTC", Some(1_706_918_400_000)),
            ("yyyyMMdd", "20240203", "UTC", Some(1_706_918_400_000)),
            ("yyyyMMdd", "2024-02-29", "UTC", Some(1_701_475_200_000)),
            ("yyyy-MM-dd HH:mm:ss.SSS", "2024-02-03 01:02:03.5", "UTC", Some(1_706_922_123_005)),
            ("MMM d yyyy", "february 3 2024", "UTC", Some(1_706_918_400_000)),
            ("yyyy-MM-dd", "abc", "UTC", None),
            ("yyyy-MM-dd", "", "UTC", None),
            ("yyyy-MM F E", "3158-04 1 SatZ", "Europe/Berlin", Some(37_497_765_600_000)),
            ("G yyyy-MM-dd", "AD 4392-04-03", "America/Los_Angeles", Some(76_438_969_200_000)),
            ("YYYY-'W'ww-u", "2024-W10-1", "UTC", Some(1_709_510_400_000)),
            ("yyyy-MM W E", "2024-03 2 Tue", "UTC", Some(1_709_596_800_000)),
            ("yyyy-MM F E", "2024-03 -1 Fri", "UTC", Some(1_711_670_400_000)),
            ("E yyyy", "Mon 2024", "UTC", Some(1_704_067_200_000)),
            ("yyyy DDD", "2024 060", "UTC", Some(1_709_164_800_000)),
            ("G y M d", "BC 1 2 3", "UTC", Some(-62_164_540_800_000)),
            ("yyyy-MM-dd", "1E3-01-01", "UTC", Some(-30_609_792_000_000)),
            ("yyyy-MM-dd HH:mm", "2024-10-27 02:30", "Europe/Berlin", Some(1_729_992_600_000)),
            ("yyyy-MM-dd HH:mm", "2024-03-31 02:30", "Europe/Berlin", Some(1_711_848_600_000)),
            ("yyyy-MM-dd z", "1970-01-01 Pacific Daylight Time", "UTC", Some(25_200_000)),
            ("yyyy-MM-dd z", "1970-01-01 GMT-2:00", "UTC", Some(7_200_000)),
            ("yyyy-MM-dd z", "2024-07-01 BST", "UTC", Some(1_719_788_400_000)),
            ("yyyy-MM-dd z", "2024-07-01 British Summer Time", "UTC", Some(1_719_788_400_000)),
            ("yyyy-MM-dd z", "2024-07-01 Greenwich Mean Time", "Europe/London", Some(1_719_792_000_000)),
            ("yyyy-MM-dd z", "2024-07-01 SGT", "UTC", Some(1_719_763_200_000)),
            ("yyyy-MM-dd z", "2024-07-01 CAT", "UTC", Some(1_719_784_800_000)),
            ("yyyy-MM-dd z", "2024-07-01 SAST", "UTC", Some(1_719_784_800_000)),
            ("yyyy-MM-dd z", "2024-07-01 EAT", "UTC", Some(1_719_781_200_000)),
            ("yyyy-MM-dd z", "2024-07-01 HST", "UTC", Some(1_719_828_000_000)),
            ("yyyy-MM-dd z", "2024-07-01 BRT", "UTC", Some(1_719_802_800_000)),
            ("yyyy-MM-dd z", "2015-01-01 BRT", "UTC", Some(1_420_081_200_000)),
            ("yyyy-MM-dd z", "2015-01-01 BRST", "UTC", Some(1_420_077_600_000)),
            ("yyyy-MM-dd z", "2024-07-01 ICT", "UTC", Some(1_719_766_800_000)),
            ("yyyy-MM-dd z", "2024-07-01 WIB", "UTC", Some(1_719_766_800_000)),
            ("yyyy-MM-dd z", "2024-07-01 Western Indonesia Time", "UTC", Some(1_719_766_800_000)),
            ("yyyy-MM-dd z", "2024-07-01 Western European Standard Time", "UTC", Some(1_719_792_000_000)),
            ("yyyy-MM-dd z", "2024-07-01 Eastern European Standard Time", "UTC", Some(1_719_784_800_000)),
            ("yyyy-MM-dd z", "2024-07-01 Eastern Standard Time", "UTC", Some(1_719_810_000_000)),
            ("yyyy-MM-dd z", "2024-07-01 QQQ", "UTC", None),
            ("yyyy-MM-dd X", "1970-01-01 -05", "UTC", Some(18_000_000)),
            ("yyyy-MM-dd XXX", "1970-01-01 +0530", "UTC", None),
            ("hh:mm a", "12:30 am", "UTC", Some(1_800_000)),
            ("yyyy-MM-dd", "1500-01-01", "UTC", Some(-14_830_992_000_000)),
            ("YYYY w E", "2024 10 Tue", "UTC", Some(1_709_596_800_000)),
            ("yyyy-MM-dd", "99999999999-1-1", "UTC", Some(1_471_883_220_702_496_768)),
        ] {
            let zone = SessionZone::parse(zone).expect("a zone");
            let format = SimpleDateFormat::new(pattern).expect("a pattern");
            assert_eq!(format.parse(text, zone), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn two_digits_are_a_year_near_now() {
        context::enter(1_709_219_045_678, None);
        let read = |pattern: &str, text: &str| {
            let ms = SimpleDateFormat::new(pattern).expect("a pattern").parse(text, SessionZone::UTC).expect("a time");
            crate::text::format_date((ms / 86_400_000) as i32)
        };
        for (pattern, text, expected) in [
            ("yy-MM-dd", "24-02-03", "2024-02-03"),
            ("yy-MM-dd", "44-02-28", "2044-02-28"),
            ("yy-MM-dd", "44-03-01", "1944-03-01"),
            ("y-MM-dd", "99-02-03", "1999-02-03"),
        ] {
            assert_eq!(read(pattern, text), expected, "{text}");
        }
        context::enter(0, None);
    }

    #[test]
    fn times_are_written_as_java_writes_them() {
        for (pattern, ms, zone, expected) in [
            ("G GGGG y yy yyyyy Y u uu", 1_709_219_045_678, "UTC", "AD AD 2024 24 02024 2024 4 04"),
            ("M MM MMM MMMM w W D F E EEEE", 1_709_219_045_678, "UTC", "2 02 Feb February 9 5 60 5 Thu Thursday"),
            ("a k H K h m s S SSSS", 1_709_219_045_678, "UTC", "PM 15 15 3 3 4 5 678 0678"),
            (
                "z zzzz Z X XX XXX",
                1_719_219_045_678,
                "Europe/Berlin",
                "CEST Central European Summer Time +0200 +02 +0200 +02:00",
            ),
            ("z zzzz Z X XXX", 1_719_219_045_678, "GMT+05:30", "GMT+05:30 GMT+05:30 +0530 +05 +05:30"),
            ("z zzzz", 1_719_219_045_000, "Europe/London", "BST British Summer Time"),
            ("z zzzz", 1_704_219_045_000, "Europe/London", "GMT Greenwich Mean Time"),
            ("z zzzz", 1_719_219_045_000, "Asia/Singapore", "SGT Singapore Standard Time"),
            ("z zzzz", 1_719_219_045_000, "Africa/Maputo", "CAT Central Africa Time"),
            ("z zzzz", 1_719_219_045_000, "Africa/Johannesburg", "SAST South Africa Standard Time"),
            ("z zzzz", 1_719_219_045_000, "Africa/Nairobi", "EAT East Africa Time"),
            ("z zzzz", 1_719_219_045_000, "Pacific/Honolulu", "HST Hawaii-Aleutian Standard Time"),
            ("z zzzz", 1_719_219_045_000, "America/Sao_Paulo", "BRT Brasilia Standard Time"),
            ("z zzzz", 1_420_081_200_000, "America/Sao_Paulo", "BRST Brasilia Summer Time"),
            ("z zzzz", 1_719_219_045_000, "Asia/Bangkok", "ICT Indochina Time"),
            ("z zzzz", 1_719_219_045_000, "Asia/Jakarta", "WIB Western Indonesia Time"),
            ("z zzzz", 1_719_219_045_000, "Asia/Dubai", "GMT+04:00 GMT+04:00"),
            ("''yyyy'' 'o''clock'", 1_709_219_045_678, "UTC", "'2024' o'clock"),
            ("yyyy-MM-dd w D", -12_219_292_800_001, "UTC", "1582-10-04 40 277"),
            ("G yyyy-MM-dd", -99_999_999_999_000, "UTC", "BC 1200-02-26"),
            ("HH:mm Z", -3_000_000_000_000, "Europe/Berlin", "19:40 +0100"),
            ("yyyy-MM-dd'T'HH:mmXXX", 23_773_836_898_237, "America/Los_Angeles", "2723-05-13T20:34-07:00"),
            ("YYYYY YY", -90_832_790_460_630, "GMT+05:30", "-00909 -09"),
            ("yyyy-MM-dd z", -4_393_583_766_036, "Asia/Shanghai", "1830-10-10 CST"),
        ] {
            let zone = SessionZone::parse(zone).expect("a zone");
            let mut out = String::new();
            SimpleDateFormat::new(pattern).expect("a pattern").format(ms, zone, &mut out).expect("a text");
            assert_eq!(out, expected, "{pattern} {ms}");
        }
    }

    #[test]
    fn numbers_are_filled_up_to_309_digits() {
        for letter in ["y", "H", "S"] {
            for (count, length) in [(300, 300), (309, 309), (310, 309), (70_000, 309)] {
                let format = SimpleDateFormat::new(&letter.repeat(count)).expect("a pattern");
                let mut out = String::new();
                format.format(0, SessionZone::UTC, &mut out).expect("a text");
                assert_eq!(out.len(), length, "{letter} {count}");
            }
        }
    }

    #[test]
    fn patterns_that_there_are_not() {
        for wrong in ["QQ", "yyyy-MM-ddTHH", "'open", "XXXX", "e", "n"] {
            assert!(SimpleDateFormat::new(wrong).is_err(), "{wrong}");
        }
    }
}
