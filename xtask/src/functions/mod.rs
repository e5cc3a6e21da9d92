//! `cargo xtask functions`: Flink's functions, and which of them are implemented, tested and different.
//!
//! Flink's names are data ([`FLINK`]), ours are read from the reference page, cases are counted in `tests/sql`, and a
//! function differs where a comment that begins with `# Flink:` stands over a case that uses it.

mod forms;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::{Failure, root, say};

const FLINK: &str = include_str!("flink-2.3.0.tsv");
const REFERENCE: &str = "docs/reference/functions.md";
/// Other names of functions on the reference page.
const ALIASES: [(&str, &str); 2] = [("SUBSTR", "SUBSTRING"), ("TRANSLATE3", "TRANSLATE")];

/// One of Flink's functions.
struct Function {
    name: &'static str,
    sql: Option<&'static str>,
    known: bool,
}

fn flink() -> Vec<Function> {
    FLINK
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty())
        .map(|line| {
            let mut columns = line.split('\t');
            let name = columns.next().unwrap_or(line);
            let sql = columns.next().filter(|sql| *sql != "-");
            Function { name, sql, known: columns.next() == Some("yes") }
        })
        .collect()
}

/// Name and signature of every function on the reference page.
fn ours() -> Result<BTreeMap<String, String>, Failure> {
    let page = std::fs::read_to_string(root().join(REFERENCE)).map_err(|e| format!("{REFERENCE}: {e}"))?;
    Ok(signatures(&page))
}

/// A form is a line of code alone, or the first cell of a table that has no examples.
fn signatures(page: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut is_example = false;
    for line in page.lines() {
        is_example = line.starts_with("| Example |") || (is_example && line.starts_with('|'));
        let cell = || line.strip_prefix("| `").and_then(|l| l.split_once("` |")).map(|l| l.0);
        let alone = line.strip_prefix('`').and_then(|l| l.strip_suffix('`'));
        let Some(syntax) = alone.or_else(|| cell().filter(|_| !is_example)) else { continue };
        for (at, _) in syntax.match_indices('(').chain([(syntax.len(), "")]) {
            let name: String =
                syntax[..at].chars().rev().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let name: String = name.chars().rev().collect();
            if !name.is_empty() && name == name.to_uppercase() {
                found.entry(name).or_insert_with(|| syntax.replace("\\|", "|"));
            }
        }
    }
    found
}

fn case_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in std::fs::read_dir(folder).map_err(|e| e.to_string())? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.is_dir() {
            case_files(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "slt") {
            found.push(path);
        }
    }
    Ok(())
}

/// How many cases use each form, and which of them stand under a mark.
fn cases() -> Result<(BTreeMap<String, usize>, BTreeSet<String>), Failure> {
    let mut files = vec![];
    case_files(&root().join("tests/sql"), &mut files)?;
    let (mut counts, mut marked) = (BTreeMap::new(), BTreeSet::new());
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
        for case in text.split("\n\n") {
            let sql: Vec<&str> = case.lines().filter(|l| !l.starts_with('#')).take_while(|l| *l != "----").collect();
            // The first line is the head of the record.
            let names = forms::used(&sql.get(1..).unwrap_or_default().join(" "));
            let differs = case.lines().any(|l| l.starts_with("# Flink:"));
            for name in names {
                *counts.entry(name.clone()).or_insert(0) += 1;
                if differs {
                    marked.insert(name);
                }
            }
        }
    }
    Ok((counts, marked))
}

/// Prints the table.
pub(crate) fn run() -> Result<(), Failure> {
    let (ours, (counts, marked)) = (ours()?, cases()?);
    say("| Flink | SQL | signature | implemented | cases | differs |\n|---|---|---|---|---|---|");
    let (mut in_sql, mut done, mut all) = (0, 0, 0);
    for Function { name, sql, known } in flink() {
        all += 1;
        let Some(sql) = sql else {
            say(&format!("| {name} | none | | | | |"));
            continue;
        };
        in_sql += 1;
        let own = ALIASES.iter().find(|(alias, _)| *alias == sql).map_or(sql, |(_, name)| name);
        let signature = ours.get(own);
        let implemented = known || signature.is_some();
        done += usize::from(implemented);
        let signature = signature.map_or(String::new(), |s| format!("`{}`", s.replace('|', "\\|")));
        let cases = counts.get(sql).copied().unwrap_or(0);
        let differs = if marked.contains(sql) { "in a case" } else { "" };
        let implemented = if implemented { "yes" } else { "no" };
        say(&format!("| {name} | {} | {signature} | {implemented} | {cases} | {differs} |", sql.replace('|', "\\|")));
    }
    say(&format!("\n{done} of the {in_sql} names that SQL can write are implemented; SHOW FUNCTIONS lists {all}."));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_read_and_examples_are_not() {
        let page = "#### FLOOR\n\n`FLOOR(number), FLOOR(time TO unit)`\n\nRounds.\n\n| Example | Result |\n|---|---|\n\
                    | `ABS(FLOOR(-1.5))` | `2` |\n\n| Function | Description |\n|---|---|\n| `RANK() OVER (..)` | A \
                    place. |\n";
        let names: Vec<String> = signatures(page).into_keys().collect();
        assert_eq!(names, ["FLOOR", "RANK"]);
    }

    #[test]
    fn flinks_names_are_all_there() {
        let names: BTreeSet<&str> = flink().iter().map(|f| f.name).collect();
        assert_eq!((flink().len(), names.len()), (251, 251));
    }
}
