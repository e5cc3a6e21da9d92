//! Whether rows of two batches are the same, column by column.

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;
use arrow_ord::cmp::not_distinct;
use arrow_ord::ord::make_comparator;
use arrow_schema::SortOptions;
use flott_core::Result;

/// For each row whether it has the same values in both; NULL is NULL's equal, as in Flink's record equalisers.
pub(crate) fn same_rows(a: &[ArrayRef], b: &[ArrayRef], rows: usize) -> Result<Vec<bool>> {
    let mut same = BooleanBuffer::new_set(rows);
    for (a, b) in a.iter().zip(b) {
        let equal: BooleanArray = if a.data_type().is_nested() {
            let compare = make_comparator(a.as_ref(), b.as_ref(), SortOptions::default())?;
            (0..rows).map(|i| Some(compare(i, i).is_eq())).collect()
        } else {
            not_distinct(a, b)?
        };
        same = &same & equal.values();
    }
    Ok(same.iter().collect())
}
