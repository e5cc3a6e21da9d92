//! The configuration options that SET knows, SET and RESET.

use flott_core::error::{Error, Result};
use flott_core::options::{ConfigOption, OptionType};
use flott_core::{Secret, SessionZone, secret, suggest};

use OptionType::{Boolean, Duration, Enum, Int, Long, MemorySize, String as Text};

use super::{SessionState, StatementResult};
use crate::bind::star::{COLUMN_EXPANSION, ColumnExpansion};

const fn option(
    key: &'static str,
    value: OptionType,
    default: Option<&'static str>,
    description: &'static str,
) -> ConfigOption {
    ConfigOption::optional(key, value, default, description)
}

/// Every option that SET takes, grouped by what it is about.
pub fn known() -> &'static [ConfigOption] {
    &KNOWN
}

/// The option of this key, for whoever reads it: key, type and default stand here and nowhere else.
pub fn option_of(key: &str) -> Result<&'static ConfigOption> {
    KNOWN.iter().find(|o| o.key == key).ok_or_else(|| Error::internal(format!("there is no option '{key}'")))
}

const AUTO_OR_FORCE: &[&str] = &["NONE", "AUTO", "FORCE"];

// One line an option reads as a table.
#[rustfmt::skip]
static KNOWN: [ConfigOption; 192] = [
    // Sources, sinks, state.
    option("table.exec.source.idle-timeout", Duration, Some("0 ms"), "After so long without a row a source counts as idle and holds back nobody's watermark; 0 is never."),
    option("table.exec.source.cdc-events-duplicate", Boolean, Some("false"), "Whether changes from a source may come twice and have to be normalised by the primary key."),
    option("table.exec.state.ttl", Duration, Some("0 ms"), "How long state that is not touched is kept; 0 is forever. Windows drop their state when they end."),
    option("table.exec.sink.not-null-enforcer", Enum(&["ERROR", "DROP"]), Some("ERROR"), "What happens to a NULL in a NOT NULL column of a sink."),
    option("table.exec.sink.type-length-enforcer", Enum(&["IGNORE", "TRIM_PAD", "ERROR"]), Some("IGNORE"), "What happens to a text that does not fit its column's length."),
    option("table.exec.sink.nested-constraint-enforcer", Enum(&["IGNORE", "ROWS", "ROWS_AND_COLLECTIONS"]), Some("IGNORE"), "Whether NOT NULL and lengths are enforced inside rows and collections."),
    option("table.exec.sink.upsert-materialize", Enum(AUTO_OR_FORCE), Some("AUTO"), "Whether changes are put in order by the sink's primary key before they are written."),
    option("table.exec.sink.require-on-conflict", Boolean, Some("true"), "Whether an INSERT must say ON CONFLICT where the query's upsert key is not the sink's primary key."),
    option("table.exec.sink.keyed-shuffle", Enum(AUTO_OR_FORCE), Some("AUTO"), "Whether rows are distributed by the sink's primary key before they are written."),
    option("table.exec.sink.rowtime-inserter", Enum(&["ENABLED", "DISABLED"]), Some("ENABLED"), "Whether records carry their rowtime to the sink; has no effect here."),
    option("table.exec.late-records.table", Text, None, "A table that takes the rows which come too late for their window, instead of dropping them."),
    option("table.exec.legacy-cast-behaviour", Enum(&["ENABLED", "DISABLED"]), Some("DISABLED"), "ENABLED: a CAST that fails is NULL instead of an error, no text is cut or filled up to the length of its type, BOOLEANs are `true` and `false` as text, and rows and collections have `null` in it."),
    // Mini-batches and early results.
    option("table.exec.mini-batch.enabled", Boolean, Some("false"), "Whether changes of one key inside a batch are merged before they are emitted."),
    option("table.exec.mini-batch.allow-latency", Duration, Some("0 ms"), "How long changes may wait for those that follow them, where changes are merged."),
    option("table.exec.mini-batch.size", Long, Some("-1"), "After how many rows their changes are emitted, where changes are merged."),
    option("table.exec.emit.early-fire.enabled", Boolean, Some("false"), "Whether windows show results before their end."),
    option("table.exec.emit.early-fire.delay", Duration, None, "How often windows show results before their end; 0 is at every change."),
    option("table.exec.emit.late-fire.enabled", Boolean, Some("false"), "Whether windows show results again when late rows come."),
    option("table.exec.emit.late-fire.delay", Duration, None, "How often windows show results after their end; 0 is at every late row."),
    option("table.exec.emit.allow-lateness", Duration, Some("0 ms"), "How long a window takes late rows after its end."),
    // Operators.
    option("table.exec.async-lookup.buffer-capacity", Int, Some("100"), "How many rows may wait for their lookups, where a table looks up several at a time."),
    option("table.exec.async-lookup.output-mode", Enum(&["ORDERED", "ALLOW_UNORDERED"]), Some("ORDERED"), "Whether rows whose lookup is done may overtake others; changes never do."),
    option("table.exec.async-lookup.timeout", Duration, Some("3 min"), "How long a lookup may take, where a table looks up several at a time, tries after a miss included."),
    option("table.exec.async-lookup.key-ordered-enabled", Boolean, Some("false"), "Whether lookups keep the order of the upsert key; has no effect here, where they keep the order of all rows."),
    option("table.exec.async-scalar.#", Text, None, "Options of asynchronous functions; has no effect here, where there are none."),
    option("table.exec.async-table.#", Text, None, "Options of asynchronous table functions; has no effect here, where there are none."),
    option("table.exec.async-ml-predict.#", Text, None, "Options of model calls; has no effect here, where there are none."),
    option("table.exec.async-state.enabled", Boolean, Some("false"), "Whether operators use asynchronous state; has no effect here."),
    option("table.exec.deduplicate.insert-update-after-sensitive-enabled", Boolean, Some("true"), "Whether the first row of a key leaves a deduplication as an insertion. Where it need not, and nobody asks for the row before an update, all rows leave as updates, and one that keeps the last row by processing time has no state."),
    option("table.exec.deduplicate.mini-batch.compact-changes-enabled", Boolean, Some("false"), "Whether a deduplication by event time shows only the last change of each key in a mini-batch."),
    option("table.exec.disabled-operators", Text, None, "Operators of a batch plan to avoid; has no effect here."),
    option("table.exec.interval-join.min-cleanup-interval", Duration, Some("0 ms"), "How often an interval join drops old rows at most; has no effect here."),
    option("table.exec.operator-fusion-codegen.enabled", Boolean, Some("false"), "Whether operators are compiled together; has no effect here, where nothing is compiled."),
    option("table.exec.rank.topn-cache-size", Long, Some("10000"), "How many rows a Top-N keeps outside of its state; has no effect here."),
    option("table.exec.resource.default-parallelism", Int, Some("-1"), "The parallelism of SQL operators; has no effect here, use parallelism.default."),
    option("table.exec.simplify-operator-name-enabled", Boolean, Some("true"), "Whether operators have short names; has no effect here."),
    option("__table.exec.sort.non-temporal.enabled__", Boolean, Some("false"), "Whether a streaming query may be ordered by what is no time attribute: its rows leave when the input has ended. Flink's own switch for its tests."),
    option("table.exec.sort.default-limit", Int, Some("-1"), "How many rows an ORDER BY without LIMIT gives in batch mode; -1 is all."),
    option("table.exec.sort.#", Text, None, "How a batch sort spills; has no effect here."),
    option("table.exec.local-hash-agg.adaptive.#", Text, None, "When a batch aggregate gives up its local phase; has no effect here."),
    option("table.exec.sink.upsert-materialize-strategy.#", Text, None, "How changes are put in order by the sink's primary key; has no effect here."),
    option("table.exec.spill-compression.block-size", MemorySize, Some("64 kb"), "The unit of compression of spilled data; has no effect here."),
    option("table.exec.uid.format", Text, None, "How operators' ids are written; has no effect here."),
    option("table.exec.spill-compression.enabled", Boolean, Some("true"), "Whether spilled data is compressed; has no effect here."),
    option("table.exec.uid.generation", Enum(&["PLAN_ONLY", "ALWAYS", "DISABLED"]), Some("PLAN_ONLY"), "When operators get ids for savepoints; has no effect here, where they always have them."),
    option("table.exec.window-agg.buffer-size-limit", Int, Some("100000"), "How many elements a window of a batch aggregate buffers; has no effect here."),
    // The planner.
    option("table.optimizer.agg-phase-strategy", Enum(&["AUTO", "TWO_PHASE", "ONE_PHASE"]), Some("AUTO"), "Whether aggregates run before the exchange too."),
    option("table.optimizer.distinct-agg.split.enabled", Boolean, Some("false"), "Whether DISTINCT aggregates are split into two levels."),
    option("table.optimizer.distinct-agg.split.bucket-num", Int, Some("1024"), "Into how many buckets DISTINCT aggregates are split."),
    option("table.optimizer.incremental-agg-enabled", Boolean, Some("true"), "Whether the first level of split aggregates hands partial results on to the second, in mini-batches."),
    option("table.optimizer.join-reorder-enabled", Boolean, Some("false"), "Whether inner joins are put in the order that has the least rows in between, as far as is known. Without it they keep theirs, but for products of tables that another order joins by an equality."),
    option("table.optimizer.join.broadcast-threshold", Long, Some("1048576"), "Up to which size a batch join broadcasts a table; has no effect here."),
    option("table.optimizer.multi-join.enabled", Boolean, Some("false"), "Whether chains of joins become one operator; has no effect here."),
    option("table.optimizer.delta-join.strategy", Enum(AUTO_OR_FORCE), Some("AUTO"), "Whether joins read the other side from its storage; has no effect here."),
    option("table.exec.delta-join.cache-enabled", Boolean, Some("true"), "Whether delta joins keep rows of the other side; has no effect here, where joins keep their rows."),
    option("table.exec.delta-join.left.cache-size", Long, Some("10000"), "How many left rows a delta join keeps; has no effect here."),
    option("table.exec.delta-join.right.cache-size", Long, Some("10000"), "How many right rows a delta join keeps; has no effect here."),
    option("table.optimizer.multiple-input-enabled", Boolean, Some("true"), "Whether batch operators are merged into one; has no effect here."),
    option("table.optimizer.non-deterministic-update.strategy", Enum(&["TRY_RESOLVE", "IGNORE"]), Some("IGNORE"), "Whether a lookup join over changes keeps what it found, so that a row that is taken back is the one that was given."),
    option("table.optimizer.reuse-source-enabled", Boolean, Some("true"), "Whether equal sources of a statement set are read once; has no effect here."),
    option("table.optimizer.reuse-sub-plan-enabled", Boolean, Some("true"), "Whether parts of a job that are equal down to their sources, as those of a view that is read twice, run once."),
    option("table.optimizer.reuse-optimize-block-with-digest-enabled", Boolean, Some("false"), "Whether common views are optimized once; has no effect here."),
    option("table.optimizer.source.predicate-pushdown-enabled", Boolean, Some("true"), "Whether conditions are given to sources; has no effect here."),
    option("table.optimizer.source.report-statistics-enabled", Boolean, Some("true"), "Whether sources are asked for statistics; has no effect here."),
    option("table.optimizer.ignore-query-hints", Boolean, Some("false"), "Whether query hints are ignored; has no effect here."),
    option("table.optimizer.adaptive-broadcast-join.strategy", Enum(&["AUTO", "RUNTIME_ONLY", "NONE"]), Some("AUTO"), "When a batch join broadcasts; has no effect here."),
    option("table.optimizer.skewed-join-optimization.#", Text, None, "How batch joins treat skew; has no effect here."),
    option("table.optimizer.bushy-join-reorder-threshold", Int, Some("12"), "Of how many joined tables all orders are looked at where joins are reordered (14 at most); of more, one table is taken after the other."),
    option("table.optimizer.dynamic-filtering.enabled", Boolean, Some("true"), "Whether batch sources are filtered by the other side of a join; has no effect here."),
    option("table.optimizer.runtime-filter.#", Text, None, "Whether and when batch joins filter the larger side; has no effect here."),
    option("table.optimizer.sql2rel.project-merge.enabled", Boolean, Some("false"), "Whether projections are merged early; has no effect here."),
    option("table.optimizer.union-all-as-breakpoint-enabled", Boolean, Some("true"), "Whether plans are split at UNION ALL; has no effect here."),
    // The session.
    option("table.local-time-zone", Text, Some("default"), "The session's time zone, such as Europe/Berlin or GMT+08:00; `default` is UTC."),
    option("table.dml-sync", Boolean, Some("false"), "Whether an INSERT is waited for before the next statement runs."),
    option("table.dynamic-table-options.enabled", Boolean, Some("true"), "Whether OPTIONS hints are allowed."),
    option("table.display.max-column-width", Int, Some("30"), "How wide a column of a printed result may be."),
    option("table.sql-dialect", Enum(&["default", "hive"]), Some("default"), "The dialect; only `default` is there."),
    option("table.planner", Enum(&["BLINK", "OLD"]), Some("BLINK"), "The planner; there is only one, so that it has no effect here."),
    option("table.builtin-catalog-name", Text, Some("default_catalog"), "The first catalog's name; has no effect here once a session runs."),
    option("table.builtin-database-name", Text, Some("default_database"), "The first database's name; has no effect here once a session runs."),
    option("table.column-expansion-strategy", Text, None, "Which virtual metadata columns `*` leaves out: EXCLUDE_ALIASED_VIRTUAL_METADATA_COLUMNS, EXCLUDE_DEFAULT_VIRTUAL_METADATA_COLUMNS (those named by their key), or both with a semicolon between them."),
    option("table.generated-code.max-length", Int, Some("4000"), "How long generated code may be; has no effect here, where no code is generated."),
    option("table.plan.compile.catalog-objects", Enum(&["ALL", "SCHEMA", "IDENTIFIER"]), Some("ALL"), "What a compiled plan stores; has no effect here."),
    option("table.plan.restore.catalog-objects", Enum(&["ALL", "ALL_ENFORCED", "IDENTIFIER"]), Some("ALL"), "What a compiled plan reads from catalogs; has no effect here."),
    option("table.catalog-modification.listeners", Text, None, "Who is told of changes in catalogs; has no effect here."),
    option("table.catalog-store.kind", Text, Some("generic_in_memory"), "Where definitions of catalogs are kept; has no effect here."),
    option("table.resources.download-dir", Text, None, "Where jars of functions are kept; has no effect here."),
    option("table.plan.force-recompile", Boolean, Some("false"), "Whether compiled plans are replaced; has no effect here."),
    option("table.rtas-ctas.atomicity-enabled", Boolean, Some("false"), "Whether CREATE TABLE AS is atomic; has no effect here."),
    // The job.
    option("parallelism.default", Int, None, "The number of worker threads, each with a subtask of every operator; one per core where it is not set."),
    option("pipeline.name", Text, None, "The job's name."),
    option("pipeline.max-parallelism", Int, None, "The number of key groups, which is the most subtasks that a job can ever have."),
    option("pipeline.sources.pause-until-first-checkpoint", Boolean, Some("false"), "Whether sources wait until the first checkpoint is triggered; has no effect here, where no checkpoint holds rows that a restored job would have to work through first."),
    option("pipeline.auto-watermark-interval", Duration, Some("200 ms"), "How often watermarks are emitted."),
    option("pipeline.object-reuse", Boolean, Some("false"), "Whether objects are reused between operators; has no effect here."),
    option("pipeline.operator-chaining.enabled", Boolean, Some("true"), "Whether operators run in one task where they can; has no effect here."),
    option("pipeline.global-job-parameters", Text, None, "Parameters for functions; has no effect here."),
    option("pipeline.jars", Text, None, "Jars of the job; has no effect here, where there is no JVM."),
    option("execution.runtime-mode", Enum(&["STREAMING", "BATCH", "AUTOMATIC"]), Some("STREAMING"), "Whether results are streams of changes or final."),
    option("execution.buffer-timeout", Duration, Some("5 ms"), "The longest that rows wait for company before they are sent on."),
    option("heartbeat.interval", Duration, Some("1 s"), "How often the processes of a job that runs in several give a sign of life."),
    option("heartbeat.timeout", Duration, Some("10 s"), "After so long without a sign of life a process is given up and replaced."),
    option("execution.buffer-timeout.#", Text, None, "How long rows wait for a full buffer; has no effect here, where execution.buffer-timeout says it."),
    option("execution.batch-shuffle-mode", Text, None, "How batch operators exchange rows; has no effect here."),
    option("execution.attached", Boolean, Some("true"), "Whether the client waits for the job; has no effect here."),
    option("execution.shutdown-on-attached-exit", Boolean, Some("false"), "Whether the job ends with its client; has no effect here."),
    option("pipeline.classpaths", Text, None, "Paths of classes; has no effect here, where there is no JVM."),
    option("pipeline.cached-files", Text, None, "Files for functions; has no effect here."),
    option("pipeline.auto-generate-uids", Boolean, Some("true"), "Whether operators get ids by themselves; has no effect here, where they always do."),
    option("pipeline.generic-types", Boolean, Some("true"), "Whether values of Java classes are allowed; has no effect here."),
    option("pipeline.vertex-description-mode", Enum(&["TREE", "CASCADING"]), Some("TREE"), "How operators are described; has no effect here."),
    option("pipeline.vertex-name-include-index-prefix", Boolean, Some("false"), "Whether operators' names begin with a number; has no effect here."),
    option("pipeline.watermark-alignment.allow-unaligned-source-splits", Boolean, Some("false"), "Whether splits that cannot pause may be aligned; has no effect here."),
    option("execution.target", Text, None, "Where jobs run; has no effect here, they run in this process."),
    option("flott.memory.max", MemorySize, None, "How many bytes of state and of rows on their way a job may hold; one that needs more fails and names its largest state. State counts with what it takes while it grows (a table that moves to a larger place is there twice, so that a job may end when half is in use) and with the rows of its checkpoints that stay in memory, but not with what a checkpoint takes while it is written. The program itself, its threads and the clients of its connectors, 50 MB and more, come on top. 0 is any number. Where it is not set: three quarters of the machine's memory, or of the limit of the process's control group."),
    option("flott.collect.max-rows", Long, Some("1000000"), "How many rows a program may collect of a query at once; 0 is any number. Reading batch by batch has no limit."),
    option("flott.collect.max-bytes", MemorySize, Some("256 mb"), "How many bytes a program may collect of a query at once; 0 is any number."),
    option("flott.in-flight-bytes", MemorySize, Some("16 mb"), "How many bytes may be under way between two operators before the first one waits."),
    // Checkpoints, state, restarts.
    option("execution.checkpointing.interval", Duration, Some("10 s"), "How often checkpoints are made; 0 is only at the end of the input. Where it is not set, a bounded job whose sinks show rows at once (`print`, `blackhole`) makes none: `flott stop` refuses it, `flott cancel` ends it."),
    option("execution.checkpointing.timeout", Duration, Some("10 min"), "How long a checkpoint may take before it is given up."),
    option("execution.checkpointing.dir", Text, Some(".flott"), "Where checkpoints are stored: a folder, from the script's on, or a URI; below it a folder for each job."),
    option("execution.checkpointing.savepoint-dir", Text, None, "Where savepoints are stored that name no directory: a folder, from the script's on, or a URI."),
    option("execution.checkpointing.mode", Enum(&["EXACTLY_ONCE", "AT_LEAST_ONCE"]), Some("EXACTLY_ONCE"), "Whether barriers are aligned; has no effect here, where they always are, which gives AT_LEAST_ONCE and more."),
    option("execution.checkpointing.interval-during-backlog", Duration, None, "How often checkpoints are made while a source reads a backlog; has no effect here, where no source reports one."),
    option("execution.checkpointing.min-pause", Duration, Some("0 ms"), "How long at least lies between the end of a checkpoint and the begin of the next."),
    option("execution.checkpointing.num-retained", Int, Some("2"), "How many checkpoints are kept. Files of older ones stay as long as a kept one needs them."),
    option("execution.checkpointing.max-concurrent-checkpoints", Int, Some("1"), "How many checkpoints may be under way; has no effect here, where it is one."),
    option("execution.checkpointing.tolerable-failed-checkpoints", Int, Some("0"), "How many checkpoints in a row may time out, or fail to be written, before the attempt fails."),
    option("execution.checkpointing.externalized-checkpoint-retention", Enum(&["DELETE_ON_CANCELLATION", "RETAIN_ON_CANCELLATION", "NO_EXTERNALIZED_CHECKPOINTS"]), Some("RETAIN_ON_CANCELLATION"), "Whether checkpoints stay when the job is cancelled; has no effect here, where they always stay."),
    option("execution.checkpointing.unaligned.enabled", Boolean, Some("false"), "Whether barriers overtake rows; has no effect here, where little is under way (flott.in-flight-bytes) and a barrier waits for no more than that."),
    option("execution.checkpointing.incremental", Boolean, Some("false"), "Whether checkpoints store only what changed; has no effect here, where they always do."),
    option("execution.checkpointing.unaligned.forced", Boolean, Some("false"), "Whether barriers overtake rows where Flink would not let them; has no effect here, where they never do."),
    option("execution.checkpointing.unaligned.interruptible-timers.enabled", Boolean, Some("true"), "Whether a barrier may come between timers that fire; has no effect here, where barriers overtake nothing."),
    option("execution.checkpointing.unaligned.max-subtasks-per-channel-state-file", Int, Some("5"), "How many subtasks store overtaken rows in one file; has no effect here, where no row is overtaken."),
    option("execution.checkpointing.unaligned.recover-output-on-downstream.enabled", Boolean, Some("false"), "Where overtaken rows are read back; has no effect here, where no row is overtaken."),
    option("execution.checkpointing.during-recovery.enabled", Boolean, Some("false"), "Whether checkpoints are made while overtaken rows are read back; has no effect here, where no row is overtaken and a job is restored before it runs."),
    option("execution.checkpointing.aligned-checkpoint-timeout", Duration, Some("0 ms"), "When barriers begin to overtake rows; has no effect here, where they never do."),
    option("execution.checkpointing.checkpoints-after-tasks-finish", Boolean, Some("true"), "Whether checkpoints and savepoints go on when a source has ended; the last checkpoint, at the end of the input, is always made."),
    option("execution.checkpointing.local-backup.enabled", Boolean, Some("false"), "Whether a copy of the state stays on the worker; has no effect here, where a restart reads the checkpoint itself."),
    option("execution.checkpointing.local-backup.dirs", Text, None, "Where copies of the state stay on the worker; has no effect here, where there are none."),
    option("execution.checkpointing.create-subdir", Boolean, Some("true"), "Whether each job has a folder below the directory of checkpoints; has no effect here, where it always has."),
    option("execution.checkpointing.file-merging.enabled", Boolean, Some("false"), "Whether small files of a checkpoint are merged; has no effect here, where each operator writes one."),
    option("execution.checkpointing.file-merging.across-checkpoint-boundary", Boolean, Some("false"), "Whether a file holds state of several checkpoints; has no effect here, where each operator writes one file for a checkpoint."),
    option("execution.checkpointing.file-merging.max-file-size", MemorySize, Some("32 mb"), "How large a merged file may be; has no effect here, where none are merged."),
    option("execution.checkpointing.file-merging.pool-blocking", Boolean, Some("false"), "Whether writers wait for a merged file; has no effect here, where none are merged."),
    option("execution.checkpointing.file-merging.max-subtasks-per-file", Int, Some("4"), "How many subtasks write one merged file; has no effect here, where none are merged."),
    option("execution.checkpointing.file-merging.max-space-amplification", OptionType::Double, Some("2.0"), "How much of a merged file may be unused; has no effect here, where none are merged."),
    option("execution.checkpointing.cleaner.parallel-mode", Boolean, Some("true"), "Whether files of old checkpoints are removed in parallel; has no effect here, where they are removed one after another beside the job."),
    option("execution.checkpointing.snapshot-compression", Boolean, Some("false"), "Whether snapshots are compressed; has no effect here, where they always are."),
    option("execution.checkpointing.storage", Text, None, "How checkpoints are stored; has no effect here, execution.checkpointing.dir says where."),
    option("execution.checkpointing.write-buffer-size", Int, Some("4096"), "The buffer of a snapshot's file; has no effect here, where files are written in blocks."),
    option("execution.checkpointing.data-inline-threshold", MemorySize, Some("20 kb"), "Up to which size state lies in the checkpoint's metadata; has no effect here, where state lies in files of its own."),
    option("execution.state-recovery.ignore-unclaimed-state", Boolean, Some("false"), "Whether a restore may drop state and outputs that the job no longer has, as --allow-non-restored-state."),
    option("execution.state-recovery.path", Text, None, "The savepoint or checkpoint that the next job starts from, as --restore PATH."),
    option("execution.state-recovery.claim-mode", Enum(&["NO_CLAIM", "CLAIM"]), Some("NO_CLAIM"), "Whether a savepoint that a job starts from belongs to it from then on: with CLAIM the job removes it once enough checkpoints are kept, with NO_CLAIM it is never touched."),
    option("execution.state-recovery.from-local", Boolean, Some("false"), "Whether a worker restores from its own copy of the state; has no effect here, where there is none."),
    option("execution.state-recovery.approximate-local-recovery", Boolean, Some("false"), "Whether a failed task starts alone and rows may be missing; has no effect here, where no row may be."),
    option("execution.state-recovery.without-channel-state.checkpoint-id", Long, Some("-1"), "A checkpoint whose overtaken rows are left out; has no effect here, where no row is overtaken."),
    option("state.backend.type", Text, None, "Where state lives, such as hashmap or rocksdb; has no effect here, where there is one backend."),
    option("state.backend.#", Text, None, "Options of Flink's state backends; has no effect here, where there is one of its own."),
    option("state.changelog.#", Text, None, "Whether and how changes of the state are stored between checkpoints; has no effect here, where each checkpoint stores them."),
    option("state.latency-track.#", Text, None, "Whether the time that state takes is measured; has no effect here."),
    option("state.size-track.#", Text, None, "Whether the size of keys and values is measured; has no effect here, where metrics tell the size of each operator's state."),
    option("restart-strategy.type", Enum(&["none", "off", "disable", "fixed-delay", "fixeddelay", "exponential-delay", "exponentialdelay", "failure-rate", "failurerate"]), None, "How a job is started again that failed because something outside was not there: exponential-delay where it has checkpoints, none otherwise."),
    option("restart-strategy.fixed-delay.attempts", Int, Some("1"), "How often a job is started again with fixed-delay."),
    option("restart-strategy.fixed-delay.delay", Duration, Some("1 s"), "How long is waited before that."),
    option("restart-strategy.exponential-delay.initial-backoff", Duration, Some("1 s"), "How long is waited before the first restart."),
    option("restart-strategy.exponential-delay.max-backoff", Duration, Some("1 min"), "How long is waited at the most."),
    option("restart-strategy.exponential-delay.backoff-multiplier", OptionType::Double, Some("1.5"), "By what the pause grows from restart to restart."),
    option("restart-strategy.exponential-delay.reset-backoff-threshold", Duration, Some("1 h"), "After so long without a failure the pause is the first one again."),
    option("restart-strategy.exponential-delay.jitter-factor", OptionType::Double, Some("0.1"), "Up to which part of itself a pause is made longer or shorter by chance."),
    option("restart-strategy.exponential-delay.attempts-before-reset-backoff", Int, None, "How many restarts there may be before the pause is reset; without it any number."),
    option("restart-strategy.failure-rate.delay", Duration, Some("1 s"), "How long is waited before a restart with failure-rate."),
    option("restart-strategy.failure-rate.failure-rate-interval", Duration, Some("1 min"), "The time over which failures are counted."),
    option("restart-strategy.failure-rate.max-failures-per-interval", Int, Some("1"), "How many failures there may be in that time."),
    // Metrics.
    option("metrics.reporters", Text, None, "Who reports metrics: with `prom` in the list they can be read at http://127.0.0.1:9249/metrics."),
    option("metrics.reporter.prom.port", Text, None, "The port, or range of ports such as 9249-9260, where Prometheus reads metrics, on the loopback address only."),
    option("metrics.reporter.prom.factory.class", Text, None, "The class of Flink's reporter; has no effect here."),
    option("metrics.reporter.#", Text, None, "Options of Flink's other reporters; has no effect here, where there is one for Prometheus."),
    // The client, object stores.
    option("sql-client.execution.result-mode", Enum(&["table", "changelog", "tableau"]), Some("tableau"), "How results of queries are shown; has no effect here, they are printed as tableau."),
    option("sql-client.execution.max-table-result.rows", Int, Some("1000000"), "How many rows of a result are kept in Flink's table mode; has no effect here: results of any length are printed whole, and wait in a file below TMPDIR where they are larger than 8 MiB."),
    option("sql-client.display.print-time-cost", Boolean, Some("true"), "Whether the shell shows how long a query took."),
    option("sql-client.#", Text, None, "Options of the client's display; those that are not listed here have no effect here."),
    option("s3.access-key", OptionType::Secret, None, "The access key for S3."),
    option("s3.access.key", OptionType::Secret, None, "Another spelling of s3.access-key."),
    option("s3.secret-key", OptionType::Secret, None, "The secret key for S3."),
    option("s3.secret.key", OptionType::Secret, None, "Another spelling of s3.secret-key."),
    option("s3.endpoint", Text, None, "The endpoint of an S3-compatible store; without a scheme over TLS, and over plain HTTP only where it begins with http://."),
    option("s3.endpoint.region", Text, None, "The region of S3; else `AWS_REGION`, else us-east-1."),
    option("s3.region", Text, None, "Another spelling of s3.endpoint.region."),
    option("s3.path-style-access", Boolean, Some("false"), "Whether buckets are part of the path instead of the host; always so where the endpoint is an IP address or localhost."),
    option("s3.path.style.access", Boolean, Some("false"), "Another spelling of s3.path-style-access."),
];

/// Names that Flink had before, and still takes, with those of today.
const OLDER: &[(&str, &str)] = &[
    ("execution.checkpointing.alignment-timeout", "execution.checkpointing.aligned-checkpoint-timeout"),
    ("execution.checkpointing.approximate-local-recovery", "execution.state-recovery.approximate-local-recovery"),
    (
        "execution.checkpointing.checkpoints-after-tasks-finish.enabled",
        "execution.checkpointing.checkpoints-after-tasks-finish",
    ),
    (
        "execution.checkpointing.recover-without-channel-state.checkpoint-id",
        "execution.state-recovery.without-channel-state.checkpoint-id",
    ),
    ("execution.checkpointing.unaligned", "execution.checkpointing.unaligned.enabled"),
    ("execution.savepoint-restore-mode", "execution.state-recovery.claim-mode"),
    ("execution.savepoint.ignore-unclaimed-state", "execution.state-recovery.ignore-unclaimed-state"),
    ("execution.savepoint.path", "execution.state-recovery.path"),
    ("restart-strategy", "restart-strategy.type"),
    ("savepoints.state.backend.fs.dir", "execution.checkpointing.savepoint-dir"),
    ("state.backend", "state.backend.type"),
    ("state.backend.fs.checkpointdir", "execution.checkpointing.dir"),
    ("state.backend.fs.memory-threshold", "execution.checkpointing.data-inline-threshold"),
    ("state.backend.fs.write-buffer-size", "execution.checkpointing.write-buffer-size"),
    ("state.backend.incremental", "execution.checkpointing.incremental"),
    ("state.backend.local-recovery", "execution.checkpointing.local-backup.enabled"),
    ("state.checkpoint-storage", "execution.checkpointing.storage"),
    ("state.checkpoint.cleaner.parallel-mode", "execution.checkpointing.cleaner.parallel-mode"),
    ("state.checkpoints.create-subdir", "execution.checkpointing.create-subdir"),
    ("state.checkpoints.dir", "execution.checkpointing.dir"),
    ("state.checkpoints.num-retained", "execution.checkpointing.num-retained"),
    ("state.local.root-dirs", "execution.checkpointing.local-backup.dirs"),
    ("state.savepoints.dir", "execution.checkpointing.savepoint-dir"),
    ("state.storage.fs.memory-threshold", "execution.checkpointing.data-inline-threshold"),
    ("state.storage.fs.write-buffer-size", "execution.checkpointing.write-buffer-size"),
];

/// Older names of options, each with the one of today.
pub fn older_names() -> &'static [(&'static str, &'static str)] {
    OLDER
}

/// The name that an option has today. What is set under an older one is kept under it, so that whoever reads it asks once.
pub fn name_of_today(key: &str) -> &str {
    OLDER.iter().find(|(older, _)| *older == key).map_or(key, |(_, newer)| newer)
}

/// The option that a key means.
fn known_option(key: &str) -> Option<&'static ConfigOption> {
    let key = name_of_today(key);
    KNOWN.iter().find(|o| o.key == key).or_else(|| KNOWN.iter().find(|o| o.matches(key)))
}

const LOCAL_TIME_ZONE: &str = "table.local-time-zone";

/// Options of which only the default is there: another value would change what a query means, so it is refused.
const FIXED: [&str; 1] = ["table.sql-dialect"];

/// Refuses a value that would have to change results and cannot.
fn check_fixed(option: &ConfigOption, value: &str) -> Result<()> {
    let same = option.default.unwrap_or_default().eq_ignore_ascii_case(value);
    if !FIXED.contains(&option.key) || same {
        return Ok(());
    }
    let key = option.key;
    Err(Error::user(format!("'{key}' = '{value}' is not supported yet")).with("option", key).hint(
        match option.default {
            Some(default) => format!("Leave it out, or set it to '{default}'"),
            None => "Leave it out".to_string(),
        },
    ))
}

/// Refuses a value that Flink still knows and advises against.
fn check_deprecated(option: &ConfigOption, value: &str) -> Result<()> {
    if option.key != "execution.state-recovery.claim-mode" || !value.eq_ignore_ascii_case("LEGACY") {
        return Ok(());
    }
    Err(Error::user("the claim mode LEGACY is not supported: it is deprecated in Flink, since with it nobody owns the savepoint")
        .with("option", option.key)
        .hint(
            "Use NO_CLAIM, which never touches the savepoint and needs it for nothing once the first checkpoint is taken, or \
             CLAIM, which leaves it to the job to remove it",
        ))
}

/// What to tell who sets an option that has no effect here.
fn note(key: &str) -> Option<&'static str> {
    known_option(key.trim()).map(|o| o.description).filter(|d| d.contains("no effect here"))
}

/// A value as it may be shown.
fn shown(key: &str, value: &str) -> String {
    let secret =
        Secret::is_sensitive_key(key) || KNOWN.iter().any(|o| o.matches(key) && matches!(o.value, OptionType::Secret));
    if secret { secret::MASK.to_string() } else { secret::mask_urls(value).into_owned() }
}

/// SET: with a pair sets it, without lists what is set.
pub(super) fn set(pair: Option<&(String, String)>, state: &mut SessionState) -> Result<StatementResult> {
    let Some((key, value)) = pair else {
        let told = state.config.iter().filter(|(k, _)| *k != crate::bind::QUERY_START);
        let mut rows: Vec<[String; 2]> = told.map(|(k, v)| [k.to_string(), shown(k, v)]).collect();
        rows.sort();
        return Ok(StatementResult::rows(["key", "value"], rows));
    };
    set_option(key, value, state)?;
    Ok(StatementResult::Ok)
}

/// Sets an option after checking key and value.
pub fn set_option(key: &str, value: &str, state: &mut SessionState) -> Result<()> {
    let (key, value) = (name_of_today(key.trim()), value.trim());
    let Some(option) = known_option(key) else {
        return set_unknown(key, value, state);
    };
    check_deprecated(option, value)?;
    option.check(key, value)?;
    check_fixed(option, value)?;
    crate::bind::check_runtime_mode(key, value).map_err(|e| e.with("option", key))?;
    if option.key == COLUMN_EXPANSION {
        ColumnExpansion::parse(value)?;
    }
    if option.key == LOCAL_TIME_ZONE && value != "default" {
        SessionZone::parse(value).map_err(|e| e.with("option", key))?;
    }
    if let Some(note) = note(key) {
        tracing::warn!("'{key}': {note}");
    }
    state.config.set(key, value);
    Ok(())
}

/// Begins of keys that are of Flink's cluster, its processes and their surroundings.
const OF_THE_CLUSTER: [&str; 47] = [
    "akka.",
    "blob.",
    "classloader.",
    "client.",
    "cluster.",
    "containerized.",
    "daemon.",
    "env.",
    "execution.allow-client-job-configurations",
    "execution.batch.",
    "execution.job-listeners",
    "execution.sorted-inputs.",
    "external-resource",
    "fs.",
    "high-availability",
    "historyserver.",
    "internal.",
    "io.tmp.dirs",
    "job.",
    "jobmanager.",
    "jobstore.",
    "kubernetes.",
    "metrics.",
    "parallelism.max",
    "pekko.",
    "pipeline.closure-cleaner-level",
    "pipeline.default-kryo-serializers",
    "pipeline.force-",
    "pipeline.registered-",
    "pipeline.serialization-config",
    "pipeline.time-characteristic",
    "process.",
    "python.",
    "queryable-state.",
    "resourcemanager.",
    "rest.",
    "s3a.",
    "security.",
    "slot.",
    "slotmanager.",
    "sql-gateway.",
    "table.exec.hive.",
    "table.exec.shuffle-mode",
    "taskmanager.",
    "user.artifacts.",
    "web.",
    "yarn.",
];

/// A key that nothing here reads. Flink takes any; who has mistyped one has to see it.
fn set_unknown(key: &str, value: &str, state: &mut SessionState) -> Result<()> {
    if key.is_empty() {
        return Err(Error::user("an option without a name").hint("Write SET 'key' = 'value'"));
    }
    tracing::warn!("{}", about_unknown(key));
    state.config.set(key, value);
    Ok(())
}

pub(super) fn about_unknown(key: &str) -> String {
    if OF_THE_CLUSTER.iter().any(|begin| key.starts_with(begin)) {
        return format!("'{key}': an option of Flink's cluster, its processes or libraries; has no effect here.");
    }
    match suggest::nearest(key, KNOWN.iter().map(|o| o.key).filter(|k| !k.contains('#'))) {
        Some(near) => format!("'{key}' is no option that anything here reads; did you mean '{near}'?"),
        None => {
            format!("'{key}' is no option that anything here reads; flott docs configuration lists those that are.")
        }
    }
}

/// RESET: of one key, or of all.
pub(super) fn reset(key: Option<&str>, state: &mut SessionState) -> Result<()> {
    match key {
        None => state.config = Default::default(),
        Some(key) => {
            let key = name_of_today(key.trim());
            if !state.config.remove(key) && known_option(key).is_none() {
                tracing::warn!("{}", about_unknown(key));
            }
        }
    }
    Ok(())
}
