//! Kills a real job again and again, exactly at a fail point or at random, and checks its output against a ledger.
//!
//! One round is one job over generated files: file -> event-time window -> file, and the rows themselves -> file. It is
//! started with `--restore latest` until it finishes; every start but the last is a kill cycle. Then every row of both
//! outputs is compared with what the ledger says. Some cycles stop the process instead (SIGSTOP), let a successor run and
//! wake it: it must find itself fenced and add nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::{Failure, option, root, run as run_command, say};

/// The kill points of the checkpoint protocol that a run of this pipeline passes.
const POINTS: [&str; 12] = [
    "before_barrier",
    "mid_snapshot",
    "after_snapshot_before_prepare",
    "after_precommit_before_decided",
    "torn_decided",
    "after_decided_before_commit",
    "mid_commit",
    "after_commit_before_record",
    "after_commit_before_source_ack",
    "during_restore",
    "during_second_restore",
    "during_retention_gc",
];
/// Event times lie at most this far out of order.
const JITTER_MS: u64 = 4_000;
const WINDOW_MS: i64 = 10_000;
const KEYS: u64 = 50;
/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(2);

/// What to do.
pub(crate) struct Plan {
    pub(crate) cycles: u64,
    pub(crate) seed: u64,
    pub(crate) rows: u64,
    pub(crate) release: bool,
    /// A binary with fail points to use instead of building one.
    pub(crate) binary: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { cycles: 100, seed: 1, rows: 200_000, release: false, binary: None }
    }
}

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let pipeline = option(args, "--pipeline", "files".to_string())?;
    if pipeline != "files" {
        return Err(format!("there is no pipeline '{pipeline}' yet; there is 'files'"));
    }
    let plan = Plan::default();
    cycles(&Plan {
        cycles: option(args, "--cycles", plan.cycles)?,
        seed: option(args, "--seed", plan.seed)?,
        rows: option(args, "--rows", plan.rows)?,
        release: args.iter().any(|a| a == "--release"),
        binary: Some(option(args, "--binary", PathBuf::new())?).filter(|p| !p.as_os_str().is_empty()),
    })
}

/// A small generator: the same seed gives the same cycles.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[derive(Default)]
struct Tally {
    kills: BTreeMap<String, u64>,
    zombies: u64,
    rounds: u64,
    starts: u64,
    /// Kills where windows had fired and more were to come.
    amid_windows: u64,
    late: u64,
}

pub(crate) fn cycles(plan: &Plan) -> Result<(), Failure> {
    let binary = match &plan.binary {
        Some(path) => path.clone(),
        None => build(plan.release)?,
    };
    let folder = root().join("target").join(format!("chaos-{}", std::process::id()));
    let mut rng = Rng(plan.seed);
    let mut tally = Tally::default();
    let mut done = 0;
    let mut next_point = 0;
    while done < plan.cycles {
        tally.rounds += 1;
        let round = Round::prepare(&folder.join(tally.rounds.to_string()), plan.rows, &mut rng)?;
        done += round
            .play(&binary, plan.cycles - done, &mut next_point, &mut rng, &mut tally)
            .and_then(|cycles| round.check(&mut tally).map(|()| cycles))
            .map_err(|e| format!("seed {}, round {}, in {}: {e}", plan.seed, tally.rounds, round.folder.display()))?;
        fs::remove_dir_all(&round.folder).map_err(|e| e.to_string())?;
    }
    drop(fs::remove_dir_all(&folder));
    say(&format!(
        "chaos files: {done} kill cycles in {} rounds, {} starts, {} fenced sleepers, seed {}: nothing missing, nothing twice",
        tally.rounds, tally.starts, tally.zombies, plan.seed
    ));
    say(&format!("  {:5} kills between the first window and the last, {} late rows", tally.amid_windows, tally.late));
    for (point, n) in &tally.kills {
        say(&format!("  {n:5} {point}"));
    }
    let missed: Vec<_> = POINTS.iter().filter(|p| !tally.kills.contains_key(**p)).collect();
    if plan.cycles >= 60 && tally.amid_windows == 0 {
        return Err("no kill fell between two windows: the state of windows was never at stake".to_string());
    }
    if plan.cycles >= 60 && !missed.is_empty() {
        return Err(format!("these fail points were never reached: {missed:?}"));
    }
    Ok(())
}

fn build(release: bool) -> Result<PathBuf, Failure> {
    let mut args = vec!["build", "--quiet", "--locked", "-p", "flott-cli"];
    if release {
        args.extend(["--release", "--features", "failpoints"]);
    }
    run_command("cargo", &args)?;
    Ok(root().join("target").join(if release { "release" } else { "debug" }).join("flott"))
}

/// What a window holds: rows and the sum of their amounts.
type Sums = BTreeMap<(String, u64), (i64, i64)>;

struct Round {
    folder: PathBuf,
    rows: Vec<String>,
    windows: Sums,
}

impl Round {
    /// Input files, the script, and what must come out.
    ///
    /// Which rows are late depends on who reads which piece when. So the script sends late rows to a table of their own,
    /// and the ledger is: what the windows hold and what came too late are together every row, once.
    fn prepare(folder: &Path, rows: u64, rng: &mut Rng) -> Result<Round, Failure> {
        let io = |e: std::io::Error| e.to_string();
        let input = folder.join("in");
        fs::create_dir_all(&input).map_err(io)?;
        let mut windows = Sums::new();
        let mut expected = Vec::new();
        let files = 1 + rng.below(4);
        for file in 0..files {
            let mut out = std::io::BufWriter::new(fs::File::create(input.join(format!("{file}.csv"))).map_err(io)?);
            for i in 0..rows / files {
                let (id, key, amount) = (file * rows + i, rng.below(KEYS), rng.below(1_000) as i64 - 500);
                let ms = (i * 20 + JITTER_MS - rng.below(JITTER_MS)) as i64;
                writeln!(out, "{id},{key},{amount},\"{}\"", time(ms)).map_err(io)?;
                expected.push(format!("{id},{key},{amount}"));
                add(&mut windows, ms, key, 1, amount);
            }
            out.flush().map_err(io)?;
        }
        let table = |name: &str, columns: &str, path: &str, options: &str| {
            format!(
                "CREATE TABLE {name} ({columns}) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv'{options});\n",
                folder.join(path).display()
            )
        };
        let cut = ["", ", 'source.split-size' = '32 kb'", ", 'source.split-size' = '256 kb'"][rng.below(3) as usize];
        let script = [
            "SET 'execution.checkpointing.interval' = '30 ms';\n".to_string(),
            format!("SET 'execution.checkpointing.num-retained' = '{}';\n", 1 + rng.below(3)),
            "SET 'table.exec.late-records.table' = 'late';\n".to_string(),
            table(
                "events",
                "id BIGINT, k INT, amount BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND",
                "in",
                cut,
            ),
            table("windows", "window_start TIMESTAMP(3), k INT, n BIGINT, total BIGINT", "windows", ""),
            table("late", "id BIGINT, k INT, amount BIGINT, ts TIMESTAMP(3)", "late", ""),
            table("copies", "id BIGINT, k INT, amount BIGINT", "copies", ""),
            "EXECUTE STATEMENT SET BEGIN\n\
             INSERT INTO windows SELECT window_start, k, COUNT(*), SUM(amount)\n\
               FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND))\n\
               GROUP BY window_start, window_end, k;\n\
             INSERT INTO copies SELECT id, k, amount FROM events;\n\
             END;\n"
                .to_string(),
        ]
        .concat();
        fs::write(folder.join("job.sql"), script).map_err(io)?;
        expected.sort();
        Ok(Round { folder: folder.to_path_buf(), rows: expected, windows })
    }

    fn start(&self, binary: &Path, point: Option<(&str, u64)>, rng: &mut Rng) -> Result<Child, Failure> {
        let mut command = Command::new(binary);
        // Every start has a parallelism of its own: state and splits have to move.
        let parallelism = (1 + rng.below(4)).to_string();
        command
            .args(["run", "job.sql", "--restore", "latest", "-p", &parallelism])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(fs::File::create(self.folder.join("stdout")).map_err(|e| e.to_string())?)
            .stderr(fs::File::create(self.folder.join("stderr")).map_err(|e| e.to_string())?);
        drop(fs::remove_file(self.reached()));
        if let Some((name, hit)) = point {
            command.env("FLOTT_FAILPOINT", format!("{name}:{hit}")).env("FLOTT_FAILPOINT_REPORT", self.reached());
        }
        command.spawn().map_err(|e| format!("{}: {e}", binary.display()))
    }

    /// The attempt that HEAD names; 0 where there is none yet.
    fn generation(&self) -> u64 {
        let head = fs::read_to_string(self.folder.join(".flott/job/HEAD")).unwrap_or_default();
        let number = head.split_once("\"generation\":").map_or("", |(_, rest)| rest);
        number.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    fn reached(&self) -> PathBuf {
        self.folder.join("reached")
    }

    /// Kill cycles until the job finishes or enough are done (then one undisturbed run). Returns their number.
    fn play(
        &self,
        binary: &Path,
        most: u64,
        next_point: &mut usize,
        rng: &mut Rng,
        tally: &mut Tally,
    ) -> Result<u64, Failure> {
        let mut cycles = 0;
        loop {
            tally.starts += 1;
            if cycles == most {
                let status = self.wait(self.start(binary, None, rng)?)?;
                return self.expect_success(status).map(|()| cycles);
            }
            if rng.below(10) == 0 {
                self.sleeper(binary, rng, tally)?;
                cycles += 1;
                continue;
            }
            let point = (rng.below(3) != 0).then(|| POINTS[*next_point % POINTS.len()]);
            let hit = 1 + rng.below(3);
            let point_and_hit = point.map(|p| (p, if p.starts_with("during_") { 1 } else { hit }));
            let mut child = self.start(binary, point_and_hit, rng)?;
            let deadline = if point.is_some() { PATIENCE } else { Duration::from_millis(rng.below(400)) };
            let ended = self.until(&mut child, deadline, point.is_some())?;
            match ended {
                Some(status) => {
                    // It finished before the point was reached: the round is over, the point has another chance.
                    self.expect_success(status)?;
                    if point.is_some() {
                        *next_point += usize::from(rng.below(2) == 0);
                    }
                    return Ok(cycles);
                }
                None => {
                    child.kill().and_then(|()| child.wait()).map_err(|e| e.to_string())?;
                    let name = if self.reached().exists() {
                        *next_point += 1;
                        point.unwrap_or("at random")
                    } else if point.is_some() {
                        return Err(format!("the job hangs: {}", self.output()));
                    } else {
                        "at random"
                    };
                    *tally.kills.entry(name.to_string()).or_default() += 1;
                    tally.amid_windows += u64::from((1..self.windows.len()).contains(&self.windows_visible()));
                    cycles += 1;
                }
            }
        }
    }

    /// Stops a run, lets a successor go on until it has retired checkpoints, wakes the sleeper: it must be fenced.
    fn sleeper(&self, binary: &Path, rng: &mut Rng, tally: &mut Tally) -> Result<(), Failure> {
        let mut sleeper = self.start(binary, None, rng)?;
        if self.until(&mut sleeper, Duration::from_millis(50 + rng.below(300)), false)?.is_some() {
            return Ok(());
        }
        signal(&sleeper, "-STOP")?;
        let before = self.generation();
        let mut successor = self.start(binary, None, rng)?;
        let ended = self.until(&mut successor, Duration::from_millis(300 + rng.below(500)), false)?;
        // Stopped in the middle of a swap, a sleeper holds the lock, and the successor has taken nothing over; stopped
        // before it had opened the job, it takes the job back when it wakes. Both may finish.
        let taken_over = self.generation();
        signal(&sleeper, "-CONT")?;
        let woken = self.wait(sleeper)?;
        let was_newest = taken_over == before || self.generation() > taken_over;
        if woken.success() && ended.is_none() && !was_newest {
            return Err("a sleeper finished the job although a successor had taken it over".to_string());
        }
        if ended.is_none() {
            successor.kill().and_then(|()| successor.wait()).map_err(|e| e.to_string())?;
        }
        tally.zombies += u64::from(!woken.success());
        *tally.kills.entry("a sleeper woken after its successor".to_string()).or_default() += 1;
        Ok(())
    }

    /// Waits for the end, the report of a fail point, or the deadline.
    fn until(&self, child: &mut Child, deadline: Duration, watch: bool) -> Result<Option<ExitStatus>, Failure> {
        let mut waited = Duration::ZERO;
        loop {
            if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                return Ok(Some(status));
            }
            if waited >= deadline || (watch && self.reached().exists()) {
                return Ok(None);
            }
            pause(STEP);
            waited += STEP;
        }
    }

    fn wait(&self, mut child: Child) -> Result<ExitStatus, Failure> {
        match self.until(&mut child, PATIENCE, false)? {
            Some(status) => Ok(status),
            None => {
                drop(child.kill());
                Err(format!("the job hangs: {}", self.output()))
            }
        }
    }

    fn output(&self) -> String {
        fs::read_to_string(self.folder.join("stderr")).unwrap_or_default()
    }

    fn expect_success(&self, status: ExitStatus) -> Result<(), Failure> {
        if status.success() { Ok(()) } else { Err(format!("the job failed ({status}): {}", self.output())) }
    }

    /// Every row once, and nothing left over. Adds what the round showed to the tally.
    fn check(&self, tally: &mut Tally) -> Result<(), Failure> {
        compare("copies", &self.rows, read_rows(&self.folder.join("copies"))?)?;
        let mut found = Sums::new();
        for row in read_rows(&self.folder.join("windows"))? {
            let [start, key, n, total] = fields(&row)?;
            let sums = (number(n)?, number(total)?);
            if found.insert((start.to_string(), number(key)? as u64), sums).is_some() {
                return Err(format!("the window of {start} and key {key} came out twice"));
            }
        }
        let late = read_rows(&self.folder.join("late"))?;
        tally.late += late.len() as u64;
        for row in &late {
            let [_, key, amount, ts] = fields(row)?;
            add(&mut found, milliseconds(ts)?, number(key)? as u64, 1, number(amount)?);
        }
        let lines = |sums: &Sums| -> Vec<String> {
            sums.iter().map(|((start, key), (n, total))| format!("{start},{key},{n},{total}")).collect()
        };
        compare("windows and late rows", &lines(&self.windows), lines(&found))?;
        self.check_leftovers()
    }

    /// A finished job leaves its record, one bundle, and nothing hidden beside its output.
    fn check_leftovers(&self) -> Result<(), Failure> {
        let record = self.folder.join(".flott/job");
        let mut bundles = 0;
        for name in names(&record)? {
            bundles += usize::from(name.starts_with("bundle-"));
            if !name.starts_with("bundle-") && name != "HEAD" && name != "HEAD.lock" {
                return Err(format!("{} is left in {}", name, record.display()));
            }
        }
        if bundles != 1 {
            return Err(format!("{bundles} bundles are left in {}", record.display()));
        }
        for output in ["windows", "copies", "late"] {
            let folder = self.folder.join(output);
            if let Some(name) = names(&folder)?.iter().find(|n| n.starts_with(['.', '_'])) {
                return Err(format!("{name} is left in {}", folder.display()));
            }
        }
        Ok(())
    }

    /// Window rows that can be seen.
    fn windows_visible(&self) -> usize {
        read_rows(&self.folder.join("windows")).map_or(0, |rows| rows.len())
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

fn names(folder: &Path) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    entries.map(|e| e.map(|e| e.file_name().to_string_lossy().into_owned()).map_err(|e| e.to_string())).collect()
}

/// Rows of all visible files of a folder, without quotes, sorted.
fn read_rows(folder: &Path) -> Result<Vec<String>, Failure> {
    let mut rows = vec![];
    for entry in fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_file() && !name.starts_with(['.', '_']) {
            let text = fs::read_to_string(&path).map_err(|e| e.to_string())?;
            rows.extend(text.lines().map(|l| l.replace('"', "")));
        }
    }
    rows.sort();
    Ok(rows)
}

fn compare(what: &str, expected: &[String], found: Vec<String>) -> Result<(), Failure> {
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

fn signal(child: &Child, signal: &str) -> Result<(), Failure> {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("kill {signal}: {status}")) }
}

#[expect(clippy::disallowed_methods, reason = "the harness waits for other processes")]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
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
