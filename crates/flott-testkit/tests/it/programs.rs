//! Reads every row of Flink's test programs, where they are at hand.

use std::collections::BTreeMap;

use flott_testkit::{relaxed_schema, rows_of, try_batch_of, try_schema};
use serde_json::Value;

/// Names the file of programs (JSON, one a line).
const PROGRAMS: &str = "FLOTT_TEST_PROGRAMS";

/// The column definitions of a table: no computed columns, watermarks, keys.
fn columns(schema: &Value) -> String {
    let lines: Vec<&str> = schema.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let text = lines.join(", ");
    let (mut parts, mut depth, mut start) = (vec![], 0i32, 0);
    for (i, c) in text.char_indices() {
        match c {
            '(' | '<' => depth += 1,
            ')' | '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    let physical = parts.iter().map(|p| p.trim()).filter(|p| {
        let upper = p.to_uppercase();
        let words: Vec<&str> = upper.split_whitespace().collect();
        let second = words.get(1).copied().unwrap_or("");
        let key = upper.starts_with("PRIMARY ") && second.starts_with("KEY");
        !(key || second == "AS" || upper.starts_with("WATERMARK ") || upper.starts_with("CONSTRAINT "))
    });
    let physical = physical.map(|p| {
        let upper = p.to_uppercase();
        let end = [" PRIMARY KEY", " METADATA", " NOT ENFORCED"].iter().filter_map(|w| upper.find(w)).min();
        p[..end.unwrap_or(p.len())].to_string()
    });
    physical.collect::<Vec<_>>().join(", ")
}

#[test]
fn every_row_of_flinks_programs_is_read_and_printed_the_same() {
    let Some(path) = std::env::var_os(PROGRAMS) else {
        flott_testkit::skipped(&format!("{PROGRAMS} does not name a file of test programs"));
        return;
    };
    let text = std::fs::read_to_string(path).expect("the file of programs");
    let mut unreadable: BTreeMap<String, usize> = BTreeMap::new();
    let (mut read, mut same, mut null_keys) = (0, 0, 0);
    for line in text.lines() {
        let program: Value = serde_json::from_str(line).expect("a program");
        for step in program["setup"].as_array().into_iter().flatten() {
            let rows: Vec<&str> = ["rows_before", "rows_after", "before", "after", "materialized"]
                .iter()
                .flat_map(|k| step[*k].as_array().into_iter().flatten())
                .filter_map(Value::as_str)
                .collect();
            if rows.is_empty() {
                continue;
            }
            let columns = columns(&step["schema"]);
            let schema = match try_schema(&columns) {
                Ok(schema) => relaxed_schema(&schema),
                Err(e) => {
                    *unreadable.entry(e.message().split('\'').next().unwrap_or("").to_string()).or_default() +=
                        rows.len();
                    continue;
                }
            };
            for row in rows {
                match try_batch_of(&schema, &[row]) {
                    Ok(batch) => {
                        read += 1;
                        let printed = rows_of([&batch]);
                        same += usize::from(printed == [row]);
                        // Sources may write `4` for a DECIMAL(10, 2): what is printed then means the same.
                        let again = try_batch_of(&schema, &printed).expect("printed rows are read");
                        assert_eq!(batch, again, "{}: {row} printed as {}", program["id"], printed[0]);
                    }
                    // Arrow has no NULL key.
                    Err(e) if row.contains("{null=") && e.message().contains("NULL") => null_keys += 1,
                    Err(e) => panic!("{} | {columns}: {e}", program["id"]),
                }
            }
        }
    }
    eprintln!("{read} rows read, {same} printed the same, {null_keys} with a NULL key; types: {unreadable:#?}");
    assert!(read > 1_000);
    assert!(unreadable.keys().all(|m| m.contains("not supported yet")), "{unreadable:#?}");
    assert!(same * 100 >= read * 90, "{} of {read} rows print differently", read - same);
}
