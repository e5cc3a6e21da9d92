//! `source.monitor-interval`: new files are found, and each is read once.

use std::time::Duration;

use flott_connector::Boundedness;
use flott_connector::source::{EnumeratorAction, EnumeratorContext, SplitEnumerator};
use flott_core::CheckpointId;

use flott_testkit::settle;

use crate::support::*;

fn given(context: &mut EnumeratorContext) -> Vec<String> {
    let mut names = vec![];
    for action in std::mem::take(&mut context.actions) {
        match action {
            EnumeratorAction::Assign { splits, .. } => names.extend(splits.into_iter().map(|s| s.id)),
            other => panic!("{other:?}"),
        }
    }
    names.iter().map(|n| n.rsplit('/').next().expect("a name").to_string()).collect()
}

async fn ask(enumerator: &mut Box<dyn SplitEnumerator>, context: &mut EnumeratorContext) -> Vec<String> {
    settle(enumerator.handle_split_request(0, context), enumerator.as_mut(), context).await.expect("given");
    given(context)
}

#[tokio::test]
async fn new_files_are_read_once() {
    let (_dir, path) = temp();
    files(&path, &[("a", "1\n")]);
    let source = Table::new(&path, "a INT").option("source.monitor-interval", "2 s").source();
    assert_eq!(source.boundedness(), Boundedness::ContinuousUnbounded);
    let mut context = EnumeratorContext { parallelism: 1, load: vec![0], ..Default::default() };
    let mut enumerator = source.create_enumerator(None).expect("made");
    assert_eq!(enumerator.discovery_interval(), Some(Duration::from_secs(2)));
    settle(enumerator.start(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    assert_eq!(ask(&mut enumerator, &mut context).await, ["a:0"]);
    // Nothing there: the reader waits.
    assert_eq!(ask(&mut enumerator, &mut context).await, Vec::<String>::new());
    settle(enumerator.discover(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    assert_eq!(given(&mut context), Vec::<String>::new());

    files(&path, &[("b", "2\n"), ("sub/c", "3\n"), (".d", "4\n")]);
    settle(enumerator.discover(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    assert_eq!(given(&mut context), ["b:0"]);
    // The rest belongs to the enumerator's state.
    let state = enumerator.snapshot_state(CheckpointId(1)).expect("a state");
    let mut restored = source.create_enumerator(Some(state)).expect("restored");
    files(&path, &[("e", "5\n"), ("a", "changed, and known by its name\n")]);
    settle(restored.start(&mut context), restored.as_mut(), &mut context).await.expect("listed");
    let mut names = vec![];
    for _ in 0..3 {
        names.extend(ask(&mut restored, &mut context).await);
    }
    assert_eq!(names, ["c:0", "e:0"]);
}

#[tokio::test]
async fn a_source_that_ended_may_go_on() {
    let (_dir, path) = temp();
    files(&path, &[("a", "1\n"), ("b", "2\n")]);
    let table = || Table::new(&path, "a INT");
    let mut context = EnumeratorContext { parallelism: 1, load: vec![0], ..Default::default() };
    let mut enumerator = table().source().create_enumerator(None).expect("made");
    settle(enumerator.start(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    assert_eq!(ask(&mut enumerator, &mut context).await, ["a:0"]);
    let state = enumerator.snapshot_state(CheckpointId(1)).expect("a state");
    let monitoring = table().option("source.monitor-interval", "1 s").source();
    let mut enumerator = monitoring.create_enumerator(Some(state)).expect("restored");
    files(&path, &[("c", "3\n")]);
    settle(enumerator.start(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    let mut names = ask(&mut enumerator, &mut context).await;
    names.extend(ask(&mut enumerator, &mut context).await);
    assert_eq!(names, ["b:0", "c:0"]);
}

#[tokio::test]
async fn an_empty_folder_may_fill_later() {
    let (_dir, path) = temp();
    std::fs::create_dir_all(&path).expect("made");
    let source = Table::new(&path, "a INT").option("source.monitor-interval", "1 s").source();
    let mut context = EnumeratorContext { parallelism: 2, load: vec![0; 2], ..Default::default() };
    let mut enumerator = source.create_enumerator(None).expect("made");
    settle(enumerator.start(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    for reader in 0..2 {
        settle(enumerator.add_reader(reader, &mut context), enumerator.as_mut(), &mut context).await.expect("added");
    }
    assert_eq!(given(&mut context), Vec::<String>::new());
    files(&path, &[("a", "1\n"), ("b", "2\n")]);
    settle(enumerator.discover(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    let readers: Vec<usize> = context
        .actions
        .iter()
        .map(|a| match a {
            EnumeratorAction::Assign { reader, .. } => *reader,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(readers, [0, 1]);
}

#[tokio::test]
async fn an_empty_file_is_read_once_it_is_filled() {
    for format in ["line", "unit"] {
        let (_dir, path) = temp();
        files(&path, &[("a", ""), ("b", "")]);
        let table = Table::new(&path, "a INT").option("format", format);
        let source = table.option("source.monitor-interval", "1 s").source();
        let mut context = EnumeratorContext { parallelism: 1, load: vec![0], ..Default::default() };
        let mut enumerator = source.create_enumerator(None).expect("made");
        settle(enumerator.start(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
        assert_eq!(ask(&mut enumerator, &mut context).await, Vec::<String>::new());
        files(&path, &[("a", "1\n")]);
        settle(enumerator.discover(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
        assert_eq!(given(&mut context), ["a:0"]);
        // Also behind a restore.
        let state = enumerator.snapshot_state(CheckpointId(1)).expect("a state");
        let mut restored = source.create_enumerator(Some(state)).expect("restored");
        files(&path, &[("b", "2\n")]);
        settle(restored.start(&mut context), restored.as_mut(), &mut context).await.expect("listed");
        assert_eq!(ask(&mut restored, &mut context).await, ["b:0"]);
        assert_eq!(ask(&mut restored, &mut context).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn damaged_states_are_refused() {
    let (_dir, path) = temp();
    files(&path, &[("a", "1\n")]);
    let source = Table::new(&path, "a INT").source();
    let mut enumerator = source.create_enumerator(None).expect("made");
    let mut context = EnumeratorContext { parallelism: 1, load: vec![0], ..Default::default() };
    settle(enumerator.start(&mut context), enumerator.as_mut(), &mut context).await.expect("listed");
    let state = enumerator.snapshot_state(CheckpointId(1)).expect("a state");
    for length in 0..state.bytes.len() {
        let cut = flott_connector::Versioned::new(state.version, state.bytes.slice(..length));
        assert!(source.create_enumerator(Some(cut)).is_err(), "{length}");
    }
    let newer = flott_connector::Versioned::new(state.version + 1, state.bytes);
    let e = source.create_enumerator(Some(newer)).err().expect("refused").to_string();
    assert!(e.contains("has version 2"), "{e}");
}

#[tokio::test]
async fn readers_wait_for_a_slow_listing_and_checkpoints_do_not() {
    for monitor in [false, true] {
        let (_dir, path) = temp();
        files(&path, &[("a", "1\n"), ("b", "2\n")]);
        let table = Table::new(&path, "a INT");
        let table = if monitor { table.option("source.monitor-interval", "1 s") } else { table };
        let source = table.source();
        let mut context = EnumeratorContext { parallelism: 1, load: vec![0], ..Default::default() };
        let mut enumerator = source.create_enumerator(None).expect("made");
        enumerator.start(&mut context).expect("begun");
        assert_eq!(context.calls.len(), 1);
        enumerator.discover(&mut context).expect("nothing to do");
        assert_eq!(context.calls.len(), 1, "one listing at a time");
        enumerator.add_reader(0, &mut context).expect("added");
        enumerator.handle_split_request(0, &mut context).expect("noted");
        assert_eq!(context.actions, [], "nobody knows yet whether there is something");
        let state = enumerator.snapshot_state(CheckpointId(1)).expect("a state");
        settle(Ok(()), enumerator.as_mut(), &mut context).await.expect("listed");
        assert_eq!(given(&mut context), ["a:0"], "once, though it asked twice");
        // The checkpoint of before holds nothing of it.
        let mut restored = source.create_enumerator(Some(state)).expect("restored");
        settle(restored.start(&mut context), restored.as_mut(), &mut context).await.expect("listed");
        assert_eq!(ask(&mut restored, &mut context).await, ["a:0"]);
    }
}
