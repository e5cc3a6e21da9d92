//! What a test finds on disk.

use std::path::Path;

/// How many files there are below a folder, at any depth; none where there is no folder.
pub fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| if e.path().is_dir() { files_below(&e.path()) } else { 1 }).sum()
}
