//! AST to logical plan, with Flink's names and types.
//!
//! The relational nodes are DataFusion's where it has them (scan, projection, filter, union, values) and [`FlinkNode`]s
//! where it has not. Names are resolved and types are decided here and not by DataFusion's `SqlToRel`, which drops
//! clauses that it does not know, refuses `SELECT a, a`, types CASE by its first branch and loses positions. Everything
//! that comes out has Flink's types in its field metadata, unique unqualified column names, and was checked by
//! [`validate`].
//!
//! Entry: [`Binder::query`], [`Binder::expression`].

mod access;
mod aggregate;
mod aggregate_function;
mod cast;
pub(crate) use aggregate::expand_id_of;
pub mod changelog_function;
mod expression;
pub(crate) use expression::case_expr;
mod fold;
mod functions;
pub(crate) mod group_window;
mod grouped;
pub(crate) mod hints;
mod items;
pub(crate) mod join;
mod literal;
pub mod match_recognize;
mod named;
mod names;
pub mod node;
mod other_systems;
pub mod over;
mod over_variance;
mod query;
mod refuse;
mod relation;
mod scope;
mod select;
mod select_list;
mod set_operation;
mod sort;
pub(crate) mod star;
mod types;
mod user_function;
mod validate;
mod values;
pub mod window;
mod window_frame;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion_expr::LogicalPlan;
use flott_connector::factory::Registry;
use flott_connector::table::{CatalogTable, ObjectIdentifier};
use flott_core::options::Options;
use flott_core::{Error, LogicalType, Result};
use sqlparser::ast;

use crate::catalog::CatalogManager;

pub use changelog_function::{ChangelogCall, ChangelogFunction};
pub use functions::{Functions, Shown};
pub(crate) use names::rename_columns;
pub use node::{FlinkNode, FlinkNodeKind, ScanTable};
pub(crate) use refuse::{At, at, check_dynamic_options, from_datafusion};
pub(crate) use scope::{Scope, ScopeColumn, UniqueNames, as_rowtime};
pub use scope::{Typed, column, columns_of, plan_schema};
pub use validate::validate;

/// How deep queries, views and CTEs may nest in each other.
pub const QUERY_DEPTH_MAX: usize = 64;

/// How many operators a query may have once its views and CTEs stand where they are named: a view that is named twice by
/// one that is named twice grows with each step.
pub const QUERY_NODES_MAX: usize = 10_000;

/// The limits of queries.
pub mod limits {
    pub use super::aggregate::KEYS_IN_GROUPING_ID_MAX;
    pub use super::expression::{CHAIN_LENGTH_MAX, EXPRESSION_DEPTH_MAX};
    pub use super::grouped::GROUPING_SETS_MAX;
    pub use super::user_function::{CALL_DEPTH_MAX, CALL_OPERATORS_MAX};
    pub use super::{QUERY_DEPTH_MAX, QUERY_NODES_MAX};
}

pub(crate) use user_function::{UserDefined, check_function, with_full_names};

/// What a name in FROM means.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "looked up once per name of a query")]
pub enum CatalogObject {
    /// A table.
    Table(ObjectIdentifier, CatalogTable),
    /// A view.
    View {
        /// Its name.
        identifier: ObjectIdentifier,
        /// Its query.
        query: String,
        /// Its columns' names, where they were given.
        columns: Vec<String>,
    },
}

/// Where tables and views come from.
pub trait Tables: Sync {
    /// The object of this name (one to three parts), or `None`.
    fn lookup(&self, name: &[String]) -> Result<Option<CatalogObject>>;
    /// The names that a message may suggest.
    fn names(&self) -> Vec<String>;
    /// The catalogs behind the names, where there are any: for plans of tables that do not exist yet.
    fn catalog(&self) -> Option<&CatalogManager> {
        None
    }
    /// Parses the text of a view.
    fn parse_query(&self, text: &str) -> Result<ast::Query>;
    /// Parses the text of a computed column or watermark.
    fn parse_expression(&self, text: &str) -> Result<ast::Expr>;
}

/// Binds queries and expressions.
pub struct Binder<'a> {
    tables: &'a dyn Tables,
    registry: &'a Registry,
    functions: Functions,
    config: &'a Options,
    depth: Cell<usize>,
    /// How long rows of the tables of a SELECT are kept, innermost last (the hint STATE_TTL).
    ttls: RefCell<Vec<HashMap<String, Duration>>>,
    /// How the tables of a SELECT are looked up, innermost last (the hint LOOKUP).
    lookups: RefCell<Vec<HashMap<String, node::LookupHint>>>,
    /// The views that were bound, by name.
    views: RefCell<HashMap<ObjectIdentifier, LogicalPlan>>,
    /// What the SELECT that was bound last calls its columns, of which several may have one name.
    written: RefCell<Vec<String>>,
    /// The queries around those that are bound, innermost last.
    around: RefCell<Vec<Option<join::derived::Around>>>,
    /// `*` stands for all columns, whatever the session says.
    whole_stars: Cell<bool>,
}

/// The queries that a WITH makes visible, innermost last.
type Ctes = Vec<(String, LogicalPlan)>;

impl<'a> Binder<'a> {
    /// Over a catalog, with the connectors (for metadata columns) and the session's configuration.
    pub fn new(tables: &'a dyn Tables, registry: &'a Registry, config: &'a Options) -> Result<Binder<'a>> {
        check_runtime_mode(RUNTIME_MODE, config.get(RUNTIME_MODE).unwrap_or_default())?;
        let functions = Functions::new(config)?.of_program(registry.functions()).of_catalog(tables.catalog());
        let (depth, ttls, lookups) = (Cell::new(0), RefCell::default(), RefCell::default());
        let (views, written) = (RefCell::default(), RefCell::default());
        let (around, whole_stars) = (RefCell::default(), Cell::new(false));
        Ok(Binder { tables, registry, functions, config, depth, ttls, lookups, views, written, around, whole_stars })
    }

    /// The functions, for who builds expressions on top of plans.
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// A query.
    pub fn query(&self, query: &ast::Query) -> Result<LogicalPlan> {
        let plan = self.bind_query(query, &vec![])?;
        not_too_large(&plan)?;
        validate(&plan)?;
        Ok(plan)
    }

    /// An expression over columns that are named and typed.
    pub fn expression(&self, e: &ast::Expr, columns: &[(String, LogicalType)]) -> Result<Typed> {
        let columns = columns
            .iter()
            .map(|(name, t)| ScopeColumn {
                qualifier: vec![],
                name: name.clone(),
                field: name.clone(),
                data_type: t.clone(),
            })
            .collect();
        expression::ExpressionBinder::new(&self.functions, &Scope::of(columns), "an expression").bind(e)
    }

    /// An expression given as text.
    pub fn expression_text(&self, text: &str, columns: &[(String, LogicalType)]) -> Result<Typed> {
        self.expression(&self.tables.parse_expression(text)?, columns)
    }
}

/// Refuses a plan of too many operators. What is shared counts wherever it stands.
pub(crate) fn not_too_large(plan: &LogicalPlan) -> Result<()> {
    fn fits(plan: &LogicalPlan, left: &mut usize) -> bool {
        let Some(rest) = left.checked_sub(1) else { return false };
        *left = rest;
        plan.inputs().into_iter().all(|input| fits(input, left))
    }
    if fits(plan, &mut { QUERY_NODES_MAX }) {
        return Ok(());
    }
    Err(Error::user(format!(
        "the query has more than {QUERY_NODES_MAX} operators once its views and WITH clauses stand where they are named"
    ))
    .hint("Write what views that are named several times give into a table, and read that"))
}

/// A projection with names and types.
pub(crate) fn project(input: LogicalPlan, columns: Vec<(String, Typed)>) -> Result<LogicalPlan> {
    let schema = plan_schema(columns.iter().map(|(n, t)| (n.as_str(), &t.data_type)))?;
    let expressions = columns
        .into_iter()
        .map(|(name, t)| {
            let e = fold::fold_casts(t.expr)?;
            Ok(match &e {
                datafusion_expr::Expr::Column(c) if c.name == name => e,
                _ => e.alias(name),
            })
        })
        .collect::<Result<_>>()?;
    let projection =
        datafusion_expr::logical_plan::Projection::try_new_with_schema(expressions, Arc::new(input), schema)
            .map_err(from_datafusion)?;
    Ok(LogicalPlan::Projection(projection))
}

/// A filter.
pub(crate) fn filter(input: LogicalPlan, condition: Typed) -> Result<LogicalPlan> {
    let filter = datafusion_expr::logical_plan::Filter::try_new(fold::fold_casts(condition.expr)?, Arc::new(input))
        .map_err(from_datafusion)?;
    Ok(LogicalPlan::Filter(filter))
}

impl Binder<'_> {
    pub(crate) fn is_batch(&self) -> bool {
        is_batch(self.config)
    }

    pub(crate) fn local_time_zone(&self) -> String {
        local_time_zone(self.config)
    }
}

/// When a query started, in ms since the epoch (Flink's internal option of this name): all who plan a job, and its bundle,
/// know one time.
pub const QUERY_START: &str = "__table.query-start.epoch-time__";

const RUNTIME_MODE: &str = "execution.runtime-mode";

/// Whether results are final: no watermark, every row is there before the first window ends.
pub(crate) fn is_batch(config: &Options) -> bool {
    config.get(RUNTIME_MODE).is_some_and(|m| m.eq_ignore_ascii_case("batch"))
}

/// Whether casts are those of Flink before 1.15.
fn is_legacy_cast(config: &Options) -> bool {
    config.get("table.exec.legacy-cast-behaviour").is_some_and(|v| v.eq_ignore_ascii_case("enabled"))
}

/// AUTOMATIC is for programs of the DataStream API; a statement is planned for one mode.
pub(crate) fn check_runtime_mode(key: &str, mode: &str) -> Result<()> {
    if key != RUNTIME_MODE || !mode.eq_ignore_ascii_case("automatic") {
        return Ok(());
    }
    Err(Error::user(format!(
        "Unsupported mode '{mode}' for '{RUNTIME_MODE}'. Only an explicit BATCH or STREAMING mode is supported"
    ))
    .hint(format!("SET '{RUNTIME_MODE}' = 'BATCH' where every source ends, 'STREAMING' otherwise")))
}

/// `table.local-time-zone`, UTC where it is not set.
pub(crate) fn local_time_zone(config: &Options) -> String {
    config.get("table.local-time-zone").filter(|z| *z != "default").unwrap_or("UTC").to_string()
}

impl<'a> Binder<'a> {
    pub(crate) fn tables(&self) -> &'a dyn Tables {
        self.tables
    }
}
