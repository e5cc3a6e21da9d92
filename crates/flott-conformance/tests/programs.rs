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
        println!("SKIPPED: there is no {}", file.display());
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
