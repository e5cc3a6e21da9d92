//! `flott run`

use std::path::Path;
use std::process::ExitCode;

use flott::{Error, FailPoints, Job, JobOutcome, Outcome, Query, Restore, Result, Session, SpannedStatement};
use futures::future::select_all;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::progress::Progress;
use crate::summary::Summary;
use crate::{RunArgs, ScriptArgs, exit_code, output, table};

/// What Ctrl-C leaves to the shell.
const INTERRUPTED: u8 = 130;

/// The script's text, and a session whose paths start at its folder.
pub(crate) fn open(args: &ScriptArgs, restore: Restore) -> Result<(String, Session)> {
    open_with(args, restore, false)
}

fn open_with(args: &ScriptArgs, restore: Restore, allow_non_restored_state: bool) -> Result<(String, Session)> {
    let text = std::fs::read(&args.file).map_err(|e| Error::from(e).with("script", args.file.display()))?;
    let text = String::from_utf8(text)
        .map_err(|e| Error::user("the script is not UTF-8").with("script", args.file.display()).caused_by(e))?;
    let folder = args.file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = args.file.file_stem().map_or_else(|| "job".to_string(), |n| n.to_string_lossy().into_owned());
    let mut builder = Session::builder().base_dir(folder).name(name).restore(restore).fail_points(fail_points()?);
    builder = builder.allow_non_restored_state(allow_non_restored_state);
    for define in &args.define {
        let (key, value) = define.split_once('=').ok_or_else(|| {
            Error::user(format!("'-D {define}' is not KEY=VALUE")).hint("Write -D parallelism.default=2")
        })?;
        builder = builder.option(key.trim(), value.trim());
    }
    if let Some(n) = args.parallelism {
        builder = builder.option("parallelism.default", n.to_string());
    }
    Ok((text, builder.build()?))
}

/// For the kill harness: where this process is to stop.
fn fail_points() -> Result<FailPoints> {
    let Ok(point) = std::env::var("FLOTT_FAILPOINT") else { return Ok(FailPoints::none()) };
    if !FailPoints::compiled_in() {
        return Err(Error::user("this build has no fail points").hint("Build with --features failpoints"));
    }
    let report = std::env::var("FLOTT_FAILPOINT_REPORT").unwrap_or_else(|_| "/dev/null".to_string());
    FailPoints::armed(&point, report).map_err(Error::user)
}

pub(crate) fn run(args: RunArgs) -> Result<ExitCode> {
    let restore = match (&args.restore, args.fresh) {
        (_, true) => Restore::Fresh,
        (None, false) => Restore::Ask,
        (Some(word), false) if word == "latest" => Restore::Latest,
        (Some(path), false) => Restore::Path(path.into()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Files are decoded and encoded here.
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from).max(2))
        .enable_all()
        .build()
        .map_err(|e| Error::unavailable("the runtime cannot be started").caused_by(e))?;
    let mut summary = Summary::start();
    if let Some(file) = &args.summary {
        // A job must not run, commit and then be told that it failed.
        Summary::check(file)?;
    }
    let done = runtime.block_on(async { Script::open(&args, restore, &mut summary)?.run().await });
    // Reads of files that nobody waits for any more must not hold the exit.
    runtime.shutdown_background();
    if let Some(file) = &args.summary {
        let error = match &done {
            Ok(end) => end.error.as_ref(),
            Err(e) => Some(e),
        };
        summary.write(file, error)?;
    }
    let end = done?;
    Ok(match &end.error {
        Some(e) => exit_code(e),
        None if end.interrupted => ExitCode::from(INTERRUPTED),
        None => ExitCode::SUCCESS,
    })
}

/// How a script ended.
#[derive(Default)]
struct End {
    /// By the user.
    interrupted: bool,
    /// The first error; it has been printed.
    error: Option<Error>,
}

impl End {
    /// Shows an error at once: other jobs may go on for long.
    fn fail(&mut self, error: Error) {
        output::error(&error);
        self.error.get_or_insert(error);
    }
}

/// Ctrl-C, and the word of a service manager that the process is to end.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn listen() -> Result<Interrupts> {
        Ok(Interrupts { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// What happens while jobs run.
enum News {
    Ended(usize),
    Interrupt,
    Nothing,
}

/// A script that runs: statements one after another, jobs beside each other.
struct Script<'a> {
    args: &'a RunArgs,
    session: Session,
    statements: Vec<SpannedStatement>,
    summary: &'a mut Summary,
    interrupts: Interrupts,
    jobs: Vec<(Job, Progress)>,
    /// A last checkpoint has been asked for: the next interrupt stops at once.
    stopping: bool,
    end: End,
}

impl<'a> Script<'a> {
    fn open(args: &'a RunArgs, restore: Restore, summary: &'a mut Summary) -> Result<Script<'a>> {
        let (text, session) = open_with(&args.script, restore, args.allow_non_restored_state)?;
        let statements = session.parse(&text).map_err(|e| e.with("script", args.script.file.display()))?;
        let (interrupts, end) = (Interrupts::listen()?, End::default());
        Ok(Script { args, session, statements, summary, interrupts, jobs: vec![], stopping: false, end })
    }

    /// Whatever goes wrong with one statement or job, the jobs that run are brought to their end.
    async fn run(mut self) -> Result<End> {
        for statement in std::mem::take(&mut self.statements) {
            let name = self.args.script.file.display();
            // A restore, or output that has to be committed first, may take long.
            let executed = tokio::select! {
                executed = self.session.execute(&statement) => Some(executed),
                () = self.interrupts.next() => None,
            };
            let done = match executed {
                Some(Ok(outcome)) => self.show(outcome).await,
                Some(Err(e)) => Err(e.with("script", name)),
                None => {
                    self.end.interrupted = true;
                    self.stop().await;
                    Ok(())
                }
            };
            if let Err(e) = done {
                self.end.fail(e);
                if !self.jobs.is_empty() {
                    output::note("The jobs of the statements before go on; Ctrl-C stops them.");
                }
            }
            if self.end.interrupted || self.end.error.is_some() {
                break;
            }
        }
        self.wait_for_jobs().await;
        Ok(self.end)
    }

    async fn show(&mut self, outcome: Outcome) -> Result<()> {
        let width = self.session.column_width()?;
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Rows { columns, rows } => output::out(&table::of_texts(&columns, &rows)),
            Outcome::Text(text) => output::out(&format!("{text}\n")),
            Outcome::AlreadyFinished { job } => {
                output::note(&format!("Job '{job}' had finished before; nothing to do."));
                Ok(())
            }
            Outcome::Job(job) => {
                if let Some(checkpoint) = job.restored {
                    output::note(&format!("Job '{}' goes on from checkpoint {checkpoint}.", job.name));
                }
                let progress = Progress::new();
                self.jobs.push((job, progress));
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
            let interval = progress.interval();
            let jobs = self.jobs.iter().map(|(job, _)| Box::pin(job.handle.ended()));
            let news = tokio::select! {
                ((), index, _) = select_all(jobs) => News::Ended(index),
                () = self.interrupts.next() => News::Interrupt,
                () = tokio::time::sleep(interval) => News::Nothing,
            };
            match news {
                News::Ended(index) => self.ended(index).await,
                News::Interrupt => self.stop().await,
                News::Nothing => self.progress(),
            }
        }
    }

    /// The first time with a last checkpoint, the second time at once.
    async fn stop(&mut self) {
        let at_once = std::mem::replace(&mut self.stopping, true);
        self.jobs.iter_mut().for_each(|(_, progress)| progress.clear());
        if self.jobs.is_empty() {
            output::note("Stopped.");
        } else if at_once {
            output::note("Stopping now.");
        } else {
            output::note("Stopping with a last checkpoint; Ctrl-C again stops at once.");
        }
        for (job, _) in &self.jobs {
            if at_once { job.handle.cancel().await } else { job.handle.stop().await }
        }
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
        let name = &job.name;
        match outcome {
            Ok(JobOutcome::Finished(_)) => progress.last(&job),
            Ok(JobOutcome::Suspended(state)) => {
                let checkpoint = state.last_checkpoint.map_or("none".to_string(), |c| c.to_string());
                output::note(&format!(
                    "Job '{name}' is stopped at checkpoint {checkpoint}. Go on with: flott run {} --restore latest",
                    self.args.script.file.display()
                ));
                self.end.interrupted = true;
            }
            Ok(JobOutcome::Cancelled(_)) => {
                output::note(&format!("Job '{name}' is cancelled."));
                self.end.interrupted = true;
            }
            Err(e) => self.end.fail(e),
        }
    }

    /// Prints a query's rows: a table at the end for a bounded one, row by row with its kind for an unbounded one.
    async fn show_query(&mut self, mut query: Query, width: usize) -> Result<()> {
        let types: Vec<_> = query.columns.iter().map(|(_, t)| t.clone()).collect();
        let names: Vec<String> = query.columns.iter().map(|(n, _)| n.clone()).collect();
        let whole = query.bounded && query.insert_only;
        let mut rows: Vec<Vec<Option<String>>> = vec![];
        let mut stream = (!whole).then(|| table::Stream::new(&names, &types, width));
        let mut count = 0u64;
        if let Some(stream) = &stream {
            output::out(&stream.head())?;
        }
        loop {
            tokio::select! {
                batch = query.next() => match batch {
                    None => break,
                    Some(batch) => {
                        let texts = query.texts(&batch)?;
                        count += texts.len() as u64;
                        match &mut stream {
                            Some(stream) => {
                                let lines: String =
                                    texts.iter().enumerate().map(|(i, row)| stream.row(batch.kind(i), row)).collect();
                                output::out(&lines)?;
                            }
                            None => rows.extend(texts.into_iter().map(|r| r.into_iter().map(Some).collect::<Vec<_>>())),
                        }
                    }
                },
                () = self.interrupts.next() => {
                    self.end.interrupted = true;
                    query.job.handle.cancel().await;
                    break;
                }
            }
        }
        let outcome = query.job.wait().await;
        self.summary.add(&query.job, &outcome);
        outcome?;
        match &stream {
            Some(stream) => output::out(&stream.tail(count)),
            None => output::out(&table::of_results(&names, &rows, width)),
        }
    }
}
