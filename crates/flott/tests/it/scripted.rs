//! A sink whose committer does what a test tells it, and remembers what became visible.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flott_connector::Versioned;
use flott_connector::factory::{ChangelogMode, ConnectorFactory, TableContext, TableSink};
use flott_connector::sink::{
    CommitOutcome, Committable, Committer, CommitterContext, DeliveryGuarantee, Sink, SinkWriter, WriterContext,
};
use flott_core::options::ConfigOption;
use flott_core::{ChangeBatch, CheckpointId, DecidedCheckpoint, Error, Result};

/// What the next commits do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Takes output.
    There,
    /// Asks for another try, for ever.
    Busy,
    /// Fails once, after it has made half of the output visible.
    FailsHalfWay,
    /// Refuses for good.
    Refuses,
    /// Its writers do not come to the end of a checkpoint.
    Stuck,
    /// Takes all but the first, which it will never take.
    RefusesOne,
}

/// The outside system: `connector = 'scripted'`.
#[derive(Clone)]
pub(crate) struct Scripted {
    target: Arc<Mutex<Target>>,
    visible: Arc<Mutex<Vec<String>>>,
    pub(crate) commits: Arc<AtomicUsize>,
    /// Pieces of a checkpoint are put together before it is decided.
    pub(crate) joins: Arc<AtomicBool>,
    /// Attempts that told that they end.
    pub(crate) aborts: Arc<AtomicUsize>,
}

impl Scripted {
    pub(crate) fn new(target: Target) -> Scripted {
        Scripted {
            target: Arc::new(Mutex::new(target)),
            visible: Arc::default(),
            commits: Arc::default(),
            joins: Arc::default(),
            aborts: Arc::default(),
        }
    }

    pub(crate) fn set(&self, target: Target) {
        *self.target.lock().expect("not poisoned") = target;
    }

    /// Numbers of rows of the committed pieces, one piece each.
    pub(crate) fn visible_rows(&self) -> usize {
        let pieces = self.visible.lock().expect("not poisoned");
        let mut ids: Vec<&String> = pieces.iter().collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), pieces.len(), "a piece was committed twice: {pieces:?}");
        pieces.iter().map(|id| rows_in(id)).sum()
    }
}

/// Rows of a piece, which its id ends with.
fn rows_in(id: &str) -> usize {
    id.rsplit('=').next().and_then(|n| n.parse().ok()).expect("a number")
}

impl ConnectorFactory for Scripted {
    fn identifier(&self) -> &'static str {
        "scripted"
    }

    fn description(&self) -> &'static str {
        "Does what a test says."
    }

    fn options(&self) -> &'static [ConfigOption] {
        &[]
    }

    fn sink(&self, _context: &TableContext) -> Result<TableSink> {
        Ok(TableSink { sink: Arc::new(self.clone()), changelog_mode: ChangelogMode::INSERT_ONLY, parallelism: None })
    }
}

impl Sink for Scripted {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }

    fn create_writer(&self, context: WriterContext, _restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        let name = format!("g{}-{}", context.generation, context.subtask.index);
        Ok(Box::new(Writer { name, rows: 0, pieces: 0, target: self.clone() }))
    }

    fn create_committer(&self, _context: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        Ok(Some(Box::new(self.clone())))
    }
}

struct Writer {
    name: String,
    rows: usize,
    pieces: usize,
    target: Scripted,
}

#[async_trait]
impl SinkWriter for Writer {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        self.rows += batch.num_rows();
        Ok(())
    }

    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        while *self.target.target.lock().expect("not poisoned") == Target::Stuck {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn prepare_commit(&mut self, _checkpoint: CheckpointId) -> Result<Vec<Committable>> {
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return Ok(vec![]);
        }
        self.pieces += 1;
        let id = format!("{}-{}={rows}", self.name, self.pieces);
        Ok(vec![Committable { id, data: Versioned::new(1, vec![]) }])
    }
}

#[async_trait]
impl Committer for Scripted {
    async fn pre_commit(&mut self, checkpoint: CheckpointId, pieces: Vec<Committable>) -> Result<Vec<Committable>> {
        if !self.joins.load(Ordering::SeqCst) {
            return Ok(pieces);
        }
        let (first, rows) = (&pieces[0].id, pieces.iter().map(|p| rows_in(&p.id)).sum::<usize>());
        Ok(vec![Committable { id: format!("joined-{checkpoint}-{first}={rows}"), data: Versioned::new(1, vec![]) }])
    }

    async fn abort(&mut self, _pieces: &[Committable]) -> Result<()> {
        self.aborts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn commit(&mut self, _checkpoint: &DecidedCheckpoint, pieces: &[Committable]) -> Result<Vec<CommitOutcome>> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        if self.joins.load(Ordering::SeqCst) {
            assert!(pieces.len() == 1 && pieces[0].id.starts_with("joined-"), "{pieces:?}");
        }
        let mut target = self.target.lock().expect("not poisoned");
        let mut visible = self.visible.lock().expect("not poisoned");
        let mut take = |piece: &Committable| {
            if visible.contains(&piece.id) {
                return CommitOutcome::AlreadyCommitted;
            }
            visible.push(piece.id.clone());
            CommitOutcome::Committed
        };
        match *target {
            Target::There | Target::Stuck => Ok(pieces.iter().map(take).collect()),
            Target::Busy => Ok(pieces.iter().map(|_| CommitOutcome::RetryLater { reason: "busy".into() }).collect()),
            Target::FailsHalfWay => {
                pieces.iter().take(pieces.len().div_ceil(2)).for_each(|p| drop(take(p)));
                *target = Target::There;
                Err(Error::unavailable("the target went away half-way"))
            }
            Target::RefusesOne => {
                let mut outcomes = vec![CommitOutcome::Failed { reason: "it is too heavy".into() }];
                outcomes.extend(pieces.iter().skip(1).map(take));
                Ok(outcomes)
            }
            Target::Refuses => Err(Error::user("the target refuses the output")),
        }
    }
}
