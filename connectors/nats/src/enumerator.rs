//! Asks where reading begins and ends, and gives each part of a stream to its reader.
//!
//! A table names its streams and subjects, so nothing new is ever found: one look, beside the coordinator, is all. What a
//! table names in addition after a restore is read from its beginning.

use std::collections::BTreeSet;
use std::sync::Arc;

use flott_connector::Versioned;
use flott_connector::source::{CallOutput, EnumeratorContext, SourceSplit, SplitEnumerator};
use flott_connector::stored::{check_version, from_json, to_json};
use flott_core::{CheckpointId, Error, Result};
use serde::{Deserialize, Serialize};

use crate::positions::{self, Bounded, Startup};
use crate::scan::Scan;
use crate::split::{StreamSplit, id_of};

/// Version of the stored state.
const VERSION: u32 = 1;

/// The stored form.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// All parts of which it is known where they begin, by their ids.
    found: BTreeSet<String>,
    /// Those that no reader has got yet.
    pending: Vec<StreamSplit>,
}

pub(crate) struct StreamEnumerator {
    scan: Arc<Scan>,
    state: State,
    /// This is a fresh start: parts begin where the options say.
    is_fresh: bool,
    /// All parts are found.
    complete: bool,
    /// Readers that know that nothing follows.
    told: BTreeSet<usize>,
}

impl StreamEnumerator {
    pub(crate) fn new(scan: Arc<Scan>, restored: Option<Versioned>) -> Result<StreamEnumerator> {
        let is_fresh = restored.is_none();
        let state = match restored {
            None => State::default(),
            Some(stored) => {
                check_version(&stored, VERSION, "state of a NATS enumerator")?;
                let state: State = from_json(&stored.bytes, "state of a NATS enumerator")?;
                check_parts(&scan, &state)?;
                state
            }
        };
        // A checkpoint before the first look knows nothing.
        let is_fresh = is_fresh || state.found.is_empty();
        Ok(StreamEnumerator { scan, state, is_fresh, complete: false, told: BTreeSet::new() })
    }

    /// Gives out what waits for readers that are there.
    fn serve(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        let mut given: Vec<Vec<SourceSplit>> = vec![vec![]; context.parallelism];
        let mut kept = vec![];
        for split in std::mem::take(&mut self.state.pending) {
            let place = parts(&self.scan).position(|(s, f)| s == split.stream && f == split.subject.as_deref());
            let owner = place.unwrap_or(0) % context.parallelism.max(1);
            match given.get_mut(owner) {
                Some(splits) if context.readers.contains(&owner) => splits.push(split.to_split()?),
                _ => kept.push(split),
            }
        }
        self.state.pending = kept;
        for (reader, splits) in given.into_iter().enumerate().filter(|(_, s)| !s.is_empty()) {
            context.assign(reader, splits);
        }
        if self.scan.bounded != Bounded::Unbounded && self.complete {
            for reader in context.readers.clone() {
                if self.told.insert(reader) {
                    context.no_more_splits(reader);
                }
            }
        }
        Ok(())
    }
}

fn parts(scan: &Scan) -> impl Iterator<Item = (&str, Option<&str>)> {
    scan.streams.iter().flat_map(|stream| scan.subjects.iter().map(move |s| (stream.as_str(), s.as_deref())))
}

/// A checkpoint has positions in what the table does not name any more: to read on there, or to leave the rest, would both be
/// a surprise.
fn check_parts(scan: &Scan, state: &State) -> Result<()> {
    let named: BTreeSet<String> = parts(scan).map(|(stream, subject)| id_of(stream, subject)).collect();
    match state.found.difference(&named).next() {
        None => Ok(()),
        Some(part) => Err(Error::user(format!(
            "The checkpoint has a position in '{part}' (stream and subject), which the table '{}' does not name any more",
            scan.table
        ))
        .with("option", "subject")
        .hint("Put it back into 'stream' and 'subject', or start over with --fresh")),
    }
}

impl SplitEnumerator for StreamEnumerator {
    fn start(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        let new: Vec<(String, Option<String>)> = parts(&self.scan)
            .filter(|(stream, subject)| !self.state.found.contains(&id_of(stream, *subject)))
            .map(|(stream, subject)| (stream.to_string(), subject.map(str::to_string)))
            .collect();
        if new.is_empty() {
            self.complete = true;
            return Ok(());
        }
        let scan = Arc::clone(&self.scan);
        let startup = if self.is_fresh { scan.startup } else { Startup::Earliest };
        context.call_async(async move {
            let connection = scan.access.connect().await?;
            let mut splits = vec![];
            for stream in &scan.streams {
                let subjects: Vec<Option<String>> =
                    new.iter().filter(|(s, _)| s == stream).map(|(_, subject)| subject.clone()).collect();
                if !subjects.is_empty() {
                    splits.extend(positions::resolve(&connection, stream, &subjects, startup, scan.bounded).await?);
                }
            }
            Ok::<_, Error>(splits)
        });
        Ok(())
    }

    fn handle_call(&mut self, output: CallOutput, context: &mut EnumeratorContext) -> Result<()> {
        let Ok(answer) = output.downcast::<Result<Vec<StreamSplit>>>() else {
            return Err(Error::internal("an answer to something that was not asked"));
        };
        for split in (*answer)? {
            self.state.found.insert(split.id());
            if !split.is_finished() {
                self.state.pending.push(split);
            }
        }
        self.complete = true;
        self.serve(context)
    }

    fn add_reader(&mut self, _reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.serve(context)
    }

    fn handle_split_request(&mut self, _reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.serve(context)
    }

    fn add_splits_back(&mut self, splits: Vec<SourceSplit>, context: &mut EnumeratorContext) -> Result<()> {
        for split in splits {
            self.state.pending.push(StreamSplit::decode(&split.data)?);
        }
        self.serve(context)
    }

    fn snapshot_state(&mut self, _checkpoint: CheckpointId) -> Result<Versioned> {
        Ok(Versioned::new(VERSION, to_json(&self.state)?))
    }
}
