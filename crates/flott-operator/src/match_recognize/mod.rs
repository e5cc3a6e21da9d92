//! MATCH_RECOGNIZE: patterns of rows of one partition that follow each other without a gap. What is found, and when, is
//! what Flink's CEP library finds for the patterns that its SQL allows.
//!
//! Read first: `automaton` (a pattern as states), then `runs` (what is open of one partition, and how a row moves it), then
//! `operator` (rows, time, and many partitions at once). Conditions are evaluated by the batch: those that read the row
//! alone over all rows that are due, others over one row of each partition (`values`).

mod automaton;
mod operator;
mod paths;
mod queue;
mod runs;
mod stored;
mod truths;
mod values;

pub use operator::MatchRecognize;
