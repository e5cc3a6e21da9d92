//! Maps whose keys may be NULL.
//!
//! Arrow allows no NULL among the keys of a map, Flink does. A MAP whose key type is nullable therefore has its keys in a
//! row of one field: `entries { nullable_key: row { key } NOT NULL, value }`. The row is never NULL, its field may be, so
//! that all of Arrow's kernels, files and packed rows hold such maps. Keys that are NOT NULL lie bare: `entries { key, value }`.
//! Who reads or makes a map goes by the functions here and need not know which of the two it is.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, MapArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema};

use super::{TYPE_METADATA_KEY, parse};

const BARE: &str = "key";
const WRAPPED: &str = "nullable_key";

/// The first field of a map's entries for keys of this field.
pub fn map_entries_key(key: Field) -> Field {
    if key.is_nullable() { Field::new(WRAPPED, DataType::Struct(Fields::from(vec![key])), false) } else { key }
}

fn is_wrapped(field: &Field) -> bool {
    field.name() == WRAPPED && matches!(field.data_type(), DataType::Struct(f) if f.len() == 1)
}

/// The field of the keys of a map, given the field of its entries.
pub fn map_key_field(entries: &Fields) -> &FieldRef {
    match entries[0].data_type() {
        DataType::Struct(fields) if is_wrapped(&entries[0]) => &fields[0],
        _ => &entries[0],
    }
}

/// The keys of all entries.
pub fn map_keys(map: &MapArray) -> &ArrayRef {
    match is_wrapped(&map.entries().fields()[0]) {
        true => map.keys().as_struct().column(0),
        false => map.keys(),
    }
}

/// The entries of a map with these fields: keys as they are, values beside them.
///
/// # Errors
///
/// Where the types or lengths differ, or a key is NULL and the fields say that none is.
pub fn map_entries(fields: &Fields, keys: ArrayRef, values: ArrayRef) -> Result<StructArray, ArrowError> {
    let keys: ArrayRef = match fields[0].data_type() {
        DataType::Struct(key) if is_wrapped(&fields[0]) => {
            Arc::new(StructArray::try_new(key.clone(), vec![keys], None)?)
        }
        _ => keys,
    };
    StructArray::try_new(fields.clone(), vec![keys, values], None)
}

/// A map of this Arrow type.
///
/// # Errors
///
/// Where `data_type` is no map, and as [`map_entries`].
pub fn map_array(
    data_type: &DataType,
    offsets: OffsetBuffer<i32>,
    keys: ArrayRef,
    values: ArrayRef,
    nulls: Option<NullBuffer>,
) -> Result<MapArray, ArrowError> {
    let DataType::Map(entries, sorted) = data_type else {
        return Err(ArrowError::SchemaError(format!("{data_type} is no map")));
    };
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(ArrowError::SchemaError(format!("{data_type} has no entries")));
    };
    let pairs = map_entries(fields, keys, values)?;
    MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, *sorted)
}

/// Whether a map of a row, at any depth, has a key that is NULL. What lies below a NULL does not count.
pub fn has_null_key(array: &dyn Array) -> bool {
    may_have_null_key(array) && (0..array.len()).any(|row| null_key_at(array, row))
}

fn may_have_null_key(array: &dyn Array) -> bool {
    match array.data_type() {
        DataType::List(_) => may_have_null_key(array.as_list::<i32>().values()),
        DataType::Struct(_) => array.as_struct().columns().iter().any(|c| may_have_null_key(c)),
        DataType::Map(..) => {
            let map = array.as_map();
            map_keys(map).null_count() > 0 || may_have_null_key(map_keys(map)) || may_have_null_key(map.values())
        }
        _ => false,
    }
}

fn null_key_at(array: &dyn Array, row: usize) -> bool {
    if array.is_null(row) {
        return false;
    }
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (from, to) = (list.value_offsets()[row] as usize, list.value_offsets()[row + 1] as usize);
            (from..to).any(|i| null_key_at(list.values(), i))
        }
        DataType::Struct(_) => array.as_struct().columns().iter().any(|c| null_key_at(c, row)),
        DataType::Map(..) => {
            let map = array.as_map();
            let (from, to) = (map.value_offsets()[row] as usize, map.value_offsets()[row + 1] as usize);
            let keys = map_keys(map);
            (from..to).any(|i| keys.is_null(i) || null_key_at(keys, i) || null_key_at(map.values(), i))
        }
        _ => false,
    }
}

/// The rows with their maps in the form above: what was stored before maps could hold a NULL key has all keys bare.
///
/// # Errors
///
/// Where Arrow refuses the parts that it gave.
pub fn with_nullable_keys(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    let fields: Fields = schema.fields().iter().map(today).collect();
    if &fields == schema.fields() {
        return Ok(rows.clone());
    }
    let columns = rows.columns().iter().zip(&fields).map(|(c, f)| rewritten(c, f.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)
}

/// The field as it is made today.
fn today(field: &FieldRef) -> FieldRef {
    let is_multiset = field.metadata().get(TYPE_METADATA_KEY).is_some_and(|t| t.starts_with("MULTISET"));
    let data_type = match field.data_type() {
        DataType::List(element) => DataType::List(today(element)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(today).collect()),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(kv) if kv.len() == 2 => {
                let mut key = today(&kv[0]);
                if !is_multiset && !is_wrapped(&key) && is_declared_nullable(&key) {
                    key = Arc::new(map_entries_key(key.as_ref().clone().with_nullable(true)));
                }
                let kv = DataType::Struct(Fields::from(vec![key, today(&kv[1])]));
                DataType::Map(Arc::new(entries.as_ref().clone().with_data_type(kv)), *sorted)
            }
            _ => return Arc::clone(field),
        },
        _ => return Arc::clone(field),
    };
    match &data_type == field.data_type() {
        true => Arc::clone(field),
        false => Arc::new(field.as_ref().clone().with_data_type(data_type)),
    }
}

/// Whether the type that a bare key was declared with allows NULL.
fn is_declared_nullable(key: &Field) -> bool {
    let text = key.metadata().get(TYPE_METADATA_KEY).filter(|_| key.name() == BARE);
    text.and_then(|t| parse::printed(t).ok()).is_some_and(|t| t.nullable)
}

fn rewritten(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    Ok(match (array.data_type(), wanted) {
        (have, wanted) if have == wanted => Arc::clone(array),
        (DataType::List(_), DataType::List(field)) => {
            let list = array.as_list::<i32>();
            let values = rewritten(list.values(), field.data_type())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Arc::new(arrow_array::ListArray::try_new(Arc::clone(field), offsets, values, nulls)?)
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let row = array.as_struct();
            let columns = row.columns().iter().zip(fields).map(|(c, f)| rewritten(c, f.data_type()));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            Arc::new(StructArray::try_new_with_length(fields.clone(), columns, row.nulls().cloned(), row.len())?)
        }
        (DataType::Map(..), DataType::Map(entries, _)) => {
            let DataType::Struct(kv) = entries.data_type() else { return Ok(Arc::clone(array)) };
            let map = array.as_map();
            let keys = rewritten(map_keys(map), map_key_field(kv).data_type())?;
            let values = rewritten(map.values(), kv[1].data_type())?;
            Arc::new(map_array(wanted, map.offsets().clone(), keys, values, map.nulls().cloned())?)
        }
        _ => Arc::clone(array),
    })
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int32Array, StringArray};
    use arrow_select::concat::concat;
    use arrow_select::take::take;

    use super::*;
    use crate::types::{LogicalType, arrow_field, arrow_type, from_arrow_field};

    fn logical(t: &str) -> LogicalType {
        t.parse().expect("a type")
    }

    fn sample(t: &str, keys: Vec<Option<&str>>) -> Result<MapArray, ArrowError> {
        let values: ArrayRef = Arc::new(Int32Array::from_iter_values(0..keys.len() as i32));
        let offsets = OffsetBuffer::from_lengths([1, keys.len() - 1]);
        map_array(&arrow_type(&logical(t)), offsets, Arc::new(StringArray::from(keys)), values, None)
    }

    #[test]
    fn a_key_may_be_null_where_its_type_says_so() {
        let map = sample("MAP<STRING, INT>", vec![Some("a"), None, Some("b")]).expect("a map");
        assert_eq!(map_keys(&map).as_ref(), &StringArray::from(vec![Some("a"), None, Some("b")]) as &dyn Array);
        assert!(sample("MAP<STRING NOT NULL, INT>", vec![Some("a"), None]).is_err());
        assert!(sample("STRING", vec![Some("a"), None]).is_err());
        assert!(has_null_key(&map));
        // The second map is NULL: its key is nobody's.
        let nulls = Some(NullBuffer::from(vec![true, false]));
        let (entries, offsets, pairs, _, sorted) = map.into_parts();
        let map = MapArray::try_new(entries, offsets, pairs, nulls, sorted).expect("a map");
        assert!(!has_null_key(&map));
    }

    #[test]
    fn maps_with_null_keys_pass_through_arrow() {
        let map: ArrayRef = Arc::new(sample("MAP<STRING, INT>", vec![Some("a"), None, Some("b")]).expect("a map"));
        let twice = concat(&[map.as_ref(), map.as_ref()]).expect("both");
        let taken = take(twice.as_ref(), &Int32Array::from(vec![3, 0]), None).expect("two rows");
        let keys = map_keys(taken.as_map());
        assert_eq!(keys.as_ref(), &StringArray::from(vec![None, Some("b"), Some("a")]) as &dyn Array);
    }

    #[test]
    fn types_come_back_from_both_forms() {
        for t in ["MAP<STRING, INT>", "MAP<STRING NOT NULL, INT>", "MAP<ROW<`a` INT>, MAP<INT, INT NOT NULL>>"] {
            let field = arrow_field("m", &logical(t));
            assert_eq!(from_arrow_field(&field), Some(logical(t)), "{t}");
            let bare = Field::new("m", field.data_type().clone(), true);
            assert_eq!(from_arrow_field(&bare).map(|t| t.to_string()), Some(t.to_string()), "{t}");
        }
    }

    /// Rows as they were stored while every key lay bare.
    #[test]
    fn stored_maps_of_old_are_read() {
        let t = logical("ARRAY<ROW<`m` MAP<STRING, INT>>>");
        let key = Field::clone(&arrow_field("key", &logical("STRING"))).with_nullable(false);
        let kv = Fields::from(vec![key, arrow_field("value", &logical("INT"))]);
        let entries = Arc::new(Field::new("entries", DataType::Struct(kv.clone()), false));
        let keys: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let values: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let pairs = StructArray::try_new(kv, vec![keys, values], None).expect("pairs");
        let map = MapArray::try_new(entries, OffsetBuffer::from_lengths([2]), pairs, None, false).expect("a map");
        let field = Field::new("m", map.data_type().clone(), true);
        let row = StructArray::try_new(Fields::from(vec![field]), vec![Arc::new(map)], None).expect("a row");
        let item = Arc::new(Field::new("item", row.data_type().clone(), true));
        let list = arrow_array::ListArray::try_new(item, OffsetBuffer::from_lengths([1]), Arc::new(row), None);
        let list: ArrayRef = Arc::new(list.expect("a list"));
        let old = RecordBatch::try_from_iter([("c", list)]).expect("a batch");
        let new = with_nullable_keys(&old).expect("read");
        let (old_type, new_type) =
            (old.schema().field(0).data_type().clone(), new.schema().field(0).data_type().clone());
        assert_ne!(old_type, new_type);
        assert!(new_type.equals_datatype(&arrow_type(&t)), "{new_type}");
        let map = new.column(0).as_list::<i32>().values().as_struct().column(0).as_map().clone();
        assert_eq!(map_keys(&map).as_ref(), &StringArray::from(vec!["a", "b"]) as &dyn Array);
        assert_eq!(with_nullable_keys(&new).expect("again"), new);
    }
}
