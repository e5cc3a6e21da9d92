//! State files: the new runs of one operator subtask at one checkpoint, each an Arrow IPC stream.
//!
//! Layout: `FLOTTRUN`, version (u32, little endian), zeroes to byte 64, then the runs' streams one after another. Where
//! each stands, and its checksum, is in the manifest.

use flott_core::types::with_nullable_keys;
use std::sync::Arc;

use arrow_array::BooleanArray;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use bytes::Bytes;
use flott_connector::ipc;
use flott_core::{Error, Result};

use crate::manifest::StoredRun;
use crate::run::StateRun;

const MAGIC: &[u8; 8] = b"FLOTTRUN";
/// Version of the file's layout.
pub const STATE_FILE_VERSION: u32 = 1;
const HEADER: usize = 64;

/// The content of a file without runs.
pub(crate) fn empty() -> Vec<u8> {
    let mut out = vec![0u8; HEADER];
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&STATE_FILE_VERSION.to_le_bytes());
    out
}

/// The content of a file with these runs, and their entries for the manifest. Runs without rows are left out.
pub fn encode(file: &str, runs: &[Arc<StateRun>]) -> Result<(Bytes, Vec<StoredRun>)> {
    let mut out = empty();
    let mut stored = Vec::with_capacity(runs.len());
    for run in runs {
        let rows = run.rows()?;
        // As large as it can become: a vector that grows is copied, and the memory of each size cleared.
        drop(out.try_reserve_exact(rows.get_array_memory_size()));
        if rows.num_rows() == 0 {
            continue;
        }
        let offset = out.len();
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
        let mut writer = StreamWriter::try_new_with_options(&mut out, &rows.schema(), options)?;
        writer.write(rows)?;
        writer.finish()?;
        drop(writer);
        let groups = run.key_groups()?.values();
        stored.push(StoredRun {
            uid: run.uid.clone(),
            table: run.table.clone(),
            file: file.to_string(),
            offset: offset as u64,
            length: (out.len() - offset) as u64,
            crc32: crc32fast::hash(&out[offset..]),
            rows: rows.num_rows() as u64,
            first_key_group: groups.iter().copied().min().unwrap_or(0),
            last_key_group: groups.iter().copied().max().unwrap_or(0),
        });
    }
    Ok((out.into(), stored))
}

fn corrupt(stored: &StoredRun, why: &str) -> Error {
    Error::data(format!("state file '{}' is corrupt: {why}", stored.file)).with("file", &stored.file)
}

/// The bytes of one run in a file's content, checked.
pub(crate) fn slice<'a>(content: &'a [u8], stored: &StoredRun) -> Result<&'a [u8]> {
    let corrupt = |why: &str| corrupt(stored, why);
    if content.len() < HEADER || &content[..8] != MAGIC {
        return Err(corrupt("it does not start as one"));
    }
    let mut version = [0u8; 4];
    version.copy_from_slice(&content[8..12]);
    let version = u32::from_le_bytes(version);
    if version != STATE_FILE_VERSION {
        return Err(Error::user(format!(
            "state file '{}' has format version {version}; this build reads version {STATE_FILE_VERSION}",
            stored.file
        ))
        .hint("Use the build of Flott that wrote it"));
    }
    if content[12..HEADER].iter().any(|b| *b != 0) {
        return Err(corrupt("its header does not fit"));
    }
    let end = stored.offset.checked_add(stored.length).ok_or_else(|| corrupt("a run's place is wrong"))?;
    let bytes = usize::try_from(stored.offset)
        .ok()
        .zip(usize::try_from(end).ok())
        .and_then(|(a, b)| content.get(a..b))
        .ok_or_else(|| corrupt("it is shorter than the manifest says"))?;
    if crc32fast::hash(bytes) != stored.crc32 {
        return Err(corrupt("a checksum does not fit"));
    }
    Ok(bytes)
}

/// Reads one run out of a file's content, checked, cut to `key_groups`. `None` where nothing is left.
pub fn decode(content: &[u8], stored: &StoredRun, key_groups: std::ops::Range<u16>) -> Result<Option<Arc<StateRun>>> {
    let bytes = slice(content, stored)?;
    let corrupt = |why: &str| corrupt(stored, why);
    let (schema, batches) = ipc::read(bytes).map_err(|why| corrupt(&format!("it is not Arrow IPC: {why}")))?;
    let rows = with_nullable_keys(&arrow_select::concat::concat_batches(&schema, &batches)?)?;
    let key_group = StateRun::key_group_field();
    if rows
        .schema()
        .fields()
        .first()
        .is_none_or(|f| (f.name(), f.data_type()) != (key_group.name(), key_group.data_type()))
    {
        return Err(corrupt("a run does not start with key groups"));
    }
    let whole = key_groups.contains(&stored.first_key_group) && key_groups.contains(&stored.last_key_group);
    if whole {
        return (rows.num_rows() > 0).then(|| StateRun::named(&stored.uid, &stored.table, rows)).transpose();
    }
    let run = StateRun::named(&stored.uid, &stored.table, rows)?;
    let keep: BooleanArray = run.key_groups()?.values().iter().map(|g| Some(key_groups.contains(g))).collect();
    let cut = arrow_select::filter::filter_record_batch(run.rows()?, &keep)?;
    if cut.num_rows() == 0 {
        return Ok(None);
    }
    StateRun::seal(&stored.table, cut).map(Some)
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, RecordBatch, UInt16Array};
    use arrow_schema::{DataType, Field, Schema};
    use flott_core::ErrorKind;

    use super::*;

    fn run(n: u16) -> Arc<StateRun> {
        let schema = Schema::new(vec![StateRun::key_group_field(), Field::new("v", DataType::Int64, true)]);
        let rows = RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(UInt16Array::from_iter_values(0..n)),
                Arc::new(Int64Array::from_iter_values((0..i64::from(n)).map(|v| v * 3))),
            ],
        )
        .expect("a batch");
        StateRun::seal("t", rows).expect("a run")
    }

    #[test]
    fn runs_come_back_whole_and_cut() {
        let runs = [run(10), run(100)];
        let (content, stored) = encode("f", &runs).expect("encodes");
        let whole = decode(&content, &stored[1], 0..128).expect("decodes").expect("rows");
        let rows = runs[1].rows().expect("rows");
        assert_eq!((&whole.uid, whole.rows().expect("rows")), (&runs[1].uid, rows));
        let cut = decode(&content, &stored[1], 50..128).expect("decodes").expect("rows");
        assert_eq!(cut.rows().expect("rows"), &rows.slice(50, 50));
        assert_ne!(cut.uid, runs[1].uid);
        assert!(decode(&content, &stored[0], 50..128).expect("decodes").is_none());
    }

    #[test]
    fn no_flipped_bit_is_ever_restored() {
        let (content, stored) = encode("f", &[run(50)]).expect("encodes");
        for i in (0..content.len() * 8).step_by(7) {
            let mut b = content.to_vec();
            b[i / 8] ^= 1 << (i % 8);
            assert!(decode(&b, &stored[0], 0..128).is_err(), "bit {i}");
        }
        assert!(decode(&content[..content.len() - 1], &stored[0], 0..128).is_err());
    }

    /// A checksum that fits says who has written a file, and nothing of what a build of then has written.
    #[test]
    fn what_is_no_run_behind_a_checksum_that_fits_is_refused() {
        let (content, stored) = encode("f", &[run(50)]).expect("encodes");
        let at = stored[0].offset as usize;
        for i in 0..content.len() - at {
            for change in [0x01, 0x80, 0xff] {
                let mut damaged = content[..at + stored[0].length as usize].to_vec();
                let Some(byte) = damaged.get_mut(at + i) else { continue };
                *byte ^= change;
                let crc32 = crc32fast::hash(&damaged[at..]);
                let decoded = decode(&damaged, &StoredRun { crc32, ..stored[0].clone() }, 0..50);
                assert!(decoded.is_ok() || decoded.is_err_and(|e| e.kind() != ErrorKind::Internal), "byte {i}");
            }
        }
    }
}
