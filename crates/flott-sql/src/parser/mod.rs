//! Text to statements: our own parser for Flink's statements, sqlparser's for the queries inside.
//!
//! Depth and size are checked on the tokens, before anything recurses.

pub mod ast;
mod cast;
pub mod ddl;
mod diagnose;
pub mod dialect;
mod forms;
mod hints;
pub mod json;
pub mod limits;
mod mask;
pub mod match_recognize;
mod misread;
mod quantified;
pub mod script;
pub mod show;
mod source;
pub mod split;
pub mod statement;
mod strings;
mod table_query;
mod values;

pub use ast::{InsertStatement, Name, SpannedStatement, Statement};
pub use limits::ParseLimits;
pub use mask::mask_secrets;
pub use script::{
    parse_expression, parse_query, parse_script, parse_script_with_limits, parse_statement_at, statements,
};

#[cfg(test)]
mod tests;

/// The syntax tree of queries, for who passes one on.
pub use sqlparser::ast::Query as QueryAst;

/// What a relation in FROM is called there.
pub(crate) fn alias_of(relation: &sqlparser::ast::TableFactor) -> Option<&sqlparser::ast::TableAlias> {
    use sqlparser::ast::TableFactor;
    match relation {
        TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::TableFunction { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::NestedJoin { alias, .. }
        | TableFactor::MatchRecognize { alias, .. } => alias.as_ref(),
        _ => None,
    }
}

/// A name as an identifier in backticks, whatever it contains.
pub fn quoted(name: &str) -> sqlparser::ast::Ident {
    sqlparser::ast::Ident::with_quote('`', name)
}
