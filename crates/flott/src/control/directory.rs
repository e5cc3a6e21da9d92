//! The folder of the user's sockets, one `<job id>.sock` for each running job.
//!
//! It is `$FLOTT_RUNTIME_DIR` and that alone; where that is not set `$XDG_RUNTIME_DIR/flott`, or `flott-<uid>` in the
//! folder for temporary files. Nobody else may enter it: a folder
//! that belongs to somebody else, that others may enter, or that is a link is refused, so that nobody can put a socket
//! there in a job's name.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use flott_core::{Error, Result};

/// `sun_path` has 108 bytes on Linux and 104 elsewhere, its end mark included.
const SOCKET_PATH_BYTES_MAX: usize = 103;
/// The end of a socket's name.
const SUFFIX: &str = ".sock";

/// The place of a job's socket. Makes the folder where it is not there.
pub(super) fn socket_of(job_id: &str) -> Result<PathBuf> {
    let folder = match named() {
        Some(folder) if !fits(&folder, job_id.len()) => {
            return Err(Error::user("the path of FLOTT_RUNTIME_DIR is too long for a socket")
                .with("folder", folder.display())
                .hint("Name a folder of at most 60 characters"));
        }
        Some(folder) => folder,
        None => choose(std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from), job_id.len()),
    };
    prepare(&folder)?;
    Ok(folder.join(format!("{job_id}{SUFFIX}")))
}

/// The sockets that are there, of running jobs or left by dead ones: in every folder that a job of this user may have
/// chosen, whose environment was perhaps another one.
pub(super) fn sockets() -> Result<Vec<PathBuf>> {
    if let Some(folder) = named() {
        return sockets_in(&folder, &[]);
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    sockets_in(&choose(runtime.clone(), 32), &folders(runtime))
}

/// The folder that the user has named, which then is the only one.
fn named() -> Option<PathBuf> {
    std::env::var_os("FLOTT_RUNTIME_DIR").filter(|d| !d.is_empty()).map(PathBuf::from)
}

fn fits(folder: &Path, id_bytes: usize) -> bool {
    folder.as_os_str().len() + 1 + id_bytes + SUFFIX.len() <= SOCKET_PATH_BYTES_MAX
}

/// Those of the folder that a job started here would take, and of the others. What cannot be trusted is an error only
/// where this user would put his own.
fn sockets_in(chosen: &Path, others: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = listed(chosen)?;
    for folder in others.iter().filter(|f| *f != chosen) {
        match listed(folder) {
            Ok(sockets) => found.extend(sockets),
            Err(error) => tracing::warn!(%error, "jobs that listen there are not shown"),
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    if !check(folder)? {
        return Ok(vec![]);
    }
    let mut found = vec![];
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(SUFFIX) && entry.file_type()?.is_socket() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Every folder that [`choose`] could name, with this environment or the usual one.
fn folders(runtime: Option<PathBuf>) -> Vec<PathBuf> {
    let usual = PathBuf::from(format!("/run/user/{}", uid()));
    let mut folders: Vec<PathBuf> =
        runtime.into_iter().chain([usual]).filter(|r| is_runtime_folder(r)).map(|r| r.join("flott")).collect();
    folders.extend([std::env::temp_dir(), PathBuf::from("/tmp")].map(|t| t.join(fallback_name())));
    folders.dedup();
    folders
}

fn is_runtime_folder(folder: &Path) -> bool {
    folder.is_absolute() && fs::metadata(folder).is_ok_and(|m| m.is_dir() && m.uid() == uid())
}

fn fallback_name() -> String {
    format!("flott-{}", uid())
}

/// The user's runtime folder, unless a socket's path would be too long there or it is not his.
fn choose(runtime: Option<PathBuf>, id_bytes: usize) -> PathBuf {
    let fits = |folder: &Path| fits(folder, id_bytes);
    let runtime = runtime.filter(|r| is_runtime_folder(r)).map(|r| r.join("flott"));
    runtime.filter(|folder| fits(folder)).unwrap_or_else(|| {
        let name = fallback_name();
        let folder = std::env::temp_dir().join(&name);
        if fits(&folder) { folder } else { Path::new("/tmp").join(name) }
    })
}

pub(super) fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn prepare(folder: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(Error::from(e).with("folder", folder.display())),
    }
    check(folder).map(drop)
}

/// Whether the folder is there; an error where it cannot be trusted.
fn check(folder: &Path) -> Result<bool> {
    let meta = match fs::symlink_metadata(folder) {
        Ok(meta) => meta,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(Error::from(e).with("folder", folder.display())),
    };
    let wrong = |why: &str| {
        Err(Error::user(format!("the folder of job sockets {why}"))
            .with("folder", folder.display())
            .hint("Remove it, or set FLOTT_RUNTIME_DIR to a folder that only you can enter"))
    };
    if meta.file_type().is_symlink() || !meta.is_dir() {
        return wrong("is no folder, or a link");
    }
    if meta.uid() != uid() {
        return wrong("belongs to another user");
    }
    if meta.permissions().mode() & 0o077 != 0 {
        return wrong("can be entered by others");
    }
    Ok(true)
}

/// Removes a socket that nobody listens on. What is not ours, or no socket, stays.
pub(super) fn remove_stale(socket: &Path) {
    let is_ours = fs::symlink_metadata(socket).is_ok_and(|m| m.file_type().is_socket() && m.uid() == uid());
    if is_ours && let Err(error) = fs::remove_file(socket) {
        tracing::debug!(%error, socket = %socket.display(), "a socket that nobody listens on stays");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_can_reach_is_refused() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("sockets");
        assert!(!check(&folder).expect("nothing there"));
        prepare(&folder).expect("made");
        assert_eq!(fs::metadata(&folder).expect("there").permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("changed");
        prepare(&folder).expect_err("others can enter");
        let link = place.path().join("link");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("changed");
        std::os::unix::fs::symlink(&folder, &link).expect("a link");
        prepare(&link).expect_err("a link");
        let file = place.path().join("file");
        fs::write(&file, "").expect("written");
        prepare(&file).expect_err("a file");
    }

    #[test]
    fn a_path_that_is_too_long_for_a_socket_is_not_chosen() {
        let place = tempfile::tempdir().expect("a folder");
        assert_eq!(choose(Some(place.path().to_path_buf()), 32), place.path().join("flott"));
        let long = place.path().join("x".repeat(90));
        fs::create_dir(&long).expect("made");
        let chosen = choose(Some(long.clone()), 32);
        assert!(!chosen.starts_with(&long) && chosen.to_string_lossy().contains("flott-"), "{chosen:?}");
        assert!(!choose(Some("relative".into()), 32).starts_with("relative"));
    }

    #[test]
    fn sockets_of_every_folder_are_found() {
        let place = tempfile::tempdir().expect("a folder");
        let folders = ["a", "b", "open"].map(|name| place.path().join(name));
        let mut sockets = vec![];
        for folder in &folders {
            prepare(folder).expect("made");
            let socket = folder.join("job.sock");
            drop(std::os::unix::net::UnixListener::bind(&socket).expect("bound"));
            sockets.push(socket);
        }
        fs::set_permissions(&folders[2], fs::Permissions::from_mode(0o755)).expect("changed");
        let missing = place.path().join("missing");
        let others = [folders.as_slice(), &[missing]].concat();
        assert_eq!(sockets_in(&folders[0], &others).expect("trusted"), sockets[..2]);
        sockets_in(&folders[2], &others).expect_err("its own folder is open to others");
    }

    #[test]
    fn the_folder_of_a_job_is_among_those_that_are_listed() {
        let place = tempfile::tempdir().expect("a folder");
        let long = place.path().join("x".repeat(90));
        fs::create_dir(&long).expect("made");
        for runtime in [None, Some(place.path().to_path_buf()), Some(long)] {
            let chosen = choose(runtime.clone(), 32);
            assert!(folders(runtime.clone()).contains(&chosen), "{runtime:?}: {chosen:?}");
            assert!(folders(runtime).contains(&choose(None, 32)), "of a job without a runtime folder");
        }
    }

    #[test]
    fn only_a_socket_is_removed() {
        let place = tempfile::tempdir().expect("a folder");
        let file = place.path().join("a.sock");
        fs::write(&file, "mine").expect("written");
        remove_stale(&file);
        assert!(file.exists());
        let socket = place.path().join("b.sock");
        drop(std::os::unix::net::UnixListener::bind(&socket).expect("bound"));
        remove_stale(&socket);
        assert!(!socket.exists());
    }
}
