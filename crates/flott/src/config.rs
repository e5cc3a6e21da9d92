//! What the session's configuration says about running jobs.

use std::time::Duration;

use flott_cluster::process::Heartbeat;
use flott_cluster::{CheckpointOptions, RestartStrategy};
use flott_core::options::{ConfigOption, Options};
use flott_core::{Error, Result};
use flott_sql::statement::config::{name_of_today, option_of};

use crate::{memory, metrics_endpoint};

/// More workers than this help nobody.
pub(crate) const MAX_PARALLELISM: usize = 1_024;

/// Worker threads of each process: `parallelism.default`, or one per core, shared by the processes.
pub(crate) fn threads(config: &Options, processes: usize) -> Result<usize> {
    match config.int(option_of("parallelism.default")?)? {
        None | Some(-1) => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            Ok((cores / processes.max(1)).max(1))
        }
        Some(n) => usize::try_from(n).ok().filter(|n| (1..=MAX_PARALLELISM).contains(n)).ok_or_else(|| {
            Error::user(format!("'parallelism.default' is {n}; it must be between 1 and {MAX_PARALLELISM}"))
        }),
    }
}

/// How a process that does not answer is found out: `heartbeat.interval` and `heartbeat.timeout`.
pub(crate) fn heartbeat(config: &Options) -> Result<Heartbeat> {
    let heartbeat = Heartbeat {
        interval: duration(config, "heartbeat.interval")?,
        timeout: duration(config, "heartbeat.timeout")?,
    };
    if heartbeat.interval < Duration::from_millis(1) || heartbeat.timeout <= heartbeat.interval {
        return Err(Error::user("'heartbeat.interval' must be at least 1 ms, and 'heartbeat.timeout' longer than it"));
    }
    Ok(heartbeat)
}

/// When checkpoints are taken. An interval of zero is none, as in Flink.
pub(crate) fn checkpoints(config: &Options) -> Result<CheckpointOptions> {
    let tolerable = config.int(option_of("execution.checkpointing.tolerable-failed-checkpoints")?)?;
    let timeout = duration(config, "execution.checkpointing.timeout")?;
    if timeout.is_zero() {
        return Err(Error::user(
            "'execution.checkpointing.timeout' must be longer than 0 ms: no checkpoint would ever complete",
        )
        .hint("Leave it out for 10 minutes"));
    }
    Ok(CheckpointOptions {
        interval: config.duration(option_of("execution.checkpointing.interval")?)?.filter(|i| !i.is_zero()),
        timeout,
        min_pause: duration(config, "execution.checkpointing.min-pause")?,
        tolerable_failures: u32::try_from(tolerable.unwrap_or(0))
            .map_err(|_| Error::user("'execution.checkpointing.tolerable-failed-checkpoints' must not be negative"))?,
        retained: at_least_one(config, option_of("execution.checkpointing.num-retained")?)?,
        after_tasks_finish: config.bool(option_of("execution.checkpointing.checkpoints-after-tasks-finish")?)?,
    })
}

fn at_least_one<N: TryFrom<i32>>(config: &Options, option: &ConfigOption) -> Result<N> {
    let value = config.int(option)?.unwrap_or(1);
    let number = if value > 0 { N::try_from(value).ok() } else { None };
    number.ok_or_else(|| Error::user(format!("'{}' must be at least 1", option.key)))
}

fn at_least_1_ms(config: &Options, key: &str) -> Result<Duration> {
    let value = duration(config, key)?;
    if value < Duration::from_millis(1) {
        return Err(Error::user(format!("'{key}' must be at least 1 ms")));
    }
    Ok(value)
}

fn duration(config: &Options, key: &str) -> Result<Duration> {
    Ok(config.duration(option_of(key)?)?.unwrap_or_default())
}

/// Whether a savepoint that a job starts from belongs to it (`execution.state-recovery.claim-mode`).
pub(crate) fn claims_savepoints(config: &Options) -> Result<bool> {
    let option = option_of("execution.state-recovery.claim-mode")?;
    Ok(config.text(option).is_some_and(|mode| mode.eq_ignore_ascii_case("CLAIM")))
}

/// Whether the user has asked for checkpoints.
pub(crate) fn wants_checkpoints(config: &Options) -> bool {
    config.contains("execution.checkpointing.interval")
}

/// The longest that rows are held back.
pub(crate) fn buffer_timeout(config: &Options) -> Result<Duration> {
    duration(config, "execution.buffer-timeout")
}

/// Bytes that a source may have in flight.
pub(crate) fn in_flight_bytes(config: &Options) -> Result<usize> {
    let bytes = config.bytes(option_of("flott.in-flight-bytes")?)?;
    Ok(bytes.and_then(|b| usize::try_from(b).ok()).unwrap_or(16 << 20).max(1 << 16))
}

/// Bytes that a job may hold: as the option says, or a share of what this process can have.
pub(crate) fn memory_bytes_max(config: &Options) -> Result<Option<u64>> {
    match config.bytes(option_of("flott.memory.max")?)? {
        Some(0) => Ok(None),
        Some(bytes) => Ok(Some(bytes)),
        None => Ok(memory::available_bytes().map(|bytes| bytes / 4 * 3)),
    }
}

/// Whether an INSERT is waited for before the next statement (`table.dml-sync`).
pub(crate) fn dml_sync(config: &Options) -> Result<bool> {
    config.bool(option_of("table.dml-sync")?)
}

/// Whether a shell shows how long a query took (`sql-client.display.print-time-cost`).
pub(crate) fn prints_time_cost(config: &Options) -> Result<bool> {
    config.bool(option_of("sql-client.display.print-time-cost")?)
}

/// The most that a collected query may give: rows, and bytes of Arrow columns.
pub(crate) fn collect_limits(config: &Options) -> Result<(u64, u64)> {
    let rows = config.long(option_of("flott.collect.max-rows")?)?.and_then(|n| u64::try_from(n).ok());
    let bytes = config.bytes(option_of("flott.collect.max-bytes")?)?;
    Ok((rows.filter(|n| *n > 0).unwrap_or(u64::MAX), bytes.filter(|n| *n > 0).unwrap_or(u64::MAX)))
}

/// How wide a printed column may be (`table.display.max-column-width`).
pub(crate) fn column_width(config: &Options) -> Result<usize> {
    at_least_one(config, option_of("table.display.max-column-width")?)
}

/// `restart-strategy.*`. As in Flink, a job with checkpoints is started again with growing pauses, one without is not.
///
/// # Errors
/// Where any of these options makes no sense alone, also of a strategy that is not the chosen one; or where those of the
/// chosen one make none together.
pub(crate) fn restart_strategy(config: &Options, has_checkpoints: bool) -> Result<RestartStrategy> {
    let strategy = chosen_strategy(config, has_checkpoints)?;
    let key = |name: &str| format!("restart-strategy.exponential-delay.{name}");
    let (initial, max) = (duration(config, &key("initial-backoff"))?, duration(config, &key("max-backoff"))?);
    if matches!(strategy, RestartStrategy::ExponentialDelay { .. }) && initial > max {
        return Err(Error::user(format!("'{}' is longer than '{}'", key("initial-backoff"), key("max-backoff")))
            .with("option", key("max-backoff")));
    }
    Ok(strategy)
}

/// Without a look at what only holds of options together: they are set one after another.
fn chosen_strategy(config: &Options, has_checkpoints: bool) -> Result<RestartStrategy> {
    let fixed = RestartStrategy::FixedDelay {
        attempts: at_least_one(config, option_of("restart-strategy.fixed-delay.attempts")?)?,
        delay: duration(config, "restart-strategy.fixed-delay.delay")?,
    };
    let rate = RestartStrategy::FailureRate {
        delay: duration(config, "restart-strategy.failure-rate.delay")?,
        interval: duration(config, "restart-strategy.failure-rate.failure-rate-interval")?,
        max_failures: at_least_one(config, option_of("restart-strategy.failure-rate.max-failures-per-interval")?)?,
    };
    let exponential = exponential(config)?;
    let default = if has_checkpoints { "exponential-delay" } else { "none" };
    let name = config.text(option_of("restart-strategy.type")?).unwrap_or(default).to_ascii_lowercase();
    Ok(match name.replace('-', "").as_str() {
        "fixeddelay" => fixed,
        "failurerate" => rate,
        "exponentialdelay" => exponential,
        _ => RestartStrategy::None,
    })
}

/// What SET cannot know from an option's type alone: its range. Asked when the option is set, so that nobody learns of it
/// when the first job starts, or never.
pub(crate) fn check(config: &Options, key: &str) -> Result<()> {
    match name_of_today(key) {
        key if key.starts_with("restart-strategy.") => chosen_strategy(config, true).map(drop),
        "metrics.reporter.prom.port" => metrics_endpoint::ports(config).map(drop),
        "heartbeat.interval" | "heartbeat.timeout" => at_least_1_ms(config, key).map(drop),
        key if key.starts_with("execution.checkpointing.") => checkpoints(config).map(drop),
        "parallelism.default" => threads(config, 1).map(drop),
        "pipeline.name" if config.get(key).is_some_and(|name| name.trim().is_empty()) => {
            Err(Error::user("'pipeline.name' is empty").hint("RESET 'pipeline.name' gives the job the script's name"))
        }
        "table.display.max-column-width" => column_width(config).map(drop),
        _ => Ok(()),
    }
}

fn exponential(config: &Options) -> Result<RestartStrategy> {
    let key = |name: &str| format!("restart-strategy.exponential-delay.{name}");
    let number = |name: &str, range: std::ops::RangeInclusive<f64>| {
        let option = option_of(&key(name))?;
        config.double(option)?.filter(|n| range.contains(n)).ok_or_else(|| {
            Error::user(format!("'{}' must be a number between {} and {}", option.key, range.start(), range.end()))
        })
    };
    let attempts = option_of(&key("attempts-before-reset-backoff"))?;
    Ok(RestartStrategy::ExponentialDelay {
        initial: at_least_1_ms(config, &key("initial-backoff"))?,
        max: at_least_1_ms(config, &key("max-backoff"))?,
        multiplier: number("backoff-multiplier", 1.0..=1e6)?,
        reset_after: duration(config, &key("reset-backoff-threshold"))?,
        jitter: number("jitter-factor", 0.0..=1.0)?,
        attempts: if config.contains(attempts.key) { Some(at_least_one(config, attempts)?) } else { None },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Options {
        let mut options = Options::new();
        pairs.iter().for_each(|(k, v)| options.set(*k, *v));
        options
    }

    #[test]
    fn defaults_are_those_of_the_page() {
        let none = options(&[]);
        assert_eq!(checkpoints(&none).unwrap(), CheckpointOptions::default());
        assert_eq!(buffer_timeout(&none).unwrap(), Duration::from_millis(5));
        assert_eq!(in_flight_bytes(&none).unwrap(), 16 << 20);
        assert_eq!(memory_bytes_max(&options(&[("flott.memory.max", "0")])).unwrap(), None);
        assert_eq!(memory_bytes_max(&options(&[("flott.memory.max", "2 mb")])).unwrap(), Some(2 << 20));
        assert_eq!(column_width(&none).unwrap(), 30);
        assert!(!dml_sync(&none).unwrap());
        assert_eq!(heartbeat(&none).unwrap(), Heartbeat::default());
        assert!(heartbeat(&options(&[("heartbeat.timeout", "1 s")])).is_err());
        assert_eq!(threads(&options(&[("parallelism.default", "3")]), 2).unwrap(), 3);
        assert_eq!(threads(&none, 10_000).unwrap(), 1);
        assert_eq!(restart_strategy(&none, false).unwrap(), RestartStrategy::None);
        assert_eq!(restart_strategy(&none, true).unwrap(), RestartStrategy::exponential());
    }

    #[test]
    fn restart_strategies_are_read() {
        let fixed = options(&[
            ("restart-strategy.type", "fixed-delay"),
            ("restart-strategy.fixed-delay.attempts", "7"),
            ("restart-strategy.fixed-delay.delay", "2 s"),
        ]);
        let expected = RestartStrategy::FixedDelay { attempts: 7, delay: Duration::from_secs(2) };
        assert_eq!(restart_strategy(&fixed, false).unwrap(), expected);
        let wrong = options(&[("restart-strategy.exponential-delay.jitter-factor", "much")]);
        let error = restart_strategy(&wrong, true).unwrap_err().to_string();
        assert!(error.contains("jitter-factor") && error.contains("much"), "{error}");
        for (key, value) in [
            ("restart-strategy.exponential-delay.jitter-factor", "1.5"),
            ("restart-strategy.exponential-delay.backoff-multiplier", "0.5"),
            ("restart-strategy.exponential-delay.initial-backoff", "0 s"),
            ("restart-strategy.fixed-delay.attempts", "-1"),
            ("restart-strategy.failure-rate.max-failures-per-interval", "0"),
        ] {
            for strategy in ["none", "fixed-delay", "failure-rate", "exponential-delay"] {
                let error = restart_strategy(&options(&[("restart-strategy.type", strategy), (key, value)]), true);
                assert!(error.unwrap_err().to_string().contains(key), "{strategy}");
            }
            assert!(check(&options(&[(key, value)]), key).is_err());
        }
        let longer = options(&[("restart-strategy.exponential-delay.initial-backoff", "2 min")]);
        assert!(restart_strategy(&longer, true).unwrap_err().to_string().contains("is longer than"));
        restart_strategy(&longer, false).expect("another strategy is chosen");
        check(&longer, "restart-strategy.exponential-delay.initial-backoff").expect("the other one may follow");
        for (key, value) in [("metrics.reporter.prom.port", "99999"), ("heartbeat.interval", "0 ms")] {
            assert!(check(&options(&[(key, value)]), key).is_err(), "{key}");
        }
        let large = options(&[("restart-strategy.exponential-delay.jitter-factor", "1.5")]);
        assert!(restart_strategy(&large, true).unwrap_err().to_string().contains("between 0 and 1"));
        assert_eq!(
            restart_strategy(&options(&[("restart-strategy.type", "none")]), true).unwrap(),
            RestartStrategy::None
        );
    }
}
