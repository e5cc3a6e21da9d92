//! The text of a view as Flink keeps it: every column with its table, `*` as the columns that it stood for, full names.
//!
//! So a view stays what it was when its tables get more columns. It is done in the text, place by place: what a name or a
//! `*` stands for where that is known, everything else stays as it was written.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableWithJoins, Visit, Visitor,
};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, Tokenizer, Whitespace};

use super::tables::{Edits, apply, offset};
use super::{CatalogManager, Entry};
use crate::bind::star::ColumnExpansion;
use crate::parser;
use crate::parser::dialect::FlinkDialect;

fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Columns by name; `None` where they are not known here.
type Names = Option<Vec<String>>;

/// What stands in FROM: the name that its columns answer to, and the columns.
struct Relation {
    name: Option<String>,
    columns: Names,
    /// Those of them that `*` leaves out.
    hidden: Vec<String>,
}

/// What a SELECT reads.
#[derive(Default)]
struct Relations {
    all: Vec<Relation>,
    /// The columns of USING, where two relations are joined by it: `*` gives them once, and first.
    using: Vec<String>,
    /// Other joins whose `*` is not the columns of all sides.
    merged: bool,
}

/// The queries of WITH, and their columns; and which columns `*` leaves out.
#[derive(Clone, Default)]
struct Ctes {
    names: BTreeMap<String, Names>,
    expansion: ColumnExpansion,
}

impl CatalogManager {
    /// The long form of a view's text; `None` where something stands in the way.
    pub(crate) fn expand_columns(&self, text: &str, expansion: ColumnExpansion) -> Option<String> {
        let query = parser::parse_query(text).ok()?;
        let mut edits = self.table_names(text, &query).ok()?;
        self.expand_query(text, &query, &Ctes { expansion, ..Ctes::default() }, &mut edits)?;
        Some(laid_out(&apply(text, edits), &|function| self.functions.has_name(function)))
    }

    fn expand_query(&self, text: &str, query: &Query, ctes: &Ctes, edits: &mut Edits) -> Option<Names> {
        let Some(with) = &query.with else { return self.expand_body(text, &query.body, ctes, edits) };
        let mut ctes = ctes.clone();
        for cte in &with.cte_tables {
            let names = self.expand_query(text, &cte.query, &ctes, edits)?;
            edits.insert(place(text, cte.alias.name.span)?, quote(&cte.alias.name.value));
            let columns = alias_columns(text, &cte.alias, edits)?;
            ctes.names.insert(cte.alias.name.value.clone(), columns.or(names));
        }
        self.expand_body(text, &query.body, &ctes, edits)
    }

    fn expand_body(&self, text: &str, body: &SetExpr, ctes: &Ctes, edits: &mut Edits) -> Option<Names> {
        match body {
            SetExpr::Select(select) => self.expand_select(text, select, ctes, edits),
            SetExpr::Query(query) => self.expand_query(text, query, ctes, edits),
            SetExpr::SetOperation { left, right, .. } => {
                let names = self.expand_body(text, left, ctes, edits)?;
                self.expand_body(text, right, ctes, edits)?;
                Some(names)
            }
            SetExpr::Values(values) => {
                let columns = values.rows.first().map_or(0, |row| row.content.len());
                Some(Some((0..columns).map(|i| format!("EXPR${i}")).collect()))
            }
            _ => Some(None),
        }
    }

    fn expand_select(&self, text: &str, select: &Select, ctes: &Ctes, edits: &mut Edits) -> Option<Names> {
        let mut relations = Relations::default();
        let mut conditions = vec![];
        for from in &select.from {
            self.expand_from(text, from, ctes, edits, &mut relations, &mut conditions)?;
        }
        let names = relations.expand_items(text, &select.projection, edits)?;
        for e in conditions.into_iter().chain(&select.selection).chain(&select.having) {
            relations.expand(text, e, edits)?;
        }
        if let GroupByExpr::Expressions(keys, _) = &select.group_by {
            for key in keys {
                relations.expand(text, key, edits)?;
            }
        }
        Some(names)
    }

    /// One item of FROM with its joins, whose conditions are kept for when all relations are known.
    fn expand_from<'a>(
        &self,
        text: &str,
        from: &'a TableWithJoins,
        ctes: &Ctes,
        edits: &mut Edits,
        relations: &mut Relations,
        conditions: &mut Vec<&'a Expr>,
    ) -> Option<()> {
        self.expand_factor(text, &from.relation, ctes, edits, relations, conditions)?;
        for join in &from.joins {
            self.expand_factor(text, &join.relation, ctes, edits, relations, conditions)?;
            match &join.join_operator {
                JoinOperator::Join(c)
                | JoinOperator::Inner(c)
                | JoinOperator::Left(c)
                | JoinOperator::LeftOuter(c)
                | JoinOperator::Right(c)
                | JoinOperator::RightOuter(c)
                | JoinOperator::FullOuter(c)
                | JoinOperator::CrossJoin(c) => match c {
                    JoinConstraint::On(e) => conditions.push(e),
                    JoinConstraint::Using(columns) if relations.all.len() == 2 && from.joins.len() == 1 => {
                        let name = |c: &ObjectName| match c.0.as_slice() {
                            [one] => one.as_ident().map(|i| i.value.clone()),
                            _ => None,
                        };
                        relations.using = columns.iter().map(name).collect::<Option<_>>()?;
                    }
                    JoinConstraint::Using(_) | JoinConstraint::Natural => relations.merged = true,
                    JoinConstraint::None => {}
                },
                _ => relations.merged = true,
            }
        }
        Some(())
    }

    /// What a factor reads; the names that it makes are written out.
    fn expand_factor<'a>(
        &self,
        text: &str,
        factor: &'a TableFactor,
        ctes: &Ctes,
        edits: &mut Edits,
        relations: &mut Relations,
        conditions: &mut Vec<&'a Expr>,
    ) -> Option<()> {
        let mut hidden = vec![];
        let (columns, alias, own) = match factor {
            TableFactor::Table { name, alias, args: None, version, with_hints, .. } => {
                let idents: Vec<&Ident> = name.0.iter().map(|p| p.as_ident()).collect::<Option<_>>()?;
                let parts: Vec<&str> = idents.iter().map(|i| i.value.as_str()).collect();
                let last = idents.last()?;
                let key = place(text, Span { start: idents.first()?.span.start, end: last.span.end })?;
                let columns = match parts[..] {
                    [one] if ctes.names.contains_key(one) => {
                        edits.insert(key, quote(one));
                        ctes.names.get(one).cloned().flatten()
                    }
                    _ => match self.qualify(&parts).ok().and_then(|id| self.entry(&id).cloned()) {
                        Some(Entry::Table(table)) => {
                            let columns = table.schema.columns.iter().filter(|c| ctes.expansion.hides(c));
                            hidden = columns.map(|c| c.name.clone()).collect();
                            Some(table.schema.columns.iter().map(|c| c.name.clone()).collect())
                        }
                        Some(Entry::View(view)) => Some(view.columns.iter().map(|c| c.name.clone()).collect()),
                        None => None,
                    },
                };
                // Behind a version or a hint there is no place for a name that is not there.
                let named = alias.is_some() || version.is_some() || !with_hints.is_empty();
                if !named && let Some(full) = edits.get(&key).cloned() {
                    edits.insert(key, format!("{full} AS {}", quote(&last.value)));
                }
                (columns, alias.as_ref(), Some(last.value.clone()))
            }
            TableFactor::Derived { subquery, alias, .. } => {
                (self.expand_query(text, subquery, ctes, edits)?, alias.as_ref(), None)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                return self.expand_from(text, table_with_joins, ctes, edits, relations, conditions);
            }
            TableFactor::UNNEST { alias, .. }
            | TableFactor::Table { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::Function { alias, .. } => (None, alias.as_ref(), None),
            _ => {
                relations.all.push(Relation { name: None, columns: None, hidden });
                return Some(());
            }
        };
        let Some(alias) = alias else {
            relations.all.push(Relation { name: own, columns, hidden });
            return Some(());
        };
        let word = if alias.explicit { "" } else { "AS " };
        edits.insert(place(text, alias.name.span)?, format!("{word}{}", quote(&alias.name.value)));
        let given = alias_columns(text, alias, edits)?;
        // As in Calcite, the one column of VALUES is named after an alias that names none.
        let sole = match factor {
            TableFactor::Derived { subquery, .. } if matches!(subquery.body.as_ref(), SetExpr::Values(_)) => {
                columns.as_ref().is_some_and(|c| c.len() == 1)
            }
            _ => false,
        };
        let columns = if sole { Some(vec![alias.name.value.clone()]) } else { columns };
        if given.is_some() {
            hidden.clear();
        }
        relations.all.push(Relation { name: Some(alias.name.value.clone()), columns: given.or(columns), hidden });
        Some(())
    }
}

/// The columns that an alias lists, in backticks from now on.
fn alias_columns(text: &str, alias: &TableAlias, edits: &mut Edits) -> Option<Names> {
    if alias.columns.is_empty() {
        return Some(None);
    }
    for column in &alias.columns {
        edits.insert(place(text, column.name.span)?, quote(&column.name.value));
    }
    Some(Some(alias.columns.iter().map(|c| c.name.value.clone()).collect()))
}

impl Relations {
    /// The SELECT list; the names that it gives.
    fn expand_items(&self, text: &str, items: &[SelectItem], edits: &mut Edits) -> Option<Names> {
        let mut given: Names = Some(vec![]);
        for (i, item) in items.iter().enumerate() {
            match item {
                SelectItem::Wildcard(options) => {
                    let known = if self.merged { None } else { self.all_columns() };
                    let at = place(text, options.wildcard_token.0.span)?;
                    given = star(known, given, at, edits);
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    let [part] = name.0.as_slice() else { return None };
                    let part = part.as_ident()?;
                    let of = self.all.iter().position(|r| r.name.as_ref() == Some(&part.value));
                    let known = of.and_then(|of| self.columns_of(&self.all[of..=of]));
                    let end = options.wildcard_token.0.span.end;
                    given = star(known, given, place(text, Span { start: part.span.start, end })?, edits);
                }
                SelectItem::QualifiedWildcard(..) | SelectItem::ExprWithAliases { .. } => return None,
                SelectItem::UnnamedExpr(e) => {
                    self.expand(text, e, edits)?;
                    let name = match e {
                        Expr::Identifier(name) => name.value.clone(),
                        Expr::CompoundIdentifier(parts) => parts.last()?.value.clone(),
                        _ => format!("EXPR${i}"),
                    };
                    given = given.map(|given| with_unique(given, &name).0);
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    self.expand(text, expr, edits)?;
                    let at = place(text, alias.span)?;
                    let before = text[..at.0].trim_end();
                    let said = before.len() > 2
                        && before.get(before.len() - 2..).is_some_and(|w| w.eq_ignore_ascii_case("AS"))
                        && !before[..before.len() - 2].ends_with(|c: char| c.is_alphanumeric() || "_$`".contains(c));
                    let word = if said { "" } else { "AS " };
                    edits.insert(at, format!("{word}{}", quote(&alias.value)));
                    given = given.map(|given| with_unique(given, &alias.value).0);
                }
            }
        }
        Some(given)
    }

    /// What `*` stands for: columns with their tables, without one where USING merges two.
    fn all_columns(&self) -> Option<Vec<(String, String)>> {
        let columns = self.columns_of(&self.all)?;
        if self.using.is_empty() {
            return Some(columns);
        }
        if self.all.len() != 2 {
            return None;
        }
        let merged = self.using.iter().map(|c| (String::new(), c.clone()));
        Some(merged.chain(columns.into_iter().filter(|(_, c)| !self.using.contains(c))).collect())
    }

    /// The columns of these relations, where all are known and each answers to a name of its own.
    fn columns_of(&self, relations: &[Relation]) -> Option<Vec<(String, String)>> {
        let mut out = vec![];
        for relation in relations {
            let (name, columns) = (relation.name.as_ref()?, relation.columns.as_ref()?);
            if self.all.iter().filter(|r| r.name.as_ref() == Some(name)).count() > 1 {
                return None;
            }
            let shown = columns.iter().filter(|c| !relation.hidden.contains(c));
            out.extend(shown.map(|c| (name.clone(), c.clone())));
        }
        Some(out)
    }

    /// The relation that a column without a table can only be of.
    fn relation_of(&self, column: &str) -> Option<&str> {
        let has = |r: &&Relation| r.columns.as_ref().is_none_or(|c| c.iter().any(|c| c == column));
        let mut those = self.all.iter().filter(has);
        match (those.next(), those.next()) {
            (Some(Relation { name: Some(name), columns: Some(_), .. }), None) => Some(name),
            _ => None,
        }
    }

    /// Gives each column its table. An expression with a query inside, whose names are not ours, stays.
    fn expand(&self, text: &str, e: &Expr, edits: &mut Edits) -> Option<()> {
        struct Names<'a> {
            relations: &'a Relations,
            text: &'a str,
            edits: Edits,
        }
        impl Visitor for Names<'_> {
            type Break = bool;

            fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<bool> {
                ControlFlow::Break(true)
            }

            fn pre_visit_expr(&mut self, e: &Expr) -> ControlFlow<bool> {
                let parts: &[Ident] = match e {
                    Expr::Identifier(name) => std::slice::from_ref(name),
                    Expr::CompoundIdentifier(parts) => parts,
                    _ => return ControlFlow::Continue(()),
                };
                let ([first, .., last] | [first @ last]) = parts else { return ControlFlow::Continue(()) };
                let quoted = parts.iter().map(|p| quote(&p.value)).collect::<Vec<_>>().join(".");
                let is_table = self.relations.all.iter().any(|r| r.name.as_ref() == Some(&first.value));
                let new = match self.relations.relation_of(&first.value) {
                    _ if parts.len() > 1 && is_table => quoted,
                    Some(table) => format!("{}.{quoted}", quote(table)),
                    None => return ControlFlow::Continue(()),
                };
                let Some(at) = place(self.text, Span { start: first.span.start, end: last.span.end }) else {
                    return ControlFlow::Break(false);
                };
                self.edits.insert(at, new);
                ControlFlow::Continue(())
            }
        }
        let mut names = Names { relations: self, text, edits: Edits::new() };
        match e.visit(&mut names) {
            ControlFlow::Continue(()) => {
                edits.extend(names.edits);
                Some(())
            }
            ControlFlow::Break(true) => Some(()),
            ControlFlow::Break(false) => None,
        }
    }
}

/// `*` as the columns that it stands for, with names of their own where two have one. Where they are not known it stays.
fn star(known: Option<Vec<(String, String)>>, given: Names, at: (usize, usize), edits: &mut Edits) -> Names {
    let (known, mut given) = (known?, given?);
    let mut items = vec![];
    for (table, column) in known {
        let (with, name) = with_unique(given, &column);
        given = with;
        let table = if table.is_empty() { String::new() } else { format!("{}.", quote(&table)) };
        let item = format!("{table}{}", quote(&column));
        items.push(if name == column { item } else { format!("{item} AS {}", quote(&name)) });
    }
    edits.insert(at, items.join(", "));
    Some(given)
}

/// Adds a name, with a number behind it where it is there already.
fn with_unique(mut names: Vec<String>, name: &str) -> (Vec<String>, String) {
    let taken = |n: &String| names.contains(n);
    let own = if taken(&name.to_string()) {
        (0..).map(|i| format!("{name}{i}")).find(|n| !taken(n)).unwrap_or_else(|| name.to_string())
    } else {
        name.to_string()
    };
    names.push(own.clone());
    (names, own)
}

/// From byte to byte; `None` for what the parser made up.
pub(crate) fn place(text: &str, span: Span) -> Option<(usize, usize)> {
    if span.start.line == 0 {
        return None;
    }
    let from = offset(text, (span.start.line, span.start.column))?;
    let to = offset(text, (span.end.line, span.end.column))?;
    (from < to).then_some((from, to))
}

/// What a bracket that is open holds.
#[derive(Clone, Copy, PartialEq)]
enum Bracket {
    /// A query.
    Query,
    /// Anything else.
    Other,
}

/// As Flink writes queries: one blank between words, keywords and functions in capitals, each clause on a line of its own.
/// Functions of the user's own keep their names as written.
fn laid_out(text: &str, is_users: &dyn Fn(&str) -> bool) -> String {
    let Ok(tokens) = Tokenizer::new(&FlinkDialect, text).with_unescape(false).tokenize() else {
        return text.to_string();
    };
    let is_hint = |t: &Token| matches!(t, Token::Whitespace(Whitespace::MultiLineComment(c)) if c.starts_with('+'));
    let tokens: Vec<Token> = tokens.into_iter().filter(|t| is_hint(t) || !matches!(t, Token::Whitespace(_))).collect();
    let keyword = |i: Option<usize>| match i.and_then(|i| tokens.get(i)) {
        Some(Token::Word(w)) if w.quote_style.is_none() => w.keyword,
        _ => Keyword::NoKeyword,
    };
    let is_text = |i: Option<usize>| matches!(i.and_then(|i| tokens.get(i)), Some(Token::SingleQuotedString(_)));
    let mut out = String::new();
    // Whether it holds a query, and whether its FROM is being read.
    let mut open = vec![(Bracket::Query, false)];
    for (i, token) in tokens.iter().enumerate() {
        let before = i.checked_sub(1);
        let here = keyword(Some(i));
        let (bracket, in_from) = open.last().copied().unwrap_or((Bracket::Query, false));
        let mut shown = token.to_string();
        if let Token::Word(w) = token
            && w.quote_style.is_none()
            && (w.keyword != Keyword::NoKeyword || tokens.get(i + 1) == Some(&Token::LParen))
            && !is_users(&w.value)
        {
            shown = shown.to_uppercase();
        }
        if here == Keyword::JOIN && is_bare_join(keyword(before)) {
            shown = "INNER JOIN".to_string();
        }
        let begins = bracket == Bracket::Query && begins_line(here, keyword(before), keyword(Some(i + 1)));
        let next_table = in_from && before.is_some_and(|b| tokens[b] == Token::Comma);
        if (begins || next_table) && !out.is_empty() && !out.ends_with('(') {
            out.push('\n');
        } else if is_text(before) && is_text(Some(i)) {
            // A text that goes on does so in another line.
            out.push('\n');
        } else if before.is_some_and(|b| is_apart(&tokens, b)) {
            out.push(' ');
        }
        out.push_str(&shown);
        if begins && let Some((_, in_from)) = open.last_mut() {
            *in_from = here == Keyword::FROM || (*in_from && is_join(here));
        }
        match token {
            Token::LParen => {
                let query = matches!(keyword(Some(i + 1)), Keyword::SELECT | Keyword::WITH | Keyword::VALUES);
                open.push((if query { Bracket::Query } else { Bracket::Other }, false));
            }
            Token::LBracket => open.push((Bracket::Other, false)),
            Token::RParen | Token::RBracket if open.len() > 1 => drop(open.pop()),
            _ => {}
        }
    }
    out
}

/// JOIN without a word that says which.
fn is_bare_join(before: Keyword) -> bool {
    !matches!(
        before,
        Keyword::INNER
            | Keyword::LEFT
            | Keyword::RIGHT
            | Keyword::FULL
            | Keyword::OUTER
            | Keyword::CROSS
            | Keyword::NATURAL
    )
}

fn is_join(word: Keyword) -> bool {
    word == Keyword::JOIN || !is_bare_join(word)
}

/// Whether a word of a query, between these two, begins a line.
fn begins_line(here: Keyword, before: Keyword, after: Keyword) -> bool {
    match here {
        Keyword::FROM => before != Keyword::DISTINCT,
        Keyword::WHERE | Keyword::HAVING | Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT => true,
        Keyword::GROUP | Keyword::ORDER => after == Keyword::BY,
        Keyword::LIMIT | Keyword::OFFSET | Keyword::FETCH | Keyword::WINDOW => true,
        // Behind a set operation or a WITH clause.
        Keyword::SELECT => true,
        Keyword::JOIN => is_bare_join(before),
        Keyword::INNER | Keyword::CROSS => after == Keyword::JOIN,
        Keyword::LEFT | Keyword::RIGHT | Keyword::FULL => matches!(after, Keyword::JOIN | Keyword::OUTER),
        _ => false,
    }
}

/// Whether a blank stands between this token and the next.
fn is_apart(tokens: &[Token], at: usize) -> bool {
    let (left, right) = (&tokens[at], &tokens[at + 1]);
    match (left, right) {
        // Not a comment.
        (Token::Minus, Token::Minus) => true,
        (Token::LParen | Token::LBracket | Token::Period, _) => false,
        (_, Token::RParen | Token::RBracket | Token::LBracket | Token::Comma | Token::Period | Token::Colon) => false,
        // A sign.
        (Token::Minus | Token::Plus, _) if at == 0 || !ends_operand(&tokens[at - 1]) => false,
        // A call: the bracket of another word stands apart.
        (Token::Word(w), Token::LParen) if w.quote_style.is_none() => is_no_call(w.keyword),
        // The columns of an alias.
        (Token::Word(_), Token::LParen) => at > 0 && is_as(&tokens[at - 1]),
        // Brackets of types.
        (Token::Lt, _) => !opens_type(tokens, at),
        (_, Token::Lt) => !opens_type(tokens, at + 1),
        (_, Token::Gt | Token::ShiftRight) => open_types(&tokens[..=at]) == 0,
        _ => true,
    }
}

fn is_as(token: &Token) -> bool {
    matches!(token, Token::Word(w) if w.quote_style.is_none() && w.keyword == Keyword::AS)
}

/// Words whose brackets are no arguments.
fn is_no_call(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::AS
            | Keyword::IN
            | Keyword::ON
            | Keyword::AND
            | Keyword::OR
            | Keyword::NOT
            | Keyword::BY
            | Keyword::FROM
            | Keyword::JOIN
            | Keyword::SELECT
            | Keyword::DISTINCT
            | Keyword::WHERE
            | Keyword::HAVING
            | Keyword::UNION
            | Keyword::ALL
            | Keyword::INTERSECT
            | Keyword::EXCEPT
            | Keyword::WHEN
            | Keyword::THEN
            | Keyword::ELSE
            | Keyword::CASE
            | Keyword::LIKE
            | Keyword::EXISTS
            | Keyword::BETWEEN
            | Keyword::VALUES
            | Keyword::OVER
            | Keyword::FILTER
            | Keyword::USING
            | Keyword::LATERAL
            | Keyword::SETS
            | Keyword::WITHIN
            | Keyword::INTERVAL
            | Keyword::OF
            | Keyword::TO
    )
}

fn ends_operand(token: &Token) -> bool {
    match token {
        Token::Word(w) => w.quote_style.is_some() || w.keyword == Keyword::NoKeyword || w.keyword == Keyword::END,
        Token::Number(..) | Token::SingleQuotedString(_) | Token::RParen | Token::RBracket => true,
        _ => false,
    }
}

/// Whether there is the `<` of a type: ARRAY<INT>, ROW<a INT>, MAP<STRING, INT>.
fn opens_type(tokens: &[Token], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|b| tokens.get(b));
    let is_type = matches!(before, Some(Token::Word(w)) if w.quote_style.is_none()
        && ["ARRAY", "MAP", "ROW", "MULTISET"].iter().any(|t| w.value.eq_ignore_ascii_case(t)));
    is_type && tokens.get(at) == Some(&Token::Lt)
}

/// How many brackets of types are open behind these tokens.
fn open_types(tokens: &[Token]) -> usize {
    let mut open = 0usize;
    for (i, token) in tokens.iter().enumerate() {
        match token {
            Token::Lt if opens_type(tokens, i) => open += 1,
            Token::Gt => open = open.saturating_sub(1),
            Token::ShiftRight => open = open.saturating_sub(2),
            _ => {}
        }
    }
    open
}
