//! OVER: the functions over windows of rows that a query collects, and the columns that feed them.

use datafusion_expr::LogicalPlan;
use flott_core::types::TypeKind;
use flott_core::{Error, Result};
use sqlparser::ast::{self, Spanned};

use super::expression::ExpressionBinder;
use super::node::{FlinkNode, FlinkNodeKind, OrderKey, Over, OverCall, RankFunction};
use super::refuse::{at, refuse_if, unsupported_with};
use super::scope::{Typed, column, columns_of, plan_schema};
use super::{filter, project};

/// What stands in SELECT and QUALIFY over windows.
#[derive(Debug, Default)]
pub(crate) struct OverCalls {
    /// `WINDOW w AS (..)`
    pub(crate) named: Vec<ast::NamedWindowDefinition>,
    /// One for each window.
    windows: Vec<Over>,
    /// Columns that are computed before: by name.
    inputs: Vec<(String, Typed)>,
}

impl OverCalls {
    pub(crate) fn new(named: &[ast::NamedWindowDefinition]) -> OverCalls {
        OverCalls { named: named.to_vec(), ..OverCalls::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// The column that an expression is before the windows.
    fn input(&mut self, value: Typed) -> String {
        if let datafusion_expr::Expr::Column(c) = &value.expr {
            return c.name.clone();
        }
        if let Some((name, _)) = self.inputs.iter().find(|(_, t)| t.expr == value.expr) {
            return name.clone();
        }
        let name = format!("$o{}", self.inputs.len());
        self.inputs.push((name.clone(), value));
        name
    }

    fn add(&mut self, function: RankFunction, partition: Vec<String>, order: Vec<OrderKey>) -> Typed {
        let window = match self.windows.iter().position(|w| w.partition == partition && w.order == order) {
            Some(known) => known,
            None => {
                self.windows.push(Over { partition, order, calls: vec![] });
                self.windows.len() - 1
            }
        };
        let calls = &mut self.windows[window].calls;
        let known = calls.iter().find(|c| c.function == function).map(|c| c.name.clone());
        let name = known.unwrap_or_else(|| {
            let name = format!("w{window}$o{}", calls.len());
            calls.push(OverCall { function, name: name.clone() });
            name
        });
        Typed { expr: column(&name), data_type: TypeKind::BigInt.not_null() }
    }

    /// The plan with a column for each call, and of that what QUALIFY lets pass.
    pub(crate) fn over(self, plan: LogicalPlan, qualify: Option<Typed>) -> Result<LogicalPlan> {
        let OverCalls { windows, inputs, .. } = self;
        let mut plan = plan;
        if !inputs.is_empty() {
            let mut all: Vec<(String, Typed)> = columns_of(plan.schema())?
                .into_iter()
                .map(|(name, data_type)| (name.clone(), Typed { expr: column(&name), data_type }))
                .collect();
            all.extend(inputs);
            plan = project(plan, all)?;
        }
        for over in windows {
            let mut columns = columns_of(plan.schema())?;
            columns.extend(over.calls.iter().map(|c| (c.name.clone(), TypeKind::BigInt.not_null())));
            let schema = plan_schema(columns.iter().map(|(n, t)| (n.as_str(), t)))?;
            plan = FlinkNode::plan(FlinkNodeKind::Over(over), plan, schema);
        }
        match qualify {
            Some(condition) => filter(plan, condition),
            None => Ok(plan),
        }
    }
}

impl ExpressionBinder<'_> {
    /// `f() OVER (..)`.
    pub(crate) fn over_call(
        &mut self,
        name: &str,
        arguments: usize,
        over: &ast::WindowType,
        span: sqlparser::tokenizer::Span,
    ) -> Result<Typed> {
        let Some(function) = RankFunction::from_name(name) else {
            return Err(unsupported_with(
                format!("{name}(..) OVER (..)"),
                span,
                "ROW_NUMBER, RANK and DENSE_RANK can stand before OVER",
            ));
        };
        if arguments > 0 {
            return Err(at(
                Error::user(format!("Invalid number of arguments to function '{name}'"))
                    .hint(format!("Write {name}() OVER (..)")),
                span,
            ));
        }
        let Some(calls) = self.over.take() else {
            return Err(at(
                Error::user(format!("Windowed aggregate expression is illegal in {} clause", self.clause))
                    .hint("Number the rows in a sub-query, and use the number outside of it"),
                span,
            ));
        };
        let bound = self.window_of(over, calls, span);
        let result = bound.map(|(partition, order)| {
            let partition = partition.into_iter().map(|p| calls.input(p)).collect();
            let order = order
                .into_iter()
                .map(|(value, ascending, nulls_last)| OrderKey { column: calls.input(value), ascending, nulls_last })
                .collect();
            calls.add(function, partition, order)
        });
        self.over = Some(calls);
        result
    }

    /// The parts of a window: PARTITION BY, and ORDER BY with its directions.
    #[expect(clippy::type_complexity, reason = "it is taken apart where it is made")]
    fn window_of(
        &mut self,
        over: &ast::WindowType,
        calls: &OverCalls,
        span: sqlparser::tokenizer::Span,
    ) -> Result<(Vec<Typed>, Vec<(Typed, bool, bool)>)> {
        let mut spec = match over {
            ast::WindowType::WindowSpec(spec) => spec.clone(),
            ast::WindowType::NamedWindow(name) => ast::WindowSpec {
                window_name: Some(name.clone()),
                partition_by: vec![],
                order_by: vec![],
                window_frame: None,
            },
        };
        // A window may stand on another, which has the rest of it.
        let mut depth = 0;
        while let Some(name) = spec.window_name.take() {
            depth += 1;
            let named = calls.named.iter().find(|n| n.0.value == name.value);
            let Some(ast::NamedWindowDefinition(_, definition)) = named.filter(|_| depth <= calls.named.len()) else {
                return Err(at(
                    Error::user(format!("Window '{}' not found", name.value)).hint("Define it: WINDOW w AS (..)"),
                    name.span,
                ));
            };
            let base = match definition {
                ast::NamedWindowExpr::NamedWindow(other) => ast::WindowSpec {
                    window_name: Some(other.clone()),
                    partition_by: vec![],
                    order_by: vec![],
                    window_frame: None,
                },
                ast::NamedWindowExpr::WindowSpec(spec) => spec.clone(),
            };
            spec.window_name = base.window_name;
            if spec.partition_by.is_empty() {
                spec.partition_by = base.partition_by;
            }
            if spec.order_by.is_empty() {
                spec.order_by = base.order_by;
            }
            spec.window_frame = spec.window_frame.or(base.window_frame);
        }
        refuse_if(spec.window_frame.is_some(), "ROW/RANGE with a function that numbers rows", span)?;
        let partition = spec.partition_by.iter().map(|e| self.bind(e)).collect::<Result<_>>()?;
        let order = spec
            .order_by
            .iter()
            .map(|o| {
                let (ascending, nulls_last) = direction(o)?;
                Ok((self.bind(&o.expr)?, ascending, nulls_last))
            })
            .collect::<Result<_>>()?;
        Ok((partition, order))
    }
}

/// Whether an order is ascending, and whether NULL comes last: it is the least value where nothing is said.
pub(crate) fn direction(order: &ast::OrderByExpr) -> Result<(bool, bool)> {
    let ast::OrderByExpr { expr, options, with_fill } = order;
    refuse_if(with_fill.is_some(), "WITH FILL", expr.span())?;
    let ast::OrderByOptions { asc, nulls_first } = options;
    let ascending = asc.unwrap_or(true);
    Ok((ascending, !nulls_first.unwrap_or(ascending)))
}
