//! The at-least-once writer: records go to the client as they come, and a checkpoint waits until all are acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::sink::{SinkWriter, WriterContext};
use flott_core::{ChangeBatch, Error, Generation, Result};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::buffer::{Buffer, Held};
use crate::client::{self, blocking};
use crate::limits::{self, Limits};
use crate::marker;
use crate::producer::{LOOK, Producer};
use crate::record::{Outgoing, RecordEncoder};
use crate::target::{Partitioner, Target};

/// The client and what it is told.
struct Output {
    target: Arc<Target>,
    generation: Generation,
    subtask: usize,
    producer: Option<Producer>,
    /// Partitions of topics that were looked up.
    counts: BTreeMap<String, i32>,
    limits: Limits,
    buffer: Option<Buffer>,
    bytes: u64,
    /// Why rows that were held back are lost to this attempt: the writer's next call fails with it.
    failed: Option<Error>,
}

impl Output {
    /// Made with the first row: a job that is only explained asks nothing.
    async fn open(&mut self) -> Result<()> {
        if self.producer.is_some() {
            return Ok(());
        }
        let (target, generation) = (Arc::clone(&self.target), self.generation);
        let made = blocking(move || {
            let (topics, properties) = (&target.plan.topics, &target.properties);
            let consumer = client::consumer(properties, None)?;
            // Where that is not answered nothing else is: why is told below.
            let is_answered = topics.partitions(&consumer, properties).is_ok();
            client::end_aside(consumer);
            let batch = match is_answered {
                true => {
                    let asked = (target.asked.as_ref(), generation);
                    limits::describe(marker::admin(properties)?, topics, None, properties, asked).batch_bytes_max
                }
                false => None,
            };
            let producer = Producer::with_batches(properties, None, batch)?;
            // A missing topic would be a time-out of minutes.
            let mut counts = BTreeMap::new();
            if let Some(topic) = target.plan.topics.single() {
                counts.insert(topic.to_string(), producer.partitions(topic)?);
            }
            Ok::<_, Error>((producer, counts))
        });
        let (producer, counts) = made.await??;
        self.counts = counts;
        self.producer = Some(producer);
        Ok(())
    }

    async fn send(&mut self, records: &[Outgoing<'_>]) -> Result<()> {
        for records in records.chunk_by(|a, b| a.topic == b.topic) {
            self.send_to_one(records).await?;
        }
        Ok(())
    }

    /// Records of one topic.
    async fn send_to_one(&mut self, mut records: &[Outgoing<'_>]) -> Result<()> {
        let Some(topic) = records.first().and_then(|r| r.topic) else {
            return Err(Error::internal("a record without a topic"));
        };
        self.limits.check(records).await?;
        let Some(producer) = &mut self.producer else { return Err(Error::internal("a writer was not opened")) };
        let partition = match self.target.partitioner {
            Partitioner::Default => None,
            Partitioner::Fixed => {
                let count = match self.counts.get(topic) {
                    Some(count) => *count,
                    None => {
                        let count = producer.look_up(topic).await?;
                        self.counts.insert(topic.to_string(), count);
                        count
                    }
                };
                Some(i32::try_from(self.subtask).unwrap_or(0) % count)
            }
        };
        let bytes: usize = records.iter().map(Outgoing::bytes).sum();
        while !records.is_empty() {
            records = &records[producer.send(topic, partition, records)?..];
            if !records.is_empty() {
                producer.check()?;
                tokio::time::sleep(LOOK).await;
            }
        }
        self.bytes += bytes as u64;
        Ok(())
    }

    /// Sends what was held back.
    async fn drain(&mut self) -> Result<()> {
        let Some(buffer) = &mut self.buffer else { return Ok(()) };
        let held = buffer.take();
        self.send(&held.iter().map(Held::outgoing).collect::<Vec<_>>()).await
    }
}

/// A writer.
pub(crate) struct KafkaWriter {
    encoder: RecordEncoder,
    output: Arc<Mutex<Output>>,
    /// Sends what was held back for too long.
    alarm: Option<JoinHandle<()>>,
    waits: bool,
    bytes: u64,
}

impl KafkaWriter {
    /// `waits`: a checkpoint waits for the answers.
    pub(crate) fn new(target: Arc<Target>, context: &WriterContext, waits: bool) -> Result<KafkaWriter> {
        let encoder = RecordEncoder::new(Arc::clone(&target.plan))?;
        let buffer = target.buffer.map(|(rows, _)| Buffer::new(rows));
        let output = Output {
            limits: Limits::new(&target.properties, &target.asked, context.generation),
            target,
            generation: context.generation,
            subtask: context.subtask.index,
            producer: None,
            counts: BTreeMap::new(),
            buffer,
            bytes: 0,
            failed: None,
        };
        Ok(KafkaWriter { encoder, output: Arc::new(Mutex::new(output)), alarm: None, waits, bytes: 0 })
    }

    fn start_alarm(&mut self, interval: Duration) {
        if self.alarm.is_some() {
            return;
        }
        let output = Arc::clone(&self.output);
        self.alarm = Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let mut output = output.lock().await;
                if let Err(error) = output.drain().await {
                    tracing::warn!(%error, "rows that were held back cannot be written");
                    output.failed.get_or_insert(error);
                }
            }
        }));
    }
}

#[async_trait]
impl SinkWriter for KafkaWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        let records = self.encoder.encode(&batch)?;
        let interval = {
            let mut output = self.output.lock().await;
            output.failed.take().map_or(Ok(()), Err)?;
            output.open().await?;
            match &mut output.buffer {
                None => {
                    for some in records.pieces() {
                        output.send(&some?).await?;
                    }
                }
                Some(_) => {
                    for row in 0..records.len() {
                        let record = records.get(row)?;
                        if output.buffer.as_mut().is_some_and(|b| b.put(&record)) {
                            output.drain().await?;
                        }
                    }
                }
            }
            if let Some(producer) = &output.producer {
                producer.check()?;
            }
            self.bytes = output.bytes;
            output.target.buffer.map(|(_, interval)| interval)
        };
        if let Some(interval) = interval {
            self.start_alarm(interval);
        }
        Ok(())
    }

    async fn flush(&mut self, end_of_input: bool) -> Result<()> {
        let mut output = self.output.lock().await;
        output.failed.take().map_or(Ok(()), Err)?;
        output.drain().await?;
        self.bytes = output.bytes;
        match &output.producer {
            // At the end what is still queued would go with the client, as in Flink also where nothing is promised.
            Some(producer) if self.waits || end_of_input => producer.flush().await,
            Some(producer) => producer.check(),
            None => Ok(()),
        }
    }

    fn bytes_written(&self) -> u64 {
        self.bytes
    }

    async fn close(&mut self) -> Result<()> {
        if let Some(alarm) = self.alarm.take() {
            alarm.abort();
        }
        let output = Arc::clone(&self.output);
        let producer = output.lock().await.producer.take();
        // The end of a client may wait for its threads.
        blocking(move || drop(producer)).await
    }
}

impl Drop for KafkaWriter {
    fn drop(&mut self) {
        if let Some(alarm) = &self.alarm {
            alarm.abort();
        }
    }
}
