//! Files in pieces: all pieces together are the whole, in order, whatever the content.

use flott_connector::source::{EnumeratorAction, EnumeratorContext, ReaderEvent, SourceSplit, SubtaskInfo};
use flott_core::CheckpointId;
use flott_testkit::rows_of;
use proptest::prelude::*;

use flott_testkit::settle;

use crate::support::*;

/// All pieces in the order in which they are given out, with the enumerator restored after every `restore_after`-th.
async fn pieces(table: &Table, restore_after: usize) -> Vec<SourceSplit> {
    let source = table.source();
    let mut enumerator = source.create_enumerator(None).expect("made");
    let mut context = EnumeratorContext { parallelism: 4, load: vec![0; 4], ..Default::default() };
    settle(enumerator.start(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    let mut pieces = vec![];
    loop {
        settle(enumerator.handle_split_request(0, &mut context), enumerator.as_mut(), &mut context)
            .await
            .expect("given");
        for action in std::mem::take(&mut context.actions) {
            match action {
                EnumeratorAction::Assign { splits, .. } => pieces.extend(splits),
                EnumeratorAction::NoMoreSplits { .. } => return pieces,
                EnumeratorAction::SendEvent { .. } => panic!("an event"),
            }
        }
        if pieces.len() % restore_after == 0 {
            let state = enumerator.snapshot_state(CheckpointId(1)).expect("a state");
            enumerator = source.create_enumerator(Some(state)).expect("restored");
            settle(enumerator.start(&mut context), enumerator.as_mut(), &mut context).await.expect("started");
        }
    }
}

/// The rows of pieces, one after another.
async fn rows(table: &Table, pieces: Vec<SourceSplit>) -> Vec<String> {
    let mut reader = table.source().create_reader(SubtaskInfo { index: 0, parallelism: 1 }).expect("made");
    reader.add_splits(pieces).expect("taken");
    reader.no_more_splits();
    let mut batches = vec![];
    loop {
        match reader.next().await.expect("read") {
            ReaderEvent::Batch(batch) => batches.push(batch.rows),
            ReaderEvent::EndOfInput => return rows_of(&batches),
            _ => {}
        }
    }
}

async fn check(content: &str, split_size: usize, format: &str, quotes: bool, strict: bool) -> usize {
    let (_dir, path) = temp();
    files(&path, &[("f", content)]);
    let table = Table::new(&path, "a STRING, b STRING, c STRING")
        .option("format", format)
        .option(&format!("{format}.quotes"), if quotes { "true" } else { "false" })
        .option(&format!("{format}.strict"), if strict { "true" } else { "false" });
    let whole = table.read().await;
    let cut = table.option("source.split-size", &format!("{split_size} b"));
    let pieces = pieces(&cut, 2).await;
    let count = pieces.len();
    let ids: std::collections::BTreeSet<_> = pieces.iter().map(|p| p.id.clone()).collect();
    assert_eq!(ids.len(), count, "ids are unique");
    assert_eq!(rows(&cut, pieces).await, whole, "{content:?} in pieces of {split_size}");
    count
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pieces_are_the_whole(content in "[ab,\"\n\r]{0,60}", split_size in 1usize..40, mode in 0u8..4) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (format, quotes, strict) = match mode {
            0 => ("line", true, true),
            1 => ("line", true, false),
            2 => ("line", false, false),
            _ => ("unit", true, false),
        };
        runtime.block_on(check(&content, split_size, format, quotes, strict));
    }

    /// Well-formed fields, so that cuts between them really happen.
    #[test]
    fn regular_quotes(
        records in prop::collection::vec(prop::collection::vec("[a\"\n,]{0,5}", 1..4), 1..12),
        split_size in 1usize..30,
    ) {
        let quoted = |f: &String| format!("\"{}\"", f.replace('"', "\"\""));
        let lines: Vec<String> = records.iter().map(|r| r.iter().map(quoted).collect::<Vec<_>>().join(",")).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(check(&(lines.join("\n") + "\n"), split_size, "line", true, true));
    }
}

#[tokio::test]
async fn files_are_cut_as_far_as_that_is_proven() {
    let plain = "aa,b,c\n".repeat(100);
    assert_eq!(check(&plain, 70, "line", false, false).await, 10);
    // No quote in the file: proven without knowing the delimiter.
    assert_eq!(check(&plain, 70, "line", true, false).await, 10);
    assert_eq!(check(&plain, 70, "unit", true, false).await, 10);
    let quoted = "\"a\na\",b,\"\"\"\"\n".repeat(100);
    assert_eq!(check(&quoted, 130, "line", true, true).await, 10);
    assert_eq!(check(&quoted, 130, "line", true, false).await, 1);
    // Half of it is regular.
    let broken = format!("{quoted}5\" disk,\"x\n{quoted}");
    assert_eq!(check(&broken, 130, "line", true, true).await, 11);
    let parity = "5\" disk,\"x\ny\",\"z\n\"\n".repeat(100);
    assert_eq!(check(&parity, 190, "line", true, true).await, 1);
}

#[tokio::test]
async fn one_reader_gets_whole_files() {
    let (_dir, path) = temp();
    files(&path, &[("f", &"a,b,c\n".repeat(100))]);
    let source = Table::new(&path, "a STRING").option("source.split-size", "60 b").source();
    let mut enumerator = source.create_enumerator(None).expect("made");
    let mut context = EnumeratorContext { parallelism: 1, load: vec![0], ..Default::default() };
    settle(enumerator.start(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    settle(enumerator.add_reader(0, &mut context), enumerator.as_mut(), &mut context).await.expect("given");
    settle(enumerator.handle_split_request(0, &mut context), enumerator.as_mut(), &mut context).await.expect("given");
    assert!(matches!(
        &context.actions[..],
        [EnumeratorAction::Assign { splits, .. }, EnumeratorAction::NoMoreSplits { reader: 0 }] if splits.len() == 1
    ));
}

/// Borders at the edges of the blocks in which a file is looked at, with quotes around each.
#[tokio::test]
async fn borders_at_the_edges_of_blocks() {
    let block = 1 << 20;
    for shift in 0..8 {
        let mut content = "x".repeat(block - 8 + shift) + ",y\n";
        content += &"\"a\n\"\"b\",c\n".repeat(200_000);
        let pieces = check(&content, block, "line", true, true).await;
        assert!(pieces >= 2, "{pieces} pieces");
    }
}

#[tokio::test]
async fn readers_get_their_pieces_in_the_order_in_which_they_asked() {
    let (_dir, path) = temp();
    files(&path, &[("a", &"1\n".repeat(1_000))]);
    let source = Table::new(&path, "a INT").option("source.split-size", "100 b").source();
    let mut enumerator = source.create_enumerator(None).expect("made");
    let mut context = EnumeratorContext { parallelism: 3, load: vec![0; 3], ..Default::default() };
    settle(enumerator.start(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    for reader in [2, 0, 1] {
        enumerator.handle_split_request(reader, &mut context).expect("noted");
    }
    // One border is looked for at a time, and a checkpoint meanwhile holds the file as it was.
    assert_eq!(context.calls.len(), 1);
    let state = enumerator.snapshot_state(CheckpointId(1)).expect("a state");
    settle(Ok(()), enumerator.as_mut(), &mut context).await.expect("cut");
    let given: Vec<(usize, String)> = std::mem::take(&mut context.actions)
        .into_iter()
        .map(|action| match action {
            EnumeratorAction::Assign { reader, splits } => (reader, splits[0].id.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    let file = path.join("a").display().to_string();
    assert_eq!(given, [(2, format!("{file}:0")), (0, format!("{file}:100")), (1, format!("{file}:200"))]);
    let mut restored = source.create_enumerator(Some(state)).expect("restored");
    settle(restored.start(&mut context), restored.as_mut(), &mut context).await.expect("started");
    let done = restored.handle_split_request(0, &mut context);
    settle(done, restored.as_mut(), &mut context).await.expect("cut");
    assert!(
        matches!(&context.actions[..], [EnumeratorAction::Assign { reader: 0, splits }] if splits[0].id == format!("{file}:0"))
    );
}
