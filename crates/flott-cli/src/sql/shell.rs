//! The session behind the shell: statements in, Flink's messages and results out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flott::split::{Piece, split};
use flott::{Job, JobClient, JobOutcome, Outcome, Query, Session, StopMode};
use flott_core::clock::{Clock, SystemClock};
use futures::FutureExt;
use futures::future::select_all;

use crate::exit::{self, Failure};
use crate::interrupts::{Interrupt, Interrupts};
use crate::script::WAIT_FOR_INSERTS;
use crate::{allocator, canceled, output, query, table};

pub(crate) const HELP: &str = "\
The following commands are available:

HELP            Shows this text.
QUIT, EXIT      Leaves the shell; jobs that run are stopped with a last checkpoint.
CLEAR           Clears the screen.
SET             Lists the options of the session, or sets one: SET 'key' = 'value';
RESET           Takes all options, or one, back to the default: RESET 'key';
CREATE, ALTER, DROP, USE, SHOW, DESCRIBE
                Define, choose and list catalogs, databases, tables and views.
SELECT, VALUES  Runs a query and prints its rows; Ctrl-C ends it.
INSERT INTO     Starts a job, which runs on in the background.
EXECUTE STATEMENT SET BEGIN .. END
                Starts one job of several INSERT statements.
EXPLAIN         Shows the plan of a statement.
SHOW JOBS       Lists the jobs of this session.
STOP JOB 'id'   Stops a job with a last checkpoint: STOP JOB 'id' [WITH SAVEPOINT] [WITH DRAIN];

A statement ends with ';' and may go over several lines. Tab completes words, names and option keys.";

/// What a statement leaves the shell with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next statement.
    Statement,
    /// The end, as the user wants it.
    Quit,
    /// The end, since a statement failed.
    Failed,
    /// The end, since a service manager wants it.
    Terminated,
}

/// A file with statements.
pub(super) struct Script {
    pub(super) file: PathBuf,
    pub(super) text: String,
}

/// A shell, without its lines.
pub(super) struct Shell {
    pub(super) session: Session,
    pub(super) interrupts: Interrupts,
    clock: Arc<dyn Clock>,
    /// Jobs whose end was not told yet.
    jobs: Vec<Job>,
    /// All jobs, for who ends the shell from outside.
    started: Arc<Mutex<Vec<JobClient>>>,
    /// The first failure, told before.
    failure: Option<Failure>,
    interrupted: bool,
    /// Who has last wanted the end of a job.
    stopped_by: Option<&'static str>,
    /// Somebody types: Ctrl-C ends what runs, and not the shell.
    interactive: bool,
}

impl Shell {
    pub(super) fn new(session: Session, interactive: bool) -> Result<Shell, Failure> {
        let (interrupts, clock) = (Interrupts::listen()?, SystemClock::shared());
        let started = Arc::default();
        Ok(Shell {
            session,
            interrupts,
            clock,
            jobs: vec![],
            started,
            failure: None,
            interrupted: false,
            stopped_by: None,
            interactive,
        })
    }

    /// The jobs that the shell starts, from now on too.
    pub(super) fn started(&self) -> Arc<Mutex<Vec<JobClient>>> {
        Arc::clone(&self.started)
    }

    /// Runs all statements that were typed, one after another, also after one that fails.
    pub(super) async fn run(&mut self, text: &str) -> Next {
        let split = split(text);
        for piece in split.ended.iter().chain(&split.rest) {
            match self.run_piece(text, piece).await {
                Next::Failed | Next::Statement => {}
                end => return end,
            }
        }
        Next::Statement
    }

    /// Runs all statements of a file, one after another, up to one that fails.
    pub(super) async fn run_script(&mut self, script: &Script) -> Next {
        let split = split(&script.text);
        for piece in split.ended.iter().chain(&split.rest) {
            let next = self.run_piece_of(&script.text, piece, Some(&script.file)).await;
            if next != Next::Statement {
                return next;
            }
        }
        Next::Statement
    }

    /// Runs one statement or command of a text, and tells where it fails.
    pub(super) async fn run_piece(&mut self, text: &str, piece: &Piece) -> Next {
        self.run_piece_of(text, piece, None).await
    }

    async fn run_piece_of(&mut self, text: &str, piece: &Piece, file: Option<&Path>) -> Next {
        match self.execute(text, piece).await {
            Ok(next) => next,
            Err(failure) => {
                let failure = match file {
                    Some(file) => failure.with("script", file.display()),
                    None => failure,
                };
                // Nobody reads what would follow.
                let end = if failure.is_closed_pipe() { Next::Terminated } else { Next::Failed };
                self.fail("Could not execute SQL statement.", failure);
                end
            }
        }
    }

    pub(super) fn fail(&mut self, what: &str, failure: Failure) {
        output::client_error(what, &failure.error);
        if !self.jobs.is_empty() && failure.error.is_from_outside() {
            output::note(&format!("Jobs of statements before run on. {WAIT_FOR_INSERTS}"));
        }
        self.failure.get_or_insert(failure);
    }

    async fn execute(&mut self, text: &str, piece: &Piece) -> Result<Next, Failure> {
        match piece.word.as_deref() {
            Some("QUIT" | "EXIT") => {
                output::client_info("Exiting Flott SQL Client...")?;
                return Ok(Next::Quit);
            }
            Some("HELP") => {
                output::out(&format!("{HELP}\n"))?;
                return Ok(Next::Statement);
            }
            Some("CLEAR") => {
                // The cursor home, then everything away, what was scrolled out included.
                output::out("\x1b[H\x1b[2J\x1b[3J")?;
                return Ok(Next::Statement);
            }
            _ => {}
        }
        // A Ctrl-C that came for what was before.
        while self.interactive && self.interrupts.next().now_or_never().is_some() {}
        let begun = self.clock.monotonic();
        let statement = flott::parse_statement_at(&text[piece.range.clone()], piece.position)?;
        let executed = tokio::select! {
            executed = self.session.execute(&statement) => executed?,
            interrupt = self.interrupts.next() => {
                output::client_info("The statement is cancelled.")?;
                return Ok(self.next_after(interrupt));
            }
        };
        self.show(executed, begun).await
    }

    async fn show(&mut self, outcome: Outcome, begun: Duration) -> Result<Next, Failure> {
        match outcome {
            Outcome::Done => output::client_info("Execute statement succeeded.")?,
            Outcome::Rows { columns, rows } => output::out(&table::of_texts(&columns, &rows))?,
            Outcome::Text(text) => output::out(&format!("{text}\n"))?,
            Outcome::AlreadyFinished { job } => {
                output::client_info(&format!("Job '{job}' had finished before; nothing to do."))?
            }
            Outcome::Job(job) => return self.submitted(job).await,
            Outcome::Query(query) => return self.show_query(query, begun).await,
        }
        Ok(Next::Statement)
    }

    async fn show_query(&mut self, mut query: Query, begun: Duration) -> Result<Next, Failure> {
        let width = self.session.column_width()?;
        let told = self.session.prints_time_cost()?;
        let clock = Arc::clone(&self.clock);
        let elapsed = || told.then(|| clock.monotonic().saturating_sub(begun));
        let shown = query::show(&mut query, width, &mut self.interrupts, elapsed).await?;
        shown.outcome.map_err(Failure::of_job)?;
        Ok(shown.interrupt.map_or(Next::Statement, |i| self.next_after(i)))
    }

    /// Tells of a job that was started; waits for it where `table.dml-sync` says so.
    async fn submitted(&mut self, mut job: Job) -> Result<Next, Failure> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).push(job.handle.client());
        if let Some(before) = &job.took_over {
            output::note(&crate::run::took_over(&job.name, before));
        }
        if let Some(text) = crate::run::goes_on(&job) {
            output::client_info(&text)?;
        }
        if !self.session.dml_sync()? {
            output::client_info("Submitting SQL update statement to the cluster...")?;
            output::client_info("SQL update statement has been successfully submitted to the cluster:")?;
            output::out(&format!("Job ID: {}\n\n", job.handle.id()))?;
            self.jobs.push(job);
            return Ok(Next::Statement);
        }
        let mut next = Next::Statement;
        let (mut at_once, mut stopped_by) = (false, None);
        loop {
            let interrupt = tokio::select! {
                () = job.handle.ended() => break,
                interrupt = self.interrupts.next() => interrupt,
            };
            next = self.next_after(interrupt);
            stopped_by = Some(canceled::by(interrupt));
            stop(&job, at_once).await;
            at_once = true;
        }
        let outcome = job.wait().await;
        allocator::give_back();
        match outcome.map_err(Failure::of_job)? {
            JobOutcome::Finished(_) => output::client_info("Complete execution of the SQL update statement.")?,
            outcome => output::client_info(&ended(&job, &outcome, stopped_by))?,
        }
        Ok(next)
    }

    fn next_after(&self, interrupt: Interrupt) -> Next {
        match interrupt {
            Interrupt::CtrlC if self.interactive => Next::Statement,
            _ => Next::Terminated,
        }
    }

    /// Tells of the jobs that have ended since.
    pub(super) async fn report(&mut self) {
        let mut i = 0;
        while i < self.jobs.len() {
            if self.jobs[i].handle.ended().now_or_never().is_none() {
                i += 1;
                continue;
            }
            let job = self.jobs.remove(i);
            self.tell_end(job).await;
        }
    }

    /// Tells something, where somebody reads it.
    fn tell(&mut self, text: &str) {
        if let Err(e) = output::client_info(text) {
            self.fail("Nothing can be printed.", Failure::of_statement(e));
        }
    }

    async fn tell_end(&mut self, mut job: Job) {
        let outcome = job.wait().await;
        allocator::give_back();
        match outcome {
            Ok(outcome) => self.tell(&ended(&job, &outcome, self.stopped_by)),
            Err(e) => {
                let what = format!("Job '{}' ({}) is FAILED.", job.name, job.handle.id());
                self.fail(&what, Failure::of_job(e));
            }
        }
    }

    /// Brings all jobs to their end: by themselves at the end of the input, with a last checkpoint where the user has
    /// had enough. The first Ctrl-C stops them, the second at once.
    pub(super) async fn finish(&mut self, next: Next) -> ExitCode {
        let mut stopping = matches!(next, Next::Quit | Next::Terminated);
        self.interrupted |= next == Next::Terminated;
        self.report().await;
        if next == Next::Quit {
            self.stopped_by = Some("QUIT");
        }
        if stopping && !self.jobs.is_empty() {
            self.tell("Stopping the jobs that run with a last checkpoint; Ctrl-C stops them at once.");
            for job in &self.jobs {
                stop(job, false).await;
            }
        }
        while !self.jobs.is_empty() {
            let ends = self.jobs.iter().map(|job| Box::pin(job.handle.ended()));
            let index = tokio::select! {
                ((), index, _) = select_all(ends) => index,
                interrupt = self.interrupts.next() => {
                    self.stopped_by = Some(canceled::by(interrupt));
                    self.interrupted = true;
                    for job in &self.jobs {
                        stop(job, stopping).await;
                    }
                    stopping = true;
                    continue;
                }
            };
            let job = self.jobs.remove(index);
            self.tell_end(job).await;
        }
        match &self.failure {
            Some(failure) => failure.code(),
            None if self.interrupted => exit::interrupted(),
            None => ExitCode::SUCCESS,
        }
    }
}

async fn stop(job: &Job, at_once: bool) {
    if at_once {
        job.handle.cancel().await;
    } else if let Err(error) = job.handle.request_stop(StopMode::suspend()).await {
        tracing::debug!(%error, job = job.name, "it has ended before");
    }
}

/// How a job ended, and how it goes on.
fn ended(job: &Job, outcome: &JobOutcome, by: Option<&str>) -> String {
    let (name, id) = (&job.name, job.handle.id());
    match (outcome, &job.checkpoints) {
        (JobOutcome::Finished(_), _) => format!("Job '{name}' ({id}) is FINISHED."),
        (JobOutcome::Cancelled(state), _) => format!("Job '{name}' ({id}) is {}", canceled::told(job, state, by)),
        (JobOutcome::Suspended(state), Some(checkpoints)) if state.last_checkpoint.is_some() => format!(
            "Job '{name}' ({id}) is SUSPENDED. It goes on where the same statement follows: SET 'pipeline.name' = \
             '{}'; SET 'execution.state-recovery.path' = '{checkpoints}';",
            job.lineage
        ),
        (JobOutcome::Suspended(_), _) => format!("Job '{name}' ({id}) is SUSPENDED."),
    }
}
