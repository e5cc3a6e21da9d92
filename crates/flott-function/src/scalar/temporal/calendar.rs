//! Java's `GregorianCalendar`: Julian days before 15 October 1582, lenient fields, weeks that start on Sunday, and the offsets
//! that `java.util.TimeZone` knows, which differ from `java.time`'s before 1900 and where clocks are set back.

use chrono::{DateTime, TimeZone};
use chrono_tz::{OffsetComponents, OffsetName};
use flott_core::SessionZone;
use flott_core::time_text::{civil_from_days, days_from_civil};

/// Days since 1970 of 15 October 1582.
const CUTOVER: i64 = -141_427;
const CUTOVER_YEAR: i64 = 1582;
/// Days since 1970 of the last day before year 1, by which days of the week are counted.
const DAY_ZERO: i64 = -719_163;
const DAY_MS: i64 = 86_400_000;
/// Seconds since 1970 of the year 1900; what `java.util.TimeZone` knows begins here.
const YEAR_1900: i64 = -2_208_988_800;
/// A January that is over.
const WINTER: i64 = 1_705_000_000;

/// What a calendar says about an instant. The day of the week is 1 on Sunday.
pub(super) struct Fields {
    pub(super) before_christ: bool,
    pub(super) year: i64,
    /// From 1 on.
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) day_of_year: i64,
    pub(super) day_of_week: i64,
    pub(super) day_of_week_in_month: i64,
    pub(super) week_year: i64,
    pub(super) week_of_year: i64,
    pub(super) week_of_month: i64,
    pub(super) ms_of_day: i64,
    /// Of the zone's standard time.
    pub(super) offset_ms: i64,
    pub(super) summer_ms: i64,
}

/// Days since 1970 of a day of the Julian calendar.
fn julian_days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let from_march = (month + 9) % 12;
    1_461 * year.div_euclid(4) + 365 * year.rem_euclid(4) + (153 * from_march + 2) / 5 + day - 1 - 719_470
}

/// A day of the Julian calendar.
fn julian(days: i64) -> (i64, i64, i64) {
    let days = days + 719_470;
    let (leap_years, rest) = (days.div_euclid(1_461), days.rem_euclid(1_461));
    let year = (rest - rest / 1_460) / 365;
    let of_year = rest - 365 * year;
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (4 * leap_years + year + i64::from(month <= 2), month, of_year - (153 * from_march + 2) / 5 + 1)
}

/// A day as year, month and day.
fn civil(days: i64) -> (i64, i64, i64) {
    if days < CUTOVER {
        return julian(days);
    }
    let (y, m, d) = civil_from_days(days);
    (y, i64::from(m), i64::from(d))
}

/// Days since 1970 of the first day of a month.
fn first_of(year: i64, month: i64) -> i64 {
    if year > CUTOVER_YEAR || (year == CUTOVER_YEAR && month > 10) {
        days_from_civil(year, month as u32, 1)
    } else {
        julian_days(year, month, 1)
    }
}

/// The last day that is this day of the week (from Sunday, 1) and not behind `days`.
fn on_or_before(days: i64, day_of_week: i64) -> i64 {
    days - (days - DAY_ZERO - (day_of_week - 1)).rem_euclid(7)
}

/// Which week of a period a day is in, the one with the period's first day being 1.
fn week(first: i64, days: i64) -> i64 {
    (days - on_or_before(first, 1)).div_euclid(7) + 1
}

impl Fields {
    pub(super) fn of(ms: i64, zone: SessionZone) -> Fields {
        let (offset_ms, summer_ms) = offsets(zone, ms.div_euclid(1_000));
        let local = i128::from(ms) + i128::from(offset_ms + summer_ms);
        let days = local.div_euclid(i128::from(DAY_MS)) as i64;
        let ms_of_day = local.rem_euclid(i128::from(DAY_MS)) as i64;
        let (year, month, day) = civil(days);
        let (january, next) = (first_of(year, 1), first_of(year + 1, 1));
        let next_week = on_or_before(next, 1);
        let (week_year, week_of_year) = if days >= next_week { (year + 1, 1) } else { (year, week(january, days)) };
        let of_month = days - first_of(year, month);
        Fields {
            before_christ: year <= 0,
            year: if year <= 0 { 1 - year } else { year },
            month,
            day,
            day_of_year: days - january + 1,
            day_of_week: (days - DAY_ZERO).rem_euclid(7) + 1,
            day_of_week_in_month: of_month / 7 + 1,
            week_year,
            week_of_year,
            week_of_month: week(first_of(year, month), days),
            ms_of_day,
            offset_ms,
            summer_ms,
        }
    }
}

/// Offset and summer time in milliseconds.
fn offsets(zone: SessionZone, seconds: i64) -> (i64, i64) {
    let tz = match zone {
        SessionZone::Fixed(offset) => return (i64::from(offset.local_minus_utc()) * 1_000, 0),
        SessionZone::Named(tz) => tz,
    };
    let at = |seconds: i64| {
        let utc = DateTime::from_timestamp(seconds, 0)?.naive_utc();
        let offset = tz.offset_from_utc_datetime(&utc);
        Some((offset.base_utc_offset().num_milliseconds(), offset.dst_offset().num_milliseconds()))
    };
    if seconds < YEAR_1900 {
        // As it is today, without summers.
        return at(WINTER).map_or((0, 0), |(offset, _)| (offset, 0));
    }
    at(with_known_summers(seconds)).unwrap_or((0, 0))
}

/// What is known of zones ends; the summers of a later year are those of one that has the same days of the week.
fn with_known_summers(seconds: i64) -> i64 {
    const YEAR_2068: i64 = 3_092_601_600;
    if seconds < YEAR_2068 {
        return seconds;
    }
    let year = civil_from_days(seconds.div_euclid(86_400)).0;
    let (january, next) = (days_from_civil(year, 1, 1), days_from_civil(year + 1, 1, 1));
    let is_alike = |known: &i64| {
        let first = days_from_civil(*known, 1, 1);
        (first - january) % 7 == 0 && days_from_civil(known + 1, 1, 1) - first == next - january
    };
    let known = (2_040..2_068).find(is_alike).unwrap_or(2_040);
    seconds + (days_from_civil(known, 1, 1) - january) * 86_400
}

/// Offsets of a local time: in a gap those before it; of a time that is there twice those of the second.
fn offsets_of_local(zone: SessionZone, local_seconds: i64) -> (i64, i64) {
    let (before, after) = (offsets(zone, local_seconds - 86_400), offsets(zone, local_seconds + 86_400));
    let is_after = || offsets(zone, local_seconds - (after.0 + after.1) / 1_000) == after;
    if before == after || is_after() { after } else { before }
}

/// How much a zone's clocks are set forward in summer, now.
pub(super) fn summer_ms(zone: SessionZone) -> i64 {
    // A January and a July of one year.
    offsets(zone, WINTER).1.max(offsets(zone, 1_720_000_000).1)
}

/// Fields that a calendar is set by, in Java's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    Era,
    Year,
    Month,
    WeekOfYear,
    WeekOfMonth,
    Day,
    DayOfYear,
    DayOfWeek,
    DayOfWeekInMonth,
    Afternoon,
    Hour,
    HourOfDay,
    Minute,
    Second,
    Millisecond,
    Offset,
    Summer,
    WeekYear,
}

const COUNT: usize = Set::WeekYear as usize + 1;

/// Fields that have been read, and in which order: where they contradict each other the last ones count.
#[derive(Debug, Clone, Default)]
pub(super) struct Builder {
    values: [i64; COUNT],
    /// When each was set; 0: it was not.
    stamps: [u32; COUNT],
    last: u32,
}

impl Builder {
    pub(super) fn set(&mut self, field: Set, value: i64) {
        self.last += 1;
        self.values[field as usize] = value;
        self.stamps[field as usize] = self.last;
    }

    pub(super) fn clear(&mut self, field: Set) {
        self.values[field as usize] = 0;
        self.stamps[field as usize] = 0;
    }

    pub(super) fn add_years(&mut self, years: i64) {
        self.values[Set::Year as usize] += years;
        self.values[Set::WeekYear as usize] += years;
    }

    fn value(&self, field: Set) -> i64 {
        self.values[field as usize]
    }

    fn stamp(&self, field: Set) -> u32 {
        self.stamps[field as usize]
    }

    fn is_set(&self, field: Set) -> bool {
        self.stamp(field) > 0
    }

    /// The instant in milliseconds since 1970. `None`: an era that there is not.
    pub(super) fn instant(&self, zone: SessionZone) -> Option<i64> {
        let hour_stamp = both(self.stamp(Set::Hour), self.stamp(Set::Afternoon));
        let of_day_stamp = self.stamp(Set::HourOfDay);
        let hour = if of_day_stamp > 0 && of_day_stamp >= hour_stamp {
            self.value(Set::HourOfDay)
        } else {
            self.value(Set::Hour) + 12 * self.value(Set::Afternoon)
        };
        let time = ((hour * 60 + self.value(Set::Minute)) * 60 + self.value(Set::Second)) * 1_000
            + self.value(Set::Millisecond);
        let (days, time) = (time.div_euclid(DAY_MS), time.rem_euclid(DAY_MS));
        let days = days + self.days()?;
        let local = days.wrapping_mul(DAY_MS).wrapping_add(time);
        let mut offsets = (0, 0);
        if !(self.is_set(Set::Offset) && self.is_set(Set::Summer)) {
            offsets = offsets_of_local(zone, local.div_euclid(1_000));
        }
        if self.is_set(Set::Offset) {
            offsets.0 = self.value(Set::Offset);
        }
        if self.is_set(Set::Summer) {
            offsets.1 = self.value(Set::Summer);
        }
        Some(local.wrapping_sub(offsets.0 + offsets.1))
    }

    fn is_week_date(&self) -> bool {
        self.stamp(Set::WeekYear) > self.stamp(Set::Year)
    }

    fn days(&self) -> Option<i64> {
        if self.is_week_date() {
            return Some(self.week_date());
        }
        let year = if self.is_set(Set::Year) { self.value(Set::Year) } else { 1_970 };
        let year = match (self.is_set(Set::Era), self.value(Set::Era)) {
            (true, 0) => 1 - year,
            (false, _) | (true, 1) => year,
            _ => return None,
        };
        let chosen = self.chosen();
        let gregorian = || self.days_in(year, &chosen, |y, m| days_from_civil(y, m as u32, 1));
        let in_julian = || self.days_in(year, &chosen, |y, m| julian_days(y, m, 1));
        if year > CUTOVER_YEAR {
            let days = gregorian();
            return Some(if days >= CUTOVER { days } else { in_julian() });
        }
        let days = in_julian();
        if year < CUTOVER_YEAR {
            // A day that runs over the cut is that of the Julian calendar, too.
            return Some(days);
        }
        let counted_from_january = matches!(chosen, Chosen::DayOfYear | Chosen::WeekOfYear);
        Some(if counted_from_january || gregorian() < CUTOVER { days } else { gregorian() })
    }

    fn week_date(&self) -> i64 {
        let mut weeks = if self.is_set(Set::WeekOfYear) { self.value(Set::WeekOfYear) } else { 1 };
        let mut day = if self.is_set(Set::DayOfWeek) { self.value(Set::DayOfWeek) } else { 1 };
        if day >= 8 {
            day -= 1;
            weeks += day / 7;
            day = to_calendar(day % 7 + 1);
        } else if day <= 0 {
            weeks += (day - 1).div_euclid(7);
            day = to_calendar((day - 1).rem_euclid(7) + 1);
        }
        on_or_before(first_of(self.value(Set::WeekYear), 1), 1) + day - 1 + 7 * (weeks - 1)
    }

    fn days_in(&self, year: i64, chosen: &Chosen, first_of: impl Fn(i64, i64) -> i64) -> i64 {
        let day_of_week = self.is_set(Set::DayOfWeek).then(|| self.value(Set::DayOfWeek));
        // Values beyond a week are taken as they are.
        let within = |first: i64| {
            let sunday = on_or_before(first + 6, 1);
            let start = if sunday - first >= 1 { sunday - 7 } else { sunday };
            day_of_week.filter(|day| *day != 1).map_or(start, |day| on_or_before(start + 6, day))
        };
        let by_year = matches!(chosen, Chosen::DayOfYear | Chosen::WeekOfYear);
        let month = if by_year { 0 } else { self.value(Set::Month) };
        let (year, month) = (year + month.div_euclid(12), month.rem_euclid(12));
        let first = first_of(year, month + 1);
        match chosen {
            Chosen::Day if self.is_set(Set::Day) => first + self.value(Set::Day) - 1,
            Chosen::Day => first,
            Chosen::WeekOfMonth => within(first) + 7 * (self.value(Set::WeekOfMonth) - 1),
            Chosen::DayOfWeekInMonth => {
                let nth = if self.is_set(Set::DayOfWeekInMonth) { self.value(Set::DayOfWeekInMonth) } else { 1 };
                let day = day_of_week.unwrap_or(1);
                if nth >= 0 {
                    return on_or_before(first + 7 * nth - 1, day);
                }
                let (next_year, next) = if month == 11 { (year + 1, 1) } else { (year, month + 2) };
                on_or_before(first_of(next_year, next) + 7 * (nth + 1) - 1, day)
            }
            Chosen::DayOfYear => first + self.value(Set::DayOfYear) - 1,
            Chosen::WeekOfYear => within(first) + 7 * (self.value(Set::WeekOfYear) - 1),
        }
    }

    /// Which fields say the day: the ones that were set last.
    fn chosen(&self) -> Chosen {
        let (day_of_week, day_of_year) = (self.stamp(Set::DayOfWeek), self.stamp(Set::DayOfYear));
        let of_month = self.stamp(Set::WeekOfMonth);
        let in_month = self.stamp(Set::DayOfWeekInMonth);
        let of_year = self.stamp(Set::WeekOfYear);
        let mut day = self.stamp(Set::Day);
        let (mut month_week, mut nth, mut year_week) =
            (both(of_month, day_of_week), both(in_month, day_of_week), both(of_year, day_of_week));
        let mut best = day.max(month_week).max(nth).max(day_of_year).max(year_week);
        if best == 0 {
            (month_week, nth, year_week) = (of_month, in_month.max(day_of_week), of_year);
            best = month_week.max(nth).max(year_week);
            if best == 0 {
                day = self.stamp(Set::Month);
                best = day;
            }
        }
        if best == day {
            Chosen::Day
        } else if (best == month_week && of_month >= of_year) || (best == nth && in_month >= of_year) {
            let by_week = if month_week == nth { of_month >= in_month } else { best == month_week };
            if by_week { Chosen::WeekOfMonth } else { Chosen::DayOfWeekInMonth }
        } else if best == day_of_year {
            Chosen::DayOfYear
        } else {
            Chosen::WeekOfYear
        }
    }
}

/// The later of two, where both were set.
fn both(a: u32, b: u32) -> u32 {
    if a == 0 || b == 0 { 0 } else { a.max(b) }
}

enum Chosen {
    Day,
    WeekOfMonth,
    DayOfWeekInMonth,
    DayOfYear,
    WeekOfYear,
}

/// A day of the week that counts from Monday as one that counts from Sunday; others are left for the calendar to run over.
pub(super) fn to_calendar(iso: i64) -> i64 {
    if (1..=7).contains(&iso) { iso % 7 + 1 } else { iso }
}

/// The name that `tzdb` has for a zone at a time (`CET`), where it is one.
pub(super) fn abbreviation(zone: SessionZone, ms: i64) -> Option<String> {
    let SessionZone::Named(tz) = zone else { return None };
    let seconds = ms.div_euclid(1_000);
    let seconds = if seconds < YEAR_1900 { WINTER } else { with_known_summers(seconds) };
    let utc = DateTime::from_timestamp(seconds, 0)?.naive_utc();
    let name = tz.offset_from_utc_datetime(&utc).abbreviation()?.to_string();
    name.starts_with(|c: char| c.is_ascii_alphabetic()).then_some(name)
}

/// A zone's offset in winter.
pub(super) fn standard_ms(zone: SessionZone) -> i64 {
    match zone {
        SessionZone::Fixed(offset) => i64::from(offset.local_minus_utc()) * 1_000,
        SessionZone::Named(_) => offsets(zone, WINTER).0,
    }
}
