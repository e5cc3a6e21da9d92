//! What `datagen` makes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use flott_connector::factory::ConnectorFactory;
use flott_connector::source::Source;
use flott_connector_basic::datagen::Datagen;
use flott_core::ChangeBatch;
use flott_core::clock::{Clock, ManualClock, SystemClock};
use flott_testkit::{SourceHarness, TableBuilder, rows_of, schema};

/// No limit in these tests.
const FAST: (&str, &str) = ("rows-per-second", "1000000000000");

fn source_of(clock: Arc<dyn Clock>, table: &TableBuilder) -> Arc<dyn Source> {
    Datagen::new(clock).source(&table.source()).unwrap_or_else(|e| panic!("{e}")).source
}

fn table(columns: &str, options: &[(&str, &str)]) -> TableBuilder {
    let table = TableBuilder::new("t", columns).option("connector", "datagen").option(FAST.0, FAST.1);
    options.iter().fold(table, |t, (k, v)| t.option(k, v))
}

async fn all(source: &Arc<dyn Source>, parallelism: usize) -> Vec<ChangeBatch> {
    SourceHarness::start(source, parallelism, None).await.expect("started").run_to_end().await.expect("read")
}

/// All values of the only column, for a fixed number of rows.
async fn column(t: &str, rows: usize, options: &[(&str, &str)]) -> ArrayRef {
    let columns = format!("a {t}");
    let table = table(&columns, options).option("number-of-rows", &rows.to_string());
    let batches = all(&source_of(ManualClock::at_ms(86_400_000 + 1_500), &table), 1).await;
    let whole = ChangeBatch::concat(&schema(&columns), &batches).expect("one schema");
    assert_eq!(whole.num_rows(), rows);
    Arc::clone(whole.rows.column(0))
}

#[tokio::test]
async fn every_type_is_made() {
    let columns = "f0 CHAR(1), f1 VARCHAR(10), f2 STRING, f3 BOOLEAN, f4 DECIMAL(32, 2), f5 TINYINT, f6 SMALLINT, f7 INT, \
                   f8 BIGINT, f9 FLOAT, f10 DOUBLE, f11 DATE, f12 TIME(0), f13 TIMESTAMP(6), f15 TIMESTAMP_LTZ(6), \
                   f16 INTERVAL DAY TO SECOND(3), f17 ARRAY<INT>, f18 MAP<STRING, DATE>, f19 MULTISET<DECIMAL(32, 2)>, \
                   f20 ROW<a BIGINT, b TIME(0), c ROW<d TIMESTAMP(6)>>, f21 BINARY(2), f22 BYTES, f23 VARBINARY(4), \
                   f24 INTERVAL YEAR TO MONTH, f25 TIMESTAMP(9), f26 TIME(9), f27 TIMESTAMP_LTZ(3) NOT NULL, \
                   f28 ARRAY<ROW<x MAP<INT, STRING NOT NULL>> NOT NULL>";
    let table = table(columns, &[("number-of-rows", "100")]);
    let batches = all(&source_of(SystemClock::shared(), &table), 2).await;
    assert_eq!(batches.iter().map(ChangeBatch::num_rows).sum::<usize>(), 100);
    for batch in &batches {
        assert_eq!(batch.schema(), schema(columns));
        for (i, column) in batch.rows.columns().iter().enumerate() {
            assert_eq!(column.null_count(), 0, "column {i}");
        }
        assert_eq!(rows_of([batch]).len(), batch.num_rows());
    }
}

#[tokio::test]
async fn numbers_fill_their_range() {
    let ints = column("INT", 20_000, &[("fields.a.min", "-3"), ("fields.a.max", "3")]).await;
    let counts = ints.as_primitive::<Int32Type>().values().iter().fold(BTreeMap::new(), |mut m, v| {
        *m.entry(*v).or_insert(0) += 1;
        m
    });
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), (-3..=3).collect::<Vec<i32>>());
    assert!(counts.values().all(|n| (2_600..3_150).contains(n)), "{counts:?}");
    let tiny = column("TINYINT", 20_000, &[]).await;
    assert_eq!(tiny.as_primitive::<Int8Type>().values().iter().collect::<BTreeSet<_>>().len(), 256);
    let big = column("BIGINT", 10_000, &[]).await;
    let negative = big.as_primitive::<Int64Type>().values().iter().filter(|v| **v < 0).count();
    assert!((4_700..5_300).contains(&negative), "{negative}");
    let doubles = column("DOUBLE", 10_000, &[("fields.a.min", "-1.5"), ("fields.a.max", "2.5")]).await;
    let doubles = doubles.as_primitive::<Float64Type>().values().clone();
    assert!(doubles.iter().all(|v| (-1.5..=2.5).contains(v)));
    let mean = doubles.iter().sum::<f64>() / 10_000.0;
    assert!((0.45..0.55).contains(&mean), "{mean}");
    let floats = column("FLOAT", 1_000, &[]).await;
    assert!(floats.as_primitive::<Float32Type>().values().iter().all(|v| *v > 0.0 && v.is_finite()));
    let decimals = column("DECIMAL(5, 2)", 10_000, &[("fields.a.min", "-1.005"), ("fields.a.max", "1e9")]).await;
    let decimals = decimals.as_primitive::<Decimal128Type>().values().clone();
    assert!(decimals.iter().all(|v| (-100..=99_999).contains(v)));
    assert!(decimals.iter().any(|v| *v > 99_000) && decimals.iter().any(|v| *v < 1_000));
    let positive = column("DECIMAL(38, 0)", 1_000, &[]).await;
    assert!(positive.as_primitive::<Decimal128Type>().values().iter().all(|v| *v >= 0));
    let months = column("INTERVAL MONTH", 1_000, &[]).await;
    assert!(months.as_primitive::<IntervalYearMonthType>().values().iter().all(|v| (0..=120_000).contains(v)));
    let booleans = column("BOOLEAN", 10_000, &[]).await;
    assert!((4_700..5_300).contains(&booleans.as_boolean().true_count()));
}

#[tokio::test]
async fn strings_and_bytes_have_their_lengths() {
    for (t, length) in [("STRING", 100), ("VARCHAR(20)", 20), ("VARCHAR(200)", 200), ("CHAR(7)", 7), ("CHAR(16)", 16)] {
        let strings = column(t, 300, &[]).await;
        let strings = strings.as_string::<i32>();
        assert!(strings.iter().flatten().all(|s| s.len() == length), "{t}");
        assert!(strings.iter().flatten().all(|s| s.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())));
        assert_eq!(strings.iter().collect::<BTreeSet<_>>().len(), 300, "{t}");
    }
    let given = column("STRING", 10, &[("fields.a.length", "9999")]).await;
    assert!(given.as_string::<i32>().iter().flatten().all(|s| s.len() == 9_999));
    let varied = column("VARCHAR(4)", 4_000, &[("fields.a.var-len", "true")]).await;
    let mut lengths = [0; 5];
    varied.as_string::<i32>().iter().flatten().for_each(|s| lengths[s.len()] += 1);
    assert!(lengths[0] == 0 && lengths[1..].iter().all(|n| (850..1_150).contains(n)), "{lengths:?}");
    for (t, length) in [("BYTES", 100), ("BINARY(2)", 2), ("VARBINARY(9)", 9)] {
        let bytes = column(t, 100, &[]).await;
        assert!(bytes.as_binary::<i32>().iter().flatten().all(|s| s.len() == length), "{t}");
    }
}

#[tokio::test]
async fn collections_have_their_lengths_and_maps_distinct_keys() {
    let arrays = column("ARRAY<INT>", 100, &[]).await;
    assert!((0..100).all(|i| arrays.as_list::<i32>().value_length(i) == 3));
    let arrays = column("ARRAY<STRING>", 100, &[("fields.a.length", "5"), ("fields.a.element.length", "2")]).await;
    let elements = arrays.as_list::<i32>().values().clone();
    assert_eq!(elements.len(), 500);
    assert!(elements.as_string::<i32>().iter().flatten().all(|s| s.len() == 2));
    for length in ["4", "40"] {
        let options = [("fields.a.length", length), ("fields.a.key.min", "1"), ("fields.a.key.max", "3")];
        let maps = column("MAP<INT, STRING>", 200, &options).await;
        let maps = maps.as_map();
        let mut sizes = BTreeSet::new();
        for i in 0..200 {
            let keys = maps.value(i).column(0).as_struct().column(0).as_primitive::<Int32Type>().values().to_vec();
            assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{keys:?}");
            sizes.insert(keys.len());
        }
        assert!(sizes.contains(&3) && *sizes.last().expect("sizes") == 3);
    }
    let sets = column("MULTISET<STRING>", 100, &[]).await;
    let counts = sets.as_map().values().as_primitive::<Int32Type>().values().clone();
    assert_eq!(counts.len(), 300);
    assert!(counts.iter().all(|n| (0..=10).contains(n)));
    let rows = column("ROW<x INT, y ARRAY<INT>>", 100, &[("fields.a.x.min", "7"), ("fields.a.x.max", "7")]).await;
    assert!(rows.as_struct().column(0).as_primitive::<Int32Type>().values().iter().all(|v| *v == 7));
}

#[tokio::test]
async fn nulls_come_at_their_rate() {
    for t in [
        "INT",
        "STRING",
        "BYTES",
        "BOOLEAN",
        "DATE",
        "TIMESTAMP(3)",
        "DECIMAL(5, 2)",
        "ARRAY<INT>",
        "MAP<INT, INT>",
        "ROW<x INT>",
    ] {
        for (rate, from, to) in [("0", 0, 0), ("0.25", 2_300, 2_700), ("1", 10_000, 10_000)] {
            let nulls = column(t, 10_000, &[("fields.a.null-rate", rate)]).await.null_count();
            assert!((from..=to).contains(&nulls), "{t} at {rate}: {nulls}");
        }
    }
    let rows = column("ROW<x INT>", 10_000, &[("fields.a.x.null-rate", "0.5")]).await;
    assert_eq!(rows.null_count(), 0);
    assert!((4_700..5_300).contains(&rows.as_struct().column(0).null_count()));
}

#[tokio::test]
async fn times_follow_the_clock() {
    let now = 86_400_000 + 1_500;
    assert!(column("DATE", 10, &[]).await.as_primitive::<Date32Type>().values().iter().all(|v| *v == 1));
    let times = column("TIME(3)", 10, &[]).await;
    assert!(times.as_primitive::<Time32MillisecondType>().values().iter().all(|v| *v == 1_500));
    let stamps = column("TIMESTAMP(6)", 10, &[]).await;
    assert!(stamps.as_primitive::<TimestampMicrosecondType>().values().iter().all(|v| *v == now * 1_000));
    let past = column("TIMESTAMP_LTZ(3)", 10_000, &[("fields.a.max-past", "5 s")]).await;
    let past = past.as_primitive::<TimestampMillisecondType>().values().clone();
    assert!(past.iter().all(|v| (now - 5_000..=now).contains(v)));
    assert!(past.iter().any(|v| *v < now - 4_900) && past.iter().any(|v| *v > now - 100));
}

#[tokio::test]
async fn sequences_in_every_form() {
    let options = [("fields.a.kind", "sequence"), ("fields.a.start", "-2"), ("fields.a.end", "2")];
    for (t, rows) in [
        ("TINYINT", ["+I[-2]", "+I[-1]", "+I[0]", "+I[1]", "+I[2]"]),
        ("SMALLINT", ["+I[-2]", "+I[-1]", "+I[0]", "+I[1]", "+I[2]"]),
        ("BIGINT", ["+I[-2]", "+I[-1]", "+I[0]", "+I[1]", "+I[2]"]),
        ("FLOAT", ["+I[-2.0]", "+I[-1.0]", "+I[0.0]", "+I[1.0]", "+I[2.0]"]),
        ("DOUBLE", ["+I[-2.0]", "+I[-1.0]", "+I[0.0]", "+I[1.0]", "+I[2.0]"]),
        ("DECIMAL(5, 2)", ["+I[-2.00]", "+I[-1.00]", "+I[0.00]", "+I[1.00]", "+I[2.00]"]),
        ("STRING", ["+I[-2]", "+I[-1]", "+I[0]", "+I[1]", "+I[2]"]),
        (
            "BYTES",
            [
                "+I[[-1, -1, -1, -1, -1, -1, -1, -2]]",
                "+I[[-1, -1, -1, -1, -1, -1, -1, -1]]",
                "+I[[0, 0, 0, 0, 0, 0, 0, 0]]",
                "+I[[0, 0, 0, 0, 0, 0, 0, 1]]",
                "+I[[0, 0, 0, 0, 0, 0, 0, 2]]",
            ],
        ),
    ] {
        let batches = all(&source_of(ManualClock::at_ms(0), &table(&format!("a {t}"), &options)), 1).await;
        flott_testkit::assert_rows!(batches, rows);
    }
}

#[tokio::test]
async fn the_smallest_bound_ends_the_source() {
    let sequence = [("fields.a.kind", "sequence"), ("fields.a.start", "1"), ("fields.a.end", "10")];
    let other = [("fields.b.kind", "sequence"), ("fields.b.start", "5"), ("fields.b.end", "11")];
    let count = async |table: TableBuilder| {
        let batches = all(&source_of(ManualClock::at_ms(0), &table), 3).await;
        batches.iter().map(ChangeBatch::num_rows).sum::<usize>()
    };
    let both: Vec<_> = sequence.iter().chain(&other).copied().collect();
    assert_eq!(count(table("a INT, b INT", &both)).await, 7);
    assert_eq!(count(table("a INT, b INT", &both).projection(&["a"])).await, 7, "a pruned sequence still bounds");
    assert_eq!(count(table("a INT, b INT", &both).option("number-of-rows", "4")).await, 4);
    assert_eq!(count(table("a INT, b INT", &both).option("number-of-rows", "1000")).await, 7);
    assert_eq!(count(table("a INT", &[("number-of-rows", "0")])).await, 0);
    assert_eq!(count(table("a INT, b INT", &[("number-of-rows", "9")]).projection(&[])).await, 9);
}

#[tokio::test]
async fn each_number_comes_once_with_any_parallelism_and_a_restore_anywhere() {
    let end = 50_000u64;
    let options = [("fields.a.kind", "sequence"), ("fields.a.start", "1"), ("fields.a.end", "50000")];
    let table = table("a BIGINT, b INT, c STRING", &options).option("fields.c.length", "8");
    for before in 1..=5usize {
        for after in 1..=5usize {
            let source = source_of(ManualClock::at_ms(0), &table);
            let mut harness = SourceHarness::start(&source, before, None).await.expect("started");
            let mut batches = vec![];
            // Readers at different speeds.
            for step in 0..7 {
                batches.extend(harness.step(step * step % before).await.expect("read"));
            }
            let checkpoint = harness.snapshot().expect("a snapshot");
            let lost = harness.run_to_end().await.expect("read");
            let mut harness = SourceHarness::start(&source, after, Some(checkpoint)).await.expect("restored");
            let again = harness.run_to_end().await.expect("read");
            // What a failure threw away comes again, value for value.
            let sorted = |batches: &[ChangeBatch]| {
                let mut rows = rows_of(batches);
                rows.sort();
                rows
            };
            assert_eq!(sorted(&lost), sorted(&again), "{before} to {after}");
            batches.extend(again);
            let mut seen: Vec<i64> = vec![];
            for batch in &batches {
                seen.extend(batch.rows.column(0).as_primitive::<Int64Type>().values());
            }
            seen.sort_unstable();
            assert!(seen.iter().copied().eq(1..=end as i64), "{before} to {after}: {} numbers", seen.len());
        }
    }
}

#[tokio::test]
async fn random_rows_of_every_kind_come_again_after_a_restore() {
    let columns = "a INT, b STRING, c DECIMAL(10, 2), d ARRAY<DOUBLE>, e MAP<TINYINT, STRING>, f ROW<x BOOLEAN, y BYTES>, \
                   g MULTISET<INT>, h FLOAT";
    let nulls = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|c| (format!("fields.{c}.null-rate"), "0.2"));
    let nulls: Vec<(&str, &str)> = nulls.iter().map(|(k, v)| (k.as_str(), *v)).collect();
    let table = table(columns, &nulls).option("number-of-rows", "12000").option("fields.b.length", "5");
    let table = table.option("fields.b.var-len", "true").option("fields.f.y.length", "3");
    let source = source_of(ManualClock::at_ms(0), &table);
    flott_testkit::suite::source_restores(&source, &[1, 3], 4).await;
}

#[tokio::test]
async fn a_checkpoint_before_the_first_reader_holds_all_rows() {
    let table = table("a INT", &[("number-of-rows", "100")]);
    let source = source_of(ManualClock::at_ms(0), &table);
    let mut harness = SourceHarness::start(&source, 2, None).await.expect("started");
    let checkpoint = harness.snapshot().expect("a snapshot");
    let first = rows_of(&harness.run_to_end().await.expect("read"));
    let mut harness = SourceHarness::start(&source, 2, Some(checkpoint)).await.expect("restored");
    assert_eq!(rows_of(&harness.run_to_end().await.expect("read")), first);
    let checkpoint = harness.snapshot().expect("a snapshot");
    let mut harness = SourceHarness::start(&source, 2, Some(checkpoint)).await.expect("restored");
    assert!(harness.run_to_end().await.expect("read").is_empty(), "a source that has ended stays at its end");
}

#[tokio::test]
async fn two_runs_differ_and_columns_differ() {
    let table = table("a BIGINT, b BIGINT", &[("number-of-rows", "10")]);
    let source = source_of(ManualClock::at_ms(0), &table);
    let (one, two) = (all(&source, 1).await, all(&source, 1).await);
    assert_ne!(rows_of(&one), rows_of(&two));
    assert_ne!(one[0].rows.column(0).as_ref(), one[0].rows.column(1).as_ref());
}

#[tokio::test]
async fn rows_come_at_their_rate() {
    let clock = ManualClock::at_ms(0);
    let slow = table("a INT", &[]).option("rows-per-second", "1000");
    let source = source_of(Arc::clone(&clock) as Arc<dyn Clock>, &slow);
    let mut harness = SourceHarness::start(&source, 2, None).await.expect("started");
    let mut rows = [0; 2];
    for _ in 0..100 {
        for (reader, rows) in rows.iter_mut().enumerate() {
            let step = tokio::time::timeout(Duration::from_millis(1), harness.step(reader)).await;
            if let Ok(batch) = step {
                *rows += batch.expect("read").map_or(0, |b| b.num_rows());
            }
        }
        clock.advance_ms(20);
    }
    // 2 s at 1000 a second, shared by two.
    assert!(rows.iter().all(|n| (980..=1_015).contains(n)), "{rows:?}");
}

#[tokio::test]
async fn one_row_a_second_does_not_wait_for_the_first() {
    let slow = table("a INT", &[]).option("rows-per-second", "1");
    let source = source_of(SystemClock::shared(), &slow);
    let mut harness = SourceHarness::start(&source, 1, None).await.expect("started");
    assert_eq!(harness.step(0).await.expect("read").expect("a batch").num_rows(), 1);
    assert!(tokio::time::timeout(Duration::from_millis(100), harness.step(0)).await.is_err(), "the second is not due");
}

#[tokio::test]
async fn batches_are_large_when_nothing_limits() {
    let source = source_of(SystemClock::shared(), &table("a INT", &[("rows-per-second", "1000000000")]));
    let mut harness = SourceHarness::start(&source, 1, None).await.expect("started");
    for _ in 0..20 {
        assert_eq!(harness.step(0).await.expect("read").expect("a batch").num_rows(), 8_192);
    }
    // Wide rows make smaller batches.
    let wide = source_of(SystemClock::shared(), &table("a STRING", &[("fields.a.length", "1000000")]));
    let mut harness = SourceHarness::start(&wide, 1, None).await.expect("started");
    assert!(harness.step(0).await.expect("read").expect("a batch").num_rows() <= 8);
}
