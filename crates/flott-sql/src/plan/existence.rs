//! Semi and anti joins that ask nothing of the rows of the right side but whether there is one: that side becomes one row, so
//! that the join does not keep the others.
//!
//! Of EXISTS without a word about the row outside it is the row of `MIN(TRUE)`, as in Flink (`FlinkSubQueryRemoveRule`). That
//! row may change, as far as the plan knows. Where the rows of a right side that another join (`1 IN (SELECT 1 ..)`) asks for
//! are only added, the first of them stands for all, so that the result is only added to, too.

use datafusion_expr::{Expr, LogicalPlan};
use flott_core::types::TypeKind;
use flott_core::{LogicalType, Result};
use flott_function::AggregateKind;
use flott_graph::JoinKind;

use super::convert::Converter;
use super::options;
use crate::bind::join::reads;
use crate::bind::node::{Aggregate, AggregateCall, Join, JoinFlavour, Sort};
use crate::bind::{FlinkNode, FlinkNodeKind, Typed, UniqueNames, column, filter, plan_schema, project};

/// The right side of a join by EXISTS as one row at most, and what the join then asks of a pair.
pub(super) fn exists(kind: JoinKind, left: &LogicalPlan, right: LogicalPlan) -> Result<(LogicalPlan, Option<Expr>)> {
    let truth = TypeKind::Boolean.not_null();
    let is_there = Typed { expr: Expr::IsNotNull(Box::new(column("m"))), data_type: truth.clone() };
    let name = name_beside(left);
    let least = least_of(project(right, vec![("i".to_string(), constant(&truth))])?)?;
    if kind == JoinKind::Semi {
        return Ok((project(filter(least, is_there)?, vec![(name, constant(&truth))])?, None));
    }
    // As in Flink, a semi join's right side is asked before the join, an anti join's in it.
    let condition = column(&name);
    Ok((project(least, vec![(name, is_there)])?, Some(condition)))
}

impl Converter<'_> {
    /// The right side of a join that does not read it, as one row at most; `None` where it stays as it is.
    pub(super) fn one_row(&self, join: &Join, left: &LogicalPlan, right: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        let of_right = |c: &String| right.schema().index_of_column_by_name(None, c).is_some();
        let reads_right = |c: &Expr| c.is_volatile() || reads(c).iter().any(of_right);
        let asks_nothing = join.kind.is_semi_or_anti()
            && matches!(join.flavour, JoinFlavour::Regular)
            && !join.condition.as_ref().is_some_and(reads_right);
        // Of EXISTS it is one already.
        if !asks_nothing || join.exists || self.for_keys {
            return Ok(None);
        }
        // The first row stands for all only where rows stay: with a time to live each has its own.
        let default = options::state_ttl(self.config)?.filter(|t| !t.is_zero());
        if join.state_ttl.iter().any(|own| own.or(default).is_some_and(|t| !t.is_zero())) {
            return Ok(None);
        }
        let truth = TypeKind::Boolean.not_null();
        let name = name_beside(left);
        let right = project(right.clone(), vec![("i".to_string(), constant(&truth))])?;
        let one = match self.for_keys().convert(&right)?.changelog.is_insert_only() {
            true => {
                let schema = plan_schema([("i", &truth)])?;
                let first = Sort { order: vec![], offset: 0, fetch: Some(1) };
                FlinkNode::plan(FlinkNodeKind::Sort(first), right, schema)
            }
            false => {
                let is_there = Typed { expr: Expr::IsNotNull(Box::new(column("m"))), data_type: truth.clone() };
                filter(least_of(right)?, is_there)?
            }
        };
        project(one, vec![(name, constant(&truth))]).map(Some)
    }
}

/// A name that no column of the left side has.
fn name_beside(left: &LogicalPlan) -> String {
    UniqueNames::of(left.schema()).take("$f0")
}

fn constant(truth: &LogicalType) -> Typed {
    Typed::literal(datafusion_common::ScalarValue::Boolean(Some(true)), truth.clone())
}

/// `SELECT MIN(i) AS m`
fn least_of(input: LogicalPlan) -> Result<LogicalPlan> {
    let result = TypeKind::Boolean.nullable();
    let schema = plan_schema([("m", &result)])?;
    let call = AggregateCall {
        kind: AggregateKind::Min,
        arguments: vec!["i".to_string()],
        argument_type: Some(TypeKind::Boolean.not_null()),
        filter: None,
        distinct: false,
        result,
        name: "m".to_string(),
    };
    let node = Aggregate { group: vec![], sets: None, calls: vec![call], state_ttl: None };
    Ok(FlinkNode::plan(FlinkNodeKind::Aggregate(node), input, schema))
}
