//! Lookup joins: which columns are the key, what is asked before and after, and how many lookups are under way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion_common::{DFSchemaRef, ScalarValue};
use datafusion_expr::{Expr, LogicalPlan};
use flott_connector::factory::{TableContext, TableLookup};
use flott_connector::lookup::LookupPolicy;
use flott_connector::table::ColumnKind;
use flott_core::types::arrow_schema;
use flott_core::{Error, LogicalType, Result};
use flott_graph::{AsyncLookup, JoinKind, LookupJoinSpec, LookupKey, LookupRetry, OperatorSpec};

use super::changelog::{ChangelogRule, DeleteKind, InputKeys, Key, RuleInput, UpdateKind, Way, smallest, upsert_keys};
use super::convert::Converter;
use super::join::{Equality, equality, exchanged};
use super::options;
use super::physical::physical_expr;
use super::program::{Base, Program, and, column_uses};
use super::sink::summary;
use super::stream::{Columns, StreamInput, StreamNode, StreamOp};
use super::text::{Style, expression};
use crate::bind::join::{comparison, conjuncts, reads, together};
use crate::bind::node::{Join, LookupHint, Search};
use crate::bind::window::unaliased;
use crate::bind::{FlinkNode, ScanTable, UniqueNames, column, columns_of, plan_schema};

/// A column of the table's key, and what it must equal.
#[derive(Debug, Clone)]
struct Wanted {
    column: String,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    /// A column of the input.
    Input(usize),
    /// A literal.
    Constant(Expr),
}

/// A join with a table outside. Its columns are the input's, then the table's.
#[derive(Clone)]
pub(crate) struct LookupJoinOp {
    kind: JoinKind,
    table: Arc<ScanTable>,
    lookup: TableLookup,
    policy: LookupPolicy,
    keys: Vec<Wanted>,
    pre_filter: Option<Expr>,
    projection: Vec<Expr>,
    filter: Option<Expr>,
    rest: Option<Expr>,
    /// The columns that the lookup gives.
    scanned: DFSchemaRef,
    /// The right columns; all may be NULL.
    right: DFSchemaRef,
    asynchronous: Option<AsyncLookup>,
    retry: Option<LookupRetry>,
    shuffle: bool,
    materialize: Option<Vec<usize>>,
    state_ttl: Option<Duration>,
    /// A key has one row at most.
    is_unique: bool,
    /// The key is near to what is asked for.
    search: Option<Box<Search>>,
}

impl std::fmt::Debug for LookupJoinOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LookupJoin({}, {:?})", self.table.identifier, self.keys)
    }
}

impl LookupJoinOp {
    /// Whether it searches for what is near.
    pub(crate) fn searches(&self) -> bool {
        self.search.is_some()
    }

    /// The operator of the graph, and its identity without sources and ordinal.
    pub(crate) fn spec(&self, node: &StreamNode) -> Result<(OperatorSpec, String)> {
        let input = node.input().ok_or_else(|| Error::internal("a lookup join without input"))?;
        let left = &input.schema;
        let key_schema = self.lookup.source.key_schema();
        let mut keys = vec![];
        for (key, field) in self.keys.iter().zip(key_schema.fields()) {
            keys.push(match &key.value {
                Value::Input(i) => LookupKey::Column(*i),
                Value::Constant(e) => {
                    let Expr::Literal(value, _) = unaliased(e) else {
                        return Err(Error::internal("a constant key that is no literal"));
                    };
                    let value: &ScalarValue = value;
                    let array = value.to_array().map_err(crate::bind::from_datafusion)?;
                    if array.data_type() != field.data_type() {
                        return Err(Error::internal("a constant key of another type"));
                    }
                    LookupKey::Constant(array)
                }
            });
        }
        let pair = self.pair(left)?;
        let spec = LookupJoinSpec {
            kind: self.kind,
            table: self.table.identifier.clone(),
            source: self.lookup.source.clone(),
            policy: self.policy.clone(),
            keys,
            pre_filter: self.pre_filter.as_ref().map(|e| physical_expr(e, left)).transpose()?,
            projection: self.projection.iter().map(|e| physical_expr(e, &self.scanned)).collect::<Result<_>>()?,
            filter: self.filter.as_ref().map(|e| physical_expr(e, &self.scanned)).transpose()?,
            rest: self.rest.as_ref().map(|e| physical_expr(e, &pair)).transpose()?,
            left_schema: Arc::new(left.as_arrow().clone()),
            right_schema: Arc::new(self.right.as_arrow().clone()),
            asynchronous: self.asynchronous,
            retry: self.retry,
            materialize: self.materialize.clone(),
            state_ttl: self.state_ttl,
        };
        let columns: Vec<&str> = self.keys.iter().map(|k| k.column.as_str()).collect();
        let kind = if self.search.is_some() { "vector-search" } else { "lookup-join" };
        let identity = format!("{kind}:{}:[{}]", summary(&self.table.identifier), columns.join(","));
        Ok((OperatorSpec::LookupJoin(spec), identity))
    }

    fn pair(&self, left: &DFSchemaRef) -> Result<DFSchemaRef> {
        let mut columns: Columns = columns_of(left)?;
        columns.extend(columns_of(&self.right)?);
        columns.iter_mut().for_each(|c| c.1 = c.1.with_nullable(true));
        plan_schema(columns.iter().map(|(n, t)| (n.as_str(), t)))
    }

    /// The operator as Flink's plans print it.
    pub(in crate::plan) fn text(&self, kind: &str, node: &StreamNode, style: Style) -> String {
        let Some(input) = node.input() else { return kind.to_string() };
        let keys = self.keys.iter().map(|key| match &key.value {
            Value::Input(i) => format!("{}={}", key.column, input.schema.field(*i).name()),
            Value::Constant(e) => format!("{}={}", key.column, expression(e, &input.schema, Style::Prefix)),
        });
        let mut parts =
            vec![format!("table=[{}]", summary(&self.table.identifier)), format!("joinType=[{}]", self.kind.name())];
        match &self.search {
            Some(search) => parts.extend([
                format!("columnToSearch=[{}]", search.of.column),
                format!("columnToQuery=[{}]", search.query),
                format!("topK=[{}]", search.of.top_k),
            ]),
            None => parts.push(format!("lookup=[{}]", keys.collect::<Vec<_>>().join(", "))),
        }
        if let Some(filter) = &self.filter {
            parts.push(format!("where=[{}]", expression(filter, &self.scanned, style)));
        }
        let pair = self.pair(&input.schema).ok();
        let pair = pair.as_ref().unwrap_or(&node.schema);
        let conditions = self.pre_filter.iter().chain(&self.rest).cloned();
        if let Some(condition) = together(conditions) {
            parts.push(format!("joinCondition=[{}]", expression(&condition, pair, style)));
        }
        let mut select: Vec<String> = input.schema.fields().iter().map(|f| f.name().clone()).collect();
        for (e, f) in self.projection.iter().zip(self.right.fields()) {
            select.push(match unaliased(e) {
                Expr::Column(_) => f.name().clone(),
                e => format!("{} AS {}", expression(e, &self.scanned, style), f.name()),
            });
        }
        parts.push(format!("select=[{}]", select.join(", ")));
        if self.materialize.is_some() {
            parts.push("upsertMaterialize=[true]".to_string());
        }
        if let Some(a) = &self.asynchronous {
            let mode = if a.ordered { "ORDERED" } else { "UNORDERED" };
            parts.push(format!("async=[{mode}, {}ms, {}]", a.timeout.as_millis(), a.capacity));
        }
        if self.shuffle {
            parts.push("shuffle=[true]".to_string());
        }
        if let Some(r) = &self.retry {
            let delay = r.delay.as_millis();
            parts.push(format!("retry=[lookup_miss, FIXED_DELAY, {delay}ms, {}]", r.attempts_max));
        }
        format!("{kind}({})", parts.join(", "))
    }
}

/// Changes are those of the input.
impl ChangelogRule for LookupJoinOp {
    fn updates(&self, required: UpdateKind, input: &RuleInput<'_>) -> Way<UpdateKind> {
        // A row that takes the place of one that was found, and is not found itself, would leave the other there.
        let can_leave = self.pre_filter.is_some() || self.rest.is_some() || self.filter.is_some();
        let changes = required == UpdateKind::OnlyAfter && input.kinds.update;
        if changes && can_leave && self.kind == JoinKind::Inner { Way::Impossible } else { Way::Pass }
    }

    fn deletes(&self, _required: DeleteKind, _input: &RuleInput<'_>) -> Way<DeleteKind> {
        Way::Make(DeleteKind::Full)
    }

    fn upsert_keys(&self, _node: &StreamNode, inputs: &[InputKeys]) -> Vec<Key> {
        if self.is_unique { inputs.first().map(|i| i.keys.clone()).unwrap_or_default() } else { vec![] }
    }
}

/// What the conditions of a join say.
#[derive(Default)]
struct Conditions {
    /// Columns of the table, and the input's value that they must equal.
    equal: Vec<(String, Expr)>,
    constant: Vec<(String, Expr)>,
    of_left: Vec<Expr>,
    of_right: Vec<Expr>,
    rest: Vec<Expr>,
}

impl Converter<'_> {
    /// The node of a lookup join that gives at least the needed columns.
    pub(crate) fn lookup_join(
        &self,
        node: &FlinkNode,
        join: &Join,
        hint: &LookupHint,
        search: Option<&Search>,
        needed: &BTreeSet<String>,
    ) -> Result<Arc<StreamNode>> {
        let Some(right) = &node.second else { return Err(Error::internal("a join of one input")) };
        let program = self.program(right)?;
        let Base::Scan { table, .. } = &program.base else {
            return Err(Error::user("Processing-time temporal join is not supported yet.").hint(
                "FOR SYSTEM_TIME AS OF a processing time takes a table of a connector with lookups, or a view that \
                 projects and filters one",
            ));
        };
        let table = table.clone();
        let conditions = match search {
            Some(search) => searched(node, join, search),
            None => conditions(node, join, &program)?,
        };
        let has_key = !conditions.equal.is_empty() || !conditions.constant.is_empty();
        if !has_key {
            return Err(Error::user(format!(
                "Temporal table join requires an equality condition on fields of table [{}].",
                summary(&table.identifier)
            ))
            .hint(
                "Compare a column of the table, as it is, with = in ON: where the types differ, CAST the other side to the \
                 column's type",
            ));
        }
        let Conditions { mut equal, constant, of_left, of_right, rest } = conditions;
        let mut wanted: BTreeSet<String> = needed.clone();
        wanted.extend(rest.iter().chain(&of_left).flat_map(reads));
        let place = |name: &String| table.schema.index_of(name).unwrap_or(usize::MAX);
        equal.sort_by_key(|(name, _)| place(name));
        let mut names = UniqueNames::of(node.input.schema());
        right.schema().fields().iter().for_each(|f| {
            names.take(f.name());
        });
        let key_exprs: Vec<Expr> = equal.iter().map(|(_, e)| e.clone()).collect();
        let (left, places) = self.join_input(&node.input, &wanted, &key_exprs, &mut names)?;
        let mut keys: Vec<Wanted> = equal
            .iter()
            .zip(&places)
            .map(|((column, _), place)| Wanted { column: column.clone(), value: Value::Input(*place) })
            .chain(constant.iter().map(|(c, e)| Wanted { column: c.clone(), value: Value::Constant(e.clone()) }))
            .collect();
        keys.sort_by_key(|key| place(&key.column));
        // The right columns: those that are read, and the key.
        let is_key = |e: &Expr| matches!(unaliased(e), Expr::Column(c) if equal.iter().any(|k| k.0 == c.name));
        let mut right_columns: Vec<(String, LogicalType, Expr)> = vec![];
        for ((name, t), e) in columns_of(&program.schema)?.into_iter().zip(&program.projection) {
            if wanted.contains(&name) || is_key(e) {
                right_columns.push((name, t.with_nullable(true), e.clone()));
            }
        }
        let filter = of_right.iter().map(|e| program.inline(e)).collect::<Result<Vec<_>>>()?;
        let filter = and(program.filter.clone(), together(filter));
        let projection: Vec<Expr> = right_columns.iter().map(|c| c.2.clone()).collect();
        let names: Vec<String> = keys.iter().map(|k| k.column.clone()).collect();
        let (lookup, scanned) = self.table_lookup(&table, &program, &projection, filter.as_ref(), &names, search)?;
        let right_schema = plan_schema(right_columns.iter().map(|(n, t, _)| (n.as_str(), t)))?;
        let mut output = columns_of(&left.schema)?;
        for (name, t) in columns_of(right.schema())? {
            if right_columns.iter().any(|c| c.0 == name) {
                output.push((name, if join.kind == JoinKind::Left { t.with_nullable(true) } else { t }));
            }
        }
        let schema = plan_schema(output.iter().map(|(n, t)| (n.as_str(), t)))?;
        let changes = !left.changelog.is_insert_only();
        let resolves = changes && options::resolves_non_deterministic_updates(self.config)?;
        let materialize = resolves.then(|| {
            let keys = upsert_keys(&left);
            smallest(&keys)
                .map_or((0..left.schema.fields().len()).collect(), |key| key.iter().copied().collect::<Vec<_>>())
        });
        let primary_key = table.table.schema.primary_key.as_ref().map(|k| k.columns.clone());
        let is_unique = search.is_none() && primary_key.is_some_and(|key| key.iter().all(|c| names.contains(c)));
        let asynchronous = match lookup.is_async && hint.is_async != Some(false) && materialize.is_none() {
            true => Some(self.async_lookup(hint, changes)?),
            false => None,
        };
        let policy =
            LookupPolicy::from_options(&table.table.options).map_err(|e| e.with("table", &table.identifier.object))?;
        if policy.full.is_some() && !lookup.source.scans() {
            return Err(Error::user("'lookup.cache' = 'FULL' needs a connector that reads whole tables for lookups")
                .with("table", &table.identifier.object)
                .with("option", flott_connector::lookup::CACHE.key)
                .hint("Use 'PARTIAL' or 'NONE'"));
        }
        let op = LookupJoinOp {
            kind: join.kind,
            policy,
            table,
            lookup,
            keys,
            pre_filter: together(of_left),
            projection,
            filter,
            rest: together(rest),
            scanned,
            right: right_schema,
            asynchronous,
            retry: hint.retry.map(|(delay, attempts_max)| LookupRetry { delay, attempts_max }),
            shuffle: hint.shuffle && materialize.is_none(),
            materialize: materialize.clone(),
            state_ttl: options::state_ttl(self.config)?,
            is_unique,
            search: search.cloned().map(Box::new),
        };
        let mode = left.changelog;
        let input = match &materialize {
            Some(key) => exchanged(&left, key.clone()),
            None if op.shuffle && !places.is_empty() => exchanged(&left, places),
            None => StreamInput::from(&left),
        };
        Ok(StreamNode::new(StreamOp::LookupJoin(op), vec![input], schema, mode))
    }

    fn async_lookup(&self, hint: &LookupHint, changes: bool) -> Result<AsyncLookup> {
        let unordered = match hint.allow_unordered {
            Some(unordered) => unordered,
            None => options::lookups_may_overtake(self.config)?,
        };
        Ok(AsyncLookup {
            // Changes of one row must not overtake each other.
            ordered: changes || !unordered,
            insert_only: !changes,
            capacity: match hint.capacity {
                Some(capacity) => capacity,
                None => options::lookup_capacity(self.config)?,
            },
            timeout: match hint.timeout {
                Some(timeout) => timeout,
                None => options::lookup_timeout(self.config)?,
            },
        })
    }

    /// The connector's lookups of the columns that are read, and those columns.
    fn table_lookup(
        &self,
        table: &ScanTable,
        program: &Program<'_>,
        projection: &[Expr],
        filter: Option<&Expr>,
        keys: &[String],
        search: Option<&Search>,
    ) -> Result<(TableLookup, DFSchemaRef)> {
        let connector = table.table.options.get("connector").unwrap_or_default();
        let factory = self.registry.connector(connector)?;
        let uses: BTreeSet<String> = projection.iter().chain(filter).flat_map(|e| column_uses(e).into_keys()).collect();
        let is_physical = |name: &str| table.table.schema.column(name).is_some_and(|c| c.kind == ColumnKind::Physical);
        let prunes = factory.supports_projection();
        let mut read: Vec<(String, LogicalType)> = columns_of(&program.base_schema)?
            .into_iter()
            .filter(|(name, _)| uses.contains(name) || (!prunes && is_physical(name)))
            .collect();
        read.sort_by_key(|(name, _)| !is_physical(name));
        let key_of = |name: &str| table.table.schema.column(name).and_then(|c| c.metadata_key()).map(str::to_string);
        let produced: Vec<(String, LogicalType)> =
            read.iter().map(|(name, t)| (key_of(name).unwrap_or_else(|| name.clone()), t.clone())).collect();
        let context = TableContext {
            identifier: table.identifier.clone(),
            table: table.table.clone(),
            schema: arrow_schema(produced.iter().map(|(n, t)| (n.as_str(), t))),
            metadata_keys: read.iter().filter_map(|(name, _)| key_of(name)).collect(),
            config: self.config.clone(),
            base_dir: self.base_dir.clone(),
            registry: self.registry.clone(),
            fail_points: self.fail_points.clone(),
        };
        let offered = match search {
            Some(search) => factory.vector_search(&context, &search.of),
            None => factory.lookup(&context, keys),
        };
        let Some(lookup) = offered else {
            if search.is_some() {
                return Err(Error::user(format!("the connector '{connector}' does not search vectors"))
                    .with("table", &table.identifier.object)
                    .hint("VECTOR_SEARCH needs a table of a connector that does"));
            }
            return Err(Error::user("Processing-time temporal join is not supported yet.")
                .with("table", &table.identifier.object)
                .hint(format!(
                    "The connector '{connector}' has no lookups: join the table without FOR SYSTEM_TIME AS OF"
                )));
        };
        let lookup = lookup.map_err(|e| e.with("table", &table.identifier.object))?;
        Ok((lookup, plan_schema(read.iter().map(|(n, t)| (n.as_str(), t)))?))
    }
}

/// The key is the vector alone: what else a condition says is asked of the rows that were found.
fn searched(node: &FlinkNode, join: &Join, search: &Search) -> Conditions {
    let mut all =
        Conditions { equal: vec![(search.of.column.clone(), column(&search.query))], ..Conditions::default() };
    let of = |plan: &LogicalPlan, e: &Expr| {
        reads(e).iter().any(|c| plan.schema().index_of_column_by_name(None, c).is_some())
    };
    for condition in join.condition.iter().flat_map(conjuncts) {
        let right = node.second.as_ref().is_some_and(|right| of(right, &condition));
        match (of(&node.input, &condition), right) {
            (true, false) => all.of_left.push(condition),
            (false, true) => all.of_right.push(condition),
            _ => all.rest.push(condition),
        }
    }
    all
}

/// What the parts of a join's condition speak of.
fn conditions(node: &FlinkNode, join: &Join, program: &Program<'_>) -> Result<Conditions> {
    let Some(right) = &node.second else { return Err(Error::internal("a join of one input")) };
    let left = &node.input;
    let mut all = Conditions::default();
    let physical = |e: &Expr| -> Result<Option<String>> {
        let Expr::Column(c) = unaliased(e) else { return Ok(None) };
        let of_table = match program.inline(&column(&c.name))? {
            Expr::Column(c) => c.name,
            _ => return Ok(None),
        };
        let Base::Scan { table, .. } = &program.base else { return Ok(None) };
        let found = table.table.schema.column(&of_table).filter(|c| c.kind == ColumnKind::Physical);
        Ok(found.map(|_| of_table))
    };
    for condition in join.condition.iter().flat_map(conjuncts) {
        let known = |name: &String, all: &Conditions| all.equal.iter().chain(&all.constant).any(|k| k.0 == *name);
        if let Some(Equality { left, right, filter_nulls: true }) = equality(&condition, left, right)?
            && let Some(name) = physical(&right)?
            && !known(&name, &all)
        {
            all.equal.push((name, left));
            continue;
        }
        let read = reads(&condition);
        let of = |schema: &DFSchemaRef| read.iter().any(|c| schema.index_of_column_by_name(None, c).is_some());
        match (of(left.schema()), of(right.schema())) {
            (true, false) => all.of_left.push(condition),
            (false, true) => match constant(&condition, &physical, program)? {
                Some((name, e)) if !known(&name, &all) => all.constant.push((name, e)),
                _ => all.of_right.push(condition),
            },
            _ => all.rest.push(condition),
        }
    }
    Ok(all)
}

/// `column = literal`, both of one type.
fn constant(
    condition: &Expr,
    physical: &dyn Fn(&Expr) -> Result<Option<String>>,
    program: &Program<'_>,
) -> Result<Option<(String, Expr)>> {
    let Some(("=", a, b)) = comparison(condition) else { return Ok(None) };
    let literal = |e: &Expr| matches!(unaliased(e), Expr::Literal(v, _) if !v.is_null());
    let (side, value) = match (literal(a), literal(b)) {
        (false, true) => (a, b),
        (true, false) => (b, a),
        _ => return Ok(None),
    };
    let (Some(name), Expr::Literal(v, _)) = (physical(side)?, unaliased(value)) else { return Ok(None) };
    let columns = columns_of(&program.base_schema)?;
    let same = columns.iter().any(|(n, t)| *n == name && flott_core::types::arrow_type(t) == v.data_type());
    Ok(same.then(|| (name, unaliased(value).clone())))
}
