//! Results by row, where several rows may have one.

use arrow_array::{ArrayRef, UInt32Array};
use arrow_select::take::take;
use flott_core::Result;

/// The results of rows. `of_row`: by row which of `results` it has.
pub(super) fn columns_of(results: Vec<ArrayRef>, of_row: &[u32], count: u32) -> Result<Vec<ArrayRef>> {
    if of_row.len() == count as usize && of_row.iter().zip(0..).all(|(a, b)| *a == b) {
        return Ok(results);
    }
    let of_row = UInt32Array::from(of_row.to_vec());
    results.iter().map(|r| Ok(take(r, &of_row, None)?)).collect()
}
