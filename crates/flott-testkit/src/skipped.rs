//! What a test says where it cannot run.

use std::io::Write;

/// Names a file that gets a line for every test that cannot run: the output of tests that pass is not shown.
const FILE: &str = "FLOTT_TEST_SKIPPED";

/// Says that the test of this thread cannot run, and why; the test then ends.
#[expect(clippy::print_stderr, reason = "whoever runs the tests has to know what was not tested")]
pub fn skipped(reason: &str) {
    eprintln!("SKIPPED: {reason}");
    let Some(file) = std::env::var_os(FILE) else { return };
    let line = format!("{}: {reason}\n", std::thread::current().name().unwrap_or("a test"));
    let written = std::fs::File::options().append(true).create(true).open(&file);
    if let Err(e) = written.and_then(|mut file| file.write_all(line.as_bytes())) {
        eprintln!("{} does not say so: {e}", file.display());
    }
}
