//! Seeded random numbers: the only source of randomness in a job. A counter-based generator is
//! keyed by the domain and the position in the job, never by the device that computes. See
//! docs/design/randomness-and-exact-sums.md.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Purpose of a random stream. It is part of the key, so two purposes never share a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RngDomain {
    InitialWeights,
    Partitioning,
    Selection,
    Shuffling,
    /// Draws within a training step, such as dropout.
    Step,
    SyntheticData,
    ValidationSplit,
}

impl RngDomain {
    const fn key_text(self) -> &'static str {
        match self {
            Self::InitialWeights => "initial-weights",
            Self::Partitioning => "partitioning",
            Self::Selection => "selection",
            Self::Shuffling => "shuffling",
            Self::Step => "step",
            Self::SyntheticData => "synthetic-data",
            Self::ValidationSplit => "validation-split",
        }
    }
}

/// Stream of random numbers. The same key gives the same stream on every machine and in every
/// version.
#[derive(Debug, Clone)]
pub struct SeededRng(ChaCha8Rng);

impl SeededRng {
    /// Creates the stream keyed by BLAKE3(domain ‖ 0 ‖ seed ‖ round ‖ partition ‖ step).
    pub fn new(domain: RngDomain, seed: u64, round: u32, partition: u32, step: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(domain.key_text().as_bytes());
        hasher.update(&[0]);
        hasher.update(&seed.to_le_bytes());
        hasher.update(&round.to_le_bytes());
        hasher.update(&partition.to_le_bytes());
        hasher.update(&step.to_le_bytes());
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a uniform number in `0..bound`, without bias (Lemire 2019, "Fast Random Integer
    /// Generation in an Interval", with rejection). Returns 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            #[expect(clippy::cast_possible_truncation, reason = "the two halves of the product")]
            let (high, low) = ((product >> 64) as u64, product as u64);
            if low >= threshold {
                return high;
            }
        }
    }

    /// Returns an index into a slice of `len` elements, or 0 for an empty slice.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// Returns a uniform number in `[0, 1)` with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Returns a standard normal number by the Box–Muller transform. The second number of each pair
    /// is dropped, so the stream's position depends on the number of draws alone.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Shuffles in place (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.index(last + 1);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_gives_the_same_stream() {
        let mut rng = SeededRng::new(RngDomain::Shuffling, 42, 1, 2, 3);
        let first: Vec<u64> = (0..3).map(|_| rng.below(1_000_000)).collect();
        let mut again = SeededRng::new(RngDomain::Shuffling, 42, 1, 2, 3);
        assert_eq!(first, (0..3).map(|_| again.below(1_000_000)).collect::<Vec<_>>());
        let mut other = SeededRng::new(RngDomain::Selection, 42, 1, 2, 3);
        assert_ne!(first, (0..3).map(|_| other.below(1_000_000)).collect::<Vec<_>>());
    }

    #[test]
    fn shuffling_keeps_every_item() {
        let mut items: Vec<u32> = (0..100).collect();
        SeededRng::new(RngDomain::Shuffling, 7, 0, 0, 0).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn normal_has_mean_0_and_variance_1() {
        let mut rng = SeededRng::new(RngDomain::InitialWeights, 1, 0, 0, 0);
        let draws: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }
}
