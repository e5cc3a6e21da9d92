//! The options of parquet: Flink's own, and those of the writer that Flink passes on.

use flott_connector::format::FormatContext;
use flott_core::options::{ConfigOption, OptionType};
use flott_core::{Error, Result};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterVersion;

use super::zone::Zone;

/// Flink's options of parquet.
pub static OPTIONS: &[ConfigOption] = &[
    UTC_TIMEZONE,
    TIME_UNIT,
    INT64_TIMESTAMP,
    BATCH_SIZE,
    COMPRESSION,
    ZSTD_LEVEL,
    BLOCK_SIZE,
    PAGE_SIZE,
    DICTIONARY_PAGE_SIZE,
    ENABLE_DICTIONARY,
    WRITER_VERSION,
];

const UTC_TIMEZONE: ConfigOption = ConfigOption::optional(
    "utc-timezone",
    OptionType::Boolean,
    Some("false"),
    "Uses UTC, or else the local time zone ('table.local-time-zone'), to convert between instants in the file and TIMESTAMP. Hive 0.x to 2.x use the local zone, Hive 3.x uses UTC.",
);
const TIME_UNIT: ConfigOption = ConfigOption::optional(
    "timestamp.time.unit",
    OptionType::Enum(&["nanos", "micros", "millis"]),
    Some("micros"),
    "The unit of INT64 timestamps that are written.",
);
const INT64_TIMESTAMP: ConfigOption = ConfigOption::optional(
    "write.int64.timestamp",
    OptionType::Boolean,
    Some("false"),
    "Writes timestamps as INT64 with a logical type instead of INT96.",
);
const BATCH_SIZE: ConfigOption =
    ConfigOption::optional("batch-size", OptionType::Int, Some("8192"), "Rows that are read at once.");
const COMPRESSION: ConfigOption = ConfigOption::optional(
    "compression",
    OptionType::Enum(&["UNCOMPRESSED", "NONE", "SNAPPY", "GZIP", "ZSTD", "LZ4_RAW", "LZ4"]),
    Some("SNAPPY"),
    "How pages are compressed.",
);
const ZSTD_LEVEL: ConfigOption = ConfigOption::optional(
    "compression.codec.zstd.level",
    OptionType::Int,
    Some("3"),
    "The level of ZSTD compression, 1 to 22.",
);
const BLOCK_SIZE: ConfigOption = ConfigOption::optional(
    "block.size",
    OptionType::Long,
    Some("134217728"),
    "Bytes of a row group; a row group is held in memory until it is written.",
);
const PAGE_SIZE: ConfigOption =
    ConfigOption::optional("page.size", OptionType::Long, Some("1048576"), "Bytes of a page.");
const DICTIONARY_PAGE_SIZE: ConfigOption = ConfigOption::optional(
    "dictionary.page.size",
    OptionType::Long,
    Some("1048576"),
    "Bytes of a dictionary, beyond which a column is written without one.",
);
const ENABLE_DICTIONARY: ConfigOption = ConfigOption::optional(
    "enable.dictionary",
    OptionType::Boolean,
    Some("true"),
    "Writes repeated values through a dictionary.",
);
const WRITER_VERSION: ConfigOption = ConfigOption::optional(
    "writer.version",
    OptionType::Enum(&["v1", "v2", "PARQUET_1_0", "PARQUET_2_0"]),
    Some("v1"),
    "The version of the file's pages.",
);

/// The unit of INT64 timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Int64Unit {
    Millis,
    Micros,
    Nanos,
}

/// The options' values.
#[derive(Debug, Clone)]
pub(super) struct ParquetOptions {
    /// The zone in which TIMESTAMP values are meant; `None` for UTC.
    pub(super) zone: Option<Zone>,
    /// INT64 timestamps of this unit instead of INT96.
    pub(super) int64_timestamps: Option<Int64Unit>,
    pub(super) batch_rows: usize,
    pub(super) compression: Compression,
    pub(super) block_bytes: usize,
    pub(super) page_bytes: usize,
    pub(super) dictionary_page_bytes: usize,
    pub(super) dictionary: bool,
    pub(super) version: WriterVersion,
}

impl ParquetOptions {
    /// Reads and checks them.
    pub(super) fn parse(context: &FormatContext) -> Result<ParquetOptions> {
        let options = &context.options;
        for option in OPTIONS {
            if let Some(value) = options.get(option.key) {
                option.check(option.key, value)?;
            }
        }
        let word = |option: &ConfigOption| options.text(option).unwrap_or_default().to_ascii_lowercase();
        let bytes = |option: &ConfigOption| -> Result<usize> {
            let value = options.long(option)?.unwrap_or(0);
            usize::try_from(value).ok().filter(|v| *v > 0).ok_or_else(|| {
                Error::user(format!("Option 'parquet.{}' must be positive, but was: {value}", option.key))
                    .with("option", format!("parquet.{}", option.key))
            })
        };
        let batch_rows = bytes(&ConfigOption { value: OptionType::Long, ..BATCH_SIZE })?;
        let compression = match word(&COMPRESSION).as_str() {
            "gzip" => Compression::GZIP(GzipLevel::default()),
            "zstd" => {
                let level = options.int(&ZSTD_LEVEL)?.unwrap_or(3);
                Compression::ZSTD(ZstdLevel::try_new(level).map_err(|e| {
                    Error::user(format!("Option 'parquet.{}': {e}", ZSTD_LEVEL.key))
                        .with("option", format!("parquet.{}", ZSTD_LEVEL.key))
                })?)
            }
            "lz4" | "lz4_raw" => Compression::LZ4_RAW,
            "uncompressed" | "none" => Compression::UNCOMPRESSED,
            _ => Compression::SNAPPY,
        };
        let unit = match word(&TIME_UNIT).as_str() {
            "millis" => Int64Unit::Millis,
            "nanos" => Int64Unit::Nanos,
            _ => Int64Unit::Micros,
        };
        Ok(ParquetOptions {
            zone: if options.bool(&UTC_TIMEZONE)? { None } else { Zone::parse(&context.local_time_zone)? },
            int64_timestamps: options.bool(&INT64_TIMESTAMP)?.then_some(unit),
            batch_rows,
            compression,
            block_bytes: bytes(&BLOCK_SIZE)?,
            page_bytes: bytes(&PAGE_SIZE)?,
            dictionary_page_bytes: bytes(&DICTIONARY_PAGE_SIZE)?,
            dictionary: options.bool(&ENABLE_DICTIONARY)?,
            version: match word(&WRITER_VERSION).as_str() {
                "v2" | "parquet_2_0" => WriterVersion::PARQUET_2_0,
                _ => WriterVersion::PARQUET_1_0,
            },
        })
    }
}
