//! The result of a call, read out of a module's memory. Nothing in it is believed: every address and length is compared with
//! the memory, every offset with its neighbour and with what it points into, and texts are looked at for UTF-8.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, ListArray, MapArray, StringArray, StructArray, make_array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow_data::ArrayData;
use arrow_schema::{Field, Fields};
use flott_core::types::{TypeKind, arrow_field, arrow_type, map_entries, map_entries_key};
use flott_core::{Error, LogicalType, Result};

use crate::layout;

fn wrong(what: impl std::fmt::Display) -> Error {
    Error::user(format!("the module gave a wrong result: {what}"))
        .hint("Compare its structures with those that flott docs user-functions describes")
}

/// The memory of a module after a call.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'a> {
    bytes: &'a [u8],
    /// How many bytes may still be copied out of it: structures may all point at the same ones.
    left: &'a Cell<usize>,
}

/// How often a byte of the memory may be copied, on average: columns may share what says where NULL is.
const COPIES_MAX: usize = 2;

/// One `ArrowArray`.
struct Header {
    length: usize,
    offset: usize,
    buffers: u32,
    children: u32,
}

impl<'a> Memory<'a> {
    /// `left` is set to what a result may be made of.
    pub(crate) fn new(bytes: &'a [u8], left: &'a Cell<usize>) -> Memory<'a> {
        left.set(bytes.len().saturating_mul(COPIES_MAX));
        Memory { bytes, left }
    }

    /// The column of this type that a structure describes; it must have so many values.
    pub(crate) fn column(self, at: u32, t: &LogicalType, rows: usize) -> Result<ArrayRef> {
        let header = self.header(at, t)?;
        if header.length != rows {
            return Err(wrong(format!("{} values for {rows} rows", header.length)));
        }
        self.array(&header, t, 0..rows)
    }

    /// The message of a function that has failed, cut to what fits on a screen.
    pub(crate) fn message(self, at: u32) -> String {
        const BYTES_MAX: usize = 4 << 10;
        let text = || {
            let length = usize::try_from(self.number(at, layout::LENGTH).ok()?).ok()?.min(BYTES_MAX);
            let bytes = self.bytes(self.address(at as usize + layout::BUFFERS).ok()?, length, "a message").ok()?;
            let text = String::from_utf8_lossy(bytes);
            let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
            Some(printable.collect::<String>().trim().to_string()).filter(|t| !t.is_empty())
        };
        text().unwrap_or_else(|| "no message".to_string())
    }

    fn bytes(self, at: u32, length: usize, what: &str) -> Result<&'a [u8]> {
        let at = at as usize;
        let end = at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| {
            wrong(format!("{what} of {length} bytes at address {at}, and its memory has {} bytes", self.bytes.len()))
        })?;
        Ok(&self.bytes[at..end])
    }

    fn number(self, at: u32, field: usize) -> Result<i64> {
        let bytes = self.bytes(at, layout::SIZE, "a structure")?;
        let field = bytes[field..field + 8].try_into().map_err(|_| Error::internal("a field of eight bytes"))?;
        Ok(i64::from_le_bytes(field))
    }

    /// The address that stands at an address.
    fn address(self, at: usize) -> Result<u32> {
        let at = u32::try_from(at).map_err(|_| wrong("an address behind its memory"))?;
        let bytes = self.bytes(at, 4, "an address")?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn header(self, at: u32, t: &LogicalType) -> Result<Header> {
        let count = |field, name: &str| {
            let n = self.number(at, field)?;
            usize::try_from(n).map_err(|_| wrong(format!("{name} {n} for {t}")))
        };
        let (length, offset) = (count(layout::LENGTH, "length")?, count(layout::OFFSET, "offset")?);
        // Rows of a table function stand beside those that it was called for: few bytes must not become very many.
        if length.checked_add(offset).is_none_or(|n| n > self.bytes.len()) {
            return Err(wrong(format!("{length} values from {offset} on for {t}, which its memory has no place for")));
        }
        let (wanted_buffers, wanted_children) = shape(&t.kind);
        let (buffers, children) = (count(layout::N_BUFFERS, "n_buffers")?, count(layout::N_CHILDREN, "n_children")?);
        if (buffers, children) != (wanted_buffers, wanted_children) {
            return Err(wrong(format!(
                "{buffers} buffers and {children} children for {t}, which has {wanted_buffers} and {wanted_children}"
            )));
        }
        if self.address(at as usize + layout::DICTIONARY)? != 0 {
            return Err(wrong(format!("a dictionary for {t}")));
        }
        let (buffers, children) =
            (self.address(at as usize + layout::BUFFERS)?, self.address(at as usize + layout::CHILDREN)?);
        Ok(Header { length, offset, buffers, children })
    }

    /// A buffer of so many bytes.
    fn buffer(self, header: &Header, index: usize, length: usize, t: &LogicalType) -> Result<&'a [u8]> {
        let at = self.address(header.buffers as usize + 4 * index)?;
        if at == 0 && length > 0 {
            return Err(wrong(format!("no buffer {index} for {t}")));
        }
        let bytes = self.bytes(at, length, &format!("buffer {index} for {t},"))?;
        let left = self.left.get().checked_sub(length).ok_or_else(|| {
            wrong(format!("columns of more than {COPIES_MAX} times the {} bytes of its memory", self.bytes.len()))
        })?;
        self.left.set(left);
        Ok(bytes)
    }

    /// Bits of a buffer, of which so many lie before those that are wanted.
    fn bits(self, header: &Header, index: usize, wanted: &Range<usize>, t: &LogicalType) -> Result<BooleanBuffer> {
        let bytes = self.buffer(header, index, wanted.end.div_ceil(8), t)?;
        let first = wanted.start / 8;
        Ok(BooleanBuffer::new(Buffer::from(&bytes[first.min(bytes.len())..]), wanted.start % 8, wanted.len()))
    }

    fn nulls(self, header: &Header, wanted: &Range<usize>, t: &LogicalType) -> Result<Option<NullBuffer>> {
        if self.address(header.buffers as usize)? == 0 {
            return Ok(None);
        }
        Ok(Some(NullBuffer::new(self.bits(header, 0, wanted, t)?)).filter(|n| n.null_count() > 0))
    }

    /// The offsets of the wanted values, from 0 on, and what they were in.
    fn offsets(
        self,
        header: &Header,
        wanted: &Range<usize>,
        t: &LogicalType,
    ) -> Result<(OffsetBuffer<i32>, Range<usize>)> {
        if wanted.is_empty() {
            return Ok((OffsetBuffer::new_empty(), 0..0));
        }
        let bytes = self.buffer(header, 1, 4 * (wanted.end + 1), t)?;
        let offsets = bytes[4 * wanted.start..].chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let offsets: Vec<i32> = offsets.collect();
        let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
        if first < 0 || offsets.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(wrong(format!("offsets that go back, for {t}")));
        }
        let from_zero: Vec<i32> = offsets.iter().map(|o| o - first).collect();
        Ok((OffsetBuffer::new(from_zero.into()), first as usize..last as usize))
    }

    /// A child, and the part of its values that is wanted.
    fn child(self, header: &Header, index: usize, t: &LogicalType, wanted: Range<usize>) -> Result<ArrayRef> {
        let at = self.address(header.children as usize + 4 * index)?;
        let child = self.header(at, t)?;
        if wanted.end > child.length {
            return Err(wrong(format!("{} values of {t} where {} are needed", child.length, wanted.end)));
        }
        self.array(&child, t, wanted)
    }

    /// A part of the values of an array.
    fn array(self, header: &Header, t: &LogicalType, wanted: Range<usize>) -> Result<ArrayRef> {
        let count = wanted.len();
        let wanted = wanted.start + header.offset..wanted.end + header.offset;
        let nulls = self.nulls(header, &wanted, t)?;
        let unreadable = |e: arrow_schema::ArrowError| wrong(format!("{e}, for {t}"));
        Ok(match &t.kind {
            TypeKind::Boolean => Arc::new(BooleanArray::new(self.bits(header, 1, &wanted, t)?, nulls)),
            TypeKind::Char(_) | TypeKind::VarChar(_) => {
                let (offsets, within) = self.offsets(header, &wanted, t)?;
                let bytes = Buffer::from(&self.buffer(header, 2, within.end, t)?[within]);
                Arc::new(StringArray::try_new(offsets, bytes, nulls).map_err(unreadable)?)
            }
            TypeKind::Binary(_) | TypeKind::VarBinary(_) => {
                let (offsets, within) = self.offsets(header, &wanted, t)?;
                let bytes = Buffer::from(&self.buffer(header, 2, within.end, t)?[within]);
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls).map_err(unreadable)?)
            }
            TypeKind::Array(element) => {
                let (offsets, within) = self.offsets(header, &wanted, t)?;
                let values = self.child(header, 0, element, within)?;
                let field = Arc::new(Field::new("item", values.data_type().clone(), true));
                Arc::new(ListArray::try_new(field, offsets, values, nulls).map_err(unreadable)?)
            }
            TypeKind::Map(..) | TypeKind::Multiset(_) => {
                let (offsets, within) = self.offsets(header, &wanted, t)?;
                let entries = self.entries(header, t, within)?;
                let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
                Arc::new(MapArray::try_new(field, offsets, entries, nulls, false).map_err(unreadable)?)
            }
            TypeKind::Row(fields) | TypeKind::Structured(_, fields) => {
                // Children of a row count from its offset on.
                let columns = fields.iter().enumerate().map(|(i, f)| {
                    self.child(header, i, &f.data_type, wanted.clone()).map_err(|e| e.with("field", &f.name))
                });
                let columns = columns.collect::<Result<Vec<_>>>()?;
                let names = fields.iter().zip(&columns);
                let names: Fields = names.map(|(f, c)| Field::new(&f.name, c.data_type().clone(), true)).collect();
                Arc::new(StructArray::try_new_with_length(names, columns, nulls, count).map_err(unreadable)?)
            }
            TypeKind::Variant | TypeKind::Bitmap | TypeKind::Null => {
                return Err(Error::internal(format!("a result of {t} from a module")));
            }
            _ => {
                let arrow = arrow_type(t);
                let width = arrow.primitive_width().ok_or_else(|| Error::internal(format!("a result of {arrow}")))?;
                let end = wanted.end.checked_mul(width).ok_or_else(|| wrong(format!("too many values of {t}")))?;
                let bytes = self.buffer(header, 1, end, t)?;
                let values = Buffer::from(&bytes[wanted.start * width..]);
                let data = ArrayData::builder(arrow).len(count).nulls(nulls).add_buffer(values);
                make_array(data.build().map_err(unreadable)?)
            }
        })
    }

    /// The entries of a map: rows of a key, which its type may say is not NULL, and a value.
    fn entries(self, header: &Header, t: &LogicalType, wanted: Range<usize>) -> Result<StructArray> {
        let (key, value) = match &t.kind {
            TypeKind::Map(key, value) => (key.as_ref().clone(), value.as_ref().clone()),
            TypeKind::Multiset(element) => (element.with_nullable(false), TypeKind::Int.not_null()),
            _ => return Err(Error::internal("entries of what is no map")),
        };
        let nullable = key.nullable;
        let of_key = arrow_field("key", &key).metadata().clone();
        let row = TypeKind::Row(vec![
            flott_core::types::RowField::new("key", key),
            flott_core::types::RowField::new("value", value),
        ]);
        let entries = self.child(header, 0, &row.not_null(), wanted)?;
        if entries.null_count() > 0 {
            return Err(wrong(format!("a NULL among the entries of {t}")));
        }
        let columns = entries.to_data().child_data().iter().map(|c| make_array(c.clone())).collect::<Vec<_>>();
        let [keys, values] = columns.as_slice() else { return Err(Error::internal("entries of two columns")) };
        if !nullable && keys.null_count() > 0 {
            return Err(wrong(format!("a key of {t} that is NULL")));
        }
        let fields = Fields::from(vec![
            map_entries_key(Field::new("key", keys.data_type().clone(), nullable).with_metadata(of_key)),
            Field::new("value", values.data_type().clone(), true),
        ]);
        map_entries(&fields, Arc::clone(keys), Arc::clone(values)).map_err(|e| wrong(format!("{e}, for {t}")))
    }
}

/// Buffers, with the one of NULLs, and children of a type.
fn shape(kind: &TypeKind) -> (usize, usize) {
    match kind {
        TypeKind::Char(_) | TypeKind::VarChar(_) | TypeKind::Binary(_) | TypeKind::VarBinary(_) => (3, 0),
        TypeKind::Array(_) | TypeKind::Map(..) | TypeKind::Multiset(_) => (2, 1),
        TypeKind::Row(fields) | TypeKind::Structured(_, fields) => (1, fields.len()),
        _ => (2, 0),
    }
}
