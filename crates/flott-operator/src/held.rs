//! What state takes in memory, as the limit of a job counts it (`flott.memory.max`).

use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, RecordBatch};
use flott_state::StateRun;

/// Smaller lists are moved without a trace.
const MOVED_BYTES_MIN: usize = 1 << 20;
/// A list with less than such a part of its room left grows with one of the next batches.
const ROOM_PART: usize = 16;

/// Whether a list of so many of so many bytes moves soon.
fn is_full(len: usize, capacity: usize, bytes: usize) -> bool {
    bytes >= MOVED_BYTES_MIN && (capacity - len.min(capacity)) * ROOM_PART <= capacity
}

/// A list that grows: its room, and once it is nearly full what lies beside it while it moves to a place of twice the size.
/// A job that has no memory for that is to end before it moves.
pub(crate) fn list_bytes<T>(list: &Vec<T>) -> usize {
    let bytes = list.capacity() * size_of::<T>();
    if is_full(list.len(), list.capacity(), bytes) { 2 * bytes } else { bytes }
}

/// A hash table of so many bytes that moves to one of twice the size once it has more than `most` entries, all of which is
/// written at once.
pub(crate) fn table_bytes(bytes: usize, entries: usize, most: usize) -> usize {
    if is_full(entries, most, bytes) { 3 * bytes } else { bytes }
}

/// The rows of runs that are made: they stay for the checkpoints that refer to them. Their data alone counts, since columns that were
/// read may be parts of one buffer, each with all of it.
pub(crate) fn runs_bytes<'r>(runs: impl IntoIterator<Item = &'r Arc<StateRun>>) -> usize {
    runs.into_iter().filter_map(|run| run.made()).map(data_bytes).sum()
}

fn data_bytes(rows: &RecordBatch) -> usize {
    let of_column = |column: &ArrayRef| {
        let data = column.to_data();
        data.get_slice_memory_size().unwrap_or_else(|_| data.get_array_memory_size())
    };
    rows.columns().iter().map(of_column).sum()
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;
    use arrow_buffer::{Buffer, ScalarBuffer};

    use super::*;

    #[test]
    fn columns_that_share_a_buffer_count_once() {
        // As Arrow's reader of IPC leaves them.
        let body = Buffer::from_vec((0..4_000i64).collect::<Vec<_>>());
        let column = |i: usize| {
            let values = ScalarBuffer::<i64>::new(body.clone(), i * 1_000, 1_000);
            (format!("c{i}"), Arc::new(Int64Array::new(values, None)) as ArrayRef)
        };
        let rows = RecordBatch::try_from_iter((0..4).map(column)).expect("rows");
        assert!(rows.get_array_memory_size() >= 4 * 32_000);
        assert_eq!(data_bytes(&rows), 32_000);
    }

    #[test]
    fn a_list_that_is_to_move_counts_twice() {
        let mut list: Vec<u64> = Vec::with_capacity(1 << 18);
        list.resize((1 << 18) / 16 * 15 - 1, 0);
        assert_eq!(list_bytes(&list), 2 << 20);
        list.push(0);
        assert_eq!(list_bytes(&list), 4 << 20);
        // As much as it takes then.
        list.resize((1 << 18) + 1, 0);
        assert_eq!((list.capacity() * 8, list_bytes(&list)), (4 << 20, 4 << 20));
        let small = vec![0u8; 1_000];
        assert_eq!(list_bytes(&small), 1_000);
        assert_eq!(table_bytes(1 << 20, 100, 200), 1 << 20);
        assert_eq!(table_bytes(1 << 20, 199, 200), 3 << 20);
    }
}
