//! `flott sql`: the shell.

mod complete;
mod history;
mod log_lines;
mod pipe;
mod shell;
mod terminal;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use flott_core::id;

use crate::exit::Failure;
use crate::script::{self, Earlier, SessionArgs};
pub(crate) use log_lines::ShellLog;
pub(crate) use shell::HELP;
use shell::{Next, Script, Shell};

/// Characters of the name that tells the jobs of one shell from those of another.
const NAME_CHARS: usize = 8;

#[derive(Args)]
#[command(after_help = "\
Examples:
  flott sql                                  an interactive shell; HELP; lists its commands
  flott sql -i tables.sql                    the same, after the definitions of a file
  flott sql -f report.sql                    run the statements of a file up to the first error
  echo \"SELECT 1;\" | flott sql               run the statements of a pipe

Relative paths start at the working directory.")]
pub(crate) struct SqlArgs {
    #[command(flatten)]
    session: SessionArgs,
    /// Run the statements of a file and end; the first error ends it
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Run the statements of a file first; an error in it ends the shell
    #[arg(short, long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Where the statements are kept that were typed [default: ~/.local/state/flott/sql-history]
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

impl SqlArgs {
    /// Whether somebody types.
    pub(crate) fn is_interactive(&self) -> bool {
        self.file.is_none() && std::io::stdin().is_terminal()
    }
}

pub(crate) fn sql(args: &SqlArgs) -> Result<ExitCode, Failure> {
    let runtime = script::runtime()?;
    let read = |file: &Path| script::read(file).map(|text| Script { file: file.to_path_buf(), text });
    let init = args.init.as_deref().map(read).transpose()?;
    let file = args.file.as_deref().map(read).transpose()?;
    // Jobs of other shells have other names, and so other checkpoints.
    let name = format!("sql-{}", id::random_hex().chars().take(NAME_CHARS).collect::<String>());
    let session = script::session(&args.session, Path::new("."), &name, Earlier::default())?;
    let interactive = args.is_interactive();
    let mut shell = runtime.block_on(async { Shell::new(session, interactive) })?;
    let done = (|| {
        if let Some(init) = init {
            let next = runtime.block_on(shell.run_script(&init));
            if next != Next::Statement {
                return Ok(runtime.block_on(shell.finish(next)));
            }
        }
        match file {
            Some(file) => runtime.block_on(async {
                let next = shell.run_script(&file).await;
                Ok(shell.finish(next).await)
            }),
            None if interactive => terminal::interactive(&runtime, &mut shell, args.history.clone()),
            None => runtime.block_on(async {
                // What cannot be read ends the statements, and not the jobs of those before.
                let next = pipe::run(&mut shell).await.unwrap_or_else(|failure| {
                    shell.fail("Could not read SQL statements.", failure);
                    Next::Failed
                });
                Ok(shell.finish(next).await)
            }),
        }
    })();
    // Reads of files that nobody waits for any more must not hold the exit.
    runtime.shutdown_background();
    done
}
