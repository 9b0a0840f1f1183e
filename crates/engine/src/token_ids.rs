//! The ids of a batch's texts, each looked up once.

/// Ids of a batch's texts.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct TokenIds {
    /// Each id once, ascending.
    pub(crate) unique: Vec<u32>,
    /// Indices into `unique`, row after row.
    locals: Vec<u32>,
    /// Where each row's indices end.
    ends: Vec<usize>,
}

impl TokenIds {
    pub(crate) fn rows(&self) -> usize {
        self.ends.len()
    }

    /// Indices into `unique` of one row, in order.
    pub(crate) fn row(&self, row: usize) -> &[u32] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.locals[start..self.ends[row]]
    }

    /// How many numbers of 4 bytes it holds.
    pub(crate) fn values(&self) -> usize {
        self.unique.len() + self.locals.len()
    }

    /// From ids row after row and where each row ends; `once` drops a row's repeats.
    pub(crate) fn new(ids: &[u32], mut ends: Vec<usize>, once: bool, ranks: &mut Ranks) -> Self {
        let (unique, mut locals) = ranks.ranked(ids);
        if once {
            // The row, counted from 1, that each id was last seen in.
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

/// Ranks a batch's ids by a set of bits, one an id, that counts the ids below: where steps are short,
/// sorting is what they would wait for.
#[derive(Debug, Clone)]
pub(crate) struct Ranks {
    /// 64 ids each. All are 0 between two batches.
    bits: Vec<u64>,
    /// Which of `bits` aren't 0, 64 of them each.
    named: Vec<u64>,
    /// Of each of `bits` that isn't 0: how many ids are below its own.
    below: Vec<u32>,
}

impl Ranks {
    /// For ids below `buckets`.
    pub(crate) fn new(buckets: u32) -> Self {
        let words = buckets.div_ceil(u64::BITS) as usize;
        let (bits, named) = (vec![0; words], vec![0; words.div_ceil(u64::BITS as usize)]);
        Self { bits, named, below: vec![0; words] }
    }

    /// Each id once, ascending, and for every id in `ids` its place among them.
    fn ranked(&mut self, ids: &[u32]) -> (Vec<u32>, Vec<u32>) {
        for id in ids {
            let (word, bit) = place(*id);
            self.bits[word] |= bit;
            self.named[word / 64] |= 1 << (word % 64);
        }
        let mut unique = Vec::with_capacity(ids.len());
        let mut below = 0;
        for (first, named) in (0_u32..).step_by(64).zip(&mut self.named) {
            for word in ones(std::mem::take(named)) {
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

/// Where an id's bit is.
fn place(id: u32) -> (usize, u64) {
    ((id / u64::BITS) as usize, 1 << (id % u64::BITS))
}

/// The places of the bits that are set, ascending.
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
    fn ids_are_ranked_as_sorting_ranks_them() {
        let mut chance = SeededRng::new(RngDomain::Step, 1, 2, 3, 4);
        for (count, buckets) in [(0, 2), (1, 2), (300, 7), (3_000, 1 << 17), (500, (1 << 24) - 1)] {
            let mut ranks = Ranks::new(buckets);
            for _ in 0..2 {
                let draw = |_| u32::try_from(chance.below(u64::from(buckets))).unwrap();
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
    fn words_are_looked_up_once_and_keep_their_order() {
        let mut ranks = Ranks::new(10);
        let words = TokenIds::new(&[7, 3, 7, 9, 3], vec![3, 3, 5], false, &mut ranks);
        assert_eq!(words.unique, [3, 7, 9]);
        assert_eq!(words.row(0), [1, 0, 1]);
        assert!(words.row(1).is_empty());
        assert_eq!(words.row(2), [2, 0]);
        let once = TokenIds::new(&[7, 3, 7, 9, 3], vec![3, 3, 5], true, &mut ranks);
        assert_eq!((once.row(0), once.row(2)), ([1, 0].as_slice(), [2, 0].as_slice()));
    }
}
