//! Durations as Flink's options write them, and timestamps as Flink prints them.

use std::time::Duration;

/// The longest duration: 1,000 years. Points in time are reckoned by adding durations to clocks, which must never overflow.
pub const DURATION_MAX: Duration = Duration::from_secs(365_250 * 86_400);

/// A duration such as `10 s`, `5min`, `100` (milliseconds) or `PT10S` (Flink's `TimeUtils.parseDuration`). None is longer
/// than [`DURATION_MAX`].
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let duration = if text.starts_with(['P', 'p']) {
        parse_iso(text).ok_or_else(|| format!("'{text}' is not an ISO-8601 duration such as PT10S"))
    } else {
        parse_number_and_unit(text)
    };
    let is_sane = |duration: &Duration| *duration <= DURATION_MAX;
    duration.and_then(|d| Some(d).filter(is_sane).ok_or_else(|| too_long(text)))
}

fn too_long(text: &str) -> String {
    format!("'{text}' is too long: a duration is at most 1000 years (365250 d)")
}

fn parse_number_and_unit(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 =
        number.parse().map_err(|_| format!("'{text}' is not a duration: write a number and a unit, as in '10 s'"))?;
    let nanos: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "d" | "day" | "days" => 86_400_000_000_000,
        "h" | "hour" | "hours" => 3_600_000_000_000,
        "m" | "min" | "minute" | "minutes" => 60_000_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000_000,
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000_000,
        "µs" | "us" | "micro" | "micros" | "microsecond" | "microseconds" => 1_000,
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => 1,
        other => return Err(format!("'{other}' is not a unit of time: use d, h, min, s, ms, us or ns")),
    };
    let total = u128::from(number) * u128::from(nanos);
    let secs = u64::try_from(total / 1_000_000_000).map_err(|_| too_long(text))?;
    Ok(Duration::new(secs, (total % 1_000_000_000) as u32))
}

fn parse_iso(text: &str) -> Option<Duration> {
    let upper = text.to_ascii_uppercase();
    let (days, time) = upper.strip_prefix('P')?.split_once('T').unwrap_or((upper.strip_prefix('P')?, ""));
    let mut secs = 0f64;
    if !days.is_empty() {
        secs += days.strip_suffix('D')?.parse::<f64>().ok()? * 86_400.0;
    }
    let mut number = String::new();
    for c in time.chars() {
        match c {
            '0'..='9' | '.' => number.push(c),
            'H' | 'M' | 'S' => {
                let factor = match c {
                    'H' => 3_600.0,
                    'M' => 60.0,
                    _ => 1.0,
                };
                secs += std::mem::take(&mut number).parse::<f64>().ok()? * factor;
            }
            _ => return None,
        }
    }
    (number.is_empty() && (!days.is_empty() || !time.is_empty())).then(|| Duration::try_from_secs_f64(secs).ok())?
}

/// As Flink prints a duration: the largest unit that divides it.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0 ms".to_string();
    }
    let units: [(u128, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let (size, unit) = units.into_iter().find(|(size, _)| nanos.is_multiple_of(*size)).unwrap_or((1, "ns"));
    format!("{} {unit}", nanos / size)
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar (Howard Hinnant's `days_from_civil`).
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let m = i64::from(month);
    let doy = (153 * (m + if m > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

/// The reverse of [`days_from_civil`].
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// `2020-01-01 00:00:00.000` of milliseconds since the epoch, in UTC.
pub fn format_timestamp_ms(ms: i64) -> String {
    let (year, month, day) = civil_from_days(ms.div_euclid(86_400_000));
    let t = ms.rem_euclid(86_400_000);
    let (h, m, s, f) = (t / 3_600_000, t / 60_000 % 60, t / 1_000 % 60, t % 1_000);
    format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}.{f:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flinks_spellings_of_durations() {
        for (text, ms) in [
            ("10 s", 10_000),
            ("5min", 300_000),
            ("100", 100),
            ("1 d", 86_400_000),
            ("PT1M30S", 90_000),
            ("2 h", 7_200_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(parse_duration("3 us"), Ok(Duration::from_micros(3)));
        for text in ["", "s", "10 lightyears", "-1 s", "PT", "P1X"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for text in [
            "18446744073709551615 s",
            "18446744073709551615 d",
            "365251 d",
            "P365251D",
            "PT1e18S",
            "9223372036854775807",
        ] {
            let error = parse_duration(text).expect_err("nobody waits so long");
            assert!(error.contains("1000 years") || error.contains("PT10S"), "{text}: {error}");
        }
        assert_eq!(parse_duration("365250 d"), Ok(DURATION_MAX));
        assert_eq!(format_duration(Duration::from_secs(90)), "90 s");
        assert_eq!(format_duration(Duration::from_secs(120)), "2 min");
    }

    #[test]
    fn civil_dates_round_trip() {
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 3, 1), 11_017);
        for days in (-800_000..800_000).step_by(37) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
        assert_eq!(format_timestamp_ms(-1), "1969-12-31 23:59:59.999");
    }
}
