//! The connector against a server of the tests' own.

use std::sync::Arc;

use flott_connector::Registry;
use flott_connector::sink::{SinkWriter, WriterContext};
use flott_connector::source::SubtaskInfo;
use flott_core::{CheckpointId, ErrorKind, Generation, Result};
use flott_testkit::http::{HttpAnswer, HttpServer};
use flott_testkit::{TableBuilder, batch};

const ROWS: &str = "id INT NOT NULL, v STRING";

fn registry() -> Arc<Registry> {
    let mut registry = Registry::default();
    flott_connector_http::connectors().into_iter().for_each(|c| registry.add_connector(c));
    flott_format::formats().into_iter().for_each(|f| registry.add_format(f));
    Arc::new(registry)
}

fn table(url: &str, options: &[(&str, &str)]) -> TableBuilder {
    let mut table = TableBuilder::new("t", ROWS).registry(registry()).option("connector", "http").option("url", url);
    if !options.iter().any(|(key, _)| *key == "format") {
        table = table.option("format", "json");
    }
    for (key, value) in options {
        table = table.option(key, value);
    }
    table
}

fn context() -> WriterContext {
    WriterContext {
        subtask: SubtaskInfo { index: 0, parallelism: 1 },
        lineage: "l".to_string(),
        generation: Generation(1),
        operator_uid: "sink".to_string(),
    }
}

fn writer(table: &TableBuilder) -> Result<Box<dyn SinkWriter>> {
    registry().connector("http")?.sink(&table.sink())?.sink.create_writer(context(), vec![])
}

async fn write(table: &TableBuilder, rows: &[&str]) -> Result<()> {
    let mut writer = writer(table)?;
    writer.write(batch(ROWS, rows)).await?;
    writer.flush(true).await?;
    writer.close().await
}

fn ok() -> HttpServer {
    HttpServer::start(|_, _| HttpAnswer::status(200))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_a_request_with_login_headers_and_id() {
    let server = ok();
    let options = [
        ("username", "me"),
        ("password", "CANARY"),
        ("header.plain.X-Plain", "p"),
        ("header.secret.X-Key", "CANARY-key"),
    ];
    write(&table(&format!("{}/rows?to={{v}}", server.url()), &options), &["+I[1, a b]", "+I[2, c]"])
        .await
        .expect("sent");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/rows?to=a%20b"));
    assert_eq!(requests[0].body, r#"{"id":1,"v":"a b"}"#);
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    assert_eq!(requests[0].header("authorization"), Some("Basic bWU6Q0FOQVJZ"));
    assert_eq!((requests[0].header("x-plain"), requests[0].header("x-key")), (Some("p"), Some("CANARY-key")));
    let ids: Vec<_> = requests.iter().map(|r| r.header("idempotency-key").expect("an id").to_string()).collect();
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_with_a_key_replace_and_delete_each_other() {
    let server = HttpServer::start(|_, r| HttpAnswer::status(if r.method == "DELETE" { 404 } else { 204 }));
    let keyed = table(&format!("{}/rows/{{id}}", server.url()), &[]).primary_key(&["id"]);
    write(&keyed, &["+I[1, a]", "-U[1, a]", "+U[1, b]", "-D[1, b]"]).await.expect("sent");
    let shown: Vec<_> = server.requests().into_iter().map(|r| format!("{} {} {}", r.method, r.path, r.body)).collect();
    assert_eq!(shown, [r#"PUT /rows/1 {"id":1,"v":"a"}"#, r#"PUT /rows/1 {"id":1,"v":"b"}"#, "DELETE /rows/1 "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_rows_make_a_request() {
    for (layout, expected, content_type) in [
        (
            "json-array",
            ["[{\"id\":1,\"v\":null},{\"id\":2,\"v\":null}]", "[{\"id\":3,\"v\":null}]"],
            "application/json",
        ),
        (
            "lines",
            ["{\"id\":1,\"v\":null}\n{\"id\":2,\"v\":null}\n", "{\"id\":3,\"v\":null}\n"],
            "application/x-ndjson",
        ),
    ] {
        let server = ok();
        let options = [("sink.batch.max-rows", "2"), ("sink.batch.layout", layout)];
        write(&table(&server.url(), &options), &["+I[1, null]", "+I[2, null]", "+I[3, null]"]).await.expect("sent");
        let requests = server.requests();
        assert_eq!(requests.iter().map(|r| r.body.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(requests[0].header("content-type"), Some(content_type));
    }
}

/// Each answer that may pass, and one that never comes: the request is sent again with the id that it had.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_sent_again_with_its_id() {
    let server = HttpServer::start(|before, _| match before {
        0 => HttpAnswer::Status(503, vec![("Retry-After", "0".to_string())], "busy".to_string()),
        1 => HttpAnswer::Nothing,
        2 => HttpAnswer::status(429),
        _ => HttpAnswer::status(201),
    });
    write(&table(&server.url(), &[]), &["+I[1, a]"]).await.expect("sent in the end");
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|r| r.header("idempotency-key") == requests[0].header("idempotency-key")));
    assert!(requests.iter().all(|r| r.body == requests[0].body));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_goes_well_is_told_by_its_kind() {
    for (status, kind, part, requests) in [
        (500, ErrorKind::Unavailable, "500", 2),
        (401, ErrorKind::User, "'username'", 1),
        (404, ErrorKind::User, "'url'", 1),
        (302, ErrorKind::User, "redirects", 1),
        (422, ErrorKind::Data, "a reason", 1),
    ] {
        let server = HttpServer::start(move |_, _| {
            HttpAnswer::Status(status, vec![("Location", "/other".to_string())], "a reason".to_string())
        });
        let options = [("sink.request.max-retries", "1"), ("token", "CANARY")];
        let error = write(&table(&server.url(), &options), &["+I[1, a]"]).await.expect_err(part);
        assert!(error.kind() == kind && error.to_string().contains(part), "{error}");
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        assert_eq!(server.requests().len(), requests, "{status}");
    }
    // A service that knows the id already.
    let server = HttpServer::start(|_, _| HttpAnswer::status(409));
    write(&table(&server.url(), &[("sink.success-codes", "2xx;409")]), &["+I[1, a]"]).await.expect("taken");
    let away = table("http://127.0.0.1:1/?key=CANARY", &[("sink.request.max-retries", "0")]);
    let error = write(&away, &["+I[1, a]"]).await.expect_err("nobody is there");
    assert!(error.kind() == ErrorKind::Unavailable && !format!("{error:?}").contains("CANARY"), "{error:?}");
}

/// An answer without an end is not read to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_cut() {
    let server = HttpServer::start(|_, _| HttpAnswer::Status(400, vec![], "x".repeat(4 << 20)));
    let error = write(&table(&server.url(), &[]), &["+I[1, a]"]).await.expect_err("refused").to_string();
    assert!(error.len() < 2_000, "{}", error.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_rows_have_the_ids_that_they_had() {
    let server = ok();
    let table = table(&server.url(), &[]);
    let sink = registry().connector("http").expect("it").sink(&table.sink()).expect("a sink").sink;
    let mut first = sink.create_writer(context(), vec![]).expect("a writer");
    first.write(batch(ROWS, &["+I[1, a]"])).await.expect("sent");
    first.flush(false).await.expect("sent");
    let states = first.snapshot_state(CheckpointId(1)).await.expect("a state");
    first.write(batch(ROWS, &["+I[2, b]", "+I[3, c]"])).await.expect("sent");
    first.flush(false).await.expect("sent");
    // It fails here; what came behind the checkpoint comes again.
    let mut second = sink.create_writer(context(), states).expect("a writer");
    second.write(batch(ROWS, &["+I[2, b]"])).await.expect("sent");
    second.write(batch(ROWS, &["+I[3, c]"])).await.expect("sent");
    second.flush(false).await.expect("sent");
    let ids: Vec<_> = server.requests().iter().map(|r| r.header("idempotency-key").map(str::to_string)).collect();
    assert_eq!(ids[1..3], ids[3..5]);
}

#[test]
fn options_are_checked() {
    let of = |url: &str, options: &[(&str, &str)]| writer(&table(url, options)).map(drop);
    of("http://h/{id}", &[]).expect("a sink");
    for (url, options, part) in [
        ("h", &[][..], "http://"),
        ("http://h/{x}", &[], "no column"),
        ("http://h/{id}", &[("sink.batch.max-rows", "2")], "the same for all"),
        ("http://h", &[("sink.batch.max-rows", "0")], "more than 0"),
        ("http://h", &[("sink.batch.max-rows", "2"), ("format", "csv")], "no array of JSON"),
        ("http://h", &[("username", "u")], "belong together"),
        ("http://h", &[("username", "u"), ("password", "CANARY"), ("token", "CANARY")], "both say who asks"),
        ("http://h", &[("header.plain.a b", "x")], "no name of a header"),
        ("http://h", &[("header.secret.a", "CANARY\n")], "characters that none can have"),
        ("http://h", &[("sink.retry-codes", "abc")], "no answer of HTTP"),
        ("http://h", &[("sink.request.timeout", "0 s")], "more than 0"),
        ("http://h", &[("sink.request.max-retries", "-1")], "less than 0"),
        ("http://h", &[("sink.id-header", "a b")], "no name of a header"),
        ("http://h", &[("tls.ca", "x")], "no certificate"),
        ("http://h", &[("methods", "PUT")], "Did you mean 'method'"),
    ] {
        let error = of(url, options).expect_err(part);
        assert!(error.kind() == ErrorKind::User && error.to_string().contains(part), "{error}");
        assert!(!error.to_string().contains("CANARY"), "{error}");
    }
    for (url, part) in [("http://h", "not in 'url'"), ("http://h/{id}/{v}", "not of the PRIMARY KEY")] {
        let error = writer(&table(url, &[]).primary_key(&["id"])).err().expect(part).to_string();
        assert!(error.contains(part), "{error}");
    }
}
