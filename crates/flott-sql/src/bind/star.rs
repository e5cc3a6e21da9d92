//! `table.column-expansion-strategy`: which columns of a table `*` leaves out.

use flott_connector::table::{CatalogTable, Column, ColumnKind};
use flott_core::options::Options;
use flott_core::{Error, Result};

use super::Binder;

/// The option.
pub(crate) const COLUMN_EXPANSION: &str = "table.column-expansion-strategy";

const ALIASED: &str = "EXCLUDE_ALIASED_VIRTUAL_METADATA_COLUMNS";
const DEFAULT: &str = "EXCLUDE_DEFAULT_VIRTUAL_METADATA_COLUMNS";

/// What is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ColumnExpansion {
    /// Virtual metadata columns with another name than their key.
    aliased: bool,
    /// Those that are named by their key.
    named_by_key: bool,
}

impl ColumnExpansion {
    /// As the session says.
    pub(crate) fn of(config: &Options) -> Result<ColumnExpansion> {
        ColumnExpansion::parse(config.get(COLUMN_EXPANSION).unwrap_or_default())
    }

    /// From a list with semicolons.
    pub(crate) fn parse(text: &str) -> Result<ColumnExpansion> {
        let mut expansion = ColumnExpansion::default();
        for one in text.split(';').map(str::trim).filter(|one| !one.is_empty()) {
            match one.to_ascii_uppercase().as_str() {
                ALIASED => expansion.aliased = true,
                DEFAULT => expansion.named_by_key = true,
                _ => {
                    return Err(Error::user(format!("Could not parse value '{one}' of '{COLUMN_EXPANSION}'"))
                        .with("option", COLUMN_EXPANSION)
                        .hint(format!("Expected any of {ALIASED} and {DEFAULT}, with a semicolon between them")));
                }
            }
        }
        Ok(expansion)
    }

    /// Whether `*` stands for all columns.
    pub(crate) fn is_whole(self) -> bool {
        self == ColumnExpansion::default()
    }

    /// Whether `*` leaves a column out.
    pub(crate) fn hides(self, column: &Column) -> bool {
        match &column.kind {
            ColumnKind::Metadata { key: Some(_), is_virtual: true } => self.aliased,
            ColumnKind::Metadata { key: None, is_virtual: true } => self.named_by_key,
            _ => false,
        }
    }
}

impl Binder<'_> {
    /// The columns of a table that `*` leaves out.
    pub(super) fn hidden_columns(&self, table: &CatalogTable) -> Result<Vec<String>> {
        if self.whole_stars.get() {
            return Ok(vec![]);
        }
        let expansion = ColumnExpansion::of(self.config)?;
        Ok(table.schema.columns.iter().filter(|c| expansion.hides(c)).map(|c| c.name.clone()).collect())
    }
}
