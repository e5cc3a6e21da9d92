//! The one door to time.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the time comes from: the system, or a test.
pub trait Clock: Debug + Send + Sync {
    /// Wall-clock time in milliseconds since the epoch.
    fn now_ms(&self) -> i64;
    /// Time since an arbitrary start that never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock to pass around.
    #[expect(clippy::disallowed_methods, reason = "this is the door that the ban points to")]
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(SystemClock { start: Instant::now() })
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the door that the ban points to")]
    fn now_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(d) => i64::try_from(d.as_millis()).unwrap_or(i64::MAX),
            Err(e) => -i64::try_from(e.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock whose wall-clock time is ahead of another's. Time passes as it does there.
#[derive(Debug)]
pub struct ShiftedClock {
    of: Arc<dyn Clock>,
    ahead_ms: AtomicI64,
}

impl ShiftedClock {
    /// Ahead by so many milliseconds (behind, where they are negative).
    pub fn of(of: Arc<dyn Clock>, ahead_ms: i64) -> Arc<ShiftedClock> {
        Arc::new(ShiftedClock { of, ahead_ms: AtomicI64::new(ahead_ms) })
    }

    /// Moves on by so many milliseconds at once. Timers that wait hear of it when they would have been due without.
    pub fn advance_ms(&self, ms: i64) {
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now_ms(&self) -> i64 {
        self.of.now_ms().saturating_add(self.ahead_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.of.monotonic()
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug, Default)]
pub struct ManualClock {
    ms: AtomicI64,
}

impl ManualClock {
    /// Stands at this time.
    pub fn at_ms(ms: i64) -> Arc<ManualClock> {
        Arc::new(ManualClock { ms: AtomicI64::new(ms) })
    }

    /// Moves on (or back) by so many milliseconds.
    pub fn advance_ms(&self, ms: i64) {
        self.ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.ms.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now_ms()).unwrap_or(0))
    }
}
