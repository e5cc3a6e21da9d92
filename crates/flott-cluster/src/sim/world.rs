//! What lies outside the job and what must hold there: the checkpoint store, the sinks' targets, the sources' logs.
//!
//! A world is small and copied at every step: names and contents of files are numbers in [`Tables`].

use std::collections::HashMap;
use std::hash::Hash;

use bytes::Bytes;
use flott_state::manifest::{HEAD_VERSION, Head, JobStatus, MANIFEST_VERSION, Manifest};
use flott_state::record;

use super::Sabotage;
use super::gate::{Answer, Condition, Request, tag};

/// Gives equal things the same number.
#[derive(Debug)]
pub(super) struct Table<T> {
    all: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table { all: vec![], numbers: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Table<T> {
    pub(super) fn number(&mut self, thing: T) -> u32 {
        if let Some(number) = self.numbers.get(&thing) {
            return *number;
        }
        let number = self.all.len() as u32;
        self.all.push(thing.clone());
        self.numbers.insert(thing, number);
        number
    }

    pub(super) fn get(&self, number: u32) -> &T {
        &self.all[number as usize]
    }
}

/// What one writer closed: `g<generation>-w<worker>-<number>` of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Output {
    pub(super) sink: u8,
    pub(super) generation: u8,
    pub(super) worker: u8,
    pub(super) number: u8,
}

impl Output {
    pub(super) fn id(self) -> String {
        format!("g{}-w{}-{}", self.generation, self.worker, self.number)
    }

    fn parse(sink: usize, id: &str) -> Output {
        let mut numbers = id.split('-').map(|n| n.trim_start_matches(['g', 'w']).parse().unwrap_or(u8::MAX));
        let mut next = || numbers.next().unwrap_or(u8::MAX);
        Output { sink: sink as u8, generation: next(), worker: next(), number: next() }
    }
}

/// An operation on the outside, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Operation {
    Get(u32),
    List(u32),
    Put(u32, u32, Unless),
    Delete(u32),
    Commit(Output),
    CleanUp { sink: u8, generation: u8 },
}

/// When a put is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Unless {
    Never,
    Absent,
    Is(u32),
}

impl Operation {
    pub(super) fn is_read(self) -> bool {
        matches!(self, Operation::Get(_) | Operation::List(_))
    }
}

/// An answer, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Said {
    Content(Option<u32>),
    Names(u32),
    Done,
    Refused,
    Away,
}

/// What a file says that the model has to know.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Known {
    pub(super) status: Option<JobStatus>,
    committables: Vec<Output>,
}

/// Names, contents and lists of names, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) names: Table<String>,
    pub(super) contents: Table<Bytes>,
    lists: Table<Vec<u32>>,
    tags: HashMap<String, u32>,
    known: Vec<Known>,
}

impl Tables {
    pub(super) fn content(&mut self, content: Bytes) -> u32 {
        let number = self.contents.number(content.clone());
        if number as usize == self.known.len() {
            self.tags.insert(tag(&content), number);
            self.known.push(known(&content));
        }
        number
    }

    pub(super) fn known(&self, content: u32) -> &Known {
        &self.known[content as usize]
    }

    pub(super) fn operation(&mut self, request: Request) -> Operation {
        match request {
            Request::Get(name) => Operation::Get(self.names.number(name)),
            Request::List(name) => Operation::List(self.names.number(name)),
            Request::Put { name, content, condition } => {
                let unless = match condition {
                    Condition::Never => Unless::Never,
                    Condition::UnlessAbsent => Unless::Absent,
                    Condition::Unless(tag) => Unless::Is(self.tags.get(&tag).copied().unwrap_or(u32::MAX)),
                };
                Operation::Put(self.names.number(name), self.content(content), unless)
            }
            Request::Delete(name) => Operation::Delete(self.names.number(name)),
            Request::Commit { sink, id } => Operation::Commit(Output::parse(sink, &id)),
            Request::CleanUp { sink, generation } => {
                Operation::CleanUp { sink: sink as u8, generation: generation as u8 }
            }
        }
    }

    pub(super) fn answer(&self, said: Said) -> Answer {
        match said {
            Said::Content(content) => Answer::Content(content.map(|c| self.contents.get(c).clone())),
            Said::Names(list) => {
                Answer::Names(self.lists.get(list).iter().map(|n| self.names.get(*n).clone()).collect())
            }
            Said::Done => Answer::Done,
            Said::Refused => Answer::Refused,
            Said::Away => Answer::Away,
        }
    }
}

fn known(content: &[u8]) -> Known {
    if let Ok(head) = record::decode::<Head>("head", HEAD_VERSION, "", content) {
        return Known { status: Some(head.status), committables: vec![] };
    }
    let Ok(manifest) = record::decode::<Manifest>("manifest", MANIFEST_VERSION, "", content) else {
        return Known::default();
    };
    let sink = |uid: &str| uid.trim_start_matches("sink").parse().unwrap_or(usize::MAX);
    let outputs =
        manifest.sinks.iter().flat_map(|(uid, s)| s.committables.iter().map(|c| Output::parse(sink(uid), &c.id)));
    Known { status: None, committables: outputs.collect() }
}

/// Rows of one worker's split, from the first to before the second.
pub(super) type Rows = (u8, u8);

/// The outside, at one moment. All lists are sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct World {
    files: Vec<(u32, u32)>,
    /// What writers have closed and nobody has committed.
    staged: Vec<(Output, Rows)>,
    /// What is committed, as long as somebody could commit it again.
    committed: Vec<Output>,
    /// What the readers of each sink see: rows of each worker's split as bits, sink by sink.
    pub(super) visible: Vec<u32>,
    /// Rows before these are gone from the sources' logs.
    pub(super) acknowledged: Vec<u8>,
    /// Writes whose answer was an error and that may still arrive, with the number of the attempt that sent them.
    pub(super) late: Vec<(Operation, u8)>,
}

impl World {
    pub(super) fn new(workers: usize, sinks: usize) -> World {
        World { visible: vec![0; workers * sinks], acknowledged: vec![0; workers], ..World::default() }
    }

    pub(super) fn file(&self, name: u32) -> Option<u32> {
        self.files.binary_search_by_key(&name, |f| f.0).ok().map(|i| self.files[i].1)
    }

    /// Nothing is there but HEAD.
    pub(super) fn is_untouched(&self, head: u32) -> bool {
        let World { files, staged, committed, visible, acknowledged, late } = self;
        files.iter().all(|f| f.0 == head)
            && staged.is_empty()
            && committed.is_empty()
            && late.is_empty()
            && visible.iter().all(|v| *v == 0)
            && acknowledged.iter().all(|a| *a == 0)
    }

    fn put(&mut self, name: u32, content: u32) {
        match self.files.binary_search_by_key(&name, |f| f.0) {
            Ok(i) => self.files[i].1 = content,
            Err(i) => self.files.insert(i, (name, content)),
        }
    }

    pub(super) fn stage(&mut self, output: Output, rows: Rows) -> Result<(), String> {
        match self.staged.binary_search_by_key(&output, |s| s.0) {
            Ok(_) => Err(format!("{} of sink {} is written by two", output.id(), output.sink)),
            Err(i) => {
                self.staged.insert(i, (output, rows));
                Ok(())
            }
        }
    }

    /// Does it. An error is something that must not happen.
    pub(super) fn apply(
        &mut self,
        operation: Operation,
        tables: &mut Tables,
        sabotage: Option<Sabotage>,
    ) -> Result<Said, String> {
        match operation {
            Operation::Get(name) => return Ok(Said::Content(self.file(name))),
            Operation::List(folder) => {
                let folder = format!("{}/", tables.names.get(folder));
                let names = self.files.iter().map(|f| f.0).filter(|n| tables.names.get(*n).starts_with(&folder));
                let names = names.collect();
                return Ok(Said::Names(tables.lists.number(names)));
            }
            Operation::Put(name, content, unless) => {
                let refused = match unless {
                    Unless::Never => false,
                    Unless::Absent => self.file(name).is_some(),
                    Unless::Is(content) => self.file(name) != Some(content),
                };
                if refused {
                    return Ok(Said::Refused);
                }
                self.put(name, content);
            }
            Operation::Delete(name) => self.files.retain(|f| f.0 != name),
            Operation::Commit(output) => self.commit(output)?,
            Operation::CleanUp { sink, generation } => {
                let keeps_own = sabotage != Some(Sabotage::CleansUpWhatIsItsOwn);
                self.staged.retain(|(o, _)| o.sink != sink || (keeps_own && o.generation >= generation));
            }
        }
        Ok(Said::Done)
    }

    fn commit(&mut self, output: Output) -> Result<(), String> {
        let Err(at) = self.committed.binary_search(&output) else { return Ok(()) };
        let Ok(i) = self.staged.binary_search_by_key(&output, |s| s.0) else {
            return Err(format!("{} of sink {} is decided, but somebody has removed it", output.id(), output.sink));
        };
        let (_, (from, to)) = self.staged.remove(i);
        self.committed.insert(at, output);
        let workers = self.acknowledged.len();
        let seen = &mut self.visible[output.sink as usize * workers + output.worker as usize];
        for row in from..to {
            if *seen & (1 << row) != 0 {
                return Err(format!("row {row} of worker {} is visible twice in sink {}", output.worker, output.sink));
            }
            *seen |= 1 << row;
        }
        Ok(())
    }

    /// Forgets output that nobody can commit any more: its attempt is not the one that lives, no manifest names it, and its
    /// name never comes again.
    pub(super) fn forget(&mut self, living: u8, tables: &Tables) {
        let late = &self.late;
        let files = &self.files;
        let can_come = |output: &Output| {
            output.generation == living
                || late.iter().any(|(operation, _)| match operation {
                    Operation::Commit(o) => o == output,
                    Operation::Put(_, content, _) => tables.known(*content).committables.contains(output),
                    _ => false,
                })
                || files.iter().any(|(_, content)| tables.known(*content).committables.contains(output))
        };
        self.staged.retain(|(output, _)| can_come(output));
        self.committed.retain(can_come);
    }

    pub(super) fn acknowledge(&mut self, worker: usize, position: u8) {
        let acknowledged = &mut self.acknowledged[worker];
        *acknowledged = (*acknowledged).max(position);
    }

    /// What a job must not end with.
    pub(super) fn check_end(&self, rows: u8) -> Result<(), String> {
        let workers = self.acknowledged.len();
        match self.visible.iter().position(|seen| *seen != (1 << rows) - 1) {
            None => Ok(()),
            Some(i) => Err(format!(
                "sink {} shows {:#b} of the {rows} rows of worker {} at the end",
                i / workers,
                self.visible[i],
                i % workers
            )),
        }
    }
}
