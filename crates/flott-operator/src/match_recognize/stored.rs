//! The stored form of a partition's runs: one binary value, with rows by their ids. Paths that share rows share them here.
//!
//! Little-endian: next place (8 bytes); number of steps (4), for each: step before (4, counted from 0, or all ones),
//! variable (2), id of the row (8), place of the row (8); then twice, for open and ended runs: their number (4), for each:
//! state (2), last step (4), start (8), time of the start (8). Runs in the order in which their queue holds them.

use std::collections::HashMap;

use flott_core::{Error, Result};

use super::paths::{NONE, Paths};
use super::queue::Queue;
use super::runs::{Partition, Run};

/// The stored form.
pub(super) fn write(partition: &Partition, paths: &Paths, id_of: impl Fn(u32) -> u64) -> Vec<u8> {
    let runs = || partition.open.items().iter().chain(partition.ended.items());
    let (mut steps, mut places) = (vec![], HashMap::new());
    for run in runs() {
        let mut branch = vec![];
        let mut at = run.path;
        while at != NONE && !places.contains_key(&at) {
            branch.push(at);
            at = paths.step(at).before;
        }
        for at in branch.into_iter().rev() {
            places.insert(at, steps.len() as u32);
            steps.push(at);
        }
    }
    let place = |at: u32| places.get(&at).copied().unwrap_or(NONE);
    let mut out = partition.next.to_le_bytes().to_vec();
    out.extend((steps.len() as u32).to_le_bytes());
    for at in steps {
        let step = paths.step(at);
        out.extend(place(step.before).to_le_bytes());
        out.extend(step.variable.to_le_bytes());
        out.extend(id_of(step.slot).to_le_bytes());
        out.extend(step.sequence.to_le_bytes());
    }
    for queue in [&partition.open, &partition.ended] {
        out.extend((queue.len() as u32).to_le_bytes());
        for run in queue.items() {
            out.extend(run.state.to_le_bytes());
            out.extend(place(run.path).to_le_bytes());
            out.extend(run.start.to_le_bytes());
            out.extend(run.start_ms.to_le_bytes());
        }
    }
    out
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or_else(|| Error::internal("the stored runs of a pattern end too early"))?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.bytes()?))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }
}

/// Reads runs into a partition. `slot_of` finds a row by its id; `states` is how many the pattern has.
pub(super) fn read(
    bytes: &[u8],
    partition: &mut Partition,
    paths: &mut Paths,
    states: usize,
    slot_of: impl Fn(u64) -> Option<u32>,
) -> Result<()> {
    let damaged = || {
        Error::user("the stored runs of a pattern do not fit to it")
            .hint("The pattern has changed: restore with the script that wrote it, or start over with --fresh")
    };
    let mut reader = Reader(bytes);
    partition.next = reader.u64()?;
    let mut steps: Vec<u32> = vec![];
    for _ in 0..reader.u32()? {
        let before = match reader.u32()? {
            NONE => NONE,
            before => *steps.get(before as usize).ok_or_else(damaged)?,
        };
        let (variable, id, sequence) = (reader.u16()?, reader.u64()?, reader.u64()?);
        let slot = slot_of(id).ok_or_else(|| Error::internal(format!("row {id} of a stored run is missing")))?;
        steps.push(paths.extend(before, variable, slot, sequence));
    }
    for ended in [false, true] {
        let mut runs = vec![];
        for _ in 0..reader.u32()? {
            let state = reader.u16()?;
            let path = match reader.u32()? {
                NONE => NONE,
                at => *steps.get(at as usize).ok_or_else(damaged)?,
            };
            if state as usize >= states {
                return Err(damaged());
            }
            let (start, start_ms) = (reader.u64()?, i64::from_le_bytes(reader.bytes()?));
            paths.take(path);
            runs.push(Run { state, path, start, start_ms });
        }
        let queue = Queue::of(runs);
        if ended {
            partition.ended = queue;
        } else {
            partition.open = queue;
        }
    }
    Ok(())
}
