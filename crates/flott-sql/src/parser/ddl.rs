//! CREATE, ALTER and DROP.

use std::str::FromStr;

use flott_core::LogicalType;
use flott_core::error::Position;
use flott_core::types::{RowField, TypeKind};
use sqlparser::ast::Ident;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::ast::*;
use super::cast::type_text;
use super::statement::{Parsed, StatementParser, error_at};

/// The kind of object that a plain table and an INSERT stand in for.
const MATERIALIZED: &str = "MATERIALIZED TABLE";
const PLAIN_TABLE: &str = "Write a plain table and an INSERT statement";
const NO_OBJECTS: &str = "There are catalogs, databases, tables, views and functions";
const NO_UNIQUE: &str = "UNIQUE constraints are not supported; use PRIMARY KEY .. NOT ENFORCED";

/// Elements between the brackets of a CREATE TABLE.
#[derive(Default)]
struct Elements {
    columns: Vec<(ColumnDef, ColumnPlace)>,
    primary_key: Option<PrimaryKeyDef>,
    watermark: Option<WatermarkDef>,
}

impl StatementParser<'_> {
    pub(crate) fn create(&mut self) -> Parsed<Statement> {
        self.expect_words(&["CREATE"])?;
        let modifier = self.p.peek_token();
        if self.words(&["OR", "ALTER", "MATERIALIZED", "TABLE"]) {
            return self.unsupported("CREATE OR ALTER MATERIALIZED TABLE", PLAIN_TABLE);
        }
        let or_replace = self.words(&["OR", "REPLACE"]);
        let temporary = self.words(&["TEMPORARY"]);
        if self.words(&["TABLE"]) {
            return self.create_table(temporary, or_replace, false);
        }
        if or_replace {
            return self.p.expected("TABLE after CREATE OR REPLACE", self.p.peek_token());
        }
        if self.words(&["VIEW"]) {
            return self.create_view(temporary);
        }
        if self.words(&["FUNCTION"]) {
            return self.create_function(temporary, false);
        }
        if temporary && self.words(&["SYSTEM", "FUNCTION"]) {
            return self.create_function(true, true);
        }
        if let Some(kind) = self.unknown_kind(temporary) {
            return self
                .unsupported(&format!("CREATE {kind}"), if kind == MATERIALIZED { PLAIN_TABLE } else { NO_OBJECTS });
        }
        let next = self.p.peek_token();
        let is_catalog = self.words(&["CATALOG"]);
        if !is_catalog && !self.words(&["DATABASE"]) {
            return self.p.expected("TABLE, VIEW, DATABASE, CATALOG or FUNCTION after CREATE", next);
        }
        if temporary {
            return Err(error_at("only tables, views and functions can be TEMPORARY", &modifier));
        }
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = if is_catalog { self.simple_name()? } else { self.name()? };
        let comment = self.comment()?;
        let options = self.with_options()?;
        Ok(if is_catalog {
            Statement::CreateCatalog { name, if_not_exists, comment, options }
        } else {
            Statement::CreateDatabase { name, if_not_exists, comment, options }
        })
    }

    /// A kind of object that there is not, and past its words.
    pub(crate) fn unknown_kind(&mut self, temporary: bool) -> Option<&'static str> {
        if self.words(&["MATERIALIZED", "TABLE"]) {
            Some(MATERIALIZED)
        } else if self.words(&["MODEL"]) {
            Some("MODEL")
        } else if self.words(&["CONNECTION"]) || (temporary && self.words(&["SYSTEM", "CONNECTION"])) {
            Some("CONNECTION")
        } else {
            None
        }
    }

    /// `REPLACE TABLE .. AS query`, from TABLE on.
    pub(crate) fn replace_table(&mut self) -> Parsed<Statement> {
        self.expect_words(&["REPLACE", "TABLE"])?;
        let statement = self.create_table(false, true, true)?;
        match &statement {
            Statement::CreateTable(create) if create.query.is_some() => Ok(statement),
            _ => self.p.expected("AS and a query after REPLACE TABLE", self.p.peek_token()),
        }
    }

    /// A name without dots.
    fn simple_name(&mut self) -> Parsed<Name> {
        Ok(Name { parts: vec![self.p.parse_identifier()?] })
    }

    /// `name [(parameters) RETURNS type | TABLE(columns)] AS 'class' [LANGUAGE l] [USING JAR|ARTIFACT 'path', ..] [WITH (..)]`; LANGUAGE may
    /// stand before AS.
    fn create_function(&mut self, temporary: bool, system: bool) -> Parsed<Statement> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        let mut is_table = false;
        let signature = if self.p.consume_token(&Token::LParen) {
            let parameters = self.parameters()?;
            self.expect_words(&["RETURNS"])?;
            is_table = self.words(&["TABLE"]);
            let returns = if is_table {
                self.p.expect_token(&Token::LParen)?;
                let fields = self.parameters()?.into_iter().map(|(name, t)| RowField::new(name, t));
                TypeKind::Row(fields.collect()).not_null()
            } else {
                self.data_type()?
            };
            Some((parameters, returns))
        } else {
            None
        };
        let mut language = if self.words(&["LANGUAGE"]) { Some(self.p.parse_identifier()?.value) } else { None };
        self.expect_words(&["AS"])?;
        let at = self.p.peek_token();
        let class = self.literal()?;
        // Behind the quote.
        let start = position(at.span.start);
        let body_position = Position { line: start.line, column: start.column + 1 };
        if language.is_none() && self.words(&["LANGUAGE"]) {
            language = Some(self.p.parse_identifier()?.value);
        }
        let language = language.unwrap_or_else(|| "JAVA".to_string());
        let mut resources = vec![];
        if self.words(&["USING"]) {
            loop {
                let kind = self.p.parse_identifier()?.value.to_ascii_uppercase();
                resources.push((kind, self.literal()?));
                if !self.p.consume_token(&Token::Comma) {
                    break;
                }
            }
        }
        let options = self.with_options()?;
        Ok(Statement::CreateFunction(Box::new(CreateFunction {
            name,
            temporary,
            system,
            if_not_exists,
            signature,
            is_table,
            class,
            body_position,
            language: language.to_ascii_uppercase(),
            resources,
            options,
        })))
    }

    /// `a INT, b STRING)`
    fn parameters(&mut self) -> Parsed<Vec<(String, LogicalType)>> {
        let mut parameters = vec![];
        if self.p.consume_token(&Token::RParen) {
            return Ok(parameters);
        }
        loop {
            let name = self.p.parse_identifier()?.value;
            parameters.push((name, self.data_type()?));
            if !self.p.consume_token(&Token::Comma) {
                self.p.expect_token(&Token::RParen)?;
                return Ok(parameters);
            }
        }
    }

    fn create_table(&mut self, temporary: bool, or_replace: bool, must_exist: bool) -> Parsed<Statement> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        let mut elements = Elements::default();
        if self.p.consume_token(&Token::LParen) {
            self.elements(&mut elements, false)?;
        }
        let comment = self.comment()?;
        let distribution = self.distribution()?;
        let mut partition_keys = vec![];
        if self.words(&["PARTITIONED", "BY"]) {
            partition_keys = self.identifiers()?;
        }
        let (options, option_positions) = if self.words(&["WITH"]) { self.placed_options()? } else { (vec![], vec![]) };
        let like = if self.words(&["LIKE"]) { Some(self.like_clause()?) } else { None };
        let query = if self.words(&["AS"]) {
            let first = self.p.peek_token();
            let query = self.query()?;
            Some((query, self.text_from(&first)))
        } else {
            None
        };
        Ok(Statement::CreateTable(Box::new(CreateTable {
            name,
            temporary,
            if_not_exists,
            or_replace,
            must_exist,
            columns: elements.columns.into_iter().map(|(c, _)| c).collect(),
            primary_key: elements.primary_key,
            watermark: elements.watermark,
            comment,
            partition_keys,
            distribution,
            options,
            option_positions,
            like,
            query,
        })))
    }

    /// `DISTRIBUTED [BY [HASH|RANGE] (..)] [INTO n BUCKETS]`
    fn distribution(&mut self) -> Parsed<Option<Distribution>> {
        if !self.words(&["DISTRIBUTED"]) {
            return Ok(None);
        }
        self.distribution_body().map(Some)
    }

    fn distribution_body(&mut self) -> Parsed<Distribution> {
        let mut distribution = Distribution { kind: None, columns: vec![], buckets: None };
        let by = self.words(&["BY"]);
        if by {
            distribution.kind = ["HASH", "RANGE"].into_iter().find(|k| self.words(&[k])).map(str::to_string);
            distribution.columns = self.identifiers()?;
        }
        if self.words(&["INTO"]) {
            let at = self.p.peek_token();
            let buckets = self.p.parse_literal_uint()?;
            if buckets == 0 {
                return Err(error_at("the number of buckets must be positive", &at));
            }
            distribution.buckets = Some(buckets);
            self.expect_words(&["BUCKETS"])?;
        } else if !by {
            return self.p.expected("BY or INTO after DISTRIBUTED", self.p.peek_token());
        }
        Ok(distribution)
    }

    /// `(a, b)`
    fn identifiers(&mut self) -> Parsed<Vec<Ident>> {
        self.p.expect_token(&Token::LParen)?;
        let names = self.p.parse_comma_separated(Parser::parse_identifier)?;
        self.p.expect_token(&Token::RParen)?;
        Ok(names)
    }

    /// Columns, key and watermark up to the closing bracket. `places` allows FIRST and AFTER.
    fn elements(&mut self, elements: &mut Elements, places: bool) -> Parsed<()> {
        if self.p.consume_token(&Token::RParen) {
            return Ok(());
        }
        loop {
            self.element(elements, places)?;
            if self.p.consume_token(&Token::RParen) {
                return Ok(());
            }
            if !self.p.consume_token(&Token::Comma) {
                return self.p.expected(", or )", self.p.peek_token());
            }
        }
    }

    fn element(&mut self, elements: &mut Elements, places: bool) -> Parsed<()> {
        let at = self.p.peek_token();
        if self.words(&["WATERMARK", "FOR"]) {
            if elements.watermark.is_some() {
                return Err(error_at("a table has at most one watermark", &at));
            }
            let column = self.name()?;
            self.expect_words(&["AS"])?;
            elements.watermark = Some(WatermarkDef { column, expression: self.expression_text()? });
            return Ok(());
        }
        let constraint = if self.words(&["CONSTRAINT"]) { Some(self.p.parse_identifier()?.value) } else { None };
        if constraint.is_some() || self.peek_primary_key() {
            if elements.primary_key.is_some() {
                return Err(error_at("a table has at most one primary key", &at));
            }
            if self.words(&["UNIQUE"]) {
                return Err(error_at(NO_UNIQUE, &at));
            }
            self.expect_words(&["PRIMARY", "KEY"])?;
            let columns = self.identifiers()?;
            self.not_enforced(&at)?;
            elements.primary_key = Some(PrimaryKeyDef { name: constraint, columns });
            return Ok(());
        }
        if places {
            self.refuse_nested()?;
        }
        let column = self.column()?;
        let place = if !places {
            ColumnPlace::Last
        } else if self.words(&["FIRST"]) {
            ColumnPlace::First
        } else if self.words(&["AFTER"]) {
            ColumnPlace::After(self.own_column()?)
        } else {
            ColumnPlace::Last
        };
        elements.columns.push((column, place));
        Ok(())
    }

    /// A column's name in ALTER TABLE; a field of a column is refused.
    fn own_column(&mut self) -> Parsed<Ident> {
        self.refuse_nested()?;
        self.p.parse_identifier()
    }

    fn refuse_nested(&mut self) -> Parsed<()> {
        let first = self.p.peek_token();
        if !matches!(first.token, Token::Word(_)) || self.p.peek_nth_token(1).token != Token::Period {
            return Ok(());
        }
        let mut parts = vec![self.p.parse_identifier()?.value];
        while self.p.consume_token(&Token::Period) {
            parts.push(self.p.parse_identifier()?.value);
        }
        let name = parts.iter().map(|p| format!("`{}`", p.replace('`', "``"))).collect::<Vec<_>>().join(".");
        Err(error_at(
            &format!("Altering the nested row type {name} is not supported yet. Modify the whole column {}", parts[0]),
            &first,
        ))
    }

    fn peek_primary_key(&self) -> bool {
        let is = |n: usize, text: &str| {
            matches!(self.p.peek_nth_token(n).token, Token::Word(w)
                if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(text))
        };
        (is(0, "PRIMARY") && is(1, "KEY")) || (is(0, "UNIQUE") && self.p.peek_nth_token(1).token == Token::LParen)
    }

    fn not_enforced(&mut self, at: &TokenWithSpan) -> Parsed<()> {
        if self.words(&["NOT", "ENFORCED"]) {
            return Ok(());
        }
        Err(error_at(
            "a primary key is not checked here, so it must be declared NOT ENFORCED (the tables' own systems enforce it)",
            at,
        ))
    }

    fn column(&mut self) -> Parsed<ColumnDef> {
        let name = self.p.parse_identifier()?;
        if self.words(&["AS"]) {
            let spec = ColumnSpec::Computed(self.expression_text()?);
            return Ok(ColumnDef { name, spec, comment: self.comment()?, primary_key: false, constraint: None });
        }
        if matches!(self.p.peek_token().token, Token::Comma | Token::RParen) {
            let spec = ColumnSpec::NameOnly;
            return Ok(ColumnDef { name, spec, comment: None, primary_key: false, constraint: None });
        }
        let data_type = self.data_type()?;
        let (mut primary_key, mut constraint) = (false, None);
        let spec = if self.words(&["METADATA"]) {
            let key = if self.words(&["FROM"]) { Some(self.literal()?) } else { None };
            ColumnSpec::Metadata { data_type, key, is_virtual: self.words(&["VIRTUAL"]) }
        } else {
            let at = self.p.peek_token();
            if self.words(&["CONSTRAINT"]) {
                constraint = Some(self.p.parse_identifier()?.value);
            }
            if self.words(&["UNIQUE"]) {
                return Err(error_at(NO_UNIQUE, &at));
            }
            if self.words(&["PRIMARY", "KEY"]) {
                self.not_enforced(&at)?;
                primary_key = true;
            } else if constraint.is_some() {
                return self.p.expected("PRIMARY KEY", self.p.peek_token());
            }
            ColumnSpec::Physical(data_type)
        };
        Ok(ColumnDef { name, spec, comment: self.comment()?, primary_key, constraint })
    }

    fn data_type(&mut self) -> Parsed<LogicalType> {
        let at = self.p.peek_token();
        if matches!(at.token, Token::Word(_)) && self.p.peek_nth_token(1).token == Token::Period {
            return Err(error_at(
                "types of the user's own are not supported. Write the type out: ROW<a INT, b STRING>",
                &at,
            ));
        }
        let text = type_text(&mut self.p)?;
        LogicalType::from_str(&text).map_err(|e| {
            let hint = e.hint_text().map(|h| format!(". {h}")).unwrap_or_default();
            error_at(&format!("{}{hint}", e.message()), &at)
        })
    }

    fn expression_text(&mut self) -> Parsed<ExpressionText> {
        let first = self.p.peek_token();
        let expr = self.expr()?;
        Ok(ExpressionText { expr, text: self.text_from(&first), position: position(first.span.start) })
    }

    fn like_clause(&mut self) -> Parsed<LikeClause> {
        let source = self.name()?;
        let mut options = vec![];
        if self.p.consume_token(&Token::LParen) {
            while !self.p.consume_token(&Token::RParen) {
                let strategy = if self.words(&["INCLUDING"]) {
                    LikeStrategy::Including
                } else if self.words(&["EXCLUDING"]) {
                    LikeStrategy::Excluding
                } else if self.words(&["OVERWRITING"]) {
                    LikeStrategy::Overwriting
                } else {
                    return self.p.expected("INCLUDING, EXCLUDING or OVERWRITING", self.p.peek_token());
                };
                let at = self.p.peek_token();
                let feature = match self.p.parse_identifier()?.value.to_ascii_uppercase().as_str() {
                    "ALL" => LikeFeature::All,
                    "CONSTRAINTS" => LikeFeature::Constraints,
                    "DISTRIBUTION" => LikeFeature::Distribution,
                    "GENERATED" => LikeFeature::Generated,
                    "METADATA" => LikeFeature::Metadata,
                    "OPTIONS" => LikeFeature::Options,
                    "PARTITIONS" => LikeFeature::Partitions,
                    "WATERMARKS" => LikeFeature::Watermarks,
                    _ => {
                        return self.p.expected(
                            "ALL, CONSTRAINTS, DISTRIBUTION, GENERATED, METADATA, OPTIONS, PARTITIONS or WATERMARKS",
                            at,
                        );
                    }
                };
                let wrong = strategy == LikeStrategy::Overwriting
                    && matches!(
                        feature,
                        LikeFeature::All
                            | LikeFeature::Constraints
                            | LikeFeature::Distribution
                            | LikeFeature::Partitions
                    );
                if wrong {
                    return Err(error_at("OVERWRITING works for GENERATED, METADATA, OPTIONS and WATERMARKS", &at));
                }
                if options.iter().any(|(_, f)| *f == feature) {
                    return Err(error_at("each feature can be declared only once", &at));
                }
                options.push((strategy, feature));
            }
        }
        Ok(LikeClause { source, options })
    }

    fn create_view(&mut self, temporary: bool) -> Parsed<Statement> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        let mut columns: Vec<(Ident, Option<String>)> = vec![];
        if self.p.consume_token(&Token::LParen) {
            loop {
                let column = self.p.parse_identifier()?;
                columns.push((column, self.comment()?));
                if !self.p.consume_token(&Token::Comma) {
                    break;
                }
            }
            self.p.expect_token(&Token::RParen)?;
        }
        let comment = self.comment()?;
        self.expect_words(&["AS"])?;
        let first = self.p.peek_token();
        let query = self.query()?;
        let text = self.text_from(&first);
        let text_position = position(first.span.start);
        Ok(Statement::CreateView { name, temporary, if_not_exists, columns, comment, query, text, text_position })
    }

    pub(crate) fn alter(&mut self) -> Parsed<Statement> {
        self.expect_words(&["ALTER"])?;
        if self.words(&["TABLE"]) {
            let if_exists = self.words(&["IF", "EXISTS"]);
            let name = self.name()?;
            return self.alter_table(name, if_exists);
        }
        if self.words(&["VIEW"]) {
            let name = self.name()?;
            if self.words(&["RENAME", "TO"]) {
                return Ok(Statement::AlterViewRename { name, to: self.name()? });
            }
            self.expect_words(&["AS"])?;
            let first = self.p.peek_token();
            let query = self.query()?;
            let text = self.text_from(&first);
            let text_position = position(first.span.start);
            return Ok(Statement::AlterViewAs { name, query, text, text_position });
        }
        if self.words(&["DATABASE"]) {
            let name = self.name()?;
            self.expect_words(&["SET"])?;
            return Ok(Statement::AlterDatabase { name, options: self.option_list()? });
        }
        if self.words(&["CATALOG"]) {
            let name = self.name()?;
            if self.words(&["RESET"]) {
                return Ok(Statement::AlterCatalog { name, change: AlterCatalog::Reset(self.keys()?) });
            }
            if let Some(comment) = self.comment()? {
                return Ok(Statement::AlterCatalog { name, change: AlterCatalog::Comment(comment) });
            }
            self.expect_words(&["SET"])?;
            return Ok(Statement::AlterCatalog { name, change: AlterCatalog::Set(self.option_list()?) });
        }
        let next = self.p.peek_token();
        let temporary = self.words(&["TEMPORARY"]);
        if self.words(&["FUNCTION"]) || (temporary && self.words(&["SYSTEM", "FUNCTION"])) {
            return self.unsupported("ALTER FUNCTION", "Drop the function and create it again");
        }
        if let Some(kind) = self.unknown_kind(temporary) {
            return self.unsupported(&format!("ALTER {kind}"), NO_OBJECTS);
        }
        self.p.expected("TABLE, VIEW, DATABASE or CATALOG after ALTER", next)
    }

    fn alter_table(&mut self, name: Name, if_exists: bool) -> Parsed<Statement> {
        let change = if self.words(&["RENAME", "TO"]) {
            AlterTable::Rename(self.name()?)
        } else if self.words(&["RENAME"]) {
            let from = self.own_column()?;
            self.expect_words(&["TO"])?;
            AlterTable::RenameColumn(from, self.own_column()?)
        } else if self.words(&["SET"]) {
            AlterTable::Set(self.option_list()?)
        } else if self.words(&["RESET"]) {
            AlterTable::Reset(self.keys()?)
        } else if self.peeks_partition("ADD", &["IF", "NOT", "EXISTS"]) {
            self.add_partitions()?
        } else if self.peeks_partition("DROP", &["IF", "EXISTS"]) {
            self.drop_partitions()?
        } else if self.words(&["ADD", "DISTRIBUTION"]) {
            AlterTable::Distribution { modify: false, distribution: self.distribution_body()? }
        } else if self.words(&["MODIFY", "DISTRIBUTION"]) {
            AlterTable::Distribution { modify: true, distribution: self.distribution_body()? }
        } else if self.words(&["DROP", "DISTRIBUTION"]) {
            AlterTable::DropDistribution
        } else if self.words(&["ADD"]) {
            self.no_word_column("ADD")?;
            self.alter_schema(false)?
        } else if self.words(&["MODIFY"]) {
            self.no_word_column("MODIFY")?;
            self.alter_schema(true)?
        } else if self.words(&["DROP", "PRIMARY", "KEY"]) {
            AlterTable::DropKey(None)
        } else if self.words(&["DROP", "CONSTRAINT"]) {
            AlterTable::DropKey(Some(self.p.parse_identifier()?))
        } else if self.words(&["DROP", "WATERMARK"]) {
            AlterTable::DropWatermark
        } else if self.words(&["DROP"]) {
            if self.p.consume_token(&Token::LParen) {
                let mut columns = vec![self.own_column()?];
                while self.p.consume_token(&Token::Comma) {
                    columns.push(self.own_column()?);
                }
                self.p.expect_token(&Token::RParen)?;
                AlterTable::DropColumns(columns)
            } else {
                AlterTable::DropColumns(vec![self.own_column()?])
            }
        } else {
            return self.p.expected("RENAME, SET, RESET, ADD, MODIFY or DROP", self.p.peek_token());
        };
        Ok(Statement::AlterTable { name, if_exists, change })
    }

    /// `ADD [IF NOT EXISTS] PARTITION (`: a column may have the name partition.
    fn peeks_partition(&self, verb: &str, condition: &[&str]) -> bool {
        let is = |n: usize, text: &str| {
            matches!(self.p.peek_nth_token(n).token, Token::Word(w)
                if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(text))
        };
        let conditional = condition.iter().enumerate().all(|(i, word)| is(1 + i, word));
        let at = if conditional { 1 + condition.len() } else { 1 };
        is(0, verb) && is(at, "PARTITION") && self.p.peek_nth_token(at + 1).token == Token::LParen
    }

    /// `ADD [IF NOT EXISTS] PARTITION (..) [WITH (..)] [PARTITION (..) ..]`
    fn add_partitions(&mut self) -> Parsed<AlterTable> {
        self.expect_words(&["ADD"])?;
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let mut partitions = vec![];
        loop {
            let spec = self.partition_spec()?;
            if spec.is_empty() {
                break;
            }
            partitions.push((spec, self.with_options()?));
        }
        Ok(AlterTable::AddPartitions { if_not_exists, partitions })
    }

    /// `DROP [IF EXISTS] PARTITION (..), PARTITION (..), ..`
    fn drop_partitions(&mut self) -> Parsed<AlterTable> {
        self.expect_words(&["DROP"])?;
        let if_exists = self.words(&["IF", "EXISTS"]);
        let mut partitions = vec![self.partition_spec()?];
        while self.p.consume_token(&Token::Comma) {
            let next = self.p.peek_token();
            let spec = self.partition_spec()?;
            if spec.is_empty() {
                return self.p.expected("PARTITION (..)", next);
            }
            partitions.push(spec);
        }
        Ok(AlterTable::DropPartitions { if_exists, partitions })
    }

    /// `ADD COLUMN c t`, which is of other dialects.
    fn no_word_column(&mut self, verb: &str) -> Parsed<()> {
        let word = |n: usize| match self.p.peek_nth_token(n).token {
            Token::Word(w) => Some(w),
            _ => None,
        };
        let (Some(first), Some(name), Some(_)) = (word(0), word(1), word(2)) else { return Ok(()) };
        if first.quote_style.is_some() || !first.value.eq_ignore_ascii_case("COLUMN") {
            return Ok(());
        }
        let name = &name.value;
        Err(error_at(&format!("there is no word COLUMN behind {verb}: write {verb} {name} .."), &self.p.peek_token()))
    }

    fn alter_schema(&mut self, modify: bool) -> Parsed<AlterTable> {
        let mut elements = Elements::default();
        if self.p.consume_token(&Token::LParen) {
            self.elements(&mut elements, true)?;
        } else {
            self.element(&mut elements, true)?;
        }
        let Elements { columns, primary_key, watermark } = elements;
        Ok(AlterTable::Schema { modify, columns, primary_key, watermark })
    }

    pub(crate) fn drop_object(&mut self) -> Parsed<Statement> {
        self.expect_words(&["DROP"])?;
        let modifier = self.p.peek_token();
        let temporary = self.words(&["TEMPORARY"]);
        let unknown = self.unknown_kind(temporary);
        if let Some(kind) = unknown {
            return self.unsupported(&format!("DROP {kind}"), "There are none to drop");
        }
        let system = temporary && self.words(&["SYSTEM"]);
        let next = self.p.peek_token();
        let kind = if self.words(&["FUNCTION"]) {
            ObjectKind::Function
        } else if system {
            return self.p.expected("FUNCTION after DROP TEMPORARY SYSTEM", next);
        } else if self.words(&["TABLE"]) {
            ObjectKind::Table
        } else if self.words(&["VIEW"]) {
            ObjectKind::View
        } else if self.words(&["DATABASE"]) {
            ObjectKind::Database
        } else if self.words(&["CATALOG"]) {
            ObjectKind::Catalog
        } else {
            return self.p.expected("TABLE, VIEW, DATABASE, CATALOG or FUNCTION after DROP", next);
        };
        if temporary && matches!(kind, ObjectKind::Database | ObjectKind::Catalog) {
            return Err(error_at("only tables, views and functions can be TEMPORARY", &modifier));
        }
        let if_exists = self.words(&["IF", "EXISTS"]);
        let name = self.name()?;
        let cascade = kind == ObjectKind::Database && self.words(&["CASCADE"]);
        if kind == ObjectKind::Database && !cascade {
            self.words(&["RESTRICT"]);
        }
        Ok(Statement::Drop { kind, name, temporary, system, if_exists, cascade })
    }
}

#[cfg(test)]
mod tests {
    use crate::parser::ast::*;
    use crate::parser::parse_script;

    fn table(text: &str) -> CreateTable {
        match parse_script(text).unwrap_or_else(|e| panic!("{text}: {e}")).remove(0).statement {
            Statement::CreateTable(t) => *t,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_kind_of_column_and_clause() {
        let t = table(
            "CREATE TEMPORARY TABLE IF NOT EXISTS c.d.`my table` (\n  id BIGINT NOT NULL COMMENT 'the id',\n  \
             name VARCHAR(10) PRIMARY KEY NOT ENFORCED,\n  r ROW<a INT, `b c` ARRAY<ARRAY<STRING>>> NOT NULL,\n  \
             total AS id * 2 + CHAR_LENGTH(name) COMMENT 'c',\n  pt AS PROCTIME(),\n  \
             `offset` BIGINT METADATA VIRTUAL,\n  ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',\n  \
             WATERMARK FOR ts AS ts - INTERVAL '5' SECOND\n) COMMENT 'a table' DISTRIBUTED BY HASH(id) INTO 4 BUCKETS \
             PARTITIONED BY (name) WITH ('connector' = 'x', 'a' = 'it''s')",
        );
        assert_eq!(t.name.texts(), ["c", "d", "my table"]);
        assert!(t.temporary && t.if_not_exists);
        assert_eq!(t.columns.len(), 7);
        assert!(t.columns[1].primary_key);
        let ColumnSpec::Physical(r) = &t.columns[2].spec else { panic!("physical") };
        assert_eq!(r.to_string(), "ROW<`a` INT, `b c` ARRAY<ARRAY<STRING>>> NOT NULL");
        let ColumnSpec::Computed(total) = &t.columns[3].spec else { panic!("computed") };
        assert_eq!(total.text, "id * 2 + CHAR_LENGTH(name)");
        assert_eq!(
            t.columns[6].spec,
            ColumnSpec::Metadata {
                data_type: "TIMESTAMP_LTZ(3)".parse().expect("a type"),
                key: Some("timestamp".into()),
                is_virtual: false
            }
        );
        assert_eq!(t.watermark.expect("a watermark").expression.text, "ts - INTERVAL '5' SECOND");
        assert_eq!(t.distribution.expect("one").to_string(), "BY HASH(`id`) INTO 4 BUCKETS");
        assert_eq!(t.options[1], ("a".into(), "it's".into()));
    }

    #[test]
    fn like_and_as() {
        let t = table(
            "CREATE TABLE a (x INT) WITH ('k'='v') LIKE b (INCLUDING ALL OVERWRITING OPTIONS EXCLUDING PARTITIONS)",
        );
        assert_eq!(t.like.expect("a clause").options.len(), 3);
        let t = table("CREATE TABLE a WITH ('k'='v') AS SELECT * FROM b");
        assert_eq!(t.query.expect("a query").1, "SELECT * FROM b");
    }

    #[test]
    fn alterations() {
        for (text, check) in [
            ("ALTER TABLE t RENAME TO u", (|c| matches!(c, AlterTable::Rename(_))) as fn(&AlterTable) -> bool),
            ("ALTER TABLE t RENAME a TO b", |c| matches!(c, AlterTable::RenameColumn(..))),
            ("ALTER TABLE t SET ('a'='b')", |c| matches!(c, AlterTable::Set(o) if o.len() == 1)),
            ("ALTER TABLE t RESET ('a', 'b')", |c| matches!(c, AlterTable::Reset(k) if k.len() == 2)),
            (
                "ALTER TABLE t ADD (a INT FIRST, b AS a + 1 AFTER a)",
                |c| matches!(c, AlterTable::Schema { modify: false, columns, .. } if columns.len() == 2),
            ),
            ("ALTER TABLE t MODIFY a STRING", |c| matches!(c, AlterTable::Schema { modify: true, .. })),
            ("ALTER TABLE t ADD WATERMARK FOR ts AS ts", |c| {
                matches!(c, AlterTable::Schema { watermark: Some(_), .. })
            }),
            ("ALTER TABLE t DROP (a, b)", |c| matches!(c, AlterTable::DropColumns(v) if v.len() == 2)),
            ("ALTER TABLE t DROP PRIMARY KEY", |c| matches!(c, AlterTable::DropKey(None))),
            ("ALTER TABLE t DROP WATERMARK", |c| matches!(c, AlterTable::DropWatermark)),
        ] {
            match parse_script(text).unwrap_or_else(|e| panic!("{text}: {e}")).remove(0).statement {
                Statement::AlterTable { change, .. } => assert!(check(&change), "{text}: {change:?}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, part) in [
            ("CREATE TABLE t (a INT, PRIMARY KEY (a))", "NOT ENFORCED"),
            ("CREATE TABLE t (a STRIN)", "Did you mean STRING?"),
            ("CREATE TABLE t (a DECIMAL(40, 2))", "between 1 and 38"),
            ("CREATE TABLE t (a INT) WITH ('a'='b', 'a'='c')", "given twice"),
            ("CREATE TABLE t (a INT,)", "expected"),
            ("CREATE TABLE t LIKE s (OVERWRITING ALL)", "OVERWRITING works for"),
            ("DROP THING t", "after DROP"),
        ] {
            let e = parse_script(text).expect_err(text).to_string();
            assert!(e.contains(part) && e.contains("line 1, column"), "{text}: {e}");
        }
    }
}
