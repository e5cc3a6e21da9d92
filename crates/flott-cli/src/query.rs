//! The rows of a query on stdout.

use std::time::Duration;

use flott::{JobOutcome, Query, Result};

use crate::interrupts::{Interrupt, Interrupts};
use crate::{output, table};

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
    let mut rows: Vec<Vec<Option<String>>> = vec![];
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
            interrupt = interrupts.next() => break Some(interrupt),
        }
    };
    if interrupt.is_some() {
        query.job.handle.cancel().await;
    }
    let outcome = query.job.wait().await;
    match (&outcome, &stream) {
        (Err(_), _) => {}
        (Ok(_), Some(_)) if interrupt.is_some() => output::out(&table::terminated(count))?,
        (Ok(_), None) if interrupt.is_some() => {
            output::out(&(table::of_part(&names, &rows, width) + &table::terminated(count)))?;
        }
        (Ok(_), Some(stream)) => output::out(&stream.tail(count, elapsed()))?,
        (Ok(_), None) => output::out(&table::of_results(&names, &rows, width, elapsed()))?,
    }
    Ok(Shown { outcome, interrupt })
}
