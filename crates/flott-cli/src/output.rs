//! What goes to the terminal: results to stdout, everything else to stderr.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use clap::{Args, ValueEnum};
use flott::{Error, ErrorKind, Result};
use tracing_subscriber::EnvFilter;

use crate::exit::Failure;

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
    /// The least level: error, warn, info, debug, trace, or MODULE=LEVEL, .. (FLOTT_LOG) [default: warn on a terminal,
    /// else info]
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
        let backtrace = e.backtrace().map(ToString::to_string).unwrap_or_default();
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

/// Sets up log lines on stderr.
pub(crate) fn logging(args: &LogArgs) -> Result<(), Failure> {
    FORMAT.get_or_init(|| args.log_format);
    let level = args.log_level.as_deref().unwrap_or(if is_terminal() { "warn" } else { "info" });
    let filter = EnvFilter::try_new(level).map_err(|e| {
        let error = Error::user(format!("'{level}' is not a log level")).caused_by(e);
        Failure::of_arguments(error.hint("Write error, warn, info, debug or trace, or MODULE=LEVEL, .."))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => builder.with_target(false).with_ansi(is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
