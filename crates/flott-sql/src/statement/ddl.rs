//! CREATE TABLE, databases, catalogs, DROP.

use flott_connector::table::{CatalogTable, Column, ColumnKind};
use flott_core::LogicalType;
use flott_core::error::{Error, Result};
use flott_core::options::Options;
use flott_core::types::TimeAttribute;

use super::like::{self, Parts};
use super::place::{self, in_statement};
use super::{ExpressionResolver, SessionState, schema};
use crate::catalog::object::IfTaken;
use crate::catalog::{Database, Entry};
use crate::parser::ast::{AlterCatalog, ColumnDef, ColumnSpec, CreateTable, Name, ObjectKind, OptionList};

/// CREATE TABLE. `derived` are the columns of the query of a CREATE TABLE AS.
///
/// With IF NOT EXISTS a table that is there stays as it is: who runs the query of a CREATE TABLE AS asks before.
pub fn create_table(
    create: &CreateTable,
    state: &mut SessionState,
    resolver: &dyn ExpressionResolver,
    derived: Option<Vec<(String, LogicalType)>>,
) -> Result<()> {
    let at = |e: Error| {
        let place = place::of_column(&e, create).unwrap_or(create.name.position());
        if e.position().is_none() { e.at(place) } else { e }
    };
    table(create, state, resolver, derived).map_err(at)
}

fn table(
    create: &CreateTable,
    state: &mut SessionState,
    resolver: &dyn ExpressionResolver,
    derived: Option<Vec<(String, LogicalType)>>,
) -> Result<()> {
    let id = state.catalog.qualify(&create.name.texts())?;
    state.catalog.database(&id.catalog, &id.database)?;
    let columns = match derived {
        Some(derived) => derived_columns(&create.columns, derived)?,
        None => create.columns.iter().map(schema::column).collect::<Result<_>>()?,
    };
    let mut parts = Parts {
        columns,
        primary_key: schema::primary_key(create.primary_key.as_ref(), &create.columns.iter().collect::<Vec<_>>())?,
        watermark: create.watermark.as_ref().map(schema::watermark),
        partition_keys: create.partition_keys.iter().map(|k| k.value.clone()).collect(),
        distribution: create.distribution.as_ref().map(ToString::to_string),
        options: create.options.iter().cloned().collect(),
    };
    if let Some(clause) = &create.like {
        let (_, source) = state.catalog.table(&clause.source.texts()).map_err(|e| e.at(clause.source.position()))?;
        parts = like::merge(clause, source, parts)?;
    }
    if parts.columns.is_empty() {
        return Err(Error::user(format!("Table '{}' has no columns", id.object)).hint("Declare at least one column"));
    }
    let table = CatalogTable {
        schema: schema::resolve(parts.columns, parts.primary_key, parts.watermark, resolver)
            .map_err(|e| in_statement(e, create.columns.iter(), create.watermark.as_ref()))?,
        partition_keys: parts.partition_keys,
        options: parts.options,
        comment: create.comment.clone(),
        distribution: parts.distribution,
    };
    schema::check_partitions(&table)?;
    let columns = create.distribution.iter().flat_map(|d| &d.columns);
    if let Some(column) = columns.map(|c| &c.value).find(|c| !table.schema.physical().any(|p| p.name == **c)) {
        return Err(Error::user(format!(
            "Invalid bucket key '{column}'. A bucket key must reference a physical column."
        ))
        .with("column", column));
    }
    if create.must_exist && state.catalog.table(&create.name.texts()).is_err() {
        return Err(Error::user(format!("The table {id} to be replaced doesn't exist."))
            .at(create.name.position())
            .hint("CREATE TABLE .. AS and CREATE OR REPLACE TABLE .. AS make it"));
    }
    let taken = match (create.or_replace, create.if_not_exists) {
        (true, _) => IfTaken::Replace,
        (_, true) => IfTaken::Keep,
        _ => IfTaken::Fail,
    };
    state.catalog.create(id, Entry::Table(table), create.temporary, taken)?;
    Ok(())
}

/// The columns of a CREATE TABLE AS: names alone reorder the query's columns; else declared columns come first, and
/// one with the name of a query's column gives it another type.
fn derived_columns(declared: &[ColumnDef], derived: Vec<(String, LogicalType)>) -> Result<Vec<Column>> {
    let derived = derived.into_iter().map(|(n, t)| Column::physical(n, t.with_time_attribute(TimeAttribute::None)));
    let mut derived: Vec<Column> = derived.collect();
    if declared.is_empty() {
        return Ok(derived);
    }
    let names_only = declared.iter().filter(|d| d.spec == ColumnSpec::NameOnly).count();
    if names_only == 0 {
        let mut columns = declared.iter().map(schema::column).collect::<Result<Vec<_>>>()?;
        for column in derived {
            match columns.iter().find(|c| c.name == column.name) {
                None => columns.push(column),
                Some(c) if c.kind == ColumnKind::Physical => {
                    if column.data_type.nullable && !c.data_type.nullable {
                        return Err(Error::user(format!(
                            "Incompatible types for column '{}'. The query's column has type '{}', which may be NULL, \
                             while the target column has type '{}'.",
                            c.name, column.data_type, c.data_type
                        ))
                        .with("column", &c.name)
                        .hint("Leave NOT NULL out, or give the query's column a value with COALESCE"));
                    }
                }
                Some(c) => {
                    return Err(Error::user(format!(
                        "A column named '{0}' already exists in the source schema. Computed and virtual metadata \
                         columns cannot overwrite columns from source.",
                        c.name
                    ))
                    .with("column", &c.name));
                }
            }
        }
        return Ok(columns);
    }
    if names_only != declared.len() || declared.len() != derived.len() {
        return Err(Error::user(
            "The number of columns in the column list must match the number of columns in the source schema.",
        )
        .hint(format!("The query has the columns {}", schema::quoted(derived.iter().map(|c| &c.name)))));
    }
    let mut columns = vec![];
    for name in declared.iter().map(|d| &d.name.value) {
        let Some(index) = derived.iter().position(|c| c.name == *name) else {
            let message = format!("Column '{name}' not found in the source schema.");
            return Err(crate::catalog::missing(message, name, derived.iter().map(|c| c.name.as_str())));
        };
        columns.push(derived.remove(index));
    }
    Ok(columns)
}

fn one<'a>(name: &'a Name, what: &str) -> Result<&'a str> {
    match name.texts()[..] {
        [one] => Ok(one),
        _ => Err(Error::user(format!("'{name}' is not the name of a {what}")).at(name.position())),
    }
}

pub(super) fn create_catalog(
    name: &Name,
    if_not_exists: bool,
    comment: &Option<String>,
    options: &OptionList,
    state: &mut SessionState,
) -> Result<()> {
    let options: Options = options.iter().cloned().collect();
    let catalog = one(name, "catalog")?;
    state.catalog.create_catalog(catalog, comment.clone(), options, if_not_exists).map_err(|e| e.at(name.position()))
}

pub(super) fn alter_catalog(name: &Name, change: &AlterCatalog, state: &mut SessionState) -> Result<()> {
    let catalog = one(name, "catalog")?;
    let result = match change {
        AlterCatalog::Set(set) => {
            if set.iter().any(|(k, _)| k == "type") {
                return Err(Error::user("Changing catalog type is not supported.").at(name.position()));
            }
            state.catalog.alter_catalog(catalog, |o| set.iter().for_each(|(k, v)| o.set(k, v)))
        }
        AlterCatalog::Reset(keys) if keys.is_empty() => {
            Err(Error::user("ALTER CATALOG RESET does not support empty key"))
        }
        AlterCatalog::Reset(keys) if keys.iter().any(|k| k == "type") => {
            Err(Error::user("ALTER CATALOG RESET does not support changing 'type'"))
        }
        AlterCatalog::Reset(keys) => state.catalog.alter_catalog(catalog, |o| {
            for key in keys {
                o.remove(key);
            }
        }),
        AlterCatalog::Comment(comment) => state.catalog.comment_catalog(catalog, comment),
    };
    result.map_err(|e| e.at(name.position()))
}

pub(super) fn use_catalog(name: &Name, state: &mut SessionState) -> Result<()> {
    state.catalog.use_catalog(one(name, "catalog")?).map_err(|e| e.at(name.position()))
}

pub(super) fn create_database(
    name: &Name,
    if_not_exists: bool,
    comment: &Option<String>,
    options: &OptionList,
    state: &mut SessionState,
) -> Result<()> {
    let options = options.iter().cloned().collect();
    let database = Database { comment: comment.clone(), options, ..Database::default() };
    state.catalog.create_database(&name.texts(), database, if_not_exists).map_err(|e| e.at(name.position()))
}

pub(super) fn alter_database(name: &Name, options: &OptionList, state: &mut SessionState) -> Result<()> {
    let set = |o: &mut Options| options.iter().for_each(|(k, v)| o.set(k, v));
    state.catalog.alter_database(&name.texts(), set).map_err(|e| e.at(name.position()))
}

pub(super) fn drop_object(
    kind: ObjectKind,
    name: &Name,
    temporary: bool,
    if_exists: bool,
    cascade: bool,
    state: &mut SessionState,
) -> Result<()> {
    let catalog = &mut state.catalog;
    let parts = name.texts();
    let result = match kind {
        ObjectKind::Table => {
            catalog.qualify(&parts).and_then(|id| catalog.drop_object(&id, "table", temporary, if_exists))
        }
        ObjectKind::View => {
            catalog.qualify(&parts).and_then(|id| catalog.drop_object(&id, "view", temporary, if_exists))
        }
        ObjectKind::Database => catalog.drop_database(&parts, if_exists, cascade),
        ObjectKind::Catalog => one(name, "catalog").and_then(|c| catalog.drop_catalog(c, if_exists)),
        ObjectKind::Function => return Err(Error::internal("a function is no object of a catalog")),
    };
    result.map_err(|e| e.at(name.position()))
}
