//! The same over an object store.

use std::sync::Arc;

use flott_connector::sink::CommitOutcome;
use flott_core::ErrorKind;
use flott_testkit::{SourceHarness, batch, rows_of, suite};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::support::*;

async fn put(store: &Arc<dyn ObjectStore>, key: &str, content: impl Into<Vec<u8>>) {
    store.put(&Path::parse(key).expect("a key"), content.into().into()).await.expect("put");
}

pub(crate) async fn keys(store: &Arc<dyn ObjectStore>) -> Vec<String> {
    let all: Vec<_> = store.list(None).try_collect().await.expect("listed");
    let mut keys: Vec<String> = all.into_iter().map(|m| m.location.to_string()).collect();
    keys.sort();
    keys
}

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

#[tokio::test]
async fn listed_and_read() {
    let store = memory();
    put(&store, "b/t/k=a%2Fb/f1", "1\n2\n").await;
    put(&store, "b/t/k=c/f2", "3\n").await;
    put(&store, "b/t/k=c/_SUCCESS", "x").await;
    put(&store, "b/t/.flott-staging/l/1/o/0/part", "x").await;
    put(&store, "b/table2/k=c/f2", "4\n").await;
    let table = |path: &str| Table::new(path, "a INT, k STRING").partitioned_by(&["k"]).store(Arc::clone(&store));
    assert_eq!(table("b/t").read().await, ["+I[1, a/b]", "+I[2, a/b]", "+I[3, c]"]);
    assert_eq!(table("b/t/k=c/f2").read().await, ["+I[3, c]"]);
    assert_eq!(table("b/*/k=c").read().await, ["+I[3, c]", "+I[4, c]"]);
    let named = Table::new("b/t/k=a%2Fb", "a INT")
        .store(Arc::clone(&store))
        .with(|b| b.metadata("p", "file.path", "STRING NOT NULL", true));
    assert_eq!(named.read().await[0], "+I[1, /b/t/k=a%2Fb/f1]");
    let e = table("b/nothing").try_read(1).await.expect_err("nothing there");
    assert!(e.to_string().contains("there is nothing at 'mem://b/nothing'"), "{e}");
}

#[tokio::test]
async fn large_objects_in_pieces_and_restored() {
    let store = memory();
    let content: String = (0..600_000).map(|i| format!("{i},{}\n", "v".repeat(i % 50))).collect();
    assert!(content.len() > 16 << 20);
    put(&store, "t/a", content.clone()).await;
    put(&store, "t/b.zst", zstd::encode_all(content.as_bytes(), 1).expect("compressed")).await;
    let table = Table::new("t", "a INT").store(Arc::clone(&store)).option("source.split-size", "5 mb");
    let batches = table.try_read(3).await.expect("read");
    assert_eq!(rows_of(&batches).len(), 1_200_000);
    let whole = rows_of(&Table::new("t/a", "a INT").store(Arc::clone(&store)).try_read(1).await.expect("read"));
    assert_eq!((whole.len(), whole[599_999].as_str()), (600_000, "+I[599999]"));
    put(&store, "small/a", &content[..200_000]).await;
    for size in ["20 kb", "1 gb"] {
        let table = Table::new("small", "a STRING").store(Arc::clone(&store)).option("source.split-size", size);
        suite::source_restores(&table.source(), &[1, 2], 3).await;
    }
}

#[tokio::test]
async fn an_object_that_changes_is_refused() {
    for (before, after) in [("1\n", "2\n"), ("1\n", "1\n2\n")] {
        let store = memory();
        put(&store, "t/a", before).await;
        let source = Table::new("t", "a INT").store(Arc::clone(&store)).source();
        let mut harness = SourceHarness::start(&source, 1, None).await.expect("started");
        put(&store, "t/a", after).await;
        let e = harness.run_to_end().await.expect_err("changed");
        assert_eq!(e.kind(), ErrorKind::Data, "{e}");
        assert!(e.to_string().contains("the file has changed since it was listed"), "{e}");
    }
}

#[tokio::test]
async fn staged_shown_and_cleaned_up() {
    let store = memory();
    let table = Table::new("b/t", "a INT, p STRING").partitioned_by(&["p"]).store(Arc::clone(&store));
    let sink = table.sink();
    let rows = batch("a INT, p STRING", &["+I[1, x/y]", "+I[2, z]"]);
    let committables = staged(writer_of(&sink, 1, 0).as_mut(), std::slice::from_ref(&rows), 1).await;
    assert_eq!(keys(&store).await.iter().filter(|k| k.starts_with("b/t/.flott-staging/lineage/1/")).count(), 2);
    let outcomes = committer_of(&sink, 1).commit(&decided(1), &committables).await.expect("committed");
    assert_eq!(outcomes, vec![CommitOutcome::Committed; 2]);
    assert!(keys(&store).await.iter().all(|k| k.starts_with("b/t/p=x%2Fy/part-") || k.starts_with("b/t/p=z/part-")));
    assert_eq!(table.read_sorted().await, ["+I[1, x/y]", "+I[2, z]"]);
    let outcomes = committer_of(&sink, 2).commit(&decided(1), &committables).await.expect("committed");
    assert_eq!(outcomes, vec![CommitOutcome::AlreadyCommitted; 2]);

    // Of dead attempts, except what is kept.
    let dead = staged(writer_of(&sink, 2, 0).as_mut(), std::slice::from_ref(&rows), 2).await;
    staged(writer_of(&sink, 3, 0).as_mut(), &[rows], 2).await;
    committer_of(&sink, 3).clean_up(&[dead[0].id.clone()]).await.expect("clean");
    let left: Vec<String> = keys(&store).await.into_iter().filter(|k| k.contains(".flott-staging")).collect();
    assert_eq!(left.len(), 3, "{left:?}");
    assert_eq!(left.iter().filter(|k| k.contains("/lineage/2/")).count(), 1);

    put(&store, &format!("b/t/{}", dead[0].id), "another").await;
    let why = refused(committer_of(&sink, 3).commit(&decided(2), &dead[..1]).await);
    assert!(why.len() == 1 && why[0].contains("is there with another content"), "{why:?}");
    store.delete(&Path::parse(format!("b/t/{}", dead[0].id)).expect("a key")).await.expect("removed");
    let why = refused(committer_of(&sink, 3).commit(&decided(2), &dead[1..]).await);
    assert!(why.len() == 1 && why[0].contains("is gone, and the file itself is not there"), "{why:?}");
}

#[tokio::test]
async fn large_files_are_uploaded_in_parts() {
    let store = memory();
    let table = Table::new("t", "a STRING").store(Arc::clone(&store));
    let sink = table.sink();
    let row = format!("+I[{}]", "x".repeat(300_000));
    let rows: Vec<&str> = std::iter::repeat_n(row.as_str(), 100).collect();
    let committables = staged(writer_of(&sink, 1, 0).as_mut(), &[batch("a STRING", &rows)], 1).await;
    committer_of(&sink, 1).commit(&decided(1), &committables).await.expect("committed");
    assert_eq!(table.read().await.len(), 100);
    let e = Table::new("t", "a STRING").store(store).option("sink.rolling-policy.file-size", "5 gb").try_sink();
    assert!(e.err().expect("refused").to_string().contains("4 gb at most"));
}

#[tokio::test]
async fn an_object_of_which_a_format_reads_pieces_does_not_change_between_them() {
    let store = memory();
    put(&store, "t/a", three_hundred_lines(100)).await;
    let source = Table::new("t", "a INT").store(Arc::clone(&store)).option("format", "unit").source();
    changed_while_read(&source, async || put(&store, "t/a", three_hundred_lines(500)).await).await;
}
