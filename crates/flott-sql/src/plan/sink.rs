//! Sinks: the query's columns against the table's, implicit casts, constraints, changelog.

use std::sync::Arc;

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, LogicalPlan};
use flott_connector::factory::{ChangelogMode, ConnectorFactory, TableContext, TableSink};
use flott_connector::table::{CatalogTable, Column, ColumnKind, ObjectIdentifier};
use flott_core::types::{TimeAttribute, TypeKind, arrow_schema};
use flott_core::{Error, LogicalType, Result, suggest};
use flott_graph::ConflictStrategy;
use flott_graph::spec::NestedEnforcer;
use sqlparser::ast::{Expr as Ast, Spanned};

use super::convert::Converter;
use super::options;
use super::stream::{Sink, StreamInput, StreamNode, StreamOp};
use super::window::LATE_PREFIX;
use crate::bind::hints::{self, GivenHint};
use crate::bind::{
    CatalogObject, Tables, Typed, at, check_dynamic_options, column, columns_of, is_batch, plan_schema, project,
    rename_columns,
};
use crate::parser::ast::InsertStatement;

/// A sink table and the query's columns cast to it.
pub(crate) struct Insert {
    pub(crate) identifier: ObjectIdentifier,
    pub(crate) table: CatalogTable,
    pub(crate) overwrite: bool,
    pub(crate) conflict: Option<ConflictStrategy>,
    /// Below the sink: exactly the table's persisted columns.
    pub(crate) plan: LogicalPlan,
}

/// `catalog.database.table`
pub(crate) fn summary(i: &ObjectIdentifier) -> String {
    format!("{}.{}.{}", i.catalog, i.database, i.object)
}

impl Converter<'_> {
    /// Binds an INSERT.
    pub(crate) fn insert(&self, tables: &dyn Tables, statement: &InsertStatement) -> Result<Insert> {
        let InsertStatement {
            table: name,
            hints: given_hints,
            partition,
            columns,
            overwrite,
            query,
            on_conflict,
            position,
        } = statement;
        let parts: Vec<String> = name.parts.iter().map(|p| p.value.clone()).collect();
        let place = name.position();
        let conflict = match on_conflict.as_deref() {
            None => None,
            Some("DEDUPLICATE") => Some(ConflictStrategy::Deduplicate),
            Some("ERROR") => Some(ConflictStrategy::Error),
            Some("NOTHING") => Some(ConflictStrategy::Nothing),
            Some(other) => {
                return Err(Error::user(format!("ON CONFLICT DO {other}"))
                    .at(*position)
                    .hint("Write ON CONFLICT DO ERROR, DO NOTHING or DO DEDUPLICATE"));
            }
        };
        let (identifier, mut table) = match tables.lookup(&parts).map_err(|e| e.at(place))? {
            Some(CatalogObject::Table(identifier, table)) => (identifier, table),
            Some(CatalogObject::View { identifier, .. }) => {
                return Err(Error::user(format!("'{}' is a view: nothing can be inserted into it", identifier.object))
                    .at(place)
                    .hint("Insert into a table"));
            }
            None => {
                let names = tables.names();
                let error = Error::user(format!("Object '{name}' not found")).with("table", name).at(place);
                return Err(match suggest::nearest(&parts[parts.len() - 1], names.iter().map(String::as_str)) {
                    Some(near) => error.hint(format!("Did you mean '{near}'?")),
                    None => error.hint("CREATE TABLE it first"),
                });
            }
        };
        for hint in given_hints {
            let given = GivenHint { name: hint.name.clone(), list: vec![], pairs: hint.options.clone() };
            hints::check(&given).map_err(|e| e.at(hint.position))?;
            if hint.name != hints::OPTIONS {
                hints::ignored_at_table(&given);
                continue;
            }
            check_dynamic_options(self.config, &identifier).map_err(|e| e.at(hint.position))?;
            for (key, value) in &hint.options {
                table.options.set(key, value);
            }
        }
        let bound = self.binder.query(query)?;
        let statics = self.static_partition(&table, &identifier, partition)?;
        let named: Vec<String> = columns
            .iter()
            .map(|c| {
                if c.parts.len() == 1 {
                    Ok(c.parts[0].value.clone())
                } else {
                    Err(Error::user(format!("not supported yet: the nested column '{c}' in an INSERT"))
                        .at(c.position())
                        .hint("Insert the whole column"))
                }
            })
            .collect::<Result<_>>()?;
        let plan = self.sink_columns(bound, &identifier, &table, &named, &statics).map_err(|e| e.at(*position))?;
        Ok(Insert { identifier, table, overwrite: *overwrite, conflict, plan })
    }

    /// `PARTITION (k = literal)`
    fn static_partition(
        &self,
        table: &CatalogTable,
        identifier: &ObjectIdentifier,
        partition: &[(sqlparser::ast::Ident, Ast)],
    ) -> Result<Vec<(String, Typed)>> {
        let mut out = vec![];
        for (key, value) in partition {
            if !table.partition_keys.contains(&key.value) {
                let keys = table.partition_keys.join(", ");
                return Err(at(
                    Error::user(format!("'{}' is not a partition key of table '{}'", key.value, identifier.object))
                        .hint(if keys.is_empty() { "The table has none".into() } else { format!("Its keys: {keys}") }),
                    key.span,
                ));
            }
            let bound = self.binder.expression(value, &[]).map_err(|e| at(e, value.span()))?;
            out.push((key.value.clone(), bound));
        }
        Ok(out)
    }

    /// The query's columns as the table's persisted ones: by position, cast where Flink does so by itself.
    fn sink_columns(
        &self,
        bound: LogicalPlan,
        identifier: &ObjectIdentifier,
        table: &CatalogTable,
        named: &[String],
        statics: &[(String, Typed)],
    ) -> Result<LogicalPlan> {
        let persisted: Vec<&Column> = table.schema.columns.iter().filter(|c| c.is_persisted()).collect();
        let is_static = |name: &str| statics.iter().any(|(n, _)| n == name);
        let targets: Vec<&Column> = if named.is_empty() {
            persisted.iter().filter(|c| !is_static(&c.name)).copied().collect()
        } else {
            let mut targets: Vec<&Column> = vec![];
            for name in named {
                let Some(c) = persisted.iter().find(|c| c.name == *name) else {
                    let known = persisted.iter().map(|c| c.name.as_str());
                    let error = match table.schema.column(name) {
                        Some(_) => Error::user(format!("Column '{name}' of the sink cannot be written"))
                            .hint("It is computed or virtual"),
                        None => {
                            let error = Error::user(format!("Unknown target column '{name}'"));
                            match suggest::nearest(name, known) {
                                Some(near) => error.hint(format!("Did you mean '{near}'?")),
                                None => error,
                            }
                        }
                    };
                    return Err(error.with("column", name).with("table", &identifier.object));
                };
                if targets.iter().any(|t| t.name == *name) || is_static(name) {
                    return Err(Error::user(format!("Target column '{name}' is assigned more than once"))
                        .with("table", &identifier.object)
                        .hint("Name every column once"));
                }
                targets.push(c);
            }
            targets
        };
        let have = columns_of(bound.schema())?;
        let wanted: Vec<(String, LogicalType)> =
            targets.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
        if have.len() != wanted.len() {
            return Err(mismatch(identifier, "Different number of columns.", &have, &wanted));
        }
        let mut columns = vec![];
        for c in &persisted {
            let value = if let Some(i) = targets.iter().position(|t| t.name == c.name) {
                let (field, t) = &have[i];
                let value = Typed { expr: column(field), data_type: t.clone() };
                match self.implicit(value, &c.data_type)? {
                    Some(value) => value,
                    None => {
                        let cause = format!("Incompatible types for sink column '{}' at position {}.", c.name, i + 1);
                        return Err(mismatch(identifier, &cause, &have, &wanted));
                    }
                }
            } else if let Some((_, value)) = statics.iter().find(|(n, _)| *n == c.name) {
                self.binder.functions().cast(value.clone(), &c.data_type.with_nullable(true), false)?
            } else if c.data_type.nullable {
                let null = self.binder.functions().literal(ScalarValue::Null, &TypeKind::Null.nullable())?;
                self.binder.functions().cast(null, &c.data_type, false)?
            } else {
                return Err(Error::user(format!("Column '{}' has no default value and does not allow NULLs", c.name))
                    .with("table", &identifier.object)
                    .hint("Name it in the INSERT and give it a value"));
            };
            columns.push((c.name.clone(), value));
        }
        project(bound, columns)
    }

    /// The value as a sink column's type, materialising time attributes; `None` where Flink asks for a CAST.
    pub(super) fn implicit(&self, value: Typed, target: &LogicalType) -> Result<Option<Typed>> {
        let plain = value.data_type.with_time_attribute(TimeAttribute::None);
        // What a sink calls its rowtime arrives as a plain timestamp.
        let wanted = target.with_nullable(plain.nullable).with_time_attribute(TimeAttribute::None);
        // What the sink's enforcer looks at arrives with its NULLs: it knows where they stand.
        let wanted = unenforced(&wanted, options::nested_enforcer(self.config)?);
        if plain.kind == wanted.kind || is_contained(&plain.kind, &wanted.kind) {
            return Ok(Some(Typed { expr: value.expr, data_type: wanted }));
        }
        if !self.binder.functions().implicit_cast(&plain, &wanted.with_nullable(true)) {
            return Ok(None);
        }
        // A real cast, which trims and pads texts and bytes as CAST does, those inside rows and collections too.
        let value = Typed { expr: value.expr, data_type: plain };
        Ok(Some(self.binder.functions().cast(value, &wanted, false)?))
    }

    /// The sink's node over a planned input.
    pub(crate) fn sink(
        &self,
        identifier: &ObjectIdentifier,
        table: &CatalogTable,
        overwrite: bool,
        conflict: Option<ConflictStrategy>,
        input: StreamInput,
    ) -> Result<Arc<StreamNode>> {
        let columns: Vec<Column> = table.schema.columns.iter().filter(|c| c.is_persisted()).cloned().collect();
        let connector = table.options.get("connector").ok_or_else(|| {
            Error::user(format!("Table '{}' has no option 'connector'", identifier.object))
                .hint(format!("Available connectors: {}", self.registry.connector_names().join(", ")))
        })?;
        let factory = self.registry.connector(connector).map_err(|e| e.with("table", &identifier.object))?;
        if columns.iter().any(|c| c.metadata_key().is_some() || matches!(c.kind, ColumnKind::Metadata { .. })) {
            self.writes_metadata(factory.as_ref(), identifier, table)?;
        }
        let name = |c: &Column| c.metadata_key().unwrap_or(&c.name).to_string();
        let arriving: Vec<(String, LogicalType)> =
            columns.iter().map(|c| (name(c), c.data_type.with_time_attribute(TimeAttribute::None))).collect();
        let context = TableContext {
            identifier: identifier.clone(),
            table: table.clone(),
            schema: arrow_schema(arriving.iter().map(|(n, t)| (n.as_str(), t))),
            metadata_keys: columns.iter().filter_map(|c| c.metadata_key().map(str::to_string)).collect(),
            config: self.config.clone(),
            base_dir: self.base_dir.clone(),
            registry: self.registry.clone(),
            fail_points: self.fail_points.clone(),
        };
        let sink = if overwrite { self.overwriting(factory.as_ref(), &context) } else { factory.sink(&context) };
        let sink = sink.map_err(|e| e.with("table", &identifier.object))?;
        let mode = input.node.changelog;
        // Behind the enforcer nested NOT NULLs hold.
        let nested = options::nested_enforcer(self.config)?;
        let mut leaving = columns_of(&input.node.schema)?;
        for ((_, t), column) in leaving.iter_mut().zip(&columns) {
            if unenforced(&column.data_type, nested).kind == t.kind {
                t.kind = column.data_type.kind.clone();
            }
        }
        let schema = plan_schema(leaving.iter().map(|(n, t)| (n.as_str(), t)))?;
        let op = StreamOp::Sink(Sink {
            identifier: identifier.clone(),
            shown: summary(identifier),
            sink,
            constraints: options::sink_constraints(self.config, columns.iter().map(|c| c.data_type.clone()).collect())?,
            primary_key: table
                .schema
                .primary_key
                .iter()
                .flat_map(|k| &k.columns)
                .filter_map(|name| columns.iter().position(|c| c.name == *name))
                .collect(),
            keyed_shuffle: options::keyed_shuffle(self.config)?,
            follows_query: factory.sink_follows_query(),
            hides_changes: factory.sink_hides_changes(),
            deletes_by_key: factory.sink_deletes_by_key(&table.options),
            conflict,
            materialize: None,
            state_ttl: options::state_ttl(self.config)?,
            columns,
        });
        Ok(StreamNode::new(op, vec![input], schema, mode))
    }

    /// Refuses metadata columns that are to be written where the connector writes none.
    fn writes_metadata(
        &self,
        factory: &dyn ConnectorFactory,
        identifier: &ObjectIdentifier,
        table: &CatalogTable,
    ) -> Result<()> {
        if factory.table_metadata(&table.options, self.registry.as_ref())?.iter().any(|k| k.writable) {
            return Ok(());
        }
        let message = format!(
            "Table '{}' declares persistable metadata columns, but the underlying DynamicTableSink doesn't implement the \
             SupportsWritingMetadata interface. If the column should not be persisted, it can be declared with the \
             VIRTUAL keyword.",
            summary(identifier)
        );
        Err(Error::user(message).hint("Write METADATA FROM '..' VIRTUAL for what only a source has"))
    }

    /// The sink of an INSERT OVERWRITE: only where the connector has one, and for most only in a batch, as in Flink.
    fn overwriting(&self, factory: &dyn ConnectorFactory, context: &TableContext) -> Result<TableSink> {
        let Some(sink) = factory.overwriting_sink(context) else {
            return Err(Error::user(format!(
                "INSERT OVERWRITE requires that the underlying DynamicTableSink of table '{}' implements the \
                 SupportsOverwrite interface.",
                context.identifier
            ))
            .hint(format!("The connector '{}' cannot overwrite: use INSERT INTO", factory.identifier())));
        };
        if !is_batch(self.config) && !factory.overwrites_in_streaming() {
            return Err(Error::user("Streaming mode not support overwrite.")
                .hint("SET 'execution.runtime-mode' = 'BATCH', or use INSERT INTO"));
        }
        sink
    }

    /// A sink for the late rows of an aggregation: the first `width` columns of its input are what the window function read.
    pub(crate) fn late_sink(
        &self,
        aggregate: &Arc<StreamNode>,
        input: &Arc<StreamNode>,
        width: usize,
        filter: Option<Expr>,
        table: &str,
    ) -> Result<()> {
        let what = || format!("'{}' = '{table}'", options::LATE_RECORDS_TABLE.key);
        let parts: Vec<String> = table.split('.').map(|p| p.trim().trim_matches('`').to_string()).collect();
        let Some(CatalogObject::Table(identifier, table)) = self.binder.tables().lookup(&parts)? else {
            return Err(Error::user(format!("{}: there is no such table", what()))
                .hint("CREATE TABLE it first, or RESET the option"));
        };
        let persisted: Vec<&Column> = table.schema.columns.iter().filter(|c| c.is_persisted()).collect();
        let all = columns_of(&input.schema)?;
        let have: Vec<(String, LogicalType)> =
            all.iter().take(width).filter(|c| c.0.starts_with(LATE_PREFIX)).cloned().collect();
        let shown: Vec<(String, LogicalType)> =
            have.iter().map(|(n, t)| (n.trim_start_matches(LATE_PREFIX).to_string(), t.clone())).collect();
        let wanted: Vec<(String, LogicalType)> =
            persisted.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
        if have.len() != wanted.len() {
            return Err(mismatch(&identifier, "Different number of columns.", &shown, &wanted).hint(format!(
                "Late rows have the columns of the window function's input; see {}",
                options::LATE_RECORDS_TABLE.key
            )));
        }
        let mut projection = vec![];
        let mut output = vec![];
        for (i, ((name, t), c)) in have.iter().zip(&persisted).enumerate() {
            let value = Typed { expr: column(name), data_type: t.clone() };
            let Some(value) = self.implicit(value, &c.data_type)? else {
                let cause = format!("Incompatible types for sink column '{}' at position {}.", c.name, i + 1);
                return Err(mismatch(&identifier, &cause, &shown, &wanted));
            };
            output.push((c.name.clone(), value.data_type.clone()));
            projection.push(value.expr);
        }
        let schema = plan_schema(output.iter().map(|(n, t)| (n.as_str(), t)))?;
        let op = StreamOp::Calc(super::stream::Calc { projection, filter });
        let late = StreamInput { node: aggregate.clone(), port: 1 };
        let calc = StreamNode::new(op, vec![late], schema, ChangelogMode::INSERT_ONLY);
        let sink = self.sink(&identifier, &table, false, None, StreamInput::from(&calc))?;
        self.late.borrow_mut().push(sink);
        Ok(())
    }
}

/// The type without the NOT NULLs inside of it that a sink's enforcer sees to.
fn unenforced(t: &LogicalType, nested: NestedEnforcer) -> LogicalType {
    let inner = |t: &LogicalType| unenforced(t, nested).with_nullable(true);
    let collections = nested == NestedEnforcer::RowsAndCollections;
    let kind = match &t.kind {
        TypeKind::Row(fields) if nested != NestedEnforcer::Ignore => {
            let mut fields = fields.clone();
            fields.iter_mut().for_each(|f| f.data_type = inner(&f.data_type));
            TypeKind::Row(fields)
        }
        TypeKind::Array(element) if collections => TypeKind::Array(Box::new(inner(element))),
        TypeKind::Map(key, value) if collections => TypeKind::Map(Box::new(inner(key)), Box::new(inner(value))),
        other => other.clone(),
    };
    LogicalType { kind, nullable: t.nullable }
}

/// Texts and bytes that fit need no cast: CHAR(2) is a VARCHAR(3), but not the other way round.
fn is_contained(from: &TypeKind, to: &TypeKind) -> bool {
    match (from, to) {
        (TypeKind::Char(n) | TypeKind::VarChar(n), TypeKind::VarChar(m)) => n <= m,
        (TypeKind::Binary(n) | TypeKind::VarBinary(n), TypeKind::VarBinary(m)) => n <= m,
        _ => false,
    }
}

/// A query's plan under the names of a result, with time attributes materialised.
pub(crate) fn materialized(plan: LogicalPlan) -> Result<LogicalPlan> {
    let columns = columns_of(plan.schema())?;
    if columns.iter().all(|c| c.1.kind.time_attribute() == TimeAttribute::None) {
        return Ok(plan);
    }
    let names: Vec<String> = columns.iter().map(|c| c.0.clone()).collect();
    let columns = columns
        .into_iter()
        .map(|(name, t)| {
            let data_type = t.with_time_attribute(TimeAttribute::None);
            (name.clone(), Typed { expr: column(&name), data_type })
        })
        .collect();
    rename_columns(project(plan, columns)?, &names)
}

/// Flink's message.
fn mismatch(
    identifier: &ObjectIdentifier,
    cause: &str,
    query: &[(String, LogicalType)],
    sink: &[(String, LogicalType)],
) -> Error {
    let list = |columns: &[(String, LogicalType)]| {
        columns.iter().map(|(n, t)| format!("{n}: {t}")).collect::<Vec<_>>().join(", ")
    };
    Error::user(format!(
        "Column types of query result and sink for '{}' do not match.\nCause: {cause}\n\nQuery schema: [{}]\nSink schema:  [{}]",
        summary(identifier),
        list(query),
        list(sink)
    ))
    .with("table", &identifier.object)
    .hint("Select the columns in the sink's order, and CAST where types differ")
}
