//! Makes staged output visible: one short transaction for all rows of a checkpoint and its marker, or several where one
//! would take too long (`flott_connector::staged`).
//!
//! The transactional id is the same in every attempt, so that whoever begins one fences who came before. What then counts
//! is the marker: a checkpoint that it does not name is written, from the staged files, as often as it takes. Nothing
//! depends on a transaction that is left open, so no time-out of the broker can lose decided rows. After any error whose
//! meaning is not certain the producer is dropped: a message of its that is still under way cannot reach a transaction of
//! the next one, which has another epoch.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::sink::{CommitOutcome, Committable, Committer, CommitterContext};
use flott_connector::staged::{self, Done, Group, Limit, Marker, Place, StagedFile};
use flott_core::clock::{Clock, SystemClock};
use flott_core::{DecidedCheckpoint, Error, ErrorKind, FailPoint, Result};
use rdkafka::producer::Producer as _;

use crate::client::{self, REQUEST_PATIENCE, blocking};
use crate::held::{self, Held, TRANSACTION_PATIENCE};
use crate::marker::pause;
use crate::producer::{LOOK, Producer};
use crate::record::Outgoing;
use crate::target::{Partitioner, Target};

/// Between the first two tries to claim an id, and the longest time between two.
const CLAIM_AGAIN: Duration = Duration::from_millis(100);
const CLAIM_AGAIN_MAX: Duration = Duration::from_secs(3);
/// How long a refusal of decided rows is doubted.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of keys and values in a transaction at most (a larger record goes alone).
const PART_BYTES: u64 = 1 << 30;

/// As many rows a transaction may have also after many that have failed.
const ROWS_AFTER_FAILURE: u64 = 100;
/// Records up to so many bytes go to the client several at a time; between larger ones it is looked at the time.
const SMALL_BYTES: usize = 16 << 10;

pub(crate) struct KafkaCommitter {
    target: Arc<Target>,
    context: CommitterContext,
    held: HashMap<String, Held>,
    /// Rows of a transaction at most: fewer after one that has failed, since it may have been too slow.
    rows_max: u64,
    /// When what only a user can put right was said first.
    refused_since: Option<Duration>,
    clock: Arc<dyn Clock>,
}

impl KafkaCommitter {
    pub(crate) fn new(target: Arc<Target>, context: CommitterContext) -> KafkaCommitter {
        KafkaCommitter {
            rows_max: target.transaction_rows,
            target,
            context,
            held: HashMap::new(),
            refused_since: None,
            clock: SystemClock::shared(),
        }
    }

    fn own_id(&self) -> String {
        self.target.transactional_id(&self.context.lineage, &self.context.operator_uid)
    }

    async fn commit_group(&mut self, group: &Group, checkpoint: u64) -> Result<Done> {
        let id = group.owner.clone();
        let mut held = self.held.remove(&id);
        let foreign = group.lineage != self.context.lineage;
        let files = Arc::new(group.files());
        loop {
            let (target, context) = (Arc::clone(&self.target), self.context.clone());
            let (id, lineage, epoch) = (id.clone(), group.lineage.clone(), group.epoch);
            let opened = blocking(move || open_for(&target, &context, &id, &lineage, epoch, foreign, held)).await?;
            let (next, marker) = match opened {
                Ok(None) => return Ok(Done::Already),
                Ok(Some(opened)) => opened,
                Err(e) if e.kind() == ErrorKind::Unavailable => {
                    self.refused_since = None;
                    return Ok(Done::Later(e.to_string()));
                }
                Err(e) => return Err(e),
            };
            let from = staged::start(&files, &marker, &self.target.marker_topic)?;
            let part = Part {
                id: group.owner.clone(),
                lineage: group.lineage.clone(),
                generation: if foreign { marker.generation } else { self.context.generation.0 },
                before: marker.epoch,
                // The marker of another lineage says only what that lineage has decided.
                all: if foreign { group.epoch } else { checkpoint.max(group.epoch) },
                files: Arc::clone(&files),
                from,
                rows_max: self.rows_max,
                clock: Arc::clone(&self.clock),
            };
            let target = Arc::clone(&self.target);
            let (tried, written) = blocking(move || part.write(&target, next)).await?;
            match written {
                Ok(after) => {
                    self.refused_since = None;
                    self.rows_max = self.rows_max.saturating_mul(2).min(self.target.transaction_rows);
                    if after.marker.as_ref().is_some_and(|m| m.epoch >= group.epoch) {
                        self.held.insert(group.owner.clone(), after);
                        return Ok(Done::Committed);
                    }
                    held = Some(after);
                }
                // What cannot be written now may be written later, and what is decided is never given up; but a record that
                // is too large stays so.
                Err(e) if e.kind() == ErrorKind::Data => return Ok(Done::Never(e.to_string())),
                // So does what nobody but a user can put right: a login that may not write, a topic that was removed. A topic that
                // brokers which have just begun do not know is there a moment later.
                Err(e) if e.kind() == ErrorKind::User => {
                    let now = self.clock.monotonic();
                    let since = *self.refused_since.get_or_insert(now);
                    if now.saturating_sub(since) >= REFUSAL_PATIENCE {
                        return Ok(Done::Never(e.to_string()));
                    }
                    return Ok(Done::Later(e.to_string()));
                }
                Err(e) if e.kind() == ErrorKind::Internal => return Err(e),
                Err(e) => {
                    self.refused_since = None;
                    let fewest = ROWS_AFTER_FAILURE.min(self.target.transaction_rows);
                    self.rows_max = (tried / 2).clamp(fewest, self.rows_max);
                    return Ok(Done::Later(e.to_string()));
                }
            }
        }
    }
}

/// The id is held, and its marker says this. `None`: by the marker it is committed already.
type Opened = Option<(Held, Marker)>;

/// Takes the id, unless it is held, and looks at the marker. Blocks.
fn open_for(
    target: &Target,
    context: &CommitterContext,
    id: &str,
    lineage: &str,
    epoch: u64,
    foreign: bool,
    held: Option<Held>,
) -> Result<Opened> {
    let held = match held {
        Some(held) => held,
        None => {
            if foreign {
                // Of the job that this one was forked from, which may be running: it is fenced only where it has to be.
                let marker = held::look_at(target, id)?;
                if marker.is_some_and(|m| m.lineage == lineage && m.epoch >= epoch) {
                    return Ok(None);
                }
            }
            held::take(target, id, context.generation)?
        }
    };
    let Some(marker) = held.marker.clone() else {
        return Err(Error::user(format!("The marker of '{id}' is gone from the topic '{}'", target.marker_topic))
            .with("topic", &target.marker_topic)
            .hint("Without it nobody knows whether the checkpoint's rows are written. If the topic was deleted, look at the table's topics, and start over with --fresh")
            .from_outside());
    };
    check_owner(&marker, context, id, lineage, foreign)?;
    Ok((marker.epoch < epoch).then_some((held, marker)))
}

/// Writes into the marker that the id is this attempt's. Blocks.
fn claim(target: &Target, context: &CommitterContext, id: &str, held: Option<Held>) -> Result<Held> {
    let mut held = match held {
        Some(held) => held,
        None => held::take(target, id, context.generation)?,
    };
    let (epoch, progress) = match &held.marker {
        Some(marker) => {
            check_owner(marker, context, id, &context.lineage, false)?;
            if marker.generation == context.generation.0 {
                return Ok(held);
            }
            (marker.epoch, marker.progress.clone())
        }
        None => (0, None),
    };
    let (lineage, generation) = (context.lineage.clone(), context.generation.0);
    let marker = Marker { lineage, generation, epoch, progress };
    begin(&held)?;
    if let Err(error) = mark(&mut held, id, &marker) {
        held.give_up(&error);
        return Err(error);
    }
    end_transaction(&mut held, marker)?;
    Ok(held)
}

/// Refuses a marker of another job, and of a newer attempt.
fn check_owner(marker: &Marker, context: &CommitterContext, id: &str, lineage: &str, foreign: bool) -> Result<()> {
    if marker.lineage != lineage {
        return Err(Error::user(format!("Another job writes with the transactional id '{id}'"))
            .with("option", "sink.transactional-id-prefix")
            .hint("Give each job a prefix of its own")
            .from_outside());
    }
    if !foreign && marker.generation > context.generation.0 {
        return Err(Error::fenced(format!(
            "attempt {} of the job has taken over the output (this one is attempt {})",
            marker.generation, context.generation
        )));
    }
    Ok(())
}

/// What one transaction of a commit writes.
struct Part {
    id: String,
    lineage: String,
    generation: u64,
    /// The last checkpoint that is committed as a whole, and what it will be when all of the files are.
    before: u64,
    all: u64,
    files: Arc<Vec<StagedFile>>,
    from: Place,
    rows_max: u64,
    clock: Arc<dyn Clock>,
}

impl Part {
    /// Writes it, with its marker. Also gives how many records were sent. Blocks.
    fn write(&self, target: &Target, held: Held) -> (u64, Result<Held>) {
        let mut limit = Limit::of(self.rows_max, PART_BYTES);
        let written = self.write_within(target, held, &mut limit);
        (limit.rows(), written)
    }

    fn write_within(&self, target: &Target, mut held: Held, limit: &mut Limit) -> Result<Held> {
        begin(&held)?;
        let filled = self.fill(target, &mut held, limit).and_then(|end| {
            let (epoch, progress) = staged::reached(&self.files, end, self.before, self.all);
            let (lineage, generation) = (self.lineage.clone(), self.generation);
            let marker = Marker { lineage, generation, epoch, progress };
            mark(&mut held, &self.id, &marker)?;
            Ok((end, marker))
        });
        let (end, marker) = match filled {
            Ok(filled) => filled,
            Err(error) => {
                held.give_up(&error);
                return Err(error);
            }
        };
        target.fail_points.hit(FailPoint::MidCommit);
        end_transaction(&mut held, marker)?;
        if end.file < self.files.len() {
            // Between two transactions.
            target.fail_points.hit(FailPoint::MidCommit);
        }
        Ok(held)
    }

    /// The records, as many as go in; gives where the next transaction begins.
    fn fill(&self, target: &Target, held: &mut Held, limit: &mut Limit) -> Result<Place> {
        let producer = &mut held.producer;
        let runtime = tokio::runtime::Handle::current();
        let started = self.clock.monotonic();
        let patience = producer.transaction_timeout() / 4;
        let mut partitions: HashMap<String, i32> = HashMap::new();
        let mut skip = self.from.records;
        for (number, file) in self.files.iter().enumerate().skip(self.from.file) {
            // One at a time: an epoch may be larger than the memory.
            let content = runtime.block_on(target.staging.read(file))?;
            let walked = staged::for_each(&content, skip, |some| {
                let mut more = 0;
                for records in some.chunk_by(|a, b| a.topic == b.topic && a.bytes().max(b.bytes()) <= SMALL_BYTES) {
                    let slow = limit.rows() > 0 && self.clock.monotonic().saturating_sub(started) > patience;
                    let taken = records.iter().take_while(|record| !slow && limit.takes(record.bytes())).count();
                    if taken == 0 {
                        return Ok(ControlFlow::Break(more));
                    }
                    let Some(topic) = records[0].topic else {
                        return Err(Error::internal("a staged record without a topic"));
                    };
                    // A missing topic would be a time-out of minutes.
                    let count = match partitions.get(topic) {
                        Some(count) => *count,
                        None => {
                            let count = producer.partitions(topic)?;
                            partitions.insert(topic.to_string(), count);
                            count
                        }
                    };
                    let partition = match target.partitioner {
                        Partitioner::Default => None,
                        Partitioner::Fixed => Some(i32::try_from(file.subtask).unwrap_or(0) % count),
                    };
                    send(producer, topic, partition, &records[..taken])?;
                    more += taken;
                    if taken < records.len() {
                        return Ok(ControlFlow::Break(more));
                    }
                }
                Ok(ControlFlow::Continue(()))
            })?;
            match walked {
                ControlFlow::Break(records) => return Ok(Place { file: number, records }),
                ControlFlow::Continue(records) if records == file.records => skip = 0,
                ControlFlow::Continue(records) => {
                    let message = format!("the staged file '{}' has {records} of {} records", file.name, file.records);
                    return Err(Error::data(message));
                }
            }
        }
        Ok(Place { file: self.files.len(), records: 0 })
    }
}

fn begin(held: &Held) -> Result<()> {
    let producer = &held.producer;
    producer.client.begin_transaction().map_err(|e| producer.error(e, "begin a transaction in"))
}

/// The marker, and all that was sent is acknowledged then. Whatever goes wrong, the producer is not used again. Blocks.
fn mark(held: &mut Held, id: &str, marker: &Marker) -> Result<()> {
    let value = marker.encode()?;
    let record = Outgoing { key: Some(id.as_bytes()), value: Some(&value), ..Outgoing::default() };
    let partition = held.topic.partition(id);
    let producer = &mut held.producer;
    send(producer, &held.topic.name, Some(partition), &[record])?;
    // The client's own waiting is in steps of 100 ms.
    while !producer.is_through() {
        producer.check()?;
        pause(LOOK);
    }
    producer.check()
}

fn end_transaction(held: &mut Held, marker: Marker) -> Result<()> {
    let producer = &held.producer;
    producer
        .client
        .commit_transaction(TRANSACTION_PATIENCE)
        .map_err(|e| producer.error(e, "commit a transaction in"))?;
    producer.answered();
    held.marker = Some(marker);
    Ok(())
}

fn send(producer: &mut Producer, topic: &str, partition: Option<i32>, mut records: &[Outgoing<'_>]) -> Result<()> {
    while !records.is_empty() {
        records = &records[producer.send(topic, partition, records)?..];
        if !records.is_empty() {
            producer.check()?;
            pause(LOOK);
        }
    }
    Ok(())
}

/// The end of a client waits for its threads, and is no matter of the runtime's.
impl Drop for KafkaCommitter {
    fn drop(&mut self) {
        let held: Vec<Held> = self.held.drain().map(|(_, held)| held).collect();
        if !held.is_empty() {
            client::end_aside(held);
        }
    }
}

#[async_trait]
impl Committer for KafkaCommitter {
    async fn commit(
        &mut self,
        checkpoint: &DecidedCheckpoint,
        committables: &[Committable],
    ) -> Result<Vec<CommitOutcome>> {
        let mut outcomes = vec![CommitOutcome::Committed; committables.len()];
        for group in &Group::of(committables)? {
            let done = self.commit_group(group, checkpoint.id().0).await?;
            group.settle(&done, &self.target.staging, &mut outcomes).await;
        }
        Ok(outcomes)
    }

    async fn abort(&mut self, committables: &[Committable]) -> Result<()> {
        for committable in committables {
            self.target.staging.remove(&StagedFile::decode(committable)?.name).await?;
        }
        self.target.staging.remove_of(&self.context, self.context.generation.0, &[]).await
    }

    /// Says whose the id is, before anything is decided: a checkpoint that is to be committed and finds no marker knows then
    /// that it was lost.
    async fn clean_up(&mut self, keep: &[String]) -> Result<()> {
        self.target.staging.remove_of(&self.context, self.context.generation.0, keep).await?;
        let id = self.own_id();
        let held = self.held.remove(&id);
        let (target, context, clock) = (Arc::clone(&self.target), self.context.clone(), Arc::clone(&self.clock));
        let taken = id.clone();
        let held = blocking(move || {
            let mut held = held;
            let started = clock.monotonic();
            let mut wait = CLAIM_AGAIN;
            loop {
                match claim(&target, &context, &id, held.take()) {
                    // As every question of a start: a broker that is slow just now is no reason to end.
                    Err(e)
                        if e.kind() == ErrorKind::Unavailable
                            && clock.monotonic().saturating_sub(started) < REQUEST_PATIENCE =>
                    {
                        tracing::debug!(error = %e, "the transactional id has to be claimed again");
                        pause(wait);
                        wait = (wait * 2).min(CLAIM_AGAIN_MAX);
                    }
                    done => return done,
                }
            }
        });
        self.held.insert(taken, held.await??);
        Ok(())
    }

    async fn sweep(&mut self) -> Result<()> {
        self.target.staging.remove_of(&self.context, self.context.generation.0.saturating_add(1), &[]).await
    }

    async fn finish(&mut self, _checkpoint: &DecidedCheckpoint) -> Result<()> {
        if let Err(error) =
            self.target.staging.remove_of(&self.context, self.context.generation.0.saturating_add(1), &[]).await
        {
            tracing::warn!(%error, "staged files of older attempts cannot be removed");
        }
        Ok(())
    }
}
