//! One error for every crate border: its kind is an instruction to the runtime, its text one to the reader.

use std::backtrace::Backtrace;
use std::fmt;
use std::sync::Arc;

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What has to happen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The script, an option or a file name is wrong: fail, and show where.
    User,
    /// A record is wrong: the source's policy decides (fail, skip and count, dirty rows).
    Data,
    /// Something outside is away: restart with back-off.
    Unavailable,
    /// A newer attempt has taken over: this one stops, and commits nothing.
    Fenced,
    /// A bug in Flott: fail, keep the backtrace.
    Internal,
}

impl ErrorKind {
    /// A stable word for logs and summaries.
    pub fn code(self) -> &'static str {
        match self {
            ErrorKind::User => "USER",
            ErrorKind::Data => "DATA",
            ErrorKind::Unavailable => "UNAVAILABLE",
            ErrorKind::Fenced => "FENCED",
            ErrorKind::Internal => "INTERNAL",
        }
    }
}

/// A place in a text: line and column from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

#[derive(Debug, Default)]
struct Details {
    position: Option<Position>,
    context: Vec<(&'static str, String)>,
    hint: Option<String>,
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
    backtrace: Option<Backtrace>,
    outside: bool,
}

/// An error with its kind, a message, what to do next, and where it happened. No secret is ever put into one.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    details: Box<Details>,
}

impl Error {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        let backtrace = (kind == ErrorKind::Internal).then(Backtrace::capture);
        Error { kind, message: message.into(), details: Box::new(Details { backtrace, ..Details::default() }) }
    }

    /// The user can mend it.
    pub fn user(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::User, message)
    }

    /// A record is wrong.
    pub fn data(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Data, message)
    }

    /// Something outside is away.
    pub fn unavailable(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unavailable, message)
    }

    /// A newer attempt has taken over.
    pub fn fenced(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Fenced, message)
    }

    /// A bug.
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, message)
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.details.hint = Some(hint.into());
        self
    }

    /// Adds where it happened: `("table", "orders")`, `("column", "price")`, `("row", "17")`, `("file", ..)`, `("operator", ..)`.
    #[must_use]
    pub fn with(mut self, what: &'static str, value: impl fmt::Display) -> Error {
        if !self.details.context.iter().any(|(w, _)| *w == what) {
            self.details.context.push((what, value.to_string()));
        }
        self
    }

    /// Adds what it concerns in this caller's words, in place of what a lower layer has called it.
    #[must_use]
    pub fn renamed(mut self, what: &'static str, value: impl fmt::Display) -> Error {
        self.details.context.retain(|(w, _)| *w != what);
        self.with(what, value)
    }

    /// Adds the position in the script.
    #[must_use]
    pub fn at(mut self, position: Position) -> Error {
        self.details.position.get_or_insert(position);
        self
    }

    /// Says that a file or a service gave the answer, which may be another one later: no edit of the script is needed.
    #[must_use]
    pub fn from_outside(mut self) -> Error {
        self.details.outside = true;
        self
    }

    /// Keeps the error of a library below this one.
    #[must_use]
    pub fn caused_by(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
        self.details.cause = Some(Arc::new(cause));
        self
    }

    /// The instruction to the runtime.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without context and hint.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next.
    pub fn hint_text(&self) -> Option<&str> {
        self.details.hint.as_deref()
    }

    /// Where in the script.
    pub fn position(&self) -> Option<Position> {
        self.details.position
    }

    /// One item of the context.
    pub fn context(&self, what: &str) -> Option<&str> {
        self.details.context.iter().find(|(w, _)| *w == what).map(|(_, v)| v.as_str())
    }

    /// All items of the context, in the order in which they were added.
    pub fn contexts(&self) -> &[(&'static str, String)] {
        &self.details.context
    }

    /// Whether a file or a service gave the answer.
    pub fn is_from_outside(&self) -> bool {
        self.details.outside
    }

    /// Where an internal error was made.
    pub fn backtrace(&self) -> Option<&Backtrace> {
        self.details.backtrace.as_ref()
    }
}

impl Error {
    /// What went wrong and why, without place and hint: for an error that goes to another process, where the cause's own
    /// value cannot follow.
    pub fn message_and_cause(&self) -> String {
        match self.details.cause.as_ref().map(ToString::to_string) {
            Some(cause) if !self.message.contains(&cause) => format!("{}: {cause}", self.message),
            _ => self.message.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message_and_cause())?;
        let mut places: Vec<String> = self.details.context.iter().map(|(w, v)| format!("{w} {v}")).collect();
        places.extend(self.details.position.map(|p| p.to_string()));
        if !places.is_empty() {
            write!(f, " ({})", places.join(", "))?;
        }
        if let Some(hint) = &self.details.hint {
            write!(f, ". {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.details.cause.as_deref().map(|c| c as &(dyn std::error::Error + 'static))
    }
}

/// Arrow's kernels fail on wrong types and lengths: both are bugs here, except overflow and division, which are data.
impl From<arrow_schema::ArrowError> for Error {
    fn from(e: arrow_schema::ArrowError) -> Error {
        use arrow_schema::ArrowError as A;
        match e {
            A::DivideByZero => Error::data("division by zero"),
            A::ArithmeticOverflow(m) => Error::data(m),
            other => Error::internal("an Arrow kernel failed").caused_by(other),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Error {
        use std::io::ErrorKind as K;
        let (kind, hint) = match e.kind() {
            K::NotFound => (ErrorKind::User, "Check the path"),
            K::PermissionDenied => (ErrorKind::User, "Check who owns the file or folder and its permissions"),
            K::StorageFull | K::QuotaExceeded => (ErrorKind::Unavailable, "Free some space"),
            K::ReadOnlyFilesystem | K::NotADirectory | K::IsADirectory => (ErrorKind::User, "Choose another path"),
            K::InvalidFilename => {
                (ErrorKind::User, "A name is too long for the file system, or has characters that it does not take")
            }
            K::CrossesDevices => (ErrorKind::User, "Files are renamed, which needs both places on one disk"),
            _ => (ErrorKind::Unavailable, "Try again"),
        };
        Error::new(kind, "the file system answered").caused_by(e).hint(hint).from_outside()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_where_and_what_to_do() {
        let e = Error::data("'x' is not an INT")
            .with("file", "orders.csv")
            .with("row", 17)
            .with("column", "price")
            .hint("Set 'csv.ignore-parse-errors' = 'true' to skip such rows");
        assert_eq!(
            e.to_string(),
            "'x' is not an INT (file orders.csv, row 17, column price). Set 'csv.ignore-parse-errors' = 'true' to skip such rows"
        );
        assert_eq!(e.context("row"), Some("17"));
    }

    #[test]
    fn what_no_other_try_mends_is_no_outage() {
        use std::io::ErrorKind as K;
        for kind in [K::InvalidFilename, K::CrossesDevices, K::NotFound, K::PermissionDenied] {
            assert_eq!(Error::from(std::io::Error::from(kind)).kind(), ErrorKind::User, "{kind}");
        }
        assert_eq!(Error::from(std::io::Error::from(K::TimedOut)).kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn the_first_context_wins() {
        let e = Error::user("m").with("table", "inner").with("table", "outer");
        assert_eq!(e.context("table"), Some("inner"));
    }
}
