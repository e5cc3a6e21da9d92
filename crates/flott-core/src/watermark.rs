//! Event-time progress.

use std::fmt;

/// "No row with a time at or before this one follows", in milliseconds since the epoch (as Flink's `Watermark`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watermark(pub i64);

impl Watermark {
    /// Nothing is known yet.
    pub const MIN: Watermark = Watermark(i64::MIN);
    /// The end of the input: every window fires.
    pub const MAX: Watermark = Watermark(i64::MAX);

    /// The time in milliseconds.
    pub fn timestamp_ms(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Watermark::MIN => f.write_str("none"),
            Watermark::MAX => f.write_str("end of input"),
            Watermark(ms) => f.write_str(&crate::time_text::format_timestamp_ms(ms)),
        }
    }
}
