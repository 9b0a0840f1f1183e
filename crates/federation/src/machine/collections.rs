//! Seats, leases and devices of a job, with the indices that find the next one in O(log n).

use std::collections::{BTreeMap, BTreeSet};

use protocol::{DeviceId, LeaseId, Timestamp};
use serde::{Deserialize, Serialize};

use super::lease_timeout::StepRate;
use super::seat::{Occupancy, PastLease, RoundLease, Seat, SeatLeaseState};
use crate::table::{Index, Table};

/// Seats of the open round by index, in order of partition.
pub(super) type Seats = Table<u32, Seat, SeatIndex>;
/// Leases of the open round, including ended ones.
pub(super) type Leases = Table<LeaseId, RoundLease, LeaseIndex>;
/// Leases of the two rounds before the open one, for late updates.
pub(super) type PastLeases = Table<LeaseId, PastLease>;
/// Devices that were seen in this job.
pub(super) type Devices = Table<DeviceId, JobDevice>;

/// State of a device within a job.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct JobDevice {
    /// Time at which it was last seen in this job. `None` if it was revoked or removed since.
    pub(super) seen_at: Option<Timestamp>,
    /// Its speed in this job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) step_rate: Option<StepRate>,
    /// Last round whose work did not fit its memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) short_of_memory: Option<u32>,
    /// Last round whose work did not fit its disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) short_of_disk: Option<u32>,
}

/// Index of the seats of a round.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SeatIndex {
    open: BTreeSet<u32>,
    /// Devices that had a partition in the last round. Its rows are in their caches.
    had: BTreeMap<u32, Vec<DeviceId>>,
    /// Open seats whose partition the device had in the last round.
    preferred: BTreeSet<(DeviceId, u32)>,
    /// Seats with failures.
    failed: BTreeSet<u32>,
    /// Number of failures and index of each such seat without an update.
    failing: BTreeSet<(usize, u32)>,
    pub(super) reported: usize,
    pub(super) leased: usize,
    /// Rows of all seats. The grid of the exact sum depends on them.
    pub(super) rows: u64,
}

impl SeatIndex {
    /// Returns an empty index. `past` holds the leases of earlier rounds, `last_round` is the number
    /// of the round before this one.
    pub(super) fn new<'a>(past: impl Iterator<Item = &'a PastLease>, last_round: u32) -> Self {
        let mut had: BTreeMap<u32, BTreeSet<DeviceId>> = BTreeMap::new();
        for lease in past.filter(|lease| lease.round == last_round) {
            had.entry(lease.partition).or_default().insert(lease.device);
        }
        let had = had.into_iter().map(|(partition, devices)| {
            let devices = devices.into_iter().collect();
            (partition, devices)
        });
        Self { had: had.collect(), ..Self::default() }
    }

    /// Returns the open seats, first those whose partition the device has from the last round.
    pub(super) fn open_for(&self, device: DeviceId) -> impl Iterator<Item = u32> {
        let own = self.preferred.range((device, 0)..=(device, u32::MAX));
        own.map(|(_, seat)| *seat).chain(self.open.iter().copied())
    }

    pub(super) fn open(&self) -> &BTreeSet<u32> {
        &self.open
    }

    /// Returns the seats with failures.
    pub(super) fn failed(&self) -> impl Iterator<Item = u32> {
        self.failed.iter().copied()
    }

    /// Returns the seat without an update that failed most often.
    pub(super) fn worst(&self) -> Option<u32> {
        self.failing.last().map(|(_, seat)| *seat)
    }
}

impl Index<u32, Seat> for SeatIndex {
    fn insert(&mut self, key: &u32, seat: &Seat) {
        match &seat.occupancy {
            Occupancy::Open => {
                self.open.insert(*key);
                for device in self.had.get(&seat.partition).into_iter().flatten() {
                    self.preferred.insert((*device, *key));
                }
            }
            Occupancy::Leased { .. } => self.leased += 1,
            Occupancy::Reported(_) => self.reported += 1,
            Occupancy::Lost => {}
        }
        if !seat.failures.is_empty() {
            self.failed.insert(*key);
            if seat.report().is_none() {
                self.failing.insert((seat.failures.len(), *key));
            }
        }
        self.rows += seat.rows;
    }

    fn remove(&mut self, key: &u32, seat: &Seat) {
        match &seat.occupancy {
            Occupancy::Open => {
                self.open.remove(key);
                for device in self.had.get(&seat.partition).into_iter().flatten() {
                    self.preferred.remove(&(*device, *key));
                }
            }
            Occupancy::Leased { .. } => self.leased -= 1,
            Occupancy::Reported(_) => self.reported -= 1,
            Occupancy::Lost => {}
        }
        self.failed.remove(key);
        self.failing.remove(&(seat.failures.len(), *key));
        self.rows -= seat.rows;
    }
}

/// Index of the leases of the open round.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct LeaseIndex {
    /// Held lease of each device. A device holds at most one.
    held: BTreeMap<DeviceId, LeaseId>,
    /// Held leases in order of their deadlines.
    expiry: BTreeSet<(Timestamp, LeaseId)>,
    /// Number of leases of each device, including ended ones.
    granted: BTreeMap<DeviceId, u32>,
}

impl LeaseIndex {
    pub(super) fn held_by(&self, device: DeviceId) -> Option<LeaseId> {
        self.held.get(&device).copied()
    }

    /// Returns the devices that hold a lease.
    pub(super) fn holders(&self) -> impl Iterator<Item = DeviceId> {
        self.held.keys().copied()
    }

    /// Returns the held leases, in order of their ids.
    pub(super) fn held(&self) -> BTreeSet<LeaseId> {
        self.held.values().copied().collect()
    }

    /// Returns the held leases whose deadline is not after `now`, in order of their ids.
    pub(super) fn expired(&self, now: Timestamp) -> BTreeSet<LeaseId> {
        let due = self.expiry.iter().take_while(|(deadline, _)| *deadline <= now);
        due.map(|(_, lease)| *lease).collect()
    }

    /// Returns the earliest deadline of a held lease.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.expiry.first().map(|(deadline, _)| *deadline)
    }

    /// Returns whether the device got a lease in this round.
    pub(super) fn had_lease(&self, device: DeviceId) -> bool {
        self.granted.contains_key(&device)
    }
}

impl Index<LeaseId, RoundLease> for LeaseIndex {
    fn insert(&mut self, key: &LeaseId, lease: &RoundLease) {
        *self.granted.entry(lease.device).or_default() += 1;
        if lease.state == SeatLeaseState::Held {
            self.held.insert(lease.device, *key);
            self.expiry.insert((lease.deadline, *key));
        }
    }

    fn remove(&mut self, key: &LeaseId, lease: &RoundLease) {
        if let Some(count) = self.granted.get_mut(&lease.device) {
            *count -= 1;
            if *count == 0 {
                self.granted.remove(&lease.device);
            }
        }
        self.expiry.remove(&(lease.deadline, *key));
        if self.held.get(&lease.device) == Some(key) {
            self.held.remove(&lease.device);
        }
    }
}
