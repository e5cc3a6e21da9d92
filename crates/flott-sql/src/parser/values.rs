//! `VALUES 1, 2`: rows of one value without brackets, which sqlparser does not read, get them.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// The same tokens, with every row of VALUES in brackets.
pub(crate) fn arrange(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_bare = |i: usize| is_values(&tokens[i]) && begins_bare(&tokens[i + 1..]);
    if !(0..tokens.len()).any(|i| is_bare(i) || (is_values(&tokens[i]) && has_bare_row(&tokens[i + 1..]))) {
        return tokens;
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 8);
    let mut at = 0;
    while at < tokens.len() {
        out.push(tokens[at].clone());
        let follows = is_values(&tokens[at]);
        at += 1;
        if follows {
            at = rows(&tokens, at, &mut out);
        }
    }
    out
}

fn is_values(t: &TokenWithSpan) -> bool {
    matches!(&t.token, Token::Word(w) if w.quote_style.is_none() && w.keyword == Keyword::VALUES)
}

/// Whether a row that begins so is a value without brackets. `ROW (..)` and `(..)` are rows.
fn begins_bare(tokens: &[TokenWithSpan]) -> bool {
    let is_call = || tokens.get(1).is_some_and(|t| t.token == Token::LParen);
    match tokens.first().map(|t| &t.token) {
        Some(Token::Number(..) | Token::SingleQuotedString(_) | Token::Minus | Token::Plus) => true,
        Some(Token::Word(w)) if w.keyword == Keyword::ROW && w.quote_style.is_none() => false,
        Some(Token::Word(w)) if w.quote_style.is_none() => {
            let begins = matches!(
                w.keyword,
                Keyword::CASE
                    | Keyword::NULL
                    | Keyword::TRUE
                    | Keyword::FALSE
                    | Keyword::DATE
                    | Keyword::TIME
                    | Keyword::TIMESTAMP
                    | Keyword::INTERVAL
                    | Keyword::ARRAY
                    | Keyword::MAP
                    | Keyword::CURRENT_DATE
                    | Keyword::CURRENT_TIME
                    | Keyword::CURRENT_TIMESTAMP
                    | Keyword::LOCALTIME
                    | Keyword::LOCALTIMESTAMP
            );
            begins || is_call()
        }
        _ => false,
    }
}

/// Whether the rows of one VALUES, whose first may be in brackets, go on with one without.
fn has_bare_row(tokens: &[TokenWithSpan]) -> bool {
    let mut depth = 0usize;
    for (i, t) in tokens.iter().enumerate() {
        match &t.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return false,
            Token::RParen => depth -= 1,
            Token::Comma if depth == 0 && begins_bare(&tokens[i + 1..]) => return true,
            token if depth == 0 && ends_rows(token) => return false,
            _ => {}
        }
    }
    false
}

/// Whether what VALUES lists is over.
fn ends_rows(token: &Token) -> bool {
    match token {
        Token::SemiColon | Token::EOF => true,
        Token::Word(w) if w.quote_style.is_none() => matches!(
            w.keyword,
            Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
                | Keyword::ORDER
                | Keyword::LIMIT
                | Keyword::OFFSET
                | Keyword::FETCH
                | Keyword::ON
        ),
        _ => false,
    }
}

/// Copies the rows of a VALUES that begin here; behind them.
fn rows(tokens: &[TokenWithSpan], from: usize, out: &mut Vec<TokenWithSpan>) -> usize {
    let mut at = from;
    while at < tokens.len() {
        let bare = begins_bare(&tokens[at..]);
        let bracket = |token: Token, like: &TokenWithSpan| TokenWithSpan { token, span: like.span };
        if bare {
            out.push(bracket(Token::LParen, &tokens[at]));
        }
        let mut depth = 0usize;
        let first = at;
        while at < tokens.len() {
            let token = &tokens[at].token;
            let over = depth == 0 && (matches!(token, Token::RParen | Token::Comma) || ends_rows(token));
            if over {
                break;
            }
            match token {
                Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
                Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
                _ => {}
            }
            out.push(tokens[at].clone());
            at += 1;
        }
        if bare {
            out.push(bracket(Token::RParen, &tokens[at.max(first + 1) - 1]));
        }
        if tokens.get(at).is_none_or(|t| t.token != Token::Comma) {
            break;
        }
        out.push(tokens[at].clone());
        at += 1;
    }
    at
}
