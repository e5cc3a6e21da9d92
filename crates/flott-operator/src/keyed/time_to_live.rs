//! State that nobody touches for `table.exec.state.ttl` is forgotten.

use std::time::Duration;

use crate::operator::OperatorContext;

/// A sweep gives the memory of keys back that have expired; at most so often.
const SWEEP_MIN_MS: i64 = 1_000;

/// How long a key lives after its state was last written, in ms of processing time.
pub(crate) struct TimeToLive {
    ttl_ms: Option<i64>,
    next_sweep_ms: i64,
}

impl TimeToLive {
    /// `None` and zero: for ever.
    pub(crate) fn new(ttl: Option<Duration>) -> TimeToLive {
        let ttl_ms = ttl.filter(|t| !t.is_zero()).map(|t| i64::try_from(t.as_millis()).unwrap_or(i64::MAX));
        TimeToLive { ttl_ms, next_sweep_ms: i64::MIN }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.ttl_ms.is_some()
    }

    /// Whether what was last written then is to be forgotten.
    pub(crate) fn is_over(&self, written_ms: i64, now_ms: i64) -> bool {
        self.ttl_ms.is_some_and(|ttl| written_ms.saturating_add(ttl) <= now_ms)
    }

    /// Whether it is time to look for expired keys; asks for the next time.
    pub(crate) fn sweeps(&mut self, context: &mut OperatorContext) -> bool {
        let Some(ttl) = self.ttl_ms else { return false };
        let now = context.processing_time_ms;
        let due = now >= self.next_sweep_ms;
        if due {
            self.next_sweep_ms = now.saturating_add((ttl / 2).max(SWEEP_MIN_MS));
        }
        context.register_timer(self.next_sweep_ms);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expires_exactly_at_its_time() {
        let ttl = TimeToLive::new(Some(Duration::from_secs(10)));
        assert!(!ttl.is_over(5, 10_004) && ttl.is_over(5, 10_005));
        assert!(!TimeToLive::new(Some(Duration::ZERO)).is_over(0, i64::MAX));
        assert!(!TimeToLive::new(None).is_on());
    }
}
