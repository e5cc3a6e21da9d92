//! A round that reads from a log or writes to one: its topics or streams, how they are made, written while the job runs, watched, and
//! read by Flott itself after the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::kafka::Client;
use super::ledger::Input;
use super::observer::Output;
use super::process::until;
use super::producer::Producer;
use super::servers::{Kind, Server};
use super::{own_name, wrong};
use crate::Failure;

/// A transaction may be open for so long: some outages are longer.
const TRANSACTION_TIMEOUT_MS: u64 = 2_000;
/// How long a broker may take that ends such a transaction, from its beginning on.
pub(super) const ABORT_PATIENCE: Duration = Duration::from_secs(12);
/// How long a server that was killed may take for the group's offsets.
const GROUP_PATIENCE: Duration = Duration::from_secs(30);

/// The input's and the output's log, where they are none of files.
pub(super) struct Logs<'a> {
    input: Option<Log<'a>>,
    output: Option<Log<'a>>,
    folder: PathBuf,
    binary: PathBuf,
    /// Rows of each partition of the input.
    ends: Vec<u64>,
    pub(super) producer: Option<Producer>,
}

/// A topic, or a stream whose subjects are its partitions.
struct Log<'a> {
    server: &'a Server,
    name: String,
    partitions: u64,
}

impl Log<'_> {
    /// A table of all its rows up to now, or one to write to; `proxied` for a job that is to be disturbed.
    fn table(&self, table: &str, columns: &str, options: &str, proxied: bool) -> String {
        let address = if proxied { self.server.proxied() } else { &self.server.direct };
        let place = match self.server.kind {
            // By key, so that rows of one key stay in their order.
            Kind::Kafka => format!(
                "'topic' = '{}', 'properties.bootstrap.servers' = '{address}', 'key.format' = 'csv', 'key.fields' = 'k', \
                 'value.format' = 'csv'",
                self.name
            ),
            Kind::Nats => format!("'stream' = '{}', 'url' = 'nats://{address}', 'format' = 'csv'", self.name),
        };
        let connector = self.server.kind.name();
        format!("CREATE TABLE {table} ({columns}) WITH ('connector' = '{connector}', {place}{options});\n")
    }

    /// For reading from the beginning to an end: the one that there is now, or will be after so many rows of each partition.
    fn bounded(&self, ends: Option<&[u64]>) -> String {
        match self.server.kind {
            Kind::Kafka => {
                let offset = |(partition, end): (usize, &u64)| format!("partition:{partition},offset:{end}");
                let end = match ends {
                    None => "'latest-offset'".to_string(),
                    Some(ends) => {
                        let offsets: Vec<String> = ends.iter().enumerate().map(offset).collect();
                        format!("'specific-offsets', 'scan.bounded.specific-offsets' = '{}'", offsets.join(";"))
                    }
                };
                format!(
                    ", 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = {end}, \
                     'properties.isolation.level' = 'read_committed'"
                )
            }
            Kind::Nats => {
                let subjects: Vec<String> = (0..self.partitions).map(|p| format!("{}.{p}", self.name)).collect();
                let end = match ends {
                    None => "'latest'".to_string(),
                    Some(ends) => {
                        format!("'sequence', 'scan.bounded.sequence' = '{}'", ends.iter().sum::<u64>() + 1)
                    }
                };
                format!(", 'subject' = '{}', 'scan.bounded.mode' = {end}", subjects.join(";"))
            }
        }
    }
}

impl<'a> Logs<'a> {
    /// Makes them, and begins to write the rows of the input, so many a second.
    pub(super) fn prepare(
        (input, output): (Option<&'a Server>, Option<&'a Server>),
        folder: &Path,
        binary: &Path,
        rows: &Arc<Input>,
        rows_per_second: u64,
    ) -> Result<Logs<'a>, Failure> {
        let own = own_name();
        let log = |server: &'a Server, part: &str, partitions: u64| {
            let name = format!("{own}-{part}");
            server.create(&name, partitions).map(|()| Log { server, name, partitions })
        };
        let input = input.map(|server| log(server, "in", rows.partitions)).transpose()?;
        // Subjects need no partitions for the order of their rows: there is one.
        let output = output.map(|s| log(s, "out", if s.kind == Kind::Kafka { 3 } else { 1 })).transpose()?;
        fs::create_dir_all(folder).map_err(wrong(folder))?;
        let start = |log: &Log<'_>| {
            let place = (log.server.kind, log.server.direct.as_str(), log.name.as_str());
            Producer::start(place, rows, rows_per_second, &folder.join("acknowledged"))
        };
        let producer = input.as_ref().map(start).transpose()?;
        Ok(Logs {
            input,
            output,
            folder: folder.to_path_buf(),
            binary: binary.to_path_buf(),
            ends: rows.ends(),
            producer,
        })
    }

    /// What is to be watched, where it is a log.
    pub(super) fn watched(&self) -> Option<Output> {
        self.output.as_ref().map(|log| Output::of_log(log.server, &log.name, log.partitions))
    }

    /// How far the source was told that rows are done, of each partition; none where it does not say so to its server.
    pub(super) fn acknowledged(&self) -> Result<Vec<u64>, Failure> {
        let Some(log) = self.input.as_ref().filter(|log| log.server.kind == Kind::Kafka) else { return Ok(vec![]) };
        let mut answer = Err(String::new());
        until(GROUP_PATIENCE, || {
            let asked = Client::connect(&log.server.direct);
            let asked = asked.and_then(|mut client| client.group_offsets(&log.name, &log.name, log.partitions));
            answer = asked.map_err(|e| format!("the group {} has no offsets: {e}", log.name));
            answer.is_ok()
        });
        answer
    }

    fn files(&self, name: &str, columns: &str, folder: &str) -> String {
        format!(
            "CREATE TABLE {name} ({columns}) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv');\n",
            self.folder.join(folder).display()
        )
    }

    /// Its servers.
    pub(super) fn servers(&self) -> Vec<&'a Server> {
        let mut servers: Vec<&Server> =
            [&self.input, &self.output].into_iter().flatten().map(|log| log.server).collect();
        servers.dedup_by_key(|server| server.kind);
        servers
    }

    /// The input, read from its beginning to the end that it is going to have.
    pub(super) fn input(&self, columns: &str) -> Option<String> {
        let input = self.input.as_ref()?;
        let group = match input.server.kind {
            Kind::Kafka => format!(", 'properties.group.id' = '{}'", input.name),
            Kind::Nats => String::new(),
        };
        Some(input.table("events", columns, &format!("{}{group}", input.bounded(Some(&self.ends))), true))
    }

    /// The output, exactly once, in transactions so small that a checkpoint has several: a kill may come between two.
    pub(super) fn output(&self, columns: &str) -> Option<String> {
        let output = self.output.as_ref()?;
        let options = match output.server.kind {
            Kind::Kafka => format!(
                ", 'sink.transaction.max-rows' = '2000', 'properties.transaction.timeout.ms' = '{TRANSACTION_TIMEOUT_MS}'"
            ),
            Kind::Nats => format!(", 'subject' = '{}.0', 'sink.batch.max-rows' = '500'", output.name),
        };
        Some(output.table("copies", columns, &options, true))
    }

    /// Committed rows of the output into files of the folder `read`. Whether there is such an output.
    pub(super) fn read(&self, columns: &str) -> Result<bool, Failure> {
        let Some(output) = &self.output else { return Ok(false) };
        let table = output.table("copies", columns, &output.bounded(None), false);
        let files = self.files("files", columns, "read");
        self.run("read-out", &format!("{table}{files}INSERT INTO files SELECT * FROM copies;\n"))?;
        Ok(true)
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
