//! `cargo xtask differential --queries N --seed S`: random queries on Flott and on a real Flink, compared after
//! consolidation; what differs is made smaller and shown.
//!
//! Flink runs behind its SQL gateway (`--gateway`, by default `http://127.0.0.1:8083`).

mod answer;
mod expression;
mod expressions;
mod gateway;
mod goldens;
mod here;
mod query;
mod tables;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use flott::Session;
use flott_core::rng::Rng;

use crate::answer::Answer;
use crate::gateway::Gateway;
use crate::query::Query;

/// Compares random queries with a real Flink.
#[derive(Parser)]
struct Args {
    /// How many
    #[arg(long, default_value_t = 100)]
    queries: u64,
    /// The first one's seed; the next ones follow
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Compares so many expressions instead of queries
    #[arg(long)]
    expressions: Option<u64>,
    /// Compares the expressions of a file, one a line; a line `FROM (..) AS t(..)` says what the columns behind it are
    #[arg(long)]
    from: Option<std::path::PathBuf>,
    /// Compares the queries of a script, after statements that both run (each ends with a semicolon at the end of a line)
    #[arg(long)]
    script: Option<std::path::PathBuf>,
    /// Records the expected rows of the .slt files of a folder from Flink
    #[arg(long)]
    goldens: Option<std::path::PathBuf>,
    /// Only files whose name holds this
    #[arg(long)]
    only: Option<String>,
    /// How deep expressions are nested at most
    #[arg(long, default_value_t = 3)]
    depth: usize,
    /// Differences of each function that the summary shows
    #[arg(long, default_value_t = 3)]
    examples: usize,
    /// Where Flink's SQL gateway listens
    #[arg(long, default_value = "http://127.0.0.1:8083")]
    gateway: String,
    /// execution.runtime-mode
    #[arg(long, value_enum, default_value_t = Mode::Streaming)]
    mode: Mode,
    /// An option for both, such as table.exec.mini-batch.enabled=true
    #[arg(long, value_name = "KEY=VALUE", value_parser = option)]
    set: Vec<(String, String)>,
    /// Mini-batches of so many rows: aggregates run in two phases
    #[arg(long, value_name = "ROWS")]
    mini_batch: Option<u32>,
    /// Questions that a difference may cost while it is made smaller
    #[arg(long)]
    shrink: Option<usize>,
    /// Shows the queries
    #[arg(long)]
    verbose: bool,
    /// Shows the differences that are explained, too
    #[arg(long)]
    explained: bool,
}

/// The beginning of a message.
fn shown(error: Option<String>) -> String {
    error.map_or("ok".to_string(), |e| e.chars().take(400).collect())
}

fn option(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("'{text}' is not KEY=VALUE"))?;
    Ok((key.to_string(), value.to_string()))
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Streaming,
    Batch,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Streaming => "streaming",
            Mode::Batch => "batch",
        }
    }
}

/// Both engines with the same tables.
struct Engines {
    flink: Gateway,
    flott: Session,
}

/// How the engines disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Other rows or types.
    Result,
    /// Only Flott refuses or fails.
    FlottRefuses,
    /// Only Flink does.
    FlinkRefuses,
}

impl Kind {
    /// As the lists of known differences call it.
    fn name(self) -> &'static str {
        match self {
            Kind::Result => "value",
            Kind::FlottRefuses => "Flott refuses",
            Kind::FlinkRefuses => "Flink refuses",
        }
    }
}

impl Engines {
    async fn open(args: &Args, folder: &Path) -> Result<Engines, String> {
        let rows = args.mini_batch.map(|n| n.to_string());
        let mut settings = vec![
            ("execution.runtime-mode", args.mode.name()),
            ("table.local-time-zone", "UTC"),
            ("parallelism.default", "1"),
        ];
        if let Some(rows) = &rows {
            settings.extend([
                ("table.exec.mini-batch.enabled", "true"),
                ("table.exec.mini-batch.allow-latency", "5 s"),
                ("table.exec.mini-batch.size", rows),
            ]);
        }
        settings.extend(args.set.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let flink = Gateway::open(&args.gateway, &settings).await?;
        let mut builder = Session::builder();
        for (key, value) in settings {
            builder = builder.option(key, value);
        }
        let mut flott = builder.build().map_err(|e| e.to_string())?;
        for table in tables::TABLES {
            table.write(folder).map_err(|e| e.to_string())?;
            let ddl = table.ddl(folder);
            flink.run(&ddl).await?;
            flott.execute_sql(&ddl).await.map_err(|e| e.to_string())?;
        }
        Ok(Engines { flink, flott })
    }

    /// Both run a script; its queries are compared. What is refused by both is shown, too: it may be written wrongly.
    #[expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]
    async fn script(&mut self, text: &str) -> Result<bool, String> {
        let (mut asked, mut found) = (0, 0);
        for sql in text.split(";\n").map(str::trim).filter(|s| !s.is_empty()) {
            let first = sql.split_whitespace().next().unwrap_or_default().to_uppercase();
            if !matches!(first.as_str(), "SELECT" | "WITH" | "VALUES") {
                let theirs = self.flink.run(sql).await.err();
                let ours = self.flott.execute_sql(sql).await.err().map(|e| e.to_string());
                if ours.is_some() || theirs.is_some() {
                    println!("{sql}\n  Flott: {}\n  Flink: {}", shown(ours), shown(theirs));
                }
                continue;
            }
            asked += 1;
            let flott = here::run(&mut self.flott, sql).await;
            let flink = self.flink.run(sql).await;
            let line = match (flott, flink) {
                (Ok(ours), Ok(theirs)) => ours.difference(&theirs).map(|d| format!("DIFFERS, Flott, then Flink: {d}")),
                (Err(e), Ok(_)) => Some(format!("FLOTT REFUSES: {e}")),
                (Ok(_), Err(e)) => Some(format!("FLINK REFUSES: {}", shown(Some(e)))),
                (Err(ours), Err(theirs)) => {
                    println!("{sql}\n  BOTH REFUSE: {ours}\n  Flink: {}", shown(Some(theirs)));
                    None
                }
            };
            if let Some(line) = line {
                found += 1;
                println!("{sql}\n  {line}");
            }
        }
        println!("{asked} queries: {found} differ");
        Ok(found == 0)
    }

    /// Where they disagree.
    async fn ask(&mut self, sql: &str) -> Option<(Kind, String)> {
        let flott = here::run(&mut self.flott, sql).await;
        let flink: Result<Answer, String> = self.flink.run(sql).await;
        match (flott, flink) {
            (Ok(ours), Ok(theirs)) => {
                ours.difference(&theirs).map(|d| (Kind::Result, format!("Flott, then Flink: {d}")))
            }
            (Err(e), Ok(_)) => Some((Kind::FlottRefuses, e)),
            // What Flott can do beyond Flink.
            (Ok(_), Err(e)) if e.contains("not supported") || e.contains("does not support") => None,
            (Ok(_), Err(e)) => Some((Kind::FlinkRefuses, e)),
            (Err(_), Err(_)) => None,
        }
    }
}

#[tokio::main(worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let run = async {
        if let Some(folder) = &args.goldens {
            let settings = [("table.local-time-zone", "UTC"), ("parallelism.default", "1")];
            let flink = Gateway::open(&args.gateway, &settings).await?;
            let done = goldens::run(&flink, folder, args.only.as_deref()).await?;
            for skipped in &done.skipped {
                println!("left alone: {skipped}");
            }
            let (same, changed, skipped) = (done.same, done.changed, done.skipped.len());
            println!("{same} queries are as they were, {changed} have changed, {skipped} are left alone");
            return Ok(true);
        }
        if args.expressions.is_some() || args.from.is_some() {
            let mut both = expressions::Both::open(&args.gateway, args.mode.name(), &args.set).await?;
            let plan = expressions::Plan {
                count: args.expressions.unwrap_or_default(),
                seed: args.seed,
                depth: args.depth,
                from: args.from.as_deref(),
                shrink: args.shrink.unwrap_or(12),
                examples: args.examples,
                verbose: args.verbose,
                explained: args.explained,
            };
            return expressions::run(&mut both, &plan).await;
        }
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut engines = Engines::open(&args, folder.path()).await?;
        if let Some(script) = &args.script {
            return engines.script(&std::fs::read_to_string(script).map_err(|e| e.to_string())?).await;
        }
        let known = expressions::known::Known::of_queries()?;
        let (mut found, mut unsupported) = (0, 0);
        let mut explained: BTreeMap<&'static str, u64> = BTreeMap::new();
        for seed in args.seed..args.seed + args.queries {
            let mut query = Query::any(&mut Rng::seeded(seed));
            if args.verbose {
                println!("{seed}: {}", query.sql());
            }
            let Some((kind, mut difference)) = engines.ask(&query.sql()).await else { continue };
            if kind == Kind::FlottRefuses && difference.contains("not supported yet") {
                unsupported += 1;
                continue;
            }
            let mut left = args.shrink.unwrap_or(150);
            'smaller: while left > 0 {
                let length = query.sql().len();
                for smaller in query.smaller().into_iter().filter(|q| q.sql().len() < length) {
                    if left == 0 {
                        break 'smaller;
                    }
                    left -= 1;
                    if let Some((same, text)) = engines.ask(&smaller.sql()).await
                        && same == kind
                    {
                        (query, difference) = (smaller, text);
                        continue 'smaller;
                    }
                }
                break;
            }
            if let Some(subject) = known.reason(kind.name(), [&query.sql(), &difference, &difference]) {
                *explained.entry(subject).or_default() += 1;
                if args.explained {
                    println!("EXPLAINED {subject}\n  {}\n  {difference}", query.sql());
                }
                continue;
            }
            found += 1;
            println!("DIFFERS seed {seed} {kind:?}\n  {}\n  {difference}", query.sql());
        }
        for (subject, count) in &explained {
            println!("in docs/deviations.md: {count} x {subject}");
        }
        println!(
            "{} queries ({}): {found} differ, {} are explained, {unsupported} are not supported yet",
            args.queries,
            args.mode.name(),
            explained.values().sum::<u64>()
        );
        Ok::<bool, String>(found == 0)
    };
    match run.await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            println!("SKIPPED: {e}");
            ExitCode::FAILURE
        }
    }
}
