//! How checkpoints are taken.

use std::time::Duration;

/// `execution.checkpointing.*`, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointOptions {
    /// `execution.checkpointing.interval`; `None` takes only the final one.
    pub interval: Option<Duration>,
    /// `execution.checkpointing.timeout`
    pub timeout: Duration,
    /// `execution.checkpointing.min-pause`: from the end of one to the begin of the next.
    pub min_pause: Duration,
    /// `execution.checkpointing.tolerable-failed-checkpoints`: so many in a row may come to nothing.
    pub tolerable_failures: u32,
    /// `execution.checkpointing.num-retained`
    pub retained: usize,
    /// `execution.checkpointing.checkpoints-after-tasks-finish.enabled`: whether there are any, but for the last one, once
    /// a task has ended.
    pub after_tasks_finish: bool,
}

impl Default for CheckpointOptions {
    /// Every 10 s (Flink's default is never), ten minutes, no pause, none may fail, two.
    fn default() -> Self {
        CheckpointOptions {
            interval: Some(Duration::from_secs(10)),
            timeout: Duration::from_secs(600),
            min_pause: Duration::ZERO,
            tolerable_failures: 0,
            retained: 2,
            after_tasks_finish: true,
        }
    }
}
