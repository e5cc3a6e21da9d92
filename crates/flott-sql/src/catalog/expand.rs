//! The text of a view as Flink keeps it: every column with its table, `*` as the columns that it stood for, full names.
//!
//! So a view stays what it was when its tables get more columns. It is done in the text, place by place: a SELECT that
//! reads one table or view of the catalog is written out, everything else stays as it was written.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, GroupByExpr, Ident, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor, Visit,
    Visitor,
};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, Tokenizer, Whitespace};

use super::tables::{Edits, apply, offset};
use super::{CatalogManager, Entry};
use crate::parser;
use crate::parser::dialect::FlinkDialect;

fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A table or view that a SELECT reads: the name that its columns answer to, and the columns.
struct Relation {
    name: String,
    columns: Vec<String>,
}

impl CatalogManager {
    /// The long form of a view's text; `None` where there is nothing to be done, or something stands in the way.
    pub(crate) fn expand_columns(&self, text: &str) -> Option<String> {
        let query = parser::parse_query(text).ok()?;
        let mut edits = self.table_names(text, &query).ok()?;
        let ctes: Vec<String> =
            query.with.iter().flat_map(|w| &w.cte_tables).map(|c| c.alias.name.value.clone()).collect();
        self.expand_body(text, &query.body, &ctes, &mut edits)?;
        Some(laid_out(&apply(text, edits)))
    }

    fn expand_body(&self, text: &str, body: &SetExpr, ctes: &[String], edits: &mut Edits) -> Option<()> {
        match body {
            SetExpr::Select(select) => self.expand_select(text, select, ctes, edits),
            SetExpr::Query(query) => self.expand_query(text, query, ctes, edits),
            SetExpr::SetOperation { left, right, .. } => {
                self.expand_body(text, left, ctes, edits)?;
                self.expand_body(text, right, ctes, edits)
            }
            _ => Some(()),
        }
    }

    fn expand_query(&self, text: &str, query: &Query, ctes: &[String], edits: &mut Edits) -> Option<()> {
        if query.with.is_some() {
            return Some(());
        }
        self.expand_body(text, &query.body, ctes, edits)
    }

    fn expand_select(&self, text: &str, select: &Select, ctes: &[String], edits: &mut Edits) -> Option<()> {
        let [from] = select.from.as_slice() else { return Some(()) };
        if !from.joins.is_empty() {
            return Some(());
        }
        if let TableFactor::Derived { subquery, .. } = &from.relation {
            return self.expand_query(text, subquery, ctes, edits);
        }
        let Some(relation) = self.relation(text, &from.relation, ctes, edits)? else { return Some(()) };
        for item in &select.projection {
            match item {
                SelectItem::Wildcard(options) => {
                    let columns = relation.all();
                    edits.insert(place(text, options.wildcard_token.0.span)?, columns);
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    // Another name is that of a row, whose fields it stands for.
                    if name.0.last().and_then(|p| p.as_ident()).is_none_or(|i| i.value != relation.name) {
                        continue;
                    }
                    let start = name.0.first().and_then(|p| p.as_ident()).map(|i| i.span.start)?;
                    let end = options.wildcard_token.0.span.end;
                    edits.insert(place(text, Span { start, end })?, relation.all());
                }
                SelectItem::QualifiedWildcard(..) | SelectItem::ExprWithAliases { .. } => return None,
                SelectItem::UnnamedExpr(e) => relation.expand(text, e, edits)?,
                SelectItem::ExprWithAlias { expr, alias } => {
                    relation.expand(text, expr, edits)?;
                    edits.insert(place(text, alias.span)?, quote(&alias.value));
                }
            }
        }
        for e in select.selection.iter().chain(&select.having) {
            relation.expand(text, e, edits)?;
        }
        if let GroupByExpr::Expressions(keys, _) = &select.group_by {
            for key in keys {
                relation.expand(text, key, edits)?;
            }
        }
        Some(())
    }

    /// What a factor reads, where it is a plain name; its alias is written out.
    fn relation(
        &self,
        text: &str,
        factor: &TableFactor,
        ctes: &[String],
        edits: &mut Edits,
    ) -> Option<Option<Relation>> {
        let TableFactor::Table { name, alias, args: None, version: None, with_hints, .. } = factor else {
            return Some(None);
        };
        let idents: Vec<&Ident> = name.0.iter().map(|p| p.as_ident()).collect::<Option<_>>()?;
        let parts: Vec<&str> = idents.iter().map(|i| i.value.as_str()).collect();
        if !with_hints.is_empty() || matches!(parts[..], [one] if ctes.iter().any(|c| c == one)) {
            return Some(None);
        }
        let id = self.qualify(&parts).ok()?;
        let columns: Vec<String> = match self.entry(&id)? {
            Entry::Table(table) => table.schema.columns.iter().map(|c| c.name.clone()).collect(),
            Entry::View(view) => view.columns.iter().map(|c| c.name.clone()).collect(),
        };
        match alias {
            None => {
                let last = idents.last()?;
                let key = place(text, Span { start: idents.first()?.span.start, end: last.span.end })?;
                let full = edits.get(&key)?.clone();
                edits.insert(key, format!("{full} AS {}", quote(&id.object)));
                Some(Some(Relation { name: id.object, columns }))
            }
            Some(alias) if alias.columns.is_empty() => {
                let word = if alias.explicit { "" } else { "AS " };
                edits.insert(place(text, alias.name.span)?, format!("{word}{}", quote(&alias.name.value)));
                Some(Some(Relation { name: alias.name.value.clone(), columns }))
            }
            Some(_) => Some(None),
        }
    }
}

impl Relation {
    fn all(&self) -> String {
        let one = |c: &String| format!("{}.{}", quote(&self.name), quote(c));
        self.columns.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// Gives each column its table. `None` where another query is inside, whose names are not ours.
    fn expand(&self, text: &str, e: &Expr, edits: &mut Edits) -> Option<()> {
        struct Names<'a> {
            relation: &'a Relation,
            text: &'a str,
            edits: &'a mut Edits,
        }
        impl Visitor for Names<'_> {
            type Break = ();

            fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
                ControlFlow::Break(())
            }

            fn pre_visit_expr(&mut self, e: &Expr) -> ControlFlow<()> {
                let parts: &[Ident] = match e {
                    Expr::Identifier(name) => std::slice::from_ref(name),
                    Expr::CompoundIdentifier(parts) => parts,
                    _ => return ControlFlow::Continue(()),
                };
                let ([first, .., last] | [first @ last]) = parts else { return ControlFlow::Continue(()) };
                let quoted: Vec<String> = parts.iter().map(|p| quote(&p.value)).collect();
                let new = if self.relation.columns.contains(&first.value) {
                    format!("{}.{}", quote(&self.relation.name), quoted.join("."))
                } else if first.value == self.relation.name && parts.len() > 1 {
                    quoted.join(".")
                } else {
                    return ControlFlow::Continue(());
                };
                let Some(at) = place(self.text, Span { start: first.span.start, end: last.span.end }) else {
                    return ControlFlow::Break(());
                };
                self.edits.insert(at, new);
                ControlFlow::Continue(())
            }
        }
        match e.visit(&mut Names { relation: self, text, edits }) {
            ControlFlow::Continue(()) => Some(()),
            ControlFlow::Break(()) => None,
        }
    }
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

/// One blank between words, the clauses of the outermost query on lines of their own.
fn laid_out(text: &str) -> String {
    let Ok(tokens) = Tokenizer::new(&FlinkDialect, text).with_unescape(false).tokenize() else {
        return text.to_string();
    };
    let mut out = String::new();
    let mut depth = 0usize;
    let mut blank = false;
    for token in tokens {
        match &token {
            Token::Whitespace(Whitespace::MultiLineComment(c)) if c.starts_with('+') => {}
            Token::Whitespace(_) => {
                blank = true;
                continue;
            }
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        let (mut shown, mut clause) = (token.to_string(), false);
        if let Token::Word(w) = &token
            && w.quote_style.is_none()
        {
            const UPPER: [Keyword; 14] = [
                Keyword::SELECT,
                Keyword::FROM,
                Keyword::WHERE,
                Keyword::GROUP,
                Keyword::BY,
                Keyword::HAVING,
                Keyword::UNION,
                Keyword::ALL,
                Keyword::AS,
                Keyword::AND,
                Keyword::OR,
                Keyword::NOT,
                Keyword::IN,
                Keyword::IS,
            ];
            const CLAUSES: [Keyword; 5] =
                [Keyword::FROM, Keyword::WHERE, Keyword::GROUP, Keyword::HAVING, Keyword::UNION];
            if UPPER.contains(&w.keyword) {
                shown = shown.to_uppercase();
            }
            clause = depth == 0 && CLAUSES.contains(&w.keyword);
            // Behind a set operation or a WITH clause.
            clause |= depth == 0 && w.keyword == Keyword::SELECT && !out.is_empty();
        }
        match (out.is_empty(), clause, blank) {
            (false, true, _) => out.push('\n'),
            (false, false, true) => out.push(' '),
            _ => {}
        }
        out.push_str(&shown);
        blank = false;
    }
    out
}
