//! What the harness itself says to a Kafka broker, in the broker's protocol: it neither writes nor reads through the library that
//! the connector uses, so that no mistake of theirs is made on both sides.
//!
//! One broker leads every partition here, so that nobody is asked who does. Records are not compressed.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long a broker may be silent; one that is stopped is asked anew.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long a fetch waits for records.
const FETCH_WAIT_MS: i32 = 100;
/// Of what a fetch gives for a partition.
const FETCHED_BYTES_MAX: i32 = 1 << 20;
/// An answer that claims more is none.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Error codes that the protocol gives names to.
const NONE: i16 = 0;

const ATTRIBUTE_COMPRESSION: i16 = 7;
const ATTRIBUTE_TRANSACTIONAL: i16 = 1 << 4;
const ATTRIBUTE_CONTROL: i16 = 1 << 5;

pub(super) struct Client {
    stream: TcpStream,
    asked: i32,
}

/// Who writes without ever writing twice: the broker knows the sequence of each partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProducerId {
    id: i64,
    epoch: i16,
}

/// What a fetch gives of a partition.
pub(super) struct Fetched {
    pub(super) partition: i32,
    /// Where to go on.
    pub(super) next: i64,
    /// Offsets and values.
    pub(super) rows: Vec<(i64, String)>,
}

impl Client {
    pub(super) fn connect(address: &str) -> io::Result<Client> {
        let stream = super::process::connect(address, PATIENCE)?;
        Ok(Client { stream, asked: 0 })
    }

    fn ask(&mut self, api: i16, version: i16, body: Out) -> io::Result<Vec<u8>> {
        self.asked += 1;
        let mut head = Out::default();
        head.i16(api).i16(version).i32(self.asked).text("chaos");
        let mut message = Out::default();
        message.i32((head.0.len() + body.0.len()) as i32);
        self.stream.write_all(&[message.0, head.0, body.0].concat())?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if !(4..ANSWER_BYTES_MAX).contains(&length) {
            return Err(wrong(&format!("an answer of {length} bytes")));
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        let rest = answer.split_off(4);
        match In(&answer).i32()? == self.asked {
            true => Ok(rest),
            false => Err(wrong("an answer to another question")),
        }
    }

    pub(super) fn producer_id(&mut self) -> io::Result<ProducerId> {
        let mut body = Out::default();
        body.i16(-1).i32(60_000);
        let answer = self.ask(22, 0, body)?;
        let mut answer = In(&answer);
        answer.i32()?;
        refused(answer.i16()?)?;
        Ok(ProducerId { id: answer.i64()?, epoch: answer.i16()? })
    }

    pub(super) fn create_topic(&mut self, topic: &str, partitions: u64) -> io::Result<()> {
        let mut body = Out::default();
        body.i32(1).text(topic).i32(partitions as i32).i16(1).i32(0).i32(0).i32(PATIENCE.as_millis() as i32).0.push(0);
        let answer = self.ask(19, 2, body)?;
        let mut answer = In(&answer);
        answer.i32()?;
        answer.i32()?;
        answer.text()?;
        refused(answer.i16()?)
    }

    /// Appends records; gives the first one's offset once the broker has acknowledged them. The same sequence again is the same
    /// records again, of which the broker keeps one.
    pub(super) fn produce(
        &mut self,
        producer: ProducerId,
        sequence: u64,
        (topic, partition): (&str, i32),
        records: &[(&str, &str)],
    ) -> io::Result<i64> {
        let batch = batch(producer, sequence, records);
        let mut body = Out::default();
        body.i16(-1).i16(-1).i32(PATIENCE.as_millis() as i32 / 2);
        body.i32(1).text(topic).i32(1).i32(partition).i32(batch.len() as i32).0.extend(batch);
        let answer = self.ask(0, 3, body)?;
        let mut answer = In(&answer);
        answer.i32()?;
        answer.text()?;
        answer.i32()?;
        answer.i32()?;
        refused(answer.i16()?)?;
        answer.i64()
    }

    /// The end of what is committed.
    pub(super) fn end(&mut self, topic: &str, partition: i32) -> io::Result<i64> {
        let mut body = Out::default();
        body.i32(-1).0.push(1);
        body.i32(1).text(topic).i32(1).i32(partition).i64(-1);
        let answer = self.ask(2, 2, body)?;
        let mut answer = In(&answer);
        answer.i32()?;
        answer.i32()?;
        answer.text()?;
        answer.i32()?;
        answer.i32()?;
        refused(answer.i16()?)?;
        answer.i64()?;
        answer.i64()
    }

    /// The group's offsets of partitions 0, 1, …; 0 where it has none.
    pub(super) fn group_offsets(&mut self, group: &str, topic: &str, partitions: u64) -> io::Result<Vec<u64>> {
        let mut body = Out::default();
        body.text(group).i32(1).text(topic).i32(partitions as i32);
        for partition in 0..partitions {
            body.i32(partition as i32);
        }
        let answer = self.ask(9, 1, body)?;
        let mut answer = In(&answer);
        answer.i32()?;
        answer.text()?;
        let mut offsets = vec![0; partitions as usize];
        for _ in 0..answer.i32()? {
            let (partition, offset) = (answer.i32()?, answer.i64()?);
            answer.text()?;
            refused(answer.i16()?)?;
            if let Some(place) = offsets.get_mut(partition as usize) {
                *place = u64::try_from(offset).unwrap_or(0);
            }
        }
        Ok(offsets)
    }

    /// Committed records from these offsets on; waits a moment where there are none.
    pub(super) fn fetch(&mut self, topic: &str, from: &[i64]) -> io::Result<Vec<Fetched>> {
        let mut body = Out::default();
        body.i32(-1).i32(FETCH_WAIT_MS).i32(1).i32(FETCHED_BYTES_MAX * from.len() as i32).0.push(1);
        body.i32(1).text(topic).i32(from.len() as i32);
        for (partition, offset) in from.iter().enumerate() {
            body.i32(partition as i32).i64(*offset).i32(FETCHED_BYTES_MAX);
        }
        let answer = self.ask(1, 4, body)?;
        let mut answer = In(&answer);
        answer.i32()?;
        let mut all = vec![];
        for _ in 0..answer.i32()? {
            answer.text()?;
            for _ in 0..answer.i32()? {
                let partition = answer.i32()?;
                refused(answer.i16()?)?;
                answer.i64()?;
                answer.i64()?;
                let mut aborted = vec![];
                for _ in 0..answer.i32()?.max(0) {
                    aborted.push((answer.i64()?, answer.i64()?));
                }
                let length = usize::try_from(answer.i32()?).unwrap_or(0);
                let from = *from.get(partition as usize).ok_or_else(|| wrong("a partition that nobody asked for"))?;
                let mut fetched = Fetched { partition, next: from, rows: vec![] };
                read_batches(answer.take(length)?, aborted, from, &mut fetched)?;
                all.push(fetched);
            }
        }
        Ok(all)
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::other(what)
}

fn refused(code: i16) -> io::Result<()> {
    if code == NONE { Ok(()) } else { Err(wrong(&format!("the broker's error code {code}"))) }
}

/// A batch of records in format 2.
fn batch(producer: ProducerId, sequence: u64, records: &[(&str, &str)]) -> Vec<u8> {
    let now_ms = std::time::UNIX_EPOCH.elapsed().map_or(0, |t| t.as_millis() as i64);
    let last = records.len().saturating_sub(1) as i32;
    let mut summed = Out::default();
    summed.i16(0).i32(last).i64(now_ms).i64(now_ms).i64(producer.id).i16(producer.epoch);
    summed.i32((sequence % (1 << 31)) as i32).i32(records.len() as i32);
    for (i, (key, value)) in records.iter().enumerate() {
        let mut record = Out::default();
        record.0.push(0);
        record.varint(0).varint(i as i64).bytes(key.as_bytes()).bytes(value.as_bytes()).varint(0);
        summed.varint(record.0.len() as i64).0.extend(record.0);
    }
    let mut all = Out::default();
    // Behind the length: the leader's epoch (unknown), the format, the sum.
    all.i64(0).i32((4 + 1 + 4 + summed.0.len()) as i32).i32(-1).0.push(2);
    all.i32(crc32c(&summed.0) as i32).0.extend(summed.0);
    all.0
}

/// Rows of the batches whose transactions were committed, or that belong to none. Transactions that were aborted are told by
/// producer and first offset.
fn read_batches(bytes: &[u8], mut aborted: Vec<(i64, i64)>, from: i64, into: &mut Fetched) -> io::Result<()> {
    aborted.sort_by_key(|(_, first)| *first);
    let mut aborting: Vec<i64> = vec![];
    let mut bytes = In(bytes);
    // The last one may be cut off.
    while bytes.0.len() > 12 {
        let base = bytes.i64()?;
        let length = bytes.i32()? as usize;
        let Ok(batch) = bytes.take(length) else { break };
        let mut batch = In(batch);
        batch.take(4 + 1 + 4)?;
        let attributes = batch.i16()?;
        let last = i64::from(batch.i32()?);
        batch.take(16)?;
        let producer = batch.i64()?;
        batch.take(6)?;
        let count = batch.i32()?;
        if attributes & ATTRIBUTE_COMPRESSION != 0 {
            return Err(wrong("a batch is compressed, which this harness cannot read"));
        }
        into.next = into.next.max(base + last + 1);
        while let Some((id, _)) = aborted.first().filter(|(_, first)| *first <= base + last).copied() {
            aborted.remove(0);
            aborting.push(id);
        }
        if attributes & ATTRIBUTE_CONTROL != 0 {
            // A marker ends the transaction.
            aborting.retain(|id| *id != producer);
            continue;
        }
        if attributes & ATTRIBUTE_TRANSACTIONAL != 0 && aborting.contains(&producer) {
            continue;
        }
        for _ in 0..count {
            let length = batch.varint()? as usize;
            let mut record = In(batch.take(length)?);
            record.take(1)?;
            record.varint()?;
            let offset = base + record.varint()?;
            record.bytes()?;
            let value = record.bytes()?;
            if offset >= from {
                into.rows.push((offset, String::from_utf8_lossy(value).trim_end().to_string()));
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn i16(&mut self, n: i16) -> &mut Out {
        self.0.extend(n.to_be_bytes());
        self
    }

    fn i32(&mut self, n: i32) -> &mut Out {
        self.0.extend(n.to_be_bytes());
        self
    }

    fn i64(&mut self, n: i64) -> &mut Out {
        self.0.extend(n.to_be_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Out {
        self.i16(text.len() as i16).0.extend(text.as_bytes());
        self
    }

    /// In zigzag order, seven bits a byte.
    fn varint(&mut self, n: i64) -> &mut Out {
        let mut n = ((n << 1) ^ (n >> 63)) as u64;
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Out {
        self.varint(bytes.len() as i64).0.extend(bytes);
        self
    }
}

struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take(&mut self, n: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or_else(|| wrong("an answer that ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| wrong("an answer that ends early"))
    }

    fn i16(&mut self) -> io::Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> io::Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> io::Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// Nothing where there is none.
    fn text(&mut self) -> io::Result<&'a [u8]> {
        let length = self.i16()?;
        self.take(usize::try_from(length).unwrap_or(0))
    }

    fn varint(&mut self) -> io::Result<i64> {
        let (mut n, mut shift) = (0u64, 0);
        loop {
            let [byte] = self.array()?;
            n |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 || shift > 63 {
                return Ok((n >> 1) as i64 ^ -((n & 1) as i64));
            }
        }
    }

    fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let length = self.varint()?;
        self.take(usize::try_from(length).unwrap_or(0))
    }
}

/// Of each byte, Castagnoli's sum.
const SUMS: [u32; 256] = {
    let (mut sums, mut byte) = ([0; 256], 0);
    while byte < sums.len() {
        let (mut sum, mut bit) = (byte as u32, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
            bit += 1;
        }
        sums[byte] = sum;
        byte += 1;
    }
    sums
};

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| SUMS[((sum ^ u32::from(*byte)) & 0xff) as usize] ^ sum >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCER: ProducerId = ProducerId { id: 7, epoch: 0 };

    /// The same batch elsewhere in the log, of a transaction.
    fn at(offset: i64, attributes: i16, mut batch: Vec<u8>) -> Vec<u8> {
        batch[..8].copy_from_slice(&offset.to_be_bytes());
        batch[21..23].copy_from_slice(&attributes.to_be_bytes());
        batch
    }

    #[test]
    fn sums_and_numbers_are_those_of_the_protocol() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        for n in [0, -1, 1, 63, 64, -65, 1 << 40, i64::MIN, i64::MAX] {
            let mut out = Out::default();
            out.varint(n);
            assert_eq!(In(&out.0).varint().expect("a number"), n);
        }
    }

    #[test]
    fn only_what_was_committed_is_read() {
        let rows = batch(PRODUCER, 0, &[("1", "a"), ("2", "b\n")]);
        let other = batch(ProducerId { id: 8, epoch: 0 }, 0, &[("1", "c")]);
        let end = |offset| at(offset, ATTRIBUTE_TRANSACTIONAL | ATTRIBUTE_CONTROL, batch(PRODUCER, 0, &[("", "")]));
        let log = [
            at(0, ATTRIBUTE_TRANSACTIONAL, rows.clone()),
            at(2, ATTRIBUTE_TRANSACTIONAL, other.clone()),
            end(3),
            at(4, ATTRIBUTE_TRANSACTIONAL, rows),
            end(6),
            at(7, 0, other)[..30].to_vec(),
        ]
        .concat();
        let read = |aborted: Vec<(i64, i64)>, from| {
            let mut fetched = Fetched { partition: 0, next: from, rows: vec![] };
            read_batches(&log, aborted, from, &mut fetched).expect("read");
            (fetched.next, fetched.rows.into_iter().map(|(offset, row)| format!("{offset}{row}")).collect::<Vec<_>>())
        };
        assert_eq!(read(vec![], 0), (7, ["0a", "1b", "2c", "4a", "5b"].map(String::from).to_vec()));
        assert_eq!(read(vec![(7, 0)], 0), (7, ["2c", "4a", "5b"].map(String::from).to_vec()));
        assert_eq!(read(vec![(7, 4)], 1), (7, ["1b", "2c"].map(String::from).to_vec()));
    }
}
