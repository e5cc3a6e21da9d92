//! What goes to the terminal: results to stdout, everything else to stderr.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use clap::{Args, ValueEnum};
use flott::{Error, ErrorKind, Result};
use tracing_subscriber::EnvFilter;

use crate::exit::Failure;
use crate::sql::ShellLog;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What every command takes.
#[derive(Args)]
#[command(next_help_heading = "Log lines, on stderr")]
pub(crate) struct LogArgs {
    /// The least level: error, warn, info, debug, trace (the last two of Flott alone), or MODULE=LEVEL, .. (FLOTT_LOG)
    /// [default: warn on a terminal, else info]
    #[arg(long, global = true, env = "FLOTT_LOG", hide_env = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// With json also messages and errors are log lines (FLOTT_LOG_FORMAT)
    #[arg(
        long,
        global = true,
        env = "FLOTT_LOG_FORMAT",
        hide_env = true,
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,
}

/// The format, once logging is set up.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// What an error about stdout carries.
const STREAM: (&str, &str) = ("stream", "stdout");

/// Prints to stdout. A closed pipe (`| head`) ends the run quietly.
pub(crate) fn out(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|e| Error::from(e).with(STREAM.0, STREAM.1))
}

/// Whether the error is that nobody reads stdout any more.
pub(crate) fn is_closed_pipe(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|e| e.downcast_ref::<std::io::Error>());
    error.context(STREAM.0) == Some(STREAM.1) && cause.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Tells something on stderr; where that is closed there is nobody to tell.
pub(crate) fn note(text: &str) {
    if is_json() {
        tracing::info!("{text}");
    } else {
        drop(writeln!(std::io::stderr().lock(), "{text}"));
    }
}

/// Whether a person looks at stderr.
pub(crate) fn is_terminal() -> bool {
    std::io::stderr().is_terminal() && !is_json()
}

/// How wide the terminal behind stdout is; `None` where there is none.
pub(crate) fn columns() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(stdout).map(|size| usize::from(size.ws_col)).ok().filter(|columns| *columns > 0)
}

/// An error as people read it: what, where, and what to do.
pub(crate) fn error(e: &Error) {
    if is_closed_pipe(e) {
        return;
    }
    if is_json() {
        let backtrace = e.backtrace().map(ToString::to_string).filter(|b| !b.is_empty());
        tracing::error!(kind = e.kind().code(), backtrace, "{e}");
        return;
    }
    note(&format!("Error: {e}"));
    if e.kind() == ErrorKind::Internal {
        note("This is a bug in Flott. Please report it with the script and this message.");
        if let Some(backtrace) = e.backtrace().map(ToString::to_string).filter(|b| b.len() > 40) {
            note(&backtrace);
        }
    }
}

/// An error in the form of Flink's client: what could not be done, and why.
pub(crate) fn client_error(what: &str, e: &Error) {
    if is_json() || is_closed_pipe(e) {
        return error(e);
    }
    let text = format!("[ERROR] {what} Reason:\n{e}");
    if is_terminal() { note(&format!("\x1b[31;1m{text}\x1b[0m")) } else { note(&text) }
}

/// A message in the form of Flink's client, on stdout.
pub(crate) fn client_info(text: &str) -> Result<()> {
    let text = format!("[INFO] {text}");
    let is_terminal = std::io::stdout().is_terminal();
    out(&if is_terminal { format!("\x1b[34;1m{text}\x1b[0m\n") } else { format!("{text}\n") })
}

/// Levels by their names.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// What is logged. A word alone has to be a level: the filter would take it for a module, of which it logs everything.
fn filter(text: &str) -> Result<EnvFilter> {
    // What has spans and fields is the filter's own to check.
    let words = text.split(',').map(str::trim).filter(|part| !part.contains(['[', ']', '{', '}', ':']));
    for part in words.filter(|word| !word.is_empty() || text.trim().is_empty()) {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level.trim());
        if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
            return Err(Error::user(format!("'{level}' is not a log level")));
        }
    }
    EnvFilter::try_new(text).map_err(|e| Error::user(format!("'{text}' is not a log level")).caused_by(e))
}

/// Sets up log lines on stderr; those of an interactive shell wait while somebody types.
pub(crate) fn logging(args: &LogArgs, in_shell: bool) -> Result<(), Failure> {
    FORMAT.get_or_init(|| args.log_format);
    // Each try of a store that is away would be a line; what comes of them is told by the job.
    let level = args.log_level.as_deref().unwrap_or(if is_terminal() { "warn" } else { "info,object_store=warn" });
    // Of debug and trace other libraries have very much to say; MODULE=LEVEL asks for it.
    let level = match level.trim() {
        fine if ["debug", "trace"].iter().any(|l| l.eq_ignore_ascii_case(fine)) => format!("info,flott={fine}"),
        other => other.to_string(),
    };
    let filter = filter(&level).map_err(|error| {
        if is_json() {
            errors_as_log_lines();
        }
        Failure::of_arguments(error.hint("Write error, warn, info, debug, trace or off, or MODULE=LEVEL, .."))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    if in_shell && is_terminal() {
        let lines = builder.with_target(false).without_time().with_level(false).with_ansi(false);
        lines.with_writer(ShellLog).init();
        return Ok(());
    }
    let builder = builder.with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => builder.with_target(false).with_ansi(is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Log lines for an error that ends the process before its logging can be set up as the user wants it.
pub(crate) fn errors_as_log_lines() {
    FORMAT.get_or_init(|| LogFormat::Json);
    let builder = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_writer(std::io::stderr);
    builder.json().flatten_event(true).init();
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn a_level_is_one_of_the_list() {
        for good in [
            "warn",
            "DEBUG",
            "off",
            "info,flott_cluster=trace",
            "flott_runtime=debug, warn",
            "info,",
            "flott[job{id}]=debug",
        ] {
            filter(good).unwrap_or_else(|e| panic!("{good}: {e}"));
        }
        for wrong in ["silly", "flott_cluster", "flott_cluster=silly", "info,loud", "", "lout=="] {
            let e = filter(wrong).map(drop).expect_err(wrong).to_string();
            assert!(e.contains("is not a log level"), "{e}");
        }
    }
}
