//! Flink SQL text to JobGraph.
//!
//! Text becomes statements ([`parser`]); statements that are not jobs change or show the session's state ([`statement`],
//! [`catalog`]); queries are bound to a logical plan with Flink's names, types and functions, and planned to a job graph.
#![forbid(unsafe_code)]

pub mod bind;
pub mod catalog;
pub mod parser;
pub mod plan;
pub mod reference;
pub mod statement;
