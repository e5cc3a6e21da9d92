//! What to write for functions that other systems have and Flink has not.
//!
//! A name here must be one that Flink itself refuses: a hint takes no function away, it only answers a call that nothing
//! else answers. What a hint tells to write is SQL that works; a test holds both.

/// The advice for a function of another system.
pub(super) fn instead_of(function: &str) -> Option<&'static str> {
    let function = function.to_uppercase();
    INSTEAD.iter().find(|(names, _)| names.contains(&function.as_str())).map(|(_, hint)| *hint)
}

/// The advice for what other systems write without brackets.
pub(super) fn instead_of_word(word: &str) -> Option<&'static str> {
    match word.to_uppercase().as_str() {
        "NOW" => Some("Write NOW() or CURRENT_TIMESTAMP"),
        word @ ("SYSDATE" | "SYSTIMESTAMP" | "GETDATE" | "TODAY" | "ROWNUM") => instead_of(word),
        _ => None,
    }
}

/// The names of functions, and what to write instead.
const INSTEAD: &[(&[&str], &str)] = &[
    // NULL and choices.
    (&["NVL", "ISNULL"], "Write COALESCE(a, b) or IFNULL(a, b); to ask for NULL: a IS NULL"),
    (&["ZEROIFNULL"], "Write COALESCE(a, 0)"),
    (&["NULLIFZERO"], "Write NULLIF(a, 0)"),
    (&["NVL2"], "Write IF(a IS NOT NULL, b, c)"),
    (&["IIF"], "Write IF(condition, a, b)"),
    (&["SAFE_DIVIDE", "DIV0"], "Write a / NULLIF(b, 0)"),
    // Aggregates.
    (
        &["STRING_AGG", "GROUP_CONCAT", "WM_CONCAT"],
        "Write LISTAGG(text, ','), which takes the rows in the order they come",
    ),
    (&["COLLECT_LIST", "GROUPARRAY"], "Write ARRAY_AGG(a)"),
    (&["COLLECT_SET"], "Write ARRAY_AGG(DISTINCT a)"),
    (&["COUNT_IF", "COUNTIF"], "Write COUNT(*) FILTER (WHERE condition)"),
    (&["SUM_IF", "SUMIF"], "Write SUM(a) FILTER (WHERE condition)"),
    (&["BOOL_OR", "LOGICAL_OR"], "Write MAX(IF(condition, 1, 0)) = 1"),
    (&["BOOL_AND", "LOGICAL_AND", "EVERY"], "Write MIN(IF(condition, 1, 0)) = 1"),
    (&["ANY_VALUE", "ARBITRARY"], "Write FIRST_VALUE(a) or MAX(a)"),
    (&["MEDIAN"], "Write PERCENTILE(a, 0.5)"),
    (&["PERCENTILE_CONT", "PERCENTILE_DISC", "QUANTILE", "APPROX_PERCENTILE"], "Write PERCENTILE(a, 0.9)"),
    (&["APPROX_DISTINCT", "NDV", "UNIQ"], "Write APPROX_COUNT_DISTINCT(a)"),
    (
        &["ARG_MAX", "ARGMAX", "MAX_BY"],
        "Number the rows, ROW_NUMBER() OVER (PARTITION BY k ORDER BY a DESC) AS n, and take those with n = 1 in a query around",
    ),
    (
        &["ARG_MIN", "ARGMIN", "MIN_BY"],
        "Number the rows, ROW_NUMBER() OVER (PARTITION BY k ORDER BY a) AS n, and take those with n = 1 in a query around",
    ),
    // Times.
    (
        &["DATE_TRUNC", "TIMESTAMP_TRUNC", "TRUNC_DATE"],
        "Write FLOOR(ts TO DAY); for windows of a stream, TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' DAY)",
    ),
    (
        &["TIME_BUCKET", "DATE_BIN"],
        "Write FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' MINUTE)) and group by window_start, window_end",
    ),
    (
        &["DATE_DIFF", "DATEDIFF", "TIMESTAMP_DIFF", "TIMEDIFF", "AGE"],
        "Write TIMESTAMPDIFF(DAY, earlier, later), with SECOND, MINUTE, HOUR, MONTH or YEAR in place of DAY",
    ),
    (&["MONTHS_BETWEEN"], "Write TIMESTAMPDIFF(MONTH, earlier, later)"),
    (
        &["DATE_ADD", "DATEADD", "ADDDATE", "TIMESTAMP_ADD"],
        "Write ts + INTERVAL '1' DAY, or TIMESTAMPADD(DAY, n, ts) for a number that is no constant",
    ),
    (
        &["DATE_SUB", "SUBDATE", "TIMESTAMP_SUB"],
        "Write ts - INTERVAL '1' DAY, or TIMESTAMPADD(DAY, -n, ts) for a number that is no constant",
    ),
    (&["ADD_MONTHS"], "Write TIMESTAMPADD(MONTH, n, ts)"),
    (
        &["TO_CHAR", "STRFTIME", "FORMAT_DATE", "FORMAT_TIMESTAMP", "FORMATDATETIME"],
        "Write DATE_FORMAT(ts, 'yyyy-MM-dd HH:mm:ss') for a time, CAST(a AS STRING) for a number",
    ),
    (
        &["STR_TO_DATE", "PARSE_DATE", "STRPTIME", "PARSE_TIMESTAMP", "TO_TIMESTAMP_NTZ"],
        "Write TO_TIMESTAMP(text, 'yyyy-MM-dd HH:mm:ss') or TO_DATE(text, 'yyyy-MM-dd')",
    ),
    (&["DATE"], "Write CAST(a AS DATE), or DATE '2024-01-31' for a constant"),
    (&["TIMESTAMP", "DATETIME"], "Write CAST(a AS TIMESTAMP(3)), or TIMESTAMP '2024-01-31 12:00:00' for a constant"),
    (
        &["GETDATE", "SYSDATE", "SYSTIMESTAMP", "SYSDATETIME", "CURRENT_DATETIME"],
        "Write CURRENT_TIMESTAMP, or LOCALTIMESTAMP for a time without zone",
    ),
    (&["GETUTCDATE", "UTC_TIMESTAMP"], "Write CURRENT_TIMESTAMP, which is a moment in every zone"),
    (&["CURDATE", "TODAY", "UTC_DATE"], "Write CURRENT_DATE"),
    (&["CURTIME"], "Write CURRENT_TIME"),
    (&["DATE_PART", "DATEPART"], "Write EXTRACT(YEAR FROM ts), with any other unit in place of YEAR"),
    (&["DAY"], "Write DAYOFMONTH(ts)"),
    (&["WEEKDAY", "DAY_OF_WEEK"], "Write DAYOFWEEK(ts), where Sunday is 1"),
    (&["DAYNAME"], "Write DATE_FORMAT(ts, 'EEEE')"),
    (&["MONTHNAME"], "Write DATE_FORMAT(ts, 'MMMM')"),
    (&["TO_UNIXTIME", "UNIX_SECONDS", "EPOCH"], "Write EXTRACT(EPOCH FROM ts)"),
    (
        &["UNIX_MILLIS", "TO_UNIX_TIMESTAMP_MILLIS"],
        "Write TIMESTAMPDIFF(SECOND, TIMESTAMP '1970-01-01 00:00:00', ts) * 1000",
    ),
    (
        &["FROM_UNIXTIME_MILLIS", "TIMESTAMP_MILLIS", "TIMESTAMP_SECONDS"],
        "Write TO_TIMESTAMP_LTZ(n, 3), or 0 for seconds",
    ),
    // Texts.
    (&["LEN", "DATALENGTH"], "Write CHAR_LENGTH(text)"),
    (&["STRPOS", "CHARINDEX"], "Write POSITION(part IN text), LOCATE(part, text) or INSTR(text, part)"),
    (&["CONTAINS", "STR_CONTAINS"], "Write POSITION(part IN text) > 0, or text LIKE '%part%'"),
    (&["STARTS_WITH"], "Write STARTSWITH(text, part)"),
    (&["ENDS_WITH"], "Write ENDSWITH(text, part)"),
    (&["SUBSTRING_INDEX", "SPLIT_PART"], "Write SPLIT_INDEX(text, '.', 0): the first part has the number 0"),
    (&["STRING_SPLIT"], "Write SPLIT(text, ',')"),
    (&["MID"], "Write SUBSTRING(text, start, length)"),
    (&["STUFF"], "Write OVERLAY(text PLACING other FROM start FOR length)"),
    (&["REPLICATE"], "Write REPEAT(text, n)"),
    (&["SPACE"], "Write REPEAT(' ', n)"),
    (&["FORMAT", "SPRINTF"], "Write PRINTF('%s', a)"),
    (&["REGEXP_LIKE", "REGEXP_MATCHES", "REGEXP_CONTAINS"], "Write REGEXP(text, 'pattern')"),
    (&["TO_NUMBER", "TO_DECIMAL"], "Write CAST(text AS DECIMAL(18, 2)), or TRY_CAST for NULL where it is no number"),
    (&["TRY_TO_NUMBER", "TRY_CONVERT", "TRY_TO_DATE"], "Write TRY_CAST(a AS type)"),
    (&["NEWID", "GEN_RANDOM_UUID", "GENERATE_UUID"], "Write UUID()"),
    // Numbers.
    (&["RANDOM"], "Write RAND()"),
    (&["TRUNC"], "Write TRUNCATE(number, digits), or FLOOR(ts TO DAY) for a time"),
    (&["DIV"], "Write a / b, which cuts off the rest of whole numbers"),
    // Collections and JSON.
    (&["ARRAY_LENGTH", "ARRAY_SIZE", "SIZE"], "Write CARDINALITY(a)"),
    (&["MAP_CONTAINS_KEY"], "Write ARRAY_CONTAINS(MAP_KEYS(m), key)"),
    (&["EXPLODE", "FLATTEN"], "Write FROM t CROSS JOIN UNNEST(t.a) AS u (element)"),
    (
        &["JSON_EXTRACT", "GET_JSON_OBJECT", "JSON_EXTRACT_SCALAR", "JSON_EXTRACT_STRING"],
        "Write JSON_VALUE(text, '$.path'), or JSON_QUERY for an object or an array",
    ),
    // Rows.
    (&["TOP", "ROWNUM"], "Write LIMIT 10 behind the query, or number the rows by ROW_NUMBER() OVER (ORDER BY ..)"),
];

#[cfg(test)]
mod tests {
    use flott_function::{AggregateKind, scalar};

    use super::*;

    fn is_known(name: &str) -> bool {
        const GRAMMAR: [&str; 10] = [
            "CAST",
            "TRY_CAST",
            "UNNEST",
            "TUMBLE",
            "TABLE",
            "DESCRIPTOR",
            "DECIMAL",
            "TIMESTAMP",
            "ROW_NUMBER",
            "ARRAY_AGG",
        ];
        GRAMMAR.contains(&name) || scalar::exists(name) || AggregateKind::from_name(name).is_some()
    }

    #[test]
    fn the_names_are_of_no_function_here_and_stand_once() {
        let names: Vec<&str> = INSTEAD.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        for (i, name) in names.iter().enumerate() {
            assert!(!scalar::exists(name) && AggregateKind::from_name(name).is_none(), "{name} is a function");
            assert!(!names[..i].contains(name), "{name} stands there twice");
        }
    }

    #[test]
    fn the_hints_name_functions_that_there_are() {
        for (names, hint) in INSTEAD {
            for (at, _) in hint.match_indices('(') {
                let before = &hint[..at];
                let start = before.rfind(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
                let called = &before[start.map_or(0, |s| s + 1)..];
                assert!(called.is_empty() || is_known(called), "{names:?}: {called} is unknown");
            }
        }
    }

    #[test]
    fn words_have_an_answer() {
        assert!(instead_of_word("sysdate").is_some_and(|h| h.contains("CURRENT_TIMESTAMP")));
        assert!(instead_of_word("now").is_some_and(|h| h.contains("NOW()")));
        assert_eq!(instead_of_word("NVL"), None);
    }
}
