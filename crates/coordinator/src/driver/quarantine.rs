//! Devices that get no work until an administrator releases them: one puts them there, or their
//! updates were refused three times. A job that fails on several devices is to blame itself: what was
//! refused under it counts against nobody.

use std::time::Duration;

use federation::machine::{Event, Rejection};
use protocol::audit::{Action, SubjectKind};
use protocol::device::{Device, Quarantine};
use protocol::lease::LeaseOutcome;
use protocol::notice::NoticeKind;
use protocol::{BlobHash, DeviceId, JobId, LeaseId};

use super::by::By;
use super::{Driver, Refusal};
use crate::caller::{Caller, detail};
use crate::clock;
use crate::store::{DeviceRow, RefusedUpdate};

/// Refused updates that put a device in quarantine.
const MOST_REFUSED: usize = 3;
/// A refused update is forgotten after this long.
const REMEMBERED: Duration = Duration::from_hours(30 * 24);

impl Driver {
    /// An update was found bad: its lease ends, its seat counts a failure, and so does the device,
    /// once a lease.
    pub(super) fn refuse_update(
        &mut self,
        lease: LeaseId,
        device: DeviceId,
        blob: BlobHash,
        reason: &str,
    ) -> Result<(), Refusal> {
        let now = clock::now();
        let job = self.renew(now, lease, device)?;
        self.garbage.insert(blob);
        let row = self.state.devices.get(&device).ok_or(Refusal::UnknownDevice(device))?;
        if row.refused.iter().any(|refused| refused.lease == lease) {
            return Ok(());
        }
        let mut refused: Vec<RefusedUpdate> = row.refused.clone();
        refused.retain(|earlier| now.since(earlier.at) <= REMEMBERED);
        refused.push(RefusedUpdate { lease, job, at: now });
        let count = refused.len();
        tracing::warn!(%job, %lease, %device, count, reason, "an update was refused");
        self.change_device(device, move |row| row.refused = refused);
        if count >= MOST_REFUSED {
            let reason = format!("{count} updates were refused; the last: {reason}");
            self.quarantine(
                &Caller::coordinator(),
                device,
                Quarantine { since: now, reason, by: None },
            );
        }
        // Last, for it may end the job and with that take back what was just counted.
        let reason = reason.to_owned();
        match self.apply(now, job, Event::Refused { lease, device, reason }) {
            Ok(_) => {
                self.lease_ended(job, lease, LeaseOutcome::Refused, "its update was refused");
                Ok(())
            }
            // Another update had taken the seat, or the lease had ended before.
            Err(Refusal::Rejected(Rejection::UnknownLease { .. })) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Nothing changes where it is there already, but that an administrator's word takes the place of
    /// the coordinator's: a job that is to blame doesn't take that back.
    fn quarantine(&mut self, caller: &Caller, device: DeviceId, quarantine: Quarantine) {
        let Some(row) = self.state.devices.get(&device) else { return };
        let stays = |there: &Quarantine| there.by.is_some() || quarantine.by.is_none();
        if row.quarantined.as_ref().is_some_and(stays) {
            return;
        }
        let (name, reason) = (row.name.clone(), quarantine.reason.clone());
        let text = format!("{name} gets no work: {reason}");
        let detail = detail([("name", name), ("reason", reason)]);
        self.record(caller, Action::Quarantined, SubjectKind::Device, device, detail);
        self.change_device(device, move |row| row.quarantined = Some(quarantine));
        self.end_leases_of(device);
        self.raise(NoticeKind::DeviceQuarantined, Some(device.to_string()), text);
    }

    /// An administrator lets a device get no work.
    fn quarantine_by_hand(
        &mut self,
        caller: &Caller,
        device: DeviceId,
        reason: String,
    ) -> Result<Device, Refusal> {
        let row = self.state.devices.get(&device).ok_or(Refusal::UnknownDevice(device))?;
        if row.revoked {
            return Err(Refusal::RevokedAnyway(row.name.clone()));
        }
        let quarantine = Quarantine { since: clock::now(), reason, by: Some(caller.name()) };
        self.quarantine(caller, device, quarantine);
        self.shown_device(device)
    }

    /// Lets a device work again; what was refused of it is forgotten.
    fn release(&mut self, device: DeviceId) -> Result<Device, Refusal> {
        let row = self.state.devices.get(&device).ok_or(Refusal::UnknownDevice(device))?;
        if row.quarantined.is_none() {
            return Err(Refusal::NotQuarantined(device));
        }
        self.set_free(device, Vec::new());
        self.shown_device(device)
    }

    pub(super) fn shown_device(&self, device: DeviceId) -> Result<Device, Refusal> {
        let row = self.state.devices.get(&device).ok_or(Refusal::UnknownDevice(device))?;
        let now = clock::now();
        Ok(row.view(crate::views::is_active(row, now, self.offline_after()), now))
    }

    /// The job failed by its own fault: no device is blamed for what was refused under it.
    pub(super) fn forgive(&mut self, job: JobId) {
        let blamed = |row: &&DeviceRow| row.refused.iter().any(|refused| refused.job == job);
        let blamed: Vec<DeviceRow> = self.state.devices.values().filter(blamed).cloned().collect();
        for row in blamed {
            let rest: Vec<RefusedUpdate> =
                row.refused.into_iter().filter(|refused| refused.job != job).collect();
            let by_itself = row.quarantined.as_ref().is_some_and(|there| there.by.is_none());
            if by_itself && rest.len() < MOST_REFUSED {
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
        self.work_may_be_there = true;
    }

    pub(super) fn is_quarantined(&self, device: DeviceId) -> bool {
        self.state.devices.get(&device).is_some_and(|row| row.quarantined.is_some())
    }

    fn change_device(&mut self, device: DeviceId, change: impl FnOnce(&mut DeviceRow)) {
        let Some(row) = self.state.devices.get_mut(&device) else { return };
        let before = (row.quarantined.clone(), row.refused.clone());
        change(row);
        self.pending.undo(move |state| {
            if let Some(row) = state.devices.get_mut(&device) {
                (row.quarantined, row.refused) = before;
            }
        });
        self.pending.device_changed(device);
    }
}

impl By<'_> {
    /// Gives a device no work until it is released.
    pub(crate) async fn quarantine(
        &self,
        device: DeviceId,
        reason: String,
    ) -> Result<Device, Refusal> {
        self.write(move |driver, caller| driver.quarantine_by_hand(caller, device, reason)).await
    }

    /// Lets a device out of quarantine.
    pub(crate) async fn release(&self, device: DeviceId) -> Result<Device, Refusal> {
        self.write(move |driver, caller| {
            let view = driver.release(device)?;
            let detail = detail([("name", view.name.clone())]);
            driver.record(caller, Action::Released, SubjectKind::Device, device, detail);
            Ok(view)
        })
        .await
    }
}
