//! Hints: comments that begin with `+`.
//!
//! sqlparser has no place for hints behind a table, but it keeps `t WITH (..)`, which Flink does not have: a pass over the
//! tokens turns `t /*+ OPTIONS('k' = 'v') */` into `t WITH ($hint$OPTIONS('k' = 'v'))`, behind the table's version and
//! alias. Behind SELECT a hint stays a comment, which sqlparser keeps as an optimizer hint. A hint anywhere else leads to
//! an error at its place: none is dropped.

use sqlparser::keywords::{Keyword, RESERVED_FOR_TABLE_ALIAS};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer, Whitespace, Word};

use flott_core::{Error, Result};

use super::ast::position;
use super::dialect::FlinkDialect;

/// Marks a hint on its way through the query parser: `t WITH ($hint$OPTIONS('k' = 'v'))`.
pub const HINT_PREFIX: &str = "$hint$";

/// The same tokens without comments, and with hints where the parser keeps them. Also where hints stood.
pub(crate) fn attach_hints(tokens: Vec<TokenWithSpan>) -> Result<(Vec<TokenWithSpan>, Vec<Span>)> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut places = vec![];
    let mut rest = Significant { tokens: tokens.into_iter(), ahead: None };
    while let Some(t) = rest.next() {
        let Token::Whitespace(Whitespace::MultiLineComment(comment)) = &t.token else {
            out.push(t);
            continue;
        };
        let hint = comment.trim_start_matches('+').to_string();
        places.push(t.span);
        match out.last().map(|t| &t.token) {
            Some(Token::Word(w)) if w.keyword == Keyword::SELECT && w.quote_style.is_none() => {
                out.push(t);
                continue;
            }
            Some(Token::Word(_)) => {}
            _ => return Err(misplaced(t.span)),
        }
        if !is_insert_target(&out) {
            take_version(&mut rest, &mut out);
            take_alias(&mut rest, &mut out);
        }
        push_hint(&hint, t.span, &mut out)?;
    }
    Ok((out, places))
}

/// The error for a hint at a place that takes none.
pub(crate) fn misplaced(span: Span) -> Error {
    Error::user("a hint cannot stand here")
        .at(position(span.start))
        .hint("Put it directly behind a table's name, or behind SELECT")
}

/// Tokens without white space and comments that are no hints.
struct Significant<I: Iterator<Item = TokenWithSpan>> {
    tokens: I,
    ahead: Option<TokenWithSpan>,
}

impl<I: Iterator<Item = TokenWithSpan>> Significant<I> {
    fn next(&mut self) -> Option<TokenWithSpan> {
        self.peek();
        self.ahead.take()
    }

    fn peek(&mut self) -> Option<&TokenWithSpan> {
        while self.ahead.is_none() {
            let t = self.tokens.next()?;
            let hint = matches!(&t.token, Token::Whitespace(Whitespace::MultiLineComment(c)) if c.starts_with('+'));
            if hint || !matches!(t.token, Token::Whitespace(_)) {
                self.ahead = Some(t);
            }
        }
        self.ahead.as_ref()
    }

    fn peek_keyword(&mut self, keyword: Keyword) -> bool {
        matches!(self.peek(), Some(t) if matches!(&t.token, Token::Word(w) if w.keyword == keyword))
    }
}

/// `INSERT INTO [TABLE] a.b.c`, up to here.
fn is_insert_target(out: &[TokenWithSpan]) -> bool {
    let mut i = out.len();
    while i > 0 && matches!(out[i - 1].token, Token::Period | Token::Word(_)) {
        i -= 1;
        if let Token::Word(w) = &out[i].token
            && w.quote_style.is_none()
            && matches!(w.keyword, Keyword::INTO | Keyword::OVERWRITE)
        {
            return i > 0 && matches!(&out[i - 1].token, Token::Word(w) if w.keyword == Keyword::INSERT);
        }
    }
    false
}

/// `FOR SYSTEM_TIME AS OF expression`: up to the alias, the join's condition or the next clause.
fn take_version<I: Iterator<Item = TokenWithSpan>>(rest: &mut Significant<I>, out: &mut Vec<TokenWithSpan>) {
    if !rest.peek_keyword(Keyword::FOR) {
        return;
    }
    for _ in 0..4 {
        out.extend(rest.next());
    }
    let mut depth = 0usize;
    let start = out.len();
    while let Some(t) = rest.peek() {
        let ends = match &t.token {
            Token::LParen => {
                depth += 1;
                false
            }
            Token::RParen if depth == 0 => true,
            Token::RParen => {
                depth -= 1;
                false
            }
            Token::Comma | Token::SemiColon | Token::EOF | Token::Whitespace(_) => depth == 0,
            Token::Word(w) => {
                let follows =
                    out.len() > start && matches!(out.last().map(|t| &t.token), Some(Token::Word(_) | Token::RParen));
                depth == 0
                    && w.quote_style.is_none()
                    && (w.keyword == Keyword::AS
                        || RESERVED_FOR_TABLE_ALIAS.contains(&w.keyword)
                        || (follows && w.keyword == Keyword::NoKeyword))
            }
            _ => false,
        };
        if ends {
            return;
        }
        out.extend(rest.next());
    }
}

/// `[AS] alias [(columns)]`
fn take_alias<I: Iterator<Item = TokenWithSpan>>(rest: &mut Significant<I>, out: &mut Vec<TokenWithSpan>) {
    let explicit = rest.peek_keyword(Keyword::AS);
    if explicit {
        out.extend(rest.next());
    }
    let is_name = matches!(rest.peek(), Some(t) if matches!(&t.token, Token::Word(w)
        if explicit || w.quote_style.is_some() || !RESERVED_FOR_TABLE_ALIAS.contains(&w.keyword)));
    if !is_name {
        return;
    }
    out.extend(rest.next());
    if !matches!(rest.peek(), Some(t) if t.token == Token::LParen) {
        return;
    }
    while let Some(t) = rest.next() {
        let end = t.token == Token::RParen;
        out.push(t);
        if end {
            return;
        }
    }
}

/// `WITH ($hint$NAME(..), ..)`
fn push_hint(hint: &str, span: Span, out: &mut Vec<TokenWithSpan>) -> Result<()> {
    let at = |token: Token| TokenWithSpan { token, span };
    let inner = Tokenizer::new(&FlinkDialect, hint)
        .tokenize_with_location()
        .map_err(|e| Error::user(e.message).at(position(span.start)).hint("Write /*+ OPTIONS('key' = 'value') */"))?;
    out.push(at(Token::make_keyword("WITH")));
    out.push(at(Token::LParen));
    let mut depth = 0usize;
    let mut separated = true;
    for t in inner {
        match t.token {
            Token::Whitespace(_) | Token::EOF => continue,
            Token::Word(w) if depth == 0 => {
                if !separated {
                    out.push(at(Token::Comma));
                }
                let value = format!("{HINT_PREFIX}{}", w.value.to_ascii_uppercase());
                out.push(at(Token::Word(Word { value, quote_style: Some('`'), keyword: Keyword::NoKeyword })));
                separated = false;
                continue;
            }
            Token::Word(w) => {
                out.push(at(Token::Word(Word { quote_style: Some('`'), keyword: Keyword::NoKeyword, ..w })));
                continue;
            }
            Token::Comma if depth == 0 => separated = true,
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        out.push(at(t.token));
    }
    out.push(at(Token::RParen));
    Ok(())
}
