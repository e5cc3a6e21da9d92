//! The arguments of a call as one block of a module's memory: structures, tables of addresses, and buffers.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field};
use flott_core::types::map_keys;
use flott_core::{Error, Result};

use crate::layout;

/// The block, before it is known where it will lie.
pub(crate) struct Block {
    bytes: Vec<u8>,
    /// Where addresses stand, which count from the block's start.
    addresses: Vec<usize>,
}

impl Block {
    /// The structures of these columns, then that of the result, then what the first ones point to.
    pub(crate) fn of(arguments: &[ArrayRef]) -> Result<Block> {
        let mut block = Block { bytes: vec![0; (arguments.len() + 1) * layout::SIZE], addresses: vec![] };
        for (i, argument) in arguments.iter().enumerate() {
            block.array(i * layout::SIZE, argument)?;
        }
        Ok(block)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes, for this place.
    pub(crate) fn at(mut self, base: u32) -> Vec<u8> {
        for at in self.addresses {
            let place = &mut self.bytes[at..at + 4];
            let offset = u32::from_le_bytes([place[0], place[1], place[2], place[3]]);
            place.copy_from_slice(&base.wrapping_add(offset).to_le_bytes());
        }
        self.bytes
    }

    fn reserve(&mut self, size: usize) -> usize {
        let at = self.bytes.len().next_multiple_of(layout::ALIGNMENT);
        self.bytes.resize(at + size, 0);
        at
    }

    fn place(&mut self, bytes: &[u8]) -> usize {
        // A buffer without bytes has an address, too.
        let at = self.reserve(bytes.len().max(1));
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        at
    }

    fn number(&mut self, at: usize, value: usize) {
        self.bytes[at..at + 8].copy_from_slice(&(value as u64).to_le_bytes());
    }

    fn address(&mut self, at: usize, to: usize) {
        // Blocks of 4 GiB are refused as a whole before they are written.
        self.bytes[at..at + 4].copy_from_slice(&(to as u32).to_le_bytes());
        self.addresses.push(at);
    }

    fn array(&mut self, at: usize, array: &ArrayRef) -> Result<()> {
        let (buffers, children) = parts(array)?;
        self.number(at + layout::LENGTH, array.len());
        self.number(at + layout::NULL_COUNT, array.null_count());
        self.number(at + layout::N_BUFFERS, buffers.len() + 1);
        self.number(at + layout::N_CHILDREN, children.len());
        let table = self.reserve(4 * (buffers.len() + 1));
        self.address(at + layout::BUFFERS, table);
        if let Some(nulls) = array.nulls().filter(|n| n.null_count() > 0) {
            let bits = self.place(&bits(nulls));
            self.address(table, bits);
        }
        for (i, buffer) in buffers.iter().enumerate() {
            let placed = self.place(buffer);
            self.address(table + 4 * (i + 1), placed);
        }
        if children.is_empty() {
            return Ok(());
        }
        let table = self.reserve(4 * children.len());
        self.address(at + layout::CHILDREN, table);
        for (i, child) in children.iter().enumerate() {
            let placed = self.reserve(layout::SIZE);
            self.address(table + 4 * i, placed);
            self.array(placed, child)?;
        }
        Ok(())
    }
}

fn bits(nulls: &NullBuffer) -> Vec<u8> {
    nulls.inner().sliced().to_vec()
}

/// The buffers behind the one of NULLs, from the first value on, and the children.
fn parts(array: &ArrayRef) -> Result<(Vec<Vec<u8>>, Vec<ArrayRef>)> {
    let texts = |offsets: &[i32], bytes: &[u8]| {
        let (first, last) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
        (vec![from_zero(offsets), bytes[first..last].to_vec()], vec![])
    };
    Ok(match array.data_type() {
        DataType::Boolean => (vec![array.as_boolean().values().sliced().to_vec()], vec![]),
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            texts(array.value_offsets(), array.value_data())
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            texts(array.value_offsets(), array.value_data())
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            let (first, last) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
            (vec![from_zero(offsets)], vec![list.values().slice(first, last - first)])
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let offsets = map.value_offsets();
            let (first, last) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
            // Keys and values side by side, whichever way the keys lie here.
            let columns = vec![map_keys(map).slice(first, last - first), map.values().slice(first, last - first)];
            let names = ["key", "value"].into_iter().zip(&columns);
            let fields = names.map(|(name, c)| Field::new(name, c.data_type().clone(), true)).collect();
            let entries: ArrayRef = Arc::new(StructArray::try_new(fields, columns, None)?);
            (vec![from_zero(offsets)], vec![entries])
        }
        DataType::Struct(_) => (vec![], array.as_struct().columns().to_vec()),
        other => {
            let Some(width) = other.primitive_width() else {
                return Err(Error::internal(format!("a column of {other} for a module")));
            };
            let data = array.to_data();
            let bytes = data.buffers()[0].as_slice();
            let first = data.offset() * width;
            (vec![bytes[first..first + array.len() * width].to_vec()], vec![])
        }
    })
}

fn from_zero(offsets: &[i32]) -> Vec<u8> {
    offsets.iter().flat_map(|o| (o - offsets[0]).to_le_bytes()).collect()
}
