//! Where a job's checkpoints lie, and how a run begins there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flott_cluster::OpenSavepoint;
use flott_connector::storage;
use flott_core::options::Options;
use flott_core::{CheckpointId, Error, FailPoints, Result};
use flott_state::manifest::{Head, JobStatus, Manifest};
use flott_state::owner::Owner;
use flott_state::store::{self, Begin, CheckpointStore, Opened};
use flott_state::{CheckpointStorage, Savepoint, savepoint};

/// What a user says about earlier runs of the job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Restore {
    /// Nothing: an unfinished run is not touched.
    #[default]
    Ask,
    /// Go on from the last checkpoint; from the beginning where there is no trace of the job.
    Latest,
    /// Start from this savepoint, or go on from this checkpoint folder.
    Path(PathBuf),
    /// Start over.
    Fresh,
}

/// How a run begins.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Somewhere.
    Begin(Box<Beginning>),
    /// The last run has finished and its output is committed: nothing is left to do.
    AlreadyFinished,
}

/// Where a run begins. Nothing has been taken over yet.
#[derive(Debug)]
pub(crate) struct Beginning {
    storage: CheckpointStorage,
    begin: Begin,
    /// To start from: the user's, or the one that HEAD names.
    savepoint: Option<Savepoint>,
    /// Another process seems to run the job, and will be fenced.
    fences: bool,
}

impl Beginning {
    /// Whether another process that seems to run the job will be fenced, or checkpoints of another lineage be given up:
    /// whatever may fail had better fail before.
    pub(crate) fn ends_something(&self) -> bool {
        self.fences || matches!(self.begin, Begin::Savepoint { .. })
    }

    /// What a restore would begin with, and the bundle of the job that wrote it.
    pub(crate) async fn content(&self) -> Result<Option<(Manifest, Option<Bytes>)>> {
        let of_savepoint = || self.savepoint.as_ref().map(|s| (s.manifest().clone(), s.bundle().cloned()));
        match self.begin {
            Begin::Fresh | Begin::FreshWithoutOutput => Ok(None),
            Begin::Savepoint { .. } => Ok(of_savepoint()),
            Begin::Latest | Begin::At(_) => {
                let head = store::peek(&self.storage).await?.filter(|h| h.status != JobStatus::Finished);
                let Some(head) = head else { return Ok(None) };
                match head.decided() {
                    Some(_) => store::peek_newest(&self.storage, &head).await,
                    None => Ok(of_savepoint()),
                }
            }
        }
    }

    /// Takes the job over.
    pub(crate) async fn open(self, fail_points: FailPoints, retained: usize) -> Result<(CheckpointStore, Opened)> {
        let Beginning { storage, begin, savepoint, .. } = self;
        let (store, opened) = CheckpointStore::open_with(storage, fail_points, begin, retained, savepoint).await?;
        if let Some(note) = &opened.moved_aside {
            tracing::warn!("{note}");
        }
        if let Some(why) = &opened.fallback {
            tracing::warn!("{why}");
        }
        Ok((store, opened))
    }
}

/// Where savepoints and checkpoints of a session's jobs may lie.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) config: Options,
    pub(crate) base_dir: PathBuf,
    pub(crate) fail_points: FailPoints,
}

impl Places {
    pub(crate) fn at(&self, folder: &str) -> Result<CheckpointStorage> {
        at(folder, &self.config, &self.base_dir, &self.fail_points)
    }

    /// The folder of a job's checkpoints: `execution.checkpointing.dir` or `.flott`, then the job's name.
    pub(crate) fn checkpoints(&self, job: &str) -> Result<CheckpointStorage> {
        const DIR: &str = "execution.checkpointing.dir";
        self.below(self.config.get(DIR).unwrap_or(".flott"), &file_name(job)).map_err(|e| e.with("option", DIR))
    }

    /// A folder in a directory that a user has named. Without a name it would lie below the root of the file system.
    fn below(&self, directory: &str, name: &str) -> Result<CheckpointStorage> {
        if directory.trim().is_empty() {
            return Err(
                Error::user("the name of the directory is empty").hint("Name a directory; '.' is the current one")
            );
        }
        self.at(&format!("{}/{name}", directory.trim_end_matches('/')))
    }

    /// Folders for savepoints: below the one that is named, or else `execution.checkpointing.savepoint-dir`.
    pub(crate) fn savepoints(&self) -> OpenSavepoint {
        let places = self.clone();
        Arc::new(move |directory, name| {
            let configured = places.config.get("execution.checkpointing.savepoint-dir");
            let directory = directory.or(configured).ok_or_else(|| {
                Error::user("there is no directory for savepoints")
                    .hint("Name one, or SET 'execution.checkpointing.savepoint-dir' before the job starts")
            })?;
            places.below(directory, name)
        })
    }
}

fn at(folder: &str, config: &Options, base_dir: &Path, fail_points: &FailPoints) -> Result<CheckpointStorage> {
    let location = storage::open(folder, base_dir, config)?;
    Ok(match location.local {
        Some(root) => CheckpointStorage::local(root, fail_points.clone()),
        None => CheckpointStorage::Object { store: location.store, prefix: location.path, display: location.display },
    })
}

/// A job's name as the name of a folder; one that had to be changed carries a checksum, so that no two names share one.
fn file_name(job: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = job.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if name == job && !name.starts_with('.') && !name.is_empty() {
        return name;
    }
    format!("{}-{:08x}", name.replace('.', "_"), crc32fast::hash(job.as_bytes()))
}

/// Decides how a run begins, or says why it does not. `claim` is about a savepoint: whether the job removes it once it is
/// not needed.
///
/// `allow_lost_output` lets a fresh start give up decided output that is not committed.
pub(crate) async fn decide(
    places: &Places,
    restore: &Restore,
    job: &str,
    claim: bool,
    allow_lost_output: bool,
) -> Result<Decision> {
    let storage = places.checkpoints(job)?;
    // A record that cannot be read does not hold who starts over.
    let head = if *restore == Restore::Fresh { None } else { store::peek(&storage).await? };
    let begin = match (restore, &head) {
        (Restore::Path(path), _) => return from_path(path, storage, head, places, claim).await,
        (Restore::Fresh, _) if allow_lost_output => Begin::FreshWithoutOutput,
        (Restore::Fresh, _) => Begin::Fresh,
        (Restore::Latest, Some(head)) if head.status == JobStatus::Finished => {
            return already_finished(&storage, head).await;
        }
        (Restore::Latest, Some(_)) => Begin::Latest,
        (Restore::Latest, None) => Begin::Latest,
        (Restore::Ask, Some(head)) if seems_to_run(head) && runs_here(head) => {
            return Err(Error::user(format!(
                "job '{job}' is running already: another session of this process has it in {}",
                storage.display()
            ))
            .hint(
                "Give each session a name of its own (SET 'pipeline.name' = '..'), or a folder of its own; --restore latest \
                 (Restore::Latest) takes the job over from its last checkpoint",
            ));
        }
        // Of a process that is known to be here.
        (Restore::Ask, Some(head))
            if seems_to_run(head) && head.owner.as_ref().is_some_and(|o| o.seems_alive() == Some(true)) =>
        {
            let owner = head.owner.as_ref().map(ToString::to_string).unwrap_or_default();
            return Err(Error::user(format!(
                "job '{job}' is running already: {owner} has it in {}",
                storage.display()
            ))
            .hint(format!(
                "flott stop {job} ends it with a last checkpoint. Where that process is none of Flott's, or hangs, \
                     --restore latest takes the job over from its last checkpoint"
            )));
        }
        // One on another machine may run, or long be gone: nobody can tell from here, and it would only hear of this one at
        // its next checkpoint.
        (Restore::Ask, Some(head)) if seems_to_run(head) => {
            let owner = head.owner.as_ref().map(ToString::to_string).unwrap_or_default();
            let far =
                head.decided().map_or("no checkpoint so far".to_string(), |d| format!("up to checkpoint {}", d.id));
            return Err(Error::user(format!(
                "job '{job}' may be running on another machine, or before this one was started anew: {owner} has it in {}, {far}",
                storage.display()
            ))
            .hint(format!(
                "Where it runs, flott stop {job} ends it there with a last checkpoint. Where it is gone, --restore latest takes \
                 the job over, from its last checkpoint or the beginning, and --fresh starts over"
            )));
        }
        (Restore::Ask, Some(head)) if head.status != JobStatus::Finished && head.decided().is_some() => {
            let last = head.decided().map_or(CheckpointId(0), |d| d.id);
            return Err(Error::user(format!(
                "job '{job}' has an unfinished run in {}, up to checkpoint {last}",
                storage.display()
            ))
            .hint("Go on from there with --restore latest, or start over with --fresh"));
        }
        (Restore::Ask, Some(head)) if head.status == JobStatus::Finished => Begin::Fresh,
        (Restore::Ask, _) => Begin::Latest,
    };
    begin_at(storage, begin, head, places).await
}

/// With the savepoint that HEAD names, where the run begins in the lineage that began with it.
async fn begin_at(storage: CheckpointStorage, begin: Begin, head: Option<Head>, places: &Places) -> Result<Decision> {
    let fences = head.as_ref().is_some_and(seems_to_run);
    let named = head.filter(|_| !begin.is_fresh()).and_then(|h| h.savepoint.map(|s| (s, h.retained.is_empty())));
    let savepoint = match named {
        None => None,
        Some((named, is_needed)) => match Savepoint::open(places.at(&named.location)?).await {
            Ok(savepoint) => savepoint,
            Err(error) if !is_needed => {
                tracing::warn!(%error, "the claimed savepoint cannot be read, so that it is not removed either");
                None
            }
            Err(error) => return Err(error),
        },
    };
    Ok(Decision::Begin(Box::new(Beginning { storage, begin, savepoint, fences })))
}

/// Whether another process, or another session of this one, has the job and may be there.
fn seems_to_run(head: &Head) -> bool {
    let elsewhere = |owner: &Owner| !owner.is_this_process() && owner.seems_alive() != Some(false);
    head.status == JobStatus::Running && (runs_here(head) || head.owner.as_ref().is_some_and(elsewhere))
}

/// Whether it is this process that has it. What an attempt of it has left that is over is nobody's.
fn runs_here(head: &Head) -> bool {
    head.owner.as_ref().is_some_and(Owner::is_this_process) && store::runs_here(&head.attempt)
}

/// Nothing to run; what a kill at the very end left behind goes.
async fn already_finished(storage: &CheckpointStorage, head: &Head) -> Result<Decision> {
    if let Err(error) = store::sweep_finished(storage, head).await {
        tracing::warn!(%error, "what the finished job left could not be removed; it is tried again at the next run");
    }
    Ok(Decision::AlreadyFinished)
}

/// An absolute path without links and dots, as far as it exists.
fn resolved(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    Ok(std::fs::canonicalize(&absolute).unwrap_or(absolute))
}

/// `PATH` is a savepoint, a job's checkpoint folder or a `chk-<id>-g<generation>` folder in it. With a checkpoint the run
/// goes on in the job's own folder, so the path must lie there; a savepoint may lie anywhere.
async fn from_path(
    path: &Path,
    storage: CheckpointStorage,
    head: Option<Head>,
    places: &Places,
    claim: bool,
) -> Result<Decision> {
    let wrong = |why: &str| Error::user(format!("cannot restore from '{}': {why}", path.display()));
    let is_uri = path.to_str().is_some_and(|p| p.contains("://"));
    let path = if is_uri { path.to_path_buf() } else { resolved(path)? };
    // Flink takes the folder and the file in it.
    let path = if path.ends_with(savepoint::METADATA) { path.parent().unwrap_or(&path).to_path_buf() } else { path };
    let text = path.to_str().ok_or_else(|| wrong("the path is not UTF-8"))?;
    let own = PathBuf::from(storage.display());
    let own = if is_uri { own } else { resolved(&own)? };
    let savepoint = match Savepoint::open(places.at(text)?).await? {
        None if own != path => savepoint_in(text, places).await?,
        named => named,
    };
    if let Some(savepoint) = savepoint {
        warn_of_duplicates(&savepoint, head.as_ref());
        let fences = head.as_ref().is_some_and(seems_to_run);
        let beginning = Beginning { storage, begin: Begin::Savepoint { claim }, savepoint: Some(savepoint), fences };
        return Ok(Decision::Begin(Box::new(beginning)));
    }
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let checkpoint = name.strip_prefix("chk-").and_then(|n| n.split("-g").next()).and_then(|n| n.parse::<u64>().ok());
    if name.starts_with("savepoint-") && checkpoint.is_none() {
        return Err(wrong("there is no whole savepoint: it has no _metadata")
            .hint("It was not written to its end, or parts of it are gone; take another one"));
    }
    let folder = match checkpoint {
        Some(_) => path.parent().map(Path::to_path_buf).unwrap_or_default(),
        None => path.clone(),
    };
    if checkpoint.is_none() && !is_uri && !path.exists() {
        return Err(wrong("nothing is there").hint(
            "Write --restore latest to go on from the job's last checkpoint, or name the folder of a checkpoint or savepoint",
        ));
    }
    if own != folder {
        return Err(wrong(&format!("it is no savepoint, and the job's checkpoints lie in {}", storage.display()))
            .hint("Point 'execution.checkpointing.dir' to the folder above, and keep the job's name"));
    }
    let Some(head) = head else {
        return Err(wrong("there is no HEAD record, so it is no job's checkpoint folder"));
    };
    if let Some(id) = checkpoint.map(CheckpointId)
        && id >= head.next
    {
        return Err(wrong(&format!("there never was a checkpoint {id} of the job"))
            .hint("--restore latest goes on from its last one"));
    }
    if head.status == JobStatus::Finished {
        return already_finished(&storage, &head).await;
    }
    let begin = match checkpoint {
        None if head.decided().is_none() && head.savepoint.is_none() => {
            return Err(wrong("the job has run there, but no checkpoint was completed")
                .hint("Leave --restore out to start from the beginning"));
        }
        None => Begin::Latest,
        Some(id) => {
            let id = CheckpointId(id);
            if !head.retained.iter().any(|r| r.id == id) {
                let kept: Vec<String> = head.retained.iter().map(|r| r.id.to_string()).collect();
                return Err(wrong(&format!("checkpoint {id} is not kept; there are {}", kept.join(", "))));
            }
            Begin::At(id)
        }
    };
    begin_at(storage, begin, Some(head), places).await
}

/// The savepoint in the folder that savepoints were written to: where there is one alone, nothing else can be meant.
async fn savepoint_in(folder: &str, places: &Places) -> Result<Option<Savepoint>> {
    /// How many an error lists.
    const LISTED_MAX: usize = 20;
    let inside = |name: &str| places.at(&format!("{}/{name}", folder.trim_end_matches('/')));
    let (mut whole, mut broken) = (vec![], vec![]);
    for name in places.at(folder)?.folders().await?.into_iter().filter(|n| n.starts_with("savepoint-")) {
        let is_whole = inside(&name)?.get(savepoint::METADATA).await?.is_some();
        if is_whole { whole.push(name) } else { broken.push(name) }
    }
    match whole.as_slice() {
        [] => Ok(None),
        // The older one may not be what is meant: what was written behind it would be written again.
        [one] if !broken.is_empty() => Err(Error::user(format!(
            "cannot restore from '{folder}': of the savepoints in it {one} is whole, and {} is not",
            broken[0]
        ))
        .hint(format!("Name the folder of the savepoint: {}/{one}", folder.trim_end_matches('/')))),
        [one] => {
            tracing::info!(savepoint = %one, folder, "the one savepoint in the folder is restored");
            Savepoint::open(inside(one)?).await
        }
        several => {
            let more = if several.len() > LISTED_MAX { ", .." } else { "" };
            let listed = several[..several.len().min(LISTED_MAX)].join(", ");
            let message =
                format!("cannot restore from '{folder}': {} savepoints are in it: {listed}{more}", several.len());
            Err(Error::user(message).hint("Name the folder of one of them"))
        }
    }
}

/// As in Flink a savepoint can be restored as often as one likes; what was written behind it stays where it is.
fn warn_of_duplicates(savepoint: &Savepoint, head: Option<&Head>) {
    let Some(head) = head else { return };
    let (taken, own) = (savepoint.manifest().checkpoint, head.lineage == savepoint.manifest().lineage);
    if let Some(last) = head.last_output
        && (!own || last > taken)
    {
        tracing::warn!(
            savepoint = taken.0,
            last = last.0,
            "the job has written output after this savepoint: rows behind it are written again, and sinks that do not \
             write by key then hold them twice"
        );
    }
}
