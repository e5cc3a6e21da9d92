//! Sinks of records that a source could not read: they leave its scan by the second port.

use std::sync::Arc;

use datafusion_common::DFSchemaRef;
use flott_connector::dead_letter::{self, TABLE};
use flott_connector::factory::ChangelogMode;
use flott_core::{Error, LogicalType, Result, suggest};

use super::convert::Converter;
use super::stream::{Calc, Scan, StreamInput, StreamNode, StreamOp};
use crate::bind::{CatalogObject, Typed, column, plan_schema};

/// Before the names of a dead letter's columns: they are none of the scan's.
const PREFIX: &str = "$dead_letter$";

/// What leaves a scan by its second port.
pub(super) fn schema() -> Result<DFSchemaRef> {
    let columns = dead_letter::columns().map(|(name, t)| (format!("{PREFIX}{name}"), t));
    plan_schema(columns.iter().map(|(name, t)| (name.as_str(), t)))
}

/// What a reader of a scan's second port reads where the plan has put something behind the scan.
pub(super) fn scan_below(node: &Arc<StreamNode>) -> Arc<StreamNode> {
    match (&node.op, node.inputs.first()) {
        (StreamOp::Scan(_), _) | (_, None) => node.clone(),
        (_, Some(input)) => scan_below(&input.node),
    }
}

impl Converter<'_> {
    /// Plans the sink of a scan's dead letters, where its table has one; once for all scans of a source.
    pub(super) fn dead_letters(&self, scan: &Arc<StreamNode>) -> Result<()> {
        let StreamOp::Scan(Scan { table, key, .. }) = &scan.op else { return Ok(()) };
        let source = &table.identifier.object;
        let Some(name) = dead_letter::table(&table.table.options).map_err(|e| e.with("table", source))? else {
            return Ok(());
        };
        if !self.dead_letters.borrow_mut().insert(key.clone()) {
            return Ok(());
        }
        let parts: Vec<String> = name.split('.').map(|p| p.trim().trim_matches('`').to_string()).collect();
        let Some(CatalogObject::Table(identifier, target)) = self.binder.tables().lookup(&parts)? else {
            return Err(Error::user(format!("'{}' = '{name}': there is no such table", TABLE.key))
                .with("table", source)
                .hint("CREATE TABLE it first"));
        };
        let have = dead_letter::columns();
        let (mut projection, mut output): (Vec<_>, Vec<(String, LogicalType)>) = (vec![], vec![]);
        for wanted in target.schema.columns.iter().filter(|c| c.is_persisted()) {
            let wrong = |what: String| {
                Error::user(format!("'{name}' cannot take records of '{source}' that cannot be read: {what}"))
                    .with("table", &identifier.object)
            };
            let Some((known, data_type)) = have.iter().find(|(known, _)| wanted.name == *known) else {
                let names: Vec<&str> = have.iter().map(|h| h.0).collect();
                let hint = match suggest::nearest(&wanted.name, names.iter().copied()) {
                    Some(near) => format!("Did you mean '{near}'?"),
                    None => format!("A dead letter has {}", names.join(", ")),
                };
                return Err(wrong(format!("they have no column '{}'", wanted.name)).hint(hint));
            };
            let value = Typed { expr: column(&format!("{PREFIX}{known}")), data_type: data_type.clone() };
            let is_read_as_text = data_type.kind.is_binary() && wanted.data_type.kind.is_character();
            let value = match is_read_as_text {
                // Who keeps them to be read by people says so by the column's type.
                true => Some(self.binder.functions().cast(value, &wanted.data_type.with_nullable(true), false)?),
                false => self.implicit(value, &wanted.data_type)?,
            };
            let Some(value) = value else {
                return Err(wrong(format!("column '{known}' is {data_type}, not {}", wanted.data_type))
                    .hint("Declare the column with that type"));
            };
            output.push((wanted.name.clone(), value.data_type.clone()));
            projection.push(value.expr);
        }
        let schema = plan_schema(output.iter().map(|(n, t)| (n.as_str(), t)))?;
        let letters = StreamInput { node: scan.clone(), port: 1 };
        let op = StreamOp::Calc(Calc { projection, filter: None });
        let calc = StreamNode::new(op, vec![letters], schema, ChangelogMode::INSERT_ONLY);
        let sink = self.sink(&identifier, &target, false, None, StreamInput::from(&calc))?;
        self.late.borrow_mut().push(sink);
        Ok(())
    }
}
