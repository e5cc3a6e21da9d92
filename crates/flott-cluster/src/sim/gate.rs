//! The door between the real code and the model. Every operation on the store and on a sink's target asks here and waits
//! for its answer; answers that are known already are given at once.
//!
//! The door belongs to the thread and not to the store, so that a copy of the store can go another way.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use flott_connector::sink::{CommitOutcome, Committable, Committer};
use flott_core::{DecidedCheckpoint, Error, Result};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

/// An operation that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Get(String),
    List(String),
    Put { name: String, content: Bytes, condition: Condition },
    Delete(String),
    Commit { sink: usize, id: String },
    CleanUp { sink: usize, generation: u64 },
}

/// When a put is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    Never,
    UnlessAbsent,
    /// Unless what is there has this tag.
    Unless(String),
}

/// What the outside says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Content(Option<Bytes>),
    Names(Vec<String>),
    Done,
    /// The condition does not hold.
    Refused,
    /// No answer: who asked does not know whether it was done.
    Away,
}

#[derive(Default)]
struct Door {
    answers: VecDeque<Answer>,
    waiting: Option<Request>,
}

thread_local! {
    static DOOR: RefCell<Door> = RefCell::default();
}

/// Goes on with some work, which gets these answers; gives the operation at which it then waits, if it does.
pub(super) fn go_on<T>(answers: Vec<Answer>, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
    DOOR.with_borrow_mut(|door| *door = Door { answers: answers.into(), waiting: None });
    poll()
}

/// The operation at which the work waits that was last gone on with.
pub(super) fn waiting() -> Option<Request> {
    DOOR.with_borrow_mut(|door| door.waiting.take())
}

async fn ask(request: Request) -> Answer {
    std::future::poll_fn(|_| {
        DOOR.with_borrow_mut(|door| match door.answers.pop_front() {
            Some(answer) => Poll::Ready(answer),
            None => {
                door.waiting = Some(request.clone());
                Poll::Pending
            }
        })
    })
    .await
}

/// The tag of a file with this content, as S3's tags are.
pub(super) fn tag(content: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The object store of the model.
#[derive(Debug)]
pub(super) struct GatedStore {
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

fn unexpected(answer: &Answer) -> object_store::Error {
    match answer {
        Answer::Away => away(),
        other => object_store::Error::Generic { store: "sim", source: format!("{other:?} is no answer").into() },
    }
}

fn meta(location: Path, content: &[u8]) -> ObjectMeta {
    ObjectMeta {
        location,
        last_modified: Default::default(),
        size: content.len() as u64,
        e_tag: Some(tag(content)),
        version: None,
    }
}

#[async_trait]
impl ObjectStore for GatedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        let condition = match opts.mode {
            _ if self.ignores_conditions => Condition::Never,
            PutMode::Overwrite => Condition::Never,
            PutMode::Create => Condition::UnlessAbsent,
            PutMode::Update(version) => Condition::Unless(version.e_tag.unwrap_or_default()),
        };
        let content = Bytes::from(payload);
        let e_tag = Some(tag(&content));
        match ask(Request::Put { name: location.to_string(), content, condition }).await {
            Answer::Done => Ok(PutResult { e_tag, version: None }),
            Answer::Refused => {
                Err(object_store::Error::Precondition { path: location.to_string(), source: "it has changed".into() })
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(away())
    }

    async fn get_opts(&self, location: &Path, _: GetOptions) -> object_store::Result<GetResult> {
        match ask(Request::Get(location.to_string())).await {
            Answer::Content(Some(content)) => Ok(GetResult {
                meta: meta(location.clone(), &content),
                range: 0..content.len() as u64,
                payload: GetResultPayload::Stream(stream::iter([Ok(content)]).boxed()),
                attributes: Default::default(),
            }),
            Answer::Content(None) => {
                Err(object_store::Error::NotFound { path: location.to_string(), source: "it is not there".into() })
            }
            other => Err(unexpected(&other)),
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let delete = |location: object_store::Result<Path>| async move {
            let location = location?;
            match ask(Request::Delete(location.to_string())).await {
                Answer::Done => Ok(location),
                other => Err(unexpected(&other)),
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let folder = prefix.map(Path::to_string).unwrap_or_default();
        let found = async move {
            match ask(Request::List(folder)).await {
                Answer::Names(names) => names.into_iter().map(|n| Ok(meta(Path::from(n), &[]))).collect(),
                other => vec![Err(unexpected(&other))],
            }
        };
        stream::once(found).flat_map(stream::iter).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> object_store::Result<ListResult> {
        Err(away())
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(away())
    }
}

/// The committer of a sink of the model: each committable is an operation of its own.
#[derive(Debug)]
pub(super) struct SimCommitter {
    pub(super) sink: usize,
    /// What older attempts staged is removed: older than this one.
    pub(super) generation: u64,
}

#[async_trait]
impl Committer for SimCommitter {
    async fn commit(
        &mut self,
        _checkpoint: &DecidedCheckpoint,
        committables: &[Committable],
    ) -> Result<Vec<CommitOutcome>> {
        let mut outcomes = vec![];
        for c in committables {
            match ask(Request::Commit { sink: self.sink, id: c.id.clone() }).await {
                Answer::Done => outcomes.push(CommitOutcome::Committed),
                _ => return Err(Error::unavailable("the target is away")),
            }
        }
        Ok(outcomes)
    }

    async fn clean_up(&mut self, _keep: &[String]) -> Result<()> {
        match ask(Request::CleanUp { sink: self.sink, generation: self.generation }).await {
            Answer::Done => Ok(()),
            _ => Err(Error::unavailable("the target is away")),
        }
    }
}
