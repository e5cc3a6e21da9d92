//! Which functions and operators a statement uses, by their forms in `flink-2.3.0.tsv`.

use std::collections::BTreeSet;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// In upper case.
    Word(String),
    Sign(String),
    /// A text, a number or a quoted name.
    Value,
}

/// Signs of several characters, the longer ones first.
const SIGNS: [&str; 6] = ["<>", "<=", ">=", "||", "=>", "!="];
/// What NOT belongs to where one of these follows.
const NEGATED: [&str; 4] = ["BETWEEN", "IN", "LIKE", "SIMILAR"];
/// Words behind which a sign stands before a value, not between two.
const BEFORE_A_VALUE: [&str; 16] = [
    "SELECT", "AND", "OR", "NOT", "WHEN", "THEN", "ELSE", "CASE", "WHERE", "ON", "BY", "HAVING", "IN", "BETWEEN",
    "FROM", "INTERVAL",
];

fn tokens(sql: &str) -> Vec<Token> {
    let (mut out, mut rest) = (vec![], sql);
    while let Some(first) = rest.chars().next() {
        let quoted = |quote: char| rest[1..].find(quote).map_or(rest.len(), |end| end + 2);
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            '\'' | '`' => quoted(first),
            c if is_part(c) => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            c => SIGNS.iter().find(|s| rest.starts_with(**s)).map_or(c.len_utf8(), |s| s.len()),
        };
        let text = &rest[..length];
        match first {
            c if c.is_whitespace() => {}
            '\'' | '`' | '0'..='9' => out.push(Token::Value),
            c if is_part(c) => out.push(Token::Word(text.to_uppercase())),
            _ => out.push(Token::Sign(text.to_string())),
        }
        rest = &rest[length..];
    }
    out
}

/// The forms that a statement uses: names of calls, words such as `IS NOT TRUE`, signs such as `<=` and `- (prefix)`.
pub(super) fn used(sql: &str) -> BTreeSet<String> {
    let tokens = tokens(sql);
    let word = |i: usize| match tokens.get(i) {
        Some(Token::Word(w)) => w.as_str(),
        _ => "",
    };
    let sign = |i: usize| match tokens.get(i) {
        Some(Token::Sign(s)) => s.as_str(),
        _ => "",
    };
    let (mut found, mut in_type, mut between) = (BTreeSet::new(), 0usize, 0usize);
    let mut add = |form: &str| found.insert(form.to_string());
    for i in 0..tokens.len() {
        let before = i.checked_sub(1);
        let word_before = before.map_or("", word);
        let ends_a_value = match before.map(|b| &tokens[b]) {
            Some(Token::Value) => true,
            Some(Token::Word(w)) => !BEFORE_A_VALUE.contains(&w.as_str()),
            Some(Token::Sign(s)) => matches!(s.as_str(), ")" | "]"),
            None => false,
        };
        match &tokens[i] {
            Token::Value => {}
            Token::Word(w) => match w.as_str() {
                "AND" if between > 0 => between -= 1,
                "BETWEEN" => {
                    between += 1;
                    add(if word_before == "NOT" { "NOT BETWEEN" } else { "BETWEEN" });
                }
                "NOT" if word_before == "IS" || NEGATED.contains(&word(i + 1)) || word(i + 1) == "NULL" => {}
                "IS" => {
                    let words: Vec<&str> = (i..i + 3).map(word).collect();
                    add(&if words[1] == "NOT" { words.join(" ") } else { words[..2].join(" ") });
                    if words.contains(&"JSON") {
                        add("IS JSON");
                    }
                }
                "SIMILAR" => _ = add("SIMILAR TO"),
                "ARRAY" | "MAP" if sign(i + 1) == "[" => _ = add(&format!("{w}[..]")),
                "ROW" if sign(i + 1) == "(" => _ = add("ROW(..)"),
                "IN" if sign(i + 1) != "(" => {}
                _ => _ = add(w),
            },
            Token::Sign(s) => match s.as_str() {
                "<" if matches!(word_before, "ARRAY" | "MAP" | "ROW" | "MULTISET") => in_type += 1,
                ">" if in_type > 0 => in_type -= 1,
                "-" if !ends_a_value => _ = add("- (prefix)"),
                "*" if !ends_a_value => {}
                sign => _ = add(sign),
            },
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_statement() {
        for (sql, forms, others) in [
            ("SELECT a - 1, -b", vec!["-", "- (prefix)"], vec!["*", "+"]),
            ("SELECT COUNT(*), * FROM t", vec!["COUNT"], vec!["*"]),
            ("SELECT a * 2 WHERE a <= 3 AND b = 'x < y AND z'", vec!["*", "<=", "AND", "="], vec!["<"]),
            ("SELECT a NOT BETWEEN 1 AND 2", vec!["NOT BETWEEN"], vec!["BETWEEN", "AND", "NOT"]),
            ("SELECT a BETWEEN 1 AND 2 AND NOT b", vec!["BETWEEN", "AND", "NOT"], vec!["NOT BETWEEN"]),
            ("SELECT a IS NOT TRUE, b IS NULL", vec!["IS NOT TRUE", "IS NULL"], vec!["NOT", "IS TRUE"]),
            ("SELECT a IS NOT JSON", vec!["IS JSON"], vec!["NOT"]),
            ("SELECT CAST(NULL AS ARRAY<INT>) > b", vec![">"], vec!["<", "ARRAY[..]"]),
            ("SELECT ARRAY[1], MAP['a', 1], ROW(1)", vec!["ARRAY[..]", "MAP[..]", "ROW(..)"], vec!["ARRAY"]),
            ("SELECT POSITION('a' IN b)", vec!["POSITION"], vec!["IN"]),
            ("SELECT a NOT IN (1), f(x => 1), CURRENT_DATE", vec!["IN", "CURRENT_DATE"], vec!["NOT", "=", ">"]),
            ("SELECT a NOT LIKE 'b', c SIMILAR TO 'd'", vec!["LIKE", "SIMILAR TO"], vec!["NOT"]),
            ("SELECT 'it''s', `a b` <> 1", vec!["<>"], vec!["S"]),
        ] {
            let found = used(sql);
            for form in forms {
                assert!(found.contains(form), "{sql}: no {form}");
            }
            for form in others {
                assert!(!found.contains(form), "{sql}: {form}");
            }
        }
    }
}
