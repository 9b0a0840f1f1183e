//! A batch: what was decided and is not yet durable, and what follows once it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use federation::machine::Machine;
use protocol::api::{Change, ChangeKind};
use protocol::audit::Record;
use protocol::{DeviceId, JobId, LeaseId, Timestamp};

use super::telling::Touched;
use super::{Driver, FLUSH, FLUSHED_DEVICES, RETRY, Refusal, State, sessions};
use crate::clock;
use crate::points::Point;
use crate::store::{Batch, DayRow, LeaseRow, ModelRow, SessionRow, TokenRow, Trim, Uses};
use crate::views::job_view;

type Undo = Box<dyn FnOnce(&mut State) + Send>;
type Settle = Box<dyn FnOnce(&mut Driver, Result<(), Refusal>) + Send>;

/// What the next commit writes, how to take it back, and who waits for it.
#[derive(Default)]
pub(super) struct Pending {
    jobs: BTreeSet<JobId>,
    /// Jobs as they were before this batch.
    before: BTreeMap<JobId, Machine>,
    devices: BTreeSet<DeviceId>,
    pub(super) removed_devices: Vec<DeviceId>,
    pub(super) tokens: Vec<TokenRow>,
    pub(super) removed_tokens: BTreeMap<String, [u8; 32]>,
    pub(super) sessions: Vec<SessionRow>,
    pub(super) removed_sessions: BTreeMap<String, [u8; 32]>,
    join_codes: BTreeSet<String>,
    pub(super) models: Vec<ModelRow>,
    pub(super) telling: BTreeSet<Touched>,
    pub(super) leases: BTreeMap<LeaseId, LeaseRow>,
    /// By date.
    pub(super) days: BTreeSet<String>,
    pub(super) trim: Option<Trim>,
    changes: Vec<Change>,
    pub(super) audit: Vec<Record>,
    undo: Vec<Undo>,
    settle: Vec<Settle>,
    /// Changed in ways that a crash may forget; written with the next flush.
    idle_jobs: BTreeSet<JobId>,
    idle_devices: BTreeSet<DeviceId>,
    pub(super) uses: Uses,
    /// The last of the idle devices that were written; the next flush goes on behind it.
    flushed_to: Option<DeviceId>,
}

impl Pending {
    pub(super) fn owes_flush(&self) -> bool {
        !self.idle_jobs.is_empty() || !self.idle_devices.is_empty() || !self.uses.is_empty()
    }

    /// To be called before the first durable change to a job in a batch.
    pub(super) fn remember(&mut self, job: JobId, machine: &Machine) {
        self.before.entry(job).or_insert_with(|| machine.clone());
    }

    pub(super) fn job_changed(&mut self, job: JobId) {
        self.jobs.insert(job);
        self.changed(ChangeKind::Job, job.to_string());
    }

    /// A change that a crash may forget.
    pub(super) fn job_heard_of(&mut self, job: JobId) {
        self.idle_jobs.insert(job);
    }

    pub(super) fn device_changed(&mut self, device: DeviceId) {
        self.devices.insert(device);
        self.changed(ChangeKind::Device, device.to_string());
    }

    /// A change that nobody who watches the events needs to hear of.
    pub(super) fn device_counted(&mut self, device: DeviceId) {
        self.devices.insert(device);
    }

    /// A change that a crash may forget.
    pub(super) fn device_heard_of(&mut self, device: DeviceId) {
        self.idle_devices.insert(device);
    }

    pub(super) fn join_code_changed(&mut self, id: &str) {
        self.join_codes.insert(id.to_owned());
        self.changed(ChangeKind::JoinCode, id.to_owned());
    }

    /// Tells who watches the events.
    pub(super) fn changed(&mut self, kind: ChangeKind, id: String) {
        let change = Change { kind, id };
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }

    /// How to take back what was just done, where the commit fails.
    pub(super) fn undo(&mut self, undo: impl FnOnce(&mut State) + Send + 'static) {
        self.undo.push(Box::new(undo));
    }

    /// The idle devices whose turn it is, at most so many: each comes to its turn, however often
    /// others are heard of.
    fn next_idle(&self, most: usize) -> Vec<DeviceId> {
        let behind = match self.flushed_to {
            Some(last) => (Bound::Excluded(last), Bound::Unbounded),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        let idle = &self.idle_devices;
        let around = idle.range(behind).chain(idle);
        around.take(most.min(idle.len())).copied().collect()
    }

    fn writes(&self) -> bool {
        !self.jobs.is_empty()
            || !self.devices.is_empty()
            || !self.removed_devices.is_empty()
            || !self.tokens.is_empty()
            || !self.removed_tokens.is_empty()
            || !self.sessions.is_empty()
            || !self.removed_sessions.is_empty()
            || !self.join_codes.is_empty()
            || !self.models.is_empty()
            || !self.telling.is_empty()
            || !self.leases.is_empty()
            || self.trim.is_some()
            || !self.changes.is_empty()
            || !self.audit.is_empty()
    }
}

impl Driver {
    /// What to do once what was decided so far is durable, or turned out not to be.
    pub(super) fn after_commit(
        &mut self,
        settle: impl FnOnce(&mut Self, Result<(), Refusal>) + Send + 'static,
    ) {
        self.pending.settle.push(Box::new(settle));
    }

    /// Ends the batch: writes it, shows it, and answers.
    pub(super) fn commit(&mut self) {
        let now = clock::now();
        let due = self.pending.owes_flush() && now >= self.flush_at;
        if due {
            self.flush_at = now.after(FLUSH);
        }
        self.commit_with(now, due.then_some(FLUSHED_DEVICES));
    }

    /// Ends the last batch, with everything that a crash might have forgotten.
    pub(super) fn commit_all(&mut self) {
        self.commit_with(clock::now(), Some(usize::MAX));
    }

    /// `flush` is how many idle devices to write with the batch, where it is their time.
    fn commit_with(&mut self, now: Timestamp, flush: Option<usize>) {
        let wrote = self.pending.writes() || flush.is_some();
        let outcome = if wrote {
            self.write(flush)
        } else {
            self.publish();
            Ok(())
        };
        if outcome.is_err() {
            self.retry_at = now.after(RETRY);
        }
        for settle in std::mem::take(&mut self.pending.settle) {
            settle(self, outcome.clone());
        }
        if wrote {
            self.steps.observer.points.pass(Point::Answered);
        }
    }

    fn write(&mut self, flush: Option<usize>) -> Result<(), Refusal> {
        let idle = flush.map(|most| self.pending.next_idle(most));
        let batch = self.batch(idle.as_deref());
        match self.store.commit(&batch) {
            Ok(revision) => {
                if let Some(idle) = idle {
                    self.pending.idle_jobs.clear();
                    for device in &idle {
                        self.pending.idle_devices.remove(device);
                    }
                    self.pending.flushed_to = idle.last().copied();
                    self.pending.uses.clear();
                }
                self.publish();
                self.revision.send_replace(revision);
                self.steps.observer.points.pass(Point::Published);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "could not write to the database");
                self.take_back();
                Err(error.into())
            }
        }
    }

    /// `idle` are the idle devices that are written too, and every idle job with them.
    fn batch(&mut self, idle: Option<&[DeviceId]>) -> Batch {
        let pending = &mut self.pending;
        let idle_jobs = pending.idle_jobs.iter().filter(|_| idle.is_some());
        let jobs: BTreeSet<_> = pending.jobs.iter().chain(idle_jobs).collect();
        let devices: BTreeSet<_> = pending.devices.iter().chain(idle.unwrap_or_default()).collect();
        Batch {
            jobs: jobs.into_iter().filter_map(|id| self.state.jobs.get(id).cloned()).collect(),
            devices: devices
                .into_iter()
                .filter_map(|id| self.state.devices.get(id).cloned())
                .collect(),
            removed_devices: pending.removed_devices.clone(),
            tokens: pending.tokens.clone(),
            removed_tokens: pending.removed_tokens.keys().cloned().collect(),
            sessions: pending.sessions.clone(),
            removed_sessions: pending.removed_sessions.keys().cloned().collect(),
            uses: if idle.is_some() { pending.uses.clone() } else { Uses::new() },
            join_codes: pending
                .join_codes
                .iter()
                .filter_map(|id| self.state.join_codes.get(id).cloned())
                .collect(),
            models: pending.models.clone(),
            telling: pending.telling.iter().map(|it| self.state.telling.entry(*it)).collect(),
            leases: pending.leases.values().cloned().collect(),
            days: pending
                .days
                .iter()
                .filter_map(|date| {
                    let day = *self.state.days.get(date)?;
                    Some(DayRow { date: date.clone(), day })
                })
                .collect(),
            trim: pending.trim.take(),
            changes: std::mem::take(&mut pending.changes),
            audit: std::mem::take(&mut pending.audit),
        }
    }

    /// Shows what is now so, and starts and ends steps accordingly.
    fn publish(&mut self) {
        let pending = &mut self.pending;
        let jobs = std::mem::take(&mut pending.jobs);
        let devices = std::mem::take(&mut pending.devices);
        let before = std::mem::take(&mut pending.before);
        pending.undo.clear();
        for hash in std::mem::take(&mut pending.removed_tokens).into_values() {
            self.views.remove_credential(&hash);
        }
        for hash in std::mem::take(&mut pending.removed_sessions).into_values() {
            self.views.remove_credential(&hash);
        }
        for row in std::mem::take(&mut pending.sessions) {
            self.views.publish_credential(row.hash, sessions::credential(&row));
        }
        for row in std::mem::take(&mut pending.tokens) {
            self.views.publish_credential(row.hash, self.state.credential(&row));
        }
        for id in std::mem::take(&mut pending.removed_devices) {
            self.views.remove_device(id);
        }
        pending.join_codes.clear();
        pending.models.clear();
        pending.leases.clear();
        pending.days.clear();
        let telling = !std::mem::take(&mut pending.telling).is_empty();
        for id in &devices {
            if let Some(row) = self.state.devices.get(id) {
                self.views.publish_device(row.clone());
            }
        }
        if telling {
            self.publish_telling();
        }
        if !jobs.is_empty() {
            self.stop_transfers();
        }
        for id in jobs {
            self.match_steps(id);
            self.publish_job(id);
            if let Some(before) = before.get(&id) {
                self.sort_out(id, before);
            }
        }
    }

    pub(super) fn publish_job(&mut self, id: JobId) {
        if let Some(row) = self.state.jobs.get(&id) {
            let note = self.running.get(&id).and_then(|step| step.note.as_deref());
            let mut view = job_view(row, note);
            view.job.stalled = self.state.stalled.contains(&id);
            self.views.publish_job(view);
        }
    }

    /// Undoes the batch in memory.
    fn take_back(&mut self) {
        let pending = &mut self.pending;
        for (id, machine) in std::mem::take(&mut pending.before) {
            if let Some(row) = self.state.jobs.get_mut(&id) {
                row.machine = machine;
            }
        }
        for undo in std::mem::take(&mut pending.undo).into_iter().rev() {
            undo(&mut self.state);
        }
        pending.jobs.clear();
        pending.devices.clear();
        pending.removed_devices.clear();
        pending.tokens.clear();
        pending.removed_tokens.clear();
        pending.sessions.clear();
        pending.removed_sessions.clear();
        pending.join_codes.clear();
        pending.models.clear();
        pending.leases.clear();
        pending.days.clear();
        pending.telling.clear();
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn flushes_go_round_so_that_chatty_devices_keep_nobody_from_the_disk() {
        let device = |n: u128| DeviceId::from_uuid(Uuid::from_u128(n));
        let mut pending = Pending::default();
        let mut written = Vec::new();
        for _ in 0..4 {
            // The first two are heard of again before every flush.
            for n in
                [1, 2, 3, 4, 5].into_iter().filter(|n| *n < 3 || !written.contains(&device(*n)))
            {
                pending.device_heard_of(device(n));
            }
            let turn = pending.next_idle(2);
            for device in &turn {
                pending.idle_devices.remove(device);
            }
            pending.flushed_to = turn.last().copied();
            written.extend(turn);
        }
        assert_eq!(written, [1, 2, 3, 4, 5, 1, 2, 1].map(device));
        assert!(Pending::default().next_idle(usize::MAX).is_empty());
    }
}
