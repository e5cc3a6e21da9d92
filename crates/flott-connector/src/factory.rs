//! From a table's DDL to a source or sink, and the registry that knows them all.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flott_core::options::{ConfigOption, Options, near_keys};
use flott_core::{Error, FailPoints, LogicalType, Result, RowKind, suggest};

use crate::format::FormatFactory;
use crate::function::{FunctionDefinition, FunctionLanguage, ProgramFunctions};
use crate::lookup::LookupSource;
use crate::sink::Sink;
use crate::source::Source;
use crate::table::{CatalogTable, ObjectIdentifier};
use crate::watermark_options::{self, WatermarkOptions};

/// Which kinds of change a table produces or takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChangelogMode {
    /// `+I`
    pub insert: bool,
    /// `-U`
    pub update_before: bool,
    /// `+U`
    pub update_after: bool,
    /// `-D`
    pub delete: bool,
}

impl ChangelogMode {
    /// `[I]`
    pub const INSERT_ONLY: ChangelogMode =
        ChangelogMode { insert: true, update_before: false, update_after: false, delete: false };
    /// `[I,UB,UA,D]`
    pub const ALL: ChangelogMode =
        ChangelogMode { insert: true, update_before: true, update_after: true, delete: true };
    /// `[I,UA,D]`
    pub const UPSERT: ChangelogMode =
        ChangelogMode { insert: true, update_before: false, update_after: true, delete: true };

    /// Whether a kind is among them.
    pub fn contains(&self, kind: RowKind) -> bool {
        match kind {
            RowKind::Insert => self.insert,
            RowKind::UpdateBefore => self.update_before,
            RowKind::UpdateAfter => self.update_after,
            RowKind::Delete => self.delete,
        }
    }

    /// Only `+I`.
    pub fn is_insert_only(&self) -> bool {
        *self == ChangelogMode::INSERT_ONLY
    }
}

/// As Flink writes it in EXPLAIN CHANGELOG_MODE: `I,UB,UA,D`.
impl std::fmt::Display for ChangelogMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = [(self.insert, "I"), (self.update_before, "UB"), (self.update_after, "UA"), (self.delete, "D")];
        f.write_str(&kinds.iter().filter(|k| k.0).map(|k| k.1).collect::<Vec<_>>().join(","))
    }
}

/// Everything that a factory may look at.
#[derive(Clone)]
pub struct TableContext {
    /// The table's name.
    pub identifier: ObjectIdentifier,
    /// Its resolved DDL, options merged with those of hints.
    pub table: CatalogTable,
    /// Source: the columns to produce, in this order: physical ones first (a part of the declared ones where the
    /// planner prunes), then metadata columns under their metadata keys. Sink: the columns that arrive, all persisted
    /// ones in DDL order.
    pub schema: SchemaRef,
    /// Metadata keys asked for, in the order in which they end `schema`.
    pub metadata_keys: Vec<String>,
    /// The session's configuration (`table.local-time-zone`, `s3.*`, …).
    pub config: Options,
    /// Relative paths start here.
    pub base_dir: PathBuf,
    /// Formats and connectors by name.
    pub registry: Arc<Registry>,
    /// Where a test stops the process.
    pub fail_points: FailPoints,
}

impl TableContext {
    /// `connector 'filesystem' of table 'orders'`, for messages.
    pub fn describe(&self) -> String {
        format!(
            "connector '{}' of table '{}'",
            self.table.options.get("connector").unwrap_or("?"),
            self.identifier.object
        )
    }

    /// The format that option `key` names (`format`), and its options without prefix. Checks them.
    pub fn format(&self, key: &str) -> Result<(Arc<dyn FormatFactory>, Options)> {
        let name = self.table.options.get(key).ok_or_else(|| {
            Error::user(format!("Missing required option '{key}' for {}", self.describe()))
                .with("option", key)
                .hint(format!("Available formats: {}", self.registry.format_names().join(", ")))
        })?;
        let format = self.registry.format(name)?;
        let prefix = format!("{}.", format.identifier());
        let options = self.table.options.with_prefix(&prefix);
        let what = format!("format '{name}' of table '{}'", self.identifier.object);
        options.validate_below(&prefix, &what, format.options())?;
        Ok((format, options))
    }

    /// Checks the options that are none of a format's against the connector's own. `formats`: those of the table, with what
    /// their options begin with.
    pub fn validate_own(
        &self,
        given: &Options,
        own: &[ConfigOption],
        formats: &[(String, Arc<dyn FormatFactory>)],
    ) -> Result<()> {
        given.validate(&self.describe(), own).map_err(|error| {
            let unknown = error.context("option").filter(|key| !own.iter().any(|o| o.matches(key)));
            let of_format = unknown.and_then(|key| self.meant_for_format(key, formats, own));
            match of_format {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })
    }

    /// What to write for a key that is no option of the connector and looks like one of a format.
    fn meant_for_format(
        &self,
        key: &str,
        formats: &[(String, Arc<dyn FormatFactory>)],
        own: &[ConfigOption],
    ) -> Option<String> {
        // Exactly one of a format's, without what they begin with.
        for (prefix, format) in formats {
            if format.options().iter().any(|o| o.matches(key)) {
                return Some(format!("Options of a format begin with its name: did you mean '{prefix}{key}'?"));
            }
        }
        // Or nearly so, where it is not nearly one of the connector's.
        if near_keys(key, own).is_empty() {
            let near = |(prefix, format): &(String, Arc<dyn FormatFactory>)| -> Vec<String> {
                near_keys(key, format.options()).iter().map(|near| format!("{prefix}{near}")).collect()
            };
            let near: Vec<String> = formats.iter().flat_map(near).collect();
            if !near.is_empty() {
                return Some(format!("Did you mean '{}'?", near.join("' or '")));
            }
        }
        // Of a format that the table does not have.
        let (name, rest) = key.split_once('.')?;
        let format = self.registry.format(name).ok()?;
        if formats.iter().any(|(_, f)| f.identifier() == name) || !format.options().iter().any(|o| o.matches(rest)) {
            return None;
        }
        match formats {
            [] => None,
            [(prefix, _), ..] => Some(format!(
                "It is an option of the format '{name}', and the table's options for a format begin with '{prefix}'"
            )),
        }
    }

    /// Checks the table's options against the connector's own and those of the formats named by `format_keys`.
    pub fn validate_options(&self, own: &[ConfigOption], format_keys: &[&str]) -> Result<()> {
        let mut formats = vec![];
        for key in format_keys {
            if let Some(name) = self.table.options.get(key) {
                formats.push((format!("{name}."), self.format(key)?.0));
            }
        }
        let own_only: Options = self
            .table
            .options
            .iter()
            .filter(|(k, _)| *k != "connector" && !formats.iter().any(|(prefix, _)| k.starts_with(prefix.as_str())))
            .filter(|(k, _)| !k.starts_with(watermark_options::PREFIX))
            .collect();
        self.validate_watermark_options()?;
        self.validate_own(&own_only, own, &formats)
    }

    /// Checks `scan.watermark.*`: what every table can say of its watermarks is not for each connector to know.
    pub fn validate_watermark_options(&self) -> Result<()> {
        let own: Options =
            self.table.options.iter().filter(|(k, _)| k.starts_with(watermark_options::PREFIX)).collect();
        own.validate(&self.describe(), &watermark_options::ALL)?;
        WatermarkOptions::read(&own).map(drop)
    }

    /// `table.local-time-zone`, UTC where it is not set.
    pub fn local_time_zone(&self) -> String {
        self.config.get("table.local-time-zone").filter(|z| *z != "default").unwrap_or("UTC").to_string()
    }
}

/// A source made for a table.
#[derive(Clone)]
pub struct TableSource {
    /// Makes enumerator and readers.
    pub source: Arc<dyn Source>,
    /// What kinds of change it produces.
    pub changelog_mode: ChangelogMode,
    /// The most subtasks that make sense (`scan.parallelism`, a sequence), where there is a limit.
    pub parallelism: Option<usize>,
}

/// Lookups made for a table.
#[derive(Clone)]
pub struct TableLookup {
    /// Makes lookups by the key columns that were asked for; its rows have the context's schema.
    pub source: Arc<dyn LookupSource>,
    /// It gains from several lookups at a time (Flink's `AsyncLookupFunctionProvider`).
    pub is_async: bool,
}

/// A search for near vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorSearch {
    /// The column with the vectors.
    pub column: String,
    /// How many rows at most, the nearest first.
    pub top_k: usize,
    /// The column that says how near a row is.
    pub score: String,
}

/// A sink made for a table.
#[derive(Clone)]
pub struct TableSink {
    /// Makes writers and a committer.
    pub sink: Arc<dyn Sink>,
    /// What kinds of change it takes.
    pub changelog_mode: ChangelogMode,
    /// `sink.parallelism`.
    pub parallelism: Option<usize>,
}

/// A metadata column that a connector offers.
#[derive(Debug, Clone)]
pub struct MetadataKey {
    /// The key.
    pub key: Cow<'static, str>,
    /// Its type.
    pub data_type: LogicalType,
    /// Can be written.
    pub writable: bool,
}

/// Which partitions of a table a query reads: asked with one row of the partition columns, in the order of the table's keys.
pub type PartitionFilter = Arc<dyn Fn(&RecordBatch) -> Result<bool> + Send + Sync>;

/// A connector, by its identifier.
pub trait ConnectorFactory: Send + Sync {
    /// The value of the option `connector`.
    fn identifier(&self) -> &'static str;
    /// One or two sentences for the reference page.
    fn description(&self) -> &'static str;
    /// Its options, without `connector` and without those of its formats.
    fn options(&self) -> &'static [ConfigOption];
    /// The metadata columns that it offers.
    fn metadata(&self) -> Vec<MetadataKey> {
        vec![]
    }
    /// The metadata columns of one table, where they depend on its options; its format's are among them.
    fn table_metadata(&self, _options: &Options, _registry: &Registry) -> Result<Vec<MetadataKey>> {
        Ok(self.metadata())
    }
    /// The source of a partitioned table of which only some partitions are wanted; it may read others, too. `None` where it
    /// reads all of them in any case.
    fn partitioned_source(&self, _context: &TableContext, _wanted: &PartitionFilter) -> Option<Result<TableSource>> {
        None
    }
    /// Whether the `-D` rows of this source hold only the primary key (Flink's `keyOnlyDeletes` of a changelog mode).
    fn source_deletes_by_key(&self, _options: &Options) -> bool {
        false
    }
    /// Whether this sink needs only the primary key of `-D` rows.
    fn sink_deletes_by_key(&self, _options: &Options) -> bool {
        false
    }
    /// Whether a sink takes of its changelog mode only what the query gives (a table that keeps nothing), so that a query that
    /// appends needs no key.
    fn sink_follows_query(&self) -> bool {
        false
    }
    /// Whether nobody sees single changes behind the sink, so that those of a batch may be merged.
    fn sink_hides_changes(&self) -> bool {
        false
    }
    /// Whether a source of these options generates watermarks itself, per split (Flink's `SupportsWatermarkPushDown`).
    fn supports_watermark_push_down(&self, _options: &Options) -> bool {
        false
    }
    /// Whether [`overwriting_sink`](Self::overwriting_sink) can also be used by a job that does not end.
    fn overwrites_in_streaming(&self) -> bool {
        false
    }
    /// FlinkX / DataX plugin names that it answers to.
    fn plugin_names(&self) -> &'static [&'static str] {
        &[]
    }
    /// Whether [`source`](Self::source) can produce a part of the physical columns.
    fn supports_projection(&self) -> bool {
        true
    }
    /// A source, where the connector has one.
    fn source(&self, context: &TableContext) -> Result<TableSource> {
        Err(Error::user(format!("Connector '{}' can only be used as a sink", self.identifier()))
            .with("table", &context.identifier.object)
            .hint("INSERT INTO writes to the table; nothing can be read from it"))
    }
    /// Lookups of the table's rows by these of its columns, where the connector has them (Flink's `LookupTableSource`).
    /// `context.schema` holds the columns to produce, as for a source; the keys are physical columns, among them or not.
    fn lookup(&self, _context: &TableContext, _keys: &[String]) -> Option<Result<TableLookup>> {
        None
    }
    /// The rows of the table whose vectors are nearest to a vector, where the connector can search (Flink's
    /// `VectorSearchTableSource`): lookups whose key is the vector. `context.schema` holds the columns to produce; the table's
    /// last column is the score.
    fn vector_search(&self, _context: &TableContext, _search: &VectorSearch) -> Option<Result<TableLookup>> {
        None
    }
    /// A sink, where the connector has one.
    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        Err(Error::user(format!("Connector '{}' can only be used as a source", self.identifier()))
            .with("table", &context.identifier.object)
            .hint("SELECT reads from the table; INSERT INTO one of another connector, such as filesystem or print"))
    }
    /// A sink whose rows take the place of what the table holds, or of each partition that they are in, when a bounded
    /// job ends (INSERT OVERWRITE; Flink's `SupportsOverwrite`). `None` where the connector cannot do it.
    fn overwriting_sink(&self, _context: &TableContext) -> Option<Result<TableSink>> {
        None
    }
}

/// Connectors, formats and functions in code by name: the façade fills it, an embedding program may add its own.
#[derive(Default, Clone)]
pub struct Registry {
    connectors: BTreeMap<&'static str, Arc<dyn ConnectorFactory>>,
    formats: BTreeMap<&'static str, Arc<dyn FormatFactory>>,
    functions: Arc<ProgramFunctions>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (connectors, formats) = (self.connector_names(), self.format_names());
        write!(f, "Registry {{ connectors: {connectors:?}, formats: {formats:?}, {:?} }}", self.functions)
    }
}

impl Registry {
    /// Adds a connector; a later one of the same name wins.
    pub fn add_connector(&mut self, factory: Arc<dyn ConnectorFactory>) {
        self.connectors.insert(factory.identifier(), factory);
    }

    /// Adds a format.
    pub fn add_format(&mut self, factory: Arc<dyn FormatFactory>) {
        self.formats.insert(factory.identifier(), factory);
    }

    /// Adds a function that SQL can call by this name, in any case; a later one of the same name wins. It comes before a
    /// built-in one, as a temporary system function does.
    pub fn add_function(&mut self, name: &str, definition: FunctionDefinition) {
        Arc::make_mut(&mut self.functions).add(name, definition);
    }

    /// Adds a language in which CREATE FUNCTION takes functions.
    pub fn add_function_language(&mut self, language: Arc<dyn FunctionLanguage>) {
        Arc::make_mut(&mut self.functions).add_language(language);
    }

    /// The functions and their languages.
    pub fn functions(&self) -> &Arc<ProgramFunctions> {
        &self.functions
    }

    /// The names, sorted.
    pub fn connector_names(&self) -> Vec<&'static str> {
        self.connectors.keys().copied().collect()
    }

    /// The names, sorted.
    pub fn format_names(&self) -> Vec<&'static str> {
        self.formats.keys().copied().collect()
    }

    /// The connector of this name, or an error with the nearest.
    pub fn connector(&self, name: &str) -> Result<Arc<dyn ConnectorFactory>> {
        self.connectors.get(name).cloned().ok_or_else(|| unknown("connector", name, self.connector_names()))
    }

    /// The format of this name, or an error with the nearest.
    pub fn format(&self, name: &str) -> Result<Arc<dyn FormatFactory>> {
        self.formats.get(name).cloned().ok_or_else(|| unknown("format", name, self.format_names()))
    }
}

fn unknown(what: &'static str, name: &str, names: Vec<&'static str>) -> Error {
    let available = format!("Available are: {}", names.join(", "));
    let hint = match suggest::nearest(name, names) {
        Some(near) => format!("Did you mean '{near}'? {available}"),
        None => available,
    };
    Error::user(format!("Unknown {what} '{name}'")).with("option", what).hint(hint)
}
