//! What is kept of leases after they end: how each went, what its device has given so far, and what
//! all devices gave by day.

use std::collections::HashMap;
use std::time::Duration;

use federation::machine::LeaseEnd;
use protocol::fingerprint::Backend;
use protocol::lease::{Lease, LeaseOutcome, LeaseRecord, ReturnReason};
use protocol::metrics::TrainMetrics;
use protocol::{DeviceId, JobId, LeaseId, Timestamp};

use super::{Driver, DriverError, DriverHandle, State};
use crate::clock;
use crate::store::{LeaseRow, Trim};
use protocol::usage::watts;

/// Leases and days are kept this long (DESIGN §11.22).
pub(crate) const KEPT: Duration = Duration::from_hours(30 * 24);
/// Between two times that what is older goes.
pub(super) const TRIM_EVERY: Duration = Duration::from_hours(1);

/// What the record of a lease says that ended without its device's doing.
pub(super) const fn end_words(why: LeaseEnd) -> (LeaseOutcome, &'static str) {
    match why {
        LeaseEnd::Lapsed => (LeaseOutcome::Lapsed, "offline, or it stood still"),
        LeaseEnd::Superseded => (LeaseOutcome::Ended, "another device was faster"),
        LeaseEnd::RoundClosed => (LeaseOutcome::Ended, "the round closed without it"),
        LeaseEnd::DeviceGone => (LeaseOutcome::Ended, "the device may not work any more"),
        LeaseEnd::Stopped => (LeaseOutcome::Ended, "the job stopped"),
    }
}

impl Driver {
    /// One that its device holds already is granted again where it asks again.
    pub(super) fn lease_granted(&mut self, lease: &Lease) {
        if self.state.leases.contains_key(&lease.id) {
            return;
        }
        let device = self.state.devices.get(&lease.device_id);
        let record = LeaseRecord {
            id: lease.id,
            device: lease.device_id,
            device_name: device.map(|row| row.name.clone()).unwrap_or_default(),
            round: lease.round,
            partition: lease.partition,
            granted_at: lease.granted_at,
            ended_at: None,
            outcome: LeaseOutcome::Open,
            reason: None,
            steps: 0,
            examples: 0,
        };
        self.state.leased_jobs.insert(lease.job_id);
        self.put_lease(LeaseRow { job: lease.job_id, record });
    }

    /// Steps are written down with the lease's end.
    pub(super) fn lease_stepped(&mut self, lease: LeaseId, step: u64) {
        if let Some(row) = self.state.leases.get_mut(&lease) {
            row.record.steps = row.record.steps.max(step);
        }
    }

    /// A lapsed lease may have come back to life.
    pub(super) fn lease_renewed(&mut self, job: JobId, lease: LeaseId) {
        if self.state.leases.contains_key(&lease) {
            return;
        }
        let row = self.state.jobs.get(&job);
        if row.is_some_and(|row| row.machine.lease(lease).is_some()) {
            self.change_lease(job, lease, |record| {
                (record.outcome, record.ended_at, record.reason) = (LeaseOutcome::Open, None, None);
            });
        }
    }

    pub(super) fn lease_returned(&mut self, job: JobId, lease: LeaseId, reason: ReturnReason) {
        // One that had lapsed stays so.
        if self.state.leases.contains_key(&lease) {
            self.lease_ended(job, lease, LeaseOutcome::Returned, reason.to_text());
        }
    }

    pub(super) fn lease_ended(
        &mut self,
        job: JobId,
        lease: LeaseId,
        outcome: LeaseOutcome,
        reason: &'static str,
    ) {
        let now = clock::now();
        self.change_lease(job, lease, |record| {
            record.outcome = outcome;
            record.ended_at = Some(now);
            record.reason = Some(reason.to_owned());
        });
    }

    /// Its update counts, and with it what its device did.
    pub(super) fn lease_reported(
        &mut self,
        job: JobId,
        lease: LeaseId,
        device: DeviceId,
        metrics: &TrainMetrics,
        backend: Backend,
    ) {
        let now = clock::now();
        self.change_lease(job, lease, |record| {
            (record.outcome, record.reason) = (LeaseOutcome::Reported, None);
            record.ended_at = Some(now);
            (record.steps, record.examples) = (metrics.steps, metrics.examples);
        });
        let date = clock::date(now);
        let Some(row) = self.state.devices.get_mut(&device) else { return };
        let before = (row.contribution, row.contributed_on.clone());
        if row.contributed_on != date {
            row.contributed_on.clone_from(&date);
            row.contribution.seconds_today = 0.0;
        }
        row.contribution.examples += metrics.examples;
        row.contribution.leases += 1;
        row.contribution.seconds += metrics.seconds;
        row.contribution.seconds_today += metrics.seconds;
        let watts = watts(&row.device_type, backend);
        self.pending.device_counted(device);
        let day = self.state.days.entry(date.clone()).or_default();
        let day_before = *day;
        match backend {
            Backend::Cpu => day.cpu_seconds += metrics.seconds,
            Backend::Wgpu => day.gpu_seconds += metrics.seconds,
        }
        day.examples += metrics.examples;
        day.leases += 1;
        day.watt_hours += watts * metrics.seconds / 3600.0;
        self.pending.days.insert(date.clone());
        self.pending.undo(move |state| {
            state.days.insert(date, day_before);
            if let Some(row) = state.devices.get_mut(&device) {
                (row.contribution, row.contributed_on) = before;
            }
        });
        if metrics.seconds > 0.0 {
            self.measured(device, metrics.examples as f64 / metrics.seconds);
        }
    }

    /// How fast the device says that it is; a crash may forget it.
    pub(super) fn measured(&mut self, device: DeviceId, examples_per_second: f64) {
        if let Some(row) = self.state.devices.get_mut(&device)
            && examples_per_second.is_finite()
            && examples_per_second >= 0.0
        {
            row.examples_per_second = Some(examples_per_second);
            self.pending.device_heard_of(device);
        }
    }

    /// Lets go what is older than is kept.
    pub(super) fn trim_history(&mut self, now: Timestamp) {
        self.trim_at = now.after(TRIM_EVERY);
        let before = now.before(KEPT);
        let date = clock::date(before);
        self.state.days.retain(|day, _| *day >= date);
        let jobs = self.state.leased_jobs.drain().collect();
        // Where the commit fails, the next trim after a grant does it.
        self.pending.trim = Some(Trim { before, jobs, date });
    }

    /// Changes what is kept of a lease, held or ended; nothing where nothing is kept.
    fn change_lease(&mut self, job: JobId, lease: LeaseId, change: impl FnOnce(&mut LeaseRecord)) {
        let known = self.pending.leases.get(&lease).or_else(|| self.state.leases.get(&lease));
        let row = match known {
            Some(row) => Some(row.clone()),
            None => self.store.lease(job, lease).unwrap_or_else(|error| {
                tracing::warn!(%job, %lease, %error, "what is kept of a lease can't be read");
                None
            }),
        };
        if let Some(mut row) = row {
            // Of one that is held, memory knows the steps best.
            if let Some(held) = self.state.leases.get(&lease) {
                row.record.steps = held.record.steps;
            }
            change(&mut row.record);
            self.put_lease(row);
        }
    }

    fn put_lease(&mut self, row: LeaseRow) {
        let id = row.record.id;
        let before = match row.record.outcome {
            LeaseOutcome::Open => self.state.leases.insert(id, row.clone()),
            LeaseOutcome::Reported
            | LeaseOutcome::Returned
            | LeaseOutcome::Lapsed
            | LeaseOutcome::Refused
            | LeaseOutcome::Ended => self.state.leases.remove(&id),
        };
        self.pending.undo(move |state: &mut State| {
            match before {
                Some(before) => state.leases.insert(id, before),
                None => state.leases.remove(&id),
            };
        });
        self.pending.leases.insert(id, row);
    }
}

impl DriverHandle {
    /// The steps of those leases that are held.
    pub(crate) async fn held_steps(
        &self,
        wanted: impl Fn(&LeaseRow) -> bool + Send + 'static,
    ) -> Result<HashMap<LeaseId, u64>, DriverError> {
        self.read(move |driver| {
            let held = driver.state.leases.values().filter(|row| wanted(row));
            Ok(held.map(|row| (row.record.id, row.record.steps)).collect())
        })
        .await
    }
}
