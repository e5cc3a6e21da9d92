//! Unnest: a row for each element of a collection of a row. It keeps nothing.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, Int32Array, UInt32Array, cast::AsArray};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::take::take;
use flott_core::{ChangeBatch, Error, Result};
use flott_graph::UnnestSpec;

use crate::calc::assemble;
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
        let (mut rows, mut elements, mut ordinals): (Vec<u32>, Vec<Option<u32>>, Vec<Option<i32>>) = Default::default();
        while work.row < work.batch.num_rows() && rows.len() < PIECE_ROWS {
            let (start, end) = (offsets[work.row] as usize, offsets[work.row + 1] as usize);
            let end = if collection.is_valid(work.row) { end } else { start };
            work.element = work.element.max(start);
            while work.element < end && rows.len() < PIECE_ROWS {
                let times = counts.as_ref().map_or(1, |c| c.value(work.element));
                if work.times >= times {
                    (work.element, work.times) = (work.element + 1, 0);
                    continue;
                }
                work.times += 1;
                work.ordinal += 1;
                rows.push(work.row as u32);
                elements.push(Some(work.element as u32));
                ordinals.push(Some(work.ordinal));
                if work.times == times {
                    (work.element, work.times) = (work.element + 1, 0);
                }
            }
            if work.element >= end {
                if work.ordinal == 0 && self.spec.outer {
                    rows.push(work.row as u32);
                    elements.push(None);
                    ordinals.push(None);
                }
                work = Work { row: work.row + 1, element: 0, times: 0, ordinal: 0, ..work };
            }
        }
        let out = if rows.is_empty() {
            None
        } else {
            Some(self.output(&work.batch, &collection, rows, elements, ordinals)?)
        };
        self.work = (work.row < work.batch.num_rows()).then_some(work);
        Ok(out)
    }

    fn output(
        &self,
        batch: &ChangeBatch,
        collection: &ArrayRef,
        rows: Vec<u32>,
        elements: Vec<Option<u32>>,
        ordinals: Vec<Option<i32>>,
    ) -> Result<ChangeBatch> {
        let (rows, elements) = (UInt32Array::from(rows), UInt32Array::from(elements));
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
                let keys = Arc::clone(map.keys());
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
            columns.push(Arc::new(Int32Array::from(ordinals)));
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
        self.work = Some(Work { batch, row: 0, element: 0, times: 0, ordinal: 0 });
        self.proceed(context)
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.proceed(context)
    }
}
