//! Kills a real job again and again, exactly at a fail point or at random, and checks its output against a ledger.
//!
//! One round is one job, started with `--restore latest` until it finishes; every kill is a cycle. Its input is files that are there
//! from the beginning, or a log into which rows are written meanwhile ([`producer`]). The output is watched all the time
//! ([`observer`]). In the end every row is compared with what the ledger says ([`ledger`]), and nothing may be left over. Some
//! cycles stop a process instead (SIGSTOP), let a successor run and wake it: it must find itself fenced and add nothing.
//!
//! The same in two processes, where either may be killed or stopped ([`events`]), with checkpoints and output on S3, and from log to
//! log ([`logs`]): topics of Kafka and streams of NATS, whose servers are stopped, killed and cut off, too ([`servers`]). To them the
//! harness speaks without the libraries of the connectors ([`kafka`], [`nats`]).

mod events;
mod kafka;
mod ledger;
mod logs;
mod nats;
mod observer;
mod place;
mod process;
mod producer;
mod proxy;
mod round;
mod servers;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::services::ForTests;
use crate::{Failure, debug_binary, known_options, option, root, run as run_command, say};

use events::{Event, Events};
use place::Bucket;
use round::Round;
use servers::{Kind, Server};

/// From so many cycles for each kind of event on, every kind has to have come about.
const CYCLES_FOR_EACH: u64 = 5;
/// Cycles of a round for what is missed: some kinds need others before them.
const CYCLES_FOR_MISSED: u64 = 6;
/// A word on how far it is.
const CYCLES_BETWEEN_WORDS: u64 = 100;
/// Cycles of a round with a planted mistake: then it goes on to its end.
const CYCLES_OF_PLANTED: u64 = 3;

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
    /// One process, several sinks, from a topic to files.
    KafkaFiles,
    /// One process, one sink, from a stream to a topic.
    NatsKafka,
    /// One process, one sink, from stream to stream.
    NatsNats,
}

impl Pipeline {
    const ALL: [(&'static str, Pipeline); 9] = [
        ("files", Pipeline::Files),
        ("files-two-sinks", Pipeline::FilesTwoSinks),
        ("processes", Pipeline::Processes),
        ("processes-two-sinks", Pipeline::ProcessesTwoSinks),
        ("s3", Pipeline::S3),
        ("kafka-kafka", Pipeline::KafkaKafka),
        ("kafka-files", Pipeline::KafkaFiles),
        ("nats-kafka", Pipeline::NatsKafka),
        ("nats-nats", Pipeline::NatsNats),
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
        matches!(self, Pipeline::FilesTwoSinks | Pipeline::ProcessesTwoSinks | Pipeline::S3 | Pipeline::KafkaFiles)
    }

    /// Where it reads from, and where it writes to; `None` for files.
    fn logs(self) -> (Option<Kind>, Option<Kind>) {
        match self {
            Pipeline::KafkaKafka => (Some(Kind::Kafka), Some(Kind::Kafka)),
            Pipeline::KafkaFiles => (Some(Kind::Kafka), None),
            Pipeline::NatsKafka => (Some(Kind::Nats), Some(Kind::Kafka)),
            Pipeline::NatsNats => (Some(Kind::Nats), Some(Kind::Nats)),
            _ => (None, None),
        }
    }

    fn has_logs(self) -> bool {
        self.logs() != (None, None)
    }

    fn writes_to(self, kind: Kind) -> bool {
        self.logs().1 == Some(kind)
    }

    /// What it talks to.
    fn servers(self) -> Vec<Kind> {
        let (input, output) = self.logs();
        let mut servers: Vec<Kind> = input.into_iter().chain(output).collect();
        servers.dedup();
        servers
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
    /// A mistake that the job is made to make, and that has to be found.
    pub(crate) planted: Option<String>,
    /// Every cycle is a kill where this point is passed first; how long each start took to it is told.
    pub(crate) at: Option<&'static str>,
    /// It goes on until every kind of event has come about.
    pub(crate) every_kind: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            pipeline: Pipeline::Files,
            cycles: 100,
            seed: 1,
            rows: 200_000,
            release: false,
            binary: None,
            planted: None,
            at: None,
            every_kind: false,
        }
    }
}

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    if args == ["--all"] {
        return crate::ci::kill_cycles();
    }
    let with_value = ["--pipeline", "--cycles", "--seed", "--rows", "--binary", "--planted", "--at"];
    known_options(args, &with_value, &["--release", "--every-kind"])?;
    let plan = Plan::default();
    cycles(&Plan {
        pipeline: Pipeline::from_name(&option(args, "--pipeline", plan.pipeline.name().to_string())?)?,
        cycles: option(args, "--cycles", plan.cycles)?,
        seed: option(args, "--seed", plan.seed)?,
        rows: option(args, "--rows", plan.rows)?,
        release: args.iter().any(|a| a == "--release"),
        binary: Some(option(args, "--binary", PathBuf::new())?).filter(|p| !p.as_os_str().is_empty()),
        planted: Some(option(args, "--planted", String::new())?).filter(|name| !name.is_empty()),
        at: match option(args, "--at", String::new())?.as_str() {
            "" => None,
            name => Some(events::point(name)?),
        },
        every_kind: args.iter().any(|a| a == "--every-kind"),
    })
}

/// A name that nothing else has on a server that pipelines of one process, and processes, share.
fn own_name() -> String {
    static NAMES: AtomicU64 = AtomicU64::new(1);
    format!("chaos-{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed))
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
    /// Looks at the output while nothing was being committed.
    whole: u64,
    /// From the start of a process to the point that it was killed at, where all are killed at one.
    reached: Vec<Duration>,
}

impl Tally {
    fn count(&mut self, what: &Event) {
        *self.cycles.entry(what.to_string()).or_default() += 1;
    }
}

pub(crate) fn cycles(plan: &Plan) -> Result<(), Failure> {
    let name = plan.pipeline.name();
    let (input, output) = plan.pipeline.logs();
    let mut needed: Vec<&str> = plan.pipeline.servers().into_iter().map(Kind::name).collect();
    needed.extend((plan.pipeline == Pipeline::S3).then_some("versitygw"));
    let services = if needed.is_empty() { None } else { Some(ForTests::start(&needed)?) };
    let variables = services.as_ref().map_or(&[][..], |s| &s.variables);
    let mut servers = vec![];
    for name in needed.iter().filter(|name| **name != "versitygw") {
        let kind = if *name == Kind::Nats.name() { Kind::Nats } else { Kind::Kafka };
        let Some(server) = Server::of(kind, variables)? else {
            say(&format!("SKIPPED: chaos {name}: {name} could not be started", name = plan.pipeline.name()));
            return Ok(());
        };
        servers.push(server);
    }
    let server = |kind: Option<Kind>| servers.iter().find(|server| Some(server.kind) == kind);
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
    let folder = root().join("target").join(format!("{}-{name}", own_name()));
    let mut rng = Rng(plan.seed);
    let mut tally = Tally::default();
    let mut events = Events::of(plan.pipeline, &mut rng);
    let mut done = 0;
    loop {
        let asks_for_more = plan.every_kind && done < CYCLES_FOR_EACH * events.kinds();
        let mut lacking = if asks_for_more { events.missed(&tally.cycles).len() as u64 } else { 0 };
        if lacking > 0 && done >= plan.cycles {
            events.turn_to_missed(&tally.cycles);
            lacking = lacking.max(CYCLES_FOR_MISSED);
        }
        let left = plan.cycles.saturating_sub(done).max(lacking);
        if left == 0 {
            break;
        }
        tally.rounds += 1;
        let place = folder.join(tally.rounds.to_string());
        let round = Round::prepare(plan, &place, bucket.as_ref(), (server(input), server(output)), &binary, &mut rng)?;
        // A mistake that needs many rows is not to be hidden by a kill before them.
        let most = if plan.planted.is_some() { left.min(CYCLES_OF_PLANTED) } else { left };
        let cycles = round
            .play(most, &mut events, &mut rng, &mut tally)
            .and_then(|cycles| round.check(&mut tally).map(|()| cycles))
            .map_err(|e| format!("{name}, seed {}, round {}, in {}: {e}", plan.seed, tally.rounds, place.display()));
        if let (Some(mistake), Err(found)) = (&plan.planted, &cycles)
            && (ledger::is_of_rows(found) || ledger::is_refused_by_marker(found))
        {
            say(&format!("chaos {name}: the planted mistake '{mistake}' is found: {found}"));
            drop(fs::remove_dir_all(&folder));
            return Ok(());
        }
        let before = done;
        done += cycles?.max(u64::from(plan.planted.is_some()));
        round.remove()?;
        // A long run that is broken off has shown something, too.
        if done / CYCLES_BETWEEN_WORDS > before / CYCLES_BETWEEN_WORDS {
            say(&format!("chaos {name}: {done} cycles so far in {} rounds, seed {}", tally.rounds, plan.seed));
        }
    }
    if let Some(mistake) = &plan.planted {
        return Err(format!("{name}: the planted mistake '{mistake}' was not found in {done} cycles"));
    }
    drop(fs::remove_dir_all(&folder));
    if let Some(bucket) = &bucket {
        bucket.check_uploads()?;
        bucket.remove();
    }
    report(plan, done, &tally);
    let is_long = plan.at.is_none() && done >= CYCLES_FOR_EACH * events.kinds();
    if is_long && output.is_none() && tally.amid_windows == 0 {
        return Err("no kill fell between two windows: the state of windows was never at stake".to_string());
    }
    let missed = events.missed(&tally.cycles);
    if (is_long || plan.every_kind) && !missed.is_empty() {
        return Err(format!("these never came about: {}", missed.join(", ")));
    }
    Ok(())
}

fn report(plan: &Plan, done: u64, tally: &Tally) {
    say(&format!(
        "chaos {}: {done} cycles in {} rounds, {} starts, {} fenced sleepers, seed {}: nothing missing, duplicated, reordered, torn or \
         gone again",
        plan.pipeline.name(),
        tally.rounds,
        tally.starts,
        tally.zombies,
        plan.seed
    ));
    if plan.pipeline.logs().1.is_none() {
        let text = "kills between the first window and the last";
        say(&format!("  {:5} {text}, {} late rows", tally.amid_windows, tally.late));
    }
    say(&format!("  {:5} looks at whole checkpoints between commits", tally.whole));
    for (what, n) in &tally.cycles {
        say(&format!("  {n:5} {what}"));
    }
    if let Some(at) = plan.at {
        say(&format!("  from start to {at}: {}", percentiles(&tally.reached)));
    }
}

fn percentiles(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1));
    let text = |percent| at(percent).map_or("-".to_string(), |t| format!("{:.0} ms", t.as_secs_f64() * 1e3));
    format!("p50 {}, p99 {}, at most {}, of {}", text(50), text(99), text(100), times.len())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_came_about() {
        let ms = |times: &[u64]| times.iter().copied().map(Duration::from_millis).collect::<Vec<_>>();
        assert_eq!(percentiles(&[]), "p50 -, p99 -, at most -, of 0");
        assert_eq!(percentiles(&ms(&[7])), "p50 7 ms, p99 7 ms, at most 7 ms, of 1");
        assert_eq!(percentiles(&ms(&[40, 10, 30, 20])), "p50 20 ms, p99 40 ms, at most 40 ms, of 4");
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(percentiles(&ms(&hundred)), "p50 50 ms, p99 99 ms, at most 100 ms, of 100");
        let more: Vec<u64> = (1..=201).collect();
        assert_eq!(percentiles(&ms(&more)), "p50 101 ms, p99 199 ms, at most 201 ms, of 201");
    }
}
