//! Device enrollment: identifies the registering machine and decides what its join code allows.

use protocol::api::{ChangeKind, Role};
use protocol::device::PendingApproval;
use protocol::enrollment::{DeviceRegistration, EnrollmentKind, Registered, Session};
use protocol::{DeviceId, Timestamp};
use uuid::Uuid;

use super::device_index::{Devices, FindDevice};
use super::{Driver, DriverError};
use crate::clock;
use crate::poll_interval;
use crate::store::{DeviceNote, DeviceRow};
use crate::views::is_active;

/// Credential that authorizes an enrollment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EnrollmentCredential {
    /// Administrator token.
    Admin,
    /// Join code, identified by the hash of its proof.
    Code([u8; 32]),
}

/// Match between a registering machine and the enrolled devices.
#[derive(Debug, Clone, PartialEq)]
enum DeviceMatch {
    /// The key is known and belongs to this machine.
    Same(DeviceRow),
    /// The machine is known but has a new key.
    Rekeyed(DeviceRow),
    /// Both the key and the machine are unknown.
    New,
}

impl Driver {
    /// Enrolls a device. The caller has checked its signature.
    pub(super) fn register(
        &mut self,
        registration: DeviceRegistration,
        credential: EnrollmentCredential,
    ) -> Result<Registered, DriverError> {
        let now = clock::now();
        let device_match = find_device(&self.state.devices, &registration, now)?;
        let mut known = match &device_match {
            DeviceMatch::Same(row) | DeviceMatch::Rekeyed(row) => Some(row.clone()),
            DeviceMatch::New => None,
        };
        if known.as_ref().is_some_and(|row| row.revoked)
            && credential != EnrollmentCredential::Admin
        {
            return Err(DriverError::Revoked);
        }
        let approval = match (&device_match, credential) {
            (DeviceMatch::Same(row), _) => row.approval.clone(),
            // A join code doesn't prove that the device really is this machine.
            (DeviceMatch::Rekeyed(row), EnrollmentCredential::Code(_)) => {
                known = None;
                Some(PendingApproval { replaces: row.id, name: row.name.clone() })
            }
            (DeviceMatch::Rekeyed(_), EnrollmentCredential::Admin) | (DeviceMatch::New, _) => None,
        };
        if let Some(row) = &known {
            self.check_session(row.id, registration.session.as_ref(), now)?;
        }
        let join_code = match credential {
            EnrollmentCredential::Admin => None,
            EnrollmentCredential::Code(proof) => Some(self.use_code(proof, known.as_ref(), now)?),
        };
        let id = known.as_ref().map_or_else(|| DeviceId::from_uuid(Uuid::now_v7()), |row| row.id);
        let original = registration.copy_of.and_then(|id| self.state.devices.get(&id));
        let note = match (&device_match, original) {
            (DeviceMatch::Same(row), _) => row.note.clone(),
            (DeviceMatch::Rekeyed(_), None) if approval.is_none() => {
                Some(DeviceNote::Rekeyed { at: now })
            }
            (DeviceMatch::Rekeyed(_) | DeviceMatch::New, None) => None,
            (DeviceMatch::Rekeyed(_) | DeviceMatch::New, Some(original)) => {
                Some(DeviceNote::Copy { of: original.name.clone() })
            }
        };
        let enrollment = match (&device_match, &note) {
            (DeviceMatch::Same(_), _) => EnrollmentKind::Same,
            (DeviceMatch::Rekeyed(_) | DeviceMatch::New, Some(DeviceNote::Copy { .. })) => {
                EnrollmentKind::Copy
            }
            (DeviceMatch::Rekeyed(_), _) if approval.is_none() => EnrollmentKind::Rekeyed,
            (DeviceMatch::Rekeyed(_) | DeviceMatch::New, _) => EnrollmentKind::New,
        };
        let session = registration.session.clone();
        let mut row = DeviceRow::new(id, registration, now);
        (row.join_code, row.note, row.approval) = (join_code, note, approval);
        if let Some(known) = &known {
            row.inherit(known, matches!(device_match, DeviceMatch::Same(_)));
        }
        match (&device_match, row.approval.is_some()) {
            (DeviceMatch::Rekeyed(_), true) => self.remove_pending_record(&row),
            (DeviceMatch::New, _) => self.update_pending_record(&row),
            (DeviceMatch::Same(_) | DeviceMatch::Rekeyed(_), _) => {}
        }
        self.state.devices.insert(id, row);
        self.pending.changed(ChangeKind::Device, id.to_string());
        let awaiting_approval = self.approve_or_notify(id, credential)?;
        self.state.active.insert(id);
        self.begin_session(id, session);
        self.drop_device_tokens(id);
        let token = self.new_token(Role::Device, String::new(), Some(id), None);
        let heartbeat_seconds = poll_interval::heartbeat_seconds(self.state.devices.len());
        Ok(Registered { id, token: token.token, heartbeat_seconds, enrollment, awaiting_approval })
    }

    /// Rejects a worker if another worker with the same identity is active. Requests without a
    /// session come from other programs and are not checked.
    pub(super) fn check_session(
        &self,
        device: DeviceId,
        session: Option<&Session>,
        now: Timestamp,
    ) -> Result<(), DriverError> {
        let (Some(session), Some(current)) = (session, self.state.runs.get(&device)) else {
            return Ok(());
        };
        let row =
            self.state.devices.get(&device).filter(|row| is_active(row, now, self.offline_after()));
        match row {
            Some(row) if !session.follows(current) => {
                Err(DriverError::SecondSession { name: row.name.clone() })
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn begin_session(&mut self, device: DeviceId, session: Option<Session>) {
        if let Some(session) = session
            && self.state.runs.get(&device) != Some(&session.id)
        {
            self.state.runs.insert(device, session.id);
        }
    }
}

/// Finds the record of a registering device.
///
/// The key decides first, because the device has proved that it has the key. The hardware id is
/// only a claim, so it gives no access to a record whose device is active: the registration fails
/// until the machine's record, and its record that waits for approval, are both inactive.
fn find_device(
    devices: &Devices,
    registration: &DeviceRegistration,
    now: Timestamp,
) -> Result<DeviceMatch, DriverError> {
    if let Some(row) = devices.by_key(&registration.public_key) {
        let is_same_machine =
            row.hardware_id == registration.hardware_id && row.instance == registration.instance;
        return if is_same_machine {
            Ok(DeviceMatch::Same(row.clone()))
        } else {
            Err(DriverError::CopiedKey { id: row.id, name: row.name.clone() })
        };
    }
    let timeout = poll_interval::offline_after(devices.len());
    let Some(row) = devices.by_hardware(&registration.hardware_id, registration.instance) else {
        return Ok(DeviceMatch::New);
    };
    let waiting = devices.pending_by_hardware(&registration.hardware_id, registration.instance);
    for other in [Some(row), waiting].into_iter().flatten() {
        if is_active(other, now, timeout) {
            let silent = now.since(other.last_seen);
            let seconds = timeout.saturating_sub(silent).as_secs() + 1;
            return Err(DriverError::MachineActive { name: other.name.clone(), seconds });
        }
    }
    Ok(DeviceMatch::Rekeyed(row.clone()))
}

#[cfg(test)]
mod tests {
    use protocol::Opaque;
    use serde_json::json;

    use std::time::Duration;

    use super::super::device_index::DeviceIndex;
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_763_888_400_000);

    fn registration(key: u8, hardware: &str, instance: u32) -> DeviceRegistration {
        serde_json::from_value(json!({
            "name": "a Mac", "device_type": "mac", "cores": 8, "ram_gb": 16.0,
            "gpu_available": false, "hardware_id": hardware, "instance": instance,
            "fingerprint": { "app": "1", "burn": "1", "backend": "cpu", "hardware": "x" },
            "public_key": Opaque(vec![key; 32]), "challenge": "c", "signature": Opaque(vec![0; 64])
        }))
        .unwrap()
    }

    /// Returns device 1, with key 1 on machine "one", last seen at [`NOW`].
    fn devices() -> (Devices, DeviceId) {
        let id = DeviceId::from_uuid(Uuid::from_u128(1));
        let row = DeviceRow::new(id, registration(1, "one", 0), NOW);
        (Devices::stored([(id, row)].into(), DeviceIndex::default()), id)
    }

    #[test]
    fn an_active_device_may_register_again_with_its_key_on_its_machine() {
        let (devices, id) = devices();
        let found = find_device(&devices, &registration(1, "one", 0), NOW).unwrap();
        assert!(matches!(found, DeviceMatch::Same(row) if row.id == id));
    }

    #[test]
    fn a_new_key_on_a_known_machine_is_rejected_until_its_device_is_inactive() {
        let (devices, id) = devices();
        let wiped = registration(2, "one", 0);
        let error = find_device(&devices, &wiped, NOW.after(Duration::from_mins(1))).unwrap_err();
        assert!(matches!(error, DriverError::MachineActive { seconds: 31, .. }), "{error}");
        let found = find_device(&devices, &wiped, NOW.after(Duration::from_secs(91))).unwrap();
        assert!(matches!(found, DeviceMatch::Rekeyed(row) if row.id == id));
    }

    #[test]
    fn a_known_key_on_another_machine_or_instance_is_a_copy() {
        let (devices, id) = devices();
        for elsewhere in [registration(1, "two", 0), registration(1, "one", 1)] {
            let error =
                find_device(&devices, &elsewhere, NOW.after(Duration::from_hours(9))).unwrap_err();
            assert!(
                matches!(&error, DriverError::CopiedKey { id: of, .. } if *of == id),
                "{error}"
            );
        }
    }

    #[test]
    fn another_instance_and_another_machine_are_new_devices() {
        let (devices, _) = devices();
        for other in [registration(2, "one", 1), registration(2, "two", 0)] {
            assert_eq!(find_device(&devices, &other, NOW).unwrap(), DeviceMatch::New);
        }
    }

    #[test]
    fn a_waiting_record_is_found_by_key_but_not_by_hardware_id() {
        let (mut devices, id) = devices();
        let waiting = DeviceId::from_uuid(Uuid::from_u128(2));
        let mut row = DeviceRow::new(waiting, registration(2, "one", 0), NOW);
        row.approval = Some(PendingApproval { replaces: id, name: "a Mac".to_owned() });
        devices.insert(waiting, row.clone());
        assert_eq!(devices.by_hardware("one", 0).unwrap().id, id);
        assert_eq!(devices.pending_by_hardware("one", 0).unwrap().id, waiting);
        assert_eq!(devices.by_key(&Opaque(vec![2; 32])).unwrap().id, waiting);
        // A third key is rejected until the second device is inactive too.
        let late = NOW.after(Duration::from_secs(91));
        devices.get_mut(&waiting).unwrap().last_seen = late;
        let error = find_device(&devices, &registration(3, "one", 0), late).unwrap_err();
        assert!(matches!(error, DriverError::MachineActive { seconds: 91, .. }), "{error}");
        let found =
            find_device(&devices, &registration(3, "one", 0), late.after(Duration::from_secs(91)));
        assert!(matches!(found.unwrap(), DeviceMatch::Rekeyed(row) if row.id == id));

        // Here, the new record takes its place before the old record is removed.
        let approved = DeviceRow { approval: None, ..row.clone() };
        devices.insert(waiting, approved);
        devices.remove(&id);
        assert_eq!(devices.by_hardware("one", 0).unwrap().id, waiting);
        assert!(devices.pending_by_hardware("one", 0).is_none());
    }

    #[test]
    fn a_removed_device_is_not_found() {
        let (mut devices, id) = devices();
        devices.remove(&id);
        assert!(devices.by_key(&Opaque(vec![1; 32])).is_none());
        assert!(devices.by_hardware("one", 0).is_none());
    }

    #[test]
    fn a_device_with_a_new_key_is_not_found_by_its_old_key() {
        let (mut devices, id) = devices();
        devices.insert(id, DeviceRow::new(id, registration(2, "one", 0), NOW));
        assert!(devices.by_key(&Opaque(vec![1; 32])).is_none());
        assert_eq!(devices.by_key(&Opaque(vec![2; 32])).unwrap().id, id);
    }
}
