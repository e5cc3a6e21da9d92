//! The session options that change a plan.

use std::time::Duration;

use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::types::LogicalType;
use flott_core::{Error, Result};
use flott_graph::spec::{NestedEnforcer, NotNullEnforcer, SinkConstraints, TypeLengthEnforcer};
use flott_graph::{Changes, EmitStrategy, MiniBatch};

use super::optimize::Order;
use super::stream::KeyedShuffle;
use crate::bind::is_batch;

/// After so long without a row a source is idle.
pub const SOURCE_IDLE_TIMEOUT: ConfigOption = ConfigOption::optional(
    "table.exec.source.idle-timeout",
    OptionType::Duration,
    Some("0 ms"),
    "After so long without a row a source counts as idle and holds back nobody's watermark; 0 is never.",
);
/// How often watermarks are emitted.
pub const AUTO_WATERMARK_INTERVAL: ConfigOption = ConfigOption::optional(
    "pipeline.auto-watermark-interval",
    OptionType::Duration,
    Some("200 ms"),
    "How often watermarks are emitted.",
);
/// One phase or two.
pub const AGG_PHASE_STRATEGY: ConfigOption = ConfigOption::optional(
    "table.optimizer.agg-phase-strategy",
    OptionType::Enum(&["AUTO", "TWO_PHASE", "ONE_PHASE"]),
    Some("AUTO"),
    "Whether aggregates run before the exchange too.",
);
/// Results before the end of a window.
pub const EARLY_FIRE_ENABLED: ConfigOption = ConfigOption::optional(
    "table.exec.emit.early-fire.enabled",
    OptionType::Boolean,
    Some("false"),
    "Whether windows show results before their end.",
);
/// How often.
pub const EARLY_FIRE_DELAY: ConfigOption = ConfigOption::optional(
    "table.exec.emit.early-fire.delay",
    OptionType::Duration,
    None,
    "How often windows show results before their end; 0 is at every change.",
);
/// Results after the end of a window.
pub const LATE_FIRE_ENABLED: ConfigOption = ConfigOption::optional(
    "table.exec.emit.late-fire.enabled",
    OptionType::Boolean,
    Some("false"),
    "Whether windows show results again when late rows come.",
);
/// How often.
pub const LATE_FIRE_DELAY: ConfigOption = ConfigOption::optional(
    "table.exec.emit.late-fire.delay",
    OptionType::Duration,
    None,
    "How often windows show results after their end; 0 is at every late row.",
);
/// How long a window's state is kept after its end.
pub const ALLOW_LATENESS: ConfigOption = ConfigOption::optional(
    "table.exec.emit.allow-lateness",
    OptionType::Duration,
    Some("0 ms"),
    "How long a window takes late rows after its end.",
);
/// Where late rows go.
pub const LATE_RECORDS_TABLE: ConfigOption = ConfigOption::optional(
    "table.exec.late-records.table",
    OptionType::String,
    None,
    "A table that takes the rows which come too late for their window, instead of dropping them.",
);
/// NULL in a NOT NULL column of a sink.
pub const NOT_NULL_ENFORCER: ConfigOption = ConfigOption::optional(
    "table.exec.sink.not-null-enforcer",
    OptionType::Enum(&["ERROR", "DROP"]),
    Some("ERROR"),
    "What happens to a NULL in a NOT NULL column of a sink.",
);
/// Long texts.
pub const TYPE_LENGTH_ENFORCER: ConfigOption = ConfigOption::optional(
    "table.exec.sink.type-length-enforcer",
    OptionType::Enum(&["IGNORE", "TRIM_PAD", "ERROR"]),
    Some("IGNORE"),
    "What happens to a text that does not fit its column's length.",
);
/// Both below the top level.
pub const NESTED_CONSTRAINT_ENFORCER: ConfigOption = ConfigOption::optional(
    "table.exec.sink.nested-constraint-enforcer",
    OptionType::Enum(&["IGNORE", "ROWS", "ROWS_AND_COLLECTIONS"]),
    Some("IGNORE"),
    "Whether NOT NULL and lengths are enforced inside rows and collections.",
);
/// Rows by primary key.
pub const KEYED_SHUFFLE: ConfigOption = ConfigOption::optional(
    "table.exec.sink.keyed-shuffle",
    OptionType::Enum(&["NONE", "AUTO", "FORCE"]),
    Some("AUTO"),
    "Whether rows are distributed by the sink's primary key before they are written.",
);
/// Flink's own switch for its tests: ORDER BY anything in streaming, when the input has ended.
pub const SORT_WITHOUT_TIME: ConfigOption = ConfigOption::optional(
    "__table.exec.sort.non-temporal.enabled__",
    OptionType::Boolean,
    Some("false"),
    "Whether a streaming query may be ordered by what is no time attribute: its rows leave when the input has ended.",
);
/// How many rows an ORDER BY without LIMIT gives.
pub const SORT_DEFAULT_LIMIT: ConfigOption = ConfigOption::optional(
    "table.exec.sort.default-limit",
    OptionType::Int,
    Some("-1"),
    "How many rows an ORDER BY without LIMIT gives in batch mode; -1 is all.",
);
/// Whether changes may be merged.
pub const MINI_BATCH_ENABLED: ConfigOption = ConfigOption::optional(
    "table.exec.mini-batch.enabled",
    OptionType::Boolean,
    Some("false"),
    "Whether changes of one key inside a batch are merged before they are emitted.",
);
/// How long rows may wait.
pub const MINI_BATCH_LATENCY: ConfigOption = ConfigOption::optional(
    "table.exec.mini-batch.allow-latency",
    OptionType::Duration,
    Some("0 ms"),
    "How long changes may wait for those that follow them, where changes are merged.",
);
/// How many rows may wait.
pub const MINI_BATCH_SIZE: ConfigOption = ConfigOption::optional(
    "table.exec.mini-batch.size",
    OptionType::Long,
    Some("-1"),
    "After how many rows their changes are emitted, where changes are merged.",
);
/// Whether a deduplication in mini-batches shows the last change alone.
pub const DEDUPLICATE_COMPACT_CHANGES: ConfigOption = ConfigOption::optional(
    "table.exec.deduplicate.mini-batch.compact-changes-enabled",
    OptionType::Boolean,
    Some("false"),
    "Whether a deduplication by event time shows only the last change of each key in a mini-batch.",
);
/// Whether a deduplication tells first rows from later ones.
pub const DEDUPLICATE_INSERTS: ConfigOption = ConfigOption::optional(
    "table.exec.deduplicate.insert-update-after-sensitive-enabled",
    OptionType::Boolean,
    Some("true"),
    "Whether the first row of a key leaves a deduplication as an insertion. Where it need not, and nobody asks for the row \
     before an update, all rows leave as updates, and one that keeps the last row by processing time has no state.",
);
/// How long state is kept.
pub const STATE_TTL: ConfigOption = ConfigOption::optional(
    "table.exec.state.ttl",
    OptionType::Duration,
    Some("0 ms"),
    "How long state that is not touched is kept; 0 is forever. Windows drop their state when they end.",
);
/// Lookups under way.
pub const LOOKUP_CAPACITY: ConfigOption = ConfigOption::optional(
    "table.exec.async-lookup.buffer-capacity",
    OptionType::Int,
    Some("100"),
    "How many rows may wait for their lookups, where a table looks up several at a time.",
);
/// Their order.
pub const LOOKUP_OUTPUT_MODE: ConfigOption = ConfigOption::optional(
    "table.exec.async-lookup.output-mode",
    OptionType::Enum(&["ORDERED", "ALLOW_UNORDERED"]),
    Some("ORDERED"),
    "Whether rows whose lookup is done may overtake others; changes never do.",
);
/// How long they may take.
pub const LOOKUP_TIMEOUT: ConfigOption = ConfigOption::optional(
    "table.exec.async-lookup.timeout",
    OptionType::Duration,
    Some("3 min"),
    "How long a lookup may take, where a table looks up several at a time, tries after a miss included.",
);
/// Updates whose values differ from what they take back.
pub const NON_DETERMINISTIC_UPDATE: ConfigOption = ConfigOption::optional(
    "table.optimizer.non-deterministic-update.strategy",
    OptionType::Enum(&["TRY_RESOLVE", "IGNORE"]),
    Some("IGNORE"),
    "Whether a lookup join over changes keeps what it found, so that a row that is taken back is the one that was given.",
);
/// Changes that come twice.
pub const CDC_EVENTS_DUPLICATE: ConfigOption = ConfigOption::optional(
    "table.exec.source.cdc-events-duplicate",
    OptionType::Boolean,
    Some("false"),
    "Whether changes from a source may come twice and have to be normalised by the primary key.",
);
/// Changes in the order of the primary key.
pub const UPSERT_MATERIALIZE: ConfigOption = ConfigOption::optional(
    "table.exec.sink.upsert-materialize",
    OptionType::Enum(&["NONE", "AUTO", "FORCE"]),
    Some("AUTO"),
    "Whether changes are put in order by the sink's primary key before they are written.",
);
/// Whether a clause is asked for.
pub const REQUIRE_ON_CONFLICT: ConfigOption = ConfigOption::optional(
    "table.exec.sink.require-on-conflict",
    OptionType::Boolean,
    Some("true"),
    "Whether an INSERT must say ON CONFLICT where the query's upsert key is not the sink's primary key.",
);
/// The job's name.
pub const PIPELINE_NAME: ConfigOption =
    ConfigOption::optional("pipeline.name", OptionType::String, None, "The job's name.");
/// Number of key groups.
pub const MAX_PARALLELISM: ConfigOption = ConfigOption::optional(
    "pipeline.max-parallelism",
    OptionType::Int,
    None,
    "The number of key groups, which is the most subtasks that a job can ever have.",
);

/// Two levels for DISTINCT aggregates.
pub const SPLIT_DISTINCT: ConfigOption = ConfigOption::optional(
    "table.optimizer.distinct-agg.split.enabled",
    OptionType::Boolean,
    Some("false"),
    "Whether DISTINCT aggregates are split into two levels.",
);
/// Of how many buckets the first is.
pub const SPLIT_BUCKETS: ConfigOption = ConfigOption::optional(
    "table.optimizer.distinct-agg.split.bucket-num",
    OptionType::Int,
    Some("1024"),
    "Into how many buckets DISTINCT aggregates are split.",
);

/// Two levels in mini-batches.
pub const INCREMENTAL_AGG: ConfigOption = ConfigOption::optional(
    "table.optimizer.incremental-agg-enabled",
    OptionType::Boolean,
    Some("true"),
    "Whether the first of two levels hands partial results on to the second one, in mini-batches.",
);

/// Whether equal parts of plans run once.
pub const REUSE_SUB_PLAN: ConfigOption = ConfigOption::optional(
    "table.optimizer.reuse-sub-plan-enabled",
    OptionType::Boolean,
    Some("true"),
    "Whether parts of a job that are equal down to their sources, as those of a view that is read twice, run once.",
);

/// Whether inner joins are put in another order.
pub const JOIN_REORDER: ConfigOption = ConfigOption::optional(
    "table.optimizer.join-reorder-enabled",
    OptionType::Boolean,
    Some("false"),
    "Whether inner joins are put in the order that has the least rows in between, as far as is known. Without it they keep \
     theirs, but for products of tables that another order joins by an equality.",
);
/// Up to how many.
pub const BUSHY_THRESHOLD: ConfigOption = ConfigOption::optional(
    "table.optimizer.bushy-join-reorder-threshold",
    OptionType::Int,
    Some("12"),
    "Of how many joined tables all orders are looked at where joins are reordered (14 at most); of more, one table is taken \
     after the other.",
);
/// Every option that the planner reads.
pub const ALL: [&ConfigOption; 36] = [
    &REUSE_SUB_PLAN,
    &JOIN_REORDER,
    &BUSHY_THRESHOLD,
    &SOURCE_IDLE_TIMEOUT,
    &AUTO_WATERMARK_INTERVAL,
    &AGG_PHASE_STRATEGY,
    &SPLIT_DISTINCT,
    &SPLIT_BUCKETS,
    &INCREMENTAL_AGG,
    &EARLY_FIRE_ENABLED,
    &EARLY_FIRE_DELAY,
    &LATE_FIRE_ENABLED,
    &LATE_FIRE_DELAY,
    &ALLOW_LATENESS,
    &LATE_RECORDS_TABLE,
    &NOT_NULL_ENFORCER,
    &TYPE_LENGTH_ENFORCER,
    &NESTED_CONSTRAINT_ENFORCER,
    &KEYED_SHUFFLE,
    &SORT_WITHOUT_TIME,
    &SORT_DEFAULT_LIMIT,
    &MINI_BATCH_ENABLED,
    &MINI_BATCH_LATENCY,
    &MINI_BATCH_SIZE,
    &DEDUPLICATE_COMPACT_CHANGES,
    &DEDUPLICATE_INSERTS,
    &STATE_TTL,
    &LOOKUP_CAPACITY,
    &LOOKUP_OUTPUT_MODE,
    &LOOKUP_TIMEOUT,
    &NON_DETERMINISTIC_UPDATE,
    &CDC_EVENTS_DUPLICATE,
    &UPSERT_MATERIALIZE,
    &REQUIRE_ON_CONFLICT,
    &PIPELINE_NAME,
    &MAX_PARALLELISM,
];

pub(super) fn idle_timeout(config: &Options) -> Result<Option<Duration>> {
    Ok(config.duration(&SOURCE_IDLE_TIMEOUT)?.filter(|d| !d.is_zero()))
}

pub(super) fn watermark_interval(config: &Options) -> Result<Duration> {
    Ok(config.duration(&AUTO_WATERMARK_INTERVAL)?.unwrap_or(Duration::from_millis(200)))
}

pub(super) fn two_phase(config: &Options) -> Result<bool> {
    if let Some(text) = config.text(&AGG_PHASE_STRATEGY) {
        AGG_PHASE_STRATEGY.check(AGG_PHASE_STRATEGY.key, text)?;
        return Ok(!text.eq_ignore_ascii_case("ONE_PHASE"));
    }
    Ok(true)
}

/// Whether the first of two levels keeps distinct values alone.
pub(super) fn is_incremental(config: &Options) -> Result<bool> {
    Ok(config.text(&INCREMENTAL_AGG).is_none() || config.bool(&INCREMENTAL_AGG)?)
}

/// Into how many buckets DISTINCT aggregates are split, where they are.
pub(super) fn distinct_buckets(config: &Options) -> Result<Option<i32>> {
    if !config.bool(&SPLIT_DISTINCT)? {
        return Ok(None);
    }
    match config.int(&SPLIT_BUCKETS)?.unwrap_or(1024) {
        n if n > 0 => Ok(Some(n)),
        _ => Err(Error::user(format!("'{}' must be > 0", SPLIT_BUCKETS.key))
            .hint(format!("SET '{}' = '1024', or RESET it", SPLIT_BUCKETS.key))),
    }
}

pub(super) fn late_records_table(config: &Options) -> Option<String> {
    if is_batch(config) {
        return None;
    }
    config.text(&LATE_RECORDS_TABLE).filter(|t| !t.is_empty()).map(str::to_string)
}

pub(super) fn reuses_sub_plans(config: &Options) -> Result<bool> {
    config.bool(&REUSE_SUB_PLAN)
}

/// The order that inner joins get.
pub(super) fn join_order(config: &Options) -> Result<Order> {
    if !config.bool(&JOIN_REORDER)? {
        return Ok(Order::Written);
    }
    let bushy_max = usize::try_from(config.int(&BUSHY_THRESHOLD)?.unwrap_or(12)).unwrap_or(0);
    Ok(Order::Cheapest { bushy_max })
}

/// Whether rows may be put in any order when the input ends.
pub(super) fn sorts_without_time(config: &Options) -> Result<bool> {
    config.bool(&SORT_WITHOUT_TIME)
}

/// How many rows an ORDER BY without LIMIT gives, where it does not give all.
pub(super) fn default_limit(config: &Options) -> Result<Option<u64>> {
    let limit = config.int(&SORT_DEFAULT_LIMIT)?.unwrap_or(-1);
    Ok(u64::try_from(limit).ok().filter(|limit| *limit > 0))
}

pub(super) fn merges_changes(config: &Options) -> Result<bool> {
    config.bool(&MINI_BATCH_ENABLED)
}

/// When operators without windows show changes.
pub(super) fn changes(config: &Options) -> Result<Changes> {
    if is_batch(config) {
        return Ok(Changes::Final);
    }
    if !merges_changes(config)? {
        return Ok(Changes::Each);
    }
    let latency = config.duration(&MINI_BATCH_LATENCY)?.unwrap_or_default();
    let wrong = |option: &ConfigOption| {
        Error::user(format!("'{}' must be > 0 where '{}' is true.", option.key, MINI_BATCH_ENABLED.key))
            .hint(format!("SET '{}', or RESET '{}'", option.key, MINI_BATCH_ENABLED.key))
    };
    if latency.is_zero() {
        return Err(wrong(&MINI_BATCH_LATENCY));
    }
    let size = config.long(&MINI_BATCH_SIZE)?.unwrap_or(-1);
    match usize::try_from(size) {
        Ok(size_rows) if size_rows > 0 => Ok(Changes::Gathered(MiniBatch { latency, size_rows })),
        _ => Err(wrong(&MINI_BATCH_SIZE)),
    }
}

/// The mini-batches of a stream, where there are any.
pub(super) fn mini_batch(config: &Options) -> Result<Option<MiniBatch>> {
    Ok(match changes(config)? {
        Changes::Gathered(batch) => Some(batch),
        _ => None,
    })
}

pub(super) fn compacts_deduplication(config: &Options) -> Result<bool> {
    config.bool(&DEDUPLICATE_COMPACT_CHANGES)
}

pub(super) fn deduplication_inserts(config: &Options) -> Result<bool> {
    config.bool(&DEDUPLICATE_INSERTS)
}

pub(super) fn state_ttl(config: &Options) -> Result<Option<Duration>> {
    Ok(config.duration(&STATE_TTL)?.filter(|d| !d.is_zero()))
}

pub(super) fn lookup_capacity(config: &Options) -> Result<usize> {
    let capacity = config.int(&LOOKUP_CAPACITY)?.unwrap_or(100);
    usize::try_from(capacity).ok().filter(|n| *n > 0).ok_or_else(|| {
        Error::user(format!("'{}' must be more than 0, not {capacity}", LOOKUP_CAPACITY.key))
            .with("option", LOOKUP_CAPACITY.key)
            .hint("The default is 100")
    })
}

pub(super) fn lookups_may_overtake(config: &Options) -> Result<bool> {
    Ok(config.text(&LOOKUP_OUTPUT_MODE).is_some_and(|mode| mode.eq_ignore_ascii_case("ALLOW_UNORDERED")))
}

pub(super) fn lookup_timeout(config: &Options) -> Result<Duration> {
    Ok(config.duration(&LOOKUP_TIMEOUT)?.unwrap_or(Duration::from_secs(180)))
}

pub(super) fn resolves_non_deterministic_updates(config: &Options) -> Result<bool> {
    Ok(config.text(&NON_DETERMINISTIC_UPDATE).is_some_and(|s| s.eq_ignore_ascii_case("TRY_RESOLVE")))
}

pub(super) fn cdc_events_duplicate(config: &Options) -> Result<bool> {
    config.bool(&CDC_EVENTS_DUPLICATE)
}

/// `table.exec.sink.upsert-materialize`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UpsertMaterialize {
    None,
    Auto,
    Force,
}

pub(super) fn upsert_materialize(config: &Options) -> Result<UpsertMaterialize> {
    Ok(match word(config, &UPSERT_MATERIALIZE)?.as_str() {
        "NONE" => UpsertMaterialize::None,
        "FORCE" => UpsertMaterialize::Force,
        _ => UpsertMaterialize::Auto,
    })
}

pub(super) fn require_on_conflict(config: &Options) -> Result<bool> {
    config.bool(&REQUIRE_ON_CONFLICT)
}

pub(super) fn emit_strategy(config: &Options) -> Result<EmitStrategy> {
    if is_batch(config) {
        return Ok(EmitStrategy::default());
    }
    let fire = |enabled: &ConfigOption, delay: &ConfigOption| -> Result<Option<Duration>> {
        if !config.bool(enabled)? {
            return Ok(None);
        }
        let Some(delay) = config.duration(delay)? else {
            return Err(Error::user(format!("'{}' is true, but '{}' is not set", enabled.key, delay.key))
                .hint(format!("SET '{}' = '10 s', or '0 ms' for a result at every change", delay.key)));
        };
        Ok(Some(delay))
    };
    let strategy = EmitStrategy {
        early_fire: fire(&EARLY_FIRE_ENABLED, &EARLY_FIRE_DELAY)?,
        late_fire: fire(&LATE_FIRE_ENABLED, &LATE_FIRE_DELAY)?,
        allow_lateness: config.duration(&ALLOW_LATENESS)?.unwrap_or_default(),
    };
    if strategy.late_fire.is_some() && strategy.allow_lateness.is_zero() {
        return Err(Error::user("Late-fire needs a window that takes late rows, but the allowed lateness is 0")
            .hint(format!("SET '{}' = '1 h'", ALLOW_LATENESS.key)));
    }
    Ok(strategy)
}

/// What a sink with these columns demands.
///
/// # Errors
/// TRIM_PAD together with checks inside collections, as in Flink.
pub(super) fn sink_constraints(config: &Options, columns: Vec<LogicalType>) -> Result<SinkConstraints> {
    let nested = nested_enforcer(config)?;
    let type_length = type_length_enforcer(config)?;
    if nested == NestedEnforcer::RowsAndCollections && type_length == TypeLengthEnforcer::TrimPad {
        return Err(Error::user(
            "Trimming and/or padding is not supported if constraint checking is enabled on types nested in collections.",
        )
        .hint(format!(
            "SET '{}' = 'ERROR', or '{}' = 'ROWS'",
            TYPE_LENGTH_ENFORCER.key, NESTED_CONSTRAINT_ENFORCER.key
        )));
    }
    Ok(SinkConstraints { columns, not_null: not_null_enforcer(config)?, type_length, nested })
}

pub(super) fn keyed_shuffle(config: &Options) -> Result<KeyedShuffle> {
    Ok(match word(config, &KEYED_SHUFFLE)?.as_str() {
        "NONE" => KeyedShuffle::Never,
        "FORCE" => KeyedShuffle::Force,
        _ => KeyedShuffle::Auto,
    })
}

pub(super) fn nested_enforcer(config: &Options) -> Result<NestedEnforcer> {
    Ok(match word(config, &NESTED_CONSTRAINT_ENFORCER)?.as_str() {
        "ROWS" => NestedEnforcer::Rows,
        "ROWS_AND_COLLECTIONS" => NestedEnforcer::RowsAndCollections,
        _ => NestedEnforcer::Ignore,
    })
}

fn not_null_enforcer(config: &Options) -> Result<NotNullEnforcer> {
    Ok(match word(config, &NOT_NULL_ENFORCER)?.as_str() {
        "DROP" => NotNullEnforcer::Drop,
        _ => NotNullEnforcer::Error,
    })
}

fn type_length_enforcer(config: &Options) -> Result<TypeLengthEnforcer> {
    Ok(match word(config, &TYPE_LENGTH_ENFORCER)?.as_str() {
        "TRIM_PAD" => TypeLengthEnforcer::TrimPad,
        "ERROR" => TypeLengthEnforcer::Error,
        _ => TypeLengthEnforcer::Ignore,
    })
}

fn word(config: &Options, option: &ConfigOption) -> Result<String> {
    let text = config.text(option).unwrap_or_default();
    option.check(option.key, text)?;
    Ok(text.to_uppercase())
}

pub(super) fn max_parallelism(config: &Options) -> Result<Option<u16>> {
    let Some(n) = config.int(&MAX_PARALLELISM)? else { return Ok(None) };
    match u16::try_from(n) {
        Ok(n) if (1..=32_768).contains(&n) => Ok(Some(n)),
        _ if n == -1 => Ok(None),
        _ => Err(Error::user(format!("'{}' must be between 1 and 32768, not {n}", MAX_PARALLELISM.key))
            .hint("The default is 128")),
    }
}
