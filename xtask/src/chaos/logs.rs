//! A round that reads from a log or writes to one: its topics or streams, how they are made, filled and read. Flott itself fills
//! them before the first kill and reads them after the last; a consumer of Kafka's own watches a topic all the time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::process::until;
use super::servers::{Kind, Server};
use super::wrong;
use crate::Failure;

/// A transaction may be open for so long: some outages are longer.
const TRANSACTION_TIMEOUT_MS: u64 = 2_000;
/// How long an observer may take for what was committed.
const OBSERVER_PATIENCE: Duration = Duration::from_secs(60);

/// The input's and the output's log, where they are none of files.
pub(super) struct Logs<'a> {
    input: Option<Log<'a>>,
    output: Option<Log<'a>>,
    folder: PathBuf,
    binary: PathBuf,
    observer: Option<Child>,
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

    /// For reading from the beginning to the end that there is now.
    fn bounded(&self) -> String {
        match self.server.kind {
            Kind::Kafka => ", 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset', \
                            'properties.isolation.level' = 'read_committed'"
                .to_string(),
            Kind::Nats => {
                let subjects: Vec<String> = (0..self.partitions).map(|p| format!("{}.{p}", self.name)).collect();
                format!(", 'subject' = '{}', 'scan.bounded.mode' = 'latest'", subjects.join(";"))
            }
        }
    }
}

impl<'a> Logs<'a> {
    /// Makes them, fills the input with the rows of the files in `in`, and begins to watch the output.
    pub(super) fn prepare(
        (input, output): (Option<&'a Server>, Option<&'a Server>),
        folder: &Path,
        binary: &Path,
        columns: &str,
        partitions: u64,
    ) -> Result<Logs<'a>, Failure> {
        let round = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let log = |server: &'a Server, part: &str, partitions: u64| {
            let name = format!("chaos-{}-{round}-{part}", std::process::id());
            server.create(&name, partitions).map(|()| Log { server, name, partitions })
        };
        let mut logs = Logs {
            input: input.map(|server| log(server, "in", partitions)).transpose()?,
            // Subjects need no partitions for the order of their rows: there is one.
            output: output.map(|s| log(s, "out", if s.kind == Kind::Kafka { 3 } else { 1 })).transpose()?,
            folder: folder.to_path_buf(),
            binary: binary.to_path_buf(),
            observer: None,
        };
        if let Some(input) = &logs.input {
            let files = logs.files("files", columns, "in");
            let (columns, rows) = match input.server.kind {
                Kind::Kafka => (columns.to_string(), "*".to_string()),
                Kind::Nats => (
                    format!("{columns}, subject STRING METADATA"),
                    format!("*, '{}.' || CAST(MOD(k, {partitions}) AS STRING)", input.name),
                ),
            };
            let table = input.table("events", &columns, ", 'sink.delivery-guarantee' = 'at-least-once'", false);
            logs.run("fill", &format!("{files}{table}INSERT INTO events SELECT {rows} FROM files;\n"))?;
        }
        if let Some(output) = logs.output.as_ref().filter(|log| log.server.kind == Kind::Kafka) {
            let path = folder.join("observed");
            let into = fs::File::create(&path).map_err(wrong(&path))?;
            logs.observer = Some(output.server.observe(&output.name, into)?);
        }
        Ok(logs)
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

    /// The input, read from its beginning to its end.
    pub(super) fn input(&self, columns: &str) -> Option<String> {
        let input = self.input.as_ref()?;
        Some(input.table("events", columns, &input.bounded(), true))
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
        let table = output.table("copies", columns, &output.bounded(), false);
        let files = self.files("files", columns, "read");
        self.run("read-out", &format!("{table}{files}INSERT INTO files SELECT * FROM copies;\n"))?;
        Ok(true)
    }

    /// What the observer has seen until it had so many rows, each partition's in its order; `None` where nobody observes.
    pub(super) fn observed(&self, rows: usize) -> Result<Option<Vec<String>>, Failure> {
        if self.observer.is_none() {
            return Ok(None);
        }
        let path = self.folder.join("observed");
        let read = || fs::read_to_string(&path).map_err(wrong(&path));
        until(OBSERVER_PATIENCE, || read().is_ok_and(|text| text.lines().count() >= rows));
        Ok(Some(read()?.lines().map(str::to_string).collect()))
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

impl Drop for Logs<'_> {
    fn drop(&mut self) {
        if let Some(observer) = &mut self.observer {
            drop(observer.kill());
            drop(observer.wait());
        }
    }
}

/// Rows of one input file and one key leave in the order in which they came.
pub(super) fn check_order(observed: &[String], file_of: impl Fn(u64) -> u64) -> Result<(), Failure> {
    let mut last: BTreeMap<(u64, &str), u64> = BTreeMap::new();
    for row in observed {
        let mut fields = row.split(',');
        let (Some(id), Some(key)) = (fields.next().and_then(|id| id.parse::<u64>().ok()), fields.next()) else {
            return Err(format!("'{row}' is no row of the copies"));
        };
        if let Some(before) = last.insert((file_of(id), key), id)
            && before > id
        {
            return Err(format!("reordered: row {id} of key {key} came out behind row {before}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_were_reordered_are_found() {
        let rows = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        let file_of = |id: u64| id / 100;
        check_order(&rows("1,7,0 101,7,0 2,7,0 3,8,0 102,7,0"), file_of).expect("each file's in its order");
        let found = check_order(&rows("1,7,0 3,7,0 2,7,0"), file_of).expect_err("reordered");
        assert!(found.contains("row 2 of key 7"), "{found}");
    }
}
