//! How far a job has read is told to its consumer group, also at its end: whoever goes on from there reads what is new.

use flott::{JobOutcome, Restore, StopMode};
use flott_testkit::kafka::{Kafka, KafkaRecord};

use crate::savepoint::{Place, end, underway};

fn script(kafka: &Kafka, topic: &str, group: &str, bounded: bool) -> String {
    let servers = &kafka.servers;
    let until = if bounded { ", 'scan.bounded.mode' = 'latest-offset'" } else { "" };
    format!(
        "CREATE TABLE s (id BIGINT) WITH ('connector' = 'kafka', 'topic' = '{topic}', 'format' = 'json',
           'properties.bootstrap.servers' = '{servers}', 'properties.group.id' = '{group}',
           'properties.auto.offset.reset' = 'earliest'{until});
         CREATE TABLE o (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
         INSERT INTO o SELECT id FROM s;"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_group_hears_of_the_end_of_a_job() {
    let Some(kafka) = Kafka::running() else { return };
    for how in ["end", "stop", "drain"] {
        let topic = kafka.topic(2).expect("a topic");
        let group = format!("group-of-{topic}");
        let records: Vec<KafkaRecord> = (0..20).map(|i| KafkaRecord::of(i % 2, format!("{{\"id\":{i}}}"))).collect();
        kafka.write(&topic, &records).expect("written");
        let place = Place::new();
        let script = script(&kafka, &topic, &group, how == "end");
        let mut job = place.start(&script, Restore::Ask, &[]).await.expect("starts");
        let expected_end = match how {
            "end" => true,
            how => {
                underway(&job, 20).await;
                let mode = if how == "drain" { StopMode::suspend().with_drain() } else { StopMode::suspend() };
                job.handle.request_stop(mode).await.expect("it runs");
                how == "drain"
            }
        };
        let outcome = end(&mut job).await;
        assert_eq!(matches!(outcome, JobOutcome::Finished(_)), expected_end, "{how}: {outcome:?}");
        for partition in 0..2 {
            assert_eq!(kafka.committed(&group, &topic, partition).expect("asked"), Some(10), "{how}: {partition}");
        }
    }
}
