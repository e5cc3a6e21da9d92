//! Real servers that tests use where there are some: `cargo xtask services up NAME` starts them and prints the variables
//! that are read here. A test that finds none says `SKIPPED` and why, and ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::ports::free_ports;
use crate::skipped;

/// Looks a service's variable up, or says why the test is skipped.
pub(crate) fn variable(service: &str, name: &str) -> Option<String> {
    if let Ok(value) = std::env::var(name) {
        return Some(value);
    }
    let reason = std::env::var(format!("FLOTT_TEST_SKIP_{}", service.to_ascii_uppercase().replace('-', "_")));
    let reason = reason.unwrap_or_else(|_| format!("{name} is not set: cargo xtask services up {service}"));
    skipped(&reason);
    None
}

/// The URL of a schema registry that runs, or `None` and a word on why the test is skipped.
pub fn schema_registry() -> Option<String> {
    variable("schema-registry", "FLOTT_TEST_SCHEMA_REGISTRY")
}

/// The URL of a Redis server that runs and its password, or `None` and a word on why the test is skipped.
pub fn redis() -> Option<(String, String)> {
    Some((variable("redis", "FLOTT_TEST_REDIS")?, variable("redis", "FLOTT_TEST_REDIS_PASSWORD")?))
}

/// How to reach an S3-compatible store.
#[derive(Debug, Clone)]
pub struct S3 {
    /// `http://host:port`.
    pub endpoint: String,
    /// The access key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// A bucket for tests; each uses a prefix of its own.
    pub bucket: String,
}

impl S3 {
    /// The one that runs, or `None` and a word on why the test is skipped.
    pub fn running() -> Option<S3> {
        let get = |name: &str| variable("versitygw", name);
        Some(S3 {
            endpoint: get("FLOTT_TEST_S3_ENDPOINT")?,
            access_key: get("FLOTT_TEST_S3_ACCESS_KEY")?,
            secret_key: get("FLOTT_TEST_S3_SECRET_KEY")?,
            bucket: get("FLOTT_TEST_S3_BUCKET")?,
        })
    }

    /// What a session is told of it.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        vec![
            ("s3.endpoint", self.endpoint.clone()),
            ("s3.access-key", self.access_key.clone()),
            ("s3.secret-key", self.secret_key.clone()),
            ("s3.path.style.access", "true".to_string()),
            ("s3.endpoint.region", "us-east-1".to_string()),
        ]
    }

    /// The same store behind another address.
    pub fn at(&self, port: u16) -> S3 {
        S3 { endpoint: format!("http://127.0.0.1:{port}"), ..self.clone() }
    }
}

/// A gateway that belongs to one test, which kills it.
#[derive(Debug)]
pub struct OwnS3 {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl OwnS3 {
    /// Starts one over a folder, or `None` and a word on why the test is skipped.
    pub fn start(folder: &Path) -> Option<OwnS3> {
        let program = PathBuf::from(variable("versitygw", "FLOTT_TEST_S3_PROGRAM")?);
        std::fs::create_dir_all(folder.join("bucket")).expect("a folder");
        let port = free_ports(1).expect("a free port")[0];
        let mut own = OwnS3 { program, folder: folder.to_path_buf(), port, child: None };
        own.run();
        Some(own)
    }

    /// How to reach it.
    pub fn address(&self) -> S3 {
        S3 {
            endpoint: format!("http://127.0.0.1:{}", self.port),
            access_key: "own".to_string(),
            secret_key: "CANARY-own-secret".to_string(),
            bucket: "bucket".to_string(),
        }
    }

    /// Runs it, again after a kill, and waits until it answers.
    pub fn run(&mut self) {
        let S3 { access_key, secret_key, .. } = self.address();
        let child = Command::new(&self.program)
            .args(["--quiet", "--access", &access_key, "--secret", &secret_key])
            .args(["--port", &format!("127.0.0.1:{}", self.port), "posix"])
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("the gateway starts"));
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            pause(Duration::from_millis(10));
        }
        panic!("the gateway does not answer");
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }
}

impl Drop for OwnS3 {
    fn drop(&mut self) {
        self.kill();
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for another process")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The server answers.
    Answered,
    /// The server does it, and the answer is lost.
    Lost,
    /// The server does not hear of it: the answer is this status, and an S3 error of this code.
    Refused(u16, &'static str),
}

/// A proxy that hands requests on to a server, and loses the answers that it is told to lose: what was asked for has been
/// done by then. Or it refuses requests.
#[derive(Debug)]
pub struct LossyProxy {
    port: u16,
}

impl LossyProxy {
    /// Stands before `endpoint`. `loses` gets the first line of each request, as in `PUT /bucket/key HTTP/1.1`.
    pub fn start(endpoint: &str, loses: impl Fn(&str) -> bool + Send + Sync + 'static) -> LossyProxy {
        LossyProxy::deciding(endpoint, move |line| if loses(line) { Fate::Lost } else { Fate::Answered })
    }

    /// The same, with any fate.
    pub fn deciding(endpoint: &str, fate: impl Fn(&str) -> Fate + Send + Sync + 'static) -> LossyProxy {
        let server = endpoint.trim_start_matches("http://").to_string();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let fate = Arc::new(fate);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, fate) = (server.clone(), Arc::clone(&fate));
                // What breaks off here breaks off for the client, too.
                std::thread::spawn(move || exchange(client, &server, &*fate).ok());
            }
        });
        LossyProxy { port }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// One request and its answer; the connection is for no more.
fn exchange(mut client: TcpStream, server: &str, fate: &dyn Fn(&str) -> Fate) -> std::io::Result<()> {
    let mut from_client = BufReader::new(client.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let begin = head.len();
        if from_client.read_line(&mut head)? == 0 {
            return Ok(());
        }
        let line = head[begin..].trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.is_empty() {
            head.truncate(begin);
            break;
        }
    }
    let mut body = vec![0; length];
    from_client.read_exact(&mut body)?;
    let fate = fate(head.lines().next().unwrap_or(""));
    if let Fate::Refused(status, code) = fate {
        let text = format!("<Error><Code>{code}</Code><Message>refused</Message></Error>");
        let head =
            format!("HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {}", text.len());
        client.write_all(format!("{head}\r\nConnection: close\r\n\r\n{text}").as_bytes())?;
        return client.shutdown(Shutdown::Both);
    }
    let mut to_server = TcpStream::connect(server)?;
    to_server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    to_server.write_all(&body)?;
    let mut answer = vec![];
    to_server.read_to_end(&mut answer)?;
    if fate == Fate::Answered {
        client.write_all(&answer)?;
    }
    client.shutdown(Shutdown::Both)
}
