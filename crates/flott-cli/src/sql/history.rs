//! What was typed before, in a file that only its user may read, and without secrets.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use flott::Error;
use flott_core::Secret;

/// Entries that are kept.
pub(super) const ENTRIES_MAX: usize = 10_000;

/// The file where nobody names one: below `$XDG_STATE_HOME`, or `~/.local/state`.
pub(super) fn default_file() -> Option<PathBuf> {
    let folder = |key: &str| std::env::var_os(key).map(PathBuf::from).filter(|p| p.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("flott/sql-history"))
}

/// Makes the file where it is missing, and keeps others out of it.
pub(super) fn prepare(file: &Path) -> flott::Result<()> {
    let fail = |e: std::io::Error| Error::from(e).with("history", file.display());
    if let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)?;
    }
    let file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(file).map_err(fail)?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(fail)
}

/// Whether an entry may hold a secret: it has a word that names one, wherever it stands.
pub(super) fn may_hold_secret(entry: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    entry.split(|c| !is_part(c)).any(Secret::is_sensitive_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_with_secrets_are_told_by_their_words() {
        for secret in [
            "SET 's3.secret-key' = 'x';",
            "CREATE TABLE t (a INT) WITH ('connector' = 'jdbc',\n 'PASSWORD' = 'x');",
            "SELECT * FROM t /*+ OPTIONS('properties.sasl.jaas.config' = 'x') */;",
            "set s3.access-key = x",
            "SELECT 'open password",
        ] {
            assert!(may_hold_secret(secret), "{secret}");
        }
        for plain in ["SELECT 1;", "SET 'parallelism.default' = '2';", "SHOW TABLES;"] {
            assert!(!may_hold_secret(plain), "{plain}");
        }
    }

    #[test]
    fn others_are_kept_out_of_the_file() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a/b/history");
        prepare(&file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        prepare(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let folder = fs::metadata(place.path().join("a")).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    }
}
