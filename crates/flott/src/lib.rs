//! Flott as a library: a session that runs Flink SQL, and handles of its jobs.
//!
//! This is the composition root: the only place that lists connectors, formats and functions. The command line is a thin
//! user of it. A failed job is an `Err`; nothing here installs signal handlers, opens ports or ends the process. Sessions
//! share nothing but what is true of the whole process: which attempts of a job it runs, and which brokers are away (so that
//! an outage is logged once).
//!
//! ```
//! use flott::{JobOutcome, Outcome, Session, StopMode};
//!
//! #[tokio::main]
//! async fn main() -> flott::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//!     let mut session = Session::builder().base_dir(folder).option("parallelism.default", "2").build()?;
//!
//!     // A bounded query, as Arrow batches.
//!     let batches = session.sql_query("SELECT a * 2 FROM (VALUES (1), (2)) AS t (a)").await?.collect().await?;
//!     assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 2);
//!
//!     // A job that runs until it is stopped. Its checkpoints are kept, so that it can go on later.
//!     session.execute_sql("CREATE TABLE s (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '100')").await?;
//!     session
//!         .execute_sql("CREATE TABLE o (id INT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv')")
//!         .await?;
//!     let Outcome::Job(mut job) = session.execute_sql("INSERT INTO o SELECT id FROM s WHERE id > 0").await? else {
//!         unreachable!("an INSERT starts a job")
//!     };
//!     job.handle.stop(StopMode::suspend()).await?;
//!     assert!(matches!(job.wait().await?, JobOutcome::Suspended(_)));
//!     Ok(())
//! }
//! ```
//!
//! | to do this | use |
//! |---|---|
//! | run a script, statement by statement | [`Session::parse`], [`Session::execute`] |
//! | read a query of any size, or one that never ends | [`Query::next`], [`Query::into_stream`] |
//! | follow a job, take savepoints, stop and cancel it | [`JobClient`], by `job.handle` |
//! | start from a savepoint or go on from a checkpoint | [`SessionBuilder::restore`] |
//! | read what a job measures | [`Session::metrics`], [`metrics`] |
//! | see what holds event time back | [`watermarks`], `EXPLAIN WATERMARK FOR JOB` |
//! | let other processes control a job | [`SessionBuilder::control_sockets`], [`control`] |
//! | add a connector or a format | [`SessionBuilder::registry`] |
//! | add a function | [`SessionBuilder::function`], [`function`] |
//!
//! Jobs run on the tokio runtime on which they were started (multi-threaded, with time and IO enabled) and on worker
//! threads of their own. Dropping a [`Session`] or a [`Job`] ends nothing; dropping a [`Query`] cancels it; a runtime that
//! is shut down ends its jobs as a crash does.
#![forbid(unsafe_code)]

mod bundle;
mod collect;
mod config;
pub mod control;
pub mod function;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod infer;
mod jobs;
mod limits;
mod lineage;
mod memory;
pub mod metrics;
mod metrics_endpoint;
mod option_places;
mod processes;
mod query;
mod registry;
mod session;
mod vocabulary;
pub mod watermarks;

pub use infer::{InferRequest, InferredTable, SAMPLE_RECORDS};

pub use arrow_array;
pub use arrow_schema;
pub use flott_cluster::{
    Ending, JobClient, JobHandle, JobOutcome, JobState, JobStatus, SavepointInfo, SavepointTarget, StopMode,
};
pub use flott_connector::factory::{ConnectorFactory, Registry};
pub use flott_connector::{format, row_text, watermark_options};
pub use flott_core::{Error, ErrorKind, FailPoints, Result};
pub use flott_graph::{JobGraph, OperatorSpec};
pub use flott_runtime::metrics::SubtaskMetrics;
pub use flott_sql::parser::ast::{ExplainDetail, SpannedStatement, Statement};
pub use flott_sql::parser::split;
pub use flott_sql::parser::{parse_statement_at, statements};
pub use flott_state::owner::Owner;
pub use flott_state::store::TakenOver;
pub use limits::{Limit, limits};
pub use lineage::Restore;
pub use processes::{Processes, run_worker};
pub use query::Query;
pub use registry::{aggregates, default_registry, function_names, functions};
pub use session::{Job, Outcome, Session, SessionBuilder};
pub use vocabulary::Vocabulary;

/// What the reference page says of functions.
pub mod reference {
    pub use flott_function::scalar::{Category, ScalarFunction};
    pub use flott_function::{CONVERSIONS, Documentation, Example, GROUPING};
    pub use flott_sql::reference::{FAMILIES, Family};
}

/// Tables of configuration options, for the reference page.
pub fn configuration() -> &'static [flott_core::options::ConfigOption] {
    flott_sql::statement::config::known()
}

/// Names that options had in older versions of Flink, each with the one of today.
pub fn older_names() -> &'static [(&'static str, &'static str)] {
    flott_sql::statement::config::older_names()
}
