//! `x op ANY (..)`, SOME and ALL. In the brackets sqlparser reads SELECT alone; VALUES and a list may stand there, too.

use sqlparser::ast::{BinaryOperator, Expr};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::limits::MAX_STATEMENT_BYTES;

/// The comparison, where one with ANY, SOME or ALL stands behind `left`.
pub(super) fn parse(parser: &mut Parser, left: &Expr) -> Option<Result<Expr, ParserError>> {
    let op = match parser.peek_token_ref().token {
        Token::Eq => BinaryOperator::Eq,
        Token::Neq => BinaryOperator::NotEq,
        Token::Lt => BinaryOperator::Lt,
        Token::LtEq => BinaryOperator::LtEq,
        Token::Gt => BinaryOperator::Gt,
        Token::GtEq => BinaryOperator::GtEq,
        _ => return None,
    };
    let quantifier = match &parser.peek_nth_token_ref(1).token {
        Token::Word(w) if w.quote_style.is_none() => w.keyword,
        _ => return None,
    };
    let is_quantified = matches!(quantifier, Keyword::ANY | Keyword::SOME | Keyword::ALL);
    if !is_quantified || parser.peek_nth_token_ref(2).token != Token::LParen {
        return None;
    }
    for _ in 0..3 {
        parser.next_token();
    }
    let is_query = matches!(&parser.peek_token_ref().token, Token::Word(w)
        if w.quote_style.is_none() && matches!(w.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES));
    let compared = match is_query {
        true => with_query(parser, left, op, quantifier),
        false => with_list(parser, left, op, quantifier),
    };
    Some(compared.and_then(|e| parser.expect_token(&Token::RParen).map(|_| e)))
}

fn with_query(
    parser: &mut Parser,
    left: &Expr,
    compare_op: BinaryOperator,
    quantifier: Keyword,
) -> Result<Expr, ParserError> {
    let (left, right) = (Box::new(left.clone()), Box::new(Expr::Subquery(parser.parse_query()?)));
    Ok(match quantifier {
        Keyword::ALL => Expr::AllOp { left, compare_op, right },
        _ => Expr::AnyOp { left, compare_op, right, is_some: quantifier == Keyword::SOME },
    })
}

/// Of a list it is as many comparisons, as in Calcite.
fn with_list(parser: &mut Parser, left: &Expr, op: BinaryOperator, quantifier: Keyword) -> Result<Expr, ParserError> {
    let list = parser.parse_comma_separated(Parser::parse_expr)?;
    let is_all = quantifier == Keyword::ALL;
    if (op == BinaryOperator::Eq && !is_all) || (op == BinaryOperator::NotEq && is_all) {
        return Ok(Expr::InList { expr: Box::new(left.clone()), list, negated: is_all });
    }
    // It stands there once for each value, and lists stand in each other.
    let copied = left.to_string().len().saturating_mul(list.len());
    if copied > MAX_STATEMENT_BYTES {
        return Err(ParserError::ParserError(format!(
            "Expected: fewer than {} values behind {quantifier:?}, or a shorter expression before it (name it in a sub-query)",
            list.len()
        )));
    }
    let join = if is_all { BinaryOperator::And } else { BinaryOperator::Or };
    let each = list.into_iter().map(|value| Expr::BinaryOp {
        left: Box::new(left.clone()),
        op: op.clone(),
        right: Box::new(Expr::Nested(Box::new(value))),
    });
    let joined =
        each.reduce(|left, right| Expr::BinaryOp { left: Box::new(left), op: join.clone(), right: Box::new(right) });
    let joined = joined.ok_or_else(|| ParserError::ParserError("Expected: a value".to_string()))?;
    Ok(Expr::Nested(Box::new(joined)))
}
