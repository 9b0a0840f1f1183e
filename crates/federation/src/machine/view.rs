//! What a machine shows: where the job is, why, and what must be done after a restart.

use protocol::api::{JobStatus, Round};
use protocol::fingerprint::Fingerprint;
use protocol::job::JobSpec;
use protocol::lease::Lease;
use protocol::{BlobHash, DeviceId, JobId, LeaseId, ModelId, Timestamp};

use super::phase::{Binding, Closing, Ending, Phase, Run, Stage};
use super::seat::{Occupancy, Standing};
use super::{Effect, Machine, Preparation};

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

    /// When the job ended, however it did.
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

    pub(super) fn status_word(&self) -> &'static str {
        match self.status() {
            JobStatus::Pending => "pending",
            JobStatus::Preparing => "preparing",
            JobStatus::Running => "running",
            JobStatus::Paused => "paused",
            JobStatus::Completed => "completed",
            JobStatus::Failed => "failed",
            JobStatus::Cancelled => "cancelled",
        }
    }

    /// The round that is open, or was last; 0 before the first.
    pub fn round(&self) -> u32 {
        self.phase.run().map_or(0, |run| run.round.number)
    }

    /// Rounds whose model is made and measured.
    pub fn rounds_closed(&self) -> u32 {
        let mut closed = self.history().iter().filter(|round| round.closed_at.is_some());
        closed.next_back().map_or(0, |round| round.round)
    }

    /// Share of the job's seats that have reported, 0 to 1; 1 only once the job is completed.
    pub fn progress(&self) -> f64 {
        if self.status() == JobStatus::Completed {
            return 1.0;
        }
        let open = self.history().last().filter(|round| round.closed_at.is_none());
        let share =
            open.map_or(0.0, |open| f64::from(open.reported) / f64::from(open.seats.max(1)));
        let total = f64::from(self.settings.spec.rounds().max(1));
        ((f64::from(self.rounds_closed()) + share) / total).clamp(0.0, 1.0)
    }

    /// None until the dataset is divided.
    pub fn preparation(&self) -> Option<&Preparation> {
        self.phase.run().map(|run| &run.preparation)
    }

    /// Of the model; none until the dataset is divided.
    pub fn parameters(&self) -> Option<u64> {
        self.phase.run().map(|run| run.parameters)
    }

    /// Rounds closed and, last, the open one. `bytes_up` counts the updates that took a seat;
    /// `bytes_down` the round's base model once a device (shards, which devices keep, are not in).
    pub fn history(&self) -> &[Round] {
        self.phase.run().map_or(&[], |run| &run.history)
    }

    /// Leases that ended without an update after their first step, other than by an orderly return
    /// or a person's wish. A lease that comes back to life, or whose update still counts, is not
    /// lost after all.
    pub fn leases_lost(&self) -> u64 {
        self.phase.run().map_or(0, |run| run.leases_lost)
    }

    /// Seats that are leased now, for fair sharing.
    pub fn leased_seats(&self) -> usize {
        self.phase.run().map_or(0, |run| run.round.leased())
    }

    /// The fingerprint that a reproducible job is bound to; none where it takes any, or no lease
    /// was granted yet.
    pub fn fingerprint(&self) -> Option<&Fingerprint> {
        match &self.phase.run()?.binding {
            Binding::One { fingerprint } => Some(fingerprint),
            Binding::Undecided | Binding::Any => None,
        }
    }

    /// The registered model and its file, once the job is completed.
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

    /// Whether the device would get a lease if it asked now.
    pub fn offers(&self, device: DeviceId, fingerprint: &Fingerprint, now: Timestamp) -> bool {
        match &self.phase {
            Phase::Running(run) if self.paused.is_none() => {
                run.seat_for(&self.settings, device, fingerprint, now).is_some()
            }
            Phase::Running(_) | Phase::Pending | Phase::Preparing | Phase::Finished { .. } => false,
        }
    }

    /// Whether there is a seat that some device might get now. Cheaper than asking for each.
    pub fn has_open_seat(&self) -> bool {
        match &self.phase {
            Phase::Running(run) if self.paused.is_none() => {
                run.stage == Stage::Collecting
                    && run.round.seats.iter().any(|seat| seat.occupancy == Occupancy::Open)
            }
            Phase::Running(_) | Phase::Pending | Phase::Preparing | Phase::Finished { .. } => false,
        }
    }

    /// Whether the device holds a lease.
    pub fn holds(&self, device: DeviceId) -> bool {
        self.phase.run().is_some_and(|run| run.round.held_by(device).is_some())
    }

    /// The lease that the device holds.
    pub fn lease_of(&self, device: DeviceId) -> Option<Lease> {
        let run = self.phase.run()?;
        run.round.held_by(device).and_then(|(lease, _)| run.lease(&self.settings, lease))
    }

    /// A lease that is held now.
    pub fn lease(&self, lease: LeaseId) -> Option<Lease> {
        self.phase.run()?.lease(&self.settings, lease)
    }

    /// Whether the lease is held now.
    pub fn is_held(&self, lease: LeaseId) -> bool {
        let run = self.phase.run();
        run.is_some_and(|run| {
            let record = run.round.leases.get(&lease);
            record.is_some_and(|record| record.standing == Standing::Held)
        })
    }

    /// Whether an update under this lease would still take its seat: the lease is held, or ended
    /// but its seat has no update yet. A blob may be sent under it.
    pub fn awaits(&self, lease: LeaseId, device: DeviceId) -> bool {
        match &self.phase {
            Phase::Running(run) => run.round.leases.get(&lease).is_some_and(|record| {
                record.device == device
                    && match run.round.seats[record.seat].occupancy {
                        Occupancy::Open | Occupancy::Leased { .. } => true,
                        Occupancy::Reported(_) | Occupancy::Lost => false,
                    }
            }),
            Phase::Pending | Phase::Preparing | Phase::Finished { .. } => false,
        }
    }

    /// When to send [`super::Event::Tick`]; none while nothing is timed.
    pub fn deadline(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Running(run) => run.deadline(self.paused.is_some()),
            Phase::Pending | Phase::Preparing | Phase::Finished { .. } => None,
        }
    }

    /// What must be done, or done again, after a restart.
    pub fn outstanding(&self) -> Vec<Effect> {
        match &self.phase {
            Phase::Preparing => vec![Effect::Prepare],
            Phase::Running(run) => run.outstanding(),
            Phase::Pending | Phase::Finished { .. } => Vec::new(),
        }
    }

    /// Why the job is where it is, in plain words; none where its status says it all.
    pub fn reason(&self) -> Option<String> {
        let paused = if self.paused.is_some() { "paused; " } else { "" };
        match &self.phase {
            Phase::Pending => Some("waiting to be started".to_owned()),
            Phase::Preparing => Some(format!("{paused}fetching and dividing the dataset")),
            Phase::Running(run) => Some(format!("{paused}{}", self.stage_words(run))),
            Phase::Finished { ending, run } => match (ending, run.as_ref().and_then(|r| r.closing))
            {
                (Ending::Failed { reason }, _) => Some(reason.clone()),
                (Ending::Completed { .. }, Some(closing)) => Some(self.closing_words(closing)),
                (Ending::Completed { .. }, None) | (Ending::Cancelled, _) => None,
            },
        }
    }

    fn stage_words(&self, run: &Run) -> String {
        let round = run.round.number;
        match run.stage {
            Stage::Collecting => self.collecting_words(run),
            Stage::Aggregating => {
                format!("adding up the {} updates of round {round}", run.round.reported())
            }
            Stage::Evaluating { .. } => format!("measuring the model of round {round}"),
            Stage::Registering { .. } => "storing the model".to_owned(),
        }
    }

    fn collecting_words(&self, run: &Run) -> String {
        let (reported, leased) = (run.round.reported(), run.round.leased());
        let training = if leased > 0 { format!(", {leased} training") } else { String::new() };
        let seats = run.round.seats.len();
        let mut words = vec![format!("{reported} of {seats} seats reported{training}")];
        if leased == 0 && self.paused.is_none() {
            words.push(match &run.binding {
                Binding::Undecided | Binding::Any => "waiting for a device".to_owned(),
                Binding::One { fingerprint } => {
                    format!("waiting for a device with fingerprint {fingerprint}")
                }
            });
        }
        if run.round.overdue {
            let minimum = run.minimum(&self.settings);
            words.push(format!("the deadline has passed, the round closes with {minimum}"));
        }
        let short =
            [(&run.round.short_of_memory, "memory"), (&run.round.short_of_disk, "disk space")];
        for (devices, of) in short.into_iter().filter(|(devices, _)| !devices.is_empty()) {
            if leased == 0 {
                words.push(format!("{} gave it back for lack of {of}", devices.len()));
            }
        }
        let open = run.round.seats.iter().filter(|seat| seat.report().is_none());
        if let Some(seat) = open.max_by_key(|seat| seat.failures.len())
            && let Some(failure) = seat.failures.last()
        {
            let detail = failure.detail.as_deref().unwrap_or("no reason was given");
            let times = seat.failures.len();
            words.push(format!("partition {} failed {times}×: {detail}", seat.partition));
        }
        words.join("; ")
    }

    fn closing_words(&self, closing: Closing) -> String {
        let round = self.rounds_closed();
        match closing {
            Closing::Target { accuracy } => format!(
                "stopped after round {round}: the validation accuracy of {accuracy:.4} reached \
                 the target of {}",
                self.settings.spec.run.target_accuracy
            ),
            Closing::Asked => format!("completed by request after round {round}"),
        }
    }
}

impl Run {
    fn deadline(&self, paused: bool) -> Option<Timestamp> {
        let held = self.round.leases.values().filter(|record| record.standing == Standing::Held);
        let leases = held.map(|record| record.deadline).min();
        let waits = self.stage == Stage::Collecting && !self.round.overdue && !paused;
        let closes = self.round.closes_at.filter(|_| waits);
        leases.into_iter().chain(closes).min()
    }

    fn outstanding(&self) -> Vec<Effect> {
        let round = self.round.number;
        match self.stage {
            Stage::Collecting => {
                let updates = self.round.updates().into_iter();
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
