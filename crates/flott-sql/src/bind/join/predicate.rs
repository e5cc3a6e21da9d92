//! Conditions: their parts, and what they read.

use std::collections::BTreeSet;

use datafusion_common::ScalarValue;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::{Expr, LogicalPlan, Operator};

use crate::bind::window::unaliased;
use crate::bind::{Functions, Shown};

/// The parts of a condition that AND holds together. What all parts of an OR ask for is asked before it, as Calcite's
/// `RexUtil.pullFactors` does: an equality that joins by is found there.
pub(crate) fn conjuncts(e: &Expr) -> Vec<Expr> {
    match unaliased(e) {
        Expr::BinaryExpr(b) if b.op == Operator::And => {
            let mut parts = conjuncts(&b.left);
            parts.extend(conjuncts(&b.right));
            parts
        }
        Expr::BinaryExpr(b) if b.op == Operator::Or => factored(e),
        other if is_true(other) => vec![],
        other => vec![other.clone()],
    }
}

/// `a AND b OR a AND c` as `a` and `b OR c`; other conditions as they are.
fn factored(or: &Expr) -> Vec<Expr> {
    let branches: Vec<Vec<Expr>> = disjuncts(or).into_iter().map(conjuncts).collect();
    let Some((first, others)) = branches.split_first() else { return vec![or.clone()] };
    let mut factors: Vec<Expr> = vec![];
    for part in first {
        let everywhere = others.iter().all(|branch| branch.contains(part));
        if everywhere && !part.is_volatile() && !factors.contains(part) {
            factors.push(part.clone());
        }
    }
    if factors.is_empty() {
        return vec![unaliased(or).clone()];
    }
    let rests = branches.into_iter().map(|branch| together(branch.into_iter().filter(|part| !factors.contains(part))));
    // A branch of factors alone makes the OR true where they are.
    let rest = rests.collect::<Option<Vec<Expr>>>();
    let rest = rest.and_then(|r| r.into_iter().reduce(|a, b| datafusion_expr::binary_expr(a, Operator::Or, b)));
    factors.extend(rest);
    factors
}

/// What an OR says of one input alone: `a AND b OR c AND d` says `a OR c`, where `a` and `c` are of it and the others are
/// not. As Flink's `JoinDependentConditionDerivationRule`, which spares a join the rows that have no partner.
pub(crate) fn implied(condition: &Expr, is_of_input: &dyn Fn(&Expr) -> bool) -> Option<Expr> {
    let branches = disjuncts(condition);
    if branches.len() < 2 {
        return None;
    }
    let of_input =
        |branch: &Expr| together(conjuncts(branch).into_iter().filter(|part| !part.is_volatile() && is_of_input(part)));
    let parts = branches.into_iter().map(of_input).collect::<Option<Vec<Expr>>>()?;
    parts.into_iter().reduce(|a, b| datafusion_expr::binary_expr(a, Operator::Or, b))
}

/// The parts of a condition that OR holds together.
fn disjuncts(e: &Expr) -> Vec<&Expr> {
    match unaliased(e) {
        Expr::BinaryExpr(b) if b.op == Operator::Or => {
            disjuncts(&b.left).into_iter().chain(disjuncts(&b.right)).collect()
        }
        other => vec![other],
    }
}

/// One condition of all parts.
pub(crate) fn together(parts: impl IntoIterator<Item = Expr>) -> Option<Expr> {
    parts.into_iter().reduce(|a, b| datafusion_expr::binary_expr(a, Operator::And, b))
}

/// `TRUE`
pub(crate) fn is_true(e: &Expr) -> bool {
    matches!(e, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

/// The columns that an expression reads.
pub(crate) fn reads(e: &Expr) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let walked = e.apply(|e| {
        if let Expr::Column(c) = e {
            names.insert(c.name.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok());
    names
}

/// Which of two inputs a condition speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Nothing,
    Left,
    Right,
    Both,
}

/// Which of two inputs a condition speaks of.
pub(crate) fn of(e: &Expr, left: &LogicalPlan, right: &LogicalPlan) -> Of {
    let read = reads(e);
    let of = |plan: &LogicalPlan| read.iter().any(|c| plan.schema().index_of_column_by_name(None, c).is_some());
    match (of(left), of(right)) {
        (true, true) => Of::Both,
        (true, false) => Of::Left,
        (false, true) => Of::Right,
        (false, false) => Of::Nothing,
    }
}

/// The two sides of a comparison, and its operator.
pub(crate) fn comparison(e: &Expr) -> Option<(&'static str, &Expr, &Expr)> {
    let Expr::ScalarFunction(f) = unaliased(e) else { return None };
    match (Functions::shown(f)?, f.args.as_slice()) {
        (Shown::Operator(op @ ("=" | "<>" | "<" | "<=" | ">" | ">=" | "IS NOT DISTINCT FROM")), [a, b]) => {
            Some((op, a, b))
        }
        _ => None,
    }
}

/// Whether a condition is not true for a row in which all columns of a plan are NULL: a comparison with one of them, or
/// the test that it is not NULL.
pub(crate) fn rejects_nulls(e: &Expr, plan: &LogicalPlan) -> bool {
    let e = unaliased(e);
    match e {
        Expr::IsNotNull(x) | Expr::IsTrue(x) | Expr::IsFalse(x) => is_null_with(x, plan),
        Expr::BinaryExpr(b) if b.op == Operator::And => rejects_nulls(&b.left, plan) || rejects_nulls(&b.right, plan),
        Expr::BinaryExpr(b) if b.op == Operator::Or => rejects_nulls(&b.left, plan) && rejects_nulls(&b.right, plan),
        Expr::InList(list) => is_null_with(&list.expr, plan),
        Expr::Not(x) => is_null_with(x, plan),
        _ => match comparison(e) {
            Some(("IS NOT DISTINCT FROM", ..)) | None => false,
            Some((_, a, b)) => is_null_with(a, plan) || is_null_with(b, plan),
        },
    }
}

/// Whether an expression is NULL where a plan's columns are: such a column, or arithmetic and casts over one.
fn is_null_with(e: &Expr, plan: &LogicalPlan) -> bool {
    match unaliased(e) {
        Expr::Column(c) => plan.schema().index_of_column_by_name(None, &c.name).is_some(),
        Expr::ScalarFunction(f) => match Functions::shown(f) {
            Some(Shown::Operator("IS DISTINCT FROM" | "IS NOT DISTINCT FROM")) => false,
            Some(Shown::Operator(_)) | Some(Shown::Cast("CAST", _)) | Some(Shown::Field(_)) => {
                f.args.iter().any(|a| is_null_with(a, plan))
            }
            _ => false,
        },
        _ => false,
    }
}
