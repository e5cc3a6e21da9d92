//! A store that fails, and one that does what it is asked and loses its answer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flott_connector::sink::CommitOutcome;
use flott_testkit::batch;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::*;

use crate::objects::keys;
use crate::support::*;

const RESET: &str = "the connection was reset";

/// Copies and deletions fail in turn: before anything is done, or after it.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn ObjectStore>,
    calls: AtomicUsize,
    applied: bool,
    /// What it says then.
    answer: &'static str,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

impl Faulty {
    /// Every second call fails.
    fn fails(&self) -> bool {
        self.calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(2)
    }

    fn lost<T>(&self) -> Result<T> {
        Err(Error::Generic { store: "faulty", source: self.answer.into() })
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        if !self.fails() {
            return self.inner.delete_stream(locations);
        }
        Box::pin(futures::stream::iter([self.lost()]))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        if !self.fails() {
            return self.inner.copy_opts(from, to, options).await;
        }
        if self.applied {
            self.inner.copy_opts(from, to, options).await?;
        }
        self.lost()
    }
}

#[tokio::test]
async fn commits_are_tried_again_and_done_once() {
    for applied in [false, true] {
        let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let store = Arc::new(Faulty { inner: Arc::clone(&memory), calls: AtomicUsize::new(0), applied, answer: RESET });
        let table = Table::new("t", "a INT, p INT").partitioned_by(&["p"]).store(store);
        let sink = table.sink();
        let rows: Vec<String> = (0..5).map(|i| format!("+I[{i}, {i}]")).collect();
        let mut left = staged(writer_of(&sink, 1, 0).as_mut(), &[batch("a INT, p INT", &rows)], 1).await;
        let mut committer = committer_of(&sink, 1);
        let mut tries = 0;
        while !left.is_empty() {
            let outcomes = committer.commit(&decided(1), &left).await.expect("outcomes");
            assert_eq!(outcomes.len(), left.len());
            let mut outcomes = outcomes.into_iter();
            left.retain(|_| matches!(outcomes.next(), Some(CommitOutcome::RetryLater { .. })));
            tries += 1;
            assert!(tries < 50, "no progress");
        }
        assert!(tries > 1);
        assert_eq!(keys(&memory).await.len(), 5);
        assert_eq!(table.read_sorted().await, rows);
    }
}

/// One commit of a file whose first copy fails with this answer.
async fn commit_answered(answer: &'static str) -> flott_core::Result<Vec<CommitOutcome>> {
    let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let store = Arc::new(Faulty { inner, calls: AtomicUsize::new(0), applied: false, answer });
    let sink = Table::new("t", "a INT").store(store).sink();
    let left = staged(writer_of(&sink, 1, 0).as_mut(), &[batch("a INT", &["+I[1]"])], 1).await;
    committer_of(&sink, 1).commit(&decided(1), &left).await
}

#[tokio::test]
async fn what_a_store_refuses_is_not_tried_again() {
    let error = commit_answered("Server returned non-2xx status code: 400 Bad Request: ").await.expect_err("refused");
    assert_eq!(error.kind(), flott_core::ErrorKind::User, "{error}");
}

#[tokio::test]
async fn reasons_do_not_repeat_what_was_signed() {
    let outcomes = commit_answered(
        "Server returned non-2xx status code: 503 Service Unavailable: <?xml version=\"1.0\"?><Error><Code>SlowDown</Code>\
         <Message>Reduce your rate</Message><Token>s3cr3t</Token></Error>",
    )
    .await
    .expect("outcomes");
    let [CommitOutcome::RetryLater { reason }] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert!(reason.contains("SlowDown: Reduce your rate") && !reason.contains("s3cr3t"), "{reason}");
}
