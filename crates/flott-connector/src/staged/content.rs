//! The content of a staged file: records as they go to the log, as a compressed Arrow stream.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, Int64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flott_core::{Error, Result};

use crate::ipc;

/// Records in a batch of a file.
const BATCH_RECORDS: usize = 16_384;
/// Records that are read at once.
const AT_ONCE: usize = 1_024;

/// A record as it goes to the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StagedRecord<'a> {
    /// Where it goes: a topic, a subject.
    pub topic: Option<&'a str>,
    /// Its key, where the log has keys.
    pub key: Option<&'a [u8]>,
    /// Its content; `None` where the log knows records without one.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since the epoch, where the log takes them.
    pub timestamp_ms: Option<i64>,
    /// Names and values.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

impl StagedRecord<'_> {
    /// Bytes of key, value and headers.
    pub fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len));
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers.sum::<usize>()
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("topic", DataType::Utf8, true),
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
        Field::new("timestamp_ms", DataType::Int64, true),
        Field::new("headers", DataType::Binary, true),
    ]))
}

/// Collects records of a file.
#[derive(Default)]
pub struct StageBuilder {
    done: Vec<RecordBatch>,
    topics: StringBuilder,
    keys: BinaryBuilder,
    values: BinaryBuilder,
    timestamps: Int64Builder,
    headers: BinaryBuilder,
    open: usize,
    records: u64,
    bytes: usize,
}

impl StageBuilder {
    /// How many it has.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// About as many as the records have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds one.
    pub fn append(&mut self, record: &StagedRecord<'_>) -> Result<()> {
        self.bytes += record.bytes() + 16;
        self.topics.append_option(record.topic);
        self.keys.append_option(record.key);
        self.values.append_option(record.value);
        self.timestamps.append_option(record.timestamp_ms);
        if record.headers.is_empty() {
            self.headers.append_null();
        } else {
            self.headers.append_value(encode_headers(&record.headers));
        }
        self.open += 1;
        self.records += 1;
        if self.open == BATCH_RECORDS {
            self.close_batch()?;
        }
        Ok(())
    }

    fn close_batch(&mut self) -> Result<()> {
        if self.open == 0 {
            return Ok(());
        }
        self.open = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.topics.finish()),
            Arc::new(self.keys.finish()),
            Arc::new(self.values.finish()),
            Arc::new(self.timestamps.finish()),
            Arc::new(self.headers.finish()),
        ];
        self.done.push(RecordBatch::try_new(schema(), columns)?);
        Ok(())
    }

    /// The file.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.close_batch()?;
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
        let mut writer = StreamWriter::try_new_with_options(vec![], &schema(), options)?;
        for batch in &self.done {
            writer.write(batch)?;
        }
        writer.finish()?;
        Ok(writer.into_inner()?)
    }
}

/// Name and value of each, with lengths before them; -1 is a value that is NULL.
fn encode_headers(headers: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
    let mut out = vec![];
    for (name, value) in headers {
        out.extend((name.len() as i32).to_le_bytes());
        out.extend(name.as_bytes());
        out.extend(value.map_or(-1, |v| v.len() as i32).to_le_bytes());
        out.extend(value.unwrap_or_default());
    }
    out
}

fn decode_headers(mut bytes: &[u8]) -> Option<Vec<(&str, Option<&[u8]>)>> {
    fn length(bytes: &mut &[u8]) -> Option<i32> {
        let (head, rest) = bytes.split_first_chunk::<4>()?;
        *bytes = rest;
        Some(i32::from_le_bytes(*head))
    }
    let mut headers = vec![];
    while !bytes.is_empty() {
        let name = usize::try_from(length(&mut bytes)?).ok()?;
        let (name, rest) = bytes.split_at_checked(name)?;
        bytes = rest;
        let value = match usize::try_from(length(&mut bytes)?) {
            Ok(n) => {
                let (value, rest) = bytes.split_at_checked(n)?;
                bytes = rest;
                Some(value)
            }
            Err(_) => None,
        };
        headers.push((std::str::from_utf8(name).ok()?, value));
    }
    Some(headers)
}

/// Calls `each` with some records after the other of a file, behind the first `skip`, until it says before which of them it stops.
/// Gives how many records lie before where it stopped: at the end, all of them. What is damaged is an error of kind `Data`.
pub fn for_each(
    content: &[u8],
    skip: u64,
    mut each: impl FnMut(&[StagedRecord<'_>]) -> Result<ControlFlow<usize>>,
) -> Result<ControlFlow<u64, u64>> {
    let damaged =
        || Error::data("a staged file is damaged").hint("The disk has lost data: its rows cannot be committed");
    ipc::check(content).map_err(|_| damaged())?;
    let mut reader = ipc::guarded(|| StreamReader::try_new(content, None)).map_err(|_| damaged())?;
    if reader.schema() != schema() {
        return Err(damaged());
    }
    let mut records = 0u64;
    while let Some(batch) = ipc::guarded(|| reader.next().transpose()).map_err(|_| damaged())? {
        let begin = usize::try_from(skip.saturating_sub(records)).unwrap_or(usize::MAX).min(batch.num_rows());
        records += begin as u64;
        let topics = batch.column(0).as_string::<i32>();
        let (keys, values) = (batch.column(1).as_binary::<i32>(), batch.column(2).as_binary::<i32>());
        let timestamps = batch.column(3).as_primitive::<Int64Type>();
        let headers = batch.column(4).as_binary::<i32>();
        let record = |row| {
            Ok::<_, Error>(StagedRecord {
                topic: topics.is_valid(row).then(|| topics.value(row)),
                key: keys.is_valid(row).then(|| keys.value(row)),
                value: values.is_valid(row).then(|| values.value(row)),
                timestamp_ms: timestamps.is_valid(row).then(|| timestamps.value(row)),
                headers: match headers.is_valid(row) {
                    true => decode_headers(headers.value(row)).ok_or_else(damaged)?,
                    false => vec![],
                },
            })
        };
        for from in (begin..batch.num_rows()).step_by(AT_ONCE) {
            let some = (from..batch.num_rows().min(from + AT_ONCE)).map(record).collect::<Result<Vec<_>>>()?;
            if let ControlFlow::Break(before) = each(&some)? {
                return Ok(ControlFlow::Break(records + before as u64));
            }
            records += some.len() as u64;
        }
    }
    Ok(ControlFlow::Continue(records))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_staged_is_read_again() {
        let mut builder = StageBuilder::default();
        let full = StagedRecord {
            topic: Some("t"),
            key: Some(b"k"),
            value: Some(b"v\n"),
            timestamp_ms: Some(-5),
            headers: vec![("a", Some(b"1")), ("a", None), ("", Some(b""))],
        };
        let empty = StagedRecord::default();
        for _ in 0..BATCH_RECORDS {
            builder.append(&full).expect("appended");
            builder.append(&empty).expect("appended");
        }
        let content = builder.finish().expect("a file");
        let mut seen = 0;
        let records = for_each(&content, 0, |some| {
            for record in some {
                assert_eq!(record, if seen % 2 == 0 { &full } else { &empty });
                seen += 1;
            }
            Ok(ControlFlow::Continue(()))
        });
        let all = 2 * BATCH_RECORDS as u64;
        assert_eq!(records.expect("read"), ControlFlow::Continue(all));
        // Behind a place, and up to one.
        for skip in [0, 1, BATCH_RECORDS as u64 - 1, BATCH_RECORDS as u64, all - 1, all] {
            let mut seen = vec![];
            let stopped = for_each(&content, skip, |some| {
                for (place, record) in some.iter().enumerate() {
                    if seen.len() == 2 {
                        return Ok(ControlFlow::Break(place));
                    }
                    seen.push(record.topic.is_some());
                }
                Ok(ControlFlow::Continue(()))
            });
            let expected: Vec<bool> = (skip..all).take(2).map(|i| i % 2 == 0).collect();
            assert_eq!(seen, expected);
            let end = if skip + 2 < all { ControlFlow::Break(skip + 2) } else { ControlFlow::Continue(all) };
            assert_eq!(stopped.expect("read"), end);
        }
    }

    #[test]
    fn damaged_files_are_refused_without_a_panic() {
        let mut builder = StageBuilder::default();
        builder.append(&StagedRecord { key: Some(b"k"), ..StagedRecord::default() }).expect("appended");
        let content = builder.finish().expect("a file");
        for_each(b"", 0, |_| Ok(ControlFlow::Continue(()))).expect_err("nothing");
        for_each(&content[..content.len() / 2], 0, |_| Ok(ControlFlow::Continue(()))).expect_err("a half");
        assert!(decode_headers(&[1, 0, 0, 0]).is_none() && decode_headers(&[255, 255, 255, 127, 0]).is_none());
    }
}
