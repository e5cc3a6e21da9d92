//! Modules that do what they should, and modules that do not.

mod hostile;
mod types;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Int32Array};
use flott_connector::function::{FunctionArtifact, FunctionLanguage, FunctionSignature, UserFunction};
use flott_core::Result;
use flott_wasm::WasmLanguage;

/// Memory that is given out from its start to its end, and taken back as a whole when the arguments are.
const ALLOCATOR: &str = include_str!("../wat/allocator.wat");

/// The first argument is the result.
const ECHO: &str = r#"
  (func (export "f") (param $arguments i32) (param $count i32) (param $rows i32) (param $out i32) (result i32)
    (memory.copy (local.get $out) (local.get $arguments) (i32.const 64))
    (i32.const 0))
"#;

/// An INT times two; NULLs are those of the argument.
const TWICE: &str = include_str!("../wat/twice.wat");

fn module(parts: &[&str]) -> Vec<u8> {
    wat::parse_str(format!("(module {})", parts.concat())).expect("a module")
}

fn artifact(bytes: Vec<u8>, symbol: &str, options: &[(&str, &str)]) -> FunctionArtifact {
    FunctionArtifact::new("WASM", symbol, "test.wasm", bytes, options.iter().copied().collect())
}

/// The function `symbol` of a module, from one type to one.
fn load(bytes: Vec<u8>, symbol: &str, types: (&str, &str), options: &[(&str, &str)]) -> Result<Arc<dyn UserFunction>> {
    let signature = FunctionSignature::scalar(&[("a", types.0)], types.1)?;
    WasmLanguage::default().load(&artifact(bytes, symbol, options), &signature)
}

fn twice(options: &[(&str, &str)]) -> Arc<dyn UserFunction> {
    load(module(&[ALLOCATOR, TWICE]), "twice", ("INT", "INT"), options).expect("a function")
}

#[test]
fn a_module_computes_whole_columns() {
    let function = twice(&[]);
    for rows in [0, 1, 7, 10_000] {
        let given: ArrayRef = Arc::new((0..rows).map(|i| (i % 3 > 0).then_some(i)).collect::<Int32Array>());
        let got = function.evaluate(&[given], rows as usize).expect("a column");
        let expected: Int32Array = (0..rows).map(|i| (i % 3 > 0).then_some(2 * i)).collect();
        assert_eq!(got.as_primitive::<Int32Type>(), &expected);
    }
    // A part of a column.
    let given: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3), None, Some(5)]));
    let got = function.evaluate(&[given.slice(1, 3)], 3).expect("a column");
    assert_eq!(got.as_primitive::<Int32Type>(), &Int32Array::from(vec![None, Some(6), None]));
}

#[test]
fn arguments_that_have_no_room_are_given_in_parts() {
    let function = twice(&[("memory", "256 kb")]);
    // Its 400 KB come in blocks of 64 KiB at most.
    let given: ArrayRef = Arc::new((0..100_000).collect::<Int32Array>());
    let got = function.evaluate(&[given], 100_000).expect("a column");
    assert!(got.as_primitive::<Int32Type>().values().iter().enumerate().all(|(i, v)| *v == 2 * i as i32));
    assert_eq!(got.len(), 100_000);
}

#[test]
fn threads_have_instances_of_their_own() {
    let function = twice(&[]);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let function = &function;
            scope.spawn(move || {
                for round in 0..50 {
                    let given: ArrayRef = Arc::new(Int32Array::from(vec![thread * 1_000 + round; 100]));
                    let got = function.evaluate(&[given], 100).expect("a column");
                    assert_eq!(got.as_primitive::<Int32Type>().values(), &[2 * (thread * 1_000 + round); 100]);
                }
            });
        }
    });
}

#[test]
fn calls_of_one_function_share_it() {
    let language = WasmLanguage::default();
    let signature = |result: &str| FunctionSignature::scalar(&[("a", "INT")], result).expect("a signature");
    let load = |result: &str, options: &[(&str, &str)]| {
        let artifact = artifact(module(&[ALLOCATOR, TWICE]), "twice", options);
        language.load(&artifact, &signature(result)).expect("a function")
    };
    let first = load("INT", &[]);
    assert!(Arc::ptr_eq(&first, &load("INT", &[])));
    for other in [load("INT NOT NULL", &[]), load("INT", &[("memory", "1 mb")])] {
        assert!(!Arc::ptr_eq(&first, &other));
    }
    // Once nobody calls it, nothing of it is kept.
    let weak = Arc::downgrade(&first);
    drop(first);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_function_says_why_it_fails() {
    let fails = r#"
      (data (i32.const 16) "a price\nbelow zero")
      (func (export "f") (param i32 i32 i32 i32) (result i32)
        (i64.store (local.get 3) (i64.const 18))
        (i32.store offset=40 (local.get 3) (i32.const 16))
        (i32.const 1))
    "#;
    let function = load(module(&[ALLOCATOR, fails]), "f", ("INT", "INT"), &[]).expect("a function");
    let given: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let error = function.evaluate(&[given], 1).expect_err("it fails").to_string();
    assert!(error.contains("the function failed: a price below zero"), "{error}");
}

#[test]
fn options_are_checked() {
    for (key, value, why) in [
        ("fuel-per-row", "0", "1 to 100000000"),
        ("memory", "1 kb", "64 kb to 4 gb"),
        ("memory", "5 gb", "64 kb to 4 gb"),
    ] {
        let refused = load(module(&[ALLOCATOR, TWICE]), "twice", ("INT", "INT"), &[(key, value)]);
        let error = refused.err().expect("a wrong option").to_string();
        assert!(error.contains(why) && error.contains(key), "{error}");
    }
}
