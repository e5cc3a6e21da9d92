//! Which files a path means.
//!
//! A local folder is walked here and not through the object store: its names (`k=a%2Fb`) stay as they are, hidden
//! folders are not entered, and an unreadable one is an error that names it.

use std::path::Path as FsPath;
use std::time::UNIX_EPOCH;

use flott_connector::storage::{StorageLocation, storage_error};
use flott_core::{Error, Result};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use regex::Regex;

use crate::partition;

/// Folders below each other at most.
pub const FOLDER_DEPTH_MAX: usize = 128;

/// A file as it was when it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileEntry {
    /// The absolute path; of an object `/` and its key.
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) modified_ms: i64,
    /// An object's tag: two contents never share it.
    pub(crate) etag: Option<String>,
}

/// Which of the files below a folder are meant.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Of a path with wildcards.
    pub(crate) pattern: Option<Pattern>,
    /// `source.path.regex-pattern`.
    pub(crate) regex: Option<Regex>,
    /// The table's partition keys.
    pub(crate) keys: Vec<String>,
}

impl Selection {
    fn takes(&self, path: &str) -> bool {
        self.pattern.as_ref().is_none_or(|p| p.path.is_match(path))
            && self.regex.as_ref().is_none_or(|r| r.is_match(path))
    }

    /// Whether nobody is to see a folder of this name (a file: `is_file`). A partition's folder is one of the table's, also
    /// where the name of its column begins like a hidden one.
    fn hides(&self, name: &str, is_file: bool) -> bool {
        let of_key = |key: &String| name.split_once('=').is_some_and(|(k, _)| partition::unescape(k) == *key);
        name.starts_with(['.', '_']) && (is_file || !self.keys.iter().any(of_key))
    }

    /// Whether a file or folder of this name, so many folders below the first one, can be or hold what is meant. The
    /// folders above it have been asked about.
    fn may_hold(&self, depth: usize, name: &str) -> bool {
        let names = self.pattern.as_ref().map_or(&[][..], |p| &p.names);
        names.get(depth).is_none_or(|n| n.is_match(name))
    }
}

/// A path with wildcards.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// Of the whole path.
    path: Regex,
    /// Of the names on the way, up to the first wildcard that crosses folders: what does not fit is not looked at.
    names: Vec<Regex>,
}

/// An object's place in its store, by its path as in [`FileEntry`].
pub(crate) fn object_path(path: &str) -> Result<Path> {
    Path::parse(path.trim_start_matches('/'))
        .map_err(|e| Error::user("an object has an unusable name").with("file", path).caused_by(e))
}

/// Files below a location, sorted by path. Hidden ones (`.x`, `_x`) and those in hidden folders are left out, but for the
/// folders of the table's partitions. A path
/// that is not there is an error, an empty folder is not; an object store has no empty folders, so there
/// `may_be_empty` says what nothing means.
pub(crate) async fn list(
    location: &StorageLocation,
    selection: std::sync::Arc<Selection>,
    may_be_empty: bool,
) -> Result<Vec<FileEntry>> {
    let mut files = match &location.local {
        Some(root) => {
            let root = root.clone();
            tokio::task::spawn_blocking(move || walk(&root, &selection)).await.map_err(ended)??
        }
        None => list_objects(location, &selection, may_be_empty).await?,
    };
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

pub(crate) fn ended(e: tokio::task::JoinError) -> Error {
    Error::internal("a task on files ended early").caused_by(e)
}

pub(crate) fn walk(root: &FsPath, selection: &Selection) -> Result<Vec<FileEntry>> {
    let fail = |e: std::io::Error, path: &FsPath| Error::from(e).with("path", path.display());
    let meta = std::fs::metadata(root).map_err(|e| {
        if e.kind() == std::io::ErrorKind::NotFound {
            Error::user(format!("'{}' does not exist", root.display()))
                .with("option", "path")
                .hint("Check the path; a source needs an existing file or folder")
                .from_outside()
        } else {
            fail(e, root)
        }
    })?;
    let mut files = vec![];
    if !meta.is_dir() {
        let entry = entry(root, &meta)?;
        if selection.takes(&entry.path) {
            files.push(entry);
        }
        return Ok(files);
    }
    let mut folders = vec![(root.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Removed since its parent was read.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && depth > 0 => continue,
            Err(e) => return Err(fail(e, &folder)),
        };
        for item in entries {
            let item = item.map_err(|e| fail(e, &folder))?;
            let path = item.path();
            let Some(meta) = look(&item, depth, selection).map_err(|e| fail(e, &path))? else { continue };
            if meta.is_dir() {
                if depth == FOLDER_DEPTH_MAX || points_above(&item, &path).map_err(|e| fail(e, &path))? {
                    return Err(Error::user("the folders have no end")
                        .with("path", path.display())
                        .hint("Remove the link that points to a folder above it"));
                }
                folders.push((path, depth + 1));
            } else if meta.is_file() && selection.takes(&path.to_string_lossy()) {
                files.push(entry(&path, &meta)?);
            }
        }
    }
    Ok(files)
}

/// What an entry of a folder is; `None` where it is not meant, whatever it is. Names come first: what nobody has asked for
/// may be unreadable, and there may be a lot of it.
fn look(item: &std::fs::DirEntry, depth: usize, selection: &Selection) -> std::io::Result<Option<std::fs::Metadata>> {
    let name = item.file_name();
    let name = name.to_string_lossy();
    if selection.hides(&name, false) || !selection.may_hold(depth, &name) {
        return Ok(None);
    }
    let path = item.path();
    if item.file_type()?.is_file() && (selection.hides(&name, true) || !selection.takes(&path.to_string_lossy())) {
        return Ok(None);
    }
    // Follows links.
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_file() && selection.hides(&name, true) => Ok(None),
        Ok(meta) => Ok(Some(meta)),
        // Removed since its folder was read.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether a folder is a link to one that it lies in.
fn points_above(item: &std::fs::DirEntry, path: &FsPath) -> std::io::Result<bool> {
    if !item.file_type()?.is_symlink() {
        return Ok(false);
    }
    let place = path.parent().unwrap_or(path).canonicalize()?;
    Ok(place.starts_with(path.canonicalize()?))
}

fn entry(path: &FsPath, meta: &std::fs::Metadata) -> Result<FileEntry> {
    let text = path
        .to_str()
        .ok_or_else(|| Error::user(format!("the name of '{}' is not UTF-8", path.display())).hint("Rename the file"))?;
    Ok(FileEntry { path: text.to_string(), size: meta.len(), modified_ms: modified_ms(meta)?, etag: None })
}

/// When a local file was changed last, in milliseconds since the epoch.
pub(crate) fn modified_ms(meta: &std::fs::Metadata) -> std::io::Result<i64> {
    let ms = |d: std::time::Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    Ok(match meta.modified()?.duration_since(UNIX_EPOCH) {
        Ok(after) => ms(after),
        Err(before) => -ms(before.duration()),
    })
}

pub(crate) fn object_entry(meta: ObjectMeta) -> FileEntry {
    FileEntry {
        path: format!("/{}", meta.location),
        size: meta.size,
        modified_ms: meta.last_modified.timestamp_millis(),
        etag: meta.e_tag,
    }
}

async fn list_objects(location: &StorageLocation, selection: &Selection, may_be_empty: bool) -> Result<Vec<FileEntry>> {
    let fail = |e| storage_error(format!("Cannot list '{}'", location.display), e);
    let (store, root) = (&location.store, &location.path);
    let is_root = root.as_ref().is_empty();
    if selection.pattern.is_none() && !is_root {
        match store.head(root).await {
            Ok(meta) => return Ok(Some(object_entry(meta)).filter(|e| selection.takes(&e.path)).into_iter().collect()),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(e) => return Err(fail(e)),
        }
    }
    let all: Vec<ObjectMeta> = store.list((!is_root).then_some(root)).try_collect().await.map_err(fail)?;
    if all.is_empty() && !may_be_empty {
        return Err(Error::user(format!("there is nothing at '{}'", location.display))
            .with("option", "path")
            .hint("Check the path; a source needs an existing object or prefix")
            .from_outside());
    }
    let depth = root.parts().count();
    let visible = all
        .into_iter()
        .filter(|m| {
            let mut parts = m.location.parts().skip(depth).peekable();
            let mut is_hidden = false;
            while let Some(part) = parts.next() {
                is_hidden |= selection.hides(part.as_ref(), parts.peek().is_none());
            }
            !is_hidden
        })
        // Markers that some tools put where a folder would be.
        .filter(|m| !(m.size == 0 && m.location.as_ref().ends_with('/')))
        .map(object_entry);
    Ok(visible.filter(|e| selection.takes(&e.path)).collect())
}

/// The folder in front of the first wildcard; `None` where a path has none.
pub(crate) fn pattern_root(path: &str) -> Option<&str> {
    let wild = path.find(['*', '?', '[', '{'])?;
    Some(&path[..path[..wild].rfind('/').map_or(0, |i| i + 1)])
}

/// `*` within a name, `**` across folders, `?`, `[..]`, `[!..]`, `{a,b}`. A folder that fits stands for all files in it.
pub(crate) fn glob(root: &str, pattern: &str) -> Result<Pattern> {
    let wrong = |why: &str| {
        Error::user(format!("'{pattern}' is not a usable pattern: {why}"))
            .with("option", "path")
            .hint("Wildcards are *, **, ?, [..], [!..] and {a,b}")
    };
    let root = root.trim_end_matches('/');
    let mut regex = format!("^{}/", regex::escape(root));
    let mut chars = pattern.trim_matches('/').chars().peekable();
    let mut braces = 0;
    let mut names = Names { found: vec![], begin: regex.len(), ended: false };
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                names.ended = true;
                // `**/` also means no folder at all.
                regex.push_str(if chars.next_if_eq(&'/').is_some() { "(?:.*/)?" } else { ".*" });
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => {
                let mut class = String::new();
                let negated = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
                loop {
                    match chars.next() {
                        None => return Err(wrong("a ']' is missing")),
                        Some(']') if !class.is_empty() => break,
                        Some('-') => class.push('-'),
                        Some(c) => class.push_str(&regex::escape(&c.to_string())),
                    }
                }
                // Never a slash: a wildcard stays within a name.
                regex.push_str(&if negated { format!("[^/{class}]") } else { format!("[{class}&&[^/]]") });
            }
            '{' => {
                braces += 1;
                regex.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                regex.push(')');
            }
            ',' if braces > 0 => regex.push('|'),
            '/' => {
                // Alternatives of different depths have no name at a depth.
                names.ended |= braces > 0;
                names.end(&regex);
                regex.push('/');
                names.begin = regex.len();
            }
            other => regex.push_str(&regex::escape(&other.to_string())),
        }
    }
    if braces > 0 {
        return Err(wrong("a '}' is missing"));
    }
    names.end(&regex);
    regex.push_str("(?:/.*)?$");
    let compiled = |r: &String| Regex::new(r).map_err(|e| wrong(&e.to_string()));
    Ok(Pattern { path: compiled(&regex)?, names: names.found.iter().map(compiled).collect::<Result<_>>()? })
}

/// The parts of a pattern's expression that stand for one name each.
struct Names {
    found: Vec<String>,
    /// Where the current one begins.
    begin: usize,
    /// What follows is not one name each.
    ended: bool,
}

impl Names {
    fn end(&mut self, regex: &str) {
        if !self.ended {
            self.found.push(format!("^(?:{})$", &regex[self.begin..]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, fits) in [
            ("*.csv", "/data/a.csv", true),
            ("*.csv", "/data/x/a.csv", false),
            ("*.csv", "/data/folder.csv/part-0", true),
            ("*", "/data/x/y/a", true),
            ("**/*.csv", "/data/x/y/a.csv", true),
            ("**/*.csv", "/data/a.csv", true),
            ("**", "/data/x/y/a.csv", true),
            ("2024-0[1-3]/?.{csv,json}", "/data/2024-02/a.json", true),
            ("2024-0[1-3]/?.{csv,json}", "/data/2024-04/a.json", false),
            ("2024-0[1-3]/?.{csv,json}", "/data/2024-01/ab.csv", false),
            ("a+b.csv", "/data/a+b.csv", true),
            ("[!a].csv", "/data/a.csv", false),
            ("[!a].csv", "/data/b.csv", true),
            ("[]x].csv", "/data/].csv", true),
            ("[.-x]a", "/data//a", false),
            ("x{1,2{3,4}}", "/data/x24", true),
            ("x{1,2{3,4}}", "/data/x2", false),
            ("*.csv", "/database/a.csv", false),
            ("{a,b/c}/*.csv", "/data/b/c/x.csv", true),
            ("x{a,b/c}d/e", "/data/xa/c", false),
            ("a/b**c/d", "/data/a/bx/y/c/d", true),
            ("*/[a/b]", "/data/x/a", true),
        ] {
            let pattern_of = glob("/data/", pattern).expect("a pattern");
            assert_eq!(pattern_of.path.is_match(path), fits, "{pattern} {path}");
            let selection = Selection { pattern: Some(pattern_of), regex: None, keys: vec![] };
            let names = path.strip_prefix("/data/").into_iter().flat_map(|p| p.split('/')).enumerate();
            assert!(!fits || names.into_iter().all(|(i, n)| selection.may_hold(i, n)), "{pattern} {path}");
        }
        for pattern in ["a[b", "a{b", "[]"] {
            let e = glob("/data", pattern).expect_err("no pattern").to_string();
            assert!(e.contains("is missing"), "{e}");
        }
        for (pattern, depth, name, may) in [
            ("*.csv", 0, "x", false),
            ("*.csv", 0, "x.csv", true),
            ("*.csv", 1, "x", true),
            ("a*/b/*.csv", 0, "b", false),
            ("a*/b/*.csv", 1, "c", false),
            ("a*/b/*.csv", 2, "x.json", false),
            ("a*/**/b", 0, "b", false),
            ("a*/**/b", 1, "c", true),
            ("{a,b/c}/d", 0, "x", true),
        ] {
            let selection =
                Selection { pattern: Some(glob("/data", pattern).expect("a pattern")), regex: None, keys: vec![] };
            assert_eq!(selection.may_hold(depth, name), may, "{pattern} {depth} {name}");
        }
        assert_eq!(pattern_root("/data/x/*.csv"), Some("/data/x/"));
        assert_eq!(pattern_root("*.csv"), Some(""));
        assert_eq!(pattern_root("/data/x/a.csv"), None);
    }
}
