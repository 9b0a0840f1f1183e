//! Transaction batch: decisions that are not durable yet, and the actions that follow their commit.

use std::collections::BTreeSet;

use protocol::{DeviceId, JobId, Timestamp};

use super::writer::{FLUSH, FLUSHED_DEVICES, FLUSHED_ROWS, RETRY};
use super::{Driver, DriverError, sign_in_links};
use crate::clock;
use crate::crash_points::CrashPoint;
use crate::store::{Batch, DayRow, JobChanges, JobDetailsRow, LeaseRow, ModelNameRow, Uses};
use crate::views::job_view;

/// Numbers of rows to write although a crash may lose their changes.
#[derive(Debug, Clone, Copy)]
struct Flush {
    devices: usize,
    /// Leases, and devices, of each job.
    rows: usize,
}

impl Driver {
    /// Adds an action that runs once the changes so far are committed, or the commit has failed.
    pub(super) fn after_commit(
        &mut self,
        settle: impl FnOnce(&mut Self, Result<(), DriverError>) + Send + 'static,
    ) {
        self.pending.settle.push(Box::new(settle));
    }

    /// Ends the batch: commits it, publishes it and sends the replies.
    pub(super) fn commit(&mut self) {
        let now = clock::now();
        let due = self.pending.owes_flush() && now >= self.flush_at;
        if due {
            self.flush_at = now.after(FLUSH);
        }
        self.commit_with(
            now,
            due.then_some(Flush { devices: FLUSHED_DEVICES, rows: FLUSHED_ROWS }),
        );
    }

    /// Commits the last batch, including all changes that a crash might have lost.
    pub(super) fn commit_all(&mut self) {
        let all = Flush { devices: usize::MAX, rows: usize::MAX };
        self.commit_with(clock::now(), Some(all));
    }

    /// `flush` says how much is written that a crash may lose, if a flush is due.
    fn commit_with(&mut self, now: Timestamp, flush: Option<Flush>) {
        let wrote = self.pending.writes() || self.state.has_unwritten() || flush.is_some();
        let outcome = if wrote {
            self.write(flush)
        } else {
            self.publish(&BTreeSet::new(), 0);
            Ok(())
        };
        if outcome.is_err() {
            self.retry_at = now.after(RETRY);
        }
        for settle in std::mem::take(&mut self.pending.settle) {
            settle(self, outcome.clone());
        }
        if wrote {
            self.steps.observer.points.pass(CrashPoint::Answered);
        }
    }

    fn write(&mut self, flush: Option<Flush>) -> Result<(), DriverError> {
        let idle = flush.map(|flush| self.pending.next_idle(flush.devices));
        let rows = flush.map_or(0, |flush| flush.rows);
        let mut jobs = self.pending.jobs.clone();
        if idle.is_some() {
            jobs.extend(&self.pending.idle_jobs);
        }
        let batch = self.batch(&jobs, rows, idle.as_deref());
        match self.store.commit(&batch) {
            Ok(revision) => {
                self.publish(&jobs, rows);
                if let Some(idle) = &idle {
                    let jobs = &self.state.jobs;
                    let owes =
                        |id: &JobId| jobs.get(id).is_some_and(|row| row.machine.owes_flush());
                    self.pending.idle_jobs.retain(owes);
                    for device in idle {
                        self.pending.idle_devices.remove(device);
                    }
                    self.pending.flushed_to = idle.last().copied();
                    self.pending.uses.clear();
                }
                self.revision.send_replace(revision);
                self.steps.observer.points.pass(CrashPoint::Published);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "could not write to the database");
                self.roll_back();
                Err(error.into())
            }
        }
    }

    /// `flushed_rows` is the number of rows of a job to write too, `idle` lists the idle devices to
    /// write too.
    fn batch(
        &mut self,
        jobs: &BTreeSet<JobId>,
        flushed_rows: usize,
        idle: Option<&[DeviceId]>,
    ) -> Batch {
        let (pending, state) = (&mut self.pending, &self.state);
        let is_new = |job: &JobId| state.jobs.unwritten().any(|(id, _)| id == job);
        let rows = jobs.iter().filter_map(|id| state.jobs.get(id));
        let changed_devices = state.devices.unwritten();
        let idle_devices = idle.unwrap_or_default().iter();
        let idle_devices = idle_devices.filter_map(|id| state.devices.get(id));
        let details = state.job_details.unwritten();
        let details = details.filter_map(|(job, details)| {
            Some(JobDetailsRow { job: *job, details: details?.clone() })
        });
        let names = state.model_names.unwritten();
        let names =
            names.filter_map(|(name, row)| Some(ModelNameRow { name: name.clone(), row: *row? }));
        let mut leases: Vec<LeaseRow> = written(state.leases.unwritten());
        leases.retain(|row| state.jobs.contains_key(&row.job));
        Batch {
            jobs: rows
                .map(|row| JobChanges::from_job(row, is_new(&row.id), flushed_rows))
                .collect(),
            removed_jobs: removed(state.jobs.unwritten()),
            job_details: details.collect(),
            devices: changed_devices
                .filter_map(|(_, row)| row)
                .chain(idle_devices)
                .cloned()
                .collect(),
            removed_devices: removed(state.devices.unwritten()),
            tokens: written(state.tokens.unwritten()),
            removed_tokens: removed(state.tokens.unwritten()),
            sessions: written(state.sessions.unwritten()),
            removed_sessions: removed(state.sessions.unwritten()),
            uses: if idle.is_some() { pending.uses.clone() } else { Uses::new() },
            join_codes: written(state.join_codes.unwritten()),
            models: written(state.models.unwritten()),
            removed_models: state.removed_models.keys().copied().collect(),
            model_names: names.collect(),
            removed_model_names: removed(state.model_names.unwritten()),
            datasets: written(state.datasets.unwritten()),
            removed_datasets: removed(state.datasets.unwritten()),
            notifications: state.notifications.unwritten(),
            leases,
            days: state
                .days
                .unwritten()
                .filter_map(|(date, day)| Some(DayRow { date: date.clone(), day: *day? }))
                .collect(),
            trim: pending.trim.take(),
            changes: std::mem::take(&mut pending.changes),
            audit: std::mem::take(&mut pending.audit),
        }
    }

    /// Publishes the new state, and starts and stops steps accordingly. `written` lists the jobs
    /// that are written, `flushed_rows` is the number of their rows that a crash might have lost.
    fn publish(&mut self, written: &BTreeSet<JobId>, flushed_rows: usize) {
        let jobs = std::mem::take(&mut self.pending.jobs);
        let handled = std::mem::take(&mut self.pending.handled);
        self.publish_access();
        self.publish_datasets();
        let devices = self.state.devices.changed().map(|(id, _)| *id);
        for id in devices.collect::<Vec<_>>() {
            match self.state.devices.get(&id) {
                Some(row) => self.views.publish_device(row.clone()),
                None => self.views.remove_device(id),
            }
        }
        let notifications = self.state.notifications.has_changed();
        self.state.commit();
        if notifications {
            self.publish_notifications();
        }
        let mut released = Vec::new();
        for id in handled.union(written).copied() {
            let Some(row) = self.state.jobs.get_mut(&id) else { continue };
            self.views.publish_holders(id, row.machine.changed_holders());
            self.transfers.stop(id, &row.machine);
            if written.contains(&id) {
                released.extend(row.machine.commit(flushed_rows));
            } else {
                row.machine.keep();
            }
            if row.machine.owes_flush() {
                self.pending.defer_job(id);
            }
        }
        for id in &jobs {
            self.reconcile_steps(*id);
            self.publish_job(*id);
        }
        if !jobs.is_empty() || !released.is_empty() || !self.garbage.is_empty() {
            self.remove_unneeded(released);
        }
    }

    /// Publishes the credentials and the sessions of devices.
    fn publish_access(&self) {
        let state = &self.state;
        for (id, before) in state.tokens.changed() {
            match (before, state.tokens.get(id)) {
                (_, Some(row)) => self.views.publish_credential(row.hash, state.credential(row)),
                (Some(row), None) => self.views.remove_credential(&row.hash),
                (None, None) => {}
            }
        }
        for (id, before) in state.sessions.changed() {
            match (before, state.sessions.get(id)) {
                (_, Some(row)) => {
                    self.views.publish_credential(row.hash, sign_in_links::credential(row));
                }
                (Some(row), None) => self.views.remove_credential(&row.hash),
                (None, None) => {}
            }
        }
        for (device, _) in state.runs.changed() {
            match state.runs.get(device) {
                Some(run) => self.views.publish_session(*device, run.clone()),
                None => self.views.end_session(*device),
            }
        }
    }

    /// Publishes the changed datasets.
    fn publish_datasets(&self) {
        for (id, _) in self.state.datasets.changed() {
            self.views.datasets.publish(id, self.state.datasets.get(id));
        }
    }

    pub(super) fn publish_job(&mut self, id: JobId) {
        let Some(row) = self.state.jobs.get(&id) else {
            self.views.remove_job(id);
            return;
        };
        let note = self.running.get(&id).and_then(|step| step.note.as_deref());
        let mut view = job_view(row, self.state.job_details.get(&id), note);
        view.job.stalled = self.state.stalled.contains_key(&id);
        self.views.publish_job(view);
    }

    /// Undoes the batch in memory.
    fn roll_back(&mut self) {
        self.pending.jobs.clear();
        // First, because it restores deleted jobs.
        self.state.roll_back();
        for id in std::mem::take(&mut self.pending.handled) {
            if let Some(row) = self.state.jobs.get_mut(&id) {
                row.machine.roll_back();
            }
        }
    }
}

/// Clones the rows that remain.
fn written<'a, K: 'a, V: Clone + 'a>(rows: impl Iterator<Item = (&'a K, Option<&'a V>)>) -> Vec<V> {
    rows.filter_map(|(_, row)| row.cloned()).collect()
}

/// Returns the keys of the removed rows.
fn removed<'a, K: Clone + 'a, V: 'a>(rows: impl Iterator<Item = (&'a K, Option<&'a V>)>) -> Vec<K> {
    rows.filter(|(_, row)| row.is_none()).map(|(key, _)| key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::driver::writer::Pending;

    #[test]
    fn flushes_go_round_so_that_chatty_devices_keep_nobody_from_the_disk() {
        let device = |n: u128| DeviceId::from_uuid(Uuid::from_u128(n));
        let mut pending = Pending::default();
        let mut written = Vec::new();
        for _ in 0..4 {
            // The first two send another heartbeat before every flush.
            for n in
                [1, 2, 3, 4, 5].into_iter().filter(|n| *n < 3 || !written.contains(&device(*n)))
            {
                pending.defer_device(device(n));
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
