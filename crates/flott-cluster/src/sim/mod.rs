//! The checkpoint protocol under every order of events, and under seeds.
//!
//! The coordinator, the store, deciding, committing and rolling forward are the real code. Around them is a model:
//! workers that count rows, targets that show what is committed, logs that forget what is acknowledged. Every write is
//! a step that can fail, lose its answer, or never happen because the process dies; a stopped process may go on at any
//! later moment, beside its successor. The search knows a state again by its fingerprint and looks at each one once.
//!
//! What must hold (`docs/rfcs/0001-checkpoint-protocol.md`): no row is visible twice; at the end every row is visible;
//! restored state fits the restored positions; nothing is acknowledged that a restore would read again; whatever has
//! happened, the job can finish.

mod attempt;
mod gate;
mod world;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow_schema::Schema;
use flott_connector::Versioned;
use flott_connector::factory::ChangelogMode;
use flott_connector::sink::{DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_connector::source::{Boundedness, Source, SourceReader, SplitEnumerator, SubtaskInfo};
use flott_connector::table::ObjectIdentifier;
use flott_core::rng::Rng;
use flott_core::{Error, Result};
use flott_graph::spec::{NotNullEnforcer, OperatorSpec, SinkSpec, SourceSpec, TypeLengthEnforcer};
use flott_graph::{Input, JobGraph, Node, NodeId, Partitioning};
use flott_state::manifest::{Head, JobStatus};
use flott_state::store::peek;

use attempt::{Attempt, End, Step};
use world::SharedWorld;

const SOURCE: NodeId = NodeId(0);
const OPERATOR: NodeId = NodeId(1);

fn sink_node(sink: usize) -> NodeId {
    NodeId(2 + sink)
}

/// A mistake that the search has to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sabotage {
    IgnoresConditions,
    AcknowledgesBeforeTheDecision,
    CommitsBeforeTheDecision,
    ForgetsAbortedOutput,
    DoesNotRollForward,
    ReportsPositionsBehindTheBarrier,
    CleansUpWhatIsItsOwn,
}

/// How large the model is.
#[derive(Debug, Clone)]
struct Config {
    graph: Arc<JobGraph>,
    workers: usize,
    sinks: usize,
    /// Rows of each source.
    rows: u64,
    /// Checkpoints that are triggered.
    epochs: u32,
    /// Of them time out.
    time_outs: u32,
    /// Processes that are killed or stopped.
    crashes: u32,
    /// Of them are stopped and go on later.
    sleepers: u32,
    /// Writes that fail or lose their answer.
    faults: u32,
    retained: usize,
    sabotage: Option<Sabotage>,
}

impl Config {
    fn new(workers: usize, sinks: usize, epochs: u32, crashes: u32) -> Config {
        Config {
            graph: Arc::new(graph(sinks)),
            workers,
            sinks,
            rows: u64::from(epochs),
            epochs,
            time_outs: 1,
            crashes,
            sleepers: crashes.min(1),
            faults: 0,
            retained: 1,
            sabotage: None,
        }
    }
}

/// A source or sink that is only a name: the model has its own.
struct Named;

impl Source for Named {
    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }
    fn create_enumerator(&self, _: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        Err(Error::internal("a model"))
    }
    fn create_reader(&self, _: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Err(Error::internal("a model"))
    }
}

impl Sink for Named {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }
    fn create_writer(&self, _: WriterContext, _: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        Err(Error::internal("a model"))
    }
}

fn graph(sinks: usize) -> JobGraph {
    let mut graph = JobGraph::new("sim");
    let table = |name: &str| ObjectIdentifier::new("c", "d", name);
    let mut add = |uid: &str, spec: OperatorSpec, inputs: Vec<Input>| {
        graph.add(Node {
            uid: uid.to_string(),
            name: uid.to_string(),
            spec,
            inputs,
            schema: Arc::new(Schema::empty()),
            changelog_mode: ChangelogMode::INSERT_ONLY,
            parallelism: None,
        })
    };
    let source = SourceSpec { table: table("source"), source: Arc::new(Named), watermark: None, parallelism: None };
    add("source", OperatorSpec::Source(source), vec![]);
    add("operator", OperatorSpec::Union, vec![Input::new(SOURCE, Partitioning::Forward)]);
    for sink in 0..sinks {
        let spec = SinkSpec {
            table: table("sink"),
            sink: Arc::new(Named),
            not_null: vec![],
            not_null_enforcer: NotNullEnforcer::Error,
            type_length_enforcer: TypeLengthEnforcer::Ignore,
        };
        let inputs = vec![Input::new(OPERATOR, Partitioning::Forward)];
        add(&format!("sink{sink}"), OperatorSpec::Sink(spec), inputs);
    }
    graph
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// The sleeper (0) or the running attempt (1) takes a step.
    Step(usize, Step),
    /// The running process dies; the next one starts.
    Kill,
    /// The running process is stopped and taken for dead; the next one starts.
    Stop,
}

/// Everything, at one moment.
struct State {
    config: Config,
    world: SharedWorld,
    sleeper: Option<Attempt>,
    running: Option<Attempt>,
    triggers: u32,
    time_outs: u32,
    crashes: u32,
    sleepers: u32,
    faults: u32,
    finished: bool,
}

impl State {
    fn new(config: &Config) -> State {
        let world = SharedWorld::new(config.workers, config.sinks);
        let running = Some(Attempt::start(config, &world));
        State {
            config: config.clone(),
            world,
            sleeper: None,
            running,
            triggers: config.epochs,
            time_outs: config.time_outs,
            crashes: config.crashes,
            sleepers: config.sleepers,
            faults: config.faults,
            finished: false,
        }
    }

    fn actions(&self) -> Vec<Action> {
        let mut actions = vec![];
        if let Some(running) = &self.running {
            let steps = running.steps(self.triggers, self.time_outs, self.faults);
            actions.extend(steps.into_iter().map(|s| Action::Step(1, s)));
            if self.crashes > 0 {
                actions.push(Action::Kill);
                if self.sleepers > 0 && running.is_at_gate() {
                    actions.push(Action::Stop);
                }
            }
        }
        if let Some(sleeper) = &self.sleeper {
            actions.extend(sleeper.steps(0, 0, 0).into_iter().map(|s| Action::Step(0, s)));
        }
        actions
    }

    fn take(&mut self, action: Action) {
        match action {
            Action::Kill => {
                self.crashes -= 1;
                self.running = None;
            }
            Action::Stop => {
                self.crashes -= 1;
                self.sleepers -= 1;
                self.sleeper = self.running.take();
                if let Some(sleeper) = &mut self.sleeper {
                    sleeper.frozen = true;
                }
            }
            Action::Step(who, step) => {
                match step {
                    Step::Trigger => self.triggers -= 1,
                    Step::TimeOut => self.time_outs -= 1,
                    Step::Operation(verdict) if verdict != gate::Verdict::Done => self.faults -= 1,
                    _ => {}
                }
                let attempt = if who == 0 { &mut self.sleeper } else { &mut self.running };
                if let Some(a) = attempt {
                    a.take(step);
                    match &a.end {
                        Some(End::Finished) => self.finished = true,
                        Some(End::Failed(_)) => {}
                        None => return,
                    }
                    *attempt = None;
                }
            }
        }
        if self.running.is_none() && !self.finished && self.head().is_none_or(|h| h.status != JobStatus::Finished) {
            self.running = Some(Attempt::start(&self.config, &self.world));
        }
    }

    fn head(&self) -> Option<Head> {
        futures::executor::block_on(peek(&self.world.storage())).ok().flatten()
    }

    fn head_tag(&self) -> Option<String> {
        self.world.head_tag()
    }

    /// What nothing may end with.
    fn check_end(&self) {
        let mut world = self.world.get();
        if !self.finished && self.running.is_some() {
            world.violated("the job can neither go on nor finish".to_string());
        }
        let all = self.config.workers as u64 * self.config.rows;
        for sink in 0..self.config.sinks {
            let n = world.visible[sink].len() as u64;
            if n != all {
                world.violated(format!("sink {sink} shows {n} rows of {all} at the end"));
            }
        }
    }

    fn fingerprint(&self) -> u128 {
        let tag = self.head_tag();
        // Without what is drawn by chance: the lineage, and checksums of files that name it.
        let retained = |h: &Head| h.retained.iter().map(|r| r.manifest.clone()).collect::<Vec<_>>();
        let head = self.head().map(|h| (h.generation, retained(&h), h.committed, h.last_output, h.next, h.status));
        let world = self.world.get();
        let text = format!(
            "{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{} {} {} {} {} {}",
            self.sleeper.as_ref().map(|a| a.fingerprint(&tag)),
            self.running.as_ref().map(|a| a.fingerprint(&tag)),
            world.staged,
            world.committed,
            world.visible,
            world.acknowledged,
            head,
            self.triggers,
            self.time_outs,
            self.crashes,
            self.sleepers,
            self.faults,
            self.finished
        );
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, &text).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        (half(0) << 64) | half(1)
    }

    fn violation(&self) -> Option<String> {
        self.world.get().violation.clone()
    }
}

#[derive(Debug, Default)]
struct Explored {
    states: usize,
    paths: usize,
    violation: Option<(String, Vec<Action>)>,
}

/// Every state that can be reached, depth first. A path is replayed from its beginning: futures cannot be copied.
fn explore(config: &Config) -> Explored {
    let mut seen = HashSet::new();
    let mut explored = Explored::default();
    // The index of the action taken at each depth, and how many there were.
    let mut path: Vec<(usize, usize)> = vec![];
    loop {
        explored.paths += 1;
        let mut state = State::new(config);
        let mut taken = vec![];
        let mut depth = 0;
        loop {
            if let Some(violation) = state.violation() {
                explored.violation = Some((violation, taken));
                return explored;
            }
            let actions = state.actions();
            if depth == path.len() {
                if !seen.insert(state.fingerprint()) {
                    break;
                }
                if actions.is_empty() {
                    state.check_end();
                    if let Some(violation) = state.violation() {
                        explored.violation = Some((violation, taken));
                        return explored;
                    }
                    break;
                }
                path.push((0, actions.len()));
            }
            let action = actions[path[depth].0];
            taken.push(action);
            state.take(action);
            depth += 1;
        }
        explored.states = seen.len();
        loop {
            match path.last_mut() {
                None => return explored,
                Some((i, n)) if *i + 1 < *n => {
                    *i += 1;
                    break;
                }
                Some(_) => drop(path.pop()),
            }
        }
    }
}

/// One run by chance; the actions taken, and what went wrong.
fn walk(config: &Config, seed: u64) -> (Vec<Action>, Option<String>) {
    let mut rng = Rng::seeded(seed);
    let mut state = State::new(config);
    let mut taken = vec![];
    loop {
        if let Some(violation) = state.violation() {
            return (taken, Some(violation));
        }
        let actions = state.actions();
        if actions.is_empty() {
            state.check_end();
            return (taken, state.violation());
        }
        // Death is rare, or nothing would ever happen.
        let calm: Vec<Action> = actions.iter().copied().filter(|a| matches!(a, Action::Step(..))).collect();
        let choice = if calm.is_empty() || rng.below(24) == 0 { &actions } else { &calm };
        let action = choice[rng.below(choice.len() as u64) as usize];
        taken.push(action);
        state.take(action);
    }
}

mod tests {
    use super::*;

    fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
        std::env::var(name).ok().and_then(|text| text.parse().ok())
    }

    fn expect_none(what: &str, violation: Option<(String, Vec<Action>)>) {
        if let Some((violation, path)) = violation {
            panic!("{what}: {violation}, by {path:#?}");
        }
    }

    /// `FLOTT_SIM_SIZE=workers,sinks,epochs,crashes` explores another size (`cargo xtask sim --size ..`).
    #[test]
    fn every_order_of_a_small_job_keeps_every_row_once() {
        let asked: Option<String> = setting("FLOTT_SIM_SIZE");
        let sizes = match &asked {
            Some(text) => vec![text.split(',').map(|n| n.parse().expect("a number")).collect()],
            None => vec![vec![1, 1, 1, 1], vec![1, 2, 2, 0], vec![2, 2, 1, 0]],
        };
        for size in sizes {
            let [workers, sinks, epochs, crashes] = size[..] else { panic!("four numbers, by commas") };
            let config = Config::new(workers, sinks, epochs as u32, crashes as u32);
            let explored = explore(&config);
            let what = format!("{size:?}");
            eprintln!("{what}: {} states on {} paths", explored.states, explored.paths);
            expect_none(&what, explored.violation);
        }
    }

    fn large() -> Config {
        Config { time_outs: 3, sleepers: 2, faults: 3, retained: 2, ..Config::new(3, 2, 6, 5) }
    }

    /// `FLOTT_SIM_SEEDS` runs more of them (`cargo xtask sim --seeds N`), from `FLOTT_SIM_FIRST` on.
    #[test]
    fn larger_jobs_keep_every_row_once_by_chance() {
        let (first, n): (u64, u64) =
            (setting("FLOTT_SIM_FIRST").unwrap_or(0), setting("FLOTT_SIM_SEEDS").unwrap_or(400));
        let mut steps = 0;
        for seed in first..first + n {
            let (path, violation) = walk(&large(), seed);
            steps += path.len();
            expect_none(&format!("seed {seed}"), violation.map(|v| (v, path)));
        }
        eprintln!("{n} seeds from {first}: {steps} steps");
    }

    #[test]
    fn the_same_seed_gives_the_same_trace() {
        for seed in 0..20 {
            assert_eq!(walk(&large(), seed), walk(&large(), seed));
        }
        assert_ne!(walk(&large(), 1).0, walk(&large(), 2).0);
    }

    #[test]
    fn every_planted_mistake_is_found() {
        for sabotage in [
            Sabotage::IgnoresConditions,
            Sabotage::AcknowledgesBeforeTheDecision,
            Sabotage::CommitsBeforeTheDecision,
            Sabotage::ForgetsAbortedOutput,
            Sabotage::DoesNotRollForward,
            Sabotage::ReportsPositionsBehindTheBarrier,
            Sabotage::CleansUpWhatIsItsOwn,
        ] {
            let config = Config { sabotage: Some(sabotage), ..large() };
            let found = (0..3_000).find_map(|seed| walk(&config, seed).1.map(|v| (seed, v)));
            let (seed, violation) = found.unwrap_or_else(|| panic!("{sabotage:?} is not found"));
            eprintln!("{sabotage:?}: seed {seed}: {violation}");
        }
    }
}
