//! Development tasks: `cargo xtask test`, `ci`, `tidy`, `docs`, `functions`, `goldens`, `chaos`, `fuzz`, `services`, `bench`.

mod bench;
mod chaos;
mod ci;
mod docs;
mod functions;
mod fuzz;
mod services;
mod sim;
mod tidy;
mod unstable;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Why a task failed.
pub(crate) type Failure = String;

const USAGE: &str = "\
cargo xtask TASK

  test              builds what the tests need and runs them all, then kill cycles; a test that fails is run once more,
                    alone, and named UNSTABLE at the end where it passes then
  test ARGS         the tests that cargo test chooses by ARGS
  ci                every check: fmt, clippy, doc, tidy, machete, deny, typos
  tidy              the dependency table, file headers, links, generated docs
  docs              writes the generated docs
  functions         prints Flink's functions: implemented, cases, differences
  chaos [OPTIONS]   kills a job again and again and checks its output against a ledger
                      --pipeline files|files-two-sinks|processes|processes-two-sinks|s3|kafka-kafka|kafka-files|
                                 nats-kafka|nats-nats
                      --cycles N  --seed S  --rows N  --release  --binary FILE
                      --every-kind    goes on until every kind of event has come about
                      --at POINT      every kill where this point is passed first, and how long a restart takes to it:
                                      after_commit_before_source_ack is the first checkpoint that is new, of files the first
                                      output (at the points before it a restart repeats what was decided before its kill);
                                      'output' is the first committed output that an observer sees
                      --all           every pipeline and every mistake of the test command, in one process as there
                      --planted drop-row|duplicate-on-recovery|commit-before-decided|acknowledge-before-committed|
                                acknowledge-before-decided: the job is made to do wrong, and has to be found out
  conformance [FILE..] [--only PART]
                    runs Flink's semantic programs (one JSON object a line) and scores them; the last line is JSON
  differential [--queries N] [--seed S] [--mode streaming|batch] [--mini-batch ROWS] [--set KEY=VALUE] [--gateway URL]
                    random queries on Flott and on a real Flink behind its SQL gateway; a difference is made smaller
  differential --script FILE
                    the queries of a script, after statements that both run
  differential --expressions N [--seed S] [--depth D] | --from FILE
                    random expressions, or those of a file (one a line): values, types and what both refuse
  goldens [--only NAME] [--gateway URL]
                    records the expected rows of tests/sql/function/*.slt anew from Flink
  services up|down|env|status NAME
                    real servers for tests and benchmarks: versitygw (S3), minio (S3), kafka, nats, redis
  sim [OPTIONS]     explores the checkpoint protocol: in every order, and under seeds
                      --seeds N  --first SEED  --size WORKERS,SINKS,EPOCHS,CRASHES  --sleepers N
  fuzz [TARGET..] [OPTIONS]
                    runs everything that reads bytes or text under libFuzzer (docs/fuzzing.md); needs a C++ compiler
                      --executions N  --seconds S  --jobs N  --seed S  --list  --binary FILE
                      --input FILE    one input again, with what it says
                      --planted       a target that fails on purpose: it has to be found
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match args.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    let asks = rest.first().is_some_and(|a| a == "--help" || a == "-h");
    let done = match if asks { "help" } else { task } {
        "test" => ci::test(rest),
        "ci" => ci::checks(),
        "tidy" => tidy::run(),
        "docs" => docs::write(),
        "functions" => functions::run(),
        "chaos" => chaos::run(rest),
        "conformance" => conformance(rest),
        "differential" => differential(rest),
        "goldens" => goldens(rest),
        "services" => services::run(rest),
        "sim" => sim::run(rest),
        "fuzz" => fuzz::run(rest),
        "bench" => bench::run(rest),
        "help" | "--help" | "-h" => {
            say(&format!("{USAGE}{}", bench::USAGE));
            Ok(())
        }
        other => Err(format!("there is no task '{other}'\n\n{USAGE}{}", bench::USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(&format!("FAILED: {message}"));
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}

/// Prints a line: this is a command-line tool.
#[expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// The binary as tests have built it: with the features of the whole workspace, so that nothing is compiled twice.
pub(crate) fn debug_binary() -> Result<PathBuf, Failure> {
    // As the tests are built, which use it: `cargo build` takes other features of what it needs, and would build all anew.
    run("cargo", &["test", "--quiet", "--locked", "--workspace", "--no-run"])?;
    Ok(root().join("target/debug/flott"))
}

/// A command without what cargo has told this program of itself. Build scripts ask for it (that of `ring` does): cargo, called
/// from here, would build everything behind them anew, and once more when it is called by hand.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let is_of_this = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_this) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command in the workspace's folder and shows what it prints.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<(), Failure> {
    run_with(program, args, &[])
}

/// The same, with more environment variables.
pub(crate) fn run_with(program: &str, args: &[&str], variables: &[(String, String)]) -> Result<(), Failure> {
    say(&format!("+ {program} {}", args.join(" ")));
    let status = command(program)
        .args(args)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir(root())
        .status()
        .map_err(|e| format!("{program} cannot be started: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} {}: {status}", args.join(" "))) }
}

/// Runs the programs of files that are named from where the user stands; by default those beside the checkout.
fn conformance(args: &[String]) -> Result<(), Failure> {
    let here = std::env::current_dir().map_err(|e| e.to_string())?;
    let place = |a: &String| if here.join(a).is_file() { here.join(a).display().to_string() } else { a.clone() };
    let files: Vec<String> = args.iter().map(place).collect();
    let fixed = ["run", "--quiet", "--locked", "-p", "flott-conformance", "--"];
    let command: Vec<&str> = fixed.into_iter().chain(files.iter().map(String::as_str)).collect();
    run("cargo", &command)
}

/// Random queries beside a real Flink.
fn differential(args: &[String]) -> Result<(), Failure> {
    let fixed = ["run", "--quiet", "--locked", "-p", "flott-differential", "--"];
    let command: Vec<&str> = fixed.into_iter().chain(args.iter().map(String::as_str)).collect();
    run("cargo", &command)
}

/// The expected rows of the functions' cases, from a real Flink.
fn goldens(args: &[String]) -> Result<(), Failure> {
    let mut all = vec!["--goldens".to_string(), "tests/sql/function".to_string()];
    all.extend_from_slice(args);
    differential(&all)
}

/// Refuses what a task does not know: an option that is spelled wrong would run something else.
pub(crate) fn known_options(args: &[String], with_value: &[&str], flags: &[&str]) -> Result<(), Failure> {
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        if with_value.contains(&arg) {
            args.next();
        } else if !flags.contains(&arg) {
            let known: Vec<&str> = with_value.iter().chain(flags).copied().collect();
            return Err(format!("there is no option '{arg}' here; there are {}", known.join(", ")));
        }
    }
    Ok(())
}

/// The value after `name`, parsed.
pub(crate) fn option<T: std::str::FromStr>(args: &[String], name: &str, default: T) -> Result<T, Failure> {
    match args.iter().position(|a| a == name) {
        None => Ok(default),
        Some(i) => args
            .get(i + 1)
            .and_then(|v| v.parse().ok())
            .ok_or_else(|| format!("{name} needs a value of the right form")),
    }
}
