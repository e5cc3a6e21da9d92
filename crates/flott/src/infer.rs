//! A CREATE TABLE for data that nobody has declared: a file or folder, a topic's messages, a subject of a schema registry.
//!
//! The proposal is tried: it reads the sample before anybody sees it.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use bytes::Bytes;
use flott_connector::infer::{Infer, Inferred, Sample, SampleKind};
use flott_connector::storage::{self, StorageLocation};
use flott_core::options::Options;
use flott_core::types::RowField;
use flott_core::{Error, LogicalType, Result, Secret, secret};
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};

use crate::lineage::Places;
use crate::{Query, Session};

/// Records of a sample where nothing else is said.
pub const SAMPLE_RECORDS: usize = 1_000;
/// Bytes of a sample.
const SAMPLE_BYTES_MAX: usize = 16 << 20;
/// Files of a folder that are looked at to find one with content.
const FILES_MAX: usize = 10_000;

/// What columns are to be inferred from.
#[derive(Debug, Clone)]
pub struct InferRequest {
    /// A path or URL of a file or folder, `kafka://HOST:PORT/TOPIC`, or a schema registry's `http(s)://../subjects/NAME`.
    pub source: String,
    /// The format, where neither a file's name nor the data tells.
    pub format: Option<String>,
    /// The table's name, where that of the data is not to be taken.
    pub table: Option<String>,
    /// Options of the table.
    pub options: Vec<(String, String)>,
    /// Records that are looked at, at most.
    pub records: usize,
}

impl InferRequest {
    /// With defaults.
    pub fn of(source: impl Into<String>) -> InferRequest {
        InferRequest { source: source.into(), format: None, table: None, options: vec![], records: SAMPLE_RECORDS }
    }
}

/// A proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferredTable {
    /// A CREATE TABLE statement, without semicolon. Secrets are masked.
    pub statement: String,
    /// What a person has to look at.
    pub notes: Vec<String>,
}

/// Where the data is.
enum Place {
    Files(StorageLocation),
    Topic(String),
    Subject(String),
}

/// A table under construction.
struct Proposal {
    name: String,
    options: Options,
    format: String,
    columns: Vec<RowField>,
    partitions: Vec<String>,
    notes: Vec<String>,
}

impl Session {
    /// Proposes a table for data. The session is for this alone: it samples and tries with one worker.
    ///
    /// # Errors
    /// Where there is no data, or its format cannot be told or does not say which columns it has.
    pub async fn infer(mut self, request: &InferRequest) -> Result<InferredTable> {
        for set in ["SET 'parallelism.default' = '1'", "SET 'execution.runtime-mode' = 'streaming'"] {
            self.execute_sql(set).await?;
        }
        let (place, mut options) = self.place(request)?;
        for (key, value) in &request.options {
            options.set(key.clone(), value.clone());
        }
        let file = match &place {
            Place::Files(location) => Some(first_file(location).await?),
            _ => None,
        };
        let mut records = None;
        let format = match (&request.format, &place, &file) {
            (Some(format), _, _) => format.clone(),
            (None, Place::Subject(_), _) => "avro-confluent".to_string(),
            (None, Place::Files(_), Some((file, _))) => format_of_name(file.location.as_ref())?.to_string(),
            _ => {
                let sample = self.records(&options, request.records).await?;
                let (format, more) = format_of_message(&sample)?;
                more.iter().for_each(|(key, value)| options.set(*key, *value));
                records = Some(sample);
                format.to_string()
            }
        };
        let inference = self.registry().format(&format)?.inference().ok_or_else(|| {
            Error::user(format!("Format '{format}' does not say which columns its data has"))
                .hint("Write the CREATE TABLE by hand; flott docs formats shows the format's options")
        })?;
        options.set("format", format.clone());
        let of_format = options.with_prefix(&format!("{format}."));
        let sample = match (inference.wants(), &place, &file) {
            (SampleKind::Records, Place::Files(_) | Place::Topic(_), _) => Sample::Records(match records {
                Some(records) => records,
                None => self.records(&options, request.records).await?,
            }),
            (SampleKind::File, Place::Files(location), Some((file, _))) => {
                Sample::File { store: location.store.clone(), path: file.location.clone(), size: file.size }
            }
            (SampleKind::Subject, Place::Subject(subject), _) => Sample::Subject(subject.clone()),
            (SampleKind::Subject, Place::Topic(topic), _) => {
                let subject = of_format.get("subject").map_or_else(|| format!("{topic}-value"), str::to_string);
                Sample::Subject(subject)
            }
            _ => return Err(unfit(&format, &place)),
        };
        let proposal =
            propose(request, &place, file.as_ref(), options, format, &*inference, &sample, &of_format).await?;
        Ok(self.try_out(proposal, &place, request.records).await)
    }

    /// Where the data is, and the options of a table there.
    fn place(&self, request: &InferRequest) -> Result<(Place, Options)> {
        let source = request.source.as_str();
        let mut options = Options::new();
        if let Some(rest) = source.strip_prefix("kafka://") {
            let (servers, topic) =
                rest.split_once('/').filter(|(servers, topic)| !servers.is_empty() && !topic.is_empty()).ok_or_else(
                    || Error::user(format!("'{source}' names no topic")).hint("Write kafka://HOST:PORT/TOPIC"),
                )?;
            options.set("connector", "kafka");
            options.set("topic", topic);
            options.set("properties.bootstrap.servers", servers);
            options.set("scan.startup.mode", "earliest-offset");
            return Ok((Place::Topic(topic.to_string()), options));
        }
        if source.starts_with("http://") || source.starts_with("https://") {
            let (url, subject) =
                source.split_once("/subjects/").filter(|(_, subject)| !subject.is_empty()).ok_or_else(|| {
                    Error::user(format!("'{}' names no subject of a schema registry", secret::mask_urls(source)))
                        .hint("Write https://HOST:PORT/subjects/TOPIC-value")
                })?;
            let subject = subject.split('/').next().unwrap_or(subject);
            let format = request.format.as_deref().unwrap_or("avro-confluent");
            let topic = subject.strip_suffix("-value").or_else(|| subject.strip_suffix("-key")).unwrap_or(subject);
            options.set("connector", "kafka");
            options.set("topic", topic);
            options.set("properties.bootstrap.servers", "HOST:9092");
            options.set("scan.startup.mode", "earliest-offset");
            options.set(format!("{format}.url"), url);
            return Ok((Place::Subject(subject.to_string()), options));
        }
        options.set("connector", "filesystem");
        options.set("path", source);
        let Places { config, base_dir, .. } = self.places();
        Ok((Place::Files(storage::open(source, &base_dir, &config)?), options))
    }

    /// Whole records of the data.
    async fn records(&mut self, options: &Options, most: usize) -> Result<Vec<Bytes>> {
        let mut raw = Options::new();
        // The data as it is: what the options say of its format means nothing to 'raw'.
        let format = options.get("format").unwrap_or_default();
        let of_format = |key: &str| !format.is_empty() && key.starts_with(&format!("{format}."));
        options.iter().filter(|(key, _)| !of_format(key)).for_each(|(key, value)| raw.set(key, value));
        raw.set("format", "raw");
        let connector = options.get("connector").unwrap_or_default().to_string();
        let create = format!("CREATE TEMPORARY TABLE `$sample` (`record` BYTES) WITH ({})", with(&raw, ", "));
        self.execute_sql(&create).await?;
        let query = self.sql_query(&format!("SELECT `record` FROM `$sample` {}", bounded(&connector))).await;
        let read = async {
            let mut query = query?;
            let (mut records, mut bytes) = (vec![], 0);
            while let Some(batch) = query.next().await {
                let column = batch.rows.column(0).as_binary::<i32>();
                for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
                    if records.len() >= most || bytes >= SAMPLE_BYTES_MAX {
                        return Ok(records);
                    }
                    bytes += column.value(row).len();
                    records.push(Bytes::copy_from_slice(column.value(row)));
                }
            }
            query.job.wait().await?;
            Ok(records)
        }
        .await;
        self.execute_sql("DROP TEMPORARY TABLE `$sample`").await?;
        read
    }

    /// Reads the sample with the proposal: a person is told where it does not.
    async fn try_out(mut self, mut proposal: Proposal, place: &Place, most: usize) -> InferredTable {
        let statement = proposal.statement(false);
        match place {
            Place::Subject(_) => proposal.notes.push("fill in 'properties.bootstrap.servers'".to_string()),
            Place::Files(_) | Place::Topic(_) => match self.rows(&proposal, &statement, most).await {
                Ok(rows) => proposal.notes.push(format!("read {rows} rows with it")),
                Err(error) => proposal.notes.push(format!("it does not read the sample: {error}")),
            },
        }
        let shown = proposal.statement(true);
        if shown != statement {
            proposal.notes.push("secrets are masked: put them back".to_string());
        }
        InferredTable { statement: shown, notes: proposal.notes }
    }

    async fn rows(&mut self, proposal: &Proposal, statement: &str, most: usize) -> Result<usize> {
        self.execute_sql(statement).await?;
        let connector = proposal.options.get("connector").unwrap_or_default();
        let mut query: Query =
            self.sql_query(&format!("SELECT * FROM {} {}", quoted(&proposal.name), bounded(connector))).await?;
        let mut rows = 0;
        while let Some(batch) = query.next().await {
            rows += batch.num_rows();
            if rows >= most {
                return Ok(rows);
            }
        }
        query.job.wait().await?;
        Ok(rows)
    }
}

/// A table whose columns are those of the sample.
#[expect(clippy::too_many_arguments, reason = "a step of one function, which would be too long")]
async fn propose(
    request: &InferRequest,
    place: &Place,
    file: Option<&(ObjectMeta, Vec<String>)>,
    mut options: Options,
    format: String,
    inference: &dyn Infer,
    sample: &Sample,
    of_format: &Options,
) -> Result<Proposal> {
    let Inferred { columns, options: found, notes } = inference.infer(sample, of_format).await?;
    if columns.is_empty() {
        return Err(Error::user("no column can be told from the data").hint(notes.join("; ")));
    }
    for (key, value) in found {
        options.set(format!("{format}.{key}"), value);
    }
    let partitions = file.map(|(_, partitions)| partitions.clone()).unwrap_or_default();
    let name = request.table.clone().unwrap_or_else(|| match place {
        Place::Topic(topic) => identifier(topic),
        Place::Subject(_) => identifier(options.get("topic").unwrap_or("t")),
        Place::Files(location) => {
            let last = location.display.trim_end_matches('/').rsplit('/').next().unwrap_or("t");
            identifier(last.split('.').next().unwrap_or(last))
        }
    });
    let mut proposal = Proposal { name, options, format, columns, partitions, notes };
    proposal.add_partitions();
    proposal.add_hints();
    Ok(proposal)
}

impl Proposal {
    fn add_partitions(&mut self) {
        for partition in &self.partitions {
            if !self.columns.iter().any(|c| c.name == *partition) {
                self.columns.push(RowField::new(partition, LogicalType::from(flott_core::types::TypeKind::STRING)));
            }
        }
    }

    fn add_hints(&mut self) {
        let times: Vec<&str> =
            self.columns.iter().filter(|c| c.data_type.kind.is_timestamp()).map(|c| c.name.as_str()).collect();
        if let Some(first) = times.first() {
            let of_time = if times.len() == 1 { "may be event time" } else { "and others may be event time" };
            self.notes
                .push(format!("{first} {of_time}: WATERMARK FOR {0} AS {0} - INTERVAL '5' SECOND", quoted(first)));
        }
        if ["debezium", "canal", "maxwell", "ogg"].iter().any(|word| self.format.starts_with(word)) {
            self.notes.push(
                "the rows change: add PRIMARY KEY (..) NOT ENFORCED with the key of the database's table".to_string(),
            );
        }
    }

    fn statement(&self, masked: bool) -> String {
        let mut text = format!("CREATE TABLE {} (\n", quoted(&self.name));
        let lines: Vec<String> = self
            .columns
            .iter()
            .map(|c| {
                let data_type = c.data_type.serializable_string();
                let short =
                    data_type.replace("VARCHAR(2147483647)", "STRING").replace("VARBINARY(2147483647)", "BYTES");
                format!("  {} {short}", quoted(&c.name))
            })
            .collect();
        text.push_str(&format!("{}\n)", lines.join(",\n")));
        if !self.partitions.is_empty() {
            let names: Vec<String> = self.partitions.iter().map(|p| quoted(p)).collect();
            text.push_str(&format!(" PARTITIONED BY ({})", names.join(", ")));
        }
        let mut options = Options::new();
        for (key, value) in self.options.iter() {
            let shown = match masked {
                false => value.to_string(),
                true if Secret::is_sensitive_key(key) => secret::MASK.to_string(),
                true => secret::mask_urls(value).into_owned(),
            };
            options.set(key, shown);
        }
        text.push_str(&format!(" WITH (\n  {}\n)", with(&options, ",\n  ")));
        text
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// `'key' = 'value', ..`, the connector first.
fn with(options: &Options, between: &str) -> String {
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut pairs: Vec<(&str, &str)> = options.iter().collect();
    pairs.sort_by_key(|(key, _)| (*key != "connector", *key != "path" && *key != "topic", *key));
    let pairs: Vec<String> = pairs.into_iter().map(|(k, v)| format!("{} = {}", text(k), text(v))).collect();
    pairs.join(between)
}

/// A hint that makes a scan of what never ends one of what is there now.
fn bounded(connector: &str) -> &'static str {
    match connector {
        "kafka" => "/*+ OPTIONS('scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset') */",
        _ => "",
    }
}

/// A name that needs no quotes.
fn identifier(text: &str) -> String {
    let name: String = text.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect();
    match name.chars().next() {
        Some(first) if !first.is_numeric() => name,
        _ => format!("t_{name}"),
    }
}

/// The first file with content, by name, and the partition columns that its folders name.
async fn first_file(location: &StorageLocation) -> Result<(ObjectMeta, Vec<String>)> {
    let failed = |e| storage::storage_error(format!("Cannot read '{}'", location.display), e);
    if location.local.as_ref().is_none_or(|path| path.is_file())
        && let Ok(meta) = location.store.head(&location.path).await
    {
        return Ok((meta, vec![]));
    }
    if location.local.as_ref().is_some_and(|path| !path.exists()) {
        return Err(Error::user(format!("'{}' does not exist", location.display))
            .hint("Check the path: a relative one begins in the working directory"));
    }
    let mut listed = location.store.list(Some(&location.path));
    let (mut first, mut seen): (Option<ObjectMeta>, usize) = (None, 0);
    let depth = location.path.parts().count();
    while let Some(file) = listed.try_next().await.map_err(failed)? {
        let hidden = file.location.parts().skip(depth).any(|part| part.as_ref().starts_with(['.', '_']));
        if !hidden && file.size > 0 && first.as_ref().is_none_or(|f| file.location < f.location) {
            first = Some(file);
        }
        seen += 1;
        if seen >= FILES_MAX {
            break;
        }
    }
    let file = first.ok_or_else(|| {
        Error::user(format!("There is no file with content in '{}'", location.display))
            .hint("Name a file, or a folder with files whose names do not begin with '.' or '_'")
    })?;
    let folders: Vec<String> = file.location.parts().skip(depth).map(|p| p.as_ref().to_string()).collect();
    let partitions = folders.iter().filter_map(|f| f.split_once('=')).map(|(name, _)| name.to_string()).collect();
    Ok((file, partitions))
}

fn format_of_name(name: &str) -> Result<&'static str> {
    let lower = name.to_ascii_lowercase();
    let compressed = [".gz", ".gzip", ".bz2", ".xz", ".zst", ".zstd", ".deflate"];
    let plain = compressed.iter().find_map(|ending| lower.strip_suffix(ending)).unwrap_or(&lower);
    let formats = [
        (".csv", "csv"),
        (".json", "json"),
        (".jsonl", "json"),
        (".ndjson", "json"),
        (".avro", "avro"),
        (".parquet", "parquet"),
        (".orc", "orc"),
    ];
    formats.iter().find(|(ending, _)| plain.ends_with(ending)).map(|(_, format)| *format).ok_or_else(|| {
        Error::user(format!("The format of '{name}' cannot be told from its name")).hint("Say it: --format csv")
    })
}

type FormatAndOptions = (&'static str, &'static [(&'static str, &'static str)]);

/// The format of messages, by how the first one looks.
fn format_of_message(records: &[Bytes]) -> Result<FormatAndOptions> {
    let hint = "Say it: --format json";
    let Some(first) = records.iter().find(|r| !r.is_empty()) else {
        return Err(Error::user("there is no message with content to infer columns from").hint(
            "Write the CREATE TABLE by hand, or ask a schema registry: flott infer https://HOST:PORT/subjects/NAME",
        ));
    };
    if first.first() == Some(&0) && first.len() > 5 {
        return Err(Error::user("The messages look like those of a schema registry")
            .hint("Say where it is: --format avro-confluent --option avro-confluent.url=https://HOST:PORT"));
    }
    let Ok(serde_json::Value::Object(message)) = serde_json::from_slice(first) else {
        return Err(Error::user("The format of the messages cannot be told").hint(hint));
    };
    let has = |object: &serde_json::Map<String, serde_json::Value>, keys: &[&str]| {
        keys.iter().all(|k| object.contains_key(*k))
    };
    let is_debezium = |m: &serde_json::Map<String, serde_json::Value>| has(m, &["before", "after", "op"]);
    Ok(match &message {
        m if is_debezium(m) => ("debezium-json", &[]),
        m if m.get("payload").and_then(|p| p.as_object()).is_some_and(is_debezium) => {
            ("debezium-json", &[("debezium-json.schema-include", "true")])
        }
        m if has(m, &["op_type", "current_ts"]) => ("ogg-json", &[]),
        m if has(m, &["database", "table", "type", "data", "isDdl"]) => ("canal-json", &[]),
        m if has(m, &["database", "table", "type", "data", "xid"]) => ("maxwell-json", &[]),
        _ => ("json", &[]),
    })
}

fn unfit(format: &str, place: &Place) -> Error {
    let what = match place {
        Place::Files(_) => "files",
        Place::Topic(_) => "messages of a topic",
        Place::Subject(_) => "a subject of a schema registry",
    };
    Error::user(format!("Columns of format '{format}' cannot be told from {what}"))
        .hint("Formats of files are csv, json, avro, parquet and orc; of topics json and its like; of subjects avro-confluent")
}
