//! Formats of these tests, and what drives sources and sinks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, SchemaRef};
use async_trait::async_trait;
use flott_connector::factory::{ConnectorFactory, Registry, TableContext};
use flott_connector::format::*;
use flott_connector::sink::*;
use flott_connector::source::*;
use flott_connector::storage::{Multipart, StorageLocation, open};
use flott_connector_files::FilesFactory;
use flott_core::clock::{Clock, SystemClock};
use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{ChangeBatch, CheckpointId, DecidedCheckpoint, Error, Generation, Result};
use flott_testkit::{SourceHarness, TableBuilder, rows_of};
use object_store::multipart::MultipartStore;
use object_store::{ObjectStore, ObjectStoreExt};

/// Records of fields divided by commas, each INT or STRING. Options: `quotes` (fields may be quoted), `strict` (says its
/// delimiter), `ignore-parse-errors`.
pub(crate) struct LineFormat;

/// The same records one a line, but as a bulk format whose units are lines.
pub(crate) struct UnitFormat;

const OPTIONS: &[ConfigOption] = &[
    ConfigOption::optional("quotes", OptionType::Boolean, Some("false"), "."),
    ConfigOption::optional("strict", OptionType::Boolean, Some("false"), "."),
    ConfigOption::optional("ignore-parse-errors", OptionType::Boolean, Some("false"), "."),
];

#[derive(Clone)]
struct Line {
    schema: SchemaRef,
    /// Of each column, its field.
    fields: Vec<usize>,
    quotes: bool,
    strict: bool,
    ignore: bool,
}

impl Line {
    fn new(context: &FormatContext) -> Line {
        let flag = |key| context.options.get(key) == Some("true");
        let fields = context.schema.fields().iter().map(|f| context.declared.index_of(f.name()).expect("declared"));
        Line {
            schema: Arc::clone(&context.schema),
            fields: fields.collect(),
            quotes: flag("quotes"),
            strict: flag("strict"),
            ignore: flag("ignore-parse-errors"),
        }
    }

    /// The fields of the first record and its length with the line break; `None` where it is not whole. A quote counts
    /// only at the beginning of a field; what follows the closing one up to the delimiter is text.
    fn record(&self, input: &[u8], end: bool) -> Option<(Vec<String>, usize)> {
        let mut fields = vec![vec![]];
        let (mut inside, mut start) = (false, true);
        let mut i = 0;
        while i < input.len() {
            let b = input[i];
            let field = fields.last_mut().expect("one");
            i += 1;
            if inside {
                if b != b'"' {
                    field.push(b);
                } else if input.get(i) == Some(&b'"') {
                    field.push(b);
                    i += 1;
                } else if i == input.len() && !end {
                    return None;
                } else {
                    inside = false;
                }
                continue;
            }
            match b {
                b'"' if self.quotes && start => inside = true,
                b',' => fields.push(vec![]),
                b'\n' => return Some((texts(fields), i)),
                b => field.push(b),
            }
            start = b == b',';
        }
        end.then(|| (texts(fields), i))
    }

    fn batch(&self, records: &[(u64, Vec<String>)], position: &RecordPosition) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = vec![];
        for (field, index) in self.schema.fields().iter().zip(&self.fields) {
            let texts = records.iter().map(|(_, r)| r.get(*index).map(String::as_str));
            columns.push(match field.data_type() {
                DataType::Utf8 => Arc::new(texts.collect::<StringArray>()),
                DataType::Int32 => {
                    let mut values = vec![];
                    for ((row, _), text) in records.iter().zip(texts) {
                        values.push(text.unwrap_or("").trim().parse::<i32>().map_err(|_| {
                            let e = Error::data("not an INT").with("file", &position.origin);
                            if position.row_is_exact {
                                e.with("row", position.row + row + 1)
                            } else {
                                e.with("offset", position.offset)
                            }
                        })?);
                    }
                    Arc::new(Int32Array::from(values))
                }
                other => panic!("{other}"),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

fn texts(fields: Vec<Vec<u8>>) -> Vec<String> {
    fields.into_iter().map(|f| String::from_utf8_lossy(&f).into_owned()).collect()
}

impl StreamDecoderFactory for Line {
    fn create(&self, _first: bool) -> Result<Box<dyn StreamDecoder>> {
        Ok(Box::new(self.clone()))
    }

    fn splittable(&self) -> Splittable {
        if self.quotes { Splittable::OutsideQuotes(b'"') } else { Splittable::AtLineBreak }
    }

    fn quoted_field_delimiter(&self) -> Option<u8> {
        self.strict.then_some(b',')
    }
}

impl StreamDecoder for Line {
    fn decode(&mut self, input: &[u8], end: bool, max_rows: usize, position: &RecordPosition) -> Result<Decoded> {
        let mut decoded = Decoded { consumed: 0, rows: None, kinds: None, records: 0, skipped: 0 };
        let mut records = vec![];
        while records.len() < max_rows && decoded.consumed < input.len() {
            let Some((record, length)) = self.record(&input[decoded.consumed..], end) else { break };
            if self.ignore && record[0] == "bad" {
                decoded.skipped += 1;
            } else {
                records.push((decoded.records, record));
            }
            decoded.consumed += length;
            decoded.records += 1;
        }
        if !records.is_empty() {
            decoded.rows = Some(self.batch(&records, position)?);
        }
        Ok(decoded)
    }
}

/// Fields as text, quoted where they must be.
struct LineEncoder {
    footer: bool,
    held: Vec<u8>,
}

impl Encoder for LineEncoder {
    fn encode(&mut self, rows: &ChangeBatch, out: &mut Vec<u8>) -> Result<()> {
        let out = if self.footer { &mut self.held } else { out };
        let text = flott_connector::row_text::RowText::new(&rows.rows)?;
        for row in 0..rows.num_rows() {
            for column in 0..rows.rows.num_columns() {
                let mut field = String::new();
                text.write_value(column, row, &mut field);
                if column > 0 {
                    out.push(b',');
                }
                if field.contains(['"', ',', '\n']) {
                    field = format!("\"{}\"", field.replace('"', "\"\""));
                }
                out.extend_from_slice(field.as_bytes());
            }
            out.push(b'\n');
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        out.append(&mut self.held);
        if self.footer {
            out.extend_from_slice(b"footer\n");
        }
        Ok(())
    }

    fn buffered_bytes(&self) -> usize {
        self.held.len()
    }
}

struct LineEncoding(bool);

impl EncoderFactory for LineEncoding {
    fn create(&self) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(LineEncoder { footer: self.0, held: vec![] }))
    }

    fn file_extension(&self) -> &str {
        if self.0 { "" } else { "line" }
    }
}

impl FormatFactory for LineFormat {
    fn identifier(&self) -> &'static str {
        "line"
    }

    fn options(&self) -> &'static [ConfigOption] {
        OPTIONS
    }

    fn decoding(&self, context: &FormatContext) -> Result<Decoding> {
        Ok(Decoding::Stream(Arc::new(Line::new(context))))
    }

    fn message_decoding(&self, _context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>> {
        Err(Error::user("only for files"))
    }

    fn encoding(&self, _context: &FormatContext) -> Result<Arc<dyn EncoderFactory>> {
        Ok(Arc::new(LineEncoding(false)))
    }
}

const FIRST_BYTE: std::ops::Range<u64> = 0..1;

struct UnitReader {
    store: Arc<dyn ObjectStore>,
    path: object_store::path::Path,
    line: Line,
    records: Vec<(u64, Vec<String>)>,
    next: usize,
}

#[async_trait]
impl BulkReader for UnitReader {
    async fn next(&mut self) -> Result<Option<BulkBatch>> {
        let end = (self.next + 100).min(self.records.len());
        // As formats do that read a file piece by piece.
        if !self.records.is_empty() {
            let first = std::slice::from_ref(&FIRST_BYTE);
            let piece = self.store.get_ranges(&self.path, first).await;
            piece.map_err(|e| Error::unavailable("the file cannot be read").caused_by(e))?;
        }
        let records = &self.records[self.next..end];
        self.next = end;
        let position = RecordPosition { origin: "".into(), row: 0, offset: 0, row_is_exact: true };
        let batch = || Ok(BulkBatch { rows: self.line.batch(records, &position)?, next_row: end as u64 });
        if records.is_empty() { Ok(None) } else { batch().map(Some) }
    }
}

#[async_trait]
impl BulkReaderFactory for Line {
    async fn open(
        &self,
        store: Arc<dyn ObjectStore>,
        path: &object_store::path::Path,
        file_size: u64,
        range: Option<(u64, u64)>,
        skip_rows: u64,
    ) -> Result<Box<dyn BulkReader>> {
        let bytes = store.get(path).await.expect("there").bytes().await.expect("read");
        assert_eq!(bytes.len() as u64, file_size);
        let (from, to) = range.unwrap_or((0, file_size));
        let (mut at, mut records) = (0, vec![]);
        while let Some((record, length)) = self.record(&bytes[at..], true).filter(|(_, l)| *l > 0) {
            if (from..to).contains(&(at as u64)) {
                records.push((0, record));
            }
            at += length;
        }
        let (line, path, next) = (self.clone(), path.clone(), skip_rows as usize);
        Ok(Box::new(UnitReader { store, path, line, records, next }))
    }
}

impl FormatFactory for UnitFormat {
    fn identifier(&self) -> &'static str {
        "unit"
    }

    fn options(&self) -> &'static [ConfigOption] {
        OPTIONS
    }

    fn decoding(&self, context: &FormatContext) -> Result<Decoding> {
        Ok(Decoding::Bulk(Arc::new(Line::new(context))))
    }

    fn message_decoding(&self, _context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>> {
        Err(Error::user("only for files"))
    }

    fn encoding(&self, _context: &FormatContext) -> Result<Arc<dyn EncoderFactory>> {
        Ok(Arc::new(LineEncoding(true)))
    }
}

/// A table over a path.
pub(crate) struct Table {
    builder: TableBuilder,
    partition_keys: Vec<String>,
    store: Option<Arc<dyn ObjectStore>>,
    multipart: Option<Multipart>,
    /// Of the session; only for stores that are opened by their URL.
    config: Options,
    clock: Arc<dyn Clock>,
}

impl Table {
    pub(crate) fn new(path: impl AsRef<Path>, columns: &str) -> Table {
        let mut registry = Registry::default();
        registry.add_format(Arc::new(LineFormat));
        registry.add_format(Arc::new(UnitFormat));
        let builder = TableBuilder::new("t", columns)
            .registry(Arc::new(registry))
            .option("connector", "filesystem")
            .option("format", "line")
            .option("path", path.as_ref().to_str().expect("UTF-8"));
        Table {
            builder,
            partition_keys: vec![],
            store: None,
            multipart: None,
            config: Options::new(),
            clock: SystemClock::shared(),
        }
    }

    pub(crate) fn with(self, change: impl FnOnce(TableBuilder) -> TableBuilder) -> Table {
        Table { builder: change(self.builder), ..self }
    }

    pub(crate) fn option(self, key: &str, value: &str) -> Table {
        self.with(|b| b.option(key, value))
    }

    pub(crate) fn partitioned_by(mut self, keys: &[&str]) -> Table {
        self.partition_keys = keys.iter().map(|k| k.to_string()).collect();
        self
    }

    /// The path is a prefix in this store.
    pub(crate) fn store(self, store: Arc<dyn ObjectStore>) -> Table {
        Table { store: Some(store), ..self }
    }

    /// The store's uploads can be completed by others.
    pub(crate) fn multipart(self, multipart: Arc<dyn MultipartStore>) -> Table {
        Table { multipart: Some(Multipart(multipart)), ..self }
    }

    /// The session's configuration has this.
    pub(crate) fn config(mut self, options: &[(&str, String)]) -> Table {
        for (key, value) in options {
            self.config.set(*key, value.as_str());
        }
        self
    }

    pub(crate) fn clock(self, clock: Arc<dyn Clock>) -> Table {
        Table { clock, ..self }
    }

    fn factory(&self) -> FilesFactory {
        let (store, multipart, config) = (self.store.clone(), self.multipart.clone(), self.config.clone());
        let open_storage = move |url: &str, base: &Path, _: &Options| match &store {
            None => open(url, base, &config),
            Some(store) => Ok(StorageLocation {
                store: Arc::clone(store),
                path: object_store::path::Path::parse(url).expect("a path"),
                display: format!("mem://{url}"),
                local: None,
                multipart: multipart.clone(),
            }),
        };
        FilesFactory::with(Arc::new(open_storage), Arc::clone(&self.clock))
    }

    fn context(&self, mut context: TableContext) -> TableContext {
        context.table.partition_keys = self.partition_keys.clone();
        context
    }

    pub(crate) fn try_source(&self) -> Result<Arc<dyn Source>> {
        Ok(self.factory().source(&self.context(self.builder.source()))?.source)
    }

    pub(crate) fn source(&self) -> Arc<dyn Source> {
        self.try_source().unwrap_or_else(|e| panic!("{e}"))
    }

    pub(crate) fn try_sink(&self) -> Result<Arc<dyn Sink>> {
        self.try_sink_with(flott_core::FailPoints::none())
    }

    pub(crate) fn try_sink_with(&self, fail_points: flott_core::FailPoints) -> Result<Arc<dyn Sink>> {
        let mut context = self.context(self.builder.sink());
        context.fail_points = fail_points;
        Ok(self.factory().sink(&context)?.sink)
    }

    pub(crate) fn sink(&self) -> Arc<dyn Sink> {
        self.try_sink().unwrap_or_else(|e| panic!("{e}"))
    }

    /// Of an INSERT OVERWRITE.
    pub(crate) fn overwriting_sink(&self) -> Arc<dyn Sink> {
        self.overwriting_sink_with(flott_core::FailPoints::none())
    }

    pub(crate) fn overwriting_sink_with(&self, fail_points: flott_core::FailPoints) -> Arc<dyn Sink> {
        let mut context = self.context(self.builder.sink());
        context.fail_points = fail_points;
        let made = self.factory().overwriting_sink(&context).expect("files can be overwritten");
        made.unwrap_or_else(|e| panic!("{e}")).sink
    }

    /// Reads all with so many readers.
    pub(crate) async fn try_read(&self, parallelism: usize) -> Result<Vec<ChangeBatch>> {
        SourceHarness::start(&self.try_source()?, parallelism, None).await?.run_to_end().await
    }

    pub(crate) async fn read(&self) -> Vec<String> {
        rows_of(&self.try_read(1).await.unwrap_or_else(|e| panic!("{e}")))
    }

    /// All rows, sorted.
    pub(crate) async fn read_sorted(&self) -> Vec<String> {
        let mut rows = self.read().await;
        rows.sort();
        rows
    }
}

/// Writes files below a folder.
pub(crate) fn files(folder: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, content).expect("written");
    }
}

/// The files below a folder and their content, hidden ones too.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).expect("below").display().to_string();
                found.insert(name, std::fs::read_to_string(entry.path()).expect("text"));
            }
        }
    }
    found
}

/// The files that a reader would see.
pub(crate) fn visible(folder: &Path) -> BTreeMap<String, String> {
    tree(folder).into_iter().filter(|(n, _)| !n.split('/').any(|p| p.starts_with('.'))).collect()
}

/// Why each committable of a call that tells nothing else can never be committed.
pub(crate) fn refused(outcomes: Result<Vec<CommitOutcome>>) -> Vec<String> {
    let outcomes = outcomes.expect("an outcome for each").into_iter();
    outcomes.filter_map(|o| if let CommitOutcome::Failed { reason } = o { Some(reason) } else { None }).collect()
}

pub(crate) fn decided(id: u64) -> DecidedCheckpoint {
    #[expect(clippy::disallowed_methods, reason = "a test stands in for the checkpoint store")]
    DecidedCheckpoint::proven_by_head("lineage", CheckpointId(id))
}

pub(crate) fn writer_of(sink: &Arc<dyn Sink>, generation: u64, subtask: usize) -> Box<dyn SinkWriter> {
    let context = WriterContext {
        subtask: SubtaskInfo { index: subtask, parallelism: 2 },
        lineage: "lineage".into(),
        generation: Generation(generation),
        operator_uid: "sink: t".into(),
    };
    sink.create_writer(context, vec![]).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn committer_of(sink: &Arc<dyn Sink>, generation: u64) -> Box<dyn Committer> {
    let context = CommitterContext {
        lineage: "lineage".into(),
        generation: Generation(generation),
        operator_uid: "sink: t".into(),
        replaced_lineages: vec![],
    };
    sink.create_committer(context).unwrap_or_else(|e| panic!("{e}")).expect("a committer")
}

/// Writes batches and prepares a checkpoint.
pub(crate) async fn staged(writer: &mut dyn SinkWriter, batches: &[ChangeBatch], checkpoint: u64) -> Vec<Committable> {
    for batch in batches {
        writer.write(batch.clone()).await.unwrap_or_else(|e| panic!("{e}"));
    }
    writer.flush(false).await.unwrap_or_else(|e| panic!("{e}"));
    writer.prepare_commit(CheckpointId(checkpoint)).await.unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn temp() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("data");
    (dir, path)
}

/// Lines of which a bulk format gives a hundred at a time.
pub(crate) fn three_hundred_lines(from: i32) -> String {
    (from..from + 300).map(|i| format!("{i}\n")).collect()
}

/// Reads a part of the only file of a table, has it changed, and reads on.
pub(crate) async fn changed_while_read(source: &Arc<dyn Source>, change: impl AsyncFnOnce()) {
    let mut harness = SourceHarness::start(source, 1, None).await.expect("started");
    let rows = loop {
        if let Some(rows) = harness.step(0).await.expect("read") {
            break rows;
        }
    };
    assert_eq!(rows.num_rows(), 100);
    change().await;
    let e = harness.run_to_end().await.expect_err("changed");
    assert_eq!(e.kind(), flott_core::ErrorKind::Data, "{e}");
    assert!(e.to_string().contains("the file changed while it was read"), "{e}");
    assert!(e.hint_text().is_some_and(|hint| hint.contains("--fresh")), "{e}");
}
