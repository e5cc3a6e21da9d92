//! A session: catalogs, configuration, and the jobs that its statements start.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use flott_cluster::{JobHandle, JobOutcome, JobSpec, RestartStrategy, SavepointTarget, StopMode};
use flott_connector::factory::Registry;
use flott_connector::function::{FunctionDefinition, FunctionSignature};
use flott_connector::sink::DeliveryGuarantee;
use flott_connector::storage;
use flott_core::clock::{Clock, SystemClock};
use flott_core::error::Position;
use flott_core::options::Options;
use flott_core::{Error, FailPoints, LogicalType, Result};
use flott_graph::{JobGraph, OperatorSpec};
use flott_sql::catalog::CatalogManager;
use flott_sql::parser::ast::{CreateTable, ExplainDetail, InsertStatement, ShowKind, SpannedStatement, Statement};
use flott_sql::parser::{Name, parse_query, parse_script, quoted};
use flott_sql::plan::Planner;
use flott_sql::statement::{self, ExpressionResolver, SessionState, StatementResult};
use flott_state::manifest::Manifest;
use flott_state::store::TakenOver;

use crate::collect::CollectSink;
use crate::control::{self, ControlSocket};
use crate::jobs::{Jobs, KnownJob};
use crate::lineage::{self, Decision, Places, Restore};
use crate::metrics::{JobMeter, MetricsReport};
use crate::metrics_endpoint::{self, MetricsEndpoint};
use crate::option_places::OptionPlaces;
use crate::processes::{Processes, WorkerBundle};
use crate::query::Query;
use crate::{bundle, config};

/// Makes a session.
#[derive(Debug, Clone)]
pub struct SessionBuilder {
    registry: Option<Registry>,
    functions: Vec<(String, FunctionDefinition)>,
    base_dir: PathBuf,
    config: Options,
    name: String,
    restore: Restore,
    allow_non_restored_state: bool,
    allow_lost_output: bool,
    fail_points: FailPoints,
    control_sockets: bool,
    one_script: bool,
    jobs_named_by_sinks: bool,
    processes: Option<Processes>,
    clock: Option<Arc<dyn Clock>>,
}

impl SessionBuilder {
    /// Connectors and formats other than the built-in ones.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// A function in Rust that statements call by this name, in any case ([`crate::function`]). It comes before a built-in
    /// one, as a temporary system function does. Jobs in several processes ([`processes`](Self::processes)) plan in each of
    /// them: give the function to the registry of the workers, too ([`Registry::add_function`]).
    #[must_use]
    pub fn function(mut self, name: impl Into<String>, definition: FunctionDefinition) -> Self {
        self.functions.push((name.into(), definition));
        self
    }

    /// Where relative paths start; the working directory where it is not said.
    #[must_use]
    pub fn base_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.base_dir = folder.into();
        self
    }

    /// A configuration option, as SET sets one.
    #[must_use]
    pub fn option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.set(key, value);
        self
    }

    /// The name under which checkpoints of this session's jobs are kept: of the script, usually.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What to do with earlier runs of the jobs.
    #[must_use]
    pub fn restore(mut self, restore: Restore) -> Self {
        self.restore = restore;
        self
    }

    /// A restore may drop state of operators, and outputs, that the jobs no longer have.
    #[must_use]
    pub fn allow_non_restored_state(mut self, allow: bool) -> Self {
        self.allow_non_restored_state = allow;
        self
    }

    /// Decided output that an earlier run could not commit, and has failed with, is given up: its rows will be missing.
    #[must_use]
    pub fn allow_lost_output(mut self, allow: bool) -> Self {
        self.allow_lost_output = allow;
        self
    }

    /// Where a test stops the process.
    #[must_use]
    pub fn fail_points(mut self, fail_points: FailPoints) -> Self {
        self.fail_points = fail_points;
        self
    }

    /// Jobs listen on a Unix socket, through which other processes of the same user control them ([`crate::control`]).
    #[must_use]
    pub fn control_sockets(mut self, listen: bool) -> Self {
        self.control_sockets = listen;
        self
    }

    /// Its statements are those of one script: an error of one may name a place in another one.
    #[must_use]
    pub fn one_script(mut self, one: bool) -> Self {
        self.one_script = one;
        self
    }

    /// Jobs without `pipeline.name` are called as in Flink, `insert-into_catalog.database.table`, and not as the session:
    /// one in which somebody types has no name that says anything. Their checkpoints lie under the session's name all the same.
    #[must_use]
    pub fn jobs_named_by_sinks(mut self, by_sinks: bool) -> Self {
        self.jobs_named_by_sinks = by_sinks;
        self
    }

    /// Jobs run in several processes.
    #[must_use]
    pub fn processes(mut self, processes: Processes) -> Self {
        self.processes = Some(processes);
        self
    }

    /// Where this process's time comes from: the machine, where it is not said.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The session. Wrong configuration options are refused here, and functions that no statement could call.
    pub fn build(self) -> Result<Session> {
        self.processes.as_ref().map_or(Ok(()), Processes::check)?;
        let mut registry = self.registry.unwrap_or_else(crate::registry::default_registry);
        for (name, definition) in self.functions {
            registry.add_function(&name, definition);
        }
        let program = Arc::clone(registry.functions());
        for name in program.names() {
            let signature = program.get(name).map(|f| &f.signature);
            let checked = signature.map_or(Ok(()), |s| s.check_names().and_then(|()| s.check_code_types()));
            checked.map_err(|e| e.with("function", name))?;
        }
        let mut session = Session {
            registry: Arc::new(registry),
            state: SessionState {
                catalog: CatalogManager::default(),
                config: Options::new(),
                functions: crate::registry::function_names(),
                program,
                base_dir: self.base_dir.clone(),
            },
            base_dir: self.base_dir,
            name: self.name,
            jobs_named_by_sinks: self.jobs_named_by_sinks,
            restore: self.restore,
            allow_non_restored_state: self.allow_non_restored_state,
            allow_lost_output: self.allow_lost_output,
            fail_points: self.fail_points,
            processes: self.processes,
            clock: self.clock.unwrap_or_else(SystemClock::shared),
            names: HashMap::new(),
            jobs: Jobs::default(),
            control_sockets: self.control_sockets.then(Vec::new),
            option_places: self.one_script.then(OptionPlaces::default),
            endpoint: None,
        };
        for (key, value) in self.config.iter() {
            session.execute_plain(&Statement::Set(Some((key.to_string(), value.to_string()))))?;
        }
        Ok(session)
    }
}

/// What a statement gave.
pub enum Outcome {
    /// It was done.
    Done,
    /// Rows of texts.
    Rows {
        /// The columns' names.
        columns: Vec<String>,
        /// The rows; NULL is `None`.
        rows: Vec<Vec<Option<String>>>,
    },
    /// A text (EXPLAIN).
    Text(String),
    /// A job is running.
    Job(Job),
    /// A query is running.
    Query(Query),
    /// The job had finished before, and nothing is left to do.
    AlreadyFinished {
        /// Its name.
        job: String,
    },
}

/// A running job. It goes on when this is dropped, as long as the runtime lives on which it was started; to end it,
/// [stop](flott_cluster::JobClient::stop) or [cancel](flott_cluster::JobClient::cancel) it. A runtime that is shut down
/// ends its jobs at once, as a crash does: what is decided stays, and `Restore::Latest` goes on from there.
pub struct Job {
    /// Its name.
    pub name: String,
    /// The name that its checkpoints lie under: what `pipeline.name` has to be where another one is to go on from them.
    pub lineage: String,
    /// Where its checkpoints lie, where it has any.
    pub checkpoints: Option<String>,
    /// The checkpoint that it goes on from.
    pub restored: Option<u64>,
    /// The savepoint that it starts from, where it is one.
    pub savepoint: Option<String>,
    /// Where a last checkpoint was looked for ([`Restore::Latest`]) and none was: the job starts from the beginning. Empty for
    /// a job that keeps none.
    pub started_anew: Option<String>,
    /// The attempt before, where that had not come to an end: from here on it can decide no checkpoint.
    pub took_over: Option<TakenOver>,
    /// Where its statement stands in the script.
    pub position: Option<Position>,
    /// Status, metrics, stop, cancel.
    pub handle: JobHandle,
}

impl Job {
    /// Waits for the end. An error says where in the script the INSERT stands whose operator has failed, or else the statement.
    pub async fn wait(&mut self) -> Result<JobOutcome> {
        let outcome = self.handle.wait().await;
        outcome.map_err(|e| {
            let e = e.with("job", &self.name);
            let of_insert = e.context("operator").and_then(|name| self.handle.graph().written_at(name));
            match of_insert.or(self.position) {
                Some(position) => e.at(position),
                None => e,
            }
        })
    }
}

/// Runs statements. Jobs go on when it is dropped; they are then no longer listed, and can no longer be controlled or
/// measured by other processes.
pub struct Session {
    registry: Arc<Registry>,
    state: SessionState,
    base_dir: PathBuf,
    name: String,
    jobs_named_by_sinks: bool,
    restore: Restore,
    allow_non_restored_state: bool,
    allow_lost_output: bool,
    fail_points: FailPoints,
    processes: Option<Processes>,
    clock: Arc<dyn Clock>,
    /// How many jobs have had each name.
    names: HashMap<String, usize>,
    /// The jobs that it started.
    jobs: Jobs,
    /// Where they listen, where they are to.
    control_sockets: Option<Vec<ControlSocket>>,
    /// Where tables are defined, where all statements are of one script.
    option_places: Option<OptionPlaces>,
    /// Where their metrics can be read.
    endpoint: Option<MetricsEndpoint>,
}

/// What a statement has changed is put back where it comes to nothing: by an error, or because its future is dropped.
struct Undo<'a> {
    session: &'a mut Session,
    catalog: Option<CatalogManager>,
    names: Option<HashMap<String, usize>>,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Some(catalog) = self.catalog.take() {
            self.session.state.catalog = catalog;
        }
        if let Some(names) = self.names.take() {
            self.session.names = names;
        }
    }
}

/// Types expressions for the DDL.
struct Resolver<'a> {
    registry: &'a Arc<Registry>,
    config: &'a Options,
    base_dir: &'a PathBuf,
}

impl ExpressionResolver for Resolver<'_> {
    fn resolve(&self, text: &str, columns: &[(String, LogicalType)]) -> Result<LogicalType> {
        let catalog = CatalogManager::default();
        let registry = Arc::clone(self.registry);
        Planner::new(&catalog, registry, self.config, self.base_dir, FailPoints::none()).expression_type(text, columns)
    }

    fn query_schema(&self, state: &SessionState, text: &str) -> Result<Vec<(String, LogicalType)>> {
        let query = parse_query(text)?;
        let registry = Arc::clone(self.registry);
        Planner::new(&state.catalog, registry, &state.config, self.base_dir, FailPoints::none()).query_columns(&query)
    }

    fn check_table_function(&self, state: &SessionState, function: &FunctionSignature, body: &str) -> Result<()> {
        flott_sql::plan::TypeResolver::new(Arc::clone(self.registry)).check_table_function(state, function, body)
    }
}

impl Session {
    /// A session's settings.
    pub fn builder() -> SessionBuilder {
        SessionBuilder {
            registry: None,
            functions: vec![],
            base_dir: PathBuf::from("."),
            config: Options::new(),
            name: "session".to_string(),
            restore: Restore::Ask,
            allow_non_restored_state: false,
            allow_lost_output: false,
            fail_points: FailPoints::none(),
            control_sockets: false,
            one_script: false,
            jobs_named_by_sinks: false,
            processes: None,
            clock: None,
        }
    }

    /// The statements of a script.
    pub fn parse(&self, script: &str) -> Result<Vec<SpannedStatement>> {
        parse_script(script)
    }

    /// The session's configuration.
    pub fn config(&self) -> &Options {
        &self.state.config
    }

    /// Whether a script waits for an INSERT before it goes on (`table.dml-sync`). [`execute`](Self::execute) itself never
    /// waits.
    pub fn dml_sync(&self) -> Result<bool> {
        config::dml_sync(&self.state.config)
    }

    /// How wide a column of a printed result may be (`table.display.max-column-width`).
    pub fn column_width(&self) -> Result<usize> {
        config::column_width(&self.state.config)
    }

    /// Whether a shell shows how long a query took (`sql-client.display.print-time-cost`).
    pub fn prints_time_cost(&self) -> Result<bool> {
        config::prints_time_cost(&self.state.config)
    }

    /// The connectors and formats.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn catalog(&self) -> &CatalogManager {
        &self.state.catalog
    }

    fn planner(&self) -> Planner<'_> {
        Planner::new(
            &self.state.catalog,
            Arc::clone(&self.registry),
            &self.state.config,
            &self.base_dir,
            self.fail_points.clone(),
        )
    }

    /// Runs one statement, given as text (Flink's `executeSql`). Jobs are started and not waited for.
    pub async fn execute_sql(&mut self, statement: &str) -> Result<Outcome> {
        let statement = self.single(statement)?;
        self.execute(&statement).await
    }

    /// Starts one query, given as text (Flink's `sqlQuery`).
    pub async fn sql_query(&mut self, query: &str) -> Result<Query> {
        let statement = self.single(query)?;
        if !matches!(statement.statement, Statement::Query(_)) {
            return Err(Error::user("the statement is no query").hint("Use execute_sql for it"));
        }
        match self.execute(&statement).await? {
            Outcome::Query(query) => Ok(query),
            _ => Err(Error::internal("a query gave something else than rows")),
        }
    }

    fn single(&self, text: &str) -> Result<SpannedStatement> {
        let mut statements = self.parse(text)?;
        match (statements.pop(), statements.len()) {
            (Some(statement), 0) => Ok(statement),
            (None, _) => Err(Error::user("the text holds no statement")),
            (Some(_), more) => Err(Error::user(format!("the text holds {} statements", more + 1))
                .hint("Parse it, and execute its statements one by one")),
        }
    }

    /// Runs one statement. Jobs are started and not waited for.
    pub async fn execute(&mut self, statement: &SpannedStatement) -> Result<Outcome> {
        let text = &statement.text;
        self.state.config.set(flott_sql::bind::QUERY_START, self.clock.now_ms().to_string());
        let done = match &statement.statement {
            Statement::Query(query) => self.query(query, text).await,
            Statement::Insert(insert) => self.inserts(std::slice::from_ref(insert), text).await,
            Statement::StatementSet(inserts) if inserts.is_empty() => Ok(Outcome::Done),
            Statement::StatementSet(inserts) => self.inserts(inserts, text).await,
            Statement::Explain { details, inner } => self.planner().explain(inner, details).map(Outcome::Text),
            Statement::ExplainJob { job } => self.explain_job(job).await.map(Outcome::Text),
            Statement::CreateTable(create) if create.query.is_some() => self.create_table_as(create, text).await,
            Statement::Show { kind: ShowKind::Jobs, .. } => Ok(self.show_jobs()),
            Statement::StopJob { id, savepoint, drain } => self.stop_job(id, *savepoint, *drain).await,
            plain => self.execute_plain(plain),
        };
        let mut outcome = self.placed(statement, done)?;
        match &mut outcome {
            Outcome::Job(job) => job.position = Some(statement.position),
            Outcome::Query(query) => query.job.position = Some(statement.position),
            _ => {}
        }
        Ok(outcome)
    }

    /// The plan of a statement that would run a job. Nothing runs and nothing is written; definitions take effect in the
    /// session, so that later statements of a script can be explained too.
    pub fn explain(&mut self, statement: &SpannedStatement, details: &[ExplainDetail]) -> Result<Option<String>> {
        let explained = match &statement.statement {
            Statement::StatementSet(inserts) if inserts.is_empty() => Ok(None),
            Statement::Query(_) | Statement::Insert(_) | Statement::StatementSet(_) => {
                self.planner().explain(&statement.statement, details).map(Some)
            }
            Statement::CreateTable(create) if create.query.is_some() => {
                let plan = self.planner().explain(&statement.statement, details);
                plan.and_then(|plan| self.define_table_as(create).map(|_| Some(plan)))
            }
            Statement::Explain { details, inner } => self.planner().explain(inner, details).map(Some),
            // There is no job yet.
            Statement::StopJob { .. } | Statement::ExplainJob { .. } | Statement::Show { kind: ShowKind::Jobs, .. } => {
                Ok(None)
            }
            plain => self.execute_plain(plain).map(|_| None),
        };
        self.placed(statement, explained)
    }

    /// What a statement has come to; an error with its place.
    fn placed<T>(&mut self, statement: &SpannedStatement, done: Result<T>) -> Result<T> {
        match (done, &mut self.option_places) {
            (Ok(done), places) => {
                places.iter_mut().for_each(|p| p.see(&statement.statement));
                Ok(done)
            }
            (Err(e), Some(places)) => Err(places.located(e, &statement.text).at(statement.position)),
            (Err(e), None) => Err(e.at(statement.position)),
        }
    }

    fn execute_plain(&mut self, statement: &Statement) -> Result<Outcome> {
        let config = self.state.config.clone();
        let (registry, base_dir) = (Arc::clone(&self.registry), self.base_dir.clone());
        let resolver = Resolver { registry: &registry, config: &config, base_dir: &base_dir };
        let done = statement::execute(statement, &mut self.state, &registry, &resolver)?;
        if let Statement::Set(Some((key, _))) = statement
            && let Err(e) = config::check(&self.state.config, key.trim())
        {
            self.state.config = config;
            return Err(e.with("option", key.trim()));
        }
        Ok(match done {
            StatementResult::Ok => Outcome::Done,
            StatementResult::Rows { columns, rows } => Outcome::Rows { columns, rows },
        })
    }

    /// The table is made first, and taken back where its job does not start, or nobody waits for that any more.
    async fn create_table_as(&mut self, create: &CreateTable, text: &str) -> Result<Outcome> {
        let catalog = Some(self.state.catalog.clone());
        let mut undo = Undo { session: self, catalog, names: None };
        let insert = undo.session.define_table_as(create)?;
        let started = undo.session.inserts(&[insert], text).await?;
        undo.catalog = None;
        Ok(started)
    }

    /// Makes the table of a CREATE TABLE AS; what is left is the INSERT.
    fn define_table_as(&mut self, create: &CreateTable) -> Result<InsertStatement> {
        let Some((query, _)) = &create.query else { return Err(Error::internal("a CREATE TABLE AS without a query")) };
        let derived = self.planner().query_columns(query)?;
        let config = self.state.config.clone();
        let (registry, base_dir) = (Arc::clone(&self.registry), self.base_dir.clone());
        let resolver = Resolver { registry: &registry, config: &config, base_dir: &base_dir };
        // With a column list of its own the table may order its columns otherwise: insert by name.
        let column = |(name, _): &(String, LogicalType)| Name { parts: vec![quoted(name)] };
        let columns = derived.iter().map(column).collect();
        statement::create_table(create, &mut self.state, &resolver, Some(derived))?;
        Ok(InsertStatement {
            table: create.name.clone(),
            hints: vec![],
            partition: vec![],
            columns,
            overwrite: false,
            query: query.clone(),
            on_conflict: None,
            position: create.name.position(),
        })
    }

    /// The name that a job's checkpoints lie under (`pipeline.name`, or the script's), with a number where the session has
    /// a job of this name.
    fn lineage_name(&mut self) -> String {
        let name = self.state.config.get("pipeline.name").unwrap_or(&self.name).to_string();
        let used = self.names.entry(name.clone()).or_insert(0);
        *used += 1;
        if *used == 1 { name } else { format!("{name}-{used}") }
    }

    /// What a job is called.
    fn job_name(&self, graph: &JobGraph, lineage: &str) -> String {
        let by_sinks = self.jobs_named_by_sinks && self.state.config.get("pipeline.name").is_none();
        if by_sinks { graph.name.clone() } else { lineage.to_string() }
    }

    /// Starts the job of one or several INSERTs. One that does not start leaves its name to the next.
    async fn inserts(&mut self, inserts: &[InsertStatement], text: &str) -> Result<Outcome> {
        let names = Some(self.names.clone());
        let mut undo = Undo { session: self, catalog: None, names };
        let started = Box::pin(undo.session.start_inserts(inserts, text)).await?;
        undo.names = None;
        Ok(started)
    }

    async fn start_inserts(&mut self, inserts: &[InsertStatement], text: &str) -> Result<Outcome> {
        let mut graph = self.planner().plan_statement_set(inserts, None)?;
        self.open_endpoint().await?;
        let job = self.lineage_name();
        let restore = self.restore_from()?;
        // A checkpoint that the user names is restored or refused, never passed over.
        let wants_latest = restore == Restore::Latest;
        if !self.needs_store(&graph) && !matches!(restore, Restore::Path(_)) {
            let restarts = config::restart_strategy(&self.state.config, false)?;
            let name = self.job_name(&graph, &job);
            let handle = self.start(graph, None, restarts, self.bundle(text, None)).await?;
            return Ok(self.submit(Job {
                name,
                lineage: job,
                checkpoints: None,
                restored: None,
                savepoint: None,
                started_anew: wants_latest.then(String::new),
                took_over: None,
                position: None,
                handle,
            }));
        }
        let (places, retained) = (self.places(), config::checkpoints(&self.state.config)?.retained);
        let claim = config::claims_savepoints(&self.state.config)?;
        let beginning = match lineage::decide(&places, &restore, &job, claim, self.allow_lost_output).await? {
            Decision::Begin(beginning) => beginning,
            Decision::AlreadyFinished => return Ok(Outcome::AlreadyFinished { job: self.job_name(&graph, &job) }),
        };
        // Before the job is taken over: an attempt that cannot go on must not end one that does.
        let content = beginning.content().await?;
        if let Some((manifest, bundle)) = &content {
            self.adopt_state(&mut graph, manifest, bundle.as_deref())?;
        }
        if beginning.ends_something() {
            let threads = config::threads(&self.state.config, 1)?;
            let manifest = content.as_ref().map(|(manifest, _)| manifest);
            flott_cluster::check_sources(&graph, threads, manifest, &*self.clock).await?;
        }
        let (store, opened) = beginning.open(self.fail_points.clone(), retained).await?;
        let tenure = store.tenure();
        // Another one than it seemed: the newest is damaged, or somebody has decided one since.
        let seen = content.as_ref().map(|(manifest, _)| manifest.checkpoint);
        let adopted = match opened.manifest.as_ref().filter(|m| Some(m.checkpoint) != seen) {
            Some(manifest) => match store.restored_bundle().await {
                Ok(bundle) => self.adopt_state(&mut graph, manifest, bundle.as_deref()),
                Err(e) => Err(e),
            },
            None => Ok(()),
        };
        let started = match adopted {
            Ok(()) => Box::pin(self.start_with(graph, (store, opened), job, text, wants_latest)).await,
            Err(e) => Err(e),
        };
        if started.is_err() {
            flott_cluster::give_back(&tenure).await;
        }
        started
    }

    /// Starts a job whose checkpoints are taken over.
    async fn start_with(
        &mut self,
        graph: JobGraph,
        (mut store, opened): (flott_state::CheckpointStore, flott_state::store::Opened),
        job: String,
        text: &str,
        wants_latest: bool,
    ) -> Result<Outcome> {
        let bundle = bundle::encode(&graph, vec![text.to_string()], &self.state.config, self.state.catalog.snapshot())?;
        store.set_bundle(&bundle).await?;
        let checkpoints = Some(store.location());
        let restored = opened.manifest.as_ref().map(|m| m.checkpoint.0);
        let savepoint = opened.savepoint.clone();
        let took_over = opened.took_over.clone();
        let started_anew = (wants_latest && opened.manifest.is_none()).then(|| store.location());
        let restarts = config::restart_strategy(&self.state.config, true)?;
        let bundle = self.bundle(text, Some(&job));
        let name = self.job_name(&graph, &job);
        let handle = self.start(graph, Some((store, opened)), restarts, bundle).await?;
        let (lineage, position) = (job, None);
        Ok(self.submit(Job {
            name,
            lineage,
            checkpoints,
            restored,
            savepoint,
            started_anew,
            took_over,
            position,
            handle,
        }))
    }

    /// Gives the operators of a plan their state of a checkpoint, or says why it is not theirs.
    fn adopt_state(&self, graph: &mut JobGraph, manifest: &Manifest, bundle: Option<&[u8]>) -> Result<()> {
        if let Some(bundle) = bundle {
            let allowed = self.allow_non_restored_state()?;
            bundle::adopt(bundle, graph, |uid| !allowed && flott_cluster::holds_state_of(manifest, uid))?;
        }
        self.check_restorable(graph, manifest, bundle)
    }

    fn check_restorable(&self, graph: &JobGraph, manifest: &Manifest, bundle: Option<&[u8]>) -> Result<()> {
        let allowed = self.allow_non_restored_state()?;
        flott_cluster::check_restorable(graph, manifest, allowed)?;
        if let Some(dropped) = flott_cluster::dropped_state(graph, manifest) {
            tracing::warn!(checkpoint = manifest.checkpoint.0, "state is dropped, as allowed: {dropped}");
        }
        for node in &graph.nodes {
            if let Some(stored) = manifest.operators.get(&node.uid).filter(|stored| !stored.runs.is_empty()) {
                let metas = stored.subtasks.iter().map(|subtask| subtask.meta.bytes.as_slice());
                flott_operator::check_meaning(node, metas)?;
            }
        }
        let Some(bundle) = bundle else { return Ok(()) };
        let keeps_rows = |uid: &str| manifest.operators.get(uid).is_some_and(|stored| !stored.runs.is_empty());
        let changes = bundle::compare(bundle, graph, keeps_rows)?;
        for widened in &changes.widened {
            tracing::warn!("the query asks less of its rows than before checkpoint {}: {widened}", manifest.checkpoint);
        }
        if !changes.dropped_sinks.is_empty() && !allowed {
            return Err(Error::user(format!(
                "checkpoint {} is of a job that also wrote to: {}",
                manifest.checkpoint,
                changes.dropped_sinks.join(", ")
            ))
            .hint(
                "Rows behind the checkpoint would never come there. Restore with the script that wrote it, say that it \
                 is meant with --allow-non-restored-state, or start over with --fresh",
            ));
        }
        for sink in &changes.new_sinks {
            tracing::warn!("{sink} is new: it gets rows from checkpoint {} on", manifest.checkpoint);
        }
        Ok(())
    }

    pub(crate) fn places(&self) -> Places {
        let (config, base_dir) = (self.state.config.clone(), self.base_dir.clone());
        Places { config, base_dir, fail_points: self.fail_points.clone() }
    }

    fn allow_non_restored_state(&self) -> Result<bool> {
        let option = statement::config::option_of("execution.state-recovery.ignore-unclaimed-state")?;
        Ok(self.allow_non_restored_state || self.state.config.bool(option)?)
    }

    fn submit(&mut self, job: Job) -> Outcome {
        let known = KnownJob {
            name: job.name.as_str().into(),
            meter: JobMeter::new(&job.name, job.handle.client(), Arc::clone(&self.clock)),
        };
        if let Some(sockets) = &mut self.control_sockets {
            // A job that runs is worth more than its control.
            match control::serve(known.clone(), job.checkpoints.clone()) {
                Ok(socket) => sockets.push(socket),
                Err(error) => tracing::warn!(%error, job = job.name, "the job cannot be controlled by other processes"),
            }
        }
        self.jobs.add(known);
        Outcome::Job(job)
    }

    /// Opens the endpoint for Prometheus once a job is to start, where it is wanted.
    async fn open_endpoint(&mut self) -> Result<()> {
        if self.endpoint.is_none()
            && let Some(ports) = metrics_endpoint::ports(&self.state.config)?
        {
            self.endpoint = Some(MetricsEndpoint::open(ports, self.jobs.clone()).await?);
        }
        Ok(())
    }

    /// Where the metrics of its jobs can be read (`metrics.reporter.prom.port`), once a job has been started.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.endpoint.as_ref().map(MetricsEndpoint::address)
    }

    /// The metrics of its running jobs.
    pub fn metrics(&self) -> Vec<MetricsReport> {
        self.jobs.reports()
    }

    /// Ends the session: whoever has asked an ended job over its control socket gets the answer first. Jobs that run go
    /// on, and are no longer listed or controlled by other processes.
    pub async fn close(mut self) {
        for socket in self.control_sockets.iter_mut().flatten() {
            socket.answered().await;
        }
    }

    fn show_jobs(&self) -> Outcome {
        let time =
            |ms| chrono::DateTime::from_timestamp_millis(ms).map(|t| t.format("%Y-%m-%dT%H:%M:%S%.3f").to_string());
        let row = |job: &KnownJob| {
            let state = job.state();
            let (id, name) = (job.client().id().to_string(), job.name.to_string());
            vec![Some(id), Some(name), Some(state.status.name().to_string()), time(state.started_ms)]
        };
        let columns = ["job id", "job name", "status", "start time"].map(str::to_string).to_vec();
        Outcome::Rows { columns, rows: self.jobs.all().iter().map(row).collect() }
    }

    /// STOP JOB: with a last checkpoint, and a savepoint below `execution.checkpointing.savepoint-dir` where one is asked
    /// for. It returns when the job has ended.
    async fn stop_job(&mut self, id: &str, savepoint: bool, drain: bool) -> Result<Outcome> {
        let all = self.jobs.all();
        // The id, or else the name: of several jobs of one name the last, which is the one that may run.
        let named = || all.iter().rev().find(|job| *job.name == *id);
        let job = all.iter().find(|job| job.client().id() == id).or_else(named);
        let job = job.ok_or_else(|| Error::user(format!("there is no job '{id}'")).hint("SHOW JOBS lists the jobs"))?;
        let mode = StopMode { drain, savepoint: savepoint.then(SavepointTarget::default) };
        let taken = job.client().stop(mode).await.map_err(|e| e.with("job", &job.name))?;
        Ok(match taken {
            None => Outcome::Done,
            Some(taken) => {
                Outcome::Rows { columns: vec!["savepoint path".to_string()], rows: vec![vec![Some(taken.location)]] }
            }
        })
    }

    /// Of this session, or another process's.
    async fn explain_job(&self, job: &str) -> Result<String> {
        let known = self.jobs.all().into_iter().filter(|j| j.client().id() == job || &*j.name == job);
        match known.last() {
            Some(known) => Ok(known.meter.watermarks().text()),
            None => Ok(control::find(job).await?.watermarks().await?.text()),
        }
    }

    /// What the builder was told, or else `execution.state-recovery.path`.
    fn restore_from(&self) -> Result<Restore> {
        let option = statement::config::option_of("execution.state-recovery.path")?;
        Ok(match (&self.restore, self.state.config.text(option)) {
            (Restore::Ask, Some(path)) => {
                let path = storage::path_of_file_url(path)?.unwrap_or(path);
                Restore::Path(if path.contains("://") { path.into() } else { self.base_dir.join(path) })
            }
            (told, _) => told.clone(),
        })
    }

    /// A bounded job whose sinks promise nothing leaves no trace, unless the user asks for checkpoints.
    fn needs_store(&self, graph: &JobGraph) -> bool {
        let promises = graph.sinks().any(|(_, n)| match &n.spec {
            OperatorSpec::Sink(s) => {
                matches!(s.sink.guarantee(), DeliveryGuarantee::ExactlyOnce | DeliveryGuarantee::EffectivelyOnce)
            }
            _ => false,
        });
        promises || !graph.is_bounded() || config::wants_checkpoints(&self.state.config)
    }

    async fn query(&mut self, query: &flott_sql::parser::QueryAst, text: &str) -> Result<Outcome> {
        let planned = self.planner().plan_query(query)?;
        let columns = planned.columns()?;
        let insert_only = planned.changelog_mode.is_insert_only();
        let (sink, rows) = CollectSink::new();
        let graph = planned.into_graph(sink, Some(1), Some("collect".to_string()))?;
        let bounded = graph.is_bounded();
        let zone = flott_function::FunctionEnv::new(
            self.state.config.get("table.local-time-zone").filter(|z| *z != "default").unwrap_or("UTC"),
        )?
        .time_zone;
        // Rows that a query has given cannot be taken back: it is not started again.
        let handle = self.start(graph, None, RestartStrategy::None, self.bundle(text, None)).await?;
        let job = Job {
            name: "collect".to_string(),
            lineage: "collect".to_string(),
            checkpoints: None,
            restored: None,
            savepoint: None,
            started_anew: None,
            took_over: None,
            position: None,
            handle,
        };
        let limits = config::collect_limits(&self.state.config)?;
        Ok(Outcome::Query(Query { columns, bounded, insert_only, job, rows, zone, limits }))
    }

    /// What other processes plan a job from.
    fn bundle(&self, statement: &str, job: Option<&str>) -> WorkerBundle {
        WorkerBundle {
            statement: statement.to_string(),
            config: self.state.config.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            catalog: self.state.catalog.snapshot(),
            base_dir: self.base_dir.clone(),
            job: job.map(str::to_string),
            uids: vec![],
        }
    }

    async fn start(
        &self,
        graph: JobGraph,
        store: Option<(flott_state::CheckpointStore, flott_state::store::Opened)>,
        restarts: RestartStrategy,
        bundle: WorkerBundle,
    ) -> Result<JobHandle> {
        let options = &self.state.config;
        let bundle = WorkerBundle { uids: graph.nodes.iter().map(|n| n.uid.clone()).collect(), ..bundle };
        let processes = self.processes.as_ref().map(|p| p.options(&bundle, options)).transpose()?.flatten();
        let count = processes.as_ref().map_or(1, |p| p.processes);
        let spec = JobSpec {
            graph: Arc::new(graph),
            build: Arc::new(flott_operator::build::build),
            store,
            parallelism: config::threads(options, count)? * count,
            processes,
            checkpoints: config::checkpoints(options)?,
            restarts,
            savepoints: self.places().savepoints(),
            allow_non_restored_state: self.allow_non_restored_state()?,
            allow_lost_output: self.allow_lost_output,
            in_flight_bytes: config::in_flight_bytes(options)?,
            // Each process counts its own.
            memory_bytes_max: config::memory_bytes_max(options)?.map(|bytes| bytes / count as u64),
            buffer_timeout: config::buffer_timeout(options)?,
            clock: Arc::clone(&self.clock),
            fail_points: self.fail_points.clone(),
            base_dir: self.base_dir.clone(),
        };
        // Statements are executed inside other futures, which it would make large.
        Box::pin(flott_cluster::start(spec)).await
    }
}
