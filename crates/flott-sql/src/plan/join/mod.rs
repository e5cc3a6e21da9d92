//! Joins: which operators they become.

pub(crate) mod explain;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion_common::DFSchemaRef;
use datafusion_expr::{Expr, LogicalPlan};
use flott_core::types::{TimeAttribute, TypeKind};
use flott_core::{Error, Result};
use flott_graph::{
    Changes, IntervalJoinSpec, JoinCondition, JoinInput, JoinKind, OperatorSpec, RegularJoinSpec, TemporalJoinSpec,
    UnnestSpec, WindowJoinSpec, WindowKind,
};

use super::changelog::{Key, ModifyKinds, UpdateKind, containing, unsent_keys, upsert_keys};
use super::convert::Converter;
use super::options;
use super::physical::physical_expr;
use super::program::column_uses;
use super::stream::{Columns, Distribution, StreamInput, StreamNode, StreamOp};
use super::window::index_of;
use crate::bind::join::{conjuncts, reads, together};
use crate::bind::node::{Join, JoinFlavour, Unnest};
use crate::bind::window::unaliased;
use crate::bind::{FlinkNode, Functions, Shown, Typed, UniqueNames, column, columns_of, plan_schema, project};

/// A row for each element of a collection of a row.
#[derive(Debug, Clone)]
pub(crate) struct UnnestOp {
    pub(crate) spec: UnnestSpec,
    /// Which elements are taken, for people.
    pub(crate) condition: Option<Expr>,
}

/// A join of two inputs. Its columns are those of the left, then those of the right, or of the left alone.
#[derive(Debug, Clone)]
pub(crate) struct JoinOp {
    pub(crate) kind: JoinKind,
    pub(crate) left_keys: Vec<usize>,
    pub(crate) right_keys: Vec<usize>,
    /// For each key whether NULL equals nothing.
    pub(crate) filter_nulls: Vec<bool>,
    /// What else must be true, over the columns of both inputs.
    pub(crate) rest: Option<Expr>,
    /// The whole condition, for people.
    pub(crate) shown: Option<Expr>,
    pub(crate) state_ttl: [Option<Duration>; 2],
    pub(crate) way: JoinWay,
    /// Rows without a partner are shown at the end (batch mode).
    pub(crate) final_only: bool,
}

/// Which rows can meet.
#[derive(Debug, Clone)]
pub(crate) enum JoinWay {
    /// All.
    Regular,
    /// Those near in time.
    Interval { attribute: TimeAttribute, left_time: usize, right_time: usize, left_lower_ms: i64, left_upper_ms: i64 },
    /// Those of one window: columns of its start and end.
    Window { left: (usize, usize), right: (usize, usize), time_zone: Option<String>, kind: WindowKind },
    /// A row and the version at its time.
    Temporal { left_time: usize, right_time: usize },
}

impl JoinOp {
    /// The operator of the graph, and its identity without sources and ordinal.
    pub(crate) fn spec(&self, node: &StreamNode) -> Result<(OperatorSpec, String)> {
        let [left, right] = node.inputs.as_slice() else { return Err(Error::internal("a join of one input")) };
        let pair = self.pair_schema(&node.inputs)?;
        let schema = |input: &StreamInput| Arc::new(input.node.schema.as_arrow().clone());
        let condition = JoinCondition {
            left_keys: self.left_keys.clone(),
            right_keys: self.right_keys.clone(),
            filter_nulls: self.filter_nulls.clone(),
            rest: self.rest.as_ref().map(|e| physical_expr(e, &pair)).transpose()?,
            left_schema: schema(left),
            right_schema: schema(right),
        };
        let names = |input: &StreamInput, keys: &[usize]| {
            let names: Vec<&str> = keys.iter().map(|k| input.node.schema.field(*k).name().as_str()).collect();
            names.join(",")
        };
        let keys = format!("[{}]=[{}]", names(left, &self.left_keys), names(right, &self.right_keys));
        let identity = format!("{}:{}:{keys}", self.name().to_lowercase(), self.kind.name());
        let kind = self.kind;
        let spec = match &self.way {
            JoinWay::Regular => {
                let input = |i: usize| {
                    let node = &node.inputs[i].node;
                    JoinInput {
                        unique_key: InputSpec::of(node, self.keys(i)).key(),
                        append_only: node.changelog.is_insert_only(),
                        state_ttl: self.state_ttl[i],
                    }
                };
                OperatorSpec::Join(RegularJoinSpec {
                    kind,
                    condition,
                    left: input(0),
                    right: input(1),
                    final_only: self.final_only,
                })
            }
            JoinWay::Interval { attribute, left_time, right_time, left_lower_ms, left_upper_ms } => {
                OperatorSpec::IntervalJoin(IntervalJoinSpec {
                    kind,
                    condition,
                    attribute: *attribute,
                    left_time: *left_time,
                    right_time: *right_time,
                    left_lower_ms: *left_lower_ms,
                    left_upper_ms: *left_upper_ms,
                })
            }
            JoinWay::Window { left, right, time_zone, .. } => OperatorSpec::WindowJoin(WindowJoinSpec {
                kind,
                condition,
                left_window_end: left.1,
                right_window_end: right.1,
                time_zone: time_zone.clone(),
            }),
            JoinWay::Temporal { left_time, right_time } => OperatorSpec::TemporalJoin(TemporalJoinSpec {
                kind,
                condition,
                left_time: *left_time,
                right_time: *right_time,
                state_ttl: self.state_ttl[1],
            }),
        };
        Ok((spec, identity))
    }

    /// The keys of an input.
    pub(crate) fn keys(&self, input: usize) -> &[usize] {
        if input == 0 { &self.left_keys } else { &self.right_keys }
    }

    /// The columns of both inputs; all may be NULL.
    pub(crate) fn pair_schema(&self, inputs: &[StreamInput]) -> Result<DFSchemaRef> {
        let mut columns: Columns = vec![];
        for input in inputs {
            columns.extend(columns_of(&input.node.schema)?);
        }
        columns.iter_mut().for_each(|c| c.1 = c.1.with_nullable(true));
        plan_schema(columns.iter().map(|(n, t)| (n.as_str(), t)))
    }

    /// Whether the rows of an input that an update replaces are told by the join's keys and more: the update alone says
    /// enough then.
    pub(crate) fn key_holds_join_keys(&self, input: usize, keys: &[Key]) -> bool {
        keys.iter().any(|key| self.keys(input).iter().all(|k| key.contains(k)))
    }
}

/// The unique key of an input of a join, as its state is organised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InputSpec {
    /// None is known.
    None,
    /// The join's key holds one: a key has one row.
    InJoinKey(Vec<usize>),
    /// One of its own.
    Own(Vec<usize>),
}

impl InputSpec {
    pub(crate) fn of(node: &StreamNode, keys: &[usize]) -> InputSpec {
        let mut unique = unsent_keys(node);
        // Rows that leave without a word (an update without the row before, a deletion by key) are known by a key that holds the
        // join's columns: of another key their place may be anywhere (a row that leaves a rank).
        let by_key = |node: &StreamNode| node.deletes_by_key || UpdateKind::of(node.changelog) == UpdateKind::OnlyAfter;
        if by_key(node) || matches!(node.op, StreamOp::Exchange(_)) && node.input().is_some_and(|below| by_key(below)) {
            unique = containing(&unique, keys);
        }
        if let Some(inside) = unique.iter().find(|u| u.iter().all(|c| keys.contains(c))) {
            return InputSpec::InJoinKey(inside.iter().copied().collect());
        }
        match super::changelog::smallest(&unique) {
            Some(key) => InputSpec::Own(key.iter().copied().collect()),
            None => InputSpec::None,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            InputSpec::None => "NoUniqueKey",
            InputSpec::InJoinKey(_) => "JoinKeyContainsUniqueKey",
            InputSpec::Own(_) => "HasUniqueKey",
        }
    }

    pub(crate) fn key(self) -> Option<Vec<usize>> {
        match self {
            InputSpec::None => None,
            InputSpec::InJoinKey(key) | InputSpec::Own(key) => Some(key),
        }
    }
}

/// The equality of two expressions, one of each input.
pub(crate) struct Equality {
    pub(crate) left: Expr,
    pub(crate) right: Expr,
    pub(crate) filter_nulls: bool,
}

impl Converter<'_> {
    /// The node of an UNNEST.
    pub(crate) fn unnest(&self, node: &FlinkNode, unnest: &Unnest) -> Result<Arc<StreamNode>> {
        let input = self.convert(&node.input)?;
        let (is_multiset, element) = match &unnest.collection.kind {
            TypeKind::Array(element) => (false, Some(element)),
            TypeKind::Multiset(element) => (true, Some(element)),
            _ => (false, None),
        };
        let spec = UnnestSpec {
            column: index_of(&columns_of(&input.schema)?, &unnest.column)?,
            outer: unnest.outer,
            with_ordinality: unnest.with_ordinality,
            is_multiset,
            is_row: element.is_some_and(|e| matches!(e.kind, TypeKind::Row(_))),
            condition: unnest.condition.as_ref().map(|c| physical_expr(c, &node.schema)).transpose()?,
        };
        let mode = input.changelog;
        let op = UnnestOp { spec, condition: unnest.condition.clone() };
        Ok(StreamNode::new(StreamOp::Unnest(op), vec![StreamInput::from(&input)], node.schema.clone(), mode))
    }

    /// The node of a join that gives at least the needed columns.
    pub(crate) fn join(&self, node: &FlinkNode, join: &Join, needed: &BTreeSet<String>) -> Result<Arc<StreamNode>> {
        if let JoinFlavour::Lookup { hint, search, .. } = &join.flavour {
            return self.lookup_join(node, join, hint, search.as_ref(), needed);
        }
        let Some(right) = &node.second else { return Err(Error::internal("a join of one input")) };
        let left = &node.input;
        let one_row = self.one_row(join, left, right)?;
        let right = one_row.as_ref().unwrap_or(right);
        let (mut equalities, mut rest) = (vec![], vec![]);
        for condition in join.condition.iter().flat_map(conjuncts) {
            match equality(&condition, left, right)? {
                Some(equality) => equalities.push(equality),
                None => rest.push(condition),
            }
        }
        let rest = together(rest);
        let mut names = UniqueNames::of(left.schema());
        right.schema().fields().iter().for_each(|f| {
            names.take(f.name());
        });
        let mut wanted: BTreeSet<String> = needed.clone();
        wanted.extend(rest.iter().flat_map(reads));
        wanted.extend(self.way_columns(join));
        let left_keys: Vec<Expr> = equalities.iter().map(|e| e.left.clone()).collect();
        let right_keys: Vec<Expr> = equalities.iter().map(|e| e.right.clone()).collect();
        let (left, left_keys) = self.join_input(left, &wanted, &left_keys, &mut names)?;
        let (right, right_keys) = self.join_input(right, &wanted, &right_keys, &mut names)?;
        let (of_left, of_right) = (columns_of(&left.schema)?, columns_of(&right.schema)?);
        let way = self.way(join, &of_left, &of_right)?;
        if let JoinWay::Temporal { .. } = way {
            self.check_versions(&right, &right_keys, &node.second)?;
        }
        let mut columns = of_left;
        if join.kind.pads_right_rows() {
            columns.iter_mut().for_each(|c| c.1 = c.1.with_nullable(true));
        }
        if !join.kind.is_semi_or_anti() {
            let nullable = join.kind.pads_left_rows();
            columns.extend(of_right.into_iter().map(|(n, t)| (n, if nullable { t.with_nullable(true) } else { t })));
        }
        let schema = plan_schema(columns.iter().map(|(n, t)| (n.as_str(), t)))?;
        let default = options::state_ttl(self.config)?.filter(|d| !d.is_zero());
        let op = JoinOp {
            kind: join.kind,
            left_keys: left_keys.clone(),
            right_keys: right_keys.clone(),
            filter_nulls: equalities.iter().map(|e| e.filter_nulls).collect(),
            rest,
            shown: join.shown.clone(),
            state_ttl: join.state_ttl.map(|own| own.map_or(default, |d| Some(d).filter(|d| !d.is_zero()))),
            way,
            final_only: options::changes(self.config)? == Changes::Final,
        };
        let kinds = [&left, &right].map(|n| ModifyKinds::of(n.changelog));
        let produced = super::changelog::joined_kinds(&op, &kinds);
        let inputs = vec![exchanged(&left, left_keys), exchanged(&right, right_keys)];
        Ok(StreamNode::new(StreamOp::Join(op), inputs, schema, produced.mode(UpdateKind::BeforeAndAfter)))
    }

    /// Columns that the way of a join reads.
    fn way_columns(&self, join: &Join) -> Vec<String> {
        match &join.flavour {
            JoinFlavour::Unsettled | JoinFlavour::Regular | JoinFlavour::Lookup { .. } => vec![],
            JoinFlavour::Interval(b) => vec![b.left_time.clone(), b.right_time.clone()],
            JoinFlavour::Window { left_start, left_end, right_start, right_end, .. } => {
                vec![left_start.clone(), left_end.clone(), right_start.clone(), right_end.clone()]
            }
            JoinFlavour::Temporal { left_time, right_time, .. } => vec![left_time.clone(), right_time.clone()],
        }
    }

    fn way(&self, join: &Join, left: &Columns, right: &Columns) -> Result<JoinWay> {
        Ok(match &join.flavour {
            JoinFlavour::Unsettled => return Err(Error::internal("a join that was not decided")),
            JoinFlavour::Lookup { .. } => return Err(Error::internal("a lookup join has one input")),
            JoinFlavour::Regular => JoinWay::Regular,
            JoinFlavour::Interval(b) => JoinWay::Interval {
                attribute: b.attribute,
                left_time: index_of(left, &b.left_time)?,
                right_time: index_of(right, &b.right_time)?,
                left_lower_ms: b.left_lower_ms,
                left_upper_ms: b.left_upper_ms,
            },
            JoinFlavour::Window { function, left_start, left_end, right_start, right_end } => JoinWay::Window {
                left: (index_of(left, left_start)?, index_of(left, left_end)?),
                right: (index_of(right, right_start)?, index_of(right, right_end)?),
                time_zone: function.time_zone.clone(),
                kind: function.kind.clone(),
            },
            JoinFlavour::Temporal { left_time, right_time, .. } => {
                JoinWay::Temporal { left_time: index_of(left, left_time)?, right_time: index_of(right, right_time)? }
            }
        })
    }

    /// An input with only the wanted columns, and where its keys are; those that are no columns are computed.
    pub(crate) fn join_input(
        &self,
        plan: &LogicalPlan,
        wanted: &BTreeSet<String>,
        keys: &[Expr],
        names: &mut UniqueNames,
    ) -> Result<(Arc<StreamNode>, Vec<usize>)> {
        let all = columns_of(plan.schema())?;
        let is_key = |name: &String| keys.iter().any(|k| matches!(unaliased(k), Expr::Column(c) if c.name == *name));
        let mut kept: Vec<(String, Typed)> = all
            .iter()
            .filter(|(name, _)| wanted.contains(name) || is_key(name))
            .map(|(name, t)| (name.clone(), Typed { expr: column(name), data_type: t.clone() }))
            .collect();
        // A table whose columns nobody wants still has rows.
        if kept.is_empty()
            && keys.is_empty()
            && let Some((name, t)) = all.first()
        {
            kept.push((name.clone(), Typed { expr: column(name), data_type: t.clone() }));
        }
        let mut places = vec![];
        for key in keys {
            let name = match unaliased(key) {
                Expr::Column(c) => c.name.clone(),
                other => {
                    let known = kept.iter().find(|(_, v)| v.expr == *other).map(|(n, _)| n.clone());
                    match known {
                        Some(name) => name,
                        None => {
                            let name = names.take(&format!("$f{}", kept.len()));
                            kept.push((name.clone(), typed(other, plan)?));
                            name
                        }
                    }
                }
            };
            places.push(kept.iter().position(|k| k.0 == name).ok_or_else(|| Error::internal("a join key is missing"))?);
        }
        let same = kept.len() == all.len() && kept.iter().zip(&all).all(|(k, a)| k.0 == a.0);
        let node = if same { self.convert(plan)? } else { self.convert(&project(plan.clone(), kept)?)? };
        Ok((node, places))
    }
}

/// The type of an expression over a plan.
fn typed(e: &Expr, plan: &LogicalPlan) -> Result<Typed> {
    use datafusion_expr::ExprSchemable;
    let (_, field) = e.to_field(plan.schema()).map_err(crate::bind::from_datafusion)?;
    let data_type = flott_core::types::from_arrow_field(&field)
        .ok_or_else(|| Error::internal(format!("a join key has the type {}", field.data_type())))?;
    Ok(Typed { expr: e.clone(), data_type })
}

/// A condition as an equality of two values, one of each input.
pub(crate) fn equality(e: &Expr, left: &LogicalPlan, right: &LogicalPlan) -> Result<Option<Equality>> {
    let Expr::ScalarFunction(f) = unaliased(e) else { return Ok(None) };
    let filter_nulls = match Functions::shown(f) {
        Some(Shown::Operator("=")) => true,
        Some(Shown::Operator("IS NOT DISTINCT FROM")) => false,
        _ => return Ok(None),
    };
    let [a, b] = f.args.as_slice() else { return Ok(None) };
    let only = |e: &Expr, plan: &LogicalPlan| {
        let uses = column_uses(e);
        !uses.is_empty() && uses.keys().all(|c| plan.schema().index_of_column_by_name(None, c).is_some())
    };
    let (l, r) = if only(a, left) && only(b, right) {
        (a, b)
    } else if only(a, right) && only(b, left) {
        (b, a)
    } else {
        return Ok(None);
    };
    let types = [typed(l, left)?, typed(r, right)?].map(|t| flott_core::types::arrow_type(&t.data_type));
    // Values of different forms have different hashes; they are compared pair by pair.
    if types[0] != types[1] || e.is_volatile() || !can_be_key(&types[0]) {
        return Ok(None);
    }
    Ok(Some(Equality { left: l.clone(), right: r.clone(), filter_nulls }))
}

fn can_be_key(t: &arrow_schema::DataType) -> bool {
    !matches!(t, arrow_schema::DataType::Map(..) | arrow_schema::DataType::Null)
}

pub(crate) fn exchanged(node: &Arc<StreamNode>, keys: Vec<usize>) -> StreamInput {
    let distribution = if keys.is_empty() { Distribution::Single } else { Distribution::Hash(keys) };
    let exchange = StreamNode::new(
        StreamOp::Exchange(distribution),
        vec![StreamInput::from(node)],
        node.schema.clone(),
        node.changelog,
    );
    StreamInput::from(&exchange)
}

impl Converter<'_> {
    /// The table with the versions has a primary key, and the join asks for it.
    fn check_versions(&self, right: &Arc<StreamNode>, keys: &[usize], plan: &Option<LogicalPlan>) -> Result<()> {
        let unique = upsert_keys(right);
        if unique.iter().any(|key| key.iter().all(|c| keys.contains(c))) {
            return Ok(());
        }
        // A key that the query does not read is one all the same.
        let whole = match plan {
            Some(plan) if unique.is_empty() => self.convert(plan)?,
            _ => right.clone(),
        };
        let names = |node: &StreamNode, columns: &mut dyn Iterator<Item = usize>| {
            let names: Vec<&str> = columns.map(|c| node.schema.field(c).name().as_str()).collect();
            names.join(", ")
        };
        let Some(key) = upsert_keys(&whole).into_iter().next() else {
            return Err(Error::user(format!(
                "Event-Time Temporal Table Join requires both primary key and row time attribute in versioned table, but \
                 no primary key can be found. The physical plan is:\n{}",
                super::explain::describe(right)
            ))
            .hint("Declare PRIMARY KEY (..) NOT ENFORCED, or use a view that keeps the last row of each key"));
        };
        Err(Error::user(format!(
            "Temporal table's primary key [{}] must be included in the equivalence condition of temporal join, but current \
             temporal join condition is [{}].",
            names(&whole, &mut key.iter().copied()),
            names(right, &mut keys.iter().copied())
        ))
        .hint("Compare all columns of the primary key with ="))
    }
}
