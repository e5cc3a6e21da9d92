//! What is read from streams.

use flott_core::ErrorKind;
use flott_testkit::SourceHarness;
use flott_testkit::nats::{Nats, NatsMessage};
use futures::StreamExt as _;
use serde_json::json;

use crate::support::{BOUNDED, numbers, read_some, rows, soon, sorted, source, table};

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_read() {
    let Some(nats) = Nats::running() else { return };
    let stream = nats.stream(json!({})).await.expect("a stream");
    let headers = [("a", "1"), ("a", "2"), ("b", "")].map(|(n, v)| (n.to_string(), v.to_string())).to_vec();
    let subject = format!("{stream}.x.y");
    let message = NatsMessage { headers, ..NatsMessage::of(&subject, "{\"i\":7}") };
    nats.write(&[message]).await.expect("written");
    let table = table("i INT", &nats, &stream, &[BOUNDED])
        .metadata("st", "stream", "STRING", true)
        .metadata("su", "subject", "STRING", true)
        .metadata("n", "sequence", "BIGINT", true)
        .metadata("h", "headers", "MAP<STRING, STRING>", true)
        .metadata("l", "header-list", "ARRAY<ROW<`key` STRING, `value` STRING>>", true);
    let found = soon(rows(&table, 1)).await.expect("read");
    assert_eq!(found, [format!("+I[7, {stream}, {subject}, 1, {{a=2, b=}}, [+I[a, 1], +I[a, 2], +I[b, ]]]")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_begins_and_ends_where_it_is_told() {
    let Some(nats) = Nats::running() else { return };
    let stream = nats.stream(json!({})).await.expect("a stream");
    let subject = format!("{stream}.x");
    nats.write(&numbers(&subject, 1..=4)).await.expect("written");
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let info = nats.ask(&format!("STREAM.MSG.GET.{stream}"), json!({ "seq": 4 })).await.expect("the fourth");
    nats.write(&numbers(&subject, 5..=8)).await.expect("written");
    let time = info["message"]["time"].as_str().expect("a time").to_string();
    let behind = (chrono_millis(&time) + 1).to_string();
    let all = |numbers: std::ops::RangeInclusive<u64>| numbers.map(|i| format!("+I[{i}]")).collect::<Vec<_>>();
    for (options, expected) in [
        (vec![BOUNDED], all(1..=8)),
        (vec![BOUNDED, ("scan.startup.mode", "sequence"), ("scan.startup.sequence", "3")], all(3..=8)),
        (vec![BOUNDED, ("scan.startup.mode", "timestamp"), ("scan.startup.timestamp-millis", &behind)], all(5..=8)),
        (vec![BOUNDED, ("scan.startup.mode", "timestamp"), ("scan.startup.timestamp-millis", "0")], all(1..=8)),
        (vec![BOUNDED, ("scan.startup.mode", "timestamp"), ("scan.startup.timestamp-millis", "4102444800000")], vec![]),
        (vec![BOUNDED, ("scan.startup.mode", "latest")], vec![]),
        (vec![("scan.bounded.mode", "sequence"), ("scan.bounded.sequence", "3")], all(1..=2)),
        (vec![("scan.bounded.mode", "timestamp"), ("scan.bounded.timestamp-millis", &behind)], all(1..=4)),
    ] {
        let table = table("i INT", &nats, &stream, &options);
        assert_eq!(soon(rows(&table, 1)).await.expect("read"), expected, "{options:?}");
    }
    let beyond = [BOUNDED, ("scan.startup.mode", "sequence"), ("scan.startup.sequence", "99")];
    let error = soon(rows(&table("i INT", &nats, &stream, &beyond), 1)).await.expect_err("not there").to_string();
    assert!(error.contains("no sequence 99"), "{error}");
}

/// Of a time as RFC 3339 has it, in UTC, of a day of this century.
fn chrono_millis(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).expect("a time").timestamp_millis()
}

#[tokio::test(flavor = "multi_thread")]
async fn subjects_are_read_on_their_own_and_what_is_not_named_is_not_read() {
    let Some(nats) = Nats::running() else { return };
    let stream = nats.stream(json!({})).await.expect("a stream");
    for i in 0..30 {
        let subject = format!("{stream}.{}", ["a.x", "b.x", "c.x"][i as usize % 3]);
        nats.write(&numbers(&subject, [i])).await.expect("written");
    }
    let subjects = format!("{stream}.a.*; {stream}.b.>");
    let some = table("i INT", &nats, &stream, &[BOUNDED, ("subject", &subjects)]);
    let mut expected: Vec<String> = (0..30).filter(|i| i % 3 < 2).map(|i| format!("+I[{i}]")).collect();
    expected.sort();
    assert_eq!(soon(rows(&some, 2)).await.expect("read"), expected);
    let none = format!("{stream}.d.>");
    let none = table("i INT", &nats, &stream, &[BOUNDED, ("subject", &none)]);
    assert_eq!(soon(rows(&none, 1)).await.expect("read"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_and_large_ones() {
    let Some(nats) = Nats::running() else { return };
    let stream = nats.stream(json!({})).await.expect("a stream");
    let subject = format!("{stream}.x");
    let client = nats.client().await.expect("a client");
    for i in 0..5_000 {
        client.publish(subject.clone(), format!("{{\"s\":\"{i}\"}}").into()).await.expect("sent");
    }
    client.flush().await.expect("sent");
    // As large as the server takes: many of them are more than is asked for at a time.
    let large = "x".repeat(1_000_000);
    nats.write(&vec![NatsMessage::of(&subject, format!("{{\"s\":\"{large}\"}}")); 10]).await.expect("written");
    let table = table("s STRING", &nats, &stream, &[BOUNDED]);
    let found = soon(rows(&table, 1)).await.expect("read");
    assert_eq!(found.len(), 5_010);
    assert_eq!(found.iter().filter(|r| r.len() > 1_000_000).count(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_broken_is_named() {
    let Some(nats) = Nats::running() else { return };
    let missing = table("i INT", &nats, "not-there-at-all", &[BOUNDED]);
    let error = soon(rows(&missing, 1)).await.expect_err("missing");
    assert!(error.kind() == ErrorKind::User && error.to_string().contains("not-there-at-all"), "{error}");
    let queue = nats.stream(json!({ "retention": "workqueue" })).await.expect("a stream");
    let error = soon(rows(&table("i INT", &nats, &queue, &[BOUNDED]), 1)).await.expect_err("a queue");
    assert!(error.to_string().contains("workqueue"), "{error}");
    let stream = nats.stream(json!({})).await.expect("a stream");
    let subject = format!("{stream}.x");
    let texts = ["{\"i\":1}", "{\"i\":", "{\"i\":3}"];
    nats.write(&texts.map(|t| NatsMessage::of(&subject, t))).await.expect("written");
    let error = soon(rows(&table("i INT", &nats, &stream, &[BOUNDED]), 1)).await.expect_err("broken");
    assert!(error.kind() == ErrorKind::Data && error.to_string().contains("sequence 2"), "{error}");
    let skipping = table("i INT", &nats, &stream, &[BOUNDED, ("json.ignore-parse-errors", "true")]);
    assert_eq!(soon(rows(&skipping, 1)).await.expect("read"), ["+I[1]", "+I[3]"]);
}

/// Reads the first rows, does something to the stream, and goes on from the checkpoint.
async fn after(nats: &Nats, more: serde_json::Value, what: impl AsyncFnOnce(&str)) -> flott_core::Result<Vec<String>> {
    let stream = nats.stream(more).await?;
    let subject = format!("{stream}.x");
    nats.write(&numbers(&subject, 1..=10)).await?;
    let source = source(&table("i INT", nats, &stream, &[("subject", &subject)]))?;
    let mut harness = SourceHarness::start(&source, 1, None).await?;
    soon(read_some(&mut harness, 10)).await?;
    let checkpoint = harness.snapshot()?;
    drop(harness);
    what(&stream).await;
    let mut harness = SourceHarness::start(&source, 1, Some(checkpoint)).await?;
    soon(read_some(&mut harness, 2)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_position_goes_on_where_it_was() {
    let Some(nats) = Nats::running() else { return };
    let found = after(&nats, json!({}), async |stream| {
        nats.write(&numbers(&format!("{stream}.x"), 11..=12)).await.expect("written");
    });
    assert_eq!(found.await.expect("read"), ["+I[11]", "+I[12]"]);
}

/// Messages of other subjects, and those that somebody has removed, are no loss: the stream begins where it began.
#[tokio::test(flavor = "multi_thread")]
async fn sequences_that_others_have_are_no_loss() {
    let Some(nats) = Nats::running() else { return };
    let found = after(&nats, json!({}), async |stream| {
        nats.write(&numbers(&format!("{stream}.other"), 90..=95)).await.expect("written");
        let removed = nats.write(&numbers(&format!("{stream}.x"), [99])).await.expect("written");
        let what = format!("STREAM.MSG.DELETE.{stream}");
        nats.ask(&what, json!({ "seq": removed[0] })).await.expect("removed");
        nats.write(&numbers(&format!("{stream}.x"), 11..=12)).await.expect("written");
    });
    assert_eq!(found.await.expect("read"), ["+I[11]", "+I[12]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_were_dropped_before_they_were_read_are_told() {
    let Some(nats) = Nats::running() else { return };
    let found = after(&nats, json!({ "max_msgs": 10 }), async |stream| {
        nats.write(&numbers(&format!("{stream}.x"), 11..=25)).await.expect("written");
    });
    let error = found.await.expect_err("a gap");
    assert!(error.kind() == ErrorKind::Data && error.to_string().contains("no sequence 11"), "{error}");
    // As many as the stream keeps, and all of them: nothing is missing.
    let found = after(&nats, json!({ "max_msgs": 10 }), async |stream| {
        nats.write(&numbers(&format!("{stream}.x"), 11..=20)).await.expect("written");
    });
    assert_eq!(found.await.expect("read")[..2], ["+I[11]", "+I[12]"]);
}

/// What a later message of the subject has replaced is no loss either, as in a compacted topic.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_replaced_in_a_compacted_stream_is_no_loss() {
    let Some(nats) = Nats::running() else { return };
    let found = after(&nats, json!({ "max_msgs_per_subject": 10 }), async |stream| {
        nats.write(&numbers(&format!("{stream}.x"), 11..=25)).await.expect("written");
    });
    assert_eq!(found.await.expect("read")[..2], ["+I[16]", "+I[17]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_made_anew_is_told() {
    let Some(nats) = Nats::running() else { return };
    let found = after(&nats, json!({}), async |stream| {
        nats.delete(stream).await.expect("removed");
        nats.create(stream, json!({})).await.expect("made");
        nats.write(&numbers(&format!("{stream}.x"), 1..=12)).await.expect("written");
    });
    let error = found.await.expect_err("another stream");
    assert!(error.kind() == ErrorKind::Data && error.to_string().contains("made anew"), "{error}");
    let found = after(&nats, json!({}), async |stream| nats.delete(stream).await.expect("removed"));
    let error = found.await.expect_err("no stream");
    assert!(error.kind() == ErrorKind::User && error.to_string().contains("no such stream"), "{error}");
}

/// A subject on which nothing happens: its position goes on with the stream, so that it does not fall behind what is kept.
#[tokio::test(flavor = "multi_thread")]
async fn the_position_of_a_silent_subject_goes_on() {
    let Some(nats) = Nats::running() else { return };
    let stream = nats.stream(json!({ "max_msgs": 10 })).await.expect("a stream");
    let (silent, busy) = (format!("{stream}.silent"), format!("{stream}.busy"));
    nats.write(&numbers(&silent, [1])).await.expect("written");
    let source = source(&table("i INT", &nats, &stream, &[("subject", &silent)])).expect("a source");
    let mut harness = SourceHarness::start(&source, 1, None).await.expect("started");
    soon(read_some(&mut harness, 1)).await.expect("read");
    for _ in 0..5 {
        nats.write(&numbers(&busy, 0..8)).await.expect("written");
        // An empty batch that moves the position.
        let batch = soon(harness.step(0)).await.expect("moved").expect("a batch");
        assert_eq!(sorted(&[batch]), Vec::<String>::new());
    }
    let checkpoint = harness.snapshot().expect("a checkpoint");
    drop(harness);
    nats.write(&numbers(&silent, [2])).await.expect("written");
    let mut harness = SourceHarness::start(&source, 1, Some(checkpoint)).await.expect("started");
    assert_eq!(soon(read_some(&mut harness, 1)).await.expect("read"), ["+I[2]"]);
}

/// The API of a domain that says of a consumer that nothing is left to deliver, and delivers nothing until it was asked so often.
/// So it is where a consumer has not heard yet of what the stream has stored.
async fn answer_late(client: async_nats::Client, domain: &str, after: usize) {
    let prefix = format!("$JS.{domain}.API");
    let mut questions = client.subscribe(format!("{prefix}.>")).await.expect("subscribed");
    tokio::spawn(async move {
        let mut looks = 0;
        while let Some(question) = questions.next().await {
            let Some(what) = question.subject.strip_prefix(prefix.as_str()) else { continue };
            let (subject, reply) = (format!("$JS.API{what}"), question.reply);
            if what.starts_with(".CONSUMER.MSG.NEXT.") {
                if let Some(reply) = reply.filter(|_| looks >= after) {
                    client.publish_with_reply(subject, reply, question.payload).await.expect("sent on");
                }
                continue;
            }
            let Some(reply) = reply else {
                client.publish(subject, question.payload).await.expect("sent on");
                continue;
            };
            let mut answer = client.request(subject, question.payload).await.expect("answered").payload;
            if what.starts_with(".CONSUMER.INFO.") && looks < after {
                looks += 1;
                let mut info: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
                assert_eq!(info["num_pending"], 1, "{info}");
                info["num_pending"] = 0.into();
                answer = info.to_string().into();
            }
            client.publish(reply, answer).await.expect("sent back");
        }
    });
}

/// A consumer counts what is stored a moment later. A position that would follow it passes over a message.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_consumer_has_not_heard_of_is_not_passed_over() {
    let Some(nats) = Nats::running() else { return };
    let stream = nats.stream(json!({})).await.expect("a stream");
    nats.write(&numbers(&format!("{stream}.a"), [1])).await.expect("written");
    let domain = stream.to_lowercase();
    answer_late(nats.client().await.expect("a client"), &domain, 3).await;
    let table = table("i INT", &nats, &stream, &[("subject", &format!("{stream}.a")), ("jetstream.domain", &domain)]);
    let mut harness = SourceHarness::start(&source(&table).expect("a source"), 1, None).await.expect("started");
    let batch = soon(harness.step(0)).await.expect("read").expect("a batch");
    assert_eq!(sorted(&[batch]), ["+I[1]"]);
}
