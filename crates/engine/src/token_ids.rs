//! Token ids of a batch's texts, with each distinct id looked up once.

/// Token ids of a batch's texts.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct TokenIds {
    /// Distinct ids, ascending.
    pub(crate) unique: Vec<u32>,
    /// Indices into `unique`, row by row.
    locals: Vec<u32>,
    /// End of each row's indices.
    ends: Vec<usize>,
}

impl TokenIds {
    pub(crate) fn rows(&self) -> usize {
        self.ends.len()
    }

    /// Returns one row's indices into `unique`, in order.
    pub(crate) fn row(&self, row: usize) -> &[u32] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.locals[start..self.ends[row]]
    }

    /// Returns the number of 4-byte values that it holds.
    pub(crate) fn values(&self) -> usize {
        self.unique.len() + self.locals.len()
    }

    /// Creates token ids from ids row by row and the end of each row. `once` removes repeats within
    /// a row.
    pub(crate) fn new(ids: &[u32], mut ends: Vec<usize>, once: bool, ranks: &mut Ranks) -> Self {
        let (unique, mut locals) = ranks.ranked(ids);
        if once {
            // Row, counted from 1, in which each id was last seen.
            let mut seen = vec![0; unique.len()];
            let (mut start, mut kept) = (0, 0);
            for (row, end) in (1_usize..).zip(&mut ends) {
                for place in start..*end {
                    let local = locals[place];
                    if seen[local as usize] != row {
                        seen[local as usize] = row;
                        locals[kept] = local;
                        kept += 1;
                    }
                }
                (start, *end) = (*end, kept);
            }
            locals.truncate(kept);
        }
        Self { unique, locals, ends }
    }
}

/// Ranks the ids of a batch with a bit set, by counting the bits below each id. Sorting would
/// dominate short steps.
#[derive(Debug, Clone)]
pub(crate) struct Ranks {
    /// Bit set with 64 ids per word. All words are 0 between two batches.
    bits: Vec<u64>,
    /// Bit set of the non-zero words in `bits`, 64 per word.
    nonzero: Vec<u64>,
    /// Number of ids below each non-zero word.
    below: Vec<u32>,
}

impl Ranks {
    /// Creates a ranking for ids below `buckets`.
    pub(crate) fn new(buckets: u32) -> Self {
        let words = buckets.div_ceil(u64::BITS) as usize;
        let (bits, nonzero) = (vec![0; words], vec![0; words.div_ceil(u64::BITS as usize)]);
        Self { bits, nonzero, below: vec![0; words] }
    }

    /// Returns the distinct ids, ascending, and the rank of every id in `ids`.
    fn ranked(&mut self, ids: &[u32]) -> (Vec<u32>, Vec<u32>) {
        for id in ids {
            let (word, bit) = place(*id);
            self.bits[word] |= bit;
            self.nonzero[word / 64] |= 1 << (word % 64);
        }
        let mut unique = Vec::with_capacity(ids.len());
        let mut below = 0;
        for (first, nonzero) in (0_u32..).step_by(64).zip(&mut self.nonzero) {
            for word in ones(std::mem::take(nonzero)) {
                let word = first + word;
                let bits = self.bits[word as usize];
                self.below[word as usize] = below;
                below += bits.count_ones();
                unique.extend(ones(bits).map(|id| word * u64::BITS + id));
            }
        }
        let rank = |id: &u32| {
            let (word, bit) = place(*id);
            self.below[word] + (self.bits[word] & (bit - 1)).count_ones()
        };
        let ranks = ids.iter().map(rank).collect();
        for id in &unique {
            self.bits[place(*id).0] = 0;
        }
        (unique, ranks)
    }
}

/// Returns an id's word and bit.
fn place(id: u32) -> (usize, u64) {
    ((id / u64::BITS) as usize, 1 << (id % u64::BITS))
}

/// Returns the positions of the set bits, ascending.
fn ones(mut bits: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let place = (bits != 0).then(|| bits.trailing_zeros());
        bits &= bits.wrapping_sub(1);
        place
    })
}

#[cfg(test)]
mod tests {
    use protocol::{RngDomain, SeededRng};

    use super::*;

    #[test]
    fn ids_are_ranked_as_by_sorting() {
        let mut rng = SeededRng::new(RngDomain::Step, 1, 2, 3, 4);
        for (count, buckets) in [(0, 2), (1, 2), (300, 7), (3_000, 1 << 17), (500, (1 << 24) - 1)] {
            let mut ranks = Ranks::new(buckets);
            for _ in 0..2 {
                let draw = |_| u32::try_from(rng.below(u64::from(buckets))).unwrap();
                let ids: Vec<u32> = (0..count).map(draw).chain([buckets - 1]).collect();
                let (unique, places) = ranks.ranked(&ids);
                let mut expected = ids.clone();
                expected.sort_unstable();
                expected.dedup();
                assert_eq!(unique, expected);
                let back: Vec<u32> = places.iter().map(|place| unique[*place as usize]).collect();
                assert_eq!(back, ids);
            }
        }
    }

    #[test]
    fn ids_are_looked_up_once_and_keep_their_order() {
        let mut ranks = Ranks::new(10);
        let ids = TokenIds::new(&[7, 3, 7, 9, 3], vec![3, 3, 5], false, &mut ranks);
        assert_eq!(ids.unique, [3, 7, 9]);
        assert_eq!(ids.row(0), [1, 0, 1]);
        assert!(ids.row(1).is_empty());
        assert_eq!(ids.row(2), [2, 0]);
        let once = TokenIds::new(&[7, 3, 7, 9, 3], vec![3, 3, 5], true, &mut ranks);
        assert_eq!((once.row(0), once.row(2)), ([1, 0].as_slice(), [2, 0].as_slice()));
    }
}
