//! Where a job's checkpoints lie, and how a run begins there.

use std::path::{Path, PathBuf};

use flott_connector::storage;
use flott_core::options::Options;
use flott_core::{CheckpointId, Error, FailPoints, Result};
use flott_state::CheckpointStorage;
use flott_state::manifest::{Head, JobStatus};
use flott_state::store::{self, Begin, CheckpointStore, Opened};

/// What a user says about earlier runs of the job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Restore {
    /// Nothing: an unfinished run is not touched.
    #[default]
    Ask,
    /// Go on from the last checkpoint; from the beginning where there is no trace of the job.
    Latest,
    /// Go on from this checkpoint folder.
    Path(PathBuf),
    /// Start over.
    Fresh,
}

/// How a run begins.
#[derive(Debug)]
pub(crate) enum Opening {
    /// The store is taken over.
    Run(Box<(CheckpointStore, Opened)>),
    /// The last run has finished and its output is committed: nothing is left to do.
    AlreadyFinished,
}

/// The folder of a job's checkpoints: `execution.checkpointing.dir` or `.flott`, then the job's name.
pub(crate) fn checkpoint_storage(
    config: &Options,
    base_dir: &Path,
    job: &str,
    fail_points: &FailPoints,
) -> Result<CheckpointStorage> {
    let root = ["execution.checkpointing.dir", "state.checkpoints.dir"].iter().find_map(|k| config.get(k));
    let folder = format!("{}/{}", root.unwrap_or(".flott").trim_end_matches('/'), file_name(job));
    at(&folder, config, base_dir, fail_points)
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

/// Begins a run, or says why not.
pub(crate) async fn open(
    storage: CheckpointStorage,
    fail_points: FailPoints,
    restore: &Restore,
    job: &str,
    retained: usize,
) -> Result<Opening> {
    let head = store::peek(&storage).await?;
    let begin = match (restore, &head) {
        (Restore::Path(path), _) => return from_path(path, storage, fail_points, retained).await,
        (Restore::Fresh, _) => Begin::Fresh,
        (Restore::Latest, Some(head)) if head.status == JobStatus::Finished => {
            return already_finished(&storage, head).await;
        }
        (Restore::Latest, Some(_)) => Begin::Latest,
        (Restore::Latest, None) => {
            tracing::info!(job, "no trace of an earlier run: starting from the beginning");
            Begin::Latest
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
    run(storage, fail_points, begin, retained).await
}

/// Nothing to run; what a kill at the very end left behind goes.
async fn already_finished(storage: &CheckpointStorage, head: &Head) -> Result<Opening> {
    if let Err(error) = store::sweep_finished(storage, head).await {
        tracing::warn!(%error, "what the finished job left could not be removed; it is tried again at the next run");
    }
    Ok(Opening::AlreadyFinished)
}

async fn run(storage: CheckpointStorage, fail_points: FailPoints, begin: Begin, retained: usize) -> Result<Opening> {
    let (store, opened) = CheckpointStore::open(storage, fail_points, begin, retained).await?;
    if let Some(why) = &opened.fallback {
        tracing::warn!("{why}");
    }
    Ok(Opening::Run(Box::new((store, opened))))
}

/// An absolute path without links and dots, as far as it exists.
fn resolved(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    Ok(std::fs::canonicalize(&absolute).unwrap_or(absolute))
}

/// `PATH` is a job's checkpoint folder or a `chk-<id>-g<generation>` folder in it. The run goes on in the job's own
/// folder, so the path must lie there.
async fn from_path(
    path: &Path,
    storage: CheckpointStorage,
    fail_points: FailPoints,
    retained: usize,
) -> Result<Opening> {
    let wrong = |why: &str| Error::user(format!("cannot restore from '{}': {why}", path.display()));
    let is_uri = path.to_str().is_some_and(|p| p.contains("://"));
    let path = if is_uri { path.to_path_buf() } else { resolved(path)? };
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let checkpoint = name.strip_prefix("chk-").and_then(|n| n.split("-g").next()).and_then(|n| n.parse::<u64>().ok());
    let folder = match checkpoint {
        Some(_) => path.parent().map(Path::to_path_buf).unwrap_or_default(),
        None => path.clone(),
    };
    let own = PathBuf::from(storage.display());
    let own = if is_uri { own } else { resolved(&own)? };
    if own != folder {
        return Err(wrong(&format!("the job's checkpoints lie in {}", storage.display()))
            .hint("Point 'execution.checkpointing.dir' to the folder above, and keep the job's name"));
    }
    let Some(head) = store::peek(&storage).await? else {
        return Err(wrong("there is no HEAD record, so it is no job's checkpoint folder"));
    };
    if head.status == JobStatus::Finished {
        return already_finished(&storage, &head).await;
    }
    let begin = match checkpoint {
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
    run(storage, fail_points, begin, retained).await
}
