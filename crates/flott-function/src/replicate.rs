//! Rows as often as a number says.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int8Array, ListArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;
use flott_core::Error;
use flott_core::types::{TypeKind, arrow_type};

use crate::udf::{Resolved, TypedExpr, call_resolved};

/// An array of so many elements, which say nothing: what INTERSECT ALL and EXCEPT ALL take apart again. None below one;
/// Flink has the table function `$REPLICATE_ROWS$` for it.
pub fn replicate(times: TypedExpr) -> TypedExpr {
    let data_type = TypeKind::Array(Box::new(TypeKind::TinyInt.not_null())).not_null();
    let element = data_type.clone();
    let resolved = Resolved::arrays(data_type, move |args, _| {
        let times = args[0].as_primitive::<Int64Type>();
        let lengths = times.iter().map(|t| usize::try_from(t.unwrap_or(0)).unwrap_or(0));
        let total = lengths.clone().fold(0usize, usize::saturating_add);
        if i32::try_from(total).is_err() {
            return Err(Error::data("a row is there more than two billion times in the result of a set operation"));
        }
        let DataType::List(field) = arrow_type(&element) else { return Err(Error::internal("an array is a list")) };
        let offsets = OffsetBuffer::from_lengths(lengths);
        let values = Arc::new(Int8Array::from(vec![0; total]));
        Ok(Arc::new(ListArray::try_new(field, offsets, values, None)?))
    });
    call_resolved("$REPLICATE", vec![times], resolved)
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int64Array};

    use flott_core::Result;

    use super::*;
    use crate::testing::{column, table, values};

    #[test]
    fn as_many_elements_as_asked_for_and_none_below_one() -> Result<()> {
        let times: ArrayRef = Arc::new(Int64Array::from(vec![2, 0, -3, 1]));
        let rows = table(&[("n", "BIGINT", times)]);
        let copies = values(&replicate(column("n", "BIGINT")), &rows)?;
        let lengths: Vec<i32> = (0..4).map(|i| copies.as_list::<i32>().value_length(i)).collect();
        assert_eq!(lengths, [2, 0, 0, 1]);
        Ok(())
    }
}
