//! Finds partitions, asks where reading begins and ends, and gives each partition to its reader.
//!
//! What is found at the first look begins where the options say; what appears later is read from its beginning, since it
//! has been empty then. Asking goes on beside the coordinator.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use flott_connector::Versioned;
use flott_connector::source::{CallOutput, EnumeratorContext, SourceSplit, SplitEnumerator};
use flott_connector::stored::{check_version, from_json, to_json};
use flott_core::{CheckpointId, DecidedCheckpoint, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::client::{self, blocking};
use crate::group::Positions;
use crate::native;
use crate::offsets::{self, Bounded, Range, Startup};
use crate::scan::Scan;
use crate::split::PartitionSplit;

/// Version of the stored state.
const VERSION: u32 = 1;

/// The stored form.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// All partitions that were found, given out or not.
    found: BTreeSet<(String, i32)>,
    /// Those that no reader has got yet.
    pending: Vec<PartitionSplit>,
    /// The first look is done.
    looked: bool,
    /// The topics' ids, as far as the cluster has told them: a topic that was made anew has another. Older states have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    ids: BTreeMap<String, String>,
    /// Splits that were read to their end, and where that was: no reader holds them, and the group has to hear of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    ended: BTreeMap<String, i64>,
    /// Where splits end that were given out or wait for that. Where one was read to its end between this state's and its reader's
    /// part of a checkpoint, it is in neither, and after a restore nobody says so. Older states have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    ends: BTreeMap<String, i64>,
}

impl State {
    /// Where the group is to go on after a checkpoint: behind what readers `held` in it, and at the end of what they held no more.
    /// `is_covered`: the split was with its reader, or behind it, in that checkpoint.
    fn positions(&self, held: Positions, is_covered: impl Fn(&str) -> bool) -> Positions {
        let pending: BTreeSet<String> = self.pending.iter().map(PartitionSplit::id).collect();
        let ends = self.ends.iter().filter(|(id, _)| !pending.contains(*id));
        // What a reader has said of its end is nearer than where that was to be.
        let over = ends.chain(&self.ended).filter(|(id, _)| is_covered(id));
        let mut positions: Positions = over.filter_map(|(id, offset)| Some((place(id)?, *offset))).collect();
        positions.extend(held);
        positions
    }
}

pub(crate) struct PartitionEnumerator {
    scan: Arc<Scan>,
    state: State,
    /// A look is under way.
    looking: bool,
    /// This attempt has looked.
    has_looked: bool,
    /// Readers that know that nothing follows.
    told: BTreeSet<usize>,
    /// The last checkpoint that was begun, and those behind which this attempt has given splits to readers.
    last_snapshot: CheckpointId,
    given_behind: HashMap<String, CheckpointId>,
}

/// New partitions, and the ids of all topics.
type Answer = Result<(Vec<Range>, BTreeMap<String, String>)>;

impl PartitionEnumerator {
    pub(crate) fn new(scan: Arc<Scan>, restored: Option<Versioned>) -> Result<PartitionEnumerator> {
        let state = match restored {
            None => State::default(),
            Some(stored) => {
                check_version(&stored, VERSION, "state of a Kafka enumerator")?;
                let state: State = from_json(&stored.bytes, "state of a Kafka enumerator")?;
                check_topics(&scan, &state)?;
                state
            }
        };
        Ok(PartitionEnumerator {
            scan,
            state,
            looking: false,
            has_looked: false,
            told: BTreeSet::new(),
            last_snapshot: CheckpointId(0),
            given_behind: HashMap::new(),
        })
    }

    fn is_bounded(&self) -> bool {
        self.scan.bounded != Bounded::Unbounded
    }

    fn look(&mut self, context: &mut EnumeratorContext) {
        if std::mem::replace(&mut self.looking, true) {
            return;
        }
        let (scan, known) = (Arc::clone(&self.scan), self.state.found.clone());
        // A source that ends has found all that it reads.
        let finds_new = !(self.is_bounded() && self.state.looked);
        let startup = if self.state.looked { Startup::Earliest } else { scan.startup.clone() };
        context.call_async(async move {
            let found: Answer = match blocking(move || find(&scan, &known, &startup, finds_new)).await {
                Ok(found) => found,
                Err(e) => Err(e),
            };
            found
        });
    }

    /// Positions in a topic that was made anew mean nothing, also where it has as many records by now.
    fn check_ids(&mut self, ids: BTreeMap<String, String>) -> Result<()> {
        for (topic, id) in ids {
            let read = self.state.found.iter().any(|(t, _)| *t == topic);
            match self.state.ids.get(&topic) {
                Some(known) if *known != id && read => {
                    return Err(Error::data(format!(
                        "The topic '{topic}' was removed and made anew: the positions that were reached in it mean nothing now"
                    ))
                    .with("topic", topic)
                    .hint("Start over with --fresh, or name another topic")
                    .from_outside());
                }
                _ => drop(self.state.ids.insert(topic, id)),
            }
        }
        Ok(())
    }

    /// Gives out what waits for readers that are there.
    fn serve(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        let mut kept = vec![];
        let mut given: Vec<Vec<SourceSplit>> = vec![vec![]; context.parallelism];
        for split in std::mem::take(&mut self.state.pending) {
            let owner = split.owner(context.parallelism);
            match given.get_mut(owner) {
                Some(splits) if context.readers.contains(&owner) => {
                    self.given_behind.insert(split.id(), self.last_snapshot);
                    splits.push(split.to_split()?);
                }
                _ => kept.push(split),
            }
        }
        self.state.pending = kept;
        for (reader, splits) in given.into_iter().enumerate().filter(|(_, s)| !s.is_empty()) {
            context.assign(reader, splits);
        }
        if self.is_bounded() && self.state.looked && self.has_looked {
            for reader in context.readers.clone() {
                if self.told.insert(reader) {
                    context.no_more_splits(reader);
                }
            }
        }
        Ok(())
    }
}

/// A checkpoint has positions in topics that the table does not name any more: to read on there, or to leave their rest, would
/// both be a surprise. Topics that the table names in addition are read from their beginning.
fn check_topics(scan: &Scan, state: &State) -> Result<()> {
    match state.found.iter().find(|(topic, _)| !scan.topics.contains(topic)) {
        None => Ok(()),
        Some((topic, _)) => Err(Error::user(format!(
            "The checkpoint has positions in the topic '{topic}', which the table '{}' does not name any more",
            scan.table
        ))
        .with("option", "topic")
        .hint("Put it back into 'topic' or 'topic-pattern', or start over with --fresh")),
    }
}

/// Topic and partition of a split's id.
fn place(id: &str) -> Option<(String, i32)> {
    let (topic, partition) = id.rsplit_once(':')?;
    Some((topic.to_string(), partition.parse().ok()?))
}

/// Looks for partitions that are not known. Blocks.
fn find(scan: &Scan, known: &BTreeSet<(String, i32)>, startup: &Startup, finds_new: bool) -> Answer {
    let group = scan.properties.get("group.id");
    let consumer = client::consumer(&scan.properties, group)?;
    let mut new = vec![];
    let topics = match scan.topics.partitions(&consumer, &scan.properties) {
        // It may have read a topic to its end that is gone by now.
        Err(_) if !finds_new => vec![],
        topics => topics?,
    };
    let names: Vec<String> = topics.iter().map(|(name, _)| name.clone()).collect();
    let ids = native::topic_ids(&consumer, &names);
    for (topic, partitions) in topics.into_iter().filter(|_| finds_new) {
        new.extend((0..partitions).map(|p| (topic.clone(), p)).filter(|place| !known.contains(place)));
    }
    let ranges = offsets::resolve(&consumer, &scan.properties, &new, startup, &scan.bounded);
    client::end_aside(consumer);
    Ok((ranges?, ids))
}

impl SplitEnumerator for PartitionEnumerator {
    fn start(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        // What a bounded source reads is found out once. One that goes on looks again after a restore, but nobody has to wait
        // for that: see `add_reader`.
        if !self.state.looked {
            self.look(context);
        } else if self.is_bounded() {
            self.has_looked = true;
            self.look(context);
        }
        Ok(())
    }

    fn handle_call(&mut self, output: CallOutput, context: &mut EnumeratorContext) -> Result<()> {
        let Ok(answer) = output.downcast::<Answer>() else {
            return Err(Error::internal("an answer to something that was not asked"));
        };
        self.looking = false;
        match *answer {
            Ok((ranges, ids)) => {
                self.check_ids(ids)?;
                for range in ranges {
                    self.state.found.insert((range.topic.clone(), range.partition));
                    let split = PartitionSplit::of(range);
                    if !split.is_finished() {
                        if let Some(end) = split.end {
                            self.state.ends.insert(split.id(), end);
                        }
                        self.state.pending.push(split);
                    } else if self.scan.group.is_some() && self.scan.bounded.names(split.partition) {
                        // Nothing is to be read, and the group goes on there.
                        self.state.ended.insert(split.id(), split.offset);
                    }
                }
                self.state.looked = true;
            }
            // The next look may go well; what is being read goes on meanwhile.
            Err(error) if self.state.looked && error.kind() == ErrorKind::Unavailable => {
                tracing::warn!(%error, "new partitions cannot be looked for just now");
            }
            Err(error) => return Err(error),
        }
        self.has_looked = true;
        self.serve(context)
    }

    fn discovery_interval(&self) -> Option<Duration> {
        self.scan.discovery.filter(|_| !self.is_bounded())
    }

    fn discover(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        self.look(context);
        Ok(())
    }

    fn add_reader(&mut self, _reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        if self.state.looked && !self.has_looked {
            self.look(context);
        }
        self.serve(context)
    }

    fn handle_split_request(&mut self, _reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.serve(context)
    }

    fn add_splits_back(&mut self, splits: Vec<SourceSplit>, context: &mut EnumeratorContext) -> Result<()> {
        for split in splits {
            self.state.pending.push(PartitionSplit::decode(&split.data)?);
        }
        self.serve(context)
    }

    /// A reader has read a split to its end.
    fn handle_source_event(
        &mut self,
        _reader: usize,
        event: Versioned,
        _context: &mut EnumeratorContext,
    ) -> Result<()> {
        let split = PartitionSplit::decode(&event)?;
        self.state.ended.insert(split.id(), split.offset);
        Ok(())
    }

    /// A split that no reader held in the checkpoint has ended before it, unless it waits or was given out behind it.
    fn notify_checkpoint_complete(
        &mut self,
        checkpoint: &DecidedCheckpoint,
        splits: &[SourceSplit],
        context: &mut EnumeratorContext,
    ) -> Result<()> {
        let Some(group) = &self.scan.group else { return Ok(()) };
        let is_covered = |id: &str| self.given_behind.get(id).is_none_or(|behind| *behind < checkpoint.id());
        let mut held = Positions::new();
        for split in splits {
            let split = PartitionSplit::decode(&split.data)?;
            held.insert((split.topic, split.partition), split.offset);
        }
        if let Some(committing) = group.take(self.state.positions(held, is_covered)) {
            context.acknowledge(committing.run());
        }
        Ok(())
    }

    fn snapshot_state(&mut self, checkpoint: CheckpointId) -> Result<Versioned> {
        self.last_snapshot = checkpoint;
        Ok(Versioned::new(VERSION, to_json(&self.state)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(partition: i32, end: Option<i64>) -> PartitionSplit {
        PartitionSplit::of(Range { topic: "t".into(), partition, start: 0, end })
    }

    fn positions(of: &[(i32, i64)]) -> Positions {
        of.iter().map(|(partition, offset)| (("t".to_string(), *partition), *offset)).collect()
    }

    /// As a restore leaves it: 0 came to its end between the two parts of the checkpoint, 1 is held, 2 waits, 3 has said where its
    /// end was, and 4 was given out behind the checkpoint.
    #[test]
    fn a_split_that_nobody_holds_any_more_has_ended() {
        let ends = (0..5).map(|partition| (split(partition, Some(9)).id(), 9)).collect();
        let ended = BTreeMap::from([(split(3, None).id(), 7)]);
        let state = State { pending: vec![split(2, Some(9))], ended, ends, ..State::default() };
        let stored = to_json(&state).expect("stored");
        let state: State = from_json(&stored, "state").expect("read");
        let found = state.positions(positions(&[(1, 5)]), |id| id != "t:4");
        assert_eq!(found, positions(&[(0, 9), (1, 5), (3, 7)]));
    }

    /// States are read for ever.
    #[test]
    fn an_older_state_has_no_ends() {
        let stored = br#"{"found":[["t",0]],"pending":[],"looked":true,"ended":{"t:0":4}}"#;
        let state: State = from_json(stored, "state").expect("read");
        assert_eq!(state.positions(Positions::new(), |_| true), positions(&[(0, 4)]));
    }
}
