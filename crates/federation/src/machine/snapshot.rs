//! Snapshots of a job's open round, as input for [`crate::explain`].

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::DeviceId;
use protocol::fingerprint::Fingerprint;

use super::phase::{Binding, Phase, Run, Stage};
use super::{Machine, MachineSettings, Timestamp};

/// Snapshot of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum JobSnapshot {
    /// The job does not wait for devices. Its reason is the whole explanation.
    NotCollecting,
    /// The job's seats wait for devices.
    Collecting(Box<RoundSnapshot>),
}

/// Snapshot of an open round.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundSnapshot {
    pub seats: usize,
    pub reported: usize,
    /// Number of seats without a lease or an update.
    pub open: usize,
    /// Devices that hold a lease.
    pub training: BTreeSet<DeviceId>,
    pub paused: bool,
    /// Required fingerprint. `None` if any is allowed, or no lease was granted yet.
    pub fingerprint: Option<Fingerprint>,
    /// Devices that returned this round's work because of too little memory.
    pub short_of_memory: Arc<BTreeSet<DeviceId>>,
    /// Devices that returned this round's work because of too little disk space.
    pub short_of_disk: Arc<BTreeSet<DeviceId>>,
    /// Devices that failed every open seat.
    pub failed_all: BTreeSet<DeviceId>,
    /// The seat that failed most often: its partition, number of failures and last error.
    pub failure: Option<(u32, usize, String)>,
    /// Time of the last progress.
    pub moved_at: Timestamp,
    /// Deadline after which it closes with at least the minimum of reported seats.
    pub closes_at: Option<Timestamp>,
    /// The deadline has passed with fewer reported seats than the minimum.
    pub overdue: bool,
    /// Seats that must have reported for the round to close at its deadline.
    pub minimum: usize,
}

impl Machine {
    /// Returns a snapshot for [`crate::explain::explain`].
    pub fn snapshot(&self) -> JobSnapshot {
        let mut snapshot = self.outline();
        if let JobSnapshot::Collecting(round) = &mut snapshot {
            round.training = self.holders().collect();
        }
        snapshot
    }

    /// Returns the devices that hold a lease.
    pub fn holders(&self) -> impl Iterator<Item = DeviceId> {
        self.phase.run().into_iter().flat_map(|run| run.leases.index().holders())
    }

    /// Returns a snapshot without the devices that train. It costs the same for any number of them.
    pub fn outline(&self) -> JobSnapshot {
        match &self.phase {
            Phase::Running(run) if *run.stage() == Stage::Collecting => {
                let paused = self.paused.is_some();
                JobSnapshot::Collecting(Box::new(run.outline(&self.settings, paused)))
            }
            Phase::Running(_) | Phase::Pending | Phase::Preparing | Phase::Finished { .. } => {
                JobSnapshot::NotCollecting
            }
        }
    }
}

impl Run {
    fn outline(&self, settings: &MachineSettings, paused: bool) -> RoundSnapshot {
        let index = self.seats.index();
        let failure = index.worst().and_then(|seat| {
            let seat = self.seats.get(&seat)?;
            let detail = seat.failures.last()?.detail.clone();
            let detail = detail.unwrap_or_else(|| "no reason was given".to_owned());
            Some((seat.partition, seat.failures.len(), detail))
        });
        let open = || index.open().iter().filter_map(|seat| self.seats.get(seat));
        let failing = open().next().into_iter().flat_map(|seat| &seat.failures);
        let failed_all = failing
            .map(|failure| failure.device)
            .filter(|device| open().all(|seat| seat.failed_on(*device)))
            .collect();
        let round = &self.head.round;
        RoundSnapshot {
            seats: self.seats.len(),
            reported: index.reported,
            open: index.open().len(),
            training: BTreeSet::new(),
            paused,
            fingerprint: match &self.head.binding {
                Binding::One { fingerprint } => Some(fingerprint.clone()),
                Binding::Undecided | Binding::Any => None,
            },
            short_of_memory: round.short_of_memory.clone(),
            short_of_disk: round.short_of_disk.clone(),
            failed_all,
            failure,
            moved_at: self.head.moved_at,
            closes_at: round.closes_at,
            overdue: round.overdue,
            minimum: self.minimum(settings),
        }
    }
}
