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
use flott_graph::{JoinKind, OverFrame, OverFunction, WindowKind};

use super::ChangelogCall;

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
    /// What a join reads besides.
    pub second: Option<LogicalPlan>,
    /// Its columns.
    pub schema: DFSchemaRef,
}

/// What a node of ours does.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a handful live while a query is planned")]
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
    /// Rows of two inputs side by side.
    Join(Join),
    /// A row for each element of a collection.
    Unnest(Unnest),
    /// OVER: one more column for each call.
    Over(Over),
    /// ORDER BY, OFFSET and FETCH.
    Sort(Sort),
    /// TO_CHANGELOG or FROM_CHANGELOG.
    Changelog(ChangelogCall),
    /// MATCH_RECOGNIZE.
    Match(super::match_recognize::Match),
}

/// A row for each element of a collection in a column of the input. Its columns: the input's, the element's, its number.
#[derive(Debug, Clone, PartialEq)]
pub struct Unnest {
    /// The column with the collection.
    pub column: String,
    /// Its type.
    pub collection: LogicalType,
    /// A row without elements comes out once.
    pub outer: bool,
    /// Which elements a row has, over the columns of the node: where rows are padded it cannot stand behind.
    pub condition: Option<Expr>,
    /// The number of the element is the last column.
    pub with_ordinality: bool,
}

/// A join. Its columns are those of the left input, then those of the right, all with different names; of semi and anti
/// joins those of the left alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// Which rows come out.
    pub kind: JoinKind,
    /// What must be true of a pair, besides what the flavour says.
    pub condition: Option<Expr>,
    /// All of it, as EXPLAIN shows it.
    pub shown: Option<Expr>,
    /// Which rows can meet.
    pub flavour: JoinFlavour,
    /// How long the rows of each input are kept (the hint STATE_TTL); `None`: as the session says.
    pub state_ttl: [Option<Duration>; 2],
    /// A semi or anti join that EXISTS asks for which says nothing about the row outside.
    pub exists: bool,
}

/// Which rows of two inputs can meet.
#[derive(Debug, Clone, PartialEq)]
pub enum JoinFlavour {
    /// Not decided yet: WHERE may say more.
    Unsettled,
    /// All.
    Regular,
    /// Those that are near in time.
    Interval(IntervalBounds),
    /// Those of the same window; the names are columns.
    Window {
        /// The window of both.
        function: WindowTableFunction,
        /// Its start in left rows.
        left_start: String,
        /// Its end in left rows.
        left_end: String,
        /// Its start in right rows.
        right_start: String,
        /// Its end in right rows.
        right_end: String,
    },
    /// A left row and the rows that a table outside has for it when it comes. The right input is that table, under
    /// projections and filters.
    Lookup {
        /// How it is looked up (the hint LOOKUP).
        hint: LookupHint,
        /// The key is near to what is asked for, and not equal.
        search: Option<Search>,
        /// WHERE has said what it says.
        settled: bool,
    },
    /// A left row and the version of the right row at its time.
    Temporal {
        /// The column of the left row's time.
        left_time: String,
        /// The column that says since when a version is valid.
        right_time: String,
        /// WHERE has said what it says.
        settled: bool,
    },
}

/// A search for the vectors that are nearest to one of a left row.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// The left column.
    pub query: String,
    /// What is searched.
    pub of: flott_connector::factory::VectorSearch,
}

/// The hint LOOKUP of one table; `None` where it does not say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LookupHint {
    /// Several lookups at a time, where the table can.
    pub is_async: Option<bool>,
    /// Rows may leave in another order than they came.
    pub allow_unordered: Option<bool>,
    /// Rows that wait at most.
    pub capacity: Option<usize>,
    /// How long a lookup may take.
    pub timeout: Option<Duration>,
    /// The pause and the number of tries after a miss.
    pub retry: Option<(Duration, u32)>,
    /// Rows of one key go to one subtask.
    pub shuffle: bool,
}

/// `right time + lower <= left time <= right time + upper`
#[derive(Debug, Clone, PartialEq)]
pub struct IntervalBounds {
    /// Event time or processing time.
    pub attribute: TimeAttribute,
    /// The column of the left time.
    pub left_time: String,
    /// The column of the right time.
    pub right_time: String,
    /// The least distance.
    pub left_lower_ms: i64,
    /// The greatest distance.
    pub left_upper_ms: i64,
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

/// One function over a window.
#[derive(Debug, Clone, PartialEq)]
pub struct OverCall {
    /// Which.
    pub function: OverFunction,
    /// Columns of the input that it reads.
    pub arguments: Vec<String>,
    /// Each value once.
    pub distinct: bool,
    /// The rows that it sees.
    pub frame: OverFrame,
    /// The type of the result.
    pub result: LogicalType,
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
    /// It stands in GROUP BY: Flink's group windows, which have no phases.
    pub in_group_by: bool,
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
/// The column that tells copies of one grouping set apart.
pub const GROUP_ID: &str = "$group_id";

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
        LogicalPlan::Extension(Extension { node: Arc::new(FlinkNode { kind, input, second: None, schema }) })
    }

    /// The plan with a node of two inputs on top.
    pub fn plan_of_two(kind: FlinkNodeKind, left: LogicalPlan, right: LogicalPlan, schema: DFSchemaRef) -> LogicalPlan {
        let node = FlinkNode { kind, input: left, second: Some(right), schema };
        LogicalPlan::Extension(Extension { node: Arc::new(node) })
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
        self.kind == other.kind
            && self.input == other.input
            && self.second == other.second
            && self.schema == other.schema
    }
}

impl Eq for FlinkNode {}

impl Hash for FlinkNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest().hash(state);
        self.input.hash(state);
        self.second.hash(state);
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
            FlinkNodeKind::WindowTableFunction(_) | FlinkNodeKind::Changelog(_) => "LogicalTableFunctionScan",
            FlinkNodeKind::Aggregate(_) => "LogicalAggregate",
            FlinkNodeKind::Join(_) => "LogicalJoin",
            FlinkNodeKind::Unnest(_) => "LogicalCorrelate",
            FlinkNodeKind::Over(_) => "LogicalOver",
            FlinkNodeKind::Sort(_) => "LogicalSort",
            FlinkNodeKind::Match(_) => "LogicalMatch",
        }
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        std::iter::once(&self.input).chain(&self.second).collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        match &self.kind {
            FlinkNodeKind::WatermarkAssigner { watermark, .. } => watermark.iter().cloned().collect(),
            FlinkNodeKind::Join(join) => join.condition.iter().cloned().collect(),
            _ => vec![],
        }
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", UserDefinedLogicalNodeCore::name(self), self.digest())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut node = self.clone();
        match &mut node.kind {
            FlinkNodeKind::WatermarkAssigner { watermark, .. } => *watermark = exprs.into_iter().next(),
            FlinkNodeKind::Join(join) => join.condition = exprs.into_iter().next(),
            _ => {}
        }
        let mut inputs = inputs.into_iter();
        if let Some(input) = inputs.next() {
            node.input = input;
        }
        if let (Some(second), Some(input)) = (&mut node.second, inputs.next()) {
            *second = input;
        }
        Ok(node)
    }
}
