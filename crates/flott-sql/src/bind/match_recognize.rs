//! MATCH_RECOGNIZE: pattern, conditions and measures.
//!
//! References to rows of the pattern (`A.price`, `FIRST(A.price, 2)`, `SUM(B.tax)`) become columns: an expression over them is
//! then an ordinary one.

use std::ops::ControlFlow;

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, LogicalPlan};
use flott_core::types::{TimeAttribute, TypeKind};
use flott_core::{Error, LogicalType, Result};
use flott_function::AggregateKind;
use flott_graph::{AfterMatch, PatternQuantifier};
use sqlparser::ast::{
    self, Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, MatchRecognizePattern,
    MatchRecognizeSymbol, RepetitionQuantifier, Spanned, VisitMut, VisitorMut,
};
use sqlparser::tokenizer::Span;

use super::expression::{ExpressionBinder, arguments};
use super::node::{FlinkNode, FlinkNodeKind, OrderKey};
use super::over::direction;
use super::refuse::{At, at, name_text, not_found, refuse_if, unsupported, unsupported_with};
use super::scope::{Scope, ScopeColumn, Typed, columns_of, plan_schema};
use super::{Binder, Ctes};
use crate::parser::match_recognize::{FINAL_PREFIX, RUNNING_PREFIX, SUBSET_DEFINITION, WITHIN_DEFINITION};

/// A pattern over rows in an order. Its columns: the partition's, then the measures.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// Columns that rows of a partition agree in.
    pub partition: Vec<String>,
    /// The order; the first column is a time attribute.
    pub order: Vec<OrderKey>,
    /// Which.
    pub attribute: TimeAttribute,
    /// The pattern.
    pub variables: Vec<Variable>,
    /// A match takes less than so long.
    pub within_ms: Option<i64>,
    /// Where the next match may start.
    pub after_match: AfterMatch,
    /// What the measures read.
    pub references: Vec<Reference>,
    /// The measures over the columns that the references are.
    pub measures: Vec<(String, Expr)>,
}

/// A variable of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// How many rows.
    pub quantifier: PatternQuantifier,
    /// What its condition reads besides the row's columns.
    pub references: Vec<Reference>,
    /// Which rows; `None` is any.
    pub condition: Option<Expr>,
}

/// A value of the matched rows, as a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Its column.
    pub name: String,
    /// Its type.
    pub data_type: LogicalType,
    /// Which.
    pub value: ReferenceValue,
}

/// Which value a reference is. `variable` is a place in the pattern, `None` all variables.
#[derive(Debug, Clone, PartialEq)]
pub enum ReferenceValue {
    /// A column of the row at an offset from the first or the last one.
    Row {
        /// Of which variable.
        variable: Option<usize>,
        /// From the first on.
        first: bool,
        /// How far.
        offset: usize,
        /// The column of the input.
        column: String,
    },
    /// An aggregate of arguments over the columns of the input.
    Aggregate {
        /// Over the rows of which variable.
        variable: Option<usize>,
        /// Which function.
        kind: AggregateKind,
        /// Its arguments with their types.
        arguments: Vec<(Expr, LogicalType)>,
    },
    /// MATCH_ROWTIME.
    Rowtime,
}

/// The clauses of a MATCH_RECOGNIZE.
pub(super) struct Clauses<'a> {
    pub(super) partition_by: &'a [Ast],
    pub(super) order_by: &'a [ast::OrderByExpr],
    pub(super) measures: &'a [ast::Measure],
    pub(super) rows_per_match: Option<&'a ast::RowsPerMatch>,
    pub(super) after_match_skip: Option<&'a ast::AfterMatchSkip>,
    pub(super) pattern: &'a MatchRecognizePattern,
    pub(super) symbols: &'a [ast::SymbolDefinition],
}

impl Binder<'_> {
    /// Plans a MATCH_RECOGNIZE.
    pub(super) fn match_recognize(
        &self,
        table: &ast::TableFactor,
        clauses: &Clauses<'_>,
        ctes: &Ctes,
    ) -> Result<LogicalPlan> {
        let span = table.span();
        let (input, scope) = self.table_factor(table, ctes)?;
        if matches!(clauses.rows_per_match, Some(ast::RowsPerMatch::AllRows(_))) {
            return Err(at(
                Error::user("All rows per match mode is not supported yet.").hint("Write ONE ROW PER MATCH"),
                span,
            ));
        }
        let mut variables = vec![];
        pattern(clauses.pattern, &mut variables, span)?;
        check_pattern(&variables, span)?;
        let place = |id: &Ident| {
            variables.iter().position(|v| v.name == id.value).ok_or_else(|| {
                not_found(
                    format!("Unknown pattern '{}'", id.value),
                    &id.value,
                    variables.iter().map(|v| v.name.as_str()),
                    "Pattern variables",
                    id.span,
                )
            })
        };
        let after_match = match clauses.after_match_skip {
            None | Some(ast::AfterMatchSkip::ToNextRow) => AfterMatch::ToNextRow,
            Some(ast::AfterMatchSkip::PastLastRow) => AfterMatch::PastLastRow,
            Some(ast::AfterMatchSkip::ToFirst(v)) => AfterMatch::ToFirst(place(v)?),
            Some(ast::AfterMatchSkip::ToLast(v)) => AfterMatch::ToLast(place(v)?),
        };
        let columns = columns_of(input.schema())?;
        let partition = clauses
            .partition_by
            .iter()
            .map(|e| self.match_column(e, &scope, "PARTITION BY"))
            .collect::<Result<Vec<_>>>()?;
        let (order, attribute) = self.match_order(clauses.order_by, &scope, &columns, span)?;
        let mut within_ms = None;
        let mut conditions = vec![];
        for ast::SymbolDefinition { symbol, definition } in clauses.symbols {
            match symbol.value.as_str() {
                WITHIN_DEFINITION => within_ms = Some(self.pattern_interval(definition)?),
                // A union of variables can be defined, but not read: of its rows Flink finds none.
                SUBSET_DEFINITION => {}
                _ => {
                    if conditions.iter().any(|(s, _): &(&Ident, &Ast)| s.value == symbol.value) {
                        return Err(at(
                            Error::user(format!("Pattern variable '{}' has already been defined", symbol.value))
                                .hint("Join both conditions with AND"),
                            symbol.span,
                        ));
                    }
                    conditions.push((symbol, definition));
                }
            }
        }
        for (symbol, definition) in conditions {
            // A definition that the pattern does not use is checked all the same.
            let number = variables.iter().position(|v| v.name == symbol.value);
            let names: Vec<String> = variables.iter().map(|v| v.name.clone()).collect();
            let mut rows = RowBinder::new(self, &scope, names, number.or(Some(usize::MAX)));
            let bound = rows.condition(definition);
            if number.is_none() {
                let unused = unknown_variable(symbol, variables.iter().map(|v| v.name.as_str()));
                bound.map_err(|_| unused)?;
                tracing::warn!("DEFINE {symbol} has no effect: the pattern has no variable '{}'", symbol.value);
                continue;
            }
            let bound = bound?;
            if let Some(number) = number {
                variables[number].references = rows.references;
                variables[number].condition = Some(bound.expr);
            }
        }
        let names: Vec<String> = variables.iter().map(|v| v.name.clone()).collect();
        let mut rows = RowBinder::new(self, &scope, names, None);
        let mut output: Vec<(String, LogicalType)> = vec![];
        for name in &partition {
            let data_type = columns.iter().find(|c| c.0 == *name).map(|c| c.1.clone());
            output.push((name.clone(), data_type.ok_or_else(|| Error::internal("a partition column is missing"))?));
        }
        let mut measures = vec![];
        for ast::Measure { expr, alias } in clauses.measures {
            let bound = rows.measure(expr)?;
            if output.iter().any(|c| c.0 == alias.value) {
                return Err(at(
                    Error::user(format!("Columns ambiguously defined: {{{}}}", alias.value))
                        .hint("Give the measure another name"),
                    alias.span,
                ));
            }
            output.push((alias.value.clone(), bound.data_type));
            measures.push((alias.value.clone(), super::fold::fold_casts(bound.expr)?));
        }
        if measures.is_empty() {
            return Err(at(
                Error::user("Columns ambiguously defined: {}").hint("Write MEASURES with at least one of them"),
                span,
            ));
        }
        let schema = plan_schema(output.iter().map(|(n, t)| (n.as_str(), t)))?;
        let references = rows.references;
        let node = Match { partition, order, attribute, variables, within_ms, after_match, references, measures };
        Ok(FlinkNode::plan(FlinkNodeKind::Match(node), input, schema))
    }

    fn match_column(&self, e: &Ast, scope: &Scope, clause: &'static str) -> Result<String> {
        let bound = ExpressionBinder::new(&self.functions, scope, clause).bind(e)?;
        match bound.expr {
            Expr::Column(c) => Ok(c.name),
            _ => Err(unsupported_with(
                format!("an expression in {clause} of MATCH_RECOGNIZE"),
                e.span(),
                "Compute it as a column in a sub-query or view before",
            )),
        }
    }

    fn match_order(
        &self,
        order_by: &[ast::OrderByExpr],
        scope: &Scope,
        columns: &[(String, LogicalType)],
        span: Span,
    ) -> Result<(Vec<OrderKey>, TimeAttribute)> {
        let mut order = vec![];
        for key in order_by {
            let (ascending, nulls_last) = direction(key)?;
            order.push(OrderKey { column: self.match_column(&key.expr, scope, "ORDER BY")?, ascending, nulls_last });
        }
        let time = "Order by a column with WATERMARK FOR, or by one AS PROCTIME(), first";
        let Some(first) = order.first() else {
            let message = match self.is_batch() {
                true => "You must specify non-empty order by.",
                false => "You must specify either rowtime or proctime for order by.",
            };
            return Err(at(Error::user(message).hint(time), span));
        };
        let kind = columns.iter().find(|c| c.0 == first.column).map(|c| &c.1.kind);
        let place = order_by.first().map_or(span, |o| o.expr.span());
        let attribute = match kind.map(TypeKind::time_attribute).unwrap_or_default() {
            // In a batch every row is there before the first one is matched.
            TimeAttribute::None if self.is_batch() => {
                if !kind.is_some_and(TypeKind::is_timestamp) {
                    return Err(at(
                        Error::user("You must specify time point for order by as the first one.").hint(time),
                        place,
                    ));
                }
                TimeAttribute::Rowtime
            }
            TimeAttribute::None => {
                return Err(at(
                    Error::user("You must specify either rowtime or proctime for order by as the first one.")
                        .hint(time),
                    place,
                ));
            }
            attribute => attribute,
        };
        if !first.ascending {
            let what = if self.is_batch() { "table" } else { "streaming table" };
            return Err(at(
                Error::user(format!("Primary sort order of a {what} must be ascending on time."))
                    .hint("Order by the time attribute ascending"),
                place,
            ));
        }
        Ok((order, attribute))
    }

    fn pattern_interval(&self, e: &Ast) -> Result<i64> {
        match self.expression(e, &[])?.expr {
            Expr::Literal(ScalarValue::DurationMillisecond(Some(ms)), _) => Ok(ms),
            _ => Err(at(
                Error::user(
                    "Only constant intervals with millisecond resolution are supported as time constraints of patterns.",
                )
                .hint("Write WITHIN INTERVAL '1' HOUR"),
                e.span(),
            )),
        }
    }
}

/// The error for a name that is no variable of the pattern, where that stands.
fn unknown_variable<'a>(name: &Ident, variables: impl Iterator<Item = &'a str>) -> Error {
    not_found(
        format!("Table '{0}' not found: the pattern has no variable '{0}'", name.value),
        &name.value,
        variables,
        "Pattern variables (those of SUBSET cannot be read)",
        name.span,
    )
}

fn refused(what: String, why: &str, span: Span) -> Error {
    at(
        Error::user(format!("Expression not supported: {what}{why}"))
            .hint("A pattern is a list of variables, each with a quantifier where one is needed: PATTERN (A B+ C)"),
        span,
    )
}

/// The variables of a pattern in order.
fn pattern(pattern: &MatchRecognizePattern, into: &mut Vec<Variable>, span: Span) -> Result<()> {
    match pattern {
        MatchRecognizePattern::Symbol(symbol) => {
            into.push(variable(symbol, PatternQuantifier::ONE, span)?);
            Ok(())
        }
        MatchRecognizePattern::Concat(parts) => parts.iter().try_for_each(|p| self::pattern(p, into, span)),
        MatchRecognizePattern::Group(inner) => self::pattern(inner, into, span),
        MatchRecognizePattern::Repetition(inner, quantifier) => {
            // `A+?`: a quantifier behind a quantifier makes it reluctant.
            let (inner, quantifier, greedy) = match (inner.as_ref(), quantifier) {
                (MatchRecognizePattern::Repetition(inner, quantifier), RepetitionQuantifier::AtMostOne) => {
                    (inner.as_ref(), quantifier, false)
                }
                (inner, quantifier) => (inner, quantifier, true),
            };
            let mut one = inner;
            while let MatchRecognizePattern::Group(grouped) = one {
                one = grouped;
            }
            let MatchRecognizePattern::Symbol(symbol) = one else {
                return Err(refused(inner.to_string(), " Group patterns are not supported yet.", span));
            };
            let (at_least, at_most) = match quantifier {
                RepetitionQuantifier::ZeroOrMore => (0, None),
                RepetitionQuantifier::OneOrMore => (1, None),
                RepetitionQuantifier::AtMostOne => (0, Some(1)),
                RepetitionQuantifier::Exactly(n) => (*n, Some(*n)),
                RepetitionQuantifier::AtLeast(n) => (*n, None),
                RepetitionQuantifier::AtMost(n) => (0, Some(*n)),
                RepetitionQuantifier::Range(n, m) => (*n, Some(*m)),
            };
            if (at_least, at_most, greedy) == (0, Some(1), false) {
                return Err(at(
                    Error::user("Reluctant optional variables are not supported yet.").hint("Write A? or A*?"),
                    span,
                ));
            }
            if at_most.is_some_and(|most| most < at_least.max(1)) {
                return Err(at(
                    Error::user(format!(
                        "The to should be a number greater than or equal to from: {}.",
                        at_least.max(1)
                    ))
                    .hint("Write the smaller number first; a variable stands for at least one row or is left out"),
                    span,
                ));
            }
            into.push(variable(symbol, PatternQuantifier { at_least, at_most, greedy }, span)?);
            Ok(())
        }
        MatchRecognizePattern::Alternation(_) => {
            Err(refused(pattern.to_string(), ". Currently, CEP doesn't support branching patterns.", span))
        }
        MatchRecognizePattern::Permute(_) => {
            Err(refused(pattern.to_string(), ". Currently, CEP doesn't support PERMUTE patterns.", span))
        }
        MatchRecognizePattern::Exclude(_) => {
            Err(refused(pattern.to_string(), ". Currently, CEP doesn't support '{-' '-}' patterns.", span))
        }
    }
}

fn variable(symbol: &MatchRecognizeSymbol, quantifier: PatternQuantifier, span: Span) -> Result<Variable> {
    match symbol {
        MatchRecognizeSymbol::Named(id) => {
            Ok(Variable { name: id.value.clone(), quantifier, references: vec![], condition: None })
        }
        MatchRecognizeSymbol::Start => Err(unsupported("^ in a pattern", span)),
        MatchRecognizeSymbol::End => Err(unsupported("$ in a pattern", span)),
    }
}

/// What Flink refuses of patterns.
fn check_pattern(variables: &[Variable], span: Span) -> Result<()> {
    let greedy = |v: &Variable| {
        let q = v.quantifier;
        q.greedy && q.at_most != Some(1) && q.at_most != Some(q.at_least)
    };
    for (i, v) in variables.iter().enumerate() {
        if variables[..i].iter().any(|other| other.name == v.name) {
            return Err(at(
                Error::user("Pattern variables must be unique. That might change in the future.")
                    .hint(format!("Use '{}' once, or give it a quantifier", v.name)),
                span,
            ));
        }
        // `{0,n}` is taken.
        let optional = v.quantifier.at_least == 0 && matches!(v.quantifier.at_most, None | Some(1));
        if optional && i > 0 && greedy(&variables[i - 1]) {
            return Err(at(
                Error::user("Optional pattern cannot be preceded by greedy pattern")
                    .hint(format!("Make '{}' reluctant, as in A+?", variables[i - 1].name)),
                span,
            ));
        }
    }
    if variables.iter().all(|v| v.quantifier.at_least == 0) {
        return Err(at(
            Error::user(
                "Patterns that can produce empty matches are not supported. There must be at least one non-optional state.",
            )
            .hint("Give one variable a quantifier that asks for a row"),
            span,
        ));
    }
    if variables.last().is_some_and(greedy) {
        return Err(at(
            Error::user(
                "Greedy quantifiers are not allowed as the last element of a Pattern yet. Finish your pattern with either \
                 a simple variable or reluctant quantifier.",
            )
            .hint("Write A+? at the end, or a variable behind it"),
            span,
        ));
    }
    Ok(())
}

/// Binds expressions over the rows of a pattern.
struct RowBinder<'a> {
    binder: &'a Binder<'a>,
    scope: &'a Scope,
    variables: Vec<String>,
    /// The variable that is defined; `None` in MEASURES.
    defined: Option<usize>,
    references: Vec<Reference>,
}

/// From where a row is counted.
#[derive(Clone, Copy, Default, PartialEq)]
struct Origin {
    first: bool,
    offset: usize,
}

impl<'a> RowBinder<'a> {
    fn new(binder: &'a Binder<'a>, scope: &'a Scope, variables: Vec<String>, defined: Option<usize>) -> RowBinder<'a> {
        RowBinder { binder, scope, variables, defined, references: vec![] }
    }

    fn condition(&mut self, e: &Ast) -> Result<Typed> {
        let e = self.rewritten(e)?;
        let mut scope = Scope::of(self.scope.columns.clone());
        scope.columns.extend(self.columns());
        let bound = ExpressionBinder::new(&self.binder.functions, &scope, "DEFINE").bind(&e)?;
        match bound.data_type.kind {
            TypeKind::Boolean => Ok(Typed { expr: super::fold::fold_casts(bound.expr)?, ..bound }),
            _ => Err(at(
                Error::user("DEFINE clause must be a condition").hint("Compare the value with something"),
                e.span(),
            )),
        }
    }

    fn measure(&mut self, e: &Ast) -> Result<Typed> {
        let e = self.rewritten(e)?;
        let scope = Scope::of(self.columns());
        ExpressionBinder::new(&self.binder.functions, &scope, "MEASURES").bind(&e)
    }

    fn columns(&self) -> Vec<ScopeColumn> {
        let column = |r: &Reference| ScopeColumn {
            qualifier: vec![],
            name: r.name.clone(),
            field: r.name.clone(),
            data_type: r.data_type.clone(),
        };
        self.references.iter().map(column).collect()
    }

    /// The column of a value; equal values share one.
    fn reference(&mut self, value: ReferenceValue, data_type: LogicalType) -> Ident {
        let known = self.references.iter().find(|r| r.value == value).map(|r| r.name.clone());
        let name = known.unwrap_or_else(|| {
            let name = format!("$m{}", self.references.len());
            self.references.push(Reference { name: name.clone(), data_type, value });
            name
        });
        Ident::with_quote('`', name)
    }

    /// The expression with references to rows as columns.
    fn rewritten(&mut self, e: &Ast) -> Result<Ast> {
        let mut e = e.clone();
        let mut rewriter = Rewriter { rows: self, from: None };
        match e.visit(&mut rewriter) {
            ControlFlow::Continue(()) => Ok(e),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// A name of one or more parts: the variable that it belongs to, and the rest.
    fn split<'n>(&self, parts: &'n [Ident]) -> (Option<usize>, &'n [Ident]) {
        match parts.split_first() {
            Some((first, rest)) if !rest.is_empty() => match self.variables.iter().position(|v| *v == first.value) {
                Some(variable) => (Some(variable), rest),
                None => (None, parts),
            },
            _ => (None, parts),
        }
    }

    /// The column of a row, as an expression; fields of it stay behind it.
    fn column(&mut self, parts: &[Ident], from: Option<Origin>, span: Span) -> Result<Option<Ast>> {
        let (variable, rest) = self.split(parts);
        let Some((name, fields)) = rest.split_first() else { return Ok(None) };
        let Some(column) = self.scope.columns.iter().find(|c| c.name == name.value) else {
            if variable.is_none() && !fields.is_empty() {
                return Err(at(unknown_variable(name, self.variables.iter().map(String::as_str)), span));
            }
            if variable.is_some() {
                return Err(not_found(
                    format!("Column '{}' not found in table '{}'", name.value, parts[0].value),
                    &name.value,
                    self.scope.columns.iter().map(|c| c.name.as_str()),
                    "Columns",
                    span,
                ));
            }
            return Ok(None);
        };
        let from = from.unwrap_or_default();
        let of_row =
            self.defined.is_some() && from == Origin::default() && (variable.is_none() || variable == self.defined);
        let (field, data_type) = (column.field.clone(), column.data_type.clone());
        let id = if of_row {
            Ident::with_quote('`', name.value.clone())
        } else {
            let value = ReferenceValue::Row { variable, first: from.first, offset: from.offset, column: field };
            self.reference(value, data_type.with_nullable(true))
        };
        Ok(Some(if fields.is_empty() {
            Ast::Identifier(Ident { span, ..id })
        } else {
            let mut all = vec![id];
            all.extend(fields.iter().cloned());
            Ast::CompoundIdentifier(all)
        }))
    }
}

/// Replaces references to rows.
struct Rewriter<'r, 'a> {
    rows: &'r mut RowBinder<'a>,
    /// Inside FIRST or LAST.
    from: Option<Origin>,
}

impl Rewriter<'_, '_> {
    fn rewrite(&mut self, e: &Ast) -> Result<Option<Ast>> {
        match e {
            Ast::Identifier(id) => self.rows.column(std::slice::from_ref(id), self.from, id.span),
            Ast::CompoundIdentifier(parts) => self.rows.column(parts, self.from, e.span()),
            Ast::Function(f) => self.function(f, e),
            _ => Ok(None),
        }
    }

    fn function(&mut self, f: &ast::Function, e: &Ast) -> Result<Option<Ast>> {
        let (text, span) = (name_text(&f.name), f.name.span());
        let upper = text.to_uppercase();
        if let Some(name) = upper.strip_prefix(RUNNING_PREFIX) {
            return Err(unsupported_with(format!("RUNNING {name}(..)"), span, "Leave RUNNING out"));
        }
        let (upper, of_final) = match upper.strip_prefix(FINAL_PREFIX) {
            Some(name) => (name.to_string(), true),
            None => (upper, false),
        };
        if of_final && self.rows.defined.is_some() {
            return Err(at(
                Error::user(format!("Cannot use RUNNING/FINAL in DEFINE 'FINAL {upper}(..)'")).hint("Leave it out"),
                span,
            ));
        }
        match upper.as_str() {
            "FIRST" | "LAST" | "PREV" | "NEXT" => self.navigation(&upper, f, span).map(Some),
            "CLASSIFIER" | "MATCH_NUMBER" => Err(unsupported_with(
                format!("the function {upper}"),
                span,
                "Flink has it neither; tell matches apart by MATCH_ROWTIME() or a measure",
            )),
            "MATCH_PROCTIME" => {
                let mut call = f.clone();
                call.name = ast::ObjectName::from(vec![Ident::new("PROCTIME")]);
                Ok(Some(Ast::Function(call)))
            }
            "MATCH_ROWTIME" => self.rowtime(f, span).map(Some),
            _ => match AggregateKind::from_name(&upper).filter(|k| f.over.is_none() && !k.name().starts_with('$')) {
                Some(kind) => self.aggregate(kind, f, e, span).map(Some),
                None if of_final => {
                    let mut call = f.clone();
                    call.name = ast::ObjectName::from(vec![Ident::new(upper)]);
                    Ok(Some(Ast::Function(call)))
                }
                None => Ok(None),
            },
        }
    }

    /// `FIRST(e, n)`: the expression with each of its columns at that row.
    fn navigation(&mut self, name: &str, f: &ast::Function, span: Span) -> Result<Ast> {
        let arguments = arguments(f);
        let physical = matches!(name, "PREV" | "NEXT");
        let (e, offset) = match arguments.as_slice() {
            [e] => (*e, usize::from(physical)),
            [e, Ast::Value(v)] => match &v.value {
                ast::Value::Number(n, _) => match n.parse() {
                    Ok(n) => (*e, n),
                    Err(_) => {
                        return Err(unsupported_with(
                            format!("{name} with the offset {n}"),
                            span,
                            "Write a whole number",
                        ));
                    }
                },
                _ => return Err(unsupported_with(format!("this offset of {name}"), span, "Write a whole number")),
            },
            [_, other] => {
                return Err(at(
                    Error::user(format!("the offset of {name} must be a number, not {other}"))
                        .hint(format!("Write {name}(A.x, 1)")),
                    span,
                ));
            }
            _ => {
                return Err(at(
                    Error::user(format!("Invalid number of arguments to function '{name}'"))
                        .hint(format!("Write {name}(A.x) or {name}(A.x, 1)")),
                    span,
                ));
            }
        };
        if physical && self.rows.defined.is_none() {
            return Err(at(
                Error::user(format!("Cannot use PREV/NEXT in MEASURE '{name}({e}, {offset})'"))
                    .hint("LAST(A.x, 1) is the row of A before the last one"),
                span,
            ));
        }
        if physical && offset != 0 {
            return Err(at(
                Error::user("Flink does not support physical offsets within partition.")
                    .hint("LAST(A.x, 1) is the row of A before the last one"),
                span,
            ));
        }
        if self.from.is_some() {
            return Err(at(
                Error::user(format!("Cannot nest PREV/NEXT under LAST/FIRST '{e}'")).hint("Use one of them"),
                span,
            ));
        }
        self.one_variable(e, name, span)?;
        let from = Origin { first: name == "FIRST", offset };
        let mut e = e.clone();
        let mut inner = Rewriter { rows: self.rows, from: Some(from) };
        match e.visit(&mut inner) {
            ControlFlow::Continue(()) => Ok(Ast::Nested(Box::new(e))),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// The one variable that an expression reads: `None` where its names have none before them.
    fn one_variable(&self, e: &Ast, of: &str, span: Span) -> Result<Option<usize>> {
        let mut found: Vec<Option<usize>> = vec![];
        let mut unknown: Option<Ident> = None;
        let walked = ast::visit_expressions(e, |e| {
            let parts = match e {
                Ast::Identifier(id) => std::slice::from_ref(id),
                Ast::CompoundIdentifier(parts) => parts.as_slice(),
                _ => return ControlFlow::<()>::Continue(()),
            };
            let (variable, rest) = self.rows.split(parts);
            let known = rest.first().is_some_and(|n| self.rows.scope.columns.iter().any(|c| c.name == n.value));
            if known && !found.contains(&variable) {
                found.push(variable);
            }
            if !known && variable.is_none() && parts.len() > 1 {
                unknown.get_or_insert(parts[0].clone());
            }
            ControlFlow::Continue(())
        });
        debug_assert!(walked.is_continue());
        let shown = if matches!(e, Ast::Function(_)) { e.to_string() } else { format!("{of}({e})") };
        match (found.as_slice(), &unknown) {
            ([one], _) => Ok(*one),
            ([], Some(name)) => Err(unknown_variable(name, self.rows.variables.iter().map(String::as_str))),
            ([], None) => {
                Err(at(Error::user(format!("Null parameters in '{shown}'")).hint("Name a column of the rows"), span))
            }
            _ => Err(at(
                Error::user(format!("Multiple pattern variables in '{shown}'")).hint("Read the rows of one variable"),
                span,
            )),
        }
    }

    fn aggregate(&mut self, kind: AggregateKind, f: &ast::Function, e: &Ast, span: Span) -> Result<Ast> {
        let FunctionArguments::List(list) = &f.args else {
            return Err(unsupported(format!("this argument of {kind}"), span));
        };
        refuse_if(f.filter.is_some(), &format!("FILTER after {kind} in MATCH_RECOGNIZE"), span)?;
        refuse_if(!f.within_group.is_empty(), "WITHIN GROUP in MATCH_RECOGNIZE", span)?;
        refuse_if(!list.clauses.is_empty(), &format!("clauses inside {kind}(..)"), span)?;
        if matches!(list.duplicate_treatment, Some(ast::DuplicateTreatment::Distinct)) {
            return Err(at(
                Error::user(format!("DISTINCT/ALL not allowed with {kind}(DISTINCT ..) function"))
                    .hint("Leave DISTINCT out"),
                span,
            ));
        }
        let counts_rows = kind == AggregateKind::Count
            && matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
        let (mut variable, mut bound) = (None, vec![]);
        if !counts_rows {
            variable = self.one_variable(e, kind.name(), span)?;
            for argument in arguments(f) {
                let plain = self.plain(argument);
                bound.push(
                    ExpressionBinder::new(&self.rows.binder.functions, self.rows.scope, "an aggregate").bind(&plain)?,
                );
            }
            if bound.len() != 1 || list.args.len() != 1 {
                return Err(unsupported(format!("{kind} with {} arguments in MATCH_RECOGNIZE", list.args.len()), span));
            }
        }
        let types: Vec<LogicalType> = bound.iter().map(|b| b.data_type.clone()).collect();
        let result = self.rows.binder.functions.aggregate_type(kind, &types, false).at_span(span)?;
        let folded = |b: Typed| -> Result<(Expr, LogicalType)> { Ok((super::fold::fold_casts(b.expr)?, b.data_type)) };
        let arguments = bound.into_iter().map(folded).collect::<Result<Vec<_>>>()?;
        let value = ReferenceValue::Aggregate { variable, kind, arguments };
        let id = self.rows.reference(value, result);
        Ok(Ast::Identifier(Ident { span, ..id }))
    }

    /// The expression without variables before its names.
    fn plain(&self, e: &Ast) -> Ast {
        let mut e = e.clone();
        let walked = ast::visit_expressions_mut(&mut e, |e| {
            if let Ast::CompoundIdentifier(parts) = e
                && let (Some(_), rest) = self.rows.split(parts)
            {
                *e = match rest {
                    [one] => Ast::Identifier(one.clone()),
                    rest => Ast::CompoundIdentifier(rest.to_vec()),
                };
            }
            ControlFlow::<()>::Continue(())
        });
        debug_assert!(walked.is_continue());
        e
    }

    fn rowtime(&mut self, f: &ast::Function, span: Span) -> Result<Ast> {
        let wrong = |actual: String| {
            at(
                Error::user(format!(
                    "The function MATCH_ROWTIME requires argument to be a row time attribute type, but is '{actual}'."
                ))
                .hint("Give the column with WATERMARK FOR, or nothing"),
                span,
            )
        };
        let ltz = |t: &LogicalType| matches!(t.kind, TypeKind::TimestampLtz(..));
        let data_type = match arguments(f).as_slice() {
            [] => {
                let rowtimes = self
                    .rows
                    .scope
                    .columns
                    .iter()
                    .filter(|c| c.data_type.kind.time_attribute() == TimeAttribute::Rowtime);
                let first = rowtimes.map(|c| c.data_type.clone()).next();
                match first {
                    Some(t) if ltz(&t) => t,
                    _ => TypeKind::timestamp(3).nullable().with_time_attribute(TimeAttribute::Rowtime),
                }
            }
            [e @ (Ast::Identifier(_) | Ast::CompoundIdentifier(_))] => {
                let plain = self.plain(e);
                let bound = ExpressionBinder::new(&self.rows.binder.functions, self.rows.scope, "MATCH_ROWTIME")
                    .bind(&plain)?;
                if bound.data_type.kind.time_attribute() != TimeAttribute::Rowtime {
                    return Err(wrong(bound.data_type.summary_without_nullability()));
                }
                bound.data_type
            }
            _ => {
                return Err(at(
                    Error::user(
                        "The function MATCH_ROWTIME requires a field reference as argument, but actual argument is not a \
                         simple field reference.",
                    )
                    .hint("Give the column with WATERMARK FOR, or nothing"),
                    span,
                ));
            }
        };
        let id = self.rows.reference(ReferenceValue::Rowtime, data_type.with_nullable(false));
        Ok(Ast::Identifier(Ident { span, ..id }))
    }
}

impl VisitorMut for Rewriter<'_, '_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, e: &mut Ast) -> ControlFlow<Error> {
        match self.rewrite(e) {
            // What stands there now has no reference to a row any more, but the walk goes down into it: a name that begins
            // with a dollar sign is no column of the input.
            Ok(Some(new)) => *e = new,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}
