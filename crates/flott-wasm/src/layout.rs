//! The structure `ArrowArray` of the [Arrow C data interface](https://arrow.apache.org/docs/format/CDataInterface.html) for
//! 32-bit addresses: where its fields lie, in bytes from its start. Numbers are little-endian.

/// Bytes of the structure.
pub const SIZE: usize = 64;
/// `int64_t length`
pub const LENGTH: usize = 0;
/// `int64_t null_count`; of a result it is not read.
pub const NULL_COUNT: usize = 8;
/// `int64_t offset`
pub const OFFSET: usize = 16;
/// `int64_t n_buffers`
pub const N_BUFFERS: usize = 24;
/// `int64_t n_children`
pub const N_CHILDREN: usize = 32;
/// `const void** buffers`
pub const BUFFERS: usize = 40;
/// `struct ArrowArray** children`
pub const CHILDREN: usize = 44;
/// `struct ArrowArray* dictionary`; always 0.
pub const DICTIONARY: usize = 48;
/// Where addresses and values lie: at multiples of this.
pub const ALIGNMENT: usize = 8;
