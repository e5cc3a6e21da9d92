//! Maps are equal where they have the same entries, in whatever order these were put.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StructArray, UInt32Array};
use arrow_buffer::OffsetBuffer;
use arrow_ord::ord::make_comparator;
use arrow_schema::{DataType, SortOptions};
use arrow_select::take::take;
use flott_core::Result;
use flott_core::types::{map_array, map_keys};

/// Whether there are maps in a value of this type.
pub(crate) fn has_map(t: &DataType) -> bool {
    match t {
        DataType::Map(..) => true,
        DataType::List(element) => has_map(element.data_type()),
        DataType::Struct(fields) => fields.iter().any(|f| has_map(f.data_type())),
        _ => false,
    }
}

/// The column with the entries of each map, also inside, in the order of their keys: equal maps are then written alike.
pub(crate) fn entries_in_order(array: &ArrayRef) -> Result<ArrayRef> {
    if !has_map(array.data_type()) {
        return Ok(Arc::clone(array));
    }
    Ok(match array.data_type() {
        DataType::Map(..) => {
            let map = array.as_map();
            let (keys, values) = (entries_in_order(map_keys(map))?, entries_in_order(map.values())?);
            let order = make_comparator(&keys, &keys, SortOptions::default())?;
            let (mut places, mut lengths) = (vec![], Vec::with_capacity(map.len()));
            for ends in map.value_offsets().windows(2) {
                let mut entries: Vec<u32> = (ends[0] as u32..ends[1] as u32).collect();
                entries.sort_by(|a, b| order(*a as usize, *b as usize));
                lengths.push(entries.len());
                places.extend(entries);
            }
            let places = UInt32Array::from(places);
            let (keys, values) = (take(keys.as_ref(), &places, None)?, take(values.as_ref(), &places, None)?);
            let offsets = OffsetBuffer::from_lengths(lengths);
            Arc::new(map_array(array.data_type(), offsets, keys, values, map.nulls().cloned())?)
        }
        DataType::List(element) => {
            let list = array.as_list::<i32>();
            let (values, nulls) = (entries_in_order(list.values())?, list.nulls().cloned());
            Arc::new(ListArray::try_new(Arc::clone(element), list.offsets().clone(), values, nulls)?)
        }
        DataType::Struct(fields) => {
            let row = array.as_struct();
            let columns = row.columns().iter().map(entries_in_order).collect::<Result<Vec<_>>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, row.nulls().cloned())?)
        }
        _ => Arc::clone(array),
    })
}
