//! `--goldens FOLDER`: the expected rows of `.slt` files, recorded anew from Flink.
//!
//! A query is left alone where a comment right above it begins with `Flink:` (it says where Flott differs), where its rows
//! have kinds (`+I ..`: changelogs are compared as a whole elsewhere), and where Flink refuses it.

use std::path::{Path, PathBuf};

use crate::gateway::{Gateway, Table};

/// A part of a file, without the empty line behind it.
#[derive(Debug, PartialEq)]
enum Record {
    /// Left as it is: comments, expected errors, controls.
    Other(String),
    Statement {
        text: String,
        sql: String,
    },
    Query {
        head: Vec<String>,
        sql: String,
        rows: Vec<String>,
        text: String,
    },
}

/// What has been done.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) same: usize,
    pub(crate) changed: usize,
    /// Why queries were left alone.
    pub(crate) skipped: Vec<String>,
}

fn record(text: &str) -> Record {
    let other = || Record::Other(text.to_string());
    let lines: Vec<&str> = text.lines().collect();
    let Some(start) = lines.iter().position(|l| !l.starts_with('#')) else { return other() };
    let head: Vec<String> = lines[..=start].iter().map(|l| (*l).to_string()).collect();
    if lines[start] == "statement ok" {
        return Record::Statement { text: text.to_string(), sql: lines[start + 1..].join("\n") };
    }
    let is_known = lines[..start].iter().any(|l| l.trim_start_matches(['#', ' ']).starts_with("Flink:"));
    let is_query = lines[start].strip_prefix("query ").is_some_and(|t| t.bytes().all(|b| b"IRT".contains(&b)));
    match lines.iter().position(|l| *l == "----") {
        Some(end) if is_query && !is_known && end > start => Record::Query {
            head,
            sql: lines[start + 1..end].join("\n"),
            rows: lines[end + 1..].iter().map(|l| (*l).to_string()).collect(),
            text: text.to_string(),
        },
        _ => other(),
    }
}

/// The letter of a type in the head of a query.
fn letter(kind: &str) -> char {
    match kind.split([' ', '(']).next().unwrap_or_default() {
        "TINYINT" | "SMALLINT" | "INT" | "BIGINT" => 'I',
        "FLOAT" | "DOUBLE" | "DECIMAL" => 'R',
        _ => 'T',
    }
}

/// A value as the files have it: in quotes where its borders would not be seen. `None` is NULL.
fn visible(value: Option<&str>) -> String {
    let Some(value) = value else { return "<NULL>".into() };
    let hidden = value.is_empty()
        || value == "<NULL>"
        || value.starts_with([' ', '\''])
        || value.ends_with(' ')
        || value.contains("  ")
        || value.contains(['\n', '\t', '\r']);
    if !hidden {
        return value.to_string();
    }
    let escaped = value.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r");
    format!("'{}'", escaped.replace('\'', "''"))
}

/// A query's record with this result.
fn written(head: &[String], sql: &str, table: &Table) -> String {
    let mut lines: Vec<String> = head.to_vec();
    if let Some(last) = lines.last_mut() {
        *last = format!("query {}", table.types.iter().map(|t| letter(t)).collect::<String>());
    }
    lines.push(sql.to_string());
    lines.push("----".into());
    let row = |r: &Vec<Option<String>>| r.iter().map(|v| visible(v.as_deref())).collect::<Vec<_>>().join(" ");
    lines.extend(table.values.iter().map(row));
    lines.join("\n")
}

fn has_kinds(rows: &[String]) -> bool {
    rows.iter().any(|r| ["+I", "-U", "+U", "-D"].iter().any(|k| r.split(' ').next() == Some(k)))
}

/// Records all files of a folder, or those whose name holds `only`.
pub(crate) async fn run(flink: &Gateway, folder: &Path, only: Option<&str>) -> Result<Recorded, String> {
    let named = |e: &Path| format!("{}: cannot be read", e.display());
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|_| named(folder))?
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "slt"))
        .filter(|p| only.is_none_or(|only| p.file_stem().is_some_and(|n| n.to_string_lossy().contains(only))))
        .collect();
    files.sort();
    let mut done = Recorded::default();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|_| named(&file))?;
        let mut parts = vec![];
        for part in text.trim_end().split("\n\n") {
            parts.push(match record(part) {
                Record::Other(text) => text,
                Record::Statement { text, sql } => {
                    // Where it fails, the queries over it do, and are left alone.
                    flink.table(&sql).await.map(drop).unwrap_or_default();
                    text
                }
                Record::Query { rows, text, sql, .. } if has_kinds(&rows) => {
                    done.skipped.push(format!("{}: rows have kinds: {sql}", file.display()));
                    text
                }
                Record::Query { head, sql, text, .. } => match flink.table(&sql).await {
                    Ok(table) => {
                        let new = written(&head, &sql, &table);
                        done.same += usize::from(new == text);
                        done.changed += usize::from(new != text);
                        new
                    }
                    Err(e) => {
                        done.skipped.push(format!("{}: {e}: {sql}", file.display()));
                        text
                    }
                },
            });
        }
        let new = parts.join("\n\n") + "\n";
        if new != text {
            std::fs::write(&file, new).map_err(|e| format!("{}: {e}", file.display()))?;
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_recorded_and_what_is_known_to_differ_is_not() {
        let text = "# A comment.\nquery I\nSELECT 1\n----\n2";
        let Record::Query { head, sql, rows, .. } = record(text) else { panic!("no query") };
        assert_eq!((sql.as_str(), rows.as_slice()), ("SELECT 1", &["2".to_string()][..]));
        let table = Table {
            types: vec!["STRING NOT NULL".into(), "DECIMAL(2, 1)".into()],
            rows: vec![],
            values: vec![vec![Some(" a".into()), None], vec![Some("it's".into()), Some("1.0".into())]],
        };
        assert_eq!(written(&head, &sql, &table), "# A comment.\nquery TR\nSELECT 1\n----\n' a' <NULL>\nit's 1.0");
        for text in
            ["# Flink: refused.\nquery I\nSELECT 1\n----\n2", "query error no\nSELECT 1", "# Only text.", "halt"]
        {
            assert_eq!(record(text), Record::Other(text.into()));
        }
        let text = "statement ok\nCREATE TABLE t (a INT)";
        assert_eq!(record(text), Record::Statement { text: text.into(), sql: "CREATE TABLE t (a INT)".into() });
        assert!(has_kinds(&["+I 1".into()]) && !has_kinds(&["1".into()]));
    }
}
