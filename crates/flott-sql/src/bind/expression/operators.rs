//! Operators: their chains, comparisons with lists and patterns, OVERLAPS.

use datafusion_expr::expr::InList;
use datafusion_expr::{Expr, Operator};
use flott_core::types::TypeKind;
use flott_core::{Error, LogicalType, Result};
use sqlparser::ast::{
    self, BinaryOperator, Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, UnaryOperator, Value,
};

use super::{CHAIN_LENGTH_MAX, ExpressionBinder};
use crate::bind::refuse::{At, at, name_text, unsupported};
use crate::bind::scope::Typed;
use crate::bind::{access, literal};

impl ExpressionBinder<'_> {
    pub(super) fn truth(&mut self, x: &Ast, make: fn(Box<Expr>) -> Expr, what: &str) -> Result<Typed> {
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

    pub(super) fn unary(&mut self, op: &UnaryOperator, x: &Ast) -> Result<Typed> {
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
    pub(super) fn binary(&mut self, e: &Ast, left: &Ast, op: &BinaryOperator, right: &Ast) -> Result<Typed> {
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

    pub(super) fn balanced(&self, op: Operator, operands: &mut [Option<Typed>]) -> Result<Typed> {
        match operands {
            [] => Err(Error::internal("an operator without operands")),
            [one] => one.take().ok_or_else(|| Error::internal("an operand was used twice")),
            many => {
                let (l, r) = many.split_at_mut(many.len() / 2);
                self.functions.binary(op, self.balanced(op, l)?, self.balanced(op, r)?)
            }
        }
    }

    pub(super) fn in_list(&mut self, e: &Ast, list: &[Ast], negated: bool) -> Result<Typed> {
        let value = self.bind(e)?;
        let list = self.all(list)?;
        // A text among INTERVALs is none of them; maps are equal in any order of their entries.
        let is_text_among_intervals =
            value.data_type.kind.is_character() && list.iter().any(|i| i.data_type.kind.is_interval());
        // NaN equals no NaN, which a list of values does not know.
        let is_float = |t: &Typed| matches!(t.data_type.kind, TypeKind::Float | TypeKind::Double);
        let may_hold_nan = is_float(&value) && list.iter().any(|i| is_float(i) && i.constant().is_none());
        let by_comparisons = access::row_values(&value).is_some()
            || is_text_among_intervals
            || may_hold_nan
            || has_map(&value.data_type);
        if by_comparisons && !list.is_empty() {
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

    pub(super) fn like(
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

/// Whether there are maps in a value of this type.
fn has_map(t: &LogicalType) -> bool {
    match &t.kind {
        TypeKind::Map(..) => true,
        TypeKind::Array(element) => has_map(element),
        TypeKind::Row(fields) => fields.iter().any(|f| has_map(&f.data_type)),
        _ => false,
    }
}
