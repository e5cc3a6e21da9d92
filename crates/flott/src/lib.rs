//! Flott as a library: a session that runs Flink SQL, and handles of its jobs.
//!
//! This is the composition root: the only place that lists connectors, formats and functions. The command line is a thin
//! user of it. A failed job is an `Err`; nothing here installs signal handlers, opens ports or ends the process.
//!
//! ```no_run
//! # async fn example() -> flott::Result<()> {
//! let mut session = flott::Session::builder().base_dir("jobs").build()?;
//! for statement in session.parse("SELECT 1 + 1")? {
//!     if let flott::Outcome::Query(mut query) = session.execute(&statement).await? {
//!         while let Some(batch) = query.next().await {
//!             assert_eq!(batch.num_rows(), 1);
//!         }
//!         query.job.wait().await?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod bundle;
mod collect;
mod config;
pub mod control;
mod jobs;
mod limits;
mod lineage;
mod memory;
pub mod metrics;
mod metrics_endpoint;
mod registry;
mod session;
mod vocabulary;

pub use flott_cluster::{
    JobClient, JobHandle, JobOutcome, JobState, JobStatus, SavepointInfo, SavepointTarget, StopMode,
};
pub use flott_connector::factory::{ConnectorFactory, Registry};
pub use flott_connector::{format, row_text, watermark_options};
pub use flott_core::{Error, ErrorKind, FailPoints, Result};
pub use flott_graph::{JobGraph, OperatorSpec};
pub use flott_runtime::metrics::SubtaskMetrics;
pub use flott_sql::parser::ast::{ExplainDetail, SpannedStatement, Statement};
pub use flott_state::owner::Owner;
pub use flott_state::store::TakenOver;
pub use limits::{Limit, limits};
pub use lineage::Restore;
pub use registry::{aggregates, default_registry, function_names, functions, window_functions};
pub use session::{Job, Outcome, Query, Session, SessionBuilder};
pub use vocabulary::Vocabulary;

/// Tables of configuration options, for the reference page.
pub fn configuration() -> &'static [flott_core::options::ConfigOption] {
    flott_sql::statement::config::known()
}
