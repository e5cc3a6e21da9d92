//! Tests of the kit itself.

mod harness;
mod programs;
mod spec;
mod values;
