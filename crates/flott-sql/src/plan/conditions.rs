//! Which conditions the rows that an operator keeps have passed: see RFC 0012.
//!
//! A condition on what an operator passes on (the keys of a window, all columns of a join) may stand above it or below it;
//! the optimizer puts it below. Rows that were kept under another condition would then be given on without being asked
//! again. So the conditions are stored with the job's bundle and compared where state is restored.
//!
//! Their texts are stored: they are written here, and do not change when EXPLAIN does. Columns are told by the tables that
//! they are of, the parts of AND, OR and IN and the sides of comparisons have an order of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, Operator};
use flott_core::key_group::hash_bytes;
use flott_graph::{AggregateCall, Changes, OverArrival, StateConditions, WindowAssignment, WindowKind};

use super::join::{JoinOp, JoinWay};
use super::meaning;
use super::sink::summary;
use super::stream::{StreamNode, StreamOp};
use crate::bind::{Functions, Shown};

/// A longer text is cut and ends with a hash of the whole.
const TEXT_MAX: usize = 512;
/// Rows from more places are not told apart.
const BRANCHES_MAX: usize = 64;

/// An expression over columns of tables, in its stored form.
#[derive(Debug)]
struct Term {
    text: String,
    /// Stands without brackets in another text.
    is_short: bool,
    is_constant: bool,
    parts: Vec<Arc<Term>>,
}

impl Term {
    fn new(text: String, is_short: bool, is_constant: bool, parts: Vec<Arc<Term>>) -> Arc<Term> {
        Arc::new(Term { text: bounded(text), is_short, is_constant, parts })
    }

    fn column(text: String) -> Arc<Term> {
        Term::new(text, true, false, vec![])
    }

    fn inside(&self) -> String {
        if self.is_short { self.text.clone() } else { format!("({})", self.text) }
    }

    /// Whether its value follows from those of these terms.
    fn follows_from(&self, keys: &BTreeSet<&str>) -> bool {
        let of_parts = || !self.parts.is_empty() && self.parts.iter().all(|p| p.follows_from(keys));
        self.is_constant || keys.contains(self.text.as_str()) || of_parts()
    }
}

fn bounded(text: String) -> String {
    if text.len() <= TEXT_MAX {
        return text;
    }
    let cut = text.floor_char_boundary(TEXT_MAX / 2);
    format!("{}..#{:016x}", &text[..cut], hash_bytes(text.as_bytes()))
}

/// Rows of one origin on their way to an operator.
#[derive(Debug, Clone)]
struct Branch {
    origin: String,
    columns: Vec<Arc<Term>>,
    conditions: Vec<Arc<Term>>,
}

/// Which of the conditions below it an operator's kept rows have to have passed.
enum Kept {
    /// Those of an input's rows as they are.
    Rows,
    /// Those on these columns of an input.
    Keys(Vec<usize>),
}

/// Finds conditions in a plan whose nodes may be shared.
#[derive(Default)]
pub(super) struct Conditions {
    done: HashMap<*const StreamNode, Arc<Vec<Branch>>>,
}

impl Conditions {
    /// Of an operator that shows rows which it has kept; `None` of others. A plan's nodes must live as long as this does.
    pub(super) fn of(&mut self, node: &StreamNode) -> Option<StateConditions> {
        if !shows_kept_rows(&node.op) {
            return None;
        }
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (input, kept) in kept(&node.op)?.into_iter().enumerate() {
            let Some(below) = node.inputs.get(input) else { continue };
            for branch in self.branches(&below.node).iter() {
                let conditions = found.entry(branch.origin.clone()).or_default();
                conditions.extend(visible(branch, &kept).map(|c| c.text.clone()));
            }
        }
        Some(StateConditions(found))
    }

    /// Where the rows of a node come from, and what they have passed.
    fn branches(&mut self, node: &Arc<StreamNode>) -> Arc<Vec<Branch>> {
        if let Some(done) = self.done.get(&Arc::as_ptr(node)) {
            return done.clone();
        }
        let mut branches = self.made(node);
        if branches.len() > BRANCHES_MAX {
            branches = vec![merged(node, branches)];
        }
        let branches = Arc::new(branches);
        self.done.insert(Arc::as_ptr(node), branches.clone());
        branches
    }

    fn made(&mut self, node: &Arc<StreamNode>) -> Vec<Branch> {
        let inputs: Vec<Arc<Vec<Branch>>> = node.inputs.iter().map(|i| self.branches(&i.node)).collect();
        match &node.op {
            StreamOp::Scan(scan) => {
                let table = &scan.table.identifier;
                let column = |f: &Arc<arrow_schema::Field>| Term::column(format!("{}.{}", table.object, f.name()));
                let columns = node.schema.fields().iter().map(column).collect();
                vec![Branch { origin: summary(table), columns, conditions: vec![] }]
            }
            StreamOp::Calc(calc) => {
                let Some(input) = node.input() else { return vec![] };
                let of_branch = |branch: &Branch| {
                    let names = input.schema.fields().iter().map(|f| f.name().as_str());
                    let columns: HashMap<&str, &Arc<Term>> = names.zip(&branch.columns).collect();
                    let mut conditions = branch.conditions.clone();
                    conditions.extend(calc.filter.iter().flat_map(|filter| parts(filter, &columns)));
                    Branch {
                        origin: branch.origin.clone(),
                        columns: calc.projection.iter().map(|e| term(e, &columns)).collect(),
                        conditions,
                    }
                };
                inputs.iter().flat_map(|i| i.iter()).map(of_branch).collect()
            }
            StreamOp::ChangelogNormalize(normalize) => {
                let mut branches = passed(node, &inputs);
                let Some(filter) = &normalize.filter else { return branches };
                for branch in &mut branches {
                    let names = node.schema.fields().iter().map(|f| f.name().as_str());
                    let columns = names.zip(&branch.columns).collect();
                    let own = parts(filter, &columns);
                    branch.conditions.extend(own);
                }
                branches
            }
            StreamOp::Union => inputs.iter().flat_map(|i| i.iter().cloned()).collect(),
            // What keeps nothing over a checkpoint, or nothing that it shows.
            StreamOp::Exchange(_)
            | StreamOp::DropUpdateBefore
            | StreamOp::MiniBatchAssigner(_)
            | StreamOp::Unnest(_)
            | StreamOp::Expand(_)
            | StreamOp::LookupJoin(_)
            | StreamOp::LocalWindowAggregate(_)
            | StreamOp::LocalGroupAggregate(_) => passed(node, &inputs),
            StreamOp::WindowTableFunction(_) if kept(&node.op).is_none() => passed(node, &inputs),
            _ => vec![of_state(node, &inputs)],
        }
    }
}

/// The conditions that may stand on both sides of an operator with state, for each input; `None` of one without state.
fn kept(op: &StreamOp) -> Option<Vec<Kept>> {
    let keys = |keys: &[usize]| Some(vec![Kept::Keys(keys.to_vec())]);
    // Partial rows have the keys first.
    let first = |n: usize| Some(vec![Kept::Keys((0..n).collect())]);
    match op {
        StreamOp::WindowAggregate(spec) => keys(&spec.group_keys),
        StreamOp::GlobalWindowAggregate(spec) => first(spec.group_keys.len()),
        StreamOp::GroupAggregate(spec) => keys(&spec.group_keys),
        StreamOp::GlobalGroupAggregate(spec) => first(spec.group_keys.len()),
        StreamOp::IncrementalGroupAggregate(spec) => first(spec.merged.group_keys.len()),
        StreamOp::Rank(rank) => keys(&rank.spec.partition_keys),
        StreamOp::Deduplicate(spec) => keys(&spec.keys),
        StreamOp::WindowRank(rank) => keys(&rank.spec.partition_keys),
        StreamOp::OverAggregate(spec) => keys(&spec.partition_keys),
        StreamOp::WindowTableFunction(spec) => match &spec.assignment {
            WindowAssignment::TimeColumn { kind: WindowKind::Session { partition_keys, .. }, .. } => {
                keys(partition_keys)
            }
            _ => None,
        },
        // What a table had at some time is asked of its whole rows.
        StreamOp::Join(JoinOp { way: JoinWay::Temporal { .. }, .. }) => Some(vec![Kept::Rows]),
        StreamOp::Join(_) => Some(vec![Kept::Rows, Kept::Rows]),
        StreamOp::LookupJoin(_) | StreamOp::Sort(_) | StreamOp::TemporalSort(_) => Some(vec![Kept::Rows]),
        _ => None,
    }
}

/// Whether an operator shows rows that it has kept without a row of their key that comes now, which has passed what is asked
/// now.
fn shows_kept_rows(op: &StreamOp) -> bool {
    match op {
        StreamOp::GroupAggregate(spec) => spec.changes == Changes::Final,
        StreamOp::OverAggregate(spec) => spec.arrival != OverArrival::Anywhere,
        StreamOp::GlobalGroupAggregate(_)
        | StreamOp::IncrementalGroupAggregate(_)
        | StreamOp::Rank(_)
        | StreamOp::Deduplicate(_) => false,
        op => kept(op).is_some(),
    }
}

fn visible<'b>(branch: &'b Branch, kept: &Kept) -> impl Iterator<Item = &'b Arc<Term>> {
    let keys: Option<BTreeSet<&str>> = match kept {
        Kept::Rows => None,
        Kept::Keys(keys) => Some(keys.iter().filter_map(|k| branch.columns.get(*k)).map(|c| c.text.as_str()).collect()),
    };
    branch.conditions.iter().filter(move |c| keys.as_ref().is_none_or(|keys| c.follows_from(keys)))
}

/// The rows of an operator that adds columns behind those of its input, or has an aggregate's keys first.
fn passed(node: &StreamNode, inputs: &[Arc<Vec<Branch>>]) -> Vec<Branch> {
    let of_branch = |branch: &Branch| Branch {
        origin: branch.origin.clone(),
        columns: columns(node, Some(branch)),
        conditions: branch.conditions.clone(),
    };
    inputs.iter().flat_map(|i| i.iter()).map(of_branch).collect()
}

/// The rows of an operator with state: of it, and no more of what is below it.
fn of_state(node: &StreamNode, inputs: &[Arc<Vec<Branch>>]) -> Branch {
    let only = |input: usize| match inputs.get(input).map(|i| i.as_slice()) {
        Some([branch]) => Some(branch),
        _ => None,
    };
    let columns = match &node.op {
        StreamOp::Join(_) => both(node, only(0), only(1)),
        _ => columns(node, only(0)),
    };
    let kept = kept(&node.op).unwrap_or_default();
    let conditions = inputs
        .iter()
        .zip(&kept)
        .flat_map(|(input, kept)| input.iter().flat_map(|branch| visible(branch, kept).cloned().collect::<Vec<_>>()));
    let mut conditions: Vec<Arc<Term>> = conditions.collect();
    conditions.sort_by(|a, b| a.text.cmp(&b.text));
    conditions.dedup_by(|a, b| a.text == b.text);
    Branch { origin: node.kind().to_string(), columns, conditions }
}

fn merged(node: &StreamNode, branches: Vec<Branch>) -> Branch {
    let conditions = branches.into_iter().flat_map(|b| b.conditions).collect();
    Branch { origin: node.kind().to_string(), columns: columns(node, None), conditions }
}

/// The columns of a node over one input: keys and aggregates by what they are of, others by their names.
fn columns(node: &StreamNode, below: Option<&Branch>) -> Vec<Arc<Term>> {
    let names: Vec<&str> = node.schema.fields().iter().map(|f| f.name().as_str()).collect();
    let named = |i: usize| Term::column(names[i].to_string());
    let Some(below) = below else { return (0..names.len()).map(named).collect() };
    let at = |place: usize| below.columns.get(place).cloned();
    let aggregated = |keys: &[usize], calls: &[AggregateCall]| {
        let one = |i: usize| match keys.get(i) {
            Some(key) => at(*key),
            None => calls.get(i - keys.len()).map(|call| aggregate(call, below)),
        };
        (0..names.len()).map(|i| one(i).unwrap_or_else(|| named(i))).collect()
    };
    match &node.op {
        StreamOp::GroupAggregate(spec) => aggregated(&spec.group_keys, &spec.aggregates),
        StreamOp::WindowAggregate(spec) => aggregated(&spec.group_keys, &spec.aggregates),
        StreamOp::LocalWindowAggregate(spec) => aggregated(&spec.group_keys, &[]),
        StreamOp::LocalGroupAggregate(spec) => aggregated(&spec.group_keys, &[]),
        StreamOp::GlobalWindowAggregate(spec) => aggregated(&(0..spec.group_keys.len()).collect::<Vec<_>>(), &[]),
        StreamOp::GlobalGroupAggregate(spec) => aggregated(&(0..spec.group_keys.len()).collect::<Vec<_>>(), &[]),
        _ => {
            let inputs = node.input().map(|i| i.schema.fields().clone()).unwrap_or_default();
            let same = |i: usize| inputs.get(i).is_some_and(|f| f.name() == names[i]);
            (0..names.len()).map(|i| at(i).filter(|_| same(i)).unwrap_or_else(|| named(i))).collect()
        }
    }
}

/// The columns of a join; of a table that is joined with itself those of the right side have another name.
fn both(node: &StreamNode, left: Option<&Branch>, right: Option<&Branch>) -> Vec<Arc<Term>> {
    let names = node.schema.fields();
    let of_left = node.inputs.first().map_or(0, |i| i.node.schema.fields().len());
    let mut columns: Vec<Arc<Term>> = vec![];
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for (i, field) in names.iter().enumerate() {
        let term = match i.checked_sub(of_left) {
            None => left.and_then(|b| b.columns.get(i)),
            Some(i) => right.and_then(|b| b.columns.get(i)),
        };
        let term = term.cloned().unwrap_or_else(|| Term::column(field.name().clone()));
        if i < of_left {
            taken.insert(term.text.clone());
        }
        let again = i >= of_left && taken.contains(&term.text);
        columns.push(if again { Term::column(format!("{}#2", term.inside())) } else { term });
    }
    columns
}

fn aggregate(call: &AggregateCall, below: &Branch) -> Arc<Term> {
    let of = |place: &usize| below.columns.get(*place).map_or_else(String::new, |c| c.text.clone());
    let arguments: Vec<String> = call.arguments.iter().map(of).collect();
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let filter = call.filter.iter().map(|f| format!(" FILTER {}", of(f))).collect::<String>();
    Term::column(format!("{}({distinct}{}){filter}", call.kind.name(), arguments.join(", ")))
}

/// The parts that AND holds together.
fn parts(e: &Expr, columns: &HashMap<&str, &Arc<Term>>) -> Vec<Arc<Term>> {
    let mut all = vec![];
    flatten(e, Operator::And, &mut all);
    all.into_iter().map(|e| term(e, columns)).collect()
}

fn flatten<'e>(e: &'e Expr, op: Operator, all: &mut Vec<&'e Expr>) {
    match e {
        Expr::Alias(alias) => flatten(&alias.expr, op, all),
        Expr::BinaryExpr(b) if b.op == op => {
            flatten(&b.left, op, all);
            flatten(&b.right, op, all);
        }
        other => all.push(other),
    }
}

/// The stored form of an expression.
fn term(e: &Expr, columns: &HashMap<&str, &Arc<Term>>) -> Arc<Term> {
    let of = |e: &Expr| term(e, columns);
    match e {
        Expr::Alias(alias) => of(&alias.expr),
        Expr::Column(c) => match columns.get(c.name.as_str()) {
            Some(term) => (*term).clone(),
            None => Term::column(c.name.clone()),
        },
        Expr::Literal(value, _) => Term::new(literal(value), true, true, vec![]),
        Expr::BinaryExpr(b) if matches!(b.op, Operator::And | Operator::Or) => {
            let mut all = vec![];
            flatten(e, b.op, &mut all);
            let mut all: Vec<Arc<Term>> = all.into_iter().map(of).collect();
            all.sort_by(|a, b| a.text.cmp(&b.text));
            all.dedup_by(|a, b| a.text == b.text);
            let word = if b.op == Operator::And { " AND " } else { " OR " };
            let text = all.iter().map(|t| t.inside()).collect::<Vec<_>>().join(word);
            Term::new(text, all.len() == 1, false, all)
        }
        Expr::BinaryExpr(b) => operation(&b.op.to_string(), of(&b.left), of(&b.right)),
        Expr::Not(x) => before("NOT", of(x)),
        Expr::Negative(x) => before("-", of(x)),
        Expr::IsNull(x) => behind("IS NULL", of(x)),
        Expr::IsNotNull(x) => behind("IS NOT NULL", of(x)),
        Expr::IsTrue(x) => behind("IS TRUE", of(x)),
        Expr::IsNotTrue(x) => behind("IS NOT TRUE", of(x)),
        Expr::IsFalse(x) => behind("IS FALSE", of(x)),
        Expr::IsNotFalse(x) => behind("IS NOT FALSE", of(x)),
        Expr::IsUnknown(x) => behind("IS NULL", of(x)),
        Expr::IsNotUnknown(x) => behind("IS NOT NULL", of(x)),
        Expr::InList(list) => {
            let value = of(&list.expr);
            let mut all: Vec<Arc<Term>> = list.list.iter().map(of).collect();
            all.sort_by(|a, b| a.text.cmp(&b.text));
            all.dedup_by(|a, b| a.text == b.text);
            let texts: Vec<&str> = all.iter().map(|t| t.text.as_str()).collect();
            let not = if list.negated { "NOT " } else { "" };
            let text = format!("{} {not}IN ({})", value.inside(), texts.join(", "));
            Term::new(text, false, false, std::iter::once(value).chain(all).collect())
        }
        Expr::Case(case) => {
            let mut all: Vec<Arc<Term>> = case.expr.iter().map(|e| of(e)).collect();
            all.extend(case.when_then_expr.iter().flat_map(|(when, then)| [of(when), of(then)]));
            all.extend(case.else_expr.iter().map(|e| of(e)));
            call("CASE", all)
        }
        Expr::Cast(cast) => {
            let t = flott_core::types::from_arrow_field(&cast.field);
            let t = t.map_or_else(|| cast.field.data_type().to_string(), |t| t.with_nullable(true).to_string());
            call(&format!("CAST {t}"), vec![of(&cast.expr)])
        }
        Expr::ScalarFunction(f) => {
            let arguments: Vec<Arc<Term>> = meaning::arguments_that_count(f).iter().map(of).collect();
            match (Functions::shown(f), arguments.as_slice()) {
                (Some(Shown::Operator(op)), [a, b]) => operation(op, a.clone(), b.clone()),
                (Some(Shown::Cast(name, t)), _) => call(&format!("{name} {t}"), arguments),
                (Some(Shown::Field(field)), _) => call(&format!("FIELD {field}"), arguments),
                _ => call(f.func.name(), arguments),
            }
        }
        // Nothing else stands in a condition; what would is at least told apart.
        other => Term::column(format!("{other}")),
    }
}

/// With the constant on the right, and otherwise the lesser text on the left.
fn operation(op: &str, a: Arc<Term>, b: Arc<Term>) -> Arc<Term> {
    let turned = match op {
        "=" | "<>" | "IS DISTINCT FROM" | "IS NOT DISTINCT FROM" => Some(op),
        "!=" => Some("<>"),
        "<" => Some(">"),
        ">" => Some("<"),
        "<=" => Some(">="),
        ">=" => Some("<="),
        _ => None,
    };
    let other_way = (a.is_constant, &a.text) > (b.is_constant, &b.text);
    let (a, op, b) = match turned.filter(|_| other_way) {
        Some(turned) => (b, turned, a),
        None => (a, if op == "!=" { "<>" } else { op }, b),
    };
    let constant = a.is_constant && b.is_constant;
    Term::new(format!("{} {op} {}", a.inside(), b.inside()), false, constant, vec![a, b])
}

fn before(word: &str, x: Arc<Term>) -> Arc<Term> {
    Term::new(format!("{word} {}", x.inside()), false, x.is_constant, vec![x])
}

fn behind(words: &str, x: Arc<Term>) -> Arc<Term> {
    Term::new(format!("{} {words}", x.inside()), false, x.is_constant, vec![x])
}

/// A call of no arguments may give another value at each call.
fn call(name: &str, arguments: Vec<Arc<Term>>) -> Arc<Term> {
    let texts: Vec<&str> = arguments.iter().map(|t| t.text.as_str()).collect();
    Term::new(format!("{name}({})", texts.join(", ")), true, false, arguments)
}

fn literal(value: &ScalarValue) -> String {
    if value.is_null() {
        return "NULL".to_string();
    }
    match value {
        ScalarValue::Utf8(Some(s)) | ScalarValue::LargeUtf8(Some(s)) | ScalarValue::Utf8View(Some(s)) => {
            format!("'{}'", s.replace('\'', "''"))
        }
        ScalarValue::Boolean(Some(b)) => if *b { "TRUE" } else { "FALSE" }.to_string(),
        ScalarValue::Int8(Some(v)) => v.to_string(),
        ScalarValue::Int16(Some(v)) => v.to_string(),
        ScalarValue::Int32(Some(v)) => v.to_string(),
        ScalarValue::Int64(Some(v)) => v.to_string(),
        ScalarValue::Float32(Some(v)) => format!("{v:e}"),
        ScalarValue::Float64(Some(v)) => format!("{v:e}"),
        ScalarValue::Decimal128(Some(v), _, scale) => format!("{v}e-{scale}"),
        ScalarValue::Date32(Some(v)) => format!("DATE {v}"),
        ScalarValue::Time32Millisecond(Some(v)) => format!("TIME {v} ms"),
        ScalarValue::TimestampMillisecond(Some(v), zone) => timestamp(*v, "ms", zone.is_some()),
        ScalarValue::TimestampMicrosecond(Some(v), zone) => timestamp(*v, "us", zone.is_some()),
        ScalarValue::TimestampNanosecond(Some(v), zone) => timestamp(*v, "ns", zone.is_some()),
        ScalarValue::DurationMillisecond(Some(v)) => format!("INTERVAL {v} ms"),
        ScalarValue::IntervalYearMonth(Some(v)) => format!("INTERVAL {v} months"),
        other => format!("{other:?}"),
    }
}

fn timestamp(v: i64, unit: &str, local: bool) -> String {
    format!("{} {v} {unit}", if local { "TIMESTAMP_LTZ" } else { "TIMESTAMP" })
}
