//! State of a round: its seats and their leases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::fingerprint::Fingerprint;
use protocol::{BlobHash, DeviceId, LeaseId, Timestamp};
use serde::{Deserialize, Serialize};

use super::lease_timeout::LeaseProgress;
use super::{Receipt, WeightedUpdate};

/// Number of devices, or of failures on one device, after which a failing seat fails the job.
const FAILURES: usize = 3;

/// The open round, or the last one of a finished job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OpenRound {
    /// Round number, from 1.
    pub(super) number: u32,
    pub(super) base: BlobHash,
    /// Deadline after which it closes with the minimum. `None` without a deadline.
    pub(super) closes_at: Option<Timestamp>,
    /// The deadline has passed with fewer reported seats than the minimum.
    pub(super) overdue: bool,
    /// Devices on which this round's work does not fit. Their rows imply these sets.
    pub(super) short_of_memory: Arc<BTreeSet<DeviceId>>,
    pub(super) short_of_disk: Arc<BTreeSet<DeviceId>>,
    /// Loss of the updates so far.
    pub(super) loss: MeanLoss,
}

impl OpenRound {
    /// Returns whether the device reported that this round's work does not fit.
    pub(super) fn is_too_much_for(&self, device: DeviceId) -> bool {
        self.short_of_memory.contains(&device) || self.short_of_disk.contains(&device)
    }
}

/// Row-weighted mean of training losses, in order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct MeanLoss {
    rows: f64,
    weighted: f64,
}

impl MeanLoss {
    /// Adds an update. A loss that is not a number is ignored.
    pub(super) fn add(&mut self, rows: u64, loss: Option<f64>) {
        if let Some(loss) = loss {
            self.rows += rows as f64;
            self.weighted += rows as f64 * loss;
        }
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.rows > 0.0).then(|| self.weighted / self.rows)
    }
}

/// Place of a partition in a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Seat {
    pub(super) partition: u32,
    /// Row count, which is the seat's weight.
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

    /// Returns the reason if the seat failed for good: on three devices, or three times on one
    /// device if no other could try it.
    pub(super) fn failure_reason(&self, round: u32) -> Option<String> {
        let mut by_device: BTreeMap<DeviceId, usize> = BTreeMap::new();
        for failure in &self.failures {
            *by_device.entry(failure.device).or_default() += 1;
        }
        let count = if by_device.len() >= FAILURES {
            format!("on {} different devices", by_device.len())
        } else if by_device.values().any(|count| *count >= FAILURES) {
            format!("{FAILURES} times on one device")
        } else {
            return None;
        };
        let last = self.failures.last().and_then(|failure| failure.detail.as_deref());
        let last = last.unwrap_or("no reason was given");
        Some(format!("partition {} of round {round} failed {count}: {last}", self.partition))
    }
}

/// Lease that ended because its trainer failed or its update was rejected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SeatFailure {
    pub(super) device: DeviceId,
    pub(super) detail: Option<String>,
    /// The device sent an update that was rejected.
    #[serde(rename = "refused")]
    pub(super) rejected: bool,
}

/// Occupancy of a seat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Occupancy {
    Open,
    Leased {
        lease: LeaseId,
    },
    Reported(Report),
    /// The round closed without an update for it.
    Lost,
}

/// Update that took a seat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) blob: BlobHash,
    pub(super) bytes: u64,
    #[serde(default)]
    pub(super) norm: f64,
    pub(super) fingerprint: Fingerprint,
    /// Mean training loss. `None` if it is not a finite number, which JSON cannot represent.
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

/// Lease of the open round. Its constant parts belong to the job and the seat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RoundLease {
    pub(super) device: DeviceId,
    /// Index into the round's seats.
    pub(super) seat: u32,
    pub(super) granted_at: Timestamp,
    pub(super) deadline: Timestamp,
    #[serde(default, rename = "headway")]
    pub(super) progress: LeaseProgress,
    /// The device reported its first step.
    pub(super) stepped: bool,
    #[serde(rename = "standing")]
    pub(super) state: SeatLeaseState,
}

/// State of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SeatLeaseState {
    Held,
    /// The lease ended without an action of its device. While its seat is open, its update still
    /// counts, and progress renews it.
    Lapsed {
        /// Whether it counts as one of the job's lost leases.
        lost: bool,
    },
    /// The device returned it.
    Returned,
    /// Its update took the seat.
    Accepted,
}

/// Lease of an earlier round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PastLease {
    pub(super) round: u32,
    pub(super) partition: u32,
    pub(super) device: DeviceId,
    /// The update that took the seat.
    pub(super) accepted: Option<BlobHash>,
}
