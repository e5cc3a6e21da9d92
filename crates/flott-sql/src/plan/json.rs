//! `EXPLAIN JSON_EXECUTION_PLAN`: the job graph as JSON, in the shape that Flink prints and its plan visualiser reads.

use flott_core::options::Options;
use flott_core::{Error, Result};
use flott_graph::{JobGraph, OperatorSpec, Partitioning};
use serde_json::{Map, Value, json};

const PARALLELISM: &str = "parallelism.default";

/// The nodes in topological order. `parallelism` is that of the session where a node has none of its own; it is left out
/// where the session says nothing, since it is then one per core of the machine that runs the job.
pub(super) fn nodes(graph: &JobGraph, config: &Options) -> Result<String> {
    let default = config.get(PARALLELISM).and_then(|p| p.parse::<usize>().ok());
    let mut nodes = vec![];
    for (id, node) in graph.iter() {
        let number = id.0 + 1;
        let kind = node.name.split('(').next().unwrap_or(&node.name);
        let (kind, pact) = match &node.spec {
            OperatorSpec::Source(s) => (format!("Source: {}[{number}]", s.table.object), "Data Source"),
            OperatorSpec::Sink(s) => (format!("Sink: {}[{number}]", s.table.object), "Data Sink"),
            _ => (format!("{kind}[{number}]"), "Operator"),
        };
        let mut fields = Map::new();
        fields.insert("id".into(), json!(number));
        fields.insert("type".into(), json!(kind));
        fields.insert("pact".into(), json!(pact));
        fields.insert("contents".into(), json!(format!("[{number}]:{}", node.name)));
        if let Some(p) = node.parallelism.or(default) {
            fields.insert("parallelism".into(), json!(p));
        }
        let predecessors: Vec<Value> = node
            .inputs
            .iter()
            .map(|input| {
                json!({
                    "id": input.node.0 + 1,
                    "ship_strategy": ship_strategy(&input.partitioning),
                    "side": if input.port == 0 { "second" } else { "late" },
                })
            })
            .collect();
        if !predecessors.is_empty() {
            fields.insert("predecessors".into(), Value::Array(predecessors));
        }
        nodes.push(Value::Object(fields));
    }
    let text = serde_json::to_string_pretty(&json!({ "nodes": nodes }))
        .map_err(|e| Error::internal("a plan that is no JSON").caused_by(e))?;
    Ok(format!("== Physical Execution Plan ==\n{text}\n"))
}

fn ship_strategy(partitioning: &Partitioning) -> &'static str {
    match partitioning {
        Partitioning::Forward => "FORWARD",
        Partitioning::Hash(_) => "HASH",
        Partitioning::Rebalance => "REBALANCE",
        Partitioning::Broadcast => "BROADCAST",
        Partitioning::Singleton => "GLOBAL",
    }
}
