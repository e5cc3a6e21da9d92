//! Files that a target has to write since what it checks reads only files; one a process and thread, in memory where there
//! is such a folder.

use std::path::{Path, PathBuf};

pub(crate) fn file(name: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    folder.join(format!("flott-fuzz-{name}-{}-{:?}", std::process::id(), std::thread::current().id()))
}
