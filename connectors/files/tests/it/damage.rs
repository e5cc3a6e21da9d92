//! Staged files and the lists beside them that were damaged before the next attempt reads them: nothing of it is shown or
//! followed, and the error names the file.

use flott_core::ErrorKind;
use flott_testkit::batch;

use crate::support::*;

const BLOCK: usize = 64;

#[tokio::test]
async fn no_damage_of_a_staged_file_is_shown() {
    let (_dir, path) = temp();
    let table = Table::new(&path, "a INT, p STRING");
    let sink = table.sink();
    let rows: Vec<String> = (0..200).map(|i| format!("+I[{i}, text {i}]")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let committables = staged(writer_of(&sink, 1, 0).as_mut(), &[batch("a INT, p STRING", &rows)], 1).await;
    let (name, whole) = tree(&path).pop_first().expect("a staged file");
    let file = path.join(&name);
    let whole = whole.into_bytes();
    let mut damages = vec![];
    for (block, start) in (0..whole.len()).step_by(BLOCK).enumerate() {
        let end = (start + BLOCK).min(whole.len());
        let (mut flipped, mut zeroed) = (whole.clone(), whole.clone());
        flipped[start + block * 29 % (end - start)] ^= 1 << (block % 8);
        zeroed[start..end].fill(0);
        damages.extend([flipped, zeroed, whole[..start].to_vec()]);
    }
    assert!(damages.len() > 60, "{}", damages.len());
    for damaged in damages {
        std::fs::write(&file, damaged).expect("written");
        let why = refused(committer_of(&sink, 2).commit(&decided(1), &committables).await);
        assert!(why.len() == 1 && why[0].contains(&name) && why[0].contains(&committables[0].id), "{why:?}");
        let mut names = std::fs::read_dir(&path).expect("a folder").flatten().map(|e| e.file_name());
        assert!(names.all(|n| n.to_string_lossy().starts_with('.')));
    }
    std::fs::write(&file, whole).expect("written");
    committer_of(&sink, 2).commit(&decided(1), &committables).await.expect("whole again");
    assert_eq!(table.read().await.len(), rows.len());
}

/// Every bit flipped in turn, and every part of a file that is cut off.
pub(crate) fn damages(whole: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let flipped = (0..whole.len()).map(|i| {
        let mut flipped = whole.to_vec();
        flipped[i] ^= 1 << (i % 8);
        flipped
    });
    flipped.chain((0..whole.len()).map(|n| whole[..n].to_vec()))
}

pub(crate) fn expect_refused(e: &flott_core::Error, name: &str) {
    assert!(matches!(e.kind(), ErrorKind::Data | ErrorKind::User), "{e}");
    assert!(e.to_string().contains(name) && e.hint_text().is_some(), "{e}");
}

/// What the first version of each list looks like, as it was once written.
const OVERWRITE_1: &str = "flott overwrite 1 a40cfd05\n[{\"staged\":\".flott-staging/lineage/1/sink--t-4e2203b5/0/part-x.new\",\
     \"target\":\"part-x.txt\",\"size\":4,\"crc32\":1776384097,\"partition\":\"\"}]";
const PARTITIONS_1: &str = "flott partitions 1 2cffc2b4\n{\"dt=a\":1000000}";

/// The folder of an operator's lists, and its name in them.
const LISTS: &str = ".flott-staging/lineage";
pub(crate) const OPERATOR: &str = "sink--t-4e2203b5";

#[tokio::test]
async fn no_damage_of_a_list_of_files_that_overwrite_is_followed() {
    let (_dir, path) = temp();
    let name = format!("{LISTS}/overwrite-{OPERATOR}/1.json");
    files(
        &path,
        &[("old.txt", "7\n"), (&format!("{LISTS}/1/{OPERATOR}/0/part-x.new"), "1\n2\n"), (&name, OVERWRITE_1)],
    );
    let table = Table::new(&path, "a INT");
    let sink = table.overwriting_sink();
    for damaged in damages(OVERWRITE_1.as_bytes()) {
        std::fs::write(path.join(&name), damaged).expect("written");
        expect_refused(&committer_of(&sink, 2).finish(&decided(1)).await.expect_err("damaged"), &name);
        assert!(path.join("old.txt").exists() && !path.join("part-x.txt").exists());
    }
    std::fs::write(path.join(&name), OVERWRITE_1.replacen("overwrite 1", "overwrite 99", 1)).expect("written");
    let e = committer_of(&sink, 2).finish(&decided(1)).await.expect_err("another version");
    assert!(e.to_string().contains("format version 99"), "{e}");
    std::fs::write(path.join(&name), OVERWRITE_1).expect("written");
    committer_of(&sink, 2).finish(&decided(1)).await.unwrap_or_else(|e| panic!("whole again: {e}"));
    assert_eq!(table.read_sorted().await, ["+I[1]", "+I[2]"]);
}

#[tokio::test]
async fn no_damage_of_a_list_of_partitions_is_followed() {
    let (_dir, path) = temp();
    let name = format!("{LISTS}/partitions-{OPERATOR}.1.json");
    files(&path, &[("dt=a/x.txt", "1\n"), (&name, PARTITIONS_1)]);
    let table = Table::new(&path, "v INT, dt STRING").partitioned_by(&["dt"]);
    let sink = table.option("sink.partition-commit.policy.kind", "success-file").sink();
    for damaged in damages(PARTITIONS_1.as_bytes()) {
        std::fs::write(path.join(&name), damaged).expect("written");
        expect_refused(&committer_of(&sink, 1).finish(&decided(1)).await.expect_err("damaged"), &name);
    }
    std::fs::write(path.join(&name), PARTITIONS_1.replacen("partitions 1", "partitions 99", 1)).expect("written");
    let e = committer_of(&sink, 1).finish(&decided(1)).await.expect_err("another version");
    assert!(e.to_string().contains("format version 99"), "{e}");
    std::fs::write(path.join(&name), PARTITIONS_1).expect("written");
    committer_of(&sink, 1).finish(&decided(1)).await.unwrap_or_else(|e| panic!("whole again: {e}"));
    assert!(path.join("dt=a/_SUCCESS").exists());
}
