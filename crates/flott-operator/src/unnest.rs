//! Unnest: a row for each element of a collection of a row. It keeps nothing.

use flott_core::types::map_keys;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, UInt32Array, cast::AsArray};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::take::take;
use flott_core::{ChangeBatch, Error, Result};
use flott_graph::UnnestSpec;

use crate::calc::assemble;
use crate::expression::evaluate;
use crate::operator::{Operator, OperatorContext, Progress};

/// Rows of one piece of output.
const PIECE_ROWS: usize = 8_192;

/// Elements of an array, entries of a map, elements of a multiset as often as they are in it.
pub struct Unnest {
    name: String,
    spec: UnnestSpec,
    schema: SchemaRef,
    work: Option<Work>,
}

/// A batch, and where in it the next element is.
struct Work {
    batch: ChangeBatch,
    row: usize,
    element: usize,
    /// How often the element has come, in a multiset.
    times: i32,
    /// Elements of the row so far, for its ordinality.
    ordinal: i32,
    /// One of them met the condition.
    is_met: bool,
}

/// Pairs of a row and an element; the end of a row that may be padded has none.
#[derive(Default)]
struct Found {
    rows: Vec<u32>,
    elements: Vec<Option<u32>>,
    ordinals: Vec<Option<i32>>,
}

impl Found {
    fn push(&mut self, row: u32, element: Option<(u32, i32)>) {
        self.rows.push(row);
        self.elements.push(element.map(|e| e.0));
        self.ordinals.push(element.map(|e| e.1));
    }

    /// The pairs that meet the condition, and the ends of rows without one. `is_met`: whether the open row has one.
    fn that_meet(&self, condition: &BooleanArray, is_met: &mut bool) -> Found {
        let mut found = Found::default();
        for (i, row) in self.rows.iter().enumerate() {
            match self.elements[i].zip(self.ordinals[i]) {
                Some(pair) if condition.is_valid(i) && condition.value(i) => {
                    *is_met = true;
                    found.push(*row, Some(pair));
                }
                Some(_) => {}
                None => {
                    if !std::mem::take(is_met) {
                        found.push(*row, None);
                    }
                }
            }
        }
        found
    }
}

impl Unnest {
    /// The output's columns are the input's, the element's and, where asked for, its number.
    pub fn new(name: &str, spec: &UnnestSpec, schema: SchemaRef) -> Unnest {
        Unnest { name: name.to_string(), spec: spec.clone(), schema, work: None }
    }

    /// Where the elements of each row lie.
    fn offsets(collection: &dyn Array) -> Result<&[i32]> {
        match collection.data_type() {
            DataType::List(_) => Ok(collection.as_list::<i32>().value_offsets()),
            DataType::Map(..) => Ok(collection.as_map().value_offsets()),
            other => Err(Error::internal(format!("UNNEST of a {other}"))),
        }
    }

    fn piece(&mut self) -> Result<Option<ChangeBatch>> {
        let Some(mut work) = self.work.take() else { return Ok(None) };
        let collection = Arc::clone(work.batch.rows.column(self.spec.column));
        let offsets = Self::offsets(collection.as_ref())?;
        let counts = match (self.spec.is_multiset, collection.data_type()) {
            (true, DataType::Map(..)) => Some(collection.as_map().values().as_primitive::<Int32Type>().clone()),
            _ => None,
        };
        let mut found = Found::default();
        while work.row < work.batch.num_rows() && found.rows.len() < PIECE_ROWS {
            let (start, end) = (offsets[work.row] as usize, offsets[work.row + 1] as usize);
            let end = if collection.is_valid(work.row) { end } else { start };
            work.element = work.element.max(start);
            while work.element < end && found.rows.len() < PIECE_ROWS {
                let times = counts.as_ref().map_or(1, |c| c.value(work.element));
                if work.times >= times {
                    (work.element, work.times) = (work.element + 1, 0);
                    continue;
                }
                work.times += 1;
                work.ordinal += 1;
                found.push(work.row as u32, Some((work.element as u32, work.ordinal)));
                if work.times == times {
                    (work.element, work.times) = (work.element + 1, 0);
                }
            }
            if work.element >= end {
                if self.spec.outer && (work.ordinal == 0 || self.spec.condition.is_some()) {
                    found.push(work.row as u32, None);
                }
                work = Work { row: work.row + 1, element: 0, times: 0, ordinal: 0, ..work };
            }
        }
        let mut out = None;
        if !found.rows.is_empty() {
            out = Some(self.output(&work.batch, &collection, &found)?);
        }
        if let (Some(condition), Some(pairs)) = (&self.spec.condition, &out) {
            let keep = evaluate(condition, &pairs.rows)?;
            let found = found.that_meet(keep.as_boolean(), &mut work.is_met);
            out = match found.rows.is_empty() {
                true => None,
                false => Some(self.output(&work.batch, &collection, &found)?),
            };
        }
        self.work = (work.row < work.batch.num_rows()).then_some(work);
        Ok(out)
    }

    fn output(&self, batch: &ChangeBatch, collection: &ArrayRef, found: &Found) -> Result<ChangeBatch> {
        let (rows, elements) = (UInt32Array::from(found.rows.clone()), UInt32Array::from(found.elements.clone()));
        let taken = batch.take(&rows)?;
        let mut columns = taken.rows.columns().to_vec();
        let values: Vec<ArrayRef> = match collection.data_type() {
            DataType::List(_) => {
                let values = collection.as_list::<i32>().values();
                match values.data_type() {
                    DataType::Struct(_) if self.spec.is_row => struct_columns(values)?,
                    _ => vec![Arc::clone(values)],
                }
            }
            _ => {
                let map = collection.as_map();
                let keys = Arc::clone(map_keys(map));
                match (self.spec.is_multiset, self.spec.is_row) {
                    (false, _) => vec![keys, Arc::clone(map.values())],
                    (true, true) => struct_columns(&keys)?,
                    (true, false) => vec![keys],
                }
            }
        };
        for value in values {
            columns.push(take(value.as_ref(), &elements, None)?);
        }
        if self.spec.with_ordinality {
            columns.push(Arc::new(Int32Array::from(found.ordinals.clone())));
        }
        Ok(taken.with_rows(assemble(&self.schema, columns, rows.len())?))
    }

    fn proceed(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if let Some(batch) = self.piece().map_err(|e| e.with("operator", &self.name))? {
            context.emit(batch);
        }
        Ok(if self.work.is_some() { Progress::More } else { Progress::Done })
    }
}

/// The fields of rows; those of a NULL row are NULL.
fn struct_columns(rows: &ArrayRef) -> Result<Vec<ArrayRef>> {
    let rows = rows.as_struct();
    rows.columns()
        .iter()
        .map(|field| {
            if rows.null_count() == 0 {
                return Ok(Arc::clone(field));
            }
            let kept: UInt32Array = (0..rows.len() as u32).map(|i| rows.is_valid(i as usize).then_some(i)).collect();
            Ok(take(field.as_ref(), &kept, None)?)
        })
        .collect()
}

impl Operator for Unnest {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        crate::evaluation::enter(context);
        self.work = Some(Work { batch, row: 0, element: 0, times: 0, ordinal: 0, is_met: false });
        self.proceed(context)
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        crate::evaluation::enter(context);
        self.proceed(context)
    }
}
