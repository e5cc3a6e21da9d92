//! What the session's configuration says about running jobs.

use std::time::Duration;

use flott_cluster::CheckpointOptions;
use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{Error, Result};

const PARALLELISM: ConfigOption = ConfigOption::optional("parallelism.default", OptionType::Int, None, "");
const INTERVAL: ConfigOption =
    ConfigOption::optional("execution.checkpointing.interval", OptionType::Duration, Some("10 s"), "");
const TIMEOUT: ConfigOption =
    ConfigOption::optional("execution.checkpointing.timeout", OptionType::Duration, Some("10 min"), "");
const RETAINED: ConfigOption =
    ConfigOption::optional("execution.checkpointing.num-retained", OptionType::Int, Some("2"), "");
const BUFFER_TIMEOUT: ConfigOption =
    ConfigOption::optional("execution.buffer-timeout", OptionType::Duration, Some("5 ms"), "");
const IN_FLIGHT: ConfigOption =
    ConfigOption::optional("flott.in-flight-bytes", OptionType::MemorySize, Some("16 mb"), "");
/// More workers than this help nobody.
const MAX_PARALLELISM: usize = 1_024;

/// Worker threads: `parallelism.default`, or one per core.
pub(crate) fn parallelism(config: &Options) -> Result<usize> {
    match config.int(&PARALLELISM)? {
        None | Some(-1) => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        Some(n) => usize::try_from(n).ok().filter(|n| (1..=MAX_PARALLELISM).contains(n)).ok_or_else(|| {
            Error::user(format!("'parallelism.default' is {n}; it must be between 1 and {MAX_PARALLELISM}"))
        }),
    }
}

/// When checkpoints are taken. An interval of zero is none, as in Flink.
pub(crate) fn checkpoints(config: &Options) -> Result<CheckpointOptions> {
    let retained = config.int(&RETAINED)?.unwrap_or(2);
    Ok(CheckpointOptions {
        interval: config.duration(&INTERVAL)?.filter(|i| !i.is_zero()),
        timeout: config.duration(&TIMEOUT)?.unwrap_or(Duration::from_secs(600)),
        retained: usize::try_from(retained)
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| Error::user("'execution.checkpointing.num-retained' must be at least 1"))?,
    })
}

/// Whether the user has asked for checkpoints.
pub(crate) fn wants_checkpoints(config: &Options) -> bool {
    config.contains(INTERVAL.key)
}

/// The longest that rows are held back.
pub(crate) fn buffer_timeout(config: &Options) -> Result<Duration> {
    Ok(config.duration(&BUFFER_TIMEOUT)?.unwrap_or(Duration::from_millis(5)))
}

/// Bytes that a source may have in flight.
pub(crate) fn in_flight_bytes(config: &Options) -> Result<usize> {
    Ok(config.bytes(&IN_FLIGHT)?.and_then(|b| usize::try_from(b).ok()).unwrap_or(16 << 20).max(1 << 16))
}
