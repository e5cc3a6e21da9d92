//! The cases of a source. A job reads its table into a sink of `values`, exactly-once or at-least-once.

use std::sync::Arc;
use std::time::Duration;

use flott_connector::Boundedness;
use flott_connector::factory::ConnectorFactory;

use super::record::{COLUMNS, Record, Seen, records};
use super::{
    CaseResult, Failed, JobRequest, Operator, Savepoint, SourceContext, SourceSettings, SourceTable, Suite, TestJob,
};
use crate::values::{Values, ValuesStore};

/// Records that a case writes to a split at a time.
const RECORDS: u64 = 200;
/// Between two checkpoints.
const INTERVAL: Duration = Duration::from_millis(50);
/// The sink that takes what was read.
const COLLECTED: &str = "collected";

/// A case's table, its jobs and what they have read.
struct Case<'a> {
    suite: &'a Suite<'a>,
    connectors: Vec<Arc<dyn ConnectorFactory>>,
    options: Vec<(String, String)>,
    table: Box<dyn SourceTable>,
    splits: u32,
    store: ValuesStore,
}

impl<'a> Case<'a> {
    async fn new(
        suite: &'a Suite<'a>,
        context: &dyn SourceContext,
        boundedness: Boundedness,
        splits: u32,
    ) -> Result<Case<'a>, Failed> {
        let store = ValuesStore::new();
        let mut connectors = context.connectors();
        connectors.push(Arc::new(Values::named("collect", store.clone())));
        let table = context.create(SourceSettings { boundedness, splits }).await?;
        Ok(Case { suite, connectors, options: context.session_options(), table, splits, store })
    }

    /// Writes the next records of every split, and gives them.
    async fn write(&mut self, numbers: std::ops::Range<u64>) -> Result<Vec<Record>, Failed> {
        let mut written = vec![];
        for split in 0..self.splits {
            let records = records(split, numbers.clone());
            self.table.write(split, &records).await?;
            written.extend(records);
        }
        Ok(written)
    }

    async fn start(&self, parallelism: usize, restore: Option<Savepoint>) -> Result<Box<dyn TestJob>, Failed> {
        let options: Vec<String> = self.table.options().iter().map(|(k, v)| option(k, v)).collect();
        let guarantee = self.suite.semantics.name();
        let request = JobRequest {
            name: "source-case".to_string(),
            definitions: vec![
                format!("CREATE TABLE source_t ({COLUMNS}) WITH ({})", options.join(", ")),
                format!(
                    "CREATE TABLE {COLLECTED} ({COLUMNS}) WITH ('connector' = 'collect', \
                     'sink.delivery-guarantee' = '{guarantee}')"
                ),
            ],
            insert: format!("INSERT INTO {COLLECTED} SELECT part, num, payload FROM source_t"),
            connectors: self.connectors.clone(),
            options: self.options.clone(),
            parallelism,
            checkpoint_interval: INTERVAL,
            restore,
        };
        self.suite.within("the job's start", self.suite.environment.start(request)).await
    }

    fn seen(&self) -> Result<Seen, Failed> {
        let cells = self.store.received_cells(COLLECTED);
        Ok(Seen(cells.iter().map(|c| Record::from_cells(c)).collect::<flott_core::Result<_>>()?))
    }

    /// Waits until all of these have arrived, and a little longer: nothing else may follow.
    async fn arrived(&self, job: &mut dyn TestJob, expected: &[Record], allowed: &[Record]) -> CaseResult {
        let all = async || Ok(self.seen()?.count_of(expected) == expected.len());
        let waited = self.suite.until("all records", job, all).await;
        if let Err(failed) = waited {
            // What is wrong with the records says more than that the wait was in vain.
            let seen = self.seen()?.check_ordered(expected, allowed, self.suite.semantics);
            return Err(seen.map_or_else(|wrong| Failed(format!("{failed}: {wrong}")), |()| failed.clone()));
        }
        self.suite.within("a checkpoint", job.checkpoint()).await?;
        self.seen()?.check_ordered(expected, allowed, self.suite.semantics)
    }

    async fn bounded(&mut self, parallelism: usize) -> CaseResult {
        let written = self.write(0..RECORDS).await?;
        let mut job = self.start(parallelism, None).await?;
        self.suite.within("the job's end", job.finished()).await?;
        self.seen()?.check_ordered(&written, &[], self.suite.semantics)
    }

    /// Reads, stops, and goes on with another parallelism: what was written meanwhile comes, and nothing else.
    async fn stopped(&mut self, before: usize, after: usize) -> CaseResult {
        let first = self.write(0..RECORDS).await?;
        let mut job = self.start(before, None).await?;
        self.arrived(job.as_mut(), &first, &[]).await?;
        let savepoint = self.suite.within("the savepoint", job.stop_with_savepoint()).await?;
        self.seen()?.check_ordered(&first, &[], self.suite.semantics)?;
        self.store.clear_sinks();
        let second = self.write(RECORDS..2 * RECORDS).await?;
        let mut job = self.start(after, Some(savepoint)).await?;
        self.arrived(job.as_mut(), &second, &first).await?;
        self.suite.within("the end of a cancelled job", job.cancel()).await
    }
}

/// `'key' = 'value'`, quoted.
pub(super) fn option(key: &str, value: &str) -> String {
    format!("'{}' = '{}'", key.replace('\'', "''"), value.replace('\'', "''"))
}

/// One split, one reader: the same records in the same order, and the job finishes.
pub async fn single_split(suite: &Suite<'_>, context: &dyn SourceContext) -> CaseResult {
    Case::new(suite, context, Boundedness::Bounded, 1).await?.bounded(1).await
}

/// Four splits, four readers: each split keeps its order.
pub async fn multiple_splits(suite: &Suite<'_>, context: &dyn SourceContext) -> CaseResult {
    Case::new(suite, context, Boundedness::Bounded, 4).await?.bounded(4).await
}

/// Stopped with a savepoint and restored: each record comes in one of the two runs.
pub async fn savepoint(suite: &Suite<'_>, context: &dyn SourceContext) -> CaseResult {
    Case::new(suite, context, Boundedness::ContinuousUnbounded, 4).await?.stopped(4, 4).await
}

/// The same with more readers after the restore.
pub async fn scale_up(suite: &Suite<'_>, context: &dyn SourceContext) -> CaseResult {
    Case::new(suite, context, Boundedness::ContinuousUnbounded, 4).await?.stopped(2, 4).await
}

/// The same with fewer readers after the restore.
pub async fn scale_down(suite: &Suite<'_>, context: &dyn SourceContext) -> CaseResult {
    Case::new(suite, context, Boundedness::ContinuousUnbounded, 4).await?.stopped(4, 2).await
}

/// `numRecordsIn` of the source is the number of records written; `pendingRecords`, where the source knows it, is 0 when all
/// are read.
pub async fn metrics(suite: &Suite<'_>, context: &dyn SourceContext) -> CaseResult {
    let mut case = Case::new(suite, context, Boundedness::ContinuousUnbounded, 4).await?;
    let written = case.write(0..RECORDS).await?;
    let mut job = case.start(4, None).await?;
    let arrived = case.arrived(job.as_mut(), &written, &[]).await;
    let counted = job.metric(Operator::Source, "numRecordsIn");
    let pending = job.metric(Operator::Source, "pendingRecords");
    suite.within("the end of a cancelled job", job.cancel()).await?;
    arrived?;
    if pending.is_some_and(|n| n != 0) {
        return Err(Failed(format!("pendingRecords is {pending:?} when all records are read")));
    }
    match counted {
        Some(n) if n == written.len() as u64 => Ok(()),
        other => Err(Failed(format!("numRecordsIn is {other:?} after {} records", written.len()))),
    }
}

/// More readers than splits: the idle one is told that nothing follows, and the job finishes.
pub async fn idle_reader(suite: &Suite<'_>, context: &dyn SourceContext) -> CaseResult {
    Case::new(suite, context, Boundedness::Bounded, 4).await?.bounded(5).await
}

/// A worker is killed, once when all is read and once while records come: none is lost, and none comes twice where that
/// is promised.
pub async fn worker_failure(suite: &Suite<'_>, context: &dyn SourceContext) -> CaseResult {
    let mut case = Case::new(suite, context, Boundedness::ContinuousUnbounded, 1).await?;
    let mut written = case.write(0..RECORDS).await?;
    let mut job = case.start(1, None).await?;
    case.arrived(job.as_mut(), &written, &[]).await?;
    suite.within("the job's restart", job.kill_worker()).await?;
    written.extend(case.write(RECORDS..2 * RECORDS).await?);
    case.arrived(job.as_mut(), &written, &[]).await?;
    for piece in 2..6 {
        written.extend(case.write(piece * RECORDS..(piece + 1) * RECORDS).await?);
    }
    suite.within("the job's restart", job.kill_worker()).await?;
    case.arrived(job.as_mut(), &written, &[]).await?;
    suite.within("the end of a cancelled job", job.cancel()).await
}
