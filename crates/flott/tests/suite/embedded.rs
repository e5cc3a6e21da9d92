//! Jobs in this process, through the façade.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use flott::{
    Job, JobOutcome, JobStatus, Outcome, Registry, Restore, SavepointTarget, Session, StopMode, default_registry,
};
use flott_core::{Error, Result};
use flott_testkit::suite::{JobRequest, KillSwitch, Operator, Savepoint, TestEnvironment, TestJob};

/// Between two looks at a job.
const PAUSE: Duration = Duration::from_millis(5);

/// A session for each job, over one folder of checkpoints.
pub(crate) struct Embedded {
    folder: tempfile::TempDir,
}

impl Embedded {
    pub(crate) fn new() -> Embedded {
        Embedded { folder: tempfile::tempdir().expect("a folder") }
    }
}

fn registry(request: &JobRequest, switch: &KillSwitch) -> Registry {
    let mut registry = default_registry();
    request.connectors.iter().for_each(|c| registry.add_connector(c.clone()));
    switch.wrap(&registry)
}

#[async_trait]
impl TestEnvironment for Embedded {
    async fn start(&self, request: JobRequest) -> Result<Box<dyn TestJob>> {
        let switch = KillSwitch::default();
        let restore = request.restore.as_ref().map_or(Restore::Ask, |s| Restore::Path(s.0.clone().into()));
        let mut builder = Session::builder();
        for (key, value) in &request.options {
            builder = builder.option(key, value);
        }
        let mut session = builder
            .registry(registry(&request, &switch))
            .base_dir(self.folder.path())
            .name(&request.name)
            .restore(restore)
            .option("parallelism.default", request.parallelism.to_string())
            .option("execution.checkpointing.interval", format!("{} ms", request.checkpoint_interval.as_millis()))
            .option("restart-strategy.type", "fixed-delay")
            .option("restart-strategy.fixed-delay.attempts", "10")
            .option("restart-strategy.fixed-delay.delay", "10 ms")
            .build()?;
        let script = format!("{};\n{};", request.definitions.join(";\n"), request.insert);
        for statement in session.parse(&script)? {
            if let Outcome::Job(job) = session.execute(&statement).await? {
                return Ok(Box::new(EmbeddedJob { job, switch }));
            }
        }
        Err(Error::user("the script starts no job"))
    }
}

struct EmbeddedJob {
    job: Job,
    switch: KillSwitch,
}

impl EmbeddedJob {
    async fn until(&self, mut holds: impl FnMut(&flott::JobState) -> bool) -> Result<()> {
        while !holds(&self.job.handle.state()) {
            if let Some(how) = self.ended() {
                return Err(Error::user(format!("the job has ended: {how}")));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

#[async_trait]
impl TestJob for EmbeddedJob {
    async fn finished(&mut self) -> Result<()> {
        match self.job.wait().await? {
            JobOutcome::Finished(_) => Ok(()),
            other => Err(Error::user(format!("it ended otherwise: {other:?}"))),
        }
    }

    fn ended(&self) -> Option<String> {
        let status = self.job.handle.state().status;
        (!matches!(status, JobStatus::Running | JobStatus::Restarting)).then(|| status.name().to_string())
    }

    async fn checkpoint(&mut self) -> Result<()> {
        self.job.handle.checkpoint().await.map(drop)
    }

    async fn stop_with_savepoint(&mut self) -> Result<Savepoint> {
        let mode = StopMode::suspend().with_savepoint(SavepointTarget::In("savepoints".to_string()));
        match self.job.handle.stop(mode).await? {
            Some(savepoint) => Ok(Savepoint(savepoint.location)),
            None => Err(Error::user("there is no savepoint")),
        }
    }

    async fn kill_worker(&mut self) -> Result<()> {
        let restarts = self.job.handle.state().restarts;
        self.switch.throw();
        self.until(|state| state.restarts > restarts && state.status == JobStatus::Running).await
    }

    async fn cancel(&mut self) -> Result<()> {
        self.job.handle.cancel().await;
        match self.job.wait().await? {
            JobOutcome::Cancelled(_) => Ok(()),
            other => Err(Error::user(format!("it ended otherwise: {other:?}"))),
        }
    }

    fn metric(&self, operator: Operator, name: &str) -> Option<u64> {
        let (graph, metrics) = (self.job.handle.graph(), self.job.handle.metrics());
        let node = match operator {
            Operator::Source => graph.sources().next()?.0,
            Operator::Sink => graph.sinks().next()?.0,
        };
        match name {
            "numRecordsIn" => Some(metrics.sum(node.0, |m| &m.records_in)),
            "pendingRecords" => {
                let known = |m: &flott::SubtaskMetrics| u64::try_from(m.pending_records.load(Ordering::Relaxed)).ok();
                let all: Vec<u64> = metrics.node(node.0).iter().filter_map(known).collect();
                (!all.is_empty()).then(|| all.iter().sum())
            }
            // What a sink sends is what it gives out.
            "numRecordsSend" | "numRecordsOut" => Some(metrics.sum(node.0, |m| &m.records_out)),
            _ => None,
        }
    }
}
