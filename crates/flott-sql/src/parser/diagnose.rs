//! What a syntax error most likely means.
//!
//! The query parser tries readings one after the other and reports the last one: an error inside a sub-query of FROM
//! comes out as "expected joined table" at a place before it. Here, once parsing has failed, sub-queries around the
//! place are parsed on their own, the error that got furthest is taken, and it gets the advice that its neighbours give.

use flott_core::error::Position;
use flott_core::{Error, suggest};
use sqlparser::keywords::{Keyword, RESERVED_FOR_COLUMN_ALIAS};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::ast::position;
use super::misread;
use super::script::{expect_end, from_parser, query_parser};

/// How often an error is replaced by one that got further: each round parses sub-queries again.
const ROUNDS_MAX: usize = 16;

/// The units of intervals.
const UNITS: [&str; 14] = [
    "SECOND", "SECONDS", "MINUTE", "MINUTES", "HOUR", "HOURS", "DAY", "DAYS", "WEEK", "WEEKS", "MONTH", "MONTHS",
    "YEAR", "YEARS",
];

/// The error of a statement with these tokens at its most likely place, with advice.
pub(crate) fn diagnose(error: Error, parser: &Parser) -> Error {
    let tokens = tokens_of(parser);
    let mut error = settled(error, &tokens);
    for _ in 0..ROUNDS_MAX {
        match further(&error, &tokens) {
            Some(next) => error = settled(next, &tokens),
            None => break,
        }
    }
    advised(error, &tokens)
}

fn tokens_of(parser: &Parser) -> Vec<TokenWithSpan> {
    let mut tokens = vec![];
    loop {
        let t = parser.token_at(tokens.len());
        if t.token == Token::EOF {
            return tokens;
        }
        tokens.push(t.clone());
    }
}

/// The token that an error is about; their number where it is the end.
fn index_of(error: &Error, tokens: &[TokenWithSpan]) -> usize {
    match error.position() {
        Some(at) => tokens.iter().position(|t| position(t.span.start) == at).unwrap_or(tokens.len()),
        None => tokens.len(),
    }
}

fn place(tokens: &[TokenWithSpan], index: usize) -> Option<Position> {
    match tokens.get(index) {
        Some(t) => Some(position(t.span.start)),
        None => tokens.last().map(|t| position(t.span.end)),
    }
}

pub(super) fn found(tokens: &[TokenWithSpan], index: usize) -> String {
    tokens.get(index).map_or_else(|| "the end".to_string(), |t| t.token.to_string())
}

/// An error in place of another one, at a token.
pub(super) fn error_at_index(message: String, tokens: &[TokenWithSpan], index: usize) -> Error {
    let error = Error::user(message);
    match place(tokens, index) {
        Some(at) => error.at(at),
        None => error,
    }
}

/// The parser names the place behind the token for one of its messages, and none for the end.
fn settled(error: Error, tokens: &[TokenWithSpan]) -> Error {
    let index = index_of(&error, tokens);
    let Some(word) = error.message().strip_prefix("expected an expression but found ") else {
        return match error.position() {
            Some(_) => error,
            None if error.message().ends_with("found the end") => {
                let message = error.message().to_string();
                error_at_index(message, tokens, tokens.len())
            }
            None => error,
        };
    };
    let here = found(tokens, index);
    if here != word && index > 0 && found(tokens, index - 1) == word {
        let message = error.message().to_string();
        return error_at_index(message, tokens, index - 1);
    }
    if error.position().is_none() { error_at_index(error.message().to_string(), tokens, tokens.len()) } else { error }
}

/// The brackets that are open before a token, outermost first.
pub(super) fn open_brackets(tokens: &[TokenWithSpan], index: usize) -> Vec<usize> {
    let mut open = vec![];
    for (i, t) in tokens.iter().enumerate().take(index) {
        match t.token {
            Token::LParen => open.push(i),
            Token::RParen => {
                open.pop();
            }
            _ => {}
        }
    }
    open
}

pub(super) fn is_word(tokens: &[TokenWithSpan], index: usize, keyword: Keyword) -> bool {
    matches!(tokens.get(index).map(|t| &t.token), Some(Token::Word(w)) if w.keyword == keyword && w.quote_style.is_none())
}

fn starts_query(tokens: &[TokenWithSpan], index: usize) -> bool {
    [Keyword::SELECT, Keyword::WITH, Keyword::VALUES].iter().any(|k| is_word(tokens, index, *k))
}

/// The error of a sub-query around the place, where it lies behind that one.
fn further(error: &Error, tokens: &[TokenWithSpan]) -> Option<Error> {
    let index = index_of(error, tokens);
    let mut best: Option<(usize, Error)> = None;
    for bracket in open_brackets(tokens, index) {
        if !starts_query(tokens, bracket + 1) {
            continue;
        }
        if let Some(without_as) = missing_as(tokens, bracket) {
            return (index_of(error, tokens) != bracket).then_some(without_as);
        }
        let mut parser = query_parser(tokens[bracket + 1..].to_vec());
        let inner = match parser.parse_query() {
            Err(e) => settled(from_parser(e), tokens),
            Ok(_) => {
                let at = bracket + 1 + parser.index();
                if matches!(tokens.get(at).map(|t| &t.token), Some(Token::RParen)) {
                    continue;
                }
                match expect_end(&parser) {
                    Err(e) if at < tokens.len() && e.hint_text().is_some() => e,
                    _ => error_at_index(format!("expected ) but found {}", found(tokens, at)), tokens, at),
                }
            }
        };
        let at = index_of(&inner, tokens);
        let clearer = at == index && error.hint_text().is_none() && inner.hint_text().is_some();
        if (at > index || clearer) && best.as_ref().is_none_or(|(b, _)| at > *b) {
            best = Some((at, inner));
        }
    }
    best.map(|(_, e)| e)
}

/// `WITH q (SELECT ..)` for `WITH q AS (SELECT ..)`.
fn missing_as(tokens: &[TokenWithSpan], bracket: usize) -> Option<Error> {
    let name = matches!(tokens.get(bracket.checked_sub(1)?)?.token, Token::Word(_));
    if !name || !is_word(tokens, bracket.checked_sub(2)?, Keyword::WITH) {
        return None;
    }
    Some(error_at_index("expected AS but found (".to_string(), tokens, bracket))
}

/// The advice of the tokens around the place, where the error has none.
fn advised(error: Error, tokens: &[TokenWithSpan]) -> Error {
    let index = index_of(&error, tokens);
    let instead = missing_by(tokens, index, error.message())
        .or_else(|| clause_as_name(tokens, index))
        .or_else(|| misread::instead(error.message(), tokens, index));
    if let Some(instead) = instead {
        return instead;
    }
    if error.hint_text().is_some() {
        return error;
    }
    match advice(error.message(), tokens, index) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// `GROUP a` for `GROUP BY a`.
fn missing_by(tokens: &[TokenWithSpan], index: usize, message: &str) -> Option<Error> {
    let clause = [Keyword::GROUP, Keyword::ORDER].into_iter().any(|k| is_word(tokens, index, k));
    if !clause || !message.starts_with("unexpected '") || is_word(tokens, index + 1, Keyword::BY) {
        return None;
    }
    let message = format!("expected BY but found {}", found(tokens, index + 1));
    Some(error_at_index(message, tokens, index + 1).hint(format!("Write {} BY", found(tokens, index))))
}

/// `FROM t, WHERE a > 1`: the parser took the clause for one more table, and its first word for the table's alias.
fn clause_as_name(tokens: &[TokenWithSpan], index: usize) -> Option<Error> {
    const CLAUSES: [Keyword; 7] = [
        Keyword::WHERE,
        Keyword::GROUP,
        Keyword::HAVING,
        Keyword::ORDER,
        Keyword::LIMIT,
        Keyword::UNION,
        Keyword::WINDOW,
    ];
    let at = (index.saturating_sub(2)..index)
        .find(|i| *i > 0 && tokens[i - 1].token == Token::Comma && CLAUSES.iter().any(|k| is_word(tokens, *i, *k)))?;
    let message = format!("expected a table after the comma but found {}", found(tokens, at));
    Some(error_at_index(message, tokens, at).hint("The comma before it is one too many"))
}

fn advice(message: &str, tokens: &[TokenWithSpan], index: usize) -> Option<String> {
    let before = index.checked_sub(1).map(|i| &tokens[i].token);
    let here = tokens.get(index).map(|t| &t.token);
    if before == Some(&Token::Comma) && !starts_operand(here) {
        return Some("The comma before it is one too many, or what follows the comma is missing".into());
    }
    if matches!(before, Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case("MODEL"))
        && message.starts_with("expected )")
    {
        return Some("Models as arguments (ML_PREDICT) are not supported".into());
    }
    if message.starts_with("INTERVAL requires a unit") {
        let near = match here {
            Some(Token::Word(w)) => suggest::nearest(&w.value, UNITS),
            _ => None,
        };
        return Some(match near {
            Some(unit) => format!("Did you mean {unit}?"),
            None => "Write for instance INTERVAL '5' SECOND".into(),
        });
    }
    if here == Some(&Token::RParen) && message.starts_with("unexpected") {
        return Some("There is no ( that it closes".into());
    }
    if message.starts_with("expected an expression")
        && matches!(before, Some(Token::Word(w)) if w.keyword == Keyword::SELECT && w.quote_style.is_none())
    {
        return Some("Name the columns, or write * for all of them".into());
    }
    if message.starts_with("expected an expression")
        && let Some(advice) = misread::advice(message, tokens, index)
    {
        return Some(advice);
    }
    let names = ["expected a name", "expected an expression", "expected a column"];
    if let Some(Token::Word(w)) = here
        && w.quote_style.is_none()
        && w.keyword != Keyword::NoKeyword
        && names.iter().any(|n| message.starts_with(n))
    {
        return Some(format!("{0} is a reserved word: to use it as a name, write `{0}` in backticks", w.value));
    }
    if let Some(of_others) = misread::of_other_systems(message, here) {
        return Some(of_others);
    }
    if let Some(open) = unclosed(tokens, index, message) {
        return Some(open);
    }
    if let Some(advice) = misread::advice(message, tokens, index) {
        return Some(advice);
    }
    if let (Some(Token::Word(top)), Some(Token::Number(rows, _))) = (before, here)
        && top.quote_style.is_none()
        && top.value.eq_ignore_ascii_case("TOP")
        && index > 1
        && is_word(tokens, index - 2, Keyword::SELECT)
    {
        return Some(format!("Write LIMIT {rows} behind the query"));
    }
    if message.starts_with("unexpected") && ends_operand(before) && starts_operand(here) {
        if let Some(Token::Word(w)) = before
            && w.quote_style.is_none()
            && w.keyword != Keyword::NoKeyword
            && RESERVED_FOR_COLUMN_ALIAS.contains(&w.keyword)
        {
            return Some(format!("{0} is a reserved word: to use it as a name, write `{0}` in backticks", w.value));
        }
        return Some("A comma or an operator may be missing before it".into());
    }
    None
}

/// The bracket that is still open, where one is missing.
fn unclosed(tokens: &[TokenWithSpan], index: usize, message: &str) -> Option<String> {
    let missing = !open_brackets(tokens, tokens.len()).is_empty();
    let asked = message.starts_with("expected ) ") || message.starts_with("expected , or )");
    if !missing && !asked {
        return None;
    }
    let open = *open_brackets(tokens, index).last()?;
    let at = position(tokens[open].span.start);
    let verb = if missing { "is not closed" } else { "is still open here" };
    Some(format!("The ( of line {}, column {} {verb}", at.line, at.column))
}

fn starts_operand(token: Option<&Token>) -> bool {
    match token {
        Some(Token::Word(w)) => w.quote_style.is_some() || !RESERVED_FOR_COLUMN_ALIAS.contains(&w.keyword),
        Some(Token::Number(..) | Token::SingleQuotedString(_) | Token::LParen) => true,
        _ => false,
    }
}

fn ends_operand(token: Option<&Token>) -> bool {
    matches!(
        token,
        Some(Token::Word(_) | Token::Number(..) | Token::SingleQuotedString(_) | Token::RParen | Token::RBracket)
    )
}
