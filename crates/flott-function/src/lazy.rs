//! AND and OR from left to right, as Flink computes them: `a <> 0 AND 10 / a > 1` never divides by zero.
//!
//! DataFusion's own AND evaluates both sides for every row unless the left side decides all (or nearly all) of them.
//! Logical plans keep the plain operator, so that they are read, split and shown as usual; whoever makes the physical
//! expression passes it through [`short_circuit`]. Where the right side cannot fail, the eager kernel stays: it is
//! faster than to pick rows. CASE needs nothing: DataFusion evaluates each branch over its own rows only, except for
//! branches that are columns or literals.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::builder::BooleanBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, FieldRef, Schema};
use arrow_select::filter::filter_record_batch;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DataFusionError, ScalarValue};
use datafusion_expr::{ColumnarValue, Operator, Volatility};
use datafusion_physical_expr::expressions::{
    BinaryExpr, CaseExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};
use datafusion_physical_expr::utils::collect_columns;
use datafusion_physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use flott_core::{Error, Result};

use crate::udf::{FlinkFunction, from_datafusion};

/// The expression with every AND and OR whose right side can fail evaluated from left to right.
pub fn short_circuit(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let lazy = expr.transform_up(|e| {
        let logic = e.downcast_ref::<BinaryExpr>().and_then(|b| {
            let decided = match b.op() {
                Operator::And => false,
                Operator::Or => true,
                _ => return None,
            };
            can_fail(b.right()).then(|| LazyLogic::new(decided, Arc::clone(b.left()), Arc::clone(b.right())))
        });
        Ok(match logic {
            Some(logic) => Transformed::yes(Arc::new(logic?) as Arc<dyn PhysicalExpr>),
            None => Transformed::no(e),
        })
    });
    Ok(lazy.map_err(from_datafusion)?.data)
}

/// The expression with the values of each IN evaluated for every batch, where they are not all constants.
///
/// [`InListExpr`] takes values for constants, and asks for them once, where a batch without rows makes each a scalar: CASE is
/// NULL then, whatever its branches read, and so would be `i IN (5, NULLIF(j, 0))`.
pub fn evaluate_lists(expr: Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let evaluated = expr.transform_up(|e| {
        let list = match e.downcast_ref::<InListExpr>() {
            Some(list) if !list.list().iter().all(is_constant) => list,
            _ => return Ok(Transformed::no(e)),
        };
        let values = list.list().iter().map(|v| match is_constant(v) {
            true => Arc::clone(v),
            false => Arc::new(PerRow(Arc::clone(v))) as Arc<dyn PhysicalExpr>,
        });
        let again = InListExpr::try_new(Arc::clone(list.expr()), values.collect(), list.negated(), schema)?;
        Ok(Transformed::yes(Arc::new(again) as Arc<dyn PhysicalExpr>))
    });
    Ok(evaluated.map_err(from_datafusion)?.data)
}

/// Whether an expression reads no column and has the same value whenever it is asked.
fn is_constant(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let varies = expr.is::<Column>()
        || expr
            .downcast_ref::<ScalarFunctionExpr>()
            .is_some_and(|f| f.fun().signature().volatility != Volatility::Immutable);
    !varies && expr.children().into_iter().all(is_constant)
}

/// An expression whose value is never a scalar.
#[derive(Debug, Eq)]
struct PerRow(Arc<dyn PhysicalExpr>);

impl PartialEq for PerRow {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl Hash for PerRow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for PerRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl PhysicalExpr for PerRow {
    fn data_type(&self, schema: &Schema) -> datafusion_common::Result<DataType> {
        self.0.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> datafusion_common::Result<bool> {
        self.0.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> datafusion_common::Result<ColumnarValue> {
        Ok(ColumnarValue::Array(self.0.evaluate(batch)?.into_array(batch.num_rows())?))
    }

    fn return_field(&self, schema: &Schema) -> datafusion_common::Result<FieldRef> {
        self.0.return_field(schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> datafusion_common::Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.pop()) {
            (Some(value), None) => Ok(Arc::new(PerRow(value))),
            _ => Err(DataFusionError::External(Box::new(Error::internal("a value of IN is one expression")))),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}

/// Whether evaluating an expression can fail for some row. What is not known to be harmless can.
fn can_fail(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let harmless = expr.is::<Column>()
        || expr.is::<Literal>()
        || expr.is::<IsNullExpr>()
        || expr.is::<IsNotNullExpr>()
        || expr.is::<NotExpr>()
        || expr.is::<CaseExpr>()
        || expr.is::<InListExpr>()
        || expr.is::<PerRow>()
        || expr.downcast_ref::<BinaryExpr>().is_some_and(|b| {
            matches!(
                b.op(),
                // `x IS TRUE` and the like arrive as IS [NOT] DISTINCT FROM.
                Operator::And | Operator::Or | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom
            )
        })
        || expr.downcast_ref::<ScalarFunctionExpr>().is_some_and(|f| {
            let function: &dyn Any = f.fun().inner().as_ref();
            function.downcast_ref::<FlinkFunction>().is_some_and(|f| !f.can_fail())
        });
    !harmless || expr.children().into_iter().any(can_fail)
}

/// `left AND right` or `left OR right`; the right side sees only the rows that the left side leaves open.
#[derive(Debug, Eq)]
struct LazyLogic {
    /// What the left side must be to decide alone: FALSE for AND, TRUE for OR.
    decided: bool,
    left: Arc<dyn PhysicalExpr>,
    right: Arc<dyn PhysicalExpr>,
    /// The columns that the right side reads, and that side over them alone: fewer columns to pick rows from.
    columns: Vec<usize>,
    narrow: Arc<dyn PhysicalExpr>,
}

impl PartialEq for LazyLogic {
    fn eq(&self, other: &Self) -> bool {
        self.decided == other.decided && self.left.eq(&other.left) && self.right.eq(&other.right)
    }
}

impl Hash for LazyLogic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.decided.hash(state);
        self.left.hash(state);
        self.right.hash(state);
    }
}

impl fmt::Display for LazyLogic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} {} {})", self.left, if self.decided { "OR" } else { "AND" }, self.right)
    }
}

impl LazyLogic {
    fn new(
        decided: bool,
        left: Arc<dyn PhysicalExpr>,
        right: Arc<dyn PhysicalExpr>,
    ) -> datafusion_common::Result<LazyLogic> {
        let mut columns: Vec<usize> = collect_columns(&right).iter().map(Column::index).collect();
        columns.sort_unstable();
        columns.dedup();
        let narrow = Arc::clone(&right).transform_up(|e| {
            let moved = e.downcast_ref::<Column>().and_then(|c| {
                let index = columns.binary_search(&c.index()).ok()?;
                Some(Arc::new(Column::new(c.name(), index)) as Arc<dyn PhysicalExpr>)
            });
            Ok(moved.map_or(Transformed::no(e), Transformed::yes))
        })?;
        Ok(LazyLogic { decided, left, right, columns, narrow: narrow.data })
    }

    /// The right side's answer combined with a left side that left its row open (NULL, or the value that decides nothing).
    fn combine(&self, left_is_null: bool, right: Option<bool>) -> Option<bool> {
        match right {
            Some(r) if r == self.decided => Some(r),
            Some(_) if left_is_null => None,
            other => other,
        }
    }
}

impl PhysicalExpr for LazyLogic {
    fn data_type(&self, _schema: &Schema) -> datafusion_common::Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> datafusion_common::Result<bool> {
        Ok(self.left.nullable(schema)? || self.right.nullable(schema)?)
    }

    fn evaluate(&self, batch: &RecordBatch) -> datafusion_common::Result<ColumnarValue> {
        let left = match self.left.evaluate(batch)? {
            ColumnarValue::Scalar(ScalarValue::Boolean(Some(l))) if l == self.decided => {
                return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(l))));
            }
            ColumnarValue::Scalar(l) => {
                let null = l.is_null();
                return match self.right.evaluate(batch)? {
                    ColumnarValue::Scalar(r) => {
                        let r = if let ScalarValue::Boolean(r) = r { r } else { None };
                        Ok(ColumnarValue::Scalar(ScalarValue::Boolean(self.combine(null, r))))
                    }
                    right if !null => Ok(right),
                    ColumnarValue::Array(right) => {
                        let out: BooleanArray = boolean(&right)?.iter().map(|r| self.combine(true, r)).collect();
                        Ok(ColumnarValue::Array(Arc::new(out)))
                    }
                };
            }
            ColumnarValue::Array(left) => left,
        };
        let left = boolean(&left)?;
        let mut open = if self.decided { !left.values() } else { left.values().clone() };
        if let Some(nulls) = left.nulls() {
            // NULL is open whatever lies under it.
            open = &open | &!nulls.inner();
        }
        let count = open.count_set_bits();
        if count == 0 {
            return Ok(ColumnarValue::Array(Arc::new(left.clone())));
        }
        let right = if count == left.len() {
            self.right.evaluate(batch)?
        } else {
            let picked = filter_record_batch(&batch.project(&self.columns)?, &BooleanArray::new(open.clone(), None))?;
            self.narrow.evaluate(&picked)?
        };
        if count == left.len() && left.null_count() == 0 {
            // All rows are the right side's to decide.
            return Ok(right);
        }
        let right = right.into_array(count)?;
        Ok(ColumnarValue::Array(Arc::new(self.scatter(left, &open, boolean(&right)?))))
    }

    fn return_field(&self, schema: &Schema) -> datafusion_common::Result<FieldRef> {
        let t = flott_core::types::TypeKind::Boolean.nullable().with_nullable(self.nullable(schema)?);
        Ok(Arc::new(flott_core::types::arrow_field(&self.to_string(), &t)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.left, &self.right]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> datafusion_common::Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.pop(), children.pop()) {
            (Some(right), Some(left), None) => Ok(Arc::new(LazyLogic::new(self.decided, left, right)?)),
            _ => Err(DataFusionError::External(Box::new(Error::internal("AND and OR have two sides")))),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.left.fmt_sql(f)?;
        f.write_str(if self.decided { " OR " } else { " AND " })?;
        self.right.fmt_sql(f)
    }
}

impl LazyLogic {
    /// The answers of the picked rows at their places; the other rows are decided.
    fn scatter(&self, left: &BooleanArray, open: &BooleanBuffer, right: &BooleanArray) -> BooleanArray {
        let mut out = BooleanBuilder::with_capacity(left.len());
        let mut next = 0;
        for row in 0..left.len() {
            if !open.value(row) {
                out.append_value(self.decided);
                continue;
            }
            let answer = right.is_valid(next).then(|| right.value(next));
            next += 1;
            out.append_option(self.combine(left.is_null(row), answer));
        }
        out.finish()
    }
}

fn boolean(array: &dyn Array) -> datafusion_common::Result<&BooleanArray> {
    array
        .as_boolean_opt()
        .ok_or_else(|| DataFusionError::External(Box::new(Error::internal("a condition that is not BOOLEAN"))))
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int32Array};
    use datafusion_expr::Expr;
    use flott_core::LogicalType;
    use flott_core::types::TypeKind as K;

    use super::*;
    use crate::context::FunctionEnv;
    use crate::operator::binary;
    use crate::testing::{column, evaluate, int, table};
    use crate::udf::TypedExpr;

    fn comparison(op: Operator, left: TypedExpr, right: TypedExpr) -> TypedExpr {
        binary(op, left, right, &FunctionEnv::default()).expect("an expression")
    }

    fn logic(op: Operator, left: TypedExpr, right: TypedExpr) -> TypedExpr {
        comparison(op, left, right)
    }

    fn integers(values: &[Option<i32>]) -> RecordBatch {
        table(&[("a", "INT", Arc::new(Int32Array::from(values.to_vec())) as ArrayRef)])
    }

    #[test]
    fn the_right_side_sees_only_open_rows() {
        let a = || column("a", "INT");
        let divides = || {
            let quotient = comparison(Operator::Divide, int(10), a());
            comparison(Operator::Gt, quotient, int(1))
        };
        let not_zero = || comparison(Operator::NotEq, a(), int(0));
        let zero = || comparison(Operator::Eq, a(), int(0));
        let rows = integers(&[Some(0), Some(5), Some(20), None, Some(0)]);
        let (f, t) = (Some(false), Some(true));
        assert_eq!(
            evaluate(&logic(Operator::And, not_zero(), divides()), &rows).expect("rows"),
            vec![f, t, f, None, f]
        );
        assert_eq!(evaluate(&logic(Operator::Or, zero(), divides()), &rows).expect("rows"), vec![t, t, f, None, t]);
        // The other way round it fails, as in Flink.
        assert!(evaluate(&logic(Operator::And, divides(), not_zero()), &rows).is_err());
        // Nested: the guard of the left part guards the right part of the right part too.
        let chain = logic(Operator::And, not_zero(), logic(Operator::Or, divides(), divides()));
        assert_eq!(evaluate(&chain, &rows).expect("rows"), vec![f, t, f, None, f]);
        // All rows decided, and none.
        let all = integers(&[Some(0), Some(0)]);
        assert_eq!(evaluate(&logic(Operator::And, not_zero(), divides()), &all).expect("rows"), vec![f, f]);
        let none = integers(&[Some(1), Some(2)]);
        assert_eq!(evaluate(&logic(Operator::And, not_zero(), divides()), &none).expect("rows"), vec![t, t]);
        assert_eq!(evaluate(&logic(Operator::And, not_zero(), divides()), &integers(&[])).expect("rows"), vec![]);
    }

    #[test]
    fn constants_decide_too() {
        let boolean = |b: Option<bool>| {
            let t: LogicalType = K::Boolean.nullable();
            TypedExpr::new(Expr::Literal(ScalarValue::Boolean(b), None), t)
        };
        let fails = || comparison(Operator::Eq, comparison(Operator::Divide, column("a", "INT"), int(0)), int(1));
        let rows = integers(&[Some(1)]);
        let run = |op, left| evaluate(&logic(op, boolean(left), fails()), &rows);
        assert_eq!(run(Operator::And, Some(false)).expect("rows"), vec![Some(false)]);
        assert_eq!(run(Operator::Or, Some(true)).expect("rows"), vec![Some(true)]);
        assert!(run(Operator::And, None).is_err());
        assert!(run(Operator::Or, Some(false)).is_err());
    }

    #[test]
    fn three_valued_logic() {
        // Every pair of TRUE, FALSE, NULL, with a right side that counts as one that can fail.
        let values = [Some(true), Some(false), None];
        let pairs: Vec<_> = values.iter().flat_map(|l| values.iter().map(|r| (*l, *r))).collect();
        let left: BooleanArray = pairs.iter().map(|p| p.0).collect();
        let right: BooleanArray = pairs.iter().map(|p| p.1).collect();
        let rows = table(&[("l", "BOOLEAN", Arc::new(left) as ArrayRef), ("r", "BOOLEAN", Arc::new(right))]);
        let guarded = || {
            let fails = comparison(Operator::Eq, comparison(Operator::Divide, int(1), int(1)), int(1));
            let case = crate::operator::case(
                vec![(fails, column("r", "BOOLEAN"))],
                column("r", "BOOLEAN"),
                &FunctionEnv::default(),
            );
            case.expect("a CASE")
        };
        let and = evaluate(&logic(Operator::And, column("l", "BOOLEAN"), guarded()), &rows).expect("rows");
        let or = evaluate(&logic(Operator::Or, column("l", "BOOLEAN"), guarded()), &rows).expect("rows");
        for (i, (l, r)) in pairs.iter().enumerate() {
            let expected_and = match (l, r) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
            let expected_or = match (l, r) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
            assert_eq!((and[i], or[i]), (expected_and, expected_or), "{l:?} {r:?}");
        }
    }
}
