//! State by key that rows come to and leave again: keys with numbers, rows packed in one arena, and the runs that a
//! barrier seals of them.
//!
//! Read first: `rows` (the rows and how they are stored), then `keys`, then `sorted` (rows of one key in order).

mod arena;
mod at_end;
mod codec;
mod counts;
mod keys;
pub(crate) mod meaning;
mod rows;
mod sorted;
mod time_to_live;

pub(crate) use at_end::AtEnd;
pub(crate) use codec::{Encoded, RowCodec};
pub(crate) use counts::KeyedCounts;
pub(crate) use keys::{BatchKeys, KeyCodec, KeyTable};
pub(crate) use rows::RowStore;
pub(crate) use sorted::{ENTRY_BYTES, SortedSlots};
pub(crate) use time_to_live::TimeToLive;
