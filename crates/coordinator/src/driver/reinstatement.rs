//! Reinstatement of a revoked device: its record may enroll again.
//!
//! The device lost its token when it was revoked, so it needs a join code, as any other device. With its old
//! key, it keeps its record. With a new one, an administrator approves it ([`super::approval`]).

use protocol::DeviceId;
use protocol::audit::{Action, SubjectKind};
use protocol::device::{Device, DeviceState};

use super::audited::Audited;
use super::{Driver, DriverError};
use crate::access::caller::detail;

impl Driver {
    fn reinstate(&mut self, device: DeviceId) -> Result<Device, DriverError> {
        let row = self.state.devices.get(&device).ok_or(DriverError::UnknownDevice(device))?;
        if !row.revoked {
            return Err(DriverError::NotRevoked(row.name.clone()));
        }
        self.change_device(device, |row| {
            row.revoked = false;
            // It has no token, so it can't be active, however recent its last heartbeat is.
            (row.state, row.reason) = (DeviceState::Offline, None);
        });
        self.shown_device(device)
    }
}

impl Audited<'_> {
    /// Lets a revoked device enroll again.
    pub(crate) async fn reinstate(&self, device: DeviceId) -> Result<Device, DriverError> {
        self.write(move |driver, caller| {
            let view = driver.reinstate(device)?;
            let detail = detail([("name", view.name.clone())]);
            driver.record(caller, Action::Reinstated, SubjectKind::Device, device, detail);
            Ok(view)
        })
        .await
    }
}
