//! `--expressions N`: random expressions on Flott and on Flink; values as the SQL client prints them, types, and what both
//! refuse. Many are in one statement, since Flink compiles each statement; where a statement is refused it is halved.

mod generate;
pub(crate) mod known;

use std::collections::BTreeMap;
use std::path::Path;

use flott::Session;
use flott_core::rng::Rng;

use crate::gateway::{Gateway, Table};
use crate::here;
use generate::{Forms, Tree};

/// Expressions in one statement.
const BATCH: usize = 50;
/// Rows that expressions see: values at the edges, then NULL, then plain ones.
const INPUT: &str = "(SELECT CAST(i AS INT), CAST(b AS BIGINT), CAST(d AS DECIMAL(10, 2)), CAST(x AS DOUBLE), \
     CAST(s AS STRING), CAST(f AS BOOLEAN), CAST(dt AS DATE), CAST(tm AS TIME), CAST(ts AS TIMESTAMP(3)) FROM (VALUES \
     (1, 10, 1.25, 1.5, 'Hello', TRUE, '2024-03-31', '01:02:03', '2024-03-31 02:30:00.123'), \
     (-2147483647, 9223372036854775807, -99999999.99, -1000000.0, 'ä b,c', FALSE, '1970-01-01', '23:59:59', \
     '1970-01-01 00:00:00'), (CAST(NULL AS INT), CAST(NULL AS BIGINT), CAST(NULL AS DECIMAL(10, 2)), CAST(NULL AS DOUBLE), \
     CAST(NULL AS STRING), CAST(NULL AS BOOLEAN), CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS STRING)), \
     (3, 7, 0.00, 0.0, '', TRUE, '2000-12-31', '00:00:00', '2000-12-31 23:59:59.999')) \
     AS v(i, b, d, x, s, f, dt, tm, ts)) AS t(i, b, d, x, s, f, dt, tm, ts)";

/// What one expression gives: its type and its values, or why there is none.
pub(crate) type Outcome = Result<(String, Vec<String>), String>;

/// Both engines, and where they are known to differ.
pub(crate) struct Both {
    flink: Gateway,
    flott: Session,
    /// Where the columns of expressions come from.
    input: String,
    /// Gives up where the gateway is gone.
    lost: Option<String>,
}

/// A difference: the expression, what Flott says, what Flink says.
struct Difference {
    group: String,
    sql: String,
    flott: String,
    flink: String,
}

impl Both {
    /// Sessions with these options besides.
    pub(crate) async fn open(gateway: &str, mode: &str, more: &[(String, String)]) -> Result<Both, String> {
        let mut settings =
            vec![("execution.runtime-mode", mode), ("table.local-time-zone", "UTC"), ("parallelism.default", "1")];
        settings.extend(more.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let flink = Gateway::open(gateway, &settings).await?;
        let mut builder = Session::builder();
        for (key, value) in settings {
            builder = builder.option(key, value);
        }
        Ok(Both { flink, flott: builder.build().map_err(|e| e.to_string())?, input: INPUT.to_string(), lost: None })
    }

    async fn flott(&mut self, sql: &str) -> Outcome {
        let table = here::table(&mut self.flott, &query(&[sql], &self.input)).await?;
        let kind = table.types.into_iter().next().unwrap_or_default();
        Ok((kind, table.rows.into_iter().map(|mut r| r.swap_remove(0)).collect()))
    }

    /// What Flink makes of each.
    async fn flink(&mut self, all: &[String]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; all.len()];
        let mut open: Vec<Vec<usize>> = vec![(0..all.len()).collect()];
        while let Some(group) = open.pop() {
            if group.is_empty() {
                continue;
            }
            let texts: Vec<&str> = group.iter().map(|i| all[*i].as_str()).collect();
            match self.flink.table(&query(&texts, &self.input)).await {
                Ok(Table { types, rows, .. }) => {
                    for (column, i) in group.iter().enumerate() {
                        let values = rows.iter().map(|r| r.get(column).cloned().unwrap_or_default()).collect();
                        outcomes[*i] = Some(Ok((types.get(column).cloned().unwrap_or_default(), values)));
                    }
                }
                Err(e) if group.len() == 1 => {
                    if e.contains("the gateway does not answer") {
                        self.lost = Some(e.clone());
                    }
                    outcomes[group[0]] = Some(Err(e));
                }
                Err(e) => match line(&e).and_then(|n| n.checked_sub(2)).filter(|n| *n < group.len()) {
                    // The validator names the line: one expression stands on each.
                    Some(guilty) => {
                        outcomes[group[guilty]] = Some(Err(e));
                        open.push(group.iter().copied().filter(|i| *i != group[guilty]).collect());
                    }
                    None => {
                        let (left, right) = group.split_at(group.len() / 2);
                        open.extend([left.to_vec(), right.to_vec()]);
                    }
                },
            }
        }
        outcomes.into_iter().map(|o| o.unwrap_or_else(|| Err("not asked".into()))).collect()
    }

    /// The subject of the row of `docs/deviations.md` that explains a difference.
    async fn reason(
        &mut self,
        known: &known::Known,
        kind: &str,
        texts: [&str; 3],
        flink: &Outcome,
    ) -> Option<&'static str> {
        let reason = known.reason(kind, texts);
        if reason.is_some() || kind != "value" {
            return reason;
        }
        // Flink casts the values of IN to the type of what is looked for: Flott says the same where that is written.
        let (needle, negated, values) = in_list(texts[0])?;
        let (needle_type, _) = self.flott(needle).await.ok()?;
        let plain = needle_type.trim_end_matches(" NOT NULL");
        let cast: Vec<String> = values.iter().map(|v| format!("TRY_CAST({v} AS {plain})")).collect();
        let written = format!("{needle} {}IN ({})", if negated { "NOT " } else { "" }, cast.join(", "));
        let (Ok((_, mut ours)), Ok((_, theirs))) = (self.flott(&written).await, flink) else { return None };
        let mut theirs = theirs.clone();
        ours.sort();
        theirs.sort();
        (ours == theirs).then_some(known::CAST_OF_IN)
    }
}

/// The parts of `x IN (a, b)`, where that is all of the expression: `x`, whether NOT stands before IN, the values.
fn in_list(sql: &str) -> Option<(&str, bool, Vec<&str>)> {
    let list = sql.strip_suffix(')')?;
    let (mut depth, mut quoted, mut at) = (0usize, false, None);
    let mut values = vec![];
    for (i, c) in sql.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' => {
                if depth == 0 && at.is_none() && sql.get(..i).is_some_and(|before| before.ends_with(" IN ")) {
                    at = Some((i - " IN ".len(), i + 1));
                }
                depth += 1;
            }
            ')' | ']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 && at.is_some() && i != list.len() {
                    return None;
                }
            }
            ',' if depth == 1 => {
                if let Some((_, start)) = &mut at {
                    values.push(sql.get(*start..i)?.trim());
                    *start = i + 1;
                }
            }
            _ => {}
        }
    }
    let (end, start) = at?;
    values.push(list.get(start..)?.trim());
    let needle = sql.get(..end)?;
    let negated = needle.strip_suffix(" NOT");
    Some((negated.unwrap_or(needle), negated.is_some(), values))
}

fn query(expressions: &[&str], input: &str) -> String {
    // A name for each, so that rows come back in their order.
    let columns: Vec<String> = expressions.iter().enumerate().map(|(n, e)| format!("{e} AS c{n}")).collect();
    format!("SELECT\n{}\nFROM {input}", columns.join(",\n"))
}

/// The line that an error of Flink's parser or validator begins at.
fn line(error: &str) -> Option<usize> {
    let rest = error.split("line ").nth(1)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Where two outcomes differ; `None` where they are the same or both refuse.
fn difference(flott: &Outcome, flink: &Outcome) -> Option<(&'static str, String, String)> {
    match (flott, flink) {
        (Err(_), Err(_)) => None,
        (Err(e), Ok((t, rows))) => Some(("Flott refuses", e.clone(), format!("{t} {rows:?}"))),
        (Ok((t, rows)), Err(e)) => Some(("Flink refuses", format!("{t} {rows:?}"), e.clone())),
        (Ok((ours, rows)), Ok((theirs, others))) => {
            if ours != theirs {
                let kind = if only_more_may_be_null(ours, theirs) { "nullable" } else { "type" };
                return Some((kind, ours.clone(), theirs.clone()));
            }
            let plain = |rows: &[String]| rows.iter().map(|r| unordered(ours, r)).collect::<Vec<_>>();
            let mut sorted = (plain(rows), plain(others));
            sorted.0.sort();
            sorted.1.sort();
            (sorted.0 != sorted.1).then(|| ("value", format!("{ours} {rows:?}"), format!("{others:?}")))
        }
    }
}

/// Whether the types differ in NOT NULL alone, which the second one says wherever the first one does, also inside.
fn only_more_may_be_null(ours: &str, theirs: &str) -> bool {
    // The type without them, and the places at which they stood.
    let taken_apart = |text: &str| {
        let (mut plain, mut places) = (String::new(), vec![]);
        for part in text.split(" NOT NULL") {
            plain.push_str(part);
            places.push(plain.len());
        }
        // Behind the last part there is none.
        places.pop();
        (plain, places)
    };
    let (ours, theirs) = (taken_apart(ours), taken_apart(theirs));
    ours.0 == theirs.0 && ours.1.iter().all(|place| theirs.1.contains(place))
}

/// A map with its entries in order: Flink's have none.
fn unordered(kind: &str, text: &str) -> String {
    let body = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let (true, Some(body)) = (kind.starts_with("MAP<"), body) else { return text.to_string() };
    let mut entries: Vec<&str> = body.split(", ").collect();
    entries.sort_unstable();
    format!("{{{}}}", entries.join(", "))
}

/// What to compare.
pub(crate) struct Plan<'a> {
    pub(crate) count: u64,
    pub(crate) seed: u64,
    pub(crate) depth: usize,
    /// One expression a line instead of random ones; a line `FROM ..` says where the columns of those behind it come from.
    pub(crate) from: Option<&'a Path>,
    /// Statements that a difference may cost while it is made smaller.
    pub(crate) shrink: usize,
    /// Examples of each group that are shown.
    pub(crate) examples: usize,
    /// Says what both engines give.
    pub(crate) verbose: bool,
    /// Shows the differences that are explained, too.
    pub(crate) explained: bool,
}

/// Runs it; whether nothing differs.
#[expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]
pub(crate) async fn run(both: &mut Both, plan: &Plan<'_>) -> Result<bool, String> {
    let forms = Forms::read()?;
    let known = known::Known::read()?;
    let mut inputs = vec![INPUT.to_string()];
    let mut work: Vec<(usize, Option<Tree>, String)> = match plan.from {
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
            let mut work = vec![];
            for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
                match line.strip_prefix("FROM ") {
                    Some(input) => inputs.push(input.to_string()),
                    None => work.push((inputs.len() - 1, None, line.to_string())),
                }
            }
            work
        }
        None => {
            let mut rng = Rng::seeded(plan.seed);
            let tree = |n| forms.nth(&mut rng, n, 1 + (n as usize / 7) % plan.depth.max(1));
            (0..plan.count).map(tree).map(|t| (0, Some(t.clone()), t.sql())).collect()
        }
    };
    let total = work.len();
    let mut groups: BTreeMap<String, Vec<Difference>> = BTreeMap::new();
    let mut refused = 0;
    let mut explained: BTreeMap<&'static str, u64> = BTreeMap::new();
    while !work.is_empty() {
        let input = work[0].0;
        let together = work.iter().take(BATCH).take_while(|w| w.0 == input).count();
        let batch: Vec<(Option<Tree>, String)> = work.drain(..together).map(|(_, tree, sql)| (tree, sql)).collect();
        both.input.clone_from(&inputs[input]);
        let mut ours = vec![];
        for (_, sql) in &batch {
            ours.push(both.flott(sql).await);
        }
        // What Flott refuses is asked alone: it would bring down the others.
        let mut theirs: Vec<Outcome> = vec![Err("not asked".into()); batch.len()];
        let (good, bad): (Vec<usize>, Vec<usize>) = (0..batch.len()).partition(|i| ours[*i].is_ok());
        let texts: Vec<String> = good.iter().map(|i| batch[*i].1.clone()).collect();
        for (i, outcome) in good.iter().zip(both.flink(&texts).await) {
            theirs[*i] = outcome;
        }
        for i in bad {
            theirs[i] = both.flink(std::slice::from_ref(&batch[i].1)).await.swap_remove(0);
        }
        if let Some(e) = &both.lost {
            return Err(e.clone());
        }
        for (((tree, sql), ours), theirs) in batch.into_iter().zip(ours).zip(theirs) {
            if plan.verbose {
                println!("{sql}\n  {ours:?}\n  {theirs:?}");
            }
            refused += u64::from(ours.is_err() && theirs.is_err());
            if difference(&ours, &theirs).is_none() {
                continue;
            }
            // Among many in one statement Flink mixes some up: what counts is the answer to the expression alone.
            let mut theirs = both.flink(std::slice::from_ref(&sql)).await.swap_remove(0);
            let Some((kind, mut flott, mut flink)) = difference(&ours, &theirs) else { continue };
            let (mut sql, mut form) = (sql, None);
            let mut reason = both.reason(&known, kind, [&sql, &flott, &flink], &theirs).await;
            if let (None, Some(mut tree)) = (reason, tree) {
                let mut left = plan.shrink;
                'smaller: loop {
                    for smaller in forms.smaller(&tree) {
                        if left == 0 {
                            break 'smaller;
                        }
                        let text = smaller.sql();
                        let one = both.flott(&text).await;
                        left -= 1;
                        let other = both.flink(std::slice::from_ref(&text)).await.swap_remove(0);
                        if let Some((same, a, b)) = difference(&one, &other)
                            && same == kind
                        {
                            (tree, sql, flott, flink, theirs) = (smaller, text, a, b, other);
                            continue 'smaller;
                        }
                    }
                    break;
                }
                form = Some(tree.form());
                reason = both.reason(&known, kind, [&sql, &flott, &flink], &theirs).await;
            }
            if let Some(subject) = reason {
                *explained.entry(subject).or_default() += 1;
                if plan.explained {
                    println!("EXPLAINED {kind}: {subject}\n  {sql}\n  Flott: {flott}\n  Flink: {flink}");
                }
                continue;
            }
            let group = format!("{kind}: {}", form.map_or_else(|| name(&sql), str::to_string));
            println!("DIFFERS {group}\n  {sql}\n  Flott: {flott}\n  Flink: {flink}");
            groups.entry(group.clone()).or_default().push(Difference { group, sql, flott, flink });
        }
    }
    let mut groups: Vec<Vec<Difference>> = groups.into_values().collect();
    groups.sort_by_key(|g| std::cmp::Reverse(g.len()));
    println!("\nBy function:");
    for group in &groups {
        println!("{} x {}", group.len(), group[0].group);
        for d in group.iter().take(plan.examples) {
            println!("    {}\n      Flott: {}\n      Flink: {}", d.sql, d.flott, d.flink);
        }
    }
    let differ: usize = groups.iter().map(Vec::len).sum();
    println!("\nIn docs/deviations.md:");
    for (subject, count) in &explained {
        println!("{count} x {subject}");
    }
    let known: u64 = explained.values().sum();
    println!("{total} expressions: {differ} unexplained, {known} explained, {refused} are refused by both");
    Ok(differ == 0)
}

/// The name that an expression begins with.
fn name(sql: &str) -> String {
    sql.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_an_in_that_is_the_whole_expression() {
        assert_eq!(in_list("i IN (1, ABS(b, 'a,)'), d)"), Some(("i", false, vec!["1", "ABS(b, 'a,)')", "d"])));
        assert_eq!(in_list("CAST(1 AS INT) NOT IN (x)"), Some(("CAST(1 AS INT)", true, vec!["x"])));
        for other in ["i IN (1) = f", "ABS(i IN (1))", "(i IN (1))", "i = 1", "'x IN (1)'", "i IN (1) AND (f)"] {
            assert_eq!(in_list(other), None, "{other}");
        }
    }

    #[test]
    fn types_that_differ_in_not_null_alone() {
        for (ours, theirs, expected) in [
            ("INT", "INT NOT NULL", true),
            ("ROW<a INT, b CHAR(1) NOT NULL> NOT NULL", "ROW<a INT NOT NULL, b CHAR(1) NOT NULL> NOT NULL", true),
            ("ROW<a INT NOT NULL, b INT>", "ROW<a INT, b INT NOT NULL>", false),
            ("INT NOT NULL", "INT", false),
            ("INT", "BIGINT NOT NULL", false),
        ] {
            assert_eq!(only_more_may_be_null(ours, theirs), expected, "{ours} {theirs}");
        }
    }
}
