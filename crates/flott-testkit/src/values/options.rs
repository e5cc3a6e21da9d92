//! The flags of `values`.

use flott_connector::{lookup, lookup_full};
use flott_core::options::{ConfigOption, OptionType};

const fn flag(key: &'static str, default: &'static str, description: &'static str) -> ConfigOption {
    ConfigOption::optional(key, OptionType::Boolean, Some(default), description)
}

const fn text(key: &'static str, description: &'static str) -> ConfigOption {
    ConfigOption::optional(key, OptionType::String, None, description)
}

pub(super) const DATA_ID: ConfigOption = text("data-id", "Name of the data set; by default the table's name.");
pub(super) const CHANGELOG_MODE: ConfigOption = ConfigOption::optional(
    "changelog-mode",
    OptionType::String,
    Some("I"),
    "The kinds of change that the source produces, of I, UB, UA, D.",
);
pub(super) const BOUNDED: ConfigOption = flag("bounded", "true", "Whether the source ends after its rows.");
pub(super) const TERMINATING: ConfigOption = flag("terminating", "true", "Whether the source ends after its rows.");
pub(super) const FAILING_SOURCE: ConfigOption =
    flag("failing-source", "false", "The source fails once, after half of its rows and a checkpoint.");
pub(super) const PRODUCES_DELETE_BY_KEY: ConfigOption =
    flag("source.produces-delete-by-key", "false", "The source's -D rows hold only the primary key.");
pub(super) const SUPPORTS_DELETE_BY_KEY: ConfigOption =
    flag("sink.supports-delete-by-key", "false", "The sink needs only the primary key of -D rows.");
pub(super) const SINK_MODE_ENFORCED: ConfigOption =
    text("sink-changelog-mode-enforced", "The kinds of change that the sink takes, of I, UB, UA, D.");
pub(super) const SINK_INSERT_ONLY: ConfigOption = flag("sink-insert-only", "false", "The sink takes only +I.");
pub(super) const SINK_PARALLELISM: ConfigOption =
    ConfigOption::optional("sink.parallelism", OptionType::Int, None, "Parallelism of the sink.");
pub(super) const SINK_GUARANTEE: ConfigOption = ConfigOption::optional(
    "sink.delivery-guarantee",
    OptionType::String,
    Some("at-least-once"),
    "'at-least-once' records rows at once, 'exactly-once' when their checkpoint is decided.",
);
pub(super) const SPLITS: ConfigOption = ConfigOption::optional(
    "splits",
    OptionType::Int,
    None,
    "The source reads a data set of so many splits, which a test may append to.",
);
pub(super) const WATERMARK_PUSH_DOWN: ConfigOption =
    flag("enable-watermark-push-down", "false", "The source generates its watermarks itself, also those before 1970.");
pub(super) const ASYNC: ConfigOption = flag("async", "false", "Several lookups are made at a time.");
pub(super) const DISABLE_LOOKUP: ConfigOption = flag("disable-lookup", "false", "The table cannot be looked up.");
pub(super) const VECTOR_SEARCH: ConfigOption =
    flag("enable-vector-search", "false", "The table can be searched for near vectors.");
pub(super) const ROWS: ConfigOption =
    text("rows", "The rows themselves, as +I[1, a]; +I[2, b], instead of a data set that a test registered.");
pub(super) const READABLE_METADATA: ConfigOption =
    text("readable-metadata", "Metadata columns of the source as key:TYPE,key:TYPE; rows hold them last.");
pub(super) const WRITABLE_METADATA: ConfigOption =
    text("writable-metadata", "Metadata columns of the sink as key:TYPE,key:TYPE.");

/// What the planner asks a table to do by itself; a table that does not do it gives the same result.
const UNUSED: &str = "Accepted without effect: the planner does this work outside the table.";

pub(super) const OPTIONS: [ConfigOption; 44] = [
    DATA_ID,
    CHANGELOG_MODE,
    BOUNDED,
    TERMINATING,
    FAILING_SOURCE,
    PRODUCES_DELETE_BY_KEY,
    SUPPORTS_DELETE_BY_KEY,
    SINK_MODE_ENFORCED,
    SINK_INSERT_ONLY,
    SINK_PARALLELISM,
    SINK_GUARANTEE,
    SPLITS,
    WATERMARK_PUSH_DOWN,
    ASYNC,
    DISABLE_LOOKUP,
    ROWS,
    lookup::CACHE,
    lookup::CACHE_ROWS_MAX,
    lookup::CACHE_EXPIRE_AFTER_WRITE,
    lookup::CACHE_EXPIRE_AFTER_ACCESS,
    lookup::CACHE_MISSING_KEY,
    lookup::RETRIES_MAX,
    lookup_full::RELOAD_STRATEGY,
    lookup_full::RELOAD_INTERVAL,
    lookup_full::RELOAD_SCHEDULE_MODE,
    lookup_full::RELOAD_TIME,
    lookup_full::RELOAD_DAYS,
    lookup_full::BYTES_MAX,
    READABLE_METADATA,
    WRITABLE_METADATA,
    text("filterable-fields", UNUSED),
    text("partition-list", UNUSED),
    text("dynamic-filtering-fields", UNUSED),
    text("runtime-source", UNUSED),
    text("runtime-sink", UNUSED),
    flag("enable-projection-push-down", "true", UNUSED),
    flag("enable-aggregate-push-down", "false", UNUSED),
    flag("nested-projection-supported", "false", UNUSED),
    VECTOR_SEARCH,
    text("scan.watermark.emit.strategy", UNUSED),
    text("scan.watermark.emit.on-event.gap", UNUSED),
    text("scan.watermark.idle-timeout", UNUSED),
    text("scan.watermark.alignment.#", UNUSED),
    text("scan.parallelism", UNUSED),
];
