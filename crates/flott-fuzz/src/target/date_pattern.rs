//! Patterns of dates: a pattern, a line break, a text.

use super::expression::both_ways;

pub(crate) fn run(data: &[u8]) {
    let Ok(all) = std::str::from_utf8(data) else { return };
    let (pattern, text) = all.split_once('\n').unwrap_or((all, "2024-02-29 12:34:56.789"));
    for name in ["TO_TIMESTAMP", "TO_TIMESTAMP_LTZ", "TO_DATE", "UNIX_TIMESTAMP", "DATE_FORMAT"] {
        both_ways(name, text, &[pattern]);
    }
    // The text is one that each pattern can print, and the zone is the input's.
    both_ways("DATE_FORMAT", "2024-02-29 12:34:56.789", &[pattern]);
    both_ways("TO_TIMESTAMP_LTZ", text, &[pattern, "Europe/Berlin"]);
    both_ways("CONVERT_TZ", "2024-02-29 12:34:56", &["UTC", pattern]);
    both_ways("CONVERT_TZ", text, &[pattern, "America/Los_Angeles"]);
}
