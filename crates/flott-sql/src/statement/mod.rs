//! Statements that are not jobs: they change or show the session's catalogs and configuration.

mod alter;
pub mod config;
mod ddl;
mod function;
mod like;
mod place;
mod schema;
mod show;
mod show_create;
mod view;

use std::path::PathBuf;
use std::sync::Arc;

use flott_connector::factory::Registry;
use flott_connector::function::{FunctionSignature, ProgramFunctions};
use flott_core::LogicalType;
use flott_core::error::{Error, Result};
use flott_core::options::Options;

use crate::catalog::CatalogManager;
use crate::parser::ast::{ObjectKind, Statement};

pub use ddl::create_table;

/// What statements work on.
#[derive(Debug, Clone, Default)]
pub struct SessionState {
    /// Catalogs, databases, tables, views.
    pub catalog: CatalogManager,
    /// What SET has set.
    pub config: Options,
    /// The functions' names, for SHOW FUNCTIONS.
    pub functions: Vec<String>,
    /// The functions of the program around, and the languages of code.
    pub program: Arc<ProgramFunctions>,
    /// Where the relative paths of artifacts start.
    pub base_dir: PathBuf,
}

/// What a statement answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementResult {
    /// It was done.
    Ok,
    /// Rows of texts, NULL as `None`.
    Rows {
        /// The columns' names.
        columns: Vec<String>,
        /// The rows.
        rows: Vec<Vec<Option<String>>>,
    },
}

impl StatementResult {
    /// Rows without NULL.
    pub(crate) fn rows<const N: usize>(columns: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> Self {
        StatementResult::Rows {
            columns: columns.iter().map(|c| c.to_string()).collect(),
            rows: rows.into_iter().map(|r| r.into_iter().map(Some).collect()).collect(),
        }
    }
}

/// Types expressions and queries: the binder, for who has one.
pub trait ExpressionResolver {
    /// The type of an expression over columns.
    fn resolve(&self, text: &str, columns: &[(String, LogicalType)]) -> Result<LogicalType>;
    /// The columns of a query.
    fn query_schema(&self, state: &SessionState, text: &str) -> Result<Vec<(String, LogicalType)>>;
    /// Whether the query of a table function gives the columns that it declares.
    fn check_table_function(&self, state: &SessionState, function: &FunctionSignature, body: &str) -> Result<()>;
}

/// Runs a statement that is not a job.
pub fn execute(
    statement: &Statement,
    state: &mut SessionState,
    registry: &Registry,
    resolver: &dyn ExpressionResolver,
) -> Result<StatementResult> {
    let done = |()| StatementResult::Ok;
    match statement {
        Statement::Query(_)
        | Statement::Insert(_)
        | Statement::StatementSet(_)
        | Statement::Explain { .. }
        | Statement::ExplainJob { .. }
        | Statement::StopJob { .. } => Err(Error::internal("a job was given to the statements that are none")),
        Statement::CreateTable(create) => {
            if create.query.is_some() {
                return Err(Error::internal("CREATE TABLE AS was given to the statements that are no jobs"));
            }
            create_table(create, state, resolver, None).map(done)
        }
        Statement::CreateView { name, temporary, if_not_exists, columns, comment, text, text_position, .. } => {
            let definition = view::Definition { columns, comment: comment.as_deref(), text, position: *text_position };
            view::create(name, definition, *temporary, *if_not_exists, state, resolver).map(done)
        }
        Statement::AlterViewRename { name, to } => view::rename(name, to, state).map(done),
        Statement::AlterViewAs { name, text, text_position, .. } => {
            view::alter(name, text, *text_position, state, resolver).map(done)
        }
        Statement::AlterTable { name, if_exists, change } => {
            alter::alter_table(name, *if_exists, change, state, resolver).map(done)
        }
        Statement::AlterDatabase { name, options } => ddl::alter_database(name, options, state).map(done),
        Statement::AlterCatalog { name, change } => ddl::alter_catalog(name, change, state).map(done),
        Statement::CreateCatalog { name, if_not_exists, comment, options } => {
            ddl::create_catalog(name, *if_not_exists, comment, options, state).map(done)
        }
        Statement::CreateDatabase { name, if_not_exists, comment, options } => {
            ddl::create_database(name, *if_not_exists, comment, options, state).map(done)
        }
        Statement::CreateFunction(create) => function::create(create, state, resolver).map(done),
        Statement::Drop { kind: ObjectKind::Function, name, temporary, system, if_exists, .. } => {
            function::drop(name, *temporary, *system, *if_exists, state).map(done).map_err(|e| e.at(name.position()))
        }
        Statement::Drop { kind, name, temporary, if_exists, cascade, .. } => {
            ddl::drop_object(*kind, name, *temporary, *if_exists, *cascade, state).map(done)
        }
        Statement::Use(name) => state.catalog.use_database(&name.texts()).map(done).map_err(|e| e.at(name.position())),
        Statement::UseCatalog(name) => ddl::use_catalog(name, state).map(done),
        Statement::Show { kind, scope, like } => show::show(kind, scope.as_ref(), like.as_ref(), state, registry),
        Statement::Describe { kind, name, extended } => show::describe(*kind, name, *extended, state),
        Statement::Set(pair) => config::set(pair.as_ref(), state),
        Statement::Reset(key) => config::reset(key.as_deref(), state).map(done),
        Statement::Unsupported { what, hint, position } => {
            Err(Error::user(format!("{what} is not supported")).at(*position).hint(hint.clone()))
        }
    }
}

#[cfg(test)]
mod tests;
