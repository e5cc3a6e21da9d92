//! Running jobs, controlled from another process.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::support::{Place, Ran, ran, rest};

const JOB: &str = "CREATE TABLE s (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000',
      'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '3000');
    CREATE TABLE o (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
    SET 'execution.checkpointing.interval' = '1 h';
    INSERT INTO o SELECT id FROM s;";

/// A user's runtime folder and the commands that see it.
struct User {
    place: Place,
    runtime: tempfile::TempDir,
}

impl User {
    fn new() -> User {
        User { place: Place::new(), runtime: tempfile::tempdir().expect("a folder") }
    }

    fn flott(&self, args: &[&str]) -> Ran {
        let mut command = self.place.command(args);
        ran(command.env("FLOTT_RUNTIME_DIR", self.runtime.path().join("flott")).output().expect("flott runs"))
    }

    fn start(&self, name: &str, script: &str, more: &[&str]) -> Child {
        self.place.write(name, script);
        let args = [&["run", name, "-p", "2"], more].concat();
        self.place
            .command(&args)
            .env("FLOTT_RUNTIME_DIR", self.runtime.path().join("flott"))
            .spawn()
            .expect("flott starts")
    }

    /// Starts a job and waits until it can be controlled.
    fn running(&self, name: &str, more: &[&str]) -> Child {
        let mut child = self.start(&format!("{name}.sql"), JOB, more);
        for _ in 0..500 {
            if self.flott(&["list"]).out.contains(name) {
                return child;
            }
            rest(20);
        }
        drop(child.kill().and_then(|()| child.wait()));
        panic!("the job is not listed")
    }

    fn sockets(&self) -> usize {
        std::fs::read_dir(self.runtime.path().join("flott")).map_or(0, |entries| entries.flatten().count())
    }
}

fn ids(user: &User) -> Vec<u64> {
    let mut ids: Vec<u64> = user.place.rows("o").iter().map(|l| l.parse().expect("a number")).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_job_is_listed_saved_and_stopped_from_another_shell() {
    let user = User::new();
    let none = user.flott(&["list"]);
    assert_eq!((none.code, none.out.as_str()), (Some(0), ""), "{}", none.err);
    let child = user.running("job", &[]);
    let listed = user.flott(&["list"]).out;
    let json: serde_json::Value = serde_json::from_str(&user.flott(&["list", "--format", "json"]).out).expect("JSON");
    let pid = json[0]["pid"].as_u64().expect("a process").to_string();
    assert!(listed.contains(&pid) && json[0]["name"].is_string(), "{json}");
    assert!(user.flott(&["metrics", &pid]).out.contains("numRecordsOut"), "a job is found by its process");
    assert!(listed.contains("RUNNING") && listed.contains("| job name |"), "{listed}");
    let id = listed.lines().find(|l| l.contains("RUNNING")).and_then(|l| l.split('|').nth(1)).expect("an id").trim();
    rest(300);
    let saved = user.flott(&["savepoint", &id[..8], "saved"]);
    assert_eq!(saved.code, Some(0), "{}", saved.err);
    assert!(Path::new(saved.out.trim()).starts_with(user.place.path().join("saved")), "{}", saved.out);
    assert!(Path::new(saved.out.trim()).join("_metadata").exists());
    let metrics = user.flott(&["metrics", "job"]).out;
    assert!(metrics.contains("numRecordsOut") && metrics.contains("numberOfCompletedCheckpoints"), "{metrics}");
    let json: serde_json::Value =
        serde_json::from_str(&user.flott(&["metrics", "job", "--format", "json"]).out).expect("JSON");
    assert_eq!(json["job_name"], "job");
    let stopped = user.flott(&["stop", "job", "--savepoint", "saved"]);
    assert_eq!(stopped.code, Some(0), "{}", stopped.err);
    assert!(stopped.err.contains("SUSPENDED"), "{}", stopped.err);
    let ended = ran(child.wait_with_output().expect("an end"));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(user.sockets(), 0, "a job that has ended listens no more");
    let gone = user.flott(&["savepoint", "job"]);
    assert_eq!(gone.code, Some(2), "{}", gone.err);
    assert!(gone.err.contains("no job 'job' is running"), "{}", gone.err);
    let before = ids(&user);
    assert!(!before.is_empty() && before.len() < 3_000, "{}", before.len());
    let resumed = user.flott(&["run", "job.sql", "-p", "3", "--restore", stopped.out.trim(), "--claim-mode", "claim"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert_eq!(ids(&user), (1..=3_000).collect::<Vec<_>>(), "no row is lost or comes twice");
}

#[test]
fn two_jobs_of_one_name_are_told_apart() {
    let (user, other) = (User::new(), User::new());
    let first = user.running("job", &[]);
    let second = other.place.write("job.sql", JOB);
    let second = user.start(second.to_str().expect("text"), JOB, &[]);
    for _ in 0..500 {
        if user.sockets() == 2 {
            break;
        }
        rest(20);
    }
    let unclear = user.flott(&["cancel", "job"]);
    assert_eq!(unclear.code, Some(2), "{}", unclear.err);
    assert!(unclear.err.contains("more than one job is called 'job'"), "{}", unclear.err);
    let listed = user.flott(&["list"]).out;
    let ids: Vec<&str> = listed.lines().filter(|l| l.contains("RUNNING")).filter_map(|l| l.split('|').nth(1)).collect();
    assert_eq!(ids.len(), 2, "{listed}");
    for id in ids {
        let cancelled = user.flott(&["cancel", id.trim()]);
        assert_eq!(cancelled.code, Some(0), "{}", cancelled.err);
    }
    for child in [first, second] {
        let ended = ran(child.wait_with_output().expect("an end"));
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    }
}

#[test]
fn what_a_killed_job_left_is_removed_and_a_foreign_folder_is_refused() {
    let user = User::new();
    let mut child = user.running("job", &[]);
    child.kill().expect("killed");
    child.wait().expect("gone");
    assert_eq!(user.sockets(), 1, "it could not clean up");
    let gone = user.flott(&["stop", "job"]);
    assert!(gone.err.contains("no job 'job' is running"), "{}", gone.err);
    assert_eq!(user.sockets(), 0);
    let folder = user.runtime.path().join("flott");
    std::fs::remove_dir(&folder).expect("removed");
    std::os::unix::fs::symlink("/tmp", &folder).expect("a link");
    let refused = user.flott(&["list"]);
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(refused.err.contains("is no folder, or a link"), "{}", refused.err);
    // A job that cannot be controlled runs all the same.
    let ran = user.flott(&["run", "job.sql", "-p", "2", "--fresh"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("cannot be controlled"), "{}", ran.err);
}

#[test]
fn prometheus_reads_the_metrics_of_a_job() {
    let user = User::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let child = user.running("job", &["--metrics-port", &port.to_string()]);
    let get = |request: &str| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let mut records = 0.0;
    for _ in 0..100 {
        let answer = get("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("version=0.0.4"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        records = values(body, "flink_taskmanager_job_task_operator_numRecordsOut").iter().sum();
        if records > 0.0 {
            assert_eq!(values(body, "flink_jobmanager_job_numRestarts"), [0.0]);
            assert_eq!(values(body, "flink_jobmanager_job_downtime"), [0.0]);
            for name in ["checkpointAlignmentTime", "checkpointSyncTime"] {
                assert!(!values(body, &format!("flink_taskmanager_job_task_{name}")).is_empty(), "{body}");
            }
            assert!(body.contains(r#"job_name="job""#), "{body}");
            break;
        }
        rest(20);
    }
    assert!(records > 0.0);
    assert!(get("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n").starts_with("HTTP/1.1 403 "));
    assert!(get("DELETE /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 405 "));
    user.flott(&["cancel", "job"]);
    drop(child.wait_with_output());
}

/// The samples of a metric; every line of the text has to be one of the format.
fn values(text: &str, name: &str) -> Vec<f64> {
    let mut values = vec![];
    let mut declared: Option<&str> = None;
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.split(' ');
            match words.next() {
                Some("HELP") => {}
                Some("TYPE") => {
                    declared = words.next();
                    assert!(matches!(words.next(), Some("counter" | "gauge")), "{line}");
                }
                other => panic!("{other:?} in {line}"),
            }
            continue;
        }
        let (metric, rest) = line.split_once('{').expect("labels");
        assert_eq!(Some(metric), declared, "samples stand behind their type");
        let (_, value) = rest.rsplit_once("} ").expect("a value");
        let value: f64 = value.parse().expect("a number");
        if metric == name {
            values.push(value);
        }
    }
    values
}

/// Before any job is asked.
#[test]
fn a_directory_without_a_name_is_refused() {
    let user = User::new();
    for args in [&["savepoint", "counting", ""][..], &["stop", "counting", "--savepoint", ""]] {
        let refused = user.flott(args);
        assert!(refused.code == Some(2) && refused.err.contains("the savepoint has no name"), "{refused:?}");
    }
}

#[test]
fn a_savepoint_that_cannot_be_written_says_where_and_why() {
    let user = User::new();
    let child = user.running("counting", &["--fresh"]);
    user.place.write("in-the-way", "a file");
    for args in [&["savepoint", "counting", "in-the-way"][..], &["stop", "counting", "--savepoint", "in-the-way"]] {
        let refused = user.flott(args);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        // The operating system's words.
        assert!(
            refused.err.contains("Not a directory") && refused.err.contains("in-the-way/savepoint-"),
            "{refused:?}"
        );
    }
    assert_eq!(user.flott(&["cancel", "counting"]).code, Some(0), "it goes on");
    let ended = ran(child.wait_with_output().expect("an end"));
    assert!(ended.err.contains("Job 'counting' is CANCELED by flott cancel: it had no checkpoint yet"), "{ended:?}");
}

#[test]
fn a_job_that_is_canceled_says_who_has_wanted_it() {
    let user = User::new();
    let script = JOB.replace("'filesystem', 'path' = 'o', 'format' = 'csv'", "'blackhole'").replace("SET", "-- SET");
    let begin = || {
        let child = user.start("idle.sql", &script, &[]);
        crate::support::until("the job", || user.flott(&["list"]).out.contains("idle"));
        child
    };
    let child = begin();
    for args in [&["stop", "idle"][..], &["stop", "idle", "--no-savepoint"], &["stop", "idle", "--savepoint", "s"]] {
        let refused = user.flott(args);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains("no checkpoints") && refused.err.contains("flott cancel"), "{refused:?}");
    }
    assert_eq!(user.flott(&["cancel", "idle"]).code, Some(0), "it goes on until then");
    let ended = ran(child.wait_with_output().expect("an end"));
    assert!(ended.err.contains("is CANCELED by flott cancel: it keeps no checkpoints"), "{ended:?}");
    let child = begin();
    crate::support::signal(&child, "INT");
    let ended = ran(child.wait_with_output().expect("an end"));
    assert!(
        ended.code == Some(130) && ended.err.contains("is CANCELED by Ctrl-C: it keeps no checkpoints"),
        "{ended:?}"
    );
    let shell = user.place.command(&["sql"]).stdin(std::process::Stdio::piped()).spawn();
    let mut shell = shell.expect("flott starts");
    shell.stdin.take().expect("a pipe").write_all(format!("{script}\nQUIT;\n").as_bytes()).expect("written");
    let ended = ran(shell.wait_with_output().expect("an end"));
    assert!(ended.out.contains("is CANCELED by QUIT: it keeps no checkpoints"), "{ended:?}");
}

#[test]
fn a_job_that_prints_has_checkpoints_where_an_interval_is_set() {
    let user = User::new();
    let script = JOB.replace("'filesystem', 'path' = 'o', 'format' = 'csv'", "'print'").replace("'3000'", "'300000'");
    let child = user.start("printing.sql", &script.replace("1 h", "50 ms"), &[]);
    let checkpoint = || {
        let json: serde_json::Value = serde_json::from_str(&user.flott(&["list", "--format", "json"]).out).ok()?;
        json[0]["last_checkpoint"].as_u64()
    };
    crate::support::until("a checkpoint", || checkpoint().is_some());
    let mut second = user.place.command(&["run", "printing.sql"]);
    let second = ran(second.env("FLOTT_RUNTIME_DIR", user.runtime.path().join("flott")).output().expect("flott runs"));
    assert!(second.code == Some(2) && second.err.contains("is running already"), "{second:?}");
    assert_eq!(second.out, "", "nothing runs");
    let stopped = user.flott(&["stop", "printing", "--savepoint", "saved"]);
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    assert!(Path::new(stopped.out.trim()).is_dir(), "{stopped:?}");
    let ended = ran(child.wait_with_output().expect("an end"));
    assert!(ended.code == Some(0) && ended.err.contains("is stopped at checkpoint"), "{ended:?}");
}

#[test]
fn a_job_whose_process_is_stopped_is_not_said_to_be_gone() {
    let user = User::new();
    let child = user.running("held", &["--fresh"]);
    crate::support::signal(&child, "STOP");
    let list = user.flott(&["list"]);
    assert!(list.err.contains("No job answers; 1 that run do not answer"), "{list:?}");
    let stop = user.flott(&["stop", "held"]);
    assert!(stop.code == Some(1) && stop.err.contains("kill -CONT"), "{stop:?}");
    crate::support::signal(&child, "CONT");
    assert_eq!(user.flott(&["cancel", "held"]).code, Some(0));
    assert_eq!(ran(child.wait_with_output().expect("an end")).code, Some(0));
}
