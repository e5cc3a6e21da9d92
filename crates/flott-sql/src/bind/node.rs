//! Nodes of a logical plan that DataFusion does not have, and the table that a scan reads.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use datafusion_common::{DFSchemaRef, Result};
use datafusion_expr::{Expr, Extension, LogicalPlan, TableSource, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use flott_connector::table::{CatalogTable, ObjectIdentifier};
use flott_core::LogicalType;
use flott_core::types::TimeAttribute;
use flott_function::AggregateKind;
use flott_graph::WindowKind;

/// A table of the catalog as a scan sees it: physical and metadata columns in DDL order.
pub struct ScanTable {
    /// Its name.
    pub identifier: ObjectIdentifier,
    /// Its DDL, options merged with those of hints.
    pub table: CatalogTable,
    /// Physical and metadata columns under their names in the DDL.
    pub schema: SchemaRef,
}

impl TableSource for ScanTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

impl fmt::Debug for ScanTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScanTable({})", self.identifier)
    }
}

/// A node of ours. Equal and ordered by what it prints and reads, which is all that DataFusion asks of it.
#[derive(Debug, Clone)]
pub struct FlinkNode {
    /// What it does.
    pub kind: FlinkNodeKind,
    /// What it reads.
    pub input: LogicalPlan,
    /// Its columns.
    pub schema: DFSchemaRef,
}

/// What a node of ours does.
#[derive(Debug, Clone, PartialEq)]
pub enum FlinkNodeKind {
    /// Marks a column as event time.
    WatermarkAssigner {
        /// The column.
        rowtime: String,
        /// The watermark of a row; `None` where the source gives it (`SOURCE_WATERMARK()`).
        watermark: Option<Expr>,
    },
    /// A window table function: three more columns.
    WindowTableFunction(WindowTableFunction),
    /// Groups and aggregates over columns of the input.
    Aggregate(Aggregate),
    /// OVER: one more column for each call.
    Over(Over),
    /// ORDER BY, OFFSET and FETCH.
    Sort(Sort),
}

/// A column of the input that rows are ordered by.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderKey {
    /// The column.
    pub column: String,
    /// Least first.
    pub ascending: bool,
    /// NULL behind all values.
    pub nulls_last: bool,
}

/// Functions over the rows of a partition in an order. Its output: the input's columns, then one for each call.
#[derive(Debug, Clone, PartialEq)]
pub struct Over {
    /// Columns that rows of a partition agree in.
    pub partition: Vec<String>,
    /// The order within a partition.
    pub order: Vec<OrderKey>,
    /// The functions.
    pub calls: Vec<OverCall>,
}

/// A function that numbers rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankFunction {
    /// 1, 2, 3, whatever rows are equal.
    RowNumber,
    /// Equal rows have one number, that of the first.
    Rank,
    /// Equal rows have one number, and none is left out.
    DenseRank,
}

impl RankFunction {
    /// The function of this name in upper case.
    pub fn from_name(name: &str) -> Option<RankFunction> {
        [RankFunction::RowNumber, RankFunction::Rank, RankFunction::DenseRank].into_iter().find(|f| f.name() == name)
    }

    /// Its SQL name.
    pub fn name(self) -> &'static str {
        match self {
            RankFunction::RowNumber => "ROW_NUMBER",
            RankFunction::Rank => "RANK",
            RankFunction::DenseRank => "DENSE_RANK",
        }
    }
}

/// One function over a window.
#[derive(Debug, Clone, PartialEq)]
pub struct OverCall {
    /// Which.
    pub function: RankFunction,
    /// The output column.
    pub name: String,
}

/// Rows in an order, and which of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Sort {
    /// The order; none is any.
    pub order: Vec<OrderKey>,
    /// So many rows are left out first.
    pub offset: u64,
    /// At most so many stay.
    pub fetch: Option<u64>,
}

/// A window table function over its input's columns.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowTableFunction {
    /// Which windows; the keys of a session are given by name in `partition_keys`.
    pub kind: WindowKind,
    /// The keys of a session.
    pub partition_keys: Vec<String>,
    /// The time attribute's column.
    pub time_column: String,
    /// Its type.
    pub time_type: LogicalType,
    /// The session's zone, for TIMESTAMP_LTZ.
    pub time_zone: Option<String>,
}

impl WindowTableFunction {
    /// Event time or processing time.
    pub fn attribute(&self) -> TimeAttribute {
        self.time_type.kind.time_attribute()
    }
}

/// A grouped aggregation. Its output: the group columns, the grouping id where there are sets, the aggregates.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// Columns of the input.
    pub group: Vec<String>,
    /// GROUPING SETS: for each set the positions in `group` that it keeps.
    pub sets: Option<Vec<Vec<usize>>>,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
    /// How long a group's state is kept (the hint STATE_TTL); `None`: as the session says.
    pub state_ttl: Option<Duration>,
}

impl Aggregate {
    /// Whether a grouping set keeps a key.
    pub(crate) fn keeps(&self, set: &[usize], key: &str) -> bool {
        set.iter().any(|i| self.group.get(*i).is_some_and(|g| g == key))
    }

    /// Whether no grouping set leaves a key out.
    pub(crate) fn in_every_set(&self, key: &str) -> bool {
        self.sets.iter().flatten().all(|set| self.keeps(set, key))
    }
}

/// The column that tells which grouping set a row belongs to, as Flink calls it.
pub const EXPAND_ID: &str = "$e";

/// One aggregate over columns of the input.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    /// Which function.
    pub kind: AggregateKind,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The type of the first argument.
    pub argument_type: Option<LogicalType>,
    /// A BOOLEAN column.
    pub filter: Option<String>,
    /// Each value once.
    pub distinct: bool,
    /// The type of the result.
    pub result: LogicalType,
    /// The output column.
    pub name: String,
}

impl FlinkNode {
    /// The plan with this node on top.
    pub fn plan(kind: FlinkNodeKind, input: LogicalPlan, schema: DFSchemaRef) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(FlinkNode { kind, input, schema }) })
    }

    /// The node of an extension, where it is ours.
    pub fn of(extension: &Extension) -> Option<&FlinkNode> {
        let node: &dyn UserDefinedLogicalNode = extension.node.as_ref();
        node.as_any().downcast_ref::<FlinkNode>()
    }

    fn digest(&self) -> String {
        format!("{:?}", self.kind)
    }
}

impl PartialEq for FlinkNode {
    fn eq(&self, other: &FlinkNode) -> bool {
        self.kind == other.kind && self.input == other.input && self.schema == other.schema
    }
}

impl Eq for FlinkNode {}

impl Hash for FlinkNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest().hash(state);
        self.input.hash(state);
    }
}

impl PartialOrd for FlinkNode {
    fn partial_cmp(&self, other: &FlinkNode) -> Option<Ordering> {
        self.digest().partial_cmp(&other.digest()).filter(|o| *o != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for FlinkNode {
    fn name(&self) -> &str {
        match &self.kind {
            FlinkNodeKind::WatermarkAssigner { .. } => "LogicalWatermarkAssigner",
            FlinkNodeKind::WindowTableFunction(_) => "LogicalTableFunctionScan",
            FlinkNodeKind::Aggregate(_) => "LogicalAggregate",
            FlinkNodeKind::Over(_) => "LogicalOver",
            FlinkNodeKind::Sort(_) => "LogicalSort",
        }
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        match &self.kind {
            FlinkNodeKind::WatermarkAssigner { watermark, .. } => watermark.iter().cloned().collect(),
            _ => vec![],
        }
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", UserDefinedLogicalNodeCore::name(self), self.digest())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut node = self.clone();
        if let FlinkNodeKind::WatermarkAssigner { watermark, .. } = &mut node.kind {
            *watermark = exprs.into_iter().next();
        }
        if let Some(input) = inputs.into_iter().next() {
            node.input = input;
        }
        Ok(node)
    }
}
