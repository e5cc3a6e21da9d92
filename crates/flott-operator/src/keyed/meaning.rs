//! What stored state stands for, beside what it is: a query that has changed is refused where its state would mean
//! something else than what was stored.
//!
//! It stands behind the operator's own bytes of a snapshot's `meta`: for each part the lengths of its name and its text
//! (4 bytes each, little-endian), then both as UTF-8. State without it was written before there was one.

use flott_core::{Error, Result};
use flott_graph::StateMeaning;
use flott_state::{OperatorSnapshot, RestoredState};

/// Puts it behind the operator's own bytes.
pub(crate) fn seal(mut snapshot: OperatorSnapshot, meaning: &StateMeaning) -> OperatorSnapshot {
    for (name, text) in &meaning.parts {
        snapshot.meta.extend((name.len() as u32).to_le_bytes());
        snapshot.meta.extend((text.len() as u32).to_le_bytes());
        snapshot.meta.extend(name.as_bytes());
        snapshot.meta.extend(text.as_bytes());
    }
    snapshot
}

/// What was stored, with the operator's own bytes alone (`own` of them): it must mean what it means now.
pub(crate) fn open(mut state: RestoredState, own: usize, meaning: &StateMeaning, name: &str) -> Result<RestoredState> {
    let mut changes = vec![];
    for meta in &mut state.metas {
        let stored = meta.split_off(own.min(meta.len()));
        let mut rest = stored.as_slice();
        while !rest.is_empty() {
            let damaged = || Error::internal(format!("the stored meaning of '{name}' is cut off"));
            let (part, was, next) = part(rest).ok_or_else(damaged)?;
            if let Some((_, is)) = meaning.parts.iter().find(|p| p.0 == part && p.1 != was) {
                let change = format!("{part}: [{was}] before, [{is}] now");
                if !changes.contains(&change) {
                    changes.push(change);
                }
            }
            rest = next;
        }
    }
    if changes.is_empty() || state.runs.is_empty() {
        return Ok(state);
    }
    Err(Error::user(format!("the stored state of '{name}' is of another query ({})", changes.join("; ")))
        .hint("The query has changed: restore with the script that wrote it, or start over with --fresh"))
}

/// The name of the first part, its text, and what stands behind it.
fn part(bytes: &[u8]) -> Option<(&str, &str, &[u8])> {
    let (name_len, bytes) = bytes.split_first_chunk::<4>()?;
    let (text_len, bytes) = bytes.split_first_chunk::<4>()?;
    let (name, bytes) = bytes.split_at_checked(u32::from_le_bytes(*name_len) as usize)?;
    let (text, bytes) = bytes.split_at_checked(u32::from_le_bytes(*text_len) as usize)?;
    Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(text).ok()?, bytes))
}
