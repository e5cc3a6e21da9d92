//! Adjacent projections and filters as one program over what lies below them: the rule that fuses Calcs, takes computed
//! columns into the query's own, and tells a source which columns it must read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion_common::DFSchemaRef;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_expr::{Expr, LogicalPlan, Operator};
use flott_core::{Error, Result};

use super::convert::Converter;
use super::stream::{ScanWatermark, StreamNode};
use crate::bind::node::{Aggregate, Join, Over, WindowTableFunction};
use crate::bind::window::unaliased;
use crate::bind::{FlinkNode, FlinkNodeKind, ScanTable, column, from_datafusion};

/// How many operators may be copied where expressions that are read several times stand in the place of their names.
const COPIED_OPERATORS_MAX: usize = 1_000;

/// Operators and columns of an expression.
pub(crate) fn size(e: &Expr) -> usize {
    let mut size = 0;
    let walked = e.apply(|_| {
        size += 1;
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok());
    size
}

/// What a program reads.
#[expect(clippy::large_enum_variant, reason = "a handful live while a query is planned")]
pub(crate) enum Base<'p> {
    /// A table, with the watermark declared on it (over the table's columns).
    Scan { table: Arc<ScanTable>, watermark: Option<ScanWatermark> },
    /// One row without columns.
    OneRow,
    /// An aggregation, of which it is not yet known which results are read.
    Aggregate { node: &'p FlinkNode, aggregate: &'p Aggregate },
    /// A join, of which it is not yet known which columns are read.
    Join { node: &'p FlinkNode, join: &'p Join },
    /// A window TVF, not yet decided whether it becomes a node.
    Window { function: &'p WindowTableFunction, input: &'p LogicalPlan },
    /// Numbered rows, not yet decided which of them stay.
    Over { over: &'p Over, node: &'p FlinkNode },
    /// An operator that is planned.
    Node(Arc<StreamNode>),
}

/// Projection and filter over the columns of a base.
pub(crate) struct Program<'p> {
    pub(crate) base: Base<'p>,
    /// The base's columns.
    pub(crate) base_schema: DFSchemaRef,
    pub(crate) projection: Vec<Expr>,
    pub(crate) filter: Option<Expr>,
    /// The program's output.
    pub(crate) schema: DFSchemaRef,
}

impl<'p> Program<'p> {
    /// Everything as it is.
    pub(crate) fn identity(base: Base<'p>, schema: DFSchemaRef) -> Program<'p> {
        let projection = schema.fields().iter().map(|f| column(f.name())).collect();
        Program { base, base_schema: schema.clone(), projection, filter: None, schema }
    }

    /// An expression over the program's output as one over the base.
    pub(crate) fn inline(&self, e: &Expr) -> Result<Expr> {
        let outputs: BTreeMap<&str, &Expr> =
            self.schema.fields().iter().map(|f| f.name().as_str()).zip(&self.projection).collect();
        substitute(e, &|name| outputs.get(name).map(|e| (*e).clone()))
    }

    /// Whether expressions may be inlined: one that gives another value at each call must be computed once, and so must
    /// what would grow beyond measure where it is read several times.
    pub(crate) fn can_inline(&self, users: &[&Expr]) -> bool {
        let names = || self.schema.fields().iter().map(|f| f.name().as_str());
        let volatile: BTreeSet<&str> =
            names().zip(&self.projection).filter(|(_, e)| e.is_volatile()).map(|(name, _)| name).collect();
        let sizes: BTreeMap<&str, usize> = names().zip(self.projection.iter().map(size)).collect();
        if volatile.is_empty() && sizes.values().all(|s| *s == 1) {
            return true;
        }
        let mut uses: BTreeMap<String, usize> = BTreeMap::new();
        for user in users {
            for (name, n) in column_uses(user) {
                *uses.entry(name).or_default() += n;
            }
        }
        let times = |name: &str| uses.get(name).copied().unwrap_or(0);
        let copies = sizes.iter().map(|(name, size)| times(name).saturating_sub(1).saturating_mul(*size));
        let grows_by = copies.fold(0usize, usize::saturating_add);
        grows_by <= COPIED_OPERATORS_MAX && volatile.iter().all(|v| times(v) <= 1)
    }
}

impl Converter<'_> {
    /// The program on top of a plan.
    pub(crate) fn program<'p>(&self, plan: &'p LogicalPlan) -> Result<Program<'p>> {
        match plan {
            LogicalPlan::Projection(p) => {
                let mut below = self.program(&p.input)?;
                if !below.can_inline(&p.expr.iter().collect::<Vec<_>>()) {
                    below = self.settled(below)?;
                }
                let projection = p.expr.iter().map(|e| below.inline(unaliased(e))).collect::<Result<_>>()?;
                Ok(Program { projection, schema: p.schema.clone(), ..below })
            }
            LogicalPlan::Filter(f) => {
                let mut below = self.program(&f.input)?;
                // A filter reads a column once more than the projection that keeps it.
                let kept: Vec<Expr> = below.schema.fields().iter().map(|f| column(f.name())).collect();
                let users: Vec<&Expr> = kept.iter().chain([&f.predicate]).collect();
                if !below.can_inline(&users) {
                    below = self.settled(below)?;
                }
                let condition = below.inline(&f.predicate)?;
                below.filter = and(below.filter, Some(condition));
                Ok(below)
            }
            LogicalPlan::TableScan(scan) => {
                let table = self.scan_table(scan)?;
                Ok(Program::identity(Base::Scan { table, watermark: None }, scan.projected_schema.clone()))
            }
            LogicalPlan::EmptyRelation(e) => Ok(Program::identity(Base::OneRow, e.schema.clone())),
            LogicalPlan::Extension(e) => {
                let node = FlinkNode::of(e).ok_or_else(|| Error::internal("an unknown node in the logical plan"))?;
                match &node.kind {
                    FlinkNodeKind::WatermarkAssigner { rowtime, watermark } => {
                        let mut below = self.program(&node.input)?;
                        let spec = ScanWatermark {
                            rowtime: below.inline(&column(rowtime))?,
                            watermark: watermark.as_ref().map(|w| below.inline(w)).transpose()?,
                        };
                        match &mut below.base {
                            Base::Scan { watermark: slot @ None, .. } if below.filter.is_none() => *slot = Some(spec),
                            _ => return Err(Error::internal("a watermark that is not on a table")),
                        }
                        below.schema = node.schema.clone();
                        Ok(below)
                    }
                    FlinkNodeKind::WindowTableFunction(function) => {
                        Ok(Program::identity(Base::Window { function, input: &node.input }, node.schema.clone()))
                    }
                    FlinkNodeKind::Aggregate(aggregate) => {
                        Ok(Program::identity(Base::Aggregate { node, aggregate }, node.schema.clone()))
                    }
                    FlinkNodeKind::Unnest(unnest) => {
                        let planned = self.unnest(node, unnest)?;
                        Ok(Program::identity(Base::Node(planned), node.schema.clone()))
                    }
                    FlinkNodeKind::Changelog(call) => {
                        let planned = self.changelog_function(node, call)?;
                        Ok(Program::identity(Base::Node(planned), node.schema.clone()))
                    }
                    FlinkNodeKind::Join(join) => Ok(Program::identity(Base::Join { node, join }, node.schema.clone())),
                    FlinkNodeKind::Over(over) => Ok(Program::identity(Base::Over { over, node }, node.schema.clone())),
                    FlinkNodeKind::Match(spec) => {
                        let planned = self.match_recognize(node, spec)?;
                        Ok(Program::identity(Base::Node(planned), node.schema.clone()))
                    }
                    FlinkNodeKind::Sort(sort) => {
                        Ok(Program::identity(Base::Node(self.sort(node, sort)?), node.schema.clone()))
                    }
                }
            }
            other => {
                let node = self.convert_node(other)?;
                let schema = other.schema().clone();
                Ok(Program::identity(Base::Node(node), schema))
            }
        }
    }

    /// The same program with what it computes done: nothing of it can be computed twice any more.
    pub(crate) fn settled<'p>(&self, program: Program<'p>) -> Result<Program<'p>> {
        let schema = program.schema.clone();
        let node = self.finish(program)?;
        Ok(Program::identity(Base::Node(node), schema))
    }
}

/// Replaces columns.
pub(crate) fn substitute(e: &Expr, by: &dyn Fn(&str) -> Option<Expr>) -> Result<Expr> {
    let replaced = e.clone().transform_down(|e| {
        Ok(match &e {
            Expr::Column(c) => match by(&c.name) {
                // What stands in for a column is not walked again: its columns are the base's.
                Some(new) => Transformed::new(new, true, TreeNodeRecursion::Jump),
                None => Transformed::no(e),
            },
            _ => Transformed::no(e),
        })
    });
    Ok(replaced.map_err(from_datafusion)?.data)
}

/// How often each column is read.
pub(crate) fn column_uses(e: &Expr) -> BTreeMap<String, usize> {
    let mut uses = BTreeMap::new();
    let walked = e.apply(|e| {
        if let Expr::Column(c) = e {
            *uses.entry(c.name.clone()).or_default() += 1;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok());
    uses
}

/// Both conditions.
pub(crate) fn and(a: Option<Expr>, b: Option<Expr>) -> Option<Expr> {
    match (a, b) {
        (Some(a), Some(b)) => Some(datafusion_expr::binary_expr(a, Operator::And, b)),
        (a, b) => a.or(b),
    }
}
