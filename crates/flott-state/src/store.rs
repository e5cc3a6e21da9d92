//! The checkpoint store of one job: HEAD, manifests, state files.
//!
//! All methods that change something are told the attempt's generation by the HEAD that they hold, and fail as
//! `Fenced` once a newer attempt has swapped HEAD.

mod alive;
mod head;
mod identity;
mod restorable;
mod retention;
mod tenure;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use flott_core::{CheckpointId, DecidedCheckpoint, Error, ErrorKind, FailPoint, FailPoints, Generation, Result};

use crate::manifest::{
    HEAD_VERSION, Head, JobStatus, MANIFEST_VERSION, Manifest, RestoredSavepoint, RetainedCheckpoint, StoredOperator,
    StoredRun,
};
use crate::owner::Owner;
use crate::record;
use crate::run::RestoredState;
use crate::savepoint::{self, GiveUp, PreparedSavepoint, Savepoint};
use crate::storage::{CheckpointStorage, HeadVersion, Swap};

use alive::Alive;
pub use alive::runs_here;
use head::{Found, Seen, decode_head, find_head, first_generation, first_head};
pub use identity::{DrawIdentity, Identity};
use restorable::{Restorable, find_restorable, go_back, named_savepoint};
pub use restorable::{read_manifest, restore_operator};
pub use retention::sweep_finished;
pub use tenure::Tenure;
pub use writer::SnapshotWriter;

/// So many replaced lineages are remembered: what older ones left behind went when a later attempt started.
const REPLACED_LINEAGES_MAX: usize = 8;

/// So often HEAD is read anew where a running attempt moves it between the look and the swap.
const TAKE_OVER_TRIES: usize = 100;

/// How an attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Go on from the last decided checkpoint; from the beginning where there is no trace of the job.
    Latest,
    /// Go on from this kept checkpoint. Refused where output was committed after it.
    At(CheckpointId),
    /// A new lineage from the beginning.
    Fresh,
    /// The same, and decided output that is not committed is given up: readers of the target never see it.
    FreshWithoutOutput,
    /// A new lineage from a savepoint.
    Savepoint {
        /// Whether the savepoint belongs to the job from here on, which removes it once it is not needed.
        claim: bool,
    },
}

impl Begin {
    fn is_new_lineage(self) -> bool {
        self.is_fresh() || matches!(self, Begin::Savepoint { .. })
    }

    /// Whether nothing of before is wanted.
    pub fn is_fresh(self) -> bool {
        matches!(self, Begin::Fresh | Begin::FreshWithoutOutput)
    }
}

/// What an attempt found and starts from.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The checkpoint to restore, where there is one.
    pub manifest: Option<Manifest>,
    /// The restored checkpoint's output must still be committed (it was decided, its commit not recorded).
    pub commit_pending: bool,
    /// Why an older checkpoint than the last decided one was taken.
    pub fallback: Option<String>,
    /// The savepoint that it starts from, where it is one.
    pub savepoint: Option<String>,
    /// Restores begun since the last decided checkpoint, this one included.
    pub restores: u32,
    /// The attempt before, where it has not come to an end by itself: it was killed, or it runs and is fenced now.
    pub took_over: Option<TakenOver>,
    /// Where the HEAD record went that could not be read, and why.
    pub moved_aside: Option<String>,
}

/// An attempt that has not come to an end by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOver {
    /// Its number.
    pub generation: Generation,
    /// Its process.
    pub owner: Option<Owner>,
}

/// The checkpoints of one job, as one attempt sees them. Of two copies only one can go on: its first swap of HEAD fences the
/// other one.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    storage: CheckpointStorage,
    fail_points: FailPoints,
    head: Head,
    version: HeadVersion,
    retain: usize,
    /// Runs that the newest decided checkpoint stores, by name.
    stored_runs: BTreeMap<String, StoredRun>,
    /// The files of retained checkpoints, by the name of their manifest. They are remembered and not read again: an
    /// attempt that slept must not take a manifest that its successor removed for one that needs no files.
    files: BTreeMap<String, BTreeSet<String>>,
    /// The savepoint that HEAD names.
    savepoint: Option<Savepoint>,
    /// This attempt starts from it.
    restores_savepoint: bool,
    /// HEAD of the lineage that this one has replaced with a savepoint, until the first checkpoint is decided.
    before: Option<Arc<Head>>,
    /// As long as this store, or a right to the next attempt, is there, the process has the job.
    alive: Arc<Alive>,
}

/// How a job stands, read without taking it over.
pub async fn peek(storage: &CheckpointStorage) -> Result<Option<Head>> {
    storage.read_head().await?.map(|(bytes, _)| decode_head(storage, &bytes)).transpose()
}

/// The manifest that a restore would begin with, and the bundle of the job that wrote it: read without taking the job
/// over, so that a job that cannot go on from it does not end the one that runs. `None` where nothing is decided, or
/// where the newest checkpoint is damaged (then [`CheckpointStore::open`] has the word).
pub async fn peek_newest(storage: &CheckpointStorage, head: &Head) -> Result<Option<(Manifest, Option<Bytes>)>> {
    let Some(entry) = head.decided() else { return Ok(None) };
    let manifest = match read_manifest(storage, entry).await {
        Ok(manifest) => manifest,
        Err(e) if e.kind() == ErrorKind::Data => return Ok(None),
        Err(e) => return Err(e),
    };
    let bundle = match entry.bundle.as_ref().or(head.bundle.as_ref()) {
        Some(name) => read_bundle(storage, name).await?,
        None => None,
    };
    Ok(Some((manifest, bundle)))
}

/// A bundle whose content fits its name. `None` where another attempt has put its own in its place meanwhile.
async fn read_bundle(storage: &CheckpointStorage, name: &str) -> Result<Option<Bytes>> {
    let refuse = |why: &str| {
        let hint =
            "Restore it from a backup, or start over with --fresh and expect output that was committed before again";
        Err(Error::data(format!("the job bundle {why}")).with("file", name).hint(hint))
    };
    match storage.get(name).await? {
        Some(bytes) if name.contains(&format!("-{:08x}-", crc32fast::hash(&bytes))) => Ok(Some(bytes)),
        Some(_) => refuse("is corrupt: its checksum does not fit its name"),
        None if peek(storage).await?.is_some_and(|now| now.bundles().any(|b| b == name)) => refuse("is missing"),
        None => Ok(None),
    }
}

impl CheckpointStore {
    /// Takes the job over: raises the generation, so that every older attempt is fenced from here on.
    pub async fn open(
        storage: CheckpointStorage,
        fail_points: FailPoints,
        begin: Begin,
        retain: usize,
    ) -> Result<(CheckpointStore, Opened)> {
        CheckpointStore::open_with(storage, fail_points, begin, retain, None).await
    }

    /// As [`open`](Self::open), with the savepoint to start from: the user's for [`Begin::Savepoint`], otherwise the one
    /// that HEAD names ([`Head::savepoint`]).
    pub async fn open_with(
        storage: CheckpointStorage,
        fail_points: FailPoints,
        begin: Begin,
        retain: usize,
        savepoint: Option<Savepoint>,
    ) -> Result<(CheckpointStore, Opened)> {
        CheckpointStore::open_as(storage, fail_points, begin, retain, savepoint, &Identity::draw).await
    }

    /// As [`open_with`](Self::open_with), by somebody whose identity is given.
    pub async fn open_as(
        storage: CheckpointStorage,
        fail_points: FailPoints,
        begin: Begin,
        retain: usize,
        savepoint: Option<Savepoint>,
        draw: &DrawIdentity,
    ) -> Result<(CheckpointStore, Opened)> {
        let mut tries = 1;
        loop {
            let found = find_head(&storage, begin).await?;
            let seen = found.seen();
            let (to, points) = (storage.clone(), fail_points.clone());
            match CheckpointStore::take_over(to, points, begin, retain, found, savepoint.clone(), draw()).await {
                Err(e) => {
                    // The attempt that is to be replaced goes on until then: it may have moved HEAD, and deleted what
                    // HEAD named, since HEAD was read.
                    if !was_moved(seen.as_ref(), &storage, &mut tries).await? {
                        return Err(e);
                    }
                }
                taken => return taken,
            }
        }
    }

    /// What [`Tenure::reopen`] needs once this store is gone with its attempt.
    pub fn tenure(&self) -> Tenure {
        Tenure {
            storage: self.storage.clone(),
            fail_points: self.fail_points.clone(),
            retain: self.retain,
            lineage: self.head.lineage.clone(),
            generation: self.head.generation,
            savepoint: self.savepoint.clone(),
            before: self.before.clone(),
            tried: vec![],
            _alive: Arc::clone(&self.alive),
        }
    }

    async fn take_over(
        storage: CheckpointStorage,
        fail_points: FailPoints,
        begin: Begin,
        retain: usize,
        found: Found,
        savepoint: Option<Savepoint>,
        identity: Identity,
    ) -> Result<(CheckpointStore, Opened)> {
        let Identity { attempt, lineage, owner } = identity;
        let took_over = match &found {
            Found::Head(old, _)
                if old.status == JobStatus::Running && !old.owner.as_ref().is_some_and(Owner::is_this_process) =>
            {
                Some(TakenOver { generation: old.generation, owner: old.owner.clone() })
            }
            _ => None,
        };
        let (mut moved_aside, mut before) = (None, None);
        // With output: what comes behind a savepoint comes out again.
        let reached = match &found {
            Found::Head(old, _) => old.last_output,
            _ => None,
        };
        let (mut head, version) = match found {
            // Whoever asked how the job stands may have asked before another attempt brought it to its end.
            Found::Head(old, _) if begin == Begin::Latest && old.status == JobStatus::Finished => {
                return Err(Error::fenced(format!(
                    "another attempt has just finished the job in {}",
                    storage.display()
                ))
                .hint("Nothing is left to do; start over with --fresh to run it once more"));
            }
            Found::Head(old, version) => {
                let mut head = (*old).clone();
                head.generation = Generation(old.generation.0 + 1);
                head.attempt = attempt;
                if begin.is_new_lineage() {
                    // Whoever starts over wants no checkpoint back.
                    let is_kept = !begin.is_fresh() && !old.retained.is_empty();
                    before = is_kept.then(|| Arc::new((*old).clone()));
                    refuse_uncommitted(&old, &storage, begin).await?;
                    head.replaced_lineages.insert(0, old.lineage.clone());
                    head.replaced_lineages.truncate(REPLACED_LINEAGES_MAX);
                    head.lineage = lineage;
                    head.retained.clear();
                    (head.committed, head.last_output, head.bundle) = (None, None, None);
                    head.refused = None;
                    head.refused_output.clear();
                    head.savepoint = None;
                    head.restores_since_decided = 0;
                }
                (head, version)
            }
            Found::Unreadable(replaced) => {
                let listed = first_generation(&storage, begin).await?;
                let generation = listed.max(Generation(replaced.generation.map_or(1, |g| g.0.saturating_add(1))));
                moved_aside = Some(replaced.note);
                (first_head(lineage, generation, attempt), replaced.version)
            }
            Found::Nothing => {
                (first_head(lineage, first_generation(&storage, begin).await?, attempt), HeadVersion::Absent)
            }
        };
        if let Begin::At(id) = begin {
            go_back(&mut head, id)?;
        }
        if let (Begin::Savepoint { claim }, Some(savepoint)) = (begin, &savepoint) {
            let checkpoint = savepoint.manifest().checkpoint;
            if let Some(reached) = reached.filter(|reached| *reached > checkpoint) {
                tracing::warn!(
                    "the job in {} had come to checkpoint {reached}, and now begins with a savepoint of checkpoint {checkpoint}: what it has \
                     written between them is written once more",
                    storage.display()
                );
            }
            let location = savepoint.storage().display();
            head.next = checkpoint.next();
            head.savepoint = Some(RestoredSavepoint { location, checkpoint, claimed: claim });
        }
        let savepoint = named_savepoint(&head, savepoint)?;
        head.status = JobStatus::Running;
        head.owner = Some(owner);
        let Restorable { manifest, fallback, is_savepoint } =
            find_restorable(&storage, &mut head, savepoint.as_ref()).await?;
        if manifest.is_some() {
            head.restores_since_decided += 1;
        }
        let opened = Opened {
            commit_pending: manifest.as_ref().is_some_and(|m| head.committed < Some(m.checkpoint) && m.has_output()),
            fallback,
            restores: head.restores_since_decided,
            savepoint: savepoint.as_ref().filter(|_| is_savepoint).map(|s| s.storage().display()),
            manifest,
            took_over,
            moved_aside,
        };
        // A checkpoint shares no file with a savepoint: the first one behind it is full.
        let stored_runs = opened.manifest.iter().filter(|_| !is_savepoint).flat_map(runs_by_name).collect();
        let retain = retain.max(1);
        let files = BTreeMap::new();
        let restores_savepoint = is_savepoint;
        let alive = Arc::new(Alive::begin(&head.attempt));
        let mut store = CheckpointStore {
            alive,
            storage,
            fail_points,
            head,
            version,
            retain,
            stored_runs,
            files,
            savepoint,
            restores_savepoint,
            before,
        };
        store.write_head(store.head.clone()).await?;
        Ok((store, opened))
    }

    /// The lineage's identity.
    pub fn lineage(&self) -> &str {
        &self.head.lineage
    }

    /// This attempt's number.
    pub fn generation(&self) -> Generation {
        self.head.generation
    }

    /// HEAD as this attempt knows it.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Whether another attempt has taken the job over and finished it.
    pub async fn is_finished_by_successor(&self) -> Result<bool> {
        let now = peek(&self.storage).await?;
        Ok(now.is_some_and(|now| {
            now.lineage == self.head.lineage
                && now.generation > self.head.generation
                && now.status == JobStatus::Finished
        }))
    }

    /// Replaced lineages whose staged output nobody needs: none as long as the job may be [given back](Tenure::give_back) to
    /// one of them.
    pub fn lineages_to_clean_up(&self) -> Vec<String> {
        if self.before.is_some() { vec![] } else { self.head.replaced_lineages.clone() }
    }

    /// Where it lies, for people.
    pub fn location(&self) -> String {
        self.storage.display()
    }

    /// A handle for writing state files off the event loop.
    pub fn writer(&self) -> SnapshotWriter {
        SnapshotWriter {
            storage: self.storage.clone(),
            generation: self.head.generation,
            known: Arc::new(self.stored_runs.clone()),
        }
    }

    async fn write_head(&mut self, head: Head) -> Result<()> {
        let bytes = record::encode("head", HEAD_VERSION, &head)?;
        let swap = self.storage.swap_head(&self.version, bytes);
        let is_torn = !self.storage.is_local() && self.fail_points.would_stop(FailPoint::TornDecided);
        let swapped = if is_torn {
            // An object store has no half of a record: what a kill leaves open is whether the put has arrived.
            let fail_points = self.fail_points.clone();
            tokio::join!(swap, tokio::task::spawn_blocking(move || fail_points.stop())).0?
        } else {
            swap.await?
        };
        match swapped {
            Swap::Done(version) => {
                self.head = head;
                self.version = version;
                Ok(())
            }
            Swap::Lost if self.is_own_late_write().await? => Err(Error::unavailable(format!(
                "a write of this attempt to the HEAD record in {}, which was said to have failed, has come late",
                self.storage.display()
            ))
            .hint("Nothing is lost: the job goes on from its last checkpoint")
            .from_outside()),
            Swap::Lost => Err(Error::fenced(format!(
                "another attempt has taken over the job in {} (this one is attempt {})",
                self.storage.display(),
                self.head.generation
            ))
            .hint("This one has ended; the newer one goes on")),
        }
    }

    /// Whether what HEAD is, and is not expected to be, is of this attempt: a put may arrive after it was given up.
    async fn is_own_late_write(&self) -> Result<bool> {
        let Some((bytes, _)) = self.storage.read_head().await? else { return Ok(false) };
        let now = decode_head(&self.storage, &bytes)?;
        Ok(now.lineage == self.head.lineage && now.attempt == self.head.attempt)
    }

    /// Names the job bundle that the next decided checkpoints belong to.
    pub async fn set_bundle(&mut self, bundle: &[u8]) -> Result<()> {
        let name = format!("bundle-{:08x}-{}.json", crc32fast::hash(bundle), self.head.generation);
        if self.head.bundle.as_deref() == Some(name.as_str()) {
            return Ok(());
        }
        self.storage.put(&name, Bytes::copy_from_slice(bundle)).await?;
        let mut head = self.head.clone();
        let old = head.bundle.replace(name);
        // They stay what they were written for: who cannot go on from them with this bundle may still do so with that one.
        head.retained.iter_mut().filter(|entry| entry.bundle.is_none()).for_each(|entry| entry.bundle.clone_from(&old));
        self.write_head(head).await?;
        match old {
            Some(old) if !self.head.bundles().any(|b| b == old) => self.storage.delete(&old).await,
            _ => Ok(()),
        }
    }

    /// The bundle of the job that wrote the checkpoint which this attempt starts from.
    pub async fn restored_bundle(&self) -> Result<Option<Bytes>> {
        if let Some(savepoint) = self.savepoint.as_ref().filter(|_| self.restores_savepoint) {
            return Ok(savepoint.bundle().cloned());
        }
        match self.head.decided().and_then(|entry| entry.bundle.as_ref()).or(self.head.bundle.as_ref()) {
            Some(name) => read_bundle(&self.storage, name).await,
            None => Ok(None),
        }
    }

    /// Decides a checkpoint: writes its manifest, then swaps HEAD. From then on recovery rolls forward.
    pub async fn decide(&mut self, manifest: &Manifest) -> Result<DecidedCheckpoint> {
        let name = format!("chk-{}-g{}/manifest.json", manifest.checkpoint, self.head.generation);
        let bytes = record::encode("manifest", MANIFEST_VERSION, manifest)?;
        let (id, crc32) = (manifest.checkpoint, crc32fast::hash(&bytes));
        let entry = RetainedCheckpoint { id, manifest: name.clone(), crc32, bundle: self.head.bundle.clone() };
        self.storage.put(&name, bytes).await?;
        self.fail_points.hit(FailPoint::AfterPrecommitBeforeDecided);
        let mut head = self.head.clone();
        head.retained.insert(0, entry);
        head.next = manifest.checkpoint.next();
        head.restores_since_decided = 0;
        // From here on this checkpoint stands for it. One that is claimed goes with the checkpoints that are not kept.
        head.savepoint = head.savepoint.filter(|s| s.claimed);
        self.write_head(head).await?;
        self.before = None;
        self.stored_runs = runs_by_name(manifest).collect();
        self.files.insert(name, manifest.files());
        self.fail_points.hit(FailPoint::AfterDecidedBeforeCommit);
        Ok(self.decided_proof(manifest.checkpoint))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the checkpoint store: HEAD names the checkpoint")]
    fn decided_proof(&self, id: CheckpointId) -> DecidedCheckpoint {
        DecidedCheckpoint::proven_by_head(&self.head.lineage, id)
    }

    /// The proof that the newest retained checkpoint is decided, for rolling forward after a restore.
    pub fn last_decided(&self) -> Option<DecidedCheckpoint> {
        self.head.decided().map(|d| self.decided_proof(d.id))
    }

    /// Records that everything of a decided checkpoint is committed. Those beyond what is to be kept leave HEAD with it; their
    /// files go when they are [retired](Self::retire).
    pub async fn record_committed(&mut self, checkpoint: &DecidedCheckpoint, had_output: bool) -> Result<()> {
        let mut head = self.head.clone();
        head.committed = Some(checkpoint.id());
        head.retained.truncate(self.retain);
        if had_output {
            head.last_output = Some(checkpoint.id());
        }
        self.write_head(head).await
    }

    /// Records that a sink can never commit a part of a decided checkpoint. A later attempt may still try: what is in the way may
    /// be gone by then. `output`: how many pieces of each sink.
    pub async fn record_refused(
        &mut self,
        checkpoint: &DecidedCheckpoint,
        output: BTreeMap<String, u64>,
    ) -> Result<()> {
        let (refused, refused_output) = (Some(checkpoint.id()), output);
        self.write_head(Head { refused, refused_output, ..self.head.clone() }).await
    }

    /// Whether an attempt before has recorded at least so much output of this checkpoint as refused.
    pub fn is_known_as_refused(&self, checkpoint: &DecidedCheckpoint, output: &BTreeMap<String, u64>) -> bool {
        let known = |(sink, n): (&String, &u64)| self.head.refused_output.get(sink).is_some_and(|known| known >= n);
        self.head.refused == Some(checkpoint.id()) && output.iter().all(known)
    }

    /// Records how the attempt ended.
    pub async fn set_status(&mut self, status: JobStatus) -> Result<()> {
        self.write_head(Head { status, ..self.head.clone() }).await
    }

    /// Copies a committed checkpoint into an empty folder; gives the bytes of the savepoint.
    pub async fn write_savepoint(&self, manifest: &Manifest, to: &CheckpointStorage) -> Result<u64> {
        savepoint::write(&self.storage, to, manifest, self.bundle().await?).await
    }

    /// Copies a checkpoint that is not committed yet: it is published as a savepoint once it is.
    pub async fn prepare_savepoint(
        &self,
        manifest: &Manifest,
        to: &CheckpointStorage,
        give_up: &GiveUp,
    ) -> Result<PreparedSavepoint> {
        savepoint::prepare(&self.storage, to, manifest, self.bundle().await?, give_up, &self.fail_points).await
    }

    async fn bundle(&self) -> Result<Option<Bytes>> {
        match &self.head.bundle {
            Some(name) => self.storage.get(name).await,
            None => Ok(None),
        }
    }

    /// What the subtask that owns `key_groups` starts from.
    pub async fn restore_operator(&self, stored: &StoredOperator, key_groups: Range<u16>) -> Result<RestoredState> {
        restore_operator(self.restored_from(), stored, key_groups).await
    }

    /// Where the files of the checkpoint lie that this attempt starts from.
    pub fn restored_from(&self) -> &CheckpointStorage {
        match &self.savepoint {
            Some(savepoint) if self.restores_savepoint => savepoint.storage(),
            _ => &self.storage,
        }
    }
}

/// Whether HEAD was written by the attempt that it was read of, so that who lost a swap to that may try once more.
async fn was_moved(seen: Option<&Seen>, storage: &CheckpointStorage, tries: &mut usize) -> Result<bool> {
    let Some(seen) = seen.filter(|_| *tries < TAKE_OVER_TRIES) else { return Ok(false) };
    *tries += 1;
    seen.has_moved(storage).await
}

fn runs_by_name(manifest: &Manifest) -> impl Iterator<Item = (String, StoredRun)> {
    let runs: Vec<_> =
        manifest.operators.values().flat_map(|o| o.runs.iter().map(|r| (r.uid.clone(), r.clone()))).collect();
    runs.into_iter()
}

/// Decided output belongs to the readers of the target, also when the user starts over. But not where there is none, and
/// not where a sink has said that it can never be committed: there would be no way out.
async fn refuse_uncommitted(head: &Head, storage: &CheckpointStorage, begin: Begin) -> Result<()> {
    match head.decided() {
        Some(decided) if head.committed < Some(decided.id) && head.status != JobStatus::Finished => {
            if head.refused == Some(decided.id) {
                tracing::warn!(
                    checkpoint = decided.id.0,
                    "output that cannot be committed is given up with the fresh start"
                );
                return Ok(());
            }
            if read_manifest(storage, decided).await.is_ok_and(|manifest| !manifest.has_output()) {
                return Ok(());
            }
            if begin == Begin::FreshWithoutOutput {
                tracing::warn!(
                    checkpoint = decided.id.0,
                    "OUTPUT IS LOST: what checkpoint {} in {} has decided and not committed is given up with the fresh \
                     start, as allowed; what of it was committed before stays",
                    decided.id,
                    storage.display()
                );
                return Ok(());
            }
            Err(Error::user(format!(
                "checkpoint {} in {} is decided, but its output is not all committed",
                decided.id,
                storage.display()
            ))
            .hint(
                "Run once with --restore latest, which commits it; then start over with --fresh. Where it can never be \
                 committed, --fresh --allow-lost-output starts over without it",
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
