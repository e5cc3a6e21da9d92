//! Stream plan to job graph: physical expressions, edges, stable ids.
//!
//! A source's and a sink's id comes from its table's name; any other operator's from its kind, its keys, the sources that
//! it stems from, and an ordinal among equals: an edit elsewhere, or a filter before it, keeps it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use flott_connector::table::ObjectIdentifier;
use flott_connector::watermark_options::WatermarkOptions;
use flott_core::error::Position;
use flott_core::key_group::hash_bytes;
use flott_core::options::Options;
use flott_core::{Error, Result};
use flott_graph::spec::SinkSpec;
use flott_graph::{
    CalcSpec, ChangelogNormalizeSpec, GroupAggregateSpec, Input, JobGraph, Node, NodeId, OperatorSpec,
    OverAggregateSpec, Partitioning, SinkMaterializeSpec, SourceSpec, SplitLevel, StateIdentity, StateMeaning,
    WatermarkSpec, WindowAssignment, identity,
};

use super::conditions::Conditions;
use super::dead_letter;
use super::explain;
use super::meaning;
use super::options;
use super::physical::physical_expr;
use super::sink::summary;
use super::stream::{Distribution, KeyedShuffle, Rank, Sink, StreamInput, StreamNode, StreamOp, WindowRank};
use super::values::ValuesSource;

/// Builds one graph from stream plans that may share nodes.
pub(crate) struct GraphBuilder<'a> {
    config: &'a Options,
    graph: JobGraph,
    /// Nodes by address: a shared one is added once.
    done: HashMap<*const StreamNode, NodeId>,
    /// Sources by what they read.
    scans: HashMap<String, NodeId>,
    /// The sources that a node stems from.
    origins: HashMap<NodeId, BTreeSet<String>>,
    /// What a node does and reads, with the options of tables and without.
    digests: HashMap<NodeId, (u64, u64)>,
    ordinals: HashMap<String, usize>,
    /// The ids of operators so far.
    given: HashSet<String>,
    /// A node shows rows together with the watermark.
    shows_watermark: bool,
    conditions: Conditions,
    /// Keeps the nodes alive whose addresses are in `done`.
    kept: Vec<Arc<StreamNode>>,
}

impl<'a> GraphBuilder<'a> {
    pub(crate) fn new(config: &'a Options, name: String) -> Result<GraphBuilder<'a>> {
        let mut graph = JobGraph::new(name);
        if let Some(n) = options::max_parallelism(config)? {
            graph.max_parallelism = n;
        }
        Ok(GraphBuilder {
            config,
            graph,
            done: HashMap::new(),
            scans: HashMap::new(),
            origins: HashMap::new(),
            digests: HashMap::new(),
            ordinals: HashMap::new(),
            given: HashSet::new(),
            shows_watermark: false,
            conditions: Conditions::default(),
            kept: vec![],
        })
    }

    /// The finished graph.
    pub(crate) fn finish(mut self) -> Result<JobGraph> {
        if self.shows_watermark {
            let sources = self.graph.nodes.iter_mut().filter_map(|n| match &mut n.spec {
                OperatorSpec::Source(source) => source.watermark.as_mut(),
                _ => None,
            });
            sources.for_each(|w| w.is_shown = true);
        }
        self.graph.validate()?;
        Ok(self.graph)
    }

    /// The graph of a query that has no sink yet, to be shown and not run.
    pub(crate) fn shown(self) -> JobGraph {
        self.graph
    }

    /// Adds the sink of an INSERT that stands there.
    pub(crate) fn add_insert(&mut self, root: &Arc<StreamNode>, at: Position) -> Result<()> {
        let sink = self.add(root)?;
        self.graph.set_written_at(sink, at);
        Ok(())
    }

    /// Adds a node and everything that it reads.
    pub(crate) fn add(&mut self, node: &Arc<StreamNode>) -> Result<NodeId> {
        let address = Arc::as_ptr(node);
        if let Some(id) = self.done.get(&address) {
            return Ok(*id);
        }
        if let StreamOp::Scan(scan) = &node.op
            && let Some(id) = self.scans.get(&scan.key)
        {
            return Ok(*id);
        }
        let mut inputs = vec![];
        let mut origins = BTreeSet::new();
        for input in &node.inputs {
            let mut edge = self.edge(input, node)?;
            if let StreamOp::Sink(sink) = &node.op {
                edge = self.before_sink(sink, input, edge)?;
            }
            origins.extend(self.origins.get(&edge.node).into_iter().flatten().cloned());
            inputs.push(edge);
        }
        let (spec, identity, parallelism) = self.spec(node)?;
        self.shows_watermark |= super::two_phase::shows_watermark(&node.op);
        let uid = match &node.op {
            StreamOp::Scan(_) | StreamOp::Sink(_) | StreamOp::Values { .. } => self.ordinal(identity),
            _ => {
                let origins: Vec<&str> = origins.iter().map(String::as_str).collect();
                self.ordinal(format!("{identity}:{}", origins.join("+")))
            }
        };
        if matches!(spec, OperatorSpec::Source(_)) {
            origins.insert(uid.trim_start_matches("source:").to_string());
        }
        if let Some(conditions) = self.conditions.of(node) {
            self.graph.conditions.insert(uid.clone(), conditions);
        }
        let (own, shape) = match &node.op {
            StreamOp::Scan(scan) => (format!("{} {:?}", scan.key, scan.columns), summary(&scan.table.identifier)),
            StreamOp::Values { batch, .. } => (format!("{batch:?}"), String::new()),
            _ => (String::new(), String::new()),
        };
        let name = explain::describe(node);
        let digests = self.digest(&name, (&own, &shape), &inputs);
        let meaning = self.meaning(node, &inputs)?;
        let identity = StateIdentity { digest: digests.0, shape: digests.1, meaning };
        self.graph.identities.insert(uid.clone(), identity);
        let id = self.graph.add(Node {
            uid,
            name,
            spec,
            inputs,
            schema: Arc::new(node.schema.as_arrow().clone()),
            changelog_mode: node.changelog,
            parallelism,
        });
        self.origins.insert(id, origins);
        self.digests.insert(id, digests);
        self.done.insert(address, id);
        self.kept.push(node.clone());
        if let StreamOp::Scan(scan) = &node.op {
            self.scans.insert(scan.key.clone(), id);
        }
        Ok(id)
    }

    /// What a node does and reads: `own` is of a node that reads from outside, with its table's options and without.
    fn digest(&self, name: &str, own: (&str, &str), inputs: &[Input]) -> (u64, u64) {
        let below = |of: fn(&(u64, u64)) -> u64| -> String {
            inputs.iter().map(|i| format!("|{:x}/{}", self.digests.get(&i.node).map_or(0, of), i.port)).collect()
        };
        let hash = |own: &str, below: String| hash_bytes(format!("{name}|{own}{below}").as_bytes());
        (hash(own.0, below(|d| d.0)), hash(own.1, below(|d| d.1)))
    }

    /// What a node's state stands for. Of several inputs each has its side.
    fn meaning(&self, node: &StreamNode, inputs: &[Input]) -> Result<StateMeaning> {
        let meaning = meaning::of_state(node)?;
        if inputs.len() < 2 || meaning.parts.is_empty() {
            return Ok(meaning);
        }
        Ok(inputs.iter().enumerate().fold(meaning, |meaning, (i, input)| {
            let origins: BTreeSet<String> =
                self.origins.get(&input.node).into_iter().flatten().map(|o| identity::class(o)).collect();
            meaning.with(&format!("input {}", i + 1), origins.into_iter().collect::<Vec<_>>().join(", "))
        }))
    }

    /// `kind`, then `kind#2`.
    fn ordinal(&mut self, identity: String) -> String {
        let n = self.ordinals.entry(identity.clone()).or_insert(0);
        loop {
            *n += 1;
            let id = if *n == 1 { identity.clone() } else { format!("{identity}#{n}") };
            // An operator over the second source of its kind may have that name.
            if self.given.insert(id.clone()) {
                return id;
            }
        }
    }

    /// An exchange becomes the way in which rows travel.
    fn edge(&mut self, input: &StreamInput, reader: &StreamNode) -> Result<Input> {
        if let StreamOp::Exchange(distribution) = &input.node.op {
            let below = input.node.inputs.first().ok_or_else(|| Error::internal("an exchange without input"))?;
            let node = self.add(&below.node)?;
            let partitioning = match distribution {
                Distribution::Hash(keys) => Partitioning::Hash(keys.clone()),
                Distribution::Single => Partitioning::Singleton,
            };
            return Ok(Input { node, port: below.port, partitioning });
        }
        let node = self.add(&input.node)?;
        let partitioning = match &reader.op {
            StreamOp::Sink(sink) => match sink.sink.parallelism {
                Some(1) => Partitioning::Singleton,
                Some(_) => Partitioning::Rebalance,
                None => Partitioning::Forward,
            },
            _ => Partitioning::Forward,
        };
        Ok(Input { node, port: input.port, partitioning })
    }

    /// How rows come to a sink: where they change, those of one key to one subtask; through an operator that puts them in
    /// the order of the primary key, where the plan says so.
    fn before_sink(&mut self, sink: &Sink, input: &StreamInput, edge: Input) -> Result<Input> {
        let below = &input.node;
        let key: Vec<usize> = sink.primary_key.iter().copied().collect();
        let Some(materialize) = &sink.materialize else {
            let spread = edge.partitioning == Partitioning::Rebalance;
            let by_key = match sink.keyed_shuffle {
                KeyedShuffle::Never => false,
                KeyedShuffle::Auto => spread,
                KeyedShuffle::Force => edge.partitioning != Partitioning::Singleton,
            };
            if by_key && !key.is_empty() {
                return Ok(Input { partitioning: Partitioning::Hash(key), ..edge });
            }
            if key.is_empty() && spread && !below.changelog.is_insert_only() {
                // Changes of equal rows have to meet.
                let all = (0..below.schema.fields().len()).collect();
                return Ok(Input { partitioning: Partitioning::Hash(all), ..edge });
            }
            return Ok(edge);
        };
        let uid = self.ordinal(format!("sink-materialize:{}", sink.shown));
        let name = format!("SinkMaterializer(primary key=[{}])", column_names(&key, below.schema.as_arrow()));
        let spec = SinkMaterializeSpec {
            primary_key: key.clone(),
            upsert_key: materialize.upsert_key.clone(),
            conflict: sink.conflict.unwrap_or_default(),
            state_ttl: sink.state_ttl,
        };
        let edges = std::slice::from_ref(&edge);
        let digests = self.digest(&name, ("", ""), edges);
        let meaning = meaning::of_materialized(below, &key, materialize.upsert_key.as_deref())?;
        let identity = StateIdentity { digest: digests.0, shape: digests.1, meaning };
        self.graph.identities.insert(uid.clone(), identity);
        let node = self.graph.add(Node {
            uid,
            name,
            spec: OperatorSpec::SinkMaterialize(spec),
            inputs: vec![Input { partitioning: Partitioning::Hash(key.clone()), ..edge.clone() }],
            schema: Arc::new(below.schema.as_arrow().clone()),
            changelog_mode: flott_connector::factory::ChangelogMode::UPSERT,
            parallelism: None,
        });
        self.origins.insert(node, self.origins.get(&edge.node).cloned().unwrap_or_default());
        self.digests.insert(node, digests);
        let partitioning = match edge.partitioning {
            Partitioning::Rebalance => Partitioning::Hash(key),
            other => other,
        };
        Ok(Input { node, port: 0, partitioning })
    }

    /// What the node does, its identity without sources and ordinal, and its parallelism.
    fn spec(&self, node: &StreamNode) -> Result<(OperatorSpec, String, Option<usize>)> {
        let input_schema = node.inputs.first().map(read_schema).transpose()?;
        let input_schema = input_schema.as_ref().unwrap_or(&node.schema);
        let single = node.inputs.iter().any(|i| matches!(&i.node.op, StreamOp::Exchange(Distribution::Single)));
        let one = single.then_some(1);
        Ok(match &node.op {
            StreamOp::Scan(scan) => {
                let watermark = match &scan.watermark {
                    None => None,
                    Some(w) => {
                        let own = WatermarkOptions::read(&scan.table.table.options)?;
                        let interval = options::watermark_interval(self.config)?;
                        let idle_timeout = match own.idle_timeout {
                            Some(timeout) => Some(timeout).filter(|t| !t.is_zero()),
                            None => options::idle_timeout(self.config)?,
                        };
                        Some(WatermarkSpec {
                            rowtime: physical_expr(&w.rowtime, &node.schema)?,
                            expression: physical_expr(w.watermark.as_ref().unwrap_or(&w.rowtime), &node.schema)?,
                            from_source: w.watermark.is_none(),
                            pushed_down: scan.pushes_watermark,
                            interval: if own.on_event { Duration::ZERO } else { interval },
                            is_shown: false,
                            idle_timeout,
                            alignment: own.alignment,
                        })
                    }
                };
                let spec = SourceSpec {
                    table: scan.table.identifier.clone(),
                    source: scan.source.source.clone(),
                    watermark,
                    parallelism: scan.source.parallelism,
                };
                let identity = format!("source:{}", summary(&scan.table.identifier));
                (OperatorSpec::Source(spec), identity, scan.source.parallelism)
            }
            StreamOp::Values { batch, .. } => {
                let spec = SourceSpec {
                    table: ObjectIdentifier::new("default_catalog", "default_database", "Values"),
                    source: Arc::new(ValuesSource::new(batch.clone())),
                    watermark: None,
                    parallelism: Some(1),
                };
                (OperatorSpec::Source(spec), "source:values".to_string(), Some(1))
            }
            StreamOp::Calc(calc) => {
                let projection =
                    calc.projection.iter().map(|e| physical_expr(e, input_schema)).collect::<Result<_>>()?;
                let filter = calc.filter.as_ref().map(|e| physical_expr(e, input_schema)).transpose()?;
                let parallelism = self.inherited(node);
                (OperatorSpec::Calc(CalcSpec { projection, filter }), "calc".to_string(), parallelism)
            }
            StreamOp::Union => (OperatorSpec::Union, "union".to_string(), None),
            StreamOp::Unnest(op) => (OperatorSpec::Unnest(op.spec.clone()), "unnest".to_string(), None),
            StreamOp::ChangelogFunction(op) => {
                (OperatorSpec::ChangelogFunction(op.spec.clone()), op.identity(), self.inherited(node))
            }
            StreamOp::Join(join) => {
                let (spec, identity) = join.spec(node)?;
                (spec, identity, one)
            }
            StreamOp::LookupJoin(join) => {
                let (spec, identity) = join.spec(node)?;
                (spec, identity, self.inherited(node))
            }
            StreamOp::Expand(spec) => (OperatorSpec::Expand(spec.clone()), "expand".to_string(), None),
            StreamOp::WindowTableFunction(spec) => {
                let identity = format!("window-table-function:{}", explain::window_kind_of(&spec.assignment));
                (OperatorSpec::WindowTableFunction(spec.clone()), identity, one)
            }
            StreamOp::LocalWindowAggregate(spec) => {
                let identity = aggregate_identity("local-window-aggregate", spec);
                (OperatorSpec::LocalWindowAggregate(spec.clone()), identity, None)
            }
            // One or two phases: the same state belongs to whoever fires the windows.
            StreamOp::GlobalWindowAggregate(spec) => {
                let identity = aggregate_identity("window-aggregate", spec);
                (OperatorSpec::GlobalWindowAggregate(spec.clone()), identity, one)
            }
            StreamOp::WindowAggregate(spec) => {
                let identity = aggregate_identity("window-aggregate", spec);
                (OperatorSpec::WindowAggregate(spec.clone()), identity, one)
            }
            StreamOp::GroupAggregate(spec) => (OperatorSpec::GroupAggregate(spec.clone()), group_identity(spec), one),
            // One or two phases: the same state belongs to whoever shows results.
            StreamOp::GlobalGroupAggregate(spec) => {
                (OperatorSpec::GlobalGroupAggregate(spec.clone()), group_identity(spec), one)
            }
            StreamOp::LocalGroupAggregate(spec) => {
                let identity = format!("local-{}", group_identity(spec));
                (OperatorSpec::LocalGroupAggregate(spec.clone()), identity, self.inherited(node))
            }
            StreamOp::IncrementalGroupAggregate(spec) => {
                let identity = format!("incremental-{}", group_identity(&spec.partial));
                (OperatorSpec::IncrementalGroupAggregate(spec.clone()), identity, one)
            }
            StreamOp::MiniBatchAssigner(spec) => {
                (OperatorSpec::MiniBatchAssigner(*spec), "mini-batch".to_string(), self.inherited(node))
            }
            StreamOp::ChangelogNormalize(normalize) => {
                let keys = column_names(&normalize.key, input_schema.as_arrow());
                let spec = ChangelogNormalizeSpec {
                    key: normalize.key.clone(),
                    filter: normalize.filter.as_ref().map(|e| physical_expr(e, input_schema)).transpose()?,
                    update_before: normalize.update_before,
                    changes: normalize.changes,
                    state_ttl: normalize.state_ttl,
                };
                (OperatorSpec::ChangelogNormalize(spec), format!("changelog-normalize:[{keys}]"), one)
            }
            StreamOp::DropUpdateBefore => {
                (OperatorSpec::DropUpdateBefore, "drop-update-before".to_string(), self.inherited(node))
            }
            StreamOp::Rank(Rank { spec, .. }) => {
                let keys = column_names(&spec.partition_keys, &spec.input_schema);
                let identity = format!("rank:[{keys}]:[{}]", order_names(&spec.order, &spec.input_schema));
                (OperatorSpec::Rank(spec.clone()), identity, one)
            }
            StreamOp::Deduplicate(spec) => {
                let identity = format!("deduplicate:[{}]", column_names(&spec.keys, &spec.input_schema));
                (OperatorSpec::Deduplicate(spec.clone()), identity, one)
            }
            StreamOp::WindowRank(WindowRank { spec, .. }) => {
                let keys = column_names(&spec.partition_keys, &spec.input_schema);
                let identity = format!("window-rank:[{keys}]:[{}]", order_names(&spec.order, &spec.input_schema));
                (OperatorSpec::WindowRank(spec.clone()), identity, one)
            }
            StreamOp::OverAggregate(spec) => {
                let keys = column_names(&spec.partition_keys, &spec.input_schema);
                let identity = format!("over-aggregate:[{keys}]:[{}]", order_names(&spec.order, &spec.input_schema));
                let spec = OverAggregateSpec { meaning: meaning::of_over(spec, node)?, ..spec.clone() };
                (OperatorSpec::OverAggregate(spec), identity, one)
            }
            StreamOp::Sort(spec) => {
                let identity = format!("sort:[{}]", order_names(&spec.order, &spec.input_schema));
                (OperatorSpec::Sort(spec.clone()), identity, one)
            }
            StreamOp::TemporalSort(spec) => {
                let then = order_names(&spec.then, &spec.input_schema);
                let time = column_names(&[spec.time_column], &spec.input_schema);
                (OperatorSpec::TemporalSort(spec.clone()), format!("temporal-sort:[{time},{then}]"), one)
            }
            StreamOp::Match(matching) => {
                let (spec, identity) = matching.spec(node, input_schema)?;
                (OperatorSpec::Match(spec), identity, one)
            }
            StreamOp::Sink(sink) => {
                let spec = SinkSpec {
                    table: sink.identifier.clone(),
                    sink: sink.sink.sink.clone(),
                    constraints: sink.constraints.clone(),
                };
                (OperatorSpec::Sink(spec), format!("sink:{}", sink.shown), sink.sink.parallelism)
            }
            StreamOp::Exchange(_) => return Err(Error::internal("an exchange is an edge")),
        })
    }

    /// A Calc right behind one subtask has nothing to do elsewhere.
    fn inherited(&self, node: &StreamNode) -> Option<usize> {
        let input = node.inputs.first()?;
        match &input.node.op {
            StreamOp::Values { .. } => Some(1),
            _ => None,
        }
    }
}

/// The columns that an input port gives.
fn read_schema(input: &StreamInput) -> Result<datafusion_common::DFSchemaRef> {
    if input.port == 0 {
        return Ok(input.node.schema.clone());
    }
    // Late rows are rows of the aggregate's own input.
    match input.node.inputs.first() {
        Some(below) => Ok(below.node.schema.clone()),
        None => dead_letter::schema(),
    }
}

fn column_names(columns: &[usize], schema: &arrow_schema::Schema) -> String {
    let names: Vec<&str> = columns.iter().filter_map(|k| schema.fields().get(*k)).map(|f| f.name().as_str()).collect();
    names.join(",")
}

fn order_names(order: &[flott_graph::SortKey], schema: &arrow_schema::Schema) -> String {
    let columns: Vec<usize> = order.iter().map(|k| k.column).collect();
    column_names(&columns, schema)
}

fn group_identity(spec: &GroupAggregateSpec) -> String {
    let level = match spec.level {
        SplitLevel::None => "",
        SplitLevel::Partial => "partial-",
        SplitLevel::Final { .. } => "final-",
        SplitLevel::Incremental => "merged-",
    };
    format!("{level}group-aggregate:[{}]", column_names(&spec.group_keys, &spec.input_schema))
}

fn aggregate_identity(kind: &str, spec: &flott_graph::WindowAggregateSpec) -> String {
    let keys: Vec<&str> =
        spec.group_keys.iter().filter_map(|k| spec.input_schema.fields().get(*k)).map(|f| f.name().as_str()).collect();
    let attached = if matches!(spec.assignment, WindowAssignment::Attached { .. }) { ":attached" } else { "" };
    format!("{kind}:[{}]:{}{attached}", keys.join(","), explain::window_kind_of(&spec.assignment))
}
