//! `LATERAL TABLE(VECTOR_SEARCH(TABLE t, DESCRIPTOR(column), query, top_k[, config]))`: of each row so far the rows of a
//! table outside whose vectors are nearest to its own. A lookup join whose key is the vector.

use flott_connector::factory::VectorSearch;
use flott_connector::table::{Column, ColumnKind};
use flott_core::types::TypeKind;
use flott_core::{Error, Result};
use flott_graph::JoinKind;
use sqlparser::ast::Spanned;
use sqlparser::ast::{self, Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, JoinConstraint};
use sqlparser::tokenizer::Span;

use datafusion_common::ScalarValue;
use datafusion_expr::Expr;

use super::{Bound, beside, identity, is_true, join, settle, side_by_side};
use crate::bind::changelog_function::{arguments, map_of_texts};
use crate::bind::expression::ExpressionBinder;
use crate::bind::node::{JoinFlavour, LookupHint, Search};
use crate::bind::refuse::{At, at, name_text, not_found, unsupported, unsupported_with};
use crate::bind::window::{descriptor, unaliased};
use crate::bind::{Binder, CatalogObject, UniqueNames, columns_of, project};
use crate::parser::dialect::TABLE_CALL;

pub(crate) const FUNCTION: &str = "VECTOR_SEARCH";
const ARGUMENTS: [&str; 5] = ["SEARCH_TABLE", "COLUMN_TO_SEARCH", "COLUMN_TO_QUERY", "TOP_K", "CONFIG"];
/// The column that says how near a row is.
const SCORE: &str = "score";

impl Binder<'_> {
    pub(super) fn vector_search(
        &self,
        (left, left_scope): Bound,
        args: &[FunctionArg],
        alias: Option<&ast::TableAlias>,
        kind: JoinKind,
        constraint: &JoinConstraint,
        span: Span,
    ) -> Result<Bound> {
        if !matches!(kind, JoinKind::Inner | JoinKind::Left) {
            return Err(at(
                Error::user("VECTOR_SEARCH reads the tables before it").hint("Use CROSS JOIN or LEFT JOIN .. ON TRUE"),
                span,
            ));
        }
        let given = arguments(FUNCTION, &ARGUMENTS, args, span)?;
        let needed = |name: &'static str| {
            given.get(name).copied().ok_or_else(|| {
                at(
                    Error::user(format!("{FUNCTION} needs the argument {name}"))
                        .hint(format!("Its arguments, in order: {}", ARGUMENTS.join(", "))),
                    span,
                )
            })
        };
        let idents = table_name(needed("SEARCH_TABLE")?, span)?;
        let parts: Vec<String> = idents.iter().map(|i| i.value.clone()).collect();
        let Some(CatalogObject::Table(identifier, mut table)) = self.tables().lookup(&parts).at_span(span)? else {
            return Err(at(
                Error::user(format!("{FUNCTION} searches a table, and '{}' is none", parts.join(".")))
                    .hint("Name a table of a connector that searches vectors"),
                span,
            ));
        };
        let mut names = UniqueNames::default();
        table.schema.columns.iter().for_each(|c| {
            names.take(&c.name);
        });
        let score = names.take(SCORE);
        table.schema.columns.push(Column::physical(score.clone(), TypeKind::Double.not_null()));
        let right = self.table(identifier, table.clone()).map_err(|e| at(e, span))?;
        let searched = descriptor(self, needed("COLUMN_TO_SEARCH")?, &right, FUNCTION)?;
        let of_table = table.schema.column(&searched).filter(|c| c.kind == ColumnKind::Physical);
        let Some(column) = of_table.filter(|c| is_vector(&c.data_type.kind)) else {
            return Err(at(
                Error::user(format!(
                    "Expect the column '{searched}' to search to be a physical column of type ARRAY<FLOAT> or ARRAY<DOUBLE>"
                ))
                .hint("Name a column with vectors in DESCRIPTOR"),
                span,
            ));
        };
        let asked = needed("COLUMN_TO_QUERY")?;
        let query = ExpressionBinder::new(self.functions(), &left_scope, FUNCTION).bind(asked)?;
        if !is_vector(&query.data_type.kind) {
            return Err(at(
                Error::user(format!("Expect the query to be ARRAY<FLOAT> or ARRAY<DOUBLE>, not {}", query.data_type))
                    .hint("Name a column with vectors of the tables before it"),
                asked.span(),
            ));
        }
        let wanted = column.data_type.with_nullable(query.data_type.nullable);
        let query = self.functions().cast_if_needed(query, &wanted)?;
        let mut left = left;
        let query = match unaliased(&query.expr) {
            Expr::Column(c) => c.name.clone(),
            _ => {
                left = settle(self, left, vec![])?;
                let mut columns = identity(&left)?;
                let field = UniqueNames::of(left.schema()).take("$query");
                columns.push((field.clone(), query));
                left = project(left, columns)?;
                field
            }
        };
        let top_k = self.top_k(needed("TOP_K")?)?;
        let hint = match given.get("CONFIG") {
            Some(config) => hint_of(&map_of_texts(self, config, "CONFIG")?.unwrap_or_default(), config.span())?,
            None => LookupHint::default(),
        };
        let (right, right_scope) = self.aliased(right, &[], alias)?;
        let (right, right_scope) = beside(&left, right, right_scope)?;
        let condition = match constraint {
            JoinConstraint::None => None,
            JoinConstraint::On(e) => {
                let scope = side_by_side(&left_scope, &right_scope, JoinKind::Inner);
                Some(ExpressionBinder::new(self.functions(), &scope, "ON").condition(e)?.expr).filter(|e| !is_true(e))
            }
            _ => return Err(unsupported("USING with VECTOR_SEARCH", span)),
        };
        if kind == JoinKind::Left && condition.is_some() {
            return Err(unsupported_with("a condition of LEFT JOIN VECTOR_SEARCH", span, "Only ON TRUE is possible"));
        }
        let search = Some(Search { query, of: VectorSearch { column: searched, top_k, score } });
        let plan = join(left, right, kind, condition, JoinFlavour::Lookup { hint, search, settled: false })?;
        let mut scope = side_by_side(&left_scope, &right_scope, kind);
        scope.follow(&plan)?;
        debug_assert!(columns_of(plan.schema()).is_ok());
        Ok((plan, scope))
    }

    fn top_k(&self, e: &Ast) -> Result<usize> {
        let bound = self.expression(e, &[])?;
        match unaliased(&bound.expr) {
            Expr::Literal(ScalarValue::Int32(Some(n)), _) if *n > 0 => Ok(*n as usize),
            _ => Err(at(
                Error::user("Expect the argument TOP_K to be a positive INTEGER literal.")
                    .hint("Write for instance 10"),
                e.span(),
            )),
        }
    }
}

/// `TABLE t`
fn table_name(e: &Ast, span: Span) -> Result<Vec<Ident>> {
    if let Ast::Function(f) = e
        && name_text(&f.name) == TABLE_CALL
        && let FunctionArguments::List(list) = &f.args
        && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(name))] = list.args.as_slice()
    {
        match name {
            Ast::Identifier(id) => return Ok(vec![id.clone()]),
            Ast::CompoundIdentifier(ids) => return Ok(ids.clone()),
            _ => {}
        }
    }
    Err(at(Error::user(format!("the table that {FUNCTION} searches is a name, not {e}")).hint("Write TABLE t"), span))
}

fn is_vector(t: &TypeKind) -> bool {
    matches!(t, TypeKind::Array(element) if matches!(element.kind, TypeKind::Float | TypeKind::Double))
}

/// The configuration of a call, which says what the hint LOOKUP says of a table.
fn hint_of(config: &[(String, String)], span: Span) -> Result<LookupHint> {
    let mut hint = LookupHint::default();
    for (key, value) in config {
        let wrong = |hint: &str| at(Error::user(format!("'{value}' is no value of '{key}'")).hint(hint), span);
        match key.as_str() {
            "async" => hint.is_async = Some(value.parse().map_err(|_| wrong("Write true or false"))?),
            "output-mode" => {
                hint.allow_unordered = Some(match value.to_uppercase().as_str() {
                    "ORDERED" => false,
                    "ALLOW_UNORDERED" => true,
                    _ => return Err(wrong("Write ORDERED or ALLOW_UNORDERED")),
                });
            }
            "max-concurrent-operations" => {
                let capacity = value.parse().ok().filter(|n| *n > 0);
                hint.capacity = Some(capacity.ok_or_else(|| wrong("Write a positive number"))?);
            }
            "timeout" => {
                let timeout = flott_core::time_text::parse_duration(value).ok();
                hint.timeout = Some(timeout.ok_or_else(|| wrong("Write for instance '10 s'"))?);
            }
            other => {
                let known = ["async", "output-mode", "max-concurrent-operations", "timeout"];
                return Err(not_found(
                    format!("Unsupported option '{other}' of {FUNCTION}"),
                    other,
                    known,
                    "Its options",
                    span,
                ));
            }
        }
    }
    Ok(hint)
}
