//! `CREATE TABLE .. LIKE`: what comes from the other table.

use flott_connector::table::{CatalogTable, Column, ColumnKind, PrimaryKey, WatermarkSpec};
use flott_core::error::{Error, Result};
use flott_core::options::Options;
use flott_core::types::TimeAttribute;

use crate::parser::ast::{LikeClause, LikeFeature, LikeStrategy};

/// The parts of a table before they are resolved.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) columns: Vec<Column>,
    pub(super) primary_key: Option<PrimaryKey>,
    pub(super) watermark: Option<WatermarkSpec>,
    pub(super) partition_keys: Vec<String>,
    pub(super) distribution: Option<String>,
    pub(super) options: Options,
}

/// What is done with a feature: as said for it, else as said for ALL, else the default.
fn strategy(clause: &LikeClause, feature: LikeFeature) -> LikeStrategy {
    let said = |f: LikeFeature| clause.options.iter().find(|o| o.1 == f).map(|o| o.0);
    said(feature).or_else(|| said(LikeFeature::All)).unwrap_or(match feature {
        LikeFeature::Options => LikeStrategy::Overwriting,
        _ => LikeStrategy::Including,
    })
}

/// A feature is named once; which of them can be OVERWRITING the parser has checked.
fn check(clause: &LikeClause) -> Result<()> {
    for (i, (_, feature)) in clause.options.iter().enumerate() {
        if clause.options[..i].iter().any(|o| o.1 == *feature) {
            return Err(Error::user("Each like option feature can be declared only once.")
                .with("feature", format!("{feature:?}").to_uppercase())
                .at(clause.source.position()));
        }
    }
    Ok(())
}

/// Merges: the other table's columns first, then those of the statement.
pub(super) fn merge(clause: &LikeClause, source: &CatalogTable, own: Parts) -> Result<Parts> {
    use LikeFeature::{Constraints, Distribution, Generated, Metadata, Partitions, Watermarks};
    check(clause)?;
    let takes = |feature| strategy(clause, feature) != LikeStrategy::Excluding;
    let overwrites = |feature| strategy(clause, feature) == LikeStrategy::Overwriting;
    let wrong = |message: String| Err(Error::user(message).with("table", &clause.source).at(clause.source.position()));

    let mut columns: Vec<Column> = source.schema.columns.clone();
    columns.retain(|c| match c.kind {
        ColumnKind::Physical => true,
        ColumnKind::Computed { .. } => takes(Generated),
        ColumnKind::Metadata { .. } => takes(Metadata),
    });
    for column in &mut columns {
        // The rowtime is marked anew, where the watermark is taken over.
        if column.data_type.kind.time_attribute() == TimeAttribute::Rowtime {
            column.data_type = column.data_type.with_time_attribute(TimeAttribute::None);
        }
    }
    let inherited = columns.len();
    for column in own.columns {
        let name = &column.name;
        let Some(old) = columns[..inherited].iter_mut().find(|c| c.name == *name) else {
            columns.push(column);
            continue;
        };
        let (feature, what, plural) = match (&column.kind, &old.kind) {
            (ColumnKind::Physical, _) => {
                return wrong(format!("A column named '{name}' already exists in the base table."));
            }
            (ColumnKind::Computed { .. }, ColumnKind::Computed { .. }) => (Generated, "generated", "GENERATED"),
            (ColumnKind::Metadata { .. }, ColumnKind::Metadata { .. }) => (Metadata, "metadata", "METADATA"),
            (kind, _) => {
                let (first, other) = match kind {
                    ColumnKind::Computed { .. } => ("Computed", "computed"),
                    _ => ("Metadata", "metadata"),
                };
                return wrong(format!(
                    "A column named '{name}' already exists in the base table. {first} columns can only overwrite \
                     other {other} columns."
                ));
            }
        };
        if !overwrites(feature) {
            return wrong(format!(
                "A {what} column named '{name}' already exists in the base table. You might want to specify EXCLUDING \
                 {plural} or OVERWRITING {plural}."
            ));
        }
        *old = column;
    }

    let primary_key = match (source.schema.primary_key.clone().filter(|_| takes(Constraints)), own.primary_key) {
        (Some(_), Some(_)) => {
            return wrong(
                "The base table already has a primary key. You might want to specify EXCLUDING CONSTRAINTS.".into(),
            );
        }
        (a, b) => b.or(a),
    };
    let watermark = match (source.schema.watermark.clone().filter(|_| takes(Watermarks)), own.watermark) {
        (Some(old), Some(new)) if old.rowtime != new.rowtime => {
            return wrong(format!(
                "The base table already has a watermark, on column '{}': a table has only one. You might want to \
                 specify EXCLUDING WATERMARKS.",
                old.rowtime
            ));
        }
        (Some(old), Some(_)) if !overwrites(Watermarks) => {
            return wrong(format!(
                "There already exists a watermark spec for column '{}' in the base table. You might want to specify \
                 EXCLUDING WATERMARKS or OVERWRITING WATERMARKS.",
                old.rowtime
            ));
        }
        (a, b) => b.or(a),
    };
    let partition_keys = match (takes(Partitions), own.partition_keys.is_empty()) {
        (true, false) if !source.partition_keys.is_empty() => {
            return wrong(
                "The base table already has partitions defined. You might want to specify EXCLUDING PARTITIONS.".into(),
            );
        }
        (true, true) => source.partition_keys.clone(),
        _ => own.partition_keys,
    };
    let distribution = match (source.distribution.clone().filter(|_| takes(Distribution)), own.distribution) {
        (Some(_), Some(_)) => {
            return wrong(
                "The base table already has a distribution defined. You might want to specify EXCLUDING DISTRIBUTION."
                    .into(),
            );
        }
        (a, b) => b.or(a),
    };
    let mut options = if takes(LikeFeature::Options) { source.options.clone() } else { Default::default() };
    for (key, value) in own.options.iter() {
        if let Some(old) = options.get(key).filter(|_| !overwrites(LikeFeature::Options)) {
            let old = super::show_create::masked(key, old, None);
            return wrong(format!(
                "There already exists an option ['{key}' -> '{old}'] in the base table. You might want to specify \
                 EXCLUDING OPTIONS or OVERWRITING OPTIONS."
            ));
        }
        options.set(key, value);
    }
    Ok(Parts { columns, primary_key, watermark, partition_keys, distribution, options })
}
