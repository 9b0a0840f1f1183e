//! Round machine: every decision about one job. Events and their times go in, effects come out. The
//! machine itself performs nothing. See docs/design/one-round.md.
//!
//! ```text
//! pending ─Start─> preparing ─Prepared─> collecting ─all seats reported─> aggregating
//!                                           ^                                  │ Aggregated
//!                                           └── next round ── evaluating <─────┘
//!                                                                 │ Evaluated, last round
//!                                              completed <── registering
//! any of these ─Cancel─> cancelled          any of these ─a step fails─> failed
//! ```
//!
//! A pause applies to any phase: leases end and no lease is granted. Updates that are already being
//! sent are still accepted, and the coordinator's own steps continue. The round's deadline is
//! suspended.
//!
//! A rejected event leaves the machine unchanged.

mod admission;
mod clock_jump;
mod collections;
mod event;
mod lease;
mod lease_timeout;
mod norm_bound;
mod opening;
mod parts;
mod phase;
mod rejected_updates;
mod renewal;
mod round;
mod seat;
mod settings;
mod snapshot;
mod stall_detection;
mod state;
mod stored;
#[cfg(test)]
mod tests;
mod transaction;
mod view;

use protocol::metrics::EvalMetrics;
use protocol::{BlobHash, DeviceId, ModelId, Timestamp};

pub use event::{
    Effect, Event, LeaseEnd, Partition, Preparation, Receipt, RejectedEvent, WeightedUpdate,
};
pub use parts::{MachineRows, MissingPart};
use phase::{Ending, Phase, Run, Stage};
use renewal::LeaseRenewal;
pub use settings::MachineSettings;
pub use snapshot::{JobSnapshot, RoundSnapshot};
pub(crate) use stall_detection::duration_text;
use state::Journal;
pub use state::Machine;
pub use stored::{Changes, Head, Record};

impl Machine {
    pub fn new(settings: MachineSettings) -> Self {
        Self {
            settings,
            phase: Phase::Pending,
            paused: None,
            started_at: None,
            completed_at: None,
            journal: Journal::default(),
        }
    }

    /// Applies an event and returns the effects to perform, in this order.
    ///
    /// # Errors
    /// A [`RejectedEvent`] if the event is not allowed now. The machine is unchanged.
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Result<Vec<Effect>, RejectedEvent> {
        self.remember();
        let effects = match event {
            Event::Start => self.start(now),
            Event::Prepared(preparation) => self.prepared(now, *preparation),
            Event::PreparationFailed { reason } => self.preparation_failed(now, reason),
            Event::Requested { lease, device, fingerprint } => {
                self.requested(now, lease, device, &fingerprint)
            }
            Event::Progressed { lease, device, progress } => {
                self.renewed(now, lease, device, LeaseRenewal::Step { step: progress.step })
            }
            Event::Renewed { lease, device, bytes } => {
                self.renewed(now, lease, device, LeaseRenewal::Heartbeat { bytes })
            }
            Event::Returned { lease, device, reason, detail } => {
                self.returned(now, lease, device, reason, detail)
            }
            Event::Refused { lease, device, reason } => self.refused(now, lease, device, &reason),
            Event::Updated { lease, device, receipt } => self.updated(now, lease, device, receipt),
            Event::DeviceGone { device } => Ok(self.device_gone(device)),
            Event::Aggregated { round, model } => self.aggregated(round, model),
            Event::Evaluated { round, test, validation } => {
                self.evaluated(now, round, test, validation.as_ref())
            }
            Event::Registered { model, file } => self.registered(now, model, file),
            Event::StepFailed { reason } => self.step_failed(now, reason),
            Event::Pause => self.pause(now),
            Event::Resume => self.resume(now),
            Event::Cancel => self.cancel(now),
            Event::Complete => self.complete(),
            Event::ClockMoved { millis } => Ok(self.clock_moved(millis)),
            Event::Tick => Ok(self.tick(now)),
        }?;
        if let Some(run) = self.phase.run_mut() {
            run.sync();
        }
        Ok(effects)
    }

    fn start(&mut self, now: Timestamp) -> Result<Vec<Effect>, RejectedEvent> {
        match &self.phase {
            Phase::Pending => {
                self.phase = Phase::Preparing;
                self.started_at = Some(now);
                Ok(vec![Effect::Prepare])
            }
            Phase::Preparing | Phase::Running(_) | Phase::Finished { .. } => {
                Err(self.wrong_status("started", "pending"))
            }
        }
    }

    fn prepared(
        &mut self,
        now: Timestamp,
        preparation: Preparation,
    ) -> Result<Vec<Effect>, RejectedEvent> {
        match &self.phase {
            Phase::Preparing => {}
            Phase::Pending | Phase::Running(_) | Phase::Finished { .. } => {
                return Err(RejectedEvent::Stale { round: 0 });
            }
        }
        match Run::open(&self.settings, preparation, now) {
            Ok(run) => {
                self.phase = Phase::Running(Box::new(run));
                Ok(Vec::new())
            }
            Err(reason) => Ok(self.finish(now, Ending::Failed { reason })),
        }
    }

    fn preparation_failed(
        &mut self,
        now: Timestamp,
        reason: String,
    ) -> Result<Vec<Effect>, RejectedEvent> {
        match &self.phase {
            Phase::Preparing => Ok(self.finish(now, Ending::Failed { reason })),
            Phase::Pending | Phase::Running(_) | Phase::Finished { .. } => {
                Err(RejectedEvent::Stale { round: 0 })
            }
        }
    }

    fn aggregated(&mut self, round: u32, model: BlobHash) -> Result<Vec<Effect>, RejectedEvent> {
        let run = self.phase.running(round)?;
        let effects = run.aggregated(round, model)?;
        // The model contains them.
        self.journal.released.extend(run.updates().into_iter().map(|update| update.blob));
        Ok(effects)
    }

    fn evaluated(
        &mut self,
        now: Timestamp,
        round: u32,
        test: EvalMetrics,
        validation: Option<&EvalMetrics>,
    ) -> Result<Vec<Effect>, RejectedEvent> {
        let run = self.phase.running(round)?;
        let model = run.evaluating(round)?;
        let diverged = [Some(&test), validation]
            .into_iter()
            .flatten()
            .any(|metrics| !metrics.loss.is_finite() || !metrics.accuracy.is_finite());
        if diverged {
            // JSON cannot represent the value either, so the stored machine could not be read back.
            let reason = format!(
                "the model of round {round} diverged: its loss is not a number; lower the \
                 learning rate"
            );
            return Ok(self.finish(now, Ending::Failed { reason }));
        }
        let (effects, released) = run.evaluated(&self.settings, now, model, test, validation);
        self.journal.released.extend(released);
        Ok(effects)
    }

    fn registered(
        &mut self,
        now: Timestamp,
        model: ModelId,
        file: BlobHash,
    ) -> Result<Vec<Effect>, RejectedEvent> {
        let round = self.round();
        match self.phase.running(round)?.stage() {
            Stage::Registering { .. } => Ok(self.finish(now, Ending::Completed { model, file })),
            Stage::Collecting | Stage::Aggregating | Stage::Evaluating { .. } => {
                Err(RejectedEvent::Stale { round })
            }
        }
    }

    fn step_failed(
        &mut self,
        now: Timestamp,
        reason: String,
    ) -> Result<Vec<Effect>, RejectedEvent> {
        let awaits = match &self.phase {
            Phase::Preparing => true,
            Phase::Running(run) => match run.stage() {
                Stage::Aggregating | Stage::Evaluating { .. } | Stage::Registering { .. } => true,
                Stage::Collecting => false,
            },
            Phase::Pending | Phase::Finished { .. } => false,
        };
        if awaits {
            return Ok(self.finish(now, Ending::Failed { reason }));
        }
        Err(RejectedEvent::Stale { round: self.round() })
    }

    fn pause(&mut self, now: Timestamp) -> Result<Vec<Effect>, RejectedEvent> {
        if self.paused.is_some() {
            return Err(self.wrong_status("paused", "running"));
        }
        let effects = match &mut self.phase {
            Phase::Preparing => Vec::new(),
            Phase::Running(run) => run.end_leases(),
            Phase::Pending | Phase::Finished { .. } => {
                return Err(self.wrong_status("paused", "running"));
            }
        };
        self.paused = Some(now);
        Ok(effects)
    }

    fn resume(&mut self, now: Timestamp) -> Result<Vec<Effect>, RejectedEvent> {
        let Some(since) = self.paused.take() else {
            return Err(self.wrong_status("resumed", "paused"));
        };
        match &mut self.phase {
            Phase::Running(run) => Ok(run.resumed(&self.settings, since, now)),
            Phase::Pending | Phase::Preparing | Phase::Finished { .. } => Ok(Vec::new()),
        }
    }

    fn cancel(&mut self, now: Timestamp) -> Result<Vec<Effect>, RejectedEvent> {
        if self.status().is_final() {
            return Err(self.wrong_status("cancelled", "unfinished"));
        }
        Ok(self.finish(now, Ending::Cancelled))
    }

    fn complete(&mut self) -> Result<Vec<Effect>, RejectedEvent> {
        let effects = match &mut self.phase {
            Phase::Running(run) => run.complete(),
            Phase::Pending | Phase::Preparing | Phase::Finished { .. } => None,
        };
        let effects = effects
            .ok_or_else(|| self.wrong_status("completed", "running and past its first round"))?;
        self.paused = None;
        Ok(effects)
    }

    fn tick(&mut self, now: Timestamp) -> Vec<Effect> {
        let paused = self.paused.is_some();
        match &mut self.phase {
            Phase::Running(run) => run.tick(&self.settings, now, paused),
            Phase::Pending | Phase::Preparing | Phase::Finished { .. } => Vec::new(),
        }
    }

    fn device_gone(&mut self, device: DeviceId) -> Vec<Effect> {
        match &mut self.phase {
            Phase::Running(run) => run.device_gone(device),
            Phase::Pending | Phase::Preparing | Phase::Finished { .. } => Vec::new(),
        }
    }

    /// Ends the job and all leases that are still held.
    fn finish(&mut self, now: Timestamp, ending: Ending) -> Vec<Effect> {
        let mut run = match std::mem::replace(&mut self.phase, Phase::Pending) {
            Phase::Running(run) => Some(run),
            Phase::Finished { run, .. } => run,
            Phase::Pending | Phase::Preparing => None,
        };
        let effects = run.as_mut().map_or_else(Vec::new, |run| run.end_leases());
        if let Some(run) = &mut run {
            run.settle_loss();
            self.journal.released.extend(run.temporary_blobs());
        }
        self.phase = Phase::Finished { ending, run };
        self.paused = None;
        self.completed_at = Some(now);
        effects
    }

    fn wrong_status(&self, action: &'static str, needed: &'static str) -> RejectedEvent {
        RejectedEvent::Status { status: self.status().name(), action, needed }
    }
}
