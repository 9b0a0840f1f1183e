//! Devices: heartbeats, changes and removal.

use std::time::Duration;

use federation::machine::Event;
use federation::table::Durability;
use protocol::api::{ChangeKind, Role};
use protocol::audit::{Action, SubjectKind};
use protocol::device::{
    Device, DeviceChange, DeviceState, Heartbeat, HeartbeatAnswer, RemovedDevice,
};
use protocol::notice::NoticeKind;
use protocol::{DeviceId, Timestamp};

use super::approval;
use super::audited::Audited;
use super::{Driver, DriverError, TokenText};
use crate::access::caller::detail;
use crate::clock;
use crate::poll_interval;
use crate::store::{DeviceRow, TokenRow};
use crate::views::is_active;

impl Driver {
    pub(super) fn heartbeat(
        &mut self,
        device: DeviceId,
        said: &Heartbeat,
    ) -> Result<HeartbeatAnswer, DriverError> {
        let now = clock::now();
        self.check_session(device, said.session.as_ref(), now)?;
        self.record_contact(device, now)?;
        self.begin_session(device, said.session.clone());
        let row = self.state.devices.get(&device);
        if row.is_some_and(|row| (row.state, row.reason) != (said.state, said.reason)) {
            let (state, reason) = (said.state, said.reason);
            self.change_device(device, |row| (row.state, row.reason) = (state, reason));
        }
        if said.state == DeviceState::Offline {
            self.state.active.remove(&device);
        }
        let lease_held = said.lease.is_none_or(|lease| {
            let job = self.renew(now, lease, device).ok();
            let row = job.and_then(|job| self.state.jobs.get(&job));
            row.is_some_and(|row| row.machine.is_held(lease))
        });
        let row = self.state.devices.get(&device);
        let awaiting_approval = row.is_some_and(|row| row.approval.is_some());
        let quarantined = row.and_then(approval::suspension);
        let answer = poll_interval::heartbeat_answer(self.state.devices.len(), lease_held);
        Ok(HeartbeatAnswer { quarantined, awaiting_approval, ..answer })
    }

    pub(super) fn offline_after(&self) -> Duration {
        poll_interval::offline_after(self.state.devices.len())
    }

    /// Records a heartbeat.
    pub(super) fn record_contact(
        &mut self,
        device: DeviceId,
        now: Timestamp,
    ) -> Result<(), DriverError> {
        let row = self.state.devices.get_mut(&device).ok_or(DriverError::UnknownDevice(device))?;
        row.last_seen = row.last_seen.max(now);
        if row.state == DeviceState::Offline {
            row.state = DeviceState::Waiting;
        }
        self.views.publish_device(row.clone());
        self.pending.defer_device(device);
        if self.state.active.insert(device) {
            self.pending.changed(ChangeKind::Device, device.to_string());
        }
        Ok(())
    }

    /// Applies the heartbeats that were recorded without the driver.
    pub(super) fn take_heartbeats(&mut self) {
        for (device, at) in self.views.take_heartbeats() {
            if let Some(row) = self.state.devices.get_mut(&device) {
                row.last_seen = row.last_seen.max(at);
                self.pending.defer_device(device);
            }
        }
    }

    /// Publishes an event for each device that went silent.
    pub(super) fn find_silent_devices(&mut self, now: Timestamp) {
        self.take_heartbeats();
        let devices = &self.state.devices;
        let offline_after = self.offline_after();
        let silent: Vec<DeviceId> = self
            .state
            .active
            .iter()
            .filter(|id| devices.get(id).is_none_or(|row| !is_active(row, now, offline_after)))
            .copied()
            .collect();
        for id in silent {
            self.state.active.remove(&id);
            self.pending.changed(ChangeKind::Device, id.to_string());
        }
    }

    /// Changes a device. Does nothing if there is none.
    pub(super) fn change_device(&mut self, device: DeviceId, change: impl FnOnce(&mut DeviceRow)) {
        if self.state.devices.change(&device, Durability::Commit, change).is_some() {
            self.pending.changed(ChangeKind::Device, device.to_string());
        }
    }

    /// Sets the device's labels and a name that re-enrollment keeps.
    fn name_and_label(
        &mut self,
        device: DeviceId,
        change: DeviceChange,
    ) -> Result<Device, DriverError> {
        self.change_device(device, |row| {
            if let Some(name) = change.name {
                (row.name, row.is_named) = (name, true);
            }
            if let Some(labels) = change.labels {
                row.labels = labels;
            }
        });
        self.recheck_long_polls = true;
        self.shown_device(device)
    }

    /// Ends the device's token and leases at once.
    pub(super) fn revoke(&mut self, device: DeviceId) -> Result<Device, DriverError> {
        self.change_device(device, |row| row.revoked = true);
        let view = self.shown_device(device)?;
        self.end_access(device);
        Ok(view)
    }

    pub(super) fn clean_up(&mut self, unheard_for: Duration) -> Vec<RemovedDevice> {
        self.take_heartbeats();
        let now = clock::now();
        let gone = |row: &&DeviceRow| row.revoked || now.since(row.last_seen) >= unheard_for;
        let named = |row: &DeviceRow| RemovedDevice { id: row.id, name: row.name.clone() };
        let gone: Vec<RemovedDevice> =
            self.state.devices.values().filter(gone).map(named).collect();
        for RemovedDevice { id, .. } in &gone {
            self.forget(*id);
        }
        gone
    }

    /// Removes a device at its own request, with its token and leases.
    pub(super) fn leave(&mut self, device: DeviceId) -> Result<(), DriverError> {
        if self.state.devices.get(&device).is_none() {
            return Err(DriverError::UnknownDevice(device));
        }
        self.forget(device);
        Ok(())
    }

    pub(super) fn forget(&mut self, device: DeviceId) {
        self.end_access(device);
        self.state.devices.remove(&device);
        self.pending.changed(ChangeKind::Device, device.to_string());
    }

    fn end_access(&mut self, device: DeviceId) {
        self.end_notice(NoticeKind::DeviceAwaitingApproval, Some(&device.to_string()));
        self.state.active.remove(&device);
        self.views.traffic.forget(device);
        self.state.runs.remove(&device);
        self.long_polls.remove(device);
        self.drop_device_tokens(device);
        self.end_leases_of(device);
    }

    /// Frees the seats that the device holds, for other devices.
    pub(super) fn end_leases_of(&mut self, device: DeviceId) {
        let now = clock::now();
        let jobs =
            self.state.jobs.values().filter(|row| Self::is_open(row) && row.machine.holds(device));
        for job in jobs.map(|row| row.id).collect::<Vec<_>>() {
            if let Err(error) = self.apply(now, job, Event::DeviceGone { device }) {
                tracing::error!(%job, %device, %error, "could not end a device's lease");
            }
        }
    }

    pub(super) fn drop_device_tokens(&mut self, device: DeviceId) {
        let of_device = |row: &&TokenRow| row.device == Some(device);
        let ids: Vec<String> =
            self.state.tokens.values().filter(of_device).map(|row| row.id.clone()).collect();
        for id in ids {
            self.drop_token(&id);
        }
    }

    /// Creates a token. Its secret is returned only this once.
    pub(super) fn new_token(
        &mut self,
        role: Role,
        name: String,
        device: Option<DeviceId>,
        expires_at: Option<Timestamp>,
    ) -> TokenText {
        let token = TokenText::generate(role);
        let row = TokenRow { expires_at, ..token.row(role, name, device, clock::now()) };
        let id = row.id.clone();
        self.state.tokens.insert(id, row);
        token
    }

    pub(super) fn drop_token(&mut self, id: &String) {
        self.state.tokens.remove(id);
    }
}

impl Audited<'_> {
    pub(crate) async fn change_device(
        &self,
        device: DeviceId,
        change: DeviceChange,
    ) -> Result<Device, DriverError> {
        self.write(move |driver, caller| {
            let view = driver.name_and_label(device, change)?;
            let labels = view.labels.join(", ");
            let detail = detail([("name", view.name.clone()), ("labels", labels)]);
            driver.record(caller, Action::Changed, SubjectKind::Device, device, detail);
            Ok(view)
        })
        .await
    }
}
