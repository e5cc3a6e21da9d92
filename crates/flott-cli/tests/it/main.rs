//! The command as a user meets it: scripts, files, signals, exit codes.

mod jobs;
mod messages;
mod support;
