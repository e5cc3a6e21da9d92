//! `{fn NAME(..)}`: functions by the names that JDBC has for them.

use flott_core::{Error, Result};
use sqlparser::ast::{
    self, BinaryOperator, CastKind, DataType, Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectName, Spanned,
};

use super::ExpressionBinder;
use crate::bind::refuse::{at, name_text};
use crate::bind::scope::Typed;
use crate::parser::dialect::TYPE_TEXT;

/// Names that functions have here, too.
const SAME: [&str; 36] = [
    "ABS",
    "ACOS",
    "ASCII",
    "ASIN",
    "ATAN",
    "ATAN2",
    "CEILING",
    "COS",
    "COT",
    "DAYOFMONTH",
    "DAYOFWEEK",
    "DAYOFYEAR",
    "DEGREES",
    "EXP",
    "FLOOR",
    "HOUR",
    "IFNULL",
    "LCASE",
    "LENGTH",
    "LOCATE",
    "LOG10",
    "LTRIM",
    "MINUTE",
    "MOD",
    "MONTH",
    "POWER",
    "QUARTER",
    "RADIANS",
    "RTRIM",
    "SECOND",
    "SIGN",
    "SIN",
    "TIMESTAMPADD",
    "TIMESTAMPDIFF",
    "UCASE",
    "YEAR",
];

impl ExpressionBinder<'_> {
    /// Binds what the call means.
    pub(super) fn jdbc_function(&mut self, f: &ast::Function) -> Result<Typed> {
        let (name, span) = (name_text(&f.name).to_uppercase(), f.name.span());
        let arguments = arguments(f);
        let meant = match (name.as_str(), arguments.as_slice()) {
            ("CONVERT", [value, Ast::Identifier(target)]) => {
                let name = target.value.to_uppercase();
                let text = name.strip_prefix("SQL_").unwrap_or(&name).to_string();
                Ast::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new((*value).clone()),
                    data_type: DataType::Custom(ObjectName::from(vec![Ident::new(TYPE_TEXT)]), vec![text]),
                    array: false,
                    format: None,
                }
            }
            ("CONCAT", [left, right]) => {
                let (left, right) = (Box::new((*left).clone()), Box::new((*right).clone()));
                Ast::BinaryOp { left, op: BinaryOperator::StringConcat, right }
            }
            _ => {
                let name = match name.as_str() {
                    "LOG" => "LN",
                    same if SAME.contains(&same) => same,
                    other => {
                        let unknown = Error::user(format!("Function '{{fn {other}}}' is not defined"));
                        return Err(at(unknown.hint("Call it without {fn ..}"), span));
                    }
                };
                let name = ObjectName::from(vec![Ident::with_span(span, name)]);
                Ast::Function(ast::Function { name, uses_odbc_syntax: false, ..f.clone() })
            }
        };
        self.bind(&meant)
    }
}

/// The arguments of a call that are plain expressions.
pub(in crate::bind) fn arguments(f: &ast::Function) -> Vec<&Ast> {
    let FunctionArguments::List(list) = &f.args else { return vec![] };
    list.args
        .iter()
        .filter_map(|a| match a {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Some(e),
            _ => None,
        })
        .collect()
}
