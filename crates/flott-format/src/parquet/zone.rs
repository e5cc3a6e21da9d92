//! Between instants and local date-times, for files that hold instants where the table holds TIMESTAMP.

use chrono::{DateTime, MappedLocalTime, Offset, TimeDelta, TimeZone};
use flott_core::{Result, SessionZone};

/// A time zone that is not UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zone(SessionZone);

impl Zone {
    /// The zone of this name; `None` for UTC.
    pub(super) fn parse(name: &str) -> Result<Option<Zone>> {
        let zone = SessionZone::parse(name).map_err(|e| match e.hint_text() {
            Some(hint) => {
                let hint = format!("{hint}. Or set 'parquet.utc-timezone' = 'true'");
                e.hint(hint)
            }
            None => e,
        })?;
        Ok((!zone.is_utc()).then_some(Zone(zone)))
    }

    /// Seconds to add to an instant to get the local date-time.
    pub(super) fn offset_at_instant(&self, seconds: i64) -> i64 {
        DateTime::from_timestamp(seconds, 0)
            .map_or(0, |t| i64::from(self.0.offset_from_utc_datetime(&t.naive_utc()).fix().local_minus_utc()))
    }

    /// Seconds to take from a local date-time to get the instant. Of two the earlier; in a gap, that before it.
    pub(super) fn offset_at_local(&self, seconds: i64) -> i64 {
        let Some(local) = DateTime::from_timestamp(seconds, 0).map(|t| t.naive_utc()) else { return 0 };
        let offset = match self.0.offset_from_local_datetime(&local) {
            MappedLocalTime::Single(o) | MappedLocalTime::Ambiguous(o, _) => o,
            MappedLocalTime::None => {
                let before = local.checked_sub_signed(TimeDelta::hours(3)).unwrap_or(local);
                self.0.offset_from_utc_datetime(&before)
            }
        };
        i64::from(offset.fix().local_minus_utc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn berlin_has_summers() {
        let zone = Zone::parse("Europe/Berlin").expect("a zone").expect("not UTC");
        assert_eq!(zone.offset_at_instant(1_577_836_800), 3_600);
        assert_eq!(zone.offset_at_instant(1_593_561_600), 7_200);
        assert_eq!(zone.offset_at_local(1_593_561_600), 7_200);
        // 2020-03-29 02:30 does not exist.
        assert_eq!(zone.offset_at_local(1_585_449_000), 3_600);
        let kolkata = Zone::parse("GMT+05:30").expect("a zone").expect("not UTC");
        assert_eq!(kolkata.offset_at_local(0), 19_800);
        assert!(Zone::parse("UTC").expect("a zone").is_none());
        assert!(Zone::parse("Mars/Olympus").is_err());
    }
}
