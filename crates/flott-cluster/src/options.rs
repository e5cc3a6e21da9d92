//! How checkpoints are taken.

use std::time::Duration;

/// `execution.checkpointing.*`, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointOptions {
    /// `execution.checkpointing.interval`; `None` takes only the final one.
    pub interval: Option<Duration>,
    /// `execution.checkpointing.timeout`
    pub timeout: Duration,
    /// `execution.checkpointing.num-retained`
    pub retained: usize,
}

impl Default for CheckpointOptions {
    /// Every 10 s (Flink's default is never), ten minutes, two.
    fn default() -> Self {
        CheckpointOptions { interval: Some(Duration::from_secs(10)), timeout: Duration::from_secs(600), retained: 2 }
    }
}
