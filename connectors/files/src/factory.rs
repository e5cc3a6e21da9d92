//! From a table's DDL to a source or a sink.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{Schema, SchemaRef};
use flott_connector::Versioned;
use flott_connector::factory::{ConnectorFactory, MetadataKey, PartitionFilter, TableContext, TableSink, TableSource};
use flott_connector::format::FormatContext;
use flott_connector::sink::{Committer, CommitterContext, DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_connector::source::{Boundedness, Source, SourceReader, SplitEnumerator, SubtaskInfo};
use flott_connector::storage::{self, StorageLocation};
use flott_core::clock::{Clock, SystemClock};
use flott_core::options::{ConfigOption, Options};
use flott_core::types::{TypeKind, arrow_field, arrow_schema};
use flott_core::{Error, Result};
use regex::Regex;

use crate::committer::FileCommitter;
use crate::enumerator::FileEnumerator;
use crate::listing::{self, Selection};
use crate::partition_commit::PartitionCommit;
use crate::reader::FileReader;
use crate::rolling::RollingPolicy;
use crate::scan::{FileScan, OutputColumn, Wanted};
use crate::target::FileTarget;
use crate::writer::FileWriter;
use crate::{options, partition};

/// How a location is opened: a path or URL, the folder that relative paths start from, and the session's options.
pub type OpenStorage = dyn Fn(&str, &Path, &Options) -> Result<StorageLocation> + Send + Sync;

/// The `filesystem` connector.
pub struct FilesFactory {
    open: Arc<OpenStorage>,
    clock: Arc<dyn Clock>,
}

impl Default for FilesFactory {
    fn default() -> FilesFactory {
        FilesFactory { open: Arc::new(storage::open), clock: SystemClock::shared() }
    }
}

impl FilesFactory {
    /// With other stores (an embedding program's, or a test's) and clock than the usual ones.
    pub fn with(open: Arc<OpenStorage>, clock: Arc<dyn Clock>) -> FilesFactory {
        FilesFactory { open, clock }
    }

    fn location(&self, path: &str, context: &TableContext) -> Result<StorageLocation> {
        (self.open)(path, &context.base_dir, &context.config)
    }
}

fn text(context: &TableContext, option: &ConfigOption) -> Option<String> {
    context.table.options.text(option).map(str::to_string)
}

fn path(context: &TableContext) -> Result<String> {
    match text(context, &options::PATH) {
        Some(path) if !path.trim().is_empty() => Ok(path),
        _ => Err(Error::user("'path' is empty").with("option", "path").hint("Name a file or a folder")),
    }
}

/// `PARTITIONED BY`, checked: each is a column, and some column is none.
fn partition_keys(context: &TableContext) -> Result<&[String]> {
    let table = &context.table;
    for key in &table.partition_keys {
        if !table.schema.physical().any(|c| c.name == *key) {
            return Err(Error::user(format!("the partition key '{key}' is not a physical column of the table"))
                .with("column", key)
                .hint("Declare the column, or leave it out of PARTITIONED BY"));
        }
    }
    if !table.partition_keys.is_empty() && table.schema.physical().all(|c| table.partition_keys.contains(&c.name)) {
        return Err(Error::user("all columns are partition keys, so the files would have no column")
            .hint("Leave a column out of PARTITIONED BY"));
    }
    Ok(&table.partition_keys)
}

fn subset(schema: &SchemaRef, keep: impl Fn(usize, &str) -> bool) -> SchemaRef {
    let fields = schema.fields().iter().enumerate().filter(|(i, f)| keep(*i, f.name())).map(|(_, f)| Arc::clone(f));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn format_context(context: &TableContext, schema: SchemaRef) -> Result<FormatContext> {
    let (_, options) = context.format(options::FORMAT.key)?;
    let table = &context.table;
    let in_files = table.schema.physical().filter(|c| !table.partition_keys.contains(&c.name));
    let declared = Schema::new(in_files.map(|c| arrow_field(&c.name, &c.data_type)).collect::<Vec<_>>());
    Ok(FormatContext { schema, declared: Arc::new(declared), options, local_time_zone: context.local_time_zone() })
}

fn source_columns(context: &TableContext, keys: &[String]) -> Result<Vec<OutputColumn>> {
    let fields = context.schema.fields();
    let physical = fields.len().saturating_sub(context.metadata_keys.len());
    let mut in_file = 0;
    let mut columns = Vec::with_capacity(fields.len());
    for (i, field) in fields.iter().enumerate() {
        columns.push(if let Some(key) = context.metadata_keys.get(i.wrapping_sub(physical)) {
            match key.as_str() {
                "file.path" => OutputColumn::Path,
                "file.name" => OutputColumn::Name,
                "file.size" => OutputColumn::Size,
                "file.modification-time" => OutputColumn::ModificationTime,
                other => {
                    return Err(Error::user(format!("Unknown metadata key '{other}'"))
                        .with("column", field.name())
                        .hint("There are file.path, file.name, file.size and file.modification-time"));
                }
            }
        } else if let Some(key) = keys.iter().position(|k| k == field.name()) {
            if let Some(column) = context.table.schema.column(field.name()) {
                partition::check_type(&column.name, &column.data_type)?;
            }
            OutputColumn::Partition(key)
        } else {
            in_file += 1;
            OutputColumn::File(in_file - 1)
        });
    }
    Ok(columns)
}

impl ConnectorFactory for FilesFactory {
    fn identifier(&self) -> &'static str {
        "filesystem"
    }

    fn description(&self) -> &'static str {
        "Files in a local folder or an object store. The source reads them once or watches for new ones; the sink shows \
         files exactly once, when the checkpoint that they belong to is decided."
    }

    fn options(&self) -> &'static [ConfigOption] {
        options::ALL
    }

    fn metadata(&self) -> Vec<MetadataKey> {
        let key = |key: &'static str, kind: TypeKind| MetadataKey {
            key: key.into(),
            data_type: kind.not_null(),
            writable: false,
        };
        vec![
            key("file.path", TypeKind::STRING),
            key("file.name", TypeKind::STRING),
            key("file.size", TypeKind::BigInt),
            key("file.modification-time", TypeKind::timestamp_ltz(3)),
        ]
    }

    fn source(&self, context: &TableContext) -> Result<TableSource> {
        self.source_of(context, None)
    }

    fn partitioned_source(&self, context: &TableContext, wanted: &PartitionFilter) -> Option<Result<TableSource>> {
        Some(self.source_of(context, Some(wanted)))
    }

    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        self.table_sink(context, false)
    }

    fn overwriting_sink(&self, context: &TableContext) -> Option<Result<TableSink>> {
        Some(self.table_sink(context, true))
    }
}

impl FilesFactory {
    fn source_of(&self, context: &TableContext, filter: Option<&PartitionFilter>) -> Result<TableSource> {
        context.validate_options(options::ALL, &[options::FORMAT.key])?;
        let given = &context.table.options;
        let path = path(context)?;
        let (location, pattern) = match listing::pattern_root(&path) {
            None => (self.location(&path, context)?, None),
            Some(root) => {
                let location = self.location(root, context)?;
                let folder = match &location.local {
                    Some(local) => local.display().to_string(),
                    None => format!("/{}", location.path),
                };
                let pattern = listing::glob(&folder, &path[root.len()..])?;
                (location, Some(pattern))
            }
        };
        let regex = text(context, &options::PATH_REGEX).map(|p| {
            Regex::new(&format!("^(?:{p})$")).map_err(|e| {
                Error::user(format!("'{p}' is not a usable regular expression"))
                    .with("option", options::PATH_REGEX.key)
                    .hint("Java's look-around and back references are not supported")
                    .caused_by(e)
            })
        });
        let monitor = given.duration(&options::MONITOR_INTERVAL)?;
        if monitor.is_some_and(|m| m.is_zero()) {
            return Err(Error::user("the interval must be longer than 0")
                .with("option", options::MONITOR_INTERVAL.key)
                .hint("Use '1 s', or leave the option out to read the files once"));
        }
        let keys = partition_keys(context)?;
        let columns = source_columns(context, keys)?;
        let wanted = subset(&context.schema, |i, _| matches!(columns[i], OutputColumn::File(_)));
        let (format, _) = context.format(options::FORMAT.key)?;
        let scan = FileScan {
            location,
            selection: Arc::new(Selection { pattern, regex: regex.transpose()?, keys: keys.to_vec() }),
            monitor,
            split_bytes: given.bytes(&options::SPLIT_SIZE)?.map(|bytes| bytes.max(1)),
            decoding: format.decoding(&format_context(context, wanted)?)?,
            schema: Arc::clone(&context.schema),
            columns,
            partition_keys: keys.to_vec(),
            default_partition: text(context, &options::DEFAULT_PARTITION).unwrap_or_default(),
            wanted: filter.map(|filter| Wanted { keys: key_schema(context, keys), filter: Arc::clone(filter) }),
        };
        Ok(TableSource {
            source: Arc::new(FileSource { scan: Arc::new(scan) }),
            changelog_mode: format.changelog_mode(),
            parallelism: None,
        })
    }

    fn table_sink(&self, context: &TableContext, overwrite: bool) -> Result<TableSink> {
        context.validate_options(options::ALL, &[options::FORMAT.key])?;
        let given = &context.table.options;
        if given.bool(&options::COMPACTION)? {
            return Err(Error::user("Files are not compacted: 'auto-compaction' = 'true' is not supported")
                .with("option", options::COMPACTION.key)
                .hint("Remove the option; a longer 'execution.checkpointing.interval' makes fewer, larger files"));
        }
        if given.bool(&options::SHUFFLE)? {
            tracing::warn!(
                table = %context.identifier,
                "'sink.shuffle-by-partition.enable' has no effect: each writer has its own file in each partition"
            );
        }
        let path = path(context)?;
        if listing::pattern_root(&path).is_some() {
            return Err(Error::user(format!("'{path}' is a pattern, and a sink writes to a folder"))
                .with("option", "path")
                .hint("Name a folder without *, ?, [ and {"));
        }
        let keys = partition_keys(context)?;
        let fields = context.schema.fields();
        let mut partition_columns = vec![];
        for key in keys {
            let index = fields.iter().position(|f| f.name() == key).ok_or_else(|| {
                Error::internal(format!("the partition column '{key}' does not arrive")).with("column", key)
            })?;
            partition_columns.push((key.clone(), index));
        }
        let file_columns: Vec<usize> =
            (0..fields.len()).filter(|i| !partition_columns.iter().any(|(_, p)| p == i)).collect();
        let in_file = subset(&context.schema, |i, _| file_columns.contains(&i));
        let (format, _) = context.format(options::FORMAT.key)?;
        let mut for_format = format_context(context, Arc::clone(&in_file))?;
        for_format.declared = in_file;
        let location = self.location(&path, context)?;
        let rolling = RollingPolicy {
            bytes: given.bytes(&options::ROLL_SIZE)?.unwrap_or(128 << 20).max(1),
            age: given.duration(&options::ROLL_INTERVAL)?.unwrap_or(Duration::from_secs(1_800)),
            inactivity: given.duration(&options::ROLL_INACTIVITY)?.unwrap_or(Duration::from_secs(1_800)),
            check: given.duration(&options::ROLL_CHECK)?.unwrap_or(Duration::from_secs(60)),
        };
        rolling.check_for(&location)?;
        let target = FileTarget {
            encoders: format.encoding(&for_format)?,
            only_inserts: format.changelog_mode().is_insert_only(),
            partition_columns,
            file_columns,
            default_partition: text(context, &options::DEFAULT_PARTITION).unwrap_or_default(),
            rolling,
            partition_commit: PartitionCommit::from_options(given, keys)?,
            clock: Arc::clone(&self.clock),
            fail_points: context.fail_points.clone(),
            overwrite,
            location,
        };
        let parallelism = match given.int(&options::PARALLELISM)? {
            None => None,
            Some(p) => Some(usize::try_from(p).ok().filter(|p| *p > 0).ok_or_else(|| {
                Error::user(format!("Invalid value '{p}': there must be at least one writer"))
                    .with("option", options::PARALLELISM.key)
                    .hint("Use 1 or more")
            })?),
        };
        Ok(TableSink {
            sink: Arc::new(FileSink { target: Arc::new(target) }),
            changelog_mode: format.changelog_mode(),
            parallelism,
        })
    }
}

/// The partition columns as the table declares them.
fn key_schema(context: &TableContext, keys: &[String]) -> SchemaRef {
    let columns = &context.table.schema.columns;
    let declared = keys.iter().filter_map(|key| columns.iter().find(|c| c.name == *key));
    arrow_schema(declared.map(|c| (c.name.as_str(), &c.data_type)))
}

struct FileSource {
    scan: Arc<FileScan>,
}

impl Source for FileSource {
    fn boundedness(&self) -> Boundedness {
        if self.scan.monitor.is_some() { Boundedness::ContinuousUnbounded } else { Boundedness::Bounded }
    }

    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        Ok(Box::new(FileEnumerator::new(Arc::clone(&self.scan), restored)?))
    }

    fn create_reader(&self, _subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Ok(Box::new(FileReader::new(Arc::clone(&self.scan))))
    }

    fn partitions(&self) -> Result<Option<Vec<String>>> {
        let scan = &self.scan;
        let (Some(_), Some(root)) = (&scan.wanted, &scan.location.local) else { return Ok(None) };
        let mut partitions = BTreeSet::new();
        for file in listing::walk(root, &scan.selection)?.iter().filter(|f| scan.wants(&f.path)) {
            let values = partition::raw_values_of(&file.path, &scan.partition_keys)?;
            let shown: Vec<String> = scan.partition_keys.iter().zip(values).map(|(k, v)| format!("{k}={v}")).collect();
            partitions.insert(format!("{{{}}}", shown.join(", ")));
        }
        Ok(Some(partitions.into_iter().collect()))
    }
}

struct FileSink {
    target: Arc<FileTarget>,
}

impl Sink for FileSink {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }

    fn supports_savepoints(&self) -> bool {
        !self.target.overwrite
    }

    fn reads_watermarks(&self) -> bool {
        self.target.partition_commit.as_ref().is_some_and(PartitionCommit::is_of_event_time)
    }

    fn create_writer(&self, context: WriterContext, _restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(FileWriter::new(Arc::clone(&self.target), context)?))
    }

    fn create_committer(&self, context: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        Ok(Some(Box::new(FileCommitter::new(Arc::clone(&self.target), context))))
    }
}
