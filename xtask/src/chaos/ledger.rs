//! What goes into a job and what has to come out: generated rows, and the check of outputs against them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use super::Rng;
use super::wrong;
use crate::Failure;

/// Event times lie at most this far out of order within a file.
const JITTER_MS: u64 = 4_000;
const WINDOW_MS: i64 = 10_000;
const KEYS: u64 = 50;

/// What a window holds: rows and the sum of their amounts.
type Sums = BTreeMap<(String, u64), (i64, i64)>;

/// Every row, and what the windows are to hold.
pub(super) struct Ledger {
    /// Of one file, where it has all.
    most: u64,
    rows: Vec<String>,
    windows: Sums,
}

impl Ledger {
    /// Writes input files.
    pub(super) fn generate(input: &Path, rows: u64, files: u64, rng: &mut Rng) -> Result<Ledger, Failure> {
        fs::create_dir_all(input).map_err(wrong(input))?;
        let mut windows = Sums::new();
        let mut expected = Vec::new();
        for file in 0..files {
            let path = input.join(format!("{file}.csv"));
            let mut out = std::io::BufWriter::new(fs::File::create(&path).map_err(wrong(&path))?);
            for i in 0..rows / files {
                let (id, key, amount) = (file * rows + i, rng.below(KEYS), rng.below(1_000) as i64 - 500);
                let ms = (i * 20 + JITTER_MS - rng.below(JITTER_MS)) as i64;
                writeln!(out, "{id},{key},{amount},\"{}\"", time(ms)).map_err(wrong(&path))?;
                expected.push(format!("{id},{key},{amount}"));
                add(&mut windows, ms, key, 1, amount);
            }
            out.flush().map_err(wrong(&path))?;
        }
        expected.sort();
        Ok(Ledger { most: rows, rows: expected, windows })
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Which file a row was in.
    pub(super) fn file_of(&self, id: u64) -> u64 {
        id / self.most.max(1)
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
        let mut found = Sums::new();
        for row in windows {
            let [start, key, n, total] = fields(row)?;
            let sums = (number(n)?, number(total)?);
            if found.insert((start.to_string(), number(key)? as u64), sums).is_some() {
                return Err(format!("the window of {start} and key {key} came out twice"));
            }
        }
        for row in late {
            let [_, key, amount, ts] = fields(row)?;
            add(&mut found, milliseconds(ts)?, number(key)? as u64, 1, number(amount)?);
        }
        let lines = |sums: &Sums| -> Vec<String> {
            sums.iter().map(|((start, key), (n, total))| format!("{start},{key},{n},{total}")).collect()
        };
        compare("windows and late rows", &lines(&self.windows), &lines(&found))
    }
}

/// Adds a row, or what a window already holds of it.
fn add(sums: &mut Sums, ms: i64, key: u64, n: i64, total: i64) {
    let window = sums.entry((time(ms.div_euclid(WINDOW_MS) * WINDOW_MS), key)).or_default();
    window.0 += n;
    window.1 += total;
}

fn fields(row: &str) -> Result<[&str; 4], Failure> {
    row.split(',').collect::<Vec<_>>().try_into().map_err(|_| format!("'{row}' is no row of four fields"))
}

fn number(text: &str) -> Result<i64, Failure> {
    text.parse().map_err(|_| format!("'{text}' is no number"))
}

/// Whether something is wrong with rows that came out, as this file says it, and not with a job that would not run.
pub(super) fn is_of_rows(failure: &str) -> bool {
    failure.contains(" rows expected, ") || failure.contains(" came out twice")
}

fn compare(what: &str, expected: &[String], found: &[String]) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    let mut count: BTreeMap<&str, i64> = BTreeMap::new();
    expected.iter().for_each(|r| *count.entry(r).or_default() += 1);
    found.iter().for_each(|r| *count.entry(r).or_default() -= 1);
    let some = |sign: i64| {
        let rows: Vec<_> = count.iter().filter(|(_, n)| **n * sign > 0).map(|(r, _)| *r).collect();
        format!("{} ({})", rows.len(), rows.into_iter().take(3).collect::<Vec<_>>().join(" | "))
    };
    Err(format!(
        "{what}: {} rows expected, {} found; missing {}; too many {}",
        expected.len(),
        found.len(),
        some(1),
        some(-1)
    ))
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

    #[test]
    fn what_is_missing_or_twice_is_found() {
        let folder = std::env::temp_dir().join(format!("flott-ledger-{}", std::process::id()));
        let ledger = Ledger::generate(&folder, 2_000, 2, &mut Rng(1)).expect("a ledger");
        fs::remove_dir_all(&folder).expect("removed");
        let mut copies = ledger.rows.clone();
        ledger.check_copies(&copies).expect("all are there");
        let gone = copies.remove(7);
        let found = ledger.check_copies(&copies).expect_err("one is missing");
        assert!(found.contains("missing 1") && is_of_rows(&found) && !is_of_rows("the job hangs"));
        copies.insert(7, gone.clone());
        copies.insert(7, gone);
        assert!(ledger.check_copies(&copies).expect_err("one is there twice").contains("too many 1"));

        let lines = |sums: &Sums| -> Vec<String> {
            sums.iter().map(|((start, key), (n, total))| format!("{start},{key},{n},{total}")).collect()
        };
        let mut windows = lines(&ledger.windows);
        ledger.check_windows(&windows, &[]).expect("all are there");
        windows.push(windows[0].clone());
        assert!(ledger.check_windows(&windows, &[]).expect_err("twice").contains("came out twice"));
        windows.pop();
        let late = ["1,3,5,2024-01-01 00:00:01.5".to_string()];
        assert!(ledger.check_windows(&windows, &late).is_err(), "a row is in its window and late");
        assert_eq!(milliseconds(&time(86_400_000 * 3 + 1_050)), Ok(86_400_000 * 3 + 1_050));
    }
}
