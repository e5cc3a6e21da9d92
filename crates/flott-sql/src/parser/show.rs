//! SHOW in all its forms.

use sqlparser::tokenizer::Token;

use super::ast::*;
use super::statement::{Parsed, StatementParser};

/// All that SHOW lists.
const WHAT: &str = "CATALOGS, DATABASES, TABLES, VIEWS, MATERIALIZED TABLES, COLUMNS FROM .., PARTITIONS .., FUNCTIONS, \
                    USER FUNCTIONS, [FULL] MODULES, JARS, JOBS, PROCEDURES, MODELS, CONNECTIONS, CREATE TABLE .., \
                    CREATE VIEW .., CREATE CATALOG .., CURRENT CATALOG or CURRENT DATABASE";

impl StatementParser<'_> {
    pub(crate) fn show(&mut self) -> Parsed<Statement> {
        self.expect_words(&["SHOW"])?;
        if self.words(&["CREATE", "OR", "ALTER", "MATERIALIZED", "TABLE"]) {
            return self.unsupported("SHOW CREATE MATERIALIZED TABLE", "There are none to show");
        }
        for kind in ["MODEL", "CONNECTION"] {
            if self.words(&["CREATE", kind]) {
                return self.unsupported(&format!("SHOW CREATE {kind}"), "There are none to show");
            }
        }
        if self.words(&["CREATE", "MATERIALIZED", "TABLE"]) {
            return self.unsupported("SHOW CREATE MATERIALIZED TABLE", "There are none to show");
        }
        let kind = self.show_kind()?;
        let mut scope = None;
        let scoped = matches!(
            kind,
            ShowKind::Databases
                | ShowKind::Tables
                | ShowKind::Views
                | ShowKind::MaterializedTables
                | ShowKind::Functions { .. }
                | ShowKind::Procedures
                | ShowKind::Models
                | ShowKind::Connections
        );
        if scoped && (self.words(&["FROM"]) || self.words(&["IN"])) {
            scope = Some(self.name()?);
        }
        let like = if takes_pattern(&kind) { self.like_pattern()? } else { None };
        Ok(Statement::Show { kind, scope, like })
    }

    fn like_pattern(&mut self) -> Parsed<Option<LikePattern>> {
        let negated = self.words(&["NOT"]);
        let ignore_case = self.words(&["ILIKE"]);
        if !ignore_case && !self.words(&["LIKE"]) {
            return if negated { self.p.expected("LIKE or ILIKE after NOT", self.p.peek_token()) } else { Ok(None) };
        }
        Ok(Some(LikePattern { pattern: self.literal()?, negated, ignore_case }))
    }

    fn show_kind(&mut self) -> Parsed<ShowKind> {
        const PLAIN: [(&[&str], ShowKind); 16] = [
            (&["CATALOGS"], ShowKind::Catalogs),
            (&["DATABASES"], ShowKind::Databases),
            (&["TABLES"], ShowKind::Tables),
            (&["VIEWS"], ShowKind::Views),
            (&["MATERIALIZED", "TABLES"], ShowKind::MaterializedTables),
            (&["FUNCTIONS"], ShowKind::Functions { user: false }),
            (&["USER", "FUNCTIONS"], ShowKind::Functions { user: true }),
            (&["MODULES"], ShowKind::Modules { full: false }),
            (&["FULL", "MODULES"], ShowKind::Modules { full: true }),
            (&["JARS"], ShowKind::Jars),
            (&["JOBS"], ShowKind::Jobs),
            (&["PROCEDURES"], ShowKind::Procedures),
            (&["MODELS"], ShowKind::Models),
            (&["CONNECTIONS"], ShowKind::Connections),
            (&["CURRENT", "CATALOG"], ShowKind::CurrentCatalog),
            (&["CURRENT", "DATABASE"], ShowKind::CurrentDatabase),
        ];
        for (words, kind) in PLAIN {
            if self.words(words) {
                return Ok(kind);
            }
        }
        if self.words(&["CREATE", "TABLE"]) {
            return Ok(ShowKind::CreateTable(self.name()?));
        }
        if self.words(&["CREATE", "VIEW"]) {
            return Ok(ShowKind::CreateView(self.name()?));
        }
        if self.words(&["CREATE", "CATALOG"]) {
            return Ok(ShowKind::CreateCatalog(self.name()?));
        }
        if self.words(&["PARTITIONS"]) {
            return Ok(ShowKind::Partitions(self.name()?, self.partition_spec()?));
        }
        if self.words(&["COLUMNS"]) {
            if !self.words(&["FROM"]) {
                self.expect_words(&["IN"])?;
            }
            return Ok(ShowKind::Columns(self.name()?));
        }
        let next = self.p.peek_token();
        if next.token == Token::EOF {
            return self.p.expected(&format!("what to show: {WHAT}"), next);
        }
        self.p.expected(WHAT, next)
    }
}

/// Whether Flink's grammar has a pattern behind this kind: behind others it is one word too many.
fn takes_pattern(kind: &ShowKind) -> bool {
    matches!(
        kind,
        ShowKind::Catalogs
            | ShowKind::Databases
            | ShowKind::Tables
            | ShowKind::Views
            | ShowKind::MaterializedTables
            | ShowKind::Columns(_)
            | ShowKind::Functions { .. }
            | ShowKind::Procedures
            | ShowKind::Models
            | ShowKind::Connections
    )
}

#[cfg(test)]
mod tests {
    use crate::parser::ast::*;
    use crate::parser::parse_script;

    #[test]
    fn forms_of_show() {
        for text in [
            "SHOW CATALOGS LIKE 'a%'",
            "SHOW DATABASES FROM c NOT LIKE 'b'",
            "SHOW TABLES IN c.d ILIKE '%X'",
            "SHOW VIEWS",
            "SHOW COLUMNS FROM t LIKE 'a'",
            "SHOW COLUMNS IN c.d.t",
            "SHOW USER FUNCTIONS",
            "SHOW FULL MODULES",
            "SHOW JARS",
            "SHOW JOBS",
            "SHOW PARTITIONS t",
            "SHOW PARTITIONS c.d.t PARTITION (a = 'x', b = 1)",
            "SHOW PROCEDURES",
            "SHOW MODELS",
            "SHOW CREATE TABLE t",
            "SHOW CREATE VIEW v",
            "SHOW CREATE CATALOG c",
            "SHOW CURRENT CATALOG",
            "SHOW CURRENT DATABASE",
            "show materialized tables",
        ] {
            let parsed = parse_script(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert!(matches!(parsed[0].statement, Statement::Show { .. }), "{text}");
        }
        for text in ["SHOW", "SHOW THINGS", "SHOW COLUMNS t", "SHOW TABLES NOT 'x'"] {
            assert!(parse_script(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_only_where_flink_has_them() {
        for what in [
            "MODULES",
            "FULL MODULES",
            "JARS",
            "JOBS",
            "PARTITIONS t",
            "CREATE TABLE t",
            "CREATE VIEW v",
            "CREATE CATALOG c",
            "CURRENT CATALOG",
            "CURRENT DATABASE",
        ] {
            parse_script(&format!("SHOW {what}")).expect(what);
            let e = parse_script(&format!("SHOW {what} LIKE 'x'")).expect_err(what);
            let column = "SHOW ".len() as u64 + what.len() as u64 + 2;
            assert_eq!(e.position().map(|p| p.column), Some(column), "{what}: {e}");
        }
    }
}
