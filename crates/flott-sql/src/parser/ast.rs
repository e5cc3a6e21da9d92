//! Flink's statements as the parser sees them. Queries inside are sqlparser's AST, to be desugared by the binder.

use flott_core::LogicalType;
use flott_core::error::Position;
use sqlparser::ast::{Expr, Ident, Query};

/// A statement and where it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct SpannedStatement {
    /// The statement.
    pub statement: Statement,
    /// Its first token.
    pub position: Position,
    /// Its text, without the semicolon.
    pub text: String,
}

/// A name of one to three parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Its parts.
    pub parts: Vec<Ident>,
}

impl Name {
    /// The parts as texts.
    pub fn texts(&self) -> Vec<&str> {
        self.parts.iter().map(|p| p.value.as_str()).collect()
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        self.parts.first().map_or(Position::default(), |p| position(p.span.start))
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.texts().join("."))
    }
}

/// A position of sqlparser's as one of ours.
pub fn position(location: sqlparser::tokenizer::Location) -> Position {
    Position { line: location.line, column: location.column }
}

/// `'key' = 'value'` pairs in order.
pub type OptionList = Vec<(String, String)>;

/// A hint: `OPTIONS('k'='v')`, `LOOKUP('table'='t')`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Its name in upper case.
    pub name: String,
    /// Its pairs.
    pub options: OptionList,
    /// Where it stands.
    pub position: Position,
}

/// An expression and its text.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpressionText {
    /// The expression.
    pub expr: Expr,
    /// As written.
    pub text: String,
    /// Where it stands.
    pub position: Position,
}

/// What a column of a DDL is.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "statements are few and short-lived")]
pub enum ColumnSpec {
    /// `name TYPE`
    Physical(LogicalType),
    /// `name AS expression`
    Computed(ExpressionText),
    /// `name TYPE METADATA [FROM 'key'] [VIRTUAL]`
    Metadata {
        /// Its type.
        data_type: LogicalType,
        /// `FROM 'key'`
        key: Option<String>,
        /// `VIRTUAL`
        is_virtual: bool,
    },
    /// `name` alone (the column list of a CREATE TABLE AS, to reorder).
    NameOnly,
}

/// A column of a DDL.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDef {
    /// Its name.
    pub name: Ident,
    /// What it is.
    pub spec: ColumnSpec,
    /// `COMMENT`
    pub comment: Option<String>,
    /// `PRIMARY KEY NOT ENFORCED` behind the column.
    pub primary_key: bool,
    /// The name of that constraint, where it has one.
    pub constraint: Option<String>,
}

/// `[CONSTRAINT name] PRIMARY KEY (..) NOT ENFORCED`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryKeyDef {
    /// The constraint's name.
    pub name: Option<String>,
    /// Its columns.
    pub columns: Vec<Ident>,
}

/// `WATERMARK FOR column AS expression`
#[derive(Debug, Clone, PartialEq)]
pub struct WatermarkDef {
    /// The column, perhaps a nested field.
    pub column: Name,
    /// The watermark.
    pub expression: ExpressionText,
}

/// What LIKE takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the SQL words")]
pub enum LikeFeature {
    All,
    Constraints,
    Distribution,
    Generated,
    Metadata,
    Options,
    Partitions,
    Watermarks,
}

/// What is done with a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the SQL words")]
pub enum LikeStrategy {
    Including,
    Excluding,
    Overwriting,
}

/// `LIKE source (..)`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LikeClause {
    /// The other table.
    pub source: Name,
    /// Its options in order.
    pub options: Vec<(LikeStrategy, LikeFeature)>,
}

/// `DISTRIBUTED [BY [HASH|RANGE] (..)] [INTO n BUCKETS]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// HASH or RANGE, where it is said.
    pub kind: Option<String>,
    /// The columns.
    pub columns: Vec<Ident>,
    /// How many buckets, where it is said.
    pub buckets: Option<u64>,
}

/// Without the word DISTRIBUTED, as Flink writes it.
impl std::fmt::Display for Distribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.columns.is_empty() {
            let columns: Vec<String> =
                self.columns.iter().map(|c| format!("`{}`", c.value.replace('`', "``"))).collect();
            write!(f, "BY {}({})", self.kind.as_deref().unwrap_or_default(), columns.join(", "))?;
        }
        match (self.columns.is_empty(), self.buckets) {
            (true, Some(n)) => write!(f, "INTO {n} BUCKETS"),
            (false, Some(n)) => write!(f, " INTO {n} BUCKETS"),
            (_, None) => Ok(()),
        }
    }
}

/// CREATE TABLE.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTable {
    /// Its name.
    pub name: Name,
    /// TEMPORARY
    pub temporary: bool,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// OR REPLACE
    pub or_replace: bool,
    /// REPLACE TABLE: there is a table to be replaced.
    pub must_exist: bool,
    /// Columns in order.
    pub columns: Vec<ColumnDef>,
    /// At most one.
    pub primary_key: Option<PrimaryKeyDef>,
    /// At most one.
    pub watermark: Option<WatermarkDef>,
    /// COMMENT
    pub comment: Option<String>,
    /// PARTITIONED BY
    pub partition_keys: Vec<Ident>,
    /// DISTRIBUTED BY
    pub distribution: Option<Distribution>,
    /// WITH
    pub options: OptionList,
    /// Where each of them stands.
    pub option_positions: Vec<Position>,
    /// LIKE
    pub like: Option<LikeClause>,
    /// AS query, and its text.
    pub query: Option<(Box<Query>, String)>,
}

impl CreateTable {
    /// The INSERT behind CREATE TABLE AS: by name, since the table may order its columns otherwise than the query.
    pub fn insert(&self, query: &Query, columns: impl Iterator<Item = String>) -> InsertStatement {
        InsertStatement {
            table: self.name.clone(),
            hints: vec![],
            partition: vec![],
            columns: columns.map(|c| Name { parts: vec![Ident::with_quote('`', c)] }).collect(),
            overwrite: false,
            query: Box::new(query.clone()),
            on_conflict: None,
            position: self.name.position(),
        }
    }
}

/// Where a new column goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnPlace {
    /// At the end (or where it was).
    Last,
    /// FIRST
    First,
    /// AFTER column
    After(Ident),
}

/// ALTER TABLE.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "statements are few and short-lived")]
pub enum AlterTable {
    /// RENAME TO
    Rename(Name),
    /// SET (..)
    Set(OptionList),
    /// RESET (..)
    Reset(Vec<String>),
    /// ADD (or MODIFY) columns, a key, a watermark.
    Schema {
        /// MODIFY instead of ADD.
        modify: bool,
        /// Columns with their places.
        columns: Vec<(ColumnDef, ColumnPlace)>,
        /// A key.
        primary_key: Option<PrimaryKeyDef>,
        /// A watermark.
        watermark: Option<WatermarkDef>,
    },
    /// DROP columns
    DropColumns(Vec<Ident>),
    /// DROP PRIMARY KEY, or DROP CONSTRAINT name
    DropKey(Option<Ident>),
    /// DROP WATERMARK
    DropWatermark,
    /// RENAME column TO other
    RenameColumn(Ident, Ident),
    /// ADD (or MODIFY) DISTRIBUTION
    Distribution {
        /// MODIFY instead of ADD.
        modify: bool,
        /// The new one.
        distribution: Distribution,
    },
    /// DROP DISTRIBUTION
    DropDistribution,
    /// ADD [IF NOT EXISTS] PARTITION (k = v, ..) [WITH (..)], one or more.
    AddPartitions {
        /// IF NOT EXISTS
        if_not_exists: bool,
        /// The partitions, with their options.
        partitions: Vec<(PartitionSpec, OptionList)>,
    },
    /// DROP [IF EXISTS] PARTITION (k = v, ..), ..
    DropPartitions {
        /// IF EXISTS
        if_exists: bool,
        /// The partitions.
        partitions: Vec<PartitionSpec>,
    },
}

/// `(k = v, ..)`
pub type PartitionSpec = Vec<(Ident, Expr)>;

/// ALTER CATALOG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlterCatalog {
    /// SET (..)
    Set(OptionList),
    /// RESET (..)
    Reset(Vec<String>),
    /// COMMENT '..'
    Comment(String),
}

/// CREATE FUNCTION.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateFunction {
    /// Its name.
    pub name: Name,
    /// TEMPORARY
    pub temporary: bool,
    /// SYSTEM
    pub system: bool,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Parameters and result, where they are written.
    pub signature: Option<(Vec<(String, LogicalType)>, LogicalType)>,
    /// RETURNS TABLE: the result is a ROW of the columns.
    pub is_table: bool,
    /// AS: the class or module that implements it, or the expression that it is.
    pub class: String,
    /// Where that stands.
    pub body_position: Position,
    /// LANGUAGE, in upper case; JAVA where it is not said.
    pub language: String,
    /// USING: JAR or ARTIFACT, and where it lies.
    pub resources: Vec<(String, String)>,
    /// WITH
    pub options: OptionList,
}

/// `[NOT] [I]LIKE 'pattern'`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LikePattern {
    /// The pattern.
    pub pattern: String,
    /// NOT
    pub negated: bool,
    /// ILIKE
    pub ignore_case: bool,
}

/// Objects that SHOW lists.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the SQL words")]
pub enum ShowKind {
    Catalogs,
    Databases,
    Tables,
    Views,
    MaterializedTables,
    Columns(Name),
    Functions {
        user: bool,
    },
    Modules {
        full: bool,
    },
    Jars,
    Jobs,
    /// Of a table, with `PARTITION (k = v, ..)`.
    Partitions(Name, Vec<(Ident, Expr)>),
    Procedures,
    Models,
    Connections,
    CreateTable(Name),
    CreateView(Name),
    CreateCatalog(Name),
    CurrentCatalog,
    CurrentDatabase,
}

/// Kinds of object with CREATE, DROP, DESCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the SQL words")]
pub enum ObjectKind {
    Table,
    View,
    Database,
    Catalog,
    Function,
}

/// INSERT INTO.
#[derive(Debug, Clone, PartialEq)]
pub struct InsertStatement {
    /// The sink.
    pub table: Name,
    /// Hints behind the name.
    pub hints: Vec<Hint>,
    /// `PARTITION (k = v, ..)`: name and literal.
    pub partition: Vec<(Ident, Expr)>,
    /// The column list.
    pub columns: Vec<Name>,
    /// OVERWRITE
    pub overwrite: bool,
    /// What to insert.
    pub query: Box<Query>,
    /// `ON CONFLICT DO ..`, in upper case: ERROR, NOTHING, DEDUPLICATE.
    pub on_conflict: Option<String>,
    /// Where it starts.
    pub position: Position,
}

/// What EXPLAIN shows besides the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the SQL words")]
pub enum ExplainDetail {
    EstimatedCost,
    ChangelogMode,
    PlanAdvice,
    JsonExecutionPlan,
    /// Event time instead of the plans; not Flink's.
    Watermark,
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names are the SQL words")]
#[expect(clippy::large_enum_variant, reason = "statements are few and short-lived")]
pub enum Statement {
    Query(Box<Query>),
    Insert(InsertStatement),
    StatementSet(Vec<InsertStatement>),
    CreateTable(Box<CreateTable>),
    CreateView {
        name: Name,
        temporary: bool,
        if_not_exists: bool,
        columns: Vec<(Ident, Option<String>)>,
        comment: Option<String>,
        query: Box<Query>,
        text: String,
        /// Where the text begins.
        text_position: Position,
    },
    AlterTable {
        name: Name,
        if_exists: bool,
        change: AlterTable,
    },
    AlterViewRename {
        name: Name,
        to: Name,
    },
    AlterViewAs {
        name: Name,
        query: Box<Query>,
        text: String,
        /// Where the text begins.
        text_position: Position,
    },
    AlterDatabase {
        name: Name,
        options: OptionList,
    },
    AlterCatalog {
        name: Name,
        change: AlterCatalog,
    },
    CreateCatalog {
        name: Name,
        if_not_exists: bool,
        comment: Option<String>,
        options: OptionList,
    },
    CreateFunction(Box<CreateFunction>),
    CreateDatabase {
        name: Name,
        if_not_exists: bool,
        comment: Option<String>,
        options: OptionList,
    },
    Drop {
        kind: ObjectKind,
        name: Name,
        temporary: bool,
        /// `SYSTEM`, of a function.
        system: bool,
        if_exists: bool,
        cascade: bool,
    },
    Use(Name),
    UseCatalog(Name),
    Show {
        kind: ShowKind,
        scope: Option<Name>,
        like: Option<LikePattern>,
    },
    Describe {
        kind: ObjectKind,
        name: Name,
        extended: bool,
    },
    Explain {
        details: Vec<ExplainDetail>,
        inner: Box<Statement>,
    },
    /// `EXPLAIN WATERMARK FOR JOB 'name or id'`.
    ExplainJob {
        job: String,
    },
    Set(Option<(String, String)>),
    Reset(Option<String>),
    StopJob {
        /// Its id.
        id: String,
        /// WITH SAVEPOINT
        savepoint: bool,
        /// WITH DRAIN
        drain: bool,
    },
    /// A statement of Flink's that is known and not supported.
    Unsupported {
        what: String,
        hint: String,
        position: Position,
    },
}
