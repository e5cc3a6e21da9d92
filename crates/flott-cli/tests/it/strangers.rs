//! Who may work together: a worker process and whoever calls itself its coordinator.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Place, Ran, ran, until};

const SECRET: &str = "a secret for this test";

/// HMAC-SHA256 for keys of at most a block, as the greeting needs it.
fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut block = [0u8; 64];
    block[..key.len()].copy_from_slice(key);
    let mut inner = Sha256::new_with_prefix(block.map(|b| b ^ 0x36));
    parts.iter().for_each(|p| inner.update(p));
    Sha256::new_with_prefix(block.map(|b| b ^ 0x5c)).chain_update(inner.finalize()).finalize().to_vec()
}

fn proof(role: &[u8], listener: &[u8], caller: &[u8]) -> Vec<u8> {
    let (a, b) = ((listener.len() as u64).to_le_bytes(), (caller.len() as u64).to_le_bytes());
    hmac(SECRET.as_bytes(), &[role, &a, listener, &b, caller])
}

fn send(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(&(bytes.len() as u32).to_le_bytes()).expect("written");
    stream.write_all(bytes).expect("written");
}

fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("a frame");
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut bytes).expect("a frame");
    bytes
}

/// A coordinator that is none, and the worker that it has invited.
struct Impostor {
    worker: Child,
    stream: TcpStream,
    /// What the worker has greeted with.
    theirs: Vec<u8>,
}

impl Impostor {
    fn invite(place: &Place) -> Impostor {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut worker = place.command(&["worker"]).stdin(Stdio::piped()).spawn().expect("flott starts");
        let invitation = json!({
            "address": listener.local_addr().expect("an address").to_string(),
            "number": 1,
            "secret": SECRET,
            "heartbeat_us": 100_000,
            "heartbeat_timeout_us": 10_000_000,
        });
        let stdin = worker.stdin.as_mut().expect("a pipe");
        stdin.write_all(format!("{invitation}\n").as_bytes()).expect("written");
        let (mut stream, _) = listener.accept().expect("the worker calls");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
        let theirs = receive(&mut stream);
        Impostor { worker, stream, theirs }
    }

    /// Greets as a coordinator of this build would, and proves it if it can.
    fn greet(&mut self, build: Option<&str>, knows_the_secret: bool) {
        let theirs: Value = serde_json::from_slice(&self.theirs).expect("JSON");
        let build = build.unwrap_or_else(|| theirs["identity"]["build"].as_str().expect("a build"));
        let mine = json!({
            "magic": "flott",
            "role": "Listener",
            "identity": { "number": 0, "build": build, "purpose": "control" },
            "nonce": "0123456789abcdef",
        })
        .to_string();
        send(&mut self.stream, mine.as_bytes());
        let proven = proof(b"caller", mine.as_bytes(), &self.theirs);
        assert_eq!(receive(&mut self.stream), proven, "the worker knows the secret");
        let mut mine = proof(b"listener", mine.as_bytes(), &self.theirs);
        if !knows_the_secret {
            mine[7] ^= 1;
        }
        send(&mut self.stream, &mine);
    }

    /// What the worker ends with.
    fn end(mut self) -> Ran {
        // Its pipe is still open: it ends by itself.
        let pipe = self.worker.stdin.take();
        let ran = ran(self.worker.wait_with_output().expect("an end"));
        drop(pipe);
        ran
    }
}

#[test]
fn a_worker_works_only_for_a_coordinator_that_knows_the_secret() {
    let place = Place::new();
    let mut impostor = Impostor::invite(&place);
    impostor.greet(None, false);
    let ran = impostor.end();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("does not know the job's secret") && !ran.err.contains(SECRET), "{ran:?}");
}

#[test]
fn a_worker_works_only_for_its_own_build() {
    let place = Place::new();
    let mut impostor = Impostor::invite(&place);
    impostor.greet(Some("0.0.1-of-yesterday"), true);
    let ran = impostor.end();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("another build of flott: 0.0.1-of-yesterday"), "{ran:?}");
}

#[test]
fn a_worker_refuses_a_graph_that_it_has_not_planned_itself() {
    let place = Place::new();
    let mut impostor = Impostor::invite(&place);
    impostor.greet(None, true);
    let catalog = json!({
        "current_catalog": "default_catalog",
        "current_database": "default_database",
        "catalogs": { "default_catalog": { "comment": null, "options": [["type", "generic_in_memory"]],
            "databases": { "default_database": { "comment": null, "options": [], "objects": {} } } } },
        "temporary": [],
    });
    let bundle = json!({
        "statement": "SELECT 1 AS one", "config": [], "catalog": catalog, "base_dir": ".", "job": null, "uids": [],
    });
    let deploy = json!({ "Deploy": {
        "generation": 1, "lineage": "", "processes": 2, "threads": 1, "bundle": bundle.to_string(), "fingerprint": 7,
        "first_epoch": 1, "in_flight_bytes": 1_000_000, "buffer_timeout_us": 1_000, "memory_bytes_max": null,
        "has_store": false, "manifest": null, "savepoint": null,
    } });
    send(&mut impostor.stream, deploy.to_string().as_bytes());
    let refused = loop {
        let answer: Value = serde_json::from_slice(&receive(&mut impostor.stream)).expect("JSON");
        if answer != "Ping" {
            break answer.to_string();
        }
    };
    assert!(refused.contains("Refused") && refused.contains("another graph"), "{refused}");
    // It waits for what comes next, and ends with whoever has started it.
    impostor.worker.stdin = None;
    assert_eq!(impostor.end().code, Some(3));
}

#[test]
fn a_worker_that_nobody_has_invited_says_so() {
    let place = Place::new();
    for input in ["", "\n", "{}\n", "hello, this is no invitation\n"] {
        let mut worker = place.command(&["worker"]).stdin(Stdio::piped()).spawn().expect("flott starts");
        let mut pipe = worker.stdin.take().expect("a pipe");
        pipe.write_all(input.as_bytes()).expect("written");
        // Without a line it waits for one.
        let pipe = (!input.is_empty()).then_some(pipe);
        let ran = ran(worker.wait_with_output().expect("an end"));
        drop(pipe);
        assert_eq!(ran.code, Some(1), "{input:?}: {ran:?}");
        assert!(ran.err.contains("--processes") && !ran.err.contains("hello"), "{ran:?}");
    }
}

/// Ports of the loopback interface on which a process listens.
fn ports_of(pid: u32) -> Vec<u16> {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let sockets: Vec<String> = links
        .filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .filter_map(|l| Some(l.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_string()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let listening = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port = fields.get(1)?.strip_prefix("0100007F:")?;
        let is_own = *fields.get(3)? == "0A" && sockets.iter().any(|s| Some(&s.as_str()) == fields.get(9));
        u16::from_str_radix(port, 16).ok().filter(|_| is_own)
    });
    listening.collect()
}

#[test]
fn strangers_at_the_coordinator_s_port_change_nothing() {
    let place = Place::new();
    place.write(
        "job.sql",
        "CREATE TABLE s (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000', 'number-of-rows' = '2000',
           'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '2000');
         CREATE TABLE o (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
         SET 'execution.checkpointing.interval' = '100 ms';
         SET 'restart-strategy.type' = 'fixed-delay';
         SET 'restart-strategy.fixed-delay.delay' = '10 ms';
         INSERT INTO o SELECT id FROM s;",
    );
    let child = place.start(&["run", "job.sql", "--processes", "2", "-p", "1"]);
    until("a file", || !place.rows("o").is_empty());
    let ports = ports_of(child.id());
    assert!(!ports.is_empty(), "the coordinator listens on the loopback interface");
    let mut guests = vec![];
    for port in ports {
        for words in ["GET / HTTP/1.1\r\n\r\n", "", "\u{0}\u{0}\u{0}\u{0}"] {
            let mut stranger = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
            stranger.write_all(words.as_bytes()).expect("written");
            guests.push(stranger);
        }
    }
    // The next worker has to get past them.
    let worker = Command::new("pgrep").args(["-P", &child.id().to_string()]).output().expect("pgrep").stdout;
    let worker = String::from_utf8_lossy(&worker).trim().to_string();
    assert!(Command::new("kill").args(["-KILL", &worker]).status().expect("kill").success());
    drop(guests);
    let ran = ran(child.wait_with_output().expect("an end"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(place.rows("o").len(), 2_000);
}
