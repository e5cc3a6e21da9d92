//! Rows as packed bytes: the columns that they are ordered by first, in a form that compares byte by byte.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{DataType, SchemaRef, SortOptions};
use flott_core::{Error, Result};

use flott_graph::sort::SortKey;

/// A row's bytes start with the length of its order.
const LENGTH_BYTES: usize = 4;

/// A column that rows are ordered by: -0.0 as 0.0 and all NaNs as one, so that equal values have equal bytes.
fn ordered(column: &ArrayRef) -> ArrayRef {
    canonical_floats(column, 0.0)
}

/// A column of keys: all NaNs are one. As in Flink, whose keys are bits, -0.0 is another key than 0.0.
pub(crate) fn canonical(column: &ArrayRef) -> ArrayRef {
    // Adding -0.0 changes nothing, not even another -0.0.
    canonical_floats(column, -0.0)
}

fn canonical_floats(column: &ArrayRef, add: f64) -> ArrayRef {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float32Type, Float64Type};
    match column.data_type() {
        DataType::Float32 => Arc::new(
            column
                .as_primitive::<Float32Type>()
                .unary::<_, Float32Type>(|v| if v.is_nan() { f32::NAN } else { v + add as f32 }),
        ),
        DataType::Float64 => Arc::new(
            column
                .as_primitive::<Float64Type>()
                .unary::<_, Float64Type>(|v| if v.is_nan() { f64::NAN } else { v + add }),
        ),
        _ => Arc::clone(column),
    }
}

/// Where a column of the rows lies.
#[derive(Clone, Copy)]
enum Home {
    Order(usize),
    Rest(usize),
}

/// Packs rows and unpacks them.
pub(crate) struct RowCodec {
    schema: SchemaRef,
    order: Vec<SortKey>,
    order_converter: Option<RowConverter>,
    rest: Vec<usize>,
    rest_converter: Option<RowConverter>,
    homes: Vec<Home>,
}

/// The rows of a batch, packed.
pub(crate) struct Encoded {
    order: Option<Rows>,
    rest: Option<Rows>,
}

impl Encoded {
    pub(crate) fn order(&self, row: usize) -> &[u8] {
        self.order.as_ref().map_or(&[], |r| r.row(row).data())
    }

    pub(crate) fn rest(&self, row: usize) -> &[u8] {
        self.rest.as_ref().map_or(&[], |r| r.row(row).data())
    }
}

/// The two parts of a packed row.
pub(crate) fn parts(packed: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, bytes)) = packed.split_first_chunk::<LENGTH_BYTES>() else { return (&[], &[]) };
    bytes.split_at((u32::from_le_bytes(*length) as usize).min(bytes.len()))
}

/// What a packed row is put together from.
pub(crate) fn length_of(order: &[u8]) -> [u8; LENGTH_BYTES] {
    (order.len() as u32).to_le_bytes()
}

fn converter(fields: Vec<SortField>) -> Result<Option<RowConverter>> {
    if fields.is_empty() {
        return Ok(None);
    }
    let made = RowConverter::new(fields);
    Ok(Some(made.map_err(|e| Error::user(format!("rows with these columns cannot be kept as state: {e}")))?))
}

impl RowCodec {
    /// For rows of this schema in this order.
    pub(crate) fn new(schema: &SchemaRef, order: &[SortKey]) -> Result<RowCodec> {
        let type_of = |column: usize| -> Result<DataType> {
            let field = schema.fields().get(column);
            field
                .map(|f| f.data_type().clone())
                .ok_or_else(|| Error::internal(format!("no column {column} to order by")))
        };
        let mut fields = vec![];
        for key in order {
            let options = SortOptions { descending: !key.ascending, nulls_first: !key.nulls_last };
            fields.push(SortField::new_with_options(type_of(key.column)?, options));
        }
        // Floats that are ordered by are kept as they were too: -0.0 is not 0.0 where it is shown.
        let exact = |c: usize| order.iter().position(|k| k.column == c && !schema.field(c).data_type().is_floating());
        let mut homes = vec![];
        let mut rest = vec![];
        for column in 0..schema.fields().len() {
            homes.push(match exact(column) {
                Some(place) => Home::Order(place),
                None => {
                    rest.push(column);
                    Home::Rest(rest.len() - 1)
                }
            });
        }
        let rest_fields = rest.iter().map(|c| SortField::new(schema.field(*c).data_type().clone())).collect();
        Ok(RowCodec {
            schema: Arc::clone(schema),
            order: order.to_vec(),
            order_converter: converter(fields)?,
            rest_converter: converter(rest_fields)?,
            rest,
            homes,
        })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn encode(&self, columns: &[ArrayRef]) -> Result<Encoded> {
        let order: Vec<ArrayRef> = self.order.iter().map(|k| ordered(&columns[k.column])).collect();
        let rest: Vec<ArrayRef> = self.rest.iter().map(|c| Arc::clone(&columns[*c])).collect();
        Ok(Encoded {
            order: self.order_converter.as_ref().map(|c| c.convert_columns(&order)).transpose()?,
            rest: self.rest_converter.as_ref().map(|c| c.convert_columns(&rest)).transpose()?,
        })
    }

    /// Packed rows as columns.
    pub(crate) fn decode<'a>(&self, packed: impl Iterator<Item = &'a [u8]> + Clone) -> Result<RecordBatch> {
        let rows = packed.clone().count();
        let unpack = |converter: &Option<RowConverter>, first: bool| -> Result<Vec<ArrayRef>> {
            let Some(converter) = converter else { return Ok(vec![]) };
            let parser = converter.parser();
            let part = |packed: &'a [u8]| if first { parts(packed).0 } else { parts(packed).1 };
            Ok(converter.convert_rows(packed.clone().map(|p| parser.parse(part(p))))?)
        };
        let order = unpack(&self.order_converter, true)?;
        let rest = unpack(&self.rest_converter, false)?;
        let columns = self
            .homes
            .iter()
            .zip(self.schema.fields())
            .map(|(home, field)| {
                let column = match home {
                    Home::Order(i) => &order[*i],
                    Home::Rest(i) => &rest[*i],
                };
                retyped(column, field.data_type())
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

/// The column with the metadata that its nested fields have in the schema.
fn retyped(column: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if column.data_type() == to {
        return Ok(Arc::clone(column));
    }
    let data = column.to_data().into_builder().data_type(to.clone()).build()?;
    Ok(arrow_array::make_array(data))
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float64Array, Int32Array, StringArray};
    use arrow_schema::{Field, Schema};

    use super::*;

    #[test]
    fn rows_come_back_and_compare_by_their_order() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int32, true),
            Field::new("b", DataType::Float64, true),
            Field::new("c", DataType::Utf8, true),
        ]));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(3)])),
            Arc::new(Float64Array::from(vec![Some(0.0), Some(1.5), None, Some(-0.0)])),
            Arc::new(StringArray::from(vec![Some("x"), Some(""), None, Some("long enough to have blocks of its own")])),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns.clone()).expect("a batch");
        let order = [
            SortKey { column: 1, ascending: true, nulls_last: false },
            SortKey { column: 0, ascending: false, nulls_last: true },
        ];
        let codec = RowCodec::new(&schema, &order).expect("a codec");
        let encoded = codec.encode(&columns).expect("rows");
        let packed: Vec<Vec<u8>> =
            (0..4).map(|r| [&length_of(encoded.order(r))[..], encoded.order(r), encoded.rest(r)].concat()).collect();
        assert_eq!(codec.decode(packed.iter().map(Vec::as_slice)).expect("decodes"), batch);
        let mut rows = [0, 1, 2, 3];
        rows.sort_by(|a, b| encoded.order(*a).cmp(encoded.order(*b)));
        // NULL is least; 0.0 and -0.0 are equal, then 3 comes before 1.
        assert_eq!(rows, [2, 3, 0, 1]);
        let none = codec.decode(std::iter::empty()).expect("no rows");
        assert_eq!(none.num_rows(), 0);
    }
}
