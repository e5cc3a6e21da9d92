//! Modules that are wrong, or want to do harm: each gives an error that says what, and none anything else.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int32Array, ListArray, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};

use crate::{ALLOCATOR, ECHO, TWICE, load, module};

/// The result is the argument, and then something is done to it: `$out` is the result's structure, `$table` its buffers.
fn spoilt(how: &str) -> String {
    format!(
        r#"(func (export "f") (param $arguments i32) (param $count i32) (param $rows i32) (param $out i32) (result i32)
             (local $table i32)
             (memory.copy (local.get $out) (local.get $arguments) (i32.const 64))
             (local.set $table (i32.load offset=40 (local.get $out)))
             {how}
             (i32.const 0))"#
    )
}

/// What a call with this argument fails with.
fn error(body: &str, t: &str, argument: ArrayRef) -> String {
    let function = load(module(&[ALLOCATOR, body]), "f", (t, t), &[("memory", "1 mb")]).expect("a function");
    let rows = argument.len();
    let failed = function.evaluate(&[Arc::clone(&argument)], rows).err();
    let again = function.evaluate(&[argument], rows).err().map(|e| e.to_string());
    let failed = failed.unwrap_or_else(|| panic!("no error of {body}")).to_string();
    assert_eq!(again.as_ref(), Some(&failed), "another instance does the same");
    failed
}

fn numbers() -> ArrayRef {
    Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]))
}

fn texts() -> ArrayRef {
    Arc::new(StringArray::from(vec!["ab", "c", ""]))
}

fn lists() -> ArrayRef {
    let field = Arc::new(Field::new("item", DataType::Int32, true));
    let values = Arc::new(Int32Array::from(vec![1, 2, 3]));
    Arc::new(ListArray::new(field, OffsetBuffer::new(vec![0, 1, 1, 3].into()), values, None))
}

const LENGTH: &str = "i64.store offset=0 (local.get $out)";
const OFFSET: &str = "i64.store offset=16 (local.get $out)";

#[test]
fn structures_that_lie_are_found_out() {
    for (what, how, why) in [
        ("a row more", format!("({LENGTH} (i64.const 4))"), "4 values for 3 rows"),
        ("a row less", format!("({LENGTH} (i64.const 2))"), "2 values for 3 rows"),
        ("no rows", format!("({LENGTH} (i64.const -1))"), "length -1"),
        ("more rows than there are bits", format!("({LENGTH} (i64.const 0x7fffffffffffffff))"), "no place for"),
        ("an offset behind all", format!("({OFFSET} (i64.const 0x7fffffffffffffff))"), "no place for"),
        ("an offset before all", format!("({OFFSET} (i64.const -8))"), "offset -8"),
        ("an offset behind the buffer", format!("({OFFSET} (i64.const 60000))"), "bytes at address"),
        (
            "more buffers",
            "(i64.store offset=24 (local.get $out) (i64.const 3))".to_string(),
            "3 buffers and 0 children",
        ),
        ("children", "(i64.store offset=32 (local.get $out) (i64.const 1))".to_string(), "2 buffers and 1 children"),
        ("a dictionary", "(i32.store offset=48 (local.get $out) (i32.const 8))".to_string(), "a dictionary"),
        (
            "buffers behind its memory",
            "(i32.store offset=40 (local.get $out) (i32.const -4))".to_string(),
            "an address of 4",
        ),
        (
            "buffers at the end",
            "(i32.store offset=40 (local.get $out) (i32.const 65534))".to_string(),
            "an address of 4",
        ),
        (
            "values behind its memory",
            "(i32.store offset=4 (local.get $table) (i32.const 65533))".to_string(),
            "buffer 1",
        ),
        ("no values", "(i32.store offset=4 (local.get $table) (i32.const 0))".to_string(), "no buffer 1"),
        ("NULLs behind its memory", "(i32.store (local.get $table) (i32.const -1))".to_string(), "buffer 0"),
    ] {
        let error = error(&spoilt(&how), "INT", numbers());
        assert!(error.contains(why), "{what}: {error}");
    }
}

#[test]
fn texts_and_lists_that_lie_are_found_out() {
    let offset = |n: u32, value: i32| {
        format!("(i32.store offset={} (i32.load offset=4 (local.get $table)) (i32.const {value}))", 4 * n)
    };
    for (what, how, why) in [
        ("offsets below zero", offset(0, -1), "offsets that go back"),
        ("offsets that go back", offset(1, 100), "offsets that go back"),
        ("offsets behind the memory", offset(3, i32::MAX), "buffer 2"),
        (
            "half a letter",
            offset(1, 1) + "(i32.store8 (i32.load offset=8 (local.get $table)) (i32.const 0xc3))",
            "UTF-8",
        ),
        ("no text", "(i32.store8 (i32.load offset=8 (local.get $table)) (i32.const 0xff))".to_string(), "UTF-8"),
    ] {
        let error = error(&spoilt(&how), "STRING", texts());
        assert!(error.to_lowercase().contains(&why.to_lowercase()), "{what}: {error}");
    }
    let children = "(i32.load offset=44 (local.get $out))";
    for (what, how, why) in [
        ("offsets behind the child", offset(3, 4), "3 values of INT where 4 are needed"),
        ("a child without values", format!("(i64.store (i32.load {children}) (i64.const 0))"), "0 values of INT"),
        ("a child behind its memory", format!("(i32.store {children} (i32.const -64))"), "a structure"),
        ("itself as its child", format!("(i32.store {children} (local.get $out))"), "2 buffers and 1 children"),
        (
            "children behind its memory",
            "(i32.store offset=44 (local.get $out) (i32.const -2))".to_string(),
            "an address of 4",
        ),
    ] {
        let error = error(&spoilt(&how), "ARRAY<INT>", lists());
        assert!(error.contains(why), "{what}: {error}");
    }
}

#[test]
fn what_does_not_end_is_stopped() {
    let function = |body: &str| format!(r#"(func $f (export "f") (param i32 i32 i32 i32) (result i32) {body})"#);
    let endless = error(&function("(loop $again (br $again)) (i32.const 0)"), "INT", numbers());
    assert!(endless.contains("'fuel-per-row' is 100000") && endless.contains("3 rows"), "{endless}");
    let recursive = "(call $f (local.get 0) (local.get 1) (local.get 2) (local.get 3))";
    let recursive = error(&function(&format!("(i32.add (i32.const 1) {recursive})")), "INT", numbers());
    assert!(recursive.contains("more than 1000 deep"), "{recursive}");
    let bomb = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    let bomb = error(&function(bomb), "INT", numbers());
    assert!(bomb.contains("more memory than the 1048576 bytes") && bomb.contains("Raise 'memory'"), "{bomb}");
    let trap = error(&function("unreachable"), "INT", numbers());
    assert!(trap.contains("the module has stopped") && trap.contains("unreachable"), "{trap}");
    let outside = error(&function("(i32.load (i32.const -8))"), "INT", numbers());
    assert!(outside.contains("out of bounds"), "{outside}");
}

#[test]
fn an_allocator_is_not_believed_either() {
    let module = |alloc: &str| {
        module(&[
            r#"(memory (export "memory") 1)"#,
            &format!(r#"(func (export "flott_alloc") (param i32) (result i32) {alloc})"#),
            r#"(func (export "flott_free") (param i32 i32))"#,
            ECHO,
        ])
    };
    for (alloc, why) in [
        ("(i32.const 0)", "has no memory for"),
        ("(i32.const 65528)", "not in its memory"),
        ("(i32.const -8)", "not in its memory"),
        ("(i32.const 1028)", "not a multiple of 8"),
    ] {
        let function = load(module(alloc), "f", ("INT", "INT"), &[]).expect("a function");
        let error = function.evaluate(&[numbers()], 3).expect_err(alloc).to_string();
        assert!(error.contains(why), "{alloc}: {error}");
    }
}

#[test]
fn an_instance_that_has_failed_is_not_used_again() {
    // It fails at its second call.
    let body = r#"
      (global $calls (mut i32) (i32.const 0))
      (func (export "f") (param i32 i32 i32 i32) (result i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (if (i32.eq (global.get $calls) (i32.const 2)) (then unreachable))
        (memory.copy (local.get 3) (local.get 0) (i32.const 64))
        (i32.const 0))
    "#;
    let function = load(module(&[ALLOCATOR, body]), "f", ("INT", "INT"), &[]).expect("a function");
    let calls: Vec<bool> = (0..4).map(|_| function.evaluate(&[numbers()], 3).is_ok()).collect();
    assert_eq!(calls, [true, false, true, false]);
}

#[test]
fn modules_that_cannot_be_called_are_refused_when_they_are_made() {
    let refused = |bytes: Vec<u8>, symbol: &str| match load(bytes, symbol, ("INT", "INT"), &[("memory", "1 mb")]) {
        Ok(_) => panic!("it was taken"),
        Err(e) => e.to_string(),
    };
    for (bytes, symbol, why) in [
        (b"(module)".to_vec(), "f", "is no WebAssembly module"),
        (b"\0asm\x01\0\0\0\xff".to_vec(), "f", "cannot be compiled"),
        (module(&[ALLOCATOR, TWICE]), "twise", "Did you mean 'twice'?"),
        (module(&[ALLOCATOR, TWICE]), "flott_alloc", "for Flott's own use"),
        (module(&[TWICE.replace("call $alloc", "i32.shl (i32.const 1)").as_str(), "(memory 1)"]), "twice", "'memory'"),
        (module(&[ALLOCATOR, r#"(func (export "f") (param i64) (result i32) (i32.const 0))"#]), "f", "f(i64) -> (i32)"),
        (module(&[r#"(import "env" "now" (func))"#, ALLOCATOR, ECHO]), "f", "imports 'env.now'"),
        (
            module(&[r#"(import "env" "memory" (memory 1)) (export "memory" (memory 0))"#, ECHO]),
            "f",
            "imports 'env.memory'",
        ),
        (module(&[&ALLOCATOR.replace("\"memory\") 1", "\"memory\") 100"), ECHO]), "f", "more memory than the 1048576"),
        (module(&[ALLOCATOR, ECHO, "(func $s (loop $again (br $again))) (start $s)"]), "f", "fuel-per-row"),
        (module(&[ALLOCATOR, ECHO, "(table 200000 funcref)"]), "f", "the module has stopped"),
        (module(&[ALLOCATOR, ECHO, &"(func)".repeat(10_001)]), "f", "cannot be compiled"),
        (module(&[ALLOCATOR, ECHO, &"(global i32 (i32.const 0))".repeat(1_001)]), "f", "cannot be compiled"),
        (
            module(&[&ALLOCATOR.replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") i64 1)"), ""]),
            "f",
            "cannot be compiled",
        ),
    ] {
        let error = refused(bytes, symbol);
        assert!(error.contains(why), "{why}: {error}");
    }
    let no_code = load(module(&[ALLOCATOR, ECHO]), "f", ("VARIANT", "INT"), &[]).err().expect("a VARIANT").to_string();
    assert!(no_code.contains("VARIANT"), "{no_code}");
}
