//! What a job's open round looks like to who wants to know why it doesn't move: a value for
//! [`crate::explain`], of the size of the round.

use std::collections::BTreeSet;

use protocol::DeviceId;
use protocol::fingerprint::Fingerprint;

use super::phase::{Binding, Phase, Run, Stage};
use super::seat::{Occupancy, SeatLeaseState};
use super::{Machine, MachineSettings, Timestamp};

/// Where a job stands.
#[derive(Debug, Clone, PartialEq)]
pub enum JobSnapshot {
    /// It waits for no device: its reason says it all.
    Elsewhere,
    /// Its seats wait for devices.
    Collecting(Box<RoundSnapshot>),
}

/// An open round.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundSnapshot {
    pub seats: usize,
    pub reported: usize,
    /// Seats that nobody holds.
    pub open: usize,
    /// Devices with a lease.
    pub training: BTreeSet<DeviceId>,
    pub paused: bool,
    /// The only one that the job takes; none where it takes any, or nobody has trained for it yet.
    pub fingerprint: Option<Fingerprint>,
    /// Devices that gave this round's work back for lack of memory.
    pub short_of_memory: BTreeSet<DeviceId>,
    /// Devices that failed every seat that is open.
    pub failed_all: BTreeSet<DeviceId>,
    /// The seat that failed most: its partition, how often, and why last.
    pub failure: Option<(u32, usize, String)>,
    pub moved_at: Timestamp,
    /// When it closes with those that have reported.
    pub closes_at: Option<Timestamp>,
    /// The deadline passed with fewer than the minimum.
    pub overdue: bool,
    /// Seats that must have reported for that.
    pub minimum: usize,
}

impl Machine {
    /// What there is to explain.
    pub fn outlook(&self) -> JobSnapshot {
        match &self.phase {
            Phase::Running(run) if *run.stage() == Stage::Collecting => {
                let paused = self.paused.is_some();
                JobSnapshot::Collecting(Box::new(run.open_seats(&self.settings, paused)))
            }
            Phase::Running(_) | Phase::Pending | Phase::Preparing | Phase::Finished { .. } => {
                JobSnapshot::Elsewhere
            }
        }
    }
}

impl Run {
    fn open_seats(&self, settings: &MachineSettings, paused: bool) -> RoundSnapshot {
        let seats = &self.round.seats;
        let held = self.round.leases.values().filter(|it| it.standing == SeatLeaseState::Held);
        let unreported = || seats.iter().filter(|seat| seat.report().is_none());
        let worst = unreported().max_by_key(|seat| seat.failures.len());
        let failure = worst.and_then(|seat| {
            let detail = seat.failures.last()?.detail.clone();
            let detail = detail.unwrap_or_else(|| "no reason was given".to_owned());
            Some((seat.partition, seat.failures.len(), detail))
        });
        let open = || unreported().filter(|seat| seat.occupancy == Occupancy::Open);
        let failing = open().next().into_iter().flat_map(|seat| &seat.failures);
        let failed_all = failing
            .map(|failure| failure.device)
            .filter(|device| open().all(|seat| seat.failed_on(*device)))
            .collect();
        RoundSnapshot {
            seats: seats.len(),
            reported: self.round.reported(),
            open: open().count(),
            training: held.map(|record| record.device).collect(),
            paused,
            fingerprint: match &self.binding {
                Binding::One { fingerprint } => Some(fingerprint.clone()),
                Binding::Undecided | Binding::Any => None,
            },
            short_of_memory: self.round.short_of_memory.clone(),
            failed_all,
            failure,
            moved_at: self.moved_at,
            closes_at: self.round.closes_at,
            overdue: self.round.overdue,
            minimum: self.minimum(settings),
        }
    }
}
