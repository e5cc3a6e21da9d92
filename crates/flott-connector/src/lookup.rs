//! Lookups: rows of an outside table by key, for a join that asks for each row (Flink's `LookupTableSource`).
//!
//! One call asks for a batch of keys. [`FullLookup`](crate::lookup_full::FullLookup) answers from a copy of the whole table. [`CachedLookup`] puts a cache of a bounded number of keys and a bounded number of
//! tries in front of any lookup, with Flink's options; a connector offers the lookup alone.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_row::{OwnedRow, RowConverter, SortField};
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use flott_core::clock::Clock;
use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{Error, ErrorKind, Result};

use crate::lookup_full::{self, FullCache, LookupScan};
use crate::source::SubtaskInfo;

/// The rows that belong to a batch of keys.
#[derive(Debug, Clone)]
pub struct LookupRows {
    /// Rows of the outside table.
    pub rows: RecordBatch,
    /// Of each row the index of its key in the batch that was asked for, never falling. A key may have none, or many.
    pub keys: UInt32Array,
}

/// Makes lookups. Shared by all threads.
pub trait LookupSource: Send + Sync {
    /// The columns of a key, in the order in which they are asked for.
    fn key_schema(&self) -> SchemaRef;
    /// The columns of a row.
    fn schema(&self) -> SchemaRef;
    /// The lookup of one subtask.
    fn create_lookup(&self, subtask: SubtaskInfo) -> Result<Box<dyn Lookup>>;
    /// Whether the whole table can be read, for `lookup.cache` = `FULL`.
    fn scans(&self) -> bool {
        false
    }
    /// Reads the whole table, where it [can be](LookupSource::scans).
    fn create_scan(&self) -> Result<Box<dyn LookupScan>> {
        Err(Error::internal("a table that cannot be read as a whole"))
    }
}

/// Looks keys up. One per subtask, in an async task of its own; one call at a time.
#[async_trait]
pub trait Lookup: Send {
    /// Called once, before any key.
    async fn start(&mut self) -> Result<()> {
        Ok(())
    }
    /// The rows of these keys as they are now, of distinct keys without NULLs. The future may be dropped: the same keys may
    /// be asked for again.
    async fn lookup(&mut self, keys: &RecordBatch) -> Result<LookupRows>;
    /// Releases what it holds.
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// `lookup.cache`
pub const CACHE: ConfigOption = ConfigOption::optional(
    "lookup.cache",
    OptionType::String,
    Some("NONE"),
    "'NONE' asks for every key, 'PARTIAL' keeps what was found, 'FULL' reads the whole table from time to time.",
);
/// `lookup.partial-cache.max-rows`
pub const CACHE_ROWS_MAX: ConfigOption = ConfigOption::optional(
    "lookup.partial-cache.max-rows",
    OptionType::Int,
    None,
    "Rows that the cache holds; what was used longest ago goes first.",
);
/// `lookup.partial-cache.expire-after-write`
pub const CACHE_EXPIRE_AFTER_WRITE: ConfigOption = ConfigOption::optional(
    "lookup.partial-cache.expire-after-write",
    OptionType::Duration,
    None,
    "So long after it was found a key is asked for again.",
);
/// `lookup.partial-cache.expire-after-access`
pub const CACHE_EXPIRE_AFTER_ACCESS: ConfigOption = ConfigOption::optional(
    "lookup.partial-cache.expire-after-access",
    OptionType::Duration,
    None,
    "So long after it was last used a key is asked for again.",
);
/// `lookup.partial-cache.cache-missing-key`
pub const CACHE_MISSING_KEY: ConfigOption = ConfigOption::optional(
    "lookup.partial-cache.cache-missing-key",
    OptionType::Boolean,
    Some("true"),
    "Whether it is kept that a key has no row.",
);
/// `lookup.max-retries`
pub const RETRIES_MAX: ConfigOption = ConfigOption::optional(
    "lookup.max-retries",
    OptionType::Int,
    Some("3"),
    "Tries after one that failed for a reason that may pass.",
);

/// The options of every lookup: a connector that has one lists them with its own.
pub const OPTIONS: [ConfigOption; 12] = [
    CACHE,
    CACHE_ROWS_MAX,
    CACHE_EXPIRE_AFTER_WRITE,
    CACHE_EXPIRE_AFTER_ACCESS,
    CACHE_MISSING_KEY,
    RETRIES_MAX,
    lookup_full::RELOAD_STRATEGY,
    lookup_full::RELOAD_INTERVAL,
    lookup_full::RELOAD_SCHEDULE_MODE,
    lookup_full::RELOAD_TIME,
    lookup_full::RELOAD_DAYS,
    lookup_full::BYTES_MAX,
];

/// The first pause before another try; it doubles.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// The longest.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Rows of a cache whose size nobody has said.
const CACHE_ROWS_DEFAULT: usize = 100_000;

/// What is kept, and how often is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupPolicy {
    /// Rows (and keys without one) in the cache; 0 keeps nothing.
    pub cache_rows_max: usize,
    /// See [`CACHE_EXPIRE_AFTER_WRITE`].
    pub expire_after_write: Option<Duration>,
    /// See [`CACHE_EXPIRE_AFTER_ACCESS`].
    pub expire_after_access: Option<Duration>,
    /// See [`CACHE_MISSING_KEY`].
    pub cache_missing_key: bool,
    /// See [`RETRIES_MAX`].
    pub retries_max: u32,
    /// Where the whole table is kept.
    pub full: Option<FullCache>,
}

impl LookupPolicy {
    /// From a table's options.
    pub fn from_options(options: &Options) -> Result<LookupPolicy> {
        let wrong = |key: &'static str, text: &str| Error::user(text.to_string()).with("option", key);
        let rows = options.int(&CACHE_ROWS_MAX)?.map(usize::try_from).transpose();
        let rows = rows.map_err(|_| wrong(CACHE_ROWS_MAX.key, "a cache cannot hold less than no row"))?;
        let cache = options.text(&CACHE).unwrap_or("NONE").to_ascii_uppercase();
        let cache_rows_max = match cache.as_str() {
            "NONE" => 0,
            "PARTIAL" => rows.unwrap_or(CACHE_ROWS_DEFAULT),
            "FULL" => 0,
            other => {
                let error = wrong(CACHE.key, &format!("there is no cache '{other}'"));
                return Err(error.hint("Use 'NONE', 'PARTIAL' or 'FULL'"));
            }
        };
        let retries = options.int(&RETRIES_MAX)?.unwrap_or(3);
        Ok(LookupPolicy {
            cache_rows_max,
            expire_after_write: options.duration(&CACHE_EXPIRE_AFTER_WRITE)?,
            expire_after_access: options.duration(&CACHE_EXPIRE_AFTER_ACCESS)?,
            cache_missing_key: options.bool(&CACHE_MISSING_KEY)?,
            retries_max: u32::try_from(retries)
                .map_err(|_| wrong(RETRIES_MAX.key, "there cannot be fewer than no retries"))?,
            full: (cache == "FULL").then(|| FullCache::from_options(options)).transpose()?,
        })
    }
}

/// The rows of one key.
struct Cached {
    rows: RecordBatch,
    written: Duration,
    used: Duration,
    /// Which of the uses in the queue is the last.
    use_id: u64,
}

/// A lookup with a cache and retries in front.
pub struct CachedLookup {
    inner: Box<dyn Lookup>,
    policy: LookupPolicy,
    clock: Arc<dyn Clock>,
    schema: SchemaRef,
    keys: RowConverter,
    cache: HashMap<OwnedRow, Cached>,
    /// Uses, oldest first; only the last of a key counts.
    uses: VecDeque<(OwnedRow, u64)>,
    held: usize,
    next_use: u64,
    hits: u64,
    misses: u64,
}

impl CachedLookup {
    /// Puts a cache in front of a lookup of this source.
    pub fn new(
        source: &dyn LookupSource,
        inner: Box<dyn Lookup>,
        policy: LookupPolicy,
        clock: Arc<dyn Clock>,
    ) -> Result<CachedLookup> {
        let key_schema = source.key_schema();
        let fields = key_schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        Ok(CachedLookup {
            inner,
            policy,
            clock,
            schema: source.schema(),
            keys: RowConverter::new(fields)?,
            cache: HashMap::new(),
            uses: VecDeque::new(),
            held: 0,
            next_use: 0,
            hits: 0,
            misses: 0,
        })
    }

    /// Keys that were found in the cache, and keys that had to be asked for (Flink's `hitCount` and `missCount`).
    pub fn counts(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    /// Rows that the cache holds, a key without one counted as one.
    pub fn held(&self) -> usize {
        self.held
    }

    fn weight(rows: &RecordBatch) -> usize {
        rows.num_rows().max(1)
    }

    /// As [`lookup`](Lookup::lookup), whatever the cache says: for keys that had no row the last time.
    pub async fn lookup_again(&mut self, keys: &RecordBatch) -> Result<LookupRows> {
        for key in self.keys.convert_columns(keys.columns())?.iter() {
            self.remove(&key.owned());
        }
        self.lookup(keys).await
    }

    fn remove(&mut self, key: &OwnedRow) {
        if let Some(old) = self.cache.remove(key) {
            self.held -= Self::weight(&old.rows);
        }
    }

    /// What is kept of a key and still counts.
    fn cached(&mut self, key: &OwnedRow, now: Duration) -> Option<RecordBatch> {
        let over = |since: Duration, limit: Option<Duration>| limit.is_some_and(|l| now.saturating_sub(since) >= l);
        let found = self.cache.get(key)?;
        if over(found.written, self.policy.expire_after_write) || over(found.used, self.policy.expire_after_access) {
            self.remove(key);
            return None;
        }
        let rows = found.rows.clone();
        self.use_key(key, now);
        Some(rows)
    }

    fn use_key(&mut self, key: &OwnedRow, now: Duration) {
        self.next_use += 1;
        if let Some(cached) = self.cache.get_mut(key) {
            (cached.used, cached.use_id) = (now, self.next_use);
            self.uses.push_back((key.clone(), self.next_use));
        }
        // Uses that a later one has replaced are swept before there are many of them.
        if self.uses.len() > 2 * self.cache.len() + 16 {
            let cache = &self.cache;
            self.uses.retain(|(key, id)| cache.get(key).is_some_and(|c| c.use_id == *id));
        }
    }

    /// An answer as it must be, before anybody trusts it.
    fn check(&self, rows: &RecordBatch, of: &UInt32Array) -> Result<()> {
        if of.len() != rows.num_rows() || arrow_array::Array::null_count(of) > 0 {
            return Err(malformed("another number of rows than of keys that they belong to"));
        }
        let schema = rows.schema();
        let types = |schema: &SchemaRef| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
        if types(&schema) != types(&self.schema) {
            return Err(malformed(&format!("the columns {:?} in place of {:?}", types(&schema), types(&self.schema))));
        }
        Ok(())
    }

    /// Whether so many rows of a key are kept.
    fn keeps(&self, rows: usize) -> bool {
        rows.max(1) <= self.policy.cache_rows_max && (rows > 0 || self.policy.cache_missing_key)
    }

    fn keep(&mut self, key: OwnedRow, rows: RecordBatch, now: Duration) {
        let weight = Self::weight(&rows);
        self.remove(&key);
        self.held += weight;
        self.cache.insert(key.clone(), Cached { rows, written: now, used: now, use_id: 0 });
        self.use_key(&key, now);
        while self.held > self.policy.cache_rows_max {
            let Some((oldest, id)) = self.uses.pop_front() else { break };
            if self.cache.get(&oldest).is_some_and(|c| c.use_id == id) {
                self.remove(&oldest);
            }
        }
    }

    async fn ask(&mut self, keys: &RecordBatch) -> Result<LookupRows> {
        let mut pause = RETRY_PAUSE;
        for _ in 0..self.policy.retries_max {
            match self.inner.lookup(keys).await {
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    tracing::warn!(%error, pause_ms = pause.as_millis() as u64, "a lookup is tried again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
                done => return done,
            }
        }
        self.inner.lookup(keys).await
    }
}

fn malformed(what: &str) -> Error {
    Error::internal(format!("a lookup gave {what}"))
}

#[async_trait]
impl Lookup for CachedLookup {
    async fn start(&mut self) -> Result<()> {
        self.inner.start().await
    }

    async fn lookup(&mut self, keys: &RecordBatch) -> Result<LookupRows> {
        let encoded = self.keys.convert_columns(keys.columns())?;
        let encoded: Vec<OwnedRow> = encoded.iter().map(|k| k.owned()).collect();
        let now = self.clock.monotonic();
        let mut found: Vec<Option<RecordBatch>> = encoded.iter().map(|k| self.cached(k, now)).collect();
        let missing: Vec<u32> = (0..).zip(&found).filter(|(_, f)| f.is_none()).map(|(i, _)| i).collect();
        self.hits += (found.len() - missing.len()) as u64;
        self.misses += missing.len() as u64;
        if !missing.is_empty() {
            let asked = arrow_select::take::take_record_batch(keys, &UInt32Array::from(missing.clone()))?;
            let LookupRows { rows, keys: of } = self.ask(&asked).await?;
            self.check(&rows, &of)?;
            let now = self.clock.monotonic();
            let mut at = 0;
            for (i, key) in missing.iter().enumerate() {
                let begin = at;
                while at < of.len() && of.value(at) as usize == i {
                    at += 1;
                }
                let of_key = rows.slice(begin, at - begin);
                if self.keeps(of_key.num_rows()) {
                    // A slice would hold the rows of all keys as long as this one is kept.
                    let own: UInt32Array = (begin as u32..at as u32).collect();
                    let own = arrow_select::take::take_record_batch(&rows, &own)?;
                    self.keep(encoded[*key as usize].clone(), own, now);
                }
                found[*key as usize] = Some(of_key);
            }
            if at != of.len() {
                return Err(malformed("rows of keys that were not asked for, or not in their order"));
            }
        }
        let mut of = vec![];
        for (i, rows) in (0..).zip(found.iter().flatten()) {
            of.extend(std::iter::repeat_n(i, rows.num_rows()));
        }
        let rows = arrow_select::concat::concat_batches(&self.schema, found.iter().flatten())?;
        Ok(LookupRows { rows, keys: UInt32Array::from(of) })
    }

    async fn close(&mut self) -> Result<()> {
        self.cache.clear();
        self.inner.close().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use arrow_array::Int64Array;
    use arrow_schema::{DataType, Field, Schema};
    use flott_core::clock::ManualClock;

    use super::*;

    /// Key `k` has `k % 3` rows. Fails so often first.
    #[derive(Default)]
    struct Table {
        asked: Mutex<Vec<Vec<i64>>>,
        failures: Mutex<u32>,
    }

    struct Thirds(Arc<Table>);

    fn column(name: &str) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new(name, DataType::Int64, false)]))
    }

    fn batch(name: &str, values: Vec<i64>) -> RecordBatch {
        RecordBatch::try_new(column(name), vec![Arc::new(Int64Array::from(values))]).expect("a batch")
    }

    impl LookupSource for Thirds {
        fn key_schema(&self) -> SchemaRef {
            column("k")
        }

        fn schema(&self) -> SchemaRef {
            column("v")
        }

        fn create_lookup(&self, _subtask: SubtaskInfo) -> Result<Box<dyn Lookup>> {
            Ok(Box::new(Thirds(Arc::clone(&self.0))))
        }
    }

    fn values(batch: &RecordBatch) -> Vec<i64> {
        batch.column(0).as_any().downcast_ref::<Int64Array>().expect("numbers").values().to_vec()
    }

    #[async_trait]
    impl Lookup for Thirds {
        async fn lookup(&mut self, keys: &RecordBatch) -> Result<LookupRows> {
            let keys = values(keys);
            self.0.asked.lock().expect("not poisoned").push(keys.clone());
            let mut failures = self.0.failures.lock().expect("not poisoned");
            if *failures > 0 {
                *failures -= 1;
                return Err(Error::unavailable("away"));
            }
            let rows = (0..).zip(keys).flat_map(|(i, k)| (0..k % 3).map(move |n| (i, k * 10 + n)));
            let (of, rows): (Vec<u32>, Vec<i64>) = rows.unzip();
            Ok(LookupRows { rows: batch("v", rows), keys: UInt32Array::from(of) })
        }
    }

    fn lookup(table: &Arc<Table>, options: &[(&str, &str)]) -> (CachedLookup, Arc<ManualClock>) {
        let options: Options = options.iter().copied().collect();
        let (source, clock) = (Thirds(Arc::clone(table)), ManualClock::at_ms(0));
        let inner = source.create_lookup(SubtaskInfo { index: 0, parallelism: 1 }).expect("a lookup");
        let policy = LookupPolicy::from_options(&options).expect("a policy");
        (CachedLookup::new(&source, inner, policy, clock.clone()).expect("a cache"), clock)
    }

    async fn ask(lookup: &mut CachedLookup, keys: &[i64]) -> Vec<(u32, i64)> {
        let found = lookup.lookup(&batch("k", keys.to_vec())).await.expect("found");
        found.keys.values().iter().copied().zip(values(&found.rows)).collect()
    }

    #[tokio::test]
    async fn what_is_kept_is_not_asked_for() {
        let table = Arc::<Table>::default();
        let (mut cached, _) = lookup(&table, &[("lookup.cache", "PARTIAL")]);
        assert_eq!(ask(&mut cached, &[1, 2, 3]).await, [(0, 10), (1, 20), (1, 21)]);
        assert_eq!(ask(&mut cached, &[3, 4, 2]).await, [(1, 40), (2, 20), (2, 21)]);
        assert_eq!(*table.asked.lock().expect("not poisoned"), [vec![1, 2, 3], vec![4]]);
        assert_eq!(cached.counts(), (2, 4));
        let (mut plain, _) = lookup(&table, &[]);
        ask(&mut plain, &[1]).await;
        ask(&mut plain, &[1]).await;
        assert_eq!(plain.counts(), (0, 2));
    }

    #[tokio::test]
    async fn a_key_without_rows_need_not_be_kept() {
        let table = Arc::<Table>::default();
        let options = [("lookup.cache", "PARTIAL"), ("lookup.partial-cache.cache-missing-key", "false")];
        let (mut cached, _) = lookup(&table, &options);
        for _ in 0..2 {
            assert_eq!(ask(&mut cached, &[1, 3]).await, [(0, 10)]);
        }
        assert_eq!(*table.asked.lock().expect("not poisoned"), [vec![1, 3], vec![3]]);
    }

    #[tokio::test]
    async fn the_cache_holds_so_many_rows_and_forgets_what_was_used_longest_ago() {
        let table = Arc::<Table>::default();
        let (mut cached, _) = lookup(&table, &[("lookup.cache", "PARTIAL"), ("lookup.partial-cache.max-rows", "3")]);
        ask(&mut cached, &[1, 2]).await;
        ask(&mut cached, &[1]).await;
        // 2 has two rows and was used before 1.
        ask(&mut cached, &[4]).await;
        assert_eq!(cached.held(), 2);
        ask(&mut cached, &[1, 4, 2]).await;
        assert_eq!(table.asked.lock().expect("not poisoned").last(), Some(&vec![2]));
        for i in 0..1_000 {
            ask(&mut cached, &[i % 5]).await;
            assert!(
                cached.held() <= 3 && cached.uses.len() <= 2 * 3 + 16 + 1,
                "{} {}",
                cached.held(),
                cached.uses.len()
            );
        }
    }

    #[tokio::test]
    async fn what_is_old_is_asked_for_again() {
        for (option, used_meanwhile, asked) in [
            ("lookup.partial-cache.expire-after-write", true, 2),
            ("lookup.partial-cache.expire-after-access", true, 1),
            ("lookup.partial-cache.expire-after-access", false, 2),
        ] {
            let table = Arc::<Table>::default();
            let (mut cached, clock) = lookup(&table, &[("lookup.cache", "PARTIAL"), (option, "10 s")]);
            ask(&mut cached, &[1]).await;
            clock.advance_ms(6_000);
            if used_meanwhile {
                ask(&mut cached, &[1]).await;
            }
            clock.advance_ms(6_000);
            ask(&mut cached, &[1]).await;
            assert_eq!(table.asked.lock().expect("not poisoned").len(), asked, "{option} {used_meanwhile}");
        }
    }

    #[tokio::test]
    async fn what_is_kept_of_a_key_holds_no_rows_of_others() {
        let table = Arc::<Table>::default();
        let (mut cached, _) = lookup(&table, &[("lookup.cache", "PARTIAL")]);
        ask(&mut cached, &(0..3_000).collect::<Vec<_>>()).await;
        let bytes: usize = cached.cache.values().map(|c| c.rows.get_array_memory_size()).sum();
        assert!(bytes < 3_000 * 1_000, "3,000 rows in {bytes} bytes");
    }

    /// An answer that is none.
    struct Wrong(fn() -> LookupRows);

    #[async_trait]
    impl Lookup for Wrong {
        async fn lookup(&mut self, _keys: &RecordBatch) -> Result<LookupRows> {
            Ok((self.0)())
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_an_error() {
        let answers: [fn() -> LookupRows; 5] = [
            || LookupRows { rows: batch("v", vec![1]), keys: UInt32Array::from(vec![0, 0, 1]) },
            || LookupRows { rows: batch("v", vec![1, 2, 3]), keys: UInt32Array::from(vec![0]) },
            || LookupRows { rows: batch("v", vec![1, 2]), keys: UInt32Array::from(vec![1, 0]) },
            || LookupRows { rows: batch("v", vec![1]), keys: UInt32Array::from(vec![7]) },
            || LookupRows {
                rows: RecordBatch::try_from_iter([
                    ("v", Arc::new(Int64Array::from(vec![1])) as _),
                    ("w", Arc::new(Int64Array::from(vec![1])) as _),
                ])
                .expect("a batch"),
                keys: UInt32Array::from(vec![0]),
            },
        ];
        for answer in answers {
            let source = Thirds(Arc::default());
            let policy = LookupPolicy::from_options(&Options::default()).expect("a policy");
            let inner = Box::new(Wrong(answer));
            let mut lookup = CachedLookup::new(&source, inner, policy, ManualClock::at_ms(0)).expect("a cache");
            let error = lookup.lookup(&batch("k", vec![1, 2])).await.expect_err("no answer");
            assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_again_so_often() {
        let table = Arc::<Table>::default();
        *table.failures.lock().expect("not poisoned") = 2;
        let (mut twice, _) = lookup(&table, &[("lookup.max-retries", "2")]);
        assert_eq!(ask(&mut twice, &[1]).await, [(0, 10)]);
        *table.failures.lock().expect("not poisoned") = 3;
        let error = twice.lookup(&batch("k", vec![1])).await.expect_err("too often");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn wrong_options_are_told() {
        for (key, value) in
            [("lookup.cache", "SOME"), ("lookup.partial-cache.max-rows", "-1"), ("lookup.max-retries", "-1")]
        {
            let error = LookupPolicy::from_options(&[(key, value)].into_iter().collect()).expect_err("wrong");
            assert_eq!(error.context("option"), Some(key), "{error}");
        }
    }
}
