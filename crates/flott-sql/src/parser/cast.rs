//! Casts, and the types that they name: `CAST(a AS type)`, `CONVERT(type, a)`.

use sqlparser::ast::{CastKind, DataType, Expr, Ident, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Word};

use super::dialect::TYPE_TEXT;

/// `CAST(a AS type)` and TRY_CAST.
pub(super) fn parse_cast(parser: &mut Parser, try_cast: bool) -> Result<Expr, ParserError> {
    parser.next_token();
    parser.next_token();
    let expr = parser.parse_expr()?;
    parser.expect_keyword(Keyword::AS)?;
    let text = type_text(parser)?;
    parser.expect_token(&Token::RParen)?;
    Ok(cast(if try_cast { CastKind::TryCast } else { CastKind::Cast }, expr, text))
}

/// `CONVERT(type, a [, style])`, which is CAST: the style counts for nothing. `None` for `CONVERT(a USING charset)`.
pub(super) fn parse_convert(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let type_first = parser.maybe_parse(|p| {
        p.next_token();
        p.next_token();
        let text = type_text(p)?;
        match text.parse::<flott_core::LogicalType>() {
            Ok(_) => p.expect_token(&Token::Comma).map(|_| text),
            Err(_) => p.expected("a data type", p.peek_token()),
        }
    });
    let text = type_first.ok().flatten()?;
    let parsed = parser.parse_expr().and_then(|expr| {
        if parser.consume_token(&Token::Comma) && !parser.parse_keyword(Keyword::NULL) {
            parser.parse_number_value()?;
        }
        parser.expect_token(&Token::RParen)?;
        Ok(cast(CastKind::Cast, expr, text))
    });
    Some(parsed)
}

/// `CAST(e AS type)`.
pub(super) fn cast(kind: CastKind, e: Expr, type_text: String) -> Expr {
    Expr::Cast {
        kind,
        expr: Box::new(e),
        data_type: DataType::Custom(ObjectName::from(vec![Ident::new(TYPE_TEXT)]), vec![type_text]),
        array: false,
        format: None,
    }
}

/// The tokens of a type up to the bracket, comma or word that cannot belong to it, as text.
pub(super) fn type_text(parser: &mut Parser) -> Result<String, ParserError> {
    let mut depth = 0usize;
    let mut text = String::new();
    loop {
        let token = parser.peek_token().token;
        match &token {
            Token::LParen | Token::Lt | Token::LBracket => depth += 1,
            Token::RParen | Token::Gt | Token::RBracket | Token::Comma if depth == 0 => break,
            Token::RParen | Token::Gt | Token::RBracket => depth -= 1,
            // `ARRAY<ARRAY<INT>>` ends in one token.
            Token::ShiftRight if depth >= 2 => depth -= 2,
            Token::Word(w) if depth == 0 && !text.is_empty() && !continues_type(w, &text) => break,
            // `ts TIMESTAMP(3) WITH ('connector' = ..)` lacks a bracket; it is no time zone.
            Token::Word(w)
                if depth == 0
                    && matches!(w.keyword, Keyword::WITH | Keyword::WITHOUT)
                    && !matches!(parser.peek_nth_token(1).token, Token::Word(_)) =>
            {
                break;
            }
            Token::SingleQuotedString(_) if depth == 0 => break,
            Token::EOF | Token::SemiColon | Token::Eq => break,
            _ => {}
        }
        let glue = matches!(token, Token::LParen | Token::RParen | Token::Comma) || text.ends_with('(');
        if !text.is_empty() && !glue {
            text.push(' ');
        }
        text.push_str(&match &token {
            Token::Word(w) if w.quote_style.is_some() => format!("`{}`", w.value.replace('`', "``")),
            // A field's comment.
            Token::SingleQuotedString(text) => format!("'{}'", text.replace('\'', "''")),
            other => other.to_string(),
        });
        parser.next_token();
    }
    if text.is_empty() {
        return parser.expected("a data type", parser.peek_token());
    }
    Ok(text)
}

/// Words that may follow inside a type: `DOUBLE PRECISION`, `TIMESTAMP(3) WITH LOCAL TIME ZONE`, `INT NOT NULL`.
fn continues_type(word: &Word, text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let w = word.value.to_ascii_uppercase();
    if word.quote_style.is_some() {
        return false;
    }
    match w.as_str() {
        "NOT" | "NULL" | "PRECISION" | "VARYING" | "LOCAL" | "ZONE" | "ARRAY" | "MULTISET" | "TO" => true,
        "WITH" | "WITHOUT" => upper.starts_with("TIME"),
        "TIME" => upper.ends_with("LOCAL") || upper.ends_with("WITHOUT") || upper.ends_with("WITH"),
        "YEAR" | "MONTH" | "DAY" | "HOUR" | "MINUTE" | "SECOND" => upper.starts_with("INTERVAL"),
        _ => false,
    }
}
