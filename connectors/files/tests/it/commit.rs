//! Commit: once, whatever dies in between; and what is cleaned up.

use std::path::Path;
use std::sync::Arc;

use flott_connector::sink::{CommitOutcome, Committable, Sink, WriterContext};
use flott_connector::source::SubtaskInfo;
use flott_core::{ErrorKind, FailPoints, Generation};
use flott_testkit::batch;
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::support::*;

fn table(path: &Path) -> Table {
    Table::new(path, "a INT, p STRING").partitioned_by(&["p"])
}

/// Files of three partitions, staged by generation 1.
async fn three(sink: &Arc<dyn Sink>) -> Vec<Committable> {
    let rows = batch("a INT, p STRING", &["+I[1, x]", "+I[2, y]", "+I[3, z]"]);
    staged(writer_of(sink, 1, 0).as_mut(), &[rows], 1).await
}

const ALL: [&str; 3] = ["+I[1, x]", "+I[2, y]", "+I[3, z]"];

#[tokio::test]
async fn again_and_again() {
    let (_dir, path) = temp();
    let table = table(&path);
    let sink = table.sink();
    let committables = three(&sink).await;
    let outcomes = committer_of(&sink, 1).commit(&decided(1), &committables).await.expect("committed");
    assert_eq!(outcomes, vec![CommitOutcome::Committed; 3]);
    for generation in [1, 2] {
        let outcomes = committer_of(&sink, generation).commit(&decided(1), &committables).await.expect("committed");
        assert_eq!(outcomes, vec![CommitOutcome::AlreadyCommitted; 3]);
    }
    assert_eq!(table.read_sorted().await, ALL);
}

#[tokio::test]
async fn a_crash_behind_any_file() {
    for done in 0..=3 {
        let (_dir, path) = temp();
        let table = table(&path);
        let sink = table.sink();
        let committables = three(&sink).await;
        committer_of(&sink, 1).commit(&decided(1), &committables[..done]).await.expect("committed");
        assert_eq!(visible(&path).len(), done);
        // The next attempt rolls forward, then cleans up.
        let mut committer = committer_of(&sink, 2);
        let outcomes = committer.commit(&decided(1), &committables).await.expect("committed");
        let already = outcomes.iter().filter(|o| **o == CommitOutcome::AlreadyCommitted).count();
        assert_eq!(already, done);
        committer.clean_up(&[]).await.expect("clean");
        assert_eq!(table.read_sorted().await, ALL);
        assert!(!path.join(".flott-staging").exists());
    }
}

#[tokio::test]
async fn copied_and_not_removed() {
    // On a store without rename both may be there.
    let (_dir, path) = temp();
    let table = table(&path);
    let sink = table.sink();
    let committables = three(&sink).await;
    let before = tree(&path);
    committer_of(&sink, 1).commit(&decided(1), &committables).await.expect("committed");
    for (name, content) in before {
        files(&path, &[(&name, &content)]);
    }
    let outcomes = committer_of(&sink, 1).commit(&decided(1), &committables).await.expect("committed");
    assert_eq!(outcomes, vec![CommitOutcome::AlreadyCommitted; 3]);
    assert_eq!(tree(&path).len(), 3);
}

#[tokio::test]
async fn a_stop_in_the_middle() {
    let (dir, path) = temp();
    let table = table(&path);
    let committables = three(&table.sink()).await;
    let report = dir.path().join("report");
    let fail_points = FailPoints::armed("mid_commit", &report).expect("a fail point");
    let sink = table.try_sink_with(fail_points).expect("a sink");
    let these = committables.clone();
    // This thread stops for ever, as the process would.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("a runtime");
        runtime.block_on(async { committer_of(&sink, 1).commit(&decided(1), &these).await.expect("never") });
    });
    while !std::fs::read_to_string(&report).is_ok_and(|r| r == "mid_commit\n") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(visible(&path).len(), 1);
    committer_of(&table.sink(), 2).commit(&decided(1), &committables).await.expect("committed");
    assert_eq!(table.read_sorted().await, ALL);
}

#[tokio::test]
async fn what_was_removed_or_changed_outside_is_refused() {
    let (_dir, path) = temp();
    let table = table(&path);
    let sink = table.sink();
    let committables = three(&sink).await;
    std::fs::remove_dir_all(path.join(".flott-staging")).expect("removed");
    let why = refused(committer_of(&sink, 1).commit(&decided(1), &committables).await);
    assert!(why.iter().all(|why| why.contains("is gone, and the file itself is not there")), "{why:?}");
    assert_eq!(why.len(), committables.len());

    for content in ["9\n", "10\n"] {
        let committables = three(&sink).await;
        files(&path, &[(&committables[0].id, content)]);
        let why = refused(committer_of(&sink, 1).commit(&decided(1), &committables).await);
        assert!(why.len() == 1 && why[0].contains("is there with another content"), "{why:?}");
        assert_eq!(std::fs::read_to_string(path.join(&committables[0].id)).expect("read"), content);
    }
    let committables = three(&sink).await;
    for (name, _) in tree(&path).into_iter().filter(|(n, _)| n.ends_with(&committables[0].id[4..])) {
        files(&path, &[(&name, "12345\n")]);
    }
    let why = refused(committer_of(&sink, 1).commit(&decided(1), &committables).await);
    assert!(why.len() == 1 && why[0].contains("has 6 bytes and was written with 2"), "{why:?}");
}

#[tokio::test]
async fn damaged_committables_are_refused() {
    let (_dir, path) = temp();
    let sink = table(&path).sink();
    let mut committables = three(&sink).await;
    committables[1].data.version = 9;
    let e = committer_of(&sink, 1).commit(&decided(1), &committables).await.expect_err("unknown");
    assert!(e.to_string().contains("has version 9"), "{e}");
    committables[1].data.version = 1;
    committables[1].data.bytes = committables[1].data.bytes.slice(3..);
    let e = committer_of(&sink, 1).commit(&decided(1), &committables).await.expect_err("damaged");
    assert_eq!(e.kind(), ErrorKind::Data);
    // Nothing is half done.
    assert!(visible(&path).is_empty());
}

#[tokio::test]
async fn a_replaced_attempt_removes_what_it_staged_where_its_successor_has_finished() {
    let (_dir, path) = temp();
    let table = table(&path);
    let sink = table.sink();
    let committables = three(&sink).await;
    let mut successor = committer_of(&sink, 2);
    successor.commit(&decided(1), &committables).await.expect("committed");
    successor.clean_up(&[]).await.expect("clean");
    successor.finish(&decided(1)).await.expect("finished");
    // It wakes, writes, and is told that it was replaced.
    three(&sink).await;
    assert!(tree(&path).len() > visible(&path).len());
    committer_of(&sink, 1).sweep().await.expect("swept");
    assert_eq!(tree(&path).len(), visible(&path).len());
    assert!(!path.join(".flott-staging").exists());
    assert_eq!(table.read_sorted().await, ALL);
}

#[tokio::test]
async fn only_dead_attempts_of_this_job_are_cleaned_up() {
    let (_dir, path) = temp();
    let table = table(&path);
    let sink = table.sink();
    let rows = || batch("a INT, p STRING", &["+I[1, x]"]);
    let stage = async |lineage: &str, generation: u64, operator: &str| {
        let context = WriterContext {
            subtask: SubtaskInfo { index: 0, parallelism: 1 },
            lineage: lineage.into(),
            generation: Generation(generation),
            operator_uid: operator.into(),
        };
        let mut writer = sink.create_writer(context, vec![]).expect("a writer");
        let id = staged(writer.as_mut(), &[rows()], 1).await.remove(0).id;
        id.rsplit('/').next().expect("a name").to_string()
    };
    let dead = stage("lineage", 1, "sink: t").await;
    let dead_too = stage("lineage", 3, "sink: t").await;
    let kept = stage("lineage", 3, "sink: t").await;
    let others = [
        stage("lineage", 4, "sink: t").await,
        stage("lineage", 5, "sink: t").await,
        stage("lineage", 1, "sink: u").await,
        stage("another", 1, "sink: t").await,
    ];
    files(&path, &[("p=x/part-foreign", "7\n"), (".flott-staging/readme", "mine")]);
    committer_of(&sink, 4).clean_up(&[format!("p=x/{kept}")]).await.expect("clean");
    let left: Vec<String> = tree(&path).into_keys().collect();
    let has = |name: &String| left.iter().any(|l| l.ends_with(name));
    assert!(!has(&dead) && !has(&dead_too), "{left:?}");
    assert!(has(&kept) && others.iter().all(has), "{left:?}");
    assert_eq!(left.len(), 7, "{left:?}");
    assert!(!path.join(".flott-staging/lineage/1/").join("sink--t-").exists());
}

/// An attempt that has been replaced goes on staging until it notices.
#[tokio::test]
async fn the_end_removes_what_replaced_attempts_staged_meanwhile() {
    let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    for store in [None, Some(memory)] {
        let (_dir, path) = temp();
        let sink = match &store {
            None => table(&path).sink(),
            Some(store) => table(Path::new("t")).store(Arc::clone(store)).sink(),
        };
        let mut committer = committer_of(&sink, 2);
        committer.clean_up(&[]).await.expect("clean");
        three(&sink).await;
        let rows = batch("a INT, p STRING", &["+I[4, x]"]);
        let committables = staged(writer_of(&sink, 2, 0).as_mut(), &[rows], 1).await;
        committer.commit(&decided(1), &committables).await.expect("committed");
        committer.finish(&decided(1)).await.expect("finished");
        let left = match &store {
            None => tree(&path).into_keys().collect(),
            Some(store) => crate::objects::keys(store).await,
        };
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(left[0].ends_with(committables[0].id.as_str()), "{left:?}");
        assert!(!path.join(".flott-staging").exists());
    }
}

/// Committables of builds that did not look at the names: there is a way out.
#[tokio::test]
async fn a_name_that_no_disk_takes_is_refused_for_good() {
    let (_dir, path) = temp();
    let table = table(&path);
    let sink = table.sink();
    let mut committables = three(&sink).await;
    let long = format!("p={}", "y".repeat(300));
    let old = String::from_utf8(committables[1].data.bytes.to_vec()).expect("JSON");
    assert!(old.contains("p=y"), "{old}");
    committables[1].data.bytes = old.replace("p=y", &long).into_bytes().into();
    let why = refused(committer_of(&sink, 1).commit(&decided(1), &committables).await);
    assert!(why.len() == 1 && why[0].contains("too long for its disk"), "{why:?}");
    assert_eq!(table.read_sorted().await, ["+I[1, x]", "+I[3, z]"]);
}
