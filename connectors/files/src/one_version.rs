//! A file of which a format reads piece after piece: all of them are of the version that was looked at first.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use flott_connector::storage::storage_error;
use flott_core::Result;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use crate::split::FileSplit;

/// The store, as whoever reads one file of it sees it.
#[derive(Debug)]
pub(crate) struct OneVersion {
    inner: Arc<dyn ObjectStore>,
    first: ObjectMeta,
    changed: AtomicBool,
}

impl OneVersion {
    /// Looks at a file.
    ///
    /// # Errors
    /// It is not what was listed, or cannot be looked at.
    pub(crate) async fn of(inner: &Arc<dyn ObjectStore>, path: &Path, split: &FileSplit) -> Result<Arc<OneVersion>> {
        let first = inner
            .head(path)
            .await
            .map_err(|e| storage_error(format!("Cannot read '{}'", split.path), e).with("file", &split.path))?;
        if first.size != split.file_size {
            return Err(split.changed(&format!("{} bytes instead of {}", first.size, split.file_size)));
        }
        // Listings and answers of a store may give its time with another precision.
        if split.etag.is_some() {
            if first.e_tag != split.etag {
                return Err(split.changed("another tag"));
            }
        } else if first.last_modified.timestamp_millis() != split.modified_ms {
            return Err(split.changed("another modification time"));
        }
        Ok(Arc::new(OneVersion { inner: Arc::clone(inner), first, changed: AtomicBool::new(false) }))
    }

    /// Whether a piece was of another version: then a format's error is of that.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    fn differs(&self, path: &Path, found: String) -> object_store::Error {
        self.changed.store(true, Ordering::Relaxed);
        object_store::Error::Precondition { path: path.to_string(), source: found.into() }
    }
}

impl fmt::Display for OneVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one file of {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for OneVersion {
    /// The store itself compares the tag. One that has none for its files (it would not be S3) is compared by what comes
    /// with each piece.
    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let options = GetOptions { if_match: self.first.e_tag.clone(), ..options };
        let object = match self.inner.get_opts(path, options).await {
            Ok(object) => object,
            Err(e @ object_store::Error::Precondition { .. }) => return Err(self.differs(path, e.to_string())),
            Err(e) => return Err(e),
        };
        let (ObjectMeta { size, last_modified, .. }, first) = (&object.meta, &self.first);
        if *size != first.size || *last_modified != first.last_modified {
            return Err(self.differs(path, format!("{size} bytes of {last_modified}")));
        }
        Ok(object)
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        let get = |range| self.get_range(path, range);
        object_store::coalesce_ranges(ranges, get, object_store::OBJECT_STORE_COALESCE_DEFAULT).await
    }

    async fn put_opts(&self, path: &Path, content: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(path, content, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
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
