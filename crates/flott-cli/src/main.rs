//! The `flott` command: a thin user of the library. One file a command.

mod allocator;
mod arguments;
mod cancel;
mod canceled;
mod completions;
mod docs;
mod exit;
mod explain;
mod held;
mod infer;
mod interrupts;
mod list;
mod man;
mod metrics;
mod output;
mod progress;
mod query;
mod remote;
mod run;
mod savepoint;
mod script;
mod sql;
mod stop;
mod summary;
mod table;
mod watermarks;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit::Failure;
use crate::output::LogArgs;

const EXAMPLES: &str = "\
Examples:
  flott run job.sql                          run a script; relative paths start at its folder
  flott run job.sql --restore latest         go on after a stop or a crash
  flott run job.sql -p 4 -D table.local-time-zone=Europe/Berlin
  flott sql                                  type statements and see their results
  flott list                                 show the jobs that run
  flott stop job --savepoint backup          stop one with a savepoint
  flott explain job.sql                      show the plans of a script's jobs
  flott infer data/orders.csv                propose a CREATE TABLE for data";

/// Flink SQL in one binary.
#[derive(Parser)]
#[command(name = "flott", version, after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a SQL script
    #[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
    Run(run::RunArgs),
    /// Type SQL statements, or run those of a file or pipe, one by one
    Sql(sql::SqlArgs),
    /// Show the plans of a script's jobs without running them
    Explain(explain::ExplainArgs),
    /// Propose a CREATE TABLE for a file, a topic or a subject of a schema registry
    Infer(infer::InferArgs),
    /// List the running jobs of this user
    List(list::ListArgs),
    /// Take a savepoint of a running job, which goes on
    Savepoint(savepoint::SavepointArgs),
    /// Stop a running job with a last checkpoint or a savepoint
    Stop(stop::StopArgs),
    /// End a running job at once
    Cancel(cancel::CancelArgs),
    /// Print what a running job measures
    Metrics(metrics::MetricsArgs),
    /// Show how far event time has come in a running job, and what holds it back
    Watermarks(watermarks::WatermarksArgs),
    /// Print the completions of a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page
    Man(man::ManArgs),
    /// Print a page of the reference
    Docs(docs::DocsArgs),
    /// One process of a job of `run --processes`
    #[command(hide = true)]
    Worker,
}

fn main() -> ExitCode {
    allocator::configure();
    let cli = Cli::try_parse().unwrap_or_else(|e| arguments::wrong(&e));
    command(&cli).unwrap_or_else(|failure| {
        output::error(&failure.error);
        failure.code()
    })
}

fn command(cli: &Cli) -> Result<ExitCode, Failure> {
    let in_shell = matches!(&cli.command, Command::Sql(args) if args.is_interactive());
    output::logging(&cli.log, in_shell)?;
    let done = |()| ExitCode::SUCCESS;
    match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Sql(args) => sql::sql(args),
        Command::Explain(args) => explain::explain(args).map(done),
        Command::Infer(args) => infer::infer(args).map(done),
        Command::List(args) => list::list(args).map(done),
        Command::Savepoint(args) => savepoint::savepoint(args).map(done),
        Command::Stop(args) => stop::stop(args).map(done),
        Command::Cancel(args) => cancel::cancel(args).map(done),
        Command::Metrics(args) => metrics::metrics(args).map(done),
        Command::Watermarks(args) => watermarks::watermarks(args).map(done),
        Command::Completions(args) => completions::print(args).map(done),
        Command::Man(args) => man::print(args).map(done),
        Command::Docs(args) => docs::print(args).map(done),
        Command::Worker => worker::run(),
    }
}
