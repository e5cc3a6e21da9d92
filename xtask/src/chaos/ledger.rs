//! What goes into a job and what has to come out: generated rows, and the check of outputs against them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::Rng;
use super::wrong;
use crate::Failure;

/// Event times lie at most this far out of order within a file.
const JITTER_MS: u64 = 4_000;
const WINDOW_MS: i64 = 10_000;
const KEYS: u64 = 50;

/// What a window holds: rows and the sum of their amounts.
type Sums = BTreeMap<(String, u64), (i64, i64)>;

/// A row of the input.
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) key: u64,
    /// As it is written.
    pub(super) text: String,
}

/// The input: its rows in the order in which they are written, and where each of them is.
pub(super) struct Input {
    /// Of one file, where it has all.
    most: u64,
    pub(super) rows: Vec<Row>,
    /// Of a log, or how many files there are.
    pub(super) partitions: u64,
    /// The partition of a row, and how many rows are before it there.
    places: HashMap<u64, (usize, u64)>,
}

impl Input {
    /// Rows of files that are written into a log are divided by their keys.
    fn new(files: Vec<Vec<Row>>, most: u64, partitions: Option<u64>) -> Input {
        let count = files.len() as u64;
        let mut files: Vec<_> = files.into_iter().map(Vec::into_iter).collect();
        // One of each file at a time: so their event times go on together.
        let mut rows = vec![];
        loop {
            let before = rows.len();
            rows.extend(files.iter_mut().filter_map(Iterator::next));
            if rows.len() == before {
                break;
            }
        }
        let mut input =
            Input { most: most.max(1), rows, partitions: partitions.unwrap_or(count), places: HashMap::new() };
        let mut ends = vec![0; input.partitions as usize];
        for row in &input.rows {
            let partition = match partitions {
                Some(partitions) => row.key % partitions,
                None => input.file_of(row.id),
            } as usize;
            input.places.insert(row.id, (partition, ends[partition]));
            ends[partition] += 1;
        }
        input
    }

    /// Which file a row was in.
    pub(super) fn file_of(&self, id: u64) -> u64 {
        id / self.most
    }

    /// The partition of a row, and how many rows are before it there.
    pub(super) fn place_of(&self, id: u64) -> Option<(usize, u64)> {
        self.places.get(&id).copied()
    }

    /// How many rows each partition has.
    pub(super) fn ends(&self) -> Vec<u64> {
        let mut ends = vec![0; self.partitions as usize];
        self.places.values().for_each(|(partition, _)| ends[*partition] += 1);
        ends
    }

    /// Each file's rows.
    pub(super) fn write_files(&self, folder: &Path) -> Result<(), Failure> {
        fs::create_dir_all(folder).map_err(wrong(folder))?;
        let mut texts: BTreeMap<u64, String> = BTreeMap::new();
        for row in &self.rows {
            let text = texts.entry(self.file_of(row.id)).or_default();
            text.push_str(&row.text);
            text.push('\n');
        }
        texts.iter().try_for_each(|(file, text)| {
            let path = folder.join(format!("{file}.csv"));
            fs::write(&path, text).map_err(wrong(&path))
        })
    }
}

/// Every row, and what the windows are to hold.
pub(super) struct Ledger {
    pub(super) input: Arc<Input>,
    rows: Vec<String>,
    /// Of each row.
    times: HashMap<u64, i64>,
    windows: Sums,
}

impl Ledger {
    /// Draws rows of so many files, or of a log of so many partitions into which the files' rows go.
    pub(super) fn generate(rows: u64, files: u64, partitions: Option<u64>, rng: &mut Rng) -> Ledger {
        let mut windows = Sums::new();
        let mut expected = Vec::new();
        let (mut all, mut times) = (vec![], HashMap::new());
        for file in 0..files {
            let mut of_file = vec![];
            for i in 0..rows / files {
                let (id, key, amount) = (file * rows + i, rng.below(KEYS), rng.below(1_000) as i64 - 500);
                let ms = (i * 20 + JITTER_MS - rng.below(JITTER_MS)) as i64;
                of_file.push(Row { id, key, text: format!("{id},{key},{amount},\"{}\"", time(ms)) });
                expected.push(format!("{id},{key},{amount}"));
                add(&mut windows, ms, key, 1, amount);
                times.insert(id, ms);
            }
            all.push(of_file);
        }
        expected.sort();
        Ledger { input: Arc::new(Input::new(all, rows, partitions)), rows: expected, times, windows }
    }

    /// How many windows there are.
    pub(super) fn windows(&self) -> usize {
        self.windows.len()
    }

    pub(super) fn check_copies(&self, found: &[String]) -> Result<(), Failure> {
        compare("copies", &self.rows, found)
    }

    /// What the windows hold and what came too late are together every row, once.
    pub(super) fn check_windows(&self, windows: &[String], late: &[String]) -> Result<(), Failure> {
        let mut found = sums_of(windows)?;
        for row in late {
            let [_, key, amount, ts] = fields(row)?;
            add(&mut found, milliseconds(ts)?, number(key)? as u64, 1, number(amount)?);
        }
        let lines = |sums: &Sums| -> Vec<String> {
            sums.iter().map(|((start, key), (n, total))| format!("{start},{key},{n},{total}")).collect()
        };
        compare("windows and late rows", &lines(&self.windows), &lines(&found))
    }

    /// Sinks of one job show the same checkpoints: what a window has counted, and what came too late for it, are those of its
    /// rows that are there.
    pub(super) fn check_epochs(&self, windows: &[String], late: &[String], copies: &[String]) -> Result<(), Failure> {
        let mut there = Sums::new();
        let mut counted = sums_of(windows)?;
        for row in copies {
            let [id, key, amount] = copy(row)?;
            let ms = self.times.get(&(id as u64)).ok_or_else(|| format!("{NOT_IN_LEDGER}: '{row}'"))?;
            add(&mut there, *ms, key as u64, 1, amount);
        }
        for row in late {
            let [_, key, amount, ts] = fields(row)?;
            let (ms, key) = (milliseconds(ts)?, number(key)? as u64);
            // A window without a row of its key that came in time does not come out.
            if counted.contains_key(&window_of(ms, key)) {
                add(&mut counted, ms, key, 1, number(amount)?);
            }
        }
        let torn = counted.iter().find(|(window, sums)| there.get(window) != Some(sums));
        torn.map_or(Ok(()), |((start, key), (n, total))| {
            let (there, sum) = there.get(&(start.clone(), *key)).copied().unwrap_or_default();
            Err(format!(
                "{TORN}: the window of {start} and key {key} has counted {n} rows that sum up to {total}, with those that came \
                 too late; beside it there are {there} rows that sum up to {sum}"
            ))
        })
    }
}

/// What each window has counted.
fn sums_of(windows: &[String]) -> Result<Sums, Failure> {
    let mut found = Sums::new();
    for row in windows {
        let [start, key, n, total] = fields(row)?;
        let sums = (number(n)?, number(total)?);
        if found.insert((start.to_string(), number(key)? as u64), sums).is_some() {
            return Err(format!("{DUPLICATED}: the window of {start} and key {key} came out twice"));
        }
    }
    Ok(found)
}

fn window_of(ms: i64, key: u64) -> (String, u64) {
    (time(ms.div_euclid(WINDOW_MS) * WINDOW_MS), key)
}

/// Id, key and amount of a row of the copies.
pub(super) fn copy(row: &str) -> Result<[i64; 3], Failure> {
    let numbers: Result<Vec<i64>, _> = row.split(',').map(str::parse).collect();
    let wrong = || format!("{NOT_IN_LEDGER}: '{row}'");
    numbers.map_err(|_| wrong())?.try_into().map_err(|_| wrong())
}

/// Adds a row, or what a window already holds of it.
fn add(sums: &mut Sums, ms: i64, key: u64, n: i64, total: i64) {
    let window = sums.entry(window_of(ms, key)).or_default();
    window.0 += n;
    window.1 += total;
}

fn fields(row: &str) -> Result<[&str; 4], Failure> {
    row.split(',').collect::<Vec<_>>().try_into().map_err(|_| format!("'{row}' is no row of four fields"))
}

fn number(text: &str) -> Result<i64, Failure> {
    text.parse().map_err(|_| format!("'{text}' is no number"))
}

/// What can be wrong with rows that came out; in capitals, since no job says so.
pub(super) const MISSING: &str = "MISSING";
pub(super) const DUPLICATED: &str = "DUPLICATED";
pub(super) const REORDERED: &str = "REORDERED";
/// Of a checkpoint only a part is to be seen.
pub(super) const TORN: &str = "TORN EPOCH";
/// A row was to be seen and is not any more.
pub(super) const VANISHED: &str = "VANISHED";
/// A source was told that rows are done that are not to be seen yet.
pub(super) const ACKNOWLEDGED: &str = "ACKNOWLEDGED TOO EARLY";
pub(super) const NOT_IN_LEDGER: &str = "NOT IN THE LEDGER";
const VERDICTS: [&str; 7] = [MISSING, DUPLICATED, REORDERED, TORN, VANISHED, ACKNOWLEDGED, NOT_IN_LEDGER];

/// Whether something is wrong with rows that came out, and not with a job that would not run.
pub(super) fn is_of_rows(failure: &str) -> bool {
    VERDICTS.iter().any(|verdict| failure.contains(verdict))
}

/// Whether a job has refused to go on because its output is not that of its checkpoints: it has found the mistake before the rows
/// were wrong.
pub(super) fn is_refused_by_marker(failure: &str) -> bool {
    failure.contains("The marker says that checkpoint ")
        && failure.contains("which is not among what is to be committed")
}

fn compare(what: &str, expected: &[String], found: &[String]) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    let mut count: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    expected.iter().for_each(|r| count.entry(r).or_default().0 += 1);
    found.iter().for_each(|r| count.entry(r).or_default().1 += 1);
    let some = |name: &str, is: fn(&(i64, i64)) -> bool| {
        let rows: Vec<_> = count.iter().filter(|(_, n)| is(n)).map(|(r, _)| *r).collect();
        let examples = rows.iter().take(3).copied().collect::<Vec<_>>().join(" | ");
        (!rows.is_empty()).then(|| format!("{name} {} ({examples})", rows.len()))
    };
    let verdicts: Vec<String> = [
        some(MISSING, |(expected, found)| found < expected),
        some(DUPLICATED, |(expected, found)| *expected > 0 && found > expected),
        some(NOT_IN_LEDGER, |(expected, _)| *expected == 0),
    ]
    .into_iter()
    .flatten()
    .collect();
    Err(format!("{what}: {} rows expected, {} found; {}", expected.len(), found.len(), verdicts.join("; ")))
}

/// `2024-01-01 00:00:00.123` plus milliseconds (less than a month).
fn time(ms: i64) -> String {
    let (s, f) = (ms / 1_000, ms % 1_000);
    let fraction = if f == 0 { String::new() } else { format!(".{f:03}").trim_end_matches('0').to_string() };
    format!("2024-01-{:02} {:02}:{:02}:{:02}{fraction}", s / 86_400 + 1, s / 3_600 % 24, s / 60 % 60, s % 60)
}

/// The opposite of [`time`].
fn milliseconds(text: &str) -> Result<i64, Failure> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = seconds.split(['-', ' ', ':']).skip(2).map(number);
    let [day, h, m, s] = [(); 4].map(|()| parts.next().unwrap_or_else(|| Err(format!("'{text}' is no time"))));
    Ok(((((day? - 1) * 24 + h?) * 60 + m?) * 60 + s?) * 1_000 + number(&format!("{fraction:0<3}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(sums: &Sums) -> Vec<String> {
        sums.iter().map(|((start, key), (n, total))| format!("{start},{key},{n},{total}")).collect()
    }

    #[test]
    fn what_is_missing_or_twice_is_found() {
        let ledger = Ledger::generate(2_000, 2, None, &mut Rng(1));
        let mut copies = ledger.rows.clone();
        ledger.check_copies(&copies).expect("all are there");
        let gone = copies.remove(7);
        let found = ledger.check_copies(&copies).expect_err("one is missing");
        assert!(found.contains(&format!("{MISSING} 1")) && is_of_rows(&found) && !is_of_rows("the job hangs"));
        copies.insert(7, gone.clone());
        copies.insert(7, gone);
        let found = ledger.check_copies(&copies).expect_err("one is there twice");
        assert!(found.contains(&format!("{DUPLICATED} 1")) && !found.contains(MISSING), "{found}");
        copies[7] = "7000,1,1".to_string();
        let found = ledger.check_copies(&copies).expect_err("one is strange");
        assert!(found.contains(&format!("{NOT_IN_LEDGER} 1")), "{found}");

        let mut windows = lines(&ledger.windows);
        ledger.check_windows(&windows, &[]).expect("all are there");
        windows.push(windows[0].clone());
        assert!(ledger.check_windows(&windows, &[]).expect_err("twice").contains(DUPLICATED));
        windows.pop();
        let late = ["1,3,5,2024-01-01 00:00:01.5".to_string()];
        assert!(ledger.check_windows(&windows, &late).is_err(), "a row is in its window and late");
        assert_eq!(milliseconds(&time(86_400_000 * 3 + 1_050)), Ok(86_400_000 * 3 + 1_050));
    }

    #[test]
    fn sinks_that_show_different_checkpoints_are_found() {
        let ledger = Ledger::generate(2_000, 1, Some(3), &mut Rng(1));
        let mut windows = lines(&ledger.windows);
        ledger.check_epochs(&windows, &[], &ledger.rows).expect("the whole");
        windows.truncate(10);
        ledger.check_epochs(&windows, &[], &ledger.rows).expect("rows whose windows come later");
        let found = ledger.check_epochs(&windows, &[], &ledger.rows[1..]).and(ledger.check_epochs(&windows, &[], &[]));
        assert!(found.expect_err("windows without their rows").contains(TORN));
        let is_counted = |row: &&Row| {
            windows[0].starts_with(&{
                let (start, key) = window_of(ledger.times[&row.id], row.key);
                format!("{start},{key},")
            })
        };
        let row = ledger.input.rows.iter().find(is_counted).expect("a row of the window");
        let found = ledger.check_epochs(&windows, &[row.text.replace('"', "")], &ledger.rows);
        assert!(found.expect_err("a row is late, and counted").contains(TORN));
    }

    #[test]
    fn a_log_has_each_row_at_its_place() {
        let input = Ledger::generate(1_000, 3, Some(4), &mut Rng(5)).input;
        let mut ends = vec![0; 4];
        for row in &input.rows {
            let (partition, before) = input.place_of(row.id).expect("a place");
            assert_eq!((partition as u64, before), (row.key % 4, ends[partition]));
            ends[partition] += 1;
        }
        assert_eq!(input.ends(), ends);
        assert_eq!(ends.iter().sum::<u64>(), 999);
        // Files go on together.
        assert!(input.rows[..6].iter().map(|row| input.file_of(row.id)).eq([0, 1, 2, 0, 1, 2]));
    }
}
