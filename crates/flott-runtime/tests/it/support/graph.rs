//! Job graphs of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion_physical_expr::expressions::Column;
use flott_connector::factory::ChangelogMode;
use flott_connector::table::ObjectIdentifier;
use flott_graph::spec::SinkConstraints;
use flott_graph::{Input, JobGraph, Node, NodeId, OperatorSpec, Partitioning, SinkSpec, SourceSpec, WatermarkSpec};
use flott_operator::Operator;

use super::{MemorySink, ScriptSource, Seen, SumByKey, schema};

/// Builds the operator of a node from its name.
pub(crate) type Make = Arc<dyn Fn(&Node, usize, u16) -> Box<dyn Operator> + Send + Sync>;

pub(crate) struct Graph {
    pub(crate) graph: JobGraph,
    pub(super) operators: HashMap<String, Make>,
}

impl Graph {
    pub(crate) fn new() -> Graph {
        Graph { graph: JobGraph::new("test"), operators: HashMap::new() }
    }
    fn add(&mut self, name: &str, spec: OperatorSpec, inputs: Vec<Input>) -> NodeId {
        self.graph.add(Node {
            uid: format!("{name}-{}", self.graph.nodes.len()),
            name: name.to_string(),
            spec,
            inputs,
            schema: schema(),
            changelog_mode: ChangelogMode::INSERT_ONLY,
            parallelism: None,
        })
    }
    pub(crate) fn source(&mut self, source: ScriptSource, watermark: Option<WatermarkSpec>) -> NodeId {
        self.limited_source(source, watermark, None)
    }
    pub(crate) fn limited_source(
        &mut self,
        source: ScriptSource,
        watermark: Option<WatermarkSpec>,
        parallelism: Option<usize>,
    ) -> NodeId {
        let table = ObjectIdentifier::new("c", "d", "source");
        let spec = SourceSpec { table, source: Arc::new(source), watermark, parallelism };
        self.add("source", OperatorSpec::Source(spec), vec![])
    }
    pub(crate) fn operator(
        &mut self,
        name: &str,
        inputs: &[(NodeId, Partitioning)],
        make: impl Fn(&Node, usize, u16) -> Box<dyn Operator> + Send + Sync + 'static,
    ) -> NodeId {
        self.operators.insert(name.to_string(), Arc::new(make));
        let inputs = inputs.iter().map(|(n, p)| Input::new(*n, p.clone())).collect();
        self.add(name, OperatorSpec::Union, inputs)
    }
    pub(crate) fn sum(&mut self, inputs: &[(NodeId, Partitioning)]) -> NodeId {
        let n = inputs.len();
        self.operator("sum", inputs, move |_, _, max| Box::new(SumByKey::new(n, max)))
    }
    pub(crate) fn sink(&mut self, sink: MemorySink, input: NodeId, partitioning: Partitioning) -> (NodeId, Arc<Seen>) {
        let seen = Arc::clone(&sink.seen);
        let spec = SinkSpec {
            table: ObjectIdentifier::new("c", "d", "sink"),
            sink: Arc::new(sink),
            constraints: SinkConstraints::default(),
        };
        (self.add("sink", OperatorSpec::Sink(spec), vec![Input::new(input, partitioning)]), seen)
    }
}

/// Watermarks from the column `ts`.
pub(crate) fn watermark(delay_ms: u64, idle: Option<Duration>) -> WatermarkSpec {
    let ts = || Arc::new(Column::new("ts", 2));
    WatermarkSpec {
        rowtime: ts(),
        expression: ts(),
        from_source: false,
        pushed_down: false,
        is_shown: false,
        interval: Duration::from_millis(delay_ms),
        idle_timeout: idle,
        alignment: None,
    }
}
