//! The job bundle: everything that planning a job depended on, stored with its checkpoints, and what an edit of the
//! script means for them.

use std::collections::{BTreeMap, BTreeSet};

use flott_core::options::Options;
use flott_core::{Error, Result, Secret, secret};
use flott_graph::{CONDITIONS_VERSION, JobGraph, OperatorSpec, StateConditions};
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
            .map(|n| StoredOperator {
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
