//! The JSON functions with their clauses: `JSON_VALUE(x, '$.a' RETURNING INT NULL ON ERROR)`.
//!
//! Each becomes a call of an internal function whose clauses are arguments: words as texts, an empty text where a clause is
//! not written. See `flott_function::scalar` for their order.

use sqlparser::ast::{Expr, Ident, JsonPath, JsonPathElem, Value};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Word};

use super::dialect::call;

/// What the names of these calls begin with; the function's own name follows.
pub const JSON_CALL_PREFIX: &str = "$json:";

/// A JSON function with its arguments, where one stands here.
pub(super) fn parse_json_function(parser: &mut Parser, word: &Word) -> Option<Result<Expr, ParserError>> {
    let name = word.value.to_ascii_uppercase();
    let parse: fn(&mut Parser) -> Result<Vec<Expr>, ParserError> = match name.as_str() {
        _ if word.quote_style.is_some() => return None,
        "JSON_OBJECTAGG" | "JSON_ARRAYAGG" => return Some(aggregate(parser, &name)),
        "JSON_EXISTS" => exists,
        "JSON_VALUE" => value,
        "JSON_QUERY" => query,
        "JSON_OBJECT" => object,
        "JSON_ARRAY" => array,
        _ => return None,
    };
    parser.next_token();
    parser.next_token();
    let arguments = parse(parser).and_then(|arguments| {
        parser.expect_token(&Token::RParen)?;
        Ok(arguments)
    });
    Some(arguments.map(|arguments| call(&format!("{JSON_CALL_PREFIX}{name}"), arguments)))
}

/// JSON_OBJECTAGG and JSON_ARRAYAGG: functions of other names, one for what becomes of NULL each, and a FILTER.
fn aggregate(parser: &mut Parser, name: &str) -> Result<Expr, ParserError> {
    parser.next_token();
    parser.next_token();
    let (arguments, absent_by_default) = match name {
        "JSON_OBJECTAGG" => (entry(parser)?, false),
        _ => (vec![parser.parse_expr()?], true),
    };
    let absent = accept(parser, &["ABSENT", "ON", "NULL"]);
    let null = !absent && accept(parser, &["NULL", "ON", "NULL"]);
    parser.expect_token(&Token::RParen)?;
    let behaviour = if absent || (absent_by_default && !null) { "ABSENT_ON_NULL" } else { "NULL_ON_NULL" };
    let mut called = call(&format!("{name}_{behaviour}"), arguments);
    if let Expr::Function(function) = &mut called
        && accept(parser, &["FILTER"])
    {
        parser.expect_token(&Token::LParen)?;
        parser.expect_keyword_is(Keyword::WHERE)?;
        function.filter = Some(Box::new(parser.parse_expr()?));
        parser.expect_token(&Token::RParen)?;
    }
    Ok(called)
}

fn text(word: impl Into<String>) -> Expr {
    Expr::value(Value::SingleQuotedString(word.into()))
}

fn null() -> Expr {
    Expr::value(Value::Null)
}

/// Whether the next tokens are these words; then they are taken.
fn accept(parser: &mut Parser, words: &[&str]) -> bool {
    let there = words.iter().enumerate().all(|(i, word)| {
        matches!(&parser.peek_nth_token(i).token,
            Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    });
    if there {
        for _ in words {
            parser.next_token();
        }
    }
    there
}

/// The text and the path.
fn context(parser: &mut Parser) -> Result<Vec<Expr>, ParserError> {
    let json = parser.parse_expr()?;
    parser.expect_token(&Token::Comma)?;
    Ok(vec![json, parser.parse_expr()?])
}

fn exists(parser: &mut Parser) -> Result<Vec<Expr>, ParserError> {
    let mut arguments = context(parser)?;
    for behaviour in ["TRUE", "FALSE", "UNKNOWN", "ERROR"] {
        if accept(parser, &[behaviour, "ON", "ERROR"]) {
            arguments.push(text(behaviour));
            break;
        }
    }
    Ok(arguments)
}

/// `RETURNING type`; an empty text without it. `NULL` behind a type belongs to the next clause.
fn returning(parser: &mut Parser) -> Result<Expr, ParserError> {
    if !accept(parser, &["RETURNING"]) {
        return Ok(text(""));
    }
    let Token::Word(first) = parser.peek_token().token else {
        return parser.expected("a data type", parser.peek_token());
    };
    parser.next_token();
    let mut out = first.value;
    if accept(parser, &["PRECISION"]) {
        out.push_str(" PRECISION");
    } else if accept(parser, &["VARYING"]) {
        out.push_str(" VARYING");
    }
    let mut depth = 0usize;
    loop {
        let token = parser.peek_token().token;
        match &token {
            Token::LParen | Token::Lt => depth += 1,
            Token::RParen | Token::Gt if depth > 0 => depth -= 1,
            Token::EOF | Token::SemiColon => break,
            _ if depth == 0 => break,
            _ => {}
        }
        out.push(' ');
        out.push_str(&token.to_string());
        parser.next_token();
    }
    Ok(text(out))
}

/// What is given ON EMPTY and ON ERROR: a word and a default each.
#[derive(Default)]
struct Behaviours {
    empty: Option<(String, Expr)>,
    error: Option<(String, Expr)>,
}

impl Behaviours {
    fn parse(parser: &mut Parser, words: &[&[&str]], with_default: bool) -> Result<Behaviours, ParserError> {
        let mut found = Behaviours::default();
        loop {
            let behaviour = if with_default && accept(parser, &["DEFAULT"]) {
                ("DEFAULT".to_string(), parser.parse_expr()?)
            } else if let Some(words) = words.iter().find(|words| follows(parser, words)) {
                accept(parser, words);
                (words.join(" "), null())
            } else {
                return Ok(found);
            };
            parser.expect_keyword_is(Keyword::ON)?;
            let slot = if accept(parser, &["EMPTY"]) {
                &mut found.empty
            } else {
                parser.expect_keyword_is(Keyword::ERROR)?;
                &mut found.error
            };
            if slot.replace(behaviour).is_some() {
                return parser.expected("ON EMPTY and ON ERROR once each", parser.peek_token());
            }
        }
    }
}

/// Whether these words stand here, and ON behind them.
fn follows(parser: &Parser, words: &[&str]) -> bool {
    words.iter().copied().chain(["ON"]).enumerate().all(|(i, word)| {
        matches!(&parser.peek_nth_token(i).token,
            Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    })
}

fn value(parser: &mut Parser) -> Result<Vec<Expr>, ParserError> {
    let mut arguments = context(parser)?;
    arguments.push(returning(parser)?);
    let found = Behaviours::parse(parser, &[&["NULL"], &["ERROR"]], true)?;
    for behaviour in [found.empty, found.error] {
        let (word, default) = behaviour.unwrap_or((String::new(), null()));
        arguments.extend([text(word), default]);
    }
    Ok(arguments)
}

fn query(parser: &mut Parser) -> Result<Vec<Expr>, ParserError> {
    let mut arguments = context(parser)?;
    arguments.push(returning(parser)?);
    let mut wrapper = "";
    for (first, second, name) in [
        ("WITHOUT", None, "WITHOUT"),
        ("WITH", Some("CONDITIONAL"), "CONDITIONAL"),
        ("WITH", Some("UNCONDITIONAL"), "UNCONDITIONAL"),
        ("WITH", None, "UNCONDITIONAL"),
    ] {
        let words: Vec<&str> = std::iter::once(first).chain(second).collect();
        if accept(parser, &[words.as_slice(), &["ARRAY", "WRAPPER"]].concat())
            || accept(parser, &[words.as_slice(), &["WRAPPER"]].concat())
        {
            wrapper = name;
            break;
        }
    }
    arguments.push(text(wrapper));
    let found = Behaviours::parse(parser, &[&["NULL"], &["ERROR"], &["EMPTY", "ARRAY"], &["EMPTY", "OBJECT"]], false)?;
    for behaviour in [found.empty, found.error] {
        arguments.push(text(behaviour.map_or(String::new(), |b| b.0)));
    }
    Ok(arguments)
}

/// `NULL ON NULL`, `ABSENT ON NULL`
fn on_null(parser: &mut Parser) -> Expr {
    for word in ["NULL", "ABSENT"] {
        if accept(parser, &[word, "ON", "NULL"]) {
            return text(word);
        }
    }
    text("")
}

fn ends(parser: &Parser) -> bool {
    parser.peek_token_ref().token == Token::RParen || follows(parser, &["NULL"]) || follows(parser, &["ABSENT"])
}

/// `[KEY] key VALUE value`, `key : value`
fn entry(parser: &mut Parser) -> Result<Vec<Expr>, ParserError> {
    let is = |i: usize, word: &str| {
        matches!(&parser.peek_nth_token(i).token,
            Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    };
    // A column may be named `key`.
    if is(0, "KEY") && !is(1, "VALUE") && parser.peek_nth_token(1).token != Token::Colon {
        parser.next_token();
    }
    let key = parser.parse_expr()?;
    // `a : b` has been read as the access to a field.
    if let Expr::JsonAccess { value, path: JsonPath { path } } = &key
        && let [JsonPathElem::Dot { key: column, quoted: false }] = path.as_slice()
    {
        return Ok(vec![value.as_ref().clone(), Expr::Identifier(Ident::new(column))]);
    }
    if !accept(parser, &["VALUE"]) {
        parser.expect_token(&Token::Colon)?;
    }
    Ok(vec![key, parser.parse_expr()?])
}

fn object(parser: &mut Parser) -> Result<Vec<Expr>, ParserError> {
    let mut entries = vec![];
    while !ends(parser) {
        if !entries.is_empty() {
            parser.expect_token(&Token::Comma)?;
        }
        entries.extend(entry(parser)?);
    }
    let mut arguments = vec![on_null(parser)];
    arguments.extend(entries);
    Ok(arguments)
}

fn array(parser: &mut Parser) -> Result<Vec<Expr>, ParserError> {
    let mut values = vec![];
    while !ends(parser) {
        if !values.is_empty() {
            parser.expect_token(&Token::Comma)?;
        }
        values.push(parser.parse_expr()?);
    }
    let mut arguments = vec![on_null(parser)];
    arguments.extend(values);
    Ok(arguments)
}
