//! Makes staged output visible: batches that the stream takes as a whole or not at all, each with a marker that says how far
//! the output has come.
//!
//! A batch says which marker it follows. An attempt that was replaced, a batch that comes late, one that was sent twice: the
//! stream refuses it, since the marker is another one by then. What counts is the marker: a checkpoint that it does not name is
//! written, from the staged files, as often as it takes. Nothing depends on how long the stream remembers a message's id.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use flott_connector::sink::{CommitOutcome, Committable, Committer, CommitterContext};
use flott_connector::staged::{self, Done, Group, Limit, Marker, Place, StagedFile, StagedRecord};
use flott_core::{DecidedCheckpoint, Error, ErrorKind, FailPoint, Result, id};

use crate::access::{Connection, REQUEST_PATIENCE};
use crate::api::{Refusal, of_stream};
use crate::marker::{self, Marked, owner};
use crate::record::{header_name, header_value};
use crate::target::Target;

/// Rows of a batch at most, so that with the marker it has the 1,000 messages that a server takes.
const BATCH_ROWS: u64 = 999;
/// Bytes of them (a larger row goes alone): a server keeps a batch until it is complete.
const BATCH_BYTES: u64 = 8 << 20;

/// Batches that are taken from the files at a time.
const PARTS: u64 = 32;

pub(crate) struct NatsCommitter {
    target: Arc<Target>,
    context: CommitterContext,
    connection: Option<Connection>,
    /// What is known of markers, by their owners.
    held: HashMap<String, Marked>,
    rows_max: u64,
    /// Markers are to stay however old they become, where the stream removes what is old. `None` is not known yet.
    keeps: Option<bool>,
}

/// A message of a batch.
struct Row {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl Row {
    fn of(record: &StagedRecord<'_>) -> Result<Row> {
        let Some(subject) = record.topic else { return Err(Error::internal("a staged row without a subject")) };
        let mut headers = HeaderMap::new();
        for (name, value) in &record.headers {
            let value = std::str::from_utf8(value.unwrap_or_default())
                .map_err(|e| Error::data("a staged header is damaged").caused_by(e))?;
            headers.append(header_name(name)?, header_value(value)?);
        }
        let payload = Bytes::copy_from_slice(record.value.unwrap_or_default());
        Ok(Row { subject: subject.to_string(), headers, payload })
    }
}

/// What one batch writes.
struct Part {
    from: Place,
    rows: Vec<Row>,
    /// Where the next one begins.
    end: Place,
}

impl NatsCommitter {
    pub(crate) fn new(target: Arc<Target>, context: CommitterContext) -> NatsCommitter {
        let rows_max = target.batch_rows.min(BATCH_ROWS);
        NatsCommitter { target, context, connection: None, held: HashMap::new(), rows_max, keeps: None }
    }

    async fn connection(&mut self) -> Result<Connection> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let connection = self.target.access.connect().await?;
        self.connection = Some(connection.clone());
        Ok(connection)
    }

    async fn keeps(&mut self, connection: &Connection, stream: &str) -> Result<bool> {
        if let Some(keeps) = self.keeps {
            return Ok(keeps);
        }
        let keeps = connection.stream(stream).await?.config.expires();
        self.keeps = Some(keeps);
        Ok(keeps)
    }

    /// An outage costs time; what is wrong for good is told.
    async fn commit_group(&mut self, group: &Group, checkpoint: u64) -> Result<Done> {
        match self.try_group(group, checkpoint).await {
            Err(e) if e.kind() == ErrorKind::Unavailable => Ok(Done::Later(e.to_string())),
            done => done,
        }
    }

    async fn try_group(&mut self, group: &Group, checkpoint: u64) -> Result<Done> {
        let connection = self.connection().await?;
        let foreign = group.lineage != self.context.lineage;
        let files = group.files();
        let stream = self.target.stream_name()?.to_string();
        let subject = self.target.marker_subject(&group.owner);
        let mut wrote = false;
        let mut parts: VecDeque<Part> = VecDeque::new();
        loop {
            let known = match self.held.remove(&group.owner) {
                Some(marked) => Some(marked),
                None => marker::read(&connection, &stream, &subject).await?,
            };
            let Some(Marked { marker, sequence }) = known else {
                return Err(Error::user(format!("The marker of '{}' is gone from the stream '{stream}'", group.owner))
                    .with("stream", &stream)
                    .with("marker", &subject)
                    .hint("Without it nobody knows whether the checkpoint's rows are written. If the stream was purged or made anew, look at its messages, and start over with --fresh")
                    .from_outside());
            };
            check_owner(&marker, &self.context, &subject, &group.lineage, foreign)?;
            if marker.epoch >= group.epoch {
                self.held.insert(group.owner.clone(), Marked { marker, sequence });
                return Ok(if wrote { Done::Committed } else { Done::Already });
            }
            let from = staged::start(&files, &marker, &subject)?;
            if parts.front().is_none_or(|part| part.from != from) {
                parts = match self.collect(&files, from).await {
                    Err(e) if e.kind() == ErrorKind::Data => return Ok(Done::Never(e.to_string())),
                    parts => parts?,
                };
            }
            let Some(Part { rows, end, .. }) = parts.pop_front() else {
                return Err(Error::internal("a commit without a part"));
            };
            // The marker of another lineage says only what that lineage has decided.
            let all = if foreign { group.epoch } else { checkpoint.max(group.epoch) };
            let (epoch, progress) = staged::reached(&files, end, marker.epoch, all);
            let generation = if foreign { marker.generation } else { self.context.generation.0 };
            let next = Marker { lineage: group.lineage.clone(), generation, epoch, progress };
            let keeps = self.keeps(&connection, &stream).await?;
            let written = match self.write(&connection, &stream, &subject, rows, &next, sequence, keeps).await {
                Ok(written) => written,
                // What cannot be written now may be written later, and what is decided is never given up; but a row that is too
                // large stays so.
                Err(e) if e.kind() == ErrorKind::Data => return Ok(Done::Never(e.to_string())),
                Err(e) if e.kind() == ErrorKind::Internal => return Err(e),
                Err(e) => return Ok(Done::Later(e.to_string())),
            };
            wrote = true;
            self.held.insert(group.owner.clone(), Marked { marker: next, sequence: written });
            if end.file < files.len() {
                // Between two batches.
                self.mid_commit().await?;
            }
        }
    }

    /// The next batches: as many as a look into the files finds.
    async fn collect(&self, files: &[StagedFile], from: Place) -> Result<VecDeque<Part>> {
        let limit = || Limit::of(self.rows_max, BATCH_BYTES);
        let mut parts = VecDeque::new();
        let mut part = Part { from, rows: vec![], end: from };
        let (mut room, mut all) = (limit(), Limit::of(self.rows_max.saturating_mul(PARTS), BATCH_BYTES));
        let mut skip = from.records;
        for (number, file) in files.iter().enumerate().skip(from.file) {
            // One at a time: an epoch may be larger than the memory.
            let content = self.target.staging()?.read(file).await?;
            let mut records = skip;
            let walked = staged::for_each(&content, skip, |some| {
                for (place, record) in some.iter().enumerate() {
                    if !all.takes(record.bytes()) {
                        return Ok(ControlFlow::Break(place));
                    }
                    if !room.takes(record.bytes()) {
                        let end = Place { file: number, records };
                        let next = Part { from: end, rows: vec![], end };
                        parts.push_back(Part { end, ..std::mem::replace(&mut part, next) });
                        room = limit();
                        room.takes(record.bytes());
                    }
                    part.rows.push(Row::of(record)?);
                    records += 1;
                }
                Ok(ControlFlow::Continue(()))
            })?;
            match walked {
                ControlFlow::Break(records) => {
                    parts.push_back(Part { end: Place { file: number, records }, ..part });
                    return Ok(parts);
                }
                ControlFlow::Continue(records) if records == file.records => skip = 0,
                ControlFlow::Continue(records) => {
                    let message = format!("the staged file '{}' has {records} of {} rows", file.name, file.records);
                    return Err(Error::data(message));
                }
            }
        }
        parts.push_back(Part { end: Place { file: files.len(), records: 0 }, ..part });
        Ok(parts)
    }

    /// Writes rows and their marker as one batch; gives the marker's sequence.
    async fn write(
        &self,
        connection: &Connection,
        stream: &str,
        subject: &str,
        rows: Vec<Row>,
        next: &Marker,
        follows: u64,
        keeps: bool,
    ) -> Result<u64> {
        let mut headers = marker::headers(stream, follows, keeps)?;
        let payload = next.encode()?;
        let batch = id::random_hex();
        let count = rows.len();
        for (number, row) in rows.into_iter().enumerate() {
            let mut headers = row.headers;
            put_into(&mut headers, &batch, number + 1)?;
            if number > 0 {
                let sent = connection.client.publish_with_headers(row.subject, headers, row.payload).await;
                sent.map_err(|e| Error::unavailable("NATS takes no message").caused_by(e).from_outside())?;
                continue;
            }
            // Whether the stream takes batches at all is said to the first message.
            headers.insert("Nats-Expected-Stream", header_value(stream)?);
            let asking = connection.client.request_with_headers(row.subject, headers, row.payload);
            let answer = tokio::time::timeout(REQUEST_PATIENCE, asking).await;
            let failed =
                || Error::unavailable("JetStream does not begin a batch").with("stream", stream).from_outside();
            let answer = answer.map_err(|_| failed())?.map_err(|e| failed().caused_by(e))?;
            if !answer.payload.is_empty() {
                return Err(refused(&answer.payload, stream));
            }
        }
        self.mid_commit().await?;
        if count > 0 {
            put_into(&mut headers, &batch, count + 1)?;
            headers.insert("Nats-Batch-Commit", "1");
        }
        marker::publish(connection, stream, subject.to_string(), headers, payload).await
    }

    /// Where a test stops it: beside the runtime's threads.
    async fn mid_commit(&self) -> Result<()> {
        let fail_points = self.target.fail_points.clone();
        let hit = tokio::task::spawn_blocking(move || fail_points.hit(FailPoint::MidCommit)).await;
        hit.map(drop).map_err(|e| Error::internal("a fail point ended early").caused_by(e))
    }
}

fn put_into(headers: &mut HeaderMap, batch: &str, number: usize) -> Result<()> {
    headers.insert("Nats-Batch-Id", header_value(batch)?);
    headers.insert("Nats-Batch-Sequence", header_value(&number.to_string())?);
    Ok(())
}

/// A batch that was refused at its first message.
fn refused(answer: &[u8], stream: &str) -> Error {
    #[derive(serde::Deserialize)]
    struct Answer {
        error: Option<Refusal>,
    }
    match serde_json::from_slice::<Answer>(answer) {
        Ok(Answer { error: Some(refusal) }) => of_stream(refusal, stream),
        // It was stored as a message of its own: the server does not know batches. The stream has no `allow_atomic` then, and this
        // is found out when the job begins; a cluster of several versions may come here.
        _ => Error::user(format!("The servers of the stream '{stream}' do not know atomic batches"))
            .with("stream", stream)
            .hint("All servers have to be NATS 2.12 or later")
            .from_outside(),
    }
}

/// Refuses a marker of another job, and of a newer attempt.
fn check_owner(marker: &Marker, context: &CommitterContext, subject: &str, lineage: &str, foreign: bool) -> Result<()> {
    if marker.lineage != lineage {
        return Err(Error::user(format!("Another job has its markers at '{subject}'"))
            .with("option", "sink.marker-subject")
            .with("marker", subject)
            .hint("Give each job a subject of its own")
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

#[async_trait]
impl Committer for NatsCommitter {
    async fn commit(
        &mut self,
        checkpoint: &DecidedCheckpoint,
        committables: &[Committable],
    ) -> Result<Vec<CommitOutcome>> {
        let mut outcomes = vec![CommitOutcome::Committed; committables.len()];
        for group in &Group::of(committables)? {
            let done = self.commit_group(group, checkpoint.id().0).await?;
            group.settle(&done, self.target.staging()?, &mut outcomes).await;
        }
        Ok(outcomes)
    }

    async fn abort(&mut self, committables: &[Committable]) -> Result<()> {
        for committable in committables {
            self.target.staging()?.remove(&StagedFile::decode(committable)?.name).await?;
        }
        self.target.staging()?.remove_of(&self.context, self.context.generation.0, &[]).await
    }

    /// Says whose the markers are, before anything is decided: a checkpoint that is to be committed and finds no marker knows
    /// then that it was lost.
    async fn clean_up(&mut self, keep: &[String]) -> Result<()> {
        self.target.staging()?.remove_of(&self.context, self.context.generation.0, keep).await?;
        let owner = owner(&self.context.lineage, &self.context.operator_uid);
        let (stream, subject) = (self.target.stream_name()?.to_string(), self.target.marker_subject(&owner));
        let connection = self.connection().await?;
        let info = connection.stream(&stream).await?;
        marker::check_stream(&stream, &subject, &info)?;
        let keeps = info.config.expires();
        self.keeps = Some(keeps);
        let found = marker::read(&connection, &stream, &subject).await?;
        let (lineage, generation) = (self.context.lineage.clone(), self.context.generation.0);
        let (epoch, progress, follows) = match found {
            None => (0, None, 0),
            Some(Marked { marker, sequence }) => {
                check_owner(&marker, &self.context, &subject, &lineage, false)?;
                if marker.generation == generation {
                    self.held.insert(owner, Marked { marker, sequence });
                    return Ok(());
                }
                (marker.epoch, marker.progress, sequence)
            }
        };
        let next = Marker { lineage, generation, epoch, progress };
        let headers = marker::headers(&stream, follows, keeps)?;
        let sequence = marker::publish(&connection, &stream, subject.clone(), headers, next.encode()?).await?;
        if marker::read(&connection, &stream, &subject).await?.is_none() {
            // It would be missed after a failure.
            return Err(Error::user(format!("The stream '{stream}' has stored a marker, and has none at '{subject}'"))
                .with("stream", &stream)
                .hint("A stream that changes subjects ('subject_transform') cannot keep markers; set 'sink.delivery-guarantee' = 'at-least-once'")
                .from_outside());
        }
        self.held.insert(owner, Marked { marker: next, sequence });
        Ok(())
    }

    async fn sweep(&mut self) -> Result<()> {
        self.target.staging()?.remove_of(&self.context, self.context.generation.0.saturating_add(1), &[]).await
    }

    async fn finish(&mut self, _checkpoint: &DecidedCheckpoint) -> Result<()> {
        if let Err(error) =
            self.target.staging()?.remove_of(&self.context, self.context.generation.0.saturating_add(1), &[]).await
        {
            tracing::warn!(%error, "staged files of older attempts cannot be removed");
        }
        Ok(())
    }
}
