//! MATCH_RECOGNIZE: what sqlparser does not read of it, in a form that it reads.
//!
//! A pass over the tokens inside `MATCH_RECOGNIZE (..)`:
//! - `WITHIN interval` and `SUBSET u = (a, b)` become definitions: `DEFINE $within AS interval, $subset AS u = (a, b), ..`;
//! - `AFTER MATCH SKIP TO v` becomes `.. TO LAST v`, which it means;
//! - `FINAL f(..)` and `RUNNING f(..)` become functions `$FINAL$f(..)`;
//! - `(SELECT ..) MATCH_RECOGNIZE` becomes a table function of the query.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// The definition that WITHIN becomes.
pub const WITHIN_DEFINITION: &str = "$within";
/// The definitions that SUBSET becomes.
pub const SUBSET_DEFINITION: &str = "$subset";
/// Stands before the name of a function behind FINAL.
pub const FINAL_PREFIX: &str = "$FINAL$";
/// Stands before the name of a function behind RUNNING.
pub const RUNNING_PREFIX: &str = "$RUNNING$";
/// The table function whose argument is the query that is matched.
pub const QUERY_CALL: &str = "$query";

/// The same tokens, in a form that the parser reads.
pub(crate) fn arrange(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|t| is(t, "MATCH_RECOGNIZE")) {
        return tokens;
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 8);
    let mut at = 0;
    while at < tokens.len() {
        let opens = tokens.get(at + 1).is_some_and(|t| t.token == Token::LParen);
        if !(is(&tokens[at], "MATCH_RECOGNIZE") && opens) {
            out.push(tokens[at].clone());
            at += 1;
            continue;
        }
        around_query(&mut out);
        let end = closing(&tokens, at + 1);
        out.push(tokens[at].clone());
        out.extend(body(&tokens[at + 1..end]));
        at = end;
    }
    out
}

fn is(t: &TokenWithSpan, word: &str) -> bool {
    matches!(&t.token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// Behind the bracket that closes the one here.
fn closing(tokens: &[TokenWithSpan], open: usize) -> usize {
    let mut depth = 0usize;
    for (i, t) in tokens.iter().enumerate().skip(open) {
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return i + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

fn word(like: &TokenWithSpan, text: &str, keyword: Keyword) -> TokenWithSpan {
    let word = Word { value: text.to_string(), quote_style: None, keyword };
    TokenWithSpan { token: Token::Word(word), span: like.span }
}

fn sign(like: &TokenWithSpan, token: Token) -> TokenWithSpan {
    TokenWithSpan { token, span: like.span }
}

/// Where a query in brackets has just been read, it becomes the argument of a table function.
fn around_query(out: &mut Vec<TokenWithSpan>) {
    if out.last().is_none_or(|t| t.token != Token::RParen) {
        return;
    }
    let mut depth = 0usize;
    for i in (0..out.len()).rev() {
        match out[i].token {
            Token::RParen => depth += 1,
            Token::LParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > 0 {
            continue;
        }
        let is_query = out.get(i + 1).is_some_and(|t| is(t, "SELECT") || is(t, "WITH") || is(t, "VALUES"));
        let is_call = i > 0 && matches!(&out[i - 1].token, Token::Word(w) if w.keyword == Keyword::NoKeyword);
        if is_query && !is_call {
            let like = out[i].clone();
            out.push(sign(&like, Token::RParen));
            out.insert(i, sign(&like, Token::LParen));
            out.insert(i, word(&like, QUERY_CALL, Keyword::NoKeyword));
        }
        return;
    }
}

/// The brackets and what is in them.
fn body(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut out = vec![];
    // Definitions in front of those of DEFINE.
    let mut moved: Vec<TokenWithSpan> = vec![];
    let mut depth = 0usize;
    let mut at = 0;
    while at < tokens.len() {
        let t = &tokens[at];
        let next = tokens.get(at + 1);
        match t.token {
            Token::LParen | Token::LBrace | Token::LBracket => depth += 1,
            Token::RParen | Token::RBrace | Token::RBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        let clause = depth == 1 && out.last().is_some_and(|t: &TokenWithSpan| t.token == Token::RParen);
        let of_group = next.is_some_and(|n| is(n, "GROUP"));
        if clause && ((is(t, "WITHIN") && !of_group) || is(t, "SUBSET")) {
            let within = is(t, "WITHIN");
            let end = next_clause(tokens, at + 1);
            let start = |moved: &mut Vec<TokenWithSpan>| {
                let name = if within { WITHIN_DEFINITION } else { SUBSET_DEFINITION };
                moved.push(word(t, name, Keyword::NoKeyword));
                moved.push(word(t, "AS", Keyword::AS));
            };
            start(&mut moved);
            let mut nested = 0usize;
            for t in &tokens[at + 1..end] {
                moved.push(t.clone());
                match t.token {
                    Token::LParen => nested += 1,
                    Token::RParen => nested = nested.saturating_sub(1),
                    Token::Comma if nested == 0 => start(&mut moved),
                    _ => {}
                }
            }
            moved.push(sign(t, Token::Comma));
            at = end;
            continue;
        }
        if clause && is(t, "DEFINE") {
            out.push(t.clone());
            out.append(&mut moved);
            at += 1;
            continue;
        }
        let skips_to = out.len() >= 2 && is(t, "TO") && is(&out[out.len() - 1], "SKIP");
        if skips_to {
            out.push(t.clone());
            let follows = tokens.get(at + 2).is_some_and(|t| matches!(t.token, Token::Word(_)));
            let named = next.is_some_and(|n| (is(n, "FIRST") || is(n, "LAST") || is(n, "NEXT")) && follows);
            let pattern_follows = tokens.get(at + 2).is_some_and(|t| is(t, "PATTERN"));
            if !named || pattern_follows {
                out.push(word(t, "LAST", Keyword::LAST));
            }
            at += 1;
            continue;
        }
        let prefix = [("FINAL", FINAL_PREFIX), ("RUNNING", RUNNING_PREFIX)].iter().find(|p| is(t, p.0)).map(|p| p.1);
        if let (Some(prefix), Some(Token::Word(function))) = (prefix, next.map(|n| &n.token))
            && tokens.get(at + 2).is_some_and(|t| t.token == Token::LParen)
        {
            out.push(word(t, &format!("{prefix}{}", function.value), Keyword::NoKeyword));
            at += 2;
            continue;
        }
        out.push(t.clone());
        at += 1;
    }
    out
}

/// Where the clause behind WITHIN or SUBSET starts.
fn next_clause(tokens: &[TokenWithSpan], from: usize) -> usize {
    let mut depth = 0usize;
    for (i, t) in tokens.iter().enumerate().skip(from) {
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return i,
            Token::RParen => depth -= 1,
            _ if depth == 0 && (is(t, "DEFINE") || is(t, "SUBSET") || is(t, "WITHIN")) => return i,
            _ => {}
        }
    }
    tokens.len()
}
