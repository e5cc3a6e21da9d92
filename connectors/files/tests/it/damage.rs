//! Staged files that were damaged before the next attempt shows them: none is shown, and the error names it.

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
        let e = committer_of(&sink, 2).commit(&decided(1), &committables).await.expect_err("damaged");
        assert_eq!(e.kind(), ErrorKind::Data, "{e}");
        assert!(e.to_string().contains(&name) && e.to_string().contains(&committables[0].id), "{e}");
        let mut names = std::fs::read_dir(&path).expect("a folder").flatten().map(|e| e.file_name());
        assert!(names.all(|n| n.to_string_lossy().starts_with('.')));
    }
    std::fs::write(&file, whole).expect("written");
    committer_of(&sink, 2).commit(&decided(1), &committables).await.expect("whole again");
    assert_eq!(table.read().await.len(), rows.len());
}
