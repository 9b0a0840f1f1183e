//! Read access to a machine: status, reason, and the outstanding effects after a restart.

use std::sync::Arc;

use protocol::api::{JobStatus, Round};
use protocol::fingerprint::Fingerprint;
use protocol::job::JobSpec;
use protocol::lease::Lease;
use protocol::{BlobHash, DeviceId, JobId, LeaseId, ModelId, Timestamp};

use super::phase::{Binding, Closing, Ending, Phase, Run, Stage};
use super::seat::{Occupancy, SeatLeaseState};
use super::{Effect, Machine, Preparation};
use crate::explain::plural;

impl Machine {
    pub fn job(&self) -> JobId {
        self.settings.job
    }

    pub fn spec(&self) -> &JobSpec {
        &self.settings.spec
    }

    pub fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    /// Returns the time at which the job completed, failed or was cancelled.
    pub fn completed_at(&self) -> Option<Timestamp> {
        self.completed_at
    }

    pub fn status(&self) -> JobStatus {
        match &self.phase {
            Phase::Pending => JobStatus::Pending,
            Phase::Preparing | Phase::Running(_) if self.paused.is_some() => JobStatus::Paused,
            Phase::Preparing => JobStatus::Preparing,
            Phase::Running(_) => JobStatus::Running,
            Phase::Finished { ending, .. } => match ending {
                Ending::Completed { .. } => JobStatus::Completed,
                Ending::Failed { .. } => JobStatus::Failed,
                Ending::Cancelled => JobStatus::Cancelled,
            },
        }
    }

    /// Returns the number of the open or last round, or 0 before the first.
    pub fn round(&self) -> u32 {
        self.phase.run().map_or(0, |run| run.head.round.number)
    }

    /// Returns the number of rounds whose model is created and evaluated.
    pub fn rounds_closed(&self) -> u32 {
        let mut closed = self.history().filter(|round| round.closed_at.is_some());
        closed.next_back().map_or(0, |round| round.round)
    }

    /// Returns the share of the job's seats that have reported, 0 to 1. It is 1 only when the job
    /// is completed.
    pub fn progress(&self) -> f64 {
        if self.status() == JobStatus::Completed {
            return 1.0;
        }
        let open = self.current_round().filter(|round| round.closed_at.is_none());
        let share =
            open.map_or(0.0, |open| f64::from(open.reported) / f64::from(open.seats.max(1)));
        let total = f64::from(self.settings.spec.rounds().max(1));
        ((f64::from(self.rounds_closed()) + share) / total).clamp(0.0, 1.0)
    }

    /// Returns the preparation, or `None` until the dataset is partitioned.
    pub fn preparation(&self) -> Option<&Arc<Preparation>> {
        self.phase.run().map(|run| &run.preparation)
    }

    /// Returns the model's number of parameters, or `None` until the dataset is partitioned.
    pub fn parameters(&self) -> Option<u64> {
        self.phase.run().map(|run| run.parameters)
    }

    /// Returns the closed rounds, followed by the open one. `bytes_up` counts the updates that took
    /// a seat. `bytes_down` counts the round's base model once per device, without shards, which
    /// devices keep.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &Round> {
        self.phase.run().into_iter().flat_map(Run::rounds)
    }

    /// Returns the rounds before the open one.
    pub fn earlier_rounds(&self) -> Option<&Arc<Vec<Round>>> {
        self.phase.run().map(|run| &run.head.history)
    }

    /// Returns the open round, or the last one of a finished job.
    pub fn current_round(&self) -> Option<&Round> {
        self.phase.run().map(|run| &run.head.current)
    }

    /// Returns the number of leases that ended without an update after their first step, except by
    /// an orderly return or a person's action. A lease that is renewed later, or whose update still
    /// counts, is not lost.
    pub fn leases_lost(&self) -> u64 {
        self.phase.run().map_or(0, |run| run.head.leases_lost)
    }

    /// Returns the number of leased seats, for fair sharing.
    pub fn leased_seats(&self) -> usize {
        self.phase.run().map_or(0, |run| run.seats.index().leased)
    }

    /// Returns the fingerprint that a reproducible job is bound to. `None` if it accepts any, or no
    /// lease was granted yet.
    pub fn fingerprint(&self) -> Option<&Fingerprint> {
        match &self.phase.run()?.head.binding {
            Binding::One { fingerprint } => Some(fingerprint),
            Binding::Undecided | Binding::Any => None,
        }
    }

    /// Returns the registered model and its file, once the job is completed.
    pub fn result(&self) -> Option<(ModelId, BlobHash)> {
        match &self.phase {
            Phase::Finished { ending: Ending::Completed { model, file }, .. } => {
                Some((*model, *file))
            }
            Phase::Finished { ending: Ending::Failed { .. } | Ending::Cancelled, .. }
            | Phase::Pending
            | Phase::Preparing
            | Phase::Running(_) => None,
        }
    }

    /// Returns whether the device would get a lease now.
    pub fn offers(&self, device: DeviceId, fingerprint: &Fingerprint, now: Timestamp) -> bool {
        match &self.phase {
            Phase::Running(run) if self.paused.is_none() => {
                run.seat_for(&self.settings, device, fingerprint, now).is_some()
            }
            Phase::Running(_) | Phase::Pending | Phase::Preparing | Phase::Finished { .. } => false,
        }
    }

    /// Returns whether any seat is open. Cheaper than [`Self::offers`] for each device.
    pub fn has_open_seat(&self) -> bool {
        match &self.phase {
            Phase::Running(run) if self.paused.is_none() => {
                run.head.stage == Stage::Collecting && !run.seats.index().open().is_empty()
            }
            Phase::Running(_) | Phase::Pending | Phase::Preparing | Phase::Finished { .. } => false,
        }
    }

    /// Returns whether the device holds a lease.
    pub fn holds(&self, device: DeviceId) -> bool {
        self.phase.run().is_some_and(|run| run.leases.index().held_by(device).is_some())
    }

    /// Returns the lease that the device holds.
    pub fn lease_of(&self, device: DeviceId) -> Option<Lease> {
        let run = self.phase.run()?;
        run.leases.index().held_by(device).and_then(|lease| run.lease(&self.settings, lease))
    }

    /// Returns a held lease.
    pub fn lease(&self, lease: LeaseId) -> Option<Lease> {
        self.phase.run()?.lease(&self.settings, lease)
    }

    /// Returns whether the job granted the lease and still remembers it.
    pub fn remembers(&self, lease: LeaseId) -> bool {
        let run = self.phase.run();
        run.is_some_and(|run| {
            run.leases.contains_key(&lease) || run.past_leases.contains_key(&lease)
        })
    }

    /// Returns the deadline of a held lease.
    pub fn deadline_of(&self, lease: LeaseId) -> Option<Timestamp> {
        let record = self.phase.run()?.leases.get(&lease)?;
        (record.state == SeatLeaseState::Held).then_some(record.deadline)
    }

    /// Returns the index of a lease's seat in the open round.
    pub fn seat_of(&self, lease: LeaseId) -> Option<u32> {
        self.phase.run()?.leases.get(&lease).map(|record| record.seat)
    }

    /// Returns whether the lease is held now.
    pub fn is_held(&self, lease: LeaseId) -> bool {
        let run = self.phase.run();
        run.is_some_and(|run| {
            let record = run.leases.get(&lease);
            record.is_some_and(|record| record.state == SeatLeaseState::Held)
        })
    }

    /// Returns whether an update under this lease would still take its seat: the lease is held, or
    /// it ended but its seat has no update yet. Its device may upload blobs.
    pub fn awaits(&self, lease: LeaseId, device: DeviceId) -> bool {
        match &self.phase {
            Phase::Running(run) => run.leases.get(&lease).is_some_and(|record| {
                let occupancy = run.seats.get(&record.seat).map(|seat| &seat.occupancy);
                record.device == device
                    && match occupancy {
                        Some(Occupancy::Open | Occupancy::Leased { .. }) => true,
                        Some(Occupancy::Reported(_) | Occupancy::Lost) | None => false,
                    }
            }),
            Phase::Pending | Phase::Preparing | Phase::Finished { .. } => false,
        }
    }

    /// Returns the time for the next [`super::Event::Tick`], or `None` if nothing is timed.
    pub fn deadline(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Running(run) => run.deadline(self.paused.is_some()),
            Phase::Pending | Phase::Preparing | Phase::Finished { .. } => None,
        }
    }

    /// Returns the effects to perform, again or for the first time, after a restart.
    pub fn outstanding(&self) -> Vec<Effect> {
        match &self.phase {
            Phase::Preparing => vec![Effect::Prepare],
            Phase::Running(run) => run.outstanding(),
            Phase::Pending | Phase::Finished { .. } => Vec::new(),
        }
    }

    /// Returns the effect of [`Self::outstanding`] whose result the job awaits. Costs nothing while
    /// updates are collected.
    pub fn awaited_step(&self) -> Option<Effect> {
        match &self.phase {
            Phase::Running(run) if run.head.stage == Stage::Collecting => None,
            Phase::Preparing | Phase::Running(_) => self.outstanding().pop(),
            Phase::Pending | Phase::Finished { .. } => None,
        }
    }

    /// Returns a plain-language reason for the job's status, or `None` if the status is sufficient.
    pub fn reason(&self) -> Option<String> {
        let paused = if self.paused.is_some() { "paused; " } else { "" };
        match &self.phase {
            Phase::Pending => Some("waiting to be started".to_owned()),
            Phase::Preparing => Some(format!("{paused}fetching and dividing the dataset")),
            Phase::Running(run) => Some(format!("{paused}{}", self.stage_text(run))),
            Phase::Finished { ending, run } => {
                match (ending, run.as_ref().and_then(|r| r.head.closing)) {
                    (Ending::Failed { reason }, _) => Some(reason.clone()),
                    (Ending::Completed { .. }, Some(closing)) => Some(self.closing_text(closing)),
                    (Ending::Completed { .. }, None) | (Ending::Cancelled, _) => None,
                }
            }
        }
    }

    fn stage_text(&self, run: &Run) -> String {
        let round = run.head.round.number;
        match run.head.stage {
            Stage::Collecting => self.collecting_text(run),
            Stage::Aggregating => {
                format!("aggregating the {} updates of round {round}", run.seats.index().reported)
            }
            Stage::Evaluating { .. } => format!("evaluating the model of round {round}"),
            Stage::Registering { .. } => "registering the model".to_owned(),
        }
    }

    fn collecting_text(&self, run: &Run) -> String {
        let index = run.seats.index();
        let (reported, leased) = (index.reported, index.leased);
        let training = if leased > 0 { format!(", {leased} training") } else { String::new() };
        let seats = run.seats.len();
        let mut parts = vec![format!("{reported} of {seats} seats reported{training}")];
        if leased == 0 && self.paused.is_none() {
            parts.push(match &run.head.binding {
                Binding::Undecided | Binding::Any => "waiting for a device".to_owned(),
                Binding::One { fingerprint } => {
                    format!("waiting for a device with numeric fingerprint {fingerprint}")
                }
            });
        }
        if run.head.round.overdue {
            let minimum = run.minimum(&self.settings);
            parts.push(format!(
                "the deadline has passed; the round closes when {minimum} seats have reported"
            ));
        }
        let round = &run.head.round;
        let short = [(&round.short_of_memory, "memory"), (&round.short_of_disk, "disk space")];
        for (devices, resource) in short.into_iter().filter(|(devices, _)| !devices.is_empty()) {
            if leased == 0 {
                let devices = plural(devices.len(), "device");
                parts.push(format!("too little {resource} on {devices}"));
            }
        }
        if let Some(seat) = index.worst().and_then(|seat| run.seats.get(&seat))
            && let Some(failure) = seat.failures.last()
        {
            let detail = failure.detail.as_deref().unwrap_or("no reason was given");
            let times = plural(seat.failures.len(), "time");
            parts.push(format!("partition {} failed {times}: {detail}", seat.partition));
        }
        parts.join("; ")
    }

    fn closing_text(&self, closing: Closing) -> String {
        let round = self.rounds_closed();
        match closing {
            Closing::Target { accuracy } => format!(
                "stopped after round {round}: the validation accuracy of {accuracy:.4} reached \
                 the target of {}",
                self.settings.spec.run.target_accuracy
            ),
            Closing::Requested => format!("completed by request after round {round}"),
        }
    }
}

impl Run {
    fn deadline(&self, paused: bool) -> Option<Timestamp> {
        let leases = self.leases.index().deadline();
        let round = &self.head.round;
        let waits = self.head.stage == Stage::Collecting && !round.overdue && !paused;
        let closes = round.closes_at.filter(|_| waits);
        leases.into_iter().chain(closes).min()
    }

    fn outstanding(&self) -> Vec<Effect> {
        let round = self.head.round.number;
        match self.head.stage {
            Stage::Collecting => {
                let updates = self.updates().into_iter();
                updates.map(|update| Effect::Accumulate { round, update }).collect()
            }
            Stage::Aggregating => vec![self.aggregate()],
            Stage::Evaluating { model } => vec![Effect::Evaluate { round, model }],
            Stage::Registering { model } => {
                vec![Effect::Register { model, evaluation: self.evaluation().cloned() }]
            }
        }
    }
}
