//! Approving a known machine's new key. A join code vouches for a machine, and cannot prove which one
//! it is: a registration that names a known machine under another key gets a record of its own, and
//! waits beside the old one until an administrator decides.
//!
//! Until then the old record keeps its token, labels and leases, and the new one has no labels and
//! gets no work. A machine has at most one record that waits.

use protocol::DeviceId;
use protocol::audit::{Action, SubjectKind};
use protocol::device::{ApprovalRequest, Device, PendingApproval, Quarantine};
use protocol::notice::NoticeKind;

use super::by::By;
use super::{Driver, Refusal, Voucher};
use crate::caller::{Caller, detail};
use crate::clock;
use crate::store::{DeviceNote, DeviceRow};

/// Why a device that waits for approval gets no work, for its owner.
const REASON: &str = "Waiting for an administrator to approve this Mac";

/// Returns why the device gets no work, as heartbeats say it. Workers that know nothing of approvals
/// show the reason of a quarantine.
pub(super) fn withheld(row: &DeviceRow) -> Option<Quarantine> {
    let waits = row.approval.as_ref().map(|_| Quarantine {
        since: row.created_at,
        reason: REASON.to_owned(),
        by: None,
    });
    row.quarantined.clone().or(waits)
}

/// What an approval did, for the audit log.
struct Approved {
    view: Device,
    /// The record that was removed, unless it was gone before.
    superseded: Option<DeviceRow>,
}

impl Driver {
    /// Removes the record that waited for this machine before `row`.
    pub(super) fn make_room_to_wait(&mut self, row: &DeviceRow) {
        let earlier = self.state.devices.waiting_of(&row.hardware_id, row.instance);
        let Some((id, name)) = earlier.map(|earlier| (earlier.id, earlier.name.clone())) else {
            return;
        };
        self.forget(id);
        let detail = detail([("name", name), ("superseded_by", row.id.to_string())]);
        self.record(&Caller::coordinator(), Action::Removed, SubjectKind::Device, id, detail);
    }

    /// Corrects which record an approval would remove: the machine's old record is gone, and `row` is
    /// its device from now on.
    pub(super) fn name_who_has_the_machine(&mut self, row: &DeviceRow) {
        let waiting = self.state.devices.waiting_of(&row.hardware_id, row.instance);
        let Some(id) = waiting.map(|waiting| waiting.id) else { return };
        let approval = PendingApproval { replaces: row.id, name: row.name.clone() };
        let Some(waiting) = self.state.devices.get_mut(&id) else { return };
        let before = waiting.approval.replace(approval);
        self.pending.undo(move |state| {
            if let Some(waiting) = state.devices.get_mut(&id) {
                waiting.approval = before;
            }
        });
        self.pending.device_changed(id);
    }

    /// Tells administrators of a record that waits; an administrator's token approves it at once.
    /// Returns whether it still waits.
    pub(super) fn settle_approval(
        &mut self,
        device: DeviceId,
        voucher: Voucher,
    ) -> Result<bool, Refusal> {
        let row = self.state.devices.get(&device);
        let Some((name, approval)) =
            row.and_then(|row| Some((row.name.clone(), row.approval.clone()?)))
        else {
            return Ok(false);
        };
        match voucher {
            Voucher::Admin => {
                self.approve(device, ApprovalRequest::default())?;
                Ok(false)
            }
            Voucher::Code(_) => {
                let text = format!(
                    "{name} shows a new key for the machine of {}: approve it or revoke it",
                    approval.name
                );
                let kind = NoticeKind::DeviceAwaitingApproval;
                self.raise(kind, Some(device.to_string()), text);
                Ok(true)
            }
        }
    }

    /// Puts the record in place of its machine's earlier one, whose token and leases end.
    fn approve(&mut self, device: DeviceId, request: ApprovalRequest) -> Result<Approved, Refusal> {
        let row = self.state.devices.get(&device).ok_or(Refusal::UnknownDevice(device))?;
        if row.approval.is_none() {
            return Err(Refusal::NotAwaitingApproval(device));
        }
        if row.revoked {
            return Err(Refusal::RevokedAnyway(row.name.clone()));
        }
        let before = row.clone();
        let machine = self.state.devices.of_machine(&row.hardware_id, row.instance);
        let superseded = machine.cloned();
        let mut approved = DeviceRow { approval: None, ..before.clone() };
        if let Some(old) = &superseded {
            let (own, refused) = (before.quarantined.clone(), before.refused.clone());
            approved.keep(old, request.keep_labels);
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
        self.pending.undo(move |state| drop(state.devices.insert(device, before)));
        self.pending.device_changed(device);
        self.end_notice(NoticeKind::DeviceAwaitingApproval, Some(&device.to_string()));
        self.work_may_be_there = true;
        Ok(Approved { view: self.shown_device(device)?, superseded })
    }
}

impl By<'_> {
    /// Approves a known machine's new key.
    pub(crate) async fn approve(
        &self,
        device: DeviceId,
        request: ApprovalRequest,
    ) -> Result<Device, Refusal> {
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
