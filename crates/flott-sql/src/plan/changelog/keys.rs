//! Upsert keys: sets of columns such that rows with the same values are versions of one row, and come in order.
//!
//! A stream may have several, or none that is known. The rules are those of Flink's `FlinkRelMdUpsertKeys`.

use std::collections::{BTreeSet, HashMap};

use datafusion_common::DFSchema;
use datafusion_expr::Expr;
use flott_core::types::{TypeKind, from_arrow_field};

use super::rules::rule;
use crate::bind::Functions;
use crate::bind::window::unaliased;
use crate::plan::stream::{Calc, StreamNode, StreamOp};

/// Column indices of one key.
pub(crate) type Key = BTreeSet<usize>;

/// More keys than this are not carried on.
const KEYS_MAX: usize = 128;

/// The upsert keys of one input of a node.
pub(crate) struct InputKeys {
    /// Those that hold the columns by which rows were sent to their place.
    pub(crate) keys: Vec<Key>,
    /// Those that rows had before they were sent.
    pub(crate) unsent: Vec<Key>,
}

/// The upsert keys of a node's output; none where none is known.
pub(crate) fn upsert_keys(node: &StreamNode) -> Vec<Key> {
    keys_of(node, &mut HashMap::new())
}

/// Those that rows had before they were sent to the node's reader. Where they are sent by columns that the reader tells its
/// rows apart by, they still serve it: what has one of its keys and one of these comes from one place, in order.
pub(crate) fn unsent_keys(node: &StreamNode) -> Vec<Key> {
    match (&node.op, node.input()) {
        (StreamOp::Exchange(_), Some(below)) => upsert_keys(below),
        _ => upsert_keys(node),
    }
}

/// Nodes that are read in several places are looked at once: there may be very many ways to them.
fn keys_of(node: &StreamNode, known: &mut HashMap<*const StreamNode, Vec<Key>>) -> Vec<Key> {
    if let Some(keys) = known.get(&std::ptr::from_ref(node)) {
        return keys.clone();
    }
    let inputs: Vec<InputKeys> = node
        .inputs
        .iter()
        .map(|i| {
            let keys = keys_of(&i.node, known);
            let unsent = match (&i.node.op, i.node.input()) {
                (StreamOp::Exchange(_), Some(below)) => keys_of(below, known),
                _ => keys.clone(),
            };
            InputKeys { keys, unsent }
        })
        .collect();
    let mut keys = rule(&node.op).upsert_keys(node, &inputs);
    keys.sort();
    keys.dedup();
    keys.truncate(KEYS_MAX);
    known.insert(std::ptr::from_ref(node), keys.clone());
    keys
}

/// The key that operators use where there are several: the smallest.
pub(crate) fn smallest(keys: &[Key]) -> Option<&Key> {
    keys.iter().min_by_key(|k| (k.len(), (*k).clone()))
}

/// Keys that contain all columns by which rows were sent to their place: versions of one row stay in order then.
pub(crate) fn containing(keys: &[Key], columns: &[usize]) -> Vec<Key> {
    keys.iter().filter(|k| columns.iter().all(|c| k.contains(c))).cloned().collect()
}

/// Keys under a projection: where every column of one is kept, once or several times.
pub(crate) fn through_projection(keys: &[Key], places: &[Vec<usize>]) -> Vec<Key> {
    let mut out: Vec<Key> = vec![];
    for key in keys {
        let mut ways: Vec<Key> = vec![Key::new()];
        for column in key {
            let to = places.get(*column).map(Vec::as_slice).unwrap_or_default();
            ways = ways
                .iter()
                .flat_map(|way| to.iter().map(|place| way.iter().copied().chain([*place]).collect::<Key>()))
                .take(KEYS_MAX)
                .collect();
        }
        out.extend(ways);
    }
    out
}

/// For each input column where a Calc shows it: as it is, or cast so that no two values become one.
pub(crate) fn places(calc: &Calc, input: &DFSchema) -> Vec<Vec<usize>> {
    let mut places = vec![vec![]; input.fields().len()];
    for (i, e) in calc.projection.iter().enumerate() {
        if let Some(column) = carried(e, input) {
            places[column].push(i);
        }
    }
    places
}

fn carried(e: &Expr, input: &DFSchema) -> Option<usize> {
    match unaliased(e) {
        Expr::Column(c) => input.index_of_column_by_name(None, &c.name),
        Expr::ScalarFunction(f) => {
            let crate::bind::Shown::Cast("CAST", target) = Functions::shown(f)? else { return None };
            let column = carried(f.args.first()?, input)?;
            let from = from_arrow_field(input.field(column))?;
            let target: flott_core::LogicalType = target.parse().ok()?;
            keeps_values_apart(&from.kind, &target.kind).then_some(column)
        }
        _ => None,
    }
}

/// Whether a cast gives different results for different values.
fn keeps_values_apart(from: &TypeKind, to: &TypeKind) -> bool {
    use TypeKind::*;
    let width = |t: &TypeKind| match t {
        TinyInt => Some(1),
        SmallInt => Some(2),
        Int => Some(4),
        BigInt => Some(8),
        _ => None,
    };
    match (from, to) {
        (a, b) if a == b => true,
        (a, b) if width(a).is_some() && width(b).is_some() => width(a) <= width(b),
        (Float, Double) => true,
        (VarChar(n) | Char(n), VarChar(m)) => n <= m,
        (VarBinary(n) | Binary(n), VarBinary(m)) => n <= m,
        (TinyInt | SmallInt | Int | BigInt, VarChar(m)) => *m >= 20,
        (Timestamp(p, _), Timestamp(q, _)) | (TimestampLtz(p, _), TimestampLtz(q, _)) => p <= q,
        _ => false,
    }
}

/// The columns of a node that a condition reads.
pub(crate) fn columns_read(e: &Expr, input: &DFSchema) -> BTreeSet<usize> {
    crate::plan::program::column_uses(e).keys().filter_map(|name| input.index_of_column_by_name(None, name)).collect()
}
