//! The runtime as a whole: real threads, small sources, sinks and operators in memory.

mod alignment;
mod barriers;
mod failures;
mod flow;
mod processes;
mod random;
mod resources;
mod restore;
mod support;
mod time;
mod together;
