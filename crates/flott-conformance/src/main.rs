//! `cargo xtask conformance [FILE..]`: runs the programs of the files and prints the scores; the last line is JSON.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use flott_conformance::{Report, run_all};

/// Where the programs lie beside a checkout.
const BESIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/conformance/programs.jsonl");

/// Runs Flink's semantic test programs and scores them.
#[derive(Parser)]
struct Args {
    /// Files with one program, a JSON object, a line
    files: Vec<PathBuf>,
    /// Only programs whose class or id holds this
    #[arg(long, default_value = "")]
    only: String,
}

#[tokio::main(worker_threads = 2)]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its user")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let files = if args.files.is_empty() { vec![PathBuf::from(BESIDE)] } else { args.files };
    let mut report = Report::default();
    for file in files {
        let ran = match std::fs::read_to_string(&file) {
            Ok(lines) => run_all(&lines, &args.only, &mut report).await,
            Err(e) => Err(e.to_string()),
        };
        if let Err(e) = ran {
            eprintln!("{}: {e}", file.display());
            return ExitCode::FAILURE;
        }
    }
    println!("{}", report.text());
    ExitCode::SUCCESS
}
