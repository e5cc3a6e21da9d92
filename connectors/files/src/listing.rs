//! Which files a path means.

use flott_connector::storage::{StorageLocation, storage_error};
use flott_core::{Error, Result};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use regex::Regex;

/// Folder of staged files of the sink.
pub(crate) const STAGING: &str = ".flott-staging";

/// Files below a location, sorted by path. A pattern has wildcards in `pattern`; without, the location is a file or folder.
pub(crate) async fn list(
    location: &StorageLocation,
    pattern: Option<&Regex>,
    filter: Option<&Regex>,
) -> Result<Vec<ObjectMeta>> {
    let fail = |e| storage_error(format!("Cannot read '{}'", location.display), e);
    let mut files: Vec<ObjectMeta> = vec![];
    if pattern.is_none() {
        if let Some(local) = &location.local {
            match std::fs::metadata(local) {
                Ok(_) => {}
                Err(e) => return Err(Error::from(e).with("path", &location.display)),
            }
        }
        let is_folder = location.local.as_ref().is_some_and(|l| l.is_dir());
        if !is_folder {
            match location.store.head(&location.path).await {
                Ok(meta) => return Ok(vec![meta]),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(fail(e)),
            }
        }
    }
    let all: Vec<ObjectMeta> = location.store.list(Some(&location.path)).try_collect().await.map_err(fail)?;
    let depth = location.path.parts().count();
    files.extend(all.into_iter().filter(|m| {
        let hidden = m.location.parts().skip(depth).any(|p| p.as_ref().starts_with(['.', '_']));
        let path = format!("/{}", m.location);
        !hidden && pattern.is_none_or(|p| p.is_match(&path)) && filter.is_none_or(|f| f.is_match(&path))
    }));
    files.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(files)
}

/// The part of a path before the first wildcard's folder, and the whole pattern as a regular expression.
pub(crate) fn split_pattern(path: &str) -> Option<&str> {
    let wild = path.find(['*', '?', '[', '{'])?;
    Some(&path[..path[..wild].rfind('/').map_or(0, |i| i + 1)])
}

/// `*` within a name, `**` across folders, `?`, `[..]`, `{a,b}`.
pub(crate) fn glob_regex(root: &Path, pattern: &str) -> Result<Regex> {
    let mut regex = format!("^/{}/?", regex::escape(root.as_ref()));
    let mut chars = pattern.chars().peekable();
    let mut braces = 0;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                // `**/` also means no folder at all.
                if chars.next_if_eq(&'/').is_some() { regex.push_str("(.*/)?") } else { regex.push_str(".*") }
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => {
                regex.push('[');
                if chars.next_if_eq(&'!').is_some() {
                    regex.push('^');
                }
                for c in chars.by_ref() {
                    if c == ']' {
                        break;
                    }
                    if c == '\\' || c == '[' || c == '&' || c == '~' {
                        regex.push('\\');
                    }
                    regex.push(c);
                }
                regex.push(']');
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
            other => regex.push_str(&regex::escape(&other.to_string())),
        }
    }
    regex.push('$');
    Regex::new(&regex).map_err(|e| Error::user(format!("'{pattern}' is not a usable pattern")).caused_by(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let root = Path::from("data");
        for (pattern, path, fits) in [
            ("*.csv", "/data/a.csv", true),
            ("*.csv", "/data/x/a.csv", false),
            ("**/*.csv", "/data/x/y/a.csv", true),
            ("**/*.csv", "/data/a.csv", true),
            ("2024-0[1-3]/?.{csv,json}", "/data/2024-02/a.json", true),
            ("2024-0[1-3]/?.{csv,json}", "/data/2024-04/a.json", false),
            ("a+b.csv", "/data/a+b.csv", true),
            ("[!a].csv", "/data/a.csv", false),
        ] {
            assert_eq!(glob_regex(&root, pattern).expect("a pattern").is_match(path), fits, "{pattern} {path}");
        }
        assert_eq!(split_pattern("/data/x/*.csv"), Some("/data/x/"));
        assert_eq!(split_pattern("/data/x/a.csv"), None);
    }
}
