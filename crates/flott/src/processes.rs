//! Jobs in several processes: what a worker process plans from, and its entry.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use flott_cluster::process::worker::{Invitation, PlanJob, PlannedJob};
use flott_cluster::process::{ProcessOptions, WorkerCommand, worker};
use flott_connector::factory::Registry;
use flott_core::clock::SystemClock;
use flott_core::options::Options;
use flott_core::{Error, FailPoints, Result};
use flott_graph::JobGraph;
use flott_sql::catalog::CatalogManager;
use flott_sql::parser::ast::Statement;
use flott_sql::parser::parse_script;
use flott_sql::plan::Planner;
use serde::{Deserialize, Serialize};

use crate::collect::CollectSink;
use crate::config;
use crate::lineage::Places;

/// How the jobs of a session run in several processes of this machine.
#[derive(Clone)]
pub struct Processes {
    /// This process and those that it starts, from 2.
    pub count: usize,
    /// Starts a worker process: a program of the same build that calls [`run_worker`].
    pub command: WorkerCommand,
    /// What the program was built from: a worker of another build is refused.
    pub build: String,
}

impl std::fmt::Debug for Processes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} processes of build {}", self.count, self.build)
    }
}

/// More processes than this help nobody.
pub(crate) const MAX_PROCESSES: usize = 64;

impl Processes {
    /// So many processes, started by this command.
    pub fn new(
        count: usize,
        build: impl Into<String>,
        command: impl Fn() -> Command + Send + Sync + 'static,
    ) -> Processes {
        Processes { count, command: Arc::new(command), build: build.into() }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if (1..=MAX_PROCESSES).contains(&self.count) {
            return Ok(());
        }
        Err(Error::user(format!("a job cannot run in {} processes; 1 to {MAX_PROCESSES} are possible", self.count)))
    }

    /// For one job. `None` where it runs in this process alone.
    pub(crate) fn options(&self, bundle: &WorkerBundle, options: &Options) -> Result<Option<ProcessOptions>> {
        if self.count < 2 {
            return Ok(None);
        }
        let bundle = serde_json::to_string(bundle)
            .map_err(|e| Error::internal("the job cannot be sent to other processes").caused_by(e))?;
        Ok(Some(ProcessOptions {
            processes: self.count,
            command: Arc::clone(&self.command),
            build: self.build.clone(),
            heartbeat: config::heartbeat(options)?,
            bundle,
        }))
    }
}

/// All that planning a job depends on, and nothing else. It holds secrets: it goes from process to process, never into a
/// file.
#[derive(Serialize, Deserialize)]
pub(crate) struct WorkerBundle {
    /// The statement that started the job.
    pub(crate) statement: String,
    /// The session's configuration.
    pub(crate) config: Vec<(String, String)>,
    /// Its catalogs. The table of a CREATE TABLE AS is there already.
    pub(crate) catalog: serde_json::Value,
    pub(crate) base_dir: PathBuf,
    /// Under which its checkpoints lie; `None` where it has none.
    pub(crate) job: Option<String>,
    /// The ids of the operators, in their order: those under which their state lies.
    pub(crate) uids: Vec<String>,
}

impl WorkerBundle {
    /// Plans the job. What a query's result goes into has to be kept.
    fn plan(
        &self,
        registry: Arc<Registry>,
        fail_points: FailPoints,
    ) -> Result<(JobGraph, Box<dyn std::any::Any + Send>)> {
        let catalog = CatalogManager::from_snapshot(self.catalog.clone())?;
        let config = self.options();
        let planner = Planner::new(&catalog, registry, &config, &self.base_dir, fail_points);
        let statements = parse_script(&self.statement)?;
        let [statement] = statements.as_slice() else {
            return Err(Error::internal(format!("a job of {} statements", statements.len())));
        };
        let graph = match &statement.statement {
            Statement::Query(query) => {
                // Rows of a result come out in the coordinator only, whose sink it is.
                let (sink, rows) = CollectSink::new();
                let graph = planner.plan_query(query)?.into_graph(sink, Some(1), Some("collect".to_string()))?;
                return Ok((graph, Box::new(rows)));
            }
            Statement::Insert(insert) => planner.plan_statement_set(std::slice::from_ref(insert), None)?,
            Statement::StatementSet(inserts) => planner.plan_statement_set(inserts, None)?,
            Statement::CreateTable(create) => {
                let Some((query, _)) = &create.query else { return Err(Error::internal("a table is no job")) };
                let columns = planner.query_columns(query)?;
                let insert = create.insert(query, columns.into_iter().map(|(name, _)| name));
                planner.plan_statement_set(&[insert], None)?
            }
            _ => return Err(Error::internal("a statement that is no job")),
        };
        Ok((graph, Box::new(())))
    }

    fn options(&self) -> Options {
        self.config.iter().cloned().collect()
    }
}

fn plan(bundle: &str, registry: Arc<Registry>, fail_points: FailPoints) -> Result<PlannedJob> {
    let bundle: WorkerBundle = serde_json::from_str(bundle)
        .map_err(|e| Error::internal("the job that the coordinator has sent cannot be read").caused_by(e))?;
    let (mut graph, keep) = bundle.plan(registry, fail_points.clone())?;
    // Where it is another graph, its fingerprint says so.
    graph.rename(bundle.uids.clone());
    let places =
        Places { config: bundle.options(), base_dir: bundle.base_dir.clone(), fail_points: fail_points.clone() };
    let storage = bundle.job.as_deref().map(|job| places.checkpoints(job)).transpose()?;
    Ok(PlannedJob {
        graph: Arc::new(graph),
        build: Arc::new(flott_operator::build::build),
        storage,
        open: Arc::new(move |folder| {
            // As it is shown: with the script's folder in front, if it is no absolute one.
            let is_uri = folder.contains("://");
            let folder = if is_uri { Path::new(folder).to_path_buf() } else { std::path::absolute(folder)? };
            places.at(&folder.to_string_lossy())
        }),
        clock: SystemClock::shared(),
        fail_points,
        base_dir: bundle.base_dir,
        keep,
    })
}

/// Works for a coordinator in another process, until it says that all is over. `invitation` is the first line of the
/// standard input. An error means that the coordinator is gone or has refused this process, which then has to end at
/// once: closing what it has open could add to what its successor writes.
pub async fn run_worker(
    invitation: &str,
    build: &str,
    registry: Option<Registry>,
    fail_points: FailPoints,
) -> Result<()> {
    let registry = Arc::new(registry.unwrap_or_else(crate::registry::default_registry));
    let plan: PlanJob = Arc::new(move |bundle| plan(bundle, Arc::clone(&registry), fail_points.clone()));
    worker::run(Invitation::parse(invitation)?, build, plan).await
}
