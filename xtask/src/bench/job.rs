//! The jobs that are measured, their input, and what has to come out.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use crate::Failure;

/// Rows of event time per second in the file: 5 M rows are 50 windows of 10 s.
const ROWS_PER_SECOND: u64 = 10_000;
const KEYS: u64 = 1_000;
/// 2024-01-01.
const DAY: &str = "2024-01-01";

/// By start, as text (`2024-01-01 00:00:10`), and key: count and sum.
pub(super) type Windows = BTreeMap<(String, u64), (u64, u64)>;

/// Random rows -> windows of 10 s by 1,000 keys -> nowhere. Written so that Flink takes it too.
pub(super) fn window(rows: u64) -> Vec<String> {
    vec![
        format!(
            "CREATE TABLE events (k BIGINT, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)\n\
             WITH ('connector' = 'datagen', 'number-of-rows' = '{rows}', 'rows-per-second' = '1000000000',\n\
             'fields.k.min' = '0', 'fields.k.max' = '999', 'fields.v.min' = '0', 'fields.v.max' = '1000000')"
        ),
        "CREATE TABLE nowhere (w TIMESTAMP(3), k BIGINT, n BIGINT, s BIGINT) WITH ('connector' = 'blackhole')"
            .to_string(),
        insert("nowhere"),
    ]
}

fn insert(into: &str) -> String {
    format!(
        "INSERT INTO {into} SELECT window_start, k, COUNT(*), SUM(v)\n\
         FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k"
    )
}

/// The same over a file, into files.
pub(super) fn csv(input: &Path, output: &Path) -> Vec<String> {
    let files = |path: &Path| format!("('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv')", path.display());
    vec![
        format!(
            "CREATE TABLE events (id BIGINT, k BIGINT, v BIGINT, ts TIMESTAMP(3), \
             WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)\nWITH {}",
            files(input)
        ),
        format!("CREATE TABLE windows (w TIMESTAMP(3), k BIGINT, n BIGINT, s BIGINT)\nWITH {}", files(output)),
        insert("windows"),
    ]
}

/// Jobs whose state is what they are about: random rows of many keys, into nowhere. Written so that Flink takes them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stateful {
    /// COUNT and SUM by key.
    Aggregate,
    /// Two streams by key.
    Join,
    /// The ten largest values of each key.
    TopN,
}

/// Keys of the aggregate and the join.
const STATE_KEYS: u64 = 10_000_000;
/// Keys of the ranks.
const RANK_KEYS: u64 = 1_000_000;
/// Ranks of a key.
const RANKS: u64 = 10;
/// How far a count of random rows may be from the expected one: far beyond its deviation. It finds a job that does not do its
/// work; single rows are what the tests count.
const COUNT_TOLERANCE: f64 = 0.005;

impl Stateful {
    pub(super) const ALL: [Stateful; 3] = [Stateful::Aggregate, Stateful::Join, Stateful::TopN];

    pub(super) fn name(self) -> &'static str {
        match self {
            Stateful::Aggregate => "aggregate",
            Stateful::Join => "join",
            Stateful::TopN => "top-n",
        }
    }

    /// Rows that are read, over all inputs.
    pub(super) fn rows(self) -> u64 {
        20_000_000
    }

    pub(super) fn statements(self, rows: u64) -> Vec<String> {
        let source = |name: &str, keys: u64, rows: u64| {
            format!(
                "CREATE TABLE {name} (k BIGINT, id BIGINT, v BIGINT) WITH ('connector' = 'datagen',\n\
                 'number-of-rows' = '{rows}', 'rows-per-second' = '1000000000',\n\
                 'fields.k.min' = '0', 'fields.k.max' = '{}', 'fields.v.min' = '0', 'fields.v.max' = '1000000')",
                keys - 1
            )
        };
        let nowhere = |columns: &str| format!("CREATE TABLE nowhere ({columns}) WITH ('connector' = 'blackhole')");
        match self {
            Stateful::Aggregate => vec![
                source("a", STATE_KEYS, rows),
                nowhere("k BIGINT, n BIGINT, s BIGINT"),
                "INSERT INTO nowhere SELECT k, COUNT(*), SUM(v) FROM a GROUP BY k".to_string(),
            ],
            Stateful::Join => vec![
                source("a", STATE_KEYS, rows / 2),
                source("b", STATE_KEYS, rows / 2),
                nowhere("k BIGINT, a BIGINT, b BIGINT, s BIGINT"),
                "INSERT INTO nowhere SELECT a.k, a.id, b.id, a.v + b.v FROM a JOIN b ON a.k = b.k".to_string(),
            ],
            Stateful::TopN => vec![
                source("a", RANK_KEYS, rows),
                nowhere("k BIGINT, id BIGINT, v BIGINT"),
                format!(
                    "INSERT INTO nowhere SELECT k, id, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS r\n\
                     FROM a) WHERE r <= {RANKS}"
                ),
            ],
        }
    }

    /// Whether as many changes came out as have to. `blackhole` asks for no rows as they were before, in both engines.
    pub(super) fn check(self, rows: u64, written: u64) -> Result<(), Failure> {
        let expected = match self {
            // Each row is the first of its key or an update; the few of one key in one batch are merged.
            Stateful::Aggregate => rows as f64,
            Stateful::Join => (rows as f64 / 2.0).powi(2) / STATE_KEYS as f64,
            // How often a row enters depends on the order. At the end each key has its ranks, as a row that has entered.
            Stateful::TopN => {
                let least = (RANK_KEYS * RANKS) as f64 * (1.0 - COUNT_TOLERANCE);
                let enough = rows < RANK_KEYS * RANKS * 2 || written as f64 >= least;
                return enough.then_some(()).ok_or_else(|| format!("{written} changes are less than {least}"));
            }
        };
        if (written as f64 - expected).abs() > expected * COUNT_TOLERANCE {
            return Err(format!("{} wrote {written} changes instead of about {expected}", self.name()));
        }
        Ok(())
    }
}

/// Three rows, printed.
pub(super) fn start() -> Vec<String> {
    vec![
        "CREATE TABLE out (a INT, b STRING) WITH ('connector' = 'print')".to_string(),
        "INSERT INTO out VALUES (1, 'a'), (2, 'b'), (3, 'c')".to_string(),
    ]
}

/// As one script.
pub(super) fn script(statements: &[String]) -> String {
    statements.iter().map(|s| format!("{s};\n")).collect()
}

/// The values of all rows, in order: id, key, value, milliseconds of event time.
fn events(rows: u64) -> impl Iterator<Item = (u64, u64, u64, u64)> {
    let mut state = 42u64;
    (0..rows).map(move |id| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (id, (state >> 33) % KEYS, (state >> 20) % 1_000_000, id * 1_000 / ROWS_PER_SECOND)
    })
}

fn time_of_day(seconds: u64) -> String {
    format!("{DAY} {:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Writes the input, unless it is there.
pub(super) fn csv_input(path: &Path, rows: u64) -> Result<(), Failure> {
    let marker = path.with_extension("rows");
    if fs::read_to_string(&marker).ok().as_deref() == Some(&rows.to_string()) && path.exists() {
        return Ok(());
    }
    let wrong = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut out = std::io::BufWriter::new(fs::File::create(path).map_err(wrong)?);
    for (id, key, value, ms) in events(rows) {
        writeln!(out, "{id},{key},{value},{}.{:03}", time_of_day(ms / 1_000), ms % 1_000).map_err(wrong)?;
    }
    out.flush().map_err(wrong)?;
    fs::write(marker, rows.to_string()).map_err(wrong)
}

/// What has to come out, computed here from the same values.
pub(super) fn expected(rows: u64) -> Windows {
    let mut windows = Windows::new();
    for (_, key, value, ms) in events(rows) {
        let sums = windows.entry((time_of_day(ms / 10_000 * 10), key)).or_default();
        *sums = (sums.0 + 1, sums.1 + value);
    }
    windows
}

/// Reads what an engine wrote: a file, or the visible files below a folder, without a header.
pub(super) fn output(path: &Path) -> Result<Windows, Failure> {
    let mut windows = Windows::new();
    read(path, &mut windows)?;
    Ok(windows)
}

fn read(path: &Path, windows: &mut Windows) -> Result<(), Failure> {
    let wrong = |e: std::io::Error| format!("{}: {e}", path.display());
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            if !entry.file_name().to_string_lossy().starts_with(['.', '_']) {
                read(&entry.path(), windows)?;
            }
        }
        return Ok(());
    }
    for line in BufReader::new(fs::File::open(path).map_err(wrong)?).lines() {
        let line = line.map_err(wrong)?;
        let (key, sums) = row(&line).ok_or_else(|| format!("{}: '{line}' is no window", path.display()))?;
        if windows.insert(key, sums).is_some() {
            return Err(format!("{}: '{line}' is the second of its window and key", path.display()));
        }
    }
    Ok(())
}

/// Engines write times with and without quotes, a `T`, and a fraction.
fn row(line: &str) -> Option<((String, u64), (u64, u64))> {
    let fields: Vec<&str> = line.split(',').map(|f| f.trim_matches('"')).collect();
    let [time, key, count, sum] = fields[..] else { return None };
    let time = time.replace('T', " ");
    let time = time.split('.').next()?.trim_end_matches('Z').to_string();
    Some(((time, key.parse().ok()?), (count.parse().ok()?, sum.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_all_engines_are_read_alike() {
        let expected = (("2024-01-01 00:00:10".to_string(), 7), (3, 12));
        for line in
            ["2024-01-01 00:00:10.000,7,3,12", "\"2024-01-01 00:00:10\",7,3,12", "2024-01-01T00:00:10.000,7,3,12"]
        {
            assert_eq!(row(line).as_ref(), Some(&expected), "{line}");
        }
        assert_eq!(row("w,k,n,s"), None);
    }

    #[test]
    fn the_file_holds_what_is_expected() {
        let folder = std::env::temp_dir().join(format!("flott-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("in.csv");
        csv_input(&path, 250_000).expect("written");
        let mut windows = Windows::new();
        for line in fs::read_to_string(&path).expect("a file").lines() {
            let fields: Vec<&str> = line.split(',').collect();
            let seconds: u64 = fields[3][17..19].parse().expect("seconds");
            let start = format!("{}{:02}", &fields[3][..17], seconds / 10 * 10);
            let sums = windows.entry((start, fields[1].parse().expect("a key"))).or_default();
            *sums = (sums.0 + 1, sums.1 + fields[2].parse::<u64>().expect("a value"));
        }
        assert_eq!(windows, expected(250_000));
        assert_eq!(windows.keys().map(|k| &k.0).collect::<std::collections::BTreeSet<_>>().len(), 3);
        fs::remove_dir_all(&folder).expect("removed");
    }
}
