//! A script: tokens, statements between semicolons, hints, limits.

use flott_core::error::Position;
use flott_core::{Error, Result, suggest};
use sqlparser::ast::{Expr, Query};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use super::ast::{SpannedStatement, position};
use super::diagnose::diagnose;
use super::dialect::FlinkDialect;
use super::hints::{attach_hints, misplaced};
use super::limits::{MAX_DEPTH, MAX_NODES, ParseLimits, check_tokens, settle_expr, settle_query};
use super::misread::check_clauses;
use super::source::SourceText;
use super::split::{Piece, Split, split};
use super::statement::StatementParser;
use super::{match_recognize, strings, table_query, values};

pub use super::hints::HINT_PREFIX;

/// What the query parser may recurse: several calls for each level of [`MAX_DEPTH`].
const PARSER_RECURSION: usize = 2_000;

/// Where a text begins that is no part of another.
const START: Position = Position { line: 1, column: 1 };

/// All statements of a script.
pub fn parse_script(text: &str) -> Result<Vec<SpannedStatement>> {
    parse_script_with_limits(text, &ParseLimits::DEFAULT)
}

/// All statements of a script, with other limits.
pub fn parse_script_with_limits(text: &str, limits: &ParseLimits) -> Result<Vec<SpannedStatement>> {
    let pieces = cut(text, limits)?;
    pieces.into_iter().map(|piece| parse_piece(&text[piece.range], piece.position, limits)).collect()
}

/// The statements of a script one after another, each parsed when it is asked for: a long script takes no more memory than
/// its longest statement. A script or statement that is too long is refused at once.
pub fn statements(script: &str) -> Result<impl Iterator<Item = Result<SpannedStatement>> + use<'_>> {
    let pieces = cut(script, &ParseLimits::DEFAULT)?;
    let parse = |piece: Piece| parse_piece(&script[piece.range], piece.position, &ParseLimits::DEFAULT);
    Ok(pieces.into_iter().map(parse))
}

/// A single statement, without its semicolon, that begins there in a larger text: errors name their places in that.
pub fn parse_statement_at(text: &str, begin: Position) -> Result<SpannedStatement> {
    let limits = ParseLimits::DEFAULT;
    check_length(text.len(), limits.statement_bytes, "a statement").map_err(|e| e.at(begin))?;
    parse_piece(text, begin, &limits)
}

/// One query, for views that catalogs store as text.
pub fn parse_query(text: &str) -> Result<Box<Query>> {
    let (tokens, hints) = prepare(text)?;
    on_large_stack(|| {
        let mut parser = query_parser(tokens);
        let parsed = parser.parse_query().map_err(from_parser).and_then(|q| expect_end(&parser).map(|()| q));
        let mut query = parsed.map_err(|e| hint_error(diagnose(e, &parser), &hints))?;
        settle_query(&mut query, MAX_NODES)?;
        Ok(query)
    })
}

/// One expression, for computed columns and watermarks that catalogs store as text.
pub fn parse_expression(text: &str) -> Result<Expr> {
    let (tokens, hints) = prepare(text)?;
    on_large_stack(|| {
        let mut parser = query_parser(tokens);
        let parsed = parser.parse_expr().map_err(from_parser).and_then(|e| expect_end(&parser).map(|()| e));
        let mut expr = parsed.map_err(|e| hint_error(diagnose(e, &parser), &hints))?;
        settle_expr(&mut expr, MAX_NODES)?;
        Ok(expr)
    })
}

/// Runs on a stack that fits the deepest allowed nesting, whatever thread asks. No thread is made for it: a session of
/// many small statements would do little else.
pub fn on_large_stack<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    /// Enough for [`MAX_DEPTH`] levels, or a chain of [`MAX_CHAIN`](super::limits::MAX_CHAIN) operators, of parser and
    /// planner in an unoptimised build.
    const STACK_BYTES: usize = 64 << 20;
    /// Whoever is on such a stack already, and has not gone down far, stays there.
    const ENOUGH_BYTES: usize = 48 << 20;
    let caught =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stacker::maybe_grow(ENOUGH_BYTES, STACK_BYTES, work)));
    caught.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Error::internal(format!("the planner panicked: {text}")))
    })
}

pub(crate) fn query_parser(mut tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    // Words of other dialects, which are names in Flink's.
    const NAMES: [Keyword; 12] = [
        Keyword::ANALYZE,
        Keyword::CLUSTER,
        Keyword::DISTRIBUTE,
        Keyword::DIV,
        Keyword::EXCLUDE,
        Keyword::OPERATOR,
        Keyword::REGEXP,
        Keyword::RETURNING,
        Keyword::SORT,
        Keyword::TOP,
        Keyword::VIEW,
        Keyword::XOR,
    ];
    for t in &mut tokens {
        if let Token::Word(w) = &mut t.token
            && NAMES.contains(&w.keyword)
        {
            w.keyword = Keyword::NoKeyword;
        }
    }
    Parser::new(&FlinkDialect).with_recursion_limit(PARSER_RECURSION).with_tokens_with_locations(tokens)
}

/// A token as an error shows it: what no screen shows is escaped.
pub(super) fn shown(token: &Token) -> String {
    let text = token.to_string();
    if text.chars().any(|c| c.is_control() || c == '\u{FEFF}') { text.escape_debug().to_string() } else { text }
}

/// Words that begin a statement and no clause.
const NEXT_STARTS: [&str; 10] =
    ["SELECT", "INSERT", "CREATE", "DROP", "ALTER", "EXPLAIN", "DESCRIBE", "SHOW", "RESET", "EXECUTE"];

/// Nothing may follow; the error names a clause that a word nearby was meant to be.
pub(crate) fn expect_end(parser: &Parser) -> Result<()> {
    /// What usually follows where a query was cut short by a slip of the pen.
    const CLAUSES: [&str; 16] = [
        "FROM",
        "WHERE",
        "GROUP",
        "ORDER",
        "HAVING",
        "LIMIT",
        "OFFSET",
        "JOIN",
        "LEFT",
        "INNER",
        "UNION",
        "WINDOW",
        "FETCH",
        "EXCEPT",
        "INTERSECT",
        "CROSS",
    ];
    let next = parser.peek_token();
    if next.token == Token::EOF {
        return Ok(());
    }
    let error = Error::user(format!("unexpected '{}'", shown(&next.token))).at(position(next.span.start));
    if let Token::Word(w) = &next.token
        && NEXT_STARTS.contains(&w.value.to_ascii_uppercase().as_str())
    {
        return Err(error.hint(format!("Is a ';' missing before {}?", w.value)));
    }
    if let Some(error) = misplaced_condition(parser, &next) {
        return Err(error);
    }
    let at = parser.index();
    if let Some(error) = runs_on(parser, at) {
        return Err(error);
    }
    let keyword = |i: usize| match &parser.token_at(i).token {
        Token::Word(w) if w.quote_style.is_none() => Some(w.keyword),
        _ => None,
    };
    let slip = |i: usize| match &parser.token_at(i).token {
        Token::Word(w) if w.quote_style.is_none() && !CLAUSES.contains(&w.value.to_ascii_uppercase().as_str()) => {
            suggest::nearest(&w.value, CLAUSES).map(|near| format!("Did you mean {near} instead of {}?", w.value))
        }
        _ => None,
    };
    let hint = if let Token::Char(wide) = next.token
        && let Some(plain) = plain_form(wide)
    {
        Some(format!("'{wide}' is a wide character: write {plain}"))
    } else if !(0..at).any(|i| matches!(keyword(i), Some(Keyword::SELECT | Keyword::VALUES))) {
        // No clause of a query follows here.
        behind_dropped(parser, &next).or_else(|| behind_created(parser, &next))
    } else {
        // The word before was taken for an alias where it is at the place of one; a name behind FROM is what it is.
        let named = at < 2
            || matches!(parser.token_at(at - 2).token, Token::Comma | Token::Period)
            || matches!(keyword(at - 2), Some(Keyword::FROM | Keyword::JOIN | Keyword::TABLE | Keyword::AS));
        let before = if named { None } else { slip(at - 1) };
        before.or_else(|| slip(at))
    };
    Err(match hint {
        Some(hint) => error.hint(hint),
        None => error,
    })
}

/// `CROSS JOIN u ON ..` and `NATURAL JOIN u ON ..`, in Flink's words.
fn misplaced_condition(parser: &Parser, next: &TokenWithSpan) -> Option<Error> {
    let keyword = |i: usize| match &parser.token_at(i).token {
        Token::Word(w) if w.quote_style.is_none() => w.keyword,
        _ => Keyword::NoKeyword,
    };
    let is_condition = matches!(&next.token, Token::Word(w) if matches!(w.keyword, Keyword::ON | Keyword::USING));
    let join = (0..parser.index()).rev().find(|i| keyword(*i) == Keyword::JOIN).filter(|_| is_condition)?;
    let kinds = [Keyword::INNER, Keyword::LEFT, Keyword::RIGHT, Keyword::FULL, Keyword::OUTER];
    let kind = (0..join).rev().map(keyword).find(|k| !kinds.contains(k))?;
    let (message, hint) = match kind {
        Keyword::CROSS => (
            "Cannot specify condition (NATURAL keyword, or ON or USING clause) following CROSS JOIN",
            "Write JOIN .. ON, or leave the condition out",
        ),
        Keyword::NATURAL => (
            "Cannot specify NATURAL keyword with ON or USING clause",
            "Write JOIN .. ON: NATURAL joins by all columns of the same name",
        ),
        _ => return None,
    };
    Some(Error::user(message).at(position(next.span.start)).hint(hint))
}

/// What a wide or typographic character was meant to be.
fn plain_form(c: char) -> Option<char> {
    Some(match c {
        '\u{FF1B}' | '\u{037E}' => ';',
        '\u{FF0C}' => ',',
        '\u{FF08}' => '(',
        '\u{FF09}' => ')',
        '\u{FF1D}' => '=',
        '\u{2018}' | '\u{2019}' | '\u{FF07}' => '\'',
        _ => return None,
    })
}

/// `SELECT a FROM t INSERT INTO u ..`: the word was taken for an alias.
fn runs_on(parser: &Parser, at: usize) -> Option<Error> {
    let before = parser.token_at(at.checked_sub(1)?);
    let Token::Word(w) = &before.token else { return None };
    let starts = w.quote_style.is_none() && NEXT_STARTS.contains(&w.value.to_ascii_uppercase().as_str());
    let error = Error::user(format!("unexpected '{}'", w.value)).at(position(before.span.start));
    (starts && at > 1).then(|| error.hint(format!("Is a ';' missing before {}?", w.value)))
}

/// What may have been meant behind the columns of a table that is made.
fn behind_created(parser: &Parser, next: &TokenWithSpan) -> Option<String> {
    const CLAUSES: [&str; 6] = ["WITH", "COMMENT", "PARTITIONED", "DISTRIBUTED", "LIKE", "AS"];
    let is = |i: usize, k: Keyword| matches!(&parser.token_at(i).token, Token::Word(w) if w.keyword == k);
    if !is(0, Keyword::CREATE) {
        return None;
    }
    match &next.token {
        Token::Word(w) if w.keyword == Keyword::NOT && is(parser.index().saturating_sub(1), Keyword::IF) => {
            Some("Write IF NOT EXISTS".into())
        }
        Token::Word(w) => suggest::nearest(&w.value, CLAUSES).map(|near| format!("Did you mean {near}?")),
        Token::LParen => Some("Write WITH before a table's options".into()),
        _ => None,
    }
}

/// What may have been meant behind the name of what is dropped.
fn behind_dropped(parser: &Parser, next: &TokenWithSpan) -> Option<String> {
    let dropped = matches!(&parser.token_at(0).token, Token::Word(w) if w.keyword == Keyword::DROP);
    match &next.token {
        Token::Comma if dropped => Some("Each DROP names one object: write a statement for each".into()),
        Token::Word(w) if dropped && matches!(w.keyword, Keyword::CASCADE | Keyword::RESTRICT) => {
            Some(format!("{} goes with DROP DATABASE; leave it out", w.value))
        }
        _ => None,
    }
}

/// An error at the place of a hint means that the hint could not be attached.
fn hint_error(error: Error, hints: &[Span]) -> Error {
    match hints.iter().find(|h| Some(position(h.start)) == error.position()) {
        Some(span) => misplaced(*span),
        None => error,
    }
}

/// Tokens of a text that begins there in a larger one.
fn tokenize(text: &str, begin: Position) -> Result<Vec<TokenWithSpan>> {
    let mut tokens = vec![];
    let moved = |at: Location| Location {
        line: at.line + begin.line - 1,
        column: if at.line == 1 { at.column + begin.column - 1 } else { at.column },
    };
    let place = |t: TokenWithSpan| TokenWithSpan {
        span: Span { start: moved(t.span.start), end: moved(t.span.end) },
        token: t.token,
    };
    let made = Tokenizer::new(&FlinkDialect, text).tokenize_with_location_into_buf_with_mapper(&mut tokens, place);
    made.map_err(|mut e| {
        if e.message.contains("multi-line comment") {
            let at = open_comment(text, begin, &tokens).unwrap_or(position(moved(e.location)));
            return Error::user("a comment is not closed").at(at).hint("Close it with */");
        }
        e.location = moved(e.location);
        let hint = match run_on(&tokens, e.location.line, e.location.column) {
            _ if e.message.contains('"') => DOUBLE_QUOTES.to_string(),
            Some(at) => format!(
                "Close it; or the string of line {}, column {}, which ends where a word begins, lacks its quote",
                at.line, at.column
            ),
            None => "Close it".to_string(),
        };
        Error::user(e.message).at(position(e.location)).hint(hint)
    })?;
    for t in &tokens {
        let (what, hint) = match &t.token {
            Token::DoubleQuotedString(_) => ("double quotes mean nothing in Flink SQL", DOUBLE_QUOTES),
            Token::DollarQuotedString(_) | Token::TripleDoubleQuotedString(_) => {
                ("this kind of string is not Flink SQL", DOUBLE_QUOTES)
            }
            // The parser would take it for =.
            Token::DoubleEq => ("== is no operator of Flink SQL", "Write ="),
            _ => continue,
        };
        return Err(Error::user(what).at(position(t.span.start)).hint(hint));
    }
    Ok(tokens)
}

/// Where a comment begins behind the last token of a text that begins there.
fn open_comment(text: &str, begin: Position, tokens: &[TokenWithSpan]) -> Option<Position> {
    let from = tokens.last().map_or(begin, |t| position(t.span.end));
    let mut at = begin;
    let mut before: Option<(char, Position)> = None;
    for c in text.chars() {
        if let (Some(('/', slash)), '*') = (before, c)
            && (slash.line, slash.column) >= (from.line, from.column)
        {
            return Some(slash);
        }
        before = Some((c, at));
        at = if c == '\n' {
            Position { line: at.line + 1, column: 1 }
        } else {
            Position { line: at.line, column: at.column + 1 }
        };
    }
    None
}

/// The first string that a word follows without a blank: its own closing quote was forgotten, and the next one taken.
/// `line` and `column` are where the tokens end.
fn run_on(tokens: &[TokenWithSpan], line: u64, column: u64) -> Option<Position> {
    let is_string = |t: &TokenWithSpan| matches!(t.token, Token::SingleQuotedString(_));
    let pairs = tokens.windows(2).find(|pair| is_string(&pair[0]) && matches!(pair[1].token, Token::Word(_)));
    let last = tokens.last().filter(|t| {
        let end = t.span.end;
        is_string(t) && end.line == line && column <= end.column + 1
    });
    pairs.map(|p| &p[0]).or(last).map(|t| position(t.span.start))
}

const DOUBLE_QUOTES: &str = "Strings stand in single quotes, names in backticks";

/// What sqlparser does not read, in forms that it reads.
fn arrange(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    Ok(values::arrange(match_recognize::arrange(table_query::arrange(strings::arrange(tokens)?))))
}

/// Tokens of one statement: comments out, hints in, limits checked. Also where hints stood.
fn prepare(text: &str) -> Result<(Vec<TokenWithSpan>, Vec<Span>)> {
    let limits = ParseLimits::DEFAULT;
    check_length(text.len(), limits.statement_bytes, "a statement")?;
    let (tokens, hints) = attach_hints(tokenize(text, START)?)?;
    check_tokens(&tokens, &limits)?;
    check_clauses(&tokens)?;
    Ok((arrange(tokens)?, hints))
}

fn check_length(bytes: usize, most: usize, what: &str) -> Result<()> {
    if bytes > most {
        return Err(Error::user(format!("{what} has {bytes} bytes; the most is {most}")).hint("Split it up"));
    }
    Ok(())
}

/// Cuts at semicolons, but not inside a statement set's BEGIN .. END, and looks at lengths: making tokens of a text takes a
/// hundred times its memory.
fn cut(text: &str, limits: &ParseLimits) -> Result<Vec<Piece>> {
    check_length(text.len(), limits.script_bytes, "the script")?;
    let Split { ended, rest, open, tail: (byte, line, column) } = split(text);
    for piece in ended.iter().chain(&rest) {
        check_length(piece.range.len(), limits.statement_bytes, "a statement").map_err(|e| e.at(piece.position))?;
    }
    let mut pieces = ended;
    match rest {
        Some(rest) => pieces.push(rest),
        // A comment that is not closed is no statement, and no comment either.
        None if open => {
            let begin = Position { line: line as u64, column: column as u64 };
            drop(tokenize(&text[byte..], begin)?);
        }
        None => {}
    }
    Ok(pieces)
}

fn parse_piece(text: &str, begin: Position, limits: &ParseLimits) -> Result<SpannedStatement> {
    on_large_stack(|| {
        let source = SourceText::at(text, begin);
        let (tokens, hints) = attach_hints(tokenize(text, begin)?)?;
        let tokens = arrange(tokens)?;
        let is_text = |t: &&TokenWithSpan| !matches!(t.token, Token::Whitespace(_) | Token::EOF);
        let end = tokens.iter().rev().find(is_text).map_or(begin, |last| position(last.span.end));
        check_tokens(&tokens, limits)?;
        check_clauses(&tokens)?;
        let mut parser = StatementParser::new(query_parser(tokens), &source, limits.nodes);
        let statement = parser.parse().map_err(|e| {
            let e = diagnose(e, &parser.p);
            let place = if e.message().ends_with("found the end") { end } else { begin };
            hint_error(e.at(place), &hints)
        })?;
        Ok(SpannedStatement { statement, position: begin, text: source.cut(begin, end).to_string() })
    })
}

/// The first words of all statements, for suggestions.
const STARTS: [&str; 30] = [
    "SELECT", "INSERT", "CREATE", "DROP", "ALTER", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "SET", "RESET", "USE",
    "EXECUTE", "BEGIN", "WITH", "VALUES", "LOAD", "UNLOAD", "CALL", "ANALYZE", "COMPILE", "ADD", "REMOVE", "STOP",
    "UPDATE", "DELETE", "TRUNCATE", "REPLACE", "UPSERT", "MERGE",
];

/// The statement that a word was meant to start.
pub(crate) fn nearest_start(word: &str) -> Option<&'static str> {
    suggest::nearest(word, STARTS)
}

/// sqlparser's message with its position, in our form.
pub(crate) fn from_parser(error: ParserError) -> Error {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => {
            return Error::user(format!("the statement nests deeper than {MAX_DEPTH}"))
                .hint("Name parts of it in a WITH clause or a view");
        }
    };
    let (message, at) = match text.rfind(" at Line: ") {
        Some(i) => (text[..i].to_string(), parse_location(&text[i..])),
        None => (text, None),
    };
    let message =
        message.replace("Expected: ", "expected ").replace(", found: ", " but found ").replace("EOF", "the end");
    let message = message.replace("expected identifier but", "expected a name but");
    let message = message.replace("expected literal string but", "expected a string in single quotes but");
    let message = match message.strip_prefix("Expected an ") {
        Some(rest) => format!("expected an {rest}"),
        None => message,
    };
    let near = meant(&message);
    let mut error = Error::user(message);
    if let Some(near) = near {
        error = error.hint(format!("Did you mean {near}?"));
    }
    match at {
        Some(position) => error.at(position),
        None => error,
    }
}

/// The expected keyword that the found word was meant to be.
fn meant(message: &str) -> Option<String> {
    let (expected, found) = message.strip_prefix("expected ")?.rsplit_once(" but found ")?;
    let keywords: Vec<&str> = expected
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|w| w.len() > 1 && w.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    // A part of CASE is no slip for another one.
    if keywords.iter().any(|k| k.eq_ignore_ascii_case(found)) || found.eq_ignore_ascii_case("THEN") {
        return None;
    }
    suggest::nearest(found, keywords).map(str::to_string)
}

fn parse_location(text: &str) -> Option<Position> {
    let rest = text.strip_prefix(" at Line: ")?;
    let (line, column) = rest.split_once(", Column: ")?;
    Some(Position { line: line.parse().ok()?, column: column.trim().parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_but_not_inside_sets_strings_or_comments() {
        let text = "SET 'a' = 'b;c'; -- d;\n SELECT 1 /* ; */;;\nEXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; \
                    INSERT INTO b SELECT CASE WHEN TRUE THEN 1 END; END; SELECT 2";
        let statements = parse_script(text).expect("parses");
        assert_eq!(statements.len(), 4);
        assert_eq!(statements[1].position, Position { line: 2, column: 2 });
        assert_eq!(statements[3].text, "SELECT 2");
        assert!(matches!(&statements[2].statement, super::super::Statement::StatementSet(i) if i.len() == 2));
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        for text in [
            format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
            format!("SELECT {}1", "-".repeat(2).replace("--", "- ").repeat(10_000)),
            format!("SELECT {}TRUE", "NOT ".repeat(10_000)),
            format!("SELECT {}1{}", "CASE WHEN TRUE THEN ".repeat(10_000), " END".repeat(10_000)),
        ] {
            let e = parse_script(&text).expect_err("too deep").to_string();
            assert!(e.contains("nests deeper"), "{e}");
        }
        let deep = format!("SELECT {}1{}", "(".repeat(200), ")".repeat(200));
        parse_script(&deep).expect("200 levels are fine");
    }

    #[test]
    fn statements_of_a_script_name_their_places_in_the_whole() {
        let script = "SELECT 'é'; SELECT 1;\n  SELECT 2,\n x x x;";
        let all: Vec<_> = statements(script).expect("cut").collect();
        let places: Vec<_> = all.iter().map(|s| s.as_ref().map(|s| (s.position, s.text.as_str())).ok()).collect();
        let at = |line, column| Position { line, column };
        assert_eq!(places, [Some((at(1, 1), "SELECT 'é'")), Some((at(1, 13), "SELECT 1")), None]);
        let e = all[2].as_ref().expect_err("wrong").to_string();
        assert!(e.contains("line 3, column 6"), "{e}");
        let e = parse_statement_at("SELECT\n 'open", at(7, 5)).expect_err("wrong").to_string();
        assert!(e.contains("line 8"), "{e}");
        let view = parse_statement_at("CREATE VIEW v AS SELECT 1,\n 'x'", at(7, 5)).expect("parses");
        assert!(format!("{view:?}").contains("SELECT 1,\\n 'x'"), "{view:?}");
        let e = parse_script("SELECT 1;\n /* open; ").expect_err("wrong").to_string();
        assert!(e.contains("line 2"), "{e}");
    }

    #[test]
    fn a_statement_that_is_too_long_is_refused_before_tokens_are_made() {
        // Its last character would be an error of the tokenizer.
        let long = format!("SELECT 1;\n SELECT {} \"", "1, ".repeat(1 << 19));
        for e in [parse_script(&long).map(drop), statements(&long).map(drop)] {
            let e = e.expect_err("too long").to_string();
            assert!(e.contains("line 2, column 2") && e.contains("a statement has"), "{e}");
        }
    }

    #[test]
    fn errors_name_their_place_and_a_likely_word() {
        let e = parse_script("SELECT 1;\n  CREAT TABLE t (a INT)").expect_err("wrong").to_string();
        assert!(e.contains("line 2, column 3") && e.contains("CREATE"), "{e}");
        let e = parse_script("SELECT 'abc").expect_err("wrong").to_string();
        assert!(e.contains("line 1, column 8"), "{e}");
    }
}
