//! Writes the rows of the input into a log while the job runs, is killed and comes back, and keeps the ledger: of which rows the log's
//! server has said that it has them. A row whose acknowledgement was lost is written again under the same number, of which the server
//! keeps one.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::ledger::{Input, Row};
use super::process::pause;
use super::servers::Kind;
use super::{kafka, nats, wrong};
use crate::Failure;

/// Rows of one request at most.
const AT_ONCE: usize = 2_000;
/// How often rows are written.
const STEP: Duration = Duration::from_millis(50);
/// A server that does not come back for so long never does.
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) struct Producer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// How many rows the server has acknowledged.
    acknowledged: AtomicU64,
    /// What is left is written at once.
    hurries: AtomicBool,
    ends: AtomicBool,
    failure: Mutex<Option<Failure>>,
}

/// The log, as it is written to.
struct Log {
    kind: Kind,
    address: String,
    name: String,
    connection: Option<Connection>,
    /// Drawn once: under it the broker knows what it has.
    producer: Option<kafka::ProducerId>,
    /// Rows of each partition that are acknowledged.
    ends: Vec<u64>,
}

enum Connection {
    Kafka(kafka::Client),
    Nats(nats::Client),
}

impl Producer {
    /// Begins to write into the topic or stream of this name, so many rows a second, and into a file what was acknowledged: partition,
    /// offset or sequence, and row.
    pub(super) fn start(
        (kind, address, name): (Kind, &str, &str),
        input: &Arc<Input>,
        rows_per_second: u64,
        ledger: &Path,
    ) -> Result<Producer, Failure> {
        let mut file = io::BufWriter::new(fs::File::create(ledger).map_err(wrong(ledger))?);
        let shared = Arc::new(Shared::default());
        let (of_thread, input) = (Arc::clone(&shared), Arc::clone(input));
        let mut log = Log {
            kind,
            address: address.to_string(),
            name: name.to_string(),
            connection: None,
            producer: None,
            ends: vec![0; input.partitions as usize],
        };
        let thread = std::thread::spawn(move || {
            let written = write(&mut log, &input, rows_per_second, &of_thread, &mut file);
            if let Err(e) = written.and_then(|()| file.flush().map_err(|e| e.to_string())) {
                of_thread.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
            }
        });
        Ok(Producer { shared, thread: Some(thread) })
    }

    /// Writes what is left at once.
    pub(super) fn hurry(&self) {
        self.shared.hurries.store(true, Ordering::Relaxed);
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Acquire)
    }

    /// Why it has given up.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn write(
    log: &mut Log,
    input: &Input,
    rows_per_second: u64,
    shared: &Shared,
    ledger: &mut impl Write,
) -> Result<(), Failure> {
    let started = crate::bench::measure::now();
    let mut next = 0;
    while next < input.rows.len() && !shared.ends.load(Ordering::Relaxed) {
        let due = match shared.hurries.load(Ordering::Relaxed) {
            true => input.rows.len(),
            false => ((started.elapsed().as_secs_f64() * rows_per_second as f64) as usize).min(input.rows.len()),
        };
        let rows = &input.rows[next..due.clamp(next, next + AT_ONCE)];
        if rows.is_empty() {
            pause(STEP);
            continue;
        }
        for partition in 0..log.ends.len() {
            let is_there = |row: &&Row| input.place_of(row.id).is_some_and(|(p, _)| p == partition);
            let rows: Vec<&Row> = rows.iter().filter(is_there).collect();
            if rows.is_empty() {
                continue;
            }
            let Some(first) = log.append_until_acknowledged(partition, &rows, shared)? else { return Ok(()) };
            for (i, row) in rows.iter().enumerate() {
                writeln!(ledger, "{partition},{},{}", first + i as u64, row.text).map_err(|e| e.to_string())?;
            }
            shared.acknowledged.fetch_add(rows.len() as u64, Ordering::Release);
        }
        next += rows.len();
    }
    Ok(())
}

impl Log {
    /// As often as it takes; `None` where nobody waits for it any more.
    fn append_until_acknowledged(
        &mut self,
        partition: usize,
        rows: &[&Row],
        shared: &Shared,
    ) -> Result<Option<u64>, Failure> {
        let asked = crate::bench::measure::now();
        loop {
            match self.append(partition, rows) {
                Ok(first) => {
                    // Partitions of a topic are numbered each for itself, a stream as a whole.
                    let (expected, place) = match self.kind {
                        Kind::Kafka => (self.ends[partition], "offset"),
                        Kind::Nats => (self.ends.iter().sum::<u64>() + 1, "sequence"),
                    };
                    if first != expected {
                        return Err(format!("'{}' has {place} {first} where rows should be at {expected}", self.name));
                    }
                    self.ends[partition] += rows.len() as u64;
                    return Ok(Some(first));
                }
                Err(_) if shared.ends.load(Ordering::Relaxed) => return Ok(None),
                Err(e) if asked.elapsed() > PATIENCE => {
                    return Err(format!("rows cannot be written into '{}' any more: {e}", self.name));
                }
                Err(_) => {
                    self.connection = None;
                    pause(STEP);
                }
            }
        }
    }

    fn append(&mut self, partition: usize, rows: &[&Row]) -> io::Result<u64> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(match self.kind {
                Kind::Kafka => Connection::Kafka(kafka::Client::connect(&self.address)?),
                Kind::Nats => Connection::Nats(nats::Client::connect(&self.address)?),
            }),
        };
        match connection {
            Connection::Kafka(client) => {
                let producer = match self.producer {
                    Some(producer) => producer,
                    None => *self.producer.insert(client.producer_id()?),
                };
                let keys: Vec<String> = rows.iter().map(|row| row.key.to_string()).collect();
                let records: Vec<(&str, &str)> =
                    keys.iter().zip(rows).map(|(key, row)| (key.as_str(), row.text.as_str())).collect();
                let at = (self.name.as_str(), partition as i32);
                client.produce(producer, self.ends[partition], at, &records).map(|offset| offset as u64)
            }
            Connection::Nats(client) => {
                let messages: Vec<(String, &str)> =
                    rows.iter().map(|row| (format!("{}-{}", self.name, row.id), row.text.as_str())).collect();
                client.publish(&format!("{}.{partition}", self.name), &messages)
            }
        }
    }
}
