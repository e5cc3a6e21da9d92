//! The cases of a sink. A job writes records of `values`, of a data set that grows, to its table.

use std::sync::Arc;
use std::time::Duration;

use flott_connector::factory::ConnectorFactory;

use super::record::{COLUMNS, Record, Seen, batch_of_records, records};
use super::source::option;
use super::{CaseResult, Failed, JobRequest, Operator, Savepoint, SinkContext, SinkTable, Suite, TestJob};
use crate::values::{Values, ValuesStore};

/// Records that a case writes to a split of its input at a time.
const RECORDS: u64 = 200;
/// Splits of the input.
const SPLITS: u32 = 4;
/// Between two checkpoints.
const INTERVAL: Duration = Duration::from_millis(50);
/// An interval that no case waits for.
const NEVER: Duration = Duration::from_secs(3_600);
/// The data set that the job reads.
const INPUT: &str = "input_t";

struct Case<'a> {
    suite: &'a Suite<'a>,
    connectors: Vec<Arc<dyn ConnectorFactory>>,
    options: Vec<(String, String)>,
    table: Box<dyn SinkTable>,
    store: ValuesStore,
}

/// How a job of a case runs.
struct How {
    bounded: bool,
    parallelism: usize,
    interval: Duration,
    restore: Option<Savepoint>,
}

impl How {
    fn with(parallelism: usize) -> How {
        How { bounded: false, parallelism, interval: INTERVAL, restore: None }
    }
}

impl<'a> Case<'a> {
    async fn new(suite: &'a Suite<'a>, context: &dyn SinkContext) -> Result<Case<'a>, Failed> {
        let store = ValuesStore::new();
        let mut connectors = context.connectors();
        connectors.push(Arc::new(Values::named("feed", store.clone())));
        let table = context.create(suite.semantics).await?;
        Ok(Case { suite, connectors, options: context.session_options(), table, store })
    }

    /// Adds the next records to every split of the input, and gives them.
    fn feed(&self, numbers: std::ops::Range<u64>) -> Result<Vec<Record>, Failed> {
        let mut written = vec![];
        for split in 0..SPLITS {
            let records = records(split, numbers.clone());
            self.store.append(INPUT, split, &batch_of_records(&records)?)?;
            written.extend(records);
        }
        Ok(written)
    }

    async fn start(&self, how: How) -> Result<Box<dyn TestJob>, Failed> {
        let options: Vec<String> = self.table.options().iter().map(|(k, v)| option(k, v)).collect();
        let bounded = how.bounded;
        let request = JobRequest {
            name: "sink-case".to_string(),
            definitions: vec![
                format!(
                    "CREATE TABLE {INPUT} ({COLUMNS}) WITH ('connector' = 'feed', 'splits' = '{SPLITS}', \
                     'bounded' = '{bounded}')"
                ),
                format!("CREATE TABLE sink_t ({COLUMNS}) WITH ({})", options.join(", ")),
            ],
            insert: format!("INSERT INTO sink_t SELECT part, num, payload FROM {INPUT}"),
            connectors: self.connectors.clone(),
            options: self.options.clone(),
            parallelism: how.parallelism,
            checkpoint_interval: how.interval,
            restore: how.restore,
        };
        self.suite.within("the job's start", self.suite.environment.start(request)).await
    }

    async fn visible(&self) -> Result<Seen, Failed> {
        Ok(Seen(self.table.read().await?))
    }

    async fn check(&self, expected: &[Record]) -> CaseResult {
        self.visible().await?.check(expected, &[], self.suite.semantics)
    }

    /// Waits until the sink has taken so many records.
    async fn taken(&self, job: &dyn TestJob, records: usize) -> CaseResult {
        let all = async || Ok(job.metric(Operator::Sink, "numRecordsSend").is_some_and(|n| n >= records as u64));
        self.suite.until("the sink to take all records", job, all).await
    }

    /// Waits until all of these are visible, and a little longer: nothing else may follow.
    async fn shown(&self, job: &mut dyn TestJob, expected: &[Record]) -> CaseResult {
        let all = async || Ok(self.visible().await?.count_of(expected) == expected.len());
        if let Err(failed) = self.suite.until("all records to be visible", job, all).await {
            let seen = self.check(expected).await;
            return Err(seen.map_or_else(|wrong| Failed(format!("{failed}: {wrong}")), |()| failed.clone()));
        }
        self.suite.within("a checkpoint", job.checkpoint()).await?;
        self.check(expected).await
    }

    async fn cancel(&self, job: &mut dyn TestJob) -> CaseResult {
        self.suite.within("the end of a cancelled job", job.cancel()).await?;
        self.nothing_left().await
    }

    async fn nothing_left(&self) -> CaseResult {
        match self.table.leftovers().await?.as_slice() {
            [] => Ok(()),
            left => Err(Failed(format!("the job has ended and left behind: {}", left.join(", ")))),
        }
    }

    /// Writes, stops, and goes on with another parallelism.
    async fn stopped(&self, before: usize, after: usize) -> CaseResult {
        let mut written = self.feed(0..RECORDS)?;
        let mut job = self.start(How::with(before)).await?;
        self.taken(job.as_ref(), written.len()).await?;
        let savepoint = self.suite.within("the savepoint", job.stop_with_savepoint()).await?;
        self.check(&written).await?;
        written.extend(self.feed(RECORDS..2 * RECORDS)?);
        let mut job = self.start(How { restore: Some(savepoint), ..How::with(after) }).await?;
        self.shown(job.as_mut(), &written).await?;
        self.cancel(job.as_mut()).await
    }
}

/// A bounded job: all records are visible at its end, once where that is promised.
pub async fn basic(suite: &Suite<'_>, context: &dyn SinkContext) -> CaseResult {
    let case = Case::new(suite, context).await?;
    let written = case.feed(0..RECORDS)?;
    let mut job = case.start(How { bounded: true, ..How::with(1) }).await?;
    suite.within("the job's end", job.finished()).await?;
    case.check(&written).await?;
    case.nothing_left().await
}

/// The first half is visible after a stop with a savepoint, all of it after the restore.
pub async fn savepoint(suite: &Suite<'_>, context: &dyn SinkContext) -> CaseResult {
    Case::new(suite, context).await?.stopped(2, 2).await
}

/// The same with more writers after the restore.
pub async fn scale_up(suite: &Suite<'_>, context: &dyn SinkContext) -> CaseResult {
    Case::new(suite, context).await?.stopped(2, 4).await
}

/// The same with fewer writers after the restore.
pub async fn scale_down(suite: &Suite<'_>, context: &dyn SinkContext) -> CaseResult {
    Case::new(suite, context).await?.stopped(4, 2).await
}

/// `numRecordsSend` of the sink is the number of records.
pub async fn metrics(suite: &Suite<'_>, context: &dyn SinkContext) -> CaseResult {
    let case = Case::new(suite, context).await?;
    let written = case.feed(0..RECORDS)?;
    let mut job = case.start(How::with(1)).await?;
    case.shown(job.as_mut(), &written).await?;
    let counted = job.metric(Operator::Sink, "numRecordsSend");
    case.cancel(job.as_mut()).await?;
    match counted {
        Some(n) if n == written.len() as u64 => Ok(()),
        other => Err(Failed(format!("numRecordsSend is {other:?} after {} records", written.len()))),
    }
}

/// Not one of Flink's cases. A worker is killed, once when all is visible and once while records come.
pub async fn worker_failure(suite: &Suite<'_>, context: &dyn SinkContext) -> CaseResult {
    let case = Case::new(suite, context).await?;
    let mut written = case.feed(0..RECORDS)?;
    let mut job = case.start(How::with(2)).await?;
    case.shown(job.as_mut(), &written).await?;
    suite.within("the job's restart", job.kill_worker()).await?;
    written.extend(case.feed(RECORDS..2 * RECORDS)?);
    case.shown(job.as_mut(), &written).await?;
    for piece in 2..6 {
        written.extend(case.feed(piece * RECORDS..(piece + 1) * RECORDS)?);
    }
    suite.within("the job's restart", job.kill_worker()).await?;
    case.shown(job.as_mut(), &written).await?;
    case.cancel(job.as_mut()).await
}

/// Not one of Flink's cases, and of exactly-once alone: nothing is visible before its checkpoint is decided, and what a
/// cancelled job has written behind its last checkpoint never is.
pub async fn undecided(suite: &Suite<'_>, context: &dyn SinkContext) -> CaseResult {
    let case = Case::new(suite, context).await?;
    let written = case.feed(0..RECORDS)?;
    let mut job = case.start(How { interval: NEVER, ..How::with(2) }).await?;
    case.taken(job.as_ref(), written.len()).await?;
    case.check(&[]).await?;
    let savepoint = suite.within("the savepoint", job.stop_with_savepoint()).await?;
    case.check(&written).await?;
    let more = case.feed(RECORDS..2 * RECORDS)?;
    let mut job = case.start(How { interval: NEVER, restore: Some(savepoint), ..How::with(2) }).await?;
    case.taken(job.as_ref(), more.len()).await?;
    case.cancel(job.as_mut()).await?;
    case.check(&written).await
}
