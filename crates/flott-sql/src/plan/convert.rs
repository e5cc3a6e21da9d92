//! Logical plan to stream plan.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use datafusion_common::DFSchema;
use datafusion_expr::logical_plan::{TableScan, Values};
use datafusion_expr::{Expr, LogicalPlan, Operator};
use flott_connector::Boundedness;
use flott_connector::factory::{ChangelogMode, PartitionFilter, Registry, TableContext, TableSource};
use flott_connector::table::ColumnKind;
use flott_core::options::Options;
use flott_core::types::{TypeKind, arrow_schema};
use flott_core::{Error, FailPoints, LogicalType, Result};

use super::changelog::{ModifyKinds, UpdateKind};
use super::physical::physical_expr;
use super::program::{Base, Program, column_uses, substitute};
use super::sink::summary;
use super::stream::{Calc, Scan, ScanColumns, ScanWatermark, StreamInput, StreamNode, StreamOp};
use super::{text, values};
use crate::bind::node::Aggregate;
use crate::bind::window::{is_windowed, unaliased};
use crate::bind::{Binder, FlinkNode, ScanTable, as_rowtime, columns_of, is_batch, plan_schema};

/// Plans the nodes of one job.
pub(crate) struct Converter<'a> {
    pub(crate) binder: &'a Binder<'a>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) config: &'a Options,
    pub(crate) base_dir: PathBuf,
    pub(crate) fail_points: FailPoints,
    /// What the scans of a first planning read; the second reads the union of it.
    pub(crate) fixed: Option<ScanColumns>,
    /// What the scans of this planning read.
    pub(crate) seen: RefCell<Vec<(String, (Vec<usize>, Option<Expr>))>>,
    /// Sinks of late rows and of records that cannot be read, found on the way.
    pub(crate) late: RefCell<Vec<Arc<StreamNode>>>,
    /// Sources whose dead letters have their sink.
    pub(crate) dead_letters: RefCell<BTreeSet<String>>,
    /// Whether what is planned here only tells which keys there are: ranks then keep all columns instead of asking again, or
    /// ranks of ranks would take time exponential in their depth.
    pub(crate) for_keys: bool,
}

impl<'a> Converter<'a> {
    /// Plans beside this one: no scan, sink of late rows or of dead letters of its plan is in the job.
    pub(crate) fn for_keys(&self) -> Converter<'a> {
        Converter {
            binder: self.binder,
            registry: self.registry.clone(),
            config: self.config,
            base_dir: self.base_dir.clone(),
            fail_points: self.fail_points.clone(),
            fixed: self.fixed.clone(),
            seen: RefCell::default(),
            late: RefCell::default(),
            dead_letters: RefCell::default(),
            for_keys: true,
        }
    }

    /// The stream plan of a query.
    pub(crate) fn convert(&self, plan: &LogicalPlan) -> Result<Arc<StreamNode>> {
        let program = self.program(plan)?;
        self.finish(program)
    }

    /// The table of a scan.
    pub(crate) fn scan_table(&self, scan: &TableScan) -> Result<Arc<ScanTable>> {
        match scan.source.downcast_ref::<ScanTable>() {
            Some(table) => Ok(Arc::new(ScanTable {
                identifier: table.identifier.clone(),
                table: table.table.clone(),
                schema: table.schema.clone(),
            })),
            None => Err(Error::internal("a scan of something that is no table of a catalog")),
        }
    }

    /// A node that is neither projection nor filter.
    pub(crate) fn convert_node(&self, plan: &LogicalPlan) -> Result<Arc<StreamNode>> {
        match plan {
            LogicalPlan::Union(u) => {
                let inputs: Vec<Arc<StreamNode>> = u.inputs.iter().map(|i| self.convert(i)).collect::<Result<_>>()?;
                let mode = inputs.iter().map(|i| ModifyKinds::of(i.changelog)).reduce(ModifyKinds::union);
                let mode = mode.unwrap_or(ModifyKinds::INSERT_ONLY).mode(UpdateKind::BeforeAndAfter);
                let inputs = inputs.iter().map(StreamInput::from).collect();
                Ok(StreamNode::new(StreamOp::Union, inputs, u.schema.clone(), mode))
            }
            LogicalPlan::Values(v) => self.values(v),
            other => Err(Error::internal(format!("nobody plans {}", other.display()))),
        }
    }

    fn values(&self, v: &Values) -> Result<Arc<StreamNode>> {
        let schema = Arc::new(v.schema.as_arrow().clone());
        let rows: Vec<String> = v
            .values
            .iter()
            .map(|row| format!("{{ {} }}", row.iter().map(text::literal_text).collect::<Vec<_>>().join(", ")))
            .collect();
        let batch = values::evaluate(&v.values, schema)?;
        let shown = format!("[{}]", rows.join(", "));
        Ok(StreamNode::new(StreamOp::Values { batch, shown }, vec![], v.schema.clone(), ChangelogMode::INSERT_ONLY))
    }

    /// The nodes of a program: its base, and a Calc where it does something.
    pub(crate) fn finish(&self, program: Program<'_>) -> Result<Arc<StreamNode>> {
        let Program { base, base_schema, projection, filter, schema } = program;
        match base {
            Base::Node(node) => self.calc(node, projection, filter, schema),
            Base::OneRow => {
                let int = TypeKind::Int.not_null();
                let one = plan_schema([("ZERO", &int)])?;
                let zero = Expr::Literal(datafusion_common::ScalarValue::Int32(Some(0)), None);
                let batch = values::evaluate(&[vec![zero]], Arc::new(one.as_arrow().clone()))?;
                let op = StreamOp::Values { batch, shown: "[{ 0 }]".into() };
                let node = StreamNode::new(op, vec![], one, ChangelogMode::INSERT_ONLY);
                self.calc(node, projection, filter, schema)
            }
            Base::Aggregate { node, aggregate } => {
                let read: BTreeSet<String> =
                    projection.iter().chain(&filter).flat_map(|e| column_uses(e).into_keys()).collect();
                let (planned, outputs) = self.aggregate(node, aggregate, &read)?;
                let of_name = |e: &Expr| substitute(e, &|name| outputs.get(name).cloned());
                let projection = projection.iter().map(of_name).collect::<Result<_>>()?;
                let filter = filter.as_ref().map(of_name).transpose()?;
                self.calc(planned, projection, filter, schema)
            }
            Base::Join { node, join } => {
                let read = projection.iter().chain(&filter).flat_map(|e| column_uses(e).into_keys()).collect();
                let node = self.join(node, join, &read)?;
                self.calc(node, projection, filter, schema)
            }
            Base::Over { over, node } => self.over(over, node, projection, filter, schema),
            Base::Window { function, input } => {
                let read = projection.iter().chain(&filter).flat_map(|e| column_uses(e).into_keys()).collect();
                let node = self.window_table_function(function, input, &base_schema, &read)?;
                self.calc(node, projection, filter, schema)
            }
            Base::Scan { table, watermark } => {
                let scan = self.scan(table, watermark, &base_schema, &projection, filter.as_ref())?;
                let (node, filter) = self.normalized(scan, filter)?;
                self.calc(node, projection, filter, schema)
            }
        }
    }

    /// The nodes of an aggregation whose results are read under these names, and each column of it over what they emit.
    /// What nobody reads is not computed: a change of it is no change then. (Calcite trims it, too.)
    fn aggregate(
        &self,
        node: &FlinkNode,
        aggregate: &Aggregate,
        read: &BTreeSet<String>,
    ) -> Result<(Arc<StreamNode>, BTreeMap<String, Expr>)> {
        let mut kept = aggregate.clone();
        kept.calls.retain(|call| read.contains(&call.name));
        if kept.group.is_empty() && kept.calls.is_empty() {
            // The one row of all rows is there whatever is read of it.
            kept.calls.extend(aggregate.calls.first().cloned());
        }
        let (planned, outputs) = match is_windowed(&node.input, &kept.group, kept.sets.as_deref()) {
            true => self.window_aggregate(node, &kept)?,
            false => self.group_aggregate(node, &kept)?,
        };
        let names = node.schema.fields().iter().map(|f| f.name().clone());
        Ok((planned, names.zip(outputs).collect()))
    }

    /// A Calc, where it is not the identity.
    pub(crate) fn calc(
        &self,
        node: Arc<StreamNode>,
        projection: Vec<Expr>,
        filter: Option<Expr>,
        schema: datafusion_common::DFSchemaRef,
    ) -> Result<Arc<StreamNode>> {
        let same = filter.is_none() && same_columns(&schema, &node.schema)? && {
            let names = node.schema.fields();
            projection.len() == names.len()
                && projection
                    .iter()
                    .zip(names)
                    .all(|(e, f)| matches!(unaliased(e), Expr::Column(c) if c.name == *f.name()))
        };
        if same {
            return Ok(node);
        }
        let changelog = node.changelog;
        let op = StreamOp::Calc(Calc { projection, filter });
        Ok(StreamNode::new(op, vec![StreamInput::from(&node)], schema, changelog))
    }

    /// A source with the columns that are needed, and not more where the connector can leave some out.
    fn scan(
        &self,
        table: Arc<ScanTable>,
        watermark: Option<ScanWatermark>,
        schema: &DFSchema,
        projection: &[Expr],
        filter: Option<&Expr>,
    ) -> Result<Arc<StreamNode>> {
        let mut needed: BTreeSet<String> = BTreeSet::new();
        let of_watermark = watermark.iter().flat_map(|w| std::iter::once(&w.rowtime).chain(&w.watermark));
        for e in projection.iter().chain(filter).chain(of_watermark) {
            needed.extend(column_uses(e).into_keys());
        }
        let connector = table.table.options.get("connector").ok_or_else(|| {
            Error::user(format!("Table '{}' has no option 'connector'", table.identifier.object))
                .hint(format!("Available connectors: {}", self.registry.connector_names().join(", ")))
        })?;
        let factory = self.registry.connector(connector).map_err(|e| e.with("table", &table.identifier.object))?;
        let prunes = factory.supports_projection();
        let columns = columns_of(schema)?;
        let kind_of = |name: &str| table.table.schema.column(name).map(|c| c.kind.clone());
        let is_physical = |name: &str| kind_of(name) == Some(ColumnKind::Physical);
        let mut read: Vec<usize> = (0..columns.len())
            .filter(|i| needed.contains(&columns[*i].0) || (!prunes && is_physical(&columns[*i].0)))
            .collect();
        if read.is_empty() {
            // A row without a column is not a row for most formats: the first column stands for it.
            read.extend(
                (0..columns.len()).find(|i| is_physical(&columns[*i].0)).or((!columns.is_empty()).then_some(0)),
            );
        }
        // Which rows a watermark has seen does not depend on a condition behind it.
        let mut wanted = if watermark.is_none() { partition_condition(&table, filter) } else { None };
        let make = |read: &mut Vec<usize>, wanted: &Option<Expr>| -> Result<TableSource> {
            // Physical columns first, then metadata: the order in which a connector gives them.
            read.sort_by_key(|i| (!is_physical(&columns[*i].0), *i));
            let key_of =
                |name: &str| table.table.schema.column(name).and_then(|c| c.metadata_key()).map(str::to_string);
            let produced: Vec<(String, LogicalType)> = read
                .iter()
                .map(|i| {
                    let (name, t) = &columns[*i];
                    (key_of(name).unwrap_or_else(|| name.clone()), t.clone())
                })
                .collect();
            let context = TableContext {
                identifier: table.identifier.clone(),
                table: table.table.clone(),
                schema: arrow_schema(produced.iter().map(|(n, t)| (n.as_str(), t))),
                metadata_keys: read.iter().filter_map(|i| key_of(&columns[*i].0)).collect(),
                config: self.config.clone(),
                base_dir: self.base_dir.clone(),
                registry: self.registry.clone(),
                fail_points: self.fail_points.clone(),
            };
            let partitioned = match wanted {
                Some(condition) => factory.partitioned_source(&context, &partition_filter(&table, condition)?),
                None => None,
            };
            partitioned
                .unwrap_or_else(|| factory.source(&context))
                .map_err(|e| e.with("table", &table.identifier.object))
        };
        let mut source = make(&mut read, &wanted)?;
        let first = (read.clone(), wanted.clone());
        check_source_mode(&table, source.changelog_mode)?;
        if self.must_be_normalized(source.changelog_mode, &table)? {
            // Whoever makes a changelog complete needs its key.
            let key = table.table.schema.primary_key.iter().flat_map(|k| &k.columns);
            let places: Vec<usize> = key.filter_map(|name| columns.iter().position(|c| c.0 == *name)).collect();
            read.extend(places.into_iter().filter(|i| !first.0.contains(i)));
        }
        let key = scan_key(&table, watermark.as_ref());
        self.seen.borrow_mut().push((key.clone(), (read.clone(), wanted.clone())));
        if let Some(fixed) = self.fixed.as_ref().and_then(|f| f.get(&key)) {
            (read, wanted) = fixed.clone();
        }
        if (&read, &wanted) != (&first.0, &first.1) {
            source = make(&mut read, &wanted)?;
        }
        let mode = source.changelog_mode;
        if is_batch(self.config) {
            check_batch_source(&table, source.source.boundedness(), mode)?;
        }
        let pruned = read.len() < columns.len();
        // Where the rowtime is a column of the source, it is event time from here on.
        let rowtime = watermark.as_ref().and_then(|w| match &w.rowtime {
            Expr::Column(c) => Some(c.name.as_str()),
            _ => None,
        });
        let typed: Vec<(String, LogicalType)> = read
            .iter()
            .map(|i| {
                let (name, t) = &columns[*i];
                (name.clone(), if rowtime == Some(name) { as_rowtime(t) } else { t.clone() })
            })
            .collect();
        let schema = plan_schema(typed.iter().map(|(n, t)| (n.as_str(), t)))?;
        let deletes_by_key = mode.delete && factory.source_deletes_by_key(&table.table.options);
        let pushes_watermark = factory.supports_watermark_push_down(&table.table.options);
        let partition_conditions = wanted.iter().flat_map(crate::bind::join::conjuncts).collect();
        let scan = Scan {
            table,
            columns: read,
            pruned,
            watermark,
            source,
            deletes_by_key,
            pushes_watermark,
            key,
            partition_conditions,
        };
        let node = StreamNode::new(StreamOp::Scan(scan), vec![], schema, mode);
        self.dead_letters(&node)?;
        Ok(node)
    }

    /// The columns that the scans of this planning read together.
    pub(crate) fn scan_columns(&self) -> (ScanColumns, bool) {
        let mut all: ScanColumns = ScanColumns::new();
        let mut differ = false;
        for (key, columns) in self.seen.borrow().iter() {
            match all.get_mut(key) {
                None => {
                    all.insert(key.clone(), columns.clone());
                }
                Some((union, partitions)) => {
                    let (columns, wanted) = columns;
                    differ |= union != columns || partitions != wanted;
                    union.extend(columns.iter().filter(|c| !union.clone().contains(c)).copied().collect::<Vec<_>>());
                    union.sort_unstable();
                    // A source that several read gives what any of them wants.
                    *partitions = match (partitions.take(), wanted) {
                        (Some(a), Some(b)) if a == *b => Some(a),
                        (Some(a), Some(b)) => Some(datafusion_expr::binary_expr(a, Operator::Or, b.clone())),
                        _ => None,
                    };
                }
            }
        }
        (all, differ)
    }
}

/// What a filter says of partition columns alone: the same for all rows of a partition.
fn partition_condition(table: &ScanTable, filter: Option<&Expr>) -> Option<Expr> {
    let keys = &table.table.partition_keys;
    let of_keys = |e: &Expr| {
        let uses = column_uses(e);
        !e.is_volatile() && !uses.is_empty() && uses.keys().all(|name| keys.contains(name))
    };
    let conditions = crate::bind::join::conjuncts(filter.filter(|_| !keys.is_empty())?);
    conditions.into_iter().filter(of_keys).reduce(|a, b| datafusion_expr::binary_expr(a, Operator::And, b))
}

/// Asks a condition over partition columns.
fn partition_filter(table: &ScanTable, condition: &Expr) -> Result<PartitionFilter> {
    let columns = &table.table.schema.columns;
    let keys = table.table.partition_keys.iter().filter_map(|key| columns.iter().find(|c| c.name == *key));
    let schema = plan_schema(keys.map(|c| (c.name.as_str(), &c.data_type)))?;
    let condition = physical_expr(condition, &schema)?;
    Ok(Arc::new(move |partition| {
        let value = condition.evaluate(partition).map_err(crate::bind::from_datafusion)?;
        let value = value.into_array(1).map_err(crate::bind::from_datafusion)?;
        Ok(value.as_boolean_opt().is_none_or(|v| v.is_valid(0) && v.value(0)))
    }))
}

/// A batch reads what ends, and only rows that are added.
fn check_batch_source(table: &ScanTable, boundedness: Boundedness, mode: ChangelogMode) -> Result<()> {
    let name = summary(&table.identifier);
    if boundedness != Boundedness::Bounded {
        return Err(Error::user(format!(
            "Querying an unbounded table '{name}' in batch mode is not allowed. The table source is unbounded."
        ))
        .hint("Bound the source, or SET 'execution.runtime-mode' = 'STREAMING'"));
    }
    if !mode.is_insert_only() {
        return Err(Error::user(format!(
            "Querying a table in batch mode is currently only possible for INSERT-only table sources. But the source \
             for table '{name}' produces other changelog messages than just INSERT."
        ))
        .hint("SET 'execution.runtime-mode' = 'STREAMING'"));
    }
    Ok(())
}

/// Two scans with this key are one source.
fn scan_key(table: &ScanTable, watermark: Option<&ScanWatermark>) -> String {
    let options: Vec<String> = table.table.options.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("{}|{}|{watermark:?}", table.identifier, options.join(";"))
}

/// Whether two schemas have the same names and types.
pub(crate) fn same_columns(a: &DFSchema, b: &DFSchema) -> Result<bool> {
    let (a, b) = (columns_of(a)?, columns_of(b)?);
    Ok(a == b)
}

/// What no reader could make a table of.
fn check_source_mode(table: &ScanTable, mode: ChangelogMode) -> Result<()> {
    let name = summary(&table.identifier);
    if mode.update_before && !mode.update_after {
        return Err(Error::user(format!(
            "Invalid source for table '{name}'. A ScanTableSource doesn't support a changelog which contains UPDATE_BEFORE \
             but no UPDATE_AFTER."
        ))
        .hint("Let the source give UA beside UB"));
    }
    if mode.update_after && !mode.update_before && table.table.schema.primary_key.is_none() {
        return Err(Error::user(format!(
            "Table '{name}' produces a changelog stream that contains UPDATE_AFTER but no UPDATE_BEFORE. This requires \
             defining a primary key constraint on the table."
        ))
        .hint("Declare PRIMARY KEY (..) NOT ENFORCED"));
    }
    Ok(())
}
