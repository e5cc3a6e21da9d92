//! Names that a query gives to the columns of a plan.

use datafusion_expr::LogicalPlan;
use flott_core::{Error, Result};
use sqlparser::ast;

use super::refuse::{At, at, refuse_if};
use super::{Binder, Typed, column, columns_of, project};

impl Binder<'_> {
    /// A plan under the column names of an alias: `AS t (a, b)`.
    pub(crate) fn renamed(&self, plan: LogicalPlan, alias: &ast::TableAlias) -> Result<LogicalPlan> {
        let ast::TableAlias { explicit: _, name, columns, at: alias_at } = alias;
        refuse_if(alias_at.is_some(), "AT after an alias", name.span)?;
        refuse_text(name)?;
        if columns.is_empty() {
            return Ok(plan);
        }
        refuse_if(columns.iter().any(|c| c.data_type.is_some()), "types in an alias' column list", name.span)?;
        let names: Vec<String> = columns.iter().map(|c| c.name.value.clone()).collect();
        rename_columns(plan, &names).at_span(name.span)
    }
}

/// `SELECT a 'b'`: the parser takes a text for a name.
pub(super) fn refuse_text(alias: &ast::Ident) -> Result<()> {
    if alias.quote_style == Some('\'') {
        return Err(at(
            Error::user(format!("the text '{}' cannot stand here", alias.value))
                .hint("Names stand in backticks; texts are put together with ||"),
            alias.span,
        ));
    }
    Ok(())
}

/// A plan with other column names.
pub(crate) fn rename_columns(plan: LogicalPlan, names: &[String]) -> Result<LogicalPlan> {
    let columns = columns_of(plan.schema())?;
    if columns.len() != names.len() {
        return Err(Error::user(format!("{} names for {} columns", names.len(), columns.len()))
            .hint("Name every column, or none"));
    }
    if let Some(twice) = names.iter().enumerate().find(|(i, n)| names[..*i].contains(n)) {
        return Err(Error::user(format!("Duplicate name '{}' in column list", twice.1)).hint("Rename one of them"));
    }
    let columns = columns
        .into_iter()
        .zip(names)
        .map(|((field, data_type), name)| (name.clone(), Typed { expr: column(&field), data_type }))
        .collect();
    project(plan, columns)
}
