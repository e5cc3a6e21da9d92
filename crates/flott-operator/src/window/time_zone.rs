//! Windows are aligned in local time: between instants and local times of a zone (Flink's `TimeWindowUtil`).
//!
//! Local times are milliseconds as if the clock on the wall were UTC.

use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDateTime, TimeZone};
use flott_core::{Result, SessionZone};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Transitions of all zones of the last hundred years fall on quarters of an hour.
const QUARTER_MS: i64 = HOUR_MS / 4;
/// 2036-01-15 and 2036-07-15: where the offsets differ, the zone observes daylight saving time.
const WINTER_MS: i64 = 2_083_968_000_000;
const SUMMER_MS: i64 = 2_099_692_800_000;

/// How instants become the local times in which windows are cut.
#[derive(Debug, Clone)]
pub struct ShiftZone {
    zone: SessionZone,
    daylight: bool,
    /// Instants `from .. to` have this offset: the piece that was last asked for.
    cached: (i64, i64, i64),
}

impl ShiftZone {
    /// No shift: TIMESTAMP columns.
    pub fn utc() -> ShiftZone {
        ShiftZone { zone: SessionZone::UTC, daylight: false, cached: (0, 0, 0) }
    }

    /// A zone by its name, as `table.local-time-zone` has it.
    pub fn named(name: Option<&str>) -> Result<ShiftZone> {
        let Some(name) = name else { return Ok(ShiftZone::utc()) };
        let zone = SessionZone::parse(name)?;
        let mut shift = ShiftZone { zone, daylight: false, cached: (0, 0, 0) };
        shift.daylight = shift.offset_at(WINTER_MS) != shift.offset_at(SUMMER_MS);
        Ok(shift)
    }

    /// Whether local times are instants.
    pub fn is_utc(&self) -> bool {
        self.zone.is_utc()
    }

    /// Milliseconds that local time is ahead of UTC at an instant.
    fn offset_at(&self, epoch_ms: i64) -> i64 {
        if self.is_utc() {
            return 0;
        }
        let time = DateTime::from_timestamp_millis(epoch_ms);
        time.map_or(0, |t| offset_ms(self.zone.offset_from_utc_datetime(&t.naive_utc())))
    }

    /// The local time of an instant; `i64::MAX` stays.
    pub fn to_local(&mut self, epoch_ms: i64) -> i64 {
        if self.is_utc() || epoch_ms == i64::MAX || epoch_ms == i64::MIN {
            return epoch_ms;
        }
        if epoch_ms < self.cached.0 || epoch_ms >= self.cached.1 {
            let from = epoch_ms.div_euclid(QUARTER_MS).saturating_mul(QUARTER_MS);
            let to = from.saturating_add(QUARTER_MS);
            let offset = self.offset_at(epoch_ms);
            if self.offset_at(from) != offset || self.offset_at(to - 1) != offset {
                return epoch_ms.saturating_add(offset);
            }
            self.cached = (from, to, offset);
        }
        epoch_ms.saturating_add(self.cached.2)
    }

    /// The instant of a local time. A time that a clock change skips is moved on by the length of the gap; of a time
    /// that comes twice the first is taken (as Java's `LocalDateTime.atZone`).
    pub fn to_epoch(&self, local_ms: i64) -> i64 {
        if self.is_utc() || local_ms == i64::MAX || local_ms == i64::MIN {
            return local_ms;
        }
        let Some(local) = naive(local_ms) else { return local_ms };
        let offset = match self.zone.offset_from_local_datetime(&local) {
            MappedLocalTime::Single(o) => offset_ms(o),
            // The first of the two instants is the one with the greater offset.
            MappedLocalTime::Ambiguous(a, b) => offset_ms(a).max(offset_ms(b)),
            MappedLocalTime::None => self.offset_at(local_ms.saturating_sub(DAY_MS)),
        };
        local_ms.saturating_sub(offset)
    }

    /// The instant at which a timer for a local time is due: no window fires before all instants of its local times
    /// are over, also where the clock is put back.
    pub fn to_timer(&self, local_ms: i64) -> i64 {
        if self.is_utc() || local_ms == i64::MAX {
            return local_ms;
        }
        let t1 = self.to_epoch(local_ms);
        if !self.daylight {
            return t1;
        }
        let t2 = self.to_epoch(local_ms.saturating_add(HOUR_MS));
        if t1 == t2 {
            t1 - t1 % HOUR_MS
        } else if t2 - t1 > HOUR_MS {
            t1 + HOUR_MS
        } else {
            t1
        }
    }

    /// Whether a window with this (local) end is over at this progress of time.
    pub fn is_over(&self, window_end: i64, progress_ms: i64) -> bool {
        window_end != i64::MAX && self.to_timer(window_end.saturating_sub(1)) <= progress_ms
    }
}

fn offset_ms(offset: FixedOffset) -> i64 {
    i64::from(offset.local_minus_utc()) * 1_000
}

fn naive(ms: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_millis(ms).map(|t| t.naive_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_at_the_clock_changes_of_los_angeles() {
        // The instants are those that Flink's documentation of the rule names.
        let mut zone = ShiftZone::named(Some("America/Los_Angeles")).expect("a zone");
        let spring = 1_615_680_000_000; // 2021-03-14 00:00 as if UTC
        assert_eq!(zone.to_timer(spring + 2 * HOUR_MS), 1_615_716_000_000);
        assert_eq!(zone.to_timer(spring + 3 * HOUR_MS - 1_000), 1_615_716_000_000);
        assert_eq!(zone.to_timer(spring + 3 * HOUR_MS), 1_615_716_000_000);
        let autumn = 1_636_243_200_000; // 2021-11-07 00:00 as if UTC
        assert_eq!(zone.to_timer(autumn), 1_636_268_400_000);
        assert_eq!(zone.to_timer(autumn + HOUR_MS), 1_636_275_600_000);
        assert_eq!(zone.to_timer(autumn + 2 * HOUR_MS), 1_636_279_200_000);
        assert_eq!(zone.to_local(1_636_272_000_000), autumn + HOUR_MS);
        assert_eq!(zone.to_local(1_636_275_600_000), autumn + HOUR_MS);
        assert_eq!(zone.to_local(1_636_275_599_999), autumn + 2 * HOUR_MS - 1);
    }

    #[test]
    fn names_of_zones() {
        for (name, half_hours) in
            [("GMT+08:00", 16), ("GMT+05:30", 11), ("UTC", 0), ("Asia/Shanghai", 16), ("GMT-03:00", -6)]
        {
            let mut zone = ShiftZone::named(Some(name)).expect(name);
            assert_eq!(zone.to_local(0), half_hours * HOUR_MS / 2, "{name}");
            assert_eq!(zone.to_epoch(half_hours * HOUR_MS / 2), 0, "{name}");
        }
        assert!(ShiftZone::named(Some("Atlantis")).is_err());
    }
}
