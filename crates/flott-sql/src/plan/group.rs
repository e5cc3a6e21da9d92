//! GROUP BY without windows, and the normalisation of changelogs by key: which operators they become.

use std::sync::Arc;

use datafusion_expr::{Expr, Operator};
use flott_connector::factory::ChangelogMode;
use flott_core::{Error, Result};
use flott_graph::{Changes, GroupAggregateSpec, SplitLevel};

use super::changelog::{ModifyKinds, UpdateKind};
use super::convert::Converter;
use super::meaning;
use super::options;
use super::program::{and, column_uses};
use super::stream::{Calc, ChangelogNormalize, Columns, StreamInput, StreamNode, StreamOp};
use super::window::{aggregate_calls, exchange, expand, index_of};
use crate::bind::node::{Aggregate, EXPAND_ID};
use crate::bind::window::keeps_bounds;
use crate::bind::{FlinkNode, ScanTable, column, columns_of, plan_schema};

impl Converter<'_> {
    /// The nodes of an aggregation without windows, and each column of the logical node over the planned ones.
    pub(crate) fn group_aggregate(
        &self,
        node: &FlinkNode,
        aggregate: &Aggregate,
    ) -> Result<(Arc<StreamNode>, Vec<Expr>)> {
        let read = aggregate.calls.iter().flat_map(|c| c.arguments.iter().chain(&c.filter));
        let mut input = self.columns_below(node, &aggregate.group.iter().chain(read).cloned().collect())?;
        let mut group = aggregate.group.clone();
        if let Some(sets) = &aggregate.sets {
            // Which rows fill a mini-batch is seen.
            input = expand(&input, aggregate, sets, options::merges_changes(self.config)?)?;
            group.push(EXPAND_ID.to_string());
        }
        let fed: Columns = columns_of(&input.schema)?;
        let aggregates = aggregate_calls(aggregate, &fed)?;
        let logical = columns_of(&node.schema)?;
        let of_name = |name: &String| {
            logical.iter().find(|c| c.0 == *name).ok_or_else(|| Error::internal(format!("column '{name}' is missing")))
        };
        let names = group.iter().chain(aggregate.calls.iter().map(|c| &c.name));
        let output = names.map(of_name).collect::<Result<Vec<_>>>()?;
        let schema = plan_schema(output.into_iter().map(|(n, t)| (n.as_str(), t)))?;
        let group_keys: Vec<usize> = group.iter().map(|k| index_of(&fed, k)).collect::<Result<_>>()?;
        let retracts = !input.changelog.is_insert_only();
        let changes = options::changes(self.config)?;
        let kinds = match changes {
            Changes::Final => ModifyKinds::INSERT_ONLY,
            _ => ModifyKinds { insert: true, update: true, delete: retracts },
        };
        let spec = GroupAggregateSpec {
            meaning: meaning::of_aggregates(&input, &group_keys, &aggregates),
            group_keys,
            aggregates,
            retracts,
            update_before: true,
            changes,
            state_ttl: aggregate.state_ttl.or(options::state_ttl(self.config)?).filter(|d| !d.is_zero()),
            level: SplitLevel::None,
            input_schema: Arc::new(input.schema.as_arrow().clone()),
        };
        let mode = kinds.mode(UpdateKind::BeforeAndAfter);
        let outputs = logical.iter().map(|(name, _)| column(name)).collect();
        // As in Flink, the rows of a window are few enough.
        if spec.changes != Changes::Final
            && !keeps_bounds(&node.input, &aggregate.group)
            && let Some(buckets) = options::distinct_buckets(self.config)?
            && let Some(planned) = self.split_distinct(&input, &spec, &schema, buckets)?
        {
            return Ok((planned, outputs));
        }
        let exchanged = exchange(&input, spec.group_keys.clone());
        let planned =
            StreamNode::new(StreamOp::GroupAggregate(spec), vec![StreamInput::from(&exchanged)], schema, mode);
        Ok((planned, outputs))
    }

    /// Whether a changelog of this table has to be made complete.
    pub(super) fn must_be_normalized(&self, mode: ChangelogMode, table: &ScanTable) -> Result<bool> {
        if mode.update_after && !mode.update_before {
            return Ok(true);
        }
        if mode.is_insert_only() || !options::cdc_events_duplicate(self.config)? {
            return Ok(false);
        }
        if table.table.schema.primary_key.is_none() {
            return Err(Error::user(format!(
                "Configuration '{}' is enabled which requires the changelog sources to define a PRIMARY KEY. However, table \
                 '{}' doesn't have a primary key.",
                options::CDC_EVENTS_DUPLICATE.key,
                super::sink::summary(&table.identifier)
            ))
            .hint("Declare PRIMARY KEY (..) NOT ENFORCED"));
        }
        Ok(true)
    }

    /// A source whose changelog is complete, and what is left of the filter above it: conditions on the key go before
    /// the normalisation (all versions of a row pass or none), others into it, so that rows that do not pass need no
    /// state.
    pub(super) fn normalized(
        &self,
        scan: Arc<StreamNode>,
        filter: Option<Expr>,
    ) -> Result<(Arc<StreamNode>, Option<Expr>)> {
        let StreamOp::Scan(source) = &scan.op else { return Ok((scan, filter)) };
        if !self.must_be_normalized(scan.changelog, &source.table)? {
            return Ok((scan, filter));
        }
        let key = source.primary_key().ok_or_else(|| Error::internal("a key column of a changelog is not read"))?;
        let table = &source.table;
        let reads_metadata = source.columns.iter().any(|i| {
            let column = table.table.schema.column(table.schema.field(*i).name());
            column.is_some_and(|c| c.metadata_key().is_some())
        });
        let key_names: Vec<&String> = key.iter().map(|k| scan.schema.field(*k).name()).collect();
        let (mut before, mut inside) = (None, None);
        for condition in filter.iter().flat_map(conjuncts) {
            let of_key = column_uses(condition).keys().all(|c| key_names.contains(&c)) && !condition.is_volatile();
            let to = if of_key { &mut before } else { &mut inside };
            *to = and(to.take(), Some(condition.clone()));
        }
        let mut node = scan.clone();
        if before.is_some() {
            let projection = scan.schema.fields().iter().map(|f| column(f.name())).collect();
            let op = StreamOp::Calc(Calc { projection, filter: before });
            node = StreamNode::new(op, vec![StreamInput::from(&scan)], scan.schema.clone(), scan.changelog);
        }
        let exchanged = exchange(&node, key.clone());
        let op = StreamOp::ChangelogNormalize(ChangelogNormalize {
            key,
            filter: inside,
            must_stay: reads_metadata || options::cdc_events_duplicate(self.config)?,
            update_before: true,
            changes: options::changes(self.config)?,
            state_ttl: options::state_ttl(self.config)?,
        });
        let schema = scan.schema.clone();
        Ok((StreamNode::new(op, vec![StreamInput::from(&exchanged)], schema, ChangelogMode::ALL), None))
    }
}

/// The parts of a condition that AND holds together.
fn conjuncts(e: &Expr) -> Vec<&Expr> {
    match e {
        Expr::BinaryExpr(b) if b.op == Operator::And => {
            conjuncts(&b.left).into_iter().chain(conjuncts(&b.right)).collect()
        }
        other => vec![other],
    }
}
