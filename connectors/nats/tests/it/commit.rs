//! The exactly-once sink against a real server: what a commit does when it is repeated, cut short or overtaken.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flott_connector::TableContext;
use flott_connector::sink::{CommitOutcome, Committable, Committer, CommitterContext, Sink, WriterContext};
use flott_connector::source::SubtaskInfo;
use flott_core::{CheckpointId, DecidedCheckpoint, ErrorKind, FailPoints, Generation, id};
use flott_testkit::batch;
use flott_testkit::nats::{Nats, OwnNats};
use serde_json::{Value, json};

use crate::support::{BOUNDED, registry, rows, soon, table};

struct Job {
    nats: Nats,
    stream: String,
    lineage: String,
    sink: Arc<dyn Sink>,
    folder: std::path::PathBuf,
}

fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", id::random_hex())
}

/// The table's sink, as one process has it.
fn sink(nats: &Nats, stream: &str, folder: &Path, options: &[(&str, &str)], fail_points: FailPoints) -> Arc<dyn Sink> {
    let (subject, markers) = (format!("{stream}.out"), format!("{stream}.markers"));
    let own = [
        ("sink.delivery-guarantee", "exactly-once"),
        ("subject", subject.as_str()),
        ("sink.marker-subject", markers.as_str()),
    ];
    let table = table("i INT", nats, stream, &[&own, options].concat()).base_dir(folder);
    let context = TableContext { fail_points, ..table.sink() };
    registry().connector("nats").expect("it").sink(&context).expect("a sink").sink
}

impl Drop for Job {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "stands for the store")]
fn decided(lineage: &str, checkpoint: u64) -> DecidedCheckpoint {
    DecidedCheckpoint::proven_by_head(lineage, CheckpointId(checkpoint))
}

fn committer_context(lineage: &str, generation: u64) -> CommitterContext {
    CommitterContext {
        lineage: lineage.to_string(),
        generation: Generation(generation),
        operator_uid: "sink".to_string(),
        replaced_lineages: vec![],
    }
}

const FITS: [(&str, bool); 1] = [("allow_atomic", true)];

impl Job {
    async fn new() -> Option<Job> {
        Some(Job::with(Nats::running()?, &[], json!({})).await)
    }

    async fn with(nats: Nats, options: &[(&str, &str)], mut config: Value) -> Job {
        for (key, value) in FITS {
            config[key] = value.into();
        }
        let stream = nats.stream(config).await.expect("a stream");
        let folder = std::env::temp_dir().join(unique("flott-nats"));
        let sink = sink(&nats, &stream, &folder, options, FailPoints::none());
        Job { nats, stream, lineage: unique("lineage"), sink, folder }
    }

    fn writer_context(&self, generation: u64) -> WriterContext {
        WriterContext {
            subtask: SubtaskInfo { index: 0, parallelism: 1 },
            lineage: self.lineage.clone(),
            generation: Generation(generation),
            operator_uid: "sink".to_string(),
        }
    }

    /// Rows of an epoch, staged and prepared.
    async fn stage(&self, generation: u64, checkpoint: u64, rows: &[&str]) -> Vec<Committable> {
        let mut writer = self.sink.create_writer(self.writer_context(generation), vec![]).expect("a writer");
        writer.write(batch("i INT", rows)).await.expect("taken");
        writer.flush(false).await.expect("durable");
        let prepared = writer.prepare_commit(CheckpointId(checkpoint)).await.expect("prepared");
        writer.close().await.expect("closed");
        prepared
    }

    fn committer(&self, generation: u64) -> Box<dyn Committer> {
        self.sink.create_committer(committer_context(&self.lineage, generation)).expect("made").expect("one")
    }

    /// Rows of the stream, without markers.
    async fn visible(&self) -> Vec<String> {
        let all = self.nats.read(&self.stream).await.expect("read");
        let rows = all.iter().filter(|m| !m.headers.iter().any(|(name, _)| name == "Flott-Marker"));
        let mut texts: Vec<String> = rows.map(|m| m.text()).collect();
        texts.sort();
        texts
    }

    fn staged(&self) -> usize {
        flott_testkit::files_below(&self.folder)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_visible_once_however_often_they_are_committed() {
    let Some(job) = Job::new().await else { return };
    let mut first = job.committer(1);
    first.clean_up(&[]).await.expect("claimed");
    let epoch = job.stage(1, 1, &["+I[1]", "+I[2]"]).await;
    assert!(job.visible().await.is_empty());
    let outcomes = first.commit(&decided(&job.lineage, 1), &epoch).await.expect("committed");
    assert_eq!(outcomes, [CommitOutcome::Committed]);
    assert_eq!(job.visible().await, [r#"{"i":1}"#, r#"{"i":2}"#]);
    assert_eq!(job.staged(), 0);
    let again = first.commit(&decided(&job.lineage, 1), &epoch).await.expect("again");
    assert_eq!(again, [CommitOutcome::AlreadyCommitted]);
    // The next attempt, which knows nothing.
    let mut second = job.committer(2);
    let again = second.commit(&decided(&job.lineage, 1), &epoch).await.expect("again");
    assert_eq!(again, [CommitOutcome::AlreadyCommitted]);
    second.clean_up(&[]).await.expect("claimed");
    let next = job.stage(2, 2, &["+I[3]"]).await;
    assert_eq!(second.commit(&decided(&job.lineage, 2), &next).await.expect("committed"), [CommitOutcome::Committed]);
    assert_eq!(job.visible().await, [r#"{"i":1}"#, r#"{"i":2}"#, r#"{"i":3}"#]);
    // Our own source passes over markers, and its position goes on over them.
    let all = table("i INT", &job.nats, &job.stream, &[BOUNDED]);
    assert_eq!(soon(rows(&all, 1)).await.expect("read"), ["+I[1]", "+I[2]", "+I[3]"]);
}

/// The old attempt wakes up with output that the new one has committed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_was_overtaken_writes_nothing() {
    let Some(job) = Job::new().await else { return };
    let mut old = job.committer(1);
    old.clean_up(&[]).await.expect("claimed");
    let epoch = job.stage(1, 1, &["+I[1]"]).await;
    // What it knows of the marker is from before.
    let mut new = job.committer(2);
    assert_eq!(new.commit(&decided(&job.lineage, 1), &epoch).await.expect("committed"), [CommitOutcome::Committed]);
    new.clean_up(&[]).await.expect("claimed");
    let mut fenced = false;
    for _ in 0..3 {
        match old.commit(&decided(&job.lineage, 1), &epoch).await {
            Ok(outcomes) => assert!(!matches!(outcomes[0], CommitOutcome::Committed), "{outcomes:?}"),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Fenced, "{e}");
                fenced = true;
                break;
            }
        }
    }
    assert!(fenced, "the old attempt never noticed");
    assert_eq!(job.visible().await, [r#"{"i":1}"#]);
    let next = job.stage(2, 2, &["+I[2]"]).await;
    assert_eq!(new.commit(&decided(&job.lineage, 2), &next).await.expect("committed"), [CommitOutcome::Committed]);
    assert_eq!(job.visible().await, [r#"{"i":1}"#, r#"{"i":2}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_that_is_gone_or_a_file_that_is_gone_is_told() {
    let Some(job) = Job::new().await else { return };
    let epoch = job.stage(1, 1, &["+I[1]"]).await;
    // Nobody has claimed the output: to the committer its marker is lost.
    let error = job.committer(1).commit(&decided(&job.lineage, 1), &epoch).await.expect_err("no marker");
    assert!(error.kind() == ErrorKind::User && error.to_string().contains("is gone from the stream"), "{error}");
    let mut committer = job.committer(1);
    committer.clean_up(&[]).await.expect("claimed");
    std::fs::remove_dir_all(&job.folder).expect("removed");
    let outcomes = committer.commit(&decided(&job.lineage, 1), &epoch).await.expect("an outcome");
    assert!(matches!(&outcomes[0], CommitOutcome::Failed { reason } if reason.contains("is gone")), "{outcomes:?}");
    assert!(job.visible().await.is_empty());
}

/// What dead attempts have staged goes; what is to be committed stays.
#[tokio::test(flavor = "multi_thread")]
async fn staged_files_of_dead_attempts_are_removed() {
    let Some(job) = Job::new().await else { return };
    let kept = job.stage(1, 1, &["+I[1]"]).await;
    let _dead = job.stage(1, 2, &["+I[2]"]).await;
    let own = job.stage(2, 2, &["+I[3]"]).await;
    assert_eq!(job.staged(), 3);
    let mut committer = job.committer(2);
    committer.clean_up(&[kept[0].id.clone()]).await.expect("cleaned up");
    assert_eq!(job.staged(), 2);
    committer.abort(&own).await.expect("aborted");
    assert_eq!(job.staged(), 0);
}

const FIVE: [&str; 5] = [r#"{"i":1}"#, r#"{"i":2}"#, r#"{"i":3}"#, r#"{"i":4}"#, r#"{"i":5}"#];

/// An epoch that is too large for a batch: three of them, and an attempt that stops before, between and after any, and whose
/// batch comes late.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_epoch_of_several_batches_goes_on_where_it_stands() {
    let Some(nats) = Nats::running() else { return };
    let parts = [("sink.batch.max-rows", "2")];
    // Each is stopped at before its marker, and between two of them.
    for (stop, seen) in [(1, 0), (2, 2), (5, 4)] {
        let job = Job::with(nats.clone(), &parts, json!({})).await;
        job.committer(1).clean_up(&[]).await.expect("claimed");
        let mut epoch = job.stage(1, 1, &["+I[1]", "+I[2]", "+I[3]"]).await;
        epoch.extend(job.stage(1, 1, &["+I[4]", "+I[5]"]).await);
        let report = job.folder.join("report");
        let armed = FailPoints::armed(&format!("mid_commit:{stop}"), &report).expect("a fail point");
        let dying = sink(&nats, &job.stream, &job.folder, &parts, armed);
        let mut dying = dying.create_committer(committer_context(&job.lineage, 1)).expect("made").expect("a committer");
        let (decision, committables) = (decided(&job.lineage, 1), epoch.clone());
        let dead = tokio::spawn(async move { dying.commit(&decision, &committables).await });
        while !report.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(job.visible().await.len(), seen, "at stop {stop}");
        // The order in which the files are named must not matter.
        epoch.reverse();
        let mut next = job.committer(2);
        let outcomes = next.commit(&decided(&job.lineage, 1), &epoch).await.expect("gone on");
        assert_eq!(outcomes, [CommitOutcome::Committed, CommitOutcome::Committed], "at stop {stop}");
        assert_eq!(job.visible().await, FIVE, "at stop {stop}");
        // It was not dead.
        std::fs::write(report.with_added_extension("go"), "").expect("let go");
        match dead.await.expect("ended") {
            Ok(outcomes) => assert!(!outcomes.contains(&CommitOutcome::Committed), "at stop {stop}: {outcomes:?}"),
            Err(e) => assert_eq!(e.kind(), ErrorKind::Fenced, "{e}"),
        }
        assert_eq!(job.visible().await, FIVE, "at stop {stop}");
        let outcomes = job.committer(3).commit(&decided(&job.lineage, 1), &epoch).await.expect("again");
        assert_eq!(outcomes, [CommitOutcome::AlreadyCommitted, CommitOutcome::AlreadyCommitted]);
    }
}

/// More rows than a batch has, and more bytes.
#[tokio::test(flavor = "multi_thread")]
async fn many_rows_go_in_many_batches() {
    let Some(job) = Job::new().await else { return };
    job.committer(1).clean_up(&[]).await.expect("claimed");
    let rows: Vec<String> = (0..2_500).map(|i| format!("+I[{i}]")).collect();
    let epoch = job.stage(1, 1, &rows.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let outcomes = job.committer(1).commit(&decided(&job.lineage, 1), &epoch).await.expect("committed");
    assert_eq!(outcomes, [CommitOutcome::Committed]);
    assert_eq!(job.visible().await.len(), 2_500);
}

/// The claim of an attempt between two batches says nothing about rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_claim_keeps_how_far_an_epoch_has_come() {
    let Some(nats) = Nats::running() else { return };
    let parts = [("sink.batch.max-rows", "2")];
    let job = Job::with(nats.clone(), &parts, json!({})).await;
    job.committer(1).clean_up(&[]).await.expect("claimed");
    let epoch = job.stage(1, 1, &["+I[1]", "+I[2]", "+I[3]", "+I[4]", "+I[5]"]).await;
    let report = job.folder.join("report");
    let armed = FailPoints::armed("mid_commit:2", &report).expect("a fail point");
    let dying = sink(&nats, &job.stream, &job.folder, &parts, armed);
    let mut dying = dying.create_committer(committer_context(&job.lineage, 1)).expect("made").expect("a committer");
    let (decision, committables) = (decided(&job.lineage, 1), epoch.clone());
    let dead = tokio::spawn(async move { dying.commit(&decision, &committables).await });
    while !report.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    job.committer(2).clean_up(&[epoch[0].id.clone()]).await.expect("claimed");
    let mut third = job.committer(3);
    third.commit(&decided(&job.lineage, 1), &epoch).await.expect("gone on");
    assert_eq!(job.visible().await, FIVE);
    std::fs::write(report.with_added_extension("go"), "").expect("let go");
    dead.await.expect("ended").ok();
    assert_eq!(job.visible().await, FIVE);
}

/// Streams that would drop a marker, or take no batches, and rows that a stream does not take: told while nothing is decided.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_does_not_do_is_told_before_anything_is_decided() {
    let Some(nats) = Nats::running() else { return };
    let hour: u64 = 3_600_000_000_000;
    for (config, part) in [
        (json!({ "max_msgs": 100 }), "when it is full"),
        (json!({ "max_bytes": 100_000 }), "when it is full"),
        (json!({ "max_age": hour }), "by age"),
    ] {
        let job = Job::with(nats.clone(), &[], config).await;
        let error = job.committer(1).clean_up(&[]).await.expect_err(part);
        assert!(error.kind() == ErrorKind::User && error.to_string().contains(part), "{error}");
    }
    let folder = std::env::temp_dir().join(unique("flott-nats"));
    let plain = nats.stream(json!({})).await.expect("a stream");
    let refused = sink(&nats, &plain, &folder, &[], FailPoints::none());
    let mut refused = refused.create_committer(committer_context("l", 1)).expect("made").expect("one");
    let error = refused.clean_up(&[]).await.expect_err("no batches");
    assert!(error.to_string().contains("allow_atomic"), "{error}");
    // With what is asked for it goes.
    for config in [json!({ "max_age": hour, "allow_msg_ttl": true }), json!({ "max_msgs": 100, "discard": "new" })] {
        let job = Job::with(nats.clone(), &[], config).await;
        job.committer(1).clean_up(&[]).await.expect("claimed");
        let epoch = job.stage(1, 1, &["+I[1]"]).await;
        let outcomes = job.committer(1).commit(&decided(&job.lineage, 1), &epoch).await.expect("committed");
        assert_eq!(outcomes, [CommitOutcome::Committed]);
    }
    let small = Job::with(nats.clone(), &[], json!({ "max_msg_size": 260 })).await;
    let other = [("subject", "nobody.has.this")];
    let other = Job::with(nats, &other, json!({})).await;
    for (job, part) in [(small, "max_msg_size"), (other, "does not have the subject")] {
        let mut writer = job.sink.create_writer(job.writer_context(1), vec![]).expect("a writer");
        let error = writer.write(batch("i INT", &["+I[123456]"])).await.expect_err(part);
        assert!(error.kind() == ErrorKind::Data && error.to_string().contains(part), "{error}");
    }
}

/// Rows are decided, and the server is away: they are asked for again until it is back, and are there once.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_between_decision_and_commit_loses_nothing() {
    let folder = std::env::temp_dir().join(unique("flott-nats-server"));
    let Some(mut server) = OwnNats::start(&folder, &[]) else { return };
    let job = Job::with(server.address(), &[], json!({})).await;
    let mut committer = job.committer(1);
    committer.clean_up(&[]).await.expect("claimed");
    let epoch = job.stage(1, 1, &["+I[1]", "+I[2]"]).await;
    server.kill();
    // Staging needs no server.
    let later = job.stage(1, 2, &["+I[3]"]).await;
    let outcomes = soon(committer.commit(&decided(&job.lineage, 1), &epoch)).await.expect("no failure");
    assert!(matches!(outcomes[0], CommitOutcome::RetryLater { .. }), "{outcomes:?}");
    server.run();
    let both = [epoch, later].concat();
    let mut outcomes = vec![];
    for _ in 0..20 {
        outcomes = soon(committer.commit(&decided(&job.lineage, 2), &both)).await.expect("no failure");
        if !outcomes.iter().any(|o| matches!(o, CommitOutcome::RetryLater { .. })) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(outcomes, [CommitOutcome::Committed, CommitOutcome::Committed]);
    assert_eq!(job.visible().await, [r#"{"i":1}"#, r#"{"i":2}"#, r#"{"i":3}"#]);
    drop(job);
    drop(server);
    std::fs::remove_dir_all(folder).ok();
}
