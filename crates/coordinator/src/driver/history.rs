//! Lease history: the outcome of each lease, each device's total contribution, and the contribution of
//! all devices by day.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use federation::machine::LeaseEnd;
use federation::table::Durability;
use protocol::fingerprint::Backend;
use protocol::lease::{Lease, LeaseOutcome, LeaseRecord, ReturnReason};
use protocol::metrics::TrainMetrics;
use protocol::{DeviceId, JobId, LeaseId, Timestamp};

use super::lease_records::open_record;
use super::{Driver, DriverError, DriverHandle};
use crate::clock;
use crate::store::{LeaseRow, Trim};
use protocol::usage::watts;

/// Retention time of leases and days.
pub(crate) const KEPT: Duration = Duration::from_hours(30 * 24);
/// Interval between two removals of expired history.
pub(super) const TRIM_EVERY: Duration = Duration::from_hours(1);

/// Returns the recorded outcome and reason of a lease that its device did not end.
pub(super) const fn lease_end_reason(why: LeaseEnd) -> (LeaseOutcome, &'static str) {
    match why {
        LeaseEnd::Lapsed => (LeaseOutcome::Lapsed, "offline or stalled"),
        LeaseEnd::Superseded => (LeaseOutcome::Ended, "another device was faster"),
        LeaseEnd::RoundClosed => (LeaseOutcome::Ended, "the round closed without it"),
        LeaseEnd::DeviceGone => (LeaseOutcome::Ended, "the device was revoked or removed"),
        LeaseEnd::Stopped => (LeaseOutcome::Ended, "the job stopped"),
    }
}

impl Driver {
    /// Records a granted lease. A device that asks again gets the lease that it holds, so the lease may be
    /// recorded already.
    pub(super) fn lease_granted(&mut self, lease: &Lease) {
        if self.has_open_record(lease.id) {
            return;
        }
        self.state.leased_jobs.insert(lease.job_id);
        let row = open_record(lease, self.state.devices.get(&lease.device_id));
        // The machine stores it. The record is written when the lease ends.
        self.state.leases.insert_with(lease.id, Durability::Derived, row);
    }

    /// Counts a lease's steps in memory; they are stored when the lease ends.
    pub(super) fn lease_stepped(&mut self, lease: LeaseId, step: u64) {
        if let Some(row) = self.state.leases.get_mut(&lease) {
            row.record.steps = row.record.steps.max(step);
        }
    }

    /// Reopens the record of a lapsed lease that its device renewed.
    pub(super) fn lease_renewed(&mut self, job: JobId, lease: LeaseId) {
        if self.has_open_record(lease) {
            return;
        }
        let row = self.state.jobs.get(&job);
        if row.is_some_and(|row| row.machine.is_held(lease)) {
            self.change_lease(job, lease, |record| {
                (record.outcome, record.ended_at, record.reason) = (LeaseOutcome::Open, None, None);
            });
        }
    }

    /// Records that a device returned a lease.
    pub(super) fn lease_returned(&mut self, job: JobId, lease: LeaseId, reason: ReturnReason) {
        // A lapsed lease stays lapsed.
        if self.has_open_record(lease) {
            self.lease_ended(job, lease, LeaseOutcome::Returned, reason.to_text());
        }
    }

    /// Records the end of a lease.
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

    /// Records a lease whose update was accepted, and adds its work to the totals of the device and the
    /// day.
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
        // No event announces it: dashboards would reload the device after each lease.
        let watts = self.state.devices.change(&device, Durability::Commit, |row| {
            if row.contributed_on != date {
                row.contributed_on.clone_from(&date);
                row.contribution.seconds_today = 0.0;
            }
            row.contribution.examples += metrics.examples;
            row.contribution.leases += 1;
            row.contribution.seconds += metrics.seconds;
            row.contribution.seconds_today += metrics.seconds;
            watts(&row.device_type, backend)
        });
        let Some(watts) = watts else { return };
        self.state.days.ensure(date.clone(), Durability::Commit);
        self.state.days.change(&date, Durability::Commit, |day| {
            match backend {
                Backend::Cpu => day.cpu_seconds += metrics.seconds,
                Backend::Wgpu => day.gpu_seconds += metrics.seconds,
            }
            day.examples += metrics.examples;
            day.leases += 1;
            day.watt_hours += watts * metrics.seconds / 3600.0;
        });
        if metrics.seconds > 0.0 {
            self.record_throughput(device, metrics.examples as f64 / metrics.seconds);
        }
    }

    /// Sets the device's reported speed; a crash may lose it.
    pub(super) fn record_throughput(&mut self, device: DeviceId, examples_per_second: f64) {
        if let Some(row) = self.state.devices.get_mut(&device)
            && examples_per_second.is_finite()
            && examples_per_second >= 0.0
        {
            row.examples_per_second = Some(examples_per_second);
            self.pending.defer_device(device);
        }
    }

    /// Removes history that is older than [`KEPT`].
    pub(super) fn trim_history(&mut self, now: Timestamp) {
        self.trim_at = now.after(TRIM_EVERY);
        let before = now.before(KEPT);
        let date = clock::date(before);
        let old = self.state.days.keys().filter(|day| **day < date);
        for day in old.cloned().collect::<Vec<_>>() {
            self.state.days.remove(&day);
        }
        let jobs = self.state.leased_jobs.drain().collect();
        // If the commit fails, the next trim after a grant removes it.
        self.pending.trim = Some(Trim { before, jobs, date });
    }

    /// Changes the record of a lease, held or ended. Does nothing if there is none.
    fn change_lease(&mut self, job: JobId, lease: LeaseId, change: impl FnOnce(&mut LeaseRecord)) {
        let row = match self.state.leases.get(&lease) {
            Some(row) => Some(row.clone()),
            None => self.store.lease(job, lease).unwrap_or_else(|error| {
                tracing::warn!(%job, %lease, %error, "the record of a lease can't be read");
                None
            }),
        };
        if let Some(mut row) = row {
            change(&mut row.record);
            self.state.leases.insert(lease, row);
        }
    }

    /// Returns whether the record of a lease says that it is held.
    fn has_open_record(&self, lease: LeaseId) -> bool {
        self.state.leases.get(&lease).is_some_and(LeaseRow::is_open)
    }
}

impl DriverHandle {
    /// Returns the records of the held leases that `wanted` selects.
    pub(crate) async fn held_leases(
        &self,
        wanted: impl Fn(&LeaseRow) -> bool + Send + 'static,
    ) -> Result<HashMap<LeaseId, LeaseRow>, DriverError> {
        self.read(move |driver| {
            let leases = &driver.state.leases;
            let new = leases.changed().filter(|(_, before)| before.is_none());
            let uncommitted: HashSet<LeaseId> = new.map(|(lease, _)| *lease).collect();
            let held = leases.values().filter(|row| row.is_open() && wanted(row));
            let held = held.filter(|row| !uncommitted.contains(&row.record.id));
            Ok(held.map(|row| (row.record.id, row.clone())).collect())
        })
        .await
    }
}
