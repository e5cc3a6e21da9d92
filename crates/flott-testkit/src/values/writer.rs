//! The sinks of `values`: one records every row at once, the other when its checkpoint is decided.

use async_trait::async_trait;
use flott_connector::Versioned;
use flott_connector::sink::{
    CommitOutcome, Committable, Committer, CommitterContext, DeliveryGuarantee, Sink, SinkWriter, WriterContext,
};
use flott_core::{ChangeBatch, CheckpointId, DecidedCheckpoint, Result, id};

use super::store::ValuesStore;

const VERSION: u32 = 1;

pub(super) struct ValuesSink {
    pub(super) store: ValuesStore,
    pub(super) name: String,
    /// Rows wait for their checkpoint.
    pub(super) exactly_once: bool,
    /// The columns in the order in which rows are recorded.
    pub(super) order: Vec<usize>,
}

impl Sink for ValuesSink {
    fn guarantee(&self) -> DeliveryGuarantee {
        if self.exactly_once { DeliveryGuarantee::ExactlyOnce } else { DeliveryGuarantee::AtLeastOnce }
    }

    fn create_writer(&self, context: WriterContext, _restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        let (store, name, order) = (self.store.clone(), self.name.clone(), self.order.clone());
        Ok(if self.exactly_once {
            let unique = format!("{}-{}", id::random_hex(), context.subtask.index);
            Box::new(StagingWriter { store, name, unique, next: 0, rows: vec![], order })
        } else {
            Box::new(ValuesWriter { store, name, order })
        })
    }

    fn create_committer(&self, _context: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        let committer = || ValuesCommitter { store: self.store.clone(), name: self.name.clone() };
        Ok(self.exactly_once.then(|| Box::new(committer()) as Box<dyn Committer>))
    }
}

/// The rows with their columns in this order.
fn ordered(batch: ChangeBatch, order: &[usize]) -> Result<ChangeBatch> {
    if order.len() != batch.rows.num_columns() || order.iter().copied().eq(0..order.len()) {
        return Ok(batch);
    }
    let rows = batch.rows.project(order)?;
    Ok(batch.with_rows(rows))
}

struct ValuesWriter {
    store: ValuesStore,
    name: String,
    order: Vec<usize>,
}

#[async_trait]
impl SinkWriter for ValuesWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        self.store.record(&self.name, &ordered(batch, &self.order)?)
    }

    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        Ok(())
    }
}

struct StagingWriter {
    store: ValuesStore,
    name: String,
    /// In every committable's id: no two writers share it.
    unique: String,
    next: u64,
    rows: Vec<ChangeBatch>,
    order: Vec<usize>,
}

#[async_trait]
impl SinkWriter for StagingWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        self.rows.push(ordered(batch, &self.order)?);
        Ok(())
    }

    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        Ok(())
    }

    async fn prepare_commit(&mut self, _checkpoint: CheckpointId) -> Result<Vec<Committable>> {
        if self.rows.is_empty() {
            return Ok(vec![]);
        }
        let id = format!("{}-{}", self.unique, self.next);
        self.next += 1;
        self.store.stage(&self.name, &id, std::mem::take(&mut self.rows));
        Ok(vec![Committable { id, data: Versioned::new(VERSION, vec![]) }])
    }
}

struct ValuesCommitter {
    store: ValuesStore,
    name: String,
}

#[async_trait]
impl Committer for ValuesCommitter {
    async fn commit(
        &mut self,
        _checkpoint: &DecidedCheckpoint,
        committables: &[Committable],
    ) -> Result<Vec<CommitOutcome>> {
        committables.iter().map(|c| self.store.commit(&self.name, &c.id)).collect()
    }

    async fn abort(&mut self, committables: &[Committable]) -> Result<()> {
        self.store.discard(&self.name, |id| committables.iter().any(|c| c.id == id));
        Ok(())
    }

    async fn clean_up(&mut self, keep: &[String]) -> Result<()> {
        self.store.discard(&self.name, |id| !keep.iter().any(|k| k == id));
        Ok(())
    }
}
