//! Exit codes: what a script or a service manager can act upon.

use std::process::ExitCode;

use flott::{Error, ErrorKind};

use crate::output;

/// A job failed, or what it needs from outside is not there: the same command may do it later.
const FAILED: u8 = 1;
/// The command line or the script is wrong, or lacks a word: the same command fails again.
const WRONG: u8 = 2;
/// Another attempt has taken the job over.
const TAKEN_OVER: u8 = 3;
/// Nobody reads what is printed: what SIGPIPE would leave to the shell.
const CLOSED_PIPE: u8 = 141;
/// What Ctrl-C leaves to the shell.
pub(crate) const INTERRUPTED: u8 = 130;

/// For `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0    finished, or ended by flott stop or flott cancel
  1    a job failed, or a file or service that it needs is missing, changed or refuses: a later run may do it
  2    the command line or the script is wrong, or a word such as --restore is needed: the same run fails again
  3    another attempt has taken the job over
  130  stopped by Ctrl-C, SIGTERM or SIGHUP
  141  nobody reads the output any more";

/// An error, and what it means for the command as a whole.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    code: u8,
}

impl Failure {
    /// An argument is wrong, also where it names a file that is not there.
    pub(crate) fn of_arguments(error: Error) -> Failure {
        Failure { error, code: WRONG }
    }

    /// A statement could not be executed. A file that is in the way is no mistake of the script.
    pub(crate) fn of_statement(error: Error) -> Failure {
        let code = match error.kind() {
            _ if output::is_closed_pipe(&error) => CLOSED_PIPE,
            ErrorKind::User if !error.is_from_outside() => WRONG,
            ErrorKind::Fenced => TAKEN_OVER,
            _ => FAILED,
        };
        Failure { error, code }
    }

    /// A job ended with this.
    pub(crate) fn of_job(error: Error) -> Failure {
        let code = match error.kind() {
            ErrorKind::Fenced => TAKEN_OVER,
            _ if output::is_closed_pipe(&error) => CLOSED_PIPE,
            _ => FAILED,
        };
        Failure { error, code }
    }

    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.code == CLOSED_PIPE
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// Adds where it happened.
    pub(crate) fn with(self, what: &'static str, value: impl std::fmt::Display) -> Failure {
        Failure { error: self.error.with(what, value), code: self.code }
    }
}

/// What is not said otherwise came from a statement.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::of_statement(error)
    }
}

/// The user has stopped it.
pub(crate) fn interrupted() -> ExitCode {
    ExitCode::from(INTERRUPTED)
}

/// The user has stopped it, and nothing more is waited for.
pub(crate) fn leave_interrupted() -> ! {
    std::process::exit(i32::from(INTERRUPTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_whether_a_later_run_may_do_it() {
        let missing = || Error::from(std::io::Error::from(std::io::ErrorKind::NotFound));
        assert_eq!(Failure::of_arguments(missing()).code, WRONG);
        assert_eq!(Failure::of_statement(missing()).code, FAILED);
        assert_eq!(Failure::of_statement(Error::user("no such column")).code, WRONG);
        assert_eq!(Failure::of_statement(Error::unavailable("no answer")).code, FAILED);
        assert_eq!(Failure::of_job(Error::user("an object is gone")).code, FAILED);
        assert_eq!(Failure::of_job(Error::fenced("taken over")).code, TAKEN_OVER);
        let closed = || Error::user("closed").caused_by(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(Failure::of_job(closed().with("stream", "stdout")).code, CLOSED_PIPE);
        assert_eq!(Failure::of_job(closed().with("stream", "stderr")).code, FAILED);
    }
}
