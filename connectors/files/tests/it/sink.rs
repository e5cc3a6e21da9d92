//! Writing local files: what is staged, where, and when files are closed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flott_connector::sink::DeliveryGuarantee;
use flott_core::clock::ManualClock;
use flott_core::{ChangeBatch, ErrorKind, RowKind, RowKinds};
use flott_testkit::{batch, skipped};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::support::*;

fn rows(rows: &[&str]) -> ChangeBatch {
    batch("a INT, b STRING", rows)
}

#[tokio::test]
async fn staged_then_shown() {
    let (_dir, path) = temp();
    let table = Table::new(&path, "a INT, b STRING");
    let sink = table.sink();
    assert_eq!(sink.guarantee(), DeliveryGuarantee::ExactlyOnce);
    let mut writer = writer_of(&sink, 3, 1);
    let committables = staged(writer.as_mut(), &[rows(&["+I[1, a]"]), rows(&["+I[2, b]"])], 1).await;
    assert_eq!(committables.len(), 1);
    assert_eq!(writer.bytes_written(), 8);
    assert!(visible(&path).is_empty());
    assert_eq!(table.read().await, Vec::<String>::new());
    let names: Vec<String> = tree(&path).into_keys().collect();
    assert!(names[0].starts_with(".flott-staging/lineage/3/sink--t-"), "{names:?}");
    assert!(names[0].contains("/1/part-") && names[0].ends_with("-1-0.line"), "{names:?}");

    let mut committer = committer_of(&sink, 3);
    committer.commit(&decided(1), &committables).await.expect("committed");
    let shown = visible(&path);
    assert_eq!(shown.values().collect::<Vec<_>>(), ["1,a\n2,b\n"]);
    assert!(shown.keys().all(|n| n.starts_with("part-") && *n == committables[0].id), "{shown:?}");
    assert_eq!(table.read().await, ["+I[1, a]", "+I[2, b]"]);

    // The next epoch has its own file; an epoch without rows has none.
    assert!(staged(writer.as_mut(), &[], 2).await.is_empty());
    let next = staged(writer.as_mut(), &[rows(&["+I[3, c]"])], 3).await;
    committer.commit(&decided(3), &next).await.expect("committed");
    assert_eq!(visible(&path).len(), 2);
    committer.finish(&decided(3)).await.expect("finished");
    assert!(!path.join(".flott-staging").exists(), "{:?}", tree(&path));
}

#[tokio::test]
async fn a_format_with_a_footer_is_finished() {
    let (_dir, path) = temp();
    let table = Table::new(&path, "a INT, b STRING").option("format", "unit");
    let sink = table.sink();
    let committables = staged(writer_of(&sink, 1, 0).as_mut(), &[rows(&["+I[1, a]"])], 1).await;
    committer_of(&sink, 1).commit(&decided(1), &committables).await.expect("committed");
    assert_eq!(visible(&path).values().collect::<Vec<_>>(), ["1,a\nfooter\n"]);
    assert!(visible(&path).keys().all(|n| !n.contains('.')));
}

#[tokio::test]
async fn changes_are_refused() {
    let (_dir, path) = temp();
    let table = Table::new(&path, "a INT, b STRING");
    let mut writer = writer_of(&table.sink(), 1, 0);
    let kinds: RowKinds = [RowKind::Delete].into_iter().collect();
    let batch = ChangeBatch::new(rows(&["+I[1, a]"]).rows, kinds).expect("a batch");
    assert_eq!(writer.write(batch).await.expect_err("refused").kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn files_roll_by_size_and_age() {
    let (_dir, path) = temp();
    let clock = ManualClock::at_ms(1_000);
    let table = Table::new(&path, "a INT, b STRING")
        .clock(clock.clone())
        .option("sink.rolling-policy.file-size", "10 b")
        .option("sink.rolling-policy.rollover-interval", "60 s")
        .option("sink.rolling-policy.inactivity-interval", "30 s")
        .option("sink.rolling-policy.check-interval", "10 s");
    let sink = table.sink();
    let mut writer = writer_of(&sink, 1, 0);
    for i in 0..5 {
        writer.write(rows(&[&format!("+I[{i}, x]")])).await.expect("written");
    }
    // 4 bytes a row: a file is full with the third.
    assert_eq!(tree(&path).len(), 2);
    // Idle for long enough: the next row begins a new file.
    clock.advance_ms(30_000);
    writer.write(rows(&["+I[5, x]"])).await.expect("written");
    assert_eq!(tree(&path).len(), 3);
    // Looked at only now and then.
    for (ms, files) in [(9_000, 3), (9_000, 3)] {
        clock.advance_ms(ms);
        writer.write(rows(&["+I[6, x]"])).await.expect("written");
        assert_eq!(tree(&path).len(), files);
    }
    let committables = staged(writer.as_mut(), &[], 1).await;
    assert_eq!(committables.len(), 3);
    committer_of(&sink, 1).commit(&decided(1), &committables).await.expect("committed");
    let contents: Vec<String> = visible(&path).into_values().collect();
    assert!(contents.contains(&"0,x\n1,x\n2,x\n".to_string()), "{contents:?}");
    assert!(contents.contains(&"3,x\n4,x\n".to_string()), "{contents:?}");
    assert!(contents.contains(&"5,x\n6,x\n6,x\n".to_string()), "{contents:?}");

    let age = Table::new(path.join("age"), "a INT, b STRING")
        .clock(clock.clone())
        .option("sink.rolling-policy.rollover-interval", "60 s")
        .option("sink.rolling-policy.check-interval", "0 s");
    let mut writer = writer_of(&age.sink(), 1, 0);
    for _ in 0..7 {
        writer.write(rows(&["+I[6, x]"])).await.expect("written");
        clock.advance_ms(10_000);
    }
    assert_eq!(tree(&path.join("age")).len(), 2);
}

#[tokio::test]
async fn rows_go_to_their_partitions() {
    let (_dir, path) = temp();
    let columns = "v INT, shop STRING, at TIMESTAMP(3), day DATE, n INT";
    let table = Table::new(&path, columns).partitioned_by(&["day", "shop", "at", "n"]);
    let sink = table.sink();
    let mut writer = writer_of(&sink, 1, 0);
    let rows = [
        "+I[1, a/b, 2020-01-01T10:00, 2020-01-01, 7]",
        "+I[2, null, 2020-01-01T10:00, 2020-01-01, 7]",
        "+I[3, , 2020-01-01T10:00, 2020-01-01, 7]",
        "+I[4, a/b, 2020-01-01T10:00, 2020-01-01, 7]",
        "+I[5, 100%, 2020-01-01T10:00:05.5, null, -1]",
    ];
    let committables = staged(writer.as_mut(), &[batch(columns, &rows)], 1).await;
    committer_of(&sink, 1).commit(&decided(1), &committables).await.expect("committed");
    let shown = visible(&path);
    let by_folder: Vec<(&str, &str)> =
        shown.iter().map(|(n, c)| (n.rsplit_once('/').expect("a folder").0, c.as_str())).collect();
    assert_eq!(
        by_folder,
        [
            ("day=2020-01-01/shop=__DEFAULT_PARTITION__/at=2020-01-01T10%3A00/n=7", "2\n3\n"),
            ("day=2020-01-01/shop=a%2Fb/at=2020-01-01T10%3A00/n=7", "1\n4\n"),
            ("day=__DEFAULT_PARTITION__/shop=100%25/at=2020-01-01T10%3A00%3A05.500/n=-1", "5\n"),
        ]
    );
    // Read back: NULL and the empty text have become one.
    let mut expected: Vec<String> = rows.iter().map(|r| r.replace("[3, ,", "[3, null,")).collect();
    expected[4] = "+I[5, 100%, 2020-01-01T10:00:05.500, null, -1]".into();
    assert_eq!(table.read_sorted().await, expected);
}

#[tokio::test]
async fn more_partitions_than_open_files() {
    let (_dir, path) = temp();
    let table = Table::new(&path, "v INT, p INT").partitioned_by(&["p"]);
    let sink = table.sink();
    let mut writer = writer_of(&sink, 1, 0);
    let rows: Vec<String> = (0..600).map(|i| format!("+I[{i}, {}]", i % 300)).collect();
    let committables = staged(writer.as_mut(), &[batch("v INT, p INT", &rows)], 1).await;
    committer_of(&sink, 1).commit(&decided(1), &committables).await.expect("committed");
    assert_eq!(visible(&path).len(), 300);
    let mut expected = rows.clone();
    expected.sort();
    assert_eq!(table.read_sorted().await, expected);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_to() {
    let (_dir, path) = temp();
    files(&path, &[("file", "x")]);
    let table = Table::new(path.join("file/below"), "a INT, b STRING");
    let context = flott_testkit::writer_context(0, 1);
    let e = table.sink().create_writer(context, vec![]).err().expect("refused");
    assert_eq!(e.kind(), ErrorKind::User, "{e}");
    assert!(e.to_string().contains("file/below"), "{e}");
    assert_eq!(tree(&path).len(), 1);
    // A partition's folder that is a file.
    let table = Table::new(&path, "a INT, b STRING").partitioned_by(&["b"]);
    files(&path, &[("b=x", "a file")]);
    let sink = table.sink();
    let committables = staged(writer_of(&sink, 1, 0).as_mut(), &[rows(&["+I[1, x]"])], 1).await;
    let e = committer_of(&sink, 1).commit(&decided(1), &committables).await.expect_err("no folder");
    assert_eq!(e.kind(), ErrorKind::User, "{e}");
}

#[tokio::test]
async fn a_full_disk_is_no_fault_of_the_job() {
    // A device that is always full stands in for the disk.
    let (_dir, path) = temp();
    let table = Table::new(&path, "a INT, b STRING").option("sink.rolling-policy.file-size", "1 gb");
    let sink = table.sink();
    let mut writer = writer_of(&sink, 1, 0);
    let staging = path.join(".flott-staging");
    let small =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&staging).output();
    if !small.is_ok_and(|o| o.status.success()) {
        skipped("a small disk cannot be mounted here: run the tests as root of a machine or user namespace");
        return;
    }
    drop(writer);
    writer = writer_of(&sink, 1, 0);
    let long = "x".repeat(200_000);
    let wrote = async {
        writer.write(rows(&[&format!("+I[1, {long}]")])).await?;
        writer.flush(false).await
    };
    let result = wrote.await;
    writer.close().await.ok();
    drop(writer);
    std::process::Command::new("umount").arg("-l").arg(&staging).status().expect("unmounted");
    let e = result.expect_err("full");
    assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
    assert!(e.to_string().contains("Free some space"), "{e}");
}

#[tokio::test]
async fn a_writer_that_closes_early_leaves_no_open_file() {
    let (_dir, path) = temp();
    let table = Table::new(&path, "a INT, b STRING");
    let mut writer = writer_of(&table.sink(), 1, 0);
    let kept = staged(writer.as_mut(), &[rows(&["+I[1, a]"])], 1).await;
    writer.write(rows(&["+I[2, b]"])).await.expect("written");
    writer.close().await.expect("closed");
    // What is prepared stays for the committer.
    assert_eq!(tree(&path).len(), 1);
    committer_of(&table.sink(), 1).commit(&decided(1), &kept).await.expect("committed");
    assert_eq!(table.read().await, ["+I[1, a]"]);
}

#[tokio::test]
async fn late_times_do_not_matter_to_the_clock() {
    // A clock that stands still closes nothing.
    let (_dir, path) = temp();
    let clock = ManualClock::at_ms(0);
    let table = Table::new(&path, "a INT, b STRING").clock(clock).option("sink.rolling-policy.check-interval", "0 s");
    let mut writer = writer_of(&table.sink(), 1, 0);
    for _ in 0..3 {
        writer.write(rows(&["+I[1, a]"])).await.expect("written");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(tree(&path).len(), 1);
}

/// Whatever a writer was doing when its attempt ended: what no committable names is gone, and nothing else.
#[tokio::test]
async fn a_writer_that_is_closed_leaves_what_was_prepared() {
    let (_dir, path) = temp();
    let sink = Table::new(&path, "a INT, b STRING").option("sink.rolling-policy.file-size", "10 b").sink();
    let mut writer = writer_of(&sink, 1, 0);
    let prepared = staged(writer.as_mut(), &[rows(&["+I[1, a]"])], 1).await;
    // One full file, one that is open.
    writer.write(rows(&["+I[2, longer than ten bytes]"])).await.expect("written");
    writer.write(rows(&["+I[3, b]"])).await.expect("written");
    // A flush that is cut short, as that of an attempt that ends.
    tokio::select! {
        biased;
        done = writer.flush(false) => panic!("too quick: {done:?}"),
        () = std::future::ready(()) => {}
    }
    writer.close().await.expect("closed");
    let left: Vec<String> = tree(&path).into_keys().collect();
    assert!(left.len() == 1 && left[0].ends_with(&prepared[0].id), "{left:?}");
    committer_of(&sink, 1).abort(&prepared).await.expect("aborted");
    assert!(!path.join(".flott-staging").exists(), "{:?}", tree(&path));
}

/// The name of a partition is first used at the commit, when there is no way back.
#[tokio::test]
async fn a_value_that_makes_too_long_a_name_fails_before_anything_is_decided() {
    let (_dir, path) = temp();
    let columns = "a INT, day STRING, p STRING";
    let row = |bytes: usize| batch(columns, &[&format!("+I[1, x, {}]", "y".repeat(bytes))]);
    let sink = Table::new(&path, columns).partitioned_by(&["day", "p"]).sink();
    let mut writer = writer_of(&sink, 1, 0);
    // With "p=" these are 255 bytes.
    let committables = staged(writer.as_mut(), &[row(253)], 1).await;
    committer_of(&sink, 1).commit(&decided(1), &committables).await.expect("committed");
    assert_eq!(visible(&path).len(), 1);
    let error = writer.write(row(254)).await.expect_err("too long");
    assert_eq!((error.kind(), error.context("column")), (ErrorKind::Data, Some("p")), "{error}");
    assert!(error.to_string().contains("256 bytes, and 255 are possible") && error.to_string().len() < 500, "{error}");
    assert!(error.context("partition").expect("the value").starts_with("p=yyyy"), "{error}");

    // Four names of 250 bytes are a key of more than 1,024.
    let columns = "a INT, p STRING, q STRING, r STRING, s STRING";
    let text = "y".repeat(250);
    let row = batch(columns, &[&format!("+I[1, {text}, {text}, {text}, {text}]")]);
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let table = |path: &Path| Table::new(path, columns).partitioned_by(&["p", "q", "r", "s"]);
    let sink = table(Path::new("bucket/t")).store(store).sink();
    let error = writer_of(&sink, 1, 0).write(row.clone()).await.expect_err("too long");
    assert!(error.kind() == ErrorKind::Data && error.to_string().contains("1024 are possible"), "{error}");
    // A disk has no such limit.
    let sink = table(&path.join("local")).sink();
    writer_of(&sink, 1, 0).write(row).await.expect("written");
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_staged_is_its_owner_s_alone_and_what_is_shown_is_not() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let (_dir, path) = temp();
    let plain = path.join("plain");
    files(&path, &[("plain", "")]);
    let sink = Table::new(path.join("o"), "a INT, b STRING").sink();
    let committables = staged(writer_of(&sink, 1, 0).as_mut(), &[rows(&["+I[1, x]"])], 1).await;
    assert_eq!(mode(&path.join("o/.flott-staging")), 0o700);
    committer_of(&sink, 1).commit(&decided(1), &committables).await.expect("committed");
    let shown = visible(&path.join("o")).into_keys().next().expect("a file");
    assert_eq!(mode(&path.join("o").join(shown)), mode(&plain));
}
