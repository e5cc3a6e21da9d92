//! FLOOR and CEIL: to whole numbers, and to units of time.

use super::{Step, same_type};
use crate::example::Example;
use crate::scalar::temporal::time_unit::round_to_unit;
use crate::scalar::{Category, ScalarFunction};

pub(super) const FLOOR: ScalarFunction = ScalarFunction {
    name: "FLOOR",
    syntax: "FLOOR(number), FLOOR(time TO unit)",
    description: "The greatest integer that is not greater; the start of a time's unit.",
    documentation: "Of a number it has that type, of a DECIMAL its digits before the point. Of a DATE, TIME or \
         TIMESTAMP it is the start of a unit: MILLENNIUM, CENTURY, DECADE, YEAR, QUARTER, MONTH, WEEK (from \
         Sunday on), DAY, HOUR, MINUTE, SECOND or MILLISECOND; a TIMESTAMP_LTZ is seen in the session's zone. \
         NULL gives NULL.",
    examples: &[
        Example { sql: "FLOOR(-1.2)", result: "-2" },
        Example { sql: "FLOOR(-0.5E0)", result: "-1.0" },
        Example { sql: "FLOOR(DATE '2024-03-05' TO MONTH)", result: "2024-03-01" },
        Example { sql: "FLOOR(TIME '12:34:56' TO HOUR)", result: "12:00:00" },
    ],
    category: Category::Arithmetic,
    arity: (1, 2),
    resolve: |a| if a.values.len() == 2 { round_to_unit(a, false) } else { same_type(a, Step::Floor) },
};

pub(super) const CEIL: ScalarFunction = ScalarFunction {
    name: "CEIL",
    syntax: "CEIL(number), CEIL(time TO unit)",
    description: "The least integer that is not less; the start of a time's next unit.",
    documentation: "As FLOOR, upwards. A time that is the start of a unit stays, as a rule: Flink's exceptions are \
         DATEs to DAY, which become the next day, and QUARTER, where only January's start stays. CEILING is \
         another name.",
    examples: &[
        Example { sql: "CEIL(1.2)", result: "2" },
        Example { sql: "CEIL(-1.2)", result: "-1" },
        Example { sql: "CEIL(DATE '2024-03-05' TO YEAR)", result: "2025-01-01" },
        Example { sql: "CEIL(TIME '12:34:56' TO MINUTE)", result: "12:35:00" },
    ],
    category: Category::Arithmetic,
    arity: (1, 2),
    resolve: |a| if a.values.len() == 2 { round_to_unit(a, true) } else { same_type(a, Step::Ceil) },
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("FLOOR", &[("-1.5", "DECIMAL(2, 1)")], "-2"),
            ("CEIL", &[("9.1", "DECIMAL(2, 1)")], "10"),
            ("CEIL", &[("-0.5", "DOUBLE")], "-0.0"),
            ("FLOOR", &[("3", "INT")], "3"),
        ]);
    }
}
