//! Lines from a terminal: editing, history, completion.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flott::split::split;
use flott::{Error, JobClient, StopMode};
use futures::future::join_all;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::completion::Completer as LineCompleter;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::complete::Completer;
use super::history;
use super::log_lines::Typing;
use super::shell::{Next, Shell};
use crate::exit::{self, Failure};
use crate::output;

const PROMPT: &str = "Flott SQL> ";
const WELCOME: &str = "Welcome to Flott SQL! Enter 'HELP;' to list all available commands, 'QUIT;' to exit.\n\n";

/// Statements until the user has enough. An error ends a statement and not the shell.
pub(super) fn interactive(
    runtime: &Runtime,
    shell: &mut Shell,
    history_file: Option<PathBuf>,
) -> Result<ExitCode, Failure> {
    let named = history_file.is_some();
    let mut lines = Lines::open(shell, history_file.or_else(history::default_file), named)?;
    output::out(&format!("Flott {}\n{WELCOME}", env!("CARGO_PKG_VERSION")))?;
    runtime.spawn(end_when_terminated(shell.started(), tcgetattr(std::io::stdin()).ok()));
    runtime.block_on(shell.report());
    let end = loop {
        match lines.next(shell)? {
            Line::Statements(text) => match runtime.block_on(shell.run(&text)) {
                Next::Statement | Next::Failed => {}
                end @ (Next::Quit | Next::Terminated) => break end,
            },
            Line::Nothing => {}
            Line::End => break Next::Quit,
        }
        runtime.block_on(shell.report());
    };
    runtime.block_on(shell.finish(end));
    Ok(if end == Next::Terminated { exit::interrupted() } else { ExitCode::SUCCESS })
}

/// How long jobs that are cancelled may take to end.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);
/// Whoever signals a process and its group sends two signals, which are one.
const TOGETHER: Duration = Duration::from_millis(100);

/// SIGTERM ends the shell also while it waits for a line: jobs take a last checkpoint, and the terminal is left as it was. A second one
/// does not wait for that.
async fn end_when_terminated(started: Arc<Mutex<Vec<JobClient>>>, before: Option<Termios>) {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    terminate.recv().await;
    let again = async {
        tokio::time::timeout(TOGETHER, terminate.recv()).await.ok();
        terminate.recv().await
    };
    let jobs: Vec<JobClient> = started.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let stopped = async {
        for job in &jobs {
            if let Err(error) = job.request_stop(StopMode::suspend()).await {
                tracing::debug!(%error, "it has ended before");
            }
        }
        join_all(jobs.iter().map(JobClient::ended)).await
    };
    tokio::select! {
        _ = stopped => {}
        _ = again => {
            jobs.iter().for_each(JobClient::try_cancel);
            tokio::time::timeout(CANCEL_PATIENCE, join_all(jobs.iter().map(JobClient::ended))).await.ok();
        }
    }
    if let Some(before) = before
        && let Err(error) = tcsetattr(std::io::stdin(), OptionalActions::Now, &before)
    {
        tracing::debug!(%error, "the terminal is gone");
    }
    std::process::exit(i32::from(exit::INTERRUPTED));
}

/// What a user has entered.
enum Line {
    Statements(String),
    /// Ctrl-C, or an empty line.
    Nothing,
    /// Ctrl-D, or the terminal is gone.
    End,
}

struct Lines {
    editor: Editor<Assistant, FileHistory>,
    /// `None` where history is not kept.
    history: Option<PathBuf>,
}

impl Lines {
    fn open(shell: &Shell, file: Option<PathBuf>, named: bool) -> Result<Lines, Failure> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_space(true)
            .max_history_size(history::ENTRIES_MAX)
            .map_err(failed)?
            .build();
        let mut editor = Editor::with_config(config).map_err(failed)?;
        editor.set_helper(Some(Assistant(Completer::new(shell.session.registry())?)));
        let history = match file.as_deref().map(history::prepare) {
            Some(Ok(())) => file,
            // A file that the user has named must be there; the shell works without the other one.
            Some(Err(e)) if named => return Err(Failure::of_arguments(e)),
            Some(Err(e)) => {
                tracing::warn!("what is typed is not kept: {e}");
                None
            }
            None => None,
        };
        if let Some(file) = &history
            && let Err(error) = editor.load_history(file)
        {
            tracing::warn!(%error, "the history cannot be read");
        }
        Ok(Lines { editor, history })
    }

    fn next(&mut self, shell: &Shell) -> Result<Line, Failure> {
        if let Some(Assistant(completer)) = self.editor.helper_mut() {
            completer.update(shell.session.vocabulary());
        }
        let read = {
            let _typing = Typing::begin();
            self.editor.readline(PROMPT)
        };
        match read {
            Ok(text) if text.trim().is_empty() => Ok(Line::Nothing),
            Ok(text) => {
                self.remember(&text);
                Ok(Line::Statements(text))
            }
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => Ok(Line::Nothing),
            Err(ReadlineError::Eof | ReadlineError::Io(_) | ReadlineError::Errno(_)) => Ok(Line::End),
            Err(e) => Err(failed(e)),
        }
    }

    fn remember(&mut self, text: &str) {
        if history::may_hold_secret(text) {
            return;
        }
        let kept = self.editor.add_history_entry(text.trim()).and_then(|_| match &self.history {
            Some(file) => self.editor.append_history(file),
            None => Ok(()),
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "what is typed is not kept");
            self.history = None;
        }
    }
}

fn failed(e: ReadlineError) -> Failure {
    Failure::of_statement(Error::unavailable("the terminal cannot be used").caused_by(e))
}

/// What the editor asks while a user types.
struct Assistant(Completer);

impl Helper for Assistant {}
impl Highlighter for Assistant {}

impl Hinter for Assistant {
    type Hint = String;
}

impl LineCompleter for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        // Text that is pasted raw holds tabs that ask for nothing.
        if line.get(..pos).is_some_and(begins_a_later_line) {
            return Ok((pos, vec![INDENT.to_string()]));
        }
        Ok(self.0.complete(line, pos))
    }
}

impl Validator for Assistant {
    /// Enter ends the input behind a semicolon, and begins another line elsewhere.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_whole(context.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// What a tab stands for in front of a line's first word.
const INDENT: &str = "    ";

/// Whether nothing stands between the cursor and the last line break.
fn begins_a_later_line(before: &str) -> bool {
    before.rsplit_once('\n').is_some_and(|(_, line)| line.trim().is_empty())
}

/// Commands of one word need no semicolon.
fn is_whole(text: &str) -> bool {
    let split = split(text);
    match split.rest {
        None => !split.open,
        Some(rest) => matches!(rest.word.as_deref(), Some("QUIT" | "EXIT" | "HELP" | "CLEAR")),
    }
}

#[cfg(test)]
mod tests {
    use super::{begins_a_later_line, is_whole};

    #[test]
    fn input_goes_on_up_to_a_semicolon() {
        for whole in ["", "  ", "SELECT 1;", "SELECT 1; -- that's it", "quit", "SELECT ';';", "SELECT 1; help"] {
            assert!(is_whole(whole), "{whole}");
        }
        for part in ["SELECT", "SELECT ';", "SELECT 1; SELECT", "/* ", "BEGIN STATEMENT SET;", "quit now"] {
            assert!(!is_whole(part), "{part}");
        }
    }

    #[test]
    fn a_tab_in_front_of_a_later_line_indents_it() {
        assert!(begins_a_later_line("SELECT\n") && begins_a_later_line("SELECT a\n  "));
        assert!(!begins_a_later_line("") && !begins_a_later_line("  ") && !begins_a_later_line("SELECT\n  a"));
    }
}
