//! Which names are visible, and which column of the plan each one means.
//!
//! Identifiers are case-sensitive, as in Flink. A plan's own columns have unique names (`a`, `a0`), so that `SELECT a, a`
//! is as good as in Calcite; what a query sees is kept apart from that, here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, DFSchema, DFSchemaRef};
use datafusion_expr::{Expr, LogicalPlan};
use flott_core::types::{TimeAttribute, TypeKind, arrow_field, from_arrow_field};
use flott_core::{Error, LogicalType, Result};
use sqlparser::ast::{self, Ident};
use sqlparser::tokenizer::Span;

use super::refuse::{at, from_datafusion, not_found};

/// An expression over a plan's columns with its Flink type.
pub use flott_function::TypedExpr as Typed;

/// A column that a query can name.
#[derive(Debug, Clone)]
pub(crate) struct ScopeColumn {
    /// The table's alias, or the parts of its name: `c.d.t` answers to `t`, `d.t` and `c.d.t`.
    pub(crate) qualifier: Vec<String>,
    /// What the query calls it.
    pub(crate) name: String,
    /// What the plan calls it.
    pub(crate) field: String,
    /// Its type.
    pub(crate) data_type: LogicalType,
}

impl ScopeColumn {
    pub(crate) fn typed(&self) -> Typed {
        Typed { expr: column(&self.field), data_type: self.data_type.clone() }
    }
}

/// The columns visible at a place of a query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub(crate) columns: Vec<ScopeColumn>,
    /// Columns of the plan that one without qualifier stands for (USING): they go by their tables' names only.
    merged: HashSet<String>,
    /// Columns of the plan that `*` leaves out.
    hidden: HashSet<String>,
    /// What the query around a sub-query sees.
    outer: Vec<ScopeColumn>,
    /// What the query around that one sees.
    further: Vec<ScopeColumn>,
    /// Names that several columns of one query in FROM have, and its qualifier.
    twice: Vec<(Vec<String>, String)>,
    /// Whoever asks for rows does not mind how often they come.
    may_repeat: bool,
    /// Sub-queries that give one value, and the columns that they have become.
    values: Vec<(ast::Query, ScopeColumn)>,
    /// IN and EXISTS inside expressions, and what they are; over groups, aggregates and keys.
    marks: Vec<(ast::Expr, Typed)>,
    /// Of which row outside these rows are: what derived tables say of it.
    pub(crate) conditions: Vec<Expr>,
    /// Columns that are there no more once rows are grouped.
    ungrouped: Vec<ScopeColumn>,
}

/// Stands before the name of a column that belongs to the query around a sub-query.
pub(crate) const OUTER: &str = "$outer.";

/// What a dotted name means.
pub(crate) enum Resolved {
    /// A column, and the fields inside it that remain.
    Column(Typed, Vec<String>),
    /// Nothing.
    Missing,
}

impl Scope {
    /// All columns of a plan under their own names.
    pub(crate) fn of_plan(plan: &LogicalPlan, qualifier: &[String]) -> Result<Scope> {
        let columns = columns_of(plan.schema())?
            .into_iter()
            .map(|(name, data_type)| ScopeColumn {
                qualifier: qualifier.to_vec(),
                name: name.clone(),
                field: name,
                data_type,
            })
            .collect();
        Ok(Scope::of(columns))
    }

    /// These columns.
    pub(crate) fn of(columns: Vec<ScopeColumn>) -> Scope {
        Scope { columns, ..Scope::default() }
    }

    /// Columns of another scope behind these.
    pub(crate) fn take_in(&mut self, other: &Scope) {
        self.columns.extend(other.columns.iter().cloned());
        self.merged.extend(other.merged.iter().cloned());
        self.hidden.extend(other.hidden.iter().cloned());
        self.twice.extend(other.twice.iter().cloned());
        self.values.extend(other.values.iter().cloned());
        self.marks.extend(other.marks.iter().cloned());
        self.conditions.extend(other.conditions.iter().cloned());
    }

    /// The plan has other names for its columns.
    pub(crate) fn rename_fields(&mut self, names: &HashMap<&str, &str>) -> Result<()> {
        let new = |field: &String| names.get(field.as_str()).map_or_else(|| field.clone(), |new| new.to_string());
        for c in self.columns.iter_mut().chain(self.values.iter_mut().map(|(_, c)| c)) {
            c.field = new(&c.field);
        }
        self.merged = self.merged.iter().map(new).collect();
        self.hidden = self.hidden.iter().map(new).collect();
        for e in self.marks.iter_mut().map(|(_, mark)| &mut mark.expr).chain(&mut self.conditions) {
            let renamed = e.clone().transform_up(|e| {
                Ok(match &e {
                    Expr::Column(c) => Transformed::yes(column(&new(&c.name))),
                    _ => Transformed::no(e),
                })
            });
            *e = renamed.map_err(from_datafusion)?.data;
        }
        Ok(())
    }

    /// The same without what sub-queries have become.
    pub(crate) fn without_answers(&self) -> Scope {
        Scope { values: vec![], marks: vec![], ..self.clone() }
    }

    /// `*` leaves these columns out.
    pub(crate) fn hide(&mut self, names: Vec<String>) {
        self.hidden.extend(names);
    }

    /// Whether `*` stands for a column, too.
    pub(crate) fn is_in_star(&self, c: &ScopeColumn) -> bool {
        !self.hidden.contains(&c.field)
    }

    /// The column goes by its table's name only from now on.
    pub(crate) fn merge(&mut self, c: &ScopeColumn) {
        self.merged.insert(c.field.clone());
    }

    /// Whether a column goes by its table's name only.
    pub(crate) fn is_merged(&self, c: &ScopeColumn) -> bool {
        !c.qualifier.is_empty() && self.merged.contains(&c.field)
    }

    /// Whether a column is one of those that go by their tables' names only.
    pub(crate) fn holds_merged(&self, c: &ScopeColumn) -> bool {
        self.merged.contains(&c.field)
    }

    /// The sub-query stands for this column.
    pub(crate) fn add_value(&mut self, query: &ast::Query, column: ScopeColumn) {
        self.values.push((query.clone(), column));
    }

    /// The column that a sub-query stands for.
    pub(crate) fn value_of(&self, query: &ast::Query) -> Option<Typed> {
        self.values.iter().find(|(q, _)| q == query).map(|(_, c)| c.typed())
    }

    /// IN or EXISTS stands for this value.
    pub(crate) fn add_mark(&mut self, e: &ast::Expr, mark: Typed) {
        self.marks.push((e.clone(), mark));
    }

    /// The value that IN or EXISTS stands for.
    pub(crate) fn mark_of(&self, e: &ast::Expr) -> Option<Typed> {
        self.marks.iter().find(|(known, _)| known == e).map(|(_, mark)| mark.clone())
    }

    /// Whether any expression stands for a value.
    pub(crate) fn has_marks(&self) -> bool {
        !self.marks.is_empty()
    }

    /// The keys of a grouping under the names that their columns had. `key`: the column of the groups that a column of the
    /// rows has become.
    pub(crate) fn grouped(&self, key: impl Fn(&ScopeColumn) -> Option<ScopeColumn>) -> Scope {
        let mut groups = Scope::default();
        for c in &self.columns {
            match key(c) {
                Some(grouped) => {
                    if self.merged.contains(&c.field) {
                        groups.merge(&grouped);
                    }
                    if self.hidden.contains(&c.field) {
                        groups.hide(vec![grouped.field.clone()]);
                    }
                    groups.columns.push(grouped);
                }
                None if self.is_merged(c) => {}
                None => groups.ungrouped.push(c.clone()),
            }
        }
        groups
    }

    /// Whether a sub-query has become a value already.
    pub(crate) fn has_mark(&self, query: &ast::Query) -> bool {
        self.marks.iter().any(|(known, _)| matches!(known, ast::Expr::Subquery(q) if q.as_ref() == query))
    }

    /// Names that are not found here are looked for there.
    pub(crate) fn set_outer(&mut self, outer: &Scope) {
        self.outer = outer.columns.iter().filter(|c| !outer.is_merged(c)).cloned().collect();
        self.outer.extend(outer.columns.iter().filter(|c| outer.is_merged(c)).cloned());
        self.further.clone_from(&outer.outer);
    }

    /// It is the same to whoever asks for the rows how often they come.
    pub(crate) fn let_repeat(&mut self) {
        self.may_repeat = true;
    }

    /// Whether rows may come several times.
    pub(crate) fn may_repeat(&self) -> bool {
        self.may_repeat
    }

    /// The columns under the names that a query wrote, of which several may be the same.
    pub(crate) fn written_as(&mut self, names: Vec<String>) {
        if names.len() != self.columns.len() {
            return;
        }
        for (i, name) in names.iter().enumerate() {
            self.columns[i].name.clone_from(name);
            if names[..i].contains(name) {
                self.twice.push((self.columns[i].qualifier.clone(), name.clone()));
            }
        }
    }

    /// Refuses columns of one query, all of which are asked for, that have one name.
    pub(crate) fn check_names(&self, qualifier: &[&str]) -> Result<()> {
        match self.twice.iter().find(|(of, _)| ends_with(of, qualifier)) {
            None => Ok(()),
            Some((_, name)) => Err(Error::user(format!("Column '{name}' is ambiguous"))
                .hint("Rename one of the columns in the query that gives them")),
        }
    }

    /// The columns have the types that a plan gives them.
    pub(crate) fn follow(&mut self, plan: &LogicalPlan) -> Result<()> {
        let types: HashMap<String, LogicalType> = columns_of(plan.schema())?.into_iter().collect();
        for c in &mut self.columns {
            if let Some(t) = types.get(&c.field) {
                c.data_type = t.clone();
            }
        }
        Ok(())
    }

    /// The same columns under an alias.
    pub(crate) fn with_qualifier(mut self, qualifier: &[String]) -> Scope {
        for c in &mut self.columns {
            c.qualifier = qualifier.to_vec();
        }
        self
    }

    fn matching(&self, qualifier: &[&str], name: &str) -> Vec<&ScopeColumn> {
        let fits = |c: &&ScopeColumn| {
            c.name == name && ends_with(&c.qualifier, qualifier) && !(qualifier.is_empty() && self.is_merged(c))
        };
        self.columns.iter().filter(fits).collect()
    }

    /// Whether a column that is there no more once rows are grouped has this name, too.
    fn is_of_rows(&self, qualifier: &[&str], name: &str) -> bool {
        self.ungrouped.iter().any(|c| c.name == name && ends_with(&c.qualifier, qualifier))
    }

    /// Resolves `a`, `t.a`, `t.a.field`, `c.d.t.a`: the longest qualifier wins, as in Calcite.
    pub(crate) fn resolve(&self, parts: &[&str], span: Span) -> Result<Resolved> {
        for qualified_by in (0..parts.len().min(4)).rev() {
            let found = self.matching(&parts[..qualified_by], parts[qualified_by]);
            match found.as_slice() {
                [] => {}
                [_] if self.is_of_rows(&parts[..qualified_by], parts[qualified_by]) => {
                    return Err(ambiguous(parts[qualified_by], span));
                }
                [one] => {
                    let rest = parts[qualified_by + 1..].iter().map(|s| s.to_string()).collect();
                    return Ok(Resolved::Column(one.typed(), rest));
                }
                [one, more @ ..] if more.iter().all(|c| c.qualifier == one.qualifier) => {
                    let name = parts[qualified_by];
                    let error = Error::user(format!("Column '{name}' is ambiguous"));
                    return Err(at(error.hint("Rename one of the columns in the query that gives them"), span));
                }
                _ => return Err(ambiguous(parts[qualified_by], span)),
            }
        }
        for qualified_by in (0..parts.len().min(4)).rev() {
            if let Some(inside) = self.peek(&parts[..qualified_by], &parts[qualified_by..], span)? {
                return Ok(inside);
            }
        }
        if self.outer.is_empty() {
            return Ok(Resolved::Missing);
        }
        let mut around = Scope::of(self.outer.clone());
        around.outer = self.further.clone();
        Ok(match around.resolve(parts, span)? {
            Resolved::Column(Typed { expr: Expr::Column(c), data_type }, rest) => {
                Resolved::Column(Typed { expr: column(&format!("{OUTER}{}", c.name)), data_type }, rest)
            }
            other => other,
        })
    }

    /// A field of a ROW that is named without its column: the one that lies least deep. (Calcite's
    /// `StructKind.PEEK_FIELDS_NO_EXPAND`, which Flink gives to such types.)
    fn peek(&self, qualifier: &[&str], names: &[&str], span: Span) -> Result<Option<Resolved>> {
        let columns = self.columns.iter().filter(|c| ends_with(&c.qualifier, qualifier));
        let mut level: Vec<(&ScopeColumn, Vec<String>, &LogicalType)> = columns
            .filter(|c| !(qualifier.is_empty() && self.is_merged(c)))
            .map(|c| (c, vec![], &c.data_type))
            .collect();
        while !level.is_empty() {
            let fields = level.iter().filter_map(|(c, path, t)| Some((c, path, t.kind.fields()?)));
            let below: Vec<_> = fields
                .flat_map(|(c, path, fields)| {
                    fields.iter().map(move |f| {
                        let path: Vec<String> = path.iter().chain([&f.name]).cloned().collect();
                        (*c, path, &f.data_type)
                    })
                })
                .collect();
            let mut found = below.iter().filter(|(_, path, _)| path.last().is_some_and(|name| name == names[0]));
            match (found.next(), found.next()) {
                (None, _) => level = below,
                (Some((c, path, _)), None) => {
                    let rest = path.iter().cloned().chain(names[1..].iter().map(|n| n.to_string())).collect();
                    return Ok(Some(Resolved::Column(c.typed(), rest)));
                }
                (Some(_), Some(_)) => return Err(ambiguous(names[0], span)),
            }
        }
        Ok(None)
    }

    /// The error for a name that [`resolve`](Self::resolve) does not know.
    pub(crate) fn missing(&self, parts: &[&Ident], span: Span) -> Error {
        let (last, qualifier) = match parts.split_last() {
            Some((last, rest)) => (last.value.as_str(), rest),
            None => return Error::internal("an empty name"),
        };
        if self.ungrouped.iter().any(|c| c.name == last) {
            return at(
                Error::user(format!("Expression '{last}' is not being grouped"))
                    .hint("Name it in GROUP BY, or put an aggregate function around it"),
                span,
            );
        }
        if let Some(table) = qualifier.first()
            && self.outer.iter().any(|c| c.qualifier.contains(&table.value))
            && !self.columns.iter().any(|c| c.qualifier.contains(&table.value))
        {
            return Scope::of(self.outer.clone()).missing(parts, span);
        }
        if let Some(table) = qualifier.first()
            && !self.columns.iter().any(|c| c.qualifier.contains(&table.value) || c.name == table.value)
        {
            let tables: Vec<&str> = unique(self.columns.iter().filter_map(|c| c.qualifier.last()).map(String::as_str));
            return not_found(format!("Table '{}' not found", table.value), &table.value, tables, TABLES_HERE, span);
        }
        let table = match qualifier.last() {
            Some(q) => format!(" in table '{}'", q.value),
            None if self.columns.is_empty() => " in any table".to_string(),
            None => match unique(self.columns.iter().filter_map(|c| c.qualifier.last()).map(String::as_str)).as_slice()
            {
                [one] => format!(" in table '{one}'"),
                _ => " in any table".to_string(),
            },
        };
        let message = format!("Column '{last}' not found{table}");
        let qualifier: Vec<&str> = qualifier.iter().map(|q| q.value.as_str()).collect();
        let elsewhere = self.columns.iter().find(|c| c.name == last && !ends_with(&c.qualifier, &qualifier));
        if let Some(other) = elsewhere.and_then(|c| c.qualifier.last()) {
            let error = Error::user(message).hint(format!("Table '{other}' has it: write {other}.{last}"));
            return at(error, span).with("column", last);
        }
        let of_table = self.columns.iter().filter(|c| ends_with(&c.qualifier, &qualifier));
        let mut columns = unique(of_table.map(|c| c.name.as_str()));
        if columns.is_empty() {
            columns = unique(self.columns.iter().map(|c| c.name.as_str()));
        }
        not_found(message, last, columns, "Columns here", span).with("column", last)
    }
}

/// What leads the list of them.
pub(crate) const TABLES_HERE: &str = "Tables here (one with an alias has no other name)";

fn ambiguous(name: &str, span: Span) -> Error {
    let error = Error::user(format!("Column '{name}' is ambiguous")).hint("Put the table's name or alias before it");
    at(error, span)
}

pub(crate) fn ends_with(have: &[String], asked: &[&str]) -> bool {
    asked.len() <= have.len() && have[have.len() - asked.len()..].iter().zip(asked).all(|(a, b)| a == b)
}

pub(crate) fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    names.filter(|n| seen.insert(*n)).collect()
}

/// An event-time column: of milliseconds, whatever the table declares.
pub(crate) fn as_rowtime(t: &LogicalType) -> LogicalType {
    let kind = match t.kind {
        TypeKind::Timestamp(..) => TypeKind::Timestamp(3, TimeAttribute::Rowtime),
        TypeKind::TimestampLtz(..) => TypeKind::TimestampLtz(3, TimeAttribute::Rowtime),
        ref other => other.clone(),
    };
    LogicalType { kind, nullable: t.nullable }
}

/// A column of a plan.
pub fn column(field: &str) -> Expr {
    Expr::Column(Column::new_unqualified(field))
}

/// Gives names to a plan's columns: the wanted one, or with the first number that makes it unique.
#[derive(Debug, Default)]
pub(crate) struct UniqueNames(HashSet<String>);

impl UniqueNames {
    /// Names that are taken.
    pub(crate) fn of(schema: &DFSchema) -> UniqueNames {
        UniqueNames(schema.fields().iter().map(|f| f.name().clone()).collect())
    }

    /// Whether nobody has a name.
    pub(crate) fn is_free(&self, name: &str) -> bool {
        !self.0.contains(name)
    }

    /// A name that nobody has.
    pub(crate) fn take(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_string();
        let mut n = 0;
        while !self.0.insert(name.clone()) {
            name = format!("{wanted}{n}");
            n += 1;
        }
        name
    }
}

/// The schema of named types; the names must be unique.
pub fn plan_schema<'a>(columns: impl IntoIterator<Item = (&'a str, &'a LogicalType)>) -> Result<DFSchemaRef> {
    let fields: Vec<_> = columns.into_iter().map(|(n, t)| Arc::new(arrow_field(n, t))).collect();
    let schema = DFSchema::from_unqualified_fields(fields.into(), Default::default()).map_err(from_datafusion)?;
    Ok(Arc::new(schema))
}

/// The names and Flink types of a plan's columns.
pub fn columns_of(schema: &DFSchema) -> Result<Vec<(String, LogicalType)>> {
    schema
        .fields()
        .iter()
        .map(|f| {
            let t = from_arrow_field(f)
                .ok_or_else(|| Error::internal(format!("column '{}' has the type {}", f.name(), f.data_type())))?;
            Ok((f.name().clone(), t))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        let column = |q: &[&str], n: &str| ScopeColumn {
            qualifier: q.iter().map(|s| s.to_string()).collect(),
            name: n.into(),
            field: format!("{}_{n}", q.join("_")),
            data_type: TypeKind::Int.nullable(),
        };
        Scope::of(vec![column(&["c", "d", "t"], "a"), column(&["c", "d", "t"], "Price"), column(&["u"], "a")])
    }

    fn resolve(parts: &[&str]) -> String {
        match scope().resolve(parts, Span::empty()) {
            Ok(Resolved::Column(t, rest)) => format!("{} {rest:?}", t.expr),
            Ok(Resolved::Missing) => "missing".into(),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn qualified_names_and_case() {
        assert_eq!(resolve(&["t", "a"]), "c_d_t_a []");
        assert_eq!(resolve(&["c", "d", "t", "a"]), "c_d_t_a []");
        assert_eq!(resolve(&["u", "a", "x"]), "u_a [\"x\"]");
        assert_eq!(resolve(&["price"]), "missing");
        assert!(resolve(&["a"]).contains("ambiguous"));
    }

    #[test]
    fn names_become_unique() {
        let mut names = UniqueNames::default();
        assert_eq!([names.take("a"), names.take("a"), names.take("a"), names.take("a0")], ["a", "a0", "a1", "a00"]);
    }
}
