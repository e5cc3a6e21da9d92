//! What declares a time attribute.

use flott_function::Documentation;

use super::Family;

pub(super) const FAMILY: Family = Family {
    title: "Time attributes",
    introduction: "In the declaration of a table. Beside it stand [PROCTIME](#proctime), [CURRENT_WATERMARK](#current_watermark), \
                   [TUMBLE_ROWTIME](#tumble_rowtime) and [MATCH_ROWTIME](#match_rowtime).",
    functions: &[Documentation {
        syntax: "SOURCE_WATERMARK()",
        description: "The watermark that the source gives itself.",
        documentation: "It stands only as `WATERMARK FOR time_column AS SOURCE_WATERMARK()`, of connectors that give one; none that \
             is built in does, so that there is no example here that runs.",
        examples: &[],
    }],
};
