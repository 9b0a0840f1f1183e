//! Enrollment of a device: challenge, registration and signature.
//!
//! Each device has a key. It proves possession by signing the coordinator's challenge together with everything
//! that the signature is bound to: the coordinator's pin, the machine, the instance and the compute
//! fingerprint.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fingerprint::Fingerprint;
use crate::{DeviceId, Opaque, Pin};

/// Size of an Ed25519 public key in bytes.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Size of an Ed25519 signature in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// Maximum number of earlier runs in a session.
pub const MOST_EARLIER: usize = 8;

const SIGNED_CONTEXT: &str = "Constellation 2026-11 device registration v1";

/// Response to `POST /devices/challenge`. The device signs it in its registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Challenge {
    pub challenge: String,
    /// Seconds until it expires.
    pub expires_in: u32,
}

/// Body of `POST /devices/register`. The credential is a join code's proof in `Authorization`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeviceRegistration {
    pub name: String,
    /// Type of the device, such as `mac` or `linux`.
    pub device_type: String,
    pub cores: u32,
    pub ram_gb: f64,
    pub gpu_available: bool,
    #[serde(default)]
    pub gpu_name: Option<String>,
    /// Permanent id of the machine. A Mac that registers again is the same device.
    pub hardware_id: String,
    /// Number of the worker on this machine, usually 0.
    #[serde(default)]
    pub instance: u32,
    pub fingerprint: Fingerprint,
    /// Ed25519 public key of the device (RFC 8032), 32 bytes.
    pub public_key: Opaque,
    /// Challenge from [`Challenge`].
    pub challenge: String,
    /// Signature over [`signed`] with that key.
    pub signature: Opaque,
    #[serde(default)]
    pub session: Option<Session>,
    /// Device from whose data folder this one was copied, if the worker detected a copy.
    #[serde(default)]
    pub copy_of: Option<DeviceId>,
}

/// One run of a worker. Distinguishes two workers with the same identity from one worker that was
/// restarted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
// A person's session has the same type name.
#[schema(as = WorkerSession)]
pub struct Session {
    /// Random id, created at every start.
    pub id: String,
    /// Earlier runs from the same data folder that the coordinator may still consider active.
    #[serde(default)]
    pub after: Vec<String>,
}

impl Session {
    /// Returns whether its sizes are within the limits.
    pub fn is_bounded(&self) -> bool {
        let fits = |id: &String| (1..=64).contains(&id.len());
        fits(&self.id) && self.after.len() <= MOST_EARLIER && self.after.iter().all(fits)
    }

    /// Returns whether this run follows the current one.
    pub fn follows(&self, current: &str) -> bool {
        self.id == current || self.after.iter().any(|earlier| earlier == current)
    }
}

/// Response to a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Registered {
    pub id: DeviceId,
    /// Token of the device, shown once. The device's earlier token stops working.
    pub token: String,
    /// Seconds until the next heartbeat is due.
    pub heartbeat_seconds: u32,
    #[serde(rename = "enrolment")]
    pub enrollment: EnrollmentKind,
    /// Whether the device gets no work until an administrator approves its key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaiting_approval: bool,
}

/// Kind of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnrollmentKind {
    /// The device was unknown.
    New,
    /// The same key on the same machine.
    Same,
    /// A known machine with a new key, authorized by an administrator's token.
    Rekeyed,
    /// A new device whose data folder was copied from another device.
    Copy,
}

/// Returns what a device signs to register: BLAKE3 over the length and bytes of each part.
pub fn signed(
    challenge: &str,
    pin: &Pin,
    hardware_id: &str,
    instance: u32,
    fingerprint: &Fingerprint,
) -> [u8; 32] {
    let (instance, backend) = (instance.to_string(), fingerprint.backend.to_string());
    let parts: [&[u8]; 8] = [
        challenge.as_bytes(),
        pin.as_bytes(),
        hardware_id.as_bytes(),
        instance.as_bytes(),
        fingerprint.app.as_bytes(),
        fingerprint.burn.as_bytes(),
        backend.as_bytes(),
        fingerprint.hardware.as_bytes(),
    ];
    let mut hasher = blake3::Hasher::new_derive_key(SIGNED_CONTEXT);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Backend;

    fn fingerprint(app: &str, burn: &str) -> Fingerprint {
        let (app, burn) = (app.to_owned(), burn.to_owned());
        Fingerprint { app, burn, backend: Backend::Cpu, hardware: "x".into() }
    }

    #[test]
    fn every_part_is_signed_and_none_runs_into_the_next() {
        let (one, two) = (Pin::from_bytes([1; 32]), Pin::from_bytes([2; 32]));
        let all = [
            signed("c", &one, "h", 0, &fingerprint("1", "2")),
            signed("d", &one, "h", 0, &fingerprint("1", "2")),
            signed("c", &two, "h", 0, &fingerprint("1", "2")),
            signed("c", &one, "i", 0, &fingerprint("1", "2")),
            signed("c", &one, "h", 1, &fingerprint("1", "2")),
            signed("c", &one, "h", 0, &fingerprint("12", "")),
            signed("c", &one, "h", 0, &fingerprint("", "12")),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn a_run_follows_those_that_it_names() {
        let session = Session { id: "c".into(), after: vec!["a".into(), "b".into()] };
        assert!(["a", "b", "c"].iter().all(|earlier| session.follows(earlier)));
        assert!(!session.follows("d"));
    }
}
