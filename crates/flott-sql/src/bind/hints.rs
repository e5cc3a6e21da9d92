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

use super::node::LookupHint;
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
        "LOOKUP" => check_lookup(hint).map(drop),
        "STATE_TTL" => check_ttl(hint),
        _ => Ok(()),
    }
}

/// The table that a LOOKUP hint is of, and what it says.
fn check_lookup(hint: &GivenHint) -> Result<(String, LookupHint)> {
    const KEYS: [&str; 10] = [
        "table",
        "async",
        "output-mode",
        "capacity",
        "timeout",
        "retry-predicate",
        "retry-strategy",
        "fixed-delay",
        "max-attempts",
        "shuffle",
    ];
    if !hint.list.is_empty() {
        return Err(Error::user("Invalid list options in LOOKUP hint, only support key-value options.")
            .hint("Write LOOKUP('table' = 't')"));
    }
    for (key, _) in &hint.pairs {
        if !KEYS.contains(&key.as_str()) {
            let error = Error::user(format!("Invalid LOOKUP hint option '{key}'"));
            return Err(match suggest::nearest(key, KEYS) {
                Some(near) => error.hint(format!("Did you mean '{near}'?")),
                None => error.hint(format!("Its options: {}", KEYS.join(", "))),
            });
        }
    }
    let get = |key: &str| hint.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    let Some(table) = get("table") else {
        return Err(Error::user("Invalid LOOKUP hint: incomplete required option(s): 'table'")
            .hint("Write LOOKUP('table' = 't', ..)"));
    };
    let wrong = |key: &str, hint: &str| {
        let value = get(key).unwrap_or_default();
        Error::user(format!("Invalid LOOKUP hint options: Could not parse value '{value}' for key '{key}'.")).hint(hint)
    };
    let flag = |key: &str| match get(key).map(str::to_ascii_lowercase).as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(wrong(key, "Write 'true' or 'false'")),
    };
    let duration = |key: &str| {
        let parsed = get(key).map(parse_duration).transpose();
        parsed.map_err(|_| wrong(key, "Write for instance '10 s'"))
    };
    let number = |key: &str| {
        let parsed = get(key).map(str::parse::<u32>).transpose();
        parsed.map_err(|_| wrong(key, "Write a whole number")).and_then(|n| match n {
            Some(0) => Err(Error::user(format!(
                "Invalid LOOKUP hint option: {key} value should be positive integer but was 0"
            ))
            .hint("Write a number from 1")),
            n => Ok(n),
        })
    };
    let retry_options = ["retry-predicate", "retry-strategy", "fixed-delay", "max-attempts"];
    match retry_options.iter().filter(|k| get(k).is_some()).count() {
        0 | 4 => {}
        _ => {
            return Err(Error::user("Invalid LOOKUP hint: retry options can be both null or all not null")
                .hint("Give retry-predicate, retry-strategy, fixed-delay and max-attempts together"));
        }
    }
    if let Some(predicate) = get("retry-predicate").filter(|p| !p.eq_ignore_ascii_case("lookup_miss")) {
        return Err(Error::user(format!(
            "Invalid LOOKUP hint option: unsupported retry-predicate '{predicate}', only 'lookup_miss' is supported \
             currently"
        ))
        .hint("Write 'retry-predicate' = 'lookup_miss'"));
    }
    if get("retry-strategy").is_some_and(|s| !s.eq_ignore_ascii_case("fixed_delay")) {
        return Err(wrong("retry-strategy", "Write 'retry-strategy' = 'fixed_delay'"));
    }
    let allow_unordered = match get("output-mode").map(str::to_ascii_lowercase).as_deref() {
        None => None,
        Some("ordered") => Some(false),
        Some("allow_unordered") => Some(true),
        Some(_) => return Err(wrong("output-mode", "Write 'ordered' or 'allow_unordered'")),
    };
    let lookup = LookupHint {
        is_async: flag("async")?,
        allow_unordered,
        capacity: number("capacity")?.map(|n| n as usize),
        timeout: duration("timeout")?,
        retry: duration("fixed-delay")?.zip(number("max-attempts")?),
        shuffle: flag("shuffle")?.unwrap_or(false),
    };
    Ok((table.to_string(), lookup))
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
pub(crate) fn of_select(select: &Select, aggregates: bool, batch: bool) -> Result<Option<Duration>> {
    let mut state_ttl = None;
    let span = select.select_token.0.span;
    let joins = has_joins(select);
    for OptimizerHint { text, .. } in &select.optimizer_hints {
        for hint in parse(text).map_err(|e| at(e, span))? {
            check(&hint).map_err(|e| at(e, span))?;
            let named = hint.list.iter().filter(|_| JOIN_STRATEGIES.contains(&hint.name.as_str()));
            let of_state = hint.pairs.iter().map(|(k, _)| k).filter(|_| hint.name == "STATE_TTL");
            if joins || aggregates {
                names_inputs(select, &hint.name, named.chain(of_state)).map_err(|e| at(e, span))?;
            }
            // An aggregation's state belongs to its input.
            if hint.name == "STATE_TTL" && joins {
                continue;
            }
            if hint.name == "LOOKUP" && looks_up(select) {
                continue;
            }
            if hint.name == "STATE_TTL" && aggregates {
                let first = hint.pairs.first().map(|(_, v)| parse_duration(v)).transpose().map_err(Error::user)?;
                state_ttl = state_ttl.or(first);
                continue;
            }
            let why = match hint.name.as_str() {
                OPTIONS => "it belongs directly behind a table's name",
                "STATE_TTL" => "nothing here keeps state that it could apply to (windows drop theirs when they end)",
                "LOOKUP" => "the query has no lookup join that it could apply to",
                name if joins && name != "ALIAS" => match (batch, JOIN_STRATEGIES.contains(&name)) {
                    (false, true) => "joins of streams keep the rows of both sides by key, whatever it says",
                    _ => "there is one way only in which joins are executed",
                },
                name if name == "MULTI_JOIN" || JOIN_STRATEGIES.contains(&name) => {
                    "the query has no join that it could apply to"
                }
                _ => "it is for the planner's own use",
            };
            tracing::warn!("the hint {} has no effect: {why}", hint.shown());
        }
    }
    Ok(state_ttl)
}

/// Refuses a hint that names what the query does not read.
fn names_inputs<'n>(select: &Select, hint: &str, named: impl Iterator<Item = &'n String>) -> Result<()> {
    let mut named = named.peekable();
    if named.peek().is_none() {
        return Ok(());
    }
    let inputs = input_names(select);
    let unknown: Vec<&str> = named.filter(|n| !inputs.contains(n)).map(String::as_str).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Error::user(format!(
        "The options of following hints cannot match the name of input tables or views: \n`{}` in `{hint}`",
        unknown.join(", ")
    ))
    .hint(format!("The inputs here: {}", inputs.join(", "))))
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

/// How the tables of a SELECT are looked up, by their names or aliases (the hint LOOKUP); the first hint of a table wins.
pub(crate) fn of_lookups(select: &Select) -> Result<HashMap<String, LookupHint>> {
    let mut lookups = HashMap::new();
    let span = select.select_token.0.span;
    for OptimizerHint { text, .. } in &select.optimizer_hints {
        for hint in parse(text).map_err(|e| at(e, span))?.iter().filter(|h| h.name == "LOOKUP") {
            let (table, lookup) = check_lookup(hint).map_err(|e| at(e, span))?;
            names_inputs(select, "LOOKUP", std::iter::once(&table)).map_err(|e| at(e, span))?;
            lookups.entry(table).or_insert(lookup);
        }
    }
    Ok(lookups)
}

/// Whether a SELECT reads several tables side by side.
fn has_joins(select: &Select) -> bool {
    select.from.len() > 1 || select.from.iter().any(|t| !t.joins.is_empty())
}

/// Whether a SELECT reads a table AS OF a time.
fn looks_up(select: &Select) -> bool {
    let of = |t: &TableFactor| matches!(t, TableFactor::Table { version: Some(_), .. });
    select.from.iter().flat_map(|t| &t.joins).any(|join| of(&join.relation))
}

/// Tells that a hint behind a table's name does nothing.
pub(crate) fn ignored_at_table(hint: &GivenHint) {
    let why = match hint.name.as_str() {
        "ALIAS" | "QUERY_BLOCK_ALIAS" | "JSON_AGGREGATE_WRAPPED" => "it is for the planner's own use",
        _ => "it belongs behind SELECT",
    };
    tracing::warn!("the hint {} has no effect: {why}", hint.shown());
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
