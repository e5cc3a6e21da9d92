//! The list of calls that the benchmark measures is complete, and every call of it is one.

#[path = "../../benches/functions.rs"]
#[allow(dead_code, reason = "a test measures nothing")]
mod functions;

#[test]
fn every_function_can_be_measured() {
    let calls = functions::check().expect("a list that can be measured");
    assert!(calls > 250, "{calls} calls");
}
