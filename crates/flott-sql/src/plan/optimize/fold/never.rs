//! Conditions that no row meets, whatever the values are: `x IS NULL AND x IS NOT NULL`, `x AND NOT x`, `x <> x`.

use datafusion_common::DFSchema;
use datafusion_expr::{Expr, ExprSchemable, Operator};

use super::super::parts;
use super::compared;
use crate::bind::window::unaliased;
use crate::bind::{Functions, Shown};

/// `x <> x`, `x < x`, `x IS DISTINCT FROM x`, `x NOT IN (x, 1)`: FALSE or NULL, as Calcite has it.
pub(super) fn differs_from_itself(e: &Expr) -> bool {
    // NOT of the opposite stands where a column is what a query below it computes.
    let (x, is_not) = match unaliased(e) {
        Expr::Not(x) => (unaliased(x), true),
        other => (other, false),
    };
    let differs = |op: &str| match is_not {
        true => matches!(op, "=" | "<=" | ">=" | "IS NOT DISTINCT FROM"),
        false => matches!(op, "<>" | "<" | ">" | "IS DISTINCT FROM"),
    };
    let is_it = match x {
        Expr::InList(list) => list.negated != is_not && list.list.iter().any(|v| unaliased(v) == unaliased(&list.expr)),
        Expr::ScalarFunction(f) => {
            let [left, right] = &f.args[..] else { return false };
            matches!(Functions::shown(f), Some(Shown::Operator(op)) if differs(op))
                && unaliased(left) == unaliased(right)
        }
        _ => false,
    };
    is_it && !e.is_volatile()
}

/// IS NULL of what is never NULL by its type.
pub(super) fn asks_for_null(e: &Expr, rows: &DFSchema) -> bool {
    match says(e) {
        Some((Word::Null, x)) => x.nullable(rows).is_ok_and(|nullable| !nullable),
        _ => false,
    }
}

/// The conditions of which one has to be met: those of OR, and what the branches of a CASE give. Each is given by its parts.
pub(super) fn parts_of(e: &Expr) -> Option<Vec<Vec<Expr>>> {
    let of = |e: &Expr| parts(e).collect::<Vec<_>>();
    match unaliased(e) {
        Expr::BinaryExpr(b) if b.op == Operator::Or => Some(vec![of(&b.left), of(&b.right)]),
        Expr::Case(case) => {
            let last = case.else_expr.as_deref();
            Some(case.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(last).map(of).collect())
        }
        Expr::ScalarFunction(f) if f.func.name() == "CASE" => f.args.first().and_then(parts_of),
        _ => None,
    }
}

/// What a condition says of another expression.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    Null,
    NotNull,
    /// The expression itself.
    True,
    /// NOT of it.
    False,
    IsTrue,
    IsNotTrue,
    IsFalse,
    IsNotFalse,
}

fn says(e: &Expr) -> Option<(Word, &Expr)> {
    Some(match unaliased(e) {
        Expr::IsNull(x) | Expr::IsUnknown(x) => (Word::Null, unaliased(x)),
        Expr::IsNotNull(x) | Expr::IsNotUnknown(x) => (Word::NotNull, unaliased(x)),
        Expr::IsTrue(x) => (Word::IsTrue, unaliased(x)),
        Expr::IsNotTrue(x) => (Word::IsNotTrue, unaliased(x)),
        Expr::IsFalse(x) => (Word::IsFalse, unaliased(x)),
        Expr::IsNotFalse(x) => (Word::IsNotFalse, unaliased(x)),
        Expr::Not(x) => match says(x) {
            Some((word, x)) => (word.opposite()?, x),
            None => (Word::False, unaliased(x)),
        },
        _ => return None,
    })
}

impl Word {
    fn opposite(self) -> Option<Word> {
        Some(match self {
            Word::Null => Word::NotNull,
            Word::NotNull => Word::Null,
            Word::IsTrue => Word::IsNotTrue,
            Word::IsNotTrue => Word::IsTrue,
            Word::IsFalse => Word::IsNotFalse,
            Word::IsNotFalse => Word::IsFalse,
            Word::True | Word::False => return None,
        })
    }

    /// Whether Calcite sees that no value is both.
    fn excludes(self, other: Word) -> bool {
        let one = |a: Word, b: Word| match a {
            Word::Null => matches!(b, Word::NotNull | Word::True | Word::False | Word::IsTrue | Word::IsFalse),
            Word::True => matches!(b, Word::False | Word::IsFalse),
            Word::IsTrue => matches!(b, Word::False | Word::IsFalse | Word::IsNotTrue),
            Word::IsFalse => b == Word::IsNotFalse,
            _ => false,
        };
        one(self, other) || one(other, self)
    }
}

/// Whether two of the conditions say of one expression what is never both so.
pub(super) fn contradict(conditions: &[Expr]) -> bool {
    let said = || conditions.iter().filter_map(says).filter(|(_, x)| !x.is_volatile());
    // A comparison is met by no NULL; each condition is true itself.
    let compares = |x: &Expr| conditions.iter().filter_map(compared).any(|all| all.iter().any(|a| unaliased(a) == x));
    let is_condition = |x: &Expr| conditions.iter().any(|c| unaliased(c) == x);
    said().enumerate().any(|(n, (word, x))| {
        (word == Word::Null && compares(x))
            || (word.excludes(Word::True) && is_condition(x))
            || said().take(n).any(|(other, y)| x == y && word.excludes(other))
    })
}
