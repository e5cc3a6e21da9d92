//! What stands in FROM: tables with their computed columns and watermark, derived tables, window TVFs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion_common::TableReference;
use datafusion_expr::LogicalPlan;
use datafusion_expr::logical_plan::TableScanBuilder;
use flott_connector::table::{CatalogTable, ColumnKind, ObjectIdentifier};
use flott_core::types::{TimeAttribute, TypeKind, arrow_schema};
use flott_core::{Error, LogicalType, Result};
use sqlparser::ast::{
    self, Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, Spanned, TableFactor,
    TableFunctionArgs, TableWithJoins,
};
use sqlparser::tokenizer::Span;

use super::named::Named;
use super::node::{FlinkNode, FlinkNodeKind, ScanTable};
use super::refuse::{at, from_datafusion, name_text, not_found, refuse_if, unsupported};
use super::values::row_values;
use super::{Binder, Ctes, Scope, Typed, as_rowtime, column, columns_of, plan_schema, project};
use crate::parser::alias_of;
use crate::parser::dialect::TABLE_CALL;
use crate::parser::match_recognize::QUERY_CALL;

impl Binder<'_> {
    pub(crate) fn table_with_joins(&self, t: &TableWithJoins, ctes: &Ctes) -> Result<(LogicalPlan, Scope)> {
        let TableWithJoins { relation, joins } = t;
        let first = self.related(relation, ctes)?;
        joins.iter().try_fold(first, |left, join| self.joined(left, join, ctes))
    }

    pub(crate) fn table_factor(&self, t: &TableFactor, ctes: &Ctes) -> Result<(LogicalPlan, Scope)> {
        match t {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                let span = name.span();
                refuse_if(version.is_some(), "FOR SYSTEM_TIME AS OF", span)?;
                refuse_if(*with_ordinality, "WITH ORDINALITY", span)?;
                refuse_if(!partitions.is_empty(), "PARTITION (..) after a table", span)?;
                refuse_if(json_path.is_some(), "a path after a table", span)?;
                refuse_if(sample.is_some(), "TABLESAMPLE", span)?;
                refuse_if(!index_hints.is_empty(), "index hints", span)?;
                if let Some(TableFunctionArgs { args, settings }) = args {
                    refuse_if(settings.is_some(), "SETTINGS", span)?;
                    refuse_if(!with_hints.is_empty(), "hints after a table function", span)?;
                    let query = match args.as_slice() {
                        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Ast::Subquery(query)))]
                            if name_text(name) == QUERY_CALL =>
                        {
                            Some(query)
                        }
                        _ => None,
                    };
                    let plan = match query {
                        Some(query) => self.bind_query(query, ctes)?,
                        None => self.table_function(name, args, ctes)?,
                    };
                    return self.aliased(plan, &[], alias.as_ref());
                }
                let Named { plan, qualifier, hidden } = self.named(name, with_hints, ctes)?;
                let (plan, mut scope) = self.aliased(plan, &qualifier, alias.as_ref())?;
                if alias.as_ref().is_none_or(|a| a.columns.is_empty()) {
                    scope.hide(hidden);
                }
                Ok((plan, scope))
            }
            TableFactor::Derived { lateral, subquery, alias, sample } => {
                // The first in FROM has no tables before it.
                let _ = lateral;
                refuse_if(sample.is_some(), "TABLESAMPLE", t.span())?;
                let plan = self.bind_inside(subquery, ctes)?;
                let written = self.written.take();
                let alias = alias.as_ref().map(|alias| naming(subquery, alias));
                let alias = alias.as_deref();
                let (plan, mut scope) = self.aliased(plan, &[], alias)?;
                if alias.is_none_or(|a| a.columns.is_empty()) {
                    scope.written_as(written);
                }
                Ok((plan, scope))
            }
            TableFactor::TableFunction { expr, alias } => {
                let Ast::Function(f) = expr else {
                    return Err(unsupported("this argument of TABLE(..)", expr.span()));
                };
                let FunctionArguments::List(list) = &f.args else {
                    return Err(unsupported("this argument of TABLE(..)", expr.span()));
                };
                let plain = f.filter.is_none()
                    && f.over.is_none()
                    && f.null_treatment.is_none()
                    && f.within_group.is_empty()
                    && list.duplicate_treatment.is_none()
                    && list.clauses.is_empty()
                    && matches!(f.parameters, FunctionArguments::None);
                refuse_if(!plain, "clauses of a table function", expr.span())?;
                if let Some(function) = self.user_table_function(&f.name) {
                    return self.table_function_alone(&function, &f.name, &list.args, alias.as_ref());
                }
                let plan = self.table_function(&f.name, &list.args, ctes)?;
                self.aliased(plan, &[], alias.as_ref())
            }
            TableFactor::Function { lateral: true, .. } => self.lateral_function_alone(t, ctes),
            TableFactor::Function { lateral: false, name, .. } => {
                Err(unsupported(format!("{}(..)", name_text(name)), name.span()))
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let (plan, scope) = self.table_with_joins(table_with_joins, ctes)?;
                match alias {
                    None => Ok((plan, scope)),
                    Some(_) => self.aliased(plan, &[], alias.as_ref()),
                }
            }
            TableFactor::UNNEST { .. } => self.unnest_alone(t),
            TableFactor::JsonTable { .. } => Err(unsupported("JSON_TABLE", t.span())),
            TableFactor::OpenJsonTable { .. } => Err(unsupported("OPENJSON", t.span())),
            TableFactor::Pivot { .. } => Err(unsupported("PIVOT", t.span())),
            TableFactor::Unpivot { .. } => Err(unsupported("UNPIVOT", t.span())),
            TableFactor::MatchRecognize {
                table,
                partition_by,
                order_by,
                measures,
                rows_per_match,
                after_match_skip,
                pattern,
                symbols,
                alias,
            } => {
                let clauses = super::match_recognize::Clauses {
                    partition_by,
                    order_by,
                    measures,
                    rows_per_match: rows_per_match.as_ref(),
                    after_match_skip: after_match_skip.as_ref(),
                    pattern,
                    symbols,
                };
                let plan = self.match_recognize(table, &clauses, ctes)?;
                self.aliased(plan, &[], alias.as_ref())
            }
            other => Err(unsupported("this relation in FROM", other.span())),
        }
    }

    pub(crate) fn aliased(
        &self,
        plan: LogicalPlan,
        qualifier: &[String],
        alias: Option<&ast::TableAlias>,
    ) -> Result<(LogicalPlan, Scope)> {
        match alias {
            None => {
                let scope = Scope::of_plan(&plan, qualifier)?;
                Ok((plan, scope))
            }
            Some(alias) => {
                let plan = self.renamed(plan, alias)?;
                let scope = Scope::of_plan(&plan, &[])?.with_qualifier(std::slice::from_ref(&alias.name.value));
                Ok((plan, scope))
            }
        }
    }

    /// A table: scan, computed columns, watermark.
    pub(crate) fn table(&self, identifier: ObjectIdentifier, mut table: CatalogTable) -> Result<LogicalPlan> {
        if self.is_batch() {
            without_rowtime(&mut table);
        }
        let mut scanned: Vec<(String, LogicalType)> = vec![];
        for c in &table.schema.columns {
            match &c.kind {
                ColumnKind::Physical => scanned.push((c.name.clone(), c.data_type.clone())),
                ColumnKind::Metadata { .. } => {
                    scanned.push((c.name.clone(), self.metadata_type(&table, c)?));
                }
                ColumnKind::Computed { .. } => {}
            }
        }
        let schema = arrow_schema(scanned.iter().map(|(n, t)| (n.as_str(), t)));
        let source = Arc::new(ScanTable { identifier: identifier.clone(), table: table.clone(), schema });
        let reference =
            TableReference::full(identifier.catalog.clone(), identifier.database.clone(), identifier.object.clone());
        let mut scan = TableScanBuilder::new(reference, source).build().map_err(from_datafusion)?;
        // Our columns have no qualifiers.
        scan.projected_schema = plan_schema(scanned.iter().map(|(n, t)| (n.as_str(), t)))?;
        let mut plan = LogicalPlan::TableScan(scan);

        let computes = table.schema.columns.iter().any(|c| match &c.kind {
            ColumnKind::Physical => false,
            ColumnKind::Computed { .. } => true,
            ColumnKind::Metadata { .. } => scanned.iter().any(|(n, t)| *n == c.name && t.kind != c.data_type.kind),
        });
        if computes {
            let mut columns = vec![];
            for c in &table.schema.columns {
                let value = match &c.kind {
                    ColumnKind::Computed { expression } => self
                        .expression_text(expression, &scanned)
                        .map_err(|e| without_position(&e).with("column", &c.name))?,
                    _ => {
                        let from = scanned.iter().find(|(n, _)| *n == c.name).map(|(_, t)| t.clone());
                        let value =
                            Typed { expr: column(&c.name), data_type: from.unwrap_or_else(|| c.data_type.clone()) };
                        self.functions.cast_if_needed(value, &c.data_type)?
                    }
                };
                columns.push((c.name.clone(), value));
            }
            plan = project(plan, columns)?;
        }
        if let Some(watermark) = &table.schema.watermark {
            plan = self.watermark(plan, &watermark.rowtime, &watermark.expression)?;
        }
        Ok(plan)
    }

    /// The type that the connector gives to a metadata column.
    fn metadata_type(&self, table: &CatalogTable, c: &flott_connector::table::Column) -> Result<LogicalType> {
        let key = c.metadata_key().unwrap_or(&c.name);
        let connector = table.options.get("connector").unwrap_or_default();
        let factory = self.registry.connector(connector)?;
        let known = factory.table_metadata(&table.options, self.registry)?;
        known.iter().find(|k| k.key == key).map(|k| k.data_type.clone()).ok_or_else(|| {
            not_found(
                format!("Invalid metadata key '{key}' in column '{}' of connector '{connector}'", c.name),
                key,
                known.iter().map(|k| k.key.as_ref()),
                "Metadata keys",
                Span::empty(),
            )
        })
    }

    fn watermark(&self, input: LogicalPlan, rowtime: &str, expression: &str) -> Result<LogicalPlan> {
        let mut columns = columns_of(input.schema())?;
        let names: Vec<String> = columns.iter().map(|c| c.0.clone()).collect();
        let Some(column) = columns.iter_mut().find(|c| c.0 == rowtime) else {
            return Err(not_found(
                format!("The rowtime attribute field '{rowtime}' is not defined in the table schema"),
                rowtime,
                names.iter().map(String::as_str),
                "Columns",
                Span::empty(),
            ));
        };
        if !matches!(column.1.kind, TypeKind::Timestamp(0..=3, _) | TypeKind::TimestampLtz(0..=3, _)) {
            return Err(Error::user(format!(
                "Invalid data type of time field for watermark definition. The field must be of type TIMESTAMP(3) or \
                 TIMESTAMP_LTZ(3), the supported precision 'p' is from 0 to 3, but the time field type is {}",
                column.1
            ))
            .with("column", rowtime)
            .hint(format!("Declare a computed column {rowtime}3 AS CAST({rowtime} AS TIMESTAMP(3)) and use that")));
        }
        let before = columns.clone();
        let columns: Vec<(String, LogicalType)> = before
            .iter()
            .map(|(n, t)| {
                let t = if n == rowtime { as_rowtime(t) } else { t.clone() };
                (n.clone(), t)
            })
            .collect();
        let parsed = self.tables.parse_expression(expression)?;
        let watermark = if is_source_watermark(&parsed) {
            None
        } else {
            let bound =
                self.expression(&parsed, &before).map_err(|e| without_position(&e).with("watermark", rowtime))?;
            if !bound.data_type.kind.is_timestamp() {
                return Err(Error::user(format!(
                    "Invalid data type of expression for watermark definition: it must be a TIMESTAMP(3) or \
                     TIMESTAMP_LTZ(3), but is {}",
                    bound.data_type
                ))
                .with("watermark", rowtime)
                .hint("Write for instance ts - INTERVAL '5' SECOND"));
            }
            Some(bound.expr)
        };
        if self.is_batch() {
            // The column stays a plain timestamp, and no row is late.
            return Ok(input);
        }
        let schema = plan_schema(columns.iter().map(|(n, t)| (n.as_str(), t)))?;
        let kind = FlinkNodeKind::WatermarkAssigner { rowtime: rowtime.to_string(), watermark };
        Ok(FlinkNode::plan(kind, input, schema))
    }

    /// `TUMBLE(TABLE t, DESCRIPTOR(ts), ..)` and its kin.
    fn table_function(&self, name: &ObjectName, args: &[FunctionArg], ctes: &Ctes) -> Result<LogicalPlan> {
        let text = name_text(name).to_uppercase();
        let span = name.span();
        if super::changelog_function::FUNCTIONS.contains(&text.as_str()) {
            return super::changelog_function::bind(self, &text, args, ctes, span);
        }
        let Some(signature) = super::window::signature(&text) else {
            let known = super::window::FUNCTIONS.into_iter().chain(super::changelog_function::FUNCTIONS);
            return Err(not_found(format!("Table function '{text}' not found"), &text, known, "Table functions", span));
        };
        let mut given: BTreeMap<&'static str, &Ast> = BTreeMap::new();
        let mut positional = 0;
        for argument in args {
            let (name, arg) = match argument {
                FunctionArg::Named { name, arg, operator: _ } => (Some(name), arg),
                FunctionArg::ExprNamed { name: Ast::Identifier(name), arg, operator: _ } => (Some(name), arg),
                FunctionArg::ExprNamed { name, .. } => return Err(unsupported("this argument name", name.span())),
                FunctionArg::Unnamed(arg) => (None, arg),
            };
            let FunctionArgExpr::Expr(e) = arg else {
                return Err(unsupported(format!("* as an argument of {text}"), span));
            };
            let parameter = match name {
                Some(name) => {
                    let wanted = name.value.to_uppercase();
                    signature.iter().find(|p| **p == wanted).copied().ok_or_else(|| {
                        not_found(
                            format!("{text} has no argument '{}'", name.value),
                            &name.value,
                            signature.iter().copied(),
                            "Its arguments",
                            name.span,
                        )
                    })?
                }
                None => {
                    positional += 1;
                    *signature.get(positional - 1).ok_or_else(|| {
                        at(
                            Error::user(format!("{text} takes at most {} arguments", signature.len()))
                                .hint(format!("Its arguments: {}", signature.join(", "))),
                            e.span(),
                        )
                    })?
                }
            };
            if given.insert(parameter, e).is_some() {
                return Err(at(Error::user(format!("{text} got {parameter} twice")).hint("Give it once"), e.span()));
            }
        }
        let data = self.given(&given, "DATA", &text, span)?;
        let asked = given.values().flat_map(|e| super::window::described(e)).collect::<Vec<_>>();
        let (input, partition_by) = self.table_argument(data, &text, &asked, ctes)?;
        let mut keys = vec![];
        for key in partition_by {
            keys.push(self.key_column(key, &input)?);
        }
        super::window::table_function(self, &text, input, keys, &given, span)
    }

    /// An argument that must be there.
    pub(crate) fn given<'q>(
        &self,
        given: &BTreeMap<&'static str, &'q Ast>,
        parameter: &'static str,
        function: &str,
        span: Span,
    ) -> Result<&'q Ast> {
        given.get(parameter).copied().ok_or_else(|| {
            let signature = super::window::signature(function).unwrap_or_default().join(", ");
            at(
                Error::user(format!("{function} needs the argument {parameter}"))
                    .hint(format!("Its arguments, in order: {signature}")),
                span,
            )
        })
    }

    /// `TABLE t [PARTITION BY (..)]` or a sub-query, and the keys. `asked`: columns that are named besides.
    pub(crate) fn table_argument<'q>(
        &self,
        e: &'q Ast,
        function: &str,
        asked: &[&str],
        ctes: &Ctes,
    ) -> Result<(LogicalPlan, &'q [Ast])> {
        match e {
            Ast::Nested(inner) => self.table_argument(inner, function, asked, ctes),
            Ast::Subquery(q) => Ok((self.bind_inside(q, ctes)?, &[])),
            Ast::Function(f) if name_text(&f.name) == TABLE_CALL => {
                let FunctionArguments::List(list) = &f.args else {
                    return Err(Error::internal("TABLE without a name"));
                };
                let mut arguments = list.args.iter().filter_map(|a| match a {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Some(e),
                    _ => None,
                });
                if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(query @ Ast::Subquery(_)))) = list.args.first() {
                    let (plan, _) = self.table_argument(query, function, asked, ctes)?;
                    let keys = match list.args.get(1) {
                        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Ast::Tuple(keys)))) => keys.as_slice(),
                        _ => &[],
                    };
                    return Ok((plan, keys));
                }
                let idents: Vec<&Ident> = match arguments.next() {
                    Some(Ast::CompoundIdentifier(ids)) => ids.iter().collect(),
                    Some(Ast::Identifier(id)) => vec![id],
                    _ => return Err(Error::internal("TABLE without a name")),
                };
                let keys = match arguments.next() {
                    Some(Ast::Tuple(keys)) => keys.as_slice(),
                    _ => &[],
                };
                let span = idents.first().map_or_else(Span::empty, |i| i.span);
                Ok((self.named_parts(&idents, &[], ctes, span)?.shown(asked)?, keys))
            }
            other => Err(at(
                Error::user(format!("the input of {function} is a table or a query, not {other}"))
                    .hint(format!("Write {function}(TABLE t, ..) or {function}((SELECT ..), ..)")),
                other.span(),
            )),
        }
    }

    /// A plain column of a plan.
    pub(crate) fn key_column(&self, e: &Ast, input: &LogicalPlan) -> Result<String> {
        let id = match e {
            Ast::Identifier(id) => id,
            Ast::CompoundIdentifier(ids) if ids.len() == 1 => &ids[0],
            Ast::Nested(inner) => return self.key_column(inner, input),
            other => return Err(unsupported("an expression where a column is expected", other.span())),
        };
        let columns = columns_of(input.schema())?;
        if columns.iter().any(|c| c.0 == id.value) {
            return Ok(id.value.clone());
        }
        Err(Scope::of_plan(input, &[])?.missing(&[id], id.span))
    }
}

/// Refuses two tables of one FROM that answer to the same name.
pub(crate) fn names_differ(from: &[TableWithJoins]) -> Result<()> {
    let mut names: Vec<(String, Span)> = vec![];
    let mut rest: Vec<&TableWithJoins> = from.iter().rev().collect();
    while let Some(t) = rest.pop() {
        for relation in std::iter::once(&t.relation).chain(t.joins.iter().map(|j| &j.relation)) {
            match relation {
                TableFactor::NestedJoin { table_with_joins, alias: None } => rest.push(table_with_joins),
                _ => names.extend(own_name(relation)),
            }
        }
    }
    for (i, (name, span)) in names.iter().enumerate() {
        if names[..i].iter().any(|(other, _)| other == name) {
            let error = Error::user(format!("Duplicate relation name '{name}' in FROM clause"));
            return Err(at(error.hint("Give each of them an alias of its own: FROM t AS a, t AS b"), *span));
        }
    }
    Ok(())
}

/// As in Calcite, the one column of VALUES is named after an alias that names none.
pub(crate) fn naming<'a>(query: &Query, alias: &'a ast::TableAlias) -> Cow<'a, ast::TableAlias> {
    let one = match query.body.as_ref() {
        ast::SetExpr::Values(values) => values.rows.first().is_some_and(|row| row_values(&row.content).len() == 1),
        _ => false,
    };
    match one && alias.columns.is_empty() {
        true => {
            let columns = vec![ast::TableAliasColumnDef::from_name(alias.name.value.as_str())];
            Cow::Owned(ast::TableAlias { columns, ..alias.clone() })
        }
        false => Cow::Borrowed(alias),
    }
}

/// The name that the columns of a relation answer to.
fn own_name(relation: &TableFactor) -> Option<(String, Span)> {
    match (alias_of(relation), relation) {
        (Some(alias), _) => Some((alias.name.value.clone(), alias.name.span)),
        (None, TableFactor::Table { name, args: None, .. }) => {
            let last = name.0.last()?.as_ident()?;
            Some((last.value.clone(), name.span()))
        }
        _ => None,
    }
}

/// A batch has no watermark, and so no event time: its columns are plain timestamps.
fn without_rowtime(table: &mut CatalogTable) {
    for c in &mut table.schema.columns {
        if c.data_type.kind.time_attribute() == TimeAttribute::Rowtime {
            c.data_type = c.data_type.with_time_attribute(TimeAttribute::None);
        }
    }
}

fn is_source_watermark(e: &Ast) -> bool {
    matches!(e, Ast::Function(f) if name_text(&f.name).eq_ignore_ascii_case("SOURCE_WATERMARK"))
}

/// A position in a view's or column's text means nothing in the script that uses it.
pub(crate) fn without_position(e: &Error) -> Error {
    let mut copy = Error::new(e.kind(), e.message());
    for (what, value) in e.contexts() {
        copy = copy.with(what, value);
    }
    match e.hint_text() {
        Some(hint) => copy.hint(hint),
        None => copy,
    }
}
