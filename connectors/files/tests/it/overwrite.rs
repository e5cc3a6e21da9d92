//! INSERT OVERWRITE: the old files go when the job ends, and not before; whatever dies in between.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flott_connector::sink::{Committable, CommitterContext, Sink};
use flott_core::{FailPoints, Generation};
use flott_testkit::batch;
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::support::*;

fn table(path: &Path) -> Table {
    Table::new(path, "a INT, p STRING").partitioned_by(&["p"])
}

/// What was there: three partitions.
async fn fill(table: &Table) {
    let sink = table.sink();
    let rows = batch("a INT, p STRING", &["+I[1, x]", "+I[2, y]", "+I[3, z]"]);
    let committables = staged(writer_of(&sink, 1, 0).as_mut(), &[rows], 1).await;
    let mut committer = committer_of(&sink, 1);
    committer.commit(&decided(1), &committables).await.expect("committed");
    committer.finish(&decided(1)).await.expect("finished");
}

/// Two checkpoints of a job that overwrites.
async fn two(sink: &Arc<dyn Sink>) -> [Vec<Committable>; 2] {
    let mut writer = writer_of(sink, 1, 0);
    let first = batch("a INT, p STRING", &["+I[10, x]"]);
    let second = batch("a INT, p STRING", &["+I[11, x]", "+I[12, w]"]);
    [staged(writer.as_mut(), &[first], 1).await, staged(writer.as_mut(), &[second], 2).await]
}

const OLD: [&str; 3] = ["+I[1, x]", "+I[2, y]", "+I[3, z]"];
const NEW: [&str; 5] = ["+I[10, x]", "+I[11, x]", "+I[12, w]", "+I[2, y]", "+I[3, z]"];

#[tokio::test]
async fn the_partitions_that_are_written_are_replaced_at_the_end() {
    let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    for store in [None, Some(memory)] {
        let (_dir, path) = temp();
        let table = match &store {
            None => table(&path),
            Some(store) => table(Path::new("t")).store(Arc::clone(store)),
        };
        fill(&table).await;
        let sink = table.overwriting_sink();
        let [first, second] = two(&sink).await;
        let mut committer = committer_of(&sink, 1);
        committer.commit(&decided(1), &first).await.expect("committed");
        assert_eq!(table.read_sorted().await, OLD, "nothing is shown on the way");
        // The attempt dies; the next one keeps what is held, removes what is not, and writes it again.
        let mut committer = committer_of(&sink, 2);
        committer.commit(&decided(1), &first).await.expect("committed again");
        committer.clean_up(&[]).await.expect("clean");
        drop(second);
        let rows = batch("a INT, p STRING", &["+I[11, x]", "+I[12, w]"]);
        let second = staged(writer_of(&sink, 2, 0).as_mut(), &[rows], 2).await;
        committer.commit(&decided(2), &second).await.expect("committed");
        assert_eq!(table.read_sorted().await, OLD);
        committer.finish(&decided(2)).await.expect("finished");
        assert_eq!(table.read_sorted().await, NEW);
        // Killed before it could say that it has finished: the new files are not taken for old ones.
        let mut committer = committer_of(&sink, 3);
        committer.commit(&decided(2), &second).await.expect("committed again");
        committer.clean_up(&[]).await.expect("clean");
        committer.finish(&decided(2)).await.expect("finished again");
        assert_eq!(table.read_sorted().await, NEW);
    }
}

#[tokio::test]
async fn an_end_that_fails_in_the_middle_goes_on_the_next_time() {
    let (_dir, path) = temp();
    let table = table(&path);
    fill(&table).await;
    let sink = table.overwriting_sink();
    let [first, second] = two(&sink).await;
    let mut committer = committer_of(&sink, 1);
    committer.commit(&decided(1), &first).await.expect("committed");
    committer.commit(&decided(2), &second).await.expect("committed");
    // Something stands in the place of the last file.
    let blocked = path.join(&second.last().expect("a file").id);
    std::fs::create_dir_all(&blocked).expect("a folder in the way");
    committer.finish(&decided(2)).await.expect_err("in the way");
    std::fs::remove_dir(&blocked).expect("out of the way");
    let mut committer = committer_of(&sink, 2);
    committer.commit(&decided(2), &second).await.expect("committed again");
    committer.clean_up(&[]).await.expect("clean");
    committer.finish(&decided(2)).await.expect("finished");
    assert_eq!(table.read_sorted().await, NEW);
}

#[tokio::test]
async fn without_partitions_everything_is_replaced_also_by_nothing() {
    let (_dir, path) = temp();
    files(&path, &[("old.txt", "1\n"), ("below/old.txt", "2\n"), ("_SUCCESS", ""), (".hidden", "x")]);
    let table = Table::new(&path, "a INT");
    let sink = table.overwriting_sink();
    writer_of(&sink, 1, 0).flush(true).await.expect("no rows");
    let mut committer = committer_of(&sink, 1);
    committer.finish(&decided(1)).await.expect("finished");
    let left: Vec<String> = tree(&path).into_keys().filter(|name| !name.starts_with(".flott")).collect();
    assert_eq!(left, [".hidden", "_SUCCESS"], "what is no data stays");
}

/// Flink 2.3 does the same, also with a static partition: only Hive's catalog empties it.
#[tokio::test]
async fn partitions_stay_where_there_are_no_rows() {
    let (_dir, path) = temp();
    let table = table(&path);
    fill(&table).await;
    let sink = table.overwriting_sink();
    writer_of(&sink, 1, 0).flush(true).await.expect("no rows");
    committer_of(&sink, 1).finish(&decided(1)).await.expect("finished");
    assert_eq!(table.read_sorted().await, OLD);
}

#[tokio::test]
async fn a_fresh_start_overwrites_again() {
    let (_dir, path) = temp();
    let table = table(&path);
    let sink = table.overwriting_sink();
    let of_lineage = |lineage: &str, generation, replaced: &[&str]| {
        let context = CommitterContext {
            lineage: lineage.into(),
            generation: Generation(generation),
            operator_uid: "sink: t".into(),
            replaced_lineages: replaced.iter().map(|l| l.to_string()).collect(),
        };
        sink.create_committer(context).expect("made").expect("a committer")
    };
    for (generation, lineage, replaced) in [(1, "one", &[][..]), (2, "two", &["one"][..])] {
        let rows = batch("a INT, p STRING", &[&format!("+I[{generation}, x]")]);
        let committables = staged(writer_of(&sink, generation, 0).as_mut(), &[rows], 1).await;
        let mut committer = of_lineage(lineage, generation, replaced);
        committer.clean_up(&[]).await.expect("clean");
        committer.commit(&decided(1), &committables).await.expect("committed");
        committer.finish(&decided(1)).await.expect("finished");
        assert_eq!(table.read_sorted().await, [format!("+I[{generation}, x]")]);
    }
    let left: Vec<String> = tree(&path).into_keys().filter(|name| name.starts_with('.')).collect();
    assert_eq!(left.len(), 2, "only the markers of the last two are left: {left:?}");
}

/// An attempt sleeps in the middle of its end. Meanwhile the job is started anew and fills the table, which the sleeper
/// must not empty when it wakes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_sleeps_at_its_end_takes_nothing_from_a_fresh_start() {
    for overwrites_again in [true, false] {
        let (dir, path) = temp();
        let table = Table::new(&path, "a INT");
        let reached = dir.path().join("reached");
        let points = FailPoints::armed("mid_commit", &reached).expect("armed");
        let sink = table.overwriting_sink_with(points);
        let context = |lineage: &str, generation, replaced: &[&str]| CommitterContext {
            lineage: lineage.into(),
            generation: Generation(generation),
            operator_uid: "sink: t".into(),
            replaced_lineages: replaced.iter().map(|l| l.to_string()).collect(),
        };
        let rows = staged(writer_of(&sink, 1, 0).as_mut(), &[batch("a INT", &["+I[1]"])], 1).await;
        let mut sleeper = sink.create_committer(context("lineage", 1, &[])).expect("made").expect("a committer");
        sleeper.commit(&decided(1), &rows).await.expect("held");
        let sleeper = tokio::spawn(async move { sleeper.finish(&decided(1)).await });
        while !reached.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        let fresh = if overwrites_again { table.overwriting_sink() } else { table.sink() };
        let mut committer =
            fresh.create_committer(context("two", 2, &["lineage"])).expect("made").expect("a committer");
        committer.clean_up(&[]).await.expect("clean");
        let rows = staged(writer_of(&fresh, 2, 0).as_mut(), &[batch("a INT", &["+I[2]"])], 1).await;
        committer.commit(&decided(1), &rows).await.expect("committed");
        committer.finish(&decided(1)).await.expect("finished");
        std::fs::write(dir.path().join("reached.go"), "").expect("woken");
        drop(sleeper.await.expect("a task"));
        assert_eq!(table.read_sorted().await, ["+I[2]"]);
    }
}
