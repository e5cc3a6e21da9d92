//! TO_CHANGELOG and FROM_CHANGELOG: the built-in process table functions, with Flink's messages.

use std::collections::BTreeMap;

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, LogicalPlan};
use flott_core::types::{TimeAttribute, TypeKind};
use flott_core::{Error, LogicalType, Result, RowKind};
use sqlparser::ast::{Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned};
use sqlparser::tokenizer::Span;

use super::node::{FlinkNode, FlinkNodeKind};
use super::refuse::{at, name_text, not_found, unsupported, unsupported_with};
use super::{Binder, Ctes, columns_of, plan_schema};
use crate::parser::dialect::MAP_CALL;

/// Both.
pub(crate) const FUNCTIONS: [&str; 2] = ["TO_CHANGELOG", "FROM_CHANGELOG"];
/// Their arguments, in order.
const ARGUMENTS: [&str; 5] = ["input", "op", "op_mapping", "on_time", "uid"];
/// What Flink calls the four kinds.
const KINDS: [(&str, RowKind); 4] = [
    ("INSERT", RowKind::Insert),
    ("UPDATE_BEFORE", RowKind::UpdateBefore),
    ("UPDATE_AFTER", RowKind::UpdateAfter),
    ("DELETE", RowKind::Delete),
];
/// The column that `on_time` adds.
const ROWTIME: &str = "rowtime";

/// A call of one of the functions over a plan; names are columns of its input.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangelogCall {
    /// Which one, and what codes mean.
    pub function: ChangelogFunction,
    /// The time attribute that comes once more as the last column.
    pub on_time: Option<String>,
    /// What the query calls the operator.
    pub uid: Option<String>,
    /// The call as Flink's plans print it.
    pub invocation: String,
}

/// Which function.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangelogFunction {
    /// Changes as rows; the first output column has their codes, in the order of [`RowKind::ALL`].
    To([Option<String>; 4]),
    /// Rows as changes.
    From {
        /// The column with the code.
        op: String,
        /// What a code means.
        codes: Vec<(String, RowKind)>,
    },
}

/// Plans a call.
pub(crate) fn bind(
    binder: &Binder<'_>,
    function: &str,
    args: &[FunctionArg],
    ctes: &Ctes,
    span: Span,
) -> Result<LogicalPlan> {
    if binder.is_batch() {
        return Err(unsupported_with(
            format!("{function} in a batch"),
            span,
            "Flink has process table functions only in streams: SET 'execution.runtime-mode' = 'STREAMING'",
        ));
    }
    let given = arguments(function, &ARGUMENTS, args, span)?;
    let Some(input) = given.get("input").copied() else {
        return Err(at(
            Error::user(format!("No match found for function signature {function}()."))
                .hint(format!("Its arguments, in order: {}", ARGUMENTS.join(", "))),
            span,
        ));
    };
    if !is_table(input) {
        return Err(at(
            Error::user("Invalid argument value. Argument 'input' expects a table to be passed.")
                .hint(format!("Write {function}(input => TABLE t)")),
            input.span(),
        ));
    }
    let (plan, partition_by) = binder.table_argument(input, function, &[], ctes)?;
    if !partition_by.is_empty() {
        return Err(at(
            Error::user(format!(
                "Only tables with set semantics may be partitioned. Invalid PARTITION BY clause in the 0-th operand of \
                 table function '{function}'"
            ))
            .hint("Leave PARTITION BY out: each row is a change of its own"),
            input.span(),
        ));
    }
    let columns = columns_of(plan.schema())?;
    let op = given.get("op").map(|e| descriptor(e, "op")).transpose()?;
    let mapping = given.get("op_mapping").map(|e| mapping(binder, e)).transpose()?.flatten();
    let on_time = given.get("on_time").map(|e| time_column(e, &columns)).transpose()?;
    let uid = given.get("uid").map(|e| constant(binder, e, "uid")).transpose()?;
    let name = op.clone().unwrap_or_else(|| "op".to_string());
    let mut output: Vec<(String, LogicalType)> = vec![];
    let call = if function == "TO_CHANGELOG" {
        output.push((name, TypeKind::STRING.nullable()));
        output.extend(columns.iter().cloned());
        ChangelogFunction::To(match &mapping {
            Some(mapping) => codes_of_kinds(mapping, span)?,
            None => KINDS.map(|(code, _)| Some(code.to_string())),
        })
    } else {
        let Some((_, data_type)) = columns.iter().find(|c| c.0 == name) else {
            let known: Vec<&str> = columns.iter().map(|c| c.0.as_str()).collect();
            let hint = format!("Name it with op => DESCRIPTOR(column); the columns are {}", known.join(", "));
            return Err(at(
                Error::user(format!("The op column '{name}' does not exist in the input schema.")).hint(hint),
                span,
            ));
        };
        if !matches!(data_type.kind, TypeKind::Char(_) | TypeKind::VarChar(_)) {
            return Err(at(
                Error::user(format!("The op column '{name}' must be of STRING type, but was '{data_type}'."))
                    .hint("Cast it in a sub-query or view"),
                span,
            ));
        }
        output.extend(columns.iter().filter(|c| c.0 != name).cloned());
        let codes = match &mapping {
            Some(mapping) => kinds_of_codes(mapping, span)?,
            None => KINDS.map(|(code, kind)| (code.to_string(), kind)).to_vec(),
        };
        ChangelogFunction::From { op: name, codes }
    };
    if let Some(on_time) = &on_time {
        let data_type = columns.iter().find(|c| c.0 == *on_time).map(|c| c.1.clone());
        output.push((ROWTIME.to_string(), data_type.ok_or_else(|| Error::internal("the time column vanished"))?));
    }
    unique(&output, span)?;
    let texts = [
        op.map(|o| format!("DESCRIPTOR(_UTF-16LE'{o}')")),
        mapping.map(|m| map_text(&m)),
        on_time.as_ref().map(|t| format!("DESCRIPTOR(_UTF-16LE'{t}')")),
        uid.as_ref().map(|u| format!("_UTF-16LE'{u}'")),
    ];
    let texts = texts.map(|t| t.unwrap_or_else(|| "DEFAULT()".to_string()));
    let invocation = format!("{function}(TABLE(#0), {})", texts.join(", "));
    let schema = plan_schema(output.iter().map(|(n, t)| (n.as_str(), t)))?;
    let kind = FlinkNodeKind::Changelog(ChangelogCall { function: call, on_time, uid, invocation });
    Ok(FlinkNode::plan(kind, plan, schema))
}

/// The arguments by their names: all with names, or all without.
pub(crate) fn arguments<'q>(
    function: &str,
    parameters: &[&'static str],
    args: &'q [FunctionArg],
    span: Span,
) -> Result<BTreeMap<&'static str, &'q Ast>> {
    let mut given: BTreeMap<&'static str, &Ast> = BTreeMap::new();
    let mut named = 0;
    for (place, argument) in args.iter().enumerate() {
        let (name, arg) = match argument {
            FunctionArg::Named { name, arg, .. } => (Some(name), arg),
            FunctionArg::ExprNamed { name: Ast::Identifier(name), arg, .. } => (Some(name), arg),
            FunctionArg::ExprNamed { name, .. } => return Err(unsupported("this argument name", name.span())),
            FunctionArg::Unnamed(arg) => (None, arg),
        };
        let FunctionArgExpr::Expr(e) = arg else {
            return Err(unsupported(format!("* as an argument of {function}"), span));
        };
        let parameter = match name {
            Some(name) => {
                named += 1;
                parameters.iter().copied().find(|p| p.eq_ignore_ascii_case(&name.value)).ok_or_else(|| {
                    let message = format!("{function} has no argument '{}'", name.value);
                    not_found(message, &name.value, parameters.iter().copied(), "Its arguments", name.span)
                })?
            }
            None => *parameters.get(place).ok_or_else(|| {
                at(
                    Error::user(format!("{function} takes at most {} arguments", parameters.len()))
                        .hint(format!("Its arguments: {}", parameters.join(", "))),
                    e.span(),
                )
            })?,
        };
        if is_default(e) {
            continue;
        }
        if given.insert(parameter, e).is_some() {
            return Err(at(Error::user(format!("{function} got {parameter} twice")).hint("Give it once"), e.span()));
        }
    }
    if named != 0 && named != args.len() {
        return Err(at(
            Error::user(format!("{function} mixes arguments with and without names"))
                .hint("Give all of them names, as in input => TABLE t, or none"),
            span,
        ));
    }
    Ok(given)
}

fn is_default(e: &Ast) -> bool {
    match e {
        Ast::Identifier(id) => id.quote_style.is_none() && id.value.eq_ignore_ascii_case("DEFAULT"),
        _ => false,
    }
}

fn is_table(e: &Ast) -> bool {
    match e {
        Ast::Nested(inner) => is_table(inner),
        Ast::Subquery(_) => true,
        Ast::Function(f) => name_text(&f.name) == crate::parser::dialect::TABLE_CALL,
        _ => false,
    }
}

/// `DESCRIPTOR(column)`; the column need not be there.
fn descriptor(e: &Ast, argument: &str) -> Result<String> {
    let wrong = || {
        at(
            Error::user(format!("The argument '{argument}' is a DESCRIPTOR, not {e}"))
                .hint(format!("Write {argument} => DESCRIPTOR(column)")),
            e.span(),
        )
    };
    let Ast::Function(f) = e else { return Err(wrong()) };
    let FunctionArguments::List(list) = &f.args else { return Err(wrong()) };
    if !name_text(&f.name).eq_ignore_ascii_case("DESCRIPTOR") {
        return Err(wrong());
    }
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Ast::Identifier(id)))] => Ok(id.value.clone()),
        _ => Err(at(
            Error::user(format!("The descriptor for argument '{argument}' must contain exactly one column name."))
                .hint(format!("Write {argument} => DESCRIPTOR(column)")),
            e.span(),
        )),
    }
}

/// The column that `on_time` names: an event time.
fn time_column(e: &Ast, columns: &[(String, LogicalType)]) -> Result<String> {
    let name = descriptor(e, "on_time")?;
    let known = || columns.iter().map(|c| c.0.as_str());
    let Some((_, data_type)) = columns.iter().find(|c| c.0 == name) else {
        let message = format!("The column '{name}' of the argument 'on_time' does not exist in the input schema");
        return Err(not_found(message, &name, known(), "Columns", e.span()));
    };
    if !matches!(data_type.kind, TypeKind::Timestamp(0..=3, _) | TypeKind::TimestampLtz(0..=3, _)) {
        return Err(at(
            Error::user(format!(
                "Unsupported data type for time attribute. The `on_time` argument must reference a TIMESTAMP or \
                 TIMESTAMP_LTZ column (up to precision 3). However, column '{name}' in table argument 'input' has data \
                 type '{data_type}'."
            ))
            .hint("Name the column with the WATERMARK"),
            e.span(),
        ));
    }
    if data_type.kind.time_attribute() != TimeAttribute::Rowtime {
        return Err(at(
            Error::user(format!("The column '{name}' of the argument 'on_time' is no event time"))
                .hint("Declare WATERMARK FOR on it"),
            e.span(),
        ));
    }
    Ok(name)
}

/// A constant text.
fn constant(binder: &Binder<'_>, e: &Ast, argument: &str) -> Result<String> {
    let bound = binder.expression(e, &[])?;
    match super::window::unaliased(&bound.expr) {
        Expr::Literal(
            ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)),
            _,
        ) => Ok(text.clone()),
        _ => Err(at(
            Error::user(format!(
                "The '{argument}' argument must be a constant {}.",
                match argument {
                    "op_mapping" => "MAP literal",
                    _ => "STRING",
                }
            ))
            .hint("Write texts in quotes"),
            e.span(),
        )),
    }
}

/// `MAP['a', 'b']`; `None` where it is NULL.
fn mapping(binder: &Binder<'_>, e: &Ast) -> Result<Option<Vec<(String, String)>>> {
    map_of_texts(binder, e, "op_mapping")
}

/// The same for any argument.
pub(crate) fn map_of_texts(binder: &Binder<'_>, e: &Ast, argument: &str) -> Result<Option<Vec<(String, String)>>> {
    if let Ast::Function(f) = e
        && name_text(&f.name) == MAP_CALL
        && let FunctionArguments::List(list) = &f.args
    {
        let mut texts = vec![];
        for arg in &list.args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) = arg else { continue };
            texts.push(constant(binder, e, argument)?);
        }
        if texts.len() % 2 == 1 {
            let error = Error::user(format!("The '{argument}' argument has a key without a value."));
            return Err(at(error.hint("Write for instance MAP['INSERT', 'I', 'DELETE', 'D']"), f.span()));
        }
        let pairs = texts.chunks(2).filter_map(|pair| Some((pair.first()?.clone(), pair.get(1)?.clone())));
        return Ok(Some(pairs.collect()));
    }
    let bound = binder.expression(e, &[])?;
    match super::window::unaliased(&bound.expr) {
        Expr::Literal(value, _) if value.is_null() => Ok(None),
        _ => Err(at(
            Error::user(format!("The '{argument}' argument must be a constant MAP literal."))
                .hint("Write for instance MAP['INSERT', 'I', 'DELETE', 'D']"),
            e.span(),
        )),
    }
}

fn invalid(what: String, hint: &str, span: Span) -> Error {
    at(Error::user(format!("Invalid target mapping for argument 'op_mapping'. {what}")).hint(hint), span)
}

fn kind_of(name: &str, span: Span) -> Result<RowKind> {
    KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind).ok_or_else(|| {
        invalid(
            format!(
                "Unknown change operation: '{name}'. Valid values are: [{}].",
                KINDS.map(|(known, _)| known).join(", ")
            ),
            "The names are in upper case",
            span,
        )
    })
}

/// `'INSERT, UPDATE_AFTER' -> 'x'`
fn codes_of_kinds(mapping: &[(String, String)], span: Span) -> Result<[Option<String>; 4]> {
    let mut codes: [Option<String>; 4] = Default::default();
    for (names, code) in mapping {
        for name in names.split(',').map(str::trim) {
            let slot = &mut codes[kind_of(name, span)?.code() as usize & 3];
            if slot.replace(code.clone()).is_some() {
                let what = format!("Duplicate change operation: '{name}'.");
                return Err(invalid(what, "Name each change operation once", span));
            }
        }
    }
    Ok(codes)
}

/// `'c, r' -> 'INSERT'`
fn kinds_of_codes(mapping: &[(String, String)], span: Span) -> Result<Vec<(String, RowKind)>> {
    let mut codes: Vec<(String, RowKind)> = vec![];
    let mut seen: Vec<RowKind> = vec![];
    for (names, kind) in mapping {
        let kind_name = kind.trim();
        let kind = kind_of(kind_name, span)?;
        if seen.contains(&kind) {
            return Err(invalid(
                format!(
                    "Duplicate change operation: '{kind_name}'. Use comma-separated keys to map multiple codes to the \
                     same operation (e.g., MAP['c, r', 'INSERT'])."
                ),
                "Name each change operation once",
                span,
            ));
        }
        seen.push(kind);
        for code in names.split(',').map(str::trim) {
            if codes.iter().any(|(known, _)| known == code) {
                return Err(invalid(format!("The code '{code}' stands there twice."), "Map each code once", span));
            }
            codes.push((code.to_string(), kind));
        }
    }
    if seen.contains(&RowKind::UpdateAfter) && !seen.contains(&RowKind::UpdateBefore) {
        return Err(at(
            Error::user(
                "The 'op_mapping' must include UPDATE_BEFORE for retract mode. Upsert mode (without UPDATE_BEFORE) is not \
                 supported in this version.",
            )
            .hint("Map a code to UPDATE_BEFORE, too"),
            span,
        ));
    }
    Ok(codes)
}

fn map_text(mapping: &[(String, String)]) -> String {
    let texts: Vec<String> =
        mapping.iter().flat_map(|(k, v)| [k, v]).map(|text| format!("_UTF-16LE'{text}'")).collect();
    format!("MAP({})", texts.join(", "))
}

fn unique(columns: &[(String, LogicalType)], span: Span) -> Result<()> {
    let twice = columns.iter().enumerate().find(|(i, c)| columns[..*i].iter().any(|before| before.0 == c.0));
    match twice {
        None => Ok(()),
        Some((_, (name, _))) => Err(at(
            Error::user(format!("Field names must be unique. Found duplicates: [{name}]"))
                .hint("Give the code another name with op => DESCRIPTOR(name), or rename the column in a sub-query"),
            span,
        )),
    }
}
