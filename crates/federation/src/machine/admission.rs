//! Admission of an update to its round: its fingerprint and its norm.

use std::sync::Arc;

use super::event::{Receipt, RejectedEvent};
use super::norm_bound::lower_median;
use super::phase::Run;
use super::seat::Seat;
use super::settings::MachineSettings;

impl Run {
    /// Checks an update's fingerprint and norm.
    ///
    /// # Errors
    /// [`RejectedEvent::Fingerprint`] and [`RejectedEvent::Norm`].
    pub(super) fn admit(
        &self,
        settings: &MachineSettings,
        seat: u32,
        receipt: &Receipt,
    ) -> Result<(), RejectedEvent> {
        self.head.binding.check(&receipt.fingerprint)?;
        let rows = self.seats.get(&seat).map_or(0, |seat| seat.rows);
        let bound = self.norm_bound(settings, rows);
        // NaN fails this comparison too.
        if receipt.norm <= bound {
            return Ok(());
        }
        Err(RejectedEvent::Norm { norm: receipt.norm, bound })
    }

    /// Returns the largest norm of an update for a partition of `rows` rows.
    fn norm_bound(&self, settings: &MachineSettings, rows: u64) -> f64 {
        match settings.spec.strategy.maximum_norm {
            Some(0.0) => f64::MAX,
            Some(bound) => bound,
            None => {
                let steps = settings.spec.plan().steps(rows) as f64;
                self.head.norms.bound(self.parameters, steps / self.usual_steps)
            }
        }
    }

    /// Records the round's norms, once its model has been evaluated.
    pub(super) fn close_norms(&mut self) {
        let reports = self.seats.values().filter_map(Seat::report);
        let mut norms: Vec<f64> = reports.map(|report| report.norm).collect();
        norms.sort_unstable_by(f64::total_cmp);
        let round = self.current();
        round.median_norm = lower_median(&norms).copied();
        round.largest_norm = norms.last().copied();
        let number = round.round;
        Arc::make_mut(&mut self.head.norms).close(number, norms);
    }
}
