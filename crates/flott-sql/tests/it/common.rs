//! A connector that connects to nothing, tables from DDL, and a planner over them.

use std::sync::Arc;

use async_trait::async_trait;
use flott_connector::factory::{ChangelogMode, MetadataKey};
use flott_connector::sink::{DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_connector::source::{Source, SourceReader, SplitEnumerator, SubtaskInfo};
use flott_connector::table::{
    CatalogTable, Column, ColumnKind, ObjectIdentifier, PrimaryKey, ResolvedSchema, WatermarkSpec,
};
use flott_connector::{Boundedness, ConnectorFactory, Registry, TableContext, TableSink, TableSource, Versioned};
use flott_core::options::{ConfigOption, Options};
use flott_core::types::TypeKind;
use flott_core::{ChangeBatch, Error, FailPoints, LogicalType, Result};
use flott_graph::JobGraph;
use flott_sql::bind::{CatalogObject, Tables};
use flott_sql::parser::ast::{ColumnSpec, CreateTable, Statement};
use flott_sql::parser::{InsertStatement, parse_script};
use flott_sql::plan::Planner;
use sqlparser::ast::{Expr, Query};

struct Nothing {
    boundedness: Boundedness,
}

const UNBOUNDED: Nothing = Nothing { boundedness: Boundedness::ContinuousUnbounded };

impl Source for Nothing {
    fn boundedness(&self) -> Boundedness {
        self.boundedness
    }

    fn create_enumerator(&self, _restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        Err(Error::internal("planning only"))
    }

    fn create_reader(&self, _subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Err(Error::internal("planning only"))
    }
}

struct Void;

#[async_trait]
impl SinkWriter for Void {
    async fn write(&mut self, _batch: ChangeBatch) -> Result<()> {
        Ok(())
    }

    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        Ok(())
    }
}

impl Sink for Nothing {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::None
    }

    fn create_writer(&self, _context: WriterContext, _restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(Void))
    }
}

/// A sink for results.
pub(crate) fn void_sink() -> Arc<dyn Sink> {
    Arc::new(UNBOUNDED)
}

struct Fake {
    name: &'static str,
    prunes: bool,
    boundedness: Boundedness,
}

fn mode(context: &TableContext, default: ChangelogMode) -> ChangelogMode {
    match context.table.options.get("changelog") {
        Some("I") => ChangelogMode::INSERT_ONLY,
        Some("ALL") => ChangelogMode::ALL,
        Some("UPSERT") => ChangelogMode::UPSERT,
        _ => default,
    }
}

impl ConnectorFactory for Fake {
    fn identifier(&self) -> &'static str {
        self.name
    }

    fn description(&self) -> &'static str {
        "For plans."
    }

    fn options(&self) -> &'static [ConfigOption] {
        &[]
    }

    fn metadata(&self) -> Vec<MetadataKey> {
        vec![
            MetadataKey { key: "timestamp".into(), data_type: TypeKind::timestamp_ltz(3).not_null(), writable: true },
            MetadataKey { key: "offset".into(), data_type: TypeKind::BigInt.not_null(), writable: false },
        ]
    }

    fn supports_projection(&self) -> bool {
        self.prunes
    }

    fn source(&self, context: &TableContext) -> Result<TableSource> {
        Ok(TableSource {
            source: Arc::new(Nothing { boundedness: self.boundedness }),
            changelog_mode: mode(context, ChangelogMode::INSERT_ONLY),
            parallelism: None,
        })
    }

    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        Ok(TableSink {
            sink: Arc::new(UNBOUNDED),
            changelog_mode: mode(context, ChangelogMode::INSERT_ONLY),
            parallelism: None,
        })
    }
}

/// Tables and views by their last name.
#[derive(Default)]
pub(crate) struct TestTables(pub(crate) Vec<(String, CatalogObject)>);

impl Tables for TestTables {
    fn lookup(&self, name: &[String]) -> Result<Option<CatalogObject>> {
        let last = &name[name.len() - 1];
        Ok(self.0.iter().find(|(n, _)| n == last).map(|(_, o)| o.clone()))
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(n, _)| n.clone()).collect()
    }

    fn parse_query(&self, text: &str) -> Result<Query> {
        flott_sql::parser::parse_query(text).map(|q| *q)
    }

    fn parse_expression(&self, text: &str) -> Result<Expr> {
        flott_sql::parser::parse_expression(text)
    }
}

/// A session for plans.
pub(crate) struct Session {
    pub(crate) tables: TestTables,
    pub(crate) registry: Arc<Registry>,
    pub(crate) config: Options,
}

impl Session {
    pub(crate) fn new() -> Session {
        let mut registry = Registry::default();
        let mut add = |name, prunes, boundedness| registry.add_connector(Arc::new(Fake { name, prunes, boundedness }));
        add("fake", true, Boundedness::ContinuousUnbounded);
        add("wide", false, Boundedness::ContinuousUnbounded);
        add("bounded", false, Boundedness::Bounded);
        Session { tables: TestTables::default(), registry: Arc::new(registry), config: Options::new() }
    }

    /// With the tables that most tests read.
    pub(crate) fn standard() -> Session {
        let mut session = Session::new();
        session
            .run(
                "CREATE TABLE bid (auction BIGINT, bidder BIGINT, price DECIMAL(10, 2), channel STRING, ts TIMESTAMP(3), \
                   pt AS PROCTIME(), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
                 CREATE TABLE t (a INT, b BIGINT NOT NULL, c STRING, d DOUBLE, e DECIMAL(10, 2), f BOOLEAN, g DATE, \
                   h TIMESTAMP(3), i TIMESTAMP_LTZ(3), j ROW<x INT, y ROW<z STRING>>, k ARRAY<INT>, m MAP<STRING, INT>, \
                   n SMALLINT, o FLOAT, p TINYINT, q CHAR(3), r VARCHAR(5), s TIME(0), u BYTES) WITH ('connector' = 'fake');
                 CREATE TABLE two (x BIGINT, y STRING) WITH ('connector' = 'fake');",
            )
            .expect("the standard tables");
        session
    }

    pub(crate) fn planner(&self) -> Planner<'_> {
        Planner::new(&self.tables, self.registry.clone(), &self.config, ".", FailPoints::default())
    }

    /// Runs a script's DDL and SETs; gives the last text that an EXPLAIN printed.
    pub(crate) fn run(&mut self, script: &str) -> Result<String> {
        let mut shown = String::new();
        for s in parse_script(script)? {
            match s.statement {
                Statement::CreateTable(c) => {
                    let object = self.create_table(&c)?;
                    self.tables.0.push((c.name.texts().last().expect("a name").to_string(), object));
                }
                Statement::CreateView { name, columns, text, .. } => {
                    let last = name.texts().last().expect("a name").to_string();
                    let identifier = ObjectIdentifier::new("default_catalog", "default_database", &last);
                    let columns = columns.iter().map(|c| c.0.value.clone()).collect();
                    self.tables.0.push((last, CatalogObject::View { identifier, query: text, columns }));
                }
                Statement::Set(Some((key, value))) => self.config.set(key, value),
                Statement::Explain { details, inner } => shown = self.planner().explain(&inner, &details)?,
                Statement::Query(q) => shown = format!("{:?}", self.planner().plan_query(&q)?.columns()?),
                Statement::Insert(i) => {
                    self.graph_of(&[i])?;
                }
                Statement::StatementSet(inserts) => {
                    self.graph_of(&inserts)?;
                }
                other => panic!("not for this session: {other:?}"),
            }
        }
        Ok(shown)
    }

    pub(crate) fn graph_of(&self, inserts: &[InsertStatement]) -> Result<JobGraph> {
        self.planner().plan_statement_set(inserts, None)
    }

    /// The graph of the INSERTs of a script (the rest is run).
    pub(crate) fn graph(&mut self, script: &str) -> Result<JobGraph> {
        let mut inserts = vec![];
        for s in parse_script(script)? {
            match s.statement {
                Statement::Insert(i) => inserts.push(i),
                Statement::StatementSet(i) => inserts.extend(i),
                _ => {
                    self.run(&s.text)?;
                }
            }
        }
        self.graph_of(&inserts)
    }

    /// Names and types of a query's columns: `a INT, EXPR$1 BIGINT NOT NULL`.
    pub(crate) fn columns(&self, query: &str) -> Result<String> {
        let query = flott_sql::parser::parse_query(query)?;
        let columns = self.planner().plan_query(&query)?.columns()?;
        Ok(columns.iter().map(|(n, t)| format!("{n} {t}")).collect::<Vec<_>>().join(", "))
    }

    fn create_table(&self, c: &CreateTable) -> Result<CatalogObject> {
        let identifier =
            ObjectIdentifier::new("default_catalog", "default_database", *c.name.texts().last().expect("a name"));
        let mut typed: Vec<(String, LogicalType)> = vec![];
        for column in &c.columns {
            match &column.spec {
                ColumnSpec::Physical(t) | ColumnSpec::Metadata { data_type: t, .. } => {
                    typed.push((column.name.value.clone(), t.clone()));
                }
                _ => {}
            }
        }
        let mut columns = vec![];
        for column in &c.columns {
            let name = column.name.value.clone();
            let (data_type, kind) = match &column.spec {
                ColumnSpec::Physical(t) => (t.clone(), ColumnKind::Physical),
                ColumnSpec::Computed(e) => (
                    self.planner().expression_type(&e.text, &typed)?,
                    ColumnKind::Computed { expression: e.text.clone() },
                ),
                ColumnSpec::Metadata { data_type, key, is_virtual } => {
                    (data_type.clone(), ColumnKind::Metadata { key: key.clone(), is_virtual: *is_virtual })
                }
                ColumnSpec::NameOnly => panic!("a column without a type"),
            };
            columns.push(Column { name, data_type, kind, comment: None });
        }
        let key = c
            .primary_key
            .as_ref()
            .map(|k| PrimaryKey { name: "PK".into(), columns: k.columns.iter().map(|c| c.value.clone()).collect() });
        let watermark = c
            .watermark
            .as_ref()
            .map(|w| WatermarkSpec { rowtime: w.column.to_string(), expression: w.expression.text.clone() });
        let table = CatalogTable {
            schema: ResolvedSchema { columns, watermark, primary_key: key },
            partition_keys: c.partition_keys.iter().map(|k| k.value.clone()).collect(),
            options: c.options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(),
            comment: None,
            distribution: None,
        };
        Ok(CatalogObject::Table(identifier, table))
    }
}
