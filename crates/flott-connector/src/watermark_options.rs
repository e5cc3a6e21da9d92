//! `scan.watermark.*`: what a table says about its watermarks, whatever its connector (FLIP-296).

use std::time::Duration;

use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{Error, Result};

/// All these keys begin so.
pub const PREFIX: &str = "scan.watermark.";

/// When watermarks leave.
pub const EMIT_STRATEGY: ConfigOption = ConfigOption::optional(
    "scan.watermark.emit.strategy",
    OptionType::Enum(&["on-periodic", "on-event"]),
    Some("on-periodic"),
    "When watermarks are emitted: at intervals (pipeline.auto-watermark-interval), or behind every row that moves them.",
);
/// Idleness of this table.
pub const IDLE_TIMEOUT: ConfigOption = ConfigOption::optional(
    "scan.watermark.idle-timeout",
    OptionType::Duration,
    None,
    "After so long without a row a split counts as idle; 0 is never. Goes before table.exec.source.idle-timeout.",
);
/// Who waits for whom.
pub const ALIGNMENT_GROUP: ConfigOption = ConfigOption::optional(
    "scan.watermark.alignment.group",
    OptionType::String,
    None,
    "Tables of one group in a job wait for each other: none gets ahead of the last by more than its max-drift.",
);
/// How far ahead.
pub const ALIGNMENT_MAX_DRIFT: ConfigOption = ConfigOption::optional(
    "scan.watermark.alignment.max-drift",
    OptionType::Duration,
    None,
    "How far the event time of a split may be ahead of its group's last before it is not read any further.",
);
/// How often it is looked.
pub const ALIGNMENT_UPDATE_INTERVAL: ConfigOption = ConfigOption::optional(
    "scan.watermark.alignment.update-interval",
    OptionType::Duration,
    Some("1 s"),
    "How often the event times of a group are compared.",
);

/// All of them.
pub const ALL: [ConfigOption; 5] =
    [EMIT_STRATEGY, IDLE_TIMEOUT, ALIGNMENT_GROUP, ALIGNMENT_MAX_DRIFT, ALIGNMENT_UPDATE_INTERVAL];

/// Sources that wait for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatermarkAlignment {
    /// The group's name.
    pub group: String,
    /// How far ahead of the group's last.
    pub max_drift: Duration,
    /// How often that is looked at.
    pub update_interval: Duration,
}

/// What a table says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatermarkOptions {
    /// Watermarks leave behind every row that moves them.
    pub on_event: bool,
    /// The table's own idle timeout (zero is never), where it has one.
    pub idle_timeout: Option<Duration>,
    /// Whom it waits for.
    pub alignment: Option<WatermarkAlignment>,
}

impl WatermarkOptions {
    /// From the options of a table.
    pub fn read(options: &Options) -> Result<WatermarkOptions> {
        let needs = |missing: &ConfigOption, given: &ConfigOption| {
            Err(Error::user(format!("'{}' is set, but '{}' is not", given.key, missing.key))
                .with("option", missing.key)
                .hint("Watermark alignment needs a group and a max-drift"))
        };
        let alignment = match (options.text(&ALIGNMENT_GROUP), options.duration(&ALIGNMENT_MAX_DRIFT)?) {
            (None, None) if options.contains(ALIGNMENT_UPDATE_INTERVAL.key) => {
                return needs(&ALIGNMENT_GROUP, &ALIGNMENT_UPDATE_INTERVAL);
            }
            (None, None) => None,
            (Some(_), None) => return needs(&ALIGNMENT_MAX_DRIFT, &ALIGNMENT_GROUP),
            (None, Some(_)) => return needs(&ALIGNMENT_GROUP, &ALIGNMENT_MAX_DRIFT),
            (Some(group), Some(max_drift)) => {
                let update_interval = options.duration(&ALIGNMENT_UPDATE_INTERVAL)?.unwrap_or_default();
                if update_interval.is_zero() {
                    return Err(Error::user(format!("'{}' must be more than 0", ALIGNMENT_UPDATE_INTERVAL.key))
                        .with("option", ALIGNMENT_UPDATE_INTERVAL.key)
                        .hint("The default is '1 s'"));
                }
                Some(WatermarkAlignment { group: group.to_string(), max_drift, update_interval })
            }
        };
        let strategy = options.text(&EMIT_STRATEGY).unwrap_or_default();
        EMIT_STRATEGY.check(EMIT_STRATEGY.key, strategy)?;
        Ok(WatermarkOptions {
            on_event: strategy.eq_ignore_ascii_case("on-event"),
            idle_timeout: options.duration(&IDLE_TIMEOUT)?,
            alignment,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<WatermarkOptions> {
        WatermarkOptions::read(&pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn what_a_table_says() {
        assert_eq!(read(&[("connector", "x")]).expect("nothing"), WatermarkOptions::default());
        let all = read(&[
            ("scan.watermark.emit.strategy", "ON-EVENT"),
            ("scan.watermark.idle-timeout", "5 s"),
            ("scan.watermark.alignment.group", "g"),
            ("scan.watermark.alignment.max-drift", "1 min"),
        ])
        .expect("all");
        assert!(all.on_event);
        assert_eq!(all.idle_timeout, Some(Duration::from_secs(5)));
        let (max_drift, update_interval) = (Duration::from_secs(60), Duration::from_secs(1));
        assert_eq!(all.alignment, Some(WatermarkAlignment { group: "g".to_string(), max_drift, update_interval }));
    }

    #[test]
    fn half_an_alignment_is_refused() {
        for (key, value, missing) in [
            ("scan.watermark.alignment.group", "g", "max-drift"),
            ("scan.watermark.alignment.max-drift", "1 s", "alignment.group"),
            ("scan.watermark.alignment.update-interval", "1 s", "alignment.group"),
        ] {
            let error = read(&[(key, value)]).expect_err("half").to_string();
            assert!(error.contains(missing), "{error}");
        }
        assert!(read(&[("scan.watermark.emit.strategy", "sometimes")]).is_err());
    }
}
