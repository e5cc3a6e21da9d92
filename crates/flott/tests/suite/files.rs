//! The filesystem connector: a split is a folder, and what is written to it at a time one file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use flott::{Registry, default_registry};
use flott_connector::Boundedness;
use flott_connector::format::{FormatContext, RecordPosition};
use flott_core::Result;
use flott_core::options::Options;
use flott_testkit::suite::{
    COLUMNS, Record, Semantics, SinkContext, SinkTable, SourceContext, SourceSettings, SourceTable, batch_of_records,
};
use flott_testkit::{SourceHarness, TableBuilder, schema, sink_suite, source_suite};

use crate::embedded::Embedded;

/// Tables in folders.
struct Files {
    format: &'static str,
    folder: tempfile::TempDir,
    made: AtomicU64,
}

impl Files {
    fn new(format: &'static str) -> Files {
        Files { format, folder: tempfile::tempdir().expect("a folder"), made: AtomicU64::new(0) }
    }

    fn table(&self) -> Folder {
        let path = self.folder.path().join(format!("table-{}", self.made.fetch_add(1, Ordering::Relaxed)));
        let options = [("connector", "filesystem"), ("format", self.format), ("path", &path.display().to_string())]
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .to_vec();
        Folder { path, format: self.format, options, written: 0 }
    }
}

struct Folder {
    path: PathBuf,
    format: &'static str,
    options: Vec<(String, String)>,
    written: u64,
}

/// Records as a file of this format.
pub(crate) fn encoded(format: &str, records: &[Record]) -> Result<Vec<u8>> {
    let schema = schema(COLUMNS);
    let context = FormatContext {
        schema: schema.clone(),
        declared: schema,
        options: Options::new(),
        local_time_zone: "UTC".to_string(),
    };
    let mut encoder = default_registry().format(format)?.encoding(&context)?.create()?;
    let mut bytes = vec![];
    encoder.encode(&batch_of_records(records)?, &mut bytes)?;
    encoder.finish(&mut bytes)?;
    Ok(bytes)
}

/// Records from messages of this format.
#[cfg(any(feature = "http", feature = "redis"))]
pub(crate) fn decoded<'a>(format: &str, messages: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Record>> {
    let schema = schema(COLUMNS);
    let context = FormatContext {
        schema: schema.clone(),
        declared: schema,
        options: Options::new(),
        local_time_zone: "UTC".to_string(),
    };
    let mut decoder = default_registry().format(format)?.message_decoding(&context)?.create()?;
    let position = RecordPosition { origin: "the tests".into(), row: 0, offset: 0, row_is_exact: false };
    for message in messages {
        decoder.decode(Some(message), &position)?;
    }
    Record::from_batch(&decoder.flush()?)
}

#[async_trait]
impl SourceContext for Files {
    async fn create(&self, settings: SourceSettings) -> Result<Box<dyn SourceTable>> {
        let mut table = self.table();
        std::fs::create_dir_all(&table.path)?;
        if settings.boundedness == Boundedness::ContinuousUnbounded {
            table.options.push(("source.monitor-interval".to_string(), "10 ms".to_string()));
        }
        Ok(Box::new(table))
    }
}

#[async_trait]
impl SourceTable for Folder {
    fn options(&self) -> Vec<(String, String)> {
        self.options.clone()
    }

    async fn write(&mut self, split: u32, records: &[Record]) -> Result<()> {
        let bytes = encoded(self.format, records)?;
        // Moved into the folder when it is complete, as the source asks for. Older files have older names.
        let folder = self.path.join(format!("split-{split}"));
        std::fs::create_dir_all(&folder)?;
        let (hidden, name) = (folder.join(".new"), folder.join(format!("part-{:06}", self.written)));
        self.written += 1;
        std::fs::write(&hidden, bytes)?;
        std::fs::rename(hidden, name)?;
        Ok(())
    }
}

#[async_trait]
impl SinkContext for Files {
    async fn create(&self, _semantics: Semantics) -> Result<Box<dyn SinkTable>> {
        Ok(Box::new(self.table()))
    }
}

#[async_trait]
impl SinkTable for Folder {
    fn options(&self) -> Vec<(String, String)> {
        self.options.clone()
    }

    async fn read(&self) -> Result<Vec<Record>> {
        if !self.path.exists() {
            return Ok(vec![]);
        }
        let registry: Arc<Registry> = Arc::new(default_registry());
        let connector = registry.connector("filesystem")?;
        let mut table = TableBuilder::new("t", COLUMNS).registry(registry);
        for (key, value) in &self.options {
            table = table.option(key, value);
        }
        let source = connector.source(&table.source())?.source;
        let batches = SourceHarness::start(&source, 1, None).await?.run_to_end().await?;
        let records = batches.iter().map(Record::from_batch).collect::<Result<Vec<_>>>()?;
        Ok(records.concat())
    }

    async fn leftovers(&self) -> Result<Vec<String>> {
        Ok(hidden(&self.path))
    }
}

/// Hidden files and folders below a folder.
fn hidden(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with('.') {
            found.push(entry.path().display().to_string());
            found.extend(below(&entry.path()));
        }
    }
    found
}

fn below(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|e| [vec![e.path().display().to_string()], below(&e.path())].concat()).collect()
}

source_suite!(csv_source, Embedded::new(), Some(Files::new("csv")));
source_suite!(json_source, Embedded::new(), Some(Files::new("json")));
source_suite!(parquet_source, Embedded::new(), Some(Files::new("parquet")));
sink_suite!(csv_sink, Embedded::new(), Some(Files::new("csv")));
sink_suite!(json_sink, Embedded::new(), Some(Files::new("json")));
sink_suite!(parquet_sink, Embedded::new(), Some(Files::new("parquet")));
