//! Operations that wait for the explorer: every write to the store and every commit is a step of its own, which may
//! happen, fail, happen with its answer lost, or never happen because the process dies first.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

/// What becomes of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    /// Nothing happened, and an error says so.
    Failed,
    /// It happened, but the answer was an error.
    AnswerLost,
}

#[derive(Debug, Default)]
struct Cell {
    waiting: Option<String>,
    verdict: Option<Verdict>,
}

/// Where one attempt's operations wait, one at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<Mutex<Cell>>);

impl Gate {
    fn cell(&self) -> MutexGuard<'_, Cell> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the explorer says what becomes of the operation.
    pub(super) async fn pass(&self, operation: String) -> Verdict {
        self.cell().waiting = Some(operation);
        std::future::poll_fn(|_| match self.cell().verdict.take() {
            Some(verdict) => Poll::Ready(verdict),
            None => Poll::Pending,
        })
        .await
    }

    /// The operation that waits.
    pub(super) fn waiting(&self) -> Option<String> {
        self.cell().waiting.clone()
    }

    /// Decides about it; the future has to be polled then.
    pub(super) fn decide(&self, verdict: Verdict) {
        let mut cell = self.cell();
        cell.waiting = None;
        cell.verdict = Some(verdict);
    }
}

/// The object store as one attempt sees it. Reads do not wait: they happen right before the write that follows.
#[derive(Debug)]
pub(super) struct GatedStore {
    pub(super) inner: Arc<InMemory>,
    pub(super) gate: Gate,
    /// Sabotage: a conditional put overwrites whatever is there.
    pub(super) ignores_conditions: bool,
}

impl fmt::Display for GatedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sim")
    }
}

fn away() -> object_store::Error {
    object_store::Error::Generic { store: "sim", source: "no answer".into() }
}

#[async_trait]
impl ObjectStore for GatedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        if self.ignores_conditions {
            opts.mode = PutMode::Overwrite;
        }
        match self.gate.pass(format!("put {location}")).await {
            Verdict::Done => self.inner.put_opts(location, payload, opts).await,
            Verdict::Failed => Err(away()),
            Verdict::AnswerLost => self.inner.put_opts(location, payload, opts).await.and(Err(away())),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let gate = self.gate.clone();
        let allowed = locations.then(move |location| {
            let gate = gate.clone();
            async move {
                let location = location?;
                match gate.pass(format!("delete {location}")).await {
                    Verdict::Done | Verdict::AnswerLost => Ok(location),
                    Verdict::Failed => Err(away()),
                }
            }
        });
        self.inner.delete_stream(allowed.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
