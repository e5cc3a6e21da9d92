//! Which statement it is, and the statements that are neither DDL nor SHOW.

use flott_core::error::Position;
use flott_core::{Error, Result};
use sqlparser::ast::{Expr, Ident, Query};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::ast::*;
use super::hints::HINT_PREFIX;
use super::limits::{Beyond, settle_expr, settle_query};
use super::script::{expect_end, from_parser, nearest_start};
use super::source::SourceText;

/// Parses one statement from its tokens.
pub(crate) struct StatementParser<'a> {
    pub(crate) p: Parser<'a>,
    /// The whole script, to cut texts out of.
    source: &'a SourceText<'a>,
    /// The most expressions.
    nodes: usize,
}

/// What is inside the parser fails with sqlparser's errors, which carry positions in their text.
pub(crate) type Parsed<T> = Result<T, ParserError>;

impl<'a> StatementParser<'a> {
    /// Over these tokens of this script.
    pub(crate) fn new(p: Parser<'a>, source: &'a SourceText<'a>, nodes: usize) -> StatementParser<'a> {
        StatementParser { p, source, nodes }
    }

    /// The statement; nothing may follow.
    pub(crate) fn parse(&mut self) -> Result<Statement> {
        let statement = self.statement()?;
        expect_end(&self.p)?;
        Ok(statement)
    }

    /// A query, made shallow.
    pub(crate) fn query(&mut self) -> Parsed<Box<Query>> {
        let first = self.p.peek_token();
        let mut query = self.p.parse_query()?;
        settle_query(&mut query, self.nodes).map_err(|beyond| beyond_at(beyond, &first))?;
        Ok(query)
    }

    /// An expression, made shallow.
    pub(crate) fn expr(&mut self) -> Parsed<Expr> {
        let first = self.p.peek_token();
        let mut expr = self.p.parse_expr()?;
        settle_expr(&mut expr, self.nodes).map_err(|beyond| beyond_at(beyond, &first))?;
        Ok(expr)
    }

    /// True, and past it, where these words (any case, unquoted) come next.
    pub(crate) fn words(&mut self, words: &[&str]) -> bool {
        for (i, word) in words.iter().enumerate() {
            match self.p.peek_nth_token(i).token {
                Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word) => {}
                _ => return false,
            }
        }
        for _ in words {
            self.p.next_token();
        }
        true
    }

    pub(crate) fn expect_words(&mut self, words: &[&str]) -> Parsed<()> {
        if self.words(words) {
            return Ok(());
        }
        // The first word that is another one.
        let mut rest = words;
        while let [word, after @ ..] = rest
            && self.words(&[word])
        {
            rest = after;
        }
        self.p.expected(&rest.join(" "), self.p.peek_token())
    }

    pub(crate) fn name(&mut self) -> Parsed<Name> {
        let mut parts = vec![self.p.parse_identifier()?];
        while parts.len() < 3 && self.p.consume_token(&Token::Period) {
            parts.push(self.p.parse_identifier()?);
        }
        Ok(Name { parts })
    }

    /// A string in quotes; the parser would take a bare word too, which Flink does not.
    pub(crate) fn literal(&mut self) -> Parsed<String> {
        let next = self.p.peek_token();
        if matches!(next.token, Token::Word(_)) {
            return self.p.expected("a string in single quotes", next);
        }
        self.p.parse_literal_string()
    }

    pub(crate) fn comment(&mut self) -> Parsed<Option<String>> {
        if self.words(&["COMMENT"]) { Ok(Some(self.literal()?)) } else { Ok(None) }
    }

    /// `('k' = 'v', ..)`, the opening bracket first.
    pub(crate) fn option_list(&mut self) -> Parsed<OptionList> {
        self.placed_options().map(|(options, _)| options)
    }

    /// The same, and where each of them stands.
    pub(crate) fn placed_options(&mut self) -> Parsed<(OptionList, Vec<Position>)> {
        self.p.expect_token(&Token::LParen)?;
        let mut options: OptionList = vec![];
        let mut places = vec![];
        while !self.p.consume_token(&Token::RParen) {
            if !options.is_empty() && !self.p.consume_token(&Token::Comma) {
                return self.p.expected(", or )", self.p.peek_token());
            }
            let at = self.p.peek_token();
            let key = self.literal()?;
            self.p.expect_token(&Token::Eq)?;
            let value = self.literal()?;
            if options.iter().any(|(k, _)| *k == key) {
                return Err(error_at(&format!("option '{key}' is given twice"), &at));
            }
            options.push((key, value));
            places.push(position(at.span.start));
        }
        Ok((options, places))
    }

    pub(crate) fn with_options(&mut self) -> Parsed<OptionList> {
        if self.words(&["WITH"]) { self.option_list() } else { Ok(vec![]) }
    }

    pub(crate) fn keys(&mut self) -> Parsed<Vec<String>> {
        self.p.expect_token(&Token::LParen)?;
        if self.p.consume_token(&Token::RParen) {
            return Ok(vec![]);
        }
        let keys = self.p.parse_comma_separated(Parser::parse_literal_string)?;
        self.p.expect_token(&Token::RParen)?;
        Ok(keys)
    }

    /// The text between two tokens of the script.
    pub(crate) fn text_from(&self, first: &TokenWithSpan) -> String {
        let mut i = self.p.index();
        let last = loop {
            i = i.saturating_sub(1);
            let t = self.p.token_at(i);
            if !matches!(t.token, Token::Whitespace(_)) || i == 0 {
                break t;
            }
        };
        self.source.cut(position(first.span.start), position(last.span.end)).to_string()
    }

    fn statement(&mut self) -> Result<Statement> {
        let first = self.p.peek_token();
        let at = position(first.span.start);
        let Token::Word(word) = &first.token else {
            if first.token == Token::LParen {
                return self.query().map(Statement::Query).map_err(from_parser);
            }
            return Err(Error::user(format!(
                "expected a statement but found '{}'",
                super::script::shown(&first.token)
            ))
            .at(at));
        };
        let keyword = if word.quote_style.is_some() { String::new() } else { word.value.to_ascii_uppercase() };
        let parsed = match keyword.as_str() {
            "SELECT" | "WITH" | "VALUES" | "TABLE" => self.query().map(Statement::Query),
            "INSERT" => self.insert().map(Statement::Insert),
            "EXECUTE" => self.execute(),
            "BEGIN" => self.begin_set(),
            "CREATE" => self.create(),
            "REPLACE" => self.replace_table(),
            "ALTER" => self.alter(),
            "DROP" => self.drop_object(),
            "USE" => self.use_object(),
            "SHOW" => self.show(),
            "DESCRIBE" | "DESC" => self.describe(),
            "EXPLAIN" => self.explain(),
            "SET" => self.set(),
            "RESET" => self.reset(),
            "STOP" => self.stop_job(),
            _ => {
                return match unsupported(&keyword) {
                    Some((what, hint)) => {
                        while self.p.next_token().token != Token::EOF {}
                        Ok(Statement::Unsupported { what: what.to_string(), hint: hint.to_string(), position: at })
                    }
                    None => {
                        let error = Error::user(format!("'{}' does not start a statement", first.token)).at(at);
                        Err(match (stray(&keyword), nearest_start(&word.value)) {
                            (Some(hint), _) => error.hint(hint),
                            (None, Some(near)) => error.hint(format!("Did you mean {near}?")),
                            (None, None) => error,
                        })
                    }
                };
            }
        };
        parsed.map_err(from_parser)
    }

    pub(crate) fn unsupported(&mut self, what: &str, hint: &str) -> Parsed<Statement> {
        let at = position(self.p.peek_token().span.start);
        while self.p.next_token().token != Token::EOF {}
        Ok(Statement::Unsupported { what: what.to_string(), hint: hint.to_string(), position: at })
    }

    fn insert(&mut self) -> Parsed<InsertStatement> {
        let at = position(self.p.peek_token().span.start);
        self.expect_words(&["INSERT"])?;
        let overwrite = self.words(&["OVERWRITE"]);
        if !overwrite {
            self.expect_words(&["INTO"])?;
        }
        self.words(&["TABLE"]);
        let table = self.name()?;
        let hints = self.hints()?;
        let partition = self.partition_spec()?;
        let mut columns = vec![];
        let is_list = self.p.peek_token().token == Token::LParen
            && !matches!(self.p.peek_nth_token(1).token, Token::LParen)
            && !matches!(self.p.peek_nth_token(1).token, Token::Word(w)
                if matches!(w.keyword, Keyword::SELECT | Keyword::VALUES | Keyword::WITH) && w.quote_style.is_none());
        if is_list {
            self.p.expect_token(&Token::LParen)?;
            loop {
                columns.push(self.name()?);
                if !self.p.consume_token(&Token::Comma) {
                    break;
                }
            }
            self.p.expect_token(&Token::RParen)?;
        }
        let query = self.query()?;
        let on_conflict = if self.words(&["ON", "CONFLICT", "DO"]) {
            Some(self.p.parse_identifier()?.value.to_ascii_uppercase())
        } else {
            None
        };
        Ok(InsertStatement { table, hints, partition, columns, overwrite, query, on_conflict, position: at })
    }

    /// `PARTITION (k = v, ..)`, where it is there.
    pub(crate) fn partition_spec(&mut self) -> Parsed<Vec<(Ident, Expr)>> {
        let mut partition = vec![];
        if !self.words(&["PARTITION"]) {
            return Ok(partition);
        }
        self.p.expect_token(&Token::LParen)?;
        loop {
            let key = self.p.parse_identifier()?;
            self.p.expect_token(&Token::Eq)?;
            partition.push((key, self.expr()?));
            if !self.p.consume_token(&Token::Comma) {
                break;
            }
        }
        self.p.expect_token(&Token::RParen)?;
        Ok(partition)
    }

    /// Hints behind a table's name, as the token pass left them.
    pub(crate) fn hints(&mut self) -> Parsed<Vec<Hint>> {
        let marked = matches!(self.p.peek_token().token, Token::Word(w) if w.keyword == Keyword::WITH)
            && matches!(self.p.peek_nth_token(2).token, Token::Word(w) if w.value.starts_with(HINT_PREFIX));
        if !marked {
            return Ok(vec![]);
        }
        self.p.next_token();
        self.p.expect_token(&Token::LParen)?;
        let mut hints = vec![];
        loop {
            let t = self.p.next_token();
            let Token::Word(w) = &t.token else { return self.p.expected("a hint", t) };
            let name = w.value.trim_start_matches(HINT_PREFIX).to_string();
            let options = self.option_list()?;
            hints.push(Hint { name, options, position: position(t.span.start) });
            if !self.p.consume_token(&Token::Comma) {
                break;
            }
        }
        self.p.expect_token(&Token::RParen)?;
        Ok(hints)
    }

    fn execute(&mut self) -> Parsed<Statement> {
        self.expect_words(&["EXECUTE"])?;
        if self.words(&["PLAN"]) {
            return self.unsupported("EXECUTE PLAN", "Run the SQL script itself: its state survives edits");
        }
        if self.words(&["STATEMENT"]) {
            self.expect_words(&["SET", "BEGIN"])?;
            return self.set_body(false);
        }
        match self.p.peek_token().token {
            Token::Word(w) if w.keyword == Keyword::INSERT => self.insert().map(Statement::Insert),
            Token::Word(w) if matches!(w.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES) => {
                self.query().map(Statement::Query)
            }
            _ => self.p.expected("STATEMENT SET BEGIN", self.p.peek_token()),
        }
    }

    /// `BEGIN STATEMENT SET; INSERT ..; END`
    fn begin_set(&mut self) -> Parsed<Statement> {
        self.expect_words(&["BEGIN", "STATEMENT", "SET"])?;
        self.p.expect_token(&Token::SemiColon)?;
        self.set_body(true)
    }

    fn set_body(&mut self, may_be_empty: bool) -> Parsed<Statement> {
        let mut inserts = vec![];
        loop {
            while self.p.consume_token(&Token::SemiColon) {}
            if self.words(&["END"]) {
                break;
            }
            let next = self.p.peek_token();
            if self.words(&["CREATE"]) {
                return Err(error_at(
                    "CREATE TABLE .. AS in a statement set is not supported. Create the table before it, and write INSERT",
                    &next,
                ));
            }
            if !matches!(&next.token, Token::Word(w) if w.keyword == Keyword::INSERT) {
                let expected = if inserts.is_empty() { "INSERT" } else { "INSERT or the END of the statement set" };
                return self.p.expected(expected, next);
            }
            inserts.push(self.insert()?);
        }
        if inserts.is_empty() && !may_be_empty {
            return self.p.expected("an INSERT statement in the set", self.p.peek_token());
        }
        Ok(Statement::StatementSet(inserts))
    }

    fn explain(&mut self) -> Parsed<Statement> {
        self.expect_words(&["EXPLAIN"])?;
        let mut details = vec![];
        if !self.words(&["PLAN", "FOR"]) {
            loop {
                let at = self.p.peek_token();
                let detail = if self.words(&["ESTIMATED_COST"]) {
                    ExplainDetail::EstimatedCost
                } else if self.words(&["CHANGELOG_MODE"]) {
                    ExplainDetail::ChangelogMode
                } else if self.words(&["PLAN_ADVICE"]) {
                    ExplainDetail::PlanAdvice
                } else if self.words(&["JSON_EXECUTION_PLAN"]) {
                    ExplainDetail::JsonExecutionPlan
                } else if self.words(&["WATERMARK"]) {
                    ExplainDetail::Watermark
                } else {
                    break;
                };
                if details.contains(&detail) {
                    return Err(error_at("Duplicate EXPLAIN DETAIL is not allowed.", &at));
                }
                details.push(detail);
                if !self.p.consume_token(&Token::Comma) {
                    break;
                }
            }
            if details.contains(&ExplainDetail::Watermark) && self.words(&["FOR"]) && self.words(&["JOB"]) {
                return Ok(Statement::ExplainJob { job: self.literal()? });
            }
        }
        let inner = if self.words(&["STATEMENT", "SET", "BEGIN"]) {
            self.set_body(false)?
        } else {
            match self.p.peek_token().token {
                Token::Word(w) if w.keyword == Keyword::INSERT => Statement::Insert(self.insert()?),
                Token::Word(w) if w.keyword == Keyword::EXECUTE => self.execute()?,
                Token::Word(w) if w.keyword == Keyword::CREATE => self.create()?,
                Token::Word(w) if w.keyword == Keyword::REPLACE => self.replace_table()?,
                Token::Word(w) if unsupported(&w.value.to_ascii_uppercase()).is_some() => {
                    let (what, hint) = unsupported(&w.value.to_ascii_uppercase()).unwrap_or_default();
                    return self.unsupported(what, hint);
                }
                Token::LParen => Statement::Query(self.query()?),
                Token::Word(w) if matches!(w.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES) => {
                    Statement::Query(self.query()?)
                }
                _ => {
                    let what = "a query, INSERT, EXECUTE, STATEMENT SET, CREATE TABLE AS, or a detail of the plan \
                                (CHANGELOG_MODE, ESTIMATED_COST, PLAN_ADVICE, JSON_EXECUTION_PLAN, WATERMARK)";
                    return self.p.expected(what, self.p.peek_token());
                }
            }
        };
        Ok(Statement::Explain { details, inner: Box::new(inner) })
    }

    /// `SET`, `SET 'k' = 'v'`, and the old form `SET k = v`.
    fn set(&mut self) -> Parsed<Statement> {
        self.expect_words(&["SET"])?;
        if self.p.peek_token().token == Token::EOF {
            return Ok(Statement::Set(None));
        }
        let key = self.key_text()?;
        self.p.expect_token(&Token::Eq)?;
        let value = match self.p.peek_token().token {
            Token::SingleQuotedString(_) => self.literal()?,
            _ => {
                let first = self.p.peek_token();
                while self.p.peek_token().token != Token::EOF {
                    self.p.next_token();
                }
                self.text_from(&first)
            }
        };
        Ok(Statement::Set(Some((key, value))))
    }

    fn key_text(&mut self) -> Parsed<String> {
        let first = self.p.peek_token();
        if let Token::SingleQuotedString(_) = first.token {
            return self.literal();
        }
        while !matches!(self.p.peek_token().token, Token::Eq | Token::EOF) {
            self.p.next_token();
        }
        let text: String = self.text_from(&first).split_whitespace().collect();
        if text.is_empty() { self.p.expected("a key in quotes", first) } else { Ok(text) }
    }

    fn reset(&mut self) -> Parsed<Statement> {
        self.expect_words(&["RESET"])?;
        if self.p.peek_token().token == Token::EOF {
            return Ok(Statement::Reset(None));
        }
        Ok(Statement::Reset(Some(self.key_text()?)))
    }

    /// `STOP JOB 'id' [WITH SAVEPOINT] [WITH DRAIN]`
    fn stop_job(&mut self) -> Parsed<Statement> {
        self.expect_words(&["STOP", "JOB"])?;
        let id = self.literal()?;
        let (mut savepoint, mut drain) = (false, false);
        while self.words(&["WITH"]) {
            let next = self.p.peek_token();
            if !savepoint && self.words(&["SAVEPOINT"]) {
                savepoint = true;
            } else if !drain && self.words(&["DRAIN"]) {
                drain = true;
            } else {
                return self.p.expected("SAVEPOINT or DRAIN after WITH", next);
            }
        }
        Ok(Statement::StopJob { id, savepoint, drain })
    }

    fn use_object(&mut self) -> Parsed<Statement> {
        self.expect_words(&["USE"])?;
        if self.words(&["CATALOG"]) {
            return Ok(Statement::UseCatalog(self.name()?));
        }
        if self.words(&["MODULES"]) {
            return self.unsupported("USE MODULES", "All built-in functions are always there");
        }
        Ok(Statement::Use(self.name()?))
    }

    fn describe(&mut self) -> Parsed<Statement> {
        if !self.words(&["DESCRIBE"]) {
            self.expect_words(&["DESC"])?;
        }
        let kind = if self.words(&["CATALOG"]) {
            ObjectKind::Catalog
        } else if self.words(&["DATABASE"]) {
            ObjectKind::Database
        } else if self.words(&["FUNCTION"]) {
            ObjectKind::Function
        } else if self.words(&["JOB"]) {
            return self.unsupported("DESCRIBE JOB", "A job's progress is shown where it was started");
        } else if self.words(&["MODEL"]) {
            return self.unsupported("DESCRIBE MODEL", "There are none to describe");
        } else if self.words(&["CONNECTION"]) {
            return self.unsupported("DESCRIBE CONNECTION", "There are none to describe");
        } else {
            self.words(&["TABLE"]);
            ObjectKind::Table
        };
        let extended = self.words(&["EXTENDED"]);
        Ok(Statement::Describe { kind, name: self.name()?, extended })
    }
}

/// What a word that never starts a statement does at the start of one.
fn stray(keyword: &str) -> Option<&'static str> {
    const CLAUSES: [&str; 20] = [
        "FROM",
        "WHERE",
        "GROUP",
        "HAVING",
        "ORDER",
        "LIMIT",
        "OFFSET",
        "FETCH",
        "UNION",
        "INTERSECT",
        "EXCEPT",
        "JOIN",
        "LEFT",
        "INNER",
        "CROSS",
        "WINDOW",
        "ON",
        "AND",
        "OR",
        "AS",
    ];
    match keyword {
        "END" => Some("END closes EXECUTE STATEMENT SET BEGIN, and none is open here"),
        _ if CLAUSES.contains(&keyword) => Some("The semicolon before it ended the statement: leave it out"),
        _ => None,
    }
}

/// An error at a token, in the form in which sqlparser carries positions.
pub(crate) fn error_at(message: &str, token: &TokenWithSpan) -> ParserError {
    error_at_place(message, token.span.start)
}

fn error_at_place(message: &str, at: Location) -> ParserError {
    ParserError::ParserError(format!("{message} at Line: {}, Column: {}", at.line, at.column))
}

/// What is beyond a limit; `first` where its place is not known.
fn beyond_at(beyond: Beyond, first: &TokenWithSpan) -> ParserError {
    error_at_place(&beyond.reason, if beyond.at.line == 0 { first.span.start } else { beyond.at })
}

/// Statements of Flink's that are known by their first word and not supported, with what to do instead.
fn unsupported(first: &str) -> Option<(&'static str, &'static str)> {
    Some(match first {
        "COMPILE" => {
            ("COMPILE PLAN and COMPILE AND EXECUTE PLAN", "Keep the SQL script: a job's state survives edits of it")
        }
        "ADD" => ("ADD JAR", "There is no JVM; connectors and functions are built in"),
        "REMOVE" => ("REMOVE JAR", "There is no JVM; connectors and functions are built in"),
        "LOAD" => ("LOAD MODULE", "All built-in functions are always there"),
        "UNLOAD" => ("UNLOAD MODULE", "All built-in functions are always there"),
        "CALL" => ("CALL", "Procedures belong to catalogs that are not supported yet"),
        "ANALYZE" => ("ANALYZE TABLE", "Statistics are not needed for planning"),
        "HELP" | "QUIT" | "EXIT" | "CLEAR" | "SOURCE" => (
            "HELP, QUIT, EXIT, CLEAR or SOURCE as a statement",
            "The shell (flott sql) knows HELP, QUIT, EXIT and CLEAR, and runs a script with -f; leave them out of scripts",
        ),
        "UPDATE" => ("UPDATE", "Write the change as an INSERT into a table with a primary key"),
        "DELETE" => ("DELETE", "Write the change as an INSERT into a table with a primary key"),
        "TRUNCATE" => ("TRUNCATE TABLE", "Truncate the table in its own system"),
        "UPSERT" => ("UPSERT INTO", "Write INSERT INTO a table with a primary key"),
        "MERGE" => ("MERGE INTO", "Write INSERT INTO a table with a primary key"),
        "REFRESH" => ("REFRESH", "There are no materialized tables"),
        _ => return None,
    })
}
