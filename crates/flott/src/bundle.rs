//! The job bundle: everything that planning a job depended on, stored with its checkpoints, and what an edit of the
//! script means for them.

use std::collections::{BTreeMap, BTreeSet};

use flott_core::options::Options;
use flott_core::{Error, Result, Secret, secret};
use flott_graph::{CONDITIONS_VERSION, JobGraph, OperatorSpec, StateConditions, StateIdentity, StateMeaning, identity};
use flott_sql::parser::mask_secrets;
use flott_state::record;
use serde::{Deserialize, Serialize};

/// Version of the bundle's layout.
const VERSION: u32 = 2;

/// An operator of the job.
#[derive(Debug, Serialize, Deserialize)]
struct StoredOperator {
    uid: String,
    name: String,
    is_sink: bool,
    /// Of one that shows rows which it has kept: what those have passed, by where they come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conditions: Option<BTreeMap<String, BTreeSet<String>>>,
    /// What tells its state from that of others. Builds before this one did not store it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<StoredIdentity>,
}

/// See [`StateIdentity`].
#[derive(Debug, Serialize, Deserialize)]
struct StoredIdentity {
    /// Hexadecimal.
    digest: String,
    shape: String,
    /// Name and text of each part.
    meaning: Vec<(String, String)>,
    /// The sinks that its rows can come to, without ordinals.
    sinks: BTreeSet<String>,
}

impl StoredIdentity {
    fn of(identity: &StateIdentity, sinks: &BTreeSet<String>) -> StoredIdentity {
        StoredIdentity {
            digest: format!("{:016x}", identity.digest),
            shape: format!("{:016x}", identity.shape),
            meaning: identity.meaning.parts.clone(),
            sinks: sinks.clone(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Bundle {
    build: String,
    job: String,
    statements: Vec<String>,
    /// Secrets are not stored: a restart takes them from the script or the environment again.
    config: Vec<(String, String)>,
    catalog: serde_json::Value,
    operators: Vec<StoredOperator>,
    fingerprint: u64,
    /// Of the texts of conditions; 0: there are none yet.
    #[serde(default)]
    conditions_version: u32,
}

/// The bundle's bytes.
pub(crate) fn encode(
    graph: &JobGraph,
    statements: Vec<String>,
    config: &Options,
    catalog: serde_json::Value,
) -> Result<Vec<u8>> {
    let reached = graph.sinks_reached();
    let bundle = Bundle {
        build: env!("CARGO_PKG_VERSION").to_string(),
        job: graph.name.clone(),
        statements: statements.iter().map(|s| mask_secrets(s)).collect(),
        config: config
            .iter()
            .filter(|(k, _)| !Secret::is_sensitive_key(k))
            .map(|(k, v)| (k.to_string(), secret::mask_urls(v).into_owned()))
            .collect(),
        catalog: without_secrets(catalog),
        operators: graph
            .nodes
            .iter()
            .zip(&reached)
            .map(|(n, sinks)| StoredOperator {
                identity: graph.identities.get(&n.uid).map(|i| StoredIdentity::of(i, sinks)),
                uid: n.uid.clone(),
                name: n.name.clone(),
                is_sink: matches!(n.spec, OperatorSpec::Sink(_)),
                conditions: graph.conditions.get(&n.uid).map(|c| c.0.clone()),
            })
            .collect(),
        fingerprint: graph.fingerprint(),
        conditions_version: CONDITIONS_VERSION,
    };
    let bytes = record::encode("bundle", VERSION, &bundle)?;
    if bytes.len() > MAX_BYTES {
        return Err(Error::user(format!("the job bundle has {} bytes; the most is {MAX_BYTES}", bytes.len()))
            .hint("Split the script up"));
    }
    Ok(bytes.to_vec())
}

/// Where a catalog's snapshot holds SQL.
const SQL_TEXTS: [&str; 2] = ["text", "expanded"];

/// Which operator of an edited script has which stored state: gives the nodes of a plan the ids that their state has. Those
/// that have none get ids that no state has.
///
/// Operators of one class (their ids without ordinals) are told apart by what they do and read, then by the same without the
/// options of tables, then by the sinks that their rows come to; where a class had one operator and has one, it is that.
///
/// # Errors
/// State that may be of several operators. `has_state` says of which ids something would be lost.
pub(crate) fn adopt(bytes: &[u8], graph: &mut JobGraph, has_state: impl Fn(&str) -> bool) -> Result<()> {
    let before: Bundle = record::decode("bundle", VERSION, "the job bundle", bytes)?;
    // A build that did not store what operators do told them apart by their order alone.
    if before.operators.iter().any(|o| o.identity.is_none()) {
        return Ok(());
    }
    let mut classes: BTreeMap<String, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (i, operator) in before.operators.iter().enumerate() {
        classes.entry(identity::class(&operator.uid)).or_default().0.push(i);
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        classes.entry(identity::class(&node.uid)).or_default().1.push(i);
    }
    let reached = graph.sinks_reached();
    let now: Vec<Option<StoredIdentity>> = graph
        .nodes
        .iter()
        .zip(&reached)
        .map(|(n, sinks)| graph.identities.get(&n.uid).map(|i| StoredIdentity::of(i, sinks)))
        .collect();
    let mut given: Vec<Option<&str>> = vec![None; graph.nodes.len()];
    for (stored, nodes) in classes.values() {
        let old = |i: usize| before.operators[i].identity.as_ref();
        let new = |i: usize| now[i].as_ref();
        let is_sink = nodes.iter().any(|i| matches!(graph.nodes[*i].spec, OperatorSpec::Sink(_)));
        for (stored, node) in matched(stored, nodes, old, new, is_sink) {
            given[node] = Some(before.operators[stored].uid.as_str());
        }
        let taken = |i: &usize| given.iter().flatten().any(|uid| *uid == before.operators[*i].uid);
        let left = stored.iter().filter(|i| !taken(i));
        let free: Vec<usize> = nodes.iter().copied().filter(|i| given[*i].is_none()).collect();
        let alike = |a: usize, b: usize| {
            old(a).zip(new(b)).is_some_and(|(a, b)| a.shape == b.shape || !a.sinks.is_disjoint(&b.sinks))
        };
        for operator in left.filter(|i| has_state(&before.operators[**i].uid)) {
            if let Some(node) = free.iter().find(|b| alike(*operator, **b)) {
                return Err(Error::user(format!(
                    "it cannot be told which operator of the changed script has the stored state of '{}' ('{}'): \
                     several are like it, one of them '{}'",
                    before.operators[*operator].name, before.operators[*operator].uid, graph.nodes[*node].name
                ))
                .hint(
                    "Restore with the script that wrote it and change one query at a time, or start over with --fresh",
                ));
            }
        }
    }
    let mut used: BTreeSet<String> = before.operators.iter().map(|o| o.uid.clone()).collect();
    let mut uids = vec![];
    for (node, given) in graph.nodes.iter().zip(&given) {
        let uid = match given {
            Some(uid) => (*uid).to_string(),
            None => {
                let class = identity::class(&node.uid);
                let fresh = |n: u32| if n == 1 { class.clone() } else { format!("{class}#{n}") };
                (1..).map(fresh).find(|uid| !used.contains(uid)).unwrap_or(class)
            }
        };
        used.insert(uid.clone());
        uids.push(uid);
    }
    graph.rename(uids);
    Ok(())
}

/// Pairs of stored operators and nodes of one class.
fn matched<'i>(
    stored: &[usize],
    nodes: &[usize],
    old: impl Fn(usize) -> Option<&'i StoredIdentity>,
    new: impl Fn(usize) -> Option<&'i StoredIdentity>,
    is_sink: bool,
) -> Vec<(usize, usize)> {
    let (mut stored, mut nodes, mut pairs) = (stored.to_vec(), nodes.to_vec(), vec![]);
    let is_single = stored.len() == 1 && nodes.len() == 1;
    let same_sinks = |a: usize, b: usize| old(a).zip(new(b)).is_some_and(|(a, b)| !a.sinks.is_disjoint(&b.sinks));
    let digest = |a: usize, b: usize| old(a).zip(new(b)).is_some_and(|(a, b)| a.digest == b.digest);
    let shape = |a: usize, b: usize| old(a).zip(new(b)).is_some_and(|(a, b)| a.shape == b.shape);
    // What does and reads the same is the same, however often it is there.
    for rule in [&(|a, b| digest(a, b) && same_sinks(a, b)) as &dyn Fn(usize, usize) -> bool, &digest] {
        stored.retain(|a| match nodes.iter().position(|b| rule(*a, *b)) {
            Some(at) => {
                pairs.push((*a, nodes.remove(at)));
                false
            }
            None => true,
        });
    }
    for rule in [&(|a, b| shape(a, b) && same_sinks(a, b)) as &dyn Fn(usize, usize) -> bool, &shape, &same_sinks] {
        // Only where there is no other choice, on both sides.
        let only = |a: &usize, b: &usize| {
            rule(*a, *b)
                && stored.iter().filter(|x| rule(**x, *b)).count() == 1
                && nodes.iter().filter(|x| rule(*a, **x)).count() == 1
        };
        let found: Vec<(usize, usize)> =
            stored.iter().flat_map(|a| nodes.iter().filter(|b| only(a, b)).map(|b| (*a, *b))).collect();
        stored.retain(|a| !found.iter().any(|f| f.0 == *a));
        nodes.retain(|b| !found.iter().any(|f| f.1 == *b));
        pairs.extend(found);
    }
    // Output that one sink of a table has prepared another one can commit.
    if is_single || is_sink {
        pairs.extend(stored.into_iter().zip(nodes));
    }
    pairs
}

/// What a changed script means for a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Sinks that the job has now and had not: they get rows from the checkpoint on.
    pub(crate) new_sinks: Vec<String>,
    /// Sinks that it had and has no more.
    pub(crate) dropped_sinks: Vec<String>,
    /// Operators whose rows passed more before than they have to pass now.
    pub(crate) widened: Vec<String>,
}

/// Compares the job with the one that a bundle was written for. `keeps_rows`: whether an operator's id has state.
///
/// # Errors
/// State with rows that have not passed what is asked of rows now.
pub(crate) fn compare(bytes: &[u8], graph: &JobGraph, keeps_rows: impl Fn(&str) -> bool) -> Result<Comparison> {
    let before: Bundle = record::decode("bundle", VERSION, "the job bundle", bytes)?;
    let now: BTreeSet<&str> = graph.sinks().map(|(_, n)| n.uid.as_str()).collect();
    let sink = |o: &&StoredOperator| o.is_sink;
    let then: BTreeSet<&str> = before.operators.iter().filter(sink).map(|o| o.uid.as_str()).collect();
    let list = |a: &BTreeSet<&str>, b: &BTreeSet<&str>| a.difference(b).map(|uid| (*uid).to_string()).collect();
    let mut widened = vec![];
    for node in graph.nodes.iter().filter(|n| keeps_rows(&n.uid)) {
        let identity = before.operators.iter().find(|o| o.uid == node.uid).and_then(|o| o.identity.as_ref());
        if let (Some(stored), Some(now)) = (identity, graph.identities.get(&node.uid)) {
            check_meaning(&node.name, &stored.meaning, &now.meaning)?;
        }
        let Some(asked) = graph.conditions.get(&node.uid) else { continue };
        let stored = before.operators.iter().find(|o| o.uid == node.uid).and_then(|o| o.conditions.as_ref());
        let stored = stored.filter(|_| before.conditions_version == CONDITIONS_VERSION);
        let Some(passed) = stored.map(|c| StateConditions(c.clone())) else {
            if asked.is_empty() {
                continue;
            }
            return Err(Error::user(format!(
                "the stored state of '{}' may hold rows that a condition excludes ({}): build {} did not store which \
                 conditions they have passed",
                node.name,
                shown(asked.all()),
                before.build
            ))
            .hint("Restore with the build that wrote it, or start over with --fresh"));
        };
        let added = asked.without(&passed);
        if !added.is_empty() {
            return Err(Error::user(format!(
                "the stored state of '{}' holds rows that a condition of now may exclude ({}); they passed {}",
                node.name,
                shown(added),
                shown(passed.all())
            ))
            .hint(
                "The query has changed, and they would be given on all the same: restore with the script that wrote them, \
                 or start over with --fresh",
            ));
        }
        let removed = passed.without(asked);
        if !removed.is_empty() {
            widened.push(format!("'{}' has no rows of before that {} excluded", node.name, shown(removed)));
        }
    }
    Ok(Comparison { new_sinks: list(&now, &then), dropped_sinks: list(&then, &now), widened })
}

/// Kept rows have to be what the query takes them for.
fn check_meaning(name: &str, stored: &[(String, String)], now: &StateMeaning) -> Result<()> {
    let changes: Vec<String> = now
        .parts
        .iter()
        .filter_map(|(part, is)| {
            let was = &stored.iter().find(|p| p.0 == *part)?.1;
            (was != is).then(|| format!("{part}: [{was}] before, [{is}] now"))
        })
        .collect();
    if changes.is_empty() {
        return Ok(());
    }
    Err(Error::user(format!("the stored state of '{name}' is of another query ({})", changes.join("; ")))
        .hint("The query has changed: restore with the script that wrote it, or start over with --fresh"))
}

fn shown<'c>(conditions: impl IntoIterator<Item = &'c str>) -> String {
    let all: Vec<String> = conditions.into_iter().map(|c| format!("[{c}]")).collect();
    if all.is_empty() { "none".to_string() } else { all.join(", ") }
}

/// The largest bundle.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// Masks the values of sensitive keys and passwords in URLs, wherever they stand.
fn without_secrets(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(k, v)| {
                    let v = match v {
                        Value::String(_) if Secret::is_sensitive_key(&k) => Value::String(secret::MASK.into()),
                        // The texts of views are SQL, with hints.
                        Value::String(text) if SQL_TEXTS.contains(&k.as_str()) => Value::String(mask_secrets(&text)),
                        other => without_secrets(other),
                    };
                    (k, v)
                })
                .collect(),
        ),
        // Options may be stored as pairs.
        Value::Array(items) => match items.as_slice() {
            [Value::String(k), Value::String(_)] if Secret::is_sensitive_key(k) => {
                Value::Array(vec![items[0].clone(), Value::String(secret::MASK.into())])
            }
            _ => Value::Array(items.into_iter().map(without_secrets).collect()),
        },
        Value::String(text) => Value::String(secret::mask_urls(&text).into_owned()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flott_connector::factory::ChangelogMode;
    use flott_core::ErrorKind;
    use flott_graph::Node;

    use super::*;

    /// A job of one operator that keeps rows of a table which have passed these conditions.
    fn graph(conditions: &[&str]) -> JobGraph {
        let mut graph = JobGraph::new("job");
        graph.add(Node {
            uid: "join".into(),
            name: "Join(..)".into(),
            spec: OperatorSpec::Union,
            inputs: vec![],
            schema: Arc::new(arrow_schema::Schema::empty()),
            changelog_mode: ChangelogMode::INSERT_ONLY,
            parallelism: None,
        });
        let passed = conditions.iter().map(|c| (*c).to_string()).collect();
        graph.conditions.insert("join".into(), StateConditions(BTreeMap::from([("t".to_string(), passed)])));
        graph
    }

    fn stored(conditions: &[&str]) -> Vec<u8> {
        encode(&graph(conditions), vec![], &Options::new(), serde_json::Value::Null).unwrap()
    }

    fn compared(bytes: &[u8], now: &[&str]) -> Result<Comparison> {
        compare(bytes, &graph(now), |uid| uid == "join")
    }

    #[test]
    fn state_is_of_rows_that_have_passed_at_least_what_is_asked() {
        assert_eq!(compared(&stored(&["a", "b"]), &["a", "b"]).unwrap().widened, Vec::<String>::new());
        let wider = compared(&stored(&["a", "b"]), &["a"]).unwrap();
        assert_eq!(wider.widened, ["'Join(..)' has no rows of before that [b] excluded"]);
        let refused = compared(&stored(&["a", "b"]), &["a", "c"]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::User);
        assert!(refused.to_string().contains("exclude ([c]); they passed [a], [b]"), "{refused}");
        compare(&stored(&["a"]), &graph(&["c"]), |_| false).expect("without state");
    }

    /// As builds wrote it that asked conditions above the operator, or did not say which they had asked below.
    #[test]
    fn state_of_a_build_that_did_not_store_conditions_is_refused_where_some_are_asked() {
        let mut bundle: Bundle = record::decode("bundle", VERSION, "the job bundle", &stored(&["a"])).unwrap();
        bundle.conditions_version = 0;
        bundle.operators.iter_mut().for_each(|o| o.conditions = None);
        let old = record::encode("bundle", VERSION, &bundle).unwrap();
        let refused = compared(&old, &["a"]).unwrap_err();
        assert!(refused.to_string().contains("did not store which conditions"), "{refused}");
        compared(&old, &[]).expect("nothing is asked");
    }
}
