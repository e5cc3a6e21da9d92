//! String literals over several lines, with a character set, and the strings that stand where a name must.
//!
//! As in SQL, `'a'` and a `'b'` on a later line are one literal `'ab'`; on the same line they are an error.

use std::ops::ControlFlow;

use flott_core::{Error, Result};
use sqlparser::ast::{Ident, Query, Select, SelectItem, SetExpr, TableAlias};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::alias_of;
use super::ast::position;
use super::limits::Beyond;

/// Character sets that may stand before a literal: texts are UTF-8 here, whatever it says.
const CHARACTER_SETS: [&str; 5] = ["_UTF8", "_UTF16", "_UTF32", "_LATIN1", "_ASCII"];

/// The same tokens, with the parts of each literal put together.
pub(crate) fn arrange(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    let is_part = |t: &Token| matches!(t, Token::SingleQuotedString(_));
    let continued = tokens.windows(2).any(|pair| is_part(&pair[1].token) && literal(&pair[0].token).is_some());
    let marked = tokens.iter().any(|t| matches!(t.token, Token::NationalStringLiteral(_)) || is_set(&t.token));
    if !continued && !marked {
        return Ok(tokens);
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for (i, mut t) in tokens.iter().cloned().enumerate() {
        if let Token::NationalStringLiteral(text) = t.token {
            t.token = Token::SingleQuotedString(text);
        }
        let next = tokens.get(i + 1);
        if is_set(&t.token) && next.is_some_and(|n| is_part(&n.token) && n.span.start == t.span.end) {
            continue;
        }
        let Token::SingleQuotedString(more) = &t.token else {
            out.push(t);
            continue;
        };
        let set = i > 0 && is_set(&tokens[i - 1].token);
        let goes_on = !set && out.last().is_some_and(|last| literal(&last.token).is_some());
        // `'k' = 'v' 'k2' = ..`: in a list of options a comma is missing, or `=`, which the parser tells.
        if goes_on && in_options(&out) {
            out.extend(tokens[i..].iter().cloned());
            return Ok(out);
        }
        match out.last_mut().filter(|_| goes_on) {
            Some(last) => {
                if last.span.end.line == t.span.start.line {
                    return Err(Error::user("String literal continued on same line")
                        .at(position(t.span.start))
                        .hint("A comma or an operator may be missing before it, or write it on a line of its own"));
                }
                append(&mut last.token, more);
                last.span.end = t.span.end;
            }
            None => out.push(t),
        }
    }
    Ok(out)
}

/// Whether a list of options is open: `WITH ('k' = 'v', ..`.
fn in_options(tokens: &[TokenWithSpan]) -> bool {
    let bracket =
        tokens.iter().rposition(|t| !matches!(t.token, Token::SingleQuotedString(_) | Token::Eq | Token::Comma));
    let before = |i: usize| match i.checked_sub(1).map(|i| &tokens[i].token) {
        Some(Token::Word(w)) => {
            w.quote_style.is_none() && matches!(w.keyword, Keyword::WITH | Keyword::SET | Keyword::RESET)
        }
        _ => false,
    };
    bracket.is_some_and(|i| tokens[i].token == Token::LParen && before(i))
}

/// A character set, `_UTF8`.
fn is_set(token: &Token) -> bool {
    matches!(token, Token::Word(w) if w.quote_style.is_none()
        && CHARACTER_SETS.iter().any(|s| w.value.eq_ignore_ascii_case(s)))
}

/// The text of a literal that may go on.
fn literal(token: &Token) -> Option<&str> {
    match token {
        Token::SingleQuotedString(s)
        | Token::NationalStringLiteral(s)
        | Token::UnicodeStringLiteral(s)
        | Token::HexStringLiteral(s) => Some(s),
        _ => None,
    }
}

fn append(token: &mut Token, more: &str) {
    match token {
        Token::SingleQuotedString(s)
        | Token::NationalStringLiteral(s)
        | Token::UnicodeStringLiteral(s)
        | Token::HexStringLiteral(s) => s.push_str(more),
        _ => {}
    }
}

/// Refuses strings as aliases, which the query parser takes: an alias is a name.
pub(crate) fn no_string_aliases(query: &Query) -> ControlFlow<Beyond> {
    if let Some(with) = &query.with {
        for cte in &with.cte_tables {
            table_alias(&cte.alias)?;
        }
    }
    let mut rest = vec![query.body.as_ref()];
    while let Some(body) = rest.pop() {
        match body {
            SetExpr::Select(select) => select_aliases(select)?,
            SetExpr::SetOperation { left, right, .. } => rest.extend([left.as_ref(), right.as_ref()]),
            _ => {}
        }
    }
    ControlFlow::Continue(())
}

fn select_aliases(select: &Select) -> ControlFlow<Beyond> {
    for item in &select.projection {
        if let SelectItem::ExprWithAlias { expr, alias } = item {
            is_name(alias, || sqlparser::ast::Spanned::span(expr).start)?;
        }
    }
    for from in &select.from {
        for relation in std::iter::once(&from.relation).chain(from.joins.iter().map(|j| &j.relation)) {
            if let Some(alias) = alias_of(relation) {
                table_alias(alias)?;
            }
        }
    }
    ControlFlow::Continue(())
}

fn table_alias(alias: &TableAlias) -> ControlFlow<Beyond> {
    let nowhere = || Location { line: 0, column: 0 };
    is_name(&alias.name, nowhere)?;
    alias.columns.iter().try_for_each(|c| is_name(&c.name, nowhere))
}

fn is_name(alias: &Ident, near: impl FnOnce() -> Location) -> ControlFlow<Beyond> {
    if alias.quote_style != Some('\'') {
        return ControlFlow::Continue(());
    }
    let at = if alias.span.start.line > 0 { alias.span.start } else { near() };
    ControlFlow::Break(Beyond {
        reason: format!(
            "Expecting alias, found character literal: '{0}' is a text; a name stands alone or in backticks, `{0}`",
            alias.value
        ),
        at,
    })
}

#[cfg(test)]
mod tests {
    use crate::parser::parse_script;

    fn literals(sql: &str) -> String {
        format!("{:?}", parse_script(sql).expect(sql)[0].statement)
    }

    #[test]
    fn a_literal_goes_on_with_a_string_on_a_later_line() {
        for sql in [
            "SELECT 'a'\n'b'",
            "SELECT 'a' -- comment\n  'b'",
            "VALUES ('a'\n'b')",
            "SELECT f('a'\n\n'b', 1) FROM t",
            "SELECT 1 FROM t WHERE x IN ('a'\n'b', 'c')",
            "SELECT 'a'\n''\n'b'",
            "SELECT N'a'\n'b'",
            "SELECT _UTF8'ab'",
        ] {
            assert!(literals(sql).contains("SingleQuotedString(\"ab\")"), "{sql}: {}", literals(sql));
        }
        assert!(literals("SELECT X'01'\n'ff'").contains("HexStringLiteral(\"01ff\")"));
        // Quotes inside of a literal, and literals that a comma parts, are what they were.
        assert!(literals("SELECT 'a''b'").contains("SingleQuotedString(\"a'b\")"));
        assert!(literals("SELECT 'a',\n'b'").contains("SingleQuotedString(\"b\")"));
    }

    #[test]
    fn on_the_same_line_it_is_an_error() {
        for (sql, place) in [
            ("SELECT 'x' 'y'", "column 12"),
            ("SELECT 1 FROM t WHERE a IN ('x' 'y')", "column 33"),
            ("VALUES ('x' 'y')", "column 13"),
            ("SELECT 'x'\n'y' 'z'", "line 2, column 5"),
        ] {
            let e = parse_script(sql).expect_err(sql).to_string();
            assert!(e.contains("String literal continued on same line") && e.contains(place), "{e}");
        }
    }

    #[test]
    fn an_option_without_its_comma_is_no_longer_literal() {
        for sql in
            ["CREATE TABLE t (a INT) WITH ('a' = 'b'\n'c' = 'd')", "CREATE TABLE t (a INT) WITH ('a' = 'b' 'c' = 'd')"]
        {
            let e = parse_script(sql).expect_err(sql).to_string();
            assert!(e.contains("expected , or )") && e.contains("'c'"), "{e}");
        }
    }

    #[test]
    fn an_alias_is_a_name() {
        for sql in [
            "SELECT id 'y' FROM t",
            "SELECT id AS 'y' FROM t",
            "SELECT 1 FROM t 'y'",
            "SELECT 1 FROM t AS 'y'",
            "SELECT 1 FROM (SELECT 1 AS 'y')",
            "SELECT 1 FROM a JOIN b 'y' ON TRUE",
        ] {
            let e = parse_script(sql).expect_err(sql).to_string();
            assert!(e.contains("Expecting alias, found character literal"), "{e}");
        }
    }
}
