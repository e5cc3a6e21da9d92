//! The programs that lie beside a checkout: SKIPPED where they are not there.
//!
//! `PROGRAMS=part` runs those whose class or id holds it.

use std::path::PathBuf;

use flott_conformance::{Report, run_all};

/// Where the file lies beside a checkout.
const FILE: &str = "../../../shared/conformance/programs.jsonl";
/// Programs whose final rows are Flink's, at least: fewer is a step back.
const MATERIALISED_MIN: usize = 180;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let Ok(lines) = std::fs::read_to_string(&file) else {
        flott_testkit::skipped(&format!("there is no {}", file.display()));
        return;
    };
    let only = std::env::var("PROGRAMS").unwrap_or_default();
    let mut report = Report::default();
    run_all(&lines, &only, &mut report).await.expect("every line is a program");
    println!("{}", report.text());
    let materialised = report.total().materialised;
    assert!(
        !only.is_empty() || materialised >= MATERIALISED_MIN,
        "only {materialised} programs give Flink's final rows, {MATERIALISED_MIN} are expected"
    );
}

/// Runs one program of our own.
async fn run_one(program: serde_json::Value) -> Report {
    let mut report = Report::default();
    run_all(&program.to_string(), "", &mut report).await.expect("a program");
    report
}

fn all_good(report: &Report) -> bool {
    let total = report.total();
    total.materialised == 1 && total.changelog == 1 && total.restore == total.restorable
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vector_search_gives_the_nearest_rows_and_what_where_says_is_asked_of_those() {
    let table = |name: &str, schema: [&str; 2], rows: &[&str], options: serde_json::Value| {
        serde_json::json!({"kind": "SOURCE_WITH_DATA", "name": name, "schema": schema, "options": options,
            "rows_before": rows, "rows_after": []})
    };
    let asked = ["+I[1, [1.0, 0.0]]", "+I[2, [0.0, 2.0]]", "+I[3, null]"];
    let searched =
        ["+I[east, [3.0, 0.0]]", "+I[north, [0.0, 3.0]]", "+I[west, [-1.0, 0.0]]", "+I[north east, [1.0, 1.0]]"];
    let program = |sql: &str, expected: &[&str]| {
        serde_json::json!({"class": "VectorSearch", "id": "own", "description": "", "setup": [
            table("asked", ["id BIGINT", "v ARRAY<FLOAT>"], &asked, serde_json::json!({})),
            table("places", ["label STRING", "v ARRAY<FLOAT>"], &searched, serde_json::json!({"enable-vector-search": "true"})),
            {"kind": "SINK_WITH_DATA", "name": "out", "schema": ["id BIGINT", "label STRING", "near DECIMAL(4, 2)"],
                "options": {}, "changelog": true, "before": expected, "after": []},
        ], "run": [{"kind": "SQL", "sql": format!("INSERT INTO out {sql}")}]})
    };
    let nearest = "SELECT id, label, CAST(score AS DECIMAL(4, 2)) FROM asked";
    let call = "LATERAL TABLE(VECTOR_SEARCH(TABLE places, DESCRIPTOR(v), asked.v, 2))";
    for (sql, expected) in [
        (
            format!("{nearest}, {call}"),
            vec!["+I[1, east, 1.00]", "+I[1, north east, 0.71]", "+I[2, north, 1.00]", "+I[2, north east, 0.71]"],
        ),
        (format!("{nearest}, {call} AS p WHERE p.label = 'north east' AND id < 2"), vec!["+I[1, north east, 0.71]"]),
        (format!("{nearest}, {call} AS p WHERE p.label = 'west'"), vec![]),
        (
            String::from(
                "SELECT id, label, CAST(near AS DECIMAL(4, 2)) FROM asked LEFT JOIN LATERAL TABLE(VECTOR_SEARCH(\
                SEARCH_TABLE => TABLE places, COLUMN_TO_SEARCH => DESCRIPTOR(v), COLUMN_TO_QUERY => asked.v, TOP_K => 1, \
                CONFIG => MAP['async', 'false'])) AS p (label, w, near) ON TRUE",
            ),
            vec!["+I[1, east, 1.00]", "+I[2, north, 1.00]", "+I[3, null, null]"],
        ),
    ] {
        let report = run_one(program(&sql, &expected)).await;
        assert!(all_good(&report), "{}", report.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_of_processing_time_are_waited_for_in_two_halves() {
    let report = run_one(serde_json::json!({"class": "Windows", "id": "own", "description": "", "setup": [
        {"kind": "SOURCE_WITH_RESTORE_DATA", "name": "t", "schema": ["a INT", "p AS PROCTIME()"], "options": {},
            "rows_before": ["+I[1]", "+I[2]"], "rows_after": ["+I[5]"]},
        {"kind": "SINK_WITH_RESTORE_DATA", "name": "out", "schema": ["s INT"], "options": {}, "changelog": true,
            "before": ["+I[3]"], "after": ["+I[5]"]},
    ], "run": [{"kind": "SQL", "sql": "INSERT INTO out SELECT SUM(a) FROM t GROUP BY TUMBLE(p, INTERVAL '5' SECOND)"}]}))
    .await;
    assert!(all_good(&report) && report.total().only_in_halves == 1, "{}", report.text());
}
