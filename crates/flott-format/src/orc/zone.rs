//! The zone in which a file's writer meant its timestamps.
//!
//! ORC counts the seconds of a timestamp from the start of 2015 in the zone of the writer, which stands in the footer of a
//! stripe. What counts is the date and time that the writer saw.

use chrono::{NaiveDate, Offset, TimeZone};
use flott_core::SessionZone;

use crate::wrong::{Read, wrong};

/// 2015-01-01 00:00:00 UTC.
const EPOCH: i64 = 1_420_070_400;

/// A writer's zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct WriterZone {
    /// Seconds from 1970 to the start of 2015 there.
    epoch: i64,
    zone: Option<SessionZone>,
}

impl WriterZone {
    pub(super) const UTC: WriterZone = WriterZone { epoch: EPOCH, zone: None };

    /// The zone of this name.
    pub(super) fn parse(name: Option<&str>) -> Read<WriterZone> {
        let Some(name) = name.filter(|n| !matches!(*n, "UTC" | "GMT" | "Etc/UTC")) else { return Ok(WriterZone::UTC) };
        let Ok(zone) = SessionZone::parse(name) else {
            return wrong(format!("the file was written in the unknown time zone '{name}'"));
        };
        let start = NaiveDate::from_ymd_opt(2015, 1, 1).and_then(|d| d.and_hms_opt(0, 0, 0));
        let Some(epoch) = start.and_then(|s| zone.offset_from_local_datetime(&s).earliest()) else {
            return wrong(format!("the time zone '{name}' has no start of 2015"));
        };
        Ok(WriterZone { epoch: EPOCH - i64::from(epoch.fix().local_minus_utc()), zone: Some(zone) })
    }

    /// From what stands in a file to the seconds of an instant; `None` beyond what can be counted.
    pub(super) fn instant(self, seconds: i64) -> Option<i64> {
        seconds.checked_add(self.epoch)
    }

    /// The date and time of an instant there, in seconds as if it were UTC.
    pub(super) fn local(self, instant: i64) -> i64 {
        let Some(zone) = self.zone else { return instant };
        let offset = chrono::DateTime::from_timestamp(instant, 0)
            .map_or(0, |t| i64::from(zone.offset_from_utc_datetime(&t.naive_utc()).fix().local_minus_utc()));
        instant.saturating_add(offset)
    }
}

/// From an instant to what stands in a file whose zone is UTC.
pub(super) fn stored(instant: i64) -> i64 {
    instant - EPOCH
}
