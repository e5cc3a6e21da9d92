//! Which sub-queries stand in an expression, and the parts that expressions have.

use sqlparser::ast::{self, AccessExpr, Expr as Ast, FunctionArg, FunctionArgExpr, Subscript, UnaryOperator};

/// A sub-query in an expression.
pub(crate) struct Embedded<'q> {
    /// It: `(SELECT ..)`, IN or EXISTS.
    pub(crate) e: &'q Ast,
    /// FALSE is as good as unknown where it stands.
    pub(crate) two_valued: bool,
}

/// The sub-queries of an expression, the inner ones first. `is_condition`: only whether it is TRUE matters. What is `known`
/// is not looked into.
pub(crate) fn embedded<'q>(e: &'q Ast, is_condition: bool, known: &dyn Fn(&Ast) -> bool) -> Vec<Embedded<'q>> {
    let mut found = vec![];
    walk(e, is_condition, known, &mut found);
    found
}

fn walk<'q>(e: &'q Ast, two_valued: bool, known: &dyn Fn(&Ast) -> bool, found: &mut Vec<Embedded<'q>>) {
    if known(e) {
        return;
    }
    match e {
        Ast::Subquery(_) | Ast::Exists { .. } => found.push(Embedded { e, two_valued }),
        Ast::InSubquery { expr, negated, .. } => {
            walk(expr, false, known, found);
            found.push(Embedded { e, two_valued: two_valued && !negated });
        }
        Ast::AnyOp { left, .. } | Ast::AllOp { left, .. } => {
            walk(left, false, known, found);
            found.push(Embedded { e, two_valued });
        }
        Ast::Nested(x) => walk(x, two_valued, known, found),
        Ast::UnaryOp { op: UnaryOperator::Not, expr } => walk(expr, false, known, found),
        Ast::BinaryOp { left, op: ast::BinaryOperator::And | ast::BinaryOperator::Or, right } => {
            walk(left, two_valued, known, found);
            walk(right, two_valued, known, found);
        }
        other => parts(other).into_iter().for_each(|x| walk(x, false, known, found)),
    }
}

/// What an expression is made of; of a sub-query nothing but what stands before it.
pub(crate) fn parts(e: &Ast) -> Vec<&Ast> {
    match e {
        Ast::InSubquery { expr: x, .. }
        | Ast::AnyOp { left: x, .. }
        | Ast::AllOp { left: x, .. }
        | Ast::Nested(x)
        | Ast::UnaryOp { expr: x, .. }
        | Ast::IsNull(x)
        | Ast::IsNotNull(x)
        | Ast::IsTrue(x)
        | Ast::IsNotTrue(x)
        | Ast::IsFalse(x)
        | Ast::IsNotFalse(x)
        | Ast::IsUnknown(x)
        | Ast::IsNotUnknown(x)
        | Ast::Cast { expr: x, .. }
        | Ast::Extract { expr: x, .. }
        | Ast::Ceil { expr: x, .. }
        | Ast::Floor { expr: x, .. } => vec![x],
        Ast::BinaryOp { left, right, .. } | Ast::IsDistinctFrom(left, right) | Ast::IsNotDistinctFrom(left, right) => {
            vec![left, right]
        }
        Ast::Between { expr, low, high, .. } => vec![expr, low, high],
        Ast::Like { expr, pattern, .. } | Ast::SimilarTo { expr, pattern, .. } => vec![expr, pattern],
        Ast::InList { expr, list, .. } => std::iter::once(expr.as_ref()).chain(list).collect(),
        Ast::Tuple(items) => items.iter().collect(),
        Ast::Array(array) => array.elem.iter().collect(),
        Ast::Struct { values, .. } => values.iter().collect(),
        Ast::Map(map) => map.entries.iter().flat_map(|x| [x.key.as_ref(), x.value.as_ref()]).collect(),
        Ast::Position { expr, r#in } => vec![expr, r#in],
        Ast::Substring { expr, substring_from, substring_for, .. } => {
            let more = [substring_from, substring_for].into_iter().flatten().map(AsRef::as_ref);
            std::iter::once(expr.as_ref()).chain(more).collect()
        }
        Ast::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
            let first = [expr.as_ref(), overlay_what, overlay_from].into_iter();
            first.chain(overlay_for.iter().map(AsRef::as_ref)).collect()
        }
        Ast::Trim { trim_what, expr, trim_characters, .. } => {
            let what = trim_what.iter().map(AsRef::as_ref);
            what.chain([expr.as_ref()]).chain(trim_characters.iter().flatten()).collect()
        }
        Ast::Case { operand, conditions, else_result, .. } => {
            let operand = operand.iter().map(AsRef::as_ref);
            let branches = conditions.iter().flat_map(|c| [&c.condition, &c.result]);
            operand.chain(branches).chain(else_result.iter().map(AsRef::as_ref)).collect()
        }
        Ast::CompoundFieldAccess { root, access_chain } => {
            let mut all = vec![root.as_ref()];
            for step in access_chain {
                if let AccessExpr::Subscript(Subscript::Index { index }) = step {
                    all.push(index);
                }
            }
            all
        }
        Ast::GroupingSets(sets) | Ast::Rollup(sets) | Ast::Cube(sets) => sets.iter().flatten().collect(),
        Ast::Function(f) => of_call(f),
        _ => vec![],
    }
}

/// The arguments of a call, its FILTER and its window.
fn of_call(f: &ast::Function) -> Vec<&Ast> {
    let mut all = vec![];
    if let ast::FunctionArguments::List(list) = &f.args {
        for argument in &list.args {
            let (FunctionArg::Unnamed(arg) | FunctionArg::Named { arg, .. } | FunctionArg::ExprNamed { arg, .. }) =
                argument;
            if let FunctionArgExpr::Expr(e) = arg {
                all.push(e);
            }
        }
    }
    all.extend(f.filter.iter().map(AsRef::as_ref));
    if let Some(ast::WindowType::WindowSpec(window)) = &f.over {
        all.extend(&window.partition_by);
        all.extend(window.order_by.iter().map(|by| &by.expr));
    }
    all
}
