//! Tests of the kit itself.

mod programs;
mod values;
