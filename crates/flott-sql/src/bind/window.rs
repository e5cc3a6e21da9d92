//! Window table functions, and which columns of a plan are a window's.

use std::collections::BTreeMap;

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, LogicalPlan};
use flott_core::types::{TimeAttribute, TypeKind};
use flott_core::{Error, Result};
use flott_graph::WindowKind;
use sqlparser::ast::{Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned};
use sqlparser::tokenizer::Span;

use super::node::{FlinkNode, FlinkNodeKind, JoinFlavour, WindowTableFunction};
use super::refuse::{at, name_text, unsupported, unsupported_with};
use super::{Binder, UniqueNames, columns_of, plan_schema};

/// The window table functions.
pub(crate) const FUNCTIONS: [&str; 4] = ["TUMBLE", "HOP", "CUMULATE", "SESSION"];

/// What a window table function appends.
pub(crate) const COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// A function's arguments, in order.
pub(crate) fn signature(function: &str) -> Option<&'static [&'static str]> {
    Some(match function {
        "TUMBLE" => &["DATA", "TIMECOL", "SIZE", "OFFSET"],
        "HOP" => &["DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET"],
        "CUMULATE" => &["DATA", "TIMECOL", "STEP", "SIZE", "OFFSET"],
        "SESSION" => &["DATA", "TIMECOL", "GAP"],
        _ => return None,
    })
}

/// Plans a window table function over its input.
pub(crate) fn table_function(
    binder: &Binder<'_>,
    function: &str,
    input: LogicalPlan,
    partition_keys: Vec<String>,
    given: &BTreeMap<&'static str, &Ast>,
    span: Span,
) -> Result<LogicalPlan> {
    let time = binder.given(given, "TIMECOL", function, span)?;
    let time_column = descriptor(binder, time, &input, function)?;
    let columns = columns_of(input.schema())?;
    let column_type = columns
        .iter()
        .find(|c| c.0 == time_column)
        .map(|c| c.1.clone())
        .ok_or_else(|| Error::internal("the time column vanished"))?;
    let time_type = match column_type.kind.time_attribute() {
        TimeAttribute::Proctime if binder.is_batch() => {
            return Err(at(
                Error::user("Processing time Window TableFunction is not supported yet.")
                    .hint("In batch mode use windows over a timestamp column"),
                span,
            ));
        }
        TimeAttribute::None if binder.is_batch() && column_type.kind.is_timestamp() => {
            // In a batch every row is there before the first window ends.
            column_type.with_time_attribute(TimeAttribute::Rowtime)
        }
        TimeAttribute::None => {
            return Err(at(
                Error::user(format!(
                    "The window function requires the timecol is a time attribute type, but is {column_type}"
                ))
                .with("column", &time_column)
                .hint("Declare WATERMARK FOR on the column, or a column AS PROCTIME(); an expression over a time attribute is none"),
                time.span(),
            ));
        }
        _ => column_type.clone(),
    };
    let duration = |parameter: &'static str| -> Result<i64> {
        let e = binder.given(given, parameter, function, span)?;
        milliseconds(binder, e, function, parameter)
    };
    let offset = match given.get("OFFSET") {
        Some(e) => milliseconds(binder, e, function, "OFFSET")?,
        None => 0,
    };
    let positive = |ms: i64, parameter: &str| -> Result<i64> {
        if ms > 0 {
            return Ok(ms);
        }
        Err(at(
            Error::user(format!("{function} requires a positive {parameter}, but got {ms} ms"))
                .hint("Give a longer interval"),
            span,
        ))
    };
    let kind = match function {
        "TUMBLE" => WindowKind::Tumble { size_ms: positive(duration("SIZE")?, "SIZE")?, offset_ms: offset },
        "HOP" => {
            let slide_ms = positive(duration("SLIDE")?, "SLIDE")?;
            let size_ms = positive(duration("SIZE")?, "SIZE")?;
            WindowKind::Hop { size_ms, slide_ms, offset_ms: offset }
        }
        "CUMULATE" => {
            let step_ms = positive(duration("STEP")?, "STEP")?;
            let max_size_ms = positive(duration("SIZE")?, "SIZE")?;
            if max_size_ms % step_ms != 0 {
                return Err(at(
                    Error::user(format!(
                        "CUMULATE table function based aggregate requires maxSize must be an integral multiple of \
                         step, but got maxSize {max_size_ms} ms and step {step_ms} ms"
                    ))
                    .hint("The order of the arguments is step, size"),
                    span,
                ));
            }
            WindowKind::Cumulate { max_size_ms, step_ms, offset_ms: offset }
        }
        _ => {
            let gap_ms = positive(duration("GAP")?, "GAP")?;
            let index = |k: &String| columns.iter().position(|c| c.0 == *k);
            WindowKind::Session { gap_ms, partition_keys: partition_keys.iter().filter_map(index).collect() }
        }
    };
    if let WindowKind::Tumble { size_ms: length, .. }
    | WindowKind::Hop { slide_ms: length, .. }
    | WindowKind::Cumulate { max_size_ms: length, .. } = kind
        && offset.unsigned_abs() >= length.unsigned_abs()
    {
        return Err(at(
            Error::user(format!(
                "{function} parameters must satisfy abs(offset) < {length} ms, but the offset is {offset} ms"
            ))
            .hint("Shift by less than one window"),
            span,
        ));
    }
    if !matches!(kind, WindowKind::Session { .. }) && !partition_keys.is_empty() {
        return Err(unsupported_with(
            format!("PARTITION BY in {function}"),
            span,
            "Only SESSION windows are made per key; group by the key instead",
        ));
    }
    let time_zone = matches!(time_type.kind, TypeKind::TimestampLtz(..)).then(|| binder.local_time_zone());
    let mut names = UniqueNames::of(input.schema());
    let plain = TypeKind::timestamp(3).not_null();
    let time_of_window = column_type.with_nullable(false);
    let mut output = columns;
    for (name, t) in COLUMNS.into_iter().zip([plain.clone(), plain, time_of_window]) {
        let unique = names.take(name);
        if unique != name {
            return Err(at(
                Error::user(format!("Column '{name}' is ambiguous: the input of {function} has one already"))
                    .hint("Rename it in a sub-query or view before the window"),
                span,
            ));
        }
        output.push((unique, t));
    }
    let schema = plan_schema(output.iter().map(|(n, t)| (n.as_str(), t)))?;
    let node = WindowTableFunction { kind, partition_keys, time_column, time_type, time_zone, in_group_by: false };
    Ok(FlinkNode::plan(FlinkNodeKind::WindowTableFunction(node), input, schema))
}

/// `DESCRIPTOR(ts)`
pub(crate) fn descriptor(binder: &Binder<'_>, e: &Ast, input: &LogicalPlan, function: &str) -> Result<String> {
    if let Ast::Function(f) = e
        && name_text(&f.name).eq_ignore_ascii_case("DESCRIPTOR")
        && let FunctionArguments::List(list) = &f.args
    {
        if let [FunctionArg::Unnamed(FunctionArgExpr::Expr(column))] = list.args.as_slice() {
            return binder.key_column(column, input);
        }
        return Err(unsupported("DESCRIPTOR with more than one column", e.span()));
    }
    Err(at(
        Error::user(format!("{function} needs DESCRIPTOR(column), not {e}"))
            .hint(format!("Write {function}(TABLE t, DESCRIPTOR(ts), INTERVAL '10' MINUTE)")),
        e.span(),
    ))
}

/// The columns that a DESCRIPTOR names.
pub(crate) fn described<'q>(e: &'q Ast) -> Vec<&'q str> {
    let Ast::Function(f) = e else { return vec![] };
    match &f.args {
        FunctionArguments::List(list) if name_text(&f.name).eq_ignore_ascii_case("DESCRIPTOR") => {
            let column = |a: &'q FunctionArg| match a {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(Ast::Identifier(id))) => Some(id.value.as_str()),
                _ => None,
            };
            list.args.iter().filter_map(column).collect()
        }
        _ => vec![],
    }
}

/// The milliseconds of an interval literal.
fn milliseconds(binder: &Binder<'_>, e: &Ast, function: &str, parameter: &str) -> Result<i64> {
    let bound = binder.expression(e, &[])?;
    match (&bound.expr, &bound.data_type.kind) {
        (Expr::Literal(ScalarValue::DurationMillisecond(Some(ms)), _), _) => Ok(*ms),
        (_, TypeKind::IntervalYearMonth(..)) => Err(unsupported_with(
            format!("windows of months or years ({parameter} of {function})"),
            e.span(),
            "Their length varies; use days",
        )),
        (_, t) => Err(at(
            Error::user(format!(
                "{parameter} of {function} must be an interval literal, not a {}",
                t.clone().nullable()
            ))
            .hint("Write for instance INTERVAL '10' MINUTE"),
            e.span(),
        )),
    }
}

/// Which columns of a plan carry its rows' window.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowProperties {
    /// Columns that are window_start.
    pub start: Vec<String>,
    /// Columns that are window_end.
    pub end: Vec<String>,
    /// Columns that are window_time.
    pub time: Vec<String>,
    /// The function that made the window.
    pub function: WindowTableFunction,
    /// Right above a SESSION: for each of its keys the columns that are it.
    pub(crate) session_keys: Option<Vec<Vec<String>>>,
}

impl WindowProperties {
    /// Whether rows that are grouped by these columns besides the window are those of one session each. Sessions of some
    /// keys tell nothing of groups by others: as in Flink, such groups are no windows.
    fn is_of_sessions(&self, group: &[String]) -> bool {
        let Some(keys) = &self.session_keys else { return true };
        let is_window = |c: &&String| self.start.contains(c) || self.end.contains(c) || self.time.contains(c);
        group.iter().filter(|c| !is_window(c)).all(|c| keys.iter().any(|k| k.contains(c)))
            && keys.iter().all(|k| group.iter().any(|c| k.contains(c)))
    }

    /// Whether a grouping of the rows by these columns is one over their windows: see [`is_windowed`].
    pub(crate) fn is_kept_by(&self, group: &[String], sets: Option<&[Vec<usize>]>) -> bool {
        if sets.is_none() && !self.is_of_sessions(group) {
            return false;
        }
        let all: Vec<usize> = (0..group.len()).collect();
        let whole = [all];
        sets.unwrap_or(&whole).iter().all(|set| {
            let kept = |columns: &[String]| columns.iter().any(|c| set.iter().any(|i| group[*i] == *c));
            kept(&self.start) && kept(&self.end)
        })
    }
}

/// The window that a plan's rows carry: from the nearest window TVF, through projections, filters and window aggregates.
pub fn properties(plan: &LogicalPlan) -> Option<WindowProperties> {
    match plan {
        LogicalPlan::Filter(f) => properties(&f.input),
        LogicalPlan::Projection(p) => {
            let below = properties(&p.input)?;
            let outputs = |inputs: &[String]| {
                p.expr
                    .iter()
                    .zip(p.schema.fields())
                    .filter(|(e, _)| matches!(unaliased(e), Expr::Column(c) if inputs.contains(&c.name)))
                    .map(|(_, f)| f.name().clone())
                    .collect()
            };
            Some(WindowProperties {
                start: outputs(&below.start),
                end: outputs(&below.end),
                time: outputs(&below.time),
                session_keys: below.session_keys.as_ref().map(|keys| keys.iter().map(|k| outputs(k)).collect()),
                function: below.function,
            })
        }
        LogicalPlan::Extension(e) => {
            let node = FlinkNode::of(e)?;
            match &node.kind {
                FlinkNodeKind::Unnest(_) => properties(&node.input),
                FlinkNodeKind::Join(join) => {
                    let JoinFlavour::Window { .. } = join.flavour else { return None };
                    let mut both = properties(&node.input)?;
                    if !join.kind.is_semi_or_anti()
                        && let Some(right) = node.second.as_ref().and_then(properties)
                    {
                        both.start.extend(right.start);
                        both.end.extend(right.end);
                        both.time.extend(right.time);
                    }
                    Some(both)
                }
                FlinkNodeKind::WatermarkAssigner { .. }
                | FlinkNodeKind::Sort(_)
                | FlinkNodeKind::Changelog(_)
                | FlinkNodeKind::Match(_) => None,
                // Where it numbers the rows of a window they stay in it; where not, they change and are no window's.
                FlinkNodeKind::Over(over) => {
                    let below = properties(&node.input)?;
                    let has = |columns: &[String]| columns.iter().any(|c| over.partition.contains(c));
                    (has(&below.start) && has(&below.end)).then_some(below)
                }
                FlinkNodeKind::WindowTableFunction(function) => Some(WindowProperties {
                    start: vec!["window_start".into()],
                    end: vec!["window_end".into()],
                    time: vec!["window_time".into()],
                    session_keys: match function.kind {
                        WindowKind::Session { .. } => {
                            Some(function.partition_keys.iter().map(|k| vec![k.clone()]).collect())
                        }
                        _ => None,
                    },
                    function: function.clone(),
                }),
                FlinkNodeKind::Aggregate(aggregate) => {
                    // Asked once: what is below may be as deep as the query.
                    let below = properties(&node.input)?;
                    // Groups without a window are no windows' rows any more: they change.
                    if !below.is_kept_by(&aggregate.group, aggregate.sets.as_deref()) {
                        return None;
                    }
                    // A column that some grouping set nulls is no window's any more.
                    let is_kept = |c: &&String| aggregate.group.contains(c) && aggregate.in_every_set(c);
                    let kept = |columns: &[String]| columns.iter().filter(is_kept).cloned().collect::<Vec<_>>();
                    Some(WindowProperties {
                        start: kept(&below.start),
                        end: kept(&below.end),
                        time: kept(&below.time),
                        session_keys: None,
                        function: below.function,
                    })
                }
            }
        }
        _ => None,
    }
}

/// Whether a grouping over `input` by these columns is one over windows: it keeps window_start and window_end. Any other
/// is one without windows, as in Flink, also over rows that carry one.
pub(crate) fn is_windowed(input: &LogicalPlan, group: &[String], sets: Option<&[Vec<usize>]>) -> bool {
    properties(input).is_some_and(|window| window.is_kept_by(group, sets))
}

/// Whether a grouping keeps the bounds of the rows' windows, be it one over windows or not.
pub(crate) fn keeps_bounds(input: &LogicalPlan, group: &[String]) -> bool {
    let kept = |columns: &[String]| columns.iter().any(|c| group.contains(c));
    properties(input).is_some_and(|window| kept(&window.start) && kept(&window.end))
}

/// An expression without the names that it was given.
pub(crate) fn unaliased(e: &Expr) -> &Expr {
    match e {
        Expr::Alias(a) => unaliased(&a.expr),
        other => other,
    }
}
