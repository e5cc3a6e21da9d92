//! Functions of the user's own in WebAssembly: `CREATE FUNCTION .. LANGUAGE WASM AS 'symbol' USING ARTIFACT 'file.wasm'`.
//!
//! A module is not trusted. It sees its arguments and nothing else (it can import nothing), its instructions and its memory
//! are counted, and what it gives is read as bytes of its memory, each address and length checked first: a module that is
//! wrong or hostile gives an error.
//!
//! # What a module exports
//!
//! | export | what it is |
//! |---|---|
//! | `memory` | its memory, with 32-bit addresses |
//! | `flott_alloc(size: i32) -> i32` | memory for `size` bytes at an address that 8 divides; 0 where there is none |
//! | `flott_free(address: i32, size: i32)` | takes back what `flott_alloc` has given |
//! | `symbol(arguments: i32, count: i32, rows: i32, result: i32) -> i32` | the function; the name is the one behind AS |
//! | `flott_release(result: i32)` | where it is exported: takes back the memory of a result, once it is read |
//!
//! `arguments` is the address of `count` structures `ArrowArray` one behind the other, `result` that of one which the function
//! fills. They are those of the [Arrow C data interface](https://arrow.apache.org/docs/format/CDataInterface.html) as C lays
//! them out for 32-bit addresses, 64 bytes each (see [`layout`]). Types are those of the declaration, in the Arrow format
//! that [`flott_core::types::arrow_type`] says; there is no `ArrowSchema`. Arguments have offset 0 and may be overwritten;
//! they and the structures are gone after the call. `release` and `private_data` of a result are the module's own.
//!
//! The function gives 0 once the result is there. Anything else is an error: `result` then holds the address of its message
//! in `buffers` and the message's bytes, in UTF-8, in `length`.
//!
//! An instance is called for batch after batch by one thread at a time, and thrown away after an error. What it keeps between
//! calls is no state: a job that starts again, or has several threads, has other instances.
//!
//! Read first: [`WasmLanguage`].
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod arguments;
mod function;
mod instance;
mod language;
pub mod layout;
mod module;
mod result;

pub use language::{ARTIFACT_BYTES_MAX, FUEL_PER_ROW, MEMORY, WasmLanguage};
