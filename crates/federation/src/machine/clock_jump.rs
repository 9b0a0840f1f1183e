//! Jumps of the clock: the times of the open round move with it, so that no lease expires, no round closes and
//! no job stalls because somebody set the clock.

use protocol::{DeviceId, LeaseId};

use super::phase::{Phase, Run, Stage};
use super::seat::SeatLeaseState;
use super::{Effect, Machine};
use crate::table::Durability;

impl Machine {
    /// Moves the times that deadlines depend on. Times of what happened stay as they were recorded.
    pub(super) fn clock_moved(&mut self, millis: i64) -> Vec<Effect> {
        if let Phase::Running(run) = &mut self.phase {
            self.paused = self.paused.map(|since| since.moved(millis));
            run.clock_moved(millis);
        }
        Vec::new()
    }
}

impl Run {
    fn clock_moved(&mut self, millis: i64) {
        if self.head.stage != Stage::Collecting {
            return;
        }
        self.head.moved_at = self.head.moved_at.moved(millis);
        self.head.round.closes_at = self.head.round.closes_at.map(|at| at.moved(millis));
        let leases: Vec<LeaseId> = self.leases.keys().copied().collect();
        for lease in leases {
            self.leases.change(&lease, Durability::Flush, |record| match record.state {
                SeatLeaseState::Held | SeatLeaseState::Lapsed { .. } => {
                    record.granted_at = record.granted_at.moved(millis);
                    record.deadline = record.deadline.moved(millis);
                    record.progress.clock_moved(millis);
                }
                SeatLeaseState::Returned | SeatLeaseState::Accepted => {}
            });
        }
        let devices: Vec<DeviceId> = self.devices.keys().copied().collect();
        for device in devices {
            self.change_device(device, Durability::Flush, |row| {
                row.seen_at = row.seen_at.map(|at| at.moved(millis));
            });
        }
    }
}
