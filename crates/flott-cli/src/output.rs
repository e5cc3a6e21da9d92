//! What goes to the terminal: results to stdout, everything else to stderr.

use std::io::{IsTerminal, Write};

use flott::{Error, ErrorKind, Result};

/// Prints to stdout. A closed pipe (`| head`) ends the run quietly.
pub(crate) fn out(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Error::from)
}

/// Prints a line to stderr; where that is closed there is nobody to tell.
pub(crate) fn note(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Whether a person looks at stderr.
pub(crate) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// An error as people read it: what, where, and what to do.
pub(crate) fn error(e: &Error) {
    note(&format!("Error: {e}"));
    if e.kind() == ErrorKind::Internal {
        note("This is a bug in Flott. Please report it with the script and this message.");
        if let Some(backtrace) = e.backtrace().map(ToString::to_string).filter(|b| b.len() > 40) {
            note(&backtrace);
        }
    }
}

/// Log lines on stderr; FLOTT_LOG sets the level (`warn` where it is not set, `info` without a terminal).
pub(crate) fn logging() {
    let level = std::env::var("FLOTT_LOG").unwrap_or_else(|_| if is_terminal() { "warn" } else { "info" }.to_string());
    let filter = tracing_subscriber::EnvFilter::try_new(&level).unwrap_or_else(|_| "warn".into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    builder.with_ansi(is_terminal()).init();
}
