//! TRIM: without these characters (a space) at the ends.

use super::trimmed;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const TRIM: ScalarFunction = ScalarFunction {
    name: "TRIM",
    syntax: "TRIM([BOTH | LEADING | TRAILING] [characters FROM] text)",
    description: "Without these characters (a space) at the ends.",
    documentation: "Every one of the characters goes, in any order; BOTH where nothing is said. NULL gives NULL.",
    examples: &[
        Example { sql: "TRIM('  trim  ')", result: "trim" },
        Example { sql: "TRIM(LEADING 'x' FROM 'xxtrimxx')", result: "trimxx" },
        Example { sql: "TRIM(TRAILING FROM 'trim  ')", result: "trim" },
    ],
    category: Category::String,
    arity: (1, 2),
    resolve: |a| trimmed(a, true, true),
};
