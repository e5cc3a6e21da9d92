//! What stored state stands for, beside what it is: a query that has changed is refused where its state would mean
//! something else than what was stored.
//!
//! It stands behind the operator's own bytes of a snapshot's `meta`: for each part the lengths of its name and its text
//! (4 bytes each, little-endian), then both as UTF-8. State without it was written before there was one.

use flott_core::{Error, Result};
use flott_graph::meaning::COLUMNS;
use flott_graph::{Node, OperatorSpec, OverArrival, StateMeaning};
use flott_state::{OperatorSnapshot, RestoredState};

use crate::window::aggregate::RestoredProgress;

/// Puts it behind the operator's own bytes. Where nothing is stored there is nothing that could mean something else.
pub(crate) fn seal(mut snapshot: OperatorSnapshot, meaning: &StateMeaning) -> OperatorSnapshot {
    if snapshot.runs.is_empty() {
        return snapshot;
    }
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
    let changes = changes(state.metas.iter().map(Vec::as_slice), own, meaning, name)?;
    for meta in &mut state.metas {
        meta.truncate(own);
    }
    if changes.is_empty() || state.runs.is_empty() {
        return Ok(state);
    }
    Err(of_another_query(&changes, name))
}

/// Refuses state of another query before the operator is there to be restored: `metas` are those that all its subtasks have
/// stored. What only a part of the operators know of themselves is asked again when they are restored.
///
/// # Errors
/// What has changed; metas that are cut off.
pub fn check<'m>(node: &Node, metas: impl IntoIterator<Item = &'m [u8]>) -> Result<()> {
    let (own, meaning) = match &node.spec {
        OperatorSpec::GroupAggregate(s) | OperatorSpec::GlobalGroupAggregate(s) => {
            (size_of::<i64>(), s.meaning.clone())
        }
        OperatorSpec::WindowAggregate(s) | OperatorSpec::GlobalWindowAggregate(s) => {
            (RestoredProgress::BYTES, s.meaning.clone())
        }
        OperatorSpec::Match(s) => (size_of::<i64>(), s.meaning.clone()),
        OperatorSpec::OverAggregate(s) => match s.arrival {
            OverArrival::Time(_) => (size_of::<i64>(), s.meaning.without(&[COLUMNS])),
            OverArrival::Anywhere => (0, s.meaning.clone()),
            OverArrival::AtEnd => (0, s.meaning.only(&[COLUMNS])),
        },
        _ => return Ok(()),
    };
    let changes = changes(metas, own, &meaning, &node.name)?;
    if changes.is_empty() { Ok(()) } else { Err(of_another_query(&changes, &node.name)) }
}

/// What a stored meaning says otherwise than the one now, behind the operator's own bytes.
fn changes<'m>(
    metas: impl IntoIterator<Item = &'m [u8]>,
    own: usize,
    meaning: &StateMeaning,
    name: &str,
) -> Result<Vec<String>> {
    let mut changes = vec![];
    for meta in metas {
        let mut rest = meta.get(own..).unwrap_or_default();
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
    Ok(changes)
}

fn of_another_query(changes: &[String], name: &str) -> Error {
    Error::user(format!("the stored state of '{name}' is of another query ({})", changes.join("; ")))
        .hint("The query has changed: restore with the script that wrote it, or start over with --fresh")
}

/// The name of the first part, its text, and what stands behind it.
fn part(bytes: &[u8]) -> Option<(&str, &str, &[u8])> {
    let (name_len, bytes) = bytes.split_first_chunk::<4>()?;
    let (text_len, bytes) = bytes.split_first_chunk::<4>()?;
    let (name, bytes) = bytes.split_at_checked(u32::from_le_bytes(*name_len) as usize)?;
    let (text, bytes) = bytes.split_at_checked(u32::from_le_bytes(*text_len) as usize)?;
    Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(text).ok()?, bytes))
}
