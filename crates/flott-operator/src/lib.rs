//! Streaming operators: plain structs over change batches, driven by a runtime or by a test harness.
//!
//! An operator does no IO, never blocks, never reads a clock. Every stateful one has this property, which its tests
//! check: any batch split, interleaving, barrier place, parallelism and restore point gives the same consolidated output.
//!
//! Read first: [`operator::Operator`], [`operator::OperatorContext`], [`build::build`].
#![forbid(unsafe_code)]

pub mod build;
pub mod calc;
pub mod changelog;
pub mod changelog_function;
mod evaluation;
pub mod expand;
mod expression;
pub mod group;
pub mod harness;
mod held;
pub mod join;
pub(crate) mod keyed;
pub mod match_recognize;
pub mod operator;
pub mod over;
pub mod rank;
pub mod sink_constraint;
mod timestamp;
pub mod union;
pub mod unnest;
pub mod watermark;
pub mod window;

pub use build::build;
pub use keyed::meaning::check as check_meaning;
pub use operator::{Emission, Operator, OperatorContext, OperatorMetrics, Progress};
pub use watermark::WatermarkGenerator;
