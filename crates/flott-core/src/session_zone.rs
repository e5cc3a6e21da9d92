//! The session's time zone, by the names that Flink takes for `table.local-time-zone`.

use chrono::{FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

use crate::{Error, Result, suggest};

/// Seconds of the greatest offset that a zone may have, as Java has it.
const OFFSET_MAX_SECONDS: i32 = 18 * 3_600;

/// An IANA zone, or a fixed offset from UTC. It is a zone of chrono, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionZone {
    /// `Europe/Berlin`, with its summers.
    Named(Tz),
    /// `GMT+05:30`
    Fixed(FixedOffset),
}

impl SessionZone {
    /// Coordinated Universal Time.
    pub const UTC: SessionZone = SessionZone::Named(Tz::UTC);

    /// A zone by its IANA name, or a fixed offset: `GMT+8`, `GMT+08`, `GMT+0530`, `GMT-08:00`.
    ///
    /// As in Flink `+08:00` and `UTC+08:00` are none: Java's two ways to read a zone differ on them.
    pub fn parse(name: &str) -> Result<SessionZone> {
        let fixed = || name.strip_prefix("GMT").and_then(offset).map(SessionZone::Fixed);
        name.parse().ok().map(SessionZone::Named).or_else(fixed).ok_or_else(|| unknown(name))
    }

    /// Whether local times are instants.
    pub fn is_utc(&self) -> bool {
        match self {
            SessionZone::Named(tz) => matches!(
                tz,
                Tz::UTC | Tz::UCT | Tz::GMT | Tz::Zulu | Tz::Universal | Tz::Etc__UTC | Tz::Etc__UCT | Tz::Etc__GMT
            ),
            SessionZone::Fixed(offset) => offset.local_minus_utc() == 0,
        }
    }
}

impl Default for SessionZone {
    fn default() -> Self {
        SessionZone::UTC
    }
}

/// `+8`, `+08`, `+0800`, `-08:00`.
fn offset(text: &str) -> Option<FixedOffset> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = &text[1..];
    let (hours, minutes) = match (digits.len(), digits.split_once(':')) {
        (1 | 2, None) => (digits, "00"),
        (4, None) => digits.split_at_checked(2)?,
        (5, Some((hours, minutes))) if hours.len() == 2 => (hours, minutes),
        _ => return None,
    };
    let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse::<i32>().ok()).flatten();
    let (hours, minutes) = (number(hours)?, number(minutes).filter(|m| *m < 60)?);
    let seconds = (hours * 60 + minutes) * 60;
    FixedOffset::east_opt(sign * seconds).filter(|_| seconds <= OFFSET_MAX_SECONDS)
}

fn unknown(name: &str) -> Error {
    let error = Error::user(format!("'{name}' is not a time zone")).with("option", "table.local-time-zone");
    match suggest::nearest(name, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name())) {
        Some(near) => error.hint(format!("Did you mean '{near}'?")),
        None => error.hint(
            "Use a name such as 'America/Los_Angeles' to include daylight saving time, a fixed offset such as \
             'GMT-03:00', or 'UTC'",
        ),
    }
}

impl TimeZone for SessionZone {
    type Offset = FixedOffset;

    fn from_offset(offset: &FixedOffset) -> SessionZone {
        SessionZone::Fixed(*offset)
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<FixedOffset> {
        match self {
            SessionZone::Named(tz) => tz.offset_from_local_date(local).map(|o| o.fix()),
            SessionZone::Fixed(offset) => MappedLocalTime::Single(*offset),
        }
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<FixedOffset> {
        match self {
            SessionZone::Named(tz) => tz.offset_from_local_datetime(local).map(|o| o.fix()),
            SessionZone::Fixed(offset) => MappedLocalTime::Single(*offset),
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> FixedOffset {
        match self {
            SessionZone::Named(tz) => tz.offset_from_utc_date(utc).fix(),
            SessionZone::Fixed(offset) => *offset,
        }
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> FixedOffset {
        match self {
            SessionZone::Named(tz) => tz.offset_from_utc_datetime(utc).fix(),
            SessionZone::Fixed(offset) => *offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_flink_takes() {
        let january = NaiveDateTime::default();
        for (name, minutes) in [
            ("UTC", 0),
            ("GMT", 0),
            ("Asia/Shanghai", 480),
            ("Asia/Kolkata", 330),
            ("GMT+05:30", 330),
            ("GMT-08:00", -480),
            ("GMT+8", 480),
            ("GMT+08", 480),
            ("GMT-0330", -210),
            ("GMT+18:00", 1_080),
        ] {
            let zone = SessionZone::parse(name).expect(name);
            assert_eq!(zone.offset_from_utc_datetime(&january).local_minus_utc(), minutes * 60, "{name}");
            assert_eq!(zone.is_utc(), minutes == 0, "{name}");
        }
        for name in [
            "",
            "+08:00",
            "UTC+8",
            "UTC+08:00",
            "GMT+5:30",
            "GMT+18:01",
            "GMT+08:60",
            "GMT+",
            "GMT8",
            "GMT+0a",
            "GMT+é",
            "Mars",
        ] {
            let e = SessionZone::parse(name).expect_err(name).to_string();
            assert!(e.starts_with(&format!("'{name}' is not a time zone")), "{e}");
        }
        assert!(SessionZone::parse("Europe/Berln").expect_err("a slip").to_string().contains("'Europe/Berlin'"));
    }
}
