//! Plans, refusals, types and names of queries.
#![allow(clippy::unwrap_used, reason = "tests")]

mod any_input;
mod common;
mod evaluation;
mod graph;
mod names;
mod plans;
mod refusals;
mod resolver;
mod statements;
mod typing;
mod typos;
