//! Memory of the columns of a large state, before their values come.

/// Pages of this size are cleared by the kernel as a whole, where memory is that of a large state. Where pages are smaller nothing is
/// lost.
const PAGE_BYTES: usize = 2 << 20;

/// What is done with the columns that have a value for each group, one column after another.
pub(crate) enum Room {
    /// Capacity for so many groups, where there is as much: without it values are copied as they grow.
    Reserve {
        groups: usize,
        /// What a group takes in the columns that have it now.
        group_bytes: usize,
    },
    /// The page that comes next is touched, of the column whose turn it is. Columns of one width that grow together come to
    /// the end of a page in the same batch: it would wait until as many pages are cleared as there are columns.
    Touch {
        turn: usize,
        /// Columns that have been seen.
        seen: usize,
    },
}

impl Room {
    /// For the next column.
    pub(crate) fn of<T: Copy + Default>(&mut self, column: &mut Vec<T>) {
        match self {
            Room::Reserve { groups, group_bytes } => {
                if column.try_reserve_exact(groups.saturating_sub(column.len())).is_ok() {
                    *group_bytes += size_of::<T>();
                }
            }
            Room::Touch { turn, seen } => {
                if *seen == *turn
                    && let Some(ahead) = column.spare_capacity_mut().get_mut(PAGE_BYTES / size_of::<T>())
                {
                    ahead.write(T::default());
                }
                *seen += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_their_turns_and_keep_their_values() {
        let (mut a, mut b) = (vec![1u64], vec![2i128]);
        let mut room = Room::Reserve { groups: 1 << 20, group_bytes: 0 };
        room.of(&mut a);
        room.of(&mut b);
        assert!(matches!(room, Room::Reserve { group_bytes: 24, .. }));
        assert!(a.capacity() >= 1 << 20 && b.capacity() >= 1 << 20);
        for turn in 0..3 {
            let mut room = Room::Touch { turn, seen: 0 };
            room.of(&mut a);
            room.of(&mut b);
            assert!(matches!(room, Room::Touch { seen: 2, .. }));
        }
        assert_eq!((a.as_slice(), b.as_slice()), (&[1][..], &[2][..]));
        // Without a page to come nothing is done.
        let mut small: Vec<u8> = vec![3];
        Room::Touch { turn: 0, seen: 0 }.of(&mut small);
        assert_eq!(small, [3]);
    }
}
