//! The vector searches of `values`: the rows of a data set whose vectors have the smallest angle to the one asked for.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, UInt32Array, cast::AsArray};
use arrow_schema::{Schema, SchemaRef};
use arrow_select::take::take;
use async_trait::async_trait;
use flott_connector::factory::{TableContext, VectorSearch};
use flott_connector::lookup::{Lookup, LookupRows, LookupSource};
use flott_connector::source::SubtaskInfo;
use flott_core::{Error, Result};

use super::available_columns;
use super::lookup::ValuesLookup;
use super::store::ValuesStore;

/// Searches in a data set.
#[derive(Clone)]
pub(super) struct ValuesSearch {
    /// All columns of the rows that there are.
    rows: ValuesLookup,
    search: VectorSearch,
    key_schema: SchemaRef,
    schema: SchemaRef,
}

impl ValuesSearch {
    pub(super) fn new(
        context: &TableContext,
        store: &ValuesStore,
        name: &str,
        search: &VectorSearch,
    ) -> Result<ValuesSearch> {
        // The score is no column of the data.
        let mut all = context.clone();
        all.table.schema.columns.retain(|c| c.name != search.score);
        let available = available_columns(&all)?;
        all.metadata_keys =
            available.fields().iter().skip(all.table.schema.physical().count()).map(|f| f.name().clone()).collect();
        all.schema = Arc::clone(&available);
        let key = available.field(available.index_of(&search.column)?).as_ref().clone();
        Ok(ValuesSearch {
            rows: ValuesLookup::new(&all, store, name, std::slice::from_ref(&search.column))?.replacing(),
            search: search.clone(),
            key_schema: Arc::new(Schema::new(vec![key])),
            schema: Arc::clone(&context.schema),
        })
    }
}

/// The numbers of a row's vector.
fn vector(vectors: &dyn Array, row: usize) -> Option<Vec<f64>> {
    if vectors.is_null(row) {
        return None;
    }
    let numbers = vectors.as_list_opt::<i32>()?.value(row);
    match numbers.as_primitive_opt::<Float32Type>() {
        Some(numbers) => numbers.iter().map(|n| n.map(f64::from)).collect(),
        None => numbers.as_primitive_opt::<Float64Type>()?.iter().collect(),
    }
}

/// The cosine of the angle between two vectors; 0 where one of them has no direction.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let lengths = product(a, a).sqrt() * product(b, b).sqrt();
    if lengths > 0.0 { product(a, b) / lengths } else { 0.0 }
}

impl LookupSource for ValuesSearch {
    fn key_schema(&self) -> SchemaRef {
        Arc::clone(&self.key_schema)
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn create_lookup(&self, _subtask: SubtaskInfo) -> Result<Box<dyn Lookup>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Lookup for ValuesSearch {
    async fn lookup(&mut self, keys: &RecordBatch) -> Result<LookupRows> {
        let there = self.rows.current()?;
        let column = |name: &str| {
            there.column_by_name(name).cloned().ok_or_else(|| Error::internal(format!("no column '{name}' to search")))
        };
        let vectors = column(&self.search.column)?;
        let (mut rows, mut of, mut scores): (Vec<u32>, Vec<u32>, Vec<f64>) = Default::default();
        for key in 0..keys.num_rows() {
            let Some(wanted) = vector(keys.column(0).as_ref(), key) else { continue };
            let mut near: Vec<(u32, f64)> = (0..there.num_rows())
                .filter_map(|row| Some((row as u32, cosine(&wanted, &vector(vectors.as_ref(), row)?))))
                .collect();
            near.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal));
            for (row, score) in near.into_iter().take(self.search.top_k) {
                rows.push(row);
                of.push(key as u32);
                scores.push(score);
            }
        }
        let rows = UInt32Array::from(rows);
        let scores: ArrayRef = Arc::new(Float64Array::from(scores));
        let columns = self.schema.fields().iter().map(|field| match field.name() {
            name if *name == self.search.score => Ok(Arc::clone(&scores)),
            name => Ok(take(column(name)?.as_ref(), &rows, None)?),
        });
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        Ok(LookupRows { rows, keys: UInt32Array::from(of) })
    }
}
