//! Reads one part of a stream: a consumer that nobody acknowledges, from the position of the checkpoint on.
//!
//! The position is the stream's sequence, and it is ours: a consumer is thrown away and made anew, from the position on, after
//! whatever goes wrong. What is delivered has the consumer's own number; one that is missing was lost on the way, and is
//! delivered again by the next consumer.
//!
//! Sequences of the stream may be missing for good reasons: other subjects have them, somebody has removed a message. They may
//! also be missing because the stream has dropped what was not read yet. The two are told apart by where the stream
//! begins: as long as it begins at or before the position, nothing behind the position was dropped. It is asked only where a
//! sequence is missing, once a batch, and after the messages: it begins where it begins, or further on.
//!
//! A position also moves where nothing comes: when all is delivered, the stream's end is reached, whatever other subjects
//! have there. So the position of a subject that is silent does not fall behind what the stream keeps. That all is delivered is
//! the stream's word: its consumers hear of a message later than it is stored.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use flott_connector::source::{ReaderEvent, SourceBatch};
use flott_core::{Error, ErrorKind, Result, id};
use futures::{FutureExt, StreamExt};
use serde_json::json;
use tokio::sync::{OnceCell, mpsc, watch};

use crate::access::Connection;
use crate::api::{Deliver, Delivery, StreamInfo};
use crate::marker;
use crate::positions::{self, Bounded};
use crate::rows::{Incoming, RowDecoder};
use crate::scan::Scan;
use crate::split::StreamSplit;

/// Rows of a batch at most.
const BATCH_ROWS: usize = 8_192;
/// Bytes of messages in a batch at most (a larger one goes alone).
const BATCH_BYTES: usize = 4 << 20;
/// Messages and bytes that are asked for at a time, and how many such questions are under way.
const PULL_MESSAGES: u64 = 1_000;
const PULL_BYTES: usize = 4 << 20;
const PULLS: usize = 2;
/// How long a question waits for messages at the server.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// How long nothing has to come until it is asked whether all was delivered; each time it is twice as long.
const IDLE_MIN: Duration = Duration::from_millis(20);
const IDLE_MAX: Duration = Duration::from_secs(5);
/// Between two tries while servers are away.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// A part of a stream and who reads it.
pub(crate) struct Consumption {
    scan: Arc<Scan>,
    connection: Arc<OnceCell<Connection>>,
    id: String,
    /// As it was handed over last.
    split: StreamSplit,
    decoder: RowDecoder,
    events: mpsc::Sender<Result<ReaderEvent>>,
    paused: watch::Receiver<bool>,
    pending: Arc<AtomicU64>,
    /// A consumer was there before: servers that are away now will be back.
    has_read: bool,
    /// Consumers in a row that were left because nothing came of them: the next one is given more time.
    fruitless: u32,
}

/// Why a consumer is left.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    /// All is read.
    Finished,
    /// Nobody listens any more.
    Closed,
    /// Another one goes on from the position.
    Again(&'static str),
}

/// A question that is under way.
struct Pull {
    id: u64,
    asked: u64,
    remaining: u64,
}

/// A consumer at the server.
struct Consumer<'a> {
    connection: &'a Connection,
    name: String,
    inbox: String,
    messages: Subscriber,
    pulls: VecDeque<Pull>,
    next_pull: u64,
    /// The next message is larger than what is asked for at a time.
    oversized: bool,
    /// The number of the last message.
    received: u64,
    /// How far the messages since the last batch have come.
    reached: u64,
    /// The least position behind which a sequence is missing since the last batch.
    gap: Option<u64>,
    bytes: usize,
    moved: bool,
    pending: u64,
    lost: u64,
}

/// What a message means.
enum Taken {
    More,
    Full,
    /// The end of what is read.
    End,
    Again(&'static str),
}

impl Consumption {
    pub(crate) fn new(
        scan: Arc<Scan>,
        connection: Arc<OnceCell<Connection>>,
        split: StreamSplit,
        events: mpsc::Sender<Result<ReaderEvent>>,
        paused: watch::Receiver<bool>,
        pending: Arc<AtomicU64>,
    ) -> Result<Consumption> {
        let decoder = RowDecoder::new(Arc::clone(&scan.plan), &split.stream, &split.schemas)?;
        let id = split.id();
        Ok(Consumption { scan, connection, id, split, decoder, events, paused, pending, has_read: false, fruitless: 0 })
    }

    /// Reads until the end, or until nobody listens.
    pub(crate) async fn run(mut self) {
        let event = match self.read().await {
            Ok(Left::Finished) => Ok(ReaderEvent::SplitFinished { split: self.id.clone() }),
            Ok(_) => return,
            Err(error) => Err(error),
        };
        self.pending.store(0, Ordering::Relaxed);
        self.events.send(event).await.ok();
    }

    async fn read(&mut self) -> Result<Left> {
        if self.split.is_finished() {
            return Ok(Left::Finished);
        }
        let mut pause = RETRY_MIN;
        loop {
            let position = self.split.sequence;
            let why = match self.consume().await {
                Ok(Left::Again(why)) => why.to_string(),
                Ok(left) => return Ok(left),
                Err(error) if self.has_read && error.kind() == ErrorKind::Unavailable => error.to_string(),
                Err(error) => return Err(error),
            };
            // What was decoded and not handed over is read again.
            self.decoder = RowDecoder::new(Arc::clone(&self.scan.plan), &self.split.stream, &self.split.schemas)?;
            if self.split.sequence != position {
                pause = RETRY_MIN;
            }
            tracing::debug!(split = self.id, why, "a consumer is made anew");
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_MAX),
                () = self.events.closed() => return Ok(Left::Closed),
            }
        }
    }

    async fn consume(&mut self) -> Result<Left> {
        if self.paused.wait_for(|is_paused| !is_paused).await.is_err() {
            return Ok(Left::Closed);
        }
        let scan = Arc::clone(&self.scan);
        let connection = Arc::clone(&self.connection);
        let connection = connection.get_or_try_init(|| scan.access.connect()).await?;
        let mut consumer = self.open(connection).await?;
        self.has_read = true;
        let left = self.take_all(&mut consumer).await;
        connection.delete_consumer(&self.split.stream, &consumer.name).await;
        left
    }

    async fn open<'a>(&mut self, connection: &'a Connection) -> Result<Consumer<'a>> {
        let StreamSplit { stream, subject, sequence, .. } = &self.split;
        let lost = connection.times_lost();
        let info = connection.stream(stream).await?;
        self.check_stream(&info)?;
        positions::check_retention(stream, &info)?;
        positions::check_position(stream, *sequence, &info)?;
        let (name, inbox) = (format!("flott-{}", id::random_hex()), connection.client.new_inbox());
        let messages = connection
            .client
            .subscribe(format!("{inbox}.*"))
            .await
            .map_err(|e| Error::unavailable("NATS takes no subscription").caused_by(e).from_outside())?;
        let deliver = if *sequence == 0 { Deliver::All } else { Deliver::FromSequence(*sequence) };
        connection.create_consumer(stream, &name, subject.as_deref(), deliver).await?;
        Ok(Consumer {
            connection,
            name,
            inbox,
            messages,
            pulls: VecDeque::new(),
            next_pull: 0,
            oversized: false,
            received: 0,
            reached: *sequence,
            gap: None,
            bytes: 0,
            moved: false,
            pending: 0,
            lost,
        })
    }

    /// Positions in a stream that was made anew mean nothing, also where it has as many messages by now.
    fn check_stream(&self, info: &StreamInfo) -> Result<()> {
        if info.created == self.split.created {
            return Ok(());
        }
        let stream = &self.split.stream;
        Err(Error::data(format!(
            "The stream '{stream}' was removed and made anew: the position that was reached in it means nothing now"
        ))
        .with("stream", stream)
        .hint("Start over with --fresh, or name another stream")
        .from_outside())
    }

    async fn take_all(&mut self, consumer: &mut Consumer<'_>) -> Result<Left> {
        let idle_min = if self.scan.bounded == Bounded::Unbounded { IDLE_MIN * 25 } else { IDLE_MIN };
        let idle_min = (idle_min * (1 << self.fruitless.min(8))).min(IDLE_MAX);
        let mut idle = idle_min;
        let mut suspicious = false;
        loop {
            if consumer.lost != consumer.connection.times_lost() {
                return Ok(Left::Again("the connection was lost"));
            }
            // Where messages keep coming nothing else would say it.
            if *self.paused.borrow() {
                return Ok(Left::Again("it is paused"));
            }
            consumer.ask_for_more(&self.split.stream).await?;
            let first = tokio::select! {
                biased;
                message = consumer.messages.next() => message,
                changed = self.paused.changed() => {
                    match changed {
                        Ok(()) if *self.paused.borrow() => return Ok(Left::Again("it is paused")),
                        Ok(()) => continue,
                        Err(_) => return Ok(Left::Closed),
                    }
                }
                () = self.events.closed() => return Ok(Left::Closed),
                () = tokio::time::sleep(idle) => {
                    idle = (idle * 2).min(IDLE_MAX);
                    match self.look_for_end(consumer).await? {
                        Some(true) => return Ok(Left::Finished),
                        Some(false) => suspicious = false,
                        // What was delivered has not come, twice: it is lost.
                        None if suspicious => {
                            self.fruitless += 1;
                            if self.fruitless.is_multiple_of(4) {
                                tracing::warn!(stream = self.split.stream, tries = self.fruitless, "messages do not come");
                            }
                            return Ok(Left::Again("messages do not come"));
                        }
                        None => suspicious = true,
                    }
                    continue;
                }
            };
            let mut message = first;
            let ended = loop {
                let Some(taken) = message else { return Ok(Left::Again("the subscription has ended")) };
                if taken.status.is_none() {
                    (idle, suspicious) = (idle_min, false);
                }
                match self.take(consumer, &taken)? {
                    Taken::More => {}
                    Taken::Full => break false,
                    Taken::End => break true,
                    Taken::Again(why) => return Ok(Left::Again(why)),
                }
                match consumer.messages.next().now_or_never() {
                    Some(next) => message = next,
                    None => break false,
                }
            };
            if !self.hand_over(consumer).await? {
                return Ok(Left::Closed);
            }
            if ended || self.split.is_finished() {
                return Ok(Left::Finished);
            }
        }
    }

    fn take(&mut self, consumer: &mut Consumer<'_>, message: &Message) -> Result<Taken> {
        if let Some(status) = message.status {
            return Ok(consumer.take_status(status.as_u16(), message));
        }
        let Some(delivery) = message.reply.as_ref().and_then(|r| Delivery::of(r)) else {
            return Ok(Taken::Again("a message does not say where it stands"));
        };
        if delivery.consumer_sequence != consumer.received + 1 {
            return Ok(Taken::Again("a message was lost on the way"));
        }
        consumer.received = delivery.consumer_sequence;
        self.fruitless = 0;
        consumer.count();
        let sequence = delivery.stream_sequence;
        if sequence < consumer.reached {
            return Ok(Taken::More);
        }
        if self.split.end.is_some_and(|end| sequence >= end) {
            return Ok(Taken::End);
        }
        if consumer.reached > 0 && sequence > consumer.reached {
            consumer.gap.get_or_insert(consumer.reached);
        }
        // What sinks say of how far they have come is no row.
        if message.headers.as_ref().is_some_and(|h| h.get(marker::HEADER).is_some()) {
            consumer.reached = sequence + 1;
            consumer.moved = true;
            consumer.pending = delivery.pending;
            return Ok(if self.split.end == Some(consumer.reached) { Taken::End } else { Taken::More });
        }
        self.decoder.decode(Incoming {
            subject: message.subject.as_str(),
            payload: &message.payload,
            headers: message.headers.as_ref(),
            sequence,
            timestamp_ms: delivery.time_ns.div_euclid(1_000_000),
        })?;
        consumer.bytes += message.length;
        consumer.reached = sequence + 1;
        consumer.moved = true;
        consumer.pending = delivery.pending;
        if self.split.end == Some(consumer.reached) {
            return Ok(Taken::End);
        }
        let is_full =
            self.decoder.rows() >= BATCH_ROWS || consumer.bytes >= BATCH_BYTES || self.decoder.is_costly(BATCH_ROWS);
        Ok(if is_full { Taken::Full } else { Taken::More })
    }

    /// Whether all that the stream has was delivered: `true` where reading ends there. `None` where something is still to come.
    async fn look_for_end(&mut self, consumer: &mut Consumer<'_>) -> Result<Option<bool>> {
        // In this order: what the stream has at the first answer is delivered at the second.
        let info = consumer.connection.stream(&self.split.stream).await?;
        self.check_stream(&info)?;
        positions::check_position(&self.split.stream, consumer.reached, &info)?;
        let found = consumer.connection.consumer(&self.split.stream, &consumer.name).await?;
        if found.and_then(|c| c.all_delivered()) != Some(consumer.received) {
            return Ok(None);
        }
        let StreamSplit { stream, subject, end, .. } = &self.split;
        let next = end.map_or(info.next(), |end| end.min(info.next()));
        if next > consumer.reached {
            // What the consumer has not heard of yet would be passed over.
            let there = consumer.connection.next_message(stream, consumer.reached, subject.as_deref()).await?;
            if there.is_some_and(|sequence| sequence < next) {
                return Ok(None);
            }
        }
        self.pending.store(0, Ordering::Relaxed);
        if next > consumer.reached {
            (consumer.reached, consumer.moved) = (next, true);
            if !self.hand_over(consumer).await? {
                return Ok(Some(true));
            }
        }
        Ok(Some(self.split.is_finished()))
    }

    /// Hands a batch over; false where nobody takes it.
    async fn hand_over(&mut self, consumer: &mut Consumer<'_>) -> Result<bool> {
        if !std::mem::take(&mut consumer.moved) {
            return Ok(true);
        }
        if let Some(position) = consumer.gap.take() {
            let info = consumer.connection.stream(&self.split.stream).await?;
            if info.first() > position && !info.config.is_compacted() {
                return Err(positions::gone(&self.split.stream, position, &info));
            }
        }
        let (rows, skipped, dead_letters) = self.decoder.flush()?;
        self.split.sequence = consumer.reached;
        let kept = &mut self.split.schemas;
        // Numbers are only added: as many are the same, but where the oldest made room for the newest.
        if let Some(known) = self.decoder.known_schemas().filter(|k| k.len() != kept.len() || !k.keys().eq(kept.keys()))
        {
            *kept = known.clone();
        }
        consumer.bytes = 0;
        self.pending.store(consumer.pending, Ordering::Relaxed);
        let position = self.split.encode()?;
        let batch = SourceBatch { split: self.id.clone(), rows, position, watermark: None, skipped, dead_letters };
        Ok(self.events.send(Ok(ReaderEvent::Batch(batch))).await.is_ok())
    }
}

impl Consumer<'_> {
    /// Keeps questions under way.
    async fn ask_for_more(&mut self, stream: &str) -> Result<()> {
        while self.pulls.len() < PULLS {
            let id = self.next_pull;
            self.next_pull += 1;
            let expires = u64::try_from(PULL_EXPIRES.as_nanos()).unwrap_or(u64::MAX);
            let (asked, request) = if self.oversized {
                (1, json!({ "batch": 1, "expires": expires }))
            } else {
                (PULL_MESSAGES, json!({ "batch": PULL_MESSAGES, "max_bytes": PULL_BYTES, "expires": expires }))
            };
            self.connection.pull(stream, &self.name, format!("{}.{id}", self.inbox), request).await?;
            self.pulls.push_back(Pull { id, asked, remaining: asked });
            if std::mem::take(&mut self.oversized) {
                break;
            }
        }
        Ok(())
    }

    /// A message has come: of the oldest question, since the server answers them in order.
    fn count(&mut self) {
        if let Some(pull) = self.pulls.front_mut() {
            pull.remaining -= 1;
            if pull.remaining == 0 {
                self.pulls.pop_front();
            }
        }
    }

    /// What the server says instead of a message.
    fn take_status(&mut self, status: u16, message: &Message) -> Taken {
        let description = message.description.as_deref().unwrap_or_default().to_ascii_lowercase();
        let is_over = match status {
            100 => return Taken::More,
            404 | 408 => true,
            409 => description.contains("message size exceeds") || description.contains("batch completed"),
            _ => false,
        };
        if !is_over {
            return Taken::Again("the consumer is gone");
        }
        let id = message.subject.rsplit('.').next().and_then(|id| id.parse::<u64>().ok());
        if let Some(place) = self.pulls.iter().position(|p| Some(p.id) == id)
            && let Some(pull) = self.pulls.remove(place)
        {
            // Not even one message fits.
            self.oversized |=
                status == 409 && pull.remaining == pull.asked && description.contains("message size exceeds");
        }
        Taken::More
    }
}
