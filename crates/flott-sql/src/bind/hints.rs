//! Hints: which there are, what their options must be, and what is done with those that change nothing here.
//!
//! Flink registers its hints by name and refuses every other one. A hint that fits no operator of the query is dropped
//! in silence there; here a warning says so.

use std::collections::HashMap;
use std::time::Duration;

use flott_connector::table::ObjectIdentifier;
use flott_core::time_text::parse_duration;
use flott_core::{Error, Result, suggest};
use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, OptimizerHint, Select, Spanned, TableFactor,
    Value,
};
use sqlparser::tokenizer::{Span, Token, Tokenizer};

use super::refuse::{at, name_text, unsupported};
use crate::parser::dialect::FlinkDialect;
use crate::parser::script::HINT_PREFIX;

/// The hint that has an effect: it changes a table's options.
pub(crate) const OPTIONS: &str = "OPTIONS";

/// Hints of Flink's that choose how a join is executed: they name tables.
const JOIN_STRATEGIES: [&str; 4] = ["BROADCAST", "SHUFFLE_HASH", "SHUFFLE_MERGE", "NEST_LOOP"];

/// All of Flink's hints.
const KNOWN: [&str; 11] = [
    OPTIONS,
    "BROADCAST",
    "SHUFFLE_HASH",
    "SHUFFLE_MERGE",
    "NEST_LOOP",
    "LOOKUP",
    "STATE_TTL",
    "MULTI_JOIN",
    "ALIAS",
    "QUERY_BLOCK_ALIAS",
    "JSON_AGGREGATE_WRAPPED",
];

/// A hint as it is written: its name in upper case, names and pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GivenHint {
    pub(crate) name: String,
    pub(crate) list: Vec<String>,
    pub(crate) pairs: Vec<(String, String)>,
}

impl GivenHint {
    pub(crate) fn shown(&self) -> String {
        let pairs = self.pairs.iter().map(|(k, v)| format!("{k}={v}"));
        let inner: Vec<String> = self.list.iter().cloned().chain(pairs).collect();
        if inner.is_empty() { self.name.clone() } else { format!("{}({})", self.name, inner.join(", ")) }
    }
}

/// A hint behind a table's name, as the token pass left it.
pub(crate) fn of_table(hint: &Expr) -> Result<GivenHint> {
    let named = |name: &str| name.strip_prefix(HINT_PREFIX).unwrap_or(name).to_uppercase();
    let mut given = GivenHint { name: String::new(), list: vec![], pairs: vec![] };
    let f = match hint {
        Expr::Identifier(name) => {
            given.name = named(&name.value);
            return Ok(given);
        }
        Expr::Function(f) => f,
        other => return Err(unsupported("this hint", other.span())),
    };
    given.name = named(&name_text(&f.name));
    let FunctionArguments::List(list) = &f.args else { return Ok(given) };
    for argument in &list.args {
        match (pair(argument), argument) {
            (Some(pair), _) => given.pairs.push(pair),
            (None, FunctionArg::Unnamed(FunctionArgExpr::Expr(e))) => given.list.push(text(e).unwrap_or(e.to_string())),
            (None, other) => given.list.push(other.to_string()),
        }
    }
    Ok(given)
}

fn text(e: &Expr) -> Option<String> {
    match e {
        Expr::Value(v) => match &v.value {
            Value::SingleQuotedString(s) => Some(s.clone()),
            _ => None,
        },
        Expr::Identifier(name) => Some(name.value.clone()),
        _ => None,
    }
}

/// `'key' = 'value'`
fn pair(argument: &FunctionArg) -> Option<(String, String)> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp { left, op: BinaryOperator::Eq, right })) => {
            Some((text(left)?, text(right)?))
        }
        FunctionArg::ExprNamed { name, arg: FunctionArgExpr::Expr(value), operator: _ } => {
            Some((text(name)?, text(value)?))
        }
        _ => None,
    }
}

/// Refuses a hint that Flink does not know, or whose options it would not take.
pub(crate) fn check(hint: &GivenHint) -> Result<()> {
    let name = hint.name.as_str();
    if !KNOWN.contains(&name) {
        let error = Error::user(format!("Hint: {name} should be registered in the HintStrategyTable"));
        return Err(match suggest::nearest(name, KNOWN) {
            Some(near) => error.hint(format!("Did you mean {near}?")),
            None => error.hint(format!("The hints that there are: {}", KNOWN[..8].join(", "))),
        });
    }
    let shown = hint.shown();
    match name {
        OPTIONS if hint.pairs.is_empty() || !hint.list.is_empty() => {
            Err(Error::user("Hint [OPTIONS] only support non empty key value options")
                .hint("Write OPTIONS('key' = 'value')"))
        }
        "ALIAS" | "QUERY_BLOCK_ALIAS" if hint.list.len() != 1 => {
            Err(Error::user(format!("Invalid hint: {shown}, expecting 1 table or view name specified in hint {name}.")))
        }
        _ if JOIN_STRATEGIES.contains(&name) && hint.list.is_empty() => Err(Error::user(format!(
            "Invalid hint: {shown}, expecting at least one table or view specified in hint {name}."
        ))
        .hint(format!("Write {name}(t), with the table's name or alias"))),
        "LOOKUP" => check_lookup(hint),
        "STATE_TTL" => check_ttl(hint),
        _ => Ok(()),
    }
}

fn check_lookup(hint: &GivenHint) -> Result<()> {
    const KEYS: [&str; 9] = [
        "table",
        "async",
        "output-mode",
        "capacity",
        "timeout",
        "retry-predicate",
        "retry-strategy",
        "fixed-delay",
        "max-attempts",
    ];
    if !hint.list.is_empty() {
        return Err(Error::user("Invalid list options in LOOKUP hint, only support key-value options.")
            .hint("Write LOOKUP('table' = 't')"));
    }
    if !hint.pairs.iter().any(|(k, _)| k == "table") {
        return Err(Error::user("Invalid LOOKUP hint: incomplete required option(s): 'table'")
            .hint("Write LOOKUP('table' = 't', ..)"));
    }
    for (key, _) in &hint.pairs {
        // A lookup's shuffle is another of Flink's options, without a meaning here.
        if !KEYS.contains(&key.as_str()) && key != "shuffle" {
            let error = Error::user(format!("Invalid LOOKUP hint option '{key}'"));
            return Err(match suggest::nearest(key, KEYS) {
                Some(near) => error.hint(format!("Did you mean '{near}'?")),
                None => error.hint(format!("Its options: {}", KEYS.join(", "))),
            });
        }
    }
    let of_retry = |k: &str| k.starts_with("retry-") || k == "fixed-delay" || k == "max-attempts";
    match hint.pairs.iter().filter(|(k, _)| of_retry(k)).count() {
        0 | 4 => Ok(()),
        _ => Err(Error::user("Invalid LOOKUP hint: retry options can be both null or all not null")
            .hint("Give retry-predicate, retry-strategy, fixed-delay and max-attempts together")),
    }
}

fn check_ttl(hint: &GivenHint) -> Result<()> {
    if hint.pairs.is_empty() || !hint.list.is_empty() {
        return Err(Error::user("Hint [STATE_TTL] only support non empty key value options")
            .hint("Write STATE_TTL('t' = '1 d')"));
    }
    for (key, value) in &hint.pairs {
        parse_duration(value).map_err(|e| {
            Error::user(format!("Invalid STATE_TTL hint value for table '{key}': {e}"))
                .hint("Write for instance STATE_TTL('t' = '1 d')")
        })?;
    }
    Ok(())
}

/// The hints behind SELECT: checked, and those that no operator takes told to have no effect. Returns how long the state of
/// its aggregation is kept.
pub(crate) fn of_select(select: &Select, aggregates: bool) -> Result<Option<Duration>> {
    let mut state_ttl = None;
    let span = select.select_token.0.span;
    for OptimizerHint { text, .. } in &select.optimizer_hints {
        for hint in parse(text).map_err(|e| at(e, span))? {
            check(&hint).map_err(|e| at(e, span))?;
            // An aggregation's state belongs to its input, which the hint must name.
            if hint.name == "STATE_TTL" && has_joins(select) {
                continue;
            }
            if hint.name == "STATE_TTL" && aggregates {
                let inputs = input_names(select);
                let unknown: Vec<&str> =
                    hint.pairs.iter().map(|(k, _)| k.as_str()).filter(|k| !inputs.iter().any(|n| n == k)).collect();
                if !unknown.is_empty() {
                    let error = Error::user(format!(
                        "The options of following hints cannot match the name of input tables or views: \n`{}` in `{}`",
                        unknown.join(", "),
                        hint.name
                    ));
                    return Err(at(error.hint(format!("The inputs here: {}", inputs.join(", "))), span));
                }
                let first = hint.pairs.first().map(|(_, v)| parse_duration(v)).transpose().map_err(Error::user)?;
                state_ttl = state_ttl.or(first);
                continue;
            }
            ignored(&hint.name, &hint.shown());
        }
    }
    Ok(state_ttl)
}

/// How long the rows of the tables of a join are kept, by their names (the hint STATE_TTL); the first hint wins.
pub(crate) fn of_joins(select: &Select) -> Result<HashMap<String, Duration>> {
    let mut ttls = HashMap::new();
    if !has_joins(select) {
        return Ok(ttls);
    }
    let span = select.select_token.0.span;
    for OptimizerHint { text, .. } in &select.optimizer_hints {
        for hint in parse(text).map_err(|e| at(e, span))?.iter().filter(|h| h.name == "STATE_TTL") {
            for (table, ttl) in &hint.pairs {
                let ttl = parse_duration(ttl).map_err(|e| at(Error::user(e), span))?;
                ttls.entry(table.clone()).or_insert(ttl);
            }
        }
    }
    Ok(ttls)
}

/// Whether a SELECT reads several tables side by side.
fn has_joins(select: &Select) -> bool {
    select.from.len() > 1 || select.from.iter().any(|t| !t.joins.is_empty())
}

/// Tells that a hint does nothing.
pub(crate) fn ignored(name: &str, shown: &str) {
    let why = match name {
        OPTIONS => "it belongs directly behind a table's name",
        "STATE_TTL" => "windows drop their state when they end",
        "LOOKUP" => "the query has no lookup join that it could apply to",
        "MULTI_JOIN" => "the query has no join that it could apply to",
        _ if JOIN_STRATEGIES.contains(&name) => "the query has no join that it could apply to",
        _ => "it is for the planner's own use",
    };
    tracing::warn!("the hint {shown} has no effect: {why}");
}

/// Names and aliases of what a SELECT reads, also inside of table functions and sub-queries of FROM.
fn input_names(select: &Select) -> Vec<String> {
    struct Inputs(Vec<String>);
    impl sqlparser::ast::Visitor for Inputs {
        type Break = std::convert::Infallible;
        fn pre_visit_table_factor(&mut self, t: &TableFactor) -> std::ops::ControlFlow<Self::Break> {
            if let TableFactor::Table { name, .. } = t {
                let text = name_text(name);
                self.0.push(text.rsplit('.').next().unwrap_or(&text).to_string());
                self.0.push(text);
            }
            let alias = match t {
                TableFactor::Table { alias, .. }
                | TableFactor::Derived { alias, .. }
                | TableFactor::TableFunction { alias, .. }
                | TableFactor::NestedJoin { alias, .. } => alias.as_ref(),
                _ => None,
            };
            self.0.extend(alias.map(|a| a.name.value.clone()));
            std::ops::ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, e: &Expr) -> std::ops::ControlFlow<Self::Break> {
            // `TABLE t` inside of a table function.
            if let Expr::Function(f) = e
                && name_text(&f.name) == crate::parser::dialect::TABLE_CALL
                && let FunctionArguments::List(list) = &f.args
                && let Some(first) = list.args.first()
            {
                let text = first.to_string().replace('`', "");
                self.0.push(text.rsplit('.').next().unwrap_or(&text).to_string());
            }
            std::ops::ControlFlow::Continue(())
        }
    }
    let mut inputs = Inputs(vec![]);
    for from in &select.from {
        let std::ops::ControlFlow::Continue(()) = sqlparser::ast::Visit::visit(from, &mut inputs);
    }
    let mut names = inputs.0;
    names.sort();
    names.dedup();
    names
}

/// `NAME, NAME(a, b), NAME('k' = 'v')`
fn parse(text: &str) -> Result<Vec<GivenHint>> {
    let broken = |what: &str| {
        Error::user(format!("the hint /*+{text}*/ cannot be read: {what}"))
            .hint("Write for instance /*+ STATE_TTL('t' = '1 d'), BROADCAST(t) */")
    };
    let tokens: Vec<Token> = Tokenizer::new(&FlinkDialect, text)
        .tokenize()
        .map_err(|e| broken(&e.message))?
        .into_iter()
        .filter(|t| !matches!(t, Token::Whitespace(_) | Token::EOF))
        .collect();
    let mut hints = vec![];
    let mut rest = tokens.as_slice();
    while let [first, after @ ..] = rest {
        let Token::Word(name) = first else { return Err(broken(&format!("unexpected '{first}'"))) };
        let mut hint = GivenHint { name: name.value.to_ascii_uppercase(), list: vec![], pairs: vec![] };
        rest = after;
        if let [Token::LParen, after @ ..] = rest {
            let end = after.iter().position(|t| *t == Token::RParen).ok_or_else(|| broken("a ) is missing"))?;
            for option in after[..end].split(|t| *t == Token::Comma).filter(|o| !o.is_empty()) {
                match option {
                    [key, Token::Eq, value] => hint.pairs.push((word(key), word(value))),
                    parts => {
                        let words: Vec<String> = parts.iter().filter(|t| **t != Token::Period).map(word).collect();
                        hint.list.push(words.join("."));
                    }
                }
            }
            rest = &after[end + 1..];
        }
        hints.push(hint);
        if let [Token::Comma, after @ ..] = rest {
            rest = after;
        }
    }
    Ok(hints)
}

fn word(t: &Token) -> String {
    match t {
        Token::Word(w) => w.value.clone(),
        Token::SingleQuotedString(s) => s.clone(),
        other => other.to_string(),
    }
}

/// Flink's words for an OPTIONS hint on a view.
pub(crate) fn on_view(identifier: &ObjectIdentifier, span: Span) -> Error {
    let error = Error::user(format!(
        "View '{identifier}' cannot be enriched with new options. Hints can only be applied to tables."
    ));
    at(
        error.with("view", &identifier.object).hint(
            "Put the hint behind the table in the view's own query, or write that query here instead of the view",
        ),
        span,
    )
}
