//! From a table's DDL to a source or a sink.

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{Schema, SchemaRef};
use flott_connector::factory::{ChangelogMode, ConnectorFactory, MetadataKey, TableContext, TableSink, TableSource};
use flott_connector::format::{Decoding, EncoderFactory, FormatContext, Splittable};
use flott_connector::sink::{Committer, CommitterContext, DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_connector::source::{Boundedness, Source, SourceReader, SplitEnumerator, SubtaskInfo};
use flott_connector::storage::{self, StorageLocation};
use flott_connector::{Versioned, table};
use flott_core::clock::{Clock, SystemClock};
use flott_core::options::ConfigOption;
use flott_core::types::{TypeKind, arrow_field};
use flott_core::{Error, FailPoints, Result};
use regex::Regex;

use crate::committer::FileCommitter;
use crate::enumerator::FileEnumerator;
use crate::reader::FileReader;
use crate::writer::FileWriter;
use crate::{listing, options};

/// The `filesystem` connector.
pub struct FilesFactory;

/// Where an output column comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OutputColumn {
    /// A column of the file.
    File(usize),
    /// A partition key.
    Partition(usize),
    Path,
    Name,
    Size,
    ModificationTime,
}

/// What a source reads.
pub(crate) struct FileScan {
    pub(crate) location: StorageLocation,
    pub(crate) pattern: Option<Regex>,
    pub(crate) filter: Option<Regex>,
    pub(crate) monitor: Option<Duration>,
    pub(crate) split_bytes: u64,
    pub(crate) decoding: Decoding,
    pub(crate) schema: SchemaRef,
    pub(crate) columns: Vec<OutputColumn>,
    pub(crate) partition_keys: Vec<String>,
    pub(crate) default_partition: String,
}

impl FileScan {
    pub(crate) fn is_bulk(&self) -> bool {
        matches!(self.decoding, Decoding::Bulk(_))
    }

    pub(crate) fn splittable(&self) -> Splittable {
        match &self.decoding {
            Decoding::Stream(s) => s.splittable(),
            Decoding::Bulk(_) => Splittable::No,
        }
    }
}

/// What a sink writes.
pub(crate) struct FileTarget {
    pub(crate) location: StorageLocation,
    pub(crate) encoders: Arc<dyn EncoderFactory>,
    /// Name and position in the rows.
    pub(crate) partition_columns: Vec<(String, usize)>,
    pub(crate) file_columns: Vec<usize>,
    pub(crate) default_partition: String,
    pub(crate) roll_bytes: u64,
    pub(crate) roll_age: Duration,
    pub(crate) success_file: Option<String>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fail_points: FailPoints,
}

fn text(context: &TableContext, option: &ConfigOption) -> Option<String> {
    context.table.options.text(option).map(str::to_string)
}

/// The declared physical columns that are in the files.
fn declared(table: &table::CatalogTable) -> SchemaRef {
    let fields = table
        .schema
        .physical()
        .filter(|c| !table.partition_keys.contains(&c.name))
        .map(|c| arrow_field(&c.name, &c.data_type))
        .collect::<Vec<_>>();
    Arc::new(Schema::new(fields))
}

fn subset(schema: &SchemaRef, keep: impl Fn(usize, &str) -> bool) -> SchemaRef {
    let fields = schema.fields().iter().enumerate().filter(|(i, f)| keep(*i, f.name())).map(|(_, f)| Arc::clone(f));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

impl FilesFactory {
    fn format_context(context: &TableContext, schema: SchemaRef) -> Result<FormatContext> {
        let (_, options) = context.format(options::FORMAT.key)?;
        Ok(FormatContext {
            schema,
            declared: declared(&context.table),
            options,
            local_time_zone: context.local_time_zone(),
        })
    }

    fn path(context: &TableContext) -> Result<String> {
        text(context, &options::PATH).ok_or_else(|| Error::internal("the path was checked"))
    }
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
        let key = |key, kind: TypeKind| MetadataKey { key, data_type: kind.not_null(), writable: false };
        vec![
            key("file.path", TypeKind::STRING),
            key("file.name", TypeKind::STRING),
            key("file.size", TypeKind::BigInt),
            key("file.modification-time", TypeKind::timestamp_ltz(3)),
        ]
    }

    fn source(&self, context: &TableContext) -> Result<TableSource> {
        context.validate_options(options::ALL, &[options::FORMAT.key])?;
        let given = &context.table.options;
        let path = Self::path(context)?;
        let (location, pattern) = match listing::split_pattern(&path) {
            None => (storage::open(&path, &context.base_dir, &context.config)?, None),
            Some(root) => {
                let location = storage::open(root, &context.base_dir, &context.config)?;
                let pattern = listing::glob_regex(&location.path, &path[root.len()..])?;
                (location, Some(pattern))
            }
        };
        let filter = text(context, &options::PATH_REGEX)
            .map(|p| {
                Regex::new(&format!("^(?:{p})$")).map_err(|e| {
                    Error::user(format!("'{p}' is not a usable regular expression"))
                        .with("option", options::PATH_REGEX.key)
                        .caused_by(e)
                })
            })
            .transpose()?;
        let keys = &context.table.partition_keys;
        let physical = context.schema.fields().len() - context.metadata_keys.len();
        let mut columns = vec![];
        let mut in_file = 0;
        for (i, field) in context.schema.fields().iter().enumerate() {
            columns.push(if i >= physical {
                match context.metadata_keys[i - physical].as_str() {
                    "file.path" => OutputColumn::Path,
                    "file.name" => OutputColumn::Name,
                    "file.size" => OutputColumn::Size,
                    _ => OutputColumn::ModificationTime,
                }
            } else if let Some(k) = keys.iter().position(|k| k == field.name()) {
                OutputColumn::Partition(k)
            } else {
                in_file += 1;
                OutputColumn::File(in_file - 1)
            });
        }
        let wanted = subset(&context.schema, |i, name| i < physical && !keys.iter().any(|k| k == name));
        let (format, _) = context.format(options::FORMAT.key)?;
        let scan = FileScan {
            location,
            pattern,
            filter,
            monitor: given.duration(&options::MONITOR_INTERVAL)?,
            split_bytes: given.bytes(&options::SPLIT_SIZE)?.unwrap_or(64 << 20).max(1),
            decoding: format.decoding(&Self::format_context(context, wanted)?)?,
            schema: Arc::clone(&context.schema),
            columns,
            partition_keys: keys.clone(),
            default_partition: text(context, &options::DEFAULT_PARTITION).unwrap_or_default(),
        };
        Ok(TableSource {
            source: Arc::new(FileSource { scan: Arc::new(scan) }),
            changelog_mode: ChangelogMode::INSERT_ONLY,
            parallelism: None,
        })
    }

    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        context.validate_options(options::ALL, &[options::FORMAT.key])?;
        let given = &context.table.options;
        for (option, only) in [(&options::SHUFFLE, false), (&options::COMPACTION, false)] {
            if given.bool(option)? != only {
                return Err(Error::user(format!("'{}' = 'true' is not supported", option.key)).with("option", option.key));
            }
        }
        let kinds = text(context, &options::COMMIT_POLICY).unwrap_or_default();
        let mut success_file = None;
        for kind in kinds.split(',').map(str::trim).filter(|k| !k.is_empty()) {
            if kind != "success-file" {
                return Err(Error::user(format!("the partition commit policy '{kind}' is not supported"))
                    .with("option", options::COMMIT_POLICY.key)
                    .hint("Use 'success-file'"));
            }
            success_file = text(context, &options::SUCCESS_FILE);
        }
        let trigger = text(context, &options::COMMIT_TRIGGER).unwrap_or_default();
        let delay = given.duration(&options::COMMIT_DELAY)?.unwrap_or_default();
        if success_file.is_some() && (!trigger.eq_ignore_ascii_case("process-time") || !delay.is_zero()) {
            return Err(Error::user("partitions can only be reported by process-time without delay")
                .with("option", options::COMMIT_TRIGGER.key)
                .hint("Remove 'sink.partition-commit.trigger' and '.delay', or the policy"));
        }
        let path = Self::path(context)?;
        if listing::split_pattern(&path).is_some() {
            return Err(Error::user(format!("'{path}' is a pattern; a sink writes to a folder")).with("option", "path"));
        }
        let keys = &context.table.partition_keys;
        let fields = context.schema.fields();
        let partition_columns = keys
            .iter()
            .map(|k| {
                let i = fields.iter().position(|f| f.name() == k);
                Ok((k.clone(), i.ok_or_else(|| Error::user(format!("the partition column '{k}' is not in the table")))?))
            })
            .collect::<Result<Vec<_>>>()?;
        let in_file = subset(&context.schema, |_, name| !keys.iter().any(|k| k == name));
        let file_columns = (0..fields.len()).filter(|i| !partition_columns.iter().any(|(_, p)| p == i)).collect();
        let (format, _) = context.format(options::FORMAT.key)?;
        let mut format_context = Self::format_context(context, Arc::clone(&in_file))?;
        format_context.declared = in_file;
        let target = FileTarget {
            location: storage::open(&path, &context.base_dir, &context.config)?,
            encoders: format.encoding(&format_context)?,
            partition_columns,
            file_columns,
            default_partition: text(context, &options::DEFAULT_PARTITION).unwrap_or_default(),
            roll_bytes: given.bytes(&options::ROLL_SIZE)?.unwrap_or(128 << 20).max(1),
            roll_age: given.duration(&options::ROLL_INTERVAL)?.unwrap_or(Duration::from_secs(1_800)),
            success_file,
            clock: SystemClock::shared(),
            fail_points: context.fail_points.clone(),
        };
        let parallelism = given.int(&options::PARALLELISM)?.and_then(|p| usize::try_from(p).ok()).filter(|p| *p > 0);
        Ok(TableSink {
            sink: Arc::new(FileSink { target: Arc::new(target) }),
            changelog_mode: ChangelogMode::INSERT_ONLY,
            parallelism,
        })
    }
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
}

struct FileSink {
    target: Arc<FileTarget>,
}

impl Sink for FileSink {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }

    fn create_writer(&self, context: WriterContext, _restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(FileWriter::new(Arc::clone(&self.target), context)))
    }

    fn create_committer(&self, context: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        Ok(Some(Box::new(FileCommitter::new(Arc::clone(&self.target), context))))
    }
}
