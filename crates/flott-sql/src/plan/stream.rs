//! The stream plan: physical operators as a tree, before ids and physical expressions. What EXPLAIN prints.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use datafusion_common::DFSchemaRef;
use datafusion_expr::Expr;
use flott_connector::factory::{ChangelogMode, TableSink, TableSource};
use flott_connector::table::{Column, ObjectIdentifier};
use flott_core::LogicalType;
use flott_graph::spec::{NotNullEnforcer, TypeLengthEnforcer};
use flott_graph::{ExpandSpec, WindowAggregateSpec, WindowTableFunctionSpec};

use crate::bind::ScanTable;

/// An operator over its inputs.
#[derive(Debug)]
pub(crate) struct StreamNode {
    pub(crate) op: StreamOp,
    pub(crate) inputs: Vec<StreamInput>,
    /// Its output (of a sink: its input).
    pub(crate) schema: DFSchemaRef,
    pub(crate) changelog: ChangelogMode,
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

#[derive(Debug)]
pub(crate) enum StreamOp {
    Scan(Scan),
    Values {
        batch: RecordBatch,
        shown: String,
    },
    Calc(Calc),
    Union,
    Expand(ExpandSpec),
    WindowTableFunction(WindowTableFunctionSpec),
    LocalWindowAggregate(WindowAggregateSpec),
    GlobalWindowAggregate(WindowAggregateSpec),
    WindowAggregate(WindowAggregateSpec),
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

/// A source.
pub(crate) struct Scan {
    pub(crate) table: Arc<ScanTable>,
    /// Which of the table's physical and metadata columns are read, in the order of the node's schema.
    pub(crate) columns: Vec<usize>,
    pub(crate) pruned: bool,
    pub(crate) watermark: Option<ScanWatermark>,
    pub(crate) source: TableSource,
    /// What makes two scans the same source.
    pub(crate) key: String,
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

/// A sink.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) identifier: ObjectIdentifier,
    /// How EXPLAIN names it.
    pub(crate) shown: String,
    pub(crate) sink: TableSink,
    pub(crate) not_null: Vec<usize>,
    pub(crate) not_null_enforcer: NotNullEnforcer,
    pub(crate) type_length_enforcer: TypeLengthEnforcer,
    /// The persisted columns.
    pub(crate) columns: Vec<Column>,
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
        Arc::new(StreamNode { op, inputs, schema, changelog })
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
            StreamOp::Expand(_) => "Expand",
            StreamOp::WindowTableFunction(_) => "WindowTableFunction",
            StreamOp::LocalWindowAggregate(_) => "LocalWindowAggregate",
            StreamOp::GlobalWindowAggregate(_) => "GlobalWindowAggregate",
            StreamOp::WindowAggregate(_) => "WindowAggregate",
            StreamOp::Exchange(_) => "Exchange",
            StreamOp::Sink(_) => "Sink",
        }
    }
}

/// The columns that all scans of one source need, found by a first planning.
pub(crate) type ScanColumns = BTreeMap<String, Vec<usize>>;

/// Names and types.
pub(crate) type Columns = Vec<(String, LogicalType)>;
