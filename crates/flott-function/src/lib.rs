//! Scalar and aggregate functions with Flink's semantics

pub mod aggregate;

pub use aggregate::AggregateKind;
