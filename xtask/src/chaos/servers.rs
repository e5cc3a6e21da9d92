//! The servers of a pipeline that goes from one log to another: where a job reaches them, through a proxy, and where the harness
//! does, how they are stopped and started, and how topics and streams are made.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::proxy::{Network, Proxy};
use crate::{Failure, services};

/// A log system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Kafka,
    Nats,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Kafka => "kafka",
            Kind::Nats => "nats",
        }
    }
}

/// A running server.
pub(super) struct Server {
    pub(super) kind: Kind,
    /// Where the harness finds it.
    pub(super) direct: String,
    proxy: Proxy,
    /// Kafka's tools.
    libraries: PathBuf,
}

impl Server {
    /// Behind a proxy; `None` where none could be started.
    pub(super) fn of(kind: Kind, variables: &[(String, String)]) -> Result<Option<Server>, Failure> {
        let get = |name: &str| variables.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let (direct, proxy, libraries) = match kind {
            Kind::Kafka => {
                let (Some(direct), Some(libraries), Some(behind), Some(proxy)) = (
                    get("FLOTT_TEST_KAFKA"),
                    get("FLOTT_TEST_KAFKA_LIBRARIES"),
                    get("FLOTT_TEST_KAFKA_BEHIND_PROXY"),
                    get("FLOTT_TEST_KAFKA_PROXY"),
                ) else {
                    return Ok(None);
                };
                (direct, Proxy::start(&proxy, &behind)?, libraries.into())
            }
            Kind::Nats => {
                let Some(url) = get("FLOTT_TEST_NATS") else { return Ok(None) };
                let direct = url.trim_start_matches("nats://").to_string();
                let proxy = Proxy::start("127.0.0.1:0", &direct)?;
                (direct, proxy, PathBuf::new())
            }
        };
        Ok(Some(Server { kind, direct, proxy, libraries }))
    }

    /// Where a job finds it.
    pub(super) fn proxied(&self) -> &str {
        &self.proxy.address
    }

    pub(super) fn network(&self, network: Network) {
        self.proxy.set(network);
    }

    pub(super) fn pause(&self) -> Result<(), Failure> {
        services::disturb("pause", self.kind.name())
    }

    pub(super) fn resume(&self) -> Result<(), Failure> {
        services::disturb("resume", self.kind.name())
    }

    pub(super) fn kill(&self) -> Result<(), Failure> {
        services::disturb("kill", self.kind.name())
    }

    pub(super) fn restart(&self) -> Result<(), Failure> {
        services::disturb("restart", self.kind.name())
    }

    /// Makes a topic of so many partitions, or a stream that takes all subjects that begin with its name, atomic batches, and
    /// their markers.
    pub(super) fn create(&self, name: &str, partitions: u64) -> Result<(), Failure> {
        match self.kind {
            Kind::Kafka => {
                let mut command = self.tool("TopicCommand");
                command.args(["--create", "--topic", name, "--partitions", &partitions.to_string()]);
                let output = command.output().map_err(|e| format!("java cannot be started: {e}"))?;
                if output.status.success() {
                    return Ok(());
                }
                Err(format!("the topic {name} cannot be made: {}", String::from_utf8_lossy(&output.stderr)))
            }
            Kind::Nats => {
                let subjects = [format!("{name}.>"), format!("flott.markers.{name}.>")];
                let stream = serde_json::json!({ "name": name, "subjects": subjects, "storage": "file",
                    "retention": "limits", "num_replicas": 1, "allow_atomic": true });
                let answer = self.ask(&format!("$JS.API.STREAM.CREATE.{name}"), &stream.to_string());
                let answer = answer.map_err(|e| format!("the stream {name} cannot be made: {e}"))?;
                match answer.contains("\"error\"") {
                    true => Err(format!("the stream {name} cannot be made: {answer}")),
                    false => Ok(()),
                }
            }
        }
    }

    /// A consumer of Kafka's own that reads what is committed, from the beginning and while the job runs, and writes the rows
    /// of each partition in their order.
    pub(super) fn observe(&self, topic: &str, into: std::fs::File) -> Result<Child, Failure> {
        let mut command = self.tool("consumer.ConsoleConsumer");
        command.args(["--topic", topic, "--from-beginning", "--isolation-level", "read_committed"]);
        command.stdin(Stdio::null()).stdout(into).stderr(Stdio::null());
        command.spawn().map_err(|e| format!("java cannot be started: {e}"))
    }

    fn tool(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
        command.arg(self.libraries.join("*")).arg(format!("org.apache.kafka.tools.{class}"));
        command.args(["--bootstrap-server", &self.direct]);
        command
    }

    /// One question to a NATS server, in its own protocol.
    fn ask(&self, subject: &str, text: &str) -> std::io::Result<String> {
        let stream = TcpStream::connect(&self.direct)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut lines = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        let request = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB _INBOX.chaos 1\r\n\
             PUB {subject} _INBOX.chaos {}\r\n{text}\r\n",
            text.len()
        );
        stream.write_all(request.as_bytes())?;
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 || line.starts_with("-ERR") {
                return Err(std::io::Error::other(line));
            }
            if line.starts_with("MSG ") {
                let length = line.split_whitespace().last().and_then(|n| n.parse().ok()).unwrap_or(0);
                let mut answer = vec![0; length];
                lines.read_exact(&mut answer)?;
                return Ok(String::from_utf8_lossy(&answer).into_owned());
            }
        }
    }
}
