//! What has to pass before a change lands.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use crate::chaos::Pipeline;
use crate::services::ForTests;
use crate::{Failure, chaos, run, run_with, say, tidy, unstable};

/// Kill cycles in the test command, rows of a round, and whether it goes on until every kind of event has come about.
const TEST_KILL_CYCLES: [(Pipeline, u64, u64, bool); 8] = [
    (Pipeline::Files, 100, ROWS, true),
    (Pipeline::FilesTwoSinks, 30, ROWS, true),
    (Pipeline::Processes, 40, ROWS, true),
    (Pipeline::ProcessesTwoSinks, 40, ROWS, true),
    (Pipeline::S3, 30, ROWS, true),
    (Pipeline::KafkaKafka, 6, ROWS / 4, false),
    (Pipeline::KafkaFiles, 6, ROWS / 4, false),
    (Pipeline::NatsKafka, 6, ROWS / 4, false),
];
const ROWS: u64 = 200_000;
/// Mistakes that the kill cycles have to find: the harness is not to pass whatever happens. One that drops a row needs many. What is
/// acknowledged too early only a source of Kafka shows.
const TEST_MISTAKES: [(Pipeline, &str, u64); 7] = [
    (Pipeline::FilesTwoSinks, "drop-row", ROWS),
    (Pipeline::FilesTwoSinks, "duplicate-on-recovery", ROWS),
    (Pipeline::FilesTwoSinks, "commit-before-decided", ROWS),
    (Pipeline::FilesTwoSinks, "acknowledge-before-committed", ROWS),
    (Pipeline::KafkaFiles, "drop-row", ROWS),
    (Pipeline::KafkaKafka, "duplicate-on-recovery", ROWS / 4),
    (Pipeline::KafkaKafka, "acknowledge-before-decided", ROWS / 4),
];
/// Cycles after which a mistake has to be found.
const TEST_MISTAKE_CYCLES: u64 = 200;
/// Servers that tests talk to.
const TEST_SERVICES: [&str; 4] = ["versitygw", "kafka", "nats", "redis"];
/// Those that kill cycles talk to.
const KILL_CYCLE_SERVICES: [&str; 3] = ["versitygw", "kafka", "nats"];

/// All tests, with the servers that they talk to, then kill cycles on the real binary.
pub(crate) fn test(args: &[String]) -> Result<(), Failure> {
    // An example of a function is compiled to WebAssembly; without the target its test is skipped, and says why.
    if run("rustup", &["target", "add", "wasm32-unknown-unknown"]).is_err() {
        say("the target wasm32-unknown-unknown cannot be added: the test that compiles to it is skipped");
    }
    // Without it the tests that need it are skipped, and say why.
    let mut services = ForTests::start(&TEST_SERVICES)?;
    if !args.is_empty() {
        let fixed = ["test", "--workspace", "--locked"];
        let all: Vec<&str> = fixed.into_iter().chain(args.iter().map(String::as_str)).collect();
        return run_with("cargo", &all, &services.variables);
    }
    let skipped = Skipped::start();
    services.variables.push(skipped.variable());
    let unstable = unstable::run(&services.variables)?;
    drop(services);
    kill_cycles()?;
    for test in unstable {
        say(&format!("UNSTABLE: {test} failed among all tests (see above) and passed alone"));
    }
    skipped.tell();
    Ok(())
}

/// The kill cycles of the test command, and the mistakes that they have to find.
pub(crate) fn kill_cycles() -> Result<(), Failure> {
    // One set for all of them.
    let services = ForTests::start(&KILL_CYCLE_SERVICES)?;
    for (pipeline, cycles, rows, every_kind) in TEST_KILL_CYCLES {
        chaos::cycles(&chaos::Plan { pipeline, cycles, rows, every_kind, ..chaos::Plan::default() })?;
    }
    for (pipeline, mistake, rows) in TEST_MISTAKES {
        let (planted, cycles) = (Some(mistake.to_string()), TEST_MISTAKE_CYCLES);
        chaos::cycles(&chaos::Plan { pipeline, planted, cycles, rows, ..chaos::Plan::default() })?;
    }
    drop(services);
    Ok(())
}

/// Tests that could not run. They pass, and of tests that pass nothing is printed: they write into a file what they miss.
struct Skipped(PathBuf);

impl Skipped {
    fn start() -> Skipped {
        let file = crate::root().join("target/skipped-tests.txt");
        drop(std::fs::remove_file(&file));
        Skipped(file)
    }

    /// What tells the tests of the file.
    fn variable(&self) -> (String, String) {
        ("FLOTT_TEST_SKIPPED".to_string(), self.0.display().to_string())
    }

    /// The last lines of a run are read: there it stands what it did not test.
    fn tell(&self) {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let lines: BTreeSet<&str> = text.lines().collect();
        for line in &lines {
            say(&format!("SKIPPED: {line}"));
        }
    }
}

/// All other checks.
pub(crate) fn checks() -> Result<(), Failure> {
    run("cargo", &["fmt", "--all", "--check"])?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    tidy::run()?;
    rustdoc()?;
    tool("cargo-machete", "0.9.2", &[])?;
    // Not through cargo: inside of `cargo xtask` it takes the name of its own command for a path.
    run("cargo-machete", &["."])?;
    tool("cargo-deny", "0.20.2", &[])?;
    // It reads the manifests of all platforms' dependencies, of which a build has fetched only its own.
    run("cargo", &["fetch", "--locked"])?;
    run("cargo", &["deny", "--offline", "--log-level", "error", "check", "bans", "licenses", "sources"])?;
    typos()
}

/// The command and the library are both called flott and write into one folder: at the same time one removes what the other
/// is about to write.
fn rustdoc() -> Result<(), Failure> {
    for of in [["--workspace", "--exclude", "flott-cli"].as_slice(), &["--package", "flott-cli"]] {
        say(&format!("+ cargo doc {} --no-deps (warnings are errors)", of.join(" ")));
        let status = crate::command("cargo")
            .arg("doc")
            .args(of)
            .args(["--no-deps", "--locked", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings")
            .current_dir(crate::root())
            .status()
            .map_err(|e| e.to_string())?;
        if !status.success() {
            return Err("cargo doc".to_string());
        }
    }
    Ok(())
}

/// Installs a cargo tool where it is missing, without optimisation: it runs once.
fn tool(name: &str, version: &str, features: &[&str]) -> Result<(), Failure> {
    let there = Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    if there {
        return Ok(());
    }
    let mut args = vec!["install", "--locked", "--debug", name, "--version", version];
    args.extend(features);
    run("cargo", &args)
}

/// Spelling. The tool comes as a Python wheel, since building it takes longer than all checks together.
fn typos() -> Result<(), Failure> {
    let there = Command::new("typos").arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        run("python3", &["-m", "pip", "install", "--quiet", "typos==1.52.0"])?;
    }
    run("typos", &["--config", "_typos.toml"])
}
