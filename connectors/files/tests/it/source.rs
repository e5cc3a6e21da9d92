//! Reading local files.

use std::path::Path;
use std::sync::Arc;

use flott_connector::source::{EnumeratorAction, ReaderEvent, SourceReader, SubtaskInfo};
use flott_core::ErrorKind;
use flott_testkit::{SourceHarness, assert_rows, batch, rows_of, settle, suite};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::support::*;

#[tokio::test]
async fn a_file_a_folder_and_what_is_hidden() {
    let (_dir, path) = temp();
    files(
        &path,
        &[
            ("b.line", "3,c\n4,d"),
            ("a.line", "1,a\n2,b\n"),
            ("sub/deep/c.line", "5,e\n"),
            ("empty", ""),
            ("_SUCCESS", "x"),
            (".hidden", "x"),
            ("_tmp/x", "x"),
            (".flott-staging/l/1/o/0/part", "x"),
        ],
    );
    let rows = ["+I[1, a]", "+I[2, b]", "+I[3, c]", "+I[4, d]", "+I[5, e]"];
    assert_eq!(Table::new(&path, "a INT, b STRING").read().await, rows);
    assert_eq!(Table::new(path.join("b.line"), "a INT, b STRING").read().await, rows[2..4]);
    let url = format!("file://{}", path.join("sub").display());
    assert_eq!(Table::new(url, "a INT, b STRING").read().await, rows[4..]);
    let relative = Table::new("data/sub", "a INT, b STRING").with(|b| b.base_dir(path.parent().expect("a parent")));
    assert_eq!(relative.read().await, rows[4..]);
    for parallelism in [2, 5] {
        let batches = Table::new(&path, "a INT, b STRING").try_read(parallelism).await.expect("read");
        assert_rows!(unordered batches, rows);
    }
}

#[tokio::test]
async fn patterns_and_regular_expressions() {
    let (_dir, path) = temp();
    files(&path, &[("2024-01/a.csv", "1"), ("2024-02/b.csv", "2"), ("2024-02/c.txt", "3"), ("x/y/d.csv", "4")]);
    let of = |pattern: &str| Table::new(path.join(pattern), "a INT");
    assert_eq!(of("2024-*/*.csv").read().await, ["+I[1]", "+I[2]"]);
    assert_eq!(of("**/*.csv").read().await, ["+I[1]", "+I[2]", "+I[4]"]);
    assert_eq!(of("2024-0[2-9]").read().await, ["+I[2]", "+I[3]"]);
    assert_eq!(of("{x,2024-01}").read().await, ["+I[1]", "+I[4]"]);
    assert_eq!(of("2024-0?/[!a].*").read().await, ["+I[2]", "+I[3]"]);
    assert_eq!(of("*.nothing").read().await, Vec::<String>::new());
    let regex = |r: &str| Table::new(&path, "a INT").option("source.path.regex-pattern", r);
    assert_eq!(regex(r".*/2024-\d+/[ab]\.csv").read().await, ["+I[1]", "+I[2]"]);
    // The whole path has to fit.
    assert_eq!(regex("2024").read().await, Vec::<String>::new());
    let e = of("nowhere/*.csv").try_read(1).await.expect_err("no folder");
    assert!(e.to_string().contains("nowhere' does not exist"), "{e}");
}

#[tokio::test]
async fn missing_and_empty_places() {
    let (_dir, path) = temp();
    let e = Table::new(&path, "a INT").try_read(1).await.expect_err("nothing there");
    assert_eq!(e.kind(), ErrorKind::User);
    assert!(e.to_string().contains("data' does not exist (option path). Check the path"), "{e}");
    std::fs::create_dir_all(&path).expect("made");
    assert_eq!(Table::new(&path, "a INT").read().await, Vec::<String>::new());
}

#[tokio::test]
async fn partitions_and_metadata() {
    let (_dir, path) = temp();
    files(
        &path,
        &[("day=2024-01-02/shop=a%2Fb/f1", "1,x\n2,y\n"), ("day=2024-01-03/shop=__DEFAULT_PARTITION__/f2", "3,z\n")],
    );
    let table = || Table::new(&path, "id INT, shop STRING, v STRING, day DATE").partitioned_by(&["day", "shop"]);
    assert_eq!(
        table().read().await,
        ["+I[1, a/b, x, 2024-01-02]", "+I[2, a/b, y, 2024-01-02]", "+I[3, null, z, 2024-01-03]"]
    );
    let named = table().option("partition.default-name", "a/b").with(|b| b.projection(&["shop", "id"]));
    assert_eq!(named.read().await, ["+I[null, 1]", "+I[null, 2]", "+I[__DEFAULT_PARTITION__, 3]"]);
    let only_partitions = table().with(|b| b.projection(&["day"]));
    assert_eq!(only_partitions.read().await, ["+I[2024-01-02]", "+I[2024-01-02]", "+I[2024-01-03]"]);
    let all = table().with(|b| {
        b.projection(&["id"])
            .metadata("n", "file.name", "STRING NOT NULL", true)
            .metadata("p", "file.path", "STRING NOT NULL", true)
            .metadata("s", "file.size", "BIGINT NOT NULL", true)
    });
    let p = path.display();
    assert_eq!(
        all.read().await,
        [
            format!("+I[1, f1, {p}/day=2024-01-02/shop=a%2Fb/f1, 8]"),
            format!("+I[2, f1, {p}/day=2024-01-02/shop=a%2Fb/f1, 8]"),
            format!("+I[3, f2, {p}/day=2024-01-03/shop=__DEFAULT_PARTITION__/f2, 4]"),
        ]
    );
    let file = path.join("day=2024-01-03/shop=__DEFAULT_PARTITION__/f2");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123);
    std::fs::File::options().write(true).open(&file).expect("open").set_modified(time).expect("set");
    let time = Table::new(&file, "id INT")
        .with(|b| b.metadata("t", "file.modification-time", "TIMESTAMP_LTZ(3) NOT NULL", true));
    assert_eq!(time.read().await, ["+I[3, 2023-11-14T22:13:20.123Z]"]);
    let unknown = Table::new(&file, "id INT").with(|b| b.metadata("t", "file.owner", "STRING", true));
    assert!(unknown.try_source().err().expect("refused").to_string().contains("Unknown metadata key 'file.owner'"));

    files(&path, &[("stray", "9,q\n")]);
    let e = table().try_read(1).await.expect_err("no partition");
    assert!(e.to_string().contains("the path has no folder 'day=..'"), "{e}");
    std::fs::remove_file(path.join("stray")).expect("removed");
    let ints = Table::new(&path, "id INT, shop INT, v STRING, day DATE").partitioned_by(&["day", "shop"]);
    let e = ints.try_read(1).await.expect_err("no INT");
    assert!(e.to_string().contains("the partition value 'a/b' is not a Int32"), "{e}");
    let decimals = Table::new(&path, "id INT, shop DECIMAL(5, 2)").partitioned_by(&["shop"]);
    let e = decimals.try_source().err().expect("refused").to_string();
    assert!(e.starts_with("Can not convert a partition value to type DECIMAL(5, 2)"), "{e}");
    let e = Table::new(&path, "id INT").partitioned_by(&["day"]).try_source().err().expect("refused").to_string();
    assert!(e.contains("'day' is not a physical column"), "{e}");
}

#[tokio::test]
async fn errors_name_file_and_row() {
    let (_dir, path) = temp();
    files(&path, &[("f", "1\n2\nx\n")]);
    let e = Table::new(&path, "a INT").try_read(1).await.expect_err("no INT");
    assert_eq!((e.kind(), e.context("row")), (ErrorKind::Data, Some("3")));
    assert_eq!(e.context("file"), path.join("f").to_str());
}

#[tokio::test]
async fn skipped_records_are_counted_at_the_end_too() {
    let (_dir, path) = temp();
    files(&path, &[("a", "bad\n1\nbad\n"), ("b", "bad\n")]);
    let table = Table::new(&path, "a INT").option("line.ignore-parse-errors", "true");
    let source = table.source();
    let mut enumerator = source.create_enumerator(None).expect("made");
    let mut context =
        flott_connector::source::EnumeratorContext { parallelism: 1, load: vec![0], ..Default::default() };
    settle(enumerator.start(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    let mut reader = source.create_reader(SubtaskInfo { index: 0, parallelism: 1 }).expect("made");
    for _ in 0..2 {
        settle(enumerator.handle_split_request(0, &mut context), enumerator.as_mut(), &mut context)
            .await
            .expect("given");
    }
    for action in context.actions {
        if let EnumeratorAction::Assign { splits, .. } = action {
            reader.add_splits(splits).expect("taken");
        }
    }
    let (mut skipped, mut rows) = (0, 0);
    loop {
        match reader.next().await.expect("read") {
            ReaderEvent::Batch(b) => {
                skipped += b.skipped;
                rows += b.rows.num_rows();
            }
            ReaderEvent::NeedSplits => break,
            _ => {}
        }
    }
    assert_eq!((skipped, rows), (3, 1));
}

#[tokio::test]
async fn a_file_that_changes_is_refused() {
    let (_dir, path) = temp();
    files(&path, &[("a", "1\n"), ("b", "2\n")]);
    for (change, found) in [("3\n4\n", "4 bytes instead of 2"), ("5\n", "another modification time")] {
        files(&path, &[("b", "2\n")]);
        let mut harness = SourceHarness::start(&Table::new(&path, "a INT").source(), 1, None).await.expect("started");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        files(&path, &[("b", change)]);
        let e = harness.run_to_end().await.expect_err("changed");
        assert_eq!(e.kind(), ErrorKind::Data);
        assert!(e.to_string().contains("the file has changed since it was listed"), "{e}");
        assert_eq!(e.context("found"), Some(found));
    }
    let mut harness = SourceHarness::start(&Table::new(&path, "a INT").source(), 1, None).await.expect("started");
    std::fs::remove_file(path.join("b")).expect("removed");
    let e = harness.run_to_end().await.expect_err("gone");
    assert!(e.to_string().contains("the file is gone since it was listed"), "{e}");
}

#[tokio::test]
async fn a_file_of_which_a_format_reads_pieces_does_not_change_between_them() {
    let (_dir, path) = temp();
    for after in [three_hundred_lines(500), three_hundred_lines(100) + "1\n"] {
        files(&path, &[("a", &three_hundred_lines(100))]);
        let source = Table::new(&path, "a INT").option("format", "unit").source();
        let change = async || {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            files(&path, &[("a", &after)]);
        };
        changed_while_read(&source, change).await;
    }
}

#[tokio::test]
async fn a_record_without_an_end_is_refused() {
    let (_dir, path) = temp();
    let long = "x".repeat((16 << 20) - 10);
    files(&path, &[("f", &format!("1\n{long}\n"))]);
    assert_eq!(Table::new(&path, "a STRING").read().await.len(), 2);
    let long = "x".repeat((17 << 20) + 10);
    files(&path, &[("f", &format!("1\n{long}\n"))]);
    let e = Table::new(&path, "a STRING").try_read(1).await.expect_err("too long");
    assert!(e.to_string().contains("a record is longer than 16 MiB (16777216 bytes)"), "{e}");
    assert_eq!((e.kind(), e.context("offset")), (ErrorKind::Data, Some("2")));
}

fn many(from: usize, rows: usize) -> String {
    (from..from + rows).map(|i| format!("{i},{}\n", "v".repeat(i % 97))).collect()
}

#[tokio::test]
async fn stopped_and_restored_anywhere_every_row_comes_once() {
    let (_dir, path) = temp();
    files(&path, &[("a", &many(0, 25_000)), ("b", &many(100_000, 9_000)), ("c", &many(200_000, 3)), ("d", "7,x")]);
    for format in ["line", "unit"] {
        for size in ["200 kb", "64 mb"] {
            let table = Table::new(&path, "a INT, b STRING").option("source.split-size", size).option("format", format);
            suite::source_restores(&table.source(), &[1, 3], 5).await;
        }
    }
}

/// The runtime drops the future of `next` whenever a command comes.
#[tokio::test]
async fn nothing_is_lost_where_a_wait_is_dropped() {
    let (_dir, path) = temp();
    // More than one request to an object store brings.
    let content: String = (0..20_000).map(|i| format!("{i},{}\n", "v".repeat(1_000))).collect();
    files(&path, &[("a", &content)]);
    let store = Arc::new(InMemory::new());
    store.put(&"t/a".into(), content.into()).await.expect("put");
    let objects = Table::new("t", "a INT").store(store);
    for (table, must_wait) in [(Table::new(&path, "a INT"), false), (objects, true)] {
        let mut harness = SourceHarness::start(&table.source(), 1, None).await.expect("started");
        let (mut batches, mut drops) = (vec![], 0);
        loop {
            let polled = {
                let mut next = std::pin::pin!(harness.reader(0).next());
                futures::poll!(next.as_mut())
            };
            match polled {
                std::task::Poll::Pending => {
                    drops += 1;
                    tokio::task::yield_now().await;
                }
                std::task::Poll::Ready(event) => match event.expect("read") {
                    ReaderEvent::Batch(batch) => batches.push(batch.rows),
                    ReaderEvent::NeedSplits => break,
                    _ => {}
                },
            }
        }
        // Nobody else runs on this thread before the first wait, so that an object cannot be there at once.
        assert!(drops > 0 || !must_wait);
        let expected: Vec<String> = (0..20_000).map(|i| format!("+I[{i}]")).collect();
        assert_eq!(rows_of(&batches), expected);
    }
}

#[tokio::test]
async fn links_are_followed_and_loops_end() {
    let (_dir, path) = temp();
    files(&path, &[("a/f", "1\n")]);
    std::os::unix::fs::symlink(path.join("a"), path.join("b")).expect("linked");
    assert_eq!(Table::new(&path, "a INT").read().await, ["+I[1]", "+I[1]"]);
    std::os::unix::fs::symlink(&path, path.join("a/up")).expect("linked");
    let e = Table::new(&path, "a INT").try_read(1).await.expect_err("a loop");
    assert_eq!(e.kind(), ErrorKind::User);
}

/// Tests may run as root, who may read everything; so what must not be looked at is what fails for everybody.
#[tokio::test]
async fn what_a_pattern_does_not_mean_is_not_looked_at() {
    let (_dir, path) = temp();
    files(&path, &[("a.csv", "1\n"), ("b.csv/c", "2\n"), ("x/y/d.csv", "3\n"), ("x/e.json", "4\n")]);
    let link = |from: &str, to: &str| std::os::unix::fs::symlink(path.join(to), path.join(from)).expect("linked");
    // A folder without an end, and a link that leads nowhere.
    link("x/up", "x");
    link("loop", "loop");
    link("x/y/loop", "x/y/loop");
    for (pattern, expected) in [("*.csv", &["+I[1]", "+I[2]"][..]), ("x/y/*.csv", &["+I[3]"]), ("?/*.json", &["+I[4]"])]
    {
        assert_eq!(Table::new(path.join(pattern), "a INT").read().await, expected, "{pattern}");
    }
    let e = Table::new(path.join("*"), "a INT").try_read(1).await.expect_err("all is meant");
    assert_eq!(e.context("path"), path.join("loop").to_str());
}

#[tokio::test]
async fn many_small_files_are_shared_among_readers() {
    let (_dir, path) = temp();
    let names: Vec<String> = (0..500).map(|i| format!("f{i:03}")).collect();
    for (i, name) in names.iter().enumerate() {
        files(&path, &[(name, &format!("{i}\n"))]);
    }
    let source = Table::new(&path, "a INT").source();
    let mut harness = SourceHarness::start(&source, 4, None).await.expect("started");
    let mut counts = [0; 4];
    let mut rows = vec![];
    while !harness.ended() {
        for (reader, count) in counts.iter_mut().enumerate() {
            if let Some(batch) = harness.step(reader).await.expect("read") {
                *count += batch.num_rows();
                rows.push(batch);
            }
        }
    }
    let rows = rows_of(&rows);
    assert_eq!(rows.iter().collect::<std::collections::BTreeSet<_>>().len(), 500);
    assert_eq!(rows.len(), 500);
    assert!(counts.iter().all(|c| *c > 60), "{counts:?}");
}

/// A reader's event time is that of its earliest piece, also where that has not begun: one that holds more than it reads
/// would hold back windows, and count other rows late.
#[tokio::test]
async fn a_reader_holds_the_piece_that_it_reads_and_no_other() {
    let (_dir, path) = temp();
    let count = 2_000;
    for i in 0..count {
        files(&path, &[(&format!("f{i:04}"), &format!("{i}\n"))]);
    }
    for parallelism in [1, 3] {
        let source = Table::new(&path, "a INT").source();
        let mut harness = SourceHarness::start(&source, parallelism, None).await.expect("started");
        let mut rows = 0;
        let mut step = 0;
        while !harness.ended() {
            rows += harness.step(step % parallelism).await.expect("read").map_or(0, |b| b.num_rows());
            step += 1;
            if step % 100 == 0 {
                let held = harness.snapshot().expect("a snapshot").splits.len();
                assert!(held <= parallelism, "{held} pieces held by {parallelism} readers");
            }
        }
        assert_eq!(rows, count);
    }
}

#[tokio::test]
async fn pieces_of_readers_that_are_gone_are_given_again() {
    let (_dir, path) = temp();
    files(&path, &[("a", &many(0, 25_000)), ("b", &many(100_000, 9_000)), ("c", "7,x")]);
    let source = Table::new(&path, "a INT, b STRING").option("source.split-size", "100 kb").source();
    let mut harness = SourceHarness::start(&source, 3, None).await.expect("started");
    let mut batches = vec![];
    for step in 0..12 {
        batches.extend(harness.step(step % 3).await.expect("read"));
    }
    let checkpoint = harness.snapshot().expect("a snapshot");
    assert!(!checkpoint.splits.is_empty());
    let mut restored = SourceHarness::start_with_splits_back(&source, 2, checkpoint).await.expect("restored");
    batches.extend(restored.run_to_end().await.expect("read"));
    let mut rows = rows_of(&batches);
    rows.sort();
    let expected = Table::new(&path, "a INT, b STRING").read_sorted().await;
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn a_paused_piece_waits_and_holds_no_other() {
    let (_dir, path) = temp();
    let many: String = (0..20_000).map(|i| format!("{i}\n")).collect();
    files(&path, &[("a", &many), ("b", "1\n2\n")]);
    let source = Table::new(&path, "a INT").source();
    let mut enumerator = source.create_enumerator(None).expect("made");
    let mut context =
        flott_connector::source::EnumeratorContext { parallelism: 1, load: vec![0], ..Default::default() };
    settle(enumerator.start(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    let mut reader = source.create_reader(SubtaskInfo { index: 0, parallelism: 1 }).expect("made");
    let mut ids = vec![];
    for _ in 0..2 {
        enumerator.handle_split_request(0, &mut context).expect("given");
        let Some(EnumeratorAction::Assign { splits, .. }) = context.actions.pop() else { panic!("no split") };
        ids.push(splits[0].id.clone());
        reader.add_splits(splits).expect("taken");
    }
    reader.no_more_splits();
    let mut rows = 0;
    let mut next = async |reader: &mut Box<dyn SourceReader>| match reader.next().await.expect("read") {
        ReaderEvent::Batch(batch) => {
            rows += batch.rows.num_rows();
            batch.split
        }
        ReaderEvent::SplitFinished { split } => format!("end of {split}"),
        other => format!("{other:?}"),
    };
    assert_eq!(next(&mut reader).await, ids[0]);
    reader.pause_or_resume_splits(&ids[..1], &[]);
    assert_eq!(next(&mut reader).await, ids[1]);
    assert_eq!(next(&mut reader).await, format!("end of {}", ids[1]));
    let waited = tokio::time::timeout(std::time::Duration::from_millis(50), reader.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    reader.pause_or_resume_splits(&[], &ids[..1]);
    while next(&mut reader).await != "EndOfInput" {}
    assert_eq!(rows, 20_002, "it goes on where it was");
}

#[tokio::test]
async fn bytes_that_wait_are_counted_down_to_none() {
    let (_dir, path) = temp();
    files(&path, &[("a.line", "1,a\n2,b\n"), ("b.line", "3,c\n")]);
    let source = Table::new(&path, "a INT, b STRING").source();
    let mut enumerator = source.create_enumerator(None).expect("made");
    let mut context =
        flott_connector::source::EnumeratorContext { parallelism: 1, load: vec![0], ..Default::default() };
    settle(enumerator.start(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    let mut reader = source.create_reader(SubtaskInfo { index: 0, parallelism: 1 }).expect("made");
    assert_eq!(reader.pending_bytes(), Some(0));
    for _ in 0..2 {
        settle(enumerator.handle_split_request(0, &mut context), enumerator.as_mut(), &mut context)
            .await
            .expect("given");
    }
    for action in context.actions {
        if let EnumeratorAction::Assign { splits, .. } = action {
            reader.add_splits(splits).expect("taken");
        }
    }
    reader.no_more_splits();
    assert_eq!(reader.pending_bytes(), Some(12));
    let mut left = vec![];
    while !matches!(reader.next().await.expect("read"), ReaderEvent::EndOfInput) {
        left.push(reader.pending_bytes().expect("known"));
    }
    assert!(left.is_sorted_by(|a, b| a >= b) && left.contains(&4) && left.last() == Some(&0), "{left:?}");
}

/// What a sink has written to a partition whose key begins like a hidden name is read; everything else that is hidden stays
/// so.
#[tokio::test]
async fn a_partition_key_may_begin_like_a_hidden_name() {
    for key in ["_p", ".p"] {
        let (_dir, path) = temp();
        let columns = format!("a INT, `{key}` STRING");
        let table = |path: &Path| Table::new(path, &columns).partitioned_by(&[key]);
        let sink = table(&path).sink();
        let rows = batch(&columns, &["+I[1, x]", "+I[2, _y]"]);
        let committables = staged(writer_of(&sink, 1, 0).as_mut(), &[rows], 1).await;
        committer_of(&sink, 1).commit(&decided(1), &committables).await.expect("committed");
        let hidden = [
            (format!("{key}=x/_hidden"), "3"),
            (format!("{key}=x/_q=1/part"), "4"),
            ("_q=1/part".to_string(), "5"),
            (format!("{key}=file"), "6"),
        ];
        let hidden: Vec<(&str, &str)> = hidden.iter().map(|(name, content)| (name.as_str(), *content)).collect();
        files(&path, &hidden);
        assert_eq!(table(&path).read_sorted().await, ["+I[1, x]", "+I[2, _y]"], "{key}");
        // In an object store, too.
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let table = table(Path::new("bucket/t")).store(Arc::clone(&store));
        let sink = table.sink();
        let rows = batch(&columns, &["+I[1, x]"]);
        let committables = staged(writer_of(&sink, 1, 0).as_mut(), &[rows], 1).await;
        committer_of(&sink, 1).commit(&decided(1), &committables).await.expect("committed");
        assert_eq!(table.read_sorted().await, ["+I[1, x]"], "{key}");
    }
}
