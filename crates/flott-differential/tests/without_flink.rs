//! What the program says where there is nothing to compare with.

use std::process::Command;

#[test]
fn without_a_gateway_nothing_passes() {
    let run = Command::new(env!("CARGO_BIN_EXE_flott-differential"))
        .args(["--expressions", "1", "--gateway", "http://127.0.0.1:1"])
        .output()
        .expect("the program");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(!run.status.success(), "{said}");
    assert!(said.contains("SKIPPED: the gateway does not answer"), "{said}");
}
