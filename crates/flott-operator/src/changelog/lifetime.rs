//! How long keys live that nobody touches (`table.exec.state.ttl`).

use std::time::Duration;

use crate::held::list_bytes;

/// Keys that have ended are looked for at most so many times while one lives.
const SWEEPS_PER_LIFE: i64 = 4;
/// Not more often than this.
const SWEEP_INTERVAL_MS_MIN: i64 = 100;

/// When each key was last written, by its number; nothing is kept where keys live for ever.
pub(crate) struct Lifetime {
    ttl_ms: Option<i64>,
    touched_ms: Vec<i64>,
    next_sweep_ms: i64,
}

impl Lifetime {
    pub(crate) fn new(ttl: Option<Duration>) -> Lifetime {
        let ttl_ms = ttl.map(|d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX).max(1));
        Lifetime { ttl_ms, touched_ms: vec![], next_sweep_ms: i64::MIN }
    }

    /// Whether keys end.
    pub(crate) fn is_limited(&self) -> bool {
        self.ttl_ms.is_some()
    }

    pub(crate) fn resize(&mut self, keys: usize) {
        if self.is_limited() {
            self.touched_ms.resize(keys, 0);
        }
    }

    pub(crate) fn touch(&mut self, key: u32, now_ms: i64) {
        if let Some(touched) = self.touched_ms.get_mut(key as usize) {
            *touched = now_ms;
        }
    }

    pub(crate) fn touched_ms(&self, key: u32) -> i64 {
        self.touched_ms.get(key as usize).copied().unwrap_or(0)
    }

    pub(crate) fn is_over(&self, key: u32, now_ms: i64) -> bool {
        self.ttl_ms.is_some_and(|ttl| self.touched_ms(key).saturating_add(ttl) <= now_ms)
    }

    /// Whether what was touched then has been there for too long.
    pub(crate) fn is_past(&self, touched_ms: i64, now_ms: i64) -> bool {
        self.ttl_ms.is_some_and(|ttl| touched_ms.saturating_add(ttl) <= now_ms)
    }

    /// Whether it is time to look through all keys, and when the next time is: for a timer.
    pub(crate) fn sweep(&mut self, now_ms: i64) -> (bool, Option<i64>) {
        let Some(ttl) = self.ttl_ms else { return (false, None) };
        let due = self.next_sweep_ms <= now_ms;
        if due {
            let interval = (ttl / SWEEPS_PER_LIFE).max(SWEEP_INTERVAL_MS_MIN);
            // The first look has nothing to find.
            let first = self.next_sweep_ms == i64::MIN;
            self.next_sweep_ms = now_ms.saturating_add(interval);
            return (!first, Some(self.next_sweep_ms));
        }
        (false, Some(self.next_sweep_ms))
    }

    /// The numbers of the keys have changed.
    pub(crate) fn keep(&mut self, keys: &[u32]) {
        if self.is_limited() {
            self.touched_ms = keys.iter().map(|k| self.touched_ms[*k as usize]).collect();
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        list_bytes(&self.touched_ms)
    }
}
