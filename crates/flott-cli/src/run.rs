//! `flott run`

use std::path::Path;
use std::process::ExitCode;

use flott::{Error, FailPoints, Job, JobOutcome, Outcome, Query, Restore, Result, Session};

use crate::progress::Progress;
use crate::summary::Summary;
use crate::{RunArgs, ScriptArgs, output, table};

/// What Ctrl-C leaves to the shell.
const INTERRUPTED: u8 = 130;

/// The script's text, and a session whose paths start at its folder.
pub(crate) fn open(args: &ScriptArgs, restore: Restore) -> Result<(String, Session)> {
    let text = std::fs::read(&args.file).map_err(|e| Error::from(e).with("script", args.file.display()))?;
    let text = String::from_utf8(text)
        .map_err(|e| Error::user("the script is not UTF-8").with("script", args.file.display()).caused_by(e))?;
    let folder = args.file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = args.file.file_stem().map_or_else(|| "job".to_string(), |n| n.to_string_lossy().into_owned());
    let mut builder = Session::builder().base_dir(folder).name(name).restore(restore).fail_points(fail_points()?);
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
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Error::unavailable("the runtime cannot be started").caused_by(e))?;
    let mut summary = Summary::start();
    let done = runtime.block_on(script(&args, restore, &mut summary));
    // Reads of files that nobody waits for any more must not hold the exit.
    runtime.shutdown_background();
    if let Some(file) = &args.summary {
        summary.write(file, done.as_ref().err())?;
    }
    done
}

async fn script(args: &RunArgs, restore: Restore, summary: &mut Summary) -> Result<ExitCode> {
    let (text, mut session) = open(&args.script, restore)?;
    let statements = session.parse(&text).map_err(|e| e.with("script", args.script.file.display()))?;
    let mut jobs = vec![];
    let mut interrupted = false;
    for statement in &statements {
        let outcome = session.execute(statement).await.map_err(|e| e.with("script", args.script.file.display()))?;
        match outcome {
            Outcome::Done => {}
            Outcome::Rows { columns, rows } => output::out(&table::of_texts(&columns, &rows))?,
            Outcome::Text(text) => output::out(&format!("{text}\n"))?,
            Outcome::AlreadyFinished { job } => {
                output::note(&format!("Job '{job}' had finished before; nothing to do."))
            }
            Outcome::Job(job) => {
                announce(&job);
                jobs.push(job);
            }
            Outcome::Query(query) => interrupted |= show(query, summary).await?,
        }
        if interrupted {
            break;
        }
    }
    for job in &mut jobs {
        interrupted |= wait(job, summary, args).await?;
    }
    Ok(if interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

fn announce(job: &Job) {
    if let Some(checkpoint) = job.restored {
        output::note(&format!("Job '{}' goes on from checkpoint {checkpoint}.", job.name));
    }
}

/// Waits for a job, shows how it goes, and stops it on Ctrl-C. True where it was stopped.
async fn wait(job: &mut Job, summary: &mut Summary, args: &RunArgs) -> Result<bool> {
    let mut progress = Progress::new(job);
    let mut stopping = false;
    let outcome = loop {
        tokio::select! {
            outcome = job.handle.wait() => break outcome,
            signal = tokio::signal::ctrl_c() => {
                signal.map_err(Error::from)?;
                progress.clear();
                if stopping {
                    output::note("Stopping now.");
                    job.handle.cancel().await;
                } else {
                    output::note("Stopping with a last checkpoint; Ctrl-C again stops at once.");
                    job.handle.stop().await;
                    stopping = true;
                }
            }
            () = tokio::time::sleep(progress.interval()) => progress.show(job),
        }
    };
    progress.clear();
    summary.add(job, &outcome);
    let name = job.name.clone();
    match outcome.map_err(|e| e.with("job", name))? {
        JobOutcome::Finished(_) => {
            progress.last(job);
            Ok(false)
        }
        JobOutcome::Suspended(state) => {
            let checkpoint = state.last_checkpoint.map_or("none".to_string(), |c| c.to_string());
            output::note(&format!(
                "Job '{}' is stopped at checkpoint {checkpoint}. Go on with: flott run {} --restore latest",
                job.name,
                args.script.file.display()
            ));
            Ok(true)
        }
        JobOutcome::Cancelled(_) => {
            output::note(&format!("Job '{}' is cancelled.", job.name));
            Ok(true)
        }
    }
}

/// Prints a query's rows: a table at the end for a bounded one, row by row with its kind for an unbounded one.
async fn show(mut query: Query, summary: &mut Summary) -> Result<bool> {
    let types: Vec<_> = query.columns.iter().map(|(_, t)| t.clone()).collect();
    let names: Vec<String> = query.columns.iter().map(|(n, _)| n.clone()).collect();
    let whole = query.bounded && query.insert_only;
    let mut rows: Vec<Vec<Option<String>>> = vec![];
    let mut stream = (!whole).then(|| table::Stream::new(&names, &types));
    let mut count = 0u64;
    let mut interrupted = false;
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
            signal = tokio::signal::ctrl_c() => {
                signal.map_err(Error::from)?;
                interrupted = true;
                query.job.handle.cancel().await;
                break;
            }
        }
    }
    let outcome = query.job.wait().await;
    summary.add(&query.job, &outcome);
    outcome?;
    match &stream {
        Some(stream) => output::out(&stream.tail(count))?,
        None => output::out(&table::of_results(&names, &types, &rows))?,
    }
    Ok(interrupted)
}
