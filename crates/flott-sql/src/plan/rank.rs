//! Numbers of rows, and conditions on them: Top-N, deduplication and their windowed forms, ORDER BY and LIMIT.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, Operator};
use flott_connector::factory::ChangelogMode;
use flott_core::types::{TimeAttribute, TypeKind};
use flott_core::{Error, Result};
use flott_graph::{
    DeduplicateSpec, Keep, OverFunction, RankRange, RankSpec, RankStrategy, SortKey, SortSpec, TemporalSortSpec,
    WindowAssignment, WindowKind, WindowRankSpec,
};

use super::changelog::keys::{containing, smallest, upsert_keys};
use super::convert::Converter;
use super::monotonicity::{Course, courses};
use super::options;
use super::program::{Program, and, column_uses, substitute};
use super::stream::{Columns, Rank, RankNode, StreamInput, StreamNode, StreamOp, WindowRank};
use super::window::{exchange, index_of};
use crate::bind::node::{OrderKey, Over, Sort};
use crate::bind::over::integer;
use crate::bind::window::{WindowProperties, properties, unaliased};
use crate::bind::{FlinkNode, Functions, Shown, Typed, columns_of, is_batch, plan_schema};

/// Of which rows a condition on their number lets pass.
#[derive(Default)]
struct Limits {
    start: Option<i64>,
    end: Option<i64>,
    /// The last one is in this column.
    column: Option<String>,
}

impl Converter<'_> {
    /// The rows of a program over numbered rows: which of them stay is in its filter.
    pub(crate) fn over(
        &self,
        over: &Over,
        node: &FlinkNode,
        projection: Vec<Expr>,
        filter: Option<Expr>,
        schema: datafusion_common::DFSchemaRef,
    ) -> Result<Arc<StreamNode>> {
        let batch = is_batch(self.config);
        let ranks = [OverFunction::RowNumber, OverFunction::Rank, OverFunction::DenseRank];
        let [call] = over.calls.as_slice() else {
            return self.over_aggregate(over, node, projection, filter, schema);
        };
        let (mut limits, mut rest) = (Limits::default(), None);
        for condition in filter.iter().flat_map(conjuncts) {
            if !limits.take(condition, &call.name) {
                rest = and(rest, Some(condition.clone()));
            }
        }
        // In a batch every row has its number before the first one is asked for it.
        if !ranks.contains(&call.function) || !limits.are_some() || batch && !limits.are_constant() {
            return self.over_aggregate(over, node, projection, filter, schema);
        }
        if call.function != OverFunction::RowNumber {
            if batch {
                return self.over_aggregate(over, node, projection, filter, schema);
            }
            let name = call.function.name();
            return Err(Error::user(format!("{name}() on streaming table is not supported currently"))
                .hint("Use ROW_NUMBER() where equal rows may be numbered in the order in which they come"));
        }
        let range = |columns: &Columns| limits.range(columns);
        let one = (limits.column.is_none() && limits.start.is_some() && limits.start == limits.end)
            || (limits.end == Some(1) && limits.start.is_none() && limits.column.is_none());
        let number = one.then(|| {
            let last = ScalarValue::Int64(limits.end);
            Typed::literal(last, TypeKind::BigInt.not_null()).expr
        });
        let by_number = |e: &Expr| substitute(e, &|name| number.clone().filter(|_| name == call.name));
        let projection: Vec<Expr> = projection.iter().map(by_number).collect::<Result<_>>()?;
        let rest = rest.as_ref().map(by_number).transpose()?;
        // What is read of the rows.
        let mut needed: BTreeSet<String> =
            projection.iter().chain(&rest).flat_map(|e| column_uses(e).into_keys()).collect();
        let shown = needed.remove(&call.name);
        needed.extend(over.partition.iter().cloned().chain(over.order.iter().map(|k| k.column.clone())));
        needed.extend(limits.column.clone());
        if !batch {
            needed.extend(self.upsert_key_below(node, &over.partition)?);
        }
        let input = self.columns_below(node, &needed)?;
        let fed: Columns = columns_of(&input.schema)?;
        let range = range(&fed)?;
        let order = sort_keys(&over.order, &fed)?;
        let partition = over.partition.iter().map(|p| index_of(&fed, p)).collect::<Result<Vec<usize>>>()?;
        let plan = RankPlan { input, fed, partition, order, range, shown };
        let window = properties(&node.input).filter(|w| {
            let has = |columns: &[String]| columns.iter().any(|c| over.partition.contains(c));
            has(&w.start) && has(&w.end)
        });
        let ranked = match window {
            Some(window) => self.window_rank(plan, &window, over, &call.name)?,
            None if batch && plan.input.changelog.is_insert_only() => plan.at_the_end(&call.name)?,
            None => self.rank(plan, &call.name)?,
        };
        self.calc(ranked, projection, rest, schema)
    }

    /// The columns by which updates below a rank are found, whether somebody asks for them or not: without them it would
    /// have to keep all rows. (Flink's `CalcRankTransposeRule` leaves them, too.)
    fn upsert_key_below(&self, node: &FlinkNode, partition: &[String]) -> Result<Vec<String>> {
        if self.for_keys {
            return Ok(node.input.schema().fields().iter().map(|f| f.name().clone()).collect());
        }
        let all = self.for_keys().convert(&node.input)?;
        if all.changelog.is_insert_only() {
            return Ok(vec![]);
        }
        let columns = columns_of(&all.schema)?;
        let partition = partition.iter().map(|p| index_of(&columns, p)).collect::<Result<Vec<usize>>>()?;
        let keys = containing(&upsert_keys(&exchange(&all, partition.clone())), &partition);
        Ok(smallest(&keys).into_iter().flatten().map(|c| columns[*c].0.clone()).collect())
    }

    /// What a node reads, with these columns alone.
    pub(super) fn columns_below(&self, node: &FlinkNode, needed: &BTreeSet<String>) -> Result<Arc<StreamNode>> {
        let below = self.program(&node.input)?;
        let columns = columns_of(&below.schema)?;
        let mut kept: Vec<usize> = (0..columns.len()).filter(|i| needed.contains(&columns[*i].0)).collect();
        if kept.is_empty() {
            kept.extend((!columns.is_empty()).then_some(0));
        }
        let schema = plan_schema(kept.iter().map(|i| (columns[*i].0.as_str(), &columns[*i].1)))?;
        let projection = kept.iter().map(|i| below.projection[*i].clone()).collect();
        self.finish(Program { projection, schema, ..below })
    }

    fn rank(&self, plan: RankPlan, number: &str) -> Result<Arc<StreamNode>> {
        let state_ttl = options::state_ttl(self.config)?.filter(|d| !d.is_zero());
        let input = exchange(&plan.input, plan.partition.clone());
        let appends = plan.input.changelog.is_insert_only();
        let time = match plan.order.as_slice() {
            [key] => plan.fed[key.column].1.kind.time_attribute(),
            _ => TimeAttribute::None,
        };
        let input_schema = Arc::new(plan.input.schema.as_arrow().clone());
        if appends && plan.range.is_top_1() && time != TimeAttribute::None && !plan.shown {
            let keep = if plan.order[0].ascending { Keep::First } else { Keep::Last };
            let spec = DeduplicateSpec {
                keys: plan.partition,
                rowtime: (time == TimeAttribute::Rowtime).then_some(plan.order[0].column),
                keep,
                update_before: true,
                insert: options::deduplication_inserts(self.config)?,
                mini_batch: options::mini_batch(self.config)?,
                compact: options::compacts_deduplication(self.config)?,
                state_ttl,
                input_schema,
            };
            let mode = if spec.appends() { ChangelogMode::INSERT_ONLY } else { ChangelogMode::ALL };
            let schema = plan.input.schema.clone();
            return Ok(StreamNode::new(StreamOp::Deduplicate(spec), vec![StreamInput::from(&input)], schema, mode));
        }
        let strategy = strategy(&plan, &input, appends);
        let spec = RankSpec {
            by_arrival: time == TimeAttribute::Proctime && plan.order[0].ascending,
            partition_keys: plan.partition.clone(),
            order: plan.order.clone(),
            range: plan.range,
            strategy,
            output_rank_number: plan.shown,
            update_before: true,
            state_ttl,
            input_schema,
        };
        let schema = plan.output(number)?;
        let op = StreamOp::Rank(Rank { spec, node: RankNode::Rank });
        Ok(StreamNode::new(op, vec![StreamInput::from(&input)], schema, ChangelogMode::ALL))
    }

    fn window_rank(
        &self,
        plan: RankPlan,
        window: &WindowProperties,
        over: &Over,
        number: &str,
    ) -> Result<Arc<StreamNode>> {
        let RankRange::Constant { start, end } = plan.range else {
            return Err(Error::user("Window TopN with a rank end from a column is not supported")
                .hint("Compare the number with a constant"));
        };
        let attribute = window.function.attribute();
        let time = match plan.order.as_slice() {
            [key] => plan.fed[key.column].1.kind.time_attribute(),
            _ => TimeAttribute::None,
        };
        let deduplicates = plan.range.is_top_1() && time != TimeAttribute::None && !plan.shown;
        if attribute != TimeAttribute::Rowtime {
            let what = if deduplicates { "Deduplicate" } else { "TopN" };
            return Err(Error::user(format!("Processing time Window {what} is not supported yet."))
                .hint("Window the rows by an event-time column"));
        }
        let named = |columns: &[String]| -> Option<usize> {
            let name = columns.iter().find(|c| over.partition.contains(c))?;
            plan.fed.iter().position(|f| f.0 == *name)
        };
        let (Some(window_start), Some(window_end)) = (named(&window.start), named(&window.end)) else {
            return Err(Error::internal("a window without its columns"));
        };
        let is_window = |c: &usize| {
            let name = &plan.fed[*c].0;
            window.start.contains(name) || window.end.contains(name) || window.time.contains(name)
        };
        let partition: Vec<usize> = plan.partition.iter().copied().filter(|c| !is_window(c)).collect();
        let keep = deduplicates.then(|| if plan.order[0].ascending { Keep::First } else { Keep::Last });
        let input = exchange(&plan.input, partition.clone());
        let spec = WindowRankSpec {
            partition_keys: partition,
            order: plan.order.clone(),
            last_of_equals: keep == Some(Keep::Last),
            start,
            end,
            output_rank_number: plan.shown,
            window_end: Some(window_end),
            window_start: Some(window_start),
            time_zone: window.function.time_zone.clone(),
            input_schema: Arc::new(plan.input.schema.as_arrow().clone()),
        };
        let assignment = WindowAssignment::Attached {
            start: Some(window_start),
            end: window_end,
            attribute,
            time_zone: window.function.time_zone.clone(),
            kind: match &window.function.kind {
                WindowKind::Session { gap_ms, .. } => WindowKind::Session { gap_ms: *gap_ms, partition_keys: vec![] },
                other => other.clone(),
            },
        };
        let schema = plan.output(number)?;
        let op = StreamOp::WindowRank(WindowRank { spec, window: Some(assignment), keep });
        Ok(StreamNode::new(op, vec![StreamInput::from(&input)], schema, ChangelogMode::INSERT_ONLY))
    }

    /// ORDER BY, OFFSET, FETCH.
    pub(crate) fn sort(&self, node: &FlinkNode, sort: &Sort) -> Result<Arc<StreamNode>> {
        let input = self.convert(&node.input)?;
        let fed: Columns = columns_of(&input.schema)?;
        let order = sort_keys(&sort.order, &fed)?;
        let schema = input.schema.clone();
        let input_schema = Arc::new(schema.as_arrow().clone());
        let exchanged = exchange(&input, vec![]);
        let inputs = vec![StreamInput::from(&exchanged)];
        let batch = is_batch(self.config);
        let appends = input.changelog.is_insert_only();
        if !order.is_empty() && (batch || (sort.fetch.is_none() && options::sorts_without_time(self.config)?)) {
            let default = if batch { options::default_limit(self.config)? } else { None };
            let spec = SortSpec { order, offset: sort.offset, fetch: sort.fetch.or(default), input_schema };
            return Ok(StreamNode::new(StreamOp::Sort(spec), inputs, schema, ChangelogMode::INSERT_ONLY));
        }
        // In a batch what is behind the first rows has an end; so many are all, as in Flink.
        let all = (batch && order.is_empty()).then_some(i32::MAX as u64);
        let Some(fetch) = sort.fetch.or(all) else {
            if sort.offset > 0 || order.is_empty() {
                return Err(Error::user("FETCH is missed, which on streaming table is not supported currently.")
                    .hint("Write LIMIT, or run the query in batch mode with an ORDER BY"));
            }
            let first = order[0];
            let attribute = fed[first.column].1.kind.time_attribute();
            if attribute == TimeAttribute::None {
                return Err(Error::user("Sort on a non-time-attribute field is not supported.")
                    .hint("Order by a time attribute first, write LIMIT, or SET 'execution.runtime-mode' = 'batch'"));
            }
            if !first.ascending {
                return Err(Error::user("Sort: Primary sort order of a streaming table must be ascending on time.")
                    .hint("Order by the time attribute ascending"));
            }
            let spec =
                TemporalSortSpec { attribute, time_column: first.column, then: order[1..].to_vec(), input_schema };
            return Ok(StreamNode::new(StreamOp::TemporalSort(spec), inputs, schema, ChangelogMode::INSERT_ONLY));
        };
        let end = sort.offset.saturating_add(fetch);
        let range = RankRange::Constant { start: sort.offset.saturating_add(1), end };
        let limits = order.is_empty();
        let plan = RankPlan { input: input.clone(), fed, partition: vec![], order, range, shown: false };
        let spec = RankSpec {
            partition_keys: vec![],
            by_arrival: limits,
            range,
            strategy: strategy(&plan, &exchanged, appends),
            order: plan.order,
            output_rank_number: false,
            update_before: true,
            state_ttl: options::state_ttl(self.config)?.filter(|d| !d.is_zero()),
            input_schema,
        };
        let mode = if limits && appends { ChangelogMode::INSERT_ONLY } else { ChangelogMode::ALL };
        let node = if limits { RankNode::Limit } else { RankNode::SortLimit };
        Ok(StreamNode::new(StreamOp::Rank(Rank { spec, node }), inputs, schema, mode))
    }
}

/// What a rank is planned from.
struct RankPlan {
    input: Arc<StreamNode>,
    fed: Columns,
    partition: Vec<usize>,
    order: Vec<SortKey>,
    range: RankRange,
    shown: bool,
}

impl RankPlan {
    /// The columns of the rows, and their number where it is shown.
    fn output(&self, number: &str) -> Result<datafusion_common::DFSchemaRef> {
        let of_number = TypeKind::BigInt.not_null();
        let columns = self.fed.iter().map(|(n, t)| (n.as_str(), t));
        plan_schema(columns.chain(self.shown.then_some((number, &of_number))))
    }

    /// In batch mode: the rows that are left when the input has ended.
    fn at_the_end(self, number: &str) -> Result<Arc<StreamNode>> {
        let RankRange::Constant { start, end } = self.range else {
            return Err(Error::user("a rank end from a column is not supported in batch mode")
                .hint("Compare the number with a constant"));
        };
        let input = exchange(&self.input, self.partition.clone());
        let spec = WindowRankSpec {
            partition_keys: self.partition.clone(),
            order: self.order.clone(),
            last_of_equals: false,
            start,
            end,
            output_rank_number: self.shown,
            window_end: None,
            window_start: None,
            time_zone: None,
            input_schema: Arc::new(self.input.schema.as_arrow().clone()),
        };
        let schema = self.output(number)?;
        let op = StreamOp::WindowRank(WindowRank { spec, window: None, keep: None });
        Ok(StreamNode::new(op, vec![StreamInput::from(&input)], schema, ChangelogMode::INSERT_ONLY))
    }
}

/// How a rank can be kept: all rows only where nothing better is known (Flink's `analyzeRankProcessStrategies`).
fn strategy(plan: &RankPlan, exchanged: &StreamNode, appends: bool) -> RankStrategy {
    if appends {
        return RankStrategy::AppendFast;
    }
    let keys = containing(&upsert_keys(exchanged), &plan.partition);
    let courses = courses(exchanged);
    let rises = |key: &SortKey| match courses.as_ref().and_then(|c| c.get(key.column)) {
        Some(Course::Constant) => true,
        Some(Course::Falls) => key.ascending,
        Some(Course::Rises) => !key.ascending,
        Some(Course::Anywhere) | None => false,
    };
    match smallest(&keys) {
        Some(key) if !plan.order.is_empty() && plan.order.iter().all(rises) => {
            RankStrategy::UpdateFast { primary_keys: key.iter().copied().collect() }
        }
        _ => RankStrategy::Retract,
    }
}

pub(super) fn sort_keys(order: &[OrderKey], columns: &Columns) -> Result<Vec<SortKey>> {
    let key = |k: &OrderKey| -> Result<SortKey> {
        let column = index_of(columns, &k.column)?;
        Ok(SortKey { column, ascending: k.ascending, nulls_last: k.nulls_last })
    };
    let keys: Vec<SortKey> = order.iter().map(key).collect::<Result<_>>()?;
    for key in &keys {
        let (name, t) = &columns[key.column];
        if matches!(t.kind, TypeKind::Variant | TypeKind::Bitmap) {
            return Err(Error::user(format!(
                "Type({t}) is not an orderable data type, it is not supported as a ORDER_BY/GROUP_BY/JOIN_EQUAL field."
            ))
            .hint("Order by a part of it that can be compared"));
        }
        if matches!(t.kind, TypeKind::Map(..) | TypeKind::Multiset(..)) {
            return Err(Error::user(format!("rows cannot be ordered by column '{name}' of type {t}"))
                .hint("Order by a part of it that can be compared"));
        }
    }
    Ok(keys)
}

impl Limits {
    /// Takes a condition that says which numbers stay; false where it says something else.
    fn take(&mut self, condition: &Expr, number: &str) -> bool {
        let Some((op, left, right)) = comparison(condition) else { return false };
        let is_number = |e: &Expr| matches!(e, Expr::Column(c) if c.name == number);
        let (op, bound) = match (is_number(left), is_number(right)) {
            (true, false) => (op, right),
            (false, true) => (op.swap().unwrap_or(op), left),
            _ => return false,
        };
        if let Expr::Column(c) = bound {
            if !matches!(op, Operator::LtEq | Operator::Eq) || self.end.is_some() || self.column.is_some() {
                return false;
            }
            self.column = Some(c.name.clone());
            return true;
        }
        let Some(value) = integer(bound) else { return false };
        let lower = |have: Option<i64>, v: i64| Some(have.map_or(v, |h| h.max(v)));
        let upper = |have: Option<i64>, v: i64| Some(have.map_or(v, |h| h.min(v)));
        match op {
            Operator::Lt => self.end = upper(self.end, value.saturating_sub(1)),
            Operator::LtEq => self.end = upper(self.end, value),
            Operator::Gt => self.start = lower(self.start, value.saturating_add(1)),
            Operator::GtEq => self.start = lower(self.start, value),
            Operator::Eq => (self.start, self.end) = (lower(self.start, value), upper(self.end, value)),
            _ => return false,
        }
        true
    }

    /// Whether the numbers that stay are known, and are some.
    fn are_constant(&self) -> bool {
        self.column.is_none() && self.end.is_some_and(|end| end >= self.start.unwrap_or(1).max(1))
    }

    /// Whether some condition was on the number.
    fn are_some(&self) -> bool {
        self.start.is_some() || self.end.is_some() || self.column.is_some()
    }

    fn range(&self, columns: &Columns) -> Result<RankRange> {
        if let Some(column) = &self.column {
            if self.start.is_some() || self.end.is_some() {
                return Err(Error::user("a rank that ends at a column starts at 1")
                    .hint("Compare the number with the column alone, or with constants"));
            }
            return Ok(RankRange::Variable { column: index_of(columns, column)? });
        }
        let Some(end) = self.end else {
            return Err(Error::user(
                "Rank end is not specified. Currently rank only support TopN, which means the rank end must be \
                 specified.",
            )
            .hint("Keep the first rows: WHERE rn <= 10"));
        };
        let start = self.start.unwrap_or(1).max(1);
        if end < 1 {
            return Err(Error::user(format!("Rank end should not less than zero, but now is {end}"))
                .hint("No row can pass this condition: numbers start at 1"));
        }
        if end < start {
            return Err(Error::user(format!(
                "Rank end can't smaller than rank start. The rank start is {start}, the rank end is {end}"
            ))
            .hint("No row can pass this condition"));
        }
        let of = |v: i64| u64::try_from(v).unwrap_or(1);
        Ok(RankRange::Constant { start: of(start), end: of(end) })
    }
}

/// A comparison, whatever made it, without the casts around its columns.
fn comparison(e: &Expr) -> Option<(Operator, &Expr, &Expr)> {
    let (op, left, right) = match unaliased(e) {
        Expr::BinaryExpr(b) => (b.op, b.left.as_ref(), b.right.as_ref()),
        Expr::ScalarFunction(f) => {
            let Shown::Operator(op) = Functions::shown(f)? else { return None };
            let op = match op {
                "=" => Operator::Eq,
                "<" => Operator::Lt,
                "<=" => Operator::LtEq,
                ">" => Operator::Gt,
                ">=" => Operator::GtEq,
                _ => return None,
            };
            let [left, right] = f.args.as_slice() else { return None };
            (op, left, right)
        }
        _ => return None,
    };
    Some((op, uncast(left), uncast(right)))
}

/// A column or a literal below a cast to another integer type.
fn uncast(e: &Expr) -> &Expr {
    match unaliased(e) {
        Expr::ScalarFunction(f) if matches!(Functions::shown(f), Some(Shown::Cast(..))) => match f.args.as_slice() {
            [inner @ (Expr::Column(_) | Expr::Literal(..))] => inner,
            _ => e,
        },
        other => other,
    }
}

/// The parts of a condition that AND holds together.
fn conjuncts(e: &Expr) -> Vec<&Expr> {
    match e {
        Expr::BinaryExpr(b) if b.op == Operator::And => {
            conjuncts(&b.left).into_iter().chain(conjuncts(&b.right)).collect()
        }
        other => vec![other],
    }
}
