//! `TABLE t` as a query, which is `SELECT * FROM t`: the query parser reads no name of three parts there, and more than the
//! name.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// The same tokens, with every `TABLE t` that is a query as `SELECT * FROM t`.
pub(crate) fn arrange(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !(0..tokens.len()).any(|i| is_query(&tokens, i)) {
        return tokens;
    }
    let mut out = Vec::with_capacity(tokens.len() + 4);
    for (i, t) in tokens.iter().enumerate() {
        if is_query(&tokens, i) {
            let at = |token: Token| TokenWithSpan { token, span: t.span };
            out.extend([at(Token::make_keyword("SELECT")), at(Token::Mul), at(Token::make_keyword("FROM"))]);
        } else {
            out.push(t.clone());
        }
    }
    out
}

fn keyword(t: &TokenWithSpan) -> Option<Keyword> {
    match &t.token {
        Token::Word(w) if w.quote_style.is_none() => Some(w.keyword),
        _ => None,
    }
}

/// Whether the word is TABLE, a name follows it, and a query may begin here.
fn is_query(tokens: &[TokenWithSpan], i: usize) -> bool {
    if keyword(&tokens[i]) != Some(Keyword::TABLE) || !matches!(tokens.get(i + 1), Some(t) if is_name(t)) {
        return false;
    }
    let before = tokens[..i].iter().rev().find(|t| !matches!(t.token, Token::LParen));
    let brackets = i > 0 && tokens[i - 1].token == Token::LParen;
    let Some(before) = before else { return true };
    match keyword(before) {
        Some(Keyword::AS | Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::ALL | Keyword::EXPLAIN) => {
            true
        }
        Some(Keyword::FROM | Keyword::IN | Keyword::EXISTS) => brackets,
        // `INSERT INTO [TABLE] t [(columns)] TABLE u`
        _ if brackets => false,
        Some(Keyword::INTO | Keyword::OVERWRITE) => false,
        _ => keyword(&tokens[0]) == Some(Keyword::INSERT) && !tokens[..i].iter().any(is_select),
    }
}

fn is_name(t: &TokenWithSpan) -> bool {
    matches!(t.token, Token::Word(_))
}

fn is_select(t: &TokenWithSpan) -> bool {
    matches!(keyword(t), Some(Keyword::SELECT | Keyword::VALUES))
}

#[cfg(test)]
mod tests {
    use crate::parser::parse_script;

    #[test]
    fn a_table_is_a_query() {
        for sql in [
            "TABLE t",
            "TABLE a.b.c",
            "TABLE t UNION ALL TABLE u",
            "INSERT INTO s TABLE t",
            "INSERT INTO s (a, b) TABLE t",
            "INSERT INTO TABLE s TABLE t",
            "SELECT * FROM (TABLE t)",
            "CREATE VIEW v AS TABLE t",
            "EXPLAIN TABLE t",
            "(TABLE t)",
        ] {
            parse_script(sql).expect(sql);
        }
        for sql in ["DROP TABLE t", "SELECT * FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))"] {
            let statement = format!("{:?}", parse_script(sql).expect(sql)[0].statement);
            assert!(!sql.starts_with("DROP") || statement.contains("Drop"), "{statement}");
        }
    }
}
