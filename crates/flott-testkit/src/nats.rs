//! A real NATS server for tests: `cargo xtask services up nats`. Its own small client of JetStream's API, so that what a
//! connector writes is read by something else.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, HeaderMap};
use flott_core::{Error, Result, id};
use serde_json::{Value, json};

use crate::ports::free_ports;
use crate::services::variable;

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct Nats {
    /// `nats://host:port`.
    pub url: String,
}

/// A message of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NatsMessage {
    /// Where it was sent to.
    pub subject: String,
    /// Its content.
    pub payload: Vec<u8>,
    /// Names and values, by name.
    pub headers: Vec<(String, String)>,
}

impl NatsMessage {
    /// Without headers.
    pub fn of(subject: &str, payload: impl Into<Vec<u8>>) -> NatsMessage {
        NatsMessage { subject: subject.to_string(), payload: payload.into(), headers: vec![] }
    }

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::unavailable("NATS").caused_by(error)
}

impl Nats {
    /// The one that runs, or `None` and a word on why the test is skipped.
    pub fn running() -> Option<Nats> {
        variable("nats", "FLOTT_TEST_NATS").map(|url| Nats { url })
    }

    /// A connection.
    pub async fn client(&self) -> Result<Client> {
        ConnectOptions::new().connect(&self.url).await.map_err(failed)
    }

    /// Asks JetStream's API; a refusal is an error.
    pub async fn ask(&self, what: &str, question: Value) -> Result<Value> {
        let subject = format!("$JS.API.{what}");
        let answer = self.client().await?.request(subject, question.to_string().into()).await.map_err(failed)?;
        let answer: Value = serde_json::from_slice(&answer.payload).map_err(failed)?;
        match answer.get("error") {
            Some(error) => Err(Error::user(format!("JetStream refuses {what}: {error}"))),
            None => Ok(answer),
        }
    }

    /// Makes a stream of a new name, whose subjects begin with it: `NAME.>`. `more` is added to its configuration.
    pub async fn stream(&self, more: Value) -> Result<String> {
        let name = format!("flott-test-{}", id::random_hex());
        self.create(&name, more).await?;
        Ok(name)
    }

    /// The same with a name of its own.
    pub async fn create(&self, name: &str, more: Value) -> Result<()> {
        let mut config =
            json!({ "name": name, "subjects": [format!("{name}.>")], "storage": "file", "retention": "limits" });
        for (key, value) in more.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        self.ask(&format!("STREAM.CREATE.{name}"), config).await.map(drop)
    }

    /// Removes a stream.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.ask(&format!("STREAM.DELETE.{name}"), json!({})).await.map(drop)
    }

    /// Publishes messages, one after the other, and gives their sequences.
    pub async fn write(&self, messages: &[NatsMessage]) -> Result<Vec<u64>> {
        let client = self.client().await?;
        let mut sequences = vec![];
        for message in messages {
            let mut headers = HeaderMap::new();
            for (name, value) in &message.headers {
                headers.append(name.as_str(), value.as_str());
            }
            let payload = message.payload.clone().into();
            let answer =
                client.request_with_headers(message.subject.clone(), headers, payload).await.map_err(failed)?;
            let answer: Value = serde_json::from_slice(&answer.payload).map_err(failed)?;
            match answer["seq"].as_u64() {
                Some(sequence) => sequences.push(sequence),
                None => return Err(Error::user(format!("a message was refused: {answer}"))),
            }
        }
        Ok(sequences)
    }

    /// All messages of a stream.
    pub async fn read(&self, stream: &str) -> Result<Vec<NatsMessage>> {
        let client = self.client().await?;
        let info = self.ask(&format!("STREAM.INFO.{stream}"), json!({})).await?;
        let (first, last) = (info["state"]["first_seq"].as_u64(), info["state"]["last_seq"].as_u64());
        let mut messages = vec![];
        for sequence in first.unwrap_or(1)..=last.unwrap_or(0) {
            let question = json!({ "seq": sequence }).to_string();
            let answer = client.request(format!("$JS.API.STREAM.MSG.GET.{stream}"), question.into()).await;
            let answer: Value = serde_json::from_slice(&answer.map_err(failed)?.payload).map_err(failed)?;
            // A sequence without a message: it was removed.
            let Some(message) = answer.get("message") else { continue };
            let bytes = |key: &str| base64(message[key].as_str().unwrap_or_default());
            let head = String::from_utf8_lossy(&bytes("hdrs")).into_owned();
            let mut headers: Vec<(String, String)> = head
                .lines()
                .skip(1)
                .filter_map(|l| l.split_once(':').map(|(n, v)| (n.to_string(), v.trim().to_string())))
                .collect();
            headers.sort();
            let subject = message["subject"].as_str().unwrap_or_default().to_string();
            messages.push(NatsMessage { subject, payload: bytes("data"), headers });
        }
        Ok(messages)
    }
}

/// Base64 with padding, as the API has it.
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut count) = (vec![], 0u32, 0);
    for value in text.bytes().filter_map(|b| ALPHABET.iter().position(|a| *a == b)) {
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

/// A server that belongs to one test, which kills it.
#[derive(Debug)]
pub struct OwnNats {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl OwnNats {
    /// Starts one over a folder, or `None` and a word on why the test is skipped. `arguments` are the server's own
    /// (`--user`, `--auth`, `--tls`).
    pub fn start(folder: &Path, arguments: &[&str]) -> Option<OwnNats> {
        let program = PathBuf::from(variable("nats", "FLOTT_TEST_NATS_PROGRAM")?);
        std::fs::create_dir_all(folder).expect("a folder");
        let port = free_ports(1).expect("a free port")[0];
        let arguments = arguments.iter().map(|a| (*a).to_string()).collect();
        let mut own = OwnNats { program, folder: folder.to_path_buf(), port, arguments, child: None };
        own.run();
        Some(own)
    }

    /// How to reach it.
    pub fn address(&self) -> Nats {
        Nats { url: format!("nats://127.0.0.1:{}", self.port) }
    }

    /// Runs it, again after a kill, and waits until it answers.
    pub fn run(&mut self) {
        let child = Command::new(&self.program)
            .args(["-js", "-a", "127.0.0.1", "-p", &self.port.to_string(), "-sd"])
            .arg(&self.folder)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("the server starts"));
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            pause(Duration::from_millis(10));
        }
        panic!("the server does not answer");
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }
}

impl Drop for OwnNats {
    fn drop(&mut self) {
        self.kill();
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for another process")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
