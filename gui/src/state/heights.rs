//! The heights of a long list's rows, so that any place in it is found in
//! O(log n): a Fenwick tree of `f64` (an `f32` would lose whole pixels in a
//! conversation of 100,000 messages).

/// Heights below this difference are the same, in points.
const SAME_PT: f64 = 0.01;

/// The height of each row, estimated until it was painted once.
#[derive(Debug, Default)]
pub(crate) struct Heights {
    /// One-based Fenwick tree: `tree[i]` holds the sum of `lowest_bit(i)` rows that end at `i`.
    tree: Vec<f64>,
    rows: Vec<f32>,
    /// The width that the rows were measured at, in points.
    width: f32,
    /// Where the list has to be moved to keep what is read in its place, in points.
    pub(crate) pending: Option<f64>,
    /// Where the list was in the last frame, in points.
    pub(crate) offset: f64,
}

fn lowest_bit(i: usize) -> usize {
    i & (!i + 1)
}

impl Heights {
    /// Rows with estimated heights, in points.
    pub(crate) fn new(estimates: impl Iterator<Item = f32>) -> Self {
        let mut heights = Self { rows: estimates.collect(), ..Self::default() };
        heights.plant();
        heights
    }

    fn plant(&mut self) {
        let n = self.rows.len();
        self.tree.clear();
        self.tree.resize(n + 1, 0.0);
        for i in 1..=n {
            self.tree[i] += f64::from(self.rows[i - 1]);
            let parent = i + lowest_bit(i);
            if parent <= n {
                self.tree[parent] += self.tree[i];
            }
        }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The height of all rows, in points.
    pub(crate) fn total(&self) -> f64 {
        self.above(self.rows.len())
    }

    /// The height of the rows before row `index`, in points.
    pub(crate) fn above(&self, index: usize) -> f64 {
        let mut sum = 0.0;
        let mut i = index.min(self.rows.len());
        while i > 0 {
            sum += self.tree[i];
            i -= lowest_bit(i);
        }
        sum
    }

    /// The height of one row, in points; 0 past the end.
    pub(crate) fn of(&self, index: usize) -> f32 {
        self.rows.get(index).copied().unwrap_or_default()
    }

    /// The row at a height of `y` points; the last one past the end.
    pub(crate) fn at(&self, y: f64) -> usize {
        let n = self.rows.len();
        let mut index = 0;
        let mut rest = y.max(0.0);
        let mut step = n.checked_next_power_of_two().unwrap_or_default();
        while step > 0 {
            if index + step <= n && self.tree[index + step] <= rest {
                index += step;
                rest -= self.tree[index];
            }
            step >>= 1;
        }
        index.min(n.saturating_sub(1))
    }

    /// Notes the painted height of a row; returns by how much it changed, in points.
    pub(crate) fn set(&mut self, index: usize, height: f32) -> f64 {
        let Some(row) = self.rows.get_mut(index) else { return 0.0 };
        let difference = f64::from(height) - f64::from(*row);
        if difference.abs() < SAME_PT {
            return 0.0;
        }
        *row = height;
        let mut i = index + 1;
        while i < self.tree.len() {
            self.tree[i] += difference;
            i += lowest_bit(i);
        }
        difference
    }

    /// Adds a row at the end.
    pub(crate) fn push(&mut self, estimate: f32) {
        if self.tree.is_empty() {
            self.tree.push(0.0);
        }
        let i = self.rows.len() + 1;
        let mut sum = f64::from(estimate);
        let mut k = i - 1;
        while k > i - lowest_bit(i) {
            sum += self.tree[k];
            k -= lowest_bit(k);
        }
        self.tree.push(sum);
        self.rows.push(estimate);
    }

    /// Puts rows in before `index`. Rows above what is read move it down,
    /// which [`Self::pending`] makes good.
    pub(crate) fn insert(&mut self, index: usize, estimates: impl Iterator<Item = f32>) {
        let index = index.min(self.rows.len());
        let before = self.total();
        let reads_below = self.above(index) <= self.offset && self.offset > 0.0 || index == 0;
        self.rows.splice(index..index, estimates);
        self.plant();
        if reads_below && before > 0.0 {
            self.pending = Some(self.pending.unwrap_or(self.offset) + self.total() - before);
        }
    }

    /// Takes rows out.
    pub(crate) fn remove(&mut self, range: std::ops::Range<usize>) {
        let range = range.start.min(self.rows.len())..range.end.min(self.rows.len());
        let above = self.above(range.end) <= self.offset;
        let before = self.total();
        self.rows.drain(range);
        self.plant();
        if above {
            self.pending = Some((self.pending.unwrap_or(self.offset) + self.total() - before).max(0.0));
        }
    }

    /// Notes the width that rows are painted at, in points; says whether it
    /// changed, which makes all heights estimates again.
    pub(crate) fn set_width(&mut self, width: f32) -> bool {
        let changed = (width - self.width).abs() > 0.5;
        self.width = width;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Slow and plainly right.
    fn naive_above(rows: &[f32], index: usize) -> f64 {
        rows[..index].iter().copied().map(f64::from).sum()
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(f32),
        Set(usize, f32),
        Insert(usize, Vec<f32>),
        Remove(usize, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let height = 1.0f32..900.0;
        prop::collection::vec(
            prop_oneof![
                height.clone().prop_map(Step::Push),
                (any::<prop::sample::Index>(), height.clone()).prop_map(|(i, h)| Step::Set(i.index(64), h)),
                (any::<prop::sample::Index>(), prop::collection::vec(height, 0..9))
                    .prop_map(|(i, hs)| Step::Insert(i.index(64), hs)),
                (any::<prop::sample::Index>(), 0usize..5).prop_map(|(i, n)| Step::Remove(i.index(64), n)),
            ],
            0..60,
        )
    }

    proptest! {
        #[test]
        fn sums_are_those_of_a_plain_list(start in prop::collection::vec(1.0f32..900.0, 0..40), steps in steps()) {
            let mut plain = start.clone();
            let mut heights = Heights::new(start.into_iter());
            for step in steps {
                match step {
                    Step::Push(h) => { plain.push(h); heights.push(h); }
                    Step::Set(i, h) => { if let Some(row) = plain.get_mut(i) { *row = h; } heights.set(i, h); }
                    Step::Insert(i, hs) => {
                        let i = i.min(plain.len());
                        plain.splice(i..i, hs.iter().copied());
                        heights.insert(i, hs.into_iter());
                    }
                    Step::Remove(i, n) => {
                        let range = i.min(plain.len())..(i + n).min(plain.len());
                        plain.drain(range);
                        heights.remove(i..i + n);
                    }
                }
                prop_assert_eq!(heights.len(), plain.len());
                for i in 0..=plain.len() {
                    prop_assert!((heights.above(i) - naive_above(&plain, i)).abs() < 0.5);
                }
            }
        }

        #[test]
        fn the_row_at_a_height_contains_it(rows in prop::collection::vec(1.0f32..900.0, 1..200), share in 0.0f64..0.999) {
            let heights = Heights::new(rows.into_iter());
            let y = heights.total() * share;
            let row = heights.at(y);
            prop_assert!(heights.above(row) <= y + 0.01);
            prop_assert!(y < heights.above(row + 1) + 0.01);
        }

        #[test]
        fn rows_that_come_in_above_leave_what_is_read_in_place(
            rows in prop::collection::vec(1.0f32..900.0, 1..100),
            older in prop::collection::vec(1.0f32..900.0, 1..100),
            share in 0.0f64..1.0,
        ) {
            let mut heights = Heights::new(rows.into_iter());
            heights.offset = heights.total() * share;
            let row = heights.at(heights.offset);
            let into_row = heights.offset - heights.above(row);
            let added = older.len();
            heights.insert(0, older.into_iter());
            let moved_to = heights.pending.unwrap();
            prop_assert!((heights.above(row + added) + into_row - moved_to).abs() < 0.5);
        }
    }

    #[test]
    fn an_empty_list_has_no_height() {
        let heights = Heights::default();
        assert_eq!((heights.len(), heights.total(), heights.at(10.0)), (0, 0.0, 0));
        let mut heights = Heights::new(std::iter::empty());
        heights.push(10.0);
        assert_eq!(heights.total(), 10.0);
    }
}
