//! Servers that go away and come back.

use std::time::Duration;

use flott_core::{ErrorKind, id};
use flott_testkit::nats::OwnNats;
use flott_testkit::{SourceHarness, batch};
use serde_json::json;

use crate::support::{AT_LEAST_ONCE, numbers, read_some, soon, source, table, writer};

/// The server is killed while a source reads and a sink writes: the source goes on by itself, without a gap, and the sink says
/// that rows may not have been stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_killed_and_comes_back() {
    let folder = std::env::temp_dir().join(format!("flott-nats-{}", id::random_hex()));
    let Some(mut server) = OwnNats::start(&folder, &[]) else { return };
    let nats = server.address();
    let stream = nats.stream(json!({})).await.expect("a stream");
    let subject = format!("{stream}.x");
    nats.write(&numbers(&subject, 1..=3)).await.expect("written");
    let source = source(&table("i INT", &nats, &stream, &[("subject", &subject)])).expect("a source");
    let mut harness = SourceHarness::start(&source, 1, None).await.expect("started");
    assert_eq!(soon(read_some(&mut harness, 3)).await.expect("read"), ["+I[1]", "+I[2]", "+I[3]"]);
    let mut writer =
        writer(&table("i INT", &nats, &stream, &[AT_LEAST_ONCE, ("subject", &subject)])).expect("a writer");
    soon(writer.write(batch("i INT", &["+I[4]"]))).await.expect("taken");
    soon(writer.flush(false)).await.expect("stored");

    server.kill();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let lost = async {
        writer.write(batch("i INT", &["+I[5]"])).await?;
        writer.flush(false).await
    };
    let error = soon(lost).await.expect_err("nobody has stored it");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    drop(writer);
    server.run();
    nats.write(&numbers(&subject, 6..=7)).await.expect("written");
    let found = soon(read_some(&mut harness, 3)).await.expect("read");
    // The row that was under way when the server died may have come when it was back.
    let found: Vec<String> = found.into_iter().filter(|r| r != "+I[5]").collect();
    assert!(found.starts_with(&["+I[4]".to_string(), "+I[6]".to_string()]), "{found:?}");
    drop(harness);
    drop(server);
    std::fs::remove_dir_all(folder).ok();
}
