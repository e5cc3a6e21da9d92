//! ALTER TABLE.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::ControlFlow;

use flott_connector::table::{CatalogTable, Column, ColumnKind, ObjectIdentifier};
use flott_core::error::{Error, Result};
use sqlparser::ast::{Expr, Ident, UnaryOperator, Value, Visit, Visitor};

use super::place::in_statement;
use super::{ExpressionResolver, SessionState, schema};
use crate::catalog::{CatalogPartitionSpec, Entry, missing};
use crate::parser::ast::{
    AlterTable, ColumnDef, ColumnPlace, ColumnSpec, Distribution, Name, PrimaryKeyDef, WatermarkDef, position,
};
use crate::parser::parse_expression;

/// The full name of a rename's target: what it does not say is taken from the old name.
pub(super) fn renamed(from: &ObjectIdentifier, to: &Name, state: &SessionState) -> Result<ObjectIdentifier> {
    match to.texts()[..] {
        [object] => Ok(ObjectIdentifier::new(&from.catalog, &from.database, object)),
        [database, object] => Ok(ObjectIdentifier::new(&from.catalog, database, object)),
        ref parts => state.catalog.qualify(parts),
    }
}

/// `(k = literal, ..)` with the literals as texts, as a catalog keeps them.
pub(super) fn partition_spec(spec: &[(Ident, Expr)]) -> Result<CatalogPartitionSpec> {
    let mut out: CatalogPartitionSpec = vec![];
    for (key, value) in spec {
        let place = position(key.span.start);
        let text = match value {
            Expr::Value(v) => match &v.value {
                Value::SingleQuotedString(s) => s.clone(),
                Value::Null => "__DEFAULT_PARTITION__".to_string(),
                other => other.to_string(),
            },
            Expr::TypedString(t) => match &t.value.value {
                Value::SingleQuotedString(s) => s.clone(),
                other => other.to_string(),
            },
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } if matches!(**expr, Expr::Value(_)) => {
                value.to_string().replace(' ', "")
            }
            _ => {
                return Err(Error::user(format!("the value of partition key '{}' must be a literal", key.value))
                    .at(place)
                    .hint("Write for instance PARTITION (dt = '2024-01-01', hour = 8)"));
            }
        };
        if out.iter().any(|(k, _)| *k == key.value) {
            return Err(Error::user(format!("partition key '{}' is given twice", key.value))
                .at(place)
                .hint("Give it once"));
        }
        out.push((key.value.clone(), text));
    }
    Ok(out)
}

fn failed(message: String) -> Error {
    Error::user(format!("Failed to execute ALTER TABLE statement. {message}"))
}

pub(super) fn alter_table(
    name: &Name,
    if_exists: bool,
    change: &AlterTable,
    state: &mut SessionState,
    resolver: &dyn ExpressionResolver,
) -> Result<()> {
    let at = |e: Error| if e.position().is_none() { e.at(name.position()) } else { e };
    let id = state.catalog.qualify(&name.texts()).map_err(at)?;
    if if_exists && state.catalog.entry(&id).is_none() {
        return Ok(());
    }
    let (_, table) = state.catalog.table(&name.texts()).map_err(at)?;
    if state.catalog.is_temporary(&id) {
        return Err(at(Error::user(format!("Table {id} is a temporary table, which cannot be altered"))
            .hint("Drop it and create it anew")));
    }
    if let AlterTable::Rename(to) = change {
        let to_id = renamed(&id, to, state)?;
        return state.catalog.rename(&id, &to_id).map_err(|e| e.at(to.position()));
    }
    let table = table.clone();
    match change {
        AlterTable::AddPartitions { if_not_exists, partitions } => {
            let partitions = partitions
                .iter()
                .map(|(spec, options)| Ok((partition_spec(spec)?, options.iter().cloned().collect())))
                .collect::<Result<Vec<_>>>()?;
            return state.catalog.add_partitions(&id, &table, &partitions, *if_not_exists).map_err(at);
        }
        AlterTable::DropPartitions { if_exists, partitions } => {
            let partitions = partitions.iter().map(|spec| partition_spec(spec)).collect::<Result<Vec<_>>>()?;
            return state.catalog.drop_partitions(&id, &table, &partitions, *if_exists).map_err(at);
        }
        _ => {}
    }
    let table = altered(table, change, resolver).map_err(at)?;
    state.catalog.replace(&id, Entry::Table(table))
}

fn altered(mut table: CatalogTable, change: &AlterTable, resolver: &dyn ExpressionResolver) -> Result<CatalogTable> {
    match change {
        AlterTable::Rename(_) | AlterTable::AddPartitions { .. } | AlterTable::DropPartitions { .. } => {
            return Err(Error::internal("a change of a name or of partitions reached that of a table's parts"));
        }
        AlterTable::Set(options) => {
            if options.is_empty() {
                return Err(Error::user("ALTER TABLE SET does not support empty options"));
            }
            options.iter().for_each(|(k, v)| table.options.set(k, v));
            return Ok(table);
        }
        AlterTable::Reset(keys) => {
            if keys.is_empty() {
                return Err(Error::user("ALTER TABLE RESET does not support empty key"));
            }
            if keys.iter().any(|k| k == "connector") {
                return Err(Error::user("ALTER TABLE RESET does not support changing 'connector'")
                    .hint("ALTER TABLE .. SET changes it, DROP TABLE and CREATE TABLE make the table anew"));
            }
            for key in keys {
                table.options.remove(key);
            }
            return Ok(table);
        }
        AlterTable::Schema { modify, columns, primary_key, watermark } => {
            set_columns(&mut table, *modify, columns)?;
            let defs: Vec<&ColumnDef> = columns.iter().map(|c| &c.0).collect();
            set_key(&mut table, *modify, primary_key.as_ref(), &defs)?;
            set_watermark(&mut table, *modify, watermark.as_ref())?;
        }
        AlterTable::DropColumns(names) => drop_columns(&mut table, names)?,
        AlterTable::DropKey(name) => {
            let key = table.schema.primary_key.take();
            let key = key.ok_or_else(|| failed("The base table does not define any primary key.".into()))?;
            if let Some(name) = name.as_ref().filter(|n| n.value != key.name) {
                return Err(failed(format!(
                    "The base table does not define a primary key constraint named '{}'. Available constraint name: \
                     ['{}'].",
                    name.value, key.name
                ))
                .at(position(name.span.start)));
            }
        }
        AlterTable::DropWatermark => {
            if table.schema.watermark.take().is_none() {
                return Err(failed("The base table does not define any watermark strategy.".into()));
            }
        }
        AlterTable::RenameColumn(from, to) => rename_column(&mut table, from, to)?,
        AlterTable::Distribution { modify, distribution } => set_distribution(&mut table, *modify, distribution)?,
        AlterTable::DropDistribution => {
            if table.distribution.take().is_none() {
                return Err(failed("Table does not have a distribution to drop.".into()));
            }
        }
    }
    let old = table.schema;
    table.schema =
        schema::resolve(old.columns, old.primary_key, old.watermark, resolver).map_err(|e| match change {
            AlterTable::Schema { columns, watermark, .. } => {
                in_statement(e, columns.iter().map(|c| &c.0), watermark.as_ref())
            }
            _ => in_statement(e, std::iter::empty(), None),
        })?;
    schema::check_partitions(&table)?;
    Ok(table)
}

fn place(columns: &mut Vec<Column>, column: Column, place: &ColumnPlace, default: usize) -> Result<()> {
    let index = match place {
        ColumnPlace::Last => default,
        ColumnPlace::First => 0,
        ColumnPlace::After(other) => find(columns, other, "reference column by AFTER")? + 1,
    };
    columns.insert(index.min(columns.len()), column);
    Ok(())
}

fn find(columns: &[Column], name: &Ident, what: &str) -> Result<usize> {
    columns.iter().position(|c| c.name == name.value).ok_or_else(|| {
        let message = format!(
            "Failed to execute ALTER TABLE statement. The {what} `{}` does not exist in the table.",
            name.value
        );
        missing(message, &name.value, columns.iter().map(|c| c.name.as_str()))
            .with("column", &name.value)
            .at(position(name.span.start))
    })
}

fn set_columns(table: &mut CatalogTable, modify: bool, changes: &[(ColumnDef, ColumnPlace)]) -> Result<()> {
    let columns = &mut table.schema.columns;
    let mut seen = BTreeSet::new();
    for (def, at) in changes {
        let name = &def.name.value;
        if !seen.insert(name) {
            return Err(failed(format!("Encounter duplicate column `{name}`.")).with("column", name));
        }
        if def.spec == ColumnSpec::NameOnly {
            schema::column(def)?;
        }
        if modify {
            let index = find(columns, &def.name, "column")?;
            let old = columns.remove(index);
            let mut column = schema::column(def)?;
            column.comment = column.comment.or(old.comment);
            place(columns, column, at, index)?;
        } else {
            if columns.iter().any(|c| c.name == *name) {
                return Err(failed(format!("Try to add a column `{name}` which already exists in the table."))
                    .with("column", name)
                    .at(position(def.name.span.start)));
            }
            let last = columns.len();
            place(columns, schema::column(def)?, at, last)?;
        }
    }
    Ok(())
}

fn set_key(table: &mut CatalogTable, modify: bool, key: Option<&PrimaryKeyDef>, defs: &[&ColumnDef]) -> Result<()> {
    let Some(new) = schema::primary_key(key, defs)? else { return Ok(()) };
    match (&table.schema.primary_key, modify) {
        (Some(old), false) => Err(failed(format!(
            "The base table has already defined the primary key constraint [{}]. You might want to drop it before \
             adding a new one.",
            backticked(&old.columns)
        ))),
        (None, true) => Err(failed(
            "The base table does not define any primary key constraint. You might want to add a new one.".into(),
        )),
        _ => {
            table.schema.primary_key = Some(new);
            Ok(())
        }
    }
}

fn set_watermark(table: &mut CatalogTable, modify: bool, watermark: Option<&WatermarkDef>) -> Result<()> {
    let Some(new) = watermark else { return Ok(()) };
    match (&table.schema.watermark, modify) {
        (Some(old), false) => Err(failed(format!(
            "The base table has already defined the watermark strategy `{}` AS {}. You might want to drop it before \
             adding a new one.",
            old.rowtime, old.expression
        ))),
        (None, true) => {
            Err(failed("The base table does not define any watermark. You might want to add a new one.".into()))
        }
        _ => {
            table.schema.watermark = Some(schema::watermark(new));
            Ok(())
        }
    }
}

fn set_distribution(table: &mut CatalogTable, modify: bool, new: &Distribution) -> Result<()> {
    match (&table.distribution, modify) {
        (Some(_), false) => Err(failed(
            "The base table has already defined the distribution. You might want to modify it or drop it first.".into(),
        )),
        (None, true) => {
            Err(failed("The base table does not define any distribution. You might want to add a new one.".into()))
        }
        _ => {
            for column in &new.columns {
                find(&table.schema.columns, column, "column")?;
            }
            table.distribution = Some(new.to_string());
            Ok(())
        }
    }
}

fn drop_columns(table: &mut CatalogTable, names: &[Ident]) -> Result<()> {
    let dropped: BTreeSet<&str> = names.iter().map(|n| n.value.as_str()).collect();
    if dropped.len() != names.len() {
        return Err(failed("A column is named twice.".into()));
    }
    for name in names {
        find(&table.schema.columns, name, "column")?;
        if table.schema.primary_key.as_ref().is_some_and(|k| k.columns.contains(&name.value)) {
            return Err(failed(format!("The column `{}` is used as the primary key.", name.value))
                .with("column", &name.value)
                .at(position(name.span.start)));
        }
        refuse_used(table, name, &dropped)?;
    }
    table.schema.columns.retain(|c| !dropped.contains(c.name.as_str()));
    if table.schema.columns.is_empty() {
        return Err(failed("A table must keep at least one column.".into()));
    }
    Ok(())
}

fn rename_column(table: &mut CatalogTable, from: &Ident, to: &Ident) -> Result<()> {
    let index = find(&table.schema.columns, from, "column")?;
    if table.schema.columns.iter().any(|c| c.name == to.value) {
        return Err(failed(format!("The column `{}` already existed in table schema.", to.value))
            .with("column", &to.value)
            .at(position(to.span.start)));
    }
    refuse_used(table, from, &BTreeSet::new())?;
    table.schema.columns[index].name = to.value.clone();
    let key = table.schema.primary_key.iter_mut().flat_map(|k| &mut k.columns);
    key.filter(|c| **c == from.value).for_each(|c| *c = to.value.clone());
    Ok(())
}

/// An error where computed columns that stay, the partitions, the distribution or the watermark use a column.
fn refuse_used(table: &CatalogTable, name: &Ident, dropped: &BTreeSet<&str>) -> Result<()> {
    let column = &name.value;
    let refuse = |why: String| {
        let error = failed(format!("The column `{column}` is {why}.")).with("column", column);
        Err(error.at(position(name.span.start)))
    };
    let mut users = vec![];
    for other in table.schema.columns.iter().filter(|c| !dropped.contains(c.name.as_str())) {
        if let ColumnKind::Computed { expression } = &other.kind
            && columns_in(expression)?.contains(column)
        {
            users.push(other.name.clone());
        }
    }
    if !users.is_empty() {
        return refuse(format!("referenced by computed column {}", backticked(&users)));
    }
    if table.partition_keys.contains(column) {
        return refuse("used as the partition keys".into());
    }
    if table.distribution.as_ref().is_some_and(|d| d.contains(&backticked(std::slice::from_ref(column)))) {
        return refuse("used as a distribution key".into());
    }
    if let Some(watermark) = &table.schema.watermark
        && (watermark.rowtime == *column || columns_in(&watermark.expression)?.contains(column))
    {
        return refuse("referenced by watermark expression".into());
    }
    Ok(())
}

fn backticked(names: &[String]) -> String {
    names.iter().map(|n| format!("`{}`", n.replace('`', "``"))).collect::<Vec<_>>().join(", ")
}

/// The names of columns that an expression reads.
pub(super) fn columns_in(text: &str) -> Result<BTreeSet<String>> {
    struct Names(BTreeSet<String>);
    impl Visitor for Names {
        type Break = Infallible;
        fn pre_visit_expr(&mut self, e: &Expr) -> ControlFlow<Infallible> {
            match e {
                Expr::Identifier(name) => self.0.extend([name.value.clone()]),
                Expr::CompoundIdentifier(path) => self.0.extend(path.first().map(|p| p.value.clone())),
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(BTreeSet::new());
    let ControlFlow::Continue(()) = parse_expression(text)?.visit(&mut names);
    Ok(names.0)
}
