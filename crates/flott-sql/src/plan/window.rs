//! Window table functions and window aggregates: which become one node, in one phase or two.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion_common::{DFSchemaRef, ScalarValue};
use datafusion_expr::{Expr, LogicalPlan, Operator};
use flott_connector::factory::ChangelogMode;
use flott_core::types::{TimeAttribute, TypeKind};
use flott_core::{Error, LogicalType, Result};
use flott_graph::{
    AggregateCall, EmitStrategy, ExpandSpec, WindowAggregateSpec, WindowAssignment, WindowKind, WindowProperty,
    WindowTableFunctionSpec, partial_schema,
};

use super::convert::Converter;
use super::meaning;
use super::options;
use super::program::{Base, Program, and, column_uses};
use super::stream::{Columns, Distribution, StreamInput, StreamNode, StreamOp};
use crate::bind::node::{Aggregate, EXPAND_ID, WindowTableFunction};
use crate::bind::window::{COLUMNS as WINDOW_COLUMNS, WindowProperties, properties, unaliased};
use crate::bind::{
    FlinkNode, FlinkNodeKind, Typed, UniqueNames, case_expr, column, columns_of, expand_id_of, plan_schema, project,
};

/// What feeds an aggregation, over the columns of some base.
struct Feed<'p> {
    program: Program<'p>,
    /// Names, expressions and types of the columns, in order.
    columns: Vec<(String, Expr, LogicalType)>,
    filter: Option<Expr>,
    assignment: Assign<'p>,
    /// The columns begin with all that the window function reads, under [`LATE_PREFIX`]: what late rows show.
    keeps_all: bool,
}

/// Marks columns that only late rows need.
pub(super) const LATE_PREFIX: &str = "$late$";

/// How rows of the feed find their windows.
enum Assign<'p> {
    /// By a time column, whose name in the feed this is, beside those of a session's keys.
    Time { function: &'p WindowTableFunction, column: String, partition_keys: Vec<String> },
    /// By the columns of a window that was assigned before.
    Attached { start: Option<String>, end: String, properties: Box<WindowProperties> },
}

impl Converter<'_> {
    /// A window TVF as a node of its own, with those of its columns that are read. `schema`: all of them.
    pub(crate) fn window_table_function(
        &self,
        function: &WindowTableFunction,
        input: &LogicalPlan,
        schema: &DFSchemaRef,
        read: &BTreeSet<String>,
    ) -> Result<Arc<StreamNode>> {
        // The window's own come behind those of the input.
        let all = columns_of(schema)?;
        let (of_input, of_window) = all.split_at(all.len().saturating_sub(WINDOW_COLUMNS.len()));
        let below = columns_of(input.schema())?;
        let kept: Vec<bool> = of_input
            .iter()
            .zip(&below)
            .map(|((name, _), (input, _))| {
                read.contains(name) || *input == function.time_column || function.partition_keys.contains(input)
            })
            .collect();
        let of_kept = |columns: &[(String, LogicalType)]| -> Columns {
            columns.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(c, _)| c.clone()).collect()
        };
        let node = match kept.iter().all(|kept| *kept) {
            true => self.convert(input)?,
            false => {
                let typed =
                    |(name, t): (String, LogicalType)| (name.clone(), Typed { expr: column(&name), data_type: t });
                self.convert(&project(input.clone(), of_kept(&below).into_iter().map(typed).collect())?)?
            }
        };
        let output: Columns = of_kept(of_input).into_iter().chain(of_window.iter().cloned()).collect();
        let schema = plan_schema(output.iter().map(|(n, t)| (n.as_str(), t)))?;
        let columns = columns_of(&node.schema)?;
        let assignment = WindowAssignment::TimeColumn {
            column: index_of(&columns, &function.time_column)?,
            attribute: function.attribute(),
            time_zone: function.time_zone.clone(),
            kind: indexed_kind(function, &function.partition_keys, &columns)?,
        };
        let session = matches!(function.kind, WindowKind::Session { .. });
        let input = if session {
            let keys = function.partition_keys.iter().map(|k| index_of(&columns, k)).collect::<Result<_>>()?;
            exchange(&node, keys)
        } else {
            node
        };
        let op = StreamOp::WindowTableFunction(WindowTableFunctionSpec { assignment });
        let mode = input.changelog;
        Ok(StreamNode::new(op, vec![StreamInput::from(&input)], schema, mode))
    }

    /// The nodes of a window aggregation, and each column of the logical node as an expression over the planned ones.
    pub(crate) fn window_aggregate(
        &self,
        node: &FlinkNode,
        aggregate: &Aggregate,
    ) -> Result<(Arc<StreamNode>, Vec<Expr>)> {
        let window = properties(&node.input)
            .ok_or_else(|| Error::internal("a grouped aggregation without a window reached the planner"))?;
        if !crate::bind::is_batch(self.config) {
            check_slices(&window.function)?;
        }
        let is_window = |c: &String| window.start.contains(c) || window.end.contains(c) || window.time.contains(c);
        let keys: Vec<String> = aggregate.group.iter().filter(|c| !is_window(c)).cloned().collect();
        let late_table = options::late_records_table(self.config);
        let feed = self.feed(node, aggregate, &keys, &window, late_table.is_some())?;
        let Feed { program, columns, filter, assignment, keeps_all } = feed;
        let feed_schema = plan_schema(columns.iter().map(|(n, _, t)| (n.as_str(), t)))?;
        let late_columns = columns.len();
        let projection = columns.into_iter().map(|c| c.1).collect();
        let mut input = self.finish(Program {
            projection,
            filter: and(program.filter.clone(), filter),
            schema: feed_schema,
            ..program
        })?;
        let mut group: Vec<String> = keys.clone();
        if let Some(sets) = &aggregate.sets {
            input = expand(&input, aggregate, sets, false)?;
            group.push(EXPAND_ID.to_string());
        }
        let fed: Columns = columns_of(&input.schema)?;
        let assignment = match &assignment {
            Assign::Time { function, column, partition_keys } => WindowAssignment::TimeColumn {
                column: index_of(&fed, column)?,
                attribute: function.attribute(),
                time_zone: function.time_zone.clone(),
                kind: indexed_kind(function, partition_keys, &fed)?,
            },
            Assign::Attached { start, end, properties } => WindowAssignment::Attached {
                start: start.as_ref().map(|s| index_of(&fed, s)).transpose()?,
                end: index_of(&fed, end)?,
                attribute: properties.function.attribute(),
                time_zone: properties.function.time_zone.clone(),
                kind: match &properties.function.kind {
                    WindowKind::Session { gap_ms, .. } => {
                        WindowKind::Session { gap_ms: *gap_ms, partition_keys: vec![] }
                    }
                    other => other.clone(),
                },
            },
        };
        let calls = aggregate_calls(aggregate, &fed)?;

        // The output: keys, aggregates, window columns.
        let logical = columns_of(&node.schema)?;
        let type_of = |name: &str| logical.iter().find(|c| c.0 == name).map(|c| c.1.clone());
        let mut names = UniqueNames::default();
        let mut output: Columns = vec![];
        for key in &group {
            let t = type_of(key).ok_or_else(|| Error::internal("a group key without a column"))?;
            output.push((names.take(key), t));
        }
        for call in &calls {
            output.push((names.take(&call.name), call.result.clone()));
        }
        let mut properties = vec![];
        let mut holders: Vec<(String, String)> = vec![];
        for (property, of) in [
            (WindowProperty::Start, &window.start),
            (WindowProperty::End, &window.end),
            (WindowProperty::Time, &window.time),
        ] {
            let wanted: Vec<&String> = aggregate.group.iter().filter(|c| of.contains(c)).collect();
            if let Some(first) = wanted.first() {
                let t = type_of(first).ok_or_else(|| Error::internal("a window column without a type"))?;
                let name = names.take(first);
                properties.push(property);
                output.push((name.clone(), t));
                holders.extend(wanted.into_iter().map(|w| (w.clone(), name.clone())));
            }
        }
        let schema = plan_schema(output.iter().map(|(n, t)| (n.as_str(), t)))?;
        let emit = options::emit_strategy(self.config)?;
        let attribute = match &assignment {
            WindowAssignment::TimeColumn { attribute, .. } | WindowAssignment::Attached { attribute, .. } => *attribute,
        };
        check_emit(&emit, &assignment, attribute)?;
        let group_keys: Vec<usize> = group.iter().map(|k| index_of(&fed, k)).collect::<Result<_>>()?;
        let mut meaning = meaning::of_aggregates(&input, &group_keys, &calls);
        if let WindowAssignment::TimeColumn { column, .. } = &assignment {
            meaning = meaning::with_time(meaning, &input, *column);
        }
        let spec = WindowAggregateSpec {
            meaning,
            group_keys,
            aggregates: calls,
            properties,
            late_output: keeps_all && attribute == TimeAttribute::Rowtime,
            merge_changes: options::merges_changes(self.config)?,
            retracts: !input.changelog.is_insert_only(),
            input_schema: Arc::new(input.schema.as_arrow().clone()),
            assignment,
            emit,
            in_group_by: window.function.in_group_by,
        };
        let mode = if spec.emit == EmitStrategy::default() {
            ChangelogMode::INSERT_ONLY
        } else {
            ChangelogMode { insert: true, update_before: true, update_after: true, delete: false }
        };
        // What a local aggregate hands on is only added.
        let changes = spec.retracts;
        let planned = if options::two_phase(self.config)? && !spec.in_group_by && can_split(&spec) && !changes {
            let keys = (0..spec.group_keys.len()).collect();
            let partial = partial_schema(&spec);
            let partial =
                datafusion_common::DFSchema::from_unqualified_fields(partial.fields().clone(), Default::default())
                    .map_err(crate::bind::from_datafusion)?;
            let local = StreamNode::new(
                StreamOp::LocalWindowAggregate(spec.clone()),
                vec![StreamInput::from(&input)],
                Arc::new(partial),
                ChangelogMode::INSERT_ONLY,
            );
            let exchanged = exchange(&local, keys);
            StreamNode::new(StreamOp::GlobalWindowAggregate(spec), vec![StreamInput::from(&exchanged)], schema, mode)
        } else {
            let late_output = spec.late_output;
            let exchanged = exchange(&input, spec.group_keys.clone());
            let planned =
                StreamNode::new(StreamOp::WindowAggregate(spec), vec![StreamInput::from(&exchanged)], schema, mode);
            if late_output && let Some(table) = late_table {
                // A late row comes once for each grouping set: those of the first one stand for all.
                let first = aggregate.sets.as_ref().and_then(|sets| sets.first());
                let once = first.map(|set| self.is_of_set(aggregate, set)).transpose()?;
                self.late_sink(&planned, &input, late_columns, once, &table)?;
            }
            planned
        };
        let outputs = logical
            .iter()
            .map(|(name, _)| match holders.iter().find(|h| h.0 == *name) {
                Some((_, holder)) => self.where_kept(aggregate, name, column(holder)),
                None => Ok(column(name)),
            })
            .collect::<Result<_>>()?;
        Ok((planned, outputs))
    }

    /// A window's column: NULL in the rows of grouping sets that leave it out.
    fn where_kept(&self, aggregate: &Aggregate, key: &str, value: Expr) -> Result<Expr> {
        if aggregate.in_every_set(key) {
            return Ok(value);
        }
        let keeping = aggregate.sets.iter().flatten().filter(|set| aggregate.keeps(set, key));
        let branches =
            keeping.map(|set| Ok((self.is_of_set(aggregate, set)?, value.clone()))).collect::<Result<Vec<_>>>()?;
        Ok(case_expr(branches, None))
    }

    /// Whether a row is of a grouping set.
    fn is_of_set(&self, aggregate: &Aggregate, set: &[usize]) -> Result<Expr> {
        let t = TypeKind::BigInt.not_null();
        let id = ScalarValue::Int64(Some(expand_id_of(aggregate.group.len(), set)));
        let of_row = Typed { expr: column(EXPAND_ID), data_type: t.clone() };
        Ok(self.binder.functions().binary(Operator::Eq, of_row, Typed::literal(id, t))?.expr)
    }

    /// The program below an aggregation: over the TVF's input where the window can be taken into the aggregate.
    fn feed<'p>(
        &self,
        node: &'p FlinkNode,
        aggregate: &Aggregate,
        keys: &[String],
        window: &WindowProperties,
        keep_all: bool,
    ) -> Result<Feed<'p>> {
        let program = self.program(&node.input)?;
        let types = columns_of(&program.schema)?;
        let is_window = |c: &str| [&window.start, &window.end, &window.time].iter().any(|w| w.iter().any(|w| w == c));
        // A call may read the window's columns as any others: then the window stays in the rows.
        let is_read =
            |c: &str| aggregate.calls.iter().any(|call| call.arguments.iter().chain(&call.filter).any(|a| a == c));
        if aggregate.sets.is_some() && types.iter().any(|(name, _)| is_window(name) && is_read(name)) {
            return Err(Error::user("an aggregate over a window's columns is not supported with GROUPING SETS")
                .hint("Compute it in a query above this one, from the window columns that it returns"));
        }
        // Everything that is not the window itself.
        let rest: Vec<(String, Expr, LogicalType)> = types
            .iter()
            .zip(&program.projection)
            .filter(|((name, _), _)| !is_window(name) || is_read(name))
            .map(|((name, t), e)| (name.clone(), unaliased(e).clone(), t.clone()))
            .collect();
        if let Base::Window { function, input } = program.base {
            let reads_window = |e: &Expr| column_uses(e).keys().any(|c| WINDOW_COLUMNS.contains(&c.as_str()));
            let partition_keys = match function.kind {
                // Each grouping set has other keys than the session.
                WindowKind::Session { .. } if aggregate.sets.is_some() => None,
                WindowKind::Session { .. } => session_keys(function, keys, &rest),
                _ => Some(vec![]),
            };
            // Windows that share no slices are assigned before: HOP of a size that is no multiple of the slide.
            let shares = match function.kind {
                WindowKind::Hop { size_ms, slide_ms, .. } => size_ms % slide_ms == 0,
                _ => true,
            };
            let free =
                shares && !rest.iter().any(|(_, e, _)| reads_window(e)) && !program.filter.iter().any(reads_window);
            if let Some(partition_keys) = partition_keys.filter(|_| free) {
                // Rows that a window emitted are in time for the next one.
                let keep_all = keep_all && properties(input).is_none();
                let mut below = self.program(input)?;
                let time = column(&function.time_column);
                let users: Vec<&Expr> = rest.iter().map(|r| &r.1).chain(&program.filter).chain([&time]).collect();
                // Late rows need every column besides.
                if keep_all || !below.can_inline(&users) {
                    below = self.settled(below)?;
                }
                let mut columns = vec![];
                let mut names = names_beside(aggregate, &is_window);
                if keep_all {
                    for ((name, t), e) in columns_of(&below.schema)?.into_iter().zip(&below.projection) {
                        columns.push((names.take(&format!("{LATE_PREFIX}{name}")), unaliased(e).clone(), t));
                    }
                }
                for (name, e, t) in rest {
                    columns.push((names.take(&name), below.inline(&e)?, t));
                }
                let mut place = |wanted: &str, t: LogicalType| -> Result<String> {
                    let e = below.inline(&column(wanted))?;
                    // A key that is the time column already serves, but where a grouping set nulls its keys.
                    let same = columns.iter().find(|(n, have, _)| *have == e && !n.starts_with(LATE_PREFIX));
                    if let Some((name, _, _)) = same.filter(|_| aggregate.sets.is_none()) {
                        return Ok(name.clone());
                    }
                    let name = names.take(wanted);
                    columns.push((name.clone(), e, t));
                    Ok(name)
                };
                let time = place(&function.time_column, function.time_type.clone())?;
                let filter = program.filter.as_ref().map(|f| below.inline(f)).transpose()?;
                return Ok(Feed {
                    program: below,
                    columns,
                    filter,
                    assignment: Assign::Time { function, column: time, partition_keys },
                    keeps_all: keep_all,
                });
            }
        }
        // The window stays in the rows.
        let keep_all = keep_all && may_be_late(&node.input, window);
        let mut names = names_beside(aggregate, &is_window);
        let mut columns = if keep_all { attached_late_columns(&program, window)? } else { vec![] };
        columns.extend(rest.into_iter().map(|(name, e, t)| (names.take(&name), e, t)));
        let mut attach = |of: &[String]| -> Option<String> {
            let (i, (name, t)) = types.iter().enumerate().find(|(_, c)| Some(&c.0) == of.first())?;
            let name = names.take(name);
            columns.push((name.clone(), unaliased(&program.projection[i]).clone(), t.clone()));
            Some(name)
        };
        let start = attach(&window.start);
        let end = attach(&window.end).ok_or_else(|| Error::internal("a window without its end"))?;
        let assignment = Assign::Attached { start, end, properties: Box::new(window.clone()) };
        Ok(Feed { program, columns, filter: None, assignment, keeps_all: keep_all })
    }
}

/// Refuses what Flink refuses of a stream's windows that are aggregated: only the functions of GROUP BY take any measures.
fn check_slices(function: &WindowTableFunction) -> Result<()> {
    match function.kind {
        WindowKind::Hop { size_ms, slide_ms, .. } if !function.in_group_by && size_ms % slide_ms != 0 => {
            Err(Error::user(format!(
                "HOP table function based aggregate requires size must be an integral multiple of slide, but got size \
                 {size_ms} ms and slide {slide_ms} ms"
            ))
            .hint("The order of the arguments is slide, size"))
        }
        _ => Ok(()),
    }
}

/// Whether rows whose window was assigned before can be late: not those of windows that have fired.
fn may_be_late(input: &LogicalPlan, window: &WindowProperties) -> bool {
    let assigned = match input {
        LogicalPlan::Filter(f) => return may_be_late(&f.input, window),
        LogicalPlan::Projection(p) => return may_be_late(&p.input, window),
        LogicalPlan::Extension(e) => FlinkNode::of(e),
        _ => None,
    };
    let Some(FlinkNode { kind: FlinkNodeKind::WindowTableFunction(_), input, .. }) = assigned else { return false };
    window.function.attribute() == TimeAttribute::Rowtime && properties(input).is_none()
}

/// What late rows show where the window stays in the rows: all that the window function read.
fn attached_late_columns(program: &Program<'_>, window: &WindowProperties) -> Result<Vec<(String, Expr, LogicalType)>> {
    let why = match (&window.function.kind, &program.base) {
        (WindowKind::Tumble { .. }, Base::Window { .. }) => {
            let mut read = columns_of(&program.base_schema)?;
            read.truncate(read.len().saturating_sub(WINDOW_COLUMNS.len()));
            return Ok(read.into_iter().map(|(n, t)| (format!("{LATE_PREFIX}{n}"), column(&n), t)).collect());
        }
        (WindowKind::Session { .. }, _) => "a SESSION window is grouped by other keys than its own",
        // A row is in several windows, and some of them may be open.
        (WindowKind::Hop { .. }, _) => "a HOP window's columns are read before the aggregation",
        (WindowKind::Cumulate { .. }, _) => "a CUMULATE window's columns are read before the aggregation",
        (WindowKind::Tumble { .. }, _) => "something is computed between the window and the aggregation",
    };
    Err(Error::user(format!("'{}' is not supported here: {why}", options::LATE_RECORDS_TABLE.key))
        .hint(format!("RESET '{}', or aggregate right over the window function", options::LATE_RECORDS_TABLE.key)))
}

/// Names for the columns of a feed. A grouping set nulls columns by their names: those that it leaves out of the window's
/// are no names of the feed's own.
fn names_beside(aggregate: &Aggregate, is_window: &dyn Fn(&str) -> bool) -> UniqueNames {
    let mut names = UniqueNames::default();
    if aggregate.sets.is_some() {
        for key in aggregate.group.iter().filter(|k| is_window(k)) {
            names.take(key);
        }
    }
    names
}

/// The group keys that are a session's partition keys, in the order of those; `None` where rows are grouped otherwise.
fn session_keys(
    function: &WindowTableFunction,
    keys: &[String],
    columns: &[(String, Expr, LogicalType)],
) -> Option<Vec<String>> {
    let is = |e: &Expr, k: &String| matches!(e, Expr::Column(c) if c.name == *k);
    let key_of = |k| columns.iter().find(|(name, e, _)| keys.contains(name) && is(e, k)).map(|c| c.0.clone());
    let found: Vec<String> = function.partition_keys.iter().map(key_of).collect::<Option<_>>()?;
    (found.len() == keys.len() && keys.iter().all(|k| found.contains(k))).then_some(found)
}

/// GROUPING SETS: a copy of each row for each set, and the set's id. `row_by_row`: the copies of a row come together.
pub(super) fn expand(
    input: &Arc<StreamNode>,
    aggregate: &Aggregate,
    sets: &[Vec<usize>],
    row_by_row: bool,
) -> Result<Arc<StreamNode>> {
    let columns = columns_of(&input.schema)?;
    let mut projections = vec![];
    let mut expand_ids = vec![];
    for set in sets {
        let kept = |name: &String| !aggregate.group.contains(name) || aggregate.keeps(set, name);
        projections.push(columns.iter().enumerate().map(|(i, (name, _))| kept(name).then_some(i)).collect());
        expand_ids.push(expand_id_of(aggregate.group.len(), set));
    }
    let mut output: Columns = columns
        .into_iter()
        .enumerate()
        .map(|(i, (name, t))| {
            let nulled = projections.iter().any(|p: &Vec<Option<usize>>| p[i].is_none());
            (name, t.with_nullable(t.nullable || nulled))
        })
        .collect();
    output.push((EXPAND_ID.to_string(), TypeKind::BigInt.not_null()));
    let schema = plan_schema(output.iter().map(|(n, t)| (n.as_str(), t)))?;
    let op = StreamOp::Expand(ExpandSpec { projections, expand_ids, row_by_row });
    Ok(StreamNode::new(op, vec![StreamInput::from(input)], schema, input.changelog))
}

/// Refuses results before or after a window's end where there are none.
fn check_emit(emit: &EmitStrategy, assignment: &WindowAssignment, attribute: TimeAttribute) -> Result<()> {
    if attribute != TimeAttribute::Rowtime && emit.late_fire.is_some() {
        return Err(Error::user("late results need event time: the window is one of processing time")
            .hint("Unset table.exec.emit.late-fire.enabled"));
    }
    let session = matches!(assignment, WindowAssignment::TimeColumn { kind: WindowKind::Session { .. }, .. });
    if session && *emit != EmitStrategy::default() {
        return Err(Error::user("Session window doesn't support EMIT strategy currently")
            .hint("Unset the 'table.exec.emit.*' options, or use TUMBLE, HOP or CUMULATE"));
    }
    Ok(())
}

/// Whether a local aggregate can run before the exchange.
fn can_split(spec: &WindowAggregateSpec) -> bool {
    let (attribute, session) = match &spec.assignment {
        WindowAssignment::TimeColumn { attribute, kind, .. } | WindowAssignment::Attached { attribute, kind, .. } => {
            (*attribute, matches!(kind, WindowKind::Session { .. }))
        }
    };
    attribute == TimeAttribute::Rowtime && !session && !spec.late_output && spec.emit == EmitStrategy::default()
}

/// Rows to where their key is.
pub(crate) fn exchange(node: &Arc<StreamNode>, keys: Vec<usize>) -> Arc<StreamNode> {
    let distribution = if keys.is_empty() { Distribution::Single } else { Distribution::Hash(keys) };
    StreamNode::new(
        StreamOp::Exchange(distribution),
        vec![StreamInput::from(node)],
        node.schema.clone(),
        node.changelog,
    )
}

/// The calls of an aggregate over these columns.
pub(super) fn aggregate_calls(aggregate: &Aggregate, columns: &Columns) -> Result<Vec<AggregateCall>> {
    let call = |c: &crate::bind::node::AggregateCall| {
        Ok(AggregateCall {
            kind: c.kind,
            arguments: c.arguments.iter().map(|a| index_of(columns, a)).collect::<Result<_>>()?,
            filter: c.filter.as_ref().map(|f| index_of(columns, f)).transpose()?,
            distinct: c.distinct,
            result: c.result.clone(),
            argument_type: c.argument_type.clone(),
            name: c.name.clone(),
        })
    };
    aggregate.calls.iter().map(call).collect()
}

pub(super) fn index_of(columns: &Columns, name: &str) -> Result<usize> {
    columns
        .iter()
        .position(|c| c.0 == name)
        .ok_or_else(|| Error::internal(format!("column '{name}' is missing below a window")))
}

/// The kind with the session's keys, by their names here, as indices of these columns.
fn indexed_kind(function: &WindowTableFunction, keys: &[String], columns: &Columns) -> Result<WindowKind> {
    Ok(match &function.kind {
        WindowKind::Session { gap_ms, .. } => WindowKind::Session {
            gap_ms: *gap_ms,
            partition_keys: keys.iter().map(|k| index_of(columns, k)).collect::<Result<_>>()?,
        },
        other => other.clone(),
    })
}
