//! A script: tokens, statements between semicolons, hints, limits.

use flott_core::error::Position;
use flott_core::{Error, Result, suggest};
use sqlparser::ast::{Expr, Query};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace, Word};

use super::ast::{SpannedStatement, position};
use super::dialect::FlinkDialect;
use super::statement::StatementParser;

/// The longest script, in bytes.
pub const MAX_SCRIPT_BYTES: usize = 10 << 20;
/// The most tokens of one statement.
pub const MAX_TOKENS: usize = 200_000;
/// The deepest nesting of brackets, CASE and sub-queries.
pub const MAX_DEPTH: usize = 256;
/// The longest chain of prefix operators (`NOT NOT ..`, `- - ..`).
const MAX_PREFIX_CHAIN: usize = 64;
/// What the query parser may recurse; brackets are counted before.
const PARSER_RECURSION: usize = 100_000;
/// Marks a hint on its way through the query parser: `t WITH ($hint$OPTIONS('k' = 'v'))`.
pub const HINT_PREFIX: &str = "$hint$";

/// All statements of a script.
pub fn parse_script(text: &str) -> Result<Vec<SpannedStatement>> {
    on_large_stack(|| {
        let mut statements = vec![];
        for piece in split(text)? {
            statements.push(parse_piece(text, piece)?);
        }
        Ok(statements)
    })
}

/// One query, for views that catalogs store as text.
pub fn parse_query(text: &str) -> Result<Box<Query>> {
    let tokens = prepare(text)?;
    on_large_stack(|| {
        let mut parser = query_parser(tokens);
        let query = parser.parse_query().map_err(from_parser)?;
        expect_end(&parser)?;
        Ok(query)
    })
}

/// One expression, for computed columns and watermarks that catalogs store as text.
pub fn parse_expression(text: &str) -> Result<Expr> {
    let tokens = prepare(text)?;
    on_large_stack(|| {
        let mut parser = query_parser(tokens);
        let expr = parser.parse_expr().map_err(from_parser)?;
        expect_end(&parser)?;
        Ok(expr)
    })
}

/// Runs on a stack that fits the deepest allowed nesting, whatever thread asks.
pub fn on_large_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    /// Enough for [`MAX_DEPTH`] levels of parser and planner in an unoptimised build.
    const STACK_BYTES: usize = 64 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("flott-planner".into()).stack_size(STACK_BYTES);
        match thread.spawn_scoped(scope, work) {
            Ok(handle) => handle.join().unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                Err(Error::internal(format!("the planner panicked: {text}")))
            }),
            Err(e) => Err(Error::unavailable("no thread for the planner").caused_by(e)),
        }
    })
}

fn query_parser(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&FlinkDialect).with_recursion_limit(PARSER_RECURSION).with_tokens_with_locations(tokens)
}

fn expect_end(parser: &Parser) -> Result<()> {
    let next = parser.peek_token();
    if next.token == Token::EOF {
        return Ok(());
    }
    Err(Error::user(format!("unexpected '{}'", next.token)).at(position(next.span.start)))
}

fn tokenize(text: &str) -> Result<Vec<TokenWithSpan>> {
    if text.len() > MAX_SCRIPT_BYTES {
        return Err(Error::user(format!("the script has {} bytes; the most is {MAX_SCRIPT_BYTES}", text.len()))
            .hint("Split it into several scripts"));
    }
    Tokenizer::new(&FlinkDialect, text).tokenize_with_location().map_err(|e| {
        let hint = if e.message.contains('"') { "Strings stand in single quotes, names in backticks" } else { "Close it" };
        Error::user(e.message).at(position(e.location)).hint(hint)
    })
}

/// Tokens of one statement: comments out, hints in, limits checked.
fn prepare(text: &str) -> Result<Vec<TokenWithSpan>> {
    let tokens = attach_hints(tokenize(text)?)?;
    check_limits(&tokens)?;
    Ok(tokens)
}

fn is_keyword(token: &Token, keyword: &str) -> bool {
    matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(keyword))
}

struct Piece {
    tokens: Vec<TokenWithSpan>,
    /// Positions in the text, for cutting out the source of views and expressions.
    start: Position,
    end: Position,
}

/// Cuts at semicolons, but not inside a statement set's BEGIN .. END. Such a set ends at an END behind a semicolon.
fn split(text: &str) -> Result<Vec<Piece>> {
    let mut pieces = vec![];
    let mut current: Vec<TokenWithSpan> = vec![];
    // Where the significant tokens of the current statement stand in it.
    let mut significant: Vec<usize> = vec![];
    let mut in_set = false;
    for t in tokenize(text)? {
        let n = significant.len();
        let back = |i: usize| n.checked_sub(i).map(|at| &current[significant[at]].token);
        let back_is = |i: usize, word: &str| back(i).is_some_and(|t| is_keyword(t, word));
        let begins = is_keyword(&t.token, "BEGIN") && back_is(1, "SET") && back_is(2, "STATEMENT");
        let begins_old = t.token == Token::SemiColon
            && n == 3
            && back_is(3, "BEGIN")
            && back_is(2, "STATEMENT")
            && back_is(1, "SET");
        let ends_set = back_is(1, "END") && back(2) == Some(&Token::SemiColon);
        in_set |= begins || begins_old;
        let inside = t.token == Token::SemiColon && in_set && !ends_set;
        if t.token == Token::EOF || (t.token == Token::SemiColon && !inside) {
            push_piece(&mut pieces, std::mem::take(&mut current));
            significant.clear();
            in_set = false;
            continue;
        }
        if !matches!(t.token, Token::Whitespace(_)) {
            significant.push(current.len());
        }
        current.push(t);
        if significant.len() > MAX_TOKENS {
            return Err(Error::user(format!("a statement has more than {MAX_TOKENS} tokens")).hint("Split it up"));
        }
    }
    push_piece(&mut pieces, current);
    pieces.into_iter().map(|p: Piece| Ok(Piece { tokens: attach_hints(p.tokens)?, ..p })).collect()
}

fn push_piece(pieces: &mut Vec<Piece>, tokens: Vec<TokenWithSpan>) {
    let is_text = |t: &&TokenWithSpan| !matches!(t.token, Token::Whitespace(_));
    let (Some(first), Some(last)) = (tokens.iter().find(is_text), tokens.iter().rev().find(is_text)) else { return };
    let (start, end) = (position(first.span.start), position(last.span.end));
    pieces.push(Piece { tokens, start, end });
}

fn parse_piece(text: &str, piece: Piece) -> Result<SpannedStatement> {
    check_limits(&piece.tokens)?;
    let source = cut(text, piece.start, piece.end);
    let parser = query_parser(piece.tokens);
    let statement = StatementParser::new(parser, text).parse().map_err(|e| e.at(piece.start))?;
    Ok(SpannedStatement { statement, position: piece.start, text: source.to_string() })
}

/// Bracket depth, prefix chains and size, counted in one loop.
fn check_limits(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut depth = 0usize;
    let mut prefixes = 0usize;
    let mut count = 0usize;
    for t in tokens {
        match &t.token {
            Token::Whitespace(_) => continue,
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            Token::Word(w) if w.keyword == Keyword::CASE => depth += 1,
            Token::Word(w) if w.keyword == Keyword::END => depth = depth.saturating_sub(1),
            _ => {}
        }
        let prefix = matches!(t.token, Token::Minus | Token::Plus | Token::Tilde) || is_keyword(&t.token, "NOT");
        prefixes = if prefix { prefixes + 1 } else { 0 };
        count += 1;
        if depth > MAX_DEPTH || prefixes > MAX_PREFIX_CHAIN {
            return Err(Error::user(format!("the statement nests deeper than {MAX_DEPTH}"))
                .at(position(t.span.start))
                .hint("Name parts of it in a WITH clause or a view"));
        }
        if count > MAX_TOKENS {
            return Err(Error::user(format!("a statement has more than {MAX_TOKENS} tokens")).at(position(t.span.start)));
        }
    }
    Ok(())
}

/// Comments that are hints become `WITH ($hint$NAME('k' = 'v'), ..)` behind the table and its alias, which the query
/// parser keeps as table hints. A hint at any other place is an error there, never dropped.
fn attach_hints(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(t) = tokens.next() {
        let Token::Whitespace(Whitespace::MultiLineComment(comment)) = &t.token else {
            if !matches!(t.token, Token::Whitespace(_)) {
                out.push(t);
            }
            continue;
        };
        let Some(hint) = comment.strip_prefix('+') else { continue };
        let mut alias = vec![];
        while matches!(tokens.peek(), Some(t) if matches!(t.token, Token::Whitespace(_))) {
            tokens.next();
        }
        if let Some(next) = tokens.peek() {
            let is_as = matches!(&next.token, Token::Word(w) if w.keyword == Keyword::AS);
            let is_name = matches!(&next.token, Token::Word(w) if w.keyword == Keyword::NoKeyword);
            if is_as || is_name {
                alias.extend(tokens.next());
            }
            while is_as && alias.len() < 2 {
                match tokens.next() {
                    Some(t) if matches!(t.token, Token::Whitespace(_)) => {}
                    Some(t) => alias.push(t),
                    None => break,
                }
            }
        }
        out.extend(alias);
        let at = |token: Token| TokenWithSpan { token, span: t.span };
        out.push(at(Token::make_keyword("WITH")));
        out.push(at(Token::LParen));
        for inner in tokenize(hint).map_err(|e| e.at(position(t.span.start)))? {
            match inner.token {
                Token::Whitespace(_) | Token::EOF => {}
                Token::Word(w) => {
                    let value = format!("{HINT_PREFIX}{}", w.value.to_ascii_uppercase());
                    out.push(at(Token::Word(Word { value, quote_style: Some('`'), keyword: Keyword::NoKeyword })));
                }
                other => out.push(at(other)),
            }
        }
        out.push(at(Token::RParen));
    }
    Ok(out)
}

/// The text between two positions (the end is behind the last character).
pub(crate) fn cut(text: &str, start: Position, end: Position) -> &str {
    let offset = |p: Position| {
        let mut line_start = 0;
        for _ in 1..p.line {
            line_start += text[line_start..].find('\n').map_or(0, |i| i + 1);
        }
        let line = &text[line_start..];
        let column = usize::try_from(p.column.saturating_sub(1)).unwrap_or(0);
        line_start + line.char_indices().nth(column).map_or(line.len(), |(i, _)| i)
    };
    text.get(offset(start)..offset(end)).unwrap_or("").trim()
}

/// The first words of all statements, for suggestions.
const STARTS: [&str; 28] = [
    "SELECT", "INSERT", "CREATE", "DROP", "ALTER", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "SET", "RESET", "USE", "EXECUTE",
    "BEGIN", "WITH", "VALUES", "LOAD", "UNLOAD", "CALL", "ANALYZE", "COMPILE", "ADD", "REMOVE", "STOP", "UPDATE", "DELETE",
    "TRUNCATE", "REPLACE",
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
    let message = message.replace("Expected: ", "expected ").replace(", found: ", " but found ").replace("EOF", "the end");
    match at {
        Some(position) => Error::user(message).at(position),
        None => Error::user(message),
    }
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
    fn errors_name_their_place_and_a_likely_word() {
        let e = parse_script("SELECT 1;\n  CREAT TABLE t (a INT)").expect_err("wrong").to_string();
        assert!(e.contains("line 2, column 3") && e.contains("CREATE"), "{e}");
        let e = parse_script("SELECT 'abc").expect_err("wrong").to_string();
        assert!(e.contains("line 1, column 8"), "{e}");
    }
}
