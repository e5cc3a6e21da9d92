//! The command as a user meets it: scripts, files, signals, exit codes.

mod bad_input;
mod control;
mod exits;
mod fixtures;
mod jobs;
mod kafka;
mod memory_limit;
mod messages;
mod pages;
mod processes;
mod restores;
mod sql;
mod strangers;
mod support;
