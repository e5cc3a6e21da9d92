//! From topic to topic: rows of 200 bytes of JSON through a calculation, beside the bare client library and Flink.
//!
//! One broker on this machine (`cargo xtask services up kafka`), whose CPU time is nobody's here. What came out is counted
//! and its ids are summed up before a time counts.

use std::process::Command;

use serde_json::Value;

use super::flink::{Cluster, Installation};
use super::measure::{Cores, Figures, Flott};
use super::peers::Table;
use crate::services::ForTests;
use crate::{Failure, root, say};

/// Of each topic: one for each worker.
const PARTITIONS: usize = 2;

/// What a sink promises.
const GUARANTEES: [&str; 2] = ["at-least-once", "exactly-once"];

/// The measured side, what it is called, and who it is compared with.
pub(super) struct Bench<'a> {
    pub(super) flott: &'a Flott,
    pub(super) rows: u64,
    pub(super) runs: usize,
    pub(super) workers: usize,
    pub(super) flink_memory: &'a str,
}

impl Bench<'_> {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let services = ForTests::start(&["kafka"])?;
        let get = |name: &str| services.variables.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let (Some(servers), Some(libraries)) = (get("FLOTT_TEST_KAFKA"), get("FLOTT_TEST_KAFKA_LIBRARIES")) else {
            return Err("there is no broker to measure with".to_string());
        };
        let place = Place { servers, libraries, bare: Bare::build()?, topics: std::cell::Cell::new(0) };
        let input = place.topic()?;
        say(&format!("filling a topic with {} rows", self.rows));
        place.bare.run(&["fill", &place.servers, &input, &self.rows.to_string()])?;

        let mut table = Table::new();
        let own = |guarantee: &str| -> Result<Figures, Failure> {
            let output = place.topic()?;
            let script = job(&place.servers, &input, &output, guarantee);
            let text = format!("SET 'execution.checkpointing.interval' = '10 s';\n{}", super::job::script(&script));
            let script = self.flott.script("kafka", &text)?;
            let figures = self.flott.once(&script, self.workers, Cores::All, self.rows)?;
            place.check("Flott", &output, self.rows)?;
            Ok(figures)
        };
        let pairs = |guarantee: &str, other: &dyn Fn() -> Result<Figures, Failure>| {
            (0..self.runs).map(|_| Ok((own(guarantee)?, other()?))).collect::<Result<Vec<_>, Failure>>()
        };
        let bare = || -> Result<Figures, Failure> {
            let output = place.topic()?;
            let figures = place.bare.run(&["copy", &place.servers, &input, &output])?.0;
            place.check("the loop", &output, self.rows)?;
            Ok(figures)
        };
        for guarantee in GUARANTEES {
            table.add(&format!("Kafka, {guarantee}"), "bare librdkafka", &pairs(guarantee, &bare)?);
        }
        match Installation::find() {
            Err(why) => table.skip("Flink", &why),
            Ok(flink) => {
                let name = format!("Flink {}", flink.version);
                let cluster = Cluster::start(&flink, &self.flott.folder, PARTITIONS, self.flink_memory)?;
                cluster.load_planner()?;
                for (key, value) in [
                    ("table.dml-sync", "true".to_string()),
                    ("parallelism.default", self.workers.to_string()),
                    ("execution.checkpointing.interval", "10 s".to_string()),
                    (
                        "execution.checkpointing.dir",
                        format!("file://{}/flink/checkpoints", self.flott.folder.display()),
                    ),
                ] {
                    cluster.execute(&format!("SET '{key}' = '{value}'"))?;
                }
                let other = |guarantee: &str| -> Result<Figures, Failure> {
                    let output = place.topic()?;
                    let figures = cluster.run(&job(&place.servers, &input, &output, guarantee), self.rows)?;
                    for name in ["events", "copies"] {
                        cluster.execute(&format!("DROP TABLE {name}"))?;
                    }
                    place.check(&name, &output, self.rows)?;
                    Ok(figures)
                };
                // The code of the JVM is compiled by then.
                other(GUARANTEES[0])?;
                for guarantee in GUARANTEES {
                    table.add(&format!("Kafka, {guarantee}"), &name, &pairs(guarantee, &|| other(guarantee))?);
                }
            }
        }
        say(&table.text());
        Ok(())
    }
}

/// Written so that Flink takes it too.
fn job(servers: &str, from: &str, to: &str, guarantee: &str) -> Vec<String> {
    let columns = "id BIGINT, user_id BIGINT, amount DOUBLE, kind STRING, `at` TIMESTAMP(3), note STRING";
    let common = |topic: &str| {
        format!(
            "'connector' = 'kafka', 'topic' = '{topic}', 'properties.bootstrap.servers' = '{servers}', 'format' = 'json'"
        )
    };
    vec![
        format!(
            "CREATE TABLE events ({columns}) WITH ({}, 'properties.group.id' = '{to}', \
             'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset')",
            common(from)
        ),
        format!(
            "CREATE TABLE copies ({columns}) WITH ({}, 'sink.delivery-guarantee' = '{guarantee}', \
             'sink.transactional-id-prefix' = '{to}', 'properties.transaction.timeout.ms' = '600000')",
            common(to)
        ),
        "INSERT INTO copies SELECT id, user_id + 1, amount * 1.1, UPPER(kind), `at`, note FROM events WHERE amount >= 0"
            .to_string(),
    ]
}

struct Place {
    servers: String,
    /// Kafka's own tools.
    libraries: String,
    bare: Bare,
    topics: std::cell::Cell<u32>,
}

impl Place {
    /// A new topic.
    fn topic(&self) -> Result<String, Failure> {
        self.topics.set(self.topics.get() + 1);
        let name = format!("bench-{}-{}", std::process::id(), self.topics.get());
        let mut command = Command::new("java");
        command.args([
            "-Xmx128m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            &format!("{}/*", self.libraries),
        ]);
        command.args(["org.apache.kafka.tools.TopicCommand", "--bootstrap-server", &self.servers]);
        command.args(["--create", "--topic", &name, "--partitions", &PARTITIONS.to_string()]);
        let output = command.output().map_err(|e| format!("java cannot be started: {e}"))?;
        match output.status.success() {
            true => Ok(name),
            false => Err(format!("the topic {name} cannot be made: {}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// Each row is there, once.
    fn check(&self, who: &str, topic: &str, rows: u64) -> Result<(), Failure> {
        let (figures, sum) = self.bare.run(&["count", &self.servers, topic])?;
        let expected = (rows * rows.saturating_sub(1)) / 2;
        if (figures.rows, sum) == (rows, expected) {
            return Ok(());
        }
        Err(format!("{who} wrote {} rows with ids of {sum} instead of {rows} with {expected}", figures.rows))
    }
}

/// The client library by itself, as a program of the connector.
struct Bare(std::path::PathBuf);

impl Bare {
    fn build() -> Result<Bare, Failure> {
        let arguments = ["bench", "--locked", "-p", "flott-connector-kafka", "--bench", "bare", "--no-run"];
        let done = crate::command("cargo").args(arguments).arg("--message-format=json").current_dir(root()).output();
        let done = done.map_err(|e| format!("cargo cannot be started: {e}"))?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).into_owned());
        }
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let messages = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        let built =
            messages.filter(|m| m["target"]["name"] == "bare").find_map(|m| Some(m["executable"].as_str()?.into()));
        built.map(Bare).ok_or_else(|| "cargo does not say where the program is".to_string())
    }

    /// Its figures, and the sum of the ids.
    fn run(&self, arguments: &[&str]) -> Result<(Figures, u64), Failure> {
        let output =
            Command::new(&self.0).args(arguments).output().map_err(|e| format!("{}: {e}", self.0.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let answer: Value = serde_json::from_str(text.trim())
            .map_err(|_| format!("{}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)))?;
        let number = |key: &str| answer[key].as_f64().ok_or_else(|| format!("the program gives no {key}"));
        let whole = |key: &str| answer[key].as_u64().ok_or_else(|| format!("the program gives no {key}"));
        let figures = Figures {
            rows: whole("rows")?,
            wall_s: number("wall_s")?,
            cpu_s: number("cpu_s")?,
            rss_mb: number("rss_mb")?,
        };
        Ok((figures, whole("sum")?))
    }
}
