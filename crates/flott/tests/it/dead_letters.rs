//! Records that cannot be read go to a table of their own, with the epoch that they are of.

use flott::{JobOutcome, Outcome, Restore, Session, StopMode};
use flott_testkit::kafka::{Kafka, KafkaRecord};

use crate::savepoint::{end, underway};

/// What three kinds of readers make of it: valid rows by a window, by themselves, and those that are invalid.
fn script(kafka: &Kafka, topic: &str, bad: &str, bounded: bool) -> String {
    let servers = &kafka.servers;
    let until = if bounded { ", 'scan.bounded.mode' = 'latest-offset'" } else { "" };
    format!(
        "CREATE TABLE s (id BIGINT, ts AS TO_TIMESTAMP_LTZ(id, 3), WATERMARK FOR ts AS ts) WITH ('connector' = 'kafka',
           'topic' = '{topic}', 'properties.bootstrap.servers' = '{servers}', 'format' = 'json',
           'scan.startup.mode' = 'earliest-offset', 'scan.invalid-records' = 'dead-letter',
           'scan.dead-letter.table' = 'bad'{until});
         CREATE TABLE bad (`value` STRING, error STRING, `offset` BIGINT, `partition` INT, topic STRING) WITH ({bad});
         CREATE TABLE o (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
         CREATE TABLE n (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'n', 'format' = 'csv');
         EXECUTE STATEMENT SET BEGIN
           INSERT INTO o SELECT id FROM s;
           INSERT INTO n SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
             GROUP BY window_start, window_end;
         END;"
    )
}

/// Record `i` is invalid where it is a multiple of seven.
fn record(i: i64) -> KafkaRecord {
    let value = if i % 7 == 0 { format!("{{\"id\":{i}") } else { format!("{{\"id\":{i}}}") };
    KafkaRecord::of((i % 2) as i32, value)
}

async fn start(folder: &std::path::Path, script: &str, restore: Restore) -> flott::Job {
    let mut session = Session::builder()
        .base_dir(folder)
        .restore(restore)
        .option("parallelism.default", "2")
        .option("pipeline.name", "letters")
        .option("execution.checkpointing.interval", "1 h")
        .build()
        .expect("a session");
    for statement in session.parse(script).expect("a script") {
        if let Outcome::Job(job) = session.execute(&statement).await.expect("starts") {
            return job;
        }
    }
    panic!("no job was started")
}

/// All lines of a folder's visible files, sorted.
fn lines(folder: &std::path::Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().filter(|f| f.path().is_file());
    let mut lines: Vec<String> = files
        .flat_map(|f| {
            let text = std::fs::read_to_string(f.path()).expect("text");
            text.lines().map(str::to_string).collect::<Vec<_>>()
        })
        .collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_records_are_rows_of_another_table_each_once() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = kafka.topic(2).expect("a topic");
    let place = tempfile::tempdir().expect("a folder");
    let bad = "'connector' = 'filesystem', 'path' = 'bad', 'format' = 'csv'";
    kafka.write(&topic, &(0..500).map(record).collect::<Vec<_>>()).expect("written");
    let mut job = start(place.path(), &script(&kafka, &topic, bad, false), Restore::Ask).await;
    underway(&job, 400).await;
    job.handle.request_stop(StopMode::suspend()).await.expect("it runs");
    assert!(matches!(end(&mut job).await, JobOutcome::Suspended(_)));
    let before = lines(&place.path().join("bad"));
    assert!(!before.is_empty(), "they are committed with the rest of their epoch");
    kafka.write(&topic, &(500..1_000).map(record).collect::<Vec<_>>()).expect("written");
    let mut job = start(place.path(), &script(&kafka, &topic, bad, true), Restore::Latest).await;
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));

    let mut ids: Vec<i64> = lines(&place.path().join("o")).iter().map(|l| l.parse().expect("a number")).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..1_000).filter(|i| i % 7 != 0).collect::<Vec<_>>());
    assert_eq!(lines(&place.path().join("n")), [ids.len().to_string()]);
    let letters: Vec<String> = lines(&place.path().join("bad")).iter().map(|l| l.replace('"', "")).collect();
    let offsets_of = |partition: i64| -> Vec<i64> {
        let of_partition = letters.iter().filter(|l| l.contains(&format!(",{partition},{topic}")));
        let mut offsets: Vec<i64> =
            of_partition.map(|l| l.rsplit(',').nth(2).and_then(|o| o.parse().ok()).expect("an offset")).collect();
        offsets.sort_unstable();
        offsets
    };
    for partition in [0, 1] {
        let expected: Vec<i64> = (0..1_000).filter(|i| i % 2 == partition && i % 7 == 0).map(|i| i / 2).collect();
        assert_eq!(offsets_of(partition), expected, "of partition {partition}, each once");
    }
    assert!(
        letters.iter().all(|l| l.starts_with("{id:") && l.contains("Failed to deserialize")),
        "{:?}",
        letters.first()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_takes_dead_letters_too() {
    let Some(kafka) = Kafka::running() else { return };
    let (topic, letters) = (kafka.topic(2).expect("a topic"), kafka.topic(1).expect("a topic"));
    let place = tempfile::tempdir().expect("a folder");
    kafka.write(&topic, &(0..100).map(record).collect::<Vec<_>>()).expect("written");
    let bad = format!(
        "'connector' = 'kafka', 'topic' = '{letters}', 'properties.bootstrap.servers' = '{}', 'format' = 'json'",
        kafka.servers
    );
    let mut job = start(place.path(), &script(&kafka, &topic, &bad, true), Restore::Ask).await;
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    assert_eq!(lines(&place.path().join("n")), ["85"]);
    let found = kafka.read(&letters).expect("read");
    assert_eq!(found.len(), 15);
    assert!(found.iter().all(|r| r.text().contains(&format!("\"topic\":\"{topic}\""))), "{:?}", found.first());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_take_them_is_refused_when_the_job_is_planned() {
    let of = |table: &str, policy: &str| {
        format!(
            "CREATE TABLE s (id BIGINT) WITH ('connector' = 'kafka', 'topic' = 't', 'format' = 'json',
               'properties.bootstrap.servers' = '127.0.0.1:1', 'scan.startup.mode' = 'earliest-offset', {policy});
             CREATE TABLE bad ({table}) WITH ('connector' = 'print');
             CREATE TABLE o (id BIGINT) WITH ('connector' = 'blackhole');
             INSERT INTO o SELECT id FROM s;"
        )
    };
    let both = "'scan.invalid-records' = 'dead-letter', 'scan.dead-letter.table' =";
    for (script, why) in [
        (of("error STRING", "'scan.invalid-records' = 'dead-letter'"), "needs a table"),
        (of("error STRING", "'scan.dead-letter.table' = 'bad'"), "has no effect"),
        (of("error STRING", &format!("{both} 'gone'")), "there is no such table"),
        (of("errors STRING", &format!("{both} 'bad'")), "Did you mean 'error'?"),
        (of("`offset` ROW<a INT>", &format!("{both} 'bad'")), "column 'offset' is BIGINT"),
        (of("error STRING", "'scan.invalid-records' = 'ignore'"), "dead-letter"),
    ] {
        let mut session = Session::builder().build().expect("a session");
        let mut refused = None;
        for statement in session.parse(&script).expect("a script") {
            if let Err(e) = session.execute(&statement).await {
                refused = Some(e);
            }
        }
        let refused = refused.expect("it is refused");
        assert_eq!(refused.kind(), flott::ErrorKind::User, "{refused}");
        let hint = refused.hint_text().unwrap_or_default().to_string();
        assert!(format!("{refused} {hint}").contains(why), "{why}: {refused} {hint}");
    }
}
