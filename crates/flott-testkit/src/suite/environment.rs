//! Where jobs run: one process, two, a cluster.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::factory::ConnectorFactory;
use flott_core::Result;

/// A job that a case wants to run.
#[derive(Clone)]
pub struct JobRequest {
    /// Its name: the same before and after a restore.
    pub name: String,
    /// The definitions of its tables.
    pub definitions: Vec<String>,
    /// The statement that it runs.
    pub insert: String,
    /// Connectors besides those that the environment has by itself.
    pub connectors: Vec<Arc<dyn ConnectorFactory>>,
    /// What the session is told, besides what the environment tells it.
    pub options: Vec<(String, String)>,
    /// Subtasks.
    pub parallelism: usize,
    /// Between two checkpoints.
    pub checkpoint_interval: Duration,
    /// Where it goes on.
    pub restore: Option<Savepoint>,
}

/// What a stopped job left; only its environment can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Savepoint(pub String);

/// Which operator of a case's job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Its one source.
    Source,
    /// Its one sink.
    Sink,
}

/// Runs jobs.
#[async_trait]
pub trait TestEnvironment: Send + Sync {
    /// Starts a job. Restarts after failures are on, with short pauses.
    async fn start(&self, request: JobRequest) -> Result<Box<dyn TestJob>>;
}

/// A running job.
#[async_trait]
pub trait TestJob: Send + Sync {
    /// Waits for its end; an error unless it has processed all its input.
    async fn finished(&mut self) -> Result<()>;
    /// How it ended, where it has.
    fn ended(&self) -> Option<String>;
    /// Waits until a checkpoint is committed that began after this call.
    async fn checkpoint(&mut self) -> Result<()>;
    /// Stops it without a loss; [`JobRequest::restore`] goes on there.
    async fn stop_with_savepoint(&mut self) -> Result<Savepoint>;
    /// Ends a worker (all of them, where there is one process) in the middle of whatever it does, and waits until the job
    /// has noticed and runs again.
    async fn kill_worker(&mut self) -> Result<()>;
    /// Ends it at once.
    async fn cancel(&mut self) -> Result<()>;
    /// A metric by Flink's name, summed over the subtasks.
    fn metric(&self, operator: Operator, name: &str) -> Option<u64>;
}
