//! What has to pass before a change lands.

use std::process::Command;

use crate::chaos::Pipeline;
use crate::services::ForTests;
use crate::{Failure, chaos, run, run_with, say, tidy};

/// Kill cycles in the test command.
const TEST_KILL_CYCLES: [(Pipeline, u64); 5] = [
    (Pipeline::Files, 100),
    (Pipeline::FilesTwoSinks, 20),
    (Pipeline::Processes, 10),
    (Pipeline::ProcessesTwoSinks, 10),
    (Pipeline::S3, 15),
];
/// Servers that tests talk to.
const TEST_SERVICES: [&str; 2] = ["versitygw", "kafka"];

/// All tests, with the servers that they talk to, then kill cycles on the real binary.
pub(crate) fn test(args: &[String]) -> Result<(), Failure> {
    let mut all = vec!["test", "--workspace", "--locked"];
    all.extend(args.iter().map(String::as_str));
    // An example of a function is compiled to WebAssembly; without the target its test is skipped, and says why.
    if run("rustup", &["target", "add", "wasm32-unknown-unknown"]).is_err() {
        say("the target wasm32-unknown-unknown cannot be added: the test that compiles to it is skipped");
    }
    // Without it the tests that need it are skipped, and say why.
    let services = ForTests::start(&TEST_SERVICES)?;
    run_with("cargo", &all, &services.variables)?;
    drop(services);
    if args.is_empty() {
        for (pipeline, cycles) in TEST_KILL_CYCLES {
            chaos::cycles(&chaos::Plan { pipeline, cycles, ..chaos::Plan::default() })?;
        }
    }
    Ok(())
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
        let status = Command::new("cargo")
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
