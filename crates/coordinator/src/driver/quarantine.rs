//! Quarantine: devices that get no work until an administrator releases them.
//!
//! An administrator quarantines a device, or the coordinator does after three rejected updates with evidence
//! against the device: updates of several jobs, or seats for which another device's update was accepted. A job
//! that did not complete is no evidence, because it probably diverged. The coordinator never quarantines the
//! only device that can work: nothing could contradict it, and every job would wait.

use std::time::Duration;

use federation::machine::{Event, RejectedEvent};
use protocol::audit::{Action, SubjectKind};
use protocol::device::{Device, Quarantine};
use protocol::lease::LeaseOutcome;
use protocol::notice::NoticeKind;
use protocol::{BlobHash, DeviceId, JobId, LeaseId};

use super::audited::Audited;
use super::{Driver, DriverError};
use crate::access::caller::{Caller, detail};
use crate::clock;
use crate::store::{DeviceRow, RefusedUpdate};

/// Number of rejected updates that quarantine a device.
const MOST_REFUSED: usize = 3;
/// Time after which a rejected update no longer counts.
const REMEMBERED: Duration = Duration::from_hours(30 * 24);

impl Driver {
    /// Handles an invalid update: ends its lease, and counts a failure for its seat and, once for
    /// each lease, for its device.
    pub(super) fn refuse_update(
        &mut self,
        lease: LeaseId,
        device: DeviceId,
        blob: BlobHash,
        reason: &str,
    ) -> Result<(), DriverError> {
        let now = clock::now();
        let job = self.renew(now, lease, device)?;
        self.garbage.insert(blob);
        let row = self.state.devices.get(&device).ok_or(DriverError::UnknownDevice(device))?;
        if row.refused.iter().any(|refused| refused.lease == lease) {
            return Ok(());
        }
        let mut refused: Vec<RefusedUpdate> = row.refused.clone();
        refused.retain(|earlier| now.since(earlier.at) <= REMEMBERED);
        let reason = reason.to_owned();
        refused.push(RefusedUpdate {
            lease,
            job,
            at: now,
            reason: reason.clone(),
            contradicted: false,
        });
        let count = refused.len();
        tracing::warn!(%job, %lease, %device, count, %reason, "rejected an update");
        self.change_device(device, move |row| row.refused = refused);
        self.judge(device);
        // Last, because this may end the job, which removes the count made above.
        match self.apply(now, job, Event::Refused { lease, device, reason }) {
            Ok(_) => {
                self.lease_ended(job, lease, LeaseOutcome::Refused, "its update was rejected");
                Ok(())
            }
            // Another update had taken the seat, or the lease had already ended.
            Err(DriverError::Rejected(RejectedEvent::UnknownLease { .. })) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Records that the update of `lease` was accepted for a seat on which other devices' updates were
    /// rejected.
    pub(super) fn contradict(&mut self, job: JobId, lease: LeaseId) {
        let Some(row) = self.state.jobs.get(&job) else { return };
        let bad = row.machine.rejected_on_same_seat(lease);
        if bad.is_empty() {
            return;
        }
        let is_bad = |it: &RefusedUpdate| bad.contains(&it.lease);
        let blamed = |row: &&DeviceRow| row.refused.iter().any(is_bad);
        let devices: Vec<DeviceId> =
            self.state.devices.values().filter(blamed).map(|row| row.id).collect();
        for device in devices {
            let bad = bad.clone();
            self.change_device(device, move |row| {
                for refused in &mut row.refused {
                    refused.contradicted |= bad.contains(&refused.lease);
                }
            });
            self.judge(device);
        }
    }

    /// Quarantines the device if there is enough evidence against it.
    fn judge(&mut self, device: DeviceId) {
        let Some(row) = self.state.devices.get(&device) else { return };
        let count = evidence(&row.refused);
        if count < MOST_REFUSED || !self.has_other_device(device) {
            return;
        }
        let last = row.refused.last().map_or("", |refused| &refused.reason);
        let reason = format!("{count} updates were rejected; last reason: {last}");
        let quarantine = Quarantine { since: clock::now(), reason, by: None };
        self.quarantine(&Caller::coordinator(), device, quarantine);
    }

    /// Returns whether another device can work now.
    fn has_other_device(&self, device: DeviceId) -> bool {
        let (now, offline_after) = (clock::now(), self.offline_after());
        self.state.devices.values().any(|row| {
            row.id != device
                && row.quarantined.is_none()
                && row.approval.is_none()
                && crate::views::is_active(row, now, offline_after)
        })
    }

    /// Quarantines the device. Does nothing if it already is, except that an administrator's
    /// quarantine replaces the coordinator's: forgiving the updates of a failed job doesn't lift
    /// it.
    fn quarantine(&mut self, caller: &Caller, device: DeviceId, quarantine: Quarantine) {
        let Some(row) = self.state.devices.get(&device) else { return };
        let stays = |there: &Quarantine| there.by.is_some() || quarantine.by.is_none();
        if row.quarantined.as_ref().is_some_and(stays) {
            return;
        }
        let (name, reason) = (row.name.clone(), quarantine.reason.clone());
        let mut text = format!("{name} gets no work: {reason}");
        if !self.has_other_device(device) {
            text.push_str(
                "; no other device can work now, so jobs wait until this one is released \
                 (`constellation device release`, or its page)",
            );
        }
        let detail = detail([("name", name), ("reason", reason)]);
        self.record(caller, Action::Quarantined, SubjectKind::Device, device, detail);
        self.change_device(device, move |row| row.quarantined = Some(quarantine));
        self.end_leases_of(device);
        self.raise(NoticeKind::DeviceQuarantined, Some(device.to_string()), text);
    }

    /// Quarantines a device for an administrator.
    fn quarantine_by_hand(
        &mut self,
        caller: &Caller,
        device: DeviceId,
        reason: String,
    ) -> Result<Device, DriverError> {
        let row = self.state.devices.get(&device).ok_or(DriverError::UnknownDevice(device))?;
        if row.revoked {
            return Err(DriverError::DeviceRevoked(row.name.clone()));
        }
        let quarantine = Quarantine { since: clock::now(), reason, by: Some(caller.name()) };
        self.quarantine(caller, device, quarantine);
        self.shown_device(device)
    }

    /// Releases a device from quarantine and clears its rejected updates.
    fn release(&mut self, device: DeviceId) -> Result<Device, DriverError> {
        let row = self.state.devices.get(&device).ok_or(DriverError::UnknownDevice(device))?;
        if row.quarantined.is_none() {
            return Err(DriverError::NotQuarantined(device));
        }
        self.set_free(device, Vec::new());
        self.shown_device(device)
    }

    pub(super) fn shown_device(&self, device: DeviceId) -> Result<Device, DriverError> {
        let row = self.state.devices.get(&device).ok_or(DriverError::UnknownDevice(device))?;
        let now = clock::now();
        Ok(row.view(crate::views::is_active(row, now, self.offline_after()), now))
    }

    /// Clears the rejected updates of a job that did not complete, so that no device is blamed for it.
    /// Contradicted ones stay.
    pub(super) fn forgive(&mut self, job: JobId) {
        let is_forgiven = |it: &RefusedUpdate| it.job == job && !it.contradicted;
        let blamed = |row: &&DeviceRow| row.refused.iter().any(is_forgiven);
        let blamed: Vec<DeviceRow> = self.state.devices.values().filter(blamed).cloned().collect();
        for row in blamed {
            let rest: Vec<RefusedUpdate> =
                row.refused.into_iter().filter(|refused| !is_forgiven(refused)).collect();
            let by_itself = row.quarantined.as_ref().is_some_and(|there| there.by.is_none());
            if by_itself && evidence(&rest) < MOST_REFUSED {
                let detail = detail([("name", row.name), ("failed_job", job.to_string())]);
                let coordinator = Caller::coordinator();
                self.record(&coordinator, Action::Released, SubjectKind::Device, row.id, detail);
                self.set_free(row.id, rest);
            } else {
                self.change_device(row.id, move |row| row.refused = rest);
            }
        }
    }

    fn set_free(&mut self, device: DeviceId, refused: Vec<RefusedUpdate>) {
        self.change_device(device, move |row| {
            row.quarantined = None;
            row.refused = refused;
        });
        self.end_notice(NoticeKind::DeviceQuarantined, Some(&device.to_string()));
        self.recheck_long_polls = true;
    }

    pub(super) fn is_quarantined(&self, device: DeviceId) -> bool {
        self.state.devices.get(&device).is_some_and(|row| row.quarantined.is_some())
    }
}

/// Returns the number of rejected updates that are evidence against their device. A single job can be at fault
/// itself, unless another device's update was accepted for the same seat.
fn evidence(refused: &[RefusedUpdate]) -> usize {
    let several_jobs = refused.windows(2).any(|pair| pair[0].job != pair[1].job);
    if several_jobs {
        return refused.len();
    }
    refused.iter().filter(|refused| refused.contradicted).count()
}

impl Audited<'_> {
    /// Gives a device no work until it is released.
    pub(crate) async fn quarantine(
        &self,
        device: DeviceId,
        reason: String,
    ) -> Result<Device, DriverError> {
        self.write(move |driver, caller| driver.quarantine_by_hand(caller, device, reason)).await
    }

    /// Releases a device from quarantine.
    pub(crate) async fn release(&self, device: DeviceId) -> Result<Device, DriverError> {
        self.write(move |driver, caller| {
            let view = driver.release(device)?;
            let detail = detail([("name", view.name.clone())]);
            driver.record(caller, Action::Released, SubjectKind::Device, device, detail);
            Ok(view)
        })
        .await
    }
}
