//! DISTINCT aggregates over two levels (`table.optimizer.distinct-agg.split.enabled`): each group is aggregated in buckets
//! of the distinct value first, and then the buckets' results are, so that one large group is not the work of one subtask.
//!
//! As Flink's `SplitAggregateRule`: aggregates that look at single values (DISTINCT, MIN, MAX, FIRST_VALUE, LAST_VALUE)
//! are put into buckets by their argument. Where they have several arguments each row is there once for each of them
//! (`Expand`), and a filter tells which copy an aggregate reads. The second level reads a changelog.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, Operator};
use flott_core::types::TypeKind;
use flott_core::{LogicalType, Result};
use flott_function::AggregateKind;
use flott_graph::{AggregateCall, ExpandSpec, GroupAggregateSpec, SplitLevel};

use super::changelog::{ModifyKinds, UpdateKind};
use super::convert::Converter;
use super::meaning;
use super::stream::{Calc, Columns, StreamInput, StreamNode, StreamOp};
use super::window::exchange;
use crate::bind::node::EXPAND_ID;
use crate::bind::window::unaliased;
use crate::bind::{Typed, UniqueNames, column, columns_of, expand_id_of, plan_schema};

/// The argument by which an aggregate is put into buckets, where it is.
fn bucket_of(call: &AggregateCall, spec: &GroupAggregateSpec) -> Option<usize> {
    use AggregateKind::{FirstValue, LastValue, Max, Min};
    let looks_at_values = call.distinct || matches!(call.kind, Min | Max | FirstValue | LastValue);
    call.arguments.first().copied().filter(|a| looks_at_values && !spec.group_keys.contains(a))
}

/// Where a column stands below a projection that only puts all columns of its input into another order: Flink's
/// aggregation reads those as they are.
fn place_of(node: &StreamNode, column: usize) -> usize {
    let (StreamOp::Calc(calc), [below]) = (&node.op, node.inputs.as_slice()) else { return column };
    let below = &below.node;
    let all = match &below.op {
        StreamOp::Scan(scan) => scan.table.schema.fields().len(),
        _ => below.schema.fields().len(),
    };
    let picks: Option<Vec<usize>> = calc
        .projection
        .iter()
        .map(|e| match unaliased(e) {
            Expr::Column(c) => below.schema.index_of_column_by_name(None, &c.name),
            _ => None,
        })
        .collect();
    match picks {
        Some(picks) if picks.len() == all => picks.get(column).map_or(column, |c| place_of(below, *c)),
        _ => column,
    }
}

/// What makes the result of an aggregate from those of its buckets.
fn of_buckets(kind: AggregateKind) -> Option<AggregateKind> {
    use AggregateKind::{Count, FirstValue, LastValue, ListAgg, Max, Min, Sum, Sum0};
    match kind {
        Count | Sum0 => Some(Sum0),
        Sum | Min | Max | FirstValue | LastValue | ListAgg => Some(kind),
        _ => None,
    }
}

/// `$f3`, or with a number that makes it unique, as Flink names columns.
fn take(names: &mut UniqueNames, place: usize) -> String {
    let wanted = format!("$f{place}");
    if names.is_free(&wanted) { names.take(&wanted) } else { names.take(&format!("{wanted}_")) }
}

impl Converter<'_> {
    /// The two levels of an aggregation; `None` where it cannot be split. `spec` is that of one level over `input`.
    pub(super) fn split_distinct(
        &self,
        input: &Arc<StreamNode>,
        spec: &GroupAggregateSpec,
        schema: &datafusion_common::DFSchemaRef,
        buckets: i32,
    ) -> Result<Option<Arc<StreamNode>>> {
        let calls = &spec.aggregates;
        // In the order that the columns have below; a key tells its rows apart already.
        let mut bucketed: Vec<usize> = calls.iter().filter_map(|c| bucket_of(c, spec)).collect();
        bucketed.sort_by_key(|a| (place_of(input, *a), *a));
        bucketed.dedup();
        let distinct: BTreeSet<usize> =
            calls.iter().filter(|c| c.distinct).flat_map(|c| c.arguments.iter().copied()).collect();
        let filtered = calls.iter().any(|c| c.distinct && c.filter.is_some());
        let has_rest = calls.iter().any(|c| bucket_of(c, spec).is_none());
        // One over a group key has its value in every bucket, and counts it once.
        let of_keys = calls.iter().any(|c| c.distinct && bucket_of(c, spec).is_none());
        let copies = (bucketed.len() > 1 || distinct.len() > 1 || filtered || of_keys)
            && bucketed.len() + usize::from(has_rest) > 1;
        // A row's copies come one by one: before the last of them a result may be NULL.
        // The second level sees the results of the first, and knows no separator of theirs.
        let is_simple = |c: &AggregateCall| c.kind != AggregateKind::ListAgg || c.arguments.len() == 1;
        let fits = |c: &AggregateCall| {
            is_simple(c)
                && of_buckets(c.kind).is_some_and(|of| of == AggregateKind::Sum0 || !copies || c.result.nullable)
        };
        if !calls.iter().any(|c| c.distinct) || !calls.iter().all(fits) {
            return Ok(None);
        }
        let Some((node, places, calls)) = self.in_buckets(input, spec, (&bucketed, copies), buckets)? else {
            return Ok(None);
        };
        let group = spec.group_keys.len();
        let arguments: Vec<String> = bucketed.iter().map(|a| meaning::origin(input, *a)).collect();
        let fed = columns_of(&node.schema)?;

        // The first level: by the keys and the buckets.
        let keys: Vec<usize> = spec.group_keys.iter().copied().chain(places).collect();
        let mut names = UniqueNames::default();
        let mut output: Columns = vec![];
        for key in &keys {
            output.push((names.take(&fed[*key].0), fed[*key].1.clone()));
        }
        let mut partial_calls = vec![];
        for call in calls {
            let kept = matches!(call.kind, AggregateKind::Count | AggregateKind::Sum0);
            let result = call.result.with_nullable(call.result.nullable || !kept);
            let name = take(&mut names, output.len());
            output.push((name.clone(), result.clone()));
            partial_calls.push(AggregateCall { result, name, ..call });
        }
        let partial_schema = plan_schema(output.iter().map(|(n, t)| (n.as_str(), t)))?;
        let kinds = ModifyKinds { insert: true, update: true, delete: spec.retracts };
        let exchanged = exchange(&node, keys.clone());
        let final_calls = spec.aggregates.iter().zip(&partial_calls).enumerate().filter_map(|(i, (call, partial))| {
            Some(AggregateCall {
                kind: of_buckets(call.kind)?,
                arguments: vec![keys.len() + i],
                filter: None,
                distinct: false,
                result: call.result.clone(),
                argument_type: Some(partial.result.clone()),
                name: call.name.clone(),
            })
        });
        let final_calls: Vec<AggregateCall> = final_calls.collect();
        let partial = GroupAggregateSpec {
            group_keys: keys,
            aggregates: partial_calls,
            level: SplitLevel::Partial,
            input_schema: Arc::new(node.schema.as_arrow().clone()),
            // A value that falls into another bucket would be counted once more.
            meaning: spec.meaning.clone().with("buckets", format!("{buckets} of {}", arguments.join(", "))),
            ..spec.clone()
        };
        let op = StreamOp::GroupAggregate(partial);
        let mode = kinds.mode(UpdateKind::BeforeAndAfter);
        let partial = StreamNode::new(op, vec![StreamInput::from(&exchanged)], partial_schema, mode);

        // The second: by the keys.
        let exchanged = exchange(&partial, (0..group).collect());
        let last = GroupAggregateSpec {
            group_keys: (0..group).collect(),
            aggregates: final_calls,
            retracts: true,
            level: SplitLevel::Final { retracts: spec.retracts },
            input_schema: Arc::new(partial.schema.as_arrow().clone()),
            ..spec.clone()
        };
        let mode = ModifyKinds::ALL.mode(UpdateKind::BeforeAndAfter);
        let op = StreamOp::GroupAggregate(last);
        Ok(Some(StreamNode::new(op, vec![StreamInput::from(&exchanged)], schema.clone(), mode)))
    }

    /// The rows with their buckets, in copies where there are several; where the buckets stand; the aggregates over them.
    #[expect(clippy::type_complexity, reason = "three things that are made together")]
    fn in_buckets(
        &self,
        input: &Arc<StreamNode>,
        spec: &GroupAggregateSpec,
        (bucketed, copied): (&[usize], bool),
        buckets: i32,
    ) -> Result<Option<(Arc<StreamNode>, Vec<usize>, Vec<AggregateCall>)>> {
        // A key is its own bucket.
        if bucketed.is_empty() {
            return Ok(Some((input.clone(), vec![], spec.aggregates.clone())));
        }
        let functions = self.binder.functions();
        let mut names = UniqueNames::of(&input.schema);
        let mut columns = columns_of(&input.schema)?;
        let mut projection: Vec<Expr> = columns.iter().map(|(name, _)| column(name)).collect();
        let int = TypeKind::Int.not_null();
        let mut places = vec![];
        for argument in bucketed {
            let (name, t) = columns[*argument].clone();
            let value = Typed { expr: column(&name), data_type: t.clone() };
            let text = match t.kind {
                TypeKind::Char(_) | TypeKind::VarChar(_) => value,
                // Equal values have equal texts.
                _ => {
                    match functions.cast(value, &LogicalType { kind: TypeKind::STRING, nullable: t.nullable }, false) {
                        Ok(text) => text,
                        Err(_) => return Ok(None),
                    }
                }
            };
            let code = functions.call("HASH_CODE", vec![text])?;
            let of = Typed::literal(ScalarValue::Int32(Some(buckets)), int.clone());
            let bucket = functions.call("MOD", vec![code, of])?;
            places.push(columns.len());
            columns.push((take(&mut names, columns.len()), bucket.data_type.with_nullable(true)));
            projection.push(bucket.expr);
        }
        let node = calc(input, projection, &columns)?;
        if !copied {
            return Ok(Some((node, places, spec.aggregates.clone())));
        }

        // A copy for each kind of bucket, and one for what has none.
        let group = spec.group_keys.len();
        let mut copies: Vec<Option<usize>> = (0..places.len()).map(Some).collect();
        if spec.aggregates.iter().any(|c| bucket_of(c, spec).is_none()) {
            copies.push(None);
        }
        let id_of = |copy: Option<usize>| -> i64 {
            let kept: Vec<usize> = (0..group).chain(copy.map(|c| group + c)).collect();
            expand_id_of(group + places.len(), &kept)
        };
        let width = columns.len();
        let projections = copies
            .iter()
            .map(|copy| {
                let kept = |i: &usize| places.iter().position(|p| p == i).is_none_or(|of| *copy == Some(of));
                (0..width).map(|i| Some(i).filter(|i| kept(i))).collect()
            })
            .collect();
        let expand_ids = copies.iter().map(|c| id_of(*c)).collect();
        let id = names.take(EXPAND_ID);
        let big = TypeKind::BigInt.not_null();
        let mut expanded = columns.clone();
        expanded.push((id.clone(), big.clone()));
        let schema = plan_schema(expanded.iter().map(|(n, t)| (n.as_str(), t)))?;
        let op = StreamOp::Expand(ExpandSpec { projections, expand_ids, row_by_row: true });
        let node = StreamNode::new(op, vec![StreamInput::from(&node)], schema, node.changelog);

        // Which copy each aggregate reads.
        let mut projection: Vec<Expr> = columns.iter().map(|(name, _)| column(name)).collect();
        let mut filters: Vec<((i64, Option<usize>), usize)> = vec![];
        let mut calls = vec![];
        for call in &spec.aggregates {
            let copy = bucket_of(call, spec).and_then(|a| bucketed.iter().position(|b| *b == a));
            let which = (id_of(copy), call.filter);
            let place = match filters.iter().find(|f| f.0 == which) {
                Some((_, place)) => *place,
                None => {
                    let is_copy = functions.binary(
                        Operator::Eq,
                        Typed { expr: column(&id), data_type: big.clone() },
                        Typed::literal(ScalarValue::Int64(Some(which.0)), big.clone()),
                    )?;
                    let filter = match call.filter {
                        Some(f) => {
                            let own = Typed { expr: column(&columns[f].0), data_type: columns[f].1.clone() };
                            functions.binary(Operator::And, is_copy, own)?
                        }
                        None => is_copy,
                    };
                    columns.push((names.take(&format!("$g_{}", which.0)), filter.data_type));
                    projection.push(filter.expr);
                    filters.push((which, projection.len() - 1));
                    projection.len() - 1
                }
            };
            calls.push(AggregateCall { filter: Some(place), ..call.clone() });
        }
        Ok(Some((calc(&node, projection, &columns)?, places, calls)))
    }
}

fn calc(input: &Arc<StreamNode>, projection: Vec<Expr>, columns: &[(String, LogicalType)]) -> Result<Arc<StreamNode>> {
    let schema = plan_schema(columns.iter().map(|(n, t)| (n.as_str(), t)))?;
    let op = StreamOp::Calc(Calc { projection, filter: None });
    Ok(StreamNode::new(op, vec![StreamInput::from(input)], schema, input.changelog))
}
