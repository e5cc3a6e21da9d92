//! `lookup.cache` = `FULL`: the whole table is read before the first key and again from time to time, and lookups ask the copy
//! (Flink's `FullCachingLookupProvider`).
//!
//! A copy is read beside the one that answers and takes its place at once when it is complete. One that cannot be read leaves the
//! older one in place, except the first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_row::{OwnedRow, RowConverter, SortField};
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use flott_core::clock::Clock;
use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{Error, Result};
use tokio::task::JoinHandle;

use crate::lookup::{Lookup, LookupRows, LookupSource};

/// Some rows of a table, and the key of each.
#[derive(Debug, Clone)]
pub struct ScannedRows {
    /// The columns of [`LookupSource::key_schema`].
    pub keys: RecordBatch,
    /// The columns of [`LookupSource::schema`].
    pub rows: RecordBatch,
}

/// Reads a whole table once, as it is now.
#[async_trait]
pub trait LookupScan: Send {
    /// The next rows; `None` behind the last.
    async fn next(&mut self) -> Result<Option<ScannedRows>>;
}

/// `lookup.full-cache.reload-strategy`
pub const RELOAD_STRATEGY: ConfigOption = ConfigOption::optional(
    "lookup.full-cache.reload-strategy",
    OptionType::Enum(&["PERIODIC", "TIMED"]),
    Some("PERIODIC"),
    "When a FULL cache is read again: every so often, or at a time of day.",
);
/// `lookup.full-cache.periodic-reload.interval`
pub const RELOAD_INTERVAL: ConfigOption = ConfigOption::optional(
    "lookup.full-cache.periodic-reload.interval",
    OptionType::Duration,
    None,
    "How often a FULL cache is read again (PERIODIC).",
);
/// `lookup.full-cache.periodic-reload.schedule-mode`
pub const RELOAD_SCHEDULE_MODE: ConfigOption = ConfigOption::optional(
    "lookup.full-cache.periodic-reload.schedule-mode",
    OptionType::Enum(&["FIXED_DELAY", "FIXED_RATE"]),
    Some("FIXED_DELAY"),
    "Whether the interval counts from the end of the last reading or from its start (PERIODIC).",
);
/// `lookup.full-cache.timed-reload.iso-time`
pub const RELOAD_TIME: ConfigOption = ConfigOption::optional(
    "lookup.full-cache.timed-reload.iso-time",
    OptionType::String,
    None,
    "The time of day at which a FULL cache is read again, such as '03:00' or '03:00:00+01:00' (TIMED); UTC without an offset.",
);
/// `lookup.full-cache.timed-reload.interval-in-days`
pub const RELOAD_DAYS: ConfigOption = ConfigOption::optional(
    "lookup.full-cache.timed-reload.interval-in-days",
    OptionType::Int,
    Some("1"),
    "On every how manieth day (TIMED).",
);
/// `lookup.full-cache.max-bytes`: Flott's own.
pub const BYTES_MAX: ConfigOption = ConfigOption::optional(
    "lookup.full-cache.max-bytes",
    OptionType::Long,
    Some("1073741824"),
    "Memory that one copy may take, for each subtask; a table beyond it fails the job. Two copies are there while one is read.",
);

const DAY: Duration = Duration::from_secs(86_400);

/// When the table is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// So long after the last reading ended.
    FixedDelay(Duration),
    /// So long after it began.
    FixedRate(Duration),
    /// At a time of day, every so many days.
    Timed {
        /// Since midnight UTC.
        at: Duration,
        /// Days between.
        days: u32,
    },
}

/// A FULL cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullCache {
    /// See [`Reload`].
    pub reload: Reload,
    /// See [`BYTES_MAX`].
    pub bytes_max: usize,
}

impl FullCache {
    /// From a table's options.
    ///
    /// # Errors
    /// Options that are missing or make no sense.
    pub fn from_options(options: &Options) -> Result<FullCache> {
        let wrong = |option: &ConfigOption, text: String| Error::user(text).with("option", option.key);
        let word = |option: &ConfigOption| -> Result<String> {
            let text = options.text(option).unwrap_or_default();
            option.check(option.key, text)?;
            Ok(text.to_ascii_uppercase())
        };
        let reload = if word(&RELOAD_STRATEGY)? == "TIMED" {
            let text = options.text(&RELOAD_TIME).ok_or_else(|| {
                wrong(&RELOAD_TIME, format!("a TIMED cache needs '{}'", RELOAD_TIME.key))
                    .hint("Write a time such as '03:00'")
            })?;
            let at = time_of_day(text).ok_or_else(|| {
                wrong(&RELOAD_TIME, format!("'{text}' is no time of day"))
                    .hint("Write 'HH:MM[:SS]' and an offset such as 'Z' or '+01:00'")
            })?;
            let days = options.int(&RELOAD_DAYS)?.unwrap_or(1);
            let days = u32::try_from(days).ok().filter(|d| *d > 0);
            let days =
                days.ok_or_else(|| wrong(&RELOAD_DAYS, "there is at least a day between two readings".into()))?;
            Reload::Timed { at, days }
        } else {
            let interval = options.duration(&RELOAD_INTERVAL)?.filter(|i| !i.is_zero()).ok_or_else(|| {
                let text = format!("a PERIODIC cache needs '{}', more than 0", RELOAD_INTERVAL.key);
                wrong(&RELOAD_INTERVAL, text).hint("Write an interval such as '10 min'")
            })?;
            match word(&RELOAD_SCHEDULE_MODE)?.as_str() {
                "FIXED_RATE" => Reload::FixedRate(interval),
                _ => Reload::FixedDelay(interval),
            }
        };
        let bytes = options.long(&BYTES_MAX)?.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        let bytes_max = bytes.ok_or_else(|| wrong(&BYTES_MAX, "a cache of no bytes holds nothing".into()))?;
        Ok(FullCache { reload, bytes_max })
    }
}

/// `10:15[:30[.5]][Z|+01[:00]]` since midnight UTC.
fn time_of_day(text: &str) -> Option<Duration> {
    let text = text.trim().trim_start_matches('T');
    let (time, offset) = match text.find(['Z', 'z', '+', '-']) {
        None => (text, 0),
        Some(at) => {
            let (time, zone) = text.split_at(at);
            let digits = &zone[1..];
            let offset = match zone.as_bytes().first()? {
                b'Z' | b'z' if digits.is_empty() => 0,
                b'+' | b'-' => {
                    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
                    let (hours, minutes) = (number(hours, 18)?, number(minutes, 59)?);
                    let minutes = i64::from(hours * 60 + minutes);
                    if zone.starts_with('-') { -minutes } else { minutes }
                }
                _ => return None,
            };
            (time, offset)
        }
    };
    let mut parts = time.split(':');
    let (hours, minutes) = (number(parts.next()?, 23)?, number(parts.next()?, 59)?);
    let seconds = match parts.next() {
        None => Duration::ZERO,
        Some(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            let fraction: f64 = format!("0.{fraction}").parse().ok()?;
            Duration::from_secs(u64::from(number(whole, 59)?)) + Duration::try_from_secs_f64(fraction).ok()?
        }
    };
    if parts.next().is_some() {
        return None;
    }
    let minutes = (i64::from(hours * 60 + minutes) - offset).rem_euclid(24 * 60);
    Some(Duration::from_secs(minutes.unsigned_abs() * 60) + seconds)
}

fn number(text: &str, max: u32) -> Option<u32> {
    text.parse().ok().filter(|n| *n <= max && !text.is_empty() && text.len() <= 2 && !text.starts_with('+'))
}

/// A copy of a table.
struct Copy {
    pieces: Vec<RecordBatch>,
    /// Piece and row of the rows of each key, in their order.
    index: HashMap<OwnedRow, Vec<(u32, u32)>>,
}

/// What the task that reads shares with the lookup.
struct Shared {
    source: Arc<dyn LookupSource>,
    cache: FullCache,
    clock: Arc<dyn Clock>,
    current: Mutex<Option<Arc<Copy>>>,
}

/// Lookups in a copy of the whole table.
pub struct FullLookup {
    shared: Arc<Shared>,
    schema: SchemaRef,
    keys: RowConverter,
    reading: Option<JoinHandle<()>>,
}

impl FullLookup {
    /// Over a source that [scans](LookupSource::scans).
    pub fn new(source: Arc<dyn LookupSource>, cache: FullCache, clock: Arc<dyn Clock>) -> Result<FullLookup> {
        let (schema, keys) = (source.schema(), converter(&source.key_schema())?);
        let shared = Arc::new(Shared { source, cache, clock, current: Mutex::new(None) });
        Ok(FullLookup { shared, schema, keys, reading: None })
    }
}

fn converter(schema: &SchemaRef) -> Result<RowConverter> {
    Ok(RowConverter::new(schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect())?)
}

impl Shared {
    /// Reads the table and puts the copy in place of the one before.
    async fn read(&self) -> Result<()> {
        let mut scan = self.source.create_scan()?;
        let (keys, schema) = (converter(&self.source.key_schema())?, self.source.schema());
        let mut copy = Copy { pieces: vec![], index: HashMap::new() };
        let mut bytes = 0;
        while let Some(ScannedRows { keys: of, rows }) = scan.next().await? {
            if of.num_rows() != rows.num_rows() || rows.num_columns() != schema.fields().len() {
                return Err(Error::internal(
                    "a scan gave other columns than the table has, or rows without their keys",
                ));
            }
            let piece = copy.pieces.len() as u32;
            bytes += rows.get_array_memory_size();
            // A NULL is equal to nothing.
            let known = |row: usize| of.columns().iter().all(|c| c.is_valid(row));
            for (row, key) in keys.convert_columns(of.columns())?.iter().enumerate().filter(|(row, _)| known(*row)) {
                bytes += size_of::<(u32, u32)>();
                let key_bytes = key.as_ref().len() + size_of::<(OwnedRow, Vec<(u32, u32)>)>();
                let rows = copy.index.entry(key.owned()).or_insert_with(|| {
                    bytes += key_bytes;
                    vec![]
                });
                rows.push((piece, row as u32));
            }
            copy.pieces.push(rows);
            if bytes > self.cache.bytes_max {
                let rows: usize = copy.pieces.iter().map(RecordBatch::num_rows).sum();
                return Err(Error::data(format!(
                    "a FULL lookup cache would take more than {} bytes: {rows} rows have been read, and there are more",
                    self.cache.bytes_max
                ))
                .with("option", BYTES_MAX.key)
                .hint(format!("Raise '{}', or use 'lookup.cache' = 'PARTIAL'", BYTES_MAX.key)));
            }
        }
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(copy));
        Ok(())
    }

    fn current(&self) -> Option<Arc<Copy>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long until the next reading, given when the last one began. `due`: when that was due, of those at a time of day
    /// (since the epoch, UTC); none was yet at first.
    fn pause(&self, began: Duration, due: &mut Option<Duration>) -> Duration {
        match self.cache.reload {
            Reload::FixedDelay(interval) => interval,
            Reload::FixedRate(interval) => (began + interval).saturating_sub(self.clock.monotonic()),
            Reload::Timed { at, days } => {
                let now = Duration::from_millis(u64::try_from(self.clock.now_ms()).unwrap_or(0));
                let today = Duration::from_secs(now.as_secs() / DAY.as_secs() * DAY.as_secs()) + at;
                // The first one is at the next such time, today or tomorrow.
                let first = if today > now { today } else { today + DAY };
                let next = match *due {
                    Some(last) if last + DAY * days > now => last + DAY * days,
                    _ => first,
                };
                *due = Some(next);
                next.saturating_sub(now)
            }
        }
    }

    async fn read_again(&self, mut began: Duration) {
        let mut due = None;
        loop {
            tokio::time::sleep(self.pause(began, &mut due)).await;
            began = self.clock.monotonic();
            if let Err(error) = self.read().await {
                tracing::warn!(%error, "a lookup table could not be read again; what was read before still answers");
            }
        }
    }
}

#[async_trait]
impl Lookup for FullLookup {
    async fn start(&mut self) -> Result<()> {
        let began = self.shared.clock.monotonic();
        self.shared.read().await?;
        let shared = Arc::clone(&self.shared);
        self.reading = Some(tokio::spawn(async move { shared.read_again(began).await }));
        Ok(())
    }

    async fn lookup(&mut self, keys: &RecordBatch) -> Result<LookupRows> {
        let copy = self.shared.current().ok_or_else(|| Error::internal("a lookup before its table was read"))?;
        let (mut places, mut of): (Vec<(usize, usize)>, Vec<u32>) = (vec![], vec![]);
        for (i, key) in (0..).zip(self.keys.convert_columns(keys.columns())?.iter()) {
            let rows = copy.index.get(&key.owned()).map(Vec::as_slice).unwrap_or_default();
            places.extend(rows.iter().map(|(piece, row)| (*piece as usize, *row as usize)));
            of.extend(std::iter::repeat_n(i, rows.len()));
        }
        let pieces: Vec<&RecordBatch> = copy.pieces.iter().collect();
        let rows = match pieces.is_empty() {
            true => RecordBatch::new_empty(Arc::clone(&self.schema)),
            false => arrow_select::interleave::interleave_record_batch(&pieces, &places)?,
        };
        Ok(LookupRows { rows, keys: UInt32Array::from(of) })
    }

    async fn close(&mut self) -> Result<()> {
        self.reading.take().inspect(JoinHandle::abort);
        *self.shared.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

impl Drop for FullLookup {
    fn drop(&mut self) {
        self.reading.take().inspect(JoinHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;
    use arrow_schema::{DataType, Field, Schema};
    use flott_core::clock::ManualClock;

    use super::*;
    use crate::lookup::LookupPolicy;
    use crate::source::SubtaskInfo;

    /// The value of each key; reading fails where it is empty.
    struct Table(Mutex<Vec<(Option<i64>, i64)>>);

    struct Scan(Vec<(Option<i64>, i64)>);

    fn column(name: &str) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new(name, DataType::Int64, true)]))
    }

    fn batch(name: &str, values: Vec<Option<i64>>) -> RecordBatch {
        RecordBatch::try_new(column(name), vec![Arc::new(Int64Array::from(values))]).expect("a batch")
    }

    impl LookupSource for Table {
        fn key_schema(&self) -> SchemaRef {
            column("k")
        }

        fn schema(&self) -> SchemaRef {
            column("v")
        }

        fn create_lookup(&self, _subtask: SubtaskInfo) -> Result<Box<dyn Lookup>> {
            Err(Error::internal("nobody asks for single keys"))
        }

        fn scans(&self) -> bool {
            true
        }

        fn create_scan(&self) -> Result<Box<dyn LookupScan>> {
            let rows = self.0.lock().expect("not poisoned").clone();
            if rows.is_empty() {
                return Err(Error::unavailable("away"));
            }
            Ok(Box::new(Scan(rows)))
        }
    }

    #[async_trait]
    impl LookupScan for Scan {
        async fn next(&mut self) -> Result<Option<ScannedRows>> {
            let piece: Vec<(Option<i64>, i64)> = self.0.drain(..self.0.len().min(2)).collect();
            let keys = batch("k", piece.iter().map(|r| r.0).collect());
            let rows = batch("v", piece.iter().map(|r| Some(r.1)).collect());
            Ok((!piece.is_empty()).then_some(ScannedRows { keys, rows }))
        }
    }

    const EVERY_MINUTE: &[(&str, &str)] =
        &[("lookup.cache", "FULL"), ("lookup.full-cache.periodic-reload.interval", "1 min")];

    fn lookup(table: &Arc<Table>, options: &[(&str, &str)]) -> (FullLookup, Arc<ManualClock>) {
        let options: Options = options.iter().copied().collect();
        let cache = LookupPolicy::from_options(&options).expect("a policy").full.expect("a full cache");
        let clock = ManualClock::at_ms(0);
        (FullLookup::new(Arc::clone(table) as _, cache, clock.clone()).expect("a lookup"), clock)
    }

    async fn ask(lookup: &mut FullLookup, keys: &[i64]) -> Vec<(u32, i64)> {
        let found = lookup.lookup(&batch("k", keys.iter().map(|k| Some(*k)).collect())).await.expect("found");
        let values = found.rows.column(0).as_any().downcast_ref::<Int64Array>().expect("numbers").values().to_vec();
        found.keys.values().iter().copied().zip(values).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_read_before_the_first_key_and_again_while_the_copy_answers() {
        let table =
            Arc::new(Table(Mutex::new(vec![(Some(1), 10), (None, 0), (Some(2), 20), (Some(1), 11), (Some(3), 30)])));
        let (mut lookup, _) = lookup(&table, EVERY_MINUTE);
        lookup.start().await.expect("read");
        assert_eq!(ask(&mut lookup, &[3, 4, 1]).await, [(0, 30), (2, 10), (2, 11)]);
        *table.0.lock().expect("not poisoned") = vec![(Some(1), 12)];
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert_eq!(ask(&mut lookup, &[1]).await, [(0, 10), (0, 11)]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(ask(&mut lookup, &[1, 3]).await, [(0, 12)]);
        // What cannot be read leaves what there is, and is tried again.
        table.0.lock().expect("not poisoned").clear();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(ask(&mut lookup, &[1]).await, [(0, 12)]);
        *table.0.lock().expect("not poisoned") = vec![(Some(1), 13)];
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(ask(&mut lookup, &[1]).await, [(0, 13)]);
        let shared = Arc::downgrade(&lookup.shared);
        lookup.close().await.expect("closed");
        drop(lookup);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(shared.strong_count(), 0, "nobody reads any more");
    }

    #[tokio::test]
    async fn the_first_reading_must_succeed_and_fit() {
        let (mut away, _) = lookup(&Arc::new(Table(Mutex::new(vec![]))), EVERY_MINUTE);
        assert_eq!(away.start().await.expect_err("nothing to read").kind(), flott_core::ErrorKind::Unavailable);
        let table = Arc::new(Table(Mutex::new((0..10_000).map(|i| (Some(i), i)).collect())));
        let small: Vec<_> = EVERY_MINUTE.iter().copied().chain([("lookup.full-cache.max-bytes", "100000")]).collect();
        let (mut lookup, _) = lookup(&table, &small);
        let error = lookup.start().await.expect_err("too large");
        assert!(error.to_string().contains("more than 100000 bytes"), "{error}");
        assert_eq!(error.context("option"), Some(BYTES_MAX.key));
    }

    #[test]
    fn a_time_of_day_is_that_of_its_zone() {
        let seconds = |text: &str| time_of_day(text).map(|d| d.as_secs_f64());
        for (text, expected) in [
            ("00:00", Some(0.0)),
            ("10:15", Some(36_900.0)),
            ("10:15:30.5Z", Some(36_930.5)),
            ("00:30+01:00", Some(84_600.0)),
            ("23:30-01", Some(1_800.0)),
            ("24:00", None),
            ("10", None),
            ("10:15:30:1", None),
            ("10:15+19:00", None),
            ("noon", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn the_next_reading_is_at_its_time() {
        let table = Arc::new(Table(Mutex::new(vec![(Some(1), 1)])));
        let at = |days: &str, hour: i64| {
            let options = [
                ("lookup.cache", "FULL"),
                ("lookup.full-cache.reload-strategy", "TIMED"),
                ("lookup.full-cache.timed-reload.iso-time", "03:00"),
                ("lookup.full-cache.timed-reload.interval-in-days", days),
            ];
            let (lookup, clock) = lookup(&table, &options);
            clock.advance_ms(hour * 3_600_000);
            let mut due = None;
            let first = lookup.shared.pause(Duration::ZERO, &mut due);
            // The clock of the machine may be a little behind when it wakes up.
            clock.advance_ms(i64::try_from(first.as_millis()).expect("a pause") - 1);
            let second = lookup.shared.pause(Duration::ZERO, &mut due);
            (first.as_secs() / 3_600, second.as_secs() / 3_600)
        };
        assert_eq!((at("1", 1), at("1", 3), at("1", 4), at("2", 1)), ((2, 24), (24, 24), (23, 24), (2, 48)));
        let rate: Vec<_> = EVERY_MINUTE
            .iter()
            .copied()
            .chain([("lookup.full-cache.periodic-reload.schedule-mode", "FIXED_RATE")])
            .collect();
        let (lookup, clock) = lookup(&table, &rate);
        clock.advance_ms(50_000);
        assert_eq!(
            lookup.shared.pause(lookup.shared.clock.monotonic() - Duration::from_secs(50), &mut None).as_secs(),
            10
        );
    }

    #[test]
    fn what_is_missing_is_told() {
        let wrong: [&[(&str, &str)]; 5] = [
            &[],
            &[("lookup.full-cache.periodic-reload.interval", "0 s")],
            &[("lookup.full-cache.reload-strategy", "TIMED")],
            &[("lookup.full-cache.reload-strategy", "TIMED"), ("lookup.full-cache.timed-reload.iso-time", "25:00")],
            &[("lookup.full-cache.periodic-reload.interval", "1 s"), ("lookup.full-cache.max-bytes", "0")],
        ];
        for options in wrong {
            let options: Options = options.iter().copied().chain([("lookup.cache", "FULL")]).collect();
            let error = LookupPolicy::from_options(&options).expect_err("wrong");
            assert!(error.context("option").is_some_and(|o| o.starts_with("lookup.full-cache")), "{error}");
        }
    }
}
