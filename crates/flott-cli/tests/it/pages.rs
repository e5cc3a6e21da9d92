//! The pages that the command prints: reference, completions, manual.

use crate::support::Place;

/// The SQL of a page, in order.
fn sql_of(page: &str) -> String {
    page.split("```sql\n").skip(1).filter_map(|part| part.split("```").next()).collect()
}

#[test]
fn every_example_of_the_statements_page_runs() {
    let place = Place::new();
    let page = place.flott(&["docs", "statements"]);
    assert_eq!(page.code, Some(0), "{page:?}");
    let script = sql_of(&page.out);
    assert!(script.matches(';').count() > 80, "the page has lost its examples");
    let ran = place.run(&script);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(place.rows("sales/dt=2026-01-01").len(), 2, "{ran:?}");
}

#[test]
fn the_first_job_of_the_readme_runs_with_the_binary_alone() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).expect("the README");
    let part = readme.split("## With the binary alone").nth(1).expect("its part");
    let commands = part.split("```sh\n").nth(1).and_then(|c| c.split("```").next()).expect("the commands");
    let (place, binary) = (Place::new(), std::path::Path::new(env!("CARGO_BIN_EXE_flott")));
    let folder = binary.parent().expect("a folder").display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = std::process::Command::new("sh");
    let ran = shell.args(["-e", "-c", commands]).current_dir(place.path()).env("PATH", path).output().expect("a shell");
    assert!(ran.status.success(), "{ran:?}");
    let out = String::from_utf8_lossy(&ran.stdout);
    let mut sums: Vec<&str> = out.lines().collect();
    sums.sort_unstable();
    assert_eq!(sums, ["Hafen,2.8", "Mitte,7.3"], "{ran:?}");
    let mut files: Vec<String> = std::fs::read_dir(place.path().join("shop"))
        .expect("the folder")
        .map(|f| f.expect("a file").file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(files, [".flott", "job.sql", "orders.csv", "totals"], "what the README says is written");
    // The pages that it names are there.
    for page in ["statements", "functions", "connectors", "formats", "configuration", "commands", "limits"] {
        assert!(part.contains(&format!("`{page}`")) || part.contains(&format!("flott docs {page}")), "{page}");
        assert_eq!(place.flott(&["docs", page]).code, Some(0), "{page}");
    }
}

#[test]
fn the_functions_page_has_all_kinds() {
    let page = Place::new().flott(&["docs", "functions"]).out;
    for part in [
        "`ABS(number)`",
        "COUNT([DISTINCT] value)",
        "`HOP(TABLE input, DESCRIPTOR(time_column), slide, size[, offset])`",
        "TRY_CAST",
    ] {
        assert!(page.contains(part), "no {part}");
    }
}

#[test]
fn the_pages_are_listed_and_each_is_there() {
    let place = Place::new();
    let list = place.flott(&["docs"]);
    assert_eq!(list.code, Some(0), "{list:?}");
    let pages: Vec<&str> =
        list.out.lines().take_while(|l| !l.is_empty()).filter_map(|l| l.split_whitespace().next()).collect();
    assert!(pages.contains(&"connectors") && pages.contains(&"kafka"), "{list:?}");
    for page in &pages {
        let printed = place.flott(&["docs", page]);
        assert!(printed.code == Some(0) && printed.out.starts_with("# "), "{page}");
    }
    // Those of the folder that the binary does not bring are none that a hint may name.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference");
    for file in std::fs::read_dir(folder).expect("the pages").flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        assert!(pages.contains(&name.trim_end_matches(".md")), "{name} is not listed");
    }
    let near = place.flott(&["docs", "conectors"]);
    assert!(near.code == Some(2) && near.err.contains("Did you mean 'connectors'?"), "{near:?}");
}

#[test]
fn the_limits_page_names_what_errors_name() {
    let page = Place::new().flott(&["docs", "limits"]).out;
    for part in [
        "| a script | 10 MiB |",
        "| csv: a record, its line breaks in quotes included | 16 MiB |",
        "| json: objects and arrays inside each other | 128 |",
    ] {
        assert!(page.contains(part), "no {part}");
    }
}

#[test]
fn completions_and_manual_name_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let ran = place.flott(&["completions", shell]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.contains("explain") && ran.out.contains("allow-non-restored-state"), "{shell}");
    }
    assert_eq!(place.flott(&["completions", "sh"]).code, Some(2));
    let whole = place.flott(&["man"]).out;
    assert!(whole.contains(".TH flott 1") && whole.contains("flott\\-run(1)"), "{whole}");
    let run = place.flott(&["man", "run"]).out;
    assert!(
        run.contains(concat!(".TH flott-run 1  \"flott ", env!("CARGO_PKG_VERSION"))) && run.contains("\\-\\-restore"),
        "{run}"
    );
    let wrong = place.flott(&["man", "worker"]);
    assert!(wrong.code == Some(2) && wrong.err.contains("There are run"), "{wrong:?}");
}

#[test]
fn logs_are_text_or_json() {
    let place = Place::new();
    place.write("job.sql", "SET 'state.backend.type' = 'rocksdb'; SELECT nope;");
    let text = place.flott(&["run", "job.sql"]);
    assert!(text.err.contains(" WARN ") && text.err.contains("Error: "), "{text:?}");
    let quiet = place.flott(&["--log-level", "error", "run", "job.sql"]);
    assert!(!quiet.err.contains("WARN") && quiet.err.contains("Error: "), "{quiet:?}");
    let json = place.flott(&["run", "job.sql", "--log-format", "json"]);
    let lines: Vec<serde_json::Value> =
        json.err.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect();
    let of = |level: &str| lines.iter().find(|l| l["level"] == level).unwrap_or_else(|| panic!("no {level}: {json:?}"));
    assert!(of("WARN")["message"].as_str().is_some_and(|m| m.contains("state.backend.type")), "{json:?}");
    assert_eq!(of("ERROR")["kind"], "USER");
}

#[test]
fn late_rows_are_counted_with_the_way_to_keep_them() {
    let place = Place::new();
    // More rows than a batch has, so that the watermark passes between them.
    let rows = |time: &str| format!("2026-01-01 {time},1\n").repeat(30_000);
    place.write("in/a.csv", &(rows("00:00:00") + &rows("02:00:00") + &rows("00:00:01")));
    let script = "CREATE TABLE i (ts TIMESTAMP(3), v INT, WATERMARK FOR ts AS ts)
        WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
        CREATE TABLE p (e TIMESTAMP(3), n BIGINT) WITH ('connector' = 'print');
        INSERT INTO p SELECT window_end, COUNT(*) FROM TABLE(TUMBLE(TABLE i, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
        GROUP BY window_start, window_end;";
    place.write("job.sql", script);
    let ran = place.flott(&["run", "job.sql", "-p", "1"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("30000 late rows dropped ('table.exec.late-records.table'"), "{ran:?}");
}
