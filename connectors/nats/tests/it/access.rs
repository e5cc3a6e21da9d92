//! Who may read and write a stream, and what is told to whom may not.

use flott_core::{ErrorKind, Result, id};
use flott_testkit::nats::{Nats, OwnNats};
use flott_testkit::{TableBuilder, batch};

use crate::support::{AT_LEAST_ONCE, BOUNDED, rows, soon, table, writer};

fn folder() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("flott-nats-{}", id::random_hex()))
}

async fn tried(table: &TableBuilder) -> Result<Vec<String>> {
    soon(rows(table, 1)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_so() {
    let folder = folder();
    let Some(server) = OwnNats::start(&folder, &["--user", "me", "--pass", "CANARY-right"]) else { return };
    let nats = server.address();
    for options in [&[][..], &[("username", "me"), ("password", "CANARY-wrong")], &[("token", "CANARY-token")]] {
        let error = tried(&table("i INT", &nats, "S", &[&[BOUNDED], options].concat())).await.expect_err("not let in");
        assert_eq!(error.kind(), ErrorKind::User, "{error}");
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }
    let right = [BOUNDED, ("username", "me"), ("password", "CANARY-right")];
    let error = tried(&table("i INT", &nats, "S", &right)).await.expect_err("let in, and there is no stream");
    assert!(error.to_string().contains("no such stream"), "{error}");
    drop(server);
    std::fs::remove_dir_all(folder).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_may_come_back() {
    let nats = Nats { url: "nats://127.0.0.1:1".to_string() };
    let reading = tried(&table("i INT", &nats, "S", &[BOUNDED])).await.expect_err("nobody is there");
    let mut writer = writer(&table("i INT", &nats, "S", &[AT_LEAST_ONCE, ("subject", "a")])).expect("a writer");
    let writing = soon(writer.write(batch("i INT", &["+I[1]"]))).await.expect_err("nobody is there");
    for error in [reading, writing] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    }
}
