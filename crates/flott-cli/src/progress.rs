//! How a long job goes: one live line on a terminal, log lines elsewhere.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flott::Job;
use flott_core::Watermark;
use flott_core::clock::{Clock, SystemClock};

use crate::{output, summary};

/// On a terminal.
const LIVE: Duration = Duration::from_millis(500);
/// In a log.
const LOG: Duration = Duration::from_secs(10);

/// A job that has run so long has begun well.
const BEGINNING: Duration = Duration::from_millis(200);

/// What was shown last.
pub(crate) struct Progress {
    /// What is to be told of a job that does not fail at once: that it goes on.
    beginning: Option<String>,
    clock: Arc<dyn Clock>,
    last: Duration,
    rows_in: u64,
    rows_out: u64,
    shown: bool,
    terminal: bool,
}

impl Progress {
    /// `beginning` is told once the job has begun well.
    pub(crate) fn new(beginning: Option<String>) -> Progress {
        let clock = SystemClock::shared();
        Progress {
            beginning,
            clock,
            last: Duration::ZERO,
            rows_in: 0,
            rows_out: 0,
            shown: false,
            terminal: output::is_terminal(),
        }
    }

    /// Until the next look.
    pub(crate) fn interval(&self) -> Duration {
        match self.beginning {
            Some(_) => BEGINNING,
            None if self.terminal => LIVE,
            None => LOG,
        }
    }

    /// The job has begun well; whether there was something to tell of it.
    pub(crate) fn tell_beginning(&mut self) -> bool {
        let Some(beginning) = self.beginning.take() else { return false };
        self.clear();
        output::note(&beginning);
        true
    }

    /// Shows how a job goes; `others` run beside it.
    pub(crate) fn show(&mut self, job: &Job, others: usize) {
        let now = self.clock.monotonic();
        let seconds = (now - self.last).as_secs_f64().max(1e-3);
        let (rows_in, rows_out) = (summary::rows_in(job), summary::rows_out(job));
        let rate = |now: u64, before: u64| (now.saturating_sub(before)) as f64 / seconds;
        let mut line = format!(
            "{} | in {} ({}/s) | out {} ({}/s)",
            job.name,
            count(rows_in as f64),
            count(rate(rows_in, self.rows_in)),
            count(rows_out as f64),
            count(rate(rows_out, self.rows_out))
        );
        line.push_str(&self.event_time(job));
        let state = job.handle.state();
        if let (Some(id), Some(at)) = (state.last_checkpoint, state.last_checkpoint_ms) {
            let ago = (self.clock.now_ms() - at).max(0) / 1_000;
            line.push_str(&format!(" | checkpoint {id} {ago} s ago ({} ms)", state.last_duration_ms));
        }
        if state.restarts > 0 {
            line.push_str(&format!(" | {} restarts", state.restarts));
        }
        (self.last, self.rows_in, self.rows_out) = (now, rows_in, rows_out);
        if self.terminal {
            if others > 0 {
                line.push_str(&format!(" | {others} more jobs"));
            }
            let line = fitting(&line, terminal_columns());
            let mut err = std::io::stderr().lock();
            drop(write!(err, "\r\x1b[2K{line}").and_then(|()| err.flush()));
            self.shown = true;
        } else {
            tracing::info!("{line}");
        }
    }

    /// Event time of the slowest source, and how far it is behind the clock.
    fn event_time(&self, job: &Job) -> String {
        let metrics = job.handle.metrics();
        let least = job.handle.graph().sources().map(|(id, _)| metrics.watermark_ms(id.0)).min().unwrap_or(i64::MIN);
        if least == i64::MIN || least == i64::MAX {
            return String::new();
        }
        let lag = (self.clock.now_ms() - least).max(0) / 1_000;
        format!(" | watermark {} ({lag} s behind)", Watermark(least))
    }

    /// Takes the live line away before something else is printed.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let mut err = std::io::stderr().lock();
            drop(write!(err, "\r\x1b[2K").and_then(|()| err.flush()));
        }
    }

    /// One line at the end.
    pub(crate) fn last(&self, job: &Job) {
        let (rows_in, rows_out) = (summary::rows_in(job), summary::rows_out(job));
        let late: u64 = {
            let metrics = job.handle.metrics();
            job.handle.graph().iter().map(|(id, _)| metrics.lasting(id.0).late_records_dropped).sum()
        };
        let late = match late {
            0 => String::new(),
            late => {
                format!(", {late} late rows dropped ('table.exec.late-records.table' names a table that takes them)")
            }
        };
        let seconds = self.clock.monotonic().as_secs_f64();
        output::note(&format!(
            "Job '{}' finished: {rows_in} rows in, {rows_out} rows out{late}, {seconds:.2} s.",
            job.name
        ));
    }
}

/// A line that does not wrap: one that does could not be taken away again.
fn fitting(line: &str, columns: usize) -> String {
    line.chars().take(columns.saturating_sub(1)).collect()
}

/// How wide the terminal behind stderr is.
fn terminal_columns() -> usize {
    rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| usize::from(size.ws_col)).max(20)
}

/// `12.3k`
fn count(n: f64) -> String {
    match n {
        n if n >= 1e9 => format!("{:.2}G", n / 1e9),
        n if n >= 1e6 => format!("{:.2}M", n / 1e6),
        n if n >= 1e4 => format!("{:.1}k", n / 1e3),
        n => format!("{n:.0}"),
    }
}
