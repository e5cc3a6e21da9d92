//! Random queries, as trees that can be made smaller.

use flott_core::rng::Rng;

use crate::expression::{Expression, Scope, TYPES, Type, pick};
use crate::tables::table;

/// How deep expressions nest.
const DEPTH: usize = 3;
/// How deep queries nest.
const NESTING: usize = 2;

/// What stands in FROM.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum From {
    Table(&'static str),
    Query(Box<Query>),
    Join { kind: &'static str, left: Box<From>, right: Box<From>, on: Vec<(String, String)>, also: Option<Expression> },
}

/// A query. Its columns are `c0`, `c1`, ..
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    Select {
        items: Vec<Expression>,
        distinct: bool,
        from: From,
        filter: Option<Expression>,
    },
    /// `tail`: IN or EXISTS with a sub-query, as text with the table it reads.
    Semi {
        items: Vec<Expression>,
        from: From,
        condition: String,
    },
    Group {
        keys: Vec<Expression>,
        aggregates: Vec<Expression>,
        /// GROUPING SETS, ROLLUP, CUBE or plain.
        form: &'static str,
        from: From,
        filter: Option<Expression>,
        having: Option<Expression>,
    },
    Set {
        operator: &'static str,
        left: Box<Query>,
        right: Box<Query>,
    },
    TopN {
        table: &'static str,
        partition: Option<String>,
        order: Vec<(String, &'static str)>,
        n: u64,
        with_number: bool,
    },
    Window {
        table: &'static str,
        function: &'static str,
        keys: Vec<String>,
        aggregates: Vec<Expression>,
    },
    Over {
        table: &'static str,
        items: Vec<Expression>,
        window: String,
    },
    Interval {
        kind: &'static str,
        bounds: &'static str,
    },
}

impl From {
    fn scope(&self, alias: &str) -> Scope {
        match self {
            From::Table(name) => {
                let columns = table(name).map_or(&[][..], |t| t.columns);
                columns.iter().map(|(n, t)| (format!("{alias}.{n}"), *t)).collect()
            }
            From::Query(query) => {
                query.types().into_iter().enumerate().map(|(i, t)| (format!("{alias}.c{i}"), t)).collect()
            }
            From::Join { left, right, .. } => {
                let (l, r) = (format!("{alias}l"), format!("{alias}r"));
                left.scope(&l).into_iter().chain(right.scope(&r)).collect()
            }
        }
    }

    fn sql(&self, alias: &str) -> String {
        match self {
            From::Table(name) => format!("{name} AS {alias}"),
            From::Query(query) => format!("({}) AS {alias}", query.sql()),
            From::Join { kind, left, right, on, also } => {
                let (l, r) = (format!("{alias}l"), format!("{alias}r"));
                let mut conditions: Vec<String> = on.iter().map(|(a, b)| format!("{a} = {b}")).collect();
                conditions.extend(also.as_ref().map(|e| format!("({})", e.sql())));
                format!("{} {kind} JOIN {} ON {}", left.sql(&l), right.sql(&r), conditions.join(" AND "))
            }
        }
    }

    fn smaller(&self) -> Vec<From> {
        match self {
            From::Table(_) => vec![],
            From::Query(q) => q.smaller().into_iter().map(|q| From::Query(Box::new(q))).collect(),
            From::Join { kind, left, right, on, also } => {
                let mut all = vec![];
                let made = |left: &From, right: &From, also: Option<Expression>| From::Join {
                    kind,
                    left: Box::new(left.clone()),
                    right: Box::new(right.clone()),
                    on: on.clone(),
                    also,
                };
                if let Some(e) = also {
                    all.push(made(left, right, None));
                    all.extend(e.smaller().into_iter().map(|e| made(left, right, Some(e))));
                }
                all.extend(left.smaller().into_iter().map(|l| made(&l, right, also.clone())));
                all.extend(right.smaller().into_iter().map(|r| made(left, &r, also.clone())));
                all
            }
        }
    }

    fn random(rng: &mut Rng, alias: &str, nesting: usize) -> From {
        match rng.below(if nesting > 0 { 8 } else { 4 }) {
            0..=3 => From::Table(["t1", "t2"][rng.below(2) as usize]),
            4..=5 => From::Query(Box::new(Query::random(rng, nesting - 1))),
            _ => {
                let (l, r) = (format!("{alias}l"), format!("{alias}r"));
                let (left, right) = (From::random(rng, &l, nesting - 1), From::random(rng, &r, nesting - 1));
                let (ls, rs) = (left.scope(&l), right.scope(&r));
                let pairs: Vec<(String, String)> = ls
                    .iter()
                    .flat_map(|(a, t)| rs.iter().filter(move |(_, u)| t == u).map(move |(b, _)| (a.clone(), b.clone())))
                    .collect();
                if pairs.is_empty() {
                    return left;
                }
                let on = (0..1 + rng.below(2)).map(|_| pick(rng, &pairs).clone()).collect();
                let both: Scope = ls.into_iter().chain(rs).collect();
                let also = (rng.below(3) == 0).then(|| Expression::random(rng, &both, Type::Boolean, 2));
                let kind = *pick(rng, &["INNER", "LEFT", "RIGHT", "FULL"]);
                From::Join { kind, left: Box::new(left), right: Box::new(right), on, also }
            }
        }
    }
}

/// Aggregates of a column: the call, over which types, and its type.
const AGGREGATES: &[(&str, &[Type], Option<Type>)] = &[
    ("COUNT({})", TYPES, Some(Type::BigInt)),
    ("COUNT(DISTINCT {})", TYPES, Some(Type::BigInt)),
    ("MIN({})", TYPES, None),
    ("MAX({})", TYPES, None),
    ("SUM({})", &[Type::Int, Type::BigInt], None),
    ("SUM(DISTINCT {})", &[Type::Int, Type::BigInt], None),
    ("AVG({})", &[Type::Int, Type::BigInt], None),
    ("CAST(SUM({}) AS DECIMAL(10, 2))", &[Type::Decimal], None),
    ("CAST(AVG({}) AS DECIMAL(10, 2))", &[Type::Decimal], None),
];

fn aggregate(rng: &mut Rng, scope: &Scope, filtered: bool) -> Expression {
    if rng.below(5) == 0 {
        return Expression::Leaf("COUNT(*)".into(), Type::BigInt);
    }
    let (form, types, kind) = *pick(rng, AGGREGATES);
    // The least and the greatest of truth values are refused by Flink.
    let usable: Vec<Type> = types.iter().copied().filter(|t| kind.is_some() || *t != Type::Boolean).collect();
    let of = *pick(rng, &usable);
    let argument = Expression::random(rng, scope, of, 1);
    let kind = kind.unwrap_or(of);
    if filtered && rng.below(4) == 0 && !form.starts_with("CAST") {
        let condition = Expression::random(rng, scope, Type::Boolean, 1);
        let call = format!("{} FILTER (WHERE {})", form.replace("{}", &argument.sql()), condition.sql());
        return Expression::Leaf(call, kind);
    }
    Expression::Call(form, vec![argument], kind)
}

fn some<T>(rng: &mut Rng, most: u64, mut make: impl FnMut(&mut Rng) -> T) -> Vec<T> {
    (0..1 + rng.below(most)).map(|_| make(rng)).collect()
}

impl Query {
    /// A query over the tables.
    pub(crate) fn any(rng: &mut Rng) -> Query {
        Query::random(rng, NESTING)
    }

    fn random(rng: &mut Rng, nesting: usize) -> Query {
        match rng.below(16) {
            0..=3 => {
                let from = From::random(rng, "t", nesting);
                let scope = from.scope("t");
                let items = some(rng, 4, |rng| {
                    let kind = *pick(rng, TYPES);
                    Expression::random(rng, &scope, kind, DEPTH)
                });
                let filter = (rng.below(2) == 0).then(|| Expression::random(rng, &scope, Type::Boolean, DEPTH));
                Query::Select { items, distinct: rng.below(4) == 0, from, filter }
            }
            4..=7 => {
                let from = From::random(rng, "t", nesting);
                let scope = from.scope("t");
                let form = *pick(rng, &["", "", "", "ROLLUP", "CUBE", "GROUPING SETS"]);
                let keys = (0..rng.below(3))
                    .map(|_| {
                        let (name, kind) = pick(rng, &scope).clone();
                        match form.is_empty() && rng.below(3) == 0 {
                            true => Expression::random(rng, &scope, kind, 1),
                            false => Expression::Leaf(name, kind),
                        }
                    })
                    .collect::<Vec<_>>();
                let form = if keys.is_empty() { "" } else { form };
                let aggregates = some(rng, 3, |rng| aggregate(rng, &scope, true));
                let filter = (rng.below(3) == 0).then(|| Expression::random(rng, &scope, Type::Boolean, 2));
                let having = (rng.below(4) == 0).then(|| Expression::Leaf("COUNT(*) > 1".into(), Type::Boolean));
                Query::Group { keys, aggregates, form, from, filter, having }
            }
            8 => {
                let from = From::Table(["t1", "t2"][rng.below(2) as usize]);
                let scope = from.scope("t");
                let other = ["t1", "t2"][rng.below(2) as usize];
                let columns = table(other).map_or(&[][..], |t| t.columns);
                let (name, kind) = *pick(rng, columns);
                let items = some(rng, 3, |rng| {
                    let (name, kind) = pick(rng, &scope).clone();
                    Expression::Leaf(name, kind)
                });
                let not = *pick(rng, &["", "NOT "]);
                let own = Expression::random(rng, &scope, kind, 1).sql();
                let condition = match rng.below(3) {
                    0 => format!("({own}) {not}IN (SELECT u.{name} FROM {other} AS u)"),
                    1 => format!("({own}) {not}IN (SELECT u.{name} FROM {other} AS u WHERE u.{name} IS NOT NULL)"),
                    _ => format!("{not}EXISTS (SELECT 1 FROM {other} AS u WHERE u.{name} = t.{name} AND u.id > 1)"),
                };
                Query::Semi { items, from, condition }
            }
            9 => {
                let operator =
                    *pick(rng, &["UNION ALL", "UNION", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"]);
                let kinds = some(rng, 2, |rng| *pick(rng, TYPES));
                let side = |rng: &mut Rng| {
                    let from = From::random(rng, "t", nesting.saturating_sub(1));
                    let scope = from.scope("t");
                    let items = kinds.iter().map(|t| Expression::random(rng, &scope, *t, 1)).collect();
                    Box::new(Query::Select { items, distinct: false, from, filter: None })
                };
                Query::Set { operator, left: side(rng), right: side(rng) }
            }
            10..=11 => {
                let table_name = ["t1", "t2"][rng.below(2) as usize];
                let columns = table(table_name).map_or(&[][..], |t| t.columns);
                let name = |rng: &mut Rng| pick(rng, columns).0.to_string();
                let partition = (rng.below(3) > 0).then(|| name(rng));
                let mut order: Vec<(String, &str)> = some(rng, 2, |rng| {
                    let direction = *pick(rng, &["", " DESC", " DESC NULLS LAST", " ASC NULLS LAST", " NULLS FIRST"]);
                    (name(rng), direction)
                });
                order.push(("id".into(), ""));
                Query::TopN { table: table_name, partition, order, n: 1 + rng.below(3), with_number: rng.below(2) == 0 }
            }
            12..=13 => {
                let table_name = ["e1", "e2"][rng.below(2) as usize];
                let scope = From::Table(table_name).scope("w");
                let function = *pick(
                    rng,
                    &[
                        "TUMBLE(TABLE {}, DESCRIPTOR(rt), INTERVAL '5' SECOND)",
                        "TUMBLE(TABLE {}, DESCRIPTOR(rt), INTERVAL '5' SECOND, INTERVAL '2' SECOND)",
                        "HOP(TABLE {}, DESCRIPTOR(rt), INTERVAL '5' SECOND, INTERVAL '10' SECOND)",
                        "HOP(TABLE {}, DESCRIPTOR(rt), INTERVAL '4' SECOND, INTERVAL '12' SECOND)",
                        "CUMULATE(TABLE {}, DESCRIPTOR(rt), INTERVAL '5' SECOND, INTERVAL '20' SECOND)",
                        "SESSION(TABLE {} PARTITION BY k, DESCRIPTOR(rt), INTERVAL '6' SECOND)",
                        "SESSION(TABLE {}, DESCRIPTOR(rt), INTERVAL '6' SECOND)",
                    ],
                );
                let keys = match (function.contains("PARTITION BY"), rng.below(3)) {
                    (true, 0) => vec!["w.k".to_string(), "w.s".to_string()],
                    (true, _) => vec!["w.k".to_string()],
                    (false, 0) => vec![],
                    (false, 1) => vec!["w.s".to_string()],
                    (false, _) => vec!["w.k".to_string()],
                };
                let aggregates = some(rng, 3, |rng| aggregate(rng, &scope, true));
                Query::Window { table: table_name, function, keys, aggregates }
            }
            14 => {
                let table_name = ["e1", "e2"][rng.below(2) as usize];
                let scope = From::Table(table_name).scope("t");
                let frame = *pick(
                    rng,
                    &[
                        "",
                        "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
                        "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
                        "RANGE BETWEEN INTERVAL '5' SECOND PRECEDING AND CURRENT ROW",
                        "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
                    ],
                );
                let partition = *pick(rng, &["", "PARTITION BY t.k ", "PARTITION BY t.s "]);
                let items = some(rng, 2, |rng| aggregate(rng, &scope, false))
                    .into_iter()
                    .filter(|e| !e.sql().starts_with("CAST"))
                    .collect::<Vec<_>>();
                let items = match items.is_empty() {
                    true => vec![Expression::Leaf("COUNT(*)".into(), Type::BigInt)],
                    false => items,
                };
                Query::Over { table: table_name, items, window: format!("({partition}ORDER BY t.rt {frame})") }
            }
            _ => Query::Interval {
                kind: pick::<&str>(rng, &["INNER", "LEFT", "RIGHT", "FULL"]),
                bounds: pick::<&str>(
                    rng,
                    &[
                        "l.rt BETWEEN r.rt - INTERVAL '5' SECOND AND r.rt + INTERVAL '5' SECOND",
                        "l.rt >= r.rt AND l.rt < r.rt + INTERVAL '10' SECOND",
                        "l.rt = r.rt",
                    ],
                ),
            },
        }
    }

    /// The types of its columns.
    fn types(&self) -> Vec<Type> {
        let of = |items: &[Expression]| items.iter().map(Expression::kind).collect::<Vec<_>>();
        match self {
            Query::Select { items, .. } | Query::Semi { items, .. } => of(items),
            Query::Group { keys, aggregates, .. } => of(keys).into_iter().chain(of(aggregates)).collect(),
            Query::Set { left, .. } => left.types(),
            Query::TopN { with_number, .. } => {
                let kinds = [Type::Int, Type::Int, Type::String];
                kinds.into_iter().chain(with_number.then_some(Type::BigInt)).collect()
            }
            Query::Window { keys, aggregates, .. } => {
                let key = |k: &String| if k == "w.k" { Type::Int } else { Type::String };
                let times = [Type::Timestamp, Type::Timestamp];
                keys.iter().map(key).chain(times).chain(of(aggregates)).collect()
            }
            Query::Over { items, .. } => [Type::Int].into_iter().chain(of(items)).collect(),
            Query::Interval { .. } => vec![Type::Int, Type::Int, Type::BigInt, Type::BigInt],
        }
    }

    /// Its text.
    pub(crate) fn sql(&self) -> String {
        let named = |items: &[Expression], from: usize| -> String {
            let one = |(i, e): (usize, &Expression)| format!("{} AS c{}", e.sql(), from + i);
            items.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
        };
        let filtered = |e: &Option<Expression>| e.as_ref().map(|e| format!(" WHERE {}", e.sql())).unwrap_or_default();
        match self {
            Query::Select { items, distinct, from, filter } => format!(
                "SELECT {}{} FROM {}{}",
                if *distinct { "DISTINCT " } else { "" },
                named(items, 0),
                from.sql("t"),
                filtered(filter)
            ),
            Query::Semi { items, from, condition } => {
                format!("SELECT {} FROM {} WHERE {condition}", named(items, 0), from.sql("t"))
            }
            Query::Group { keys, aggregates, form, from, filter, having } => {
                let list = keys.iter().map(Expression::sql).collect::<Vec<_>>();
                let group = match (*form, list.is_empty()) {
                    (_, true) => String::new(),
                    ("", _) => format!(" GROUP BY {}", list.join(", ")),
                    ("GROUPING SETS", _) => format!(" GROUP BY GROUPING SETS (({}), ())", list.join(", ")),
                    (form, _) => format!(" GROUP BY {form} ({})", list.join(", ")),
                };
                let having = having.as_ref().map(|e| format!(" HAVING {}", e.sql())).unwrap_or_default();
                let items: Vec<Expression> = keys.iter().chain(aggregates).cloned().collect();
                format!("SELECT {} FROM {}{}{group}{having}", named(&items, 0), from.sql("t"), filtered(filter))
            }
            Query::Set { operator, left, right } => format!("({}) {operator} ({})", left.sql(), right.sql()),
            Query::TopN { table, partition, order, n, with_number } => {
                let order: Vec<String> = order.iter().map(|(c, d)| format!("{c}{d}")).collect();
                let partition = partition.as_ref().map(|p| format!("PARTITION BY {p} ")).unwrap_or_default();
                let number = if *with_number { ", rn AS c3" } else { "" };
                format!(
                    "SELECT id AS c0, k AS c1, s AS c2{number} FROM (SELECT *, ROW_NUMBER() OVER ({partition}ORDER BY \
                     {}) AS rn FROM {table}) WHERE rn <= {n}",
                    order.join(", ")
                )
            }
            Query::Window { table, function, keys, aggregates } => {
                let names: Vec<String> = keys.iter().enumerate().map(|(i, k)| format!("{k} AS c{i}, ")).collect();
                let by: String = keys.iter().map(|k| format!("{k}, ")).collect();
                let n = keys.len();
                format!(
                    "SELECT {}w.window_start AS c{n}, w.window_end AS c{}, {} FROM TABLE({}) AS w GROUP BY \
                     {by}w.window_start, w.window_end",
                    names.concat(),
                    n + 1,
                    named(aggregates, n + 2),
                    function.replace("{}", table)
                )
            }
            Query::Over { table, items, window } => {
                let one = |(i, e): (usize, &Expression)| format!("{} OVER {window} AS c{}", e.sql(), i + 1);
                let items: Vec<String> = items.iter().enumerate().map(one).collect();
                format!("SELECT t.id AS c0, {} FROM {table} AS t", items.join(", "))
            }
            Query::Interval { kind, bounds } => format!(
                "SELECT l.id AS c0, r.id AS c1, l.b AS c2, r.b AS c3 FROM e1 AS l {kind} JOIN e2 AS r ON l.k = r.k AND \
                 {bounds}"
            ),
        }
    }

    /// Smaller queries that may still show the same, the smallest first. Some of them are no longer right.
    pub(crate) fn smaller(&self) -> Vec<Query> {
        let mut all = vec![];
        match self {
            Query::Select { items, distinct, from, filter } => {
                let made = |items: Vec<Expression>, distinct: bool, from: From, filter: Option<Expression>| {
                    Query::Select { items, distinct, from, filter }
                };
                if let From::Query(inner) = from {
                    all.push((**inner).clone());
                }
                if filter.is_some() {
                    all.push(made(items.clone(), *distinct, from.clone(), None));
                }
                if *distinct {
                    all.push(made(items.clone(), false, from.clone(), filter.clone()));
                }
                all.extend(fewer(items).into_iter().map(|i| made(i, *distinct, from.clone(), filter.clone())));
                all.extend(from.smaller().into_iter().map(|f| made(items.clone(), *distinct, f, filter.clone())));
                all.extend(each(items).into_iter().map(|i| made(i, *distinct, from.clone(), filter.clone())));
                let filters = filter.iter().flat_map(Expression::smaller);
                all.extend(filters.map(|f| made(items.clone(), *distinct, from.clone(), Some(f))));
            }
            Query::Semi { items, from, condition } => {
                let made = |items| Query::Semi { items, from: from.clone(), condition: condition.clone() };
                all.extend(fewer(items).into_iter().map(made));
            }
            Query::Group { keys, aggregates, form, from, filter, having } => {
                let base = self.clone();
                let with = |change: &dyn Fn(&mut Query)| {
                    let mut q = base.clone();
                    change(&mut q);
                    q
                };
                if let From::Query(inner) = from {
                    all.push((**inner).clone());
                }
                if having.is_some() {
                    all.push(with(&|q| {
                        if let Query::Group { having, .. } = q {
                            *having = None;
                        }
                    }));
                }
                let mut filters: Vec<Option<Expression>> = vec![];
                if let Some(e) = filter {
                    filters.push(None);
                    filters.extend(e.smaller().into_iter().map(Some));
                }
                if !form.is_empty() {
                    all.push(with(&|q| {
                        if let Query::Group { form, .. } = q {
                            *form = "";
                        }
                    }));
                }
                for fewer_keys in fewer(keys).into_iter().chain((keys.len() == 1).then(Vec::new)) {
                    all.push(with(&|q| {
                        if let Query::Group { keys, form, .. } = q {
                            keys.clone_from(&fewer_keys);
                            if keys.is_empty() {
                                *form = "";
                            }
                        }
                    }));
                }
                for fewer_calls in fewer(aggregates).into_iter().chain(each(aggregates)) {
                    all.push(with(&|q| {
                        if let Query::Group { aggregates, .. } = q {
                            aggregates.clone_from(&fewer_calls);
                        }
                    }));
                }
                for f in from.smaller() {
                    all.push(with(&|q| {
                        if let Query::Group { from, .. } = q {
                            *from = f.clone();
                        }
                    }));
                }
                for f in filters {
                    all.push(with(&|q| {
                        if let Query::Group { filter, .. } = q {
                            filter.clone_from(&f);
                        }
                    }));
                }
                for k in each(keys) {
                    all.push(with(&|q| {
                        if let Query::Group { keys, .. } = q {
                            keys.clone_from(&k);
                        }
                    }));
                }
            }
            Query::Set { operator, left, right } => {
                all.push((**left).clone());
                all.push((**right).clone());
                let made =
                    |left: Query, right: Query| Query::Set { operator, left: Box::new(left), right: Box::new(right) };
                all.extend(left.smaller().into_iter().map(|l| made(l, (**right).clone())));
                all.extend(right.smaller().into_iter().map(|r| made((**left).clone(), r)));
            }
            Query::TopN { table, partition, order, n, with_number } => {
                let made = |partition: Option<String>, order: Vec<(String, &'static str)>, with_number| Query::TopN {
                    table,
                    partition,
                    order,
                    n: *n,
                    with_number,
                };
                if partition.is_some() {
                    all.push(made(None, order.clone(), *with_number));
                }
                if *with_number {
                    all.push(made(partition.clone(), order.clone(), false));
                }
                for i in 0..order.len().saturating_sub(1) {
                    let mut order = order.clone();
                    order.remove(i);
                    all.push(made(partition.clone(), order, *with_number));
                }
            }
            Query::Window { table, function, keys, aggregates } => {
                let made = |keys: Vec<String>, aggregates: Vec<Expression>| Query::Window {
                    table,
                    function,
                    keys,
                    aggregates,
                };
                if !keys.is_empty() {
                    all.push(made(vec![], aggregates.clone()));
                }
                all.extend(fewer(aggregates).into_iter().chain(each(aggregates)).map(|a| made(keys.clone(), a)));
            }
            Query::Over { table, items, window } => {
                let made = |items| Query::Over { table, items, window: window.clone() };
                all.extend(fewer(items).into_iter().chain(each(items)).map(made));
            }
            Query::Interval { .. } => {}
        }
        all
    }
}

/// Without one of several.
fn fewer(items: &[Expression]) -> Vec<Vec<Expression>> {
    if items.len() < 2 {
        return vec![];
    }
    let without = |i: usize| {
        let mut items = items.to_vec();
        items.remove(i);
        items
    };
    (0..items.len()).map(without).collect()
}

/// With one of them smaller.
fn each(items: &[Expression]) -> Vec<Vec<Expression>> {
    let mut all = vec![];
    for (i, item) in items.iter().enumerate() {
        for smaller in item.smaller() {
            let mut items = items.to_vec();
            items[i] = smaller;
            all.push(items);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::TABLES;

    #[test]
    fn a_seed_gives_the_same_query_and_every_kind_comes() {
        let sql = |seed| Query::any(&mut Rng::seeded(seed)).sql();
        assert_eq!(sql(7), sql(7));
        let all: Vec<String> = (0..300).map(sql).collect();
        let has = |what: &str| all.iter().filter(|q| q.contains(what)).count();
        for what in ["JOIN", "GROUP BY", "OVER (", "TUMBLE", "SESSION", "IN (SELECT", "EXISTS", "INTERSECT", "ROLLUP"] {
            assert!(has(what) > 2, "{what}");
        }
        assert!(TABLES.iter().all(|t| has(t.name) > 0));
    }

    #[test]
    fn what_is_smaller_is_shorter_in_the_end() {
        for seed in 0..50 {
            let mut query = Query::any(&mut Rng::seeded(seed));
            let mut steps = 0;
            while let Some(smaller) = query.smaller().into_iter().find(|s| s.sql().len() < query.sql().len()) {
                query = smaller;
                steps += 1;
                assert!(steps < 500, "{}", query.sql());
            }
        }
    }
}
