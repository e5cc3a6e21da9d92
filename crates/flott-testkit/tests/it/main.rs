//! Tests of the kit itself.

mod harness;
mod programs;
mod values;
