//! Where statements end: a script, or what a user has typed so far, cut at its semicolons. One walk over the characters, so
//! that a statement that is too long is known before anything makes tokens of it.

use std::ops::Range;

use flott_core::error::Position;

/// A statement of a text, not looked at any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it stands in the text, without the semicolon: bytes.
    pub range: Range<usize>,
    /// Where its first token stands.
    pub position: Position,
    /// It is one word: a command of a shell, perhaps. In upper case.
    pub word: Option<String>,
}

/// A text, cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Statements that have ended.
    pub ended: Vec<Piece>,
    /// What stands behind the last semicolon, where that is more than blanks and comments.
    pub rest: Option<Piece>,
    /// The text ends inside of a quote or comment.
    pub open: bool,
    /// Where the text behind the last semicolon begins: byte, and line and column from 1.
    pub tail: (usize, usize, usize),
}

/// Inside of what the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Quote(char),
    LineComment,
    /// Or a hint, which belongs to its statement.
    BlockComment {
        is_hint: bool,
    },
}

/// What a statement has shown of itself.
#[derive(Debug, Default)]
struct Words {
    /// The word that is being read.
    current: String,
    /// Words of the current statement, in upper case: the first ones, and then the last.
    first: Vec<String>,
    last: Option<String>,
    /// Words, quotes and signs of the statement.
    tokens: usize,
    /// The last token is END directly behind a semicolon or BEGIN: it ends a statement set.
    set_ends: bool,
    /// The last token opens the body of a set or an INSERT in it.
    at_start: bool,
}

/// So many words tell a statement set: `EXPLAIN CHANGELOG_MODE, .. STATEMENT SET BEGIN`.
const FIRST_WORDS_MAX: usize = 12;

impl Words {
    fn token(&mut self) {
        self.tokens += 1;
        (self.set_ends, self.at_start) = (false, false);
    }

    fn end_word(&mut self) {
        if self.current.is_empty() {
            return;
        }
        let word = std::mem::take(&mut self.current).to_uppercase();
        let was_at_start = self.at_start;
        self.token();
        self.set_ends = word == "END" && was_at_start;
        self.at_start = word == "BEGIN";
        if self.first.len() < FIRST_WORDS_MAX {
            self.first.push(word.clone());
        }
        self.last = Some(word);
    }

    /// The statement holds others, up to END.
    fn is_set(&self) -> bool {
        let first: Vec<&str> = self.first.iter().map(String::as_str).collect();
        match first.as_slice() {
            ["BEGIN", "STATEMENT", "SET", ..] => true,
            ["EXECUTE" | "EXPLAIN" | "COMPILE", rest @ ..] => {
                rest.windows(3).any(|w| w == ["STATEMENT", "SET", "BEGIN"])
            }
            _ => false,
        }
    }
}

/// Cuts a text at the semicolons that end statements.
pub fn split(text: &str) -> Split {
    let mut ended = vec![];
    let mut words = Words::default();
    let mut inside = Inside::Nothing;
    let (mut line, mut column) = (1, 1);
    let mut tail = (0, 1, 1);
    // Where the statement begins: its first token.
    let mut start: Option<(usize, usize, usize)> = None;
    // Where its last token or hint ends.
    let mut end = 0;
    let mut chars = text.char_indices().peekable();
    let piece = |from: (usize, usize, usize), to: usize, words: &Words| Piece {
        range: from.0..to.max(from.0),
        position: Position { line: from.1 as u64, column: from.2 as u64 },
        word: words.last.clone().filter(|_| words.tokens == 1),
    };
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        let here = (at, line, column);
        if c == '\n' {
            (line, column) = (line + 1, 1);
        } else {
            column += 1;
        }
        match inside {
            Inside::LineComment => {
                if c == '\n' {
                    inside = Inside::Nothing;
                }
                continue;
            }
            Inside::BlockComment { is_hint } => {
                if c == '*' && next == Some('/') {
                    chars.next();
                    column += 1;
                    inside = Inside::Nothing;
                    end = if is_hint { at + 2 } else { end };
                }
                continue;
            }
            // A doubled quote closes and opens again.
            Inside::Quote(quote) => {
                if c == quote {
                    inside = Inside::Nothing;
                    end = at + 1;
                }
                continue;
            }
            Inside::Nothing => {}
        }
        if c.is_alphanumeric() || c == '_' || c == '$' {
            start.get_or_insert(here);
            words.current.push(c);
            end = at + c.len_utf8();
            continue;
        }
        words.end_word();
        match (c, next) {
            ('-', Some('-')) => inside = Inside::LineComment,
            ('/', Some('*')) => {
                chars.next();
                column += 1;
                let is_hint = chars.peek().is_some_and(|(_, c)| *c == '+');
                if is_hint {
                    start.get_or_insert(here);
                }
                inside = Inside::BlockComment { is_hint };
            }
            (';', _) => {
                if words.is_set() && !words.set_ends {
                    words.token();
                    words.at_start = true;
                    end = at + 1;
                } else {
                    ended.extend(start.take().filter(|_| words.tokens > 0).map(|from| piece(from, end, &words)));
                    tail = (at + 1, line, column);
                    words = Words::default();
                }
            }
            ('\'' | '"' | '`', _) => {
                start.get_or_insert(here);
                words.token();
                inside = Inside::Quote(c);
            }
            (c, _) if c.is_whitespace() => {}
            _ => {
                start.get_or_insert(here);
                words.token();
                end = at + c.len_utf8();
            }
        }
    }
    words.end_word();
    let open = matches!(inside, Inside::Quote(_) | Inside::BlockComment { .. });
    let end = if open { text.len() } else { end };
    let rest = start.filter(|_| words.tokens > 0).map(|from| piece(from, end, &words));
    Split { ended, rest, open, tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> (Vec<String>, Option<String>) {
        let split = split(text);
        let cut = |p: Piece| text[p.range].to_string();
        (split.ended.into_iter().map(cut).collect(), split.rest.map(cut))
    }

    fn whole(statement: &str) {
        assert_eq!(texts(&format!("{statement};")), (vec![statement.to_string()], None), "{statement}");
        assert_eq!(texts(statement), (vec![], Some(statement.to_string())), "{statement}");
    }

    #[test]
    fn semicolons_end_statements_outside_of_quotes_and_comments() {
        assert_eq!(
            texts("SELECT 1; SELECT 2 ;\nSELECT"),
            (vec!["SELECT 1".into(), "SELECT 2".into()], Some("SELECT".into()))
        );
        whole("SELECT * FROM t /*+ OPTIONS('a' = 'b') */");
        assert_eq!(
            texts("SELECT 1 /* no; */ -- no;\n; SELECT 'é' -- no"),
            (vec!["SELECT 1".into()], Some("SELECT 'é'".into()))
        );
        whole("SELECT ';', `a;b`, 'it''s; x', \"c;\" -- no;\n FROM t /* ; */ WHERE x");
        assert_eq!(texts(" ;; -- nothing;\n ; /* ; */ "), (vec![], None));
        assert!(split("SELECT 'open;").open && split("SELECT /* open;").open && !split("SELECT -- not").open);
    }

    #[test]
    fn statement_sets_end_with_their_end() {
        whole("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT CASE WHEN x THEN 1 END; END");
        whole("BEGIN STATEMENT SET; INSERT INTO a VALUES (1); END");
        whole("COMPILE PLAN 'x' FOR STATEMENT SET BEGIN INSERT INTO a VALUES (1); END");
        whole("explain changelog_mode, plan_advice statement set begin insert into a values (1); end");
        whole("EXECUTE STATEMENT SET BEGIN END");
        let (ended, rest) = texts("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT CASE WHEN x THEN 1 END; INSERT");
        assert!(ended.is_empty() && rest.is_some());
        whole("EXECUTE INSERT INTO a SELECT CASE WHEN x THEN 1 END");
        assert_eq!(texts("SELECT x AS END; SELECT 2;").0.len(), 2);
    }

    #[test]
    fn places_are_those_of_the_whole() {
        let split = split("-- first\n\nSELECT 1;  QUIT ;\n 'é'; x");
        let places: Vec<_> =
            split.ended.iter().chain(&split.rest).map(|p| (p.position.line, p.position.column)).collect();
        assert_eq!(places, [(3, 1), (3, 12), (4, 2), (4, 7)]);
        let words: Vec<_> = split.ended.iter().map(|p| p.word.as_deref()).collect();
        assert_eq!(words, [None, Some("QUIT"), None]);
    }
}
