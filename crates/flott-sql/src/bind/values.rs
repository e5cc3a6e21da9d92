//! VALUES: rows that are written.

use std::sync::Arc;

use datafusion_common::DFSchema;
use datafusion_expr::logical_plan::{EmptyRelation, Union, Values as ValuesNode};
use datafusion_expr::{Expr, LogicalPlan};
use flott_core::{Error, LogicalType, Result};
use sqlparser::ast::{self, Expr as Ast, Spanned};

use super::expression::ExpressionBinder;
use super::refuse::at;
use super::{Binder, Scope, Typed, plan_schema, project};

impl Binder<'_> {
    /// VALUES: every column has the least common type of its rows.
    pub(super) fn values(&self, values: &ast::Values) -> Result<LogicalPlan> {
        let ast::Values { explicit_row: _, value_keyword: _, rows } = values;
        let scope = Scope::default();
        let mut bound: Vec<Vec<Typed>> = vec![];
        for row in rows {
            let cells = row_values(&row.content)
                .into_iter()
                .map(|e| ExpressionBinder::new(&self.functions, &scope, "VALUES").bind(e))
                .collect::<Result<Vec<_>>>()?;
            if bound.first().is_some_and(|first| first.len() != cells.len()) {
                return Err(at(
                    Error::user("Values passed to VALUES operator must have compatible types")
                        .hint("Every row must have the same number of values"),
                    values.span(),
                ));
            }
            bound.push(cells);
        }
        let Some(first) = bound.first() else { return Err(Error::user("VALUES without a row")) };
        let mut types = vec![];
        for i in 0..first.len() {
            let of_rows: Vec<LogicalType> = bound.iter().map(|r| r[i].data_type.clone()).collect();
            let common = self.functions.least_common_type(&of_rows).ok_or_else(|| {
                at(
                    Error::user("Values passed to VALUES operator must have compatible types")
                        .hint(format!("CAST the values of column {} to one type", i + 1)),
                    values.span(),
                )
            })?;
            types.push(common);
        }
        let names: Vec<String> = (0..types.len()).map(|i| format!("EXPR${i}")).collect();
        let schema = plan_schema(names.iter().map(String::as_str).zip(&types))?;
        let values = bound
            .into_iter()
            .map(|row| {
                row.into_iter()
                    .zip(&types)
                    .map(|(v, t)| Ok(self.functions.cast_if_needed(v, t)?.expr))
                    .collect::<Result<Vec<Expr>>>()
            })
            .collect::<Result<Vec<_>>>()?;
        if values.iter().flatten().any(Expr::is_volatile) {
            return rows_computed(values, names, types, schema);
        }
        Ok(LogicalPlan::Values(ValuesNode { schema, values }))
    }
}

/// The values of a row of VALUES: `(ROW(1, 'a'))` is one of two values, as `ROW(1, 'a')` is.
pub(crate) fn row_values(row: &[Ast]) -> Vec<&Ast> {
    if let [Ast::Function(f)] = row
        && f.name.to_string().eq_ignore_ascii_case("ROW")
        && let ast::FunctionArguments::List(list) = &f.args
        && let Some(values) = list
            .args
            .iter()
            .map(|a| match a {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => Some(e),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
        && !values.is_empty()
    {
        return values;
    }
    row.iter().collect()
}

/// VALUES that are not known before the job runs (of the clock, or of chance): each row a projection, as in Flink.
fn rows_computed(
    rows: Vec<Vec<Expr>>,
    names: Vec<String>,
    types: Vec<LogicalType>,
    schema: datafusion_common::DFSchemaRef,
) -> Result<LogicalPlan> {
    let mut inputs = vec![];
    for row in rows {
        let typed = row.into_iter().zip(&types).map(|(expr, t)| Typed { expr, data_type: t.clone() });
        inputs.push(Arc::new(project(one_row(), names.iter().cloned().zip(typed).collect())?));
    }
    Ok(match <[Arc<LogicalPlan>; 1]>::try_from(inputs) {
        Ok([one]) => Arc::unwrap_or_clone(one),
        Err(inputs) => LogicalPlan::Union(Union { inputs, schema }),
    })
}

/// One row without columns.
pub(crate) fn one_row() -> LogicalPlan {
    let schema = Arc::new(DFSchema::empty());
    LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, schema })
}
