//! Where a script writes the options of its tables: what is wrong with one is told by the statement that uses the table.

use std::collections::HashMap;

use flott_core::Error;
use flott_core::error::Position;
use flott_sql::parser::Statement;
use flott_sql::parser::ast::CreateTable;

/// By the tables' names, without catalog and database.
#[derive(Debug, Default)]
pub(crate) struct OptionPlaces(HashMap<String, Option<Places>>);

#[derive(Debug)]
struct Places {
    table: Position,
    options: Vec<(String, Position)>,
}

impl OptionPlaces {
    /// Remembers what a statement that was executed has defined; what it has changed is in no one place any more.
    pub(crate) fn see(&mut self, statement: &Statement) {
        match statement {
            Statement::CreateTable(create) => self.define(create),
            Statement::AlterTable { name, .. } => drop(self.0.insert(last(&name.texts()).to_string(), None)),
            _ => {}
        }
    }

    fn define(&mut self, create: &CreateTable) {
        let keys = create.options.iter().map(|(key, _)| key.clone());
        let options = keys.zip(create.option_positions.iter().copied()).collect();
        let places = Places { table: create.name.position(), options };
        let name = last(&create.name.texts()).to_string();
        // Of two tables of a name nobody knows which one is meant.
        let place = if self.0.contains_key(&name) { None } else { Some(places) };
        self.0.insert(name, place);
    }

    /// An error about a table's option, at its place; one about an option that is missing, where the table is defined.
    pub(crate) fn located(&self, error: Error, statement: &str) -> Error {
        // A hint may have set the option.
        if statement.contains("/*+") {
            return error;
        }
        let (Some(table), Some(option)) = (error.context("table"), error.context("option")) else { return error };
        let Some(Some(places)) = self.0.get(table) else { return error };
        let place = places.options.iter().find(|(key, _)| key == option).map_or(places.table, |(_, place)| *place);
        at(&error, place)
    }
}

/// The same error there: the planner has said where the query stands.
fn at(error: &Error, place: Position) -> Error {
    let mut moved = Error::new(error.kind(), error.message_and_cause()).at(place);
    for (what, value) in error.contexts() {
        moved = moved.with(what, value);
    }
    if error.is_from_outside() {
        moved = moved.from_outside();
    }
    match error.hint_text() {
        Some(hint) => moved.hint(hint),
        None => moved,
    }
}

fn last<'a>(parts: &[&'a str]) -> &'a str {
    parts.last().copied().unwrap_or_default()
}
