//! Kills a real job again and again, exactly at a fail point or at random, and checks its output against a ledger.
//!
//! One round is one job over generated files, started with `--restore latest` until it finishes; every kill is a cycle.
//! Then every row of its outputs is compared with what the ledger says ([`ledger`]), and nothing may be left over. Some
//! cycles stop a process instead (SIGSTOP), let a successor run and wake it: it must find itself fenced and add nothing.
//!
//! The same in two processes, where either may be killed or stopped ([`events`]), and with checkpoints and output on S3, and from topic to topic of a
//! Kafka broker.

mod events;
mod kafka;
mod ledger;
mod place;
mod process;
mod round;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::services::ForTests;
use crate::{Failure, debug_binary, option, root, run as run_command, say};

use events::{Event, Events};
use kafka::Broker;
use place::Bucket;
use round::Round;

/// From so many cycles on, every kill point has to have been passed.
const CYCLES_FOR_ALL: u64 = 60;
const CYCLES_FOR_ALL_OF_TWO: u64 = 150;

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pipeline {
    /// One process, one sink.
    Files,
    /// One process, several sinks.
    FilesTwoSinks,
    /// Two processes, one sink.
    Processes,
    /// Two processes, several sinks.
    ProcessesTwoSinks,
    /// One process, several sinks; they and the checkpoints on S3.
    S3,
    /// One process, one sink, from topic to topic.
    KafkaKafka,
}

impl Pipeline {
    const ALL: [(&'static str, Pipeline); 6] = [
        ("files", Pipeline::Files),
        ("files-two-sinks", Pipeline::FilesTwoSinks),
        ("processes", Pipeline::Processes),
        ("processes-two-sinks", Pipeline::ProcessesTwoSinks),
        ("s3", Pipeline::S3),
        ("kafka-kafka", Pipeline::KafkaKafka),
    ];

    fn from_name(name: &str) -> Result<Pipeline, Failure> {
        let names: Vec<&str> = Pipeline::ALL.iter().map(|(name, _)| *name).collect();
        let found = Pipeline::ALL.into_iter().find(|(n, _)| *n == name).map(|(_, pipeline)| pipeline);
        found.ok_or_else(|| format!("there is no pipeline '{name}'; there are {}", names.join(", ")))
    }

    fn name(self) -> &'static str {
        Pipeline::ALL.into_iter().find(|(_, p)| *p == self).map_or("", |(name, _)| name)
    }

    fn has_two_processes(self) -> bool {
        matches!(self, Pipeline::Processes | Pipeline::ProcessesTwoSinks)
    }

    fn has_two_sinks(self) -> bool {
        matches!(self, Pipeline::FilesTwoSinks | Pipeline::ProcessesTwoSinks | Pipeline::S3)
    }
}

/// What to do.
pub(crate) struct Plan {
    pub(crate) pipeline: Pipeline,
    pub(crate) cycles: u64,
    pub(crate) seed: u64,
    pub(crate) rows: u64,
    pub(crate) release: bool,
    /// A binary with fail points to use instead of building one.
    pub(crate) binary: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { pipeline: Pipeline::Files, cycles: 100, seed: 1, rows: 200_000, release: false, binary: None }
    }
}

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let plan = Plan::default();
    cycles(&Plan {
        pipeline: Pipeline::from_name(&option(args, "--pipeline", plan.pipeline.name().to_string())?)?,
        cycles: option(args, "--cycles", plan.cycles)?,
        seed: option(args, "--seed", plan.seed)?,
        rows: option(args, "--rows", plan.rows)?,
        release: args.iter().any(|a| a == "--release"),
        binary: Some(option(args, "--binary", PathBuf::new())?).filter(|p| !p.as_os_str().is_empty()),
    })
}

/// A small generator: the same seed gives the same cycles.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

#[derive(Default)]
struct Tally {
    /// Cycles by what happened.
    cycles: BTreeMap<String, u64>,
    zombies: u64,
    rounds: u64,
    starts: u64,
    /// Kills where windows had fired and more were to come.
    amid_windows: u64,
    late: u64,
}

impl Tally {
    fn count(&mut self, what: &Event) {
        *self.cycles.entry(what.to_string()).or_default() += 1;
    }
}

pub(crate) fn cycles(plan: &Plan) -> Result<(), Failure> {
    let name = plan.pipeline.name();
    let services = match plan.pipeline {
        Pipeline::S3 => Some(ForTests::start(&["versitygw"])?),
        Pipeline::KafkaKafka => Some(ForTests::start(&["kafka"])?),
        _ => None,
    };
    let broker = services.as_ref().and_then(|s| Broker::of(&s.variables));
    if plan.pipeline == Pipeline::KafkaKafka && broker.is_none() {
        say(&format!("SKIPPED: chaos {name}: there is no broker"));
        return Ok(());
    }
    let stores = services.as_ref().filter(|_| plan.pipeline == Pipeline::S3);
    let bucket = stores.map(|s| Bucket::create(&s.variables)).transpose()?;
    let bucket = match bucket {
        Some(None) => {
            say(&format!("SKIPPED: chaos {name}: there is no S3 store"));
            return Ok(());
        }
        Some(bucket) => bucket,
        None => None,
    };
    let binary = match &plan.binary {
        Some(path) => path.clone(),
        None => build(plan.release)?,
    };
    let folder = root().join("target").join(format!("chaos-{name}-{}", std::process::id()));
    let mut rng = Rng(plan.seed);
    let mut tally = Tally::default();
    let mut events = Events::of(plan.pipeline);
    let mut done = 0;
    while done < plan.cycles {
        tally.rounds += 1;
        let place = folder.join(tally.rounds.to_string());
        let round =
            Round::prepare(plan.pipeline, &place, bucket.as_ref(), broker.as_ref(), &binary, plan.rows, &mut rng)?;
        done += round
            .play(plan.cycles - done, &mut events, &mut rng, &mut tally)
            .and_then(|cycles| round.check(&mut tally).map(|()| cycles))
            .map_err(|e| format!("{name}, seed {}, round {}, in {}: {e}", plan.seed, tally.rounds, place.display()))?;
        round.remove()?;
    }
    drop(fs::remove_dir_all(&folder));
    if let Some(bucket) = &bucket {
        bucket.check_uploads()?;
        bucket.remove();
    }
    report(plan, done, &tally);
    let is_long = done >= if plan.pipeline.has_two_processes() { CYCLES_FOR_ALL_OF_TWO } else { CYCLES_FOR_ALL };
    if is_long && plan.pipeline != Pipeline::KafkaKafka && tally.amid_windows == 0 {
        return Err("no kill fell between two windows: the state of windows was never at stake".to_string());
    }
    let missed = events.missed(&tally.cycles);
    if is_long && !missed.is_empty() {
        return Err(format!("these never came about: {}", missed.join(", ")));
    }
    Ok(())
}

fn report(plan: &Plan, done: u64, tally: &Tally) {
    say(&format!(
        "chaos {}: {done} cycles in {} rounds, {} starts, {} fenced sleepers, seed {}: nothing missing, nothing twice",
        plan.pipeline.name(),
        tally.rounds,
        tally.starts,
        tally.zombies,
        plan.seed
    ));
    say(&format!("  {:5} kills between the first window and the last, {} late rows", tally.amid_windows, tally.late));
    for (what, n) in &tally.cycles {
        say(&format!("  {n:5} {what}"));
    }
}

fn build(release: bool) -> Result<PathBuf, Failure> {
    if !release {
        return debug_binary();
    }
    let args = ["build", "--quiet", "--locked", "-p", "flott-cli", "--release", "--features", "failpoints"];
    run_command("cargo", &args)?;
    Ok(root().join("target/release/flott"))
}

fn wrong(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    let path = path.display().to_string();
    move |e| format!("{path}: {e}")
}
