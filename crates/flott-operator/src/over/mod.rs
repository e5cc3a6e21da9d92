//! Functions over windows of rows.
//!
//! Read first: `running` (functions that go through steps), `time` (rows in the order of time), then `non_time` (rows that
//! come and go anywhere in an order) and `at_end` (all frames, where everything has come).

mod at_end;
mod frame;
mod lag;
mod non_time;
mod partitions;
mod place;
mod running;
mod shown;
mod time;

pub use at_end::OverAtEnd;
pub use non_time::NonTimeOver;
pub use time::TimeOver;
