//! The connector's options, under Flink's keys (those of `FileSystemConnectorOptions`), and one of ours.

use flott_core::options::{ConfigOption, OptionType};

/// Where the files are.
pub const PATH: ConfigOption = ConfigOption::required(
    "path",
    OptionType::String,
    "A file, a folder or a pattern (`*`, `?`, `[..]`, `{a,b}`, `**`), as a local path, `file://` or `s3://`. A sink \
     writes to a folder.",
);
/// How they are written.
pub const FORMAT: ConfigOption = ConfigOption::required("format", OptionType::String, "The files' format.");
/// The name of NULL.
pub const DEFAULT_PARTITION: ConfigOption = ConfigOption::optional(
    "partition.default-name",
    OptionType::String,
    Some("__DEFAULT_PARTITION__"),
    "The folder's value for a partition column that is NULL or an empty string.",
);
/// Whether to look for new files.
pub const MONITOR_INTERVAL: ConfigOption = ConfigOption::optional(
    "source.monitor-interval",
    OptionType::Duration,
    None,
    "How often to look for new files; each is read once, known by its path. Without it the files that are there at the \
     start are read, and the source ends.",
);
/// Which files to read.
pub const PATH_REGEX: ConfigOption = ConfigOption::optional(
    "source.path.regex-pattern",
    OptionType::String,
    None,
    "Only files whose whole absolute path fits this regular expression are read (no look-around, no back references).",
);
/// Accepted, as Flink's.
pub const REPORT_STATISTICS: ConfigOption = ConfigOption::optional(
    "source.report-statistics",
    OptionType::Enum(&["NONE", "ALL"]),
    Some("ALL"),
    "No effect: plans do not use the statistics of files.",
);
/// Size of the pieces. Not an option of Flink, whose file systems give block sizes.
pub const SPLIT_SIZE: ConfigOption = ConfigOption::optional(
    "source.split-size",
    OptionType::MemorySize,
    None,
    "Larger files are cut into pieces of about this size for several readers, where the format allows it. Where it is not set a file is cut into equal pieces of 32 MB to 128 MB.",
);
/// Rolling by size.
pub const ROLL_SIZE: ConfigOption = ConfigOption::optional(
    "sink.rolling-policy.file-size",
    OptionType::MemorySize,
    Some("128 mb"),
    "A file is closed when it has this size. Files are also closed at every checkpoint.",
);
/// Rolling by age.
pub const ROLL_INTERVAL: ConfigOption = ConfigOption::optional(
    "sink.rolling-policy.rollover-interval",
    OptionType::Duration,
    Some("30 min"),
    "A file is closed when it has been open for so long.",
);
/// Rolling by inactivity.
pub const ROLL_INACTIVITY: ConfigOption = ConfigOption::optional(
    "sink.rolling-policy.inactivity-interval",
    OptionType::Duration,
    Some("30 min"),
    "A file is closed when no row has come for so long.",
);
/// How often ages are looked at.
pub const ROLL_CHECK: ConfigOption = ConfigOption::optional(
    "sink.rolling-policy.check-interval",
    OptionType::Duration,
    Some("1 min"),
    "How often the two intervals are looked at, while rows come.",
);
/// Rows of one partition to one writer.
pub const SHUFFLE: ConfigOption = ConfigOption::optional(
    "sink.shuffle-by-partition.enable",
    OptionType::Boolean,
    Some("false"),
    "Accepted without effect: each writer has a file of its own in each partition, so there may be more files.",
);
/// When a partition is complete.
pub const COMMIT_TRIGGER: ConfigOption = ConfigOption::optional(
    "sink.partition-commit.trigger",
    OptionType::Enum(&["process-time", "partition-time"]),
    Some("process-time"),
    "When a partition counts as complete: by the clock since its first file, or by watermark and the time in its name.",
);
/// Delay of that.
pub const COMMIT_DELAY: ConfigOption = ConfigOption::optional(
    "sink.partition-commit.delay",
    OptionType::Duration,
    Some("0 s"),
    "A partition is not reported before so much time has passed: `1 d` for a day's partition, `1 h` for an hour's.",
);
/// What a watermark means as a local time.
pub const COMMIT_ZONE: ConfigOption = ConfigOption::optional(
    "sink.partition-commit.watermark-time-zone",
    OptionType::String,
    Some("UTC"),
    "The zone of the time in a partition's name: UTC for a watermark on TIMESTAMP, the session's zone for one on \
     TIMESTAMP_LTZ. A name such as 'America/Los_Angeles', or 'GMT-08:00'.",
);
/// How a partition is reported.
pub const COMMIT_POLICY: ConfigOption = ConfigOption::optional(
    "sink.partition-commit.policy.kind",
    OptionType::String,
    None,
    "`success-file` writes an empty file into a complete partition's folder. `metastore` and `custom` are refused.",
);
/// Refused together with `custom`.
pub const COMMIT_POLICY_CLASS: ConfigOption = ConfigOption::optional(
    "sink.partition-commit.policy.class",
    OptionType::String,
    None,
    "Only for the policy `custom`, which is not supported.",
);
/// Refused together with `custom`.
pub const COMMIT_POLICY_PARAMETERS: ConfigOption = ConfigOption::optional(
    "sink.partition-commit.policy.class.parameters",
    OptionType::List,
    None,
    "Only for the policy `custom`, which is not supported.",
);
/// The file's name.
pub const SUCCESS_FILE: ConfigOption = ConfigOption::optional(
    "sink.partition-commit.success-file.name",
    OptionType::String,
    Some("_SUCCESS"),
    "The name of the policy's file. Names that do not begin with `_` or `.` would be read as data.",
);
/// How a time is found in a partition.
pub const TIME_EXTRACTOR: ConfigOption = ConfigOption::optional(
    "partition.time-extractor.kind",
    OptionType::String,
    Some("default"),
    "`default` takes the time from the partition's values. `custom` is refused.",
);
/// Refused together with `custom`.
pub const TIME_EXTRACTOR_CLASS: ConfigOption = ConfigOption::optional(
    "partition.time-extractor.class",
    OptionType::String,
    None,
    "Only for the extractor `custom`, which is not supported.",
);
/// From values to the text of a timestamp.
pub const TIMESTAMP_PATTERN: ConfigOption = ConfigOption::optional(
    "partition.time-extractor.timestamp-pattern",
    OptionType::String,
    None,
    "How a timestamp is made of the partition's values, as in `$dt $hour:00:00`. Without it the first value is one.",
);
/// How that text is read.
pub const TIMESTAMP_FORMATTER: ConfigOption = ConfigOption::optional(
    "partition.time-extractor.timestamp-formatter",
    OptionType::String,
    None,
    "How that text is read, as in `yyyy/MM/dd HH:mm`; without it as `yyyy-MM-dd HH:mm:ss` or `yyyy-MM-dd`.",
);
/// Compaction.
pub const COMPACTION: ConfigOption = ConfigOption::optional(
    "auto-compaction",
    OptionType::Boolean,
    Some("false"),
    "Only false is supported: the files of a checkpoint are not merged.",
);
/// Its size.
pub const COMPACTION_SIZE: ConfigOption = ConfigOption::optional(
    "compaction.file-size",
    OptionType::MemorySize,
    None,
    "Only for auto-compaction, which is not supported.",
);
/// Sink subtasks.
pub const PARALLELISM: ConfigOption = ConfigOption::optional(
    "sink.parallelism",
    OptionType::Int,
    None,
    "How many writers there are; the job's parallelism where it is not set.",
);

/// All of them.
pub const ALL: &[ConfigOption] = &[
    PATH,
    FORMAT,
    DEFAULT_PARTITION,
    MONITOR_INTERVAL,
    PATH_REGEX,
    REPORT_STATISTICS,
    SPLIT_SIZE,
    ROLL_SIZE,
    ROLL_INTERVAL,
    ROLL_INACTIVITY,
    ROLL_CHECK,
    SHUFFLE,
    COMMIT_TRIGGER,
    COMMIT_DELAY,
    COMMIT_ZONE,
    COMMIT_POLICY,
    COMMIT_POLICY_CLASS,
    COMMIT_POLICY_PARAMETERS,
    SUCCESS_FILE,
    TIME_EXTRACTOR,
    TIME_EXTRACTOR_CLASS,
    TIMESTAMP_PATTERN,
    TIMESTAMP_FORMATTER,
    COMPACTION,
    COMPACTION_SIZE,
    PARALLELISM,
];
