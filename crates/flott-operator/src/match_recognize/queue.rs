//! A priority queue whose order of equal elements is that of a plain binary heap: of two matches that start at the same
//! row the one is shown that such a heap gives first, and the other skipped, as in Flink.

/// What a queue is ordered by.
pub(super) trait Ranked: Copy {
    /// Least first.
    fn rank(&self) -> u64;
}

/// A binary heap, the least element first.
#[derive(Debug, Clone)]
pub(super) struct Queue<T> {
    items: Vec<T>,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { items: vec![] }
    }
}

impl<T: Ranked> Queue<T> {
    /// Elements as a queue holds them. What is no heap becomes one.
    pub(super) fn of(items: Vec<T>) -> Queue<T> {
        let mut queue = Queue::default();
        items.into_iter().for_each(|item| queue.push(item));
        queue
    }

    /// All elements as they lie.
    pub(super) fn items(&self) -> &[T] {
        &self.items
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn peek(&self) -> Option<&T> {
        self.items.first()
    }

    pub(super) fn capacity(&self) -> usize {
        self.items.capacity()
    }

    pub(super) fn push(&mut self, item: T) {
        let mut at = self.items.len();
        self.items.push(item);
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.items[at].rank() >= self.items[parent].rank() {
                break;
            }
            self.items.swap(at, parent);
            at = parent;
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let last = self.items.len().checked_sub(1)?;
        self.items.swap(0, last);
        let first = self.items.pop();
        self.sink(0);
        first
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let Some(child) = self.items.get(left) else { return };
            let mut least = left;
            if self.items.get(right).is_some_and(|r| r.rank() < child.rank()) {
                least = right;
            }
            if self.items[at].rank() <= self.items[least].rank() {
                return;
            }
            self.items.swap(at, least);
            at = least;
        }
    }

    /// Takes out what does not stay.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(&T) -> bool) {
        let before = self.items.len();
        self.items.retain(|item| stays(item));
        if self.items.len() < before {
            (0..self.items.len() / 2).rev().for_each(|at| self.sink(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Ranked for (u64, char) {
        fn rank(&self) -> u64 {
            self.0
        }
    }

    fn drained(mut queue: Queue<(u64, char)>) -> String {
        std::iter::from_fn(|| queue.pop()).map(|i| i.1).collect()
    }

    /// The orders of equal elements are those that `java.util.PriorityQueue` gives.
    #[test]
    fn equal_elements_leave_as_a_binary_heap_gives_them() {
        let of = |ranks: &[u64]| Queue::of(ranks.iter().zip('a'..).map(|(r, c)| (*r, c)).collect::<Vec<(u64, char)>>());
        assert_eq!(drained(of(&[5, 3, 9, 1])), "dbac");
        // The last one takes the place of the one that leaves.
        assert_eq!(drained(of(&[1, 1, 1, 1])), "adcb");
        let mut queue = of(&[1, 2, 1, 3, 2]);
        queue.retain(|i| i.1 != 'a');
        assert_eq!(drained(queue), "cebd");
    }
}
