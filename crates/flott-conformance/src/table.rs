//! Changelogs as lists of rows in Flink's print, and the table that one makes.

use serde_json::Value;

use crate::program::{text, texts};

/// Cells of a row, cut outside of brackets.
fn cells(row: &str) -> Vec<&str> {
    let body = row.get(3..row.len().saturating_sub(1)).unwrap_or_default();
    let (mut depth, mut from, mut cells) = (0i32, 0, vec![]);
    for (i, c) in body.char_indices() {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth -= 1,
            ',' if depth == 0 && body[i..].starts_with(", ") => {
                cells.push(&body[from..i]);
                from = i + 2;
            }
            _ => {}
        }
    }
    cells.push(&body[from..]);
    cells
}

/// Places of a sink's primary key.
pub(crate) fn primary_key(step: &Value) -> Vec<usize> {
    let parts = texts(&step["schema"]);
    let name = |part: &str| part.split_whitespace().next().unwrap_or_default().trim_matches('`').to_string();
    let is_column = |p: &&String| {
        let upper = p.trim().to_uppercase();
        !upper.starts_with("PRIMARY KEY") && !upper.starts_with("WATERMARK") && !upper.starts_with("CONSTRAINT")
    };
    let columns: Vec<&String> = parts.iter().filter(is_column).collect();
    let names: Vec<String> = columns.iter().map(|c| name(c)).collect();
    let declared = parts.iter().find_map(|p| {
        let at = p.to_uppercase().find("PRIMARY KEY")?;
        let rest = &p[at + "PRIMARY KEY".len()..];
        let (open, close) = (rest.find('(')?, rest.find(')')?);
        Some(rest[open + 1..close].split(',').map(|c| c.trim().trim_matches('`').to_string()).collect::<Vec<_>>())
    });
    let key = declared.unwrap_or_else(|| {
        columns.iter().filter(|c| c.to_uppercase().contains("PRIMARY KEY")).map(|c| name(c)).collect()
    });
    key.iter().filter_map(|k| names.iter().position(|n| n == k)).collect()
}

/// The table that a changelog makes.
pub(crate) fn materialised(changelog: &[String], key: &[usize]) -> Vec<String> {
    let mut rows: Vec<&str> = vec![];
    let of_key = |row: &str| {
        let cells = cells(row);
        key.iter().map(|k| cells.get(*k).copied().unwrap_or_default().to_string()).collect::<Vec<_>>()
    };
    for change in changelog {
        let same = |row: &&str| if key.is_empty() { row[2..] == change[2..] } else { of_key(row) == of_key(change) };
        let at = rows.iter().position(same);
        match (&change[..2], at) {
            ("+I" | "+U", Some(at)) if !key.is_empty() => rows[at] = change,
            ("+I" | "+U", _) => rows.push(change),
            // The row that it takes away may have been replaced by then.
            ("-U", Some(at)) if !key.is_empty() && rows[at][2..] != change[2..] => {}
            (_, Some(at)) => {
                rows.remove(at);
            }
            (_, None) => {}
        }
    }
    let mut rows: Vec<String> = rows.iter().map(|r| r[2..].to_string()).collect();
    rows.sort();
    rows
}

/// A multiset of rows, to compare.
pub(crate) fn sorted(rows: &[String]) -> Vec<String> {
    let mut rows = rows.to_vec();
    rows.sort();
    rows
}
