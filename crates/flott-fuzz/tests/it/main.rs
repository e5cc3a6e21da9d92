//! Every target over its corpus, and over inputs that are made of it.

mod seeds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use flott_core::clock::SystemClock;
use flott_fuzz::allocator::Counting;
use flott_fuzz::mutate::Mutator;
use flott_fuzz::target::PLANTED;
use flott_fuzz::{TARGETS, Target};

#[global_allocator]
static COUNTING: Counting = Counting;

/// Seconds for each target in a longer run without a fuzzer, its seed, and targets with commas between them.
const SECONDS: &str = "FLOTT_FUZZ_SECONDS";
const SEED: &str = "FLOTT_FUZZ_SEED";
const TARGET: &str = "FLOTT_FUZZ_TARGET";

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Inputs that are made for each target, unless its time is up before.
const INPUTS: usize = 3_000;
/// The time that a target has for them. A debug build is slow: `cargo xtask fuzz` is for more.
const TIME: Duration = Duration::from_millis(400);

/// The first input that breaks a property, or `None`.
#[expect(clippy::print_stdout, reason = "a long run tells how far it has come")]
fn first_failure(target: &Target, seed: u64, inputs: usize, time: Duration) -> Option<(String, Vec<u8>)> {
    let mut done = 0;
    let found = search(target, seed, inputs, time, &mut done);
    if std::env::var_os(SECONDS).is_some() {
        println!("{:<18}{done:>12} inputs  {}", target.name, if found.is_some() { "FOUND" } else { "ok" });
    }
    found
}

fn search(target: &Target, seed: u64, inputs: usize, time: Duration, done: &mut usize) -> Option<(String, Vec<u8>)> {
    let clock = SystemClock::shared();
    let fails = |data: &[u8]| catch_unwind(AssertUnwindSafe(|| target.check(data))).is_err();
    let seeds = target.seeds();
    for (name, data) in &seeds {
        if fails(data) {
            return Some((name.clone(), data.clone()));
        }
    }
    let mut mutator = Mutator::new(seed, seeds.into_iter().map(|(_, data)| data).collect(), target.length_max);
    let began = clock.monotonic();
    for i in 0..inputs {
        if clock.monotonic() - began > time {
            return None;
        }
        let data = mutator.next_input();
        *done += 1;
        if fails(&data) {
            return Some((format!("input {i} of seed {seed}"), data));
        }
    }
    None
}

fn run(targets: impl Iterator<Item = &'static Target>) {
    let seconds = number(SECONDS).map(Duration::from_secs);
    let (inputs, time) = seconds.map_or((INPUTS, TIME), |seconds| (usize::MAX, seconds));
    let only = std::env::var(TARGET).ok();
    let targets = targets.filter(|t| only.as_deref().is_none_or(|only| only.split(',').any(|o| o == t.name)));
    let mut broken = vec![];
    for target in targets.filter(|t| t.name != PLANTED) {
        assert!(!target.seeds().is_empty(), "{}: no corpus in {}", target.name, target.corpus().display());
        if let Some((which, data)) = first_failure(target, number(SEED).unwrap_or(1), inputs, time) {
            let file = std::env::temp_dir().join(format!("flott-fuzz-{}", target.name));
            std::fs::write(&file, &data).expect("written");
            broken.push(format!("{which}; again: cargo xtask fuzz {} --input {}", target.name, file.display()));
        }
    }
    assert!(broken.is_empty(), "these break a property (see above):\n{}", broken.join("\n"));
}

#[test]
fn targets_of_formats_hold() {
    run(TARGETS.iter().take(TARGETS.len() / 2));
}

#[test]
fn targets_of_the_rest_hold() {
    run(TARGETS.iter().skip(TARGETS.len() / 2));
}

/// What runs targets finds a mistake: a length that is trusted, from a corpus of inputs that are all right.
#[test]
fn a_planted_mistake_is_found() {
    let planted = flott_fuzz::target_of(PLANTED).expect("the planted one");
    let (which, data) = first_failure(planted, 1, 100_000, Duration::from_secs(60)).expect("it is found");
    assert!(which.starts_with("input") && data.starts_with(b"bug"), "{which}: {data:?}");
}

/// Memory that an input takes is counted, and too much of it is a failure.
#[test]
fn too_much_memory_is_found() {
    fn greedy(data: &[u8]) {
        let memory: Vec<u8> = Vec::with_capacity(usize::from(data[0]) << 20);
        assert_eq!(memory.len(), 0);
    }
    let target = Target { run: greedy, name: "greedy", ..TARGETS[0] };
    target.check(&[1]);
    catch_unwind(|| target.check(&[200])).expect_err("200 MB");
}

#[test]
fn names_and_folders_are_those_of_the_list() {
    let mut names: Vec<&str> = TARGETS.iter().map(|t| t.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "two targets have one name");
    let corpus = TARGETS[0].corpus();
    let folders = std::fs::read_dir(corpus.parent().expect("a folder")).expect("the corpora");
    for folder in folders {
        let name = folder.expect("a folder").file_name().into_string().expect("a name");
        assert!(names.contains(&name.as_str()), "corpus/{name} belongs to no target");
    }
    for target in TARGETS {
        let bytes: usize = target.seeds().iter().map(|(_, data)| data.len()).sum();
        assert!(bytes <= 64 << 10, "the corpus of {} has {bytes} bytes", target.name);
    }
}
