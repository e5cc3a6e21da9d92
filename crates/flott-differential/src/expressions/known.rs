//! Differences that are decided, from the lists in `known.txt` and `known_queries.txt`: each names its row of
//! `docs/deviations.md`.

use regex::Regex;

const LIST: &str = include_str!("known.txt");
const OF_QUERIES: &str = include_str!("known_queries.txt");

/// The subject of differences of IN that casts of its values explain, which are asked for instead of listed.
pub(super) const CAST_OF_IN: &str = "values of IN that have another type than what is looked for";

/// The kinds of differences. `nullable` is a type that differs in NOT NULL alone, which Flink says and Flott does not.
const KINDS: [&str; 5] = ["type", "nullable", "value", "Flott refuses", "Flink refuses"];

struct Line {
    kind: &'static str,
    /// What the expression, Flott's answer and Flink's answer hold.
    parts: [Regex; 3],
    subject: &'static str,
}

/// The list.
pub(crate) struct Known(Vec<Line>);

impl Known {
    /// Of expressions.
    pub(crate) fn read() -> Result<Known, String> {
        Known::of(LIST)
    }

    /// Of queries, whose difference is one text for both answers.
    pub(crate) fn of_queries() -> Result<Known, String> {
        Known::of(OF_QUERIES)
    }

    fn of(list: &'static str) -> Result<Known, String> {
        let lines = list.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
        let line = |text: &'static str| -> Result<Line, String> {
            let [kind, sql, flott, flink, subject] = text.split(" ;; ").collect::<Vec<_>>()[..] else {
                return Err(format!("not five parts: {text}"));
            };
            if !KINDS.contains(&kind) {
                return Err(format!("'{kind}' is no kind of difference"));
            }
            let regex = |text: &str| Regex::new(&format!("(?s){text}")).map_err(|e| e.to_string());
            Ok(Line { kind, parts: [regex(sql)?, regex(flott)?, regex(flink)?], subject })
        };
        lines.map(line).collect::<Result<_, _>>().map(Known)
    }

    /// The subject of the row that explains this difference: `texts` are the expression and what both engines say.
    pub(crate) fn reason(&self, kind: &str, texts: [&str; 3]) -> Option<&'static str> {
        let fits = |line: &&Line| line.kind == kind && line.parts.iter().zip(texts).all(|(part, t)| part.is_match(t));
        self.0.iter().find(fits).map(|line| line.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_names_a_row_of_the_page() {
        let page = include_str!("../../../../docs/deviations.md");
        assert!(page.contains(&format!("\n| {CAST_OF_IN} |")));
        let all = [Known::read(), Known::of_queries()].map(|list| list.expect("a list").0);
        for line in all.into_iter().flatten() {
            assert!(page.contains(&format!("\n| {} |", line.subject)), "no row: {}", line.subject);
            let open: Vec<bool> = line.parts.iter().map(|p| p.as_str() == "(?s).*").collect();
            assert!(open != [true; 3], "explains every difference of its kind: {}", line.subject);
            let of_one_answer = line.kind.ends_with("refuses") && open[0];
            assert!(!of_one_answer, "explains a refusal of any expression: {}", line.subject);
        }
    }

    #[test]
    fn a_difference_is_explained_by_its_kind_and_all_texts() {
        let known = Known::read().expect("the list");
        assert!(known.reason("nullable", ["LPAD('a', 2, 'b')", "STRING", "STRING NOT NULL"]).is_some());
        assert!(known.reason("value", ["LPAD('a', 2, 'b')", "ba", "ab"]).is_none());
        assert!(known.reason("type", ["LOWER('A')", "STRING", "CHAR(1)"]).is_none());
        assert!(known.reason("type", ["CAST(1 AS DECIMAL(38, 2))", "DECIMAL(38, 2)", "DECIMAL(37, 2)"]).is_none());
        assert!(known.reason("type", ["CAST(1 AS FLOAT)", "DOUBLE", "INT"]).is_none());
        assert!(known.reason("value", ["i IN (1, 2)", "BOOLEAN", "TRUE"]).is_none());
        let null = "java.lang.NullPointerException";
        assert!(known.reason("Flink refuses", ["GREATEST(1.5, 1.5E0, 0)", "DOUBLE", null]).is_some());
        assert!(known.reason("Flink refuses", ["UPPER('a')", "STRING", null]).is_none());
        let code = "org.apache.flink.table.planner.codegen.CodeGenException: Unsupported call: UPPER(INT)";
        assert!(known.reason("Flink refuses", ["UPPER('a')", "STRING", code]).is_none());
    }
}
