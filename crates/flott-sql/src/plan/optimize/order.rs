//! The order of inner joins.
//!
//! As FROM has them, but for products of tables that another order joins by an equality. With
//! `table.optimizer.join-reorder-enabled`, the order with the least rows in between, as far as is known: Flink's
//! `FlinkBushyJoinReorderRule` up to `table.optimizer.bushy-join-reorder-threshold` inputs, by the dynamic programming of
//! Selinger et al. (SIGMOD 1979) over all subsets; above it one input after the other, as `LoptOptimizeJoinRule`. Without
//! statistics a table has 10^8 rows, and conditions keep what Calcite's `RelMdUtil.guessSelectivity` says.

use std::collections::{BTreeSet, HashMap};

use datafusion_expr::{Expr, LogicalPlan};
use flott_core::Result;
use flott_graph::JoinKind;

use super::parts;
use crate::bind::join::{comparison, reads};
use crate::bind::window::unaliased;
use crate::bind::{FlinkNode, FlinkNodeKind, ScanTable};

/// Rows of a table of which nothing is known.
const TABLE_ROWS: f64 = 1e8;
/// A grouping leaves so many of its rows.
const GROUPS_PER_ROW: f64 = 0.2;
/// A product costs so much more than a join of as many rows.
const PRODUCT_PENALTY: f64 = 1e6;
/// More inputs are not looked at in all orders.
pub(in crate::plan) const BUSHY_MAX: usize = 14;

/// Which order joins get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plan) enum Order {
    /// As they are written, without products that can be avoided.
    Written,
    /// The cheapest; of up to so many inputs of all.
    Cheapest { bushy_max: usize },
}

/// How inputs are joined.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Input(usize),
    Join(Box<Tree>, Box<Tree>),
}

/// A condition on several inputs.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) reads: BTreeSet<usize>,
    /// The inputs of both sides of an equality.
    pub(super) equal: Option<(BTreeSet<usize>, BTreeSet<usize>)>,
    pub(super) expr: Expr,
}

impl Condition {
    /// Whether it joins two sets of inputs by values.
    fn connects(&self, left: &BTreeSet<usize>, right: &BTreeSet<usize>) -> bool {
        self.equal
            .as_ref()
            .is_some_and(|(a, b)| a.is_subset(left) && b.is_subset(right) || a.is_subset(right) && b.is_subset(left))
    }
}

impl Order {
    pub(super) fn arranged(self, written: Tree, inputs: &[LogicalPlan], conditions: &[Condition]) -> Result<Tree> {
        if inputs.len() < 3 {
            return Ok(written);
        }
        match self {
            Order::Written => {
                let products = products(&written, conditions).0;
                if products == 0 {
                    return Ok(written);
                }
                let connected = connected(inputs.len(), conditions);
                Ok(if self::products(&connected, conditions).0 < products { connected } else { written })
            }
            Order::Cheapest { bushy_max } => {
                let estimate = Estimate::new(inputs, conditions);
                Ok(if inputs.len() <= bushy_max.min(BUSHY_MAX) { estimate.bushy() } else { estimate.one_by_one() })
            }
        }
    }
}

/// How many joins of a tree have no equality, and its inputs.
fn products(tree: &Tree, conditions: &[Condition]) -> (usize, BTreeSet<usize>) {
    match tree {
        Tree::Input(i) => (0, BTreeSet::from([*i])),
        Tree::Join(left, right) => {
            let ((of_left, left), (of_right, right)) = (products(left, conditions), products(right, conditions));
            let own = usize::from(!conditions.iter().any(|c| c.connects(&left, &right)));
            (of_left + of_right + own, left.into_iter().chain(right).collect())
        }
    }
}

fn joined(left: Tree, right: Tree) -> Tree {
    Tree::Join(Box::new(left), Box::new(right))
}

/// The inputs in the order in which they are written, each as soon as an equality joins it with those before it. Inputs
/// that nothing joins are products of what is joined.
fn connected(inputs: usize, conditions: &[Condition]) -> Tree {
    let mut left: Vec<usize> = (0..inputs).collect();
    let mut whole: Option<Tree> = None;
    while !left.is_empty() {
        let first = left.remove(0);
        let (mut tree, mut done) = (Tree::Input(first), BTreeSet::from([first]));
        let joins =
            |i: &usize, done: &BTreeSet<usize>| conditions.iter().any(|c| c.connects(done, &BTreeSet::from([*i])));
        while let Some(place) = left.iter().position(|i| joins(i, &done)) {
            let next = left.remove(place);
            tree = joined(tree, Tree::Input(next));
            done.insert(next);
        }
        whole = Some(match whole {
            Some(before) => joined(before, tree),
            None => tree,
        });
    }
    whole.unwrap_or(Tree::Input(0))
}

/// What is guessed of rows.
struct Estimate<'a> {
    rows: Vec<f64>,
    conditions: &'a [Condition],
    /// The part of the pairs that each condition keeps.
    keeps: Vec<f64>,
}

/// The best way to join some inputs.
#[derive(Clone)]
struct Best {
    cost: f64,
    tree: Tree,
}

impl<'a> Estimate<'a> {
    fn new(inputs: &[LogicalPlan], conditions: &'a [Condition]) -> Estimate<'a> {
        let rows: Vec<f64> = inputs.iter().map(|i| rows_of(i).max(1.0)).collect();
        let keys: Vec<Vec<BTreeSet<String>>> = inputs.iter().map(unique_keys).collect();
        let keeps = conditions.iter().map(|c| kept_of_pairs(c, inputs, &keys)).collect();
        Estimate { rows, conditions, keeps }
    }

    /// As a logarithm: products of many tables have more rows than a number can say.
    fn ln_rows(&self, of: &BTreeSet<usize>) -> f64 {
        let all: f64 = of.iter().map(|i| self.rows[*i].ln()).sum();
        let kept = self.conditions.iter().zip(&self.keeps).filter(|(c, _)| c.reads.is_subset(of));
        kept.fold(all, |rows, (_, keeps)| rows + keeps.ln()).max(0.0)
    }

    fn connected(&self, left: &BTreeSet<usize>, right: &BTreeSet<usize>) -> bool {
        self.conditions.iter().any(|c| c.connects(left, right))
    }

    /// All ways, of larger and larger sets.
    fn bushy(&self) -> Tree {
        let n = self.rows.len();
        let mask_of = |set: &BTreeSet<usize>| set.iter().fold(0usize, |mask, i| mask | 1 << i);
        let sides = self.conditions.iter().filter_map(|c| c.equal.as_ref());
        let equal: Vec<(usize, usize)> = sides.map(|(a, b)| (mask_of(a), mask_of(b))).collect();
        let connects = |left: usize, right: usize| {
            let is = |a: usize, b: usize| a & left == a && b & right == b;
            equal.iter().any(|(a, b)| is(*a, *b) || is(*b, *a))
        };
        let set = |mask: usize| (0..n).filter(|i| mask & (1 << i) != 0).collect::<BTreeSet<usize>>();
        let rows: Vec<f64> = (0..1usize << n).map(|mask| self.ln_rows(&set(mask)).exp()).collect();
        let mut best: Vec<Option<Best>> = vec![None; 1 << n];
        for i in 0..n {
            best[1 << i] = Some(Best { cost: 0.0, tree: Tree::Input(i) });
        }
        for mask in 1..1usize << n {
            if mask.count_ones() < 2 {
                continue;
            }
            // The half with the first input is the left one: what is written first stays first.
            let lowest = mask & mask.wrapping_neg();
            let mut chosen: Option<(f64, usize)> = None;
            let mut left = (mask - 1) & mask;
            while left > 0 {
                if left & lowest != 0
                    && let (Some(l), Some(r)) = (&best[left], &best[mask ^ left])
                {
                    let product = !connects(left, mask ^ left);
                    let own = rows[mask] * if product { PRODUCT_PENALTY } else { 1.0 };
                    let cost = l.cost + r.cost + own;
                    if chosen.is_none_or(|(least, _)| cost < least) {
                        chosen = Some((cost, left));
                    }
                }
                left = (left - 1) & mask;
            }
            if let Some((cost, left)) = chosen
                && let (Some(l), Some(r)) = (&best[left], &best[mask ^ left])
            {
                best[mask] = Some(Best { cost, tree: joined(l.tree.clone(), r.tree.clone()) });
            }
        }
        best.pop().flatten().map_or(Tree::Input(0), |b| b.tree)
    }

    /// From the smallest input on, always that which gives the least rows, and a product only where nothing else is left.
    fn one_by_one(&self) -> Tree {
        let mut left: Vec<usize> = (0..self.rows.len()).collect();
        let least = |costs: &mut dyn Iterator<Item = (usize, (bool, f64))>| {
            let of_two = |a: (usize, (bool, f64)), b: (usize, (bool, f64))| if b.1 < a.1 { b } else { a };
            costs.reduce(of_two).map_or(0, |(place, _)| place)
        };
        let first = left.remove(least(&mut self.rows.iter().map(|rows| (false, *rows)).enumerate()));
        let (mut tree, mut done) = (Tree::Input(first), BTreeSet::from([first]));
        while !left.is_empty() {
            let cost = |next: &usize| {
                let mut with = done.clone();
                with.insert(*next);
                (!self.connected(&done, &BTreeSet::from([*next])), self.ln_rows(&with))
            };
            let next = left.remove(least(&mut left.iter().map(cost).enumerate()));
            tree = joined(tree, Tree::Input(next));
            done.insert(next);
        }
        tree
    }
}

/// The part of all pairs for which a condition is true.
fn kept_of_pairs(condition: &Condition, inputs: &[LogicalPlan], keys: &[Vec<BTreeSet<String>>]) -> f64 {
    let Some((a, b)) = &condition.equal else { return selectivity(&condition.expr) };
    let Some((_, left, right)) = comparison(&condition.expr) else { return selectivity(&condition.expr) };
    let (left, right) = (reads(left), reads(right));
    // Values of a key are as many as its rows; of other columns, as of a table of which nothing is known.
    let values = |side: &BTreeSet<usize>| -> f64 {
        let of = side.iter().map(|i| {
            let columns =
                left.iter().chain(&right).filter(|c| inputs[*i].schema().index_of_column_by_name(None, c).is_some());
            let columns: BTreeSet<String> = columns.cloned().collect();
            let is_key = keys[*i].iter().any(|key| key.is_subset(&columns));
            let all = unfiltered_rows(&inputs[*i]).max(1.0);
            if is_key { all } else { all.powf(0.75) }
        });
        of.product()
    };
    1.0 / values(a).max(values(b)).max(1.0)
}

/// Calcite's guesses.
fn selectivity(e: &Expr) -> f64 {
    match unaliased(e) {
        Expr::IsNotNull(_) => 0.9,
        _ => match comparison(e) {
            Some(("=" | "IS NOT DISTINCT FROM", ..)) => 0.15,
            Some(_) => 0.5,
            None => 0.25,
        },
    }
}

/// Rows of a plan before its filters.
fn unfiltered_rows(plan: &LogicalPlan) -> f64 {
    match plan {
        LogicalPlan::Filter(f) => unfiltered_rows(&f.input),
        LogicalPlan::Projection(p) => unfiltered_rows(&p.input),
        other => rows_of(other),
    }
}

/// About how many rows a plan gives.
fn rows_of(plan: &LogicalPlan) -> f64 {
    match plan {
        LogicalPlan::Filter(f) => parts(&f.predicate).fold(rows_of(&f.input), |rows, part| rows * selectivity(&part)),
        LogicalPlan::Projection(p) => rows_of(&p.input),
        LogicalPlan::Union(u) => u.inputs.iter().map(|i| rows_of(i)).sum(),
        LogicalPlan::Values(v) => v.values.len() as f64,
        LogicalPlan::EmptyRelation(_) => 1.0,
        LogicalPlan::Extension(e) => match FlinkNode::of(e) {
            Some(node) => rows_of_node(node),
            None => TABLE_ROWS,
        },
        _ => TABLE_ROWS,
    }
}

fn rows_of_node(node: &FlinkNode) -> f64 {
    let input = || rows_of(&node.input);
    match &node.kind {
        FlinkNodeKind::Aggregate(a) if a.group.is_empty() => 1.0,
        FlinkNodeKind::Aggregate(a) => {
            let sets = a.sets.as_ref().map_or(1, Vec::len);
            (input() * GROUPS_PER_ROW * sets as f64).max(1.0)
        }
        FlinkNodeKind::Sort(sort) => sort.fetch.map_or_else(input, |n| input().min(n as f64)),
        FlinkNodeKind::Join(join) => match (&node.second, join.kind) {
            (Some(_), JoinKind::Semi | JoinKind::Anti) => input() * 0.5,
            (Some(right), _) => input().max(rows_of(right)),
            (None, _) => input(),
        },
        _ => input(),
    }
}

/// Sets of columns of which no two rows have the same values: of a table its primary key, of a grouping its keys.
fn unique_keys(plan: &LogicalPlan) -> Vec<BTreeSet<String>> {
    match plan {
        LogicalPlan::Filter(f) => unique_keys(&f.input),
        LogicalPlan::Projection(p) => {
            let mut shown: HashMap<&str, &str> = HashMap::new();
            for (e, field) in p.expr.iter().zip(p.schema.fields()) {
                if let Expr::Column(c) = unaliased(e) {
                    shown.insert(&c.name, field.name());
                }
            }
            let through = |key: BTreeSet<String>| {
                key.iter().map(|c| shown.get(c.as_str()).map(|name| (*name).to_string())).collect::<Option<_>>()
            };
            unique_keys(&p.input).into_iter().filter_map(through).collect()
        }
        LogicalPlan::TableScan(scan) => {
            let key = scan.source.downcast_ref::<ScanTable>().and_then(|t| t.table.schema.primary_key.as_ref());
            key.map(|key| key.columns.iter().cloned().collect()).into_iter().collect()
        }
        LogicalPlan::Extension(e) => match FlinkNode::of(e).map(|node| (node, &node.kind)) {
            Some((node, FlinkNodeKind::Aggregate(a))) if a.sets.is_none() => {
                let names = node.schema.fields().iter().take(a.group.len());
                vec![names.map(|f| f.name().clone()).collect()]
            }
            Some((node, FlinkNodeKind::WatermarkAssigner { .. } | FlinkNodeKind::Sort(_))) => unique_keys(&node.input),
            Some((node, FlinkNodeKind::Join(join))) if join.kind.is_semi_or_anti() => unique_keys(&node.input),
            _ => vec![],
        },
        _ => vec![],
    }
}
