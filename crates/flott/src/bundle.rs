//! The job bundle: everything that planning a job depended on, stored with its checkpoints, and what an edit of the
//! script means for them.

use std::collections::BTreeSet;

use flott_core::options::Options;
use flott_core::{Error, Result, Secret, secret};
use flott_graph::{JobGraph, OperatorSpec};
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
            })
            .collect(),
        fingerprint: graph.fingerprint(),
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
}

/// Compares the job with the one that a bundle was written for.
pub(crate) fn compare(bytes: &[u8], graph: &JobGraph) -> Result<Comparison> {
    let before: Bundle = record::decode("bundle", VERSION, "the job bundle", bytes)?;
    let now: BTreeSet<&str> = graph.sinks().map(|(_, n)| n.uid.as_str()).collect();
    let sink = |o: &&StoredOperator| o.is_sink;
    let then: BTreeSet<&str> = before.operators.iter().filter(sink).map(|o| o.uid.as_str()).collect();
    let list = |a: &BTreeSet<&str>, b: &BTreeSet<&str>| a.difference(b).map(|uid| (*uid).to_string()).collect();
    Ok(Comparison { new_sinks: list(&now, &then), dropped_sinks: list(&then, &now) })
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
