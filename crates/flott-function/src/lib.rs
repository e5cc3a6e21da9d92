//! Scalar and aggregate functions with Flink's semantics
