//! From columns, a key and a watermark to a resolved schema, with the checks that all DDL shares.

use std::collections::BTreeSet;

use flott_connector::table::{CatalogTable, Column, ColumnKind, PrimaryKey, ResolvedSchema, WatermarkSpec};
use flott_core::error::{Error, Result};
use flott_core::types::{LogicalType, TimeAttribute, TypeKind};

use super::ExpressionResolver;
use super::place::{COMPUTED_COLUMN, WATERMARK};
use crate::catalog::missing;
use crate::parser::ast::{ColumnDef, ColumnSpec, PrimaryKeyDef, WatermarkDef};

/// The finest precision that a rowtime column may have.
const ROWTIME_PRECISION_MAX: u8 = 3;

/// `'a', 'b'`.
pub(super) fn quoted(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    names.into_iter().map(|n| format!("'{}'", n.as_ref())).collect::<Vec<_>>().join(", ")
}

/// A column as the DDL has it. A computed one has no type yet.
pub(super) fn column(def: &ColumnDef) -> Result<Column> {
    let (data_type, kind) = match &def.spec {
        ColumnSpec::Physical(t) => (t.clone(), ColumnKind::Physical),
        ColumnSpec::Computed(e) => {
            (LogicalType::from(TypeKind::Null), ColumnKind::Computed { expression: e.text.clone() })
        }
        ColumnSpec::Metadata { data_type, key, is_virtual } => {
            (data_type.clone(), ColumnKind::Metadata { key: key.clone(), is_virtual: *is_virtual })
        }
        ColumnSpec::NameOnly => {
            return Err(Error::user(format!("Column '{}' has no type", def.name.value))
                .with("column", &def.name.value)
                .at(crate::parser::ast::position(def.name.span.start))
                .hint("Only the column list of a CREATE TABLE .. AS may hold names alone"));
        }
    };
    Ok(Column { name: def.name.value.clone(), data_type, kind, comment: def.comment.clone() })
}

/// The key of a statement: a constraint, or PRIMARY KEY behind columns.
pub(super) fn primary_key(constraint: Option<&PrimaryKeyDef>, columns: &[&ColumnDef]) -> Result<Option<PrimaryKey>> {
    let inline: Vec<&&ColumnDef> = columns.iter().filter(|c| c.primary_key).collect();
    if inline.len() + usize::from(constraint.is_some()) > 1 {
        return Err(Error::user("Duplicate primary key definition")
            .hint("A key of several columns is written PRIMARY KEY (a, b) NOT ENFORCED"));
    }
    let (name, columns) = match constraint {
        Some(c) => (c.name.clone(), c.columns.iter().map(|c| c.value.clone()).collect()),
        None => match inline[..] {
            [] => return Ok(None),
            [column, ..] => (column.constraint.clone(), vec![column.name.value.clone()]),
        },
    };
    Ok(Some(PrimaryKey { name: name.unwrap_or_else(|| format!("PK_{}", columns.join("_"))), columns }))
}

/// The watermark of a statement.
pub(super) fn watermark(def: &WatermarkDef) -> WatermarkSpec {
    WatermarkSpec { rowtime: def.column.to_string(), expression: def.expression.text.clone() }
}

/// Checks everything, types computed columns and marks the rowtime column.
pub(super) fn resolve(
    mut columns: Vec<Column>,
    primary_key: Option<PrimaryKey>,
    watermark: Option<WatermarkSpec>,
    resolver: &dyn ExpressionResolver,
) -> Result<ResolvedSchema> {
    check_names(&columns)?;
    if let Some(key) = &primary_key {
        make_key(&mut columns, key)?;
    }
    for column in &mut columns {
        if !matches!(column.kind, ColumnKind::Computed { .. }) {
            column.data_type = column.data_type.with_time_attribute(TimeAttribute::None);
        }
    }
    let inputs: Vec<(String, LogicalType)> = typed(columns.iter().filter(|c| !is_computed(c)));
    for column in &mut columns {
        if let ColumnKind::Computed { expression } = &column.kind {
            let resolved = resolver.resolve(expression, &inputs);
            column.data_type = resolved.map_err(|e| e.with(COMPUTED_COLUMN, &column.name))?;
            if column.data_type.kind == TypeKind::Null {
                return Err(Error::user(format!("The type of computed column '{}' is unknown", column.name))
                    .with("column", &column.name)
                    .hint("CAST the NULL to a type"));
            }
        }
    }
    if let Some(watermark) = &watermark {
        mark_rowtime(&mut columns, watermark, resolver)?;
    }
    Ok(ResolvedSchema { columns, watermark, primary_key })
}

pub(super) fn is_computed(column: &Column) -> bool {
    matches!(column.kind, ColumnKind::Computed { .. })
}

pub(super) fn typed<'a>(columns: impl Iterator<Item = &'a Column>) -> Vec<(String, LogicalType)> {
    columns.map(|c| (c.name.clone(), c.data_type.clone())).collect()
}

fn check_names(columns: &[Column]) -> Result<()> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> = columns.iter().map(|c| c.name.as_str()).filter(|n| !seen.insert(*n)).collect();
    if let Some(first) = twice.iter().next() {
        let all: Vec<&str> = twice.iter().copied().collect();
        return Err(Error::user(format!(
            "Schema must not contain duplicate column names. Found duplicates: [{}]",
            all.join(", ")
        ))
        .with("column", first));
    }
    if let Some(column) = columns.iter().find(|c| c.name.trim().is_empty()) {
        return Err(Error::user("A column's name must not be empty").with("column", &column.name));
    }
    Ok(())
}

fn make_key(columns: &mut [Column], key: &PrimaryKey) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in &key.columns {
        if !seen.insert(name) {
            return Err(Error::user(format!("A primary key must not contain duplicate columns. Found: [{name}]"))
                .with("column", name));
        }
        let wrong = format!("Invalid primary key '{}'.", key.name);
        match columns.iter_mut().find(|c| c.name == *name) {
            Some(column) if column.kind == ColumnKind::Physical => {
                column.data_type = column.data_type.with_nullable(false)
            }
            Some(_) => {
                return Err(Error::user(format!("{wrong} Column '{name}' is not a physical column."))
                    .with("column", name)
                    .hint("A PRIMARY KEY constraint must be declared on physical columns"));
            }
            None => {
                let message = format!("{wrong} Column '{name}' does not exist.");
                return Err(missing(message, name, columns.iter().map(|c| c.name.as_str())).with("column", name));
            }
        }
    }
    Ok(())
}

fn mark_rowtime(columns: &mut [Column], spec: &WatermarkSpec, resolver: &dyn ExpressionResolver) -> Result<()> {
    let inputs = typed(columns.iter());
    let Some(index) = columns.iter().position(|c| c.name == spec.rowtime) else {
        let message = format!(
            "Invalid column name '{}' for rowtime attribute in watermark declaration. Available columns are: [{}]",
            spec.rowtime,
            quoted(inputs.iter().map(|c| &c.0))
        );
        let error = missing(message, &spec.rowtime, inputs.iter().map(|c| c.0.as_str())).with("column", &spec.rowtime);
        let nested = spec.rowtime.split_once('.').is_some_and(|(first, _)| inputs.iter().any(|c| c.0 == first));
        return Err(if nested {
            error.hint("A nested field cannot be the rowtime: add a computed column `ts AS field.ts`")
        } else {
            error
        });
    };
    let column = &mut columns[index];
    if column.data_type.kind.time_attribute() == TimeAttribute::Proctime {
        return Err(Error::user("A watermark can not be defined for a processing-time attribute column.")
            .with("column", &column.name));
    }
    if !is_rowtime_type(&column.data_type) {
        return Err(Error::user(format!(
            "Invalid data type of time field for watermark definition. The field must be of type TIMESTAMP(p) or \
             TIMESTAMP_LTZ(p), the supported precision 'p' is from 0 to {ROWTIME_PRECISION_MAX}, but the time field \
             type is {}",
            column.data_type
        ))
        .with("column", &column.name)
        .hint(format!(
            "Add a computed column, such as `rowtime AS CAST(`{}` AS TIMESTAMP(3))` or TO_TIMESTAMP_LTZ(..), for it",
            column.name
        )));
    }
    if is_source_watermark(&spec.expression) {
        // The source knows it: there is nothing to compute.
        column.data_type = column.data_type.with_time_attribute(TimeAttribute::Rowtime);
        return Ok(());
    }
    let result = resolver.resolve(&spec.expression, &inputs).map_err(|e| e.with(WATERMARK, &spec.rowtime))?;
    if !is_rowtime_type(&result) {
        return Err(Error::user(format!(
            "Invalid data type of expression for watermark definition. The expression must be of type TIMESTAMP(p) or \
             TIMESTAMP_LTZ(p), the supported precision 'p' is from 0 to {ROWTIME_PRECISION_MAX}, but it is {result}"
        ))
        .with("column", &column.name)
        .hint(format!("Write WATERMARK FOR {0} AS {0} - INTERVAL '5' SECOND", column.name)));
    }
    if std::mem::discriminant(&result.kind) != std::mem::discriminant(&column.data_type.kind) {
        return Err(Error::user(format!(
            "The watermark declaration's output data type '{result}' is different from the time field's data type '{}'.",
            column.data_type
        ))
        .with("column", &column.name)
        .hint(format!("Write WATERMARK FOR {0} AS {0} - INTERVAL '5' SECOND", column.name)));
    }
    column.data_type = column.data_type.with_time_attribute(TimeAttribute::Rowtime);
    Ok(())
}

/// `SOURCE_WATERMARK()`, which is no function that an expression may call.
fn is_source_watermark(expression: &str) -> bool {
    let plain: String = expression.chars().filter(|c| !c.is_whitespace() && *c != '`').collect();
    plain.eq_ignore_ascii_case("SOURCE_WATERMARK()")
}

fn is_rowtime_type(t: &LogicalType) -> bool {
    matches!(t.kind, TypeKind::Timestamp(p, _) | TypeKind::TimestampLtz(p, _) if p <= ROWTIME_PRECISION_MAX)
}

/// Checks that the keys of partitions are physical columns.
pub(super) fn check_partitions(table: &CatalogTable) -> Result<()> {
    for key in &table.partition_keys {
        if !table.schema.physical().any(|c| c.name == *key) {
            let names: Vec<&str> = table.schema.physical().map(|c| c.name.as_str()).collect();
            let message = format!(
                "Invalid partition key '{key}'. A partition key must reference a physical column in the schema. \
                 Available columns are: [{}]",
                names.join(", ")
            );
            return Err(missing(message, key, names).with("column", key));
        }
    }
    Ok(())
}
