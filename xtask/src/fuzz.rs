//! Runs the targets of `flott-fuzz` under libFuzzer and prints what each has done.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Failure, known_options, option, root, say};

const WITH_VALUE: [&str; 6] = ["--executions", "--seconds", "--jobs", "--input", "--seed", "--binary"];
const FLAGS: [&str; 2] = ["--planted", "--list"];
/// The target that fails on purpose.
const PLANTED: &str = "planted";
/// The longest input; some targets cut it.
const LENGTH_MAX: usize = 8 << 10;
/// An input that takes longer hangs.
const TIMEOUT_SECONDS: u32 = 30;
/// A process that takes more has found something, too.
const RSS_MB_MAX: u32 = 4_096;

/// How the targets are to run.
struct Plan {
    executions: u64,
    seconds: u64,
    seed: u32,
}

/// What a target has done.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Done {
    executions: u64,
    per_second: u64,
    peak_mb: u64,
    corpus: usize,
    /// The input that breaks a property, where one was found.
    reproducer: Option<PathBuf>,
    /// The last lines of a process that has failed.
    told: Vec<String>,
    failed: bool,
}

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let names: Vec<String> = names(args);
    let options: Vec<String> = args.iter().filter(|a| !names.contains(a)).cloned().collect();
    known_options(&options, &WITH_VALUE, &FLAGS)?;
    let has = |flag: &str| options.iter().any(|o| o == flag);
    let all = targets()?;
    if has("--list") {
        all.iter().for_each(|(name, checks)| say(&format!("{name:<18}{checks}")));
        return Ok(());
    }
    if let Some(unknown) = names.iter().find(|n| !all.iter().any(|(name, _)| name == *n)) {
        let known: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        return Err(format!("there is no target '{unknown}'; there are {}", known.join(", ")));
    }
    let given: String = option(&options, "--binary", String::new())?;
    let binary = if given.is_empty() { build()? } else { PathBuf::from(given) };
    let input: String = option(&options, "--input", String::new())?;
    if !input.is_empty() {
        let [name] = names.as_slice() else { return Err("--input is for one target: name it".to_string()) };
        return rerun(&binary, name, &input);
    }
    let plan = Plan {
        executions: option(&options, "--executions", 100_000)?,
        seconds: option(&options, "--seconds", 0)?,
        seed: option(&options, "--seed", 0)?,
    };
    if has("--planted") {
        return planted(&binary, &plan);
    }
    let jobs: usize = option(&options, "--jobs", 1)?;
    let chosen: Vec<&str> = match names.is_empty() {
        true => all.iter().map(|(name, _)| name.as_str()).filter(|n| *n != PLANTED).collect(),
        false => names.iter().map(String::as_str).collect(),
    };
    say(&format!("{:<18}{:>12}{:>9}{:>9}{:>8}  result", "target", "executions", "per s", "peak MB", "corpus"));
    let failed = side_by_side(&binary, &chosen, &plan, jobs.max(1))?;
    if failed.is_empty() { Ok(()) } else { Err(format!("found something: {}", failed.join(", "))) }
}

/// The arguments that are no options.
fn names(args: &[String]) -> Vec<String> {
    let mut names = vec![];
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if WITH_VALUE.contains(&arg.as_str()) {
            rest.next();
        } else if !arg.starts_with("--") {
            names.push(arg.clone());
        }
    }
    names
}

/// Names and what is checked, as the list in the crate has them: it is read as text, so that nothing has to be built.
fn targets() -> Result<Vec<(String, String)>, Failure> {
    let file = root().join("crates/flott-fuzz/src/target/mod.rs");
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(listed(&text))
}

fn listed(text: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let line = line.trim().strip_prefix("of(")?;
        let (name, rest) = line.split_once(", ")?;
        let name = name.trim_matches('"').to_ascii_lowercase();
        let checks = rest.split('"').nth(1)?;
        Some((name, checks.to_string()))
    };
    text.lines().filter_map(line).collect()
}

/// Builds the program of all targets. The crates whose paths count are built with counters, by a wrapper of the compiler.
fn build() -> Result<PathBuf, Failure> {
    say("+ cargo build --release --locked --manifest-path fuzz/Cargo.toml");
    let status = crate::command("cargo")
        .args(["build", "--release", "--locked", "--quiet", "--manifest-path"])
        .arg(root().join("fuzz/Cargo.toml"))
        .env("RUSTC_WRAPPER", root().join("fuzz/instrument.sh"))
        .env("CARGO_TARGET_DIR", root().join("fuzz/target"))
        .env("CARGO_INCREMENTAL", "0")
        .current_dir(root())
        .status()
        .map_err(|e| format!("cargo cannot be started: {e}"))?;
    if !status.success() {
        return Err("the targets cannot be built; libFuzzer needs a C++ compiler".to_string());
    }
    Ok(root().join("fuzz/target/release/flott-libfuzzer"))
}

fn command(binary: &Path, name: &str) -> Command {
    let mut command = Command::new(binary);
    command.env("FLOTT_FUZZ_TARGET", name).env("RUST_BACKTRACE", "1").current_dir(root());
    command
}

/// One input, with all that it says.
fn rerun(binary: &Path, name: &str, input: &str) -> Result<(), Failure> {
    let here = std::env::current_dir().map_err(|e| e.to_string())?;
    let status = command(binary, name).arg(here.join(input)).status().map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("{name}: {input} breaks a property: {status}")) }
}

/// A target that fails on purpose: whoever runs targets must find it, and say so.
fn planted(binary: &Path, plan: &Plan) -> Result<(), Failure> {
    let executions = plan.executions.max(10_000_000);
    let done = Running::start(binary, PLANTED, &Plan { executions, ..*plan })?.wait()?;
    let reproducer = done.reproducer.clone().ok_or("the planted mistake was not found")?;
    if rerun(binary, PLANTED, &reproducer.display().to_string()).is_ok() {
        return Err("the reproducer of the planted mistake reproduces nothing".to_string());
    }
    say(&format!("the planted mistake was found after {} executions: {}", done.executions, reproducer.display()));
    Ok(())
}

/// Runs the targets, some at a time, and prints a line for each as it ends. Gives those that found something.
fn side_by_side(binary: &Path, names: &[&str], plan: &Plan, jobs: usize) -> Result<Vec<String>, Failure> {
    let mut waiting = names.iter();
    let mut running: Vec<Running> = vec![];
    let mut failed = vec![];
    loop {
        while running.len() < jobs {
            let Some(name) = waiting.next() else { break };
            running.push(Running::start(binary, name, plan)?);
        }
        if running.is_empty() {
            return Ok(failed);
        }
        let ended = running.iter_mut().position(Running::has_ended);
        let Some(at) = ended else {
            pause();
            continue;
        };
        let one = running.swap_remove(at);
        let name = one.name.clone();
        let done = one.wait()?;
        tell(&name, &done);
        if done.failed {
            failed.push(name);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for other processes")]
fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}

fn tell(name: &str, done: &Done) {
    let result = match (&done.reproducer, done.failed) {
        (Some(file), _) => format!("FOUND {}", shown(file)),
        (None, true) => "FAILED".to_string(),
        (None, false) => "ok".to_string(),
    };
    let Done { executions, per_second, peak_mb, corpus, .. } = done;
    say(&format!("{name:<18}{executions:>12}{per_second:>9}{peak_mb:>9}{corpus:>8}  {result}"));
    done.told.iter().for_each(|line| say(&format!("    {line}")));
    if let Some(file) = &done.reproducer {
        say(&format!("    again: cargo xtask fuzz {name} --input {}", shown(file)));
    }
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

/// A target that runs.
struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    corpus: PathBuf,
    began: Instant,
}

impl Running {
    #[expect(clippy::disallowed_methods, reason = "a command-line tool that measures")]
    fn start(binary: &Path, name: &str, plan: &Plan) -> Result<Running, Failure> {
        let folder = |kind: &str| {
            let folder = root().join("fuzz").join(kind).join(name);
            std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
            Ok::<_, Failure>(folder)
        };
        let (corpus, artifacts) = (folder("corpus")?, folder("artifacts")?);
        let log = artifacts.join("log.txt");
        let file = std::fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let mut command = command(binary, name);
        command
            .arg(&corpus)
            .arg(root().join("crates/flott-fuzz/corpus").join(name))
            .args([format!("-runs={}", plan.executions), format!("-seed={}", plan.seed)])
            .args([format!("-timeout={TIMEOUT_SECONDS}"), format!("-rss_limit_mb={RSS_MB_MAX}")])
            .args(["-print_final_stats=1", "-verbosity=0"])
            .arg(format!("-max_len={LENGTH_MAX}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()));
        if plan.seconds > 0 {
            command.arg(format!("-max_total_time={}", plan.seconds));
        }
        let child = command
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|e| format!("{} cannot be started: {e}", binary.display()))?;
        Ok(Running { name: name.to_string(), child, log, corpus, began: Instant::now() })
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn wait(mut self) -> Result<Done, Failure> {
        let status = self.child.wait().map_err(|e| e.to_string())?;
        let log = std::fs::read(&self.log).map_err(|e| format!("{}: {e}", self.log.display()))?;
        let mut done = read_log(&String::from_utf8_lossy(&log));
        done.failed = !status.success();
        done.corpus = std::fs::read_dir(&self.corpus).map_or(0, Iterator::count);
        if done.per_second == 0 {
            done.per_second = done.executions / self.began.elapsed().as_secs().max(1);
        }
        if done.failed && done.told.is_empty() {
            done.told.push(format!("{status}; see {}", shown(&self.log)));
        }
        Ok(done)
    }
}

/// What libFuzzer says at the end, and what a panic has said before.
fn read_log(log: &str) -> Done {
    let number = |key: &str| {
        let line = log.lines().rev().find_map(|l| l.strip_prefix(key));
        line.and_then(|l| l.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    let reproducer =
        log.lines().find_map(|l| l.split_once("Test unit written to ")).map(|(_, file)| PathBuf::from(file.trim()));
    let panic = log.lines().position(|l| l.contains("panicked at"));
    let lines = |from: usize, count: usize| log.lines().skip(from).take(count).map(cut).collect::<Vec<_>>();
    let told = match panic {
        Some(at) => lines(at, 4),
        None => log.lines().filter(|l| l.contains("ERROR: libFuzzer")).take(2).map(cut).collect(),
    };
    Done {
        executions: number("stat::number_of_executed_units:"),
        per_second: number("stat::average_exec_per_sec:"),
        peak_mb: number("stat::peak_rss_mb:"),
        reproducer,
        told,
        ..Done::default()
    }
}

fn cut(line: &str) -> String {
    line.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_as_text() {
        let text = "\n    of(\"csv\", csv::run, \"csv: a, b\"),\n    of(PLANTED, planted::run, \"fails\"),\nconst fn of(name: &'static str";
        assert_eq!(
            listed(text),
            [("csv".to_string(), "csv: a, b".to_string()), ("planted".to_string(), "fails".to_string())]
        );
        let all = targets().expect("the list");
        assert!(all.len() > 25 && all.iter().any(|(name, _)| name == PLANTED), "{all:?}");
    }

    #[test]
    fn what_a_fuzzer_says_is_read() {
        let ok =
            read_log("stat::number_of_executed_units: 1000\nstat::average_exec_per_sec: 500\nstat::peak_rss_mb: 71\n");
        assert_eq!((ok.executions, ok.per_second, ok.peak_mb, ok.reproducer), (1000, 500, 71, None));
        let log = "thread '<unnamed>' panicked at a.rs:1:2:\nindex out of range\nartifact_prefix='x/'; Test unit written to x/crash-1\nstat::number_of_executed_units: 7\n";
        let found = read_log(log);
        assert_eq!((found.executions, found.reproducer), (7, Some(PathBuf::from("x/crash-1"))));
        assert!(found.told[1].contains("out of range"));
    }
}
