//! What functions see besides their arguments: the session's zone when they are planned, the operator's time when they run.

use std::cell::{Cell, RefCell};

use chrono_tz::Tz;
use flott_core::rng::Rng;
use flott_core::{Error, Result, suggest};

/// What a session decides for its functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FunctionEnv {
    /// `table.local-time-zone`
    pub time_zone: Tz,
}

impl FunctionEnv {
    /// For a zone by its IANA name, `UTC` or a fixed offset such as `GMT+08:00`.
    pub fn new(zone: &str) -> Result<FunctionEnv> {
        let wrong = || {
            let error = Error::user(format!("'{zone}' is not a time zone")).with("option", "table.local-time-zone");
            match suggest::nearest(zone, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name())) {
                Some(near) => error.hint(format!("Did you mean '{near}'?")),
                None => error.hint("Use an IANA name such as 'Europe/Berlin', or 'UTC'"),
            }
        };
        // Whole hours of offset have names of their own, with the sign turned round.
        let fixed = zone.strip_prefix("GMT").or_else(|| zone.strip_prefix("UTC")).and_then(|o| o.strip_suffix(":00"));
        let name = match fixed {
            Some(offset) => {
                let hours: i32 = offset.parse().map_err(|_| wrong())?;
                format!("Etc/GMT{:+}", -hours)
            }
            None => zone.to_string(),
        };
        name.parse::<Tz>().map(|time_zone| FunctionEnv { time_zone }).map_err(|_| wrong())
    }
}

impl Default for FunctionEnv {
    fn default() -> Self {
        FunctionEnv { time_zone: Tz::UTC }
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
