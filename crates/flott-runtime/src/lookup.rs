//! Lookups: an operator's questions go through a bounded channel to async tasks, and the answers come back.
//!
//! An answer is in no checkpoint: an operator waits at a barrier until all its questions are answered, or stores the rows
//! that wait and asks for them anew.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use flott_connector::lookup::{CachedLookup, Lookup, LookupRows};
use flott_connector::lookup_full::FullLookup;
use flott_connector::source::SubtaskInfo;
use flott_core::clock::Clock;
use flott_core::{Error, Result};
use flott_graph::{LookupJoinSpec, LookupRetry, NodeId};
use flott_operator::operator::{LOOKUPS_MAX, LookupRequest};
use futures::FutureExt;
use timely::scheduling::SyncActivator;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, mpsc};

use crate::driver::panicked;
use crate::flow::{self, Shared};

/// Lookups of one subtask that work at a time, where they need not share a cache.
const AT_ONCE_MAX: usize = 8;
/// The longest that an attempt waits for a lookup to release what it holds.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// An answer.
pub(crate) struct Answer {
    /// Of which question.
    pub(crate) id: u64,
    pub(crate) rows: LookupRows,
}

/// The worker's end of the channels.
pub(crate) struct LookupQueue {
    shared: Arc<Shared>,
    /// It takes as many as an operator may have under way.
    questions: mpsc::Sender<LookupRequest>,
    /// The same.
    answers: mpsc::Receiver<Answer>,
}

impl LookupQueue {
    /// Sends a question. The operator has no more under way than the channel takes.
    pub(crate) fn ask(&self, request: LookupRequest) -> Result<()> {
        match self.questions.try_send(request) {
            Ok(()) => Ok(()),
            // The tasks of a cancelled attempt may be gone before its worker is: nobody waits for an answer.
            Err(TrySendError::Closed(_)) if self.shared.is_cancelled() => Ok(()),
            Err(TrySendError::Closed(_)) => Err(Error::internal("the lookups ended without a word")),
            Err(TrySendError::Full(_)) => Err(Error::internal("an operator asked for more lookups than it may")),
        }
    }

    /// An answer that has come.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

/// What the tasks share.
struct Asking {
    node: NodeId,
    spec: LookupJoinSpec,
    shared: Arc<Shared>,
    questions: Mutex<mpsc::Receiver<LookupRequest>>,
    answers: mpsc::Sender<Answer>,
    wake: SyncActivator,
}

/// The queue for a worker, and the tasks behind it.
pub(crate) fn start(
    spec: &LookupJoinSpec,
    node: NodeId,
    subtask: SubtaskInfo,
    shared: &Arc<Shared>,
    clock: &Arc<dyn Clock>,
    wake: &SyncActivator,
) -> Result<(LookupQueue, Vec<impl Future<Output = ()> + Send + 'static>)> {
    let (to_tasks, questions) = mpsc::channel(LOOKUPS_MAX);
    let (to_worker, answers) = mpsc::channel(LOOKUPS_MAX);
    // One cache of all that is asked, so one lookup in front of which it stands.
    let at_once = match &spec.asynchronous {
        Some(asynchronous) if spec.policy.cache_rows_max == 0 && spec.policy.full.is_none() => {
            asynchronous.capacity.clamp(1, AT_ONCE_MAX)
        }
        _ => 1,
    };
    let asking = Arc::new(Asking {
        node,
        spec: spec.clone(),
        shared: Arc::clone(shared),
        questions: Mutex::new(questions),
        answers: to_worker,
        wake: wake.clone(),
    });
    let mut tasks = vec![];
    for _ in 0..at_once {
        let inner: Result<Box<dyn Lookup>> = match spec.policy.full {
            Some(full) => FullLookup::new(Arc::clone(&spec.source), full, Arc::clone(clock)).map(|l| Box::new(l) as _),
            None => spec.source.create_lookup(subtask),
        };
        let inner = inner.map_err(|e| e.with("table", &spec.table.object))?;
        let lookup = CachedLookup::new(spec.source.as_ref(), inner, spec.policy.clone(), Arc::clone(clock))?;
        tasks.push(run(Arc::clone(&asking), lookup));
    }
    Ok((LookupQueue { shared: Arc::clone(shared), questions: to_tasks, answers }, tasks))
}

async fn run(asking: Arc<Asking>, mut lookup: CachedLookup) {
    let mut cancelled = asking.shared.cancellation();
    let work = AssertUnwindSafe(answer_all(&asking, &mut lookup)).catch_unwind();
    let result = tokio::select! {
        result = work => result,
        // A lookup may hang in the outside system; its future is dropped.
        _ = cancelled.wait_for(|c| *c) => Ok(Ok(())),
    };
    let fail = |e: Error| {
        asking.shared.fail(Some(asking.node), e.with("table", &asking.spec.table.object));
        flow::wake(&asking.wake);
    };
    match result {
        Err(panic) => return fail(panicked("the lookup", panic.as_ref())),
        Ok(Err(e)) => fail(e),
        Ok(Ok(())) => {}
    }
    match tokio::time::timeout(CLOSE_TIMEOUT, AssertUnwindSafe(lookup.close()).catch_unwind()).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "a lookup did not close well"),
        Ok(Err(panic)) => fail(panicked("the lookup", panic.as_ref())),
        Err(_) => tracing::warn!("a lookup did not close in time"),
    }
}

/// Answers until the worker is gone.
async fn answer_all(asking: &Asking, lookup: &mut CachedLookup) -> Result<()> {
    lookup.start().await?;
    loop {
        let Some(request) = asking.questions.lock().await.recv().await else { return Ok(()) };
        let work = ask(lookup, &request.keys, asking.spec.retry);
        let rows = match &asking.spec.asynchronous {
            None => work.await?,
            Some(asynchronous) => tokio::time::timeout(asynchronous.timeout, work).await.map_err(|_| {
                Error::unavailable("Async function call has timed out.").hint(
                    "Raise 'table.exec.async-lookup.timeout' or the hint's 'timeout', or look why the table is slow",
                )
            })??,
        };
        if asking.answers.send(Answer { id: request.id, rows }).await.is_err() {
            return Ok(());
        }
        flow::wake(&asking.wake);
    }
}

/// The rows of these keys; those without any are asked for again as the hint says.
async fn ask(lookup: &mut CachedLookup, keys: &RecordBatch, retry: Option<LookupRetry>) -> Result<LookupRows> {
    let mut found = lookup.lookup(keys).await?;
    let Some(retry) = retry else { return Ok(found) };
    for _ in 0..retry.attempts_max {
        let mut has_rows = vec![false; keys.num_rows()];
        found.keys.values().iter().for_each(|key| has_rows[*key as usize] = true);
        let missing: Vec<u32> = (0..).zip(&has_rows).filter(|(_, has)| !**has).map(|(key, _)| key).collect();
        if missing.is_empty() {
            break;
        }
        tokio::time::sleep(retry.delay).await;
        let again = take_record_batch(keys, &UInt32Array::from(missing.clone()))?;
        found = merged(found, lookup.lookup_again(&again).await?, &missing)?;
    }
    Ok(found)
}

/// Both answers in the order of their keys.
fn merged(first: LookupRows, second: LookupRows, keys_of_second: &[u32]) -> Result<LookupRows> {
    let offset = first.rows.num_rows() as u32;
    let mut order: Vec<(u32, u32)> = (0..).zip(first.keys.values()).map(|(row, key)| (*key, row)).collect();
    for (row, key) in (0..).zip(second.keys.values()) {
        let key = *keys_of_second.get(*key as usize).ok_or_else(|| Error::internal("a lookup gave rows of no key"))?;
        order.push((key, offset + row));
    }
    order.sort_unstable();
    let rows = concat_batches(&first.rows.schema(), [&first.rows, &second.rows])?;
    let (keys, rows_in_order): (Vec<u32>, Vec<u32>) = order.into_iter().unzip();
    let rows = take_record_batch(&rows, &UInt32Array::from(rows_in_order))?;
    Ok(LookupRows { rows, keys: UInt32Array::from(keys) })
}

#[cfg(test)]
mod tests {
    use arrow_schema::Schema;
    use flott_core::ErrorKind;

    use super::*;
    use crate::memory::Memory;

    #[test]
    fn questions_to_tasks_that_are_gone_are_an_error_unless_the_attempt_is_cancelled() {
        let shared = Shared::new(1, 1, Memory::new(None));
        let (questions, to_tasks) = mpsc::channel(1);
        let (_, answers) = mpsc::channel(1);
        let queue = LookupQueue { shared: Arc::clone(&shared), questions, answers };
        drop(to_tasks);
        let request = || LookupRequest { id: 0, keys: RecordBatch::new_empty(Arc::new(Schema::empty())) };
        assert_eq!(queue.ask(request()).map_err(|e| e.kind()), Err(ErrorKind::Internal));
        shared.cancel();
        queue.ask(request()).expect("nobody waits for the answer");
    }
}
