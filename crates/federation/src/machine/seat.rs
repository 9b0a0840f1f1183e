//! Seats of a round and the leases on them, as they are stored.

use std::collections::{BTreeMap, BTreeSet};

use protocol::fingerprint::Fingerprint;
use protocol::{BlobHash, DeviceId, LeaseId, Timestamp};
use serde::{Deserialize, Serialize};

use super::lease_timeout::LeaseProgress;
use super::{Receipt, WeightedUpdate};

/// A seat fails the job when this many devices failed it, or one device this often.
const FAILURES: usize = 3;

/// The round that is open, or was open last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenRound {
    /// From 1.
    pub(super) number: u32,
    pub(super) base: BlobHash,
    /// When it closes with the minimum; none without a deadline.
    pub(super) closes_at: Option<Timestamp>,
    /// The deadline has passed below the minimum.
    pub(super) overdue: bool,
    /// By partition.
    pub(super) seats: Vec<Seat>,
    /// Every lease of the round, ended ones too.
    pub(super) leases: BTreeMap<LeaseId, RoundLease>,
    /// Devices on which this round's work does not fit.
    pub(super) short_of_memory: BTreeSet<DeviceId>,
    #[serde(default)]
    pub(super) short_of_disk: BTreeSet<DeviceId>,
}

impl OpenRound {
    /// Whether the device said that this round's work does not fit it.
    pub(super) fn is_too_much_for(&self, device: DeviceId) -> bool {
        self.short_of_memory.contains(&device) || self.short_of_disk.contains(&device)
    }

    pub(super) fn held_by(&self, device: DeviceId) -> Option<(LeaseId, &RoundLease)> {
        self.leases
            .iter()
            .find(|(_, record)| record.device == device && record.standing == SeatLeaseState::Held)
            .map(|(id, record)| (*id, record))
    }

    pub(super) fn reported(&self) -> usize {
        self.seats.iter().filter(|seat| seat.report().is_some()).count()
    }

    pub(super) fn leased(&self) -> usize {
        self.seats.iter().filter(|seat| matches!(seat.occupancy, Occupancy::Leased { .. })).count()
    }

    /// Rows of all seats: what the grid is made for.
    pub(super) fn seat_rows(&self) -> u64 {
        self.seats.iter().map(|seat| seat.rows).sum()
    }

    /// What is aggregated, by partition.
    pub(super) fn updates(&self) -> Vec<WeightedUpdate> {
        self.seats.iter().filter_map(Seat::update).collect()
    }
}

/// A partition's place in a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Seat {
    pub(super) partition: u32,
    /// Its weight.
    pub(super) rows: u64,
    pub(super) occupancy: Occupancy,
    pub(super) failures: Vec<SeatFailure>,
}

impl Seat {
    pub(super) fn report(&self) -> Option<&Report> {
        match &self.occupancy {
            Occupancy::Reported(report) => Some(report),
            Occupancy::Open | Occupancy::Leased { .. } | Occupancy::Lost => None,
        }
    }

    pub(super) fn update(&self) -> Option<WeightedUpdate> {
        self.report().map(|report| WeightedUpdate {
            partition: self.partition,
            blob: report.blob,
            rows: self.rows,
        })
    }

    pub(super) fn failed_on(&self, device: DeviceId) -> bool {
        self.failures.iter().any(|failure| failure.device == device)
    }

    /// Whether it was given up, and not for one device alone.
    pub(super) fn failed_on_many(&self) -> bool {
        let first = self.failures.first().map(|failure| failure.device);
        self.verdict(0).is_some() && self.failures.iter().any(|it| Some(it.device) != first)
    }

    /// Why the seat is given up, where it is: it failed on three devices, or, where there was no
    /// other to try it, three times on one.
    pub(super) fn verdict(&self, round: u32) -> Option<String> {
        let mut by_device: BTreeMap<DeviceId, usize> = BTreeMap::new();
        for failure in &self.failures {
            *by_device.entry(failure.device).or_default() += 1;
        }
        let words = if by_device.len() >= FAILURES {
            format!("on {} different devices", by_device.len())
        } else if by_device.values().any(|count| *count >= FAILURES) {
            format!("{FAILURES} times on one device")
        } else {
            return None;
        };
        let last = self.failures.last().and_then(|failure| failure.detail.as_deref());
        let last = last.unwrap_or("no reason was given");
        Some(format!("partition {} of round {round} failed {words}: {last}", self.partition))
    }
}

/// A lease that ended because its trainer failed or its update was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SeatFailure {
    pub(super) device: DeviceId,
    pub(super) detail: Option<String>,
    /// It sent an update, and that was refused.
    pub(super) refused: bool,
}

/// Where a seat stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Occupancy {
    Open,
    Leased {
        lease: LeaseId,
    },
    Reported(Report),
    /// The round closed without it.
    Lost,
}

/// The update that took a seat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) blob: BlobHash,
    pub(super) bytes: u64,
    #[serde(default)]
    pub(super) norm: f64,
    pub(super) fingerprint: Fingerprint,
    /// Mean training loss; none where it is not a number, for which JSON has no word.
    pub(super) loss: Option<f64>,
    pub(super) examples: u64,
}

impl From<Receipt> for Report {
    fn from(receipt: Receipt) -> Self {
        Self {
            blob: receipt.blob,
            bytes: receipt.bytes,
            norm: receipt.norm,
            fingerprint: receipt.fingerprint,
            loss: Some(receipt.metrics.loss).filter(|loss| loss.is_finite()),
            examples: receipt.metrics.examples,
        }
    }
}

/// A lease of the open round; its unchanging parts are the job's and the seat's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RoundLease {
    pub(super) device: DeviceId,
    /// Index into the round's seats.
    pub(super) seat: usize,
    pub(super) granted_at: Timestamp,
    pub(super) deadline: Timestamp,
    #[serde(default)]
    pub(super) headway: LeaseProgress,
    /// Its first step was reported.
    pub(super) stepped: bool,
    pub(super) standing: SeatLeaseState,
}

/// Whether a lease still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SeatLeaseState {
    Held,
    /// It ended without its device's doing. While its seat is open, its update still counts, and a
    /// sign of life takes it up again.
    Lapsed {
        /// Counted among the job's lost leases.
        lost: bool,
    },
    /// The device gave it back.
    Returned,
    /// Its update took the seat.
    Accepted,
}

/// A lease of a round before the open one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PastLease {
    pub(super) round: u32,
    pub(super) partition: u32,
    pub(super) device: DeviceId,
    /// The update that took its seat.
    pub(super) accepted: Option<BlobHash>,
}
