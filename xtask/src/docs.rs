//! Generated pages: the options of connectors and formats, written by the binary from its own tables.

use std::path::Path;
use std::process::Command;

use crate::{Failure, debug_binary, root, say};

/// Page and the command that prints it.
const PAGES: &[(&str, &[&str])] = &[
    ("docs/reference/commands.md", &["docs", "commands"]),
    ("docs/reference/connectors.md", &["docs", "connectors"]),
    ("docs/reference/formats.md", &["docs", "formats"]),
    ("docs/reference/configuration.md", &["docs", "configuration"]),
    ("docs/reference/functions.md", &["docs", "functions"]),
    ("docs/reference/statements.md", &["docs", "statements"]),
    ("docs/reference/limits.md", &["docs", "limits"]),
];

fn print(flott: &Path, args: &[&str]) -> Result<String, Failure> {
    let output = Command::new(flott).args(args).current_dir(root()).output().map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(format!("flott {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Writes all generated pages.
pub(crate) fn write() -> Result<(), Failure> {
    let flott = debug_binary()?;
    for (page, args) in PAGES {
        let path = root().join(page);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
        }
        std::fs::write(&path, print(&flott, args)?).map_err(|e| format!("{page}: {e}"))?;
        say(&format!("wrote {page}"));
    }
    Ok(())
}

/// Adds every page that is not what the binary prints.
pub(crate) fn check(wrong: &mut Vec<String>) -> Result<(), Failure> {
    let flott = debug_binary()?;
    for (page, args) in PAGES {
        let now = print(&flott, args)?;
        if std::fs::read_to_string(root().join(page)).ok().as_deref() != Some(now.as_str()) {
            wrong.push(format!("{page} is not current: run `cargo xtask docs`"));
        }
    }
    Ok(())
}
