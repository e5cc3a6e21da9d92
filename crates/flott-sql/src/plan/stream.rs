//! The stream plan: physical operators as a tree, before ids and physical expressions. What EXPLAIN prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use datafusion_common::DFSchemaRef;
use datafusion_expr::Expr;
use flott_connector::factory::{ChangelogMode, TableSink, TableSource};
use flott_connector::table::{Column, ObjectIdentifier};
use flott_core::LogicalType;
use flott_graph::spec::SinkConstraints;
use flott_graph::{
    Changes, ConflictStrategy, DeduplicateSpec, ExpandSpec, GroupAggregateSpec, IncrementalAggregateSpec, Keep,
    MiniBatchAssignerSpec, OverAggregateSpec, RankSpec, RankStrategy, SortSpec, TemporalSortSpec, WindowAggregateSpec,
    WindowAssignment, WindowRankSpec, WindowTableFunctionSpec,
};

use super::changelog_function::ChangelogFunctionOp;
use super::join::{JoinOp, UnnestOp};
use super::lookup::LookupJoinOp;
use crate::bind::ScanTable;

/// An operator over its inputs.
#[derive(Debug)]
pub(crate) struct StreamNode {
    pub(crate) op: StreamOp,
    pub(crate) inputs: Vec<StreamInput>,
    /// Its output (of a sink: its input).
    pub(crate) schema: DFSchemaRef,
    /// What it may emit; what it does emit once `changelog::infer` has seen the whole plan.
    pub(crate) changelog: ChangelogMode,
    /// Its `-D` rows hold the upsert key alone.
    pub(crate) deletes_by_key: bool,
}

/// An output port of a node.
#[derive(Debug, Clone)]
pub(crate) struct StreamInput {
    pub(crate) node: Arc<StreamNode>,
    pub(crate) port: usize,
}

impl From<&Arc<StreamNode>> for StreamInput {
    fn from(node: &Arc<StreamNode>) -> StreamInput {
        StreamInput { node: node.clone(), port: 0 }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum StreamOp {
    Scan(Scan),
    Values {
        batch: RecordBatch,
        shown: String,
    },
    Calc(Calc),
    Union,
    Join(JoinOp),
    LookupJoin(LookupJoinOp),
    Unnest(UnnestOp),
    ChangelogFunction(ChangelogFunctionOp),
    Expand(ExpandSpec),
    WindowTableFunction(WindowTableFunctionSpec),
    LocalWindowAggregate(WindowAggregateSpec),
    GlobalWindowAggregate(WindowAggregateSpec),
    WindowAggregate(WindowAggregateSpec),
    GroupAggregate(GroupAggregateSpec),
    MiniBatchAssigner(MiniBatchAssignerSpec),
    LocalGroupAggregate(GroupAggregateSpec),
    GlobalGroupAggregate(GroupAggregateSpec),
    IncrementalGroupAggregate(IncrementalAggregateSpec),
    ChangelogNormalize(ChangelogNormalize),
    DropUpdateBefore,
    Rank(Rank),
    Deduplicate(DeduplicateSpec),
    WindowRank(WindowRank),
    OverAggregate(OverAggregateSpec),
    Sort(SortSpec),
    TemporalSort(TemporalSortSpec),
    Match(super::match_recognize::Matching),
    /// A change of place; an edge of the graph, a node only in EXPLAIN.
    Exchange(Distribution),
    Sink(Sink),
}

/// Where the rows of an exchange go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Distribution {
    Hash(Vec<usize>),
    Single,
}

/// Top-N of each partition, or of all rows.
#[derive(Debug, Clone)]
pub(crate) struct Rank {
    pub(crate) spec: RankSpec,
    pub(crate) node: RankNode,
}

impl Rank {
    /// A limit of rows that are only added.
    pub(crate) fn appends(&self) -> bool {
        self.node == RankNode::Limit && self.spec.strategy == RankStrategy::AppendFast
    }
}

/// What a rank was in the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RankNode {
    /// A number and a condition on it.
    Rank,
    /// ORDER BY and LIMIT.
    SortLimit,
    /// LIMIT.
    Limit,
}

/// Top-N of each window.
#[derive(Debug, Clone)]
pub(crate) struct WindowRank {
    pub(crate) spec: WindowRankSpec,
    /// `None`: one window of all rows.
    pub(crate) window: Option<WindowAssignment>,
    /// Which row stays, where it is one by a time attribute.
    pub(crate) keep: Option<Keep>,
}

/// A changelog by key made complete.
#[derive(Debug, Clone)]
pub(crate) struct ChangelogNormalize {
    /// The columns of the key.
    pub(crate) key: Vec<usize>,
    /// Rows for which it is not true are kept out, over the input's columns.
    pub(crate) filter: Option<Expr>,
    /// Changes may come twice, or the plan reads metadata columns, which may differ where the row does not.
    pub(crate) must_stay: bool,
    pub(crate) update_before: bool,
    pub(crate) changes: Changes,
    pub(crate) state_ttl: Option<Duration>,
}

impl ChangelogNormalize {
    /// Whether a reader that works by key can read the source itself.
    pub(crate) fn can_be_spared(&self, node: &StreamNode) -> bool {
        self.filter.is_none() && !self.must_stay && !node.changelog.update_before
    }
}

/// A source.
#[derive(Clone)]
pub(crate) struct Scan {
    pub(crate) table: Arc<ScanTable>,
    /// Which of the table's physical and metadata columns are read, in the order of the node's schema.
    pub(crate) columns: Vec<usize>,
    pub(crate) pruned: bool,
    pub(crate) watermark: Option<ScanWatermark>,
    pub(crate) source: TableSource,
    /// Its `-D` rows hold the primary key alone.
    pub(crate) deletes_by_key: bool,
    /// The source generates its watermarks itself.
    pub(crate) pushes_watermark: bool,
    /// What makes two scans the same source.
    pub(crate) key: String,
    /// The source leaves partitions out for which these are not true.
    pub(crate) partition_conditions: Vec<Expr>,
}

impl Scan {
    /// Where the node has the columns of the table's primary key; `None` where it has not all of them.
    pub(crate) fn primary_key(&self) -> Option<Vec<usize>> {
        let key = self.table.table.schema.primary_key.as_ref()?;
        let place = |name: &String| self.columns.iter().position(|i| self.table.schema.field(*i).name() == name);
        key.columns.iter().map(place).collect()
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scan({}, {:?})", self.table.identifier, self.columns)
    }
}

/// Event time of a source, over the source's columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScanWatermark {
    pub(crate) rowtime: Expr,
    /// `None` where the source gives it.
    pub(crate) watermark: Option<Expr>,
}

/// Projection and filter over the input's columns.
#[derive(Debug, Clone)]
pub(crate) struct Calc {
    pub(crate) projection: Vec<Expr>,
    pub(crate) filter: Option<Expr>,
}

impl Calc {
    /// Whether it changes nothing but names.
    pub(crate) fn is_renaming(&self, input: &DFSchemaRef) -> bool {
        self.filter.is_none()
            && self.projection.len() == input.fields().len()
            && self
                .projection
                .iter()
                .zip(input.fields())
                .all(|(e, f)| matches!(crate::bind::window::unaliased(e), Expr::Column(c) if c.name == *f.name()))
    }
}

/// When rows go to a sink by its primary key (`table.exec.sink.keyed-shuffle`); one subtask gets all in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum KeyedShuffle {
    /// Never, unless they are put in its order.
    Never,
    /// Where the sink has a parallelism of its own.
    #[default]
    Auto,
    /// Always.
    Force,
}

/// A sink.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) identifier: ObjectIdentifier,
    /// How EXPLAIN names it.
    pub(crate) shown: String,
    pub(crate) sink: TableSink,
    pub(crate) constraints: SinkConstraints,
    /// The persisted columns.
    pub(crate) columns: Vec<Column>,
    /// Those of the primary key, by their places.
    pub(crate) primary_key: BTreeSet<usize>,
    /// Whether rows are distributed by it.
    pub(crate) keyed_shuffle: KeyedShuffle,
    /// It takes of its changelog mode what the query gives.
    pub(crate) follows_query: bool,
    /// Nobody sees single changes behind it.
    pub(crate) hides_changes: bool,
    /// It needs only the key of `-D` rows.
    pub(crate) deletes_by_key: bool,
    /// `ON CONFLICT DO ..`
    pub(crate) conflict: Option<ConflictStrategy>,
    /// How changes are put in the order of the primary key, where they are.
    pub(crate) materialize: Option<Materialize>,
    pub(crate) state_ttl: Option<Duration>,
}

/// What tells which row a change is of, where a sink's primary key does not.
#[derive(Debug, Clone)]
pub(crate) struct Materialize {
    /// `None`: all columns.
    pub(crate) upsert_key: Option<Vec<usize>>,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sink({})", self.identifier)
    }
}

impl StreamNode {
    pub(crate) fn new(
        op: StreamOp,
        inputs: Vec<StreamInput>,
        schema: DFSchemaRef,
        changelog: ChangelogMode,
    ) -> Arc<StreamNode> {
        Arc::new(StreamNode { op, inputs, schema, changelog, deletes_by_key: false })
    }

    /// A node with the same columns.
    pub(crate) fn remade(
        &self,
        op: StreamOp,
        inputs: Vec<StreamInput>,
        changelog: ChangelogMode,
        deletes_by_key: bool,
    ) -> Arc<StreamNode> {
        Arc::new(StreamNode { op, inputs, schema: self.schema.clone(), changelog, deletes_by_key })
    }

    /// The first input.
    pub(crate) fn input(&self) -> Option<&Arc<StreamNode>> {
        self.inputs.first().map(|i| &i.node)
    }

    /// Flink's name of the operator, without the attributes.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.op {
            StreamOp::Scan(_) => "TableSourceScan",
            StreamOp::Values { .. } => "Values",
            StreamOp::Calc(_) => "Calc",
            StreamOp::Union => "Union",
            StreamOp::Join(join) => join.name(),
            StreamOp::LookupJoin(join) if join.searches() => "VectorSearchTableFunction",
            StreamOp::LookupJoin(_) => "LookupJoin",
            StreamOp::Unnest(_) => "Correlate",
            StreamOp::ChangelogFunction(_) => "ProcessTableFunction",
            StreamOp::Expand(_) => "Expand",
            StreamOp::WindowTableFunction(_) => "WindowTableFunction",
            StreamOp::LocalWindowAggregate(_) => "LocalWindowAggregate",
            StreamOp::GlobalWindowAggregate(_) => "GlobalWindowAggregate",
            StreamOp::WindowAggregate(_) => "WindowAggregate",
            StreamOp::GroupAggregate(_) => "GroupAggregate",
            StreamOp::MiniBatchAssigner(_) => "MiniBatchAssigner",
            StreamOp::LocalGroupAggregate(_) => "LocalGroupAggregate",
            StreamOp::GlobalGroupAggregate(_) => "GlobalGroupAggregate",
            StreamOp::IncrementalGroupAggregate(_) => "IncrementalGroupAggregate",
            StreamOp::ChangelogNormalize(_) => "ChangelogNormalize",
            StreamOp::DropUpdateBefore => "DropUpdateBefore",
            StreamOp::Rank(rank) => match rank.node {
                RankNode::Rank => "Rank",
                RankNode::SortLimit => "SortLimit",
                RankNode::Limit => "Limit",
            },
            StreamOp::Deduplicate(_) => "Deduplicate",
            StreamOp::WindowRank(rank) => match (rank.keep, &rank.window) {
                (Some(_), _) => "WindowDeduplicate",
                (None, Some(_)) => "WindowRank",
                (None, None) => "Rank",
            },
            StreamOp::OverAggregate(_) => "OverAggregate",
            StreamOp::Sort(_) => "Sort",
            StreamOp::TemporalSort(_) => "TemporalSort",
            StreamOp::Match(_) => "Match",
            StreamOp::Exchange(_) => "Exchange",
            StreamOp::Sink(_) => "Sink",
        }
    }
}

/// The columns that all scans of one source need, found by a first planning.
pub(crate) type ScanColumns = BTreeMap<String, (Vec<usize>, Option<Expr>)>;

/// Names and types.
pub(crate) type Columns = Vec<(String, LogicalType)>;
