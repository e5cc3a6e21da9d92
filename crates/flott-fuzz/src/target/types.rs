//! Names of types, as they stand in DDL, states and error messages.

use flott_core::LogicalType;

use crate::rows;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(parsed) = rows::given(text.parse::<LogicalType>()) else { return };
    let printed = parsed.to_string();
    let again: LogicalType = printed.parse().unwrap_or_else(|e| panic!("{printed}: {e}"));
    // The comments of fields of STRUCTURED are not printed.
    assert_eq!(again.to_string(), printed);
    drop(parsed.summary_without_nullability());
}
