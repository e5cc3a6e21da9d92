//! Whether conditions are true, evaluated by the batch. A row for which one fails is an error only where a run asks for it:
//! Flink evaluates a condition when a run could take the row as its variable, and not before.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use datafusion_physical_expr::PhysicalExpr;
use flott_core::{Error, Result};

use crate::expression::evaluate;

/// A condition over some rows.
#[derive(Default)]
pub(super) struct Truths {
    /// Where it is true.
    pub(super) is: Vec<bool>,
    /// Why it could not be told of a row, until somebody asks.
    pub(super) failed: RefCell<HashMap<usize, Error>>,
}

impl Truths {
    pub(super) fn of(condition: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Truths {
        let mut truths = Truths::default();
        truths.add(condition, rows);
        truths
    }

    fn add(&mut self, condition: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) {
        let count = rows.num_rows();
        match evaluate(condition, rows) {
            Ok(values) => {
                let values = values.as_boolean();
                self.is.extend((0..count).map(|row| values.is_valid(row) && values.value(row)));
            }
            // Halves, until each row that fails stands alone.
            Err(_) if count > 1 => {
                let half = count / 2;
                self.add(condition, &rows.slice(0, half));
                self.add(condition, &rows.slice(half, count - half));
            }
            Err(error) => {
                self.failed.get_mut().insert(self.is.len(), error);
                self.is.push(false);
            }
        }
    }

    /// Whether it is true of a row.
    pub(super) fn get(&self, row: usize) -> Result<bool> {
        match self.failed.borrow_mut().remove(&row) {
            Some(error) => Err(error),
            None => Ok(self.is.get(row).copied().unwrap_or(false)),
        }
    }
}

/// Conditions over the runs of several partitions.
pub(super) struct TruthsOfRuns {
    pub(super) variables: usize,
    /// By partition; of each of its runs all variables.
    pub(super) truths: Vec<Vec<bool>>,
    /// By partition, run and variable.
    pub(super) failed: RefCell<HashMap<(usize, usize, u16), Error>>,
}

impl TruthsOfRuns {
    /// Whether it is true of a variable of a run.
    pub(super) fn get(&self, place: usize, run: usize, variable: u16) -> Result<bool> {
        match self.failed.borrow_mut().remove(&(place, run, variable)) {
            Some(error) => Err(error),
            None => {
                let at = run * self.variables + variable as usize;
                Ok(self.truths.get(place).and_then(|t| t.get(at)).copied().unwrap_or(false))
            }
        }
    }
}
