//! Streams of Arrow IPC that lie somewhere, or come from somewhere. The library trusts what stands in them: it reserves what a
//! length says before it looks whether there is so much, and panics where a part lies outside or a type is one that it does not
//! know. Here lengths are looked at first, and a panic is an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::{CompressionType, MessageHeader, RecordBatch as Batch, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};

/// What may stand before the length of a message.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// What stands before a part that is compressed: how long it is without.
const PREFIX: usize = 8;
/// LZ4 makes of a byte at most this many.
const LZ4_RATIO_MAX: usize = 255;

/// Schema and batches of a whole stream; why it is none.
pub fn read(stream: &[u8]) -> Result<(SchemaRef, Vec<RecordBatch>), String> {
    check(stream)?;
    guarded(|| {
        let reader = StreamReader::try_new(stream, None)?;
        let schema = reader.schema();
        Ok((schema, reader.collect::<Result<_, ArrowError>>()?))
    })
}

/// Does what the library does with a stream that was [checked](check); where it panics that is why the stream is none.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|e| e.to_string()),
        Err(_) => Err("it holds something that nobody has written".to_string()),
    }
}

/// Whether every message of a stream lies in it, with all of its parts. What follows the end of a stream is not looked at.
pub fn check(stream: &[u8]) -> Result<(), String> {
    let mut rest = stream;
    while let Some((length, behind)) = length_of(rest)? {
        if length == 0 {
            return Ok(());
        }
        let (head, behind) = behind.split_at_checked(length).ok_or("a message is longer than what is there")?;
        let message = root_as_message(head).map_err(|e| format!("a message is none: {e}"))?;
        let body = usize::try_from(message.bodyLength()).map_err(|_| "a message has a length below zero")?;
        let (body, behind) = behind.split_at_checked(body).ok_or("a message is longer than what is there")?;
        match message.header_type() {
            MessageHeader::RecordBatch => check_batch(message.header_as_record_batch(), body)?,
            MessageHeader::DictionaryBatch => {
                check_batch(message.header_as_dictionary_batch().and_then(|d| d.data()), body)?;
            }
            _ => {}
        }
        rest = behind;
    }
    Ok(())
}

/// The length of the next message and what is behind it; `None` where nothing follows.
fn length_of(bytes: &[u8]) -> Result<Option<(usize, &[u8])>, String> {
    let Some((mut length, mut rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    if *length == CONTINUATION {
        // What is cut off here is the end for some readers and an error for others.
        let Some(after) = rest.split_first_chunk::<4>() else { return Ok(None) };
        (length, rest) = after;
    }
    let length = usize::try_from(i32::from_le_bytes(*length)).map_err(|_| "a message has a length below zero")?;
    Ok(Some((length, rest)))
}

fn check_batch(batch: Option<Batch<'_>>, body: &[u8]) -> Result<(), String> {
    let batch = batch.ok_or("a batch is missing")?;
    let rows = usize::try_from(batch.length()).map_err(|_| "a batch has fewer rows than none")?;
    let nodes = batch.nodes().into_iter().flatten();
    if nodes.into_iter().any(|n| n.length() < 0 || n.null_count() < 0 || n.null_count() > n.length()) {
        return Err("a column has fewer values than none".to_string());
    }
    let compression = batch.compression().map(|c| c.codec());
    let mut bytes = 0usize;
    for buffer in batch.buffers().into_iter().flatten() {
        let place = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let part = place.and_then(|(at, length)| body.get(at..at.checked_add(length)?));
        let part = part.ok_or("a part of a column lies outside of its batch")?;
        match compression {
            Some(CompressionType::LZ4_FRAME) if !part.is_empty() => check_compressed(part)?,
            Some(CompressionType::LZ4_FRAME) | None => {}
            Some(other) => return Err(format!("it is compressed with {other:?}, which nobody has written")),
        }
        bytes = bytes.saturating_add(part.len());
    }
    // Of columns without any bytes there may be as many as somebody says.
    if bytes == 0 && rows > u32::MAX as usize {
        return Err("a batch has more rows than one can have".to_string());
    }
    Ok(())
}

fn check_compressed(part: &[u8]) -> Result<(), String> {
    let (prefix, compressed) = part.split_first_chunk::<PREFIX>().ok_or("a part of a column is cut off")?;
    let length = i64::from_le_bytes(*prefix);
    // -1: it is not compressed after all.
    let fits = usize::try_from(length).is_ok_and(|l| l <= compressed.len().saturating_mul(LZ4_RATIO_MAX));
    if length == -1 || fits { Ok(()) } else { Err("a part of a column says a length that it cannot have".to_string()) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringArray};
    use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};

    use super::*;

    fn stream(compression: Option<CompressionType>) -> Vec<u8> {
        let names: StringArray = (0..50).map(|i| (i % 3 > 0).then(|| "name ".repeat(i))).collect();
        let columns: Vec<(&str, ArrayRef)> =
            vec![("id", Arc::new(Int64Array::from_iter_values(0..50))), ("name", Arc::new(names))];
        let batch = RecordBatch::try_from_iter(columns).expect("rows");
        let options = IpcWriteOptions::default().try_with_compression(compression).expect("options");
        let mut writer = StreamWriter::try_new_with_options(vec![], &batch.schema(), options).expect("a writer");
        writer.write(&batch).expect("written");
        writer.write(&batch.slice(7, 3)).expect("written");
        writer.into_inner().expect("a stream")
    }

    #[test]
    fn what_was_written_is_read() {
        for compression in [None, Some(CompressionType::LZ4_FRAME)] {
            let (schema, batches) = read(&stream(compression)).expect("read");
            assert_eq!((schema.fields().len(), batches.len(), batches[1].num_rows()), (2, 2, 3));
        }
    }

    #[test]
    fn damage_is_an_error_and_no_panic_and_reserves_nothing() {
        for compression in [None, Some(CompressionType::LZ4_FRAME)] {
            let whole = stream(compression);
            for at in 0..whole.len() {
                drop(read(&whole[..at]));
                for change in [0x01, 0x40, 0x80, 0xff] {
                    let mut damaged = whole.clone();
                    damaged[at] ^= change;
                    drop(read(&damaged));
                }
            }
        }
        // Found by the targets state_file and wire of flott-fuzz: a length of 2 GB in a stream of a few bytes, and a part that
        // lies a terabyte behind its batch.
        let e = read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7e, 0]).expect_err("too long");
        assert!(e.contains("longer than what is there"), "{e}");
    }
}
