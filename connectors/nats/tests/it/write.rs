//! What is published.

use flott_core::ErrorKind;
use flott_testkit::batch;
use flott_testkit::nats::Nats;
use serde_json::json;

use crate::support::{AT_LEAST_ONCE, soon, table, writer};

#[tokio::test(flavor = "multi_thread")]
async fn subjects_and_headers_are_written() {
    let Some(nats) = Nats::running() else { return };
    let stream = nats.stream(json!({})).await.expect("a stream");
    let table = table("i INT", &nats, &stream, &[AT_LEAST_ONCE])
        .metadata("s", "subject", "STRING NOT NULL", false)
        .metadata("h", "headers", "MAP<STRING, STRING>", false);
    let mut writer = writer(&table).expect("a writer");
    let rows = [format!("+I[1, {stream}.a, {{k=v, n=null}}]"), format!("+I[2, {stream}.b, null]")];
    let rows = batch("i INT, s STRING NOT NULL, h MAP<STRING, STRING>", &rows);
    soon(writer.write(rows)).await.expect("taken");
    soon(writer.flush(true)).await.expect("stored");
    assert!(writer.bytes_written() > 0);
    writer.close().await.expect("closed");
    let found = nats.read(&stream).await.expect("read");
    let texts: Vec<_> = found.iter().map(|m| (m.subject.clone(), m.text())).collect();
    assert_eq!(
        texts,
        [(format!("{stream}.a"), "{\"i\":1}".to_string()), (format!("{stream}.b"), "{\"i\":2}".to_string())]
    );
    assert!(found[0].headers.contains(&("k".to_string(), "v".to_string())), "{:?}", found[0].headers);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_does_not_take_is_told() {
    let Some(nats) = Nats::running() else { return };
    let stream = nats.stream(json!({ "max_msg_size": 100 })).await.expect("a stream");
    let subject = format!("{stream}.x");
    let large = format!("+I[{}]", "x".repeat(200));
    let huge = format!("+I[{}]", "x".repeat(2_000_000));
    let other = nats.stream(json!({})).await.expect("a stream");
    let full = nats.stream(json!({ "max_msgs": 1, "discard": "new" })).await.expect("a stream");
    let full_subject = format!("{full}.x");
    let small = "+I[a]".to_string();
    for (stream, subject, row, kind, part) in [
        (stream.as_str(), subject.as_str(), &large, ErrorKind::Data, "max_msg_size"),
        (&stream, &subject, &huge, ErrorKind::Data, "max_payload"),
        (&other, &subject, &small, ErrorKind::User, "not one of the stream"),
        ("not-there-at-all", &subject, &small, ErrorKind::User, "not-there-at-all"),
        (&stream, "nobody.has.this", &small, ErrorKind::User, "does not have the subject"),
        (&full, &full_subject, &small, ErrorKind::Unavailable, "no more messages"),
    ] {
        let table = table("s STRING", &nats, stream, &[AT_LEAST_ONCE, ("subject", subject)]);
        let mut writer = writer(&table).expect("a writer");
        let written = async {
            writer.write(batch("s STRING", &[row.as_str(), row.as_str()])).await?;
            writer.flush(false).await
        };
        let error = soon(written).await.expect_err(part);
        assert!(error.kind() == kind && error.to_string().contains(part), "{part}: {error:?}");
    }
    // It is the refused message's subject that counts, and not that of a later one.
    let (good, bad) = (format!("{stream}.x"), "nobody.has.this.either");
    let several = table("s STRING", &nats, &stream, &[AT_LEAST_ONCE]).metadata("to", "subject", "STRING", false);
    let mut several = writer(&several).expect("a writer");
    // As many as are under way when the refusal comes.
    let mut rows = vec![format!("+I[b, {bad}]")];
    rows.extend((0..1_000).map(|i| format!("+I[{i}, {good}]")));
    let written = async {
        several.write(batch("s STRING, `to` STRING", &rows)).await?;
        several.flush(false).await
    };
    let error = soon(written).await.expect_err("one has no stream");
    assert!(error.kind() == ErrorKind::User && error.to_string().contains(bad), "{error:?}");
    // Rows that are wrong by themselves.
    let table = table("s STRING", &nats, &other, &[AT_LEAST_ONCE]).metadata("to", "subject", "STRING", false);
    for (row, part) in [("+I[a, null]", "does not say"), ("+I[a, x.*]", "no subject")] {
        let mut writer = writer(&table).expect("a writer");
        let error = soon(writer.write(batch("s STRING, `to` STRING", &[row]))).await.expect_err(part);
        assert!(error.kind() == ErrorKind::Data && error.to_string().contains(part), "{error}");
    }
}
