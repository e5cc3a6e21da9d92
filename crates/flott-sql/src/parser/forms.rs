//! Expressions of Calcite's grammar that sqlparser does not read: `POSITION(a IN b FROM n)`, `TIMESTAMP WITH LOCAL TIME ZONE '..'`.

use sqlparser::ast::{CastKind, DataType, Expr, TimezoneInfo, TypedString, Value};
use sqlparser::dialect::{Dialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::cast::cast;
use super::dialect::{FlinkDialect, call};

/// `POSITION(part IN text FROM place)`, which is LOCATE; `None` without FROM.
pub(super) fn parse_position(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    from_follows(parser).then(|| {
        parser.next_token();
        parser.expect_token(&Token::LParen)?;
        let part = parser.parse_subexpr(FlinkDialect.prec_value(Precedence::Between))?;
        parser.expect_keyword_is(Keyword::IN)?;
        let text = parser.parse_expr()?;
        parser.expect_keyword_is(Keyword::FROM)?;
        let place = parser.parse_expr()?;
        parser.expect_token(&Token::RParen)?;
        Ok(call("LOCATE", vec![part, text, place]))
    })
}

/// Whether FROM stands in the brackets of the call that begins here, and in no others.
fn from_follows(parser: &Parser) -> bool {
    let (mut depth, mut at) = (0usize, parser.index());
    loop {
        match &parser.token_at(at).token {
            Token::EOF | Token::SemiColon => return false,
            Token::LParen => depth += 1,
            Token::RParen if depth <= 1 => return false,
            Token::RParen => depth -= 1,
            Token::Word(w) if depth == 1 && w.keyword == Keyword::FROM && w.quote_style.is_none() => return true,
            _ => {}
        }
        at += 1;
    }
}

/// `TIMESTAMP WITH LOCAL TIME ZONE '2024-01-31 12:00:00.5'`, in the session's zone; `None` for another literal.
pub(super) fn parse_local_timestamp(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    const WORDS: [Keyword; 4] = [Keyword::WITH, Keyword::LOCAL, Keyword::TIME, Keyword::ZONE];
    let is = |(n, k): (usize, &Keyword)| matches!(&parser.peek_nth_token_ref(n + 1).token, Token::Word(w) if w.keyword == *k);
    let Token::SingleQuotedString(text) = parser.peek_nth_token_ref(5).token.clone() else { return None };
    if !WORDS.iter().enumerate().all(is) {
        return None;
    }
    for _ in 0..6 {
        parser.next_token();
    }
    let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.trim_end().len().min(9));
    let data_type = DataType::Timestamp(None, TimezoneInfo::None);
    let value = Value::SingleQuotedString(text).with_span(parser.get_current_token().span);
    let literal = Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: false });
    Some(Ok(cast(CastKind::Cast, literal, format!("TIMESTAMP_LTZ({digits})"))))
}
