//! A source's side of watermark alignment: how far its event time may go, and what it says of how far it has come.
//!
//! Until it hears from its group for the first time a source stops at its first watermark, so that nobody runs away
//! while others start.

use std::time::Duration;

use flott_connector::watermark_options::WatermarkAlignment;

/// A reader that has no splits says so after this time at the earliest.
const SPLITS_PATIENCE: Duration = Duration::from_millis(500);

/// The state of one reader.
pub(crate) struct Alignment {
    interval: Duration,
    /// Event time may go so far.
    max_watermark_ms: i64,
    /// What was reported last.
    reported: Option<(Option<i64>, bool)>,
    next_report: Duration,
}

impl Alignment {
    pub(crate) fn new(spec: &WatermarkAlignment, now: Duration) -> Alignment {
        let interval = spec.update_interval;
        // A first report where there is nothing yet gives splits time to come.
        let first = (interval / 2).max(SPLITS_PATIENCE);
        Alignment { interval, max_watermark_ms: i64::MIN, reported: None, next_report: now + first }
    }

    pub(crate) fn set_max_watermark(&mut self, ms: i64) {
        self.max_watermark_ms = ms;
    }

    /// Whether something with this watermark (`i64::MIN` for none) has to wait.
    pub(crate) fn is_ahead(&self, watermark_ms: i64) -> bool {
        watermark_ms > self.max_watermark_ms
    }

    /// What is to be reported now: `watermark_ms` is `None` where the source holds nobody. Who begins to wait says so
    /// at once.
    pub(crate) fn report(
        &mut self,
        watermark_ms: Option<i64>,
        held: bool,
        now: Duration,
    ) -> Option<(Option<i64>, bool)> {
        let report = (watermark_ms, held);
        let begins_to_wait = held && self.reported != Some(report);
        if !begins_to_wait && now < self.next_report {
            return None;
        }
        self.next_report = now + self.interval;
        if self.reported.replace(report) == Some(report) { None } else { Some(report) }
    }

    pub(crate) fn next_report(&self) -> Duration {
        self.next_report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_at_intervals_and_at_the_begin_of_a_wait() {
        let at = Duration::from_millis;
        let (group, max_drift, update_interval) = ("g".to_string(), at(0), at(1_000));
        let mut a = Alignment::new(&WatermarkAlignment { group, max_drift, update_interval }, at(0));
        assert_eq!(a.report(None, false, at(10)), None);
        assert_eq!(a.report(None, false, at(500)), Some((None, false)));
        assert!(a.is_ahead(5) && !a.is_ahead(i64::MIN), "it waits for a first word");
        assert_eq!(a.report(Some(5), true, at(600)), Some((Some(5), true)));
        assert_eq!(a.report(Some(5), true, at(700)), None);
        a.set_max_watermark(10);
        assert!(!a.is_ahead(10) && a.is_ahead(11));
        assert_eq!(a.report(Some(8), false, at(800)), None);
        assert_eq!(a.report(Some(9), false, at(1_600)), Some((Some(9), false)));
        assert_eq!(a.report(Some(9), false, at(2_600)), None, "nothing new");
        assert_eq!(a.next_report(), at(3_600));
    }
}
