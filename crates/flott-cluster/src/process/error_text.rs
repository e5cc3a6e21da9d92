//! An error of another process.

use flott_core::error::Position;
use flott_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// What errors are about. An item that is not named here crosses in the message.
const CONTEXTS: [&str; 33] = [
    "aggregate",
    "byte",
    "catalog",
    "column",
    "committable",
    "connector",
    "data-id",
    "database",
    "expression",
    "feature",
    "field",
    "file",
    "folder",
    "found",
    "function",
    "job",
    "object",
    "offset",
    "operator",
    "option",
    "partition",
    "path",
    "row",
    "savepoint",
    "script",
    "sink",
    "source",
    "split",
    "summary",
    "table",
    "type",
    "view",
    "watermark",
];

/// An error as it travels: its kind, message, place and hint. Its causes are part of the message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ErrorText {
    kind: String,
    message: String,
    position: Option<(u64, u64)>,
    context: Vec<(String, String)>,
    hint: Option<String>,
}

const KINDS: [ErrorKind; 5] =
    [ErrorKind::User, ErrorKind::Data, ErrorKind::Unavailable, ErrorKind::Fenced, ErrorKind::Internal];

impl From<&Error> for ErrorText {
    fn from(e: &Error) -> ErrorText {
        ErrorText {
            kind: e.kind().code().to_string(),
            message: e.message_and_cause(),
            position: e.position().map(|p| (p.line, p.column)),
            context: e.contexts().iter().map(|(what, value)| ((*what).to_string(), value.clone())).collect(),
            hint: e.hint_text().map(str::to_string),
        }
    }
}

impl From<ErrorText> for Error {
    fn from(text: ErrorText) -> Error {
        let kind = KINDS.into_iter().find(|k| k.code() == text.kind).unwrap_or(ErrorKind::Internal);
        let known = |what: &str| CONTEXTS.into_iter().find(|c| *c == what);
        let mut message = text.message;
        for (what, value) in text.context.iter().filter(|(what, _)| known(what).is_none()) {
            message = format!("{message} ({what} {value})");
        }
        let mut error = Error::new(kind, message);
        for (what, value) in &text.context {
            if let Some(what) = known(what) {
                error = error.with(what, value);
            }
        }
        if let Some((line, column)) = text.position {
            error = error.at(Position { line, column });
        }
        match text.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_the_same_in_the_other_process() {
        let io = std::io::Error::other("the disk is on fire");
        for kind in KINDS {
            let e = Error::new(kind, "it does not work")
                .caused_by(std::io::Error::other("the disk is on fire"))
                .with("table", "t")
                .with("row", 17)
                .at(Position { line: 3, column: 4 })
                .hint("Try again");
            let there: Error = ErrorText::from(&e).into();
            assert_eq!((there.kind(), there.to_string()), (kind, e.to_string()));
            assert_eq!(there.context("row"), Some("17"));
        }
        let odd: Error = ErrorText::from(&Error::from(io).with("zodiac", "virgo")).into();
        assert!(odd.to_string().contains("zodiac virgo"), "{odd}");
    }
}
