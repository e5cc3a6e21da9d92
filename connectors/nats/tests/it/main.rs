//! The connector against a real server (`cargo xtask services up nats`); skipped where none runs.

mod access;
mod commit;
mod options;
mod outage;
mod read;
mod support;
mod write;
