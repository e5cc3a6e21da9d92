//! Every limit that a user can meet, for the reference page. A limit stands beside the code that keeps it; this list
//! only names them.

use flott_function::limits as function;
use flott_sql::bind::limits as bind;
use flott_sql::parser::limits as parser;

use crate::config::MAX_PARALLELISM;

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What it belongs to.
    pub subject: &'static str,
    /// What is limited.
    pub what: &'static str,
    /// To what.
    pub most: String,
}

fn limit(subject: &'static str, what: &'static str, most: impl ToString) -> Limit {
    Limit { subject, what, most: most.to_string() }
}

/// Bytes in the largest unit that divides them.
fn bytes(bytes: u64) -> String {
    match bytes {
        b if b.is_multiple_of(1 << 30) => format!("{} GiB", b >> 30),
        b if b.is_multiple_of(1 << 20) => format!("{} MiB", b >> 20),
        b if b.is_multiple_of(1 << 10) => format!("{} KiB", b >> 10),
        b => format!("{b} bytes"),
    }
}

/// All of them, by subject.
pub fn limits() -> Vec<Limit> {
    let size = |b: usize| bytes(b as u64);
    vec![
        limit("Scripts", "a script", size(parser::MAX_SCRIPT_BYTES)),
        limit("Scripts", "a statement", size(parser::MAX_STATEMENT_BYTES)),
        limit("Scripts", "tokens of a statement", parser::MAX_TOKENS),
        limit("Scripts", "expressions of a statement", parser::MAX_NODES),
        limit("Scripts", "brackets, CASE and sub-queries inside each other", parser::MAX_DEPTH),
        limit("Scripts", "names of one path (`row.field.field ..`)", parser::MAX_NAME_PARTS),
        limit("Scripts", "prefix operators in a row (`NOT NOT ..`, `- - ..`)", parser::MAX_PREFIX_CHAIN),
        limit("Scripts", "UNION, EXCEPT and INTERSECT of a statement", parser::MAX_SET_OPERATIONS),
        limit("Scripts", "operators in a row (`a AND b AND ..`)", parser::MAX_OPEN_OPERATORS),
        limit("Queries", "queries, views and WITH clauses inside each other", bind::QUERY_DEPTH_MAX),
        limit("Queries", "expressions inside each other", bind::EXPRESSION_DEPTH_MAX),
        limit("Queries", "operands of one operator (`a + b + ..`)", bind::CHAIN_LENGTH_MAX),
        limit("Queries", "grouping sets of a GROUP BY", bind::GROUPING_SETS_MAX),
        limit("Queries", "keys of GROUPING SETS, ROLLUP and CUBE", bind::KEYS_IN_GROUPING_ID_MAX),
        limit(
            "Queries",
            "operators of a query, with its views and WITH clauses where they are named",
            bind::QUERY_NODES_MAX,
        ),
        limit("Queries", "operators of a call of a function in SQL, with all bodies", bind::CALL_OPERATORS_MAX),
        limit("Types", "digits of a DECIMAL", flott_core::types::MAX_DECIMAL_PRECISION),
        limit("Types", "characters of CHAR and VARCHAR, bytes of BINARY and VARBINARY", flott_core::types::MAX_LENGTH),
        limit("Types", "types inside each other", flott_core::types::TYPE_DEPTH_MAX),
        limit("Types", "timestamps with 7 to 9 digits of fraction", "the years 1677 to 2262"),
        limit("Functions", "a text that a function makes (REPEAT, LPAD, ..)", size(function::MAX_TEXT_BYTES)),
        limit("Functions", "a compiled regular expression", size(function::MAX_REGEX_BYTES)),
        limit("Functions", "numbers of a BITMAP that become an ARRAY", function::MAX_ARRAY_NUMBERS),
        limit("Functions", "`[` inside of each other in a pattern of times", function::OPTIONAL_DEPTH_MAX),
        limit("Functions", "`p` in a row in a pattern of times: the width that it pads to", function::PAD_WIDTH_MAX),
        limit("Functions", "other letters in a row in a pattern of times (`yyyy`)", function::LETTERS_MAX),
        #[cfg(feature = "wasm")]
        limit("Functions", "a module in WebAssembly", size(flott_wasm::ARTIFACT_BYTES_MAX)),
        limit("Formats", "avro: a message", size(flott_format::avro::RECORD_BYTES_MAX)),
        limit("Formats", "avro: a block of a file", size(flott_format::avro::BLOCK_BYTES_MAX)),
        limit(
            "Formats",
            "csv: a record, its line breaks in quotes included",
            size(flott_format::csv::RECORD_BYTES_MAX),
        ),
        limit("Formats", "csv: columns", flott_format::csv::COLUMNS_MAX),
        limit("Formats", "json: a record", size(flott_format::json::RECORD_BYTES_MAX)),
        limit("Formats", "json: objects and arrays inside each other", flott_format::json::DEPTH_MAX),
        limit("Formats", "orc: a footer", size(flott_format::orc::FOOTER_BYTES_MAX)),
        limit(
            "Formats",
            "orc: the columns of a stripe that are read",
            size(flott_format::orc::STRIPE_BYTES_MAX as usize),
        ),
        limit("Formats", "protobuf: a message", size(flott_format::protobuf::RECORD_BYTES_MAX)),
        limit("Formats", "protobuf: messages inside each other", flott_format::protobuf::DEPTH_MAX),
        limit(
            "Formats",
            "protobuf: a definition with all that it imports",
            size(flott_format::protobuf::DESCRIPTOR_BYTES_MAX),
        ),
        limit("Formats", "protobuf: files of a definition", flott_format::protobuf::FILES_MAX),
        limit("Formats", "raw: a record", size(flott_format::raw::RECORD_BYTES_MAX)),
        limit("filesystem", "folders inside each other below a path", flott_connector_files::limits::FOLDER_DEPTH_MAX),
        limit(
            "filesystem",
            "open files of one writer; of more partitions the one that has waited longest is closed",
            flott_connector_files::limits::OPEN_FILES_MAX,
        ),
        limit(
            "filesystem",
            "rows of a writer that wait in memory, encoded",
            size(flott_connector_files::limits::BUFFERED_BYTES_MAX),
        ),
        limit("filesystem", "a file in an object store", bytes(flott_connector_files::limits::UPLOAD_BYTES_MAX)),
        limit("datagen", "a row", bytes(flott_connector_basic::datagen::ROW_BYTES_MAX)),
        limit("Jobs", "parallelism", MAX_PARALLELISM),
        limit("Jobs", "maximum parallelism (key groups)", flott_core::key_group::MAX_MAX_PARALLELISM),
        limit("Jobs", "the stored description of a job", size(crate::bundle::MAX_BYTES)),
        limit("Jobs", "processes", crate::processes::MAX_PROCESSES),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(bytes(16 << 20), "16 MiB");
        assert_eq!(bytes(4 << 30), "4 GiB");
        assert_eq!(bytes(512 << 10), "512 KiB");
        assert_eq!(bytes(1_000), "1000 bytes");
        let limits = limits();
        for (what, most) in
            [("json: objects", "128"), ("`[` inside", "100"), ("`p` in a row", "1000"), ("other letters", "19")]
        {
            assert!(limits.iter().any(|l| l.what.starts_with(what) && l.most == most), "{what}");
        }
    }
}
