//! Reports complete partitions (`sink.partition-commit.*`): an empty `_SUCCESS` file in each.
//!
//! The committer decides, after the files of a checkpoint are shown. Partitions whose time has not come are kept in a
//! small file beside the staged ones. It is written before the checkpoint counts as committed: whoever dies in between
//! commits the checkpoint again and finds its partitions in it.

use std::collections::BTreeMap;
use std::time::Duration;

use flott_core::options::Options;
use flott_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::options;
use crate::partition_time::{PartitionTime, parse_zone};

/// When a partition is complete.
#[derive(Debug, Clone)]
enum Trigger {
    /// So long after its first file, by the clock.
    ProcessTime,
    /// Once the watermark is so far behind the time in its name.
    PartitionTime(PartitionTime),
}

/// What to do with complete partitions.
#[derive(Debug, Clone)]
pub(crate) struct PartitionCommit {
    trigger: Trigger,
    delay_ms: i64,
    /// Name of the file that says so.
    pub(crate) success_file: String,
}

/// Partitions that have files and are not reported: when the first was seen, in ms since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingPartitions(pub(crate) BTreeMap<String, i64>);

/// The longest name of a success file: it is written under a longer one first.
const SUCCESS_FILE_BYTES_MAX: usize = 200;

fn check_name(success_file: &str) -> Result<()> {
    let is_no_name = success_file.is_empty() || success_file.contains(['/', '\\', '\0']) || success_file == ".";
    let why = match () {
        () if is_no_name || success_file.starts_with("..") => "is not a file's name",
        () if success_file.len() > SUCCESS_FILE_BYTES_MAX => "is too long for a file's name",
        () => return Ok(()),
    };
    let shown: String = success_file.chars().take(60).collect();
    Err(Error::user(format!("'{shown}' {why}"))
        .with("option", options::SUCCESS_FILE.key)
        .hint("Use a name such as '_SUCCESS'"))
}

/// Options that say how partitions are reported mean nothing where none is.
fn warn_of_no_policy(given: &Options) {
    let about = [
        options::COMMIT_POLICY_CLASS.key,
        options::COMMIT_POLICY_PARAMETERS.key,
        options::COMMIT_TRIGGER.key,
        options::COMMIT_DELAY.key,
        options::COMMIT_ZONE.key,
        options::SUCCESS_FILE.key,
        options::TIME_EXTRACTOR.key,
        options::TIME_EXTRACTOR_CLASS.key,
        options::TIMESTAMP_PATTERN.key,
        options::TIMESTAMP_FORMATTER.key,
    ];
    let ignored: Vec<&str> = about.into_iter().filter(|key| given.contains(key)).collect();
    if !ignored.is_empty() {
        tracing::warn!(
            "'{}' has no effect without '{}' = 'success-file': no partition is reported as complete",
            ignored.join("', '"),
            options::COMMIT_POLICY.key
        );
    }
}

impl PartitionCommit {
    /// Whether watermarks decide.
    pub(crate) fn is_of_event_time(&self) -> bool {
        matches!(self.trigger, Trigger::PartitionTime(_))
    }

    /// `None` where nothing is reported: without a policy, or without partitions.
    pub(crate) fn from_options(given: &Options, keys: &[String]) -> Result<Option<PartitionCommit>> {
        let text = |option| given.text(option).unwrap_or_default();
        let zone = parse_zone(text(&options::COMMIT_ZONE))?;
        let Some(kinds) = given.get(options::COMMIT_POLICY.key) else {
            warn_of_no_policy(given);
            return Ok(None);
        };
        for kind in kinds.split(',').map(str::trim) {
            let refused = match kind.to_ascii_lowercase().as_str() {
                "success-file" => continue,
                "metastore" => "Can not configure a 'metastore' partition commit policy for a file system table",
                "custom" => "Custom partition commit policies are Java classes and not supported",
                _ => "Unknown partition commit policy",
            };
            return Err(Error::user(format!("{refused}: '{kind}'"))
                .with("option", options::COMMIT_POLICY.key)
                .hint("Use 'success-file'"));
        }
        let success_file = text(&options::SUCCESS_FILE).to_string();
        check_name(&success_file)?;
        let trigger = if text(&options::COMMIT_TRIGGER).eq_ignore_ascii_case("partition-time") {
            let kind = text(&options::TIME_EXTRACTOR);
            if !kind.eq_ignore_ascii_case("default") {
                return Err(Error::user(format!("The partition time extractor '{kind}' is not supported"))
                    .with("option", options::TIME_EXTRACTOR.key)
                    .hint("Use 'default' with 'partition.time-extractor.timestamp-pattern'"));
            }
            let pattern = given.get(options::TIMESTAMP_PATTERN.key).map(str::to_string);
            let formatter = given.get(options::TIMESTAMP_FORMATTER.key);
            Trigger::PartitionTime(PartitionTime::new(keys, pattern, formatter, zone)?)
        } else {
            Trigger::ProcessTime
        };
        let delay = given.duration(&options::COMMIT_DELAY)?.unwrap_or(Duration::ZERO);
        let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        Ok((!keys.is_empty()).then_some(PartitionCommit { trigger, delay_ms, success_file }))
    }

    /// Fails where a partition's time will be asked for and cannot be told: before anything of it is decided.
    pub(crate) fn check(&self, partition: &str) -> Result<()> {
        match &self.trigger {
            Trigger::ProcessTime => Ok(()),
            Trigger::PartitionTime(time) => time.instant_ms(partition).map(drop),
        }
    }

    /// Takes out of `pending` what is complete.
    pub(crate) fn complete(
        &self,
        pending: &mut PendingPartitions,
        watermark_ms: i64,
        now_ms: i64,
    ) -> Result<Vec<String>> {
        let mut complete = vec![];
        for (partition, created_ms) in &pending.0 {
            let done = match &self.trigger {
                Trigger::ProcessTime => self.delay_ms == 0 || now_ms > created_ms.saturating_add(self.delay_ms),
                Trigger::PartitionTime(time) => {
                    watermark_ms > time.instant_ms(partition)?.saturating_add(self.delay_ms)
                }
            };
            if done {
                complete.push(partition.clone());
            }
        }
        pending.0.retain(|p, _| !complete.contains(p));
        Ok(complete)
    }
}
