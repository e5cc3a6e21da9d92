//! `cargo xtask differential --queries N --seed S`: random queries on Flott and on a real Flink, compared after
//! consolidation; what differs is made smaller and shown.
//!
//! Flink runs behind its SQL gateway (`--gateway`, by default `http://127.0.0.1:8083`).

mod answer;
mod expression;
mod gateway;
mod here;
mod query;
mod tables;

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
    #[arg(long, default_value_t = 150)]
    shrink: usize,
    /// Shows the queries
    #[arg(long)]
    verbose: bool,
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
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut engines = Engines::open(&args, folder.path()).await?;
        let (mut found, mut unsupported) = (0, 0);
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
            let mut left = args.shrink;
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
            found += 1;
            println!("DIFFERS seed {seed} {kind:?}\n  {}\n  {difference}", query.sql());
        }
        println!(
            "{} queries ({}): {found} differ, {unsupported} are not supported yet",
            args.queries,
            args.mode.name()
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
