//! Sinks in memory, and what is written to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::Versioned;
use flott_connector::sink::{Committable, DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_core::{ChangeBatch, CheckpointId, Error, Result, Watermark};

use super::rows_of;

/// What a writer does with a batch.
pub(crate) enum Write {
    Take,
    After(Duration),
    Never,
    Fail(&'static str),
    Panic(&'static str),
}

/// Everything that the writers of a sink have seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Rows in the order of their arrival, whatever the subtask.
    pub(crate) rows: Mutex<Vec<(i64, i64, i64)>>,
    /// The same with the subtask, watermarks among the rows.
    pub(crate) by_subtask: Mutex<BTreeMap<usize, Vec<Entry>>>,
    /// What was prepared, by the committable's id.
    pub(crate) staged: Mutex<BTreeMap<String, Vec<(i64, i64, i64)>>>,
    /// The parallelism that writers were told.
    pub(crate) parallelism: Mutex<BTreeSet<usize>>,
    pub(crate) bytes: AtomicU64,
    pub(crate) count: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Row(i64, i64, i64),
    Watermark(i64),
}

pub(crate) struct MemorySink {
    pub(crate) seen: Arc<Seen>,
    pub(crate) write: Arc<dyn Fn(usize, &ChangeBatch) -> Write + Send + Sync>,
    /// Rows are counted, not kept.
    pub(crate) count_only: bool,
}

impl MemorySink {
    pub(crate) fn new() -> MemorySink {
        MemorySink { seen: Arc::default(), write: Arc::new(|_, _| Write::Take), count_only: false }
    }
    pub(crate) fn counting(write: impl Fn(usize, &ChangeBatch) -> Write + Send + Sync + 'static) -> MemorySink {
        MemorySink { seen: Arc::default(), write: Arc::new(write), count_only: true }
    }
}

impl Sink for MemorySink {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }
    fn create_writer(&self, context: WriterContext, restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        let checkpoints = restored.first().map_or(0, |v| u64::from_le_bytes(v.bytes[..8].try_into().expect("8 bytes")));
        self.seen.parallelism.lock().expect("lock").insert(context.subtask.parallelism);
        Ok(Box::new(MemoryWriter {
            context,
            seen: Arc::clone(&self.seen),
            write: Arc::clone(&self.write),
            count_only: self.count_only,
            open: vec![],
            flushed: true,
            checkpoints,
        }))
    }
}

struct MemoryWriter {
    context: WriterContext,
    seen: Arc<Seen>,
    write: Arc<dyn Fn(usize, &ChangeBatch) -> Write + Send + Sync>,
    count_only: bool,
    open: Vec<(i64, i64, i64)>,
    flushed: bool,
    checkpoints: u64,
}

#[async_trait]
impl SinkWriter for MemoryWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        match (self.write)(self.context.subtask.index, &batch) {
            Write::Take => {}
            Write::After(duration) => tokio::time::sleep(duration).await,
            Write::Never => std::future::pending().await,
            Write::Fail(text) => return Err(Error::data(text)),
            Write::Panic(text) => panic!("{text}"),
        }
        self.flushed = false;
        self.seen.bytes.fetch_add(batch.size_bytes() as u64, Ordering::SeqCst);
        self.seen.count.fetch_add(batch.num_rows() as u64, Ordering::SeqCst);
        if !self.count_only {
            let rows = rows_of(&batch);
            self.open.extend(&rows);
            let mut by_subtask = self.seen.by_subtask.lock().expect("lock");
            let entries = by_subtask.entry(self.context.subtask.index).or_default();
            entries.extend(rows.iter().map(|r| Entry::Row(r.0, r.1, r.2)));
            self.seen.rows.lock().expect("lock").extend(rows);
        }
        Ok(())
    }
    async fn write_watermark(&mut self, watermark: Watermark) -> Result<()> {
        let mut by_subtask = self.seen.by_subtask.lock().expect("lock");
        by_subtask.entry(self.context.subtask.index).or_default().push(Entry::Watermark(watermark.0));
        Ok(())
    }
    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        self.flushed = true;
        Ok(())
    }
    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<Vec<Committable>> {
        assert!(self.flushed, "prepare_commit without flush");
        let id = format!("{}-{}-{}", self.context.generation, self.context.subtask.index, checkpoint);
        let rows = std::mem::take(&mut self.open);
        let before = self.seen.staged.lock().expect("lock").insert(id.clone(), rows);
        assert!(before.is_none(), "{id} was prepared twice");
        Ok(vec![Committable { id, data: Versioned::default() }])
    }
    async fn snapshot_state(&mut self, _checkpoint: CheckpointId) -> Result<Vec<Versioned>> {
        self.checkpoints += 1;
        Ok(vec![Versioned::new(1, self.checkpoints.to_le_bytes().to_vec())])
    }
}
