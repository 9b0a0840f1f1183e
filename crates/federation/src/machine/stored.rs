//! Stored form of a machine: a small head that changes with every commit, and rows for its seats,
//! leases, rounds and devices.
//!
//! Up to version 5 of the database the whole machine was one JSON document. It has the form of a
//! head with the collections in place, so [`super::MachineRows`] reads both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::api::Round;
use protocol::{BlobHash, DeviceId, LeaseId, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

use super::collections::JobDevice;
use super::lease_timeout::StepRate;
use super::phase::{Binding, Closing, Ending, Phase, Run, RunHead, Stage};
use super::seat::{MeanLoss, PastLease, RoundLease, Seat};
use super::{Machine, MachineSettings, Preparation};

/// State of a machine without its preparation and its rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Head {
    pub(super) settings: MachineSettings,
    pub(super) phase: HeadPhase,
    pub(super) paused: Option<Timestamp>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) completed_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HeadPhase {
    Pending,
    Preparing,
    Running(Box<HeadRun>),
    Finished { ending: Ending, run: Option<Box<HeadRun>> },
}

/// The fields that are not serialized are those of version 5.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct HeadRun {
    #[serde(default, skip_serializing)]
    pub(super) preparation: Option<Preparation>,
    pub(super) parameters: u64,
    pub(super) binding: Binding,
    pub(super) stage: Stage,
    pub(super) round: HeadRound,
    #[serde(default, skip_serializing, rename = "earlier")]
    pub(super) past_leases: BTreeMap<LeaseId, PastLease>,
    #[serde(default, skip_serializing)]
    pub(super) seen: BTreeMap<DeviceId, Timestamp>,
    #[serde(default, skip_serializing, rename = "paces")]
    pub(super) step_rates: BTreeMap<DeviceId, StepRate>,
    #[serde(default, skip_serializing)]
    pub(super) history: Vec<Round>,
    pub(super) leases_lost: u64,
    #[serde(default)]
    pub(super) moved_at: Timestamp,
    #[serde(default)]
    pub(super) longest_lease: Duration,
    #[serde(default, skip_serializing)]
    pub(super) norms: NormsOfVersion5,
    pub(super) closing: Option<Closing>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct HeadRound {
    pub(super) number: u32,
    pub(super) base: BlobHash,
    pub(super) closes_at: Option<Timestamp>,
    pub(super) overdue: bool,
    #[serde(default, skip_serializing)]
    pub(super) seats: Vec<Seat>,
    #[serde(default, skip_serializing)]
    pub(super) leases: BTreeMap<LeaseId, RoundLease>,
    #[serde(default, skip_serializing)]
    pub(super) short_of_memory: BTreeSet<DeviceId>,
    #[serde(default, skip_serializing)]
    pub(super) short_of_disk: BTreeSet<DeviceId>,
    /// `None` in version 5.
    #[serde(default)]
    pub(super) loss: Option<MeanLoss>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct NormsOfVersion5 {
    pub(super) rounds: Vec<Vec<f64>>,
}

/// Content of a row.
#[derive(Debug, Clone)]
pub struct Record(Content);

#[derive(Debug, Clone)]
enum Content {
    Seat(Seat),
    Lease(RoundLease),
    PastLease(PastLease),
    Round(StoredRound),
    Device(JobDevice),
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Content::Seat(seat) => seat.serialize(serializer),
            Content::Lease(lease) => lease.serialize(serializer),
            Content::PastLease(lease) => lease.serialize(serializer),
            Content::Round(round) => round.serialize(serializer),
            Content::Device(device) => device.serialize(serializer),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredRound {
    #[serde(flatten)]
    pub(super) round: Round,
    /// Norms that the norm bound of later rounds is made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) norms: Vec<f64>,
}

/// Changes of a machine that a commit writes. A row without a record is removed.
#[derive(Debug, Clone)]
pub struct Changes {
    pub head: Head,
    /// `None` if it is not there yet, or written.
    pub preparation: Option<Arc<Preparation>>,
    /// By index in the open round.
    pub seats: Vec<(u32, Option<Record>)>,
    pub leases: Vec<(LeaseId, Option<Record>)>,
    pub past_leases: Vec<(LeaseId, Option<Record>)>,
    pub rounds: Vec<(u32, Option<Record>)>,
    pub devices: Vec<(DeviceId, Option<Record>)>,
}

impl Machine {
    /// Returns what the next commit writes. `flush` is the number of leases and of devices that it
    /// writes too, although a crash may lose their changes.
    pub fn changes(&self, flush: usize) -> Changes {
        let mut changes = Changes::of_head(self.head());
        let Some(run) = self.phase.run() else { return changes };
        let seat = |seat: &Seat| Record(Content::Seat(seat.clone()));
        let lease = |lease: &RoundLease| Record(Content::Lease(lease.clone()));
        let past = |lease: &PastLease| Record(Content::PastLease(lease.clone()));
        let device = |device: &JobDevice| Record(Content::Device(device.clone()));
        if run.is_preparation_unwritten {
            changes.preparation = Some(run.preparation.clone());
        }
        changes.seats = run.seats.unwritten().map(|(key, row)| (*key, row.map(seat))).collect();
        let leases = run.leases.unwritten().chain(run.leases.unflushed(flush));
        changes.leases = leases.map(|(key, row)| (*key, row.map(lease))).collect();
        let past_leases = run.past_leases.unwritten();
        changes.past_leases = past_leases.map(|(key, row)| (*key, row.map(past))).collect();
        let devices = run.devices.unwritten().chain(run.devices.unflushed(flush));
        changes.devices = devices.map(|(key, row)| (*key, row.map(device))).collect();
        let rounds = run.unwritten_rounds.iter();
        changes.rounds = rounds.map(|number| (*number, run.round_record(*number))).collect();
        changes
    }

    /// Returns all rows, for a database that has none.
    pub fn all_rows(&self) -> Changes {
        let mut changes = Changes::of_head(self.head());
        let Some(run) = self.phase.run() else { return changes };
        let some = |content| Some(Record(content));
        changes.preparation = Some(run.preparation.clone());
        let seats = run.seats.iter();
        changes.seats = seats.map(|(key, it)| (*key, some(Content::Seat(it.clone())))).collect();
        let leases = run.leases.iter();
        changes.leases = leases.map(|(key, it)| (*key, some(Content::Lease(it.clone())))).collect();
        let past = run.past_leases.iter();
        changes.past_leases =
            past.map(|(key, it)| (*key, some(Content::PastLease(it.clone())))).collect();
        let devices = run.devices.iter();
        changes.devices =
            devices.map(|(key, it)| (*key, some(Content::Device(it.clone())))).collect();
        let rounds = run.rounds().map(|round| round.round);
        changes.rounds = rounds.map(|number| (number, run.round_record(number))).collect();
        changes
    }

    fn head(&self) -> Head {
        let run = |run: &Run| Box::new(HeadRun::from(run));
        let phase = match &self.phase {
            Phase::Pending => HeadPhase::Pending,
            Phase::Preparing => HeadPhase::Preparing,
            Phase::Running(running) => HeadPhase::Running(run(running)),
            Phase::Finished { ending, run: last } => {
                HeadPhase::Finished { ending: ending.clone(), run: last.as_deref().map(run) }
            }
        };
        Head {
            settings: self.settings.clone(),
            phase,
            paused: self.paused,
            started_at: self.started_at,
            completed_at: self.completed_at,
        }
    }
}

impl Changes {
    fn of_head(head: Head) -> Self {
        Self {
            head,
            preparation: None,
            seats: Vec::new(),
            leases: Vec::new(),
            past_leases: Vec::new(),
            rounds: Vec::new(),
            devices: Vec::new(),
        }
    }
}

impl Run {
    fn round_record(&self, number: u32) -> Option<Record> {
        let history = &self.head.history;
        let earlier = history.binary_search_by_key(&number, |round| round.round);
        let round = match earlier {
            Ok(at) => &history[at],
            Err(_) if self.head.current.round == number => &self.head.current,
            Err(_) => return None,
        };
        let norms = self.head.norms.of_round(number).to_vec();
        Some(Record(Content::Round(StoredRound { round: round.clone(), norms })))
    }
}

impl From<&Run> for HeadRun {
    fn from(run: &Run) -> Self {
        let RunHead {
            binding, stage, round, leases_lost, moved_at, longest_lease, closing, ..
        } = &run.head;
        Self {
            preparation: None,
            parameters: run.parameters,
            binding: binding.clone(),
            stage: *stage,
            round: HeadRound {
                number: round.number,
                base: round.base,
                closes_at: round.closes_at,
                overdue: round.overdue,
                seats: Vec::new(),
                leases: BTreeMap::new(),
                short_of_memory: BTreeSet::new(),
                short_of_disk: BTreeSet::new(),
                loss: Some(round.loss),
            },
            past_leases: BTreeMap::new(),
            seen: BTreeMap::new(),
            step_rates: BTreeMap::new(),
            history: Vec::new(),
            leases_lost: *leases_lost,
            moved_at: *moved_at,
            longest_lease: *longest_lease,
            norms: NormsOfVersion5::default(),
            closing: *closing,
        }
    }
}
