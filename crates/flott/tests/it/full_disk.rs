//! A disk that is full, and has space again: of the sink's files, of the checkpoints.
//!
//! The disk is a small tmpfs; where it may not be mounted, the tests say `SKIPPED`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use flott::{ErrorKind, Job, JobOutcome, Outcome, Restore, Session};
use flott_testkit::skipped;

const ROWS: i64 = 6_000;

/// A disk of 4 MiB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder.path()).stderr(Stdio::null());
        if mount.status().is_ok_and(|s| s.success()) {
            return Some(SmallDisk(folder));
        }
        skipped("a tmpfs cannot be mounted here: run the tests as root of a machine or user namespace");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Until not a byte fits. What the job frees meanwhile is taken by the next call.
    fn fill(&self) {
        let mut file = std::fs::File::options().create(true).append(true).open(self.ballast()).expect("a file");
        for block in [256 << 10, 4 << 10, 1] {
            while file.write_all(&vec![0; block]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.path()).status().ok();
    }
}

/// Rows for two seconds from a folder to another, with checkpoints in a third.
async fn start(out: &Path, checkpoints: &Path, strategy: &str) -> flott::Result<Job> {
    let mut session = Session::builder()
        .base_dir(out)
        .restore(Restore::Ask)
        .option("parallelism.default", "2")
        .option("execution.checkpointing.interval", "50 ms")
        .option("execution.checkpointing.dir", checkpoints.display().to_string())
        .option("restart-strategy.type", strategy)
        .option("restart-strategy.fixed-delay.attempts", "1000")
        .option("restart-strategy.fixed-delay.delay", "50 ms")
        .build()?;
    let script = format!(
        "CREATE TABLE s (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '3000',
           'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '{ROWS}');
         CREATE TABLE o (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
         INSERT INTO o SELECT id FROM s;"
    );
    for statement in session.parse(&script)? {
        if let Outcome::Job(job) = session.execute(&statement).await? {
            return Ok(job);
        }
    }
    panic!("no job was started")
}

/// Numbers in visible files: each is whole.
fn written(out: &Path) -> Vec<i64> {
    let files = std::fs::read_dir(out.join("o")).into_iter().flatten().flatten();
    let mut rows = vec![];
    for file in files.filter(|f| f.path().is_file()) {
        let text = std::fs::read_to_string(file.path()).expect("text");
        assert!(text.ends_with('\n'), "a half file is visible: {}", file.path().display());
        rows.extend(text.lines().map(|l| l.parse::<i64>().expect("a number")));
    }
    rows.sort_unstable();
    rows
}

async fn end(job: &mut Job) -> flott::Result<JobOutcome> {
    tokio::time::timeout(Duration::from_secs(30), job.wait()).await.expect("the job ends in time")
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited too long for {what}");
}

/// The disk fills up amid the job, which goes on once there is room.
async fn goes_on_when_there_is_room(disk: &SmallDisk, out: &Path, checkpoints: &Path) {
    let mut job = start(out, checkpoints, "fixed-delay").await.expect("starts");
    until("output", || !written(out).is_empty()).await;
    until("restarts", || {
        disk.fill();
        job.handle.state().restarts > 1
    })
    .await;
    let before = written(out);
    assert!(before.len() < ROWS as usize && before.windows(2).all(|w| w[0] < w[1]), "{}", before.len());
    disk.make_room();
    let outcome = end(&mut job).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(outcome, JobOutcome::Finished(_)), "{outcome:?}");
    assert!(written(out) == (1..=ROWS).collect::<Vec<_>>());
}

/// What a job says that is not started again.
async fn is_told(disk: &SmallDisk, out: &Path, checkpoints: &Path) {
    let mut job = start(out, checkpoints, "none").await.expect("starts");
    until("output", || !written(out).is_empty()).await;
    let filling = async {
        loop {
            disk.fill();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ended = tokio::select! {
        ended = end(&mut job) => ended,
        () = filling => unreachable!("it goes on for ever"),
    };
    let error = ended.expect_err("the disk is full");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let text = error.to_string();
    assert!(text.contains("Free some space") && text.contains(&disk.path().display().to_string()), "{text}");
    written(out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_below_the_sink() {
    let Some(disk) = SmallDisk::mount() else { return };
    let elsewhere = tempfile::tempdir().expect("a folder");
    goes_on_when_there_is_room(&disk, disk.path(), elsewhere.path()).await;
    let Some(disk) = SmallDisk::mount() else { return };
    is_told(&disk, disk.path(), &elsewhere.path().join("other")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_below_the_checkpoints() {
    let Some(disk) = SmallDisk::mount() else { return };
    let elsewhere = tempfile::tempdir().expect("a folder");
    goes_on_when_there_is_room(&disk, elsewhere.path(), disk.path()).await;
    let Some(disk) = SmallDisk::mount() else { return };
    let elsewhere = tempfile::tempdir().expect("a folder");
    is_told(&disk, elsewhere.path(), disk.path()).await;
}
