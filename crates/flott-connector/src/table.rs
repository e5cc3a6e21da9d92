//! Tables as catalogs hold them.

use std::fmt;

use flott_core::LogicalType;
use flott_core::options::Options;

/// `catalog.database.object`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectIdentifier {
    /// The catalog's name.
    pub catalog: String,
    /// The database's name.
    pub database: String,
    /// The table's, view's or function's name.
    pub object: String,
}

impl ObjectIdentifier {
    /// A full name.
    pub fn new(catalog: impl Into<String>, database: impl Into<String>, object: impl Into<String>) -> ObjectIdentifier {
        ObjectIdentifier { catalog: catalog.into(), database: database.into(), object: object.into() }
    }
}

/// With backticks, as Flink writes it.
impl fmt::Display for ObjectIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = |s: &str| format!("`{}`", s.replace('`', "``"));
        write!(f, "{}.{}.{}", quote(&self.catalog), quote(&self.database), quote(&self.object))
    }
}

/// How a column comes to its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnKind {
    /// Stored in the outside system.
    Physical,
    /// `name AS expression`.
    Computed {
        /// The expression's text.
        expression: String,
    },
    /// `METADATA [FROM 'key'] [VIRTUAL]`.
    Metadata {
        /// The metadata key where it differs from the column's name.
        key: Option<String>,
        /// Read only.
        is_virtual: bool,
    },
}

/// A column of a resolved table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type (of a computed column: its expression's).
    pub data_type: LogicalType,
    /// Where it comes from.
    pub kind: ColumnKind,
    /// Its comment.
    pub comment: Option<String>,
}

impl Column {
    /// A physical column.
    pub fn physical(name: impl Into<String>, data_type: LogicalType) -> Column {
        Column { name: name.into(), data_type, kind: ColumnKind::Physical, comment: None }
    }

    /// Whether rows written to the table have it (physical, and metadata that is not virtual).
    pub fn is_persisted(&self) -> bool {
        matches!(self.kind, ColumnKind::Physical | ColumnKind::Metadata { is_virtual: false, .. })
    }

    /// The metadata key, for a metadata column.
    pub fn metadata_key(&self) -> Option<&str> {
        match &self.kind {
            ColumnKind::Metadata { key, .. } => Some(key.as_deref().unwrap_or(&self.name)),
            _ => None,
        }
    }
}

/// `WATERMARK FOR rowtime AS expression`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatermarkSpec {
    /// The column, or the path to a nested field.
    pub rowtime: String,
    /// The expression's text.
    pub expression: String,
}

/// `PRIMARY KEY (..) NOT ENFORCED`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryKey {
    /// The constraint's name (Flink makes `PK_` and the columns where none is given).
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<String>,
}

/// The resolved schema of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvedSchema {
    /// All columns in DDL order.
    pub columns: Vec<Column>,
    /// At most one.
    pub watermark: Option<WatermarkSpec>,
    /// At most one.
    pub primary_key: Option<PrimaryKey>,
}

impl ResolvedSchema {
    /// The column of this name (case-sensitive, as in Flink).
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The physical columns in order.
    pub fn physical(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|c| c.kind == ColumnKind::Physical)
    }
}

/// A table as a catalog stores it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogTable {
    /// Columns, watermark, key.
    pub schema: ResolvedSchema,
    /// `PARTITIONED BY`.
    pub partition_keys: Vec<String>,
    /// `WITH (..)`.
    pub options: Options,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// `DISTRIBUTED BY ..` as written.
    pub distribution: Option<String>,
}
