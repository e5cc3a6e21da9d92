//! The checkpoint protocol under every order of events, and under seeds.
//!
//! The coordinator, the store, deciding, committing and rolling forward are the real code. Around them is a model:
//! workers that count rows, targets that show what is committed, logs that forget what is acknowledged. Every operation is
//! a step that can fail, lose its answer, arrive late, or never happen because the process dies; a stopped process may go
//! on at any later moment, beside its successor.
//!
//! What must hold (`docs/rfcs/0001-checkpoint-protocol.md`): no row is visible twice; at the end every row is visible;
//! restored state fits the restored positions; nothing is acknowledged that a restore would read again; whatever has
//! happened, the job can finish.
//!
//! A search looks at every order of a job of some workers, sinks, epochs and crashes, one of which may be a stopped process
//! that goes on with what was under way. In every test run: 1, 1, 1, 1 with a stop by a user (121,419 states), 1, 2, 2, 0 with
//! one (4,089), and 2, 2, 1, 1 (21,255). By `cargo xtask sim --size`: 2, 2, 3, 2 with kills alone (`--sleepers 0`;
//! 810,048, a minute), and 2, 2, 2, 2 with a stopped process (4,542,207, under ten).
//!
//! Read first: [`world`] (the outside), [`works`] (the asynchronous code as an automaton), [`tasks`] (an attempt without
//! the outside), [`explore`] (everything together, and the searches).

mod explore;
mod gate;
mod tasks;
mod works;
mod world;

use std::sync::Arc;

use arrow_schema::Schema;
use flott_connector::Versioned;
use flott_connector::factory::ChangelogMode;
use flott_connector::sink::{DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_connector::source::{Boundedness, Source, SourceReader, SplitEnumerator, SubtaskInfo};
use flott_connector::table::ObjectIdentifier;
use flott_core::{Error, Result};
use flott_graph::spec::{OperatorSpec, SinkConstraints, SinkSpec, SourceSpec};
use flott_graph::{Input, JobGraph, Node, NodeId, Partitioning};

use tasks::Step;

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

const SABOTAGES: [Sabotage; 7] = [
    Sabotage::IgnoresConditions,
    Sabotage::AcknowledgesBeforeTheDecision,
    Sabotage::CommitsBeforeTheDecision,
    Sabotage::ForgetsAbortedOutput,
    Sabotage::DoesNotRollForward,
    Sabotage::ReportsPositionsBehindTheBarrier,
    Sabotage::CleansUpWhatIsItsOwn,
];

/// What may still happen in the tasks, over all attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Budget {
    /// Checkpoints that are triggered.
    triggers: u8,
    /// Of them time out.
    time_outs: u8,
    /// Stops that users ask for.
    stops: u8,
}

impl Budget {
    fn after(self, step: Step) -> Budget {
        Budget {
            triggers: self.triggers - u8::from(step == Step::Trigger),
            time_outs: self.time_outs - u8::from(step == Step::TimeOut),
            stops: self.stops - u8::from(matches!(step, Step::Stop { .. })),
        }
    }
}

/// How large the model is.
#[derive(Debug, Clone)]
struct Config {
    graph: Arc<JobGraph>,
    workers: usize,
    sinks: usize,
    /// Rows of each source.
    rows: u8,
    /// Checkpoints that are triggered.
    epochs: u8,
    /// Of them time out.
    time_outs: u8,
    /// Stops that users ask for, with a savepoint that can be written or not; one that stops is started again.
    stops: u8,
    /// Processes that are killed or stopped.
    crashes: u8,
    /// Of them are stopped and go on later.
    sleepers: u8,
    /// A process that was stopped goes on for good, and not only with what was under way.
    sleepers_go_on: bool,
    /// Operations that fail, lose their answer or arrive late.
    faults: u8,
    retained: usize,
    sabotage: Option<Sabotage>,
    /// A search gives up here.
    states_max: usize,
}

impl Config {
    fn new(workers: usize, sinks: usize, epochs: u8, crashes: u8) -> Config {
        Config {
            graph: Arc::new(graph(sinks)),
            workers,
            sinks,
            rows: epochs,
            epochs,
            time_outs: 1,
            stops: 0,
            crashes,
            sleepers: crashes.min(1),
            sleepers_go_on: false,
            faults: 0,
            retained: 1,
            sabotage: None,
            states_max: usize::MAX,
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
        let spec = SinkSpec { table: table("sink"), sink: Arc::new(Named), constraints: SinkConstraints::default() };
        let inputs = vec![Input::new(OPERATOR, Partitioning::Forward)];
        add(&format!("sink{sink}"), OperatorSpec::Sink(spec), inputs);
    }
    graph
}

mod tests {
    use flott_core::clock::SystemClock;

    use super::explore::{explore, walk};
    use super::*;

    fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
        std::env::var(name).ok().and_then(|text| text.parse().ok())
    }

    fn expect_none(what: &str, violation: Option<(String, Vec<impl std::fmt::Debug>)>) {
        if let Some((violation, path)) = violation {
            panic!("{what}: {violation}, by {path:#?}");
        }
    }

    /// `FLOTT_SIM_SIZE=workers,sinks,epochs,crashes[,faults[,stops]]` explores another size (`cargo xtask sim --size ..`).
    #[test]
    fn every_order_of_a_small_job_keeps_every_row_once() {
        let asked: Option<String> = setting("FLOTT_SIM_SIZE");
        let sizes = match &asked {
            Some(text) => vec![text.split(',').map(|n| n.parse().expect("a number")).collect()],
            None => {
                let crash = vec![1, 1, 1, 1, 0, 1];
                vec![crash, vec![1, 2, 2, 0, 0, 1], vec![1, 1, 1, 0, 2], vec![2, 2, 1, 1], vec![2, 2, 3, 2]]
            }
        };
        // A search that has become small finds nothing because it looks at nothing.
        let states_min = match &asked {
            None => vec![80_000, 2_500, 100_000, 14_000, 700_000],
            Some(size) => vec![match (size.as_str(), setting("FLOTT_SIM_SLEEPERS").unwrap_or(1)) {
                ("2,2,3,2", 0) => 700_000,
                ("2,2,2,2", 1) => 4_000_000,
                _ => 0,
            }],
        };
        for (size, states_min) in sizes.into_iter().zip(states_min) {
            let [workers, sinks, epochs, crashes, ref more @ ..] = size[..] else { panic!("four numbers, by commas") };
            let mut config = Config::new(workers, sinks, epochs as u8, crashes as u8);
            config.faults = more.first().copied().unwrap_or(0) as u8;
            config.stops = more.get(1).copied().unwrap_or(0) as u8;
            config.time_outs = setting("FLOTT_SIM_TIME_OUTS").unwrap_or(config.time_outs);
            // Every order of the largest one beside a process that sleeps takes hours.
            let sleepers = if asked.is_none() && epochs > 2 { 0 } else { config.sleepers };
            config.sleepers = setting("FLOTT_SIM_SLEEPERS").unwrap_or(sleepers);
            config.sleepers_go_on = setting("FLOTT_SIM_AWAKE").unwrap_or(config.sleepers_go_on);
            config.states_max = setting("FLOTT_SIM_STATES").unwrap_or(config.states_max);
            let sabotage: Option<String> = setting("FLOTT_SIM_SABOTAGE");
            config.sabotage = SABOTAGES.into_iter().find(|s| sabotage == Some(format!("{s:?}")));
            let clock = SystemClock::shared();
            let start = clock.monotonic();
            let explored = explore(&config);
            let what = format!("{size:?}");
            eprintln!(
                "{what}: {} states, {} steps; {} states of tasks, {} of work; {:.1} s",
                explored.states,
                explored.steps,
                explored.of_tasks,
                explored.of_works,
                (clock.monotonic() - start).as_secs_f64()
            );
            expect_none(&what, explored.violation);
            assert!(explored.states >= states_min, "{what}: {} states only", explored.states);
        }
    }

    fn large() -> Config {
        Config {
            time_outs: 3,
            stops: 2,
            sleepers: 2,
            sleepers_go_on: true,
            faults: 3,
            retained: 2,
            ..Config::new(3, 2, 6, 5)
        }
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

    /// What a search of every order says of a mistake that a job of this size can make.
    #[test]
    fn every_planted_mistake_is_found_by_a_search() {
        for sabotage in SABOTAGES {
            let sizes = [[1, 1, 1, 1], [1, 1, 2, 1], [1, 1, 2, 2]];
            let found = sizes.into_iter().find_map(|[workers, sinks, epochs, crashes]| {
                let mut config = Config::new(workers, sinks, epochs as u8, crashes as u8);
                (config.sabotage, config.states_max) = (Some(sabotage), 400_000);
                explore(&config).violation.map(|(violation, path)| (violation, path.len()))
            });
            let (violation, steps) = found.unwrap_or_else(|| panic!("{sabotage:?} is not found"));
            eprintln!("{sabotage:?}: after {steps} steps: {violation}");
        }
    }

    #[test]
    fn every_planted_mistake_is_found() {
        for sabotage in SABOTAGES {
            let config = Config { sabotage: Some(sabotage), ..large() };
            let found = (0..3_000).find_map(|seed| walk(&config, seed).1.map(|v| (seed, v)));
            let (seed, violation) = found.unwrap_or_else(|| panic!("{sabotage:?} is not found"));
            eprintln!("{sabotage:?}: seed {seed}: {violation}");
        }
    }
}
