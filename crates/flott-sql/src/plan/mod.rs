//! Logical plan to stream plan to job graph, and EXPLAIN.
//!
//! Read first: [`Planner`], then `optimize` (where conditions go, and in which order joins are), `convert.rs` (which logical
//! node becomes which operator), `program.rs` (fusing projections and filters), `window.rs` (where TUMBLE is planned),
//! `group.rs` (where GROUP BY without a window is), `changelog` (which kinds of change each operator emits), `graph.rs`
//! (ids).

mod advice;
pub(crate) mod changelog;
mod changelog_function;
mod conditions;
mod convert;
mod dead_letter;
mod existence;
mod explain;
mod explain_logical;
mod explain_over;
mod explain_rank;
mod explain_two_phase;
mod graph;
mod group;
mod growth;
mod join;
mod json;
mod lookup;
mod match_recognize;
mod meaning;
mod monotonicity;
mod optimize;
pub mod options;
mod over;
mod physical;
mod program;
mod rank;
mod resolver;
mod reuse;
mod sink;
mod split_distinct;
mod stream;
mod text;
mod two_phase;
mod values;
mod watermark;
mod window;

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use datafusion_expr::LogicalPlan;
use flott_connector::factory::{ChangelogMode, Registry, TableSink};
use flott_connector::sink::Sink;
use flott_connector::table::ObjectIdentifier;
use flott_core::options::Options;
use flott_core::{Error, FailPoints, LogicalType, Result};
use flott_graph::JobGraph;
use sqlparser::ast::{Query, Spanned};

use crate::bind::{At, Binder, Tables, columns_of};
use crate::parser::ast::{CreateTable, ExplainDetail, InsertStatement, Statement};
use crate::parser::script::on_large_stack;
use crate::statement::{SessionState, create_table};

use advice::Advice;
use changelog::Reader;
use convert::Converter;
use graph::GraphBuilder;
use optimize::Optimizer;
use stream::{ScanColumns, Sink as SinkNode, StreamInput, StreamNode, StreamOp};

pub use resolver::TypeResolver;
pub use values::ValuesSource;

/// Plans queries and statement sets over one catalog and configuration.
pub struct Planner<'a> {
    tables: &'a dyn Tables,
    registry: Arc<Registry>,
    config: &'a Options,
    base_dir: PathBuf,
    fail_points: FailPoints,
}

/// A query whose caller supplies the sink.
#[derive(Debug)]
pub struct PlannedQuery {
    /// The result's columns, with Flink's types in the field metadata; time attributes are materialised.
    pub schema: SchemaRef,
    /// What kinds of change it produces.
    pub changelog_mode: ChangelogMode,
    root: Arc<StreamNode>,
    late: Vec<Arc<StreamNode>>,
    config: Options,
}

/// How EXPLAIN calls the sink of a query's result.
const COLLECT: &str = "*anonymous_collect$1*";

impl PlannedQuery {
    /// Names and types of the result.
    pub fn columns(&self) -> Result<Vec<(String, LogicalType)>> {
        columns_of(&self.root.schema)
    }

    /// The job that writes the result into this sink, in one subtask where `parallelism` is 1.
    pub fn into_graph(self, sink: Arc<dyn Sink>, parallelism: Option<usize>, name: Option<String>) -> Result<JobGraph> {
        on_large_stack(move || {
            let name = name.or_else(|| self.config.text(&options::PIPELINE_NAME).map(str::to_string));
            let mut builder = GraphBuilder::new(&self.config, name.unwrap_or_else(|| "collect".to_string()))?;
            let node = SinkNode {
                identifier: ObjectIdentifier::new("default_catalog", "default_database", COLLECT),
                shown: format!("default_catalog.default_database.{COLLECT}"),
                sink: TableSink { sink, changelog_mode: ChangelogMode::ALL, parallelism },
                constraints: Default::default(),
                columns: vec![],
                primary_key: Default::default(),
                keyed_shuffle: Default::default(),
                follows_query: false,
                hides_changes: false,
                deletes_by_key: false,
                conflict: None,
                materialize: None,
                state_ttl: None,
            };
            let schema = self.root.schema.clone();
            let root =
                StreamNode::new(StreamOp::Sink(node), vec![StreamInput::from(&self.root)], schema, self.root.changelog);
            builder.add(&root)?;
            for late in &self.late {
                builder.add(late)?;
            }
            builder.finish()
        })
    }
}

/// The logical and the stream plan of a job.
struct Planned {
    logical: Vec<explain_logical::Ast>,
    /// Sinks, or the root of a query.
    roots: Vec<Arc<StreamNode>>,
    late: Vec<Arc<StreamNode>>,
}

impl<'a> Planner<'a> {
    /// Over a catalog, the connectors and formats, and the session's configuration. Relative paths start at `base_dir`.
    pub fn new(
        tables: &'a dyn Tables,
        registry: Arc<Registry>,
        config: &'a Options,
        base_dir: impl Into<PathBuf>,
        fail_points: FailPoints,
    ) -> Planner<'a> {
        Planner { tables, registry, config, base_dir: base_dir.into(), fail_points }
    }

    /// One job out of several INSERTs.
    pub fn plan_statement_set(&self, inserts: &[InsertStatement], name: Option<String>) -> Result<JobGraph> {
        on_large_stack(|| {
            let planned = self.plan_inserts(inserts)?;
            growth::warn(&planned.roots, self.config);
            let default_name = || {
                let sinks: Vec<String> = planned.roots.iter().map(|r| explain::sink_name(r)).collect();
                format!("insert-into_{}", sinks.join(","))
            };
            let name = name
                .clone()
                .or_else(|| self.config.text(&options::PIPELINE_NAME).map(str::to_string))
                .unwrap_or_else(default_name);
            let mut builder = GraphBuilder::new(self.config, name)?;
            for (root, insert) in planned.roots.iter().zip(inserts) {
                builder.add_insert(root, insert.position)?;
            }
            for late in &planned.late {
                builder.add(late)?;
            }
            builder.finish()
        })
    }

    /// A query whose caller supplies the sink.
    pub fn plan_query(&self, query: &Query) -> Result<PlannedQuery> {
        on_large_stack(|| {
            let Planned { roots, late, .. } = self.plan_select(query, Reader::Changelog)?;
            growth::warn(&roots, self.config);
            let root = roots.into_iter().next().ok_or_else(|| Error::internal("a query without a plan"))?;
            Ok(PlannedQuery {
                schema: Arc::new(root.schema.as_arrow().clone()),
                changelog_mode: root.changelog,
                root,
                late,
                config: self.config.clone(),
            })
        })
    }

    /// Flink's EXPLAIN text of a query, an INSERT or a statement set.
    pub fn explain(&self, statement: &Statement, details: &[ExplainDetail]) -> Result<String> {
        on_large_stack(|| {
            let planned = match statement {
                Statement::CreateTable(create) if create.query.is_some() => {
                    return self.explain_create(create, details);
                }
                Statement::Query(q) => self.plan_select(q, Reader::Any)?,
                Statement::Insert(insert) => self.plan_inserts(std::slice::from_ref(insert))?,
                Statement::StatementSet(inserts) => self.plan_inserts(inserts)?,
                _ => {
                    return Err(Error::user("EXPLAIN takes a query, an INSERT, a statement set or CREATE TABLE AS")
                        .hint("Write EXPLAIN SELECT .. or EXPLAIN INSERT INTO .."));
                }
            };
            if !details.contains(&ExplainDetail::PlanAdvice) {
                growth::warn(&planned.roots, self.config);
            }
            let roots: Vec<Arc<StreamNode>> = planned.roots.into_iter().chain(planned.late).collect();
            self.explained(&planned.logical, &roots, details)
        })
    }

    /// The sections, in Flink's order. WATERMARK alone shows nothing else.
    fn explained(
        &self,
        logical: &[explain_logical::Ast],
        roots: &[Arc<StreamNode>],
        details: &[ExplainDetail],
    ) -> Result<String> {
        let asks = |d: ExplainDetail| details.contains(&d);
        let mut text = String::new();
        if details.is_empty() || details.iter().any(|d| *d != ExplainDetail::Watermark) {
            let advice = asks(ExplainDetail::PlanAdvice).then(|| Advice::of(roots, self.config)).transpose()?;
            text = explain::sections(logical, roots, asks(ExplainDetail::ChangelogMode), advice.as_ref());
        }
        let mut more = vec![];
        if asks(ExplainDetail::EstimatedCost) {
            more.push(
                "== Estimated Cost ==\nThere is no estimate: no statistics are kept, and no plan is chosen by its cost.\n"
                    .to_string(),
            );
        }
        if asks(ExplainDetail::JsonExecutionPlan) {
            let mut builder = GraphBuilder::new(self.config, String::new())?;
            for root in roots {
                builder.add(root)?;
            }
            more.push(json::nodes(&builder.shown(), self.config)?);
        }
        if asks(ExplainDetail::Watermark) {
            more.push(watermark::explained(roots, self.config)?);
        }
        for section in more {
            if !text.is_empty() {
                text.push('\n');
            }
            text += &section;
        }
        Ok(text)
    }

    /// CREATE TABLE AS: the plan of its INSERT, over catalogs in which the table is already there.
    fn explain_create(&self, create: &CreateTable, details: &[ExplainDetail]) -> Result<String> {
        let (Some((query, _)), Some(catalog)) = (&create.query, self.tables.catalog()) else {
            return Err(Error::user("EXPLAIN CREATE TABLE AS needs a catalog").at(create.name.position()));
        };
        let derived = self.query_columns(query)?;
        let columns: Vec<String> = derived.iter().map(|(name, _)| name.clone()).collect();
        let mut state = SessionState {
            catalog: catalog.clone(),
            config: self.config.clone(),
            program: Arc::clone(self.registry.functions()),
            ..SessionState::default()
        };
        create_table(create, &mut state, &TypeResolver::new(self.registry.clone()), Some(derived))?;
        let (registry, base_dir) = (self.registry.clone(), self.base_dir.clone());
        let planner = Planner::new(&state.catalog, registry, self.config, base_dir, self.fail_points.clone());
        planner.explain(&Statement::Insert(create.insert(query, columns.into_iter())), details)
    }

    fn binder(&self) -> Result<Binder<'_>> {
        Binder::new(self.tables, &self.registry, self.config)
    }

    fn converter<'c>(&'c self, binder: &'c Binder<'c>, fixed: Option<ScanColumns>) -> Converter<'c> {
        Converter {
            binder,
            registry: self.registry.clone(),
            config: self.config,
            base_dir: self.base_dir.clone(),
            fail_points: self.fail_points.clone(),
            fixed,
            seen: RefCell::new(vec![]),
            late: RefCell::new(vec![]),
            dead_letters: RefCell::default(),
            for_keys: false,
        }
    }

    /// Plans once, and where scans of one source read different columns a second time with the union of them.
    fn twice<T>(
        &self,
        binder: &Binder<'_>,
        plan: impl Fn(&Converter<'_>) -> Result<T>,
    ) -> Result<(T, Vec<Arc<StreamNode>>)> {
        let first = self.converter(binder, None);
        let planned = plan(&first)?;
        let (columns, differ) = first.scan_columns();
        if !differ {
            return Ok((planned, first.late.into_inner()));
        }
        let second = self.converter(binder, Some(columns));
        let planned = plan(&second)?;
        Ok((planned, second.late.into_inner()))
    }

    fn plan_select(&self, query: &Query, reader: Reader) -> Result<Planned> {
        let binder = self.binder()?;
        let logical = binder.query(query)?;
        let result = sink::materialized(logical.clone())?;
        crate::bind::validate(&result)?;
        let result = Optimizer::new(self.config)?.plan(&result)?;
        let (root, late) = self.twice(&binder, |c| c.convert(&result)).at_span(query.span())?;
        let (roots, late) = changelog::infer(&[root], &late, reader, self.config).at_span(query.span())?;
        let (roots, late) = two_phase::with_mini_batches(roots, late, self.config)?;
        let (roots, late) = reuse::shared(roots, late, self.config)?;
        Ok(Planned { logical: vec![explain_logical::Ast { sink: None, plan: logical }], roots, late })
    }

    fn plan_inserts(&self, inserts: &[InsertStatement]) -> Result<Planned> {
        if inserts.is_empty() {
            return Err(Error::user("a statement set without an INSERT").hint("Put at least one INSERT INTO into it"));
        }
        let binder = self.binder()?;
        let binding = self.converter(&binder, None);
        let mut bound = vec![];
        for statement in inserts {
            let insert = binding.insert(self.tables, statement).map_err(|e| e.at(statement.position))?;
            crate::bind::validate(&insert.plan)?;
            bound.push(insert);
        }
        let optimizer = Optimizer::new(self.config)?;
        let plans = bound.iter().map(|insert| optimizer.plan(&insert.plan)).collect::<Result<Vec<_>>>()?;
        let (roots, late) = self.twice(&binder, |c| {
            bound
                .iter()
                .zip(&plans)
                .zip(inserts)
                .map(|((insert, plan), statement)| {
                    let input = c.convert(plan).map_err(|e| e.at(statement.position))?;
                    c.sink(
                        &insert.identifier,
                        &insert.table,
                        insert.overwrite,
                        insert.conflict,
                        StreamInput::from(&input),
                    )
                    .map_err(|e| e.at(statement.position))
                })
                .collect::<Result<Vec<_>>>()
        })?;
        let position = inserts[0].position;
        let (roots, late) =
            changelog::infer(&roots, &late, Reader::Changelog, self.config).map_err(|e| e.at(position))?;
        let (roots, late) = two_phase::with_mini_batches(roots, late, self.config)?;
        let (roots, late) = reuse::shared(roots, late, self.config)?;
        let logical = bound
            .into_iter()
            .map(|i| explain_logical::Ast { sink: Some(sink::summary(&i.identifier)), plan: i.plan })
            .collect();
        Ok(Planned { logical, roots, late })
    }

    /// The columns of a query's result, time attributes included: a view passes them on, `CREATE TABLE .. AS` does not.
    pub fn query_columns(&self, query: &Query) -> Result<Vec<(String, LogicalType)>> {
        on_large_stack(|| {
            let plan: LogicalPlan = self.binder()?.query(query)?;
            columns_of(plan.schema())
        })
    }

    /// The type of an expression over columns, for DDL.
    pub fn expression_type(&self, text: &str, columns: &[(String, LogicalType)]) -> Result<LogicalType> {
        on_large_stack(|| Ok(self.binder()?.expression_text(text, columns)?.data_type))
    }
}
