//! A round from topic to topic: how its topics are made, filled and read. Flott itself fills them before the first kill and
//! reads them after the last.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::wrong;
use crate::Failure;

/// A running broker.
#[derive(Debug, Clone)]
pub(super) struct Broker {
    servers: String,
    libraries: PathBuf,
}

impl Broker {
    /// `None` where none could be started.
    pub(super) fn of(variables: &[(String, String)]) -> Option<Broker> {
        let get = |name: &str| variables.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        Some(Broker { servers: get("FLOTT_TEST_KAFKA")?, libraries: get("FLOTT_TEST_KAFKA_LIBRARIES")?.into() })
    }

    fn create(&self, topic: &str, partitions: u64) -> Result<(), Failure> {
        let output = Command::new("java")
            .arg("-cp")
            .arg(self.libraries.join("*"))
            .args(["org.apache.kafka.tools.TopicCommand", "--bootstrap-server", &self.servers, "--create"])
            .args(["--topic", topic, "--partitions", &partitions.to_string()])
            .output()
            .map_err(|e| format!("java cannot be started: {e}"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("the topic {topic} cannot be made: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// The topics of a round.
pub(super) struct Topics {
    broker: Broker,
    folder: PathBuf,
    binary: PathBuf,
    input: String,
    output: String,
}

impl Topics {
    /// Makes them, and fills the input with the rows of the files in `in`.
    pub(super) fn prepare(
        broker: &Broker,
        folder: &Path,
        binary: &Path,
        columns: &str,
        partitions: u64,
    ) -> Result<Topics, Failure> {
        let round = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let name = |part: &str| format!("chaos-{}-{round}-{part}", std::process::id());
        let topics = Topics {
            broker: broker.clone(),
            folder: folder.to_path_buf(),
            binary: binary.to_path_buf(),
            input: name("in"),
            output: name("out"),
        };
        broker.create(&topics.input, partitions)?;
        broker.create(&topics.output, 3)?;
        let files = format!(
            "CREATE TABLE files ({columns}) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv');\n",
            folder.join("in").display()
        );
        let topic = topics.table("events", columns, &topics.input, ", 'sink.delivery-guarantee' = 'at-least-once'");
        topics.run("fill", &format!("{files}{topic}INSERT INTO events SELECT * FROM files;\n"))?;
        Ok(topics)
    }

    fn table(&self, name: &str, columns: &str, topic: &str, options: &str) -> String {
        format!(
            "CREATE TABLE {name} ({columns}) WITH ('connector' = 'kafka', 'topic' = '{topic}', \
             'properties.bootstrap.servers' = '{}', 'format' = 'csv'{options});\n",
            self.broker.servers
        )
    }

    /// The input, read from its beginning to its end.
    pub(super) fn input(&self, columns: &str) -> String {
        let bounded = ", 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset'";
        self.table("events", columns, &self.input, bounded)
    }

    /// The output, exactly once, in transactions so small that a checkpoint has several: a kill may come between two.
    pub(super) fn output(&self, columns: &str) -> String {
        self.table("copies", columns, &self.output, ", 'sink.transaction.max-rows' = '2000'")
    }

    /// Committed rows of the output into files of the folder `read`.
    pub(super) fn read(&self, columns: &str) -> Result<(), Failure> {
        let bounded = ", 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset', \
                       'properties.isolation.level' = 'read_committed'";
        let topic = self.table("copies", columns, &self.output, bounded);
        let files = format!(
            "CREATE TABLE files ({columns}) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv');\n",
            self.folder.join("read").display()
        );
        self.run("read-out", &format!("{topic}{files}INSERT INTO files SELECT * FROM copies;\n"))
    }

    fn run(&self, name: &str, script: &str) -> Result<(), Failure> {
        let file = self.folder.join(format!("{name}.sql"));
        fs::write(&file, script).map_err(wrong(&file))?;
        let output = Command::new(&self.binary)
            .arg("run")
            .arg(&file)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .output()
            .map_err(wrong(&self.binary))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{}: {}", file.display(), String::from_utf8_lossy(&output.stderr)))
    }

    /// Staged files that nobody will commit.
    pub(super) fn check_leftovers(&self) -> Result<(), Failure> {
        fn files(folder: &Path) -> Vec<PathBuf> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
            entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
        }
        match files(&self.folder.join(".flott/.staged")).first() {
            Some(file) => Err(format!("{} is left", file.display())),
            None => Ok(()),
        }
    }
}
