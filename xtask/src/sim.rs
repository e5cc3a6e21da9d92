//! Explores the checkpoint protocol: every order of events of a small job, and larger ones under seeds.

use crate::{Failure, known_options, option, root, say};

/// Runs the simulation of `flott-cluster`; the same seed gives the same trace. With `--size` it explores a job of that size
/// in every order, as optimised code: only the crate that searches is compiled anew for it.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    known_options(args, &["--seeds", "--first", "--size", "--sleepers"], &[])?;
    let seeds: u64 = option(args, "--seeds", 1_000)?;
    let first: u64 = option(args, "--first", 0)?;
    let size: String = option(args, "--size", String::new())?;
    let sleepers: u8 = option(args, "--sleepers", 1)?;
    let mut command = crate::command("cargo");
    command.args(["test", "--locked", "-p", "flott-cluster", "--lib"]).current_dir(root());
    if size.is_empty() {
        command.args(["sim::", "--", "--nocapture"]);
        command.env("FLOTT_SIM_SEEDS", seeds.to_string()).env("FLOTT_SIM_FIRST", first.to_string());
    } else {
        command.args(["--config", "profile.dev.package.flott-cluster.opt-level=3"]);
        command.args(["sim::tests::every_order", "--", "--nocapture"]).env("FLOTT_SIM_SIZE", size);
        command.env("FLOTT_SIM_SLEEPERS", sleepers.to_string());
    }
    say("+ cargo test -p flott-cluster --lib sim::");
    let status = command.status().map_err(|e| format!("cargo cannot be started: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("the simulation found something: {status}")) }
}
