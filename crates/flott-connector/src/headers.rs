//! Headers of messages as columns: `MAP<name, value>`, or `ARRAY<ROW<key, value>>` where names may come again.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use flott_core::types::{map_array, map_keys};
use flott_core::{Error, Result};

fn other(of: &DataType) -> Error {
    Error::internal(format!("headers cannot be a {of}"))
}

/// A column of this field: `counts` says how many of the names and values belong to each message.
pub fn array(
    field: &Field,
    counts: impl IntoIterator<Item = usize>,
    names: ArrayRef,
    values: ArrayRef,
) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::from_lengths(counts);
    Ok(match field.data_type() {
        map @ DataType::Map(..) => Arc::new(map_array(map, offsets, names, values, None)?),
        DataType::List(inner) => {
            let DataType::Struct(fields) = inner.data_type() else { return Err(other(field.data_type())) };
            let entries = StructArray::try_new(fields.clone(), vec![names, values], None)?;
            Arc::new(ListArray::try_new(Arc::clone(inner), offsets, Arc::new(entries), None)?)
        }
        of => return Err(other(of)),
    })
}

/// All names and values of a column, and which of them belong to this row: none where it is NULL.
pub fn of_row(column: &ArrayRef, row: usize) -> Result<(&ArrayRef, &ArrayRef, Range<usize>)> {
    let (names, values, offsets) = match column.data_type() {
        DataType::Map(..) => {
            let map = column.as_map();
            (map_keys(map), map.values(), map.value_offsets())
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let entries = list.values().as_struct();
            (entries.column(0), entries.column(1), list.value_offsets())
        }
        of => return Err(other(of)),
    };
    let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
    Ok((names, values, if column.is_null(row) { 0..0 } else { start..end }))
}
