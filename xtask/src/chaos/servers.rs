//! The servers of a pipeline that goes from one log to another: where a job reaches them, through a proxy, and where the harness
//! does, how they are stopped and started, and how topics and streams are made.

use std::path::PathBuf;
use std::time::Duration;

use super::process::until;
use super::proxy::{Network, Proxy};
use super::{kafka, nats};
use crate::{Failure, services};

/// How long a broker may take until it leads a new topic.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a broker writes into its log when it ends a transaction that took too long.
const TIMED_OUT: &str = "due to timeout";

/// A log system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Of a broker: its log is in it.
    folder: Option<PathBuf>,
}

impl Server {
    /// Behind a proxy; `None` where none could be started.
    pub(super) fn of(kind: Kind, variables: &[(String, String)]) -> Result<Option<Server>, Failure> {
        let get = |name: &str| variables.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let (direct, proxy, folder) = match kind {
            Kind::Kafka => {
                let (Some(direct), Some(folder), Some(behind), Some(proxy)) = (
                    get("FLOTT_TEST_KAFKA"),
                    get("FLOTT_TEST_KAFKA_FOLDER"),
                    get("FLOTT_TEST_KAFKA_BEHIND_PROXY"),
                    get("FLOTT_TEST_KAFKA_PROXY"),
                ) else {
                    return Ok(None);
                };
                (direct, Proxy::start(&proxy, &behind)?, Some(folder.into()))
            }
            Kind::Nats => {
                let Some(url) = get("FLOTT_TEST_NATS") else { return Ok(None) };
                let direct = url.trim_start_matches("nats://").to_string();
                let proxy = Proxy::start("127.0.0.1:0", &direct)?;
                (direct, proxy, None)
            }
        };
        Ok(Some(Server { kind, direct, proxy, folder }))
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
        let made = match self.kind {
            Kind::Kafka => kafka::Client::connect(&self.direct).and_then(|mut client| {
                client.create_topic(name, partitions)?;
                // It is made before it is known.
                until(PATIENCE, || (0..partitions).all(|partition| client.end(name, partition as i32).is_ok()));
                Ok(())
            }),
            Kind::Nats => {
                let subjects = [format!("{name}.>"), format!("flott.markers.{name}.>")];
                let stream = serde_json::json!({ "name": name, "subjects": subjects, "storage": "file",
                    "retention": "limits", "num_replicas": 1, "allow_atomic": true });
                let create = format!("$JS.API.STREAM.CREATE.{name}");
                nats::Client::connect(&self.direct).and_then(|mut c| c.ask(&create, &stream)).map(drop)
            }
        };
        made.map_err(|e| format!("'{name}' cannot be made in {}: {e}", self.kind.name()))
    }

    /// How often a broker has said that it ended a transaction because it took too long, since it was started.
    pub(super) fn timed_out(&self) -> usize {
        let log =
            self.folder.as_ref().map(|folder| std::fs::read_to_string(folder.join("kafka.log")).unwrap_or_default());
        log.map_or(0, |log| log.lines().filter(|line| line.contains(TIMED_OUT)).count())
    }
}
