//! OVER: the functions over windows of rows that a query collects, and the columns that feed them.

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, LogicalPlan, Operator};
use flott_core::types::{TimeAttribute, TypeKind};
use flott_core::{Error, LogicalType, Result, suggest};
use flott_function::AggregateKind;
use flott_graph::{OverFrame, OverFunction};
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, Spanned};
use sqlparser::tokenizer::Span;

use super::expression::{ExpressionBinder, case_expr};
use super::functions::Functions;
use super::node::{FlinkNode, FlinkNodeKind, OrderKey, Over, OverCall};
use super::over_variance::variance;
use super::refuse::{At, at, refuse_if, unsupported};
use super::scope::{Typed, column, columns_of, plan_schema};
use super::window_frame::{Ordered, frame_of};
use super::{filter, project};

/// What stands in SELECT and QUALIFY over windows.
#[derive(Debug, Default)]
pub(crate) struct OverCalls {
    /// `WINDOW w AS (..)`
    pub(crate) named: Vec<ast::NamedWindowDefinition>,
    /// Whether the query runs in batch mode.
    batch: bool,
    /// One for each partition and order.
    windows: Vec<Over>,
    /// Columns that are computed before: by name.
    inputs: Vec<(String, Typed)>,
}

/// The columns of a window that a computed one is named by; the planner gives it the name that Flink gives it.
pub(crate) const COMPUTED_PREFIX: &str = "$o";

/// A call before its results have a column.
struct Call {
    function: OverFunction,
    arguments: Vec<Typed>,
    distinct: bool,
    result: LogicalType,
}

/// A window: its rows, their order, and which of them each row sees.
struct Window {
    partition: Vec<Typed>,
    order: Vec<Ordered>,
    frame: Option<ast::WindowFrame>,
}

impl OverCalls {
    pub(crate) fn new(named: &[ast::NamedWindowDefinition], batch: bool) -> OverCalls {
        OverCalls { named: named.to_vec(), batch, ..OverCalls::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// The column that an expression is before the windows.
    fn input(&mut self, value: Typed) -> String {
        if let Expr::Column(c) = &value.expr {
            return c.name.clone();
        }
        if let Some((name, _)) = self.inputs.iter().find(|(_, t)| t.expr == value.expr) {
            return name.clone();
        }
        let name = format!("{COMPUTED_PREFIX}{}", self.inputs.len());
        self.inputs.push((name.clone(), value));
        name
    }

    /// The column of a call's results; equal calls share one.
    fn add(&mut self, call: Call, frame: OverFrame, partition: &[String], order: &[OrderKey]) -> Typed {
        let window = match self.windows.iter().position(|w| w.partition == partition && w.order == order) {
            Some(known) => known,
            None => {
                self.windows.push(Over { partition: partition.to_vec(), order: order.to_vec(), calls: vec![] });
                self.windows.len() - 1
            }
        };
        let Call { function, arguments, distinct, result } = call;
        let arguments: Vec<String> = arguments.into_iter().map(|a| self.input(a)).collect();
        let calls = &mut self.windows[window].calls;
        let known = calls
            .iter()
            .find(|c| c.function == function && c.arguments == arguments && c.distinct == distinct && c.frame == frame);
        let name = known.map(|c| c.name.clone()).unwrap_or_else(|| {
            let name = format!("w{window}$o{}", calls.len());
            let result = result.clone();
            calls.push(OverCall { function, arguments, distinct, frame, result, name: name.clone() });
            name
        });
        Typed { expr: column(&name), data_type: result }
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
            columns.extend(over.calls.iter().map(|c| (c.name.clone(), c.result.clone())));
            let schema = plan_schema(columns.iter().map(|(n, t)| (n.as_str(), t)))?;
            plan = FlinkNode::plan(FlinkNodeKind::Over(over), plan, schema);
        }
        match qualify {
            Some(condition) => filter(plan, condition),
            None => Ok(plan),
        }
    }
}

/// Functions that stand nowhere but before OVER.
pub(crate) const FUNCTIONS: [&str; 8] =
    ["ROW_NUMBER", "RANK", "DENSE_RANK", "PERCENT_RANK", "CUME_DIST", "NTILE", "LAG", "LEAD"];

/// Whether a function stands nowhere but before OVER.
pub(crate) fn is_over_only(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

/// What stands before OVER is none of its functions.
pub(crate) fn no_aggregate(span: Span) -> Error {
    let error = Error::user("OVER must be applied to aggregate function")
        .hint("Put a condition into the argument: SUM(CASE WHEN x THEN v END) OVER (..)");
    at(error, span)
}

/// A function that does not stand before OVER.
fn no_window_function(name: &str, span: Span) -> Error {
    let names = FUNCTIONS.into_iter().chain(AggregateKind::ALL.map(AggregateKind::name));
    let hint = match suggest::nearest_strictly(name, names.filter(|n| !n.starts_with('$'))) {
        Some(near) => format!("Did you mean {near}?"),
        None => format!("{name} is none: before OVER stand aggregate functions, {}", FUNCTIONS.join(", ")),
    };
    at(Error::user("OVER must be applied to aggregate function").hint(hint), span)
}

/// `IGNORE NULLS`
pub(crate) fn null_treatment(name: &str, over: bool, span: Span) -> Error {
    let upper = name.to_uppercase();
    if over && matches!(upper.as_str(), "LAG" | "LEAD") {
        return unsupported("IGNORE NULLS / RESPECT NULLS", span);
    }
    let error = Error::user(format!("Cannot specify IGNORE NULLS or RESPECT NULLS following '{upper}'"))
        .hint("FIRST_VALUE and LAST_VALUE leave NULL out in any case");
    at(error, span)
}

fn wrong_count(name: &str, expected: &str, span: Span) -> Error {
    let text = format!("Invalid number of arguments to function '{name}'. Was expecting {expected} arguments");
    at(Error::user(text).hint(format!("Write {name}(..) OVER (..) with {expected}")), span)
}

impl ExpressionBinder<'_> {
    /// `f(..) OVER (..)`.
    pub(crate) fn over_call(
        &mut self,
        name: &str,
        arguments: &[&FunctionArg],
        distinct: bool,
        over: &ast::WindowType,
        span: Span,
    ) -> Result<Typed> {
        let kind = AggregateKind::from_name(name).filter(|k| !k.name().starts_with('$'));
        if kind.is_none() && !is_over_only(name) {
            return Err(no_window_function(name, span));
        }
        let Some(calls) = self.over.take() else {
            let text = match self.clause {
                "an argument of OVER" => "Aggregate expressions cannot be nested".to_string(),
                "PARTITION BY" => "PARTITION BY expression should not contain OVER clause".to_string(),
                "the ORDER BY of a window" => "ORDER BY expression should not contain OVER clause".to_string(),
                clause => format!("Windowed aggregate expression is illegal in {clause} clause"),
            };
            let hint = "Compute it in a sub-query, and use the result outside of it";
            return Err(at(Error::user(text).hint(hint), span));
        };
        let clause = self.clause;
        let bound = self.bound_over_call(kind, name, arguments, distinct, over, calls, span);
        self.clause = clause;
        self.over = Some(calls);
        bound
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a call")]
    fn bound_over_call(
        &mut self,
        kind: Option<AggregateKind>,
        name: &str,
        arguments: &[&FunctionArg],
        distinct: bool,
        over: &ast::WindowType,
        calls: &mut OverCalls,
        span: Span,
    ) -> Result<Typed> {
        let window = self.window_of(over, calls)?;
        let frame = frame_of(self.functions, &window.order, window.frame.as_ref(), kind, name, calls.batch, span)?;
        self.clause = "an argument of OVER";
        let mut bound = vec![];
        for argument in arguments {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard)
                    if kind == Some(AggregateKind::Count) && !distinct && arguments.len() == 1 => {}
                FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => bound.push(self.bind(e)?),
                _ => return Err(unsupported(format!("this argument of {name}"), span)),
            }
        }
        let partition: Vec<String> = window.partition.into_iter().map(|p| calls.input(p)).collect();
        let mut order = vec![];
        for key in window.order {
            let column = calls.input(key.value);
            order.push(OrderKey { column, ascending: key.ascending, nulls_last: key.nulls_last });
        }
        let functions = self.functions;
        let batch = calls.batch;
        let mut add = |call: Call| calls.add(call, frame, &partition, &order);
        match kind {
            Some(kind) => {
                let rows = kind == AggregateKind::Count
                    && matches!(arguments, [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
                let (least, most) = kind.arity();
                if !(least..=most).contains(&bound.len()) && !rows {
                    return Err(wrong_count(name, &least.to_string(), span));
                }
                aggregate(functions, kind, bound, distinct, &frame, &mut add).at_span(span)
            }
            None => {
                refuse_if(distinct, &format!("{name}(DISTINCT ..)"), span)?;
                Ok(add(place(functions, name, bound, batch, span)?))
            }
        }
    }

    /// The parts of a window.
    fn window_of(&mut self, over: &ast::WindowType, calls: &OverCalls) -> Result<Window> {
        let spec = match over {
            ast::WindowType::WindowSpec(spec) => resolved(spec, calls)?,
            ast::WindowType::NamedWindow(name) => named(name, calls, 0)?,
        };
        self.clause = "PARTITION BY";
        let mut partition = vec![];
        for e in &spec.partition_by {
            let value = self.bind(e)?;
            // What is the same everywhere parts nothing.
            if !matches!(value.expr, Expr::Literal(..)) {
                partition.push(value);
            }
        }
        self.clause = "the ORDER BY of a window";
        let mut order = vec![];
        for o in &spec.order_by {
            let (ascending, nulls_last) = direction(o)?;
            order.push(Ordered { value: self.bind(&o.expr)?, ascending, nulls_last });
        }
        Ok(Window { partition, order, frame: spec.window_frame })
    }
}

/// A window that may stand on a named one, which has the rest of it.
fn resolved(spec: &ast::WindowSpec, calls: &OverCalls) -> Result<ast::WindowSpec> {
    resolved_at(spec, calls, 0)
}

fn resolved_at(spec: &ast::WindowSpec, calls: &OverCalls, depth: usize) -> Result<ast::WindowSpec> {
    let mut spec = spec.clone();
    let Some(name) = spec.window_name.take() else { return Ok(spec) };
    let base = named(&name, calls, depth + 1)?;
    let wrong = |text: &str, hint: &str| Err(at(Error::user(text).hint(hint), name.span));
    if !spec.partition_by.is_empty() {
        let hint = "Put PARTITION BY into the window that is named";
        return wrong("PARTITION BY not allowed with existing window reference", hint);
    }
    if !spec.order_by.is_empty() && !base.order_by.is_empty() {
        return wrong("ORDER BY not allowed in both base and referenced windows", "Leave one of them out");
    }
    if base.window_frame.is_some() {
        return wrong("Referenced window cannot have framing declarations", "Write OVER w, without brackets");
    }
    spec.partition_by = base.partition_by;
    if spec.order_by.is_empty() {
        spec.order_by = base.order_by;
    }
    Ok(spec)
}

fn named(name: &ast::Ident, calls: &OverCalls, depth: usize) -> Result<ast::WindowSpec> {
    let definition = calls.named.iter().find(|n| n.0.value == name.value);
    let Some(ast::NamedWindowDefinition(_, definition)) = definition.filter(|_| depth <= calls.named.len()) else {
        let text = format!("Window '{}' not found", name.value);
        return Err(at(Error::user(text).hint("Define it: WINDOW w AS (..)"), name.span));
    };
    match definition {
        ast::NamedWindowExpr::NamedWindow(other) => named(other, calls, depth + 1),
        ast::NamedWindowExpr::WindowSpec(spec) => resolved_at(spec, calls, depth),
    }
}

/// An aggregate over a frame. As in Flink, of a sum that may be NULL its parts are computed, and of a mean too.
fn aggregate(
    functions: &Functions,
    kind: AggregateKind,
    arguments: Vec<Typed>,
    distinct: bool,
    frame: &OverFrame,
    add: &mut dyn FnMut(Call) -> Typed,
) -> Result<Typed> {
    use AggregateKind::{StddevPop, StddevSamp, VarPop, VarSamp};
    let mut arguments = arguments;
    functions.aggregate_arguments(kind, &mut arguments)?;
    let types: Vec<LogicalType> = arguments.iter().map(|a| a.data_type.clone()).collect();
    if kind == AggregateKind::ApproxCountDistinct {
        return Err(
            Error::user("APPROX_COUNT_DISTINCT cannot stand before OVER").hint("Use COUNT(DISTINCT x) OVER (..)")
        );
    }
    let result = functions.aggregate_type(kind, &types, frame.is_never_empty())?;
    let distinct = distinct && !matches!(kind, AggregateKind::Min | AggregateKind::Max);
    let mut call = |kind: AggregateKind, arguments: &[Typed], result: LogicalType| {
        add(Call { function: OverFunction::Aggregate(kind), arguments: arguments.to_vec(), distinct, result })
    };
    match kind {
        AggregateKind::Sum => Ok(sum(functions, &arguments, &result, &mut call)?.0),
        AggregateKind::Avg => {
            let of_sum = functions.aggregate_type(AggregateKind::Sum, &types, frame.is_never_empty())?;
            let (total, count) = sum(functions, &arguments, &of_sum, &mut call)?;
            let count = count.unwrap_or_else(|| call(AggregateKind::Count, &arguments, TypeKind::BigInt.not_null()));
            let total = match result.kind {
                TypeKind::Decimal { .. } => functions.cast_if_needed(total, &result)?,
                _ => total,
            };
            functions.cast_if_needed(functions.binary(Operator::Divide, total, count)?, &result)
        }
        StddevPop | StddevSamp | VarPop | VarSamp => {
            let mut part = |kind: AggregateKind, value: Typed| {
                let t =
                    functions.aggregate_type(kind, std::slice::from_ref(&value.data_type), frame.is_never_empty())?;
                match kind {
                    AggregateKind::Sum => Ok(sum(functions, &[value], &t, &mut call)?.0),
                    kind => Ok(call(kind, &[value], t)),
                }
            };
            variance(functions, kind, arguments.swap_remove(0), &result, &mut part)
        }
        kind => Ok(call(kind, &arguments, result)),
    }
}

/// A sum, and the count of its values where it may be of none.
fn sum(
    functions: &Functions,
    arguments: &[Typed],
    result: &LogicalType,
    call: &mut dyn FnMut(AggregateKind, &[Typed], LogicalType) -> Typed,
) -> Result<(Typed, Option<Typed>)> {
    if !result.nullable {
        return Ok((call(AggregateKind::Sum, arguments, result.clone()), None));
    }
    let count = call(AggregateKind::Count, arguments, TypeKind::BigInt.not_null());
    // A decimal sum may be beyond what its type holds.
    let of_total = result.with_nullable(matches!(result.kind, TypeKind::Decimal { .. }));
    let total = call(AggregateKind::Sum0, arguments, of_total);
    let zero = functions.literal(ScalarValue::Int64(Some(0)), &TypeKind::BigInt.not_null())?;
    let some = functions.binary(Operator::Gt, count.clone(), zero)?;
    let null = functions.cast(functions.literal(ScalarValue::Null, &TypeKind::Null.nullable())?, result, false)?;
    let expr = case_expr(vec![(some.expr, total.expr)], Some(null.expr));
    Ok((Typed { expr, data_type: result.clone() }, Some(count)))
}

/// A function of a row's place.
fn place(functions: &Functions, name: &str, arguments: Vec<Typed>, batch: bool, span: Span) -> Result<Call> {
    let number = TypeKind::BigInt.not_null();
    let call = |function, arguments, result| Call { function, arguments, distinct: false, result };
    let (function, result) = match name {
        "ROW_NUMBER" => (OverFunction::RowNumber, number),
        "RANK" => (OverFunction::Rank, number),
        "DENSE_RANK" => (OverFunction::DenseRank, number),
        "PERCENT_RANK" => (OverFunction::PercentRank, TypeKind::Double.not_null()),
        "CUME_DIST" => (OverFunction::CumeDist, TypeKind::Double.not_null()),
        "NTILE" => {
            let [buckets] = arguments.as_slice() else { return Err(wrong_count(name, "1", span)) };
            let buckets = match &buckets.expr {
                Expr::Literal(value, _) if value.is_null() => {
                    let text = "Argument to function 'NTILE' must not be NULL";
                    return Err(at(Error::user(text).hint("Write a number above zero"), span));
                }
                e => integer(e).ok_or_else(|| {
                    let text = "Argument to function 'NTILE' must be a literal";
                    at(Error::user(text).hint("Write a number, as in NTILE(4)"), span)
                })?,
            };
            if buckets < 1 {
                let text = "Argument to function 'NTILE' must be a positive integer literal";
                return Err(at(Error::user(text).hint("Write a number above zero"), span));
            }
            return Ok(call(OverFunction::Ntile(buckets), vec![], number));
        }
        _ => return lag(functions, name, arguments, batch, span),
    };
    if !arguments.is_empty() {
        return Err(wrong_count(name, "0", span));
    }
    Ok(call(function, vec![], result))
}

/// LAG and LEAD: value, distance, and what there is where no row is so far away.
fn lag(functions: &Functions, name: &str, arguments: Vec<Typed>, batch: bool, span: Span) -> Result<Call> {
    let mut arguments = arguments.into_iter();
    let (Some(value), offset, default, None) = (arguments.next(), arguments.next(), arguments.next(), arguments.next())
    else {
        return Err(wrong_count(name, "1 to 3", span));
    };
    // How many rows away the other one is, or None where each row says it.
    let mut of_row = None;
    let rows = match offset {
        None => Some(1),
        Some(offset) => {
            if !offset.data_type.kind.is_numeric() {
                let text = format!(
                    "Cannot apply '{name}' to arguments of type '{name}(<{}>, <{}>)'. Supported form(s): '{name}(<ANY>)', \
                     '{name}(<ANY>, <NUMERIC>)', '{name}(<ANY>, <NUMERIC>, <ANY>)'",
                    value.data_type.summary_without_nullability(),
                    offset.data_type.summary_without_nullability()
                );
                return Err(at(Error::user(text).hint("The second argument is a number of rows"), span));
            }
            let rows = whole(&offset.expr);
            if rows.is_none() {
                if !batch {
                    return Err(unsupported(format!("{name} with an offset that is no literal"), span));
                }
                if !offset.data_type.kind.is_integer() {
                    let text = format!("The offset of {name} must be a whole number, not {}", offset.data_type);
                    return Err(at(Error::user(text).hint("CAST it to BIGINT"), span));
                }
                of_row = Some(functions.cast_if_needed(offset, &TypeKind::BigInt.nullable()).at_span(span)?);
            }
            rows
        }
    };
    let mut result = value.data_type.with_time_attribute(TimeAttribute::None);
    let nullable = result.nullable || default.as_ref().is_none_or(|d| d.data_type.nullable);
    result = result.with_nullable(nullable);
    let mut inputs = vec![functions.cast_if_needed(value, &result)?];
    if let Some(default) = default {
        if batch && !may_stand_for(&default.data_type.kind, &result.kind) {
            let (value, default) =
                (result.summary_without_nullability(), default.data_type.summary_without_nullability());
            let text =
                format!("Cannot apply '{name}' to arguments of type '{name}(<{value}>, <NUMERIC>, <{default}>)'");
            return Err(at(Error::user(text).hint("The default has to be of the value's type: CAST it"), span));
        }
        let family = |t: &LogicalType| (std::mem::discriminant(&t.kind), t.kind.is_character());
        let (a, b) = (family(&default.data_type), family(&result));
        if !batch && a.0 != b.0 && !(a.1 && b.1) {
            let text = format!(
                "Please explicitly cast default value {} to {}.",
                default.data_type,
                result.with_nullable(false)
            );
            return Err(at(Error::user(text).hint("Write CAST(default AS type)"), span));
        }
        inputs.push(functions.cast_if_needed(default, &result.with_nullable(true)).at_span(span)?);
    }
    let lead = name == "LEAD";
    inputs.splice(1..1, of_row);
    let function = match rows {
        Some(rows) => OverFunction::Lag(if lead { rows.saturating_neg() } else { rows }),
        None => OverFunction::LagBy { lead },
    };
    Ok(Call { function, arguments: inputs, distinct: false, result })
}

/// Whether a default of one type goes with values of another one.
fn may_stand_for(default: &TypeKind, value: &TypeKind) -> bool {
    let plain = |k: &TypeKind| k.is_numeric() || k.is_datetime() || *k == TypeKind::Boolean;
    std::mem::discriminant(default) == std::mem::discriminant(value)
        || *default == TypeKind::Null
        || (default.is_numeric() && value.is_numeric())
        || (default.is_binary() && value.is_binary())
        || (default.is_character() && (value.is_character() || plain(value)))
        || (value.is_character() && plain(default))
}

/// A number without a fraction that is written, whatever its type.
fn whole(e: &Expr) -> Option<i64> {
    match e {
        Expr::Literal(ScalarValue::Decimal128(Some(v), _, scale), _) => {
            let unit = 10i128.checked_pow(u32::try_from(*scale).ok()?)?;
            (v % unit == 0).then(|| i64::try_from(v / unit).ok())?
        }
        Expr::Literal(ScalarValue::Float64(Some(v)), _) => (v.fract() == 0.0).then_some(*v as i64),
        other => integer(other),
    }
}

/// A whole number that is written.
pub(crate) fn integer(e: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = e else { return None };
    match value {
        ScalarValue::Int8(v) => v.map(i64::from),
        ScalarValue::Int16(v) => v.map(i64::from),
        ScalarValue::Int32(v) => v.map(i64::from),
        ScalarValue::Int64(v) => *v,
        _ => None,
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
