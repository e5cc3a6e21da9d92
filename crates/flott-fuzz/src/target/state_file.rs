//! State files. The first bytes say which key groups are wanted, the rest is a run; its checksum fits, since damage behind
//! a checksum that does not is seen by tests of its own.

use flott_core::ChangeBatch;
use flott_state::manifest::StoredRun;
use flott_state::snapshot_file::{decode, encode};

use crate::rows;

const HEADER: usize = 64;
const VERSION: u32 = 1;

pub(crate) fn run(data: &[u8]) {
    let [first, wanted, bytes @ ..] = data else { return };
    let mut content = vec![0u8; HEADER];
    content[..8].copy_from_slice(b"FLOTTRUN");
    content[8..12].copy_from_slice(&VERSION.to_le_bytes());
    content.extend_from_slice(bytes);
    let stored = StoredRun {
        uid: "u".into(),
        table: "t".into(),
        file: "f".into(),
        offset: HEADER as u64,
        length: bytes.len() as u64,
        crc32: crc32fast::hash(bytes),
        rows: 1,
        first_key_group: u16::from(*first),
        last_key_group: 127,
    };
    let whole = rows::given(decode(&content, &stored, 0..128)).flatten();
    let part = rows::given(decode(&content, &stored, 0..u16::from(*wanted))).flatten();
    let rows_of = |run: &flott_state::StateRun| rows::given(run.rows().cloned());
    if let (Some(whole), Some(part)) = (&whole, &part)
        && let (Some(whole), Some(part)) = (rows_of(whole), rows_of(part))
    {
        assert!(part.num_rows() <= whole.num_rows(), "a part is more than the whole");
    }
    let Some(whole) = whole else { return };
    let Some(rows) = rows_of(&whole) else { return };
    let Some((file, entries)) = rows::given(encode("f", &[whole])) else { return };
    if entries.iter().any(|e| e.last_key_group == u16::MAX) {
        // There is no such key group: a range has none behind it.
        return;
    }
    let entry = entries.first().unwrap_or_else(|| panic!("a run with rows is left out"));
    let again = decode(&file, entry, 0..u16::MAX).unwrap_or_else(|e| panic!("a run cannot be read again: {e}"));
    let again = again.unwrap_or_else(|| panic!("a run is empty once it was written"));
    let again = rows_of(&again).unwrap_or_else(|| panic!("a run has no rows once it was written"));
    rows::same(&ChangeBatch::append(rows), &ChangeBatch::append(again), "a run that is written again");
}
