//! Files that nobody but their owner reads (mode 0600): state, checkpoints, and output that is not published. They hold
//! rows as they are.

use std::fs::{File, OpenOptions};
use std::io::Result;
use std::path::Path;

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a file, or empties the one that is there, which then is its owner's alone, too.
pub fn create(path: &Path) -> Result<File> {
    let file = options().create(true).truncate(true).open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

/// Makes a file that is not there.
pub fn create_new(path: &Path) -> Result<File> {
    options().create_new(true).open(path)
}

/// Opens a file and leaves what is in it; one that is not there is made.
pub fn open(path: &Path) -> Result<File> {
    options().create(true).truncate(false).open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn others_do_not_read_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let [old, new, kept] = ["old", "new", "kept"].map(|name| folder.path().join(name));
        std::fs::write(&old, "half").expect("written");
        std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o644)).expect("changed");
        create(&old).expect("made anew");
        create_new(&new).expect("made");
        open(&kept).expect("made");
        for path in [old, new, kept] {
            let meta = std::fs::metadata(&path).expect("there");
            assert_eq!((meta.permissions().mode() & 0o777, meta.len()), (0o600, 0), "{path:?}");
        }
    }
}
