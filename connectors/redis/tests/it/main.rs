//! The connector against a real server (`cargo xtask services up redis`); skipped where none runs.

use std::sync::Arc;

use flott_connector::Registry;
use flott_connector::sink::SinkWriter;
use flott_core::{ErrorKind, Result, id};
use flott_testkit::{TableBuilder, batch, services, writer_context};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, IntoConnectionInfo};

const ROWS: &str = "id INT NOT NULL, s STRING NOT NULL, v DOUBLE";

fn registry() -> Arc<Registry> {
    let mut registry = Registry::default();
    flott_connector_redis::connectors().into_iter().for_each(|c| registry.add_connector(c));
    flott_format::formats().into_iter().for_each(|f| registry.add_format(f));
    Arc::new(registry)
}

/// A server, and keys of one test.
struct Server {
    url: String,
    password: String,
    prefix: String,
    connection: MultiplexedConnection,
}

impl Server {
    async fn running() -> Option<Server> {
        let (url, password) = services::redis()?;
        let info = url.as_str().into_connection_info().expect("a URL");
        let settings = info.redis_settings().clone().set_password(&password);
        let client = redis::Client::open(info.set_redis_settings(settings)).expect("a client");
        let connection = client.get_multiplexed_async_connection().await.expect("connected");
        Some(Server { url, password, prefix: format!("flott-test-{}:", id::random_hex()), connection })
    }

    fn table(&self, options: &[(&str, &str)]) -> TableBuilder {
        let login = [("password", self.password.as_str()), ("key.prefix", &self.prefix)];
        table(&self.url, &[&login, options].concat())
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &[&str]) -> T {
        let mut asked = redis::cmd(command[0]);
        for argument in &command[1..] {
            asked.arg(*argument);
        }
        asked.query_async(&mut self.connection).await.expect("an answer")
    }

    fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.prefix)
    }
}

fn table(url: &str, options: &[(&str, &str)]) -> TableBuilder {
    let mut table = TableBuilder::new("t", ROWS).registry(registry()).option("connector", "redis").option("url", url);
    for (key, value) in options {
        table = table.option(key, value);
    }
    table
}

fn writer(table: &TableBuilder) -> Result<Box<dyn SinkWriter>> {
    registry().connector("redis")?.sink(&table.sink())?.sink.create_writer(writer_context(0, 1), vec![])
}

async fn write(table: &TableBuilder, rows: &[&str]) -> Result<()> {
    let mut writer = writer(table)?;
    writer.write(batch(ROWS, rows)).await?;
    writer.flush(true).await?;
    assert!(writer.bytes_written() > 0);
    writer.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn strings_are_set_replaced_and_removed() {
    let Some(mut server) = Server::running().await else { return };
    let table = server.table(&[("format", "json"), ("ttl", "1 h")]).primary_key(&["id"]);
    let rows = ["+I[1, a, 1.5]", "+I[2, b, null]", "-U[1, a, 1.5]", "+U[1, c, 2.5]", "-D[2, b, null]", "+I[3, d, 0.0]"];
    write(&table, &rows).await.expect("written");
    // Once more, as after a failure.
    write(&table, &rows).await.expect("written");
    let (one, two) = (server.key("1"), server.key("2"));
    assert_eq!(server.ask::<String>(&["GET", &one]).await, r#"{"id":1,"s":"c","v":2.5}"#);
    assert_eq!(server.ask::<Option<String>>(&["GET", &two]).await, None);
    let left: i64 = server.ask(&["PTTL", &one]).await;
    assert!((3_500_000..=3_600_000).contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_have_a_field_for_each_column() {
    let Some(mut server) = Server::running().await else { return };
    let table = server.table(&[("data-type", "hash"), ("ttl", "1 h")]).primary_key(&["id", "s"]);
    write(&table, &["+I[1, a:b, 1.5]", "+I[2, c, 1.5]", "+U[2, c, null]", "+I[3, d, 1.0]", "-D[3, d, 1.0]"])
        .await
        .expect("written");
    let (one, two, three) = (server.key("1:a%3Ab"), server.key("2:c"), server.key("3:d"));
    assert_eq!(server.ask::<Vec<String>>(&["HMGET", &one, "id", "s", "v"]).await, ["1", "a:b", "1.5"]);
    assert_eq!(server.ask::<Vec<Option<String>>>(&["HMGET", &two, "id", "v"]).await, [Some("2".to_string()), None]);
    assert!(!server.ask::<bool>(&["EXISTS", &three]).await);
    assert!(server.ask::<i64>(&["PTTL", &two]).await > 3_500_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_go_in_several_pipelines() {
    let Some(mut server) = Server::running().await else { return };
    let key = server.key("list");
    let login = [("password", server.password.as_str()), ("data-type", "list"), ("key", &key), ("format", "csv")];
    let table = table(&server.url, &login);
    let rows: Vec<String> = (0..2_500).map(|i| format!("+I[{i}, a, null]")).collect();
    write(&table, &rows.iter().map(String::as_str).collect::<Vec<_>>()).await.expect("written");
    let found: Vec<String> = server.ask(&["LRANGE", &key, "0", "-1"]).await;
    assert_eq!(found, (0..2_500).map(|i| format!("{i},a,")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told_by_its_kind() {
    let Some(mut server) = Server::running().await else { return };
    let taken = server.key("1");
    server.ask::<()>(&["SET", &taken, "a string"]).await;
    let hash = server.table(&[("data-type", "hash")]).primary_key(&["id"]);
    let error = write(&hash, &["+I[1, a, 1.0]"]).await.expect_err("another type");
    assert!(error.kind() == ErrorKind::Data && error.to_string().contains("another type"), "{error}");
    for login in [&[][..], &[("password", "CANARY-wrong")], &[("username", "me"), ("password", "CANARY-wrong")]] {
        let table = table(&server.url, &[&[("format", "json")], login].concat()).primary_key(&["id"]);
        let error = write(&table, &["+I[1, a, 1.0]"]).await.expect_err("not let in");
        assert_eq!(error.kind(), ErrorKind::User, "{error}");
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_may_come_back() {
    let options = [("format", "json"), ("sink.max-retries", "1"), ("sink.request.timeout", "1 s")];
    let table = table("redis://127.0.0.1:1", &options).primary_key(&["id"]);
    let error = write(&table, &["+I[1, a, 1.0]"]).await.expect_err("nobody is there");
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[test]
fn options_are_checked() {
    let of = |url: &str, options: &[(&str, &str)], key: &[&str]| {
        let table = table(url, options);
        writer(&if key.is_empty() { table } else { table.primary_key(key) }).map(drop)
    };
    let url = "redis://h";
    of(url, &[("format", "json")], &["id"]).expect("a sink");
    for (url, options, key, part) in [
        ("http://h", &[("format", "json")][..], &["id"][..], "redis://"),
        ("redis://u:CANARY@h", &[("format", "json")], &["id"], "'username' and 'password'"),
        (url, &[("format", "json")], &[], "needs a PRIMARY KEY"),
        (url, &[], &["id"], "'format'"),
        (url, &[("format", "debezium-json")], &["id"], "format of changes"),
        (url, &[("data-type", "hash"), ("format", "json")], &["id"], "no format"),
        (url, &[("data-type", "list"), ("format", "json")], &[], "needs 'key'"),
        (url, &[("data-type", "list"), ("format", "json"), ("key", "k")], &["id"], "PRIMARY KEY"),
        (url, &[("format", "json"), ("key", "k")], &["id"], "is for lists"),
        (url, &[("data-type", "zset"), ("format", "json")], &["id"], "expected one of"),
        (url, &[("format", "json"), ("key.delimiter", "")], &["id"], "key.delimiter"),
        (url, &[("format", "json"), ("ttl", "0 s")], &["id"], "ttl"),
        (url, &[("format", "json"), ("username", "u")], &["id"], "'password' is not"),
        (url, &[("format", "json"), ("tls.ca", "x")], &["id"], "not rediss://"),
        ("rediss://h", &[("format", "json"), ("tls.ca", "x")], &["id"], "no certificate"),
    ] {
        let error = of(url, options, key).expect_err(part);
        assert!(error.kind() == ErrorKind::User && error.to_string().contains(part), "{error}");
        assert!(!error.to_string().contains("CANARY"), "{error}");
    }
}
