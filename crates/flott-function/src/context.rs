//! What functions see besides their arguments: the session's zone when they are planned, the operator's time when they run.

use std::cell::{Cell, RefCell};

use flott_core::rng::Rng;
use flott_core::{Result, SessionZone};

/// What a session decides for its functions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FunctionEnv {
    /// `table.local-time-zone`
    pub time_zone: SessionZone,
    /// What CURRENT_TIMESTAMP and its like give in batch mode: when the query started, in ms since the epoch. `None`: they
    /// give the time of each row.
    pub query_start_ms: Option<i64>,
    /// `table.exec.legacy-cast-behaviour` is ENABLED: a CAST that fails gives NULL, and texts are those of Flink 1.14.
    pub legacy_cast: bool,
}

impl FunctionEnv {
    /// For a zone by its IANA name, `UTC` or a fixed offset such as `GMT+05:30`.
    pub fn new(zone: &str) -> Result<FunctionEnv> {
        Ok(FunctionEnv { time_zone: SessionZone::parse(zone)?, query_start_ms: None, legacy_cast: false })
    }

    /// What the time now is for functions that are asked once per query in batch mode.
    pub(crate) fn now_ms(&self) -> i64 {
        self.query_start_ms.unwrap_or_else(processing_time_ms)
    }
}

thread_local! {
    static PROCESSING_TIME_MS: Cell<i64> = const { Cell::new(0) };
    static WATERMARK_MS: Cell<Option<i64>> = const { Cell::new(None) };
    static RNG: RefCell<Option<Rng>> = const { RefCell::new(None) };
}

/// Stamps the time that functions see on this thread until the next stamp. Operators do it before they evaluate.
pub fn enter(processing_time_ms: i64, watermark_ms: Option<i64>) {
    PROCESSING_TIME_MS.set(processing_time_ms);
    WATERMARK_MS.set(watermark_ms);
}

/// Processing time in ms since the epoch.
pub fn processing_time_ms() -> i64 {
    PROCESSING_TIME_MS.get()
}

/// The operator's watermark in ms.
pub fn watermark_ms() -> Option<i64> {
    WATERMARK_MS.get()
}

/// Seeds the chance of this thread (RAND, UUID), so that a run can be repeated. Unseeded it differs from run to run.
pub fn seed(seed: u64) {
    RNG.set(Some(Rng::seeded(seed)));
}

/// Calls with the thread's generator.
pub(crate) fn with_rng<T>(f: impl FnOnce(&mut Rng) -> T) -> T {
    RNG.with_borrow_mut(|rng| f(rng.get_or_insert_with(Rng::from_entropy)))
}
