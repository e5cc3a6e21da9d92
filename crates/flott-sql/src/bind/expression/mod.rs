//! Expressions of the AST to expressions over a plan's columns, with Flink's types.
//!
//! The match over the AST is exhaustive and destructures every field: what is not planned is refused by its name, and a
//! field that a later parser adds does not compile until someone decides about it.

mod calls;
mod jdbc;
mod operators;

use datafusion_common::ScalarValue;
use datafusion_expr::expr::Case;
use datafusion_expr::{Expr, Operator};
use flott_core::types::TypeKind;
use flott_core::{Error, Result};
use sqlparser::ast::{
    self, AccessExpr, CaseWhen, CastKind, CeilFloorKind, Expr as Ast, Spanned, Subscript, TrimWhereField,
};

pub(in crate::bind) use jdbc::arguments;

use super::aggregate::Aggregates;
use super::functions::Functions;
use super::literal;
use super::over::OverCalls;
use super::refuse::{At, at, not_found, refuse_if, unsupported, unsupported_with};
use super::scope::{Resolved, Scope, Typed};
use crate::parser::dialect::when_values;

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
                // Functions of time and PI may stand without parentheses.
                if let [one] = parts
                    && one.quote_style.is_none()
                    && self.functions.callable_without_parentheses(&one.value)
                {
                    return self.functions.call(&one.value, vec![]).at_expr(e);
                }
                if let [one] = parts
                    && one.quote_style.is_none()
                    && one.value.eq_ignore_ascii_case("UNKNOWN")
                {
                    return self.functions.literal(ScalarValue::Boolean(None), &TypeKind::Boolean.nullable());
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
}

/// The error for what neither is a group key nor stands in an aggregate.
pub(crate) fn not_grouped(name: &str) -> Error {
    Error::user(format!("Expression '{name}' is not being grouped"))
        .hint("Write it in GROUP BY, as it is written here (GROUP BY 1 is no column, but the number 1), or put it into an aggregate such as MAX. \
               In a query of TUMBLE, HOP, CUMULATE or SESSION, GROUP BY has window_start and window_end")
}

/// `CASE` over branches that have one type already.
pub(crate) fn case_expr(branches: Vec<(Expr, Expr)>, last: Option<Expr>) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr: branches.into_iter().map(|(w, t)| (Box::new(w), Box::new(t))).collect(),
        else_expr: last.map(Box::new),
    })
}
