//! Flink's semantic test programs as data (one JSON object a line: set-up steps with rows, statements, expected rows), run
//! on Flott. Every program is treated in the same way.
//!
//! A program is an object with `class`, `id`, `setup` and `run`.
//! - `setup`: `SOURCE_..` and `SINK_..` (a table `name` with `schema`, `options`, `partition`; rows `rows_before` and
//!   `rows_after`, or what is expected `before` and `after`, as a `changelog` or `materialized`), `CONFIG` (`option`, `value`)
//!   and `SQL` (`sql`).
//! - `run`: `SQL`, `STATEMENT_SET` (`statements`), `FAILING_SQL` (must be refused).
//!
//! A program runs to the end of its rows; one with rows for before and after a savepoint also in two halves. Where only the
//! halves give what is expected, they count, for Flink runs such programs in no other way: sources stay open until the rows
//! have come, and an hour of processing time lies between the halves (what waits for processing time comes to nothing at
//! the end of a bounded input, in Flink as here). Where a program is no query for a stream, batch mode counts. The report
//! names both.

mod program;
mod report;
mod table;

use std::sync::Arc;

use serde_json::Value;

pub use program::{Score, run};
pub use report::{Counts, Report};

/// Programs at one time.
const AT_ONCE: usize = 4;

/// Runs the programs of a text with one JSON object a line: those whose class or id holds `only`.
///
/// # Errors
/// A line that is not JSON, with its number.
pub async fn run_all(lines: &str, only: &str, report: &mut Report) -> Result<(), String> {
    let mut programs = vec![];
    for (i, line) in lines.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let program: Value = serde_json::from_str(line).map_err(|e| format!("line {}: {e}", i + 1))?;
        let name = |key: &str| program[key].as_str().unwrap_or_default().to_string();
        let (class, id) = (name("class"), name("id"));
        if class.contains(only) || id.contains(only) {
            programs.push((class, id, program));
        }
    }
    let turns = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let mut running = vec![];
    for (class, id, program) in programs {
        let turns = Arc::clone(&turns);
        let score = tokio::spawn(async move {
            let _turn = turns.acquire_owned().await;
            run(program).await
        });
        running.push((class, id, score));
    }
    for (class, id, score) in running {
        let score = match score.await {
            Ok(score) => score,
            Err(e) => Score { reason: Some(format!("it ended in a panic: {e}")), ..Score::default() },
        };
        report.add(&class, &id, &score);
    }
    Ok(())
}
