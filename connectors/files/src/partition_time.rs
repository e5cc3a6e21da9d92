//! The time in a partition's name (`partition.time-extractor.*`), and whether a watermark has passed it.

use chrono::{LocalResult, NaiveDateTime, TimeZone};
use flott_core::time_text::days_from_civil;
use flott_core::{Error, Result, SessionZone};

use crate::options;
use crate::partition;

const DAY_MS: i64 = 86_400_000;

/// `America/Los_Angeles`, `UTC`, `GMT-08:00`.
pub(crate) fn parse_zone(text: &str) -> Result<SessionZone> {
    SessionZone::parse(text).map_err(|e| e.renamed("option", options::COMMIT_ZONE.key))
}

/// The instant of a local time: the earlier one of two; in a gap the clock is moved on by the gap, as in Java.
fn to_utc_ms(zone: SessionZone, local_ms: i64) -> i64 {
    let naive = |ms| chrono::DateTime::from_timestamp_millis(ms).map(|t| t.naive_utc());
    let offset_ms = |t: &NaiveDateTime| i64::from(zone.offset_from_utc_datetime(t).local_minus_utc()) * 1_000;
    let Some(local) = naive(local_ms) else { return local_ms };
    match zone.from_local_datetime(&local) {
        LocalResult::Single(t) | LocalResult::Ambiguous(t, _) => t.timestamp_millis(),
        // The offset before the gap.
        LocalResult::None => {
            naive(local_ms - DAY_MS).map_or(local_ms, |before| local_ms.saturating_sub(offset_ms(&before)))
        }
    }
}

/// One part of a formatter's pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// Letter and width.
    Field(char, usize),
}

/// How the time is found.
#[derive(Debug, Clone)]
pub(crate) struct PartitionTime {
    keys: Vec<String>,
    pattern: Option<String>,
    formatter: Option<Vec<Part>>,
    zone: SessionZone,
}

impl PartitionTime {
    pub(crate) fn new(
        keys: &[String],
        pattern: Option<String>,
        formatter: Option<&str>,
        zone: SessionZone,
    ) -> Result<PartitionTime> {
        Ok(PartitionTime { keys: keys.to_vec(), pattern, formatter: formatter.map(parse_formatter).transpose()?, zone })
    }

    /// The instant of a partition (`dt=2024-01-01/hour=10`), in milliseconds since the epoch.
    pub(crate) fn instant_ms(&self, partition: &str) -> Result<i64> {
        let values = partition::raw_values_of(partition, &self.keys)?;
        let text = match &self.pattern {
            None => values.first().cloned().unwrap_or_default(),
            // One after the other, as in Flink: of `$day` and `$daytime` the shorter is a part of the longer.
            Some(pattern) => self
                .keys
                .iter()
                .zip(&values)
                .fold(pattern.clone(), |text, (key, value)| text.replace(&format!("${key}"), value)),
        };
        let local = match &self.formatter {
            None => parse_default(&text),
            Some(parts) => parse_with(parts, &text),
        };
        let local = local.ok_or_else(|| {
            Error::data(format!("there is no time in the partition '{partition}': '{text}' is not a timestamp"))
                .hint("Check 'partition.time-extractor.timestamp-pattern' and '.timestamp-formatter'")
        })?;
        Ok(to_utc_ms(self.zone, local))
    }
}

/// Takes `min ..= max` digits from the front.
fn digits(text: &mut &str, min: usize, max: usize) -> Option<i64> {
    let count = text.bytes().take(max).take_while(u8::is_ascii_digit).count();
    if count < min {
        return None;
    }
    let (number, rest) = text.split_at(count);
    *text = rest;
    number.parse().ok()
}

fn literal(text: &mut &str, expected: &str) -> Option<()> {
    *text = text.strip_prefix(expected)?;
    Some(())
}

/// Fields out of their range carry over, as with Java's lenient resolver: month 13 is the next year's first.
fn local_ms(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64, ms: i64) -> Option<i64> {
    if year.abs() > 200_000_000 {
        return None;
    }
    let months = month - 1;
    let first = days_from_civil(year + months.div_euclid(12), months.rem_euclid(12) as u32 + 1, 1);
    let days = first + day - 1;
    days.checked_mul(DAY_MS)?.checked_add(((hour * 60 + minute) * 60 + second) * 1_000 + ms)
}

/// `y-M-d` and `y-M-d H:m:s[.fraction]`.
fn parse_default(text: &str) -> Option<i64> {
    let mut rest = text;
    let sign = if literal(&mut rest, "-").is_some() { -1 } else { 1 };
    let year = sign * digits(&mut rest, 1, 10)?;
    literal(&mut rest, "-")?;
    let month = digits(&mut rest, 1, 2)?;
    literal(&mut rest, "-")?;
    let day = digits(&mut rest, 1, 2)?;
    if rest.is_empty() {
        return local_ms(year, month, day, 0, 0, 0, 0);
    }
    literal(&mut rest, " ")?;
    let hour = digits(&mut rest, 1, 2)?;
    literal(&mut rest, ":")?;
    let minute = digits(&mut rest, 1, 2)?;
    literal(&mut rest, ":")?;
    let second = digits(&mut rest, 1, 2)?;
    let mut ms = 0;
    if literal(&mut rest, ".").is_some() {
        ms = fraction(&mut rest, 1, 9)?;
    }
    rest.is_empty().then(|| local_ms(year, month, day, hour, minute, second, ms))?
}

/// Digits behind the point, as milliseconds.
fn fraction(text: &mut &str, min: usize, max: usize) -> Option<i64> {
    let before = text.len();
    let value = digits(text, min, max)?;
    let count = (before - text.len()) as u32;
    Some(value * 1_000_000_000 / 10_i64.pow(count) / 1_000_000)
}

/// The letters of Java's `DateTimeFormatter` that make up dates and times in numbers.
fn parse_formatter(pattern: &str) -> Result<Vec<Part>> {
    let wrong = |what: String| {
        Error::user(format!("'{pattern}' is not a supported formatter: {what}"))
            .with("option", options::TIMESTAMP_FORMATTER.key)
            .hint("Use y, u, M, d, H, m, s and S, with '..' around text, as in yyyy-MM-dd'T'HH:mm:ss")
    };
    let mut parts: Vec<Part> = vec![];
    let mut text = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                // A doubled quote is one, outside and inside.
                if chars.next_if_eq(&'\'').is_some() {
                    text.push('\'');
                    continue;
                }
                loop {
                    match chars.next() {
                        None => return Err(wrong("a quote is missing".into())),
                        Some('\'') if chars.next_if_eq(&'\'').is_some() => text.push('\''),
                        Some('\'') => break,
                        Some(c) => text.push(c),
                    }
                }
            }
            'y' | 'u' | 'M' | 'd' | 'H' | 'm' | 's' | 'S' => {
                let mut width = 1;
                while chars.next_if_eq(&c).is_some() {
                    width += 1;
                }
                let fits = match c {
                    'y' | 'u' => width <= 9 && width != 3,
                    'S' => width <= 9,
                    // MMM is a name.
                    _ => width <= 2,
                };
                if !fits {
                    return Err(wrong(format!("{width} times '{c}'")));
                }
                if !text.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut text)));
                }
                parts.push(Part::Field(c, width));
            }
            c if c.is_ascii_alphabetic() || matches!(c, '[' | ']' | '{' | '}' | '#') => {
                return Err(wrong(format!("'{c}' is not known")));
            }
            c => text.push(c),
        }
    }
    if !text.is_empty() {
        parts.push(Part::Literal(text));
    }
    let has = |letters: &[char]| parts.iter().any(|p| matches!(p, Part::Field(c, _) if letters.contains(c)));
    if !(has(&['y', 'u']) && has(&['M']) && has(&['d'])) {
        return Err(wrong("it needs a year, a month and a day".into()));
    }
    Ok(parts)
}

/// Fields must be in their ranges, as with Java's default resolver.
fn parse_with(parts: &[Part], text: &str) -> Option<i64> {
    let mut rest = text;
    let (mut year, mut month, mut day, mut hour, mut minute, mut second, mut ms) = (0, 1, 1, 0, 0, 0, 0);
    for (i, part) in parts.iter().enumerate() {
        // A single letter takes as many digits as there are, unless digits of another field follow.
        let alone = !matches!(parts.get(i + 1), Some(Part::Field(..)));
        match part {
            Part::Literal(text) => literal(&mut rest, text)?,
            Part::Field('y' | 'u', 2) => year = 2_000 + digits(&mut rest, 2, 2)?,
            Part::Field('y' | 'u', w) => year = digits(&mut rest, *w, if alone { 9 } else { *w })?,
            Part::Field('S', w) => ms = fraction(&mut rest, *w, *w)?,
            Part::Field(c, w) => {
                let value = digits(&mut rest, *w, if *w == 1 && alone { 2 } else { *w })?;
                match c {
                    'M' => month = value,
                    'd' => day = value,
                    'H' => hour = value,
                    'm' => minute = value,
                    _ => second = value,
                }
            }
        }
    }
    let valid = rest.is_empty() && (1..=12).contains(&month) && hour < 24 && minute < 60 && second < 60;
    let date = chrono::NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, u32::try_from(month).ok()?, 1)?;
    // The smart resolver: day 31 of a shorter month is its last day.
    let last = (28..=31).rev().find(|d| chrono::Datelike::with_day(&date, *d).is_some())?;
    if !valid || !(1..=31).contains(&day) {
        return None;
    }
    local_ms(year, month, day.min(i64::from(last)), hour, minute, second, ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(
        keys: &[&str],
        pattern: Option<&str>,
        formatter: Option<&str>,
        zone: &str,
        partition: &str,
    ) -> Result<String> {
        let keys: Vec<String> = keys.iter().map(|k| k.to_string()).collect();
        let time = PartitionTime::new(&keys, pattern.map(String::from), formatter, parse_zone(zone)?)?;
        Ok(flott_core::time_text::format_timestamp_ms(time.instant_ms(partition)?))
    }

    #[test]
    fn times_in_names() {
        let dt = |zone, value: &str| at(&["dt"], None, None, zone, &format!("dt={value}")).expect("a time");
        assert_eq!(dt("UTC", "2024-05-06"), "2024-05-06 00:00:00.000");
        assert_eq!(dt("UTC", "2024-5-6 7%3A8%3A9.25"), "2024-05-06 07:08:09.250");
        assert_eq!(dt("UTC", "2024-13-01"), "2025-01-01 00:00:00.000");
        assert_eq!(dt("GMT-08:00", "2024-05-06"), "2024-05-06 08:00:00.000");
        assert_eq!(dt("America/Los_Angeles", "2024-05-06"), "2024-05-06 07:00:00.000");
        // 02:30 does not exist on this day; 01:30 exists twice on the other.
        assert_eq!(dt("America/Los_Angeles", "2024-03-10 02%3A30%3A00"), "2024-03-10 10:30:00.000");
        assert_eq!(dt("America/Los_Angeles", "2024-11-03 01%3A30%3A00"), "2024-11-03 08:30:00.000");
        let parts = |pattern, formatter, p| at(&["dt", "hour"], Some(pattern), formatter, "UTC", p);
        assert_eq!(parts("$dt $hour:00:00", None, "dt=2024-05-06/hour=7").expect("a time"), "2024-05-06 07:00:00.000");
        assert_eq!(
            parts("$dt/$hour", Some("yyyyMMdd/HH"), "dt=20240506/hour=07").expect("a time"),
            "2024-05-06 07:00:00.000"
        );
        assert_eq!(
            parts("$dt", Some("d.M.yyyy 'um' H"), "dt=6.5.2024 um 7/hour=1").expect("a time"),
            "2024-05-06 07:00:00.000"
        );
        assert!(parts("$dt", None, "dt=__DEFAULT_PARTITION__/hour=7").is_err());
        assert!(parts("$dt", Some("yyyyMMdd"), "dt=20241306/hour=7").is_err());
        assert!(parts("$dt", Some("yyyy-MMM-dd"), "dt=x/hour=7").is_err());
        for zone in ["Mars/Base", "GMT+25:00", "UTC+8"] {
            let e = parse_zone(zone).expect_err("no zone");
            assert_eq!(e.context("option"), Some("sink.partition-commit.watermark-time-zone"), "{e}");
        }
    }
}
