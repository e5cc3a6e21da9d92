//! Streaming operators: plain structs over change batches, driven by a runtime or by a test harness.
//!
//! An operator does no IO, never blocks, never reads a clock. Every stateful one has this property, which its tests
//! check: any batch split, interleaving, barrier place, parallelism and restore point gives the same consolidated output.
//!
//! Read first: [`operator::Operator`], [`operator::OperatorContext`], [`build::build`].

pub mod operator;

pub use operator::{Emission, Operator, OperatorContext, OperatorMetrics, Progress};
