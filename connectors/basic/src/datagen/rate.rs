//! How many rows are due: `rows-per-second` without a sleep per row.

use std::time::Duration;

/// Rows are handed over at this granularity where they come faster.
pub(super) const TICK: Duration = Duration::from_millis(20);
/// A reader that was held up (back-pressure) makes good for at most this time.
const BACKLOG_MAX: Duration = Duration::from_secs(1);

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Counts rows against a clock. The rate is a fraction, since several readers share one rate.
#[derive(Debug)]
pub(super) struct RateLimiter {
    rows: u128,
    seconds: u128,
    start: Duration,
    emitted: u128,
}

impl RateLimiter {
    /// `rows` in `seconds`, from `now` on.
    pub(super) fn new(rows: u64, seconds: u64, now: Duration) -> RateLimiter {
        RateLimiter { rows: u128::from(rows.max(1)), seconds: u128::from(seconds.max(1)), start: now, emitted: 0 }
    }

    fn rows_in(&self, time: Duration) -> u128 {
        // A job would have to run for 500 years at the highest rate to overflow.
        time.as_nanos().saturating_mul(self.rows) / (self.seconds * NANOS_PER_SECOND)
    }

    /// Rows that may be emitted now. The first is due at once, and so is one tick's worth.
    pub(super) fn due(&mut self, now: Duration) -> u64 {
        let ahead = 1 + self.rows_in(TICK);
        let due = self.rows_in(now.saturating_sub(self.start)) + ahead;
        let backlog_max = self.rows_in(BACKLOG_MAX) + ahead;
        if due.saturating_sub(self.emitted) > backlog_max {
            self.start = now;
            self.emitted = 0;
            return u64::try_from(ahead).unwrap_or(u64::MAX);
        }
        u64::try_from(due.saturating_sub(self.emitted)).unwrap_or(u64::MAX)
    }

    /// Rows were emitted.
    pub(super) fn emitted(&mut self, rows: u64) {
        self.emitted += u128::from(rows);
    }

    /// How long to wait before asking again: until the next row, at least a tick.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        let ahead = 1 + self.rows_in(TICK);
        let missing = (self.emitted + 1).saturating_sub(ahead);
        let nanos = (missing * self.seconds * NANOS_PER_SECOND).div_ceil(self.rows);
        let at = self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        at.saturating_sub(now).max(if ahead > 1 { TICK } else { Duration::from_millis(1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rows: u64, seconds: u64, batch: u64, total_ms: u64) -> (u64, u64) {
        let mut now = Duration::ZERO;
        let mut limiter = RateLimiter::new(rows, seconds, now);
        let (mut emitted, mut batches) = (0, 0);
        while now < Duration::from_millis(total_ms) {
            let n = limiter.due(now).min(batch);
            if n == 0 {
                now += limiter.wait(now);
            } else {
                limiter.emitted(n);
                emitted += n;
                batches += 1;
            }
        }
        (emitted, batches)
    }

    #[test]
    fn the_rate_is_kept() {
        assert_eq!(run(1, 1, 8192, 10_000), (10, 10));
        assert_eq!(run(1, 3, 8192, 9_000), (3, 3));
        let (rows, batches) = run(10_000, 1, 8192, 10_000);
        assert!((99_900..=100_500).contains(&rows), "{rows}");
        assert!((490..=510).contains(&batches), "{batches}");
        let (rows, _) = run(1_000_000, 1, 8192, 1_000);
        assert!((990_000..=1_030_000).contains(&rows), "{rows}");
    }

    #[test]
    fn a_very_high_rate_never_limits_a_batch() {
        let mut limiter = RateLimiter::new(1_000_000_000, 1, Duration::ZERO);
        for batch in 0..1_000u64 {
            // 8 ns a row.
            let now = Duration::from_nanos(batch * 8_192 * 8);
            assert!(limiter.due(now) >= 8_192);
            limiter.emitted(8_192);
        }
    }

    #[test]
    fn a_long_pause_is_not_made_good() {
        let mut limiter = RateLimiter::new(100, 1, Duration::ZERO);
        let first = limiter.due(Duration::ZERO);
        limiter.emitted(first);
        assert_eq!(limiter.due(Duration::from_secs(3_600)), 3);
    }
}
