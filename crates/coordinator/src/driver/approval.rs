//! Approval of a known machine's new key.
//!
//! A join code authorizes a machine but can't prove which machine it is. If a registration has the
//! hardware id of a known machine but another key, the device gets a second record. An
//! administrator approves or revokes that record.
//!
//! Until then, the old record keeps its token, labels and leases. The new record has no labels and
//! gets no work. A machine has at most one waiting record.

use protocol::DeviceId;
use protocol::api::ChangeKind;
use protocol::audit::{Action, SubjectKind};
use protocol::device::{ApprovalRequest, Device, PendingApproval, Quarantine};
use protocol::notice::NoticeKind;

use super::audited::Audited;
use super::device_index::FindDevice;
use super::{Driver, DriverError, EnrollmentCredential};
use crate::access::caller::{Caller, detail};
use crate::clock;
use crate::store::{DeviceNote, DeviceRow};

/// Reason that the device's owner sees while the device waits for approval.
const REASON: &str = "Waiting for an administrator to approve this Mac";

/// Returns the reason why the device gets no work, for heartbeat responses: its quarantine, or that
/// it waits for approval. Both have the form of a quarantine, which older workers can show too.
pub(super) fn suspension(row: &DeviceRow) -> Option<Quarantine> {
    let waiting = row.approval.as_ref().map(|_| Quarantine {
        since: row.created_at,
        reason: REASON.to_owned(),
        by: None,
    });
    row.quarantined.clone().or(waiting)
}

/// Result of an approval, for the audit log.
struct Approved {
    view: Device,
    /// The record that was removed. `None` if it was already gone.
    superseded: Option<DeviceRow>,
}

impl Driver {
    /// Removes the waiting record of `row`'s machine, if there is one, because `row` replaces it.
    pub(super) fn remove_pending_record(&mut self, row: &DeviceRow) {
        let earlier = self.state.devices.pending_by_hardware(&row.hardware_id, row.instance);
        let Some((id, name)) = earlier.map(|earlier| (earlier.id, earlier.name.clone())) else {
            return;
        };
        self.forget(id);
        let detail = detail([("name", name), ("superseded_by", row.id.to_string())]);
        self.record(&Caller::coordinator(), Action::Removed, SubjectKind::Device, id, detail);
    }

    /// Updates the machine's waiting record, if there is one. The record that an approval would
    /// have removed no longer exists; an approval now removes `row`.
    pub(super) fn update_pending_record(&mut self, row: &DeviceRow) {
        let waiting = self.state.devices.pending_by_hardware(&row.hardware_id, row.instance);
        let Some(id) = waiting.map(|waiting| waiting.id) else { return };
        let approval = PendingApproval { replaces: row.id, name: row.name.clone() };
        self.change_device(id, move |waiting| waiting.approval = Some(approval));
    }

    /// Approves a waiting record at once if an administrator's token authorized the enrollment.
    /// Otherwise, raises a notice for administrators.
    ///
    /// Returns whether the record still waits.
    pub(super) fn approve_or_notify(
        &mut self,
        device: DeviceId,
        credential: EnrollmentCredential,
    ) -> Result<bool, DriverError> {
        let row = self.state.devices.get(&device);
        let Some((name, approval)) =
            row.and_then(|row| Some((row.name.clone(), row.approval.clone()?)))
        else {
            return Ok(false);
        };
        match credential {
            EnrollmentCredential::Admin => {
                self.approve(device, ApprovalRequest::default())?;
                Ok(false)
            }
            EnrollmentCredential::Code(_) => {
                let text = format!(
                    "{name} shows a new key on the machine of {}. Approve or revoke it",
                    approval.name
                );
                let kind = NoticeKind::DeviceAwaitingApproval;
                self.raise(kind, Some(device.to_string()), text);
                Ok(true)
            }
        }
    }

    /// Replaces the machine's earlier record with this one. Ends the earlier record's token and
    /// leases.
    fn approve(
        &mut self,
        device: DeviceId,
        request: ApprovalRequest,
    ) -> Result<Approved, DriverError> {
        let row = self.state.devices.get(&device).ok_or(DriverError::UnknownDevice(device))?;
        if row.approval.is_none() {
            return Err(DriverError::NotAwaitingApproval(device));
        }
        if row.revoked {
            return Err(DriverError::DeviceRevoked(row.name.clone()));
        }
        let before = row.clone();
        let machine = self.state.devices.by_hardware(&row.hardware_id, row.instance);
        let superseded = machine.cloned();
        let mut approved = DeviceRow { approval: None, ..before.clone() };
        if let Some(old) = &superseded {
            let (own, refused) = (before.quarantined.clone(), before.refused.clone());
            approved.inherit(old, request.keep_labels);
            approved.quarantined = own.or(approved.quarantined);
            approved.refused.extend(refused);
            if before.is_named {
                (approved.name, approved.is_named) = (before.name.clone(), true);
            }
            self.end_notice(NoticeKind::DeviceQuarantined, Some(&old.id.to_string()));
            self.forget(old.id);
        }
        approved.note = before.note.clone().or(Some(DeviceNote::Rekeyed { at: clock::now() }));
        if let Some(quarantine) = &approved.quarantined {
            let text = format!("{} gets no work: {}", approved.name, quarantine.reason);
            self.raise(NoticeKind::DeviceQuarantined, Some(device.to_string()), text);
        }
        self.state.devices.insert(device, approved);
        self.pending.changed(ChangeKind::Device, device.to_string());
        self.end_notice(NoticeKind::DeviceAwaitingApproval, Some(&device.to_string()));
        self.recheck_long_polls = true;
        Ok(Approved { view: self.shown_device(device)?, superseded })
    }
}

impl Audited<'_> {
    /// Approves a known machine's new key.
    pub(crate) async fn approve(
        &self,
        device: DeviceId,
        request: ApprovalRequest,
    ) -> Result<Device, DriverError> {
        self.write(move |driver, caller| {
            let Approved { view, superseded } = driver.approve(device, request)?;
            let mut approved =
                detail([("name", view.name.clone()), ("labels", view.labels.join(", "))]);
            if let Some(old) = superseded {
                approved.insert("replaces".to_owned(), old.id.to_string());
                let removed = detail([("name", old.name), ("superseded_by", device.to_string())]);
                driver.record(caller, Action::Removed, SubjectKind::Device, old.id, removed);
            }
            driver.record(caller, Action::Approved, SubjectKind::Device, device, approved);
            Ok(view)
        })
        .await
    }
}
