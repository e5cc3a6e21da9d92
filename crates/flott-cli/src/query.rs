//! The rows of a query on stdout.

use std::time::Duration;

use flott::{JobOutcome, Query, Result};

use crate::held::HeldRows;
use crate::interrupts::{Interrupt, Interrupts};
use crate::{allocator, output, table};

/// Lines are printed in pieces of about this size.
const OUT_BYTES: usize = 64 << 10;

/// How a query ended.
pub(crate) struct Shown {
    /// Of its job.
    pub(crate) outcome: Result<JobOutcome>,
    /// The signal that ended it.
    pub(crate) interrupt: Option<Interrupt>,
}

/// Prints a query's rows: a table at the end for a bounded one, row by row with its kind for an unbounded one. The job
/// has ended when this returns. `elapsed` gives the time that a result took, where that is shown.
pub(crate) async fn show(
    query: &mut Query,
    width: usize,
    interrupts: &mut Interrupts,
    elapsed: impl Fn() -> Option<Duration>,
) -> Result<Shown> {
    let types: Vec<_> = query.columns.iter().map(|(_, t)| t.clone()).collect();
    let names: Vec<String> = query.columns.iter().map(|(n, _)| n.clone()).collect();
    let whole = query.bounded && query.insert_only;
    let mut rows = whole.then(|| (HeldRows::new(names.len()), table::Whole::new(&names, width)));
    let mut stream = (!whole).then(|| table::Stream::new(&names, &types, width));
    let mut count = 0u64;
    if let Some(stream) = &stream {
        output::out(&stream.head())?;
    }
    let interrupt = loop {
        tokio::select! {
            batch = query.next() => match batch {
                None => break None,
                Some(batch) => {
                    let texts = query.texts(&batch)?;
                    count += texts.len() as u64;
                    if let Some(stream) = &mut stream {
                        let lines: String =
                            texts.iter().enumerate().map(|(i, row)| stream.row(batch.kind(i), row)).collect();
                        output::out(&lines)?;
                    }
                    if let Some((rows, table)) = &mut rows {
                        for row in &texts {
                            table.see(row);
                            rows.push(row)?;
                        }
                    }
                }
            },
            interrupt = interrupts.next() => break Some(interrupt),
        }
    };
    if interrupt.is_some() {
        query.job.handle.cancel().await;
    }
    let outcome = query.job.wait().await;
    if outcome.is_ok() {
        if let Some((rows, table)) = rows {
            print(rows, &table)?;
        }
        output::out(&match (&stream, interrupt) {
            (_, Some(_)) => table::terminated(count),
            (Some(stream), None) => stream.tail(count, elapsed()),
            (None, None) => table::Whole::count(count, elapsed()),
        })?;
    }
    allocator::give_back();
    Ok(Shown { outcome, interrupt })
}

/// A whole result. Its lines leave as they are made: all of them together may be more than there is memory.
fn print(rows: HeldRows, table: &table::Whole) -> Result<()> {
    if rows.count() == 0 {
        return Ok(());
    }
    let mut text = table.head();
    rows.each(|row| {
        text += &table.row(row);
        if text.len() < OUT_BYTES {
            return Ok(());
        }
        output::out(&std::mem::take(&mut text))
    })?;
    output::out(&(text + &table.foot()))
}
