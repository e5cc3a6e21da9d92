//! Whether and when a job that failed is started again: Flink's restart strategies.
//!
//! Only failures that may pass by themselves count ([`ErrorKind::Unavailable`]): a bad row or a wrong script would fail
//! again, and an attempt that was fenced must not come back.

use std::collections::VecDeque;
use std::time::Duration;

use flott_core::rng::Rng;
use flott_core::{Error, ErrorKind};

/// `restart-strategy.*`, read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RestartStrategy {
    /// Never.
    None,
    /// After the same pause, a number of times over the job's life.
    FixedDelay {
        /// Restarts.
        attempts: u32,
        /// The pause.
        delay: Duration,
    },
    /// After the same pause, as long as there are not too many failures in a time.
    FailureRate {
        /// The pause.
        delay: Duration,
        /// The time over which failures count.
        interval: Duration,
        /// Failures in it.
        max_failures: u32,
    },
    /// After pauses that grow, and begin anew after a long time without a failure.
    ExponentialDelay {
        /// The first pause.
        initial: Duration,
        /// The longest pause.
        max: Duration,
        /// By what a pause is longer than the one before.
        multiplier: f64,
        /// So long without a failure resets the pause.
        reset_after: Duration,
        /// A pause is longer or shorter by up to this part of itself.
        jitter: f64,
        /// Restarts between two resets; `None` for any number.
        attempts: Option<u32>,
    },
}

impl RestartStrategy {
    /// Flink's default for a job with checkpoints.
    pub fn exponential() -> RestartStrategy {
        RestartStrategy::ExponentialDelay {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(60),
            multiplier: 1.5,
            reset_after: Duration::from_secs(3_600),
            jitter: 0.1,
            attempts: None,
        }
    }
}

/// Remembers a job's failures. Times are of one monotonic clock.
#[derive(Debug)]
pub struct Restarts {
    strategy: RestartStrategy,
    /// Failures since the pause was last reset, or over the job's life.
    count: u32,
    recent: VecDeque<Duration>,
    pause: Duration,
    last: Option<Duration>,
}

impl Restarts {
    /// Before any failure.
    pub fn new(strategy: RestartStrategy) -> Restarts {
        Restarts { strategy, count: 0, recent: VecDeque::new(), pause: Duration::ZERO, last: None }
    }

    /// The pause before the next attempt; `None` where the job has failed for good.
    pub fn after(&mut self, error: &Error, now: Duration, rng: &mut Rng) -> Option<Duration> {
        if error.kind() != ErrorKind::Unavailable {
            return None;
        }
        let since = self.last.map(|last| now.saturating_sub(last));
        self.last = Some(now);
        match self.strategy {
            RestartStrategy::None => None,
            RestartStrategy::FixedDelay { attempts, delay } => {
                self.count += 1;
                (self.count <= attempts).then_some(delay)
            }
            RestartStrategy::FailureRate { delay, interval, max_failures } => {
                self.recent.push_back(now);
                while self.recent.front().is_some_and(|at| now.saturating_sub(*at) > interval) {
                    self.recent.pop_front();
                }
                (self.recent.len() <= max_failures as usize).then_some(delay)
            }
            RestartStrategy::ExponentialDelay { initial, max, multiplier, reset_after, jitter, attempts } => {
                // The time since the last failure includes the pause that followed it.
                let calm = since.is_none_or(|s| s.saturating_sub(self.pause) >= reset_after);
                self.count = if calm { 1 } else { self.count + 1 };
                if attempts.is_some_and(|most| self.count > most) {
                    return None;
                }
                let longer = self.pause.as_secs_f64() * multiplier;
                let base = if calm { initial } else { Duration::try_from_secs_f64(longer).unwrap_or(max).min(max) };
                self.pause = base;
                let part = (rng.next_f64() * 2.0 - 1.0) * jitter;
                Some(Duration::try_from_secs_f64(base.as_secs_f64() * (1.0 + part)).unwrap_or(base).min(max))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(strategy: RestartStrategy, failures_at_s: &[u64]) -> Vec<Option<u64>> {
        let (mut restarts, mut rng) = (Restarts::new(strategy), Rng::seeded(7));
        let error = Error::unavailable("away");
        failures_at_s
            .iter()
            .map(|s| restarts.after(&error, Duration::from_secs(*s), &mut rng).map(|p| p.as_millis() as u64))
            .collect()
    }

    fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn fixed_delay_counts_over_the_job_s_life() {
        let fixed = RestartStrategy::FixedDelay { attempts: 2, delay: s(3) };
        assert_eq!(pauses(fixed, &[0, 1_000, 50_000]), [Some(3_000), Some(3_000), None]);
        assert_eq!(pauses(RestartStrategy::None, &[0]), [None]);
    }

    #[test]
    fn failure_rate_forgets_what_is_long_ago() {
        let rate = RestartStrategy::FailureRate { delay: s(1), interval: s(60), max_failures: 2 };
        assert_eq!(pauses(rate, &[0, 50, 70, 75, 76]), [Some(1_000), Some(1_000), Some(1_000), None, None]);
    }

    #[test]
    fn exponential_delay_grows_to_its_most_and_begins_anew() {
        let grows = RestartStrategy::ExponentialDelay {
            initial: s(1),
            max: s(8),
            multiplier: 2.0,
            reset_after: s(100),
            jitter: 0.0,
            attempts: None,
        };
        assert_eq!(
            pauses(grows, &[0, 2, 5, 10, 20, 130]),
            [Some(1_000), Some(2_000), Some(4_000), Some(8_000), Some(8_000), Some(1_000)]
        );
    }

    #[test]
    fn exponential_delay_gives_up_where_it_is_told() {
        let RestartStrategy::ExponentialDelay { initial, max, multiplier, reset_after, .. } =
            RestartStrategy::exponential()
        else {
            unreachable!()
        };
        let jitter = 0.1;
        let some =
            RestartStrategy::ExponentialDelay { initial, max, multiplier, reset_after, jitter, attempts: Some(2) };
        let pauses = pauses(some, &[0, 2, 5]);
        assert!(pauses[0].is_some_and(|p| (900..=1_100).contains(&p)), "{pauses:?}");
        assert!(pauses[1].is_some_and(|p| (1_350..=1_650).contains(&p)), "{pauses:?}");
        assert_eq!(pauses[2], None);
    }

    #[test]
    fn only_what_may_pass_by_itself_is_tried_again() {
        let mut rng = Rng::seeded(1);
        for error in [Error::user("u"), Error::data("d"), Error::internal("i"), Error::fenced("f")] {
            let mut restarts = Restarts::new(RestartStrategy::exponential());
            assert_eq!(restarts.after(&error, Duration::ZERO, &mut rng), None, "{error}");
        }
    }
}
