//! The job bundle: everything that planning a job depended on, stored with its checkpoints.

use flott_core::options::Options;
use flott_core::{Error, Result, Secret};
use flott_graph::JobGraph;
use flott_state::record;
use serde::{Deserialize, Serialize};

/// Version of the bundle's layout.
const VERSION: u32 = 1;

/// An operator of the job.
#[derive(Debug, Serialize, Deserialize)]
struct StoredOperator {
    uid: String,
    name: String,
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
        statements,
        config: config
            .iter()
            .filter(|(k, _)| !Secret::is_sensitive_key(k))
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect(),
        catalog: without_secrets(catalog),
        operators: graph.nodes.iter().map(|n| StoredOperator { uid: n.uid.clone(), name: n.name.clone() }).collect(),
        fingerprint: graph.fingerprint(),
    };
    let bytes = record::encode("bundle", VERSION, &bundle)?;
    if bytes.len() > MAX_BYTES {
        return Err(Error::user(format!("the job bundle has {} bytes; the most is {MAX_BYTES}", bytes.len()))
            .hint("Split the script up"));
    }
    Ok(bytes.to_vec())
}

/// The largest bundle.
const MAX_BYTES: usize = 64 << 20;

/// Masks the values of sensitive keys, wherever they stand.
fn without_secrets(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(k, v)| {
                    let masked = Secret::is_sensitive_key(&k) && v.is_string();
                    let v = if masked { Value::String(flott_core::secret::MASK.into()) } else { without_secrets(v) };
                    (k, v)
                })
                .collect(),
        ),
        // Options may be stored as pairs.
        Value::Array(items) => match items.as_slice() {
            [Value::String(k), Value::String(_)] if Secret::is_sensitive_key(k) => {
                Value::Array(vec![items[0].clone(), Value::String(flott_core::secret::MASK.into())])
            }
            _ => Value::Array(items.into_iter().map(without_secrets).collect()),
        },
        other => other,
    }
}
