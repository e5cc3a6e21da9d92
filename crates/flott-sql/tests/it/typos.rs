//! Slips of the pen: each message names the true place and what was expected there, or what to do.

use std::fmt::Write;
use std::path::Path;

use flott_sql::parser::parse_script;

/// `tests/it/typos.txt`: a statement, then a line `-- ` with its error. `UPDATE_TYPOS=1` writes what is said now.
#[test]
fn every_typo_is_named_at_its_place() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/typos.txt");
    let written = std::fs::read_to_string(&file).unwrap();
    let mut now = String::new();
    for case in written.split("\n\n").filter(|c| !c.trim().is_empty()) {
        let sql: Vec<&str> = case.trim().lines().filter(|l| !l.starts_with("-- ")).collect();
        let sql = sql.join("\n");
        let said = match parse_script(&sql) {
            Ok(_) => "it parses".to_string(),
            Err(e) => {
                let at = e.position().map_or("no place".to_string(), |p| format!("{}:{}", p.line, p.column));
                let hint = e.hint_text().map(|h| format!(" | {h}")).unwrap_or_default();
                format!("{at} {}{hint}", e.message())
            }
        };
        write!(now, "{sql}\n-- {said}\n\n").unwrap();
    }
    if std::env::var_os("UPDATE_TYPOS").is_some() {
        std::fs::write(&file, now).unwrap();
    } else {
        assert_eq!(now, written);
    }
}
