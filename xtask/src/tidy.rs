//! Checks that no compiler makes: who may depend on whom, what every file starts with, where links lead.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{Failure, docs, root, say};

/// Which of our crates a crate may use (architecture: the dependency line).
const MAY_USE: &[(&str, &[&str])] = &[
    ("flott-core", &[]),
    ("flott-connector", &["flott-core"]),
    ("flott-format", &["flott-core", "flott-connector"]),
    ("flott-testkit", &["flott-core", "flott-connector", "flott-function"]),
    ("flott-state", &["flott-core", "flott-connector"]),
    ("flott-function", &["flott-core", "flott-connector"]),
    ("flott-graph", &["flott-core", "flott-connector", "flott-function"]),
    ("flott-operator", &["flott-core", "flott-state", "flott-graph", "flott-function", "flott-connector"]),
    ("flott-runtime", &["flott-core", "flott-connector", "flott-state", "flott-graph", "flott-operator"]),
    (
        "flott-cluster",
        &["flott-core", "flott-connector", "flott-state", "flott-graph", "flott-operator", "flott-runtime"],
    ),
    ("flott-sql", &["flott-core", "flott-connector", "flott-function", "flott-graph"]),
    ("flott-wasm", &["flott-core", "flott-connector"]),
    ("flott", &["*"]),
    ("flott-cli", &["flott", "flott-core"]),
    ("flott-conformance", &["flott", "flott-core", "flott-testkit"]),
    ("flott-differential", &["flott", "flott-core"]),
    // It reads what every other one reads.
    ("flott-fuzz", &["*"]),
    ("xtask", &[]),
];

/// What a connector may use of ours.
const CONNECTOR_MAY_USE: &[&str] = &["flott-core", "flott-connector"];

/// Outside crates that only some of ours may name.
const RESERVED: &[(&str, &[&str])] = &[
    ("timely", &["flott-runtime"]),
    ("datafusion", &[]),
    ("datafusion-sql", &["flott-sql"]),
    ("datafusion-optimizer", &["flott-sql"]),
    ("datafusion-expr", &["flott-function", "flott-fuzz", "flott-operator", "flott-sql"]),
    ("datafusion-physical-expr", &["flott-function", "flott-fuzz", "flott-graph", "flott-operator", "flott-sql"]),
    ("wasmi", &["flott-wasm"]),
    ("anyhow", &["flott-cli"]),
];

/// A source file longer than this is a drawer.
const MAX_LINES: usize = 1_500;

pub(crate) fn run() -> Result<(), Failure> {
    let mut wrong = vec![];
    dependencies(&mut wrong)?;
    let files = tracked_files()?;
    for file in &files {
        match file.extension().and_then(|e| e.to_str()) {
            Some("rs") => source_file(file, &mut wrong)?,
            Some("md") => links(file, &files, &mut wrong)?,
            _ => {}
        }
    }
    options(&files, &mut wrong)?;
    docs::check(&mut wrong)?;
    if wrong.is_empty() {
        say(&format!("tidy: {} files, nothing wrong", files.len()));
        return Ok(());
    }
    wrong.sort();
    Err(format!("tidy found {} things:\n{}", wrong.len(), wrong.join("\n")))
}

fn dependencies(wrong: &mut Vec<String>) -> Result<(), Failure> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .current_dir(root())
        .output()
        .map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let ours: BTreeSet<String> = packages.iter().filter_map(|p| p["name"].as_str().map(str::to_string)).collect();
    for package in &packages {
        let name = package["name"].as_str().unwrap_or_default();
        let is_connector = package["manifest_path"].as_str().is_some_and(|p| p.contains("/connectors/"));
        let may: &[&str] = if is_connector {
            CONNECTOR_MAY_USE
        } else {
            match MAY_USE.iter().find(|(n, _)| *n == name) {
                Some((_, may)) => may,
                None => {
                    wrong.push(format!("{name}: not in the dependency table of xtask/src/tidy.rs"));
                    continue;
                }
            }
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            // Tests may use the testkit and formats; the line holds for what ships.
            if dependency["kind"].as_str() == Some("dev") {
                continue;
            }
            if ours.contains(used) && !may.contains(&used) && !may.contains(&"*") {
                wrong.push(format!("{name} depends on {used}, which the dependency line forbids"));
            }
            if let Some((_, allowed)) = RESERVED.iter().find(|(n, _)| *n == used)
                && !allowed.contains(&name)
            {
                wrong.push(format!("{name} depends on {used}, which only {allowed:?} may name"));
            }
        }
    }
    Ok(())
}

fn tracked_files() -> Result<Vec<PathBuf>, Failure> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .map_err(|e| e.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).filter(|f| root().join(f).exists()).collect())
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(root().join(file)).map_err(|e| format!("{}: {e}", file.display()))
}

fn source_file(file: &Path, wrong: &mut Vec<String>) -> Result<(), Failure> {
    let text = read(file)?;
    if !text.starts_with("//!") {
        wrong.push(format!("{}: starts without a line that says what it is (`//! ..`)", file.display()));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        wrong.push(format!("{}: {lines} lines; move a concept out (at most {MAX_LINES})", file.display()));
    }
    Ok(())
}

/// Every option that SET takes is read somewhere, refused, or says that it has no effect.
fn options(files: &[PathBuf], wrong: &mut Vec<String>) -> Result<(), Failure> {
    let list = Path::new("crates/flott-sql/src/statement/config.rs");
    let listed = read(list)?;
    let is_code =
        |f: &&PathBuf| f.extension().is_some_and(|e| e == "rs") && f.components().any(|c| c.as_os_str() == "src");
    let code: String =
        files.iter().filter(is_code).filter(|f| *f != list).map(|f| read(f)).collect::<Result<_, _>>()?;
    let fixed = listed.split("const FIXED").nth(1).and_then(|t| t.split("];").next()).unwrap_or_default();
    for line in listed.lines().filter_map(|l| l.trim().strip_prefix("option(\"")) {
        let key = line.split('"').next().unwrap_or_default();
        // Keys of a family are put together where they are read: their last words stand there alone.
        let family = key.strip_prefix("restart-strategy.exponential-delay.").unwrap_or(key);
        let is_read = [key, family].iter().any(|k| code.contains(&format!("\"{k}\"")));
        if !is_read && !line.contains("no effect here") && !fixed.contains(&format!("\"{key}\"")) {
            wrong.push(format!("{}: nothing reads '{key}', and its description does not say so", list.display()));
        }
    }
    Ok(())
}

/// Relative links of a page lead to files that exist.
fn links(file: &Path, files: &[PathBuf], wrong: &mut Vec<String>) -> Result<(), Failure> {
    let text = read(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let known: BTreeMap<String, ()> = files.iter().map(|f| (f.display().to_string(), ())).collect();
    for (i, line) in text.lines().enumerate() {
        for part in line.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            let full = normalize(&folder.join(path));
            let is_folder = known.keys().any(|k| k.starts_with(&format!("{full}/")));
            if !known.contains_key(&full) && !is_folder {
                wrong.push(format!("{}:{}: the link '{target}' leads nowhere", file.display(), i + 1));
            }
        }
    }
    Ok(())
}

fn normalize(path: &Path) -> String {
    let mut parts: Vec<String> = vec![];
    for c in path.components() {
        match c {
            std::path::Component::ParentDir => {
                parts.pop();
            }
            std::path::Component::Normal(p) => parts.push(p.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    parts.join("/")
}
