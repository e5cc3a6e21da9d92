//! Reads the output while the job runs: only what is committed, without asking the job. What it has seen once has to stay, no row may
//! come twice, rows of one key keep their order, and where nothing is being committed there are whole checkpoints.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::ledger::{self, ACKNOWLEDGED, DUPLICATED, Input, NOT_IN_LEDGER, REORDERED, Row, TORN, VANISHED};
use super::process::{pause, until};
use super::servers::{Kind, Server};
use super::{kafka, nats};
use crate::Failure;

const STEP: Duration = Duration::from_millis(20);
/// How long a server may take until it answers again, and what is committed until it is to be seen.
const PATIENCE: Duration = Duration::from_secs(30);
const SHOWN_PATIENCE: Duration = Duration::from_secs(10);
/// How long it is then looked whether it comes at all.
const HEALS_PATIENCE: Duration = Duration::from_secs(20);

/// What is read.
#[derive(Clone)]
pub(super) enum Output {
    Topic {
        address: String,
        name: String,
        partitions: u64,
    },
    Stream {
        address: String,
        name: String,
    },
    /// Folders of tables; the rows of one of them are looked at.
    Files {
        folders: Vec<PathBuf>,
        copies: PathBuf,
    },
}

pub(super) struct Observer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    watch: Mutex<Watch>,
    ends: AtomicBool,
}

/// What was seen so far.
struct Watch {
    reader: Reader,
    input: Arc<Input>,
    /// A partition of the input keeps its order within one of the output.
    is_in_order: bool,
    /// Where each row was.
    rows: HashMap<u64, (String, i64)>,
    /// Of each place, input file and key, the last row.
    last: HashMap<(String, u64, i64), i64>,
    /// Of each partition of the input, how many rows were seen, and up to which.
    seen: Vec<(u64, u64)>,
    /// The first thing that was wrong.
    wrong: Option<Failure>,
    /// Of the process that runs, until it has shown something.
    started: Option<Instant>,
    /// From its start until then.
    shown_after: Option<Duration>,
}

struct Reader {
    output: Output,
    /// Of each partition, or of the stream, what comes next.
    next: Vec<i64>,
    kafka: Option<kafka::Client>,
    nats: Option<(nats::Client, String)>,
    /// Of each folder.
    files: Vec<BTreeSet<String>>,
}

/// A row, and where it was.
struct Seen {
    place: String,
    offset: i64,
    row: String,
}

impl Output {
    pub(super) fn of_log(server: &Server, name: &str, partitions: u64) -> Output {
        let (address, name) = (server.direct.clone(), name.to_string());
        match server.kind {
            Kind::Kafka => Output::Topic { address, name, partitions },
            Kind::Nats => Output::Stream { address, name },
        }
    }
}

impl Reader {
    fn new(output: Output) -> Reader {
        let (next, folders) = match &output {
            Output::Topic { partitions, .. } => (vec![0; *partitions as usize], 0),
            Output::Stream { .. } => (vec![1], 0),
            Output::Files { folders, .. } => (vec![], folders.len()),
        };
        Reader { output, next, kafka: None, nats: None, files: vec![BTreeSet::new(); folders] }
    }

    /// What is new. A server that does not answer is asked anew the next time.
    fn look(&mut self) -> io::Result<Vec<Seen>> {
        let looked = match self.output.clone() {
            Output::Topic { address, name, .. } => self.look_at_topic(&address, &name),
            Output::Stream { address, name } => self.look_at_stream(&address, &name),
            Output::Files { folders, copies } => self.look_at_files(&folders, &copies),
        };
        if looked.is_err() {
            (self.kafka, self.nats) = (None, None);
        }
        looked
    }

    fn look_at_topic(&mut self, address: &str, name: &str) -> io::Result<Vec<Seen>> {
        let client = match &mut self.kafka {
            Some(client) => client,
            none => none.insert(kafka::Client::connect(address)?),
        };
        let mut seen = vec![];
        for fetched in client.fetch(name, &self.next)? {
            self.next[fetched.partition as usize] = fetched.next;
            let place = format!("partition {}", fetched.partition);
            seen.extend(fetched.rows.into_iter().map(|(offset, row)| Seen { place: place.clone(), offset, row }));
        }
        Ok(seen)
    }

    fn look_at_stream(&mut self, address: &str, name: &str) -> io::Result<Vec<Seen>> {
        let (client, reader) = match &mut self.nats {
            Some(reading) => reading,
            none => {
                let mut client = nats::Client::connect(address)?;
                let reader = client.reader(name, self.next[0] as u64)?;
                none.insert((client, reader))
            }
        };
        let mut seen = vec![];
        for message in client.read(name, reader)? {
            let sequence = message.sequence as i64;
            if sequence < self.next[0] {
                continue;
            }
            self.next[0] = sequence + 1;
            // Markers of the job lie in the same stream.
            if message.subject.starts_with(&format!("{name}.")) {
                seen.push(Seen { place: message.subject, offset: sequence, row: message.text });
            }
        }
        Ok(seen)
    }

    fn look_at_files(&mut self, folders: &[PathBuf], copies: &Path) -> io::Result<Vec<Seen>> {
        let mut seen = vec![];
        for (i, folder) in folders.iter().enumerate() {
            // A sink that got no row yet has none.
            let there: BTreeSet<String> = match fs::read_dir(folder) {
                Ok(entries) => entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect(),
                Err(_) => BTreeSet::new(),
            };
            if let Some(gone) = self.files[i].iter().find(|name| !there.contains(*name)) {
                return Err(io::Error::other(format!("{VANISHED}: the file {gone} of {}", folder.display())));
            }
            let is_shown = |name: &&String| !name.starts_with(['.', '_']) && !self.files[i].contains(*name);
            let new: Vec<String> = there.iter().filter(is_shown).cloned().collect();
            for name in new {
                if folder == copies {
                    let text = fs::read_to_string(folder.join(&name))?;
                    let rows = text.lines().enumerate();
                    seen.extend(rows.map(|(n, row)| Seen {
                        place: name.clone(),
                        offset: n as i64,
                        row: row.replace('"', ""),
                    }));
                }
                self.files[i].insert(name);
            }
        }
        Ok(seen)
    }

    /// How many files are shown.
    fn files(&self) -> usize {
        self.files.iter().map(BTreeSet::len).sum()
    }

    /// Whether all that is committed by now has been read.
    fn is_at(&self, ends: &[i64]) -> bool {
        self.next.iter().zip(ends).all(|(next, end)| next >= end)
    }

    /// The ends of what is committed.
    fn ends(&self) -> io::Result<Vec<i64>> {
        match &self.output {
            Output::Topic { address, name, partitions } => {
                let mut client = kafka::Client::connect(address)?;
                (0..*partitions).map(|p| client.end(name, p as i32)).collect()
            }
            Output::Stream { address, name } => {
                Ok(vec![nats::Client::connect(address)?.last(name).map(|last| last as i64 + 1)?])
            }
            Output::Files { .. } => Ok(vec![]),
        }
    }
}

impl Watch {
    fn new(output: Output, input: &Arc<Input>, is_in_order: bool) -> Watch {
        Watch {
            reader: Reader::new(output),
            input: Arc::clone(input),
            is_in_order,
            rows: HashMap::new(),
            last: HashMap::new(),
            seen: vec![(0, 0); input.partitions as usize],
            wrong: None,
            started: None,
            shown_after: None,
        }
    }

    /// Looks once. Whether the output could be read.
    fn look(&mut self) -> bool {
        let files = self.reader.files();
        match self.reader.look() {
            Ok(seen) => {
                let is_new = !seen.is_empty() || self.reader.files() > files;
                if let Some(started) = self.started.take_if(|_| is_new) {
                    self.shown_after = Some(started.elapsed());
                }
                for row in seen {
                    if let Err(e) = self.admit(row) {
                        self.wrong.get_or_insert(e);
                    }
                }
                true
            }
            Err(e) if ledger::is_of_rows(&e.to_string()) => {
                self.wrong.get_or_insert(e.to_string());
                true
            }
            Err(_) => false,
        }
    }

    fn admit(&mut self, Seen { place, offset, row }: Seen) -> Result<(), Failure> {
        let [id, key, _] = ledger::copy(&row)?;
        let number = id as u64;
        let Some((partition, before)) = self.input.place_of(number) else {
            return Err(format!("{NOT_IN_LEDGER}: '{row}' at {offset} of {place}"));
        };
        if let Some((first, at)) = self.rows.insert(number, (place.clone(), offset)) {
            return Err(format!("{DUPLICATED}: row {id} is at {at} of {first} and at {offset} of {place}"));
        }
        let (count, end) = &mut self.seen[partition];
        (*count, *end) = (*count + 1, (*end).max(before + 1));
        if self.is_in_order
            && let Some(last) = self.last.insert((place.clone(), self.input.file_of(number), key), id)
            && last > id
        {
            return Err(format!(
                "{REORDERED}: row {id} of key {key} came out behind row {last}, at {offset} of {place}"
            ));
        }
        Ok(())
    }

    /// Reads until the end that there is now.
    fn catch_up(&mut self) -> Result<(), Failure> {
        let mut ends = None;
        let is_through = until(PATIENCE, || {
            if ends.is_none() {
                ends = self.reader.ends().ok();
            }
            self.look() && ends.as_ref().is_some_and(|ends| self.reader.is_at(ends))
        });
        self.wrong.clone().map_or(Ok(()), Err)?;
        if is_through { Ok(()) } else { Err("the output cannot be read to its end".to_string()) }
    }

    /// Whole checkpoints: of each partition of the input there are the first rows, and none behind one that is not there.
    fn check_epochs(&self) -> Result<(), Failure> {
        if !self.is_in_order {
            return Ok(());
        }
        let torn = self.seen.iter().enumerate().find(|(_, (count, end))| count != end);
        torn.map_or(Ok(()), |(partition, (count, end))| {
            let is_behind = |row: &&Row| {
                let place = self.input.place_of(row.id);
                place.is_some_and(|(p, before)| p == partition && before < *end) && !self.rows.contains_key(&row.id)
            };
            let first = self.input.rows.iter().find(is_behind).map_or(String::new(), |row| format!(" (row {} is not)", row.id));
            Err(format!(
                "{TORN}: of partition {partition} of the input there are {count} rows of the first {end}{first} although \
                 nothing is being committed"
            ))
        })
    }

    /// Of each partition of the input, so many rows were told to be done: they are there.
    fn check_done(&self, told: &[u64]) -> Result<(), Failure> {
        let mut all = told.iter().zip(&self.seen).enumerate();
        let early = all.find(|(_, (told, (count, _)))| *told > count);
        early.map_or(Ok(()), |(partition, (told, (count, _)))| {
            Err(format!(
                "{ACKNOWLEDGED}: partition {partition} of the input is told to be done up to {told}, and {count} of its rows are there"
            ))
        })
    }
}

impl Observer {
    pub(super) fn start(output: Output, input: &Arc<Input>, is_in_order: bool) -> Observer {
        let watch = Mutex::new(Watch::new(output, input, is_in_order));
        let shared = Arc::new(Shared { watch, ends: AtomicBool::new(false) });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !of_thread.ends.load(Ordering::Relaxed) {
                lock(&of_thread).look();
                pause(STEP);
            }
        });
        Observer { shared, thread: Some(thread) }
    }

    /// A process begins. What the one before has committed is not its own.
    pub(super) fn await_output(&self) -> Result<(), Failure> {
        let mut watch = lock(&self.shared);
        watch.catch_up()?;
        (watch.started, watch.shown_after) = (Some(crate::bench::measure::now()), None);
        Ok(())
    }

    /// How long the process took until something of its was to be seen.
    pub(super) fn shown_after(&self) -> Option<Duration> {
        lock(&self.shared).shown_after
    }

    /// What has been wrong so far.
    pub(super) fn check(&self) -> Result<(), Failure> {
        lock(&self.shared).wrong.clone().map_or(Ok(()), Err)
    }

    /// While nothing is being committed: whole checkpoints, and no row that the source was told is done and that is not there.
    /// What was committed last may be under way inside of the server.
    pub(super) fn check_epochs(&self, acknowledged: &[u64]) -> Result<(), Failure> {
        let mut found = Ok(());
        let mut look = |patience| {
            until(patience, || {
                let mut watch = lock(&self.shared);
                found =
                    watch.catch_up().and_then(|()| watch.check_epochs()).and_then(|()| watch.check_done(acknowledged));
                let is_done = found.is_ok() || watch.wrong.is_some();
                drop(watch);
                if !is_done {
                    pause(STEP);
                }
                is_done
            });
            found.clone()
        };
        look(SHOWN_PATIENCE).map_err(|wrong| {
            // It is wrong either way, but a server that was slow is another thing than rows that are lost.
            let later = match look(HEALS_PATIENCE) {
                Ok(()) => "came later",
                Err(_) => "did not come in 20 s more either",
            };
            format!("{wrong}; what is not there {later}")
        })
    }

    /// After the job's end: what was seen is what is there, at its place.
    pub(super) fn check_end(&self) -> Result<Vec<u64>, Failure> {
        let mut watch = lock(&self.shared);
        watch.catch_up()?;
        let mut again = Watch::new(watch.reader.output.clone(), &watch.input, watch.is_in_order);
        again.catch_up()?;
        let seen: BTreeMap<_, _> = watch.rows.iter().collect();
        match seen.iter().find(|(id, place)| again.rows.get(**id) != Some(**place)) {
            Some((id, (place, offset))) => Err(format!("{VANISHED}: row {id} was at {offset} of {place}")),
            None => Ok(seen.into_keys().copied().collect()),
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Watch> {
    shared.watch.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::Rng;
    use super::super::ledger::Ledger;
    use super::*;

    /// Rows of the input, at the end of a place of the output.
    fn show(watch: &mut Watch, place: &str, ids: &[u64]) -> Result<(), Failure> {
        ids.iter().try_for_each(|id| {
            let key = watch.input.rows.iter().find(|row| row.id == *id).map_or(0, |row| row.key);
            let (offset, row) = (watch.rows.len() as i64, format!("{id},{key},0"));
            watch.admit(Seen { place: place.to_string(), offset, row })
        })
    }

    #[test]
    fn rows_that_come_twice_or_in_another_order_are_found() {
        let input = Ledger::generate(1_000, 1, Some(2), &mut Rng(3)).input;
        let output = Output::Files { folders: vec![], copies: PathBuf::new() };
        let mut watch = Watch::new(output.clone(), &input, true);
        let of_key: Vec<u64> = input.rows.iter().filter(|row| row.key == 7).map(|row| row.id).collect();
        show(&mut watch, "a", &of_key[..2]).expect("in their order");
        assert!(show(&mut watch, "a", &of_key[1..2]).expect_err("twice").contains(DUPLICATED));
        show(&mut watch, "a", &of_key[3..4]).expect("one is left out");
        assert!(show(&mut watch, "a", &of_key[2..3]).expect_err("behind").contains(REORDERED));
        assert!(show(&mut watch, "a", &[5_000]).expect_err("nobody wrote it").contains(NOT_IN_LEDGER));
    }

    #[test]
    fn a_part_of_a_checkpoint_is_found() {
        let input = Ledger::generate(1_000, 1, Some(2), &mut Rng(3)).input;
        let mut watch = Watch::new(Output::Files { folders: vec![], copies: PathBuf::new() }, &input, true);
        let of_partition: Vec<u64> = input.rows.iter().filter(|row| row.key % 2 == 1).map(|row| row.id).collect();
        show(&mut watch, "a", &of_partition[..5]).expect("the first ones");
        watch.check_epochs().expect("a whole");
        show(&mut watch, "b", &of_partition[6..9]).expect("others");
        assert!(watch.check_epochs().expect_err("one is not there").contains(TORN));
        show(&mut watch, "c", &of_partition[5..6]).expect("it comes");
        watch.check_epochs().expect("a whole again");
        watch.check_done(&[0, 9]).expect("all are there");
        assert!(watch.check_done(&[0, 10]).expect_err("one is not").contains(ACKNOWLEDGED));
    }

    #[test]
    fn files_that_go_again_are_found() {
        let folder = std::env::temp_dir().join(format!("flott-observer-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let input = Ledger::generate(10, 1, None, &mut Rng(3)).input;
        let observer =
            Observer::start(Output::Files { folders: vec![folder.clone()], copies: folder.clone() }, &input, false);
        let text: String = input.rows.iter().map(|row| format!("{},{},0\n", row.id, row.key)).collect();
        fs::write(folder.join(".hidden"), &text).expect("written");
        fs::rename(folder.join(".hidden"), folder.join("shown")).expect("shown");
        assert_eq!(observer.check_end().expect("all are there").len(), 10);
        fs::remove_file(folder.join("shown")).expect("removed");
        assert!(observer.check_end().expect_err("gone").contains(VANISHED));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
