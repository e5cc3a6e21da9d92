//! The client against a small server of this test, and against a real registry where one runs
//! (`cargo xtask services up schema-registry`, and its variables).
#![allow(clippy::unwrap_used, reason = "tests")]

mod tls;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use flott_connector::schema_registry::{RegisteredSchema, SchemaRegistry, SchemaRegistryFactory};
use flott_connector_schema_registry::{ConfluentRegistries, TRIES};
use flott_core::ErrorKind;

/// What the server saw: the first line, the authorization, the body.
type Seen = Vec<(String, Option<String>, String)>;

/// Answers as many requests as there are answers (status and body), then ends.
fn server(answers: &[(u16, &str)]) -> (String, std::thread::JoinHandle<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/path", listener.local_addr().unwrap());
    let answers: Vec<(u16, String)> = answers.iter().map(|(s, b)| (*s, b.to_string())).collect();
    let run = move || {
        let mut seen = vec![];
        for (status, body) in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let (mut first, mut authorization, mut length) = (String::new(), None, 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let lower = line.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                if lower.starts_with("authorization: ") {
                    authorization = Some(line["authorization: ".len()..].trim().to_string());
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut sent = vec![0; length];
            reader.read_exact(&mut sent).unwrap();
            seen.push((first.trim().to_string(), authorization, String::from_utf8(sent).unwrap()));
            let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            reader.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
        seen
    };
    (url, std::thread::spawn(run))
}

fn open(options: &[(&str, &str)]) -> Arc<dyn SchemaRegistry> {
    ConfluentRegistries.open(&options.iter().copied().collect()).unwrap()
}

fn avro(text: &str) -> RegisteredSchema {
    RegisteredSchema { kind: "AVRO".into(), text: text.into(), references: vec![] }
}

#[test]
fn a_schema_is_asked_for_once_with_what_it_refers_to() {
    let (url, server) = server(&[
        (503, "{}"),
        (200, r#"{"schema":"\"a.B\"","references":[{"name":"a.B","subject":"a b","version":3}]}"#),
        (200, r#"{"subject":"a b","version":3,"id":1,"schema":"{}"}"#),
    ]);
    let registry = open(&[("url", &url), ("basic-auth.user-info", "me:pw")]);
    for _ in 0..2 {
        let schema = registry.schema(7).unwrap();
        assert_eq!((schema.text.as_str(), &schema.references[..]), ("\"a.B\"", &["{}".to_string()][..]));
    }
    let seen = server.join().unwrap();
    // A server that is ill is asked again.
    let lines: Vec<&str> = seen.iter().map(|s| s.0.as_str()).collect();
    let first = "GET /path/schemas/ids/7 HTTP/1.1";
    assert_eq!(lines, [first, first, "GET /path/subjects/a%20b/versions/3 HTTP/1.1"]);
    assert!(seen.iter().all(|s| s.1.as_deref() == Some("Basic bWU6cHc=")), "{seen:?}");
}

#[test]
fn schemas_are_registered_or_looked_up() {
    let (url, first) = server(&[(200, r#"{"id":12}"#)]);
    let registry = open(&[("url", &url), ("bearer-auth.token", "t")]);
    assert_eq!(registry.id("o-value", &avro("\"int\"")).unwrap(), 12);
    assert_eq!(registry.id("o-value", &avro("\"int\"")).unwrap(), 12);
    let seen = first.join().unwrap();
    let expected = ("POST /path/subjects/o-value/versions HTTP/1.1", Some("Bearer t"), r#"{"schema":"\"int\""}"#);
    assert_eq!((seen[0].0.as_str(), seen[0].1.as_deref(), seen[0].2.as_str()), expected);
    let (url, second) = server(&[(404, r#"{"error_code":40403,"message":"Schema not found"}"#)]);
    let registry = open(&[("url", &url), ("auto.register.schemas", "false")]);
    let e = registry.id("o-value", &avro("\"int\"")).expect_err("not there");
    assert!(e.to_string().contains("'o-value' does not have the schema"), "{e}");
    assert_eq!(second.join().unwrap()[0].0, "POST /path/subjects/o-value HTTP/1.1");
}

#[test]
fn each_refusal_has_its_error() {
    for (status, body, kind, part) in [
        (401, "", ErrorKind::User, "does not let us in"),
        (404, r#"{"error_code":40403,"message":"x"}"#, ErrorKind::Data, "no schema with the id 3"),
        (422, r#"{"error_code":42201,"message":"bad"}"#, ErrorKind::User, "42201): bad"),
        (200, "<html>", ErrorKind::Unavailable, "something else than expected"),
    ] {
        let (url, server) = server(&[(status, body)]);
        let e = open(&[("url", &url)]).schema(3).expect_err(part);
        assert!(e.to_string().contains(part) && e.kind() == kind, "{e}");
        server.join().unwrap();
    }
    let (url, server) = server(&[(409, r#"{"error_code":409,"message":"READER_FIELD_MISSING"}"#)]);
    let e = open(&[("url", &url)]).id("s", &avro("\"int\"")).expect_err("incompatible");
    assert!(e.to_string().contains("not compatible") && e.to_string().contains("READER_FIELD_MISSING"), "{e}");
    server.join().unwrap();
}

#[test]
fn a_registry_that_is_down_is_unavailable_and_the_next_one_is_asked() {
    let (down, listener) = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (format!("http://{}", listener.local_addr().unwrap()), listener)
    };
    drop(listener);
    let e = open(&[("url", &down)]).schema(1).expect_err("down");
    assert!(e.kind() == ErrorKind::Unavailable && e.to_string().contains("does not answer"), "{e}");
    let ill = vec![(500, "{}"); TRIES as usize];
    let (url, first) = server(&ill);
    let e = open(&[("url", &url)]).schema(1).expect_err("ill");
    assert!(e.kind() == ErrorKind::Unavailable && e.to_string().contains("fails (500"), "{e}");
    first.join().unwrap();
    let (up, second) = server(&[(200, r#"{"schema":"\"int\""}"#)]);
    assert_eq!(open(&[("url", &format!("{down},{up}"))]).schema(1).unwrap().text, "\"int\"");
    second.join().unwrap();
}

/// From inside a runtime, as a sink's writer calls it.
#[tokio::test]
async fn it_may_be_called_from_a_future() {
    let (url, server) = server(&[(200, r#"{"schema":"\"int\"","schemaType":"AVRO"}"#)]);
    assert_eq!(open(&[("url", &url)]).schema(1).unwrap().kind, "AVRO");
    server.join().unwrap();
}

#[test]
fn a_real_registry() {
    let Some(url) = flott_testkit::services::schema_registry() else { return };
    let registry = open(&[("url", &url)]);
    let subject = format!("test-{}-value", flott_core::id::random_hex());
    let schema = avro(r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#);
    let id = registry.id(&subject, &schema).unwrap();
    let another = open(&[("url", &url), ("auto.register.schemas", "false")]);
    assert_eq!(another.id(&subject, &schema).unwrap(), id);
    let stored: serde_json::Value = serde_json::from_str(&another.schema(id).unwrap().text).unwrap();
    assert_eq!(stored, serde_json::from_str::<serde_json::Value>(&schema.text).unwrap());
    let e = another.schema(u32::MAX / 2 - 1).expect_err("no such schema");
    assert!(e.to_string().contains("no schema with the id"), "{e}");
    let e = another.id(&subject, &avro("\"int\"")).expect_err("not there");
    assert!(e.to_string().contains("does not have the schema"), "{e}");
    let e = registry.id(&subject, &avro("no schema")).expect_err("no schema");
    assert_ne!(e.kind(), ErrorKind::Internal, "{e}");
}
