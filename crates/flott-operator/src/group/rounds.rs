//! Rows of a batch in rounds: each has every group at most once, so that a round can be computed by columns and still shows
//! what every single row changed.

/// The rows of each round, in the batch's order.
#[derive(Default)]
pub(crate) struct Rounds {
    /// How often each group was seen in the current batch.
    seen: Vec<u32>,
    touched: Vec<u32>,
}

impl Rounds {
    /// Row numbers by round, given the group of each row.
    pub(crate) fn of(&mut self, rows: impl Iterator<Item = (u32, u32)>, groups: usize) -> Vec<Vec<u32>> {
        self.seen.resize(groups, 0);
        let mut rounds: Vec<Vec<u32>> = vec![];
        for (row, group) in rows {
            let seen = &mut self.seen[group as usize];
            if *seen == 0 {
                self.touched.push(group);
            }
            let round = *seen as usize;
            *seen += 1;
            match rounds.get_mut(round) {
                Some(rows) => rows.push(row),
                None => rounds.push(vec![row]),
            }
        }
        for group in self.touched.drain(..) {
            self.seen[group as usize] = 0;
        }
        rounds
    }

    /// The numbers of the groups have changed.
    pub(crate) fn clear(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_is_once_in_a_round_and_rows_keep_their_order() {
        let mut rounds = Rounds::default();
        let groups = [1, 0, 1, 1, 2];
        for _ in 0..2 {
            let rows = groups.iter().enumerate().map(|(row, g)| (row as u32, *g));
            assert_eq!(rounds.of(rows, 3), [vec![0, 1, 4], vec![2], vec![3]]);
        }
    }
}
