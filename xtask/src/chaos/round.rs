//! One job from its first start to its end.

mod faults;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::events::{BETWEEN_COMMITS, Event, Events, OUTPUT};
use super::ledger::{Ledger, MISSING};
use super::logs::Logs;
use super::observer::{Observer, Output};
use super::place::{Bucket, Place};
use super::process::{children, is_alive, pause, signal, until};
use super::producer::Producer;
use super::servers::Server;
use super::{Pipeline, Plan, Rng, Tally, wrong};
use crate::{Failure, root};

/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(2);
/// No start that restores something is to take longer.
const SLOW: Duration = Duration::from_secs(2);
/// How long something may be under way that nobody waits for.
const UNDER_WAY: Duration = Duration::from_millis(200);
/// What a job says that finds itself finished.
const FOUND_DONE: &str = "had finished before";
/// Processes that look for each other so often ...
const HEARTBEAT_MS: u64 = 100;
/// ... miss each other after so long.
const HEARTBEAT_TIMEOUT_MS: u64 = 1_500;

/// The rows of a round that reads from a log are written within so many seconds, so that it is killed meanwhile.
const PRODUCED_WITHIN_S: Range<u64> = 4..12;

/// What a job writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outputs {
    /// Windows, all rows, and those that came too late for their window.
    All,
    /// Windows over one file in one piece, in whose order no row is late.
    Windows,
    /// Windows over any number of files; all are open until the end.
    OpenWindows,
    /// All rows.
    Copies,
}

impl Outputs {
    fn names(self) -> &'static [&'static str] {
        match self {
            Outputs::All => &["windows", "copies", "late"],
            Outputs::Windows | Outputs::OpenWindows => &["windows"],
            Outputs::Copies => &["copies"],
        }
    }
}

pub(super) struct Round<'a> {
    pipeline: Pipeline,
    folder: PathBuf,
    place: Place,
    binary: PathBuf,
    outputs: Outputs,
    ledger: Ledger,
    logs: Option<Logs<'a>>,
    observer: Option<Observer>,
    /// A mistake that the job is to make.
    planted: Option<String>,
    /// Where every cycle ends.
    at: Option<&'static str>,
}

/// Of the input, without its watermark.
const EVENTS: &str = "id BIGINT, k INT, amount BIGINT, ts TIMESTAMP(3)";
/// Of the copies.
const COPIES: &str = "id BIGINT, k INT, amount BIGINT";

/// A job that runs.
struct Run {
    child: Child,
    /// Second processes that this harness has stopped or seen.
    peers: Vec<u32>,
}

/// Whatever has gone wrong, no job goes on without its harness.
impl Drop for Run {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl<'a> Round<'a> {
    /// Input files, the script, and what must come out.
    ///
    /// Which rows are late depends on who reads which piece when. So a script either sends late rows to a table of their
    /// own, or none can be late.
    pub(super) fn prepare(
        plan: &Plan,
        folder: &Path,
        bucket: Option<&Bucket>,
        servers: (Option<&'a Server>, Option<&'a Server>),
        binary: &Path,
        rng: &mut Rng,
    ) -> Result<Round<'a>, Failure> {
        let (pipeline, rows) = (plan.pipeline, plan.rows);
        let outputs = match pipeline.has_two_sinks() {
            true => Outputs::All,
            false if pipeline.logs().1.is_some() => Outputs::Copies,
            false => rng.one_of(&[Outputs::Windows, Outputs::Windows, Outputs::OpenWindows, Outputs::Copies]),
        };
        let files = if outputs == Outputs::Windows { 1 } else { 1 + rng.below(4) };
        let is_live = pipeline.logs().0.is_some();
        let partitions = is_live.then(|| 1 + rng.below(4));
        let ledger = Ledger::generate(rows, files, partitions, rng);
        let place = match bucket {
            Some(bucket) => Place::on_s3(bucket, folder),
            None => Place::local(folder),
        };
        if !is_live {
            ledger.input.write_files(&folder.join("in"))?;
        }
        let rows_per_second =
            rows / (PRODUCED_WITHIN_S.start + rng.below(PRODUCED_WITHIN_S.end - PRODUCED_WITHIN_S.start));
        let logs = match pipeline.has_logs() {
            true => Some(Logs::prepare(servers, folder, binary, &ledger.input, rows_per_second.max(1))?),
            false => None,
        };
        // Objects of a store are files, too, but not of its user.
        let files = bucket.is_none().then(|| Output::Files {
            folders: outputs.names().iter().map(|name| place.folder(name)).collect(),
            copies: place.folder("copies"),
        });
        let watched = logs.as_ref().and_then(Logs::watched).or(files);
        let observer = watched.map(|output| Observer::start(output, &ledger.input, is_live));
        let (folder, binary) = (folder.to_path_buf(), binary.to_path_buf());
        let round = Round {
            pipeline,
            folder,
            place,
            binary,
            outputs,
            ledger,
            logs,
            observer,
            planted: plan.planted.clone(),
            at: plan.at,
        };
        let file = round.folder.join("job.sql");
        fs::write(&file, round.script(rng)).map_err(wrong(&file))?;
        Ok(round)
    }

    fn script(&self, rng: &mut Rng) -> String {
        let cut = match self.outputs {
            Outputs::Windows => ", 'source.split-size' = '1 gb'",
            _ => rng.one_of(&["", ", 'source.split-size' = '32 kb'", ", 'source.split-size' = '256 kb'"]),
        };
        let delay = if self.outputs == Outputs::OpenWindows { "'30' DAY" } else { "'5' SECOND" };
        let columns = format!("{EVENTS}, WATERMARK FOR ts AS ts - INTERVAL {delay}");
        let table = |name: &str, columns: &str, path: &str, options: &str| {
            format!(
                "CREATE TABLE {name} ({columns}) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'csv'{options});\n"
            )
        };
        let output = |name: &str, columns: &str| table(name, columns, &self.place.url(name), "");
        let windows = "INSERT INTO windows SELECT window_start, k, COUNT(*), SUM(amount)\n  \
                         FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND))\n  \
                         GROUP BY window_start, window_end, k;\n";
        let copies = "INSERT INTO copies SELECT id, k, amount FROM events;\n";
        let (late, job) = match self.outputs {
            Outputs::All => (
                "SET 'table.exec.late-records.table' = 'late';\n",
                format!("EXECUTE STATEMENT SET BEGIN\n{windows}{copies}END;\n"),
            ),
            Outputs::Windows | Outputs::OpenWindows => ("", windows.to_string()),
            Outputs::Copies => ("", copies.to_string()),
        };
        [
            "SET 'execution.checkpointing.interval' = '30 ms';\n".to_string(),
            format!("SET 'execution.checkpointing.num-retained' = '{}';\n", 1 + rng.below(3)),
            "SET 'restart-strategy.type' = 'fixed-delay';\n\
             SET 'restart-strategy.fixed-delay.attempts' = '1000';\n\
             SET 'restart-strategy.fixed-delay.delay' = '20 ms';\n"
                .to_string(),
            format!("SET 'heartbeat.interval' = '{HEARTBEAT_MS} ms';\n"),
            format!("SET 'heartbeat.timeout' = '{HEARTBEAT_TIMEOUT_MS} ms';\n"),
            late.to_string(),
            self.place.settings.clone(),
            self.logs
                .as_ref()
                .and_then(|logs| logs.input(&columns))
                .unwrap_or_else(|| table("events", &columns, &self.folder.join("in").display().to_string(), cut)),
            output("windows", "window_start TIMESTAMP(3), k INT, n BIGINT, total BIGINT"),
            output("late", "id BIGINT, k INT, amount BIGINT, ts TIMESTAMP(3)"),
            self.logs.as_ref().and_then(|logs| logs.output(COPIES)).unwrap_or_else(|| output("copies", COPIES)),
            job,
        ]
        .concat()
    }

    pub(super) fn remove(&self) -> Result<(), Failure> {
        fs::remove_dir_all(&self.folder).map_err(wrong(&self.folder))?;
        self.place.remove();
        Ok(())
    }

    /// Every row once, and nothing left over. Adds what the round showed to the tally.
    pub(super) fn check(&self, tally: &mut Tally) -> Result<(), Failure> {
        let has = |output: &str| self.outputs.names().contains(&output);
        let written = self.logs.as_ref().and_then(|logs| logs.producer.as_ref()).map(Producer::acknowledged);
        let all = self.ledger.input.rows.len() as u64;
        if let Some(written) = written.filter(|written| *written < all) {
            return Err(format!("the job has finished although only {written} of {all} rows are written"));
        }
        let is_in_log = match &self.logs {
            Some(logs) => logs.read(COPIES)?,
            None => false,
        };
        if has("copies") {
            self.ledger.check_copies(&self.place.rows(if is_in_log { "read" } else { "copies" })?)?;
        }
        if let Some(logs) = &self.logs {
            logs.check_leftovers()?;
        }
        if let Some(observer) = &self.observer {
            let observed = observer.check_end()?;
            if has("copies") && observed.len() != self.ledger.input.rows.len() {
                let all = self.ledger.input.rows.len();
                return Err(format!("{MISSING}: observed were {} rows of {all}", observed.len()));
            }
        }
        if has("windows") {
            let late = if has("late") { self.place.rows("late")? } else { vec![] };
            tally.late += late.len() as u64;
            self.ledger.check_windows(&self.place.rows("windows")?, &late)?;
        }
        self.place.check_leftovers(self.outputs.names())
    }

    /// Cycles until the job finishes or enough are done (then one undisturbed run). Returns their number.
    pub(super) fn play(
        &self,
        most: u64,
        events: &mut Events,
        rng: &mut Rng,
        tally: &mut Tally,
    ) -> Result<u64, Failure> {
        let (mut cycles, mut last) = (0, None);
        // For whoever looks into the folder of a round that went wrong.
        let (diary_file, mut diary) = (self.folder.join("events"), String::new());
        loop {
            self.check_so_far()?;
            if cycles >= most {
                self.logs.iter().filter_map(|logs| logs.producer.as_ref()).for_each(Producer::hurry);
                let run = self.start(Event::Kill { at: None }, rng, tally)?;
                self.expect_success(self.wait(run)?)?;
                return Ok(cycles);
            }
            let event = match rng.below(10) {
                _ if self.at.is_some() => Event::Kill { at: self.at },
                n if self.planted.is_some() && n > 2 => Event::Kill { at: Some(rng.one_of(&BETWEEN_COMMITS)) },
                _ if self.planted.is_some() => Event::Kill { at: None },
                0 => Event::Sleeper,
                1 if self.pipeline.has_two_processes() => Event::KillSecond { at: None },
                1..3 => Event::Kill { at: None },
                _ => events.next_behind(last),
            };
            let begun = crate::bench::measure::now();
            let (happened, finished) = match event {
                Event::Sleeper => self.sleeper(rng, tally)?,
                Event::Kill { at } => self.kill(at, rng, tally)?,
                Event::KillAsked { at, command } => self.kill_asked(at, command, rng, tally)?,
                Event::Server(kind, fault) => self.server(kind, fault, rng, tally)?,
                Event::TransactionTimedOut => self.timed_out(rng, tally)?,
                _ => self.second(event, rng, tally)?,
            };
            if happened {
                tally.count(&event);
                (cycles, last) = (cycles + 1, Some(event));
                if cycles == 1 {
                    // The first start of a round restores nothing.
                    tally.reached.pop();
                }
                self.look_at(tally);
            }
            if event == events.next() {
                events.step(happened);
            }
            let how = if happened { "" } else { ": it came too late" };
            diary.push_str(&format!("{cycles:4} {event}{how}, {:.1} s\n", begun.elapsed().as_secs_f64()));
            fs::write(&diary_file, &diary).map_err(wrong(&diary_file))?;
            if finished {
                return Ok(cycles);
            }
        }
    }

    /// What the observer and the producer have to say while the job runs.
    fn check_so_far(&self) -> Result<(), Failure> {
        self.observer.as_ref().map_or(Ok(()), Observer::check)?;
        self.logs.as_ref().and_then(|logs| logs.producer.as_ref()).map_or(Ok(()), Producer::check)
    }

    /// While a process stands where nothing is being committed.
    fn check_epochs(&self, tally: &mut Tally) -> Result<(), Failure> {
        // What a source acknowledges is under way for a moment.
        if self.logs.is_some() {
            pause(UNDER_WAY);
        }
        let acknowledged = self.logs.as_ref().map_or(Ok(vec![]), Logs::acknowledged)?;
        if let Some(observer) = &self.observer {
            observer.check_epochs(&acknowledged)?;
        }
        if self.outputs == Outputs::All {
            let rows = |output: &str| self.place.rows(output);
            self.ledger.check_epochs(&rows("windows")?, &rows("late")?, &rows("copies")?)?;
        }
        tally.whole += 1;
        Ok(())
    }

    fn look_at(&self, tally: &mut Tally) {
        let visible = self.place.rows("windows").map_or(0, |rows| rows.len());
        tally.amid_windows += u64::from((1..self.ledger.windows()).contains(&visible));
    }

    fn start(&self, event: Event, rng: &mut Rng, tally: &mut Tally) -> Result<Run, Failure> {
        tally.starts += 1;
        if let Some(observer) = self.observer.as_ref().filter(|_| self.at == Some(OUTPUT)) {
            observer.await_output()?;
        }
        let mut command = Command::new(&self.binary);
        // Every start has a parallelism of its own: state and splits have to move.
        let parallelism = (1 + rng.below(4)).to_string();
        command.args(["run", "job.sql", "--restore", "latest", "-p", &parallelism]);
        if self.pipeline.has_two_processes() {
            command.args(["--processes", "2"]);
        }
        let log = |name: &str| fs::File::create(self.folder.join(name)).map_err(wrong(&self.folder));
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(log("stdout")?).stderr(log("stderr")?);
        for name in ["reached", "reached.go", "second-reached", "second-reached.go"] {
            drop(fs::remove_file(self.folder.join(name)));
        }
        // The first checkpoints of a log's readers may have nothing yet.
        let hit = match &self.logs {
            Some(_) => 1 + u64::from(self.planted.is_some()) * 3 + rng.below(8),
            None => 1 + rng.below(3),
        };
        match event {
            Event::Kill { at: Some(OUTPUT) } => {}
            Event::Kill { at: Some(point) }
            | Event::KillAsked { at: point, .. }
            | Event::KillSecond { at: Some(point) } => {
                // HEAD is swapped twice before a second process starts.
                let is_too_early = point == "torn_decided" && matches!(event, Event::KillSecond { .. });
                let hit = match point {
                    _ if self.at.is_some() => 1,
                    _ if point.starts_with("during_") || point == "drain" => 1,
                    _ if is_too_early => hit + 2,
                    _ => hit,
                };
                command.env("FLOTT_FAILPOINT", format!("{point}:{hit}"));
                command.env("FLOTT_FAILPOINT_REPORT", self.folder.join("reached"));
            }
            Event::TransactionTimedOut => {
                // All is sent, and the transaction is open.
                command.env("FLOTT_FAILPOINT", "mid_commit:1");
                command.env("FLOTT_FAILPOINT_REPORT", self.folder.join("reached"));
            }
            Event::KillSecondAtOwn(point) => {
                command.env("FLOTT_WORKER_FAILPOINT", format!("{point}:{hit}"));
                command.env("FLOTT_WORKER_FAILPOINT_REPORT", self.folder.join("second-reached"));
            }
            _ => {}
        }
        command.envs(self.planted.iter().map(|name| ("FLOTT_PLANTED", name)));
        let child = command.spawn().map_err(wrong(&self.binary))?;
        Ok(Run { child, peers: vec![] })
    }

    /// kill -9 of the first process. Says whether it came about, and whether the job has finished.
    fn kill(&self, at: Option<&'static str>, rng: &mut Rng, tally: &mut Tally) -> Result<(bool, bool), Failure> {
        let mut run = self.start(Event::Kill { at }, rng, tally)?;
        let reached = self.folder.join("reached");
        let started = crate::bench::measure::now();
        let shown = || self.observer.as_ref().and_then(Observer::shown_after);
        let is_there = || if at == Some(OUTPUT) { shown().is_some() } else { at.is_some() && reached.exists() };
        let deadline = if at.is_some() { PATIENCE } else { Duration::from_millis(rng.below(400)) };
        if let Some(status) = self.until(&mut run, deadline, is_there)? {
            // It finished before the point was reached: the round is over.
            self.expect_success(status)?;
            return Ok((false, true));
        }
        if at.is_some() && !is_there() {
            return Err(format!("the job hangs: {}", self.output()));
        }
        if self.at.is_some() {
            let took = shown().filter(|_| at == Some(OUTPUT)).unwrap_or_else(|| started.elapsed());
            tally.reached.push(took);
            if took > SLOW {
                self.keep_log(tally.starts, took)?;
            }
        }
        if at.is_some_and(|at| BETWEEN_COMMITS.contains(&at)) {
            self.check_epochs(tally)?;
        }
        self.kill_first(run, rng)?;
        Ok((true, false))
    }

    /// kill -9 of the first process where it does what a command asks for. A job that cannot be asked yet is asked again.
    fn kill_asked(
        &self,
        at: &'static str,
        command: &'static [&'static str],
        rng: &mut Rng,
        tally: &mut Tally,
    ) -> Result<(bool, bool), Failure> {
        let mut run = self.start(Event::KillAsked { at, command }, rng, tally)?;
        let reached = self.folder.join("reached");
        let delay = Duration::from_millis(rng.below(300));
        let mut ended = self.until(&mut run, delay, || false)?;
        while ended.is_none() && !reached.exists() {
            let mut ask = Command::new(&self.binary);
            ask.args(command).arg(run.child.id().to_string()).current_dir(&self.folder);
            if command == ["savepoint"] {
                ask.arg("savepoints");
            }
            let mut child = ask.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let child = child.as_mut().map_err(|e| format!("{}: {e}", self.binary.display()))?;
            ended = self.until(&mut run, PATIENCE, || reached.exists() || matches!(child.try_wait(), Ok(Some(_))))?;
            drop(child.kill());
            drop(child.wait());
            if ended.is_none() && !reached.exists() {
                pause(STEP);
            }
        }
        if let Some(status) = ended {
            self.expect_success(status)?;
            return Ok((false, true));
        }
        self.kill_first(run, rng)?;
        Ok((true, false))
    }

    /// Nobody survives the first process.
    fn kill_first(&self, mut run: Run, rng: &mut Rng) -> Result<(), Failure> {
        run.peers.extend(children(run.child.id()));
        run.child.kill().and_then(|()| run.child.wait()).map_err(|e| e.to_string())?;
        self.check_panics()?;
        // A successor may start while it still ends.
        if rng.below(2) == 0 { self.await_end(&run.peers) } else { Ok(()) }
    }

    fn await_end(&self, pids: &[u32]) -> Result<(), Failure> {
        match until(PATIENCE, || !pids.iter().any(|pid| is_alive(*pid))) {
            true => Ok(()),
            false => Err(format!("processes {pids:?} survive the first one: {}", self.output())),
        }
    }

    /// Something happens to the second process; the job goes on by itself, or is killed then.
    fn second(&self, event: Event, rng: &mut Rng, tally: &mut Tally) -> Result<(bool, bool), Failure> {
        let mut run = self.start(event, rng, tally)?;
        let first = run.child.id();
        let (reached, own) = (self.folder.join("reached"), self.folder.join("second-reached"));
        let some_time = Duration::from_millis(rng.below(400));
        let ended = match event {
            Event::KillSecond { at: Some(_) } => self.until(&mut run, PATIENCE, || reached.exists())?,
            Event::KillSecondAtOwn(_) => self.until(&mut run, PATIENCE, || own.exists())?,
            _ => match self.until(&mut run, PATIENCE, || !children(first).is_empty())? {
                Some(status) => Some(status),
                None => self.until(&mut run, some_time, || false)?,
            },
        };
        if let Some(status) = ended {
            self.expect_success(status)?;
            return Ok((false, true));
        }
        let is_there = match event {
            Event::KillSecond { at: Some(_) } => reached.exists(),
            Event::KillSecondAtOwn(_) => own.exists(),
            _ => true,
        };
        if !is_there {
            return Err(format!("the job hangs: {}", self.output()));
        }
        // HEAD is swapped, too, where a job begins: then there is nobody to kill yet.
        let Some(second) = children(first).first().copied() else {
            self.let_go()?;
            let status = self.wait(run)?;
            return self.expect_success(status).map(|()| (false, true));
        };
        match event {
            Event::KillSecond { .. } | Event::KillSecondAtOwn(_) => {
                // It may end at this very moment.
                drop(signal(second, "KILL"));
                self.let_go()?;
            }
            Event::Nap => {
                drop(signal(second, "STOP"));
                pause(Duration::from_millis(rng.below(HEARTBEAT_TIMEOUT_MS / 2)));
                drop(signal(second, "CONT"));
            }
            Event::StopSecond => {
                drop(signal(second, "STOP"));
                run.peers.push(second);
                let replaced = || children(first).iter().any(|pid| *pid != second);
                if let Some(status) = self.until(&mut run, PATIENCE, replaced)? {
                    drop(signal(second, "CONT"));
                    self.expect_success(status)?;
                    return Ok((false, true));
                }
                // It wakes while its successor works, or never.
                pause(Duration::from_millis(rng.below(300)));
                if rng.below(3) != 0 {
                    drop(signal(second, "CONT"));
                }
            }
            Event::StopSecondKillFirst => {
                drop(signal(second, "STOP"));
                run.child.kill().and_then(|()| run.child.wait()).map_err(|e| e.to_string())?;
                let successor = self.start(Event::Kill { at: None }, rng, tally)?;
                return self.with_sleeping_second(successor, second, rng);
            }
            _ => return Err(format!("{event} is no event of the second process")),
        }
        if rng.below(2) == 0 {
            let deadline = Duration::from_millis(rng.below(600));
            if let Some(status) = self.until(&mut run, deadline, || false)? {
                self.expect_success(status)?;
                return Ok((true, true));
            }
            let stopped = run.peers.clone();
            run.child.kill().and_then(|()| run.child.wait()).map_err(|e| e.to_string())?;
            stopped.iter().for_each(|pid| drop(signal(*pid, "CONT")));
            self.await_end(&stopped)?;
            return Ok((true, false));
        }
        let peers = run.peers.clone();
        let status = self.wait(run)?;
        self.expect_success(status)?;
        self.await_end(&peers)?;
        Ok((true, true))
    }

    /// The first process goes on from where it stands.
    fn let_go(&self) -> Result<(), Failure> {
        fs::write(self.folder.join("reached.go"), "").map_err(wrong(&self.folder))
    }

    /// A second process sleeps whose first is dead, while a successor works. When it wakes it ends and adds nothing.
    fn with_sleeping_second(&self, mut run: Run, sleeping: u32, rng: &mut Rng) -> Result<(bool, bool), Failure> {
        let ended = self.until(&mut run, Duration::from_millis(rng.below(1_500)), || false)?;
        drop(signal(sleeping, "CONT"));
        self.await_end(&[sleeping])?;
        match ended {
            Some(status) => self.expect_success(status).map(|()| (true, true)),
            None => self.kill_first(run, rng).map(|()| (true, false)),
        }
    }

    /// Stops a run, lets a successor go on until it has retired checkpoints, wakes the sleeper: it must be fenced.
    fn sleeper(&self, rng: &mut Rng, tally: &mut Tally) -> Result<(bool, bool), Failure> {
        let mut sleeper = self.start(Event::Sleeper, rng, tally)?;
        if let Some(status) = self.until(&mut sleeper, Duration::from_millis(50 + rng.below(300)), || false)? {
            self.expect_success(status)?;
            return Ok((false, true));
        }
        signal(sleeper.child.id(), "STOP")?;
        // What it has asked of a store that is a server of its own is still answered.
        pause(UNDER_WAY);
        let before = self.place.generation();
        let mut successor = self.start(Event::Sleeper, rng, tally)?;
        let ended = self.until(&mut successor, Duration::from_millis(300 + rng.below(500)), || false)?;
        // Stopped in the middle of a swap, a sleeper holds the lock, and the successor has taken nothing over; stopped
        // before it had opened the job, it takes the job back when it wakes. Both may finish.
        let taken_over = self.place.generation();
        signal(sleeper.child.id(), "CONT")?;
        let woken = self.wait(sleeper)?;
        let was_newest = taken_over == before || self.place.generation() > taken_over;
        // By then the successor may be through: a sleeper that had not opened the job yet does nothing, and says so.
        let found_done = self.output().contains(FOUND_DONE);
        if woken.success() && ended.is_none() && !was_newest && !found_done {
            return Err("a sleeper finished the job although a successor had taken it over".to_string());
        }
        if ended.is_none() {
            self.kill_first(successor, rng)?;
        }
        tally.zombies += u64::from(!woken.success());
        Ok((true, false))
    }

    /// Waits for the end, something else, or the deadline. Gives the status where the job has ended.
    fn until(
        &self,
        run: &mut Run,
        deadline: Duration,
        mut holds: impl FnMut() -> bool,
    ) -> Result<Option<ExitStatus>, Failure> {
        let started = crate::bench::measure::now();
        loop {
            if let Some(status) = run.child.try_wait().map_err(|e| e.to_string())? {
                return Ok(Some(status));
            }
            if started.elapsed() >= deadline || holds() {
                return Ok(None);
            }
            pause(STEP);
        }
    }

    /// Until the end, or until rows are wrong.
    fn wait(&self, mut run: Run) -> Result<ExitStatus, Failure> {
        match self.until(&mut run, PATIENCE, || self.check_so_far().is_err())? {
            Some(status) => self.check_panics().map(|()| status),
            None => self.check_so_far().and_then(|()| Err(format!("the job hangs: {}", self.output()))),
        }
    }

    /// For whoever asks why a start took so long: all that the job has said, which `FLOTT_LOG` can make more.
    fn keep_log(&self, start: u64, took: Duration) -> Result<(), Failure> {
        let folder = root().join("target/slow-starts");
        fs::create_dir_all(&folder).map_err(wrong(&folder))?;
        let name = format!("{}-{start}-{}-ms.log", self.pipeline.name(), took.as_millis());
        fs::copy(self.folder.join("stderr"), folder.join(name)).map(drop).map_err(wrong(&folder))
    }

    fn output(&self) -> String {
        fs::read_to_string(self.folder.join("stderr")).unwrap_or_default()
    }

    fn check_panics(&self) -> Result<(), Failure> {
        let output = self.output();
        if output.contains("panicked") { Err(format!("a process panicked: {output}")) } else { Ok(()) }
    }

    fn expect_success(&self, status: ExitStatus) -> Result<(), Failure> {
        self.check_panics()?;
        if status.success() { Ok(()) } else { Err(format!("the job failed ({status}): {}", self.output())) }
    }
}
