//! What lies outside the job and what must hold there: the checkpoint store, the sinks' targets, the sources' logs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use flott_connector::sink::{CommitOutcome, Committable, Committer};
use flott_core::{DecidedCheckpoint, Error, Result};
use flott_state::CheckpointStorage;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use super::Sabotage;
use super::gate::{Gate, Verdict};

/// The n-th row of a source's split.
pub(super) type Row = (usize, u64);

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) store: Arc<InMemory>,
    /// What writers have closed and nobody has committed, by sink and name.
    pub(super) staged: BTreeMap<(usize, String), Vec<Row>>,
    /// What is committed.
    pub(super) committed: BTreeSet<(usize, String)>,
    /// What the readers of each sink see.
    pub(super) visible: Vec<BTreeSet<Row>>,
    /// Rows before these are gone from the sources' logs.
    pub(super) acknowledged: Vec<u64>,
    /// The first thing that must not happen.
    pub(super) violation: Option<String>,
}

/// The world, shared by attempts that do not know of each other.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedWorld(Arc<Mutex<World>>);

impl SharedWorld {
    pub(super) fn new(sources: usize, sinks: usize) -> SharedWorld {
        let world = World { visible: vec![BTreeSet::new(); sinks], acknowledged: vec![0; sources], ..World::default() };
        SharedWorld(Arc::new(Mutex::new(world)))
    }

    pub(super) fn get(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store as nobody's attempt sees it.
    pub(super) fn storage(&self) -> CheckpointStorage {
        let store = Arc::clone(&self.get().store);
        CheckpointStorage::Object { store, prefix: "job".into(), display: "sim".to_string() }
    }

    /// What changes with every change of HEAD.
    pub(super) fn head_tag(&self) -> Option<String> {
        let store = Arc::clone(&self.get().store);
        futures::executor::block_on(store.head(&"job/HEAD".into())).ok().and_then(|meta| meta.e_tag)
    }
}

impl World {
    pub(super) fn violated(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    fn commit(&mut self, sink: usize, id: &str) {
        let name = (sink, id.to_string());
        if self.committed.contains(&name) {
            return;
        }
        let Some(rows) = self.staged.remove(&name) else {
            return self.violated(format!("{id} of sink {sink} is decided, but somebody has removed it"));
        };
        for row in rows {
            if !self.visible[sink].insert(row) {
                self.violated(format!("row {row:?} is visible twice in sink {sink}"));
            }
        }
        self.committed.insert(name);
    }
}

/// Names staged output: the attempt is a part of it, as in the real sinks.
pub(super) fn staged_name(generation: u64, worker: usize, number: u64) -> String {
    format!("g{generation}-w{worker}-{number}")
}

fn generation_of(name: &str) -> u64 {
    name.trim_start_matches('g').split('-').next().and_then(|g| g.parse().ok()).unwrap_or(0)
}

#[derive(Debug)]
pub(super) struct SimCommitter {
    pub(super) sink: usize,
    pub(super) generation: u64,
    pub(super) world: SharedWorld,
    pub(super) gate: Gate,
    pub(super) sabotage: Option<Sabotage>,
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
            match self.gate.pass(format!("commit {} {}", self.sink, c.id)).await {
                Verdict::Done => self.world.get().commit(self.sink, &c.id),
                Verdict::Failed => return Err(Error::unavailable("the target is away")),
                Verdict::AnswerLost => {
                    self.world.get().commit(self.sink, &c.id);
                    return Err(Error::unavailable("the target's answer is lost"));
                }
            }
            outcomes.push(CommitOutcome::Committed);
        }
        Ok(outcomes)
    }

    async fn clean_up(&mut self, _keep: &[String]) -> Result<()> {
        match self.gate.pass(format!("clean up {}", self.sink)).await {
            Verdict::Done => {
                let (sink, own) = (self.sink, self.generation);
                let keep = |g: u64| g >= own && self.sabotage != Some(Sabotage::CleansUpWhatIsItsOwn);
                self.world.get().staged.retain(|(s, name), _| *s != sink || keep(generation_of(name)));
                Ok(())
            }
            _ => Err(Error::unavailable("the target is away")),
        }
    }
}
