//! Norm bound: the largest L2 norm that an update may have. It depends only on the norms of the
//! job's closed rounds, so the order and time of arrival within a round cannot change it.
//!
//! Bounding the norm weakens an update that was enlarged to outweigh the others (Sun et al. 2019,
//! "Can You Really Backdoor Federated Learning?", §4). Deriving the bound from a quantile of
//! earlier norms follows Andrew et al. 2021, "Differentially Private Learning with Adaptive
//! Clipping". The bound does not stop a poisoned update of ordinary size, and a majority of bad
//! updates moves the median itself.

use std::collections::VecDeque;

use super::event::Preparation;
use super::settings::MachineSettings;

/// Factor on the median of the accepted norms, for a partition with the usual number of steps.
const MEDIAN_FACTOR: f64 = 10.0;
/// Bound before the first round has closed, as root mean square of an update's changes. Initial
/// weights are smaller than 1 except for embeddings, which start at about 1, so training does not
/// change all of them by more.
const FIRST_ROUND_RMS: f64 = 1.0;
/// Lowest bound, as root mean square. It applies even if all earlier updates were 0.
const MINIMUM_RMS: f64 = 1e-3;
/// Number of closed rounds whose norms are kept.
const KEPT_ROUNDS: usize = 8;
/// Norms kept per round. A larger round keeps as many order statistics at equal distances.
const KEPT_NORMS: usize = 64;

/// Accepted norms of the last closed rounds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Norms {
    /// Round numbers with norms in ascending order. Oldest round first.
    rounds: VecDeque<(u32, Vec<f64>)>,
    /// Lower median of all of them. `None` before a round has closed.
    median: Option<f64>,
}

impl Norms {
    /// Returns the norms of stored rounds, oldest first.
    pub(super) fn stored(rounds: impl Iterator<Item = (u32, Vec<f64>)>) -> Self {
        let mut norms = Self::default();
        for (round, kept) in rounds {
            norms.keep(round, kept);
        }
        norms
    }

    /// Returns the kept norms of a round. Empty if there are none.
    pub(super) fn of_round(&self, round: u32) -> &[f64] {
        let kept = self.rounds.iter().find(|(number, _)| *number == round);
        kept.map_or(&[], |(_, norms)| norms)
    }

    /// Adds the norms of a closed round, in ascending order.
    pub(super) fn close(&mut self, round: u32, mut norms: Vec<f64>) {
        if norms.len() > KEPT_NORMS {
            let last = norms.len() - 1;
            norms = (0..KEPT_NORMS).map(|kept| norms[kept * last / (KEPT_NORMS - 1)]).collect();
        }
        self.keep(round, norms);
    }

    /// Adds the kept norms of a round. A round without updates is ignored.
    fn keep(&mut self, round: u32, norms: Vec<f64>) {
        if norms.is_empty() {
            return;
        }
        self.rounds.push_back((round, norms));
        while self.rounds.len() > KEPT_ROUNDS {
            self.rounds.pop_front();
        }
        let mut all: Vec<f64> = self.rounds.iter().flat_map(|(_, norms)| norms).copied().collect();
        all.sort_unstable_by(f64::total_cmp);
        self.median = lower_median(&all).copied();
    }

    /// Returns the largest norm for a model of `parameters`. `share` is the partition's number of
    /// steps divided by the usual number. Longer training raises the bound, shorter training does
    /// not lower it.
    pub(super) fn bound(&self, parameters: u64, share: f64) -> f64 {
        let root = (parameters as f64).sqrt();
        match self.median {
            None => FIRST_ROUND_RMS * root,
            Some(median) => (MEDIAN_FACTOR * median * share.max(1.0)).max(MINIMUM_RMS * root),
        }
    }
}

/// Returns the lower median of the partitions' step counts, at least 1.
pub(super) fn usual_steps(settings: &MachineSettings, preparation: &Preparation) -> f64 {
    let plan = settings.spec.plan();
    let rows = preparation.partitions.iter().map(|partition| partition.rows);
    let mut steps: Vec<u64> = rows.filter(|rows| *rows > 0).map(|rows| plan.steps(rows)).collect();
    steps.sort_unstable();
    lower_median(&steps).copied().unwrap_or(1).max(1) as f64
}

/// Returns the lower median of an ascending list.
pub(super) fn lower_median<T>(ascending: &[T]) -> Option<&T> {
    ascending.get(ascending.len().saturating_sub(1) / 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_round_has_the_absolute_bound_and_later_ones_the_median() {
        let mut norms = Norms::default();
        assert_eq!(norms.bound(100, 1.0).to_bits(), 10.0_f64.to_bits());
        norms.close(1, vec![1.0, 2.0, 3.0]);
        assert_eq!(norms.bound(100, 1.0).to_bits(), 20.0_f64.to_bits());
        // A long partition raises the bound, a short one does not lower it.
        assert_eq!(norms.bound(100, 3.0).to_bits(), 60.0_f64.to_bits());
        assert_eq!(norms.bound(100, 0.1).to_bits(), 20.0_f64.to_bits());
        norms.close(2, Vec::new());
        assert_eq!(norms.bound(100, 1.0).to_bits(), 20.0_f64.to_bits());
    }

    #[test]
    fn updates_of_zeros_leave_room_for_change() {
        let mut norms = Norms::default();
        norms.close(1, vec![0.0; 5]);
        assert!((norms.bound(10_000, 1.0) - 0.1).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn a_bounded_number_of_norms_is_kept_and_the_median_is_one_of_them(
            rounds in proptest::collection::vec(proptest::collection::vec(1.0_f64..100.0, 1..200), 1..12),
        ) {
            let mut norms = Norms::default();
            for mut round in rounds.clone() {
                round.sort_unstable_by(f64::total_cmp);
                norms.close(1, round);
            }
            prop_assert!(norms.rounds.len() <= KEPT_ROUNDS);
            prop_assert!(norms.rounds.iter().all(|(_, round)| round.len() <= KEPT_NORMS));
            let kept: Vec<f64> = rounds.into_iter().rev().take(KEPT_ROUNDS).flatten().collect();
            let median = norms.median.expect("there are norms");
            prop_assert!(kept.contains(&median));
        }

        /// A minority of any size and scale leaves the bound where honest norms put it.
        #[test]
        fn a_minority_cannot_raise_the_bound(
            honest in proptest::collection::vec(1.0_f64..2.0, 5..60),
            minority in 0.0_f64..0.49,
            scale in 1.0_f64..1e6,
        ) {
            let bad = (honest.len() as f64 * minority / (1.0 - minority)).floor();
            let mut round = honest.clone();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 60")]
            round.extend((0..bad as usize).map(|_| 2.0 * scale));
            round.sort_unstable_by(f64::total_cmp);
            let mut norms = Norms::default();
            norms.close(1, round);
            prop_assert!(norms.bound(4, 1.0) <= MEDIAN_FACTOR * 2.0);
        }
    }
}
