//! Examples of functions: data for the reference page, and cases for a test that runs them.

/// A call and what it gives.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// An expression, or statements whose last one is a query.
    pub sql: &'static str,
    /// The value as the SQL client prints it; of several rows a line each, of several values with commas between them. Where
    /// rows are more than added, each begins with its kind.
    pub result: &'static str,
}

/// What the reference page says of something that is called.
#[derive(Debug, Clone, Copy)]
pub struct Documentation {
    /// How it is written.
    pub syntax: &'static str,
    /// What it does, in a sentence.
    pub description: &'static str,
    /// What else there is to know: types, NULL, errors.
    pub documentation: &'static str,
    /// Calls and what they give.
    pub examples: &'static [Example],
}

/// What the parser knows by words of its own: conversions, and what stands beside aggregates.
pub const CONVERSIONS: [Documentation; 3] = [
    Documentation {
        syntax: "CAST(value AS type)",
        description: "The value as another type; an error where that cannot be.",
        documentation: "NULL stays NULL. Fractions of numbers are cut, texts are cut to their length, and a text must be all \
             of a value: `CAST('x' AS INT)` fails the query. Types that no value of the one can be of the other are refused \
             when the query is planned.",
        examples: &[
            Example { sql: "CAST('42' AS INT)", result: "42" },
            Example { sql: "CAST(2.9 AS INT)", result: "2" },
            Example { sql: "CAST(DATE '2024-02-29' AS STRING)", result: "2024-02-29" },
            Example { sql: "CAST(TRUE AS STRING)", result: "TRUE" },
        ],
    },
    Documentation {
        syntax: "TRY_CAST(value AS type)",
        description: "The value as another type; NULL where that cannot be.",
        documentation: "As CAST, for values that may be wrong.",
        examples: &[
            Example { sql: "TRY_CAST('42' AS INT)", result: "42" },
            Example { sql: "TRY_CAST('x' AS INT)", result: "<NULL>" },
        ],
    },
    Documentation {
        syntax: "CONVERT(type, value)",
        description: "CAST with the type first.",
        documentation: "A number may follow, which counts for nothing. JDBC's way to write it is understood too, as are other \
             functions by JDBC's names: `{fn CONVERT(a, SQL_INTEGER)}`, `{fn UCASE(a)}`.",
        examples: &[
            Example { sql: "CONVERT(INT, '42')", result: "42" },
            Example { sql: "{fn CONVERT('42', SQL_INTEGER)}", result: "42" },
        ],
    },
];

/// GROUPING, which tells the sets of a GROUP BY apart.
pub const GROUPING: Documentation = Documentation {
    syntax: "GROUPING(key, ..), GROUPING_ID(key, ..)",
    description: "A bit for each key, the last one lowest: 1 where the row's grouping set leaves it out.",
    documentation: "A BIGINT. It stands beside GROUPING SETS, CUBE and ROLLUP, and keys are those of GROUP BY.",
    examples: &[Example {
        sql: "SELECT MAX(g) FROM (SELECT GROUPING(a, b) AS g FROM (VALUES (1, 2)) AS t (a, b) GROUP BY ROLLUP (a, b))",
        result: "3",
    }],
};
