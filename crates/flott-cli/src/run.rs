//! `flott run`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use flott::{Error, ErrorKind, Job, JobOutcome, Outcome, Query, Restore, Session, Statement, StopMode, TakenOver};
use flott_core::clock::{Clock, SystemClock};
use futures::future::select_all;

use crate::exit::{self, Failure};
use crate::interrupts::{Interrupt, Interrupts};
use crate::progress::Progress;
use crate::script::{self, Earlier, ScriptArgs, ShellWord};
use crate::summary::Summary;
use crate::{allocator, canceled, output, query, sql, table, worker};

#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    script: ScriptArgs,
    /// Go on from the last checkpoint (latest) or from a checkpoint's folder, or start from a savepoint's (or the one above, where it is alone)
    #[arg(long, value_name = "latest|PATH", conflicts_with = "fresh", group = "earlier")]
    restore: Option<String>,
    /// Whether the savepoint belongs to the job from then on, which removes it once it is not needed
    #[arg(long, value_name = "no-claim|claim", value_parser = claim_modes(), requires = "restore")]
    claim_mode: Option<String>,
    /// Let Prometheus read metrics at this port of the loopback address (metrics.reporter.prom.port)
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<String>,
    /// Start over; what an earlier run has committed stays
    #[arg(long, group = "earlier")]
    fresh: bool,
    /// Let a restore drop state and outputs that the script no longer has
    #[arg(long)]
    allow_non_restored_state: bool,
    /// Go on, or with --fresh start over, without decided output that the last run could not commit: its rows will be missing
    #[arg(long, requires = "earlier")]
    allow_lost_output: bool,
    /// Run the script's jobs in N processes of this machine, with as many worker threads each
    #[arg(long, value_name = "N")]
    processes: Option<usize>,
    /// Write a summary of the run as JSON; - is stdout
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
}

impl RunArgs {
    fn earlier(&self) -> Result<Earlier, Failure> {
        let restore = match (&self.restore, self.fresh) {
            (_, true) => Restore::Fresh,
            (None, false) => Restore::Ask,
            (Some(word), false) if word == "latest" => Restore::Latest,
            (Some(path), false) => Restore::Path(path.into()),
        };
        let processes = self.processes.map(worker::processes).transpose()?;
        Ok(Earlier {
            restore,
            allow_non_restored_state: self.allow_non_restored_state,
            allow_lost_output: self.allow_lost_output,
            claim_mode: self.claim_mode.clone(),
            metrics_port: self.metrics_port.clone(),
            processes,
        })
    }
}

pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let runtime = script::runtime()?;
    let mut summary = Summary::start();
    if let Some(file) = &args.summary {
        // A job must not run, commit and then be told that it failed.
        Summary::check(file).map_err(Failure::of_arguments)?;
    }
    let done = runtime.block_on(async { Ok(Box::pin(Script::open(args, &mut summary)?.run()).await) });
    // Reads of files that nobody waits for any more must not hold the exit.
    runtime.shutdown_background();
    if let Some(file) = &args.summary {
        let failure = match &done {
            Ok(End { failure, .. }) => failure.as_ref(),
            Err(e) => Some(e),
        };
        summary.write(file, failure.map(|f| &f.error)).map_err(Failure::of_job)?;
    }
    let end = done?;
    Ok(match &end.failure {
        Some(failure) => failure.code(),
        None if end.interrupted => exit::interrupted(),
        None => ExitCode::SUCCESS,
    })
}

/// How a script ended.
#[derive(Default)]
struct End {
    /// By a signal.
    interrupted: bool,
    /// By `flott stop` or `flott cancel`: somebody wanted it, elsewhere.
    stopped: bool,
    /// The first failure; it has been printed.
    failure: Option<Failure>,
}

impl End {
    /// Shows an error at once: other jobs may go on for long.
    fn fail(&mut self, failure: Failure) {
        output::error(&failure.error);
        self.failure.get_or_insert(failure);
    }
}

/// What happens while jobs run.
enum News {
    Ended(usize),
    Interrupt(Interrupt),
    Nothing,
}

/// A script that runs: statements one after another, jobs beside each other.
struct Script<'a> {
    args: &'a RunArgs,
    session: Session,
    /// All of its statements can be parsed. Each is parsed again when its turn comes: those of a script of some megabytes take
    /// gigabytes.
    text: String,
    summary: &'a mut Summary,
    interrupts: Interrupts,
    jobs: Vec<(Job, Progress)>,
    /// A last checkpoint has been asked for: the next interrupt stops at once.
    stopping: bool,
    /// When the jobs were to end at once.
    cancelled: Option<Duration>,
    clock: Arc<dyn Clock>,
    /// Who has asked.
    stopped_by: Option<&'static str>,
    end: End,
}

/// How long jobs may take to end at once, before the process ends them.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);

/// A script of more statements is not planned before it runs.
const REHEARSED_MAX: usize = 1_000;

/// Plans all statements in a session of their own, so that no job of a script runs where a later statement is wrong.
fn rehearse(args: &RunArgs, text: &str) -> Result<(), Failure> {
    // What it warns of is told when it runs.
    let silent = tracing::subscriber::NoSubscriber::new();
    let planned = tracing::subscriber::with_default(silent, || -> Result<Result<(), Error>, Failure> {
        let mut session = script::session_of(&args.script, Earlier::default())?;
        Ok(flott::statements(text).and_then(|all| {
            for statement in all {
                let statement = statement?;
                match ShellWord::of(&statement.text) {
                    Some(ShellWord::Quit) => break,
                    Some(_) => {}
                    None => drop(session.explain(&statement, &[])?),
                }
            }
            Ok(())
        }))
    })?;
    // Whatever else fails may work when its turn comes.
    match planned {
        Err(e) if e.kind() == ErrorKind::User => {
            Err(Failure::of_statement(e).with("script", args.script.file.display()))
        }
        _ => Ok(()),
    }
}

impl<'a> Script<'a> {
    fn open(args: &'a RunArgs, summary: &'a mut Summary) -> Result<Script<'a>, Failure> {
        let earlier = args.earlier()?;
        let named = matches!(earlier.restore, Restore::Path(_));
        let (text, session) = script::open(&args.script, earlier)?;
        let (mut any_writes, mut jobs, mut count) = (false, false, 0usize);
        let mut follows_a_job = false;
        let parsed = flott::statements(&text).and_then(|mut all| {
            all.try_for_each(|s| {
                s.map(|s| {
                    any_writes |= writes(&s.statement);
                    follows_a_job |= jobs;
                    jobs |= writes(&s.statement) || matches!(s.statement, Statement::Query(_));
                    count += 1;
                })
            })
        });
        parsed.map_err(|e| e.with("script", args.script.file.display()))?;
        if follows_a_job && count <= REHEARSED_MAX {
            rehearse(args, &text)?;
        }
        if named && !any_writes {
            return Err(Failure::of_arguments(
                Error::user("--restore PATH restores nothing: no statement of the script writes to a table")
                    .with("script", args.script.file.display())
                    .hint("Queries keep no checkpoints; leave --restore out"),
            ));
        }
        let (interrupts, end) = (Interrupts::listen()?, End::default());
        let (jobs, clock) = (vec![], SystemClock::shared());
        let (stopping, cancelled, stopped_by) = (false, None, None);
        Ok(Script { args, session, text, summary, interrupts, jobs, stopping, cancelled, clock, stopped_by, end })
    }

    /// Whatever goes wrong with one statement or job, the jobs that run are brought to their end.
    async fn run(mut self) -> End {
        let text = std::mem::take(&mut self.text);
        let statements = flott::statements(&text);
        for statement in statements.into_iter().flatten() {
            let name = self.args.script.file.display();
            match statement.as_ref().ok().and_then(|s| ShellWord::of(&s.text)) {
                Some(ShellWord::Quit) => break,
                Some(word) => {
                    if let (ShellWord::Help, Err(e)) = (word, output::out(&format!("{}\n", sql::HELP))) {
                        self.end.fail(e.into());
                        break;
                    }
                    continue;
                }
                None => {}
            }
            // A restore, or output that has to be committed first, may take long.
            let executed = match statement {
                Ok(statement) => tokio::select! {
                    executed = self.session.execute(&statement) => Ok(executed),
                    interrupt = self.interrupts.next() => Err(interrupt),
                },
                Err(e) => Ok(Err(e)),
            };
            let done = match executed {
                Ok(Ok(outcome)) => self.show(outcome).await,
                Ok(Err(e)) => Err(Failure::of_statement(e).with("script", name)),
                Err(interrupt) => {
                    self.end.interrupted = true;
                    self.stop(interrupt).await;
                    Ok(())
                }
            };
            if let Err(e) = done {
                let may_wait = e.error.is_from_outside();
                self.end.fail(e);
                if !self.jobs.is_empty() {
                    output::note("The jobs of the statements before go on; Ctrl-C stops them.");
                    if may_wait {
                        output::note(script::WAIT_FOR_INSERTS);
                    }
                }
            }
            if self.end.interrupted || self.end.stopped || self.end.failure.is_some() {
                break;
            }
        }
        self.wait_for_jobs().await;
        self.session.close().await;
        self.end
    }

    async fn show(&mut self, outcome: Outcome) -> Result<(), Failure> {
        let width = self.session.column_width()?;
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Rows { columns, rows } => Ok(output::out(&table::of_texts(&columns, &rows))?),
            Outcome::Text(text) => Ok(output::out(&format!("{text}\n"))?),
            Outcome::AlreadyFinished { job } => {
                output::note(&format!("Job '{job}' had finished before; nothing to do."));
                Ok(())
            }
            Outcome::Job(job) => {
                if let Some(before) = &job.took_over {
                    output::note(&took_over(&job.name, before));
                }
                if let Some(place) = &job.started_anew {
                    output::note(&started_anew(&job.name, place));
                }
                let restored = goes_on(&job);
                self.jobs.push((job, Progress::new(restored)));
                if self.session.dml_sync()? {
                    self.wait_for_jobs().await;
                }
                Ok(())
            }
            Outcome::Query(query) => self.show_query(query, width).await,
        }
    }

    /// Waits for all jobs, shows how they go, and stops them on Ctrl-C.
    async fn wait_for_jobs(&mut self) {
        while let Some((_, progress)) = self.jobs.first() {
            if self.cancelled.is_some_and(|at| self.clock.monotonic().saturating_sub(at) > CANCEL_PATIENCE) {
                self.leave();
            }
            let interval = match self.cancelled {
                Some(_) => progress.interval().min(Duration::from_secs(1)),
                None => progress.interval(),
            };
            let jobs = self.jobs.iter().map(|(job, _)| Box::pin(job.handle.ended()));
            let news = tokio::select! {
                ((), index, _) = select_all(jobs) => News::Ended(index),
                interrupt = self.interrupts.next() => News::Interrupt(interrupt),
                () = tokio::time::sleep(interval) => News::Nothing,
            };
            match news {
                News::Ended(index) => self.ended(index).await,
                News::Interrupt(interrupt) => self.stop(interrupt).await,
                News::Nothing => {
                    let told = self.jobs.iter_mut().fold(false, |told, (_, p)| p.tell_beginning() | told);
                    if !told {
                        self.progress();
                    }
                }
            }
        }
    }

    /// The first time with a last checkpoint, the second time at once.
    async fn stop(&mut self, interrupt: Interrupt) {
        self.stopped_by = Some(canceled::by(interrupt));
        let at_once = std::mem::replace(&mut self.stopping, true);
        self.jobs.iter_mut().for_each(|(_, progress)| progress.clear());
        for (_, progress) in &mut self.jobs {
            progress.tell_beginning();
        }
        if self.jobs.is_empty() {
            output::note("Stopped.");
        } else if self.cancelled.is_some() {
            self.leave();
        } else if at_once {
            self.cancelled = Some(self.clock.monotonic());
            output::note("Stopping now.");
        } else {
            output::note("Stopping with a last checkpoint; Ctrl-C again stops at once.");
        }
        for (job, _) in &self.jobs {
            if at_once { job.handle.cancel().await } else { drop(job.handle.request_stop(StopMode::suspend()).await) }
        }
    }

    /// Ends the process as it is: an operator in the middle of very long work hears of nothing. What is not committed is
    /// as it is after a crash.
    fn leave(&self) -> ! {
        output::note(
            "A job does not end by itself: its process is ended. --restore latest goes on from its last checkpoint.",
        );
        exit::leave_interrupted()
    }

    /// A terminal has one live line; a log has a line for each job.
    fn progress(&mut self) {
        let others = self.jobs.len() - 1;
        for (i, (job, progress)) in self.jobs.iter_mut().enumerate() {
            if i == 0 || !output::is_terminal() {
                progress.show(job, others);
            }
        }
    }

    async fn ended(&mut self, index: usize) {
        let (mut job, mut progress) = self.jobs.remove(index);
        self.jobs.iter_mut().for_each(|(_, progress)| progress.clear());
        progress.clear();
        let outcome = job.wait().await;
        self.summary.add(&job, &outcome);
        if !self.jobs.is_empty() {
            allocator::give_back();
        }
        if outcome.is_ok() {
            progress.tell_beginning();
        }
        let name = &job.name;
        match outcome {
            Ok(JobOutcome::Finished(_)) => progress.last(&job),
            Ok(JobOutcome::Suspended(state)) => {
                output::note(&match (state.last_checkpoint, &job.checkpoints) {
                    (Some(checkpoint), _) => format!(
                        "Job '{name}' is stopped at checkpoint {checkpoint}. Go on with: flott run {} --restore latest",
                        self.args.script.file.display()
                    ),
                    (None, Some(_)) => {
                        format!("Job '{name}' is stopped before its first checkpoint: there is nothing to go on from.")
                    }
                    (None, None) => format!(
                        "Job '{name}' is stopped; it keeps no checkpoints, so that there is nothing to go on from."
                    ),
                });
                self.ended_early();
            }
            Ok(JobOutcome::Cancelled(state)) => {
                output::note(&format!("Job '{name}' is {}", canceled::told(&job, &state, self.stopped_by)));
                self.ended_early();
            }
            Err(e) => {
                let checkpoint = job.handle.state().last_checkpoint.filter(|_| job.checkpoints.is_some());
                self.end.fail(Failure::of_job(e).with("script", self.args.script.file.display()));
                if let Some(checkpoint) = checkpoint {
                    output::note(&format!(
                        "What job '{name}' has written up to checkpoint {checkpoint} is visible. Once the cause is gone: flott run {} --restore \
                         latest goes on behind it; --fresh starts over.",
                        self.args.script.file.display()
                    ));
                }
            }
        }
    }

    /// A job has not come to its own end: a signal has stopped the run, or somebody the job.
    fn ended_early(&mut self) {
        match self.stopped_by {
            Some(_) => self.end.interrupted = true,
            None => self.end.stopped = true,
        }
    }

    async fn show_query(&mut self, mut query: Query, width: usize) -> Result<(), Failure> {
        let shown = query::show(&mut query, width, &mut self.interrupts, || None).await?;
        self.summary.add(&query.job, &shown.outcome);
        self.end.interrupted |= shown.interrupt.is_some();
        let script = self.args.script.file.display();
        shown.outcome.map(drop).map_err(|e| Failure::of_job(e).with("script", script))
    }
}

/// Whether a statement starts a job that writes to a table.
fn writes(statement: &Statement) -> bool {
    match statement {
        Statement::Insert(_) => true,
        Statement::StatementSet(inserts) => !inserts.is_empty(),
        Statement::CreateTable(create) => create.query.is_some(),
        _ => false,
    }
}

/// What `--restore latest` has not found. A service manager writes it from the first start on, so that it is no error.
fn started_anew(job: &str, place: &str) -> String {
    if place.is_empty() {
        return format!(
            "Job '{job}' starts from the beginning: it is bounded, and its sinks show rows at once, so it keeps no checkpoints."
        );
    }
    let absolute = std::path::absolute(place).ok().filter(|_| !place.contains("://"));
    let place = absolute.map_or_else(|| place.to_string(), |p| p.display().to_string());
    format!("Job '{job}' starts from the beginning: there is no checkpoint in {place}.")
}

/// Those of Flink. What became of LEGACY is told where it is set.
fn claim_modes() -> PossibleValuesParser {
    let legacy = PossibleValue::new("legacy").hide(true);
    PossibleValuesParser::new([PossibleValue::new("no-claim"), PossibleValue::new("claim"), legacy])
}

/// What a job goes on from, where it does not begin anew.
pub(crate) fn goes_on(job: &Job) -> Option<String> {
    let (name, checkpoint) = (&job.name, job.restored?);
    Some(match &job.savepoint {
        Some(place) => format!("Job '{name}' goes on from savepoint {place} (checkpoint {checkpoint})."),
        None => format!("Job '{name}' goes on from checkpoint {checkpoint}."),
    })
}

/// Whom a job was taken over from.
pub(crate) fn took_over(job: &str, before: &TakenOver) -> String {
    let Some(owner) = &before.owner else {
        return format!(
            "Job '{job}' was taken over from attempt {}, which had not come to its end.",
            before.generation
        );
    };
    let since = DateTime::from_timestamp_millis(owner.since_ms).map_or_else(String::new, |t| t.to_rfc3339());
    let fate = match owner.seems_alive() {
        Some(true) => "still runs and stops at its next checkpoint",
        Some(false) => "has ended without a last checkpoint",
        None => "stops at its next checkpoint if it still runs",
    };
    format!("Job '{job}' was taken over from attempt {}, started {since} by {owner}, which {fate}.", before.generation)
}
