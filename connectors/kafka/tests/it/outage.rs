//! A broker that is killed and comes back.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use flott_connector::sink::CommitOutcome;
use flott_connector::source::ReaderEvent;
use flott_core::ErrorKind;
use flott_testkit::SourceHarness;
use flott_testkit::kafka::{Kafka, OwnKafka};

use crate::commit::{Job, decided};
use crate::support::{registry, sorted, table, unique, values};

/// Decided output is written once, and reading goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_comes_twice_when_the_broker_is_killed() {
    let folder = std::env::temp_dir().join(unique("flott-broker"));
    let Some(mut broker) = OwnKafka::start(&folder) else { return };
    let job = Job::on(broker.address());
    let mut committer = job.committer(1);
    committer.clean_up(&[]).await.expect("claimed");
    let first = job.stage(1, 1, &["+I[1]"]).await;
    assert_eq!(
        committer.commit(&decided(&job.lineage, 1), &first).await.expect("committed"),
        [CommitOutcome::Committed]
    );

    let input = job.kafka.topic(1).expect("a topic");
    job.kafka.write(&input, &values(&["{\"i\":1}"])).expect("written");
    let options = [("format", "json"), ("scan.startup.mode", "earliest-offset")];
    let reading = table("kafka", "i INT", &job.kafka, &input, &options);
    let source = registry().connector("kafka").expect("it").source(&reading.source()).expect("a source").source;
    let mut harness = SourceHarness::start(&source, 1, None).await.expect("started");
    let next = async |harness: &mut SourceHarness| loop {
        if let ReaderEvent::Batch(batch) = harness.reader(0).next().await.expect("read") {
            return sorted(&[batch.rows]);
        }
    };
    assert_eq!(next(&mut harness).await, ["+I[1]"]);

    let second = job.stage(1, 2, &["+I[2]"]).await;
    broker.kill();
    let lineage = job.lineage.clone();
    let committing = tokio::spawn(async move {
        loop {
            let outcomes = committer.commit(&decided(&lineage, 2), &second).await.expect("no failure");
            if matches!(outcomes[0], CommitOutcome::Committed | CommitOutcome::AlreadyCommitted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let broker = tokio::task::spawn_blocking(move || {
        broker.run();
        broker
    });
    let broker = broker.await.expect("runs");
    committing.await.expect("committed");
    assert_eq!(job.visible(), [r#"{"i":1}"#, r#"{"i":2}"#]);
    job.kafka.write(&input, &values(&["{\"i\":2}"])).expect("written");
    assert_eq!(next(&mut harness).await, ["+I[2]"]);
    drop(broker);
    std::fs::remove_dir_all(&folder).ok();
}

/// Somebody who takes connections and closes them; a greeting in TLS is answered by these bytes before.
fn closes_behind(answer: &'static [u8]) -> Kafka {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let servers = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let mut greeting = [0; 4096];
            if connection.read(&mut greeting).is_ok_and(|n| n > 0) && greeting[0] == 22 {
                connection.write_all(answer).ok();
            }
        }
    });
    Kafka { servers }
}

/// It is an outage, which is waited for as one. Only who answers in TLS speaks it.
#[tokio::test(flavor = "multi_thread")]
async fn who_closes_connections_is_no_broker_with_tls() {
    let cases: [(&'static [u8], ErrorKind, &str); 2] = [
        (&[], ErrorKind::Unavailable, "no broker can be reached"),
        (&[21, 3, 3, 0, 2, 2, 40], ErrorKind::User, "speaks TLS at this port"),
    ];
    for (answer, kind, words) in cases {
        let options = [("format", "json"), ("scan.startup.mode", "earliest-offset")];
        let reading = table("kafka", "i INT", &closes_behind(answer), "t", &options);
        let source = registry().connector("kafka").expect("it").source(&reading.source()).expect("a source").source;
        let error = SourceHarness::start(&source, 1, None).await.map(drop).expect_err("nobody is there");
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.message().contains(words), "{error:?}");
        assert!(error.hint_text().is_some(), "{error:?}");
    }
}
