//! Scalar and aggregate functions with Flink's types and results.
//!
//! A function is resolved once for the types of its arguments: that gives the type of its result and a kernel over Arrow
//! columns ([`udf::Resolved`]). To the planner it is a DataFusion expression ([`TypedExpr`]); coercions, overflow and NULL
//! rules are decided here and nowhere else.
//!
//! Whoever turns such an expression into a physical one passes that through [`lazy::evaluate_lists`] and
//! [`lazy::short_circuit`]: AND and OR evaluate from left to right. Operators stamp the time with [`context::enter`] before
//! they evaluate.
//!
//! Read first: [`TypedExpr`], [`operator::binary`], [`cast::cast`], [`scalar::call`].
#![forbid(unsafe_code)]

pub mod aggregate;
mod argument;
pub mod cast;
pub mod context;
pub mod decimal;
pub mod deep;
mod example;
mod hex_float;
mod java_hash;
pub mod lazy;
pub mod operator;
pub mod print;
mod replicate;
mod same_map;
pub mod scalar;
#[cfg(test)]
mod testing;
pub mod text;
pub mod types;
pub mod udf;
pub mod user;
pub mod variant;

/// The limits of functions.
pub mod limits {
    pub use crate::scalar::{
        LETTERS_MAX, MAX_ARRAY_NUMBERS, MAX_REGEX_BYTES, MAX_TEXT_BYTES, OPTIONAL_DEPTH_MAX, PAD_WIDTH_MAX,
    };
}

pub use aggregate::AggregateKind;
pub use context::FunctionEnv;
pub use example::{CONVERSIONS, Documentation, Example, GROUPING};
pub use flott_core::bitmap;
pub use replicate::replicate;
pub use types::{as_decimal, implicit_cast, interval_in_query, least_common_type};
pub use udf::TypedExpr;
