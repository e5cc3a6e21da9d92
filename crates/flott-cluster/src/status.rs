//! How a job stands, in Flink's words.

/// Flink's `JobStatus`, as far as it has a meaning here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JobStatus {
    /// An attempt runs.
    #[default]
    Running,
    /// It failed and is started again.
    Restarting,
    /// All input is processed and committed.
    Finished,
    /// Stopped on purpose; it can go on.
    Suspended,
    /// Cancelled.
    Canceled,
    /// Failed for good.
    Failed,
}

impl JobStatus {
    /// `RUNNING`, `FINISHED`, …
    pub fn name(self) -> &'static str {
        match self {
            JobStatus::Running => "RUNNING",
            JobStatus::Restarting => "RESTARTING",
            JobStatus::Finished => "FINISHED",
            JobStatus::Suspended => "SUSPENDED",
            JobStatus::Canceled => "CANCELED",
            JobStatus::Failed => "FAILED",
        }
    }
}
