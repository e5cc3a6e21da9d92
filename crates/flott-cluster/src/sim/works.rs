//! The real asynchronous code as an automaton: opening an attempt, and deciding and committing a checkpoint.
//!
//! Both are functions of what they are given and of the answers to their operations, and nothing else. So a future that
//! waits is told by its beginning and the answers so far, which can be copied: a copy that goes another way is made by
//! running the code again with the answers that are known. What comes next is computed once for each.

use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use flott_core::{CheckpointId, ErrorKind, FailPoints, Result};
use flott_state::CheckpointStorage;
use flott_state::CheckpointStore;
use flott_state::manifest::{JobStatus, Manifest};
use flott_state::owner::Owner;
use flott_state::store::{Begin, Identity, Tenure};

use super::gate::{self, GatedStore, SimCommitter};
use super::tasks::End;
use super::world::{Operation, Output, Said, Table, Tables};
use super::{Config, Sabotage, sink_node};
use crate::checkpoint::Collected;
use crate::finalize::{self, Committers, Refusal};
use crate::restore::roll_forward;

/// What some work begins with. Numbers are of [`Works`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Input {
    /// Takes the job over: the attempt of this number, with the right of the one before where it is the same process.
    Open { number: u8, tenure: Option<u32> },
    /// Decides and commits. Checkpoints count from `base` on.
    Finalize { store: u32, base: u8, collected: u32, end: End },
}

/// Where some work stands.
#[derive(Debug, Clone)]
pub(super) enum At {
    Asks(Operation),
    Done(Rc<Outcome>),
}

/// What has become of it.
#[derive(Debug)]
pub(super) enum Outcome {
    Opened {
        store: u32,
        generation: u8,
        next: u8,
        restored: Vec<Restored>,
    },
    Finalized {
        store: u32,
        positions: Vec<Option<u8>>,
        end: End,
    },
    /// With the right to start the next attempt in the same process.
    Failed {
        tenure: Option<u32>,
        is_fenced: bool,
    },
}

/// Where a worker goes on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Restored {
    pub(super) position: u8,
    pub(super) counted: u8,
}

struct Done {
    /// `None` for an attempt that could not be opened.
    store: Option<CheckpointStore>,
    tenure: Option<Tenure>,
    result: Result<Option<Manifest>>,
}

type Work = Pin<Box<dyn Future<Output = Done>>>;

struct Node {
    input: Input,
    /// The answer that led here, and where it was given.
    parent: Option<(u32, Said)>,
    at: At,
    /// The work itself, until it has gone on.
    live: Option<Work>,
    /// It has changed something.
    has_written: bool,
}

/// All work that was ever begun, with every answer that it was ever given.
pub(super) struct Works {
    config: Arc<Config>,
    storage: CheckpointStorage,
    pub(super) tables: Tables,
    nodes: Vec<Node>,
    roots: HashMap<Input, u32>,
    next: HashMap<(u32, Said), u32>,
    stores: Copies<CheckpointStore>,
    tenures: Copies<Tenure>,
    collected: Copies<Collected>,
}

/// Equal things once, told by their text.
struct Copies<T> {
    texts: Table<String>,
    all: Vec<T>,
}

impl<T: Debug> Copies<T> {
    fn new() -> Copies<T> {
        Copies { texts: Table::default(), all: vec![] }
    }

    fn number(&mut self, thing: T) -> u32 {
        let number = self.texts.number(format!("{thing:?}"));
        if number as usize == self.all.len() {
            self.all.push(thing);
        }
        number
    }
}

impl Works {
    pub(super) fn new(config: &Arc<Config>) -> Works {
        let is = |sabotage| config.sabotage == Some(sabotage);
        let store = Arc::new(GatedStore { ignores_conditions: is(Sabotage::IgnoresConditions) });
        Works {
            config: Arc::clone(config),
            storage: CheckpointStorage::Object { store, prefix: "job".into(), display: "sim".to_string() },
            tables: Tables::default(),
            nodes: vec![],
            roots: HashMap::new(),
            next: HashMap::new(),
            stores: Copies::new(),
            tenures: Copies::new(),
            collected: Copies::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn at(&self, node: u32) -> &At {
        &self.nodes[node as usize].at
    }

    pub(super) fn has_written(&self, node: u32) -> bool {
        self.nodes[node as usize].has_written
    }

    pub(super) fn collected(&mut self, collected: Collected) -> u32 {
        self.collected.number(collected)
    }

    /// Splits' positions in what was collected.
    pub(super) fn positions(&self, collected: u32) -> Vec<(usize, u8)> {
        let splits = self.collected.all[collected as usize].splits.iter();
        splits.flat_map(|((_, w), splits)| splits.iter().map(|s| (*w, number(&s.split.data.bytes)))).collect()
    }

    pub(super) fn begin(&mut self, input: Input) -> u32 {
        if let Some(node) = self.roots.get(&input) {
            return *node;
        }
        let work = self.work(input);
        let node = self.add(input, None, work, vec![], false);
        self.roots.insert(input, node);
        node
    }

    /// The work after this answer.
    pub(super) fn go_on(&mut self, node: u32, said: Said) -> u32 {
        if let Some(next) = self.next.get(&(node, said)) {
            return *next;
        }
        let Node { input, live, has_written, at, .. } = &mut self.nodes[node as usize];
        let (input, live) = (*input, live.take());
        let writes = matches!(at, At::Asks(operation) if !operation.is_read());
        let has_written = *has_written || writes;
        let mut said_before = vec![said];
        let work = match live {
            Some(work) => work,
            None => {
                let mut back = node;
                while let Some((parent, said)) = self.nodes[back as usize].parent {
                    said_before.push(said);
                    back = parent;
                }
                self.work(input)
            }
        };
        let answers = said_before.iter().rev().map(|s| self.tables.answer(*s)).collect();
        let next = self.add(input, Some((node, said)), work, answers, has_written);
        self.next.insert((node, said), next);
        next
    }

    fn add(
        &mut self,
        input: Input,
        parent: Option<(u32, Said)>,
        mut work: Work,
        answers: Vec<gate::Answer>,
        has_written: bool,
    ) -> u32 {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let (at, live) = match gate::go_on(answers, || work.as_mut().poll(&mut context)) {
            Poll::Ready(done) => (At::Done(Rc::new(self.outcome(input, done))), None),
            Poll::Pending => match gate::waiting() {
                Some(request) => (At::Asks(self.tables.operation(request)), Some(work)),
                None => panic!("the work waits for something else than an answer"),
            },
        };
        self.nodes.push(Node { input, parent, at, live, has_written });
        self.nodes.len() as u32 - 1
    }

    fn outcome(&mut self, input: Input, done: Done) -> Outcome {
        let Done { store, tenure, result } = done;
        match (result, store) {
            (Ok(manifest), Some(store)) => {
                let (generation, next) = (store.generation().0 as u8, store.head().next.0 as u8);
                let store = self.stores.number(store);
                match input {
                    Input::Open { .. } => {
                        let restored = (0..self.config.workers).map(|w| restored(&self.config, w, manifest.as_ref()));
                        Outcome::Opened { store, generation, next, restored: restored.collect() }
                    }
                    Input::Finalize { end, .. } => {
                        let positions = (0..self.config.workers).map(|w| position(w, manifest.as_ref()));
                        Outcome::Finalized { store, positions: positions.collect(), end }
                    }
                }
            }
            (Ok(_), None) => panic!("it has opened no store"),
            (Err(e), _) => {
                let tenure = tenure.filter(|_| e.kind() == ErrorKind::Unavailable);
                // Who opens without a right from before may come too late for what another process has left under way.
                let is_new = matches!(input, Input::Open { tenure: None, .. });
                let is_fenced = e.kind() == ErrorKind::Fenced && !is_new;
                Outcome::Failed { tenure: tenure.map(|t| self.tenures.number(t)), is_fenced }
            }
        }
    }

    fn work(&self, input: Input) -> Work {
        let config = Arc::clone(&self.config);
        match input {
            Input::Open { number, tenure } => {
                let tenure = tenure.map(|t| self.tenures.all[t as usize].clone());
                Box::pin(open(config, self.storage.clone(), number, tenure))
            }
            Input::Finalize { store, base, collected, end } => {
                let store = self.stores.all[store as usize].clone();
                let collected = &self.collected.all[collected as usize];
                let collected = as_of(collected, base, store.generation().0 as u8);
                Box::pin(decide(config, store, collected, end))
            }
        }
    }
}

/// Tasks name checkpoints and files as if theirs were the only attempt; outside they have its number.
fn as_of(collected: &Collected, base: u8, generation: u8) -> Collected {
    let mut collected = collected.clone();
    collected.checkpoint = collected.checkpoint.map(|c| CheckpointId(c.0 + u64::from(base)));
    for c in collected.committables.values_mut().flatten() {
        let own = c.id.trim_start_matches("g0");
        c.id = format!("g{generation}{own}");
    }
    collected
}

fn number(bytes: &[u8]) -> u8 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(u8::MAX)
}

fn position(w: usize, manifest: Option<&Manifest>) -> Option<u8> {
    let splits = &manifest?.sources.get("source")?.splits;
    splits.iter().find(|s| s.id == w.to_string()).map(|s| number(&s.data.bytes))
}

fn restored(config: &Config, w: usize, manifest: Option<&Manifest>) -> Restored {
    let Some(manifest) = manifest else { return Restored::default() };
    // A split that no reader holds has been read: the enumerator has none left.
    let position = position(w, Some(manifest)).unwrap_or(config.rows);
    let operator = manifest.operators.get("operator");
    let part = operator.and_then(|o| o.subtasks.iter().find(|s| s.watermark_ms == w as i64));
    Restored { position, counted: part.map_or(position, |p| number(&p.meta.bytes)) }
}

fn committers(config: &Config, store: &CheckpointStore) -> Committers {
    let generation = store.generation().0;
    let mut committers = Committers::new();
    for sink in 0..config.sinks {
        committers.insert(sink_node(sink), Box::new(SimCommitter { sink, generation }));
    }
    committers
}

/// What the supervisor and the job master do when an attempt opens.
async fn open(config: Arc<Config>, storage: CheckpointStorage, number: u8, mut tenure: Option<Tenure>) -> Done {
    let draw = move || Identity {
        attempt: number.to_string(),
        lineage: "lineage".to_string(),
        owner: Owner { process: 1, host: "sim".to_string(), boot: None, since_ms: 0, started: None },
    };
    let none = FailPoints::none();
    let opened = match &mut tenure {
        None => CheckpointStore::open_as(storage, none.clone(), Begin::Latest, config.retained, None, &draw).await,
        Some(tenure) => match tenure.check().await {
            Err(e) if e.kind() == ErrorKind::Fenced => Err(e),
            _ => tenure.reopen_as(&draw).await,
        },
    };
    let (mut store, mut opened) = match opened {
        Ok(opened) => opened,
        Err(e) => return Done { store: None, tenure, result: Err(e) },
    };
    // A failure of the first attempt's opening is the caller's.
    let tenure = tenure.map(|_| store.tenure());
    let mut committers = committers(&config, &store);
    if config.sabotage == Some(Sabotage::DoesNotRollForward) {
        opened.commit_pending = false;
    }
    let rolled = roll_forward(&config.graph, &mut store, &mut committers, &none, &opened, Refusal::Fails).await;
    Done { store: Some(store), tenure, result: rolled.map(|()| opened.manifest) }
}

/// What the job master does with a complete checkpoint, and at the end of a bounded job.
async fn decide(config: Arc<Config>, mut store: CheckpointStore, collected: Collected, end: End) -> Done {
    let none = FailPoints::none();
    let mut committers = committers(&config, &store);
    let tenure = Some(store.tenure());
    let result = async {
        let manifest = finalize::manifest(&config.graph, &store, &collected, 0, end == End::Finishes)?;
        if config.sabotage == Some(Sabotage::CommitsBeforeTheDecision)
            && let Some(proof) = store.last_decided()
        {
            finalize::commit_decided(
                &config.graph,
                &mut store,
                &mut committers,
                &none,
                &manifest,
                &proof,
                Refusal::Fails,
            )
            .await?;
        }
        finalize::finalize(&config.graph, &mut store, &mut committers, &none, &manifest).await?;
        match end {
            End::GoesOn => {}
            End::Suspends => store.set_status(JobStatus::Suspended).await?,
            End::Finishes => {
                store.set_status(JobStatus::Finished).await?;
                store.retire().await?;
            }
        }
        Ok(Some(manifest))
    }
    .await;
    Done { store: Some(store), tenure, result }
}

/// A file that a task of an attempt closed, as the attempt's tasks call it.
pub(super) fn own_name(worker: usize, number: u8) -> String {
    Output { sink: 0, generation: 0, worker: worker as u8, number }.id()
}
