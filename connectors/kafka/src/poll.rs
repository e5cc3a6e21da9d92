//! The thread of a reader: takes records from the client, decodes them, hands batches over.
//!
//! The client is asked until it has nothing more or a batch is full; so a lone record leaves at once, and many records leave
//! in large batches. An end of a partition is told without its topic, so a source that ends has a client for each topic.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flott_connector::source::{ReaderEvent, SourceBatch};
use flott_core::clock::{Clock, SystemClock};
use flott_core::{Error, Result};
use parking_lot::{Condvar, Mutex};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, Timestamp, TopicPartitionList};
use tokio::sync::mpsc;

use crate::client::{self, Context, REQUEST_PATIENCE, TURN};
use crate::native::{Said, Taken};
use crate::offsets::{self, Bounded, Startup};
use crate::passing;
use crate::reading::Reading;
use crate::refusal;
use crate::rows::{Incoming, Metadata, RowDecoder};
use crate::scan::Scan;
use crate::split::PartitionSplit;

/// Rows of a batch at most.
const BATCH_ROWS: usize = 8_192;
/// Bytes of keys, values and decoded headers in a batch at most (a larger record goes alone).
const BATCH_BYTES: usize = 4 << 20;

/// How long it may take to find the partition that cannot be read.
const LOCATE_PATIENCE: Duration = Duration::from_secs(10);

/// How long the thread waits at once for an answer whether a topic is there.
const SUSPICION_PATIENCE: Duration = Duration::from_secs(1);

/// What the thread is told.
pub(crate) enum Command {
    Add(Vec<PartitionSplit>),
    /// Splits to pause, splits to resume.
    Pause(Vec<String>, Vec<String>),
    Stop,
}

/// What reader and thread share.
#[derive(Default)]
pub(crate) struct Shared {
    /// Splits come and pause a few times a second at the most.
    commands: Mutex<Vec<Command>>,
    /// For a thread that has nothing to read yet.
    pushed: Condvar,
    pending: AtomicU64,
}

impl Shared {
    pub(crate) fn push(&self, command: Command) {
        self.commands.lock().push(command);
        self.pushed.notify_one();
    }

    fn wait(&self, time: Duration) {
        let mut commands = self.commands.lock();
        if commands.is_empty() {
            self.pushed.wait_for(&mut commands, time);
        }
    }

    /// Records that are there and not read, as far as is known.
    pub(crate) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }
}

/// A partition that is being read.
struct Open {
    split: PartitionSplit,
    id: String,
    decoder: RowDecoder,
    bytes: usize,
    /// The position has moved since the last batch.
    moved: bool,
    /// Read to its end.
    ended: bool,
    /// Ahead of others, and not read.
    paused: bool,
}

/// The thread's state.
pub(crate) struct Poller {
    scan: Arc<Scan>,
    shared: Arc<Shared>,
    events: mpsc::Sender<Result<ReaderEvent>>,
    /// By topic, or one for all.
    consumers: BTreeMap<String, Reading>,
    open: Vec<Open>,
    /// Topic and partition to the place in `open`.
    places: HashMap<String, HashMap<i32, usize>>,
    /// Of the last record.
    last: usize,
    plan: Arc<crate::rows::RowPlan>,
    clock: Arc<dyn Clock>,
    /// The client has said that a topic is not there.
    suspicion: Option<KafkaError>,
}

/// Whether the thread goes on.
type GoOn = bool;

/// Whether a batch has as much as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    Room,
    Full,
}

impl Poller {
    /// Starts the thread. It ends with the reader.
    pub(crate) fn start(scan: Arc<Scan>, shared: Arc<Shared>, events: mpsc::Sender<Result<ReaderEvent>>) -> Result<()> {
        let plan = Arc::clone(&scan.plan);
        let mut poller = Poller {
            scan,
            shared,
            events,
            consumers: BTreeMap::new(),
            open: vec![],
            places: HashMap::new(),
            last: 0,
            plan,
            clock: SystemClock::shared(),
            suspicion: None,
        };
        let run = move || {
            if let Err(error) = poller.run() {
                // Nobody listens where the reader is gone.
                poller.events.blocking_send(Err(error)).ok();
            }
        };
        std::thread::Builder::new()
            .name("kafka-reader".to_string())
            .spawn(run)
            .map(drop)
            .map_err(|e| Error::unavailable("a thread cannot be started").caused_by(e))
    }

    fn run(&mut self) -> Result<()> {
        loop {
            let commands = std::mem::take(&mut *self.shared.commands.lock());
            for command in commands {
                match command {
                    Command::Add(splits) => self.add(splits)?,
                    Command::Pause(pause, resume) => self.pause(&pause, &resume)?,
                    Command::Stop => return Ok(()),
                }
            }
            if self.events.is_closed() {
                return Ok(());
            }
            if self.consumers.is_empty() {
                self.shared.wait(TURN);
                continue;
            }
            self.fill()?;
            self.look_for_deleted()?;
            if !self.hand_over()? {
                return Ok(());
            }
        }
    }

    fn add(&mut self, mut splits: Vec<PartitionSplit>) -> Result<()> {
        self.bound(&mut splits)?;
        let properties = &self.scan.properties;
        let mut new: BTreeMap<String, TopicPartitionList> = BTreeMap::new();
        for split in splits {
            let mut decoder = RowDecoder::new(Arc::clone(&self.plan), &split.topic, split.partition)?;
            decoder.restore_schemas(&split.schemas, &split.key_schemas);
            let list = new.entry(self.scan.client_of(&split.topic).to_string()).or_default();
            let ended = split.is_finished();
            if !ended {
                list.add_partition_offset(&split.topic, split.partition, Offset::Offset(split.offset))
                    .map_err(|e| Error::internal("a position cannot be set").caused_by(e))?;
            }
            self.places.entry(split.topic.clone()).or_default().insert(split.partition, self.open.len());
            let id = split.id();
            self.open.push(Open { split, id, decoder, bytes: 0, moved: false, ended, paused: false });
        }
        for (name, list) in new {
            if !self.consumers.contains_key(&name) {
                // A client that reads has to have a group, also where it never speaks of it.
                let group =
                    properties.get("group.id").map_or_else(|| format!("flott-{}", self.scan.table), str::to_string);
                self.consumers.insert(name.clone(), Reading::start(properties, &group)?);
            }
            if let Some(reading) = self.consumers.get(&name)
                && list.count() > 0
            {
                reading.client.incremental_assign(&list).map_err(|e| client::error(e, properties, "read from"))?;
            }
        }
        Ok(())
    }

    /// Partitions that a source without an end has read, and that one with an end goes on with, end where that one says.
    fn bound(&self, splits: &mut [PartitionSplit]) -> Result<()> {
        let endless: Vec<(String, i32)> =
            splits.iter().filter(|s| s.end.is_none()).map(|s| (s.topic.clone(), s.partition)).collect();
        if endless.is_empty() || self.scan.bounded == Bounded::Unbounded {
            return Ok(());
        }
        let properties = &self.scan.properties;
        // One that reads could miss a record while it is asked.
        let consumer = client::consumer(properties, properties.get("group.id"))?;
        let ranges = offsets::resolve(&consumer, properties, &endless, &Startup::Earliest, &self.scan.bounded);
        client::end_aside(consumer);
        for range in ranges? {
            let is_its = |s: &&mut PartitionSplit| s.topic == range.topic && s.partition == range.partition;
            if let Some(split) = splits.iter_mut().find(is_its) {
                split.end = range.end;
            }
        }
        Ok(())
    }

    /// A partition that pauses is not read by the client any more, and where it goes on it is read from where this reader is: what was
    /// taken of it comes again, and the library's own position counts ends as records (`Bulk`).
    fn pause(&mut self, pause: &[String], resume: &[String]) -> Result<()> {
        for (ids, resumes) in [(pause, false), (resume, true)] {
            for open in self.open.iter_mut().filter(|o| !o.ended && o.paused == resumes && ids.contains(&o.id)) {
                let (topic, partition) = (&open.split.topic, open.split.partition);
                let Some(reading) = self.consumers.get_mut(self.scan.client_of(topic)) else { continue };
                let failed = |e| client::error(e, &self.scan.properties, "pause the reading from");
                let done = if resumes { reading.assign(&open.split) } else { reading.unassign(topic, partition) };
                done.map_err(failed)?;
                open.paused = !resumes;
            }
        }
        Ok(())
    }

    /// Takes records until there is nothing more, or a batch is full.
    fn fill(&mut self) -> Result<()> {
        let mut consumers = std::mem::take(&mut self.consumers);
        let filled = self.fill_from(&mut consumers);
        self.consumers = consumers;
        filled
    }

    fn fill_from(&mut self, consumers: &mut BTreeMap<String, Reading>) -> Result<()> {
        // With several clients each gets a part of the turn.
        let wait = TURN / u32::try_from(consumers.len()).unwrap_or(1).max(1);
        for reading in consumers.values_mut() {
            let patience = if self.open.iter().any(|o| o.moved || o.ended) { Duration::ZERO } else { wait };
            if self.fill_by(reading, patience)? == Filled::Full {
                return Ok(());
            }
        }
        Ok(())
    }

    fn fill_by(&mut self, reading: &mut Reading, mut patience: Duration) -> Result<Filled> {
        loop {
            let careful = reading.is_careful(self.clock.monotonic());
            let Reading { bulk, client, .. } = &mut *reading;
            while let Some(record) = bulk.next(careful) {
                patience = Duration::ZERO;
                let filled = match record.error() {
                    None => self.take(record)?,
                    Some(error) => {
                        let place = (record.topic(), record.partition(), record.offset());
                        self.told(client, error, Some(place))?
                    }
                };
                if filled == Filled::Full {
                    return Ok(Filled::Full);
                }
            }
            // What it has to say besides records, and the first of them where none was there.
            let filled = match bulk.events.poll(client.context(), patience) {
                None => return Ok(Filled::Room),
                Some(Ok(record)) => {
                    client.context().outage.answered();
                    self.take(record)?
                }
                Some(Err(Said { error, place })) => {
                    let place = place.as_ref().map(|(topic, partition, offset)| (topic.as_str(), *partition, *offset));
                    self.told(client, error, place)?
                }
            };
            if filled == Filled::Full {
                return Ok(Filled::Full);
            }
            patience = Duration::ZERO;
        }
    }

    /// What the client says in the place of a record.
    fn told(
        &mut self,
        client: &BaseConsumer<Context>,
        error: KafkaError,
        place: Option<(&str, i32, i64)>,
    ) -> Result<Filled> {
        match (error, place) {
            (KafkaError::PartitionEOF(_), place) => {
                client.context().outage.answered();
                if let Some((topic, partition, offset)) = place {
                    self.end_of(topic, partition, offset);
                }
            }
            (error, place) => self.fail(client, error, place)?,
        }
        Ok(Filled::Room)
    }

    /// Where a partition is in `open`. Records come in runs of one.
    fn place_of(&mut self, topic: &str, partition: i32) -> Option<usize> {
        let of_last = self.open.get(self.last).map(|open| &open.split);
        if of_last.is_none_or(|split| split.partition != partition || split.topic != topic) {
            self.last = *self.places.get(topic)?.get(&partition)?;
        }
        Some(self.last)
    }

    /// Takes a record into its batch.
    fn take(&mut self, record: Taken<'_>) -> Result<Filled> {
        let (partition, offset) = (record.partition(), record.offset());
        let place = self.place_of(record.topic(), partition);
        let Some(open) = place.and_then(|p| self.open.get_mut(p)).filter(|o| !o.ended) else { return Ok(Filled::Room) };
        if offset < open.split.offset {
            return Ok(Filled::Room);
        }
        if open.split.end.is_some_and(|end| offset >= end) {
            open.ended = true;
            return Ok(Filled::Room);
        }
        let plan = &self.plan;
        let needs_time = plan.needs(Metadata::Timestamp) || plan.needs(Metadata::TimestampType);
        let (timestamp_type, timestamp_ms) = match needs_time.then(|| record.timestamp()) {
            None | Some(Timestamp::NotAvailable) => ("NoTimestampType", -1),
            Some(Timestamp::CreateTime(ms)) => ("CreateTime", ms),
            Some(Timestamp::LogAppendTime(ms)) => ("LogAppendTime", ms),
        };
        let headers =
            if plan.needs(Metadata::Headers) || plan.needs(Metadata::HeaderList) { record.headers() } else { vec![] };
        let leader_epoch = if plan.needs(Metadata::LeaderEpoch) { record.leader_epoch() } else { None };
        let of_headers: usize = headers.iter().map(|(n, v)| n.len() + v.as_ref().map_or(0, Vec::len)).sum();
        let (key, value) = (record.key(), record.value());
        open.decoder.decode(Incoming { key, value, offset, timestamp_ms, timestamp_type, leader_epoch, headers })?;
        open.bytes += value.map_or(0, <[u8]>::len) + key.map_or(0, <[u8]>::len) + of_headers;
        open.split.offset = offset + 1;
        open.moved = true;
        open.ended = open.split.is_finished();
        let is_full = open.decoder.rows() >= BATCH_ROWS || open.bytes >= BATCH_BYTES;
        Ok(if is_full || open.decoder.is_costly(BATCH_ROWS) { Filled::Full } else { Filled::Room })
    }

    /// The client has come to where a partition ends for now. Reading is over where it shall go no further: the last offsets may have no
    /// records (aborted transactions, compaction). It goes on where it shall: the end may be one that the user gave, or that of a
    /// broker which has less than the one that was asked for the end.
    fn end_of(&mut self, topic: &str, partition: i32, offset: i64) {
        let place = self.places.get(topic).and_then(|p| p.get(&partition)).copied();
        if let Some(open) = place.and_then(|p| self.open.get_mut(p))
            && open.split.end.is_some_and(|end| offset >= end)
        {
            open.ended = true;
        }
    }

    fn fail(
        &mut self,
        consumer: &BaseConsumer<Context>,
        error: KafkaError,
        place: Option<(&str, i32, i64)>,
    ) -> Result<()> {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            // The client goes on by itself when the brokers are back, and another one leads.
            _ if passing::may_pass(&error) => Ok(()),
            // Also of a topic that brokers which have just begun do not know yet.
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                self.suspicion = Some(error);
                Ok(())
            }
            // A login or a certificate that is not accepted any more. A broker that goes in the middle of a handshake is an outage.
            Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL) => {
                match consumer.context().heard.refusal(true) {
                    Some((refusal, words)) => {
                        Err(refusal::error(refusal, &words, &self.scan.properties)
                            .with("table", self.scan.table.clone()))
                    }
                    None => Ok(()),
                }
            }
            // Only who commits to a group has to have one.
            Some(Code::GroupAuthorizationFailed) if self.scan.properties.get("group.id").is_none() => Ok(()),
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                for open in self.open.iter().filter(|o| !o.ended) {
                    let (topic, partition) = (&open.split.topic, open.split.partition);
                    let Ok((low, high)) = consumer.fetch_watermarks(topic, partition, REQUEST_PATIENCE) else {
                        continue;
                    };
                    if open.split.offset < low || open.split.offset > high {
                        return Err(offsets::gone(topic, partition, open.split.offset, low, high));
                    }
                }
                Err(Error::data("A position in a topic is gone").caused_by(error).from_outside())
            }
            // Whatever the policy: nobody can tell the records of a batch that cannot be taken apart.
            _ if is_broken(&error) => {
                let told =
                    client::error(error, &self.scan.properties, "read from").with("table", self.scan.table.clone());
                Err(match place.and_then(|place| self.broken_at(place)).or_else(|| self.broken()) {
                    Some((topic, partition, offset)) => offsets::at(told, &topic, partition).with("offset", offset),
                    None => told,
                })
            }
            _ => {
                let table = self.scan.table.clone();
                Err(client::error(error, &self.scan.properties, "read from").with("table", table))
            }
        }
    }

    /// Where the client has said of some topic that it is not there: whether one that is read is gone, or has lost a partition.
    /// The client says it once, so it is asked again while nobody answers.
    fn look_for_deleted(&mut self) -> Result<()> {
        let Some(error) = self.suspicion.take() else { return Ok(()) };
        let mut read: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for open in self.open.iter().filter(|o| !o.ended) {
            read.entry(&open.split.topic).or_default().push(open.split.partition);
        }
        for (topic, partitions) in read {
            let Some(Reading { client: consumer, .. }) = self.consumers.get(self.scan.client_of(topic)) else {
                continue;
            };
            let Ok(metadata) = consumer.fetch_metadata(Some(topic), SUSPICION_PATIENCE) else {
                self.suspicion = Some(error);
                return Ok(());
            };
            let found = metadata.topics().iter().find(|t| t.name() == topic);
            let is_there = found.is_some_and(|t| match t.error() {
                Some(e) => passing::may_pass(&KafkaError::MetadataFetch(e.into())),
                None => partitions.iter().all(|read| t.partitions().iter().any(|p| p.id() == *read)),
            });
            if !is_there {
                return Err(client::error(error, &self.scan.properties, "read from")
                    .with("topic", topic)
                    .with("table", self.scan.table.clone()));
            }
        }
        Ok(())
    }

    /// Where a batch cannot be read, as the client says it: behind what was read of its partition, also where the batch begins
    /// before that.
    fn broken_at(&self, (topic, partition, offset): (&str, i32, i64)) -> Option<(String, i32, i64)> {
        let open = &self.open[*self.places.get(topic)?.get(&partition)?];
        Some((topic.to_string(), partition, offset.max(open.split.offset)))
    }

    /// The partition whose next batch cannot be read, where the client does not say it: each is tried by itself.
    fn broken(&self) -> Option<(String, i32, i64)> {
        let clock = SystemClock::shared();
        let end = clock.monotonic() + LOCATE_PATIENCE;
        for open in self.open.iter().filter(|o| !o.ended) {
            let PartitionSplit { topic, partition, offset, .. } = &open.split;
            let consumer = client::consumer(&self.scan.properties, Some("flott-locate")).ok()?;
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).ok()?;
            consumer.assign(&list).ok()?;
            while clock.monotonic() < end {
                match consumer.poll(TURN) {
                    None => {}
                    Some(Err(error)) if is_broken(&error) => return Some((topic.clone(), *partition, *offset)),
                    Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => break,
                    Some(Err(_)) => {}
                }
            }
        }
        None
    }

    /// Hands batches and ends over; false where nobody takes them.
    fn hand_over(&mut self) -> Result<GoOn> {
        let mut finished: Vec<usize> = vec![];
        for (place, open) in self.open.iter_mut().enumerate() {
            if open.moved {
                let (rows, skipped, dead_letters) = open.decoder.flush()?;
                let (of_value, of_key) = open.decoder.known_schemas();
                for (known, kept) in [(of_value, &mut open.split.schemas), (of_key, &mut open.split.key_schemas)] {
                    // Numbers are only added: as many are the same, but where the oldest made room for the newest.
                    if let Some(known) = known.filter(|k| k.len() != kept.len() || !k.keys().eq(kept.keys())) {
                        *kept = known.clone();
                    }
                }
                let split = open.id.clone();
                let position = open.split.encode()?;
                let batch = SourceBatch { split, rows, position, watermark: None, skipped, dead_letters };
                (open.bytes, open.moved) = (0, false);
                if self.events.blocking_send(Ok(ReaderEvent::Batch(batch))).is_err() {
                    return Ok(false);
                }
            }
            if open.ended {
                finished.push(place);
            }
        }
        for place in finished.into_iter().rev() {
            let open = self.open.swap_remove(place);
            if let Some(partitions) = self.places.get_mut(&open.split.topic) {
                partitions.remove(&open.split.partition);
            }
            if let Some(moved) = self.open.get(place) {
                self.places.entry(moved.split.topic.clone()).or_default().insert(moved.split.partition, place);
            }
            self.release(&open.split);
            // The enumerator tells the group of it when a checkpoint covers it, and that may be after this reader's end.
            if self.scan.group.is_some()
                && self.events.blocking_send(Ok(ReaderEvent::Event(open.split.encode()?))).is_err()
            {
                return Ok(false);
            }
            if self.events.blocking_send(Ok(ReaderEvent::SplitFinished { split: open.id })).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The client need not fetch what nobody reads.
    fn release(&mut self, split: &PartitionSplit) {
        let name = self.scan.client_of(&split.topic).to_string();
        if let Some(reading) = self.consumers.get_mut(&name) {
            reading.unassign(&split.topic, split.partition).ok();
        }
        if !name.is_empty() && !self.open.iter().any(|o| o.split.topic == split.topic) {
            self.consumers.remove(&name);
        }
    }
}

/// A batch that is damaged, or larger than can be taken.
fn is_broken(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::BadCompression | Code::BadMessage | Code::InvalidMessage | Code::MessageSizeTooLarge)
    )
}
