//! Inner joins side by side: what is known of one input is known of what it is equal to, and their order may be another.

use std::collections::{BTreeMap, BTreeSet};

use datafusion_expr::{Expr, LogicalPlan, Operator};
use flott_core::{LogicalType, Result};
use flott_graph::JoinKind;

use super::order::{Condition, Tree};
use super::{Optimizer, empty, equals_are_same, filtered, fold, known, nothing, parts, renamed, substitute};
use crate::bind::join::{comparison, implied, join, reads, together};
use crate::bind::node::{Join, JoinFlavour};
use crate::bind::window::unaliased;
use crate::bind::{FlinkNode, FlinkNodeKind, Functions, Shown, Typed, UniqueNames, column, columns_of, project};

/// Inner joins as one: what is joined, and the conditions, over columns that all have different names.
struct Region {
    inputs: Vec<LogicalPlan>,
    conditions: Vec<Expr>,
    names: UniqueNames,
}

/// Whether a plan is an inner join whose inputs may be joined in another order, under renaming and conditions.
pub(super) fn is_region(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Filter(f) => !f.predicate.is_volatile() && is_region(&f.input),
        LogicalPlan::Projection(p) => p.expr.iter().all(is_column) && is_region(&p.input),
        LogicalPlan::Extension(_) => inner(plan).is_some(),
        _ => false,
    }
}

fn is_column(e: &Expr) -> bool {
    matches!(unaliased(e), Expr::Column(_))
}

/// The join of a plan that is one, of all rows of both inputs, which nobody keeps for a time of their own.
fn inner(plan: &LogicalPlan) -> Option<(&FlinkNode, &Join, &LogicalPlan)> {
    let LogicalPlan::Extension(e) = plan else { return None };
    let node = FlinkNode::of(e)?;
    let (FlinkNodeKind::Join(join), Some(right)) = (&node.kind, &node.second) else { return None };
    let plain = join.kind == JoinKind::Inner && join.flavour == JoinFlavour::Regular;
    let free = join.state_ttl == [None, None] && !join.condition.as_ref().is_some_and(Expr::is_volatile);
    (plain && free).then_some((node, join, right))
}

impl Region {
    /// Takes a plan in; where its columns are found.
    fn take(&mut self, plan: &LogicalPlan) -> Result<(Tree, BTreeMap<String, String>)> {
        if is_region(plan) {
            if let LogicalPlan::Filter(f) = plan {
                let (tree, names) = self.take(&f.input)?;
                self.add(&f.predicate, &names)?;
                return Ok((tree, names));
            }
            if let LogicalPlan::Projection(p) = plan {
                let (tree, below) = self.take(&p.input)?;
                let outputs = p.schema.fields().iter().zip(&p.expr);
                let names = outputs.filter_map(|(field, e)| match unaliased(e) {
                    Expr::Column(c) => Some((field.name().clone(), below.get(&c.name)?.clone())),
                    _ => None,
                });
                return Ok((tree, names.collect()));
            }
            if let Some((node, join, right)) = inner(plan) {
                let (left, mut names) = self.take(&node.input)?;
                let (right, of_right) = self.take(right)?;
                names.extend(of_right);
                if let Some(condition) = &join.condition {
                    self.add(condition, &names)?;
                }
                return Ok((Tree::Join(Box::new(left), Box::new(right)), names));
            }
        }
        let columns = columns_of(plan.schema())?;
        let own: Vec<String> = columns.iter().map(|c| self.names.take(&c.0)).collect();
        let names = columns.iter().map(|c| c.0.clone()).zip(own.clone()).collect();
        let same = columns.iter().zip(&own).all(|(c, name)| c.0 == *name);
        let input = if same {
            plan.clone()
        } else {
            let renamed = columns.into_iter().zip(own);
            let renamed = renamed.map(|((old, data_type), new)| (new, Typed { expr: column(&old), data_type }));
            project(plan.clone(), renamed.collect())?
        };
        self.inputs.push(input);
        Ok((Tree::Input(self.inputs.len() - 1), names))
    }

    fn add(&mut self, condition: &Expr, names: &BTreeMap<String, String>) -> Result<()> {
        for part in parts(&fold::folded(condition.clone())?) {
            let part = renamed(&part, names)?;
            if !self.conditions.contains(&part) {
                self.conditions.push(part);
            }
        }
        Ok(())
    }

    /// The inputs that a condition reads.
    fn read_by(&self, condition: &Expr) -> BTreeSet<usize> {
        let has =
            |name: &String| self.inputs.iter().position(|i| i.schema().index_of_column_by_name(None, name).is_some());
        reads(condition).iter().filter_map(has).collect()
    }
}

impl Optimizer {
    /// Inner joins under these conditions.
    pub(super) fn region(&self, plan: &LogicalPlan, above: Vec<Expr>) -> Result<LogicalPlan> {
        let mut region = Region { inputs: vec![], conditions: vec![], names: UniqueNames::default() };
        let (tree, names) = region.take(plan)?;
        let (stay, above): (Vec<Expr>, Vec<Expr>) = above.into_iter().partition(Expr::is_volatile);
        for condition in &above {
            region.add(condition, &names)?;
        }
        let mut of_input: Vec<Vec<Expr>> = vec![vec![]; region.inputs.len()];
        let mut of_several: Vec<Expr> = vec![];
        for condition in &region.conditions {
            let read = region.read_by(condition);
            match read.first() {
                Some(input) if read.len() == 1 => of_input[*input].push(condition.clone()),
                // What reads nothing is asked once.
                None => of_input[0].push(condition.clone()),
                _ => of_several.push(condition.clone()),
            }
        }
        for condition in &of_several {
            for (i, own) in of_input.iter_mut().enumerate() {
                let says = implied(condition, &|part| region.read_by(part).into_iter().eq([i]));
                let already =
                    |c: &Expr| Ok::<_, flott_core::Error>(own.contains(c) || known(&region.inputs[i])?.contains(c));
                if let Some(says) = says
                    && !already(&says)?
                {
                    own.push(says);
                }
            }
        }
        let inputs: Vec<&LogicalPlan> = region.inputs.iter().collect();
        let equal = equal_columns(&of_several, &inputs)?;
        for from in 0..inputs.len() {
            for to in (0..inputs.len()).filter(|to| *to != from) {
                let conditions = of_input[from].clone();
                pass_on(&equal, (inputs[from], &conditions), (inputs[to], &mut of_input[to]))?;
            }
        }
        let inputs = region.inputs.iter().zip(of_input);
        let inputs = inputs.map(|(input, conditions)| self.under(input, conditions)).collect::<Result<Vec<_>>>()?;
        if inputs.iter().any(empty::is_nothing) {
            return nothing(plan.schema());
        }
        let conditions: Vec<Condition> = of_several
            .iter()
            .map(|e| Condition { reads: region.read_by(e), equal: sides(e, &|e| region.read_by(e)), expr: e.clone() })
            .collect();
        let tree = self.order.arranged(tree, &inputs, &conditions)?;
        let joined = built(&tree, &inputs, &mut conditions.iter().map(|c| Some(c.clone())).collect())?.0;
        let (have, want) = (columns_of(joined.schema())?, columns_of(plan.schema())?);
        let place = |name: &String| names.get(name).unwrap_or(name).clone();
        if have.len() == want.len() && have.iter().zip(&want).all(|(h, w)| h == w && place(&w.0) == h.0) {
            return filtered(joined, stay);
        }
        let columns = want.into_iter().map(|(name, data_type)| {
            let expr = column(&place(&name));
            (name, Typed { expr, data_type })
        });
        let columns: Vec<(String, Typed)> = columns.collect();
        filtered(project(joined, columns)?, stay)
    }
}

/// The inputs of both sides of an equality by which rows can be sent.
fn sides(e: &Expr, read_by: &dyn Fn(&Expr) -> BTreeSet<usize>) -> Option<(BTreeSet<usize>, BTreeSet<usize>)> {
    let Some(("=" | "IS NOT DISTINCT FROM", a, b)) = comparison(e) else { return None };
    let (a, b) = (read_by(a), read_by(b));
    (!a.is_empty() && !b.is_empty() && a.is_disjoint(&b)).then_some((a, b))
}

/// The joins of a tree, each with the conditions that can be asked there first.
fn built(
    tree: &Tree,
    inputs: &[LogicalPlan],
    conditions: &mut Vec<Option<Condition>>,
) -> Result<(LogicalPlan, BTreeSet<usize>)> {
    let (left, right) = match tree {
        Tree::Input(i) => return Ok((inputs[*i].clone(), BTreeSet::from([*i]))),
        Tree::Join(left, right) => (left, right),
    };
    let (left, mut of_both) = built(left, inputs, conditions)?;
    let (right, of_right) = built(right, inputs, conditions)?;
    of_both.extend(of_right);
    let mut own = vec![];
    for slot in conditions.iter_mut() {
        if slot.as_ref().is_some_and(|c| c.reads.is_subset(&of_both)) {
            own.extend(slot.take().map(|c| c.expr));
        }
    }
    Ok((join(left, right, JoinKind::Inner, together(own), JoinFlavour::Regular)?, of_both))
}

/// Columns that conditions say are equal, as sets.
pub(super) struct EqualColumns(Vec<BTreeSet<String>>);

/// What conditions on several plans say of their columns. Of numbers that are equal and print in two ways (-0.0 and 0.0)
/// nothing is concluded, nor of values of different types.
pub(super) fn equal_columns<'e>(
    conditions: impl IntoIterator<Item = &'e Expr>,
    inputs: &[&LogicalPlan],
) -> Result<EqualColumns> {
    let mut types: BTreeMap<String, LogicalType> = BTreeMap::new();
    for input in inputs {
        types.extend(columns_of(input.schema())?);
    }
    let mut sets: Vec<BTreeSet<String>> = vec![];
    for condition in conditions {
        let Some(("=", Expr::Column(a), Expr::Column(b))) = comparison(condition) else { continue };
        let (Some(s), Some(t)) = (types.get(&a.name), types.get(&b.name)) else { continue };
        if !equals_are_same(&s.kind) || s.kind != t.kind {
            continue;
        }
        let mut one = BTreeSet::from([a.name.clone(), b.name.clone()]);
        sets.retain(|set| {
            let apart = set.is_disjoint(&one);
            if !apart {
                one.extend(set.iter().cloned());
            }
            apart
        });
        sets.push(one);
    }
    Ok(EqualColumns(sets))
}

/// What is asked of a column of one input is asked of those of another that are equal to it, where nothing can fail.
pub(super) fn pass_on(
    equal: &EqualColumns,
    (from, conditions): (&LogicalPlan, &[Expr]),
    (to, own): (&LogicalPlan, &mut Vec<Expr>),
) -> Result<()> {
    if equal.0.is_empty() {
        return Ok(());
    }
    let there = known(to)?;
    for condition in conditions.iter().cloned().chain(known(from)?) {
        let read = reads(&condition);
        let Some(name) = read.first().filter(|_| read.len() == 1 && never_fails(&condition)) else { continue };
        let Some(set) = equal.0.iter().find(|set| set.contains(name)) else { continue };
        for other in set.iter().filter(|o| to.schema().index_of_column_by_name(None, o).is_some()) {
            let passed = substitute(&condition, &|c| (c == name).then(|| column(other)))?;
            if !own.contains(&passed) && !there.contains(&passed) {
                own.push(passed);
            }
        }
    }
    Ok(())
}

/// Comparisons of columns with constants, held together by AND, OR and NOT.
pub(super) fn never_fails(e: &Expr) -> bool {
    match unaliased(e) {
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::BinaryExpr(b) => {
            matches!(b.op, Operator::And | Operator::Or) && never_fails(&b.left) && never_fails(&b.right)
        }
        Expr::Not(x) | Expr::IsNull(x) | Expr::IsNotNull(x) => never_fails(x),
        Expr::InList(list) => never_fails(&list.expr) && list.list.iter().all(never_fails),
        Expr::ScalarFunction(f) => {
            matches!(Functions::shown(f), Some(Shown::Operator("=" | "<>" | "<" | "<=" | ">" | ">=")))
                && f.args.iter().all(|a| matches!(unaliased(a), Expr::Column(_) | Expr::Literal(..)))
        }
        _ => false,
    }
}
