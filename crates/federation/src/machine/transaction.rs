//! Transactions of a machine: what changed since the last commit, and how to undo it.

use protocol::{BlobHash, DeviceId, LeaseId};

use super::collections::SeatIndex;
use super::phase::{Phase, Run, RunHead};
use super::state::{Before, Machine, PhaseBefore};
use crate::table::Transaction;

impl Machine {
    /// Keeps an image of the machine before the first event of a transaction.
    pub(super) fn remember(&mut self) {
        if self.journal.before.is_some() {
            return;
        }
        let phase = match &self.phase {
            Phase::Pending => PhaseBefore::Pending,
            Phase::Preparing => PhaseBefore::Preparing,
            Phase::Running(_) => PhaseBefore::Running,
            Phase::Finished { ending, .. } => PhaseBefore::Finished(ending.clone()),
        };
        self.journal.before = Some(Box::new(Before {
            phase,
            paused: self.paused,
            started_at: self.started_at,
            completed_at: self.completed_at,
            run: self.phase.run().map(|run| run.head.clone()),
        }));
    }

    /// Returns the devices whose leases changed in this transaction, and whether each holds one now.
    pub fn changed_holders(&self) -> impl Iterator<Item = (DeviceId, bool)> {
        self.phase.run().into_iter().flat_map(|run| {
            let changed = run.leases.changed().filter_map(|(lease, before)| {
                let record = before.or_else(|| run.leases.get(lease))?;
                Some(record.device)
            });
            changed.map(|device| (device, run.leases.index().held_by(device).is_some()))
        })
    }

    /// Returns the leases that this transaction changed or forgot.
    pub fn changed_leases(&self) -> impl Iterator<Item = LeaseId> {
        let run = self.phase.run().into_iter();
        run.flat_map(|run| run.leases.changed().map(|(lease, _)| *lease))
    }

    /// Returns the seats that this transaction changed.
    pub fn changed_seats(&self) -> impl Iterator<Item = u32> {
        let run = self.phase.run().into_iter();
        run.flat_map(|run| run.seats.changed().map(|(seat, _)| *seat))
    }

    /// Keeps the transaction's changes, which are written. `flushed` is the number that
    /// [`Machine::changes`] got. Returns the blobs that the job no longer needs.
    pub fn commit(&mut self, flushed: usize) -> Vec<BlobHash> {
        if let Some(run) = self.phase.run_mut() {
            run.seats.commit();
            run.leases.commit();
            run.past_leases.commit();
            run.devices.commit();
            run.unwritten_rounds.clear();
            run.is_preparation_unwritten = false;
            run.leases.flushed(flushed);
            run.devices.flushed(flushed);
        }
        self.journal.before = None;
        std::mem::take(&mut self.journal.released)
    }

    /// Returns whether there are changes that a crash may lose.
    pub fn owes_flush(&self) -> bool {
        let run = self.phase.run();
        run.is_some_and(|run| run.leases.owes_flush() || run.devices.owes_flush())
    }

    /// Keeps the transaction's changes, which a later commit or flush writes.
    pub fn keep(&mut self) {
        if let Some(run) = self.phase.run_mut() {
            run.seats.keep();
            run.leases.keep();
            run.past_leases.keep();
            run.devices.keep();
        }
        self.journal.before = None;
    }

    /// Undoes the transaction's changes.
    pub fn roll_back(&mut self) {
        self.journal.released.clear();
        let Some(before) = self.journal.before.take() else { return };
        let run = match std::mem::replace(&mut self.phase, Phase::Pending) {
            Phase::Running(run) => Some(run),
            Phase::Finished { run, .. } => run,
            Phase::Pending | Phase::Preparing => None,
        };
        let run = before.run.zip(run).map(|(head, mut run)| {
            run.roll_back(head);
            run
        });
        self.phase = match (before.phase, run) {
            (PhaseBefore::Preparing, _) => Phase::Preparing,
            (PhaseBefore::Running, Some(run)) => Phase::Running(run),
            (PhaseBefore::Finished(ending), run) => Phase::Finished { ending, run },
            // A running job has a run.
            (PhaseBefore::Pending | PhaseBefore::Running, _) => Phase::Pending,
        };
        (self.paused, self.started_at) = (before.paused, before.started_at);
        self.completed_at = before.completed_at;
    }
}

impl Run {
    fn roll_back(&mut self, head: RunHead) {
        let is_reopened = self.head.round.number != head.round.number;
        self.head = head;
        self.past_leases.roll_back();
        self.leases.roll_back();
        self.devices.roll_back();
        self.seats.roll_back();
        let number = self.head.round.number;
        self.unwritten_rounds.retain(|round| *round <= number);
        if is_reopened {
            let last_round = number.saturating_sub(1);
            self.seats.reindex(SeatIndex::new(self.past_leases.values(), last_round));
        }
    }
}
