//! The connector's options, under Flink's keys.

use flott_core::options::{ConfigOption, OptionType};

/// Where the files are.
pub const PATH: ConfigOption = ConfigOption::required(
    "path",
    OptionType::String,
    "A file, a folder or a pattern (`*`, `?`, `[..]`, `{a,b}`, `**`), as a local path, `file://` or `s3://`.",
);
/// How they are written.
pub const FORMAT: ConfigOption = ConfigOption::required("format", OptionType::String, "The files' format.");
/// Whether to look for new files.
pub const MONITOR_INTERVAL: ConfigOption = ConfigOption::optional(
    "source.monitor-interval",
    OptionType::Duration,
    None,
    "How often to look for new files. Without it the files that are there at the start are read, and the source ends.",
);
/// Which files to read.
pub const PATH_REGEX: ConfigOption = ConfigOption::optional(
    "source.path.regex-pattern",
    OptionType::String,
    None,
    "Only files whose whole path fits this regular expression are read.",
);
/// Accepted, as Flink's.
pub const REPORT_STATISTICS: ConfigOption = ConfigOption::optional(
    "source.report-statistics",
    OptionType::Enum(&["NONE", "ALL"]),
    Some("ALL"),
    "No effect: plans do not use statistics.",
);
/// Size of the pieces.
pub const SPLIT_SIZE: ConfigOption = ConfigOption::optional(
    "source.split-size",
    OptionType::MemorySize,
    Some("64 mb"),
    "Larger files are cut into pieces of this size for several readers, where no quoted line break can be cut.",
);
/// The name of NULL.
pub const DEFAULT_PARTITION: ConfigOption = ConfigOption::optional(
    "partition.default-name",
    OptionType::String,
    Some("__DEFAULT_PARTITION__"),
    "The folder's value for a partition column that is NULL or empty.",
);
/// Rolling by size.
pub const ROLL_SIZE: ConfigOption = ConfigOption::optional(
    "sink.rolling-policy.file-size",
    OptionType::MemorySize,
    Some("128 mb"),
    "A file is closed when it has this size. Files are also closed at every checkpoint.",
);
/// Rolling by time.
pub const ROLL_INTERVAL: ConfigOption = ConfigOption::optional(
    "sink.rolling-policy.rollover-interval",
    OptionType::Duration,
    Some("30 min"),
    "A file is closed when it has been open so long.",
);
/// How often time is looked at.
pub const ROLL_CHECK: ConfigOption = ConfigOption::optional(
    "sink.rolling-policy.check-interval",
    OptionType::Duration,
    Some("1 min"),
    "No effect: the age of a file is looked at with every batch, and every checkpoint closes it.",
);
/// Rolling by inactivity.
pub const ROLL_INACTIVE: ConfigOption = ConfigOption::optional(
    "sink.rolling-policy.inactivity-interval",
    OptionType::Duration,
    Some("30 min"),
    "No effect: every checkpoint closes all files.",
);
/// When a partition is complete.
pub const COMMIT_TRIGGER: ConfigOption = ConfigOption::optional(
    "sink.partition-commit.trigger",
    OptionType::Enum(&["process-time", "partition-time"]),
    Some("process-time"),
    "When a partition is reported as complete. Only process-time is supported: with its first committed files.",
);
/// Delay of that.
pub const COMMIT_DELAY: ConfigOption = ConfigOption::optional(
    "sink.partition-commit.delay",
    OptionType::Duration,
    Some("0 s"),
    "Only 0 s is supported.",
);
/// How a partition is reported.
pub const COMMIT_POLICY: ConfigOption = ConfigOption::optional(
    "sink.partition-commit.policy.kind",
    OptionType::String,
    None,
    "`success-file` writes an empty file into the partition's folder.",
);
/// The file's name.
pub const SUCCESS_FILE: ConfigOption = ConfigOption::optional(
    "sink.partition-commit.success-file.name",
    OptionType::String,
    Some("_SUCCESS"),
    "The name of that file.",
);
/// Sink subtasks.
pub const PARALLELISM: ConfigOption = ConfigOption::optional(
    "sink.parallelism",
    OptionType::Int,
    None,
    "How many writers there are; the job's parallelism where it is not set.",
);
/// Rows of one partition to one writer.
pub const SHUFFLE: ConfigOption = ConfigOption::optional(
    "sink.shuffle-by-partition.enable",
    OptionType::Boolean,
    Some("false"),
    "Only false is supported: each writer has its own file per partition.",
);
/// Compaction.
pub const COMPACTION: ConfigOption = ConfigOption::optional(
    "auto-compaction",
    OptionType::Boolean,
    Some("false"),
    "Only false is supported: files of a checkpoint are not merged.",
);

/// All of them.
pub const ALL: &[ConfigOption] = &[
    PATH, FORMAT, MONITOR_INTERVAL, PATH_REGEX, REPORT_STATISTICS, SPLIT_SIZE, DEFAULT_PARTITION, ROLL_SIZE, ROLL_INTERVAL,
    ROLL_CHECK, ROLL_INACTIVE, COMMIT_TRIGGER, COMMIT_DELAY, COMMIT_POLICY, SUCCESS_FILE, PARALLELISM, SHUFFLE, COMPACTION,
];
