//! The `flott` command: a thin user of the library.

mod docs;
mod explain;
mod output;
mod progress;
mod run;
mod summary;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use flott::{Error, ErrorKind};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AFTER: &str = "\
Examples:
  flott run job.sql                          run a script; relative paths start at its folder
  flott run job.sql --restore latest         go on after a stop or a crash
  flott run job.sql -p 4 -D table.local-time-zone=Europe/Berlin
  flott explain job.sql                      show the plans of a script's jobs

Exit codes: 0 finished, 1 failed, 2 wrong usage or script, 3 another attempt has taken over, 130 stopped by Ctrl-C";

/// Flink SQL in one binary.
#[derive(Parser)]
#[command(name = "flott", version, about, after_help = AFTER)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a SQL script
    #[command(after_help = AFTER)]
    Run(RunArgs),
    /// Show the plans of a script's jobs without running them
    Explain(ExplainArgs),
    /// Print a page of the reference
    #[command(hide = true)]
    Docs {
        /// connectors, formats, configuration or functions
        page: String,
    },
}

/// What both commands take.
#[derive(Args)]
struct ScriptArgs {
    /// The script
    file: PathBuf,
    /// Set an option, as SET does
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    define: Vec<String>,
    /// Worker threads (parallelism.default); one per core where it is not said
    #[arg(short, long, value_name = "N")]
    parallelism: Option<u32>,
}

#[derive(Args)]
struct RunArgs {
    #[command(flatten)]
    script: ScriptArgs,
    /// Go on from the last checkpoint (latest), or from a checkpoint's folder
    #[arg(long, value_name = "latest|PATH", conflicts_with = "fresh")]
    restore: Option<String>,
    /// Start over; what an earlier run has committed stays
    #[arg(long)]
    fresh: bool,
    /// Let a restore drop state and outputs that the script no longer has
    #[arg(long)]
    allow_non_restored_state: bool,
    /// Write a summary of the run as JSON
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
}

#[derive(Args)]
struct ExplainArgs {
    #[command(flatten)]
    script: ScriptArgs,
    /// Show which kinds of change each operator emits
    #[arg(long)]
    changelog: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    output::logging();
    let done = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Explain(args) => explain::explain(&args).map(|()| ExitCode::SUCCESS),
        Command::Docs { page } => docs::print(&page).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|e| {
        output::error(&e);
        exit_code(&e)
    })
}

/// What the shell sees of an error.
fn exit_code(e: &Error) -> ExitCode {
    ExitCode::from(match e.kind() {
        ErrorKind::User => 2,
        ErrorKind::Fenced => 3,
        ErrorKind::Data | ErrorKind::Unavailable | ErrorKind::Internal => 1,
    })
}
