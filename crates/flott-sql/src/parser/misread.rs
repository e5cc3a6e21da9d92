//! Where the parser reads something else than what was meant: words of clauses taken for names, clauses out of order,
//! forms of other places. Without this the error would be about a later token, or about a column called FROM.

use flott_core::{Error, Result};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::diagnose::{error_at_index, found, is_word, open_brackets};

/// The order in which a query's clauses stand.
const CLAUSES: &str = "SELECT, FROM, WHERE, GROUP BY, HAVING, WINDOW, ORDER BY, LIMIT, OFFSET";

/// Refuses clauses where a table or an operand has to stand: the parser would read their first word as its name.
pub(super) fn check_clauses(tokens: &[TokenWithSpan]) -> Result<()> {
    if is_word(tokens, 0, Keyword::SET) {
        return Ok(());
    }
    for index in 0..tokens.len() {
        let next = index + 1;
        let keyword = |k: Keyword| is_word(tokens, index, k);
        if (keyword(Keyword::FROM) || keyword(Keyword::JOIN)) && starts_clause(tokens, next) && !is_name(tokens, index)
        {
            let clause = found(tokens, index);
            let message = format!("expected a table but found {}", found(tokens, next));
            return Err(error_at_index(message, tokens, next).hint(format!("Name the table behind {clause}")));
        }
        let ends = starts_clause(tokens, next) || is_word(tokens, next, Keyword::FROM);
        let of_conditions = [Keyword::AND, Keyword::OR, Keyword::NOT].into_iter().any(keyword);
        let is_end =
            matches!(tokens.get(next).map(|t| &t.token), None | Some(Token::RParen | Token::SemiColon | Token::EOF));
        if (ends && (of_conditions || is_operator(tokens, index)))
            || (is_end && of_conditions && !is_name(tokens, index))
        {
            let message = format!("expected an expression but found {}", found(tokens, next));
            let operator = found(tokens, index);
            return Err(error_at_index(message, tokens, next).hint(format!("Nothing stands behind {operator}")));
        }
    }
    Ok(())
}

/// WHERE and the like, which no table is called without backticks.
fn starts_clause(tokens: &[TokenWithSpan], index: usize) -> bool {
    let is = |k| is_word(tokens, index, k);
    let by = is_word(tokens, index + 1, Keyword::BY);
    is(Keyword::WHERE) || is(Keyword::HAVING) || ((is(Keyword::GROUP) || is(Keyword::ORDER)) && by)
}

/// Behind a period or AS every word is a name.
fn is_name(tokens: &[TokenWithSpan], index: usize) -> bool {
    let before = index.checked_sub(1).map(|i| &tokens[i].token);
    matches!(before, Some(Token::Period)) || (index > 0 && is_word(tokens, index - 1, Keyword::AS))
}

/// An operator between two operands.
fn is_operator(tokens: &[TokenWithSpan], index: usize) -> bool {
    match &tokens[index].token {
        Token::Plus | Token::Minus | Token::Div | Token::Eq | Token::Neq | Token::Lt | Token::Gt => true,
        Token::LtEq | Token::GtEq | Token::StringConcat => true,
        // `SELECT * FROM t` and `t.* FROM t` stand for columns.
        Token::Mul => match index.checked_sub(1).map(|i| &tokens[i].token) {
            Some(Token::Word(w)) => w.quote_style.is_some() || w.keyword == Keyword::NoKeyword,
            Some(Token::Number(..) | Token::RParen | Token::SingleQuotedString(_)) => true,
            _ => false,
        },
        _ => false,
    }
}

/// The error that says what was meant, in place of the parser's.
pub(super) fn instead(message: &str, tokens: &[TokenWithSpan], index: usize) -> Option<Error> {
    version_of_sub_query(message, tokens, index).or_else(|| join_without_join(message, tokens))
}

/// `(SELECT ..) FOR SYSTEM_TIME AS OF ..`, `t AS x FOR SYSTEM_TIME AS OF ..`
fn version_of_sub_query(message: &str, tokens: &[TokenWithSpan], index: usize) -> Option<Error> {
    let is_version = matches!(&tokens.get(index)?.token, Token::Word(w) if w.value.eq_ignore_ascii_case("SYSTEM_TIME"));
    let at = index.checked_sub(1)?;
    if !is_version || !message.contains("SYSTEM_TIME") || !is_word(tokens, at, Keyword::FOR) {
        return None;
    }
    if !is_word(tokens, index + 1, Keyword::AS) || !is_word(tokens, index + 2, Keyword::OF) {
        let wrong = if is_word(tokens, index + 1, Keyword::AS) { index + 2 } else { index + 1 };
        let message = format!("expected AS OF behind FOR SYSTEM_TIME but found {}", found(tokens, wrong));
        let hint = "Write JOIN t FOR SYSTEM_TIME AS OF o.time AS x ON ..";
        return Some(error_at_index(message, tokens, wrong).hint(hint));
    }
    let behind = at.checked_sub(1).map(|i| &tokens[i].token);
    let (message, hint) = match behind {
        Some(Token::RParen) => (
            "FOR SYSTEM_TIME AS OF cannot stand behind a sub-query",
            "It stands behind the name of a table or view: CREATE VIEW v AS the sub-query, and write v FOR SYSTEM_TIME AS OF ..",
        ),
        _ => (
            "FOR SYSTEM_TIME AS OF cannot stand here",
            "It stands directly behind a table's name, before its alias: JOIN t FOR SYSTEM_TIME AS OF o.time AS x ON ..",
        ),
    };
    Some(error_at_index(message.to_string(), tokens, at).hint(hint))
}

/// `FROM t LEFT u ON ..`: the parser gives no place.
fn join_without_join(message: &str, tokens: &[TokenWithSpan]) -> Option<Error> {
    if !message.starts_with("expected OUTER, SEMI") {
        return None;
    }
    let kinds = [Keyword::LEFT, Keyword::RIGHT, Keyword::FULL];
    let follow = [Keyword::OUTER, Keyword::SEMI, Keyword::ANTI, Keyword::JOIN];
    let is_wrong = |i: &usize| {
        kinds.iter().any(|k| is_word(tokens, *i, *k))
            && !follow.iter().any(|k| is_word(tokens, i + 1, *k))
            && tokens.get(i + 1).is_none_or(|t| t.token != Token::LParen)
    };
    let at = (0..tokens.len()).find(is_wrong)?;
    let (kind, next) = (found(tokens, at), found(tokens, at + 1));
    let error = error_at_index(format!("expected JOIN but found {next}"), tokens, at + 1);
    Some(error.hint(format!("Write {kind} JOIN")))
}

/// What columns have elsewhere.
pub(super) fn of_other_systems(message: &str, here: Option<&Token>) -> Option<String> {
    const WORDS: [&str; 6] = ["DEFAULT", "AUTO_INCREMENT", "IDENTITY", "CHECK", "REFERENCES", "GENERATED"];
    let Some(Token::Word(w)) = here else { return None };
    let word =
        WORDS.iter().find(|word| w.value.eq_ignore_ascii_case(word) && message.starts_with("expected , or )"))?;
    Some(format!("Columns of Flink SQL have no {word}: leave it out"))
}

/// What to write, where the message and the tokens around it tell.
pub(super) fn advice(message: &str, tokens: &[TokenWithSpan], index: usize) -> Option<String> {
    let before = index.checked_sub(1);
    let is = |i: Option<usize>, keyword| i.is_some_and(|i| is_word(tokens, i, keyword));
    let here = tokens.get(index).map(|t| &t.token);
    let inside = |keyword: Keyword| {
        let open = open_brackets(tokens, index).last().copied()?.checked_sub(1)?;
        is_word(tokens, open, keyword).then_some(())
    };
    let begins = |words: &[&str]| {
        words.iter().enumerate().all(|(i, word)| {
            matches!(tokens.get(i).map(|t| &t.token), Some(Token::Word(w)) if w.value.eq_ignore_ascii_case(word))
        })
    };
    let text = if message.starts_with("expected INTO but found ") {
        return Some(format!("Write INSERT INTO {}", found(tokens, index)));
    } else if message.starts_with("expected ( but found") && is(before, Keyword::IN) {
        "Write the list in brackets: IN (1, 2)"
    } else if message.starts_with("expected ( but found") && is(before, Keyword::AS) && begins(&["WITH"]) {
        "Write the query in brackets: WITH name AS (SELECT ..)"
    } else if message.starts_with("expected AS but found") && begins(&["WITH"]) {
        "Write WITH name AS (SELECT ..)"
    } else if message.starts_with("expected AS but found") && begins(&["CREATE"]) && !begins(&["CREATE", "TABLE"]) {
        "Write CREATE VIEW name AS SELECT .."
    } else if message.starts_with("expected AS but found") && inside(Keyword::CAST).is_some() {
        "Write CAST(value AS TYPE)"
    } else if message.starts_with("expected ( but found") && is(before, Keyword::BY) && begins(&["CREATE"]) {
        "Write the columns in brackets"
    } else if message.starts_with("expected AND but found") {
        "Write BETWEEN lower AND upper"
    } else if message.starts_with("expected WHEN but found THEN") {
        "Write CASE WHEN condition THEN value .. END, or CASE value WHEN other THEN value .. END"
    } else if message.starts_with("expected END but found") {
        "CASE ends with END"
    } else if message.starts_with("expected BEGIN but found") || message.starts_with("expected STATEMENT SET but found")
    {
        "Write EXECUTE STATEMENT SET BEGIN INSERT ..; INSERT ..; END;"
    } else if message.starts_with("expected INSERT or the END of the statement set") {
        "A statement set ends with END;"
    } else if message.starts_with("expected a string in single quotes but found") {
        let Some(Token::Word(w)) = here else { return None };
        return Some(format!("Write '{}'", w.value));
    } else if message.starts_with("expected = but found") && begins(&["SET"]) {
        "Write SET 'key' = 'value'"
    } else if message.starts_with("expected = but found") && matches!(here, Some(Token::SingleQuotedString(_))) {
        "Write 'key' = 'value'"
    } else if message.starts_with("unexpected '=>'") {
        "Write >= for greater than or equal"
    } else if message == "expected an expression but found <" && before.is_some_and(|i| tokens[i].token == Token::Eq) {
        "Write <= for less than or equal"
    } else if message.starts_with("expected an expression")
        && [Keyword::DISTINCT, Keyword::ALL].into_iter().any(|k| is(before, k))
        && is(index.checked_sub(2), Keyword::SELECT)
    {
        "Name the columns, or write * for all of them"
    } else if message.starts_with("unexpected") {
        return clause_out_of_order(tokens, index);
    } else {
        return None;
    };
    Some(text.to_string())
}

fn clause_out_of_order(tokens: &[TokenWithSpan], index: usize) -> Option<String> {
    let clauses = [
        Keyword::FROM,
        Keyword::WHERE,
        Keyword::GROUP,
        Keyword::HAVING,
        Keyword::ORDER,
        Keyword::LIMIT,
        Keyword::OFFSET,
    ];
    let clause = clauses.into_iter().find(|k| is_word(tokens, index, *k))?;
    let depth = open_brackets(tokens, index).len();
    let same = |i: &usize| is_word(tokens, *i, clause) && open_brackets(tokens, *i).len() == depth;
    let twice = (0..index).any(|i| same(&i));
    Some(match clause {
        Keyword::WHERE | Keyword::HAVING if twice => {
            format!("A query has one {}: join its conditions with AND", found(tokens, index))
        }
        Keyword::FROM if twice => "A query has one FROM: name more tables behind a comma or JOIN".to_string(),
        _ => format!("The clauses of a query stand in this order: {CLAUSES}"),
    })
}
