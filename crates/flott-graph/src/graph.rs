//! Nodes and edges.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use arrow_schema::SchemaRef;
use flott_connector::factory::ChangelogMode;
use flott_core::error::Position;
use flott_core::{Error, Result, key_group};

use crate::conditions::StateConditions;
use crate::identity::StateIdentity;
use crate::spec::OperatorSpec;

/// Index of a node in its graph. Inputs have smaller indices than the nodes that read them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// How rows travel along an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partitioning {
    /// To the same subtask.
    Forward,
    /// By key group of these columns (none: one global key).
    Hash(Vec<usize>),
    /// Batch by batch to all subtasks in turn.
    Rebalance,
    /// To every subtask.
    Broadcast,
    /// To subtask 0.
    Singleton,
}

/// An edge into a node.
#[derive(Debug, Clone)]
pub struct Input {
    /// Where rows come from.
    pub node: NodeId,
    /// 0: the node's output; 1: its side output of late rows (with the schema of the node's input).
    pub port: usize,
    /// How they travel.
    pub partitioning: Partitioning,
}

impl Input {
    /// From the main output.
    pub fn new(node: NodeId, partitioning: Partitioning) -> Input {
        Input { node, port: 0, partitioning }
    }
}

/// An operator of a job.
#[derive(Debug, Clone)]
pub struct Node {
    /// Stable identity of its state: the same in every plan of the same query.
    pub uid: String,
    /// For people: `Calc(select=[..], where=[..])`.
    pub name: String,
    /// What it does.
    pub spec: OperatorSpec,
    /// Where its rows come from.
    pub inputs: Vec<Input>,
    /// Its output (of a sink: its input).
    pub schema: SchemaRef,
    /// The kinds of change that it emits.
    pub changelog_mode: ChangelogMode,
    /// The most subtasks that work; `None` is the job's parallelism.
    pub parallelism: Option<usize>,
}

/// A job.
#[derive(Debug, Clone)]
pub struct JobGraph {
    /// `pipeline.name`, or made from the sinks' names.
    pub name: String,
    /// In topological order.
    pub nodes: Vec<Node>,
    /// Number of key groups.
    pub max_parallelism: u16,
    /// By the ids of operators that show rows which they have kept: what those have passed.
    pub conditions: BTreeMap<String, StateConditions>,
    /// By the ids of operators: what tells their state from that of others.
    pub identities: BTreeMap<String, StateIdentity>,
    /// Where the script has the INSERTs that a node works for.
    written_at: BTreeMap<NodeId, BTreeSet<(u64, u64)>>,
}

impl JobGraph {
    /// An empty job.
    pub fn new(name: impl Into<String>) -> JobGraph {
        JobGraph {
            name: name.into(),
            nodes: vec![],
            max_parallelism: key_group::DEFAULT_MAX_PARALLELISM,
            conditions: BTreeMap::new(),
            identities: BTreeMap::new(),
            written_at: BTreeMap::new(),
        }
    }

    /// A sink, and all that it reads, is of an INSERT that stands there.
    pub fn set_written_at(&mut self, sink: NodeId, at: Position) {
        let mut open = vec![sink];
        while let Some(id) = open.pop() {
            if self.written_at.entry(id).or_default().insert((at.line, at.column)) {
                open.extend(self.node(id).inputs.iter().map(|input| input.node));
            }
        }
    }

    /// The one INSERT that the operators of this name work for. `None` where there are several, or none.
    pub fn written_at(&self, operator: &str) -> Option<Position> {
        let named = self.iter().filter(|(_, node)| node.name == operator);
        let places: BTreeSet<(u64, u64)> =
            named.flat_map(|(id, _)| self.written_at.get(&id).into_iter().flatten().copied()).collect();
        match places.into_iter().collect::<Vec<_>>()[..] {
            [(line, column)] => Some(Position { line, column }),
            _ => None,
        }
    }

    /// Adds a node whose inputs are already there.
    pub fn add(&mut self, node: Node) -> NodeId {
        debug_assert!(node.inputs.iter().all(|i| i.node.0 < self.nodes.len()));
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// All nodes with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, n)| (NodeId(i), n))
    }

    /// Nodes that read rows from outside.
    pub fn sources(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.iter().filter(|(_, n)| matches!(n.spec, OperatorSpec::Source(_)))
    }

    /// Nodes that write rows to the outside.
    pub fn sinks(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.iter().filter(|(_, n)| matches!(n.spec, OperatorSpec::Sink(_)))
    }

    /// True where every source ends.
    pub fn is_bounded(&self) -> bool {
        self.sources().all(|(_, n)| match &n.spec {
            OperatorSpec::Source(s) => s.source.boundedness() == flott_connector::Boundedness::Bounded,
            _ => true,
        })
    }

    /// Checks what every runtime relies on: order, unique ids, arity, column indices of keys.
    pub fn validate(&self) -> Result<()> {
        let mut uids = std::collections::HashSet::new();
        for (id, node) in self.iter() {
            if !uids.insert(node.uid.as_str()) {
                return Err(Error::internal(format!("two operators have the id '{}'", node.uid)));
            }
            let arity = node.inputs.len();
            let fits = match &node.spec {
                OperatorSpec::Source(_) => arity == 0,
                OperatorSpec::Union => arity >= 1,
                OperatorSpec::Join(_)
                | OperatorSpec::IntervalJoin(_)
                | OperatorSpec::WindowJoin(_)
                | OperatorSpec::TemporalJoin(_) => arity == 2,
                _ => arity == 1,
            };
            if !fits {
                return Err(Error::internal(format!("operator '{}' has {arity} inputs", node.name)));
            }
            for input in &node.inputs {
                if input.node >= id {
                    return Err(Error::internal(format!("operator '{}' reads from a later one", node.name)));
                }
                if let Partitioning::Hash(keys) = &input.partitioning {
                    let width = self.node(input.node).schema.fields().len();
                    if input.port == 0 && keys.iter().any(|k| *k >= width) {
                        return Err(Error::internal(format!("operator '{}' is keyed by a missing column", node.name)));
                    }
                }
            }
        }
        Ok(())
    }

    /// Fingerprint of the structure, compared between processes before they meet.
    pub fn fingerprint(&self) -> u64 {
        let mut text = String::new();
        for (_, node) in self.iter() {
            let written = write!(text, "{}|{}|{:?}|{:?};", node.uid, node.name, node.inputs, node.schema.fields());
            debug_assert!(written.is_ok());
        }
        key_group::hash_bytes(text.as_bytes())
    }
}
