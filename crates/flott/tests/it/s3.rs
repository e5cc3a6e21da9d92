//! Jobs from S3 to S3 with their checkpoints on S3: `cargo xtask services up versitygw`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flott::{ErrorKind, Job, JobOutcome, Outcome, Restore, SavepointTarget, Session, StopMode};
use flott_connector::storage::{self, StorageLocation};
use flott_core::id;
use flott_core::options::Options;
use flott_state::CheckpointStorage;
use flott_state::storage::{HeadVersion, Swap};
use flott_testkit::services::{Fate, LossyProxy, OwnS3, S3};

const FILES: i64 = 40;
const ROWS_PER_FILE: i64 = 50;
/// Rows of a window.
const WINDOW: i64 = 100;

/// A prefix in a bucket, and the way to it that jobs take.
struct Place {
    s3: S3,
    /// Where jobs see the store: the same, or a proxy.
    seen: S3,
    name: String,
    folder: tempfile::TempDir,
}

impl Place {
    fn new(s3: S3) -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        Place { seen: s3.clone(), s3, name: format!("jobs-{}", id::random_hex()), folder }
    }

    fn behind(s3: S3, proxy: &LossyProxy) -> Place {
        Place { seen: s3.at(proxy.port()), ..Place::new(s3) }
    }

    fn url(&self, folder: &str) -> String {
        format!("s3://{}/{}/{folder}", self.s3.bucket, self.name)
    }

    fn location(&self, folder: &str) -> StorageLocation {
        let mut options = Options::new();
        self.s3.options().iter().for_each(|(k, v)| options.set(*k, v.as_str()));
        storage::open(&self.url(folder), Path::new("/"), &options).unwrap_or_else(|e| panic!("{e}"))
    }

    fn storage(&self, folder: &str) -> CheckpointStorage {
        let StorageLocation { store, path, display, .. } = self.location(folder);
        CheckpointStorage::Object { store, prefix: path, display }
    }

    /// Rows whose numbers are their times.
    async fn put_input(&self) {
        let storage = self.storage("in");
        for file in 0..FILES {
            let rows: String = (0..ROWS_PER_FILE).map(|row| format!("{}\n", file * ROWS_PER_FILE + row)).collect();
            storage.put(&format!("f{file:03}.csv"), Bytes::from(rows)).await.unwrap_or_else(|e| panic!("{e}"));
        }
    }

    /// Starts the job, which writes windows and, to see more files, the rows themselves.
    async fn start(&self, restore: Restore) -> flott::Result<Job> {
        let mut builder = Session::builder()
            .base_dir(self.folder.path())
            .restore(restore)
            .option("parallelism.default", "2")
            .option("execution.checkpointing.interval", "100 ms")
            .option("restart-strategy.type", "fixed-delay")
            .option("restart-strategy.fixed-delay.attempts", "100")
            .option("restart-strategy.fixed-delay.delay", "200 ms")
            .option("execution.checkpointing.dir", self.url("checkpoints"));
        for (key, value) in self.seen.options() {
            builder = builder.option(key, value);
        }
        let mut session = builder.build()?;
        let script = format!(
            "CREATE TABLE s (id BIGINT, ts AS TO_TIMESTAMP_LTZ(id, 3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
               WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv');
             CREATE TABLE w (w BIGINT, n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv');
             CREATE TABLE r (id BIGINT) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv');
             EXECUTE STATEMENT SET BEGIN
             INSERT INTO w SELECT MIN(id) / {WINDOW}, COUNT(*)
               FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '0.1' SECOND)) GROUP BY window_start, window_end;
             INSERT INTO r SELECT id FROM s;
             END;",
            self.url("in"),
            self.url("windows"),
            self.url("rows")
        );
        for statement in session.parse(&script)? {
            if let Outcome::Job(job) = session.execute(&statement).await? {
                return Ok(job);
            }
        }
        panic!("no job was started")
    }

    /// Lines of visible files.
    async fn lines(&self, folder: &str) -> Vec<Vec<i64>> {
        let storage = self.storage(folder);
        let mut rows = vec![];
        for name in storage.list("").await.expect("listed").into_iter().filter(|n| !n.starts_with('.')) {
            let content = storage.get(&name).await.expect("read").expect("there");
            let text = String::from_utf8(content.to_vec()).expect("text");
            rows.extend(text.lines().map(|l| l.split(',').map(|n| n.parse().expect("a number")).collect::<Vec<i64>>()));
        }
        rows.sort_unstable();
        rows
    }

    /// Every row and every window is there once.
    async fn check(&self) {
        let rows: Vec<i64> = self.lines("rows").await.into_iter().map(|r| r[0]).collect();
        assert!(rows == (0..FILES * ROWS_PER_FILE).collect::<Vec<_>>(), "{} rows", rows.len());
        let windows: BTreeMap<i64, i64> = self.lines("windows").await.into_iter().map(|r| (r[0], r[1])).collect();
        assert_eq!(windows, (0..FILES * ROWS_PER_FILE / WINDOW).map(|w| (w, WINDOW)).collect());
        let all = self.storage("").list("").await.expect("listed");
        let left: Vec<&String> = all.iter().filter(|n| n.contains("/.flott-staging/")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

async fn end(job: &mut Job) -> flott::Result<JobOutcome> {
    tokio::time::timeout(Duration::from_secs(90), job.wait()).await.expect("the job ends in time")
}

async fn underway(job: &Job, rows: u64) {
    let read = || -> u64 {
        let graph = job.handle.graph();
        graph.sources().map(|(id, _)| job.handle.metrics().sum(id.0, |m| &m.records_out)).sum()
    };
    until("rows", || read() >= rows).await;
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited too long for {what}");
}

/// Objects of the input take their time, so that a job has a middle.
#[expect(clippy::disallowed_methods, reason = "a thread of a test's proxy")]
fn slow_input(line: &str) {
    if line.starts_with("GET") && line.contains("/in/f") {
        std::thread::sleep(Duration::from_millis(60));
    }
}

/// The texts of all files below a folder.
fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files_below(&entry.path()));
        } else if let Ok(content) = std::fs::read(entry.path()) {
            found.push((entry.path(), content));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_killed_and_comes_back_costs_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    let Some(mut gateway) = OwnS3::start(data.path()) else { return };
    let proxy = LossyProxy::start(&gateway.address().endpoint, |line| {
        slow_input(line);
        false
    });
    let place = Place::behind(gateway.address(), &proxy);
    place.put_input().await;
    let mut job = place.start(Restore::Ask).await.expect("starts");
    underway(&job, 300).await;
    gateway.kill();
    // Longer than a request is tried again: the job fails, and so may some of its new attempts.
    tokio::time::sleep(Duration::from_secs(8)).await;
    gateway.run();
    let outcome = end(&mut job).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(outcome, JobOutcome::Finished(_)), "{outcome:?}");
    place.check().await;
    let secret = gateway.address().secret_key;
    for folder in [data.path(), place.folder.path()] {
        for (path, content) in files_below(folder) {
            let is_in = content.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!is_in, "the secret is in {}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_and_a_stop_amid_the_job_cost_nothing() {
    let Some(s3) = S3::running() else { return };
    let (writes, heads) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&heads);
    let proxy = LossyProxy::start(&s3.endpoint, move |line| {
        slow_input(line);
        let is_write = !line.starts_with("GET") && !line.starts_with("HEAD");
        let loses = is_write && writes.fetch_add(1, Ordering::SeqCst) % 5 == 4;
        counted.fetch_add(usize::from(loses && line.contains("/HEAD ")), Ordering::SeqCst);
        loses
    });
    let place = Place::behind(s3, &proxy);
    place.put_input().await;
    let mut job = place.start(Restore::Ask).await.expect("starts");
    underway(&job, 300).await;
    job.handle.request_stop(StopMode::suspend()).await.expect("it runs");
    let outcome = end(&mut job).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(outcome, JobOutcome::Suspended(_)), "{outcome:?}");
    assert!((place.lines("rows").await.len() as i64) < FILES * ROWS_PER_FILE);
    let mut job = place.start(Restore::Latest).await.expect("goes on");
    let outcome = end(&mut job).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(outcome, JobOutcome::Finished(_)), "{outcome:?}");
    assert!(heads.load(Ordering::SeqCst) > 0, "no answer about HEAD was lost");
    place.check().await;
}

/// A proxy that refuses writes in this way once `refuses` is true.
fn refusing(s3: &S3, status: u16, code: &'static str) -> (LossyProxy, Arc<AtomicBool>) {
    let refuses = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&refuses);
    let proxy = LossyProxy::deciding(&s3.endpoint, move |line| {
        slow_input(line);
        let is_write = !line.starts_with("GET") && !line.starts_with("HEAD");
        if is_write && now.load(Ordering::SeqCst) { Fate::Refused(status, code) } else { Fate::Answered }
    });
    (proxy, refuses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_refuses_amid_the_job_fails_it_and_nothing_is_lost() {
    let Some(s3) = S3::running() else { return };
    let (proxy, refuses) = refusing(&s3, 403, "AccessDenied");
    let place = Place::behind(s3, &proxy);
    place.put_input().await;
    let mut job = place.start(Restore::Ask).await.expect("starts");
    underway(&job, 300).await;
    refuses.store(true, Ordering::SeqCst);
    let error = end(&mut job).await.expect_err("it may not write");
    assert_eq!(error.kind(), ErrorKind::User, "{error}");
    let text = error.to_string();
    assert!(text.contains("Check permissions and credentials") && text.contains(&place.name), "{text}");
    assert!(!text.contains(&place.s3.secret_key), "{text}");
    let seen = place.lines("rows").await;
    assert!((seen.len() as i64) < FILES * ROWS_PER_FILE && seen.windows(2).all(|w| w[0] < w[1]), "{}", seen.len());
    refuses.store(false, Ordering::SeqCst);
    let mut job = place.start(Restore::Latest).await.expect("goes on");
    let outcome = end(&mut job).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(outcome, JobOutcome::Finished(_)), "{outcome:?}");
    place.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_overloaded_for_a_while_is_waited_for() {
    let Some(s3) = S3::running() else { return };
    let (proxy, refuses) = refusing(&s3, 503, "SlowDown");
    let place = Place::behind(s3, &proxy);
    place.put_input().await;
    let mut job = place.start(Restore::Ask).await.expect("starts");
    underway(&job, 300).await;
    refuses.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(2)).await;
    refuses.store(false, Ordering::SeqCst);
    let outcome = end(&mut job).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(outcome, JobOutcome::Finished(_)), "{outcome:?}");
    place.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_attempts_only_one_decides() {
    let Some(s3) = S3::running() else { return };
    // The first attempt is not to finish while the second one begins.
    let is_held = Arc::new(AtomicBool::new(false));
    let held = Arc::clone(&is_held);
    let proxy = LossyProxy::start(&s3.endpoint, move |line| {
        slow_input(line);
        while held.load(Ordering::SeqCst) && line.starts_with("GET") && line.contains("/in/f") {
            slow_input(line);
        }
        false
    });
    let place = Place::behind(s3, &proxy);
    place.put_input().await;
    let mut first = place.start(Restore::Ask).await.expect("starts");
    underway(&first, 200).await;
    is_held.store(true, Ordering::SeqCst);
    // The server of the tests has a moment between comparing tags and writing: the other's put may then win after ours has
    // been answered, which the next put finds out. Whoever starts is told, and tries again.
    let mut second = match place.start(Restore::Latest).await {
        Err(e) if e.kind() == ErrorKind::Fenced => place.start(Restore::Latest).await.expect("takes over"),
        started => started.expect("takes over"),
    };
    is_held.store(false, Ordering::SeqCst);
    let (first, second) = tokio::join!(end(&mut first), end(&mut second));
    assert_eq!(first.expect_err("its successor decides").kind(), ErrorKind::Fenced);
    assert!(matches!(second, Ok(JobOutcome::Finished(_))), "{second:?}");
    place.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_savepoint_in_the_bucket_starts_the_job_again() {
    let Some(s3) = S3::running() else { return };
    let proxy = LossyProxy::start(&s3.endpoint, |line| {
        slow_input(line);
        false
    });
    let place = Place::behind(s3, &proxy);
    place.put_input().await;
    let mut job = place.start(Restore::Ask).await.expect("starts");
    underway(&job, 300).await;
    let into = SavepointTarget::In(place.url("savepoints"));
    let mode = StopMode { savepoint: Some(into), ..StopMode::suspend() };
    job.handle.request_stop(mode).await.expect("it runs");
    end(&mut job).await.unwrap_or_else(|e| panic!("{e}"));
    let saved = place.storage("savepoints").list("").await.expect("listed");
    let savepoint = saved.first().and_then(|n| n.split('/').next()).expect("a savepoint");
    let path = Restore::Path(place.url(&format!("savepoints/{savepoint}")).into());
    let mut job = place.start(path).await.unwrap_or_else(|e| panic!("{e}"));
    let outcome = end(&mut job).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(outcome, JobOutcome::Finished(_)), "{outcome:?}");
    place.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_swaps_from_one_version_exactly_one_wins() {
    let Some(s3) = S3::running() else { return };
    let storage = Place::new(s3.clone()).storage("race");
    let mut before = HeadVersion::Absent;
    for round in 0..5u8 {
        let swaps = (0..8u8).map(|i| {
            let (storage, before) = (storage.clone(), before.clone());
            tokio::spawn(async move { storage.swap_head(&before, Bytes::from(vec![round, i])).await.expect("a swap") })
        });
        let mut winners = vec![];
        for swap in swaps.collect::<Vec<_>>() {
            if let Swap::Done(version) = swap.await.expect("a task") {
                winners.push(version);
            }
        }
        let [winner] = winners.as_slice() else { panic!("{winners:?}") };
        before = winner.clone();
    }
    // The answer is lost, the swap is not: it is found out by reading.
    let lost = Arc::new(AtomicBool::new(false));
    let once = Arc::clone(&lost);
    let proxy =
        LossyProxy::start(&s3.endpoint, move |line| line.starts_with("PUT") && !once.swap(true, Ordering::SeqCst));
    let place = Place::behind(s3, &proxy);
    let behind = Place { s3: place.seen.clone(), ..place };
    let storage = behind.storage("lost");
    let Swap::Done(version) = storage.swap_head(&HeadVersion::Absent, Bytes::from("a")).await.expect("a swap") else {
        panic!("nobody else is there")
    };
    assert!(lost.load(Ordering::SeqCst));
    assert_eq!(storage.swap_head(&HeadVersion::Absent, Bytes::from("b")).await.expect("a swap"), Swap::Lost);
    assert!(matches!(storage.swap_head(&version, Bytes::from("c")).await.expect("a swap"), Swap::Done(_)));
}
