//! Group window functions: TUMBLE, HOP and SESSION in GROUP BY, and TUMBLE_START and its like over them.
//!
//! Such a query is one over a window table function: what it groups by and aggregates is computed first, the window is
//! added to that, and then it is grouped by the window's columns too.

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, LogicalPlan};
use flott_core::types::{TimeAttribute, TypeKind};
use flott_core::{Error, LogicalType, Result};
use flott_graph::WindowKind;
use sqlparser::ast::{Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned};
use sqlparser::tokenizer::Span;

use super::aggregate::Aggregates;
use super::expression::ExpressionBinder;
use super::node::{FlinkNode, FlinkNodeKind, WindowTableFunction};
use super::refuse::{at, name_text, unsupported_with};
use super::scope::Typed;
use super::{Binder, Scope, column, columns_of, plan_schema, project, window};

/// The functions, with how many lengths each has.
const FUNCTIONS: [(&str, usize); 3] = [("TUMBLE", 1), ("HOP", 2), ("SESSION", 1)];

/// What may be asked of each.
const PARTS: [&str; 4] = ["START", "END", "ROWTIME", "PROCTIME"];

/// The columns of a window, as Flink's plans name them.
const COLUMNS: [&str; 3] = ["w$start", "w$end", "w$rowtime"];

/// The window of a query's groups.
#[derive(Debug, Clone)]
pub(crate) struct GroupWindow {
    function: &'static str,
    /// The time attribute, over the query's input.
    time: Typed,
    lengths: Vec<i64>,
}

/// What the call of a group window function says: its time, and its lengths in milliseconds.
fn bind_call(
    binder: &mut ExpressionBinder<'_>,
    function: &'static str,
    arguments: &[&FunctionArg],
    span: Span,
) -> Result<(Typed, Vec<i64>)> {
    let mut values = vec![];
    for argument in arguments {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) = argument else { return Err(misused(function, span)) };
        values.push((binder.bind(e)?, e.span()));
    }
    let wanted = FUNCTIONS.iter().find(|f| f.0 == function).map_or(1, |f| f.1);
    if values.len() == wanted + 2 {
        return Err(at(
            Error::user(format!("{function} window with alignment is not supported yet."))
                .hint("The window table function takes an offset: TUMBLE(TABLE t, DESCRIPTOR(ts), size, offset)"),
            span,
        ));
    }
    if values.len() != wanted + 1 {
        return Err(misused(function, span));
    }
    let (time, _) = values.remove(0);
    let mut lengths = vec![];
    for (value, span) in values {
        match (&value.expr, &value.data_type.kind) {
            (Expr::Literal(ScalarValue::DurationMillisecond(Some(ms)), _), _) if *ms > 0 => lengths.push(*ms),
            (_, TypeKind::IntervalYearMonth(..)) => {
                return Err(at(
                    Error::user(
                        "Window aggregate only support SECOND, MINUTE, HOUR, DAY as the time unit. MONTH and YEAR time \
                         unit are not supported yet.",
                    )
                    .hint("Their length varies; use days"),
                    span,
                ));
            }
            (_, TypeKind::IntervalDayTime(..)) => {
                return Err(at(
                    Error::user("Only constant window descriptors are supported.")
                        .hint("Write a positive interval literal, such as INTERVAL '10' MINUTE"),
                    span,
                ));
            }
            _ => return Err(misused(function, span)),
        }
    }
    Ok((time, lengths))
}

fn misused(function: &str, span: Span) -> Error {
    let lengths = if function == "HOP" { "INTERVAL '5' MINUTE, INTERVAL '10' MINUTE" } else { "INTERVAL '10' MINUTE" };
    at(
        Error::user(format!("Cannot apply '{function}' to these arguments"))
            .hint(format!("In GROUP BY write {function}(time_attribute, {lengths})")),
        span,
    )
}

/// The name of a group window function that an expression of GROUP BY calls.
fn called(e: &Ast) -> Option<(&'static str, Vec<&FunctionArg>)> {
    let Ast::Function(f) = e else { return None };
    let FunctionArguments::List(list) = &f.args else { return None };
    let name = name_text(&f.name).to_uppercase();
    let (function, _) = FUNCTIONS.iter().find(|known| known.0 == name)?;
    Some((function, list.args.iter().collect()))
}

/// The keys of a GROUP BY that are no window, and the window.
///
/// # Errors
/// Two windows; a window over something else than a time attribute.
pub(crate) fn split<'q>(
    binder: &Binder<'_>,
    group_by: &'q [Ast],
    scope: &Scope,
) -> Result<(Vec<&'q Ast>, Option<GroupWindow>)> {
    let mut keys = vec![];
    let mut found: Option<GroupWindow> = None;
    for e in group_by.iter().flat_map(super::grouped::flattened) {
        let Some((function, arguments)) = called(e) else {
            keys.push(e);
            continue;
        };
        let mut plain = ExpressionBinder::new(binder.functions(), scope, "GROUP BY");
        let (time, lengths) = bind_call(&mut plain, function, &arguments, e.span())?;
        let is_time = match time.data_type.kind.time_attribute() {
            // In a batch every row is there before the first window ends.
            TimeAttribute::None => binder.is_batch() && time.data_type.kind.is_timestamp(),
            _ => true,
        };
        if binder.is_batch() && time.data_type.kind.time_attribute() == TimeAttribute::Proctime {
            return Err(at(
                Error::user("Window can not be defined over a proctime attribute column for batch mode")
                    .hint("Use windows over an event-time column"),
                e.span(),
            ));
        }
        if !is_time {
            let t = time.data_type.clone().with_nullable(true);
            return Err(at(
                Error::user(format!(
                    "Window aggregate can only be defined over a time attribute column, but {t} encountered."
                ))
                .hint("Declare WATERMARK FOR on the column, or a column AS PROCTIME(); an expression over one is none"),
                e.span(),
            ));
        }
        let window = GroupWindow { function, time, lengths };
        if found.as_ref().is_some_and(|f| !f.is(&window)) {
            return Err(at(
                Error::user("Only a single window group function may be used in GROUP BY")
                    .hint("Aggregate by one window in a query of its own, and by the other around it"),
                e.span(),
            ));
        }
        found = Some(window);
    }
    if found.is_some()
        && let Some(e) = keys.iter().find(|e| matches!(e, Ast::GroupingSets(_) | Ast::Rollup(_) | Ast::Cube(_)))
    {
        return Err(unsupported_with(
            "GROUPING SETS, ROLLUP and CUBE beside a group window function",
            e.span(),
            "Use a window table function: GROUP BY GROUPING SETS ((window_start, window_end, a), ..)",
        ));
    }
    Ok((keys, found))
}

impl GroupWindow {
    fn is(&self, other: &GroupWindow) -> bool {
        self.function == other.function && self.time.expr == other.time.expr && self.lengths == other.lengths
    }

    fn attribute(&self) -> TimeAttribute {
        match self.time.data_type.kind.time_attribute() {
            TimeAttribute::None => TimeAttribute::Rowtime,
            attribute => attribute,
        }
    }

    /// Names that the columns around the window must not have.
    pub(crate) fn reserved() -> impl Iterator<Item = &'static str> {
        COLUMNS.into_iter().chain(window::COLUMNS)
    }

    /// The window's columns that the groups have, with their types.
    pub(crate) fn columns(&self) -> Vec<(&'static str, LogicalType)> {
        let plain = TypeKind::timestamp(3).not_null();
        let mut columns = vec![(COLUMNS[0], plain.clone()), (COLUMNS[1], plain)];
        if self.attribute() == TimeAttribute::Rowtime {
            columns.push((COLUMNS[2], self.time.data_type.with_nullable(false)));
        }
        columns
    }

    /// The column of the feed that holds the time.
    pub(crate) fn time_column(&self, aggregates: &mut Aggregates) -> String {
        aggregates.input(self.time.clone(), "$time")
    }

    /// Adds the window to what feeds the aggregation; `keys` are the columns grouped by.
    pub(crate) fn place(
        &self,
        binder: &Binder<'_>,
        feed: LogicalPlan,
        time_column: String,
        keys: Vec<String>,
    ) -> Result<LogicalPlan> {
        let columns = columns_of(feed.schema())?;
        let (kind, partition_keys) = match (self.function, self.lengths.as_slice()) {
            ("TUMBLE", [size_ms]) => (WindowKind::Tumble { size_ms: *size_ms, offset_ms: 0 }, vec![]),
            ("HOP", [slide_ms, size_ms]) => {
                (WindowKind::Hop { size_ms: *size_ms, slide_ms: *slide_ms, offset_ms: 0 }, vec![])
            }
            (_, lengths) => {
                let index = |k: &String| columns.iter().position(|c| c.0 == *k);
                let gap_ms = *lengths.first().ok_or_else(|| Error::internal("a session without a gap"))?;
                (WindowKind::Session { gap_ms, partition_keys: keys.iter().filter_map(index).collect() }, keys)
            }
        };
        let t = &self.time.data_type;
        let time_type = t.with_time_attribute(self.attribute());
        let time_zone = matches!(t.kind, TypeKind::TimestampLtz(..)).then(|| binder.local_time_zone());
        let plain = TypeKind::timestamp(3).not_null();
        let mut output = columns.clone();
        for (name, t) in window::COLUMNS.into_iter().zip([plain.clone(), plain, t.with_nullable(false)]) {
            output.push((name.to_string(), t));
        }
        let schema = plan_schema(output.iter().map(|(n, t)| (n.as_str(), t)))?;
        let node = WindowTableFunction { kind, partition_keys, time_column, time_type, time_zone, in_group_by: true };
        let plan = FlinkNode::plan(FlinkNodeKind::WindowTableFunction(node), feed, schema);
        let named = |(name, data_type): (String, LogicalType)| (name.clone(), Typed { expr: column(&name), data_type });
        let mut shown: Vec<(String, Typed)> = columns.into_iter().map(named).collect();
        for ((name, data_type), of) in self.columns().into_iter().zip(window::COLUMNS) {
            shown.push((name.to_string(), Typed { expr: column(of), data_type }));
        }
        project(plan, shown)
    }
}

/// Whether a function of this name, in capitals, is `TUMBLE_START` or its like.
pub(crate) fn is_auxiliary(name: &str) -> bool {
    name.rsplit_once('_')
        .is_some_and(|(function, part)| FUNCTIONS.iter().any(|f| f.0 == function) && PARTS.contains(&part))
}

/// The names of all functions.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = String> {
    let asked = |function: &'static str| PARTS.iter().map(move |part| format!("{function}_{part}"));
    FUNCTIONS.iter().flat_map(move |f| asked(f.0).chain([f.0.to_string()]))
}

/// `TUMBLE_START(ts, size)` and its like: a column of the groups. `None` where this is no such function.
///
/// # Errors
/// The query is not grouped by this window; a group window function stands outside of GROUP BY.
pub(crate) fn auxiliary(
    binder: &mut ExpressionBinder<'_>,
    name: &str,
    arguments: &[&FunctionArg],
    span: Span,
) -> Result<Option<Typed>> {
    if FUNCTIONS.iter().any(|f| f.0 == name) {
        return Err(at(
            Error::user(format!("Group function '{name}' can only appear in GROUP BY clause")).hint(format!(
                "Select {name}_START(..) or {name}_END(..), or use the function in FROM TABLE({name}(..))"
            )),
            span,
        ));
    }
    let Some((function, part)) = name.rsplit_once('_') else { return Ok(None) };
    let Some((function, _)) = FUNCTIONS.iter().find(|f| f.0 == function && is_auxiliary(name)) else {
        return Ok(None);
    };
    let mut plain = ExpressionBinder::new(binder.functions, binder.scope, binder.clause);
    let (time, lengths) = bind_call(&mut plain, function, arguments, span)?;
    let asked = GroupWindow { function, time, lengths };
    let Some(window) = binder.aggregates.as_ref().and_then(|a| a.window.clone()).filter(|w| w.is(&asked)) else {
        return Err(at(
            Error::user(format!(
                "Call to auxiliary group function '{name}' must have matching call to group function '{function}' in \
                 GROUP BY clause"
            ))
            .hint("Group by the same time attribute and intervals"),
            span,
        ));
    };
    let of = |place: usize| {
        let columns = window.columns();
        columns.get(place).map(|(name, t)| Typed { expr: column(name), data_type: t.clone() })
    };
    let value = match part {
        "START" => of(0),
        "END" => of(1),
        // As nullable as the time, as in Flink, though it is never NULL.
        "ROWTIME" => of(2).map(|t| Typed { data_type: t.data_type.with_nullable(window.time.data_type.nullable), ..t }),
        _ if window.attribute() == TimeAttribute::Proctime => {
            return Ok(Some(binder.functions.call("PROCTIME", vec![])?));
        }
        _ if binder.functions.is_batch => {
            return Err(at(
                Error::user("PROCTIME window property is not supported in batch queries.")
                    .hint(format!("{function}_END gives the window's end")),
                span,
            ));
        }
        // A window of event time has no processing time: NULL, as in Flink.
        _ => {
            let null = binder.functions.literal(ScalarValue::Null, &TypeKind::Null.nullable())?;
            let t = window.time.data_type.with_time_attribute(TimeAttribute::None).with_nullable(true);
            return Ok(Some(binder.functions.cast(null, &t, false)?));
        }
    };
    value.map(Some).ok_or_else(|| {
        at(
            Error::user("A proctime window cannot provide a rowtime attribute.")
                .hint(format!("{function}_END gives the window's end")),
            span,
        )
    })
}
