//! Bytes that change on their way from the broker: the job fails and says where, and nothing is left out.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flott_core::{ErrorKind, Result};
use flott_testkit::kafka::{Kafka, KafkaRecord};

use crate::support::{registry, sorted, table};

/// A record with these bytes is damaged.
const DAMAGED: &[u8] = b"damaged";

/// Somebody between a client and the broker.
struct Between {
    /// Host and port of the broker, as its answers name them, and of this one.
    broker: Vec<u8>,
    own: Vec<u8>,
    /// How many answers are still to be damaged.
    times: AtomicUsize,
}

/// As a broker names an address: a client that is told of another one would go there directly.
fn named(port: u16) -> Vec<u8> {
    [&b"127.0.0.1"[..], &u32::from(port).to_be_bytes()].concat()
}

/// An address of the broker at which the first answers with a record to be damaged, so many of them, have one bit that is not as it
/// was sent.
fn damaging(kafka: &Kafka, times: usize) -> Kafka {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let servers = kafka.servers.clone();
    let broker: u16 = servers.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    let between = Between { broker: named(broker), own: named(port), times: AtomicUsize::new(times) };
    let between = Arc::new(between);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&servers) else { return };
            let ends = || Ok::<_, io::Error>((client.try_clone()?, server.try_clone()?));
            let (mut asks, mut asked) = ends().expect("both ends");
            std::thread::spawn(move || io::copy(&mut asks, &mut asked));
            let between = Arc::clone(&between);
            std::thread::spawn(move || between.pass_answers(server, client));
        }
    });
    kafka.at(port)
}

impl Between {
    fn pass_answers(&self, mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
        loop {
            let mut length = [0; 4];
            from.read_exact(&mut length)?;
            let mut answer = vec![0; u32::from_be_bytes(length) as usize];
            from.read_exact(&mut answer)?;
            let mut at = 0;
            while let Some(found) = find(&answer[at..], &self.broker) {
                at += found;
                answer[at..at + self.own.len()].copy_from_slice(&self.own);
            }
            if let Some(at) = find(&answer, DAMAGED)
                && self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |times| times.checked_sub(1)).is_ok()
            {
                answer[at] ^= 1;
            }
            to.write_all(&[&length[..], &answer].concat())?;
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}

/// Three batches in the first of two partitions, the one in the middle with a record to be damaged, and one in the second.
fn topic(kafka: &Kafka) -> String {
    let topic = kafka.topic(2).expect("a topic");
    kafka.write(&topic, &[KafkaRecord::of(1, "{\"i\":100}")]).expect("written");
    for texts in [
        &["{\"i\":0}", "{\"i\":1}", "{\"i\":2}"][..],
        &["{\"i\":3}", "{\"damaged\":0,\"i\":4}", "{\"i\":5}"],
        &["{\"i\":6}", "{\"i\":7}"],
    ] {
        let values: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        kafka.write_large(&topic, &values, "none").expect("written");
    }
    topic
}

const ALL: [&str; 9] = ["+I[0]", "+I[100]", "+I[1]", "+I[2]", "+I[3]", "+I[4]", "+I[5]", "+I[6]", "+I[7]"];

/// All rows, as they are read through this address.
async fn rows(kafka: &Kafka, topic: &str, options: &[(&str, &str)]) -> Result<Vec<String>> {
    const BOUNDED: [(&str, &str); 3] =
        [("format", "json"), ("scan.startup.mode", "earliest-offset"), ("scan.bounded.mode", "latest-offset")];
    let table = table("kafka", "i INT", kafka, topic, &[&BOUNDED[..], options].concat());
    let source = registry().connector("kafka")?.source(&table.source())?.source;
    let batches = flott_testkit::SourceHarness::start(&source, 1, None).await?.run_to_end().await?;
    Ok(sorted(&batches))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_batch_fails_the_job_with_its_place() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = topic(&kafka);
    // Always, and only the first time: then whoever looks again finds nothing wrong, and has to know it from the first time.
    for times in [usize::MAX, 1] {
        let between = damaging(&kafka, times);
        // Whatever becomes of records that cannot be decoded: here nobody knows which they are.
        for policy in ["fail", "skip"].into_iter().take(times) {
            let error = rows(&between, &topic, &[("scan.invalid-records", policy)]).await.expect_err("damaged");
            let place = (error.context("topic"), error.context("partition"), error.context("offset"));
            assert_eq!(place, (Some(topic.as_str()), Some("0"), Some("3")), "{times}, {policy}: {error}");
            assert_eq!(error.kind(), ErrorKind::Data, "{times}, {policy}: {error}");
        }
        if times == 1 {
            assert_eq!(
                rows(&between, &topic, &[]).await.expect("read"),
                ALL,
                "it comes whole, and nothing is left out"
            );
        }
    }
}

/// What finds it out is the batch's checksum: who does not want to know reads what comes.
#[tokio::test(flavor = "multi_thread")]
async fn checksums_are_looked_at_unless_nobody_wants_to_know() {
    let Some(kafka) = Kafka::running() else { return };
    let topic = topic(&kafka);
    let between = damaging(&kafka, usize::MAX);
    // The name of a field that is no column.
    let rows = rows(&between, &topic, &[("properties.check.crcs", "false")]).await.expect("read");
    assert_eq!(rows, ALL);
}
