//! The types of which there are values, and types picked from them.

use flott_core::LogicalType;

use crate::any_input::sampler::Sampler;

/// A structured type.
pub(crate) const USER: &str = "STRUCTURED<'com.example.User', `name` STRING NOT NULL, `age` INT>";

/// Every kind of type, those with parameters at their ends.
pub(crate) const TYPES: [&str; 54] = [
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL(5, 2)",
    "DECIMAL(10, 0)",
    "DECIMAL(38, 0)",
    "DECIMAL(38, 18)",
    "DECIMAL(38, 38)",
    "STRING",
    "CHAR(3)",
    "VARCHAR(5)",
    "BYTES",
    "BINARY(2)",
    "VARBINARY(3)",
    "DATE",
    "TIME(0)",
    "TIME(3)",
    "TIME(9)",
    "TIMESTAMP(0)",
    "TIMESTAMP(3)",
    "TIMESTAMP(6)",
    "TIMESTAMP(9)",
    "TIMESTAMP_LTZ(0)",
    "TIMESTAMP_LTZ(3)",
    "TIMESTAMP_LTZ(6)",
    "TIMESTAMP_LTZ(9)",
    "TIMESTAMP(3) *ROWTIME*",
    "TIMESTAMP_LTZ(3) *PROCTIME*",
    "INTERVAL MONTH",
    "INTERVAL SECOND(3)",
    "ARRAY<INT>",
    "ARRAY<DOUBLE NOT NULL>",
    "ARRAY<STRING>",
    "ARRAY<DECIMAL(38, 10)>",
    "ARRAY<TIMESTAMP(3)>",
    "ARRAY<BITMAP>",
    "ARRAY<ARRAY<INT>>",
    "ARRAY<ROW<`a` INT, `b` STRING>>",
    "MAP<STRING, INT>",
    "MAP<INT NOT NULL, ARRAY<STRING>>",
    "MAP<STRING NOT NULL, STRING>",
    "ARRAY<MAP<STRING, INT>>",
    "MULTISET<STRING>",
    "MULTISET<ROW<`a` INT>>",
    "ROW<`a` INT, `b` STRING NOT NULL, `c` ARRAY<DOUBLE>>",
    "ROW<`a` ROW<`b` MAP<STRING, TIMESTAMP_LTZ(9)>>>",
    USER,
    "VARIANT",
    "BITMAP",
    "NULL",
];

/// What most functions take, so that it is picked more often.
const USUAL: [&str; 12] = [
    "STRING",
    "STRING",
    "STRING",
    "INT",
    "INT",
    "BIGINT",
    "DOUBLE",
    "DECIMAL(5, 2)",
    "TIMESTAMP(3)",
    "TIMESTAMP_LTZ(3)",
    "BOOLEAN",
    "BYTES",
];

/// A type by its name.
pub(crate) fn logical(text: &str) -> LogicalType {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Some type; NOT NULL now and then.
pub(crate) fn any_type(sampler: &mut Sampler) -> LogicalType {
    let name = if sampler.one_in(2) { sampler.pick(&USUAL) } else { sampler.pick(&TYPES) };
    let t = logical(name);
    let may_be_null = *name == "NULL" || !sampler.one_in(3);
    t.with_nullable(may_be_null)
}
