//! VARIANT: PARSE_JSON and TRY_PARSE_JSON make it, `v['field']` and `v[1]` look into it.

mod item;
mod parse_json;

pub use item::item;

use crate::scalar::ScalarFunction;

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[parse_json::PARSE_JSON, parse_json::TRY_PARSE_JSON];
