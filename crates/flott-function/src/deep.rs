//! Deep expressions on small stacks: `a + b + ..` with 2,000 operands is a tree of 2,000 levels, and whoever evaluates or
//! prints it goes down all of them. Every so many levels such a tree looks whether its stack is large enough, and goes on
//! on another one where it is not.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, FieldRef, Schema};
use datafusion_common::DataFusionError;
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;
use flott_core::{Error, Result};

use crate::udf::from_datafusion;

/// Levels between two looks at the stack.
const LEVELS: usize = 32;
/// What so many levels need at most, in an unoptimised build.
const NEEDED_BYTES: usize = 512 << 10;
/// Bytes of another stack.
const STACK_BYTES: usize = 4 << 20;

/// The expression, safe to evaluate and to print on any thread. Whoever calls this has a large stack himself.
pub fn on_any_stack(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    if depth(&expr) < 2 * LEVELS {
        return Ok(expr);
    }
    with_looks(expr).map(|(expr, _)| expr)
}

fn depth(expr: &Arc<dyn PhysicalExpr>) -> usize {
    1 + expr.children().into_iter().map(depth).max().unwrap_or(0)
}

fn with_looks(expr: Arc<dyn PhysicalExpr>) -> Result<(Arc<dyn PhysicalExpr>, usize)> {
    let (mut children, mut depth) = (vec![], 0);
    for child in expr.children() {
        let (child, below) = with_looks(Arc::clone(child))?;
        children.push(child);
        depth = depth.max(below);
    }
    let expr = if depth < LEVELS { expr } else { expr.with_new_children(children).map_err(from_datafusion)? };
    depth += 1;
    let is_marked = depth % LEVELS == 0;
    Ok((if is_marked { Arc::new(Marked(expr)) } else { expr }, depth))
}

fn grown<T>(go_on: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(NEEDED_BYTES, STACK_BYTES, go_on)
}

/// The expression itself, behind a look at the stack.
#[derive(Eq)]
struct Marked(Arc<dyn PhysicalExpr>);

impl PartialEq for Marked {
    fn eq(&self, other: &Marked) -> bool {
        grown(|| self.0.eq(&other.0))
    }
}

impl Hash for Marked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        grown(|| self.0.hash(state));
    }
}

impl fmt::Debug for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        grown(|| self.0.fmt(f))
    }
}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        grown(|| write!(f, "{}", self.0))
    }
}

impl PhysicalExpr for Marked {
    fn data_type(&self, schema: &Schema) -> datafusion_common::Result<DataType> {
        grown(|| self.0.data_type(schema))
    }

    fn nullable(&self, schema: &Schema) -> datafusion_common::Result<bool> {
        grown(|| self.0.nullable(schema))
    }

    fn evaluate(&self, batch: &RecordBatch) -> datafusion_common::Result<ColumnarValue> {
        grown(|| self.0.evaluate(batch))
    }

    fn return_field(&self, schema: &Schema) -> datafusion_common::Result<FieldRef> {
        grown(|| self.0.return_field(schema))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> datafusion_common::Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.pop()) {
            (Some(child), None) => Ok(Arc::new(Marked(child))),
            _ => Err(DataFusionError::External(Box::new(Error::internal("a look at the stack is of one expression")))),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        grown(|| self.0.fmt_sql(f))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int32Array};
    use datafusion_expr::Operator;
    use datafusion_physical_expr::expressions::{BinaryExpr, Column};

    use super::*;

    #[test]
    fn a_chain_of_thousands_is_evaluated_and_printed_on_a_small_stack() {
        const OPERANDS: i32 = 4_000;
        let column = || Arc::new(Column::new("a", 0)) as Arc<dyn PhysicalExpr>;
        let build = move || {
            let chain = (1..OPERANDS).fold(column(), |l, _| Arc::new(BinaryExpr::new(l, Operator::Plus, column())));
            on_any_stack(chain).expect("marked")
        };
        let planner = std::thread::Builder::new().stack_size(64 << 20).spawn(build).expect("a thread");
        let chain = planner.join().expect("planned");
        let small = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
            let rows: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
            let batch = RecordBatch::try_from_iter([("a", rows)]).expect("a batch");
            let value = chain.evaluate(&batch).expect("a value").into_array(2).expect("an array");
            assert_eq!(value.as_ref(), &Int32Array::from(vec![OPERANDS, 2 * OPERANDS]) as &dyn arrow_array::Array);
            assert_eq!(chain.to_string().matches('+').count() as i32, OPERANDS - 1);
        });
        small.expect("a thread").join().expect("it fits");
    }

    #[test]
    fn a_shallow_expression_stays_what_it_is() {
        let column = Arc::new(Column::new("a", 0)) as Arc<dyn PhysicalExpr>;
        let same = on_any_stack(Arc::clone(&column)).expect("marked");
        assert!(Arc::ptr_eq(&column, &same));
    }
}
