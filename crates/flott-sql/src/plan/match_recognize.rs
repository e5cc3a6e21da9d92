//! MATCH_RECOGNIZE: the operator that it becomes, and how EXPLAIN shows it.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion_common::{DFSchema, DFSchemaRef};
use datafusion_expr::Expr;
use flott_connector::factory::ChangelogMode;
use flott_core::types::arrow_schema;
use flott_core::{LogicalType, Result};
use flott_graph::{
    AfterMatch, AggregateCall, MatchReference, MatchSpec, PatternCondition, PatternVariable, SortKey, StateMeaning,
};

use super::convert::Converter;
use super::meaning;
use super::physical::physical_expr;
use super::program::{column_uses, substitute};
use super::rank::sort_keys;
use super::stream::{Columns, StreamInput, StreamNode, StreamOp};
use super::text::{Style, expression};
use super::window::{exchange, index_of};
use crate::bind::match_recognize::{Match, Reference, ReferenceValue, Variable};
use crate::bind::{FlinkNode, column, columns_of, plan_schema};

/// A pattern over the columns of an input.
#[derive(Debug, Clone)]
pub(crate) struct Matching {
    matched: Match,
    partition_keys: Vec<usize>,
    order: Vec<SortKey>,
}

impl Matching {
    /// Whether it waits for event time.
    pub(crate) fn is_event_time(&self) -> bool {
        self.matched.attribute == flott_core::types::TimeAttribute::Rowtime
    }
}

impl Converter<'_> {
    /// The node of a MATCH_RECOGNIZE.
    pub(crate) fn match_recognize(&self, node: &FlinkNode, matched: &Match) -> Result<Arc<StreamNode>> {
        let input = self.columns_below(node, &matched.columns_read())?;
        let fed: Columns = columns_of(&input.schema)?;
        let partition_keys = matched.partition.iter().map(|p| index_of(&fed, p)).collect::<Result<Vec<usize>>>()?;
        let order = sort_keys(&matched.order, &fed)?;
        let exchanged = exchange(&input, partition_keys.clone());
        let op = StreamOp::Match(Matching { matched: matched.clone(), partition_keys, order });
        let inputs = vec![StreamInput::from(&exchanged)];
        Ok(StreamNode::new(op, inputs, node.schema.clone(), ChangelogMode::INSERT_ONLY))
    }
}

impl Match {
    /// The columns of the input that are read.
    fn columns_read(&self) -> BTreeSet<String> {
        let mut read: BTreeSet<String> = self.partition.iter().cloned().collect();
        read.extend(self.order.iter().map(|k| k.column.clone()));
        for reference in self.references.iter().chain(self.variables.iter().flat_map(|v| &v.references)) {
            match &reference.value {
                ReferenceValue::Row { column, .. } => {
                    read.insert(column.clone());
                }
                ReferenceValue::Aggregate { arguments, .. } => {
                    read.extend(arguments.iter().flat_map(|a| column_uses(&a.0).into_keys()));
                }
                ReferenceValue::Rowtime => {}
            }
        }
        for variable in &self.variables {
            let own = |name: &String| !variable.references.iter().any(|r| r.name == *name);
            read.extend(variable.condition.iter().flat_map(column_uses).map(|u| u.0).filter(own));
        }
        read
    }
}

impl Matching {
    /// A match takes less than so long.
    pub(super) fn within_ms(&self) -> Option<i64> {
        self.matched.within_ms
    }

    /// The operator of the graph, and its identity without sources and ordinal.
    pub(super) fn spec(&self, node: &StreamNode, input: &DFSchemaRef) -> Result<(MatchSpec, String)> {
        let fed: Columns = columns_of(input)?;
        let variables = self.matched.variables.iter().map(|v| variable(v, input, &fed)).collect::<Result<Vec<_>>>()?;
        let references = &self.matched.references;
        let reference_schema = plan_schema(references.iter().map(|r| (r.name.as_str(), &r.data_type)))?;
        let measures = self.matched.measures.iter().map(|m| physical_expr(&m.1, &reference_schema));
        let names = |columns: &mut dyn Iterator<Item = usize>| {
            columns.map(|c| fed.get(c).map_or("", |f| f.0.as_str())).collect::<Vec<_>>().join(",")
        };
        let keys = names(&mut self.partition_keys.iter().copied());
        let order = names(&mut self.order.iter().map(|k| k.column));
        let spec = MatchSpec {
            partition_keys: self.partition_keys.clone(),
            attribute: self.matched.attribute,
            time_column: self.order.first().map_or(0, |k| k.column),
            then: self.order.iter().skip(1).copied().collect(),
            variables,
            within_ms: self.matched.within_ms,
            after_match: self.matched.after_match,
            references: references.iter().map(|r| reference(r, input, &fed)).collect::<Result<_>>()?,
            measures: measures.collect::<Result<_>>()?,
            reference_schema: Arc::new(reference_schema.as_arrow().clone()),
            input_schema: Arc::new(input.as_arrow().clone()),
            meaning: self.meaning(node, input)?,
        };
        Ok((spec, format!("match:[{keys}]:[{order}]")))
    }

    /// What its runs stand for.
    fn meaning(&self, node: &StreamNode, input: &DFSchema) -> Result<StateMeaning> {
        let within = self.matched.within_ms.map_or("none".to_string(), |ms| format!("{ms} ms"));
        let parts = [
            ("PATTERN", self.matched.pattern()),
            ("DEFINE", self.define(input).join(", ")),
            ("WITHIN", within),
            ("AFTER MATCH", self.matched.after()),
        ];
        meaning::of_match(node, &self.partition_keys, &self.order, parts)
    }

    /// The conditions by their variables.
    fn define(&self, input: &DFSchema) -> Vec<String> {
        let of = |v: &Variable| {
            let shown = self.shown(v.condition.as_ref()?, &v.references, Some(v), input);
            Some(format!("{}={}", v.name, expression(&shown, input, Style::Stored)))
        };
        self.matched.variables.iter().filter_map(of).collect()
    }

    /// As Flink prints it.
    pub(super) fn text(&self, kind: &str, node: &StreamNode, style: Style) -> String {
        let Some(input) = node.input().map(|i| i.schema.clone()) else { return kind.to_string() };
        let name = |c: &usize| input.field(*c).name().clone();
        let mut parts = vec![];
        if !self.partition_keys.is_empty() {
            let keys: Vec<String> = self.partition_keys.iter().map(name).collect();
            parts.push(format!("partitionBy=[{}]", keys.join(", ")));
        }
        let order: Vec<String> = self
            .order
            .iter()
            .map(|k| format!("{} {}", name(&k.column), if k.ascending { "ASC" } else { "DESC" }))
            .collect();
        parts.push(format!("orderBy=[{}]", order.join(", ")));
        let measures = self.matched.measures.iter().map(|(name, e)| {
            let shown = self.shown(e, &self.matched.references, None, &input);
            format!("FINAL({}) AS {name}", expression(&shown, &input, style))
        });
        parts.push(format!("measures=[{}]", measures.collect::<Vec<_>>().join(", ")));
        parts.push("rowsPerMatch=[ONE ROW PER MATCH]".to_string());
        parts.push(format!("after=[{}]", self.matched.after()));
        parts.push(format!("pattern=[{}]", self.matched.pattern()));
        parts.push(format!("define=[{{{}}}]", self.define(&input).join(", ")));
        if let Some(ms) = self.matched.within_ms {
            parts.push(format!("within=[{ms}:INTERVAL]"));
        }
        format!("{kind}({})", parts.join(", "))
    }

    /// The expression with what its references stand for in the place of their columns.
    fn shown(&self, e: &Expr, references: &[Reference], of: Option<&Variable>, input: &DFSchema) -> Expr {
        let name_of = |variable: &Option<usize>| {
            variable.and_then(|v| self.matched.variables.get(v)).map_or("*", |v| v.name.as_str())
        };
        let by = |name: &str| -> Option<Expr> {
            let Some(reference) = references.iter().find(|r| r.name == name) else {
                let place = input.index_of_column_by_name(None, name)?;
                return of.map(|v| column(&format!("PREV({}.${place}, 0)", v.name)));
            };
            Some(column(&match &reference.value {
                ReferenceValue::Row { variable, first, offset, column } => {
                    let place = input.index_of_column_by_name(None, column);
                    let name = match (of, place) {
                        (Some(_), Some(place)) => format!("{}.${place}", name_of(variable)),
                        _ => format!("{}.{column}", name_of(variable)),
                    };
                    match (first, offset) {
                        (false, 0) => name,
                        (first, offset) => format!("{}({name}, {offset})", if *first { "FIRST" } else { "LAST" }),
                    }
                }
                ReferenceValue::Aggregate { variable, kind, arguments } => {
                    let arguments: Vec<String> = arguments
                        .iter()
                        .map(|a| {
                            let named = substitute(&a.0, &|c| Some(column(&format!("{}.{c}", name_of(variable)))));
                            expression(named.as_ref().unwrap_or(&a.0), input, Style::Stored)
                        })
                        .collect();
                    let arguments = if arguments.is_empty() { "*".to_string() } else { arguments.join(", ") };
                    format!("{kind}({arguments})")
                }
                ReferenceValue::Rowtime => "MATCH_ROWTIME()".to_string(),
            }))
        };
        substitute(e, &by).unwrap_or_else(|_| e.clone())
    }
}

impl Match {
    fn after(&self) -> String {
        let name = |v: usize| self.variables.get(v).map_or("", |v| v.name.as_str());
        match self.after_match {
            AfterMatch::PastLastRow => "SKIP PAST LAST ROW".to_string(),
            AfterMatch::ToNextRow => "SKIP TO NEXT ROW".to_string(),
            AfterMatch::ToFirst(v) => format!("SKIP TO FIRST _UTF-16LE'{}'", name(v)),
            AfterMatch::ToLast(v) => format!("SKIP TO LAST _UTF-16LE'{}'", name(v)),
        }
    }

    fn pattern(&self) -> String {
        let one = |v: &Variable| {
            let name = format!("_UTF-16LE'{}'", v.name);
            let q = v.quantifier;
            if (q.at_least, q.at_most) == (1, Some(1)) {
                return name;
            }
            let most = q.at_most.map_or(-1, i64::from);
            format!("PATTERN_QUANTIFIER({name}, {}, {most}, {})", q.at_least, !q.greedy)
        };
        let joined = self.variables.iter().map(one).reduce(|left, right| format!("({left}, {right})"));
        joined.unwrap_or_default()
    }
}

/// The logical node, as Calcite prints it.
pub(super) fn logical(matched: &Match, node: &FlinkNode) -> String {
    let input = node.input.schema();
    let place = |name: &String| input.index_of_column_by_name(None, name).unwrap_or_default();
    let partition: Vec<String> = matched.partition.iter().map(|p| place(p).to_string()).collect();
    let order: Vec<String> = matched
        .order
        .iter()
        .map(|k| {
            let direction = if k.ascending { "ASC" } else { "DESC" };
            let nulls = if k.nulls_last { "last" } else { "first" };
            format!("{} {direction}-nulls-{nulls}", place(&k.column))
        })
        .collect();
    let interval = matched.within_ms.map(|ms| format!(", interval=[{ms}:INTERVAL]")).unwrap_or_default();
    format!(
        "LogicalMatch(partition=[[{}]], order=[[{}]], outputFields=[[{}]], allRows=[false], after=[{}], pattern=[{}]{interval}, \
         inputFields=[[{}]])",
        partition.join(", "),
        order.join(", "),
        super::explain::names(&node.schema),
        matched.after(),
        matched.pattern(),
        super::explain::names(input)
    )
}

fn variable(v: &Variable, input: &DFSchemaRef, fed: &Columns) -> Result<PatternVariable> {
    let condition = match &v.condition {
        None => None,
        Some(e) => {
            let mut all: Vec<(String, LogicalType)> = fed.clone();
            all.extend(v.references.iter().map(|r| (r.name.clone(), r.data_type.clone())));
            let schema = plan_schema(all.iter().map(|(n, t)| (n.as_str(), t)))?;
            Some(PatternCondition {
                references: v.references.iter().map(|r| reference(r, input, fed)).collect::<Result<_>>()?,
                expression: physical_expr(e, &schema)?,
                schema: Arc::new(schema.as_arrow().clone()),
            })
        }
    };
    Ok(PatternVariable { name: v.name.clone(), quantifier: v.quantifier, condition })
}

fn reference(r: &Reference, input: &DFSchemaRef, fed: &Columns) -> Result<MatchReference> {
    Ok(match &r.value {
        ReferenceValue::Row { variable, first, offset, column } => {
            MatchReference::Row { variable: *variable, first: *first, offset: *offset, column: index_of(fed, column)? }
        }
        ReferenceValue::Aggregate { variable, kind, arguments } => {
            let names: Vec<String> = (0..arguments.len()).map(|i| format!("$a{i}")).collect();
            MatchReference::Aggregate {
                variable: *variable,
                call: AggregateCall {
                    kind: *kind,
                    arguments: (0..arguments.len()).collect(),
                    filter: None,
                    distinct: false,
                    result: r.data_type.clone(),
                    argument_type: arguments.first().map(|a| a.1.clone()),
                    name: r.name.clone(),
                },
                arguments: arguments.iter().map(|a| physical_expr(&a.0, input)).collect::<Result<_>>()?,
                schema: arrow_schema(names.iter().map(String::as_str).zip(arguments.iter().map(|a| &a.1))),
            }
        }
        ReferenceValue::Rowtime => MatchReference::Rowtime,
    })
}
