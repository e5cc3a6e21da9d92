//! The exactly-once sink against a real broker: what a commit does when it is repeated, cut short or overtaken.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flott_connector::TableContext;
use flott_connector::sink::{CommitOutcome, Committable, Sink};
use flott_core::{CheckpointId, DecidedCheckpoint, ErrorKind, FailPoints};
use flott_testkit::batch;
use flott_testkit::kafka::{Kafka, KafkaRecord};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::support::{committer_context, registry, table, unique, writer_context};

pub(crate) struct Job {
    pub(crate) kafka: Kafka,
    pub(crate) topic: String,
    pub(crate) lineage: String,
    sink: Arc<dyn Sink>,
    folder: std::path::PathBuf,
}

/// The table's sink, as one process has it.
fn sink(kafka: &Kafka, topic: &str, folder: &Path, options: &[(&str, &str)], fail_points: FailPoints) -> Arc<dyn Sink> {
    let options = [&[("format", "json"), ("sink.delivery-guarantee", "exactly-once")], options].concat();
    let table = table("kafka", "i INT", kafka, topic, &options).base_dir(folder);
    let context = TableContext { fail_points, ..table.sink() };
    registry().connector("kafka").expect("it").sink(&context).expect("a sink").sink
}

impl Drop for Job {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "stands for the store")]
pub(crate) fn decided(lineage: &str, checkpoint: u64) -> DecidedCheckpoint {
    DecidedCheckpoint::proven_by_head(lineage, CheckpointId(checkpoint))
}

impl Job {
    fn new() -> Option<Job> {
        Some(Job::on(Kafka::running()?))
    }

    pub(crate) fn on(kafka: Kafka) -> Job {
        Job::with(kafka, &[])
    }

    fn with(kafka: Kafka, options: &[(&str, &str)]) -> Job {
        let topic = kafka.topic(3).expect("a topic");
        Job::to(kafka, topic, options)
    }

    fn to(kafka: Kafka, topic: String, options: &[(&str, &str)]) -> Job {
        let folder = std::env::temp_dir().join(unique("flott-kafka"));
        let sink = sink(&kafka, &topic, &folder, options, FailPoints::none());
        Job { kafka, topic, lineage: unique("lineage"), sink, folder }
    }

    /// Rows of an epoch, staged and prepared.
    pub(crate) async fn stage(&self, generation: u64, checkpoint: u64, rows: &[&str]) -> Vec<Committable> {
        let mut writer = self.sink.create_writer(writer_context(&self.lineage, generation), vec![]).expect("a writer");
        writer.write(batch("i INT", rows)).await.expect("taken");
        writer.flush(false).await.expect("durable");
        let prepared = writer.prepare_commit(CheckpointId(checkpoint)).await.expect("prepared");
        writer.close().await.expect("closed");
        prepared
    }

    pub(crate) fn committer(&self, generation: u64) -> Box<dyn flott_connector::sink::Committer> {
        self.sink.create_committer(committer_context(&self.lineage, generation)).expect("made").expect("one")
    }

    pub(crate) fn visible(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.kafka.read(&self.topic).expect("read").iter().map(|r| r.text()).collect();
        texts.sort();
        texts
    }

    fn staged(&self) -> usize {
        flott_testkit::files_below(&self.folder)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_visible_once_however_often_they_are_committed() {
    let Some(job) = Job::new() else { return };
    let mut first = job.committer(1);
    first.clean_up(&[]).await.expect("claimed");
    let epoch = job.stage(1, 1, &["+I[1]", "+I[2]"]).await;
    assert!(job.visible().is_empty());
    let outcomes = first.commit(&decided(&job.lineage, 1), &epoch).await.expect("committed");
    assert_eq!(outcomes, [CommitOutcome::Committed]);
    assert_eq!(job.visible(), [r#"{"i":1}"#, r#"{"i":2}"#]);
    assert_eq!(job.staged(), 0);
    assert_eq!(
        first.commit(&decided(&job.lineage, 1), &epoch).await.expect("again"),
        [CommitOutcome::AlreadyCommitted]
    );
    // The next attempt, which knows nothing.
    let mut second = job.committer(2);
    assert_eq!(
        second.commit(&decided(&job.lineage, 1), &epoch).await.expect("again"),
        [CommitOutcome::AlreadyCommitted]
    );
    second.clean_up(&[]).await.expect("claimed");
    let next = job.stage(2, 2, &["+I[3]"]).await;
    assert_eq!(second.commit(&decided(&job.lineage, 2), &next).await.expect("committed"), [CommitOutcome::Committed]);
    assert_eq!(job.visible(), [r#"{"i":1}"#, r#"{"i":2}"#, r#"{"i":3}"#]);
}

/// The old attempt wakes up with output that the new one has committed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_was_overtaken_writes_nothing() {
    let Some(job) = Job::new() else { return };
    let mut old = job.committer(1);
    old.clean_up(&[]).await.expect("claimed");
    let epoch = job.stage(1, 1, &["+I[1]"]).await;
    let content: Vec<Committable> = epoch.clone();
    let mut new = job.committer(2);
    assert_eq!(new.commit(&decided(&job.lineage, 1), &epoch).await.expect("committed"), [CommitOutcome::Committed]);
    new.clean_up(&[]).await.expect("claimed");
    // Its producer is fenced: it asks for another try, and finds then that it is replaced.
    let mut fenced = false;
    for _ in 0..3 {
        match old.commit(&decided(&job.lineage, 1), &content).await {
            Ok(outcomes) => assert!(!matches!(outcomes[0], CommitOutcome::Committed), "{outcomes:?}"),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Fenced, "{e}");
                fenced = true;
                break;
            }
        }
    }
    assert!(fenced, "the old attempt never noticed");
    assert_eq!(job.visible(), [r#"{"i":1}"#]);
    // The new one goes on, although the old one has taken the id for a moment.
    let next = job.stage(2, 2, &["+I[2]"]).await;
    let mut done = false;
    for _ in 0..3 {
        let outcomes = new.commit(&decided(&job.lineage, 2), &next).await.expect("no failure");
        if outcomes == [CommitOutcome::Committed] {
            done = true;
            break;
        }
    }
    assert!(done);
    assert_eq!(job.visible(), [r#"{"i":1}"#, r#"{"i":2}"#]);
}

/// A transaction of a dead attempt is open, with rows of the checkpoint: none of them is ever seen, and none holds up others.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_of_a_dead_attempt_is_aborted() {
    let Some(job) = Job::new() else { return };
    let mut first = job.committer(1);
    first.clean_up(&[]).await.expect("claimed");
    let epoch = job.stage(1, 1, &["+I[1]"]).await;
    drop(first);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &job.kafka.servers).set("transactional.id", format!("flott-{}-sink", job.lineage));
    let dead: BaseProducer = config.create().expect("a producer");
    let patience = Duration::from_secs(20);
    dead.init_transactions(patience).expect("fenced");
    dead.begin_transaction().expect("begun");
    dead.send(BaseRecord::<(), str>::to(&job.topic).payload("{\"i\":1}").partition(0)).expect("sent");
    dead.flush(patience).expect("written");
    let mut second = job.committer(2);
    assert_eq!(second.commit(&decided(&job.lineage, 1), &epoch).await.expect("committed"), [CommitOutcome::Committed]);
    assert_eq!(job.visible(), [r#"{"i":1}"#]);
    assert!(dead.commit_transaction(patience).is_err(), "a dead attempt has committed");
    assert_eq!(job.visible(), [r#"{"i":1}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_that_is_gone_or_a_file_that_is_gone_is_told() {
    let Some(job) = Job::new() else { return };
    let epoch = job.stage(1, 1, &["+I[1]"]).await;
    // Nobody has claimed the id: to the committer its marker is lost.
    let error = job.committer(1).commit(&decided(&job.lineage, 1), &epoch).await.expect_err("no marker");
    assert!(error.kind() == ErrorKind::User && error.to_string().contains("flott-markers"), "{error}");
    let mut committer = job.committer(1);
    committer.clean_up(&[]).await.expect("claimed");
    std::fs::remove_dir_all(&job.folder).expect("removed");
    let outcomes = committer.commit(&decided(&job.lineage, 1), &epoch).await.expect("an outcome");
    assert!(matches!(&outcomes[0], CommitOutcome::Failed { reason } if reason.contains("is gone")), "{outcomes:?}");
    assert!(job.visible().is_empty());
}

/// What dead attempts have staged goes; what is to be committed stays.
#[tokio::test(flavor = "multi_thread")]
async fn staged_files_of_dead_attempts_are_removed() {
    let Some(job) = Job::new() else { return };
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

/// An epoch that is too large for a transaction: three of them, and a crash before, between and after any.
#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_of_several_transactions_goes_on_where_it_stands() {
    let Some(kafka) = Kafka::running() else { return };
    let parts = [("sink.transaction.max-rows", "2")];
    // Each is stopped at before it is committed, and between two of them.
    for (stop, seen) in [(1, 0), (2, 2), (5, 4)] {
        let job = Job::with(Kafka::running().expect("as before"), &parts);
        job.committer(1).clean_up(&[]).await.expect("claimed");
        let mut epoch = job.stage(1, 1, &["+I[1]", "+I[2]", "+I[3]"]).await;
        epoch.extend(job.stage(1, 1, &["+I[4]", "+I[5]"]).await);
        let report = job.folder.join("report");
        let armed = FailPoints::armed(&format!("mid_commit:{stop}"), &report).expect("a fail point");
        let dying = sink(&kafka, &job.topic, &job.folder, &parts, armed);
        let mut dying = dying.create_committer(committer_context(&job.lineage, 1)).expect("made").expect("a committer");
        let (decision, committables) = (decided(&job.lineage, 1), epoch.clone());
        let dead = tokio::spawn(async move { dying.commit(&decision, &committables).await });
        while !report.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(job.visible().len(), seen, "at stop {stop}");
        // The order in which the files are named must not matter.
        epoch.reverse();
        let mut next = job.committer(2);
        let outcomes = next.commit(&decided(&job.lineage, 1), &epoch).await.expect("gone on");
        assert_eq!(outcomes, [CommitOutcome::Committed, CommitOutcome::Committed], "at stop {stop}");
        assert_eq!(job.visible(), FIVE, "at stop {stop}");
        // It was not dead.
        std::fs::write(report.with_added_extension("go"), "").expect("let go");
        match dead.await.expect("ended") {
            Ok(outcomes) => assert!(!outcomes.contains(&CommitOutcome::Committed), "at stop {stop}: {outcomes:?}"),
            Err(e) => assert_eq!(e.kind(), ErrorKind::Fenced, "{e}"),
        }
        assert_eq!(job.visible(), FIVE, "at stop {stop}");
        let outcomes = job.committer(3).commit(&decided(&job.lineage, 1), &epoch).await.expect("again");
        assert_eq!(outcomes, [CommitOutcome::AlreadyCommitted, CommitOutcome::AlreadyCommitted]);
    }
}

/// The claim of an attempt between two transactions says nothing about rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_keeps_how_far_an_epoch_has_come() {
    let Some(kafka) = Kafka::running() else { return };
    let parts = [("sink.transaction.max-rows", "2")];
    let job = Job::with(Kafka::running().expect("as before"), &parts);
    job.committer(1).clean_up(&[]).await.expect("claimed");
    let epoch = job.stage(1, 1, &["+I[1]", "+I[2]", "+I[3]", "+I[4]", "+I[5]"]).await;
    let report = job.folder.join("report");
    let armed = FailPoints::armed("mid_commit:2", &report).expect("a fail point");
    let dying = sink(&kafka, &job.topic, &job.folder, &parts, armed);
    let mut dying = dying.create_committer(committer_context(&job.lineage, 1)).expect("made").expect("a committer");
    let (decision, committables) = (decided(&job.lineage, 1), epoch.clone());
    let dead = tokio::spawn(async move { dying.commit(&decision, &committables).await });
    while !report.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let kept = [epoch[0].id.clone()];
    job.committer(2).clean_up(&kept).await.expect("claimed");
    let mut third = job.committer(3);
    third.commit(&decided(&job.lineage, 1), &epoch).await.expect("gone on");
    assert_eq!(job.visible(), FIVE);
    std::fs::write(report.with_added_extension("go"), "").expect("let go");
    dead.await.expect("ended").ok();
}

/// While nothing is decided: a topic that takes no such row, and one that takes single rows and no large batches.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_topic_does_not_take_are_refused_when_they_are_written() {
    let Some(kafka) = Kafka::running() else { return };
    for (config, part) in [
        (("max.message.bytes", "70"), "max.message.bytes"),
        (("cleanup.policy", "compact"), "key.fields"),
        (("cleanup.policy", "compact,delete"), "key.fields"),
    ] {
        let topic = unique("refused");
        kafka.create(&topic, 1, &[config]).expect("a topic");
        let job = Job::to(Kafka::running().expect("as before"), topic.clone(), &[]);
        let mut writer = job.sink.create_writer(writer_context(&job.lineage, 1), vec![]).expect("a writer");
        let error = writer.write(batch("i INT", &["+I[123456]"])).await.expect_err(part);
        let text = error.to_string();
        assert!(error.kind() == ErrorKind::Data && text.contains(part), "{text}");
        assert!(text.contains(&topic) && text.contains("123456"), "{text}");
    }
    let job = Job::to(Kafka::running().expect("as before"), unique("missing"), &[]);
    let mut writer = job.sink.create_writer(writer_context(&job.lineage, 1), vec![]).expect("a writer");
    let error = writer.write(batch("i INT", &["+I[1]"])).await.expect_err("no topic");
    assert!(error.kind() == ErrorKind::User && error.to_string().contains("does not exist"), "{error}");

    let topic = unique("small-batches");
    kafka.create(&topic, 1, &[("max.message.bytes", "200")]).expect("a topic");
    let job = Job::to(kafka, topic, &[]);
    job.committer(1).clean_up(&[]).await.expect("claimed");
    let rows: Vec<String> = (0..100).map(|i| format!("+I[{i}]")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let epoch = job.stage(1, 1, &rows).await;
    let outcomes = job.committer(1).commit(&decided(&job.lineage, 1), &epoch).await.expect("an outcome");
    assert_eq!(outcomes, [CommitOutcome::Committed]);
    assert_eq!(job.visible().len(), 100);
}

/// `upsert-kafka` holds rows back, and writes of several with a key only the last one: also where they are staged.
#[tokio::test(flavor = "multi_thread")]
async fn staged_rows_are_reduced_by_key() {
    let Some(kafka) = Kafka::running() else { return };
    let columns = "id INT NOT NULL, v STRING";
    let first = batch(columns, &["+I[1, a]", "+U[1, b]", "+I[2, c]"]);
    let second = batch(columns, &["-D[2, c]", "+U[1, d]", "+I[3, e]"]);
    for (buffer, expected) in [
        (&[][..], vec!["1:a", "1:b", "1:d", "2:-", "2:c", "3:e"]),
        (&[("sink.buffer-flush.max-rows", "100"), ("sink.buffer-flush.interval", "1 h")], vec!["1:d", "2:-", "3:e"]),
        // As many are held as it says, and as long.
        (&[("sink.buffer-flush.max-rows", "3"), ("sink.buffer-flush.interval", "1 h")], vec!["1:d", "2:-", "3:e"]),
        (
            &[("sink.buffer-flush.max-rows", "2"), ("sink.buffer-flush.interval", "1 h")],
            vec!["1:b", "1:d", "2:-", "2:c", "3:e"],
        ),
        (
            &[("sink.buffer-flush.max-rows", "100"), ("sink.buffer-flush.interval", "1 ms")],
            vec!["1:b", "1:d", "2:-", "2:c", "3:e"],
        ),
    ] {
        let topic = kafka.topic(1).expect("a topic");
        let folder = std::env::temp_dir().join(unique("flott-kafka"));
        let options = [("key.format", "raw"), ("value.format", "raw"), ("value.fields-include", "EXCEPT_KEY")];
        let options = [&options[..], &[("sink.delivery-guarantee", "exactly-once")], buffer].concat();
        let table = table("upsert-kafka", columns, &kafka, &topic, &options).primary_key(&["id"]).base_dir(&folder);
        let sink = registry().connector("upsert-kafka").expect("it").sink(&table.sink()).expect("a sink").sink;
        let lineage = unique("lineage");
        let mut committer = sink.create_committer(committer_context(&lineage, 1)).expect("made").expect("one");
        committer.clean_up(&[]).await.expect("claimed");
        let mut writer = sink.create_writer(writer_context(&lineage, 1), vec![]).expect("a writer");
        // Longer than the shortest time that rows are held back.
        tokio::time::sleep(Duration::from_millis(20)).await;
        writer.write(first.clone()).await.expect("taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
        writer.write(second.clone()).await.expect("taken");
        writer.flush(false).await.expect("durable");
        let staged = writer.prepare_commit(CheckpointId(1)).await.expect("prepared");
        committer.commit(&decided(&lineage, 1), &staged).await.expect("committed");
        let shown = |r: &KafkaRecord| {
            let id = r.key.as_deref().and_then(|k| Some(i32::from_be_bytes(k.try_into().ok()?))).expect("a key");
            format!("{id}:{}", r.value.as_ref().map_or("-".to_string(), |_| r.text()))
        };
        let mut records: Vec<String> = kafka.read(&topic).expect("read").iter().map(shown).collect();
        records.sort();
        assert_eq!(records, expected, "{buffer:?}");
        std::fs::remove_dir_all(&folder).ok();
    }
}

/// Rows are decided, and their topic is gone: only a user can put that right, so that it is said and not tried for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_removed_before_the_commit_is_told() {
    let Some(job) = Job::new() else { return };
    let mut committer = job.committer(1);
    committer.clean_up(&[]).await.expect("claimed");
    let epoch = job.stage(1, 1, &["+I[1]"]).await;
    job.kafka.delete(&job.topic).expect("removed");
    let told = async {
        loop {
            match committer.commit(&decided(&job.lineage, 1), &epoch).await.expect("an outcome").remove(0) {
                CommitOutcome::Failed { reason } => return reason,
                CommitOutcome::RetryLater { .. } => tokio::time::sleep(Duration::from_millis(200)).await,
                other => panic!("{other:?}"),
            }
        }
    };
    let reason = tokio::time::timeout(Duration::from_secs(60), told).await.expect("it is told");
    assert!(reason.contains("does not exist") && reason.contains(&job.topic), "{reason}");
}
