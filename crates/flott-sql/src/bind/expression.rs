//! Expressions of the AST to expressions over a plan's columns, with Flink's types.
//!
//! The match over the AST is exhaustive and destructures every field: what is not planned is refused by its name, and a
//! field that a later parser adds does not compile until someone decides about it.

use datafusion_common::ScalarValue;
use datafusion_expr::expr::{Case, InList};
use datafusion_expr::{Expr, Operator};
use flott_core::types::TypeKind;
use flott_core::{Error, LogicalType, Result};
use flott_function::AggregateKind;
use sqlparser::ast::{
    self, AccessExpr, BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DuplicateTreatment, Expr as Ast, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArguments, NullTreatment, Spanned, Subscript, TrimWhereField,
    UnaryOperator, Value,
};

use super::access;
use super::aggregate::Aggregates;
use super::functions::Functions;
use super::literal;
use super::over::OverCalls;
use super::refuse::{At, at, name_parts, name_text, not_found, refuse_if, unsupported, unsupported_with};
use super::scope::{Resolved, Scope, Typed};
use crate::parser::dialect::{BETWEEN_SYMMETRIC_CALL, MAP_CALL, MILLIS_BETWEEN_CALL, MONTHS_BETWEEN_CALL, when_values};
use crate::parser::json::JSON_CALL_PREFIX;

/// How deep expressions may nest; chains of one operator count once.
pub const EXPRESSION_DEPTH_MAX: usize = 256;
/// How many operands a chain (`a + b + c`, `x OR y OR z`) may have.
pub const CHAIN_LENGTH_MAX: usize = 2_000;

/// Binds expressions in one scope.
pub(crate) struct ExpressionBinder<'a> {
    pub(crate) functions: &'a Functions,
    pub(crate) scope: &'a Scope,
    /// Where aggregates are allowed: what the query groups by, and the aggregates found so far.
    pub(crate) aggregates: Option<&'a mut Aggregates>,
    /// Where functions over windows are allowed: those found so far.
    pub(crate) over: Option<&'a mut OverCalls>,
    /// The clause, for messages.
    pub(crate) clause: &'static str,
    depth: usize,
    /// Whether the call that is bound next may be JSON(..).
    json_fits: bool,
}

impl<'a> ExpressionBinder<'a> {
    /// For a clause without aggregates.
    pub(crate) fn new(functions: &'a Functions, scope: &'a Scope, clause: &'static str) -> ExpressionBinder<'a> {
        ExpressionBinder { functions, scope, aggregates: None, over: None, clause, depth: 0, json_fits: false }
    }

    /// For a clause after GROUP BY.
    pub(crate) fn grouped(
        functions: &'a Functions,
        scope: &'a Scope,
        aggregates: &'a mut Aggregates,
        clause: &'static str,
    ) -> ExpressionBinder<'a> {
        ExpressionBinder {
            functions,
            scope,
            aggregates: Some(aggregates),
            over: None,
            clause,
            depth: 0,
            json_fits: false,
        }
    }

    /// Binds an expression that must be BOOLEAN.
    pub(crate) fn condition(&mut self, e: &Ast) -> Result<Typed> {
        let bound = self.bind(e)?;
        match bound.data_type.kind {
            TypeKind::Boolean => Ok(bound),
            TypeKind::Null => self.functions.cast(bound, &TypeKind::Boolean.nullable(), false).at_expr(e),
            _ => Err(at(
                Error::user(format!("{} must be a condition, but its type is {}", self.clause, bound.data_type))
                    .hint("Compare it with something, as in x <> 0"),
                e.span(),
            )),
        }
    }

    /// Binds an expression.
    pub(crate) fn bind(&mut self, e: &Ast) -> Result<Typed> {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX {
            return Err(at(
                Error::user(format!("an expression nests deeper than {EXPRESSION_DEPTH_MAX}"))
                    .hint("Split it over several views"),
                e.span(),
            ));
        }
        let known = if self.aggregates.is_none() && self.scope.has_marks() { self.scope.mark_of(e) } else { None };
        let bound = match known.or_else(|| self.group_key(e)) {
            Some(known) => Ok(known),
            None => self.bind_new(e),
        };
        self.depth -= 1;
        bound
    }

    /// After GROUP BY an expression that equals a group key is that key.
    fn group_key(&mut self, e: &Ast) -> Option<Typed> {
        let aggregates = self.aggregates.as_ref()?;
        if !aggregates.has_expression_keys() || matches!(e, Ast::Identifier(_) | Ast::CompoundIdentifier(_)) {
            return None;
        }
        let mut plain = ExpressionBinder::new(self.functions, self.scope, self.clause);
        plain.depth = self.depth;
        let bound = plain.bind(e).ok()?;
        aggregates.key(&bound.expr)
    }

    fn bind_new(&mut self, e: &Ast) -> Result<Typed> {
        let no = |what: &str| Err(unsupported(what, e.span()));
        match e {
            Ast::Identifier(id) => self.name(&[id], e),
            Ast::CompoundIdentifier(ids) => self.name(&ids.iter().collect::<Vec<_>>(), e),
            Ast::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain),
            Ast::Nested(inner) => self.bind(inner),
            Ast::Value(v) => self.literal(literal::value(&v.value)).at_span(v.span),
            Ast::TypedString(t) => self.literal(literal::typed_string(t)).at_expr(e),
            Ast::Interval(i) if literal::is_counted_interval(i) => {
                let number = self.bind(&i.value)?;
                let unit = self.literal(literal::interval(&literal::one_of(i))).at_expr(e)?;
                self.functions.binary(Operator::Multiply, number, unit).at_expr(e)
            }
            Ast::Interval(i) => self.literal(literal::interval(i)).at_expr(e),
            Ast::BinaryOp { left, op, right } => self.binary(e, left, op, right),
            Ast::UnaryOp { op, expr } => self.unary(op, expr).at_expr(e),
            Ast::IsTrue(x) => self.truth(x, Expr::IsTrue, "IS TRUE"),
            Ast::IsNotTrue(x) => self.truth(x, Expr::IsNotTrue, "IS NOT TRUE"),
            Ast::IsFalse(x) => self.truth(x, Expr::IsFalse, "IS FALSE"),
            Ast::IsNotFalse(x) => self.truth(x, Expr::IsNotFalse, "IS NOT FALSE"),
            Ast::IsUnknown(x) => self.truth(x, Expr::IsUnknown, "IS UNKNOWN"),
            Ast::IsNotUnknown(x) => self.truth(x, Expr::IsNotUnknown, "IS NOT UNKNOWN"),
            Ast::IsNull(x) => {
                let x = self.bind(x)?;
                Ok(Typed { expr: Expr::IsNull(Box::new(x.expr)), data_type: TypeKind::Boolean.not_null() })
            }
            Ast::IsNotNull(x) => {
                let x = self.bind(x)?;
                Ok(Typed { expr: Expr::IsNotNull(Box::new(x.expr)), data_type: TypeKind::Boolean.not_null() })
            }
            Ast::IsDistinctFrom(l, r) => {
                let (l, r) = (self.bind(l)?, self.bind(r)?);
                self.functions.binary(Operator::IsDistinctFrom, l, r).at_expr(e)
            }
            Ast::IsNotDistinctFrom(l, r) => {
                let (l, r) = (self.bind(l)?, self.bind(r)?);
                self.functions.binary(Operator::IsNotDistinctFrom, l, r).at_expr(e)
            }
            Ast::InList { expr, list, negated } => self.in_list(expr, list, *negated).at_expr(e),
            Ast::Between { expr, negated, low, high } => {
                let value = self.bind(expr)?;
                let (low, high) = (self.bind(low)?, self.bind(high)?);
                let above = self.functions.binary(Operator::GtEq, value.clone(), low).at_expr(e)?;
                let below = self.functions.binary(Operator::LtEq, value, high).at_expr(e)?;
                let both = self.functions.binary(Operator::And, above, below).at_expr(e)?;
                Ok(if *negated { self.functions.not(both) } else { both })
            }
            Ast::Like { negated, any, expr, pattern, escape_char } => {
                refuse_if(*any, "LIKE ANY", e.span())?;
                self.like("LIKE", expr, pattern, escape_char.as_ref(), *negated).at_expr(e)
            }
            Ast::SimilarTo { negated, expr, pattern, escape_char } => {
                self.like("SIMILAR", expr, pattern, escape_char.as_ref(), *negated).at_expr(e)
            }
            Ast::Cast { kind, expr, data_type: target, array, format } => {
                refuse_if(*array, "CAST .. ARRAY", e.span())?;
                refuse_if(format.is_some(), "CAST .. FORMAT", e.span())?;
                let try_cast = match kind {
                    CastKind::Cast => false,
                    CastKind::TryCast => true,
                    CastKind::SafeCast => {
                        return Err(unsupported_with("SAFE_CAST", e.span(), "Write TRY_CAST(x AS type)"));
                    }
                    CastKind::DoubleColon => {
                        return Err(unsupported_with("the operator ::", e.span(), "Write CAST(x AS type)"));
                    }
                };
                self.cast(expr, target, try_cast).at_expr(e)
            }
            Ast::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref()).at_expr(e)
            }
            Ast::Function(f) => self.function(f),
            Ast::Extract { field, syntax: _, expr } => {
                let unit = self.text(&field.to_string().to_uppercase());
                let value = self.bind(expr)?;
                self.functions.call("EXTRACT", vec![unit, value]).at_expr(e)
            }
            Ast::Ceil { expr, field } => self.round("CEIL", expr, field).at_expr(e),
            Ast::Floor { expr, field } => self.round("FLOOR", expr, field).at_expr(e),
            Ast::Position { expr, r#in } => {
                let args = vec![self.bind(expr)?, self.bind(r#in)?];
                self.functions.call("POSITION", args).at_expr(e)
            }
            Ast::Substring { expr, substring_from, substring_for, special: _, shorthand: _ } => {
                let mut args = vec![self.bind(expr)?];
                match (substring_from, substring_for) {
                    (Some(from), length) => {
                        args.push(self.bind(from)?);
                        if let Some(length) = length {
                            args.push(self.bind(length)?);
                        }
                    }
                    (None, _) => return no("SUBSTRING without FROM"),
                }
                self.functions.call("SUBSTRING", args).at_expr(e)
            }
            Ast::Trim { trim_where, trim_what, expr, trim_characters } => {
                refuse_if(trim_characters.is_some(), "TRIM with a list of characters", e.span())?;
                let name = match trim_where {
                    None | Some(TrimWhereField::Both) => "TRIM",
                    Some(TrimWhereField::Leading) => "LTRIM",
                    Some(TrimWhereField::Trailing) => "RTRIM",
                };
                let mut args = vec![self.bind(expr)?];
                if let Some(what) = trim_what {
                    args.push(self.bind(what)?);
                }
                self.functions.call(name, args).at_expr(e)
            }
            Ast::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut args = vec![self.bind(expr)?, self.bind(overlay_what)?, self.bind(overlay_from)?];
                if let Some(length) = overlay_for {
                    args.push(self.bind(length)?);
                }
                self.functions.call("OVERLAY", args).at_expr(e)
            }
            Ast::Tuple(items) => {
                let args = self.all(items)?;
                self.functions.call("ROW", args).at_expr(e)
            }
            Ast::Array(ast::Array { elem, named: _ }) => {
                let args = self.all(elem)?;
                self.functions.call("ARRAY", args).at_expr(e)
            }
            Ast::Map(ast::Map { entries }) => {
                let mut args = vec![];
                for entry in entries {
                    args.push(self.bind(&entry.key)?);
                    args.push(self.bind(&entry.value)?);
                }
                self.functions.call("MAP", args).at_expr(e)
            }
            Ast::InSubquery { .. } => self.scope.mark_of(e).map_or_else(|| no("IN (SELECT ..)"), Ok),
            Ast::Exists { .. } => self.scope.mark_of(e).map_or_else(|| no("EXISTS"), Ok),
            Ast::Subquery(query) => match self.scope.value_of(query).or_else(|| self.scope.mark_of(e)) {
                Some(value) => Ok(value),
                None => no("a sub-query as an expression"),
            },
            Ast::AnyOp { .. } => self.scope.mark_of(e).map_or_else(|| no("ANY / SOME"), Ok),
            Ast::AllOp { .. } => self.scope.mark_of(e).map_or_else(|| no("ALL"), Ok),
            Ast::InUnnest { .. } => no("IN UNNEST"),
            Ast::ILike { .. } => Err(unsupported_with("ILIKE", e.span(), "Write LOWER(x) LIKE 'pattern'")),
            Ast::RLike { .. } => Err(unsupported_with("RLIKE", e.span(), "Write REGEXP(x, 'pattern')")),
            Ast::AtTimeZone { .. } => no("AT TIME ZONE"),
            Ast::Collate { .. } => no("COLLATE"),
            Ast::JsonAccess { .. } => no("JSON access with ':'"),
            Ast::IsNormalized { .. } => no("IS NORMALIZED"),
            Ast::Convert { .. } => no("CONVERT"),
            Ast::Prefixed { .. } => no("a prefixed literal"),
            Ast::GroupingSets(_) | Ast::Cube(_) | Ast::Rollup(_) => no("grouping sets outside GROUP BY"),
            Ast::Struct { .. } => Err(unsupported_with("STRUCT", e.span(), "Write ROW(a, b)")),
            Ast::Named { .. } => no("AS inside an expression"),
            Ast::Dictionary(_) => Err(unsupported_with("{..}", e.span(), "Write MAP['key', value]")),
            Ast::MatchAgainst { .. } => no("MATCH AGAINST"),
            Ast::Wildcard(_) | Ast::QualifiedWildcard(..) => no("* inside an expression"),
            Ast::OuterJoin(_) => no("the outer join sign (+)"),
            Ast::Prior(_) => no("PRIOR"),
            Ast::Lambda(_) => no("lambda functions"),
            Ast::MemberOf(_) => no("MEMBER OF"),
        }
    }

    fn all(&mut self, items: &[Ast]) -> Result<Vec<Typed>> {
        items.iter().map(|i| self.bind(i)).collect()
    }

    fn literal(&self, value: Result<literal::LiteralValue>) -> Result<Typed> {
        let (value, data_type) = value?;
        self.functions.literal(value, &data_type)
    }

    /// A text argument that the SQL writes as a word.
    fn text(&self, word: &str) -> Typed {
        let t = TypeKind::Char(word.chars().count() as u32).not_null();
        Typed { expr: Expr::Literal(ScalarValue::Utf8(Some(word.to_string())), None), data_type: t }
    }

    fn name(&mut self, parts: &[&ast::Ident], e: &Ast) -> Result<Typed> {
        for part in parts {
            if part.quote_style == Some('"') {
                return Err(at(
                    Error::user(format!("\"{}\" is not a name", part.value))
                        .hint("Names stand in backticks, texts in single quotes"),
                    part.span,
                ));
            }
        }
        let names: Vec<&str> = parts.iter().map(|p| p.value.as_str()).collect();
        let (column, fields) = match self.scope.resolve(&names, e.span())? {
            Resolved::Column(column, fields) => (column, fields),
            Resolved::Missing => {
                // Functions of time may stand without parentheses.
                if let [one] = parts
                    && one.quote_style.is_none()
                    && self.functions.callable_without_parentheses(&one.value)
                {
                    return self.functions.call(&one.value, vec![]).at_expr(e);
                }
                let missing = self.scope.missing(parts, e.span());
                let instead = match parts {
                    [one] if one.quote_style.is_none() => super::other_systems::instead_of_word(&one.value),
                    _ => None,
                };
                return Err(match instead {
                    Some(hint) => missing.hint(hint),
                    None => missing,
                });
            }
        };
        self.fields(column, &fields, &names.join(".")).at_expr(e)
    }

    /// A column's field inside a field; after GROUP BY one of them must be a key.
    pub(crate) fn fields(&self, column: Typed, fields: &[String], name: &str) -> Result<Typed> {
        let key = |value: &Typed| self.aggregates.as_ref().and_then(|a| a.key(&value.expr));
        let mut grouped = self.aggregates.is_none();
        let mut value = column;
        for field in [None].into_iter().chain(fields.iter().map(Some)) {
            if let Some(field) = field {
                value = self.field(value, field)?;
            }
            if let Some(key) = key(&value).filter(|_| !grouped) {
                (value, grouped) = (key, true);
            }
        }
        if !grouped {
            return Err(not_grouped(name));
        }
        Ok(value)
    }

    fn field(&self, value: Typed, field: &str) -> Result<Typed> {
        let Some(fields) = value.data_type.kind.fields() else {
            return Err(Error::user(format!("'.{field}' asks for a field of a {}", value.data_type))
                .hint("Only a ROW has fields"));
        };
        if !fields.iter().any(|f| f.name == field) {
            let names: Vec<&str> = fields.iter().map(|f| f.name.as_str()).collect();
            let span = sqlparser::tokenizer::Span::empty();
            return Err(not_found(format!("Field '{field}' not found"), field, names, "Fields of the ROW", span));
        }
        self.functions.field(value, field)
    }

    fn access(&mut self, root: &Ast, chain: &[AccessExpr]) -> Result<Typed> {
        // The names before the first bracket may begin with a table's, and its catalog's and database's.
        let names = chain.iter().map_while(|step| match step {
            AccessExpr::Dot(Ast::Identifier(id)) => Some(id.clone()),
            _ => None,
        });
        let first = match root {
            Ast::Identifier(id) => vec![id.clone()],
            Ast::CompoundIdentifier(ids) => ids.clone(),
            _ => vec![],
        };
        let path: Vec<_> = if first.is_empty() { vec![] } else { first.into_iter().chain(names).collect() };
        let (mut value, chain) = match path.len() {
            0 | 1 => (self.bind(root)?, chain),
            n => {
                let of_root = if let Ast::CompoundIdentifier(ids) = root { ids.len() } else { 1 };
                (self.bind(&Ast::CompoundIdentifier(path))?, &chain[n - of_root..])
            }
        };
        for step in chain {
            value = match step {
                AccessExpr::Dot(Ast::Identifier(id)) => self.field(value, &id.value).at_span(id.span)?,
                AccessExpr::Dot(other) => return Err(unsupported("this access after a point", other.span())),
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    let position = self.bind(index)?;
                    self.functions.element(value, position).at_expr(index)?
                }
                AccessExpr::Subscript(Subscript::Slice { .. }) => return Err(unsupported("array slices", root.span())),
            };
        }
        Ok(value)
    }

    fn truth(&mut self, x: &Ast, make: fn(Box<Expr>) -> Expr, what: &str) -> Result<Typed> {
        let value = self.bind(x)?;
        if !matches!(value.data_type.kind, TypeKind::Boolean | TypeKind::Null) {
            return Err(at(
                Error::user(format!("{what} needs a BOOLEAN, not a {}", value.data_type)).hint("Compare it first"),
                x.span(),
            ));
        }
        let value = self.functions.cast_if_needed(value, &TypeKind::Boolean.nullable())?;
        Ok(Typed { expr: make(Box::new(value.expr)), data_type: TypeKind::Boolean.not_null() })
    }

    fn unary(&mut self, op: &UnaryOperator, x: &Ast) -> Result<Typed> {
        match op {
            UnaryOperator::Not => {
                let value = self.bind(x)?;
                if !matches!(value.data_type.kind, TypeKind::Boolean | TypeKind::Null) {
                    return Err(Error::user(format!("NOT needs a BOOLEAN, not a {}", value.data_type))
                        .hint("Compare it with something first"));
                }
                let value = self.functions.cast_if_needed(value, &TypeKind::Boolean.nullable())?;
                Ok(self.functions.not(value))
            }
            UnaryOperator::Plus => {
                let value = self.bind(x)?;
                let kind = &value.data_type.kind;
                if kind.is_numeric() || kind.is_interval() || *kind == TypeKind::Null {
                    return Ok(value);
                }
                Err(Error::user(format!("Cannot apply '+' to arguments of type {}", value.data_type))
                    .hint("Numbers and intervals have a sign; texts are joined by ||"))
            }
            UnaryOperator::Minus => {
                // The sign belongs to the number: -2147483648 is an INT, though 2147483648 is none.
                if let Some((digits, long)) = plain_number(x) {
                    return self.literal(literal::number(&format!("-{digits}"), long));
                }
                // And two signs are none: -(-2147483648) is a BIGINT.
                if let Ast::Nested(inner) = x
                    && let Ast::UnaryOp { op: UnaryOperator::Minus, expr } = inner.as_ref()
                    && let Some((digits, long)) = plain_number(expr)
                {
                    return self.literal(literal::number(digits, long));
                }
                let value = self.bind(x)?;
                if let Expr::Literal(v, _) = &value.expr
                    && let Some(negated) = literal::negated(v)
                {
                    let t = value.data_type.clone();
                    return self.functions.literal(negated, &t);
                }
                self.functions.negate(value)
            }
            other => Err(unsupported(format!("the operator {other}"), x.span())),
        }
    }

    /// `(start, end) OVERLAPS (start, end)`, where an end may be an interval: periods that only touch overlap.
    fn overlaps(&mut self, left: &Ast, right: &Ast) -> Result<Typed> {
        let (left, right) = (self.period(left)?, self.period(right)?);
        let kinds = [&left.0, &left.1, &right.0, &right.1].map(|t| std::mem::discriminant(&t.data_type.kind));
        if kinds.iter().any(|k| *k != kinds[0]) {
            let types = [left.0, left.1, right.0, right.1].map(|t| t.data_type);
            return Err(Error::user(format!("OVERLAPS compares periods of one type, not {}", joined(&types)))
                .hint("CAST the times to one type"));
        }
        // The ends may be given in either order.
        let ordered = |(start, end): (Typed, Typed)| -> Result<(Typed, Typed)> {
            let forward = self.functions.binary(Operator::LtEq, start.clone(), end.clone())?;
            let low = self.functions.case(vec![(forward.clone(), start.clone())], end.clone())?;
            Ok((low, self.functions.case(vec![(forward, end)], start)?))
        };
        let ((left_low, left_high), (right_low, right_high)) = (ordered(left)?, ordered(right)?);
        let starts = self.functions.binary(Operator::GtEq, left_high, right_low)?;
        let ends = self.functions.binary(Operator::GtEq, right_high, left_low)?;
        self.functions.binary(Operator::And, starts, ends)
    }

    /// `(start, end)`, `(start, interval)` or `PERIOD (start, end)`.
    fn period(&mut self, e: &Ast) -> Result<(Typed, Typed)> {
        let wrong = || {
            at(Error::user("OVERLAPS compares two periods").hint("Write (start, end) OVERLAPS (start, end)"), e.span())
        };
        let (start, end) = match e {
            Ast::Tuple(items) => match items.as_slice() {
                [start, end] => (start, end),
                _ => return Err(wrong()),
            },
            Ast::Function(ast::Function { name, args: FunctionArguments::List(list), .. })
                if name_text(name).eq_ignore_ascii_case("PERIOD") =>
            {
                match list.args.as_slice() {
                    [
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(start)),
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(end)),
                    ] => (start, end),
                    _ => return Err(wrong()),
                }
            }
            _ => return Err(wrong()),
        };
        let (start, mut end) = (self.bind(start)?, self.bind(end)?);
        if end.data_type.kind.is_interval() {
            end = self.functions.binary(Operator::Plus, start.clone(), end)?;
        }
        if !start.data_type.kind.is_datetime() {
            return Err(wrong());
        }
        Ok((start, end))
    }

    /// A chain of one precedence leans to the left: it is walked in a loop, and AND / OR are balanced.
    fn binary(&mut self, e: &Ast, left: &Ast, op: &BinaryOperator, right: &Ast) -> Result<Typed> {
        if *op == BinaryOperator::Overlaps {
            return self.overlaps(left, right).at_expr(e);
        }
        let mut chain = vec![(op, right)];
        let mut first = left;
        let boolean = matches!(op, BinaryOperator::And | BinaryOperator::Or);
        let has_marks = self.aggregates.is_none() && self.scope.has_marks();
        while let Ast::BinaryOp { left, op: next, right } = first {
            let is_known = has_marks && self.scope.mark_of(first).is_some();
            if (boolean && next != op) || *next == BinaryOperator::Overlaps || is_known {
                break;
            }
            chain.push((next, right));
            first = left;
            if chain.len() > CHAIN_LENGTH_MAX {
                return Err(at(
                    Error::user(format!("a chain of operators has more than {CHAIN_LENGTH_MAX} operands"))
                        .hint("Use IN (..) for alternatives, or split the expression over several views"),
                    e.span(),
                ));
            }
        }
        chain.reverse();
        // A part of a chain may be a group key: then it cannot be walked over.
        if self.aggregates.as_ref().is_some_and(|a| a.has_expression_keys()) {
            let (l, r) = (self.bind(left)?, self.bind(right)?);
            return self.functions.binary(operator(op, e)?, l, r).at_expr(e);
        }
        let first = self.bind(first)?;
        if boolean {
            let mut operands = vec![first];
            for (_, operand) in chain {
                operands.push(self.bind(operand)?);
            }
            return self.balanced(operator(op, e)?, &mut operands.into_iter().map(Some).collect::<Vec<_>>()).at_expr(e);
        }
        let mut value = first;
        for (op, operand) in chain {
            let operand_value = self.bind(operand)?;
            value = self.functions.binary(operator(op, operand)?, value, operand_value).at_expr(operand)?;
        }
        Ok(value)
    }

    fn balanced(&self, op: Operator, operands: &mut [Option<Typed>]) -> Result<Typed> {
        match operands {
            [] => Err(Error::internal("an operator without operands")),
            [one] => one.take().ok_or_else(|| Error::internal("an operand was used twice")),
            many => {
                let (l, r) = many.split_at_mut(many.len() / 2);
                self.functions.binary(op, self.balanced(op, l)?, self.balanced(op, r)?)
            }
        }
    }

    fn in_list(&mut self, e: &Ast, list: &[Ast], negated: bool) -> Result<Typed> {
        let value = self.bind(e)?;
        let list = self.all(list)?;
        if access::row_values(&value).is_some() && !list.is_empty() {
            let one = |other: Typed| self.functions.binary(Operator::Eq, value.clone(), other).map(Some);
            let mut each = list.into_iter().map(one).collect::<Result<Vec<_>>>()?;
            let any = self.balanced(Operator::Or, &mut each)?;
            return Ok(if negated { self.functions.not(any) } else { any });
        }
        // Beside a text the values are compared as texts, each as it is written, as in Flink: `s IN (12, 3.7)`.
        let is_plain = |kind: &TypeKind| kind.is_numeric() || kind.is_datetime() || *kind == TypeKind::Boolean;
        let as_text = |item: Typed| match is_plain(&item.data_type.kind) {
            true => self.functions.cast_if_needed(item, &TypeKind::STRING.nullable()),
            false => Ok(item),
        };
        let list = match value.data_type.kind.is_character() {
            true => list.into_iter().map(as_text).collect::<Result<Vec<_>>>()?,
            false => list,
        };
        let types: Vec<LogicalType> = std::iter::once(&value).chain(&list).map(|t| t.data_type.clone()).collect();
        let common = self.functions.comparable_type(&types).ok_or_else(|| {
            Error::user(format!("IN compares {} with {}", types[0], joined(&types[1..]))).hint("CAST them to one type")
        })?;
        let nullable = types.iter().any(|t| t.nullable);
        let common = common.with_nullable(nullable);
        let value = self.functions.cast_if_needed(value, &common)?;
        let list = list
            .into_iter()
            .map(|i| Ok(self.functions.cast_if_needed(i, &common)?.expr))
            .collect::<Result<Vec<_>>>()?;
        let expr = Expr::InList(InList { expr: Box::new(value.expr), list, negated });
        Ok(Typed { expr, data_type: TypeKind::Boolean.nullable().with_nullable(nullable) })
    }

    fn like(
        &mut self,
        name: &str,
        e: &Ast,
        pattern: &Ast,
        escape: Option<&ast::ValueWithSpan>,
        negated: bool,
    ) -> Result<Typed> {
        let mut args = vec![self.bind(e)?, self.bind(pattern)?];
        if let Some(escape) = escape {
            args.push(self.literal(literal::value(&escape.value)).at_span(escape.span)?);
        }
        let like = self.functions.call(name, args)?;
        Ok(if negated { self.functions.not(like) } else { like })
    }

    fn case(&mut self, operand: Option<&Ast>, conditions: &[CaseWhen], else_result: Option<&Ast>) -> Result<Typed> {
        let operand = operand.map(|o| self.bind(o)).transpose()?;
        let mut branches = vec![];
        for CaseWhen { condition, result } in conditions {
            let when = match &operand {
                Some(value) => {
                    let one = |this: &mut Self, other: &Ast| {
                        let other_value = this.bind(other)?;
                        this.functions.binary(Operator::Eq, value.clone(), other_value).at_expr(other)
                    };
                    match when_values(condition) {
                        None => one(self, condition)?,
                        Some(others) => {
                            let each = others.iter().map(|o| one(self, o).map(Some)).collect::<Result<Vec<_>>>();
                            self.balanced(Operator::Or, &mut each?)?
                        }
                    }
                }
                None => {
                    let clause = std::mem::replace(&mut self.clause, "WHEN");
                    let when = self.condition(condition);
                    self.clause = clause;
                    when?
                }
            };
            branches.push((when, self.bind(result)?));
        }
        let last = match else_result {
            Some(e) => self.bind(e)?,
            None => self.functions.literal(ScalarValue::Null, &TypeKind::Null.nullable())?,
        };
        self.functions.case(branches, last)
    }

    fn round(&mut self, name: &str, e: &Ast, field: &CeilFloorKind) -> Result<Typed> {
        let mut args = vec![self.bind(e)?];
        match field {
            CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) => {}
            CeilFloorKind::DateTimeField(unit) => args.push(self.text(&unit.to_string().to_uppercase())),
            CeilFloorKind::Scale(_) => return Err(unsupported(format!("{name} with a scale"), e.span())),
        }
        self.functions.call(name, args)
    }

    fn function(&mut self, f: &ast::Function) -> Result<Typed> {
        let json_fits = std::mem::take(&mut self.json_fits);
        let ast::Function { name, uses_odbc_syntax, parameters, args, filter, null_treatment, over, within_group } = f;
        let span = name.span();
        let text = name_text(name);
        // Before what such calls may hold: clauses of their own (`GROUP_CONCAT(a SEPARATOR ',')`), units as names.
        if name.0.len() == 1
            && super::other_systems::instead_of(&text).is_some()
            && let Some(unknown) = self.functions.unknown(&text, span)
        {
            return Err(unknown);
        }
        refuse_if(*uses_odbc_syntax, "{fn ..}", span)?;
        refuse_if(!matches!(parameters, FunctionArguments::None), "function parameters", span)?;
        refuse_if(!within_group.is_empty(), "WITHIN GROUP", span)?;
        let [function] = name_parts(name)?[..] else {
            let parts: Vec<&str> = name_parts(name)?.iter().map(|p| p.value.as_str()).collect();
            let mut values = vec![];
            if let FunctionArguments::List(list) = args {
                for argument in &list.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) = argument {
                        values.push(self.bind(e)?);
                    }
                }
            }
            return match self.functions.call_qualified(&parts, values, span) {
                Some(called) => called,
                None => Err(not_found(format!("Function '{text}' not found"), &text, [], "Functions", span)),
            };
        };
        let upper = match function.value.strip_prefix(JSON_CALL_PREFIX) {
            Some(json) => json.to_string(),
            None => function.value.to_uppercase(),
        };
        let mut nulls = *null_treatment;
        let (arguments, distinct) = match args {
            FunctionArguments::None => (vec![], false),
            FunctionArguments::Subquery(_) => return Err(unsupported("a sub-query as an argument", span)),
            FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment, args, clauses }) => {
                match (upper.as_str(), clauses.as_slice()) {
                    (_, []) => {}
                    ("ARRAY_AGG", [FunctionArgumentClause::IgnoreOrRespectNulls(treatment)]) => {
                        nulls = Some(*treatment)
                    }
                    _ => return Err(unsupported(format!("clauses inside {upper}(..)"), span)),
                }
                (args.iter().collect(), matches!(duplicate_treatment, Some(DuplicateTreatment::Distinct)))
            }
        };
        if nulls.is_some() && (upper != "ARRAY_AGG" || over.is_some()) {
            return Err(super::over::null_treatment(&text, over.is_some(), span));
        }
        if let Some(over) = over {
            if filter.is_some() {
                return Err(super::over::no_aggregate(span));
            }
            return self.over_call(&upper, &arguments, distinct, over, span);
        }
        let overridden = self.functions.is_overridden(&upper);
        if let Some(kind) = AggregateKind::from_name(&upper).filter(|k| !overridden && !k.name().starts_with('$')) {
            let kind = match nulls {
                Some(NullTreatment::IgnoreNulls) => AggregateKind::ArrayAggIgnoreNulls,
                _ => kind,
            };
            return self.aggregate(kind, &arguments, distinct, filter.as_deref(), span);
        }
        refuse_if(distinct, &format!("{upper}(DISTINCT ..)"), span)?;
        if filter.is_some() {
            return Err(unsupported(format!("FILTER after {upper}"), span));
        }
        if matches!(upper.as_str(), "GROUPING" | "GROUPING_ID" | "GROUP_ID") {
            return self.grouping(&upper, &arguments, span);
        }
        if let Some(value) = super::group_window::auxiliary(self, &upper, &arguments, span)? {
            return Ok(value);
        }
        if super::over::is_over_only(&upper) {
            let hint = format!("Write {upper}(..) OVER (PARTITION BY .. ORDER BY ..)");
            return Err(at(Error::user("OVER clause is necessary for window functions").hint(hint), span));
        }
        if let Some(hint) = elsewhere(&upper) {
            return Err(unsupported_with(format!("the function {upper}"), span, hint));
        }
        if upper == "JSON" && !json_fits {
            return Err(at(
                Error::user(
                    "The JSON() function is currently only supported inside JSON_ARRAY() or as the VALUE param of \
                     JSON_OBJECT()",
                )
                .hint("Write for instance JSON_OBJECT('a' VALUE JSON('{\"key\": \"value\"}'))"),
                span,
            ));
        }
        if function.value == BETWEEN_SYMMETRIC_CALL {
            return self.between_symmetric(&arguments).at_span(span);
        }
        let months = function.value == MONTHS_BETWEEN_CALL;
        if (months || function.value == MILLIS_BETWEEN_CALL)
            && let [
                FunctionArg::Unnamed(FunctionArgExpr::Expr(end)),
                FunctionArg::Unnamed(FunctionArgExpr::Expr(start)),
            ] = arguments.as_slice()
        {
            let (end, start) = (self.bind(end)?, self.bind(start)?);
            return self.functions.interval_between(end, start, months).at_span(span);
        }
        if let Some(unknown) = self.functions.unknown(&function.value, span).filter(|_| function.value == text) {
            return Err(unknown);
        }
        let mut values = vec![];
        for (i, argument) in arguments.into_iter().enumerate() {
            values.push(match argument {
                // The unit is a word of the grammar and no column, as in EXTRACT.
                FunctionArg::Unnamed(FunctionArgExpr::Expr(Ast::Identifier(unit)))
                    if i == 0
                        && unit.quote_style.is_none()
                        && matches!(upper.as_str(), "TIMESTAMPADD" | "TIMESTAMPDIFF") =>
                {
                    let unit = unit.value.to_uppercase();
                    self.text(unit.strip_prefix("SQL_TSI_").unwrap_or(&unit))
                }
                FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => {
                    // Behind the words of the clauses, keys and values take turns.
                    let fits = match upper.as_str() {
                        "JSON_OBJECT" => i % 2 == 0,
                        other => other == "JSON_ARRAY",
                    };
                    self.json_fits = fits && is_call(e);
                    self.bind(e)?
                }
                FunctionArg::Unnamed(_) => return Err(unsupported(format!("* as an argument of {upper}"), span)),
                FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
                    return Err(unsupported(format!("named arguments of {upper}"), span));
                }
            });
        }
        let name = match function.value.as_str() {
            MAP_CALL => "MAP",
            other => other.strip_prefix(JSON_CALL_PREFIX).unwrap_or(other),
        };
        self.functions.call_at(name, values, span)
    }

    /// `x BETWEEN SYMMETRIC a AND b`, whichever bound is the lower.
    fn between_symmetric(&mut self, arguments: &[&FunctionArg]) -> Result<Typed> {
        let mut bound = vec![];
        for argument in arguments {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) = argument {
                bound.push(self.bind(e)?);
            }
        }
        let [value, one, other] = bound.as_slice() else { return Err(Error::internal("BETWEEN has two bounds")) };
        let between = |low: &Typed, high: &Typed| {
            let above = self.functions.binary(Operator::GtEq, value.clone(), low.clone())?;
            let below = self.functions.binary(Operator::LtEq, value.clone(), high.clone())?;
            self.functions.binary(Operator::And, above, below)
        };
        self.functions.binary(Operator::Or, between(one, other)?, between(other, one)?)
    }

    fn aggregate(
        &mut self,
        kind: AggregateKind,
        arguments: &[&FunctionArg],
        distinct: bool,
        filter: Option<&Ast>,
        span: sqlparser::tokenizer::Span,
    ) -> Result<Typed> {
        if self.aggregates.is_none() {
            return Err(at(
                Error::user(format!("Aggregate expressions are not allowed in {}: {kind}", self.clause))
                    .hint("Conditions on aggregates stand in HAVING"),
                span,
            ));
        }
        let mut plain = ExpressionBinder::new(self.functions, self.scope, "an aggregate");
        plain.depth = self.depth;
        let mut bound = vec![];
        for argument in arguments {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if kind == AggregateKind::Count && !distinct => {}
                FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => bound.push(plain.bind(e)?),
                _ => return Err(unsupported(format!("this argument of {kind}"), span)),
            }
        }
        plain.clause = "FILTER (WHERE ..)";
        let filter = filter.map(|f| plain.condition(f)).transpose()?;
        let counts_rows =
            kind == AggregateKind::Count && matches!(arguments, [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
        let (least, most) = kind.arity();
        if !(least..=most).contains(&bound.len()) && !counts_rows {
            return Err(at(
                Error::user(format!("Invalid number of arguments to function '{kind}'"))
                    .hint(format!("It is written {}", kind.documentation().syntax)),
                span,
            ));
        }
        let functions = self.functions;
        functions.aggregate_arguments(kind, &mut bound).at_span(span)?;
        match &mut self.aggregates {
            Some(aggregates) => {
                let mut add = |kind, arguments| aggregates.add(functions, kind, arguments, distinct, filter.clone());
                functions.aggregate(kind, bound, &mut add).at_span(span)
            }
            None => Err(Error::internal("an aggregate outside of an aggregation")),
        }
    }

    fn grouping(&mut self, name: &str, arguments: &[&FunctionArg], span: sqlparser::tokenizer::Span) -> Result<Typed> {
        let Some(aggregates) = &mut self.aggregates else {
            return Err(at(
                Error::user(format!("{name} is only allowed together with GROUP BY")).hint("Group by its argument"),
                span,
            ));
        };
        if name == "GROUP_ID" && arguments.is_empty() {
            return aggregates.group_id(self.functions);
        }
        let mut keys = vec![];
        for argument in arguments {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) = argument else {
                return Err(unsupported(format!("this argument of {name}"), span));
            };
            let bound = ExpressionBinder::new(self.functions, self.scope, "GROUPING").bind(e)?;
            keys.push(aggregates.key_index(&bound.expr).ok_or_else(|| {
                at(Error::user(format!("Argument '{e}' of {name} is not being grouped")).hint("Group by it"), span)
            })?);
        }
        if keys.is_empty() {
            return Err(at(Error::user(format!("{name} needs an argument")).hint("Name a column of GROUP BY"), span));
        }
        let functions = self.functions;
        aggregates.grouping_id(functions, &keys).at_span(span)
    }
}

/// The error for what neither is a group key nor stands in an aggregate.
pub(crate) fn not_grouped(name: &str) -> Error {
    Error::user(format!("Expression '{name}' is not being grouped"))
        .hint("Add it to GROUP BY by its name (a number there is no place, but the number) or put it into an aggregate such as MAX")
}

/// Functions that exist, but not as a plain call.
fn elsewhere(name: &str) -> Option<&'static str> {
    Some(match name {
        "CUMULATE" => {
            "Use a window table function: FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' MINUTE)) GROUP BY window_start, window_end"
        }
        "SOURCE_WATERMARK" => "It may only stand as WATERMARK FOR ts AS SOURCE_WATERMARK()",
        "DESCRIPTOR" => "It may only stand as an argument of a window table function",
        _ => return None,
    })
}

fn joined(types: &[LogicalType]) -> String {
    types.iter().map(LogicalType::to_string).collect::<Vec<_>>().join(", ")
}

fn operator(op: &BinaryOperator, e: &Ast) -> Result<Operator> {
    Ok(match op {
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        BinaryOperator::Multiply => Operator::Multiply,
        BinaryOperator::Divide => Operator::Divide,
        BinaryOperator::Modulo => Operator::Modulo,
        BinaryOperator::StringConcat => Operator::StringConcat,
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        BinaryOperator::And => Operator::And,
        BinaryOperator::Or => Operator::Or,
        other => return Err(unsupported(format!("the operator {other}"), e.span())),
    })
}

fn is_call(e: &Ast) -> bool {
    matches!(e, Ast::Function(_))
}

/// A number as it is written, with or without brackets.
fn plain_number(e: &Ast) -> Option<(&str, bool)> {
    match e {
        Ast::Nested(inner) => plain_number(inner),
        Ast::Value(v) => match &v.value {
            Value::Number(digits, long) => Some((digits, *long)),
            _ => None,
        },
        _ => None,
    }
}

/// `CASE` over branches that have one type already.
pub(crate) fn case_expr(branches: Vec<(Expr, Expr)>, last: Option<Expr>) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr: branches.into_iter().map(|(w, t)| (Box::new(w), Box::new(t))).collect(),
        else_expr: last.map(Box::new),
    })
}
