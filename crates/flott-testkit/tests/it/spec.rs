//! The page of the contract names what checks each requirement: the names have to be true.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const SOURCE_CASES: &[&str] = &[
    "single_split",
    "multiple_splits",
    "savepoint",
    "scale_up",
    "scale_down",
    "metrics",
    "idle_reader",
    "worker_failure",
];
const SINK_CASES: &[&str] = &["basic", "savepoint", "scale_up", "scale_down", "metrics", "worker_failure"];
/// Of sinks that promise exactly-once.
const EXACTLY_ONCE_CASES: &[&str] = &["undecided"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The text of each numbered requirement.
fn requirements(page: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = vec![];
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("- **") {
            let (number, text) = rest.split_once("**").expect("a number");
            found.push((number.to_string(), text.to_string()));
        } else if let (true, Some((_, text))) = (line.starts_with("  "), found.last_mut()) {
            text.push_str(line);
        }
    }
    found
}

fn sources(folder: &Path, out: &mut String) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push_str(&std::fs::read_to_string(&path).expect("text"));
        }
    }
}

#[test]
fn every_requirement_names_what_checks_it_and_every_case_is_named() {
    let page = std::fs::read_to_string(root().join("docs/spec/connector.md")).expect("the page");
    let requirements = requirements(&page);
    assert!(requirements.len() > 80, "{}", requirements.len());
    let mut numbers = BTreeSet::new();
    for (number, text) in &requirements {
        assert!(numbers.insert(number), "{number} twice");
        // The check is the last thing that the text says: code, or a remark between asterisks.
        let last = text.rsplit(". ").next().unwrap_or_default();
        assert!(last.contains(['`', '*']) || last.contains("harness"), "{number}: {text}");
    }
    let named: BTreeSet<&str> = code(&page).collect();
    for (kind, cases) in [("source", SOURCE_CASES.to_vec()), ("sink", [SINK_CASES, EXACTLY_ONCE_CASES].concat())] {
        let known: BTreeSet<String> = cases.iter().map(|c| format!("{kind}.{c}")).collect();
        for case in &known {
            assert!(named.contains(case.as_str()), "no requirement is checked by {case}");
        }
        for name in named.iter().filter(|n| n.starts_with(&format!("{kind}."))) {
            assert!(known.contains(*name) || *name == format!("{kind}.X"), "there is no case {name}");
        }
    }
    // The macros make the same cases.
    let suite = std::fs::read_to_string(root().join("crates/flott-testkit/src/suite/mod.rs")).expect("the suite");
    for cases in [SOURCE_CASES, SINK_CASES, EXACTLY_ONCE_CASES] {
        assert!(suite.contains(&format!("{});", cases.join(", "))), "{cases:?}");
    }
    let mut code_of_all = String::new();
    ["crates", "connectors", "xtask"].iter().for_each(|f| sources(&root().join(f), &mut code_of_all));
    for name in
        named.iter().filter(|n| n.matches('_').count() > 3 && n.chars().all(|c| c == '_' || c.is_alphanumeric()))
    {
        assert!(code_of_all.contains(&format!("fn {name}")), "there is no test {name}");
    }
}
